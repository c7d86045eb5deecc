/*
 * load.h
 *		Tables whose changes of data are recorded, and the record.
 *
 * src/load/load.h
 */
#ifndef KPI_LOAD_LOAD_H
#define KPI_LOAD_LOAD_H

#include "access/attnum.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/reltrigger.h"

/* The key of a dimension that scopes a tracked table */
typedef struct TrackedKey
{
	char	   *dimension;
	AttrNumber	attnum;			/* of the column that holds it */
	int16		typlen;			/* of that column */
	bool		typbyval;
	bool		has_cast;
	FmgrInfo	cast;			/* to the dimension's type */
	FmgrInfo	output;			/* of the dimension's type */
	bool		has_settings;	/* does what it writes depend on any? */
} TrackedKey;

/*
 * What to note of a change of a tracked table, partition or child.  Once made it is
 * never changed: when it is out of date, another one takes its place.
 */
typedef struct TrackedTable
{
	Oid			relid;
	AttrNumber	time_attnum;	/* or InvalidAttrNumber */
	Oid			time_type;
	AttrNumber	last_attnum;	/* of the columns that are looked at */
	int			nkeys;
	TrackedKey *keys;
	MemoryContext context;		/* of all this */
} TrackedTable;

/* follow.c */
extern void kpi_load_init(void);

/* tracked.c */
extern void kpi_tracked_init(void);
extern TrackedTable *kpi_tracked_table(Oid relid);

/* record.c */
extern void kpi_record_unseen(Oid relid, const char *operation);

/* triggers.c */
extern bool kpi_is_track_trigger(const Trigger *trigger);
extern bool kpi_has_disabled_track_triggers(Oid relid);
extern void kpi_repair_triggers(List *relids);
extern bool kpi_repairing_triggers(void);

#endif							/* KPI_LOAD_LOAD_H */
