-- kpi.numerator() and kpi.denominator(): the parts of a measure that is a ratio, by the rules of measure() (M1 to M5, M7, M11
-- to M13, S5, S6). Every value is compared with what an expert writes by hand.
\getenv abs_srcdir PG_ABS_SRCDIR
\set mart :abs_srcdir '/data/mart.sql'
\i :mart

-- Ratios of every form, with their parts as an expert reads them; {} formulas as in the fixture.
CREATE TABLE mart.forms (name text PRIMARY KEY, definition text, numerator text, denominator text);
INSERT INTO mart.forms VALUES
  ('plain', 'SELECT sum(amount) / count(*) FROM mart.orders', 'sum(amount)', 'count(*)'),
  ('guarded', 'SELECT sum(amount) / nullif(sum(qty), 0) FROM mart.orders WHERE status = ''paid''', 'sum(amount) FILTER (WHERE status = ''paid'')', 'sum(qty) FILTER (WHERE status = ''paid'')'),
  ('percent', 'SELECT 100.0 * sum(refund) / nullif(sum(amount), 0.00) FROM mart.orders', '100.0 * sum(refund)', 'sum(amount)'),
  ('percent_after', 'SELECT sum(refund) / sum(amount) * 100 FROM mart.orders', 'sum(refund) * 100', 'sum(amount)'),
  ('percent_before', 'SELECT 100 * (sum(refund) / sum(amount)) FROM mart.orders', '100 * sum(refund)', 'sum(amount)'),
  ('thousands', 'SELECT sum(amount) / count(*) / 1000 FROM mart.orders', 'sum(amount) / 1000', 'count(*)'),
  ('thousands_inside', 'SELECT (sum(amount) / 1000) / count(*) FROM mart.orders', 'sum(amount) / 1000', 'count(*)'),
  ('rounded', 'SELECT round(trunc(sum(amount) / count(*), 4), 2)::numeric(10,2) FROM mart.orders', 'sum(amount)', 'count(*)'),
  ('ceiled', 'SELECT ceil(sum(amount) / count(*)) + 0.0 * 1 FROM mart.orders', NULL, NULL),
  ('ceiling', 'SELECT ceiling(floor(sum(amount) / count(*))) FROM mart.orders', 'sum(amount)', 'count(*)'),
  ('float', 'SELECT sum(amount)::float8 / count(*) FROM mart.orders', 'sum(amount)::float8', 'count(*)::float8'),
  ('share', 'SELECT (count(*) FILTER (WHERE channel = ''web''))::numeric / count(*) FROM mart.orders', 'count(*) FILTER (WHERE channel = ''web'')', 'count(*)'),
  ('margin', 'SELECT (sum(amount) - sum(refund)) / (sum(amount) + coalesce(sum(refund), 0)) FROM mart.orders', 'sum(amount) - sum(refund)', 'sum(amount) + coalesce(sum(refund), 0)'),
  ('whole', 'SELECT sum(qty) / count(qty) FROM mart.orders', 'sum(qty)', 'count(qty)'),
  ('average', 'SELECT avg(amount) FROM mart.orders', 'sum(amount)', 'count(amount)'),
  ('average_int', 'SELECT round(avg(qty), 1) FROM mart.orders WHERE region <> ''East''', 'sum(qty) FILTER (WHERE region <> ''East'')', 'count(qty) FILTER (WHERE region <> ''East'')'),
  ('average_real', 'SELECT avg(qty::real) FROM mart.orders', 'sum(qty::real::float8)', 'count(qty)'),
  ('average_bigint', 'SELECT avg(qty::bigint) * 2 FROM mart.orders', 'sum(qty::bigint) * 2', 'count(qty)'),
  -- none of these
  ('sum', 'SELECT sum(amount) FROM mart.orders', NULL, NULL),
  ('distinct_below', 'SELECT sum(amount) / count(DISTINCT customer) FROM mart.orders', NULL, NULL),
  ('distinct_average', 'SELECT avg(DISTINCT amount) FROM mart.orders', NULL, NULL),
  ('other_null', 'SELECT sum(amount) / nullif(count(*), 5) FROM mart.orders', NULL, NULL),
  ('inverse', 'SELECT 100 / avg(amount) FROM mart.orders', NULL, NULL),
  ('complement', 'SELECT 1 - sum(refund) / sum(amount) FROM mart.orders', NULL, NULL),
  ('of_averages', 'SELECT avg(amount) / avg(qty) FROM mart.orders', NULL, NULL),
  ('by_constant', 'SELECT sum(amount) / 12 FROM mart.orders', NULL, NULL),
  ('duration', 'SELECT avg(now() - day) FROM mart.orders', NULL, NULL),
  ('text', 'SELECT (sum(amount) / count(*))::text FROM mart.orders', NULL, NULL),
  ('yes', 'SELECT (sum(qty) / count(*))::int::boolean FROM mart.orders', NULL, NULL),
  ('largest', 'SELECT max(amount) / count(*) FROM mart.orders', NULL, NULL);
