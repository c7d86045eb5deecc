/*
 * dimension.c
 *		Dimensions: a key, and levels that group its values.
 *
 * A dimension with a table is stored as a view over that table, so that renames
 * are followed, columns are not dropped from under it, and its owner, dump and
 * dependencies are those of any view.  Nobody needs to read the view: members
 * are looked up in the table itself, as far as the view's owner may read it: a
 * dimension tells nothing that its owner may not read.
 *
 * Two triggers on the table send a relation cache invalidation, as a change of the
 * table's definition would: every plan and every backend's cache that holds a
 * scope computed from it is made anew.  One is for each statement; where
 * session_replication_role is "replica", as when logical replication applies
 * changes, which fires no statement triggers, the other one is for each row.
 * Neither fires for a statement that names another table of a family, so a
 * dimension's table has no parents and no children (S8).
 *
 * src/scope/dimension.c
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
#include "catalog/registry.h"
#include "catalog/utility.h"
#include "scope/key.h"
#include "scope/policy.h"
#include "scope/scope.h"

/* Names of the triggers of the table of a dimension */
#define STATEMENT_TRIGGER	"%s_dimension"
#define ROW_TRIGGER			"%s_dimension_row"

PG_FUNCTION_INFO_V1(kpi_create_dimension);
PG_FUNCTION_INFO_V1(kpi_drop_dimension);
PG_FUNCTION_INFO_V1(kpi_dimension_problem);
PG_FUNCTION_INFO_V1(kpi_scope_changed);

/* A row of kpi.dimension_registry */
typedef struct DimensionRow
{
	bool		found;
	Oid			type;
	Oid			admin;			/* or InvalidOid */
	Oid			view;			/* or InvalidOid */
	Oid			owner;			/* or InvalidOid */
} DimensionRow;

/*
 * Take the row of a dimension.
 */
static void
take_dimension(HeapTuple row, TupleDesc desc, void *arg)
{
	DimensionRow *result = arg;
	Oid		   *columns[] = {&result->type, &result->admin, &result->view, &result->owner};

	result->found = true;
	for (int i = 0; i < lengthof(columns); i++)
	{
		bool		isnull;
		Datum		value = kpi_row_value(row, desc, i + 1, &isnull);

		*columns[i] = isnull ? InvalidOid : DatumGetObjectId(value);
	}
}

/*
 * Note why a dimension cannot be used, the first time.
 */
static void
set_problem(Dimension *dimension, char *problem)
{
	if (dimension->problem == NULL)
		dimension->problem = problem;
}

/*
 * Add a column of a dimension's view: a plain column of the one table; false for
 * anything else.
 */
static bool
add_column(Dimension *dimension, Query *query, TargetEntry *tle)
{
	Var		   *var = (Var *) tle->expr;
	RangeTblEntry *rte;

	if (!IsA(var, Var) || var->varattno <= 0)
		return false;
	rte = rt_fetch(var->varno, query->rtable);
	if (rte->rtekind != RTE_RELATION || get_rel_relkind(rte->relid) != RELKIND_RELATION ||
		(OidIsValid(dimension->table) && dimension->table != rte->relid))
		return false;
	dimension->table = rte->relid;
	dimension->columns = lappend_int(dimension->columns, var->varattno);
	dimension->types = lappend_oid(dimension->types, getBaseType(var->vartype));
	dimension->levels = lappend(dimension->levels,
								get_attname(dimension->view, tle->resno, true));
	return true;
}

/*
 * Read the columns that a dimension's view names.
 */
static void
load_columns(Dimension *dimension)
{
	bool		too_deep;
	Query	   *query = kpi_stored_query(dimension->view, &too_deep);
	ListCell   *lc;

	dimension->owner = kpi_relation_owner(dimension->view);
	if (get_rel_name(dimension->view) == NULL)
	{
		set_problem(dimension, psprintf("the view of dimension \"%s\" does not exist",
										dimension->name));
		return;
	}
	foreach(lc, query == NULL ? NIL : query->targetList)
	{
		if (add_column(dimension, query, lfirst_node(TargetEntry, lc)))
			continue;
		query = NULL;
		break;
	}
	if (query == NULL)
		set_problem(dimension, psprintf("view %s of dimension \"%s\" no longer names columns of one table",
										kpi_relation_name(dimension->view), dimension->name));
}

/*
 * May the owner of a dimension read its table?
 */
