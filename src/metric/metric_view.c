/*
 * metric_view.c
 *		Publishing dimensions and metrics of one source as a view.
 *
 * A metric view is a view over one relation whose columns are dimensions
 * (expressions over the relation) and measures (markers that name a metric).
 * It is put together as a draft (draft.c), and made by a CREATE VIEW statement
 * written from that.
 *
 * src/metric/metric_view.c
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/registry.h"
#include "catalog/utility.h"
#include "compat.h"
#include "errors.h"
#include "metric/belongings.h"
#include "metric/definition.h"
#include "metric/draft.h"
#include "metric/metric.h"
#include "metric/view_metadata.h"
#include "scope/scope.h"

PG_FUNCTION_INFO_V1(kpi_create_metric_view);
PG_FUNCTION_INFO_V1(kpi_alter_metric_view);
PG_FUNCTION_INFO_V1(kpi_drop_metric_view);
PG_FUNCTION_INFO_V1(kpi_metric_view_columns);
PG_FUNCTION_INFO_V1(kpi_metric_view_source);

/* Of kpi.create_metric_view */
#define ARG_OR_REPLACE	8

/*
 * The options of a view as CREATE VIEW reads them, with a blank behind.
 */
static char *
options_clause(List *options)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		appendStringInfo(&buf, "%s%s=%s", buf.len == 0 ? "WITH (" : ", ",
						 quote_identifier(option->defname),
						 quote_literal_cstr(defGetString(option)));
	}
	if (buf.len > 0)
		appendStringInfoString(&buf, ") ");
	return buf.data;
}

/*
 * Make the view of a draft from its SELECT.
 */
static void
make_view(Draft *draft, List *options, bool replace)
{
	kpi_run_utility(psprintf("CREATE %sVIEW %s %sAS %s",
							 replace ? "OR REPLACE " : "", draft->name,
							 options_clause(options), draft->select));
}

/*
 * Errand: make a view that is not there yet.
 */
static void
make_new_view(void *arg)
{
	make_view(arg, NIL, false);
}

/*
 * Raise an error unless a relation is a registered metric view of the caller.
 */
static MetricViewQuery
require_metric_view(Oid relid)
{
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	MetricViewQuery view = {0};

	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("metric view with OID %u does not exist", relid)));
	if (kpi_registry_has("SELECT FROM kpi.metric_view_registry"
						 " WHERE relid OPERATOR(pg_catalog.=) $1",
						 1, argtypes, values))
		view = kpi_load_metric_view(relid);
	if (view.query == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a metric view", kpi_relation_name(relid)),
				 errhint("Create it with kpi.create_metric_view().")));
	kpi_check_owner(relid);
	return view;
}

/*
 * What the registry tables hold of a metric view, to be kept while it is made again:
 * the event trigger forgets it with the old view.
 */
static Datum
save_registration(Oid relid)
{
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	bool		isnull;

	return kpi_registry_value("SELECT pg_catalog.jsonb_build_object("
							  " 'registry', pg_catalog.to_jsonb(r), 'comments',"
							  " (SELECT pg_catalog.jsonb_object_agg(coalesce(a.attname, ''), w.comment)"
							  " FROM kpi.written_comment AS w LEFT JOIN pg_catalog.pg_attribute AS a"
							  " ON a.attrelid OPERATOR(pg_catalog.=) w.relid AND a.attnum OPERATOR(pg_catalog.=) w.attnum"
							  " WHERE w.relid OPERATOR(pg_catalog.=) $1))"
							  " FROM kpi.metric_view_registry AS r"
							  " WHERE r.relid OPERATOR(pg_catalog.=) $1",
							  1, argtypes, values, &isnull);
}

/*
 * Register the view that was made again as its predecessor was; columns are matched
 * by name.
 */
