/*
 * additivity.c
 *		How a metric may be combined from the values of parts.
 *
 * Additivity is read off a flattened definition, never declared.  The additive
 * expressions are the sums and counts without DISTINCT, and what addition,
 * subtraction, negation, multiplication by a constant, COALESCE(.., 0) and
 * casts that lose nothing make of them.  The same rules give an additive
 * metric's contribution of a single row (M10): each aggregate is replaced by
 * what it adds for that row, so that a client that sums the rows of an extract
 * gets the governed total.  Both walks must agree; they share "classify".
 *
 * Division is not in the list although it distributes over addition: numeric
 * division rounds and integer division truncates, so parts would not sum to the
 * digit.
 *
 * The terms are those of R. Kimball and M. Ross, The Data Warehouse Toolkit,
 * 3rd edition, chapter 1 ("Additive, semi-additive, and non-additive facts");
 * semi-additive here is what can be combined from parts by its own aggregate
 * but not by a sum, which is all that a definition tells.
 *
 * src/metric/additivity.c
 */
#include "postgres.h"

#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "errors.h"
#include "metric/additivity.h"
#include "metric/smallgroups.h"

/* What one node does with the additivity of its arguments */
typedef enum NodeClass
{
	CLASS_OTHER,				/* nothing is known */
	CLASS_COUNT,				/* count(*), count(x) */
	CLASS_SUM,					/* sum(x) */
	CLASS_EXTREME,				/* min, max and the like */
	CLASS_PLUS,					/* both arguments summed up or down */
	CLASS_SCALE,				/* one argument, times a constant or a sign */
	CLASS_CAST,					/* one argument, cast without loss */
	CLASS_COALESCE				/* COALESCE(x, 0) */
} NodeClass;

/* The scale of a number that may have any */
#define NO_SCALE	PG_INT32_MAX

/*
 * The name of a function of pg_catalog, or "".
 */
static const char *
catalog_function_name(Oid funcid)
{
	char	   *name;

	if (get_func_namespace(funcid) != PG_CATALOG_NAMESPACE)
		return "";
	name = get_func_name(funcid);
	return name ? name : "";
}

/*
 * Does an aggregate of pg_catalog have one of these names?
 */
