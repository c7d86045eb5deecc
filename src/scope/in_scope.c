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
 * cache invalidations (see kpi.scope_changed), and a change of role membership
 * resets all plans.  A scope that ends at some moment becomes a condition on the
 * time of the statement.  As with PostgreSQL's own GRANT and REVOKE, what another
 * session has changed holds at the latest from the next transaction on.
 *
 * Where the planner does not simplify, the same scope is looked up at run time.
 * Both read a cache of the backend, which the same invalidations empty.
 *
 * Scopes are read with the newest snapshot, whatever the isolation level.
 *
 * A user has the scopes of all roles whose privileges the user has, as
 * has_privs_of_role() tells; superusers and roles with BYPASSRLS have full scope.
 *
 * src/scope/in_scope.c
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "catalog/catalog.h"
#include "kpitables.h"
#include "scope/scope.h"

PG_FUNCTION_INFO_V1(kpi_in_scope);
PG_FUNCTION_INFO_V1(kpi_in_scope_support);
PG_FUNCTION_INFO_V1(kpi_scope_holds);

/* What a user sees of a dimension until some moment */
typedef struct ScopeStep
{
	TimestampTz until;			/* DT_NOEND for the last */
	bool		full;
	ArrayType  *keys;			/* of the key's type, without repeats */
} ScopeStep;

/* A user's scope on a dimension */
typedef struct Scope
{
	Oid			user;
	char	   *dimension;
	Oid			type;			/* of the keys */
	List	   *steps;			/* of ScopeStep *, by time */
	List	   *relations;		/* OIDs: what it was computed from */
	uint64		generation;		/* of the cache */
} Scope;

/*
 * The cache: a few users and dimensions a session, so a list does.  Whatever may
 * change a scope raises the generation and so empties it; a scope computed while
 * an invalidation arrived is never served again.
 */
static MemoryContext scope_context = NULL;
static List *scopes = NIL;
static uint64 generation = 0;
static uint64 context_generation = 0;	/* of what is in scope_context */
static List *watched = NIL;		/* OIDs of relations that scopes came from */

/*
 * A relation changed.  Called at any moment: no catalog access.
 */
static void
relation_changed(Datum arg, Oid relid)
{
	if (relid == InvalidOid || list_member_oid(watched, relid))
		generation++;
}

/*
 * A role or membership changed.  Plans of before are of no use (the server does
 * this itself from 15.19 on).
 */
static void
role_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	generation++;
	if (watched != NIL)
		ResetPlanCache();
}

/*
 * Register for all that can change a scope.
 */
void
kpi_scope_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, role_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, role_changed, (Datum) 0);
}

/*
 * Watch a relation that a scope is computed from.
 */
static void
watch(Scope *scope, Oid relid)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	watched = list_append_unique_oid(watched, relid);
	MemoryContextSwitchTo(scope_context);
	scope->relations = list_append_unique_oid(scope->relations, relid);
	MemoryContextSwitchTo(old);
}

/* A row of kpi.scope_grant that concerns a user */
typedef struct Grant
{
	int16		level;
	Datum		members;		/* text[] */
	TimestampTz until;
} Grant;

/*
 * The grants that a user has on a dimension, through any role.
 */
static List *
load_grants(const char *dimension, Oid user)
{
	Oid			argtypes[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(dimension)};
	MemoryContext caller = CurrentMemoryContext;
	List	   *result = NIL;

	/* the members are fetched for the grants that matter, and those are few */
	if (SPI_execute_with_args("SELECT grantee, level, members, valid_until FROM kpi.scope_grant"
							  " WHERE dimension OPERATOR(pg_catalog.=) $1",
							  1, argtypes, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read scopes");

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		Oid			grantee = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &isnull));
		Grant	   *grant;
		MemoryContext old;

		if (!has_privs_of_role(user, grantee) ||
			!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(grantee)))
			continue;
		old = MemoryContextSwitchTo(caller);
		grant = palloc(sizeof(Grant));
		grant->level = DatumGetInt16(SPI_getbinval(tuple, desc, 2, &isnull));
		grant->members = PointerGetDatum(DatumGetArrayTypePCopy(SPI_getbinval(tuple, desc, 3, &isnull)));
		grant->until = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 4, &isnull));
		result = lappend(result, grant);
		MemoryContextSwitchTo(old);
	}
	return result;
}

/*
 * The keys that the members of a grant stand for, appended to an SQL list of
 * selects.
 */
