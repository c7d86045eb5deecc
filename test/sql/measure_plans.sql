-- The plan of a measure query is the plan of the hand-written query, and kpi.explain_measure() writes that query.
-- C7, C8, C10, C14: parallel workers, JIT, deep trees, deparsing.
\getenv abs_srcdir PG_ABS_SRCDIR
\set mart :abs_srcdir '/data/mart.sql'
\i :mart
\set ECHO none
CREATE TABLE facts (day date NOT NULL, shop int NOT NULL, kind text, amount numeric NOT NULL, note text, PRIMARY KEY (shop, day)) PARTITION BY RANGE (day);
CREATE TABLE facts_1 PARTITION OF facts FOR VALUES FROM ('2024-01-01') TO ('2024-04-01');
CREATE TABLE facts_2 PARTITION OF facts FOR VALUES FROM ('2024-04-01') TO ('2024-07-01');
CREATE TABLE facts_3 PARTITION OF facts DEFAULT;
INSERT INTO facts SELECT date '2024-01-01' + i % 240, i / 240, ('{a,b,c}'::text[])[1 + i % 3], i % 101, NULL FROM generate_series(0, 4799) i;
CREATE TABLE shops (shop int PRIMARY KEY, city text);
INSERT INTO shops SELECT i, 'c' || i % 4 FROM generate_series(0, 19) i;
CREATE VIEW shop_facts AS SELECT f.*, s.city FROM facts f LEFT JOIN shops s USING (shop);
ANALYZE facts, shops;
SELECT create_metric('mart.volume', $$ SELECT sum(amount) FROM mart.facts WHERE kind <> 'c' $$), create_metric('mart.n', 'SELECT count(*) FROM mart.facts'),
       create_metric('mart.mean', 'SELECT volume / nullif(n, 0) FROM mart.volume, mart.n'), create_metric('mart.city_volume', 'SELECT sum(amount) FROM mart.shop_facts');
