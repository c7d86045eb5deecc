/*
 * named.c
 *		What a text names: a relation, a column, a function or a type.
 *
 * src/lineage/named.c
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "catalog/behalf.h"
#include "catalog/catalog.h"
#include "lineage/lineage.h"

PG_FUNCTION_INFO_V1(kpi_lineage_object_id);
PG_FUNCTION_INFO_V1(kpi_lineage_object_address);

/*
 * The relation of a name of up to three parts, or InvalidOid.  Lineage tells no
 * more than the catalogs, which all may read, so no privilege on the schema is
 * asked for.
 */
static Oid
find_relation(List *names)
{
	Oid			namespace;

	if (list_length(names) == 3 &&
		strcmp(strVal(linitial(names)), get_database_name(MyDatabaseId)) == 0)
		names = list_copy_tail(names, 1);
	if (list_length(names) == 1)
		return RelnameGetRelid(strVal(linitial(names)));
	if (list_length(names) != 2)
		return InvalidOid;
	namespace = get_namespace_oid(strVal(linitial(names)), true);
	return OidIsValid(namespace) ? get_relname_relid(strVal(lsecond(names)), namespace) : InvalidOid;
}

/*
 * The type of a name of up to two parts, or InvalidOid.
 */
static Oid
find_type(List *names)
{
	Oid			namespace;

	if (list_length(names) == 1)
		return TypenameGetTypid(strVal(linitial(names)));
	if (list_length(names) != 2)
		return InvalidOid;
	namespace = get_namespace_oid(strVal(linitial(names)), true);
	return !OidIsValid(namespace) ? InvalidOid :
		GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
						PointerGetDatum(strVal(lsecond(names))), ObjectIdGetDatum(namespace));
}

/*
 * Does a text hold arguments, outside of quoted names?
 */
static bool
has_arguments(const char *string)
{
	bool		quoted = false;

	for (; *string != '\0'; string++)
	{
		if (*string == '"')
			quoted = !quoted;
		else if (*string == '(' && !quoted)
			return true;
	}
	return false;
}

/* A text that names an object, and the object */
typedef struct NameSearch
{
	text	   *object;
	bool		types;			/* may it be a type? */
	NamedObject found;
} NameSearch;

/*
 * A relation or, where the name has another part, a column of one.
 */
static void
find_relation_or_column(NameSearch *search, const char *string)
{
	NamedObject *found = &search->found;
	List	   *names = textToQualifiedNameList(search->object);
	Oid			table = InvalidOid;

	found->relid = find_relation(names);
	if (list_length(names) >= 2)
		table = find_relation(list_truncate(list_copy(names), list_length(names) - 1));
	if (OidIsValid(table))
		found->attnum = Max(get_attnum(table, strVal(llast(names))), 0);
	if (OidIsValid(found->relid) && found->attnum > 0)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_COLUMN),
				 errmsg("\"%s\" is a relation and a column", string),
				 errhint("Write the schema of the table in front of the column's.")));
	if (!OidIsValid(found->relid) && found->attnum == 0 && search->types)
	{
		found->typid = find_type(names);
		if (OidIsValid(found->typid))
			return;
	}
	if (!OidIsValid(found->relid) && OidIsValid(table) && found->attnum == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist",
						strVal(llast(names)), kpi_relation_name(table))));
	if (!OidIsValid(found->relid) && found->attnum == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation or column \"%s\" does not exist", string),
				 search->types ?
				 errhint("Write schema.relation, schema.relation.column, schema.function(argument types) or schema.type.") :
				 errhint("Write schema.relation, schema.relation.column or schema.function(argument types).")));
	if (!OidIsValid(found->relid))
	{
		found->relid = table;
		found->column = get_attname(table, found->attnum, false);
	}
	found->name = kpi_relation_name(found->relid);
}

/*
 * Errand: what a text names, a function if it has arguments.
 */
static void
find_by_name(void *arg)
{
	NameSearch *search = arg;
	char	   *string = text_to_cstring(search->object);
	ObjectAddress address = {ProcedureRelationId, InvalidOid, 0};

	if (!has_arguments(string))
	{
		find_relation_or_column(search, string);
		return;
	}
	address.objectId = DatumGetObjectId(DirectFunctionCall1(regprocedurein,
															CStringGetDatum(string)));
	search->found.funcid = address.objectId;
	search->found.name = kpi_lineage_object_name(address);
}

/*
 * What a text names, by the caller's search path.
 */
static NamedObject
find_named_object(text *object, bool types)
{
	NameSearch	search = {object, types, {0}};

	kpi_in_plain_text(NULL, find_by_name, &search);
	return search.found;
}

/*
 * The relation, column or function that a text names, by the caller's search path.
 */
NamedObject
kpi_find_named_object(text *object)
{
	return find_named_object(object, false);
}

/*
 * kpi.lineage_object_id(object)
 */
Datum
kpi_lineage_object_id(PG_FUNCTION_ARGS)
{
	NamedObject named = kpi_find_named_object(PG_GETARG_TEXT_PP(0));
	TupleDesc	desc;
	Datum		values[5];
	bool		nulls[5] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = ObjectIdGetDatum(named.relid);
	values[1] = Int16GetDatum(named.attnum);
	values[2] = ObjectIdGetDatum(named.funcid);
	values[3] = CStringGetTextDatum(named.name);
	nulls[4] = named.column == NULL;
	if (named.column != NULL)
		values[4] = CStringGetTextDatum(named.column);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*
 * kpi.lineage_object_address(object): a composite type is its type
 */
Datum
kpi_lineage_object_address(PG_FUNCTION_ARGS)
{
	NamedObject named = find_named_object(PG_GETARG_TEXT_PP(0), true);
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (named.attnum == 0 && OidIsValid(named.relid) &&
		get_rel_relkind(named.relid) == RELKIND_COMPOSITE_TYPE)
		named.typid = get_rel_type_id(named.relid);
	values[0] = ObjectIdGetDatum(OidIsValid(named.typid) ? TypeRelationId :
								 OidIsValid(named.funcid) ? ProcedureRelationId :
								 RelationRelationId);
	values[1] = ObjectIdGetDatum(OidIsValid(named.typid) ? named.typid :
								 OidIsValid(named.funcid) ? named.funcid : named.relid);
	values[2] = Int16GetDatum(named.attnum);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
