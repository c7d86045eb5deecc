/*
 * distinct.c
 *		Literal rows without two that are equal.
 *
 * People join what they have typed: VALUES, arrays, SELECTs of constants under UNION
 * ALL.  No index says that such rows are distinct; here they are looked at.  For series
 * see series.c.  A source is distinct for a join if no
 * two of its rows can be equal to one value in the sense of the join's own operator
 * and collation: 1 and 1.0 are one number, 'a' and 'a ' one char(2), and what the join
 * computes from the column (upper(v.name) = ...) is computed from the constants, too.
 * NULL is equal to nothing but under IS NOT DISTINCT FROM.  Only what is constant in the
 * text of the statement is: a parameter may have any value next time.
 *
 * src/measure/distinct.c
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "measure/fanout.h"

/*
 * If "a = x and b = x" under one collation, is a = b under the other?  Where the first
 * compares bytes, nothing is finer.
 */
bool
kpi_collation_tells(Oid collation, Oid other)
{
	return collation == other || !OidIsValid(collation) || !OidIsValid(other) ||
		get_collation_isdeterministic(collation);
}

/*
 * Is a cast by text one-to-one for values of a type?  That of floating-point numbers
 * depends on a setting, that of timestamptz on the time zone's abbreviations.
 */
static bool
has_own_text(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case BOOLOID:
		case DATEOID:
		case TIMESTAMPOID:
		case UUIDOID:
			return true;
		default:
			return type_is_enum(type);
	}
}

/*
 * Is a function of one argument one-to-one?
 */
static bool
is_one_to_one_cast(Oid funcid)
{
	switch (funcid)
	{
		case F_INT4_INT2:
		case F_INT8_INT2:
		case F_INT8_INT4:
		case F_INT2_INT4:
		case F_INT2_INT8:
		case F_INT4_INT8:
		case F_NUMERIC_INT2:
		case F_NUMERIC_INT4:
		case F_NUMERIC_INT8:
		case F_FLOAT8_INT2:
		case F_FLOAT8_INT4:
		case F_FLOAT8_FLOAT4:
		case F_FLOAT4_INT2:
		case F_TEXT_BPCHAR:
		case F_TEXT_NAME:
		case F_TEXT_BOOL:
		case F_TIMESTAMP_DATE:
			return true;
		default:
			return false;
	}
}

/*
 * A constant interval without months, which are of many lengths, and of finite time.
 */
static bool
is_exact_interval(Const *con)
{
	return con->consttype == INTERVALOID &&
		DatumGetIntervalP(con->constvalue)->month == 0;
}

/*
 * Is an operation with this constant on either side one-to-one?
 */
static bool
is_one_to_one_operation(Oid funcid, Const *con)
{
	switch (funcid)
	{
		case F_INT2PL:
		case F_INT2MI:
		case F_INT4PL:
		case F_INT4MI:
		case F_INT8PL:
		case F_INT8MI:
		case F_INT24PL:
		case F_INT24MI:
		case F_INT42PL:
		case F_INT42MI:
		case F_INT28PL:
		case F_INT28MI:
		case F_INT82PL:
		case F_INT82MI:
		case F_INT48PL:
		case F_INT48MI:
		case F_INT84PL:
		case F_INT84MI:
		case F_TEXTCAT:
			return true;
		case F_INT2MUL:
		case F_INT4MUL:
		case F_INT8MUL:
		case F_INT24MUL:
		case F_INT42MUL:
		case F_INT28MUL:
		case F_INT82MUL:
		case F_INT48MUL:
		case F_INT84MUL:
			return con->constvalue != (Datum) 0;
		case F_DATE_PLI:
		case F_DATE_MII:
		case F_INTEGER_PL_DATE:
			return con->consttype != DATEOID ||
				!DATE_NOT_FINITE(DatumGetDateADT(con->constvalue));
		case F_TIMESTAMP_PL_INTERVAL:
		case F_TIMESTAMP_MI_INTERVAL:
		case F_DATE_PL_INTERVAL:
		case F_DATE_MI_INTERVAL:
			return is_exact_interval(con);
		default:
			return false;
	}
}

