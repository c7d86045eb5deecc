-- What a measure means: M1 to M6, M9, and F4, F5, F8. Every value is compared with what an expert writes by hand.
\getenv abs_srcdir PG_ABS_SRCDIR
\set mart :abs_srcdir '/data/mart.sql'
\i :mart

-- M1, M4: the total; all kinds of definition at once; FROM alone and with a condition that nothing meets
SELECT same('SELECT {measured} FROM sales', 'SELECT {written} FROM orders');
SELECT same('SELECT {measured} FROM sales WHERE false', 'SELECT {written} FROM orders WHERE false');
SELECT measure(revenue) AS revenue, measure(orders_paid) AS orders, measure(aov) AS aov, measure(units) AS units,
       measure(buyers) AS buyers, measure(print) AS print FROM sales WHERE region = 'Nowhere';
-- M4: grouped empty input has no groups; HAVING without GROUP BY decides over the one group
SELECT same('SELECT region, {measured} FROM sales WHERE false GROUP BY region', 'SELECT region, {written} FROM orders WHERE false GROUP BY region');
SELECT same('SELECT measure(revenue) FROM sales WHERE city = ''Rom'' HAVING count(1) > 0', 'SELECT {revenue} FROM orders WHERE city = ''Rom'' HAVING count(1) > 0');
SELECT same('SELECT measure(revenue) FROM sales WHERE city = ''Ulm'' HAVING count(1) > 0', 'SELECT {revenue} FROM orders WHERE city = ''Ulm'' HAVING count(1) > 0');
-- M1: groups, WHERE on dimensions, on what is not selected, on expressions
SELECT same('SELECT region, {measured} FROM sales GROUP BY region', 'SELECT region, {written} FROM orders GROUP BY region');
SELECT same($$SELECT month, city, {measured} FROM sales WHERE channel <> 'web' AND day >= '2024-01-20' GROUP BY 2, 1$$,
            $$SELECT date_trunc('month', day)::date, city, {written} FROM orders WHERE channel <> 'web' AND day >= '2024-01-20' GROUP BY 1, 2$$);
SELECT same($$SELECT lower(region) || channel, id % 2 = 0, {measured} FROM sales WHERE customer IN (1, 2, 3, 5, 8) OR region IS NULL GROUP BY 1, 2$$,
            $$SELECT lower(region) || channel, id % 2 = 0, {written} FROM orders WHERE customer IN (1, 2, 3, 5, 8) OR region IS NULL GROUP BY 1, 2$$);
-- M1: the metric's WHERE and the query's are both in force, also where they exclude each other
SELECT same($$SELECT status, {measured} FROM sales GROUP BY status$$, $$SELECT status, {written} FROM orders GROUP BY status$$);
SELECT status, measure(revenue) AS revenue, measure(orders_paid) AS orders FROM sales WHERE status <> 'paid' GROUP BY status ORDER BY 1;
-- M1: what the metric itself says as a view is the total that measures say
SELECT (SELECT * FROM mart.lift) IS NOT DISTINCT FROM (SELECT measure(lift) FROM sales) AS lift,
       (SELECT * FROM mart.web_revenue) IS NOT DISTINCT FROM (SELECT measure(web_revenue) FROM sales) AS web_revenue;

-- M2: each total at its own grain, to the digit; a rollup NULL and a NULL key are different groups
SELECT same('SELECT region, channel, grouping(region, channel), {measured} FROM sales GROUP BY ROLLUP (region, channel)',
            'SELECT region, channel, grouping(region, channel), {written} FROM orders GROUP BY ROLLUP (region, channel)');
SELECT same('SELECT region, city, channel, grouping(region, city, channel), {measured} FROM sales GROUP BY CUBE (region, city, channel)',
            'SELECT region, city, channel, grouping(region, city, channel), {written} FROM orders GROUP BY CUBE (region, city, channel)');
SELECT same('SELECT region, month, channel, {measured} FROM sales GROUP BY GROUPING SETS ((region, month), (channel), (), ())',
            $$SELECT region, date_trunc('month', day)::date, channel, {written} FROM orders GROUP BY GROUPING SETS ((region, 2), (channel), (), ())$$);
