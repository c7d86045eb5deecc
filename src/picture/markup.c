/*
 * markup.c
 *		Names and SQL as text of XML, which DOT's labels are, too.
 *
 * A name can hold anything but a zero byte.  What XML 1.0 does not allow and what
 * a terminal obeys, control characters, becomes a question mark.
 *
 * src/picture/markup.c
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "picture/picture.h"

#define REPLACEMENT		'?'
#define ELLIPSIS		"..."

/*
 * May a character, of some bytes, stand in a document?
 */
static bool
is_printable(const char *c, int length)
{
	if (pg_encoding_dsplen(GetDatabaseEncoding(), c) < 0)
		return false;
	/* U+FFFE and U+FFFF are no characters to XML */
	return !(GetDatabaseEncoding() == PG_UTF8 && length == 3 &&
			 memcmp(c, "\xEF\xBF", 2) == 0 && (unsigned char) c[2] >= 0xBE);
}

/*
 * Append text, as text of an element or in an attribute.
 */
void
kpi_append_markup(StringInfo buf, const char *text)
{
	int			length;

	for (const char *c = text; *c != '\0'; c += length)
	{
		length = pg_mblen(c);
		switch (*c)
		{
			case '&':
				appendStringInfoString(buf, "&amp;");
				break;
			case '<':
				appendStringInfoString(buf, "&lt;");
				break;
			case '>':
				appendStringInfoString(buf, "&gt;");
				break;
			case '"':
				appendStringInfoString(buf, "&quot;");
				break;
			case '\\':
				/* DOT has escapes of its own */
				appendStringInfoString(buf, "&#92;");
				break;
			case '\n':
				appendStringInfoString(buf, "&#10;");
				break;
			case '\t':
				appendStringInfoChar(buf, ' ');
				break;
			default:
				if (is_printable(c, length))
					appendBinaryStringInfo(buf, c, length);
				else
					appendStringInfoChar(buf, REPLACEMENT);
				break;
		}
	}
}

/*
 * Append what an edge tells: from where to where, how, and by which SQL.
 */
void
kpi_append_tooltip(StringInfo buf, const PictureEdge *edge)
{
	const PictureEnd *ends[] = {&edge->from, &edge->to};

	for (int i = 0; i < lengthof(ends); i++)
	{
		if (i > 0)
			appendStringInfoString(buf, " &#8594; ");
		kpi_append_markup(buf, ends[i]->name);
		if (ends[i]->row == TITLE_ROW)
			continue;
		appendStringInfoChar(buf, '.');
		kpi_append_markup(buf, ends[i]->column);
	}
	appendStringInfo(buf, "&#10;%s", kpi_picture_edge_styles[edge->kind].name);
	if (edge->transformation != NULL)
	{
		appendStringInfoString(buf, ": ");
		kpi_append_markup(buf, edge->transformation);
	}
	if (edge->hidden > 0)
		appendStringInfo(buf, "&#10;and %d more", edge->hidden);
}

/*
 * How many columns of a terminal does a character take?
 */
static int
display_columns(const char *c)
{
	/* what stands for a control character takes one */
	return abs(pg_encoding_dsplen(GetDatabaseEncoding(), c));
}

/*
 * The text, or as much of it as fits into so many columns.  A line end in a name
 * is one more control character.
 */
char *
kpi_cut_text(const char *text, int columns)
{
	int			taken = 0;
	int			fits = 0;		/* bytes before an ellipsis */
	char	   *result = pstrdup(text);

	for (char *c = result; *c != '\0'; c += pg_mblen(c))
	{
		if (*c == '\n')
			*c = REPLACEMENT;
		taken += display_columns(c);
		if (taken <= columns - (int) strlen(ELLIPSIS))
			fits = c + pg_mblen(c) - result;
	}
	return taken <= columns ? result : psprintf("%.*s" ELLIPSIS, fits, result);
}

/*
 * A width that the text does not exceed in any common sans-serif font.
 */
double
kpi_text_width(const char *text, double size)
{
	double		width = 0;

	for (const char *c = text; *c != '\0'; c += pg_mblen(c))
	{
		if (strchr("ijlt.,:;'|!()[] ", *c) != NULL)
			width += 0.42;
		else if (strchr("mwMW@%&<>=+", *c) != NULL)
			width += 1.0;
		else if (*c >= 'A' && *c <= 'Z')
			width += 0.78;
		else if (display_columns(c) == 2)
			width += 1.05;
		else
			width += 0.65;
	}
	return width * size;
}
