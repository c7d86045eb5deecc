/*
 * draft.c
 *		Metric views while they are put together.
 *
 * A draft is a query tree, so that each dimension is parsed alone and by the
 * caller's search_path; it is then written out with every name qualified, as
 * pg_dump would write it.
 *
 * src/metric/draft.c
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "catalog/catalog.h"
#include "compat.h"
#include "errors.h"
#include "metric/definition.h"
#include "metric/draft.h"
#include "metric/metric.h"

/*
 * Raise the error for an element of an array argument that is not what it
 * should be.
 */
void
kpi_report_invalid(const char *text, const char *what, const char *hint)
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
		kpi_report_invalid(text, what, hint);

	/* with its target taken away, nothing may be left of the statement */
	rest = *select;
	rest.targetList = NIL;
	empty->limitOption = rest.limitOption;
	if (!equal(&rest, empty))
		kpi_report_invalid(text, what, hint);
	return linitial_node(ResTarget, select->targetList);
}

/*
 * Parse "old AS new" or "metric [AS name]" into a name and an alias, which is
 * NULL where there is none.
 */
List *
kpi_parse_alias(const char *text, const char *what, char **alias)
{
	const char *hint = "Write a name, or \"name AS name\".";
	ResTarget  *target = parse_target(text, what, hint);
	ListCell   *lc;

	*alias = target->name;
	if (!IsA(target->val, ColumnRef) || target->indirection != NIL)
		kpi_report_invalid(text, what, hint);
	foreach(lc, ((ColumnRef *) target->val)->fields)
	{
		if (!IsA(lfirst(lc), String))
			kpi_report_invalid(text, what, hint);
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
void
kpi_draft_dimension(Draft *draft, const char *text)
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
	else
		problem = kpi_dimension_fault(query, (Node *) tle->expr);
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
void
kpi_draft_metric(Draft *draft, const char *text)
{
	char	   *alias;
	List	   *names = kpi_parse_alias(text, "metric", &alias);
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
void
kpi_draft_dimensions_first(Draft *draft, int nmetrics)
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
void
kpi_write_draft(void *arg)
{
	Draft	   *draft = arg;

	draft->select = pg_get_querydef(draft->query, true);
}

/*
 * Take a column out of a draft.
 */
void
kpi_draft_drop(Draft *draft, const char *name, bool is_measure)
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
const char *
kpi_draft_measure(Draft *draft, const char *text)
{
	char	   *alias;
	List	   *names = kpi_parse_alias(text, "metric", &alias);
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
