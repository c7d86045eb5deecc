/*
 * layout.c
 *		Where the boxes and edges of a picture go.
 *
 * The layered layout of Sugiyama, Tagawa and Toda, "Methods for visual
 * understanding of hierarchical system structures", IEEE Trans. SMC 11(2), 1981:
 * cycles are broken, each box goes to the layer that the longest path to it says,
 * bundles of edges that skip layers get a node in each, and the nodes of each
 * layer are ordered by the barycenter of their neighbors, again and again.  Rows
 * of boxes are ordered likewise.  Crossings are counted as by Barth, Mutzel and
 * Juenger, "Simple and efficient bilayer cross counting", JGAA 8(2), 2004.
 *
 * Heights are such that edges are short: each node wants to be where its
 * neighbors are, and the heights of a layer nearest to what its nodes want, in
 * their order and without overlap, are an isotonic regression, which pooling
 * adjacent violators finds (Ayer et al., Ann. Math. Stat. 26(4), 1955).
 *
 * src/picture/layout.c
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "picture/layers.h"
#include "picture/picture.h"

#define HEIGHT_SWEEPS	24
#define STRAIGHTNESS	8.0		/* weight of what keeps bundles straight */
#define TITLE_WEIGHT	0.01	/* of titles beside rows */
#define BOX_GAP			12
#define BEND_GAP		10
#define LANE_HEIGHT		3.0		/* for an edge of a bundle */
#define MAX_LANES_HEIGHT	36.0
#define MIN_LAYER_GAP	90
#define MAX_LAYER_GAP	240
#define BOX_PADDING		14
#define MIN_BOX_WIDTH	110

/*
 * The height of a box.
 */
double
kpi_picture_box_height(const PictureBox *box)
{
	int			rows = box->nrows + (box->hidden > 0);

	return PICTURE_TITLE_HEIGHT + rows * PICTURE_ROW_HEIGHT + (rows > 0 ? PICTURE_ROW_HEIGHT / 3 : 0);
}

/*
 * How far below the top of a box are edges of a row?
 */
double
kpi_picture_port(const PictureBox *box, int row)
{
	if (row == TITLE_ROW)
		return PICTURE_TITLE_HEIGHT / 2.0;
	return PICTURE_TITLE_HEIGHT + (box->place[row] + 0.5) * PICTURE_ROW_HEIGHT + PICTURE_ROW_HEIGHT / 6;
}

/*
 * How high is a bundle where it passes a layer?
 */
static double
bundle_height(const PictureBundle *bundle)
{
	return Min(bundle->nedges * LANE_HEIGHT, MAX_LANES_HEIGHT);
}

/*
 * How far below the top of its bundle is an edge?
 */
double
kpi_picture_lane(const PictureBundle *bundle, int edge)
{
	return (edge - bundle->first + 0.5) * bundle_height(bundle) / bundle->nedges;
}

/*
 * The height of a node.
 */
static double
node_height(const Picture *picture, const LayerNode *node)
{
	return node->box >= 0 ? kpi_picture_box_height(&picture->boxes[node->box]) :
		bundle_height(&picture->bundles[node->bundle]);
}

/*
 * How far below the top of a node is its end of a segment?
 */
static double
port_height(const Picture *picture, const LayerNode *node, int row)
{
	return node->box >= 0 ? kpi_picture_port(&picture->boxes[node->box], row) :
		bundle_height(&picture->bundles[node->bundle]) / 2;
}

/*
 * The space between two nodes, one above the other.
 */
static double
node_gap(const LayerNode *above, const LayerNode *below)
{
	return above->box >= 0 && below->box >= 0 ? BOX_GAP : BEND_GAP;
}

/* What the neighbors of a node say about its height */
typedef struct Wish
{
	double		sum;
	double		weight;
} Wish;

/*
 * Is an end of a segment at the title of a box that has rows?
 */
