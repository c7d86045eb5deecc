/*
 * sources.c
 *		What has lineage: views, functions in SQL, computed and inherited columns.
 *
 * kpi.derive_lineage() reads the lineage of one object from the catalogs.  It
 * changes nothing, waits for nobody and keeps no lock.  Objects are everybody's, and
 * one that cannot be read must not keep anybody from the lineage of others: what is
 * wrong is an answer, not an error (S9).
 *
 * src/lineage/sources.c
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/twophase.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/prs2lock.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/peek.h"
#include "lineage/lineage.h"

PG_FUNCTION_INFO_V1(kpi_derive_lineage_rows);
PG_FUNCTION_INFO_V1(kpi_lineage_function_name);

/* Columns of kpi.derive_lineage(): an edge, or what is wrong */
#define EDGE_COLUMNS	10
#define PROBLEM_COLUMNS	2

/* The part of the lock table that one object may fill is one in so many */
#define LOCK_TABLE_PARTS	4

/*
 * Lock a relation for reading, within kpi_peek(); an error where somebody is
 * changing it.
 */
static void
lock_relation(Oid relid)
{
	if (!kpi_peek_at_relation(relid))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not obtain lock on relation %s", kpi_relation_name(relid))));
}

/*
 * Walker: the relations whose row types an expression makes or takes apart; names of
 * fields are read from them.
 */
static bool
collect_row_types(Node *node, List **relids)
{
	Oid			type = InvalidOid;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collect_row_types, relids, 0);
	if (IsA(node, RowExpr) || IsA(node, FieldStore) || IsA(node, Const))
		type = exprType(node);
	else if (IsA(node, FieldSelect))
		type = exprType((Node *) ((FieldSelect *) node)->arg);
	if (OidIsValid(type) && type != RECORDOID && type_is_rowtype(type))
		*relids = lappend_oid(*relids, get_typ_typrelid(getBaseType(type)));
	return expression_tree_walker(node, collect_row_types, relids);
}

/*
 * Lock the relations that a stored tree names, within kpi_peek(), for names are read
 * from them.  All have to be locked at once, and the lock table is everybody's.
 */
void
kpi_lock_what_is_read(Node *tree)
{
	int			most = max_locks_per_xact * (MaxBackends + max_prepared_xacts) / LOCK_TABLE_PARTS;
	List	   *relids = kpi_tree_relations(tree, false);
	ListCell   *lc;

	(void) collect_row_types(tree, &relids);
	list_sort(relids, list_oid_cmp);
	list_deduplicate_oid(relids);
	if (list_length(relids) > most)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("it reads %d relations, more than %d", list_length(relids), most)));
	foreach(lc, relids)
		lock_relation(lfirst_oid(lc));
}

/*
 * A view's or materialized view's columns.
 */
static List *
derive_view(Relation rel)
{
	Query	   *query = copyObject(kpi_relation_query(rel));

	if (query == NULL)
		return NIL;
	kpi_lock_what_is_read((Node *) query);
	return kpi_derive_from_query(query, NIL);
}

/*
 * The columns that a table computes from its others.
 */
static List *
derive_generated(Relation rel)
{
	TupleConstr *constr = rel->rd_att->constr;
	List	   *columns = NIL;
	List	   *exprs = NIL;

	if (constr == NULL || !constr->has_generated_stored)
		return NIL;
	for (int i = 0; i < constr->num_defval; i++)
	{
		AttrNumber	attnum = constr->defval[i].adnum;

		if (TupleDescAttr(rel->rd_att, attnum - 1)->attgenerated == '\0')
			continue;
		columns = lappend_int(columns, attnum);
		exprs = lappend(exprs, stringToNode(constr->defval[i].adbin));
	}
	return kpi_derive_from_exprs(RelationGetRelid(rel), columns, exprs);
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
 * children of the same name.  Children can be more than there are locks, and only
 * names are read of them, so they are not locked.
 */
static List *
derive_inherited(Relation rel)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (!rel->rd_rel->relhassubclass)
		return NIL;
	foreach(lc, find_inheritance_children(RelationGetRelid(rel), NoLock))
	{
		Oid			child = lfirst_oid(lc);

		CHECK_FOR_INTERRUPTS();
		if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(child)))
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
derive_relation(ObjectAddress object)
{
	Relation	rel;
	List	   *result;

	lock_relation(object.objectId);
	rel = try_table_open(object.objectId, NoLock);
	if (rel == NULL)
		return NIL;
	if (rel->rd_rel->relkind == RELKIND_VIEW || rel->rd_rel->relkind == RELKIND_MATVIEW)
		result = derive_view(rel);
	else
		result = list_concat(derive_generated(rel), derive_inherited(rel));
	table_close(rel, NoLock);
	return result;
}

