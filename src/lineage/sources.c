/*
 * sources.c
 *		What has lineage: views, functions in SQL, computed and inherited columns.
 *
 * kpi.derive_lineage() reads the lineage of one object from the catalogs.  It
 * changes nothing and locks what it reads only while it reads it.  A recorder
 * that runs within somebody's DDL must not wait for somebody else's: it asks not
 * to wait, and is told by an error.
 *
 * src/lineage/sources.c
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/prs2lock.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "lineage/lineage.h"

PG_FUNCTION_INFO_V1(kpi_derive_lineage_rows);

/* Relations locked while trees are read */
typedef struct ReadLocks
{
	List	   *relids;
	bool		nowait;
} ReadLocks;

/*
 * Lock a relation for reading; false if it does not exist.
 */
static bool
lock_relation(Oid relid, ReadLocks *locks)
{
	if (list_member_oid(locks->relids, relid))
		return true;
	if (!locks->nowait)
		LockRelationOid(relid, AccessShareLock);
	else if (!ConditionalLockRelationOid(relid, AccessShareLock))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not obtain lock on relation %s", kpi_relation_name(relid))));
	locks->relids = lappend_oid(locks->relids, relid);
	return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid));
}

/*
 * Give the locks back.
 */
static void
unlock_relations(ReadLocks *locks)
{
	ListCell   *lc;

	foreach(lc, locks->relids)
		UnlockRelationOid(lfirst_oid(lc), AccessShareLock);
}

/*
 * Walker: lock the relations that a query names, for names are read from them.
 */
static bool
lock_query_relations(Node *node, ReadLocks *locks)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && !lock_relation(rte->relid, locks))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("relation with OID %u does not exist", rte->relid)));
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, lock_query_relations, locks,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, lock_query_relations, locks);
}

/*
 * A view's or materialized view's columns.
 */
static List *
derive_view(Relation rel, ReadLocks *locks)
{
	Query	   *query = copyObject(kpi_relation_query(rel));

	if (query == NULL)
		return NIL;
	(void) lock_query_relations((Node *) query, locks);
	return kpi_derive_from_query(query, NIL);
}

/*
 * The columns that a table computes from its others.
 */
static List *
derive_generated(Relation rel)
{
	TupleConstr *constr = rel->rd_att->constr;
	List	   *result = NIL;

	if (constr == NULL || !constr->has_generated_stored)
		return NIL;
	for (int i = 0; i < constr->num_defval; i++)
	{
		AttrNumber	attnum = constr->defval[i].adnum;

		if (TupleDescAttr(rel->rd_att, attnum - 1)->attgenerated != '\0')
			result = list_concat(result,
								 kpi_derive_from_expr(RelationGetRelid(rel), attnum,
													  stringToNode(constr->defval[i].adbin)));
	}
	return result;
}

/*
 * A column of a relation that takes its rows from another.
 */
static LineageEdge *
make_inherited(AttrNumber target_column, Oid child, AttrNumber source_column)
{
	LineageEdge *edge = palloc0(sizeof(LineageEdge));

	edge->target_column = target_column;
	ObjectAddressSubSet(edge->source, RelationRelationId, child, source_column);
	edge->kind = LINEAGE_VALUE;
	return edge;
}

/*
 * The columns of a partitioned or inherited table: those of its partitions and
 * children of the same name.
 */
static List *
derive_inherited(Relation rel, ReadLocks *locks)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (!rel->rd_rel->relhassubclass)
		return NIL;
	foreach(lc, find_inheritance_children(RelationGetRelid(rel), NoLock))
	{
		Oid			child = lfirst_oid(lc);

		if (!lock_relation(child, locks))
			continue;
		result = lappend(result, make_inherited(0, child, 0));
		for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
		{
			Form_pg_attribute att = TupleDescAttr(rel->rd_att, i);
			AttrNumber	attnum;

			if (att->attisdropped)
				continue;
			attnum = get_attnum(child, NameStr(att->attname));
			if (attnum != InvalidAttrNumber)
				result = lappend(result, make_inherited(att->attnum, child, attnum));
		}
	}
	return result;
}

/*
 * A relation's lineage; that of a plain table is empty.
 */
static List *
derive_relation(ObjectAddress object, ReadLocks *locks)
{
	Relation	rel;
	List	   *result;

	if (!lock_relation(object.objectId, locks))
		return NIL;
	rel = try_table_open(object.objectId, NoLock);
	if (rel == NULL)
		return NIL;
	if (rel->rd_rel->relkind == RELKIND_VIEW || rel->rd_rel->relkind == RELKIND_MATVIEW)
		result = derive_view(rel, locks);
	else
		result = list_concat(derive_generated(rel), derive_inherited(rel, locks));
	table_close(rel, NoLock);
	return result;
}

/*
 * The columns of a function's result, or NULL for one that is not a row.
 */
static TupleDesc
function_columns(HeapTuple tuple)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	TupleDesc	desc = build_function_result_tupdesc_t(tuple);

	if (desc == NULL && get_typtype(form->prorettype) == TYPTYPE_COMPOSITE)
		desc = lookup_rowtype_tupdesc_copy(form->prorettype, -1);
	return desc;
}

/*
 * The numbers of the columns of a function's result.
 */
List *
kpi_function_columns(Oid funcid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	TupleDesc	desc;
	List	   *result = NIL;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	desc = function_columns(tuple);
	ReleaseSysCache(tuple);
	if (desc == NULL)
		return list_make1_int(1);
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			result = lappend_int(result, i + 1);
	}
	return result;
}

/*
 * A function whose body is SQL that was parsed when it was made: what its last
 * statement returns.
 */
