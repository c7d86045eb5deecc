/*
 * remedy.c
 *		What to write instead of a statement that is refused, as SQL.
 *
 * Many clients show the message of an error and drop its hint.  So the way out stands
 * in the message, and it is the statement at hand, rewritten, rather than an example
 * (M7).  Where the statement does not say enough to be rewritten, as which groups
 * are meant, the part of it that is known is written.
 *
 * The trees are changed in place: whoever asks raises an error next.
 *
 * src/measure/remedy.c
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "catalog/catalog.h"
#include "catalog/peek.h"
#include "compat.h"
#include "errors.h"
#include "measure/measure.h"

/* Longer statements are not written into a message, in bytes */
#define MAX_STATEMENT	2000

/* Measures of a level are written as calls of measure() */
typedef struct MeasureCalls
{
	QueryLevel *level;
	bool		failed;			/* there is something that cannot be */
} MeasureCalls;

/*
 * measure(column)
 */
static Node *
measure_call(Var *var)
{
	Aggref	   *agg = makeNode(Aggref);

	agg->aggfnoid = kpi_require_objects()->measure;
	agg->aggtype = var->vartype;
	agg->aggcollid = agg->inputcollid = var->varcollid;
	agg->aggargtypes = list_make1_oid(var->vartype);
	agg->args = list_make1(makeTargetEntry((Expr *) copyObject(var), 1, NULL, false));
	agg->aggkind = AGGKIND_NORMAL;
	agg->aggsplit = AGGSPLIT_SIMPLE;
	agg->aggno = agg->aggtransno = -1;
	agg->location = -1;
	return (Node *) agg;
}

/*
 * Mutator: the measures of an expression as calls of measure().
 */
static Node *
call_measures(Node *node, MeasureCalls *context)
{
	Origin		origin;

	if (node == NULL || IsA(node, Aggref))
		return node;
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == 0 && ((Var *) node)->varattno > 0)
	{
		origin = kpi_origin_of_var(context->level, (Var *) node);
		if (origin.kind == ORIGIN_MEASURE)
			return measure_call((Var *) node);
		context->failed |= origin.kind == ORIGIN_ROW_VALUE;
		return node;
	}
	if (IsA(node, Var) || IsA(node, SubLink) || IsA(node, WindowFunc))
	{
		context->failed |= IsA(node, WindowFunc) ||
			kpi_find_measure_or_row(context->level, node, &origin);
		return node;
	}
	return expression_tree_mutator(node, call_measures, context);
}

/*
 * The parts of a condition that are about measures, or those that are not.
 */
static List *
conditions(QueryLevel *level, bool about_measures)
{
	List	   *result = NIL;
	Origin		origin;
	ListCell   *lc;

	foreach(lc, make_ands_implicit((Expr *) level->query->jointree->quals))
	{
		if (kpi_find_measure_or_row(level, lfirst(lc), &origin) == about_measures)
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/*
 * Does an expression of a level read columns of a query around it?
 */
static bool
reads_outer(QueryLevel *level, Node *node)
{
	int			depth = 1;

	for (QueryLevel *outer = level->parent; outer != NULL; outer = outer->parent)
	{
		if (contain_vars_of_level(node, depth++))
			return true;
	}
	return false;
}

/*
 * A query without FROM that selects one expression: the range table only gives names to
 * columns.  Joins name none of their own there, which takes a join tree.
 */
static Query *
select_expression(QueryLevel *level, Node *node)
{
	Query	   *query = makeNode(Query);
	ListCell   *lc;

	node = flatten_join_alias_vars(level->query, node);
	query->commandType = CMD_SELECT;
	query->rtable = copyObject(level->query->rtable);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind != RTE_JOIN)
			continue;
		rte->rtekind = RTE_RESULT;
		rte->eref = makeAlias("", NIL);
	}
	query->jointree = makeFromExpr(NIL, NULL);
	query->targetList = list_make1(makeTargetEntry((Expr *) node, 1, pstrdup("?column?"), false));
	return query;
}

