/*
 * unique.c
 *		Does a source of rows have at most one for what is known of its columns (M11)?
 *
 * Unique keys are unique indexes, and of a subquery the columns of DISTINCT, GROUP BY
 * and set operations, row_number() with the columns that it counts in, and what its
 * select list makes several rows of; literal rows and series are in distinct.c.  Of a
 * plain subquery or view what is known is passed on to its own join.
 *
 * src/measure/unique.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planmain.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "catalog/catalog.h"
#include "measure/fanout.h"

/* Search of an expression for the column of an entry that it is computed from */
typedef struct ColumnSearch
{
	int			varno;
	Var		   *found;
	bool		other;			/* is there anything else? */
} ColumnSearch;

/*
 * Walker: find the one column.
 */
static bool
column_walker(Node *node, ColumnSearch *search)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varlevelsup != 0 || var->varno != search->varno || var->varattno <= 0 ||
			(search->found != NULL && search->found->varattno != var->varattno))
			search->other = true;
		else
			search->found = var;
	}
	else if (IsA(node, Aggref) || IsA(node, WindowFunc) || IsA(node, GroupingFunc) ||
			 IsA(node, SubLink))
		search->other = true;
	return search->other || expression_tree_walker(node, column_walker, search);
}

/*
 * The column of an entry that an expression is computed from, if it is nothing else.
 */
Var *
kpi_only_column(Node *expr, int rti)
{
	ColumnSearch search = {rti, NULL, false};

	(void) column_walker(expr, &search);
	return search.other ? NULL : search.found;
}

/*
 * Is a column of an entry itself bound, perhaps by a one-to-one function of it?
 */
bool
kpi_is_column(BoundColumn *bound, Oid *opno, Oid *collation)
{
	int			varno = bms_singleton_member(pull_varnos(NULL, bound->expr));

	return kpi_is_plain_column(bound, (Node *) kpi_only_column(bound->expr, varno), opno, collation);
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
		Oid			opno;
		Oid			collation;

		if (column->attno == attno &&
			kpi_is_column(column, &opno, &collation) &&
			get_op_opfamily_strategy(opno, index->rd_opfamily[i]) == BTEqualStrategyNumber &&
			kpi_collation_tells(collation, index->rd_indcollation[i]) &&
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
 * What is bound of the output columns of a query, entry "rti" of the level above, as
 * facts about its own rows.
 */
List *
kpi_bound_facts(Query *query, int rti, List *bound)
{
	List	   *facts = NIL;
	ListCell   *lc;

	foreach(lc, bound)
	{
		BoundColumn *column = lfirst(lc);
		TargetEntry *tle = get_tle_by_resno(query->targetList, column->attno);
		Var		   *var = kpi_only_column(column->expr, rti);
		Equation   *equation;

		if (tle == NULL || var == NULL || exprType((Node *) tle->expr) != var->vartype)
			continue;
		equation = palloc0(sizeof(Equation));
		equation->left = flatten_join_alias_vars(query,
												 kpi_put_in_place(column->expr, (Node *) var,
																  (Node *) tle->expr));
		equation->opno = column->opno;
		equation->left_type = column->type;
		equation->collation = column->collation;
		equation->nulls_equal = column->nulls_equal;
		facts = lappend(facts, equation);
	}
	return facts;
}

/*
 * Are the rows of a query distinct by DISTINCT, GROUP BY or a set operation on the
 * bound columns?  Constants among the columns tell nothing.
 */
static bool
is_distinct_by_clause(Query *query, List *bound)
{
	List	   *colnos = NIL;
	List	   *opids = NIL;
	ListCell   *lc;

	if (!query_supports_distinctness(query))
		return false;
	foreach(lc, bound)
	{
		BoundColumn *column = lfirst(lc);
		TargetEntry *tle = get_tle_by_resno(query->targetList, column->attno);
		Oid			opno;
		Oid			collation;

		if (tle == NULL || !kpi_is_column(column, &opno, &collation) ||
			!kpi_collation_tells(collation, exprCollation((Node *) tle->expr)))
			continue;
		colnos = lappend_int(colnos, column->attno);
		opids = lappend_oid(opids, opno);
	}
	foreach(lc, list_concat(list_copy(query->distinctClause), query->groupClause))
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, lc);
		TargetEntry *tle = get_sortgroupclause_tle(clause, query->targetList);

		if (query->setOperations == NULL && IsA(kpi_strip_relabel((Node *) tle->expr), Const))
		{
			colnos = lappend_int(colnos, tle->resno);
			opids = lappend_oid(opids, clause->eqop);
		}
	}
	return query_is_distinct_for(query, colnos, opids);
}

