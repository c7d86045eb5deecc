/*
 * graph.c
 *		Walking the lineage graph.
 *
 * The whole graph is read at once, as it is now, and walked in memory.  A walk
 * goes from columns to columns.  What leads to the rows of a relation leads to
 * all its columns, for a WHERE decides about every value; what the rows of a
 * relation lead to, any of its columns leads to, but not the other way round: a
 * column that another one is filtered by is not filtered by it.
 *
 * src/lineage/graph.c
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/registry.h"
#include "lineage/lineage.h"

PG_FUNCTION_INFO_V1(kpi_upstream);
PG_FUNCTION_INFO_V1(kpi_downstream);
PG_FUNCTION_INFO_V1(kpi_transitive_lineage);
PG_FUNCTION_INFO_V1(kpi_lineage_edges);
PG_FUNCTION_INFO_V1(kpi_lineage_object_id);

/* A relation or function of the graph; the name is the key */
typedef struct GraphObject
{
	char	   *name;
	char	   *type;
	List	   *in;				/* of GraphEdge *: what leads to it */
	List	   *out;			/* of GraphEdge *: what it leads to */
	List	   *reached;		/* of Step *: how the current walk came by */
} GraphObject;

/* An edge; a NULL column is the rows */
typedef struct GraphEdge
{
	GraphObject *source;
	GraphObject *target;
	char	   *source_column;
	char	   *target_column;
	char	   *kind;
	char	   *transformation;
	bool		told;			/* in the current walk */
} GraphEdge;

typedef struct Graph
{
	HTAB	   *objects;
	List	   *edges;
} Graph;

/* Somewhere that a walk has come to */
typedef struct Step
{
	GraphObject *object;
	const char *column;			/* NULL: the rows */
	bool		everything;		/* all columns and the rows: where it began */
	const char *kind;			/* of the way here, when walks ask for it */
	int			depth;
	struct Step *before;
} Step;

/* A relation, column or function that a text names */
typedef struct NamedObject
{
	Oid			relid;
	AttrNumber	attnum;
	Oid			funcid;
	char	   *name;
	char	   *column;
} NamedObject;

/*
 * Hash an object by the name that its key points to.
 */
static uint32
hash_name(const void *key, Size keysize)
{
	const char *name = *(const char *const *) key;

	return hash_bytes((const unsigned char *) name, strlen(name));
}

/*
 * Compare objects by the names that their keys point to.
 */
static int
compare_names(const void *a, const void *b, Size keysize)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/*
 * Find an object of the graph, or make it.
 */
static GraphObject *
graph_object(Graph *graph, char *name, char *type)
{
	bool		found;
	GraphObject *object = hash_search(graph->objects, &name, HASH_ENTER, &found);

	if (!found)
	{
		object->type = type;
		object->in = object->out = object->reached = NIL;
	}
	return object;
}

/*
 * Take an edge of the graph.
 */
static void
take_edge(HeapTuple row, TupleDesc desc, void *arg)
{
	Graph	   *graph = arg;
	GraphEdge  *edge = palloc0(sizeof(GraphEdge));
	char	   *values[8];

	for (int column = 0; column < lengthof(values); column++)
		values[column] = kpi_row_text(row, desc, column + 1);
	edge->source = graph_object(graph, values[1], values[0]);
	edge->source_column = values[2];
	edge->target = graph_object(graph, values[4], values[3]);
	edge->target_column = values[5];
	edge->kind = values[6];
	edge->transformation = values[7];
	edge->source->out = lappend(edge->source->out, edge);
	edge->target->in = lappend(edge->target->in, edge);
	graph->edges = lappend(graph->edges, edge);
}

/*
 * Read the graph, with the rights of the extension's owner.
 */
