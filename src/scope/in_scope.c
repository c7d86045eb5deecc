/*
 * in_scope.c
 *		Is a key in the current user's scope?
 *
 * kpi.in_scope(dimension, key) is the condition of the policies that protect
 * tables.  Its planner support function replaces it, when a query is planned, by
 * a condition on the key with constants (S3), so that the planner treats it as
 * it would treat a hand-written WHERE.  Such a plan is good for one role and for
 * the scopes as they are, so it is marked as depending on the role and on the
 * relations that the scope was computed from; what changes those sends relation
 * cache invalidations, and a change of role membership resets all plans.  A scope
 * that ends at some moment becomes a condition on the time of the statement.  As
 * with PostgreSQL's own GRANT and REVOKE, what another session has changed holds at
 * the latest from the next transaction on.
 *
 * A scope may change while a statement is planned, which can take as long as one
 * likes.  The planner hook here sees that and plans the statement again; a plan made
 * where the hook does not see it holds no scope but the call.
 *
 * Where the planner does not simplify, the same scope is looked up at run time.
 *
 * src/scope/in_scope.c
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/planner.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "catalog/catalog.h"
#include "catalog/names.h"
#include "scope/cache.h"
#include "scope/scope.h"

PG_FUNCTION_INFO_V1(kpi_in_scope);
PG_FUNCTION_INFO_V1(kpi_in_scope_support);
PG_FUNCTION_INFO_V1(kpi_scope_holds);

/* How often a statement is planned again while scopes go on changing */
#define MAX_REPLANS		3

static planner_hook_type next_planner = NULL;
static uint64 scopes_planned = 0;	/* how often a scope became part of a plan */
static bool watching = false;	/* does our hook see the planning at hand? */
static bool repeats = false;	/* and does it plan again if scopes change? */

/*
 * Let the next planner plan a statement, while we watch.
 */
static PlannedStmt *
watched_plan(Query *parse, const char *query_string, int cursorOptions,
			 ParamListInfo boundParams)
{
	PlannedStmt *volatile result = NULL;
	bool		was_watching = watching;
	bool		was_repeating = repeats;

	watching = true;
	repeats |= parse->hasRowSecurity;
	kpi_scope_planning(1);
	PG_TRY();
	{
		result = next_planner != NULL ?
			next_planner(parse, query_string, cursorOptions, boundParams) :
			standard_planner(parse, query_string, cursorOptions, boundParams);
	}
	PG_FINALLY();
	{
		watching = was_watching;
		repeats = was_repeating;
		kpi_scope_planning(-1);
	}
	PG_END_TRY();
	return result;
}

/*
 * Planner hook: plan a statement again if scopes changed that are part of its plan.
 * A plan that goes into the plan cache is not in it yet; it is made anew at its next
 * execution, for the plan cache was reset meanwhile (see cache.c).  So where they
 * change all the time, the statement at hand goes on with what it saw.
 *
 * Row security marks the statements that policies were applied to; the planner
 * spoils the tree that it is given, so these give it a copy.
 */
static PlannedStmt *
scope_planner(Query *parse, const char *query_string, int cursorOptions,
			  ParamListInfo boundParams)
{
	if (!parse->hasRowSecurity || repeats)
		return watched_plan(parse, query_string, cursorOptions, boundParams);

	for (int i = 0;; i++)
	{
		uint64		generation = kpi_scope_generation();
		uint64		before = scopes_planned;
		Query	   *query = i < MAX_REPLANS ? copyObject(parse) : parse;
		PlannedStmt *result = watched_plan(query, query_string, cursorOptions, boundParams);

		if (i == MAX_REPLANS || scopes_planned == before ||
			generation == kpi_scope_generation())
			return result;
	}
}

/*
 * Join the planner's hooks and whatever tells of changes.
 */
void
kpi_scope_init(void)
{
	kpi_scope_cache_init();
	next_planner = planner_hook;
	planner_hook = scope_planner;
}

/* What a scope gives until some moment, copied */
typedef struct AnswerStep
{
	ScopeStep	step;
	char	  **texts;			/* of the keys, in order; made when needed */
} AnswerStep;

/*
 * A scope that calls of one expression ask, copied: nobody else frees it.
 */
typedef struct ScopeAnswer
{
	MemoryContext context;
	Oid			user;
	char	   *argument;		/* that names the dimension */
	char	   *dimension;
	uint64		generation;
	TimestampTz statement;		/* start of the one that a fleeting scope is
								 * for, or 0 */
	Oid			type;
	List	   *steps;			/* of AnswerStep * */
} ScopeAnswer;

