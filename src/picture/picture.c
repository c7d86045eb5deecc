/*
 * picture.c
 *		The lineage of an object as a graph of boxes.
 *
 * The edges are what kpi.upstream() and kpi.downstream() tell the caller.  Each
 * relation, metric and function that they name is a box, each column that takes
 * part is a row of its box, and edges that look alike in a picture are one.
 * Everything is sorted by name, so that the same graph is the same picture.
 *
 * src/picture/picture.c
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "picture/picture.h"

#define MAX_BOXES			2000
#define MAX_EDGES			500000	/* as the graph has them */
#define MAX_DRAWN_EDGES		50000
#define MAX_ROWS			40
#define MAX_LINES			5	/* of SQL that an edge tells */
#define MAX_PARTITIONS		3	/* that get a box each */

#define METRIC_TYPE			"metric"
#define TABLE_TYPE			"table"
#define PARTITIONED_TYPE	"partitioned table"

/* Columns of the query for edges */
enum
{
	EDGE_SOURCE_TYPE = 1,
	EDGE_SOURCE,
	EDGE_SOURCE_COLUMN,
	EDGE_TARGET_TYPE,
	EDGE_TARGET,
	EDGE_TARGET_COLUMN,
	EDGE_KIND,
	EDGE_TRANSFORMATION,
	EDGE_DEPTH,
	EDGE_OBJECT,
	EDGE_IS_UPSTREAM
};

#define EDGE_COLUMNS \
	"e.source_type, e.source, e.source_column, e.target_type, e.target, e.target_column," \
	" e.kind, e.transformation, e.depth, e.path[1]"

/*
 * Compare strings, one of which may be NULL and is first then.
 */
static int
compare_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

/*
 * qsort comparator: ends by box, then by column.
 */
static int
compare_ends(const void *a, const void *b)
{
	const PictureEnd *x = *(PictureEnd *const *) a;
	const PictureEnd *y = *(PictureEnd *const *) b;
	int			result = strcmp(x->name, y->name);

	if (result == 0)
		result = strcmp(x->type, y->type);
	return result != 0 ? result : compare_text(x->column, y->column);
}

/*
 * qsort comparator: edges by what they look like, then by what they tell.
 */
static int
compare_edges(const void *a, const void *b)
{
	const PictureEdge *x = a;
	const PictureEdge *y = b;

	if (x->from.box != y->from.box)
		return x->from.box - y->from.box;
	if (x->to.box != y->to.box)
		return x->to.box - y->to.box;
	if (x->from.row != y->from.row)
		return x->from.row - y->from.row;
	if (x->to.row != y->to.row)
		return x->to.row - y->to.row;
	if (x->kind != y->kind)
		return (int) x->kind - (int) y->kind;
	return compare_text(x->transformation, y->transformation);
}

/*
 * The kind of that name.
 */
static PictureKind
kind_by_name(const char *name)
{
	for (int i = 0; i < PICTURE_KINDS; i++)
	{
		if (strcmp(kpi_picture_edge_styles[i].name, name) == 0)
			return (PictureKind) i;
	}
	elog(ERROR, "unrecognized kind of lineage: %s", name);
}

/*
 * Copy one edge that the query for edges found.
 */
static void
read_edge(PictureEdge *edge, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	bool		direct = DatumGetInt32(SPI_getbinval(tuple, desc, EDGE_DEPTH, &isnull)) == 1;
	bool		upstream = DatumGetBool(SPI_getbinval(tuple, desc, EDGE_IS_UPSTREAM, &isnull));
	PictureEnd *object = upstream ? &edge->to : &edge->from;

	edge->from.type = SPI_getvalue(tuple, desc, EDGE_SOURCE_TYPE);
	edge->from.name = SPI_getvalue(tuple, desc, EDGE_SOURCE);
	edge->from.column = SPI_getvalue(tuple, desc, EDGE_SOURCE_COLUMN);
	edge->to.type = SPI_getvalue(tuple, desc, EDGE_TARGET_TYPE);
	edge->to.name = SPI_getvalue(tuple, desc, EDGE_TARGET);
	edge->to.column = SPI_getvalue(tuple, desc, EDGE_TARGET_COLUMN);
	edge->kind = kind_by_name(SPI_getvalue(tuple, desc, EDGE_KIND));
	edge->transformation = SPI_getvalue(tuple, desc, EDGE_TRANSFORMATION);

	/* every way begins with the object, a relation or a column of one */
	object->object = direct;
	object->object_column = direct && object->column != NULL &&
		strcmp(object->name, SPI_getvalue(tuple, desc, EDGE_OBJECT)) != 0;
}

/*
 * Refuse to draw what has too many edges: nobody could see anything in it.
 */
