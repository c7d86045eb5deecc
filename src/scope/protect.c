/*
 * protect.c
 *		Tables that obey scopes.
 *
 * Protection is PostgreSQL's row security and nothing else: a restrictive policy
 * a dimension, so that dimensions are AND-ed with each other and with whatever
 * policies the table has, and a permissive one that lets through what the
 * restrictive ones leave, unless row security was enabled before.
 * Row security is forced, so that the owner obeys, too; superusers and roles with
 * BYPASSRLS do not, as everywhere in PostgreSQL.
 *
 * PostgreSQL applies the policies of the table that a query names, so each
 * partition gets its own; those that come later get theirs by an event trigger.
 *
 * src/scope/protect.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/policy.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/catalog.h"
#include "catalog/utility.h"
#include "scope/scope.h"

PG_FUNCTION_INFO_V1(kpi_protect);
PG_FUNCTION_INFO_V1(kpi_unprotect);
PG_FUNCTION_INFO_V1(kpi_protect_partitions);
PG_FUNCTION_INFO_V1(kpi_within_scopes);

#define OPEN_POLICY		"kpi_open"
#define SCOPE_POLICY_PREFIX	"kpi_scope_"
#define SCOPE_POLICY	SCOPE_POLICY_PREFIX "%s"

/* What to look for among a table's policies */
typedef bool (*PolicyTest) (Form_pg_policy policy);

/*
 * Does a table have a policy that passes a test?
 */
static bool
has_policy_like(Oid relid, PolicyTest test)
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
		result = test((Form_pg_policy) GETSTRUCT(tuple));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/*
 * One of a dimension's scope?
 */
static bool
is_scope_policy(Form_pg_policy policy)
{
	return strncmp(NameStr(policy->polname), SCOPE_POLICY_PREFIX,
				   strlen(SCOPE_POLICY_PREFIX)) == 0;
}

/*
 * A permissive one that is not ours?
 */
static bool
is_own_permissive_policy(Form_pg_policy policy)
{
	return policy->polpermissive && strcmp(NameStr(policy->polname), OPEN_POLICY) != 0;
}

/*
 * Does a table have a permissive policy that is not ours?
 */
static bool
has_own_permissive_policy(Oid relid)
{
	return has_policy_like(relid, is_own_permissive_policy);
}

/*
 * Is row security enabled for a table?
 */
static bool
has_row_security(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		result = rel->rd_rel->relrowsecurity;

	table_close(rel, NoLock);
	return result;
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
 * Protect one table or partition, unless it is already.
 */
static void
protect_one(Oid relid, const char *dimension, const char *expression, bool writes)
{
	char	   *table = kpi_relation_name(relid);
	char	   *policy = psprintf(SCOPE_POLICY, dimension);

	if (get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot protect foreign table %s", table),
				 errdetail("PostgreSQL has no row security for foreign tables."),
				 errhint("Protect the table at the other server, or revoke privileges on the partition so that it is read through its parent only.")));
	if (has_policy(relid, policy))
		return;

	/* where row security was on, it is not for us to let anything through */
	if (!has_row_security(relid) && !has_own_permissive_policy(relid))
		kpi_run_utility(psprintf("CREATE POLICY " OPEN_POLICY " ON %s"
								 " USING (" KPI_SCHEMA ".within_scopes()) WITH CHECK (" KPI_SCHEMA ".within_scopes())", table));
	kpi_run_utility(psprintf("CREATE POLICY %s ON %s AS RESTRICTIVE FOR %s USING (%s)",
							 quote_identifier(policy), table,
							 writes ? "ALL" : "SELECT", expression));
	kpi_run_utility(psprintf("ALTER TABLE ONLY %s ENABLE ROW LEVEL SECURITY", table));
	kpi_run_utility(psprintf("ALTER TABLE ONLY %s FORCE ROW LEVEL SECURITY", table));
}

/*
 * Does PostgreSQL cast one type to another by itself, and to the same value
 * whatever the session's settings are?
 */
