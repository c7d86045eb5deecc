-- lineage_findings: what kpi.check() tells of the recorded graph

CREATE FUNCTION kpi.lineage_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
	WITH derived AS MATERIALIZED (		-- lineage, or why there is none
		SELECT d.*
		  FROM kpi.lineage_object o
		 CROSS JOIN LATERAL kpi.derive_lineage(o.class, o.object) d
	)
	SELECT 'warning', 'lineage', format('%s at %s was not recorded: %s', s.command, s.marked_at, s.problem),
		   'SELECT kpi.refresh_lineage()'
	  FROM kpi.lineage_stale s
	UNION ALL
	SELECT 'warning', d.target_name, format('its lineage cannot be derived: %s', d.problem), NULL
	  FROM derived d
	 WHERE d.problem IS NOT NULL AND NOT d.passing
	UNION ALL
	SELECT 'warning', u.target_name,
		   CASE WHEN bool_or(u.is_recorded) THEN 'recorded lineage is not there any more'
				ELSE 'its lineage is not as recorded' END,
		   'SELECT kpi.refresh_lineage()'
	  FROM (SELECT e.*, true AS is_recorded
			  FROM kpi.lineage_edge e
			 WHERE NOT EXISTS (SELECT FROM derived d
								WHERE d.target = e.target AND d.target_class = e.target_class AND d.problem IS NOT NULL)
			UNION ALL
			SELECT d.target_class, d.target, d.target_name, d.target_column,
				   d.source_class, d.source, d.source_name, d.source_column, d.kind, d.transformation, false
			  FROM derived d
			 WHERE d.problem IS NULL) u
	 WHERE NOT EXISTS (SELECT FROM kpi.lineage_stale)
	 GROUP BY u.target_class, u.target, u.target_name, u.target_column,
			  u.source_class, u.source, u.source_name, u.source_column, u.kind, u.transformation
	HAVING NOT (bool_or(u.is_recorded) AND NOT bool_and(u.is_recorded))
	UNION ALL
	SELECT e.* FROM kpi.event_trigger_findings('kpi_record_lineage', 'ddl_command_end', 'kpi.record_lineage()'::regprocedure) e
	UNION ALL
	SELECT e.* FROM kpi.event_trigger_findings('kpi_record_lineage_drop', 'sql_drop', 'kpi.record_lineage()'::regprocedure) e;
END;
REVOKE ALL ON FUNCTION kpi.lineage_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.lineage_findings() IS 'what kpi.check() tells of the recorded graph';
