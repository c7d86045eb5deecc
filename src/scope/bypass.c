/*
 * bypass.c
 *		Who would see protected rows outside their scope, and through what (S4).
 *
 * A superuser, a role with BYPASSRLS, and every view that such a role owns
 * bypass row security in PostgreSQL; a materialized view hands on the rows that
 * its owner saw.  Nothing can be done about that when a query runs, so a metric
 * view over such a path is refused when it is made, and kpi.check() tells of
 * paths that came later.
 *
 * The walk looks once at each relation for each role that reads it, however many
 * paths lead there, and keeps nothing of it but its name; it locks nothing and so
 * waits for nobody.
 *
 * src/scope/bypass.c
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "catalog/catalog.h"
#include "catalog/reads.h"
#include "catalog/registry.h"
#include "scope/policy.h"
#include "scope/scope.h"

PG_FUNCTION_INFO_V1(kpi_scope_bypass);

/* A relation, and who reads it: InvalidOid is anybody */
typedef struct Reading
{
	Oid			relid;
	Oid			reader;
} Reading;

/* A reading that the walk has come to */
typedef struct BypassStep
{
	Reading		reading;
	struct BypassStep *before;	/* the view that reads it, or NULL */
	bool		held;			/* does a materialized view hold what it
								 * gives? */
	bool		too_deep;		/* is it a view that cannot be looked through? */
} BypassStep;

typedef struct BypassWalk
{
	HTAB	   *seen;			/* of Reading */
	List	   *steps;			/* of BypassStep *, grows while it is walked */
	MemoryContext scratch;		/* reset between views */
} BypassWalk;

/*
 * Must a table obey scopes, itself or by what it is below of?
 */
static bool
is_protected(Oid relid)
{
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};

	return kpi_has_scope_policies(relid) ||
		kpi_registry_has("SELECT FROM kpi.protection_registry AS p"
						 " WHERE p.relid IN (SELECT a.relid FROM kpi.relation_and_parents($1) AS a (relid))",
						 1, argtypes, values);
}

/*
 * Come to a reading, unless the walk has been there.
 */
static void
come_to(BypassWalk *walk, Oid relid, Oid reader, BypassStep *before, bool held)
{
	Reading		reading = {relid, reader};
	BypassStep *step;
	bool		found;

	(void) hash_search(walk->seen, &reading, HASH_ENTER, &found);
	if (found)
		return;
	step = palloc(sizeof(BypassStep));
	step->reading = reading;
	step->before = before;
	step->held = held;
	step->too_deep = false;
	walk->steps = lappend(walk->steps, step);
}

/*
 * Whoever reads what a view reads: its owner or, where it is a security invoker, the
 * reader of the view.  The rows of a materialized view were seen by its owner, so for
 * its readers nothing protects what is below it.
 */
static Oid
reader_below(BypassStep *step)
{
	Oid			owner = kpi_view_reader(step->reading.relid);

	return step->held || !OidIsValid(owner) ? step->reading.reader : owner;
}

/*
 * Come to all that a view reads.
 */
static void
come_below(BypassWalk *walk, BypassStep *step, bool is_materialized)
{
	MemoryContext old = MemoryContextSwitchTo(walk->scratch);
	Oid			reader = reader_below(step);
	Query	   *query = kpi_stored_query(step->reading.relid, &step->too_deep);
	List	   *relids = kpi_tree_relations((Node *) query, true);
	ListCell   *lc;

	MemoryContextSwitchTo(old);
	foreach(lc, relids)
	{
		come_to(walk, lfirst_oid(lc), reader, step, step->held);
		if (is_materialized)
			come_to(walk, lfirst_oid(lc), BOOTSTRAP_SUPERUSERID, step, true);
	}
	MemoryContextReset(walk->scratch);
}

/*
 * Does a step see rows of a protected table that its reader must not?
 */
static bool
is_bypass(BypassStep *step)
{
	char		relkind = get_rel_relkind(step->reading.relid);

	return (relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE) &&
		OidIsValid(step->reading.reader) &&
		has_bypassrls_privilege(step->reading.reader) &&
		is_protected(step->reading.relid);
}

/*
 * A bypass in words.
 */
static char *
describe_bypass(BypassStep *step)
{
	char	   *result;

	if (step->too_deep)
		result = psprintf("view %s is nested too deep to be looked through",
						  kpi_relation_name(step->reading.relid));
	else if (step->held)
	{
		while (step->held)
			step = step->before;
		result = psprintf("materialized view %s holds rows of a protected table",
						  kpi_relation_name(step->reading.relid));
	}
	else
		result = psprintf("role \"%s\" bypasses row security of %s",
						  GetUserNameFromId(step->reading.reader, true),
						  kpi_relation_name(step->reading.relid));
	for (step = step->before; step != NULL; step = step->before)
		result = psprintf("%s, through %s", result, kpi_relation_name(step->reading.relid));
	return result;
}

/*
 * How reading a relation would bypass the protection of a table, or NULL if it would
 * not.
 */
static char *
find_bypass(Oid relid)
{
	BypassWalk	walk = {0};
	HASHCTL		control = {0};

	control.keysize = sizeof(Reading);
	control.entrysize = sizeof(Reading);
	control.hcxt = CurrentMemoryContext;
	walk.seen = hash_create("kpitables bypass", 64, &control,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	walk.scratch = AllocSetContextCreate(CurrentMemoryContext, "kpitables bypass",
										 ALLOCSET_DEFAULT_SIZES);
	come_to(&walk, relid, InvalidOid, NULL, false);
	for (int i = 0; i < list_length(walk.steps); i++)
	{
		BypassStep *step = list_nth(walk.steps, i);
		char		relkind = get_rel_relkind(step->reading.relid);

		CHECK_FOR_INTERRUPTS();
		if (is_bypass(step))
			return describe_bypass(step);
		if (relkind == RELKIND_VIEW || relkind == RELKIND_MATVIEW)
			come_below(&walk, step, relkind == RELKIND_MATVIEW);
		if (step->too_deep)
			return describe_bypass(step);
	}
	return NULL;
}

/*
 * Refuse a view that bypasses the protection of a table.
 */
void
kpi_check_scope_bypass(Oid view, const char *what)
{
	char	   *found = find_bypass(view);

	if (found != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("%s %s would show rows outside its readers' scopes",
						what, kpi_relation_name(view)),
				 errdetail_internal("%s", found),
				 errhint("Let a role without SUPERUSER and BYPASSRLS own it and the views that it reads.")));
}

/*
 * kpi.scope_bypass(regclass): the same for a view that exists, as text or NULL
 */
Datum
kpi_scope_bypass(PG_FUNCTION_ARGS)
{
	char	   *found = find_bypass(PG_GETARG_OID(0));

	if (found == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(found));
}
