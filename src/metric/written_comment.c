/*
 * written_comment.c
 *		The comments that tools read, kept in step with definitions.
 *
 * A metric, a metric view and a measure's column say in their comments what they
 * are; that of a measure ends with the metric's definition.  The text of that
 * changes not only when the metric is redefined: whatever it names can be renamed
 * or moved, by anybody who owns that.  So an event trigger asks after every command
 * that can change a text which comments hang on what it changed.
 *
 * A comment is ours as long as it is what we wrote, which is remembered.  One that
 * somebody replaced or removed is his and stays.
 *
 * Comments are written without a question who owns the view, for they say what is
 * so.  Nothing is waited for: where somebody else changes the view or what it
 * reads, the comment stays behind, and kpi.check() tells.
 *
 * src/metric/written_comment.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/events.h"
#include "catalog/peek.h"
#include "catalog/registry.h"
#include "catalog/utility.h"
#include "metric/written_comment.h"

PG_FUNCTION_INFO_V1(kpi_definition_text);
PG_FUNCTION_INFO_V1(kpi_follow_definitions);
PG_FUNCTION_INFO_V1(kpi_refresh_comments);

/* A view whose definition is written as SQL */
typedef struct DefinitionText
{
	Oid			relid;
	char	   *sql;			/* NULL where it cannot be told */
} DefinitionText;

/* A comment to write */
typedef struct DueComment
{
	Oid			relid;
	AttrNumber	attnum;
	Datum		words;
} DueComment;

/* What a command touched, and the relations whose queries name some of that */
typedef struct Touched
{
	HTAB	   *known;			/* of ObjectAddress */
	List	   *objects;		/* the same in order, growing on the way */
	List	   *relations;		/* OIDs */
} Touched;

/*
 * Errand: write the query of a view in one line.
 */
static void
write_line(void *arg)
{
	DefinitionText *view = arg;

	view->sql = kpi_view_sql(view->relid, false);
	if (view->sql != NULL)
		(void) kpi_on_one_line(view->sql);
}

/*
 * Errand: the same, without keeping a lock.
 */
static void
peek_line(void *arg)
{
	kpi_peek(write_line, arg);
}

/*
 * kpi.definition_text(regclass): done on behalf of the owner, for constants are
 * written by functions of their types.
 */
Datum
kpi_definition_text(PG_FUNCTION_ARGS)
{
	DefinitionText view = {PG_GETARG_OID(0), NULL};
	Oid			owner = kpi_relation_owner(view.relid);

	if (OidIsValid(owner))
		kpi_on_behalf_of(owner, peek_line, &view);
	if (view.sql == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(view.sql));
}

/*
 * Take a comment that is to be written.
 */
static void
take_comment(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **due = arg;
	DueComment *comment = palloc(sizeof(DueComment));
	bool		isnull;

	comment->relid = DatumGetObjectId(kpi_row_value(row, desc, 1, &isnull));
	comment->attnum = DatumGetInt16(kpi_row_value(row, desc, 2, &isnull));
	comment->words = kpi_row_value(row, desc, 3, &isnull);
	*due = lappend(*due, comment);
}

/*
 * Write a comment, as COMMENT does but for its questions, and remember it.  The lock
 * is that of COMMENT; who has it may be waiting for us.
 */
static bool
write_comment(DueComment *due)
{
	char	   *words = TextDatumGetCString(due->words);
	Oid			argtypes[] = {REGCLASSOID, INT2OID, TEXTOID};
	Datum		values[] = {ObjectIdGetDatum(due->relid), Int16GetDatum(due->attnum), due->words};

	if (!ConditionalLockRelationOid(due->relid, ShareUpdateExclusiveLock))
	{
		ereport(WARNING,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("comments of %s stay as they are, for another transaction is changing it",
						kpi_relation_name(due->relid)),
				 errhint("Run SELECT kpi.refresh_comments(%s) afterwards.",
						 quote_literal_cstr(kpi_relation_name(due->relid)))));
		return false;
	}
	if (get_rel_relkind(due->relid) != RELKIND_VIEW)
		return false;

	CreateComments(due->relid, RelationRelationId, due->attnum, words);
	CommandCounterIncrement();
	if (words[0] == '\0')
		kpi_registry_execute("DELETE FROM kpi.written_comment"
							 " WHERE relid OPERATOR(pg_catalog.=) $1"
							 " AND attnum OPERATOR(pg_catalog.=) $2",
							 2, argtypes, values, NULL);
	else
		kpi_registry_execute("INSERT INTO kpi.written_comment VALUES ($1, $2, $3)"
							 " ON CONFLICT (relid, attnum) DO UPDATE SET comment = $3",
							 3, argtypes, values, NULL);
	return true;
}

