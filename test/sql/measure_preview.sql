-- Previews never fail (M10): rows without aggregation show what they add to an additive measure, so that a client that
-- sums an extract gets the governed total; other measures show NULL. kpitables.ungrouped chooses otherwise.
\getenv abs_srcdir PG_ABS_SRCDIR
\set mart :abs_srcdir '/data/mart.sql'
\i :mart

-- M10: a first look
SELECT * FROM sales ORDER BY id LIMIT 3;
SELECT "$Table"."region" AS "region", "$Table"."revenue" AS "revenue", substring("$Table"."city", 1, 1234), aov FROM mart.sales "$Table" WHERE id > 8 ORDER BY "$Table".id LIMIT 3;
-- M10: what a row adds, for every additive measure; a row outside the metric's WHERE adds nothing
SELECT same('SELECT id, revenue, orders_paid, units, web_revenue, buyers, median, top, print, channels, aov, lift FROM sales',
            $$SELECT id, CASE WHEN status = 'paid' THEN coalesce(amount, 0) - refund END, CASE WHEN status = 'paid' THEN 1::bigint ELSE 0 END, qty::bigint,
                     CASE WHEN status = 'paid' AND channel = 'web' THEN coalesce(amount, 0) - refund END,
                     NULL::bigint, NULL::float8, NULL::numeric, NULL::bigint, NULL::text, NULL::numeric, NULL::numeric FROM orders$$);
-- M10: the sum of an extract is the governed total, by any client's group, for all additive shapes
SELECT create_metric('mart.mix', $$ SELECT -sum(refund) * 2 + coalesce(sum(amount) FILTER (WHERE qty > 1), 0) - (3 * count(qty))::numeric FROM mart.orders WHERE status <> 'void' $$),
       create_metric('mart.cast_sum', 'SELECT sum(qty)::numeric + count(*) FROM mart.orders');
SELECT alter_metric_view('mart.sales', add_metrics => '{mart.mix, mart.cast_sum}');
SELECT name, additivity FROM kpi.metrics WHERE schema = 'mart' ORDER BY 2, 1;
CREATE TABLE extract AS SELECT * FROM sales;
SELECT same('SELECT region, measure(revenue), measure(orders_paid), measure(units), measure(web_revenue), measure(mix), measure(cast_sum) FROM sales GROUP BY ROLLUP (1)',
            'SELECT region, sum(revenue), sum(orders_paid)::bigint, sum(units)::bigint, sum(web_revenue), sum(mix), sum(cast_sum) FROM extract GROUP BY ROLLUP (1)');
SELECT same('SELECT measure(revenue), measure(orders_paid) FROM sales WHERE status = ''void''', 'SELECT sum(revenue), sum(orders_paid)::bigint FROM extract WHERE status = ''void''');

-- M10, B8: what rounds or has no sum is not additive: products of money and interval, sums of reals that are cast, infinity
CREATE TABLE tills (id int, price money, took interval, weight real, amount numeric, pieces int);
INSERT INTO tills SELECT i, (i * 1.01)::numeric::money, i * interval '1 month 1 day 1.000001 s', i * 0.1, i - 5, i FROM generate_series(1, 10) i;
SELECT create_metric('mart.' || name, format('SELECT %s FROM mart.tills', definition))
  FROM (VALUES ('cash', 'sum(price)'), ('cash_twice', 'sum(price) * 2'), ('cash_minus', '-(3 * sum(price::numeric)) - sum(pieces)'), ('cash_third', 'sum(price) * 0.333'),
               ('cash_real', 'sum(price) * 0.5::real'), ('third_cash', '0.333::float8 * sum(price)'), ('cash_whole', 'sum(price) * 2.0'), ('cash_list', 'sum(pieces::smallint) * ''$0.07''::money'),
               ('cash_weight', '''$0.07''::money * sum(weight)'), ('lasted', 'sum(took)'), ('lasted_twice', 'sum(took) * 2'), ('lasted_half', '0.5 * sum(took)'),
               ('lasted_pieces', 'sum(pieces) * interval ''1.5 s'''), ('lasted_third', '-(sum(took) * (1::float8 * 0.3))'), ('heavy', 'sum(weight)'), ('heavy_double', 'sum(weight)::float8'),
               ('endless', 'sum(amount) * ''Infinity''::numeric'), ('endless_float', 'sum(amount::float8) * ''-inf'''), ('no_number', 'sum(amount) * ''NaN'''),
               ('unknown', 'sum(amount) * NULL::numeric'), ('tiny', 'sum(amount) * 1e-30'), ('tiny_float', 'sum(amount::float8) * 0.25')) AS m (name, definition);
