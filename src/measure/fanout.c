/*
 * fanout.c
 *		Proof that a join counts no row of a metric view twice (M11).
 *
 * For one row of the entry that holds the measure, and within one output group,
 * every other entry of the join must have at most one row.  The proof grows a
 * set of entries whose row is determined: at first the measure's own entry;
 * then each entry that has a unique key all of whose columns are equated, by a
 * condition that holds for the row at hand, with expressions over determined
 * entries, constants, outer references, or with the query's grouping
 * expressions.  unique.c knows the unique keys.
 *
 * Which conditions hold: those of WHERE and of inner joins always.  The ON of an
 * outer join holds where the measure's row is on the nullable side, since a row
 * that stands there has met it; and for an entry on the nullable side, which
 * then either has met it or is the single row of nulls.  Which of both, the rows
 * on the other side tell once they are determined.  Where WHERE asks for nulls
 * that only the join can have made, the entry has no row: an anti-join.
 *
 * The proof is made at each level on the measure's path, from above: what is one
 * value in the output group there is passed down as known.
 *
 * Nothing is added to the query: a join that is proven costs nothing, and one
 * that is not is refused.
 *
 * src/measure/fanout.c
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
#include "errors.h"
#include "measure/fanout.h"

/* A proof on its way */
typedef struct Proof
{
	QueryLevel *level;
	int			fixed;			/* the entry that has a row in all rows asked
								 * about, or 0 */
	Bitmapset  *known;			/* entries whose row is determined */
	Bitmapset  *maybe;			/* entries with this row, if any */
	JoinFacts	facts;
} Proof;

/* Where does a fact hold? */
typedef enum Holding
{
	HOLDS_ALWAYS,				/* in all rows that are asked about */
	HOLDS_OR_NULL,				/* in those where the entry has a row */
	HOLDS_NOT
} Holding;

/*
 * Where does an equation hold, as far as a row of an entry is concerned?
 */
static Holding
holding(Proof *proof, Equation *equation, int rti)
{
	bool		fixed_inside = bms_is_member(proof->fixed, equation->nullable);
	bool		rti_inside = bms_is_member(rti, equation->nullable);

	if (equation->nullable == NULL)
		return HOLDS_ALWAYS;
	if (equation->preserved != NULL)
		return (fixed_inside && bms_is_member(rti, equation->preserved)) ||
			(rti_inside && bms_is_member(proof->fixed, equation->preserved)) ?
			HOLDS_OR_NULL : HOLDS_NOT;
	if (fixed_inside)
		return HOLDS_ALWAYS;
	return rti_inside ? HOLDS_OR_NULL : HOLDS_NOT;
}

/*
 * Has the other side of an equation one value, by the entries that are determined?  Of
 * an entry that has its row or none, only a column does, and where it is equal to
 * something.
 */
static bool
is_determined(Proof *proof, Node *expr, Equation *equation, Holding holds)
{
	Var		   *var = (Var *) kpi_strip_relabel(expr);

	if (expr == NULL)
		return true;
	if (contain_volatile_functions(expr))
		return false;
	if (bms_is_subset(pull_varnos(NULL, expr), proof->known))
		return true;
	if (holds == HOLDS_ALWAYS && !equation->nulls_equal && IsA(var, Var) &&
		var->varlevelsup == 0 && bms_is_member(var->varno, proof->maybe) &&
		op_strict(equation->opno))
		return true;
	return kpi_is_given(proof->facts.equations, expr, equation->opno, equation->collation);
}

/*
 * May values of one side of an equality be equal to one of the other?  A timestamp is
 * equal to a timestamptz in the session's time zone, where clocks are put forward two to
 * one; of dates that is true where a whole day was left out.
 */
static bool
is_ambiguous(Oid opno, Oid type, Oid other_type)
{
	if (type == other_type || type == TIMESTAMPTZOID ||
		op_volatile(opno) == PROVOLATILE_IMMUTABLE)
		return false;
	return type != DATEOID || kpi_zone_skips_day();
}

