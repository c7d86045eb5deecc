/*
 * inspect.c
 *		What has become of metrics and metric views since they were made.
 *
 * Their views are PostgreSQL's, and whoever owns them may replace them by CREATE OR
 * REPLACE VIEW, give them away or lose privileges.  What kpi.create_metric() and
 * kpi.create_metric_view() ask of a new view, kpi.check() asks of those that there
 * are: of their stored queries, with no lock, raising nothing, and running nothing
 * that is anybody's (S7, S9).
 *
 * A metric at which another one fails tells of that itself; it is told once.
 *
 * src/metric/inspect.c
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "catalog/reads.h"
#include "catalog/registry.h"
#include "metric/definition.h"
#include "metric/smallgroups.h"

PG_FUNCTION_INFO_V1(kpi_metric_problem);
PG_FUNCTION_INFO_V1(kpi_metric_limit);
PG_FUNCTION_INFO_V1(kpi_metric_view_problems);
PG_FUNCTION_INFO_V1(kpi_metric_view_missing_reads);
PG_FUNCTION_INFO_V1(kpi_metrics_read);

/*
 * Does a metric read a registered metric view that is none any more, and tells that?
 */
static bool
reads_broken_view(Query *query)
{
	int			rti = kpi_single_from_entry(query);
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[1];

	if (rti == 0 || rt_fetch(rti, query->rtable)->rtekind != RTE_RELATION)
		return false;
	values[0] = ObjectIdGetDatum(rt_fetch(rti, query->rtable)->relid);
	return kpi_look_at_metric_view(DatumGetObjectId(values[0])).query == NULL &&
		kpi_registry_has("SELECT FROM kpi.metric_view_registry"
						 " WHERE relid OPERATOR(pg_catalog.=) $1",
						 1, argtypes, values);
}

/*
 * What is wrong with the query of a metric, or NULL.
 */
static char *
metric_problem(Oid metric)
{
	bool		too_deep;
	Query	   *query = kpi_stored_query(metric, &too_deep);
	char	   *name = kpi_relation_name(metric);
	DefinitionFault *fault;
	Oid			culprit;

	if (too_deep)
		return psprintf("definition of metric %s is nested too deep to be looked at", name);
	if (query == NULL)
		return psprintf("%s is no view", name);
	fault = kpi_definition_fault(query, name, false);
	if (fault != NULL)
		return fault->message;
	if (kpi_look_at_definition(metric, &culprit) != NULL ||
		(culprit != metric && kpi_metric_is_registered(culprit)) || reads_broken_view(query))
		return NULL;
	return psprintf("definition of metric %s reads what cannot be read as a metric, or is too complex", name);
}

/*
 * kpi.metric_problem(regclass): why a view is none that kpi.create_metric() would
 * make, or NULL
 */
Datum
kpi_metric_problem(PG_FUNCTION_ARGS)
{
	char	   *problem = metric_problem(PG_GETARG_OID(0));

	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}

/*
 * kpi.metric_limit(regclass): the limit on small groups that a metric's own view
 * puts around its expression, whatever its components have; 0 for none
 */
Datum
kpi_metric_limit(PG_FUNCTION_ARGS)
{
	bool		too_deep;
	Query	   *query = kpi_stored_query(PG_GETARG_OID(0), &too_deep);

	if (query == NULL || list_length(query->targetList) != 1)
		PG_RETURN_NULL();
	PG_RETURN_INT32(kpi_small_group_limit_of((Node *) linitial_node(TargetEntry, query->targetList)->expr));
}

/*
 * Put a row of one text into a result.
 */