SELECT same('SELECT region, {measured} FROM sales WHERE false GROUP BY ROLLUP (region)', 'SELECT region, {written} FROM orders WHERE false GROUP BY ROLLUP (region)');
SELECT region, grouping(region) AS total, measure(orders_paid) AS orders, measure(buyers) AS buyers, measure(aov)::numeric(12,6) AS aov
FROM sales GROUP BY ROLLUP (region) ORDER BY 2, 1;
-- M2: the total row of a rollup is the ungrouped query; F8: it is not the average of the groups' averages
SELECT total = ungrouped AS equal, total = average_of_averages AS averaged FROM
  (SELECT max(aov) FILTER (WHERE g = 1) AS total, avg(aov) FILTER (WHERE g = 0) AS average_of_averages
   FROM (SELECT grouping(region) AS g, measure(aov) AS aov FROM sales GROUP BY ROLLUP (region)) r) a,
  (SELECT measure(aov) AS ungrouped FROM sales) b;

-- M3: FILTER reaches every aggregate of the definition, and goes with the ones that are there
SELECT same($$SELECT region, measure(aov) FILTER (WHERE channel = 'web'), measure(lift) FILTER (WHERE qty > 1), measure(top) FILTER (WHERE city = 'Ulm'), measure(print) FILTER (WHERE id > 90),
                     measure(channels) FILTER (WHERE channel <> 'phone'), measure(web_revenue) FILTER (WHERE month = '2024-02-01'), sum(buyers) FILTER (WHERE qty IS NULL), measure(aov) FROM sales GROUP BY 1$$,
            $$SELECT region, (SELECT {aov} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND channel = 'web'), (SELECT {lift} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND qty > 1), (SELECT {top} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND city = 'Ulm'),
                     (SELECT {print} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND id > 90), (SELECT {channels} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND channel <> 'phone'),
                     (SELECT {web_revenue} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND date_trunc('month', day) = '2024-02-01'), (SELECT {buyers} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND qty IS NULL), {aov} FROM orders o GROUP BY 1$$);
-- M3: a filter may hold subqueries, with measures of their own, and outer references
SELECT same($$SELECT channel, measure(aov) FILTER (WHERE region IN (SELECT region FROM sales GROUP BY region HAVING measure(revenue) > 1500)),
                     sum(CASE WHEN region IN (SELECT region FROM sales GROUP BY region HAVING measure(revenue) > 1500) THEN revenue END) FROM sales GROUP BY 1$$,
            $$WITH top AS (SELECT region FROM orders GROUP BY region HAVING {revenue} > 1500)
              SELECT channel, (SELECT {aov} FROM orders i WHERE i.channel = o.channel AND region IN (TABLE top)), (SELECT {revenue} FROM orders i WHERE i.channel = o.channel AND region IN (TABLE top)) FROM orders o GROUP BY 1$$);

-- M5: a derived metric is made of its components at the group, to any depth
SELECT same('SELECT city, measure(aov), measure(revenue) / nullif(measure(orders_paid), 0) FROM sales GROUP BY 1', 'SELECT city, {aov}, {aov} FROM orders GROUP BY 1');
DO $$ BEGIN
  PERFORM create_metric('mart.d0', 'SELECT sum(amount) FROM mart.orders');
  FOR i IN 1..60 LOOP
    PERFORM create_metric('mart.d' || i, format('SELECT d%s + 1 FROM mart.d%s', i - 1, i - 1));
  END LOOP;
