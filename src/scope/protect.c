/*
 * protect.c
 *		Tables that obey scopes, and the families that they are in.
 *
 * PostgreSQL applies the policies of the table that a query names.  So each
 * partition and child of a protected table gets its policies, those that come later
 * by an event trigger; and each parent of a table that obeys must obey, too, by the
 * same column, or else it would show the table's rows: that is refused, whether the
 * table is protected first or gets the parent first (S2).
 *
 * src/scope/protect.c
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "catalog/events.h"
#include "catalog/family.h"
#include "catalog/names.h"
#include "catalog/registry.h"
#include "catalog/utility.h"
#include "scope/policy.h"
#include "scope/scope.h"

PG_FUNCTION_INFO_V1(kpi_protect);
PG_FUNCTION_INFO_V1(kpi_unprotect);
PG_FUNCTION_INFO_V1(kpi_protect_partitions);

/* A row of kpi.protection_gaps() */
typedef struct Gap
{
	Oid			relid;			/* the table that must obey */
	char	   *dimension;
	char	   *column;
	bool		writes;
	Oid			parent;			/* that does not obey, or InvalidOid: it does
								 * not itself */
} Gap;

/*
 * Take a row of kpi.protection_gaps().
 */
static void
take_gap(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **gaps = arg;
	Gap		   *gap = palloc(sizeof(Gap));
	bool		isnull;

	gap->relid = DatumGetObjectId(kpi_row_value(row, desc, 1, &isnull));
	gap->dimension = kpi_row_text(row, desc, 2);
	gap->column = kpi_row_text(row, desc, 3);
	gap->writes = DatumGetBool(kpi_row_value(row, desc, 4, &isnull));
	gap->parent = DatumGetObjectId(kpi_row_value(row, desc, 5, &isnull));
	if (isnull)
		gap->parent = InvalidOid;
	*gaps = lappend(*gaps, gap);
}

/*
 * What is missing for some tables, and what is below them, to obey as the registry
 * says.
 */
static List *
find_gaps(List *relids)
{
	Oid			argtypes[] = {OIDARRAYOID};
	Datum		values[] = {kpi_oid_array(relids)};
	List	   *gaps = NIL;

	(void) kpi_registry_read("SELECT g.relation::pg_catalog.oid, g.dimension, g.key, g.writes,"
							 " g.parent::pg_catalog.oid FROM kpi.protection_gaps($1) AS g",
							 1, argtypes, values, take_gap, &gaps);
	return gaps;
}

/*
 * A parent that does not obey, or is no longer to, would show rows of the table.
 */
static void
report_parent(Gap *gap, bool unprotecting)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table %s is protected by dimension \"%s\", but its parent %s is not",
					kpi_relation_name(gap->relid), gap->dimension,
					kpi_relation_name(gap->parent)),
			 errdetail("Queries of the parent would show all rows of the table."),
			 unprotecting ?
			 errhint("Run kpi.unprotect(%s, %s) first.",
					 quote_literal_cstr(kpi_relation_name(gap->relid)),
					 kpi_name_as_argument(gap->dimension)) :
			 errhint("Run kpi.protect(%s, %s, %s%s) first.",
					 quote_literal_cstr(kpi_relation_name(gap->parent)),
					 kpi_name_as_argument(gap->dimension), kpi_name_as_argument(gap->column),
					 gap->writes ? ", 'all'" : "")));
}

/*
 * Errand: fill a gap.
 */
static void
fill_gap(void *arg)
{
	Gap		   *gap = arg;

	kpi_make_policies(gap->relid, kpi_load_dimension(gap->dimension), gap->column, gap->writes);
}

/*
 * Let some tables, and what is below them, obey as the registry says: as the current
 * user, or as the owner of each.
 */
