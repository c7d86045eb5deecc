/*
 * follow.c
 *		What happens to tracked tables.
 *
 * Partitions and children that come get the triggers, those that go lose them, and
 * the time column is followed when it is renamed.  What no trigger sees is recorded
 * as what it is, with an unknown number of rows: partitions that are attached,
 * detached or dropped, tables that are rewritten with other values, and triggers
 * that were disabled or dropped.
 *
 * All of that is a guest in other people's commands: it looks at the tables of the
 * command and their families, acts as their owners, and if it fails, it warns and
 * lets the command go on.
 *
 * src/load/follow.c
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "tcop/deparse_utility.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/registry.h"
#include "load/load.h"

PG_FUNCTION_INFO_V1(kpi_follow_tracked);

static object_access_hook_type next_object_access_hook = NULL;

/*
 * Note what an ALTER TABLE did, and append to a list the tables whose triggers it
 * may have made wrong.
 */
static List *
follow_alter_table(CollectedCommand *command, List *relids)
{
	Oid			relid = command->d.alterTable.objectId;
	ListCell   *lc;

	foreach(lc, command->d.alterTable.subcmds)
	{
		CollectedATSubcmd *subcmd = lfirst(lc);
		AlterTableCmd *alter = castNode(AlterTableCmd, subcmd->parsetree);
		Oid			other = subcmd->address.objectId;

		/*
		 * PostgreSQL does not tell which partition it was, so its name is
		 * looked up again.  The command still has it locked, so it has that
		 * name; should another table of it have come first in the search path
		 * meanwhile, the worst is that the triggers of that one are put
		 * right, if the user owns it.
		 */
		if (alter->def != NULL && IsA(alter->def, PartitionCmd))
			other = RangeVarGetRelid(((PartitionCmd *) alter->def)->name, NoLock, true);
		switch (alter->subtype)
		{
			case AT_AttachPartition:
				kpi_record_unseen(relid, "ATTACH PARTITION");
				break;
			case AT_DetachPartition:
			case AT_DetachPartitionFinalize:
				kpi_record_unseen(relid, "DETACH PARTITION");
				break;
			case AT_AddInherit:
				kpi_record_unseen(other, "INHERIT");
				break;
			case AT_DropInherit:
				kpi_record_unseen(other, "NO INHERIT");
				break;
			case AT_EnableTrig:
			case AT_EnableReplicaTrig:
			case AT_EnableTrigAll:
			case AT_EnableTrigUser:
			case AT_DisableTrig:
			case AT_DisableTrigAll:
			case AT_DisableTrigUser:
				if (kpi_has_disabled_track_triggers(relid))
					kpi_record_unseen(relid, "TRIGGERS DISABLED");
				continue;
			default:
				continue;
		}
		relids = list_append_unique_oid(relids, relid);
		relids = list_append_unique_oid(relids, other);
	}
	return relids;
}

/*
 * Follow the rename of a time column.  Its number would tell nothing: a restore
 * may give it another one.
 */
static void
follow_rename(RenameStmt *rename, Oid relid)
{
	Oid			argtypes[] = {REGCLASSOID, TEXTOID, TEXTOID};
	Datum		values[3];

	values[0] = ObjectIdGetDatum(relid);
	values[1] = CStringGetTextDatum(rename->subname);
	values[2] = CStringGetTextDatum(rename->newname);
	kpi_registry_execute("UPDATE kpi.track_registry SET time_column = $3"
						 " WHERE time_column = $2"
						 " AND relid IN (SELECT c.relid FROM kpi.relation_and_children($1) AS c (relid))",
						 lengthof(argtypes), argtypes, values, NULL);
}

/*
 * After CREATE TABLE and ALTER TABLE: keep the name of the time column, record
 * what no trigger saw, and give and take triggers.
 */
static void
follow_commands(Node *parsetree)
{
	List	   *relids = NIL;
	ListCell   *lc;
	bool		renames = IsA(parsetree, RenameStmt) &&
	((RenameStmt *) parsetree)->renameType == OBJECT_COLUMN;

	foreach(lc, kpi_load_rows("SELECT c.command, c.objid FROM pg_event_trigger_ddl_commands() AS c"
							  " WHERE c.classid = 'pg_class'::regclass",
							  0, NULL, NULL))
	{
		LoadRow    *row = lfirst(lc);
		CollectedCommand *command = (CollectedCommand *) DatumGetPointer(row->first);
		Oid			relid = DatumGetObjectId(row->second);

		if (renames)
			follow_rename((RenameStmt *) parsetree, relid);
		if (command->type == SCT_AlterTable)
			relids = follow_alter_table(command, relids);
		else if (has_superclass(relid))
			relids = list_append_unique_oid(relids, relid);
	}
	if (relids != NIL)
		kpi_repair_triggers(relids);
}

