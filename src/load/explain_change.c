/*
 * explain_change.c
 *		What a metric was in two periods, by the members of a dimension.
 *
 * kpi.explain_change() asks which members moved a metric.  The numbers behind its
 * answer come from one query over a metric view that publishes the metric,
 * written here and run as the caller, by the caller's search_path and TimeZone, so
 * that privileges, scopes and small groups hold as in any query:
 *		SELECT by, measure(m) FILTER (WHERE before), measure(m) FILTER (WHERE after)
 *		FROM view WHERE before OR after GROUP BY GROUPING SETS ((by), ())
 * Members and total are evaluated at their own grain (M2).  A ratio comes with its
 * numerator and denominator; what is computed from them is SQL, see
 * explain_change.sql.
 *
 * A group may have rows in one period only, which GROUP BY alone never brings
 * about, and a definition may divide by what is zero then.  So a ratio is asked
 * for only where its denominator is not zero, and other metrics, but for counts
 * and sums, only where there are rows.
 *
 * src/load/explain_change.c
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/nodeFuncs.h"
#include "nodes/params.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rangetypes.h"
#include "utils/typcache.h"

#include "catalog/catalog.h"
#include "catalog/names.h"
#include "catalog/registry.h"
#include "metric/additivity.h"
#include "metric/definition.h"
#include "metric/metric.h"
#include "metric/ratio.h"

PG_FUNCTION_INFO_V1(kpi_compare_periods);

/* A period as the query has it */
typedef struct Period
{
	RangeType  *range;
	RangeBound	bounds[2];		/* lower and upper */
	char	   *condition;		/* on the time dimension */
} Period;

/* Parameters of the query: two bounds of each period, and what loads are of */
enum Parameter
{
	PARAM_BEFORE = 1,
	PARAM_AFTER = 3,
	PARAM_METRIC = 5,
	PARAM_HULL = 6,
	PARAM_COUNT = 6
};

/* Two periods of a metric, and the columns that they are read from */
typedef struct Comparison
{
	Oid			metric;
	Oid			view;
	char	   *measure;		/* columns of the view, quoted */
	char	   *by;
	char	   *time;
	Oid			time_type;
	char	   *dimension;		/* that has its keys in "by", or NULL */
	MetricDefinition *definition;
	MetricRatio *ratio;			/* or NULL */
	Period		before;
	Period		after;
} Comparison;

/*
 * What PostgreSQL knows about the type daterange.
 */
static TypeCacheEntry *
daterange_type(void)
{
	return lookup_type_cache(DATERANGEOID, TYPECACHE_RANGE_INFO);
}

/*
 * Read one period, which must hold a day.
 */
static void
read_period(Period *period, RangeType *range, const char *name)
{
	bool		empty;

	period->range = range;
	range_deserialize(daterange_type(), range, &period->bounds[0], &period->bounds[1],
					  &empty);
	if (empty)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("period \"%s\" is empty", name),
				 errhint("Give the days from the first on, up to and without the one after the last, as in daterange('2026-01-01', '2026-02-01').")));
}

/*
 * A row must not be in both periods, or it is no change.
 */
static void
check_disjoint(Comparison *comparison)
{
	if (range_overlaps_internal(daterange_type(), comparison->before.range,
								comparison->after.range))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("periods \"before\" and \"after\" overlap"),
				 errdetail("Rows of the days that they share would be in both.")));
}

/*
 * Raise the error for no metric view, or none that will do.
 */
static void
report_no_view(Comparison *comparison, const char *by)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 OidIsValid(comparison->view) ?
			 errmsg("metric view %s does not show metric %s by \"%s\" over time",
					kpi_relation_name(comparison->view),
					kpi_relation_name(comparison->metric), by) :
			 errmsg("no metric view shows metric %s by \"%s\" over time",
					kpi_relation_name(comparison->metric), by),
			 errdetail("It must publish the metric and have this dimension and a time dimension, all three for the current user to read; one that is not named must belong to the owner of the metric."),
			 errhint("kpi.measures and kpi.dimensions list what there is: name one as metric_view, or add to one by kpi.alter_metric_view().")));
}

/*
 * Raise the error for several metric views to choose from: the ones that the
 * query of find_view() has found.
 */
