-- metric_security: what one role can do to another through metrics (threat group H, A5, A8), and whose privileges count.

\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_kpi_boss;
CREATE ROLE regress_kpi_maker;
CREATE ROLE regress_kpi_publisher;
CREATE ROLE regress_kpi_reader;
CREATE ROLE regress_kpi_stranger;
CREATE SCHEMA sec AUTHORIZATION regress_kpi_boss;
CREATE SCHEMA made;
GRANT USAGE ON SCHEMA sec TO regress_kpi_maker, regress_kpi_publisher, regress_kpi_reader;
GRANT USAGE ON SCHEMA made TO PUBLIC;

-- What happens to a statement?
CREATE FUNCTION public.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE statement INTO result;
	RETURN coalesce(result, 'no value');
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;

SET ROLE regress_kpi_boss;
CREATE TABLE sec.orders (id integer, region text, amount integer, secret integer);
INSERT INTO sec.orders VALUES (1, 'east', 10, 901), (2, 'west', 20, 902), (3, 'east', 30, 903);
RESET ROLE;

--
-- Defining needs CREATE on the schema and SELECT on each column that is read; never a superuser.
--
SET ROLE regress_kpi_maker;
SELECT try($$SELECT kpi.create_metric('made.revenue', 'SELECT sum(amount) FROM sec.orders')$$) AS no_select;
SET ROLE regress_kpi_boss;
GRANT SELECT (region, amount) ON sec.orders TO regress_kpi_maker;
SET ROLE regress_kpi_maker;
SELECT try($$SELECT kpi.create_metric('made.revenue', 'SELECT sum(amount) FROM sec.orders')$$) AS no_create;
RESET ROLE;
GRANT CREATE ON SCHEMA made TO regress_kpi_maker;
SET ROLE regress_kpi_maker;
SELECT try($$SELECT kpi.create_metric('made.revenue', 'SELECT sum(amount) FROM sec.orders')$$) AS allowed,
	   try($$SELECT kpi.create_metric('made.secrets', 'SELECT sum(secret) FROM sec.orders')$$) AS other_column,
	   try($$SELECT kpi.create_metric('made.secrets', 'SELECT sum(amount) FROM sec.orders WHERE secret > 902')$$) AS in_where,
	   try($$SELECT kpi.create_metric('made.secrets', 'SELECT sum(amount) FILTER (WHERE secret > 902) FROM sec.orders')$$) AS in_filter,
	   try($$SELECT kpi.alter_metric('made.revenue', definition => 'SELECT sum(secret) FROM sec.orders')$$) AS altered;
SELECT try($$SELECT kpi.create_metric('sec.revenue', 'SELECT sum(amount) FROM sec.orders')$$) AS other_schema,
	   try($$SELECT kpi.create_metric('kpi.revenue', 'SELECT sum(amount) FROM sec.orders')$$) AS extension_schema,
	   try($$SELECT kpi.create_metric('pg_catalog.revenue', 'SELECT sum(amount) FROM sec.orders')$$) AS catalog_schema;
SELECT kpi.create_metric('made.lines', 'SELECT count(*) FROM sec.orders');
-- publishing, deriving and narrowing need SELECT on the metrics or the metric view, and on what they read of the source
RESET ROLE;
GRANT CREATE ON SCHEMA made TO regress_kpi_publisher;
SET ROLE regress_kpi_publisher;
SELECT try($$SELECT kpi.create_metric_view('made.sales', '{region}', '{made.revenue}')$$) AS no_select_on_metric,
	   try($$SELECT kpi.create_metric('made.derived', 'SELECT revenue * 2 FROM made.revenue')$$) AS derived;
