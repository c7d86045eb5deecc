/*
 * compat.h
 *		The only place that asks which PostgreSQL this is.
 *
 * PostgreSQL 15 keeps permission data in range-table entries, and that of an
 * expanded view in the view's own "OLD" entry; 16 moved it to
 * RTEPermissionInfo and lets an expanded view keep it.
 *
 * src/compat.h
 */
#ifndef KPI_COMPAT_H
#define KPI_COMPAT_H

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parsetree.h"
#include "parser/parse_relation.h"
#include "storage/lockdefs.h"
#include "utils/lsyscache.h"

#if PG_VERSION_NUM < 150000
#error "kpitables needs PostgreSQL 15 or newer"
#endif

/*
 * The range-table entry that stands for a view inside its expanded query, or
 * NULL.  Before 16 it carries the relation and its permission data.
 */
static inline RangeTblEntry *
kpi_compat_old_entry(RangeTblEntry *rte)
{
#if PG_VERSION_NUM < 160000
	if (rte->rtekind == RTE_SUBQUERY && rte->subquery->rtable != NIL)
	{
		RangeTblEntry *old = linitial_node(RangeTblEntry, rte->subquery->rtable);

		if (old->rtekind == RTE_RELATION && old->relkind == RELKIND_VIEW)
			return old;
	}
#endif
	return NULL;
}

/* The relation that an entry reads, be it a view that was expanded; else 0. */
static inline Oid
kpi_compat_rte_relation(RangeTblEntry *rte)
{
	RangeTblEntry *old;

	if (rte->rtekind == RTE_RELATION)
		return rte->relid;
	old = kpi_compat_old_entry(rte);
	if (old != NULL)
		return old->relid;
	return rte->rtekind == RTE_SUBQUERY ? rte->relid : InvalidOid;
}

/*
 * Note that a query reads one more column of a relation or expanded view, so
 * that its privileges are checked like those of any other column.
 */
static inline void
kpi_compat_select_column(Query *query, RangeTblEntry *rte, AttrNumber attno)
{
	int			bit = attno - FirstLowInvalidHeapAttributeNumber;

#if PG_VERSION_NUM >= 160000
	RTEPermissionInfo *perm = getRTEPermissionInfo(query->rteperminfos, rte);

	perm->requiredPerms |= ACL_SELECT;
	perm->selectedCols = bms_add_member(perm->selectedCols, bit);
#else
	RangeTblEntry *holder = kpi_compat_old_entry(rte);

	if (holder == NULL)
		holder = rte;
	holder->requiredPerms |= ACL_SELECT;
	holder->selectedCols = bms_add_member(holder->selectedCols, bit);
#endif
}

/* As whom a query reads a relation or expanded view; 0 is the current user. */
static inline Oid
kpi_compat_check_as_user(Query *query, RangeTblEntry *rte)
{
#if PG_VERSION_NUM >= 160000
	return getRTEPermissionInfo(query->rteperminfos, rte)->checkAsUser;
#else
	RangeTblEntry *holder = kpi_compat_old_entry(rte);

	return (holder ? holder : rte)->checkAsUser;
#endif
}

/* The columns of a relation that a query reads, numbered as permission data has them. */
static inline Bitmapset *
kpi_compat_selected_columns(Query *query, RangeTblEntry *rte)
{
#if PG_VERSION_NUM >= 160000
	return getRTEPermissionInfo(query->rteperminfos, rte)->selectedCols;
#else
	return rte->selectedCols;
#endif
}

/*
 * Append an entry for a relation that the query depends on but does not scan, as
 * the rewriter leaves one for every view that it expands: the plan then locks
 * the relation, is invalidated with it, and checks SELECT on the columns named.
 */
static inline void
kpi_compat_add_placeholder(Query *query, Oid relid, const char *name,
						   Oid check_as_user, Bitmapset *columns)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_RELATION;
	rte->relid = relid;
	rte->relkind = get_rel_relkind(relid);
	rte->inh = false;
	rte->rellockmode = AccessShareLock;
	rte->eref = makeAlias(name, NIL);
	rte->inFromCl = false;
#if PG_VERSION_NUM >= 160000
	{
		RTEPermissionInfo *perm = addRTEPermissionInfo(&query->rteperminfos, rte);

		perm->requiredPerms = ACL_SELECT;
		perm->checkAsUser = check_as_user;
		perm->selectedCols = columns;
	}
#else
	rte->requiredPerms = ACL_SELECT;
	rte->checkAsUser = check_as_user;
	rte->selectedCols = columns;
#endif
	query->rtable = lappend(query->rtable, rte);
}

/* Let a placeholder, an entry of the range table, name more columns. */
static inline void
kpi_compat_widen_placeholder(Query *query, int rti, Bitmapset *columns)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);

#if PG_VERSION_NUM >= 160000
	RTEPermissionInfo *perm = getRTEPermissionInfo(query->rteperminfos, rte);

	perm->selectedCols = bms_union(perm->selectedCols, columns);
#else
	rte->selectedCols = bms_union(rte->selectedCols, columns);
#endif
}

/* Check the permissions that the parser noted in a query, as the executor. */
static inline void
kpi_compat_check_permissions(Query *query)
{
#if PG_VERSION_NUM >= 160000
	ExecCheckPermissions(query->rtable, query->rteperminfos, true);
#else
	ExecCheckRTPerms(query->rtable, true);
#endif
}

#endif							/* KPI_COMPAT_H */
