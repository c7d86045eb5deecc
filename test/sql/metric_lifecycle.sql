-- metric_lifecycle: a metric's metadata, comments, type, source and additivity; and that registry, listings and views
-- stay in step through every DDL that reaches them (issue 2 §2, B3, B4, D13, H8).

\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE ROLE regress_kpi_author;
CREATE ROLE regress_kpi_heir;
CREATE SCHEMA life;
CREATE SCHEMA life_bi;
GRANT ALL ON SCHEMA life, life_bi TO regress_kpi_author, regress_kpi_heir;

CREATE TABLE life.lines (id integer, region text, amount numeric(12,2), refund numeric(12,2), sold_on date, note text);
COMMENT ON COLUMN life.lines.region IS 'where the shop is';
INSERT INTO life.lines
SELECT i, (ARRAY['east', 'west'])[1 + i % 2], i * 1.5, i % 7, date '2026-01-01' + i FROM generate_series(1, 50) AS i;
CREATE TABLE life.visits (region text, visitors integer);
INSERT INTO life.visits VALUES ('east', 700), ('west', 300);
GRANT SELECT ON life.lines, life.visits TO regress_kpi_author, regress_kpi_heir;

-- What the registry holds, an orphan for a row that names no relation, against what the listings show
CREATE VIEW life.registered AS
SELECT kind, coalesce(c.oid::regclass::text, 'orphan') COLLATE "C" AS relation, label, pg_get_userbyid(c.relowner) AS owner, listed.relid IS NOT NULL AS listed
  FROM (SELECT 'metric' AS kind, relid, label FROM kpi.metric_registry
		UNION ALL SELECT 'metric view', relid, label FROM kpi.metric_view_registry) AS r
  LEFT JOIN pg_class AS c ON c.oid = r.relid
  LEFT JOIN (SELECT metric FROM kpi.metrics UNION ALL SELECT metric_view FROM kpi.metric_views) AS listed (relid) ON listed.relid = r.relid;
CREATE VIEW life.comments AS
SELECT c.oid::regclass AS relation, a.attname AS "column", d.description
  FROM pg_description AS d
  JOIN pg_class AS c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass
  LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0
 WHERE c.relnamespace IN ('life'::regnamespace, 'life_bi'::regnamespace) AND c.relkind = 'v';

--
-- Metadata
--
SET ROLE regress_kpi_author;
SELECT kpi.create_metric('life.net', 'SELECT sum(amount) - sum(refund) FROM life.lines WHERE sold_on > ''2026-01-03''',
						 label => 'Net revenue', description => 'Value after refunds', unit => 'CNY', format => '#,##0.00',
						 tags => '{money,daily}', synonyms => '{turnover,sales}', direction => 'up', min_group_rows => 5);
