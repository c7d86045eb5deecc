-- M11: each row of a metric view counts at most once per group. A join that is proven harmless gives the value, at no
-- cost beyond plain SQL; one that may multiply is refused by KP004, naming it. Both lists are worked through here.
\getenv abs_srcdir PG_ABS_SRCDIR
\set mart :abs_srcdir '/data/mart.sql'
\i :mart
\set ECHO none
CREATE TABLE regions (region text PRIMARY KEY, manager text, "group" text);           -- 'South' sells nothing
INSERT INTO regions VALUES ('East', 'Ann', 'A'), ('West', 'Bob', 'B'), ('North', 'Ann', 'A'), ('South', 'Eve', 'C');
CREATE TABLE managers (name text UNIQUE, grade int NOT NULL);
INSERT INTO managers VALUES ('Ann', 1), ('Bob', 2), (NULL, 3), (NULL, 4);
CREATE TABLE goals (region text, channel text, goal int, PRIMARY KEY (region, channel));
INSERT INTO goals SELECT region, channel, 100 * length(region || channel) FROM regions, (VALUES ('web'), ('shop')) c(channel);
CREATE TABLE stays (region text NOT NULL, note text);                                 -- no key at all
INSERT INTO stays VALUES ('East', 'a'), ('East', 'b'), ('West', 'c');
CREATE VIEW led AS SELECT r.region, upper(r.manager) AS boss, m.grade FROM regions r LEFT JOIN managers m ON m.name = r.manager;
SELECT create_metric('mart.lines', 'SELECT count(*) FROM mart.orders'), create_metric('mart.filled', 'SELECT sum(coalesce(qty, 100)) + count(*) FILTER (WHERE region IS NULL) FROM mart.orders');
SELECT alter_metric_view('mart.sales', add_metrics => '{mart.lines, mart.filled}');
ANALYZE;
\set ECHO all

-- top N by an inner join with a grouped subquery, by EXISTS in both forms, by IN, by a CTE
SELECT same($$SELECT CAST(sales.region AS text), sum(sales.revenue), measure(aov) FROM mart.sales sales INNER JOIN (SELECT CAST(region AS text) AS region, sum(revenue) AS "$__alias__0" FROM sales GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 2) t0 ON (CAST(sales.region AS text) = t0.region) GROUP BY 1$$,
            $$SELECT region, {revenue}, {aov} FROM orders WHERE region IN (SELECT region FROM orders WHERE region IS NOT NULL GROUP BY 1 ORDER BY {revenue} DESC LIMIT 2) GROUP BY 1$$);
SELECT same($$SELECT channel, measure(aov) FROM sales WHERE EXISTS (SELECT 1 FROM (SELECT region, sum(revenue) AS a FROM sales GROUP BY region ORDER BY a LIMIT 2) t0 WHERE sales.region = t0.region OR (sales.region IS NULL AND t0.region IS NULL)) GROUP BY 1$$,
            $$SELECT channel, {aov} FROM orders WHERE coalesce(region, '-') IN (SELECT coalesce(region, '-') FROM orders GROUP BY region ORDER BY {revenue} LIMIT 2) GROUP BY 1$$);
SELECT same($$SELECT s.region, t.a, measure(s.aov) FROM sales s JOIN (SELECT region, measure(revenue) AS a FROM sales GROUP BY region ORDER BY 2 LIMIT 3) t ON s.region IS NOT DISTINCT FROM t.region GROUP BY 1, 2$$,
            $$SELECT region, {revenue}, {aov} FROM orders GROUP BY region ORDER BY 2 LIMIT 3$$);
SELECT same($$SELECT s.region, measure(s.aov) FROM sales s JOIN (SELECT region, count(*) FROM sales GROUP BY region) t ON s.region = t.region OR (s.region IS NULL AND t.region IS NULL) GROUP BY 1$$, $$SELECT region, {aov} FROM orders GROUP BY 1$$);
SELECT same($$WITH top AS (SELECT region FROM sales GROUP BY 1 ORDER BY measure(revenue) DESC LIMIT 2) SELECT s.city, measure(s.revenue), count(*) FROM sales s JOIN top USING (region) WHERE s.id IN (SELECT id FROM orders WHERE qty > 0) GROUP BY 1$$,
            $$SELECT city, {revenue}, count(*) FROM orders WHERE qty > 0 AND region IN (SELECT region FROM orders WHERE region IS NOT NULL GROUP BY 1 ORDER BY {revenue} DESC LIMIT 2) GROUP BY 1$$);