SET ROLE regress_kpi_maker;
GRANT SELECT ON made.revenue, made.lines TO regress_kpi_publisher;
SET ROLE regress_kpi_publisher;
SELECT try($$SELECT kpi.create_metric_view('made.sales', '{region}', '{made.revenue}')$$) AS no_select_on_source;
SET ROLE regress_kpi_boss;
GRANT SELECT (region) ON sec.orders TO regress_kpi_publisher;
SET ROLE regress_kpi_publisher;
SELECT try($$SELECT kpi.create_metric_view('made.sales', '{region}', '{made.revenue}')$$) AS no_select_on_amount;
SET ROLE regress_kpi_boss;
GRANT SELECT (amount) ON sec.orders TO regress_kpi_publisher;
SET ROLE regress_kpi_publisher;
SELECT try($$SELECT kpi.create_metric_view('made.sales', '{region, id}', '{made.revenue}')$$) AS no_select_on_id,
	   try($$SELECT kpi.create_metric_view('made.sales', '{"CASE WHEN id > 1 THEN region END AS region"}', '{made.revenue}')$$) AS nor_in_expression,
	   try($$SELECT kpi.create_metric_view('made.sales', '{region}', '{made.revenue, made.lines}')$$) AS allowed,
	   try($$SELECT kpi.alter_metric_view('made.sales', add_dimensions => '{id}')$$) AS altered;
SET ROLE regress_kpi_maker;
SELECT try($$SELECT kpi.create_metric('made.east', 'SELECT measure(revenue) FROM made.sales WHERE region = ''east''')$$) AS no_select_on_view;
RESET ROLE;

--
-- Reading needs SELECT on the metric view or its columns, and nothing on the source.
--
SET ROLE regress_kpi_publisher;
GRANT SELECT (region, revenue) ON made.sales TO regress_kpi_reader;
SET ROLE regress_kpi_reader;
SELECT try('SELECT sum(amount) FROM sec.orders') AS source, try('SELECT revenue FROM made.revenue') AS metric,
	   try('SELECT kpi.measure(revenue) FROM made.sales WHERE region = ''east''') AS measure, try('SELECT sum(revenue) FROM made.sales') AS carried,
	   try('SELECT revenue FROM made.sales WHERE region = ''west''') AS contribution, try('SELECT count(*) FROM made.sales') AS rows;
SELECT try('SELECT kpi.measure(lines) FROM made.sales') AS other_measure, try('SELECT lines FROM made.sales') AS contribution, try('SELECT s FROM made.sales AS s') AS whole_row,
	   try('SELECT count(*) FROM made.sales WHERE lines > 0') AS in_where, try('SELECT kpi.measure(revenue) FROM made.sales HAVING kpi.measure(lines) > 0') AS in_having,
	   try('SELECT kpi.explain_measure(''SELECT kpi.measure(lines) FROM made.sales'') IS NOT NULL') AS explained;
-- A8: what the rewriting adds is checked against the owners of the views that read it.  The metric view's owner loses a column:
SET ROLE regress_kpi_boss;
REVOKE SELECT (amount) ON sec.orders FROM regress_kpi_publisher;
SET ROLE regress_kpi_reader;
SELECT try('SELECT kpi.measure(revenue) FROM made.sales') AS measure, try('SELECT sum(revenue) FROM made.sales') AS carried, try('SELECT revenue FROM made.sales LIMIT 1') AS contribution,
	   try('SELECT string_agg(region, '','' ORDER BY region) FROM made.sales') AS other_column;
