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

#include "access/attnum.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "catalog/catalog.h"
#include "lineage/place.h"

static bool find_sources(Node *node, Place *place);
static void follow_rows(Place *place, LineageKind rows_kind);
static void follow_output(Place *place, AttrNumber column);

/*
 * Is a function somebody's own, written in a language that can read tables?
 * What is written in C, PostgreSQL's own functions included, computes.
 */
static bool
may_read_tables(Oid funcid)
{
	HeapTuple	tuple;
	bool		result;

	if (funcid < FirstNormalObjectId)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_proc) GETSTRUCT(tuple))->prolang != ClanguageId &&
		((Form_pg_proc) GETSTRUCT(tuple))->prolang != INTERNALlanguageId &&
		((Form_pg_proc) GETSTRUCT(tuple))->prokind != PROKIND_AGGREGATE;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Callback: a function that an expression calls gives its result's only column.
 */
static bool
add_called_function(Oid funcid, void *context)
{
	if (may_read_tables(funcid))
		kpi_flows_from(context, ProcedureRelationId, funcid, 1);
	return false;
}

/*
 * The CTE that an entry names, and the level that defines it.
 */
static Query *
find_cte(Level *level, RangeTblEntry *rte, Level **definer)
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
 * A column of a function in FROM: the function's own, and what goes into it.
 */
static void
follow_function_column(Place *place, RangeTblEntry *rte, AttrNumber attnum)
{
	ListCell   *lc;
	int			before = 0;

	foreach(lc, rte->functions)
	{
		RangeTblFunction *function = lfirst_node(RangeTblFunction, lc);

		if (attnum == 0 || (attnum > before && attnum <= before + function->funccolcount))
		{
			FuncExpr   *call = (FuncExpr *) function->funcexpr;

			if (IsA(call, FuncExpr) && may_read_tables(call->funcid))
			{
				kpi_flows_from(place, ProcedureRelationId, call->funcid,
							   attnum == 0 ? 0 : attnum - before);
				(void) find_sources((Node *) call->args, place);
			}
			else
				(void) find_sources(function->funcexpr, place);
		}
		before += function->funccolcount;
	}
}

/*
 * A column of XMLTABLE and the like: everything that it is read with.
 */
static void
follow_table_function(Place *place, TableFunc *function, AttrNumber attnum)
{
	Place		row = kpi_place_for_purpose(place, LINEAGE_FILTER);

	(void) find_sources(function->docexpr, place);
	(void) find_sources(function->rowexpr, &row);
	(void) find_sources((Node *) function->ns_uris, &row);
	if (attnum > 0 && attnum <= list_length(function->colexprs))
	{
		(void) find_sources(list_nth(function->colexprs, attnum - 1), place);
		(void) find_sources(list_nth(function->coldefexprs, attnum - 1), place);
	}
}

/*
 * The columns that SEARCH and CYCLE add to a CTE come from those that they name.
 */
static void
follow_search_or_cycle(Place *place, RangeTblEntry *rte, Level *definer, Query *query)
{
	ListCell   *lc;

	foreach(lc, definer->query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);
		List	   *names = NIL;
		ListCell   *name;

		if (strcmp(cte->ctename, rte->ctename) != 0)
			continue;
		if (cte->search_clause != NULL)
			names = list_concat(names, cte->search_clause->search_col_list);
		if (cte->cycle_clause != NULL)
			names = list_concat(names, cte->cycle_clause->cycle_col_list);
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
			query = find_cte(place->level, rte, &definer);
			inside = kpi_place_in_query(place, query, definer);
			if (get_tle_by_resno(output_list(query), attnum) != NULL)
				follow_output(&inside, attnum);
			else
				follow_search_or_cycle(place, rte, definer, query);
			break;
		case RTE_JOIN:
			(void) find_sources(list_nth(rte->joinaliasvars, attnum - 1), place);
			break;
		case RTE_FUNCTION:
			follow_function_column(place, rte, attnum);
			break;
		case RTE_TABLEFUNC:
			follow_table_function(place, rte->tablefunc, attnum);
			break;
		case RTE_VALUES:
			foreach(lc, rte->values_lists)
				(void) find_sources(list_nth(lfirst(lc), attnum - 1), place);
			break;
		default:
			break;
	}
}

