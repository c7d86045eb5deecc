/*
 * members.h
 *		Reading the table of a dimension.
 *
 * src/scope/members.h
 */
#ifndef KPI_SCOPE_MEMBERS_H
#define KPI_SCOPE_MEMBERS_H

#include "scope/key.h"
#include "scope/scope.h"

/* Takes the key of a row, which is not null, and the member that its level holds */
typedef void (*KeyTaker) (Datum key, int member, void *arg);

extern bool kpi_is_bound(Dimension *dimension);
extern bool kpi_read_keys(Dimension *dimension, int level, MemberSet *members,
						  bool wait, KeyTaker taker, void *arg);
extern void kpi_read_bound_keys(Dimension *dimension, int level, MemberSet *members,
								KeyTaker taker, void *arg);

#endif							/* KPI_SCOPE_MEMBERS_H */
