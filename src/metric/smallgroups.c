/*
 * smallgroups.c
 *		Metrics that have no value for groups of few rows (S5).
 *
 * The limit is part of the definition: the metric's view says
 *		CASE WHEN count(*) >= n THEN expression ELSE NULL END
 * and is flattened and filtered like any definition, so the limit holds wherever
 * the metric is read: grouped, total, filtered, in HAVING, as a component, and
 * as the metric's own view.  The rows that count are those that the aggregates
 * see, with the definition's WHERE and every FILTER on the way.  Such a metric
 * is not additive, so a single row shows nothing of it.
 *
 * A metric that is computed from such metrics has no value either where one of them
 * has none: COALESCE would show a withheld group as an empty one.
 *
 * The registry remembers the limit; this file puts it around the parsed
 * definition, and takes it off the stored one.
 *
 * src/metric/smallgroups.c
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "errors.h"
#include "metric/smallgroups.h"

/*
 * Put the limit around a parsed definition; "query" is the same, analyzed.
 */
void
kpi_limit_small_groups(RawStmt *raw, Query *query, int min_rows, const char *name)
{
	ResTarget  *target = linitial_node(ResTarget, ((SelectStmt *) raw->stmt)->targetList);
	Node	   *expr = (Node *) linitial_node(TargetEntry, query->targetList)->expr;
	FuncCall   *count;
	A_Const    *limit = makeNode(A_Const);
	A_Const    *null = makeNode(A_Const);
	TypeCast   *otherwise = makeNode(TypeCast);
	CaseWhen   *when = makeNode(CaseWhen);
	CaseExpr   *choice = makeNode(CaseExpr);

	if (min_rows <= 0)
		return;
	if (!query->hasAggs)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("derived metric %s cannot have min_group_rows", name),
				 errdetail("It is computed from metrics, not from rows."),
				 errhint("Set min_group_rows for its components; it is NULL where one of them is.")));

	count = makeFuncCall(list_make2(makeString("pg_catalog"), makeString("count")),
						 NIL, COERCE_EXPLICIT_CALL, -1);
	count->agg_star = true;
	limit->val.ival.type = T_Integer;
	limit->val.ival.ival = min_rows;
	limit->location = -1;
	null->isnull = true;
	null->location = -1;
	otherwise->arg = (Node *) null;
	otherwise->typeName = makeTypeNameFromOid(exprType(expr), exprTypmod(expr));
	otherwise->location = -1;

	when->expr = (Expr *) makeA_Expr(AEXPR_OP,
									 list_make2(makeString("pg_catalog"), makeString(">=")),
									 (Node *) count, (Node *) limit, -1);
	when->result = (Expr *) target->val;
	when->location = -1;
	choice->args = list_make1(when);
	choice->defresult = (Expr *) otherwise;
	choice->location = -1;
	target->val = (Node *) choice;
	if (target->name == NULL)
		target->name = pstrdup("metric");	/* replaced by the view's own */
}

/*
 * Is this NULL, be it of a type with a modifier?
 */
static bool
is_null(Expr *expr)
{
	Node	   *node = (Node *) expr;

	if (node != NULL && IsA(node, FuncExpr) &&
		exprIsLengthCoercion(node, NULL))
		node = linitial(((FuncExpr *) node)->args);
	return node != NULL && IsA(node, Const) && ((Const *) node)->constisnull;
}

/*
 * Is this count(*) >= n?
 */
static bool
is_limit(Node *node)
{
	OpExpr	   *test = (OpExpr *) node;
	Const	   *limit;
	Aggref	   *count;

	if (!IsA(test, OpExpr) || get_opcode(test->opno) != F_INT84GE)
		return false;
	count = linitial(test->args);
	limit = lsecond(test->args);
	return IsA(count, Aggref) && count->aggfnoid == F_COUNT_ &&
		IsA(limit, Const) && !limit->constisnull;
}

/*
 * The WHEN of a metric's limit, if it has one:
 *		CASE WHEN count(*) >= n THEN expression ELSE NULL END
 */
static CaseWhen *
find_limit(Node *expr)
{
	CaseExpr   *choice = (CaseExpr *) expr;
	CaseWhen   *when;

	if (!IsA(choice, CaseExpr) || choice->arg != NULL || list_length(choice->args) != 1 ||
		!is_null(choice->defresult))
		return NULL;
	when = linitial_node(CaseWhen, choice->args);
	return is_limit((Node *) when->expr) ? when : NULL;
}

/*
 * The expression of a metric inside its limit, if it has one.
 */
Node *
kpi_without_small_group_limit(Node *expr)
{
	CaseWhen   *when = find_limit(expr);

	return when != NULL ? (Node *) when->result : expr;
}

/*
 * The limit of a metric; 0 for none.
 */
int
kpi_small_group_limit_of(Node *expr)
{
	CaseWhen   *when = find_limit(expr);

	return when == NULL ? 0 :
		DatumGetInt32(((Const *) lsecond(((OpExpr *) when->expr)->args))->constvalue);
}

/*
 * The condition of a metric's limit, count(*) >= n; NULL for none.
 */
Node *
kpi_small_group_condition(Node *expr)
{
	CaseWhen   *when = find_limit(expr);

	return when == NULL ? NULL : (Node *) when->expr;
}

/*
 * Put a limit around an expression that is not to be seen unless the condition holds.
 */
static Node *
put_limit(Node *expr, Node *condition)
{
	CaseWhen   *when = makeNode(CaseWhen);
	CaseExpr   *choice = makeNode(CaseExpr);

	when->expr = (Expr *) condition;
	when->result = (Expr *) expr;
	when->location = -1;
	choice->casetype = exprType(expr);
	choice->casecollid = exprCollation(expr);
	choice->args = list_make1(when);
	choice->defresult = (Expr *) makeNullConst(choice->casetype, exprTypmod(expr), choice->casecollid);
	choice->location = -1;
	return (Node *) choice;
}

/*
 * Replace what an expression is computed from by what is strict: aggregates, and NULLIF
 * with a constant, which is NULL where its first argument is.
 */
static Node *
without_aggregates(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Aggref))
		return (Node *) makeVar(1, 1, exprType(node), exprTypmod(node), exprCollation(node), 0);
	if (IsA(node, NullIfExpr))
	{
		NullIfExpr *nullif = (NullIfExpr *) node;
		Const	   *value = (Const *) kpi_strip_coercions(lsecond(nullif->args));

		if (IsA(value, Const) && !value->constisnull)
			return without_aggregates(linitial(nullif->args), context);
	}
	return expression_tree_mutator(node, without_aggregates, context);
}

/*
 * Keep the limits of its components in a metric that is computed from them: where one
 * has no value, neither has the metric, whatever its expression makes of NULL.  "limits"
 * holds the conditions of the components' limits, "computed" the expression as it is
 * over the components, "expr" the same over the source.
 */
Node *
kpi_keep_small_group_limits(Node *expr, Node *computed, List *limits)
{
	ListCell   *lc;

	computed = without_aggregates(kpi_without_small_group_limit(computed), NULL);
	if (limits == NIL || !contain_nonstrict_functions(computed))
		return expr;
	foreach(lc, limits)
		expr = put_limit(expr, copyObject(lfirst(lc)));
	return expr;
}
