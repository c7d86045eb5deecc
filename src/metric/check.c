/*
 * check.c
 *		What a metric definition may be (M13), and the columns of a metric view.
 *
 * Each fault says why, as an analyst reads it.  The question is asked of the
 * analyzed query, before the view is made, where a fault is an error; and by
 * kpi.check() of the query that the view has, which CREATE OR REPLACE VIEW may have
 * put there since.  So a fault is an answer and not raised here, and nothing is
 * locked or run.
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
 * A fault of a definition, or of a column of a metric view.
 */
static DefinitionFault *
make_fault(char *message, const char *detail, const char *hint)
{
	DefinitionFault *fault = palloc(sizeof(DefinitionFault));

	fault->message = message;
	fault->detail = detail;
	fault->hint = hint;
	return fault;
}

/*
 * A definition has something that it must not have.
 */
static DefinitionFault *
refuse(const char *name, const char *what, const char *why)
{
	return make_fault(psprintf("definition of metric %s has %s", name, what), why, NULL);
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
 * Is a function volatile?  One that was dropped meanwhile is nothing to anybody.
 */
static bool
is_volatile(Oid funcid, void *context)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_proc) GETSTRUCT(tuple))->provolatile == PROVOLATILE_VOLATILE;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Does an expression call a volatile function?
 */
static bool
has_volatile_function(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, NextValueExpr) || check_functions_in_node(node, is_volatile, NULL))
		return true;
	return expression_tree_walker(node, has_volatile_function, context);
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
		HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(((Aggref *) node)->aggfnoid));
		bool		result = false;

		if (HeapTupleIsValid(tuple))
		{
			Form_pg_aggregate agg = (Form_pg_aggregate) GETSTRUCT(tuple);

			result = is_volatile(agg->aggtransfn, NULL) || is_volatile(agg->aggfinalfn, NULL);
			ReleaseSysCache(tuple);
		}
		if (result)
			return true;
	}
	return expression_tree_walker(node, has_volatile_aggregate, context);
}

/*
 * A base definition reads one relation that holds rows.
 */
static DefinitionFault *
source_fault(Query *query, const char *name)
{
	int			rti = kpi_single_from_entry(query);
	RangeTblEntry *rte;

	if (rti == 0)
		return refuse(name, list_length(query->jointree->fromlist) == 0 ?
					  "no source" : "a join",
					  "A metric aggregates exactly one relation; create a view over the join and define the metric on that.");
	rte = rt_fetch(rti, query->rtable);
	if (rte->rtekind != RTE_RELATION)
		return refuse(name, "a subquery or function in FROM",
					  "A metric aggregates a table, a foreign table, a view or a materialized view.");
	if (rte->tablesample != NULL)
		return refuse(name, "TABLESAMPLE", "A sample is not the same rows each time.");
	if (!rte->inh && rte->relkind != RELKIND_VIEW)
		return refuse(name, "ONLY", "A metric view reads its source with all partitions and children.");
	return NULL;
}

/*
 * A derived definition reads metrics, side by side.
 */
static DefinitionFault *
components_fault(Query *query, const char *name, Node *node, bool registered)
{
	DefinitionFault *fault = NULL;
	RangeTblEntry *rte;
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
		{
			if (fault == NULL)
				fault = components_fault(query, name, lfirst(lc), registered);
		}
		return fault;
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		if (join->jointype != JOIN_INNER || join->quals != NULL)
			return refuse(name, "a join with a condition",
						  "Each metric is one row; list them in FROM with commas.");
		fault = components_fault(query, name, join->larg, registered);
		return fault != NULL ? fault : components_fault(query, name, join->rarg, registered);
	}
	rte = rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable);
	if (rte->rtekind == RTE_RELATION && (!registered || kpi_metric_is_registered(rte->relid)))
		return NULL;
	return make_fault(psprintf("definition of metric %s has no aggregate", name),
					  psprintf("Without an aggregate every relation in FROM must be a metric, and \"%s\" is not.",
							   rte->eref->aliasname),
					  "Aggregate the column, for example sum(column), or name metrics in FROM.");
}

