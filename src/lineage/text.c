/*
 * text.c
 *		Transformations as SQL.
 *
 * src/lineage/text.c
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

#include "lineage/place.h"

/* What deparse_expression() writes for a window that it does not know */
#define WINDOW_GAP	"OVER (?)"

/*
 * The names of a level and those around it, as ruleutils takes them.  Only query
 * trees that the catalogs hold come here, and those are never changed.
 */
static List *
level_names(Level *level)
{
	List	   *result = NIL;

	for (; level != NULL; level = level->parent)
	{
		if (level->names == NIL)
		{
			PlannedStmt *statement = makeNode(PlannedStmt);
			List	   *names = NIL;
			ListCell   *lc;

			foreach(lc, level->query->rtable)
			{
				RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

				names = lappend(names, rte->rtekind == RTE_JOIN && rte->alias == NULL ?
								NULL : rte->eref->aliasname);
			}
			statement->rtable = level->query->rtable;
			level->names = deparse_context_for_plan_tree(statement, names);
		}
		result = list_concat(result, level->names);
	}
	return result;
}

/*
 * Walker: does an expression pick a field of a row without a type?  ruleutils names
 * such fields with what only it knows about CTEs.  What it costs to write the
 * expression is counted on the way: a subquery's columns get names that ruleutils
 * compares with each other.
 */
static bool
picks_from_record(Node *node, Derivation *derivation)
{
	if (node == NULL)
		return false;
	kpi_spend(derivation, 1);
	if (IsA(node, RangeTblEntry))
	{
		int64		columns = list_length(((RangeTblEntry *) node)->eref->colnames);

		kpi_spend(derivation, columns * columns / 2);
		return false;
	}
	if (IsA(node, FieldSelect) && exprType((Node *) ((FieldSelect *) node)->arg) == RECORDOID)
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, picks_from_record, derivation,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, picks_from_record, derivation);
}

/*
 * Walker: the window functions of a level's expression, in the order of its text.
 */
static bool
collect_windows(Node *node, List **functions)
{
	if (node == NULL)
		return false;
	if (IsA(node, WindowFunc))
		*functions = lappend(*functions, node);
	return expression_tree_walker(node, collect_windows, functions);
}

/*
 * Does a sort clause want the greatest first?
 */
static bool
is_descending(SortGroupClause *clause)
{
	Oid			opfamily;
	Oid			type;
	int16		strategy;

	return get_ordering_op_properties(clause->sortop, &opfamily, &type, &strategy) &&
		strategy == BTGreaterStrategyNumber;
}

/*
 * PARTITION BY or ORDER BY of a window.
 */
static void
append_window_clause(StringInfo buf, Level *level, const char *keyword, List *clause, bool ordered)
{
	const char *separator = keyword;
	ListCell   *lc;

	foreach(lc, clause)
	{
		SortGroupClause *item = lfirst_node(SortGroupClause, lc);
		TargetEntry *tle = get_sortgroupclause_tle(item, level->query->targetList);

		appendStringInfo(buf, "%s%s", separator, kpi_place_text(level, (Node *) tle->expr));
		if (ordered && is_descending(item))
			appendStringInfoString(buf, " DESC");
		separator = ", ";
	}
}

/*
 * One end of a window's frame.
 */
static void
append_frame_end(StringInfo buf, Level *level, Node *offset, bool unbounded, bool preceding)
{
	if (unbounded)
		appendStringInfoString(buf, "UNBOUNDED");
	else if (offset != NULL)
		appendStringInfoString(buf, kpi_place_text(level, offset));
	else
	{
		appendStringInfoString(buf, "CURRENT ROW");
		return;
	}
	appendStringInfoString(buf, preceding ? " PRECEDING" : " FOLLOWING");
}

/*
 * The window of a window function, which deparse_expression() does not know.
 */