/*
 * Write the comments of metrics and metric views that are out of date.  Returns how
 * many.
 */
static int
write_comments(List *relids, bool replaced)
{
	Oid			argtypes[] = {OIDARRAYOID, BOOLOID};
	Datum		values[] = {kpi_oid_array(relids), BoolGetDatum(replaced)};
	List	   *due = NIL;
	ListCell   *lc;
	int			result = 0;

	(void) kpi_registry_read("SELECT relid, attnum, comment FROM kpi.due_comments($1, $2)",
							 2, argtypes, values, take_comment, &due);
	foreach(lc, due)
		result += write_comment(lfirst(lc)) ? 1 : 0;
	return result;
}

/*
 * Write the comments of a metric and of the columns that publish it, or of a metric
 * view, that are out of date; those that somebody replaced, too, if asked.  Returns
 * how many.
 */
int
kpi_write_comments(Oid relid, bool replaced)
{
	return write_comments(list_make1_oid(relid), replaced);
}

/*
 * Can a command change the text of a definition, or what else comments say?  Asked
 * after every command of anybody, so it looks at the statement alone.
 */
static bool
may_change_comments(Node *parsetree)
{
	switch (nodeTag(parsetree))
	{
		case T_RenameStmt:
		case T_AlterObjectSchemaStmt:
		case T_RuleStmt:
		case T_CreateExtensionStmt:
		case T_AlterExtensionStmt:
			return true;
		case T_ViewStmt:
			return ((ViewStmt *) parsetree)->replace;
		case T_AlterEnumStmt:
			return ((AlterEnumStmt *) parsetree)->oldVal != NULL;
		case T_CommentStmt:
			/* of a column that a dimension is */
			return ((CommentStmt *) parsetree)->objtype == OBJECT_COLUMN;
		default:
			return false;
	}
}

/*
 * Go on from an object to another that has its name, or takes it into its own; once.
 */
static void
touch(Touched *touched, Oid class, Oid object)
{
	ObjectAddress *entry = palloc0(sizeof(ObjectAddress));
	bool		found;

	ObjectAddressSet(*entry, class, object);
	(void) hash_search(touched->known, entry, HASH_ENTER, &found);
	if (!found)
		touched->objects = lappend(touched->objects, entry);
}

/*
 * The relation that a rule belongs to.
 */
static Oid
rule_relation(Oid rule)
{
	Relation	rel = table_open(RewriteRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			result = InvalidOid;

	ScanKeyInit(&key, Anum_pg_rewrite_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(rule));
	scan = systable_beginscan(rel, RewriteOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		result = ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * Something depends on a touched object: a view that names it; a part of it, as the
 * row type of a table, the array type of a type, or what an extension has; what is
 * in a schema; a table of a type.
 */
static void
touch_dependent(Touched *touched, const ObjectAddress *object, Form_pg_depend dependent)
{
	if (dependent->classid == RewriteRelationId)
		touched->relations = lappend_oid(touched->relations,
										 rule_relation(dependent->objid));
	else if (dependent->deptype == DEPENDENCY_INTERNAL ||
			 dependent->deptype == DEPENDENCY_EXTENSION ||
			 object->classId == NamespaceRelationId ||
			 (object->classId == TypeRelationId &&
			  dependent->classid == RelationRelationId && dependent->objsubid == 0))
		touch(touched, dependent->classid, dependent->objid);
}

/*
 * Touch what depends on a touched object.
 */
static void
touch_dependents(Touched *touched, const ObjectAddress *object)
{
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object->classId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object->objectId));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		touch_dependent(touched, object, (Form_pg_depend) GETSTRUCT(tuple));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/*
 * A relation is touched, and with it its row type and, for they have its columns,
 * its children.
 */
static void
touch_relation(Touched *touched, Oid relid)
{
	Oid			row_type = get_rel_type_id(relid);
	ListCell   *lc;

	touched->relations = lappend_oid(touched->relations, relid);
	if (OidIsValid(row_type))
		touch(touched, TypeRelationId, row_type);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)) || !has_subclass(relid))
		return;
	foreach(lc, find_inheritance_children(relid, NoLock))
		touch(touched, RelationRelationId, lfirst_oid(lc));
}

