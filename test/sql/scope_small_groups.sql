-- S5, A12: min_group_rows is part of a metric's definition: a group of fewer rows has no value, in whatever form it is asked for;
-- and what that does not stop, as the documentation says.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA shop;
SET search_path = shop, kpi, public;
CREATE TABLE pay (id int PRIMARY KEY, team text, grade int, salary int, bonus numeric(8,2));
-- teams of 6, 5, 4 and 1; in C one has no salary
INSERT INTO pay SELECT i, ('{A,A,A,A,A,A,B,B,B,B,B,C,C,C,C,D}'::text[])[i], 1 + i % 2, CASE WHEN i <> 13 THEN 1000 + i END, i * 1.5 FROM generate_series(1, 16) i;
SELECT create_metric('shop.total', 'SELECT sum(salary) FROM shop.pay', min_group_rows => 5), create_metric('shop.mean', 'SELECT avg(salary) FROM shop.pay', min_group_rows => 5), create_metric('shop.heads', 'SELECT count(*) FROM shop.pay', min_group_rows => 5),
  create_metric('shop.bonus', 'SELECT sum(bonus)::numeric(10,2) FROM shop.pay WHERE grade = 1', min_group_rows => 3), create_metric('shop.open_total', 'SELECT sum(salary) FROM shop.pay');
SELECT create_metric('shop.share', 'SELECT total * 1.0 / open_total FROM shop.total, shop.open_total'), create_metric('shop.filled', 'SELECT coalesce(total, -1) FROM shop.total');
SELECT create_metric_view('shop.people', '{id, team, grade, salary}', '{shop.total, shop.mean, shop.heads, shop.bonus, shop.open_total, shop.share, shop.filled}');
SELECT create_metric('shop.narrow', 'SELECT measure(total) FROM shop.people WHERE grade = 1');
SELECT alter_metric_view('shop.people', add_metrics => '{shop.narrow}');
SELECT name, min_group_rows, additivity FROM kpi.metrics WHERE name::text IN ('total', 'mean', 'heads', 'bonus', 'open_total', 'share') ORDER BY 1;

