-- lineage_functions: every function that a stored query runs is followed or named, whoever calls it, and DDL on what calls it is
-- recorded (L1). tell.functions(pattern) lists the functions that are sources; tell.problems() says where recorded lineage is
-- not what is derived, and has to be empty after every step.

\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA lin;
CREATE SCHEMA tell;
SET search_path = lin, public;
CREATE FUNCTION tell.functions(pattern text) RETURNS TABLE (of text, runs text, kind text) LANGUAGE sql AS $$
	SELECT DISTINCT concat_ws('.', replace(target, 'lin.', ''), target_column) COLLATE "C", replace(source, 'lin.', '') COLLATE "C", kind
	  FROM kpi.lineage WHERE direct AND source_type = 'function' AND target ~ ('^lin\.' || pattern) ORDER BY 1, 2, 3
$$;
CREATE FUNCTION tell.problems() RETURNS TABLE (object text, problem text) LANGUAGE sql AS $$
	SELECT object, problem FROM kpi.check() WHERE problem ~ 'lineage' $$;

CREATE TABLE rate (v numeric);
CREATE TABLE trip (pu int, fare numeric, name text, tags text[]);

--
-- Aggregates
--
CREATE FUNCTION acc(s numeric, x numeric) RETURNS numeric IMMUTABLE RETURN coalesce(s, 0) + x * (SELECT max(v) FROM rate);
CREATE FUNCTION fin(s numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN s; END';
CREATE FUNCTION comb(s numeric, t numeric) RETURNS numeric IMMUTABLE RETURN s + t;
CREATE FUNCTION ser(s internal) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'numeric_avg_serialize';
CREATE FUNCTION macc(s numeric, x numeric) RETURNS numeric IMMUTABLE RETURN s + x;
CREATE FUNCTION minv(s numeric, x numeric) RETURNS numeric IMMUTABLE RETURN s - x;
CREATE FUNCTION mfin(s numeric) RETURNS numeric IMMUTABLE RETURN s;
CREATE AGGREGATE conv (numeric) (SFUNC = acc, STYPE = numeric);
CREATE AGGREGATE all_of_it (numeric) (SFUNC = acc, STYPE = numeric, FINALFUNC = fin, COMBINEFUNC = comb, MSFUNC = macc, MINVFUNC = minv, MSTYPE = numeric, MFINALFUNC = mfin);
CREATE AGGREGATE within (ORDER BY numeric) (SFUNC = acc, STYPE = numeric, FINALFUNC = fin);
CREATE VIEW agg AS SELECT conv(fare) AS c FROM trip;
CREATE VIEW agg_all AS SELECT all_of_it(fare) AS a FROM trip;
CREATE VIEW agg_within AS SELECT within() WITHIN GROUP (ORDER BY fare) AS a FROM trip;
CREATE VIEW agg_window AS SELECT all_of_it(fare) OVER (PARTITION BY pu) AS a FROM trip;
SELECT * FROM tell.functions('agg');
SELECT source, source_column, target, target_column, kind, transformation FROM kpi.upstream('agg') ORDER BY depth, source COLLATE "C", source_column, kind;
SELECT kind, name, columns, depth, how FROM kpi.impact('rate.v') ORDER BY depth, kind, name COLLATE "C";
-- one that is not called in the query, and one whose functions are replaced
CREATE OR REPLACE AGGREGATE conv (numeric) (SFUNC = macc, STYPE = numeric);
SELECT * FROM tell.functions('agg$');
CREATE OR REPLACE AGGREGATE conv (numeric) (SFUNC = acc, STYPE = numeric, FINALFUNC = mfin);
ALTER FUNCTION mfin(numeric) RENAME TO "m fin";
ALTER AGGREGATE conv (numeric) RENAME TO converted;
SELECT * FROM tell.functions('agg$');
SELECT change, target, source, source_column, transformation, command FROM kpi.lineage_history
 WHERE target = 'lin.agg' AND source ~ '\(' ORDER BY transaction, change DESC, source COLLATE "C", transformation;
SELECT * FROM tell.problems();

--
-- Operators, and functions that become what can read
--
CREATE FUNCTION plus(a int, b int) RETURNS int IMMUTABLE RETURN a + b + (SELECT max(v) FROM rate);
CREATE OPERATOR ## (LEFTARG = int, RIGHTARG = int, FUNCTION = plus);
CREATE FUNCTION same(a int, b int) RETURNS boolean LANGUAGE internal IMMUTABLE AS 'int4eq';
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = same);
CREATE VIEW op AS SELECT pu ## 1 AS o, pu === 2 AS p FROM trip WHERE pu === ANY ('{1,2}') ORDER BY pu ## 2;
SELECT * FROM tell.functions('op$');
CREATE OR REPLACE FUNCTION same(a int, b int) RETURNS boolean IMMUTABLE RETURN a = b AND EXISTS (SELECT FROM rate);
SELECT * FROM tell.functions('op$');
SELECT * FROM tell.problems();