static void
report_several_views(Comparison *comparison)
{
	StringInfoData names;

	initStringInfo(&names);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		view = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
										 1, &isnull);

		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "",
						 kpi_relation_name(DatumGetObjectId(view)));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("several metric views show metric %s",
					kpi_relation_name(comparison->metric)),
			 errdetail("They are %s.", names.data),
			 errhint("Name one of them as metric_view.")));
}

/*
 * The dimension of scopes whose keys a column of the metric view holds, or NULL.
 */
static char *
scope_dimension(Oid view, AttrNumber attnum)
{
	MetricViewQuery parts = kpi_load_metric_view(view);
	TargetEntry *tle = get_tle_by_resno(parts.query->targetList, attnum);
	Oid			argtypes[] = {REGCLASSOID, TEXTOID};
	Datum		values[2];
	Datum		dimension;
	bool		isnull;

	if (!IsA(tle->expr, Var))
		return NULL;
	values[0] = ObjectIdGetDatum(parts.source);
	values[1] = CStringGetTextDatum(get_attname(parts.source,
												((Var *) tle->expr)->varattno, false));
	dimension = kpi_registry_value("SELECT dimension FROM kpi.protection_registry"
								   " WHERE relid OPERATOR(pg_catalog.=) $1"
								   " AND attname OPERATOR(pg_catalog.=) $2"
								   " ORDER BY dimension LIMIT 1",
								   2, argtypes, values, &isnull);
	return isnull ? NULL : TextDatumGetCString(dimension);
}

/*
 * Are there metric views that show the metric by a dimension of this name?  They are
 * what SPI has then.
 *
 * A query of a metric view runs what its owner put into it with the reader's rights,
 * so one that the caller did not name belongs to whoever the caller trusts with the
 * metric: its owner, a superuser or the caller (S7).
 */
static bool
views_show(const char *by, void *arg)
{
	Comparison *comparison = arg;
	Oid			argtypes[] = {REGCLASSOID, TEXTOID, REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(comparison->metric), CStringGetTextDatum(by),
	ObjectIdGetDatum(comparison->view)};

	if (SPI_execute_with_args("SELECT DISTINCT ON (m.metric_view)"
							  " m.metric_view, m.name, t.position, d.position"
							  " FROM kpi.measures AS m"
							  " JOIN pg_catalog.pg_class AS v ON v.oid OPERATOR(pg_catalog.=) m.metric_view::pg_catalog.oid"
							  " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) m.metric::pg_catalog.oid"
							  " JOIN pg_catalog.pg_roles AS o ON o.oid OPERATOR(pg_catalog.=) v.relowner"
							  " JOIN kpi.dimensions AS t"
							  " ON t.metric_view OPERATOR(pg_catalog.=) m.metric_view"
							  " AND t.is_time"
							  " JOIN kpi.dimensions AS d"
							  " ON d.metric_view OPERATOR(pg_catalog.=) m.metric_view"
							  " AND d.name OPERATOR(pg_catalog.=) $2"
							  " WHERE m.metric OPERATOR(pg_catalog.=) $1"
							  " AND CASE WHEN $3 OPERATOR(pg_catalog.=) 0"
							  "  THEN v.relowner OPERATOR(pg_catalog.=) c.relowner OR o.rolsuper"
							  "   OR o.rolname OPERATOR(pg_catalog.=) current_user"
							  "  ELSE m.metric_view OPERATOR(pg_catalog.=) $3 END"
							  " ORDER BY m.metric_view, m.position",
							  3, argtypes, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for metric views");
	return SPI_processed > 0;
}

/*
 * Find the metric view to read, the given one or the only one that the current
 * user may read, and the columns in it.
 */
static void
find_view(Comparison *comparison, const char *by)
{
	HeapTuple	row;
	TupleDesc	tupdesc;
	AttrNumber	time;
	bool		isnull;

	by = kpi_resolve_name(by, "by", false, views_show, comparison);
	if (SPI_processed == 0)
		report_no_view(comparison, by);
	if (SPI_processed > 1)
		report_several_views(comparison);

	row = SPI_tuptable->vals[0];
	tupdesc = SPI_tuptable->tupdesc;
	comparison->view = DatumGetObjectId(SPI_getbinval(row, tupdesc, 1, &isnull));
	comparison->measure = pstrdup(quote_identifier(SPI_getvalue(row, tupdesc, 2)));
	time = DatumGetInt16(SPI_getbinval(row, tupdesc, 3, &isnull));
	comparison->time = pstrdup(quote_identifier(get_attname(comparison->view, time, false)));
	comparison->time_type = get_atttype(comparison->view, time);
	comparison->by = pstrdup(quote_identifier(by));
	comparison->dimension =
		scope_dimension(comparison->view,
						DatumGetInt16(SPI_getbinval(row, tupdesc, 4, &isnull)));
}

/*
 * What is compared must be a number.
 */
static void
load_metric(Comparison *comparison)
{
	Oid			type;

	comparison->definition = kpi_load_definition(comparison->metric);
	comparison->ratio = kpi_ratio_of(comparison->definition->expr);
	type = exprType(comparison->definition->expr);
	if (TypeCategory(type) != TYPCATEGORY_NUMERIC)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("metric %s has type %s, which is not a number",
						kpi_relation_name(comparison->metric), format_type_be(type))));
}

