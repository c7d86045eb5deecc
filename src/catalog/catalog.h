/*
 * catalog.h
 *		Where the extension's own objects are, and how its registry is written.
 *
 * src/catalog/catalog.h
 */
#ifndef KPI_CATALOG_CATALOG_H
#define KPI_CATALOG_CATALOG_H

#include "commands/event_trigger.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
#include "utils/rel.h"

#define KPI_SCHEMA	"kpi"

/* OIDs of the objects that a query tree can mention */
typedef struct KpiObjects
{
	Oid			namespace;		/* schema kpi */
	Oid			marker;			/* kpi.metric_column(regclass, anyelement) */
	Oid			measure;		/* kpi.measure(anyelement) */
	Oid			numerator;		/* kpi.numerator(anyelement) */
	Oid			denominator;	/* kpi.denominator(anyelement) */
} KpiObjects;

/*
 * Does a function evaluate a measure, or a part of one?
 */
static inline bool
kpi_evaluates(const KpiObjects *kpi, Oid funcid)
{
	return funcid == kpi->measure || funcid == kpi->numerator ||
		funcid == kpi->denominator;
}

extern const KpiObjects *kpi_objects(void);
extern const KpiObjects *kpi_require_objects(void);
extern EventTriggerData *kpi_event(FunctionCallInfo fcinfo);

/* markers */
extern bool kpi_is_marker(Node *node, Oid *metric);
extern bool kpi_holds_marker(Node *node, void *context);
extern Node *kpi_strip_coercions(Node *node);

/* names */
extern char *kpi_relation_name(Oid relid);

/* SQL text that means the same in every session */
extern int	kpi_begin_plain_text(const char *search_path);

/* What is put aside while statements run with the rights of the extension's owner */
typedef struct KpiRegistryAccess
{
	Oid			user;
	int			sec_context;
	int			nestlevel;		/* of parameters */
} KpiRegistryAccess;

/* the registry tables, written with the rights of the extension's owner */
extern void kpi_begin_registry(KpiRegistryAccess *access);
extern void kpi_end_registry(KpiRegistryAccess *access);
extern void kpi_become_reader(Oid role);
extern uint64 kpi_registry_execute(const char *sql, int nargs, Oid *argtypes,
								   Datum *values, const char *nulls);
extern Datum kpi_value_as(Oid role, const char *sql, int nargs, Oid *argtypes,
						  Datum *values, bool *isnull);
extern Datum kpi_registry_value(const char *sql, int nargs, Oid *argtypes,
								Datum *values, bool *isnull);
extern bool kpi_registry_row(const char *sql, int nargs, Oid *argtypes, Datum *values,
							 int ncolumns, Datum *row, bool *isnull);

/* failures that must not fail the statement */
extern ErrorData *kpi_run_guarded(void (*body) (void *arg), void *arg);

#endif							/* KPI_CATALOG_CATALOG_H */
