/*
 * rewrite.c
 *		Walking a statement and replacing the measures in it.
 *
 * Each query level is visited once, in place: the queries in its WITH and FROM
 * first, then its expressions.  An aggregate over a measure is replaced where it stands and
 * adds columns to the queries on the measure's path; since those are ordinary
 * columns of the source, it does not matter whether such a query was visited
 * before or is visited later.  A measure that passes through the select list of
 * a query is left alone there: whoever reads the list decides.  When all is
 * visited, the markers in the metric views' queries are replaced.
 *
 * What has no meaning (M7) is refused on the way.
 *
 * src/measure/rewrite.c
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "errors.h"
#include "measure/measure.h"

/* Where the expression walk is */
typedef struct WalkContext
{
	Rewrite    *rewrite;
	QueryLevel *level;
	bool		in_aggregate;	/* inside one that was found not to evaluate */
	bool		is_carried;		/* inside what an aggregate above may evaluate */
} WalkContext;

static void rewrite_query(Rewrite *rewrite, Query *query, QueryLevel *parent,
						  bool is_output);

/*
 * A look at the range table alone: measures come from views, so from subquery
 * entries, be it in a CTE, a sublink or an inlined function.
 */
bool
kpi_may_have_measures(Query *query)
{
	ListCell   *lc;

	if (query->hasSubLinks || query->cteList != NIL)
		return true;
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_SUBQUERY || rte->rtekind == RTE_FUNCTION)
			return true;
	}
	return false;
}

/*
 * Walker of kpi_has_measures().
 */
static bool
has_measures_walker(Node *node, const KpiObjects *kpi)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == kpi->marker)
		return true;
	if (IsA(node, Aggref) && kpi_evaluates(kpi, ((Aggref *) node)->aggfnoid))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_measures_walker,
								 (void *) kpi, 0);
	return expression_tree_walker(node, has_measures_walker, (void *) kpi);
}

/*
 * Does a query hold a marker, measure() or its like?
 */
bool
kpi_has_measures(Query *query)
{
	const KpiObjects *kpi = kpi_objects();

	return kpi != NULL && has_measures_walker((Node *) query, kpi);
}

/*
 * Raise the error for a measure that stands unevaluated in a query that
 * aggregates.
 */
static void
report_unevaluated(Origin *origin, const char *where)
{
	ereport(ERROR,
			(errcode(ERRCODE_KPI_MEASURE_MISUSE),
			 errmsg("measure \"%s\" cannot be in %s of a query that aggregates; choose groups by a condition on measure(%s) in HAVING, or evaluate it in a subquery first",
					origin->name, where, quote_identifier(origin->name)),
			 errhint("Filter groups by HAVING instead of rows by WHERE.")));
}

/*
 * A column is read where its value is wanted: refuse an unevaluated measure in a
 * query that aggregates, note it elsewhere.
 */
static void
read_column(WalkContext *context, Var *var)
{
	QueryLevel *level = context->level;
	Origin		origin = kpi_origin_of_var(level, var);

	/* what was left to those above, nobody has evaluated */
	if (origin.kind == ORIGIN_ROW_VALUE &&
		kpi_ungrouped_of(context->rewrite, &origin) == UNGROUPED_ERROR)
		kpi_need_row_value(context->rewrite, &origin, !context->is_carried);
	if (origin.kind == ORIGIN_OTHER ||
		(origin.kind == ORIGIN_ROW_VALUE && context->in_aggregate))
		return;
	for (Index i = 0; i < var->varlevelsup; i++)
		level = level->parent;
	if (kpi_is_aggregated(level->query) && !context->is_carried)
		report_unevaluated(&origin, "WHERE, JOIN or GROUP BY");
	if (origin.kind == ORIGIN_MEASURE)
		kpi_need_row_value(context->rewrite, &origin, !context->is_carried);
}

/*
 * A whole row is read: its measures are, each as in a preview.  Returns what
 * replaces the reference.
 */
