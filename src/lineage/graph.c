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
 * A walk comes to each column once, and looks at each edge there once: graphs are
 * everybody's, and as large as anybody makes them (S9).
 *
 * src/lineage/graph.c
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/registry.h"
#include "lineage/lineage.h"

PG_FUNCTION_INFO_V1(kpi_upstream);
PG_FUNCTION_INFO_V1(kpi_downstream);
PG_FUNCTION_INFO_V1(kpi_transitive_lineage);
PG_FUNCTION_INFO_V1(kpi_lineage_edges);

/* How many edges may be looked at to tell what an object comes from in the end */
#define MAX_EDGES_LOOKED_AT	1000000

/* A relation or function of the graph; the name is the key */
typedef struct GraphObject
{
	char	   *name;
	char	   *type;
	struct GraphColumn *rows;	/* NULL where no edge ends at them */
	List	   *in;				/* of GraphEdge *: what leads to it */
	List	   *out;			/* of GraphEdge *: what it leads to */
	bool		is_start;		/* did the current walk begin at all of it? */
} GraphObject;

/* What the key of a column is, in the table of all columns */
typedef struct ColumnKey
{
	GraphObject *object;
	char	   *name;			/* NULL: the rows */
} ColumnKey;

/* A column, or the rows, of an object */
typedef struct GraphColumn
{
	ColumnKey	key;
	List	   *in;
	List	   *out;
	uint8		reached;		/* by the walk: a bit for each kind of way */
	uint8		followed;		/* from another column of the object, likewise */
} GraphColumn;

/* An edge */
typedef struct GraphEdge
{
	GraphColumn *source;
	GraphColumn *target;
	LineageKind kind;
	char	   *transformation;
	bool		told;			/* in the current walk */
} GraphEdge;

typedef struct Graph
{
	HTAB	   *objects;		/* of GraphObject */
	HTAB	   *columns;		/* of GraphColumn */
	List	   *edges;
} Graph;

/* Somewhere that a walk has come to */
typedef struct Step
{
	GraphColumn *column;
	bool		everything;		/* all columns and the rows: where it began */
	LineageKind kind;			/* of the way here, when walks ask for it */
	int			depth;
	struct Step *before;
	Datum		name;			/* as text, or 0 if nobody asked yet */
} Step;

/* A walk, and where it is told */
typedef struct Walk
{
	bool		upstream;
	List	   *steps;			/* of Step *, in the order of arrival */
	ReturnSetInfo *rsinfo;
	MemoryContext row;			/* for one row of the result */
} Walk;

/*
 * Hash a column by its object and name.
 */
static uint32
hash_column(const void *key, Size keysize)
{
	const ColumnKey *column = key;
	uint32		hash = hash_bytes((const unsigned char *) &column->object, sizeof(GraphObject *));

	return column->name == NULL ? hash :
		hash_combine(hash, kpi_hash_text(&column->name, sizeof(char *)));
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
 * Compare columns by object and name.
 */
static int
compare_columns(const void *a, const void *b, Size keysize)
{
	const ColumnKey *x = a;
	const ColumnKey *y = b;

	return x->object == y->object && same_column(x->name, y->name) ? 0 : 1;
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
		object->rows = NULL;
		object->in = object->out = NIL;
		object->is_start = false;
	}
	return object;
}

/*
 * Find a column of an object, or for NULL its rows, or make it.
 */
static GraphColumn *
graph_column(Graph *graph, GraphObject *object, char *name)
{
	ColumnKey	key = {object, name};
	bool		found;
	GraphColumn *column = hash_search(graph->columns, &key, HASH_ENTER, &found);

	if (!found)
	{
		column->in = column->out = NIL;
		column->reached = column->followed = 0;
		if (name == NULL)
			object->rows = column;
	}
	return column;
}

/*
 * The column of a row's three values from some on: type, object and column.  Only
 * values that the graph does not have yet are kept.
 */
static GraphColumn *
take_column(Graph *graph, HeapTuple row, TupleDesc desc, int first)
{
	char	   *type = kpi_row_text(row, desc, first);
	char	   *name = kpi_row_text(row, desc, first + 1);
	char	   *column_name = kpi_row_text(row, desc, first + 2);
	GraphObject *object = graph_object(graph, name, type);
	GraphColumn *column = graph_column(graph, object, column_name);

	if (object->name != name)
		pfree(name);
	if (object->type != type && type != NULL)
		pfree(type);
	if (column->key.name != column_name && column_name != NULL)
		pfree(column_name);
	return column;
}

