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

#include <ctype.h>

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
#include "parser/scansup.h"
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
#include "catalog/events.h"
#include "catalog/names.h"
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
#include "metric/written_comment.h"
#include "scope/scope.h"

PG_FUNCTION_INFO_V1(kpi_create_metric);
PG_FUNCTION_INFO_V1(kpi_alter_metric);
PG_FUNCTION_INFO_V1(kpi_drop_metric);
PG_FUNCTION_INFO_V1(kpi_metric_additivity);
PG_FUNCTION_INFO_V1(kpi_metric_is_ratio);
PG_FUNCTION_INFO_V1(kpi_metric_source);
PG_FUNCTION_INFO_V1(kpi_small_group_limit);
PG_FUNCTION_INFO_V1(kpi_forget_dropped);

void		(*kpi_metric_defined_hook) (Oid relid) = NULL;

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
	ARG_MIN_GROUP_ROWS,
	ARG_OR_REPLACE				/* of kpi.create_metric alone */
};

/*
 * Tell of the parts of a qualified name, which has been read, that were cut, as the
 * parser tells of identifiers.
 */
static void
tell_of_cut_names(const char *name)
{
	while (*name != '\0')
	{
		char	   *part = palloc(strlen(name) + 1);
		int			length = 0;
		bool		quoted = *name == '"';

		for (name += quoted ? 1 : 0; *name != '\0'; name++)
		{
			if (quoted && *name == '"' && *++name != '"')
				break;
			if (!quoted && (*name == '.' || isspace((unsigned char) *name)))
				break;
			part[length++] = *name;
		}
		part[length] = '\0';
		truncate_identifier(part, length, true);
		name += strspn(name, " .\t\n\r\f\v");
	}
}

/*
 * The schema and name that a text names, as CREATE VIEW would read it.
 */
RangeVar *
kpi_new_relation_name(text *name)
{
	RangeVar   *relation = makeRangeVarFromNameList(textToQualifiedNameList(name));
	char	   *string = text_to_cstring(name);

	tell_of_cut_names(string + strspn(string, " \t\n\r\f\v"));
	relation->relpersistence = RELPERSISTENCE_PERMANENT;
	return relation;
}

/*
 * What a relation is, for messages.
 */
static const char *
kind_of_relation(Oid relid)
{
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};

	if (kpi_metric_is_registered(relid))
		return "metric";
	if (kpi_registry_has("SELECT FROM kpi.metric_view_registry"
						 " WHERE relid OPERATOR(pg_catalog.=) $1", 1, argtypes, values))
		return "metric view";
	switch (get_rel_relkind(relid))
	{
		case RELKIND_VIEW:
			return "view";
		case RELKIND_MATVIEW:
			return "materialized view";
		case RELKIND_FOREIGN_TABLE:
			return "foreign table";
		case RELKIND_SEQUENCE:
			return "sequence";
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			return "index";
		case RELKIND_COMPOSITE_TYPE:
			return "type";
		default:
			return "table";
	}
}

/*
 * The relation of the current user's that has a name, locked; InvalidOid where nothing
 * has it.  Who drops or renames it at the same time goes first.
 */
static Oid
lock_own_relation(Oid namespace, const char *name)
{
	for (;;)
	{
		Oid			relid = get_relname_relid(name, namespace);

		if (!OidIsValid(relid))
			return InvalidOid;
		kpi_check_owner(relid);
		LockRelationOid(relid, AccessExclusiveLock);
		if (get_relname_relid(name, namespace) == relid)
			return relid;
		UnlockRelationOid(relid, AccessExclusiveLock);
	}
}

/*
 * The metric or metric view of the current user's that a new definition is to
 * replace, or InvalidOid where there is nothing of this name.  Two transactions that
 * define the same name come one after the other.
 */
Oid
kpi_relation_to_replace(RangeVar *name, const char *what)
{
	Oid			namespace = RangeVarGetCreationNamespace(name);
	AclResult	result = pg_namespace_aclcheck(namespace, GetUserId(), ACL_CREATE);
	Oid			relid;
	const char *kind;

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_SCHEMA, get_namespace_name(namespace));
	kpi_lock_name(namespace, name->relname);
	relid = lock_own_relation(namespace, name->relname);
	if (!OidIsValid(relid))
		return InvalidOid;

	kind = kind_of_relation(relid);
	if (strcmp(kind, what) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot replace %s, which is %s %s and not a %s",
						kpi_relation_name(relid), kind[0] == 'i' ? "an" : "a", kind, what),
				 strcmp(kind, "view") == 0 ?
				 errhint("If it is a %s that nobody registered, run SELECT kpi.adopt(%s) first; else use another name, or drop it.",
						 what, quote_literal_cstr(kpi_relation_name(relid))) :
				 errhint("Use another name, or drop it.")));
	return relid;
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
 * A view over a temporary relation would be temporary itself, whatever its schema.
 */
void
kpi_refuse_temporary_source(Query *query, const char *name, const char *what)
{
	ListCell   *lc;

	foreach(lc, kpi_tree_relations((Node *) query, true))
	{
		Oid			relid = lfirst_oid(lc);

		if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s %s would vanish with the session, for \"%s\" is temporary",
							what, name, get_rel_name(relid)),
					 errhint("Make that a permanent table or view first, as by CREATE TABLE ... AS TABLE %s.",
							 quote_identifier(get_rel_name(relid)))));
	}
}