-- the metric's owner loses it:
SET ROLE regress_kpi_boss;
GRANT SELECT (amount) ON sec.orders TO regress_kpi_publisher;
REVOKE SELECT (amount) ON sec.orders FROM regress_kpi_maker;
SET ROLE regress_kpi_reader;
SELECT try('SELECT kpi.measure(revenue) FROM made.sales') AS measure, try('SELECT sum(revenue) FROM made.sales') AS carried, try('SELECT revenue FROM made.sales LIMIT 1') AS contribution;
SET ROLE regress_kpi_publisher;
SELECT try('TABLE made.revenue') AS metric;
SET ROLE regress_kpi_boss;
GRANT SELECT (amount) ON sec.orders TO regress_kpi_maker;
-- the metric view's owner loses the metric:
SET ROLE regress_kpi_maker;
REVOKE SELECT ON made.revenue FROM regress_kpi_publisher;
SET ROLE regress_kpi_reader;
SELECT try('SELECT kpi.measure(revenue) FROM made.sales') AS measure, try('SELECT revenue FROM made.sales LIMIT 1') AS contribution;
SET ROLE regress_kpi_maker;
GRANT SELECT ON made.revenue TO regress_kpi_publisher;
SET ROLE regress_kpi_reader;
SELECT try('SELECT kpi.measure(revenue) FROM made.sales') AS all_is_back;
-- the same through a filtered and a derived metric, which read the metric view as their owner does
SET ROLE regress_kpi_publisher;
GRANT SELECT (revenue) ON made.sales TO regress_kpi_maker;
SET ROLE regress_kpi_maker;
SELECT try($$SELECT kpi.create_metric('made.east', 'SELECT measure(revenue) FROM made.sales WHERE region = ''east''')$$) AS no_select_on_region;
SET ROLE regress_kpi_publisher;
GRANT SELECT (region) ON made.sales TO regress_kpi_maker;
SET ROLE regress_kpi_maker;
SELECT kpi.create_metric('made.east', 'SELECT measure(revenue) FROM made.sales WHERE region = ''east'''), kpi.create_metric('made.east_share', 'SELECT east::numeric / revenue FROM made.east, made.revenue');
GRANT SELECT ON made.east_share TO regress_kpi_publisher;
SET ROLE regress_kpi_publisher;
SELECT kpi.create_metric_view('made.shares', '{region}', '{made.east_share}');
GRANT SELECT ON made.shares TO regress_kpi_reader;
SET ROLE regress_kpi_reader;
SELECT try('SELECT round(kpi.measure(east_share), 2) FROM made.shares') AS share;
SET ROLE regress_kpi_publisher;
REVOKE SELECT (region) ON made.sales FROM regress_kpi_maker;
SET ROLE regress_kpi_reader;
SELECT try('SELECT kpi.measure(east_share) FROM made.shares') AS share;
SET ROLE regress_kpi_publisher;
GRANT SELECT (region) ON made.sales TO regress_kpi_maker;

-- A metric's owner replaces the view by one over a column that only the publisher may read: the column is read for the
-- metric's owner, so nobody gets it.
GRANT SELECT ON made.sales TO regress_kpi_maker;
SET ROLE regress_kpi_boss;
GRANT SELECT (id, secret) ON sec.orders TO regress_kpi_publisher;
SET ROLE regress_kpi_maker;
SELECT try('SELECT secret FROM sec.orders');
CREATE OR REPLACE VIEW made.revenue AS SELECT sum(secret) AS revenue FROM sec.orders;
SELECT try('TABLE made.revenue') AS metric, try('SELECT kpi.measure(revenue) FROM made.sales WHERE region = ''west''') AS measure,
	   try('SELECT sum(revenue) FROM made.sales WHERE region = ''west''') AS carried, try('SELECT revenue FROM made.sales WHERE region = ''west''') AS contribution,
	   try('SELECT kpi.measure(revenue) FILTER (WHERE region = ''west'') FROM made.sales') AS filtered;
CREATE OR REPLACE VIEW made.revenue AS SELECT sum(amount) FILTER (WHERE secret > 902) AS revenue FROM sec.orders WHERE secret < 1000;
SELECT try('SELECT kpi.measure(revenue) FROM made.sales') AS in_filter;
CREATE OR REPLACE VIEW made.revenue AS SELECT sum(amount) AS revenue FROM sec.orders;
SELECT try('SELECT kpi.measure(revenue) FROM made.sales') AS restored;
-- nor does a marker put by hand into somebody's own view open a metric or a source
SET ROLE regress_kpi_stranger;
SELECT try('SELECT kpi.measure(m) FROM (SELECT kpi.metric_column(''made.revenue''::regclass, NULL::bigint) AS m FROM sec.orders) AS s') AS no_view;
RESET ROLE;
GRANT CREATE ON SCHEMA made TO regress_kpi_stranger;
GRANT USAGE ON SCHEMA sec TO regress_kpi_stranger;
SET ROLE regress_kpi_stranger;
CREATE VIEW made.forged AS SELECT kpi.metric_column('made.revenue'::regclass, NULL::bigint) AS m FROM sec.orders;
SELECT try('SELECT kpi.measure(m) FROM made.forged') AS forged, try('SELECT m FROM made.forged') AS contribution;
SET ROLE regress_kpi_boss;
GRANT SELECT ON sec.orders TO regress_kpi_stranger;
SET ROLE regress_kpi_stranger;
SELECT try('SELECT kpi.measure(m) FROM made.forged') AS without_the_metric;
RESET ROLE;
REVOKE USAGE ON SCHEMA sec FROM regress_kpi_stranger;
DROP VIEW made.forged;

