/*
 * ratio.c
 *		Taking a metric that is a ratio apart.
 *
 * A ratio divides one expression that sums up by another, so that what groups
 * add to its change can be told.  Like additivity it is read off the flattened
 * definition, never declared: avg(x), which is sum(x) / count(x), and a division
 * under any of
 *		casts, and round, trunc, ceil, ceiling and floor, which are dropped;
 *		multiplication by a constant and division by one, which go to the
 *		numerator;
 *		nullif(.., 0) around the denominator, which is dropped;
 *		the limit of small groups, which is put around both parts, so that they
 *		have no value where the ratio has none, be it on the ratio or on a
 *		component.
 * The parts have the metric's type.  Where rounding was dropped, or where the type
 * itself rounds, their quotient is what the metric was before that.
 *
 * src/metric/ratio.c
 */
#include "postgres.h"

#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "metric/additivity.h"
#include "metric/ratio.h"
#include "metric/smallgroups.h"

/* A ratio while it is taken apart */
typedef struct RatioParts
{
	Node	   *numerator;
	Node	   *denominator;
	List	   *limits;			/* of CaseExpr *, those of small groups */
} RatioParts;

/* avg, the sum that goes with it, and what that takes and gives */
typedef struct Average
{
	Oid			avg;
	Oid			sum;
	Oid			argtype;
	Oid			type;
} Average;

static const Average averages[] = {
	{F_AVG_INT2, F_SUM_INT2, INT2OID, INT8OID},
	{F_AVG_INT4, F_SUM_INT4, INT4OID, INT8OID},
	{F_AVG_INT8, F_SUM_INT8, INT8OID, NUMERICOID},
	{F_AVG_NUMERIC, F_SUM_NUMERIC, NUMERICOID, NUMERICOID},
	/* the sum of float4 would have less digits than its average */
	{F_AVG_FLOAT4, F_SUM_FLOAT8, FLOAT8OID, FLOAT8OID},
	{F_AVG_FLOAT8, F_SUM_FLOAT8, FLOAT8OID, FLOAT8OID},
};

/*
 * Cast an expression as an explicit cast does; NULL where there is none.
 */
