-- metric_small_groups: a metric with min_group_rows has no value for a group of fewer source rows (S5), wherever it is
-- read; the limit comes, changes and goes without touching the rest of the definition.

\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET DateStyle = 'ISO, YMD';
CREATE SCHEMA few;
CREATE TABLE few.visits (shop text, day date, minutes integer);
INSERT INTO few.visits
SELECT shop, date '2026-01-01' + i % 3, i * 3 FROM (VALUES ('a', 1), ('b', 2), ('c', 3), ('d', 12), (NULL, 5)) AS s (shop, n), generate_series(1, n) AS i;
SELECT kpi.create_metric('few.minutes', 'SELECT sum(minutes) FROM few.visits WHERE minutes > 3', min_group_rows => 3),
	   kpi.create_metric('few.visits_count', 'SELECT count(*) FROM few.visits', min_group_rows => 3),
	   kpi.create_metric('few.typed', 'SELECT avg(minutes)::numeric(8,2) FROM few.visits', min_group_rows => 2),
	   kpi.create_metric('few.all', 'SELECT count(*) FROM few.visits');
SELECT kpi.create_metric('few.average', 'SELECT minutes::numeric / nullif(visits_count, 0) FROM few.minutes, few.visits_count');
SELECT kpi.create_metric_view('few.shops', '{shop, day}', '{few.minutes, few.visits_count, few.typed, few.all, few.average}');
SELECT kpi.create_metric('few.first_day', 'SELECT measure(typed) FROM few.shops WHERE day = ''2026-01-01''', min_group_rows => 4);
SELECT kpi.alter_metric_view('few.shops', add_metrics => '{few.first_day}');

-- By hand: the rows that count are those that the metric's own WHERE lets through.
CREATE VIEW few.by_hand AS
SELECT shop, day, grouping, CASE WHEN m >= 3 THEN minutes END AS minutes, CASE WHEN n >= 3 THEN n END AS visits_count, CASE WHEN n >= 2 THEN typed END AS typed, n AS "all",
	   CASE WHEN m >= 3 AND n >= 3 THEN minutes::numeric / n END AS average, CASE WHEN f >= 4 THEN first_day END AS first_day
  FROM (SELECT shop, day, GROUPING(shop, day) AS grouping, count(*) FILTER (WHERE minutes > 3) AS m, sum(minutes) FILTER (WHERE minutes > 3) AS minutes, count(*) AS n, avg(minutes)::numeric(8,2) AS typed,
			   count(*) FILTER (WHERE day = '2026-01-01') AS f, (avg(minutes) FILTER (WHERE day = '2026-01-01'))::numeric(8,2) AS first_day
		  FROM few.visits GROUP BY CUBE (shop, day)) AS g;
SELECT count(*) AS groups, count(minutes) AS minutes, count(visits_count) AS visits_count, count(typed) AS typed, count(average) AS average, count(first_day) AS first_day FROM few.by_hand;
\set governed 'SELECT shop, day, GROUPING(shop, day) AS grouping, kpi.measure(minutes) AS minutes, kpi.measure(visits_count) AS visits_count, kpi.measure(typed) AS typed, kpi.measure("all") AS "all", kpi.measure(average) AS average, kpi.measure(first_day) AS first_day FROM few.shops GROUP BY CUBE (shop, day)'
SELECT count(*) AS differences FROM ((:governed EXCEPT ALL TABLE few.by_hand) UNION ALL (TABLE few.by_hand EXCEPT ALL :governed)) AS d;
-- the same by SUM, in HAVING, under a filter; a narrow WHERE or FILTER makes a small group of a large one
SELECT shop, sum(minutes) AS minutes, count(visits_count) AS visits_count, kpi.measure(minutes) FILTER (WHERE day < '2026-01-02') AS first_day FROM few.shops GROUP BY shop HAVING sum(visits_count) > 0 ORDER BY shop;
SELECT kpi.measure(minutes), kpi.measure(visits_count) FROM few.shops WHERE shop = 'd' AND day = '2026-01-01' AND shop || day = 'd2026-01-01';
SELECT kpi.measure(minutes), kpi.measure(visits_count) FROM few.shops WHERE shop IN ('a', 'b');
SELECT kpi.measure(visits_count), kpi.measure("all") FROM few.shops WHERE false;
-- rows show nothing of it, and it does not count as additive
SELECT DISTINCT ON (shop) shop, minutes, visits_count, "all" FROM (SELECT * FROM few.shops OFFSET 0) AS s ORDER BY shop;
SELECT name, additivity, min_group_rows FROM kpi.metrics WHERE schema = 'few' ORDER BY name;
-- the metric's own view
SELECT minutes IS NOT DISTINCT FROM (SELECT sum(minutes) FROM few.visits WHERE minutes > 3) AS right FROM few.minutes;
SELECT kpi.create_metric('few.none', 'SELECT sum(minutes) FROM few.visits WHERE shop = ''b''', min_group_rows => 3);
TABLE few.none;