-- flags of a set by LEFT JOIN, as a key
SELECT same($$SELECT (NOT (t0."_Tableau_join_flag" IS NULL)) AS io, sum(sales.revenue), measure(aov), count(*) FROM sales LEFT JOIN (SELECT region, min(1) AS "_Tableau_join_flag" FROM sales GROUP BY 1 HAVING sum(revenue) > 1700) t0 ON (sales.region = t0.region) GROUP BY 1$$,
            $$SELECT coalesce(region IN (SELECT region FROM orders WHERE region IS NOT NULL GROUP BY 1 HAVING {revenue} > 1700), false), {revenue}, {aov}, count(*) FROM orders GROUP BY 1$$);
-- subqueries on their key: grouped, DISTINCT, UNION, single row; and a join of a measure's groups with another's
SELECT same($$SELECT g.region, g.c, d.one, measure(s.aov) FROM sales s JOIN (SELECT region, channel, count(*) AS c FROM orders GROUP BY region, channel) g ON g.channel = s.channel AND g.region = s.region
              JOIN (SELECT DISTINCT city, 1 AS one FROM sales) d ON d.city = s.city AND d.one = 1 JOIN (SELECT 'East' AS r UNION SELECT 'West' UNION SELECT region FROM regions) u ON u.r = g.region
              CROSS JOIN (SELECT count(*) AS n FROM stays) o CROSS JOIN (SELECT 1) x(y) CROSS JOIN (VALUES (1)) v(w) GROUP BY 1, 2, 3$$,
            $$SELECT region, c, 1, {aov} FROM orders JOIN (SELECT region, channel, count(*) AS c FROM orders GROUP BY region, channel) g USING (region, channel) GROUP BY 1, 2, 3$$);
SELECT same($$SELECT a.region, a.r, b.a FROM (SELECT region, measure(revenue) AS r FROM sales GROUP BY 1) a LEFT JOIN (SELECT region, measure(aov) AS a FROM sales WHERE channel = 'web' GROUP BY 1) b ON a.region IS NOT DISTINCT FROM b.region$$,
            $$SELECT region, {revenue}, (SELECT {aov} FROM orders i WHERE channel = 'web' AND i.region IS NOT DISTINCT FROM o.region) FROM orders o GROUP BY 1$$);
-- a table on its unique key: INNER, LEFT, USING, NATURAL, composite, in WHERE, a view over it, two hops, by a nullable key
SELECT same($$SELECT manager, measure(aov), count(*), count(DISTINCT r.region) FROM sales s JOIN regions r ON r.region = s.region GROUP BY 1$$, $$SELECT manager, {aov}, count(*), count(DISTINCT region) FROM orders JOIN regions USING (region) GROUP BY 1$$);
SELECT same($$SELECT "t1.m", sum("t0.r") FROM (SELECT "$Outer".revenue AS "t0.r", "$Inner".manager AS "t1.m" FROM sales "$Outer" LEFT OUTER JOIN regions "$Inner" ON ("$Outer".region = "$Inner".region)) "rows" GROUP BY 1$$,
            $$SELECT manager, {revenue} FROM orders LEFT JOIN regions USING (region) GROUP BY 1$$);
