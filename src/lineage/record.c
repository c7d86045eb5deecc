/*
 * record.c
 *		Keeping the recorded lineage in step with DDL.
 *
 * An event trigger records what a command changed, and what hangs on it.  It
 * never fails the command and never waits for another session: when it cannot
 * record, it warns and marks the graph stale, and from then on readers derive
 * lineage from the catalogs until kpi.refresh_lineage() has been run.  An object
 * whose lineage cannot be derived at all is no reason for that, for nobody could
 * ever end it: it is named, and kpi.check() goes on naming it.
 *
 * src/lineage/record.c
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "tcop/cmdtag.h"
#include "tcop/deparse_utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/registry.h"

PG_FUNCTION_INFO_V1(kpi_changes_lineage);
PG_FUNCTION_INFO_V1(kpi_lock_lineage);
PG_FUNCTION_INFO_V1(kpi_record_lineage);

/* What is to be recorded */
typedef struct Recording
{
	bool		drops;
	bool		compares;		/* what compared or checked for others? */
	const char *command;
	char	   *role;
	List	   *underivable;	/* names of objects, each with its problem */
	char	   *problem;		/* why not all was recorded, or NULL */
} Recording;

/*
 * kpi.changes_lineage(pg_ddl_command): can a command change what columns there
 * are, what they are called, or what they come from?  Most of ALTER TABLE cannot.
 */
Datum
kpi_changes_lineage(PG_FUNCTION_ARGS)
{
	CollectedCommand *command = (CollectedCommand *) PG_GETARG_POINTER(0);
	ListCell   *lc;

	if (command->type != SCT_AlterTable)
		PG_RETURN_BOOL(true);
	foreach(lc, command->d.alterTable.subcmds)
	{
		Node	   *subcommand = ((CollectedATSubcmd *) lfirst(lc))->parsetree;

		switch (castNode(AlterTableCmd, subcommand)->subtype)
		{
			case AT_AddColumn:
			case AT_AddColumnRecurse:
			case AT_AddColumnToView:
			case AT_DropColumn:
			case AT_DropColumnRecurse:
			case AT_DropExpression:
			case AT_AlterColumnType:
			case AT_AddInherit:
			case AT_DropInherit:
			case AT_AddOf:
			case AT_DropOf:
			case AT_AttachPartition:
			case AT_DetachPartition:
			case AT_DetachPartitionFinalize:
				PG_RETURN_BOOL(true);
			default:
				break;
		}
	}
	PG_RETURN_BOOL(false);
}

/*
 * Take a lock on an object's part of the recorded graph, 0 being all of it, until
 * the transaction ends; who would have to wait is told by an error instead.
 */
static void
lock_graph(Oid object, LOCKMODE mode)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId,
					   get_relname_relid("lineage_edge", get_namespace_oid(KPI_SCHEMA, false)),
					   object, 0);
	if (LockAcquire(&tag, mode, false, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("another transaction is recording lineage of the same object")));
}

/*
 * kpi.lock_lineage(object): only one transaction at a time records an object, and
 * none while all of the graph, object 0, is recorded again.
 */
Datum
kpi_lock_lineage(PG_FUNCTION_ARGS)
{
	Oid			object = PG_GETARG_OID(0);

	if (OidIsValid(object))
		lock_graph(InvalidOid, RowExclusiveLock);
	lock_graph(object, ExclusiveLock);
	PG_RETURN_VOID();
}

/*
 * Take what was wrong with an object: its name, the problem, and whether that will
 * pass.
 */
static void
take_problem(HeapTuple row, TupleDesc desc, void *arg)
{
	Recording  *recording = arg;
	bool		isnull;

	if (DatumGetBool(kpi_row_value(row, desc, 3, &isnull)))
		recording->problem = kpi_row_text(row, desc, 2);
	else
		recording->underivable = lappend(recording->underivable,
										 list_make2(kpi_row_text(row, desc, 1),
													kpi_row_text(row, desc, 2)));
}

