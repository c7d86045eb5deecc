-- A2, A5, A8, A9, D13: the rewriting loses no check. Columns that it adds are checked against whoever reads the source,
-- hidden rows stay hidden from measures, filters and leaky functions, and a stranger's hand-made view gives nothing.
\getenv abs_srcdir PG_ABS_SRCDIR
\set mart :abs_srcdir '/data/mart.sql'
\i :mart
\set ECHO none
CREATE ROLE regress_kpi_owner;
CREATE ROLE regress_kpi_east;
CREATE ROLE regress_kpi_west;
CREATE ROLE regress_kpi_stranger;
GRANT ALL ON SCHEMA mart TO regress_kpi_owner;
GRANT SELECT ON formulas TO PUBLIC;
GRANT USAGE ON SCHEMA mart TO regress_kpi_east, regress_kpi_west, regress_kpi_stranger;
ALTER TABLE orders OWNER TO regress_kpi_owner;
SELECT format('ALTER VIEW %s OWNER TO regress_kpi_owner', oid::regclass) FROM pg_class WHERE relnamespace = 'mart'::regnamespace AND relkind = 'v' \gexec
\set ECHO all

-- A5: no grant, no number, in whatever form; a grant on the metric view is enough, and gives no more than that
SET ROLE regress_kpi_stranger;
SELECT q AS query, split_part(refusal(q), E'\n', 1) AS answer FROM (VALUES ('SELECT measure(revenue) FROM sales'), ('SELECT region FROM sales'), ('SELECT count(*) FROM sales'), ('SELECT * FROM sales LIMIT 1'),
  ('SELECT s FROM sales s'), ('SELECT 1 WHERE EXISTS (SELECT measure(aov) FROM sales)'), ('TABLE revenue'), ('TABLE web_revenue'), ('SELECT explain_measure(''SELECT measure(revenue) FROM mart.sales'')')) v(q);
RESET ROLE;
GRANT SELECT ON sales TO regress_kpi_stranger;
SET ROLE regress_kpi_stranger;
SELECT same('SELECT region, {measured} FROM sales WHERE city <> ''Ulm'' GROUP BY region', 'SELECT ''x''') LIKE 'DIFFERENT: measured {"(%' AS granted;
SELECT q AS query, split_part(refusal(q), E'\n', 1) AS answer FROM (VALUES ('SELECT amount FROM orders'), ('TABLE revenue'), ('SELECT sum(amount) FROM orders')) v(q);
RESET ROLE;
REVOKE SELECT ON sales FROM regress_kpi_stranger;
-- A5: column grants: by name, in filters, in whole rows, and through views
GRANT SELECT (region, revenue) ON sales TO regress_kpi_stranger;
SET ROLE regress_kpi_stranger;
SELECT q AS query, split_part(refusal(q), E'\n', 1) AS answer FROM (VALUES ('SELECT measure(revenue) FROM sales WHERE region = ''East'''), ('SELECT region, sum(revenue) FROM sales GROUP BY 1 HAVING sum(revenue) > 2000'), ('SELECT count(*) FROM sales'),
  ('SELECT measure(aov) FROM sales'), ('SELECT measure(revenue) FROM sales WHERE city = ''Ulm'''), ('SELECT measure(revenue) FILTER (WHERE city = ''Ulm'') FROM sales'), ('SELECT sum(CASE WHEN qty > 1 THEN revenue END) FROM sales'),
  ('SELECT s FROM sales s'), ('SELECT * FROM sales'), ('SELECT 1 FROM sales GROUP BY region HAVING measure(units) > 1'), ('SELECT measure(revenue) FROM (SELECT revenue FROM sales) x'), ('SELECT measure(revenue) FROM (SELECT * FROM sales) x')) v(q);
RESET ROLE;
REVOKE SELECT (region, revenue) ON sales FROM regress_kpi_stranger;