/*
 * A copy of a step.
 */
static AnswerStep *
copy_step(ScopeStep *step)
{
	AnswerStep *result = palloc0(sizeof(AnswerStep));
	MemberSet  *keys = step->keys;

	result->step = *step;
	if (step->full)
		return result;
	result->step.keys = palloc(sizeof(MemberSet));
	*result->step.keys = *keys;
	result->step.keys->values = palloc_extended(mul_size(sizeof(Datum), keys->count + 1),
												MCXT_ALLOC_HUGE);
	for (int i = 0; i < keys->count; i++)
		result->step.keys->values[i] = datumCopy(keys->values[i], keys->type->typbyval,
												 keys->type->typlen);
	return result;
}

/*
 * Make the answer that later calls of the same expression use, too.  Without
 * waiting, what cannot be told has no steps.
 */
static ScopeAnswer *
make_answer(MemoryContext parent, const char *argument, bool wait)
{
	char	   *dimension = kpi_parse_name(argument, "dimension", false);
	Scope	   *scope = kpi_current_scope(dimension, wait);
	MemoryContext context = AllocSetContextCreate(parent, "kpitables scope in use",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ScopeAnswer *answer = palloc0(sizeof(ScopeAnswer));
	ListCell   *lc;

	answer->context = context;
	answer->user = GetUserId();
	answer->argument = pstrdup(argument);
	answer->dimension = pstrdup(dimension);
	answer->generation = kpi_scope_generation();
	if (scope == NULL || scope->fleeting)
		answer->statement = GetCurrentStatementStartTimestamp();
	answer->type = scope == NULL ? InvalidOid : scope->type;
	foreach(lc, scope == NULL ? NIL : scope->steps)
		answer->steps = lappend(answer->steps, copy_step(lfirst(lc)));
	MemoryContextSwitchTo(old);
	return answer;
}

/*
 * Is an answer of an earlier call still that of this one?
 */
static bool
still_answers(ScopeAnswer *answer)
{
	return answer->user == GetUserId() &&
		answer->generation == kpi_scope_generation() &&
		(answer->statement == 0 ||
		 answer->statement == GetCurrentStatementStartTimestamp());
}

/*
 * The answer for a dimension: that of an earlier call of the same expression, which
 * keeps a list of them, or a new one.
 */
static ScopeAnswer *
find_answer(FunctionCallInfo fcinfo, bool wait)
{
	char	   *argument = text_to_cstring(PG_GETARG_TEXT_PP(0));
	FmgrInfo   *flinfo = fcinfo->flinfo;
	ScopeAnswer *answer;
	MemoryContext old;
	ListCell   *lc;

	foreach(lc, (List *) flinfo->fn_extra)
	{
		ScopeAnswer *stale = lfirst(lc);

		if (strcmp(stale->argument, argument) != 0)
			continue;
		if (still_answers(stale))
			return stale;
		flinfo->fn_extra = foreach_delete_current((List *) flinfo->fn_extra, lc);
		MemoryContextDelete(stale->context);
		break;
	}
	answer = make_answer(flinfo->fn_mcxt, argument, wait);
	old = MemoryContextSwitchTo(flinfo->fn_mcxt);
	flinfo->fn_extra = lappend((List *) flinfo->fn_extra, answer);
	MemoryContextSwitchTo(old);
	return answer;
}

/*
 * What an answer says at the time of the statement, or NULL: nothing is seen.
 */
static AnswerStep *
answer_in_force(ScopeAnswer *answer)
{
	ListCell   *lc;

	foreach(lc, answer->steps)
	{
		AnswerStep *step = lfirst(lc);

		if (step->step.until > GetCurrentStatementStartTimestamp())
			return step;
	}
	return NULL;
}

/*
 * A value that is asked about must have the type of the keys.
 */
static void
check_key_type(ScopeAnswer *answer, Oid type)
{
	if (type == answer->type)
		return;
	type = getBaseType(type);
	if (type != answer->type && !IsBinaryCoercible(type, answer->type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("key of dimension \"%s\" has type %s, not %s", answer->dimension,
						format_type_be(answer->type), format_type_be(type))));
}

/*
 * kpi.in_scope(dimension, key), where the planner did not replace it
 */
Datum
kpi_in_scope(PG_FUNCTION_ARGS)
{
	ScopeAnswer *answer;
	AnswerStep *step;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of a dimension must not be null")));
	answer = find_answer(fcinfo, true);
	check_key_type(answer, get_fn_expr_argtype(fcinfo->flinfo, 1));
	step = answer_in_force(answer);
	if (step == NULL || step->step.full)
		PG_RETURN_BOOL(step != NULL);
	if (PG_ARGISNULL(1))
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(kpi_find_member(step->step.keys, PG_GETARG_DATUM(1),
								   kpi_loose_collation(PG_GET_COLLATION())) >= 0);
}

/*
 * Order texts by their bytes.
 */
static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/*
 * A key as text, to be compared: blanks at the end of a character(n) are no part
 * of it.
 */
static char *
comparable_text(char *written, Oid type)
{
	if (type == BPCHAROID)
		written[bpchartruelen(written, strlen(written))] = '\0';
	return written;
}

/*
 * Can a text be read as a number of a type, surely?  Numbers are equal that are
 * written differently; other types are compared as they are written.
 */
static bool
is_number(const char *written, Oid type)
{
	const char *digits = written + (*written == '-');
	size_t		length = strlen(digits);
	size_t		most = type == INT2OID ? 4 : type == INT4OID ? 9 : type == INT8OID ? 18 :
	type == NUMERICOID ? 100 : 0;

	return length > 0 && length <= most && isdigit((unsigned char) *digits) &&
		strspn(digits, type == NUMERICOID ? "0123456789." : "0123456789") == length &&
		strchr(digits, '.') == strrchr(digits, '.');
}

/*
 * Does a step hold a key that is written as a text?
 */
static bool
holds_text(ScopeAnswer *answer, AnswerStep *step, char *text)
{
	Oid			input;
	Oid			ioparam;

	text = comparable_text(text, answer->type);

	if (bsearch(&text, step->texts, step->step.keys->count, sizeof(char *),
				compare_texts) != NULL)
		return true;
	if (!is_number(text, answer->type))
		return false;
	getTypeInputInfo(answer->type, &input, &ioparam);
	return kpi_find_member(step->step.keys, OidInputFunctionCall(input, text, ioparam, -1),
						   InvalidOid) >= 0;
}

/*
 * Make the texts of the keys of a step.
 */
static void
make_texts(ScopeAnswer *answer, AnswerStep *step)
{
	MemoryContext old = MemoryContextSwitchTo(answer->context);
	int			count = 0;
	ListCell   *lc;

	step->texts = palloc_extended(mul_size(sizeof(char *), step->step.keys->count + 1),
								  MCXT_ALLOC_HUGE);
	foreach(lc, kpi_member_texts(step->step.keys))
		step->texts[count++] = comparable_text(lfirst(lc), answer->type);
	qsort(step->texts, count, sizeof(char *), compare_texts);
	MemoryContextSwitchTo(old);
}

/*
 * kpi.scope_holds(dimension, members): are all of some keys, written as text, in
 * the scope of the current user?  Those that are not known, NULL keys among them,
 * are in full scope only.  What cannot be told without waiting or running somebody's
 * code is not: listings ask this of objects of everybody.
 *
 * Keys are compared as they were written, by the output function of the same type:
 * nothing is read that could fail to be, as when the dimension has another type by
 * now.
 */
Datum
kpi_scope_holds(PG_FUNCTION_ARGS)
{
	ScopeAnswer *answer;
	AnswerStep *step;
	Datum	   *elems;
	bool	   *nulls;
	int			count;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	answer = find_answer(fcinfo, false);
	step = answer_in_force(answer);
	if (step == NULL || step->step.full || PG_ARGISNULL(1))
		PG_RETURN_BOOL(step != NULL && step->step.full);
	if (step->texts == NULL)
		make_texts(answer, step);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT,
					  &elems, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i] || !holds_text(answer, step, TextDatumGetCString(elems[i])))
			PG_RETURN_BOOL(false);
	}
	PG_RETURN_BOOL(true);
}

