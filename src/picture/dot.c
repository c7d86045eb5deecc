/*
 * dot.c
 *		The lineage of an object in the DOT language of graphviz.
 *
 * Boxes are tables in HTML-like labels with a port for each row; graphviz does
 * the layout.
 *
 * src/picture/dot.c
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "picture/picture.h"

PG_FUNCTION_INFO_V1(kpi_lineage_dot);

/*
 * Append text of a cell; a line end in a name is one more control character.
 */
static void
append_text(StringInfo buf, const char *text)
{
	kpi_append_markup(buf, kpi_cut_text(text, PG_INT32_MAX));
}

/*
 * Append the rows of a box.
 */
static void
append_rows(StringInfo buf, const PictureBox *box)
{
	for (int i = 0; i < box->nrows; i++)
	{
		appendStringInfo(buf, "<tr><td align=\"left\" port=\"r%d\"%s>", i,
						 box->object_row[i] ? " bgcolor=\"" PICTURE_OBJECT_FILL "\"" : "");
		append_text(buf, box->rows[i]);
		appendStringInfoString(buf, "</td></tr>");
	}
	if (box->hidden > 0)
		appendStringInfo(buf, "<tr><td align=\"left\">and %d more</td></tr>", box->hidden);
}

/*
 * Append a box.
 */
static void
append_box(StringInfo buf, const PictureBox *box, int number)
{
	const PictureBoxStyle *style = kpi_picture_box_style(box);

	appendStringInfo(buf, "\tb%d [label=<<table border=\"%d\" cellborder=\"0\" cellspacing=\"0\" color=\"%s\">",
					 number, box->object ? 3 : 1,
					 box->object ? PICTURE_OBJECT_BORDER : style->border);
	appendStringInfo(buf, "<tr><td align=\"left\" port=\"t\" bgcolor=\"%s\"><b>", style->fill);
	append_text(buf, box->name);
	appendStringInfo(buf, "</b></td></tr><tr><td align=\"left\" bgcolor=\"%s\">%s</td></tr>",
					 style->fill, box->type);
	append_rows(buf, box);
	appendStringInfoString(buf, "</table>>];\n");
}

/*
 * Append the end of an edge at a port.
 */
static void
append_end(StringInfo buf, const PictureEnd *end)
{
	if (end->row == TITLE_ROW)
		appendStringInfo(buf, "b%d:t", end->box);
	else
		appendStringInfo(buf, "b%d:r%d", end->box, end->row);
}

/*
 * Append an edge.
 */
static void
append_edge(StringInfo buf, const PictureEdge *edge)
{
	appendStringInfoChar(buf, '\t');
	append_end(buf, &edge->from);
	appendStringInfoString(buf, " -> ");
	append_end(buf, &edge->to);
	appendStringInfo(buf, " [style=%s, color=\"%s\", tooltip=\"",
					 kpi_picture_edge_styles[edge->kind].dot, kpi_picture_edge_styles[edge->kind].color);
	kpi_append_tooltip(buf, edge);
	appendStringInfoString(buf, "\"];\n");
}

/*
 * Append what the lines of the kinds of edges mean, in their colors.
 */
static void
append_legend(StringInfo buf, const Picture *picture)
{
	bool		present[PICTURE_KINDS] = {0};

	if (picture->nedges == 0)
		return;
	for (int i = 0; i < picture->nedges; i++)
		present[picture->edges[i].kind] = true;
	appendStringInfoString(buf, "\tlabel=<");
	for (int kind = 0; kind < PICTURE_KINDS; kind++)
	{
		const PictureEdgeStyle *style = &kpi_picture_edge_styles[kind];

		if (present[kind])
			appendStringInfo(buf, "<font color=\"%s\"> %s: %s </font>",
							 style->color, style->name, style->dot);
	}
	appendStringInfoString(buf, ">;\n");
}

/*
 * kpi.lineage_dot(object)
 */
Datum
kpi_lineage_dot(PG_FUNCTION_ARGS)
{
	Picture    *picture = kpi_picture(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "digraph lineage {\n"
						   "\tgraph [rankdir=LR, ranksep=1.2, fontname=\"sans-serif\", fontsize=11];\n"
						   "\tnode [shape=plain, fontname=\"sans-serif\", fontsize=11];\n");
	append_legend(&buf, picture);
	for (int i = 0; i < picture->nboxes; i++)
		append_box(&buf, &picture->boxes[i], i);
	for (int i = 0; i < picture->nedges; i++)
		append_edge(&buf, &picture->edges[i]);
	appendStringInfoString(&buf, "}\n");
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}
