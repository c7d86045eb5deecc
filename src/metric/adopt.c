/*
 * adopt.c
 *		Registering metrics and metric views that are there, but not registered.
 *
 * The views of metrics travel without the extension's own rows where a dump holds
 * some schemas only, and they go on computing.  What makes them be listed and
 * changed is a row in the registry, which is given back here: to exactly what could
 * have been created as it is.  Labels, units and the like were in the row alone; what
 * the view's comment says of them becomes the description.
 *
 * src/metric/adopt.c
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/catalog.h"
#include "catalog/registry.h"
#include "catalog/utility.h"
#include "compat.h"
#include "errors.h"
#include "metric/definition.h"
#include "metric/draft.h"
#include "metric/metric.h"
#include "metric/smallgroups.h"
#include "metric/view_metadata.h"
#include "metric/written_comment.h"
#include "scope/scope.h"

PG_FUNCTION_INFO_V1(kpi_adopt);

static void adopt(Oid relid);

/*
 * Is a relation registered in the registry of this name?
 */
static bool
is_registered(Oid relid, const char *registry)
{
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};

	return kpi_registry_has(psprintf("SELECT FROM " KPI_SCHEMA ".%s"
									 " WHERE relid OPERATOR(pg_catalog.=) $1", registry),
							1, argtypes, values);
}

/*
 * Adopt what a view needs to be registered, if that can be.
 */
static void
adopt_metric(Oid metric)
{
	if (!kpi_metric_is_registered(metric) && get_rel_relkind(metric) == RELKIND_VIEW)
		adopt(metric);
}

/*
 * Let a comment of the view, and those of its columns, be ours again where they are
 * what we would write.
 */
static void
adopt_comments(Oid relid)
{
	Oid			argtypes[] = {OIDARRAYOID};
	Datum		values[] = {kpi_oid_array(list_make1_oid(relid))};

	kpi_registry_execute("INSERT INTO kpi.written_comment (relid, attnum, comment)"
						 " SELECT d.relid, d.attnum, d.comment FROM kpi.due_comments($1, true) AS d"
						 " WHERE d.comment OPERATOR(pg_catalog.=) pg_catalog.col_description(d.relid, d.attnum)"
						 " ON CONFLICT (relid, attnum) DO UPDATE SET comment = excluded.comment",
						 1, argtypes, values, NULL);
	(void) kpi_write_comments(relid, false);
}

/*
 * Register a view, whose comment becomes its description.
 */
static void
register_view(Oid relid, const char *sql, Oid argtype, Datum value, bool isnull)
{
	char	   *comment = GetComment(relid, RelationRelationId, 0);
	Oid			argtypes[] = {REGCLASSOID, TEXTOID, argtype};
	Datum		values[] = {ObjectIdGetDatum(relid), (Datum) 0, value};
	char		nulls[] = {' ', comment == NULL ? 'n' : ' ', isnull ? 'n' : ' '};

	if (comment != NULL)
		values[1] = CStringGetTextDatum(comment);
	kpi_registry_execute(sql, lengthof(argtypes), argtypes, values, nulls);
	adopt_comments(relid);
}

/*
 * Register a view of a metric's form: what kpi.create_metric() checks of a definition
 * is checked of the view's query (M13).
 */
static void
adopt_as_metric(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Query	   *query = copyObject(kpi_relation_query(rel));
	int			min_rows;
	ListCell   *lc;

	table_close(rel, NoLock);

	/* a definition that goes in a circle is told here */
	(void) kpi_load_definition(relid);
	if (!query->hasAggs)
	{
		foreach(lc, kpi_tree_relations((Node *) query, true))
			adopt_metric(lfirst_oid(lc));
	}
	kpi_check_definition(query, kpi_relation_name(relid));
	kpi_compat_check_permissions(query);
	kpi_check_scope_bypass(relid, "metric");

	min_rows = kpi_small_group_limit_of((Node *) linitial_node(TargetEntry, query->targetList)->expr);
	register_view(relid, "INSERT INTO kpi.metric_registry (relid, description, min_group_rows)"
				  " VALUES ($1, $2, $3)", INT4OID, Int32GetDatum(min_rows), false);
}