static Node *
read_row(Rewrite *rewrite, QueryLevel *level, Var *var)
{
	QueryLevel *owner = level;
	RangeTblEntry *rte;
	bool		has_measure = false;

	for (Index i = 0; i < var->varlevelsup; i++)
		owner = owner->parent;
	rte = rt_fetch(var->varno, owner->query->rtable);

	for (int i = 1; i <= list_length(rte->eref->colnames); i++)
	{
		Var		   *column = makeVar(var->varno, i, UNKNOWNOID, -1, InvalidOid, 0);
		Origin		origin = kpi_origin_of_var(owner, column);

		if (origin.kind == ORIGIN_OTHER)
			continue;
		has_measure = true;
		if (origin.kind == ORIGIN_MEASURE ||
			kpi_ungrouped_of(rewrite, &origin) == UNGROUPED_ERROR)
			kpi_need_row_value(rewrite, &origin, true);
	}
	if (has_measure && (rte->rtekind == RTE_SUBQUERY || rte->rtekind == RTE_CTE))
		return kpi_whole_row(rewrite, level, var);
	return (Node *) var;
}

/*
 * A window function works on values, and a measure has none before it is
 * aggregated.
 */
static void
check_window_function(QueryLevel *level, WindowFunc *func)
{
	Origin		origin;

	if (kpi_evaluates(kpi_require_objects(), func->winfnoid))
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("OVER has no meaning in %s(); write sum(%s(x)) OVER (...) in a query with GROUP BY",
						get_func_name(func->winfnoid), get_func_name(func->winfnoid)),
				 errhint("A window works on values, which measures have for groups.")));
	if (kpi_find_measure(level, (Node *) func->args, &origin) ||
		kpi_find_measure(level, (Node *) func->aggfilter, &origin))
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("window function %s() cannot read measure \"%s\" of single rows; write %s(measure(%s)) OVER (...) in a query with GROUP BY",
						get_func_name(func->winfnoid), origin.name,
						get_func_name(func->winfnoid), quote_identifier(origin.name)),
				 errhint("A window works on values, which measures have for groups.")));
}

/*
 * Replace the measures in one expression of a level.
 */
static Node *
rewrite_expr(Node *node, WalkContext *context)
{
	if (node == NULL)
		return NULL;

	if (IsA(node, Aggref))
	{
		Aggref	   *agg = (Aggref *) node;
		WalkContext inner = *context;
		Node	   *value;

		kpi_check_filter(context->level, agg);
		agg->aggfilter = (Expr *) rewrite_expr((Node *) agg->aggfilter, context);
		value = kpi_expand_aggregate(context->rewrite, context->level, agg);
		if (value != NULL)
			return value;
		inner.in_aggregate = true;
		agg->args = (List *) rewrite_expr((Node *) agg->args, &inner);
		agg->aggdirectargs = (List *) rewrite_expr((Node *) agg->aggdirectargs, &inner);
		return node;
	}
	else if (IsA(node, WindowFunc))
		check_window_function(context->level, (WindowFunc *) node);
	else if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varattno == 0)
			return read_row(context->rewrite, context->level, var);
		read_column(context, var);
		return node;
	}
	else if (IsA(node, SubLink))
	{
		SubLink    *sublink = (SubLink *) node;
		int			nmarkers = list_length(context->rewrite->markers);

		/*
		 * Nobody outside reads columns of the subquery's FROM, so its markers
		 * are settled now; the subquery may be copied with what it stands in.
		 */
		sublink->testexpr = rewrite_expr(sublink->testexpr, context);
		rewrite_query(context->rewrite, (Query *) sublink->subselect, context->level,
					  sublink->subLinkType != EXISTS_SUBLINK);
		kpi_replace_markers(context->rewrite, nmarkers);
		return node;
	}
	else if (IsA(node, Query) || IsA(node, RangeTblRef))
		return node;

	return expression_tree_mutator(node, rewrite_expr, context);
}

/*
 * Replace the measures in the subqueries of a condition that goes with a
 * measure.
 */