static bool
is_beside_rows(const Picture *picture, const LayerNode *node, int row)
{
	return node->box >= 0 && row == TITLE_ROW && picture->boxes[node->box].nrows > 0;
}

/*
 * How much does a segment matter?  Between rows it should be level, between the
 * nodes of a bundle even more.
 */
static double
segment_weight(const Picture *picture, const Layers *layers, const LayerSegment *segment)
{
	const LayerNode *left = &layers->nodes[segment->left];
	const LayerNode *right = &layers->nodes[segment->right];

	if (left->box < 0 && right->box < 0)
		return STRAIGHTNESS;
	if (is_beside_rows(picture, left, segment->left_row) ||
		is_beside_rows(picture, right, segment->right_row))
		return TITLE_WEIGHT;
	return 1;
}

/*
 * Add to the wishes of the nodes of a layer what the segments at one of its sides
 * say.
 */
static void
collect_wishes(const Picture *picture, const Layers *layers, int gap, bool from_left, Wish *wishes)
{
	const LayerGap *segments = &layers->gaps[gap];

	for (int i = 0; i < segments->n; i++)
	{
		const LayerSegment *segment = &segments->segments[i];
		const LayerNode *left = &layers->nodes[segment->left];
		const LayerNode *right = &layers->nodes[segment->right];
		double		slope = port_height(picture, left, segment->left_row) -
		port_height(picture, right, segment->right_row);
		double		weight = segment_weight(picture, layers, segment);
		Wish	   *wish = &wishes[from_left ? right->position : left->position];

		wish->sum += weight * (from_left ? left->y + slope : right->y - slope);
		wish->weight += weight;
	}
}

/*
 * Give the nodes of a layer the heights that are nearest to their wishes.
 */
static void
place_nodes(const Picture *picture, Layers *layers, int layer, const Wish *wishes)
{
	const Layer *nodes = &layers->layers[layer];
	double	   *offset = palloc(sizeof(double) * nodes->n);
	Wish	   *pool = palloc(sizeof(Wish) * nodes->n);
	int		   *pool_size = palloc(sizeof(int) * nodes->n);
	int			npools = 0;
	int			done = 0;

	for (int i = 0; i < nodes->n; i++)
	{
		const LayerNode *node = &layers->nodes[nodes->order[i]];
		const LayerNode *above = i > 0 ? &layers->nodes[nodes->order[i - 1]] : NULL;
		double		weight = wishes[i].weight > 0 ? wishes[i].weight : 1;
		double		wish = wishes[i].weight > 0 ? wishes[i].sum : node->y;

		/* from here on as if all nodes had no height */
		offset[i] = above == NULL ? 0 :
			offset[i - 1] + node_height(picture, above) + node_gap(above, node);
		pool[npools].sum = wish - offset[i] * weight;
		pool[npools].weight = weight;
		pool_size[npools++] = 1;
		while (npools > 1 && pool[npools - 2].sum * pool[npools - 1].weight >=
			   pool[npools - 1].sum * pool[npools - 2].weight)
		{
			npools--;
			pool[npools - 1].sum += pool[npools].sum;
			pool[npools - 1].weight += pool[npools].weight;
			pool_size[npools - 1] += pool_size[npools];
		}
	}
	for (int p = 0; p < npools; p++)
	{
		for (int end = done + pool_size[p]; done < end; done++)
			layers->nodes[nodes->order[done]].y = pool[p].sum / pool[p].weight + offset[done];
	}
	pfree(offset);
	pfree(pool);
	pfree(pool_size);
}

/*
 * Find the heights of all nodes, from left to right and back.
 */