SELECT kpi.create_metric('life.lines_sold', 'SELECT count(*) FROM life.lines');
\x on
SELECT * FROM kpi.metrics WHERE schema = 'life' ORDER BY name;
-- NULL leaves a value as it is, an empty one clears it
SELECT kpi.alter_metric('life.net', unit => 'USD', tags => '{}');
SELECT * FROM kpi.metrics WHERE name = 'net';
SELECT kpi.alter_metric('life.net', label => '', description => '', unit => '', format => '', synonyms => '{}', direction => '', min_group_rows => 0);
SELECT * FROM kpi.metrics WHERE name = 'net';
\x off
-- what is no direction, no threshold, no list and no owner
SELECT kpi.alter_metric('life.net', direction => 'sideways');
SELECT kpi.create_metric('life.x', 'SELECT count(*) FROM life.lines', direction => 'Up');
SELECT kpi.alter_metric('life.net', min_group_rows => -1);
SELECT kpi.alter_metric('life.net', tags => '{a,NULL}');
SELECT kpi.create_metric('life.x', 'SELECT count(*) FROM life.lines', synonyms => '{NULL}');
SELECT kpi.alter_metric('life.net', owner => 'regress_kpi_nobody');
SELECT kpi.create_metric('life.x', 'SELECT count(*) FROM life.lines', owner => 'regress_kpi_heir');
SELECT kpi.alter_metric('life.net', owner => 'regress_kpi_heir; DROP VIEW life.net');
RESET ROLE;
-- a failed call leaves nothing
SELECT * FROM life.registered ORDER BY 2;
GRANT regress_kpi_heir TO regress_kpi_author;
SET ROLE regress_kpi_author;
SELECT kpi.create_metric('life.given', 'SELECT count(*) FROM life.lines', owner => 'regress_kpi_heir', label => 'Given');
SET ROLE regress_kpi_heir;
SELECT kpi.alter_metric('life.net', label => 'Stolen');
SELECT kpi.drop_metric('life.net');
SELECT kpi.alter_metric('life.given', label => 'Taken', owner => 'regress_kpi_heir');
RESET ROLE;
REVOKE regress_kpi_heir FROM regress_kpi_author;
SELECT * FROM life.registered ORDER BY 2;
SELECT kpi.drop_metric('life.given');
-- what is not a metric
SELECT kpi.alter_metric('life.lines', label => 'Lines');
SELECT kpi.alter_metric('life.registered', definition => 'SELECT count(*) FROM life.lines');
SELECT kpi.alter_metric('life.nothing', label => 'x');
SELECT kpi.alter_metric(4294967295::regclass, label => 'x');
SELECT kpi.drop_metric('life.registered');

--
-- Comments are what drivers and tools show: label, unit, description and definition.  They follow a change.
--
SET ROLE regress_kpi_author;
SELECT kpi.alter_metric('life.net', label => 'Net revenue', description => 'Value after refunds', unit => 'CNY');
SELECT kpi.create_metric_view('life_bi.sales', '{region, sold_on, id % 10 AS digit}', '{life.net, life.lines_sold AS lines}',
							  label => 'Sales', description => 'All that was sold');
COMMENT ON COLUMN life_bi.sales.digit IS 'last digit';
RESET ROLE;
SELECT * FROM life.comments ORDER BY relation::text, 2;
SELECT kpi.alter_metric('life.net', label => 'Revenue', definition => 'SELECT sum(amount) - sum(refund) FROM life.lines WHERE sold_on > ''2026-01-05''');
SELECT kpi.alter_metric('life.lines_sold', description => 'Lines of orders');
SELECT kpi.alter_metric_view('life_bi.sales', description => 'Everything');
SELECT * FROM life.comments ORDER BY relation::text, 2;
-- cleared metadata clears the comment, but nobody's own one
SELECT kpi.alter_metric('life.net', label => '', description => '', unit => ''), kpi.alter_metric('life.lines_sold', description => ''),
	   kpi.alter_metric_view('life_bi.sales', label => '', description => '');
COMMENT ON VIEW life.lines_sold IS 'my own words';
SELECT kpi.alter_metric('life.lines_sold', format => '0', tags => '{a}');
SELECT * FROM life.comments ORDER BY relation::text, 2;

--
-- A new definition.  B3: whoever reads the metric follows at the next execution.
--
CREATE FUNCTION life.net_of(text) RETURNS numeric LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT kpi.measure(net) FROM life_bi.sales WHERE region = $1); END';
CREATE VIEW life.by_region AS SELECT region, kpi.measure(net) AS net FROM life_bi.sales GROUP BY region;
SET plan_cache_mode = force_generic_plan;
PREPARE net_by_region AS SELECT region, kpi.measure(net) AS prepared, life.net_of(region) AS plan_in_function FROM life_bi.sales GROUP BY region ORDER BY region;
EXECUTE net_by_region;
SELECT kpi.alter_metric('life.net', definition => 'SELECT sum(amount) FROM life.lines WHERE region <> ''west''');
EXECUTE net_by_region;
SELECT v.region, v.net, v.net IS NOT DISTINCT FROM (SELECT sum(amount) FROM life.lines AS l WHERE l.region = v.region AND l.region <> 'west') AS right
  FROM life.by_region AS v ORDER BY region;
