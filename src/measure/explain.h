/*
 * explain.h
 *		What the parts of kpi.explain_measure() share.
 *
 * src/measure/explain.h
 */
#ifndef KPI_MEASURE_EXPLAIN_H
#define KPI_MEASURE_EXPLAIN_H

#include "nodes/parsenodes.h"

/* explain_join.c */
extern void kpi_write_on(Query *query, JoinExpr *join);
extern bool kpi_relist_joins(Query *query);

/* explain_security.c */
extern void kpi_show_security_quals(Query *query);

/* explain_operator.c */
extern bool kpi_is_plain_operator(Oid opno);
extern Expr *kpi_null_test(Node *arg, NullTestType type);
extern void kpi_spell_sublink(SubLink *sublink);
extern Node *kpi_spell_comparison(Node *node);

/* explain_modify.c */
extern void kpi_spell_changes(Query *query);

/* explain_spell.c */
extern Query *kpi_make_select(List *target_list, RangeTblEntry *rte);
extern void kpi_restore_rows(Query *query);
extern void kpi_spell_out(Query *query);
extern char *kpi_unmark_names(const char *sql);

#endif							/* KPI_MEASURE_EXPLAIN_H */