/*
 * If one side of an equation is computed from a column of the entry and the other is
 * determined, note the column.
 */
static List *
add_bound_column(Proof *proof, Equation *equation, int rti, bool is_left, List *bound)
{
	Node	   *side = is_left ? equation->left : equation->right;
	Node	   *other = is_left ? equation->right : equation->left;
	Oid			type = is_left ? equation->left_type : equation->right_type;
	Oid			other_type = is_left ? equation->right_type : equation->left_type;
	Holding		holds = holding(proof, equation, rti);
	Var		   *var = side != NULL ? kpi_only_column(side, rti) : NULL;
	BoundColumn *column;

	if (var == NULL || holds == HOLDS_NOT ||
		(other != NULL && is_ambiguous(equation->opno, type, other_type)) ||
		!is_determined(proof, other, equation, holds) ||
		contain_volatile_functions(side) || expression_returns_set(side))
		return bound;

	column = palloc(sizeof(BoundColumn));
	column->attno = var->varattno;
	column->expr = side;
	column->opno = equation->opno;
	column->type = type;
	column->collation = equation->collation;
	column->nulls_equal = equation->nulls_equal;
	column->always = holds == HOLDS_ALWAYS;
	return lappend(bound, column);
}

/*
 * The columns of an entry that have one value.
 */
static List *
bound_columns(Proof *proof, int rti)
{
	List	   *bound = NIL;
	ListCell   *lc;

	foreach(lc, proof->facts.equations)
	{
		bound = add_bound_column(proof, lfirst(lc), rti, true, bound);
		bound = add_bound_column(proof, lfirst(lc), rti, false, bound);
	}
	return bound;
}

/*
 * Which of the bound columns have one value in all rows?  If asked, only those that are
 * thereby not NULL, so that the entry has a row.
 */
static List *
always_bound(List *bound, bool has_row)
{
	List	   *result = NIL;
	ListCell   *lc;
	Oid			opno;
	Oid			collation;

	foreach(lc, bound)
	{
		BoundColumn *column = lfirst(lc);

		if (column->always &&
			(!has_row || (!column->nulls_equal && op_strict(column->opno) &&
						  kpi_is_column(column, &opno, &collation))))
			result = lappend(result, column);
	}
	return result;
}

/*
 * The entries beside it that a LATERAL entry refers to.
 */
static Bitmapset *
lateral_references(RangeTblEntry *rte)
{
	if (!rte->lateral)
		return NULL;
	switch (rte->rtekind)
	{
		case RTE_SUBQUERY:
			return pull_varnos_of_level(NULL, (Node *) rte->subquery, 1);
		case RTE_FUNCTION:
			return pull_varnos(NULL, (Node *) rte->functions);
		case RTE_TABLEFUNC:
			return pull_varnos(NULL, (Node *) rte->tablefunc);
		case RTE_VALUES:
			return pull_varnos(NULL, (Node *) rte->values_lists);
		default:
			return NULL;
	}
}

/*
 * The entries that an entry of a join stands for.
 */
static Bitmapset *
join_members(Query *query, Bitmapset *entries)
{
	Bitmapset  *result = NULL;
	int			rti = -1;

	while ((rti = bms_next_member(entries, rti)) >= 0)
	{
		RangeTblEntry *rte = rt_fetch(rti, query->rtable);

		if (rte->rtekind == RTE_JOIN)
			result = bms_join(result,
							  join_members(query, pull_varnos(NULL, (Node *) rte->joinaliasvars)));
		else
			result = bms_add_member(result, rti);
	}
	return result;
}

/*
 * Is it determined whether an entry has a row at all?  It is where it has one, and where
 * the rows that an outer join may fill up for lack of one are determined.
 */
static bool
presence_is_determined(Proof *proof, int rti)
{
	ListCell   *lc;

	foreach(lc, proof->facts.outer_joins)
	{
		OuterJoin  *join = lfirst(lc);

		if (bms_is_member(rti, join->nullable) &&
			!bms_is_member(proof->fixed, join->nullable) &&
			!bms_is_subset(join->preserved, proof->known))
			return false;
	}
	return true;
}