static List *
derive_function(ObjectAddress object, ReadLocks *locks)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(object.objectId));
	Query	   *query = NULL;
	Datum		body;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	body = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosqlbody, &isnull);
	if (!isnull)
	{
		Node	   *tree = stringToNode(TextDatumGetCString(body));

		/* BEGIN ATOMIC is a list of statements, RETURN is a query */
		if (IsA(tree, List))
			tree = (Node *) linitial((List *) tree);
		if (tree != NULL && IsA(tree, List))
			tree = llast((List *) tree);
		if (tree != NULL && IsA(tree, Query) && ((Query *) tree)->commandType != CMD_UTILITY)
			query = (Query *) tree;
	}
	ReleaseSysCache(tuple);
	if (query == NULL)
		return NIL;
	(void) lock_query_relations((Node *) query, locks);
	return kpi_derive_from_query(query, kpi_function_columns(object.objectId));
}

/*
 * Has an object of this schema lineage?  Temporary ones come and go with
 * sessions, and the system's own tell nothing about anybody's numbers.
 */
static bool
has_lineage(Oid namespace)
{
	return OidIsValid(namespace) && namespace != PG_CATALOG_NAMESPACE &&
		!isAnyTempNamespace(namespace) &&
		namespace != kpi_require_objects()->namespace &&
		namespace != get_namespace_oid("information_schema", true);
}

/*
 * The lineage of an object: a list of LineageEdge.  With nowait, raises 55P03
 * where somebody is changing what it is made of.
 */
static List *
derive_lineage(ObjectAddress object, bool nowait)
{
	ReadLocks	locks = {NIL, nowait};
	List	   *result;

	if (object.classId == ProcedureRelationId)
	{
		if (!has_lineage(get_func_namespace(object.objectId)))
			return NIL;
		result = derive_function(object, &locks);
	}
	else
	{
		if (!has_lineage(get_rel_namespace(object.objectId)) ||
			strchr("rpfvm", get_rel_relkind(object.objectId)) == NULL)
			return NIL;
		result = derive_relation(object, &locks);
	}
	unlock_relations(&locks);
	return result;
}

/*
 * The name of a relation or function, qualified and quoted as needed.
 */
char *
kpi_lineage_object_name(ObjectAddress object)
{
	if (object.classId == ProcedureRelationId)
		return format_procedure_qualified(object.objectId);
	return kpi_relation_name(object.objectId);
}

/*
 * The name of a column, as it is; NULL for the rows of an object.  A function
 * whose result is no row has one column, called as its only OUT parameter or else
 * as the function.
 */
static char *
column_name(ObjectAddress object)
{
	HeapTuple	tuple;
	TupleDesc	desc;
	char	   *result;

	if (object.objectSubId == 0)
		return NULL;
	if (object.classId == RelationRelationId)
		return get_attname(object.objectId, object.objectSubId, true);

	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(object.objectId));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	desc = function_columns(tuple);
	if (desc != NULL && object.objectSubId <= desc->natts)
		result = pstrdup(NameStr(TupleDescAttr(desc, object.objectSubId - 1)->attname));
	else
	{
		result = get_func_result_name(object.objectId);
		if (result == NULL)
			result = pstrdup(NameStr(((Form_pg_proc) GETSTRUCT(tuple))->proname));
	}
	ReleaseSysCache(tuple);
	return result;
}

/*
 * How a column takes part, as users read it.
 */
static const char *
kind_name(LineageKind kind)
{
	static const char *const names[] = {"value", "filter", "join", "group", "order"};

	return names[kind];
}

/*
 * A text value, or NULL.
 */
static Datum
text_or_null(const char *string, bool *isnull)
{
	*isnull = string == NULL;
	return string == NULL ? (Datum) 0 : CStringGetTextDatum(string);
}

/* A call of kpi.derive_lineage() */
typedef struct DeriveCall
{
	ObjectAddress object;
	bool		nowait;
	ReturnSetInfo *rsinfo;
} DeriveCall;

/*
 * Errand: return the lineage of an object.
 */
static void
return_lineage(void *arg)
{
	DeriveCall *call = arg;
	ListCell   *lc;

	foreach(lc, derive_lineage(call->object, call->nowait))
	{
		LineageEdge *edge = lfirst(lc);
		ObjectAddress target = call->object;
		Datum		values[10];
		bool		nulls[10] = {false};

		target.objectSubId = edge->target_column;
		values[0] = ObjectIdGetDatum(target.classId);
		values[1] = ObjectIdGetDatum(target.objectId);
		values[2] = CStringGetTextDatum(kpi_lineage_object_name(target));
		values[3] = text_or_null(column_name(target), &nulls[3]);
		values[4] = ObjectIdGetDatum(edge->source.classId);
		values[5] = ObjectIdGetDatum(edge->source.objectId);
		values[6] = CStringGetTextDatum(kpi_lineage_object_name(edge->source));
		values[7] = text_or_null(column_name(edge->source), &nulls[7]);
		values[8] = CStringGetTextDatum(kind_name(edge->kind));
		values[9] = text_or_null(edge->transformation, &nulls[9]);
		tuplestore_putvalues(call->rsinfo->setResult, call->rsinfo->setDesc, values, nulls);
	}
}

/*
 * kpi.derive_lineage(class, object, nowait)
 */
Datum
kpi_derive_lineage_rows(PG_FUNCTION_ARGS)
{
	DeriveCall	call = {{0}};

	InitMaterializedSRF(fcinfo, 0);
	ObjectAddressSet(call.object, PG_GETARG_OID(0), PG_GETARG_OID(1));
	call.nowait = PG_GETARG_BOOL(2);
	call.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	kpi_in_plain_text("pg_catalog, pg_temp", return_lineage, &call);
	return (Datum) 0;
}
