/*
 * argument.h
 *		What the argument of an aggregate makes of a measure.
 *
 * src/measure/argument.h
 */
#ifndef KPI_MEASURE_ARGUMENT_H
#define KPI_MEASURE_ARGUMENT_H

#include "nodes/primnodes.h"

/* A measure, perhaps under a condition and with a factor */
typedef struct CarrierArgument
{
	Var		   *measure;		/* or NULL: the argument is something else */
	bool		is_direct;		/* nothing but casts around it? */
	Node	   *condition;		/* which rows give the measure; NULL: all */
	bool		gives_zero;		/* do others give 0? */
	Node	   *counted;		/* which rows give either; NULL: all */
	Node	   *scaled;			/* the measure with its factor, or NULL */
	Node	   *value;			/* the same with all casts, of the argument's
								 * type */
} CarrierArgument;

extern CarrierArgument kpi_read_argument(Node *arg);
extern Node *kpi_zero_of_type(Oid type);
extern Node *kpi_scale_as(CarrierArgument *arg, Node *value);

#endif							/* KPI_MEASURE_ARGUMENT_H */
