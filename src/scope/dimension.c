/*
 * dimension.c
 *		Dimensions: a key, and levels that group its values.
 *
 * A dimension with a table is stored as a view over that table, so that renames
 * are followed, columns are not dropped from under it, and its owner, dump and
 * dependencies are those of any view.  Nobody needs to read the view: members
 * are looked up in the table itself, with the rights of the view's owner: a
 * dimension tells nothing that its owner may not read, and what hangs on the
 * table runs as nobody else.
 *
 * A statement trigger on the table sends a relation cache invalidation, as a
 * change of the table's definition would: every plan and every backend's cache
 * that holds a scope computed from it is made anew.
 *
 * src/scope/dimension.c
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "catalog/catalog.h"
#include "catalog/utility.h"
#include "scope/scope.h"

PG_FUNCTION_INFO_V1(kpi_create_dimension);
PG_FUNCTION_INFO_V1(kpi_drop_dimension);
PG_FUNCTION_INFO_V1(kpi_dimension_problem);
PG_FUNCTION_INFO_V1(kpi_scope_changed);

/*
 * Read the columns that a dimension's view names.
 */
static void
load_columns(Dimension *dimension)
{
	Relation	view = table_open(dimension->view, AccessShareLock);
	Query	   *query;
	ListCell   *lc;

	if (view->rd_rel->relkind != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not the view of a dimension", kpi_relation_name(dimension->view))));
	dimension->owner = view->rd_rel->relowner;
	query = get_view_query(view);
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Var		   *var = (Var *) tle->expr;
		RangeTblEntry *rte;

		if (!IsA(var, Var) || var->varattno <= 0 ||
			(rte = rt_fetch(var->varno, query->rtable))->rtekind != RTE_RELATION ||
			rte->relkind != RELKIND_RELATION ||
			get_rel_relkind(rte->relid) != RELKIND_RELATION ||
			(OidIsValid(dimension->table) && dimension->table != rte->relid))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("view %s of dimension \"%s\" no longer names columns of one table",
							kpi_relation_name(dimension->view), dimension->name),
					 errhint("Drop the dimension and create it again.")));
		dimension->table = rte->relid;
		dimension->columns = lappend(dimension->columns,
									 get_attname(rte->relid, var->varattno, false));
		dimension->levels = lappend(dimension->levels,
									get_attname(dimension->view, tle->resno, false));
		dimension->types = lappend_oid(dimension->types, var->vartype);
	}
	table_close(view, NoLock);
}

/*
 * Load a dimension by name; NULL or an error for one that does not exist.
 */
Dimension *
kpi_load_dimension(const char *name, bool missing_ok)
{
	Dimension  *dimension = palloc0(sizeof(Dimension));
	Oid			argtypes[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(name)};
	Datum		row[4];
	bool		isnull[4];

	if (!kpi_registry_row("SELECT type, admin, relid, owner FROM kpi.dimension_registry"
						  " WHERE name OPERATOR(pg_catalog.=) $1",
						  1, argtypes, values, lengthof(row), row, isnull))
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("dimension \"%s\" does not exist", name),
				 errhint("Register it with kpi.create_dimension().")));
	}
	dimension->name = pstrdup(name);
	dimension->type = DatumGetObjectId(row[0]);
	dimension->admin = isnull[1] ? InvalidOid : DatumGetObjectId(row[1]);
	if (!isnull[2])
	{
		dimension->view = DatumGetObjectId(row[2]);
		if (get_rel_name(dimension->view) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("the view of dimension \"%s\" does not exist", name),
					 errhint("Drop the dimension with kpi.drop_dimension() and create it again.")));
		load_columns(dimension);
	}
	else
	{
		dimension->owner = DatumGetObjectId(row[3]);
		dimension->types = list_make1_oid(dimension->type);
	}
	return dimension;
}

/*
 * The default equality operator of a type, as SQL writes it out of any
 * search_path.
 */
char *
kpi_equality_operator(Oid type)
{
	Oid			opno = lookup_type_cache(getBaseType(type), TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	Form_pg_operator form;
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify an equality operator for type %s",
						format_type_be(type))));
	form = (Form_pg_operator) GETSTRUCT(tuple);
	result = psprintf("OPERATOR(%s.%s)",
					  quote_identifier(get_namespace_name(form->oprnamespace)),
					  NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return result;
}

/*
 * The name of a type as SQL reads it out of any search_path, with no modifier
 * taken for granted as in "character".
 */