/*
 * The rows that count(*) counts at a level.
 */
static void
follow_counted_rows(Place *place)
{
	ListCell   *lc;

	foreach(lc, place->level->query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->inFromCl && rte->rtekind == RTE_RELATION)
			kpi_flows_from_relation(place, rte->relid, 0);
		else if (rte->inFromCl && rte->rtekind == RTE_SUBQUERY)
		{
			Place		inside = kpi_place_in_query(place, rte->subquery, place->level);

			if (kpi_follow_once(&inside, THE_COUNTED_ROWS))
				follow_counted_rows(&inside);
		}
		else if (rte->inFromCl && rte->rtekind == RTE_CTE)
		{
			Level	   *definer;
			Query	   *query = find_cte(place->level, rte, &definer);
			Place		inside = kpi_place_in_query(place, query, definer);

			if (kpi_follow_once(&inside, THE_COUNTED_ROWS))
				follow_counted_rows(&inside);
		}
		else if (rte->inFromCl && rte->rtekind == RTE_FUNCTION)
		{
			ListCell   *function;

			foreach(function, rte->functions)
			{
				FuncExpr   *call = (FuncExpr *) lfirst_node(RangeTblFunction, function)->funcexpr;

				if (IsA(call, FuncExpr) && may_read_tables(call->funcid))
					kpi_flows_from(place, ProcedureRelationId, call->funcid, 0);
			}
		}
	}
}

/*
 * The expressions that a sort or group clause of a query means.
 */
static void
follow_clause(Place *place, List *clause, LineageKind kind)
{
	Place		here = kpi_place_for_purpose(place, kind);
	ListCell   *lc;

	foreach(lc, clause)
	{
		TargetEntry *tle = get_sortgroupclause_tle(lfirst_node(SortGroupClause, lc),
												   place->level->query->targetList);

		if (place->target_column == 0)
			here.text = kpi_place_text(place->level, (Node *) tle->expr);
		(void) find_sources((Node *) tle->expr, &here);
	}
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

	(void) find_sources((Node *) agg->aggdirectargs, place);
	foreach(lc, agg->args)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk)
			(void) find_sources((Node *) tle->expr, place);
	}
	/* WITHIN GROUP orders what it aggregates */
	if (agg->aggkind == AGGKIND_NORMAL)
	{
		foreach(lc, agg->aggorder)
			(void) find_sources((Node *) get_sortgroupclause_tle(lfirst_node(SortGroupClause, lc),
																 agg->args)->expr, &order);
	}
	(void) find_sources((Node *) agg->aggfilter, &filter);
	if (agg->aggstar)
	{
		here = kpi_place_outside(place, agg->agglevelsup);
		follow_counted_rows(&here);
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

	(void) find_sources((Node *) function->args, place);
	(void) find_sources((Node *) function->aggfilter, &filter);
	if (function->winstar)
		follow_counted_rows(place);
	foreach(lc, place->level->query->windowClause)
	{
		WindowClause *window = lfirst_node(WindowClause, lc);

		if (window->winref != function->winref)
			continue;
		follow_clause(place, window->partitionClause, LINEAGE_GROUP);
		follow_clause(place, window->orderClause, LINEAGE_ORDER);
		(void) find_sources(window->startOffset, &filter);
		(void) find_sources(window->endOffset, &filter);
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
	(void) find_sources(sublink->testexpr, place);
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
	follow_rows(&rows, LINEAGE_FILTER);
}

/*
 * Walker: all that an expression is computed from flows to a place.
 */
static bool
find_sources(Node *node, Place *place)
{
	Oid			metric;

	if (node == NULL)
		return false;
	check_stack_depth();

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
				Var		   *row = (Var *) field->arg;
				Place		here;

				/* a field of a whole row is that column */
				if (!IsA(row, Var) || row->varattno != 0)
					break;
				here = kpi_place_outside(place, row->varlevelsup);
				follow_column(&here, rt_fetch(row->varno, here.level->query->rtable),
							  field->fieldnum);
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

				(void) find_sources((Node *) choice->arg, &condition);
				foreach(lc, choice->args)
				{
					(void) find_sources((Node *) lfirst_node(CaseWhen, lc)->expr, &condition);
					(void) find_sources((Node *) lfirst_node(CaseWhen, lc)->result, place);
				}
				return find_sources((Node *) choice->defresult, place);
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
	(void) check_functions_in_node(node, add_called_function, place);
	return expression_tree_walker(node, find_sources, place);
}

/*
 * The right side of EXCEPT and INTERSECT takes rows away.
 */
static bool
takes_away(SetOperationStmt *operation, Node *arm)
{
	return operation->op != SETOP_UNION && arm == operation->rarg;
}

/*
 * One column of all arms of a set operation.
 */
static void
follow_set_column(Place *place, Node *arm, AttrNumber column)
{
	if (IsA(arm, SetOperationStmt))
	{
		SetOperationStmt *operation = (SetOperationStmt *) arm;

		follow_set_column(place, operation->larg, column);
		if (!takes_away(operation, operation->rarg))
			follow_set_column(place, operation->rarg, column);
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
	char	   *inner;

	if (IsA(tle->expr, Var) || place->text_is_whole)
		return place->text;
	inner = kpi_place_text(place->level, (Node *) tle->expr);
	if (place->text == NULL || inner == NULL)
		return inner;
	return psprintf("%s FROM (SELECT %s AS %s)", place->text, inner,
					quote_identifier(tle->resname));
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

	if (!kpi_follow_once(place, column))
		return;
	if (query->setOperations != NULL)
	{
		follow_set_column(place, query->setOperations, column);
		return;
	}
	tle = get_tle_by_resno(output_list(query), column);
	if (tle == NULL)
		return;
	here.text = text_through(place, tle);
	(void) find_sources((Node *) tle->expr, &here);
}

/*
 * What set operations do to the rows of their arms.
 */
static void
follow_set_rows(Place *place, Node *node, LineageKind rows_kind)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;
	Node	   *arms[2];

	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex,
									  place->level->query->rtable);
		Place		inside = kpi_place_in_query(place, rte->subquery, place->level);

		follow_rows(&inside, rows_kind);
		return;
	}
	arms[0] = operation->larg;
	arms[1] = operation->rarg;
	for (int i = 0; i < 2; i++)
	{
		Place		here = *place;

		if (takes_away(operation, arms[i]))
			here = kpi_place_for_purpose(place, LINEAGE_FILTER);
		follow_set_rows(&here, arms[i], here.strict ? here.kind : rows_kind);

		/* rows are compared in all their columns */
		if (!operation->all || operation->op != SETOP_UNION)
		{
			here = kpi_place_for_purpose(place, operation->op == SETOP_UNION ?
										 LINEAGE_GROUP : LINEAGE_FILTER);
			for (int column = 1; column <= list_length(operation->colTypes); column++)
				follow_set_column(&here, arms[i], column);
		}
	}
}

