-- written comments: what tools read about metrics and the columns that publish them, kept in step with definitions

CREATE TABLE kpi.written_comment (
	relid		regclass,
	attnum		smallint,
	comment		text NOT NULL,
	PRIMARY KEY (relid, attnum)
);
REVOKE ALL ON kpi.written_comment FROM PUBLIC;
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.written_comment
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.written_comment ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.written_comment IS 'what comes by logical replication is of another database';
COMMENT ON TABLE kpi.written_comment IS
	'comments that the extension wrote on metrics, metric views and their columns: one that is not the same any more is somebody''s own, and stays';
COMMENT ON COLUMN kpi.written_comment.relid IS 'the view';
COMMENT ON COLUMN kpi.written_comment.attnum IS 'number of the column; 0 is the view itself';
COMMENT ON COLUMN kpi.written_comment.comment IS 'what was written';
SELECT pg_catalog.pg_extension_config_dump('kpi.written_comment',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = relid) ORDER BY ctid');

CREATE FUNCTION kpi.definition_text(view regclass)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_definition_text'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.definition_text(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.definition_text(regclass) IS
	'the query of a view in one line, the same in every session: with names qualified; waits for nobody and keeps no lock: NULL while somebody changes what the view reads, and for other relations';

CREATE FUNCTION kpi.metric_comment(metric regclass, with_definition boolean)
RETURNS text
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT CASE WHEN with_definition
				THEN CASE WHEN w.words = '' THEN '' ELSE w.words || E'\n' END
					 || CASE WHEN kpi.additivity(r.relid) LIKE '%-additive'
							 THEN E'Not additive: aggregate it with measure() or AVG; single rows show NULL\n' ELSE '' END
					 || 'Definition: ' || kpi.definition_text(r.relid)
				ELSE w.words END
	  FROM kpi.metric_registry r
	  JOIN pg_catalog.pg_class c ON c.oid = r.relid
	 CROSS JOIN LATERAL (
			SELECT concat_ws(E'\n',
							 CASE WHEN r.unit IS NULL THEN r.label
								  ELSE format('%s (%s)', coalesce(r.label, c.relname::text), r.unit) END,
							 r.description) AS words) w
	 WHERE r.relid = metric;
END;
REVOKE ALL ON FUNCTION kpi.metric_comment(regclass, boolean) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_comment(regclass, boolean) IS
	'what the comment of a metric says: label, unit, description and, if asked, definition; NULL where that cannot be told now';

