/*
 * explain_spell.c
 *		What a query tree says and the deparser does not: said in other words.
 *
 * The deparser is made for what the parser found, by names that are in the search
 * path.  The text of an explanation is read with an empty one, and the rewriting
 * makes trees that no text made.  Where the two together would give a text that
 * does not run or means another thing, the tree is changed into one that says the
 * same in a form that SQL has.
 *
 * src/measure/explain_spell.c
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"

#include "measure/explain.h"
#include "measure/measure.h"

/* Ends a name that is not the one to write, see marked_name() */
#define NAME_MARK "\001kpi"

/* A query and the queries around it */
typedef struct SpellLevel
{
	Query	   *query;
	struct SpellLevel *parent;
} SpellLevel;

/*
 * The query some levels up.
 */
static Query *
query_above(SpellLevel *level, Index levelsup)
{
	for (; levelsup > 0 && level != NULL; levelsup--)
		level = level->parent;
	return level != NULL ? level->query : NULL;
}

/*
 * The columns of a row, if they are all columns of one subquery or CTE, in order: the
 * whole row of that then; or NULL.
 */
static Var *
whole_row_of(SpellLevel *level, RowExpr *row)
{
	Var		   *first = row->args != NIL ? linitial(row->args) : NULL;
	Query	   *query;
	RangeTblEntry *rte;
	ListCell   *lc;

	if (row->row_typeid != RECORDOID || first == NULL || !IsA(first, Var))
		return NULL;
	query = query_above(level, first->varlevelsup);
	if (query == NULL)
		return NULL;
	rte = rt_fetch(first->varno, query->rtable);
	if ((rte->rtekind != RTE_SUBQUERY && rte->rtekind != RTE_CTE) ||
		list_length(rte->eref->colnames) != list_length(row->args))
		return NULL;
	foreach(lc, row->args)
	{
		Var		   *var = lfirst(lc);

		if (!IsA(var, Var) || var->varno != first->varno ||
			var->varlevelsup != first->varlevelsup ||
			var->varattno != foreach_current_index(lc) + 1)
			return NULL;
	}
	return makeVar(first->varno, 0, RECORDOID, -1, InvalidOid, first->varlevelsup);
}

/*
 * Let the entry of a CTE know all columns that the CTE has: the rewriting tells only
 * the entries that it goes through of those that it adds.
 */
static void
widen_cte_entry(SpellLevel *level, RangeTblEntry *rte)
{
	Query	   *query = query_above(level, rte->ctelevelsup);
	ListCell   *lc;

	foreach(lc, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (strcmp(cte->ctename, rte->ctename) != 0)
			continue;
		for (int i = list_length(rte->eref->colnames); i < list_length(cte->ctecolnames); i++)
		{
			rte->eref->colnames = lappend(rte->eref->colnames, list_nth(cte->ctecolnames, i));
			rte->coltypes = lappend_oid(rte->coltypes, list_nth_oid(cte->ctecoltypes, i));
			rte->coltypmods = lappend_int(rte->coltypmods, list_nth_int(cte->ctecoltypmods, i));
			rte->colcollations = lappend_oid(rte->colcollations,
											 list_nth_oid(cte->ctecolcollations, i));
		}
	}
}

/*
 * Mutator of kpi_restore_rows().
 */
static Node *
restore_rows_mutator(Node *node, SpellLevel *level)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
	{
		SpellLevel	inner = {(Query *) node, level};
		ListCell   *lc;

		foreach(lc, ((Query *) node)->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

			if (rte->rtekind == RTE_CTE && !rte->self_reference)
				widen_cte_entry(&inner, rte);
		}
		return (Node *) query_tree_mutator((Query *) node, restore_rows_mutator, &inner,
										   QTW_DONT_COPY_QUERY);
	}
	if (IsA(node, RowExpr))
	{
		Var		   *whole = whole_row_of(level, (RowExpr *) node);

		if (whole != NULL)
			return (Node *) whole;
	}
	return expression_tree_mutator(node, restore_rows_mutator, level);
}

/*
 * Rows without a type of their own that were taken apart into columns, for an entry
 * that then got no more columns: the entry's whole rows again, which know the names of
 * their columns.
 */
void
kpi_restore_rows(Query *query)
{
	(void) restore_rows_mutator((Node *) query, NULL);
}

/*
 * Did the user write a row as such?  Then its columns have the names of positions.
 */
static bool
is_written_row(RowExpr *row)
{
	ListCell   *lc;

	foreach(lc, row->colnames)
	{
		if (strcmp(strVal(lfirst(lc)), psprintf("f%d", foreach_current_index(lc) + 1)) != 0)
			return false;
	}
	return true;
}