static void
check_readable(Dimension *dimension)
{
	ListCell   *lc;

	if (pg_class_aclcheck(dimension->table, dimension->owner, ACL_SELECT) == ACLCHECK_OK)
		return;
	foreach(lc, dimension->columns)
	{
		if (pg_attribute_aclcheck(dimension->table, lfirst_int(lc), dimension->owner,
								  ACL_SELECT) != ACLCHECK_OK)
			set_problem(dimension, psprintf("role \"%s\", which owns its view, may not read %s",
											GetUserNameFromId(dimension->owner, true),
											kpi_relation_name(dimension->table)));
	}
}

/*
 * The name of a type in a problem, be it that there is none.
 */
static char *
type_name(Oid type)
{
	return format_type_extended(type, -1, FORMAT_TYPE_ALLOW_INVALID);
}

/*
 * Are the types of a dimension's columns such as keys and levels may have?  One
 * that was registered before this was asked may have others.
 */
static void
check_types(Dimension *dimension)
{
	ListCell   *lc;

	foreach(lc, dimension->types)
	{
		const char *problem = kpi_key_type_problem(lfirst_oid(lc));

		if (problem == NULL)
			continue;
		set_problem(dimension, psprintf("type %s cannot be that of a key or level: %s",
										type_name(lfirst_oid(lc)), problem));
		dimension->is_unsafe = true;
	}
	if (dimension->types != NIL && linitial_oid(dimension->types) != dimension->type)
	{
		set_problem(dimension, psprintf("its key has type %s, not %s as registered",
										type_name(linitial_oid(dimension->types)),
										type_name(dimension->type)));
		dimension->is_unsafe = true;
	}
}

/*
 * Find a dimension by name, or NULL.  Why it cannot be used, if so, is told in it:
 * nothing is raised, locked or run that is anybody's.
 */
Dimension *
kpi_find_dimension(const char *name)
{
	Dimension  *dimension = palloc0(sizeof(Dimension));
	DimensionRow row = {0};
	Oid			argtypes[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(name)};

	(void) kpi_registry_read("SELECT type::pg_catalog.oid, admin::pg_catalog.oid,"
							 " relid::pg_catalog.oid, owner::pg_catalog.oid"
							 " FROM kpi.dimension_registry"
							 " WHERE name OPERATOR(pg_catalog.=) $1",
							 1, argtypes, values, take_dimension, &row);
	if (!row.found)
		return NULL;
	dimension->name = pstrdup(name);
	dimension->type = row.type;
	dimension->admin = row.admin;
	dimension->view = row.view;
	dimension->owner = row.owner;
	if (OidIsValid(row.view))
		load_columns(dimension);
	else
		dimension->types = list_make1_oid(dimension->type);
	check_types(dimension);
	if (OidIsValid(dimension->table) && dimension->problem == NULL)
		check_readable(dimension);
	return dimension;
}

/*
 * A dimension that can be used.
 */
Dimension *
kpi_load_dimension(const char *name)
{
	Dimension  *dimension = kpi_find_dimension(name);

	if (dimension == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("dimension \"%s\" does not exist", name),
				 errhint("Register it with kpi.create_dimension().")));
	kpi_require_usable(dimension);
	return dimension;
}

/*
 * Raise an error for a dimension that cannot be used.
 */
void
kpi_require_usable(Dimension *dimension)
{
	if (dimension->problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", dimension->problem),
				 errhint("Mend that, or drop dimension \"%s\" with kpi.drop_dimension() and create it again.",
						 dimension->name)));
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
 * Make way for a trigger of ours: one that stayed behind goes, somebody else's
 * stays.
 */
static void
make_way_for_trigger(Oid table, const char *name)
{
	Relation	rel = table_open(table, AccessShareLock);
	Oid			found = InvalidOid;

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		if (strcmp(rel->trigdesc->triggers[i].tgname, name) == 0)
			found = rel->trigdesc->triggers[i].tgfoid;
	}
	table_close(rel, NoLock);
	if (!OidIsValid(found))
		return;
	if (found != kpi_trigger_function("scope_changed"))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("trigger \"%s\" for relation %s already exists", name,
						kpi_relation_name(table)),
				 errhint("Rename it, or give the dimension another name.")));
	kpi_run_utility(psprintf("DROP TRIGGER %s ON %s", quote_identifier(name),
							 kpi_relation_name(table)));
}

/*
 * The two triggers of a dimension's table: their names, when they fire, and what
 * session_replication_role they fire in.
 */