/*
 * Is it determined by the bound columns themselves whether an entry has a row?  It has
 * one if they are equal to something; and the key of a table, which is not NULL, tells.
 */
static bool
has_row_by_key(Proof *proof, int rti, List *bound)
{
	RangeTblEntry *rte = rt_fetch(rti, proof->level->query->rtable);
	List	   *always = always_bound(bound, rte->rtekind != RTE_RELATION);

	return always != NIL && kpi_bound_is_key(proof->level, rti, always);
}

/*
 * Note it if the row of an entry is determined by what is determined so far, or would be
 * if we knew whether there is one.  Returns whether anything is new.
 */
static bool
try_entry(Proof *proof, int rti)
{
	RangeTblEntry *rte = rt_fetch(rti, proof->level->query->rtable);
	List	   *bound;

	/* what it is computed from must be determined first */
	if (!bms_is_subset(join_members(proof->level->query, lateral_references(rte)),
					   proof->known))
		return false;

	bound = bound_columns(proof, rti);
	if (!kpi_bound_is_key(proof->level, rti, bound))
		return false;
	if (presence_is_determined(proof, rti) || has_row_by_key(proof, rti, bound))
	{
		proof->known = bms_add_member(proof->known, rti);
		return true;
	}
	if (bms_is_member(rti, proof->maybe))
		return false;
	proof->maybe = bms_add_member(proof->maybe, rti);
	return true;
}

/*
 * Is a column of a table declared NOT NULL, and that enforced for all rows?
 */
static bool
is_declared_not_null(RangeTblEntry *rte, AttrNumber attno)
{
	HeapTuple	tuple;
	bool		result;

	if (attno <= 0 || rte->relkind != RELKIND_RELATION ||
		(rte->inh && has_subclass(rte->relid)))
		return false;
	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(rte->relid), Int16GetDatum(attno));
	result = HeapTupleIsValid(tuple) && ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

/*
 * Is a column, of an entry or of one in the query that this is, NULL only where there is
 * no row?
 */
static bool
has_no_nulls(QueryLevel *level, Var *var)
{
	RangeTblEntry *rte = rt_fetch(var->varno, level->query->rtable);
	QueryLevel	child;
	TargetEntry *tle;
	Node	   *expr;

	check_stack_depth();

	if (rte->rtekind == RTE_RELATION)
		return is_declared_not_null(rte, var->varattno);
	child.rewrite = level->rewrite;
	child.query = kpi_entry_query(level, rte, &child.parent);
	if (child.query == NULL || child.query->setOperations != NULL ||
		child.query->groupingSets != NIL || child.query->hasTargetSRFs)
		return false;
	tle = get_tle_by_resno(child.query->targetList, var->varattno);
	expr = tle != NULL ? flatten_join_alias_vars(child.query, copyObject((Node *) tle->expr)) : NULL;
	expr = kpi_strip_relabel(expr);
	if (expr == NULL)
		return false;
	if (IsA(expr, Var))
		return ((Var *) expr)->varlevelsup == 0 &&
			!kpi_is_nullable(child.query, ((Var *) expr)->varno) &&
			has_no_nulls(&child, (Var *) expr);
	return IsA(expr, Const) && !((Const *) expr)->constisnull;
}

/*
 * Does a condition hold only where a column is not NULL?  0 as column is any of the
 * entry.
 */