-- The limit changes alone, and the definition alone.
SELECT kpi.alter_metric('few.none', min_group_rows => 2);
TABLE few.none;
SELECT kpi.alter_metric('few.none', definition => 'SELECT max(minutes)::bigint FROM few.visits WHERE shop = ''a''');
TABLE few.none;
SELECT kpi.alter_metric('few.none', definition => 'SELECT CASE WHEN count(*) >= 0 THEN max(minutes)::bigint END FROM few.visits WHERE shop = ''a''', min_group_rows => 1, label => 'None');
TABLE few.none;
SELECT kpi.alter_metric('few.none', label => 'Nothing'), kpi.alter_metric('few.none', min_group_rows => 5), kpi.alter_metric('few.none', min_group_rows => 5);
SELECT definition FROM kpi.metrics WHERE name = 'none';
SELECT kpi.alter_metric('few.none', min_group_rows => 0);
SELECT definition FROM kpi.metrics WHERE name = 'none';
SELECT kpi.alter_metric('few.none', min_group_rows => 0), kpi.alter_metric('few.typed', min_group_rows => 0), kpi.alter_metric('few.first_day', min_group_rows => 0);
SELECT metric, type, additivity, definition FROM kpi.metrics WHERE name IN ('typed', 'first_day', 'none') ORDER BY name;
SELECT count(*) AS right FROM (SELECT shop, kpi.measure(typed) AS typed FROM few.shops GROUP BY shop) AS s JOIN (SELECT shop, avg(minutes)::numeric(8,2) AS typed FROM few.visits GROUP BY shop) AS h USING (shop, typed);
-- names that need quotes and types that need care come through
CREATE TYPE few."Mood" AS ENUM ('good', 'bad');
CREATE TABLE few."Über" ("Höhe; --" few."Mood", "select" interval second(1));
INSERT INTO few."Über" VALUES ('good', '1.25'), ('bad', '2.5');
SELECT kpi.create_metric('few."Max"', 'SELECT max("Höhe; --") FROM few."Über" WHERE "select" > ''1 second''', min_group_rows => 3), kpi.create_metric('few.longest', 'SELECT max("select")::interval second(1) FROM few."Über"', min_group_rows => 2);
SELECT kpi.alter_metric('few."Max"', min_group_rows => 2), kpi.alter_metric('few.longest', min_group_rows => 3);
SELECT * FROM few."Max", few.longest;

-- What has no rows of its own has no limit.
SELECT kpi.create_metric('few.derived', 'SELECT minutes + visits_count FROM few.minutes, few.visits_count', min_group_rows => 3);
SELECT kpi.alter_metric('few.average', min_group_rows => 3);
SELECT kpi.alter_metric('few.minutes', definition => 'SELECT visits_count FROM few.visits_count');

-- A metric that is computed from metrics has no value where one of them is withheld, whatever it makes of NULL (S5): derived,
-- derived again, filtered, and where the limit comes later.  Without a limit COALESCE does what it does.
CREATE TABLE few.seen (k text, w text, a numeric);
INSERT INTO few.seen VALUES ('x', 'p', 1), ('x', 'p', 2), ('x', 'q', 3), ('y', 'p', 10), ('z', 'q', NULL), ('z', 'q', NULL), ('z', 'q', NULL);
SELECT kpi.create_metric('few.amount', 'SELECT sum(a) FROM few.seen', min_group_rows => 3), kpi.create_metric('few.rows', 'SELECT count(*) FROM few.seen');
SELECT kpi.create_metric('few.zero', 'SELECT coalesce(amount, 0) FROM few.amount'), kpi.create_metric('few.zero_again', 'SELECT zero + 1 FROM few.zero'),
	   kpi.create_metric('few.per_row', 'SELECT amount / nullif(rows, 0) FROM few.amount, few.rows'), kpi.create_metric('few.is_hidden', 'SELECT amount IS NULL FROM few.amount'),
	   kpi.create_metric('few.at_least', 'SELECT greatest(amount, 5) FROM few.amount'), kpi.create_metric('few.row_text', 'SELECT concat(amount, ''/'', rows) FROM few.amount, few.rows');
SELECT kpi.create_metric_view('few.seen_view', '{k, w}', '{few.amount, few.rows, few.zero, few.zero_again, few.per_row, few.is_hidden, few.at_least, few.row_text}');
SELECT kpi.create_metric('few.p_zero', 'SELECT coalesce(measure(amount), 0) FROM few.seen_view WHERE w = ''p'''),
	   kpi.create_metric('few.p_and_rows', 'SELECT coalesce(measure(amount), 0) + count(*) FROM few.seen_view WHERE w = ''p''', min_group_rows => 1),
	   kpi.alter_metric_view('few.seen_view', add_metrics => '{few.p_zero, few.p_and_rows}');
CREATE VIEW few.answers AS
SELECT k, kpi.measure(amount) AS amount, kpi.measure(zero) AS zero, kpi.measure(zero_again) AS again, round(kpi.measure(per_row), 2) AS per_row, kpi.measure(is_hidden) AS hidden,
	   kpi.measure(at_least) AS at_least, kpi.measure(row_text) AS row_text, kpi.measure(p_zero) AS p_zero, sum(p_and_rows) AS p_and_rows, kpi.measure(zero) FILTER (WHERE w = 'p') AS zero_of_p
  FROM few.seen_view GROUP BY ROLLUP (k);
SELECT * FROM few.answers ORDER BY k;
SELECT k FROM few.seen_view GROUP BY k HAVING sum(zero) = 0 OR max(p_zero) = 0 ORDER BY k;
SELECT kpi.alter_metric('few.amount', min_group_rows => 0);
SELECT * FROM few.answers ORDER BY k;
SELECT kpi.alter_metric('few.amount', min_group_rows => 2);
SELECT * FROM few.answers ORDER BY k;
SELECT metric, additivity, kpi.is_ratio(metric) FROM kpi.metrics WHERE name IN ('zero', 'per_row', 'p_zero') ORDER BY name;
SELECT * FROM kpi.check() WHERE object ~ '^few';

SET client_min_messages = error;
DROP SCHEMA few CASCADE;
SELECT count(*) AS left_behind FROM kpi.metric_registry FULL JOIN kpi.metric_view_registry USING (relid);
