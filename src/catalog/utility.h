/*
 * utility.h
 *		Doing with SQL statements what SQL statements do, as the current user.
 *
 * src/catalog/utility.h
 */
#ifndef KPI_CATALOG_UTILITY_H
#define KPI_CATALOG_UTILITY_H

#include "fmgr.h"
#include "nodes/pg_list.h"

/* arguments of SQL functions that may be NULL */
extern char *kpi_text_argument(FunctionCallInfo fcinfo, int n);
extern List *kpi_text_list(FunctionCallInfo fcinfo, int n, const char *what);

extern void kpi_run_utility(const char *sql);
extern void kpi_check_owner(Oid relid);
extern void kpi_lock_name(Oid namespace, const char *name);

#endif							/* KPI_CATALOG_UTILITY_H */
