/*
 * place.h
 *		Where the sources that are found in a query tree flow to.
 *
 * src/lineage/place.h
 */
#ifndef KPI_LINEAGE_PLACE_H
#define KPI_LINEAGE_PLACE_H

#include "utils/hsearch.h"

#include "lineage/lineage.h"

/* What is followed of a query: one of its columns, or */
#define THE_ROWS			0
#define THE_COUNTED_ROWS	(-1)

/* What it costs to derive lineage, with a byte of text as the unit */
#define STEP_COST			64
#define EDGE_COST			640
#define TEXT_COST			640
#define MAX_COST			(64 * 1024 * 1024)

/* A transformation that is longer is not made any longer */
#define MAX_TEXT_LENGTH		10000

/* The lineage of one object on its way */
typedef struct Derivation
{
	List	   *edges;			/* of LineageEdge * */
	HTAB	   *seen;			/* what was followed or found already */
	HTAB	   *levels;			/* of Level */
	int64		cost;			/* until now */
} Derivation;

/* A query and the queries around it, which its outer references mean */
typedef struct Level
{
	Query	   *query;			/* with the parent, the key */
	struct Level *parent;
	Derivation *derivation;
	List	   *names;			/* for deparse_expression(), made when needed */
} Level;

/*
 * Where what is found now flows to.  A place that is strict has only one kind:
 * within a WHERE, everything filters.
 */
typedef struct Place
{
	Derivation *derivation;
	Level	   *level;
	AttrNumber	target_column;
	LineageKind kind;
	bool		strict;
	const char *text;			/* the transformation, NULL for "as it is" */
	bool		text_is_whole;	/* does it show subqueries, too? */
} Place;

/* place.c */
extern void kpi_spend(Derivation *derivation, int64 cost);
extern Place kpi_place_for_purpose(const Place *place, LineageKind kind);
extern Place kpi_place_in_query(const Place *place, Query *query, Level *parent);
extern Place kpi_place_outside(const Place *place, Index levelsup);
extern void kpi_flows_from(Place *place, Oid class, Oid object, AttrNumber column);
extern void kpi_flows_from_relation(Place *place, Oid relid, AttrNumber attnum);
extern bool kpi_follow_once(Place *place, void *node, AttrNumber column);
extern bool kpi_follow_object_once(Place *place, Oid class, Oid object, int use);

/* text.c */
extern char *kpi_place_text(Level *level, Node *expr);

#endif							/* KPI_LINEAGE_PLACE_H */
