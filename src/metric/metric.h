/*
 * metric.h
 *		Making views for metrics, for the components that make more of them.
 *
 * src/metric/metric.h
 */
#ifndef KPI_METRIC_METRIC_H
#define KPI_METRIC_METRIC_H

#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "utils/elog.h"

/* called with a metric that has got a definition; for a component that knows joins */
extern void (*kpi_metric_defined_hook) (Oid relid);

extern RangeVar *kpi_new_relation_name(text *name);
extern Oid	kpi_relation_to_replace(RangeVar *name, const char *what);
extern void kpi_push_query(ErrorContextCallback *callback, const char *sql);
extern void kpi_pop_query(void);
extern RawStmt *kpi_parse_select(const char *sql, const char *what);
extern void kpi_refuse_temporary_source(Query *query, const char *name, const char *what);
extern void kpi_refuse_temporary(Oid relid, const char *what);
extern void kpi_change_owner(Oid relid, const char *owner);
extern void kpi_check_published_source(Oid relid, Oid source);
extern void kpi_require_metric(Oid relid);

#endif							/* KPI_METRIC_METRIC_H */