CREATE FUNCTION kpi.due_comments(
	relations oid[], replaced boolean, OUT relid regclass, OUT attnum smallint, OUT comment text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL RESTRICTED
SET jit = off
BEGIN ATOMIC
	WITH RECURSIVE metric AS (				-- and those computed from them
		SELECT r.relid
		  FROM kpi.metric_registry r
		 WHERE r.relid::oid = ANY (relations)
		UNION
		SELECT r.relid
		  FROM metric m
		  JOIN pg_catalog.pg_depend d
			ON d.refclassid = 'pg_catalog.pg_class'::regclass
		   AND d.refobjid = m.relid
		   AND d.classid = 'pg_catalog.pg_rewrite'::regclass
		  JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
		  JOIN kpi.metric_registry r ON r.relid = w.ev_class
	), metric_view AS MATERIALIZED (
		SELECT v.relid, v.row_key, kpi.metric_view_source(v.relid)::oid AS source,
			   v.relid::oid = ANY (relations) AS itself
		  FROM kpi.metric_view_registry v
		 WHERE v.relid::oid = ANY (relations)
			OR v.relid::oid IN (SELECT w.ev_class
								  FROM metric m
								  JOIN pg_catalog.pg_depend d
									ON d.refclassid = 'pg_catalog.pg_class'::regclass
								   AND d.refobjid = m.relid
								   AND d.classid = 'pg_catalog.pg_rewrite'::regclass
								  JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid)
	), wanted (relid, attnum, is_dimension, comment) AS (
		SELECT m.relid, 0::smallint, false, kpi.metric_comment(m.relid, false)
		  FROM metric m
		UNION ALL
		SELECT r.relid, 0::smallint, false, concat_ws(E'\n', r.label, r.description)
		  FROM metric_view v
		  JOIN kpi.metric_view_registry r ON r.relid = v.relid
		 WHERE v.itself
		UNION ALL
		SELECT v.relid, c.attnum, c.metric IS NULL,
			   CASE WHEN c.metric IS NOT NULL THEN kpi.metric_comment(c.metric, true)
					ELSE concat_ws(E'\n', col_description(v.source, c.source_column),
								   CASE WHEN c.attnum = v.row_key THEN 'Row key: never NULL, and of one row alone' END) END
		  FROM metric_view v
		 CROSS JOIN LATERAL kpi.metric_view_columns(v.relid) c
		 WHERE v.itself OR c.metric IN (SELECT m.relid FROM metric m)
	)
	SELECT w.relid, w.attnum, w.comment
	  FROM wanted w
	  LEFT JOIN kpi.written_comment t ON t.relid = w.relid AND t.attnum = w.attnum
	 CROSS JOIN LATERAL (SELECT col_description(w.relid, w.attnum) AS comment) d
	 WHERE CASE WHEN d.comment IS NOT DISTINCT FROM t.comment THEN coalesce(d.comment, '') <> w.comment
				ELSE replaced AND NOT w.is_dimension AND coalesce(t.comment, '') <> w.comment END;
END;
REVOKE ALL ON FUNCTION kpi.due_comments(oid[], boolean) FROM PUBLIC;
COMMENT ON FUNCTION kpi.due_comments(oid[], boolean) IS
	'the comments to write on some metrics, the columns that publish them, and metric views, for which the extension''s own are out of date or missing; if asked also where somebody replaced or removed one, but for dimensions; a dimension has its source column''s';

CREATE FUNCTION kpi.refresh_comments(relation regclass DEFAULT NULL, replaced boolean DEFAULT false)
RETURNS integer
AS 'MODULE_PATHNAME', 'kpi_refresh_comments'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.refresh_comments(regclass, boolean) IS
	'write the comments of a metric with the columns that publish it, or of a metric view, where they are out of date, or of all that the caller owns; a comment that somebody replaced or removed stays unless "replaced" is true; returns how many were written; raises 42809 for other relations, 42501 for those of others';

CREATE FUNCTION kpi.follow_definitions()
RETURNS event_trigger
AS 'MODULE_PATHNAME', 'kpi_follow_definitions'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.follow_definitions() FROM PUBLIC;
COMMENT ON FUNCTION kpi.follow_definitions() IS
	'event trigger: let comments follow what DDL changed in definitions and names; a failure is a warning';

CREATE EVENT TRIGGER kpi_follow_definitions ON ddl_command_end
	EXECUTE FUNCTION kpi.follow_definitions();
ALTER EVENT TRIGGER kpi_follow_definitions ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER kpi_follow_definitions IS
	'keeps the comments of metrics and measures in step with their definitions';

CREATE FUNCTION kpi.adopt(view regclass)
RETURNS regclass
AS 'MODULE_PATHNAME', 'kpi_adopt'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.adopt(regclass) IS
	'register a view that is a metric or a metric view, and is not registered, as after a restore of its schema alone, with the metrics that it names; what its comment says becomes its description; raises what kpi.create_metric() and kpi.create_metric_view() raise for what is neither';

CREATE FUNCTION kpi.row_key_problem(metric_view regclass, attnum smallint)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_row_key_problem'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.row_key_problem(regclass, smallint) FROM PUBLIC;
COMMENT ON FUNCTION kpi.row_key_problem(regclass, smallint) IS
	'why a dimension of a metric view does not identify its rows, or NULL; waits for nobody';

CREATE FUNCTION kpi.registration_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH marked AS MATERIALIZED (			-- views with markers, registered or not
		SELECT DISTINCT c.oid::regclass AS relid
		  FROM pg_catalog.pg_depend d
		  JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
		  JOIN pg_catalog.pg_class c ON c.oid = w.ev_class
		 WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass
		   AND d.refclassid = 'pg_catalog.pg_proc'::regclass
		   AND d.refobjid = 'kpi.metric_column(regclass, anyelement)'::regprocedure
		   AND c.relkind = 'v' AND c.relpersistence <> 't'
	), unregistered AS MATERIALIZED (
		SELECT m.relid, (SELECT string_agg(p, ', ') FROM kpi.metric_view_problems(m.relid) p) AS problem
		  FROM marked m
		 WHERE NOT EXISTS (SELECT FROM kpi.metric_view_registry r WHERE r.relid = m.relid)
	), registered AS (
		SELECT m.relid FROM kpi.metric_registry m
		UNION ALL
		SELECT v.relid FROM kpi.metric_view_registry v
	)
	SELECT 'warning', u.relid::text,
		   CASE WHEN u.problem IS NULL THEN 'it is not registered as the metric view that it is'
				ELSE format('it has measures, but is none that could be registered as a metric view: %s; read a metric view in it instead, or make it with kpi.create_metric_view()', u.problem) END,
		   CASE WHEN u.problem IS NULL THEN format('SELECT kpi.adopt(%L)', u.relid) END
	  FROM unregistered u
	UNION ALL
	SELECT 'warning', d.relid::text, 'comments of metrics are out of date: they do not say what is so now',
		   format('SELECT kpi.refresh_comments(%L)', d.relid)
	  FROM kpi.due_comments((SELECT array_agg(r.relid::oid) FROM registered r), false) d
	UNION ALL
	SELECT 'warning', v.relid::text,
		   format('its row key "%s" does not identify a row any more: %s', a.attname, kpi.row_key_problem(v.relid, v.row_key)),
		   format('SELECT kpi.alter_metric_view(%L, row_key => %L)', v.relid, '')
	  FROM kpi.metric_view_registry v
	  JOIN pg_catalog.pg_attribute a ON a.attrelid = v.relid AND a.attnum = v.row_key
	 WHERE kpi.row_key_problem(v.relid, v.row_key) IS NOT NULL
	UNION ALL
	SELECT * FROM kpi.event_trigger_findings('kpi_follow_definitions', 'ddl_command_end', 'kpi.follow_definitions()'::regprocedure);
END;
REVOKE ALL ON FUNCTION kpi.registration_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.registration_findings() IS
	'what kpi.check() tells of metric views that nobody registered, and of comments that did not follow';
