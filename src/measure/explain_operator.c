/*
 * explain_operator.c
 *		Comparisons whose operators SQL does not name.
 *
 * NULLIF, IS DISTINCT FROM, CASE x WHEN y, USING, rows and IN take the operator that
 * their types find in the search path.  The text of an explanation is read with an
 * empty one: where the operator is in another schema than pg_catalog, it would be
 * another operator, or none.  So such a comparison is written by operators that are
 * named.
 *
 * src/measure/explain_operator.c
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "measure/explain.h"

/*
 * Does the name of an operator alone mean it, with an empty search path?
 */
bool
kpi_is_plain_operator(Oid opno)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", opno);
	result = ((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace == PG_CATALOG_NAMESPACE;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * A comparison of two values by an operator
 */
static Node *
make_comparison(Oid opno, Oid collation, Node *left, Node *right)
{
	Expr	   *result = make_opclause(opno, BOOLOID, false, (Expr *) copyObject(left),
									   (Expr *) copyObject(right), InvalidOid, collation);

	set_opfuncid((OpExpr *) result);
	return (Node *) result;
}

/*
 * IS NULL, of a value that is no row
 */
Expr *
kpi_null_test(Node *arg, NullTestType type)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) copyObject(arg);
	test->nulltesttype = type;
	test->argisrow = type_is_rowtype(exprType(arg));
	test->location = -1;
	return (Expr *) test;
}

/*
 * CASE WHEN ... THEN ... [WHEN ... THEN ...] ELSE ... END
 */
static CaseExpr *
make_case(Oid type, Oid collation, Expr *result)
{
	CaseExpr   *expr = makeNode(CaseExpr);

	expr->casetype = type;
	expr->casecollid = collation;
	expr->defresult = result;
	expr->location = -1;
	return expr;
}

/*
 * Add a WHEN to a CASE.
 */
static void
add_when(CaseExpr *expr, Expr *condition, Expr *result)
{
	CaseWhen   *when = makeNode(CaseWhen);

	when->expr = condition;
	when->result = result;
	when->location = -1;
	expr->args = lappend(expr->args, when);
}

/*
 * NULLIF and IS DISTINCT FROM with an operator that these words do not mean.
 */
static Node *
spell_comparison(OpExpr *op)
{
	Node	   *left = linitial(op->args);
	Node	   *right = lsecond(op->args);
	CaseExpr   *expr;

	if (IsA(op, NullIfExpr))
	{
		expr = make_case(op->opresulttype, op->opcollid, (Expr *) copyObject(left));
		add_when(expr, (Expr *) make_comparison(op->opno, op->inputcollid, left, right),
				 (Expr *) makeNullConst(op->opresulttype, -1, op->opcollid));
		return (Node *) expr;
	}
	expr = make_case(BOOLOID, InvalidOid,
					 makeBoolExpr(NOT_EXPR, list_make1((Expr *) make_comparison(op->opno, op->inputcollid, left, right)), -1));
	add_when(expr, kpi_null_test(left, IS_NULL), kpi_null_test(right, IS_NOT_NULL));
	add_when(expr, kpi_null_test(right, IS_NULL), (Expr *) makeBoolConst(true, false));
	return (Node *) expr;
}

/*
 * Mutator that puts a value where a CASE's own value stands.
 */
static Node *
replace_case_value(Node *node, Node *value)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, CaseTestExpr))
		return copyObject(value);
	if (IsA(node, CaseExpr) && ((CaseExpr *) node)->arg != NULL)
		return node;			/* its own */
	return expression_tree_mutator(node, replace_case_value, value);
}

/*
 * CASE x WHEN y ... by an operator that is not named: CASE WHEN x = y ...
 */
static void
spell_case(CaseExpr *expr)
{
	bool		is_plain = true;
	ListCell   *lc;

	if (expr->arg == NULL || contain_volatile_functions((Node *) expr->arg))
		return;
	foreach(lc, expr->args)
	{
		OpExpr	   *op = (OpExpr *) lfirst_node(CaseWhen, lc)->expr;

		is_plain &= !IsA(op, OpExpr) || kpi_is_plain_operator(op->opno);
	}
	if (is_plain)
		return;
	foreach(lc, expr->args)
	{
		CaseWhen   *when = lfirst_node(CaseWhen, lc);

		when->expr = (Expr *) replace_case_value((Node *) when->expr, (Node *) expr->arg);
	}
	expr->arg = NULL;
}

/*
 * A comparison of rows, column by column: (a, b) < (c, d) is a < c OR a = c AND b < d.
 * It is unknown where the columns that decide it are, as that is.
 */
