-- kpi.explain_change(): which members moved a metric between two periods. Every number is compared with what hand-written SQL
-- says over the source, for random rows; scopes and small groups hold (S5, S6).
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET TIME ZONE 'Europe/Berlin';
SET datestyle = 'ISO';
CREATE SCHEMA moved;
SET search_path = moved, kpi, public;
-- NULL members, members of one period only, members without a denominator in one, rows outside both periods
CREATE TABLE moved.sales (id int PRIMARY KEY, day date, at timestamptz, at_local timestamp, shop int, region text, amount numeric(12,2), cost numeric(12,2), qty int, customer int, paid boolean);
SELECT setseed(0.42);
INSERT INTO sales
SELECT i, day, at, at AT TIME ZONE 'UTC', CASE WHEN random() < 0.9 THEN (random() * 9)::int END AS shop, (ARRAY['East', 'West', 'O''Hara "x"', NULL])[1 + (random() * 3.99)::int % 4], round((random() * 1000)::numeric, 2), round((random() * 400)::numeric, 2),
       CASE WHEN random() < 0.8 THEN (random() * 9)::int END, (random() * 50)::int, random() < 0.7
FROM (SELECT i, at, at::date AS day FROM (SELECT i, timestamptz '2026-01-01 00:00 UTC' + random() * interval '120 days' AS at FROM generate_series(1, 4000) i) s) s;
UPDATE sales SET shop = 100 WHERE id % 97 = 0 AND day < '2026-02-01';
DELETE FROM sales WHERE shop = 100 AND day >= '2026-02-01';
UPDATE sales SET shop = 101 WHERE id % 89 = 0 AND day >= '2026-02-01';
UPDATE sales SET qty = NULL WHERE shop = 3 AND day < '2026-02-01';
UPDATE sales SET qty = 0 WHERE shop = 4 AND day >= '2026-02-01';
UPDATE sales SET paid = false WHERE shop = 5 AND day < '2026-02-01';
INSERT INTO sales VALUES (9001, '2026-01-31', '2026-01-31 23:30+00', '2026-01-31 23:30', 200, 'East', 1, 1, 1, 1, true), (9002, '2026-03-01', '2026-02-28 23:30+00', '2026-02-28 23:30', 201, 'East', 1, 1, 1, 1, true);
CREATE TABLE metric_list (name text PRIMARY KEY, definition text, n text, d text);
INSERT INTO metric_list VALUES
  ('revenue', 'SELECT sum(amount) FROM moved.sales', 'sum(amount)', NULL),
  ('paid_orders', 'SELECT count(*) FROM moved.sales WHERE paid', 'count(*) FILTER (WHERE paid)', NULL),
  ('profit', 'SELECT coalesce(sum(amount) FILTER (WHERE paid), 0) - sum(cost) FROM moved.sales', 'coalesce(sum(amount) FILTER (WHERE paid), 0) - sum(cost)', NULL),
  ('profit_or_null', 'SELECT sum(amount) FILTER (WHERE paid) - sum(cost) FROM moved.sales', 'sum(amount) FILTER (WHERE paid) - sum(cost)', NULL),
  ('price', 'SELECT sum(amount) / nullif(sum(qty), 0) FROM moved.sales', 'sum(amount)', 'sum(qty)'),
  ('price_unguarded', 'SELECT sum(amount) / sum(qty) FROM moved.sales', 'sum(amount)', 'sum(qty)'),
  ('paid_share', 'SELECT round(100.0 * count(*) FILTER (WHERE paid) / count(*), 2) FROM moved.sales', '100.0 * count(*) FILTER (WHERE paid)', 'count(*)'),
  ('paid_average', 'SELECT avg(amount) FROM moved.sales WHERE paid', 'sum(amount) FILTER (WHERE paid)', 'count(amount) FILTER (WHERE paid)'),
  ('average_qty', 'SELECT avg(qty) FROM moved.sales', 'sum(qty)', 'count(qty)');
SELECT count(create_metric('moved.' || name, definition)) AS metrics FROM metric_list;
INSERT INTO metric_list VALUES ('margin', 'SELECT profit / nullif(revenue, 0) FROM moved.profit, moved.revenue', 'coalesce(sum(amount) FILTER (WHERE paid), 0) - sum(cost)', 'sum(amount)');
SELECT create_metric('moved.margin', definition) FROM metric_list WHERE name = 'margin';
SELECT create_metric('moved.buyers', 'SELECT count(DISTINCT customer) FROM moved.sales'), create_metric('moved.top', 'SELECT max(amount) FROM moved.sales'),
       create_metric('moved.unpaid_share', 'SELECT 1 - count(*) FILTER (WHERE paid)::numeric / count(*) FROM moved.sales'), create_metric('moved.last', 'SELECT max(day) FROM moved.sales');