TABLE life.net;
-- the type stays, or the hint says how to go on
SELECT kpi.alter_metric('life.net', definition => 'SELECT count(*) FROM life.lines');
SELECT kpi.alter_metric('life.net', definition => 'SELECT avg(amount)::double precision FROM life.lines');
SELECT kpi.alter_metric('life.net', definition => 'SELECT sum(amount)::numeric(10,1) FROM life.lines');
SELECT kpi.alter_metric('life.net', definition => 'SELECT sum(nothing) FROM life.lines');
SELECT kpi.alter_metric('life.net', definition => 'SELECT sum(amount) FROM life.lines GROUP BY region');
SELECT kpi.alter_metric('life.net', definition => 'SELECT count(*)::numeric FROM life.lines');
EXECUTE net_by_region;
-- the collation is part of the type that views, indexes and drivers were told
SELECT kpi.create_metric('life.first_note', 'SELECT min(note) FROM life.lines');
SELECT kpi.alter_metric('life.first_note', definition => 'SELECT min(note) COLLATE "C" FROM life.lines');
SELECT kpi.drop_metric('life.first_note');

-- another source: free while nothing publishes the metric, refused after that, also for a component
SELECT kpi.create_metric('life.visitors', 'SELECT sum(visitors) FROM life.visits');
SELECT kpi.alter_metric('life.visitors', definition => 'SELECT sum(id) FROM life.lines'), kpi.metric_source('life.visitors');
SELECT kpi.create_metric('life.ratio', 'SELECT net / nullif(visitors, 0) FROM life.net, life.visitors');
SELECT kpi.create_metric_view('life_bi.ratios', '{region}', '{life.ratio, life.lines_sold}');
SELECT kpi.alter_metric('life.net', definition => 'SELECT sum(visitors)::numeric FROM life.visits');
SELECT kpi.alter_metric('life.visitors', definition => 'SELECT sum(visitors) FROM life.visits');
SELECT kpi.alter_metric('life.ratio', definition => 'SELECT sum(visitors)::numeric FROM life.visits');
SELECT kpi.alter_metric_view('life_bi.ratios', drop_metrics => '{ratio}');
SELECT kpi.alter_metric('life.visitors', definition => 'SELECT sum(visitors) FROM life.visits');
SELECT kpi.metric_source('life.visitors') AS visitors, kpi.metric_source('life.ratio') AS ratio, ratio IS NOT DISTINCT FROM
	   (SELECT count(*) FROM life.lines)::numeric / (SELECT sum(visitors) FROM life.visits) AS right FROM life.ratio;
SELECT kpi.alter_metric_view('life_bi.ratios', add_metrics => '{life.ratio}');
SELECT kpi.alter_metric('life.visitors', definition => 'SELECT sum(id) FROM life.lines');
SELECT kpi.alter_metric_view('life_bi.ratios', add_metrics => '{life.ratio}');

-- M5: a cycle is an error that names it
SELECT kpi.create_metric('life.a', 'SELECT net + 0 FROM life.net'), kpi.create_metric('life.b', 'SELECT a + 1 FROM life.a'),
	   kpi.create_metric('life.c', 'SELECT b + a FROM life.b, life.a');
