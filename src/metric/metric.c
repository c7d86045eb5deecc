/*
 * metric.c
 *		Defining, changing and dropping metrics.
 *
 * A metric is made by making its view, with PostgreSQL's own CREATE VIEW, as
 * the calling user: the schema's CREATE privilege, ownership, dependencies and
 * dump are those of any view.  The registry row beside it holds the metadata
 * that a view has no place for.
 *
 * Names in a definition are resolved by the caller's search_path, with schema
 * kpi behind it so that measure() is found; the view keeps OIDs, so the path
 * matters at no later time.
 *
 * src/metric/metric.c
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "commands/view.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/registry.h"
#include "catalog/utility.h"
#include "compat.h"
#include "errors.h"
#include "metric/additivity.h"
#include "metric/belongings.h"
#include "metric/definition.h"
#include "metric/metric.h"
#include "metric/ratio.h"
#include "metric/smallgroups.h"
#include "scope/scope.h"

PG_FUNCTION_INFO_V1(kpi_create_metric);
PG_FUNCTION_INFO_V1(kpi_alter_metric);
PG_FUNCTION_INFO_V1(kpi_drop_metric);
PG_FUNCTION_INFO_V1(kpi_metric_additivity);
PG_FUNCTION_INFO_V1(kpi_metric_is_ratio);
PG_FUNCTION_INFO_V1(kpi_metric_source);
PG_FUNCTION_INFO_V1(kpi_small_group_limit);
PG_FUNCTION_INFO_V1(kpi_forget_dropped);

/* Arguments of kpi.create_metric and kpi.alter_metric */
enum
{
	ARG_NAME,
	ARG_DEFINITION,
	ARG_LABEL,
	ARG_DESCRIPTION,
	ARG_UNIT,
	ARG_FORMAT,
	ARG_OWNER,
	ARG_TAGS,
	ARG_SYNONYMS,
	ARG_DIRECTION,
	ARG_MIN_GROUP_ROWS
};

/*
 * The schema and name that a text names, as CREATE VIEW would read it.
 */
RangeVar *
kpi_new_relation_name(text *name)
{
	RangeVar   *relation = makeRangeVarFromNameList(textToQualifiedNameList(name));

	relation->relpersistence = RELPERSISTENCE_PERMANENT;
	return relation;
}

/*
 * Put schema kpi behind the caller's search_path until the nest level is
 * closed, so that definitions find measure().
 */
static int
extend_search_path(void)
{
	int			nestlevel = NewGUCNestLevel();
	char	   *path;

	path = namespace_search_path[0] == '\0' ? pstrdup(KPI_SCHEMA) :
		psprintf("%s, " KPI_SCHEMA, namespace_search_path);
	(void) set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return nestlevel;
}

/*
 * An error at some position of a text that the user gave us is shown in that
 * text, not in the statement that called us.
 */
static void
query_error_callback(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

/*
 * Let errors point into a text, until kpi_pop_query().
 */
void
kpi_push_query(ErrorContextCallback *callback, const char *sql)
{
	callback->callback = query_error_callback;
	callback->arg = (void *) sql;
	callback->previous = error_context_stack;
	error_context_stack = callback;
}

/*
 * Undo kpi_push_query().
 */
void
kpi_pop_query(void)
{
	error_context_stack = error_context_stack->previous;
}

/*
 * Parse a text that must be a single SELECT.
 */
RawStmt *
kpi_parse_select(const char *sql, const char *what)
{
	List	   *parsed = pg_parse_query(sql);

	if (list_length(parsed) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s must be one SELECT statement, not %d statements",
						what, list_length(parsed))));
	if (!IsA(linitial_node(RawStmt, parsed)->stmt, SelectStmt) ||
		((SelectStmt *) linitial_node(RawStmt, parsed)->stmt)->intoClause != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s must be a SELECT statement", what)));
	return linitial_node(RawStmt, parsed);
}

/*
 * CREATE [OR REPLACE] VIEW with a parsed query, as the current user, through
 * everything that watches utility statements.
 */
static void
make_view(RangeVar *name, List *columns, RawStmt *select,
		  const char *sql, bool replace, List *options)
{
	ViewStmt   *stmt = makeNode(ViewStmt);
	PlannedStmt *wrapper = makeNode(PlannedStmt);

	stmt->view = name;
	stmt->aliases = columns;
	stmt->query = select->stmt;
	stmt->replace = replace;
	stmt->options = options;
	stmt->withCheckOption = NO_CHECK_OPTION;

	wrapper->commandType = CMD_UTILITY;
	wrapper->canSetTag = false;
	wrapper->utilityStmt = (Node *) stmt;
	wrapper->stmt_location = select->stmt_location;
	wrapper->stmt_len = select->stmt_len;

	ProcessUtility(wrapper, sql, false, PROCESS_UTILITY_QUERY, NULL, NULL,
				   None_Receiver, NULL);
	CommandCounterIncrement();
}

