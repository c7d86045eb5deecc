/*
 * computed.c
 *		A measure that a query computed with before another aggregates it (M8).
 *
 * Views, CTEs and the middle queries of BI tools put CASE, COALESCE(m, 0) or a constant
 * factor around a measure in a column of their own, and SUM the column above.  That is
 * to mean what the same words mean inside the aggregate.  So they are written there: the
 * measure and the conditions are brought up as columns, and what argument.c reads of the
 * expression is said again with these.  Conditions are computed where they stood, as
 * wholes: what one arm of CASE guards, no other place may evaluate.
 *
 * src/measure/computed.c
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"

#include "catalog/catalog.h"
#include "measure/argument.h"
#include "measure/fanout.h"

/* Where a column of a query is computed */
typedef struct Computed
{
	QueryLevel	owner;			/* the level that reads it */
	int			varno;			/* by this entry */
	QueryLevel	child;			/* the level that computes it */
	Node	   *expr;
} Computed;

/*
 * Find the query that computes a column.
 */
static bool
find_computed(QueryLevel *level, Var *var, Computed *result)
{
	RangeTblEntry *rte;
	TargetEntry *tle;
	Oid			type = var->vartype;

	for (Index i = 0; i < var->varlevelsup && level != NULL; i++)
		level = level->parent;
	if (level == NULL)
		return false;
	for (;;)
	{
		rte = rt_fetch(var->varno, level->query->rtable);
		if (rte->rtekind != RTE_JOIN)
			break;
		var = list_nth(rte->joinaliasvars, var->varattno - 1);
		if (!IsA(var, Var) || var->varlevelsup != 0)
			return false;
	}
	result->owner = *level;
	result->varno = var->varno;
	result->child.rewrite = level->rewrite;
	result->child.query = kpi_entry_query(level, rte, &result->child.parent);
	if (result->child.query == NULL || result->child.query->commandType != CMD_SELECT ||
		result->child.query->setOperations != NULL)
		return false;
	tle = get_tle_by_resno(result->child.query->targetList, var->varattno);
	if (tle == NULL || exprType((Node *) tle->expr) != type)
		return false;
	result->expr = (Node *) tle->expr;
	return true;
}

/*
 * Is an expression a measure with what may be around it in an aggregate, be it computed
 * in queries below?
 */
bool
kpi_is_computed_measure(QueryLevel *level, Node *expr)
{
	CarrierArgument arg = kpi_read_argument(expr);
	Computed	computed;
	Origin		origin;

	check_stack_depth();

	if (arg.measure == NULL)
		return false;
	origin = kpi_origin_of_var(level, arg.measure);
	if (origin.kind != ORIGIN_ROW_VALUE)
		return origin.kind == ORIGIN_MEASURE;
	return find_computed(level, arg.measure, &computed) &&
		kpi_is_computed_measure(&computed.child, computed.expr);
}

/*
 * CASE with one condition more in front.
 */
static CaseExpr *
add_arm(CaseExpr *expr, Node *condition, Node *value)
{
	CaseWhen   *when = makeNode(CaseWhen);

	when->expr = (Expr *) condition;
	when->result = (Expr *) value;
	when->location = -1;
	if (expr == NULL)
	{
		expr = makeNode(CaseExpr);
		expr->casetype = exprType(value);
		expr->casecollid = exprCollation(value);
		expr->defresult = (Expr *) makeNullConst(exprType(value), -1, exprCollation(value));
		expr->location = -1;
	}
	expr->args = lcons(when, expr->args);
	return expr;
}

/*
 * COALESCE(value, 0)
 */
static Node *
or_zero(Node *value, Node *zero)
{
	CoalesceExpr *coalesce = makeNode(CoalesceExpr);

	coalesce->coalescetype = exprType(value);
	coalesce->coalescecollid = exprCollation(value);
	coalesce->args = list_make2(value, zero);
	coalesce->location = -1;
	return (Node *) coalesce;
}

/*
 * Bring an expression up from the query that computes the column.
 */
static Node *
bring_up(Computed *computed, Node *expr)
{
	return (Node *) kpi_export_step(computed->owner.rewrite, &computed->owner, computed->varno,
									computed->child.query, expr);
}

/*
 * Say above what a query below computes with a measure.
 */
static Node *
say_again(Computed *computed, CarrierArgument *arg)
{
	Node	   *value = kpi_put_in_place(arg->value, (Node *) arg->measure,
										 bring_up(computed, (Node *) arg->measure));
	Node	   *zero = arg->gives_zero ? kpi_zero_of_type(exprType(value)) : NULL;
	CaseExpr   *expr = NULL;

	if (zero != NULL && (arg->condition == NULL || equal(arg->condition, arg->counted)))
		value = or_zero(value, zero);
	else if (zero != NULL && arg->counted != NULL)
		expr = add_arm(NULL, bring_up(computed, arg->counted), zero);
	if (arg->condition == NULL)
		return value;
	expr = add_arm(expr, bring_up(computed, arg->condition), value);
	if (zero != NULL && arg->counted == NULL)
		expr->defresult = (Expr *) zero;
	return (Node *) expr;
}

/*
 * Write an expression with all that queries below compute in it, so that it reads the
 * measure itself.  Only where kpi_is_computed_measure() is true.
 */
Node *
kpi_bring_up_computed(QueryLevel *level, Node *expr)
{
	CarrierArgument arg = kpi_read_argument(expr);
	CarrierArgument inner;
	Computed	computed;
	Node	   *value;

	check_stack_depth();

	if (kpi_origin_of_var(level, arg.measure).kind == ORIGIN_MEASURE ||
		!find_computed(level, arg.measure, &computed))
		return expr;
	inner = kpi_read_argument(kpi_bring_up_computed(&computed.child, copyObject(computed.expr)));
	value = say_again(&computed, &inner);

	/* where an outer join finds no row, nothing is computed */
	if (kpi_is_nullable(computed.owner.query, computed.varno))
		value = (Node *) add_arm(NULL, bring_up(&computed, makeBoolConst(true, false)), value);
	IncrementVarSublevelsUp(value, arg.measure->varlevelsup, 0);
	return kpi_put_in_place(expr, (Node *) arg.measure, value);
}
