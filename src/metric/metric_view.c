/*
 * metric_view.c
 *		Publishing dimensions and metrics of one source as a view.
 *
 * A metric view is a view over one relation whose columns are dimensions
 * (expressions over the relation) and measures (markers that name a metric).
 * It is put together as a query tree, so that each dimension is parsed alone
 * and by the caller's search_path, and then made by a CREATE VIEW statement
 * deparsed from that tree with every name qualified, as pg_dump would write it.
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
#include "metric/metric.h"
#include "scope/scope.h"

PG_FUNCTION_INFO_V1(kpi_create_metric_view);
PG_FUNCTION_INFO_V1(kpi_alter_metric_view);
PG_FUNCTION_INFO_V1(kpi_drop_metric_view);
PG_FUNCTION_INFO_V1(kpi_metric_view_columns);
PG_FUNCTION_INFO_V1(kpi_metric_view_source);
PG_FUNCTION_INFO_V1(kpi_write_comment);

/* A metric view while it is put together */
typedef struct Draft
{
	const char *name;			/* quoted, for messages */
	Query	   *query;			/* NULL until the source is known */
	int			source_rti;
	Oid			source;
	char	   *select;			/* the same as SQL */
	Oid			relid;			/* of the view, where it is there */
} Draft;

/* The metadata of a metric view, where the two functions have it */
typedef struct Metadata
{
	Datum		label;
	Datum		description;
	Datum		tags;
	char		nulls[3];		/* of the above, as SPI has them */
	char	   *time_dimension; /* a column; "" for none, NULL to leave */
	char	   *owner;
} Metadata;

/*
 * Raise the error for an element of an array argument that is not what it
 * should be.
 */
static void
report_invalid(const char *text, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("invalid %s \"%s\"", what, text),
			 errhint("%s", hint)));
}

/*
 * Parse "expression [AS name]", and nothing else, into one target.
 */
static ResTarget *
parse_target(const char *text, const char *what, const char *hint)
{
	char	   *sql = psprintf("SELECT %s", text);
	ErrorContextCallback callback;
	List	   *parsed;
	SelectStmt *select;
	SelectStmt	rest;
	SelectStmt *empty = makeNode(SelectStmt);

	kpi_push_query(&callback, sql);
	parsed = pg_parse_query(sql);
	kpi_pop_query();

	select = (SelectStmt *) (parsed ? linitial_node(RawStmt, parsed)->stmt : NULL);
	if (list_length(parsed) != 1 || !IsA(select, SelectStmt) ||
		list_length(select->targetList) != 1)
		report_invalid(text, what, hint);

	/* with its target taken away, nothing may be left of the statement */
	rest = *select;
	rest.targetList = NIL;
	empty->limitOption = rest.limitOption;
	if (!equal(&rest, empty))
		report_invalid(text, what, hint);
	return linitial_node(ResTarget, select->targetList);
}

/*
 * Parse "old AS new" or "metric [AS name]" into a name and an alias, which is
 * NULL where there is none.
 */
static List *
parse_alias(const char *text, const char *what, char **alias)
{
	const char *hint = "Write a name, or \"name AS name\".";
	ResTarget  *target = parse_target(text, what, hint);
	ListCell   *lc;

	*alias = target->name;
	if (!IsA(target->val, ColumnRef) || target->indirection != NIL)
		report_invalid(text, what, hint);
	foreach(lc, ((ColumnRef *) target->val)->fields)
	{
		if (!IsA(lfirst(lc), String))
			report_invalid(text, what, hint);
	}
	return ((ColumnRef *) target->val)->fields;
}

/*
 * Does a draft have a column of this name?
 */
static TargetEntry *
find_column(Draft *draft, const char *name)
{
	ListCell   *lc;

	foreach(lc, draft->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (strcmp(tle->resname, name) == 0)
			return tle;
	}
	return NULL;
}

/*
 * Append a column to a draft.
 */
static void
append_column(Draft *draft, Expr *expr, char *name)
{
	if (find_column(draft, name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("column \"%s\" of metric view %s is specified more than once",
						name, draft->name)));
	draft->query->targetList =
		lappend(draft->query->targetList,
				makeTargetEntry(expr, list_length(draft->query->targetList) + 1,
								name, false));
}

/*
 * Analyze a SELECT from the source of a draft.
 */
