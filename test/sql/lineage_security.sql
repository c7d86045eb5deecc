-- lineage_security: lineage says to everybody what pg_catalog says to everybody, and no more; nobody but superusers changes
-- it (H5, H6); what others put into their search_path, schemas, names and functions is never called or misread (H3, H4); and
-- history is told to the owner of what it tells about.

\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_kpi_author;
CREATE ROLE regress_kpi_attacker;
CREATE ROLE regress_kpi_stranger;
SELECT pg_current_xact_id() AS before \gset
CREATE SCHEMA lin AUTHORIZATION regress_kpi_author;
CREATE SCHEMA lin_evil AUTHORIZATION regress_kpi_attacker;
GRANT USAGE, CREATE ON SCHEMA lin_evil TO PUBLIC;
SET ROLE regress_kpi_author;
CREATE TABLE lin.t (id int, secret text);
CREATE VIEW lin.v AS SELECT secret FROM lin.t WHERE secret <> 'password';
SELECT kpi.create_metric('lin.n', 'SELECT count(*) FROM lin.t WHERE id > 0');
SELECT kpi.create_metric('lin.half', 'SELECT n / 2 FROM lin.n');
RESET ROLE;

--
-- H5, H6: what a stranger may call and read
--
SELECT p.oid::regprocedure, p.prosecdef, p.provolatile, p.proisstrict
  FROM pg_proc p
 WHERE p.pronamespace = 'kpi'::regnamespace AND p.proname ~ '^(.*lineage.*|upstream|downstream|impact)$' AND p.proname !~ '^openlineage' AND has_function_privilege('regress_kpi_stranger', p.oid, 'EXECUTE')
 ORDER BY p.proname COLLATE "C";
