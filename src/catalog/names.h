/*
 * names.h
 *		Names that functions are given as text, read as SQL reads them.
 *
 * src/catalog/names.h
 */
#ifndef KPI_CATALOG_NAMES_H
#define KPI_CATALOG_NAMES_H

/* Has something this name? */
typedef bool (*KpiNameTest) (const char *name, void *arg);

/* a new name, or one that is stored to be read again */
extern char *kpi_parse_name(const char *text, const char *argument, bool in_array);
extern bool kpi_names(const char *text, const char *name);

/* names of what should exist */
extern char *kpi_resolve_name(const char *text, const char *argument, bool in_array,
							  KpiNameTest exists, void *arg);
extern char *kpi_resolve_column(Oid relid, const char *text, const char *argument,
								bool in_array);
extern Oid	kpi_resolve_role(const char *text, const char *argument);

/* the other way round */
extern char *kpi_name_as_argument(const char *name);

#endif							/* KPI_CATALOG_NAMES_H */
