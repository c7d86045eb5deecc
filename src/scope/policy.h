/*
 * policy.h
 *		The policies by which a table obeys scopes.
 *
 * src/scope/policy.h
 */
#ifndef KPI_SCOPE_POLICY_H
#define KPI_SCOPE_POLICY_H

#include "scope/scope.h"

/* What the name of the policy of a dimension's scope begins with */
#define KPI_SCOPE_POLICY_PREFIX	"kpi_scope_"

extern bool kpi_has_row_security(Oid relid);
extern bool kpi_has_scope_policy(Oid relid, const char *dimension);
extern bool kpi_has_scope_policies(Oid relid);
extern bool kpi_has_other_policies(Oid relid);
extern void kpi_make_policies(Oid relid, Dimension *dimension, const char *column, bool writes);
extern void kpi_drop_policies(Oid relid, const char *dimension);

#endif							/* KPI_SCOPE_POLICY_H */
