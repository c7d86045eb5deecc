/*
 * kpitables.h
 *		What _PG_init calls: one initialization function a component.
 *
 * src/kpitables.h
 */
#ifndef KPITABLES_H
#define KPITABLES_H

/* catalog/catalog.c */
extern void kpi_catalog_init(void);

/* scope/in_scope.c */
extern void kpi_scope_init(void);

/* measure/measure.c */
extern void kpi_measure_init(void);

/* load/track.c */
extern void kpi_load_init(void);

#endif							/* KPITABLES_H */
