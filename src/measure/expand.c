/*
 * expand.c
 *		Replacing one aggregate over a measure by the metric's expression.
 *
 * measure(m), and the SUM, AVG, MIN, MAX and COUNT by which BI tools say the
 * same (M8), become the metric's own aggregates, evaluated at the group at hand;
 * numerator(m) and denominator(m) become those of one part of a ratio.  Their
 * columns are brought up along the measure's path, their filters are AND-ed
 * with what the caller adds, and the result is cast to the type that the parser
 * promised.
 *
 * Measure columns that are read row by row become contributions (M10), once all
 * aggregates of the statement have been replaced.
 *
 * src/measure/expand.c
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "catalog/registry.h"
#include "compat.h"
#include "errors.h"
#include "measure/argument.h"
#include "measure/measure.h"
#include "metric/additivity.h"
#include "metric/ratio.h"

/* How an aggregate asks for a measure */
typedef enum Carrier
{
	CARRIER_NONE,				/* not at all */
	CARRIER_MEASURE,			/* or NUMERATOR, DENOMINATOR */
	CARRIER_SUM,
	CARRIER_COUNT,
	CARRIER_OTHER				/* AVG, MIN, MAX */
} Carrier;

/* A view that was noted as read in some query */
typedef struct Placeholder
{
	Query	   *query;
	int			rti;			/* of its entry there */
	Oid			relid;
	Oid			check_as_user;
} Placeholder;

/*
 * Which carrier is an aggregate?
 */
static Carrier
carrier_of(Aggref *agg)
{
	char	   *name;

	if (kpi_evaluates(kpi_require_objects(), agg->aggfnoid))
		return CARRIER_MEASURE;
	if (agg->aggfnoid == F_COUNT_ANY)
		return CARRIER_COUNT;
	if (get_func_namespace(agg->aggfnoid) != PG_CATALOG_NAMESPACE ||
		list_length(agg->aggargtypes) != 1)
		return CARRIER_NONE;
	name = get_func_name(agg->aggfnoid);
	if (strcmp(name, "sum") == 0)
		return CARRIER_SUM;
	if (strcmp(name, "avg") == 0 || strcmp(name, "min") == 0 || strcmp(name, "max") == 0)
		return CARRIER_OTHER;
	return CARRIER_NONE;
}

/*
 * How to ask for the value that an aggregate was to give: for the same part of a
 * ratio, or by measure().
 */
static char *
governed_call(Aggref *agg, Origin *origin)
{
	bool		is_ours = kpi_evaluates(kpi_require_objects(), agg->aggfnoid);

	return psprintf("%s(%s)", is_ours ? get_func_name(agg->aggfnoid) : "measure",
					quote_identifier(origin->name));
}

/*
 * Raise the error for a measure in a place of an aggregate where it means
 * nothing.
 */
static void
report_misuse(QueryLevel *level, Origin *origin, Aggref *agg)
{
	char	   *function = get_func_name(agg->aggfnoid);
	char	   *measure = governed_call(agg, origin);
	bool		is_own = kpi_evaluates(kpi_require_objects(), agg->aggfnoid);
	bool		is_users = !is_own && get_func_namespace(agg->aggfnoid) != PG_CATALOG_NAMESPACE;
	char	   *instead;

	if (is_users)
		function = quote_qualified_identifier(get_namespace_name(get_func_namespace(agg->aggfnoid)),
											  function);
	if (carrier_of(agg) == CARRIER_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("%s() over measure \"%s\" has no governed meaning; write %s, or that in a subquery at a finer grain and %s() of its result",
						function, origin->name, measure, function),
				 errhint("Query %s at a finer grain in a subquery, and apply %s() to its result.",
						 measure, function),
				 is_users ? errdetail("It is an aggregate that somebody defined: only SUM, AVG, MIN, MAX and COUNT of PostgreSQL itself stand for the value of a measure.") : 0));
	instead = kpi_write_of_group(level, (Node *) linitial_node(TargetEntry, agg->args)->expr);
	if (instead != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("measure \"%s\" must be the direct argument of %s(); write: %s",
						origin->name, function, instead),
				 errhint("Compute with the value of the group instead.")));
	ereport(ERROR,
			(errcode(ERRCODE_KPI_MEASURE_MISUSE),
			 errmsg("measure \"%s\" must be the direct argument of %s(); write %s FILTER (WHERE ...) for a condition on dimensions, or GROUP BY what it is computed with in a subquery first",
					origin->name, function, measure),
			 errhint("A measure has its value for a group; it is computed with that value.")));
}