SELECT kpi.alter_metric('life.a', definition => 'SELECT c + 1 FROM life.c');
SELECT kpi.alter_metric('life.a', definition => 'SELECT a FROM life.a');
SELECT kpi.create_metric_view('life_bi.cyclic', '{region}', '{life.c}');
SELECT kpi.create_metric('life.east_c', 'SELECT measure(c) FROM life_bi.cyclic WHERE region = ''east''');
SELECT kpi.alter_metric('life.c', definition => 'SELECT measure(c) FROM life_bi.cyclic WHERE region = ''west''');
SELECT kpi.alter_metric('life.a', definition => 'SELECT east_c FROM life.east_c');
-- the same behind our back; nobody gets a number, the lists stand, and the way out is open
CREATE OR REPLACE VIEW life.a AS SELECT c + 0 AS a FROM life.c;
SELECT region, kpi.measure(c) FROM life_bi.cyclic GROUP BY region;
SELECT kpi.create_metric('life.d', 'SELECT c FROM life.c');
SELECT name, additivity, source, definition FROM kpi.metrics WHERE schema = 'life' AND name IN ('a', 'b', 'c') ORDER BY name;
SELECT metric_view, name, additivity FROM kpi.measures WHERE metric_view = 'life_bi.cyclic'::regclass;
SELECT kpi.alter_metric('life.a', definition => 'SELECT net + 0 FROM life.net');
SELECT region, kpi.measure(c) IS NOT DISTINCT FROM 2 * net + 1 AS right FROM life_bi.cyclic JOIN life.by_region USING (region) GROUP BY region, net ORDER BY region;
-- the same for a view that is no metric any more, and for one that left its source
CREATE OR REPLACE VIEW life.a AS SELECT sum(amount) AS a FROM life.lines GROUP BY region LIMIT 1;
SELECT kpi.measure(c) FROM life_bi.cyclic;
SELECT name, additivity, source FROM kpi.metrics WHERE schema = 'life' AND name IN ('a', 'c') ORDER BY name;
SELECT kpi.alter_metric('life.a', definition => 'SELECT net + 0 FROM life.net');
CREATE OR REPLACE VIEW life.a AS SELECT sum(visitors)::numeric AS a FROM life.visits;
SELECT kpi.measure(c) FROM life_bi.cyclic;
SELECT kpi.alter_metric('life.a', definition => 'SELECT net + 0 FROM life.net');
SELECT kpi.drop_metric_view('life_bi.cyclic', cascade => true);
SELECT kpi.drop_metric('life.a', cascade => true);

--
-- B4: what is rolled back has not been
--
SET plan_cache_mode = auto;
BEGIN;
SELECT kpi.alter_metric('life.net', definition => 'SELECT 1 + sum(amount) FROM life.lines', label => 'Wrong');
EXECUTE net_by_region;
SAVEPOINT s;
SELECT kpi.alter_metric('life.net', definition => 'SELECT 2 + sum(amount) FROM life.lines');
SELECT kpi.create_metric('life.e', 'SELECT count(*) FROM life.lines');
SELECT kpi.alter_metric_view('life_bi.ratios', rename => '{lines_sold AS lines}', drop_metrics => '{ratio}', add_metrics => '{life.net, life.e}');
SELECT net = 2 + (SELECT sum(amount) FROM life.lines) AS right, e, lines FROM (SELECT kpi.measure(net), kpi.measure(e), kpi.measure(lines) FROM life_bi.ratios) AS m (net, e, lines);
ROLLBACK TO s;
EXECUTE net_by_region;
DO $$BEGIN
	PERFORM kpi.drop_metric('life.net', cascade => true);
	PERFORM 1 / 0;
EXCEPTION WHEN division_by_zero THEN
END$$;
EXECUTE net_by_region;
SELECT kpi.drop_metric('life.net', cascade => true);
SELECT * FROM life.registered ORDER BY 2;
ROLLBACK;
EXECUTE net_by_region;
SELECT * FROM life.registered ORDER BY 2;
SELECT description LIKE 'Wrong%' AS wrong FROM life.comments WHERE relation = 'life_bi.sales'::regclass AND "column" = 'net';

--
-- D13: PostgreSQL's own DDL.  Views follow renames; the registry follows the view.
--
SET ROLE regress_kpi_author;
ALTER VIEW life.net RENAME TO "净收入";
ALTER VIEW life."净收入" RENAME COLUMN net TO "元";
ALTER VIEW life."净收入" SET SCHEMA life_bi;
ALTER VIEW life_bi.sales RENAME TO "销售";
ALTER VIEW life_bi."销售" RENAME COLUMN net TO "净收入";
RESET ROLE;
ALTER VIEW life.lines_sold OWNER TO regress_kpi_heir;
ALTER TABLE life.lines RENAME COLUMN amount TO value;
ALTER TABLE life.lines RENAME TO "订单";
ALTER SCHEMA life_bi RENAME TO "财务";
SELECT * FROM life.registered ORDER BY 2;
SELECT metric, source, definition FROM kpi.metrics WHERE metric = '"财务"."净收入"'::regclass;
SELECT "区域", kpi.measure("净收入") AS "净收入", kpi.measure("净收入") IS NOT DISTINCT FROM sum("净收入") AS same
  FROM "财务"."销售" AS s ("区域") GROUP BY "区域" ORDER BY "区域";
