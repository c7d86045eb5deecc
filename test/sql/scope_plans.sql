-- S3, A9, B1, B2, B9: a scope is a constant predicate, so the planner does what it does for a WHERE; and no plan outlives
-- the scope that it was made for, whatever changed it and whoever executes it.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA shop;
SET search_path = shop, kpi, public;
CREATE ROLE regress_kpi_owner;
CREATE ROLE regress_kpi_cfo;
CREATE ROLE regress_kpi_east;
CREATE ROLE regress_kpi_clerk;
CREATE ROLE regress_kpi_wide;
CREATE ROLE regress_kpi_none;
GRANT ALL ON SCHEMA shop TO PUBLIC;
CREATE TABLE stores (store_id int PRIMARY KEY, region text);
INSERT INTO stores SELECT i, ('{East,West,North}'::text[])[1 + i % 3] FROM generate_series(1, 40) i;
CREATE TABLE orders (id int, store_id int, amount int, remark text DEFAULT repeat('x', 200));
INSERT INTO orders SELECT i, i % 42, i FROM generate_series(1, 8400) i ORDER BY i % 42, i;
CREATE INDEX orders_store ON orders (store_id);
CREATE TABLE days (store_id int, day date, amount int) PARTITION BY RANGE (store_id);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (20);
CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (20) TO (30) PARTITION BY LIST (store_id);
CREATE TABLE days_2_21 PARTITION OF days_2 FOR VALUES IN (21);
CREATE TABLE days_2_rest PARTITION OF days_2 DEFAULT;
CREATE TABLE days_3 PARTITION OF days DEFAULT;
INSERT INTO days SELECT i % 42, date '2026-01-01' + i % 30, i FROM generate_series(1, 4200) i;
ANALYZE;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO PUBLIC;
SELECT create_dimension('store', 'shop.stores', 'store_id', '{region}');
SELECT protect('shop.orders', 'store', 'store_id'), protect('shop.days', 'store', 'store_id');
SELECT grant_scope('regress_kpi_cfo', 'store', members => '{*}'), grant_scope('regress_kpi_east', 'store', 'region', '{East}'), grant_scope('regress_kpi_clerk', 'store', members => '{21}'),
  grant_scope('regress_kpi_wide', 'store', members => (SELECT array_agg(store_id::text) FROM stores WHERE store_id > 5));
