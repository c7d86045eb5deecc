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
 * An entry is made aside and put in place whole.  One that is out of date goes to the
 * transaction, which frees it when it ends: whoever up the stack still reads it may
 * go on.
 *
 * src/load/tracked.c
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "catalog/family.h"
#include "catalog/registry.h"
#include "load/load.h"
#include "scope/key.h"

/* An entry of the cache */
typedef struct CachedTable
{
	Oid			relid;
	bool		valid;
	int			loading;		/* how many up the stack are making it */
	uint64		changes;		/* how often the table has changed */
	TrackedTable *table;		/* NULL where it is not tracked */
} CachedTable;

static HTAB *tables = NULL;

/*
 * A relation changed.  Called at any moment: no catalog access.
 */
static void
relation_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	CachedTable *cached;

	if (tables == NULL)
		return;
	if (OidIsValid(relid))
	{
		cached = hash_search(tables, &relid, HASH_FIND, NULL);
		if (cached != NULL)
		{
			cached->valid = false;
			cached->changes++;
		}
		return;
	}
	hash_seq_init(&status, tables);
	while ((cached = hash_seq_search(&status)) != NULL)
	{
		cached->valid = false;
		cached->changes++;
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
	if (key->attnum <= 0 || kpi_key_type_problem(type) != NULL)
		return false;
	coltype = get_atttype(table->relid, key->attnum);
	get_typlenbyval(coltype, &key->typlen, &key->typbyval);
	if (!kpi_key_cast(coltype, type, &cast))
		return false;
	key->has_cast = OidIsValid(cast);
	if (key->has_cast)
		fmgr_info_cxt(cast, &key->cast, table->context);

	getTypeOutputInfo(type, &output, &is_varlena);
	fmgr_info_cxt(output, &key->output, table->context);
	/* those of floats are declared immutable, but obey extra_float_digits */
	key->has_settings = func_volatile(output) != PROVOLATILE_IMMUTABLE ||
		type == FLOAT4OID || type == FLOAT8OID;
	return true;
}

/*
 * Take a dimension that scopes a table, by a column.
 */
static void
take_key(HeapTuple row, TupleDesc desc, void *arg)
{
	TrackedTable *table = arg;
	TrackedKey	key = {0};
	bool		isnull;
	Oid			type = DatumGetObjectId(kpi_row_value(row, desc, 3, &isnull));

	if (!load_key(table, &key, kpi_row_text(row, desc, 2), type))
		return;
	key.dimension = MemoryContextStrdup(table->context, kpi_row_text(row, desc, 1));
	table->last_attnum = Max(table->last_attnum, key.attnum);
	table->keys = table->keys == NULL ?
		MemoryContextAlloc(table->context, sizeof(TrackedKey)) :
		repalloc(table->keys, sizeof(TrackedKey) * (table->nkeys + 1));
	table->keys[table->nkeys++] = key;
}

/* The nearest row of kpi.track_registry */
typedef struct Tracking
{
	bool		found;
	char	   *time_column;	/* or NULL */
} Tracking;

/*
 * Take a row of kpi.track_registry; the nearest comes first.
 */
static void
take_tracking(HeapTuple row, TupleDesc desc, void *arg)
{
	Tracking   *tracking = arg;

	if (!tracking->found)
		tracking->time_column = kpi_row_text(row, desc, 1);
	tracking->found = true;
}

/*
 * Make an entry from the registries, or NULL for a table that is not tracked.  Where
 * the same dimension scopes it by several columns, nothing is noted of it.
 */
static TrackedTable *
load_table(Oid relid)
{
	Oid			argtypes[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	Tracking	tracking = {0};
	MemoryContext context;
	TrackedTable *table;

	if (!kpi_family_registered("track_registry", list_make1_oid(relid), false))
		return NULL;
	(void) kpi_registry_read("WITH RECURSIVE ancestor (relid, distance) AS ("
							 " SELECT $1, 0"
							 " UNION"
							 " SELECT i.inhparent, a.distance + 1 FROM ancestor a"
							 "  JOIN pg_inherits i ON i.inhrelid = a.relid) "
							 "SELECT t.time_column FROM ancestor a"
							 " JOIN kpi.track_registry t ON t.relid = a.relid"
							 " ORDER BY a.distance",
							 1, argtypes, values, take_tracking, &tracking);
	if (!tracking.found)
		return NULL;
	context = AllocSetContextCreate(CurrentMemoryContext, "kpitables tracked table",
									ALLOCSET_SMALL_SIZES);
	table = MemoryContextAllocZero(context, sizeof(TrackedTable));
	table->relid = relid;
	table->context = context;
	load_time_column(table, tracking.time_column);
	table->last_attnum = table->time_attnum;
	(void) kpi_registry_read("SELECT p.dimension, min(p.attname::text), d.type::oid"
							 " FROM kpi.relation_and_parents($1) AS a (relid)"
							 " JOIN kpi.protection_registry p ON p.relid = a.relid"
							 " JOIN kpi.dimension_registry d ON d.name = p.dimension"
							 " GROUP BY p.dimension, d.type HAVING count(DISTINCT p.attname) = 1",
							 1, argtypes, values, take_key, table);
	return table;
}

/*
 * Forget the entries that are out of date, and the tables that have gone with them:
 * who still reads one may go on until the transaction ends.
 */
static void
forget_stale_tables(void)
{
	HASH_SEQ_STATUS status;
	CachedTable *cached;

	hash_seq_init(&status, tables);
	while ((cached = hash_seq_search(&status)) != NULL)
	{
		if (cached->valid || cached->loading > 0)
			continue;
		if (cached->table != NULL)
			MemoryContextSetParent(cached->table->context, TopTransactionContext);
		(void) hash_search(tables, &cached->relid, HASH_REMOVE, NULL);
	}
}

/*
 * The entry of a table, made if there is none.
 */
static CachedTable *
find_entry(Oid relid)
{
	CachedTable *cached;
	bool		found;

	if (tables == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(CachedTable);
		tables = hash_create("kpitables tracked tables", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	cached = hash_search(tables, &relid, HASH_FIND, NULL);
	if (cached != NULL && cached->valid)
		return cached;
	forget_stale_tables();
	cached = hash_search(tables, &relid, HASH_ENTER, &found);
	if (!found)
	{
		cached->valid = false;
		cached->loading = 0;
		cached->changes = 0;
		cached->table = NULL;
	}
	return cached;
}

/*
 * Read about the table of an entry, which stays whatever happens meanwhile.
 */
static TrackedTable *
load_entry(CachedTable *cached)
{
	TrackedTable *volatile table = NULL;

	cached->loading++;
	PG_TRY();
	{
		table = load_table(cached->relid);
	}
	PG_CATCH();
	{
		cached->loading--;
		PG_RE_THROW();
	}
	PG_END_TRY();
	cached->loading--;
	return table;
}

/*
 * What to note of a change of a table, or NULL where it is not tracked.  Good until
 * the transaction ends.
 */
TrackedTable *
kpi_tracked_table(Oid relid)
{
	CachedTable *cached = find_entry(relid);
	uint64		changes = cached->changes;
	TrackedTable *table;

	if (cached->valid)
		return cached->table;

	table = load_entry(cached);
	if (cached->table != NULL)
		MemoryContextSetParent(cached->table->context, TopTransactionContext);
	cached->table = table;
	if (table != NULL)
		MemoryContextSetParent(table->context, CacheMemoryContext);

	/*
	 * what arrived meanwhile may have changed it: then it serves this call
	 * only
	 */
	cached->valid = changes == cached->changes;
	return table;
}