-- A5, A8: what is added is checked against the owner of the view that reads it
GRANT SELECT ON sales TO regress_kpi_east;
ALTER VIEW sales OWNER TO regress_kpi_west;
SET ROLE regress_kpi_east;
SELECT refusal('SELECT region, measure(units) FROM sales GROUP BY region');
RESET ROLE;
GRANT SELECT (id, day, region, city, channel, list, customer, status, qty) ON orders TO regress_kpi_west;  -- all that the metric view itself reads
SET ROLE regress_kpi_east;
SELECT refusal('SELECT region, measure(units) FROM sales GROUP BY region');
RESET ROLE;
GRANT SELECT ON units, median, revenue TO regress_kpi_west;
SET ROLE regress_kpi_east;
SELECT refusal('SELECT measure(units) FROM sales') AS granted, refusal('SELECT region, measure(median) FROM sales GROUP BY region') AS no_column, refusal('SELECT region FROM sales ORDER BY revenue LIMIT 1') AS no_column_in_preview,
       refusal('SELECT measure(print) FROM sales') AS no_metric;
RESET ROLE;
REVOKE ALL (id, day, region, city, channel, list, customer, status, qty) ON orders FROM regress_kpi_west;
REVOKE ALL ON orders, units, median, revenue FROM regress_kpi_west;
ALTER VIEW sales OWNER TO regress_kpi_owner;
-- A8: a component of a derived metric counts, too
ALTER VIEW aov OWNER TO regress_kpi_west;
GRANT SELECT ON aov TO regress_kpi_owner;
SELECT split_part(refusal('SELECT measure(aov) FROM sales'), E'\n', 1) AS component_not_granted;
GRANT SELECT ON revenue, orders_paid TO regress_kpi_west;
SELECT same('SELECT measure(aov) FROM sales', 'SELECT {aov} FROM orders');
ALTER VIEW aov OWNER TO regress_kpi_owner;
REVOKE ALL ON revenue, orders_paid FROM regress_kpi_west;

-- A8: row security of the source as the owner of the view that reads it; as the caller for security_invoker
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_region ON orders USING ('regress_kpi_' || lower(region) = current_user);
GRANT SELECT ON sales TO regress_kpi_east, regress_kpi_west;
CREATE VIEW plain_orders AS SELECT * FROM orders;
ALTER VIEW plain_orders OWNER TO regress_kpi_owner;
GRANT SELECT ON plain_orders TO PUBLIC;
SET ROLE regress_kpi_east;
SELECT same('SELECT region, {measured} FROM sales GROUP BY region', 'SELECT region, {written} FROM plain_orders GROUP BY region') AS owner_sees_all;
RESET ROLE;
ALTER TABLE orders FORCE ROW LEVEL SECURITY;
SET ROLE regress_kpi_east;
SELECT same('SELECT count(*), {measured} FROM sales', 'SELECT count(*), {written} FROM plain_orders') AS owner_obeys, refusal('SELECT count(*), measure(revenue) FROM sales') AS governed;
RESET ROLE;
ALTER VIEW sales SET (security_invoker = true);
SET ROLE regress_kpi_east;
SELECT refusal('SELECT measure(revenue) FROM sales');
RESET ROLE;
GRANT SELECT ON orders TO regress_kpi_east, regress_kpi_west;
SET ROLE regress_kpi_east;
SELECT refusal('SELECT measure(revenue) FROM sales');
RESET ROLE;
GRANT SELECT ON revenue, orders_paid, buyers, median, top, units, print, channels, aov, lift, web_revenue TO regress_kpi_east, regress_kpi_west;
SET ROLE regress_kpi_east;
SELECT same('SELECT region, {measured} FROM sales GROUP BY ROLLUP (region)', 'SELECT region, {written} FROM orders GROUP BY ROLLUP (region)') AS east, same('SELECT region, id, revenue, aov FROM sales', $$SELECT region, id,
       CASE WHEN status = 'paid' THEN coalesce(amount, 0) - refund END, NULL::numeric FROM orders WHERE region = 'East'$$) AS rows;