static Node *
cast_or_null(Node *node, Oid type)
{
	if (node == NULL)
		return NULL;
	return coerce_to_target_type(NULL, node, exprType(node), type, -1,
								 COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
}

/*
 * Remove casts and limits of small groups around an expression, and note the
 * limits.
 */
static Node *
peel(Node *expr, RatioParts *parts)
{
	for (;;)
	{
		Node	   *inner;

		expr = kpi_strip_coercions(expr);
		inner = kpi_without_small_group_limit(expr);
		if (inner == expr)
			return expr;
		parts->limits = lappend(parts->limits, expr);
		expr = inner;
	}
}

/*
 * The name of the operator of pg_catalog that takes two arguments here, or "".
 */
static const char *
binary_operator(Node *expr)
{
	OpExpr	   *op = (OpExpr *) expr;

	if (!IsA(op, OpExpr) || list_length(op->args) != 2 ||
		get_func_namespace(get_opcode(op->opno)) != PG_CATALOG_NAMESPACE)
		return "";
	return get_opname(op->opno);
}

/*
 * Is this a constant, perhaps under casts?
 */
static bool
is_constant(Node *node)
{
	return IsA(kpi_strip_coercions(node), Const);
}

/*
 * In x * constant, constant * x and x / constant, which argument is x?  -1 for
 * other expressions.
 */
static int
scaled_argument(Node *expr)
{
	const char *name = binary_operator(expr);
	bool		times = strcmp(name, "*") == 0;

	if (!times && strcmp(name, "/") != 0)
		return -1;
	if (is_constant(lsecond(((OpExpr *) expr)->args)))
		return 0;
	return times && is_constant(linitial(((OpExpr *) expr)->args)) ? 1 : -1;
}

/*
 * Put an expression where the scaled argument stands.
 */
static Node *
scale(Node *expr, int argument, Node *part)
{
	OpExpr	   *op = copyObject((OpExpr *) expr);
	ListCell   *cell = list_nth_cell(op->args, argument);

	lfirst(cell) = cast_or_null(part, exprType(lfirst(cell)));
	return lfirst(cell) != NULL ? (Node *) op : NULL;
}

/*
 * Is this a call of a function that rounds?
 */
static bool
rounds(Node *expr)
{
	static const char *const functions[] = {"round", "trunc", "ceil", "ceiling", "floor"};
	FuncExpr   *func = (FuncExpr *) expr;
	char	   *name;

	if (!IsA(func, FuncExpr) || get_func_namespace(func->funcid) != PG_CATALOG_NAMESPACE)
		return false;
	name = get_func_name(func->funcid);
	for (int i = 0; i < lengthof(functions); i++)
		if (strcmp(name, functions[i]) == 0)
			return true;
	return false;
}

/*
 * The numerator: an expression that sums up, perhaps scaled; NULL for others.
 */
static Node *
take_numerator(Node *expr, RatioParts *parts)
{
	int			argument;

	check_stack_depth();

	expr = peel(expr, parts);
	if (kpi_sums_up(expr))
		return expr;
	argument = scaled_argument(expr);
	if (argument < 0)
		return NULL;
	return scale(expr, argument,
				 take_numerator(list_nth(((OpExpr *) expr)->args, argument), parts));
}

/*
 * The denominator: an expression that sums up; NULL for others.
 */
static Node *
take_denominator(Node *expr, RatioParts *parts)
{
	expr = peel(expr, parts);
	if (IsA(expr, NullIfExpr) && kpi_is_zero(lsecond(((NullIfExpr *) expr)->args)))
		expr = peel(linitial(((NullIfExpr *) expr)->args), parts);
	return kpi_sums_up(expr) ? expr : NULL;
}

/*
 * avg(x) is sum(x) / count(x).
 */
static void
take_average_apart(Aggref *avg, RatioParts *parts)
{
	if (avg->aggdistinct != NIL)
		return;
	for (int i = 0; i < lengthof(averages); i++)
	{
		Aggref	   *sum;
		Aggref	   *count;
		TargetEntry *arg;

		if (averages[i].avg != avg->aggfnoid)
			continue;

		sum = copyObject(avg);
		sum->aggfnoid = averages[i].sum;
		sum->aggtype = averages[i].type;
		sum->aggargtypes = list_make1_oid(averages[i].argtype);
		arg = linitial_node(TargetEntry, sum->args);
		arg->expr = (Expr *) cast_or_null((Node *) arg->expr, averages[i].argtype);

		count = copyObject(avg);
		count->aggfnoid = F_COUNT_ANY;
		count->aggtype = INT8OID;

		parts->numerator = (Node *) sum;
		parts->denominator = (Node *) count;
	}
}

/*
 * Look for a ratio; the parts stay NULL where there is none.
 */
static void
take_apart(Node *expr, RatioParts *parts)
{
	check_stack_depth();

	expr = peel(expr, parts);
	if (IsA(expr, Aggref))
		take_average_apart((Aggref *) expr, parts);
	else if (rounds(expr))
		take_apart(linitial(((FuncExpr *) expr)->args), parts);
	else if (scaled_argument(expr) >= 0)
	{
		int			argument = scaled_argument(expr);

		take_apart(list_nth(((OpExpr *) expr)->args, argument), parts);
		parts->numerator = scale(expr, argument, parts->numerator);
	}
	else if (strcmp(binary_operator(expr), "/") == 0)
	{
		parts->numerator = take_numerator(linitial(((OpExpr *) expr)->args), parts);
		parts->denominator = take_denominator(lsecond(((OpExpr *) expr)->args), parts);
	}
}

/*
 * Put limits of small groups around a part.
 */
static Node *
put_limits(Node *part, List *limits)
{
	ListCell   *lc;

	foreach(lc, limits)
	{
		CaseExpr   *limit = copyObject(lfirst_node(CaseExpr, lc));

		linitial_node(CaseWhen, limit->args)->result = (Expr *) part;
		limit->casetype = exprType(part);
		limit->casecollid = exprCollation(part);
		limit->defresult = (Expr *) makeNullConst(limit->casetype, -1, limit->casecollid);
		part = (Node *) limit;
	}
	return part;
}

/*
 * The parts of a flattened definition, or NULL for one that is no ratio.
 */
MetricRatio *
kpi_ratio_of(Node *expr)
{
	Oid			type = exprType(expr);
	RatioParts	parts = {0};
	MetricRatio *ratio;

	if (TypeCategory(type) != TYPCATEGORY_NUMERIC)
		return NULL;
	take_apart(expr, &parts);
	parts.numerator = cast_or_null(parts.numerator, type);
	parts.denominator = cast_or_null(parts.denominator, type);
	if (parts.numerator == NULL || parts.denominator == NULL)
		return NULL;

	ratio = palloc(sizeof(MetricRatio));
	ratio->numerator = put_limits(parts.numerator, parts.limits);
	ratio->denominator = put_limits(parts.denominator, parts.limits);
	ratio->limited = parts.limits != NIL;
	return ratio;
}