static void
append_members(StringInfo sql, Dimension *dimension, Grant *grant, int parameter)
{
	Oid			type = list_nth_oid(dimension->types, grant->level - 1);

	if (sql->len > 0)
		appendStringInfoString(sql, " UNION ");
	if (grant->level == 1)
		appendStringInfo(sql, "SELECT m::%s FROM unnest($%d) AS m",
						 kpi_type_name(dimension->type), parameter);
	else
		appendStringInfo(sql, "SELECT t.%s::%s FROM %s AS t WHERE t.%s %s ANY ($%d::%s[]) AND t.%s IS NOT NULL",
						 quote_identifier(linitial(dimension->columns)),
						 kpi_type_name(dimension->type),
						 kpi_relation_name(dimension->table),
						 quote_identifier(list_nth(dimension->columns, grant->level - 1)),
						 kpi_equality_operator(type),
						 parameter, kpi_type_name(type),
						 quote_identifier(linitial(dimension->columns)));
}

/*
 * What the grants that hold just before a moment give.
 */
static ScopeStep *
make_step(Dimension *dimension, List *grants, TimestampTz until)
{
	ScopeStep  *step = MemoryContextAllocZero(scope_context, sizeof(ScopeStep));
	StringInfoData sql;
	Datum	   *values = palloc(sizeof(Datum) * (list_length(grants) + 1));
	Oid		   *argtypes = palloc(sizeof(Oid) * (list_length(grants) + 1));
	int			nargs = 0;
	ListCell   *lc;

	step->until = until;
	initStringInfo(&sql);
	foreach(lc, grants)
	{
		Grant	   *grant = lfirst(lc);

		if (grant->until < until)
			continue;
		if (grant->level == 0)
			step->full = true;
		else if (grant->level <= list_length(dimension->types))
		{
			argtypes[nargs] = TEXTARRAYOID;
			values[nargs] = grant->members;
			append_members(&sql, dimension, grant, ++nargs);
		}
	}
	if (!step->full && nargs > 0)
	{
		bool		isnull;
		Datum		keys;
		MemoryContext old;
		Oid			user;
		int			sec_context;

		GetUserIdAndSecContext(&user, &sec_context);
		kpi_become_reader(dimension->owner);
		if (SPI_execute_with_args(psprintf("SELECT array_agg(k ORDER BY k) FROM (%s) AS s (k)", sql.data),
								  nargs, argtypes, values, NULL, true, 1) != SPI_OK_SELECT)
			elog(ERROR, "could not read the members of dimension \"%s\"", dimension->name);
		SetUserIdAndSecContext(user, sec_context);
		keys = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		old = MemoryContextSwitchTo(scope_context);
		if (!isnull)
			step->keys = DatumGetArrayTypePCopy(keys);
		MemoryContextSwitchTo(old);
	}
	return step;
}

/*
 * Order moments.
 */
static int
compare_moments(const ListCell *a, const ListCell *b)
{
	TimestampTz left = *(TimestampTz *) lfirst(a);
	TimestampTz right = *(TimestampTz *) lfirst(b);

	return left < right ? -1 : left > right;
}

/*
 * Compute a user's scope: grants are read with the rights of the extension's
 * owner, the dimension's table with those of the dimension's.
 */
static void
compute_scope(Scope *scope)
{
	Dimension  *dimension = kpi_load_dimension(scope->dimension, false);
	List	   *grants;
	List	   *moments = NIL;
	TimestampTz last = DT_NOBEGIN;
	TimestampTz never = DT_NOEND;
	ListCell   *lc;
	Oid			namespace = get_namespace_oid(KPI_SCHEMA, false);

	scope->type = dimension->type;
	watch(scope, get_relname_relid("scope_grant", namespace));
	watch(scope, get_relname_relid("dimension_registry", namespace));
	if (OidIsValid(dimension->view))
	{
		watch(scope, dimension->view);
		watch(scope, dimension->table);
	}

	grants = load_grants(scope->dimension, scope->user);
	foreach(lc, grants)
		moments = lappend(moments, &((Grant *) lfirst(lc))->until);
	moments = lappend(moments, &never);
	list_sort(moments, compare_moments);
	foreach(lc, moments)
	{
		TimestampTz until = *(TimestampTz *) lfirst(lc);
		ScopeStep  *step;
		MemoryContext old;

		if (until == last)
			continue;
		last = until;
		step = make_step(dimension, grants, until);
		old = MemoryContextSwitchTo(scope_context);
		scope->steps = lappend(scope->steps, step);
		MemoryContextSwitchTo(old);
	}
}

