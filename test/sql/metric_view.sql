-- metric_view: publishing dimensions and metrics of one source; changing what is published without losing what
-- PostgreSQL keeps about a view; and the listings, which show what their reader may use (issue 2 §3, H4, H8).

\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET DateStyle = 'ISO, YMD';
CREATE ROLE regress_kpi_publisher;
CREATE ROLE regress_kpi_all;
CREATE ROLE regress_kpi_columns;
CREATE ROLE regress_kpi_manager;
CREATE ROLE regress_kpi_outside;
CREATE ROLE regress_kpi_nothing;
CREATE SCHEMA mv AUTHORIZATION regress_kpi_publisher;
GRANT USAGE ON SCHEMA mv TO regress_kpi_all, regress_kpi_columns, regress_kpi_manager, regress_kpi_nothing;

-- What happens?
CREATE FUNCTION mv.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	DROP VIEW IF EXISTS mv.x;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n    ', state || ': ' || message, nullif(detail, ''), nullif(hint, ''));
END
$$;
GRANT EXECUTE ON FUNCTION mv.try(text) TO PUBLIC;

GRANT CREATE ON DATABASE :DBNAME TO regress_kpi_publisher;
SET ROLE regress_kpi_publisher;
CREATE TABLE mv.orders (
	id integer, region text, status text, amount numeric(10,2), weight double precision,
	ordered_at timestamptz, ordered_on date, "购买 日" date);
COMMENT ON COLUMN mv.orders.region IS 'where the shop is';
INSERT INTO mv.orders
SELECT i, (ARRAY['east', 'west', NULL])[1 + i % 3], (ARRAY['paid', 'open'])[1 + i % 2], i * 1.25, i / 8.0,
	   timestamptz '2026-01-01 00:00+00' + i * interval '7 hours', date '2026-01-01' + i % 40, date '2026-02-01' + i % 3
  FROM generate_series(1, 60) AS i;
CREATE TABLE mv.visits (region text, visitors integer);
CREATE VIEW mv.plain AS TABLE mv.orders;
SELECT kpi.create_metric('mv.revenue', 'SELECT sum(amount) FROM mv.orders WHERE status = ''paid''', label => 'Revenue', description => 'Paid', unit => 'CNY', direction => 'up', format => '0.00'),
	   kpi.create_metric('mv.orders_count', 'SELECT count(*) FROM mv.orders'),
	   kpi.create_metric('mv.aov', 'SELECT round(revenue / nullif(orders_count, 0), 4)::numeric(12,2) FROM mv.revenue, mv.orders_count'),
	   kpi.create_metric('mv.visitors', 'SELECT sum(visitors) FROM mv.visits'),
	   kpi.create_metric('mv.conversion', 'SELECT orders_count::numeric / nullif(visitors, 0) FROM mv.orders_count, mv.visitors'),
	   kpi.create_metric('mv.of_view', 'SELECT count(*) FROM mv.plain');

