/*
 * key.c
 *		Types of keys and levels, and members as these types read and write them.
 *
 * Functions of such a type run for whoever reads a protected table, writes a
 * tracked one or asks kpi.check().  So they are functions that no ordinary role
 * can own (S7): the type is a base type, which only superusers make, or an enum,
 * whose functions are PostgreSQL's own; and a value of another type becomes one by
 * a cast of PostgreSQL's own or not at all.
 *
 * Members are kept as text.  They are read by calling the type's input function,
 * never by a cast from text, which might be somebody's.
 *
 * src/scope/key.c
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "lib/qunique.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "catalog/behalf.h"
#include "scope/key.h"

/*
 * Does a type write values in words that depend on the session: names of objects,
 * or the locale of money?  What one session stores, another would read differently.
 */
static bool
depends_on_session(Oid type)
{
	switch (type)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCOLLATIONOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
		case MONEYOID:
			return true;
		default:
			return false;
	}
}

/*
 * Does a function belong to a superuser?
 */
static bool
is_trusted_function(Oid funcid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = superuser_arg(((Form_pg_proc) GETSTRUCT(tuple))->proowner);
	ReleaseSysCache(tuple);
	return result;
}

/*
 * What PostgreSQL knows of a type to compare its values.
 */
TypeCacheEntry *
kpi_key_type(Oid type)
{
	return lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_EQ_OPR_FINFO |
							 TYPECACHE_CMP_PROC | TYPECACHE_CMP_PROC_FINFO);
}

/*
 * Is a type of a kind whose values are its own: a base type that is no array, or
 * an enum?
 */
static const char *
kind_problem(Form_pg_type form)
{
	switch (form->typtype)
	{
		case TYPTYPE_ENUM:
			return NULL;
		case TYPTYPE_BASE:
			if (form->typcategory == TYPCATEGORY_ARRAY)
				return "It is an array.";
			return form->typisdefined ? NULL : "It is only a shell.";
		case TYPTYPE_PSEUDO:
			return "It is a pseudo-type.";
		default:
			return "It is made of other types, whose functions anybody can own.";
	}
}

/*
 * Why values of a type cannot be keys or members of levels, or NULL.  Domains are
 * not asked about; their base types are.
 */
const char *
kpi_key_type_problem(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;
	const char *problem;
	TypeCacheEntry *entry;

	if (!HeapTupleIsValid(tuple))
		return "It does not exist.";
	form = (Form_pg_type) GETSTRUCT(tuple);
	problem = kind_problem(form);
	if (problem == NULL && !(is_trusted_function(form->typinput) &&
							 is_trusted_function(form->typoutput)))
		problem = "Its input or output function does not belong to a superuser.";
	ReleaseSysCache(tuple);
	if (problem != NULL)
		return problem;

	if (depends_on_session(type))
		return "What it writes depends on the session.";
	entry = kpi_key_type(type);
	if (!OidIsValid(entry->cmp_proc) || !OidIsValid(entry->eq_opr))
		return "It has no default B-tree operator class.";
	if (!is_trusted_function(entry->cmp_proc) ||
		!is_trusted_function(get_opcode(entry->eq_opr)))
		return "Its comparison does not belong to a superuser.";
	if (!OidIsValid(get_array_type(type)))
		return "It has no array type.";
	return NULL;
}

/*
 * Does PostgreSQL itself cast one type to another by itself, and to the same value
 * whatever the session's settings are?  "function" is InvalidOid where nothing
 * needs to be called.
 */
bool
kpi_key_cast(Oid from, Oid to, Oid *function)
{
	*function = InvalidOid;
	from = getBaseType(from);
	if (from == to)
		return true;
	switch (find_coercion_pathway(to, from, COERCION_IMPLICIT, function))
	{
		case COERCION_PATH_RELABELTYPE:
			return true;		/* only superusers declare types alike */
		case COERCION_PATH_FUNC:
			return *function < FirstUnpinnedObjectId &&
				get_func_nargs(*function) == 1 &&
				func_volatile(*function) == PROVOLATILE_IMMUTABLE;
		default:
			return false;
	}
}

/* Members on their way to the text that every session reads */
typedef struct MemberWriting
{
	Oid			type;
	int			count;
	Datum	   *values;			/* then their texts */
} MemberWriting;

/*
 * Errand: write values as text.
 */
static void
write_values(void *arg)
{
	MemberWriting *writing = arg;
	Oid			output;
	bool		varlena;

	getTypeOutputInfo(writing->type, &output, &varlena);
	for (int i = 0; i < writing->count; i++)
		writing->values[i] = CStringGetTextDatum(OidOutputFunctionCall(output, writing->values[i]));
}

/*
 * Members that the user named, read as the session reads, as a text[] that every
 * session reads alike.
 */
Datum
kpi_write_members(Oid type, List *members)
{
	MemberWriting writing = {type, list_length(members)};
	Oid			input;
	Oid			ioparam;
	ListCell   *lc;

	writing.values = palloc(sizeof(Datum) * writing.count);
	getTypeInputInfo(type, &input, &ioparam);
	foreach(lc, members)
	{
		writing.values[foreach_current_index(lc)] =
			OidInputFunctionCall(input, lfirst(lc), ioparam, -1);
	}
	kpi_in_plain_text(NULL, write_values, &writing);
	return PointerGetDatum(construct_array(writing.values, writing.count, TEXTOID, -1,
										   false, TYPALIGN_INT));
}

