-- M11: sources of rows that no index tells of: literal rows, arrays, series, numbered rows, one-to-one functions of a key, and
-- anti-joins. For each there is its neighbour that does multiply and is refused. The metric's rows stand in several of the groups,
-- so that a join that was let through wrongly gives another number.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET TIME ZONE 'Europe/Berlin';
SET datestyle = 'ISO';
CREATE SCHEMA src;
SET search_path = src, kpi, public;
CREATE TABLE sale (id int PRIMARY KEY, city text, code char(4), day date, at timestamptz, local timestamp, price numeric, amount numeric);
INSERT INTO sale VALUES (1, 'A', 'x', '2026-01-31', '2026-03-29 03:00+02', '2026-03-29 02:00', 1, 100), (2, 'A', 'y', '2026-01-31', '2026-10-25 00:00+02', '2026-01-31', 1.0, 20),
  (3, 'B', 'x', '2026-02-28', '2026-10-26 00:00+01', '2026-02-28', 2, 3), (4, 'B', NULL, '2026-03-28', NULL, '2026-03-28 12:00', NULL, 0.4), (5, NULL, 'z', NULL, '2026-02-28 00:00+01', NULL, 0, 5000);
CREATE TABLE bridge (grp text, city text, note int NOT NULL);                        -- no key at all
INSERT INTO bridge VALUES ('g', 'A', 1), ('g', 'B', 2), ('h', 'A', 3), ('g', 'A', 4), (NULL, NULL, 5), (NULL, 'A', 6);
CREATE TABLE pin (k int PRIMARY KEY, ts timestamp UNIQUE, d date UNIQUE, name name UNIQUE, c char(4) UNIQUE, f float8 UNIQUE);
INSERT INTO pin VALUES (1, '2026-03-29 02:00', '2026-01-31', 'A', 'x', 1), (2, '2026-03-29 03:00', '2026-02-28', 'B', 'y', 2), (3, '2026-01-01', '2011-12-30', 'C', 'z', 3), (4, '2026-01-02', '2011-12-31', 'D', 'w', 4);
SELECT create_metric('src.revenue', 'SELECT sum(amount) FROM src.sale'), create_metric('src.buys', 'SELECT count(DISTINCT id) FROM src.sale'), create_metric('src.low', 'SELECT min(amount) FROM src.sale'),
  create_metric('src.top', 'SELECT max(amount) FROM src.sale'), create_metric('src.any_big', 'SELECT bool_or(amount > 50) FROM src.sale'), create_metric('src.names', 'SELECT array_agg(DISTINCT city) FROM src.sale'),
  create_metric('src.few_top', 'SELECT max(amount) FROM src.sale', min_group_rows => 2);
SELECT create_metric('src.span', 'SELECT top - low FROM src.top, src.low'), create_metric('src.per_buy', 'SELECT revenue / buys FROM src.revenue, src.buys');
SELECT create_metric_view('src.sales', '{id, city, code, day, at, local, price}', '{src.revenue, src.buys, src.low, src.top, src.any_big, src.names, src.few_top, src.span, src.per_buy}');

