/*
 * registry.c
 *		The registry tables, read and written with the rights of the extension's owner.
 *
 * The registry tables belong to the owner of the extension and nobody else has a
 * privilege on them.  They are read and written by constant statements whose names
 * are all qualified; the caller has checked that the current user may do so.
 *
 * What is asked for all the time, as when a scope is computed, is read without a
 * statement, as catalogs are: kpi_registry_find().
 *
 * What stands in them says who sees what, so statements see the newest state that
 * is committed, and what the transaction itself did, whatever its isolation level:
 * as the catalogs are seen, not as tables are.
 *
 * src/catalog/registry.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/registry.h"

/* A plan that is kept for the session; the statement is the key */
typedef struct KeptPlan
{
	const char *sql;
	SPIPlanPtr	plan;
} KeptPlan;

/* A statement, and where its rows go */
typedef struct Statement
{
	const char *sql;
	int			nargs;
	Oid		   *argtypes;
	Datum	   *values;
	const char *nulls;
	bool		kept;			/* is its plan? */
	bool		writes;
	KpiRowTaker taker;			/* or NULL */
	void	   *arg;
	MemoryContext caller;
	uint64		nrows;
} Statement;

/*
 * The newest snapshot.  Parallel mode refuses to take one but for the catalogs.
 */
Snapshot
kpi_newest_snapshot(void)
{
	return IsInParallelMode() ? GetCatalogSnapshot(InvalidOid) : GetLatestSnapshot();
}

/*
 * Hash a key that points to a text, as of a statement or a name.
 */
uint32
kpi_hash_text(const void *key, Size keysize)
{
	const char *text = *(const char *const *) key;

	return hash_bytes((const unsigned char *) text, strlen(text));
}

/*
 * Compare such keys.
 */
int
kpi_compare_texts(const void *a, const void *b, Size keysize)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/*
 * Prepare a statement.
 */
static SPIPlanPtr
prepare(Statement *statement)
{
	SPIPlanPtr	plan = SPI_prepare(statement->sql, statement->nargs, statement->argtypes);

	if (plan == NULL)
		elog(ERROR, "could not prepare statement: %s", SPI_result_code_string(SPI_result));
	return plan;
}

/*
 * The plan of a statement of the extension's own.  There are some dozens of these,
 * and some run after every DDL command of anybody, so their plans are kept.
 */
static SPIPlanPtr
kept_plan(Statement *statement)
{
	static HTAB *plans = NULL;
	KeptPlan   *kept;
	KeptPlan	made;

	if (plans == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(char *);
		control.entrysize = sizeof(KeptPlan);
		control.hash = kpi_hash_text;
		control.match = kpi_compare_texts;
		plans = hash_create("kpitables statements", 64, &control,
							HASH_ELEM | HASH_FUNCTION | HASH_COMPARE);
	}
	kept = hash_search(plans, &statement->sql, HASH_FIND, NULL);
	if (kept != NULL)
		return kept->plan;

	made.plan = prepare(statement);
	made.sql = MemoryContextStrdup(TopMemoryContext, statement->sql);
	if (SPI_keepplan(made.plan) != 0)
		elog(ERROR, "could not keep the plan of a statement");
	kept = hash_search(plans, &made.sql, HASH_ENTER, NULL);
	kept->plan = made.plan;
	return made.plan;
}

/*
 * Errand: run a statement.
 */
