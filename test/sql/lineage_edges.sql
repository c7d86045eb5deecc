-- lineage_edges: the edges of queries of every form against those that were written down by hand from what each query
-- means (L1). expect(target, edges) has a line for each target column, "*" for the rows, with "source kind" after it;
-- missing and surplus edges are listed at the end.

\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA lin;
SET search_path = lin;
CREATE TYPE extent AS (w int, h int);
CREATE TABLE cust (id int PRIMARY KEY, name text, region text, boss int);
CREATE TABLE ord (id int, cust int, status text, amount numeric, refund numeric, day date);
CREATE TABLE prod (id int, cat text, price numeric, tags text[], spec jsonb, doc xml, size extent);
CREATE TABLE line (ord int, prod int, qty int, price numeric);
CREATE TABLE ret (ord int, prod int, qty int);
CREATE TABLE tree (id int, parent int, label text, weight int);

CREATE TABLE expected (target text, edge text);
CREATE FUNCTION expect(target text, edges text) RETURNS void LANGUAGE sql
BEGIN ATOMIC
	INSERT INTO expected
	SELECT 'lin.' || target, part[1] || ': ' || source
	  FROM regexp_split_to_table(btrim(edges, E' \t\n'), '\n') line
	 CROSS JOIN regexp_match(btrim(line, E' \t'), '^(.*?): (.*)$') part
	 CROSS JOIN regexp_split_to_table(part[2], ', ') source
	 WHERE source <> 'nothing';
END;