static Query *
analyze_over_source(Draft *draft, const char *targets)
{
	char	   *sql = psprintf("SELECT %s\nFROM %s", targets,
							   kpi_relation_name(draft->source));
	ErrorContextCallback callback;
	Query	   *query;

	kpi_push_query(&callback, sql);
	query = parse_analyze_fixedparams(kpi_parse_select(sql, "a dimension"), sql,
									  NULL, 0, NULL);
	kpi_pop_query();
	return query;
}

/*
 * Add one dimension, a column or expression of the source.
 */
static void
add_dimension(Draft *draft, const char *text)
{
	ResTarget  *target = parse_target(text, "dimension",
									  "Write a column, or \"expression AS name\".");
	Query	   *query = analyze_over_source(draft, text);
	TargetEntry *tle = linitial_node(TargetEntry, query->targetList);
	const char *problem = NULL;

	if (list_length(query->targetList) != 1)
		problem = "stands for several columns";
	else if (target->name == NULL && !IsA(target->val, ColumnRef))
		problem = "has no name";
	else if (query->hasAggs)
		problem = "is an aggregate";
	else if (query->hasWindowFuncs)
		problem = "is a window function";
	else if (query->hasTargetSRFs)
		problem = "returns a set";
	else if (query->hasSubLinks)
		problem = "has a subquery";
	else if (contain_volatile_functions((Node *) tle->expr))
		problem = "is volatile";
	else if (kpi_reads_no_plain_column((Node *) tle->expr, NULL))
		problem = "reads a whole row or a system column";
	else if (kpi_holds_marker((Node *) tle->expr, NULL))
		problem = "is a measure";
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
				 errmsg("dimension \"%s\" %s", text, problem),
				 errhint("A dimension is a column of the source, or \"expression AS name\" over its columns.")));

	kpi_compat_check_permissions(query);
	ChangeVarNodes((Node *) tle->expr, 1, draft->source_rti, 0);
	append_column(draft, tle->expr, tle->resname);
}

/*
 * May the current user read a metric, and all that it reads of its source?
 */
static void
check_metric_privileges(Draft *draft, MetricDefinition *definition)
{
	Oid			metric = definition->metric;
	Query	   *query;
	Bitmapset  *columns = NULL;
	int			bit = -1;

	if (pg_class_aclcheck(metric, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck(metric, 1, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_VIEW, kpi_relation_name(metric));

	query = analyze_over_source(draft, "1");
	pull_varattnos(definition->expr, 1, &columns);
	while ((bit = bms_next_member(columns, bit)) >= 0)
		kpi_compat_select_column(query, linitial(query->rtable),
								 bit + FirstLowInvalidHeapAttributeNumber);
	kpi_compat_check_permissions(query);
}

/*
 * The expression of a measure column: the marker that names the metric, in a
 * cast where the metric's type has a modifier.
 */
static Expr *
make_marker(Oid metric)
{
	Oid			type;
	int32		typmod;
	Oid			collation;
	Node	   *marker;

	get_atttypetypmodcoll(metric, 1, &type, &typmod, &collation);
	marker = (Node *) makeFuncExpr(kpi_require_objects()->marker, type,
								   list_make2(makeConst(REGCLASSOID, -1, InvalidOid,
														sizeof(Oid), ObjectIdGetDatum(metric),
														false, true),
											  makeNullConst(type, -1, collation)),
								   collation, collation, COERCE_EXPLICIT_CALL);
	if (typmod >= 0)
		marker = coerce_to_target_type(NULL, marker, type, type, typmod,
									   COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
	return (Expr *) marker;
}

/*
 * Add one measure, "schema.metric [AS name]".  The first one tells the draft
 * its source.
 */
static void
add_metric(Draft *draft, const char *text)
{
	char	   *alias;
	List	   *names = parse_alias(text, "metric", &alias);
	Oid			metric = RangeVarGetRelid(makeRangeVarFromNameList(names),
										  AccessShareLock, false);
	MetricDefinition *definition;

	kpi_require_metric(metric);
	definition = kpi_load_definition(metric);
	if (!OidIsValid(definition->source))
		ereport(ERROR,
				(errcode(ERRCODE_KPI_SOURCE_MISMATCH),
				 errmsg("metric %s has components over several sources",
						kpi_relation_name(metric)),
				 errdetail("A metric view publishes metrics of one source.")));
	if (draft->query == NULL)
	{
		draft->source = definition->source;
		draft->query = analyze_over_source(draft, "1");
		draft->query->targetList = NIL;
		draft->source_rti = 1;
	}
	else if (definition->source != draft->source)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_SOURCE_MISMATCH),
				 errmsg("metric %s has source %s, not %s", kpi_relation_name(metric),
						kpi_relation_name(definition->source),
						kpi_relation_name(draft->source)),
				 errdetail("A metric view publishes metrics of one source."),
				 errhint("Create a view that joins the sources and define the metrics on it, or publish the metric in a metric view of its own.")));

	check_metric_privileges(draft, definition);
	append_column(draft, make_marker(metric), alias ? alias : get_rel_name(metric));
}

