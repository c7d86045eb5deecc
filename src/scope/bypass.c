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
 * src/scope/bypass.c
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/catalog.h"
#include "scope/scope.h"

PG_FUNCTION_INFO_V1(kpi_scope_bypass);

/* A walk down the views of a relation */
typedef struct BypassContext
{
	Oid			reader;			/* of the query's relations; 0: anybody */
	List	   *seen;			/* views walked already */
	char	   *found;
	Query	   *query;
} BypassContext;

static char *find_bypass(Oid relid, Oid reader, List *seen);

/*
 * Is a table protected by some dimension?
 */
static bool
is_protected(Oid relid)
{
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};

	return kpi_registry_execute("SELECT FROM kpi.protection_registry"
								" WHERE relid OPERATOR(pg_catalog.=) $1"
								" OR relid::pg_catalog.oid IN (SELECT a.relid FROM pg_catalog.pg_partition_ancestors($1) AS a)",
								1, argtypes, values, NULL) > 0;
}

/*
 * Does row security not bind a role?
 */
static bool
bypasses(Oid role)
{
	return OidIsValid(role) && has_bypassrls_privilege(role);
}

/*
 * Walker: look at every relation that a query reads.
 */
static bool
bypass_walker(Node *node, BypassContext *context)
{
	if (node == NULL || context->found != NULL)
		return context->found != NULL;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		/* a view's own entries for OLD and NEW are not read */
		if (rte->rtekind == RTE_RELATION && rte->inFromCl)
			context->found = find_bypass(rte->relid, context->reader, context->seen);
		return context->found != NULL;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, bypass_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, bypass_walker, context);
}

/*
 * How reading a relation as a role would bypass the protection of a table, or
 * NULL if it would not.
 */
static char *
find_bypass(Oid relid, Oid reader, List *seen)
{
	BypassContext context = {0};
	Relation	rel;
	char		relkind = get_rel_relkind(relid);

	check_stack_depth();

	if (list_member_oid(seen, relid))
		return NULL;
	if (relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE)
	{
		if (bypasses(reader) && is_protected(relid))
			return psprintf("role \"%s\" bypasses row security of %s",
							GetUserNameFromId(reader, true), kpi_relation_name(relid));
		return NULL;
	}
	if (relkind != RELKIND_VIEW && relkind != RELKIND_MATVIEW)
		return NULL;

	rel = table_open(relid, AccessShareLock);
	context.seen = lappend_oid(list_copy(seen), relid);
	if (relkind == RELKIND_VIEW && RelationHasSecurityInvoker(rel))
		context.reader = reader;
	else
		context.reader = rel->rd_rel->relowner;
	context.query = copyObject(linitial_node(Query, rel->rd_rules->rules[0]->actions));
	table_close(rel, NoLock);

	(void) bypass_walker((Node *) context.query, &context);
	if (context.found != NULL)
		return psprintf("%s, through %s", context.found, kpi_relation_name(relid));

	/* its rows were seen by its owner, not by its reader */
	if (relkind == RELKIND_MATVIEW)
	{
		context.reader = BOOTSTRAP_SUPERUSERID;
		(void) bypass_walker((Node *) context.query, &context);
		if (context.found != NULL)
			return psprintf("materialized view %s holds rows of a protected table",
							kpi_relation_name(relid));
	}
	return NULL;
}

/*
 * Refuse a view that bypasses the protection of a table.
 */
void
kpi_check_scope_bypass(Oid view, const char *what)
{
	char	   *found = find_bypass(view, InvalidOid, NIL);

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
	char	   *found = find_bypass(PG_GETARG_OID(0), InvalidOid, NIL);

	if (found == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(found));
}
