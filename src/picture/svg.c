/*
 * svg.c
 *		The lineage of an object as an SVG drawing.
 *
 * The drawing needs nothing but itself: no script, no font, no style sheet of
 * others.  Widths of text are estimated, so boxes are rather too wide than too
 * narrow.
 *
 * src/picture/svg.c
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "picture/picture.h"

PG_FUNCTION_INFO_V1(kpi_lineage_svg);

#define TEXT_COLOR		"#0f172a"
#define FAINT_COLOR		"#526077"
#define TEXT_INDENT		14
#define KIND_DISTANCE	2
#define LEGEND_HEIGHT	26
#define LEGEND_LINE		28

/*
 * Append one line of text, cut to what a box holds.
 */
static void
append_text(StringInfo buf, double x, double y, const char *attributes, const char *text)
{
	appendStringInfo(buf, "<text x=\"%g\" y=\"%g\"%s>", x, y, attributes);
	kpi_append_markup(buf, kpi_cut_text(text, PICTURE_NAME_COLUMNS));
	appendStringInfoString(buf, "</text>\n");
}

/*
 * Append the rows of a box.
 */
static void
append_rows(StringInfo buf, const PictureBox *box, double x, double width)
{
	double		baseline = 4;

	for (int place = 0; place < box->nrows; place++)
	{
		int			row = 0;
		double		y;

		while (box->place[row] != place)
			row++;
		y = box->y + kpi_picture_port(box, row);
		if (box->object_row[row])
			appendStringInfo(buf, "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%d\" fill=\"" PICTURE_OBJECT_FILL "\"/>\n",
							 x + 2, y - PICTURE_ROW_HEIGHT / 2.0, width - 4, PICTURE_ROW_HEIGHT);
		append_text(buf, x + TEXT_INDENT, y + baseline,
					box->object_row[row] ? " font-weight=\"bold\"" : "", box->rows[row]);
	}
	if (box->hidden > 0)
		append_text(buf, x + TEXT_INDENT, box->y + kpi_picture_box_height(box) - PICTURE_ROW_HEIGHT / 2.0 + 2,
					" font-style=\"italic\" fill=\"" FAINT_COLOR "\"", psprintf("and %d more", box->hidden));
}

/*
 * Append a box.
 */
static void
append_box(StringInfo buf, const Picture *picture, const PictureBox *box)
{
	const PictureBoxStyle *style = kpi_picture_box_style(box);
	double		x = picture->layer_x[box->layer];
	double		width = picture->layer_width[box->layer];
	double		height = kpi_picture_box_height(box);

	appendStringInfoString(buf, "<g><title>");
	kpi_append_markup(buf, box->name);
	appendStringInfoString(buf, "</title>\n");
	appendStringInfo(buf, "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" rx=\"5\" fill=\"#ffffff\"/>\n",
					 x, box->y, width, height);
	appendStringInfo(buf, "<path d=\"M%g %gv%dh%gv-%da5 5 0 0 0 -5 -5h-%ga5 5 0 0 0 -5 5z\" fill=\"%s\"/>\n",
					 x, box->y + 5, PICTURE_TITLE_HEIGHT - 5, width, PICTURE_TITLE_HEIGHT - 5,
					 width - 10, style->fill);
	append_text(buf, x + TEXT_INDENT, box->y + 17, " font-size=\"13\" font-weight=\"bold\"", box->name);
	append_text(buf, x + TEXT_INDENT, box->y + 32, " font-size=\"11\" fill=\"" FAINT_COLOR "\"", box->type);
	append_rows(buf, box, x, width);
	appendStringInfo(buf, "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" rx=\"5\" fill=\"none\" stroke=\"%s\" stroke-width=\"%s\"/></g>\n",
					 x, box->y, width, height, box->object ? PICTURE_OBJECT_BORDER : style->border, box->object ? "3" : "1");
}

/*
 * Append a curve from the end of a path so far, level at both ends.
 */
static void
append_curve(StringInfo buf, double from_x, double from_y, double to_x, double to_y)
{
	double		middle = (from_x + to_x) / 2;

	appendStringInfo(buf, "C%g %g %g %g %g %g", middle, from_y, middle, to_y, to_x, to_y);
}

/*
 * Where does an edge meet a box?  Edges of different kinds meet it one below the
 * other.
 */
static double
meeting_height(const PictureBox *box, const PictureEdge *edge, const PictureEnd *end)
{
	return box->y + kpi_picture_port(box, end->row) + edge->kind * KIND_DISTANCE;
}

/*
 * Append the path of an edge within one box, around its left side.
 */
static void
append_loop(StringInfo buf, const Picture *picture, const PictureEdge *edge)
{
	const PictureBox *box = &picture->boxes[edge->from.box];
	double		x = picture->layer_x[box->layer];
	double		from_y = meeting_height(box, edge, &edge->from);
	double		to_y = meeting_height(box, edge, &edge->to);

	appendStringInfo(buf, "M%g %gC%g %g %g %g %g %g", x, from_y, x - PICTURE_MARGIN, from_y,
					 x - PICTURE_MARGIN, to_y, x, to_y);
}

/*
 * Append the path of an edge from the left box of its bundle to the right one.
 */
