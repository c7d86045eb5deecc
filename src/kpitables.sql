\echo Use "CREATE EXTENSION kpitables" to load this file. \quit

-- No IF NOT EXISTS: where somebody made a schema of this name before, the
-- installation fails rather than trust what stands in it.
CREATE SCHEMA kpi;
COMMENT ON SCHEMA kpi IS 'kpitables: governed metrics';
GRANT USAGE ON SCHEMA kpi TO PUBLIC;
