/*
 * events.c
 *		What the command is about that an event trigger is called for.
 *
 * Event triggers run after every command of anybody, most of which are of no concern
 * here.  So what a command was about is read by calling PostgreSQL's functions that
 * tell it, without a statement, and looked for in the registries by a look into their
 * indexes: a command that has to do with nothing of ours costs no statement of ours
 * (P7).
 *
 * src/catalog/events.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "catalog/events.h"

/* Columns of pg_event_trigger_ddl_commands() */
enum
{
	COMMAND_CLASSID = 1,
	COMMAND_OBJID = 2,
	COMMAND_OBJSUBID = 3,
	COMMAND_SCHEMA = 6,
	COMMAND_COMMAND = 9
};

/* Columns of pg_event_trigger_dropped_objects() */
enum
{
	DROP_CLASSID = 1,
	DROP_OBJID = 2,
	DROP_OBJSUBID = 3,
	DROP_IS_TEMPORARY = 6,
	DROP_TYPE = 7,
	DROP_NAMES = 11
};

/* Takes a row of what such a function returns */
typedef void *(*RowReader) (TupleTableSlot *slot);

/*
 * A column of a row that is no null, or zero.
 */
static Datum
column_of(TupleTableSlot *slot, int column)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, column, &isnull);

	return isnull ? (Datum) 0 : value;
}

/*
 * Call a function without arguments that returns a set, and read its rows.
 */
static List *
read_rows(Oid function, RowReader read)
{
	LOCAL_FCINFO(fcinfo, 0);
	FmgrInfo	flinfo;
	ReturnSetInfo result = {0};
	ExprContext *econtext = CreateStandaloneExprContext();
	TupleTableSlot *slot;
	List	   *rows = NIL;

	fmgr_info(function, &flinfo);
	result.type = T_ReturnSetInfo;
	result.econtext = econtext;
	result.allowedModes = SFRM_Materialize;
	result.returnMode = SFRM_ValuePerCall;
	InitFunctionCallInfoData(*fcinfo, &flinfo, 0, InvalidOid, NULL, (Node *) &result);
	(void) FunctionCallInvoke(fcinfo);

	slot = MakeSingleTupleTableSlot(result.setDesc, &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(result.setResult, true, false, slot))
		rows = lappend(rows, read(slot));
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(result.setResult);
	FreeExprContext(econtext, true);
	return rows;
}

/*
 * Read an object that a command made or changed.
 */
static void *
read_command(TupleTableSlot *slot)
{
	KpiCommandObject *object = palloc0(sizeof(KpiCommandObject));
	Datum		schema = column_of(slot, COMMAND_SCHEMA);

	object->classid = DatumGetObjectId(column_of(slot, COMMAND_CLASSID));
	object->objid = DatumGetObjectId(column_of(slot, COMMAND_OBJID));
	object->objsubid = DatumGetInt32(column_of(slot, COMMAND_OBJSUBID));
	object->is_temporary = schema != (Datum) 0 &&
		strcmp(TextDatumGetCString(schema), "pg_temp") == 0;
	object->command = (CollectedCommand *) DatumGetPointer(column_of(slot, COMMAND_COMMAND));
	return object;
}

/*
 * What the command at hand made or changed: KpiCommandObject *.  For event triggers on
 * ddl_command_end.
 */
List *
kpi_command_objects(void)
{
	return read_rows(F_PG_EVENT_TRIGGER_DDL_COMMANDS, read_command);
}

/*
 * Read an object that was dropped.
 */
static void *
read_drop(TupleTableSlot *slot)
{
	KpiDroppedObject *object = palloc0(sizeof(KpiDroppedObject));
	Datum		names = column_of(slot, DROP_NAMES);
	Datum	   *elems;
	bool	   *nulls;
	int			count;

	object->classid = DatumGetObjectId(column_of(slot, DROP_CLASSID));
	object->objid = DatumGetObjectId(column_of(slot, DROP_OBJID));
	object->objsubid = DatumGetInt32(column_of(slot, DROP_OBJSUBID));
	object->is_temporary = DatumGetBool(column_of(slot, DROP_IS_TEMPORARY));
	object->type = TextDatumGetCString(column_of(slot, DROP_TYPE));
	if (names == (Datum) 0)
		return object;
	deconstruct_array(DatumGetArrayTypeP(names), TEXTOID, -1, false, TYPALIGN_INT,
					  &elems, &nulls, &count);
	for (int i = 0; i < count && !nulls[i]; i++)
		object->names = lappend(object->names, TextDatumGetCString(elems[i]));
	return object;
}

/*
 * What the command at hand dropped: KpiDroppedObject *.  For event triggers on sql_drop.
 */
List *
kpi_dropped_objects(void)
{
	return read_rows(F_PG_EVENT_TRIGGER_DROPPED_OBJECTS, read_drop);
}

/*
 * The tables that were made of the type of a relation.
 */
static List *
tables_of_type(Oid relid)
{
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	ScanKeyInit(&key, Anum_pg_class_reloftype, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(get_rel_type_id(relid)));
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		result = lappend_oid(result, ((Form_pg_class) GETSTRUCT(tuple))->oid);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * The relations a column of which was renamed by the command at hand, but for what
 * inherits it: ALTER TYPE and ALTER VIEW rename columns of tables, too.
 */
List *
kpi_renamed_relations(Node *parsetree)
{
	RenameStmt *rename = (RenameStmt *) parsetree;
	List	   *result = NIL;
	ListCell   *lc;

	if (!IsA(rename, RenameStmt) ||
		(rename->renameType != OBJECT_COLUMN && rename->renameType != OBJECT_ATTRIBUTE))
		return NIL;
	foreach(lc, kpi_command_objects())
	{
		KpiCommandObject *object = lfirst(lc);

		if (object->classid != RelationRelationId)
			continue;
		result = lappend_oid(result, object->objid);
		if (get_rel_relkind(object->objid) == RELKIND_COMPOSITE_TYPE)
			result = list_concat(result, tables_of_type(object->objid));
	}
	return result;
}