/*
 * Does an equation bind what row_number() gives, perhaps in another type of numbers?
 */
static WindowFunc *
bound_row_number(Equation *fact)
{
	WindowFunc *func = (WindowFunc *) kpi_strip_coercions(fact->left);
	Oid			type = exprType(fact->left);

	if (!IsA(func, WindowFunc) || func->winfnoid != F_ROW_NUMBER ||
		(type != INT8OID && type != INT4OID && type != NUMERICOID) ||
		!equality_ops_are_compatible(fact->opno, lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr))
		return NULL;
	return func;
}

/*
 * Are the rows of a query distinct by row_number(), which is bound together with the
 * columns that it counts in?
 */
static bool
is_distinct_by_number(Query *query, List *facts)
{
	ListCell   *lc;

	foreach(lc, facts)
	{
		WindowFunc *func = bound_row_number(lfirst(lc));
		ListCell   *key;

		if (func == NULL)
			continue;
		foreach(key, list_nth_node(WindowClause, query->windowClause,
								   func->winref - 1)->partitionClause)
		{
			SortGroupClause *clause = lfirst_node(SortGroupClause, key);
			Node	   *expr = get_sortgroupclause_expr(clause, query->targetList);

			if (!IsA(expr, Const) &&
				!kpi_is_given(facts, flatten_join_alias_vars(query, copyObject(expr)),
							  clause->eqop, exprCollation(expr)))
				break;
		}
		if (key == NULL)
			return true;
	}
	return false;
}

/*
 * Walker: find a call that returns a set.
 */
static bool
find_set_walker(Node *node, FuncExpr **found)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcretset)
	{
		*found = (FuncExpr *) node;
		return true;
	}
	return expression_tree_walker(node, find_set_walker, found);
}

/*
 * Are the rows of a query, whose select list makes several of one, distinct by what it
 * makes?  Of several such calls, the shorter ones are filled up with NULLs.
 */
static bool
is_distinct_by_set(QueryLevel *level, int rti, List *bound, List *facts)
{
	Query	   *query = level->query;
	ListCell   *lc;
	int			ncalls = 0;

	if (!query->hasTargetSRFs || query->setOperations != NULL)
		return false;
	foreach(lc, query->targetList)
		ncalls += expression_returns_set((Node *) lfirst_node(TargetEntry, lc)->expr);
	if (!(query->hasAggs && query->groupClause == NIL) && !kpi_at_most_one_row(level, facts))
		return false;
	foreach(lc, bound)
	{
		BoundColumn made = *(BoundColumn *) lfirst(lc);
		TargetEntry *tle = get_tle_by_resno(query->targetList, made.attno);
		FuncExpr   *call = NULL;

		if (tle == NULL || (made.nulls_equal && ncalls > 1))
			continue;
		made.expr = kpi_put_in_place(made.expr, (Node *) kpi_only_column(made.expr, rti),
									 (Node *) tle->expr);
		if (find_set_walker(made.expr, &call) && !expression_returns_set((Node *) call->args) &&
			kpi_call_is_distinct(call, (Node *) call, &made))
			return true;
	}
	return false;
}

/*
 * Walker: does a select list make a series of timestamps?  It does so one at a time,
 * and may never come to an end: '-infinity' stays where it is.
 */