static void
assign_heights(Picture *picture, Layers *layers)
{
	Wish	   *wishes = palloc(sizeof(Wish) * layers->nnodes);

	for (int sweep = 0; sweep < HEIGHT_SWEEPS; sweep++)
	{
		for (int i = 0; i < layers->nlayers; i++)
		{
			int			layer = sweep % 2 == 0 ? i : layers->nlayers - 1 - i;

			CHECK_FOR_INTERRUPTS();
			memset(wishes, 0, sizeof(Wish) * layers->layers[layer].n);
			/* the first two sweeps look back alone */
			if (layer > 0 && sweep != 1)
				collect_wishes(picture, layers, layer - 1, true, wishes);
			if (layer < layers->nlayers - 1 && sweep != 0)
				collect_wishes(picture, layers, layer, false, wishes);
			place_nodes(picture, layers, layer, wishes);
		}
	}
	pfree(wishes);
}

/*
 * How wide must a box be?
 */
static double
box_width(const PictureBox *box)
{
	double		width = Max(kpi_text_width(kpi_cut_text(box->name, PICTURE_NAME_COLUMNS), PICTURE_TITLE_SIZE),
							kpi_text_width(box->type, PICTURE_ROW_SIZE));

	for (int i = 0; i < box->nrows; i++)
		width = Max(width, kpi_text_width(kpi_cut_text(box->rows[i], PICTURE_NAME_COLUMNS), PICTURE_ROW_SIZE));
	return ceil(Max(width + 2 * BOX_PADDING, MIN_BOX_WIDTH));
}

/*
 * Between layers there is the more space the steeper edges are.
 */
static double
layer_gap(const Picture *picture, const Layers *layers, int gap)
{
	const LayerGap *segments = &layers->gaps[gap];
	double		steepest = 0;

	for (int i = 0; i < segments->n; i++)
	{
		const LayerSegment *segment = &segments->segments[i];
		const LayerNode *left = &layers->nodes[segment->left];
		const LayerNode *right = &layers->nodes[segment->right];

		steepest = Max(steepest, fabs(left->y + port_height(picture, left, segment->left_row) -
									  right->y - port_height(picture, right, segment->right_row)));
	}
	return rint(Min(Max(steepest / 4, MIN_LAYER_GAP), MAX_LAYER_GAP));
}

/*
 * Find the places of the layers, all of whose boxes are equally wide.
 */
static void
assign_widths(Picture *picture, Layers *layers)
{
	double		x = PICTURE_MARGIN;

	picture->nlayers = layers->nlayers;
	picture->layer_x = palloc0(sizeof(double) * layers->nlayers);
	picture->layer_width = palloc0(sizeof(double) * layers->nlayers);
	for (int i = 0; i < picture->nboxes; i++)
	{
		double	   *width = &picture->layer_width[picture->boxes[i].layer];

		*width = Max(*width, box_width(&picture->boxes[i]));
	}
	for (int i = 0; i < layers->nlayers; i++)
	{
		picture->layer_x[i] = x;
		x += picture->layer_width[i];
		if (i < layers->nlayers - 1)
			x += layer_gap(picture, layers, i);
	}
	picture->width = x + PICTURE_MARGIN;
}

/*
 * Tell the picture where its boxes and bundles are, the highest at the margin.
 */
static void
copy_heights(Picture *picture, const Layers *layers)
{
	double		top = layers->nodes[0].y;
	double		bottom = top;

	for (int i = 0; i < layers->nnodes; i++)
	{
		top = Min(top, layers->nodes[i].y);
		bottom = Max(bottom, layers->nodes[i].y + node_height(picture, &layers->nodes[i]));
	}
	for (int i = 0; i < layers->nnodes; i++)
	{
		const LayerNode *node = &layers->nodes[i];
		double		y = rint(node->y - top) + PICTURE_MARGIN;

		if (node->box >= 0)
			picture->boxes[node->box].y = y;
		else
			picture->bundles[node->bundle].bends[node->bend] = y;
	}
	picture->height = ceil(bottom - top) + 2 * PICTURE_MARGIN;
}

/*
 * Find a place for everything in a picture.
 */
void
kpi_picture_layout(Picture *picture)
{
	Layers	   *layers = kpi_make_layers(picture);

	kpi_order_layers(picture, layers);
	assign_heights(picture, layers);
	assign_widths(picture, layers);
	copy_heights(picture, layers);
}
