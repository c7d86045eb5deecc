/*
 * names.c
 *		Names that functions are given as text, read as SQL reads them.
 *
 * There is one rule for all of them: what is not quoted is folded to lower case, what
 * is quoted is taken as it stands.  Where nothing has the name so read, the text itself
 * is taken for the name, if something has that: so what was not meant as SQL, such as
 * the name of a column out of the catalogs, is found as long as only one thing can be
 * meant.  A name that is stored to be read again has the first reading alone, or else
 * what comes later would change what it means.
 *
 * The elements of an array literal have lost their quotes before we see them, so
 * errors about those say how they are kept.
 *
 * src/catalog/names.c
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "catalog/catalog.h"
#include "catalog/names.h"

/*
 * The name that a text is in SQL, or NULL: then say what is wrong, if anybody asks.
 */
static char *
read_name(const char *text, const char **problem)
{
	List	   *parts;

	if (!SplitIdentifierString(pstrdup(text), '.', &parts))
		*problem = "What is not one word is put in double quotes, and a double quote in it is doubled.";
	else if (parts == NIL || ((char *) linitial(parts))[0] == '\0')
		*problem = "It is empty.";
	else if (list_length(parts) > 1)
		*problem = "It has more than one part: a dot that belongs to the name is put in double quotes.";
	else
		return linitial(parts);
	return NULL;
}

/*
 * How a name is written in an argument: a literal of what SQL reads as this name.
 */
char *
kpi_name_as_argument(const char *name)
{
	return quote_literal_cstr(quote_identifier(name));
}

/*
 * How a name is written as an element of an array, for hints.  Backslashes are plain in
 * a literal, as they are unless somebody turned standard_conforming_strings off.
 */
static char *
name_as_element(const char *name)
{
	const char *quoted = quote_identifier(name);
	StringInfoData result;

	initStringInfo(&result);
	appendStringInfoString(&result, "'{\"");
	for (; *quoted != '\0'; quoted++)
	{
		if (*quoted == '"' || *quoted == '\\')
			appendStringInfoChar(&result, '\\');
		if (*quoted == '\'')
			appendStringInfoChar(&result, '\'');
		appendStringInfoChar(&result, *quoted);
	}
	appendStringInfo(&result, "\"}' or ARRAY[%s]", kpi_name_as_argument(name));
	return result.data;
}

/*
 * The hint that shows how to write a name.
 */
static void
hint_at_spelling(const char *name, bool in_array)
{
	if (in_array)
		errhint("Names are written as in SQL, and an array literal takes the quotes off its elements: write %s for \"%s\".",
				name_as_element(name), name);
	else
		errhint("Names are written as in SQL: write %s for \"%s\".",
				kpi_name_as_argument(name), name);
}

/*
 * A text without its double quotes.
 */
static char *
without_quotes(const char *quoted)
{
	char	   *result = pstrdup(quoted);
	char	   *end = result;

	for (; *quoted != '\0'; quoted++)
	{
		if (*quoted != '"')
			*end++ = *quoted;
	}
	*end = '\0';
	return result;
}

/*
 * Raise the error for what is no name.
 */
static void
report_invalid_name(const char *text, const char *argument, bool in_array,
					const char *problem)
{
	char	   *bare = without_quotes(text);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg("invalid name in argument \"%s\": %s", argument,
					text[0] == '\0' ? "''" : text),
			 errdetail_internal("%s", problem),
			 strspn(bare, " \t\n\r\f") == strlen(bare) ? 0 : (hint_at_spelling(bare, in_array), 0)));
}

/*
 * A name that is given as an argument, or as an element of one that is an array, as SQL
 * reads it.  Raises 42602 for what is no name.
 */
char *
kpi_parse_name(const char *text, const char *argument, bool in_array)
{
	const char *problem;
	char	   *name = read_name(text, &problem);

	if (name == NULL)
		report_invalid_name(text, argument, in_array, problem);
	return name;
}

/*
 * Does a text, which may be no name, name this in SQL?
 */
bool
kpi_names(const char *text, const char *name)
{
	const char *problem;
	char	   *read = read_name(text, &problem);

	return read != NULL && strcmp(read, name) == 0;
}

/*
 * The name of something that should exist: as SQL reads it, or else the text itself if
 * something has that for a name.  Where nothing has either, it is the name as SQL reads
 * it, for the caller to say that there is no such thing.
 */
char *
kpi_resolve_name(const char *text, const char *argument, bool in_array,
				 KpiNameTest exists, void *arg)
{
	const char *problem;
	char	   *name = read_name(text, &problem);

	if (name != NULL && exists(name, arg))
		return name;
	if (text[0] != '\0' && (name == NULL || strcmp(name, text) != 0) && exists(text, arg))
		return pstrdup(text);
	if (name == NULL)
		report_invalid_name(text, argument, in_array, problem);
	return name;
}

/*
 * Has a relation a column of this name?
 */
static bool
column_exists(const char *name, void *arg)
{
	return get_attnum(*(Oid *) arg, name) != InvalidAttrNumber;
}

/*
 * The column of a relation whose name differs from another one by upper and lower case
 * alone, or NULL.
 */
static char *
similar_column(Oid relid, const char *name)
{
	for (AttrNumber attnum = 1;; attnum++)
	{
		HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid),
											Int16GetDatum(attnum));
		Form_pg_attribute att;
		char	   *result = NULL;

		if (!HeapTupleIsValid(tuple))
			return NULL;
		att = (Form_pg_attribute) GETSTRUCT(tuple);
		if (!att->attisdropped && pg_strcasecmp(NameStr(att->attname), name) == 0)
			result = pstrdup(NameStr(att->attname));
		ReleaseSysCache(tuple);
		if (result != NULL)
			return result;
	}
}

/*
 * The column of a relation that a text names; raises 42703 where there is none.
 */
char *
kpi_resolve_column(Oid relid, const char *text, const char *argument, bool in_array)
{
	char	   *name = kpi_resolve_name(text, argument, in_array, column_exists, &relid);
	char	   *similar;

	if (column_exists(name, &relid))
		return name;
	similar = similar_column(relid, name);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of relation %s does not exist", name,
					kpi_relation_name(relid)),
			 similar == NULL ? 0 : (hint_at_spelling(similar, in_array), 0)));
	return NULL;
}

/*
 * Is there a role of this name?
 */
static bool
role_exists(const char *name, void *arg)
{
	return OidIsValid(get_role_oid(name, true));
}

/*
 * The role that a text names, also by the words that stand for one in SQL; raises 42704
 * where there is none.
 */
Oid
kpi_resolve_role(const char *text, const char *argument)
{
	char	   *name = kpi_resolve_name(text, argument, false, role_exists, NULL);

	if (strchr(text, '"') == NULL)
	{
		if (strcmp(name, "current_user") == 0 || strcmp(name, "current_role") == 0)
			return GetUserId();
		if (strcmp(name, "session_user") == 0)
			return GetSessionUserId();
	}
	return get_role_oid(name, false);
}
