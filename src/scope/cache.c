/*
 * cache.c
 *		Scopes of users: computing them, and keeping them for the session.
 *
 * A user has the scopes of all roles whose privileges the user has, as
 * has_privs_of_role() tells; superusers and roles with BYPASSRLS have full scope.
 *
 * Three rules keep a scope from being taken for more than it is (S8):
 *
 * - A scope is computed in a memory context of its own and put into the cache when
 *	 it is complete.  What is half computed is in nobody's sight, and an error on the
 *	 way leaves nothing behind.
 * - Computing may compute others, where a dimension's table is protected itself, and
 *	 may meet any invalidation.  That raises the generation and frees nothing; what is
 *	 of an older generation is freed by the next look into the cache, which holds
 *	 complete scopes only.  So a scope that was given out is good until the next call
 *	 of kpi_current_scope(), and whoever needs it longer copies it.
 * - A scope without steps shows nothing.
 *
 * What a scope was computed from, that of nested scopes included, is watched: its
 * relations send relation cache invalidations (see kpi.scope_changed).  A change
 * that arrives while a statement is planned also resets the session's plans, for
 * the plan that is being made is not in the plan cache yet and would miss it.
 *
 * src/scope/cache.c
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
#include "catalog/registry.h"
#include "scope/cache.h"
#include "scope/members.h"
#include "scope/policy.h"

/* Whose scope on what */
typedef struct ScopeKey
{
	Oid			user;
	NameData	dimension;
} ScopeKey;

/* A complete scope */
typedef struct CachedScope
{
	ScopeKey	key;
	Scope	   *scope;
} CachedScope;

/* A scope that is being computed; they nest */
typedef struct Computation
{
	ScopeKey	key;
	uint64		generation;		/* when it began */
	MemoryContext workspace;
	List	   *relations;		/* OIDs: what it is computed from */
	bool		fleeting;
	struct Computation *outer;
} Computation;

static HTAB *scopes = NULL;
static uint64 scopes_generation = 0;	/* of what is in the cache */
static uint64 generation = 1;	/* raised by whatever may change a scope */
static Computation *computing = NULL;	/* the innermost */
static List *watched = NIL;		/* OIDs of relations that scopes came from */
static bool owner_has_scopes = false;	/* has pg_database_owner any? */
static int	planning = 0;		/* statements being planned, one in another */

/*
 * Scopes are not what they were.
 */
static void
raise_generation(void)
{
	generation++;
	if (planning > 0)
		ResetPlanCache();
}

/*
 * A relation changed.  Called at any moment: no catalog access.
 */
static void
relation_changed(Datum arg, Oid relid)
{
	if (relid == InvalidOid || list_member_oid(watched, relid))
		raise_generation();
}

/*
 * A role or membership changed.  Plans of before are of no use (the server does
 * this itself from 15.19 on).
 */
static void
role_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	raise_generation();
	if (watched != NIL)
		ResetPlanCache();
}

/*
 * The database has changed, its owner perhaps.
 */
static void
database_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	if (owner_has_scopes)
		role_changed(arg, cacheid, hashvalue);
}

/*
 * Register for all that can change a scope.
 */
void
kpi_scope_cache_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, role_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, role_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(DATABASEOID, database_changed, (Datum) 0);
}

/*
 * What was computed under another generation may be another scope by now.
 */
uint64
kpi_scope_generation(void)
{
	return generation;
}

/*
 * A statement begins (1) or ends (-1) to be planned.
 */
void
kpi_scope_planning(int change)
{
	planning += change;
}

/*
 * Watch a relation that a scope is computed from, before it is read.
 */
static void
watch(Computation *computation, Oid relid)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	watched = list_append_unique_oid(watched, relid);
	MemoryContextSwitchTo(computation->workspace);
	computation->relations = list_append_unique_oid(computation->relations, relid);
	MemoryContextSwitchTo(old);
}

/*
 * A computation uses a scope: what changes that changes this.  Time is one of these,
 * and tells nobody: a scope on a dimension whose table is seen through another that
 * ends at some moment, even one that ended between two statements, is computed for
 * each statement.
 */
static void
depend_on_scope(Computation *computation, Scope *scope)
{
	ListCell   *lc;

	if (computation == NULL)
		return;
	foreach(lc, scope->relations)
		watch(computation, lfirst_oid(lc));
	computation->fleeting |= scope->fleeting || list_length(scope->steps) > 1;
}

/* A grant that concerns a user */
typedef struct Grant
{
	int16		level;
	ArrayType  *members;		/* of text */
	TimestampTz until;
} Grant;

/* The grants that a user has on a dimension, through any role */
typedef struct GrantList
{
	Oid			user;
	List	   *grants;			/* of Grant * */
} GrantList;

/*
 * Take a row of kpi.scope_grant, if it concerns the user.
 */
