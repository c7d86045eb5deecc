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
