/*
 * measure.h
 *		What the parts of the measure rewriting share.
 *
 * src/measure/measure.h
 */
#ifndef KPI_MEASURE_MEASURE_H
#define KPI_MEASURE_MEASURE_H

#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"
#include "utils/hsearch.h"

#include "metric/definition.h"

/* kpitables.carriers: may AVG, MIN and MAX carry an additive measure? */
enum CarrierMode
{
	CARRIERS_ANY,
	CARRIERS_STRICT
};

/* kpitables.ungrouped: what a measure shows in a query without aggregation */
enum UngroupedMode
{
	UNGROUPED_CONTRIBUTION,
	UNGROUPED_NULL,
	UNGROUPED_ERROR
};

extern int	kpi_carriers;
extern int	kpi_ungrouped;

/* One statement being rewritten */
typedef struct Rewrite
{
	PlannerGlobal *glob;		/* collects what inlined functions depend on */
	HTAB	   *origins;		/* of output columns followed so far */
	List	   *definitions;	/* of MetricDefinition *, loaded so far */
	List	   *placeholders;	/* of Placeholder *, added so far */
	List	   *widened;		/* of WidenedEntry *, see origin.c */
	List	   *markers;		/* of MarkerColumn *, all measure columns seen */
	bool		is_trial;		/* of what a message tells to write */
	List	   *views;			/* OIDs of metric views that were asked what
								 * they show ungrouped, */
	List	   *ungrouped;		/* and the answers */
} Rewrite;

/* A query and the queries around it, which its outer references mean */
typedef struct QueryLevel
{
	Query	   *query;
	struct QueryLevel *parent;
	Rewrite    *rewrite;
} QueryLevel;

/* A measure column of a metric view's query */
typedef struct MarkerColumn
{
	QueryLevel *level;			/* the metric view's query */
	TargetEntry *tle;
	Oid			metric;
	bool		needed;			/* is it read row by row? */
	int			ungrouped;		/* what it shows then */
} MarkerColumn;

/* Where a column of some level comes from */
typedef enum OriginKind
{
	ORIGIN_OTHER,				/* an ordinary column */
	ORIGIN_MEASURE,				/* a measure, not yet evaluated */
	ORIGIN_ROW_VALUE			/* computed from a measure of a single row */
} OriginKind;

/* What LIMIT or OFFSET does to rows, the later the worse */
typedef enum LimitEffect
{
	LIMIT_NONE,
	LIMIT_UNKNOWN,				/* a parameter, whose value we do not know */
	LIMIT_CUTS
} LimitEffect;

typedef struct PathStep
{
	QueryLevel *level;
	int			varno;			/* the entry that leads to the next step */
	struct PathStep *next;
} PathStep;

typedef struct Origin
{
	OriginKind	kind;
	const char *name;			/* of the measure's column, for messages */
	PathStep   *path;			/* from the asking level down */
	QueryLevel *view;			/* the metric view's query, at the path's end */
	TargetEntry *tle;			/* the marker's column in it */
	Oid			metric;
	const char *barrier;		/* what the measure crosses, or NULL */
} Origin;

/* measure.c */
extern void kpi_measure_init(void);

/* origin.c */
extern Origin kpi_origin_of_var(QueryLevel *level, Var *var);
extern bool kpi_find_measure(QueryLevel *level, Node *node, Origin *origin);
extern bool kpi_find_measure_or_row(QueryLevel *level, Node *node, Origin *origin);
extern bool kpi_find_output_measure(QueryLevel *level, AttrNumber attno,
									Origin *origin);
extern bool kpi_is_aggregated(Query *query);
extern Var *kpi_export(Rewrite *rewrite, Origin *origin, Node *expr);
extern Var *kpi_export_step(Rewrite *rewrite, QueryLevel *level, int varno,
							Query *query, Node *expr);
extern Node *kpi_whole_row(Rewrite *rewrite, QueryLevel *level, Var *var);
extern bool kpi_is_nullable(Query *query, int varno);
extern Query *kpi_entry_query(QueryLevel *level, RangeTblEntry *rte,
							  QueryLevel **parent);

/* limit.c */
extern LimitEffect kpi_limit_effect(Rewrite *rewrite, Node *node, bool zero_is_none);
extern LimitEffect kpi_limits_effect(Rewrite *rewrite, Query *query);
extern void kpi_require_all_rows_of(Rewrite *rewrite, Query *query,
									const char *measure);

/* computed.c */
extern bool kpi_is_computed_measure(QueryLevel *level, Node *expr);
extern Node *kpi_bring_up_computed(QueryLevel *level, Node *expr);

/* fanout.c */
extern bool kpi_counts_duplicates(Node *node, void *context);
extern bool kpi_find_fan_out(PathStep *path, QueryLevel **level, int *culprit);
extern void kpi_check_fan_out(Origin *origin, Node *expr);

/* source_fanout.c */
extern void kpi_source_fan_out_init(void);

/* expand.c */
extern void kpi_check_filter(QueryLevel *level, Aggref *agg);
extern Node *kpi_expand_aggregate(Rewrite *rewrite, QueryLevel *level, Aggref *agg);
extern int	kpi_ungrouped_of(Rewrite *rewrite, Origin *origin);
extern void kpi_need_row_value(Rewrite *rewrite, Origin *origin, bool is_read);
extern void kpi_replace_markers(Rewrite *rewrite, int first);

/* rewrite.c */
extern bool kpi_may_have_measures(Query *query);
extern bool kpi_has_measures(Query *query);
extern Node *kpi_rewrite_condition(Rewrite *rewrite, QueryLevel *level,
								   Node *condition);
extern bool kpi_rewrite_statement(Query *query, Rewrite *rewrite);

/* consume.c */
extern void kpi_check_chosen_rows(Rewrite *rewrite, Query *query);

/* remedy.c */
extern void kpi_name_view(RangeTblEntry *rte, Oid relid);
extern char *kpi_write_by_groups(Query *statement, QueryLevel *level);
extern char *kpi_write_expression(QueryLevel *level, Node *node);
extern char *kpi_write_of_group(QueryLevel *level, Node *node);
extern char *kpi_write_having(QueryLevel *level);
extern char *kpi_write_statement(Query *query);

/* inline.c */
extern void kpi_inline_functions(Rewrite *rewrite, Query *query);

#endif							/* KPI_MEASURE_MEASURE_H */
