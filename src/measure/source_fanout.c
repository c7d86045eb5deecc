/*
 * source_fanout.c
 *		Joins inside the views that metrics read (M11, its last sentence).
 *
 * A metric reads one relation, which may be a view with joins of its own.  A join that
 * repeats the rows of the table whose column is summed makes the sum too large before
 * any measure is asked for.  Here the proof of fanout.c is made of the stored queries
 * of such views, however deep: whoever defines a metric is warned, and kpi.check()
 * tells, until the owner of the view says why it is harmless.
 *
 * A sum over columns of several tables, as quantity * price, is harmless if the rows of
 * one of them are not repeated: it is a sum over that table.  count(*) counts rows
 * of the view, whatever they are.
 *
 * What is not unfolded, for being too deep or because somebody is changing it, is not
 * told (S9): the next call may.
 *
 * src/measure/source_fanout.c
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "catalog/peek.h"
#include "catalog/registry.h"
#include "catalog/utility.h"
#include "errors.h"
#include "measure/measure.h"
#include "metric/metric.h"

PG_FUNCTION_INFO_V1(kpi_accept_fanout);
PG_FUNCTION_INFO_V1(kpi_source_fan_outs);

/* How many views are unfolded for one metric */
#define MAX_VIEWS	200

/* A level, and the view whose text it is in */
typedef struct SourceLevel
{
	QueryLevel	level;
	Oid			view;
} SourceLevel;

/* A join that may repeat rows */
typedef struct FanOut
{
	Oid			view;
	char	   *joined;			/* the entry's name */
	char	   *table;			/* whose rows are repeated: its entry's name */
} FanOut;

/* The search below one metric */
typedef struct SourceSearch
{
	Oid			metric;
	Rewrite		rewrite;
	int			views;			/* unfolded so far */
	List	   *found;			/* of FanOut * */
} SourceSearch;

/*
 * Walker: views become their stored queries, as the rewriter would have it but without
 * row security, which repeats nothing.  An entry keeps the view's OID.  True where that
 * is not possible.
 */
static bool
unfold_views(Node *node, SourceSearch *search)
{
	RangeTblEntry *rte = (RangeTblEntry *) node;
	bool		too_deep;

	if (node == NULL)
		return false;
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, unfold_views, search,
								 QTW_EXAMINE_RTES_BEFORE);
	if (!IsA(node, RangeTblEntry))
		return expression_tree_walker(node, unfold_views, search);
	if (rte->rtekind != RTE_RELATION)
		return false;
	if (!kpi_peek_at_relation(rte->relid))
		return true;
	if (rte->relkind != RELKIND_VIEW || !rte->inFromCl)
		return false;
	rte->subquery = ++search->views > MAX_VIEWS ? NULL : kpi_stored_query(rte->relid, &too_deep);
	rte->rtekind = RTE_SUBQUERY;
	return rte->subquery == NULL;
}

/*
 * The level of the query that an entry is, or NULL.
 */
static SourceLevel *
level_below(SourceLevel *level, RangeTblEntry *rte)
{
	SourceLevel *below = palloc0(sizeof(SourceLevel));

	below->level.rewrite = level->level.rewrite;
	below->level.query = kpi_entry_query(&level->level, rte, &below->level.parent);
	below->view = rte->rtekind == RTE_SUBQUERY && OidIsValid(rte->relid) ? rte->relid : level->view;
	return below->level.query == NULL ? NULL : below;
}

/*
 * A path that is one step longer.
 */
static PathStep *
longer_path(PathStep *path, QueryLevel *level, int varno)
{
	PathStep   *result = palloc0(sizeof(PathStep));

	if (path != NULL)
	{
		*result = *path;
		result->next = longer_path(path->next, level, varno);
		return result;
	}
	result->level = level;
	result->varno = varno;
	return result;
}

/*
 * Does a path lead to rows that are not repeated?  Otherwise, note the first join that
 * may repeat some.
 */
static bool
is_counted_once(PathStep *path, const char *table, FanOut *fan_out)
{
	QueryLevel *level;
	int			culprit;

	if (!kpi_find_fan_out(path, &level, &culprit))
		return true;
	if (fan_out->joined == NULL)
	{
		fan_out->view = ((SourceLevel *) level)->view;
		fan_out->joined = rt_fetch(culprit, level->query->rtable)->eref->aliasname;
		fan_out->table = pstrdup(table);
	}
	return false;
}

static bool has_table_counted_once(SourceLevel *level, Node *expr,
								   PathStep *above, FanOut *fan_out);

/*
 * The queries that a set operation is made of, as levels.
 */
