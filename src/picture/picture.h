/*
 * picture.h
 *		The lineage of an object as a graph of boxes, laid out to be drawn.
 *
 * src/picture/picture.h
 */
#ifndef KPI_PICTURE_PICTURE_H
#define KPI_PICTURE_PICTURE_H

#include "lib/stringinfo.h"

/* Where an edge ends that has no row of its own: at the title of the box */
#define TITLE_ROW	(-1)

/* The kinds of edges, in the order in which a legend names them */
typedef enum PictureKind
{
	PICTURE_VALUE,
	PICTURE_FILTER,
	PICTURE_JOIN,
	PICTURE_GROUP,
	PICTURE_ORDER
} PictureKind;

#define PICTURE_KINDS	(PICTURE_ORDER + 1)

/* One end of an edge */
typedef struct PictureEnd
{
	char	   *name;			/* of the relation or function */
	char	   *type;
	char	   *column;			/* NULL: its rows */
	bool		object;			/* of the object that was asked for? */
	bool		object_column;	/* of the column that was asked for? */
	int			box;
	int			row;			/* or TITLE_ROW */
} PictureEnd;

typedef struct PictureEdge
{
	PictureEnd	from;
	PictureEnd	to;
	PictureKind kind;
	char	   *transformation; /* lines of SQL, or NULL */
	int			hidden;			/* further ones that are not among the lines */
} PictureEdge;

/* A relation, metric or function, or several partitions in one */
typedef struct PictureBox
{
	char	   *name;
	char	   *type;
	bool		object;
	int			nrows;
	int			hidden;			/* columns that have no row */
	char	  **rows;			/* names of columns */
	bool	   *object_row;
	/* set by kpi_picture_layout() */
	int		   *place;			/* rows from top to bottom */
	int			layer;
	double		y;
} PictureBox;

/*
 * The edges from one box to another.  They go side by side: from box "left",
 * through the middle of each layer between at a height of its own, to "right".
 */
typedef struct PictureBundle
{
	int			from;
	int			to;
	int			first;			/* its edges are neighbors in the array */
	int			nedges;
	/* set by kpi_picture_layout() */
	int			left;			/* "to" where the graph has a cycle */
	int			right;
	double	   *bends;			/* one a layer between */
} PictureBundle;

typedef struct Picture
{
	char	   *object;			/* as it was asked for */
	int			nboxes;
	PictureBox *boxes;
	int			nedges;
	PictureEdge *edges;
	int			nbundles;
	PictureBundle *bundles;
	/* set by kpi_picture_layout() */
	int			nlayers;
	double	   *layer_x;
	double	   *layer_width;
	double		width;
	double		height;
} Picture;

/* Measures of a drawing, in pixels */
#define PICTURE_TITLE_HEIGHT	38
#define PICTURE_ROW_HEIGHT		19
#define PICTURE_MARGIN			16
#define PICTURE_TITLE_SIZE		13
#define PICTURE_ROW_SIZE		12
#define PICTURE_NAME_COLUMNS	48	/* longer names are cut */

/* What edges of a kind look like */
typedef struct PictureEdgeStyle
{
	const char *name;			/* of the kind */
	const char *color;
	const char *svg;			/* attributes of the line */
	const char *dot;			/* style of the line */
} PictureEdgeStyle;

/* What boxes of a type look like */
typedef struct PictureBoxStyle
{
	const char *type;
	const char *fill;			/* of the title */
	const char *border;
} PictureBoxStyle;

/* The object that was asked for */
#define PICTURE_OBJECT_BORDER	"#c2410c"
#define PICTURE_OBJECT_FILL		"#ffedd5"

/* picture.c */
extern Picture *kpi_picture(const char *object);

/* style.c */
extern const PictureEdgeStyle kpi_picture_edge_styles[];
extern const PictureBoxStyle *kpi_picture_box_style(const PictureBox *box);

/* layout.c */
extern void kpi_picture_layout(Picture *picture);
extern double kpi_picture_box_height(const PictureBox *box);
extern double kpi_picture_port(const PictureBox *box, int row);
extern double kpi_picture_lane(const PictureBundle *bundle, int edge);

/* markup.c */
extern void kpi_append_markup(StringInfo buf, const char *text);
extern void kpi_append_tooltip(StringInfo buf, const PictureEdge *edge);
extern char *kpi_cut_text(const char *text, int columns);
extern double kpi_text_width(const char *text, double size);

#endif							/* KPI_PICTURE_PICTURE_H */