/*
 * A temporary view ends without a word to us.
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
								 kpi_relation_name(relid),
								 quote_identifier(GetUserNameFromId(kpi_resolve_role(owner, "owner"),
																	false))));
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
	if (kpi_metric_defined_hook != NULL && !PG_ARGISNULL(ARG_DEFINITION))
		kpi_metric_defined_hook(relid);
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
	kpi_refuse_temporary_source(query, name, "metric");
	kpi_compat_check_permissions(query);
	return query;
}

/*
 * Make the view of a metric that is not there yet.
 */
static Oid
create_definition(RangeVar *name, const char *sql, int min_rows)
{
	const char *quoted = quote_qualified_identifier(name->schemaname, name->relname);
	int			nestlevel = extend_search_path();
	ErrorContextCallback callback;
	RawStmt    *raw;
	Query	   *query;
	Oid			relid;

	kpi_push_query(&callback, sql);
	raw = kpi_parse_select(sql, "the definition of a metric");
	query = analyze_definition(raw, sql, quoted);
	kpi_limit_small_groups(raw, query, min_rows, quoted);
	make_view(copyObject(name), list_make1(makeString(pstrdup(name->relname))),
			  raw, sql, false, NIL);
	kpi_pop_query();
	AtEOXact_GUC(false, nestlevel);

	relid = RangeVarGetRelid(name, NoLock, false);
	kpi_refuse_temporary(relid, "metric");
	kpi_load_definition(relid);
	return relid;
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
void
kpi_check_published_source(Oid relid, Oid source)
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
	kpi_check_published_source(relid, kpi_flatten_query(relid, query)->source);
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
	kpi_require_metric(relid);

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
 * Write down what the arguments say of a metric beside its definition.
 */
static void
write_metadata(FunctionCallInfo fcinfo, Oid relid)
{
	/*
	 * The lock of COMMENT comes first: whoever waited for the row instead
	 * could go on before the other's lock is given back, and would leave the
	 * comment.
	 */
	LockRelationOid(relid, ShareUpdateExclusiveLock);
	write_registry(fcinfo, relid);
	(void) kpi_write_comments(relid, false);
	kpi_change_owner(relid, kpi_text_argument(fcinfo, ARG_OWNER));
	kpi_check_scope_bypass(relid, "metric");
}

/*
 * Redefine a metric by the arguments: what is NULL stays.
 */
static void
redefine_by_arguments(FunctionCallInfo fcinfo, Oid relid)
{
	if (!PG_ARGISNULL(ARG_DEFINITION) || !PG_ARGISNULL(ARG_MIN_GROUP_ROWS))
		redefine(relid, kpi_text_argument(fcinfo, ARG_DEFINITION),
				 PG_ARGISNULL(ARG_MIN_GROUP_ROWS) ? -1 : PG_GETARG_INT32(ARG_MIN_GROUP_ROWS));
	write_metadata(fcinfo, relid);
}

/*
 * kpi.create_metric(name, definition, ..., or_replace) returns regclass
 */
Datum
kpi_create_metric(PG_FUNCTION_ARGS)
{
	RangeVar   *name;
	Oid			relid = InvalidOid;

	if (PG_ARGISNULL(ARG_NAME) || PG_ARGISNULL(ARG_DEFINITION))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a metric needs a name and a definition")));
	kpi_require_objects();
	check_metadata(fcinfo);

	name = kpi_new_relation_name(PG_GETARG_TEXT_PP(ARG_NAME));
	if (!PG_ARGISNULL(ARG_OR_REPLACE) && PG_GETARG_BOOL(ARG_OR_REPLACE))
		relid = kpi_relation_to_replace(name, "metric");
	if (OidIsValid(relid))
		redefine_by_arguments(fcinfo, relid);
	else
	{
		relid = create_definition(name, kpi_text_argument(fcinfo, ARG_DEFINITION),
								  PG_ARGISNULL(ARG_MIN_GROUP_ROWS) ? 0 : PG_GETARG_INT32(ARG_MIN_GROUP_ROWS));
		write_metadata(fcinfo, relid);
	}
	PG_RETURN_OID(relid);
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
	redefine_by_arguments(fcinfo, relid);

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
 * Body of kpi_forget_dropped().
 */
static void
forget_body(void *arg)
{
	static const char *const kinds[] = {"view", "view", "view", "view", "table", "view", "materialized view"};
	static const char *const registries[] = {"metric_registry", "metric_view_registry",
	"written_comment", "accepted_fanout", "protection_registry", "accepted_bypass", "accepted_bypass"};
	List	   *dropped = kpi_dropped_objects();

	for (int i = 0; i < lengthof(registries); i++)
	{
		List	   *relids = NIL;
		ListCell   *lc;

		foreach(lc, dropped)
		{
			KpiDroppedObject *object = lfirst(lc);

			if (strcmp(object->type, kinds[i]) == 0 && !object->is_temporary &&
				kpi_registry_lists(registries[i], "relid", object->objid))
				relids = lappend_oid(relids, object->objid);
		}
		if (relids != NIL)
		{
			Oid			argtypes[] = {OIDARRAYOID};
			Datum		values[] = {kpi_oid_array(relids)};

			kpi_registry_execute(psprintf("DELETE FROM " KPI_SCHEMA ".%s AS r"
										  " WHERE r.relid OPERATOR(pg_catalog.=) ANY ($1)",
										  registries[i]),
								 1, argtypes, values, NULL);
		}
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
