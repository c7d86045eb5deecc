/*
 * fanout.c
 *		Proof that a join counts no row of a metric view twice (M11).
 *
 * For one row of the entry that holds the measure, and within one output group,
 * every other entry of the join must have at most one row.  The proof grows a
 * set of entries whose row is determined: at first the measure's own entry;
 * then each entry that has a unique key all of whose columns are equated, by a
 * condition that holds for the row at hand, with expressions over determined
 * entries, constants, outer references, or with the query's grouping
 * expressions.  Unique keys are unique indexes and the grouping or DISTINCT
 * columns of a subquery; for plain subqueries and views the same proof is made
 * inside, with the equated output columns given.
 *
 * Which conditions hold: those of WHERE and of inner joins always.  The ON of an
 * outer join holds where the measure's row is on the nullable side, since a row
 * that stands there has met it; and for an entry on the nullable side, which
 * then either has met it or is the single row of nulls.
 *
 * Nothing is added to the query: a join that is proven costs nothing, and one
 * that is not is refused.
 *
 * src/measure/fanout.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planmain.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/catalog.h"
#include "errors.h"
#include "measure/measure.h"

/* "left = right" as a fact about the rows of a join */
typedef struct Equation
{
	Node	   *left;
	Node	   *right;			/* NULL: something given */
	Oid			opno;
	Oid			collation;
	bool		nulls_equal;	/* IS NOT DISTINCT FROM, GROUP BY */
	Bitmapset  *nullable;		/* of the outer join in whose ON it stands */
	Bitmapset  *preserved;		/* the other side, of a FULL JOIN only */
} Equation;

typedef struct Proof
{
	QueryLevel *level;
	int			fixed;			/* the entry whose row is given, or 0 */
	Bitmapset  *known;			/* entries whose row is determined */
	Bitmapset  *all;			/* entries of the join */
	List	   *equations;
} Proof;

static bool at_most_one_row(QueryLevel *level, int fixed, List *given,
							bool group_keys_given, int *culprit);

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
 * Take the equations from a condition.
 */
static void
add_equations(Proof *proof, Node *quals, Bitmapset *nullable, Bitmapset *preserved)
{
	ListCell   *lc;

	if (quals == NULL)
		return;
	if (IsA(quals, List))
	{
		foreach(lc, (List *) quals)
			add_equations(proof, lfirst(lc), nullable, preserved);
	}
	else if (is_andclause(quals))
	{
		foreach(lc, ((BoolExpr *) quals)->args)
			add_equations(proof, lfirst(lc), nullable, preserved);
	}
	else
	{
		OpExpr	   *op = not_distinct(quals);
		bool		nulls_equal = op != NULL;
		Equation   *equation;

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
		equation->collation = op->inputcollid;
		equation->nulls_equal = nulls_equal;
		equation->nullable = nullable;
		equation->preserved = preserved;
		proof->equations = lappend(proof->equations, equation);
	}
}

/*
 * Walk a join tree: note its entries and the conditions on it.  Returns the
 * entries below the node.
 */
static Bitmapset *
collect_join(Proof *proof, Node *node)
{
	Bitmapset  *result = NULL;
	ListCell   *lc;

	check_stack_depth();

	if (IsA(node, RangeTblRef))
		result = bms_make_singleton(((RangeTblRef *) node)->rtindex);
	else if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			result = bms_add_members(result, collect_join(proof, lfirst(lc)));
		add_equations(proof,
					  flatten_join_alias_vars(proof->level->query,
											  copyObject(((FromExpr *) node)->quals)),
					  NULL, NULL);
	}
	else
	{
		JoinExpr   *join = castNode(JoinExpr, node);
		Bitmapset  *left = collect_join(proof, join->larg);
		Bitmapset  *right = collect_join(proof, join->rarg);
		Node	   *quals = flatten_join_alias_vars(proof->level->query,
													copyObject(join->quals));

		switch (join->jointype)
		{
			case JOIN_LEFT:
				add_equations(proof, quals, right, NULL);
				break;
			case JOIN_RIGHT:
				add_equations(proof, quals, left, NULL);
				break;
			case JOIN_FULL:
				add_equations(proof, quals, right, left);
				break;
			default:
				add_equations(proof, quals, NULL, NULL);
				break;
		}
		result = bms_union(left, right);
	}
	proof->all = bms_add_members(proof->all, result);
	return result;
}

