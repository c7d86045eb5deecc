/*
 * policy.c
 *		The policies by which a table obeys scopes.
 *
 * Protection is PostgreSQL's row security and nothing else: a restrictive policy
 * a dimension, so that dimensions are AND-ed with each other and with whatever
 * policies the table has, and a permissive one that lets through what the
 * restrictive ones leave, unless row security was enabled before.
 * Row security is forced, so that the owner obeys, too; superusers and roles with
 * BYPASSRLS do not, as everywhere in PostgreSQL.
 *
 * A policy is written from the names of a dimension and a column, and never from
 * the text of another policy, which is its table owner's.
 *
 * src/scope/policy.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_policy.h"
#include "commands/policy.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
#include "catalog/utility.h"
#include "scope/key.h"
#include "scope/policy.h"

PG_FUNCTION_INFO_V1(kpi_policy_column);
PG_FUNCTION_INFO_V1(kpi_policy_statement);
PG_FUNCTION_INFO_V1(kpi_opening_statement);
PG_FUNCTION_INFO_V1(kpi_within_scopes);

#define OPEN_POLICY		"kpi_open"
#define SCOPE_POLICY	KPI_SCOPE_POLICY_PREFIX "%s"

#define MAKE_OPEN_POLICY	"CREATE POLICY " OPEN_POLICY " ON %s" \
	" USING (" KPI_SCHEMA ".within_scopes()) WITH CHECK (" KPI_SCHEMA ".within_scopes())"

/* What to look for among a table's policies */
typedef bool (*PolicyTest) (HeapTuple tuple, TupleDesc desc, void *arg);

/*
 * Does a table have a policy that passes a test?
 */
static bool
has_policy_like(Oid relid, PolicyTest test, void *arg)
{
	Relation	catalog = table_open(PolicyRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		result = false;

	ScanKeyInit(&key, Anum_pg_policy_polrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, PolicyPolrelidPolnameIndexId, true, NULL, 1, &key);
	while (!result && HeapTupleIsValid(tuple = systable_getnext(scan)))
		result = test(tuple, RelationGetDescr(catalog), arg);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/*
 * One of a dimension's scope?
 */
static bool
is_scope_policy(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Form_pg_policy policy = (Form_pg_policy) GETSTRUCT(tuple);

	return strncmp(NameStr(policy->polname), KPI_SCOPE_POLICY_PREFIX,
				   strlen(KPI_SCOPE_POLICY_PREFIX)) == 0;
}

/*
 * One that is not ours?
 */
static bool
is_other_policy(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Form_pg_policy policy = (Form_pg_policy) GETSTRUCT(tuple);

	return !is_scope_policy(tuple, desc, arg) && strcmp(NameStr(policy->polname), OPEN_POLICY) != 0;
}

/*
 * A permissive one that is not ours?
 */
static bool
is_own_permissive_policy(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Form_pg_policy policy = (Form_pg_policy) GETSTRUCT(tuple);

	return policy->polpermissive && strcmp(NameStr(policy->polname), OPEN_POLICY) != 0;
}

/*
 * Does a table have policies of dimensions' scopes?
 */
bool
kpi_has_scope_policies(Oid relid)
{
	return has_policy_like(relid, is_scope_policy, NULL);
}

/*
 * Does a table have policies that are not ours?
 */
bool
kpi_has_other_policies(Oid relid)
{
	return has_policy_like(relid, is_other_policy, NULL);
}

/*
 * Does a table have a policy of this name?
 */
static bool
has_policy(Oid relid, const char *name)
{
	return OidIsValid(get_relation_policy_oid(relid, name, true));
}

/*
 * Does a table have the policy of a dimension's scope?
 */
bool
kpi_has_scope_policy(Oid relid, const char *dimension)
{
	return has_policy(relid, psprintf(SCOPE_POLICY, dimension));
}

/*
 * Is row security enabled for a table?
 */
bool
kpi_has_row_security(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_class) GETSTRUCT(tuple))->relrowsecurity;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * The statement that makes the policy of a dimension's scope, or NULL where a column
 * does not hold the key: it is cast where the key has another type that PostgreSQL
 * would cast it to by itself.
 */
static char *
policy_statement(Oid relid, const char *dimension, Oid key_type, const char *column, bool writes)
{
	Oid			type = get_atttype(relid, get_attnum(relid, column));
	char	   *cast = "";
	Oid			function;

	if (!OidIsValid(type) || !SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(key_type)) ||
		!kpi_key_cast(type, key_type, &function))
		return NULL;
	if (type != key_type)
		cast = psprintf("::%s", kpi_type_name(key_type));
	return psprintf("CREATE POLICY %s ON %s AS RESTRICTIVE FOR %s USING (" KPI_SCHEMA ".in_scope(%s, %s%s))",
					quote_identifier(psprintf(SCOPE_POLICY, dimension)), kpi_relation_name(relid),
					writes ? "ALL" : "SELECT", quote_literal_cstr(dimension),
					quote_identifier(column), cast);
}

