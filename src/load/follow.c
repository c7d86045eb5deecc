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
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/events.h"
#include "catalog/family.h"
#include "catalog/registry.h"
#include "load/load.h"
#include "scope/scope.h"

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
 * After CREATE TABLE and ALTER TABLE: keep the name of the time column, record
 * what no trigger saw, and give and take triggers.
 */
static void
follow_commands(Node *parsetree)
{
	List	   *relids = NIL;
	ListCell   *lc;

	if (IsA(parsetree, RenameStmt))
	{
		kpi_follow_rename("track_registry", "time_column", (RenameStmt *) parsetree);
		return;
	}
	foreach(lc, kpi_command_objects())
	{
		KpiCommandObject *object = lfirst(lc);

		if (object->classid != RelationRelationId)
			continue;
		if (object->command->type == SCT_AlterTable)
			relids = follow_alter_table(object->command, relids);
		else if (has_superclass(object->objid))
			relids = list_append_unique_oid(relids, object->objid);
	}
	if (relids != NIL && kpi_family_registered("track_registry", relids, true))
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

/* A table that is being dropped, and one that it is a partition or child of */
typedef struct LostChild
{
	Oid			relid;
	Oid			parent;
	const char *operation;
} LostChild;

/* Those that the transaction at hand dropped and that are not recorded yet */
static List *lost_children = NIL;
static LocalTransactionId lost_in = InvalidLocalTransactionId;

/*
 * Note that a table is being dropped: when the event trigger runs, nothing tells any
 * more of which table it was a partition or child.
 */
static void
note_lost_child(Oid relid)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	const char *operation = get_rel_relispartition(relid) ? "DROP PARTITION" : "DROP CHILD";
	ListCell   *lc;

	if (lost_in != MyProc->lxid)
		lost_children = NIL;
	lost_in = MyProc->lxid;
	foreach(lc, kpi_parents(relid))
	{
		LostChild  *lost = palloc(sizeof(LostChild));

		lost->relid = relid;
		lost->parent = lfirst_oid(lc);
		lost->operation = operation;
		lost_children = lappend(lost_children, lost);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Record that tables have lost partitions or children: once for each table and
 * statement, and only where the table itself is still there.  A drop that was rolled
 * back has left what it dropped.
 */
static void
record_lost_children(void)
{
	List	   *lost = lost_in == MyProc->lxid ? lost_children : NIL;
	List	   *told = NIL;
	ListCell   *lc;

	lost_children = NIL;
	foreach(lc, lost)
	{
		LostChild  *child = lfirst(lc);

		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(child->relid)) ||
			!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(child->parent)) ||
			list_member_oid(told, child->parent))
			continue;
		told = lappend_oid(told, child->parent);
		kpi_record_unseen(child->parent, child->operation);
	}
}

/*
 * The table that has a trigger of ours no more, or InvalidOid if it is gone, too.
 */
static Oid
table_of_trigger(KpiDroppedObject *trigger)
{
	Oid			namespace;

	if (trigger->classid != TriggerRelationId || list_length(trigger->names) != 3 ||
		strncmp(lthird(trigger->names), "kpi_track_", strlen("kpi_track_")) != 0)
		return InvalidOid;
	namespace = get_namespace_oid(linitial(trigger->names), true);
	return OidIsValid(namespace) ? get_relname_relid(lsecond(trigger->names), namespace) :
		InvalidOid;
}

/*
 * Forget tables that are gone.
 */
static void
forget_tables(List *relids)
{
	Oid			argtypes[] = {OIDARRAYOID};
	Datum		values[] = {kpi_oid_array(relids)};

	kpi_registry_execute("DELETE FROM kpi.track_registry WHERE relid = ANY ($1)",
						 1, argtypes, values, NULL);
}

/*
 * After a drop: record which tables lost partitions or children, and that triggers are
 * gone whose table is not, and forget tables that are.
 */
static void
follow_drop(void)
{
	List	   *gone = NIL;
	List	   *without_triggers = NIL;
	ListCell   *lc;

	record_lost_children();
	foreach(lc, kpi_dropped_objects())
	{
		KpiDroppedObject *object = lfirst(lc);
		Oid			table = table_of_trigger(object);

		if (OidIsValid(table))
			without_triggers = list_append_unique_oid(without_triggers, table);
		if (object->classid == RelationRelationId && object->objsubid == 0 &&
			kpi_registry_lists("track_registry", "relid", object->objid))
			gone = lappend_oid(gone, object->objid);
	}
	foreach(lc, without_triggers)
		kpi_record_unseen(lfirst_oid(lc), "TRIGGERS DISABLED");
	if (gone != NIL)
		forget_tables(gone);
}

/*
 * Body of kpi_follow_tracked().
 */
static void
follow_body(void *arg)
{
	EventTriggerData *trigdata = arg;

	if (kpi_registry_is_empty("track_registry"))
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
 * Hook: a table is dropped.
 */
static void
object_access(ObjectAccessType access, Oid classid, Oid relid, int subid, void *arg)
{
	if (next_object_access_hook != NULL)
		next_object_access_hook(access, classid, relid, subid, arg);

	if (access == OAT_DROP && classid == RelationRelationId && subid == 0)
	{
		char		relkind = get_rel_relkind(relid);

		if ((relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE ||
			 relkind == RELKIND_FOREIGN_TABLE) &&
			has_superclass(relid) && kpi_objects() != NULL)
			note_lost_child(relid);
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