SELECT c.relname FROM pg_class c
 WHERE c.relnamespace = 'kpi'::regnamespace AND c.relname ~ 'lineage' AND c.relkind IN ('r', 'v') AND has_any_column_privilege('regress_kpi_stranger', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
 ORDER BY c.relname COLLATE "C";
SET ROLE regress_kpi_stranger;
SELECT kpi.refresh_lineage();
SELECT * FROM kpi.derive_lineage('pg_class'::regclass, 'kpi.lineage'::regclass);
SELECT kpi.record_lineage(ARRAY['pg_class'::regclass::oid], ARRAY[0::oid], 'x', 'x', true);
SELECT kpi.record_lineage_around(ARRAY['pg_class'::regclass::oid], ARRAY[0::oid], 'x', 'x');
SELECT kpi.record_lineage();
SELECT * FROM kpi.lineage_edge;
SELECT * FROM kpi.lineage_log;
SELECT * FROM kpi.lineage_stale;
SELECT * FROM kpi.lineage_current;
INSERT INTO kpi.lineage (source) VALUES ('x');
DELETE FROM kpi.lineage_history;
ALTER EVENT TRIGGER kpi_record_lineage DISABLE;
-- as pg_catalog does, lineage names what the stranger may not read
SELECT source, source_column, target, target_column, kind, transformation FROM kpi.lineage WHERE target = 'lin.v' AND direct ORDER BY 2 NULLS LAST, 4 NULLS LAST;
SELECT pg_get_viewdef(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'lin' AND c.relname = 'v';
SELECT depth, path FROM kpi.upstream('lin.half') ORDER BY depth, path;
SELECT depth, path FROM kpi.downstream('lin.t.id') ORDER BY depth, path;
SELECT kind, name, owner FROM kpi.impact('lin.t') ORDER BY 1, 2;
SELECT attnum, funcid, name, column_name FROM kpi.lineage_object_id('lin.t.id');
-- null, nothing, nonsense
SELECT count(*) FROM kpi.upstream(NULL);
SELECT kpi.upstream('');
SELECT kpi.upstream('lin');
SELECT kpi.upstream('nowhere.t');
SELECT kpi.upstream('lin.t.nothing');
SELECT kpi.upstream('lin.t.ctid');
SELECT kpi.upstream('a.b.c.d.e');
SELECT kpi.upstream('lin.f(int)');
SELECT kpi.upstream('lin.v; DROP VIEW lin.v');
SELECT kpi.upstream('lin."v');
SELECT kpi.upstream('postgres.pg_catalog.pg_class.oid.x');
SELECT count(*) FROM kpi.upstream('pg_catalog.pg_class'), kpi.downstream('pg_catalog.pg_class.relname'), kpi.impact('information_schema.tables');
SELECT count(*) FROM kpi.upstream('kpi.metrics');
SELECT count(*) FROM kpi.upstream('information_schema.' || repeat('x', 100));
RESET ROLE;

--
-- H3: what stands first in a search_path
--
SET ROLE regress_kpi_attacker;
CREATE TABLE lin_evil.lineage_edge (LIKE pg_class);
CREATE FUNCTION lin_evil.fired(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called as %: %', current_user, $1; END $$;
CREATE FUNCTION lin_evil.equal(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT lin_evil.fired($1)';
CREATE FUNCTION lin_evil.equal_oid(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT lin_evil.fired(''oid'')';
CREATE OPERATOR lin_evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = lin_evil.equal);
CREATE OPERATOR lin_evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = lin_evil.equal_oid);
CREATE FUNCTION lin_evil.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$ BEGIN PERFORM lin_evil.fired('unnest'); END $$;
CREATE FUNCTION lin_evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM lin_evil.fired('clock'); END $$;
CREATE FUNCTION lin_evil.pg_has_role(oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION lin_evil.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT ''on''';
CREATE FUNCTION lin_evil.min(integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM lin_evil.fired('min'); END $$;
SET search_path = lin_evil, pg_catalog;
CREATE TABLE lin_evil.base (a text, b int);
CREATE VIEW lin_evil.over AS SELECT a FROM base WHERE lin_evil.fired(a) AND a OPERATOR(lin_evil.=) 'x';
ALTER TABLE base RENAME COLUMN a TO aa;
SELECT count(*) FROM kpi.lineage;
SELECT count(*) FROM kpi.upstream('lin.half');
SELECT count(*) FROM kpi.impact('lin.t');
SELECT count(*) FROM kpi.lineage_history WHERE target OPERATOR(pg_catalog.=) 'lin.v';
DROP TABLE base CASCADE;
RESET ROLE;
SELECT kpi.refresh_lineage();
SELECT object, problem FROM kpi.check() WHERE object OPERATOR(pg_catalog.~) 'lin';
RESET search_path;
-- an attacker's own function in a view that somebody else's DDL, and a superuser's refreshing, has to read again
SET ROLE regress_kpi_attacker;
CREATE FUNCTION lin_evil.now_called() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called as %', current_user; END $$;
CREATE DOMAIN lin_evil.checked AS int CHECK (VALUE > lin_evil.now_called());
CREATE TABLE lin_evil.base (a int);
CREATE VIEW lin_evil.over AS SELECT lin_evil.now_called() + a AS x, a::lin_evil.checked AS c FROM lin_evil.base LIMIT lin_evil.now_called();
CREATE FUNCTION lin_evil.body() RETURNS int RETURN lin_evil.now_called() + 1;
RESET ROLE;
ALTER TABLE lin_evil.base RENAME COLUMN a TO aa;
SELECT kpi.refresh_lineage();
SELECT DISTINCT source FROM kpi.upstream('lin_evil.over') ORDER BY 1;

--
-- H4: names
--
SET ROLE regress_kpi_attacker;
CREATE TABLE lin_evil."'; DROP TABLE lin.t; --" ("a'b" int, "c""d" int, "e.f" int, "new
line" int, "(" int, "x{,}y" int, "NULL" int);
CREATE VIEW lin_evil.e AS SELECT "a'b" + "c""d" AS "$1", "e.f" AS "%s", "new
line" AS "\n", "(" AS ")", "x{,}y", "NULL" FROM lin_evil."'; DROP TABLE lin.t; --";
CREATE VIEW lin_evil."odd(""x.y" AS SELECT "$1" AS "f(int)", "%s" AS "a.b", "NULL" AS "null" FROM lin_evil.e;
CREATE FUNCTION lin_evil."f(""'.x)"("a b" int) RETURNS int RETURN (SELECT max("f(int)") FROM lin_evil."odd(""x.y" WHERE "a.b" = "a b");
SELECT source, source_column, target, target_column, kind, transformation FROM kpi.lineage WHERE target ~ 'lin_evil\.("odd|e$|"f)' AND direct
 ORDER BY target COLLATE "C", target_column COLLATE "C" NULLS LAST, source COLLATE "C", source_column COLLATE "C";
SELECT depth, path FROM kpi.upstream('lin_evil."odd(""x.y"."f(int)"') ORDER BY depth, path;
SELECT depth, path FROM kpi.upstream('lin_evil."f(""''.x)"(int)') WHERE target_column IS NOT NULL ORDER BY depth, path;
SELECT depth, path FROM kpi.downstream('lin_evil."''; DROP TABLE lin.t; --"."e.f"') ORDER BY depth, path;
SELECT kind, name, columns FROM kpi.impact('lin_evil."''; DROP TABLE lin.t; --"') ORDER BY 1, 2;
-- a relation and a column of the same name, and a schema and a table
RESET ROLE;
CREATE SCHEMA regress_kpi_both;
CREATE TABLE regress_kpi_both.regress_kpi_both (x int, regress_kpi_both int);
CREATE TABLE regress_kpi_both.x (y int);
SET search_path = regress_kpi_both;
SELECT kpi.upstream('regress_kpi_both.x');
SELECT kpi.upstream('regress_kpi_both.regress_kpi_both.x');
SELECT name, column_name FROM kpi.lineage_object_id('regress_kpi_both.regress_kpi_both.x');
SELECT name, column_name FROM kpi.lineage_object_id('x');
RESET search_path;
DROP SCHEMA regress_kpi_both CASCADE;
-- settings of whoever runs the DDL
SET quote_all_identifiers = on;
SET DateStyle = 'German';
SET IntervalStyle = 'sql_standard';
SET TimeZone = 'Asia/Shanghai';
SET extra_float_digits = -15;
SET lc_messages = 'C';
CREATE VIEW lin.settings AS SELECT id + extract(year FROM date '2026-03-04')::int AS y, id > extract(epoch FROM timestamptz '2026-03-04 00:00 UTC') AS z,
	   '0.3333333333333333'::float8 * id AS f, id > extract(epoch FROM interval '1 day 2 hours') AS i FROM lin.t;
SELECT kpi.refresh_lineage();
SELECT object, problem FROM kpi.check() WHERE object ~ 'lin';
RESET ALL;
SET client_min_messages = warning;
SELECT object, problem FROM kpi.check() WHERE object ~ 'lin';
SELECT target, target_column, transformation FROM kpi.lineage WHERE target ~ 'settings' AND target_column IS NOT NULL AND direct ORDER BY 2;

--
-- Who is told what of history
--
SELECT DISTINCT target FROM kpi.lineage_history WHERE target ~ '^lin\.' AND transaction > :'before' ORDER BY 1;
SET ROLE regress_kpi_stranger;
SELECT count(*) FROM kpi.lineage_history;
CREATE FUNCTION lin_evil.peek(text) RETURNS boolean COST 0.0001 LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'saw %', $1; RETURN true; END $$;
SELECT count(*) FROM kpi.lineage_history WHERE lin_evil.peek(transformation);
RESET ROLE;
SET ROLE regress_kpi_author;
SELECT DISTINCT target FROM kpi.lineage_history ORDER BY 1;
RESET ROLE;
GRANT regress_kpi_author TO regress_kpi_stranger;
SET ROLE regress_kpi_stranger;
SELECT count(*) > 0 AS member_is_told FROM kpi.lineage_history WHERE target = 'lin.v';
RESET ROLE;
REVOKE regress_kpi_author FROM regress_kpi_stranger;
-- a new object of an old name does not come with the history of another's
DROP VIEW lin.v;
GRANT ALL ON SCHEMA lin TO regress_kpi_stranger;
SET ROLE regress_kpi_stranger;
CREATE VIEW lin.v AS SELECT 1 AS mine;
SELECT count(*) FROM kpi.lineage_history WHERE transformation ~ 'password';
RESET ROLE;

--
-- A superuser who calls what an attacker wrote
--
SET ROLE regress_kpi_attacker;
CREATE FUNCTION lin_evil.refresh() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM kpi.refresh_lineage(); RETURN 'refreshed'; EXCEPTION WHEN insufficient_privilege THEN RETURN SQLERRM; END $$;
RESET ROLE;
SELECT lin_evil.refresh();
GRANT EXECUTE ON FUNCTION kpi.refresh_lineage() TO regress_kpi_stranger;
SET ROLE regress_kpi_stranger;
SELECT kpi.refresh_lineage();
RESET ROLE;
REVOKE EXECUTE ON FUNCTION kpi.refresh_lineage() FROM regress_kpi_stranger;

SET client_min_messages = error;
DROP SCHEMA lin, lin_evil CASCADE;
DROP OWNED BY regress_kpi_author, regress_kpi_attacker, regress_kpi_stranger;
DROP ROLE regress_kpi_author, regress_kpi_attacker, regress_kpi_stranger;
