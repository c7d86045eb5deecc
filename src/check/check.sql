-- check: what has come out of step, or out of the reach of scopes

-- Reads every role's scopes and every view's path, so it is for DBAs: nobody but
-- superusers may call it unless granted.  Each component has a function of its
-- findings; they are written in the same words whatever the session's settings are.
CREATE FUNCTION kpi.check(
	OUT severity text, OUT object text, OUT problem text, OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
SET datestyle = 'ISO, MDY'
SET timezone = 'UTC'
SET row_security = on
SET jit = off
BEGIN ATOMIC
	WITH finding (severity, object, problem, remedy) AS (
		SELECT * FROM kpi.scope_findings()
		UNION ALL
		SELECT * FROM kpi.metric_findings()
		UNION ALL
		SELECT * FROM kpi.lineage_findings()
		UNION ALL
		SELECT * FROM kpi.load_findings()
	)
	SELECT DISTINCT f.severity, f.object, f.problem, f.remedy
	  FROM finding f
	 ORDER BY f.severity, f.object, f.problem, f.remedy;
END;
REVOKE ALL ON FUNCTION kpi.check() FROM PUBLIC;
COMMENT ON FUNCTION kpi.check() IS
	'one row for each hole or inconsistency: severity (error, warning), object, problem, and the statements that mend it; without those the problem says what to do, and why that is not for a statement; no rows when all is well';