--
-- Columns, expressions and names
--
SELECT kpi.create_metric_view('mv.sales',
	ARRAY['region', 'mv.orders.status', 'orders.ordered_on', '"购买 日"', 'id % 10 digit', 'date_trunc(''month'', ordered_on)::date AS month',
		  'CASE WHEN amount > 20 THEN ''large'' ELSE ''small'' END AS "Size; --"', 'region COLLATE "C" AS region_c', '''x'' AS constant', 'now() > ordered_at AS past'],
	ARRAY['mv.revenue', 'mv.orders_count AS "订单 数"', 'mv.aov', 'mv.revenue AS revenue_again']);
\d mv.sales
SELECT count(*) AS differences FROM (
	(SELECT region, month, "Size; --", constant, past, kpi.measure(revenue), kpi.measure("订单 数"), kpi.measure(aov), kpi.measure(revenue_again)
	   FROM mv.sales WHERE digit > 2 AND region_c < 'x' GROUP BY GROUPING SETS ((region, month), ("Size; --", constant), (past), ())
	 EXCEPT ALL
	 SELECT region, month, size, constant, past, r, n, round(r / nullif(n, 0), 4)::numeric(12,2), r
	   FROM (SELECT region, month, size, constant, past, sum(amount) FILTER (WHERE status = 'paid') AS r, count(*) AS n
			   FROM (SELECT *, date_trunc('month', ordered_on)::date AS month, CASE WHEN amount > 20 THEN 'large' ELSE 'small' END AS size,
							'x' AS constant, now() > ordered_at AS past FROM mv.orders) AS o
			  WHERE id % 10 > 2 AND region < 'x' GROUP BY GROUPING SETS ((region, month), (size, constant), (past), ())) AS g)) AS d;
-- an expression keeps its value whatever the session's formats are (F7)
SET extra_float_digits = -15;
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
SELECT kpi.create_metric_view('mv.formats',
	ARRAY['weight * ''0.123456789012345''::float8 AS w', 'ordered_on + (''04/03/2026''::date - date ''2026-03-04'') AS d',
		  'ordered_at - interval ''-1 day 2 hours'' AS t'],
	ARRAY['mv.orders_count']);
RESET extra_float_digits;
RESET IntervalStyle;
SET DateStyle = 'ISO, YMD';
SELECT count(*) AS differences FROM (
	SELECT w, d, t FROM mv.formats
	EXCEPT ALL
	SELECT weight * '0.123456789012345'::float8, ordered_on, ordered_at + interval '1 day 2 hours' FROM mv.orders) AS d;
SELECT kpi.drop_metric_view('mv.formats');

-- Chinese, throughout
CREATE SCHEMA "财务";
CREATE TABLE "财务"."订单" ("编号" integer, "区域" text, "城市" text, "金额" numeric, "退款" numeric, "下单日" date);
COMMENT ON COLUMN "财务"."订单"."城市" IS '门店所在城市';
INSERT INTO "财务"."订单" SELECT i, (ARRAY['华东', '华北'])[1 + i % 2], (ARRAY['上海', '北京', '杭州'])[1 + i % 3], i * 10, i % 4, date '2026-01-01' + i
  FROM generate_series(1, 24) AS i;
SELECT kpi.create_metric('"财务"."净收入"', 'SELECT sum("金额") - sum("退款") FROM "财务"."订单"', label => '净收入', description => '扣除退款后的收入', unit => '元', tags => '{财务,日报}'),
	   kpi.create_metric('"财务"."订单数"', 'SELECT count(*) FROM "财务"."订单"', label => '订单数'),
	   kpi.create_metric('"财务"."客单价"', 'SELECT "净收入" / nullif("订单数", 0) FROM "财务"."净收入", "财务"."订单数"', label => '客单价');
SELECT kpi.create_metric_view('"财务"."销售"', '{"\"区域\"", "\"城市\"", "\"下单日\" AS \"日期\"", "left(\"城市\", 1) AS \"首字\""}',
							  '{"\"财务\".\"净收入\"", "\"财务\".\"客单价\" AS \"均价\""}', label => '销售');
SELECT "区域", "首字", kpi.measure("净收入") AS "净收入", kpi.measure("均价") = sum("均价") AS same, kpi.measure("均价") =
	   (SELECT (sum("金额") - sum("退款")) / count(*) FROM "财务"."订单" AS o WHERE o."区域" = s."区域" AND left(o."城市", 1) = s."首字") AS right
  FROM "财务"."销售" AS s WHERE "日期" < '2026-01-20' OR "日期" >= '2026-01-20' GROUP BY 1, 2 ORDER BY 3;
SELECT schema, name, metric_view, label, time_dimension, source FROM kpi.metric_views WHERE schema = '财务';
SELECT name, type, is_time, description FROM kpi.dimensions WHERE metric_view = '"财务"."销售"'::regclass ORDER BY position;
SELECT name, metric, label, unit, additivity, col_description(metric_view, position) FROM kpi.measures WHERE metric_view = '"财务"."销售"'::regclass ORDER BY position;

--
-- The primary time dimension: the first date or timestamp, or the one that is named
--
SELECT kpi.create_metric_view('mv.t1', '{region, ordered_at, ordered_on}', '{mv.revenue}'),
	   kpi.create_metric_view('mv.t2', '{region, ordered_at, ordered_on}', '{mv.revenue}', time_dimension => 'ordered_on'),
	   kpi.create_metric_view('mv.t3', '{region, ordered_at}', '{mv.revenue}', time_dimension => ''),
	   kpi.create_metric_view('mv.t4', '{"ordered_at::timestamp AS \"Local time\""}', '{mv.revenue}', time_dimension => 'Local time'),
	   kpi.create_metric_view('mv.t5', '{}', '{mv.revenue}'), kpi.create_metric_view('mv.t6', NULL, '{mv.revenue}');
SELECT name, time_dimension FROM kpi.metric_views WHERE name LIKE 't_' ORDER BY name;
SELECT kpi.alter_metric_view('mv.t1', time_dimension => 'ordered_on'), kpi.alter_metric_view('mv.t2', time_dimension => ''),
	   kpi.alter_metric_view('mv.t3', time_dimension => 'at', rename => '{ordered_at AS at}'),
	   kpi.alter_metric_view('mv.t4', rename => '{"\"Local time\" AS local"}'), kpi.alter_metric_view('mv.t5', add_dimensions => '{ordered_on}');
SELECT metric_view, time_dimension, (SELECT string_agg(d.name, ', ') FROM kpi.dimensions AS d WHERE d.metric_view = v.metric_view AND is_time) AS is_time
  FROM kpi.metric_views AS v WHERE name LIKE 't_' ORDER BY name;
SELECT kpi.alter_metric_view('mv.t1', drop_dimensions => '{ordered_on}');
SELECT name, time_dimension FROM kpi.metric_views WHERE name LIKE 't1';
SELECT kpi.create_metric_view('mv.x', '{region}', '{mv.revenue}', time_dimension => 'region');
SELECT kpi.create_metric_view('mv.x', '{region}', '{mv.revenue}', time_dimension => 'revenue');
SELECT kpi.create_metric_view('mv.x', '{region}', '{mv.revenue}', time_dimension => 'ordered_on');

--
-- What is refused
--
CREATE SEQUENCE mv.numbers;
CREATE TABLE mv.statements (position serial, statement text);
INSERT INTO mv.statements (statement) SELECT format('SELECT kpi.create_metric_view(''mv.x'', ''{region}'', %L)', metrics) FROM (VALUES
	('{}'::text[]), (NULL), ('{NULL}'), ('{mv.revenue,NULL}'), ('{mv.revenue,mv.visitors}'), ('{mv.revenue,mv.of_view}'), ('{mv.conversion}'),
	('{mv.orders}'), ('{mv.sales}'), ('{mv.nothing}'), ('{revenue}'), ('{nowhere.revenue}'), ('{mv.revenue,mv.revenue}'), ('{mv.revenue AS region}'),
	('{"mv.revenue, mv.aov"}'), ('{"sum(mv.revenue)"}'), ('{mv.revenue.revenue.revenue.x}'), ('{"mv.revenue FROM pg_class --"}'), ('{mv.*}'), ('{""}'), ('{"mv.revenue; DROP TABLE mv.orders"}')) AS m (metrics);
INSERT INTO mv.statements (statement) SELECT format('SELECT kpi.create_metric_view(''mv.x'', %L, ''{mv.revenue}'')', ARRAY[dimension]) FROM (VALUES
	('sum(amount) AS s'), ('kpi.measure(amount) AS s'), ('row_number() OVER () AS n'), ('generate_series(1, 2) AS n'), ('(SELECT 1) AS one'),
	('EXISTS (SELECT FROM mv.visits) AS e'), ('random() AS r'), ('nextval(''mv.numbers'') AS n'), ('lower(region)'), ('amount + 1'), ('*'), ('orders.*'),
	('orders AS o'), ('orders.* AS o'), ('ctid'), ('tableoid::regclass AS t'), ('nothing'), ('other.region'), ('$1 AS p'), ('ROW(region, status) AS r'), (NULL), (''), ('revenue'),
	('kpi.metric_column(''mv.revenue'', NULL::numeric) AS fake'), ('kpi.metric_column(''mv.revenue'', NULL::numeric) + 1 AS fake'), ('region AS revenue'),
	('region FROM pg_class --'), ('region FROM mv.visits'), ('region, status'), ('region; DROP TABLE mv.orders'), ('region WHERE true'), ('region LIMIT 1'), ('DISTINCT region'),
	('region INTO mv.other'), ('region UNION SELECT ''x'''), ('region GROUP BY region'), ('region) AS x, (1'), ('region -- comment'), ('region AS "a"" FROM pg_class --"')) AS d (dimension);
