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
 * For a query, the relations read here are locked until the end of the transaction,
 * as the rewriter locks the views that it expands.  They come from the relation
 * cache, so a metric redefined by any session is seen at the next planning.  A
 * listing only looks: at the catalogs, without a lock, and what is no metric is no
 * error to it.
 *
 * Each metric is flattened once, however often it is a component.  An expression
 * that would grow beyond all measure on the way is refused before it does.
 *
 * A metric may be redefined by CREATE OR REPLACE VIEW behind our back; all
 * structure that the flattening relies on is therefore checked at each use,
 * while the rest of M13 (check.c) is asked when a metric is defined, and by
 * kpi.check().
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

/* Definitions of more nodes than these are refused */
#define MAX_DEFINITION_NODES	100000

/* How much of the stack who only looks may take, in bytes */
#define MAX_LOOK_STACK	(256 * 1024)

/* How definitions are read, and which have been */
typedef struct DefinitionLoad
{
	bool		looks;			/* lock nothing and raise nothing? */
	char	   *stack_base;		/* where the look began */
	bool		failed;			/* and so found that it is no metric */
	Oid			culprit;		/* the one that is at fault, of those on the way */
	List	   *done;			/* of MetricDefinition * */
	List	   *stack;			/* OIDs of metrics being flattened */
} DefinitionLoad;

static MetricDefinition *flatten(DefinitionLoad *load, Oid metric);
static MetricDefinition *flatten_query(DefinitionLoad *load, Oid metric, Query *query);

/*
 * Something is wrong with a definition: who only looks gives up here, others go on
 * to raise an error.
 */
static bool
gives_up(DefinitionLoad *load, Oid culprit)
{
	if (load->looks && !load->failed)
	{
		load->failed = true;
		load->culprit = culprit;
	}
	return load->looks;
}

/*
 * Go one step deeper.  Who only looks must not fail at what somebody nested without
 * end, and gives up before the stack is exhausted.
 */
static bool
goes_deeper(DefinitionLoad *load)
{
	char		here;

	if (!load->looks)
		check_stack_depth();
	else if (labs((long) (load->stack_base - &here)) > MAX_LOOK_STACK)
		(void) gives_up(load, load->stack == NIL ? InvalidOid : llast_oid(load->stack));
	return !load->failed;
}

/*
 * A copy of the query of a view, or NULL where the relation is no view.  A lock is
 * kept.
 */
