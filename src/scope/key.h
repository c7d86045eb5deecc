/*
 * key.h
 *		Types of keys and levels, and members as these types read and write them.
 *
 * src/scope/key.h
 */
#ifndef KPI_SCOPE_KEY_H
#define KPI_SCOPE_KEY_H

#include "fmgr.h"
#include "utils/array.h"
#include "utils/typcache.h"

/* Values of one type in order, without repeats */
typedef struct MemberSet
{
	TypeCacheEntry *type;
	int			count;
	Datum	   *values;
} MemberSet;

extern const char *kpi_key_type_problem(Oid type);
extern bool kpi_key_cast(Oid from, Oid to, Oid *function);

extern TypeCacheEntry *kpi_key_type(Oid type);
extern Datum kpi_write_members(Oid type, List *members);
extern MemberSet *kpi_read_members(Oid type, ArrayType *members);
extern MemberSet *kpi_make_member_set(TypeCacheEntry *type, Datum *values, int count);
extern Oid	kpi_loose_collation(Oid collation);
extern int	kpi_find_member(MemberSet *set, Datum value, Oid loose_collation);
extern ArrayType *kpi_member_array(MemberSet *set);
extern List *kpi_member_texts(MemberSet *set);

#endif							/* KPI_SCOPE_KEY_H */
