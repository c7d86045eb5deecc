/*
 * errors.h
 *		The SQLSTATEs that kpitables raises, class KP.
 *
 * KP001  a metric definition is not one that can be evaluated (M13)
 * KP002  a measure is used where it has no meaning (M7, M8)
 * KP003  a measure reached the executor without having been rewritten (M12)
 * KP004  a join may count rows of a metric view more than once (M11)
 * KP005  a metric is defined in terms of itself (M5)
 * KP006  a metric and a metric view do not have the same source
 *
 * Whatever PostgreSQL has a code for keeps PostgreSQL's code.
 *
 * src/errors.h
 */
#ifndef KPI_ERRORS_H
#define KPI_ERRORS_H

#define ERRCODE_KPI_INVALID_METRIC		MAKE_SQLSTATE('K','P','0','0','1')
#define ERRCODE_KPI_MEASURE_MISUSE		MAKE_SQLSTATE('K','P','0','0','2')
#define ERRCODE_KPI_NOT_REWRITTEN		MAKE_SQLSTATE('K','P','0','0','3')
#define ERRCODE_KPI_FAN_OUT				MAKE_SQLSTATE('K','P','0','0','4')
#define ERRCODE_KPI_METRIC_CYCLE		MAKE_SQLSTATE('K','P','0','0','5')
#define ERRCODE_KPI_SOURCE_MISMATCH		MAKE_SQLSTATE('K','P','0','0','6')

#endif							/* KPI_ERRORS_H */
