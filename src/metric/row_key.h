/*
 * row_key.h
 *		The dimension of a metric view that identifies a row.
 *
 * src/metric/row_key.h
 */
#ifndef KPI_METRIC_ROW_KEY_H
#define KPI_METRIC_ROW_KEY_H

#include "metric/definition.h"

extern char *kpi_row_key_fault(MetricViewQuery *view, AttrNumber attnum);

#endif							/* KPI_METRIC_ROW_KEY_H */
