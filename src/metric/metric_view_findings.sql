-- metric_view_findings: what kpi.check() tells of metrics and metric views

CREATE FUNCTION kpi.metric_problem(metric regclass)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_metric_problem'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.metric_problem(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_problem(regclass) IS
	'why a view is none that kpi.create_metric() would make; NULL where it is one, or a registered metric that it reads tells; waits for nobody';

CREATE FUNCTION kpi.metric_limit(metric regclass)
RETURNS integer
AS 'MODULE_PATHNAME', 'kpi_metric_limit'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.metric_limit(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_limit(regclass) IS
	'the limit on small groups that a metric''s own view has, whatever its components have; 0 for none';

CREATE FUNCTION kpi.metric_view_problems(metric_view regclass)
RETURNS SETOF text
AS 'MODULE_PATHNAME', 'kpi_metric_view_problems'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.metric_view_problems(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_view_problems(regclass) IS
	'why a view is none that kpi.create_metric_view() would make; no rows where it is one; waits for nobody';

CREATE FUNCTION kpi.metric_view_missing_reads(metric_view regclass, OUT relation regclass, OUT columns text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_metric_view_missing_reads'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.metric_view_missing_reads(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_view_missing_reads(regclass) IS
	'the columns that the owner of a metric view reads for its measures and may not read, as GRANT takes them';

CREATE FUNCTION kpi.metrics_read(view regclass)
RETURNS SETOF regclass
AS 'MODULE_PATHNAME', 'kpi_metrics_read'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.metrics_read(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metrics_read(regclass) IS
	'the metrics that a metric view publishes, or that a metric is derived from';

CREATE FUNCTION kpi.metric_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH RECURSIVE registered AS MATERIALIZED (
		SELECT r.relid, true AS is_metric, r.min_group_rows, c.oid
		  FROM kpi.metric_registry r
		  LEFT JOIN pg_catalog.pg_class c ON c.oid = r.relid
		UNION ALL
		SELECT v.relid, false, NULL, c.oid
		  FROM kpi.metric_view_registry v
		  LEFT JOIN pg_catalog.pg_class c ON c.oid = v.relid
	), metric AS MATERIALIZED (
		SELECT r.relid, r.min_group_rows, kpi.metric_problem(r.relid) AS problem, kpi.metric_limit(r.relid) AS own_limit
		  FROM registered r
		 WHERE r.is_metric AND r.oid IS NOT NULL
	), read (relid) AS (				-- they, and the views that they read
		SELECT r.oid FROM registered r WHERE r.oid IS NOT NULL
		UNION
		SELECT d.refobjid
		  FROM read
		  JOIN pg_catalog.pg_rewrite w ON w.ev_class = read.relid AND w.ev_type = '1'
		  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
		  JOIN pg_catalog.pg_class c
			ON d.refclassid = 'pg_catalog.pg_class'::regclass AND c.oid = d.refobjid AND c.relkind = 'v'
	)
	SELECT 'error', m.relid::text,
		   format('it is registered as a metric, but its view was replaced by something else: %s; define it again with kpi.alter_metric(): its definition was in the view alone', m.problem), NULL
	  FROM metric m
	 WHERE m.problem IS NOT NULL
	UNION ALL
	SELECT 'error', m.relid::text, 'its view does not have the limit on small groups that is registered',
		   format('SELECT kpi.alter_metric(%L, min_group_rows => %s)', m.relid, m.min_group_rows)
	  FROM metric m
	 WHERE m.problem IS NULL AND m.min_group_rows > 0 AND m.own_limit <> m.min_group_rows
	   AND NOT EXISTS (SELECT FROM kpi.publishing_views(m.relid) v	-- which tell
						WHERE kpi.metric_view_source(v) <> kpi.metric_source(m.relid))
	UNION ALL
	SELECT 'error', r.relid::text,
		   format('it is registered as a metric view, but %s; put right what was replaced, or drop it and create it again with kpi.create_metric_view(): what it was, was in the views alone', p), NULL
	  FROM registered r
	 CROSS JOIN LATERAL kpi.metric_view_problems(r.relid) p
	 WHERE NOT r.is_metric AND r.oid IS NOT NULL
	UNION ALL
	SELECT 'error', c.oid::regclass::text,
		   format('role "%s", which owns it, may not read %s (%s): it fails for its readers',
				  pg_get_userbyid(c.relowner), m.relation, m.columns),
		   format('GRANT SELECT (%s) ON %s TO %I', m.columns, m.relation, pg_get_userbyid(c.relowner))
	  FROM read
	  JOIN pg_catalog.pg_class c ON c.oid = read.relid
	 CROSS JOIN LATERAL (SELECT n.relation, n.columns FROM kpi.missing_reads(c.oid) n
						 UNION
						 SELECT n.relation, n.columns FROM kpi.metric_view_missing_reads(c.oid) n) m
	UNION ALL
	SELECT 'error', r.relid::text,
		   format('column "%s" was a measure, and is none now; put the view right, or drop it and create it again with kpi.create_metric_view(): what the column published was in the view alone', a.attname), NULL
	  FROM registered r
	 CROSS JOIN LATERAL kpi.metric_view_columns(r.relid) v
	  JOIN pg_catalog.pg_attribute a ON a.attrelid = r.relid AND a.attnum = v.attnum
	 WHERE NOT r.is_metric AND v.metric IS NULL
	   AND col_description(r.relid, v.attnum) ~ '(^|\n)Definition: '	-- as written for measures
	UNION ALL
	SELECT 'error', r.relid::text, format('%s; let other roles own these, or read the tables themselves', b.path), NULL
	  FROM registered r
	 CROSS JOIN LATERAL (SELECT kpi.scope_bypass(r.oid) AS path OFFSET 0) b
	 WHERE b.path IS NOT NULL
	UNION ALL
	SELECT 'error', u.metric::text, format('it is a metric that %s reads, but is not registered', min(r.relid::text)),
		   format('INSERT INTO kpi.metric_registry (relid, min_group_rows) VALUES (%L, %s)', u.metric::oid, kpi.metric_limit(u.metric))
	  FROM registered r
	 CROSS JOIN LATERAL kpi.metrics_read(r.relid) u (metric)
	 WHERE NOT EXISTS (SELECT FROM kpi.metric_registry m WHERE m.relid = u.metric)
	   AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = u.metric AND c.relkind = 'v')
	   AND kpi.metric_problem(u.metric) IS NULL
	 GROUP BY u.metric
	UNION ALL
	SELECT 'warning', r.relid::oid::text, format('a registered metric%s is gone', CASE WHEN NOT r.is_metric THEN ' view' END),
		   format('DELETE FROM kpi.%I WHERE relid = %L', CASE WHEN r.is_metric THEN 'metric_registry' ELSE 'metric_view_registry' END, r.relid::oid)
	  FROM registered r
	 WHERE r.oid IS NULL
	UNION ALL
	SELECT b.severity, b.object, b.problem, b.remedy
	  FROM kpi.bypass_findings() b
	 WHERE NOT EXISTS (SELECT FROM registered r WHERE r.oid IS NOT NULL AND r.relid::text = b.object)
	UNION ALL
	SELECT * FROM kpi.event_trigger_findings('kpi_forget_dropped', 'sql_drop', 'kpi.forget_dropped()'::regprocedure);
END;
REVOKE ALL ON FUNCTION kpi.metric_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_findings() IS 'what kpi.check() tells of metrics and metric views, and of views that bypass scopes but are neither';