SELECT additivity, string_agg(name, ', ' ORDER BY name) AS metrics FROM kpi.metrics WHERE source = 'mart.tills'::regclass GROUP BY 1 ORDER BY 1;
SELECT create_metric_view('mart.till', '{id}', array_agg('mart.' || name ORDER BY name)) FROM kpi.metrics WHERE source = 'mart.tills'::regclass;
-- and every additive one sums up, of any extract
SELECT format('SELECT same(%L, %L)', 'SELECT ' || string_agg(format('measure(%I)', name), ', ' ORDER BY name) || ' FROM till',
              'SELECT ' || string_agg(format('sum(%I)', name), ', ' ORDER BY name) || ' FROM (SELECT * FROM till) x') FROM kpi.metrics WHERE source = 'mart.tills'::regclass AND additivity = 'additive' \gexec

-- M10: in expressions, ORDER BY, WHERE, joins, window queries that do not touch it, subqueries, VALUES, IN, ARRAY
SELECT same($$SELECT id, round(revenue) + 1, coalesce(aov, -1), revenue > 50 FROM sales WHERE revenue > 40 AND aov IS NULL ORDER BY revenue DESC, id LIMIT 5$$,
            $$SELECT id, round(amount - refund) + 1, -1::numeric, amount - refund > 50 FROM orders WHERE status = 'paid' AND coalesce(amount, 0) - refund > 40 ORDER BY coalesce(amount, 0) - refund DESC, id LIMIT 5$$);
SELECT same($$SELECT x.id, x.revenue, (SELECT v + 1 FROM (VALUES (x.revenue)) AS y(v)), row_number() OVER (ORDER BY x.id) FROM (SELECT * FROM sales LIMIT ALL) x JOIN orders o ON o.id = x.id AND o.amount = x.revenue
              WHERE x.revenue IN (SELECT revenue FROM sales WHERE channel = 'web') AND x.revenue = ANY (ARRAY(SELECT revenue FROM sales))$$,
            $$SELECT id, amount, amount + 1, row_number() OVER (ORDER BY id) FROM orders WHERE status = 'paid' AND refund = 0 AND amount IN
              (SELECT amount - refund FROM orders WHERE status = 'paid' AND channel = 'web')$$);
SELECT same('SELECT id, revenue FROM (SELECT * FROM sales UNION ALL SELECT * FROM sales) u', 'SELECT id, revenue FROM extract UNION ALL SELECT id, revenue FROM extract');
SELECT same('SELECT sum(r) FROM (SELECT revenue AS r FROM sales OFFSET 0) x GROUP BY ()', 'SELECT {revenue} FROM orders');
-- C2: nothing asked for, nothing planned: types are there
SELECT * FROM sales WHERE 1 = 0;
SELECT revenue, aov, channels FROM sales LIMIT 0;
SELECT TRUE AS "_" FROM sales WHERE 1 <> 1 LIMIT 0;
EXPLAIN (COSTS OFF) SELECT revenue, lift FROM sales WHERE 1 = 0;
EXPLAIN (VERBOSE, COSTS OFF) SELECT region FROM (SELECT * FROM sales) x;

