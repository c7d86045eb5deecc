/*
 * rows.c
 *		Lineage of rows: what a query does to its rows as a whole.
 *
 * FROM gives the rows; conditions, groups, set operations and order are said of
 * the target's rows, once, whichever columns it has.
 *
 * src/lineage/rows.c
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "lineage/derive.h"

/*
 * The rows that an entry of FROM gives to count(*).
 */
static void
follow_counted_entry(Place *place, RangeTblEntry *rte)
{
	Query	   *query = rte->subquery;
	Level	   *definer = place->level;
	Place		inside;
	ListCell   *lc;

	switch (rte->rtekind)
	{
		case RTE_RELATION:
			kpi_flows_from_relation(place, rte->relid, 0);
			break;
		case RTE_CTE:
			query = kpi_find_cte(place->level, rte, &definer);
			/* FALLTHROUGH */
		case RTE_SUBQUERY:
			inside = kpi_place_in_query(place, query, definer);
			if (kpi_follow_once(&inside, query, THE_COUNTED_ROWS))
				kpi_follow_counted_rows(&inside);
			break;
		case RTE_FUNCTION:
			foreach(lc, rte->functions)
			{
				FuncExpr   *call = (FuncExpr *) lfirst_node(RangeTblFunction, lc)->funcexpr;

				if (IsA(call, FuncExpr) && kpi_may_read_tables(call->funcid))
					kpi_flows_from(place, ProcedureRelationId, call->funcid, 0);
			}
			break;
		default:
			break;
	}
}

/*
 * The right side of EXCEPT and INTERSECT takes rows away.
 */
bool
kpi_takes_away(SetOperationStmt *operation, Node *arm)
{
	return operation->op != SETOP_UNION && arm == operation->rarg;
}

/*
 * The rows that a set operation gives to count(*).
 */
static void
follow_counted_arms(Place *place, Node *arm)
{
	check_stack_depth();
	if (IsA(arm, SetOperationStmt))
	{
		SetOperationStmt *operation = (SetOperationStmt *) arm;

		follow_counted_arms(place, operation->larg);
		if (!kpi_takes_away(operation, operation->rarg))
			follow_counted_arms(place, operation->rarg);
	}
	else
		follow_counted_entry(place, rt_fetch(castNode(RangeTblRef, arm)->rtindex,
											 place->level->query->rtable));
}

/*
 * The rows that count(*) counts at a level.
 */
void
kpi_follow_counted_rows(Place *place)
{
	ListCell   *lc;

	if (place->level->query->setOperations != NULL)
	{
		follow_counted_arms(place, place->level->query->setOperations);
		return;
	}
	foreach(lc, place->level->query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->inFromCl)
			follow_counted_entry(place, rte);
	}
}

/*
 * The expressions that a sort or group clause of a query means.
 */
void
kpi_follow_clause(Place *place, List *clause, LineageKind kind)
{
	Place		here = kpi_place_for_purpose(place, kind);
	ListCell   *lc;

	foreach(lc, clause)
	{
		TargetEntry *tle = get_sortgroupclause_tle(lfirst_node(SortGroupClause, lc),
												   place->level->query->targetList);

		if (place->target_column == 0)
			here.text = kpi_place_text(place->level, (Node *) tle->expr);
		(void) kpi_find_sources((Node *) tle->expr, &here);
		kpi_add_sort(lfirst(lc), (Node *) tle->expr, &here);
	}
}

/*
 * What compares the rows of a set operation.
 */
static void
add_set_comparison(Place *place, SetOperationStmt *operation)
{
	ListCell   *clause;
	ListCell   *type;

	forboth(clause, operation->groupClauses, type, operation->colTypes)
	{
		kpi_add_operator(lfirst_node(SortGroupClause, clause)->eqop, place);
		kpi_add_operator(lfirst_node(SortGroupClause, clause)->sortop, place);
		kpi_add_type(lfirst_oid(type), TYPE_COMPARE, place);
	}
}

/*
 * What set operations do to the rows of their arms.
 */
static void
follow_set_rows(Place *place, Node *node, LineageKind rows_kind)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;
	Node	   *arms[2];

	check_stack_depth();
	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex,
									  place->level->query->rtable);
		Place		inside = kpi_place_in_query(place, rte->subquery, place->level);

		kpi_follow_rows(&inside, rows_kind);
		return;
	}
	arms[0] = operation->larg;
	arms[1] = operation->rarg;
	for (int i = 0; i < 2; i++)
	{
		Place		here = *place;

		if (kpi_takes_away(operation, arms[i]))
			here = kpi_place_for_purpose(place, LINEAGE_FILTER);
		follow_set_rows(&here, arms[i], here.strict ? here.kind : rows_kind);

		/* rows are compared in all their columns */
		if (!operation->all || operation->op != SETOP_UNION)
		{
			here = kpi_place_for_purpose(place, operation->op == SETOP_UNION ?
										 LINEAGE_GROUP : LINEAGE_FILTER);
			for (int column = 1; column <= list_length(operation->colTypes); column++)
				kpi_follow_set_column(&here, arms[i], column);
			add_set_comparison(&here, operation);
		}
	}
}

/*
 * The rows of one entry in FROM.
 */