/*
 * A step as a condition on a key: "key = ANY (array)", or "key = element" where
 * there is only one.
 */
static Node *
step_condition(ScopeStep *step, Node *key)
{
	Oid			collation = exprCollation(key);
	TypeCacheEntry *type;
	Oid			arraytype;
	ScalarArrayOpExpr *expr;

	if (step->full || step->keys->count == 0)
		return makeBoolConst(step->full, false);

	type = step->keys->type;
	if (step->keys->count == 1)
	{
		Const	   *element = makeConst(type->type_id, -1, collation, type->typlen,
										datumCopy(step->keys->values[0], type->typbyval,
												  type->typlen),
										false, type->typbyval);
		Node	   *result = (Node *) make_opclause(type->eq_opr, BOOLOID, false,
													(Expr *) copyObject(key),
													(Expr *) element,
													InvalidOid, collation);

		set_opfuncid((OpExpr *) result);
		return result;
	}

	arraytype = get_array_type(type->type_id);
	expr = makeNode(ScalarArrayOpExpr);
	expr->opno = type->eq_opr;
	expr->useOr = true;
	expr->inputcollid = collation;
	expr->args = list_make2(copyObject(key),
							makeConst(arraytype, -1, get_typcollation(arraytype), -1,
									  PointerGetDatum(kpi_member_array(step->keys)),
									  false, false));
	expr->location = -1;
	set_sa_opfuncid(expr);
	return (Node *) expr;
}