SELECT create_metric_view('moved.by_day', '{day, shop, region, "amount > 500 AS large", "date_trunc(''month'', day)::date AS month"}', array(SELECT 'moved.' || name FROM metric_list) || '{moved.buyers,moved.top,moved.unpaid_share,moved.last}', time_dimension => 'day');

-- By hand: one plain query for each period and its groups, joined; then the formula as it is printed.
CREATE FUNCTION parts_by_hand(numerator text, denominator text, by text, before text, after text)
RETURNS TABLE (member text, is_total boolean, n0 numeric, d0 numeric, n1 numeric, d1 numeric) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
		SELECT coalesce(b.k, a.k), false, b.n, b.d, a.n, a.d
		  FROM (SELECT (%3$s)::text AS k, (%3$s) IS NULL AS is_null, (%1$s)::numeric AS n, (%2$s)::numeric AS d FROM sales WHERE %4$s GROUP BY 1, 2) b
		  FULL JOIN (SELECT (%3$s)::text AS k, (%3$s) IS NULL AS is_null, (%1$s)::numeric AS n, (%2$s)::numeric AS d FROM sales WHERE %5$s GROUP BY 1, 2) a
			ON a.is_null = b.is_null AND coalesce(a.k, '') = coalesce(b.k, '')
		UNION ALL
		SELECT NULL, true, b.n, b.d, a.n, a.d
		  FROM (SELECT (%1$s)::numeric AS n, (%2$s)::numeric AS d FROM sales WHERE %4$s) b, (SELECT (%1$s)::numeric AS n, (%2$s)::numeric AS d FROM sales WHERE %5$s) a
		$q$, numerator, denominator, by, before, after);
END $$;
CREATE FUNCTION change_by_hand(numerator text, denominator text, by text, before text, after text)
RETURNS TABLE (member text, is_total boolean, change numeric, rate numeric, mix numeric) LANGUAGE sql AS $$
	WITH p AS MATERIALIZED (SELECT * FROM parts_by_hand(numerator, coalesce(denominator, 'NULL'), by, before, after)),
	t AS (SELECT n0 / d0 AS r0, n1 / d1 AS r1, d0, d1 FROM p WHERE is_total),
	w AS (
		SELECT p.member, p.is_total, coalesce(p.d0, 0) / t.d0 AS w0, coalesce(p.d1, 0) / t.d1 AS w1,
			   CASE WHEN p.d0 <> 0 THEN coalesce(p.n0, 0) / p.d0 WHEN p.d1 <> 0 THEN coalesce(p.n1, 0) / p.d1 ELSE 0 END AS r0,
			   CASE WHEN p.d1 <> 0 THEN coalesce(p.n1, 0) / p.d1 WHEN p.d0 <> 0 THEN coalesce(p.n0, 0) / p.d0 ELSE 0 END AS r1,
			   -- what a member without a denominator adds to the total all the same
			   CASE WHEN coalesce(p.d1, 0) = 0 THEN coalesce(p.n1, 0) / t.d1 ELSE 0 END - CASE WHEN coalesce(p.d0, 0) = 0 THEN coalesce(p.n0, 0) / t.d0 ELSE 0 END AS unweighted,
			   (t.r0 + t.r1) / 2 AS mean, coalesce(p.n1, 0) - coalesce(p.n0, 0) AS difference, t.r1 - t.r0 AS total
		  FROM p, t
	), e AS (SELECT w.*, (r1 - r0) * (w0 + w1) / 2 AS rate, (w1 - w0) * ((r0 + r1) / 2 - mean) + unweighted AS mix FROM w)
	SELECT member, is_total, CASE WHEN denominator IS NULL THEN difference WHEN is_total THEN total ELSE rate + mix END,
		   CASE WHEN is_total THEN sum(rate) FILTER (WHERE NOT is_total) OVER () ELSE rate END, CASE WHEN is_total THEN sum(mix) FILTER (WHERE NOT is_total) OVER () ELSE mix END
	  FROM e $$;