/*
 * Does an aggregate merely collect its input?  It may do so with what a query below
 * made of single rows, as clients do that fetch rows as JSON.
 */
static bool
collects(Aggref *agg)
{
	static const char *const collectors[] = {"json_agg", "jsonb_agg", "array_agg",
	"json_object_agg", "jsonb_object_agg", "xmlagg", "string_agg"};
	char	   *name;

	if (agg->aggdistinct != NIL ||
		get_func_namespace(agg->aggfnoid) != PG_CATALOG_NAMESPACE)
		return false;
	name = get_func_name(agg->aggfnoid);
	for (int i = 0; i < lengthof(collectors); i++)
		if (strcmp(name, collectors[i]) == 0)
			return true;
	return false;
}

/*
 * Does an aggregate count whole rows as they are?
 */
static bool
counts_rows(Aggref *agg)
{
	Var		   *row;

	if (agg->aggfnoid != F_COUNT_ANY || agg->aggdistinct != NIL)
		return false;
	row = (Var *) linitial_node(TargetEntry, agg->args)->expr;
	return IsA(row, Var) && row->varattno == 0;
}

/*
 * An aggregate that does not evaluate a measure must not read one anywhere, be it
 * taken out of a whole row.
 */
static void
check_plain_aggregate(QueryLevel *level, Aggref *agg)
{
	Origin		origin;

	if (kpi_find_measure(level, (Node *) agg->args, &origin) &&
		!(origin.kind == ORIGIN_ROW_VALUE && collects(agg)))
		report_misuse(level, &origin, agg);
	if (kpi_find_measure(level, (Node *) agg->aggdirectargs, &origin))
		report_misuse(level, &origin, agg);
	if (!collects(agg) && !counts_rows(agg) &&
		kpi_find_measure_or_row(level, (Node *) agg->args, &origin))
		report_misuse(level, &origin, agg);
}

/*
 * The condition of an aggregate takes dimensions only: a measure has no value
 * for a single row.
 */
static void
check_condition(QueryLevel *level, Node *condition)
{
	Origin		origin;

	if (condition != NULL && kpi_find_measure_or_row(level, condition, &origin))
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("measure \"%s\" cannot be in the condition of an aggregate; choose groups by a condition on measure(%s) in HAVING",
						origin.name, quote_identifier(origin.name)),
				 errhint("Conditions of an aggregate take dimensions.")));
}

/*
 * Do rows get lost on the way by the value of a measure?  That is a condition
 * on single rows, and the governed value of what is left has no meaning.
 */
static void
check_path_filters(Origin *origin)
{
	for (PathStep *step = origin->path; step != NULL; step = step->next)
	{
		Origin		found;

		if (kpi_find_measure(step->level, (Node *) step->level->query->jointree, &found))
			ereport(ERROR,
					(errcode(ERRCODE_KPI_MEASURE_MISUSE),
					 errmsg("rows of measure \"%s\" are filtered by measure \"%s\" before they are aggregated; choose groups by a condition on measure(%s) in HAVING",
							origin->name, found.name, quote_identifier(found.name)),
					 errhint("Filter groups by HAVING instead of rows by WHERE.")));
	}
}

/*
 * Refuse a measure that crosses what changes the rows.
 */
static void
check_barrier(Aggref *agg, Origin *origin)
{
	if (origin->barrier != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("measure \"%s\" crosses %s before it is aggregated; write %s with GROUP BY in the inner query",
						origin->name, origin->barrier, governed_call(agg, origin)),
				 errhint("Evaluate it before rows are taken away or put together.")));
}

/*
 * Refuse what M7 and M8 refuse of an aggregate over a measure.
 */