/*
 * The rows of one entry in FROM.
 */
static void
follow_entry_rows(Place *place, RangeTblEntry *rte, LineageKind rows_kind)
{
	Place		here = *place;
	Place		inside;
	Level	   *definer;
	Query	   *query;

	here.text = NULL;
	if (!here.strict)
		here.kind = rows_kind;
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			kpi_flows_from_relation(&here, rte->relid, 0);
			if (rte->tablesample != NULL)
			{
				inside = kpi_place_for_purpose(place, LINEAGE_FILTER);
				(void) find_sources((Node *) rte->tablesample->args, &inside);
				(void) find_sources((Node *) rte->tablesample->repeatable, &inside);
			}
			break;
		case RTE_SUBQUERY:
			inside = kpi_place_in_query(place, rte->subquery, place->level);
			follow_rows(&inside, rows_kind);
			break;
		case RTE_CTE:
			query = find_cte(place->level, rte, &definer);
			inside = kpi_place_in_query(place, query, definer);
			follow_rows(&inside, rows_kind);
			break;
		case RTE_FUNCTION:
			here = kpi_place_for_purpose(&here, LINEAGE_JOIN);
			follow_function_column(&here, rte, 0);
			break;
		case RTE_TABLEFUNC:
			here = kpi_place_for_purpose(&here, LINEAGE_JOIN);
			follow_table_function(&here, rte->tablefunc, 0);
			break;
		default:
			break;
	}
}

/*
 * Does a condition of FROM compare its entries with each other, or with those of
 * the query around it?
 */
