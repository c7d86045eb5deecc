/*
 * check.c
 *		What a metric definition may be (M13).
 *
 * Each refusal says why, as an analyst reads it.  The question is asked once,
 * of the analyzed query, before the metric's view is made.
 *
 * src/metric/check.c
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
#include "catalog/registry.h"
#include "errors.h"
#include "metric/definition.h"

/*
 * Is this relation a registered metric?
 */
bool
kpi_metric_is_registered(Oid relid)
{
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};

	return kpi_registry_has("SELECT FROM kpi.metric_registry"
							" WHERE relid OPERATOR(pg_catalog.=) $1",
							1, argtypes, values);
}

/* A clause that a definition must not have, and why */
typedef struct Refusal
{
	bool		present;
	const char *what;
	const char *why;
} Refusal;

/*
 * Refuse a definition.
 */
static void
refuse(const char *name, const char *what, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_KPI_INVALID_METRIC),
			 errmsg("definition of metric %s has %s", name, what),
			 errdetail_internal("%s", why)));
}

/*
 * Does an expression read a whole row or a system column?  Those are not
 * columns that a metric view could hand on.
 */
bool
kpi_reads_no_plain_column(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varattno <= 0;
	return expression_tree_walker(node, kpi_reads_no_plain_column, context);
}

/*
 * Does an expression hold a parameter, or a clause of grouping?
 */
static bool
has_param(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) || IsA(node, GroupingFunc))
		return true;
	return expression_tree_walker(node, has_param, context);
}

/*
 * Is there an aggregate that works by a volatile function?  The aggregate
 * itself never says so.
 */
static bool
has_volatile_aggregate(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
	{
		Oid			aggfnoid = ((Aggref *) node)->aggfnoid;
		HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggfnoid));
		Form_pg_aggregate agg;
		bool		is_volatile;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for aggregate %u", aggfnoid);
		agg = (Form_pg_aggregate) GETSTRUCT(tuple);
		is_volatile = func_volatile(agg->aggtransfn) == PROVOLATILE_VOLATILE ||
			(OidIsValid(agg->aggfinalfn) &&
			 func_volatile(agg->aggfinalfn) == PROVOLATILE_VOLATILE);
		ReleaseSysCache(tuple);
		if (is_volatile)
			return true;
	}
	return expression_tree_walker(node, has_volatile_aggregate, context);
}

/*
 * A base definition reads one relation that holds rows.
 */
static void
check_source(Query *query, const char *name)
{
	int			rti = kpi_single_from_entry(query);
	RangeTblEntry *rte;

	if (rti == 0)
		refuse(name, list_length(query->jointree->fromlist) == 0 ?
			   "no source" : "a join",
			   "A metric aggregates exactly one relation; create a view over the join and define the metric on that.");
	rte = rt_fetch(rti, query->rtable);
	if (rte->rtekind != RTE_RELATION)
		refuse(name, "a subquery or function in FROM",
			   "A metric aggregates a table, a foreign table, a view or a materialized view.");
	if (rte->tablesample != NULL)
		refuse(name, "TABLESAMPLE", "A sample is not the same rows each time.");
	if (!rte->inh && rte->relkind != RELKIND_VIEW)
		refuse(name, "ONLY", "A metric view reads its source with all partitions and children.");
}

/*
 * A derived definition reads metrics, side by side.
 */
static void
check_components(Query *query, const char *name, Node *node)
{
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			check_components(query, name, lfirst(lc));
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		if (join->jointype != JOIN_INNER || join->quals != NULL)
			refuse(name, "a join with a condition",
				   "Each metric is one row; list them in FROM with commas.");
		check_components(query, name, join->larg);
		check_components(query, name, join->rarg);
	}
	else
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable);

		if (rte->rtekind != RTE_RELATION || !kpi_metric_is_registered(rte->relid))
			ereport(ERROR,
					(errcode(ERRCODE_KPI_INVALID_METRIC),
					 errmsg("definition of metric %s has no aggregate", name),
					 errdetail("Without an aggregate every relation in FROM must be a metric, and \"%s\" is not.",
							   rte->eref->aliasname),
					 errhint("Aggregate the column, for example sum(column), or name metrics in FROM.")));
	}
}

