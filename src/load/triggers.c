/*
 * triggers.c
 *		The triggers by which changes of a tracked table are recorded.
 *
 * There are four, one an event, for a trigger with transition tables has one
 * event.  They fire always, that is also where session_replication_role is
 * "replica".  They are made, enabled and dropped by SQL commands, on behalf of the
 * owner of the table, so that privileges and dependencies work as for anybody.
 *
 * PostgreSQL fires the triggers of the table that a statement names, so each
 * partition and child has its own.  It refuses to collect transition tables where
 * a row goes to a foreign table, so what is above a foreign partition has none:
 * better a change that is not recorded, of which kpi.check() tells, than one that
 * fails.
 *
 * src/load/triggers.c
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/registry.h"
#include "catalog/utility.h"
#include "load/load.h"

/* Are we making or dropping triggers? */
static bool repairing = false;

/* What a trigger is */
typedef struct TrackTrigger
{
	const char *name;
	const char *event;
	const char *referencing;
	int16		type;
	bool		old_rows;
	bool		new_rows;
} TrackTrigger;

static const TrackTrigger track_triggers[] = {
	{"kpi_track_insert", "INSERT", " REFERENCING NEW TABLE AS new_rows",
	TRIGGER_TYPE_INSERT, false, true},
	{"kpi_track_update", "UPDATE", " REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
	TRIGGER_TYPE_UPDATE, true, true},
	{"kpi_track_delete", "DELETE", " REFERENCING OLD TABLE AS old_rows",
	TRIGGER_TYPE_DELETE, true, false},
	{"kpi_track_truncate", "TRUNCATE", "",
	TRIGGER_TYPE_TRUNCATE, false, false},
};

/*
 * Is a trigger, which calls kpi.record_change(), as we make it?  It is a statement
 * trigger after one event: these are the types without any other bit.
 */
bool
kpi_is_track_trigger(const Trigger *trigger)
{
	for (int i = 0; i < lengthof(track_triggers); i++)
	{
		const TrackTrigger *ours = &track_triggers[i];

		if (trigger->tgtype == ours->type)
			return strcmp(trigger->tgname, ours->name) == 0 &&
				(trigger->tgoldtable != NULL) == ours->old_rows &&
				(trigger->tgnewtable != NULL) == ours->new_rows;
	}
	return false;
}

/*
 * The names of a table's triggers that call kpi.record_change(): all, or those
 * that do not always fire.
 */
static List *
list_triggers(Oid relid, bool all)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Oid			function = kpi_trigger_function("record_change");
	List	   *result = NIL;

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (trigger->tgfoid == function &&
			(all || trigger->tgenabled != TRIGGER_FIRES_ALWAYS))
			result = lappend(result, pstrdup(trigger->tgname));
	}
	table_close(rel, NoLock);
	return result;
}

/*
 * Are there triggers at a table that do not always fire?
 */
bool
kpi_has_disabled_track_triggers(Oid relid)
{
	return list_triggers(relid, false) != NIL;
}

/*
 * Drop the triggers of a table that call kpi.record_change().
 */
static void
drop_triggers(Oid relid)
{
	ListCell   *lc;

	foreach(lc, list_triggers(relid, true))
		kpi_run_utility(psprintf("DROP TRIGGER %s ON %s", quote_identifier(lfirst(lc)),
								 kpi_relation_name(relid)));
}

/*
 * Give a table the triggers, in the place of those that it has by now.  One of their
 * names that does something else is somebody's, and stands in the way.
 */
static void
make_triggers(Oid relid)
{
	char	   *table = kpi_relation_name(relid);
	StringInfoData enable;

	drop_triggers(relid);
	initStringInfo(&enable);
	for (int i = 0; i < lengthof(track_triggers); i++)
	{
		const TrackTrigger *ours = &track_triggers[i];

		kpi_run_utility(psprintf("CREATE TRIGGER %s AFTER %s ON %s%s"
								 " FOR EACH STATEMENT EXECUTE FUNCTION " KPI_SCHEMA ".record_change()",
								 ours->name, ours->event, table, ours->referencing));
		appendStringInfo(&enable, "%s ENABLE ALWAYS TRIGGER %s", i > 0 ? "," : "", ours->name);
	}
	kpi_run_utility(psprintf("ALTER TABLE ONLY %s%s", table, enable.data));
}

/* A table whose triggers are not as they should be */
typedef struct Repair
{
	Oid			relid;
	bool		wanted;			/* should it have any? */
} Repair;

/*
 * Take a row of kpi.track_repairs.
 */
static void
take_repair(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **repairs = arg;
	Repair	   *repair = palloc(sizeof(Repair));
	bool		isnull;

	repair->relid = DatumGetObjectId(kpi_row_value(row, desc, 1, &isnull));
	repair->wanted = DatumGetBool(kpi_row_value(row, desc, 2, &isnull));
	*repairs = lappend(*repairs, repair);
}

/*
 * Those of some tables, their partitions and what they are below of whose triggers
 * are not as they should be, and whether they should have any.
 */
static List *
find_repairs(List *relids)
{
	Oid			argtypes[] = {OIDARRAYOID};
	Datum		values[] = {kpi_oid_array(relids)};
	List	   *repairs = NIL;

	(void) kpi_registry_read("SELECT g.relation::oid, g.wanted FROM kpi.track_repairs g"
							 " WHERE g.relation IN (SELECT f.relid FROM unnest($1) AS r (relid)"
							 "  CROSS JOIN LATERAL kpi.relation_family(r.relid) AS f (relid))",
							 1, argtypes, values, take_repair, &repairs);
	return repairs;
}

/*
 * Errand: give a table its triggers, or take them away.
 */
static void
repair_table(void *arg)
{
	Repair	   *repair = arg;

	if (repair->wanted)
		make_triggers(repair->relid);
	else
		drop_triggers(repair->relid);
}

/*
 * Give and take triggers among some tables and their families, as the owner of each.
 */
void
kpi_repair_triggers(List *relids)
{
	ListCell   *lc;

	repairing = true;
	PG_TRY();
	{
		foreach(lc, find_repairs(relids))
		{
			Repair	   *repair = lfirst(lc);

			kpi_on_behalf_of(kpi_relation_owner(repair->relid), repair_table, repair);
			if (!repair->wanted)
				kpi_record_unseen(repair->relid, "TRIGGERS DISABLED");
		}
	}
	PG_CATCH();
	{
		repairing = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	repairing = false;
}

/*
 * Are we making or dropping triggers?  Such commands need no following.
 */
bool
kpi_repairing_triggers(void)
{
	return repairing;
}