static Graph *
load_graph(void)
{
	Graph	   *graph = palloc0(sizeof(Graph));
	HASHCTL		control = {0};

	control.keysize = sizeof(char *);
	control.entrysize = sizeof(GraphObject);
	control.hash = hash_name;
	control.match = compare_names;
	control.hcxt = CurrentMemoryContext;
	graph->objects = hash_create("kpitables lineage", 256, &control,
								 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	(void) kpi_registry_read("SELECT source_type, source, source_column, target_type, target, target_column, kind, transformation"
							 " FROM kpi.lineage_current ORDER BY target, target_column NULLS LAST, kind, source, source_column",
							 0, NULL, NULL, take_edge, graph);
	return graph;
}

/*
 * Are two columns the same, where NULL is the rows?
 */
static bool
same_column(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/*
 * Come to a column of an object, unless the walk has been there.
 */
static Step *
arrive(Step *before, GraphObject *object, const char *column, const char *kind)
{
	Step	   *step;
	ListCell   *lc;

	foreach(lc, object->reached)
	{
		step = lfirst(lc);
		if (step->everything || (same_column(step->column, column) &&
								 same_column(step->kind, kind)))
			return NULL;
	}
	step = palloc0(sizeof(Step));
	step->object = object;
	step->column = column;
	step->kind = kind;
	step->before = before;
	step->depth = before->depth + 1;
	object->reached = lappend(object->reached, step);
	return step;
}

/*
 * Does a walk that is at a step take an edge?
 */
static bool
leads_on(Step *step, GraphEdge *edge, bool upstream)
{
	if (step->everything)
		return true;
	if (upstream)
		return edge->target_column == NULL || same_column(edge->target_column, step->column);
	return step->column == NULL || same_column(edge->source_column, step->column);
}

/*
 * A column's qualified name, or that of the object.
 */
static char *
full_name(const char *object, const char *column)
{
	return column == NULL ? pstrdup(object) : psprintf("%s.%s", object, quote_identifier(column));
}

/*
 * The way that a walk came, and where the edge goes from there.
 */
static Datum
path_to(Step *step, GraphEdge *edge, bool upstream)
{
	int			count = step->depth + 2;
	Datum	   *names = palloc(sizeof(Datum) * count);

	names[count - 1] = CStringGetTextDatum(upstream ?
										   full_name(edge->source->name, edge->source_column) :
										   full_name(edge->target->name, edge->target_column));
	for (int i = count - 2; step != NULL; step = step->before, i--)
		names[i] = CStringGetTextDatum(full_name(step->object->name, step->column));
	return PointerGetDatum(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * A text, or NULL.
 */
static void
set_text(Datum *values, bool *nulls, int n, const char *text)
{
	nulls[n] = text == NULL;
	values[n] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

/*
 * The columns of an edge.
 */
static void
set_edge(Datum *values, bool *nulls, GraphEdge *edge)
{
	set_text(values, nulls, 0, edge->source->type);
	set_text(values, nulls, 1, edge->source->name);
	set_text(values, nulls, 2, edge->source_column);
	set_text(values, nulls, 3, edge->target->type);
	set_text(values, nulls, 4, edge->target->name);
	set_text(values, nulls, 5, edge->target_column);
	set_text(values, nulls, 6, edge->kind);
	set_text(values, nulls, 7, edge->transformation);
}

/*
 * Return an edge that a walk took.
 */
static void
tell_edge(ReturnSetInfo *rsinfo, Step *step, GraphEdge *edge, bool upstream)
{
	Datum		values[10];
	bool		nulls[10] = {false};

	values[0] = Int32GetDatum(step->depth + 1);
	set_edge(values + 1, nulls + 1, edge);
	values[9] = path_to(step, edge, upstream);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * The relation of a name of up to three parts, or InvalidOid.  Lineage tells no
 * more than the catalogs, which all may read, so no privilege on the schema is
 * asked for.
 */
static Oid
find_relation(List *names)
{
	Oid			namespace;

	if (list_length(names) == 3 &&
		strcmp(strVal(linitial(names)), get_database_name(MyDatabaseId)) == 0)
		names = list_copy_tail(names, 1);
	if (list_length(names) == 1)
		return RelnameGetRelid(strVal(linitial(names)));
	if (list_length(names) != 2)
		return InvalidOid;
	namespace = get_namespace_oid(strVal(linitial(names)), true);
	return OidIsValid(namespace) ? get_relname_relid(strVal(lsecond(names)), namespace) : InvalidOid;
}

/*
 * Does a text hold arguments, outside of quoted names?
 */
static bool
has_arguments(const char *string)
{
	bool		quoted = false;

	for (; *string != '\0'; string++)
	{
		if (*string == '"')
			quoted = !quoted;
		else if (*string == '(' && !quoted)
			return true;
	}
	return false;
}

/* A text that names an object, and the object */
typedef struct NameSearch
{
	text	   *object;
	NamedObject found;
} NameSearch;

/*
 * A relation or, where the name has another part, a column of one.
 */
static void
find_relation_or_column(NameSearch *search, const char *string)
{
	NamedObject *found = &search->found;
	List	   *names = textToQualifiedNameList(search->object);
	Oid			table = InvalidOid;

	found->relid = find_relation(names);
	if (list_length(names) >= 2)
		table = find_relation(list_truncate(list_copy(names), list_length(names) - 1));
	if (OidIsValid(table))
		found->attnum = Max(get_attnum(table, strVal(llast(names))), 0);
	if (OidIsValid(found->relid) && found->attnum > 0)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_COLUMN),
				 errmsg("\"%s\" is a relation and a column", string),
				 errhint("Write the schema of the table in front of the column's.")));
	if (!OidIsValid(found->relid) && OidIsValid(table) && found->attnum == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist",
						strVal(llast(names)), kpi_relation_name(table))));
	if (!OidIsValid(found->relid) && found->attnum == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation or column \"%s\" does not exist", string),
				 errhint("Write schema.relation, schema.relation.column or schema.function(argument types).")));
	if (!OidIsValid(found->relid))
	{
		found->relid = table;
		found->column = get_attname(table, found->attnum, false);
	}
	found->name = kpi_relation_name(found->relid);
}