/*
 * Put the dimensions, which were added after the first "nmetrics" columns,
 * before them.
 */
static void
put_dimensions_first(Draft *draft, int nmetrics)
{
	List	   *dimensions = list_copy_tail(draft->query->targetList, nmetrics);
	List	   *metrics = list_truncate(draft->query->targetList, nmetrics);
	ListCell   *lc;
	int			resno = 0;

	draft->query->targetList = list_concat(dimensions, metrics);
	foreach(lc, draft->query->targetList)
		lfirst_node(TargetEntry, lc)->resno = ++resno;
}

/*
 * Errand: write the SELECT that a draft describes, with every name qualified.
 */
static void
write_select(void *arg)
{
	Draft	   *draft = arg;

	draft->select = pg_get_querydef(draft->query, true);
}

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
 * The column that a metric view's time dimension is, 0 for none.
 */
static AttrNumber
find_time_dimension(Oid relid, const char *name)
{
	MetricViewQuery view = kpi_load_metric_view(relid);
	ListCell   *lc;

	if (name != NULL && name[0] == '\0')
		return 0;
	foreach(lc, view.query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Oid			type = exprType((Node *) tle->expr);
		bool		is_time = type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID;
		Oid			metric;

		if (kpi_is_marker((Node *) tle->expr, &metric))
			continue;
		if (name == NULL && is_time)
			return tle->resno;
		if (name != NULL && strcmp(get_attname(relid, tle->resno, false), name) == 0)
		{
			if (!is_time)
				ereport(ERROR,
						(errcode(ERRCODE_DATATYPE_MISMATCH),
						 errmsg("time dimension \"%s\" has type %s", name,
								format_type_be(type)),
						 errhint("A time dimension is a date, timestamp or timestamptz.")));
			return tle->resno;
		}
	}
	if (name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("metric view %s has no dimension \"%s\"",
						kpi_relation_name(relid), name)));
	return 0;
}

/*
 * Collect the metadata arguments from position n on: label, description,
 * time_dimension, owner, tags.
 */
static Metadata
metadata_arguments(FunctionCallInfo fcinfo, int n)
{
	Metadata	result;

	result.label = PG_GETARG_DATUM(n);
	result.description = PG_GETARG_DATUM(n + 1);
	result.tags = PG_GETARG_DATUM(n + 4);
	result.nulls[0] = PG_ARGISNULL(n) ? 'n' : ' ';
	result.nulls[1] = PG_ARGISNULL(n + 1) ? 'n' : ' ';
	result.nulls[2] = PG_ARGISNULL(n + 4) ? 'n' : ' ';
	result.time_dimension = kpi_text_argument(fcinfo, n + 2);
	result.owner = kpi_text_argument(fcinfo, n + 3);
	(void) kpi_text_list(fcinfo, n + 4, "tags");
	return result;
}

/*
 * Write the registry row, the comments and the owner of a metric view.  As in
 * the metric registry, NULL leaves a value as it is.
 */
static void
write_metadata(Oid relid, Metadata *metadata, AttrNumber time_dimension)
{
	Oid			argtypes[] = {REGCLASSOID, TEXTOID, TEXTOID, TEXTARRAYOID, INT2OID};
	Datum		values[] = {ObjectIdGetDatum(relid), metadata->label,
		metadata->description, metadata->tags, Int16GetDatum(time_dimension)
	};
	char		nulls[] = {' ', metadata->nulls[0], metadata->nulls[1], metadata->nulls[2], ' '};
	bool		describes = metadata->nulls[0] == ' ' || metadata->nulls[1] == ' ';
	Oid			comment_types[] = {REGCLASSOID, BOOLOID};
	Datum		comment_values[] = {ObjectIdGetDatum(relid), BoolGetDatum(describes)};

	kpi_registry_execute("INSERT INTO kpi.metric_view_registry AS r"
						 " (relid, label, description, tags, time_dimension)"
						 " VALUES ($1, nullif($2, ''), nullif($3, ''), coalesce($4, '{}'), nullif($5, 0))"
						 " ON CONFLICT (relid) DO UPDATE SET"
						 " label = nullif(coalesce($2, r.label), ''),"
						 " description = nullif(coalesce($3, r.description), ''),"
						 " tags = coalesce($4, r.tags),"
						 " time_dimension = nullif($5, 0)",
						 lengthof(argtypes), argtypes, values, nulls);
	kpi_registry_execute("SELECT kpi.write_comment(c.metric_view, c.attnum, c.comment)"
						 " FROM kpi.metric_view_comments($1, $2) AS c",
						 2, comment_types, comment_values, NULL);
	kpi_change_owner(relid, metadata->owner);
	kpi_check_scope_bypass(relid, "metric view");
}

