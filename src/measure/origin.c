/*
 * origin.c
 *		Where a column comes from, and how more columns come the same way.
 *
 * A measure column passes unevaluated through subqueries, CTEs, views and joins
 * (M6).  To evaluate it, the first aggregation above follows the column down to
 * the metric view's query and brings the source's columns up along the same
 * path, as additional output columns of each query on it.  No relation is added
 * to any query.
 *
 * A measure has no value where it crosses something that changes which rows
 * there are, or how often: that is its barrier, and M7 has no value for it.
 * (Steps are shared between paths and never changed.)
 *
 * src/measure/origin.c
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "measure/measure.h"

/* An entry that got more columns than the parser gave it */
typedef struct WidenedEntry
{
	RangeTblEntry *rte;
	int			ncolumns;		/* that it had */
} WidenedEntry;

/* An output column of a query, and where it comes from */
typedef struct OutputKey
{
	Query	   *query;
	int			attno;
} OutputKey;

typedef struct OutputOrigin
{
	OutputKey	key;
	Origin		origin;
} OutputOrigin;

static Origin follow_var(QueryLevel *level, Var *var);

/*
 * Does a query aggregate?
 */
bool
kpi_is_aggregated(Query *query)
{
	return query->hasAggs || query->groupClause != NIL ||
		query->groupingSets != NIL || query->havingQual != NULL;
}

/*
 * What in a query keeps a measure from passing through it, or NULL.  What only the
 * execution knows is asked then, see limit.c.
 */
static const char *
barrier_of(QueryLevel *level)
{
	Query	   *query = level->query;

	if (query->setOperations != NULL)
		return "a set operation";
	if (kpi_is_aggregated(query))
		return "an aggregation";
	if (query->distinctClause != NIL)
		return "DISTINCT";
	if (kpi_limit_effect(level->rewrite, query->limitCount, false) == LIMIT_CUTS)
		return "LIMIT";
	if (kpi_limit_effect(level->rewrite, query->limitOffset, true) == LIMIT_CUTS)
		return "OFFSET";
	if (query->hasWindowFuncs)
		return "a window function";
	if (query->hasTargetSRFs)
		return "a set-returning function";
	return NULL;
}

/*
 * The query behind a subquery or CTE entry, and the level around that query;
 * NULL for other entries.
 */
Query *
kpi_entry_query(QueryLevel *level, RangeTblEntry *rte, QueryLevel **parent)
{
	ListCell   *lc;

	if (rte->rtekind == RTE_SUBQUERY)
	{
		*parent = level;
		return rte->subquery;
	}
	if (rte->rtekind != RTE_CTE || rte->self_reference)
		return NULL;

	for (Index i = 0; i < rte->ctelevelsup && level != NULL; i++)
		level = level->parent;
	if (level == NULL)
		return NULL;
	*parent = level;
	foreach(lc, level->query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (strcmp(cte->ctename, rte->ctename) == 0)
			return castNode(Query, cte->ctequery);
	}
	return NULL;
}

/* Search of an expression for measures, see kpi_find_measure */
typedef struct FindContext
{
	QueryLevel *level;
	Index		depth;			/* subqueries entered */
	bool		rows;			/* do whole rows with measures count? */
	Origin	   *origin;
} FindContext;

/*
 * Does a whole-row reference include a measure?
 */
static bool
find_in_row(QueryLevel *level, Var *row, Origin *origin)
{
	RangeTblEntry *rte;

	for (Index i = 0; i < row->varlevelsup && level != NULL; i++)
		level = level->parent;
	if (level == NULL)
		return false;
	rte = rt_fetch(row->varno, level->query->rtable);
	for (int i = 1; i <= list_length(rte->eref->colnames); i++)
	{
		Var		   *column = makeVar(row->varno, i, UNKNOWNOID, -1, InvalidOid, 0);

		*origin = kpi_origin_of_var(level, column);
		if (origin->kind != ORIGIN_OTHER)
			return true;
	}
	return false;
}

/*
 * Walker of kpi_find_measure().
 */
