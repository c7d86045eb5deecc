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
 * The registry remembers the limit; this file puts it around the parsed
 * definition, and takes it off the stored one.
 *
 * src/metric/smallgroups.c
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
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