/*
 * An expression of a level as SQL, its measures as calls of measure(); NULL where
 * that cannot be written.
 */
char *
kpi_write_expression(QueryLevel *level, Node *node)
{
	static const char *const head = "SELECT ";
	static const char *const tail = " AS \"?column?\"";
	MeasureCalls context = {level, false};
	char	   *sql;
	char	   *end;

	node = call_measures(node, &context);
	if (context.failed || checkExprHasSubLink(node) || reads_outer(level, node))
		return NULL;
	sql = kpi_write_statement(select_expression(level, node));
	if (sql == NULL || strncmp(sql, head, strlen(head)) != 0)
		return NULL;
	sql += strlen(head);
	end = sql + strlen(sql) - strlen(tail);
	if (end > sql && strcmp(end, tail) == 0)
		*end = '\0';
	return sql;
}

/*
 * The conditions of WHERE that are about measures, as HAVING has them; NULL where that
 * cannot be written.
 */
char *
kpi_write_having(QueryLevel *level)
{
	List	   *about = conditions(level, true);

	return about == NIL ? NULL :
		kpi_write_expression(level, (Node *) make_ands_explicit(about));
}

/*
 * Let the query of a view be written by the view's name.
 */
void
kpi_name_view(RangeTblEntry *rte, Oid relid)
{
	rte->rtekind = RTE_RELATION;
	rte->relid = relid;
	rte->relkind = RELKIND_VIEW;
	rte->rellockmode = AccessShareLock;
	rte->inh = rte->inFromCl = true;	/* or it would be written as ONLY */
	rte->subquery = NULL;
	rte->security_barrier = false;
}

/*
 * Walker that writes views by their names again.
 */
static bool
name_views(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		Oid			relid = kpi_compat_rte_relation(rte);

		if (rte->rtekind == RTE_SUBQUERY && OidIsValid(relid))
			kpi_name_view(rte, relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, name_views, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, name_views, context);
}

/*
 * A statement as SQL, views by their names, or NULL if it is long.
 */
char *
kpi_write_statement(Query *query)
{
	char	   *sql;

	(void) name_views((Node *) query, NULL);
	sql = kpi_on_one_line(pg_get_querydef(query, false));
	return strlen(sql) > MAX_STATEMENT ? NULL : sql;
}

/*
 * Is a statement answered, if it is written as it is now?  The error that says not
 * is dropped: whoever asks raises another.
 */
static bool
is_answered(Query *statement)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool result = true;

	PG_TRY();
	{
		Rewrite		trial = {0};

		trial.glob = makeNode(PlannerGlobal);
		trial.is_trial = true;
		kpi_rewrite_statement(copyObject(statement), &trial);
	}
	PG_CATCH();
	{
		int			code = geterrcode();

		/* a query that was canceled, and the like, is no answer */
		if (code != ERRCODE_KPI_MEASURE_MISUSE && code != ERRCODE_KPI_FAN_OUT)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		result = false;
	}
	PG_END_TRY();
	return result;
}

/*
 * Make a column of the select list a key of groups.  False if its type cannot be one.
 */
static bool
add_key(Query *query, TargetEntry *tle)
{
	TypeCacheEntry *type = lookup_type_cache(exprType((Node *) tle->expr),
											 TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR);
	SortGroupClause *key = makeNode(SortGroupClause);

	if (!OidIsValid(type->eq_opr))
		return false;
	key->tleSortGroupRef = assignSortGroupRef(tle, query->targetList);
	key->eqop = type->eq_opr;
	key->sortop = type->lt_opr;
	key->hashable = op_hashjoinable(type->eq_opr, type->type_id);
	query->groupClause = lappend(query->groupClause, key);
	return true;
}

/*
 * The keys that a query has, without those that are measures.
 */