static bool
find_measure_walker(Node *node, FindContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var			var = *(Var *) node;

		if (var.varlevelsup < context->depth || var.varattno < 0)
			return false;
		var.varlevelsup -= context->depth;
		if (var.varattno == 0)
			return context->rows && find_in_row(context->level, &var, context->origin);
		*context->origin = kpi_origin_of_var(context->level, &var);
		return context->origin->kind != ORIGIN_OTHER;
	}
	if (IsA(node, Aggref) && context->depth == 0 &&
		((Aggref *) node)->agglevelsup == 0)
		return false;			/* a measure in there is evaluated */
	if (IsA(node, Query))
	{
		bool		found;

		context->depth++;
		found = query_tree_walker((Query *) node, find_measure_walker, context, 0);
		context->depth--;
		return found;
	}
	return expression_tree_walker(node, find_measure_walker, context);
}

/*
 * Does an expression of a level read a measure that it does not evaluate?
 */
bool
kpi_find_measure(QueryLevel *level, Node *node, Origin *origin)
{
	FindContext context = {level, 0, false, origin};

	return find_measure_walker(node, &context);
}

/*
 * The same, where a whole row that includes one counts, too: as a key.
 */
bool
kpi_find_measure_or_row(QueryLevel *level, Node *node, Origin *origin)
{
	FindContext context = {level, 0, true, origin};

	return find_measure_walker(node, &context);
}

/*
 * A column computed by an expression: if that reads a measure, the column is a
 * value of a row.
 */
static Origin
follow_expression(QueryLevel *level, Node *expr)
{
	Origin		origin = {0};

	if (kpi_find_measure(level, expr, &origin))
		origin.kind = ORIGIN_ROW_VALUE;
	return origin;
}

/*
 * Follow a column of a set operation: into every branch, for the measure may be
 * in any.
 */
static Origin
follow_branches(QueryLevel *level, Node *node, AttrNumber attno)
{
	Origin		origin;
	Var		   *var;

	if (IsA(node, SetOperationStmt))
	{
		origin = follow_branches(level, ((SetOperationStmt *) node)->larg, attno);
		if (origin.kind == ORIGIN_OTHER)
			origin = follow_branches(level, ((SetOperationStmt *) node)->rarg, attno);
		return origin;
	}
	var = makeVar(((RangeTblRef *) node)->rtindex, attno, UNKNOWNOID, -1, InvalidOid, 0);
	return follow_var(level, var);
}

/*
 * Follow an output column of a query that has it.
 */
static Origin
compute_output_origin(QueryLevel *level, TargetEntry *tle)
{
	Origin		origin = {0};
	Node	   *expr;

	/* what a data-modifying statement returns has been stored: it is a value */
	if (level->query->commandType != CMD_SELECT)
		return origin;

	if (level->query->setOperations != NULL)
		origin = follow_branches(level, level->query->setOperations, tle->resno);
	else if (kpi_is_marker((Node *) tle->expr, &origin.metric))
	{
		origin.kind = ORIGIN_MEASURE;
		origin.name = tle->resname;
		origin.view = level;
		origin.tle = tle;
	}
	else
	{
		expr = kpi_strip_coercions((Node *) tle->expr);
		if (IsA(expr, Var))
			origin = follow_var(level, (Var *) expr);
		else
			origin = follow_expression(level, expr);
	}

	/* the outermost barrier is the one that its user can see */
	if (origin.kind != ORIGIN_OTHER && barrier_of(level) != NULL)
		origin.barrier = barrier_of(level);
	return origin;
}

/*
 * Follow an output column of a query.  Each is followed once a statement: select
 * lists of views over views ask for the same ones again and again.
 */
