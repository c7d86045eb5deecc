/*
 * ratio.h
 *		The parts of a metric that is a ratio.
 *
 * src/metric/ratio.h
 */
#ifndef KPI_METRIC_RATIO_H
#define KPI_METRIC_RATIO_H

#include "nodes/nodes.h"

/* The parts of a ratio, of the metric's type, over the source as the metric is */
typedef struct MetricRatio
{
	Node	   *numerator;
	Node	   *denominator;
	bool		limited;		/* have small groups no value (S5)? */
} MetricRatio;

extern MetricRatio *kpi_ratio_of(Node *expr);

#endif							/* KPI_METRIC_RATIO_H */
