/*
 * record.c
 *		The record of changes of data: one row a statement that changed something.
 *
 * kpi.record_change() is the statement trigger that kpi.track() puts on a table
 * and its partitions.  It counts the rows of the transition tables and, where the
 * table has a time column or is scoped by dimensions, reads them once to note the
 * range of the time and the few keys that were touched.
 *
 * The row is put into the table without a statement, as logical replication does:
 * by the table's real columns, constraints and indexes, whatever a DBA added to them,
 * but no trigger and no privilege is in the way of the statement that is recorded.
 * Rows are only ever appended, so nobody waits for anybody, and they stand and fall
 * with the transaction that wrote them.
 *
 * src/load/record.c
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/xid8.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "load/load.h"

PG_FUNCTION_INFO_V1(kpi_record_change);

/* The columns of kpi.data_change_log */
enum
{
	LOG_RELATION,
	LOG_RELATION_NAME,
	LOG_CHANGED_AT,
	LOG_TRANSACTION,
	LOG_LOGIN,
	LOG_ROLE,
	LOG_APPLICATION_NAME,
	LOG_CLIENT_ADDRESS,
	LOG_COMMAND,
	LOG_OPERATION,
	LOG_ROWS,
	LOG_TOUCHED_FROM,
	LOG_TOUCHED_TO,
	LOG_MEMBERS,
	LOG_COLUMNS
};

/* A row of the record */
typedef struct DataChange
{
	Oid			relid;
	const char *operation;
	int64		rows;			/* negative: unknown */
	bool		has_range;
	Timestamp	touched_from;
	Timestamp	touched_to;
	Jsonb	   *members;		/* or NULL */
} DataChange;

/* How many keys of a dimension are few */
#define MAX_MEMBERS 16

/* The keys of a dimension that a statement touched, while they are few */
typedef struct TouchedKeys
{
	bool		too_many;
	bool		has_null;
	int			count;
	Datum		values[MAX_MEMBERS];
} TouchedKeys;

/* What a statement touched */
typedef struct Touched
{
	TrackedTable *table;
	bool		has_time;
	int64		first;			/* as the time column's type counts */
	int64		last;
	int			open;			/* keys whose members are still few */
	TouchedKeys *members;		/* one for each key */
} Touched;

/*
 * The address that the client came from; it does not change in a session.
 */
static Datum
client_address(bool *isnull)
{
	static bool known = false;
	static Datum address = (Datum) 0;

	if (!known)
	{
		LOCAL_FCINFO(fcinfo, 0);
		Datum		result;

		InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
		result = inet_client_addr(fcinfo);
		if (!fcinfo->isnull)
		{
			MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

			address = datumCopy(result, false, -1);
			MemoryContextSwitchTo(old);
		}
		known = true;
	}
	*isnull = address == (Datum) 0;
	return address;
}

/*
 * A role's name, or its number if it was dropped under its own session.
 */
static char *
role_name(Oid role)
{
	char	   *name = GetUserNameFromId(role, true);

	return name != NULL ? name : psprintf("%u", role);
}

/*
 * The columns of the record by name and type, as this library knows them.  A DBA may
 * add others behind them.
 */
static const struct
{
	const char *name;
	Oid			type;
}			log_columns[LOG_COLUMNS] = {
	{"relation", REGCLASSOID},
	{"relation_name", TEXTOID},
	{"changed_at", TIMESTAMPTZOID},
	{"transaction", XID8OID},
	{"login", TEXTOID},
	{"role", TEXTOID},
	{"application_name", TEXTOID},
	{"client_address", INETOID},
	{"command", TEXTOID},
	{"operation", TEXTOID},
	{"rows", INT8OID},
	{"touched_from", TIMESTAMPOID},
	{"touched_to", TIMESTAMPOID},
	{"members", JSONBOID},
};

/*
 * Is the record as this library knows it?
 */
static void
check_log(Relation log)
{
	TupleDesc	desc = RelationGetDescr(log);
	bool		matches = desc->natts >= LOG_COLUMNS;

	for (int i = 0; matches && i < LOG_COLUMNS; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		matches = !att->attisdropped && att->atttypid == log_columns[i].type &&
			strcmp(NameStr(att->attname), log_columns[i].name) == 0;
	}
	if (!matches)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s does not have the columns that it was made with",
						kpi_relation_name(RelationGetRelid(log))),
				 errhint("Columns may be added to it, but none of its own may be changed or dropped.")));
}