Node *
kpi_rewrite_condition(Rewrite *rewrite, QueryLevel *level, Node *condition)
{
	WalkContext context = {rewrite, level, false, false};

	return rewrite_expr(condition, &context);
}

/*
 * Is a column of the select list named by one of these clauses?
 */
static bool
is_named_by(TargetEntry *tle, List *clauses)
{
	ListCell   *lc;

	if (tle->ressortgroupref == 0)
		return false;
	foreach(lc, clauses)
	{
		if (lfirst_node(SortGroupClause, lc)->tleSortGroupRef == tle->ressortgroupref)
			return true;
	}
	return false;
}

/*
 * Refuse a measure as a key of a window.  Other keys have been looked at.
 */
static void
check_not_key(Query *query, TargetEntry *tle, Origin *origin)
{
	ListCell   *lc;

	foreach(lc, query->windowClause)
	{
		WindowClause *window = lfirst_node(WindowClause, lc);

		if (is_named_by(tle, window->partitionClause) ||
			is_named_by(tle, window->orderClause))
			ereport(ERROR,
					(errcode(ERRCODE_KPI_MEASURE_MISUSE),
					 errmsg("measure \"%s\" cannot be a key of a window; write measure(%s) there, with GROUP BY for the dimensions",
							origin->name, quote_identifier(origin->name)),
					 errhint("A window works on values, which measures have for groups.")));
	}
}

/*
 * Replace the measures in a select list.  A measure that only passes through is
 * left to the query above; in the output of the statement, or of a subquery in
 * an expression, it is read.
 */
static void
rewrite_target_list(WalkContext *context, bool is_output)
{
	Query	   *query = context->level->query;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Node	   *expr = kpi_strip_coercions((Node *) tle->expr);
		WalkContext inner = *context;
		Origin		origin;
		Oid			metric;

		if (expr == NULL)
			continue;
		if (kpi_is_marker(expr, &metric))
		{
			MarkerColumn *marker = palloc(sizeof(MarkerColumn));

			marker->level = context->level;
			marker->tle = tle;
			marker->metric = metric;
			marker->needed = is_output;
			marker->ungrouped = kpi_ungrouped;
			context->rewrite->markers = lappend(context->rewrite->markers, marker);
			continue;
		}
		if (tle->ressortgroupref != 0 &&
			kpi_find_measure_or_row(context->level, expr, &origin))
			check_not_key(query, tle, &origin);
		if (IsA(expr, Var) && ((Var *) expr)->varattno > 0 &&
			!is_output && tle->ressortgroupref == 0 && !kpi_is_aggregated(query))
			continue;
		inner.is_carried = !is_output && tle->ressortgroupref == 0 &&
			!kpi_is_aggregated(query) &&
			kpi_is_computed_measure(context->level, (Node *) tle->expr);
		tle->expr = (Expr *) rewrite_expr((Node *) tle->expr, &inner);
	}
}

/*
 * Replace the measures in the conditions of a join tree.
 */
static void
rewrite_join_tree(WalkContext *context, Node *node)
{
	ListCell   *lc;

	if (node == NULL || IsA(node, RangeTblRef))
		return;
	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			rewrite_join_tree(context, lfirst(lc));
		((FromExpr *) node)->quals = rewrite_expr(((FromExpr *) node)->quals, context);
	}
	else
	{
		JoinExpr   *join = castNode(JoinExpr, node);

		rewrite_join_tree(context, join->larg);
		rewrite_join_tree(context, join->rarg);
		join->quals = rewrite_expr(join->quals, context);
	}
}

/*
 * Set operations that compare rows must not compare measures.
 */
static void
check_set_operation(QueryLevel *level, Node *node)
{
	SetOperationStmt *setop = (SetOperationStmt *) node;
	ListCell   *lc;

	if (!IsA(node, SetOperationStmt))
		return;
	check_set_operation(level, setop->larg);
	check_set_operation(level, setop->rarg);
	if (setop->all && setop->op == SETOP_UNION)
		return;

	foreach(lc, level->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Origin		origin;

		/* the select list names the leftmost branch; ask for all of them */
		if (!tle->resjunk && kpi_find_output_measure(level, tle->resno, &origin))
			ereport(ERROR,
					(errcode(ERRCODE_KPI_MEASURE_MISUSE),
					 errmsg("measure \"%s\" cannot be compared by a set operation; write measure(%s) with GROUP BY in each branch, or UNION ALL",
							origin.name, quote_identifier(origin.name)),
					 errhint("What is compared must have a value.")));
	}
}