INSERT INTO mv.statements (statement) SELECT format('SELECT kpi.create_metric_view(%L, ''{region}'', ''{mv.revenue}'')', name) FROM (VALUES
	(NULL), (''), ('mv.sales'), ('mv.orders'), ('nowhere.x'), ('x y'), ('a.b.c.d'), ('mv.x; DROP TABLE mv.orders')) AS n (name);
INSERT INTO mv.statements (statement) SELECT format('SELECT kpi.alter_metric_view(''mv.t1'', %s)', arguments) FROM (VALUES
	('add_metrics => ''{mv.visitors}'''), ('add_metrics => ''{mv.revenue}'''), ('add_dimensions => ''{region}'''), ('add_dimensions => ''{NULL}'''), ('drop_metrics => ''{revenue}'''),
	('drop_metrics => ''{region}'''), ('drop_metrics => ''{mv.aov}'''), ('drop_metrics => ''{revenue, revenue}'', add_metrics => ''{mv.aov}'''), ('drop_dimensions => ''{revenue}'''), ('drop_dimensions => ''{nothing}'''),
	('rename => ''{region}'''), ('rename => ''{nothing AS x}'''), ('rename => ''{region AS revenue}'''), ('rename => ''{t1.region AS x}'''), ('rename => ''{lower(region) AS x}'''), ('rename => ''{NULL}'''),
	('rename => ARRAY[''region AS x; DROP TABLE mv.orders'']'), ('tags => ''{NULL}'''), ('owner => ''regress_kpi_nobody''')) AS a (arguments);
