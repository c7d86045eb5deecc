/*
 * derive.c
 *		Column lineage of a query, read from its tree.
 *
 * Each output column of a query comes from columns of the relations and
 * functions that the query names: by its value, or because it decides which
 * rows and values count.  What a query does to its rows as a whole (WHERE, JOIN,
 * GROUP BY, ORDER BY) is said of the target's rows, column 0.  Subqueries, CTEs
 * and joins inside the query are passed through; views, materialized views and
 * functions are not, for they have lineage of their own.
 *
 * The trees are those that PostgreSQL stores, so names, types and "*" have been
 * resolved, and nothing is guessed from text.
 *
 * src/lineage/derive.c
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "catalog/catalog.h"
#include "lineage/derive.h"

static void follow_output(Place *place, AttrNumber column);

/*
 * The CTE that an entry names, and the level that defines it.
 */
Query *
kpi_find_cte(Level *level, RangeTblEntry *rte, Level **definer)
{
	ListCell   *lc;

	for (Index up = rte->ctelevelsup; up > 0 && level != NULL; up--)
		level = level->parent;
	if (level == NULL)
		elog(ERROR, "could not find the query of CTE \"%s\"", rte->ctename);
	*definer = level;
	foreach(lc, level->query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (strcmp(cte->ctename, rte->ctename) == 0)
			return castNode(Query, cte->ctequery);
	}
	elog(ERROR, "could not find CTE \"%s\"", rte->ctename);
	return NULL;
}

/*
 * What a query puts out.
 */
static List *
output_list(Query *query)
{
	return query->commandType == CMD_SELECT ? query->targetList : query->returningList;
}

/*
 * A column, or for 0 the rows, of the result of a function that may read tables: the
 * function's own, and what goes into it.  A result whose columns only the call tells
 * is one column of the function.
 */
static void
follow_result(Place *place, Place *arguments, FuncExpr *call, AttrNumber attnum)
{
	AttrNumber	last = llast_int(kpi_function_columns(call->funcid));

	kpi_flows_from(place, ProcedureRelationId, call->funcid, attnum > last ? 1 : attnum);
	kpi_add_default_arguments(call, arguments);
	(void) kpi_find_sources((Node *) call->args, arguments);
}

/*
 * A column, or for 0 the rows, of a function in FROM.  The types of columns that the
 * call tells are those that values are made of.
 */
void
kpi_follow_function_column(Place *place, Place *arguments, RangeTblEntry *rte, AttrNumber attnum)
{
	ListCell   *lc;
	int			before = 0;

	foreach(lc, rte->functions)
	{
		RangeTblFunction *function = lfirst_node(RangeTblFunction, lc);

		if (attnum == 0 || (attnum > before && attnum <= before + function->funccolcount))
		{
			FuncExpr   *call = (FuncExpr *) function->funcexpr;

			if (IsA(call, FuncExpr) && kpi_may_read_tables(call->funcid))
				follow_result(place, arguments, call, attnum == 0 ? 0 : attnum - before);
			else
				(void) kpi_find_sources(function->funcexpr, arguments);
			if (attnum > 0 && function->funccoltypes != NIL)
				kpi_add_type(list_nth_oid(function->funccoltypes, attnum - before - 1), TYPE_IN, place);
		}
		before += function->funccolcount;
	}
}

/*
 * A column of XMLTABLE and the like: everything that it is read with.
 */
void
kpi_follow_table_function(Place *place, TableFunc *function, AttrNumber attnum)
{
	Place		row = kpi_place_for_purpose(place, LINEAGE_FILTER);

	(void) kpi_find_sources(function->docexpr, place);
	(void) kpi_find_sources(function->rowexpr, &row);
	(void) kpi_find_sources((Node *) function->ns_uris, &row);
	if (attnum > 0 && attnum <= list_length(function->colexprs))
	{
		(void) kpi_find_sources(list_nth(function->colexprs, attnum - 1), place);
		(void) kpi_find_sources(list_nth(function->coldefexprs, attnum - 1), place);
		kpi_add_type(list_nth_oid(function->coltypes, attnum - 1), TYPE_IN, place);
	}
}

/*
 * The columns that SEARCH and then CYCLE add to a CTE come from those that the
 * clause names.
 */
static void
follow_search_or_cycle(Place *place, RangeTblEntry *rte, AttrNumber attnum,
					   Level *definer, Query *query)
{
	ListCell   *lc;

	foreach(lc, definer->query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);
		List	   *names = NIL;
		ListCell   *name;

		if (strcmp(cte->ctename, rte->ctename) != 0)
			continue;
		if (cte->search_clause != NULL && attnum == list_length(query->targetList) + 1)
			names = cte->search_clause->search_col_list;
		else if (cte->cycle_clause != NULL)
			names = cte->cycle_clause->cycle_col_list;
		foreach(name, names)
		{
			int			column = 1;
			ListCell   *own;

			foreach(own, cte->ctecolnames)
			{
				if (strcmp(strVal(lfirst(own)), strVal(lfirst(name))) == 0)
				{
					Place		inside = kpi_place_in_query(place, query, definer);

					follow_output(&inside, column);
				}
				column++;
			}
		}
	}
}

