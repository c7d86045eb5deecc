-- catalog: what the other components stand on

CREATE FUNCTION kpi.check_server_version()
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_check_server_version'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi.check_server_version() IS
	'warn where the server lacks minor releases that fixed stale plans after changes of role membership';
SELECT kpi.check_server_version();