/*
 * The kind of that name.
 */
static LineageKind
kind_by_name(char *name)
{
	for (int kind = LINEAGE_VALUE; kind <= LINEAGE_ORDER; kind++)
	{
		if (strcmp(kpi_lineage_kind_name((LineageKind) kind), name) == 0)
		{
			pfree(name);
			return (LineageKind) kind;
		}
	}
	elog(ERROR, "unrecognized kind of lineage: %s", name);
}

/*
 * Take an edge of the graph.
 */
static void
take_edge(HeapTuple row, TupleDesc desc, void *arg)
{
	Graph	   *graph = arg;
	GraphEdge  *edge = palloc0(sizeof(GraphEdge));

	CHECK_FOR_INTERRUPTS();
	edge->source = take_column(graph, row, desc, 1);
	edge->target = take_column(graph, row, desc, 4);
	edge->kind = kind_by_name(kpi_row_text(row, desc, 7));
	edge->transformation = kpi_row_text(row, desc, 8);
	edge->source->out = lappend(edge->source->out, edge);
	edge->target->in = lappend(edge->target->in, edge);
	edge->source->key.object->out = lappend(edge->source->key.object->out, edge);
	edge->target->key.object->in = lappend(edge->target->key.object->in, edge);
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
	control.hash = kpi_hash_text;
	control.match = kpi_compare_texts;
	control.hcxt = CurrentMemoryContext;
	graph->objects = hash_create("kpitables lineage", 256, &control,
								 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	control.keysize = sizeof(ColumnKey);
	control.entrysize = sizeof(GraphColumn);
	control.hash = hash_column;
	control.match = compare_columns;
	graph->columns = hash_create("kpitables lineage columns", 1024, &control,
								 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	(void) kpi_registry_read("SELECT source_type, source, source_column, target_type, target, target_column, kind, transformation"
							 " FROM kpi.lineage_current ORDER BY target, target_column NULLS LAST, kind, source, source_column",
							 0, NULL, NULL, take_edge, graph);
	return graph;
}

/*
 * Begin a walk at a column, or at everything of its object.
 */
static void
begin_walk(Walk *walk, GraphColumn *column, bool everything)
{
	Step	   *first = palloc0(sizeof(Step));

	first->column = column;
	first->everything = everything;
	first->kind = LINEAGE_VALUE;
	column->key.object->is_start = everything;
	column->reached = 1 << LINEAGE_VALUE;
	walk->steps = list_make1(first);
}

/*
 * Come to a column by a way of some kind, unless the walk has been there.
 */
static void
arrive(Walk *walk, Step *before, GraphColumn *column, LineageKind kind)
{
	Step	   *step;

	if (column->key.object->is_start || (column->reached & (1 << kind)) != 0)
		return;
	column->reached |= 1 << kind;
	step = palloc0(sizeof(Step));
	step->column = column;
	step->kind = kind;
	step->before = before;
	step->depth = before->depth + 1;
	walk->steps = lappend(walk->steps, step);
}

/*
 * The edges that a walk takes from a step, in up to two lists; returns how many.
 * Upstream, the rows of an object are followed from the first of its columns that
 * the walk comes to, and that is enough.
 */
static int
edges_from(Walk *walk, Step *step, List *lists[2])
{
	GraphObject *object = step->column->key.object;
	int			n = 0;

	if (!walk->upstream)
		lists[n++] = step->everything || step->column == object->rows ?
			object->out : step->column->out;
	else if (step->everything)
		lists[n++] = object->in;
	else
	{
		lists[n++] = step->column->in;
		if (object->rows != NULL && object->rows != step->column &&
			(object->rows->followed & (1 << step->kind)) == 0)
		{
			object->rows->followed |= 1 << step->kind;
			lists[n++] = object->rows->in;
		}
	}
	return n;
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
 * The name of where a step is, made once: ways have most of their steps in common.
 */
static Datum
step_name(Walk *walk, Step *step)
{
	if (step->name == (Datum) 0)
	{
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(step));

		step->name = CStringGetTextDatum(full_name(step->column->key.object->name,
												   step->everything ? NULL : step->column->key.name));
		MemoryContextSwitchTo(old);
	}
	return step->name;
}

/*
 * The way that a walk came, and where the edge goes from there.
 */
static Datum
path_to(Walk *walk, Step *step, GraphEdge *edge)
{
	GraphColumn *end = walk->upstream ? edge->source : edge->target;
	int			count = step->depth + 2;
	Datum	   *names = palloc(sizeof(Datum) * count);

	names[count - 1] = CStringGetTextDatum(full_name(end->key.object->name, end->key.name));
	for (int i = count - 2; step != NULL; step = step->before, i--)
		names[i] = step_name(walk, step);
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
 * Type, object and name of a column.
 */
static void
set_column(Datum *values, bool *nulls, GraphColumn *column)
{
	set_text(values, nulls, 0, column->key.object->type);
	set_text(values, nulls, 1, column->key.object->name);
	set_text(values, nulls, 2, column->key.name);
}

/*
 * The columns of an edge.
 */
static void
set_edge(Datum *values, bool *nulls, GraphEdge *edge)
{
	set_column(values, nulls, edge->source);
	set_column(values + 3, nulls + 3, edge->target);
	set_text(values, nulls, 6, kpi_lineage_kind_name(edge->kind));
	set_text(values, nulls, 7, edge->transformation);
}

/*
 * Begin to return rows, each made in a context that is emptied after it.
 */
static void
begin_rows(Walk *walk, FunctionCallInfo fcinfo)
{
	InitMaterializedSRF(fcinfo, 0);
	walk->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	walk->row = AllocSetContextCreate(CurrentMemoryContext, "kpitables lineage row",
									  ALLOCSET_DEFAULT_SIZES);
}

/*
 * Return a row, and empty its context.
 */
static void
put_row(Walk *walk, Datum *values, bool *nulls)
{
	tuplestore_putvalues(walk->rsinfo->setResult, walk->rsinfo->setDesc, values, nulls);
	MemoryContextReset(walk->row);
}

/*
 * Return an edge that a walk took.
 */
static void
tell_edge(Walk *walk, Step *step, GraphEdge *edge)
{
	MemoryContext old = MemoryContextSwitchTo(walk->row);
	Datum		values[10];
	bool		nulls[10] = {false};

	values[0] = Int32GetDatum(step->depth + 1);
	set_edge(values + 1, nulls + 1, edge);
	values[9] = path_to(walk, step, edge);
	put_row(walk, values, nulls);
	MemoryContextSwitchTo(old);
	edge->told = true;
}

/*
 * Walk from an object, nearest edges first, and return every edge once.
 */
static void
walk_from(FunctionCallInfo fcinfo, bool upstream)
{
	NamedObject named = kpi_find_named_object(PG_GETARG_TEXT_PP(0));
	Graph	   *graph = load_graph();
	GraphObject *object = graph_object(graph, named.name, NULL);
	Walk		walk = {upstream};

	begin_rows(&walk, fcinfo);
	begin_walk(&walk, graph_column(graph, object, named.column), named.column == NULL);

	/* the list grows while it is walked */
	for (int i = 0; i < list_length(walk.steps); i++)
	{
		Step	   *step = list_nth(walk.steps, i);
		List	   *lists[2];
		int			n = edges_from(&walk, step, lists);

		for (int j = 0; j < n; j++)
		{
			ListCell   *lc;

			foreach(lc, lists[j])
			{
				GraphEdge  *edge = lfirst(lc);

				CHECK_FOR_INTERRUPTS();
				if (!edge->told)
					tell_edge(&walk, step, edge);
				arrive(&walk, step, upstream ? edge->source : edge->target, LINEAGE_VALUE);
			}
		}
	}
}

/*
 * kpi.upstream(object)
 */
Datum
kpi_upstream(PG_FUNCTION_ARGS)
{
	walk_from(fcinfo, true);
	return (Datum) 0;
}

/*
 * kpi.downstream(object)
 */
Datum
kpi_downstream(PG_FUNCTION_ARGS)
{
	walk_from(fcinfo, false);
	return (Datum) 0;
}

/*
 * Return where a walk from a column has ended.
 */
static void
tell_origin(Walk *walk, GraphColumn *column, Step *step)
{
	MemoryContext old = MemoryContextSwitchTo(walk->row);
	Datum		values[7];
	bool		nulls[7] = {false};

	set_column(values, nulls, step->column);
	set_column(values + 3, nulls + 3, column);
	set_text(values, nulls, 6, kpi_lineage_kind_name(step->kind));
	put_row(walk, values, nulls);
	MemoryContextSwitchTo(old);
}

/*
 * Does anything lead to where a walk is?
 */
static bool
is_origin(Step *step)
{
	GraphColumn *rows = step->column->key.object->rows;

	return step->column->in == NIL && (rows == NULL || rows->in == NIL);
}

/*
 * Forget a walk, so that another one can begin.
 */
static void
end_walk(Walk *walk)
{
	ListCell   *lc;

	foreach(lc, walk->steps)
	{
		GraphColumn *column = ((Step *) lfirst(lc))->column;

		column->reached = column->followed = 0;
		if (column->key.object->rows != NULL)
			column->key.object->rows->followed = 0;
	}
	list_free_deep(walk->steps);
}

/*
 * Return what one column of an object comes from in the end; false if that is more
 * than may be looked at.
 */
static bool
tell_origins(Walk *walk, GraphColumn *column, int64 *looked_at)
{
	begin_walk(walk, column, false);
	for (int i = 0; i < list_length(walk->steps); i++)
	{
		Step	   *step = list_nth(walk->steps, i);
		List	   *lists[2];
		int			n = edges_from(walk, step, lists);

		CHECK_FOR_INTERRUPTS();
		(*looked_at)++;
		for (int j = 0; j < n && *looked_at <= MAX_EDGES_LOOKED_AT; j++)
		{
			ListCell   *lc;

			*looked_at += list_length(lists[j]);
			foreach(lc, lists[j])
			{
				GraphEdge  *edge = lfirst(lc);

				arrive(walk, step, edge->source,
					   step->kind == LINEAGE_VALUE ? edge->kind : step->kind);
			}
		}
		if (step->depth > 1 && is_origin(step))
			tell_origin(walk, column, step);
	}
	end_walk(walk);
	return *looked_at <= MAX_EDGES_LOOKED_AT;
}

/*
 * Return what the columns of an object come from in the end.  One that has too many
 * ways to tell is told as far as that goes.
 */
static void
tell_origins_of_object(Walk *walk, GraphObject *object)
{
	GraphColumn *last = NULL;
	int64		looked_at = 0;
	ListCell   *lc;

	foreach(lc, object->in)
	{
		GraphColumn *column = ((GraphEdge *) lfirst(lc))->target;

		/* the edges of a column are neighbors */
		if (column == last || column->key.name == NULL)
			continue;
		last = column;
		if (tell_origins(walk, column, &looked_at))
			continue;
		ereport(WARNING,
				(errmsg("what %s comes from in the end is not told completely", object->name),
				 errdetail("More than %d edges lead to it.", MAX_EDGES_LOOKED_AT),
				 errhint("Ask kpi.upstream() for one of its columns.")));
		return;
	}
}

/*
 * kpi.transitive_lineage()
 */
Datum
kpi_transitive_lineage(PG_FUNCTION_ARGS)
{
	Graph	   *graph = load_graph();
	Walk		walk = {true};
	HASH_SEQ_STATUS scan;
	GraphObject *object;

	begin_rows(&walk, fcinfo);
	hash_seq_init(&scan, graph->objects);
	while ((object = hash_seq_search(&scan)) != NULL)
	{
		if (object->type != NULL && (strcmp(object->type, "metric") == 0 ||
									 strcmp(object->type, "metric view") == 0))
			tell_origins_of_object(&walk, object);
	}
	return (Datum) 0;
}

/*
 * kpi.lineage_edges()
 */
Datum
kpi_lineage_edges(PG_FUNCTION_ARGS)
{
	Graph	   *graph = load_graph();
	Walk		walk = {false};
	ListCell   *lc;

	begin_rows(&walk, fcinfo);
	foreach(lc, graph->edges)
	{
		MemoryContext old = MemoryContextSwitchTo(walk.row);
		Datum		values[8];
		bool		nulls[8] = {false};

		CHECK_FOR_INTERRUPTS();
		set_edge(values, nulls, lfirst(lc));
		put_row(&walk, values, nulls);
		MemoryContextSwitchTo(old);
	}
	return (Datum) 0;
}
