/*
 * join_facts.c
 *		What FROM and WHERE say of the rows of a query, and GROUP BY of those of a group.
 *
 * The facts are equations between expressions and columns that are NULL, each with
 * the entries that must have a row for it to hold: the condition of an outer join says
 * nothing of the rows that this fills with nulls, nor do conditions further inside.
 * See fanout.c for their use.
 *
 * src/measure/join_facts.c
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "measure/fanout.h"

/*
 * An expression without what only names its type anew.
 */
Node *
kpi_strip_relabel(Node *node)
{
	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/*
 * The two sides of "a IS NOT DISTINCT FROM b", written so or as
 * "a = b OR (a IS NULL AND b IS NULL)"; NULL for anything else.
 */
static OpExpr *
not_distinct(Node *node)
{
	BoolExpr   *expr = (BoolExpr *) node;
	OpExpr	   *equal_op;
	List	   *tests;
	ListCell   *lc;

	if (!IsA(node, BoolExpr))
		return NULL;
	if (expr->boolop == NOT_EXPR && IsA(linitial(expr->args), DistinctExpr))
		return (OpExpr *) linitial(expr->args);

	if (expr->boolop != OR_EXPR || list_length(expr->args) != 2 ||
		!IsA(linitial(expr->args), OpExpr) ||
		!is_andclause(lsecond(expr->args)))
		return NULL;
	equal_op = linitial(expr->args);
	tests = ((BoolExpr *) lsecond(expr->args))->args;
	if (list_length(equal_op->args) != 2 || list_length(tests) != 2)
		return NULL;
	foreach(lc, tests)
	{
		NullTest   *test = lfirst(lc);

		if (!IsA(test, NullTest) || test->nulltesttype != IS_NULL ||
			!equal(test->arg, list_nth(equal_op->args, foreach_current_index(lc))))
			return NULL;
	}
	return equal_op;
}

/*
 * Is an operator an equality, as indexes and grouping know it?
 */
static bool
is_equality(Oid opno, Oid left_type)
{
	return op_mergejoinable(opno, left_type) || op_hashjoinable(opno, left_type);
}

/*
 * A column that is NULL has one value.
 */
static void
add_null_equation(JoinFacts *facts, NullFact *fact)
{
	Var		   *var = fact->var;
	TypeCacheEntry *cache = lookup_type_cache(var->vartype, TYPECACHE_EQ_OPR);
	Equation   *equation;

	if (var->varattno <= 0 || !OidIsValid(cache->eq_opr))
		return;
	equation = palloc0(sizeof(Equation));
	equation->left = (Node *) var;
	equation->right = (Node *) makeNullConst(var->vartype, -1, var->varcollid);
	equation->opno = cache->eq_opr;
	op_input_types(cache->eq_opr, &equation->left_type, &equation->right_type);
	equation->collation = var->varcollid;
	equation->nulls_equal = true;
	equation->nullable = fact->nullable;
	facts->equations = lappend(facts->equations, equation);
}

/*
 * Take "column IS NULL" from a condition, if that is what it is.
 */
static bool
add_null_fact(JoinFacts *facts, Node *qual, Bitmapset *nullable)
{
	NullTestType wanted = IS_NULL;
	NullTest   *test = (NullTest *) qual;
	NullFact   *fact;
	Node	   *arg;

	if (is_notclause(qual))
	{
		test = (NullTest *) get_notclausearg((Expr *) qual);
		wanted = IS_NOT_NULL;
	}
	if (!IsA(test, NullTest) || test->nulltesttype != wanted)
		return false;
	arg = kpi_strip_relabel((Node *) test->arg);

	/*
	 * NOT (row IS NOT NULL) is true of a row with one null, and a value of a
	 * composite type may be there and all null
	 */
	if (!IsA(arg, Var) ||
		(test->argisrow && (wanted == IS_NOT_NULL || ((Var *) arg)->varattno != 0)))
		return false;
	fact = palloc(sizeof(NullFact));
	fact->var = (Var *) arg;
	fact->nullable = nullable;
	facts->nulls = lappend(facts->nulls, fact);
	add_null_equation(facts, fact);
	return true;
}

/*
 * Take the facts from a condition.
 */
static void
add_facts(JoinFacts *facts, Node *quals, Bitmapset *nullable, Bitmapset *preserved)
{
	ListCell   *lc;
	OpExpr	   *op;
	bool		nulls_equal;
	Equation   *equation;

	if (quals == NULL)
		return;
	if (IsA(quals, List) || is_andclause(quals))
	{
		foreach(lc, IsA(quals, List) ? (List *) quals : ((BoolExpr *) quals)->args)
			add_facts(facts, lfirst(lc), nullable, preserved);
		return;
	}
	if (preserved == NULL && add_null_fact(facts, quals, nullable))
		return;

	op = not_distinct(quals);
	nulls_equal = op != NULL;
	if (op == NULL && IsA(quals, OpExpr))
		op = (OpExpr *) quals;
	if (op == NULL || list_length(op->args) != 2 ||
		!is_equality(op->opno, exprType(linitial(op->args))) ||
		contain_volatile_functions(quals))
		return;
	equation = palloc0(sizeof(Equation));
	equation->left = linitial(op->args);
	equation->right = lsecond(op->args);
	equation->opno = op->opno;
	op_input_types(op->opno, &equation->left_type, &equation->right_type);
	equation->collation = op->inputcollid;
	equation->nulls_equal = nulls_equal;
	equation->nullable = nullable;
	equation->preserved = preserved;
	facts->equations = lappend(facts->equations, equation);
}

/*
 * Note an outer join that may fill one of its sides with nulls.
 */
static void
add_outer_join(JoinFacts *facts, Bitmapset *nullable, Bitmapset *preserved, Node *quals)
{
	OuterJoin  *join = palloc(sizeof(OuterJoin));

	join->nullable = nullable;
	join->preserved = preserved;
	join->quals = quals;
	facts->outer_joins = lappend(facts->outer_joins, join);
}

/*
 * Walk a join tree below "nullable", the innermost side of an outer join around it,
 * and take its facts.
 */
static void
walk_join(Query *query, Node *node, Bitmapset *nullable, JoinFacts *facts)
{
	ListCell   *lc;
	JoinExpr   *join;
	Bitmapset  *left;
	Bitmapset  *right;
	bool		fills_left;
	bool		fills_right;
	Node	   *quals;

	check_stack_depth();

	if (IsA(node, RangeTblRef))
	{
		facts->entries = bms_add_member(facts->entries, ((RangeTblRef *) node)->rtindex);
		return;
	}
	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			walk_join(query, lfirst(lc), nullable, facts);
		add_facts(facts, flatten_join_alias_vars(query, copyObject(((FromExpr *) node)->quals)),
				  nullable, NULL);
		return;
	}

	join = castNode(JoinExpr, node);
	left = get_relids_in_jointree(join->larg, false);
	right = get_relids_in_jointree(join->rarg, false);
	fills_left = join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL;
	fills_right = join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL;
	walk_join(query, join->larg, fills_left ? left : nullable, facts);
	walk_join(query, join->rarg, fills_right ? right : nullable, facts);
	quals = flatten_join_alias_vars(query, copyObject(join->quals));
	if (fills_left)
		add_outer_join(facts, left, right, quals);
	if (fills_right)
		add_outer_join(facts, right, left, quals);
	add_facts(facts, quals, fills_right ? right : fills_left ? left : nullable,
			  fills_left && fills_right ? left : NULL);
}

