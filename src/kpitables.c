/*
 * kpitables.c
 *		Entry point of the library.
 *
 * The library may come by shared_preload_libraries, by
 * session_preload_libraries, by LOAD, or when one of its functions is first
 * called; each component registers its own hooks, callbacks and settings and
 * does so once a process, as PostgreSQL calls _PG_init once a process.
 *
 * src/kpitables.c
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "catalog/catalog.h"
#include "load/load.h"
#include "measure/measure.h"
#include "scope/scope.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

/*
 * Initialize the components in the order of COMPONENTS in the Makefile.
 */
void
_PG_init(void)
{
	kpi_catalog_init();
	kpi_scope_init();
	kpi_measure_init();
	kpi_load_init();

	MarkGUCPrefixReserved("kpitables");
}