/*
 * The argument of which an operator with a constant is a one-to-one function, or NULL.
 */
static Node *
one_to_one_operand(OpExpr *op)
{
	for (int i = 0; i < 2 && list_length(op->args) == 2; i++)
	{
		Node	   *con = eval_const_expressions(NULL, copyObject(list_nth(op->args, i)));

		if (IsA(con, Const) && !((Const *) con)->constisnull &&
			is_one_to_one_operation(get_opcode(op->opno), (Const *) con))
			return list_nth(op->args, 1 - i);
	}
	return NULL;
}

/*
 * The argument of which an expression is a one-to-one function, as far as we know such
 * functions; or NULL.
 */
Node *
kpi_one_to_one_argument(Node *node)
{
	switch (nodeTag(node))
	{
		case T_CoerceToDomain:
			return (Node *) ((CoerceToDomain *) node)->arg;
		case T_CoerceViaIO:
			{
				CoerceViaIO *cast = (CoerceViaIO *) node;

				if ((cast->resulttype != TEXTOID && cast->resulttype != VARCHAROID) ||
					!has_own_text(exprType((Node *) cast->arg)))
					return NULL;
				return (Node *) cast->arg;
			}
		case T_FuncExpr:
			{
				FuncExpr   *func = (FuncExpr *) node;

				return list_length(func->args) == 1 && is_one_to_one_cast(func->funcid) ?
					linitial(func->args) : NULL;
			}
		case T_OpExpr:
			return one_to_one_operand((OpExpr *) node);
		default:
			return NULL;
	}
}

/*
 * The equality of a type, if this operator and collation are no coarser.
 */
static bool
take_own_equality(Oid type, Oid *opno, Oid *collation, Node *inner)
{
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_EQ_OPR);

	if (!OidIsValid(cache->eq_opr) || !equality_ops_are_compatible(*opno, cache->eq_opr) ||
		(OidIsValid(*collation) && !get_collation_isdeterministic(*collation)))
		return false;
	cache = lookup_type_cache(exprType(inner), TYPECACHE_EQ_OPR);
	*opno = cache->eq_opr;
	*collation = OidIsValid(exprCollation(inner)) ? DEFAULT_COLLATION_OID : InvalidOid;
	return OidIsValid(cache->eq_opr);
}

/*
 * Does an expression have one value only where its column, "source", has one?  By which
 * equality of the column is then in *opno and *collation.
 */
bool
kpi_is_plain_column(BoundColumn *bound, Node *source, Oid *opno, Oid *collation)
{
	Node	   *node = kpi_strip_relabel(bound->expr);

	*opno = bound->opno;
	*collation = bound->collation;
	while (node != source && !(IsA(node, Var) && equal(node, source)))
	{
		Node	   *inner = kpi_one_to_one_argument(node);

		if (inner == NULL)
			return false;
		inner = kpi_strip_relabel(inner);
		if (!IsA(node, CoerceToDomain) &&
			!take_own_equality(exprType(node), opno, collation, inner))
			return false;
		node = inner;
	}
	return true;
}

/* One expression for another, in a copy */
typedef struct Replacement
{
	Node	   *from;
	Node	   *to;
} Replacement;

/*
 * Put an expression where a column, or one node, stands.
 */
static Node *
replace_mutator(Node *node, Replacement *replacement)
{
	if (node == NULL)
		return NULL;
	if (node == replacement->from ||
		(IsA(node, Var) && equal(node, replacement->from)))
		return copyObject(replacement->to);
	return expression_tree_mutator(node, replace_mutator, replacement);
}

/*
 * Put an expression where another's column, "from", stands.
 */
Node *
kpi_put_in_place(Node *expr, Node *from, Node *to)
{
	Replacement replacement = {from, to};

	return replace_mutator(expr, &replacement);
}

/*
 * What an expression is for a constant value of its column, or NULL if that is not
 * constant.
 */
