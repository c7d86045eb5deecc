/*
 * series.c
 *		Series of numbers and timestamps whose values are distinct in a join.
 *
 * Days that come from generate_series() are how everybody fills the empty ones.  Each
 * step is added to the value before: if the parts of the interval go in one direction,
 * no value comes back.  What a join makes of them need not be as distinct: the dates of
 * half days are not, nor are those of 24 hours where the clocks are put back.
 *
 * src/measure/series.c
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "measure/fanout.h"

/*
 * The step of a series of timestamps, if all of it goes in one direction: then the
 * series never comes back to a value.  NULL otherwise.
 */
static Interval *
one_way_step(FuncExpr *call)
{
	Node	   *step = eval_const_expressions(NULL, copyObject(llast(call->args)));
	Interval   *interval;

	if (!IsA(step, Const) || ((Const *) step)->constisnull)
		return NULL;
	interval = DatumGetIntervalP(((Const *) step)->constvalue);
	if (interval->month == 0 && interval->day == 0 && interval->time == 0)
		return NULL;
	if ((interval->month >= 0 && interval->day >= 0 && interval->time >= 0) ||
		(interval->month <= 0 && interval->day <= 0 && interval->time <= 0))
		return interval;
	return NULL;
}

/*
 * Did the session's time zone ever leave out a day, as some did to come to the other
 * side of the date line?  Then two dates begin at one instant.
 */
bool
kpi_zone_skips_day(void)
{
	/* from before there were zones until what is known of them */
	pg_time_t	at = -400 * 366 * (pg_time_t) SECS_PER_DAY;
	pg_time_t	last = 200 * 366 * (pg_time_t) SECS_PER_DAY;
	long		before;
	long		after;
	int			is_dst;

	while (at < last &&
		   pg_next_dst_boundary(&at, &before, &is_dst, &at, &after, &is_dst, session_timezone) == 1)
	{
		if (after - before >= SECS_PER_DAY)
			return true;
	}
	return false;
}

/*
 * Is each step of a series at least as long as a unit of date_trunc()?  Steps of hours
 * are no measure of days where the time zone has daylight saving.
 */
static bool
step_covers(Interval *step, const char *unit, bool has_zone)
{
	static const struct
	{
		const char *unit;
		int			months;
		int			days;		/* the most that it can have */
	}			units[] = {
		{"day", 1, 1}, {"week", 1, 7}, {"month", 1, 31}, {"quarter", 3, 92}, {"year", 12, 366}
	};
	int64		days = (int64) abs(step->day);

	if (has_zone && (step->time != 0 || step->month < 0 || step->day < 0))
		return false;
	days += Abs(step->time) / USECS_PER_DAY;
	for (int i = 0; i < lengthof(units); i++)
		if (strcmp(units[i].unit, unit) == 0)
			return abs(step->month) >= units[i].months || days >= units[i].days;
	return false;
}

/*
 * The unit to which an expression cuts its argument, which goes into *arg; or NULL.
 */
static const char *
cut_unit(Node *node, Node **arg)
{
	FuncExpr   *func = (FuncExpr *) node;
	Const	   *unit;

	if (!IsA(node, FuncExpr))
		return NULL;
	*arg = kpi_strip_relabel(llast(func->args));
	switch (func->funcid)
	{
		case F_DATE_TIMESTAMP:
		case F_DATE_TIMESTAMPTZ:
			return "day";
		case F_DATE_TRUNC_TEXT_TIMESTAMP:
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ:
			unit = linitial(func->args);
			return IsA(unit, Const) && !unit->constisnull ?
				TextDatumGetCString(unit->constvalue) : NULL;
		default:
			return NULL;
	}
}

/*
 * The argument of a cast between dates and timestamps, which keeps the day; or NULL.
 */
static Node *
cast_of_day(Node *node)
{
	FuncExpr   *func = (FuncExpr *) node;

	if (!IsA(node, FuncExpr))
		return NULL;
	switch (func->funcid)
	{
		case F_TIMESTAMP_TIMESTAMPTZ:
		case F_TIMESTAMP_DATE:
			return linitial(func->args);
		case F_TIMESTAMPTZ_DATE:
			return kpi_zone_skips_day() ? NULL : linitial(func->args);
		default:
			return NULL;
	}
}

/*
 * The unit to which an expression cuts the values of a series, "source", if it does no
 * more than that to them but one-to-one functions of the outcome.  What is cut, goes
 * into *cut.
 */
static const char *
cut_of_series(Node *node, Node *source, Node **cut)
{
	const char *unit = NULL;

	*cut = NULL;
	for (node = kpi_strip_relabel(node); node != NULL; node = kpi_strip_relabel(node))
	{
		Node	   *arg;
		const char *inner = cut_unit(node, &arg);

		if (node == source || (IsA(node, Var) && equal(node, source)))
			return unit;
		if (inner != NULL)
		{
			/* all units are made of days; months are not made of weeks */
			if (unit == NULL || strcmp(unit, "day") == 0)
				unit = inner;
			else if (strcmp(inner, "day") != 0 && strcmp(inner, unit) != 0)
				return NULL;
			if (*cut == NULL)
				*cut = node;
			node = arg;
		}
		else
			node = unit != NULL ? cast_of_day(node) : kpi_one_to_one_argument(node);
	}
	return NULL;
}

/*
 * Are the values of a series of timestamps distinct in what is computed from them: the
 * series itself, or it cut to a unit that its steps cover?
 */
static bool
steps_are_distinct(FuncExpr *call, Node *source, BoundColumn *bound)
{
	Interval   *step = one_way_step(call);
	bool		has_zone = call->funcid == F_GENERATE_SERIES_TIMESTAMPTZ_TIMESTAMPTZ_INTERVAL;
	const char *unit;
	Node	   *cut;

	if (step == NULL)
		return false;
	if (kpi_tells_own_values(bound, source))
		return true;
	unit = cut_of_series(bound->expr, source, &cut);
	return unit != NULL && step_covers(step, unit, has_zone) && kpi_tells_own_values(bound, cut);
}

/*
 * Does a set-returning call never give two values that are equal to one?  It, or its
 * column, is "source" in the bound expression.
 */
bool
kpi_call_is_distinct(FuncExpr *call, Node *source, BoundColumn *bound)
{
	switch (call->funcid)
	{
		case F_GENERATE_SERIES_INT4_INT4:
		case F_GENERATE_SERIES_INT4_INT4_INT4:
		case F_GENERATE_SERIES_INT8_INT8:
		case F_GENERATE_SERIES_INT8_INT8_INT8:
		case F_GENERATE_SERIES_NUMERIC_NUMERIC:
		case F_GENERATE_SERIES_NUMERIC_NUMERIC_NUMERIC:
		case F_GENERATE_SUBSCRIPTS_ANYARRAY_INT4:
		case F_GENERATE_SUBSCRIPTS_ANYARRAY_INT4_BOOL:
			return kpi_tells_own_values(bound, source);
		case F_GENERATE_SERIES_TIMESTAMP_TIMESTAMP_INTERVAL:
		case F_GENERATE_SERIES_TIMESTAMPTZ_TIMESTAMPTZ_INTERVAL:
			return steps_are_distinct(call, source, bound);
		case F_UNNEST_ANYARRAY:
			return list_length(call->args) == 1 &&
				kpi_elements_are_distinct(linitial(call->args), source, bound);
		default:
			return false;
	}
}