static void
run_statement(void *arg)
{
	Statement  *statement = arg;
	SPIPlanPtr	plan;
	int			rc;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = statement->kept ? kept_plan(statement) : prepare(statement);
	rc = SPI_execute_snapshot(plan, statement->values, statement->nulls,
							  kpi_newest_snapshot(), InvalidSnapshot,
							  !statement->writes, true, 0);
	if (rc < 0)
		elog(ERROR, "statement failed: %s", SPI_result_code_string(rc));
	statement->nrows = SPI_processed;
	if (statement->taker != NULL)
	{
		SPITupleTable *rows = SPI_tuptable;
		MemoryContext old = MemoryContextSwitchTo(statement->caller);

		for (uint64 i = 0; i < rows->numvals; i++)
			statement->taker(rows->vals[i], rows->tupdesc, statement->arg);
		MemoryContextSwitchTo(old);
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
}

/*
 * Read as a role: in a restricted operation, with the newest snapshot.  Returns
 * the number of rows.
 */
uint64
kpi_read_as(Oid role, const char *sql, int nargs, Oid *argtypes,
			Datum *values, KpiRowTaker taker, void *arg)
{
	Statement	statement = {sql, nargs, argtypes, values, NULL, false, false, taker, arg,
	CurrentMemoryContext, 0};

	kpi_on_behalf_of(role, run_statement, &statement);
	return statement.nrows;
}

/*
 * Read the registry tables, or as their owner the catalogs.  Returns the number of
 * rows.
 */
uint64
kpi_registry_read(const char *sql, int nargs, Oid *argtypes, Datum *values,
				  KpiRowTaker taker, void *arg)
{
	Statement	statement = {sql, nargs, argtypes, values, NULL, true, false, taker, arg,
	CurrentMemoryContext, 0};

	kpi_on_behalf_of(kpi_require_objects()->owner, run_statement, &statement);
	return statement.nrows;
}

/*
 * Run a statement that writes the registry tables.  Returns the number of rows.
 */
uint64
kpi_registry_execute(const char *sql, int nargs, Oid *argtypes,
					 Datum *values, const char *nulls)
{
	Statement	statement = {sql, nargs, argtypes, values, nulls, true, true, NULL, NULL,
	CurrentMemoryContext, 0};

	kpi_on_behalf_of(kpi_require_objects()->owner, run_statement, &statement);
	return statement.nrows;
}

/*
 * Is there a row?
 */
bool
kpi_registry_has(const char *sql, int nargs, Oid *argtypes, Datum *values)
{
	return kpi_registry_read(sql, nargs, argtypes, values, NULL, NULL) > 0;
}

/* The first value of a result */
typedef struct FirstValue
{
	bool		taken;
	Datum		value;
	bool		isnull;
} FirstValue;

/*
 * Take the first value of a result.
 */
static void
take_first_value(HeapTuple row, TupleDesc desc, void *arg)
{
	FirstValue *first = arg;

	if (!first->taken)
		first->value = kpi_row_value(row, desc, 1, &first->isnull);
	first->taken = true;
}

/*
 * Ask the registry tables for one value; no row gives NULL.
 */
Datum
kpi_registry_value(const char *sql, int nargs, Oid *argtypes, Datum *values,
				   bool *isnull)
{
	FirstValue	first = {false, (Datum) 0, true};

	(void) kpi_registry_read(sql, nargs, argtypes, values, take_first_value, &first);
	*isnull = first.isnull;
	return first.value;
}

/*
 * Open a table of the extension for a look without a statement.
 */
static Relation
open_registry(const char *table)
{
	Oid			relid = get_relname_relid(table, kpi_require_objects()->namespace);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" does not exist", KPI_SCHEMA, table)));
	return table_open(relid, AccessShareLock);
}

/*
 * The index of a table that finds the values of a column, or InvalidOid.
 */
static Oid
index_on(Relation rel, AttrNumber attnum)
{
	Oid			collation = TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attcollation;
	Oid			result = InvalidOid;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index->rd_rel->relam == BTREE_AM_OID &&
			index->rd_index->indisvalid &&
			!index->rd_index->indcheckxmin &&
			index->rd_index->indkey.values[0] == attnum &&
			index->rd_indcollation[0] == collation &&
			heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
			result = lfirst_oid(lc);
		index_close(index, AccessShareLock);
	}
	return result;
}

/* Which rows of a table of the extension */
typedef struct RowSearch
{
	const char *column;			/* NULL: all rows */
	RegProcedure equal;
	Datum		value;
	uint64		most;			/* how many rows are enough */
} RowSearch;

/*
 * Read rows of a table of the extension as a catalog is read.  Returns their number.
 */
static uint64
scan_registry(const char *table, RowSearch search, KpiRowTaker taker, void *arg)
{
	Relation	rel = open_registry(table);
	Oid			index = InvalidOid;
	uint64		nrows = 0;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;

	if (search.column != NULL)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(rel), search.column);

		index = index_on(rel, attnum);
		ScanKeyInit(&key, attnum, BTEqualStrategyNumber, search.equal, search.value);
		key.sk_collation = TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attcollation;
	}
	PushActiveSnapshot(kpi_newest_snapshot());
	scan = systable_beginscan(rel, index, OidIsValid(index), GetActiveSnapshot(),
							  search.column == NULL ? 0 : 1, &key);
	while (nrows < search.most && HeapTupleIsValid(row = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		if (taker != NULL)
			taker(row, RelationGetDescr(rel), arg);
		nrows++;
	}
	systable_endscan(scan);
	PopActiveSnapshot();
	table_close(rel, AccessShareLock);
	return nrows;
}