static Const *
value_for(Node *expr, Node *source, Node *value)
{
	Node	   *result = eval_const_expressions(NULL, kpi_put_in_place(expr, source, value));

	return IsA(result, Const) ? (Const *) result : NULL;
}

/* How to compare what the bound columns are in constant rows */
typedef struct RowOrder
{
	int			ncolumns;
	FmgrInfo   *compare;
	Oid		   *collations;
	bool	   *nulls_equal;
} RowOrder;

/*
 * Order two rows; 0 if they can be equal to the same values.
 */
static int
compare_rows(const void *left, const void *right, void *arg)
{
	RowOrder   *order = arg;
	Const	  **a = *(Const ***) left;
	Const	  **b = *(Const ***) right;

	for (int i = 0; i < order->ncolumns; i++)
	{
		int			result;

		if (a[i]->constisnull || b[i]->constisnull)
			result = (int) a[i]->constisnull - (int) b[i]->constisnull;
		else
			result = DatumGetInt32(FunctionCall2Coll(&order->compare[i], order->collations[i],
													 a[i]->constvalue, b[i]->constvalue));
		if (result != 0)
			return result;
	}
	return 0;
}

/*
 * Find out how the operators of the bound columns compare.
 */
static bool
find_order(List *bound, RowOrder *order)
{
	ListCell   *lc;

	order->ncolumns = list_length(bound);
	order->compare = palloc(sizeof(FmgrInfo) * order->ncolumns);
	order->collations = palloc(sizeof(Oid) * order->ncolumns);
	order->nulls_equal = palloc(sizeof(bool) * order->ncolumns);
	foreach(lc, bound)
	{
		BoundColumn *column = lfirst(lc);
		int			i = foreach_current_index(lc);
		Oid			function = InvalidOid;
		ListCell   *family;

		foreach(family, get_mergejoin_opfamilies(column->opno))
		{
			function = get_opfamily_proc(lfirst_oid(family), column->type, column->type,
										 BTORDER_PROC);
			if (OidIsValid(function))
				break;
		}
		if (!OidIsValid(function))
			return false;
		fmgr_info(function, &order->compare[i]);
		order->collations[i] = column->collation;
		order->nulls_equal[i] = column->nulls_equal;
	}
	return order->ncolumns > 0;
}

/*
 * Can a row be equal to anything?
 */
static bool
can_match(Const **row, RowOrder *order)
{
	for (int i = 0; i < order->ncolumns; i++)
		if (row[i]->constisnull && !order->nulls_equal[i])
			return false;
	return true;
}

/*
 * Are rows, each a list of Const for the bound columns, distinct?
 */
static bool
rows_are_distinct(List *rows, List *bound)
{
	RowOrder	order;
	Const	 ***sorted = palloc(sizeof(Const **) * Max(list_length(rows), 1));
	int			nrows = 0;
	ListCell   *lc;

	if (!find_order(bound, &order))
		return false;
	foreach(lc, rows)
	{
		Const	  **row = palloc(sizeof(Const *) * order.ncolumns);
		ListCell   *value;

		foreach(value, (List *) lfirst(lc))
			row[foreach_current_index(value)] = lfirst(value);
		if (can_match(row, &order))
			sorted[nrows++] = row;
	}
	qsort_arg(sorted, nrows, sizeof(Const **), compare_rows, &order);
	for (int i = 1; i < nrows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (compare_rows(&sorted[i - 1], &sorted[i], &order) == 0)
			return false;
	}
	return true;
}

/* A column of an entry and what is to stand for it */
typedef struct ColumnContext
{
	int			varno;
	List	   *values;			/* of Node *, by column; or */
	Query	   *query;			/* whose outputs they are */
	bool		failed;
} ColumnContext;

/*
 * Put values where the columns of an entry stand, in the types that are read.
 */