END $$;
SELECT create_metric_view('mart.deep', '{region}', '{mart.d60}');
SELECT same('SELECT region, measure(d60) FROM deep GROUP BY 1', 'SELECT region, sum(amount) + 60 FROM orders GROUP BY 1');
-- M5: a cycle is an error that names it, for whoever makes it and however
SELECT refusal($$SELECT alter_metric('mart.d0', 'SELECT d3 - 3 FROM mart.d3')$$);
CREATE OR REPLACE VIEW mart.d0 AS SELECT d3 - 3 AS d0 FROM mart.d3;
SELECT refusal('SELECT measure(d60) FROM deep');
CREATE OR REPLACE VIEW mart.d0 AS SELECT sum(amount) AS d0 FROM mart.orders;
SELECT same('SELECT measure(d60) FROM deep', 'SELECT sum(amount) + 60 FROM orders');

-- M6: a measure passes unevaluated through subqueries, CTEs and views, however deep, with their filters
SELECT same($$SELECT r, {measured} FROM (SELECT upper(region) AS r, x.* FROM (SELECT * FROM (SELECT * FROM sales WHERE channel <> 'shop') "_" WHERE day < '2024-03-10') x) "rows" WHERE city <> 'Ulm' GROUP BY r$$,
            $$SELECT upper(region), {written} FROM orders WHERE channel <> 'shop' AND day < '2024-03-10' AND city <> 'Ulm' GROUP BY 1$$);
SELECT same($$WITH c AS (SELECT * FROM sales WHERE qty > 0) SELECT region, {measured} FROM c GROUP BY 1$$, $$SELECT region, {written} FROM orders WHERE qty > 0 GROUP BY 1$$);
SELECT same($$WITH c AS MATERIALIZED (SELECT * FROM sales WHERE qty > 0) SELECT region, {measured} FROM c GROUP BY 1$$, $$SELECT region, {written} FROM orders WHERE qty > 0 GROUP BY 1$$);
SELECT same($$WITH a AS (SELECT region, channel, aov, revenue AS money FROM sales), b AS (SELECT * FROM a WHERE channel = 'web')
              SELECT region, (SELECT measure(aov) FROM b), measure(money), (SELECT count(*) FROM b WHERE b.region = a.region) FROM a GROUP BY region$$,
            $$SELECT region, (SELECT {aov} FROM orders WHERE channel = 'web'), {revenue}, (SELECT count(*) FROM orders b WHERE b.region = a.region AND channel = 'web') FROM orders a GROUP BY region$$);
SELECT same($$WITH c AS MATERIALIZED (SELECT * FROM sales), d AS MATERIALIZED (SELECT region, measure(aov) AS aov FROM c GROUP BY 1)
              SELECT c.region, d.aov, measure(c.revenue), (SELECT count(x) FROM c x), (SELECT min(aov) FROM d) FROM c JOIN d USING (region) GROUP BY 1, 2$$,
            $$WITH d AS (SELECT region, {aov} AS aov FROM orders GROUP BY 1)
              SELECT region, d.aov, {revenue}, (SELECT count(*) FROM orders), (SELECT min(aov) FROM d) FROM orders JOIN d USING (region) GROUP BY 1, 2$$);
SELECT same($$SELECT region, measure(a), sum(r) FROM (SELECT region, aov AS a, revenue AS r FROM (SELECT region, revenue, aov FROM sales ORDER BY qty DESC, city) y ORDER BY lower(region)) x GROUP BY 1$$, $$SELECT region, {aov}, {revenue} FROM orders GROUP BY 1$$);
CREATE VIEW v1 AS SELECT * FROM sales WHERE channel <> 'phone';
CREATE VIEW v2 AS SELECT region AS r, aov, revenue::float8 AS rev, qty, city, median FROM v1;
CREATE VIEW v3 (r, q, c, a, rv, med) AS SELECT r, qty, city, aov, rev, median FROM v2 WHERE qty IS NOT NULL;
CREATE VIEW v4 WITH (security_barrier) AS WITH x AS (SELECT * FROM v3) SELECT * FROM x;
CREATE VIEW v5 AS SELECT r, a, rv, med, c FROM (SELECT v4.*, 1 AS one FROM v4) s WHERE q < 4;
SELECT same('SELECT r, measure(a), measure(rv), sum(rv), measure(med) FROM v5 WHERE c <> ''Ulm'' GROUP BY r',
            $$SELECT region, {aov}, {revenue}::float8, {revenue}::float8, {median} FROM orders WHERE channel <> 'phone' AND qty < 4 AND city <> 'Ulm' GROUP BY 1$$);