--
-- Types: casts by functions and as text, domains, containers
--
CREATE FUNCTION ok(i int) RETURNS boolean STABLE RETURN EXISTS (SELECT FROM rate WHERE v = i);
CREATE FUNCTION ok_too(i int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE DOMAIN num AS int CHECK (ok(VALUE));
CREATE DOMAIN num_too AS num CHECK (VALUE > 0);
CREATE TYPE row_of AS (a num_too, b int);
CREATE FUNCTION to_row(int) RETURNS row_of RETURN ROW($1, (SELECT max(v) FROM rate));
CREATE CAST (int AS row_of) WITH FUNCTION to_row(int);
CREATE VIEW type_domain AS SELECT pu::num_too AS d, ARRAY[pu]::num[] AS a FROM trip;
CREATE VIEW type_io AS SELECT name::row_of AS r, tags::row_of[] AS rs FROM trip;
CREATE VIEW type_cast AS SELECT pu::row_of AS r FROM trip;
CREATE VIEW type_json AS SELECT r.a, r.b, j.a AS ja FROM trip, jsonb_to_record(jsonb_build_object('a', pu)) AS r (a num, b int), jsonb_populate_record(NULL::row_of, '{}') j;
CREATE VIEW type_xml AS SELECT x.a, x.b FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS a num PATH 'a', b int PATH 'b') x;
SELECT * FROM tell.functions('type_');
ALTER DOMAIN num ADD CONSTRAINT too CHECK (ok_too(VALUE)) NOT VALID;
SELECT * FROM tell.functions('type_') WHERE runs ~ 'too';
SELECT * FROM tell.problems();
ALTER DOMAIN num DROP CONSTRAINT too;
SELECT * FROM tell.functions('type_') WHERE runs ~ 'too';
ALTER DOMAIN num ADD CONSTRAINT both_of_them CHECK (ok_too(VALUE) AND ok(VALUE)) NOT VALID;
ALTER FUNCTION ok_too(int) SET SCHEMA tell;
SELECT * FROM tell.problems();
DROP FUNCTION ok(int) CASCADE;
SELECT * FROM tell.functions('type_');
SELECT * FROM tell.problems();