static bool
compares_entries(Level *level, Node *condition)
{
	if (bms_num_members(pull_varnos(NULL, condition)) > 1)
		return true;
	for (int up = 1; level->parent != NULL; up++, level = level->parent)
	{
		if (contain_vars_of_level(condition, up))
			return true;
	}
	return false;
}

/*
 * The conjuncts of a condition, each for a purpose of its own: what filters joins
 * if it compares entries of FROM.
 */
static void
follow_condition(Place *place, Node *condition, LineageKind kind, bool may_join)
{
	ListCell   *lc;

	foreach(lc, make_ands_implicit((Expr *) copyObject(condition)))
	{
		Node	   *conjunct = lfirst(lc);
		Place		here;

		here = kpi_place_for_purpose(place, may_join && compares_entries(place->level, conjunct) ?
									 LINEAGE_JOIN : kind);
		here.text = kpi_place_text(place->level, conjunct);
		(void) find_sources(conjunct, &here);
	}
}

/*
 * FROM: the rows of its entries, and what joins and filters them.
 */
static void
follow_from(Place *place, Node *node, LineageKind rows_kind)
{
	ListCell   *lc;

	if (node == NULL)
		return;
	if (IsA(node, RangeTblRef))
		follow_entry_rows(place, rt_fetch(((RangeTblRef *) node)->rtindex,
										  place->level->query->rtable), rows_kind);
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		follow_from(place, join->larg, LINEAGE_JOIN);
		follow_from(place, join->rarg, LINEAGE_JOIN);
		follow_condition(place, join->quals, LINEAGE_JOIN, true);
	}
	else
	{
		FromExpr   *from = castNode(FromExpr, node);

		foreach(lc, from->fromlist)
			follow_from(place, lfirst(lc),
						list_length(from->fromlist) > 1 ? LINEAGE_JOIN : rows_kind);
		follow_condition(place, from->quals, LINEAGE_FILTER, true);
	}
}

/*
 * What the query at hand does to rows.  rows_kind says how the rows of what is
 * in FROM take part: by themselves, or by meeting others.
 */
static void
follow_rows(Place *place, LineageKind rows_kind)
{
	Query	   *query = place->level->query;
	Place		here = *place;
	ListCell   *lc;

	if (!kpi_follow_once(place, THE_ROWS))
		return;
	if (query->setOperations != NULL)
		follow_set_rows(place, query->setOperations, rows_kind);
	else
		follow_from(place, (Node *) query->jointree, rows_kind);

	follow_clause(place, query->groupClause, LINEAGE_GROUP);
	follow_clause(place, query->distinctClause, LINEAGE_GROUP);
	if (query->setOperations == NULL)
		follow_clause(place, query->sortClause, LINEAGE_ORDER);
	else
	{
		here = kpi_place_for_purpose(place, LINEAGE_ORDER);
		foreach(lc, query->sortClause)
			follow_set_column(&here, query->setOperations,
							  get_sortgroupclause_tle(lfirst_node(SortGroupClause, lc),
													  query->targetList)->resno);
	}
	if (query->havingQual != NULL)
		follow_condition(place, query->havingQual, LINEAGE_FILTER, false);
	here = kpi_place_for_purpose(place, LINEAGE_FILTER);
	(void) find_sources(query->limitCount, &here);
	(void) find_sources(query->limitOffset, &here);

	/* a set-returning function in the select list makes rows for all */
	here = kpi_place_for_purpose(place, LINEAGE_JOIN);
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (query->hasTargetSRFs && expression_returns_set((Node *) tle->expr))
		{
			here.text = kpi_place_text(place->level, (Node *) tle->expr);
			(void) find_sources((Node *) tle->expr, &here);
		}
	}
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
	follow_rows(&place, LINEAGE_VALUE);
	return derivation.edges;
}

/*
 * The lineage of a column that its own table computes.
 */
List *
kpi_derive_from_expr(Oid relid, AttrNumber attnum, Node *expr)
{
	Derivation	derivation = {0};
	Place		root = {0};
	Place		place;
	Query	   *query = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);

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
	place.target_column = attnum;
	place.text = kpi_place_text(place.level, expr);
	(void) find_sources(expr, &place);
	return derivation.edges;
}
