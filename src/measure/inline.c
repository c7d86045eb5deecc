/*
 * inline.c
 *		Measures inside SQL functions that the planner inlines.
 *
 * The planner replaces a call in FROM of a simple SQL function by the function's
 * query, after the planner hook has looked at the statement; a measure in it
 * would never be seen and would raise (M12).  So we let core's own code make the
 * same replacement earlier, and keep it if the query holds a measure.  What the
 * plan then depends on, the function and perhaps the role and scopes, is collected in a
 * PlannerGlobal of ours and added to the finished plan.
 *
 * src/measure/inline.c
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/syscache.h"

#include "measure/measure.h"

/*
 * Is an entry a call of one SQL function that returns a set?
 */
static bool
is_sql_function(RangeTblEntry *rte)
{
	FuncExpr   *func;
	HeapTuple	tuple;
	bool		result;

	if (list_length(rte->functions) != 1 || rte->funcordinality)
		return false;
	func = (FuncExpr *) linitial_node(RangeTblFunction, rte->functions)->funcexpr;
	if (!IsA(func, FuncExpr) || !func->funcretset ||
		func->funcid < FirstNormalObjectId)
		return false;

	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(func->funcid));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_proc) GETSTRUCT(tuple))->prolang == SQLlanguageId;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Replace a function in FROM by its query, if that is what the planner would do
 * and there is a measure in it, or in a function that it calls in turn.
 */
static void
inline_function(Rewrite *rewrite, RangeTblEntry *rte)
{
	PlannerInfo *root;
	RangeTblEntry *call;
	Query	   *query;
	List	   *inval_items;
	List	   *relations;
	bool		depends_on_role;

	check_stack_depth();

	if (!is_sql_function(rte))
		return;

	inval_items = list_copy(rewrite->glob->invalItems);
	relations = list_copy(rewrite->glob->relationOids);
	depends_on_role = rewrite->glob->dependsOnRole;
	root = makeNode(PlannerInfo);
	root->glob = rewrite->glob;
	root->planner_cxt = CurrentMemoryContext;

	call = copyObject(rte);
	call->functions = (List *) eval_const_expressions(root, (Node *) call->functions);
	query = inline_set_returning_function(root, call);
	if (query != NULL)
		kpi_inline_functions(rewrite, query);
	if (query != NULL && kpi_has_measures(query))
	{
		rte->rtekind = RTE_SUBQUERY;
		rte->subquery = query;
		rte->security_barrier = false;
		rte->functions = NIL;
		rte->funcordinality = false;
		return;
	}

	/* left to the planner, who will note all this again */
	rewrite->glob->invalItems = inval_items;
	rewrite->glob->relationOids = relations;
	rewrite->glob->dependsOnRole = depends_on_role;
}

/*
 * Walker of kpi_inline_functions().
 */
static bool
inline_functions_walker(Node *node, Rewrite *rewrite)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		if (((RangeTblEntry *) node)->rtekind == RTE_FUNCTION)
			inline_function(rewrite, (RangeTblEntry *) node);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, inline_functions_walker, rewrite,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, inline_functions_walker, rewrite);
}

/*
 * Inline the SQL functions with measures in a query, at any depth.
 */
void
kpi_inline_functions(Rewrite *rewrite, Query *query)
{
	(void) inline_functions_walker((Node *) query, rewrite);
}