/*
 * A query with one entry in FROM, or none.
 */
Query *
kpi_make_select(List *target_list, RangeTblEntry *rte)
{
	Query	   *query = makeNode(Query);

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->targetList = target_list;
	query->jointree = makeFromExpr(NIL, NULL);
	if (rte != NULL)
	{
		RangeTblRef *ref = makeNode(RangeTblRef);

		ref->rtindex = 1;
		query->rtable = list_make1(rte);
		query->jointree->fromlist = list_make1(ref);
	}
	return query;
}

/*
 * Does a list of names hold one before?
 */
static bool
name_is_repeated(List *names, int i)
{
	for (int j = 0; j < i; j++)
	{
		if (equal(list_nth(names, j), list_nth(names, i)))
			return true;
	}
	return false;
}

/*
 * A name that is the same as another of its list is marked: the deparser would make
 * another name of it, though nobody but the row reads it.  kpi_unmark_names() takes
 * the marks out of the text.
 */
static char *
marked_name(List *names, int i)
{
	char	   *name = strVal(list_nth(names, i));

	return name_is_repeated(names, i) ? psprintf("%s" NAME_MARK "%d", name, i) : name;
}

/*
 * Take the marks of marked_name() out of a text: they stand at the end of quoted names.
 */
char *
kpi_unmark_names(const char *sql)
{
	StringInfoData result;
	char		quote = '\0';

	initStringInfo(&result);
	for (; *sql != '\0'; sql++)
	{
		if (quote == '"' && strncmp(sql, NAME_MARK, strlen(NAME_MARK)) == 0)
			sql = strchr(sql, quote);
		if (quote == '\0' && (*sql == '"' || *sql == '\''))
			quote = *sql;
		else if (*sql == quote)
			quote = '\0';
		appendStringInfoChar(&result, *sql);
	}
	return result.data;
}

/*
 * A row whose columns have names, and no type that knows them:
 * (SELECT r FROM (SELECT column AS name, ...) AS r)
 */
static Node *
spell_named_row(RowExpr *row)
{
	List	   *columns = NIL;
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	SubLink    *sublink = makeNode(SubLink);
	Var		   *whole = makeVar(1, 0, RECORDOID, -1, InvalidOid, 0);
	ListCell   *lc;

	IncrementVarSublevelsUp((Node *) row->args, 2, 0);
	rte->eref = makeAlias("r", NIL);
	foreach(lc, row->args)
	{
		int			i = foreach_current_index(lc);
		char	   *name = marked_name(row->colnames, i);

		columns = lappend(columns, makeTargetEntry(lfirst(lc), i + 1, name, false));
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(name));
	}
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = kpi_make_select(columns, NULL);
	rte->alias = makeAlias("r", NIL);
	rte->inFromCl = true;

	columns = list_make1(makeTargetEntry((Expr *) whole, 1, "r", false));
	sublink->subLinkType = EXPR_SUBLINK;
	sublink->subselect = (Node *) kpi_make_select(columns, rte);
	sublink->location = -1;
	return (Node *) sublink;
}

/*
 * CASE WHEN a whole row is there THEN ... END
 */
static Node *
make_case_of_row(Var *var, Node *result)
{
	CaseExpr   *expr = makeNode(CaseExpr);
	CaseWhen   *when = makeNode(CaseWhen);
	NullTest   *test = makeNode(NullTest);

	/* IS DISTINCT FROM NULL: a row of nulls is there */
	test->arg = (Expr *) var;
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	when->expr = (Expr *) test;
	when->result = (Expr *) result;
	when->location = -1;
	expr->casetype = RECORDOID;
	expr->args = list_make1(when);
	expr->defresult = (Expr *) makeNullConst(RECORDOID, -1, InvalidOid);
	expr->location = -1;
	return (Node *) expr;
}

/*
 * The whole row of a subquery or CTE that has two columns of one name, for which the
 * deparser makes two names: a row of its columns.
 */
static Node *
spell_whole_row(SpellLevel *level, Var *var)
{
	Query	   *query = query_above(level, var->varlevelsup);
	RangeTblEntry *rte = query != NULL ? rt_fetch(var->varno, query->rtable) : NULL;
	RowExpr    *row;
	List	   *vars;
	bool		repeated = false;

	if (rte == NULL || (rte->rtekind != RTE_SUBQUERY && rte->rtekind != RTE_CTE))
		return (Node *) var;
	for (int i = 1; i < list_length(rte->eref->colnames); i++)
		repeated |= name_is_repeated(rte->eref->colnames, i);
	if (!repeated)
		return (Node *) var;

	expandRTE(rte, var->varno, var->varlevelsup, -1, false, NULL, &vars);
	row = makeNode(RowExpr);
	row->args = vars;
	row->row_typeid = RECORDOID;
	row->row_format = COERCE_IMPLICIT_CAST;
	row->colnames = copyObject(rte->eref->colnames);
	row->location = -1;
	if (kpi_is_nullable(query, var->varno))
		return make_case_of_row(var, spell_named_row(row));
	return spell_named_row(row);
}

