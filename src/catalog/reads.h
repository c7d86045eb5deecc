/*
 * reads.h
 *		What the owner of a view reads for its readers, and may not.
 *
 * src/catalog/reads.h
 */
#ifndef KPI_CATALOG_READS_H
#define KPI_CATALOG_READS_H

#include "nodes/bitmapset.h"
#include "nodes/execnodes.h"

extern Oid	kpi_view_reader(Oid view);
extern void kpi_put_missing_read(ReturnSetInfo *rsinfo, Oid role, Oid relid, Bitmapset *columns);

#endif							/* KPI_CATALOG_READS_H */