static bool
is_named(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

/*
 * A constant as text.
 */
static char *
const_text(Const *con)
{
	Oid			output;
	bool		varlena;

	getTypeOutputInfo(con->consttype, &output, &varlena);
	return OidOutputFunctionCall(output, con->constvalue);
}

/*
 * Is this the constant zero of its type?
 */
bool
kpi_is_zero(Node *node)
{
	Const	   *con;
	char	   *text;

	node = kpi_strip_coercions(node);
	if (!IsA(node, Const) || ((Const *) node)->constisnull)
		return false;
	con = (Const *) node;
	if (TypeCategory(con->consttype) != TYPCATEGORY_NUMERIC)
		return false;
	text = const_text(con);
	return text[0] != '-' && strspn(text, "0.") == strlen(text);
}

/*
 * The scale that a numeric type modifier declares.
 */
static int
typmod_scale(int32 typmod)
{
	return typmod < (int32) VARHDRSZ ? NO_SCALE :
		(((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
}

/*
 * A number of decimal places that no value of an expression exceeds, as far as
 * declared types and sums tell; NO_SCALE where they do not.
 */
static int
max_scale(Node *expr)
{
	switch (exprType(expr))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return 0;
		case NUMERICOID:
			break;
		default:
			return NO_SCALE;
	}
	if (exprTypmod(expr) >= 0)
		return typmod_scale(exprTypmod(expr));
	if (IsA(expr, Aggref) &&
		strcmp(catalog_function_name(((Aggref *) expr)->aggfnoid), "sum") == 0)
		return max_scale((Node *) linitial_node(TargetEntry, ((Aggref *) expr)->args)->expr);
	if (IsA(expr, OpExpr) && list_length(((OpExpr *) expr)->args) == 2 &&
		strchr("+-", get_opname(((OpExpr *) expr)->opno)[0]))
		return Max(max_scale(linitial(((OpExpr *) expr)->args)),
				   max_scale(lsecond(((OpExpr *) expr)->args)));
	if (IsA(expr, FuncExpr) && list_length(((FuncExpr *) expr)->args) == 1 &&
		expr != kpi_strip_coercions(expr))
		return max_scale(linitial(((FuncExpr *) expr)->args));
	if (IsA(expr, CoalesceExpr) && kpi_is_zero(llast(((CoalesceExpr *) expr)->args)))
		return max_scale(linitial(((CoalesceExpr *) expr)->args));
	return NO_SCALE;
}

/*
 * Does a cast keep every digit?  From an integer to a wider one or to numeric,
 * or to a numeric of at least the scale that there is; rounding does not.  Nor does
 * real to double precision: its sums are rounded as real, the sum of the parts that
 * were cast is not.
 */
static bool
is_exact_cast(Node *arg, Oid to, int32 typmod)
{
	static const Oid widening[] = {INT2OID, INT4OID, INT8OID, NUMERICOID};
	Oid			from = exprType(arg);
	int			i = -1;
	int			j = -1;

	if (to == NUMERICOID && typmod >= 0)
		return max_scale(arg) <= typmod_scale(typmod);
	if (from == to)
		return typmod < 0;
	for (int k = 0; k < lengthof(widening); k++)
	{
		if (widening[k] == from)
			i = k;
		if (widening[k] == to)
			j = k;
	}
	return i >= 0 && j > i;
}

/*
 * Does a product have every digit, whatever the measure's parts?  Products of
 * integers, numerics and floating-point numbers are as good as their sums are; those
 * of money and interval are rounded to the cent and the microsecond unless the
 * factor is whole.  Nothing sums up that is multiplied by infinity: parts of 0 become
 * NaN.
 */
static bool
scales_exactly(OpExpr *op, Node *measure, Const *factor)
{
	char	   *digits;

	if (factor->constisnull)
		return true;
	if (factor->consttype == op->opresulttype &&
		(op->opresulttype == MONEYOID || op->opresulttype == INTERVALOID))
		return max_scale(measure) == 0;

	digits = const_text(factor);
	digits += *digits == '-';
	if (op->opresulttype == MONEYOID || op->opresulttype == INTERVALOID)
		return strspn(digits, "0123456789") == strlen(digits);
	return strspn(digits, "0123456789.e+-") == strlen(digits);
}

/*
 * Look at an operator: what is it, and which arguments carry the measure?
 */
static NodeClass
classify_operator(OpExpr *op, List **args)
{
	char	   *name = get_opname(op->opno);
	Node	   *left = linitial(op->args);
	Node	   *right = list_length(op->args) > 1 ? lsecond(op->args) : NULL;
	Node	   *factors[2];

	if (get_func_namespace(op->opfuncid ? op->opfuncid : get_opcode(op->opno)) != PG_CATALOG_NAMESPACE)
		return CLASS_OTHER;
	if (right == NULL)
	{
		*args = list_make1(left);
		return strcmp(name, "-") == 0 || strcmp(name, "+") == 0 ? CLASS_SCALE : CLASS_OTHER;
	}
	if ((strcmp(name, "+") == 0 || strcmp(name, "-") == 0) &&
		exprType(left) == op->opresulttype && exprType(right) == op->opresulttype)
	{
		*args = list_make2(left, right);
		return CLASS_PLUS;
	}
	if (strcmp(name, "*") != 0)
		return CLASS_OTHER;

	factors[0] = kpi_strip_coercions(left);
	factors[1] = kpi_strip_coercions(right);
	for (int i = 0; i < 2; i++)
	{
		Node	   *measure = i == 0 ? right : left;

		if (!IsA(factors[i], Const) || IsA(factors[1 - i], Const) ||
			!scales_exactly(op, measure, (Const *) factors[i]))
			continue;
		*args = list_make1(measure);
		return CLASS_SCALE;
	}
	return CLASS_OTHER;
}

/*
 * Look at one node: what is it, and which arguments carry the measure?
 */
static NodeClass
classify(Node *node, List **args)
{
	static const char *const extremes[] = {"min", "max", "bool_and", "bool_or",
	"every", "bit_and", "bit_or", NULL};

	*args = NIL;
	switch (nodeTag(node))
	{
		case T_Aggref:
			{
				Aggref	   *agg = (Aggref *) node;
				const char *name = catalog_function_name(agg->aggfnoid);

				if (is_named(name, extremes))
					return CLASS_EXTREME;
				if (agg->aggdistinct != NIL)
					return CLASS_OTHER;
				if (agg->aggfnoid == F_COUNT_ || agg->aggfnoid == F_COUNT_ANY)
					return CLASS_COUNT;
				if (strcmp(name, "sum") == 0)
					return CLASS_SUM;
				return CLASS_OTHER;
			}
		case T_OpExpr:
			return classify_operator((OpExpr *) node, args);
		case T_RelabelType:
			*args = list_make1(((RelabelType *) node)->arg);
			return CLASS_CAST;
		case T_FuncExpr:
			{
				FuncExpr   *func = (FuncExpr *) node;

				if ((func->funcformat == COERCE_EXPLICIT_CAST ||
					 func->funcformat == COERCE_IMPLICIT_CAST) &&
					get_func_namespace(func->funcid) == PG_CATALOG_NAMESPACE &&
					is_exact_cast(linitial(func->args), func->funcresulttype,
								  exprTypmod(node)))
				{
					*args = list_make1(linitial(func->args));
					return CLASS_CAST;
				}
				return CLASS_OTHER;
			}
		case T_CoalesceExpr:
			{
				CoalesceExpr *coalesce = (CoalesceExpr *) node;

				if (list_length(coalesce->args) == 2 &&
					kpi_is_zero(lsecond(coalesce->args)))
				{
					*args = list_make1(linitial(coalesce->args));
					return CLASS_COALESCE;
				}
				return CLASS_OTHER;
			}
		default:
			return CLASS_OTHER;
	}
}

/*
 * How may the values of an expression for parts be combined?
 */
MetricAdditivity
kpi_additivity(Node *expr)
{
	List	   *args;
	ListCell   *lc;

	check_stack_depth();

	switch (classify(expr, &args))
	{
		case CLASS_COUNT:
			return KPI_ADDITIVE_COUNT;
		case CLASS_SUM:
			return KPI_ADDITIVE;
		case CLASS_EXTREME:
			return KPI_SEMI_ADDITIVE;
		case CLASS_CAST:
			return kpi_additivity(linitial(args));
		case CLASS_PLUS:
		case CLASS_SCALE:
		case CLASS_COALESCE:
			foreach(lc, args)
			{
				if (kpi_additivity(lfirst(lc)) > KPI_ADDITIVE)
					return KPI_NON_ADDITIVE;
			}
			return KPI_ADDITIVE;
		case CLASS_OTHER:
			break;
	}
	return KPI_NON_ADDITIVE;
}

/*
 * The word that users see.
 */
const char *
kpi_additivity_name(MetricAdditivity additivity)
{
	switch (additivity)
	{
		case KPI_ADDITIVE_COUNT:
			return "count";
		case KPI_ADDITIVE:
			return "additive";
		case KPI_SEMI_ADDITIVE:
			return "semi-additive";
		case KPI_NON_ADDITIVE:
			return "non-additive";
	}
	pg_unreachable();
}

/*
 * Is the total the sum of the parts?
 */
bool
kpi_sums_up(Node *expr)
{
	return kpi_additivity(expr) <= KPI_ADDITIVE;
}

/*
 * The aggregate that a metric is, but for casts, COALESCE and the small-group limit;
 * NULL where there is more to it.
 */
static Aggref *
only_aggregate(Node *expr)
{
	expr = kpi_strip_coercions(kpi_without_small_group_limit(expr));
	if (IsA(expr, CoalesceExpr))
		expr = kpi_strip_coercions(linitial(((CoalesceExpr *) expr)->args));
	return IsA(expr, Aggref) ? (Aggref *) expr : NULL;
}

/*
 * Does a metric count something, so that COUNT() may carry it (M8)?  Counts of
 * distinct values count, too, though they do not sum up.
 */
bool
kpi_counts(Node *expr)
{
	Aggref	   *agg = only_aggregate(expr);

	return agg != NULL &&
		(agg->aggfnoid == F_COUNT_ || agg->aggfnoid == F_COUNT_ANY);
}

/*
 * Does it count distinct values, so that COUNT(DISTINCT) may?
 */
bool
kpi_counts_distinct(Node *expr)
{
	return kpi_counts(expr) && only_aggregate(expr)->aggdistinct != NIL;
}

/*
 * Cast an expression, or raise an internal error: the types come from functions
 * that the definition itself applies.
 */
static Node *
cast_to(Node *node, Oid type)
{
	Oid			from = exprType(node);
	Node	   *result;

	if (from == type)
		return node;
	result = coerce_to_target_type(NULL, node, from, type, -1,
								   COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
	if (result == NULL)
		elog(ERROR, "cannot cast type %u to %u", from, type);
	return result;
}

/*
 * The constant of a type that reads "0" or "1".
 */
static Node *
number_constant(Oid type, const char *text)
{
	Oid			input;
	Oid			ioparam;
	int16		typlen;
	bool		typbyval;

	getTypeInputInfo(type, &input, &ioparam);
	get_typlenbyval(type, &typlen, &typbyval);
	return (Node *) makeConst(type, -1, get_typcollation(type), typlen,
							  OidInputFunctionCall(input, pstrdup(text), ioparam, -1),
							  false, typbyval);
}

/*
 * CASE WHEN condition THEN value ELSE otherwise END; no condition, no CASE.
 */
static Node *
make_case(Node *condition, Node *value, Node *otherwise)
{
	CaseExpr   *expr;
	CaseWhen   *when;

	if (condition == NULL)
		return value;

	when = makeNode(CaseWhen);
	when->expr = (Expr *) condition;
	when->result = (Expr *) value;
	when->location = -1;

	expr = makeNode(CaseExpr);
	expr->casetype = exprType(value);
	expr->casecollid = exprCollation(value);
	expr->args = list_make1(when);
	expr->defresult = (Expr *) (otherwise ? otherwise :
								(Node *) makeNullConst(exprType(value), -1,
													   exprCollation(value)));
	expr->location = -1;
	return (Node *) expr;
}

/*
 * x IS NULL, or x IS NOT NULL.  A row value is NULL only if it is no row at
 * all, as count() has it.
 */
static Node *
null_test(Node *arg, NullTestType type)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) arg;
	test->nulltesttype = type;
	test->argisrow = false;
	test->location = -1;
	return (Node *) test;
}

/*
 * COALESCE(x, 0)
 */
static Node *
coalesce_zero(Node *arg)
{
	CoalesceExpr *expr = makeNode(CoalesceExpr);

	expr->coalescetype = exprType(arg);
	expr->coalescecollid = exprCollation(arg);
	expr->args = list_make2(arg, number_constant(exprType(arg), "0"));
	expr->location = -1;
	return (Node *) expr;
}

/*
 * What one row adds to an additive expression (M10): a row outside the
 * aggregate's filter adds nothing, which is NULL for a sum and 0 for a count.
 * In x + y one of them may be NULL for a row without the other being so for
 * all rows, so there NULL counts as 0 unless both are NULL.
 *
 * The result reads the columns that the aggregates read, and has the type of
 * the expression.  Only for expressions of which kpi_sums_up() is true.
 */
Node *
kpi_contribution(Node *expr)
{
	List	   *args;

	check_stack_depth();

	switch (classify(expr, &args))
	{
		case CLASS_COUNT:
			{
				Aggref	   *agg = (Aggref *) copyObject(expr);
				Node	   *condition = (Node *) agg->aggfilter;

				if (agg->args != NIL)
				{
					Node	   *arg = (Node *) linitial_node(TargetEntry, agg->args)->expr;

					condition = make_and_qual(condition, null_test(arg, IS_NOT_NULL));
				}
				return make_case(condition, number_constant(INT8OID, "1"),
								 number_constant(INT8OID, "0"));
			}
		case CLASS_SUM:
			{
				Aggref	   *agg = (Aggref *) copyObject(expr);
				Node	   *arg = (Node *) linitial_node(TargetEntry, agg->args)->expr;

				return make_case((Node *) agg->aggfilter,
								 cast_to(arg, agg->aggtype), NULL);
			}
		case CLASS_PLUS:
			{
				OpExpr	   *op = (OpExpr *) copyObject(expr);
				Node	   *left = kpi_contribution(linitial(op->args));
				Node	   *right = kpi_contribution(lsecond(op->args));
				Node	   *both;

				op->args = list_make2(coalesce_zero(left), coalesce_zero(right));
				both = (Node *) makeBoolExpr(OR_EXPR,
											 list_make2(null_test(copyObject(left), IS_NOT_NULL),
														null_test(copyObject(right), IS_NOT_NULL)),
											 -1);
				return make_case(both, (Node *) op, NULL);
			}
		case CLASS_SCALE:
		case CLASS_CAST:
		case CLASS_COALESCE:
			{
				Node	   *copy = copyObject(expr);
				Node	   *inner = kpi_contribution(linitial(args));

				/* put the contribution where the argument stands */
				if (IsA(copy, OpExpr))
				{
					ListCell   *lc;

					foreach(lc, ((OpExpr *) copy)->args)
					{
						if (equal(lfirst(lc), linitial(args)))
							lfirst(lc) = inner;
					}
				}
				else if (IsA(copy, RelabelType))
					((RelabelType *) copy)->arg = (Expr *) inner;
				else if (IsA(copy, FuncExpr))
					linitial(((FuncExpr *) copy)->args) = inner;
				else
					linitial(castNode(CoalesceExpr, copy)->args) = inner;
				return copy;
			}
		case CLASS_EXTREME:
		case CLASS_OTHER:
			break;
	}
	elog(ERROR, "expression has no contribution per row");
	return NULL;
}
