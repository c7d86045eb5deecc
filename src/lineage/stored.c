/*
 * stored.c
 *		What is stored, as SQL: views, functions, conditions of policies.
 *
 * PostgreSQL writes what it stores as SQL under locks of the relations that are
 * named, for which it waits, and which it keeps.  Whoever asks what hangs on his
 * table must neither wait for the owners of that nor keep them from their work, so
 * here a text is missing as long as it would have to be waited for (S9).
 *
 * src/lineage/stored.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/behalf.h"
#include "catalog/peek.h"
#include "lineage/lineage.h"

PG_FUNCTION_INFO_V1(kpi_stored_sql);

/* What is asked for, and the answer */
typedef struct StoredText
{
	Oid			class;
	Oid			object;
	char	   *sql;			/* NULL where it cannot be told */
} StoredText;

/*
 * The statement of a function whose body is a tree.
 */
static void
write_function(StoredText *stored)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(stored->object));
	Datum		body;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return;
	body = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosqlbody, &isnull);
	if (!isnull)
	{
		kpi_lock_what_is_read(stringToNode(TextDatumGetCString(body)));
		body = DirectFunctionCall1(pg_get_functiondef, ObjectIdGetDatum(stored->object));
		stored->sql = TextDatumGetCString(body);
	}
	ReleaseSysCache(tuple);
}

/*
 * The condition that a policy has for what is read.
 */
static void
write_condition(StoredText *stored)
{
	Relation	rel = table_open(PolicyRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Datum		condition = (Datum) 0;
	Oid			relid = InvalidOid;
	bool		isnull = true;

	ScanKeyInit(&key, Anum_pg_policy_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(stored->object));
	scan = systable_beginscan(rel, PolicyOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		relid = ((Form_pg_policy) GETSTRUCT(tuple))->polrelid;
		condition = heap_getattr(tuple, Anum_pg_policy_polqual, RelationGetDescr(rel), &isnull);
		if (!isnull)
			condition = PointerGetDatum(PG_DETOAST_DATUM_COPY(condition));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	if (isnull || !kpi_peek_at_relation(relid))
		return;
	kpi_lock_what_is_read(stringToNode(TextDatumGetCString(condition)));
	condition = DirectFunctionCall2(pg_get_expr, condition, ObjectIdGetDatum(relid));
	stored->sql = TextDatumGetCString(condition);
}

/*
 * Errand: write what is stored of an object.
 */
static void
write_stored(void *arg)
{
	StoredText *stored = arg;

	if (stored->class == RelationRelationId)
		stored->sql = kpi_view_sql(stored->object, false);
	else if (stored->class == ProcedureRelationId)
		write_function(stored);
	else if (stored->class == PolicyRelationId)
		write_condition(stored);
}

/*
 * Errand: the same without waiting and without keeping a lock.
 */
static void
write_at_a_peek(void *arg)
{
	kpi_peek(write_stored, arg);
}

/*
 * kpi.stored_sql(class, object)
 */
Datum
kpi_stored_sql(PG_FUNCTION_ARGS)
{
	StoredText	stored = {PG_GETARG_OID(0), PG_GETARG_OID(1), NULL};
	ErrorData  *error = kpi_run_guarded(write_at_a_peek, &stored);

	if (error != NULL && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES)
		ReThrowError(error);
	if (error != NULL || stored.sql == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(stored.sql));
}