static void
fill_gaps(List *relids, bool as_owners)
{
	List	   *gaps = find_gaps(relids);
	ListCell   *lc;

	foreach(lc, gaps)
	{
		if (OidIsValid(((Gap *) lfirst(lc))->parent))
			report_parent(lfirst(lc), false);
	}
	foreach(lc, gaps)
	{
		Gap		   *gap = lfirst(lc);

		if (as_owners)
			kpi_on_behalf_of(kpi_relation_owner(gap->relid), fill_gap, gap);
		else
			fill_gap(gap);
	}
}

/*
 * Refuse what cannot be protected.
 */
static void
check_protectable(Oid relid)
{
	char		relkind = get_rel_relkind(relid);

	kpi_check_owner(relid);
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE &&
		relkind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot protect %s", kpi_relation_name(relid)),
				 errdetail("Row security is for tables; views show what the tables below them let through.")));
	if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot protect temporary table %s", kpi_relation_name(relid)),
				 errdetail("Nobody but its session reads it.")));
}

/*
 * Is access for writing to obey, too?  Who may not read a row may not write it either,
 * so "write" is both, and so is "all".
 */
static bool
protects_writes(const char *access)
{
	if (pg_strcasecmp(access, "read") == 0)
		return false;
	if (pg_strcasecmp(access, "write") == 0 || pg_strcasecmp(access, "all") == 0)
		return true;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid access to protect: \"%s\"", access),
			 errhint("It is \"read\", or \"write\" or \"all\" for both reading and writing.")));
	return false;
}

/*
 * kpi.protect(relation, dimension, key, access)
 */
Datum
kpi_protect(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Dimension  *dimension = kpi_load_dimension(kpi_resolve_dimension(text_to_cstring(PG_GETARG_TEXT_PP(1))));
	char	   *column;
	bool		writes = protects_writes(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	Oid			argtypes[] = {REGCLASSOID, TEXTOID, TEXTOID, BOOLOID};
	Datum		values[] = {ObjectIdGetDatum(relid), CStringGetTextDatum(dimension->name),
	(Datum) 0, BoolGetDatum(writes)};

	check_protectable(relid);
	column = kpi_resolve_column(relid, text_to_cstring(PG_GETARG_TEXT_PP(2)), "key", false);
	values[2] = CStringGetTextDatum(column);
	(void) find_all_inheritors(relid, AccessExclusiveLock, NULL);
	if (kpi_has_scope_policy(relid, dimension->name))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("table %s is already protected by dimension \"%s\"",
						kpi_relation_name(relid), dimension->name),
				 errhint("Run kpi.unprotect() first.")));

	kpi_registry_execute("INSERT INTO kpi.protection_registry (relid, dimension, attname, writes)"
						 " VALUES ($1, $2, $3, $4) ON CONFLICT (relid, dimension) DO UPDATE"
						 " SET attname = excluded.attname, writes = excluded.writes",
						 lengthof(argtypes), argtypes, values, NULL);
	fill_gaps(list_make1_oid(relid), false);
	PG_RETURN_VOID();
}

/*
 * Must a table obey a dimension's scopes, by itself or for what it is below of?
 */
static bool
must_obey(Oid relid, const char *dimension)
{
	Oid			argtypes[] = {REGCLASSOID, TEXTOID};
	Datum		values[] = {ObjectIdGetDatum(relid), CStringGetTextDatum(dimension)};

	return kpi_registry_has("SELECT FROM kpi.protection_registry AS p"
							" WHERE p.dimension OPERATOR(pg_catalog.=) $2"
							" AND p.relid IN (SELECT a.relid FROM kpi.relation_and_parents($1) AS a (relid))",
							2, argtypes, values);
}

/*
 * Is a table protected by a dimension of this name, whether that is there or not?
 */
static bool
is_protected_by(const char *name, void *arg)
{
	Oid			relid = *(Oid *) arg;
	Oid			argtypes[] = {REGCLASSOID, TEXTOID};
	Datum		values[] = {ObjectIdGetDatum(relid), CStringGetTextDatum(name)};

	return kpi_has_scope_policy(relid, name) ||
		kpi_registry_has("SELECT FROM kpi.protection_registry"
						 " WHERE relid OPERATOR(pg_catalog.=) $1 AND dimension OPERATOR(pg_catalog.=) $2",
						 2, argtypes, values);
}

