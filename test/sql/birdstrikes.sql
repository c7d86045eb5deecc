-- Real input: 10,000 reports of wildlife striking aircraft (test/data/README.md). Strikes, damage rate, total and mean cost
-- per strike and the share of strikes at night, by operator, state, phase of flight, year and month, against SQL by hand.
\getenv abs_srcdir PG_ABS_SRCDIR
\set csv :abs_srcdir '/data/birdstrikes.csv'
SET client_encoding = 'UTF8';
SET datestyle = 'ISO';
CREATE SCHEMA faa;
SET search_path = faa, kpi, public;
CREATE TABLE strikes (airport text, aircraft text, damage text, day date NOT NULL, operator text, state text, phase text, size text, species text, time_of_day text,
  cost_other numeric NOT NULL, cost_repair numeric NOT NULL, cost_total numeric NOT NULL, speed integer);
COPY strikes FROM :'csv' (FORMAT csv, HEADER, NULL '');
ANALYZE strikes;
SELECT count(*), min(day), max(day), count(DISTINCT operator) AS operators, count(DISTINCT state) AS states, count(*) - count(state) AS no_state, count(*) - count(speed) AS no_speed, sum(cost_total) AS cost FROM strikes;

SELECT create_metric('faa.strike_count', 'SELECT count(*) FROM faa.strikes', label => 'Strikes', direction => 'down');
SELECT create_metric('faa.damaging', $$ SELECT count(*) FROM faa.strikes WHERE damage <> 'None' $$, label => 'Strikes with damage');
SELECT create_metric('faa.damage_rate', 'SELECT damaging::numeric / nullif(strike_count, 0) FROM faa.damaging, faa.strike_count', label => 'Damage rate');
SELECT create_metric('faa.cost', 'SELECT sum(cost_total) FROM faa.strikes', label => 'Total cost', unit => 'USD');
SELECT create_metric('faa.mean_cost', 'SELECT cost / nullif(strike_count, 0) FROM faa.cost, faa.strike_count', label => 'Mean cost of a strike', unit => 'USD');
SELECT create_metric('faa.night_share', $$ SELECT (count(*) FILTER (WHERE time_of_day = 'Night'))::numeric / nullif(count(time_of_day), 0) FROM faa.strikes $$, label => 'Share of strikes at night');
SELECT create_metric('faa.median_speed', 'SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY speed) FROM faa.strikes', unit => 'kn');
SELECT create_metric('faa.species', $$ SELECT count(DISTINCT species) FROM faa.strikes WHERE species NOT LIKE 'Unknown%' $$, label => 'Species identified');
SELECT create_metric_view('faa.bi', dimensions => '{day, "extract(year FROM day)::int AS year", "date_trunc(''month'', day)::date AS month", operator, state, phase, size, time_of_day, "trim(operator, ''*'') AS airline"}',
  metrics => '{faa.strike_count, faa.damaging, faa.damage_rate, faa.cost, faa.mean_cost, faa.night_share, faa.median_speed, faa.species}', time_dimension => 'month');
CREATE VIEW measured AS SELECT name, metric, additivity FROM kpi.measures WHERE metric_view = 'faa.bi'::regclass;
SELECT * FROM measured ORDER BY 1;

-- one grouping after the other: rows that only one of both has, and how many were compared
CREATE FUNCTION compare(keys text, written_keys text, condition text DEFAULT 'true') RETURNS TABLE (different bigint, compared bigint) LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE format($q$
    WITH m AS MATERIALIZED (SELECT concat_ws('|', %1$s) AS key, grouping(%1$s), ROW(measure(strike_count), measure(damaging), measure(damage_rate), measure(cost), measure(mean_cost), measure(night_share), measure(median_speed), measure(species))::text AS r
           FROM faa.bi WHERE %3$s GROUP BY ROLLUP (%1$s)),
    w AS MATERIALIZED (SELECT concat_ws('|', %2$s) AS key, grouping(%2$s), ROW(count(*), count(*) FILTER (WHERE damage <> 'None'), (count(*) FILTER (WHERE damage <> 'None'))::numeric / nullif(count(*), 0), sum(cost_total), sum(cost_total) / nullif(count(*), 0),
           (count(*) FILTER (WHERE time_of_day = 'Night'))::numeric / nullif(count(time_of_day), 0), percentile_cont(0.5) WITHIN GROUP (ORDER BY speed), count(DISTINCT species) FILTER (WHERE species NOT LIKE 'Unknown%%'))::text AS r
           FROM faa.strikes WHERE %3$s GROUP BY ROLLUP (%2$s))
    SELECT (SELECT count(*) FROM ((TABLE m EXCEPT ALL TABLE w) UNION ALL (TABLE w EXCEPT ALL TABLE m)) d), (SELECT count(*) FROM m)$q$, keys, written_keys, condition);
END $$;
SELECT k.keys, c.* FROM (VALUES ('operator', 'operator', 'true'), ('state', 'state', 'true'), ('phase', 'phase', 'true'), ('year', 'extract(year FROM day)::int', 'true'), ('month', 'date_trunc(''month'', day)::date', 'true'),
  ('state, phase', 'state, phase', 'operator <> ''MILITARY'''), ('year, operator', 'extract(year FROM day)::int, operator', 'state = ''Texas'' AND day >= ''1995-06-01'''), ('time_of_day, size, phase', 'time_of_day, size, phase', 'true'),
  ('airline', 'trim(operator, ''*'')', 'time_of_day = ''Night'''), ('phase', 'phase', 'state = ''Atlantis''')) k(keys, written, condition), LATERAL compare(keys, written, condition) c;

-- and what people look at
SELECT phase, measure(strike_count) AS strikes, round(measure(damage_rate), 4) AS damage_rate, measure(cost) AS cost, round(measure(mean_cost)) AS mean_cost, round(measure(night_share), 3) AS at_night
FROM bi GROUP BY ROLLUP (phase) ORDER BY grouping(phase), strikes DESC, phase;
SELECT phase, count(*) AS strikes, round(avg((damage <> 'None')::int), 4) AS damage_rate, sum(cost_total) AS cost, round(avg(cost_total)) AS mean_cost, round(avg((time_of_day = 'Night')::int), 3) AS at_night
FROM strikes GROUP BY ROLLUP (phase) ORDER BY grouping(phase), strikes DESC, phase;
-- a filtered metric, a client's SUM(CASE ..) and a filter say the same
SELECT create_metric('faa.night_cost', $$ SELECT measure(mean_cost) FROM faa.bi WHERE time_of_day = 'Night' $$), alter_metric_view('faa.bi', add_metrics => '{faa.night_cost}');
SELECT count(*) AS years, bool_and(a IS NOT DISTINCT FROM b AND b IS NOT DISTINCT FROM c AND c IS NOT DISTINCT FROM w) AS same FROM
  (SELECT year, measure(night_cost) AS a, avg(CASE WHEN time_of_day = 'Night' THEN mean_cost END) AS b, measure(mean_cost) FILTER (WHERE time_of_day = 'Night') AS c FROM bi GROUP BY year) m
  FULL JOIN (SELECT extract(year FROM day)::int AS year, sum(cost_total) / nullif(count(*), 0) AS w FROM strikes WHERE time_of_day = 'Night' GROUP BY 1) w USING (year);
-- the extract that a client sums
CREATE TABLE extract AS SELECT * FROM bi;
SELECT (SELECT sum(cost) FROM extract) = measure(cost) AS cost, (SELECT sum(strike_count) FROM extract) = measure(strike_count) AS strikes FROM bi;

SET client_min_messages = warning;
DROP SCHEMA faa CASCADE;