-- S5: by group, as an expert writes it; the rows that count are those the definition reads (bonus: its WHERE; mean: rows, not salaries)
SELECT team, measure(total) AS total, measure(mean)::numeric(8,2) AS mean, measure(heads) AS heads, measure(bonus) AS bonus, measure(share)::numeric(4,2) AS share, measure(filled) AS filled, measure(narrow) AS narrow, count(*) FROM people GROUP BY team ORDER BY team;
SELECT team, measure(total), measure(mean), measure(heads), measure(bonus), measure(narrow) FROM people GROUP BY team EXCEPT ALL
SELECT team, CASE WHEN count(*) >= 5 THEN sum(salary) END, CASE WHEN count(*) >= 5 THEN avg(salary) END, CASE WHEN count(*) >= 5 THEN count(*) END, CASE WHEN count(*) FILTER (WHERE grade = 1) >= 3 THEN sum(bonus) FILTER (WHERE grade = 1) END, CASE WHEN count(*) FILTER (WHERE grade = 1) >= 5 THEN sum(salary) FILTER (WHERE grade = 1) END FROM pay GROUP BY team;
-- total, of all and of few; the metric's own view; nothing at all is no group of enough rows either
SELECT measure(total) AS total, measure(heads) AS heads FROM people;
SELECT measure(total) AS total, measure(mean) AS mean, measure(heads) AS heads, sum(total) AS carried FROM people WHERE team = 'C';
SELECT measure(total) AS total, measure(heads) AS heads FROM people WHERE false;
SELECT * FROM total, heads, bonus, narrow, share;
DELETE FROM pay WHERE team <> 'C';
SELECT total, heads, bonus, share, filled FROM total, heads, bonus, share, filled;
INSERT INTO pay SELECT i, ('{A,A,A,A,A,A,B,B,B,B,B,C,C,C,C,D}'::text[])[i], 1 + i % 2, CASE WHEN i <> 13 THEN 1000 + i END, i * 1.5 FROM generate_series(1, 16) i ON CONFLICT DO NOTHING;
-- ROLLUP and GROUPING SETS at each grain, FILTER, every carrier, CASE carriers, HAVING, ORDER BY, windows, subqueries, CTEs, views
SELECT team, grade, grouping(team, grade), measure(total), count(*) FROM people GROUP BY ROLLUP (team, grade) ORDER BY 1, 2, 3;
SELECT team, grade, measure(total) FROM people GROUP BY CUBE (team, grade) EXCEPT ALL SELECT team, grade, CASE WHEN count(*) >= 5 THEN sum(salary) END FROM pay GROUP BY CUBE (team, grade);
SELECT measure(total) FILTER (WHERE team = 'C') AS few, measure(total) FILTER (WHERE team IN ('C', 'D')) AS enough, sum(CASE WHEN team = 'C' THEN total END) AS case_few, sum(CASE WHEN team IN ('C', 'D') THEN total END) AS case_enough, sum(total) FILTER (WHERE id = 3) AS one FROM people;
SELECT team, sum(total), avg(total), min(total), max(total), sum(mean), count(heads), sum(heads) FROM people WHERE team IN ('B', 'C') GROUP BY team ORDER BY 1;
SELECT team FROM people GROUP BY team HAVING measure(total) > 0 ORDER BY 1;
SELECT team FROM people GROUP BY team HAVING measure(total) IS NULL ORDER BY 1;
SELECT team FROM people GROUP BY team HAVING measure(heads) = 4;
SELECT team FROM people GROUP BY team ORDER BY measure(total) DESC NULLS LAST, team;
SELECT team, rank() OVER (ORDER BY measure(total) NULLS LAST), sum(measure(total)) OVER () FROM people GROUP BY team ORDER BY team;
SELECT measure(total) FROM (SELECT * FROM people WHERE team = 'C') x UNION ALL (WITH c AS MATERIALIZED (SELECT measure(total) FROM people WHERE team = 'C') TABLE c) UNION ALL SELECT (SELECT measure(total) FROM people p WHERE p.team = t) FROM unnest('{C}'::text[]) t;
-- a join does not make a group larger
SELECT team, measure(total) FROM people CROSS JOIN generate_series(1, 3) GROUP BY team;
SELECT g, measure(total) FROM people CROSS JOIN generate_series(1, 2) g WHERE team = 'C' GROUP BY g ORDER BY 1;
CREATE VIEW by_team AS SELECT team, measure(total) AS t, sum(filled) AS f FROM people GROUP BY team;
SELECT * FROM by_team ORDER BY 1;
-- previews, whole rows, extracts and cursors show no single row's contribution
SELECT * FROM people ORDER BY id LIMIT 2;
SELECT to_jsonb(p) FROM people p ORDER BY id LIMIT 1;
SET kpitables.ungrouped = 'error';
SELECT total FROM people LIMIT 1;
RESET kpitables.ungrouped;
COPY (SELECT id, total, heads FROM people ORDER BY id LIMIT 2) TO STDOUT;
-- prepared alike
SET plan_cache_mode = force_generic_plan;
PREPARE by_id AS SELECT measure(total), measure(heads) FROM people WHERE id <= $1;
EXECUTE by_id(4); EXECUTE by_id(5);
RESET plan_cache_mode;