/*
 * The columns of a row type, without waiting; its relation is locked only as long as it
 * is looked at, for there may be many.
 */
static TupleDesc
row_type_columns(Oid type)
{
	Oid			relid = get_typ_typrelid(type);
	TupleDesc	desc;

	lock_relation(relid);
	desc = lookup_rowtype_tupdesc_copy(type, -1);
	UnlockRelationOid(relid, AccessShareLock);
	return desc;
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
		desc = row_type_columns(form->prorettype);
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
derive_function(ObjectAddress object)
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
	kpi_lock_what_is_read((Node *) query);
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
 * The lineage of an object: a list of LineageEdge.  Raises 55P03 where somebody is
 * changing what it is made of, and other errors where it cannot be read.
 */
static List *
derive_lineage(ObjectAddress object)
{
	if (object.classId == ProcedureRelationId)
		return has_lineage(get_func_namespace(object.objectId)) ?
			derive_function(object) : NIL;
	if (!has_lineage(get_rel_namespace(object.objectId)) ||
		strchr("rpfvm", get_rel_relkind(object.objectId)) == NULL)
		return NIL;
	return derive_relation(object);
}

/*
 * The name of a type, qualified unless it is PostgreSQL's own, whichever way that
 * writes it.
 */
static const char *
type_name(Oid type)
{
	const char *name = format_type_extended(type, -1, FORMAT_TYPE_FORCE_QUALIFY);
	const char *prefix = "pg_catalog.";

	return strncmp(name, prefix, strlen(prefix)) == 0 ? name + strlen(prefix) : name;
}

/*
 * The name of a function with the types of its arguments.
 */
static char *
function_name(Form_pg_proc form)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s(", quote_qualified_identifier(get_namespace_name(form->pronamespace),
															 NameStr(form->proname)));
	for (int i = 0; i < form->pronargs; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? "," : "", type_name(form->proargtypes.values[i]));
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

/*
 * The name of a relation or function, qualified and quoted as needed; its OID if it
 * is gone.
 */
char *
kpi_lineage_object_name(ObjectAddress object)
{
	HeapTuple	tuple;
	char	   *name;

	if (object.classId == RelationRelationId)
		return kpi_relation_name(object.objectId);
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(object.objectId));
	if (!HeapTupleIsValid(tuple))
		return psprintf("%u", object.objectId);
	name = function_name((Form_pg_proc) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	return name;
}

/*
 * kpi.lineage_function_name(function)
 */
Datum
kpi_lineage_function_name(PG_FUNCTION_ARGS)
{
	ObjectAddress object = {ProcedureRelationId, PG_GETARG_OID(0), 0};

	PG_RETURN_TEXT_P(cstring_to_text(kpi_lineage_object_name(object)));
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
const char *
kpi_lineage_kind_name(LineageKind kind)
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
	ReturnSetInfo *rsinfo;
	char	   *name;			/* of the object */
	ObjectAddress source;		/* of the last edge */
	char	   *source_name;
} DeriveCall;

/*
 * The columns of an edge, as kpi.lineage_edge has them.
 */
static void
set_edge(DeriveCall *call, LineageEdge *edge, Datum *values, bool *nulls)
{
	ObjectAddress target = call->object;

	target.objectSubId = edge->target_column;
	values[0] = ObjectIdGetDatum(target.classId);
	values[1] = ObjectIdGetDatum(target.objectId);
	values[2] = CStringGetTextDatum(call->name);
	values[3] = text_or_null(column_name(target), &nulls[3]);
	values[4] = ObjectIdGetDatum(edge->source.classId);
	values[5] = ObjectIdGetDatum(edge->source.objectId);
	values[6] = CStringGetTextDatum(call->source_name);
	values[7] = text_or_null(column_name(edge->source), &nulls[7]);
	values[8] = CStringGetTextDatum(kpi_lineage_kind_name(edge->kind));
	values[9] = text_or_null(edge->transformation, &nulls[9]);
}

