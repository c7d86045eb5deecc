-- load_findings: what kpi.check() tells of tracked tables

CREATE FUNCTION kpi.load_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH tracked AS MATERIALIZED (		-- tables whose changes are recorded, partitions included
		SELECT t.relid, t.time_column, t.verified_at, f.relid AS member, c.relkind, c.relpersistence, y.has_time,
			   format('SELECT kpi.track(%L%s)', t.relid, CASE WHEN y.has_time THEN ', ' || quote_literal(t.time_column) END) AS remedy
		  FROM kpi.track_registry t
		 CROSS JOIN LATERAL kpi.relation_and_children(t.relid) f (relid)
		  JOIN pg_catalog.pg_class c ON c.oid = f.relid
		 CROSS JOIN LATERAL (
				SELECT CASE WHEN t.time_column IS NOT NULL
							THEN EXISTS (SELECT FROM pg_catalog.pg_attribute a
										   JOIN pg_catalog.pg_type b ON b.oid = a.atttypid
										  WHERE a.attrelid = t.relid AND a.attname = t.time_column AND NOT a.attisdropped
											AND coalesce(nullif(b.typbasetype, 0), b.oid)
												IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)) END AS has_time) y
	)
	SELECT 'error', t.member::text, 'triggers that record changes of data are missing or do not always fire', t.remedy
	  FROM tracked t
	  JOIN kpi.track_repairs g ON g.relation = t.member AND g.wanted
	UNION ALL
	SELECT 'error', t.relid::text,
		   format('%s below it is a foreign table: statements that name a table above it are not recorded', t.member),
		   format('ALTER TABLE %s DETACH PARTITION %s', i.inhparent::regclass, t.member)
	  FROM tracked t
	  JOIN pg_catalog.pg_inherits i ON i.inhrelid = t.member
	 WHERE t.relkind = 'f'
	UNION ALL
	SELECT 'warning', t.member::text,
		   format('%s at %s: no trigger saw which rows that changed', l.operation, l.changed_at), t.remedy
	  FROM tracked t
	  JOIN kpi.data_change_log l ON l.relation = t.member AND l.changed_at > t.verified_at
	 WHERE l.rows IS NULL AND l.operation <> 'TRUNCATE'
	UNION ALL
	SELECT 'error', t.relid::text,
		   format('its time column "%s" is gone or holds no time: what changes touched is not recorded', t.time_column), t.remedy
	  FROM tracked t
	 WHERE NOT t.has_time
	UNION ALL
	SELECT 'warning', t.member::text,
		   format('subscription "%s" writes to it: logical replication fires no statement triggers', u.subname), NULL
	  FROM tracked t
	  JOIN pg_catalog.pg_subscription_rel s ON s.srrelid = t.member
	  JOIN pg_catalog.pg_subscription u ON u.oid = s.srsubid
	UNION ALL
	SELECT 'warning', t.member::text, 'it is unlogged: a crash empties it, and nothing records that',
		   format('ALTER TABLE %s SET LOGGED', t.member)
	  FROM tracked t
	 WHERE t.relpersistence = 'u'
	UNION ALL
	SELECT 'error', t.relid::text, 'a tracked table is gone',
		   format('DELETE FROM kpi.track_registry WHERE relid = %L', t.relid::oid)
	  FROM kpi.track_registry t
	 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.relid)
	UNION ALL
	SELECT e.* FROM kpi.event_trigger_findings('kpi_follow_tracked', 'ddl_command_end', 'kpi.follow_tracked()'::regprocedure) e
	UNION ALL
	SELECT e.* FROM kpi.event_trigger_findings('kpi_follow_rewritten', 'table_rewrite', 'kpi.follow_tracked()'::regprocedure) e
	UNION ALL
	SELECT e.* FROM kpi.event_trigger_findings('kpi_follow_dropped', 'sql_drop', 'kpi.follow_tracked()'::regprocedure) e;
END;
REVOKE ALL ON FUNCTION kpi.load_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.load_findings() IS 'what kpi.check() tells of tracked tables';