-- security_invoker: the reader's own privileges and row security count, for the columns that the rewriting adds, too (A5)
SET ROLE regress_kpi_publisher;
ALTER VIEW made.sales SET (security_invoker = true);
GRANT SELECT ON made.sales TO regress_kpi_reader;
SET ROLE regress_kpi_reader;
SELECT try('SELECT kpi.measure(revenue) FROM made.sales') AS nothing_granted;
RESET ROLE;
GRANT SELECT (region) ON sec.orders TO regress_kpi_reader;
GRANT SELECT ON made.revenue, made.lines TO regress_kpi_reader;
SET ROLE regress_kpi_reader;
SELECT try('SELECT kpi.measure(lines) FROM made.sales') AS lines, try('SELECT kpi.measure(revenue) FROM made.sales') AS no_amount, try('SELECT revenue FROM made.sales') AS contribution;
RESET ROLE;
GRANT SELECT (amount) ON sec.orders TO regress_kpi_reader;
CREATE POLICY east ON sec.orders TO regress_kpi_reader USING (region = 'east');
CREATE POLICY everything ON sec.orders TO regress_kpi_maker, regress_kpi_publisher USING (true);
ALTER TABLE sec.orders ENABLE ROW LEVEL SECURITY;
SET ROLE regress_kpi_reader;
SELECT try('SELECT kpi.measure(revenue) FROM made.sales') AS east, try('SELECT kpi.measure(revenue) FROM made.sales WHERE region = ''west''') AS west;
SET ROLE regress_kpi_publisher;
ALTER VIEW made.sales RESET (security_invoker);
SET ROLE regress_kpi_reader;
SELECT try('SELECT kpi.measure(revenue) FROM made.sales') AS rows_of_the_owner;
RESET ROLE;
DROP POLICY everything ON sec.orders;
SET ROLE regress_kpi_reader;
SELECT try('SELECT kpi.measure(revenue) FROM made.sales') AS rows_of_the_owner, try('SELECT kpi.measure(lines) FROM made.sales') AS lines;
RESET ROLE;
ALTER TABLE sec.orders DISABLE ROW LEVEL SECURITY;

--
-- H5: a stranger and the functions.  First, which functions are anybody's?
--
CREATE VIEW public.functions AS
SELECT p.oid::regprocedure AS function, p.oid::regprocedure::text COLLATE "C" AS name, p.*
  FROM pg_proc AS p WHERE pronamespace = 'kpi'::regnamespace AND proname ~ 'metric|measure|additivity|publishing|comment|definition|forget_dropped|server_version';
SELECT function AS anybody_may_execute, CASE WHEN prosecdef THEN 'security definer' END AS security
  FROM functions WHERE has_function_privilege('regress_kpi_stranger', function, 'EXECUTE') ORDER BY name;
CREATE FUNCTION public.call_with_nulls(function regprocedure) RETURNS text LANGUAGE sql AS $$
SELECT try(format('SELECT count(*) || '' rows, '' || count(c) || '' not null'' FROM kpi.%I(%s) AS c', proname,
				  (SELECT string_agg('NULL::' || replace(t::regtype::text, 'anyelement', 'integer'), ', ' ORDER BY i) FROM unnest(proargtypes) WITH ORDINALITY AS a (t, i))))
  FROM pg_proc WHERE oid = function
