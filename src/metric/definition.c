/*
 * definition.c
 *		What a metric means, read from its view.
 *
 * A metric is stored as a view and nowhere else.  Whoever needs its meaning
 * reads the view's query and flattens it: a derived metric becomes the
 * expressions of its components, a metric over a metric view becomes the
 * expressions behind that view's columns, and every WHERE passed on the way
 * becomes FILTER of the aggregates below it.  What is left is one expression
 * over the columns of one relation, the source.
 *
 * The relations read here are locked until the end of the transaction, as the
 * rewriter locks the views that it expands.  They come from the relation cache,
 * so a metric redefined by any session is seen at the next planning.
 *
 * A metric may be redefined by CREATE OR REPLACE VIEW behind our back; all
 * structure that the flattening relies on is therefore checked at each use,
 * while kpi_check_definition (M13) is asked once, when a metric is defined.
 *
 * src/metric/definition.c
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/catalog.h"
#include "compat.h"
#include "errors.h"
#include "metric/definition.h"

static MetricDefinition *flatten(Oid metric, Query *query, List *stack);

/*
 * A copy of the query of a view, or NULL where the relation is no view.  The
 * lock is kept.
 */
static Query *
view_query(Oid relid, Oid *owner)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Query	   *query = NULL;

	if (rel->rd_rel->relkind == RELKIND_VIEW)
		query = copyObject(get_view_query(rel));
	*owner = rel->rd_rel->relowner;
	table_close(rel, NoLock);
	return query;
}

/*
 * The range-table index of the only thing in FROM, or 0.
 */
int
kpi_single_from_entry(Query *query)
{
	Node	   *item;

	if (list_length(query->jointree->fromlist) != 1)
		return 0;
	item = (Node *) linitial(query->jointree->fromlist);
	return IsA(item, RangeTblRef) ? ((RangeTblRef *) item)->rtindex : 0;
}

/*
 * Does a query do nothing but compute one row, or filter rows, from its FROM?
 */
static bool
is_plain_select(Query *query)
{
	return query->commandType == CMD_SELECT &&
		query->utilityStmt == NULL &&
		query->groupClause == NIL &&
		query->groupingSets == NIL &&
		query->havingQual == NULL &&
		query->distinctClause == NIL &&
		query->sortClause == NIL &&
		query->limitCount == NULL &&
		query->limitOffset == NULL &&
		query->setOperations == NULL &&
		query->rowMarks == NIL &&
		query->cteList == NIL &&
		!query->hasWindowFuncs &&
		!query->hasTargetSRFs &&
		!query->hasSubLinks;
}

/*
 * Take a metric view apart.  result.query is NULL for any other relation.
 */
MetricViewQuery
kpi_load_metric_view(Oid relid)
{
	MetricViewQuery view = {0};
	Query	   *query;
	Oid			owner;
	ListCell   *lc;
	bool		has_marker = false;

	if (get_rel_relkind(relid) != RELKIND_VIEW)
		return view;
	query = view_query(relid, &owner);
	if (query == NULL || query->hasAggs || !is_plain_select(query))
		return view;

	foreach(lc, query->targetList)
	{
		Oid			metric;

		if (kpi_is_marker((Node *) ((TargetEntry *) lfirst(lc))->expr, &metric))
		{
			has_marker = true;
			break;
		}
	}
	view.source_rti = kpi_single_from_entry(query);
	if (!has_marker || view.source_rti == 0 || query->jointree->quals != NULL)
		return view;

	view.source = rt_fetch(view.source_rti, query->rtable)->relid;
	view.query = query;
	return view;
}

/*
 * AND a filter into every aggregate of an expression.  Shares nothing with its
 * arguments.
 */
static Node *
and_filter_mutator(Node *node, Node *filter)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Aggref))
	{
		Aggref	   *agg = copyObject((Aggref *) node);

		agg->aggfilter = (Expr *) make_and_qual((Node *) agg->aggfilter,
												copyObject(filter));
		return (Node *) agg;
	}
	return expression_tree_mutator(node, and_filter_mutator, (void *) filter);
}

/*
 * Put a filter on every aggregate of an expression.
 */
Node *
kpi_and_filter(Node *expr, Node *filter)
{
	if (filter == NULL)
		return expr;
	return and_filter_mutator(expr, filter);
}

/*
 * A view that was read, and as whom.
 */
static DefinitionRead *
make_read(Oid relid, Oid check_as_user, Bitmapset *columns)
{
	DefinitionRead *read = palloc(sizeof(DefinitionRead));

	read->relid = relid;
	read->check_as_user = check_as_user;
	read->columns = columns;
	return read;
}

/*
 * The one column of a metric, as permission data has it.
 */
static Bitmapset *
first_column(void)
{
	return bms_make_singleton(1 - FirstLowInvalidHeapAttributeNumber);
}