SELECT create_metric_view('mart.f', '{day, shop, kind, note}', '{mart.volume, mart.n, mart.mean}'), create_metric_view('mart.cf', '{day, shop, kind, city}', '{mart.city_volume}');
-- same_plan() compares two plans and shows the one if they are the same
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query;
END $$;
CREATE FUNCTION same_plan(measured text, written text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT unnest(CASE WHEN m = w THEN m ELSE '{DIFFERENT:}' || m || '{---}'::text[] || w END) FROM (SELECT array(SELECT mart.plan_of(measured)) AS m, array(SELECT mart.plan_of(written)) AS w) p $$;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
\set ECHO all

-- an index serves filters on dimensions
SELECT same_plan('SELECT measure(volume), measure(n) FROM f WHERE shop = 7 AND day = ''2024-02-03''', 'SELECT sum(amount) FILTER (WHERE kind <> ''c''), count(*) FROM facts WHERE shop = 7 AND day = ''2024-02-03''');
-- partitions are pruned, filters pushed below the views
SELECT same_plan('SELECT kind, measure(mean) FROM (SELECT * FROM f WHERE day < ''2024-03-01'') x WHERE shop < 3 GROUP BY kind',
                 'SELECT kind, sum(amount) FILTER (WHERE kind <> ''c'') / nullif(count(*), 0)::numeric FROM facts WHERE day < ''2024-03-01'' AND shop < 3 GROUP BY kind');
-- a view's join that nothing needs is removed; one that is needed stays
SELECT same_plan('SELECT kind, measure(city_volume) FROM cf WHERE day >= ''2024-07-01'' GROUP BY 1', 'SELECT kind, sum(amount) FROM facts f WHERE day >= ''2024-07-01'' GROUP BY 1');
SELECT same_plan('SELECT city, measure(city_volume) FROM cf WHERE day < ''2024-04-01'' GROUP BY 1', 'SELECT city, sum(amount) FROM facts f LEFT JOIN shops s USING (shop) WHERE day < ''2024-04-01'' GROUP BY 1');
-- measures that nobody asks for cost nothing
SELECT same_plan('SELECT DISTINCT kind FROM f WHERE day < ''2024-04-01''', 'SELECT DISTINCT kind FROM facts WHERE day < ''2024-04-01''');
SELECT same_plan('SELECT count(*) FROM (SELECT * FROM f WHERE day < ''2024-04-01'') "_"', 'SELECT count(*) FROM facts WHERE day < ''2024-04-01''');
-- parallel, and with the parts of a partitioned aggregate
SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET enable_partitionwise_aggregate = on;
SELECT same_plan('SELECT shop, measure(volume), measure(n) FROM f WHERE day < ''2024-04-01'' GROUP BY shop', 'SELECT shop, sum(amount) FILTER (WHERE kind <> ''c''), count(*) FROM facts WHERE day < ''2024-04-01'' GROUP BY shop');
SELECT same('SELECT shop, measure(volume), measure(n), measure(mean) FROM f GROUP BY shop', 'SELECT shop, sum(amount) FILTER (WHERE kind <> ''c''), count(*), sum(amount) FILTER (WHERE kind <> ''c'') / count(*) FROM facts GROUP BY shop');
SELECT same('SELECT day, measure(n) FROM f GROUP BY day', 'SELECT day, count(*) FROM facts GROUP BY day');
-- C7: all of a statement in a worker
SET force_parallel_mode = on;
SELECT same('SELECT region, {measured} FROM sales GROUP BY ROLLUP (region)', 'SELECT region, {written} FROM orders GROUP BY ROLLUP (region)');
SELECT same('SELECT id, revenue, aov FROM sales', 'SELECT id, CASE WHEN status = ''paid'' THEN coalesce(amount, 0) - refund END, NULL::numeric FROM orders');
SELECT refusal('SELECT measure(qty) FROM sales');
RESET force_parallel_mode;
-- C8: compiled expressions
SET jit = on; SET jit_above_cost = 0; SET jit_inline_above_cost = 0; SET jit_optimize_above_cost = 0;
SELECT same('SELECT region, {measured} FROM sales GROUP BY region', 'SELECT region, {written} FROM orders GROUP BY region');
RESET ALL;
SET search_path = mart, kpi, public; SET client_min_messages = warning; SET datestyle = 'ISO'; SET max_parallel_workers_per_gather = 0; SET jit = off;
-- prepared: a generic plan prunes at run time like plain SQL, and EXPLAIN does not change it (C14)
SET plan_cache_mode = force_generic_plan;
PREPARE fm(int) AS SELECT measure(volume) FROM f WHERE shop = $1;
PREPARE fw(int) AS SELECT sum(amount) FILTER (WHERE kind <> 'c') FROM facts WHERE shop = $1;
SELECT same_plan('EXECUTE fm(3)', 'EXECUTE fw(3)');
EXECUTE fm(3);
EXECUTE fw(3);
RESET plan_cache_mode;

-- C14: everything that a measure query can hold deparses
SELECT q AS query, (SELECT count(*) > 0 FROM plan_of(q)) AS deparses FROM (VALUES
  ('SELECT region, measure(lift) FILTER (WHERE qty > 1), grouping(region) FROM sales GROUP BY ROLLUP (region) HAVING measure(aov) > 1 ORDER BY measure(top)'),
  ('WITH c AS MATERIALIZED (SELECT * FROM sales) SELECT c.region, measure(aov), (SELECT measure(lift) FROM c d WHERE d.city = c.region), count(c) FROM c GROUP BY 1'),
  ('SELECT o.id, x.* FROM orders o LEFT JOIN LATERAL (SELECT channel, measure(aov), measure(median) FROM sales s WHERE s.id = o.id GROUP BY 1) x ON true'),
  ('SELECT s, row_to_json(s) FROM sales s'), ('SELECT sum(measure(revenue)) OVER (PARTITION BY region), sum(CASE city WHEN ''Ulm'' THEN revenue ELSE 0 END) FROM sales GROUP BY region'),
  ('SELECT measure(aov) FROM generate_series(1, 3) g LEFT JOIN sales s ON s.id = g GROUP BY g'), ('INSERT INTO orders SELECT * FROM orders WHERE 1 < (SELECT measure(aov) FROM sales) RETURNING (SELECT measure(revenue) FROM sales)'),
  ('UPDATE orders SET qty = (SELECT measure(units) FROM sales s WHERE s.id = orders.id)'), ('MERGE INTO shops USING (SELECT id, measure(aov) FROM sales GROUP BY 1) s ON s.id = shop WHEN MATCHED THEN DELETE'),
  ('CREATE TABLE x AS SELECT * FROM sales'), ('SELECT * FROM sales UNION ALL SELECT * FROM sales LIMIT (SELECT measure(orders_paid) FROM sales) - 1')) v(q);

-- kpi.explain_measure(): SQL that an expert would have written, which runs and says the same
SELECT explain_measure('SELECT region, measure(aov) AS aov, measure(web_revenue) FILTER (WHERE qty > 1) FROM sales WHERE channel <> ''phone'' GROUP BY region ORDER BY 2 DESC');
CREATE FUNCTION explained(query text) RETURNS text LANGUAGE sql AS $$ SELECT mart.same(query, kpi.explain_measure(query)) $$;
SELECT explained(q) AS answer, q AS query FROM (VALUES
  ('SELECT * FROM sales'), ('SELECT s FROM sales s WHERE id < 9'),
  ('SELECT region, measure(lift), measure(channels), measure(median), sum(CASE WHEN qty > 1 THEN revenue ELSE 0 END) FROM sales GROUP BY ROLLUP (region) HAVING count(*) > 1'),
  ('SELECT x.r, measure(x.m) FILTER (WHERE x.q > 1) FROM (SELECT upper(region) AS r, aov AS m, qty AS q FROM (SELECT * FROM sales WHERE city <> ''Ulm'') y) x GROUP BY 1'),
  ('WITH c AS (SELECT * FROM sales), d AS MATERIALIZED (SELECT region, measure(aov) AS a FROM c GROUP BY 1) SELECT c.region, a, measure(c.revenue) FROM c JOIN d USING (region) GROUP BY 1, 2'),
  ('SELECT city, (SELECT measure(s.aov) FROM sales s WHERE s.city = o.city), measure(o.top) FROM sales o GROUP BY city'),
  ('SELECT shop, s.city, measure(f.volume), measure(n) FROM shops s LEFT JOIN f USING (shop) WHERE f.day < ''2024-02-01'' GROUP BY 1, 2'),
  ('SELECT a.shop, measure(a.mean), measure(b.n) FROM f a FULL JOIN f b ON a.shop = b.shop AND a.day = b.day GROUP BY 1'),
  ('SELECT g, x.a FROM generate_series(1, 3) g CROSS JOIN LATERAL (SELECT measure(aov) AS a FROM sales WHERE qty = g) x'),
  ('SELECT region, rank() OVER (ORDER BY measure(aov)), measure(revenue) / sum(measure(revenue)) OVER () FROM sales GROUP BY 1 ORDER BY 1 LIMIT 3'),
  ('SELECT region, measure(revenue) FROM sales GROUP BY 1 UNION ALL SELECT ''total'', measure(revenue) FROM sales')) v(q);
SELECT explain_measure('SELECT 1 AS one') = ' SELECT 1 AS one' AS plain;
SELECT refusal('SELECT explain_measure(''SELECT 1; SELECT 2'')');
SELECT refusal('SELECT explain_measure(''DROP TABLE mart.orders'')');
SELECT refusal('SELECT explain_measure(''SELECT sum(revenue * id) FROM sales'')');
SELECT explain_measure('UPDATE orders SET qty = 1 WHERE id < (SELECT measure(orders_paid) FROM sales)') LIKE '%UPDATE%count(*) FILTER%' AS changes, (SELECT count(*) FROM orders WHERE qty = 1) AS not_run;

-- C10: as deep as it gets: the value or a clean error, and the server lives
SELECT n, answer LIKE '54001: stack depth limit exceeded%' OR answer = 'NOT REFUSED: {(' || (SELECT measure(revenue) FROM sales) + n || ')}' AS clean
FROM (VALUES (100), (1000), (3000), (10000)) v(n), LATERAL refusal('SELECT measure(revenue)' || repeat(' + 1', n) || ' FROM sales') answer;
SELECT answer LIKE '54001: stack depth limit exceeded%' OR answer = 'NOT REFUSED: {(' || (SELECT measure(orders_paid) FROM sales) || ')}' AS clean
FROM (SELECT 'SELECT measure(orders_paid) FROM ' || repeat('(SELECT * FROM ', 300) || 'sales' || repeat(') x', 300) AS q) q, LATERAL refusal(q) answer;
DO $$ BEGIN
  CREATE VIEW mart.c0 AS SELECT region, aov FROM mart.sales;
  FOR i IN 1..1000 LOOP
    EXECUTE format('CREATE VIEW mart.c%s AS SELECT * FROM mart.c%s', i, i - 1);
  END LOOP;
END $$;
SELECT same('SELECT region, measure(aov) FROM c1000 GROUP BY region', 'SELECT region, {aov} FROM orders GROUP BY region');
SET max_stack_depth = '100kB';
SELECT split_part(refusal('SELECT measure(aov) FROM c1000'), E'\n', 1) AS little_stack;
RESET max_stack_depth;

DROP SCHEMA mart CASCADE;