/*
 * Take whether something that was dropped may have brought functions to queries that do
 * not name it.
 */
static void
take_drop(HeapTuple row, TupleDesc desc, void *arg)
{
	Recording  *recording = arg;
	bool		isnull;

	recording->compares |= DatumGetBool(kpi_row_value(row, desc, 1, &isnull));
}

/*
 * Errand: record what a command changed, with the rights of the extension's owner.
 */
static void
record_body(void *arg)
{
	Recording  *recording = arg;
	Oid			argtypes[] = {TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(recording->command),
	CStringGetTextDatum(recording->role)};

	/* asked after every command: most are of no concern */
	if (recording->drops ?
		kpi_registry_read("SELECT compares FROM kpi.lineage_drop", 0, NULL, NULL,
						  take_drop, recording) == 0 :
		!kpi_registry_has("SELECT FROM kpi.lineage_ddl", 0, NULL, NULL))
		return;

	/* its snapshot may be older than what hangs on the object */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the transaction is REPEATABLE READ or SERIALIZABLE")));
	if (recording->drops)
		(void) kpi_registry_execute("SELECT kpi.record_lineage_of_drop($1, $2)",
									2, argtypes, values, NULL);
	/* the functions write, under snapshots of their own */
	if (recording->compares)
		(void) kpi_registry_read("SELECT r.name, r.problem, r.passing"
								 " FROM (SELECT pg_catalog.array_agg(target_class) AS classes, pg_catalog.array_agg(target) AS objects FROM kpi.lineage_edge"
								 " WHERE source_class OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass) AS c,"
								 " kpi.record_lineage(c.classes, c.objects, $1, $2, false) AS r",
								 2, argtypes, values, take_problem, recording);
	if (!recording->drops)
		(void) kpi_registry_read("SELECT r.name, r.problem, r.passing"
								 " FROM (SELECT pg_catalog.array_agg(class) AS classes, pg_catalog.array_agg(object) AS objects FROM kpi.lineage_ddl) AS c,"
								 " kpi.record_lineage_around(c.classes, c.objects, $1, $2) AS r",
								 2, argtypes, values, take_problem, recording);
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
 * Warn of objects whose lineage cannot be derived.
 */
static void
warn_of_underivable(Recording *recording)
{
	ListCell   *lc;

	foreach(lc, recording->underivable)
	{
		List	   *object = lfirst(lc);

		ereport(WARNING,
				(errmsg("could not derive the lineage of %s", (char *) linitial(object)),
				 errdetail_internal("%s", (char *) lsecond(object)),
				 errhint("It stays as it was recorded, and kpi.check() tells of it.")));
	}
}

/*
 * Event trigger on ddl_command_end and sql_drop
 */
Datum
kpi_record_lineage(PG_FUNCTION_ARGS)
{
	EventTriggerData *event = kpi_event(fcinfo);
	Recording	recording = {0};
	ErrorData  *error;

	if (event == NULL)
		PG_RETURN_NULL();

	recording.drops = strcmp(event->event, "sql_drop") == 0;
	recording.command = GetCommandTagName(event->tag);
	recording.role = GetUserNameFromId(GetUserId(), true);
	error = kpi_run_guarded(record_body, &recording);
	if (error != NULL)
		recording.problem = error->message;
	else
		warn_of_underivable(&recording);
	if (recording.problem == NULL)
		PG_RETURN_NULL();

	ereport(WARNING,
			(errmsg("could not record the lineage that %s changed", recording.command),
			 errdetail_internal("%s", recording.problem),
			 errhint("Run kpi.refresh_lineage(); until then lineage is derived at each reading.")));
	error = kpi_run_guarded(mark_stale_body, &recording);
	if (error != NULL)
		ereport(WARNING,
				(errmsg("could not mark the recorded lineage stale"),
				 errdetail_internal("%s", error->message)));
	PG_RETURN_NULL();
}
