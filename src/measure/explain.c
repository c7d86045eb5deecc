/*
 * explain.c
 *		The SQL that a query with measures becomes.
 *
 * The query is parsed, rewritten and treated as the planner hook treats it, and
 * the resulting tree is deparsed.  Views without measures keep their names; a
 * metric view that does nothing but name
 * columns of its source is written as the source itself where that is possible,
 * so that the text reads as an expert would have written it.
 *
 * src/measure/explain.c
 */
#include "postgres.h"

#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "compat.h"
#include "errors.h"
#include "measure/measure.h"
#include "metric/definition.h"
#include "metric/metric.h"

PG_FUNCTION_INFO_V1(kpi_explain_measure);

/*
 * The entry that a query names columns of, perhaps of some rows, if that is all
 * it does; or 0.
 */
static int
renamed_entry(Query *query)
{
	int			rti = kpi_single_from_entry(query);

	if (rti == 0 || query->commandType != CMD_SELECT ||
		kpi_is_aggregated(query) ||
		query->distinctClause != NIL || query->sortClause != NIL ||
		query->limitCount != NULL || query->limitOffset != NULL ||
		query->setOperations != NULL || query->cteList != NIL ||
		query->rowMarks != NIL || query->hasWindowFuncs ||
		query->hasTargetSRFs || query->hasSubLinks ||
		rt_fetch(rti, query->rtable)->rtekind != RTE_RELATION)
		return 0;
	return rti;
}

/*
 * Write one subquery entry of a query as the relation that it names columns of.
 */
static void
write_as_relation(Query *query, int varno, int inner_rti)
{
	RangeTblEntry *rte = rt_fetch(varno, query->rtable);
	Query	   *inner = rte->subquery;
	RangeTblEntry *relation = copyObject(rt_fetch(inner_rti, inner->rtable));
	List	   *columns = copyObject(inner->targetList);
	Node	   *quals = copyObject(inner->jointree->quals);

	relation->alias = makeAlias(rte->eref->aliasname, NIL);
	relation->eref->aliasname = pstrdup(rte->eref->aliasname);
	relation->inFromCl = true;
	ChangeVarNodes((Node *) columns, inner_rti, varno, 0);
	ChangeVarNodes(quals, inner_rti, varno, 0);
	*query = *(Query *) ReplaceVarsFromTargetList((Node *) query, varno, 0, rte, columns,
												  REPLACEVARS_REPORT_ERROR, 0, NULL);
	lfirst(list_nth_cell(query->rtable, varno - 1)) = relation;
	query->jointree->quals = make_and_qual(quals, query->jointree->quals);
}

/*
 * Walker that writes the views that have no measures by their names again.
 */
static bool
collapse_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		Oid			relid = kpi_compat_rte_relation(rte);

		if (rte->rtekind == RTE_SUBQUERY && OidIsValid(relid) &&
			!kpi_has_measures(rte->subquery))
		{
			rte->rtekind = RTE_RELATION;
			rte->relid = relid;
			rte->relkind = RELKIND_VIEW;
			rte->subquery = NULL;
			rte->security_barrier = false;
		}
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collapse_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, collapse_walker, context);
}

/*
 * Write the conditions of row security as what they are, conditions of WHERE.
 * Where an outer join could make that another thing, they are left out: whoever
 * runs the text meets row security again.
 */
static void
show_security_quals(Query *query)
{
	for (int i = 1; i <= list_length(query->rtable); i++)
	{
		RangeTblEntry *rte = rt_fetch(i, query->rtable);
		ListCell   *lc;

		if (rte->rtekind != RTE_RELATION || kpi_is_nullable(query, i))
			continue;
		foreach(lc, rte->securityQuals)
		{
			Node	   *qual = lfirst(lc);

			/* the policy that lets through what scopes leave says nothing */
			if (!IsA(qual, FuncExpr) || ((FuncExpr *) qual)->args != NIL ||
				get_func_namespace(((FuncExpr *) qual)->funcid) != kpi_require_objects()->namespace)
				query->jointree->quals = make_and_qual(query->jointree->quals, qual);
		}
		rte->securityQuals = NIL;
	}
}

/*
 * Walker that checks the privileges that a query needs, at every level, before
 * anything of what it would read is shown.
 */
static bool
check_permissions_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		kpi_compat_check_permissions((Query *) node);
		return query_tree_walker((Query *) node, check_permissions_walker, context, 0);
	}
	return expression_tree_walker(node, check_permissions_walker, context);
}

/*
 * Walker that simplifies every query of a tree, the innermost first.
 */
static bool
simplify_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *lc;
		bool		has_join = false;

		if (query_tree_walker(query, simplify_walker, context, 0))
			return true;
		show_security_quals(query);
		kpi_relist_joins(query);

		/* a join's own columns must stay plain columns */
		foreach(lc, query->rtable)
			has_join |= lfirst_node(RangeTblEntry, lc)->rtekind == RTE_JOIN;
		if (has_join || query->commandType != CMD_SELECT)
			return false;
		for (int i = 1; i <= list_length(query->rtable); i++)
		{
			RangeTblEntry *rte = rt_fetch(i, query->rtable);
			int			inner_rti;

			if (rte->rtekind != RTE_SUBQUERY)
				continue;
			inner_rti = renamed_entry(rte->subquery);
			if (inner_rti > 0)
				write_as_relation(query, i, inner_rti);
		}
		return false;
	}
	return expression_tree_walker(node, simplify_walker, context);
}

/* A query that is written as SQL */
typedef struct QueryText
{
	Query	   *query;
	char	   *sql;
} QueryText;

/*
 * Errand: write a query as SQL.
 */
static void
write_query(void *arg)
{
	QueryText  *text = arg;

	text	  ->sql = pg_get_querydef(text->query, true);
}

/*
 * kpi.explain_measure(query) returns text
 */
Datum
kpi_explain_measure(PG_FUNCTION_ARGS)
{
	char	   *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ErrorContextCallback callback;
	QueryText text = {NULL, NULL};
	List	   *parsed;
	List	   *queries;
	Query	   *query;
	Rewrite		rewrite = {0};

	kpi_push_query(&callback, sql);
	parsed = pg_parse_query(sql);
	if (list_length(parsed) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("explain_measure() takes one statement, not %d",
						list_length(parsed))));
	query = parse_analyze_fixedparams(linitial_node(RawStmt, parsed), sql, NULL, 0, NULL);
	kpi_pop_query();
	if (query->commandType == CMD_UTILITY)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("explain_measure() cannot explain a utility statement"),
				 errhint("Give the query inside it.")));
	(void) check_permissions_walker((Node *) query, NULL);
	queries = pg_rewrite_query(query);
	if (list_length(queries) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("explain_measure() cannot explain a statement that rules turn into %d statements",
						list_length(queries))));
	query = linitial_node(Query, queries);

	(void) collapse_walker((Node *) query, NULL);
	rewrite.glob = makeNode(PlannerGlobal);
	kpi_rewrite_statement(query, &rewrite);
	(void) simplify_walker((Node *) query, NULL);

	text.		query = query;

	kpi_in_plain_text(NULL, write_query, &text);
	PG_RETURN_TEXT_P(cstring_to_text(text.sql));
}