/*
 * Does an equation hold where we want to determine the row of an entry?
 */
static bool
holds_for(Proof *proof, Equation *equation, int rti)
{
	bool		fixed_inside;
	bool		rti_inside;

	if (equation->nullable == NULL)
		return true;
	fixed_inside = bms_is_member(proof->fixed, equation->nullable);
	rti_inside = bms_is_member(rti, equation->nullable);
	if (equation->preserved != NULL)
		return (fixed_inside && bms_is_member(rti, equation->preserved)) ||
			(rti_inside && bms_is_member(proof->fixed, equation->preserved));
	return fixed_inside || rti_inside;
}

/*
 * Is an expression determined by the entries that are?
 */
static bool
is_determined(Proof *proof, Node *expr)
{
	return expr == NULL ||
		(!contain_volatile_functions(expr) &&
		 bms_is_subset(pull_varnos(NULL, expr), proof->known));
}

/* A column of an entry that is equated with something determined */
typedef struct BoundColumn
{
	AttrNumber	attno;
	Oid			opno;
	Oid			collation;
	bool		nulls_equal;
} BoundColumn;

/*
 * If one side of an equation is a column of the entry and the other is
 * determined, note the column.
 */
static List *
add_bound_column(Proof *proof, Equation *equation, int rti,
				 Node *side, Node *other, List *bound)
{
	BoundColumn *column;
	Var		   *var;

	while (side != NULL && IsA(side, RelabelType))
		side = (Node *) ((RelabelType *) side)->arg;
	var = (Var *) side;
	if (var == NULL || !IsA(var, Var) || var->varlevelsup != 0 ||
		var->varno != rti || !is_determined(proof, other))
		return bound;

	column = palloc(sizeof(BoundColumn));
	column->attno = var->varattno;
	column->opno = equation->opno;
	column->collation = equation->collation;
	column->nulls_equal = equation->nulls_equal;
	return lappend(bound, column);
}

/*
 * The columns of an entry that are equated with something determined.
 */
static List *
bound_columns(Proof *proof, int rti)
{
	List	   *bound = NIL;
	ListCell   *lc;

	foreach(lc, proof->equations)
	{
		Equation   *equation = lfirst(lc);

		if (!holds_for(proof, equation, rti))
			continue;
		bound = add_bound_column(proof, equation, rti, equation->left,
								 equation->right, bound);
		if (equation->right != NULL)
			bound = add_bound_column(proof, equation, rti, equation->right,
									 equation->left, bound);
	}
	return bound;
}

/*
 * Do two collations agree on what is equal?
 */
static bool
collations_agree(Oid one, Oid other)
{
	return one == other || !OidIsValid(one) || !OidIsValid(other) ||
		(get_collation_isdeterministic(one) && get_collation_isdeterministic(other));
}

/*
 * Is a column of a unique index bound by an equality that the index knows?
 */
static bool
index_column_is_bound(Relation index, Relation rel, int i, List *bound)
{
	AttrNumber	attno = index->rd_index->indkey.values[i];
	ListCell   *lc;

	foreach(lc, bound)
	{
		BoundColumn *column = lfirst(lc);

		if (column->attno == attno &&
			get_op_opfamily_strategy(column->opno, index->rd_opfamily[i]) == BTEqualStrategyNumber &&
			collations_agree(column->collation, index->rd_indcollation[i]) &&
			(!column->nulls_equal ||
			 TupleDescAttr(RelationGetDescr(rel), attno - 1)->attnotnull))
			return true;
	}
	return false;
}

/*
 * Do the bound columns hold a unique key of a table?
 */
static bool
table_has_unique_key(RangeTblEntry *rte, List *bound)
{
	Relation	rel;
	ListCell   *lc;
	bool		result = false;

	if (rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_PARTITIONED_TABLE &&
		rte->relkind != RELKIND_MATVIEW)
		return false;

	/* an index on a parent says nothing of its inheritance children */
	rel = table_open(rte->relid, AccessShareLock);
	if (rte->inh && rte->relkind == RELKIND_RELATION && has_subclass(rte->relid))
	{
		table_close(rel, NoLock);
		return false;
	}

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;

		if (form->indisunique && form->indisvalid && form->indimmediate &&
			index->rd_rel->relam == BTREE_AM_OID &&
			heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) &&
			heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL))
		{
			int			i;

			for (i = 0; i < form->indnkeyatts; i++)
				if (!index_column_is_bound(index, rel, i, bound))
					break;
			result = i == form->indnkeyatts;
		}
		index_close(index, AccessShareLock);
		if (result)
			break;
	}
	table_close(rel, NoLock);
	return result;
}

