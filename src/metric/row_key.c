/*
 * row_key.c
 *		The dimension of a metric view that identifies a row.
 *
 * Drivers and tools that edit, page or join by a key ask for one column that is never
 * NULL and never twice the same.  A metric view has one row for each row of its source,
 * so such a column of the source is such a column of the view.  It is taken at nobody's
 * word: a unique index says it.
 *
 * src/metric/row_key.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
#include "metric/definition.h"
#include "metric/row_key.h"

PG_FUNCTION_INFO_V1(kpi_row_key_problem);

/*
 * Is there a unique index on a column alone, which holds for all rows at any time?
 */
static bool
has_unique_index(Oid relid, AttrNumber attno)
{
	Relation	rel = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_index index = (Form_pg_index) GETSTRUCT(tuple);

		found = index->indisunique && index->indimmediate && index->indisvalid &&
			index->indnkeyatts == 1 && index->indkey.values[0] == attno &&
			heap_attisnull(tuple, Anum_pg_index_indpred, NULL);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * May a column of a relation be NULL?
 */
static bool
may_be_null(Oid relid, AttrNumber attno)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attno));
	bool		result = true;

	if (HeapTupleIsValid(tuple))
	{
		result = !((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
		ReleaseSysCache(tuple);
	}
	return result;
}

/*
 * Does a view show each row of one relation at most once?  Then which: its place in the
 * range table, else 0.
 */
static int
single_relation(Query *query)
{
	int			rti;

	if (query == NULL || query->commandType != CMD_SELECT || query->setOperations != NULL ||
		query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL ||
		query->hasTargetSRFs)
		return 0;
	rti = kpi_single_from_entry(query);
	return rti != 0 && rt_fetch(rti, query->rtable)->rtekind == RTE_RELATION ? rti : 0;
}

/*
 * Why a column of a relation does not identify its rows, or NULL.
 */
static char *
column_problem(Oid relid, AttrNumber attno)
{
	char	   *column = get_attname(relid, attno, true);
	char	   *relation = kpi_relation_name(relid);
	char		relkind = get_rel_relkind(relid);
	bool		too_deep;
	Query	   *query;
	TargetEntry *tle;
	int			rti;

	check_stack_depth();
	if (relkind == RELKIND_VIEW)
	{
		query = kpi_stored_query(relid, &too_deep);
		rti = single_relation(query);
		tle = rti == 0 ? NULL : get_tle_by_resno(query->targetList, attno);
		if (tle == NULL || !IsA(tle->expr, Var) || ((Var *) tle->expr)->varno != rti ||
			((Var *) tle->expr)->varattno <= 0)
			return psprintf("\"%s\" of view %s is not a column of the one relation that the view reads", column, relation);
		return column_problem(rt_fetch(rti, query->rtable)->relid, ((Var *) tle->expr)->varattno);
	}
	if (relkind == RELKIND_RELATION && has_subclass(relid))
		return psprintf("table %s has children, whose rows no index of it covers", relation);
	if (relkind == RELKIND_MATVIEW)
		return psprintf("%s is a materialized view, whose columns may all be NULL", relation);
	if (may_be_null(relid, attno))
		return psprintf("column \"%s\" of %s may be NULL", column, relation);
	if (!has_unique_index(relid, attno))
		return psprintf("there is no unique index on column \"%s\" of %s alone", column, relation);
	return NULL;
}

/*
 * Why a dimension of a metric view does not identify its rows, or NULL.
 */
char *
kpi_row_key_fault(MetricViewQuery *view, AttrNumber attnum)
{
	TargetEntry *tle = get_tle_by_resno(view->query->targetList, attnum);

	if (tle == NULL || !IsA(tle->expr, Var))
		return "it is an expression, of which no index of the source says that it is unique and not NULL";
	return column_problem(view->source, ((Var *) tle->expr)->varattno);
}

/*
 * kpi.row_key_problem(regclass, column): the same for a metric view that there is
 */
Datum
kpi_row_key_problem(PG_FUNCTION_ARGS)
{
	MetricViewQuery view = kpi_look_at_metric_view(PG_GETARG_OID(0));
	char	   *problem = view.query == NULL ? NULL : kpi_row_key_fault(&view, PG_GETARG_INT16(1));

	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}