/*
 * kpi.create_metric_view(name, dimensions, metrics, ...) returns regclass
 */
Datum
kpi_create_metric_view(PG_FUNCTION_ARGS)
{
	Draft		draft = {0};
	RangeVar   *name;
	List	   *metrics;
	ListCell   *lc;
	Oid			namespace;
	Oid			relid;
	Metadata	metadata;
	int			nmetrics;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of a metric view must not be null")));
	kpi_require_objects();
	metadata = metadata_arguments(fcinfo, 3);

	/* settle the schema now: the view is made under another search_path */
	name = kpi_new_relation_name(PG_GETARG_TEXT_PP(0));
	namespace = RangeVarGetCreationNamespace(name);
	name->schemaname = get_namespace_name(namespace);
	draft.name = quote_qualified_identifier(name->schemaname, name->relname);

	metrics = kpi_text_list(fcinfo, 2, "metrics");
	if (metrics == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("metric view %s has no metrics", draft.name),
				 errhint("Name at least one metric; it tells the source of the view.")));
	foreach(lc, metrics)
		add_metric(&draft, lfirst(lc));
	nmetrics = list_length(draft.query->targetList);
	foreach(lc, kpi_text_list(fcinfo, 1, "dimensions"))
		add_dimension(&draft, lfirst(lc));
	put_dimensions_first(&draft, nmetrics);

	kpi_in_plain_text("pg_catalog", write_select, &draft);
	kpi_in_plain_text("pg_catalog", make_new_view, &draft);
	relid = get_relname_relid(name->relname, namespace);
	kpi_refuse_temporary(relid, "metric view");
	write_metadata(relid, &metadata, find_time_dimension(relid, metadata.time_dimension));

	PG_RETURN_OID(relid);
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
 * Take a column out of a draft.
 */
static void
drop_column(Draft *draft, const char *name, bool is_measure)
{
	TargetEntry *tle = find_column(draft, name);
	ListCell   *lc;
	int			resno = 0;
	Oid			metric;

	if (tle == NULL || kpi_is_marker((Node *) tle->expr, &metric) != is_measure)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("metric view %s has no %s \"%s\"", draft->name,
						is_measure ? "measure" : "dimension", name)));
	draft->query->targetList = list_delete_ptr(draft->query->targetList, tle);
	foreach(lc, draft->query->targetList)
		lfirst_node(TargetEntry, lc)->resno = ++resno;
}

/*
 * The name of a column of a metric view that publishes a metric: the metric's
 * own name may be given for it, too.
 */
static const char *
measure_column(Draft *draft, const char *text)
{
	char	   *alias;
	List	   *names = parse_alias(text, "metric", &alias);
	Oid			wanted;
	Oid			metric;
	ListCell   *lc;

	if (list_length(names) == 1)
		return strVal(linitial(names));
	wanted = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
	foreach(lc, draft->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (kpi_is_marker((Node *) tle->expr, &metric) && metric == wanted)
			return tle->resname;
	}
	return text;
}

/*
 * Let the registry row of one view be that of another.
 */