/*
 * Full scope for ever, for those whom row security does not bind either.
 */
static void
give_full_scope(Scope *scope)
{
	MemoryContext old = MemoryContextSwitchTo(scope_context);
	ScopeStep  *step = palloc0(sizeof(ScopeStep));

	step->until = DT_NOEND;
	step->full = true;
	scope->steps = list_make1(step);
	MemoryContextSwitchTo(old);
}

/*
 * Forget scopes that are not of the current generation.
 */
static void
discard_stale_scopes(void)
{
	if (scope_context == NULL)
		scope_context = AllocSetContextCreate(TopMemoryContext, "kpitables scopes",
											  ALLOCSET_SMALL_SIZES);
	if (context_generation != generation)
	{
		scopes = NIL;
		MemoryContextReset(scope_context);
		context_generation = generation;
	}
}

/*
 * The scope of the current user on a dimension, from the cache or computed.
 * Valid until the next call.
 */
static Scope *
current_scope(const char *dimension)
{
	Oid			user = GetUserId();
	Scope	   *scope;
	ListCell   *lc;
	MemoryContext old;
	KpiRegistryAccess registry;
	bool		pushed = false;

	discard_stale_scopes();
	foreach(lc, scopes)
	{
		scope = lfirst(lc);
		if (scope->user == user && strcmp(scope->dimension, dimension) == 0)
			return scope;
	}

	/* a dimension's table that its own scopes protect, and its owner obeys */
	check_stack_depth();

	old = MemoryContextSwitchTo(scope_context);
	scope = palloc0(sizeof(Scope));
	scope->user = user;
	scope->dimension = pstrdup(dimension);
	scope->generation = generation;
	MemoryContextSwitchTo(old);

	if (has_bypassrls_privilege(user))
	{
		scope->type = kpi_load_dimension(dimension, false)->type;
		give_full_scope(scope);
		return scope;
	}

	if (!IsInParallelMode())
	{
		PushActiveSnapshot(GetLatestSnapshot());
		pushed = true;
	}
	kpi_begin_registry(&registry);
	compute_scope(scope);
	kpi_end_registry(&registry);
	if (pushed)
		PopActiveSnapshot();

	/*
	 * what arrived meanwhile may have changed it: then it serves this call
	 * only
	 */
	if (scope->generation == generation)
	{
		old = MemoryContextSwitchTo(scope_context);
		scopes = lappend(scopes, scope);
		MemoryContextSwitchTo(old);
	}
	return scope;
}

/*
 * Does an array hold a value, by the equality and collation that the planner
 * would have used?
 */
static bool
array_holds(ArrayType *array, Datum value, TypeCacheEntry *type, Oid collation)
{
	Datum	   *elems;
	int			count;

	deconstruct_array(array, type->type_id, type->typlen, type->typbyval,
					  type->typalign, &elems, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		if (DatumGetBool(FunctionCall2Coll(&type->eq_opr_finfo, collation,
										   elems[i], value)))
			return true;
	}
	return false;
}

/*
 * What a scope gives at the time of the statement, or NULL.
 */
static ScopeStep *
step_in_force(Scope *scope)
{
	ListCell   *lc;

	foreach(lc, scope->steps)
	{
		ScopeStep  *step = lfirst(lc);

		if (step->until > GetCurrentStatementStartTimestamp())
			return step;
	}
	return NULL;
}

/*
 * kpi.in_scope(dimension, key), where the planner did not replace it
 */
Datum
kpi_in_scope(PG_FUNCTION_ARGS)
{
	TypeCacheEntry *type = (TypeCacheEntry *) fcinfo->flinfo->fn_extra;
	Scope	   *scope;
	ScopeStep  *step;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of a dimension must not be null")));
	scope = current_scope(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (type == NULL || type->type_id != scope->type)
	{
		Oid			argtype = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, 1));

		if (argtype != scope->type && !IsBinaryCoercible(argtype, scope->type))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("key of dimension \"%s\" has type %s, not %s", scope->dimension,
							format_type_be(scope->type), format_type_be(argtype))));
		type = lookup_type_cache(scope->type, TYPECACHE_EQ_OPR_FINFO);
		fcinfo->flinfo->fn_extra = type;
	}

	step = step_in_force(scope);
	if (step == NULL || step->full)
		PG_RETURN_BOOL(step != NULL);
	if (step->keys == NULL || PG_ARGISNULL(1))
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(array_holds(step->keys, PG_GETARG_DATUM(1), type, PG_GET_COLLATION()));
}