-- How many groups there are, and how many differ: a sum in any digit, an effect by more than 1e-12, the total of a metric that
-- rounds by more than its rounding; and how many groups have both effects.
CREATE FUNCTION compare(metric text, by text, expression text, before daterange, after daterange, before_condition text, after_condition text, metric_view regclass DEFAULT 'moved.by_day')
RETURNS TABLE (groups bigint, differences bigint, mixed bigint) LANGUAGE sql AS $$
	WITH l AS (SELECT * FROM metric_list WHERE name = metric),
	x AS MATERIALIZED (SELECT c.* FROM l, kpi.explain_change(('moved.' || l.name)::regclass, before, after, by, metric_view) c),
	h AS MATERIALIZED (SELECT c.* FROM l, change_by_hand(l.n, l.d, expression, before_condition, after_condition) c)
	SELECT count(*),
		   count(*) FILTER (WHERE h.is_total IS NULL OR x.is_total IS NULL OR
							CASE WHEN (SELECT d IS NULL FROM l) THEN x.change IS DISTINCT FROM h.change OR x.rate_effect IS NOT NULL OR x.mix_effect IS NOT NULL
								 ELSE (abs(x.change - h.change) <= CASE WHEN x.is_total AND metric = 'paid_share' THEN 0.01 ELSE 1e-12 END) IS NOT TRUE
									  OR (abs(x.rate_effect - h.rate) <= 1e-12) IS NOT TRUE OR (abs(x.mix_effect - h.mix) <= 1e-12) IS NOT TRUE END),
		   count(*) FILTER (WHERE x.rate_effect <> 0 AND x.mix_effect <> 0)
	  FROM x FULL JOIN h ON h.is_total = x.is_total AND (h.member IS NULL) = (x.member IS NULL) AND coalesce(h.member, '') = coalesce(x.member, '') $$;

SELECT name, s.by, c.* FROM metric_list, (VALUES ('shop', 'shop'), ('region', 'region'), ('large', 'amount > 500'), ('month', 'date_trunc(''month'', day)::date'), ('day', 'day')) s (by, expression),
	compare(name, s.by, s.expression, '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', $$day >= '2026-01-01' AND day < '2026-02-01'$$, $$day >= '2026-02-01' AND day < '2026-03-01'$$) c
 ORDER BY name, s.by;
