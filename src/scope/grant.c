/*
 * grant.c
 *		Giving members of dimensions to roles, and taking them away.
 *
 * Who may: the owner of the dimension and the role that it names.  Neither may
 * be a role that merely has the scope, so nobody widens their own by granting
 * on what they have.  Members are stored as their type writes them.
 *
 * src/scope/grant.c
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/registry.h"
#include "catalog/utility.h"
#include "scope/members.h"
#include "scope/scope.h"

PG_FUNCTION_INFO_V1(kpi_grant_scope);
PG_FUNCTION_INFO_V1(kpi_revoke_scope);
PG_FUNCTION_INFO_V1(kpi_scope_problem);

#define FULL_SCOPE_MEMBER	"*"

/*
 * Raise an error unless the current user administers a dimension.
 */
static void
check_may_grant(Dimension *dimension)
{
	if (has_privs_of_role(GetUserId(), dimension->owner) ||
		(OidIsValid(dimension->admin) && has_privs_of_role(GetUserId(), dimension->admin)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to administer scopes on dimension \"%s\"", dimension->name),
			 errhint("The dimension's owner and its admin role may; kpi.scope_dimensions names them.")));
}

/*
 * The number of a level by name; no name is the key.
 */
static int16
level_number(Dimension *dimension, const char *level)
{
	ListCell   *lc;

	if (level == NULL)
		return KEY_LEVEL;
	foreach(lc, dimension->levels)
	{
		if (strcmp(lfirst(lc), level) == 0)
			return foreach_current_index(lc) + 1;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("dimension \"%s\" has no level \"%s\"", dimension->name, level),
			 errhint("kpi.scope_dimensions lists the levels.")));
	return 0;
}

/*
 * Are these members the word for full scope?
 */
static bool
is_full_scope(List *members, const char *level)
{
	ListCell   *lc;

	foreach(lc, members)
	{
		if (strcmp(lfirst(lc), FULL_SCOPE_MEMBER) != 0)
			continue;
		if (list_length(members) > 1 || level != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("full scope {*} stands alone, without a level")));
		return true;
	}
	return false;
}

/*
 * Members as the type of their level writes them.
 */
static Datum
canonical_members(Dimension *dimension, List *members, int16 level)
{
	return kpi_write_members(level == FULL_SCOPE_LEVEL ? TEXTOID :
							 list_nth_oid(dimension->types, level - 1), members);
}

/*
 * The arguments that both functions have in common.
 */
static Dimension *
scope_arguments(FunctionCallInfo fcinfo, Oid *role)
{
	Dimension  *dimension;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a scope needs a role and a dimension")));
	dimension = kpi_load_dimension(kpi_text_argument(fcinfo, 1));
	check_may_grant(dimension);
	*role = get_role_oid(kpi_text_argument(fcinfo, 0), false);
	return dimension;
}

/*
 * kpi.grant_scope(role, dimension, level, members, valid_until)
 */
Datum
kpi_grant_scope(PG_FUNCTION_ARGS)
{
	Oid			argtypes[] = {REGROLEOID, TEXTOID, INT2OID, TEXTARRAYOID, TIMESTAMPTZOID, REGROLEOID};
	Datum		values[6];
	Oid			role;
	Dimension  *dimension = scope_arguments(fcinfo, &role);
	char	   *level_name = kpi_text_argument(fcinfo, 2);
	List	   *members = kpi_text_list(fcinfo, 3, "members");
	TimestampTz valid_until = PG_ARGISNULL(4) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(4);
	int16		level;

	if (members == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a scope needs members"),
				 errhint("Name members of dimension \"%s\", or {*} for full scope.", dimension->name)));
	if (valid_until <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("valid_until is in the past")));
	level = is_full_scope(members, level_name) ? FULL_SCOPE_LEVEL :
		level_number(dimension, level_name);

	values[0] = ObjectIdGetDatum(role);
	values[1] = CStringGetTextDatum(dimension->name);
	values[2] = Int16GetDatum(level);
	values[3] = canonical_members(dimension, members, level);
	values[4] = TimestampTzGetDatum(valid_until);
	values[5] = ObjectIdGetDatum(GetUserId());
	kpi_registry_execute("INSERT INTO kpi.scope_grant AS g"
						 " (grantee, dimension, level, members, valid_until, granted_by)"
						 " SELECT $1, $2, $3, array_agg(DISTINCT m ORDER BY m), $5, $6 FROM unnest($4) AS m"
						 " ON CONFLICT (dimension, grantee, level, valid_until) DO UPDATE SET"
						 " members = ARRAY(SELECT m FROM unnest(g.members) AS m"
						 "  UNION SELECT m FROM unnest(excluded.members) AS m ORDER BY 1),"
						 " granted_by = excluded.granted_by, granted_at = now()",
						 lengthof(argtypes), argtypes, values, NULL);
	PG_RETURN_VOID();
}

