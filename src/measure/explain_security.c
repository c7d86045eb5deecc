/*
 * explain_security.c
 *		Row security, written as conditions.
 *
 * The rewriter hangs the conditions of row security on the entries that they
 * hold for, of which the deparser knows nothing.  What runs has them, so the text
 * has them: in WHERE; where an outer join makes that another thing, in its ON; and
 * where that is another thing, too, as in a full join, in a subquery that stands for
 * the relation.
 *
 * src/measure/explain_security.c
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "measure/explain.h"

/*
 * The conditions of row security of an entry, AND-ed.  The policy that lets
 * through what scopes leave says nothing.
 */
static Node *
security_condition(RangeTblEntry *rte)
{
	Node	   *condition = NULL;
	ListCell   *lc;

	foreach(lc, rte->securityQuals)
	{
		FuncExpr   *qual = lfirst(lc);

		if (!IsA(qual, FuncExpr) || qual->args != NIL ||
			get_func_namespace(qual->funcid) != kpi_require_objects()->namespace)
			condition = make_and_qual(condition, (Node *) qual);
	}
	return condition;
}

/* Where a condition on one entry of FROM can be */
typedef enum Place
{
	PLACE_ELSEWHERE,			/* the entry is not here */
	PLACE_ABOVE,				/* above what was looked at */
	PLACE_FOUND,				/* it has been put there */
	PLACE_NOWHERE
} Place;

/*
 * Put a condition on an entry where it filters no rows but that entry's.
 */
static Place
place_condition(Query *query, Node *node, int varno, Node *condition)
{
	JoinExpr   *join = (JoinExpr *) node;
	JoinType	nullable = JOIN_RIGHT;
	Place		place = PLACE_ELSEWHERE;

	check_stack_depth();

	if (IsA(node, RangeTblRef))
		return ((RangeTblRef *) node)->rtindex == varno ? PLACE_ABOVE : PLACE_ELSEWHERE;
	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;
		ListCell   *lc;

		foreach(lc, from->fromlist)
		{
			if (place == PLACE_ELSEWHERE)
				place = place_condition(query, lfirst(lc), varno, condition);
		}
		if (place != PLACE_ABOVE)
			return place;
		from->quals = make_and_qual(from->quals, condition);
		return PLACE_FOUND;
	}

	place = place_condition(query, join->larg, varno, condition);
	if (place == PLACE_ELSEWHERE)
	{
		place = place_condition(query, join->rarg, varno, condition);
		nullable = JOIN_LEFT;
	}
	if (place == PLACE_ABOVE && join->jointype == JOIN_FULL)
		return PLACE_NOWHERE;
	if (place != PLACE_ABOVE || join->jointype != nullable)
		return place;
	kpi_write_on(query, join);
	join->quals = make_and_qual(join->quals, condition);
	return PLACE_FOUND;
}

/* System columns and whole rows of an entry, on their way into its subquery */
typedef struct SystemColumns
{
	int			varno;
	Index		depth;
	Query	   *inner;
	List	   *names;			/* of all output columns of the subquery */
} SystemColumns;

/*
 * The output column of a subquery that shows a system column of its relation, or the
 * whole row.
 */
static AttrNumber
system_column(SystemColumns *context, Var *var)
{
	RangeTblEntry *rte = linitial_node(RangeTblEntry, context->inner->rtable);
	char	   *name = var->varattno == 0 ? "row" : get_rte_attribute_name(rte, var->varattno);
	AttrNumber	resno = list_length(context->inner->targetList) + 1;
	Var		   *column;
	ListCell   *lc;

	foreach(lc, context->inner->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (IsA(tle->expr, Var) && ((Var *) tle->expr)->varattno == var->varattno)
			return tle->resno;
	}
	column = makeVar(1, var->varattno, var->vartype, var->vartypmod, var->varcollid, 0);
	context->inner->targetList = lappend(context->inner->targetList,
										 makeTargetEntry((Expr *) column, resno, name, false));
	context->names = lappend(context->names, makeString(pstrdup(name)));
	return resno;
}

/*
 * Walker that lets references to system columns and whole rows be to the subquery's.
 */
static bool
system_columns_walker(Node *node, SystemColumns *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno == context->varno && var->varlevelsup == context->depth &&
			var->varattno <= 0)
			var->varattno = var->varattnosyn = system_column(context, var);
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		(void) query_tree_walker((Query *) node, system_columns_walker, context, 0);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, system_columns_walker, context);
}

/*
 * Write a relation's entry as a subquery that has only the rows of a condition.
 */
static void
write_as_subquery(Query *query, int varno, Node *condition)
{
	RangeTblEntry *rte = rt_fetch(varno, query->rtable);
	RangeTblEntry *relation = copyObject(rte);
	Query	   *inner = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	SystemColumns system = {varno, 0, inner, NIL};
	List	   *vars;
	ListCell   *lc;
	ListCell   *lc2;

	relation->securityQuals = NIL;
	ref->rtindex = 1;
	ChangeVarNodes(condition, varno, 1, 0);
	inner->commandType = CMD_SELECT;
	inner->canSetTag = true;
	inner->rtable = list_make1(relation);
	inner->jointree = makeFromExpr(list_make1(ref), condition);
	inner->hasSubLinks = checkExprHasSubLink(condition);

	/* a column that was dropped keeps its place */
	expandRTE(relation, 1, 0, -1, true, &system.names, &vars);
	forboth(lc, vars, lc2, system.names)
	{
		char	   *name = strVal(lfirst(lc2));

		inner->targetList = lappend(inner->targetList,
									makeTargetEntry(lfirst(lc), foreach_current_index(lc) + 1,
													name[0] ? name : "dropped", false));
	}

	rte->rtekind = RTE_SUBQUERY;
	rte->relid = InvalidOid;
	rte->subquery = inner;
	rte->tablesample = NULL;
	rte->securityQuals = NIL;
	rte->inh = false;
	(void) query_tree_walker(query, system_columns_walker, &system, 0);
	rte->eref->colnames = system.names;
	foreach(lc, rte->eref->colnames)
	{
		if (strVal(lfirst(lc))[0] == '\0')
			lfirst(lc) = makeString("dropped");
	}
}

/*
 * Write the conditions of row security in a query as what they are.  What MERGE
 * changes has no place for them; whoever runs the text meets them again.
 */
void
kpi_show_security_quals(Query *query)
{
	for (int i = 1; i <= list_length(query->rtable); i++)
	{
		RangeTblEntry *rte = rt_fetch(i, query->rtable);
		Node	   *condition = NULL;

		if (rte->rtekind == RTE_RELATION)
			condition = security_condition(rte);
		if (condition == NULL ||
			(query->commandType == CMD_MERGE && i == query->resultRelation))
			continue;
		if (query->commandType == CMD_MERGE)
			write_as_subquery(query, i, condition);
		else if (place_condition(query, (Node *) query->jointree, i, condition) == PLACE_NOWHERE)
			write_as_subquery(query, i, condition);
		rte->securityQuals = NIL;
	}
}