static List *
branches(SourceLevel *level, Node *node)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;
	SourceLevel *branch;

	check_stack_depth();
	if (IsA(node, SetOperationStmt))
		return list_concat(branches(level, operation->larg), branches(level, operation->rarg));
	branch = level_below(level, rt_fetch(castNode(RangeTblRef, node)->rtindex,
										 level->level.query->rtable));
	return branch == NULL ? NIL : list_make1(branch);
}

/*
 * Is a column of a query, in all branches of a UNION ALL, computed from a table whose
 * rows are not repeated?  Groups are judged by themselves.
 */
static bool
is_column_counted_once(SourceLevel *level, AttrNumber attno,
					   PathStep *path, FanOut *fan_out)
{
	Query	   *query = level->level.query;
	SetOperationStmt *operation = castNode(SetOperationStmt, query->setOperations);
	TargetEntry *tle = get_tle_by_resno(query->targetList, attno);
	ListCell   *lc;

	if (operation == NULL)
		return tle == NULL || kpi_is_aggregated(query) ||
			has_table_counted_once(level, (Node *) tle->expr, path, fan_out);
	if (operation->op != SETOP_UNION || !operation->all)
		return true;
	foreach(lc, branches(level, (Node *) operation))
	{
		if (!is_column_counted_once(lfirst(lc), attno, NULL, fan_out))
			return false;
	}
	return true;
}

/*
 * Are the rows of some table that an expression is computed from not repeated on the
 * way up?  So they are not if it is computed from none.
 */
static bool
has_table_counted_once(SourceLevel *level, Node *expr,
					   PathStep *above, FanOut *fan_out)
{
	List	   *vars = pull_vars_of_level(flatten_join_alias_vars(level->level.query, copyObject(expr)), 0);
	ListCell   *lc;

	check_stack_depth();
	foreach(lc, vars)
	{
		Var		   *var = lfirst_node(Var, lc);
		RangeTblEntry *rte = rt_fetch(var->varno, level->level.query->rtable);
		PathStep   *path = longer_path(above, &level->level, var->varno);
		SourceLevel *below = level_below(level, rte);

		/* groups and branches are rows of their own */
		if (below == NULL || below->level.query->setOperations != NULL ||
			kpi_is_aggregated(below->level.query))
		{
			if (is_counted_once(path, rte->eref->aliasname, fan_out) &&
				(below == NULL || is_column_counted_once(below, var->varattno, NULL, fan_out)))
				return true;
		}
		else if (is_column_counted_once(below, var->varattno, path, fan_out) &&
				 is_counted_once(path, rte->eref->aliasname, fan_out))
			return true;
	}
	return vars == NIL;
}

/* The aggregates of an expression are judged */
typedef struct JudgeContext
{
	SourceSearch *search;
	SourceLevel *level;
} JudgeContext;

/*
 * Walker: judge the aggregates that mind repeated rows.
 */
static bool
judge_walker(Node *node, JudgeContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
	{
		FanOut		fan_out = {InvalidOid, NULL, NULL};

		if (kpi_counts_duplicates(node, NULL) &&
			!has_table_counted_once(context->level,
									(Node *) ((Aggref *) node)->args, NULL, &fan_out))
		{
			FanOut	   *found = palloc(sizeof(FanOut));

			*found = fan_out;
			context->search->found = lappend(context->search->found, found);
		}
		return false;
	}
	return expression_tree_walker(node, judge_walker, context);
}

static void judge_output(SourceSearch *search, SourceLevel *level, AttrNumber attno);

/*
 * Judge the aggregates that an expression of a query is computed from, in it and below.
 */
static void
judge_column(SourceSearch *search, SourceLevel *level, Node *expr)
{
	JudgeContext context = {search, level};
	List	   *vars = pull_vars_of_level(flatten_join_alias_vars(level->level.query, copyObject(expr)), 0);
	ListCell   *lc;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	(void) judge_walker(expr, &context);
	foreach(lc, vars)
	{
		Var		   *var = lfirst_node(Var, lc);
		SourceLevel *below = level_below(level, rt_fetch(var->varno, level->level.query->rtable));

		if (below != NULL)
			judge_output(search, below, var->varattno);
	}
}

/*
 * Judge the aggregates that an output column of a query is computed from.
 */
static void
judge_output(SourceSearch *search, SourceLevel *level, AttrNumber attno)
{
	Query	   *query = level->level.query;
	TargetEntry *tle = get_tle_by_resno(query->targetList, attno);
	ListCell   *lc;

	if (query->setOperations == NULL && tle != NULL)
		judge_column(search, level, (Node *) tle->expr);
	foreach(lc, query->setOperations == NULL ? NIL : branches(level, query->setOperations))
		judge_output(search, lfirst(lc), attno);
}

/*
 * Errand: find the joins below a metric that may repeat what it sums.
 */