/*
 * Each member that is revoked must have been granted, in those words: a member
 * that is overlooked would stay.
 */
static void
check_granted(Dimension *dimension, Oid role, Oid *argtypes, Datum *values)
{
	bool		none;
	Datum		missing;

	missing = kpi_registry_value("SELECT min(m) FROM unnest($4) AS m WHERE NOT EXISTS"
								 " (SELECT FROM kpi.scope_grant AS g"
								 "  WHERE g.grantee OPERATOR(pg_catalog.=) $1"
								 "  AND g.dimension OPERATOR(pg_catalog.=) $2"
								 "  AND g.level OPERATOR(pg_catalog.=) $3"
								 "  AND m OPERATOR(pg_catalog.=) ANY (g.members))",
								 4, argtypes, values, &none);
	if (none)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("role \"%s\" was not granted member \"%s\" of dimension \"%s\"",
					GetUserNameFromId(role, false), TextDatumGetCString(missing),
					dimension->name),
			 errhint("kpi.scopes lists the members as they were granted.")));
}

/*
 * kpi.revoke_scope(role, dimension, level, members)
 */
Datum
kpi_revoke_scope(PG_FUNCTION_ARGS)
{
	Oid			argtypes[] = {REGROLEOID, TEXTOID, INT2OID, TEXTARRAYOID};
	Datum		values[4];
	char		nulls[] = {' ', ' ', ' ', ' '};
	Oid			role;
	Dimension  *dimension = scope_arguments(fcinfo, &role);
	char	   *level_name = kpi_text_argument(fcinfo, 2);
	List	   *members = kpi_text_list(fcinfo, 3, "members");
	int16		level;

	level = is_full_scope(members, level_name) ? FULL_SCOPE_LEVEL :
		level_number(dimension, level_name);
	values[0] = ObjectIdGetDatum(role);
	values[1] = CStringGetTextDatum(dimension->name);
	values[2] = Int16GetDatum(level);
	if (members == NIL)
		nulls[3] = 'n';
	else
		values[3] = canonical_members(dimension, members, level);
	if (members == NIL && level_name == NULL)
		nulls[2] = 'n';
	if (members != NIL)
		check_granted(dimension, role, argtypes, values);

	if (kpi_registry_execute("UPDATE kpi.scope_grant SET members = ARRAY(SELECT m FROM unnest(members) AS m"
							 "  WHERE NOT coalesce(m OPERATOR(pg_catalog.=) ANY ($4), true) ORDER BY 1)"
							 " WHERE grantee OPERATOR(pg_catalog.=) $1 AND dimension OPERATOR(pg_catalog.=) $2"
							 " AND coalesce(level OPERATOR(pg_catalog.=) $3, true)"
							 " AND coalesce(members OPERATOR(pg_catalog.&&) $4, true)",
							 lengthof(argtypes), argtypes, values, nulls) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\" has no such scope on dimension \"%s\"",
						GetUserNameFromId(role, false), dimension->name),
				 errhint("kpi.scopes lists the scopes; one that comes through another role is revoked from that role.")));
	kpi_registry_execute("DELETE FROM kpi.scope_grant WHERE members OPERATOR(pg_catalog.=) '{}'",
						 0, NULL, NULL, NULL);
	PG_RETURN_VOID();
}

