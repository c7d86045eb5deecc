/*
 * style.c
 *		What boxes and edges of a picture look like.
 *
 * Dark text on light ground; kinds of edges differ by pattern as well as by color.
 *
 * src/picture/style.c
 */
#include "postgres.h"

#include "picture/picture.h"

const PictureEdgeStyle kpi_picture_edge_styles[] = {
	{"value", "#3b5f8a", "stroke-width=\"1.6\"", "solid"},
	{"filter", "#b45309", "stroke-dasharray=\"5 3\"", "dashed"},
	{"join", "#7c3aed", "stroke-dasharray=\"8 3\"", "dashed"},
	{"group", "#0f766e", "stroke-dasharray=\"6 2 1 2\"", "dotted"},
	{"order", "#64748b", "stroke-dasharray=\"1 3\"", "dotted"}
};

static const PictureBoxStyle box_styles[] = {
	{"table", "#dbeafe", "#5b82b8"},
	{"partitioned table", "#dbeafe", "#5b82b8"},
	{"foreign table", "#e0e7ff", "#6f78b8"},
	{"view", "#dcfce7", "#5a9a70"},
	{"materialized view", "#ccfbf1", "#4b968c"},
	{"metric", "#fef3c7", "#b8903f"},
	{"metric view", "#f3e8ff", "#9068b8"},
	{"function", "#f1f5f9", "#7c8aa0"}
};

/*
 * The style of a box, by its type; whatever else there is looks like a function.
 */
const PictureBoxStyle *
kpi_picture_box_style(const PictureBox *box)
{
	for (int i = 0; i < lengthof(box_styles); i++)
	{
		if (strcmp(box_styles[i].type, box->type) == 0)
			return &box_styles[i];
	}
	return &box_styles[lengthof(box_styles) - 1];
}
