/*
 * fanout.h
 *		What the parts of the proof share that a join does not multiply (M11).
 *
 * src/measure/fanout.h
 */
#ifndef KPI_MEASURE_FANOUT_H
#define KPI_MEASURE_FANOUT_H

#include "measure/measure.h"

/* "left = right" as a fact about the rows of a join */
typedef struct Equation
{
	Node	   *left;
	Node	   *right;			/* NULL: one value, whichever */
	Oid			opno;
	Oid			left_type;		/* that the operator takes */
	Oid			right_type;
	Oid			collation;
	bool		nulls_equal;	/* IS NOT DISTINCT FROM, GROUP BY */
	Bitmapset  *nullable;		/* holds where these entries have a row, or
								 * NULL: always */
	Bitmapset  *preserved;		/* and these, too: ON of a FULL JOIN */
} Equation;

/* "column IS NULL" as a fact about the rows of a join */
typedef struct NullFact
{
	Var		   *var;
	Bitmapset  *nullable;		/* as in Equation */
} NullFact;

/* An outer join, from one of its nullable sides */
typedef struct OuterJoin
{
	Bitmapset  *nullable;		/* the entries that it may fill with nulls */
	Bitmapset  *preserved;		/* those whose row it then keeps */
	Node	   *quals;
} OuterJoin;

/* What the FROM and WHERE of a query say of its rows */
typedef struct JoinFacts
{
	Bitmapset  *entries;
	List	   *equations;		/* of Equation * */
	List	   *nulls;			/* of NullFact * */
	List	   *outer_joins;	/* of OuterJoin * */
} JoinFacts;

/* An expression over one column of an entry that can have but one value */
typedef struct BoundColumn
{
	AttrNumber	attno;
	Node	   *expr;			/* the column, or what is computed from it */
	Oid			opno;			/* of the equality that says so */
	Oid			type;			/* of the expression, as this takes it */
	Oid			collation;
	bool		nulls_equal;
	bool		always;			/* in all rows, not only where the entry has
								 * one */
} BoundColumn;

/* join_facts.c */
extern void kpi_join_facts(Query *query, JoinFacts *facts);
extern List *kpi_group_key_facts(Query *query);
extern Node *kpi_strip_relabel(Node *node);
extern bool kpi_is_given(List *equations, Node *expr, Oid opno, Oid collation);

/* fanout.c */
extern bool kpi_at_most_one_row(QueryLevel *level, List *given);

/* unique.c */
extern Var *kpi_only_column(Node *expr, int rti);
extern bool kpi_is_column(BoundColumn *bound, Oid *opno, Oid *collation);
extern List *kpi_bound_facts(Query *query, int rti, List *bound);
extern bool kpi_bound_is_key(QueryLevel *level, int rti, List *bound);

/* distinct.c */
extern bool kpi_is_plain_column(BoundColumn *bound, Node *source, Oid *opno, Oid *collation);
extern Node *kpi_put_in_place(Node *expr, Node *from, Node *to);
extern bool kpi_tells_own_values(BoundColumn *bound, Node *source);
extern bool kpi_collation_tells(Oid collation, Oid other);
extern Node *kpi_one_to_one_argument(Node *node);
extern bool kpi_values_are_distinct(RangeTblEntry *rte, int rti, List *bound);
extern bool kpi_literal_rows_are_distinct(QueryLevel *level, int rti, List *bound);
extern bool kpi_elements_are_distinct(Node *array, Node *source, BoundColumn *bound);

/* series.c */
extern bool kpi_zone_skips_day(void);
extern bool kpi_call_is_distinct(FuncExpr *call, Node *source, BoundColumn *bound);

#endif							/* KPI_MEASURE_FANOUT_H */