/* What kpi.scope_holds() is asked, and its answer */
typedef struct HoldsRequest
{
	char	   *dimension;
	ArrayType  *members;		/* or NULL */
	bool		result;
} HoldsRequest;

/*
 * Body of kpi_scope_holds().
 */
static void
holds_body(void *arg)
{
	HoldsRequest *request = arg;
	Scope	   *scope = current_scope(request->dimension);
	ScopeStep  *step = step_in_force(scope);
	TypeCacheEntry *type = lookup_type_cache(scope->type, TYPECACHE_EQ_OPR_FINFO);
	Oid			input;
	Oid			ioparam;
	Datum	   *elems;
	bool	   *nulls;
	int			count;

	if (step == NULL || step->full || request->members == NULL || step->keys == NULL)
	{
		request->result = step != NULL && step->full;
		return;
	}

	getTypeInputInfo(scope->type, &input, &ioparam);
	deconstruct_array(request->members, TEXTOID, -1, false, TYPALIGN_INT,
					  &elems, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i] ||
			!array_holds(step->keys,
						 OidInputFunctionCall(input, TextDatumGetCString(elems[i]), ioparam, -1),
						 type, type->typcollation))
			return;
	}
	request->result = true;
}

/*
 * kpi.scope_holds(dimension, members): are all of some keys, written as text, in
 * the scope of the current user?  Those that are not known, NULL keys among them,
 * are in full scope only.  What cannot be told, as of a dimension that is gone or
 * has another type by now, is not.
 */
Datum
kpi_scope_holds(PG_FUNCTION_ARGS)
{
	HoldsRequest request = {0};

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	request.dimension = text_to_cstring(PG_GETARG_TEXT_PP(0));
	request.members = PG_ARGISNULL(1) ? NULL : PG_GETARG_ARRAYTYPE_P(1);
	if (kpi_run_guarded(holds_body, &request) != NULL)
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(request.result);
}

/*
 * A step as a condition on a key: "key = ANY (array)", or "key = element" where
 * there is only one.
 */
static Node *
step_condition(ScopeStep *step, Node *key, TypeCacheEntry *type)
{
	Oid			collation = exprCollation(key);
	Oid			arraytype = get_array_type(type->type_id);
	ScalarArrayOpExpr *expr;
	Datum	   *elems;
	int			count;

	if (step->full || step->keys == NULL)
		return makeBoolConst(step->full, false);

	deconstruct_array(step->keys, type->type_id, type->typlen, type->typbyval,
					  type->typalign, &elems, NULL, &count);
	if (count == 1)
	{
		Const	   *element = makeConst(type->type_id, -1, collation, type->typlen,
										datumCopy(elems[0], type->typbyval, type->typlen),
										false, type->typbyval);
		Node	   *result = (Node *) make_opclause(type->eq_opr, BOOLOID, false,
													(Expr *) copyObject(key),
													(Expr *) element,
													InvalidOid, collation);

		set_opfuncid((OpExpr *) result);
		return result;
	}

	expr = makeNode(ScalarArrayOpExpr);
	expr->opno = type->eq_opr;
	expr->useOr = true;
	expr->inputcollid = collation;
	expr->args = list_make2(copyObject(key),
							makeConst(arraytype, -1, get_typcollation(arraytype), -1,
									  datumCopy(PointerGetDatum(step->keys), false, -1),
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
	TypeCacheEntry *type = lookup_type_cache(scope->type, TYPECACHE_EQ_OPR);
	List	   *conditions = NIL;
	ScopeStep  *previous = NULL;
	ListCell   *lc;

	foreach(lc, scope->steps)
	{
		ScopeStep  *step = lfirst(lc);
		Node	   *condition = step_condition(step, key, type);

		if (previous != NULL && step->keys == NULL && !step->full)
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
		return makeBoolConst(true, false);
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

	if (root == NULL || root->glob == NULL ||
		!IsA(name, Const) || name->constisnull)
		return NULL;

	scope = current_scope(TextDatumGetCString(name->constvalue));
	if (exprType(key) != scope->type)
	{
		if (!IsBinaryCoercible(exprType(key), scope->type))
			return NULL;		/* the function itself says what is wrong */
		key = (Node *) makeRelabelType((Expr *) key, scope->type, -1,
									   exprCollation(key), COERCE_IMPLICIT_CAST);
	}

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