/*
 * Errand: what a text names, a function if it has arguments.
 */
static void
find_by_name(void *arg)
{
	NameSearch *search = arg;
	char	   *string = text_to_cstring(search->object);
	ObjectAddress address = {ProcedureRelationId, InvalidOid, 0};

	if (!has_arguments(string))
	{
		find_relation_or_column(search, string);
		return;
	}
	address.objectId = DatumGetObjectId(DirectFunctionCall1(regprocedurein,
															CStringGetDatum(string)));
	search->found.funcid = address.objectId;
	search->found.name = kpi_lineage_object_name(address);
}

/*
 * What a text names, by the caller's search path.
 */
static NamedObject
find_named_object(text *object)
{
	NameSearch	search = {object, {0}};

	kpi_in_plain_text(NULL, find_by_name, &search);
	return search.found;
}

/*
 * Walk from an object, nearest edges first, and return every edge once.
 */
static void
walk(FunctionCallInfo fcinfo, bool upstream)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	NamedObject named = find_named_object(PG_GETARG_TEXT_PP(0));
	Graph	   *graph = load_graph();
	Step	   *first = palloc0(sizeof(Step));
	List	   *steps = list_make1(first);

	InitMaterializedSRF(fcinfo, 0);
	first->object = graph_object(graph, named.name, NULL);
	first->column = named.column;
	first->everything = named.column == NULL;
	first->object->reached = list_make1(first);

	/* the list grows while it is walked */
	for (int i = 0; i < list_length(steps); i++)
	{
		Step	   *step = list_nth(steps, i);
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		foreach(lc, upstream ? step->object->in : step->object->out)
		{
			GraphEdge  *edge = lfirst(lc);
			Step	   *next;

			if (!leads_on(step, edge, upstream))
				continue;
			if (!edge->told)
				tell_edge(rsinfo, step, edge, upstream);
			edge->told = true;
			next = upstream ?
				arrive(step, edge->source, edge->source_column, NULL) :
				arrive(step, edge->target, edge->target_column, NULL);
			if (next != NULL)
				steps = lappend(steps, next);
		}
	}
}

