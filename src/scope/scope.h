/*
 * scope.h
 *		Dimensions that rows are scoped by, and who sees which of their members.
 *
 * src/scope/scope.h
 */
#ifndef KPI_SCOPE_SCOPE_H
#define KPI_SCOPE_SCOPE_H

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "utils/timestamp.h"

/* A dimension, and where its members are */
typedef struct Dimension
{
	char	   *name;
	Oid			view;			/* InvalidOid for plain values */
	Oid			table;			/* that the view reads */
	Oid			type;			/* of the key */
	Oid			owner;
	Oid			admin;			/* or InvalidOid */
	List	   *columns;		/* numbers in the table: key, then levels */
	List	   *levels;			/* names in the view, the same order */
	List	   *types;			/* OIDs of them; domains' base types */
	char	   *problem;		/* why it cannot be used, or NULL */
	bool		is_unsafe;		/* does that make whoever it scopes see
								 * nothing? */
} Dimension;

/* Levels of kpi.scope_grant: columns of the dimension's view, and */
#define FULL_SCOPE_LEVEL	0
#define KEY_LEVEL			1

/* dimension.c */
extern Dimension *kpi_find_dimension(const char *name);
extern Dimension *kpi_load_dimension(const char *name);
extern char *kpi_resolve_dimension(const char *text);
extern void kpi_require_usable(Dimension *dimension);
extern char *kpi_type_name(Oid type);

/* in_scope.c */
extern void kpi_scope_init(void);

/* protect.c */
extern void kpi_follow_rename(const char *registry, const char *column, RenameStmt *rename);

/* bypass.c */
extern void kpi_check_scope_bypass(Oid view, const char *what);

#endif							/* KPI_SCOPE_SCOPE_H */