static bool
condition_rejects_null(Node *qual, Var *var)
{
	ListCell   *lc;
	List	   *args = NIL;

	if (qual == NULL)
		return false;
	if (IsA(qual, List) || is_andclause(qual))
	{
		foreach(lc, IsA(qual, List) ? (List *) qual : ((BoolExpr *) qual)->args)
		{
			if (condition_rejects_null(lfirst(lc), var))
				return true;
		}
		return false;
	}
	if (IsA(qual, OpExpr) && op_strict(((OpExpr *) qual)->opno))
		args = ((OpExpr *) qual)->args;
	else if (IsA(qual, NullTest) && ((NullTest *) qual)->nulltesttype == IS_NOT_NULL &&
			 !((NullTest *) qual)->argisrow)
		args = list_make1(((NullTest *) qual)->arg);
	foreach(lc, args)
	{
		Var		   *arg = (Var *) kpi_strip_relabel(lfirst(lc));

		if (IsA(arg, Var) && arg->varno == var->varno && arg->varlevelsup == 0 &&
			(arg->varattno == var->varattno || var->varattno == 0))
			return true;
	}
	return false;
}

/*
 * Is a join the innermost of those that may fill up an entry?
 */
static bool
is_innermost(Proof *proof, OuterJoin *join, int rti)
{
	ListCell   *lc;

	foreach(lc, proof->facts.outer_joins)
	{
		OuterJoin  *other = lfirst(lc);

		if (bms_is_member(rti, other->nullable) &&
			bms_subset_compare(other->nullable, join->nullable) == BMS_SUBSET1)
			return false;
	}
	return true;
}

/*
 * Does a condition leave only rows of a join that one of its sides has been filled up
 * in, an anti-join?  Then that side has no row, whatever is in it.
 */
static bool
leaves_none(Proof *proof, OuterJoin *join, NullFact *fact)
{
	if (!bms_is_member(fact->var->varno, join->nullable) || fact->var->varlevelsup != 0)
		return false;
	if (fact->nullable != NULL && !bms_is_member(proof->fixed, fact->nullable) &&
		!bms_is_subset(join->nullable, fact->nullable))
		return false;
	return condition_rejects_null(join->quals, fact->var) ||
		(has_no_nulls(proof->level, fact->var) &&
		 is_innermost(proof, join, fact->var->varno));
}

/*
 * Note the entries that have no row in any of the rows that are asked about.  Returns
 * false if this is true of the fixed entry.
 */
static bool
add_absent_entries(Proof *proof)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, proof->facts.outer_joins)
	{
		OuterJoin  *join = lfirst(lc);

		foreach(lc2, proof->facts.nulls)
		{
			if (!leaves_none(proof, join, lfirst(lc2)))
				continue;
			if (bms_is_member(proof->fixed, join->nullable))
				return false;
			proof->known = bms_add_members(proof->known, join->nullable);
		}
	}
	return true;
}

/*
 * Find all entries whose row is determined.
 */
static void
find_determined(Proof *proof)
{
	bool		progress;

	if (!add_absent_entries(proof))
	{
		proof->known = proof->facts.entries;	/* there are no rows */
		return;
	}
	do
	{
		Bitmapset  *open = bms_difference(proof->facts.entries, proof->known);
		int			rti = -1;

		progress = false;
		open = bms_del_member(open, proof->fixed);
		while ((rti = bms_next_member(open, rti)) >= 0)
			progress |= try_entry(proof, rti);
	} while (progress);
}

/*
 * Start a proof about the rows of a query in which an entry has a row, if one is named.
 */
static void
start_proof(Proof *proof, QueryLevel *level, int fixed, List *equations, List *nulls)
{
	memset(proof, 0, sizeof(Proof));
	proof->level = level;
	proof->fixed = fixed;
	proof->facts.equations = list_copy(equations);
	proof->facts.nulls = list_copy(nulls);
	kpi_join_facts(level->query, &proof->facts);
}

/*
 * Does a query's FROM have at most one row, where these facts hold?
 */
bool
kpi_at_most_one_row(QueryLevel *level, List *given)
{
	Proof		proof;

	check_stack_depth();

	start_proof(&proof, level, 0, given, NIL);
	find_determined(&proof);
	return bms_is_subset(proof.facts.entries, proof.known);
}

/*
 * What one output group of the queries above means for the rows of the query that an
 * entry is: the facts about its columns that are the same for all rows of the group.
 */