static void
take_grant(HeapTuple row, TupleDesc desc, void *arg)
{
	GrantList  *list = arg;
	Grant	   *grant;
	bool		isnull;
	Oid			grantee = DatumGetObjectId(kpi_row_named(row, desc, "grantee", &isnull));

	if (grantee == ROLE_PG_DATABASE_OWNER)
		owner_has_scopes = true;
	if (!has_privs_of_role(list->user, grantee) ||
		!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(grantee)))
		return;
	grant = palloc(sizeof(Grant));
	grant->until = DatumGetTimestampTz(kpi_row_named(row, desc, "valid_until", &isnull));
	if (grant->until <= GetCurrentStatementStartTimestamp())
		return;
	grant->level = DatumGetInt16(kpi_row_named(row, desc, "level", &isnull));
	grant->members = DatumGetArrayTypeP(kpi_row_named(row, desc, "members", &isnull));
	list->grants = lappend(list->grants, grant);
}

/*
 * The grants that a user has on a dimension, through any role.
 */
static List *
load_grants(const char *dimension, Oid user)
{
	GrantList	list = {user, NIL};

	(void) kpi_registry_find("scope_grant", "dimension", dimension, take_grant, &list);
	return list.grants;
}

/* A key, and until when it is in the scope */
typedef struct GrantedKey
{
	Datum		key;
	TimestampTz until;
} GrantedKey;

/* Keys on their way into a scope */
typedef struct KeyList
{
	TypeCacheEntry *type;
	int			count;
	int			space;
	GrantedKey *keys;
	TimestampTz until;			/* of those that are being added */
} KeyList;

/*
 * Add a key.
 */
static void
add_key(Datum key, int member, void *arg)
{
	KeyList    *list = arg;

	if (list->count == list->space)
	{
		list->space = Max(64, list->space * 2);
		list->keys = list->keys == NULL ?
			palloc(sizeof(GrantedKey) * list->space) :
			repalloc_huge(list->keys, mul_size(sizeof(GrantedKey), list->space));
	}
	list->keys[list->count].key = datumCopy(key, list->type->typbyval, list->type->typlen);
	list->keys[list->count++].until = list->until;
}

/*
 * Add the keys that the members of a grant stand for.  False where that cannot be
 * told without waiting.
 */
static bool
add_granted_keys(KeyList *list, Dimension *dimension, Grant *grant, bool wait)
{
	MemberSet  *members;

	if (grant->level > list_length(dimension->types))
		return true;
	list->until = grant->until;
	members = kpi_read_members(list_nth_oid(dimension->types, grant->level - 1),
							   grant->members);
	if (grant->level != KEY_LEVEL)
	{
		if (!kpi_is_bound(dimension))
			return kpi_read_keys(dimension, grant->level, members, wait, add_key, list);
		kpi_read_bound_keys(dimension, grant->level, members, add_key, list);
		return true;
	}
	for (int i = 0; i < members->count; i++)
		add_key(members->values[i], i, list);
	return true;
}

/*
 * Add to a scope what holds just before a moment.
 */
static void
add_step(Scope *scope, KeyList *list, bool full, TimestampTz until)
{
	MemoryContext old = MemoryContextSwitchTo(scope->context);
	ScopeStep  *step = palloc0(sizeof(ScopeStep));
	Datum	   *values;
	int			count = 0;

	step->until = until;
	step->full = full;
	if (!full)
	{
		values = palloc_extended(mul_size(sizeof(Datum), list->count + 1), MCXT_ALLOC_HUGE);
		for (int i = 0; i < list->count; i++)
		{
			if (list->keys[i].until >= until)
				values[count++] = datumCopy(list->keys[i].key, list->type->typbyval,
											list->type->typlen);
		}
		step->keys = kpi_make_member_set(list->type, values, count);
	}
	scope->steps = lappend(scope->steps, step);
	MemoryContextSwitchTo(old);
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
 * Add the steps that grants make.  False where that cannot be told without waiting.
 */
static bool
add_granted_steps(Scope *scope, Dimension *dimension, List *grants, bool wait)
{
	KeyList		list = {kpi_key_type(dimension->type)};
	List	   *moments = NIL;
	TimestampTz never = DT_NOEND;
	TimestampTz last = DT_NOBEGIN;
	TimestampTz full_until = DT_NOBEGIN;
	ListCell   *lc;

	foreach(lc, grants)
	{
		Grant	   *grant = lfirst(lc);

		moments = lappend(moments, &grant->until);
		if (grant->level == FULL_SCOPE_LEVEL)
			full_until = Max(full_until, grant->until);
		else if (!add_granted_keys(&list, dimension, grant, wait))
			return false;
	}
	moments = lappend(moments, &never);
	list_sort(moments, compare_moments);
	foreach(lc, moments)
	{
		TimestampTz until = *(TimestampTz *) lfirst(lc);

		if (until != last)
			add_step(scope, &list, full_until >= until, until);
		last = until;
	}
	return true;
}

/*
 * Compute a scope.  False where that cannot be told without waiting for anybody or
 * running anybody's code.
 */
static bool
compute(Computation *computation, Scope *scope, bool wait)
{
	const KpiObjects *kpi = kpi_require_objects();
	Dimension  *dimension;

	watch(computation, get_relname_relid("scope_grant", kpi->namespace));
	watch(computation, get_relname_relid("dimension_registry", kpi->namespace));
	dimension = kpi_find_dimension(scope->dimension);
	if (dimension == NULL || (dimension->problem != NULL && !dimension->is_unsafe))
	{
		if (wait)
			(void) kpi_load_dimension(scope->dimension);	/* says why not */
		return false;
	}
	scope->type = dimension->type;
	if (has_bypassrls_privilege(computation->key.user))
	{
		add_step(scope, NULL, true, DT_NOEND);
		return true;
	}
	if (dimension->is_unsafe)
		return true;			/* no steps: nothing is seen */
	if (OidIsValid(dimension->table))
	{
		watch(computation, dimension->view);
		watch(computation, dimension->table);
	}
	if (kpi_is_bound(dimension))
	{
		if (!wait)
			return false;
		/* what other policies look at, nobody tells us of */
		computation->fleeting |= kpi_has_other_policies(dimension->table);
	}
	return add_granted_steps(scope, dimension,
							 load_grants(scope->dimension, computation->key.user), wait);
}

/*
 * A dimension whose table is protected by itself has no scope.
 */
static void
check_recursion(ScopeKey *key)
{
	for (Computation *outer = computing; outer != NULL; outer = outer->outer)
	{
		if (memcmp(&outer->key, key, sizeof(ScopeKey)) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					 errmsg("infinite recursion detected in the scope of dimension \"%s\"",
							NameStr(key->dimension)),
					 errdetail("Its own scopes protect its table from the role that owns the dimension."),
					 errhint("Let the owner of the table own the view of the dimension, too.")));
	}
}

