/*
 * additivity.h
 *		How a metric may be combined from the values of parts.
 *
 * src/metric/additivity.h
 */
#ifndef KPI_METRIC_ADDITIVITY_H
#define KPI_METRIC_ADDITIVITY_H

#include "nodes/nodes.h"

typedef enum MetricAdditivity
{
	KPI_ADDITIVE_COUNT,			/* a count: the total is the sum of the parts */
	KPI_ADDITIVE,				/* the total is the sum of the parts */
	KPI_SEMI_ADDITIVE,			/* parts combine, but not by a sum: min, max */
	KPI_NON_ADDITIVE			/* ratios, averages, distinct counts, ... */
} MetricAdditivity;

extern MetricAdditivity kpi_additivity(Node *expr);
extern const char *kpi_additivity_name(MetricAdditivity additivity);
extern bool kpi_sums_up(Node *expr);
extern bool kpi_counts(Node *expr);
extern bool kpi_counts_distinct(Node *expr);
extern bool kpi_is_zero(Node *node);
extern Node *kpi_contribution(Node *expr);

#endif							/* KPI_METRIC_ADDITIVITY_H */
