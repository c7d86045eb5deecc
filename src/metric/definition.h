/*
 * definition.h
 *		What a metric means, read from its view.
 *
 * src/metric/definition.h
 */
#ifndef KPI_METRIC_DEFINITION_H
#define KPI_METRIC_DEFINITION_H

#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"

/* A relation that a definition reads, and as whom */
typedef struct DefinitionRead
{
	Oid			relid;
	Oid			check_as_user;	/* 0: as the current user */
	Bitmapset  *columns;		/* offset as in RangeTblEntry.selectedCols */
} DefinitionRead;

/* A metric reduced to one expression over its source */
typedef struct MetricDefinition
{
	Oid			metric;
	Oid			source;			/* InvalidOid where components have several */
	Node	   *expr;			/* over Var(1, attno) of the source; the WHERE
								 * has become FILTER of every aggregate */
	List	   *reads;			/* of DefinitionRead *, for their privileges */
	int64		nodes;			/* of the expression, about */
	int64		aggregates;		/* among them */
} MetricDefinition;

/* A metric view's query taken apart */
typedef struct MetricViewQuery
{
	Query	   *query;			/* NULL: the relation is not a metric view */
	int			source_rti;		/* the one entry in its FROM */
	Oid			source;
} MetricViewQuery;

/* What is wrong with a definition; detail and hint may be NULL */
typedef struct DefinitionFault
{
	char	   *message;
	const char *detail;
	const char *hint;
} DefinitionFault;

extern MetricDefinition *kpi_load_definition(Oid metric);
extern MetricDefinition *kpi_look_at_definition(Oid metric, Oid *culprit);
extern MetricDefinition *kpi_flatten_query(Oid metric, Query *query);
extern MetricViewQuery kpi_load_metric_view(Oid relid);
extern MetricViewQuery kpi_look_at_metric_view(Oid relid);
extern int	kpi_single_from_entry(Query *query);
extern bool kpi_metric_is_registered(Oid relid);
extern bool kpi_reads_no_plain_column(Node *node, void *context);
extern DefinitionFault *kpi_definition_fault(Query *query, const char *name, bool registered);
extern void kpi_check_definition(Query *query, const char *name);
extern const char *kpi_dimension_fault(Query *query, Node *expr);

/* trees */
extern Node *kpi_and_filter(Node *expr, Node *filter);

#endif							/* KPI_METRIC_DEFINITION_H */
