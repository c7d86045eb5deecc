/*
 * explain_modify.c
 *		What the rewriter did to statements that change a relation.
 *
 * src/measure/explain_modify.c
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"

#include "measure/explain.h"

/*
 * Does an INSERT store the columns of its query, or of its VALUES, as they are?
 */
static bool
inserts_as_is(Query *query, int rti)
{
	ListCell   *lc;

	if (list_length(query->targetList) !=
		list_length(rt_fetch(rti, query->rtable)->eref->colnames))
		return false;
	foreach(lc, query->targetList)
	{
		Var		   *var = (Var *) strip_implicit_coercions((Node *) lfirst_node(TargetEntry, lc)->expr);

		if (!IsA(var, Var) || var->varno != rti || var->varattno != foreach_current_index(lc) + 1)
			return false;
	}
	return true;
}

/*
 * The rewriter sorts the columns of an INSERT and adds defaults, which the deparser
 * does not expect beside a query: let a query around that one give them.
 */
static void
spell_inserted(Query *query, int rti)
{
	RangeTblEntry *source = copyObject(rt_fetch(rti, query->rtable));
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List	   *columns = copyObject(query->targetList);
	ListCell   *lc;

	if (source->rtekind == RTE_SUBQUERY)
		IncrementVarSublevelsUp((Node *) source->subquery, 1, 1);
	else
		IncrementVarSublevelsUp((Node *) source->values_lists, 1, 0);
	source->inFromCl = true;
	if (source->alias == NULL)
		source->alias = makeAlias("s", NIL);
	ChangeVarNodes((Node *) columns, rti, 1, 0);

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = kpi_make_select(columns, source);
	rte->eref = makeAlias("*SELECT*", NIL);
	foreach(lc, columns)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		TargetEntry *target = list_nth_node(TargetEntry, query->targetList,
											foreach_current_index(lc));
		Node	   *expr = (Node *) tle->expr;

		tle->resno = foreach_current_index(lc) + 1;
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(tle->resname));
		target->expr = (Expr *) makeVar(rti, tle->resno, exprType(expr), exprTypmod(expr),
										exprCollation(expr), 0);
	}
	lfirst(list_nth_cell(query->rtable, rti - 1)) = rte;
}

/*
 * What the rewriter did to a statement that changes a relation: the relation, which it
 * took from a view's FROM, is not read once more, and identity columns that it gave a
 * value may have one.
 */
void
kpi_spell_changes(Query *query)
{
	ListCell   *lc;

	if (query->resultRelation == 0)
		return;
	rt_fetch(query->resultRelation, query->rtable)->inFromCl = false;
	if (query->commandType != CMD_INSERT)
		return;
	foreach(lc, query->targetList)
	{
		if (IsA(lfirst_node(TargetEntry, lc)->expr, NextValueExpr))
			query->override = OVERRIDING_SYSTEM_VALUE;
	}
	if (query->jointree->fromlist != NIL)
	{
		int			rti = linitial_node(RangeTblRef, query->jointree->fromlist)->rtindex;

		if (!inserts_as_is(query, rti))
			spell_inserted(query, rti);
	}
}