static void
restore_registration(Oid relid, Datum saved)
{
	Oid			argtypes[] = {OIDOID, JSONBOID};
	Datum		values[] = {ObjectIdGetDatum(relid), saved};

	kpi_registry_execute("INSERT INTO kpi.metric_view_registry"
						 " SELECT r.* FROM pg_catalog.jsonb_populate_record(NULL::kpi.metric_view_registry,"
						 " ($2 OPERATOR(pg_catalog.->) 'registry') OPERATOR(pg_catalog.||)"
						 " pg_catalog.jsonb_build_object('relid', $1)) AS r",
						 2, argtypes, values, NULL);
	kpi_registry_execute("INSERT INTO kpi.written_comment (relid, attnum, comment)"
						 " SELECT $1, coalesce(a.attnum, 0), c.value"
						 " FROM pg_catalog.jsonb_each_text(nullif($2 OPERATOR(pg_catalog.->) 'comments', 'null')) AS c"
						 " LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) $1"
						 " AND a.attname OPERATOR(pg_catalog.=) c.key"
						 " WHERE a.attnum IS NOT NULL OR c.key OPERATOR(pg_catalog.=) ''",
						 2, argtypes, values, NULL);
}

/*
 * What hangs on a view and would be lost with it, apart from what is taken along;
 * NULL for nothing.
 */
static const char *
lost_with_view(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Oid			argtypes[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	const char *result = NULL;

	if (rel->trigdesc != NULL || rel->rd_rules->numLocks > 1)
		result = "triggers or rules";
	else if (rel->rd_att->constr != NULL && rel->rd_att->constr->num_defval > 0)
		result = "column defaults";
	table_close(rel, NoLock);
	if (result == NULL &&
		kpi_registry_has("SELECT FROM pg_catalog.pg_seclabel AS l"
						 " WHERE l.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid"
						 " AND l.objoid OPERATOR(pg_catalog.=) $1",
						 1, argtypes, values))
		result = "security labels";
	return result;
}

/*
 * A view is made again with what is known of it; nothing else may be lost with the
 * old one without a word.
 */
static void
check_nothing_lost(Draft *draft)
{
	const char *lost = lost_with_view(draft->relid);

	if (lost != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop columns of metric view %s because it has %s",
						draft->name, lost),
				 errhint("Drop them first, and create them again afterwards.")));
}

/*
 * Making a view again needs that no view reads it; say so better than DROP VIEW
 * could.
 */
static void
check_no_dependents(Draft *draft, Oid relid)
{
	Oid			argtypes[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	bool		none;
	Oid			dependent;

	dependent = DatumGetObjectId(kpi_registry_value("SELECT w.ev_class FROM pg_catalog.pg_depend AS d"
													" JOIN pg_catalog.pg_rewrite AS w ON w.oid OPERATOR(pg_catalog.=) d.objid"
													" WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
													" AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass"
													" AND d.refobjid OPERATOR(pg_catalog.=) $1"
													" AND w.ev_class OPERATOR(pg_catalog.<>) $1 LIMIT 1",
													1, argtypes, values, &none));
	if (none)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop columns of metric view %s because view %s depends on it",
					draft->name, kpi_relation_name(dependent)),
			 errhint("Drop that view first; if it is a metric, it can be defined on %s instead, by kpi.alter_metric().",
					 kpi_relation_name(draft->source))));
}

/*
 * Errand: a view cannot lose a column; make it again without, provided that nothing
 * depends on it.  The draft then has the new view.
 */
static void
make_view_again(void *arg)
{
	Draft	   *draft = arg;
	Oid			namespace = get_rel_namespace(draft->relid);
	char	   *relname = get_rel_name(draft->relid);
	ViewBelongings saved = kpi_save_belongings(draft->relid);
	Datum		registration = save_registration(draft->relid);

	check_no_dependents(draft, draft->relid);
	check_nothing_lost(draft);

	kpi_run_utility(psprintf("DROP VIEW %s RESTRICT", draft->name));
	make_view(draft, NIL, false);
	draft->relid = get_relname_relid(relname, namespace);
	kpi_restore_belongings(draft->relid, &saved);
	restore_registration(draft->relid, registration);
}

/*
 * Errand: give a view more columns.
 */
static void
widen_view(void *arg)
{
	Draft	   *draft = arg;

	make_view(draft, kpi_view_options(draft->relid), true);
}

/*
 * Rename a column of a view.
 */