static Node *
put_columns(Node *node, ColumnContext *context)
{
	Node	   *value = NULL;
	Var		   *var = (Var *) node;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Var))
		return expression_tree_mutator(node, put_columns, context);
	if (var->varno != context->varno || var->varlevelsup != 0 || var->varattno <= 0)
	{
		context->failed = true;
		return node;
	}
	if (context->query != NULL)
	{
		TargetEntry *tle = get_tle_by_resno(context->query->targetList, var->varattno);

		value = tle != NULL ? (Node *) tle->expr : NULL;
	}
	else if (var->varattno <= list_length(context->values))
		value = list_nth(context->values, var->varattno - 1);
	if (value != NULL && exprType(value) != var->vartype)
		value = coerce_to_target_type(NULL, copyObject(value), exprType(value), var->vartype,
									  -1, COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
	context->failed |= value == NULL;
	return value != NULL ? copyObject(value) : node;
}

/*
 * Add the row that expressions without columns are.
 */
static bool
add_literal_row(List *exprs, List **rows)
{
	List	   *row = NIL;
	ListCell   *lc;

	foreach(lc, exprs)
	{
		Node	   *value = eval_const_expressions(NULL, copyObject(lfirst(lc)));

		if (!IsA(value, Const))
			return false;
		row = lappend(row, value);
	}
	*rows = lappend(*rows, row);
	return true;
}

/*
 * Add the rows that expressions are over the rows of VALUES.
 */
static bool
add_values_rows(RangeTblEntry *rte, int rti, List *exprs, List **rows)
{
	ListCell   *lc;

	foreach(lc, rte->values_lists)
	{
		ColumnContext context = {rti, lfirst(lc), NULL, false};
		List	   *row = (List *) put_columns((Node *) exprs, &context);

		CHECK_FOR_INTERRUPTS();
		if (context.failed || !add_literal_row(row, rows))
			return false;
	}
	return true;
}

static bool add_literal_rows(QueryLevel *level, int varno, List *exprs, List **rows);

/*
 * Add the rows that expressions over a query's FROM are, if that is literal.
 */
static bool
add_from_rows(QueryLevel *level, List *exprs, List **rows)
{
	Query	   *query = level->query;
	RangeTblRef *ref;
	RangeTblEntry *rte;
	QueryLevel	child;

	if (query->jointree->fromlist == NIL)
		return add_literal_row(exprs, rows);
	ref = linitial(query->jointree->fromlist);
	if (list_length(query->jointree->fromlist) != 1 || !IsA(ref, RangeTblRef))
		return false;
	rte = rt_fetch(ref->rtindex, query->rtable);
	if (rte->rtekind == RTE_VALUES)
		return add_values_rows(rte, ref->rtindex, exprs, rows);
	child.query = kpi_entry_query(level, rte, &child.parent);
	child.rewrite = level->rewrite;
	return child.query != NULL && add_literal_rows(&child, ref->rtindex, exprs, rows);
}

/*
 * Add the rows of the branches of a set operation.  There may be fewer: UNION takes
 * equal ones together, and INTERSECT and EXCEPT some away.
 */
static bool
add_branch_rows(QueryLevel *level, Node *node, int varno, List *exprs, List **rows)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;
	QueryLevel	child;

	check_stack_depth();

	if (IsA(node, SetOperationStmt))
		return add_branch_rows(level, operation->larg, varno, exprs, rows) &&
			(operation->op != SETOP_UNION ||
			 add_branch_rows(level, operation->rarg, varno, exprs, rows));
	child.query = kpi_entry_query(level, rt_fetch(((RangeTblRef *) node)->rtindex,
												  level->query->rtable), &child.parent);
	child.rewrite = level->rewrite;
	return child.query != NULL && add_literal_rows(&child, varno, exprs, rows);
}

/*
 * Add the rows that expressions over the output columns of a query are, which stand in
 * them as columns of "varno".  More may be added than there are, not fewer.
 */
static bool
add_literal_rows(QueryLevel *level, int varno, List *exprs, List **rows)
{
	Query	   *query = level->query;
	ColumnContext context = {varno, NIL, query, false};

	check_stack_depth();

	if (query->commandType != CMD_SELECT || query->hasTargetSRFs || query->hasWindowFuncs ||
		kpi_is_aggregated(query))
		return false;
	if (query->setOperations != NULL)
		return add_branch_rows(level, query->setOperations, varno, exprs, rows);
	exprs = (List *) put_columns((Node *) exprs, &context);
	return !context.failed && add_from_rows(level, exprs, rows);
}