/*
 * kpi.unprotect(relation, dimension)
 */
Datum
kpi_unprotect(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *dimension;
	Oid			argtypes[] = {REGCLASSOID, TEXTOID};
	Datum		values[] = {PG_GETARG_DATUM(0), (Datum) 0};
	List	   *family;
	bool		was_registered;
	bool		obeys;
	ListCell   *lc;

	kpi_check_owner(relid);
	dimension = kpi_resolve_name(text_to_cstring(PG_GETARG_TEXT_PP(1)), "dimension", false,
								 is_protected_by, &relid);
	values[1] = CStringGetTextDatum(dimension);
	family = find_all_inheritors(relid, AccessExclusiveLock, NULL);
	was_registered = kpi_registry_execute("DELETE FROM kpi.protection_registry"
										  " WHERE relid OPERATOR(pg_catalog.=) $1 AND dimension OPERATOR(pg_catalog.=) $2",
										  2, argtypes, values, NULL) > 0;
	if (!was_registered && !kpi_has_scope_policy(relid, dimension))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table %s is not protected by dimension \"%s\"",
						kpi_relation_name(relid), dimension)));
	obeys = must_obey(relid, dimension);
	if (obeys && !was_registered)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s is protected by dimension \"%s\" because a parent is",
						kpi_relation_name(relid), dimension),
				 errhint("Unprotect the topmost parent.")));
	if (obeys)
	{
		/* from now on for its parents alone, which may protect less */
		foreach(lc, family)
			kpi_drop_policies(lfirst_oid(lc), dimension);
		fill_gaps(list_make1_oid(relid), false);
		PG_RETURN_VOID();
	}

	/* one below that is protected by itself must not be seen through this one */
	foreach(lc, find_gaps(family))
	{
		if (OidIsValid(((Gap *) lfirst(lc))->parent))
			report_parent(lfirst(lc), true);
	}
	foreach(lc, family)
	{
		if (!must_obey(lfirst_oid(lc), dimension))
			kpi_drop_policies(lfirst_oid(lc), dimension);
	}
	PG_RETURN_VOID();
}

/*
 * Does a command give tables parents or children?
 */
static bool
makes_relatives(Node *parsetree)
{
	ListCell   *lc;

	switch (nodeTag(parsetree))
	{
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			return ((CreateStmt *) parsetree)->inhRelations != NIL;
		case T_CreateSchemaStmt:
			return ((CreateSchemaStmt *) parsetree)->schemaElts != NIL;
		case T_ImportForeignSchemaStmt:
			return true;
		case T_AlterTableStmt:
			foreach(lc, ((AlterTableStmt *) parsetree)->cmds)
			{
				AlterTableType subtype = lfirst_node(AlterTableCmd, lc)->subtype;

				if (subtype == AT_AttachPartition || subtype == AT_AddInherit)
					return true;
			}
			return false;
		default:
			return false;
	}
}

/*
 * A column was renamed, and so were those of the tables below: let a registry of tables,
 * by relid, call it as it is called now.  Its number would tell nothing: a restore may
 * give it another one.
 */
void
kpi_follow_rename(const char *registry, const char *column, RenameStmt *rename)
{
	ListCell   *lc;

	foreach(lc, kpi_renamed_relations((Node *) rename))
	{
		Oid			argtypes[] = {REGCLASSOID, TEXTOID, TEXTOID};
		Datum		values[] = {ObjectIdGetDatum(lfirst_oid(lc)),
		CStringGetTextDatum(rename->subname), CStringGetTextDatum(rename->newname)};

		if (!kpi_family_registered(registry, list_make1_oid(lfirst_oid(lc)), true))
			continue;
		kpi_registry_execute(psprintf("UPDATE " KPI_SCHEMA ".%s SET %s = $3"
									  " WHERE %s::pg_catalog.text OPERATOR(pg_catalog.=) $2"
									  " AND relid IN (SELECT c.relid FROM kpi.relation_and_children($1) AS c (relid))",
									  registry, column, column),
							 lengthof(argtypes), argtypes, values, NULL);
	}
}