static bool
casts_always_alike(Oid from, Oid to)
{
	Oid			function;

	switch (find_coercion_pathway(to, from, COERCION_IMPLICIT, &function))
	{
		case COERCION_PATH_RELABELTYPE:
			return true;
		case COERCION_PATH_FUNC:
			return func_volatile(function) == PROVOLATILE_IMMUTABLE;
		default:
			return false;
	}
}

/*
 * The condition of a policy: the column is cast where the dimension's key has
 * another type that PostgreSQL would cast it to by itself.
 */
static char *
policy_expression(Oid relid, Dimension *dimension, const char *column)
{
	AttrNumber	attnum = get_attnum(relid, column);
	Oid			type;

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist", column,
						kpi_relation_name(relid))));
	type = get_atttype(relid, attnum);
	if (type == dimension->type)
		return psprintf(KPI_SCHEMA ".in_scope(%s, %s)",
						quote_literal_cstr(dimension->name), quote_identifier(column));
	if (!casts_always_alike(type, dimension->type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" has type %s, but the key of dimension \"%s\" has type %s",
						column, format_type_be(type), dimension->name,
						format_type_be(dimension->type)),
				 errhint("Protect a column of the key's type.")));
	return psprintf(KPI_SCHEMA ".in_scope(%s, %s::%s)",
					quote_literal_cstr(dimension->name), quote_identifier(column),
					kpi_type_name(dimension->type));
}

/*
 * kpi.protect(relation, dimension, "column", "for")
 */
Datum
kpi_protect(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Dimension  *dimension = kpi_load_dimension(text_to_cstring(PG_GETARG_TEXT_PP(1)), false);
	char	   *column = text_to_cstring(PG_GETARG_TEXT_PP(2));
	char	   *commands = text_to_cstring(PG_GETARG_TEXT_PP(3));
	char	   *expression;
	bool		writes;
	Oid			argtypes[] = {REGCLASSOID, TEXTOID, TEXTOID, BOOLOID, TEXTOID, INT2OID};
	Datum		values[6];
	ListCell   *lc;
	char		relkind = get_rel_relkind(relid);

	kpi_check_owner(relid);
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE &&
		relkind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot protect %s", kpi_relation_name(relid)),
				 errdetail("Row security is for tables; views show what the tables below them let through.")));
	if (strcmp(commands, "select") == 0)
		writes = false;
	else if (strcmp(commands, "all") == 0)
		writes = true;
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value \"%s\" for what to protect", commands),
				 errhint("It is \"select\" or \"all\".")));
	if (has_policy(relid, psprintf(SCOPE_POLICY, dimension->name)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("table %s is already protected by dimension \"%s\"",
						kpi_relation_name(relid), dimension->name),
				 errhint("Run kpi.unprotect() first.")));

	expression = policy_expression(relid, dimension, column);
	foreach(lc, find_all_inheritors(relid, AccessExclusiveLock, NULL))
		protect_one(lfirst_oid(lc), dimension->name, expression, writes);

	values[0] = ObjectIdGetDatum(relid);
	values[1] = CStringGetTextDatum(dimension->name);
	values[2] = CStringGetTextDatum(expression);
	values[3] = BoolGetDatum(writes);
	values[4] = CStringGetTextDatum(column);
	values[5] = Int16GetDatum(get_attnum(relid, column));
	kpi_registry_execute("INSERT INTO kpi.protection_registry (relid, dimension, expression, writes, attname, attnum)"
						 " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (relid, dimension) DO UPDATE"
						 " SET expression = excluded.expression, writes = excluded.writes,"
						 " attname = excluded.attname, attnum = excluded.attnum",
						 lengthof(argtypes), argtypes, values, NULL);
	PG_RETURN_VOID();
}

/*
 * kpi.unprotect(relation, dimension)
 */
