/*
 * members.c
 *		Reading the table of a dimension: the keys whose level holds some members.
 *
 * The table is read as a catalog is, row by row and without a query: no predicate
 * or expression of an index, no default, policy or cast that its owner hung on it
 * is looked at (S7).  What is called is the comparison of the types of its columns,
 * and these have been checked.
 *
 * The exception is a table whose row security binds the owner of the dimension,
 * who is then not the table's owner: it is read by a query, as that owner, in a
 * restricted operation.
 *
 * src/scope/members.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog/catalog.h"
#include "catalog/registry.h"
#include "scope/members.h"
#include "scope/policy.h"

/* With more members than these an index is not looked at */
#define MAX_INDEX_PROBES	100

/* What is read of a dimension's table */
typedef struct KeyReading
{
	AttrNumber	key;			/* columns of the table */
	AttrNumber	level;
	Oid			loose_collation;	/* of the level, or InvalidOid */
	MemberSet  *members;
	KeyTaker	taker;
	void	   *arg;
} KeyReading;

/*
 * Does row security bind a dimension's owner when he reads its table?  The table's
 * own owner reads it whole, be it forced: otherwise a dimension's table could not
 * obey scopes of its own.
 */
bool
kpi_is_bound(Dimension *dimension)
{
	return OidIsValid(dimension->table) &&
		!pg_class_ownercheck(dimension->table, dimension->owner) &&
		!has_bypassrls_privilege(dimension->owner) &&
		kpi_has_row_security(dimension->table);
}

/*
 * Hand on the key of a row whose level holds a member.
 */
static void
take_row(KeyReading *reading, Datum level, bool level_null, Datum key, bool key_null)
{
	int			member;

	if (level_null || key_null)
		return;
	member = kpi_find_member(reading->members, level, reading->loose_collation);
	if (member >= 0)
		reading->taker(key, member, reading->arg);
}

/*
 * Read all rows of a table.
 */
static void
read_whole_table(Relation rel, KeyReading *reading)
{
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		level_null;
		bool		key_null;
		Datum		level = slot_getattr(slot, reading->level, &level_null);
		Datum		key = slot_getattr(slot, reading->key, &key_null);

		CHECK_FOR_INTERRUPTS();
		take_row(reading, level, level_null, key, key_null);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * Does an index find the rows that hold a value in a column, all of them, by the
 * comparison that the column's type has, and without anything of its owner's?
 */
static bool
is_usable_index(Relation index, AttrNumber column, MemberSet *members, Oid collation)
{
	return index->rd_rel->relam == BTREE_AM_OID &&
		index->rd_index->indisvalid &&
		!index->rd_index->indcheckxmin &&
		index->rd_index->indkey.values[0] == column &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL) &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) &&
		index->rd_opfamily[0] == members->type->btree_opf &&
		index->rd_opcintype[0] == members->type->btree_opintype &&
		index->rd_indcollation[0] == collation;
}

/*
 * Find such an index.
 */
static Oid
find_index(Relation rel, KeyReading *reading)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), reading->level - 1);
	Oid			result = InvalidOid;
	ListCell   *lc;

	if (reading->members->count > MAX_INDEX_PROBES ||
		rel->rd_rel->relam != HEAP_TABLE_AM_OID)
		return InvalidOid;
	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (is_usable_index(index, reading->level, reading->members, att->attcollation))
			result = lfirst_oid(lc);
		index_close(index, AccessShareLock);
		if (OidIsValid(result))
			break;
	}
	return result;
}

/*
 * Read the rows that an index finds for each member.
 */
static void
read_by_index(Relation rel, Oid indexid, KeyReading *reading)
{
	for (int i = 0; i < reading->members->count; i++)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, reading->level, BTEqualStrategyNumber,
					get_opcode(reading->members->type->eq_opr), reading->members->values[i]);
		key.sk_collation = TupleDescAttr(RelationGetDescr(rel), reading->level - 1)->attcollation;
		scan = systable_beginscan(rel, indexid, true, GetActiveSnapshot(), 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			bool		level_null;
			bool		key_null;
			Datum		level = heap_getattr(tuple, reading->level, RelationGetDescr(rel), &level_null);
			Datum		value = heap_getattr(tuple, reading->key, RelationGetDescr(rel), &key_null);

			CHECK_FOR_INTERRUPTS();
			take_row(reading, level, level_null, value, key_null);
		}
		systable_endscan(scan);
	}
}

/*
 * What is to be read of a dimension.
 */
static KeyReading
make_reading(Dimension *dimension, int level, MemberSet *members, KeyTaker taker, void *arg)
{
	KeyReading	reading = {0};
	Oid			type;
	int32		typmod;
	Oid			collation;

	reading.key = linitial_int(dimension->columns);
	reading.level = list_nth_int(dimension->columns, level - 1);
	get_atttypetypmodcoll(dimension->table, reading.level, &type, &typmod, &collation);
	reading.loose_collation = kpi_loose_collation(collation);
	reading.members = members;
	reading.taker = taker;
	reading.arg = arg;
	return reading;
}

/*
 * Read the keys of the rows whose level holds one of some members.  False where the
 * table is gone or, not to wait for anybody, locked.
 */
bool
kpi_read_keys(Dimension *dimension, int level, MemberSet *members, bool wait,
			  KeyTaker taker, void *arg)
{
	KeyReading	reading;
	Relation	rel;
	Oid			index;

	if (wait)
		LockRelationOid(dimension->table, AccessShareLock);
	else if (!ConditionalLockRelationOid(dimension->table, AccessShareLock))
		return false;
	rel = try_table_open(dimension->table, NoLock);
	if (rel == NULL)
	{
		UnlockRelationOid(dimension->table, AccessShareLock);
		return false;
	}
	reading = make_reading(dimension, level, members, taker, arg);
	PushActiveSnapshot(kpi_newest_snapshot());
	index = wait ? find_index(rel, &reading) : InvalidOid;
	if (OidIsValid(index))
		read_by_index(rel, index, &reading);
	else
		read_whole_table(rel, &reading);
	PopActiveSnapshot();
	table_close(rel, AccessShareLock);
	return true;
}

/*
 * Take a row of the query of kpi_read_bound_keys().
 */
static void
take_bound_row(HeapTuple row, TupleDesc desc, void *arg)
{
	bool		level_null;
	bool		key_null;
	Datum		level = kpi_row_value(row, desc, 1, &level_null);
	Datum		key = kpi_row_value(row, desc, 2, &key_null);

	take_row(arg, level, level_null, key, key_null);
}

/*
 * The same where row security binds the dimension's owner.
 */
void
kpi_read_bound_keys(Dimension *dimension, int level, MemberSet *members,
					KeyTaker taker, void *arg)
{
	KeyReading	reading = make_reading(dimension, level, members, taker, arg);

	(void) kpi_read_as(dimension->owner,
					   psprintf("SELECT t.%s, t.%s FROM ONLY %s AS t",
								quote_identifier(get_attname(dimension->table, reading.level, false)),
								quote_identifier(get_attname(dimension->table, reading.key, false)),
								kpi_relation_name(dimension->table)),
					   0, NULL, NULL, take_bound_row, &reading);
}