SELECT same($$SELECT manager, measure(aov) FROM sales JOIN regions USING (region) GROUP BY 1$$, $$SELECT manager, {aov} FROM orders JOIN regions USING (region) GROUP BY 1$$);
SELECT same($$SELECT region, manager, measure(revenue) FROM sales NATURAL LEFT JOIN regions GROUP BY 1, 2$$, $$SELECT region, manager, {revenue} FROM orders LEFT JOIN regions USING (region) GROUP BY 1, 2$$);
SELECT same($$SELECT goal, measure(s.aov) FROM sales s LEFT JOIN goals g ON (g.region, g.channel) = (s.region, s.channel) GROUP BY 1$$, $$SELECT goal, {aov} FROM orders LEFT JOIN goals USING (region, channel) GROUP BY 1$$);
SELECT same($$SELECT goal, measure(s.aov) FROM sales s, goals g, regions r WHERE g.region = s.region AND g.channel = 'web' AND r.region = g.region GROUP BY 1$$, $$SELECT goal, {aov} FROM orders JOIN goals USING (region) WHERE goals.channel = 'web' GROUP BY 1$$);
SELECT same($$SELECT boss, grade, measure(aov) FROM sales JOIN led USING (region) GROUP BY 1, 2$$, $$SELECT upper(manager), grade, {aov} FROM orders JOIN regions USING (region) LEFT JOIN managers ON name = manager GROUP BY 1, 2$$);
SELECT same($$SELECT m.grade, r."group", measure(s.revenue) FROM sales s LEFT JOIN (regions r LEFT JOIN managers m ON m.name = r.manager) ON r.region = s.region GROUP BY 1, 2$$,
            $$SELECT grade, "group", {revenue} FROM orders LEFT JOIN regions USING (region) LEFT JOIN managers ON name = manager GROUP BY 1, 2$$);
CREATE VIEW star AS SELECT s.*, r.manager, m.grade FROM sales s LEFT JOIN regions r ON r.region = s.region LEFT JOIN managers m ON m.name = r.manager WHERE s.status <> 'open';
SELECT same($$SELECT grade, channel, measure(aov), measure(lift) FROM star WHERE city <> 'Ulm' GROUP BY CUBE (1, 2)$$,
            $$SELECT grade, channel, {aov}, {lift} FROM orders LEFT JOIN regions USING (region) LEFT JOIN managers ON name = manager WHERE city <> 'Ulm' AND status <> 'open' GROUP BY CUBE (1, 2)$$);
SELECT same($$SELECT a.city, measure(a.aov), measure(b.revenue) FROM sales a JOIN sales b ON a.id = b.id GROUP BY 1$$, 'SELECT city, {aov}, {revenue} FROM orders GROUP BY 1');
-- the measure on the nullable side: groups without rows have counts of 0 and no sums, presence is not mistaken
SELECT same($$SELECT r.region, {measured}, count(s.id), count(*) FROM regions r LEFT JOIN sales s ON s.region = r.region GROUP BY 1$$,
            $$SELECT r.region, x.*, (SELECT count(*) FROM orders o WHERE o.region = r.region), greatest(1, (SELECT count(*) FROM orders o WHERE o.region = r.region)) FROM regions r, LATERAL (SELECT {written} FROM orders o WHERE o.region = r.region) x$$);
SELECT same($$SELECT manager, measure(orders_paid), measure(buyers) FILTER (WHERE channel = 'web'), sum(CASE WHEN manager = 'Eve' THEN orders_paid ELSE 0 END), sum(CASE WHEN channel = 'web' THEN revenue ELSE 0 END) FROM sales RIGHT JOIN regions USING (region) GROUP BY ROLLUP (manager)$$,
            $$SELECT manager, count(id) FILTER (WHERE status = 'paid'), count(DISTINCT customer) FILTER (WHERE status = 'paid' AND channel = 'web'), 0, coalesce({web_revenue}, 0) FROM orders RIGHT JOIN regions USING (region) GROUP BY ROLLUP (manager)$$);
SELECT same($$SELECT manager, measure(orders_paid), measure(revenue), count(*) FROM (SELECT * FROM sales WHERE channel = 'web') s FULL JOIN regions r ON r.region = s.region GROUP BY 1$$,
            $$SELECT manager, count(id) FILTER (WHERE status = 'paid'), {revenue}, count(*) FROM (SELECT * FROM orders WHERE channel = 'web') s FULL JOIN regions USING (region) GROUP BY 1$$);
SELECT same($$SELECT d.r, measure(n) FROM (SELECT region AS r FROM regions UNION SELECT 'Moon') d LEFT JOIN (SELECT r2.region, orders_paid AS n FROM regions r2 LEFT JOIN sales USING (region)) x ON x.region = d.r GROUP BY 1$$,
            $$SELECT d.r, (SELECT {orders_paid} FROM orders WHERE region = d.r) FROM (SELECT region AS r FROM regions UNION SELECT 'Moon') d$$);