static void
check_governed(QueryLevel *level, Aggref *agg, Carrier carrier, CarrierArgument *arg,
			   Origin *origin, MetricDefinition *definition)
{
	const char *function = get_func_name(agg->aggfnoid);

	if (agg->aggorder != NIL ||
		(agg->aggdistinct != NIL &&
		 !(carrier == CARRIER_COUNT && kpi_counts_distinct(definition->expr))))
	{
		if (carrier == CARRIER_COUNT)
			ereport(ERROR,
					(errcode(ERRCODE_KPI_MEASURE_MISUSE),
					 errmsg("COUNT(DISTINCT) over measure \"%s\" has no governed meaning; count distinct values of a dimension, or query measure(%s) in a subquery and count its results",
							origin->name, quote_identifier(origin->name)),
					 errhint("The values of a measure are those of groups.")));
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("DISTINCT and ORDER BY have no meaning in %s() over measure \"%s\"; write: %s",
						function, origin->name, governed_call(agg, origin)),
				 errhint("A measure has one value for a group.")));
	}
	check_barrier(agg, origin);
	if (carrier == CARRIER_COUNT && !kpi_counts(definition->expr))
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("COUNT(%s) has no governed meaning, for the measure does not count; write count(*) for rows, or measure(%s) for the value",
						quote_identifier(origin->name), quote_identifier(origin->name)),
				 errhint("COUNT stands for the value of measures that count.")));
	if (carrier == CARRIER_OTHER && kpi_carriers == CARRIERS_STRICT &&
		kpi_sums_up(definition->expr))
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("measure \"%s\" is additive: %s() is not its value; write: measure(%s)",
						origin->name, function, quote_identifier(origin->name)),
				 errhint("sum() is its value, too, and with kpitables.carriers set to \"any\" so is %s().", function)));
	if (arg->gives_zero && (carrier != CARRIER_SUM || !kpi_sums_up(definition->expr)))
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("0 has no meaning beside measure \"%s\" in %s(); write NULL for 0, or measure(%s) FILTER (WHERE ...)",
						origin->name, function, quote_identifier(origin->name)),
				 errdetail("Zero for single rows is neutral in a sum of an additive measure only."),
				 errhint("Write NULL for 0, or measure(%s) FILTER (WHERE ...).",
						 quote_identifier(origin->name))));
	if (arg->scaled != NULL && (carrier == CARRIER_COUNT || !kpi_sums_up(definition->expr)))
		report_misuse(level, origin, agg);
	check_path_filters(origin);
}

/*
 * The definition of a metric, loaded once a statement.
 */
static MetricDefinition *
statement_definition(Rewrite *rewrite, Oid metric)
{
	MetricDefinition *definition;
	ListCell   *lc;

	foreach(lc, rewrite->definitions)
	{
		definition = lfirst(lc);
		if (definition->metric == metric)
			return definition;
	}
	definition = kpi_load_definition(metric);
	rewrite->definitions = lappend(rewrite->definitions, definition);
	return definition;
}

/*
 * What an aggregate asks for: the metric's expression, or a part of it.
 */
static Node *
asked_expression(Aggref *agg, Origin *origin, MetricDefinition *definition)
{
	const KpiObjects *kpi = kpi_require_objects();
	MetricRatio *ratio;

	if (agg->aggfnoid != kpi->numerator && agg->aggfnoid != kpi->denominator)
		return definition->expr;
	ratio = kpi_ratio_of(definition->expr);
	if (ratio == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("metric %s is no ratio and has no %s; write: measure(%s)",
						kpi_relation_name(definition->metric),
						get_func_name(agg->aggfnoid), quote_identifier(origin->name)),
				 errdetail("A ratio is an average, or one expression that sums up divided by another."),
				 errhint("kpi.is_ratio() tells which metrics are ratios.")));
	return agg->aggfnoid == kpi->numerator ? ratio->numerator : ratio->denominator;
}

/*
 * Note that a query reads columns of a view, by one entry for each role that it is
 * read as: whatever reads more columns adds them, so that all are checked.
 */
