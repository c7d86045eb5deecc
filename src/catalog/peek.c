/*
 * peek.c
 *		Looking at relations without waiting for anybody and without keeping a lock.
 *
 * A listing tells of objects of everybody.  If it waited for the locks on them, one
 * session could keep all others from it; and if it kept locks, as PostgreSQL keeps
 * those of the relations whose queries it writes as SQL, whoever reads a listing
 * would keep the owners from changing anything until his transaction ends (S9).
 *
 * src/catalog/peek.c
 */
#include "postgres.h"

#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
#include "catalog/peek.h"

PG_FUNCTION_INFO_V1(kpi_view_definition);

/*
 * Do something, and give back the locks that it took: they belong to a resource owner
 * of their own, which is released as that of a portal that failed.
 */
void
kpi_peek(KpiErrand errand, void *arg)
{
	ResourceOwner caller = CurrentResourceOwner;
	ResourceOwner own = ResourceOwnerCreate(caller, "kpitables peek");

	CurrentResourceOwner = own;
	PG_TRY();
	{
		errand(arg);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = caller;
		ResourceOwnerRelease(own, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
		ResourceOwnerRelease(own, RESOURCE_RELEASE_LOCKS, false, false);
		ResourceOwnerRelease(own, RESOURCE_RELEASE_AFTER_LOCKS, false, false);
		ResourceOwnerDelete(own);
	}
	PG_END_TRY();
}

/*
 * Lock a relation for reading; false where somebody is changing it, or it is gone.
 */
bool
kpi_peek_at_relation(Oid relid)
{
	return ConditionalLockRelationOid(relid, AccessShareLock) &&
		SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid));
}

/*
 * Lock the relations that a query names; false where that is not possible at once.
 */
static bool
peek_at_query(Query *query)
{
	ListCell   *lc;

	foreach(lc, kpi_tree_relations((Node *) query, false))
	{
		if (!kpi_peek_at_relation(lfirst_oid(lc)))
			return false;
	}
	return true;
}

/*
 * Put SQL on one line, in place: every run of blanks becomes one, but within quotes.
 */
char *
kpi_on_one_line(char *sql)
{
	char	   *to = sql;
	char		quote = '\0';

	for (char *from = sql; *from != '\0'; from++)
	{
		if (quote != '\0' ? *from == quote : (*from == '\'' || *from == '"'))
			quote = quote != '\0' ? '\0' : *from;
		if (quote != '\0' || !isspace((unsigned char) *from))
			*to++ = *from;
		else if (to > sql && to[-1] != ' ' && to[-1] != '(')
			*to++ = ' ';
	}
	*to = '\0';
	return sql;
}

/* A view whose definition is written as SQL */
typedef struct ViewText
{
	Oid			relid;
	char	   *sql;			/* NULL where it cannot be told */
} ViewText;

/*
 * The query of a view, with its columns as they are called now, or NULL where it
 * cannot be told; within kpi_peek().
 */
char *
kpi_view_sql(Oid relid, bool pretty)
{
	bool		too_deep;
	Query	   *query = kpi_stored_query(relid, &too_deep);
	ListCell   *lc;

	if (query == NULL || !peek_at_query(query))
		return NULL;
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		char	   *name = get_attname(relid, tle->resno, true);

		if (!tle->resjunk && name != NULL)
			tle->resname = name;
	}
	return pg_get_querydef(query, pretty);
}

/*
 * Errand: write the query of a view.
 */
static void
write_definition(void *arg)
{
	ViewText   *view = arg;

	view->sql = kpi_view_sql(view->relid, true);
}

/*
 * kpi.view_definition(regclass): what PostgreSQL says that a view is, without the
 * semicolon
 */
Datum
kpi_view_definition(PG_FUNCTION_ARGS)
{
	ViewText	view = {PG_GETARG_OID(0), NULL};

	kpi_peek(write_definition, &view);
	if (view.sql == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(view.sql));
}