/* A row on its way into the record */
typedef struct LogInsertion
{
	Relation	log;
	EState	   *estate;
	ResultRelInfo *target;
	TupleTableSlot *slot;		/* with the columns that we know */
} LogInsertion;

/*
 * Errand: give the columns that a DBA added their defaults, and put the row in.
 */
static void
insert_row(void *arg)
{
	LogInsertion *insertion = arg;
	TupleTableSlot *slot = insertion->slot;

	for (int i = LOG_COLUMNS; i < slot->tts_tupleDescriptor->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(slot->tts_tupleDescriptor, i);
		Node	   *value = NULL;

		slot->tts_isnull[i] = true;
		/* what is generated from the others is computed when the row goes in */
		if (!att->attisdropped && att->attgenerated == '\0')
			value = build_column_default(insertion->log, i + 1);
		if (value != NULL)
			slot->tts_values[i] =
				ExecEvalExpr(ExecPrepareExpr((Expr *) value, insertion->estate),
							 GetPerTupleExprContext(insertion->estate),
							 &slot->tts_isnull[i]);
	}
	ExecStoreVirtualTuple(slot);
	ExecSimpleRelationInsert(insertion->target, insertion->estate, slot);
}

/*
 * Has a DBA added anything that is to be computed for a row?
 */
static bool
is_extended(LogInsertion *insertion)
{
	ResultRelInfo *target = insertion->target;

	for (int i = 0; i < target->ri_NumIndices; i++)
	{
		if (target->ri_IndexRelationInfo[i]->ii_Expressions != NIL ||
			target->ri_IndexRelationInfo[i]->ii_Predicate != NIL)
			return true;
	}
	return RelationGetDescr(insertion->log)->natts > LOG_COLUMNS ||
		RelationGetDescr(insertion->log)->constr->num_check > 0;
}

/*
 * Put a row into the record.  What a DBA added to it is computed on behalf of the
 * record's owner, not by whoever happens to write to the tracked table.
 */
static void
insert_change(Relation log, Datum *values, bool *nulls)
{
	LogInsertion insertion = {log, CreateExecutorState(), makeNode(ResultRelInfo),
	table_slot_create(log, NULL)};

	check_log(log);

	/* there is none in a utility command, but expressions and TOAST need one */
	PushActiveSnapshot(GetTransactionSnapshot());
	InitResultRelInfo(insertion.target, log, 0, NULL, 0);
	insertion.target->ri_TrigDesc = NULL;
	ExecOpenIndices(insertion.target, false);
	ExecClearTuple(insertion.slot);
	memcpy(insertion.slot->tts_values, values, sizeof(Datum) * LOG_COLUMNS);
	memcpy(insertion.slot->tts_isnull, nulls, sizeof(bool) * LOG_COLUMNS);
	if (is_extended(&insertion))
		kpi_on_behalf_of(kpi_relation_owner(RelationGetRelid(log)), insert_row, &insertion);
	else
		insert_row(&insertion);
	ExecDropSingleTupleTableSlot(insertion.slot);
	ExecCloseIndices(insertion.target);
	FreeExecutorState(insertion.estate);
	PopActiveSnapshot();
}

/*
 * Append a row to the record.  The command is that of the innermost portal;
 * there is none at the end of a transaction and in background processes.
 */