static void
add_placeholder(Rewrite *rewrite, Query *query, Oid relid, Oid check_as_user,
				Bitmapset *columns)
{
	Placeholder *placeholder;
	ListCell   *lc;

	foreach(lc, rewrite->placeholders)
	{
		placeholder = lfirst(lc);
		if (placeholder->query == query && placeholder->relid == relid &&
			placeholder->check_as_user == check_as_user)
		{
			kpi_compat_widen_placeholder(query, placeholder->rti, columns);
			return;
		}
	}
	kpi_compat_add_placeholder(query, relid, get_rel_name(relid), check_as_user,
							   columns);
	placeholder = palloc(sizeof(Placeholder));
	placeholder->query = query;
	placeholder->rti = list_length(query->rtable);
	placeholder->relid = relid;
	placeholder->check_as_user = check_as_user;
	rewrite->placeholders = lappend(rewrite->placeholders, placeholder);
}

/*
 * A measure column promises a type, and so do all columns that it passes on its way:
 * the metric must have it, or values of one type would be read as another's (S7).  A
 * marker that somebody wrote by hand may promise anything.
 */
static void
check_promised_type(TargetEntry *tle, MetricDefinition *definition)
{
	Oid			column = exprType((Node *) tle->expr);
	Oid			marker = exprType(kpi_strip_coercions((Node *) tle->expr));
	Oid			metric = exprType(definition->expr);

	if (column == metric && marker == metric)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_KPI_SOURCE_MISMATCH),
			 errmsg("column \"%s\" has type %s, but metric %s has type %s",
					tle->resname, format_type_be(column == metric ? marker : column),
					kpi_relation_name(definition->metric), format_type_be(metric)),
			 errhint("Create the metric view again with kpi.create_metric_view().")));
}

/*
 * Tie a metric view's query to a metric that it evaluates: check that both read
 * the same relation and agree on the type, and leave what the plan depends on.
 * Returns the entry of the source in the query.
 */
static int
bind_metric(Rewrite *rewrite, Query *query, TargetEntry *tle,
			MetricDefinition *definition)
{
	int			rti = kpi_single_from_entry(query);
	RangeTblEntry *source = rti > 0 ? rt_fetch(rti, query->rtable) : NULL;
	Oid			user;
	ListCell   *lc;

	if (source == NULL || !OidIsValid(definition->source) ||
		kpi_compat_rte_relation(source) != definition->source)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_SOURCE_MISMATCH),
				 errmsg("metric %s and its metric view do not have the same source",
						kpi_relation_name(definition->metric)),
				 errhint("Create the metric view again with kpi.create_metric_view().")));
	check_promised_type(tle, definition);

	user = kpi_compat_check_as_user(query, source);
	add_placeholder(rewrite, query, definition->metric, user,
					bms_make_singleton(1 - FirstLowInvalidHeapAttributeNumber));
	foreach(lc, definition->reads)
	{
		DefinitionRead *read = lfirst(lc);

		add_placeholder(rewrite, query, read->relid, read->check_as_user,
						read->columns);
	}
	return rti;
}

/* A definition on its way into a query */
typedef struct BindContext
{
	Rewrite    *rewrite;
	Query	   *view;
	int			rti;			/* the source in the metric view's query */
	Origin	   *origin;			/* bring columns up along this, if not NULL */
} BindContext;

/*
 * Replace the source's columns in a definition by those at hand.
 */
static Node *
bind_mutator(Node *node, BindContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = copyObject((Var *) node);

		var->varno = var->varnosyn = context->rti;
		kpi_compat_select_column(context->view,
								 rt_fetch(context->rti, context->view->rtable),
								 var->varattno);
		if (context->origin != NULL)
			var = kpi_export(context->rewrite, context->origin, (Node *) var);
		return (Node *) var;
	}
	return expression_tree_mutator(node, bind_mutator, context);
}

/*
 * Can a row reach the aggregation that holds no row of the metric view?
 */
static bool
may_be_absent(Origin *origin)
{
	for (PathStep *step = origin->path; step != NULL; step = step->next)
		if (kpi_is_nullable(step->level->query, step->varno))
			return true;
	return false;
}