static void
move_registry_row(Oid from, Oid to)
{
	Oid			argtypes[] = {REGCLASSOID, REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(from), ObjectIdGetDatum(to)};

	kpi_registry_execute("UPDATE kpi.metric_view_registry SET relid = $2"
						 " WHERE relid OPERATOR(pg_catalog.=) $1",
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

	check_no_dependents(draft, draft->relid);
	check_nothing_lost(draft);

	/* the event trigger would forget the row with the view */
	move_registry_row(draft->relid, InvalidOid);
	kpi_run_utility(psprintf("DROP VIEW %s RESTRICT", draft->name));
	make_view(draft, NIL, false);
	draft->relid = get_relname_relid(relname, namespace);
	kpi_restore_belongings(draft->relid, &saved);
	move_registry_row(InvalidOid, draft->relid);
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
 * The name of a metric view's time dimension, "" for none.
 */
static char *
time_dimension_name(Oid relid)
{
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	bool		isnull;
	Datum		attnum;

	attnum = kpi_registry_value("SELECT time_dimension FROM kpi.metric_view_registry"
								" WHERE relid OPERATOR(pg_catalog.=) $1",
								1, argtypes, values, &isnull);
	return isnull ? "" : get_attname(relid, DatumGetInt16(attnum), false);
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
	Metadata	metadata;
	List	   *add_metrics = kpi_text_list(fcinfo, 1, "add_metrics");
	List	   *drop_metrics = kpi_text_list(fcinfo, 2, "drop_metrics");
	List	   *add_dimensions = kpi_text_list(fcinfo, 3, "add_dimensions");
	List	   *drop_dimensions = kpi_text_list(fcinfo, 4, "drop_dimensions");
	List	   *renames = kpi_text_list(fcinfo, 5, "rename");
	ListCell   *lc;
	char	   *time_dimension;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of a metric view must not be null")));
	relid = PG_GETARG_OID(0);

	/* who changes the view at the same time goes first, and is then seen below */
	if (get_rel_name(relid) != NULL)
	{
		kpi_check_owner(relid);
		LockRelationOid(relid, AccessExclusiveLock);
	}
	view = require_metric_view(relid);
	metadata = metadata_arguments(fcinfo, 6);

	foreach(lc, renames)
	{
		char	   *new_name;
		List	   *names = parse_alias(lfirst(lc), "renaming", &new_name);

		if (new_name == NULL || list_length(names) != 1)
			report_invalid(lfirst(lc), "renaming", "Write \"old AS new\".");
		kpi_run_utility(psprintf("ALTER VIEW %s RENAME COLUMN %s TO %s",
								 kpi_relation_name(relid),
								 quote_identifier(strVal(linitial(names))),
								 quote_identifier(new_name)));
	}
	time_dimension = metadata.time_dimension;
	if (time_dimension == NULL)
		time_dimension = time_dimension_name(relid);

	draft.name = kpi_relation_name(relid);
	draft.query = view.query;
	draft.source = view.source;
	draft.source_rti = view.source_rti;
	draft.relid = relid;
	foreach(lc, draft.query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		tle->resname = get_attname(relid, tle->resno, false);
	}

	foreach(lc, drop_metrics)
		drop_column(&draft, measure_column(&draft, lfirst(lc)), true);
	foreach(lc, drop_dimensions)
	{
		char	   *alias;
		List	   *names = parse_alias(lfirst(lc), "dimension", &alias);
		char	   *name = strVal(llast(names));

		drop_column(&draft, name, false);
		if (metadata.time_dimension == NULL && strcmp(name, time_dimension) == 0)
			time_dimension = "";
	}
	foreach(lc, add_dimensions)
		add_dimension(&draft, lfirst(lc));
	foreach(lc, add_metrics)
		add_metric(&draft, lfirst(lc));

	if (drop_metrics != NIL || drop_dimensions != NIL)
	{
		bool		has_measure = false;
		Oid			metric;

		foreach(lc, draft.query->targetList)
			has_measure |= kpi_is_marker((Node *) lfirst_node(TargetEntry, lc)->expr, &metric);
		if (!has_measure)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("metric view %s would have no measure left", draft.name),
					 errhint("Drop it with kpi.drop_metric_view().")));
	}

	/*
	 * What the view has by now is its owner's, and parsing it may call functions
	 * that a literal in it names: so that is done on behalf of the owner (S7).
	 */
	kpi_in_plain_text("pg_catalog", write_select, &draft);
	if (drop_metrics != NIL || drop_dimensions != NIL)
		kpi_on_behalf_of(kpi_relation_owner(relid), make_view_again, &draft);
	else if (add_metrics != NIL || add_dimensions != NIL)
		kpi_on_behalf_of(kpi_relation_owner(relid), widen_view, &draft);
	relid = draft.relid;

	write_metadata(relid, &metadata, find_time_dimension(relid, time_dimension));
	PG_RETURN_OID(relid);
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

/*
 * kpi.write_comment(regclass, column, text), for the extension's owner alone:
 * the comment of a column that publishes a metric follows the metric, whoever
 * owns the view.
 */
Datum
kpi_write_comment(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);

	if (get_rel_relkind(relid) == RELKIND_VIEW)
		CreateComments(relid, RelationRelationId, PG_GETARG_INT16(1),
					   text_to_cstring(PG_GETARG_TEXT_PP(2)));
	PG_RETURN_VOID();
}