SELECT count(create_metric('mart.' || quote_ident(name), definition)) AS metrics FROM forms;
SELECT create_metric_view('mart.ratios', '{id, day, region, city, channel, customer, qty}', array(SELECT 'mart.' || quote_ident(name) FROM forms ORDER BY name));

-- which are ratios, and which of the fixture's; a derived one counts as its flattened definition; NULL for what is no metric
SELECT name, is_ratio(('mart.' || quote_ident(name))::regclass) FROM forms WHERE is_ratio(('mart.' || quote_ident(name))::regclass) IS DISTINCT FROM (numerator IS NOT NULL);
SELECT name, is_ratio(metric) FROM metrics WHERE schema = 'mart' AND name IN (SELECT f.name FROM formulas f) ORDER BY name;
SELECT is_ratio('mart.orders'), is_ratio('mart.sales'), is_ratio(NULL);
-- M1, M2: each form by groups, totals and at all grains, in the measure's type
SELECT name, same(format('SELECT region, channel, grouping(region, channel), numerator(%1$I), denominator(%1$I), pg_typeof(numerator(%1$I)) FROM ratios GROUP BY CUBE (region, channel)', name),
                  format('SELECT region, channel, grouping(region, channel), (%1$s)::%3$s, (%2$s)::%3$s, %3$L::regtype FROM orders GROUP BY CUBE (region, channel)', numerator, denominator, m.type)) AS by_hand
FROM forms JOIN (SELECT f.name AS name, format_type(atttypid, NULL) AS type FROM forms f JOIN pg_attribute ON attrelid = ('mart.' || quote_ident(f.name))::regclass AND attnum = 1) m USING (name)
WHERE numerator IS NOT NULL ORDER BY name;
-- the quotient is the ratio, apart from rounding
SELECT same('SELECT city, numerator(plain) / denominator(plain), numerator(average) / denominator(average), numerator(percent) / denominator(percent), numerator(whole) / denominator(whole) FROM ratios GROUP BY 1',
            'SELECT city, sum(amount) / count(*), avg(amount), 100.0 * sum(refund) / sum(amount), sum(qty) / count(qty) FROM orders GROUP BY 1');
-- M5: derived metrics
SELECT same('SELECT region, city, numerator(aov), denominator(aov) FROM sales GROUP BY ROLLUP (region, city)', 'SELECT region, city, {revenue}, {orders_paid} FROM orders GROUP BY ROLLUP (region, city)');
-- M3: FILTER, with subqueries; HAVING, ORDER BY, windows, expressions
SELECT same($$SELECT region, numerator(aov) FILTER (WHERE channel = 'web'), denominator(aov) FILTER (WHERE channel IN (SELECT channel FROM sales GROUP BY channel HAVING denominator(aov) > 40)) FROM sales GROUP BY 1$$,
            $$SELECT region, (sum(amount) FILTER (WHERE status = 'paid' AND channel = 'web') - sum(refund) FILTER (WHERE status = 'paid' AND channel = 'web')),
                     count(*) FILTER (WHERE status = 'paid' AND channel IN (SELECT channel FROM orders GROUP BY 1 HAVING {orders_paid} > 40)) FROM orders GROUP BY 1$$);