INSERT INTO mv.statements (statement) VALUES
	('SELECT kpi.alter_metric_view(NULL)'), ('SELECT kpi.alter_metric_view(''mv.revenue'', label => ''x'')'), ('SELECT kpi.alter_metric_view(''mv.plain'', label => ''x'')'),
	('SELECT kpi.alter_metric_view(4294967295::regclass, label => ''x'')'), ('SELECT kpi.drop_metric_view(''mv.revenue'')'), ('SELECT kpi.drop_metric_view(''mv.plain'')'),
	('SELECT kpi.drop_metric(''mv.sales'')'), ('SELECT kpi.alter_metric(''mv.sales'', label => ''x'')');
\pset format unaligned
\pset tuples_only on
\pset fieldsep '\n    '
SELECT regexp_replace(statement, '^SELECT kpi\.', ''), mv.try(statement) FROM mv.statements ORDER BY position;
\pset format aligned
\pset tuples_only off
\pset fieldsep '|'
SELECT count(*) AS orders_are_there, to_regclass('mv.x') AS made, (SELECT is_called FROM mv.numbers) AS number_taken FROM mv.orders;
-- J3: as many columns as a view can have, and one more
SELECT kpi.create_metric_view('mv.wide', ARRAY(SELECT 'id + ' || i || ' AS d' || i FROM generate_series(1, 1598) AS i), '{mv.revenue,mv.orders_count}');
SELECT count(*), (SELECT kpi.measure(revenue) FROM mv.wide WHERE d1598 > 1600) = (SELECT sum(amount) FROM mv.orders WHERE id > 2 AND status = 'paid') AS right
  FROM kpi.dimensions WHERE metric_view = 'mv.wide'::regclass;
