/*
 * layers.h
 *		The layers of a picture: boxes, and nodes where edges pass a layer.
 *
 * src/picture/layers.h
 */
#ifndef KPI_PICTURE_LAYERS_H
#define KPI_PICTURE_LAYERS_H

#include "picture/picture.h"

/* What has a place in a layer: a box, or a bundle that passes */
typedef struct LayerNode
{
	int			box;			/* or -1 */
	int			bundle;
	int			bend;			/* which of the bundle's */
	int			layer;
	int			position;		/* in its layer, from the top */
	int			port;			/* number of its first port among the layer's */
	double		y;
} LayerNode;

/* A part of edges between two neighboring layers */
typedef struct LayerSegment
{
	int			left;			/* node */
	int			left_row;
	int			right;
	int			right_row;
} LayerSegment;

/* The segments between a layer and the next */
typedef struct LayerGap
{
	int			n;
	int			size;
	LayerSegment *segments;
} LayerGap;

/* Nodes from top to bottom */
typedef struct Layer
{
	int			n;
	int			nports;
	int		   *order;
} Layer;

typedef struct Layers
{
	int			nlayers;
	Layer	   *layers;
	LayerGap   *gaps;
	int			nnodes;
	LayerNode  *nodes;
} Layers;

/* layers.c */
extern Layers *kpi_make_layers(Picture *picture);

/* crossings.c */
extern void kpi_order_layers(Picture *picture, Layers *layers);

#endif							/* KPI_PICTURE_LAYERS_H */
