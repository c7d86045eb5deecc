/*
 * dependents.c
 *		What a DROP … CASCADE of an object would take.
 *
 * A query may name a column and not use it, and then no lineage leads from one to the
 * other; PostgreSQL drops the view with the column all the same.  So the walk here is
 * the one that PostgreSQL itself would make over pg_depend: to what depends on what
 * goes, and to the whole of which something that goes is a part.  It locks nothing and
 * comes to each object once (S9).
 *
 * src/lineage/dependents.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "lineage/lineage.h"

PG_FUNCTION_INFO_V1(kpi_dependents);

/* The walk: objects are told in the order of arrival */
typedef struct Fall
{
	ObjectAddress start;
	Relation	depend;			/* pg_depend */
	HTAB	   *seen;			/* of ObjectAddress */
	List	   *now;			/* of ObjectAddress *, equally far */
	List	   *next;			/* one step further */
	int			depth;
	ReturnSetInfo *rsinfo;
} Fall;

/*
 * Tell of an object that would go.
 */
static void
tell_object(Fall *fall, ObjectAddress object, int depth)
{
	Datum		values[4];
	bool		nulls[4] = {false};

	values[0] = ObjectIdGetDatum(object.classId);
	values[1] = ObjectIdGetDatum(object.objectId);
	values[2] = Int16GetDatum(object.objectSubId);
	values[3] = Int32GetDatum(depth);
	tuplestore_putvalues(fall->rsinfo->setResult, fall->rsinfo->setDesc, values, nulls);
}

/*
 * Come to an object, from another: another relation or function is a step further,
 * what either is made of is none.
 */
static void
arrive(Fall *fall, ObjectAddress from, ObjectAddress object)
{
	ObjectAddress whole = object;
	ObjectAddress *copy;
	bool		found;
	bool		step = object.objectId != from.objectId &&
	(object.classId == RelationRelationId || object.classId == ProcedureRelationId);

	whole.objectSubId = 0;
	if (object.objectSubId != 0 && hash_search(fall->seen, &whole, HASH_FIND, NULL) != NULL)
		return;
	(void) hash_search(fall->seen, &object, HASH_ENTER, &found);
	if (found)
		return;
	copy = palloc(sizeof(ObjectAddress));
	*copy = object;
	if (step)
		fall->next = lappend(fall->next, copy);
	else
		fall->now = lappend(fall->now, copy);
	tell_object(fall, object, fall->depth + (step ? 1 : 0));
}

/*
 * Is an object a part of one that it depends on in this way?
 */
static bool
is_part(Form_pg_depend depend)
{
	return depend->deptype == DEPENDENCY_INTERNAL || depend->deptype == DEPENDENCY_EXTENSION;
}

/*
 * Follow the dependencies of an object in one direction: of others on it, or of itself
 * on those whose part it is.
 */
static void
follow_dependencies(Fall *fall, ObjectAddress object, bool upwards)
{
	ScanKeyData key[3];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key[0], upwards ? Anum_pg_depend_classid : Anum_pg_depend_refclassid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object.classId));
	ScanKeyInit(&key[1], upwards ? Anum_pg_depend_objid : Anum_pg_depend_refobjid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object.objectId));
	ScanKeyInit(&key[2], upwards ? Anum_pg_depend_objsubid : Anum_pg_depend_refobjsubid,
				BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(object.objectSubId));
	scan = systable_beginscan(fall->depend,
							  upwards ? DependDependerIndexId : DependReferenceIndexId,
							  true, NULL, object.objectSubId != 0 ? 3 : 2, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress other;

		CHECK_FOR_INTERRUPTS();
		if (upwards && !is_part(depend))
			continue;
		if (upwards)
			ObjectAddressSubSet(other, depend->refclassid, depend->refobjid, depend->refobjsubid);
		else
			ObjectAddressSubSet(other, depend->classid, depend->objid, depend->objsubid);
		arrive(fall, object, other);
	}
	systable_endscan(scan);
}

/*
 * A column goes with its parent's, unless it is a table's own, too, or has two parents.
 */
static void
follow_children(Fall *fall, ObjectAddress column)
{
	const char *name = get_attname(column.objectId, column.objectSubId, true);
	ListCell   *lc;

	if (name == NULL)
		return;
	foreach(lc, find_inheritance_children(column.objectId, NoLock))
	{
		HeapTuple	tuple = SearchSysCacheAttName(lfirst_oid(lc), name);
		Form_pg_attribute att;
		ObjectAddress child;

		if (!HeapTupleIsValid(tuple))
			continue;
		att = (Form_pg_attribute) GETSTRUCT(tuple);
		ObjectAddressSubSet(child, RelationRelationId, lfirst_oid(lc), att->attnum);
		if (att->attinhcount == 1 && !att->attislocal)
			arrive(fall, column, child);
		ReleaseSysCache(tuple);
	}
}

/*
 * Does a relation have the columns of a type?
 */
static bool
is_of_type(Oid relid, Oid type)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_class) GETSTRUCT(tuple))->reloftype == type;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * An attribute of a composite type goes with the columns of the tables of that type.
 */
static void
follow_typed_tables(Fall *fall, ObjectAddress attribute)
{
	Oid			type = get_rel_type_id(attribute.objectId);
	const char *name = get_attname(attribute.objectId, attribute.objectSubId, true);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	if (name == NULL || get_rel_relkind(attribute.objectId) != RELKIND_COMPOSITE_TYPE)
		return;
	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(TypeRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(fall->depend, DependReferenceIndexId, true, NULL, 2, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress column;

		if (depend->classid != RelationRelationId || !is_of_type(depend->objid, type))
			continue;
		ObjectAddressSubSet(column, RelationRelationId, depend->objid,
							get_attnum(depend->objid, name));
		if (column.objectSubId > 0)
			arrive(fall, attribute, column);
	}
	systable_endscan(scan);
}

/*
 * Where an object leads.  What is a part of something cannot be dropped by itself, but
 * whatever goes takes the whole with it.
 */
static void
follow_object(Fall *fall, ObjectAddress object)
{
	CHECK_FOR_INTERRUPTS();
	if (object.classId != fall->start.classId || object.objectId != fall->start.objectId)
		follow_dependencies(fall, object, true);
	follow_dependencies(fall, object, false);
	if (object.classId == RelationRelationId && object.objectSubId > 0)
	{
		follow_children(fall, object);
		follow_typed_tables(fall, object);
	}
}

/*
 * kpi.dependents(class, object, attnum)
 */
Datum
kpi_dependents(PG_FUNCTION_ARGS)
{
	Fall		fall = {{PG_GETARG_OID(0), PG_GETARG_OID(1), PG_GETARG_INT16(2)}};
	HASHCTL		control = {0};

	InitMaterializedSRF(fcinfo, 0);
	fall.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	control.keysize = control.entrysize = sizeof(ObjectAddress);
	control.hcxt = CurrentMemoryContext;
	fall.seen = hash_create("kpitables dependents", 256, &control,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	fall.depend = table_open(DependRelationId, AccessShareLock);
	arrive(&fall, fall.start, fall.start);
	for (; fall.now != NIL; fall.depth++)
	{
		/* the list grows while it is walked */
		for (int i = 0; i < list_length(fall.now); i++)
			follow_object(&fall, *(ObjectAddress *) list_nth(fall.now, i));
		list_free_deep(fall.now);
		fall.now = fall.next;
		fall.next = NIL;
	}
	table_close(fall.depend, AccessShareLock);
	return (Datum) 0;
}