static void
append_path(StringInfo buf, const Picture *picture, const PictureBundle *bundle, int number)
{
	const PictureEdge *edge = &picture->edges[number];
	const PictureBox *left = &picture->boxes[bundle->left];
	const PictureBox *right = &picture->boxes[bundle->right];
	bool		turned = bundle->left != bundle->from;
	double		lane = kpi_picture_lane(bundle, number);
	double		x = picture->layer_x[left->layer] + picture->layer_width[left->layer];
	double		y = meeting_height(left, edge, turned ? &edge->to : &edge->from);

	appendStringInfo(buf, "M%g %g", x, y);
	for (int layer = left->layer + 1; layer < right->layer; layer++)
	{
		double		to_y = bundle->bends[layer - left->layer - 1] + lane;

		append_curve(buf, x, y, picture->layer_x[layer], to_y);
		x = picture->layer_x[layer] + picture->layer_width[layer];
		y = to_y;
		appendStringInfo(buf, "H%g", x);
	}
	append_curve(buf, x, y, picture->layer_x[right->layer],
				 meeting_height(right, edge, turned ? &edge->from : &edge->to));
}

/*
 * Append an edge, with an arrow at the end to which data flow.
 */
static void
append_edge(StringInfo buf, const Picture *picture, const PictureBundle *bundle, int number)
{
	const PictureEdge *edge = &picture->edges[number];
	bool		turned = bundle->left != bundle->from;

	appendStringInfoString(buf, "<path d=\"");
	if (bundle->from == bundle->to)
		append_loop(buf, picture, edge);
	else
		append_path(buf, picture, bundle, number);
	appendStringInfo(buf, "\" marker-%s=\"url(#kpi-%s)\"><title>",
					 turned ? "start" : "end", kpi_picture_edge_styles[edge->kind].name);
	kpi_append_tooltip(buf, edge);
	appendStringInfoString(buf, "</title></path>\n");
}

/*
 * Append the edges of a kind; returns whether there are any.
 */
static bool
append_edges(StringInfo buf, const Picture *picture, PictureKind kind)
{
	const PictureEdgeStyle *style = &kpi_picture_edge_styles[kind];
	bool		any = false;

	for (int i = 0; i < picture->nbundles; i++)
	{
		const PictureBundle *bundle = &picture->bundles[i];

		for (int j = bundle->first; j < bundle->first + bundle->nedges; j++)
		{
			CHECK_FOR_INTERRUPTS();
			if (picture->edges[j].kind != kind)
				continue;
			if (!any)
				appendStringInfo(buf, "<g fill=\"none\" stroke=\"%s\" %s>\n", style->color, style->svg);
			any = true;
			append_edge(buf, picture, bundle, j);
		}
	}
	if (any)
		appendStringInfoString(buf, "</g>\n");
	return any;
}

/*
 * Append the arrow heads.
 */
static void
append_markers(StringInfo buf)
{
	appendStringInfoString(buf, "<defs>\n");
	for (int i = 0; i < PICTURE_KINDS; i++)
		appendStringInfo(buf, "<marker id=\"kpi-%s\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto-start-reverse\"><path d=\"M0 1L8 4L0 7z\" fill=\"%s\"/></marker>\n",
						 kpi_picture_edge_styles[i].name, kpi_picture_edge_styles[i].color);
	appendStringInfoString(buf, "</defs>\n");
}

/*
 * The kinds of edges that the picture has, in a line below it.
 */
static char *
legend(const Picture *picture, const bool *present, double *width)
{
	StringInfoData buf;
	double		x = PICTURE_MARGIN;
	double		y = picture->height + LEGEND_HEIGHT / 2.0 - 8;

	initStringInfo(&buf);
	for (int i = 0; i < PICTURE_KINDS; i++)
	{
		const PictureEdgeStyle *style = &kpi_picture_edge_styles[i];

		if (!present[i])
			continue;
		appendStringInfo(&buf, "<path d=\"M%g %gh%d\" stroke=\"%s\" %s/>\n",
						 x, y, LEGEND_LINE, style->color, style->svg);
		append_text(&buf, x + LEGEND_LINE + 6, y + 4, " font-size=\"11\" fill=\"" FAINT_COLOR "\"",
					style->name);
		x += LEGEND_LINE + 6 + kpi_text_width(style->name, 11) + 18;
	}
	*width = x;
	return buf.data;
}

/*
 * kpi.lineage_svg(object)
 */
Datum
kpi_lineage_svg(PG_FUNCTION_ARGS)
{
	Picture    *picture = kpi_picture(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	StringInfoData edges;
	StringInfoData buf;
	bool		present[PICTURE_KINDS];
	char	   *legend_text;
	double		width;
	double		height;

	kpi_picture_layout(picture);
	initStringInfo(&edges);
	/* values on top */
	for (int kind = PICTURE_KINDS - 1; kind >= 0; kind--)
		present[kind] = append_edges(&edges, picture, (PictureKind) kind);
	legend_text = legend(picture, present, &width);
	width = Max(width, picture->width);
	height = picture->height + (picture->nedges > 0 ? LEGEND_HEIGHT : 0);

	initStringInfo(&buf);
	appendStringInfo(&buf, "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"%g\" height=\"%g\" viewBox=\"0 0 %g %g\" font-family=\"sans-serif\" font-size=\"%d\" fill=\"" TEXT_COLOR "\">\n<title>Lineage of ",
					 width, height, width, height, PICTURE_ROW_SIZE);
	kpi_append_markup(&buf, picture->object);
	appendStringInfoString(&buf, "</title>\n");
	append_markers(&buf);
	appendStringInfoString(&buf, "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
	appendBinaryStringInfo(&buf, edges.data, edges.len);
	for (int i = 0; i < picture->nboxes; i++)
		append_box(&buf, picture, &picture->boxes[i]);
	appendStringInfoString(&buf, legend_text);
	appendStringInfoString(&buf, "</svg>\n");
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}
