/*
 * catalog.c
 *		Where the extension's own objects are, and how its registry is written.
 *
 * The planner hook asks for the OIDs of the marker function, of measure() and of
 * its like at every statement that could hold a measure, so they are cached for
 * the backend and looked up again after any change of a function or schema.  They
 * must belong to the extension: a schema of the name "kpi" that somebody else
 * made is no reason to touch anybody's query.
 *
 * The registry tables belong to the owner of the extension and nobody else has
 * a privilege on them.  They are written with the owner's rights by constant
 * statements whose names are all qualified.
 *
 * src/catalog/catalog.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
#include "kpitables.h"

PG_FUNCTION_INFO_V1(kpi_check_server_version);

static KpiObjects objects;
static bool objects_valid = false;	/* are "objects" up to date? */
static bool objects_exist = false;	/* is the extension in this database? */

/*
 * Forget the cached OIDs.  Called at any moment, so it must not touch catalogs.
 */
static void
invalidate_objects(Datum arg, int cacheid, uint32 hashvalue)
{
	objects_valid = false;
}

/*
 * Register for the changes that can make the cached OIDs wrong.
 */
void
kpi_catalog_init(void)
{
	CacheRegisterSyscacheCallback(PROCOID, invalidate_objects, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, invalidate_objects, (Datum) 0);
}

/*
 * Find a function of the extension by name and argument types.
 */
static Oid
extension_function(Oid namespace, Oid extension, const char *name,
				   int nargs, const Oid *argtypes)
{
	Oid			funcid;

	funcid = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
							 CStringGetDatum(name),
							 PointerGetDatum(buildoidvector(argtypes, nargs)),
							 ObjectIdGetDatum(namespace));
	if (OidIsValid(funcid) &&
		getExtensionOfObject(ProcedureRelationId, funcid) != extension)
		return InvalidOid;
	return funcid;
}

/*
 * The extension's objects in this database, or NULL where it is not installed.
 */
const KpiObjects *
kpi_objects(void)
{
	static const Oid marker_args[] = {REGCLASSOID, ANYELEMENTOID};
	static const Oid measure_args[] = {ANYELEMENTOID};

	if (!objects_valid)
	{
		KpiObjects	found = {0};
		Oid			extension = InvalidOid;

		/*
		 * Set first: an invalidation that arrives during the look-up must not
		 * be lost.
		 */
		objects_valid = true;
		objects_exist = false;

		found.namespace = get_namespace_oid(KPI_SCHEMA, true);
		if (OidIsValid(found.namespace))
			extension = get_extension_oid("kpitables", true);
		if (OidIsValid(extension))
		{
			found.marker = extension_function(found.namespace, extension,
											  "metric_column", 2, marker_args);
			found.measure = extension_function(found.namespace, extension,
											   "measure", 1, measure_args);
			found.numerator = extension_function(found.namespace, extension,
												 "numerator", 1, measure_args);
			found.denominator = extension_function(found.namespace, extension,
												   "denominator", 1, measure_args);
		}
		objects = found;
		objects_exist = OidIsValid(found.marker) && OidIsValid(found.measure);
	}

	return objects_exist ? &objects : NULL;
}

/*
 * The same for callers that cannot do without.
 */
const KpiObjects *
kpi_require_objects(void)
{
	const KpiObjects *found = kpi_objects();

	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"%s\" is not installed in this database", "kpitables"),
				 errhint("Run CREATE EXTENSION kpitables.")));
	return found;
}

/*
 * The event that an event trigger of the extension is called for, or NULL where
 * the extension is half dropped.
 */
EventTriggerData *
kpi_event(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("not called by the event trigger manager")));
	return kpi_objects() == NULL ? NULL : (EventTriggerData *) fcinfo->context;
}

/*
 * Remove casts around an expression, whoever wrote them.
 */