char *
kpi_type_name(Oid type)
{
	return format_type_extended(getBaseType(type), -1,
								FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/*
 * Make the view and the trigger of a dimension's table; returns the view.
 */
static Oid
make_dimension_view(const char *name, Oid table, const char *key, List *levels)
{
	char	   *namespace = get_namespace_name(get_rel_namespace(table));
	char	   *viewname = psprintf("%s_dimension", name);
	char	   *view = quote_qualified_identifier(namespace, viewname);
	StringInfoData columns;
	ListCell   *lc;

	initStringInfo(&columns);
	appendStringInfoString(&columns, quote_identifier(key));
	foreach(lc, levels)
		appendStringInfo(&columns, ", %s", quote_identifier(lfirst(lc)));

	kpi_run_utility(psprintf("CREATE VIEW %s AS SELECT %s FROM %s",
							 view, columns.data, kpi_relation_name(table)));
	kpi_run_utility(psprintf("CREATE OR REPLACE TRIGGER %s AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s"
							 " FOR EACH STATEMENT EXECUTE FUNCTION " KPI_SCHEMA ".scope_changed()",
							 quote_identifier(viewname), kpi_relation_name(table)));
	kpi_run_utility(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s",
							 kpi_relation_name(table), quote_identifier(viewname)));
	return RangeVarGetRelid(makeRangeVarFromNameList(stringToQualifiedNameList(view)),
							NoLock, false);
}

/*
 * A dimension's table is one whose every change fires a statement trigger.
 */
static void
check_dimension_table(Oid table, const char *name)
{
	kpi_check_owner(table);
	if (get_rel_relkind(table) != RELKIND_RELATION || has_subclass(table) ||
		get_rel_persistence(table) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s cannot be the table of dimension \"%s\"",
						kpi_relation_name(table), name),
				 errdetail("Scopes follow changes by a statement trigger, which only a permanent table without partitions or children fires for all of them.")));
}

/*
 * A table may be protected by a dimension that does not exist, after one was
 * dropped by force.  Whoever gives the name to a dimension then says who sees
 * that table's rows, and must own it.
 */
static void
check_name_is_free(const char *name)
{
	Oid			argtypes[] = {TEXTOID, OIDOID};
	Datum		values[] = {CStringGetTextDatum(name), ObjectIdGetDatum(GetUserId())};
	bool		none;
	Datum		table;

	table = kpi_registry_value("SELECT y.polrelid FROM pg_catalog.pg_policy AS y"
							   " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) y.polrelid"
							   " WHERE y.polname::pg_catalog.text OPERATOR(pg_catalog.=) ('kpi_scope_' OPERATOR(pg_catalog.||) $1)"
							   " AND NOT pg_catalog.pg_has_role($2, c.relowner, 'USAGE') LIMIT 1",
							   2, argtypes, values, &none);
	if (!none)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to create dimension \"%s\"", name),
				 errdetail("Table %s is protected by a dimension of this name, and belongs to somebody else.",
						   kpi_relation_name(DatumGetObjectId(table)))));
}

/*
 * kpi.create_dimension(name, source, key, levels, type, admin)
 */
Datum
kpi_create_dimension(PG_FUNCTION_ARGS)
{
	char	   *name = kpi_text_argument(fcinfo, 0);
	char	   *key = kpi_text_argument(fcinfo, 2);
	List	   *levels = kpi_text_list(fcinfo, 3, "levels");
	char	   *admin = kpi_text_argument(fcinfo, 5);
	Oid			argtypes[] = {TEXTOID, REGCLASSOID, REGTYPEOID, REGROLEOID, REGROLEOID};
	Datum		values[5];
	char		nulls[] = {' ', ' ', ' ', ' ', ' '};
	Oid			type = TEXTOID;

	if (name == NULL || name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a dimension needs a name")));
	if (strlen(name) >= NAMEDATALEN - strlen("kpi_scope_"))
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of dimension \"%s\" is too long", name),
				 errdetail("Policies and views are named after it; it may have %d bytes.",
						   (int) (NAMEDATALEN - 1 - strlen("kpi_scope_")))));
	kpi_require_objects();
	if (kpi_load_dimension(name, true) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("dimension \"%s\" already exists", name)));
	check_name_is_free(name);

	values[0] = CStringGetTextDatum(name);
	values[4] = ObjectIdGetDatum(admin ? get_role_oid(admin, false) : InvalidOid);
	if (admin == NULL)
		nulls[4] = 'n';

	if (!PG_ARGISNULL(1))
	{
		Oid			table = PG_GETARG_OID(1);

		if (key == NULL || strchr(key, ',') != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("dimension \"%s\" needs one key column", name),
					 errdetail("A scope is a list of keys; composite keys are not supported."),
					 errhint("Give the table a key of one column, or register a dimension for each column.")));
		if (!PG_ARGISNULL(4))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the type of dimension \"%s\" is that of its key", name)));
		check_dimension_table(table, name);
		values[1] = ObjectIdGetDatum(make_dimension_view(name, table, key, levels));
		type = getBaseType(get_atttype(DatumGetObjectId(values[1]), 1));
		nulls[3] = 'n';
	}
	else
	{
		if (key != NULL || levels != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("dimension \"%s\" has no table, so it has no key column and no levels", name)));
		if (!PG_ARGISNULL(4))
			type = getBaseType(PG_GETARG_OID(4));
		nulls[1] = 'n';
		values[3] = ObjectIdGetDatum(GetUserId());
	}
	if (!OidIsValid(lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_CMP_PROC)->cmp_proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("type %s cannot be the key of a dimension", format_type_be(type)),
				 errdetail("It has no default B-tree operator class.")));
	values[2] = ObjectIdGetDatum(type);

	kpi_registry_execute("INSERT INTO kpi.dimension_registry (name, relid, type, owner, admin)"
						 " VALUES ($1, $2, $3, $4, $5)",
						 lengthof(argtypes), argtypes, values, nulls);
	PG_RETURN_VOID();
}

