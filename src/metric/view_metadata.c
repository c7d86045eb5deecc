/*
 * view_metadata.c
 *		What is said of a metric view beside its columns.
 *
 * The registry row, the comments, and who owns the view: arguments that are NULL leave
 * what is there, empty ones clear it.
 *
 * Labels of dimensions are comments of the columns, so that dumps and tools carry
 * them.
 *
 * src/metric/view_metadata.c
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "catalog/names.h"
#include "catalog/registry.h"
#include "catalog/utility.h"
#include "metric/definition.h"
#include "metric/metric.h"
#include "metric/row_key.h"
#include "metric/view_metadata.h"
#include "metric/written_comment.h"
#include "scope/scope.h"

/*
 * The column that a metric view's time dimension is, 0 for none.
 */
AttrNumber
kpi_find_time_dimension(Oid relid, const char *name)
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
 * The metadata arguments: from position n on label, description, time_dimension, owner
 * and tags, from position "more" on labels, row_key and ungrouped.
 */
ViewMetadata
kpi_view_metadata(FunctionCallInfo fcinfo, int n, int more)
{
	ViewMetadata result;

	result.label = PG_GETARG_DATUM(n);
	result.description = PG_GETARG_DATUM(n + 1);
	result.tags = PG_GETARG_DATUM(n + 4);
	result.nulls[0] = PG_ARGISNULL(n) ? 'n' : ' ';
	result.nulls[1] = PG_ARGISNULL(n + 1) ? 'n' : ' ';
	result.nulls[2] = PG_ARGISNULL(n + 4) ? 'n' : ' ';
	result.time_dimension = kpi_text_argument(fcinfo, n + 2);
	result.owner = kpi_text_argument(fcinfo, n + 3);
	(void) kpi_text_list(fcinfo, n + 4, "tags");
	result.labels = PG_ARGISNULL(more) ? (Datum) 0 : PG_GETARG_DATUM(more);
	result.row_key = kpi_text_argument(fcinfo, more + 1);
	result.ungrouped = kpi_text_argument(fcinfo, more + 2);
	if (result.ungrouped != NULL && result.ungrouped[0] != '\0' &&
		strcmp(result.ungrouped, "contribution") != 0 && strcmp(result.ungrouped, "null") != 0 &&
		strcmp(result.ungrouped, "error") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"ungrouped\": %s", result.ungrouped),
				 errhint("What measures show in rows that are not aggregated is \"contribution\", \"null\" or \"error\".")));
	return result;
}

/*
 * The name of a column of a metric view whose number the registry has, "" for none.
 */
char *
kpi_registered_column(Oid relid, const char *what)
{
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	bool		isnull;
	Datum		attnum;

	attnum = kpi_registry_value(psprintf("SELECT %s FROM kpi.metric_view_registry"
										 " WHERE relid OPERATOR(pg_catalog.=) $1", what),
								1, argtypes, values, &isnull);
	return isnull ? "" : get_attname(relid, DatumGetInt16(attnum), false);
}

/*
 * The number of the column that is the row key, 0 for none; raises an error for one
 * that does not identify a row.
 */
static AttrNumber
find_row_key(Oid relid, const char *name)
{
	MetricViewQuery view;
	AttrNumber	attnum;
	char	   *fault;

	if (name == NULL || name[0] == '\0')
		return 0;
	view = kpi_load_metric_view(relid);
	attnum = get_attnum(relid, name);
	fault = kpi_row_key_fault(&view, attnum);
	if (fault != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
				 errmsg("\"%s\" cannot be the row key of metric view %s", name,
						kpi_relation_name(relid)),
				 errdetail("It might be NULL, or of several rows: %s.", fault),
				 errhint("Name a column of the source that is NOT NULL and has a unique index of its own, as a primary key.")));
	return attnum;
}

/* A label of a dimension */
typedef struct Label
{
	char	   *dimension;
	char	   *kind;			/* of the value, in JSON */
	char	   *text;			/* or NULL */
} Label;

/*
 * Take a label.
 */
static void
take_label(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **labels = arg;
	Label	   *label = palloc(sizeof(Label));

	label->dimension = kpi_row_text(row, desc, 1);
	label->kind = kpi_row_text(row, desc, 2);
	label->text = kpi_row_text(row, desc, 3);
	*labels = lappend(*labels, label);
}

/*
 * Has a relation such a column?
 */
static bool
has_column(const char *name, void *arg)
{
	return get_attnum(*(Oid *) arg, name) > 0;
}

/*
 * The number of the dimension that a label is of.
 */
