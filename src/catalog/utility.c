/*
 * utility.c
 *		Doing with SQL statements what SQL statements do, as the current user.
 *
 * Views, policies and triggers are made by PostgreSQL's own commands, so that
 * privileges, dependencies and whoever watches commands work as for anybody.
 *
 * src/catalog/utility.c
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "catalog/utility.h"

/*
 * A text argument, or NULL.
 */
char *
kpi_text_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/*
 * The elements of a text[] argument; NULL is no array.
 */
List *
kpi_text_list(FunctionCallInfo fcinfo, int n, const char *what)
{
	Datum	   *elems;
	bool	   *nulls;
	int			count;
	List	   *result = NIL;

	if (PG_ARGISNULL(n))
		return NIL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), TEXTOID, -1, false, TYPALIGN_INT,
					  &elems, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not contain nulls", what)));
		result = lappend(result, TextDatumGetCString(elems[i]));
	}
	return result;
}

/*
 * Run a utility statement written out as SQL, as the current user.
 */
void
kpi_run_utility(const char *sql)
{
	RawStmt    *raw = linitial_node(RawStmt, pg_parse_query(sql));
	PlannedStmt *wrapper = makeNode(PlannedStmt);

	wrapper->commandType = CMD_UTILITY;
	wrapper->utilityStmt = raw->stmt;
	wrapper->stmt_location = raw->stmt_location;
	wrapper->stmt_len = raw->stmt_len;

	ProcessUtility(wrapper, sql, false, PROCESS_UTILITY_QUERY, NULL, NULL,
				   None_Receiver, NULL);
	CommandCounterIncrement();
}

/*
 * Only the owner of a relation changes what we do with it.
 */
void
kpi_check_owner(Oid relid)
{
	if (!pg_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

/*
 * Let only one transaction at a time decide what there is under a name: in a schema,
 * or, where that is InvalidOid, of a dimension.  The caller has checked that the
 * current user may make something of that name.
 */
void
kpi_lock_name(Oid namespace, const char *name)
{
	LOCKTAG		tag;
	uint32		hash = hash_combine(hash_bytes_uint32(namespace),
									hash_bytes((const unsigned char *) name, strlen(name)));

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, kpi_require_objects()->marker, hash, 0);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}