/*
 * Before a table is rewritten: are its values others afterwards?
 */
static void
follow_rewrite(void)
{
	int			reason = DatumGetInt32(OidFunctionCall0(F_PG_EVENT_TRIGGER_TABLE_REWRITE_REASON));

	if (reason & (AT_REWRITE_DEFAULT_VAL | AT_REWRITE_COLUMN_REWRITE))
		kpi_record_unseen(DatumGetObjectId(OidFunctionCall0(F_PG_EVENT_TRIGGER_TABLE_REWRITE_OID)),
						  "ALTER TABLE");
}

/*
 * After a drop: forget tables, and record that triggers are gone whose table is
 * not.
 */
static void
follow_drop(void)
{
	ListCell   *lc;

	foreach(lc, kpi_load_rows("SELECT DISTINCT c.oid, true FROM pg_event_trigger_dropped_objects() AS d"
							  " JOIN pg_namespace AS n ON n.nspname = d.address_names[1]"
							  " JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = d.address_names[2]"
							  " WHERE d.object_type = 'trigger' AND starts_with(d.address_names[3], 'kpi_track_')",
							  0, NULL, NULL))
		kpi_record_unseen(DatumGetObjectId(((LoadRow *) lfirst(lc))->first), "TRIGGERS DISABLED");
	kpi_registry_execute("DELETE FROM kpi.track_registry AS t"
						 " USING pg_event_trigger_dropped_objects() AS d"
						 " WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND d.objid = t.relid",
						 0, NULL, NULL, NULL);
}

/*
 * Is any table tracked?
 */
static bool
anything_tracked(void)
{
	bool		isnull;

	return DatumGetBool(kpi_registry_value("SELECT EXISTS (SELECT FROM kpi.track_registry)",
										   0, NULL, NULL, &isnull));
}

/*
 * Body of kpi_follow_tracked().
 */
static void
follow_body(void *arg)
{
	EventTriggerData *trigdata = arg;

	if (!anything_tracked())
		return;
	if (strcmp(trigdata->event, "ddl_command_end") == 0)
		follow_commands(trigdata->parsetree);
	else if (strcmp(trigdata->event, "table_rewrite") == 0)
		follow_rewrite();
	else if (strcmp(trigdata->event, "sql_drop") == 0)
		follow_drop();
}

/*
 * kpi.follow_tracked(): event trigger
 */
Datum
kpi_follow_tracked(PG_FUNCTION_ARGS)
{
	ErrorData  *error;

	if (kpi_event(fcinfo) == NULL || kpi_repairing_triggers())
		PG_RETURN_NULL();

	error = kpi_run_guarded(follow_body, fcinfo->context);
	if (error != NULL)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not follow the change of tracked tables: %s", error->message),
				 errhint("Run kpi.check() to see what is missing.")));
	PG_RETURN_NULL();
}

/*
 * Body of object_access().
 */
static void
drop_body(void *arg)
{
	Oid			parent = *(Oid *) arg;

	kpi_record_unseen(parent, "DROP PARTITION");
}

/*
 * Hook: a partition is dropped.  When the event trigger runs, nothing tells any
 * more of which table it was one.
 */
static void
object_access(ObjectAccessType access, Oid classid, Oid relid, int subid, void *arg)
{
	if (next_object_access_hook != NULL)
		next_object_access_hook(access, classid, relid, subid, arg);

	if (access == OAT_DROP && classid == RelationRelationId && subid == 0 &&
		get_rel_relispartition(relid) && kpi_objects() != NULL)
	{
		Oid			parent = get_partition_parent(relid, true);
		ErrorData  *error = kpi_run_guarded(drop_body, &parent);

		if (error != NULL)
			ereport(WARNING,
					(errcode(error->sqlerrcode),
					 errmsg("could not record the drop of a partition: %s", error->message)));
	}
}

/*
 * Register what watches tracked tables.
 */
void
kpi_load_init(void)
{
	kpi_tracked_init();
	next_object_access_hook = object_access_hook;
	object_access_hook = object_access;
}