/*
 * The relations that the command at hand changed, or whose queries name what it
 * changed.
 */
static List *
touched_relations(void)
{
	Touched		touched = {0};
	HASHCTL		control = {0};
	ListCell   *lc;

	control.keysize = control.entrysize = sizeof(ObjectAddress);
	control.hcxt = CurrentMemoryContext;
	touched.known = hash_create("objects touched by DDL", 64, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	foreach(lc, kpi_command_objects())
	{
		KpiCommandObject *object = lfirst(lc);

		if (!object->is_temporary)
			touch(&touched, object->classid, object->objid);
	}
	foreach(lc, touched.objects)
	{
		ObjectAddress *object = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (object->classId == RelationRelationId)
			touch_relation(&touched, object->objectId);
		else if (object->classId == RewriteRelationId)
			touched.relations = lappend_oid(touched.relations,
											rule_relation(object->objectId));
		touch_dependents(&touched, object);
	}
	hash_destroy(touched.known);
	list_sort(touched.relations, list_oid_cmp);
	list_deduplicate_oid(touched.relations);
	return touched.relations;
}

/*
 * Is there a metric or metric view among some relations?
 */
static bool
any_registered(List *relids)
{
	ListCell   *lc;

	foreach(lc, relids)
	{
		if (kpi_registry_lists("metric_registry", "relid", lfirst_oid(lc)) ||
			kpi_registry_lists("metric_view_registry", "relid", lfirst_oid(lc)))
			return true;
	}
	return false;
}

/*
 * Errand: let comments follow what the command changed.
 */
static void
follow_body(void *arg)
{
	List	   *relids = touched_relations();

	if (relids != NIL && any_registered(relids))
		(void) write_comments(relids, false);
}

/*
 * Event trigger on ddl_command_end: let comments follow.
 *
 * A failure must not stand in the way of anybody's command: it becomes a warning.
 */
Datum
kpi_follow_definitions(PG_FUNCTION_ARGS)
{
	EventTriggerData *event = kpi_event(fcinfo);
	ErrorData  *error;

	if (event == NULL || !may_change_comments(event->parsetree))
		PG_RETURN_NULL();
	error = kpi_run_guarded(follow_body, NULL);
	if (error != NULL)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not let the comments of metrics follow what was changed: %s",
						error->message),
				 errhint("Run SELECT kpi.refresh_comments() as their owner; kpi.check() tells which.")));
	PG_RETURN_NULL();
}

/*
 * All metrics and metric views that the current user owns.
 */
static List *
own_relations(void)
{
	List	   *all = NIL;
	List	   *result = NIL;
	ListCell   *lc;

	(void) kpi_registry_read("SELECT c.oid FROM (SELECT relid FROM kpi.metric_registry"
							 " UNION ALL SELECT relid FROM kpi.metric_view_registry) AS r"
							 " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) r.relid",
							 0, NULL, NULL, kpi_take_oid, &all);
	foreach(lc, all)
	{
		if (pg_class_ownercheck(lfirst_oid(lc), GetUserId()))
			result = lappend_oid(result, lfirst_oid(lc));
	}
	return result;
}

/*
 * kpi.refresh_comments(relation, replaced) returns integer
 */
Datum
kpi_refresh_comments(PG_FUNCTION_ARGS)
{
	bool		replaced = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	Oid			relid;

	if (PG_ARGISNULL(0))
		PG_RETURN_INT32(write_comments(own_relations(), replaced));

	relid = PG_GETARG_OID(0);
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!any_registered(list_make1_oid(relid)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is neither a metric nor a metric view", kpi_relation_name(relid)),
				 errhint("Comments of other relations are written by COMMENT.")));
	kpi_check_owner(relid);
	PG_RETURN_INT32(kpi_write_comments(relid, replaced));
}