Node *
kpi_strip_coercions(Node *node)
{
	for (;;)
	{
		if (node == NULL)
			return NULL;
		switch (nodeTag(node))
		{
			case T_RelabelType:
				node = (Node *) ((RelabelType *) node)->arg;
				continue;
			case T_CoerceViaIO:
				node = (Node *) ((CoerceViaIO *) node)->arg;
				continue;
			case T_CoerceToDomain:
				node = (Node *) ((CoerceToDomain *) node)->arg;
				continue;
			case T_CollateExpr:
				node = (Node *) ((CollateExpr *) node)->arg;
				continue;
			case T_FuncExpr:
				{
					FuncExpr   *func = (FuncExpr *) node;

					if ((func->funcformat == COERCE_EXPLICIT_CAST ||
						 func->funcformat == COERCE_IMPLICIT_CAST) &&
						func->args != NIL)
					{
						node = (Node *) linitial(func->args);
						continue;
					}
					return node;
				}
			default:
				return node;
		}
	}
}

/*
 * Is this expression a measure column's marker, perhaps under a cast that
 * carries the column's type modifier?  Then say which metric it names.
 */
bool
kpi_is_marker(Node *node, Oid *metric)
{
	const KpiObjects *kpi = kpi_objects();
	FuncExpr   *func;
	Const	   *name;

	node = kpi_strip_coercions(node);
	if (kpi == NULL || node == NULL || !IsA(node, FuncExpr))
		return false;
	func = (FuncExpr *) node;
	if (func->funcid != kpi->marker)
		return false;

	name = (Const *) linitial(func->args);
	if (!IsA(name, Const) || name->constisnull)
		return false;
	*metric = DatumGetObjectId(name->constvalue);
	return true;
}

/*
 * Does an expression hold a marker anywhere?
 */
bool
kpi_holds_marker(Node *node, void *context)
{
	const KpiObjects *kpi = kpi_objects();

	if (node == NULL || kpi == NULL)
		return false;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == kpi->marker)
		return true;
	return expression_tree_walker(node, kpi_holds_marker, context);
}

/*
 * The qualified name of a relation, quoted as needed, for messages and SQL.
 */
char *
kpi_relation_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		return psprintf("%u", relid);
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  name);
}

/*
 * The role that owns the extension.
 */
static Oid
extension_owner(void)
{
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum("kpitables"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"%s\" is not installed in this database", "kpitables"),
				 errhint("Run CREATE EXTENSION kpitables.")));
	return owner;
}

/*
 * Set a parameter until the nest level is closed.
 */
static void
set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Until the nest level is closed, let the given schemas be the search path, if
 * any are given, and let values be written as every session reads them, as pg_dump
 * does.  Returns the nest level, for AtEOXact_GUC().
 */
int
kpi_begin_plain_text(const char *search_path)
{
	int			nestlevel = NewGUCNestLevel();

	if (search_path != NULL)
		set_locally("search_path", search_path);
	set_locally("datestyle", "ISO, MDY");
	set_locally("intervalstyle", "postgres");
	set_locally("extra_float_digits", "3");
	set_locally("bytea_output", "hex");
	set_locally("timezone", "GMT");
	set_locally("quote_all_identifiers", "off");
	return nestlevel;
}

/*
 * Go on with the rights of a role whose objects we are about to read, as a
 * foreign key's check does with those of the table's owner: whatever hangs on
 * them runs with that role's rights and cannot get out of them.  The caller saves
 * and restores the user.
 */