static void
append_change(const DataChange *change)
{
	Oid			logid = get_relname_relid("data_change_log", kpi_require_objects()->namespace);
	Datum		values[LOG_COLUMNS];
	bool		nulls[LOG_COLUMNS] = {false};
	Relation	log;

	if (!OidIsValid(logid))
		return;					/* the extension is being dropped */

	values[LOG_RELATION] = ObjectIdGetDatum(change->relid);
	values[LOG_RELATION_NAME] = CStringGetTextDatum(kpi_relation_name(change->relid));
	values[LOG_CHANGED_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[LOG_TRANSACTION] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	values[LOG_LOGIN] = CStringGetTextDatum(role_name(GetSessionUserId()));
	values[LOG_ROLE] = CStringGetTextDatum(role_name(GetUserId()));
	values[LOG_APPLICATION_NAME] = CStringGetTextDatum(application_name != NULL ? application_name : "");
	values[LOG_CLIENT_ADDRESS] = client_address(&nulls[LOG_CLIENT_ADDRESS]);
	nulls[LOG_COMMAND] = ActivePortal == NULL;
	if (ActivePortal != NULL)
		values[LOG_COMMAND] = CStringGetTextDatum(GetCommandTagName(ActivePortal->commandTag));
	values[LOG_OPERATION] = CStringGetTextDatum(change->operation);
	values[LOG_ROWS] = Int64GetDatum(change->rows);
	nulls[LOG_ROWS] = change->rows < 0;
	values[LOG_TOUCHED_FROM] = TimestampGetDatum(change->touched_from);
	values[LOG_TOUCHED_TO] = TimestampGetDatum(change->touched_to);
	nulls[LOG_TOUCHED_FROM] = nulls[LOG_TOUCHED_TO] = !change->has_range;
	values[LOG_MEMBERS] = JsonbPGetDatum(change->members);
	nulls[LOG_MEMBERS] = change->members == NULL;

	log = table_open(logid, RowExclusiveLock);
	insert_change(log, values, nulls);
	table_close(log, NoLock);
}

/*
 * Record what no trigger of a table saw, if it is tracked.
 */
void
kpi_record_unseen(Oid relid, const char *operation)
{
	DataChange	change = {0};

	if (!OidIsValid(relid) || kpi_tracked_table(relid) == NULL)
		return;
	change.relid = relid;
	change.operation = operation;
	change.rows = -1;
	append_change(&change);
}

/*
 * Note a value of the time column.
 */
static inline void
note_time(Touched *touched, Datum value)
{
	int64		time = touched->table->time_type == DATEOID ?
	DatumGetDateADT(value) : DatumGetTimestamp(value);

	if (!touched->has_time)
	{
		touched->has_time = true;
		touched->first = touched->last = time;
	}
	else if (time < touched->first)
		touched->first = time;
	else if (time > touched->last)
		touched->last = time;
}

/*
 * Note a key.  Keys are told apart by their images: equal ones that look
 * different are noted as they are, and count as many.
 */
static void
note_member(Touched *touched, TrackedKey *key, TouchedKeys *set, Datum value, bool isnull)
{
	if (isnull)
	{
		set->has_null = true;
		return;
	}
	/* rows of a load come in some order: the last one is likely the next */
	for (int i = set->count - 1; i >= 0; i--)
	{
		if (datum_image_eq(set->values[i], value, key->typbyval, key->typlen))
			return;
	}
	if (set->count == MAX_MEMBERS)
	{
		set->too_many = true;
		touched->open--;
		return;
	}
	set->values[set->count++] = key->typbyval ? value :
		key->typlen == -1 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(value)) :
		datumCopy(value, key->typbyval, key->typlen);
}

/*
 * Read a transition table once.
 */