/* Search for a column of a query around */
typedef struct LevelSearch
{
	Index		levelsup;
} LevelSearch;

/*
 * Walker that finds a column of the query some levels up.
 */
static bool
find_level_walker(Node *node, LevelSearch *search)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varlevelsup == search->levelsup;
	if (IsA(node, Query))
	{
		bool		found;

		search->levelsup++;
		found = query_tree_walker((Query *) node, find_level_walker, search, 0);
		search->levelsup--;
		return found;
	}
	return expression_tree_walker(node, find_level_walker, search);
}

/*
 * Some column of what a query reads, or NULL.
 */
static Var *
any_column(Query *query, Index levelsup)
{
	for (int i = 1; i <= list_length(query->rtable); i++)
	{
		RangeTblEntry *rte = rt_fetch(i, query->rtable);
		List	   *vars;
		ListCell   *lc;

		if (rte->rtekind == RTE_JOIN || !rte->inFromCl)
			continue;
		expandRTE(rte, i, levelsup, -1, false, NULL, &vars);
		foreach(lc, vars)
		{
			if (IsA(lfirst(lc), Var))
				return lfirst(lc);
		}
	}
	return NULL;
}

/*
 * An aggregate of a query around, such as count(*), that reads none of its columns
 * would be taken for one of the query where it stands: let it read one.
 */
static void
spell_aggregate(SpellLevel *level, Aggref *agg)
{
	LevelSearch search = {agg->agglevelsup};
	Query	   *query = query_above(level, agg->agglevelsup);
	Var		   *column;

	if (agg->agglevelsup == 0 || query == NULL ||
		expression_tree_walker((Node *) agg, find_level_walker, &search))
		return;
	column = any_column(query, agg->agglevelsup);
	if (column != NULL)
		agg->aggfilter = (Expr *)
			make_and_qual((Node *) agg->aggfilter,
						  (Node *) makeBoolExpr(OR_EXPR,
												list_make2(kpi_null_test((Node *) column, IS_NOT_NULL),
														   makeBoolConst(true, false)),
												-1));
}

/*
 * Say one expression, the parts of which are said already.
 */
static Node *
spell_expression(SpellLevel *level, Node *node)
{
	switch (nodeTag(node))
	{
		case T_Var:
			/* the deparser names what the user named, which may have moved */
			((Var *) node)->varnosyn = ((Var *) node)->varno;
			((Var *) node)->varattnosyn = ((Var *) node)->varattno;
			if (((Var *) node)->varattno == 0 && ((Var *) node)->vartype == RECORDOID)
				return spell_whole_row(level, (Var *) node);
			break;
		case T_Param:
			if (((Param *) node)->paramkind == PARAM_EXTERN)
				return (Node *) makeRelabelType((Expr *) node, ((Param *) node)->paramtype,
												((Param *) node)->paramtypmod,
												((Param *) node)->paramcollid,
												COERCE_EXPLICIT_CAST);
			break;
		case T_RelabelType:
			if (exprType((Node *) ((RelabelType *) node)->arg) == ((RelabelType *) node)->resulttype &&
				exprTypmod((Node *) ((RelabelType *) node)->arg) != ((RelabelType *) node)->resulttypmod)
				((RelabelType *) node)->relabelformat = COERCE_EXPLICIT_CAST;
			break;
		case T_RowExpr:
			if (((RowExpr *) node)->row_typeid != RECORDOID)
				((RowExpr *) node)->row_format = COERCE_EXPLICIT_CAST;
			else if (!is_written_row((RowExpr *) node))
				return spell_named_row((RowExpr *) node);
			break;
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_CaseExpr:
		case T_RowCompareExpr:
			return kpi_spell_comparison(node);
		case T_Aggref:
			spell_aggregate(level, (Aggref *) node);
			break;
		default:
			break;
	}
	return node;
}

/*
 * The names that the text of a query will give its output columns: those of the
 * leftmost branch of a set operation.
 */
static List *
text_columns(Query *query)
{
	Node	   *node = query->setOperations;

	if (node == NULL)
		return query->targetList;
	while (IsA(node, SetOperationStmt))
		node = ((SetOperationStmt *) node)->larg;
	return text_columns(rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable)->subquery);
}