/*
 * Refuse what M13 excludes.  "query" has been analyzed, not rewritten; "name"
 * is the metric's, quoted, for the messages.
 */
void
kpi_check_definition(Query *query, const char *name)
{
	const char *once = "A metric is one value for whatever rows it is asked about; the query that reads it groups.";
	Refusal		refusals[] = {
		{query->commandType != CMD_SELECT || query->utilityStmt != NULL,
		"a statement other than SELECT", "A definition only computes a value."},
		{query->setOperations != NULL, "a set operation",
		"A metric aggregates exactly one relation; create a view over the union."},
		{query->cteList != NIL, "WITH", "A metric aggregates exactly one relation."},
		{query->groupClause != NIL || query->groupingSets != NIL, "GROUP BY", once},
		{query->havingQual != NULL, "HAVING", once},
		{query->hasWindowFuncs || query->windowClause != NIL, "a window function", once},
		{query->distinctClause != NIL, "SELECT DISTINCT", once},
		{query->sortClause != NIL, "ORDER BY", once},
		{query->limitCount != NULL || query->limitOffset != NULL, "LIMIT or OFFSET", once},
		{query->rowMarks != NIL, "FOR UPDATE or FOR SHARE", "A definition only computes a value."},
		{query->hasTargetSRFs, "a set-returning function", "A metric is one value, not several rows."},
		{query->hasSubLinks, "a subquery", "A metric is computed from the rows of one group alone."},
	};
	TargetEntry *tle;
	Oid			type;

	for (int i = 0; i < lengthof(refusals); i++)
		if (refusals[i].present)
			refuse(name, refusals[i].what, refusals[i].why);

	if (list_length(query->targetList) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("definition of metric %s has %d columns", name,
						list_length(query->targetList)),
				 errdetail("A metric is one expression.")));
	tle = linitial_node(TargetEntry, query->targetList);

	if (kpi_holds_marker((Node *) tle->expr, NULL) ||
		kpi_holds_marker(query->jointree->quals, NULL))
		refuse(name, "kpi.metric_column()",
			   "That marks columns of metric views; write measure() of such a column.");
	if (has_volatile_aggregate((Node *) tle->expr, NULL))
		refuse(name, "an aggregate with a volatile function",
			   "The same rows must give the same number each time; declare the aggregate's functions IMMUTABLE or STABLE if they are.");
	if (contain_volatile_functions((Node *) tle->expr) ||
		contain_volatile_functions(query->jointree->quals))
		refuse(name, "a volatile function",
			   "The same rows must give the same number each time.");
	if (has_param((Node *) tle->expr, NULL) ||
		has_param(query->jointree->quals, NULL))
		refuse(name, "a parameter or GROUPING()",
			   "A definition stands for itself.");
	if (kpi_reads_no_plain_column((Node *) tle->expr, NULL) ||
		kpi_reads_no_plain_column(query->jointree->quals, NULL))
		refuse(name, "a whole-row or system column",
			   "A metric is computed from columns; write count(*) to count rows.");

	type = exprType((Node *) tle->expr);
	if (get_typtype(type) == TYPTYPE_PSEUDO)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("definition of metric %s has pseudo-type %s", name,
						format_type_be(type)),
				 errhint("Cast the expression to the type that the metric shall have.")));

	if (query->hasAggs)
		check_source(query, name);
	else
	{
		if (query->jointree->quals != NULL)
			refuse(name, "WHERE over metrics",
				   "A metric is one row; put the condition into the definitions, or into CASE.");
		if (query->jointree->fromlist == NIL)
			refuse(name, "no source",
				   "A metric aggregates a relation or computes from metrics in FROM.");
		check_components(query, name, (Node *) query->jointree);
	}
}
