/*
 * family.c
 *		Partitions, children and parents, at any depth.
 *
 * Nothing is locked: it tells how things are at the moment.  Each table is visited
 * once, whatever the shape of the family.
 *
 * src/catalog/family.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "catalog/family.h"
#include "catalog/registry.h"

/* The tables that have been met, in the order in which they are to be visited */
typedef struct Family
{
	HTAB	   *met;
	List	   *relids;
} Family;

/*
 * Meet a table.
 */
static void
meet(Family *family, Oid relid)
{
	bool		found;

	(void) hash_search(family->met, &relid, HASH_ENTER, &found);
	if (!found)
		family->relids = lappend_oid(family->relids, relid);
}

/*
 * The tables that a table is a partition or child of.
 */
List *
kpi_parents(Oid relid)
{
	Relation	rel = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		result = lappend_oid(result, ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * Meet what is below the tables that were met.
 */
static void
meet_below(Family *family)
{
	for (int i = 0; i < list_length(family->relids); i++)
	{
		Oid			relid = list_nth_oid(family->relids, i);
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)) || !has_subclass(relid))
			continue;
		foreach(lc, find_inheritance_children_extended(relid, false, NoLock, NULL, NULL))
			meet(family, lfirst_oid(lc));
	}
}

/*
 * Meet what the tables that were met are below of.
 */
static void
meet_above(Family *family)
{
	for (int i = 0; i < list_length(family->relids); i++)
	{
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		foreach(lc, kpi_parents(list_nth_oid(family->relids, i)))
			meet(family, lfirst_oid(lc));
	}
}

/*
 * Is one of some tables, of what they are below of or, if asked, of what is below them
 * and below of what that is, in column "relid" of a table of the extension?
 */
bool
kpi_family_registered(const char *registry, List *relids, bool below)
{
	List	   *registered = kpi_registry_oids(registry, "relid");
	HASHCTL		control = {0};
	Family		family = {0};
	bool		result = false;
	ListCell   *lc;

	if (registered == NIL)
		return false;
	control.keysize = control.entrysize = sizeof(Oid);
	control.hcxt = CurrentMemoryContext;
	family.met = hash_create("kpitables family", 64, &control,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	foreach(lc, relids)
		meet(&family, lfirst_oid(lc));
	if (below)
		meet_below(&family);
	meet_above(&family);
	foreach(lc, registered)
		result |= hash_search(family.met, &lfirst_oid(lc), HASH_FIND, NULL) != NULL;
	hash_destroy(family.met);
	return result;
}