static void
check_edges(const Picture *picture, int most)
{
	if (picture->nedges > most)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("lineage of %s has too many edges for a picture", picture->object),
				 errdetail("It has more than %d.", most),
				 errhint("Ask for one of its columns, or read kpi.upstream() and kpi.downstream().")));
}

/*
 * Ask, as the caller, for the edges on both sides of the object.
 */
static void
read_edges(Picture *picture)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			argtypes[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(picture->object)};

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT " EDGE_COLUMNS ", true FROM kpi.upstream($1) AS e"
							  " UNION ALL SELECT " EDGE_COLUMNS ", false FROM kpi.downstream($1) AS e",
							  lengthof(argtypes), argtypes, values, NULL, true,
							  MAX_EDGES + 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read lineage");
	picture->nedges = SPI_processed;
	check_edges(picture, MAX_EDGES);
	picture->edges = MemoryContextAllocHuge(caller, sizeof(PictureEdge) * Max(SPI_processed, 1));
	memset(picture->edges, 0, sizeof(PictureEdge) * picture->nedges);
	for (int i = 0; i < picture->nedges; i++)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		CHECK_FOR_INTERRUPTS();
		read_edge(&picture->edges[i], SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
		MemoryContextSwitchTo(spi);
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
}

/*
 * Number the boxes by name and, within each, the columns; returns all ends in
 * that order.
 */
static PictureEnd **
number_ends(Picture *picture)
{
	int			nends = picture->nedges * 2;
	PictureEnd **ends = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(PictureEnd *) * nends);

	for (int i = 0; i < picture->nedges; i++)
	{
		ends[2 * i] = &picture->edges[i].from;
		ends[2 * i + 1] = &picture->edges[i].to;
	}
	qsort(ends, nends, sizeof(PictureEnd *), compare_ends);
	picture->nboxes = 0;
	for (int i = 0; i < nends; i++)
	{
		PictureEnd *end = ends[i];
		PictureEnd *last = i > 0 ? ends[i - 1] : NULL;

		if (last == NULL || strcmp(last->name, end->name) != 0 ||
			strcmp(last->type, end->type) != 0)
		{
			end->box = picture->nboxes++;
			end->row = end->column == NULL ? TITLE_ROW : 0;
		}
		else
		{
			end->box = last->box;
			end->row = last->row + (compare_text(last->column, end->column) != 0);
		}
	}
	return ends;
}

/*
 * For each box the partitioned table that it is a partition of and nothing else:
 * one that something else reads, too, or that was asked for, has itself, like a
 * box that is no partition.
 */
static int *
find_parents(Picture *picture)
{
	int		   *parent = palloc(sizeof(int) * picture->nboxes);

	for (int i = 0; i < picture->nboxes; i++)
		parent[i] = -1;
	for (int i = 0; i < picture->nedges; i++)
	{
		PictureEnd *from = &picture->edges[i].from;
		PictureEnd *to = &picture->edges[i].to;

		if (from->box == to->box)
			continue;
		if (from->object || strcmp(to->type, PARTITIONED_TYPE) != 0 ||
			(parent[from->box] != -1 && parent[from->box] != to->box))
			parent[from->box] = from->box;
		else
			parent[from->box] = to->box;
	}
	for (int i = 0; i < picture->nboxes; i++)
	{
		if (parent[i] == -1)
			parent[i] = i;
	}
	return parent;
}

/*
 * Where the partitions of a partitioned table are many, let the edges from them
 * begin at one box.  Partitions of partitions are among them.
 */
static void
collapse_partitions(Picture *picture, PictureEnd **ends)
{
	int		   *parent = find_parents(picture);
	int		   *root = palloc(sizeof(int) * picture->nboxes);
	int		   *partitions = palloc0(sizeof(int) * picture->nboxes);
	char	  **label = palloc0(sizeof(char *) * picture->nboxes);

	for (int i = 0; i < picture->nboxes; i++)
	{
		for (root[i] = i; parent[root[i]] != root[i]; root[i] = parent[root[i]])
			CHECK_FOR_INTERRUPTS();
		if (root[i] != i)
			partitions[root[i]]++;
	}
	for (int i = 0; i < picture->nedges * 2; i++)
	{
		int			box = ends[i]->box;

		if (root[box] == box && partitions[box] > MAX_PARTITIONS && label[box] == NULL)
			label[box] = psprintf("%d partitions of %s", partitions[box], ends[i]->name);
	}
	for (int i = 0; i < picture->nedges * 2; i++)
	{
		int			top = root[ends[i]->box];

		if (top == ends[i]->box || label[top] == NULL)
			continue;
		ends[i]->name = label[top];
		ends[i]->type = TABLE_TYPE;
	}
}