/*
 * A view over a temporary relation is temporary itself, and ends without a
 * word to us.
 */
void
kpi_refuse_temporary(Oid relid, const char *what)
{
	if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a %s cannot be temporary", what),
				 errdetail("%s is, by its schema or because its source is.",
						   kpi_relation_name(relid)),
				 errhint("Create it over permanent relations, in a permanent schema.")));
}

/*
 * Give a view to another role, if asked.
 */
void
kpi_change_owner(Oid relid, const char *owner)
{
	if (owner != NULL)
		kpi_run_utility(psprintf("ALTER VIEW %s OWNER TO %s",
								 kpi_relation_name(relid), quote_identifier(owner)));
}

/*
 * A text[] argument that names things must not hold NULL.
 */
static void
check_names(Datum array, const char *what)
{
	ArrayType  *names = DatumGetArrayTypeP(array);

	if (array_contains_nulls(names))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not contain nulls", what)));
}

/*
 * Check the metadata arguments that PostgreSQL's types do not check.
 */
static void
check_metadata(FunctionCallInfo fcinfo)
{
	char	   *direction = kpi_text_argument(fcinfo, ARG_DIRECTION);

	if (direction != NULL && direction[0] != '\0' &&
		strcmp(direction, "up") != 0 && strcmp(direction, "down") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid direction \"%s\"", direction),
				 errhint("The desired direction of a metric is \"up\" or \"down\".")));
	if (!PG_ARGISNULL(ARG_MIN_GROUP_ROWS) && PG_GETARG_INT32(ARG_MIN_GROUP_ROWS) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("min_group_rows must not be negative")));
	if (!PG_ARGISNULL(ARG_TAGS))
		check_names(PG_GETARG_DATUM(ARG_TAGS), "tags");
	if (!PG_ARGISNULL(ARG_SYNONYMS))
		check_names(PG_GETARG_DATUM(ARG_SYNONYMS), "synonyms");
}

/*
 * Write the registry row of a metric.  An argument that is NULL leaves what
 * the row holds; an empty one clears it.
 */
static void
write_registry(FunctionCallInfo fcinfo, Oid relid)
{
	static const int columns[] = {ARG_LABEL, ARG_DESCRIPTION, ARG_UNIT, ARG_FORMAT,
		ARG_TAGS, ARG_SYNONYMS, ARG_DIRECTION, ARG_MIN_GROUP_ROWS
	};
	Oid			argtypes[] = {REGCLASSOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
		TEXTARRAYOID, TEXTARRAYOID, TEXTOID, INT4OID
	};
	Datum		values[lengthof(argtypes)];
	char		nulls[lengthof(argtypes)];

	values[0] = ObjectIdGetDatum(relid);
	nulls[0] = ' ';
	for (int i = 0; i < lengthof(columns); i++)
	{
		values[i + 1] = PG_GETARG_DATUM(columns[i]);
		nulls[i + 1] = PG_ARGISNULL(columns[i]) ? 'n' : ' ';
	}

	kpi_registry_execute("INSERT INTO kpi.metric_registry AS r"
						 " (relid, label, description, unit, format, tags, synonyms, direction, min_group_rows)"
						 " VALUES ($1, nullif($2, ''), nullif($3, ''), nullif($4, ''), nullif($5, ''),"
						 " coalesce($6, '{}'), coalesce($7, '{}'), nullif($8, ''), coalesce($9, 0))"
						 " ON CONFLICT (relid) DO UPDATE SET"
						 " label = nullif(coalesce($2, r.label), ''),"
						 " description = nullif(coalesce($3, r.description), ''),"
						 " unit = nullif(coalesce($4, r.unit), ''),"
						 " format = nullif(coalesce($5, r.format), ''),"
						 " tags = coalesce($6, r.tags),"
						 " synonyms = coalesce($7, r.synonyms),"
						 " direction = nullif(coalesce($8, r.direction), ''),"
						 " min_group_rows = coalesce($9, r.min_group_rows)",
						 lengthof(argtypes), argtypes, values, nulls);
}

/*
 * Write the comments that tools read: on the metric's view, if this call
 * describes it, and on every metric view's column that publishes it.
 */