/*
 * A whole row of a relation is all columns that it has now, whichever it had
 * when the query was stored.
 */
static void
follow_whole_relation(Place *place, Oid relid)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(get_rel_type_id(relid), -1);

	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			kpi_flows_from_relation(place, relid, i + 1);
	}
	ReleaseTupleDesc(desc);
}

/*
 * One column of an entry of a level; 0 is the whole row.
 */
static void
follow_column(Place *place, RangeTblEntry *rte, AttrNumber attnum)
{
	Place		inside;
	Level	   *definer;
	Query	   *query;
	ListCell   *lc;

	if (attnum == 0 && rte->rtekind == RTE_RELATION)
	{
		follow_whole_relation(place, rte->relid);
		return;
	}
	if (attnum == 0 && rte->rtekind != RTE_FUNCTION)
	{
		/* a whole row is all of its columns */
		AttrNumber	column = 1;

		foreach(lc, rte->eref->colnames)
		{
			if (strVal(lfirst(lc))[0] != '\0')	/* not dropped */
				follow_column(place, rte, column);
			column++;
		}
		return;
	}

	switch (rte->rtekind)
	{
		case RTE_RELATION:
			kpi_flows_from_relation(place, rte->relid, Max(attnum, 0));
			break;
		case RTE_SUBQUERY:
			inside = kpi_place_in_query(place, rte->subquery, place->level);
			follow_output(&inside, attnum);
			break;
		case RTE_CTE:
			query = kpi_find_cte(place->level, rte, &definer);
			inside = kpi_place_in_query(place, query, definer);
			if (get_tle_by_resno(output_list(query), attnum) != NULL)
				follow_output(&inside, attnum);
			else
				follow_search_or_cycle(place, rte, attnum, definer, query);
			break;
		case RTE_JOIN:
			(void) kpi_find_sources(list_nth(rte->joinaliasvars, attnum - 1), place);
			break;
		case RTE_FUNCTION:
			kpi_follow_function_column(place, place, rte, attnum);
			break;
		case RTE_TABLEFUNC:
			kpi_follow_table_function(place, rte->tablefunc, attnum);
			break;
		case RTE_VALUES:
			foreach(lc, rte->values_lists)
				(void) kpi_find_sources(list_nth(lfirst(lc), attnum - 1), place);
			break;
		default:
			break;
	}
}

/*
 * What compares the values of a target list for a sort or group clause.
 */
static void
add_sorts(List *clause, List *targetlist, Place *place)
{
	ListCell   *lc;

	foreach(lc, clause)
		kpi_add_sort(lfirst(lc), get_sortgroupclause_expr(lfirst(lc), targetlist), place);
}

/*
 * An aggregate: what it aggregates is the value, its FILTER and ORDER BY are
 * what they say.
 */
static void
follow_aggregate(Aggref *agg, Place *place)
{
	Place		here = kpi_place_outside(place, 0);
	Place		filter = kpi_place_for_purpose(place, LINEAGE_FILTER);
	Place		order = kpi_place_for_purpose(place, LINEAGE_ORDER);
	ListCell   *lc;

	(void) kpi_find_sources((Node *) agg->aggdirectargs, place);
	foreach(lc, agg->args)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk)
			(void) kpi_find_sources((Node *) tle->expr, place);
	}
	/* WITHIN GROUP orders what it aggregates */
	if (agg->aggkind == AGGKIND_NORMAL)
	{
		foreach(lc, agg->aggorder)
			(void) kpi_find_sources(get_sortgroupclause_expr(lfirst(lc), agg->args), &order);
	}
	add_sorts(agg->aggorder, agg->args, &order);
	add_sorts(agg->aggdistinct, agg->args, place);
	(void) kpi_find_sources((Node *) agg->aggfilter, &filter);
	if (agg->aggstar)
	{
		here = kpi_place_outside(place, agg->agglevelsup);
		kpi_follow_counted_rows(&here);
	}
}

/*
 * A window function: partitions group, and the order within them orders.
 */