/*
 * Does a query have at most one row, whatever it is joined with?
 */
static bool
is_single_row(Query *query)
{
	Node	   *limit = kpi_strip_coercions(query->limitCount);

	if (query->hasTargetSRFs || query->setOperations != NULL)
		return false;
	if (query->groupClause == NIL && query->groupingSets == NIL &&
		(query->hasAggs || query->havingQual != NULL))
		return true;
	if (query->jointree->fromlist == NIL)
		return true;
	return limit != NULL && IsA(limit, Const) && !((Const *) limit)->constisnull &&
		query->limitOption == LIMIT_OPTION_COUNT &&
		((((Const *) limit)->consttype == INT4OID && DatumGetInt32(((Const *) limit)->constvalue) == 1) ||
		 (((Const *) limit)->consttype == INT8OID && DatumGetInt64(((Const *) limit)->constvalue) == 1));
}

/*
 * Do the bound output columns of a query determine its row?
 */
static bool
query_has_unique_key(QueryLevel *level, List *bound)
{
	Query	   *query = level->query;
	List	   *colnos = NIL;
	List	   *opids = NIL;
	List	   *given = NIL;
	ListCell   *lc;
	int			culprit;

	if (query->commandType != CMD_SELECT)
		return false;
	if (is_single_row(query))
		return true;

	foreach(lc, bound)
	{
		BoundColumn *column = lfirst(lc);
		TargetEntry *tle = get_tle_by_resno(query->targetList, column->attno);
		Equation   *equation;

		if (tle == NULL || !collations_agree(column->collation,
											 exprCollation((Node *) tle->expr)))
			continue;
		colnos = lappend_int(colnos, column->attno);
		opids = lappend_oid(opids, column->opno);

		equation = palloc0(sizeof(Equation));
		equation->left = flatten_join_alias_vars(query, copyObject((Node *) tle->expr));
		equation->opno = column->opno;
		equation->collation = column->collation;
		equation->nulls_equal = column->nulls_equal;
		given = lappend(given, equation);
	}

	if (query_supports_distinctness(query))
		return query_is_distinct_for(query, colnos, opids);
	if (query->hasTargetSRFs || query->setOperations != NULL)
		return false;
	return at_most_one_row(level, 0, given, false, &culprit);
}

/*
 * Does a function in FROM return at most one row for the bound columns?
 */
static bool
function_has_unique_key(RangeTblEntry *rte, List *bound)
{
	FuncExpr   *func;

	if (list_length(rte->functions) != 1)
		return false;
	func = (FuncExpr *) linitial_node(RangeTblFunction, rte->functions)->funcexpr;
	if (!expression_returns_set((Node *) func))
		return true;

	/* a series of integers has no value twice */
	if (!IsA(func, FuncExpr) || bound == NIL)
		return false;
	switch (func->funcid)
	{
		case F_GENERATE_SERIES_INT4_INT4:
		case F_GENERATE_SERIES_INT4_INT4_INT4:
		case F_GENERATE_SERIES_INT8_INT8:
		case F_GENERATE_SERIES_INT8_INT8_INT8:
			return ((BoundColumn *) linitial(bound))->attno == 1;
		default:
			return false;
	}
}

/*
 * The entries beside it that a LATERAL entry refers to.
 */
static Bitmapset *
lateral_references(RangeTblEntry *rte)
{
	switch (rte->rtekind)
	{
		case RTE_SUBQUERY:
			return pull_varnos_of_level(NULL, (Node *) rte->subquery, 1);
		case RTE_FUNCTION:
			return pull_varnos(NULL, (Node *) rte->functions);
		case RTE_TABLEFUNC:
			return pull_varnos(NULL, (Node *) rte->tablefunc);
		case RTE_VALUES:
			return pull_varnos(NULL, (Node *) rte->values_lists);
		default:
			return NULL;
	}
}

/*
 * The entries that an entry of a join stands for.
 */