static void
make_dimension_triggers(Oid table, const char *name)
{
	char	   *relation = kpi_relation_name(table);
	char	   *names[] = {psprintf(STATEMENT_TRIGGER, name), psprintf(ROW_TRIGGER, name)};
	const char *events[] = {"INSERT OR UPDATE OR DELETE OR TRUNCATE", "INSERT OR UPDATE OR DELETE"};
	const char *levels[] = {"STATEMENT", "ROW"};
	const char *modes[] = {"ALWAYS", "REPLICA"};

	for (int i = 0; i < lengthof(names); i++)
	{
		make_way_for_trigger(table, names[i]);
		kpi_run_utility(psprintf("CREATE TRIGGER %s AFTER %s ON %s"
								 " FOR EACH %s EXECUTE FUNCTION " KPI_SCHEMA ".scope_changed()",
								 quote_identifier(names[i]), events[i], relation, levels[i]));
		kpi_run_utility(psprintf("ALTER TABLE %s ENABLE %s TRIGGER %s",
								 relation, modes[i], quote_identifier(names[i])));
	}
}

/*
 * Make the view of a dimension's table.
 */
static Oid
make_dimension_view(const char *name, Oid table, const char *key, List *levels)
{
	Oid			namespace = get_rel_namespace(table);
	char	   *viewname = psprintf("%s_dimension", name);
	StringInfoData columns;
	ListCell   *lc;

	initStringInfo(&columns);
	appendStringInfoString(&columns, quote_identifier(key));
	foreach(lc, levels)
		appendStringInfo(&columns, ", %s", quote_identifier(lfirst(lc)));

	kpi_run_utility(psprintf("CREATE VIEW %s AS SELECT %s FROM %s",
							 quote_qualified_identifier(get_namespace_name(namespace), viewname),
							 columns.data, kpi_relation_name(table)));
	return get_relname_relid(viewname, namespace);
}

/*
 * A dimension's table is one whose every change fires a trigger of ours.
 */
static void
check_dimension_table(Oid table, const char *name)
{
	kpi_check_owner(table);
	if (get_rel_relkind(table) != RELKIND_RELATION || has_subclass(table) ||
		has_superclass(table) || get_rel_persistence(table) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s cannot be the table of dimension \"%s\"",
						kpi_relation_name(table), name),
				 errdetail("Scopes follow changes by triggers, which only a permanent table that is no partition and has neither parents nor children fires for all of them.")));
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

	table = kpi_registry_value("SELECT c.oid FROM kpi.protection_registry AS p"
							   " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) p.relid::pg_catalog.oid"
							   " WHERE p.dimension OPERATOR(pg_catalog.=) $1"
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
 * Names of dimensions are global, as those of schemas are, and so is the privilege
 * to take one.
 */
static void
check_may_create(void)
{
	AclResult	result = pg_database_aclcheck(MyDatabaseId, GetUserId(), ACL_CREATE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_DATABASE, get_database_name(MyDatabaseId));
}

/*
 * Check the name of a dimension that is to be created.
 */
static void
check_new_name(const char *name)
{
	if (name == NULL || name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a dimension needs a name")));
	if (strlen(name) >= NAMEDATALEN - strlen(KPI_SCOPE_POLICY_PREFIX))
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of dimension \"%s\" is too long", name),
				 errdetail("Policies, triggers and views are named after it; it may have %d bytes.",
						   (int) (NAMEDATALEN - 1 - strlen(KPI_SCOPE_POLICY_PREFIX)))));
	if (kpi_find_dimension(name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("dimension \"%s\" already exists", name)));
	check_name_is_free(name);
}

/*
 * Refuse a type that a key or level may not have.
 */
static void
check_type(Oid type, const char *what)
{
	const char *problem = kpi_key_type_problem(type);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("type %s cannot be %s of a dimension", format_type_be(type), what),
				 errdetail_internal("%s", problem),
				 errhint("Base types such as integer, text or date, domains over them, and enums can.")));
}

/*
 * Make the view and the triggers of a dimension with a table; returns the view.
 */