/*
 * Refuse a column that does not hold the key of a dimension.
 */
static void
check_key_column(Oid relid, Dimension *dimension, const char *column)
{
	AttrNumber	attnum = get_attnum(relid, column);
	Oid			type = get_atttype(relid, attnum);
	Oid			function;

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist", column,
						kpi_relation_name(relid))));
	if (!kpi_key_cast(type, dimension->type, &function))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" has type %s, but the key of dimension \"%s\" has type %s",
						column, format_type_be(type), dimension->name,
						format_type_be(dimension->type)),
				 errhint("Protect a column of the key's type, or of one that PostgreSQL itself casts to it.")));
}

/*
 * Let a table obey the scopes of a dimension, whatever it had of that before.
 */
void
kpi_make_policies(Oid relid, Dimension *dimension, const char *column, bool writes)
{
	char	   *table = kpi_relation_name(relid);
	char	   *policy = psprintf(SCOPE_POLICY, dimension->name);

	check_key_column(relid, dimension, column);
	if (get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot protect foreign table %s", table),
				 errdetail("PostgreSQL has no row security for foreign tables."),
				 errhint("Protect the table at the other server, or revoke privileges on the partition so that it is read through its parent only.")));

	/* where row security was on, it is not for us to let anything through */
	if (!kpi_has_row_security(relid) && !has_policy_like(relid, is_own_permissive_policy, NULL) &&
		!has_policy(relid, OPEN_POLICY))
		kpi_run_utility(psprintf(MAKE_OPEN_POLICY, table));
	if (has_policy(relid, policy))
		kpi_run_utility(psprintf("DROP POLICY %s ON %s", quote_identifier(policy), table));
	kpi_run_utility(policy_statement(relid, dimension->name, dimension->type, column, writes));
	kpi_run_utility(psprintf("ALTER TABLE ONLY %s ENABLE ROW LEVEL SECURITY", table));
	kpi_run_utility(psprintf("ALTER TABLE ONLY %s FORCE ROW LEVEL SECURITY", table));
}

/*
 * Let a table no longer obey the scopes of a dimension.
 */
void
kpi_drop_policies(Oid relid, const char *dimension)
{
	char	   *table = kpi_relation_name(relid);
	char	   *policy = psprintf(SCOPE_POLICY, dimension);

	if (has_policy(relid, policy))
		kpi_run_utility(psprintf("DROP POLICY %s ON %s", quote_identifier(policy), table));
	if (has_policy_like(relid, is_scope_policy, NULL) || !has_policy(relid, OPEN_POLICY))
		return;

	/* where it is, it was we who enabled row security */
	kpi_run_utility(psprintf("DROP POLICY " OPEN_POLICY " ON %s", table));
	if (has_policy_like(relid, is_own_permissive_policy, NULL))
		return;
	kpi_run_utility(psprintf("ALTER TABLE ONLY %s NO FORCE ROW LEVEL SECURITY", table));
	kpi_run_utility(psprintf("ALTER TABLE ONLY %s DISABLE ROW LEVEL SECURITY", table));
}

/*
 * The column that a condition asks a dimension about, as policy_statement() writes
 * it for a key of some type, if one is known; 0 for any other condition.
 */
static AttrNumber
asked_column(Node *condition, const char *dimension, Oid key_type)
{
	FuncExpr   *call = (FuncExpr *) condition;
	Const	   *name;
	Node	   *key;

	if (!IsA(call, FuncExpr) || call->funcid != kpi_require_objects()->in_scope ||
		list_length(call->args) != 2)
		return InvalidAttrNumber;
	name = (Const *) linitial(call->args);
	if (!IsA(name, Const) || name->constisnull ||
		strcmp(TextDatumGetCString(name->constvalue), dimension) != 0)
		return InvalidAttrNumber;
	key = lsecond(call->args);
	if (OidIsValid(key_type) && getBaseType(exprType(key)) != key_type)
		return InvalidAttrNumber;
	if (IsA(key, FuncExpr) && list_length(((FuncExpr *) key)->args) == 1 &&
		((FuncExpr *) key)->funcid < FirstUnpinnedObjectId)
		key = linitial(((FuncExpr *) key)->args);
	while (IsA(key, RelabelType))
		key = (Node *) ((RelabelType *) key)->arg;
	return IsA(key, Var) ? ((Var *) key)->varattno : InvalidAttrNumber;
}

/*
 * Does a policy bind everybody?
 */
