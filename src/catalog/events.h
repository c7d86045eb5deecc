/*
 * events.h
 *		What the command is about that an event trigger is called for.
 *
 * src/catalog/events.h
 */
#ifndef KPI_CATALOG_EVENTS_H
#define KPI_CATALOG_EVENTS_H

#include "nodes/parsenodes.h"
#include "tcop/deparse_utility.h"

/* An object that a command made or changed */
typedef struct KpiCommandObject
{
	Oid			classid;
	Oid			objid;
	int32		objsubid;
	bool		is_temporary;
	CollectedCommand *command;
} KpiCommandObject;

/* An object that a command dropped */
typedef struct KpiDroppedObject
{
	Oid			classid;
	Oid			objid;
	int32		objsubid;
	bool		is_temporary;
	char	   *type;			/* as PostgreSQL calls it, such as "table" */
	List	   *names;			/* char *, of its address */
} KpiDroppedObject;

extern List *kpi_command_objects(void);
extern List *kpi_dropped_objects(void);
extern List *kpi_renamed_relations(Node *parsetree);

#endif							/* KPI_CATALOG_EVENTS_H */