static bool
has_lazy_series_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, TargetEntry))
	{
		FuncExpr   *call;

		return find_set_walker((Node *) node, &call) &&
			(call->funcid == F_GENERATE_SERIES_TIMESTAMP_TIMESTAMP_INTERVAL ||
			 call->funcid == F_GENERATE_SERIES_TIMESTAMPTZ_TIMESTAMPTZ_INTERVAL);
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_lazy_series_walker, context, 0);
	return expression_tree_walker(node, has_lazy_series_walker, context);
}

/*
 * Do the bound output columns of a query, entry "rti" of the level above, determine its
 * row?
 */
static bool
query_has_unique_key(QueryLevel *level, int rti, List *bound)
{
	Query	   *query = level->query;
	List	   *facts;

	if (query->commandType != CMD_SELECT)
		return false;
	if (is_single_row(query) || is_distinct_by_clause(query, bound))
		return true;
	if (kpi_limits_effect(level->rewrite, query) != LIMIT_NONE &&
		has_lazy_series_walker((Node *) query, NULL))
		return false;
	if (query->setOperations != NULL)
		return kpi_literal_rows_are_distinct(level, rti, bound);

	/* groups of at most one row are at most one, but for those of more sets */
	if (query->groupingSets != NIL)
		return false;
	facts = kpi_bound_facts(query, rti, bound);
	if (query->hasTargetSRFs)
		return is_distinct_by_set(level, rti, bound, facts);
	return is_distinct_by_number(query, facts) || kpi_at_most_one_row(level, facts);
}

/*
 * Are the rows of a function in FROM distinct for a bound column?  Of several in one
 * entry, the shorter ones are filled up with NULLs; WITH ORDINALITY numbers the rows.
 */
static bool
function_column_is_key(RangeTblEntry *rte, BoundColumn *bound)
{
	AttrNumber	first = 1;
	Node	   *source = (Node *) kpi_only_column(bound->expr,
												  bms_singleton_member(pull_varnos(NULL, bound->expr)));
	ListCell   *lc;

	if (bound->nulls_equal && list_length(rte->functions) > 1)
		return false;
	foreach(lc, rte->functions)
	{
		RangeTblFunction *function = lfirst_node(RangeTblFunction, lc);
		FuncExpr   *call = (FuncExpr *) function->funcexpr;

		if (bound->attno == first && function->funccolcount == 1)
			return IsA(call, FuncExpr) && kpi_call_is_distinct(call, source, bound);
		first += function->funccolcount;
	}
	return rte->funcordinality && bound->attno == first &&
		kpi_tells_own_values(bound, source);
}

/*
 * Does a function in FROM return at most one row for the bound columns?
 */
static bool
function_has_unique_key(RangeTblEntry *rte, List *bound)
{
	ListCell   *lc;

	if (!expression_returns_set((Node *) rte->functions))
		return true;
	foreach(lc, bound)
	{
		if (function_column_is_key(rte, lfirst(lc)))
			return true;
	}
	return false;
}

/*
 * Is the row of an entry determined by what is bound of it?
 */
bool
kpi_bound_is_key(QueryLevel *level, int rti, List *bound)
{
	RangeTblEntry *rte = rt_fetch(rti, level->query->rtable);
	QueryLevel	child;

	child.rewrite = level->rewrite;
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			return table_has_unique_key(rte, bound);
		case RTE_SUBQUERY:
		case RTE_CTE:
			child.query = kpi_entry_query(level, rte, &child.parent);
			return child.query != NULL && query_has_unique_key(&child, rti, bound);
		case RTE_FUNCTION:
			return function_has_unique_key(rte, bound);
		case RTE_VALUES:
			return list_length(rte->values_lists) == 1 ||
				kpi_values_are_distinct(rte, rti, bound);
		case RTE_RESULT:
			return true;
		default:
			return false;
	}
}