-- M6: LATERAL, subqueries in FROM that read the outer query, aggregates of an outer query inside a subquery
SELECT same($$SELECT x.r, x.c, measure(x.m), measure(s.aov) FROM sales s, LATERAL (SELECT s.region AS r, s.channel AS c, s.revenue AS m) x GROUP BY 1, 2$$,
            'SELECT region, channel, {revenue}, {aov} FROM orders GROUP BY 1, 2');
SELECT same($$SELECT d.region, x.* FROM (SELECT DISTINCT region FROM orders) d LEFT JOIN LATERAL (SELECT channel, {measured} FROM sales s WHERE s.region = d.region GROUP BY 1) x ON true$$,
            $$SELECT d.region, x.* FROM (SELECT DISTINCT region FROM orders) d LEFT JOIN LATERAL (SELECT channel, {written} FROM orders s WHERE s.region = d.region GROUP BY 1) x ON true$$);
SELECT same($$SELECT region, (SELECT measure(i.aov) FROM sales i WHERE i.region = o.region AND i.channel = 'web'), (SELECT measure(o.aov)), (SELECT max(qty) + measure(o.revenue) FROM sales), measure(aov) FROM sales o GROUP BY region$$,
            $$SELECT region, (SELECT {aov} FROM orders i WHERE i.region = o.region AND channel = 'web'), {aov}, (SELECT max(qty) FROM orders) + {revenue}, {aov} FROM orders o GROUP BY region$$);
SELECT same($$SELECT city FROM (SELECT DISTINCT city FROM sales) d WHERE EXISTS (SELECT 1 FROM sales s WHERE s.city = d.city HAVING measure(revenue) > 1100)
              AND city IN (SELECT city FROM sales GROUP BY 1 HAVING measure(aov) > 30) AND 1000 < ANY (SELECT measure(revenue) FROM sales s WHERE s.city = d.city)$$,
            $$SELECT city FROM orders GROUP BY 1 HAVING {revenue} > 1100 AND {aov} > 30$$);
-- M6: once evaluated it is an ordinary number: aggregates, windows, set operations, joins above it
SELECT same($$SELECT min(x), max(x), avg(x), sum(x), count(x), count(DISTINCT x), stddev(x), array_agg(x ORDER BY x), percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM (SELECT measure(aov) AS x FROM sales GROUP BY region) t$$,
            $$SELECT min(x), max(x), avg(x), sum(x), count(x), count(DISTINCT x), stddev(x), array_agg(x ORDER BY x), percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM (SELECT {aov} AS x FROM orders GROUP BY region) t$$);
SELECT same($$SELECT region, channel, sum(measure(revenue)) OVER (PARTITION BY region), rank() OVER (ORDER BY measure(aov) DESC NULLS LAST), measure(revenue) / sum(sum(revenue)) OVER (),
                     lag(measure(buyers), 1, 0::bigint) OVER w FROM sales GROUP BY 1, 2 WINDOW w AS (PARTITION BY channel ORDER BY measure(revenue))$$,
            $$SELECT region, channel, sum({revenue}) OVER (PARTITION BY region), rank() OVER (ORDER BY {aov} DESC NULLS LAST), {revenue} / sum({revenue}) OVER (),
                     lag({buyers}, 1, 0::bigint) OVER w FROM orders GROUP BY 1, 2 WINDOW w AS (PARTITION BY channel ORDER BY {revenue})$$);
SELECT same($$SELECT region, measure(revenue) FROM sales GROUP BY 1 UNION SELECT 'total', measure(revenue) FROM sales EXCEPT SELECT region, measure(revenue) FROM sales WHERE region = 'East' GROUP BY 1$$,
            $$SELECT region, {revenue} FROM orders WHERE region IS DISTINCT FROM 'East' GROUP BY 1 UNION ALL SELECT 'total', {revenue} FROM orders$$);
