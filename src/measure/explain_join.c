/*
 * explain_join.c
 *		Joins that can be written as SQL again after columns were added below.
 *
 * The entry of a join lists the columns of its sides as the parser found them,
 * and the deparser relies on that list.  Columns that the rewriting brought up
 * through a join are columns of one of its sides that the list does not know.
 * The planner does not look; for the deparser the list is made anew, from the
 * sides up.  Whatever named a column by the join names the side's column then.
 *
 * src/measure/explain_join.c
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "measure/explain.h"

/* The columns of a side of a join */
typedef struct SideColumns
{
	List	   *vars;
	List	   *names;			/* of String */
} SideColumns;

/*
 * The position of a name among columns, from 1; or 0.
 */
static int
find_name(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(strVal(lfirst(lc)), name) == 0)
			return foreach_current_index(lc) + 1;
	}
	return 0;
}

/*
 * Walker that finds an operator that its name alone does not mean.
 */
static bool
find_other_operator_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, OpExpr) && !kpi_is_plain_operator(((OpExpr *) node)->opno))
		return true;
	return expression_tree_walker(node, find_other_operator_walker, context);
}

/*
 * Let a join be written with ON; whatever names its merged columns will name those of a
 * side.
 */
void
kpi_write_on(Query *query, JoinExpr *join)
{
	RangeTblEntry *rte = rt_fetch(join->rtindex, query->rtable);

	join->usingClause = NIL;
	join->join_using_alias = rte->join_using_alias = NULL;
	rte->joinmergedcols = 0;
}

/*
 * Append the columns of a side that USING did not merge, and their positions.
 */
static void
add_unmerged(SideColumns *join, SideColumns *side, List **positions)
{
	List	   *merged = list_copy(*positions);

	for (int i = 1; i <= list_length(side->vars); i++)
	{
		if (list_member_int(merged, i))
			continue;
		*positions = lappend_int(*positions, i);
		join->vars = lappend(join->vars, list_nth(side->vars, i - 1));
		join->names = lappend(join->names, list_nth(side->names, i - 1));
	}
}

/*
 * Make the column list of a join anew, and of those below it.  Returns the
 * columns that a part of the join tree has.
 */
static SideColumns
relist_join(Query *query, Node *node)
{
	SideColumns result = {0};
	ListCell   *lc;

	check_stack_depth();

	if (IsA(node, RangeTblRef))
	{
		int			rti = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rti, query->rtable);

		result.names = list_copy(rte->eref->colnames);
		for (int i = 1; i <= list_length(result.names); i++)
			result.vars = lappend(result.vars,
								  makeVar(rti, i, UNKNOWNOID, -1, InvalidOid, 0));
	}
	else if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			(void) relist_join(query, lfirst(lc));
	}
	else
	{
		JoinExpr   *join = castNode(JoinExpr, node);
		RangeTblEntry *rte = rt_fetch(join->rtindex, query->rtable);
		SideColumns left = relist_join(query, join->larg);
		SideColumns right = relist_join(query, join->rarg);

		/* USING cannot say which operator it takes */
		if (find_other_operator_walker(join->quals, NULL))
			kpi_write_on(query, join);
		rte->joinleftcols = NIL;
		rte->joinrightcols = NIL;
		foreach(lc, join->usingClause)
		{
			int			i = find_name(left.names, strVal(lfirst(lc)));
			int			j = find_name(right.names, strVal(lfirst(lc)));

			if (i == 0 || j == 0)
				elog(ERROR, "column \"%s\" of USING not found", strVal(lfirst(lc)));
			rte->joinleftcols = lappend_int(rte->joinleftcols, i);
			rte->joinrightcols = lappend_int(rte->joinrightcols, j);
			result.vars = lappend(result.vars, list_nth(left.vars, i - 1));
			result.names = lappend(result.names, lfirst(lc));
		}
		add_unmerged(&result, &left, &rte->joinleftcols);
		add_unmerged(&result, &right, &rte->joinrightcols);

		rte->joinaliasvars = result.vars;
		rte->eref->colnames = result.names;
		rte->alias = NULL;
		join->alias = NULL;
	}
	return result;
}

/*
 * Flatten the conditions of all joins, while the lists are still as they were.
 */
static void
flatten_conditions(Query *query, Node *node)
{
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			flatten_conditions(query, lfirst(lc));
		((FromExpr *) node)->quals =
			flatten_join_alias_vars(query, ((FromExpr *) node)->quals);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		flatten_conditions(query, join->larg);
		flatten_conditions(query, join->rarg);
		join->quals = flatten_join_alias_vars(query, join->quals);
	}
}

/*
 * Make the joins of one query, if it has any, such that it can be deparsed.
 */
bool
kpi_relist_joins(Query *query)
{
	ListCell   *lc;
	bool		has_join = false;

	foreach(lc, query->rtable)
		has_join |= lfirst_node(RangeTblEntry, lc)->rtekind == RTE_JOIN;
	if (!has_join)
		return false;

	query->targetList = (List *)
		flatten_join_alias_vars(query, (Node *) query->targetList);
	query->returningList = (List *)
		flatten_join_alias_vars(query, (Node *) query->returningList);
	query->havingQual = flatten_join_alias_vars(query, query->havingQual);
	flatten_conditions(query, (Node *) query->jointree);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_SUBQUERY && rte->lateral)
			rte->subquery = (Query *)
				flatten_join_alias_vars(query, (Node *) rte->subquery);
		else if (rte->rtekind == RTE_FUNCTION)
			rte->functions = (List *)
				flatten_join_alias_vars(query, (Node *) rte->functions);
		else if (rte->rtekind == RTE_TABLEFUNC)
			rte->tablefunc = (TableFunc *)
				flatten_join_alias_vars(query, (Node *) rte->tablefunc);
		else if (rte->rtekind == RTE_VALUES)
			rte->values_lists = (List *)
				flatten_join_alias_vars(query, (Node *) rte->values_lists);
	}
	(void) relist_join(query, (Node *) query->jointree);
	return true;
}