static char *
window_text(Level *level, WindowFunc *function)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, level->query->windowClause)
	{
		WindowClause *window = lfirst_node(WindowClause, lc);
		int			options = window->frameOptions;

		if (window->winref != function->winref)
			continue;
		append_window_clause(&buf, level, "PARTITION BY ", window->partitionClause, false);
		append_window_clause(&buf, level, buf.len > 0 ? " ORDER BY " : "ORDER BY ",
							 window->orderClause, true);
		if ((options & FRAMEOPTION_NONDEFAULT) == 0)
			continue;
		appendStringInfo(&buf, "%s%s BETWEEN ", buf.len > 0 ? " " : "",
						 options & FRAMEOPTION_ROWS ? "ROWS" :
						 options & FRAMEOPTION_GROUPS ? "GROUPS" : "RANGE");
		append_frame_end(&buf, level, window->startOffset,
						 options & FRAMEOPTION_START_UNBOUNDED_PRECEDING,
						 options & (FRAMEOPTION_START_UNBOUNDED_PRECEDING | FRAMEOPTION_START_OFFSET_PRECEDING));
		appendStringInfoString(&buf, " AND ");
		append_frame_end(&buf, level, window->endOffset,
						 options & FRAMEOPTION_END_UNBOUNDED_FOLLOWING,
						 options & FRAMEOPTION_END_OFFSET_PRECEDING);
		if (options & FRAMEOPTION_EXCLUSION)
			appendStringInfoString(&buf, options & FRAMEOPTION_EXCLUDE_CURRENT_ROW ? " EXCLUDE CURRENT ROW" :
								   options & FRAMEOPTION_EXCLUDE_GROUP ? " EXCLUDE GROUP" : " EXCLUDE TIES");
	}
	return buf.data;
}

/*
 * The next "(?)" that deparse_expression() has left for a window, or NULL.  What is
 * quoted is somebody's text; in it quotes are doubled, which ends and begins it anew.
 */
static char *
find_gap(char *sql)
{
	char		quote = '\0';

	for (; *sql != '\0'; sql++)
	{
		if (quote != '\0')
			quote = *sql == quote ? '\0' : quote;
		else if (*sql == '\'' || *sql == '"')
			quote = *sql;
		else if (strncmp(sql, WINDOW_GAP, strlen(WINDOW_GAP)) == 0)
			return sql;
	}
	return NULL;
}

/*
 * Write the windows where deparse_expression() has left "(?)" for them.
 */
static char *
fill_in_windows(Level *level, Node *expr, char *text)
{
	List	   *functions = NIL;
	StringInfoData buf;
	ListCell   *lc;

	(void) collect_windows(expr, &functions);
	if (functions == NIL)
		return text;

	initStringInfo(&buf);
	foreach(lc, functions)
	{
		char	   *gap = find_gap(text);

		if (gap == NULL)
			break;
		gap += strlen("OVER (");
		appendBinaryStringInfo(&buf, text, gap - text);
		appendStringInfoString(&buf, window_text(level, lfirst_node(WindowFunc, lc)));
		text = gap + strlen("?");
	}
	appendStringInfoString(&buf, text);
	return buf.data;
}

/*
 * Does a level join, or is it inside another?  Then names of columns need those of
 * their relations.
 */
static bool
needs_prefixes(Level *level)
{
	int			relations = 0;
	ListCell   *lc;

	foreach(lc, level->query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->inFromCl && rte->rtekind != RTE_JOIN)
			relations++;
	}
	return relations > 1 || level->parent != NULL;
}

/*
 * An expression of a level as SQL; NULL where that cannot be written.  ruleutils
 * leaves much behind that is not needed any more.
 */
char *
kpi_place_text(Level *level, Node *expr)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch;
	List	   *names;
	char	   *result;

	kpi_spend(level->derivation, TEXT_COST);
	if (picks_from_record(expr, level->derivation))
		return NULL;
	names = level_names(level);
	scratch = AllocSetContextCreate(caller, "kpitables lineage text", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch);
	result = fill_in_windows(level, expr,
							 deparse_expression(expr, names, needs_prefixes(level), false));
	result = MemoryContextStrdup(caller, result);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	list_free(names);
	kpi_spend(level->derivation, strlen(result));
	return result;
}