/*
 * count(*), with a filter
 */
static Aggref *
make_count(Node *filter)
{
	Aggref	   *agg = makeNode(Aggref);

	agg->aggfnoid = F_COUNT_;
	agg->aggtype = INT8OID;
	agg->aggstar = true;
	agg->aggkind = AGGKIND_NORMAL;
	agg->aggfilter = (Expr *) filter;
	agg->aggsplit = AGGSPLIT_SIMPLE;
	agg->aggno = -1;
	agg->aggtransno = -1;
	agg->location = -1;
	return agg;
}

/*
 * SUM(CASE WHEN p THEN m ELSE 0 END): zero for a group that has rows that give either
 * but no value, NULL for no such rows, as the words say (M4).
 */
static Node *
zero_if_rows(Node *value, Node *filter, Index levelsup)
{
	Oid			type = exprType(value);
	CoalesceExpr *coalesce = makeNode(CoalesceExpr);
	CaseExpr   *expr = makeNode(CaseExpr);
	CaseWhen   *when = makeNode(CaseWhen);
	Aggref	   *count = make_count(copyObject(filter));
	Node	   *zero;

	zero = kpi_zero_of_type(type);
	if (zero == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("0 has no meaning beside a measure of type %s", format_type_be(type))));

	coalesce->coalescetype = type;
	coalesce->coalescecollid = exprCollation(value);
	coalesce->args = list_make2(value, zero);
	coalesce->location = -1;

	count->agglevelsup = levelsup;
	when->expr = make_opclause(Int8LessOperator, BOOLOID, false,
							   (Expr *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
												  Int64GetDatum(0), false, FLOAT8PASSBYVAL),
							   (Expr *) count, InvalidOid, InvalidOid);
	set_opfuncid((OpExpr *) when->expr);
	when->result = (Expr *) coalesce;
	when->location = -1;
	expr->casetype = type;
	expr->casecollid = exprCollation(value);
	expr->args = list_make1(when);
	expr->defresult = (Expr *) makeNullConst(type, -1, exprCollation(value));
	expr->location = -1;
	return (Node *) expr;
}

/*
 * Cast a governed value to the type that the parser gave the aggregate.
 */
static Node *
coerce_to_aggregate(Node *value, Aggref *agg, Origin *origin)
{
	Oid			type = exprType(value);
	Node	   *result = value;

	if (type != agg->aggtype)
		result = coerce_to_target_type(NULL, value, type, agg->aggtype, -1,
									   COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("measure \"%s\" of type %s has no %s() of type %s; write: measure(%s)",
						origin->name, format_type_be(type),
						get_func_name(agg->aggfnoid), format_type_be(agg->aggtype),
						quote_identifier(origin->name)),
				 errhint("measure() has the type of the measure.")));

	/* an aggregate promises a type without modifier */
	if (exprTypmod(result) >= 0)
		result = (Node *) makeRelabelType((Expr *) result, agg->aggtype, -1,
										  exprCollation(result), COERCE_IMPLICIT_CAST);
	return result;
}

/*
 * Refuse a measure in an aggregate's FILTER, before anything is replaced in it.
 */
void
kpi_check_filter(QueryLevel *level, Aggref *agg)
{
	check_condition(level, (Node *) agg->aggfilter);
}

/*
 * The argument of an aggregate, with what queries below computed with a measure written
 * out in it; itself, if there is no such thing.
 */
static Node *
bring_up_computed(QueryLevel *level, Aggref *agg, Node *expr)
{
	Var		   *var = kpi_read_argument(expr).measure;
	Origin		origin = {0};

	if (var != NULL)
		origin = kpi_origin_of_var(level, var);
	if (origin.kind != ORIGIN_ROW_VALUE || !kpi_is_computed_measure(level, expr))
		return expr;
	check_barrier(agg, &origin);
	return kpi_bring_up_computed(level, expr);
}

/*
 * Let the queries that a measure crosses be executed only with all their rows, where a
 * parameter decides.
 */