static void
refresh_comments(FunctionCallInfo fcinfo, Oid relid)
{
	bool		describes = !PG_ARGISNULL(ARG_LABEL) ||
	!PG_ARGISNULL(ARG_DESCRIPTION) || !PG_ARGISNULL(ARG_UNIT);
	Oid			argtypes[] = {REGCLASSOID, BOOLOID};
	Datum		values[] = {ObjectIdGetDatum(relid), BoolGetDatum(describes)};

	kpi_registry_execute("SELECT kpi.write_comment(c.metric, c.attnum, c.comment)"
						 " FROM kpi.metric_comments($1, $2) AS c",
						 2, argtypes, values, NULL);
}

/*
 * Analyze a definition and check all that can be checked before there is a
 * view: M13, and the caller's privileges on what it reads.
 */
static Query *
analyze_definition(RawStmt *raw, const char *sql, const char *name)
{
	Query	   *query = parse_analyze_fixedparams(copyObject(raw), sql, NULL, 0, NULL);

	kpi_check_definition(query, name);
	kpi_compat_check_permissions(query);
	return query;
}

/*
 * kpi.create_metric(name, definition, ...) returns regclass
 */
Datum
kpi_create_metric(PG_FUNCTION_ARGS)
{
	RangeVar   *name;
	char	   *sql;
	char	   *quoted;
	RawStmt    *raw;
	Query	   *query;
	Oid			relid;
	int			nestlevel;
	ErrorContextCallback callback;

	if (PG_ARGISNULL(ARG_NAME) || PG_ARGISNULL(ARG_DEFINITION))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a metric needs a name and a definition")));
	kpi_require_objects();
	check_metadata(fcinfo);

	name = kpi_new_relation_name(PG_GETARG_TEXT_PP(ARG_NAME));
	quoted = quote_qualified_identifier(name->schemaname, name->relname);
	sql = text_to_cstring(PG_GETARG_TEXT_PP(ARG_DEFINITION));

	nestlevel = extend_search_path();
	kpi_push_query(&callback, sql);
	raw = kpi_parse_select(sql, "the definition of a metric");
	query = analyze_definition(raw, sql, quoted);
	if (!PG_ARGISNULL(ARG_MIN_GROUP_ROWS))
		kpi_limit_small_groups(raw, query, PG_GETARG_INT32(ARG_MIN_GROUP_ROWS), quoted);
	make_view(copyObject(name), list_make1(makeString(pstrdup(name->relname))),
			  raw, sql, false, NIL);
	kpi_pop_query();
	AtEOXact_GUC(false, nestlevel);

	relid = RangeVarGetRelid(name, NoLock, false);
	kpi_refuse_temporary(relid, "metric");
	kpi_load_definition(relid);
	write_registry(fcinfo, relid);
	refresh_comments(fcinfo, relid);
	kpi_change_owner(relid, kpi_text_argument(fcinfo, ARG_OWNER));
	kpi_check_scope_bypass(relid, "metric");

	PG_RETURN_OID(relid);
}

/*
 * A metric keeps its type when it is redefined: views, prepared statements and
 * drivers have been told it.
 */
static void
check_same_type(Oid relid, Query *query)
{
	Node	   *expr = (Node *) linitial_node(TargetEntry, query->targetList)->expr;
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(relid, 1, &type, &typmod, &collation);
	if (exprType(expr) == type && exprTypmod(expr) == typmod)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("cannot change the type of metric %s from %s to %s",
					kpi_relation_name(relid),
					format_type_with_typemod(type, typmod),
					format_type_with_typemod(exprType(expr), exprTypmod(expr))),
			 errhint("Cast the new expression to %s, or drop the metric with its dependents by kpi.drop_metric(%s, cascade => true) and create it again.",
					 format_type_with_typemod(type, typmod),
					 quote_literal_cstr(kpi_relation_name(relid)))));
}

/*
 * What publishes a metric over one source cannot follow it to another.  What
 * the metric was defined on before does not matter: it may have been anything,
 * by CREATE OR REPLACE VIEW.
 */
static void
check_published_source(Oid relid, Oid source)
{
	Oid			argtypes[] = {REGCLASSOID, REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid), ObjectIdGetDatum(source)};
	bool		none;
	Oid			view;

	view = DatumGetObjectId(kpi_registry_value("SELECT v FROM kpi.publishing_views($1) AS v"
											   " WHERE kpi.metric_view_source(v) OPERATOR(pg_catalog.<>) $2"
											   " LIMIT 1",
											   2, argtypes, values, &none));
	if (none)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_KPI_SOURCE_MISMATCH),
			 errmsg("cannot change the source of metric %s to %s",
					kpi_relation_name(relid),
					OidIsValid(source) ? kpi_relation_name(source) : "several relations"),
			 errdetail("Metric view %s publishes it over %s.", kpi_relation_name(view),
					   kpi_relation_name(kpi_load_metric_view(view).source)),
			 errhint("Create a metric of another name, or take this one out of its metric views first.")));
}