static Query *
view_query(DefinitionLoad *load, Oid relid)
{
	Relation	rel;
	Query	   *query = NULL;
	bool		too_deep;

	if (load->looks)
		return get_rel_relkind(relid) == RELKIND_VIEW ?
			kpi_stored_query(relid, &too_deep) : NULL;
	rel = table_open(relid, AccessShareLock);
	if (rel->rd_rel->relkind == RELKIND_VIEW)
		query = copyObject(get_view_query(rel));
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
static MetricViewQuery
load_metric_view(DefinitionLoad *load, Oid relid)
{
	MetricViewQuery view = {0};
	Query	   *query;
	ListCell   *lc;
	bool		has_marker = false;

	if (get_rel_relkind(relid) != RELKIND_VIEW)
		return view;
	query = view_query(load, relid);
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
 * Take a metric view apart, which stays locked.
 */
MetricViewQuery
kpi_load_metric_view(Oid relid)
{
	DefinitionLoad load = {false};

	return load_metric_view(&load, relid);
}

/*
 * Take a metric view apart as it is now; nothing is locked.
 */
MetricViewQuery
kpi_look_at_metric_view(Oid relid)
{
	char		here;
	DefinitionLoad load = {true, &here};

	return load_metric_view(&load, relid);
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
 * Note that a relation is read, and as whom; once, with all columns.
 */
static void
add_read(MetricDefinition *definition, Oid relid, Oid check_as_user, Bitmapset *columns)
{
	DefinitionRead *read;
	ListCell   *lc;

	foreach(lc, definition->reads)
	{
		read = lfirst(lc);
		if (read->relid == relid && read->check_as_user == check_as_user)
		{
			read->columns = bms_union(read->columns, columns);
			return;
		}
	}
	read = palloc(sizeof(DefinitionRead));
	read->relid = relid;
	read->check_as_user = check_as_user;
	read->columns = columns;
	definition->reads = lappend(definition->reads, read);
}

/*
 * The one column of a metric, as permission data has it.
 */
static Bitmapset *
first_column(void)
{
	return bms_make_singleton(1 - FirstLowInvalidHeapAttributeNumber);
}

/*
 * Let a part of a definition count, before it is put in: its nodes, and a filter for
 * each of its aggregates.  False if that is too much.
 */
static bool
count_part(DefinitionLoad *load, MetricDefinition *definition, MetricDefinition *part,
		   int64 filter_nodes)
{
	ListCell   *lc;

	definition->nodes += part->nodes + part->aggregates * filter_nodes;
	definition->aggregates += part->aggregates;
	foreach(lc, part->reads)
	{
		DefinitionRead *read = lfirst(lc);

		add_read(definition, read->relid, read->check_as_user, read->columns);
	}
	if (definition->nodes <= MAX_DEFINITION_NODES)
		return true;
	if (gives_up(load, definition->metric))
		return false;
	ereport(ERROR,
			(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
			 errmsg("definition of metric %s is too complex",
					kpi_relation_name(definition->metric)),
			 errdetail("With its components written out it has more than %d nodes.",
					   MAX_DEFINITION_NODES),
			 errhint("Components that are named several times are written out as often; name them once.")));
	return false;
}

/*
 * A part of a definition must be of the type that it was taken for when the
 * definition was made: its view may have been made again by hand since, or a marker
 * promise anything (S7).
 */
static bool
check_part_type(DefinitionLoad *load, MetricDefinition *part, Oid promised)
{
	Oid			type = exprType(part->expr);

	if (type == promised)
		return true;
	if (gives_up(load, llast_oid(load->stack)))
		return false;
	ereport(ERROR,
			(errcode(ERRCODE_KPI_SOURCE_MISMATCH),
			 errmsg("metric %s has type %s, not %s as where it is read",
					kpi_relation_name(part->metric), format_type_be(type),
					format_type_be(promised)),
			 errhint("Create what reads it again.")));
	return false;
}

/* How the columns of a definition's FROM turn into those of the source */
typedef struct FlattenContext
{
	DefinitionLoad *load;
	int			rti;			/* the relation in the definition's FROM */
	MetricViewQuery view;		/* where that is a metric view */
	MetricDefinition *result;
	Node	   *filter;			/* the WHERE, over the source; or NULL */
	Bitmapset  *columns;		/* of the relation, that were used */
} FlattenContext;

/*
 * Walker: count nodes.
 */
static bool
count_nodes(Node *node, int64 *count)
{
	if (node == NULL)
		return false;
	(*count)++;
	return expression_tree_walker(node, count_nodes, count);
}

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
 * The column of the metric view that a Var of the definition names, or NULL.
 */
static Node *
metric_view_column(FlattenContext *context, Var *var)
{
	TargetEntry *tle = get_tle_by_resno(context->view.query->targetList,
										var->varattno);

	/* the view may have been made again with other columns */
	if (tle == NULL || exprType((Node *) tle->expr) != var->vartype)
	{
		if (gives_up(context->load, context->result->metric))
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_KPI_SOURCE_MISMATCH),
				 errmsg("column %d of the metric view that metric %s reads is not what it was",
						var->varattno, kpi_relation_name(context->result->metric)),
				 errhint("Define the metric again with kpi.alter_metric().")));
	}
	context->columns = bms_add_member(context->columns,
									  var->varattno - FirstLowInvalidHeapAttributeNumber);
	return (Node *) tle->expr;
}

/*
 * The metric that measure() in a definition names, by a column of a metric view;
 * InvalidOid where it names none.
 */
static Oid
measured_metric(Aggref *agg, FlattenContext *context)
{
	Node	   *arg = (Node *) linitial_node(TargetEntry, agg->args)->expr;
	Node	   *column = NULL;
	Oid			metric;

	if (IsA(arg, Var) && context->view.query != NULL)
		column = metric_view_column(context, (Var *) arg);
	if (context->load->failed)
		return InvalidOid;
	if (column == NULL || !kpi_is_marker(column, &metric))
	{
		if (gives_up(context->load, context->result->metric))
			return InvalidOid;
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("measure() in the definition of metric %s does not read a measure of a metric view",
						kpi_relation_name(context->result->metric))));
	}
	if (agg->aggdistinct != NIL || agg->aggorder != NIL)
	{
		if (gives_up(context->load, context->result->metric))
			return InvalidOid;
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("DISTINCT and ORDER BY have no meaning in measure()")));
	}
	return metric;
}

/*
 * measure(column of a metric view) inside a definition: the metric that the
 * column names, narrowed by this definition's WHERE and the measure's FILTER.
 */