/*
 * The expressions of bound columns.
 */
static List *
bound_expressions(List *bound)
{
	List	   *exprs = NIL;
	ListCell   *lc;

	foreach(lc, bound)
		exprs = lappend(exprs, ((BoundColumn *) lfirst(lc))->expr);
	return exprs;
}

/* Where literal rows stand, as entry "rti": in VALUES, or in a query */
typedef struct LiteralRows
{
	RangeTblEntry *values;		/* or NULL, and */
	QueryLevel *level;
	int			rti;
} LiteralRows;

/*
 * Add the rows' values of some expressions; false if they are not constant.
 */
static bool
add_rows_of(LiteralRows *source, List *exprs, List **rows)
{
	*rows = NIL;
	return source->values != NULL ?
		add_values_rows(source->values, source->rti, exprs, rows) :
		add_literal_rows(source->level, source->rti, exprs, rows);
}

/*
 * Are the rows distinct for the bound columns?  Those whose values are not constant do
 * not help.
 */
static bool
are_distinct(LiteralRows *source, List *bound)
{
	List	   *rows;
	List	   *usable = NIL;
	ListCell   *lc;

	foreach(lc, bound)
	{
		if (add_rows_of(source, list_make1(((BoundColumn *) lfirst(lc))->expr), &rows))
			usable = lappend(usable, lfirst(lc));
	}
	return usable != NIL && add_rows_of(source, bound_expressions(usable), &rows) &&
		rows_are_distinct(rows, usable);
}

/*
 * Are the rows of VALUES, entry "rti", constant and distinct for the bound columns?
 */
bool
kpi_values_are_distinct(RangeTblEntry *rte, int rti, List *bound)
{
	LiteralRows source = {rte, NULL, rti};

	return are_distinct(&source, bound);
}

/*
 * Are the rows of a query, entry "rti" around it, constant and distinct for the bound
 * columns?
 */
bool
kpi_literal_rows_are_distinct(QueryLevel *level, int rti, List *bound)
{
	LiteralRows source = {NULL, level, rti};

	return are_distinct(&source, bound);
}

/*
 * Are the elements of an array constant and distinct?
 */
bool
kpi_elements_are_distinct(Node *array, Node *source, BoundColumn *bound)
{
	List	   *rows = NIL;
	Oid			element = get_element_type(exprType(array));
	int16		typlen;
	bool		typbyval;
	char		typalign;
	Datum	   *values;
	bool	   *nulls;
	int			nvalues;

	array = eval_const_expressions(NULL, copyObject(array));
	if (!IsA(array, Const) || ((Const *) array)->constisnull || !OidIsValid(element))
		return IsA(array, Const);	/* no array, no rows */
	get_typlenbyvalalign(element, &typlen, &typbyval, &typalign);
	deconstruct_array(DatumGetArrayTypeP(((Const *) array)->constvalue), element,
					  typlen, typbyval, typalign, &values, &nulls, &nvalues);
	for (int i = 0; i < nvalues; i++)
	{
		Const	   *value = makeConst(element, -1, get_typcollation(element), typlen,
									  values[i], nulls[i], typbyval);

		CHECK_FOR_INTERRUPTS();
		value = value_for(bound->expr, source, (Node *) value);
		if (value == NULL)
			return false;
		rows = lappend(rows, list_make1(value));
	}
	return rows_are_distinct(rows, list_make1(bound));
}

/*
 * Is an expression one value for each of its column "source", in the sense of the
 * column's own type?
 */
bool
kpi_tells_own_values(BoundColumn *bound, Node *source)
{
	TypeCacheEntry *cache = lookup_type_cache(exprType(source), TYPECACHE_EQ_OPR);
	Oid			opno;
	Oid			collation;

	return kpi_is_plain_column(bound, source, &opno, &collation) &&
		OidIsValid(cache->eq_opr) && equality_ops_are_compatible(opno, cache->eq_opr);
}