/*
 * The limit on small groups that a metric has.
 */
static int
min_group_rows(Oid relid)
{
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	bool		none;
	Datum		limit;

	limit = kpi_registry_value("SELECT min_group_rows FROM kpi.metric_registry"
							   " WHERE relid OPERATOR(pg_catalog.=) $1",
							   1, argtypes, values, &none);
	return none ? 0 : DatumGetInt32(limit);
}

/* A redefinition of a metric */
typedef struct Redefinition
{
	Oid			relid;
	const char *sql;			/* the new definition; NULL: the one that it
								 * has */
	int			old_min_rows;
	int			min_rows;
} Redefinition;

/*
 * Errand: the definition of a metric as SQL with every name qualified, without its
 * limit on small groups.
 */
static void
write_definition(void *arg)
{
	Redefinition *redefinition = arg;
	Relation	rel = table_open(redefinition->relid, AccessShareLock);
	Query	   *query = copyObject(kpi_relation_query(rel));

	table_close(rel, NoLock);
	if (list_length(query->targetList) == 1)
	{
		TargetEntry *tle = linitial_node(TargetEntry, query->targetList);

		/* its owner may have replaced the view by something else */
		if (redefinition->old_min_rows > 0 &&
			kpi_small_group_limit_of((Node *) tle->expr) == redefinition->old_min_rows)
			tle->expr = (Expr *) kpi_without_small_group_limit((Node *) tle->expr);
	}
	redefinition->sql = pg_get_querydef(query, false);
}

/*
 * Errand: make the view of a metric anew.
 */
static void
make_definition(void *arg)
{
	Redefinition *redefinition = arg;
	Oid			relid = redefinition->relid;
	char	   *name = kpi_relation_name(relid);
	ErrorContextCallback callback;
	RawStmt    *raw;
	Query	   *query;

	kpi_push_query(&callback, redefinition->sql);
	raw = kpi_parse_select(redefinition->sql, "the definition of a metric");
	query = analyze_definition(raw, redefinition->sql, name);
	check_same_type(relid, query);
	check_published_source(relid, kpi_flatten_query(relid, query)->source);
	kpi_limit_small_groups(raw, query, redefinition->min_rows, name);
	make_view(makeRangeVar(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid), -1),
			  list_make1(makeString(get_attname(relid, 1, false))),
			  raw, redefinition->sql, true, kpi_view_options(relid));
	kpi_pop_query();
}

/*
 * Give a metric a new definition, or a new limit on small groups; what is NULL
 * or negative stays.
 *
 * The text of the caller is parsed as the caller, by the caller's search_path.  That
 * of the stored view is its owner's, and parsing may call functions that a literal
 * in it names: so it is parsed on behalf of the owner (S7).
 */
static void
redefine(Oid relid, const char *definition, int new_min_rows)
{
	Redefinition redefinition = {relid, definition};

	/*
	 * who is about to publish or change the metric goes first, and is then
	 * seen
	 */
	LockRelationOid(relid, AccessExclusiveLock);

	redefinition.old_min_rows = min_group_rows(relid);
	redefinition.min_rows = new_min_rows < 0 ? redefinition.old_min_rows : new_min_rows;
	if (definition != NULL)
	{
		int			nestlevel = extend_search_path();

		make_definition(&redefinition);
		AtEOXact_GUC(false, nestlevel);
		return;
	}
	kpi_in_plain_text("pg_catalog", write_definition, &redefinition);
	kpi_on_behalf_of(kpi_relation_owner(relid), make_definition, &redefinition);
}

/*
 * kpi.alter_metric(name, definition => ..., label => ..., ...) returns regclass
 */
Datum
kpi_alter_metric(PG_FUNCTION_ARGS)
{
	Oid			relid;

	if (PG_ARGISNULL(ARG_NAME))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of a metric must not be null")));
	relid = PG_GETARG_OID(ARG_NAME);
	kpi_require_metric(relid);
	kpi_check_owner(relid);
	check_metadata(fcinfo);

	if (!PG_ARGISNULL(ARG_DEFINITION) || !PG_ARGISNULL(ARG_MIN_GROUP_ROWS))
		redefine(relid, kpi_text_argument(fcinfo, ARG_DEFINITION),
				 PG_ARGISNULL(ARG_MIN_GROUP_ROWS) ? -1 : PG_GETARG_INT32(ARG_MIN_GROUP_ROWS));
	write_registry(fcinfo, relid);
	refresh_comments(fcinfo, relid);
	kpi_change_owner(relid, kpi_text_argument(fcinfo, ARG_OWNER));
	kpi_check_scope_bypass(relid, "metric");

	PG_RETURN_OID(relid);
}