$$;
GRANT SELECT ON functions TO regress_kpi_stranger;
SET ROLE regress_kpi_stranger;
SELECT function AS not_executable, call_with_nulls(function) FROM functions WHERE NOT has_function_privilege(function, 'EXECUTE') AND NOT proisstrict AND provolatile = 's' ORDER BY name;
SELECT call, try('SELECT kpi.' || call) FROM unnest(ARRAY[
	'alter_metric(''made.revenue'', label => ''x'')', 'alter_metric(''made.revenue'', definition => ''SELECT 1'')', 'alter_metric(''made.revenue'', owner => ''regress_kpi_stranger'')',
	'drop_metric(''made.revenue'')', 'drop_metric(''made.revenue'', true)', 'alter_metric_view(''made.sales'', label => ''x'')', 'alter_metric_view(''made.sales'', owner => ''regress_kpi_stranger'')',
	'alter_metric_view(''made.sales'', drop_metrics => ''{revenue}'')', 'alter_metric_view(''made.sales'', rename => ''{revenue AS x}'')', 'alter_metric_view(''made.sales'', add_dimensions => ''{secret}'')',
	'drop_metric_view(''made.sales'')', 'drop_metric_view(''made.sales'', true)', 'create_metric(''made.revenue'', ''SELECT 1'')', 'create_metric_view(''made.stolen'', ''{region}'', ''{made.revenue}'')',
	'refresh_comments(''made.sales'')', 'refresh_comments(''made.revenue'', true)', 'forget_dropped()']) AS call;
-- nor do the registry tables open, to a stranger or to a metric's owner
SET ROLE regress_kpi_maker;
SELECT statement, try(replace(statement, '@', 'kpi.metric_registry')) AS metrics, try(replace(statement, '@', 'kpi.metric_view_registry')) AS metric_views
  FROM unnest(ARRAY['SELECT label FROM @', 'INSERT INTO @ (relid) VALUES (''made.sales'')', 'UPDATE @ SET label = ''x''', 'DELETE FROM @', 'TRUNCATE @',
					'LOCK @', 'ALTER TABLE @ ADD x integer', 'CREATE TRIGGER t BEFORE DELETE ON @ EXECUTE FUNCTION suppress_redundant_updates_trigger()']) AS statement;
SELECT try('CREATE TABLE kpi.x ()') AS in_schema_kpi, try('CREATE FUNCTION kpi.measure(text) RETURNS text LANGUAGE sql AS ''SELECT 1''') AS overload, try('DROP EVENT TRIGGER kpi_forget_dropped') AS event_trigger,
	   try('UPDATE kpi.metrics SET label = ''x''') AS listing, try('DELETE FROM kpi.metric_views') AS listing;
RESET ROLE;

--
-- H6: functions of the inside cannot be called, and none trusts its arguments
--
SELECT call, try('SELECT kpi.' || call) FROM unnest(ARRAY['measure_transition(NULL, 1)', 'measure_final(NULL, 1)', 'measure_transition(NULL::internal, 1)', 'forget_dropped()', 'metric_column(''made.revenue'', 1)',
	'metric_column(NULL, NULL::integer)', 'metric_column(''made.revenue'', NULL::text)', 'measure(1)', 'measure(NULL::text)', 'measure(''x''::unknown)', 'measure()', 'measure(1, 2)']) AS call;
CREATE AGGREGATE sec.own(anyelement) (SFUNC = kpi.measure_transition, STYPE = internal, FINALFUNC = kpi.measure_final, FINALFUNC_EXTRA);
SELECT try('SELECT sec.own(revenue) FROM made.sales') AS own_aggregate, try('SELECT sec.own(1)') AS without_a_view;
-- NULL for every argument
SELECT function, call_with_nulls(function) FROM functions WHERE prokind = 'f' AND NOT 'internal'::regtype = ANY (proargtypes) ORDER BY name;
WITH calls AS MATERIALIZED (
	SELECT oid::regprocedure AS function, call_with_nulls(oid) AS result
	  FROM pg_proc WHERE pronamespace = 'kpi'::regnamespace AND prokind = 'f' AND pronargs > 0 AND NOT 'internal'::regtype = ANY (proargtypes))
