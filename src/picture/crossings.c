/*
 * crossings.c
 *		The order in each layer of a picture that has few crossings.
 *
 * Each node has a port for its title and for each row.  The ports of a layer are
 * numbered from top to bottom, so that a segment is a pair of numbers.
 *
 * src/picture/crossings.c
 */
#include "postgres.h"

#include "miscadmin.h"

#include "picture/layers.h"

#define MAX_SWEEPS		24
#define PATIENCE		6		/* sweeps without an improvement */

/* Something to put into order: where its neighbors are */
typedef struct Barycenter
{
	int			item;
	int			old;			/* place */
	double		sum;
	int			n;
} Barycenter;

/*
 * The port of a segment's end.
 */
static int
port_of(const Picture *picture, const LayerNode *node, int row)
{
	return node->port + (row == TITLE_ROW ? 0 : 1 + picture->boxes[node->box].place[row]);
}

/*
 * Number the nodes and ports of a layer by its order.
 */
static void
number_ports(const Picture *picture, Layers *layers, int layer)
{
	Layer	   *nodes = &layers->layers[layer];

	nodes->nports = 0;
	for (int i = 0; i < nodes->n; i++)
	{
		LayerNode  *node = &layers->nodes[nodes->order[i]];

		node->position = i;
		node->port = nodes->nports;
		nodes->nports += 1 + (node->box >= 0 ? picture->boxes[node->box].nrows : 0);
	}
}

/*
 * qsort comparator: by mean, then by old place.
 */
static int
compare_barycenters(const void *a, const void *b)
{
	const Barycenter *x = a;
	const Barycenter *y = b;
	double		difference = x->sum * y->n - y->sum * x->n;

	if (difference != 0)
		return difference < 0 ? -1 : 1;
	return x->old - y->old;
}

/*
 * Put items into the order of their barycenters.  Those without neighbors keep
 * their places.  order[] has the items by place.
 */
static void
sort_items(Barycenter *items, int n, int *order)
{
	Barycenter *moving = palloc(sizeof(Barycenter) * Max(n, 1));
	int		   *places = palloc(sizeof(int) * Max(n, 1));
	int			nmoving = 0;

	for (int place = 0; place < n; place++)
	{
		Barycenter *item = &items[order[place]];

		if (item->n == 0)
			continue;
		item->item = order[place];
		item->old = place;
		places[nmoving] = place;
		moving[nmoving++] = *item;
	}
	qsort(moving, nmoving, sizeof(Barycenter), compare_barycenters);
	for (int i = 0; i < nmoving; i++)
		order[places[i]] = moving[i].item;
	pfree(moving);
	pfree(places);
}

/*
 * Put the rows of a box into order.
 */
static void
sort_rows(PictureBox *box, Barycenter *rows)
{
	int		   *order = palloc(sizeof(int) * Max(box->nrows, 1));

	for (int row = 0; row < box->nrows; row++)
		order[box->place[row]] = row;
	sort_items(rows, box->nrows, order);
	for (int place = 0; place < box->nrows; place++)
		box->place[order[place]] = place;
	pfree(order);
}

/*
 * Put a layer, and the rows of its boxes, into the order that suits the layer to
 * its left, or to its right.
 */
static void
sort_layer(Picture *picture, Layers *layers, int layer, bool by_left)
{
	const LayerGap *gap = &layers->gaps[by_left ? layer - 1 : layer];
	Layer	   *nodes = &layers->layers[layer];
	Barycenter *ports = palloc0(sizeof(Barycenter) * nodes->nports);
	Barycenter *centers = palloc0(sizeof(Barycenter) * nodes->n);
	int		   *order = palloc(sizeof(int) * nodes->n);
	int		   *old = palloc(sizeof(int) * nodes->n);

	memcpy(old, nodes->order, sizeof(int) * nodes->n);
	for (int i = 0; i < gap->n; i++)
	{
		const LayerSegment *segment = &gap->segments[i];
		const LayerNode *node = &layers->nodes[by_left ? segment->right : segment->left];
		const LayerNode *other = &layers->nodes[by_left ? segment->left : segment->right];
		int			row = by_left ? segment->right_row : segment->left_row;
		int			other_row = by_left ? segment->left_row : segment->right_row;
		double		port = port_of(picture, other, other_row);

		/* rows by number here, for their places are about to change */
		ports[node->port + 1 + row].sum += port;
		ports[node->port + 1 + row].n++;
		centers[node->position].sum += port;
		centers[node->position].n++;
	}
	for (int i = 0; i < nodes->n; i++)
	{
		const LayerNode *node = &layers->nodes[old[i]];

		order[i] = i;
		if (node->box >= 0)
			sort_rows(&picture->boxes[node->box], &ports[node->port + 1]);
	}
	sort_items(centers, nodes->n, order);
	for (int i = 0; i < nodes->n; i++)
		nodes->order[i] = old[order[i]];
	number_ports(picture, layers, layer);
	pfree(ports);
	pfree(centers);
	pfree(order);
	pfree(old);
}