Datum
kpi_unprotect(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *dimension = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *policy = psprintf(SCOPE_POLICY, dimension);
	Oid			argtypes[] = {REGCLASSOID, TEXTOID};
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	ListCell   *lc;

	kpi_check_owner(relid);
	if (kpi_registry_execute("DELETE FROM kpi.protection_registry"
							 " WHERE relid OPERATOR(pg_catalog.=) $1 AND dimension OPERATOR(pg_catalog.=) $2",
							 2, argtypes, values, NULL) == 0 &&
		!has_policy(relid, policy))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table %s is not protected by dimension \"%s\"",
						kpi_relation_name(relid), dimension)));

	foreach(lc, find_all_inheritors(relid, AccessExclusiveLock, NULL))
	{
		Oid			child = lfirst_oid(lc);
		char	   *table = kpi_relation_name(child);

		if (has_policy(child, policy))
			kpi_run_utility(psprintf("DROP POLICY %s ON %s", quote_identifier(policy), table));
		if (has_policy_like(child, is_scope_policy))
			continue;

		/* where it is, it was we who enabled row security */
		if (has_policy(child, OPEN_POLICY))
		{
			kpi_run_utility(psprintf("DROP POLICY " OPEN_POLICY " ON %s", table));
			if (has_policy_like(child, is_own_permissive_policy))
				continue;
			kpi_run_utility(psprintf("ALTER TABLE ONLY %s NO FORCE ROW LEVEL SECURITY", table));
			kpi_run_utility(psprintf("ALTER TABLE ONLY %s DISABLE ROW LEVEL SECURITY", table));
		}
	}
	PG_RETURN_VOID();
}

/* A partition that lacks the protection of its parent */
typedef struct Unprotected
{
	Oid			relid;
	char	   *dimension;
	char	   *expression;
	bool		writes;
} Unprotected;

/*
 * Find the partitions and children of protected tables that are not protected.
 */
static List *
find_unprotected(void)
{
	List	   *result = NIL;
	MemoryContext caller = CurrentMemoryContext;
	KpiRegistryAccess registry;

	kpi_begin_registry(&registry);
	if (SPI_execute("SELECT c.oid, p.dimension, pg_catalog.pg_get_expr(o.polqual, o.polrelid), p.writes"
					" FROM kpi.protection_registry p"
					" JOIN pg_catalog.pg_policy AS o ON o.polrelid OPERATOR(pg_catalog.=) p.relid::pg_catalog.oid"
					"  AND o.polname::pg_catalog.text OPERATOR(pg_catalog.=) ('kpi_scope_' OPERATOR(pg_catalog.||) p.dimension)"
					" CROSS JOIN LATERAL kpi.relation_and_children(p.relid) AS t (relid)"
					" JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.relid::pg_catalog.oid"
					" WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,f}')"
					" AND NOT EXISTS (SELECT FROM pg_catalog.pg_policy AS y"
					"  WHERE y.polrelid OPERATOR(pg_catalog.=) c.oid"
					"  AND y.polname::pg_catalog.text OPERATOR(pg_catalog.=) ('kpi_scope_' OPERATOR(pg_catalog.||) p.dimension))",
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read protections");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		MemoryContext old = MemoryContextSwitchTo(caller);
		Unprotected *found = palloc(sizeof(Unprotected));

		found->relid = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &isnull));
		found->dimension = SPI_getvalue(tuple, desc, 2);
		found->expression = SPI_getvalue(tuple, desc, 3);
		found->writes = DatumGetBool(SPI_getbinval(tuple, desc, 4, &isnull));
		result = lappend(result, found);
		MemoryContextSwitchTo(old);
	}
	kpi_end_registry(&registry);
	return result;
}

/*
 * Event trigger on CREATE TABLE and ALTER TABLE: what has become a partition of
 * a protected table obeys its scopes.  It is part of the command, and fails it,
 * for a partition without protection would show all its rows.  A partition of
 * which the user is not the owner is left alone; kpi.check() tells of it.
 */
Datum
kpi_protect_partitions(PG_FUNCTION_ARGS)
{
	ListCell   *lc;

	if (kpi_event(fcinfo) == NULL)
		PG_RETURN_NULL();

	foreach(lc, find_unprotected())
	{
		Unprotected *found = lfirst(lc);

		if (pg_class_ownercheck(found->relid, GetUserId()) &&
			!has_policy(found->relid, psprintf(SCOPE_POLICY, found->dimension)))
			protect_one(found->relid, found->dimension, found->expression, found->writes);
	}
	PG_RETURN_NULL();
}

/*
 * kpi.within_scopes(): true
 */
Datum
kpi_within_scopes(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(true);
}