TABLE "财务"."净收入";
TABLE life.by_region ORDER BY region;
-- a definition is still replaced under the new names, and derived metrics read the column by its name
SELECT kpi.alter_metric('"财务"."净收入"', definition => 'SELECT sum(value) - sum(refund) FROM life."订单"', label => '净收入', unit => '元');
SELECT kpi.create_metric('"财务".double', 'SELECT "元" * 2 FROM "财务"."净收入"');
SELECT double IS NOT DISTINCT FROM 2 * (SELECT sum(value) - sum(refund) FROM life."订单") AS right FROM "财务".double;
SELECT description FROM life.comments WHERE relation = '"财务"."销售"'::regclass AND "column" = '净收入';
ALTER SCHEMA "财务" RENAME TO life_bi;
ALTER VIEW life_bi."净收入" SET SCHEMA life;
ALTER VIEW life."净收入" RENAME TO net;
ALTER VIEW life.net RENAME COLUMN "元" TO net;
ALTER VIEW life_bi."销售" RENAME TO sales;
ALTER VIEW life_bi.sales RENAME COLUMN "净收入" TO net;
ALTER TABLE life."订单" RENAME TO lines;
ALTER TABLE life.lines RENAME COLUMN value TO amount;
SELECT kpi.create_metric('life.guests', 'SELECT sum(visitors) FROM life.visits'),
	   kpi.create_metric_view('life_bi.guests', '{region}', '{life.guests}');
-- PostgreSQL keeps a column that a metric reads, and its type
ALTER TABLE life.lines ALTER COLUMN amount TYPE numeric(14,2);
ALTER TABLE life.lines DROP COLUMN amount;
DROP VIEW life.net;
SELECT kpi.drop_metric('life.guests');
DROP TABLE life.visits;
SELECT * FROM life.registered ORDER BY 2;
-- or drops what reads it
BEGIN;
ALTER TABLE life.lines DROP COLUMN amount CASCADE;
SELECT * FROM life.registered ORDER BY 2;
EXECUTE net_by_region;
ROLLBACK;
BEGIN;
DROP TABLE life.visits CASCADE;
SELECT * FROM life.registered ORDER BY 2;
ROLLBACK;
BEGIN;
DROP VIEW life.guests CASCADE;
SELECT * FROM life.registered ORDER BY 2;
ROLLBACK;
BEGIN;
DROP SCHEMA life_bi CASCADE;
SELECT * FROM life.registered ORDER BY 2;
ROLLBACK;

--
-- H8: roles
--
CREATE FUNCTION life.owners() RETURNS text LANGUAGE sql AS $$SELECT string_agg(relation || ' ' || owner, ', ' ORDER BY relation) FROM life.registered$$;
\set VERBOSITY terse
DROP ROLE regress_kpi_heir;
\set VERBOSITY default
REASSIGN OWNED BY regress_kpi_author TO regress_kpi_heir;
SELECT life.owners();
EXECUTE net_by_region;
SELECT kpi.drop_metric('life.guests', cascade => true), kpi.drop_metric('life.visitors', cascade => true);
BEGIN;
DROP OWNED BY regress_kpi_heir CASCADE;
SELECT life.owners();
ROLLBACK;
SELECT life.owners();
DROP OWNED BY regress_kpi_heir CASCADE;
SELECT * FROM life.registered ORDER BY 2;
DROP ROLE regress_kpi_heir;
CREATE ROLE regress_kpi_heir;
SET ROLE regress_kpi_heir;
SELECT count(*) FROM kpi.metrics;
RESET ROLE;