SELECT * FROM calls WHERE result LIKE 'XX%';
-- a relation that is none of ours, for every function that takes one
CREATE SEQUENCE sec.numbers;
CREATE TYPE sec.pair AS (a integer, b integer);
CREATE INDEX orders_id ON sec.orders (id);
CREATE VIEW sec.plain AS TABLE sec.orders;
CREATE MATERIALIZED VIEW sec.stored AS TABLE sec.orders;
CREATE VIEW sec.relations AS
SELECT unnest('{0, 1, 4294967295, sec.orders, sec.orders_id, sec.numbers, sec.pair, sec.plain, sec.stored, pg_class, pg_stats, information_schema.tables}'::regclass[]) AS relation;
CREATE FUNCTION public.call_with_relations(function regprocedure) RETURNS text LANGUAGE sql AS $$
SELECT string_agg(DISTINCT try(format('SELECT count(c) || '' not null'' FROM %s AS c',
									  replace(replace(replace(function::text, '(regclass', '(' || relation::oid), ',boolean', ',true'), ',anyelement', ',NULL::integer'))) COLLATE "C", ' / ')
  FROM sec.relations
$$;
SELECT function, call_with_relations(function) FROM functions WHERE proargtypes[0] = 'regclass'::regtype AND provolatile = 's' ORDER BY name;
SELECT string_agg(DISTINCT regexp_replace(try(format('SELECT kpi.%s(%s::regclass)', f, relation::oid)), '(sec|pg_catalog|information_schema)\.\w+', '<name>') COLLATE "C", E'\n') AS results
  FROM unnest('{alter_metric, drop_metric, alter_metric_view, drop_metric_view, refresh_comments}'::text[]) AS f, sec.relations;

--
-- H3: a hostile search_path.  Definitions are the caller's and are read by the caller's path; all else is not, whether the
-- extension works with its owner's rights or a listing is read.
--
CREATE SCHEMA hostile;
SET search_path = hostile, pg_catalog;
CREATE FUNCTION hostile.trap() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped as %', current_user; END$$;
DO $$
DECLARE
	left_type regtype;
	operator text;
	signature text;
BEGIN
	FOREACH left_type IN ARRAY '{oid,regclass,text,name,smallint,integer,bigint,boolean,"char",anyarray,anyelement}'::regtype[] LOOP
		EXECUTE format('CREATE FUNCTION hostile.compare(%1$s, %1$s) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS ''BEGIN RETURN hostile.trap(); END''', left_type);
		FOREACH operator IN ARRAY '{=,<>,<,>,~,~~}'::text[] LOOP
			EXECUTE format('CREATE OPERATOR hostile.%s (LEFTARG = %2$s, RIGHTARG = %2$s, FUNCTION = hostile.compare)', operator, left_type);
		END LOOP;
	END LOOP;
	FOREACH signature IN ARRAY ARRAY['format(text, VARIADIC text[]) text', 'rtrim(text, text) text', 'btrim(text) text', 'concat_ws(text, VARIADIC text[]) text', 'regexp_replace(text, text, text, text) text',
		'pg_get_viewdef(oid) text', 'pg_get_viewdef(regclass) text', 'pg_get_viewdef(oid, boolean) text', 'format_type(oid, integer) text', 'pg_get_userbyid(oid) name', 'col_description(oid, integer) text',
		'has_any_column_privilege(oid, text) boolean', 'has_schema_privilege(oid, text) boolean', 'has_column_privilege(oid, smallint, text) boolean', 'now() timestamptz', 'count() bigint', 'sum(integer) bigint',
		'pg_event_trigger_dropped_objects() SETOF record', 'unnest(anyarray) SETOF anyelement', 'regclass(text) regclass', 'text(regclass) text', 'nullif(text, text) text', 'array_append(anyarray, anyelement) anyarray',
		'metric_column(regclass, anyelement) anyelement', 'additivity(regclass) text', 'metric_source(regclass) regclass', 'metric_comment(regclass, boolean) text', 'due_comments(oid[], boolean) text', 'definition_text(regclass) text', 'pg_event_trigger_ddl_commands() SETOF record'] LOOP
		EXECUTE format('CREATE FUNCTION hostile.%s RETURNS %s LANGUAGE plpgsql AS ''BEGIN PERFORM hostile.trap(); END''',
					   substring(signature from '^.*\)'), substring(signature from '\) (.*)$'));
	END LOOP;