static Oid
make_table_dimension(const char *name, Oid table, const char *key, List *levels)
{
	Oid			view;

	if (key == NULL || strchr(key, ',') != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimension \"%s\" needs one key column", name),
				 errdetail("A scope is a list of keys; composite keys are not supported."),
				 errhint("Give the table a key of one column, or register a dimension for each column.")));
	check_dimension_table(table, name);
	view = make_dimension_view(name, table, key, levels);
	for (int i = 1; i <= list_length(levels) + 1; i++)
		check_type(getBaseType(get_atttype(view, i)), i == 1 ? "the key" : "a level");
	make_dimension_triggers(table, name);
	return view;
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
	Datum		values[5] = {0};
	char		nulls[] = {' ', ' ', ' ', ' ', ' '};
	Oid			type = PG_ARGISNULL(4) ? TEXTOID : getBaseType(PG_GETARG_OID(4));

	kpi_require_objects();
	check_may_create();
	check_new_name(name);
	values[0] = CStringGetTextDatum(name);
	values[4] = ObjectIdGetDatum(admin ? get_role_oid(admin, false) : InvalidOid);
	if (admin == NULL)
		nulls[4] = 'n';

	if (!PG_ARGISNULL(1))
	{
		if (!PG_ARGISNULL(4))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the type of dimension \"%s\" is that of its key", name)));
		values[1] = ObjectIdGetDatum(make_table_dimension(name, PG_GETARG_OID(1), key, levels));
		type = getBaseType(get_atttype(DatumGetObjectId(values[1]), 1));
		nulls[3] = 'n';
	}
	else
	{
		if (key != NULL || levels != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("dimension \"%s\" has no table, so it has no key column and no levels", name)));
		check_type(type, "the key");
		nulls[1] = 'n';
		values[3] = ObjectIdGetDatum(GetUserId());
	}
	values[2] = ObjectIdGetDatum(type);

	kpi_registry_execute("INSERT INTO kpi.dimension_registry (name, relid, type, owner, admin)"
						 " VALUES ($1, $2, $3, $4, $5)",
						 lengthof(argtypes), argtypes, values, nulls);
	PG_RETURN_VOID();
}

/*
 * kpi.dimension_problem(name): why a dimension cannot be used, or NULL
 */
Datum
kpi_dimension_problem(PG_FUNCTION_ARGS)
{
	Dimension  *dimension = kpi_find_dimension(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (dimension == NULL || dimension->problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(dimension->problem));
}

/*
 * Only its owner drops a dimension, and not while tables are protected by it.  One
 * that was broken by force must be droppable, and then made again: by a superuser.
 */
static void
check_may_drop(Dimension *dimension)
{
	Oid			argtypes[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(dimension->name)};

	if (dimension->problem != NULL && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to drop dimension \"%s\", which cannot be used",
						dimension->name),
				 errdetail_internal("%s", dimension->problem)));
	if (dimension->problem != NULL)
		return;
	if (!has_privs_of_role(GetUserId(), dimension->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of dimension \"%s\"", dimension->name)));
	if (kpi_registry_has("SELECT FROM kpi.protection_registry AS p"
						 " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) p.relid::pg_catalog.oid"
						 " WHERE p.dimension OPERATOR(pg_catalog.=) $1",
						 1, argtypes, values))
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop dimension \"%s\" because tables are protected by it",
						dimension->name),
				 errhint("Run kpi.unprotect() for them first; kpi.protections lists them.")));
}

/*
 * kpi.drop_dimension(name)
 */
Datum
kpi_drop_dimension(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Dimension  *dimension = kpi_find_dimension(name);
	Oid			argtypes[] = {TEXTOID};
	Datum		values[] = {PG_GETARG_DATUM(0)};

	if (dimension == NULL)
		(void) kpi_load_dimension(name);	/* says so */
	check_may_drop(dimension);

	if (OidIsValid(dimension->table))
	{
		char	   *table = kpi_relation_name(dimension->table);

		kpi_run_utility(psprintf("DROP TRIGGER IF EXISTS %s ON %s",
								 quote_identifier(psprintf(STATEMENT_TRIGGER, name)), table));
		kpi_run_utility(psprintf("DROP TRIGGER IF EXISTS %s ON %s",
								 quote_identifier(psprintf(ROW_TRIGGER, name)), table));
	}
	if (get_rel_relkind(dimension->view) == RELKIND_VIEW)
		kpi_run_utility(psprintf("DROP VIEW %s", kpi_relation_name(dimension->view)));
	kpi_registry_execute("DELETE FROM kpi.scope_grant WHERE dimension OPERATOR(pg_catalog.=) $1",
						 1, argtypes, values, NULL);
	kpi_registry_execute("DELETE FROM kpi.dimension_registry WHERE name OPERATOR(pg_catalog.=) $1",
						 1, argtypes, values, NULL);
	PG_RETURN_VOID();
}

/*
 * kpi.scope_changed(): trigger on the tables that scopes are computed from.  Fired
 * for each row, it sends one message for all rows of a statement: PostgreSQL keeps
 * no two of a kind.
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