/*
 * Let the columns of a subquery entry be listed where the subquery calls them
 * otherwise.
 */
static void
spell_entry_names(RangeTblEntry *rte)
{
	List	   *columns;
	ListCell   *lc;
	ListCell   *lc2;

	if (rte->rtekind != RTE_SUBQUERY)
		return;
	rte->subquery->isReturn = false;
	columns = text_columns(rte->subquery);
	forboth(lc, rte->eref->colnames, lc2, columns)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc2);

		if (tle->resname == NULL || strcmp(strVal(lfirst(lc)), tle->resname) != 0)
		{
			rte->alias = makeAlias(rte->eref->aliasname, copyObject(rte->eref->colnames));
			return;
		}
	}
}

/*
 * Two grouping keys that are the same expression are two keys of grouping sets, and
 * one where they are written: let the later one be another expression of that value.
 */
static void
spell_grouping_keys(Query *query)
{
	ListCell   *lc;

	if (query->groupingSets == NIL)
		return;
	foreach(lc, query->groupClause)
	{
		TargetEntry *key = get_sortgroupclause_tle(lfirst(lc), query->targetList);

		for (int i = 0; i < foreach_current_index(lc); i++)
		{
			TargetEntry *other = get_sortgroupclause_tle(list_nth(query->groupClause, i),
														 query->targetList);
			CoalesceExpr *expr;

			if (!equal(key->expr, other->expr))
				continue;
			expr = makeNode(CoalesceExpr);
			expr->coalescetype = exprType((Node *) key->expr);
			expr->coalescecollid = exprCollation((Node *) key->expr);
			expr->args = list_make1(key->expr);
			expr->location = -1;
			key->expr = (Expr *) expr;
			i = -1;				/* it may be another key's now */
		}
	}
}

/*
 * The rewriter wrote SEARCH and CYCLE of a recursive CTE out.  By breadth it made rows
 * whose fields SQL cannot name in the recursion.
 */
static void
spell_recursion(CommonTableExpr *cte)
{
	if (cte->search_clause != NULL && cte->search_clause->search_breadth_first)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("explain_measure() cannot explain SEARCH BREADTH FIRST of query \"%s\"",
						cte->ctename),
				 errhint("Count the depth in a column, and order by it.")));
	cte->search_clause = NULL;
	cte->cycle_clause = NULL;
}

/*
 * Mutator of kpi_spell_out().
 */
static Node *
spell_mutator(Node *node, SpellLevel *level)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		SpellLevel	inner = {query, level};
		ListCell   *lc;

		foreach(lc, query->cteList)
			spell_recursion(lfirst(lc));
		query = query_tree_mutator(query, spell_mutator, &inner, QTW_DONT_COPY_QUERY);

		spell_grouping_keys(query);
		kpi_spell_changes(query);
		foreach(lc, query->rtable)
			spell_entry_names(lfirst(lc));
		return (Node *) query;
	}
	if (IsA(node, SubLink))
		kpi_spell_sublink((SubLink *) node);
	return spell_expression(level, expression_tree_mutator(node, spell_mutator, level));
}

/*
 * Is the name of a column in ORDER BY or DISTINCT ON that of another output column?
 */
static bool
is_hidden_by_output(Query *query, TargetEntry *key)
{
	Var		   *var = (Var *) key->expr;
	char	   *name;
	ListCell   *lc;

	if (!IsA(var, Var) || var->varlevelsup > 0)
		return false;
	name = get_rte_attribute_name(rt_fetch(var->varno, query->rtable), var->varattno);
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && tle->resname != NULL && strcmp(tle->resname, name) == 0 &&
			!equal(tle->expr, var))
			return true;
	}
	return false;
}

/*
 * Where a statement reads one relation, its columns are written without the
 * relation's name, which output columns would be taken for.  With one more entry they
 * are not.
 */
static void
spell_sort_keys(Query *query)
{
	bool		hidden = false;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->ressortgroupref != 0 && is_hidden_by_output(query, tle))
			hidden = true;
	}
	if (hidden)
	{
		RangeTblEntry *rte = makeNode(RangeTblEntry);

		rte->rtekind = RTE_RESULT;
		rte->eref = makeAlias("*RESULT*", NIL);
		query->rtable = lappend(query->rtable, rte);
	}
}

/*
 * Make a statement's tree, in place, such that the deparser says it in full.
 */
void
kpi_spell_out(Query *query)
{
	(void) spell_mutator((Node *) query, NULL);
	if (query->setOperations == NULL)
		spell_sort_keys(query);
}
