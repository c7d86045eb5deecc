/*
 * explain.c
 *		The SQL that a query with measures becomes.
 *
 * The query is parsed, rewritten and treated exactly as the planner hook treats
 * it; only then is the resulting tree made such that SQL can say it, and
 * deparsed.  Views without measures get their names back; a metric view that
 * does nothing but name columns of its source is written as the source itself
 * where that is possible, so that the text reads as an expert would have written
 * it.  All names are written for an empty search path: the text means the same
 * in every session.
 *
 * src/measure/explain.c
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "catalog/behalf.h"
#include "compat.h"
#include "measure/explain.h"
#include "measure/measure.h"
#include "metric/definition.h"
#include "metric/metric.h"

PG_FUNCTION_INFO_V1(kpi_explain_measure);

/*
 * Are all columns that a query shows columns of what it reads, and each another?
 */
static bool
shows_plain_columns(Query *query)
{
	Bitmapset  *seen = NULL;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		Var		   *var = (Var *) lfirst_node(TargetEntry, lc)->expr;

		if (!IsA(var, Var) || var->varattno <= 0 || bms_is_member(var->varattno, seen))
			return false;
		seen = bms_add_member(seen, var->varattno);
	}
	return true;
}

/* Search for what of a subquery entry cannot be read from its relation */
typedef struct EntrySearch
{
	int			varno;
	Query	   *inner;
	bool		grouped;		/* is the query that has the entry grouped? */
	Index		depth;			/* subqueries entered */
} EntrySearch;

/*
 * Walker that finds a whole row of an entry that has no row type of its own, whose
 * names only the entry has; and an expression that a subquery reads, which is no
 * grouping key any more when it is written there.
 */
static bool
find_unreadable_walker(Node *node, EntrySearch *search)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno != search->varno || var->varlevelsup != search->depth)
			return false;
		if (var->varattno == 0)
			return var->vartype == RECORDOID;
		return search->grouped && search->depth > 0 &&
			!IsA(get_tle_by_resno(search->inner->targetList, var->varattno)->expr, Var);
	}
	if (IsA(node, Query))
	{
		bool		found;

		search->depth++;
		found = query_tree_walker((Query *) node, find_unreadable_walker, search, 0);
		search->depth--;
		return found;
	}
	return expression_tree_walker(node, find_unreadable_walker, search);
}

/*
 * Walker that finds columns of queries around one.
 */
static bool
find_upper_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varlevelsup > 0;
	return expression_tree_walker(node, find_upper_walker, context);
}

/*
 * The entry that a query names columns of, perhaps of some rows, if that is all
 * it does; or 0.
 */
static int
renamed_entry(Query *query)
{
	int			rti = kpi_single_from_entry(query);
	RangeTblEntry *rte;

	if (rti == 0 || query->commandType != CMD_SELECT ||
		kpi_is_aggregated(query) ||
		query->distinctClause != NIL || query->sortClause != NIL ||
		query->limitCount != NULL || query->limitOffset != NULL ||
		query->setOperations != NULL || query->cteList != NIL ||
		query->rowMarks != NIL || query->hasWindowFuncs ||
		query->hasTargetSRFs || query->hasSubLinks)
		return 0;
	rte = rt_fetch(rti, query->rtable);
	if (rte->rtekind != RTE_RELATION || rte->tablesample != NULL)
		return 0;
	return rti;
}

/*
 * The relation that a subquery entry can be written as, by its entry in the
 * subquery; or 0.  What is computed there must mean the same where it is read: it
 * is computed each time that it is read, grouping sets make NULL of whole keys
 * and not of what keys are computed from, and an aggregate belongs to the query
 * whose columns it reads.
 */
static int
relation_behind(Query *query, int varno)
{
	RangeTblEntry *rte = rt_fetch(varno, query->rtable);
	Query	   *inner = rte->subquery;
	EntrySearch search = {varno, inner, kpi_is_aggregated(query), 0};
	int			rti;

	if (rte->rtekind != RTE_SUBQUERY)
		return 0;
	rti = renamed_entry(inner);
	if (rti == 0 ||
		contain_volatile_functions((Node *) inner->targetList) ||
		contain_volatile_functions(inner->jointree->quals) ||
		find_upper_walker((Node *) inner->targetList, NULL) ||
		(query->groupingSets != NIL && !shows_plain_columns(inner)) ||
		query_tree_walker(query, find_unreadable_walker, &search, 0))
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
	IncrementVarSublevelsUp(quals, -1, 1);
	*query = *(Query *) ReplaceVarsFromTargetList((Node *) query, varno, 0, rte, columns,
												  REPLACEVARS_REPORT_ERROR, 0, NULL);
	lfirst(list_nth_cell(query->rtable, varno - 1)) = relation;
	query->jointree->quals = make_and_qual(quals, query->jointree->quals);
}