--
-- What sorts, groups and compares
--
CREATE TYPE pair AS (x int, y int);
CREATE FUNCTION pair_cmp(a pair, b pair) RETURNS int IMMUTABLE RETURN (a).x - (b).x + (SELECT max(v) FROM rate);
CREATE FUNCTION pair_lt(pair, pair) RETURNS boolean IMMUTABLE RETURN pair_cmp($1, $2) < 0;
CREATE FUNCTION pair_eq(pair, pair) RETURNS boolean IMMUTABLE RETURN pair_cmp($1, $2) = 0;
CREATE OPERATOR <! (LEFTARG = pair, RIGHTARG = pair, FUNCTION = pair_lt);
CREATE OPERATOR =! (LEFTARG = pair, RIGHTARG = pair, FUNCTION = pair_eq);
CREATE TABLE pairs (p pair, q pair[]);
CREATE VIEW sort_arrays AS SELECT p FROM pairs ORDER BY q;
SELECT * FROM tell.functions('sort_');
CREATE OPERATOR CLASS pair_ops DEFAULT FOR TYPE pair USING btree AS OPERATOR 1 <!, OPERATOR 3 =!, FUNCTION 1 pair_cmp(pair, pair);
SELECT * FROM tell.functions('sort_');
CREATE VIEW sort_by AS SELECT q FROM pairs ORDER BY p;
CREATE VIEW sort_distinct AS SELECT DISTINCT p FROM pairs;
CREATE VIEW sort_group AS SELECT count(*) AS n FROM pairs GROUP BY p;
CREATE VIEW sort_union AS SELECT p FROM pairs UNION SELECT p FROM pairs;
CREATE VIEW sort_except AS SELECT p FROM pairs EXCEPT ALL SELECT p FROM pairs;
CREATE VIEW sort_greatest AS SELECT greatest(p, p) AS g FROM pairs;
CREATE VIEW sort_aggregate AS SELECT count(DISTINCT p) AS c, string_agg('', '' ORDER BY p) AS s, max(q) AS m FROM pairs;
CREATE VIEW sort_window AS SELECT rank() OVER (ORDER BY p) AS r FROM pairs;
CREATE VIEW sort_equal AS SELECT q = q AS e FROM pairs;
SELECT of, string_agg(runs, ' ' ORDER BY runs COLLATE "C") AS runs, kind FROM tell.functions('sort_') GROUP BY of, kind ORDER BY of COLLATE "C", kind;
SELECT * FROM tell.problems();
DROP OPERATOR FAMILY pair_ops USING btree CASCADE;
SELECT of, string_agg(runs, ' ' ORDER BY runs COLLATE "C") AS runs, kind FROM tell.functions('sort_') GROUP BY of, kind ORDER BY of COLLATE "C", kind;
SELECT * FROM tell.problems();