-- the members add up to the total: sums to the digit, ratios but for the last digits; neither where the definition rounds, or
-- has no value for a member of which it adds a NULL to a number
SELECT name, sum(x.change) FILTER (WHERE NOT is_total) = max(x.change) FILTER (WHERE is_total) AS equal,
	   abs(sum(x.change) FILTER (WHERE NOT is_total) - max(x.change) FILTER (WHERE is_total)) < 1e-12 AS close, bool_and(x.rate_effect + x.mix_effect = x.change) FILTER (WHERE NOT is_total) AS effects_add_up
  FROM metric_list, kpi.explain_change(('moved.' || name)::regclass, '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'shop', 'moved.by_day') x GROUP BY name ORDER BY name;
-- governed values: those of measure(), NULL for a ratio whose denominator is zero, though the definition does not guard it
SELECT count(*) AS members, count(*) FILTER (WHERE x.value_before IS DISTINCT FROM b.price OR x.value_after IS DISTINCT FROM a.price) AS differences, count(x.value_before) AS before, count(x.value_after) AS after
  FROM kpi.explain_change('moved.price_unguarded', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'shop') x
  LEFT JOIN (SELECT shop, kpi.measure(price) AS price FROM by_day WHERE day >= '2026-01-01' AND day < '2026-02-01' GROUP BY shop) b ON b.shop::text IS NOT DISTINCT FROM x.member
  LEFT JOIN (SELECT shop, kpi.measure(price) AS price FROM by_day WHERE day >= '2026-02-01' AND day < '2026-03-01' GROUP BY shop) a ON a.shop::text IS NOT DISTINCT FROM x.member
 WHERE NOT x.is_total;
-- as people see it: order, the NULL member and the total, members of one period
SELECT member, is_total, value_before, value_after, change FROM kpi.explain_change('moved.paid_orders', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', by => 'shop');
SELECT member, is_total, round(value_before, 3) AS before, round(value_after, 3) AS after, round(change, 3) AS change, round(rate_effect, 3) AS rate, round(mix_effect, 3) AS mix
  FROM kpi.explain_change('moved.price', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', by => 'shop');

-- The textbook: two strata with rates of 10 % -> 20 % and 50 % -> 50 %, shares of 80/20 -> 40/60, so 18 % -> 38 %: by rates
-- 10 * 0.6 = 6 points, by mix 0.4 * (50 - 15) = 14 points.
CREATE TABLE moved.strata (day date, stratum text, hit boolean);
INSERT INTO strata SELECT d::date, s, i <= hits FROM (VALUES ('2025-01-01', 'a', 80, 8), ('2025-01-01', 'b', 20, 10), ('2026-01-01', 'a', 40, 8), ('2026-01-01', 'b', 60, 30)) v (d, s, n, hits), generate_series(1, n) i;
SELECT create_metric('moved.hits', 'SELECT 100.0 * count(*) FILTER (WHERE hit) / nullif(count(*), 0) FROM moved.strata');
SELECT create_metric_view('moved.strata_view', '{day, stratum}', '{moved.hits}');
SELECT member, is_total, round(value_before, 2) AS before, round(value_after, 2) AS after, round(change, 2) AS change, round(rate_effect, 2) AS rate, round(mix_effect, 2) AS mix
  FROM kpi.explain_change('moved.hits', '[2025-01-01,2026-01-01)', '[2026-01-01,)', 'stratum');

-- Metrics that do not add up: the difference of each, and of the total; a count of nothing is 0, a maximum of nothing NULL.
SELECT member, is_total, value_before, value_after, change, rate_effect FROM kpi.explain_change('moved.buyers', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'shop') x WHERE member IN ('1', '100', '101') OR is_total;
SELECT count(DISTINCT customer) FILTER (WHERE day < '2026-02-01') AS before, count(DISTINCT customer) FILTER (WHERE day >= '2026-02-01') AS after FROM sales WHERE day >= '2026-01-01' AND day < '2026-03-01';
SELECT member, value_before IS NULL AS none_before, value_after IS NULL AS none_after, change FROM kpi.explain_change('moved.top', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'shop') WHERE member IN ('100', '101') ORDER BY member;
SELECT member, value_before IS NULL AS none_before, value_after IS NULL AS none_after, change FROM kpi.explain_change('moved.unpaid_share', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'shop') WHERE member IN ('100', '101') ORDER BY member;

-- Periods: one day, without bounds, backwards, with all kinds of brackets, without rows.
SELECT compare('revenue', 'region', 'region', '[2026-01-05,2026-01-05]', '(2026-01-05,2026-01-06]', $$day = '2026-01-05'$$, $$day = '2026-01-06'$$);
SELECT compare('price', 'region', 'region', '(,2026-02-01)', '[2026-02-01,)', $$day < '2026-02-01'$$, $$day >= '2026-02-01'$$);
SELECT compare('margin', 'region', 'region', '[2026-03-01,)', '(,2026-01-15)', $$day >= '2026-03-01'$$, $$day < '2026-01-15'$$);
SELECT compare('revenue', 'region', 'region', '[2026-03-01,infinity]', '[-infinity,2026-01-15)', $$day >= '2026-03-01'$$, $$day < '2026-01-15'$$);
SELECT member, is_total, value_before, value_after, change FROM kpi.explain_change('moved.revenue', '[2020-01-01,2020-02-01)', '[2021-01-01,2021-02-01)', 'region');
SELECT member, is_total, value_before, value_after, change, rate_effect, mix_effect FROM kpi.explain_change('moved.price', '[2020-01-01,2020-02-01)', '[2021-01-01,2021-02-01)', 'region');
SELECT member, is_total, value_before IS NULL AS none, value_after > 4 AS some, change, rate_effect, mix_effect FROM kpi.explain_change('moved.average_qty', '[2020-01-01,2020-02-01)', '[2026-02-01,2026-03-01)', 'large') ORDER BY is_total, member;
-- a day begins where the session's TimeZone says
SELECT create_metric_view('moved.by_moment', '{at, shop, region}', '{moved.price, moved.revenue}', time_dimension => 'at'), create_metric_view('moved.by_local', '{at_local, shop, region}', '{moved.price, moved.revenue}', time_dimension => 'at_local');
\set january '''[2026-01-01,2026-02-01)'', ''[2026-02-01,2026-03-01)'''
\set moments '$$at >= \'2026-01-01\'::timestamptz AND at < \'2026-02-01\'::timestamptz$$, $$at >= \'2026-02-01\'::timestamptz AND at < \'2026-03-01\'::timestamptz$$, \'moved.by_moment\''
\set locals '$$at_local >= \'2026-01-01\' AND at_local < \'2026-02-01\'$$, $$at_local >= \'2026-02-01\' AND at_local < \'2026-03-01\'$$, \'moved.by_local\''
SELECT compare('price', 'shop', 'shop', :january, :moments) AS moments, compare('price', 'shop', 'shop', :january, :locals) AS locals;
SET TIME ZONE 'America/New_York';
SELECT compare('price', 'shop', 'shop', :january, :moments) AS moments, compare('price', 'shop', 'shop', :january, :locals) AS locals;
SELECT member, value_before, value_after FROM kpi.explain_change('moved.revenue', :january, 'shop', 'moved.by_moment') WHERE member IN ('200', '201') ORDER BY member;
SET TIME ZONE 'Europe/Berlin';
SELECT member, value_before, value_after FROM kpi.explain_change('moved.revenue', :january, 'shop', 'moved.by_moment') WHERE member IN ('200', '201') ORDER BY member;

-- What cannot be explained is refused.
CREATE FUNCTION refusal(arguments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
	EXECUTE 'SELECT * FROM kpi.explain_change(' || arguments || ')';
	RETURN 'NOT REFUSED';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', sqlstate || ': ' || sqlerrm, 'detail: ' || nullif(detail, ''), 'hint: ' || nullif(hint, ''));
END $$;
SELECT refusal(arguments) FROM (VALUES
	($$'moved.revenue', 'empty', '[2026-02-01,2026-03-01)', 'shop', 'moved.by_day'$$),
	($$'moved.revenue', '[2026-02-01,2026-03-01)', '[2026-02-01,2026-02-01)', 'shop', 'moved.by_day'$$),
	($$'moved.revenue', '[2026-01-01,2026-02-01]', '[2026-02-01,2026-03-01)', 'shop', 'moved.by_day'$$),
	($$'moved.revenue', NULL, '[2026-02-01,2026-03-01)', 'shop', 'moved.by_day'$$),
	($$'moved.revenue', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', NULL, 'moved.by_day'$$),
	($$'moved.revenue', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'shop'$$),
	($$'moved.revenue', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'city'$$),
	($$'moved.revenue', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'revenue'$$),
	($$'moved.revenue', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'large', 'moved.by_local'$$),
	($$'moved.revenue', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'shop', 'moved.sales'$$),
	($$'moved.last', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'shop'$$),
	($$'moved.sales', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'shop'$$)) v (arguments);
SELECT alter_metric_view('moved.strata_view', time_dimension => '');
SELECT refusal($$'moved.hits', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'stratum'$$);
-- names that need quotes
SELECT alter_metric_view('moved.by_local', rename => ARRAY['revenue AS "Reve""nue"', 'region AS "select"', 'at_local AS "at ""x"']);
SELECT sum(change) FILTER (WHERE is_total) = sum(change) FILTER (WHERE NOT is_total) AS adds_up, count(*) FROM kpi.explain_change('moved.revenue', :january, 'select', 'moved.by_local');

-- S5: what min_group_rows takes is not given back: no value, no parts, no effects, and no effects of the total.
SELECT create_metric('moved.few', 'SELECT sum(amount) / nullif(count(qty), 0) FROM moved.sales', min_group_rows => 85), create_metric('moved.few_buyers', 'SELECT count(DISTINCT customer) FROM moved.sales', min_group_rows => 85);
SELECT create_metric_view('moved.few_view', '{day, shop}', '{moved.few, moved.few_buyers}');
SELECT member, is_total, n.before AS rows_before, n.after AS rows_after, value_before IS NOT NULL AS before, value_after IS NOT NULL AS after, change IS NOT NULL AS change, rate_effect IS NOT NULL AS rate, mix_effect IS NOT NULL AS mix
  FROM kpi.explain_change('moved.few', :january, 'shop') x
  JOIN (SELECT shop, grouping(shop) = 1 AS is_total, count(*) FILTER (WHERE day < '2026-02-01') AS before, count(*) FILTER (WHERE day >= '2026-02-01') AS after FROM sales WHERE day >= '2026-01-01' AND day < '2026-03-01' GROUP BY ROLLUP (shop)) n USING (is_total)
 WHERE n.shop::text IS NOT DISTINCT FROM x.member ORDER BY is_total, member;
SELECT count(*) FILTER (WHERE suppressed) AS suppressed, count(*) FILTER (WHERE suppressed AND (value_before IS NULL AND (numerator_before IS NOT NULL OR denominator_before <> 0) OR value_after IS NULL AND (numerator_after IS NOT NULL OR denominator_after <> 0))) AS shown FROM kpi.compare_periods('moved.few', :january, 'shop');
SELECT member, is_total, value_before, value_after, change FROM kpi.explain_change('moved.few_buyers', :january, 'shop') ORDER BY is_total, member;

-- S6, native privileges: the caller's rows, views and columns.
CREATE ROLE regress_kpi_moved;
CREATE ROLE regress_kpi_moved_owner;
GRANT USAGE ON SCHEMA moved TO regress_kpi_moved, regress_kpi_moved_owner;
GRANT CREATE ON SCHEMA moved TO regress_kpi_moved_owner;
SELECT create_dimension('moved_shop', type => 'int');
CREATE TABLE moved.scoped AS SELECT * FROM sales;
ALTER TABLE scoped OWNER TO regress_kpi_moved_owner;
SET ROLE regress_kpi_moved_owner;
SELECT create_metric('moved.scoped_price', 'SELECT sum(amount) / nullif(sum(qty), 0) FROM moved.scoped'), create_metric('moved.scoped_revenue', 'SELECT sum(amount) FROM moved.scoped');
SELECT create_metric_view('moved.scoped_one', '{day, shop, region}', '{moved.scoped_price, moved.scoped_revenue}'), create_metric_view('moved.scoped_two', '{day, shop}', '{moved.scoped_revenue}');
GRANT SELECT (day, shop, scoped_price) ON scoped_one TO regress_kpi_moved;
GRANT SELECT ON scoped_two TO regress_kpi_moved;
RESET ROLE;
SELECT protect('moved.scoped', 'moved_shop', 'shop');
SELECT grant_scope('regress_kpi_moved', 'moved_shop', members => '{1,3,100}');
SET ROLE regress_kpi_moved;
SELECT member, is_total, value_before, value_after, change FROM kpi.explain_change('moved.scoped_revenue', :january, 'shop');
SELECT member, is_total, round(change, 6) AS change, round(rate_effect, 6) AS rate, round(mix_effect, 6) AS mix FROM kpi.explain_change('moved.scoped_price', :january, 'shop');
RESET ROLE;
BEGIN;
DELETE FROM sales WHERE shop IS NULL OR shop NOT IN (1, 3, 100);
SELECT member, is_total, n0 AS before, n1 AS after FROM parts_by_hand('sum(amount)', 'NULL', 'shop', $$day < '2026-02-01'$$, $$day >= '2026-02-01' AND day < '2026-03-01'$$) ORDER BY is_total, member;
SELECT member, is_total, round(change, 6) AS change, round(rate, 6) AS rate, round(mix, 6) AS mix FROM change_by_hand('sum(amount)', 'sum(qty)', 'shop', $$day < '2026-02-01'$$, $$day >= '2026-02-01' AND day < '2026-03-01'$$) ORDER BY is_total, abs(change) DESC;
ROLLBACK;
-- what the role may not read is not there to choose, and no way around that
SET ROLE regress_kpi_moved;
SELECT refusal($$'moved.scoped_revenue', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'region'$$);
SELECT refusal($$'moved.scoped_revenue', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'shop', 'moved.scoped_one'$$);
SELECT refusal($$'moved.revenue', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'shop', 'moved.by_day'$$);
RESET ROLE;
-- nothing in the caller's search_path stands for what is meant
CREATE SCHEMA moved_trap;
CREATE FUNCTION moved_trap.trap(date, date) RETURNS boolean LANGUAGE sql AS 'SELECT 1 / 0 = 1';
CREATE OPERATOR moved_trap.>= (LEFTARG = date, RIGHTARG = date, FUNCTION = moved_trap.trap);
CREATE OPERATOR moved_trap.< (LEFTARG = date, RIGHTARG = date, FUNCTION = moved_trap.trap);
SET search_path = moved_trap, pg_catalog;
SELECT count(*) FROM kpi.explain_change('moved.price', :january, 'region', 'moved.by_day');
RESET search_path;

DROP SCHEMA moved, moved_trap CASCADE;
SELECT kpi.drop_dimension('moved_shop');
DROP ROLE regress_kpi_moved, regress_kpi_moved_owner;
