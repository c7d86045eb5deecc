/*
 * limit.c
 *		LIMIT and OFFSET that take no row away: 0, ALL and NULL, be it as a parameter.
 *
 * A measure does not cross LIMIT and OFFSET (M7), but clients write them where they take
 * nothing away, and some bind the 0.  Where the parameter has a value when the statement
 * is planned, that is looked at.  A plan for any value gets a function around the
 * parameter that raises the error, should it come to be another one (M12).
 *
 * src/measure/limit.c
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"

#include "catalog/catalog.h"
#include "errors.h"
#include "measure/measure.h"

PG_FUNCTION_INFO_V1(kpi_require_all_rows);

/*
 * Walker: is there anything whose value depends on more than parameters?
 */
static bool
depends_on_more_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) || IsA(node, SubLink) || IsA(node, Aggref) || IsA(node, WindowFunc) ||
		(IsA(node, Param) && ((Param *) node)->paramkind != PARAM_EXTERN))
		return true;
	return expression_tree_walker(node, depends_on_more_walker, context);
}

/*
 * Walker: is there a parameter?
 */
static bool
has_parameter_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, Param) || expression_tree_walker(node, has_parameter_walker, context);
}

/*
 * What does an expression of LIMIT or OFFSET do to the rows?
 */
LimitEffect
kpi_limit_effect(Rewrite *rewrite, Node *node, bool zero_is_none)
{
	PlannerInfo *root;
	Const	   *con;

	if (node == NULL)
		return LIMIT_NONE;
	root = makeNode(PlannerInfo);
	root->glob = rewrite->glob;
	root->planner_cxt = CurrentMemoryContext;
	con = (Const *) eval_const_expressions(root, copyObject(node));
	if (!IsA(con, Const))
		return OidIsValid(kpi_require_objects()->all_rows) &&
			has_parameter_walker((Node *) con, NULL) &&
			!depends_on_more_walker((Node *) con, NULL) &&
			!contain_volatile_functions((Node *) con) ? LIMIT_UNKNOWN : LIMIT_CUTS;
	if (con->constisnull ||
		(zero_is_none && con->consttype == INT8OID && DatumGetInt64(con->constvalue) == 0))
		return LIMIT_NONE;
	return LIMIT_CUTS;
}

/*
 * What do LIMIT and OFFSET do to the rows of a query?
 */
LimitEffect
kpi_limits_effect(Rewrite *rewrite, Query *query)
{
	LimitEffect count = kpi_limit_effect(rewrite, query->limitCount, false);
	LimitEffect offset = kpi_limit_effect(rewrite, query->limitOffset, true);

	return Max(count, offset);
}

/*
 * A parameter of LIMIT or OFFSET, with the function around it that lets only those pass
 * that take nothing away.
 */
static Node *
require_all_rows(Rewrite *rewrite, Node *node, const char *measure, const char *clause)
{
	Oid			funcid = kpi_require_objects()->all_rows;
	FuncExpr   *func = (FuncExpr *) node;
	Node	   *args[2];

	if (kpi_limit_effect(rewrite, node, strcmp(clause, "OFFSET") == 0) != LIMIT_UNKNOWN ||
		(IsA(func, FuncExpr) && func->funcid == funcid))
		return node;
	args[0] = (Node *) makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
								 CStringGetTextDatum(measure), false, false);
	args[1] = (Node *) makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
								 CStringGetTextDatum(clause), false, false);
	return (Node *) makeFuncExpr(funcid, INT8OID, list_make3(node, args[0], args[1]),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/*
 * Let a query be executed only with parameters of LIMIT and OFFSET that take nothing
 * away.
 */
void
kpi_require_all_rows_of(Rewrite *rewrite, Query *query, const char *measure)
{
	query->limitCount = require_all_rows(rewrite, query->limitCount, measure, "LIMIT");
	query->limitOffset = require_all_rows(rewrite, query->limitOffset, measure, "OFFSET");
}

/*
 * kpi.require_all_rows(value bigint, measure text, clause text) returns bigint
 */
Datum
kpi_require_all_rows(PG_FUNCTION_ARGS)
{
	int64		value = PG_GETARG_INT64(0);
	char	   *measure = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *clause = text_to_cstring(PG_GETARG_TEXT_PP(2));

	if (value != 0 || strcmp(clause, "OFFSET") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("measure \"%s\" crosses %s before it is aggregated; write measure(%s) with GROUP BY in the inner query, or bind NULL",
						measure, clause, quote_identifier(measure)),
				 errhint("Evaluate it before rows are taken away.")));
	PG_RETURN_INT64(value);
}
