-- catalog: what the other components stand on

CREATE FUNCTION kpi.check_server_version()
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_check_server_version'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi.check_server_version() IS
	'warn where the server lacks minor releases that fixed stale plans after changes of role membership';
SELECT kpi.check_server_version();

CREATE FUNCTION kpi.view_definition(view regclass)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_view_definition'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION kpi.view_definition(regclass) IS
	'the query of a view as pg_get_viewdef() writes it; waits for nobody and keeps no lock: NULL while somebody changes what the view reads, and for other relations';

-- The rest is for kpi.check(): each component has a function of its findings.

CREATE FUNCTION kpi.missing_reads(view regclass, OUT relation regclass, OUT columns text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_missing_reads'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.missing_reads(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.missing_reads(regclass) IS
	'the columns that a view''s query names and its owner may not read, as GRANT takes them; no rows for a security invoker';

CREATE FUNCTION kpi.event_trigger_findings(name text, event text, function regprocedure)
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT 'error', coalesce(e.evtname, name),
		   CASE WHEN e.evtname IS NULL
				THEN 'the event trigger is missing; what it was is in the extension''s script alone: create it from there'
				ELSE 'the event trigger is not always enabled' END,
		   format('ALTER EVENT TRIGGER %I ENABLE ALWAYS', e.evtname)
	  FROM (VALUES (1)) one
	  LEFT JOIN pg_catalog.pg_event_trigger e ON e.evtfoid = function AND e.evtevent = event
	 WHERE e.evtenabled IS DISTINCT FROM 'A';
END;
REVOKE ALL ON FUNCTION kpi.event_trigger_findings(text, text, regprocedure) FROM PUBLIC;
COMMENT ON FUNCTION kpi.event_trigger_findings(text, text, regprocedure) IS
	'what kpi.check() tells of an event trigger: a function at an event';