void
kpi_become_reader(Oid role)
{
	Oid			user;
	int			sec_context;

	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(role,
						   sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
}

/*
 * Begin to run statements by SPI with nothing but pg_catalog in the search path,
 * with the rights of a role, or of the extension's owner if none is given.  After
 * an error, the end of the (sub)transaction restores what is put aside here.
 */
static void
begin_access(KpiRegistryAccess *access, Oid role)
{
	GetUserIdAndSecContext(&access->user, &access->sec_context);
	if (OidIsValid(role))
		kpi_become_reader(role);
	else
		SetUserIdAndSecContext(extension_owner(),
							   access->sec_context | SECURITY_LOCAL_USERID_CHANGE);
	access->nestlevel = kpi_begin_plain_text("pg_catalog, pg_temp");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/*
 * Begin to run statements on the registry tables; the caller has checked that the
 * current user may do so.
 */
void
kpi_begin_registry(KpiRegistryAccess *access)
{
	begin_access(access, InvalidOid);
}

/*
 * Be who we were before.
 */
void
kpi_end_registry(KpiRegistryAccess *access)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	AtEOXact_GUC(true, access->nestlevel);
	SetUserIdAndSecContext(access->user, access->sec_context);
}

/*
 * Run one statement.  Returns the number of rows, and in row[] the first columns
 * of the first one, copied to the caller's context.
 */
static uint64
run_statement(Oid role, const char *sql, int nargs, Oid *argtypes, Datum *values,
			  const char *nulls, int ncolumns, Datum *row, bool *isnull)
{
	KpiRegistryAccess access;
	int			rc;
	uint64		processed;

	begin_access(&access, role);
	/* a parallel worker only reads, and may not begin a command */
	rc = SPI_execute_with_args(sql, nargs, argtypes, values, nulls,
							   IsInParallelMode(), 0);
	if (rc < 0)
		elog(ERROR, "statement failed: %s", SPI_result_code_string(rc));
	processed = SPI_processed;
	for (int i = 0; i < ncolumns && processed > 0; i++)
	{
		Form_pg_attribute att = TupleDescAttr(SPI_tuptable->tupdesc, i);

		row[i] = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &isnull[i]);
		if (!isnull[i])
			row[i] = SPI_datumTransfer(row[i], att->attbyval, att->attlen);
	}
	kpi_end_registry(&access);
	return processed;
}

/*
 * Run one statement on the registry tables.
 */
uint64
kpi_registry_execute(const char *sql, int nargs, Oid *argtypes,
					 Datum *values, const char *nulls)
{
	return run_statement(InvalidOid, sql, nargs, argtypes, values, nulls, 0, NULL, NULL);
}

/*
 * Ask the registry tables for one value; no row gives NULL.
 */
Datum
kpi_registry_value(const char *sql, int nargs, Oid *argtypes, Datum *values,
				   bool *isnull)
{
	return kpi_value_as(InvalidOid, sql, nargs, argtypes, values, isnull);
}

/*
 * Ask for one value with the rights of a role.
 */
Datum
kpi_value_as(Oid role, const char *sql, int nargs, Oid *argtypes, Datum *values,
			 bool *isnull)
{
	Datum		result = (Datum) 0;

	*isnull = true;
	(void) run_statement(role, sql, nargs, argtypes, values, NULL, 1, &result, isnull);
	return result;
}

/*
 * Ask the registry tables for the columns of one row; false if there is none.
 */
bool
kpi_registry_row(const char *sql, int nargs, Oid *argtypes, Datum *values,
				 int ncolumns, Datum *row, bool *isnull)
{
	return run_statement(InvalidOid, sql, nargs, argtypes, values, NULL,
						 ncolumns, row, isnull) > 0;
}

/*
 * Run something whose failure must not fail the statement: in a subtransaction,
 * returning the error, or NULL.  A request to stop is not swallowed.
 */
ErrorData *
kpi_run_guarded(void (*body) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		body(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	if (error != NULL && (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
						  error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN))
		ReThrowError(error);
	return error;
}

/*
 * kpi.check_server_version(): CVE-2026-14666, stale plans after a change of role
 * membership, is fixed in 15.19; the numbers of the other branches are those of
 * the same release.
 */
Datum
kpi_check_server_version(PG_FUNCTION_ARGS)
{
	int			version = atoi(GetConfigOption("server_version_num", false, false));

	if (version < 150019)
		ereport(WARNING,
				(errmsg("this server is older than PostgreSQL 15.19"),
				 errdetail("Plans prepared before a change of role membership may outlive it (CVE-2026-14666)."),
				 errhint("Update the server to the latest minor release.")));
	PG_RETURN_VOID();
}