static Origin
follow_output(QueryLevel *level, AttrNumber attno)
{
	TargetEntry *tle = get_tle_by_resno(level->query->targetList, attno);
	Origin		none = {0};
	OutputKey	key;
	OutputOrigin *output;
	bool		found;

	if (tle == NULL)
		return none;

	if (level->rewrite->origins == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(OutputKey);
		ctl.entrysize = sizeof(OutputOrigin);
		ctl.hcxt = CurrentMemoryContext;
		level->rewrite->origins = hash_create("kpitables origins", 64, &ctl,
											  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	memset(&key, 0, sizeof(key));
	key.query = level->query;
	key.attno = attno;
	output = hash_search(level->rewrite->origins, &key, HASH_FIND, NULL);
	if (output == NULL)
	{
		Origin		origin = compute_output_origin(level, tle);

		output = hash_search(level->rewrite->origins, &key, HASH_ENTER, &found);
		output->origin = origin;
	}
	return output->origin;
}

/*
 * Follow a column of a subquery or CTE entry.  The step into it goes before the
 * path inside, unless that begins outside: then the column was an outer
 * reference, to a level that is on the path already.
 */
static Origin
follow_entry(QueryLevel *level, RangeTblEntry *rte, Var *var)
{
	QueryLevel *child = palloc(sizeof(QueryLevel));
	Origin		origin = {0};
	PathStep   *step;

	child->rewrite = level->rewrite;
	child->query = kpi_entry_query(level, rte, &child->parent);
	if (child->query == NULL)
		return origin;

	origin = follow_output(child, var->varattno);
	if (origin.kind == ORIGIN_OTHER ||
		(origin.path != NULL && origin.path->level->query != child->query))
		return origin;

	step = palloc(sizeof(PathStep));
	step->level = level;
	step->varno = var->varno;
	step->next = origin.path;
	origin.path = step;
	return origin;
}

/*
 * Follow a Var of a level.
 */
static Origin
follow_var(QueryLevel *level, Var *var)
{
	Origin		origin = {0};
	RangeTblEntry *rte;
	ListCell   *lc;

	check_stack_depth();

	for (Index i = 0; i < var->varlevelsup && level != NULL; i++)
		level = level->parent;
	if (level == NULL || var->varattno <= 0 ||
		var->varno <= 0 || var->varno > list_length(level->query->rtable))
		return origin;
	rte = rt_fetch(var->varno, level->query->rtable);

	switch (rte->rtekind)
	{
		case RTE_JOIN:
			{
				Node	   *alias = list_nth(rte->joinaliasvars, var->varattno - 1);

				alias = kpi_strip_coercions(alias);
				if (alias != NULL && IsA(alias, Var))
					origin = follow_var(level, (Var *) alias);
				else if (alias != NULL)
					origin = follow_expression(level, alias);
				break;
			}
		case RTE_SUBQUERY:
		case RTE_CTE:
			origin = follow_entry(level, rte, var);
			break;
		case RTE_VALUES:
			foreach(lc, rte->values_lists)
			{
				List	   *row = lfirst(lc);

				if (origin.kind == ORIGIN_OTHER && var->varattno <= list_length(row))
					origin = follow_expression(level, list_nth(row, var->varattno - 1));
			}
			break;
		case RTE_FUNCTION:
			origin = follow_expression(level, (Node *) rte->functions);
			break;
		default:
			break;
	}
	return origin;
}

/*
 * Where does a column of a level, or of one around it, come from?
 */
Origin
kpi_origin_of_var(QueryLevel *level, Var *var)
{
	Origin		origin = {0};
	Var			local = *var;

	for (; local.varlevelsup > 0 && level != NULL; local.varlevelsup--)
		level = level->parent;
	if (level == NULL)
		return origin;

	origin = follow_var(level, &local);
	if (origin.kind != ORIGIN_OTHER && origin.barrier == NULL &&
		origin.path != NULL && origin.path->level->query != level->query)
		origin.barrier = "the boundary of a subquery";
	return origin;
}

/*
 * Does an output column of a query hold an unevaluated measure, in any branch?
 */
bool
kpi_find_output_measure(QueryLevel *level, AttrNumber attno, Origin *origin)
{
	ListCell   *lc;

	*origin = follow_output(level, attno);
	if (origin->kind != ORIGIN_OTHER)
		return true;

	/* a whole row in a branch's select list */
	foreach(lc, level->query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		QueryLevel *branch;
		TargetEntry *tle;

		if (rte->rtekind != RTE_SUBQUERY)
			continue;
		branch = palloc(sizeof(QueryLevel));
		branch->query = rte->subquery;
		branch->parent = level;
		branch->rewrite = level->rewrite;
		tle = get_tle_by_resno(branch->query->targetList, attno);
		if (tle != NULL && IsA(tle->expr, Var) && ((Var *) tle->expr)->varattno == 0 &&
			kpi_find_measure_or_row(branch, (Node *) tle->expr, origin))
			return true;
	}
	return false;
}

/*
 * Is an entry of a query's FROM on the nullable side of an outer join?
 */
static bool
find_nullable(Node *node, int varno, bool nullable, bool *found)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblRef))
	{
		if (((RangeTblRef *) node)->rtindex != varno)
			return false;
		*found = true;
		return nullable;
	}
	if (IsA(node, FromExpr))
	{
		ListCell   *lc;

		foreach(lc, ((FromExpr *) node)->fromlist)
		{
			bool		result = find_nullable(lfirst(lc), varno, nullable, found);

			if (*found)
				return result;
		}
		return false;
	}
	else
	{
		JoinExpr   *join = castNode(JoinExpr, node);
		bool		result;

		result = find_nullable(join->larg, varno,
							   nullable || join->jointype == JOIN_RIGHT ||
							   join->jointype == JOIN_FULL, found);
		if (*found)
			return result;
		return find_nullable(join->rarg, varno,
							 nullable || join->jointype == JOIN_LEFT ||
							 join->jointype == JOIN_FULL, found);
	}
}