static Node *
flatten_measure(Aggref *agg, Node *filter, FlattenContext *context)
{
	Oid			metric = measured_metric(agg, context);
	MetricDefinition *part = OidIsValid(metric) ? flatten(context->load, metric) : NULL;
	int64		filter_nodes = 0;

	if (part == NULL || !check_part_type(context->load, part, agg->aggtype))
		return NULL;
	if (part->source != context->view.source)
	{
		if (gives_up(context->load, metric))
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_KPI_SOURCE_MISMATCH),
				 errmsg("metric %s and its metric view do not have the same source",
						kpi_relation_name(metric))));
	}
	(void) count_nodes(filter, &filter_nodes);
	if (!count_part(context->load, context->result, part, filter_nodes))
		return NULL;
	add_read(context->result, metric,
			 kpi_compat_check_as_user(context->view.query,
									  rt_fetch(context->view.source_rti,
											   context->view.query->rtable)),
			 first_column());
	return kpi_and_filter(part->expr, filter);
}

/*
 * A column of the definition's FROM as one of the source.
 */
static Node *
flatten_var(Var *var, FlattenContext *context)
{
	Oid			metric;
	Node	   *column;

	if (var->varlevelsup != 0 || var->varno != context->rti || var->varattno <= 0)
	{
		if (gives_up(context->load, context->result->metric))
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("definition of metric %s has a whole-row or system column",
						kpi_relation_name(context->result->metric)),
				 errdetail("A metric is computed from columns; write count(*) to count rows.")));
	}
	if (context->view.query == NULL)
	{
		context->columns = bms_add_member(context->columns,
										  var->varattno - FirstLowInvalidHeapAttributeNumber);
		var = copyObject(var);
		var->varno = var->varnosyn = 1;
		return (Node *) var;
	}

	column = metric_view_column(context, var);
	if (column == NULL)
		return NULL;
	if (kpi_is_marker(column, &metric))
	{
		if (gives_up(context->load, context->result->metric))
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("metric %s reads measure %s outside measure()",
						kpi_relation_name(context->result->metric),
						kpi_relation_name(metric)),
				 errhint("Write measure(%s); a filter takes dimensions only.",
						 quote_identifier(get_rel_name(metric)))));
	}
	return view_column_to_source(column, &context->view.source_rti);
}

/*
 * Bring an expression of the definition to the source's columns.
 */
static Node *
flatten_mutator(Node *node, FlattenContext *context)
{
	if (node == NULL || !goes_deeper(context->load))
		return NULL;
	context->result->nodes++;

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
		{
			if (gives_up(context->load, context->result->metric))
				return NULL;
			ereport(ERROR,
					(errcode(ERRCODE_KPI_INVALID_METRIC),
					 errmsg("definition of metric %s has %s()",
							kpi_relation_name(context->result->metric),
							get_func_name(agg->aggfnoid)),
					 errdetail("A definition is made of metrics, not of the parts of a ratio."),
					 errhint("Define the part as a metric of its own, and write measure() of that.")));
		}

		context->result->aggregates++;
		agg = (Aggref *) expression_tree_mutator(node, flatten_mutator, context);
		agg->aggfilter = (Expr *) filter;
		return (Node *) agg;
	}
	if (IsA(node, Var))
		return flatten_var((Var *) node, context);
	return expression_tree_mutator(node, flatten_mutator, context);
}

/*
 * Flatten a definition that aggregates one relation.
 */
static void
flatten_aggregate(DefinitionLoad *load, MetricDefinition *result, Query *query, Node *expr)
{
	FlattenContext context = {0};
	RangeTblEntry *rte;

	context.load = load;
	context.rti = kpi_single_from_entry(query);
	context.result = result;
	rte = context.rti ? rt_fetch(context.rti, query->rtable) : NULL;
	if (rte == NULL || rte->rtekind != RTE_RELATION)
	{
		if (gives_up(load, result->metric))
			return;
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("metric %s does not aggregate exactly one relation",
						kpi_relation_name(result->metric))));
	}

	context.view = load_metric_view(load, rte->relid);
	result->source = context.view.query ? context.view.source : rte->relid;
	context.filter = flatten_mutator(query->jointree->quals, &context);
	result->expr = flatten_mutator(expr, &context);

	/*
	 * Whoever defined this answers for what it reads, in any metric view.
	 * What reads no column, as count(*), takes a privilege on one, whichever.
	 */
	add_read(result, rte->relid, kpi_compat_check_as_user(query, rte), context.columns);
}

/* A derived metric's components while its expression is put together */
typedef struct ComponentContext
{
	DefinitionLoad *load;
	MetricDefinition *result;
	Query	   *query;
	bool		first;
} ComponentContext;

/*
 * The expression of a component, for its column.
 */