END
$$;
CREATE TABLE hostile.metric_registry (LIKE kpi.metric_registry);
CREATE TABLE hostile.metric_view_registry (LIKE kpi.metric_view_registry);
CREATE TABLE hostile.pg_class (LIKE pg_catalog.pg_class);
CREATE TABLE hostile.pg_extension (LIKE pg_catalog.pg_extension);
CREATE TABLE hostile.pg_description (LIKE pg_catalog.pg_description);
CREATE DOMAIN hostile.regclass AS text CHECK (hostile.trap());
CREATE DOMAIN hostile.text AS pg_catalog.text CHECK (hostile.trap());
CREATE DOMAIN hostile.int2 AS pg_catalog.int2 CHECK (hostile.trap());
CREATE TEMP TABLE pg_class (relid integer);
CREATE TEMP TABLE pg_rewrite (relid integer);
CREATE TEMP TABLE metric_registry (relid integer);
CREATE TEMP TABLE metrics (relid integer);
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA hostile TO PUBLIC;
SET search_path = hostile, pg_temp, pg_catalog;
SELECT public.try('SELECT 1 = 1') AS set_up, public.try('SELECT rtrim(''a'', ''b'')') AS functions;
-- all of it, by a maker without rights
SET ROLE regress_kpi_maker;
SELECT kpi.create_metric('made.h', 'SELECT pg_catalog.sum(amount) FROM sec.orders WHERE region OPERATOR(pg_catalog.=) ''east''', 'Label', 'Description', 'CNY', '0', NULL, '{a,b}', '{c}', 'up', 0);
SELECT kpi.create_metric('made.h2', 'SELECT h OPERATOR(pg_catalog.*) 2 FROM made.h', label => 'Twice');
SELECT kpi.create_metric_view('made.hv', '{region}', '{made.h, made.h2}', 'Label', 'Description', '', NULL, '{a}');
SELECT kpi.create_metric('made.h3', 'SELECT kpi.measure(h2) FROM made.hv');
SELECT kpi.alter_metric('made.h', label => 'Other', definition => 'SELECT pg_catalog.sum(amount) FROM sec.orders');
SELECT kpi.alter_metric_view('made.hv', add_dimensions => '{amount}', rename => '{h AS hh}', label => 'Other');
SELECT region, kpi.measure(hh), kpi.measure(h2) FROM made.hv GROUP BY region ORDER BY 2;
SELECT kpi.explain_measure('SELECT kpi.measure(hh) FROM made.hv') IS NOT NULL AS explained, kpi.additivity('made.h'), kpi.metric_source('made.h3'), kpi.metric_view_source('made.hv');
SELECT name, label, additivity, type, source FROM kpi.metrics ORDER BY metric::pg_catalog.oid USING OPERATOR(pg_catalog.<);
-- PostgreSQL's own pg_get_viewdef() looks up an operator by search_path, as whoever asks; the listing does not ask it
SELECT public.try('SELECT pg_catalog.pg_get_viewdef(''made.h''::pg_catalog.regclass)') AS postgresql, public.try('SELECT pg_catalog.count(definition) FROM kpi.metrics') AS listing;
SELECT metric_view, label, owner FROM kpi.metric_views ORDER BY metric_view::pg_catalog.oid USING OPERATOR(pg_catalog.<);
SELECT metric_view, name, type FROM kpi.dimensions ORDER BY metric_view::pg_catalog.oid USING OPERATOR(pg_catalog.<), position USING OPERATOR(pg_catalog.<);
SELECT metric_view, name, metric, label FROM kpi.measures ORDER BY metric_view::pg_catalog.oid USING OPERATOR(pg_catalog.<), position USING OPERATOR(pg_catalog.<);
SELECT kpi.drop_metric('made.h3'), kpi.alter_metric_view('made.hv', drop_metrics => '{h2}', drop_dimensions => '{amount}'), kpi.drop_metric('made.h2');
SELECT kpi.drop_metric_view('made.hv'), kpi.drop_metric('made.h');
RESET ROLE;
RESET search_path;
SELECT count(*) AS left_behind FROM kpi.metric_registry WHERE relid::oid NOT IN (SELECT oid FROM pg_catalog.pg_class);
-- what a definition names is the caller's choice, and runs as the reader like any view's function
SET ROLE regress_kpi_maker;
SET search_path = hostile, pg_catalog;
SELECT public.try('SELECT kpi.create_metric(''made.h'', ''SELECT pg_catalog.count(*) FROM sec.orders WHERE amount = 10'')') AS made, public.try('TABLE made.h') AS read;
RESET ROLE;
RESET search_path;
DROP TABLE pg_temp.pg_class, pg_temp.pg_rewrite, pg_temp.metric_registry, pg_temp.metrics;
DROP SCHEMA hostile CASCADE;