static void
put_text(ReturnSetInfo *rsinfo, char *text)
{
	Datum		values[1];
	bool		nulls[1] = {false};

	if (text == NULL)
		return;
	values[0] = CStringGetTextDatum(text);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * What is wrong with the FROM of a metric view, or NULL.
 */
static char *
source_problem(MetricViewQuery *view)
{
	RangeTblEntry *rte = rt_fetch(view->source_rti, view->query->rtable);

	if (rte->rtekind != RTE_RELATION)
		return "it reads a subquery or function";
	if (rte->tablesample != NULL)
		return "it reads a sample of its source";
	if (!rte->inh && rte->relkind != RELKIND_VIEW)
		return "it reads its source without partitions and children";
	return NULL;
}

/*
 * What is wrong with a column of a metric view, or NULL.
 */
static char *
column_problem(MetricViewQuery *view, Oid relid, TargetEntry *tle)
{
	char	   *name = get_attname(relid, tle->resno, true);
	Oid			metric;
	MetricDefinition *definition;
	const char *fault;
	Oid			type;

	if (!kpi_is_marker((Node *) tle->expr, &metric))
	{
		fault = kpi_dimension_fault(view->query, (Node *) tle->expr);
		return fault == NULL ? NULL : psprintf("dimension \"%s\" %s", name, fault);
	}
	if (get_rel_relkind(metric) != RELKIND_VIEW)
		return psprintf("measure \"%s\" names no metric", name);
	definition = kpi_look_at_definition(metric, NULL);
	if (definition == NULL)
		return NULL;			/* the metric tells */
	if (!OidIsValid(definition->source))
		return psprintf("measure \"%s\" publishes metric %s, whose components have several sources",
						name, kpi_relation_name(metric));
	if (definition->source != view->source)
		return psprintf("measure \"%s\" publishes metric %s, whose source is %s, not %s",
						name, kpi_relation_name(metric), kpi_relation_name(definition->source),
						kpi_relation_name(view->source));
	type = exprType(definition->expr);
	if (exprType((Node *) tle->expr) != type ||
		exprType(kpi_strip_coercions((Node *) tle->expr)) != type)
		return psprintf("measure \"%s\" has another type than metric %s", name,
						kpi_relation_name(metric));
	return NULL;
}

/*
 * kpi.metric_view_problems(regclass): why a view is none that
 * kpi.create_metric_view() would make
 */
Datum
kpi_metric_view_problems(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			relid = PG_GETARG_OID(0);
	MetricViewQuery view = kpi_look_at_metric_view(relid);
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (view.query == NULL)
	{
		put_text(rsinfo, "its view was replaced by something else");
		return (Datum) 0;
	}
	put_text(rsinfo, source_problem(&view));
	foreach(lc, view.query->targetList)
		put_text(rsinfo, column_problem(&view, relid, lfirst_node(TargetEntry, lc)));
	return (Datum) 0;
}

/*
 * kpi.metric_view_missing_reads(regclass): what the owner of a metric view reads for
 * its measures, and may not: the metrics, and their columns of the source
 */
Datum
kpi_metric_view_missing_reads(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			relid = PG_GETARG_OID(0);
	Oid			reader = kpi_view_reader(relid);
	MetricViewQuery view = kpi_look_at_metric_view(relid);
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, view.query == NULL ? NIL : view.query->targetList)
	{
		Oid			metric;
		MetricDefinition *definition;
		Bitmapset  *columns = NULL;

		if (!kpi_is_marker((Node *) lfirst_node(TargetEntry, lc)->expr, &metric))
			continue;
		kpi_put_missing_read(rsinfo, reader, metric,
							 bms_make_singleton(1 - FirstLowInvalidHeapAttributeNumber));
		definition = kpi_look_at_definition(metric, NULL);
		if (definition == NULL || definition->source != view.source)
			continue;
		pull_varattnos(definition->expr, 1, &columns);
		if (!bms_is_empty(columns))
			kpi_put_missing_read(rsinfo, reader, view.source, columns);
	}
	return (Datum) 0;
}

/*
 * Put a row of one relation into a result.
 */
static void
put_relation(ReturnSetInfo *rsinfo, Oid relid)
{
	Datum		values[1] = {ObjectIdGetDatum(relid)};
	bool		nulls[1] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * kpi.metrics_read(regclass): the metrics that a metric view publishes, or that a
 * metric is derived from
 */
Datum
kpi_metrics_read(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		too_deep;
	Query	   *query = kpi_stored_query(PG_GETARG_OID(0), &too_deep);
	ListCell   *lc;
	Oid			metric;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (query == NULL)
		return (Datum) 0;
	foreach(lc, query->targetList)
	{
		if (kpi_is_marker((Node *) lfirst_node(TargetEntry, lc)->expr, &metric))
			put_relation(rsinfo, metric);
	}
	foreach(lc, query->hasAggs || kpi_holds_marker((Node *) query->targetList, NULL) ? NIL : query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_RELATION && rte->inFromCl && rte->relkind == RELKIND_VIEW)
			put_relation(rsinfo, rte->relid);
	}
	return (Datum) 0;
}