static Node *
flatten_component(Var *var, ComponentContext *context)
{
	RangeTblEntry *rte = rt_fetch(var->varno, context->query->rtable);
	MetricDefinition *part;

	if (rte->rtekind != RTE_RELATION || var->varattno != 1 || var->varlevelsup != 0 ||
		get_rel_relkind(rte->relid) != RELKIND_VIEW)
	{
		if (gives_up(context->load, context->result->metric))
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("metric %s is neither an aggregate nor an expression over metrics",
						kpi_relation_name(context->result->metric))));
	}
	part = flatten(context->load, rte->relid);
	if (part == NULL || !check_part_type(context->load, part, var->vartype) ||
		!count_part(context->load, context->result, part, 0))
		return NULL;
	if (context->first)
		context->result->source = part->source;
	else if (context->result->source != part->source)
		context->result->source = InvalidOid;
	context->first = false;
	add_read(context->result, rte->relid, kpi_compat_check_as_user(context->query, rte),
			 first_column());
	return part->expr;
}

/*
 * Replace each component's column by the component's own expression.
 */
static Node *
component_mutator(Node *node, ComponentContext *context)
{
	if (node == NULL || !goes_deeper(context->load))
		return NULL;
	context->result->nodes++;
	if (IsA(node, Var))
		return flatten_component((Var *) node, context);
	return expression_tree_mutator(node, component_mutator, context);
}

/*
 * Flatten a definition that is computed from metrics.
 */
static void
flatten_derived(DefinitionLoad *load, MetricDefinition *result, Query *query, Node *expr)
{
	ComponentContext context = {0};

	context.load = load;
	context.result = result;
	context.query = query;
	context.first = true;
	if (query->jointree->quals != NULL)
	{
		if (gives_up(load, result->metric))
			return;
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("derived metric %s has a WHERE clause",
						kpi_relation_name(result->metric))));
	}
	result->expr = component_mutator(expr, &context);
	if (context.first && !load->failed)
	{
		if (gives_up(load, result->metric))
			return;
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("%s is not a metric", kpi_relation_name(result->metric)),
				 errdetail("It is computed from neither rows nor metrics.")));
	}
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
 * Flatten the query of a metric.  NULL for who only looks and finds none.
 */
static MetricDefinition *
flatten_query(DefinitionLoad *load, Oid metric, Query *query)
{
	MetricDefinition *result = palloc0(sizeof(MetricDefinition));
	Node	   *expr;

	if (!goes_deeper(load))
		return NULL;
	if (list_member_oid(load->stack, metric))
	{
		if (gives_up(load, metric))
			return NULL;
		report_cycle(metric, load->stack);
	}
	if (query == NULL || !is_plain_select(query) ||
		list_length(query->targetList) != 1)
	{
		if (gives_up(load, metric))
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_KPI_INVALID_METRIC),
				 errmsg("%s is not a metric", kpi_relation_name(metric)),
				 errdetail("A metric is a view of one aggregate expression over one relation, or of an expression over metrics."),
				 errhint("Define it with kpi.create_metric().")));
	}
	result->metric = metric;
	expr = (Node *) linitial_node(TargetEntry, query->targetList)->expr;
	load->stack = lappend_oid(load->stack, metric);
	if (query->hasAggs)
		flatten_aggregate(load, result, query, expr);
	else
		flatten_derived(load, result, query, expr);
	load->stack = list_delete_last(load->stack);
	if (load->failed)
		return NULL;
	load->done = lappend(load->done, result);
	return result;
}

/*
 * Flatten a metric, unless that has been done.
 */
static MetricDefinition *
flatten(DefinitionLoad *load, Oid metric)
{
	ListCell   *lc;

	foreach(lc, load->done)
	{
		MetricDefinition *done = lfirst(lc);

		if (done->metric == metric)
			return done;
	}
	return flatten_query(load, metric, view_query(load, metric));
}

/*
 * Flatten a query that is about to become the definition of a metric.
 */
MetricDefinition *
kpi_flatten_query(Oid metric, Query *query)
{
	DefinitionLoad load = {false};

	return flatten_query(&load, metric, query);
}

/*
 * What a metric means now; it stays locked.
 */
MetricDefinition *
kpi_load_definition(Oid metric)
{
	DefinitionLoad load = {false};

	return flatten(&load, metric);
}

/*
 * What a metric means now, or NULL for what is none, and which metric on the way is
 * at fault for that; nothing is locked.
 */
MetricDefinition *
kpi_look_at_definition(Oid metric, Oid *culprit)
{
	char		here;
	DefinitionLoad load = {true, &here};
	MetricDefinition *result = flatten(&load, metric);

	if (culprit != NULL)
		*culprit = load.culprit;
	return result;
}