static List *
plain_keys(QueryLevel *level)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, level->query->groupClause)
	{
		SortGroupClause *key = lfirst_node(SortGroupClause, lc);
		Origin		origin;

		if (!kpi_find_measure_or_row(level, get_sortgroupclause_expr(key, level->query->targetList),
									 &origin))
			result = lappend(result, key);
	}
	return result;
}

/*
 * Walker: does an expression read a column that is neither grouped nor aggregated?
 */
static bool
reads_ungrouped(Node *node, Query *query)
{
	ListCell   *lc;

	if (node == NULL || IsA(node, Aggref))
		return false;
	foreach(lc, query->groupClause)
	{
		if (equal(node, get_sortgroupclause_expr(lfirst_node(SortGroupClause, lc), query->targetList)))
			return false;
	}
	if (IsA(node, Var))
		return ((Var *) node)->varlevelsup == 0;
	if (IsA(node, SubLink))
		return contain_vars_of_level(node, 0);
	return expression_tree_walker(node, reads_ungrouped, query);
}

/*
 * An expression over measures and nothing else as SQL, as it is computed with the values
 * of a group; NULL where it reads other columns.
 */
char *
kpi_write_of_group(QueryLevel *level, Node *node)
{
	MeasureCalls context = {level, false};
	Query		no_keys = {T_Query};

	return reads_ungrouped(call_measures(node, &context), &no_keys) ? NULL :
		kpi_write_expression(level, node);
}

/*
 * Take the columns of a select list for a query by groups: what is no measure is a key,
 * unless the query aggregates and has its own.  False if that cannot be.
 */
static bool
group_columns(QueryLevel *level, MeasureCalls *context, bool has_keys)
{
	Query	   *query = level->query;
	Origin		origin;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (kpi_find_measure_or_row(level, (Node *) tle->expr, &origin))
			tle->expr = (Expr *) call_measures((Node *) tle->expr, context);
		else if (!has_keys && !IsA(tle->expr, Const) &&
				 (tle->resjunk || !add_key(query, tle)))
			return false;
	}
	return true;
}

/*
 * Make a query that reads measures of single rows one by groups: its dimensions are the
 * keys, conditions on measures are those of groups.  False where it does not say which
 * groups are meant.
 */
static bool
group_rows(QueryLevel *level)
{
	Query	   *query = level->query;
	MeasureCalls context = {level, false};
	bool		has_keys = kpi_is_aggregated(query);
	List	   *having = conditions(level, true);
	List	   *where = conditions(level, false);
	Origin		origin;

	if (query->commandType != CMD_SELECT || query->setOperations != NULL ||
		query->hasDistinctOn || query->hasWindowFuncs || query->hasTargetSRFs ||
		query->rowMarks != NIL || query->groupingSets != NIL ||
		kpi_find_measure_or_row(level, (Node *) query->jointree->fromlist, &origin))
		return false;
	query->groupClause = plain_keys(level);
	query->distinctClause = NIL;
	if (!group_columns(level, &context, has_keys) || query->groupClause == NIL)
		return false;
	query->jointree->quals = (Node *) make_ands_explicit(where);
	if (where == NIL)
		query->jointree->quals = NULL;
	having = (List *) call_measures((Node *) having, &context);
	if (query->havingQual != NULL)
		having = lcons(query->havingQual, having);
	query->havingQual = having == NIL ? NULL : (Node *) make_ands_explicit(having);
	query->hasAggs = true;
	return !context.failed && !reads_ungrouped((Node *) query->targetList, query) &&
		!reads_ungrouped(query->havingQual, query);
}

/*
 * A statement in which the query at some level reads measures of single rows, by groups;
 * NULL where it does not say which groups are meant, or would be refused again.
 */
char *
kpi_write_by_groups(Query *statement, QueryLevel *level)
{
	if (level->rewrite->is_trial || !group_rows(level) || !is_answered(statement))
		return NULL;
	return kpi_write_statement(statement);
}
