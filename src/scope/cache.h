/*
 * cache.h
 *		Scopes of users, computed and kept.
 *
 * src/scope/cache.h
 */
#ifndef KPI_SCOPE_CACHE_H
#define KPI_SCOPE_CACHE_H

#include "scope/key.h"
#include "scope/scope.h"

/* What a user sees of a dimension until some moment */
typedef struct ScopeStep
{
	TimestampTz until;			/* DT_NOEND for the last */
	bool		full;
	MemberSet  *keys;			/* where it is not full */
} ScopeStep;

/* A user's scope on a dimension */
typedef struct Scope
{
	char	   *dimension;
	Oid			type;			/* of the keys */
	List	   *steps;			/* of ScopeStep *, by time; none: nothing is
								 * seen */
	List	   *relations;		/* OIDs: what it was computed from */
	bool		fleeting;		/* may it change without a word to us? */
	MemoryContext context;
} Scope;

extern void kpi_scope_cache_init(void);
extern uint64 kpi_scope_generation(void);
extern void kpi_scope_planning(int change);
extern Scope *kpi_current_scope(const char *dimension, bool wait);

#endif							/* KPI_SCOPE_CACHE_H */