SELECT same('SELECT city, numerator(aov) / sum(numerator(aov)) OVER () FROM sales WHERE qty > 0 GROUP BY city HAVING denominator(aov) > 5', 'SELECT city, {revenue} / sum({revenue}) OVER () FROM orders WHERE qty > 0 GROUP BY city HAVING {orders_paid} > 5');
-- M4: empty input
SELECT numerator(share), denominator(share) FROM ratios WHERE false;
-- M6: through subqueries, CTEs and views
CREATE VIEW mart.above AS SELECT region AS area, share FROM (SELECT * FROM ratios) r WHERE channel <> 'phone';
SELECT same('WITH a AS (TABLE above) SELECT area, numerator(share), denominator(share) FROM a GROUP BY 1', $$SELECT region, (count(*) FILTER (WHERE channel = 'web'))::numeric, count(*)::numeric FROM orders WHERE channel <> 'phone' GROUP BY 1$$);
-- M11: a join that may duplicate is refused, one that does not is free
SELECT refusal('SELECT numerator(r.plain) FROM ratios r JOIN orders o ON o.region = r.region');
SELECT same('SELECT o.status, numerator(r.plain), denominator(r.plain) FROM ratios r JOIN orders o ON o.id = r.id GROUP BY 1', 'SELECT status, sum(amount), count(*)::numeric FROM orders GROUP BY 1');
-- as plain SQL
SELECT explain_measure('SELECT region, numerator(percent_after), denominator(rounded), numerator(average_real) FROM ratios GROUP BY region');

-- M7: no ratio, no parts; and what has no meaning in measure() has none here
SELECT name, refusal(format('SELECT numerator(%I) FROM ratios', name)) FROM forms WHERE numerator IS NULL AND name IN ('sum', 'ceiled');
SELECT name, split_part(refusal(format('SELECT denominator(%I) FROM ratios', name)), E'\n', 1) AS refusal FROM forms WHERE numerator IS NULL ORDER BY name;
SELECT refusal('SELECT numerator(aov * 2) FROM sales');
SELECT refusal('SELECT denominator(DISTINCT aov) FROM sales');
SELECT refusal('SELECT numerator(aov) OVER () FROM sales');
SELECT refusal('SELECT numerator(aov ORDER BY id) FROM sales');
SELECT refusal('SELECT numerator(aov) FROM (SELECT aov FROM sales LIMIT 3) t');
SELECT refusal('SELECT numerator(region) FROM sales');
SELECT refusal('SELECT numerator(region) FROM (SELECT region FROM orders) t');
SELECT refusal('SELECT numerator(aov) FILTER (WHERE revenue > 1) FROM sales');
SELECT refusal('SELECT denominator(CASE WHEN region = ''East'' THEN aov END) FROM sales');
SELECT refusal('SELECT denominator(aov) FROM sales WHERE aov > 5');
SELECT refusal('SELECT count(*) FROM (SELECT numerator(aov) AS n FROM sales GROUP BY region) t GROUP BY numerator(n)');
-- M12: where nobody replaces them they raise, on rows and on none
SELECT refusal('SELECT numerator(amount) FROM orders');
SELECT refusal('SELECT denominator(amount) FROM orders WHERE false');
-- M13: no definition is made of parts, neither by create_metric() nor by hand
SELECT refusal($$SELECT create_metric('mart.part', 'SELECT numerator(aov) FROM mart.sales')$$);
SELECT refusal($$SELECT create_metric('mart.part', 'SELECT denominator(amount) FROM mart.orders')$$);
SELECT create_metric('mart.part', 'SELECT sum(amount) FROM mart.orders');
SELECT alter_metric_view('mart.sales', add_metrics => '{mart.part}');
CREATE OR REPLACE VIEW mart.part AS SELECT numerator(amount) AS part FROM mart.orders;
SELECT refusal('SELECT measure(part) FROM sales');

-- late binding: a prepared statement follows the definition, to an error where it is a ratio no more, and back
PREPARE parts AS SELECT numerator(thousands) = (SELECT sum(amount) / 1000 FROM orders) AS old, numerator(thousands) = (SELECT sum(refund) FROM orders) AS new FROM ratios;
EXECUTE parts;
SELECT alter_metric('mart.thousands', 'SELECT max(amount) FROM mart.orders');
EXECUTE parts;
SELECT alter_metric('mart.thousands', 'SELECT sum(refund) / nullif(count(*), 0) FROM mart.orders');
EXECUTE parts;