SELECT kpi.alter_metric_view('mv.wide', add_metrics => '{mv.aov}');
SELECT kpi.drop_metric_view('mv.wide');

--
-- Changing a metric view in one call: renamed, then dropped, then added at the end.  What PostgreSQL keeps about a view
-- stays: privileges with their grantors and options, comments, owner, options.
--
SELECT kpi.create_metric_view('mv.shop', '{region, status, ordered_on}', '{mv.revenue, mv.orders_count}', label => 'Shop', tags => '{a,b}'),
	   kpi.create_metric_view('mv.bare', '{region}', '{mv.revenue, mv.aov}');
ALTER VIEW mv.shop SET (security_barrier = true);
COMMENT ON COLUMN mv.shop.status IS 'as paid';
GRANT SELECT ON mv.shop TO regress_kpi_manager WITH GRANT OPTION;
GRANT SELECT (region, revenue), UPDATE (region) ON mv.shop TO regress_kpi_columns;
GRANT SELECT (revenue) ON mv.shop TO regress_kpi_manager WITH GRANT OPTION;
GRANT SELECT (status) ON mv.shop TO regress_kpi_outside;
SET ROLE regress_kpi_manager;
GRANT SELECT ON mv.shop TO regress_kpi_all;
GRANT SELECT (revenue) ON mv.shop TO regress_kpi_nothing;
RESET ROLE;
-- privileges that new views get by default are not those of this one
ALTER DEFAULT PRIVILEGES FOR ROLE regress_kpi_publisher GRANT ALL ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
CREATE VIEW mv.state AS
SELECT c.oid::regclass AS view, a.attname AS "column", CASE WHEN a.attnum IS NULL THEN c.relacl ELSE a.attacl END AS privileges,
	   CASE WHEN a.attnum IS NULL THEN pg_get_userbyid(c.relowner) || coalesce(' ' || c.reloptions::text, '') END AS owner_and_options,
	   CASE WHEN a.attnum IS NULL THEN obj_description(c.oid, 'pg_class') ELSE col_description(c.oid, a.attnum) END AS comment
  FROM pg_class AS c
  LEFT JOIN LATERAL (SELECT attname, attnum, attacl FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 UNION ALL SELECT NULL, NULL, NULL) AS a ON true
 WHERE c.oid IN (to_regclass('mv.shop'), to_regclass('mv.bare'))
 ORDER BY c.oid, coalesce(a.attnum, 0);
SELECT * FROM mv.state WHERE view = 'mv.shop'::regclass;
-- by a superuser, who is not the owner
SELECT kpi.alter_metric_view('mv.shop', rename => '{region AS area, revenue AS income}', drop_metrics => '{mv.orders_count}', drop_dimensions => '{ordered_on}',
							 add_dimensions => '{id % 2 AS odd, ordered_at}', add_metrics => '{mv.aov AS value}', label => 'The shop', time_dimension => 'ordered_at');
SELECT * FROM mv.state WHERE view = 'mv.shop'::regclass;
SELECT label, description, owner, tags, time_dimension, source FROM kpi.metric_views WHERE metric_view = 'mv.shop'::regclass;
SELECT count(*) AS differences FROM (
	(SELECT area, odd, kpi.measure(income), kpi.measure(value) FROM mv.shop WHERE ordered_at > '2026-01-02' GROUP BY CUBE (area, odd)
	 EXCEPT ALL
	 SELECT region, odd, r, round(r / nullif(n, 0), 4)::numeric(12,2)
	   FROM (SELECT region, id % 2 AS odd, sum(amount) FILTER (WHERE status = 'paid') AS r, count(*) AS n FROM mv.orders WHERE ordered_at > '2026-01-02' GROUP BY CUBE (region, id % 2)) AS g)) AS d;