/*
 * statement_timestamp() < moment
 */
static Node *
make_before(TimestampTz moment)
{
	Node	   *result;

	result = (Node *) make_opclause(lookup_type_cache(TIMESTAMPTZOID, TYPECACHE_LT_OPR)->lt_opr, BOOLOID, false,
									(Expr *) makeFuncExpr(F_STATEMENT_TIMESTAMP, TIMESTAMPTZOID, NIL,
														  InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
									(Expr *) makeConst(TIMESTAMPTZOID, -1, InvalidOid, sizeof(TimestampTz),
													   TimestampTzGetDatum(moment), false, FLOAT8PASSBYVAL),
									InvalidOid, InvalidOid);
	set_opfuncid((OpExpr *) result);
	return result;
}

/*
 * A scope as a condition on a key.  Time only takes members away, so each step's
 * members are among those of the step before: the first step holds always, and
 * each later one from the moment that the one before it ends.  All lists are
 * constants to the planner.
 */
static Node *
scope_condition(Scope *scope, Node *key)
{
	List	   *conditions = NIL;
	ScopeStep  *previous = NULL;
	ListCell   *lc;

	if (scope->steps == NIL)
		return makeBoolConst(false, false);
	foreach(lc, scope->steps)
	{
		ScopeStep  *step = lfirst(lc);
		Node	   *condition = step_condition(step, key);

		if (previous != NULL && !step->full && step->keys->count == 0)
			condition = make_before(previous->until);
		else if (previous != NULL && !step->full)
			condition = (Node *) makeBoolExpr(OR_EXPR,
											  list_make2(make_before(previous->until), condition),
											  -1);
		if (!step->full)
			conditions = lappend(conditions, condition);
		previous = step;
	}
	if (conditions == NIL)
		return makeBoolConst(true, false);	/* all steps are full */
	if (list_length(conditions) == 1)
		return linitial(conditions);
	return (Node *) makeBoolExpr(AND_EXPR, conditions, -1);
}

/*
 * Replace in_scope('dimension', key) by a condition on the key.
 */
static Node *
simplify_in_scope(PlannerInfo *root, FuncExpr *func)
{
	Const	   *name = (Const *) linitial(func->args);
	Node	   *key = (Node *) lsecond(func->args);
	Scope	   *scope;

	if (root == NULL || root->glob == NULL || !watching ||
		!IsA(name, Const) || name->constisnull)
		return NULL;

	scope = kpi_current_scope(kpi_parse_name(TextDatumGetCString(name->constvalue),
											 "dimension", false), true);
	if (scope->fleeting)
		return NULL;
	if (exprType(key) != scope->type)
	{
		if (!IsBinaryCoercible(exprType(key), scope->type))
			return NULL;		/* the function itself says what is wrong */
		key = (Node *) makeRelabelType((Expr *) key, scope->type, -1,
									   exprCollation(key), COERCE_IMPLICIT_CAST);
	}

	scopes_planned++;
	root->glob->dependsOnRole = true;
	root->glob->relationOids = list_concat(root->glob->relationOids, scope->relations);
	return scope_condition(scope, key);
}

/*
 * kpi.in_scope_support(internal)
 */
Datum
kpi_in_scope_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *result = NULL;

	if (IsA(request, SupportRequestSimplify))
		result = simplify_in_scope(((SupportRequestSimplify *) request)->root,
								   ((SupportRequestSimplify *) request)->fcall);
	PG_RETURN_POINTER(result);
}