-- the answer of a statement in one line, or its SQLSTATE
CREATE FUNCTION answer(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE 'SELECT string_agg(t::text, '' '' ORDER BY t::text) FROM (' || query || ') t' INTO r;
  RETURN coalesce(r, 'no row');
EXCEPTION WHEN OTHERS THEN RETURN sqlstate;
END $$;
-- the revenue of the rows that have a partner, which is what a join that does not multiply gives
CREATE FUNCTION joined(text, text) RETURNS TABLE (source text, condition text, measured text, counted_once text, verdict text) LANGUAGE plpgsql AS $$
BEGIN
  joined.source := $1;
  joined.condition := $2;
  measured := answer(format('SELECT measure(revenue) FROM sales s JOIN %s ON %s', $1, $2));
  EXECUTE format('SELECT (SELECT ROW(sum(amount))::text FROM sale s WHERE EXISTS (SELECT FROM %s WHERE %s)), (SELECT count(*) > count(DISTINCT id) FROM sale s JOIN %1$s ON %2$s)', $1, $2)
    INTO counted_once, verdict;
  verdict := CASE WHEN measured = counted_once THEN 'right' WHEN measured = 'KP004' AND verdict::boolean THEN 'refused, multiplies' WHEN measured = 'KP004' THEN 'refused' ELSE 'WRONG' END;
  RETURN NEXT;
END $$;

-- harmless
SELECT j.* FROM (VALUES
  ('(VALUES (''A''), (''B'')) t(k)', 't.k = s.city'), ('(VALUES (''A'', 1), (''B'', 2), (NULL, 3), (NULL, 4)) t(k, x)', 't.k = s.city'), ('(VALUES (''A''), (NULL)) t(k)', 't.k IS NOT DISTINCT FROM s.city'),
  ('(VALUES (''A'', ''x''), (''A'', ''y''), (''B'', ''x'')) t(k, c)', 't.k = s.city AND t.c = s.code'), ('(VALUES (1.0), (2.00)) t(k)', 't.k = s.price'), ('(VALUES (date ''2026-01-31''), (''2026-02-28'')) t(k)', 't.k = s.day'),
  ('(WITH c(k) AS (VALUES (''A''), (''B'')) SELECT k AS k, now() AS n FROM c) t', 't.k = s.city'), ('(SELECT ''A'' AS k UNION ALL SELECT ''B'' UNION ALL SELECT NULL UNION ALL SELECT NULL) t', 't.k = s.city'),
  ('(VALUES (1), (2) UNION ALL SELECT 3.5 UNION ALL SELECT 4 WHERE random() < 2) t(k)', 't.k = s.id'), ('(SELECT ''a'' AS k UNION ALL SELECT ''b'') t', 'upper(t.k) = s.city'), ('(SELECT ''A'' AS k, 1 AS x UNION SELECT ''B'', 1) t', 't.k = s.city'),
  ('(SELECT ''A'' AS k UNION SELECT city FROM bridge) t', 't.k = s.city'), ('(SELECT ''A''::text AS k INTERSECT ALL SELECT city FROM bridge) t', 't.k = s.city'),
  ('unnest(ARRAY[''A'', ''B'']) t', 't = s.city'), ('unnest(''{A,B}''::text[]) t', 't = s.city'), ('unnest(string_to_array(''A,B'', '','')) t', 't = s.city'), ('unnest(ARRAY[1, 2, NULL, NULL]) t', 't = s.id'), ('(SELECT unnest(ARRAY[1, 3]) AS k) t', 't.k = s.id'),
  ('unnest(ARRAY[''A'', ''A'']) WITH ORDINALITY t(k, n)', 't.n = s.id'), ('ROWS FROM (unnest(ARRAY[1, 2]), generate_series(1, 9)) t(k, n)', 't.k = s.id'), ('generate_subscripts(ARRAY[5, 6, 7], 1) t', 't = s.id'),
  ('generate_series(1, 3) t', 't = s.id'), ('generate_series(1, 3, s.id) t', 't = s.id'), ('generate_series(0.5, 4, 0.5) t', 't = s.price'), ('(SELECT generate_series(1, 3) AS k) t', 't.k = s.id'), ('(SELECT g * 2 - 1 AS k FROM generate_series(1, 3) g) t', 't.k = s.id'),
  ('(SELECT generate_series(1, (SELECT count(*) FROM sale)) AS k) t', 't.k = s.id'), ('(SELECT generate_series(1, 3) AS k, generate_series(1, 5) AS m) t', 't.k = s.id'), ('generate_series(date ''2026-01-31'', ''2026-03-31'', ''1 day'') t', 't = s.day'),
  ('generate_series(date ''2026-01-31'', ''2026-03-31'', ''1 day'') t', 't::date = s.day'), ('generate_series(date ''2026-01-31'', ''2026-03-31'', ''1 mon'') t', 't::date = s.day'), ('generate_series(timestamp ''2026-03-31'', ''2026-01-01'', ''-1 mon -1 day'') t', 't::date = s.day'),
  ('generate_series(timestamp ''2026-01-31'', ''2026-03-31'', ''24 hours'') t', 't::date = s.day'), ('generate_series(timestamp ''2026-03-28'', ''2026-03-30'', ''30 minutes'') t', 't = s.local'), ('generate_series(timestamptz ''2026-03-28'', ''2026-03-30'', ''30 minutes'') t', 't = s.at'),
  ('(SELECT generate_series(min(day), max(day), ''1 day'')::date AS k FROM sale) t', 't.k = s.day'), ('(SELECT date ''2026-01-30'' + n AS k FROM generate_series(0, 60) n) t', 't.k = s.day'), ('(SELECT date_trunc(''month'', d)::date AS k FROM generate_series(timestamp ''2026-01-31'', ''2026-03-31'', ''1 mon'') d) t', 't.k = date_trunc(''month'', s.local)'),
  ('(SELECT d FROM generate_series(date ''2026-01-01'', ''2026-12-01'', ''3 mons'') d) t', 'date_trunc(''quarter'', t.d::date)::date = s.day - 30'), ('(SELECT DISTINCT d::date AS k FROM generate_series(timestamp ''2026-01-31'', ''2026-03-31'', ''1 hour'') d) t', 't.k = s.day'), ('(SELECT *, row_number() OVER (PARTITION BY city ORDER BY note) AS n FROM bridge) t', 't.city = s.city AND t.n = 1'), ('(SELECT DISTINCT city, 1 AS hit FROM bridge) t', 't.city = s.city'),
  ('(SELECT DISTINCT ON (city) city, note FROM bridge ORDER BY city, note) t', 't.city = s.city'), ('(SELECT k, d, count(*) FROM pin GROUP BY k, d) t', 't.k = s.id'),
  ('pin t', 't.k::text = s.id::text'), ('pin t', 't.k::bigint = s.id'), ('pin t', 't.k + 1 = s.id'), ('pin t', 't.d::text = s.day::text'), ('pin t', 't.name::text = s.city'), ('pin t', 't.c = s.code'), ('pin t', 't.c::text = s.code::text'), ('pin t', 't.k::float8 = s.id'), ('pin t', 't.d = date_trunc(''day'', s.at)'), ('pin t', 't.d = s.at::date')
) v(source, condition), joined(source, condition) j WHERE j.verdict <> 'right';
-- and what multiplies, or may
SELECT j.* FROM (VALUES
  ('(VALUES (''A''), (''A'')) t(k)', 't.k = s.city'), ('(VALUES (NULL, 1), (NULL, 2)) t(k, x)', 't.k::text IS NOT DISTINCT FROM s.city'), ('(VALUES (1), (1.0)) t(k)', 't.k = s.price'), ('(VALUES (float8 ''0''), (''-0'')) t(k)', 't.k = s.price'), ('(VALUES (''x''::char(2)), (''x ''::char(4))) t(k)', 't.k = s.code'),
  ('(VALUES (''x''::text), (''x '')) t(k)', 't.k::char(4) = s.code'), ('(VALUES (''a''), (''A'')) t(k)', 'upper(t.k) = s.city'), ('(VALUES (''A'', random()), (''A'', random())) t(k, x)', 't.k = s.city'), ('(VALUES (''A''), (lower(''A''))) t(k)', 't.k >= s.city'), ('(SELECT 1 AS k UNION ALL SELECT 1.0) t', 't.k = s.id'),
  ('(SELECT ''A'' AS k UNION ALL SELECT city FROM bridge) t', 't.k = s.city'), ('(SELECT ''A'' AS k, 1 AS x UNION SELECT ''A'', 2) t', 't.k = s.city'), ('(VALUES (1), (2) UNION ALL VALUES (2)) t(k)', 't.k = s.id'), ('(SELECT 1 AS k FROM bridge) t', 't.k = s.id'),
  ('unnest(ARRAY[''A'', ''B'', ''A'']) t', 't = s.city'), ('unnest(ARRAY[''A'', lower(s.city)]) t', 't = s.city'), ('unnest(ARRAY[NULL, NULL]::text[]) t', 't IS NOT DISTINCT FROM s.city'), ('unnest(ARRAY[1, 1.0]) t', 't = s.id'), ('ROWS FROM (unnest(ARRAY[1, 2]), generate_series(1, 9)) t(k, n)', 't.k IS NOT DISTINCT FROM s.id'), ('unnest(ARRAY[1, 2], ARRAY[3, 3]) t(k, n)', 't.n = s.id'),
  ('generate_series(1, 3) t', 't % 2 = s.id'), ('generate_series(1, 3) t', 't < s.id'), ('(SELECT generate_series(1, 3) % 2 AS k) t', 't.k = s.id'), ('(SELECT generate_series(1, 2) AS k FROM bridge) t', 't.k = s.id'), ('(SELECT generate_series(1, 2) AS k, generate_series(1, 5) AS m) t', 't.k IS NOT DISTINCT FROM s.id'), ('(SELECT generate_series(1, generate_series(1, 3)) AS k) t', 't.k = s.id'),
  ('generate_series(timestamp ''2026-01-31'', ''2026-02-02'', ''12 hours'') t', 't::date = s.day'), ('generate_series(timestamptz ''2026-10-25'', ''2026-10-27'', ''24 hours'') t', 't::date = s.at::date'), ('generate_series(timestamptz ''2026-10-25'', ''2026-10-27'', ''1 hour'') t', 't::timestamp = s.local'),
  ('generate_series(timestamp ''2026-01-31'', ''2026-03-05'', ''1 mon -27 days'') t', 't = s.day'), ('generate_series(timestamp ''2026-01-31'', ''2026-03-05'', ''20 days'') t', 'date_trunc(''month'', t) = date_trunc(''month'', s.local)'), ('generate_series(timestamp ''2026-03-29 02:00'', ''2026-03-29 04:00'', ''1 hour'') t', 't = s.at'),
  ('generate_series(timestamp ''2026-01-31'', ''2026-03-05'', (s.id || '' day'')::interval) t', 't = s.day'), ('(SELECT generate_series(''-infinity''::timestamp, ''2026-03-05'', ''1 day'') AS k LIMIT 3) t', 't.k = s.local'), ('(SELECT *, row_number() OVER (PARTITION BY city, grp ORDER BY note) AS n FROM bridge) t', 't.city = s.city AND t.n = 1'), ('(SELECT *, rank() OVER (PARTITION BY city ORDER BY grp) AS n FROM bridge) t', 't.city = s.city AND t.n = 1'),
  ('pin t', 't.k / 2 = s.id'), ('pin t', 't.k * 0 = s.id - 1'), ('pin t', 't.f::text = s.id::text'), ('pin t', 't.f::int = s.id'), ('pin t', 't.ts = s.at'), ('pin t', 't.ts::timestamptz = s.at'), ('pin t', 'left(t.name, 1) = s.city'), ('pin t', 't.c::varchar(1) = s.city'), ('pin t', 't.k::numeric(3,-1) = s.id')
) v(source, condition), joined(source, condition) j WHERE j.verdict NOT LIKE 'refused%' OR j.condition = 't = s.at' OR j.source LIKE '%1.0%';
-- a collation of its own, citext-like
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT j.measured, j.verdict FROM (VALUES ('(VALUES (''a'' COLLATE nocase), (''A'')) t(k)', 't.k = s.city'), ('(VALUES (''a''), (''A'')) t(k)', 't.k = s.city COLLATE nocase'), ('(VALUES (''a'' COLLATE nocase), (''b'')) t(k)', 't.k = s.city'), ('(VALUES (''a'' COLLATE nocase), (''A'')) t(k)', 't.k = s.city COLLATE "C"'),
  ('(VALUES (1), (-1)) t(k)', 't.k::text COLLATE nocase = s.id::text')) v(source, condition), joined(source, condition) j;
-- a time zone that left out a day has two dates at one instant; a parameter is not known to be distinct
SELECT measured, verdict FROM joined('pin t', 't.d = s.at');
SET TIME ZONE 'Pacific/Apia';
SELECT measured, verdict FROM joined('pin t', 't.d = s.at');
SET TIME ZONE 'Europe/Berlin';
PREPARE given(text, text) AS SELECT measure(revenue) FROM sales JOIN (VALUES ($1), ($2)) v(city) USING (city);
EXECUTE given('A', 'B');
PREPARE step(interval) AS SELECT measure(revenue) FROM sales JOIN generate_series(date '2026-01-31', '2026-03-31', $1) d ON d = day;
EXECUTE step('1 day');

-- a key that GROUP BY has, at this level or above: through subqueries, CTEs and views, in all grouping sets
CREATE VIEW grouped AS SELECT grp, city FROM bridge GROUP BY grp, city;
CREATE VIEW wide AS SELECT s.*, i.grp FROM sales s JOIN grouped i ON i.city = s.city;
SELECT q, answer(q) FROM (VALUES
  ('SELECT i.grp, measure(s.revenue) FROM sales s JOIN grouped i ON i.city = s.city GROUP BY 1'), ('SELECT r.grp, sum(r.revenue) FROM (SELECT s.revenue, i.grp FROM sales s JOIN grouped i ON i.city = s.city) r GROUP BY r.grp'),
  ('SELECT grp, sum(revenue) FROM wide GROUP BY grp'), ('WITH a AS (SELECT * FROM wide), b AS MATERIALIZED (SELECT revenue, grp AS g, code FROM a) SELECT g, measure(revenue) FROM (SELECT * FROM b OFFSET 0) c GROUP BY ROLLUP (code), g, g HAVING grouping(code) = 1'),
  ('SELECT grp, sum(revenue) FROM wide GROUP BY GROUPING SETS ((grp), (grp, code)) HAVING grouping(code) = 1'), ('SELECT sum(revenue) FROM wide WHERE grp = ''g'''), ('SELECT sum(revenue) FROM wide WHERE grp IS NULL AND city IS NOT DISTINCT FROM ''A'''), ('SELECT grp::varchar, measure(revenue) FROM wide GROUP BY grp::varchar'),
  ('SELECT w.grp, x.n, measure(w.revenue) FROM wide w JOIN (VALUES (''g'', 1), (''h'', 2)) x(grp, n) ON x.grp = w.grp GROUP BY 1, 2'), ('SELECT x.grp, measure(w.revenue) FROM wide w JOIN (VALUES (''g'', 1), (''h'', 2)) x(grp, n) ON x.grp = w.grp GROUP BY 1'),
  ('SELECT o.grp, (SELECT measure(revenue) FROM wide w WHERE w.grp = o.grp) FROM (SELECT DISTINCT grp FROM bridge) o WHERE grp IS NOT NULL'), ('SELECT u, measure(revenue) FROM (SELECT s.revenue, i.u FROM sales s JOIN (SELECT upper(grp) AS u, city FROM bridge GROUP BY 1, 2) i USING (city)) r GROUP BY u'),
  ('SELECT r.grp, measure(r.revenue) FROM (SELECT i.grp, s.revenue FROM grouped i LEFT JOIN sales s ON i.city = s.city) r GROUP BY r.grp'), ('SELECT r.grp, measure(r.revenue) FROM (SELECT i.grp, s.revenue FROM grouped i FULL JOIN sales s ON i.city = s.city) r GROUP BY r.grp')) v(q);
SELECT q, answer(q) FROM (VALUES
  ('SELECT sum(revenue) FROM wide'), ('SELECT code, sum(revenue) FROM wide GROUP BY code'), ('SELECT grp, sum(revenue) FROM wide GROUP BY ROLLUP (grp)'), ('SELECT grp, sum(revenue) FROM wide GROUP BY CUBE (grp, code)'), ('SELECT grp, sum(revenue) FROM wide GROUP BY GROUPING SETS ((grp), (code))'),
  ('SELECT grp = ''g'', sum(revenue) FROM wide GROUP BY 1'), ('SELECT sum(revenue) FROM wide WHERE grp <> ''g'''), ('SELECT sum(revenue) FROM wide WHERE grp = ''g'' OR code = ''x'''), ('SELECT r.g, sum(revenue) FROM (SELECT *, coalesce(grp, ''g'') AS g FROM wide) r GROUP BY r.g'),
  ('SELECT grp, sum(revenue) FROM (SELECT s.revenue, b.grp FROM sales s JOIN bridge b USING (city)) r GROUP BY grp'), ('SELECT grp COLLATE nocase, sum(revenue) FROM wide GROUP BY 1')) v(q);

-- min, max and distinct counts do not mind, nor what is made of them alone; others do, and so does min_group_rows
SELECT m, answer(format('SELECT measure(%s) FROM sales s JOIN bridge b ON b.city = s.city', m)) AS joined FROM unnest('{buys,low,top,any_big,names,span,revenue,per_buy,few_top}'::text[]) m;
SELECT answer('SELECT b.grp, max(s.top), count(DISTINCT s.buys), measure(span) FILTER (WHERE day < ''2026-02-01''), count(*) FROM bridge b LEFT JOIN sales s ON b.city = s.city GROUP BY ROLLUP (1)');

-- anti-joins, whatever is in the table; and conditions that only look so
SELECT q, answer('SELECT measure(revenue) FROM ' || q) FROM (VALUES
  ('sales s LEFT JOIN bridge b ON b.city = s.city AND b.grp = ''h'' WHERE b.city IS NULL'), ('sales s LEFT JOIN bridge b ON b.city = s.city AND b.grp = ''h'' WHERE b.grp IS NULL'), ('bridge b RIGHT JOIN sales s ON b.city > s.city WHERE NOT b.city IS NOT NULL'), ('sales s LEFT JOIN bridge b ON b.city = s.city WHERE b.note IS NULL'),
  ('sales s LEFT JOIN bridge b ON b.city = s.city WHERE b IS NULL'), ('sales s FULL JOIN bridge b ON b.city = s.city WHERE b.city IS NULL AND s.id > 0'), ('(SELECT s.revenue, b.city AS bc FROM sales s LEFT JOIN bridge b ON b.city = s.city) x WHERE x.bc IS NULL'), ('sales s LEFT JOIN (bridge b JOIN bridge c USING (grp)) ON b.city = s.city WHERE b.city IS NULL'),
  ('sales s LEFT JOIN (SELECT city, 1 AS hit FROM bridge) b ON b.city = s.city WHERE b.hit IS NULL'), ('sales s LEFT JOIN bridge b ON b.city = s.city AND b.city IS NULL'), ('sales s WHERE NOT EXISTS (SELECT FROM bridge b WHERE b.city = s.city)'), ('sales s WHERE s.city NOT IN (SELECT city FROM bridge WHERE city IS NOT NULL AND grp = ''h'')'), ('sales s WHERE s.city IN (SELECT city FROM bridge)')) v(q);
SELECT q, answer('SELECT measure(revenue) FROM ' || q) FROM (VALUES
  ('sales s LEFT JOIN bridge b ON b.city = s.city WHERE b.grp IS NULL'), ('sales s LEFT JOIN bridge b ON b.city IS NOT DISTINCT FROM s.city WHERE b.city IS NULL'), ('sales s LEFT JOIN bridge b ON b.city = s.city WHERE b.city IS NULL OR s.id = 1'), ('sales s LEFT JOIN (SELECT city, NULL AS hit FROM bridge) b ON b.city = s.city WHERE b.hit IS NULL'),
  ('sales s LEFT JOIN (bridge b LEFT JOIN pin p ON p.name = b.grp) ON b.city = s.city WHERE p.k IS NULL'), ('sales s JOIN bridge b ON b.city = s.city OR b.note IS NULL')) v(q);

-- what an outer join fills up is not determined by its own key alone: whether there is a row hangs on the other side
CREATE TABLE a (key int PRIMARY KEY, x int);
INSERT INTO a VALUES (7, 1), (9, 5);
CREATE TABLE b (k int PRIMARY KEY, y int);
INSERT INTO b VALUES (5, 9);
SELECT q, answer('SELECT measure(revenue) FROM ' || q) FROM (VALUES
  ('(a LEFT JOIN b ON b.k = 5 AND a.x > 3) CROSS JOIN sales s WHERE a.key = coalesce(b.y, 7)'), ('(a LEFT JOIN b ON b.k = 5 AND a.x > 3) CROSS JOIN sales s WHERE a.key = b.y'), ('sales s JOIN (a LEFT JOIN b ON b.k = 5 AND a.x > 3) ON a.key = b.k + 4'), ('(a FULL JOIN b ON b.k = a.x) CROSS JOIN sales s WHERE a.key = 9 AND b.k = 5')) v(q);

DROP SCHEMA src CASCADE;
