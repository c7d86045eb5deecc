-- C10: kpi.explain_measure() writes what runs, in a text that runs with an empty search path. test/t/230_explain.pl asks this of
-- every statement of every test; here are those that are hard to write. explained() runs a query and its explanation and
-- compares rows as JSON, so that names of columns count.
\getenv abs_srcdir PG_ABS_SRCDIR
\set mart :abs_srcdir '/data/mart.sql'
\i :mart
\set ECHO none
CREATE FUNCTION rows_in_order(query text) RETURNS SETOF json LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
  FOR r IN EXECUTE query LOOP
    RETURN NEXT row_to_json(r);
  END LOOP;
END $$;
CREATE FUNCTION rows_anywhere(query text) RETURNS SETOF json LANGUAGE sql SET search_path = '' AS $$ SELECT * FROM mart.rows_in_order(query) $$;
CREATE FUNCTION explained(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  explanation text;
  wanted text[];
  got text[];
BEGIN
  wanted := array(SELECT r::text FROM mart.rows_in_order(query) r ORDER BY 1);
  explanation := kpi.explain_measure(query);
  got := array(SELECT r::text FROM mart.rows_anywhere(explanation) r ORDER BY 1);
  RETURN CASE WHEN got = wanted THEN 'same ' || cardinality(got) ELSE 'DIFFERENT: ' || explanation END;
EXCEPTION WHEN OTHERS THEN
  RETURN concat(sqlstate, ': ', sqlerrm, ': ', explanation);
END $$;
SELECT create_metric('mart.lines', 'SELECT count(*) FROM mart.orders'), alter_metric_view('mart.sales', add_metrics => '{mart.lines}');
CREATE TABLE regions (region text PRIMARY KEY, manager text, "group" text);
INSERT INTO regions VALUES ('East', 'Ann', 'A'), ('West', 'Bob', 'B'), ('North', 'Ann', 'A'), ('South', 'Eve', 'C');
CREATE VIEW led AS SELECT region AS r, upper(manager) AS boss FROM regions;
CREATE TABLE trip (pu int, fare numeric); INSERT INTO trip VALUES (1, 10), (1, 20), (2, 5);
CREATE VIEW tv AS SELECT * FROM trip;
SELECT create_metric('mart.fares', 'SELECT sum(fare) FROM tv'), create_metric_view('mart.trips', '{pu}', '{mart.fares}');
CREATE FUNCTION fn() RETURNS TABLE (p int, m numeric) LANGUAGE sql STABLE AS 'SELECT pu, kpi.measure(fares) FROM mart.trips GROUP BY pu';
CREATE FUNCTION fm(k int) RETURNS SETOF mart.trips LANGUAGE sql STABLE AS 'SELECT * FROM mart.trips WHERE pu = k';
CREATE FUNCTION fr() RETURNS SETOF record LANGUAGE sql STABLE AS 'SELECT region, kpi.measure(revenue) FROM mart.sales GROUP BY 1';
\pset format unaligned
\pset tuples_only on
\set ECHO all

-- names and rows of joins, of functions in FROM, of views; whole rows
SELECT explain_measure('SELECT j.manager, measure(j.revenue) FROM (sales s JOIN regions r ON r.region = s.region) j GROUP BY 1');
SELECT explain_measure('SELECT row_to_json(t) FROM trips t');
SELECT explain_measure('SELECT sum(m) FROM fn()');
SELECT explained(q) AS answer, q AS query FROM (VALUES
  ('SELECT j.manager, measure(j.revenue), count(j) FROM (sales s JOIN regions r ON r.region = s.region) j GROUP BY 1'), ('SELECT row_to_json(j) FROM (trips t LEFT JOIN regions r ON false) j(a, b, c)'),
  ('SELECT x.r, measure(x.revenue) FROM (sales JOIN regions USING (region)) x(r) GROUP BY 1'), ('SELECT row_to_json(ju), measure(revenue) FROM regions JOIN sales USING (region) AS ju GROUP BY region'),
  ('SELECT region, manager, measure(revenue) FROM regions NATURAL FULL JOIN sales GROUP BY 1, 2'), ('SELECT boss, measure(revenue) FROM sales JOIN led ON r = region GROUP BY 1'), ('SELECT measure(fares) FROM trips'),
  ('SELECT sum(f.m), (SELECT m FROM fn() AS g(a, m) WHERE a = 1) FROM fn() f'), ('SELECT row_to_json(f) FROM fn() AS f(a)'), ('SELECT g.a, measure(g.b), (SELECT measure(fares) FROM fm(g.a)) FROM fm(1) AS g(a, b) GROUP BY 1'),
  ('SELECT b, t FROM fr() AS t(a text, b numeric)'), ('SELECT row_to_json(t), t FROM trips t'), ('SELECT to_jsonb(x) FROM (SELECT pu AS p, fares AS f FROM trips) x'), ('SELECT (c.r).f FROM (SELECT x AS r FROM (SELECT pu AS p, fares AS f FROM trips) x) c'),
  ('SELECT json_agg(x ORDER BY p), measure(x.f) FROM (SELECT pu AS p, fares AS f FROM trips) x'), ('WITH c AS (SELECT pu AS p, fares AS f FROM trips) SELECT row_to_json(c), (SELECT measure(f) FROM c d WHERE d.p = c.p) FROM c'),
  ('SELECT row_to_json(s), row_to_json(x) FROM regions r LEFT JOIN sales s ON s.region = r.region AND s.id < 14 LEFT JOIN (SELECT city, revenue AS v FROM sales WHERE id = 3) x ON x.city = s.city'),
  ('SELECT x.*, row_to_json(x), row_to_json(y) FROM (SELECT region, measure(revenue), measure(aov) FROM sales GROUP BY 1) x LEFT JOIN (SELECT region AS r, 1 AS "a""b", 2 AS "a""b" FROM regions) y ON r = region'), ('SELECT s.d, measure(s.k) FROM sales s(a, b, c, d, e, f, g, h, i, j, k) GROUP BY 1'), ('SELECT x.m, row_to_json(x) FROM (sales s JOIN regions r USING (region)) AS j, LATERAL (SELECT j AS m) x WHERE j.id < 5'),
  ('SELECT x.a, s.revenue FROM sales s FULL JOIN regions r USING (region), unnest(ARRAY[region, manager]) x(a) WHERE s.id < 9')
) v(q);

-- a column that is brought up and has the name of another; names that are keywords or temporary
CREATE SCHEMA "Odd Schema"; CREATE TABLE "Odd Schema"."select" ("from" text, "Ünït" numeric, "a""b" int UNIQUE, old int, new int);
INSERT INTO "Odd Schema"."select" VALUES ('x', 1.5, 1, 1, 2), ('y', 2.5, 2, 3, 4), (NULL, 4, 3, 5, 6);
SELECT create_metric('"Odd Schema"."group"', 'SELECT sum("Ünït") FROM "Odd Schema"."select"'), create_metric_view('"Odd Schema"."where"', '{"\"from\"", "\"a\"\"b\"", old, new}', '{"\"Odd Schema\".\"group\""}');
CREATE TEMP TABLE names (region text PRIMARY KEY, n text); INSERT INTO names VALUES ('East', 'e'), ('West', 'w'); CREATE TEMP TABLE orders AS SELECT 1 AS one;
CREATE VIEW un(a, b) AS SELECT region, measure(revenue) FROM sales GROUP BY 1 UNION ALL SELECT 'x', 7; ALTER VIEW un RENAME b TO c; CREATE VIEW rn AS SELECT region, revenue, city FROM sales; ALTER VIEW rn RENAME city TO town;
SELECT explained(q) AS answer, q AS query FROM (VALUES
  ('SELECT x.status, x.amount, measure(x.revenue) FROM (SELECT region AS status, city AS amount, revenue FROM sales) x GROUP BY 1, 2'), ('SELECT amount, measure(revenue) FROM (SELECT region AS amount, revenue FROM sales) x JOIN (SELECT region AS amount FROM regions) r USING (amount) GROUP BY amount'),
  ('WITH c AS (SELECT region AS status, revenue FROM sales) SELECT c.status, (SELECT measure(revenue) FROM c d WHERE d.status = c.status) FROM c JOIN (VALUES (''East'')) v(status) USING (status)'),
  ('SELECT "where"."a""b", measure("where"."group") AS "select", sum("group") AS "Sum of ""group""" FROM "Odd Schema"."where" GROUP BY 1'), ('SELECT old.old, new.new, measure(old."group") FROM "Odd Schema"."where" old JOIN "Odd Schema"."select" new ON new."a""b" = old."a""b" AND new.ctid IS NOT NULL GROUP BY 1, 2, new.ctid'),
  ('SELECT n, measure(revenue), (SELECT one FROM orders) FROM sales JOIN names USING (region) GROUP BY n'), ('WITH orders AS (SELECT 7 AS x), sales AS (SELECT * FROM mart.sales) SELECT measure(revenue), (SELECT x FROM orders), (SELECT count(*) FROM mart.orders) FROM sales'),
  ('SELECT c, u FROM un u'), ('SELECT town, measure(revenue) FROM rn GROUP BY 1'), ('SELECT row_to_json(rn) FROM rn WHERE town = ''Ulm''')
) v(q);
DROP TABLE pg_temp.orders;

-- keys that the output hides, keys of grouping sets, aggregates of a query around, volatile and lateral columns
SELECT explained(q) AS answer, q AS query FROM (VALUES
  ('SELECT -id AS id, region FROM sales ORDER BY sales.id LIMIT 3'), ('SELECT DISTINCT ON (sales.region) upper(region) AS region, id, revenue FROM sales ORDER BY sales.region, id DESC'), ('SELECT upper(region) AS city, city AS region, measure(revenue) FROM sales GROUP BY sales.region, sales.city ORDER BY sales.region, sales.city LIMIT 4'),
  ('SELECT region AS a, region AS b, measure(revenue) FROM sales GROUP BY ROLLUP (1, 2)'), ('SELECT x.a, x.b, measure(revenue), grouping(x.a, x.b) FROM (SELECT region AS a, region AS b, revenue FROM sales) x GROUP BY ROLLUP (1, 2)'), ('SELECT x.k, x.m, measure(revenue) FROM (SELECT date_trunc(''month'', day) AS m, ''all'' AS k, revenue FROM sales) x GROUP BY CUBE (1, 2)'),
  ('SELECT o.city, (SELECT measure(o.lines) FROM regions LIMIT 1), (SELECT max(x.c) FROM (SELECT o.city AS c FROM sales s WHERE s.id < 3) x) FROM sales o GROUP BY city'), ('SELECT max(x.a), count(DISTINCT x.b) > 1 FROM (SELECT id AS a, random() AS b FROM sales) x'),
  ('SELECT r.region, x.* FROM regions r, LATERAL (SELECT id, revenue FROM sales s WHERE s.region = r.region AND id < 9) x'), ('SELECT left(s.city, 1) AS l, measure(revenue) = (SELECT sum(amount) FROM mart.orders o WHERE left(o.city, 1) = s.l) FROM (SELECT left(city, 1) AS l, city, revenue FROM sales) s GROUP BY s.l, s.city'),
  ('SELECT * FROM sales UNION ALL SELECT * FROM sales'), ('(SELECT region AS k, measure(revenue) AS v FROM sales GROUP BY 1 ORDER BY 2 LIMIT 1) UNION ALL SELECT city, 1 FROM sales EXCEPT SELECT ''x'', 1'), ('VALUES ((SELECT measure(revenue) FROM sales), 1), (2, 3)'),
  ('SELECT id, revenue FROM sales WHERE id < 4 FOR UPDATE'), ('SELECT measure(s.revenue) FROM sales s JOIN regions r TABLESAMPLE system (100) REPEATABLE (1) USING (region)'),
  ('WITH RECURSIVE c(n, r) AS (SELECT 1, measure(revenue) FROM sales UNION ALL SELECT n % 3 + 1, r FROM c) SEARCH DEPTH FIRST BY n SET o CYCLE n SET hit USING path SELECT n, r, hit FROM c ORDER BY o'),
  ('SELECT region, rank() OVER w, sum(measure(revenue)) OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM sales GROUP BY 1 WINDOW w AS (ORDER BY measure(revenue) DESC, region)')
) v(q);
SELECT refusal('SELECT explain_measure(''WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 4) SEARCH BREADTH FIRST BY n SET o SELECT n, (SELECT measure(revenue) FROM sales) FROM c ORDER BY o'')');

-- operators that their names do not mean with an empty search path; constants under settings; parameters
CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE tone AS ENUM ('low', 'LOW', 'high', 'HIGH');
CREATE FUNCTION compared(tone, tone) RETURNS int LANGUAGE sql IMMUTABLE STRICT RETURN CASE WHEN lower($1::text) < lower($2::text) THEN -1 WHEN lower($1::text) > lower($2::text) THEN 1 ELSE 0 END;
SELECT format('CREATE FUNCTION %s(tone, tone) RETURNS bool LANGUAGE sql IMMUTABLE STRICT RETURN mart.compared($1, $2) %s 0', name, op), format('CREATE OPERATOR mart.%s (leftarg = tone, rightarg = tone, procedure = %s)', op, name)
FROM (VALUES ('lt', '<'), ('le', '<='), ('eq', '='), ('ge', '>='), ('gt', '>')) v(name, op) \gexec
CREATE OPERATOR CLASS tones DEFAULT FOR TYPE tone USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 compared(tone, tone);
CREATE TABLE notes (t tone, n int); INSERT INTO notes VALUES ('low', 1), ('LOW', 2), ('high', 4), (NULL, 8);
SELECT create_metric('mart.heard', 'SELECT sum(n) FROM notes'), create_metric_view('mart.sounds', '{t, n AS k}', '{mart.heard}');
SELECT explained(q) AS answer, q AS query FROM (VALUES
  ('SELECT t, measure(heard) FROM sounds WHERE t = ''LOW'' GROUP BY 1'), ('SELECT nullif(t, ''LOW'') AS n, t IS DISTINCT FROM ''HIGH'' AS d, CASE t WHEN ''LOW'' THEN 1 WHEN ''HIGH'' THEN 2 END AS c, measure(heard) FROM sounds GROUP BY 1, 2, 3'),
  ('SELECT measure(heard) FROM sounds WHERE t IN (''LOW'', ''HIGH'')'), ('SELECT measure(heard) FROM sounds WHERE t IN (SELECT ''LOW''::tone)'), ('SELECT measure(heard) FROM sounds WHERE (k, t) IN (SELECT 2, ''low''::tone)'), ('SELECT measure(heard) FROM sounds WHERE (t, k) NOT IN (SELECT ''low''::tone, 2)'),
  ('SELECT k, (k, t) = (SELECT 2, ''low''::tone) AS e, (k, t) < (SELECT 2, ''high''::tone) AS l FROM sounds'), ('SELECT k, (k, t) < (2, ''HIGH'') AS a, (k, t) >= (2, ''low'') AS b, (t, k) <= (''low'', 1) AS c FROM sounds'),
  ('SELECT a.t, measure(a.heard) FROM sounds a JOIN (SELECT ''LOW''::tone AS t LIMIT 1) b USING (t) GROUP BY 1')
) v(q);
SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard'; SET timezone = 'Asia/Shanghai'; SET bytea_output = 'escape'; SET quote_all_identifiers = on; SET standard_conforming_strings = off; SET escape_string_warning = off;
SELECT explained(q) AS answer, q AS query FROM (VALUES
  ('SELECT region COLLATE folded, measure(revenue) FROM sales WHERE day > ''01/02/2024'' AND day + interval ''-1 2:00:00'' < timestamptz ''03/04/2024 08:00'' AND city <> ''a\\\\b'' AND ''\\\\x00''::bytea <> city::bytea GROUP BY 1'),
  ('SELECT measure(revenue), ''mart.orders''::regclass::oid = ''orders''::regclass::oid, ARRAY[''2024-02-29''::date]::text FROM sales')
) v(q);
RESET ALL; SET search_path = mart, kpi, public; SET client_min_messages = warning;
SELECT explain_measure('SELECT measure(revenue) FROM sales WHERE qty < $1 AND region <> $2 LIMIT $3');

-- row security: written out, in ON beside an outer join, in a subquery in a full join; nothing is shown to who may not read
CREATE ROLE kpi_explain_owner; CREATE ROLE kpi_explain_reader;
CREATE TABLE visits (id int PRIMARY KEY, lost int, region text, v int); INSERT INTO visits SELECT i, 0, (ARRAY['East', 'West', 'North'])[1 + i % 3], i FROM generate_series(1, 30) i; ALTER TABLE visits DROP COLUMN lost;
CREATE TABLE areas (region text PRIMARY KEY, lost int, note text, open bool); INSERT INTO areas VALUES ('East', 0, 'e', true), ('West', 0, 'w', false), ('South', 0, 's', true); ALTER TABLE areas DROP COLUMN lost;
ALTER TABLE visits OWNER TO kpi_explain_owner; ALTER TABLE areas OWNER TO kpi_explain_owner; GRANT ALL ON SCHEMA mart TO kpi_explain_owner; GRANT USAGE ON SCHEMA mart TO kpi_explain_reader; GRANT SELECT ON mart.formulas TO kpi_explain_owner, kpi_explain_reader;
ALTER TABLE visits ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; ALTER TABLE areas ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON visits TO kpi_explain_owner USING (v > 3 AND region IN (SELECT region FROM mart.areas)); CREATE POLICY open ON areas TO kpi_explain_owner USING (open);
SET ROLE kpi_explain_owner;
SELECT create_metric('mart.visited', 'SELECT sum(v) FROM visits'), create_metric_view('mart.seen', '{id, region}', '{mart.visited}'); GRANT SELECT ON mart.seen TO kpi_explain_reader;
SELECT explain_measure('SELECT note, measure(visited) FROM seen LEFT JOIN areas a USING (region) GROUP BY 1');
SELECT explained(q) AS answer, q AS query FROM (VALUES
  ('SELECT region, measure(visited) FROM seen GROUP BY 1'), ('SELECT a, a.note, a.tableoid = ''areas''::regclass AS here, measure(visited) FROM seen LEFT JOIN areas a USING (region) GROUP BY a.region'), ('SELECT note, measure(visited) FROM areas RIGHT JOIN seen USING (region) GROUP BY 1'),
  ('SELECT to_jsonb(a), count(a.ctid), measure(visited) FROM areas a FULL JOIN seen USING (region) GROUP BY a.region, to_jsonb(a)'), ('SELECT id, visited FROM seen')
) v(q);
SET ROLE kpi_explain_reader;
SELECT refusal('SELECT kpi.explain_measure(''SELECT region, measure(visited) FROM mart.seen JOIN mart.areas USING (region) GROUP BY 1'')');
SELECT kpi.explain_measure('SELECT measure(visited) FROM mart.seen');
RESET ROLE; REVOKE SELECT ON visits FROM kpi_explain_owner; SET ROLE kpi_explain_reader;
SELECT refusal('SELECT kpi.measure(visited) FROM mart.seen'), refusal('SELECT kpi.explain_measure(''SELECT kpi.measure(visited) FROM mart.seen'')');
RESET ROLE;

-- changes
CREATE TABLE ident (id int GENERATED ALWAYS AS IDENTITY, n numeric DEFAULT 7, r text);
BEGIN;
SELECT explained(q) AS answer, q AS query FROM (VALUES
  ('UPDATE sales SET city = ''Ulm'' WHERE id = 1 RETURNING id, city'), ('UPDATE mart.orders o SET list = x.m FROM (SELECT region, measure(units) AS m FROM sales GROUP BY 1) x WHERE x.region = o.region AND o.id < 9 RETURNING o.id, x.m'),
  ('INSERT INTO ident (r, n) SELECT region, measure(revenue) FROM sales GROUP BY 1 RETURNING r, n'), ('INSERT INTO ident (r) VALUES ((SELECT max(region) || measure(lines) FROM sales)), (DEFAULT) RETURNING n, r')
) v(q);
ROLLBACK;
\set ECHO none
RESET search_path;
DROP SCHEMA mart, "Odd Schema" CASCADE;
DROP ROLE kpi_explain_owner, kpi_explain_reader;
