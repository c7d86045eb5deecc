/*
 * draft.h
 *		Metric views while they are put together.
 *
 * src/metric/draft.h
 */
#ifndef KPI_METRIC_DRAFT_H
#define KPI_METRIC_DRAFT_H

#include "nodes/parsenodes.h"

/* A metric view while it is put together */
typedef struct Draft
{
	const char *name;			/* quoted, for messages */
	Query	   *query;			/* NULL until the source is known */
	int			source_rti;
	Oid			source;			/* InvalidOid until it is known */
	char	   *select;			/* the same as SQL */
	Oid			relid;			/* of the view, where it is there */
} Draft;

extern void kpi_report_invalid(const char *text, const char *what, const char *hint);
extern List *kpi_parse_alias(const char *text, const char *what, char **alias);

extern void kpi_draft_dimensions(Draft *draft, List *dimensions);
extern void kpi_draft_check_metric(Draft *draft, Oid metric);
extern void kpi_draft_metric(Draft *draft, const char *text);
extern void kpi_draft_dimensions_first(Draft *draft, int nmetrics);
extern void kpi_draft_drop(Draft *draft, const char *name, bool is_measure);
extern bool kpi_draft_has_dimension(Draft *draft, const char *name);
extern char *kpi_resolve_draft_dimension(Draft *draft, const char *text,
										 const char *argument, bool in_array);
extern char *kpi_draft_row_key(Draft *draft, char *text);
extern const char *kpi_draft_measure(Draft *draft, const char *text);
extern bool kpi_draft_replace(Draft *draft, Oid relid);
extern void kpi_write_draft(void *draft);

#endif							/* KPI_METRIC_DRAFT_H */