/*
 * Walker that lists the views that have measures in them.
 */
static bool
list_measured_walker(Node *node, List **measured)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		Oid			relid = kpi_compat_rte_relation(rte);

		if (rte->rtekind == RTE_SUBQUERY && OidIsValid(relid) &&
			!list_member_oid(*measured, relid) && kpi_has_measures(rte->subquery))
			*measured = lappend_oid(*measured, relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, list_measured_walker, measured,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, list_measured_walker, measured);
}

/*
 * Does a view read as whoever asks?  Then the row security in it is that of the
 * reader, which is written out.
 */
static bool
is_invoker_view(Oid relid)
{
	Relation	relation = table_open(relid, NoLock);
	bool		result = RelationHasSecurityInvoker(relation);

	table_close(relation, NoLock);
	return result;
}

/*
 * Walker that writes the views that had no measures by their names again.
 */
static bool
collapse_walker(Node *node, List *measured)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		Oid			relid = kpi_compat_rte_relation(rte);

		if (rte->rtekind == RTE_SUBQUERY && OidIsValid(relid) &&
			!list_member_oid(measured, relid) && !is_invoker_view(relid))
			kpi_name_view(rte, relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collapse_walker, measured,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, collapse_walker, measured);
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

		if (query_tree_walker(query, simplify_walker, context, 0))
			return true;
		kpi_show_security_quals(query);

		/* a join's own columns must stay plain columns */
		if (!kpi_relist_joins(query) && query->commandType == CMD_SELECT &&
			query->setOperations == NULL)
		{
			for (int i = 1; i <= list_length(query->rtable); i++)
			{
				int			inner_rti = relation_behind(query, i);

				if (inner_rti > 0)
					write_as_relation(query, i, inner_rti);
			}
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
 * Parse and rewrite the one statement in a text.  Types of parameters are what
 * PREPARE would find.
 */
static Query *
parse_statement(char *sql)
{
	ErrorContextCallback callback;
	Oid		   *types = NULL;
	int			ntypes = 0;
	List	   *parsed;
	List	   *queries;
	Query	   *query;

	kpi_push_query(&callback, sql);
	parsed = pg_parse_query(sql);
	if (list_length(parsed) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("explain_measure() takes one statement, not %d",
						list_length(parsed))));
	query = parse_analyze_varparams(linitial_node(RawStmt, parsed), sql, &types, &ntypes,
									NULL);
	kpi_pop_query();
	if (query->commandType == CMD_UTILITY)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("explain_measure() cannot explain a utility statement"),
				 errhint("Give the query inside it.")));
	queries = pg_rewrite_query(query);
	if (list_length(queries) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("explain_measure() cannot explain a statement that rules turn into %d statements",
						list_length(queries))));
	return linitial_node(Query, queries);
}

/*
 * kpi.explain_measure(query) returns text
 */
Datum
kpi_explain_measure(PG_FUNCTION_ARGS)
{
	Query	   *query = parse_statement(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	QueryText	result = {NULL, NULL};
	List	   *measured = NIL;
	Rewrite		rewrite = {0};

	rewrite.glob = makeNode(PlannerGlobal);
	kpi_inline_functions(&rewrite, query);
	(void) list_measured_walker((Node *) query, &measured);
	kpi_rewrite_statement(query, &rewrite);

	/* as the executor would, which comes after the planner */
	(void) check_permissions_walker((Node *) query, NULL);

	/* what follows changes the tree in place: no part may stand in two places */
	query = copyObject(query);
	(void) collapse_walker((Node *) query, measured);
	kpi_restore_rows(query);
	(void) simplify_walker((Node *) query, NULL);
	kpi_spell_out(query);

	result.query = query;
	kpi_in_plain_text("", write_query, &result);
	PG_RETURN_TEXT_P(cstring_to_text(kpi_unmark_names(result.sql)));
}