/*
 * Make the boxes of ends in their order, and let the ends of columns that have no
 * row be at the title.  A metric has one column, which is the metric.
 */
static void
make_boxes(Picture *picture, PictureEnd **ends)
{
	picture->boxes = palloc0(sizeof(PictureBox) * picture->nboxes);
	for (int i = 0; i < picture->nedges * 2; i++)
	{
		PictureEnd *end = ends[i];
		PictureBox *box = &picture->boxes[end->box];

		if (box->name == NULL)
		{
			box->name = end->name;
			box->type = end->type;
			box->rows = palloc(sizeof(char *) * MAX_ROWS);
			box->object_row = palloc0(sizeof(bool) * MAX_ROWS);
			box->place = palloc(sizeof(int) * MAX_ROWS);
		}
		box->object |= end->object;
		if (end->row == TITLE_ROW || strcmp(end->type, METRIC_TYPE) == 0)
			end->row = TITLE_ROW;
		else if (end->row >= MAX_ROWS)
		{
			box->hidden = end->row - MAX_ROWS + 1;
			end->row = TITLE_ROW;
		}
		else
		{
			box->nrows = end->row + 1;
			box->rows[end->row] = end->column;
			box->place[end->row] = end->row;
			box->object_row[end->row] |= end->object_column;
		}
	}
}

/*
 * Make one edge of all that would be drawn alike: it tells the transformations of
 * the first few.  From one partition to another there is nothing to draw.
 */
static void
merge_edges(Picture *picture)
{
	int			n = 0;
	int			lines = 0;
	const char *last_line = NULL;

	qsort(picture->edges, picture->nedges, sizeof(PictureEdge), compare_edges);
	for (int i = 0; i < picture->nedges; i++)
	{
		PictureEdge *edge = &picture->edges[i];
		PictureEdge *last = n > 0 ? &picture->edges[n - 1] : NULL;

		CHECK_FOR_INTERRUPTS();
		if (edge->from.box == edge->to.box && edge->from.row == edge->to.row)
			continue;
		if (last == NULL || edge->from.box != last->from.box || edge->from.row != last->from.row ||
			edge->to.box != last->to.box || edge->to.row != last->to.row || edge->kind != last->kind)
		{
			last_line = edge->transformation;
			lines = last_line != NULL;
			picture->edges[n++] = *edge;
			continue;
		}
		if (edge->transformation == NULL || compare_text(last_line, edge->transformation) == 0)
			continue;
		last_line = edge->transformation;
		if (lines++ >= MAX_LINES)
			last->hidden++;
		else
			last->transformation = last->transformation == NULL ? edge->transformation :
				psprintf("%s\n%s", last->transformation, edge->transformation);
	}
	picture->nedges = n;
}

/*
 * Find the runs of edges that lead from one box to one other.
 */
static void
make_bundles(Picture *picture)
{
	picture->bundles = palloc0(sizeof(PictureBundle) * Max(picture->nedges, 1));
	for (int i = 0; i < picture->nedges; i++)
	{
		PictureEdge *edge = &picture->edges[i];
		PictureBundle *bundle = &picture->bundles[Max(picture->nbundles - 1, 0)];

		if (picture->nbundles == 0 || bundle->from != edge->from.box || bundle->to != edge->to.box)
		{
			bundle = &picture->bundles[picture->nbundles++];
			bundle->from = edge->from.box;
			bundle->to = edge->to.box;
			bundle->first = i;
		}
		bundle->nedges++;
	}
}

/*
 * The graph of all that an object comes from and all that depends on it.
 */
Picture *
kpi_picture(const char *object)
{
	Picture    *picture = palloc0(sizeof(Picture));
	PictureEnd **ends;

	picture->object = pstrdup(object);
	read_edges(picture);
	ends = number_ends(picture);
	collapse_partitions(picture, ends);
	ends = number_ends(picture);
	if (picture->nboxes > MAX_BOXES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("lineage of %s has %d relations and functions, too many for a picture",
						object, picture->nboxes),
				 errdetail("A picture has at most %d.", MAX_BOXES),
				 errhint("Ask for one of its columns, or read kpi.upstream() and kpi.downstream().")));
	if (picture->nboxes == 0)
	{
		/* nothing feeds it and nothing reads it */
		picture->nboxes = 1;
		picture->boxes = palloc0(sizeof(PictureBox));
		picture->boxes[0].name = picture->object;
		picture->boxes[0].type = "";
		picture->boxes[0].object = true;
		return picture;
	}
	make_boxes(picture, ends);
	merge_edges(picture);
	check_edges(picture, MAX_DRAWN_EDGES);
	make_bundles(picture);
	return picture;
}