/*
 * Raise an error unless a relation is a registered metric.
 */
void
kpi_require_metric(Oid relid)
{
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("metric with OID %u does not exist", relid)));
	if (!kpi_metric_is_registered(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a metric", kpi_relation_name(relid)),
				 errhint("Define it with kpi.create_metric().")));
}

/*
 * kpi.drop_metric(name, cascade)
 */
Datum
kpi_drop_metric(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);

	kpi_require_metric(relid);
	kpi_run_utility(psprintf("DROP VIEW %s %s", kpi_relation_name(relid),
							 PG_GETARG_BOOL(1) ? "CASCADE" : "RESTRICT"));
	PG_RETURN_VOID();
}

/*
 * kpi.additivity(regclass): count, additive, semi-additive or non-additive
 */
Datum
kpi_metric_additivity(PG_FUNCTION_ARGS)
{
	MetricDefinition *definition = kpi_look_at_definition(PG_GETARG_OID(0), NULL);

	if (definition == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(kpi_additivity_name(kpi_additivity(definition->expr))));
}

/*
 * kpi.is_ratio(regclass): has the metric a numerator and a denominator?
 */
Datum
kpi_metric_is_ratio(PG_FUNCTION_ARGS)
{
	MetricDefinition *definition = kpi_look_at_definition(PG_GETARG_OID(0), NULL);

	if (definition == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(kpi_ratio_of(definition->expr) != NULL);
}

/*
 * kpi.metric_source(regclass): the relation that a metric aggregates, or NULL
 */
Datum
kpi_metric_source(PG_FUNCTION_ARGS)
{
	MetricDefinition *definition = kpi_look_at_definition(PG_GETARG_OID(0), NULL);

	if (definition == NULL || !OidIsValid(definition->source))
		PG_RETURN_NULL();
	PG_RETURN_OID(definition->source);
}

/*
 * kpi.small_group_limit(regclass): the limit that a metric's view has, 0 for
 * none; NULL for what is not a metric
 */
Datum
kpi_small_group_limit(PG_FUNCTION_ARGS)
{
	MetricDefinition *definition = kpi_look_at_definition(PG_GETARG_OID(0), NULL);

	if (definition == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT32(kpi_small_group_limit_of(definition->expr));
}

/*
 * Body of kpi_forget_dropped().  The registries are touched only if something
 * was dropped that they may hold.
 */
static void
forget_body(void *arg)
{
	static const char *const kinds[] = {"view", "view", "table", "view", "materialized view"};
	static const char *const registries[] = {"metric_registry", "metric_view_registry",
	"protection_registry", "accepted_bypass", "accepted_bypass"};

	for (int i = 0; i < lengthof(registries); i++)
	{
		Oid			argtypes[] = {TEXTOID};
		Datum		values[] = {CStringGetTextDatum(kinds[i])};

		if (kpi_registry_has("SELECT FROM pg_catalog.pg_event_trigger_dropped_objects() AS d"
							 " WHERE d.object_type OPERATOR(pg_catalog.=) $1",
							 1, argtypes, values))
			kpi_registry_execute(psprintf("DELETE FROM " KPI_SCHEMA ".%s AS r"
										  " USING pg_catalog.pg_event_trigger_dropped_objects() AS d"
										  " WHERE d.object_type OPERATOR(pg_catalog.=) $1"
										  " AND d.objid OPERATOR(pg_catalog.=) r.relid",
										  registries[i]),
								 1, argtypes, values, NULL);
	}
}

/*
 * Event trigger on sql_drop: forget the registry rows of dropped views and
 * tables.
 *
 * A failure must not stand in the way of anybody's DROP: it becomes a warning,
 * and what is left behind names no relation and shows up nowhere.
 */
Datum
kpi_forget_dropped(PG_FUNCTION_ARGS)
{
	ErrorData  *error;

	if (kpi_event(fcinfo) == NULL)
		PG_RETURN_NULL();

	error = kpi_run_guarded(forget_body, NULL);
	if (error != NULL)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not remove dropped views from the metric registry: %s",
						error->message)));
	PG_RETURN_NULL();
}
