-- metric_deploy: definitions that can be run again (or_replace), all columns as dimensions, names as in SQL, and what a
-- definition that would not last or means something else is told.

\set SHOW_CONTEXT never
SET client_min_messages = notice;
SET search_path = public, kpi;
CREATE SCHEMA dep;
CREATE TABLE dep.t (id integer PRIMARY KEY, d date, city text, "Size" text, "Order size" text, "user" text, amount numeric, refund numeric);
INSERT INTO dep.t SELECT i, '2026-01-01', 'c' || i % 2, 's', 'o', 'u' || i % 3, i, 1 FROM generate_series(1, 10) AS i;
CREATE FUNCTION columns(text) RETURNS text LANGUAGE sql AS $$
SELECT string_agg(a.attname || CASE WHEN c.metric IS NOT NULL THEN '=' || c.metric ELSE '' END, ', ' ORDER BY a.attnum)
  FROM pg_attribute AS a JOIN kpi.metric_view_columns($1::regclass) AS c USING (attnum) WHERE attrelid = $1::regclass
$$;

--
-- or_replace: the same view, with what hangs on it; what is not given stays
--
SELECT create_metric('dep.net', 'SELECT sum(amount) FROM dep.t', label => 'Net', unit => 'CNY', min_group_rows => 2, or_replace => true);
SELECT create_metric('dep.n', 'SELECT count(*) FROM dep.t', or_replace => true);
SELECT create_metric_view('dep.mv', '{d, city}', '{dep.net, dep.n}', label => 'All', or_replace => true);
CREATE VIEW dep.reader AS SELECT city, measure(net) AS net FROM dep.mv GROUP BY city;
GRANT SELECT (city, net) ON dep.mv TO PUBLIC;
COMMENT ON COLUMN dep.mv.city IS 'my city';
SELECT 'dep.net'::regclass::oid AS net, 'dep.mv'::regclass::oid AS mv \gset
SELECT create_metric('dep.net', 'SELECT sum(amount) - sum(refund) FROM dep.t', description => 'after refunds', or_replace => true);
SELECT create_metric_view('dep.mv', '{city, d, "upper(city) AS big"}', '{dep.n, dep.net}', tags => '{x}', or_replace => true);
SELECT 'dep.net'::regclass::oid = :net AND 'dep.mv'::regclass::oid = :mv AS same, columns('dep.mv');
SELECT label, description, unit, min_group_rows FROM kpi.metrics WHERE metric = 'dep.net'::regclass;
SELECT label, tags, time_dimension FROM kpi.metric_views WHERE metric_view = 'dep.mv'::regclass;
SELECT col_description('dep.mv'::regclass, 2), col_description('dep.mv'::regclass, 3);
SELECT attname, attacl FROM pg_attribute WHERE attrelid = 'dep.mv'::regclass AND attacl IS NOT NULL ORDER BY 1;
SELECT * FROM dep.reader ORDER BY 1;
-- once more, and all is as it was
SELECT create_metric('dep.net', 'SELECT sum(amount) - sum(refund) FROM dep.t', or_replace => true), create_metric_view('dep.mv', '{city, d, "upper(city) AS big"}', '{dep.n, dep.net}', or_replace => true);
SELECT 'dep.mv'::regclass::oid = :mv AS same, columns('dep.mv');
-- a column that goes: not while a view reads it, else with privileges and comments
SELECT create_metric_view('dep.mv', '{city}', '{dep.net}', or_replace => true);
DROP VIEW dep.reader;
SELECT create_metric_view('dep.mv', '{city}', '{dep.net}', or_replace => true);
SELECT columns('dep.mv'), col_description('dep.mv'::regclass, 1);
SELECT attname, attacl FROM pg_attribute WHERE attrelid = 'dep.mv'::regclass AND attacl IS NOT NULL ORDER BY 1;
SELECT time_dimension FROM kpi.metric_views WHERE metric_view = 'dep.mv'::regclass;
SELECT create_metric_view('dep.mv', '{city, d, length(city) AS big}', '{dep.net}', or_replace => true);
SELECT create_metric_view('dep.mv', '{city, d, upper(city) AS big}', '{dep.net}', or_replace => true), columns('dep.mv');
SELECT time_dimension FROM kpi.metric_views WHERE metric_view = 'dep.mv'::regclass;
-- the type and the published source of a metric stay, here too
SELECT create_metric('dep.net', 'SELECT count(*) FROM dep.t', or_replace => true);
CREATE TABLE dep.u (city text, amount numeric);
SELECT create_metric('dep.net', 'SELECT sum(amount) FROM dep.u', or_replace => true);
-- a metric that is defined on the metric view must stay one
SELECT create_metric('dep.web', 'SELECT measure(net) FROM dep.mv WHERE city = ''c1''');
SELECT create_metric('dep.other', 'SELECT sum(amount) FROM dep.u'), create_metric_view('dep.other_mv', '{city}', '{dep.other}');
SELECT create_metric_view('dep.web_mv', '{city}', '{dep.web, dep.n}');
SELECT create_metric_view('dep.mv', '{city, NULL::date AS d, upper(city) AS big}', '{dep.other AS net}', or_replace => true);
SELECT create_metric_view('dep.mv', '{city, d, upper(city) AS big, 0::numeric AS net}', '{dep.n}', or_replace => true);
SELECT columns('dep.mv');
-- without it, and where the name is that of something else
SELECT create_metric('dep.net', 'SELECT count(*) FROM dep.t');
SELECT create_metric('dep.t', 'SELECT count(*) FROM dep.t', or_replace => true);
SELECT create_metric('dep.mv', 'SELECT count(*) FROM dep.t', or_replace => true);
SELECT create_metric_view('dep.net', '{city}', '{dep.net}', or_replace => true);
CREATE VIEW dep.plain AS SELECT count(*) FROM dep.t;
CREATE MATERIALIZED VIEW dep.stored AS SELECT 1;
CREATE SEQUENCE dep.numbers;
SELECT create_metric('dep.plain', 'SELECT count(*) FROM dep.t', or_replace => true);
SELECT create_metric_view('dep.stored', '{city}', '{dep.net}', or_replace => true);
SELECT create_metric('dep.numbers', 'SELECT count(*) FROM dep.t', or_replace => true);
SELECT create_metric('dep.t_pkey', 'SELECT count(*) FROM dep.t', or_replace => true);
SELECT adopt('dep.plain'), create_metric('dep.plain', 'SELECT count(id) FROM dep.t', or_replace => true);
-- nor another role's
CREATE ROLE regress_kpi_deployer;
GRANT ALL ON SCHEMA dep TO regress_kpi_deployer;
GRANT SELECT ON dep.t, dep.n TO regress_kpi_deployer;
SET ROLE regress_kpi_deployer;
SELECT create_metric('dep.net', 'SELECT sum(amount) FROM dep.t', or_replace => true);
SELECT create_metric_view('dep.mv', '{city}', '{dep.n}', or_replace => true);
SELECT create_metric('dep.mine', 'SELECT count(*) FROM dep.t', or_replace => true);
RESET ROLE;
-- a superuser's replacement of it leaves it whose it is
SELECT create_metric('dep.mine', 'SELECT count(id) FROM dep.t', or_replace => true), pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'dep.mine'::regclass;
SELECT * FROM kpi.check() WHERE object ~ '^dep';

