/*
 * scope.h
 *		Dimensions that rows are scoped by, and who sees which of their members.
 *
 * src/scope/scope.h
 */
#ifndef KPI_SCOPE_SCOPE_H
#define KPI_SCOPE_SCOPE_H

#include "nodes/pg_list.h"

/* A dimension, and where its members are */
typedef struct Dimension
{
	char	   *name;
	Oid			view;			/* InvalidOid for plain values */
	Oid			table;			/* that the view reads */
	Oid			type;			/* of the key */
	Oid			owner;
	Oid			admin;			/* or InvalidOid */
	List	   *columns;		/* names in the table: key, then levels */
	List	   *levels;			/* names in the view, the same order */
	List	   *types;			/* OIDs of them */
} Dimension;

/* dimension.c */
extern Dimension *kpi_load_dimension(const char *name, bool missing_ok);
extern char *kpi_equality_operator(Oid type);
extern char *kpi_type_name(Oid type);

/* bypass.c */
extern void kpi_check_scope_bypass(Oid view, const char *what);

#endif							/* KPI_SCOPE_SCOPE_H */