static void
note_rows(Touched *touched, Tuplestorestate *rows, TupleTableSlot *slot)
{
	TrackedTable *table = touched->table;
	bool		isnull;

	tuplestore_select_read_pointer(rows, 0);
	tuplestore_rescan(rows);
	while ((table->time_attnum != InvalidAttrNumber || touched->open > 0) &&
		   tuplestore_gettupleslot(rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getsomeattrs(slot, table->last_attnum);
		if (table->time_attnum != InvalidAttrNumber)
		{
			Datum		value = slot_getattr(slot, table->time_attnum, &isnull);

			if (!isnull)
				note_time(touched, value);
		}
		for (int i = 0; i < table->nkeys && touched->open > 0; i++)
		{
			TouchedKeys *set = &touched->members[i];

			if (!set->too_many)
			{
				Datum		value = slot_getattr(slot, table->keys[i].attnum, &isnull);

				note_member(touched, &table->keys[i], set, value, isnull);
			}
		}
	}
	ExecClearTuple(slot);
}

/*
 * A noted value of the time column as a timestamp.  The clock of a timestamptz is
 * that of UTC; a date that no timestamp can hold is as good as infinite.
 */
static Timestamp
time_as_timestamp(Oid type, int64 time)
{
	int			overflow;

	return type == DATEOID ? date2timestamp_opt_overflow((DateADT) time, &overflow) : time;
}

/*
 * Add the keys of one dimension to the members, as the dimension writes them.
 */
static void
push_members(JsonbParseState **state, TrackedKey *key, TouchedKeys *set)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = key->dimension;
	value.val.string.len = strlen(key->dimension);
	pushJsonbValue(state, WJB_KEY, &value);
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < set->count; i++)
	{
		Datum		member = set->values[i];

		if (key->has_cast)
			member = FunctionCall1(&key->cast, member);
		value.val.string.val = OutputFunctionCall(&key->output, member);
		value.val.string.len = strlen(value.val.string.val);
		pushJsonbValue(state, WJB_ELEM, &value);
	}
	if (set->has_null)
	{
		value.type = jbvNull;
		pushJsonbValue(state, WJB_ELEM, &value);
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* The members that a statement touched, and what they are written from */
typedef struct MembersText
{
	Touched    *touched;
	Jsonb	   *members;
} MembersText;

/*
 * Errand: write the members that a statement touched, of those dimensions where they
 * are few.
 */
static void
write_members(void *arg)
{
	MembersText *writing = arg;
	TrackedTable *table = writing->touched->table;
	JsonbParseState *state = NULL;
	JsonbValue *object;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < table->nkeys; i++)
	{
		if (!writing->touched->members[i].too_many)
			push_members(&state, &table->keys[i], &writing->touched->members[i]);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	writing->members = JsonbValueToJsonb(object);
}

/*
 * The members that a statement touched; NULL if there is no dimension of which they
 * are few.  Setting parameters takes longer than writing most keys, so they are set
 * only where one needs them.
 */
static Jsonb *
touched_members(Touched *touched)
{
	MembersText text = {touched, NULL};
	bool		has_settings = false;

	if (touched->open == 0)
		return NULL;
	for (int i = 0; i < touched->table->nkeys; i++)
		has_settings |= touched->table->keys[i].has_settings && !touched->members[i].too_many;
	if (has_settings)
		kpi_in_plain_text(NULL, write_members, &text);
	else
		write_members(&text);
	return text.members;
}

/*
 * Read the transition tables of a statement where that is needed to tell what it
 * touched.
 */
static void
note_touched(TrackedTable *table, TriggerData *trigdata, DataChange *change)
{
	Touched		touched = {0};
	TupleTableSlot *slot;

	touched.table = table;
	touched.open = table->nkeys;
	touched.members = palloc0(sizeof(TouchedKeys) * table->nkeys);
	slot = MakeSingleTupleTableSlot(RelationGetDescr(trigdata->tg_relation),
									&TTSOpsMinimalTuple);
	if (trigdata->tg_oldtable != NULL)
		note_rows(&touched, trigdata->tg_oldtable, slot);
	if (trigdata->tg_newtable != NULL)
		note_rows(&touched, trigdata->tg_newtable, slot);
	ExecDropSingleTupleTableSlot(slot);

	change->has_range = touched.has_time;
	if (touched.has_time)
	{
		change->touched_from = time_as_timestamp(table->time_type, touched.first);
		change->touched_to = time_as_timestamp(table->time_type, touched.last);
	}
	change->members = touched_members(&touched);
}

/*
 * kpi.record_change(): statement trigger on a tracked table, partition or child.
 * One that somebody else made, or that stayed behind, does nothing.
 */
Datum
kpi_record_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	DataChange	change = {0};
	TrackedTable *table;
	Tuplestorestate *rows;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("not called by the trigger manager")));
	if (!kpi_is_track_trigger(trigdata->tg_trigger) || kpi_objects() == NULL)
		return PointerGetDatum(NULL);

	change.relid = RelationGetRelid(trigdata->tg_relation);
	if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
	{
		change.operation = "TRUNCATE";
		change.rows = -1;
	}
	else
	{
		rows = trigdata->tg_newtable != NULL ? trigdata->tg_newtable : trigdata->tg_oldtable;
		change.rows = tuplestore_tuple_count(rows);
		if (change.rows == 0)
			return PointerGetDatum(NULL);
		change.operation = TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ? "INSERT" :
			TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ? "UPDATE" : "DELETE";
	}

	table = kpi_tracked_table(change.relid);
	if (table == NULL)
		return PointerGetDatum(NULL);
	if (change.rows > 0 && table->last_attnum != InvalidAttrNumber)
		note_touched(table, trigdata, &change);
	append_change(&change);
	return PointerGetDatum(NULL);
}