--
-- All columns
--
SELECT create_metric_view('dep.all', '{*}', '{dep.net}'), columns('dep.all');
SELECT city, measure(net), count(amount) FROM dep.all GROUP BY city ORDER BY city;
SELECT create_metric('dep.amount', 'SELECT sum(amount) FROM dep.t');
SELECT create_metric_view('dep.mixed', '{* , amount * 2 AS twice, lower(city) AS city, d}', '{dep.amount, dep.n AS id}'), columns('dep.mixed');
ALTER TABLE dep.t ADD late integer;
SELECT columns('dep.all');
SELECT alter_metric_view('dep.all', add_dimensions => '{*}'), columns('dep.all');
SELECT create_metric_view('dep.bad', '{t.*}', '{dep.net}');
SELECT create_metric_view('dep.bad', '{*, city}', '{dep.net AS city}');

--
-- Names: as in SQL, or what only one thing has the name of; array literals take quotes off
--
SELECT create_metric_view('dep.names', '{Size, Order size, user, CITY AS Town}', '{dep.net}'), columns('dep.names');
SELECT create_metric_view('dep.names2', ARRAY['"Size"', '"Order size" AS "Order size"', '"user" AS u'], '{dep.net}'), columns('dep.names2');
SELECT create_metric_view('dep.bad', '{"Order size AS s"}', '{dep.net}');
SELECT create_metric_view('dep.bad', '{SIZE}', '{dep.net}');
SELECT alter_metric_view('dep.names', drop_dimensions => '{Size,ORDER SIZE}');
SELECT alter_metric_view('dep.names', drop_dimensions => '{"\"Size\"",Order size,USER}'), columns('dep.names');
SELECT alter_metric_view('dep.names', drop_metrics => '{town}');
SELECT alter_metric_view('dep.names', drop_dimensions => '{net}');
SELECT alter_metric_view('dep.names', add_dimensions => '{d AS "Day"}', time_dimension => 'day');
SELECT alter_metric_view('dep.names', add_dimensions => ARRAY['d AS "Day"'], time_dimension => 'Day'), time_dimension FROM kpi.metric_views WHERE name = 'names';
SELECT time_dimension FROM kpi.metric_views WHERE name = 'names';
SELECT alter_metric_view('dep.names', time_dimension => '"Day"'), alter_metric_view('dep.names', time_dimension => 'DAY');
SELECT create_metric_view('dep.names3', '{d, city}', '{dep.net}', time_dimension => 'D'), create_metric_view('dep.names4', '{d}', '{dep.net}', time_dimension => '"D"');

