/*
 * lineage.h
 *		Where columns come from.
 *
 * src/lineage/lineage.h
 */
#ifndef KPI_LINEAGE_LINEAGE_H
#define KPI_LINEAGE_LINEAGE_H

#include "catalog/objectaddress.h"
#include "nodes/parsenodes.h"

/* How a column takes part in what it flows into */
typedef enum LineageKind
{
	LINEAGE_VALUE,				/* its value is part of the target's */
	LINEAGE_FILTER,				/* it decides which rows or values count */
	LINEAGE_JOIN,				/* it decides which rows meet */
	LINEAGE_GROUP,				/* rows are put together by it */
	LINEAGE_ORDER				/* rows are put in order by it */
} LineageKind;

/* One step: a column of a relation or function flows into one of another */
typedef struct LineageEdge
{
	AttrNumber	target_column;	/* 0: the rows of the target */
	ObjectAddress source;		/* objectSubId 0: the rows of the source */
	LineageKind kind;
	const char *transformation; /* as SQL, or NULL where nothing is computed */
} LineageEdge;

/* A relation, column, function or type that a text names */
typedef struct NamedObject
{
	Oid			relid;
	AttrNumber	attnum;
	Oid			funcid;
	Oid			typid;
	char	   *name;
	char	   *column;
} NamedObject;

/* derive.c */
extern List *kpi_derive_from_query(Query *query, List *columns);
extern List *kpi_derive_from_exprs(Oid relid, List *columns, List *exprs);

/* named.c */
extern NamedObject kpi_find_named_object(text *object);

/* sources.c */
extern const char *kpi_lineage_kind_name(LineageKind kind);
extern List *kpi_function_columns(Oid funcid);
extern char *kpi_lineage_object_name(ObjectAddress object);
extern void kpi_lock_what_is_read(Node *tree);

#endif							/* KPI_LINEAGE_LINEAGE_H */