static void
rename_column(Oid relid, const char *old_name, const char *new_name)
{
	kpi_run_utility(psprintf("ALTER VIEW %s RENAME COLUMN %s TO %s", kpi_relation_name(relid),
							 quote_identifier(old_name), quote_identifier(new_name)));
}

/*
 * Rename columns, "old AS new", all at once: those whose names others take get names
 * in between.
 */
static void
rename_columns(Oid relid, List *renames)
{
	List	   *columns = NIL;
	List	   *new_names = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, renames)
	{
		char	   *new_name;
		List	   *names = kpi_parse_alias(lfirst(lc), "renaming", &new_name);
		AttrNumber	attnum;

		if (new_name == NULL || list_length(names) != 1)
			kpi_report_invalid(lfirst(lc), "renaming", "Write \"old AS new\".");
		attnum = get_attnum(relid, strVal(linitial(names)));
		if (attnum == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("metric view %s has no column \"%s\"", kpi_relation_name(relid),
							strVal(linitial(names))),
					 errhint("Names are written as in SQL, and an array literal takes quotes off its elements; write ARRAY['\"Old\" AS new'].")));
		if (list_member_int(columns, attnum))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" of metric view %s is renamed more than once",
							strVal(linitial(names)), kpi_relation_name(relid))));
		columns = lappend_int(columns, attnum);
		new_names = lappend(new_names, new_name);
	}

	forboth(lc, columns, lc2, new_names)
	{
		if (list_member_int(columns, get_attnum(relid, lfirst(lc2))))
			rename_column(relid, get_attname(relid, get_attnum(relid, lfirst(lc2)), false),
						  psprintf("kpi renamed %d", get_attnum(relid, lfirst(lc2))));
	}
	forboth(lc, columns, lc2, new_names)
		rename_column(relid, get_attname(relid, lfirst_int(lc), false), lfirst(lc2));
}

/*
 * The draft of a metric view as it is, with its columns as they are called now.
 */
static Draft
draft_of_view(Oid relid, MetricViewQuery *view)
{
	Draft		draft = {0};
	ListCell   *lc;

	draft.name = kpi_relation_name(relid);
	draft.query = view->query;
	draft.source = view->source;
	draft.source_rti = view->source_rti;
	draft.relid = relid;
	foreach(lc, draft.query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		tle->resname = get_attname(relid, tle->resno, false);
	}
	return draft;
}

/*
 * A metric view without a measure is none.
 */
static void
check_has_measure(Draft *draft)
{
	ListCell   *lc;

	foreach(lc, draft->query->targetList)
	{
		Oid			metric;

		if (kpi_is_marker((Node *) lfirst_node(TargetEntry, lc)->expr, &metric))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("metric view %s would have no measure left", draft->name),
			 errhint("Drop it with kpi.drop_metric_view().")));
}

/*
 * Draft a metric view from the arguments of kpi.create_metric_view().
 */
static void
draft_view(Draft *draft, FunctionCallInfo fcinfo, ViewMetadata *metadata)
{
	List	   *metrics = kpi_text_list(fcinfo, 2, "metrics");
	int			nmetrics;
	ListCell   *lc;

	if (metrics == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("metric view %s has no metrics", draft->name),
				 errhint("Name at least one metric; it tells the source of the view.")));
	foreach(lc, metrics)
		kpi_draft_metric(draft, lfirst(lc));
	nmetrics = list_length(draft->query->targetList);
	kpi_draft_dimensions(draft, kpi_text_list(fcinfo, 1, "dimensions"));
	metadata->row_key = kpi_draft_row_key(draft, metadata->row_key);
	kpi_draft_dimensions_first(draft, nmetrics);
	if (metadata->time_dimension != NULL)
		metadata->time_dimension = kpi_resolve_draft_dimension(draft, metadata->time_dimension,
															   "time_dimension", false);
}

/*
 * Metrics that are defined on a metric view must still be metrics after that was
 * replaced, and of the source that they are published over.
 */
