/*
 * layers.c
 *		Distributing the boxes of a picture over layers.
 *
 * src/picture/layers.c
 */
#include "postgres.h"

#include "miscadmin.h"

#include "picture/layers.h"

#define MAX_NODES		20000

/* State of a depth-first search */
typedef struct Search
{
	Picture    *picture;
	int		   *first;			/* bundle of each box, and the end of all */
	char	   *state;
	int		   *rank;			/* of boxes: whoever is left has a lower one */
	int			next_rank;
} Search;

enum
{
	BOX_NEW,
	BOX_ON_PATH,
	BOX_DONE
};

/*
 * Visit a box and what it leads to.  A bundle back to a box on the path closes a
 * cycle and is turned around.
 */
static void
visit_box(Search *search, int box)
{
	check_stack_depth();
	search->state[box] = BOX_ON_PATH;
	for (int i = search->first[box]; i < search->first[box + 1]; i++)
	{
		PictureBundle *bundle = &search->picture->bundles[i];
		bool		back = search->state[bundle->to] == BOX_ON_PATH;

		bundle->left = back ? bundle->to : bundle->from;
		bundle->right = back ? bundle->from : bundle->to;
		if (search->state[bundle->to] == BOX_NEW)
			visit_box(search, bundle->to);
	}
	search->state[box] = BOX_DONE;
	search->rank[box] = search->next_rank--;
}

/*
 * Turn bundles around so that no cycle is left, and rank the boxes; those that
 * nothing leads to are visited first, so that their bundles stay as they are.
 */
static int *
break_cycles(Picture *picture)
{
	Search		search = {picture};
	bool	   *entered = palloc0(sizeof(bool) * picture->nboxes);

	search.first = palloc(sizeof(int) * (picture->nboxes + 1));
	search.state = palloc0(picture->nboxes);
	search.rank = palloc(sizeof(int) * picture->nboxes);
	search.next_rank = picture->nboxes - 1;
	for (int box = 0, i = 0; box <= picture->nboxes; box++)
	{
		while (i < picture->nbundles && picture->bundles[i].from < box)
			i++;
		search.first[box] = i;
	}
	for (int i = 0; i < picture->nbundles; i++)
		entered[picture->bundles[i].to] |= picture->bundles[i].from != picture->bundles[i].to;
	for (int box = 0; box < picture->nboxes; box++)
	{
		if (!entered[box])
			visit_box(&search, box);
	}
	for (int box = 0; box < picture->nboxes; box++)
	{
		if (search.state[box] == BOX_NEW)
			visit_box(&search, box);
	}
	return search.rank;
}

/*
 * qsort_arg comparator: bundles by the rank of their left box.
 */
static int
compare_bundles(const void *a, const void *b, void *arg)
{
	const PictureBundle *x = *(PictureBundle *const *) a;
	const PictureBundle *y = *(PictureBundle *const *) b;
	const int  *rank = arg;

	return rank[x->left] - rank[y->left];
}

/*
 * Give each box the layer that the longest path to it says, or, if nothing leads
 * to it, the one just before what it leads to.  Returns the number of layers.
 */
static int
assign_layers(Picture *picture)
{
	int		   *rank = break_cycles(picture);
	PictureBundle **bundles = palloc(sizeof(PictureBundle *) * Max(picture->nbundles, 1));
	int		   *nearest = palloc(sizeof(int) * picture->nboxes);
	int			nlayers = 1;

	for (int i = 0; i < picture->nbundles; i++)
		bundles[i] = &picture->bundles[i];
	qsort_arg(bundles, picture->nbundles, sizeof(PictureBundle *), compare_bundles, rank);
	for (int i = 0; i < picture->nbundles; i++)
	{
		PictureBox *right = &picture->boxes[bundles[i]->right];

		if (bundles[i]->left != bundles[i]->right)
			right->layer = Max(right->layer, picture->boxes[bundles[i]->left].layer + 1);
		nlayers = Max(nlayers, right->layer + 1);
	}
	for (int i = 0; i < picture->nboxes; i++)
		nearest[i] = nlayers;
	for (int i = 0; i < picture->nbundles; i++)
	{
		if (bundles[i]->left != bundles[i]->right)
			nearest[bundles[i]->left] = Min(nearest[bundles[i]->left],
											picture->boxes[bundles[i]->right].layer);
	}
	for (int i = 0; i < picture->nboxes; i++)
	{
		if (picture->boxes[i].layer == 0 && nearest[i] < nlayers)
			picture->boxes[i].layer = nearest[i] - 1;
	}
	return nlayers;
}

