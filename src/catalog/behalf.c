/*
 * behalf.c
 *		What the extension does on somebody else's behalf.
 *
 * Whatever is not the caller's own doing goes through kpi_on_behalf_of(): it is
 * done as the role whose objects are concerned, as a security-restricted
 * operation, with settings of its own, and on every way out the role and the
 * settings are those of before.  So code that somebody hung on his objects runs
 * with nobody's rights but his own, cannot get out of them, and leaves nothing
 * behind in the session (S7).
 *
 * Whoever calls it neither parses nor evaluates text or trees that a third role
 * stored.
 *
 * src/catalog/behalf.c
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/guc.h"
#include "utils/resowner.h"

#include "catalog/behalf.h"

/*
 * Set a parameter until the nest level is closed.
 */
static void
set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Until the nest level is closed, let values be written as every session reads
 * them, as pg_dump does.
 */
static void
set_plain_text(void)
{
	set_locally("datestyle", "ISO, MDY");
	set_locally("intervalstyle", "postgres");
	set_locally("extra_float_digits", "3");
	set_locally("bytea_output", "hex");
	set_locally("timezone", "GMT");
	set_locally("quote_all_identifiers", "off");
}

/*
 * Do something as a role, with nothing but pg_catalog in the search path and
 * values written as every session reads them.
 *
 * Settings are rolled back, whatever the errand did: with AtEOXact_GUC(true) a
 * SET by code that ran inside would stay.  They are rolled back here and not by
 * the end of a subtransaction alone, so that no handler on the way up, our
 * callers' included, runs in somebody else's name.
 */
void
kpi_on_behalf_of(Oid role, KpiErrand errand, void *arg)
{
	Oid			user;
	int			sec_context;
	int			nestlevel = NewGUCNestLevel();

	GetUserIdAndSecContext(&user, &sec_context);
	PG_TRY();
	{
		SetUserIdAndSecContext(role, sec_context | SECURITY_LOCAL_USERID_CHANGE |
							   SECURITY_RESTRICTED_OPERATION);
		set_locally("search_path", "pg_catalog, pg_temp");
		set_plain_text();
		errand(arg);
	}
	PG_FINALLY();
	{
		AtEOXact_GUC(false, nestlevel);
		SetUserIdAndSecContext(user, sec_context);
	}
	PG_END_TRY();
}

/*
 * Do something as the current user, with values written as every session reads
 * them and, if one is given, a search path.
 */
void
kpi_in_plain_text(const char *search_path, KpiErrand errand, void *arg)
{
	int			nestlevel = NewGUCNestLevel();

	PG_TRY();
	{
		if (search_path != NULL)
			set_locally("search_path", search_path);
		set_plain_text();
		errand(arg);
	}
	PG_FINALLY();
	{
		AtEOXact_GUC(false, nestlevel);
	}
	PG_END_TRY();
}

/*
 * Run something whose failure must not fail the statement: in a subtransaction,
 * returning the error, or NULL.  A request to stop is not swallowed.
 *
 * A deadlock or a lock that was not to be had is a failure like any other: the
 * subtransaction gives back what it had locked, so the deadlock is resolved, and
 * the statement goes on with the locks that it had before.
 */
ErrorData *
kpi_run_guarded(KpiErrand errand, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		errand(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	if (error != NULL && ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
		ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION))
		ReThrowError(error);
	return error;
}