SELECT same($$SELECT r.region, measure(lines), measure(filled), measure(lines) FILTER (WHERE channel IS DISTINCT FROM 'web'), sum(CASE WHEN qty IS NULL THEN lines ELSE 0 END) FROM regions r LEFT JOIN sales s ON s.region = r.region AND s.city <> 'Ulm' GROUP BY ROLLUP (1)$$,
            $$SELECT r.region, count(id), sum(coalesce(qty, 100)) FILTER (WHERE id IS NOT NULL) + count(*) FILTER (WHERE id IS NOT NULL AND o.region IS NULL), count(id) FILTER (WHERE channel <> 'web'), count(id) FILTER (WHERE qty IS NULL)::numeric
              FROM regions r LEFT JOIN orders o ON o.region = r.region AND o.city <> 'Ulm' GROUP BY ROLLUP (1)$$);
SELECT same($$SELECT d, measure(x.l), count(*) FROM generate_series(240, 243) d LEFT JOIN (SELECT s.id, s.lines AS l FROM regions r RIGHT JOIN sales s ON r.region = s.region) x ON x.id = d GROUP BY 1$$,
            $$SELECT d, (d = 240)::int::bigint, 1::bigint FROM generate_series(240, 243) d$$);
-- repetition by the group's own key: series, cross joins, tables without a key grouped by what makes their row
SELECT same($$SELECT g, measure(aov), count(*) FROM sales CROSS JOIN generate_series(0, 1) g GROUP BY g$$, $$SELECT g, {aov}, count(*) FROM orders, generate_series(0, 1) g GROUP BY g$$);
SELECT same($$SELECT r.region, measure(s.revenue) FROM sales s, regions r GROUP BY r.region$$, $$SELECT r.region, (SELECT {revenue} FROM orders) FROM regions r$$);
SELECT same($$SELECT s.channel, x.n, measure(s.aov) FROM sales s, LATERAL (SELECT note AS n FROM stays t WHERE t.region = s.region ORDER BY note LIMIT 1) x GROUP BY 1, 2$$,
            $$SELECT channel, n, {aov} FROM orders s JOIN (SELECT region, min(note) AS n FROM stays GROUP BY 1) x USING (region) GROUP BY 1, 2$$);
SELECT same($$SELECT x.u, measure(s.aov) FROM sales s, LATERAL upper(s.channel) x(u) JOIN LATERAL (SELECT max(note) FROM stays) y ON true GROUP BY 1$$, $$SELECT upper(channel), {aov} FROM orders GROUP BY 1$$);
SELECT same($$SELECT measure(s.revenue) FROM sales s JOIN generate_series(1, 3) g ON g = s.qty$$, $$SELECT {revenue} FROM orders WHERE qty BETWEEN 1 AND 3$$);

