/*
 * behalf.h
 *		What the extension does on somebody else's behalf.
 *
 * src/catalog/behalf.h
 */
#ifndef KPI_CATALOG_BEHALF_H
#define KPI_CATALOG_BEHALF_H

#include "miscadmin.h"
#include "utils/elog.h"

/* Something to do, with what it needs and where its results go */
typedef void (*KpiErrand) (void *arg);

extern void kpi_on_behalf_of(Oid role, KpiErrand errand, void *arg);
extern void kpi_in_plain_text(const char *search_path, KpiErrand errand, void *arg);
extern ErrorData *kpi_run_guarded(KpiErrand errand, void *arg);

#endif							/* KPI_CATALOG_BEHALF_H */
