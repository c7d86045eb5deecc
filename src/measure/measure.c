/*
 * measure.c
 *		Settings, the planner hook, and what runs where the hook did not.
 *
 * A query tree reaches the planner with its views expanded and row security
 * applied.  The hook replaces the measures in it and hands it on; a statement
 * that holds none is handed on untouched after a look at its range table.
 *
 * The marker function and measure() are replaced before they run.  Where the
 * library is not loaded, or the planner never showed us the query, they run and
 * raise an error: a measure that is not governed has no value (M12).
 *
 * src/measure/measure.c
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
#include "errors.h"
#include "measure/measure.h"

PG_FUNCTION_INFO_V1(kpi_metric_column);
PG_FUNCTION_INFO_V1(kpi_measure_transition);
PG_FUNCTION_INFO_V1(kpi_measure_final);

int			kpi_carriers = CARRIERS_ANY;
int			kpi_ungrouped = UNGROUPED_CONTRIBUTION;

static const struct config_enum_entry carrier_options[] = {
	{"any", CARRIERS_ANY, false},
	{"strict", CARRIERS_STRICT, false},
	{NULL, 0, false}
};

static const struct config_enum_entry ungrouped_options[] = {
	{"contribution", UNGROUPED_CONTRIBUTION, false},
	{"null", UNGROUPED_NULL, false},
	{"error", UNGROUPED_ERROR, false},
	{NULL, 0, false}
};

static planner_hook_type next_planner = NULL;

/*
 * Plans of statements with measures hold the settings that they were made under, so a
 * change makes these anew, and no others: a function may have settings of its own, which
 * come and go with each call of it.
 *
 * A plan can be told to hang on something only by a hash value of the system caches of
 * types and functions.  This one is of no type, and if it were, such a plan would be made
 * anew when the type changes.
 */
#define SETTINGS_HASH	0x6b706974

/*
 * Make anew the plans that hold settings.  Called at any moment, also when a transaction
 * has failed: it must not touch catalogs.
 */
static void
settings_changed(void)
{
	CallSyscacheCallbacks(TYPEOID, SETTINGS_HASH);
}

/*
 * Let a plan be made anew when a setting changes.
 */
static void
depend_on_settings(PlannedStmt *plan)
{
	PlanInvalItem *item = makeNode(PlanInvalItem);

	item->cacheId = TYPEOID;
	item->hashValue = SETTINGS_HASH;
	plan->invalItems = lappend(plan->invalItems, item);
}

/*
 * kpitables.carriers is another one.
 */
static void
assign_carriers(int newval, void *extra)
{
	if (newval != kpi_carriers)
		settings_changed();
}

/*
 * The same for kpitables.ungrouped.
 */
static void
assign_ungrouped(int newval, void *extra)
{
	if (newval != kpi_ungrouped)
		settings_changed();
}

/*
 * Plan a statement, with its measures replaced.
 */
static PlannedStmt *
measure_planner(Query *parse, const char *query_string, int cursorOptions,
				ParamListInfo boundParams)
{
	PlannerGlobal *glob = NULL;
	bool		has_measures = false;
	PlannedStmt *result;

	if (parse->commandType != CMD_UTILITY &&
		kpi_may_have_measures(parse) &&
		IsTransactionState() &&
		kpi_objects() != NULL)
	{
		Rewrite		rewrite = {0};

		rewrite.glob = glob = makeNode(PlannerGlobal);
		glob->boundParams = boundParams;
		has_measures = kpi_rewrite_statement(parse, &rewrite);
	}

	if (next_planner)
		result = next_planner(parse, query_string, cursorOptions, boundParams);
	else
		result = standard_planner(parse, query_string, cursorOptions, boundParams);

	if (glob != NULL)
	{
		result->invalItems = list_concat(result->invalItems, glob->invalItems);
		result->relationOids = list_concat(result->relationOids, glob->relationOids);
		result->dependsOnRole |= glob->dependsOnRole;
	}
	if (has_measures)
		depend_on_settings(result);
	return result;
}

/*
 * Define the settings and join the planner's hooks.
 */
void
kpi_measure_init(void)
{
	DefineCustomEnumVariable("kpitables.carriers",
							 "Aggregates that may carry an additive measure.",
							 "With \"strict\", AVG, MIN and MAX of an additive measure are errors; with \"any\" they are its governed value, as SUM is.",
							 &kpi_carriers, CARRIERS_ANY, carrier_options,
							 PGC_USERSET, 0, NULL, assign_carriers, NULL);
	DefineCustomEnumVariable("kpitables.ungrouped",
							 "What a measure shows in a query that does not aggregate.",
							 "\"contribution\" shows what the row adds to an additive measure, and NULL for others; \"null\" shows NULL; \"error\" refuses.",
							 &kpi_ungrouped, UNGROUPED_CONTRIBUTION, ungrouped_options,
							 PGC_USERSET, 0, NULL, assign_ungrouped, NULL);

	next_planner = planner_hook;
	planner_hook = measure_planner;
}

/*
 * Say that a measure has come to be executed, and what to do about it.
 */
static void
report_not_rewritten(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_KPI_NOT_REWRITTEN),
			 errmsg("measure cannot be computed here"),
			 errdetail("The query was planned without kpitables, or does not read a metric view."),
			 errhint("Read a measure column of a metric view, and have \"kpitables\" in shared_preload_libraries or session_preload_libraries.")));
}

/*
 * kpi.metric_column(regclass, anyelement)
 */
Datum
kpi_metric_column(PG_FUNCTION_ARGS)
{
	report_not_rewritten();
	PG_RETURN_NULL();
}

/*
 * Transition function of kpi.measure(anyelement)
 */
Datum
kpi_measure_transition(PG_FUNCTION_ARGS)
{
	report_not_rewritten();
	PG_RETURN_NULL();
}

/*
 * Final function of kpi.measure(anyelement): for empty input, too
 */
Datum
kpi_measure_final(PG_FUNCTION_ARGS)
{
	report_not_rewritten();
	PG_RETURN_NULL();
}
