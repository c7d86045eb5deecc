/*
 * catalog.c
 *		Where the extension's own objects are, and how trees mention them.
 *
 * The planner hook asks for the OIDs of the marker function, of measure() and of
 * its like at every statement that could hold a measure, so they are cached for
 * the backend and looked up again after any change of a function or schema.  They
 * must belong to the extension: a schema of the name "kpi" that somebody else
 * made is no reason to touch anybody's query.
 *
 * The library and the extension's SQL objects are of one version, or nothing that
 * needs both goes on: the tables may have other columns than the library knows.
 *
 * src/catalog/catalog.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "nodes/nodeFuncs.h"
#include "replication/logicalworker.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rewriteDefine.h"
#include "rewrite/rewriteSupport.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"

PG_FUNCTION_INFO_V1(kpi_check_server_version);
PG_FUNCTION_INFO_V1(kpi_skip_replicated);

/* How deep a stored tree may be nested to be looked at */
#define MAX_TREE_DEPTH	1500

/* What was found in this database, and whether it is up to date */
typedef struct ObjectCache
{
	KpiObjects	objects;
	bool		exist;			/* is the extension in this database? */
	char		version[NAMEDATALEN];	/* of its SQL objects */
	uint64		generation;		/* that it was looked up in; 0: never */
} ObjectCache;

static ObjectCache cache;
static uint64 generation = 1;	/* raised by whatever may change the objects */

/*
 * Forget the cached OIDs.  Called at any moment, so it must not touch catalogs.
 */
static void
invalidate_objects(Datum arg, int cacheid, uint32 hashvalue)
{
	generation++;
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
 * Find the extension's row; false where it is not installed.
 */
static bool
find_extension(Oid *extension, ObjectCache *found)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum("kpitables"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);
		bool		isnull;
		Datum		version = heap_getattr(tuple, Anum_pg_extension_extversion,
										   RelationGetDescr(rel), &isnull);

		*extension = form->oid;
		found->objects.owner = form->extowner;
		strlcpy(found->version, TextDatumGetCString(version), sizeof(found->version));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

/*
 * Look the objects up.
 */
static ObjectCache
look_up_objects(void)
{
	static const Oid marker_args[] = {REGCLASSOID, ANYELEMENTOID};
	static const Oid measure_args[] = {ANYELEMENTOID};
	static const Oid in_scope_args[] = {TEXTOID, ANYELEMENTOID};
	static const Oid all_rows_args[] = {INT8OID, TEXTOID, TEXTOID};
	ObjectCache found = {0};
	KpiObjects *objects = &found.objects;
	Oid			extension;

	/* what arrives meanwhile makes it out of date again */
	found.generation = generation;
	objects->namespace = get_namespace_oid(KPI_SCHEMA, true);
	if (!OidIsValid(objects->namespace) || !find_extension(&extension, &found))
		return found;
	objects->marker = extension_function(objects->namespace, extension,
										 "metric_column", 2, marker_args);
	objects->measure = extension_function(objects->namespace, extension,
										  "measure", 1, measure_args);
	objects->numerator = extension_function(objects->namespace, extension,
											"numerator", 1, measure_args);
	objects->denominator = extension_function(objects->namespace, extension,
											  "denominator", 1, measure_args);
	objects->in_scope = extension_function(objects->namespace, extension,
										   "in_scope", 2, in_scope_args);
	objects->within_scopes = extension_function(objects->namespace, extension,
												"within_scopes", 0, NULL);
	objects->require_all_rows = extension_function(objects->namespace, extension,
												   "require_all_rows", 3, all_rows_args);
	found.exist = OidIsValid(objects->marker) && OidIsValid(objects->measure);
	return found;
}

/*
 * The extension's objects in this database, or NULL where it is not installed.
 * An error on the way leaves the cache as it was, and it is looked up again.
 */
const KpiObjects *
kpi_objects(void)
{
	if (cache.generation != generation)
		cache = look_up_objects();
	return cache.exist ? &cache.objects : NULL;
}

/*
 * Raise an error where the library and the extension's SQL objects are of
 * different versions, as they are from the update of one to that of the other.
 * The script of an update itself must be let through.
 */
static void
check_version(void)
{
	if (strcmp(cache.version, KPI_VERSION) == 0 || creating_extension)
		return;
	/* nothing tells us of a new version alone */
	cache = look_up_objects();
	if (strcmp(cache.version, KPI_VERSION) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("extension \"%s\" has version %s, but its library has version %s",
					"kpitables", cache.version, KPI_VERSION),
			 errhint("Run ALTER EXTENSION kpitables UPDATE, and restart the server if it preloads an older library.")));
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
	check_version();
	return found;
}

/*
 * A trigger function of the extension.
 */
Oid
kpi_trigger_function(const char *name)
{
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(NULL, 0)),
						   ObjectIdGetDatum(kpi_require_objects()->namespace));
}

/*
 * Is a command about the extension itself, which may be half updated by now?
 */
