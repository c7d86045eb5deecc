/*
 * tracked.c
 *		What to note of a change of a table: the cache of the backend.
 *
 * A table is tracked if it, or a table that it is a partition or child of, is in
 * kpi.track_registry; the nearest one says which column holds the time.  Columns
 * are resolved by name, for their numbers differ between a table and its
 * partitions, and after a restore.
 *
 * Whatever can make an entry wrong sends a relation cache invalidation for its
 * table: triggers made or dropped, policies, renames, attaching and detaching,
 * and kpi.track() itself.
 *
 * The registries are read with the newest snapshot, whatever the isolation level:
 * a transaction that began before a table was tracked records its changes, too.
 *
 * src/load/tracked.c
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "parser/parse_coerce.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "catalog/catalog.h"
#include "load/load.h"

/* A table and all that it is below of */
#define ANCESTORS \
	"WITH RECURSIVE ancestor (relid, distance) AS (" \
	" SELECT $1, 0" \
	" UNION ALL" \
	" SELECT i.inhparent, a.distance + 1 FROM ancestor a" \
	"  JOIN pg_inherits i ON i.inhrelid = a.relid) "

static HTAB *tables = NULL;

/*
 * A relation changed.  Called at any moment: no catalog access.
 */
static void
relation_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	TrackedTable *table;

	if (tables == NULL)
		return;
	if (OidIsValid(relid))
	{
		table = hash_search(tables, &relid, HASH_FIND, NULL);
		if (table != NULL)
		{
			table->valid = false;
			table->changed = true;
		}
		return;
	}
	hash_seq_init(&status, tables);
	while ((table = hash_seq_search(&status)) != NULL)
	{
		table->valid = false;
		table->changed = true;
	}
}

/*
 * Register for the changes that can make an entry wrong.
 */
void
kpi_tracked_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
}

/*
 * Look up the column that holds the time; without one, or with one that is gone
 * or holds something else by now, no range is noted.
 */
static void
load_time_column(TrackedTable *table, const char *name)
{
	AttrNumber	attnum = name == NULL ? InvalidAttrNumber : get_attnum(table->relid, name);

	table->time_attnum = InvalidAttrNumber;
	if (attnum <= 0)
		return;
	table->time_type = getBaseType(get_atttype(table->relid, attnum));
	if (table->time_type == DATEOID || table->time_type == TIMESTAMPOID ||
		table->time_type == TIMESTAMPTZOID)
		table->time_attnum = attnum;
}

/*
 * Look up the column that holds a dimension's key, and how to write its values as
 * the dimension does.  False where that cannot be told: then no member is noted.
 */
static bool
load_key(TrackedTable *table, TrackedKey *key, const char *column, Oid type)
{
	Oid			coltype;
	Oid			cast;
	Oid			output;
	bool		is_varlena;

	key->attnum = get_attnum(table->relid, column);
	if (key->attnum <= 0)
		return false;
	coltype = get_atttype(table->relid, key->attnum);
	get_typlenbyval(coltype, &key->typlen, &key->typbyval);

	switch (find_coercion_pathway(type, coltype, COERCION_IMPLICIT, &cast))
	{
		case COERCION_PATH_RELABELTYPE:
			key->has_cast = false;
			break;
		case COERCION_PATH_FUNC:
			if (get_func_nargs(cast) != 1)
				return false;
			key->has_cast = true;
			fmgr_info_cxt(cast, &key->cast, table->context);
			break;
		default:
			return false;
	}

	getTypeOutputInfo(type, &output, &is_varlena);
	fmgr_info_cxt(output, &key->output, table->context);
	/* those of floats are declared immutable, but obey extra_float_digits */
	key->has_settings = func_volatile(output) != PROVOLATILE_IMMUTABLE ||
		type == FLOAT4OID || type == FLOAT8OID;
	return true;
}

/*
 * Look up the keys of the dimensions that scope a table.  Where the same dimension
 * scopes it by several columns, nothing is noted of it.
 */
static void
load_keys(TrackedTable *table, Oid *argtypes, Datum *values)
{
	if (SPI_execute_with_args(ANCESTORS
							  "SELECT k.dimension, min(k.attname::text), k.type::oid"
							  " FROM (SELECT p.dimension, d.type,"
							  "  coalesce((SELECT a.attname FROM pg_attribute a WHERE a.attrelid = p.relid"
							  "            AND a.attname = p.attname AND NOT a.attisdropped),"
							  "           (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = p.relid"
							  "            AND a.attnum = p.attnum AND NOT a.attisdropped)) AS attname"
							  "  FROM ancestor a"
							  "  JOIN kpi.protection_registry p ON p.relid = a.relid"
							  "  JOIN kpi.dimension_registry d ON d.name = p.dimension) AS k"
							  " GROUP BY k.dimension, k.type HAVING count(DISTINCT k.attname) = 1",
							  1, argtypes, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read protections");

	table->keys = MemoryContextAllocZero(table->context, sizeof(TrackedKey) * (SPI_processed + 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		TrackedKey *key = &table->keys[table->nkeys];
		bool		isnull;

		if (!load_key(table, key, SPI_getvalue(tuple, desc, 2),
					  DatumGetObjectId(SPI_getbinval(tuple, desc, 3, &isnull))))
			continue;
		key->dimension = MemoryContextStrdup(table->context, SPI_getvalue(tuple, desc, 1));
		table->last_attnum = Max(table->last_attnum, key->attnum);
		table->nkeys++;
	}
}

/*
 * Fill an entry from the registries, with the rights of the extension's owner.
 */
static void
load_table(TrackedTable *table)
{
	Oid			argtypes[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(table->relid)};
	KpiRegistryAccess registry;

	if (table->context == NULL)
		table->context = AllocSetContextCreate(TopMemoryContext, "kpitables tracked table",
											   ALLOCSET_SMALL_SIZES);
	MemoryContextReset(table->context);
	table->changed = false;
	table->nkeys = 0;
	table->keys = NULL;

	PushActiveSnapshot(GetLatestSnapshot());
	kpi_begin_registry(&registry);
	if (SPI_execute_with_args(ANCESTORS
							  "SELECT t.time_column FROM ancestor a"
							  " JOIN kpi.track_registry t ON t.relid = a.relid"
							  " ORDER BY a.distance",
							  1, argtypes, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read tracked tables");
	table->tracked = SPI_processed > 0;
	if (table->tracked)
	{
		load_time_column(table, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
		table->last_attnum = table->time_attnum;
		load_keys(table, argtypes, values);
	}
	kpi_end_registry(&registry);
	PopActiveSnapshot();

	/*
	 * what arrived meanwhile may have changed it: then it serves this call
	 * only
	 */
	table->valid = !table->changed;
}

/*
 * What to note of a change of a table, or NULL where it is not tracked.  Valid
 * until the next call.
 */
TrackedTable *
kpi_tracked_table(Oid relid)
{
	TrackedTable *table;
	bool		found;

	if (tables == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(TrackedTable);
		tables = hash_create("kpitables tracked tables", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	table = hash_search(tables, &relid, HASH_ENTER, &found);
	if (!found)
	{
		table->valid = false;
		table->context = NULL;
	}
	if (!table->valid)
		load_table(table);
	return table->tracked ? table : NULL;
}