--
-- Renames happen at once
--
SELECT create_metric_view('dep.swap', '{d, city AS a, id AS b}', '{dep.net AS m, dep.n AS c}');
CREATE VIEW dep.swapped AS SELECT a, b, measure(m) AS m FROM dep.swap GROUP BY a, b;
SELECT alter_metric_view('dep.swap', rename => '{a AS b, b AS a}'), columns('dep.swap');
SELECT alter_metric_view('dep.swap', rename => '{a AS m, m AS c, c AS a, d AS dd}'), columns('dep.swap');
SELECT alter_metric_view('dep.swap', rename => '{b AS x, b AS y}');
SELECT alter_metric_view('dep.swap', rename => '{b AS x, c AS x}');
SELECT alter_metric_view('dep.swap', rename => '{b AS c}');
SELECT alter_metric_view('dep.swap', rename => '{nothing AS c}');
SELECT alter_metric_view('dep.swap', rename => '{b AS b}'), columns('dep.swap'), pg_get_viewdef('dep.swapped');

--
-- What does not last, is cut, or is another thing than it seems
--
CREATE TEMP TABLE passing (a integer);
CREATE TEMP VIEW passing_view AS SELECT * FROM dep.t;
SELECT create_metric('dep.temporary', 'SELECT sum(a) FROM passing');
SELECT create_metric('dep.temporary', 'SELECT sum(amount) FROM passing_view');
SELECT create_metric('dep.amount', 'SELECT sum(a) FROM passing', or_replace => true);
SELECT alter_metric('dep.amount', definition => 'SELECT sum(a) FROM passing');
SELECT create_metric('dep.' || repeat('long_', 13) || 'name', 'SELECT count(*) FROM dep.t');
SELECT create_metric('"dep"."' || repeat('"". ', 20) || '"', 'SELECT count(*) FROM dep.t');
SELECT create_metric_view(' dep . ' || repeat('long_', 13) || 'view ', '{city}', '{dep.net}');
ALTER TABLE dep.t ADD "localtime" time, ADD "current_date" date;
SELECT create_metric_view('dep.keywords', ARRAY['user AS u', 'coalesce("current_date", current_date) AS day', 'session_user AS me', 'upper(LOCALTIME(0)::text) AS now'], '{dep.net}'), columns('dep.keywords');
SELECT create_metric_view('dep.keywords2', '{user, "\"user\" AS u", localtime, "\"localtime\" AS l"}', '{dep.net}'), columns('dep.keywords2');
SELECT pg_get_viewdef('dep.keywords2');