static bool
is_for_public(HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	ArrayType  *roles = DatumGetArrayTypeP(heap_getattr(tuple, Anum_pg_policy_polroles,
														desc, &isnull));

	return ARR_NDIM(roles) == 1 && ARR_DIMS(roles)[0] == 1 &&
		((Oid *) ARR_DATA_PTR(roles))[0] == ACL_ID_PUBLIC;
}

/*
 * An expression of a policy, or NULL.
 */
static Node *
policy_expression(HeapTuple tuple, int column, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : stringToNode(TextDatumGetCString(value));
}

/* The policy of a dimension's scope, and the column that it looks at */
typedef struct ScopePolicy
{
	const char *dimension;
	char		command;		/* as pg_policy has it */
	Oid			key_type;		/* or InvalidOid */
	AttrNumber	column;			/* or 0 */
}			ScopePolicy;

/*
 * Is this it, as kpi.protect() makes it?  It binds everybody, and by nothing but its
 * condition.
 */
static bool
find_column(HeapTuple tuple, TupleDesc desc, void *arg)
{
	ScopePolicy *wanted = arg;
	Form_pg_policy policy = (Form_pg_policy) GETSTRUCT(tuple);
	Node	   *condition;

	if (strcmp(NameStr(policy->polname), psprintf(SCOPE_POLICY, wanted->dimension)) != 0 ||
		policy->polcmd != wanted->command || policy->polpermissive ||
		!is_for_public(tuple, desc) ||
		!heap_attisnull(tuple, Anum_pg_policy_polwithcheck, desc))
		return false;
	condition = policy_expression(tuple, Anum_pg_policy_polqual, desc);
	if (condition != NULL)
		wanted->column = asked_column(condition, wanted->dimension, wanted->key_type);
	return wanted->column != InvalidAttrNumber;
}

/*
 * kpi.policy_column(relation, dimension, writes, type): the number of the column that
 * the policy of a dimension's scope looks at, as the catalog has it; NULL where there
 * is no such policy, or it is not as kpi.protect() makes it for a key of that type, if
 * the type is not 0.  Nothing is locked.
 */
Datum
kpi_policy_column(PG_FUNCTION_ARGS)
{
	ScopePolicy wanted = {text_to_cstring(PG_GETARG_TEXT_PP(1)),
	PG_GETARG_BOOL(2) ? '*' : ACL_SELECT_CHR, PG_GETARG_OID(3)};

	if (!has_policy_like(PG_GETARG_OID(0), find_column, &wanted))
		PG_RETURN_NULL();
	PG_RETURN_INT16(wanted.column);
}

/*
 * kpi.policy_statement(relation, dimension, type, column, writes): what makes that
 * policy; NULL where the column does not hold a key of that type
 */
Datum
kpi_policy_statement(PG_FUNCTION_ARGS)
{
	char	   *statement = policy_statement(PG_GETARG_OID(0), text_to_cstring(PG_GETARG_TEXT_PP(1)),
											 PG_GETARG_OID(2), NameStr(*PG_GETARG_NAME(3)),
											 PG_GETARG_BOOL(4));

	if (statement == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(statement));
}

/*
 * Does an expression let through what scopes leave?
 */
static bool
is_within_scopes(Node *node)
{
	return node != NULL && IsA(node, FuncExpr) &&
		((FuncExpr *) node)->funcid == kpi_require_objects()->within_scopes;
}

/*
 * A policy that lets rows through?  Of kpi_open it is known that it lets through all.
 */
static bool
opens(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Form_pg_policy policy = (Form_pg_policy) GETSTRUCT(tuple);

	if (strcmp(NameStr(policy->polname), OPEN_POLICY) != 0)
		return policy->polpermissive && (policy->polcmd == '*' || policy->polcmd == ACL_SELECT_CHR);
	return policy->polpermissive && policy->polcmd == '*' && is_for_public(tuple, desc) &&
		is_within_scopes(policy_expression(tuple, Anum_pg_policy_polqual, desc)) &&
		is_within_scopes(policy_expression(tuple, Anum_pg_policy_polwithcheck, desc));
}

/*
 * kpi.opening_statement(relation): where no policy of a table lets rows through, or
 * kpi_open was changed, what puts that right; else NULL
 */
Datum
kpi_opening_statement(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *table = kpi_relation_name(relid);
	char	   *statement = psprintf(MAKE_OPEN_POLICY, table);

	if (has_policy_like(relid, opens, NULL))
		PG_RETURN_NULL();
	if (has_policy(relid, OPEN_POLICY))
		statement = psprintf("DROP POLICY " OPEN_POLICY " ON %s; %s", table, statement);
	PG_RETURN_TEXT_P(cstring_to_text(statement));
}

/*
 * kpi.within_scopes(): true
 */
Datum
kpi_within_scopes(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(true);
}
