/*
 * view_metadata.h
 *		What is said of a metric view beside its columns.
 *
 * src/metric/view_metadata.h
 */
#ifndef KPI_METRIC_VIEW_METADATA_H
#define KPI_METRIC_VIEW_METADATA_H

#include "access/attnum.h"
#include "fmgr.h"

/* The metadata of a metric view, as arguments give it; NULL leaves what is there */
typedef struct ViewMetadata
{
	Datum		label;
	Datum		description;
	Datum		tags;
	char		nulls[3];		/* of the above, as SPI has them */
	char	   *time_dimension; /* a dimension, in the end its name; "" for
								 * none */
	char	   *row_key;		/* the same */
	char	   *ungrouped;		/* "" for what the session says */
	char	   *owner;
	Datum		labels;			/* jsonb, or 0 */
} ViewMetadata;

extern ViewMetadata kpi_view_metadata(FunctionCallInfo fcinfo, int n, int more);
extern char *kpi_registered_column(Oid relid, const char *what);
extern AttrNumber kpi_find_time_dimension(Oid relid, const char *name);
extern void kpi_write_view_metadata(Oid relid, ViewMetadata *metadata);

#endif							/* KPI_METRIC_VIEW_METADATA_H */