/* Which members the rows of a dimension's table have */
typedef struct MatchedMembers
{
	bool	   *matched;		/* one for each member */
} MatchedMembers;

/*
 * A row has a member.
 */
static void
note_match(Datum key, int member, void *arg)
{
	((MatchedMembers *) arg)->matched[member] = true;
}

/* A scope that kpi.check() looks at */
typedef struct ScopeLook
{
	Dimension  *dimension;
	int16		level;
	ArrayType  *members;
	ArrayBuildState *unmatched; /* NULL for none */
} ScopeLook;

/*
 * Errand: find the members of a scope that no row of the dimension's table has; of
 * plain values any will do that can be read.
 */
static void
find_unmatched(void *arg)
{
	ScopeLook  *look = arg;
	Oid			type = list_nth_oid(look->dimension->types, look->level - 1);
	MemberSet  *set = kpi_read_members(type, look->members);
	MatchedMembers matches;
	Datum	   *texts;
	int			ntexts;

	matches.matched = palloc0(sizeof(bool) * (set->count + 1));
	if (!OidIsValid(look->dimension->table) ||
		!kpi_read_keys(look->dimension, look->level, set, false, note_match, &matches))
		return;
	deconstruct_array(look->members, TEXTOID, -1, false, TYPALIGN_INT, &texts, NULL, &ntexts);
	for (int i = 0; i < ntexts; i++)
	{
		MemberSet  *one = kpi_read_members(type, construct_array(&texts[i], 1, TEXTOID, -1, false,
																 TYPALIGN_INT));
		int			position = one->count == 0 ? -1 :
		kpi_find_member(set, one->values[0], InvalidOid);

		if (position < 0 || !matches.matched[position])
			look->unmatched = accumArrayResult(look->unmatched, texts[i], false, TEXTOID,
											   CurrentMemoryContext);
	}
}

/*
 * Why nobody can read a scope, or NULL.
 */
static char *
scope_problem(ScopeLook *look)
{
	ErrorData  *error;

	if (look->level == FULL_SCOPE_LEVEL)
		return NULL;
	if (look->level < 0 || look->level > list_length(look->dimension->types))
		return psprintf("the dimension has no level of number %d: queries of tables that it protects fail",
						look->level);
	if (array_contains_nulls(look->members) || ARR_NDIM(look->members) > 1)
		return "its members are no list of values: queries of tables that it protects fail";
	error = kpi_run_guarded(find_unmatched, look);
	return error == NULL ? NULL :
		psprintf("its members cannot be read, and queries of tables that it protects fail: %s",
				 error->message);
}

/*
 * kpi.scope_problem(dimension, level, members): for kpi.check(), what is wrong with a
 * scope: members that match nothing, or why it cannot be read.  It sees all rows of
 * the table, whatever its row security, and waits for nobody.
 */
Datum
kpi_scope_problem(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ScopeLook	look = {kpi_find_dimension(text_to_cstring(PG_GETARG_TEXT_PP(0))),
	PG_GETARG_INT16(1), PG_GETARG_ARRAYTYPE_P(2)};
	Datum		values[2] = {0};
	bool		nulls[2] = {true, true};
	char	   *problem;

	InitMaterializedSRF(fcinfo, 0);
	if (look.dimension == NULL || look.dimension->problem != NULL)
		return (Datum) 0;
	problem = scope_problem(&look);
	if (problem != NULL)
		values[1] = CStringGetTextDatum(problem);
	else if (look.unmatched != NULL)
		values[0] = makeArrayResult(look.unmatched, CurrentMemoryContext);
	nulls[0] = problem != NULL;
	nulls[1] = problem == NULL;
	if (problem != NULL || look.unmatched != NULL)
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}