/*
 * Can a row of the query's FROM hold no row of one of its entries?
 */
bool
kpi_is_nullable(Query *query, int varno)
{
	bool		found = false;

	return find_nullable((Node *) query->jointree, varno, false, &found);
}

/*
 * The output column of a query that holds an expression; a new one if none
 * does.
 */
static AttrNumber
add_output(Query *query, Node *expr)
{
	ListCell   *lc;
	char	   *name = "computed";
	AttrNumber	resno = list_length(query->targetList) + 1;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && equal(tle->expr, expr))
			return tle->resno;
	}

	if (IsA(expr, Const))
		name = "present";
	else if (IsA(expr, Var) && ((Var *) expr)->varlevelsup == 0)
	{
		Var		   *var = (Var *) expr;

		name = get_rte_attribute_name(rt_fetch(var->varno, query->rtable),
									  var->varattno);
	}

	/*
	 * Columns that ORDER BY alone needs stand at the end, without a name for
	 * the outside; ours goes before them.
	 */
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk)
		{
			resno = Min(resno, tle->resno);
			tle->resno++;
		}
	}
	query->targetList = list_insert_nth(query->targetList, resno - 1,
										makeTargetEntry((Expr *) copyObject(expr),
														resno, pstrdup(name), false));
	return resno;
}

/*
 * The number of columns that the parser gave an entry.
 */
static int
parsed_columns(Rewrite *rewrite, RangeTblEntry *rte)
{
	ListCell   *lc;

	foreach(lc, rewrite->widened)
	{
		WidenedEntry *widened = lfirst(lc);

		if (widened->rte == rte)
			return widened->ncolumns;
	}
	return list_length(rte->eref->colnames);
}

/*
 * Let an entry show all columns that its query has.
 */
static void
widen_entry(Rewrite *rewrite, RangeTblEntry *rte, Query *query)
{
	int			ncolumns = list_length(rte->eref->colnames);
	WidenedEntry *widened;

	if (ncolumns >= ExecCleanTargetListLength(query->targetList))
		return;
	if (parsed_columns(rewrite, rte) == ncolumns)
	{
		widened = palloc(sizeof(WidenedEntry));
		widened->rte = rte;
		widened->ncolumns = ncolumns;
		rewrite->widened = lappend(rewrite->widened, widened);
	}
	for (int i = ncolumns; i < list_length(query->targetList); i++)
	{
		TargetEntry *tle = list_nth_node(TargetEntry, query->targetList, i);
		Node	   *expr = (Node *) tle->expr;

		if (tle->resjunk)
			break;
		rte->eref->colnames = lappend(rte->eref->colnames,
									  makeString(pstrdup(tle->resname)));
		if (rte->rtekind == RTE_CTE)
		{
			rte->coltypes = lappend_oid(rte->coltypes, exprType(expr));
			rte->coltypmods = lappend_int(rte->coltypmods, exprTypmod(expr));
			rte->colcollations = lappend_oid(rte->colcollations, exprCollation(expr));
		}
	}
}

/*
 * Let a CTE's own description show all columns that its query has.
 */
