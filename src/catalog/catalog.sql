-- catalog: what the other components stand on

CREATE FUNCTION kpi.check_server_version()
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_check_server_version'
LANGUAGE C STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION kpi.check_server_version() FROM PUBLIC;
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

-- A publication for all tables holds those of the extension, too.  So each of them has a
-- primary key or another replica identity, or nothing could be changed in them; and what
-- comes to a database that has the extension itself is left out, as if it were of a
-- catalog: it goes with views, policies and triggers, which do not come, and caches would
-- not learn of it, for logical replication fires no statement triggers.
CREATE FUNCTION kpi.skip_replicated()
RETURNS trigger
AS 'MODULE_PATHNAME', 'kpi_skip_replicated'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.skip_replicated() FROM PUBLIC;
COMMENT ON FUNCTION kpi.skip_replicated() IS
	'row trigger on the tables of the extension: leave out what logical replication brings from another database';