SELECT same('SELECT region, measure(lift) FROM sales GROUP BY 1', explain_measure('SELECT region, measure(lift) FROM sales GROUP BY 1')) AS explained;
SET ROLE regress_kpi_west;
SELECT same('SELECT region, {measured} FROM sales GROUP BY ROLLUP (region)', 'SELECT region, {written} FROM orders GROUP BY ROLLUP (region)') AS west, (SELECT count(DISTINCT region) FROM sales) AS regions;
SET ROLE regress_kpi_stranger;
SELECT refusal('SELECT measure(revenue) FROM sales');
RESET ROLE;
-- A8: a view above: its owner reads the metric view, and if it is security_invoker, the caller does
CREATE VIEW above AS SELECT * FROM sales;
CREATE VIEW above_invoker WITH (security_invoker) AS SELECT * FROM above;
ALTER VIEW above OWNER TO regress_kpi_west;
GRANT SELECT ON above, above_invoker TO regress_kpi_east;
SET ROLE regress_kpi_east;
SELECT same('SELECT region, measure(revenue) FROM above GROUP BY 1', 'SELECT region, {revenue} FROM orders GROUP BY 1') AS invoker_all_the_way, same('SELECT region, measure(aov) FROM above_invoker GROUP BY 1', 'SELECT region, {aov} FROM orders GROUP BY 1') AS through;
RESET ROLE;
-- A9: in a SECURITY DEFINER function it is the function's owner who reads
CREATE FUNCTION east_regions() RETURNS TABLE (region text, revenue numeric) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = mart, kpi AS 'SELECT region, measure(revenue) FROM sales GROUP BY region';
ALTER FUNCTION east_regions OWNER TO regress_kpi_east;
CREATE FUNCTION my_regions() RETURNS TABLE (region text, revenue numeric) LANGUAGE sql STABLE AS 'SELECT region, kpi.measure(revenue) FROM mart.sales GROUP BY region';
SET ROLE regress_kpi_west;
SELECT (SELECT array_agg(DISTINCT region) FROM east_regions()) AS definer, (SELECT array_agg(DISTINCT region) FROM my_regions()) AS invoker;
RESET ROLE;
-- B1: one plan, several roles
SET plan_cache_mode = force_generic_plan;
PREPARE by_role AS SELECT region, measure(orders_paid) AS orders FROM sales GROUP BY region;
SET ROLE regress_kpi_east; EXECUTE by_role;
SET ROLE regress_kpi_west; EXECUTE by_role;
SET ROLE regress_kpi_stranger; EXECUTE by_role;
RESET ROLE;
SET SESSION AUTHORIZATION regress_kpi_east; EXECUTE by_role; SELECT * FROM my_regions();
SET SESSION AUTHORIZATION regress_kpi_west; EXECUTE by_role; SELECT * FROM my_regions();
RESET SESSION AUTHORIZATION;
RESET plan_cache_mode;

