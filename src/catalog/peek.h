/*
 * peek.h
 *		Looking at relations without waiting for anybody and without keeping a lock.
 *
 * src/catalog/peek.h
 */
#ifndef KPI_CATALOG_PEEK_H
#define KPI_CATALOG_PEEK_H

#include "nodes/parsenodes.h"

#include "catalog/behalf.h"

extern void kpi_peek(KpiErrand errand, void *arg);
extern bool kpi_peek_at_relation(Oid relid);
extern char *kpi_on_one_line(char *sql);
extern char *kpi_view_sql(Oid relid, bool pretty);

#endif							/* KPI_CATALOG_PEEK_H */