/* How the columns of a definition's FROM turn into those of the source */
typedef struct FlattenContext
{
	int			rti;			/* the relation in the definition's FROM */
	MetricViewQuery view;		/* where that is a metric view */
	MetricDefinition *result;
	Node	   *filter;			/* the WHERE, over the source; or NULL */
	List	   *stack;
	Bitmapset  *columns;		/* of the relation, that were used */
} FlattenContext;

/*
 * Renumber the Vars of a metric view's column to the source's.
 */
static Node *
view_column_to_source(Node *node, int *source_rti)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = copyObject((Var *) node);

		Assert(var->varlevelsup == 0 && var->varno == *source_rti);
		var->varno = var->varnosyn = 1;
		return (Node *) var;
	}
	return expression_tree_mutator(node, view_column_to_source, source_rti);
}

/*
 * The column of the metric view that a Var of the definition names.
 */
static Node *
metric_view_column(FlattenContext *context, Var *var)
{
	TargetEntry *tle = get_tle_by_resno(context->view.query->targetList,
										var->varattno);

	if (tle == NULL)
		elog(ERROR, "metric view column %d not found", var->varattno);
	context->columns = bms_add_member(context->columns,
									  var->varattno - FirstLowInvalidHeapAttributeNumber);
	return (Node *) tle->expr;
}

/*
 * measure(column of a metric view) inside a definition: the metric that the
 * column names, narrowed by this definition's WHERE and the measure's FILTER.
 */
static Node *
flatten_measure(Aggref *agg, Node *filter, FlattenContext *context)
{
	Node	   *arg = (Node *) linitial_node(TargetEntry, agg->args)->expr;
	MetricDefinition *part;
	Oid			metric;
	Oid			owner;
	Query	   *query;

	if (!IsA(arg, Var) || context->view.query == NULL ||
		!kpi_is_marker(metric_view_column(context, (Var *) arg), &metric))
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("measure() in the definition of metric %s does not read a measure of a metric view",
						kpi_relation_name(context->result->metric))));
	if (agg->aggdistinct != NIL || agg->aggorder != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("DISTINCT and ORDER BY have no meaning in measure()")));

	query = view_query(metric, &owner);
	part = flatten(metric, query, context->stack);
	if (part->source != context->view.source)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_SOURCE_MISMATCH),
				 errmsg("metric %s and its metric view do not have the same source",
						kpi_relation_name(metric))));
	context->result->reads =
		lappend(list_concat(context->result->reads, part->reads),
				make_read(metric,
						  kpi_compat_check_as_user(context->view.query,
												   rt_fetch(context->view.source_rti,
															context->view.query->rtable)),
						  first_column()));
	return kpi_and_filter(part->expr, filter);
}

/*
 * Bring an expression of the definition to the source's columns.
 */
static Node *
flatten_mutator(Node *node, FlattenContext *context)
{
	if (node == NULL)
		return NULL;

	if (IsA(node, Aggref))
	{
		Aggref	   *agg = (Aggref *) node;
		Node	   *filter;

		/* Both filters are over the definition's FROM; one of them is done */
		filter = flatten_mutator((Node *) agg->aggfilter, context);
		filter = make_and_qual(filter, copyObject(context->filter));

		if (agg->aggfnoid == kpi_require_objects()->measure)
			return flatten_measure(agg, filter, context);
		if (kpi_evaluates(kpi_require_objects(), agg->aggfnoid))
			ereport(ERROR,
					(errcode(ERRCODE_KPI_INVALID_METRIC),
					 errmsg("definition of metric %s has %s()",
							kpi_relation_name(context->result->metric),
							get_func_name(agg->aggfnoid)),
					 errdetail("A definition is made of metrics, not of the parts of a ratio."),
					 errhint("Define the part as a metric of its own, and write measure() of that.")));

		agg = (Aggref *) expression_tree_mutator(node, flatten_mutator, context);
		agg->aggfilter = (Expr *) filter;
		return (Node *) agg;
	}

	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		Oid			metric;

		if (var->varlevelsup != 0 || var->varno != context->rti ||
			var->varattno <= 0)
			elog(ERROR, "unexpected column reference in the definition of metric %s",
				 kpi_relation_name(context->result->metric));

		if (context->view.query != NULL)
		{
			Node	   *column = metric_view_column(context, var);

			if (kpi_is_marker(column, &metric))
				ereport(ERROR,
						(errcode(ERRCODE_KPI_INVALID_METRIC),
						 errmsg("metric %s reads measure %s outside measure()",
								kpi_relation_name(context->result->metric),
								kpi_relation_name(metric)),
						 errhint("Write measure(%s); a filter takes dimensions only.",
								 quote_identifier(get_rel_name(metric)))));
			return view_column_to_source(column, &context->view.source_rti);
		}
		context->columns = bms_add_member(context->columns,
										  var->varattno - FirstLowInvalidHeapAttributeNumber);

		var = copyObject(var);
		var->varno = var->varnosyn = 1;
		return (Node *) var;
	}

	return expression_tree_mutator(node, flatten_mutator, context);
}

/*
 * Flatten a definition that aggregates one relation.
 */