static void
follow_window_function(WindowFunc *function, Place *place)
{
	Place		filter = kpi_place_for_purpose(place, LINEAGE_FILTER);
	ListCell   *lc;

	(void) kpi_find_sources((Node *) function->args, place);
	(void) kpi_find_sources((Node *) function->aggfilter, &filter);
	if (function->winstar)
		kpi_follow_counted_rows(place);
	foreach(lc, place->level->query->windowClause)
	{
		WindowClause *window = lfirst_node(WindowClause, lc);

		if (window->winref != function->winref)
			continue;
		kpi_follow_clause(place, window->partitionClause, LINEAGE_GROUP);
		kpi_follow_clause(place, window->orderClause, LINEAGE_ORDER);
		(void) kpi_find_sources(window->startOffset, &filter);
		(void) kpi_find_sources(window->endOffset, &filter);
		(void) kpi_add_function(window->startInRangeFunc, &filter);
		(void) kpi_add_function(window->endInRangeFunc, &filter);
	}
}

/*
 * A subquery within an expression: its result is the value where it gives one,
 * its rows decide.
 */
static void
follow_sublink(SubLink *sublink, Place *place)
{
	Query	   *query = castNode(Query, sublink->subselect);
	Place		inside = kpi_place_in_query(place, query, place->level);
	Place		rows;

	inside.text_is_whole = place->text !=NULL;
	rows = kpi_place_for_purpose(&inside, LINEAGE_FILTER);
	(void) kpi_find_sources(sublink->testexpr, place);
	if (sublink->subLinkType != EXISTS_SUBLINK)
	{
		ListCell   *lc;
		bool		gives_value = sublink->subLinkType == EXPR_SUBLINK ||
		sublink->subLinkType == ARRAY_SUBLINK || sublink->subLinkType == MULTIEXPR_SUBLINK;

		foreach(lc, query->targetList)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, lc);

			if (!tle->resjunk)
				follow_output(gives_value ? &inside : &rows, tle->resno);
		}
	}
	kpi_follow_rows(&rows, LINEAGE_FILTER);
}

/*
 * The entry whose whole row an expression is, perhaps handed on by subqueries, or
 * NULL; the place moves to the level of the entry.
 */
static RangeTblEntry *
find_whole_row(Place *place, Node *node)
{
	for (;;)
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *rte;
		Level	   *definer;
		Query	   *query;
		TargetEntry *tle;

		kpi_spend(place->derivation, STEP_COST);
		if (!IsA(var, Var))
			return NULL;
		*place = kpi_place_outside(place, var->varlevelsup);
		definer = place->level;
		rte = rt_fetch(var->varno, definer->query->rtable);
		if (var->varattno == 0)
			return rte;
		if (rte->rtekind == RTE_SUBQUERY)
			query = rte->subquery;
		else if (rte->rtekind == RTE_CTE && !rte->self_reference)
			query = kpi_find_cte(definer, rte, &definer);
		else
			return NULL;
		tle = get_tle_by_resno(output_list(query), var->varattno);
		if (query->setOperations != NULL || tle == NULL)
			return NULL;
		*place = kpi_place_in_query(place, query, definer);
		node = (Node *) tle->expr;
	}
}

/*
 * Walker: all that an expression is computed from flows to a place.
 */
bool
kpi_find_sources(Node *node, Place *place)
{
	Oid			metric;

	if (node == NULL)
		return false;
	check_stack_depth();
	kpi_spend(place->derivation, STEP_COST);
	kpi_add_calls(node, place);

	switch (nodeTag(node))
	{
		case T_Var:
			{
				Var		   *var = (Var *) node;
				Place		here = kpi_place_outside(place, var->varlevelsup);

				follow_column(&here, rt_fetch(var->varno, here.level->query->rtable),
							  var->varattno);
				return false;
			}
		case T_FieldSelect:
			{
				FieldSelect *field = (FieldSelect *) node;
				FuncExpr   *call = (FuncExpr *) field->arg;
				RangeTblEntry *rte;
				Place		here = *place;

				if (IsA(call, FuncExpr) && kpi_may_read_tables(call->funcid))
				{
					follow_result(place, place, call, field->fieldnum);
					return false;
				}

				/* a field of a whole row is that column */
				rte = find_whole_row(&here, (Node *) field->arg);
				if (rte == NULL)
					break;
				follow_column(&here, rte, field->fieldnum);
				return false;
			}
		case T_Aggref:
			follow_aggregate((Aggref *) node, place);
			return false;
		case T_WindowFunc:
			follow_window_function((WindowFunc *) node, place);
			return false;
		case T_SubLink:
			follow_sublink((SubLink *) node, place);
			return false;
		case T_CaseExpr:
			{
				CaseExpr   *choice = (CaseExpr *) node;
				Place		condition = kpi_place_for_purpose(place, LINEAGE_FILTER);
				ListCell   *lc;

				(void) kpi_find_sources((Node *) choice->arg, &condition);
				foreach(lc, choice->args)
				{
					(void) kpi_find_sources((Node *) lfirst_node(CaseWhen, lc)->expr, &condition);
					(void) kpi_find_sources((Node *) lfirst_node(CaseWhen, lc)->result, place);
				}
				return kpi_find_sources((Node *) choice->defresult, place);
			}
		case T_FuncExpr:
			if (kpi_is_marker(node, &metric))
			{
				Place		here = *place;

				here.text = NULL;
				kpi_flows_from(&here, RelationRelationId, metric, 1);
				return false;
			}
			break;
		default:
			break;
	}
	return expression_tree_walker(node, kpi_find_sources, place);
}

