/*
 * argument.c
 *		What the argument of an aggregate makes of a measure (M8).
 *
 * Tools that can only say SUM wrap the measure before they do: casts, CASE with the
 * measure in some arms and NULL or 0 in the others, COALESCE(m, 0), a constant
 * factor, one in another.  Read as one row's value that would mean little.  Here it
 * is read as what is said of the group: which of its rows give the measure, which
 * give 0, and what is computed with the result.  Whatever else there is, is no
 * argument that carries a measure.
 *
 * A measure in a condition is not looked for here; who uses the condition does.
 *
 * src/measure/argument.c
 */
#include "postgres.h"

#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "measure/argument.h"
#include "metric/additivity.h"

static bool read_value(Node *node, CarrierArgument *result, Node **value);

/*
 * Is this NULL, or a constant zero?
 */
static bool
is_null_or_zero(Node *node, bool *is_zero)
{
	Node	   *inner = kpi_strip_coercions(node);

	*is_zero = inner != NULL && kpi_is_zero(inner);
	return inner == NULL || *is_zero ||
		(IsA(inner, Const) && ((Const *) inner)->constisnull);
}

/*
 * Put the tested value of "CASE value WHEN ..." back where the parser left a
 * placeholder for it.
 */
static Node *
fill_case_test(Node *node, Node *value)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, CaseTestExpr))
		return copyObject(value);
	if (IsA(node, CaseExpr) || IsA(node, ArrayCoerceExpr))
		return node;			/* it has placeholders of its own */
	return expression_tree_mutator(node, fill_case_test, (void *) value);
}

/* One node for another */
typedef struct Substitution
{
	Node	   *from;
	Node	   *to;
} Substitution;

/*
 * Put one node in the place of another, this very one.
 */
static Node *
substitute(Node *node, Substitution *substitution)
{
	if (node == NULL)
		return NULL;
	if (node == substitution->from)
		return substitution->to;
	return expression_tree_mutator(node, substitute, substitution);
}

/*
 * The same, as a function.
 */
static Node *
with_substitute(Node *node, Node *from, Node *to)
{
	Substitution substitution = {from, to};

	return from == to ? node : substitute(node, &substitution);
}

/*
 * The argument of an operator that is multiplied or divided by a constant, or has a
 * sign; NULL for other operators.
 */
static Node *
scaled_argument(OpExpr *op)
{
	Node	   *left = linitial(op->args);
	Node	   *right = list_length(op->args) > 1 ? lsecond(op->args) : NULL;
	char	   *name = get_opname(op->opno);

	if (get_func_namespace(get_opcode(op->opno)) != PG_CATALOG_NAMESPACE)
		return NULL;
	if (right == NULL)
		return strcmp(name, "-") == 0 || strcmp(name, "+") == 0 ? left : NULL;
	if (strcmp(name, "*") != 0 && strcmp(name, "/") != 0)
		return NULL;
	if (IsA(kpi_strip_coercions(right), Const) || IsA(kpi_strip_coercions(right), Param))
		return left;
	if (*name == '*' &&
		(IsA(kpi_strip_coercions(left), Const) || IsA(kpi_strip_coercions(left), Param)))
		return right;
	return NULL;
}

/*
 * A condition of an arm, or a constant where the arm has none.
 */
static Node *
arm_condition(Node *condition, bool otherwise)
{
	return condition != NULL ? condition : makeBoolConst(otherwise, false);
}

/*
 * Read an arm of CASE: NULL, 0, or as the other arms a measure.  What is asked of
 * the row to give the measure goes into "gives", to give that or 0 into "counts".
 */
static bool
read_arm(Node *arm, CarrierArgument *result, Node **value, Node **gives, Node **counts)
{
	CarrierArgument read = {0};
	Node	   *scaled;
	bool		is_zero;

	if (is_null_or_zero(arm, &is_zero))
	{
		*gives = makeBoolConst(false, false);
		*counts = makeBoolConst(is_zero, false);
		result->gives_zero |= is_zero;
		return true;
	}
	if (!read_value(arm, &read, &scaled))
		return false;
	if (result->measure != NULL && !equal(*value, scaled))
		return false;			/* not the same in all arms */
	if (result->measure == NULL)
	{
		result->measure = read.measure;
		result->scaled = read.scaled;
		*value = scaled;
	}
	result->gives_zero |= read.gives_zero;
	*gives = arm_condition(read.condition, true);
	*counts = arm_condition(read.counted, true);
	return true;
}

/*
 * Does a list of conditions, or its default, come to this one constant?
 */