/*
 * The moment at which a day begins, in the type of the time dimension.
 */
static Datum
day_as(Oid type, Datum day)
{
	switch (type)
	{
		case DATEOID:
			return day;
		case TIMESTAMPOID:
			return DirectFunctionCall1(date_timestamp, day);
		case TIMESTAMPTZOID:
			return DirectFunctionCall1(date_timestamptz, day);
	}
	elog(ERROR, "unexpected type of a time dimension: %u", type);
}

/*
 * Set a parameter of the query.
 */
static void
set_parameter(ParamListInfo params, int n, Oid type, Datum value)
{
	params->params[n - 1].value = value;
	params->params[n - 1].isnull = false;
	params->params[n - 1].pflags = PARAM_FLAG_CONST;
	params->params[n - 1].ptype = type;
}

/*
 * Write the condition of a period, with parameters from the given one on; a side
 * without a bound has none.
 */
static void
bind_period(Comparison *comparison, Period *period, ParamListInfo params, int first)
{
	static const char *const operators[2][2] = {{">", ">="}, {"<", "<="}};
	StringInfoData condition;

	initStringInfo(&condition);
	for (int side = 0; side < 2; side++)
	{
		RangeBound *bound = &period->bounds[side];

		set_parameter(params, first + side, comparison->time_type, (Datum) 0);
		params->params[first + side - 1].isnull = bound->infinite;
		if (bound->infinite)
			continue;
		set_parameter(params, first + side, comparison->time_type,
					  day_as(comparison->time_type, bound->val));
		appendStringInfo(&condition, "%sv.%s OPERATOR(pg_catalog.%s) $%d",
						 condition.len > 0 ? " AND " : "", comparison->time,
						 operators[side][bound->inclusive], first + side);
	}
	period->condition = condition.data;
}

/*
 * measure() of the metric in a period, or a part of it, as a number.
 */
static char *
part_in(Comparison *comparison, const char *function, Period *period)
{
	return psprintf("CAST(kpi.%s(v.%s) FILTER (WHERE %s) AS pg_catalog.numeric)",
					function, comparison->measure, period->condition);
}

/*
 * count(*) in a period
 */
static char *
rows_in(Period *period)
{
	return psprintf("pg_catalog.count(*) FILTER (WHERE %s)", period->condition);
}

/*
 * Append the columns of one period but those of both: value, numerator,
 * denominator.
 */
static void
append_period(StringInfo sql, Comparison *comparison, Period *period)
{
	char	   *value = part_in(comparison, "measure", period);
	Node	   *expr = comparison->definition->expr;

	if (comparison->ratio != NULL)
	{
		char	   *denominator = part_in(comparison, "denominator", period);

		appendStringInfo(sql, ", CASE WHEN %s OPERATOR(pg_catalog.<>) 0 THEN %s END, %s, %s",
						 denominator, value,
						 part_in(comparison, "numerator", period), denominator);
		return;
	}
	if (kpi_sums_up(expr) || kpi_counts(expr))
		appendStringInfo(sql, ", %s", value);
	else
		appendStringInfo(sql, ", CASE WHEN %s OPERATOR(pg_catalog.>) 0 THEN %s END",
						 rows_in(period), value);
	appendStringInfoString(sql, ", CAST(NULL AS pg_catalog.numeric), CAST(NULL AS pg_catalog.numeric)");
}

/*
 * Append the condition under which the limit of small groups has taken the parts
 * of a ratio in a period.
 */
static void
append_suppressed(StringInfo sql, Comparison *comparison, Period *period)
{
	appendStringInfo(sql, "%s OPERATOR(pg_catalog.>) 0 AND %s IS NULL",
					 rows_in(period), part_in(comparison, "denominator", period));
}

