/*
 * derive.h
 *		The two halves of deriving lineage: columns, and rows.
 *
 * src/lineage/derive.h
 */
#ifndef KPI_LINEAGE_DERIVE_H
#define KPI_LINEAGE_DERIVE_H

#include "lineage/place.h"

/* derive.c */
extern bool kpi_find_sources(Node *node, Place *place);
extern void kpi_follow_set_column(Place *place, Node *arm, AttrNumber column);
extern Query *kpi_find_cte(Level *level, RangeTblEntry *rte, Level **definer);
extern void kpi_follow_function_column(Place *place, Place *arguments,
									   RangeTblEntry *rte, AttrNumber attnum);
extern void kpi_follow_table_function(Place *place, TableFunc *function, AttrNumber attnum);
extern bool kpi_may_read_tables(Oid funcid);

/* rows.c */
extern void kpi_follow_rows(Place *place, LineageKind rows_kind);
extern void kpi_follow_counted_rows(Place *place);
extern void kpi_follow_clause(Place *place, List *clause, LineageKind kind);
extern bool kpi_takes_away(SetOperationStmt *operation, Node *arm);

#endif							/* KPI_LINEAGE_DERIVE_H */