/*
 * Compute a scope aside; NULL where compute() cannot tell.  The scope's context
 * hangs on the caller's until the scope is put into the cache.
 */
static Scope *
compute_aside(ScopeKey *key, bool wait, bool *lasts)
{
	Computation computation = {*key, generation};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "kpitables scope", ALLOCSET_SMALL_SIZES);
	Scope	   *scope = MemoryContextAllocZero(context, sizeof(Scope));
	volatile bool done = false;

	check_recursion(key);
	check_stack_depth();
	computation.workspace = AllocSetContextCreate(caller, "kpitables computing a scope",
												  ALLOCSET_DEFAULT_SIZES);
	computation.outer = computing;
	scope->context = context;
	scope->dimension = MemoryContextStrdup(context, NameStr(key->dimension));
	computing = &computation;
	MemoryContextSwitchTo(computation.workspace);
	PG_TRY();
	{
		done = compute(&computation, scope, wait);
	}
	PG_FINALLY();
	{
		computing = computation.outer;
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
	scope->relations = list_copy(computation.relations);
	scope->fleeting = computation.fleeting;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(computation.workspace);
	depend_on_scope(computing, scope);
	*lasts = done && computation.generation == generation && !scope->fleeting;
	return done ? scope : NULL;
}

/*
 * Forget scopes that may not be what they were.
 */
static void
discard_stale_scopes(void)
{
	HASH_SEQ_STATUS status;
	CachedScope *cached;

	if (scopes == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(ScopeKey);
		control.entrysize = sizeof(CachedScope);
		scopes = hash_create("kpitables scopes", 64, &control, HASH_ELEM | HASH_BLOBS);
	}
	if (scopes_generation == generation)
		return;
	hash_seq_init(&status, scopes);
	while ((cached = hash_seq_search(&status)) != NULL)
	{
		MemoryContextDelete(cached->scope->context);
		(void) hash_search(scopes, &cached->key, HASH_REMOVE, NULL);
	}
	scopes_generation = generation;
}

/*
 * Put a complete scope into the cache, unless one is there by now.
 */
static void
keep(ScopeKey *key, Scope *scope)
{
	CachedScope *cached;
	bool		found;

	discard_stale_scopes();
	cached = hash_search(scopes, key, HASH_ENTER, &found);
	if (found)
		return;
	cached->scope = scope;
	MemoryContextSetParent(scope->context, CacheMemoryContext);
}

/*
 * The scope of the current user on a dimension, from the cache or computed.  Good
 * until the next call, and not longer than the current memory context.  Without
 * waiting for anybody and running anybody's code, NULL is what cannot be told.
 */
Scope *
kpi_current_scope(const char *dimension, bool wait)
{
	ScopeKey	key;
	CachedScope *cached;
	Scope	   *scope;
	bool		lasts;

	memset(&key, 0, sizeof(key));
	key.user = GetUserId();
	namestrcpy(&key.dimension, dimension);

	discard_stale_scopes();
	cached = hash_search(scopes, &key, HASH_FIND, NULL);
	if (cached != NULL)
	{
		depend_on_scope(computing, cached->scope);
		return cached->scope;
	}
	scope = compute_aside(&key, wait, &lasts);
	if (scope != NULL && lasts)
		keep(&key, scope);
	return scope;
}
