/*
 * smallgroups.h
 *		Metrics that have no value for groups of few rows (S5).
 *
 * src/metric/smallgroups.h
 */
#ifndef KPI_METRIC_SMALLGROUPS_H
#define KPI_METRIC_SMALLGROUPS_H

#include "nodes/parsenodes.h"

extern void kpi_limit_small_groups(RawStmt *raw, Query *query, int min_rows,
								   const char *name);
extern Node *kpi_without_small_group_limit(Node *expr);
extern int	kpi_small_group_limit_of(Node *expr);
extern Node *kpi_small_group_condition(Node *expr);
extern Node *kpi_keep_small_group_limits(Node *expr, Node *computed, List *limits);

#endif							/* KPI_METRIC_SMALLGROUPS_H */