-- C6: whole rows, alone, beside measures, through views, functions and outer joins
SELECT s FROM sales s ORDER BY id LIMIT 1;
SELECT same('SELECT (s).id, (s).revenue, s.*, s::text FROM sales s', 'SELECT (e).id, (e).revenue, e.id, e.day, e.month, e.region, e.city, e.channel, e.list, e.customer, e.status, e.qty, e.revenue, e.orders_paid,
             e.buyers, e.median, e.top, e.units, e.print, e.channels, e.aov, e.lift, e.web_revenue, e.mix, e.cast_sum, e::text FROM extract e');
SELECT same('SELECT row_to_json(s)::text, to_jsonb(s) ->> ''revenue'', (not (s is null))::text, s IS NOT NULL FROM sales s', 'SELECT row_to_json(s)::text, to_jsonb(s) ->> ''revenue'', (not (s is null))::text, s IS NOT NULL FROM extract s');
SELECT same('SELECT count(s), json_agg(s.region) IS NOT NULL, count(s.*) FROM sales s', 'SELECT count(s), true, count(*) FROM extract s');
SELECT same('SELECT region, measure(revenue), count(s), md5(json_agg(s ORDER BY id)::text), measure(aov) FROM sales s GROUP BY region', 'SELECT region, {revenue}, (SELECT count(*) FROM extract e WHERE e.region IS NOT DISTINCT FROM o.region),
             (SELECT md5(json_agg(e ORDER BY id)::text) FROM extract e WHERE e.region IS NOT DISTINCT FROM o.region), {aov} FROM orders o GROUP BY region');
CREATE VIEW narrow AS SELECT region, revenue, aov, id FROM sales;
CREATE TABLE extract_narrow AS SELECT region, revenue, aov, id FROM extract;
SELECT same('SELECT g, n, n IS NULL, (n).aov, to_json(n)::text FROM generate_series(238, 242) g LEFT JOIN narrow n ON n.id = g', 'SELECT g, n, n IS NULL, (n).aov, to_json(n)::text FROM generate_series(238, 242) g LEFT JOIN extract_narrow n ON n.id = g');
SELECT same('SELECT g > 240, measure(n.revenue), count(n), json_agg(n)::text FROM generate_series(239, 242) g LEFT JOIN narrow n ON n.id = g GROUP BY 1',
            'SELECT g > 240, sum(n.revenue), count(n), json_agg(n)::text FROM generate_series(239, 242) g LEFT JOIN extract_narrow n ON n.id = g GROUP BY 1');
SELECT same('SELECT a, b FROM narrow a FULL JOIN narrow b ON a.id = b.id + 1 WHERE coalesce(a.id, b.id) IN (1, 2, 240)', 'SELECT a, b FROM extract_narrow a FULL JOIN extract_narrow b ON a.id = b.id + 1 WHERE coalesce(a.id, b.id) IN (1, 2, 240)');
SELECT same('WITH c AS MATERIALIZED (SELECT * FROM narrow) SELECT c, (SELECT measure(aov) FROM c) FROM c', 'SELECT c, (SELECT {aov} FROM orders) FROM extract_narrow c');
SELECT same('SELECT (SELECT to_json(n)::text) FROM narrow n', 'SELECT to_json(n)::text FROM extract_narrow n');
SELECT same('SELECT region, (SELECT (SELECT count(s)) FROM orders LIMIT 1) FROM sales s GROUP BY region', 'SELECT region, count(*) FROM orders GROUP BY region');

-- M10: cursors of every kind, COPY, CTAS, SELECT INTO, INSERT, UPDATE, MERGE, materialized views
BEGIN;
DECLARE s SCROLL CURSOR FOR SELECT id, revenue, aov FROM sales ORDER BY id;
FETCH 2 FROM s;
FETCH BACKWARD 1 FROM s;
FETCH LAST FROM s;
FETCH ABSOLUTE 3 FROM s;
DECLARE h NO SCROLL CURSOR WITH HOLD FOR SELECT region, measure(orders_paid) AS n, measure(aov)::numeric(9,3) AS aov FROM sales GROUP BY region ORDER BY region;
DECLARE b BINARY CURSOR FOR SELECT revenue FROM sales;
MOVE FORWARD ALL IN b;
COMMIT;
FETCH ALL FROM h;
CLOSE h;
COPY (SELECT id, region, revenue, aov FROM sales WHERE id < 4 ORDER BY id) TO STDOUT (FORMAT csv, HEADER);
COPY (SELECT region, measure(orders_paid) FROM sales GROUP BY region ORDER BY region) TO STDOUT;
CREATE TABLE kept AS SELECT region, measure(revenue) AS revenue, sum(aov) AS aov FROM sales GROUP BY region WITH NO DATA;
INSERT INTO kept SELECT region, measure(revenue), measure(aov) FROM sales GROUP BY region;
SELECT region, revenue AS governed INTO kept_too FROM sales;
SELECT same('SELECT * FROM kept', 'SELECT region, {revenue}, {aov} FROM orders GROUP BY region'), same('SELECT * FROM kept_too', 'SELECT region, revenue FROM extract');
UPDATE kept k SET revenue = (SELECT measure(revenue) + 1 FROM sales s WHERE s.region = k.region), aov = x.aov FROM (SELECT region, measure(aov) * 2 AS aov FROM sales GROUP BY 1) x WHERE x.region = k.region;
SELECT same('SELECT * FROM kept', 'SELECT region, {revenue} + (region IS NOT NULL)::int, {aov} * CASE WHEN region IS NULL THEN 1 ELSE 2 END FROM orders GROUP BY region');
MERGE INTO kept k USING (SELECT city, measure(revenue) AS r FROM sales WHERE region = 'East' GROUP BY city) s ON k.region = s.city WHEN NOT MATCHED THEN INSERT VALUES (s.city, s.r, NULL) WHEN MATCHED THEN DO NOTHING;
MERGE INTO kept k USING sales s ON k.region = s.id::text WHEN NOT MATCHED AND s.id < 3 THEN INSERT VALUES (s.id, s.revenue, s.aov);
MERGE INTO kept k USING sales s ON k.region = s.id::text WHEN MATCHED AND s.revenue > 0 THEN UPDATE SET revenue = s.revenue * 2;
SELECT same('SELECT * FROM kept WHERE region IN (SELECT city FROM orders) OR region ~ ''^\d''', 'SELECT city, {revenue}, NULL::numeric FROM orders WHERE region = ''East'' GROUP BY city
             UNION ALL SELECT id::text, (amount - refund) * 2, NULL FROM orders WHERE id < 3');
DELETE FROM kept k USING sales s WHERE s.id::text = k.region AND s.revenue > 0;
SELECT count(*) FILTER (WHERE region ~ '^\d') AS left_over FROM kept;
CREATE MATERIALIZED VIEW monthly AS SELECT month, channel, measure(aov) AS aov, measure(buyers) AS buyers FROM sales GROUP BY 1, 2;
CREATE MATERIALIZED VIEW all_rows AS SELECT * FROM sales WITH NO DATA;
CREATE UNIQUE INDEX ON monthly (month, channel);
UPDATE orders SET amount = amount + 1 WHERE id % 2 = 0;
REFRESH MATERIALIZED VIEW CONCURRENTLY monthly;
REFRESH MATERIALIZED VIEW all_rows;
SELECT same('TABLE monthly', $$SELECT date_trunc('month', day)::date, channel, {aov}, {buyers} FROM orders GROUP BY 1, 2$$), same('SELECT sum(revenue), count(aov) FROM all_rows', 'SELECT {revenue}, 0::bigint FROM orders');

-- M10: kpitables.ungrouped
SET kpitables.ungrouped = 'null';
SELECT same('SELECT id, revenue, orders_paid, aov FROM sales', 'SELECT id, NULL::numeric, NULL::bigint, NULL::numeric FROM orders');
SELECT same('SELECT count(s), measure(revenue) FROM sales s', 'SELECT count(*), {revenue} FROM orders');
SELECT count(*) FROM (SELECT id FROM sales WHERE revenue > 0) t;
SET kpitables.ungrouped = error;
SELECT refusal('SELECT * FROM sales LIMIT 1');
SELECT refusal('SELECT id FROM sales ORDER BY aov');
SELECT refusal('SELECT s FROM sales s');
SELECT refusal('SELECT region FROM orders WHERE amount IN (SELECT revenue FROM sales)');
SELECT same('SELECT x.region, measure(revenue), count(*) FROM (SELECT * FROM sales) x WHERE EXISTS (SELECT * FROM sales s WHERE s.id = x.id) GROUP BY 1', 'SELECT region, {revenue}, count(*) FROM orders GROUP BY 1');
SELECT same('SELECT region, id FROM (SELECT * FROM sales) x', 'SELECT region, id FROM orders');
RESET kpitables.ungrouped;
SET kpitables.ungrouped = sometimes;
SELECT id, revenue, aov FROM sales WHERE id = 2 FOR UPDATE;

DROP SCHEMA mart CASCADE;