-- A1, A2: cheap leaky functions and casts in WHERE, FILTER, CASE, keys and definitions see no hidden row
CREATE FUNCTION f_leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN IF $1 IS DISTINCT FROM 'East' THEN RAISE WARNING 'leaked %', $1; END IF; RETURN true; END $$;
ALTER TABLE orders ADD COLUMN code text;
UPDATE orders SET code = CASE WHEN region = 'East' THEN '1' ELSE 'hidden' END;
SELECT create_metric('mart.codes', 'SELECT sum(code::int) FROM mart.orders'), alter_metric_view('mart.sales', add_metrics => '{mart.codes}', add_dimensions => '{code}');
GRANT SELECT ON codes TO regress_kpi_east;
ALTER VIEW codes OWNER TO regress_kpi_owner;
SET ROLE regress_kpi_east;
SELECT measure(orders_paid), measure(codes), count(*) FROM sales WHERE f_leak(region) AND code::int = 1;
SELECT measure(orders_paid) FILTER (WHERE f_leak(region)), sum(CASE WHEN code::int = 1 THEN codes END), count(*) FROM sales;
SELECT f_leak(region), code::int, measure(orders_paid) FROM sales GROUP BY 1, 2 HAVING f_leak(min(region));
SELECT count(*), sum(codes) FROM (SELECT codes, id FROM sales WHERE f_leak(region) OFFSET 0) x;
SELECT count(x), max((x).code::int) FROM sales x WHERE f_leak((SELECT x.region));
SELECT min(to_jsonb(x) ->> 'code') FROM sales x WHERE f_leak((SELECT x.region)) AND f_leak(to_jsonb(x) ->> 'region');
RESET ROLE;
-- A1: a security barrier between reader and metric view holds, also for the columns that are added to it
ALTER TABLE orders DISABLE ROW LEVEL SECURITY;
CREATE VIEW east_only WITH (security_barrier) AS SELECT * FROM sales WHERE region = 'East';
ALTER VIEW east_only OWNER TO regress_kpi_owner;
ALTER VIEW sales RESET (security_invoker);
GRANT SELECT ON east_only TO regress_kpi_stranger;
SET ROLE regress_kpi_stranger;
SELECT measure(orders_paid), measure(codes) FROM east_only WHERE f_leak(region) AND code::int = 1;
SELECT measure(codes) FILTER (WHERE f_leak(region)), count(*) FROM east_only;
-- D13, H4: a stranger's own metrics, metric views and hand-made markers read nothing that he may not read
RESET ROLE;
CREATE SCHEMA regress_kpi_own AUTHORIZATION regress_kpi_stranger;
SET ROLE regress_kpi_stranger;
SELECT refusal($$SELECT kpi.create_metric('regress_kpi_own.r', 'SELECT sum(amount) FROM mart.orders')$$);
SELECT refusal($$SELECT kpi.create_metric_view('regress_kpi_own.v', '{region}', '{mart.revenue}')$$);
CREATE TABLE regress_kpi_own.orders AS SELECT i AS id, 'x'::text AS region FROM generate_series(1, 3) i;
CREATE VIEW regress_kpi_own.fake AS SELECT region, kpi.metric_column('mart.revenue'::regclass, NULL::numeric) AS revenue FROM regress_kpi_own.orders;
SELECT refusal('SELECT measure(revenue) FROM regress_kpi_own.fake');
SELECT refusal('SELECT revenue FROM regress_kpi_own.fake');
CREATE VIEW regress_kpi_own.fake_source AS SELECT region, kpi.metric_column('mart.revenue'::regclass, NULL::numeric) AS revenue FROM mart.orders;
SELECT refusal('SELECT measure(revenue) FROM regress_kpi_own.fake_source');
SELECT refusal('SELECT revenue, region FROM regress_kpi_own.fake_source');
CREATE VIEW regress_kpi_own.fake_sales AS SELECT region, kpi.metric_column('mart.revenue'::regclass, NULL::numeric) AS revenue FROM mart.sales;
SELECT refusal('SELECT measure(revenue) FROM regress_kpi_own.fake_sales');
CREATE VIEW regress_kpi_own.not_a_metric AS SELECT id AS x FROM regress_kpi_own.orders;
CREATE VIEW regress_kpi_own.odd AS SELECT region, kpi.metric_column('regress_kpi_own.not_a_metric'::regclass, NULL::int) AS a, kpi.metric_column('pg_authid'::regclass, NULL::name) AS b, kpi.metric_column(0::regclass, NULL::int) AS c,
  kpi.metric_column(4294967295::regclass, NULL::int) AS d, kpi.metric_column(NULL, NULL::int) AS e, kpi.metric_column(region::regclass, NULL::int) AS f FROM regress_kpi_own.orders;
SELECT c AS column, split_part(refusal(format('SELECT measure(%s) FROM regress_kpi_own.odd', c)), E'\n', 1) AS measured, split_part(refusal(format('SELECT %s FROM regress_kpi_own.odd', c)), E'\n', 1) AS shown FROM unnest('{a,b,c,d,e,f}'::text[]) c;
-- D13: nor with the type that he likes: a marker of another type than the metric's
SELECT kpi.create_metric('regress_kpi_own.n', 'SELECT count(*) FROM regress_kpi_own.orders');
CREATE VIEW regress_kpi_own.wrong AS SELECT region, kpi.metric_column('regress_kpi_own.n'::regclass, NULL::text) AS n, kpi.metric_column('regress_kpi_own.n'::regclass, NULL::point) AS p FROM regress_kpi_own.orders;
SELECT q AS query, split_part(refusal(q), E'\n', 1) AS answer FROM (VALUES ('SELECT measure(n) FROM regress_kpi_own.wrong'), ('SELECT n FROM regress_kpi_own.wrong'), ('SELECT n || ''x'' FROM regress_kpi_own.wrong'),
  ('SELECT measure(p) FROM regress_kpi_own.wrong'), ('SELECT p FROM regress_kpi_own.wrong'), ('SELECT p <-> point ''(0,0)'' FROM regress_kpi_own.wrong'), ('SELECT w FROM regress_kpi_own.wrong w'), ('SELECT sum(n::int) FROM regress_kpi_own.wrong')) v(q);
RESET ROLE;

DROP SCHEMA mart, regress_kpi_own CASCADE;
DROP ROLE regress_kpi_owner, regress_kpi_east, regress_kpi_west, regress_kpi_stranger;