/*
 * A measure's column is the marker of a registered metric of the view's source, and
 * has its type.
 */
static void
check_measure(Draft *draft, TargetEntry *tle, Oid metric)
{
	Node	   *marker = kpi_strip_coercions((Node *) tle->expr);
	Oid			type;
	int32		typmod;
	Oid			collation;

	adopt_metric(metric);
	kpi_draft_check_metric(draft, metric);
	get_atttypetypmodcoll(metric, 1, &type, &typmod, &collation);
	if (exprType(marker) != type || exprType((Node *) tle->expr) != type ||
		exprTypmod((Node *) tle->expr) != typmod)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of %s does not have the type of metric %s, which is %s",
						get_attname(draft->relid, tle->resno, false), draft->name,
						kpi_relation_name(metric), format_type_with_typemod(type, typmod))));
}

/*
 * A column that is no measure is a dimension.
 */
static void
check_dimension(Draft *draft, Query *query, TargetEntry *tle)
{
	const char *fault = kpi_dimension_fault(query, (Node *) tle->expr);

	if (fault != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
				 errmsg("column \"%s\" of %s %s",
						get_attname(draft->relid, tle->resno, false), draft->name, fault),
				 errdetail("A dimension is a column of the source, or an expression over its columns.")));
}

/*
 * Register a view with markers: what kpi.create_metric_view() sees to is checked.
 */
static void
adopt_as_metric_view(Oid relid, MetricViewQuery *view)
{
	RangeTblEntry *rte = rt_fetch(view->source_rti, view->query->rtable);
	Draft		draft = {0};
	AttrNumber	time_dimension;
	ListCell   *lc;

	draft.name = kpi_relation_name(relid);
	draft.relid = relid;
	draft.source = view->source;
	if (rte->rtekind != RTE_RELATION || rte->tablesample != NULL ||
		(!rte->inh && rte->relkind != RELKIND_VIEW))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s does not read one relation, with its partitions and children", draft.name),
				 errdetail("A metric view is a view of columns, and of measures, of one relation.")));
	foreach(lc, view->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Oid			metric;

		if (kpi_is_marker((Node *) tle->expr, &metric))
			check_measure(&draft, tle, metric);
		else
			check_dimension(&draft, view->query, tle);
	}
	kpi_compat_check_permissions(view->query);
	kpi_check_scope_bypass(relid, "metric view");

	time_dimension = kpi_find_time_dimension(relid, NULL);
	register_view(relid, "INSERT INTO kpi.metric_view_registry (relid, description, time_dimension)"
				  " VALUES ($1, $2, $3)", INT2OID, Int16GetDatum(time_dimension), time_dimension == 0);
}

/*
 * Does the query of a view hold markers, whatever else it does?
 */
static bool
holds_markers(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Query	   *query = kpi_relation_query(rel);
	bool		result = query != NULL && kpi_holds_marker((Node *) query->targetList, NULL);

	table_close(rel, NoLock);
	return result;
}

/*
 * Register a view of the current user's as what it is.  One that is registered is left
 * as it is.
 */
static void
adopt(Oid relid)
{
	MetricViewQuery view;

	check_stack_depth();
	kpi_check_owner(relid);
	if (get_rel_relkind(relid) != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a view", kpi_relation_name(relid)),
				 errdetail("Metrics and metric views are views.")));

	/* who adopts or changes it at the same time goes first, and is then seen */
	LockRelationOid(relid, ShareRowExclusiveLock);
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (is_registered(relid, "metric_registry") || is_registered(relid, "metric_view_registry"))
		return;
	view = kpi_load_metric_view(relid);
	if (view.query == NULL && holds_markers(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s has measures, but is no metric view", kpi_relation_name(relid)),
				 errdetail("A metric view is a view of columns, and of measures, of one relation, without conditions or grouping.")));
	kpi_refuse_temporary(relid, view.query != NULL ? "metric view" : "metric");
	if (view.query != NULL)
		adopt_as_metric_view(relid, &view);
	else
		adopt_as_metric(relid);
}

/*
 * kpi.adopt(view) returns regclass
 */
Datum
kpi_adopt(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);

	kpi_require_objects();
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	adopt(relid);
	PG_RETURN_OID(relid);
}