--
-- H7: an event trigger that fails does not stop anybody's DROP
--
CREATE VIEW sec.orphans AS
SELECT count(*) AS orphans FROM (SELECT relid FROM kpi.metric_registry UNION ALL SELECT relid FROM kpi.metric_view_registry) AS r
 WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = r.relid);
CREATE FUNCTION sec.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not today'; END$$;
CREATE TRIGGER refuse BEFORE DELETE ON kpi.metric_registry EXECUTE FUNCTION sec.refuse();
SET ROLE regress_kpi_maker;
DROP VIEW made.east_share CASCADE;
RESET ROLE;
SELECT orphans, to_regclass('made.east_share') AS still_there, to_regclass('made.shares') AS still_there FROM sec.orphans;
DROP TRIGGER refuse ON kpi.metric_registry;
ALTER TABLE kpi.metric_view_registry RENAME TO renamed;
SET ROLE regress_kpi_publisher;
DROP VIEW made.sales CASCADE;
CREATE TABLE made.any_table ();
DROP TABLE made.any_table;
RESET ROLE;
ALTER TABLE kpi.renamed RENAME TO metric_view_registry;
SELECT orphans, to_regclass('made.sales') AS still_there FROM sec.orphans;
SELECT (SELECT count(*) FROM kpi.metrics) AS metrics, (SELECT count(*) FROM kpi.metric_views) AS metric_views, (SELECT count(*) FROM kpi.measures) AS measures;
DELETE FROM kpi.metric_registry WHERE relid::oid NOT IN (SELECT oid FROM pg_class);
DELETE FROM kpi.metric_view_registry WHERE relid::oid NOT IN (SELECT oid FROM pg_class);
-- M12: the schema is not where it was: no number, no crash, and DROP works
SET ROLE regress_kpi_publisher;
SELECT kpi.create_metric_view('made.sales', '{region}', '{made.revenue}');
RESET ROLE;
CREATE VIEW made.total AS SELECT kpi.measure(revenue) AS revenue FROM made.sales;
ALTER SCHEMA kpi RENAME TO elsewhere;
SELECT public.try('TABLE made.total') AS measure, public.try('SELECT elsewhere.measure(revenue) FROM made.sales') AS measure, public.try('SELECT revenue FROM made.sales') AS contribution,
	   public.try('SELECT elsewhere.create_metric(''made.x'', ''SELECT count(*) FROM sec.orders'')') AS created;
DROP VIEW made.lines;
ALTER SCHEMA elsewhere RENAME TO kpi;
SELECT public.try('TABLE made.total') AS back, (SELECT orphans FROM sec.orphans);
DELETE FROM kpi.metric_registry WHERE relid::oid NOT IN (SELECT oid FROM pg_class);

-- H12: this server is not too old
SET client_min_messages = warning;
SELECT kpi.check_server_version();

SET client_min_messages = error;
DROP SCHEMA sec, made CASCADE;
DROP VIEW public.functions;
DROP FUNCTION public.try, public.call_with_nulls, public.call_with_relations;
DROP ROLE regress_kpi_boss, regress_kpi_maker, regress_kpi_publisher, regress_kpi_reader, regress_kpi_stranger;
SELECT count(*) AS left_behind FROM kpi.metric_registry FULL JOIN kpi.metric_view_registry USING (relid);
