/*
 * family.h
 *		Partitions, children and parents, at any depth.
 *
 * src/catalog/family.h
 */
#ifndef KPI_CATALOG_FAMILY_H
#define KPI_CATALOG_FAMILY_H

#include "nodes/pg_list.h"

extern List *kpi_parents(Oid relid);
extern bool kpi_family_registered(const char *registry, List *relids, bool below);

#endif							/* KPI_CATALOG_FAMILY_H */
