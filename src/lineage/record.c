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

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "tcop/cmdtag.h"
#include "tcop/deparse_utility.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/events.h"
#include "catalog/registry.h"

PG_FUNCTION_INFO_V1(kpi_changes_lineage);
PG_FUNCTION_INFO_V1(kpi_lock_lineage);
PG_FUNCTION_INFO_V1(kpi_record_lineage);

/* What is to be recorded */
typedef struct Recording
{
	bool		drops;
	const char *command;
	char	   *role;
	List	   *underivable;	/* names of objects, each with its problem */
	char	   *problem;		/* why not all was recorded, or NULL */
} Recording;

/*
 * Can a command change what columns there are, what they are called, or what they come
 * from?  Most of ALTER TABLE cannot.
 */
static bool
changes_lineage(CollectedCommand *command)
{
	ListCell   *lc;

	if (command->type != SCT_AlterTable)
		return true;
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
				return true;
			default:
				break;
		}
	}
	return false;
}

/*
 * kpi.changes_lineage(pg_ddl_command)
 */
Datum
kpi_changes_lineage(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(changes_lineage((CollectedCommand *) PG_GETARG_POINTER(0)));
}

/*
 * Does a stored query or a function name a relation?
 */
static bool
is_named(Oid relid)
{
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		result = false;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 2, keys);
	while (!result && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid			class = ((Form_pg_depend) GETSTRUCT(tuple))->classid;

		result = class == RewriteRelationId || class == ProcedureRelationId;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * Does a table compute columns, or share them with parents or children?
 */
static bool
has_derived_columns(Oid relid)
{
	HeapTuple	tuple;

	if (has_subclass(relid) || has_superclass(relid))
		return true;
	for (AttrNumber attnum = 1;
		 HeapTupleIsValid(tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid),
												  Int16GetDatum(attnum)));
		 attnum++)
	{
		bool		is_generated = ((Form_pg_attribute) GETSTRUCT(tuple))->attgenerated != '\0';

		ReleaseSysCache(tuple);
		if (is_generated)
			return true;
	}
	return false;
}

/*
 * Is an object in the recorded graph?
 */
static bool
is_recorded(Oid object)
{
	return kpi_registry_lists("lineage_edge", "source", object) ||
		kpi_registry_lists("lineage_edge", "target", object);
}

/*
 * May what a command did to an object concern lineage?  Where that is not plain, the
 * answer is yes, and kpi.lineage_ddl tells.
 */
static bool
may_concern_lineage(KpiCommandObject *object)
{
	if (object->classid != RelationRelationId)
		return true;
	if (object->is_temporary || !changes_lineage(object->command))
		return false;
	switch (get_rel_relkind(object->objid))
	{
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			return false;
		case RELKIND_SEQUENCE:
			return is_named(object->objid) || is_recorded(object->objid);
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_FOREIGN_TABLE:
			return has_derived_columns(object->objid) || is_named(object->objid) ||
				is_recorded(object->objid);
		default:
			return true;
	}
}

/*
 * May the drop of an object concern lineage?
 */
static bool
drop_may_concern_lineage(KpiDroppedObject *object)
{
	static const char *const kinds[] = {"view", "materialized view", "composite type"};

	if (object->is_temporary)
		return false;
	if (object->classid == TriggerRelationId || object->classid == PolicyRelationId ||
		object->classid == AttrDefaultRelationId ||
		strcmp(object->type, "table constraint") == 0 || strcmp(object->type, "type") == 0)
		return false;
	if (object->classid != RelationRelationId)
		return true;
	for (int i = 0; i < lengthof(kinds); i++)
	{
		if (strcmp(object->type, kinds[i]) == 0)
			return true;
	}
	return is_recorded(object->objid);
}

/*
 * May the command at hand concern lineage?  Most are of no concern.
 */
static bool
concerns_lineage(bool drops)
{
	ListCell   *lc;

	foreach(lc, drops ? kpi_dropped_objects() : kpi_command_objects())
	{
		if (drops ? drop_may_concern_lineage(lfirst(lc)) : may_concern_lineage(lfirst(lc)))
			return true;
	}
	return false;
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
 * Errand: record what a command changed, with the rights of the extension's owner.
 */
static void
record_body(void *arg)
{
	Recording  *recording = arg;
	Oid			argtypes[] = {TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(recording->command),
	CStringGetTextDatum(recording->role)};

	if (!concerns_lineage(recording->drops))
		return;
	if (!kpi_registry_has(recording->drops ?
						  "SELECT FROM pg_catalog.pg_event_trigger_dropped_objects() AS d"
						  " WHERE d.object_type OPERATOR(pg_catalog.=) ANY ('{view,materialized view,function}')"
						  " OR EXISTS (SELECT FROM kpi.lineage_edge AS e WHERE e.target OPERATOR(pg_catalog.=) d.objid)"
						  " OR EXISTS (SELECT FROM kpi.lineage_edge AS e WHERE e.source OPERATOR(pg_catalog.=) d.objid)" :
						  "SELECT FROM kpi.lineage_ddl", 0, NULL, NULL))
		return;

	/* its snapshot may be older than what hangs on the object */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the transaction is REPEATABLE READ or SERIALIZABLE")));
	if (recording->drops)
		(void) kpi_registry_execute("SELECT kpi.record_lineage_of_drop($1, $2)",
									2, argtypes, values, NULL);
	else
		/* the function writes, under snapshots of its own */
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