static void
require_all_rows(Rewrite *rewrite, Origin *origin)
{
	for (PathStep *step = origin->path; step != NULL; step = step->next)
		kpi_require_all_rows_of(rewrite, step->next ? step->next->level->query : origin->view->query,
								origin->name);
}

/*
 * Replace an aggregate over a measure; measures in subqueries of its FILTER have
 * been replaced.  Returns NULL for an aggregate that has nothing to do with
 * measures.
 */
Node *
kpi_expand_aggregate(Rewrite *rewrite, QueryLevel *level, Aggref *agg)
{
	Node	   *filter = (Node *) agg->aggfilter;
	Carrier		carrier = carrier_of(agg);
	CarrierArgument arg = {0};
	Origin		origin = {0};
	MetricDefinition *definition;
	BindContext bind;
	Node	   *asked;
	Node	   *value;

	if (carrier != CARRIER_NONE)
	{
		Node	   *expr = (Node *) linitial_node(TargetEntry, agg->args)->expr;

		if (carrier != CARRIER_MEASURE)
			expr = bring_up_computed(level, agg, expr);
		arg = kpi_read_argument(expr);
		if (arg.measure != NULL && (arg.is_direct || carrier != CARRIER_MEASURE))
			origin = kpi_origin_of_var(level, arg.measure);
	}
	if (origin.kind != ORIGIN_MEASURE)
	{
		check_plain_aggregate(level, agg);
		if (carrier == CARRIER_MEASURE)
			ereport(ERROR,
					(errcode(ERRCODE_KPI_MEASURE_MISUSE),
					 errmsg("argument of %s() is not a measure", get_func_name(agg->aggfnoid)),
					 errhint("Give it a measure column of a metric view; kpi.measures lists them.")));
		return NULL;
	}
	if (arg.measure->varlevelsup != agg->agglevelsup)
		origin.barrier = "the boundary of a subquery";

	definition = statement_definition(rewrite, origin.metric);
	check_condition(level, arg.condition);
	arg.condition = kpi_rewrite_condition(rewrite, level, arg.condition);
	check_governed(level, agg, carrier, &arg, &origin, definition);

	asked = asked_expression(agg, &origin, definition);
	kpi_check_fan_out(&origin, asked);
	require_all_rows(rewrite, &origin);

	bind.rewrite = rewrite;
	bind.view = origin.view->query;
	bind.rti = bind_metric(rewrite, bind.view, origin.tle, definition);
	bind.origin = &origin;
	value = bind_mutator(asked, &bind);

	if (may_be_absent(&origin))
	{
		Node	   *present = (Node *) kpi_export(rewrite, &origin,
												  makeBoolConst(true, false));

		value = kpi_and_filter(value, present);
	}
	/* what is above was made for the aggregate's level; the rest stands here */
	IncrementVarSublevelsUp(value, agg->agglevelsup, 0);
	value = kpi_and_filter(value, make_and_qual(copyObject(filter),
												copyObject(arg.condition)));
	value = kpi_scale_as(&arg, value);
	if (arg.gives_zero)
	{
		arg.counted = kpi_rewrite_condition(rewrite, level, arg.counted);
		value = zero_if_rows(value, make_and_qual(copyObject(filter), arg.counted),
							 agg->agglevelsup);
	}
	return coerce_to_aggregate(value, agg, &origin);
}

/*
 * The metric view that a measure comes from, or InvalidOid.
 */
static Oid
origin_view(Origin *origin)
{
	PathStep   *step = origin->path;

	if (step == NULL)
		return InvalidOid;
	while (step->next != NULL)
		step = step->next;
	return kpi_compat_rte_relation(rt_fetch(step->varno, step->level->query->rtable));
}

/*
 * Take what a metric view wants its measures to show.
 */
static void
take_ungrouped(HeapTuple row, TupleDesc desc, void *arg)
{
	int		   *ungrouped = arg;
	bool		isnull;
	Datum		value = kpi_row_named(row, desc, "ungrouped", &isnull);
	char	   *word = isnull ? "" : TextDatumGetCString(value);

	*ungrouped = strcmp(word, "error") == 0 ? UNGROUPED_ERROR :
		strcmp(word, "null") == 0 ? UNGROUPED_NULL : UNGROUPED_CONTRIBUTION;
}