/*
 * kpi.upstream(object)
 */
Datum
kpi_upstream(PG_FUNCTION_ARGS)
{
	walk(fcinfo, true);
	return (Datum) 0;
}

/*
 * kpi.downstream(object)
 */
Datum
kpi_downstream(PG_FUNCTION_ARGS)
{
	walk(fcinfo, false);
	return (Datum) 0;
}

/*
 * Return what one column, or the rows, of an object comes from in the end.
 */
static void
tell_origins(ReturnSetInfo *rsinfo, GraphObject *object, const char *column)
{
	Step	   *first = palloc0(sizeof(Step));
	List	   *steps = list_make1(first);
	ListCell   *lc;

	first->object = object;
	first->column = column;
	first->kind = "value";
	object->reached = list_make1(first);
	for (int i = 0; i < list_length(steps); i++)
	{
		Step	   *step = list_nth(steps, i);
		bool		is_origin = true;

		CHECK_FOR_INTERRUPTS();
		foreach(lc, step->object->in)
		{
			GraphEdge  *edge = lfirst(lc);
			Step	   *next;

			if (!leads_on(step, edge, true))
				continue;
			is_origin = false;
			next = arrive(step, edge->source, edge->source_column,
						  strcmp(step->kind, "value") == 0 ? edge->kind : step->kind);
			if (next != NULL)
				steps = lappend(steps, next);
		}
		if (is_origin && step->depth > 1)
		{
			Datum		values[7];
			bool		nulls[7] = {false};

			set_text(values, nulls, 0, step->object->type);
			set_text(values, nulls, 1, step->object->name);
			set_text(values, nulls, 2, step->column);
			set_text(values, nulls, 3, object->type);
			set_text(values, nulls, 4, object->name);
			set_text(values, nulls, 5, column);
			set_text(values, nulls, 6, step->kind);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	foreach(lc, steps)
		((Step *) lfirst(lc))->object->reached = NIL;
	list_free_deep(steps);
}

/*
 * kpi.transitive_lineage()
 */
Datum
kpi_transitive_lineage(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Graph	   *graph = load_graph();
	HASH_SEQ_STATUS scan;
	GraphObject *object;

	InitMaterializedSRF(fcinfo, 0);
	hash_seq_init(&scan, graph->objects);
	while ((object = hash_seq_search(&scan)) != NULL)
	{
		List	   *columns = NIL;
		ListCell   *lc;

		if (object->type == NULL || (strcmp(object->type, "metric") != 0 &&
									 strcmp(object->type, "metric view") != 0))
			continue;
		foreach(lc, object->in)
		{
			GraphEdge  *edge = lfirst(lc);

			if (edge->target_column == NULL || (columns != NIL &&
												strcmp(llast(columns), edge->target_column) == 0))
				continue;
			columns = lappend(columns, edge->target_column);
		}
		foreach(lc, columns)
			tell_origins(rsinfo, object, lfirst(lc));
	}
	return (Datum) 0;
}

/*
 * kpi.lineage_edges()
 */
Datum
kpi_lineage_edges(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Graph	   *graph = load_graph();
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, graph->edges)
	{
		GraphEdge  *edge = lfirst(lc);
		Datum		values[8];
		bool		nulls[8] = {false};

		set_edge(values, nulls, edge);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * kpi.lineage_object_id(object)
 */
Datum
kpi_lineage_object_id(PG_FUNCTION_ARGS)
{
	NamedObject named = find_named_object(PG_GETARG_TEXT_PP(0));
	TupleDesc	desc;
	Datum		values[5];
	bool		nulls[5] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = ObjectIdGetDatum(named.relid);
	values[1] = Int16GetDatum(named.attnum);
	values[2] = ObjectIdGetDatum(named.funcid);
	set_text(values, nulls, 3, named.name);
	set_text(values, nulls, 4, named.column);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