static void
follow_entry_rows(Place *place, RangeTblEntry *rte, LineageKind rows_kind)
{
	Place		here = *place;
	Place		inside;
	Level	   *definer;
	Query	   *query;

	here.text = NULL;
	if (!here.strict)
		here.kind = rows_kind;
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			kpi_flows_from_relation(&here, rte->relid, 0);
			if (rte->tablesample != NULL)
			{
				inside = kpi_place_for_purpose(place, LINEAGE_FILTER);
				(void) kpi_find_sources((Node *) rte->tablesample->args, &inside);
				(void) kpi_find_sources((Node *) rte->tablesample->repeatable, &inside);
				(void) kpi_add_function(rte->tablesample->tsmhandler, &inside);
			}
			break;
		case RTE_SUBQUERY:
			inside = kpi_place_in_query(place, rte->subquery, place->level);
			kpi_follow_rows(&inside, rows_kind);
			break;
		case RTE_CTE:
			query = kpi_find_cte(place->level, rte, &definer);
			inside = kpi_place_in_query(place, query, definer);
			kpi_follow_rows(&inside, rows_kind);
			break;
		case RTE_FUNCTION:
			inside = kpi_place_for_purpose(place, rows_kind == LINEAGE_JOIN ?
										   LINEAGE_JOIN : LINEAGE_FILTER);
			kpi_follow_function_column(&here, &inside, rte, 0);
			break;
		case RTE_TABLEFUNC:
			here = kpi_place_for_purpose(&here, LINEAGE_JOIN);
			kpi_follow_table_function(&here, rte->tablefunc, 0);
			break;
		default:
			break;
	}
}

/*
 * Does a condition of FROM compare its entries with each other, or with those of
 * the query around it?
 */
static bool
compares_entries(Level *level, Node *condition)
{
	if (bms_num_members(pull_varnos(NULL, condition)) > 1)
		return true;
	for (int up = 1; level->parent != NULL; up++, level = level->parent)
	{
		if (contain_vars_of_level(condition, up))
			return true;
	}
	return false;
}

/*
 * The conjuncts of a condition, each for a purpose of its own: what filters joins
 * if it compares entries of FROM.
 */
static void
follow_condition(Place *place, Node *condition, LineageKind kind, bool may_join)
{
	ListCell   *lc;

	foreach(lc, make_ands_implicit((Expr *) condition))
	{
		Node	   *conjunct = lfirst(lc);
		Place		here;

		here = kpi_place_for_purpose(place, may_join && compares_entries(place->level, conjunct) ?
									 LINEAGE_JOIN : kind);
		here.text = kpi_place_text(place->level, conjunct);
		(void) kpi_find_sources(conjunct, &here);
	}
}

/*
 * FROM: the rows of its entries, and what joins and filters them.
 */
static void
follow_from(Place *place, Node *node, LineageKind rows_kind)
{
	ListCell   *lc;

	check_stack_depth();
	if (node == NULL)
		return;
	if (IsA(node, RangeTblRef))
		follow_entry_rows(place, rt_fetch(((RangeTblRef *) node)->rtindex,
										  place->level->query->rtable), rows_kind);
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		follow_from(place, join->larg, LINEAGE_JOIN);
		follow_from(place, join->rarg, LINEAGE_JOIN);
		follow_condition(place, join->quals, LINEAGE_JOIN, true);
	}
	else
	{
		FromExpr   *from = castNode(FromExpr, node);

		foreach(lc, from->fromlist)
			follow_from(place, lfirst(lc),
						list_length(from->fromlist) > 1 ? LINEAGE_JOIN : rows_kind);
		follow_condition(place, from->quals, LINEAGE_FILTER, true);
	}
}

/*
 * What the query at hand does to rows.  rows_kind says how the rows of what is
 * in FROM take part: by themselves, or by meeting others.
 */
void
kpi_follow_rows(Place *place, LineageKind rows_kind)
{
	Query	   *query = place->level->query;
	Place		here = *place;
	ListCell   *lc;

	if (!kpi_follow_once(place, query, THE_ROWS))
		return;
	if (query->setOperations != NULL)
		follow_set_rows(place, query->setOperations, rows_kind);
	else
		follow_from(place, (Node *) query->jointree, rows_kind);

	kpi_follow_clause(place, query->groupClause, LINEAGE_GROUP);
	kpi_follow_clause(place, query->distinctClause, LINEAGE_GROUP);
	if (query->setOperations == NULL)
		kpi_follow_clause(place, query->sortClause, LINEAGE_ORDER);
	else
	{
		here = kpi_place_for_purpose(place, LINEAGE_ORDER);
		foreach(lc, query->sortClause)
		{
			TargetEntry *tle = get_sortgroupclause_tle(lfirst(lc), query->targetList);

			kpi_follow_set_column(&here, query->setOperations, tle->resno);
			kpi_add_sort(lfirst(lc), (Node *) tle->expr, &here);
		}
	}
	if (query->havingQual != NULL)
		follow_condition(place, query->havingQual, LINEAGE_FILTER, false);
	here = kpi_place_for_purpose(place, LINEAGE_FILTER);
	(void) kpi_find_sources(query->limitCount, &here);
	(void) kpi_find_sources(query->limitOffset, &here);

	/* a set-returning function in the select list makes rows for all */
	here = kpi_place_for_purpose(place, LINEAGE_JOIN);
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (query->hasTargetSRFs && expression_returns_set((Node *) tle->expr))
		{
			here.text = kpi_place_text(place->level, (Node *) tle->expr);
			(void) kpi_find_sources((Node *) tle->expr, &here);
		}
	}
}
