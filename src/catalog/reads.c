/*
 * reads.c
 *		What the owner of a view reads for its readers, and may not.
 *
 * PostgreSQL checks that when the view is read, so a view outlives the privileges
 * of its owner, and fails all of its readers then.
 *
 * src/catalog/reads.c
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
#include "catalog/reads.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(kpi_missing_reads);

/*
 * The role that reads what a view reads: its owner, or InvalidOid for whoever reads
 * the view, where it is a security invoker.
 */
Oid
kpi_view_reader(Oid view)
{
	ListCell   *lc;

	foreach(lc, kpi_view_options(view))
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "security_invoker") == 0 && defGetBoolean(option))
			return InvalidOid;
	}
	return kpi_relation_owner(view);
}

/*
 * The columns among some that a role may not read, as GRANT takes them; NULL where
 * there are none.  What reads no column takes a privilege on one, whichever: on the
 * first, then.
 */
static char *
unreadable_columns(Oid role, Oid relid, Bitmapset *columns)
{
	StringInfoData buf;
	int			bit = -1;

	if (bms_is_empty(columns) &&
		pg_attribute_aclcheck_all(relid, role, ACL_SELECT, ACLMASK_ANY) == ACLCHECK_OK)
		return NULL;
	if (bms_is_empty(columns))
		columns = bms_make_singleton(1 - FirstLowInvalidHeapAttributeNumber);
	initStringInfo(&buf);
	while ((bit = bms_next_member(columns, bit)) >= 0)
	{
		AttrNumber	attnum = bit + FirstLowInvalidHeapAttributeNumber;
		char	   *name = attnum > 0 ? get_attname(relid, attnum, true) : NULL;

		if (name != NULL &&
			pg_attribute_aclcheck(relid, attnum, role, ACL_SELECT) != ACLCHECK_OK)
			appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", quote_identifier(name));
	}
	return buf.len > 0 ? buf.data : NULL;
}

/*
 * Put a row into a result, relation and columns, where a role may not read them.
 */
void
kpi_put_missing_read(ReturnSetInfo *rsinfo, Oid role, Oid relid, Bitmapset *columns)
{
	Datum		values[2] = {ObjectIdGetDatum(relid)};
	bool		nulls[2] = {false, false};
	char	   *missing;

	if (!OidIsValid(role) || !SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)) ||
		pg_class_aclcheck(relid, role, ACL_SELECT) == ACLCHECK_OK)
		return;
	missing = unreadable_columns(role, relid, columns);
	if (missing == NULL)
		return;
	values[1] = CStringGetTextDatum(missing);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Where what is missing goes, and who reads */
typedef struct ReadSearch
{
	ReturnSetInfo *rsinfo;
	Oid			reader;
	Query	   *query;
} ReadSearch;

/*
 * Walker: look at what a query, and those in it, read.
 */
static bool
look_at_reads(Node *node, ReadSearch *search)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && rte->inFromCl)
			kpi_put_missing_read(search->rsinfo, search->reader, rte->relid,
								 kpi_compat_selected_columns(search->query, rte));
		return false;
	}
	if (IsA(node, Query))
	{
		ReadSearch	below = *search;

		below.query = (Query *) node;
		return query_tree_walker(below.query, look_at_reads, &below, QTW_EXAMINE_RTES_BEFORE);
	}
	return expression_tree_walker(node, look_at_reads, search);
}

/*
 * kpi.missing_reads(view): the columns that the view's query names and its owner may
 * not read; no rows for a security invoker.  Nothing is locked.
 */
Datum
kpi_missing_reads(PG_FUNCTION_ARGS)
{
	Oid			view = PG_GETARG_OID(0);
	ReadSearch	search = {(ReturnSetInfo *) fcinfo->resultinfo, kpi_view_reader(view)};
	bool		too_deep;

	InitMaterializedSRF(fcinfo, 0);
	if (OidIsValid(search.reader))
		(void) look_at_reads((Node *) kpi_stored_query(view, &too_deep), &search);
	return (Datum) 0;
}