/*
 * Read the rows of a table of the extension whose column holds a text.  Returns their
 * number.
 */
uint64
kpi_registry_find(const char *table, const char *column, const char *value,
				  KpiRowTaker taker, void *arg)
{
	RowSearch	search = {column, F_TEXTEQ, CStringGetTextDatum(value), PG_UINT64_MAX};

	return scan_registry(table, search, taker, arg);
}

/*
 * The same of a column that holds OIDs.
 */
uint64
kpi_registry_find_oid(const char *table, const char *column, Oid value,
					  KpiRowTaker taker, void *arg)
{
	RowSearch	search = {column, F_OIDEQ, ObjectIdGetDatum(value), PG_UINT64_MAX};

	return scan_registry(table, search, taker, arg);
}

/*
 * Does a column that holds OIDs hold this one?
 */
bool
kpi_registry_lists(const char *table, const char *column, Oid value)
{
	RowSearch	search = {column, F_OIDEQ, ObjectIdGetDatum(value), 1};

	return scan_registry(table, search, NULL, NULL) > 0;
}

/*
 * Has a table of the extension no rows?
 */
bool
kpi_registry_is_empty(const char *table)
{
	RowSearch	search = {NULL, InvalidOid, (Datum) 0, 1};

	return scan_registry(table, search, NULL, NULL) == 0;
}

/* OIDs that are collected from a column */
typedef struct OidColumn
{
	const char *name;
	List	   *oids;
} OidColumn;

/*
 * Take the OID in a column.
 */
static void
take_named_oid(HeapTuple row, TupleDesc desc, void *arg)
{
	OidColumn  *column = arg;
	bool		isnull;
	Datum		value = kpi_row_named(row, desc, column->name, &isnull);

	column->oids = lappend_oid(column->oids, isnull ? InvalidOid : DatumGetObjectId(value));
}

/*
 * The OIDs in a column of a table of the extension.
 */
List *
kpi_registry_oids(const char *table, const char *column)
{
	RowSearch	search = {NULL, InvalidOid, (Datum) 0, PG_UINT64_MAX};
	OidColumn	result = {column, NIL};

	(void) scan_registry(table, search, take_named_oid, &result);
	return result.oids;
}

/*
 * Take an OID, the first column of a result, into a list.
 */
void
kpi_take_oid(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **oids = arg;
	bool		isnull;

	*oids = lappend_oid(*oids, DatumGetObjectId(kpi_row_value(row, desc, 1, &isnull)));
}

/*
 * OIDs as a value for a statement.
 */
Datum
kpi_oid_array(List *oids)
{
	Datum	   *elems = palloc(sizeof(Datum) * (list_length(oids) + 1));
	ListCell   *lc;

	foreach(lc, oids)
		elems[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	return PointerGetDatum(construct_array(elems, list_length(oids), OIDOID, sizeof(Oid),
										   true, TYPALIGN_INT));
}

/*
 * A column of a row, copied whole to the current memory context.
 */
Datum
kpi_row_value(HeapTuple row, TupleDesc desc, int column, bool *isnull)
{
	Form_pg_attribute att = TupleDescAttr(desc, column - 1);
	Datum		value = SPI_getbinval(row, desc, column, isnull);

	if (*isnull)
		return (Datum) 0;
	if (att->attlen == -1)
		return PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	return datumCopy(value, att->attbyval, att->attlen);
}

/*
 * The same by the column's name.
 */
Datum
kpi_row_named(HeapTuple row, TupleDesc desc, const char *column, bool *isnull)
{
	int			attnum = SPI_fnumber(desc, column);

	if (attnum <= 0)
		elog(ERROR, "column \"%s\" does not exist", column);
	return kpi_row_value(row, desc, attnum, isnull);
}

/*
 * A column of a row as text, or NULL.
 */
char *
kpi_row_text(HeapTuple row, TupleDesc desc, int column)
{
	return SPI_getvalue(row, desc, column);
}