static void
pass_down(Proof *proof, Query *query, List **equations, List **nulls)
{
	ListCell   *lc;

	*equations = kpi_bound_facts(query, proof->fixed,
								 always_bound(bound_columns(proof, proof->fixed), false));
	*nulls = NIL;
	foreach(lc, proof->facts.nulls)
	{
		NullFact   *fact = lfirst(lc);
		NullFact   *inner;
		TargetEntry *tle;
		Node	   *expr;

		if (fact->var->varno != proof->fixed || fact->var->varlevelsup != 0 ||
			(fact->nullable != NULL && !bms_is_member(proof->fixed, fact->nullable)))
			continue;
		tle = get_tle_by_resno(query->targetList, fact->var->varattno);
		expr = tle != NULL ? flatten_join_alias_vars(query, copyObject((Node *) tle->expr)) : NULL;
		expr = kpi_strip_relabel(expr);
		if (expr == NULL || !IsA(expr, Var))
			continue;
		inner = palloc0(sizeof(NullFact));
		inner->var = (Var *) expr;
		*nulls = lappend(*nulls, inner);
	}
}

/*
 * Find a join on a path that may repeat the rows of the entry at its end within one
 * output group of the path's first query: the level where, and the entry that is joined.
 */
bool
kpi_find_fan_out(PathStep *path, QueryLevel **level, int *culprit)
{
	List	   *equations = path == NULL ? NIL : kpi_group_key_facts(path->level->query);
	List	   *nulls = NIL;

	for (PathStep *step = path; step != NULL; step = step->next)
	{
		Proof		proof;

		start_proof(&proof, step->level, step->varno, equations, nulls);
		proof.known = bms_make_singleton(step->varno);
		find_determined(&proof);
		*level = step->level;
		*culprit = bms_next_member(bms_difference(proof.facts.entries, proof.known), -1);
		if (*culprit >= 0)
			return true;
		if (step->next == NULL)
			break;

		/* of the entry itself: what is the same without knowing its row */
		start_proof(&proof, step->level, step->varno, equations, nulls);
		find_determined(&proof);
		pass_down(&proof, step->next->level->query, &equations, &nulls);
	}
	return false;
}

/*
 * Walker: is there an aggregate that counts equal rows more than once?
 */
bool
kpi_counts_duplicates(Node *node, void *context)
{
	static const char *const harmless[] = {"min", "max", "bool_and", "bool_or", "every",
	"bit_and", "bit_or"};

	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
	{
		Aggref	   *agg = (Aggref *) node;
		char	   *name = get_func_name(agg->aggfnoid);

		if (agg->aggdistinct != NIL)
			return false;
		if (get_func_namespace(agg->aggfnoid) != PG_CATALOG_NAMESPACE)
			return true;
		for (int i = 0; i < lengthof(harmless); i++)
			if (strcmp(name, harmless[i]) == 0)
				return false;
		return true;
	}
	return expression_tree_walker(node, kpi_counts_duplicates, context);
}

/*
 * Raise an error unless every join on a measure's path is proven to count each
 * row of the metric view at most once in each output group, or its expression does
 * not mind.
 */
void
kpi_check_fan_out(Origin *origin, Node *expr)
{
	QueryLevel *level;
	int			culprit;
	char	   *name;

	if (!kpi_counts_duplicates(expr, NULL) ||
		!kpi_find_fan_out(origin->path, &level, &culprit))
		return;
	name = rt_fetch(culprit, level->query->rtable)->eref->aliasname;
	ereport(ERROR,
			(errcode(ERRCODE_KPI_FAN_OUT),
			 errmsg("join with \"%s\" may count rows of measure \"%s\" more than once; join on a unique key of \"%s\", use EXISTS or IN, or write measure(%s) with GROUP BY in a subquery that is then joined",
					name, origin->name, name, quote_identifier(origin->name)),
			 errdetail("The join is not on a unique key of \"%s\".", name),
			 errhint("Join on a unique key, use EXISTS or IN, or aggregate the measure in a subquery before joining.")));
}
