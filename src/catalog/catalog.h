/*
 * catalog.h
 *		Where the extension's own objects are, and how trees mention them.
 *
 * src/catalog/catalog.h
 */
#ifndef KPI_CATALOG_CATALOG_H
#define KPI_CATALOG_CATALOG_H

#include "commands/event_trigger.h"
#include "nodes/parsenodes.h"
#include "utils/rel.h"

#define KPI_SCHEMA	"kpi"

/* What a query tree can mention, and whose the extension is */
typedef struct KpiObjects
{
	Oid			owner;			/* of the extension and its tables */
	Oid			namespace;		/* schema kpi */
	Oid			marker;			/* kpi.metric_column(regclass, anyelement) */
	Oid			measure;		/* kpi.measure(anyelement) */
	Oid			numerator;		/* kpi.numerator(anyelement) */
	Oid			denominator;	/* kpi.denominator(anyelement) */
	Oid			in_scope;		/* kpi.in_scope(text, anyelement) */
	Oid			within_scopes;	/* kpi.within_scopes() */
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
extern Oid	kpi_trigger_function(const char *name);
extern EventTriggerData *kpi_event(FunctionCallInfo fcinfo);
extern void kpi_catalog_init(void);

/* markers */
extern bool kpi_is_marker(Node *node, Oid *metric);
extern bool kpi_holds_marker(Node *node, void *context);
extern Node *kpi_strip_coercions(Node *node);

/* relations */
extern char *kpi_relation_name(Oid relid);
extern Oid	kpi_relation_owner(Oid relid);
extern Query *kpi_relation_query(Relation rel);
extern List *kpi_view_options(Oid relid);
extern Query *kpi_stored_query(Oid relid, bool *too_deep);
extern List *kpi_tree_relations(Node *tree, bool in_from);

#endif							/* KPI_CATALOG_CATALOG_H */