static void
widen_cte(QueryLevel *level, RangeTblEntry *rte)
{
	ListCell   *lc;

	for (Index i = 0; i < rte->ctelevelsup; i++)
		level = level->parent;
	foreach(lc, level->query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);
		List	   *tlist;

		if (strcmp(cte->ctename, rte->ctename) != 0)
			continue;
		tlist = ((Query *) cte->ctequery)->targetList;
		for (int i = list_length(cte->ctecolnames); i < list_length(tlist); i++)
		{
			TargetEntry *tle = list_nth_node(TargetEntry, tlist, i);
			Node	   *expr = (Node *) tle->expr;

			if (tle->resjunk)
				break;
			cte->ctecolnames = lappend(cte->ctecolnames,
									   makeString(pstrdup(tle->resname)));
			cte->ctecoltypes = lappend_oid(cte->ctecoltypes, exprType(expr));
			cte->ctecoltypmods = lappend_int(cte->ctecoltypmods, exprTypmod(expr));
			cte->ctecolcollations = lappend_oid(cte->ctecolcollations, exprCollation(expr));
		}
	}
}

/*
 * Bring one expression of an entry's query up into the entry's level.
 */
Var *
kpi_export_step(Rewrite *rewrite, QueryLevel *level, int varno, Query *query, Node *expr)
{
	RangeTblEntry *rte = rt_fetch(varno, level->query->rtable);
	AttrNumber	resno = add_output(query, expr);

	widen_entry(rewrite, rte, query);
	if (rte->rtekind == RTE_CTE)
		widen_cte(level, rte);
	return makeVar(varno, resno, exprType(expr), exprTypmod(expr),
				   exprCollation(expr), 0);
}

/*
 * Bring an expression of the metric view's query up along a path.
 */
static Node *
export_along(Rewrite *rewrite, PathStep *step, Query *view, Node *expr)
{
	check_stack_depth();

	if (step == NULL)
		return expr;
	expr = export_along(rewrite, step->next, view, expr);
	return (Node *) kpi_export_step(rewrite, step->level, step->varno,
									step->next ? step->next->level->query : view, expr);
}

/*
 * Bring an expression of the metric view's query up to the level that asked.
 */
Var *
kpi_export(Rewrite *rewrite, Origin *origin, Node *expr)
{
	return castNode(Var, export_along(rewrite, origin->path, origin->view->query, expr));
}

/*
 * A whole-row reference to an entry that carries measures, as the columns that
 * the parser saw: the entry may get more.
 */
Node *
kpi_whole_row(Rewrite *rewrite, QueryLevel *level, Var *var)
{
	QueryLevel *owner = level;
	RangeTblEntry *rte;
	QueryLevel *parent;
	Query	   *query;
	RowExpr    *row = makeNode(RowExpr);
	CaseExpr   *expr;
	CaseWhen   *when;
	Var		   *present;
	int			ncolumns;

	for (Index i = 0; i < var->varlevelsup; i++)
		owner = owner->parent;
	rte = rt_fetch(var->varno, owner->query->rtable);
	query = kpi_entry_query(owner, rte, &parent);
	Assert(query != NULL);

	ncolumns = parsed_columns(rewrite, rte);
	row->row_typeid = var->vartype;
	row->row_format = COERCE_IMPLICIT_CAST;
	row->location = -1;
	for (int i = 1; i <= ncolumns; i++)
	{
		TargetEntry *tle = get_tle_by_resno(query->targetList, i);
		Node	   *expr = (Node *) tle->expr;

		row->args = lappend(row->args,
							makeVar(var->varno, i, exprType(expr), exprTypmod(expr),
									exprCollation(expr), var->varlevelsup));
		row->colnames = lappend(row->colnames, list_nth(rte->eref->colnames, i - 1));
	}
	if (!kpi_is_nullable(owner->query, var->varno))
		return (Node *) row;

	/* no row at all is not a row of nulls */
	present = kpi_export_step(rewrite, owner, var->varno, query,
							  makeBoolConst(true, false));
	present->varlevelsup = var->varlevelsup;
	when = makeNode(CaseWhen);
	when->expr = (Expr *) present;
	when->result = (Expr *) row;
	when->location = -1;
	expr = makeNode(CaseExpr);
	expr->casetype = row->row_typeid;
	expr->args = list_make1(when);
	expr->defresult = (Expr *) makeNullConst(row->row_typeid, -1, InvalidOid);
	expr->location = -1;
	return (Node *) expr;
}
