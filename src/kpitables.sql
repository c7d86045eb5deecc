\echo Use "CREATE EXTENSION kpitables" to load this file. \quit

-- Nothing that somebody put into another schema may stand for what is meant.
SET LOCAL search_path = pg_catalog, pg_temp;

-- No IF NOT EXISTS: where somebody made a schema of this name before, the
-- installation fails rather than trust what stands in it.
CREATE SCHEMA kpi;
COMMENT ON SCHEMA kpi IS 'kpitables: governed metrics';
REVOKE ALL ON SCHEMA kpi FROM PUBLIC;
GRANT USAGE ON SCHEMA kpi TO PUBLIC;