/*
 * One column of all arms of a set operation.  Operations are nested as deep as there
 * are arms, and each of them asks for its arms.
 */
void
kpi_follow_set_column(Place *place, Node *arm, AttrNumber column)
{
	check_stack_depth();
	if (IsA(arm, SetOperationStmt))
	{
		SetOperationStmt *operation = (SetOperationStmt *) arm;

		if (!kpi_follow_once(place, operation, column))
			return;
		kpi_follow_set_column(place, operation->larg, column);
		if (!kpi_takes_away(operation, operation->rarg))
			kpi_follow_set_column(place, operation->rarg, column);
	}
	else
	{
		RangeTblEntry *rte = rt_fetch(castNode(RangeTblRef, arm)->rtindex,
									  place->level->query->rtable);
		Place		inside = kpi_place_in_query(place, rte->subquery, place->level);

		follow_output(&inside, column);
	}
}

/*
 * The transformation of a column seen from the query around it.
 */
static const char *
text_through(Place *place, TargetEntry *tle)
{
	const char *inner;
	char	   *result;

	if (IsA(tle->expr, Var) || place->text_is_whole ||
		(place->text !=NULL && strlen(place->text) > MAX_TEXT_LENGTH))
		return place->text;
	inner = kpi_place_text(place->level, (Node *) tle->expr);
	if (place->text == NULL || inner == NULL)
		return inner;
	result = psprintf("%s FROM (SELECT %s AS %s)", place->text, inner,
					  quote_identifier(tle->resname));
	kpi_spend(place->derivation, strlen(result));
	return result;
}

/*
 * An output column of the query at hand.
 */
static void
follow_output(Place *place, AttrNumber column)
{
	Query	   *query = place->level->query;
	Place		here = *place;
	TargetEntry *tle;

	if (!kpi_follow_once(place, query, column))
		return;
	if (query->setOperations != NULL)
	{
		kpi_follow_set_column(place, query->setOperations, column);
		return;
	}
	tle = get_tle_by_resno(output_list(query), column);
	if (tle == NULL)
		return;
	here.text = text_through(place, tle);
	(void) kpi_find_sources((Node *) tle->expr, &here);
}

/*
 * The lineage of a query's output columns and rows.  The columns of the target
 * are those given by number or, without, numbered as the query's own; where the
 * query gives a single row value for several columns, it is all of them.
 */
List *
kpi_derive_from_query(Query *query, List *columns)
{
	Derivation	derivation = {0};
	Place		root = {0};
	Place		place;
	int			outputs = 0;
	int			count;
	ListCell   *lc;

	root.derivation = &derivation;
	place = kpi_place_in_query(&root, query, NULL);
	foreach(lc, output_list(query))
	{
		if (!lfirst_node(TargetEntry, lc)->resjunk)
			outputs++;
	}
	count = columns != NIL ? list_length(columns) : outputs;
	for (int i = 0; i < count; i++)
	{
		place.target_column = columns != NIL ? list_nth_int(columns, i) : i + 1;
		follow_output(&place, outputs == 1 ? 1 : i + 1);
	}
	place.target_column = 0;
	kpi_follow_rows(&place, LINEAGE_VALUE);
	return derivation.edges;
}

/*
 * The lineage of the columns that a table computes itself, each by an expression.
 */
List *
kpi_derive_from_exprs(Oid relid, List *columns, List *exprs)
{
	Derivation	derivation = {0};
	Place		root = {0};
	Place		place;
	Query	   *query = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	ListCell   *column;
	ListCell   *expr;

	rte->rtekind = RTE_RELATION;
	rte->relid = relid;
	rte->relkind = get_rel_relkind(relid);
	rte->rellockmode = AccessShareLock;
	rte->eref = makeAlias(get_rel_name(relid), NIL);
	rte->inFromCl = true;
	query->commandType = CMD_SELECT;
	query->rtable = list_make1(rte);

	root.derivation = &derivation;
	place = kpi_place_in_query(&root, query, NULL);
	forboth(column, columns, expr, exprs)
	{
		place.target_column = lfirst_int(column);
		place.text = kpi_place_text(place.level, lfirst(expr));
		(void) kpi_find_sources(lfirst(expr), &place);
	}
	return derivation.edges;
}
