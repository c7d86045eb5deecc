/*
 * explain_security.c
 *		Row security, written as conditions.
 *
 * The rewriter hangs the conditions of row security on the entries that they
 * hold for, of which the deparser knows nothing.  What runs has them, so the text
 * has them: in WHERE, or, where an outer join could make that another thing, in a
 * subquery that stands for the relation.
 *
 * src/measure/explain_security.c
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "measure/explain.h"
#include "measure/measure.h"

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

/* System columns of an entry, on their way into its subquery */
typedef struct SystemColumns
{
	int			varno;
	Index		depth;
	Query	   *inner;
	List	   *names;			/* of all output columns of the subquery */
} SystemColumns;

/*
 * The output column of a subquery that shows a system column of its relation.
 */
static AttrNumber
system_column(SystemColumns *context, Var *var)
{
	RangeTblEntry *rte = linitial_node(RangeTblEntry, context->inner->rtable);
	char	   *name = get_rte_attribute_name(rte, var->varattno);
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
 * Walker that lets references to system columns be to the subquery's.
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
			var->varattno < 0)
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
		if (kpi_is_nullable(query, i) || query->commandType == CMD_MERGE)
			write_as_subquery(query, i, condition);
		else
		{
			query->jointree->quals = make_and_qual(query->jointree->quals, condition);
			rte->securityQuals = NIL;
		}
	}
}