/*
 * How many layers does a bundle pass between its boxes?
 */
static int
layers_between(const Picture *picture, const PictureBundle *bundle)
{
	return Max(picture->boxes[bundle->right].layer - picture->boxes[bundle->left].layer - 1, 0);
}

/*
 * Add a node.
 */
static int
add_node(Layers *layers, int box, int bundle, int bend, int layer)
{
	LayerNode  *node = &layers->nodes[layers->nnodes];

	node->box = box;
	node->bundle = bundle;
	node->bend = bend;
	node->layer = layer;
	layers->layers[layer].n++;
	return layers->nnodes++;
}

/*
 * Add a segment from a node to one of the next layer.
 */
static void
add_segment(Layers *layers, int left, int left_row, int right, int right_row)
{
	LayerGap   *gap = &layers->gaps[layers->nodes[left].layer];

	if (gap->n == gap->size)
	{
		gap->size = Max(gap->size * 2, 16);
		gap->segments = gap->segments == NULL ? palloc(sizeof(LayerSegment) * gap->size) :
			repalloc_huge(gap->segments, sizeof(LayerSegment) * gap->size);
	}
	gap->segments[gap->n++] = (LayerSegment)
	{
		left, left_row, right, right_row
	};
}

/*
 * Add the nodes and segments of a bundle.
 */
static void
add_bundle(Picture *picture, Layers *layers, int number)
{
	PictureBundle *bundle = &picture->bundles[number];
	int			nbends = layers_between(picture, bundle);
	int			layer = picture->boxes[bundle->left].layer;
	int			first = layers->nnodes;
	int			last = first + nbends - 1;

	bundle->bends = palloc0(sizeof(double) * Max(nbends, 1));
	for (int bend = 0; bend < nbends; bend++)
	{
		(void) add_node(layers, -1, number, bend, layer + 1 + bend);
		if (bend > 0)
			add_segment(layers, first + bend - 1, TITLE_ROW, first + bend, TITLE_ROW);
	}
	for (int i = bundle->first; i < bundle->first + bundle->nedges; i++)
	{
		const PictureEdge *edge = &picture->edges[i];
		bool		turned = bundle->left != bundle->from;
		int			left_row = turned ? edge->to.row : edge->from.row;
		int			right_row = turned ? edge->from.row : edge->to.row;

		if (nbends == 0)
			add_segment(layers, bundle->left, left_row, bundle->right, right_row);
		else
		{
			add_segment(layers, bundle->left, left_row, first, TITLE_ROW);
			add_segment(layers, last, TITLE_ROW, bundle->right, right_row);
		}
	}
}

/*
 * Distribute boxes and bundles over layers.  The nodes of boxes have the numbers
 * of the boxes.
 */
Layers *
kpi_make_layers(Picture *picture)
{
	Layers	   *layers = palloc0(sizeof(Layers));
	int64		nnodes = picture->nboxes;

	layers->nlayers = assign_layers(picture);
	for (int i = 0; i < picture->nbundles; i++)
		nnodes += layers_between(picture, &picture->bundles[i]);
	if (nnodes > MAX_NODES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("lineage of %s takes a drawing of %lld places, too many to lay out",
						picture->object, (long long) nnodes),
				 errdetail("A drawing has at most %d.", MAX_NODES),
				 errhint("Use kpi.lineage_dot() and graphviz, or ask for one column.")));

	layers->layers = palloc0(sizeof(Layer) * layers->nlayers);
	layers->gaps = palloc0(sizeof(LayerGap) * layers->nlayers);
	layers->nodes = palloc0(sizeof(LayerNode) * nnodes);
	for (int i = 0; i < picture->nboxes; i++)
		(void) add_node(layers, i, -1, 0, picture->boxes[i].layer);
	for (int i = 0; i < picture->nbundles; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (picture->bundles[i].left != picture->bundles[i].right)
			add_bundle(picture, layers, i);
	}
	for (int i = 0; i < layers->nlayers; i++)
	{
		layers->layers[i].order = palloc(sizeof(int) * layers->layers[i].n);
		layers->layers[i].n = 0;
	}
	for (int i = 0; i < layers->nnodes; i++)
	{
		Layer	   *layer = &layers->layers[layers->nodes[i].layer];

		layers->nodes[i].position = layer->n;
		layer->order[layer->n++] = i;
	}
	return layers;
}