/*
 * The query: groups with their values, then the loads behind them.
 */
static char *
comparison_query(Comparison *comparison)
{
	StringInfoData sql;
	Period	   *before = &comparison->before;
	Period	   *after = &comparison->after;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "WITH part AS MATERIALIZED (SELECT CAST(v.%s AS pg_catalog.text) AS member,"
					 " GROUPING(v.%s) OPERATOR(pg_catalog.=) 1 AS is_total",
					 comparison->by, comparison->by);
	append_period(&sql, comparison, before);
	append_period(&sql, comparison, after);
	appendStringInfoString(&sql, ", ");
	if (comparison->ratio != NULL && comparison->ratio->limited)
	{
		append_suppressed(&sql, comparison, before);
		appendStringInfoString(&sql, " OR ");
		append_suppressed(&sql, comparison, after);
	}
	else
		appendStringInfoString(&sql, "false");
	appendStringInfo(&sql,
					 " FROM %s AS v WHERE %s OR %s"
					 " GROUP BY GROUPING SETS ((v.%s), ())),"
					 " load AS MATERIALIZED (SELECT l.members FROM kpi.loads($%d, NULL, $%d) AS l)"
					 " SELECT part.*, CASE WHEN part.is_total"
					 " THEN (SELECT pg_catalog.count(*) FROM load)",
					 kpi_relation_name(comparison->view),
					 before->condition, after->condition, comparison->by,
					 PARAM_METRIC, PARAM_HULL);
	if (comparison->dimension == NULL)
		appendStringInfoString(&sql, " END FROM part");
	else
		appendStringInfo(&sql,
						 " ELSE COALESCE(touched.loads, 0) END"
						 " FROM part LEFT JOIN (SELECT member, pg_catalog.count(*) AS loads"
						 " FROM load, pg_catalog.jsonb_array_elements_text"
						 "(load.members OPERATOR(pg_catalog.->) %s) AS member"
						 " GROUP BY member) AS touched"
						 " ON touched.member OPERATOR(pg_catalog.=) part.member",
						 quote_literal_cstr(comparison->dimension));
	return sql.data;
}

/*
 * Run the query into the function's result.
 */
static void
run_query(const char *sql, ParamListInfo params, ReturnSetInfo *rsinfo)
{
	SPIExecuteOptions options = {0};

	options.params = params;
	options.read_only = true;
	options.dest = CreateDestReceiver(DestTuplestore);
	SetTuplestoreDestReceiverParams(options.dest, rsinfo->setResult,
									rsinfo->econtext->ecxt_per_query_memory,
									false, rsinfo->setDesc,
									"columns of the comparison do not match its result type");
	if (SPI_execute_extended(sql, &options) != SPI_OK_SELECT)
		elog(ERROR, "could not compare periods");
	options.dest->rDestroy(options.dest);
}

/*
 * kpi.compare_periods(metric, before, after, by, metric_view)
 */
Datum
kpi_compare_periods(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"metric", "before", "after", "by"};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ParamListInfo params = makeParamList(PARAM_COUNT);
	Comparison	comparison = {0};
	char	   *by;

	for (int i = 0; i < lengthof(names); i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", names[i])));

	comparison.metric = PG_GETARG_OID(0);
	read_period(&comparison.before, PG_GETARG_RANGE_P(1), names[1]);
	read_period(&comparison.after, PG_GETARG_RANGE_P(2), names[2]);
	by = text_to_cstring(PG_GETARG_TEXT_PP(3));
	comparison.view = PG_ARGISNULL(4) ? InvalidOid : PG_GETARG_OID(4);
	check_disjoint(&comparison);
	kpi_require_metric(comparison.metric);

	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");

	find_view(&comparison, by);
	load_metric(&comparison);
	bind_period(&comparison, &comparison.before, params, PARAM_BEFORE);
	bind_period(&comparison, &comparison.after, params, PARAM_AFTER);
	set_parameter(params, PARAM_METRIC, TEXTOID,
				  CStringGetTextDatum(kpi_relation_name(comparison.metric)));
	set_parameter(params, PARAM_HULL, DATERANGEOID,
				  RangeTypePGetDatum(range_union_internal(daterange_type(),
														  comparison.before.range,
														  comparison.after.range,
														  false)));
	run_query(comparison_query(&comparison), params, rsinfo);

	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	return (Datum) 0;
}