--
-- What leaves without DROP: temporary objects, and DROP that no event trigger saw
--
CREATE TEMP TABLE scratch (n integer);
\set VERBOSITY terse
SELECT kpi.create_metric('scratch_total', 'SELECT sum(n) FROM scratch');
SELECT kpi.create_metric('pg_temp.scratch_sum', 'SELECT sum(n) FROM scratch');
SELECT kpi.create_metric('pg_temp.lines_total', 'SELECT count(*) FROM life.lines');
SELECT kpi.create_metric('life.scratch_total', 'SELECT sum(n) FROM scratch');
SELECT kpi.create_metric('life.rows', 'SELECT count(*) FROM life.lines');
SELECT kpi.create_metric_view('pg_temp.v', '{region}', '{life.rows}');
CREATE TEMP VIEW scratch_lines AS TABLE life.lines;
SELECT kpi.create_metric('life.scratch_lines', 'SELECT count(*) FROM scratch_lines');
\set VERBOSITY default
DISCARD TEMP;
SELECT * FROM life.registered ORDER BY 2;
BEGIN;
ALTER EVENT TRIGGER kpi_forget_dropped DISABLE;
DROP VIEW life.rows;
SELECT * FROM life.registered ORDER BY 2;
SELECT count(*) FROM kpi.metrics WHERE schema = 'life';
ROLLBACK;

--
-- Additivity is read off the definition.
--
CREATE TABLE life.numbers (i integer, b bigint, n numeric, m numeric(8,2), f double precision, r real, t text, d date, iv interval, mo money);
CREATE TABLE life.additive (position serial, expected text, expression text);
INSERT INTO life.additive (expected, expression) VALUES
	('count', 'count(*)'), ('count', 'count(t)'), ('count', 'count(t) FILTER (WHERE i > 0)'), ('count', 'count(*)::numeric'),
	('count', 'count(i)::bigint'),
	('additive', 'sum(i)'), ('additive', 'sum(n)'), ('additive', 'sum(iv)'), ('additive', 'sum(mo)'), ('additive', 'sum(m) FILTER (WHERE i > 0)'),
	('additive', 'sum(i) - count(*)'), ('additive', '-sum(n)'), ('additive', 'sum(n) * 1.5'), ('additive', '2 * sum(n) + 3 * sum(m)'),
	('additive', 'coalesce(sum(n), 0)'), ('additive', 'coalesce(sum(n), 0) - coalesce(sum(m), 0.00)'), ('additive', 'sum(i)::numeric'),
	('additive', 'sum(coalesce(n, 1))'), ('additive', 'sum(n * m)'), ('additive', 'sum(CASE WHEN i > 0 THEN n END)'), ('additive', 'count(*) * 2'),
	('semi-additive', 'min(d)'), ('semi-additive', 'max(n)'), ('semi-additive', 'bool_and(i > 0)'), ('semi-additive', 'bit_or(i)'),
	('semi-additive', 'max(DISTINCT n)'), ('semi-additive', 'every(t IS NULL)'),
	('non-additive', 'count(DISTINCT t)'), ('non-additive', 'sum(DISTINCT n)'), ('non-additive', 'avg(n)'), ('non-additive', 'sum(n) / nullif(sum(m), 0)'),
	('non-additive', 'sum(n) / 2'), ('non-additive', 'sum(i) * count(*)'), ('non-additive', 'sum(n) + 1'), ('non-additive', '1 - sum(n)'),
	('non-additive', 'coalesce(sum(n), 1)'), ('non-additive', 'coalesce(sum(n), sum(m))'), ('non-additive', 'round(sum(n))'), ('non-additive', 'sum(n)::integer'),
	('non-additive', 'sum(n)::numeric(12,1)'), ('non-additive', 'sum(n)::text'), ('non-additive', 'greatest(sum(n), 0)'),
	('non-additive', 'CASE WHEN count(*) > 3 THEN sum(n) END'), ('non-additive', 'max(n) - min(n)'), ('non-additive', 'sum(n) + max(n)'), ('non-additive', '-max(n)'),
	('non-additive', 'percentile_cont(0.5) WITHIN GROUP (ORDER BY f)'), ('non-additive', 'array_agg(i)'), ('non-additive', 'stddev(n)'),
	('non-additive', 'sum(n) IS NULL'), ('non-additive', 'abs(sum(n))'), ('non-additive', '@ sum(n)'), ('non-additive', 'sum(n) % 7'), ('non-additive', 'sum(i) & 7'),
	('non-additive', 'sum(b)::numeric * sum(i)::numeric'), ('non-additive', 'sum(f)::numeric'), ('additive', 'sum(r)');