-- the limit is altered, taken away and set again; a new definition keeps it, and so does a definition that is altered by another's
SELECT alter_metric('shop.total', min_group_rows => 4);
EXECUTE by_id(4);
SELECT alter_metric('shop.total', definition => 'SELECT sum(salary + 1) FROM shop.pay WHERE team <> ''X''');
SELECT measure(total) FILTER (WHERE id <= 3) AS three, measure(total) FILTER (WHERE id <= 4) AS four FROM people;
SELECT alter_metric('shop.total', label => 'Total');
SELECT name, min_group_rows, label, additivity FROM kpi.metrics WHERE name = 'total';
SELECT alter_metric('shop.total', min_group_rows => 0);
SELECT measure(total) FILTER (WHERE id = 1) AS one, (SELECT total FROM people WHERE id = 1) AS preview, (SELECT additivity FROM kpi.metrics WHERE name = 'total') FROM people;
SELECT alter_metric('shop.total', definition => 'SELECT sum(salary) FROM shop.pay', min_group_rows => 5);
SELECT measure(total) FILTER (WHERE id <= 4) AS four, measure(total) FILTER (WHERE id <= 5) AS five FROM people;
-- definitions that look like a limit of their own are kept as they are, inside and without one
SELECT create_metric('shop.own_case', 'SELECT CASE WHEN count(*) >= 2 THEN sum(salary) END FROM shop.pay'), create_metric('shop.own_case_limited', 'SELECT CASE WHEN count(*) >= 2 THEN sum(salary) ELSE -1 END FROM shop.pay', min_group_rows => 4);
SELECT alter_metric('shop.own_case', label => 'x'), alter_metric('shop.own_case_limited', min_group_rows => 3), alter_metric_view('shop.people', add_metrics => '{shop.own_case, shop.own_case_limited}');
SELECT n, measure(own_case) FILTER (WHERE id <= n) AS own_case, measure(own_case_limited) FILTER (WHERE id <= n) AS limited FROM people, generate_series(1, 4) n GROUP BY n ORDER BY n;
SELECT alter_metric('shop.own_case_limited', min_group_rows => 0), alter_metric('shop.own_case', min_group_rows => 3);
SELECT n, measure(own_case) FILTER (WHERE id <= n) AS own_case, measure(own_case_limited) FILTER (WHERE id <= n) AS limited FROM people, generate_series(1, 4) n GROUP BY n ORDER BY n;
-- the type, with its modifier, is that of the definition; renames are followed
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shop.bonus'::regclass AND attnum = 1;
ALTER TABLE pay RENAME salary TO wage;
ALTER VIEW total RENAME TO wages;
SELECT alter_metric('shop.wages', min_group_rows => 6);
SELECT measure(total) FILTER (WHERE id <= 5) AS five, measure(total) FILTER (WHERE id <= 6) AS six FROM people;
-- refused: of what is computed from metrics; nonsense
SELECT create_metric('shop.r', 'SELECT total / heads FROM shop.wages, shop.heads', min_group_rows => 5);
SELECT alter_metric('shop.share', min_group_rows => 5);
SELECT create_metric('shop.r', 'SELECT measure(total) FROM shop.people WHERE grade = 1', min_group_rows => 5);
SELECT create_metric('shop.r', 'SELECT sum(wage) FROM shop.pay', min_group_rows => -1);
SELECT alter_metric('shop.wages', min_group_rows => -1);
-- S1 with S5: the rows that count are those that the role may see
CREATE ROLE regress_kpi_owner;
CREATE ROLE regress_kpi_lead;
SELECT create_dimension('team'), protect('shop.pay', 'team', 'team'), grant_scope('regress_kpi_lead', 'team', members => '{C,D}');
GRANT USAGE, CREATE ON SCHEMA shop TO regress_kpi_owner, regress_kpi_lead;
GRANT SELECT ON pay, wages, heads TO regress_kpi_owner;
SET ROLE regress_kpi_owner;
SELECT create_metric_view('shop.own', '{team, grade}', '{shop.wages, shop.heads}');
GRANT SELECT ON own TO regress_kpi_lead;
RESET ROLE;
SET ROLE regress_kpi_lead;
SELECT measure(heads) AS enough FROM own;
SELECT grade, measure(heads), count(*) FROM own GROUP BY grade ORDER BY 1;
RESET ROLE;
-- A12: not stopped, as the documentation says: the total less the other groups, filters that overlap, rows counted by oneself
SELECT measure(heads) - (SELECT sum(h) FROM (SELECT measure(heads) AS h FROM people WHERE team IN ('A', 'B') GROUP BY team) x) AS heads_of_the_others FROM people;
SELECT measure(total) FILTER (WHERE true) - measure(total) FILTER (WHERE id <> 16) AS wage_of_the_one_in_d, sum(wage) FILTER (WHERE team = 'D') AS is FROM people, LATERAL (SELECT wage FROM pay WHERE pay.id = people.id) w;

SELECT unprotect('shop.pay', 'team'), drop_dimension('team');
DROP SCHEMA shop CASCADE;
DROP ROLE regress_kpi_owner, regress_kpi_lead;