-- refused: no key at all, a series without its key, a cross join, part of a key, a function of the key
SELECT refusal('SELECT measure(revenue) FROM sales s JOIN stays t ON t.region = s.region');
SELECT refusal('SELECT region, sum(revenue) FROM (SELECT s.* FROM sales s LEFT JOIN stays t ON t.region = s.region) x GROUP BY region');
SELECT refusal('SELECT s.region, measure(revenue) FROM sales s, generate_series(1, 2) g GROUP BY s.region');
SELECT refusal('SELECT measure(revenue) FROM sales s, generate_series(1, 2) g GROUP BY ROLLUP (g)');
SELECT refusal('SELECT measure(revenue) FROM sales CROSS JOIN regions');
SELECT refusal('SELECT s.channel, measure(revenue) FROM sales s JOIN goals g ON g.region = s.region GROUP BY 1');
SELECT refusal('SELECT measure(revenue) FROM sales s JOIN regions r ON upper(r.region) = s.region');
SELECT refusal('SELECT measure(revenue) FROM sales s JOIN regions r ON r.region = s.region OR r.manager = s.city');
SELECT refusal('SELECT measure(a.revenue), measure(b.revenue) FROM sales a JOIN sales b USING (region)');
SELECT refusal('SELECT measure(revenue) FROM sales s, LATERAL (SELECT note FROM stays LIMIT 2) x');
SELECT refusal('SELECT measure(revenue) FROM sales s JOIN (SELECT region, channel FROM orders GROUP BY 1, 2) g ON g.region = s.region');
SELECT refusal('SELECT measure(revenue) FROM sales s JOIN (SELECT region FROM regions UNION ALL SELECT region FROM regions) g USING (region)');
SELECT refusal('SELECT measure(revenue) FROM sales s JOIN (VALUES (''East''), (''East'')) v(region) USING (region)');
-- refused: conditions that are no equality, though on a unique column
SELECT refusal('SELECT measure(revenue) FROM sales s JOIN regions r ON r.region >= s.region');
SELECT refusal('SELECT measure(revenue) FROM sales s JOIN (SELECT region FROM regions GROUP BY region) r ON r.region >= s.region');
SELECT refusal('SELECT measure(revenue) FROM sales s JOIN (SELECT DISTINCT region FROM regions) r ON r.region <> s.region');
SELECT refusal('SELECT measure(revenue) FROM sales s JOIN generate_series(1, 5) g ON g < s.qty');
SELECT refusal('SELECT measure(revenue) FROM sales s JOIN (SELECT g FROM generate_series(1, 5) g) x ON x.g <> s.qty');
-- refused: the ON of an outer join that does not restrict, or does so for other rows
SELECT refusal('SELECT measure(revenue) FROM regions r LEFT JOIN stays t ON r.region = t.region CROSS JOIN sales');
SELECT refusal('SELECT measure(revenue) FROM sales s JOIN (regions r LEFT JOIN managers m ON m.name = r.manager AND r.region = ''East'') ON true');
SELECT refusal('SELECT measure(revenue) FROM sales s FULL JOIN stays t ON t.region = s.region');
SELECT refusal('SELECT measure(s.revenue) FROM (regions r FULL JOIN managers m ON m.name = r.manager AND r.region = ''East'') CROSS JOIN sales s WHERE m.name = s.city');
-- refused: what looks determined by another entry that is itself determined by it
SELECT refusal('SELECT measure(revenue) FROM sales s CROSS JOIN regions r CROSS JOIN LATERAL (SELECT d.region FROM regions d WHERE d.region = r.region) x WHERE r.region = x.region');
SELECT refusal('SELECT measure(revenue) FROM sales s CROSS JOIN regions r CROSS JOIN LATERAL initcap(r.region) x WHERE r.region = x');
SELECT refusal('SELECT measure(revenue) FROM sales s CROSS JOIN regions r CROSS JOIN LATERAL (VALUES (r.region)) x(region) WHERE r.region = x.region');
SELECT refusal('SELECT measure(revenue) FROM sales s CROSS JOIN regions r CROSS JOIN LATERAL (SELECT max(d.region) AS region FROM regions d WHERE d.region <= r.region) x WHERE r.region = x.region');
-- refused: indexes that do not promise one row
CREATE TABLE keys (part text, expr text, late text UNIQUE DEFERRABLE, parent text UNIQUE, maybe text UNIQUE, odd int UNIQUE, ci text COLLATE "C" UNIQUE, hidden text);
CREATE UNIQUE INDEX ON keys (part) WHERE part > 'F';
CREATE UNIQUE INDEX ON keys (lower(expr));
CREATE UNIQUE INDEX ON keys (hidden) INCLUDE (part);
CREATE TABLE kids () INHERITS (keys);
CREATE TABLE alone (LIKE keys INCLUDING INDEXES);
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE nocase (region text COLLATE ci UNIQUE, exact text COLLATE "C" UNIQUE);
INSERT INTO nocase VALUES ('east', 'east'), ('EST', 'EAST');
CREATE TABLE twice (region text COLLATE ci);
CREATE UNIQUE INDEX ON twice (region COLLATE "C");
INSERT INTO twice VALUES ('east'), ('EAST');
CREATE FUNCTION same_parity(int, int) RETURNS boolean IMMUTABLE LANGUAGE sql RETURN $1 % 2 = $2 % 2;
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = same_parity, MERGES, HASHES);
SELECT c AS key, split_part(refusal(format('SELECT measure(revenue) FROM sales s JOIN %s t ON %s', t, c)), E'\n', 1) AS answer FROM (VALUES
  ('alone', 't.part = s.region'), ('alone', 'lower(t.expr) = s.region'), ('alone', 't.late = s.region'), ('keys', 't.parent = s.region'), ('alone', 't.maybe IS NOT DISTINCT FROM s.region'),
  ('alone', 't.maybe = s.region OR (t.maybe IS NULL AND s.region IS NULL)'), ('alone', 't.odd === s.qty'), ('alone', 't.odd > s.qty'), ('nocase', 't.exact COLLATE ci = s.region'), ('nocase', 't.exact = s.region COLLATE ci'), ('twice', 't.region = s.region'), ('(SELECT exact FROM nocase GROUP BY 1)', 't.exact = s.region COLLATE ci'), ('alone', 't.hidden = s.region || random()')) v(t, c);