SET client_min_messages = warning;
DROP SCHEMA dep CASCADE;
DROP FUNCTION columns;
DROP ROLE regress_kpi_deployer;

-- Dimensions of scopes: key and levels stay, levels may come after them
CREATE SCHEMA dep;
CREATE ROLE regress_kpi_deployer;
CREATE ROLE regress_kpi_admin;
CREATE TABLE dep.stores (id integer PRIMARY KEY, city text, region text, "Country" text);
INSERT INTO dep.stores VALUES (1, 'a', 'east', 'x'), (2, 'b', 'west', 'x');
SELECT create_dimension('dep_store', 'dep.stores', key => 'id', levels => '{region}', or_replace => true);
SELECT grant_scope('regress_kpi_deployer', 'dep_store', level => 'region', members => '{east}');
SELECT 'dep.dep_store_dimension'::regclass::oid AS view \gset
SELECT create_dimension('dep_store', 'dep.stores', key => 'ID', levels => '{region, city, Country}', admin => 'regress_kpi_admin', or_replace => true);
SELECT 'dep.dep_store_dimension'::regclass::oid = :view AS same;
SELECT * FROM kpi.scope_dimensions WHERE name = 'dep_store';
SELECT create_dimension('dep_store', 'dep.stores', or_replace => true), create_dimension('dep_store', 'dep.stores', 'id', '{region, city, Country}', or_replace => true);
SELECT grant_scope('regress_kpi_deployer', 'dep_store', level => 'city', members => '{b}');
SELECT level, members FROM kpi.scope_grant WHERE dimension = 'dep_store' ORDER BY 1;
SELECT create_dimension('dep_store', 'dep.stores', 'id', '{city, region}', or_replace => true);
SELECT create_dimension('dep_store', 'dep.stores', 'id', '{region}', or_replace => true);
SELECT create_dimension('dep_store', 'dep.stores', 'city', or_replace => true);
CREATE TABLE dep.other (id integer PRIMARY KEY);
SELECT create_dimension('dep_store', 'dep.other', 'id', or_replace => true);
SELECT create_dimension('dep_store', type => 'integer', or_replace => true);
SELECT create_dimension('dep_store', 'dep.stores', 'id', '{region, city, nothing}', or_replace => true);
SELECT create_dimension('dep_store', 'dep.stores', key => 'id');
SELECT create_dimension('dep_kind', type => 'text', or_replace => true), create_dimension('dep_kind', admin => 'regress_kpi_admin', or_replace => true);
SELECT create_dimension('dep_kind', type => 'date', or_replace => true);
SELECT name, key, levels, type, admin FROM kpi.scope_dimensions WHERE name ~ '^dep' ORDER BY 1;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_kpi_deployer', current_database()); END $$;
SET ROLE regress_kpi_deployer;
SELECT create_dimension('dep_kind', admin => 'regress_kpi_deployer', or_replace => true);
RESET ROLE;
SELECT drop_dimension('dep_store'), drop_dimension('dep_kind');
DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM regress_kpi_deployer', current_database()); END $$;
DROP SCHEMA dep CASCADE;
DROP ROLE regress_kpi_deployer, regress_kpi_admin;