static void
flatten_aggregate(MetricDefinition *result, Query *query, Node *expr, List *stack)
{
	FlattenContext context = {0};
	RangeTblEntry *rte;

	context.rti = kpi_single_from_entry(query);
	context.result = result;
	context.stack = stack;
	rte = context.rti ? rt_fetch(context.rti, query->rtable) : NULL;
	if (rte == NULL || rte->rtekind != RTE_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("metric %s does not aggregate exactly one relation",
						kpi_relation_name(result->metric))));

	context.view = kpi_load_metric_view(rte->relid);
	result->source = context.view.query ? context.view.source : rte->relid;
	context.filter = flatten_mutator(query->jointree->quals, &context);
	result->expr = flatten_mutator(expr, &context);

	/* whoever defined this answers for what it reads, in any metric view */
	if (!bms_is_empty(context.columns))
		result->reads = lappend(result->reads,
								make_read(rte->relid,
										  kpi_compat_check_as_user(query, rte),
										  context.columns));
}

/* A derived metric's components while its expression is put together */
typedef struct ComponentContext
{
	MetricDefinition *result;
	Query	   *query;
	List	   *stack;
	bool		first;
} ComponentContext;

/*
 * Replace each component's column by the component's own expression.
 */
static Node *
component_mutator(Node *node, ComponentContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *rte = rt_fetch(var->varno, context->query->rtable);
		MetricDefinition *part;
		Query	   *query = NULL;
		Oid			owner;

		if (rte->rtekind == RTE_RELATION && var->varattno == 1)
			query = view_query(rte->relid, &owner);
		if (query == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_KPI_INVALID_METRIC),
					 errmsg("metric %s is neither an aggregate nor an expression over metrics",
							kpi_relation_name(context->result->metric))));

		part = flatten(rte->relid, query, context->stack);
		if (context->first)
			context->result->source = part->source;
		else if (context->result->source != part->source)
			context->result->source = InvalidOid;
		context->first = false;

		context->result->reads =
			lappend(list_concat(context->result->reads, part->reads),
					make_read(rte->relid,
							  kpi_compat_check_as_user(context->query, rte),
							  first_column()));
		return part->expr;
	}
	return expression_tree_mutator(node, component_mutator, context);
}

/*
 * Raise the error that names a cycle (M5).
 */
static void
report_cycle(Oid metric, List *stack)
{
	StringInfoData path;
	ListCell   *lc;
	bool		inside = false;

	initStringInfo(&path);
	foreach(lc, stack)
	{
		if (lfirst_oid(lc) == metric)
			inside = true;
		if (inside)
			appendStringInfo(&path, "%s -> ", kpi_relation_name(lfirst_oid(lc)));
	}
	appendStringInfoString(&path, kpi_relation_name(metric));
	ereport(ERROR,
			(errcode(ERRCODE_KPI_METRIC_CYCLE),
			 errmsg("metric %s is defined in terms of itself",
					kpi_relation_name(metric)),
			 errdetail("The cycle is %s.", path.data)));
}

/*
 * Flatten the query of a metric; "stack" holds the metrics being flattened.
 */
static MetricDefinition *
flatten(Oid metric, Query *query, List *stack)
{
	MetricDefinition *result = palloc0(sizeof(MetricDefinition));
	TargetEntry *tle;

	check_stack_depth();

	if (list_member_oid(stack, metric))
		report_cycle(metric, stack);
	stack = lappend_oid(list_copy(stack), metric);
	result->metric = metric;

	if (query == NULL || !is_plain_select(query) ||
		list_length(query->targetList) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("%s is not a metric", kpi_relation_name(metric)),
				 errdetail("A metric is a view of one aggregate expression over one relation, or of an expression over metrics."),
				 errhint("Define it with kpi.create_metric().")));
	tle = linitial_node(TargetEntry, query->targetList);

	if (query->hasAggs)
		flatten_aggregate(result, query, (Node *) tle->expr, stack);
	else
	{
		ComponentContext context = {0};

		context.result = result;
		context.query = query;
		context.stack = stack;
		context.first = true;
		if (query->jointree->quals != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_KPI_INVALID_METRIC),
					 errmsg("derived metric %s has a WHERE clause",
							kpi_relation_name(metric))));
		result->expr = component_mutator((Node *) tle->expr, &context);
		if (context.first)
			ereport(ERROR,
					(errcode(ERRCODE_KPI_INVALID_METRIC),
					 errmsg("%s is not a metric", kpi_relation_name(metric)),
					 errdetail("It is computed from neither rows nor metrics.")));
	}
	return result;
}

/*
 * Flatten a query that is, or is about to become, the definition of a metric.
 * "metric" may be InvalidOid for one that does not exist yet.
 */
MetricDefinition *
kpi_flatten_query(Oid metric, Query *query)
{
	return flatten(metric, query, NIL);
}

/*
 * What a metric means now.
 */
MetricDefinition *
kpi_load_definition(Oid metric)
{
	Oid			owner;

	return flatten(metric, view_query(metric, &owner), NIL);
}
