/*
 * belongings.h
 *		What a view has beside its query: privileges, comments, options.
 *
 * src/metric/belongings.h
 */
#ifndef KPI_METRIC_BELONGINGS_H
#define KPI_METRIC_BELONGINGS_H

#include "access/htup.h"
#include "nodes/pg_list.h"

/* What a view takes along when it is made again */
typedef struct ViewBelongings
{
	HeapTuple	class_tuple;
	List	   *attribute_tuples;
	List	   *comments;		/* of char *, one a column; NULL for none */
	char	   *comment;
	Oid			owner;
} ViewBelongings;

extern ViewBelongings kpi_save_belongings(Oid relid);
extern void kpi_restore_belongings(Oid relid, ViewBelongings *saved);

#endif							/* KPI_METRIC_BELONGINGS_H */
