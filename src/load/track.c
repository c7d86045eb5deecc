/*
 * track.c
 *		Which tables are tracked.
 *
 * kpi.track() registers a table and gives it, its partitions and its children the
 * triggers that record changes of data; follow.c keeps that true.
 *
 * src/load/track.c
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "catalog/names.h"
#include "catalog/registry.h"
#include "catalog/utility.h"
#include "load/load.h"

PG_FUNCTION_INFO_V1(kpi_track);
PG_FUNCTION_INFO_V1(kpi_untrack);

/*
 * Refuse what cannot be tracked.
 */
static void
check_trackable(Oid relid)
{
	Oid			extension = getExtensionOfObject(RelationRelationId, relid);
	char		relkind = get_rel_relkind(relid);
	const char *why = NULL;

	if (relkind == RELKIND_FOREIGN_TABLE)
		why = "PostgreSQL has no transition tables for foreign tables.";
	else if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		why = "Only tables are tracked; what is above them is followed down to them.";
	else if (relid < FirstNormalObjectId)
		why = "It is a system table.";
	else if (OidIsValid(extension))
		why = psprintf("It belongs to extension \"%s\".", get_extension_name(extension));
	else if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		why = "It is a temporary table.";
	if (why != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot track %s", kpi_relation_name(relid)),
				 errdetail_internal("%s", why)));
}

/*
 * Refuse a table that has a foreign partition, or one of somebody else.
 */
static void
check_family(Oid relid, List *family)
{
	ListCell   *lc;

	foreach(lc, family)
	{
		Oid			child = lfirst_oid(lc);

		if (get_rel_relkind(child) == RELKIND_FOREIGN_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("cannot track %s", kpi_relation_name(relid)),
					 errdetail("%s, which is below it, is a foreign table, and PostgreSQL has no transition tables for those.",
							   kpi_relation_name(child)),
					 errhint("Track the other partitions by themselves.")));
		kpi_check_owner(child);
	}
}

/*
 * Check that a column can be the time column.
 */
static void
check_time_column(Oid relid, const char *column)
{
	AttrNumber	attnum = get_attnum(relid, column);
	Oid			type;

	if (attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist", column,
						kpi_relation_name(relid))));
	type = getBaseType(get_atttype(relid, attnum));
	if (type != DATEOID && type != TIMESTAMPOID && type != TIMESTAMPTZOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" has type %s", column,
						format_type_be(get_atttype(relid, attnum))),
				 errdetail("A time column has type date, timestamp or timestamptz.")));
}

/*
 * kpi.track(relation, time_column)
 */
Datum
kpi_track(PG_FUNCTION_ARGS)
{
	char	   *column = kpi_text_argument(fcinfo, 1);
	Oid			argtypes[] = {REGCLASSOID, TEXTOID};
	Datum		values[2] = {0};
	char		nulls[] = {' ', ' '};
	Oid			relid;
	List	   *family;
	ListCell   *lc;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the relation to track must not be null")));
	relid = PG_GETARG_OID(0);
	kpi_check_owner(relid);
	check_trackable(relid);
	family = find_all_inheritors(relid, ShareRowExclusiveLock, NULL);
	check_family(relid, family);

	values[0] = ObjectIdGetDatum(relid);
	if (column != NULL)
	{
		column = kpi_resolve_column(relid, column, "time_column", false);
		check_time_column(relid, column);
		values[1] = CStringGetTextDatum(column);
	}
	else
		nulls[1] = 'n';
	kpi_registry_execute("INSERT INTO kpi.track_registry (relid, time_column)"
						 " VALUES ($1, $2) ON CONFLICT (relid) DO UPDATE"
						 " SET time_column = excluded.time_column, verified_at = excluded.verified_at",
						 lengthof(argtypes), argtypes, values, nulls);
	kpi_repair_triggers(list_make1_oid(relid));
	foreach(lc, family)
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
	PG_RETURN_VOID();
}

/*
 * kpi.untrack(relation)
 */
Datum
kpi_untrack(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	List	   *family;
	ListCell   *lc;

	kpi_check_owner(relid);
	family = find_all_inheritors(relid, ShareRowExclusiveLock, NULL);
	if (kpi_registry_execute("DELETE FROM kpi.track_registry"
							 " WHERE relid OPERATOR(pg_catalog.=) $1",
							 1, argtypes, values, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table %s is not tracked", kpi_relation_name(relid))));
	kpi_repair_triggers(list_make1_oid(relid));
	foreach(lc, family)
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
	PG_RETURN_VOID();
}
