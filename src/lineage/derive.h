/*
 * derive.h
 *		The two halves of deriving lineage: columns, and rows.
 *
 * src/lineage/derive.h
 */
#ifndef KPI_LINEAGE_DERIVE_H
#define KPI_LINEAGE_DERIVE_H

#include "lineage/place.h"

/* What is done with values of a type, for which it has functions */
#define TYPE_IN			1		/* they are read from text, or made */
#define TYPE_OUT		2		/* they are written as text */
#define TYPE_COMPARE	4		/* they are compared, sorted or hashed */
#define TYPE_CHECK		8		/* they become those of a domain */

/* calls.c */
extern bool kpi_may_read_tables(Oid funcid);
extern void kpi_add_calls(Node *node, Place *place);
extern bool kpi_add_function(Oid funcid, void *context);
extern void kpi_add_default_arguments(FuncExpr *call, Place *place);
extern void kpi_add_sort(SortGroupClause *clause, Node *expr, Place *place);
extern void kpi_add_operator(Oid opno, Place *place);
extern void kpi_add_type(Oid type, int uses, Place *place);

/* derive.c */
extern bool kpi_find_sources(Node *node, Place *place);
extern void kpi_follow_set_column(Place *place, Node *arm, AttrNumber column);
extern Query *kpi_find_cte(Level *level, RangeTblEntry *rte, Level **definer);
extern void kpi_follow_function_column(Place *place, Place *arguments,
									   RangeTblEntry *rte, AttrNumber attnum);
extern void kpi_follow_table_function(Place *place, TableFunc *function, AttrNumber attnum);

/* rows.c */
extern void kpi_follow_rows(Place *place, LineageKind rows_kind);
extern void kpi_follow_counted_rows(Place *place);
extern void kpi_follow_clause(Place *place, List *clause, LineageKind kind);
extern bool kpi_takes_away(SetOperationStmt *operation, Node *arm);

#endif							/* KPI_LINEAGE_DERIVE_H */