/*
 * The table of a dimension must not become part of a family: its changes would no
 * longer be seen.
 */
static void
check_dimension_tables(List *relids)
{
	Oid			argtypes[] = {OIDARRAYOID};
	Datum		values[] = {kpi_oid_array(relids)};
	bool		none;
	Oid			table;

	table = DatumGetObjectId(kpi_registry_value("SELECT d.relation::pg_catalog.oid"
												" FROM kpi.dimension_table AS d"
												" WHERE d.has_relatives AND d.relation IN (SELECT f.relid"
												"  FROM pg_catalog.unnest($1) AS r (relid)"
												"  CROSS JOIN LATERAL kpi.relation_and_children(r.relid) AS f (relid)"
												"  UNION ALL SELECT i.inhparent FROM pg_catalog.unnest($1) AS r (relid)"
												"  JOIN pg_catalog.pg_inherits AS i ON i.inhrelid OPERATOR(pg_catalog.=) r.relid)"
												" LIMIT 1",
												1, argtypes, values, &none));
	if (!none)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s of a dimension cannot be a partition and cannot have parents or children",
						kpi_relation_name(table)),
				 errdetail("Scopes would no longer follow its changes.")));
}

/*
 * What leaves a family goes on obeying by its own policies: from now on it is
 * registered itself.
 */
static void
register_leaver(Oid relid)
{
	Oid			argtypes[] = {OIDARRAYOID};
	Datum		values[] = {kpi_oid_array(list_make1_oid(relid))};

	kpi_registry_execute("INSERT INTO kpi.protection_registry (relid, dimension, attname, writes)"
						 " SELECT u.relation, u.dimension, u.key, u.writes"
						 " FROM kpi.unregistered_protections($1) AS u ON CONFLICT DO NOTHING",
						 1, argtypes, values, NULL);
}

/*
 * Does a command take tables out of a family?  Then register them.  PostgreSQL does not
 * tell which partition it was, so its name is looked up again; it is still locked.
 */
static void
follow_leavers(AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		Oid			relid = InvalidOid;

		if (cmd->subtype == AT_DetachPartition || cmd->subtype == AT_DetachPartitionFinalize)
			relid = RangeVarGetRelid(castNode(PartitionCmd, cmd->def)->name, NoLock, true);
		else if (cmd->subtype == AT_DropInherit)
			relid = RangeVarGetRelid(stmt->relation, NoLock, true);
		if (OidIsValid(relid))
			register_leaver(relid);
	}
}

/*
 * Event trigger: what has become a partition or child of a protected table obeys its
 * scopes.  It is part of the command, and fails it, for a partition without
 * protection would show all its rows.  It looks at the tables of the command and what
 * is below them, and at nothing else.
 */
Datum
kpi_protect_partitions(PG_FUNCTION_ARGS)
{
	EventTriggerData *event = kpi_event(fcinfo);
	List	   *relids = NIL;
	ListCell   *lc;

	if (event == NULL)
		PG_RETURN_NULL();
	if (IsA(event->parsetree, RenameStmt))
	{
		kpi_follow_rename("protection_registry", "attname", (RenameStmt *) event->parsetree);
		PG_RETURN_NULL();
	}
	if (IsA(event->parsetree, AlterTableStmt))
		follow_leavers((AlterTableStmt *) event->parsetree);
	if (!makes_relatives(event->parsetree))
		PG_RETURN_NULL();
	foreach(lc, kpi_command_objects())
	{
		KpiCommandObject *object = lfirst(lc);

		if (object->classid == RelationRelationId)
			relids = list_append_unique_oid(relids, object->objid);
	}
	if (relids != NIL && !kpi_registry_is_empty("dimension_registry"))
		check_dimension_tables(relids);
	if (kpi_family_registered("protection_registry", relids, true))
		fill_gaps(relids, true);
	PG_RETURN_NULL();
}