SELECT count(kpi.create_metric('life.add' || position, format('SELECT %s FROM life.numbers', expression))) FROM life.additive;
SELECT expected, expression, kpi.additivity(('life.add' || position)::regclass)
  FROM life.additive WHERE kpi.additivity(('life.add' || position)::regclass) IS DISTINCT FROM expected ORDER BY position;
-- additive is a promise: the total is the sum of the parts, and what a client gets that sums an extract
INSERT INTO life.numbers SELECT i, i * 10, i / 4.0, i / 3.0, i, i, CASE WHEN i % 4 > 0 THEN 't' END, date '2026-01-01' + i,
	   make_interval(mins => i), i::numeric::money FROM generate_series(-3, 25) AS i;
INSERT INTO life.numbers (b) SELECT * FROM generate_series(10, 40, 10);
SELECT kpi.create_metric_view('life.additives', '{b / 10 % 5 AS part}', ARRAY(SELECT 'life.add' || position FROM life.additive ORDER BY position));
CREATE FUNCTION life.sums_up(expression text, measure text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	result boolean;
BEGIN
	EXECUTE format('SELECT total IS NOT DISTINCT FROM by_hand AND by_hand IS NOT DISTINCT FROM parts AND by_hand IS NOT DISTINCT FROM extract
					  FROM (SELECT kpi.measure(%1$s) AS total FROM life.additives) AS t,
						   (SELECT %2$s AS by_hand FROM life.numbers) AS h,
						   (SELECT sum(v) AS parts FROM (SELECT kpi.measure(%1$s) AS v FROM life.additives GROUP BY part) AS g) AS p,
						   (SELECT sum(v) AS extract FROM (SELECT %1$s AS v FROM life.additives OFFSET 0) AS e) AS e', measure, expression)
		INTO result;
	RETURN result;
END
$$;
SELECT count(*), count(*) FILTER (WHERE life.sums_up(expression, 'add' || position)) AS sum_up
  FROM life.additive WHERE expected IN ('count', 'additive');
SELECT expression FROM life.additive WHERE expected IN ('count', 'additive') AND NOT life.sums_up(expression, 'add' || position);
-- derived and filtered metrics have the additivity of what they come to
SELECT kpi.create_metric('life.sum_of_sums', 'SELECT add7 + add6 FROM life.add7, life.add6'),
	   kpi.create_metric('life.count_of_some', 'SELECT measure(add1) FROM life.additives WHERE part = 1'),
	   kpi.create_metric('life.sum_of_max', 'SELECT add7 + add23 FROM life.add7, life.add23');
SELECT kpi.additivity('life.sum_of_sums'), kpi.additivity('life.count_of_some'), kpi.additivity('life.sum_of_max'),
	   kpi.additivity('life.numbers') AS of_a_table, kpi.additivity('life.registered') AS of_a_view, kpi.additivity(4294967295::regclass) AS of_nothing, kpi.additivity(NULL);

SET client_min_messages = error;
DROP SCHEMA life, life_bi CASCADE;
DROP ROLE regress_kpi_author, regress_kpi_heir;
SELECT count(*) AS left_behind FROM kpi.metric_registry FULL JOIN kpi.metric_view_registry USING (relid);
