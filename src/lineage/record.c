/*
 * record.c
 *		Keeping the recorded lineage in step with DDL.
 *
 * An event trigger records what a command changed, and what hangs on it.  It
 * never fails the command and never waits for another session: when it cannot
 * record, it warns and marks the graph stale, and from then on readers derive
 * lineage from the catalogs until kpi.refresh_lineage() has been run.
 *
 * src/lineage/record.c
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/cmdtag.h"
#include "utils/builtins.h"

#include "catalog/catalog.h"

PG_FUNCTION_INFO_V1(kpi_record_lineage);

/* What is to be recorded */
typedef struct Recording
{
	const char *statement;
	const char *command;
	char	   *role;
	char	   *problem;
} Recording;

/*
 * Run the statement that records a command.
 */
static void
record_body(void *arg)
{
	Recording  *recording = arg;
	Oid			argtypes[] = {TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(recording->command),
	CStringGetTextDatum(recording->role)};

	(void) kpi_registry_execute(recording->statement, 2, argtypes, values, NULL);
}

/*
 * Mark the graph stale.
 */
static void
mark_stale_body(void *arg)
{
	Recording  *recording = arg;
	Oid			argtypes[] = {TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(recording->command),
	CStringGetTextDatum(recording->problem)};

	(void) kpi_registry_execute("INSERT INTO kpi.lineage_stale (command, problem) VALUES ($1, $2)",
								2, argtypes, values, NULL);
}

/*
 * Event trigger on ddl_command_end and sql_drop
 */
Datum
kpi_record_lineage(PG_FUNCTION_ARGS)
{
	EventTriggerData *trigdata = (EventTriggerData *) fcinfo->context;
	Recording	recording = {0};
	ErrorData  *error;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("not called by the event trigger manager")));
	if (kpi_objects() == NULL)
		PG_RETURN_NULL();

	recording.statement = strcmp(trigdata->event, "sql_drop") == 0 ?
		"SELECT kpi.record_lineage_of_drop($1, $2)" :
		"SELECT kpi.record_lineage_of_ddl($1, $2)";
	recording.command = GetCommandTagName(trigdata->tag);
	recording.role = GetUserNameFromId(GetUserId(), true);
	error = kpi_run_guarded(record_body, &recording);
	if (error == NULL)
		PG_RETURN_NULL();

	recording.problem = error->message;
	ereport(WARNING,
			(errmsg("could not record the lineage that %s changed", recording.command),
			 errdetail_internal("%s", error->message),
			 errhint("Lineage is derived at each reading until kpi.refresh_lineage() has been run.")));
	error = kpi_run_guarded(mark_stale_body, &recording);
	if (error != NULL)
		ereport(WARNING,
				(errmsg("could not mark the recorded lineage stale"),
				 errdetail_internal("%s", error->message)));
	PG_RETURN_NULL();
}
