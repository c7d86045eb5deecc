/*
 * consume.c
 *		Rows that the value of a measure chooses, and what becomes of them.
 *
 * A single row shows what it contributes to a measure, and a plain list of rows may
 * be filtered by that.  As soon as the chosen rows are aggregated, counted, made
 * distinct, compared or tested by IN or EXISTS, however far above, the answer would
 * be one about single rows where the question was about groups: "cities with a return
 * rate above 5 %" has no meaning for one order.  Such a statement is refused (M7),
 * before anything in it is replaced.
 *
 * Each query is looked at once for rows that stay a list and once for others, however
 * often it is read.
 *
 * src/measure/consume.c
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"

#include "errors.h"
#include "measure/measure.h"

/* A query that has been looked at */
typedef struct Visit
{
	Query	   *query;
	bool		consumed;
} Visit;

/* The queries below a level are walked for what becomes of their rows */
typedef struct ConsumeContext
{
	Rewrite    *rewrite;
	QueryLevel *level;
	HTAB	   *visits;
} ConsumeContext;

static void look_at_query(ConsumeContext *context, Query *query, QueryLevel *parent,
						  const char *fate);

/*
 * What a query does to the rows of its FROM that makes them more than a list; NULL if
 * nothing, and "fate" is what those above do.
 */
static const char *
fate_of_rows(Query *query, const char *fate)
{
	if (kpi_is_aggregated(query))
		return "aggregated";
	if (query->distinctClause != NIL)
		return "made distinct";
	return fate;
}

/*
 * What becomes of the rows of a subquery in an expression.
 */
static const char *
fate_in_sublink(SubLinkType type)
{
	switch (type)
	{
		case EXISTS_SUBLINK:
			return "tested by EXISTS";
		case ANY_SUBLINK:
		case ALL_SUBLINK:
			return "tested by IN, ANY or ALL";
		default:
			return "read as a value";
	}
}

/*
 * The dimensions that a query selects, as it would group by them.
 */
static char *
selected_dimensions(QueryLevel *level)
{
	StringInfoData names;
	int			count = 0;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, level->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Origin		origin;

		if (!tle->resjunk && tle->resname != NULL && !IsA(tle->expr, Const) &&
			!kpi_find_measure_or_row(level, (Node *) tle->expr, &origin))
			appendStringInfo(&names, "%s%s", count++ > 0 ? ", " : "",
							 quote_identifier(tle->resname));
	}
	return count > 0 && count <= 4 && !kpi_is_aggregated(level->query) ?
		names.data : "its dimensions";
}

/*
 * Refuse rows that a measure chooses.
 */
static void
report_chosen_rows(QueryLevel *level, const char *measure, const char *by, const char *fate)
{
	char	   *name = pstrdup(quote_identifier(measure));
	char	   *dimensions = selected_dimensions(level);

	ereport(ERROR,
			(errcode(ERRCODE_KPI_MEASURE_MISUSE),
			 errmsg("measure \"%s\" in %s chooses single rows, which are then %s; choose groups: GROUP BY %s, with the condition on measure(%s) in HAVING",
					measure, by, fate, dimensions, name),
			 errdetail("A measure has its value for a group; a single row has but its contribution."),
			 errhint("In the query that reads the measure, write GROUP BY %s, and the condition on measure(%s) in HAVING.",
					 dimensions, name)));
}

/*
 * Is the order of a query's rows, of which LIMIT takes some, that of a measure?
 */
static bool
takes_by_measure(QueryLevel *level, Origin *origin)
{
	Query	   *query = level->query;
	LimitEffect effect = kpi_limits_effect(level->rewrite, query);
	ListCell   *lc;

	if (effect == LIMIT_NONE)
		return false;
	foreach(lc, query->sortClause)
	{
		if (!kpi_find_measure(level, get_sortgroupclause_expr(lfirst_node(SortGroupClause, lc),
															  query->targetList), origin))
			continue;
		if (effect == LIMIT_CUTS)
			return true;
		kpi_require_all_rows_of(level->rewrite, query, origin->name);
	}
	return false;
}

/*
 * Walker: the subqueries in the expressions of a level.
 */
static bool
look_at_sublinks(Node *node, ConsumeContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
	{
		SubLink    *sublink = (SubLink *) node;

		look_at_query(context, castNode(Query, sublink->subselect), context->level,
					  fate_in_sublink(sublink->subLinkType));
		return look_at_sublinks(sublink->testexpr, context);
	}
	if (IsA(node, Query))
		return false;			/* in FROM or WITH: the caller looks at those */
	return expression_tree_walker(node, look_at_sublinks, context);
}

/*
 * Look at the queries that a level reads.
 */
static void
look_below(ConsumeContext *context, const char *fate)
{
	QueryLevel *level = context->level;
	ListCell   *lc;

	foreach(lc, level->query->rtable)
	{
		QueryLevel *parent;
		Query	   *query = kpi_entry_query(level, lfirst_node(RangeTblEntry, lc), &parent);

		if (query != NULL)
			look_at_query(context, query, parent, fate);
	}
	(void) query_tree_walker(level->query, look_at_sublinks, context,
							 QTW_IGNORE_RT_SUBQUERIES | QTW_IGNORE_CTE_SUBQUERIES |
							 QTW_IGNORE_JOINALIASES);
}

/*
 * Does a set operation, or one below it, do more than append rows?
 */
static bool
compares_rows(Node *node)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;

	return node != NULL && IsA(node, SetOperationStmt) &&
		(operation->op != SETOP_UNION || !operation->all ||
		 compares_rows(operation->larg) || compares_rows(operation->rarg));
}

/*
 * Look at a query whose rows have a fate, or are a list if that is NULL.
 */
static void
look_at_query(ConsumeContext *context, Query *query, QueryLevel *parent, const char *fate)
{
	QueryLevel *level;
	ConsumeContext inner = *context;
	Visit		visit;
	bool		found;
	const char *fate_below;
	Origin		origin;

	check_stack_depth();

	memset(&visit, 0, sizeof(visit));
	visit.query = query;
	visit.consumed = fate != NULL;
	(void) hash_search(context->visits, &visit, HASH_ENTER, &found);
	if (found)
		return;

	level = palloc(sizeof(QueryLevel));
	level->query = query;
	level->parent = parent;
	level->rewrite = context->rewrite;
	inner.level = level;
	fate_below = compares_rows(query->setOperations) ? "compared by a set operation" :
		fate_of_rows(query, fate);

	/*
	 * in the WHERE of a query that aggregates, a measure itself is refused
	 * later
	 */
	if (fate_below != NULL &&
		!(kpi_is_aggregated(query) &&
		  kpi_find_measure(level, (Node *) query->jointree, &origin)) &&
		kpi_find_measure_or_row(level, (Node *) query->jointree, &origin))
		report_chosen_rows(level, origin.name, "WHERE or ON", fate_below);
	if (fate != NULL && takes_by_measure(level, &origin))
		report_chosen_rows(level, origin.name, "ORDER BY with LIMIT", fate);
	look_below(&inner, fate_below);
}

/*
 * Refuse a statement in which rows that a measure chooses are more than a list.
 */
void
kpi_check_chosen_rows(Rewrite *rewrite, Query *query)
{
	ConsumeContext context = {rewrite};
	HASHCTL		control = {0};

	control.keysize = sizeof(Visit);
	control.entrysize = sizeof(Visit);
	control.hcxt = CurrentMemoryContext;
	context.visits = hash_create("kpitables chosen rows", 16, &control,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	look_at_query(&context, query, NULL, NULL);
	hash_destroy(context.visits);
}