static bool
is_bool(Node *node, bool value)
{
	return IsA(node, Const) && DatumGetBool(((Const *) node)->constvalue) == value;
}

/*
 * "Which arm is taken, and is this said of it?", as short as it can be said.
 */
static Node *
said_of_arms(List *conditions, List *said, Node *otherwise)
{
	CaseExpr   *expr;
	bool		always = is_bool(otherwise, true);
	ListCell   *condition;
	ListCell   *result;

	foreach(result, said)
		always &= is_bool(lfirst(result), true);
	if (always)
		return NULL;
	if (list_length(said) == 1 && is_bool(linitial(said), true) && is_bool(otherwise, false))
		return copyObject(linitial(conditions));

	expr = makeNode(CaseExpr);
	expr->casetype = BOOLOID;
	expr->defresult = (Expr *) otherwise;
	expr->location = -1;
	forboth(condition, conditions, result, said)
	{
		CaseWhen   *when = makeNode(CaseWhen);

		when->expr = copyObject(lfirst(condition));
		when->result = copyObject(lfirst(result));
		when->location = -1;
		expr->args = lappend(expr->args, when);
	}
	return (Node *) expr;
}

/*
 * Read CASE: the rows that give the measure are those that come to its arms.
 */
static bool
read_case(CaseExpr *expr, CarrierArgument *result, Node **value)
{
	List	   *conditions = NIL;
	List	   *gives = NIL;
	List	   *counts = NIL;
	Node	   *gives_arm;
	Node	   *counts_arm;
	ListCell   *lc;

	foreach(lc, expr->args)
	{
		CaseWhen   *when = lfirst_node(CaseWhen, lc);
		Node	   *condition = (Node *) when->expr;

		if (!read_arm((Node *) when->result, result, value, &gives_arm, &counts_arm))
			return false;
		if (expr->arg != NULL)
			condition = fill_case_test(condition, (Node *) expr->arg);
		conditions = lappend(conditions, condition);
		gives = lappend(gives, gives_arm);
		counts = lappend(counts, counts_arm);
	}
	if (!read_arm((Node *) expr->defresult, result, value, &gives_arm, &counts_arm) ||
		result->measure == NULL)
		return false;
	result->condition = said_of_arms(conditions, gives, gives_arm);
	result->counted = said_of_arms(conditions, counts, counts_arm);
	return true;
}

/*
 * Read an expression that gives a measure, and what it would give for a value of the
 * measure, with the measure for that value.
 */
static bool
read_value(Node *node, CarrierArgument *result, Node **value)
{
	Node	   *inner = kpi_strip_coercions(node);
	bool		is_zero;

	check_stack_depth();
	if (inner == NULL)
		return false;
	if (IsA(inner, Var))
	{
		result->measure = (Var *) inner;
		*value = inner;
	}
	else if (IsA(inner, CaseExpr))
	{
		if (!read_case((CaseExpr *) inner, result, value))
			return false;
	}
	else if (IsA(inner, CoalesceExpr))
	{
		List	   *args = ((CoalesceExpr *) inner)->args;

		if (list_length(args) != 2 || !is_null_or_zero(lsecond(args), &is_zero) ||
			!is_zero || !read_value(linitial(args), result, value))
			return false;
		result->gives_zero = true;
		result->counted = NULL;
	}
	else if (IsA(inner, OpExpr))
	{
		Node	   *arg = scaled_argument((OpExpr *) inner);

		if (arg == NULL || !read_value(arg, result, value))
			return false;
		*value = with_substitute(inner, arg, *value);
		result->scaled = *value;
	}
	else
		return false;
	*value = with_substitute(node, inner, *value);
	return true;
}

/*
 * Read an aggregate's argument.
 */
CarrierArgument
kpi_read_argument(Node *arg)
{
	CarrierArgument result = {0};
	CarrierArgument none = {0};

	if (!read_value(arg, &result, &result.value))
		return none;
	result.is_direct = IsA(kpi_strip_coercions(arg), Var);
	return result;
}

/*
 * The constant 0 of a type, or NULL if that has none.
 */
Node *
kpi_zero_of_type(Oid type)
{
	Const	   *zero = makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(0),
								 false, true);

	return coerce_to_target_type(NULL, (Node *) zero, INT4OID, type, -1, COERCION_EXPLICIT,
								 COERCE_EXPLICIT_CAST, -1);
}

/*
 * Compute with a value what the argument computed with the measure.
 */
Node *
kpi_scale_as(CarrierArgument *arg, Node *value)
{
	if (arg->scaled == NULL)
		return value;
	return with_substitute(arg->scaled, (Node *) arg->measure, value);
}