/*
 * Replace the measures in what a range-table entry evaluates, and in its query.
 */
static void
rewrite_entry(WalkContext *context, RangeTblEntry *rte, bool is_branch)
{
	switch (rte->rtekind)
	{
		case RTE_SUBQUERY:
			rewrite_query(context->rewrite, rte->subquery, context->level, is_branch);
			break;
		case RTE_FUNCTION:
			rte->functions = (List *) rewrite_expr((Node *) rte->functions, context);
			break;
		case RTE_TABLEFUNC:
			rte->tablefunc = (TableFunc *) rewrite_expr((Node *) rte->tablefunc, context);
			break;
		case RTE_VALUES:
			rte->values_lists = (List *) rewrite_expr((Node *) rte->values_lists, context);
			break;
		case RTE_RELATION:
			rte->tablesample = (TableSampleClause *)
				rewrite_expr((Node *) rte->tablesample, context);
			break;
		default:
			break;
	}
	rte->securityQuals = (List *) rewrite_expr((Node *) rte->securityQuals, context);
}

/*
 * Replace the measures in a query and in the queries below it.  "is_output":
 * the select list is read as it is, not by an enclosing query's FROM.
 */
static void
rewrite_query(Rewrite *rewrite, Query *query, QueryLevel *parent, bool is_output)
{
	QueryLevel *level = palloc(sizeof(QueryLevel));
	WalkContext context = {rewrite, level, false, false};
	ListCell   *lc;
	int			nentries;

	check_stack_depth();

	level->query = query;
	level->parent = parent;
	level->rewrite = rewrite;
	if (query->setOperations != NULL)
		check_set_operation(level, query->setOperations);

	/* CTEs and FROM first: their markers must be known when they are read */
	foreach(lc, query->cteList)
	{
		Query	   *cte = castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery);

		rewrite_query(rewrite, cte, level, cte->commandType != CMD_SELECT);
	}
	nentries = list_length(query->rtable);
	for (int i = 0; i < nentries; i++)
		rewrite_entry(&context, list_nth_node(RangeTblEntry, query->rtable, i),
					  query->setOperations != NULL);

	rewrite_target_list(&context, is_output || query->commandType != CMD_SELECT);
	query->returningList = (List *) rewrite_expr((Node *) query->returningList, &context);
	query->withCheckOptions = (List *) rewrite_expr((Node *) query->withCheckOptions, &context);
	query->onConflict = (OnConflictExpr *) rewrite_expr((Node *) query->onConflict, &context);
	query->mergeActionList = (List *) rewrite_expr((Node *) query->mergeActionList, &context);
	rewrite_join_tree(&context, (Node *) query->jointree);
	query->havingQual = rewrite_expr(query->havingQual, &context);
	query->limitOffset = rewrite_expr(query->limitOffset, &context);
	query->limitCount = rewrite_expr(query->limitCount, &context);
	foreach(lc, query->windowClause)
	{
		WindowClause *window = lfirst_node(WindowClause, lc);

		window->startOffset = rewrite_expr(window->startOffset, &context);
		window->endOffset = rewrite_expr(window->endOffset, &context);
	}
}

/*
 * Replace all measures of a statement, in place.  Nothing happens to one that
 * has none: false.
 */
bool
kpi_rewrite_statement(Query *query, Rewrite *rewrite)
{
	kpi_inline_functions(rewrite, query);
	if (!kpi_has_measures(query))
		return false;
	kpi_check_chosen_rows(rewrite, query);
	rewrite_query(rewrite, query, NULL, true);
	kpi_replace_markers(rewrite, 0);
	return true;
}