/*
 * Body of dimension_problem(): do what using the dimension takes.
 */
static void
use_dimension(void *arg)
{
	Dimension  *dimension = kpi_load_dimension(arg, false);
	ListCell   *lc;

	if (!OidIsValid(dimension->table) ||
		pg_class_aclcheck(dimension->table, dimension->owner, ACL_SELECT) == ACLCHECK_OK)
		return;
	foreach(lc, dimension->columns)
	{
		AttrNumber	attnum = get_attnum(dimension->table, lfirst(lc));

		if (pg_attribute_aclcheck(dimension->table, attnum, dimension->owner,
								  ACL_SELECT) != ACLCHECK_OK)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("role \"%s\", which owns its view, may not read %s",
							GetUserNameFromId(dimension->owner, true),
							kpi_relation_name(dimension->table))));
	}
}

/*
 * Why a dimension cannot be used, or NULL.
 */
static char *
dimension_problem(char *name)
{
	ErrorData  *error = kpi_run_guarded(use_dimension, name);

	return error != NULL ? error->message : NULL;
}

/*
 * kpi.dimension_problem(name): for kpi.check()
 */
Datum
kpi_dimension_problem(PG_FUNCTION_ARGS)
{
	char	   *problem = dimension_problem(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}

/*
 * kpi.drop_dimension(name)
 */
Datum
kpi_drop_dimension(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid			argtypes[] = {TEXTOID};
	Datum		values[] = {PG_GETARG_DATUM(0)};
	bool		broken;
	bool		isnull;
	Oid			view;

	view = DatumGetObjectId(kpi_registry_value("SELECT relid FROM kpi.dimension_registry"
											   " WHERE name OPERATOR(pg_catalog.=) $1",
											   1, argtypes, values, &isnull));

	/* one that was broken by force must be droppable, and then made again */
	broken = !isnull && dimension_problem(name) != NULL;
	if (broken && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to drop dimension \"%s\", which cannot be used", name),
				 errdetail_internal("%s", dimension_problem(name))));
	if (!broken &&
		!has_privs_of_role(GetUserId(), kpi_load_dimension(name, false)->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of dimension \"%s\"", name)));

	if (!broken &&
		kpi_registry_execute("SELECT FROM kpi.protection_registry AS p"
							 " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) p.relid::pg_catalog.oid"
							 " WHERE p.dimension OPERATOR(pg_catalog.=) $1",
							 1, argtypes, values, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop dimension \"%s\" because tables are protected by it", name),
				 errhint("Run kpi.unprotect() for them first; kpi.protections lists them.")));

	if (!isnull && !broken)
	{
		Dimension  *dimension = kpi_load_dimension(name, false);

		kpi_run_utility(psprintf("DROP TRIGGER IF EXISTS %s ON %s",
								 quote_identifier(psprintf("%s_dimension", name)),
								 kpi_relation_name(dimension->table)));
	}
	if (!isnull && get_rel_relkind(view) == RELKIND_VIEW)
		kpi_run_utility(psprintf("DROP VIEW %s", kpi_relation_name(view)));
	kpi_registry_execute("DELETE FROM kpi.scope_grant WHERE dimension OPERATOR(pg_catalog.=) $1",
						 1, argtypes, values, NULL);
	kpi_registry_execute("DELETE FROM kpi.dimension_registry WHERE name OPERATOR(pg_catalog.=) $1",
						 1, argtypes, values, NULL);
	PG_RETURN_VOID();
}

/*
 * Statement trigger on the tables that scopes are computed from.
 */
Datum
kpi_scope_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("not called by the trigger manager")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	return PointerGetDatum(NULL);
}