/*
 * The facts that hold of the rows of a query's FROM and WHERE.
 */
void
kpi_join_facts(Query *query, JoinFacts *facts)
{
	walk_join(query, (Node *) query->jointree, NULL, facts);
}

/*
 * The keys that stand in all grouping sets of a set's content: ROLLUP, CUBE and () have
 * one without keys.
 */
static List *
keys_of_all_sets(GroupingSet *set)
{
	List	   *keys = NIL;
	ListCell   *lc;

	if (set->kind == GROUPING_SET_SIMPLE)
		return list_copy(set->content);
	if (set->kind != GROUPING_SET_SETS)
		return NIL;
	foreach(lc, set->content)
	{
		List	   *inner = keys_of_all_sets(lfirst_node(GroupingSet, lc));

		keys = foreach_current_index(lc) == 0 ? inner : list_intersection_int(keys, inner);
	}
	return keys;
}

/*
 * The facts that hold of the rows of an output group: each key that all grouping sets
 * have has one value.
 */
List *
kpi_group_key_facts(Query *query)
{
	List	   *keys = NIL;
	List	   *facts = NIL;
	ListCell   *lc;

	foreach(lc, query->groupingSets)
		keys = list_concat(keys, keys_of_all_sets(lfirst_node(GroupingSet, lc)));
	foreach(lc, query->groupClause)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, lc);
		Node	   *expr = get_sortgroupclause_expr(clause, query->targetList);
		Equation   *equation;

		if (query->groupingSets != NIL &&
			!list_member_int(keys, clause->tleSortGroupRef))
			continue;
		equation = palloc0(sizeof(Equation));
		equation->left = flatten_join_alias_vars(query, copyObject(expr));
		equation->opno = clause->eqop;
		op_input_types(clause->eqop, &equation->left_type, &equation->right_type);
		equation->collation = exprCollation(expr);
		equation->nulls_equal = true;
		facts = lappend(facts, equation);
	}
	return facts;
}

/*
 * Is an expression one of which the facts say that it has one value, as an operator and
 * a collation compare?
 */
bool
kpi_is_given(List *equations, Node *expr, Oid opno, Oid collation)
{
	ListCell   *lc;

	foreach(lc, equations)
	{
		Equation   *equation = lfirst(lc);

		if (equation->right == NULL &&
			equal(kpi_strip_relabel(equation->left), kpi_strip_relabel(expr)) &&
			equality_ops_are_compatible(equation->opno, opno) &&
			kpi_collation_tells(equation->collation, collation))
			return true;
	}
	return false;
}