CREATE FUNCTION plan(role text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('role', role, true);
  RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
  PERFORM set_config('role', 'none', true);
END $$;
SET enable_bitmapscan = off;
SET max_parallel_workers_per_gather = 0;

-- S3: one member, several, many (hashed), all, none: constant predicates, indexes, pruning, nothing at all, and no scan
SELECT r AS role, plan(r, 'SELECT * FROM orders') AS plan FROM unnest('{regress_kpi_clerk,regress_kpi_east,regress_kpi_wide,regress_kpi_cfo,regress_kpi_none}'::text[]) r;
SELECT r AS role, plan(r, 'SELECT sum(amount) FROM days') AS plan FROM unnest('{regress_kpi_clerk,regress_kpi_east,regress_kpi_cfo,regress_kpi_none}'::text[]) r;
-- beside a WHERE, in joins and in subqueries
SELECT plan('regress_kpi_clerk', 'SELECT * FROM orders WHERE store_id = 21 AND amount > 5');
SELECT plan('regress_kpi_clerk', 'SELECT * FROM orders WHERE store_id = 22');
SELECT plan('regress_kpi_clerk', 'SELECT s.region, sum(o.amount) FROM stores s LEFT JOIN orders o USING (store_id) GROUP BY 1');
-- estimates are those of the constants
CREATE FUNCTION estimate(role text, query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE j json;
BEGIN
  PERFORM set_config('role', role, true);
  EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO j;
  PERFORM set_config('role', 'none', true);
  RETURN j -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
SELECT estimate('regress_kpi_clerk', 'SELECT * FROM orders') = estimate('postgres', 'SELECT * FROM orders WHERE store_id = 21') AS one,
  estimate('regress_kpi_wide', 'SELECT * FROM orders') = estimate('postgres', format('SELECT * FROM orders WHERE store_id = ANY (%L)', (SELECT array_agg(store_id) FROM stores WHERE store_id > 5))) AS many;
-- parallel, and hashed in the workers
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT r AS role, plan(r, 'SELECT count(*), sum(amount) FROM orders') AS plan FROM unnest('{regress_kpi_wide,regress_kpi_cfo}'::text[]) r;
SET ROLE regress_kpi_wide;
SELECT count(*), sum(amount) FROM orders;
RESET ROLE;
SELECT count(*), sum(amount) FROM orders WHERE store_id BETWEEN 6 AND 40;
-- measures: the plan of the query that an expert would write, with the scope in it
CREATE SCHEMA bi AUTHORIZATION regress_kpi_owner;
GRANT USAGE ON SCHEMA bi TO PUBLIC;
SET ROLE regress_kpi_owner;
SELECT create_metric('bi.revenue', 'SELECT sum(amount) FROM shop.orders'), create_metric('bi.stores', 'SELECT count(DISTINCT store_id) FROM shop.orders'), create_metric_view('bi.sales', '{store_id}', '{bi.revenue, bi.stores}');
GRANT SELECT ON bi.sales TO PUBLIC;
RESET ROLE;
SET max_parallel_workers_per_gather = 0;
SELECT plan('regress_kpi_clerk', 'SELECT measure(revenue) FROM bi.sales') AS measured EXCEPT ALL SELECT plan('regress_kpi_clerk', 'SELECT sum(amount) FROM orders');
SET ROLE regress_kpi_clerk;
SELECT explain_measure('SELECT measure(revenue) FROM bi.sales');
RESET ROLE;

-- S3: unsimplified, the function gives the same: dimension not constant, in target lists, in CASE, in PL/pgSQL, for other types
CREATE TABLE names (dimension text);
INSERT INTO names VALUES ('store');
CREATE FUNCTION in_my_scope(int) RETURNS boolean LANGUAGE plpgsql STABLE AS 'BEGIN RETURN kpi.in_scope(''store'', $1); END';
CREATE FUNCTION keys(role text, condition text, source text DEFAULT 'generate_series(-1, 43) k') RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  PERFORM set_config('role', role, true);
  EXECUTE format('SELECT string_agg(k::text, '' '' ORDER BY k) FROM %s WHERE %s', source, condition) INTO result;
  PERFORM set_config('role', 'none', true);
  RETURN result;
END $$;
GRANT SELECT ON names TO PUBLIC;
SELECT r AS role, keys(r, 'kpi.in_scope(''store'', k)') AS simplified, (SELECT string_agg(DISTINCT coalesce(keys(r, c), '-'), ' | ') = coalesce(keys(r, 'kpi.in_scope(''store'', k)'), '-') FROM unnest(ARRAY['kpi.in_scope((SELECT dimension FROM shop.names), k)', 'CASE WHEN k IS NULL THEN false ELSE kpi.in_scope(''st'' || (SELECT ''ore''::text OFFSET 0), k) END',
    'shop.in_my_scope(k)', 'kpi.in_scope(''store'', k::smallint::int)', 'EXISTS (SELECT kpi.in_scope(dimension, k) AS x FROM shop.names GROUP BY 1 HAVING bool_and(kpi.in_scope(dimension, k)))', '(SELECT array_agg(kpi.in_scope(dimension, k)) FROM shop.names) = ''{t}''']) c) AS same_at_run_time
FROM unnest('{regress_kpi_none,regress_kpi_clerk,regress_kpi_east,regress_kpi_wide,regress_kpi_cfo,postgres}'::text[]) r;
SELECT kpi.in_scope('store', NULL::int) AS superuser, keys('regress_kpi_cfo', 'kpi.in_scope(''store'', NULL::int)', '(VALUES (1)) v(k)') AS full_scope, keys('regress_kpi_wide', 'kpi.in_scope(''store'', NULL::int)', '(VALUES (1)) v(k)') AS members, keys('regress_kpi_wide', 'kpi.in_scope(dimension, NULL::int)', 'shop.names, (VALUES (1)) v(k)') AS at_run_time;
-- also where a member is what NULL looks like inside
SELECT create_dimension('zero', type => 'int'), grant_scope('regress_kpi_wide', 'zero', members => '{0}');
SELECT keys('regress_kpi_wide', 'kpi.in_scope(dimension, k)', '(VALUES (''zero'')) d(dimension), (VALUES (0), (NULL::int), (1)) v(k)') AS at_run_time, keys('regress_kpi_wide', 'kpi.in_scope(''zero'', k)', '(VALUES (0), (NULL::int), (1)) v(k)') AS simplified,
  keys('regress_kpi_wide', 'kpi.in_scope((SELECT ''zero''), nullif(k, 0)) IS NOT true', '(VALUES (0)) v(k)') AS null_is_out;
SELECT drop_dimension('zero');
SELECT kpi.in_scope('stores', 1);
SELECT kpi.in_scope(NULL, 1);
SELECT kpi.in_scope('store', 'x'::text);
SELECT kpi.in_scope('store', 1::bigint);
SELECT kpi.in_scope('store', NULL);
-- a key that ignores case does so in both
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE loose (k text COLLATE nocase);
INSERT INTO loose VALUES ('web'), ('WEB'), ('shop');
SELECT create_dimension('channel'), grant_scope('regress_kpi_clerk', 'channel', members => '{Web}');
GRANT SELECT ON loose TO PUBLIC;
SELECT keys('regress_kpi_clerk', 'kpi.in_scope(''channel'', k)', 'shop.loose') IS NOT DISTINCT FROM keys('regress_kpi_clerk', 'kpi.in_scope(''chan'' || (SELECT ''nel''::text OFFSET 0), k)', 'shop.loose') AS same;
-- C7: where workers would be
SET force_parallel_mode = on;
SELECT r AS role, keys(r, 'kpi.in_scope(''store'', k)') IS NOT DISTINCT FROM keys(r, 'kpi.in_scope(''store'', store_id)', '(SELECT DISTINCT store_id FROM shop.orders WHERE store_id BETWEEN -1 AND 43) x (store_id), LATERAL (SELECT store_id) y (k)') AS same FROM unnest('{regress_kpi_none,regress_kpi_clerk,regress_kpi_east,regress_kpi_wide}'::text[]) r;
SET ROLE regress_kpi_east;
SELECT count(*), sum(amount), count(*) FILTER (WHERE kpi.in_scope(dimension, store_id)) FROM orders, names;
RESET ROLE;
RESET force_parallel_mode;
SELECT count(*), sum(amount), count(*) FROM orders WHERE store_id IN (SELECT store_id FROM stores WHERE region = 'East');
-- A9: in a SECURITY DEFINER function it is the function's owner whose scope counts
CREATE FUNCTION mine() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(DISTINCT store_id) FROM shop.orders';
CREATE FUNCTION definer() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT count(DISTINCT store_id) FROM shop.orders';
CREATE FUNCTION definer_pl() RETURNS bigint LANGUAGE plpgsql STABLE SECURITY DEFINER AS 'BEGIN RETURN (SELECT count(DISTINCT store_id) FROM shop.orders); END';
ALTER FUNCTION definer OWNER TO regress_kpi_east;
ALTER FUNCTION definer_pl OWNER TO regress_kpi_east;
SELECT r AS role, keys(r, 'true', '(SELECT shop.mine()) x (k)') AS own, keys(r, 'true', '(SELECT shop.definer()) x (k)') AS definer, keys(r, 'true', '(SELECT shop.definer_pl()) x (k)') AS plpgsql, keys(r, 'true', '(SELECT shop.mine()) x (k)') AS own_again
FROM unnest('{regress_kpi_none,regress_kpi_clerk,regress_kpi_cfo,regress_kpi_clerk}'::text[]) r;

-- B1, B2, B9: whatever changes a scope between two executions, the next one has the new scope. Each step is run in every plan
-- mode over a prepared query, a prepared measure, PL/pgSQL and a cursor opened anew; "expected" is counted by an explicit WHERE.
CREATE FUNCTION cached(OUT stores bigint) LANGUAGE plpgsql AS 'BEGIN SELECT count(DISTINCT store_id) INTO stores FROM shop.orders; END';
CREATE FUNCTION opened(OUT stores bigint) LANGUAGE plpgsql AS 'DECLARE c CURSOR FOR SELECT count(DISTINCT store_id) FROM shop.orders; BEGIN OPEN c; FETCH c INTO stores; CLOSE c; END';
CREATE TABLE steps (position serial, change text, expected text);
INSERT INTO steps (change, expected) VALUES ('-- nothing', '21'), ('SELECT kpi.grant_scope(''regress_kpi_clerk'', ''store'', members => ''{22}'')', '21,22'), ('SELECT kpi.grant_scope(''regress_kpi_clerk'', ''store'', ''region'', ''{West}'')', '21,22,West'), ('UPDATE shop.stores SET region = ''West'' WHERE store_id = 23', '21,22,23,West'),
  ('INSERT INTO shop.stores VALUES (41, ''West'')', '21,22,23,41,West'), ('DELETE FROM shop.stores WHERE store_id IN (23, 41)', '21,22,West'), ('ALTER TABLE shop.stores RENAME region TO area', '21,22,West'), ('SELECT kpi.revoke_scope(''regress_kpi_clerk'', ''store'', ''region'')', '21,22'),
  ('GRANT regress_kpi_east TO regress_kpi_clerk', '21,22,East'), ('GRANT regress_kpi_wide TO regress_kpi_east', '21,22,East,wide'), ('ALTER ROLE regress_kpi_clerk NOINHERIT', '21,22'), ('ALTER ROLE regress_kpi_clerk INHERIT', '21,22,East,wide'), ('ALTER ROLE regress_kpi_east NOINHERIT', '21,22,East'),
  ('REVOKE regress_kpi_wide FROM regress_kpi_east', '21,22,East'), ('ALTER ROLE regress_kpi_east INHERIT', '21,22,East'), ('REVOKE regress_kpi_east FROM regress_kpi_clerk', '21,22'), ('ALTER ROLE regress_kpi_clerk BYPASSRLS', '*'), ('ALTER ROLE regress_kpi_clerk NOBYPASSRLS', '21,22'), ('ALTER ROLE regress_kpi_clerk SUPERUSER', '*'), ('ALTER ROLE regress_kpi_clerk NOSUPERUSER', '21,22'),
  ('SELECT kpi.grant_scope(''regress_kpi_clerk'', ''store'', members => ''{*}'')', '*'), ('SELECT kpi.revoke_scope(''regress_kpi_clerk'', ''store'', members => ''{*}'')', '21,22'), ('SELECT kpi.unprotect(''shop.orders'', ''store'')', '*'), ('SELECT kpi.protect(''shop.orders'', ''store'', ''store_id'')', '21,22'),
  ('ALTER TABLE shop.orders DISABLE ROW LEVEL SECURITY', '*'), ('ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY', '21,22'), ('SELECT kpi.revoke_scope(''regress_kpi_clerk'', ''store'')', ''), ('SELECT kpi.grant_scope(''regress_kpi_clerk'', ''store'', members => ''{21}''); UPDATE shop.stores SET area = ''East'' WHERE store_id % 3 = 0; INSERT INTO shop.stores VALUES (23, ''North''); ALTER TABLE shop.stores RENAME area TO region', '21');
CREATE TABLE regions AS SELECT * FROM stores;
CREATE FUNCTION race() RETURNS TABLE (mode text, step int, change text, expected bigint, prepared bigint, measure bigint, plpgsql bigint, cursor bigint) LANGUAGE plpgsql AS $$
DECLARE s record;
BEGIN
  FOREACH mode IN ARRAY '{auto,force_generic_plan,force_custom_plan}'::text[] LOOP
    PERFORM set_config('plan_cache_mode', mode, true);
    FOR s IN SELECT * FROM steps ORDER BY position LOOP
      EXECUTE s.change;
      step := s.position;
      change := s.change;
      SELECT count(DISTINCT o.store_id) INTO expected FROM regions r FULL JOIN (SELECT DISTINCT id % 42 AS store_id FROM generate_series(1, 8400) id) o USING (store_id)
      WHERE s.expected = '*' OR o.store_id::text = ANY (string_to_array(s.expected, ',')) OR region = ANY (string_to_array(s.expected, ',')) OR s.expected LIKE '%wide' AND store_id BETWEEN 6 AND 40;
      PERFORM set_config('role', 'regress_kpi_clerk', true);
      FOR i IN 1..7 LOOP
        EXECUTE 'EXECUTE q' INTO prepared;
        EXECUTE 'EXECUTE m' INTO measure;
        EXIT WHEN mode <> 'auto' OR step > 1;
      END LOOP;
      plpgsql := cached();
      cursor := opened();
      PERFORM set_config('role', 'none', true);
      RETURN NEXT;
    END LOOP;
  END LOOP;
END $$;
PREPARE q AS SELECT count(DISTINCT store_id) FROM shop.orders;
PREPARE m AS SELECT measure(stores) FROM bi.sales;
CREATE TEMP TABLE seen AS SELECT * FROM race();
SELECT step, change, expected, count(*) AS modes, bool_and((prepared, measure, plpgsql, cursor) = (expected, expected, expected, expected)) AS as_expected FROM seen GROUP BY 1, 2, 3 ORDER BY 1;
-- those that differ
SELECT * FROM seen WHERE (prepared, measure, plpgsql, cursor) IS DISTINCT FROM (expected, expected, expected, expected);
-- the same over roles: SET ROLE and SET SESSION AUTHORIZATION, back and forth, within one generic plan
SET plan_cache_mode = force_generic_plan;
SET ROLE regress_kpi_east; EXECUTE q; EXECUTE m; SELECT cached();
SET ROLE regress_kpi_clerk; EXECUTE q; EXECUTE m; SELECT cached();
SET SESSION AUTHORIZATION regress_kpi_wide; EXECUTE q; EXECUTE m; SELECT cached();
SET SESSION AUTHORIZATION regress_kpi_none; EXECUTE q; EXECUTE m; SELECT cached();
RESET SESSION AUTHORIZATION; EXECUTE q; SELECT cached();
-- B1: one plan, executed by a definer between two executions by the caller
CREATE FUNCTION as_east() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS 'DECLARE n bigint; BEGIN EXECUTE ''EXECUTE q'' INTO n; RETURN n; END';
ALTER FUNCTION as_east OWNER TO regress_kpi_east;
SET ROLE regress_kpi_clerk;
EXECUTE q; SELECT as_east(), cached(); EXECUTE q;
RESET ROLE;
-- B4: a grant that is rolled back, or rolled back to a savepoint, was never there
BEGIN;
SELECT grant_scope('regress_kpi_clerk', 'store', members => '{1,2}');
SAVEPOINT s;
SELECT grant_scope('regress_kpi_clerk', 'store', members => '{3}');
SET LOCAL ROLE regress_kpi_clerk; EXECUTE q; SELECT cached();
ROLLBACK TO s;
SET LOCAL ROLE regress_kpi_clerk; EXECUTE q; SELECT cached();
ROLLBACK;
SET ROLE regress_kpi_clerk; EXECUTE q; SELECT cached(); RESET ROLE;
-- S1: a scope that ends: the time is in the plan, in every shape; the plan of before is of use after
SELECT grant_scope('regress_kpi_none', 'store', members => '{1,2}', valid_until => '2100-01-01 00:00+00'), grant_scope('regress_kpi_none', 'store', members => '{2,3}');
SET TIME ZONE 'UTC';
SET datestyle = 'ISO';
SELECT plan('regress_kpi_none', 'SELECT * FROM orders');
SELECT grant_scope('regress_kpi_none', 'store', members => '{*}', valid_until => '2099-01-01 00:00+00');
SELECT plan('regress_kpi_none', 'SELECT * FROM days');
SELECT revoke_scope('regress_kpi_none', 'store');
SELECT grant_scope('regress_kpi_none', 'store', members => '{*}', valid_until => statement_timestamp() + '2 s'), grant_scope('regress_kpi_none', 'store', members => '{1,2}', valid_until => statement_timestamp() + '3 s');
SET ROLE regress_kpi_none;
EXECUTE q; EXECUTE m; SELECT cached(), (SELECT count(*) FILTER (WHERE kpi.in_scope(dimension, k)) FROM names, generate_series(1, 50) k) AS at_run_time;
SELECT pg_sleep_until(min(valid_until)) FROM my_scope();
EXECUTE q; EXECUTE m; SELECT cached(), (SELECT count(*) FILTER (WHERE kpi.in_scope(dimension, k)) FROM names, generate_series(1, 50) k) AS at_run_time;
SELECT pg_sleep_until(min(valid_until)) FROM my_scope();
EXECUTE q; EXECUTE m; SELECT cached(), (SELECT count(*) FILTER (WHERE kpi.in_scope(dimension, k)) FROM names, generate_series(1, 50) k) AS at_run_time;
RESET ROLE;

DEALLOCATE ALL;
DROP SCHEMA shop, bi CASCADE;
SELECT drop_dimension FROM (VALUES ('store'), ('channel')) v(d), LATERAL kpi.drop_dimension(d);
DROP ROLE regress_kpi_owner, regress_kpi_cfo, regress_kpi_east, regress_kpi_clerk, regress_kpi_wide, regress_kpi_none;