static Node *
spell_row_comparison(RowCompareExpr *row)
{
	Node	   *result = NULL;

	for (int i = list_length(row->opnos) - 1; i >= 0; i--)
	{
		Node	   *left = list_nth(row->largs, i);
		Node	   *right = list_nth(row->rargs, i);
		Oid			family = list_nth_oid(row->opfamilies, i);
		Oid			collation = list_nth_oid(row->inputcollids, i);
		Oid			opno = list_nth_oid(row->opnos, i);
		Oid			lefttype;
		Oid			righttype;
		int			strategy;
		Node	   *same;

		if (result == NULL)
		{
			result = make_comparison(opno, collation, left, right);
			continue;
		}
		get_op_opfamily_properties(opno, family, false, &strategy, &lefttype, &righttype);
		same = make_comparison(get_opfamily_member(family, lefttype, righttype,
												   BTEqualStrategyNumber),
							   collation, left, right);
		if (strategy == BTLessEqualStrategyNumber || strategy == BTGreaterEqualStrategyNumber)
			opno = get_opfamily_member(family, lefttype, righttype,
									   strategy == BTLessEqualStrategyNumber ?
									   BTLessStrategyNumber : BTGreaterStrategyNumber);
		result = (Node *)
			makeBoolExpr(OR_EXPR,
						 list_make2(make_comparison(opno, collation, left, right),
									makeBoolExpr(AND_EXPR, list_make2(same, result), -1)),
						 -1);
	}
	return result;
}

/*
 * Walker that collects the operators of a comparison of rows.
 */
static bool
collect_operators_walker(Node *node, List **opnos)
{
	if (node == NULL)
		return false;
	if (IsA(node, OpExpr))
		*opnos = lappend_oid(*opnos, ((OpExpr *) node)->opno);
	if (IsA(node, RowCompareExpr))
		*opnos = list_concat(*opnos, ((RowCompareExpr *) node)->opnos);
	return expression_tree_walker(node, collect_operators_walker, opnos);
}

/*
 * Are there several operators, and one that its name alone does not mean?
 */
static bool
needs_spelling(Node *comparison)
{
	List	   *opnos = NIL;
	ListCell   *lc;

	(void) collect_operators_walker(comparison, &opnos);
	if (list_length(opnos) < 2)
		return false;
	foreach(lc, opnos)
	{
		if (!kpi_is_plain_operator(lfirst_oid(lc)))
			return true;
	}
	return false;
}

/*
 * Mutator that puts columns of a subquery where those of a comparison's subquery stand.
 */
static Node *
replace_sublink_params(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_SUBLINK)
	{
		Param	   *param = (Param *) node;

		return (Node *) makeVar(1, param->paramid, param->paramtype, param->paramtypmod,
								param->paramcollid, 0);
	}
	return expression_tree_mutator(node, replace_sublink_params, context);
}

/*
 * (a, b) IN (SELECT c, d ...), ANY and ALL by operators of which not all can be named:
 * true = ANY (SELECT a = s.c AND b = s.d FROM (SELECT c, d ...) AS s).  Where the
 * subquery gives one row, that is (SELECT a = s.c AND b = s.d FROM ...).
 */
void
kpi_spell_sublink(SubLink *sublink)
{
	Query	   *subselect = (Query *) sublink->subselect;
	RangeTblEntry *rte;
	Node	   *comparison = sublink->testexpr;
	Param	   *param;
	List	   *names = NIL;
	ListCell   *lc;

	if (comparison == NULL || !needs_spelling(comparison))
		return;

	foreach(lc, subselect->targetList)
	{
		if (!lfirst_node(TargetEntry, lc)->resjunk)
			names = lappend(names, makeString(psprintf("column%d", list_length(names) + 1)));
	}
	IncrementVarSublevelsUp((Node *) subselect, 1, 1);
	IncrementVarSublevelsUp(comparison, 1, 0);
	rte = makeNode(RangeTblEntry);
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = subselect;
	rte->alias = makeAlias("s", names);
	rte->eref = copyObject(rte->alias);
	rte->inFromCl = true;
	comparison = replace_sublink_params(comparison, NULL);
	sublink->subselect = (Node *)
		kpi_make_select(list_make1(makeTargetEntry((Expr *) comparison, 1, "compared", false)), rte);

	if (sublink->subLinkType == ROWCOMPARE_SUBLINK)
	{
		sublink->subLinkType = EXPR_SUBLINK;
		sublink->testexpr = NULL;
		return;
	}
	param = makeNode(Param);
	param->paramkind = PARAM_SUBLINK;
	param->paramid = 1;
	param->paramtype = BOOLOID;
	param->paramtypmod = -1;
	param->location = -1;
	sublink->testexpr = make_comparison(BooleanEqualOperator, InvalidOid,
										makeBoolConst(true, false), (Node *) param);
}

/*
 * Say a comparison, or the CASE of some, whose operators cannot be told from its words.
 * What is computed anew each time is left as it is, for it would be computed twice.
 */
Node *
kpi_spell_comparison(Node *node)
{
	if (IsA(node, CaseExpr))
		spell_case((CaseExpr *) node);
	else if (IsA(node, RowCompareExpr))
		return needs_spelling(node) ? spell_row_comparison((RowCompareExpr *) node) : node;
	else if (!kpi_is_plain_operator(((OpExpr *) node)->opno) &&
			 !contain_volatile_functions(node))
		return spell_comparison((OpExpr *) node);
	return node;
}