/*
 * What a metric view wants its measures to show in rows that are not aggregated.
 */
static int
ungrouped_of_view(Oid view)
{
	int			result = UNGROUPED_CONTRIBUTION;

	(void) kpi_registry_find_oid("metric_view_registry", "relid", view, take_ungrouped, &result);
	return result;
}

/*
 * What a measure shows in rows that are not aggregated: the stricter of what its metric
 * view wants and what the session does.
 */
int
kpi_ungrouped_of(Rewrite *rewrite, Origin *origin)
{
	Oid			view = origin_view(origin);
	ListCell   *lc;
	ListCell   *lc2;
	int			answer;

	if (kpi_ungrouped == UNGROUPED_ERROR || !OidIsValid(view))
		return kpi_ungrouped;
	forboth(lc, rewrite->views, lc2, rewrite->ungrouped)
	{
		if (lfirst_oid(lc) == view)
			return Max(kpi_ungrouped, lfirst_int(lc2));
	}
	answer = ungrouped_of_view(view);
	rewrite->views = lappend_oid(rewrite->views, view);
	rewrite->ungrouped = lappend_int(rewrite->ungrouped, answer);
	return Max(kpi_ungrouped, answer);
}

/*
 * A measure column is read row by row, without aggregation (M10); or it may be, if that
 * is for a column that something above may aggregate.
 */
void
kpi_need_row_value(Rewrite *rewrite, Origin *origin, bool is_read)
{
	int			ungrouped = kpi_ungrouped_of(rewrite, origin);
	ListCell   *lc;

	if (ungrouped == UNGROUPED_ERROR && is_read)
		ereport(ERROR,
				(errcode(ERRCODE_KPI_MEASURE_MISUSE),
				 errmsg("measure \"%s\" is read without aggregation; write measure(%s), with GROUP BY for the other columns",
						origin->name, quote_identifier(origin->name)),
				 kpi_ungrouped == UNGROUPED_ERROR ?
				 errdetail("kpitables.ungrouped is \"error\".") :
				 errdetail("So its metric view %s wants it (ungrouped => 'error').",
						   kpi_relation_name(origin_view(origin))),
				 errhint("Write measure(%s), with GROUP BY for the other columns.",
						 quote_identifier(origin->name))));

	foreach(lc, rewrite->markers)
	{
		MarkerColumn *marker = lfirst(lc);

		if (marker->tle != origin->tle)
			continue;
		marker->needed = true;
		marker->ungrouped = ungrouped;
	}
}

/*
 * Put an expression where the marker of a measure column stands.
 */
static Node *
replace_marker_mutator(Node *node, Node *value)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, FuncExpr) &&
		((FuncExpr *) node)->funcid == kpi_require_objects()->marker)
		return value;
	return expression_tree_mutator(node, replace_marker_mutator, (void *) value);
}

/*
 * Replace the markers from the given one on, and forget them: by the row's
 * contribution to an additive measure that is read row by row, by NULL
 * otherwise.
 */
void
kpi_replace_markers(Rewrite *rewrite, int first)
{
	ListCell   *lc;

	for_each_from(lc, rewrite->markers, first)
	{
		MarkerColumn *marker = lfirst(lc);
		Node	   *expr = kpi_strip_coercions((Node *) marker->tle->expr);
		Node	   *value = (Node *) makeNullConst(exprType(expr), -1,
												   exprCollation(expr));

		if (marker->needed && marker->ungrouped == UNGROUPED_CONTRIBUTION)
		{
			MetricDefinition *definition = statement_definition(rewrite, marker->metric);
			Query	   *query = marker->level->query;
			BindContext bind = {rewrite, query, 0, NULL};

			bind.rti = bind_metric(rewrite, query, marker->tle, definition);
			if (kpi_sums_up(definition->expr))
				value = bind_mutator(kpi_contribution(definition->expr), &bind);
		}
		marker->tle->expr = (Expr *) replace_marker_mutator((Node *) marker->tle->expr,
															value);
	}
	rewrite->markers = list_truncate(rewrite->markers, first);
}