--
-- Default arguments, computed columns
--
CREATE FUNCTION from_rate() RETURNS int IMMUTABLE RETURN (SELECT max(v) FROM rate);
CREATE FUNCTION scaled(a int, b int DEFAULT from_rate()) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a * b';
CREATE VIEW def_called AS SELECT scaled(pu) AS s FROM trip;
CREATE VIEW def_given AS SELECT scaled(pu, 2) AS s FROM trip;
CREATE VIEW def_from AS SELECT s FROM scaled(3) s;
CREATE TABLE computed (a int, b int GENERATED ALWAYS AS (scaled(a) + 1) STORED, c int GENERATED ALWAYS AS (a ## 2) STORED);
CREATE TABLE computed2 (a int, c int GENERATED ALWAYS AS (same(a, 2)::int) STORED);
SELECT * FROM tell.functions('(def_|computed)');
SELECT source, source_column, target_column, kind, transformation FROM kpi.upstream('computed2.c') ORDER BY depth, source COLLATE "C";
CREATE OR REPLACE FUNCTION scaled(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a * b';
SELECT * FROM tell.functions('(def_|computed)');
SELECT * FROM tell.problems();

--
-- Functions in C that read what is given to them as text
--
CREATE EXTENSION tablefunc SCHEMA public;
CREATE EXTENSION dblink SCHEMA public;
CREATE EXTENSION xml2 SCHEMA public;
CREATE VIEW c_query AS SELECT query_to_xml('SELECT 1', true, true, '') AS q, table_to_xml('trip', true, true, '') AS t, schema_to_xmlschema('lin', true, true, '') AS s,
	   cursor_to_xml('c', 1, true, true, '') AS c, database_to_xml_and_xmlschema(true, true, '') AS d, ts_rewrite('a'::tsquery, 'SELECT 1') AS r;
CREATE VIEW c_stat AS SELECT word, ndoc FROM ts_stat('SELECT tsv FROM t');
CREATE VIEW c_crosstab AS SELECT * FROM crosstab('SELECT pu, 1, sum(fare) FROM lin.trip GROUP BY 1') AS c (pu int, a numeric);
CREATE VIEW c_crosstab2 AS SELECT c.pu + c.a AS both_columns FROM crosstab('SELECT 1', 'SELECT 2') AS c (pu int, a numeric);
CREATE VIEW c_connect AS SELECT * FROM connectby('t', 'id', 'parent', '1', 0) AS c (id int, parent int, level int);
CREATE VIEW c_dblink AS SELECT a FROM dblink('dbname=x', 'SELECT 1') AS d (a int) WHERE dblink_exec('x', 'y') = 'z';
CREATE VIEW c_xpath AS SELECT * FROM xpath_table('id', 'x', 't', '/a', 'true') AS c (id int, a text);
SELECT * FROM tell.functions('c_');
SELECT count(*) FROM kpi.upstream('c_crosstab2');
SELECT kind, name FROM kpi.impact('public.crosstab(text)');
-- the same under another name, as written in the catalogs
CREATE FUNCTION own_query(text, boolean, boolean, text) RETURNS xml LANGUAGE internal AS 'query_to_xml';
CREATE FUNCTION own_stable(regdictionary, text) RETURNS text LANGUAGE C STABLE AS '$libdir/unaccent', 'unaccent_dict';
CREATE FUNCTION own_immutable(regdictionary, text) RETURNS text LANGUAGE C IMMUTABLE AS '$libdir/unaccent', 'unaccent_dict';
CREATE VIEW own AS SELECT own_query('SELECT 1', true, true, '') AS q, own_stable('simple', name) AS s, own_immutable('simple', name) AS i FROM trip;
SELECT * FROM tell.functions('own$');
ALTER FUNCTION own_immutable(regdictionary, text) VOLATILE;
SELECT * FROM tell.functions('own$');
-- what computes is not named
CREATE EXTENSION pgcrypto SCHEMA public;
CREATE EXTENSION citext SCHEMA public;
CREATE EXTENSION unaccent SCHEMA public;
CREATE EXTENSION pg_trgm SCHEMA public;
CREATE EXTENSION hstore SCHEMA public;
CREATE VIEW harmless AS
SELECT digest(name, 'sha256') AS d, crypt(name, gen_salt('bf')) AS c, pgp_sym_encrypt(name, 'k') AS p, gen_random_uuid() AS u, name::citext = 'a' AS e, unaccent(name) AS a,
	   name % 'x' AS t, similarity(name, 'x') AS s, hstore('a', name) -> 'a' AS h, to_tsvector('simple', name) AS v, now() AS n, max(name::citext) OVER () AS m
  FROM trip ORDER BY name::citext, hstore('a', name);
SELECT * FROM tell.functions('harmless');
SELECT * FROM tell.problems();

--
-- S7, S9: nothing is run, and nothing is walked twice
--
CREATE FUNCTION runs(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'run'; END $$;
CREATE DOMAIN checked AS int CHECK (runs(1));
CREATE FUNCTION by_default(i int, b boolean DEFAULT runs(1)) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE VIEW not_run AS SELECT pu::checked AS c, by_default(pu) AS d FROM trip;
SELECT * FROM tell.functions('not_run');
-- types within types, and functions that are defaults of each other
CREATE FUNCTION turn(i int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION turn2(i int, j int DEFAULT turn(1)) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE OR REPLACE FUNCTION turn(i int DEFAULT turn2(1)) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE level0 AS (a num, b num);
DO $$ BEGIN
	FOR i IN 1..7 LOOP
		EXECUTE format('CREATE TYPE lin.level%s AS (a lin.level%s, b lin.level%2$s, c lin.level%2$s[])', i, i - 1);
	END LOOP;
END $$;
ALTER DOMAIN num ADD CONSTRAINT late CHECK (tell.ok_too(VALUE)) NOT VALID;
CREATE VIEW deep AS SELECT name::level7 AS d, turn() AS t FROM trip ORDER BY name::level7;
SELECT * FROM tell.functions('deep');
SELECT * FROM tell.problems();

--
-- Names: types of PostgreSQL's own without a schema, others with, whatever the search path
--
CREATE FUNCTION typed(integer, text, pair, num[], "char", timestamptz, int[]) RETURNS int RETURN 1;
CREATE VIEW named AS SELECT typed(1, 'x', NULL, NULL, 'x', now(), '{}') AS t;
SELECT runs FROM tell.functions('named');
SELECT count(*) FROM kpi.downstream('lin.typed(integer,text,lin.pair,lin.num[],"char",timestamp with time zone,integer[])');
SET search_path = tell;
SELECT kpi.lineage_function_name('lin.typed'::regproc);
RESET search_path;

SET client_min_messages = error;
DROP EXTENSION tablefunc, dblink, xml2, pgcrypto, citext, unaccent, pg_trgm, hstore CASCADE;
DROP SCHEMA lin, tell CASCADE;