static bool
is_own_command(Node *parsetree)
{
	const char *extension = NULL;

	if (IsA(parsetree, AlterExtensionStmt))
		extension = ((AlterExtensionStmt *) parsetree)->extname;
	else if (IsA(parsetree, AlterExtensionContentsStmt))
		extension = ((AlterExtensionContentsStmt *) parsetree)->extname;
	return extension != NULL && strcmp(extension, "kpitables") == 0;
}

/*
 * The event that an event trigger of the extension is called for, or NULL where
 * the extension is half dropped or is what the command is about.
 */
EventTriggerData *
kpi_event(FunctionCallInfo fcinfo)
{
	EventTriggerData *event = (EventTriggerData *) fcinfo->context;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("not called by the event trigger manager")));
	return kpi_objects() == NULL || is_own_command(event->parsetree) ? NULL : event;
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
 * The owner of a relation, or InvalidOid for one that is gone.
 */
Oid
kpi_relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			result;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	result = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * The options of a view, as CREATE VIEW takes them: security_invoker and the like,
 * which CREATE OR REPLACE VIEW forgets unless it is told them.
 */
List *
kpi_view_options(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Datum		options;
	bool		isnull;
	List	   *result = NIL;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	options = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	if (!isnull)
		result = untransformRelOptions(options);
	ReleaseSysCache(tuple);
	return result;
}

/*
 * The query of an open view or materialized view: the rule for SELECT, whatever
 * other rules there are and however they are called; NULL for other relations.
 */
Query *
kpi_relation_query(Relation rel)
{
	if (rel->rd_rel->relkind != RELKIND_VIEW && rel->rd_rel->relkind != RELKIND_MATVIEW)
		return NULL;
	for (int i = 0; rel->rd_rules != NULL && i < rel->rd_rules->numLocks; i++)
	{
		RewriteRule *rule = rel->rd_rules->rules[i];

		if (rule->event == CMD_SELECT && list_length(rule->actions) == 1)
			return linitial_node(Query, rule->actions);
	}
	return NULL;
}

/* Relations that a tree names, on their way */
typedef struct RelationSearch
{
	bool		in_from;		/* only those that are read? */
	List	   *relids;
} RelationSearch;

/*
 * Walker: collect relations.
 */
static bool
collect_relations(Node *node, RelationSearch *search)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && (rte->inFromCl || !search->in_from))
			search->relids = lappend_oid(search->relids, rte->relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collect_relations, search,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, collect_relations, search);
}

/*
 * The OIDs of the relations that a tree names, as often as it does: all, or those in
 * FROM, for a view's entries for OLD and NEW are not read.
 */
List *
kpi_tree_relations(Node *tree, bool in_from)
{
	RelationSearch search = {in_from, NIL};

	(void) collect_relations(tree, &search);
	return search.relids;
}

/*
 * Is a stored tree nested so deep that to read it might exhaust the stack?  Whoever
 * looks at everybody's views must not fail at one.  A token's own braces are
 * escaped.
 */
static bool
nests_too_deep(const char *tree)
{
	int			depth = 0;

	for (; *tree != '\0'; tree++)
	{
		if (*tree == '\\' && tree[1] != '\0')
			tree++;
		else if (*tree == '{' && ++depth > MAX_TREE_DEPTH)
			return true;
		else if (*tree == '}')
			depth--;
	}
	return false;
}

/*
 * A copy of the query of a view or materialized view as the catalog has it, or
 * NULL.  Nothing is locked, so nobody is waited for: it tells how things are, not
 * how they will be when the answer is used.  NULL, too, is what is too deep to be
 * read.
 */
Query *
kpi_stored_query(Oid relid, bool *too_deep)
{
	HeapTuple	tuple = SearchSysCache2(RULERELNAME, ObjectIdGetDatum(relid),
										PointerGetDatum(ViewSelectRuleName));
	Query	   *result = NULL;
	Datum		action;
	bool		isnull;

	*too_deep = false;
	if (!HeapTupleIsValid(tuple))
		return NULL;
	action = SysCacheGetAttr(RULERELNAME, tuple, Anum_pg_rewrite_ev_action, &isnull);
	if (!isnull && ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_type == CMD_SELECT + '0')
	{
		char	   *tree = TextDatumGetCString(action);

		*too_deep = nests_too_deep(tree);
		if (!*too_deep)
			result = linitial_node(Query, castNode(List, stringToNode(tree)));
	}
	ReleaseSysCache(tuple);
	return result;
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

/*
 * kpi.skip_replicated(): trigger before each row of the extension's tables that fires
 * where session_replication_role is "replica".  A restore may set that, too, and is let
 * through.
 */
Datum
kpi_skip_replicated(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("not called by the trigger manager")));
	if (IsLogicalWorker())
		return PointerGetDatum(NULL);
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
						   trigdata->tg_newtuple : trigdata->tg_trigtuple);
}