static void
check_metrics_on_view(Oid relid)
{
	Oid			argtypes[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	List	   *metrics = NIL;
	ListCell   *lc;

	(void) kpi_registry_read("SELECT DISTINCT w.ev_class FROM pg_catalog.pg_depend AS d"
							 " JOIN pg_catalog.pg_rewrite AS w ON w.oid OPERATOR(pg_catalog.=) d.objid"
							 " JOIN kpi.metric_registry AS r ON r.relid OPERATOR(pg_catalog.=) w.ev_class"
							 " WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
							 " AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass"
							 " AND d.refobjid OPERATOR(pg_catalog.=) $1",
							 1, argtypes, values, kpi_take_oid, &metrics);
	foreach(lc, metrics)
		kpi_check_published_source(lfirst_oid(lc), kpi_load_definition(lfirst_oid(lc))->source);
}

/*
 * What a metric view had for its time dimension or row key stays, where that is a
 * dimension of it still and the arguments do not say otherwise.
 */
static char *
keep_column(Draft *draft, Oid relid, const char *what, char *given)
{
	char	   *column;

	if (given != NULL)
		return given;
	column = kpi_registered_column(relid, what);
	return kpi_draft_has_dimension(draft, column) ? column : NULL;
}

/*
 * Let a metric view be what a draft says: its columns keep their places, new ones come
 * last.  Where one is gone or has another type, the view is made again, as by
 * kpi.alter_metric_view().
 */
static void
replace_view(Draft *draft, Oid relid, ViewMetadata *metadata)
{
	bool		again;

	(void) require_metric_view(relid);
	again = kpi_draft_replace(draft, relid);
	metadata->time_dimension = keep_column(draft, relid, "time_dimension", metadata->time_dimension);
	metadata->row_key = keep_column(draft, relid, "row_key", metadata->row_key);

	kpi_in_plain_text("pg_catalog", kpi_write_draft, draft);
	kpi_on_behalf_of(kpi_relation_owner(relid), again ? make_view_again : widen_view, draft);
	check_metrics_on_view(draft->relid);
	kpi_write_view_metadata(draft->relid, metadata);
}

/*
 * kpi.create_metric_view(name, dimensions, metrics, ...) returns regclass
 */
Datum
kpi_create_metric_view(PG_FUNCTION_ARGS)
{
	Draft		draft = {0};
	RangeVar   *name;
	Oid			namespace;
	Oid			replaced = InvalidOid;
	ViewMetadata metadata;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of a metric view must not be null")));
	kpi_require_objects();
	metadata = kpi_view_metadata(fcinfo, 3, 9);

	/* settle the schema now: the view is made under another search_path */
	name = kpi_new_relation_name(PG_GETARG_TEXT_PP(0));
	namespace = RangeVarGetCreationNamespace(name);
	name->schemaname = get_namespace_name(namespace);
	draft.name = quote_qualified_identifier(name->schemaname, name->relname);
	if (!PG_ARGISNULL(ARG_OR_REPLACE) && PG_GETARG_BOOL(ARG_OR_REPLACE))
		replaced = kpi_relation_to_replace(name, "metric view");
	draft_view(&draft, fcinfo, &metadata);
	if (OidIsValid(replaced))
	{
		replace_view(&draft, replaced, &metadata);
		PG_RETURN_OID(draft.relid);
	}

	kpi_in_plain_text("pg_catalog", kpi_write_draft, &draft);
	kpi_in_plain_text("pg_catalog", make_new_view, &draft);
	draft.relid = get_relname_relid(name->relname, namespace);
	kpi_refuse_temporary(draft.relid, "metric view");
	kpi_write_view_metadata(draft.relid, &metadata);

	PG_RETURN_OID(draft.relid);
}

/*
 * kpi.alter_metric_view(name, add_metrics, drop_metrics, add_dimensions,
 * drop_dimensions, rename, label, description, time_dimension, owner, tags)
 */
Datum
kpi_alter_metric_view(PG_FUNCTION_ARGS)
{
	Oid			relid;
	MetricViewQuery view;
	Draft		draft;
	ViewMetadata metadata;
	List	   *add_metrics = kpi_text_list(fcinfo, 1, "add_metrics");
	List	   *drop_metrics = kpi_text_list(fcinfo, 2, "drop_metrics");
	List	   *add_dimensions = kpi_text_list(fcinfo, 3, "add_dimensions");
	List	   *dropped = kpi_text_list(fcinfo, 4, "drop_dimensions");
	char	   *time_dimension;
	char	   *row_key;
	int			ncolumns;
	ListCell   *lc;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of a metric view must not be null")));
	relid = PG_GETARG_OID(0);

	/*
	 * who changes the view at the same time goes first, and is then seen
	 * below
	 */
	if (get_rel_name(relid) != NULL)
	{
		kpi_check_owner(relid);
		LockRelationOid(relid, AccessExclusiveLock);
	}
	view = require_metric_view(relid);
	metadata = kpi_view_metadata(fcinfo, 6, 11);

	rename_columns(relid, kpi_text_list(fcinfo, 5, "rename"));
	draft = draft_of_view(relid, &view);
	time_dimension = kpi_registered_column(relid, "time_dimension");
	row_key = kpi_registered_column(relid, "row_key");
	ncolumns = list_length(draft.query->targetList);
	foreach(lc, drop_metrics)
		kpi_draft_drop(&draft, kpi_draft_measure(&draft, lfirst(lc)), true);
	foreach(lc, dropped)
		kpi_draft_drop(&draft, kpi_resolve_draft_dimension(&draft, lfirst(lc), "drop_dimensions", true), false);
	kpi_draft_dimensions(&draft, add_dimensions);
	foreach(lc, add_metrics)
		kpi_draft_metric(&draft, lfirst(lc));
	check_has_measure(&draft);
	metadata.row_key = metadata.row_key != NULL ? kpi_draft_row_key(&draft, metadata.row_key) :
		kpi_draft_has_dimension(&draft, row_key) ? row_key : "";
	metadata.time_dimension = metadata.time_dimension != NULL ?
		kpi_resolve_draft_dimension(&draft, metadata.time_dimension, "time_dimension", false) :
		kpi_draft_has_dimension(&draft, time_dimension) ? time_dimension : "";

	/*
	 * What the view has by now is its owner's, and parsing it may call
	 * functions that a literal in it names: so that is done on behalf of the
	 * owner (S7).
	 */
	kpi_in_plain_text("pg_catalog", kpi_write_draft, &draft);
	if (drop_metrics != NIL || dropped != NIL)
		kpi_on_behalf_of(kpi_relation_owner(relid), make_view_again, &draft);
	else if (list_length(draft.query->targetList) > ncolumns)
		kpi_on_behalf_of(kpi_relation_owner(relid), widen_view, &draft);

	kpi_write_view_metadata(draft.relid, &metadata);
	PG_RETURN_OID(draft.relid);
}

/*
 * kpi.drop_metric_view(name, cascade)
 */
Datum
kpi_drop_metric_view(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);

	require_metric_view(relid);
	kpi_run_utility(psprintf("DROP VIEW %s %s", kpi_relation_name(relid),
							 PG_GETARG_BOOL(1) ? "CASCADE" : "RESTRICT"));
	PG_RETURN_VOID();
}

/*
 * kpi.metric_view_columns(regclass): attnum, and the metric where the column
 * is a measure.  No rows for what is not a metric view.
 */
Datum
kpi_metric_view_columns(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MetricViewQuery view = kpi_look_at_metric_view(PG_GETARG_OID(0));
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	if (view.query == NULL)
		return (Datum) 0;

	foreach(lc, view.query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Oid			metric = InvalidOid;
		bool		is_measure = kpi_is_marker((Node *) tle->expr, &metric);
		bool		is_column = IsA(tle->expr, Var);
		Datum		values[3] = {Int16GetDatum(tle->resno), ObjectIdGetDatum(metric)};
		bool		nulls[3] = {false, !is_measure, !is_column};

		if (is_column)
			values[2] = Int16GetDatum(((Var *) tle->expr)->varattno);

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * kpi.metric_view_source(regclass): the relation that a metric view reads.
 */
Datum
kpi_metric_view_source(PG_FUNCTION_ARGS)
{
	MetricViewQuery view = kpi_look_at_metric_view(PG_GETARG_OID(0));

	if (view.query == NULL)
		PG_RETURN_NULL();
	PG_RETURN_OID(view.source);
}