/*
 * The value of an enum that a label names; false where there is none any more.
 */
static bool
read_label(Oid type, const char *label, Datum *value)
{
	HeapTuple	tuple;

	if (strlen(label) >= NAMEDATALEN)
		return false;
	tuple = SearchSysCache2(ENUMTYPOIDNAME, ObjectIdGetDatum(type), CStringGetDatum(label));
	if (!HeapTupleIsValid(tuple))
		return false;
	*value = ObjectIdGetDatum(((Form_pg_enum) GETSTRUCT(tuple))->oid);
	ReleaseSysCache(tuple);
	return true;
}

/* What is read, and how, as write_values() has written it */
typedef struct MemberReading
{
	Oid			type;
	ArrayType  *members;
	int			count;
	Datum	   *values;
} MemberReading;

/*
 * Errand: read values from text.
 */
static void
read_values(void *arg)
{
	MemberReading *reading = arg;
	Datum	   *texts;
	int			ntexts;
	Oid			input;
	Oid			ioparam;

	getTypeInputInfo(reading->type, &input, &ioparam);
	deconstruct_array(reading->members, TEXTOID, -1, false, TYPALIGN_INT,
					  &texts, NULL, &ntexts);
	reading->values = palloc(sizeof(Datum) * (ntexts + 1));
	for (int i = 0; i < ntexts; i++)
	{
		char	   *member = TextDatumGetCString(texts[i]);

		if (!type_is_enum(reading->type))
			reading->values[reading->count++] = OidInputFunctionCall(input, member, ioparam, -1);
		else if (read_label(reading->type, member, &reading->values[reading->count]))
			reading->count++;
	}
}

/*
 * Members as they are kept.  A label that an enum no longer has stands for
 * nothing; other types read for ever what they have written.
 */
MemberSet *
kpi_read_members(Oid type, ArrayType *members)
{
	MemberReading reading = {type, members};

	kpi_in_plain_text(NULL, read_values, &reading);
	return kpi_make_member_set(kpi_key_type(type), reading.values, reading.count);
}

/*
 * Order two values of a type.
 */
static int
compare_values(const void *a, const void *b, void *arg)
{
	TypeCacheEntry *type = arg;

	return DatumGetInt32(FunctionCall2Coll(&type->cmp_proc_finfo, type->typcollation,
										   *(const Datum *) a, *(const Datum *) b));
}

/*
 * Put values in order, without repeats.  The array becomes the set's.
 */
MemberSet *
kpi_make_member_set(TypeCacheEntry *type, Datum *values, int count)
{
	MemberSet  *result = palloc(sizeof(MemberSet));

	qsort_arg(values, count, sizeof(Datum), compare_values, type);
	result->type = type;
	result->values = values;
	result->count = qunique_arg(values, count, sizeof(Datum), compare_values, type);
	return result;
}

/*
 * A collation by which values are equal that are not the same, or InvalidOid.
 */
Oid
kpi_loose_collation(Oid collation)
{
	return OidIsValid(collation) && !get_collation_isdeterministic(collation) ?
		collation : InvalidOid;
}

/*
 * The position in a set of a value, or of one that is equal to it by a loose
 * collation if one is given; -1 if there is none.
 */
int
kpi_find_member(MemberSet *set, Datum value, Oid loose_collation)
{
	Datum	   *found = bsearch_arg(&value, set->values, set->count, sizeof(Datum),
									compare_values, set->type);

	if (found != NULL)
		return found - set->values;
	for (int i = 0; OidIsValid(loose_collation) && i < set->count; i++)
	{
		if (DatumGetBool(FunctionCall2Coll(&set->type->eq_opr_finfo, loose_collation,
										   set->values[i], value)))
			return i;
	}
	return -1;
}

/*
 * A set as an array of its type.  construct_array() leaves values in the array that
 * it is given, in the current memory context, so it is given a copy.
 */
ArrayType *
kpi_member_array(MemberSet *set)
{
	Size		size = mul_size(sizeof(Datum), set->count + 1);
	Datum	   *values = palloc_extended(size, MCXT_ALLOC_HUGE);

	memcpy(values, set->values, sizeof(Datum) * set->count);
	return construct_array(values, set->count, set->type->type_id,
						   set->type->typlen, set->type->typbyval, set->type->typalign);
}

/*
 * The members of a set as they are kept.
 */
List *
kpi_member_texts(MemberSet *set)
{
	MemberWriting writing = {set->type->type_id, set->count};
	List	   *result = NIL;

	writing.values = palloc(sizeof(Datum) * (set->count + 1));
	memcpy(writing.values, set->values, sizeof(Datum) * set->count);
	kpi_in_plain_text(NULL, write_values, &writing);
	for (int i = 0; i < writing.count; i++)
		result = lappend(result, TextDatumGetCString(writing.values[i]));
	return result;
}