static AttrNumber
labelled_dimension(Oid relid, MetricViewQuery *view, Label *label)
{
	char	   *name = kpi_resolve_name(label->dimension, "labels", false, has_column, &relid);
	TargetEntry *tle = get_tle_by_resno(view->query->targetList, get_attnum(relid, name));
	Oid			metric;

	if (tle == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("metric view %s has no dimension \"%s\"", kpi_relation_name(relid), name)));
	if (kpi_is_marker((Node *) tle->expr, &metric))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("column \"%s\" of metric view %s is a measure", name, kpi_relation_name(relid)),
				 errhint("Its label is that of its metric: SELECT kpi.alter_metric(%s, label => ...).",
						 quote_literal_cstr(kpi_relation_name(metric)))));
	if (strcmp(label->kind, "string") != 0 && strcmp(label->kind, "null") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the label of dimension \"%s\" is no string", name),
				 errhint("Write {\"dimension\": \"label\"}; lines after the first describe the dimension.")));
	return tle->resno;
}

/*
 * Write the labels of dimensions: they are comments, and the user's own.  One that is
 * cleared gives way to the comment of the source's column.
 */
static void
write_labels(Oid relid, Datum labels)
{
	MetricViewQuery view = kpi_load_metric_view(relid);
	Oid			argtypes[] = {JSONBOID};
	Oid			comment_types[] = {REGCLASSOID, INT2OID};
	List	   *list = NIL;
	ListCell   *lc;

	if (!JB_ROOT_IS_OBJECT(DatumGetJsonbP(labels)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"labels\" is no JSON object"),
				 errhint("Write {\"dimension\": \"label\"}.")));
	(void) kpi_registry_read("SELECT key, pg_catalog.jsonb_typeof(value), value OPERATOR(pg_catalog.#>>) '{}'"
							 " FROM pg_catalog.jsonb_each($1)",
							 1, argtypes, &labels, take_label, &list);
	foreach(lc, list)
	{
		Label	   *label = lfirst(lc);
		AttrNumber	attnum = labelled_dimension(relid, &view, label);
		Datum		values[] = {ObjectIdGetDatum(relid), Int16GetDatum(attnum)};

		CreateComments(relid, RelationRelationId, attnum, label->text);
		CommandCounterIncrement();
		kpi_registry_execute("DELETE FROM kpi.written_comment"
							 " WHERE relid OPERATOR(pg_catalog.=) $1"
							 " AND attnum OPERATOR(pg_catalog.=) $2",
							 2, comment_types, values, NULL);
	}
}

/*
 * Write the registry row of a metric view.
 */
static void
write_registry(Oid relid, ViewMetadata *metadata)
{
	Oid			argtypes[] = {REGCLASSOID, TEXTOID, TEXTOID, TEXTARRAYOID, INT2OID, INT2OID, TEXTOID};
	Datum		values[lengthof(argtypes)] = {ObjectIdGetDatum(relid), metadata->label,
	metadata->description, metadata->tags};
	char		nulls[] = {' ', metadata->nulls[0], metadata->nulls[1], metadata->nulls[2], ' ', ' ', ' '};

	values[4] = Int16GetDatum(kpi_find_time_dimension(relid, metadata->time_dimension));
	values[5] = Int16GetDatum(find_row_key(relid, metadata->row_key));
	if (metadata->ungrouped != NULL)
		values[6] = CStringGetTextDatum(metadata->ungrouped);
	else
		nulls[6] = 'n';
	kpi_registry_execute("INSERT INTO kpi.metric_view_registry AS r"
						 " (relid, label, description, tags, time_dimension, row_key, ungrouped)"
						 " VALUES ($1, nullif($2, ''), nullif($3, ''), coalesce($4, '{}'), nullif($5, 0), nullif($6, 0), nullif($7, ''))"
						 " ON CONFLICT (relid) DO UPDATE SET"
						 " label = nullif(coalesce($2, r.label), ''),"
						 " description = nullif(coalesce($3, r.description), ''),"
						 " tags = coalesce($4, r.tags),"
						 " time_dimension = nullif($5, 0),"
						 " row_key = nullif($6, 0),"
						 " ungrouped = nullif(coalesce($7, r.ungrouped), '')",
						 lengthof(argtypes), argtypes, values, nulls);

	/* plans hold what measures show */
	if (metadata->ungrouped != NULL)
		CacheInvalidateRelcacheByRelid(relid);
}

/*
 * Write down what is said of a metric view.  The time dimension and the row key are
 * names of its dimensions by now.
 */
void
kpi_write_view_metadata(Oid relid, ViewMetadata *metadata)
{
	write_registry(relid, metadata);
	if (metadata->labels != (Datum) 0)
		write_labels(relid, metadata->labels);
	(void) kpi_write_comments(relid, false);
	kpi_change_owner(relid, metadata->owner);
	kpi_check_scope_bypass(relid, "metric view");
}