-- and nearby forms that do
SELECT c AS key, split_part(refusal(format('SELECT measure(orders_paid) FROM sales s LEFT JOIN %s t ON %s', t, c)), E'\n', 1) AS answer FROM (VALUES
  ('ONLY keys', 't.parent = s.region'), ('alone', 't.maybe = s.region'), ('alone', 't.odd = s.qty'), ('alone', 't.odd = s.qty::bigint'), ('alone', 't.hidden = s.region'), ('alone', 't.hidden = s.region AND random() < 2'),
  ('nocase', 't.region = s.region'), ('nocase', 't.exact = s.region COLLATE "C"'), ('regions', 't.region IS NOT DISTINCT FROM s.region'), ('regions', 's.region = t.region AND t.manager > s.city')) v(t, c);
-- the rewrites that the hint offers
SELECT same($$SELECT measure(revenue) FROM sales s WHERE EXISTS (SELECT FROM stays t WHERE t.region = s.region)$$, $$SELECT {revenue} FROM orders WHERE region IN (SELECT region FROM stays)$$);
SELECT same($$SELECT t.note, r FROM (SELECT region, measure(revenue) AS r FROM sales GROUP BY 1) s JOIN stays t USING (region)$$, $$SELECT note, (SELECT {revenue} FROM orders WHERE region = t.region) FROM stays t$$);
-- a proof by a unique index lives and dies with it, also in a prepared statement
PREPARE by_manager AS SELECT manager, measure(orders_paid) AS orders FROM sales JOIN regions USING (region) GROUP BY 1 ORDER BY 1;
EXECUTE by_manager;
ALTER TABLE regions DROP CONSTRAINT regions_pkey CASCADE;
EXECUTE by_manager;
ALTER TABLE regions ADD PRIMARY KEY (region);
EXECUTE by_manager;

-- M11: a proven join costs nothing: the plan is that of plain SQL
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET enable_memoize = off;
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;
SELECT array(SELECT plan(m)) = array(SELECT plan(w)) AS same_plan, array_length(array(SELECT plan(m)), 1) AS lines FROM (VALUES
  ('SELECT manager, measure(units) FROM sales s JOIN regions r ON r.region = s.region GROUP BY 1', 'SELECT manager, sum(qty) FROM orders JOIN regions r ON r.region = orders.region GROUP BY 1'),
  ('SELECT measure(units) FROM sales s LEFT JOIN regions r ON r.region = s.region', 'SELECT sum(qty) FROM orders'),
  ('SELECT s.channel, measure(units) FROM sales s JOIN (SELECT region, count(*) FROM orders GROUP BY 1 LIMIT 2) t USING (region) GROUP BY 1', 'SELECT orders.channel, sum(qty) FROM orders JOIN (SELECT region, count(*) FROM orders GROUP BY 1 LIMIT 2) t USING (region) GROUP BY 1'),
  ('SELECT g, measure(units) FROM sales, generate_series(0, 1) g GROUP BY 1', 'SELECT g, sum(qty) FROM orders, generate_series(0, 1) g GROUP BY 1'),
  ('SELECT grade, measure(units) FROM star GROUP BY 1', 'SELECT grade, sum(qty) FROM orders LEFT JOIN regions r ON r.region = orders.region LEFT JOIN managers m ON m.name = r.manager WHERE status <> ''open'' GROUP BY 1')
) v(m, w);
EXPLAIN (COSTS OFF) SELECT manager, measure(units) FROM sales s JOIN regions r ON r.region = s.region GROUP BY 1;

DROP SCHEMA mart CASCADE;
