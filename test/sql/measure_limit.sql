-- F2, M7, M12: LIMIT and OFFSET that take no row away do not keep a measure from passing, be it a parameter that says so. What
-- the planner does not know, the execution asks: no plan gives a number with another value.
\getenv abs_srcdir PG_ABS_SRCDIR
\set mart :abs_srcdir '/data/mart.sql'
\i :mart
CREATE FUNCTION outcome(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE query INTO r;
  RETURN coalesce(r, 'null');
EXCEPTION WHEN OTHERS THEN RETURN sqlstate || ' ' || sqlerrm;
END $$;
SELECT measure(revenue) FROM sales;

PREPARE skipped(bigint) AS SELECT sum(revenue) FROM (SELECT revenue FROM sales WHERE 1 = 1 OFFSET $1) sub;
PREPARE taken(bigint, int) AS SELECT sum(revenue) FROM (SELECT * FROM sales LIMIT $1 OFFSET $2) sub;
PREPARE deep(bigint, bigint) AS SELECT sum(-x) FROM (WITH c AS (SELECT -revenue AS x FROM (SELECT * FROM sales LIMIT $1) a OFFSET 0) SELECT * FROM c OFFSET $2::int + 0) b;
PREPARE sorted(bigint) AS SELECT count(*) FROM (SELECT city FROM sales ORDER BY revenue LIMIT $1) q;
PREPARE listed(bigint) AS SELECT revenue FROM sales ORDER BY id LIMIT $1;
SELECT set_config('plan_cache_mode', mode, false) AS mode, call, outcome('EXECUTE ' || call)
FROM unnest('{force_custom_plan,force_generic_plan,auto}'::text[]) mode, unnest('{skipped(0),skipped(NULL),skipped(1),skipped(0),"taken(NULL, 0)","taken(NULL, NULL)","taken(240, 0)","taken(0, 0)","taken(NULL, 240)","deep(NULL, 0)","deep(1000, 0)","deep(NULL, 1)",sorted(NULL),sorted(3),listed(1)}'::text[]) call;
SET plan_cache_mode = auto;
SELECT string_agg(outcome('EXECUTE skipped(0)'), ' ') FROM generate_series(1, 8);
SELECT outcome('EXECUTE skipped(7)'), outcome('EXECUTE skipped(0)');
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF, VERBOSE) EXECUTE skipped(0);
-- also where the rows are taken in parallel, and where nothing is left to take
SET force_parallel_mode = on;
SELECT outcome('EXECUTE skipped(0)'), outcome('EXECUTE skipped(1)');
RESET force_parallel_mode;
PREPARE never(bigint, bool) AS SELECT sum(revenue), (SELECT count(orders_paid) FROM (SELECT orders_paid FROM sales OFFSET $1) b) FROM (SELECT revenue FROM sales OFFSET $1) sub WHERE $2;
SELECT outcome('EXECUTE never(0, false)'), outcome('EXECUTE never(5, false)');
RESET plan_cache_mode;

-- in functions
CREATE FUNCTION in_sql(bigint) RETURNS numeric LANGUAGE sql AS 'SELECT sum(revenue) FROM (SELECT revenue FROM mart.sales OFFSET $1) q';
CREATE FUNCTION in_plpgsql(n bigint) RETURNS numeric LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT sum(revenue) FROM (SELECT revenue FROM mart.sales LIMIT n) q); END';
CREATE FUNCTION in_text(n bigint) RETURNS numeric LANGUAGE plpgsql AS 'DECLARE r numeric; BEGIN EXECUTE ''SELECT sum(revenue) FROM (SELECT revenue FROM mart.sales OFFSET $1) q'' INTO r USING n; RETURN r; END';
CREATE FUNCTION in_table(n bigint) RETURNS TABLE (r numeric) LANGUAGE sql STABLE AS 'SELECT sum(revenue) FROM (SELECT revenue FROM mart.sales LIMIT n) q';
SELECT call, outcome('SELECT ' || call) FROM unnest('{in_sql(0),in_sql(NULL),in_sql(1),in_plpgsql(NULL),in_plpgsql(2),in_plpgsql(0),in_text(0),in_text(3),(SELECT r FROM in_table(NULL)),(SELECT r FROM in_table(1))}'::text[]) call;
SELECT string_agg(outcome('SELECT in_plpgsql(' || coalesce(v, 'NULL') || ')'), ' ') FROM unnest('{NULL,NULL,NULL,NULL,NULL,NULL,NULL,9,NULL}'::text[]) v;
-- of anything else, nothing is known
SELECT refusal('SELECT sum(revenue) FROM (SELECT revenue FROM sales OFFSET (SELECT 0)) q');
SELECT refusal('SELECT sum(revenue) FROM (SELECT revenue FROM sales LIMIT (SELECT NULL::int)) q');
SELECT refusal('SELECT g, x FROM generate_series(0, 1) g, LATERAL (SELECT sum(revenue) AS x FROM (SELECT revenue FROM sales OFFSET g) q) l');
SELECT refusal('SELECT sum(revenue) FROM (SELECT revenue FROM sales OFFSET floor(random())) q');
SELECT require_all_rows(0, 'm', 'OFFSET'), require_all_rows(NULL, 'm', 'LIMIT');
SELECT refusal('SELECT require_all_rows(0, ''m'', ''LIMIT'')');

DROP SCHEMA mart CASCADE;