SELECT same($$WITH RECURSIVE t(n, region, x) AS (SELECT 1, region, measure(revenue) FROM sales GROUP BY region UNION ALL SELECT n + 1, region, x * 2 FROM t WHERE n < 3) SELECT n, sum(x) FROM t GROUP BY n$$,
            $$SELECT n, {revenue} * (1 << (n - 1)) FROM orders, generate_series(1, 3) n GROUP BY n$$);
-- M6: HAVING, ORDER BY by value, alias, number and expression, CASE, COALESCE, JSON, rows, arrays, casts, functions, LIMIT
SELECT region, measure(orders_paid) AS n, CASE WHEN measure(aov) > 35 THEN 'high' ELSE 'low' END AS class, coalesce(measure(web_revenue), 0) > 400 AS web,
       json_build_object('n', measure(orders_paid), 'top', measure(top)) AS json, ROW(measure(buyers), region) AS row, ARRAY[measure(units), sum(qty)] AS array
FROM sales GROUP BY region HAVING measure(orders_paid) BETWEEN 10 AND 90 ORDER BY measure(aov) / 2 DESC, n;
SELECT city FROM sales GROUP BY city ORDER BY measure(revenue) DESC NULLS LAST LIMIT 2;
SELECT city FROM orders GROUP BY city ORDER BY sum(amount) FILTER (WHERE status = 'paid') - sum(refund) FILTER (WHERE status = 'paid') DESC NULLS LAST LIMIT 2;
SELECT DISTINCT ON (region) region, channel, measure(orders_paid) AS n FROM sales GROUP BY region, channel ORDER BY region, n DESC, channel;
SELECT same($$SELECT coalesce((SELECT json_agg(j) FROM (SELECT json_build_object('region', region, 's', coalesce(sum(revenue), 0)) FROM sales GROUP BY region HAVING sum(revenue) > 1000 ORDER BY region) j), '[]')::text$$,
            $$SELECT coalesce((SELECT json_agg(j) FROM (SELECT json_build_object('region', region, 's', coalesce({revenue}, 0)) FROM orders GROUP BY region HAVING {revenue} > 1000 ORDER BY region) j), '[]')::text$$);
-- M8: SUM, AVG, MIN, MAX say the same, and measure() with a table's alias
SELECT same('SELECT city, sum(s.revenue), avg(s.aov), min(s.median), max(s.channels), kpi.measure(s.top) FROM mart.sales AS s GROUP BY s.city',
            'SELECT city, {revenue}, {aov}, {median}, {channels}, {top} FROM orders GROUP BY city');

-- M9: rows and values of the metric view are counted as usual, beside measures, under the same filters
SELECT same($$SELECT region, count(*), sum(1), count(1), count(DISTINCT channel), min(day), string_agg(DISTINCT city, ',' ORDER BY city), measure(aov), sum(qty) * 2, bool_or(channel = 'web'),
                     count(*) FILTER (WHERE list = 1), min(1), max(CASE WHEN region IS NULL THEN 1 ELSE 0 END), avg(qty) FROM sales WHERE day > '2024-01-10' GROUP BY 1$$,
            $$SELECT region, count(*), sum(1), count(1), count(DISTINCT channel), min(day), string_agg(DISTINCT city, ',' ORDER BY city), {aov}, sum(qty) * 2, bool_or(channel = 'web'),
                     count(*) FILTER (WHERE list = 1), min(1), max(CASE WHEN region IS NULL THEN 1 ELSE 0 END), avg(qty) FROM orders WHERE day > '2024-01-10' GROUP BY 1$$);
SELECT same('SELECT count(*), count(DISTINCT region) FROM sales', 'SELECT count(*), count(DISTINCT region) FROM orders');
SELECT same('SELECT DISTINCT region FROM sales', 'SELECT DISTINCT region FROM orders');
SELECT same('SELECT count(*) FROM (SELECT region, sum(revenue) AS x FROM (SELECT * FROM sales) v GROUP BY region) q', 'SELECT count(DISTINCT region) + 1 FROM orders');