/*
 * Find the name of an edge's source, unless it is that of the edge before.
 */
static void
name_source(DeriveCall *call, LineageEdge *edge)
{
	if (call->source_name != NULL && call->source.classId == edge->source.classId &&
		call->source.objectId == edge->source.objectId)
		return;
	call->source = edge->source;
	call->source_name = kpi_lineage_object_name(edge->source);
}

/*
 * Errand: return the lineage of an object.
 */
static void
return_lineage(void *arg)
{
	DeriveCall *call = arg;
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "kpitables lineage row",
											  ALLOCSET_DEFAULT_SIZES);
	ListCell   *lc;

	call->name = kpi_lineage_object_name(call->object);
	foreach(lc, derive_lineage(call->object))
	{
		Datum		values[EDGE_COLUMNS + PROBLEM_COLUMNS];
		bool		nulls[EDGE_COLUMNS + PROBLEM_COLUMNS] = {false};
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		name_source(call, lfirst(lc));
		old = MemoryContextSwitchTo(row);
		set_edge(call, lfirst(lc), values, nulls);
		nulls[EDGE_COLUMNS] = nulls[EDGE_COLUMNS + 1] = true;
		tuplestore_putvalues(call->rsinfo->setResult, call->rsinfo->setDesc, values, nulls);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row);
	}
}

/*
 * Errand: the same without waiting and without keeping a lock.
 */
static void
return_lineage_at_a_peek(void *arg)
{
	kpi_peek(return_lineage, arg);
}

/*
 * Errand: the same, named and written as every session does.
 */
static void
return_lineage_in_plain_text(void *arg)
{
	kpi_in_plain_text("pg_catalog, pg_temp", return_lineage_at_a_peek, arg);
}

/*
 * Return instead what was wrong with an object, and whether that is so only as long
 * as somebody is at work.  That there is no memory, and the like, is not the
 * object's fault.
 */
static void
return_problem(DeriveCall *call, ErrorData *error)
{
	Datum		values[EDGE_COLUMNS + PROBLEM_COLUMNS] = {0};
	bool		nulls[EDGE_COLUMNS + PROBLEM_COLUMNS];

	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES)
		ReThrowError(error);
	tuplestore_clear(call->rsinfo->setResult);
	memset(nulls, true, sizeof(nulls));
	nulls[0] = nulls[1] = nulls[2] = nulls[EDGE_COLUMNS] = nulls[EDGE_COLUMNS + 1] = false;
	values[0] = ObjectIdGetDatum(call->object.classId);
	values[1] = ObjectIdGetDatum(call->object.objectId);
	values[2] = CStringGetTextDatum(call->name);
	values[EDGE_COLUMNS] = CStringGetTextDatum(error->message);
	values[EDGE_COLUMNS + 1] = BoolGetDatum(error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE);
	tuplestore_putvalues(call->rsinfo->setResult, call->rsinfo->setDesc, values, nulls);
}

/*
 * kpi.derive_lineage(class, object)
 */
Datum
kpi_derive_lineage_rows(PG_FUNCTION_ARGS)
{
	DeriveCall	call = {{0}};
	MemoryContext own = AllocSetContextCreate(CurrentMemoryContext, "kpitables lineage of an object",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller;
	ErrorData  *error;

	InitMaterializedSRF(fcinfo, 0);
	ObjectAddressSet(call.object, PG_GETARG_OID(0), PG_GETARG_OID(1));
	call.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	caller = MemoryContextSwitchTo(own);
	call.name = psprintf("%u", call.object.objectId);
	error = kpi_run_guarded(return_lineage_in_plain_text, &call);
	if (error != NULL)
		return_problem(&call, error);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(own);
	return (Datum) 0;
}