-- the roles can still do what they could, and no more
SET ROLE regress_kpi_columns;
SELECT mv.try('SELECT area, kpi.measure(income) FROM mv.shop GROUP BY area') AS granted, mv.try('SELECT kpi.measure(value) FROM mv.shop') AS not_granted;
SET ROLE regress_kpi_all;
SELECT mv.try('SELECT status, kpi.measure(value) FROM mv.shop GROUP BY status') AS granted;
SET ROLE regress_kpi_manager;
GRANT SELECT ON mv.shop TO regress_kpi_nothing;
REVOKE SELECT ON mv.shop FROM regress_kpi_all;
RESET ROLE;
-- H8: privileges are known as dependencies of the roles
\set VERBOSITY terse
DROP ROLE regress_kpi_columns;
\set VERBOSITY default
DROP OWNED BY regress_kpi_outside;
REVOKE SELECT (income) ON mv.shop FROM regress_kpi_manager CASCADE;
SELECT "column", privileges FROM mv.state WHERE view = 'mv.shop'::regclass AND coalesce("column" IN ('status', 'income'), true);
-- a view without privileges has none afterwards, whatever the default is
SET ROLE regress_kpi_publisher;
SELECT kpi.alter_metric_view('mv.bare', drop_metrics => '{aov}');
SELECT privileges FROM mv.state WHERE view = 'mv.bare'::regclass AND "column" IS NULL;
RESET ROLE;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_kpi_publisher REVOKE ALL ON TABLES FROM PUBLIC;
SET ROLE regress_kpi_publisher;

-- adding keeps the view and what depends on it; dropping does not happen behind a dependent's back
CREATE VIEW mv.report AS SELECT region, kpi.measure(revenue) AS revenue FROM mv.bare GROUP BY region;
SELECT kpi.alter_metric_view('mv.bare', add_metrics => '{mv.aov}', add_dimensions => '{status}', rename => '{revenue AS income}');
SELECT count(*) AS differences FROM (TABLE mv.report EXCEPT ALL SELECT region, sum(amount) FILTER (WHERE status = 'paid') FROM mv.orders GROUP BY region) AS d;
\set VERBOSITY sqlstate
SELECT kpi.alter_metric_view('mv.bare', drop_dimensions => '{status}');
SELECT kpi.alter_metric_view('mv.bare', drop_metrics => '{mv.aov}');
SELECT kpi.drop_metric_view('mv.bare');
\set VERBOSITY default
SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mv.bare'::regclass AND attnum > 0;
SELECT kpi.drop_metric_view('mv.bare', cascade => true);
SELECT to_regclass('mv.bare'), to_regclass('mv.report'), count(*) FROM kpi.metric_views WHERE name = 'bare';

-- a view that somebody made by hand, and one that lost its markers
CREATE VIEW mv.by_hand AS SELECT region, kpi.metric_column('mv.revenue'::regclass, NULL::numeric) AS revenue FROM mv.orders;
SELECT region, kpi.measure(revenue) IS NOT DISTINCT FROM (SELECT sum(amount) FROM mv.orders AS o WHERE o.region IS NOT DISTINCT FROM v.region AND status = 'paid') AS right
  FROM mv.by_hand AS v GROUP BY region ORDER BY region;