-- S5: where the ratio has no value its parts have none, be the limit its own or a component's
SELECT create_metric('mart.few', 'SELECT round(sum(amount) / count(*), 2) FROM mart.orders WHERE status = ''paid''', min_group_rows => 12),
       create_metric('mart.few_amount', 'SELECT sum(amount) FROM mart.orders', min_group_rows => 21),
       create_metric('mart.few_paid', 'SELECT count(*) FROM mart.orders WHERE status = ''paid''', min_group_rows => 9);
SELECT create_metric('mart.few_each', 'SELECT few_amount / nullif(few_paid, 0) FROM mart.few_amount, mart.few_paid');
SELECT create_metric_view('mart.fews', '{region, city, channel}', '{mart.few, mart.few_each}');
SELECT is_ratio('mart.few'), is_ratio('mart.few_each');
SELECT same('SELECT region, city, channel, numerator(few), denominator(few), numerator(few_each), denominator(few_each) FROM fews GROUP BY CUBE (region, city, channel)',
            $$SELECT region, city, channel, CASE WHEN n >= 12 THEN a END, (CASE WHEN n >= 12 THEN n END)::numeric, CASE WHEN n >= 9 AND m >= 21 THEN b END, (CASE WHEN n >= 9 AND m >= 21 THEN n END)::numeric
              FROM (SELECT region, city, channel, count(*) FILTER (WHERE status = 'paid') AS n, count(*) AS m, sum(amount) FILTER (WHERE status = 'paid') AS a, sum(amount) AS b FROM orders GROUP BY CUBE (region, city, channel)) g$$);
SELECT count(*) AS groups, count(n) AS parts, count(e) AS parts_each FROM (SELECT numerator(few) AS n, denominator(few_each) AS e FROM fews GROUP BY CUBE (region, city, channel)) g;
SELECT count(*) AS parts_without_ratio FROM (SELECT measure(few) AS m, numerator(few) AS n, denominator(few) AS d FROM fews GROUP BY CUBE (region, city, channel)) g WHERE m IS NULL AND (n IS NOT NULL OR d IS NOT NULL);

-- S6, native privileges: parts of what a role may read, of the rows that it may see
CREATE ROLE regress_kpi_parts;
CREATE ROLE regress_kpi_parts_owner;
GRANT USAGE ON SCHEMA mart TO regress_kpi_parts, regress_kpi_parts_owner;
GRANT CREATE ON SCHEMA mart TO regress_kpi_parts_owner;
CREATE TABLE mart.scoped AS SELECT * FROM orders;
ALTER TABLE mart.scoped OWNER TO regress_kpi_parts_owner;
SELECT create_dimension('channel', type => 'text');
SET ROLE regress_kpi_parts_owner;
SELECT create_metric('mart.scoped_aov', 'SELECT sum(amount) / nullif(count(*), 0) FROM mart.scoped'), create_metric('mart.scoped_mean', 'SELECT avg(amount) FROM mart.scoped');
SELECT create_metric_view('mart.scoped_sales', '{region, channel}', '{mart.scoped_aov, mart.scoped_mean}');
GRANT SELECT (region, scoped_aov) ON mart.scoped_sales TO regress_kpi_parts;
RESET ROLE;
SELECT protect('mart.scoped', 'channel', 'channel');
SELECT grant_scope('regress_kpi_parts', 'channel', members => '{web}');
SELECT region, sum(amount) AS amount, count(*) AS orders FROM orders WHERE channel = 'web' GROUP BY region ORDER BY region;
SET ROLE regress_kpi_parts;
SELECT region, numerator(scoped_aov) AS amount, denominator(scoped_aov) AS orders FROM scoped_sales GROUP BY region ORDER BY region;
SELECT numerator(scoped_mean) FROM scoped_sales;
SELECT denominator(scoped_aov) FROM scoped_sales WHERE channel = 'web';
RESET ROLE;

DEALLOCATE ALL;
DROP SCHEMA mart CASCADE;
SELECT kpi.drop_dimension('channel');
DROP ROLE regress_kpi_parts, regress_kpi_parts_owner;