static void
search_body(void *arg)
{
	SourceSearch *search = arg;
	SourceLevel level = {{NULL}};
	bool		too_deep;

	search->rewrite.glob = makeNode(PlannerGlobal);
	level.level.query = kpi_stored_query(search->metric, &too_deep);
	level.level.rewrite = &search->rewrite;
	level.view = search->metric;
	if (level.level.query != NULL && !unfold_views((Node *) level.level.query, search))
		judge_column(search, &level,
					 (Node *) linitial_node(TargetEntry, level.level.query->targetList)->expr);
}

/* The stored tree of view $1: it stays as it is when something is renamed */
#define STORED_TREE	"(SELECT pg_catalog.md5(w.ev_action::pg_catalog.text) FROM pg_catalog.pg_rewrite AS w" \
	" WHERE w.ev_class OPERATOR(pg_catalog.=) $1 AND w.rulename OPERATOR(pg_catalog.=) '_RETURN')"

/*
 * Are the joins of a view, as it is now, accepted?  Its text may have other names by
 * now, and its tree is another after a restore: one of them is the same.  The text
 * cannot be told while somebody changes what the view reads.
 */
static bool
is_accepted(Oid view)
{
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(view)};

	return kpi_registry_has("SELECT FROM kpi.accepted_fanout AS a"
							" WHERE a.relid OPERATOR(pg_catalog.=) $1"
							" AND (a.tree OPERATOR(pg_catalog.=) " STORED_TREE
							" OR a.definition OPERATOR(pg_catalog.=) pg_catalog.md5(kpi.view_definition($1)))",
							1, argtypes, values);
}

/*
 * The joins below a metric that may repeat what it sums and are not accepted.
 */
static List *
open_fan_outs(Oid metric)
{
	SourceSearch search = {metric};
	List	   *result = NIL;
	ListCell   *lc;

	kpi_peek(search_body, &search);
	foreach(lc, search.found)
	{
		if (!is_accepted(((FanOut *) lfirst(lc))->view))
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/*
 * Warn of the joins below a metric that has been defined.
 */
static void
warn_of_fan_outs(Oid metric)
{
	ListCell   *lc;

	foreach(lc, open_fan_outs(metric))
	{
		FanOut	   *found = lfirst(lc);
		char	   *view = kpi_relation_name(found->view);

		ereport(WARNING,
				(errcode(ERRCODE_KPI_FAN_OUT),
				 errmsg("join with \"%s\" in view %s may repeat rows of \"%s\", which metric %s sums",
						found->joined, view, found->table, kpi_relation_name(metric)),
				 errhint("Join on a unique key of \"%s\", or say why it is harmless: SELECT kpi.accept_fanout(%s, 'reason').",
						 found->joined, quote_literal_cstr(view))));
	}
}

/*
 * Join what is done when a metric is defined.
 */
void
kpi_source_fan_out_init(void)
{
	kpi_metric_defined_hook = warn_of_fan_outs;
}

/*
 * kpi.source_fan_outs(metric): view, entry that is joined, entry whose rows are repeated
 */
Datum
kpi_source_fan_outs(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, open_fan_outs(PG_GETARG_OID(0)))
	{
		FanOut	   *found = lfirst(lc);
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = ObjectIdGetDatum(found->view);
		values[1] = CStringGetTextDatum(found->joined);
		values[2] = CStringGetTextDatum(found->table);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * kpi.accept_fanout(view, reason)
 */
Datum
kpi_accept_fanout(PG_FUNCTION_ARGS)
{
	Oid			argtypes[] = {REGCLASSOID, TEXTOID};
	Datum		values[2];
	char		nulls[] = {' ', ' '};
	Oid			view;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the view must not be null")));
	view = PG_GETARG_OID(0);
	if (get_rel_relkind(view) != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a view", kpi_relation_name(view)),
				 errhint("Name the view that has the join; the warning tells it.")));
	kpi_check_owner(view);
	values[0] = ObjectIdGetDatum(view);
	values[1] = PG_GETARG_DATUM(1);
	nulls[1] = PG_ARGISNULL(1) ? 'n' : ' ';
	kpi_registry_execute("DELETE FROM kpi.accepted_fanout AS a WHERE a.relid OPERATOR(pg_catalog.=) $1",
						 1, argtypes, values, nulls);
	if (!PG_ARGISNULL(1) && VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(1)) > 0 &&
		kpi_registry_execute("INSERT INTO kpi.accepted_fanout (relid, definition, tree, reason)"
							 " SELECT $1, pg_catalog.md5(d), " STORED_TREE ", $2 FROM kpi.view_definition($1) AS d"
							 " WHERE d IS NOT NULL",
							 2, argtypes, values, nulls) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("somebody is changing what view %s reads", kpi_relation_name(view)),
				 errhint("Try again when that has ended.")));
	PG_RETURN_VOID();
}