-- several metric views in one query, each at its own grain
CREATE TABLE mart.visits (day date, region text, n int);
INSERT INTO mart.visits SELECT date '2024-01-01' + i % 60, ('{East,West,South}'::text[])[1 + i % 3], i % 10 FROM generate_series(1, 100) i;
SELECT create_metric('mart.traffic', 'SELECT sum(n) FROM mart.visits'), create_metric('mart.visit_days', 'SELECT count(DISTINCT day) FROM mart.visits');
SELECT create_metric_view('mart.web', '{day, region}', '{mart.traffic, mart.visit_days}');
SELECT same($$SELECT region, s.money, s.n, w.traffic, w.days, s.money / w.traffic FROM (SELECT region, measure(revenue) AS money, count(*) AS n FROM sales GROUP BY 1) s
              FULL JOIN (SELECT region, measure(traffic) AS traffic, measure(visit_days) AS days FROM web GROUP BY 1) w USING (region)$$,
            $$SELECT region, s.money, s.n, w.traffic, w.days, s.money / w.traffic FROM (SELECT region, {revenue} AS money, count(*) AS n FROM orders GROUP BY 1) s
              FULL JOIN (SELECT region, sum(n) AS traffic, count(DISTINCT day) AS days FROM visits GROUP BY 1) w USING (region)$$);
SELECT same($$SELECT region, measure(aov), (SELECT measure(traffic) FROM web w WHERE w.region = s.region), (SELECT measure(traffic) FROM web) FROM sales s GROUP BY region$$,
            $$SELECT region, {aov}, (SELECT sum(n) FROM visits w WHERE w.region = s.region), (SELECT sum(n) FROM visits) FROM orders s GROUP BY region$$);

-- F4: NULL is a group and a value of its own; filters on it say what SQL says
SELECT same('SELECT region, {measured} FROM sales WHERE region IS NULL OR region <> ''East'' GROUP BY 1', 'SELECT region, {written} FROM orders WHERE region IS NULL OR region <> ''East'' GROUP BY 1');
SELECT same($$SELECT region IS NULL, measure(aov) FILTER (WHERE NOT (region = 'East')), measure(revenue) FILTER (WHERE region IS NULL) FROM sales GROUP BY 1$$,
            $$SELECT n, (sum(amount) FILTER (WHERE p) - sum(refund) FILTER (WHERE p)) / nullif(count(*) FILTER (WHERE p), 0), sum(amount) FILTER (WHERE q) - sum(refund) FILTER (WHERE q)
              FROM (SELECT *, region IS NULL AS n, status = 'paid' AND NOT region = 'East' AS p, status = 'paid' AND region IS NULL AS q FROM orders) o GROUP BY 1$$);
-- F5: 1.0 and 1.00 are one key, whichever of them is shown
SELECT list::int, count(*), measure(orders_paid) AS orders FROM sales GROUP BY list ORDER BY 1;
SELECT same('SELECT list::int, {measured} FROM sales GROUP BY list', 'SELECT list::int, {written} FROM orders GROUP BY list');
-- F8: division by zero is the definition's business: nullif gives NULL, without it the group raises, and others do not
SELECT same($$SELECT customer, measure(aov) FROM sales WHERE status = 'void' GROUP BY 1$$, $$SELECT customer, NULL::numeric FROM orders WHERE status = 'void' GROUP BY 1$$);
SELECT create_metric('mart.raw_ratio', 'SELECT sum(amount) / count(*) FILTER (WHERE channel = ''web'') FROM mart.orders');
SELECT alter_metric_view('mart.sales', add_metrics => '{mart.raw_ratio}');
SELECT refusal('SELECT channel, measure(raw_ratio) FROM sales GROUP BY 1');
SELECT same('SELECT measure(raw_ratio) FROM sales WHERE channel = ''web''', 'SELECT sum(amount) / count(*) FROM orders WHERE channel = ''web''');

DROP SCHEMA mart CASCADE;
