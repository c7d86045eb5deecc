/*
 * registry.h
 *		The registry tables, read and written with the rights of the extension's owner.
 *
 * src/catalog/registry.h
 */
#ifndef KPI_CATALOG_REGISTRY_H
#define KPI_CATALOG_REGISTRY_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "utils/snapshot.h"

/* Takes one row of a result; runs in the caller's memory context */
typedef void (*KpiRowTaker) (HeapTuple row, TupleDesc desc, void *arg);

extern Snapshot kpi_newest_snapshot(void);

extern uint64 kpi_registry_execute(const char *sql, int nargs, Oid *argtypes,
								   Datum *values, const char *nulls);
extern uint64 kpi_registry_read(const char *sql, int nargs, Oid *argtypes,
								Datum *values, KpiRowTaker taker, void *arg);
extern uint64 kpi_registry_find(const char *table, const char *column, const char *value,
								KpiRowTaker taker, void *arg);
extern uint64 kpi_registry_find_oid(const char *table, const char *column, Oid value,
									KpiRowTaker taker, void *arg);
extern bool kpi_registry_has(const char *sql, int nargs, Oid *argtypes, Datum *values);
extern Datum kpi_registry_value(const char *sql, int nargs, Oid *argtypes,
								Datum *values, bool *isnull);

/* a look without a statement */
extern bool kpi_registry_lists(const char *table, const char *column, Oid value);
extern List *kpi_registry_oids(const char *table, const char *column);
extern bool kpi_registry_is_empty(const char *table);

extern uint64 kpi_read_as(Oid role, const char *sql, int nargs,
						  Oid *argtypes, Datum *values, KpiRowTaker taker, void *arg);

extern Datum kpi_oid_array(List *oids);
extern void kpi_take_oid(HeapTuple row, TupleDesc desc, void *arg);

/* for hash tables whose keys point to texts */
extern uint32 kpi_hash_text(const void *key, Size keysize);
extern int	kpi_compare_texts(const void *a, const void *b, Size keysize);

/* a column of a row, copied */
extern Datum kpi_row_value(HeapTuple row, TupleDesc desc, int column, bool *isnull);
extern Datum kpi_row_named(HeapTuple row, TupleDesc desc, const char *column, bool *isnull);
extern char *kpi_row_text(HeapTuple row, TupleDesc desc, int column);

#endif							/* KPI_CATALOG_REGISTRY_H */