--
-- Expressions, WHERE, joins
--
CREATE VIEW plain AS SELECT amount - coalesce(refund, 0) AS net, status FROM ord WHERE day > '2026-01-01' AND amount > 0;
SELECT expect('plain', '
	net: ord.amount value, ord.refund value
	status: ord.status value
	*: ord.* value, ord.day filter, ord.amount filter');
CREATE VIEW join_on AS SELECT o.id, c.region FROM ord o JOIN cust c ON c.id = o.cust AND c.region <> 'x';
SELECT expect('join_on', '
	id: ord.id value
	region: cust.region value
	*: ord.* join, cust.* join, cust.id join, ord.cust join, cust.region join');
CREATE VIEW join_where AS SELECT l.qty * p.price AS v FROM line l, prod p WHERE l.prod = p.id AND p.cat = 'a';
SELECT expect('join_where', '
	v: line.qty value, prod.price value
	*: line.* join, prod.* join, line.prod join, prod.id join, prod.cat filter');
CREATE VIEW join_full AS SELECT ord, prod, l.qty, r.qty AS back FROM line l FULL JOIN ret r USING (ord, prod);
SELECT expect('join_full', '
	ord: line.ord value, ret.ord value
	prod: line.prod value, ret.prod value
	qty: line.qty value
	back: ret.qty value
	*: line.* join, ret.* join, line.ord join, ret.ord join, line.prod join, ret.prod join');
CREATE VIEW join_natural AS SELECT * FROM line NATURAL LEFT JOIN ret;
SELECT expect('join_natural', '
	ord: line.ord value
	prod: line.prod value
	qty: line.qty value
	price: line.price value
	*: line.* join, ret.* join, line.ord join, ret.ord join, line.prod join, ret.prod join, line.qty join, ret.qty join');
CREATE VIEW join_right AS SELECT j.prod, j.price FROM (line RIGHT JOIN ret USING (ord, prod)) j;
SELECT expect('join_right', '
	prod: ret.prod value
	price: line.price value
	*: line.* join, ret.* join, line.ord join, ret.ord join, line.prod join, ret.prod join');
CREATE VIEW join_self AS SELECT a.name, b.name AS boss FROM cust a LEFT JOIN cust b ON b.id = a.boss WHERE b.region IS NULL OR a.region = b.region;
SELECT expect('join_self', '
	name: cust.name value
	boss: cust.name value
	*: cust.* join, cust.id join, cust.boss join, cust.region join');
CREATE VIEW lateral_query AS
SELECT c.name, x.amount FROM cust c CROSS JOIN LATERAL (SELECT amount FROM ord WHERE ord.cust = c.id ORDER BY day DESC LIMIT 3) x;
SELECT expect('lateral_query', '
	name: cust.name value
	amount: ord.amount value
	*: cust.* join, ord.* join, ord.cust join, cust.id join, ord.day order');
CREATE VIEW choice AS
SELECT CASE WHEN status = 'paid' THEN amount WHEN refund > 0 THEN -refund ELSE 0 END AS a,
	   CASE status WHEN 'paid' THEN amount ELSE refund END AS b, nullif(amount, 0) AS n, greatest(amount, refund) AS g
  FROM ord;
SELECT expect('choice', '
	a: ord.status filter, ord.amount value, ord.refund filter, ord.refund value
	b: ord.status filter, ord.amount value, ord.refund value
	n: ord.amount value
	g: ord.amount value, ord.refund value
	*: ord.* value');
CREATE VIEW unused_columns AS SELECT s.a FROM (SELECT id AS a, amount AS unused FROM ord) s;
SELECT expect('unused_columns', '
	a: ord.id value
	*: ord.* value');
CREATE VIEW constant AS SELECT 1 AS one, now() AS now;

--
-- Subqueries and CTEs
--
CREATE VIEW nested AS
SELECT s.total
  FROM (SELECT q.cust, sum(q.net) AS total FROM (SELECT cust, amount - refund AS net FROM ord WHERE status = 'paid') q GROUP BY q.cust) s
 WHERE s.total > 10;
SELECT expect('nested', '
	total: ord.amount value, ord.refund value
	*: ord.* value, ord.status filter, ord.cust group, ord.amount filter, ord.refund filter');
CREATE VIEW cte_stacked AS
WITH paid AS (SELECT * FROM ord WHERE status = 'paid'), per AS MATERIALIZED (SELECT cust, sum(amount) AS s FROM paid GROUP BY cust)
SELECT c.name, per.s FROM per JOIN cust c ON c.id = per.cust ORDER BY per.s;
SELECT expect('cte_stacked', '
	name: cust.name value
	s: ord.amount value
	*: ord.* join, cust.* join, cust.id join, ord.cust join, ord.status filter, ord.cust group, ord.amount order');
CREATE VIEW cte_recursive AS
WITH RECURSIVE r (id, label, depth) AS (
	SELECT id, label, 1 FROM tree WHERE parent IS NULL
	UNION ALL
	SELECT tree.id, tree.label, r.depth + 1 FROM tree JOIN r ON tree.parent = r.id WHERE tree.weight > 0
) SEARCH DEPTH FIRST BY label SET seq CYCLE id SET looped USING way
SELECT id, label, depth, seq::text, looped, way::text FROM r ORDER BY r.seq;
SELECT expect('cte_recursive', '
	id: tree.id value
	label: tree.label value
	seq: tree.label value
	looped: tree.id value
	way: tree.id value
	*: tree.* value, tree.* join, tree.parent filter, tree.parent join, tree.id join, tree.weight filter, tree.label order');
CREATE VIEW cte_hides AS WITH ord AS (SELECT id FROM cust) SELECT id FROM ord;
SELECT expect('cte_hides', '
	id: cust.id value
	*: cust.* value');
CREATE VIEW cte_unused AS WITH u AS (SELECT amount FROM ord) SELECT id FROM cust;
SELECT expect('cte_unused', '
	id: cust.id value
	*: cust.* value');
CREATE VIEW cte_twice AS WITH x AS (SELECT cust, amount FROM ord) SELECT a.amount + b.amount AS s FROM x a JOIN x b USING (cust);
SELECT expect('cte_twice', '
	s: ord.amount value
	*: ord.* join, ord.cust join');
CREATE VIEW cte_levels AS
WITH a AS (SELECT id FROM ord)
SELECT s.id FROM (WITH b AS (SELECT id FROM a WHERE id > 1) SELECT b.id FROM b, a WHERE a.id = b.id) s;
SELECT expect('cte_levels', '
	id: ord.id value
	*: ord.* join, ord.id filter, ord.id join');
CREATE VIEW correlated AS
SELECT c.id, (SELECT sum(o.amount) FROM ord o WHERE o.cust = c.id) AS total,
	   EXISTS (SELECT FROM line l WHERE l.ord = c.id) AS has, c.region IN (SELECT cat FROM prod) AS known
  FROM cust c
 WHERE c.boss = ANY (SELECT t.id FROM tree t WHERE t.parent = c.id)
 ORDER BY (SELECT max(r.qty) FROM ret r WHERE r.ord = c.id)
 LIMIT (SELECT count(*) FROM tree);
SELECT expect('correlated', '
	id: cust.id value
	total: ord.amount value, ord.* filter, ord.cust filter, cust.id filter
	has: line.* filter, line.ord filter, cust.id filter
	known: cust.region value, prod.cat filter, prod.* filter
	*: cust.* value, cust.boss filter, tree.id filter, tree.* filter, tree.parent filter, cust.id filter
	*: ret.qty order, ret.* order, ret.ord order, cust.id order');
CREATE VIEW correlated_join AS
SELECT c.region, count(*) AS n
  FROM cust c JOIN ord o ON o.cust = c.id AND o.amount > (SELECT avg(price) FROM line l WHERE l.ord = o.id)
 GROUP BY c.region HAVING max(o.amount) > (SELECT min(price) FROM prod);
SELECT expect('correlated_join', '
	region: cust.region value
	n: cust.* value, ord.* value
	*: cust.* join, ord.* join, ord.cust join, cust.id join, ord.amount join, line.price join, line.* join, line.ord join, ord.id join
	*: cust.region group, ord.amount filter, prod.price filter, prod.* filter');
CREATE VIEW two_levels_up AS
SELECT id FROM cust c
 WHERE EXISTS (SELECT FROM ord o WHERE o.cust = c.id AND EXISTS (SELECT FROM line l WHERE l.ord = o.id AND l.qty > c.boss));
SELECT expect('two_levels_up', '
	id: cust.id value
	*: cust.* value, ord.* filter, line.* filter, ord.cust filter, cust.id filter, line.ord filter, ord.id filter, line.qty filter, cust.boss filter');

--
-- Set operations
--
CREATE VIEW union_nested AS SELECT region AS x FROM cust UNION (SELECT status FROM ord UNION ALL SELECT cat FROM prod);
SELECT expect('union_nested', '
	x: cust.region value, ord.status value, prod.cat value
	*: cust.* value, ord.* value, prod.* value, cust.region group, ord.status group, prod.cat group');
CREATE VIEW except_intersect AS
SELECT id, cust AS k FROM ord EXCEPT SELECT ord, prod FROM line INTERSECT SELECT ord, prod FROM ret;
SELECT expect('except_intersect', '
	id: ord.id value
	k: ord.cust value
	*: ord.* value, line.* filter, ret.* filter, ord.id filter, ord.cust filter, line.ord filter, line.prod filter, ret.ord filter, ret.prod filter');
CREATE VIEW union_sorted AS SELECT id, amount FROM ord UNION ALL SELECT ord, price FROM line ORDER BY amount;
SELECT expect('union_sorted', '
	id: ord.id value, line.ord value
	amount: ord.amount value, line.price value
	*: ord.* value, line.* value, ord.amount order, line.price order');
CREATE VIEW union_joined AS
SELECT c.region, sum(u.v) AS s
  FROM cust c LEFT JOIN (SELECT cust AS k, amount AS v FROM ord UNION ALL SELECT ord, price FROM line) u ON u.k = c.id
 GROUP BY c.region;
SELECT expect('union_joined', '
	region: cust.region value
	s: ord.amount value, line.price value
	*: cust.* join, ord.* join, line.* join, ord.cust join, line.ord join, cust.id join, cust.region group');

--
-- Aggregates, windows, DISTINCT
--
CREATE VIEW aggregates AS
SELECT cust, sum(amount) FILTER (WHERE status = 'paid') AS paid, string_agg(status, ',' ORDER BY day) AS list,
	   count(DISTINCT day) AS days, percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) AS med, count(*) AS n,
	   count(*) FILTER (WHERE refund > 0) AS refunds, array_agg(status ORDER BY status) AS sorted
  FROM ord GROUP BY cust HAVING sum(refund) > 0;
SELECT expect('aggregates', '
	cust: ord.cust value
	paid: ord.amount value, ord.status filter
	list: ord.status value, ord.day order
	days: ord.day value
	med: ord.amount value
	n: ord.* value
	refunds: ord.* value, ord.refund filter
	sorted: ord.status value, ord.status order
	*: ord.* value, ord.cust group, ord.refund filter');
CREATE VIEW having_two AS
SELECT c.region FROM cust c JOIN ord o ON o.cust = c.id GROUP BY c.region HAVING sum(o.amount) > sum(c.boss);
SELECT expect('having_two', '
	region: cust.region value
	*: cust.* join, ord.* join, ord.cust join, cust.id join, cust.region group, ord.amount filter, cust.boss filter');
CREATE VIEW grouping_sets AS
SELECT region, name, grouping(region) AS g, count(id) AS n
  FROM cust GROUP BY GROUPING SETS ((region, name), (region), ()) HAVING count(*) > 1;
SELECT expect('grouping_sets', '
	region: cust.region value
	name: cust.name value
	g: cust.region value
	n: cust.id value
	*: cust.* value, cust.region group, cust.name group, cust.* filter');
CREATE VIEW windows AS
SELECT id, sum(amount) OVER w AS run, rank() OVER (PARTITION BY status ORDER BY day) AS r,
	   avg(amount) FILTER (WHERE refund IS NULL) OVER (w ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS mov,
	   count(*) OVER () AS n, lag(amount) OVER (ORDER BY day, id) AS before
  FROM ord WINDOW w AS (PARTITION BY cust ORDER BY day);
SELECT expect('windows', '
	id: ord.id value
	run: ord.amount value, ord.cust group, ord.day order
	r: ord.status group, ord.day order
	mov: ord.amount value, ord.refund filter, ord.cust group, ord.day order
	n: ord.* value
	before: ord.amount value, ord.day order, ord.id order
	*: ord.* value');
-- C6: text that looks like what is to be filled in
CREATE VIEW windows_in_text AS SELECT 'it''s OVER (?)' || sum(amount) OVER (ORDER BY day) || ' "OVER (?)' || E'\\''OVER (?)\\' || count(*) OVER (PARTITION BY "over (?)") AS s
  FROM (SELECT amount, day, id AS "over (?)" FROM ord) o;
SELECT expect('windows_in_text', '
	s: ord.amount value, ord.* value, ord.day order, ord.id group
	*: ord.* value');
SELECT DISTINCT transformation FROM kpi.lineage WHERE target LIKE '%windows_in_text' AND direct AND kind = 'value' AND source_column IS NOT NULL;
CREATE VIEW frame_query AS
SELECT sum(qty) OVER (ORDER BY price ROWS (SELECT max(weight) FROM tree) PRECEDING) AS s FROM line;
SELECT expect('frame_query', '
	s: line.qty value, line.price order, tree.weight filter, tree.* filter
	*: line.* value');
CREATE VIEW distinct_on AS SELECT DISTINCT ON (cust) cust, amount FROM ord ORDER BY cust, day DESC;
SELECT expect('distinct_on', '
	cust: ord.cust value
	amount: ord.amount value
	*: ord.* value, ord.cust group, ord.cust order, ord.day order');
CREATE VIEW distinct_all AS SELECT DISTINCT region, lower(name) AS n FROM cust;
SELECT expect('distinct_all', '
	region: cust.region value
	n: cust.name value
	*: cust.* value, cust.region group, cust.name group');
CREATE VIEW with_ties AS SELECT id FROM ord ORDER BY day FETCH FIRST 3 ROWS WITH TIES;
SELECT expect('with_ties', '
	id: ord.id value
	*: ord.* value, ord.day order');
CREATE VIEW count_join AS SELECT count(*) AS n FROM (SELECT 1 FROM ord JOIN cust ON cust.id = ord.cust WHERE ord.status = 'paid') s;
SELECT expect('count_join', '
	n: ord.* value, cust.* value
	*: ord.* join, cust.* join, cust.id join, ord.cust join, ord.status filter');
CREATE VIEW count_union AS WITH u AS (SELECT id FROM ord UNION ALL SELECT ord FROM line) SELECT count(*) AS n FROM u;
SELECT expect('count_union', '
	n: ord.* value, line.* value
	*: ord.* value, line.* value');
CREATE VIEW count_except AS SELECT count(*) AS n FROM (SELECT id FROM ord EXCEPT ALL SELECT ord FROM line) s;
SELECT expect('count_except', '
	n: ord.* value
	*: ord.* value, line.* filter, ord.id filter, line.ord filter');

--
-- Everything else in FROM
--
CREATE VIEW values_join AS
SELECT o.id, v.label FROM ord o JOIN (VALUES ('paid', 'P'), ('open', 'O')) AS v (code, label) ON v.code = o.status;
SELECT expect('values_join', '
	id: ord.id value
	*: ord.* join, ord.status join');
CREATE VIEW values_query AS VALUES ((SELECT max(id) FROM cust), 1), ((SELECT min(ord) FROM line), 2);
SELECT expect('values_query', '
	column1: cust.id value, cust.* filter, line.ord value, line.* filter');
CREATE VIEW unnested AS SELECT p.id, t.tag, t.n FROM prod p, unnest(p.tags) WITH ORDINALITY AS t (tag, n);
SELECT expect('unnested', '
	id: prod.id value
	tag: prod.tags value
	*: prod.* join, prod.tags join');
CREATE VIEW rows_in_select AS SELECT id, unnest(tags) AS tag FROM prod;
SELECT expect('rows_in_select', '
	id: prod.id value
	tag: prod.tags value
	*: prod.* value, prod.tags join');
CREATE VIEW rows_from AS SELECT p.id, f.a, f.b FROM prod p, ROWS FROM (unnest(p.tags), jsonb_object_keys(p.spec)) AS f (a, b);
SELECT expect('rows_from', '
	id: prod.id value
	a: prod.tags value
	b: prod.spec value
	*: prod.* join, prod.tags join, prod.spec join');
CREATE VIEW series AS SELECT c.id, g FROM cust c, generate_series(1, c.boss) g;
SELECT expect('series', '
	id: cust.id value
	g: cust.boss value
	*: cust.* join, cust.boss join');
CREATE VIEW json AS SELECT id, spec -> 'a' ->> 'b' AS b, r.x, r.y FROM prod, jsonb_to_record(spec) AS r (x int, y text);
SELECT expect('json', '
	id: prod.id value
	b: prod.spec value
	x: prod.spec value
	y: prod.spec value
	*: prod.* join, prod.spec join');
CREATE VIEW xml_rows AS
SELECT id, x.* FROM prod, XMLTABLE(XMLNAMESPACES(cat AS n), '/r/i' PASSING doc COLUMNS o FOR ORDINALITY, a text PATH 'a' DEFAULT tags[1], b int PATH 'b') AS x;
SELECT expect('xml_rows', '
	id: prod.id value
	o: prod.doc value, prod.cat filter
	a: prod.doc value, prod.tags value, prod.cat filter
	b: prod.doc value, prod.cat filter
	*: prod.* join, prod.doc join, prod.cat join');
CREATE VIEW sampled AS
SELECT id FROM ord TABLESAMPLE bernoulli ((SELECT max(id) FROM tree)) REPEATABLE ((SELECT min(qty) FROM ret));
SELECT expect('sampled', '
	id: ord.id value
	*: ord.* value, tree.id filter, tree.* filter, ret.qty filter, ret.* filter');

--
-- Rows, fields, arrays, system columns, odd names, dropped columns
--
CREATE VIEW whole_row AS SELECT o AS whole, to_jsonb(c) AS j FROM ord o JOIN cust c ON c.id = o.cust;
SELECT expect('whole_row', '
	whole: ord.id value, ord.cust value, ord.status value, ord.amount value, ord.refund value, ord.day value
	j: cust.id value, cust.name value, cust.region value, cust.boss value
	*: ord.* join, cust.* join, cust.id join, ord.cust join');
CREATE VIEW fields AS SELECT (size).w * (size).h AS area, (p.size).w FROM prod p;
SELECT expect('fields', '
	area: prod.size value
	w: prod.size value
	*: prod.* value');
CREATE VIEW row_field AS SELECT (r.c).name, (r.c).region AS r FROM (SELECT cust AS c FROM cust OFFSET 0) r;
SELECT expect('row_field', '
	name: cust.name value
	r: cust.region value
	*: cust.* value');
CREATE VIEW arrays AS
SELECT tags[1] AS t, ARRAY(SELECT l.qty FROM line l WHERE l.prod = p.id) AS q, (p.id, p.cat) < (1, 'x') AS cmp FROM prod p;
SELECT expect('arrays', '
	t: prod.tags value
	q: line.qty value, line.* filter, line.prod filter, prod.id filter
	cmp: prod.id value, prod.cat value
	*: prod.* value');
CREATE VIEW system_columns AS SELECT tableoid::regclass AS rel, ctid AS place, id FROM ord;
SELECT expect('system_columns', '
	rel: ord.* value
	place: ord.* value
	id: ord.id value
	*: ord.* value');
CREATE TABLE "Od.d ""x(y" ("a b" int, "C.c" int, "净""" int);
CREATE VIEW "v (" AS SELECT "a b" + "C.c" AS "s""um", "净""" AS "Ü.*" FROM "Od.d ""x(y" WHERE "a b" > 0;
SELECT expect('"v ("', '
	s"um: "Od.d ""x(y".a b value, "Od.d ""x(y".C.c value
	Ü.*: "Od.d ""x(y".净" value
	*: "Od.d ""x(y".* value, "Od.d ""x(y".a b filter');
CREATE TABLE wide (a int, gone text, b int);
ALTER TABLE wide DROP COLUMN gone;
CREATE VIEW dropped_before AS SELECT w AS whole, b FROM wide w;
ALTER TABLE wide ADD COLUMN c int;
CREATE VIEW dropped_after AS SELECT to_jsonb(w) AS j FROM wide w;
ALTER TABLE wide DROP COLUMN a;
SELECT expect(v, 'whole: wide.b value, wide.c value
	b: wide.b value
	*: wide.* value') FROM unnest('{dropped_before}'::text[]) v;
SELECT expect('dropped_after', '
	j: wide.b value, wide.c value
	*: wide.* value');
CREATE FUNCTION dropped_type() RETURNS SETOF wide BEGIN ATOMIC SELECT qty, prod FROM line; END;
SELECT expect('dropped_type()', '
	b: line.qty value
	c: line.prod value
	*: line.* value');

--
-- Functions with a parsed body, and their callers
--
CREATE FUNCTION net(o int) RETURNS numeric RETURN (SELECT sum(amount) FROM ord WHERE id = o);
SELECT expect('net(integer)', '
	net: ord.amount value, ord.* filter, ord.id filter');
CREATE FUNCTION top(n int) RETURNS TABLE (name text, total numeric)
BEGIN ATOMIC
	SELECT 1;
	SELECT c.name, sum(o.amount) FROM cust c JOIN ord o ON o.cust = c.id GROUP BY c.id, c.name ORDER BY sum(o.amount) DESC LIMIT n;
END;
SELECT expect('top(integer)', '
	name: cust.name value
	total: ord.amount value
	*: cust.* join, ord.* join, ord.cust join, cust.id join, cust.id group, cust.name group, ord.amount order');
CREATE FUNCTION paid() RETURNS SETOF ord BEGIN ATOMIC SELECT * FROM ord WHERE status = 'paid'; END;
SELECT expect('paid()', '
	id: ord.id value
	cust: ord.cust value
	status: ord.status value
	amount: ord.amount value
	refund: ord.refund value
	day: ord.day value
	*: ord.* value, ord.status filter');
CREATE FUNCTION moved() RETURNS TABLE (o int, p int)
BEGIN ATOMIC
	WITH d AS (DELETE FROM ret WHERE qty > 3 RETURNING ord, prod) SELECT d.ord, d.prod FROM d;
END;
SELECT expect('moved()', '
	o: ret.ord value
	p: ret.prod value
	*: ret.* value, ret.qty filter');
CREATE FUNCTION dims(i int) RETURNS extent BEGIN ATOMIC SELECT qty, prod FROM line WHERE ord = i; END;
SELECT expect('dims(integer)', '
	w: line.qty value
	h: line.prod value
	*: line.* value, line.ord filter');
CREATE FUNCTION opaque(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT max(id) FROM lin.ord); END';
CREATE VIEW called AS SELECT c.id, net(c.id) AS n, t.total, opaque(c.boss) AS o FROM cust c, top(c.id) t;
SELECT expect('called', '
	id: cust.id value
	n: lin.net(integer).net value, cust.id value
	total: lin.top(integer).total value, cust.id value
	o: lin.opaque(integer).opaque value, cust.boss value
	*: cust.* join, lin.top(integer).* join, cust.id join');
CREATE VIEW called_alone AS SELECT count(*) AS n, max(amount) AS m FROM paid();
SELECT expect('called_alone', '
	n: lin.paid().* value
	m: lin.paid().amount value
	*: lin.paid().* value');
CREATE VIEW called_field AS SELECT (dims(id)).h FROM prod;
SELECT expect('called_field', '
	h: lin.dims(integer).h value, prod.id value
	*: prod.* value');
CREATE FUNCTION calls() RETURNS numeric RETURN net(1) + (SELECT max(total) FROM top(2));
SELECT expect('calls()', '
	calls: lin.net(integer).net value, lin.top(integer).total value, lin.top(integer).* filter');

--
-- Computed columns, partitions, children, foreign tables, materialized views
--
CREATE TABLE gen (a int, b int, c int GENERATED ALWAYS AS (a + b * 2) STORED, d text GENERATED ALWAYS AS (CASE WHEN a > 0 THEN 'x' ELSE b::text END) STORED);
SELECT expect('gen', '
	c: gen.a value, gen.b value
	d: gen.a filter, gen.b value');
CREATE FOREIGN DATA WRAPPER regress_kpi_lineage;
CREATE SERVER regress_kpi_lineage FOREIGN DATA WRAPPER regress_kpi_lineage;
CREATE FOREIGN TABLE remote (id int, v text) SERVER regress_kpi_lineage;
CREATE TABLE parts (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (k);
CREATE TABLE parts_1a PARTITION OF parts_1 DEFAULT;
CREATE TABLE parts_2 (gone int, v text, k int);
ALTER TABLE parts_2 DROP COLUMN gone;
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (10) TO (20);
CREATE FOREIGN TABLE parts_3 PARTITION OF parts FOR VALUES FROM (20) TO (30) SERVER regress_kpi_lineage;
SELECT expect('parts', '
	k: parts_1.k value, parts_2.k value, parts_3.k value
	v: parts_1.v value, parts_2.v value, parts_3.v value
	*: parts_1.* value, parts_2.* value, parts_3.* value');
SELECT expect('parts_1', '
	k: parts_1a.k value
	v: parts_1a.v value
	*: parts_1a.* value');
CREATE TABLE parent (a int);
CREATE TABLE child (b int) INHERITS (parent);
SELECT expect('parent', '
	a: child.a value
	*: child.* value');
CREATE MATERIALIZED VIEW stored AS SELECT cust, sum(amount) AS s FROM ord GROUP BY cust WITH NO DATA;
SELECT expect('stored', '
	cust: ord.cust value
	s: ord.amount value
	*: ord.* value, ord.cust group');
CREATE VIEW over_all AS SELECT s.s, r.v, p.v AS pv, o.a FROM stored s, remote r, parts p, ONLY parent o WHERE r.id = s.cust;
SELECT expect('over_all', '
	s: stored.s value
	v: remote.v value
	pv: parts.v value
	a: parent.a value
	*: stored.* join, remote.* join, parts.* join, parent.* join, remote.id join, stored.cust join');

--
-- Metrics and metric views
--
SELECT kpi.create_metric('lin.revenue', 'SELECT sum(amount) FROM lin.ord WHERE status = ''paid''');
SELECT expect('revenue', '
	revenue: ord.amount value
	*: ord.* value, ord.status filter');
SELECT kpi.create_metric('lin.orders', 'SELECT count(*) FROM lin.ord');
SELECT expect('orders', '
	orders: ord.* value
	*: ord.* value');
SELECT kpi.create_metric('lin.aov', 'SELECT revenue / nullif(orders, 0) FROM lin.revenue, lin.orders');
SELECT expect('aov', '
	aov: revenue.revenue value, orders.orders value
	*: revenue.* join, orders.* join');
SELECT kpi.create_metric_view('lin.sales', '{status, "lower(status) AS low"}', '{lin.revenue, "lin.aov AS mean"}');
SELECT expect('sales', '
	status: ord.status value
	low: ord.status value
	revenue: revenue.revenue value
	mean: aov.aov value
	*: ord.* value');
CREATE VIEW report AS SELECT status, kpi.measure(mean) AS m, sum(revenue) AS r FROM sales GROUP BY status HAVING kpi.measure(mean) > 1;
SELECT expect('report', '
	status: sales.status value
	m: sales.mean value
	r: sales.revenue value
	*: sales.* value, sales.status group, sales.mean filter');

-- none expected
CREATE VIEW derived AS
SELECT target, coalesce(target_column, '*') || ': ' || regexp_replace(source, '^lin\.(?!.*\(.*\)$)', '') || '.' || coalesce(source_column, '*') || ' ' || kind AS edge
  FROM kpi.lineage WHERE direct AND target ~ '^lin\.' AND target <> 'lin.derived';
SELECT 'missing' AS problem, * FROM (TABLE expected EXCEPT TABLE derived) e UNION ALL
SELECT 'surplus', * FROM (TABLE derived EXCEPT TABLE expected) e
 WHERE target NOT IN ('lin.derived', 'lin.expect(text,text)') ORDER BY 2, 3;
-- an edge is told once
SELECT * FROM kpi.lineage WHERE direct AND target ~ '^lin\.' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 HAVING count(*) > 1;
SELECT count(DISTINCT target) >= 60 AS cases FROM expected;
SELECT object, problem FROM kpi.check() WHERE object ~ '^lin\.' OR object = 'lineage';

--
-- What the ends are, and what is done on the way: SQL that PostgreSQL reads
--
SELECT DISTINCT target_type, target, source_type FROM kpi.lineage
 WHERE target IN ('lin.over_all', 'lin.sales', 'lin.aov', 'lin.parts', 'lin.called', 'lin.stored', 'lin.net(integer)', 'lin.gen') AND direct ORDER BY 2, 3;
SELECT target, target_column, source, source_column, kind, transformation FROM kpi.lineage
 WHERE target IN ('lin.plain', 'lin.join_where', 'lin.choice', 'lin.nested', 'lin.aggregates', 'lin.windows', 'lin.correlated', 'lin.revenue', 'lin.sales', 'lin.gen', 'lin.net(integer)', 'lin."v ("') AND direct
   AND transformation IS NOT NULL ORDER BY target COLLATE "C", target_column COLLATE "C" NULLS LAST, source COLLATE "C", source_column COLLATE "C", kind;

SET client_min_messages = error;
DROP SCHEMA lin CASCADE;
DROP FOREIGN DATA WRAPPER regress_kpi_lineage CASCADE;
SELECT count(*) FROM kpi.lineage WHERE source ~ '^lin\.' OR target ~ '^lin\.';