/* A segment as numbers of ports */
typedef struct PortPair
{
	int			left;
	int			right;
} PortPair;

/*
 * qsort comparator.
 */
static int
compare_pairs(const void *a, const void *b)
{
	const PortPair *x = a;
	const PortPair *y = b;

	return x->left != y->left ? x->left - y->left : x->right - y->right;
}

/*
 * How many segments of a gap cross?  A tree of sums has, for each number of ports
 * at the right, how many of the segments seen so far end there or above.
 */
static int64
count_crossings(const Picture *picture, const Layers *layers, int number)
{
	const LayerGap *gap = &layers->gaps[number];
	int			nports = layers->layers[number + 1].nports;
	PortPair   *pairs = palloc_extended(sizeof(PortPair) * Max(gap->n, 1), MCXT_ALLOC_HUGE);
	int		   *tree = palloc0(sizeof(int) * (nports + 1));
	int64		crossings = 0;

	for (int i = 0; i < gap->n; i++)
	{
		const LayerSegment *segment = &gap->segments[i];

		pairs[i].left = port_of(picture, &layers->nodes[segment->left], segment->left_row);
		pairs[i].right = port_of(picture, &layers->nodes[segment->right], segment->right_row);
	}
	qsort(pairs, gap->n, sizeof(PortPair), compare_pairs);
	for (int i = 0; i < gap->n; i++)
	{
		int			above = 0;

		for (int at = pairs[i].right + 1; at > 0; at -= at & -at)
			above += tree[at];
		crossings += i - above;
		for (int at = pairs[i].right + 1; at <= nports; at += at & -at)
			tree[at]++;
	}
	pfree(pairs);
	pfree(tree);
	return crossings;
}

/*
 * How many crossings has the picture?
 */
static int64
count_all_crossings(const Picture *picture, const Layers *layers)
{
	int64		crossings = 0;

	for (int i = 0; i < layers->nlayers - 1; i++)
	{
		CHECK_FOR_INTERRUPTS();
		crossings += count_crossings(picture, layers, i);
	}
	return crossings;
}

/* An order of everything */
typedef struct Order
{
	int		   *position;		/* of nodes */
	int		  **place;			/* of rows of boxes */
} Order;

/*
 * Note the order as it is.
 */
static void
save_order(const Picture *picture, const Layers *layers, Order *order)
{
	for (int i = 0; i < layers->nnodes; i++)
		order->position[i] = layers->nodes[i].position;
	for (int i = 0; i < picture->nboxes; i++)
		memcpy(order->place[i], picture->boxes[i].place, sizeof(int) * picture->boxes[i].nrows);
}

/*
 * Go back to an order.
 */
static void
restore_order(Picture *picture, Layers *layers, const Order *order)
{
	for (int i = 0; i < layers->nnodes; i++)
		layers->layers[layers->nodes[i].layer].order[order->position[i]] = i;
	for (int i = 0; i < picture->nboxes; i++)
		memcpy(picture->boxes[i].place, order->place[i], sizeof(int) * picture->boxes[i].nrows);
	for (int i = 0; i < layers->nlayers; i++)
		number_ports(picture, layers, i);
}

/*
 * Order all layers, to the right and back until it gets no better.
 */
void
kpi_order_layers(Picture *picture, Layers *layers)
{
	Order		best;
	int64		fewest;
	int			since = 0;

	best.position = palloc(sizeof(int) * layers->nnodes);
	best.place = palloc(sizeof(int *) * picture->nboxes);
	for (int i = 0; i < picture->nboxes; i++)
		best.place[i] = palloc(sizeof(int) * Max(picture->boxes[i].nrows, 1));
	for (int i = 0; i < layers->nlayers; i++)
		number_ports(picture, layers, i);
	save_order(picture, layers, &best);
	fewest = count_all_crossings(picture, layers);

	for (int sweep = 0; sweep < MAX_SWEEPS && fewest > 0 && since < PATIENCE; sweep++)
	{
		int64		crossings;

		for (int i = 1; i < layers->nlayers; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (sweep % 2 == 0)
				sort_layer(picture, layers, layers->nlayers - 1 - i, false);
			else
				sort_layer(picture, layers, i, true);
		}
		crossings = count_all_crossings(picture, layers);
		since++;
		if (crossings < fewest)
		{
			fewest = crossings;
			since = 0;
			save_order(picture, layers, &best);
		}
	}
	restore_order(picture, layers, &best);
}