SELECT mv.try('SELECT kpi.alter_metric_view(''mv.by_hand'', label => ''x'')');
SELECT kpi.create_metric_view('mv.lost', '{region}', '{mv.orders_count}');
CREATE OR REPLACE VIEW mv.lost AS SELECT region, count(*) AS orders_count FROM mv.orders GROUP BY region;
SELECT mv.try('SELECT kpi.measure(orders_count) FROM mv.lost') AS measure, mv.try('SELECT kpi.alter_metric_view(''mv.lost'', label => ''x'')') AS altered,
	   (SELECT count(*) FROM kpi.measures WHERE metric_view = 'mv.lost'::regclass) AS measures;
DROP VIEW mv.lost;

--
-- Listings: what the reader may use, by table, by column, by schema
--
SELECT kpi.create_metric_view('mv.listed', '{region, ordered_on}', '{mv.revenue, mv.orders_count AS n}', label => 'Listed', description => 'For all to see', tags => '{x}');
GRANT SELECT ON mv.listed, mv.revenue TO regress_kpi_all;
GRANT SELECT (ordered_on, n) ON mv.listed TO regress_kpi_columns;
GRANT SELECT (aov) ON mv.aov TO regress_kpi_columns;
GRANT SELECT ON mv.listed, mv.revenue TO regress_kpi_outside;
RESET ROLE;
CREATE FUNCTION mv.leak(seen text, VARIADIC allowed text[]) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql AS
	$$BEGIN IF seen = ANY (allowed) THEN RETURN true; END IF; RAISE EXCEPTION 'saw %', seen; END$$;
GRANT USAGE ON SCHEMA mv TO regress_kpi_outside;
CREATE FUNCTION mv.listings() RETURNS TABLE (list text, name text, what text) LANGUAGE sql AS $$
SELECT 'metric' AS list, name::text, concat_ws('|', owner, label, unit, direction, additivity, type, source) COLLATE "C" AS what FROM kpi.metrics WHERE schema = 'mv'
UNION ALL SELECT 'metric view', name, concat_ws('|', owner, label, description, tags, time_dimension, source) FROM kpi.metric_views WHERE schema = 'mv'
UNION ALL SELECT 'dimension', name, concat_ws('|', metric_view, position, type, is_time, description) FROM kpi.dimensions
UNION ALL SELECT 'measure', name, concat_ws('|', metric_view, position, type, metric, label, unit, format, direction, additivity) FROM kpi.measures
ORDER BY list, what
$$;
SET ROLE regress_kpi_nothing;
SELECT * FROM mv.listings();
SET ROLE regress_kpi_all;
SELECT * FROM mv.listings();
SET ROLE regress_kpi_columns;
SELECT * FROM mv.listings();
-- A1: a function of the reader does not see what the listing hides
SELECT name FROM kpi.metrics WHERE mv.leak(name, 'aov') ORDER BY name;
SELECT metric_view FROM kpi.metric_views WHERE mv.leak(label, 'The shop', 'Listed') ORDER BY name;
SELECT name FROM kpi.dimensions WHERE mv.leak(name, 'area', 'ordered_on') ORDER BY name;
SELECT name FROM kpi.measures WHERE mv.leak(name, 'n', 'income') ORDER BY name;
SELECT name FROM kpi.measures WHERE mv.leak(name, 'n') ORDER BY name;
RESET ROLE;
REVOKE USAGE ON SCHEMA mv FROM regress_kpi_outside;
SET ROLE regress_kpi_outside;
SELECT (SELECT count(*) FROM kpi.metrics), (SELECT count(*) FROM kpi.metric_views), (SELECT count(*) FROM kpi.dimensions), (SELECT count(*) FROM kpi.measures);
RESET ROLE;

SET client_min_messages = error;
DROP SCHEMA mv, "财务" CASCADE;
REVOKE CREATE ON DATABASE :DBNAME FROM regress_kpi_publisher;
DROP ROLE regress_kpi_publisher, regress_kpi_all, regress_kpi_columns, regress_kpi_manager, regress_kpi_outside, regress_kpi_nothing;
SELECT count(*) AS left_behind FROM kpi.metric_registry FULL JOIN kpi.metric_view_registry USING (relid);
