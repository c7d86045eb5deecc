/*
 * written_comment.h
 *		The comments that tools read, kept in step with definitions.
 *
 * src/metric/written_comment.h
 */
#ifndef KPI_METRIC_WRITTEN_COMMENT_H
#define KPI_METRIC_WRITTEN_COMMENT_H

extern int	kpi_write_comments(Oid relid, bool replaced);

#endif							/* KPI_METRIC_WRITTEN_COMMENT_H */