/*
 * The clauses of a query that a definition must not have.
 */
static DefinitionFault *
clause_fault(Query *query, const char *name)
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

	for (int i = 0; i < lengthof(refusals); i++)
	{
		if (refusals[i].present)
			return refuse(name, refusals[i].what, refusals[i].why);
	}
	if (list_length(query->targetList) != 1)
		return make_fault(psprintf("definition of metric %s has %d columns", name,
								   list_length(query->targetList)),
						  "A metric is one expression.", NULL);
	return NULL;
}

/*
 * What the expression of a definition, or its WHERE, must not hold.
 */
static DefinitionFault *
expression_fault(Query *query, const char *name)
{
	Node	   *expr = (Node *) linitial_node(TargetEntry, query->targetList)->expr;
	Node	   *both = (Node *) list_make2(expr, query->jointree->quals);
	Refusal		refusals[] = {
		{kpi_holds_marker(both, NULL), "kpi.metric_column()",
		"That marks columns of metric views; write measure() of such a column."},
		{has_volatile_aggregate(expr, NULL), "an aggregate with a volatile function",
		"The same rows must give the same number each time; declare the aggregate's functions IMMUTABLE or STABLE if they are."},
		{has_volatile_function(both, NULL), "a volatile function",
		"The same rows must give the same number each time."},
		{has_param(both, NULL), "a parameter or GROUPING()",
		"A definition stands for itself."},
		{kpi_reads_no_plain_column(both, NULL), "a whole-row or system column",
		"A metric is computed from columns; write count(*) to count rows."},
	};

	for (int i = 0; i < lengthof(refusals); i++)
	{
		if (refusals[i].present)
			return refuse(name, refusals[i].what, refusals[i].why);
	}
	if (get_typtype(exprType(expr)) == TYPTYPE_PSEUDO)
		return make_fault(psprintf("definition of metric %s has pseudo-type %s", name,
								   format_type_be(exprType(expr))),
						  NULL, "Cast the expression to the type that the metric shall have.");
	return NULL;
}

/*
 * What M13 excludes in a query that is to be a metric, or NULL.  It has been
 * analyzed, not rewritten; "name" is the metric's, quoted.  Of its components it is
 * asked whether they are registered, if so wanted.
 */
DefinitionFault *
kpi_definition_fault(Query *query, const char *name, bool registered)
{
	DefinitionFault *fault = clause_fault(query, name);

	if (fault == NULL)
		fault = expression_fault(query, name);
	if (fault != NULL)
		return fault;
	if (query->hasAggs)
		return source_fault(query, name);
	if (query->jointree->quals != NULL)
		return refuse(name, "WHERE over metrics",
					  "A metric is one row; put the condition into the definitions, or into CASE.");
	if (query->jointree->fromlist == NIL)
		return refuse(name, "no source",
					  "A metric aggregates a relation or computes from metrics in FROM.");
	return components_fault(query, name, (Node *) query->jointree, registered);
}

/*
 * Raise an error for what M13 excludes.
 */
void
kpi_check_definition(Query *query, const char *name)
{
	DefinitionFault *fault = kpi_definition_fault(query, name, true);

	if (fault != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg_internal("%s", fault->message),
				 fault->detail != NULL ? errdetail_internal("%s", fault->detail) : 0,
				 fault->hint != NULL ? errhint("%s", fault->hint) : 0));
}

/*
 * Why an expression over the source cannot be a dimension of a metric view, or NULL.
 */
const char *
kpi_dimension_fault(Query *query, Node *expr)
{
	if (query->hasAggs)
		return "is an aggregate";
	if (query->hasWindowFuncs)
		return "is a window function";
	if (query->hasTargetSRFs)
		return "returns a set";
	if (query->hasSubLinks)
		return "has a subquery";
	if (has_volatile_function(expr, NULL))
		return "is volatile";
	if (kpi_reads_no_plain_column(expr, NULL))
		return "reads a whole row or a system column";
	if (kpi_holds_marker(expr, NULL))
		return "is a measure";
	return NULL;
}