static Bitmapset *
join_members(Query *query, Bitmapset *entries)
{
	Bitmapset  *result = NULL;
	int			rti = -1;

	while ((rti = bms_next_member(entries, rti)) >= 0)
	{
		RangeTblEntry *rte = rt_fetch(rti, query->rtable);

		if (rte->rtekind == RTE_JOIN)
			result = bms_join(result,
							  join_members(query, pull_varnos(NULL, (Node *) rte->joinaliasvars)));
		else
			result = bms_add_member(result, rti);
	}
	return result;
}

/*
 * Is the row of an entry determined by what is determined so far?
 */
static bool
entry_is_determined(Proof *proof, int rti)
{
	RangeTblEntry *rte = rt_fetch(rti, proof->level->query->rtable);
	List	   *bound;
	QueryLevel	child;

	/* what it is computed from must be determined first */
	if (!bms_is_subset(join_members(proof->level->query, lateral_references(rte)),
					   proof->known))
		return false;
	bound = bound_columns(proof, rti);
	child.rewrite = proof->level->rewrite;

	switch (rte->rtekind)
	{
		case RTE_RELATION:
			return table_has_unique_key(rte, bound);
		case RTE_SUBQUERY:
		case RTE_CTE:
			child.query = kpi_entry_query(proof->level, rte, &child.parent);
			return child.query != NULL && query_has_unique_key(&child, bound);
		case RTE_FUNCTION:
			return function_has_unique_key(rte, bound);
		case RTE_VALUES:
			return list_length(rte->values_lists) == 1;
		case RTE_RESULT:
			return true;
		default:
			return false;
	}
}

/*
 * Does a query's FROM have at most one row, for one row of the fixed entry, the
 * given equations and, if asked, the values of the grouping expressions?  If
 * that is not proven, *culprit is an entry that stands in the way.
 */
static bool
at_most_one_row(QueryLevel *level, int fixed, List *given,
				bool group_keys_given, int *culprit)
{
	Query	   *query = level->query;
	Proof		proof = {0};
	ListCell   *lc;
	bool		progress;
	Bitmapset  *open;

	check_stack_depth();

	proof.level = level;
	proof.fixed = fixed;
	proof.known = fixed > 0 ? bms_make_singleton(fixed) : NULL;
	proof.equations = given;
	(void) collect_join(&proof, (Node *) query->jointree);

	if (group_keys_given && query->groupingSets == NIL)
	{
		foreach(lc, query->groupClause)
		{
			SortGroupClause *clause = lfirst_node(SortGroupClause, lc);
			Node	   *expr = get_sortgroupclause_expr(clause, query->targetList);
			Equation   *equation = palloc0(sizeof(Equation));

			equation->left = flatten_join_alias_vars(query, copyObject(expr));
			equation->opno = clause->eqop;
			equation->collation = exprCollation(expr);
			equation->nulls_equal = true;
			proof.equations = lappend(proof.equations, equation);
		}
	}

	do
	{
		int			rti = -1;

		progress = false;
		open = bms_difference(proof.all, proof.known);
		while ((rti = bms_next_member(open, rti)) >= 0)
		{
			if (entry_is_determined(&proof, rti))
			{
				proof.known = bms_add_member(proof.known, rti);
				progress = true;
			}
		}
	} while (progress);

	open = bms_difference(proof.all, proof.known);
	*culprit = bms_next_member(open, -1);
	return *culprit < 0;
}

/*
 * Raise an error unless every join on a measure's path is proven to count each
 * row of the metric view at most once in each output group.
 */
void
kpi_check_fan_out(Origin *origin)
{
	for (PathStep *step = origin->path; step != NULL; step = step->next)
	{
		int			culprit;
		RangeTblEntry *rte;

		if (at_most_one_row(step->level, step->varno, NIL,
							step == origin->path, &culprit))
			continue;

		rte = rt_fetch(culprit, step->level->query->rtable);
		ereport(ERROR,
				(errcode(ERRCODE_KPI_FAN_OUT),
				 errmsg("join with \"%s\" may count rows of measure \"%s\" more than once",
						rte->eref->aliasname, origin->name),
				 errdetail("The join is not on a unique key of \"%s\".", rte->eref->aliasname),
				 errhint("Join on a unique key, use EXISTS or IN, or aggregate the measure in a subquery before joining.")));
	}
}
