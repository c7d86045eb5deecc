-- lineage_bounds: whatever one role makes, lineage goes on for all others (S9): what cannot be derived is named and left out
-- (R16), walks come to everything once, what they cost is limited, requests to stop are obeyed, no lock remains (R21, N5),
-- statements with parallel plans work (R10), and history is told by who asks, not by who logged in (R22). The timeout is what
-- everything here has to stay below, together.

\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
SET statement_timeout = '30s';
CREATE ROLE regress_kpi_author;
CREATE ROLE regress_kpi_attacker;
CREATE SCHEMA lin AUTHORIZATION regress_kpi_author;
CREATE SCHEMA lin_evil AUTHORIZATION regress_kpi_attacker;
SET ROLE regress_kpi_author;
CREATE TABLE lin.t (id int, a int, b int);
CREATE VIEW lin.v AS SELECT a + b AS s, id FROM lin.t WHERE a > 0;
SELECT kpi.create_metric('lin.m', 'SELECT sum(s) FROM lin.v');
SELECT kpi.create_metric_view('lin.mv', '{id}', '{lin.m}');
GRANT USAGE ON SCHEMA lin TO regress_kpi_attacker;
GRANT SELECT ON lin.t, lin.v TO regress_kpi_attacker;
ALTER TABLE lin.t ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON lin.t USING (a IN (SELECT id FROM lin.v));
RESET ROLE;

CREATE FUNCTION lin.run(sql text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE sql; RETURN 1; END $$;

-- what everybody is told of what the author made
CREATE VIEW lin.told AS
SELECT 'lineage' AS by, count(*) FROM kpi.lineage WHERE target ~ '^lin\.'
UNION ALL SELECT 'upstream', count(*) FROM kpi.upstream('lin.mv')
UNION ALL SELECT 'downstream', count(*) FROM kpi.downstream('lin.t.b') WHERE target ~ '^lin\.'
UNION ALL SELECT 'impact', count(*) FROM kpi.impact('lin.t') WHERE name ~ '^lin\.' OR kind = 'policy'
UNION ALL SELECT 'loads', count(*) FROM kpi.loads('lin.mv')
UNION ALL SELECT 'events', count(*) FROM kpi.openlineage_events('lin.mv', 'x')
UNION ALL SELECT 'drawn', (kpi.lineage_svg('lin.mv') ~ 'lin\.t')::int
UNION ALL SELECT 'in DOT', (kpi.lineage_dot('lin.mv') ~ 'lin\.t')::int;
CREATE VIEW lin.problems AS
SELECT severity, object, problem, remedy FROM kpi.check() WHERE object ~ 'lin' ORDER BY object COLLATE "C", problem COLLATE "C";
TABLE lin.told;
TABLE lin.problems;

--
-- R16: a view that cannot be derived is its owner's concern.  How deep is too deep depends on the build, so here it is derived with
-- less stack than it is made with.
--
ALTER EVENT TRIGGER kpi_record_lineage DISABLE;
SET ROLE regress_kpi_attacker;
SELECT lin.run(format('CREATE VIEW lin_evil.deep AS SELECT %s AS c FROM lin.t', repeat('(', 6000) || 'a' || repeat(' + 1)', 6000)));
RESET ROLE;
ALTER EVENT TRIGGER kpi_record_lineage ENABLE ALWAYS;
SET max_stack_depth = '400kB';
TABLE lin.told;
TABLE lin.problems;
SELECT count(*) FROM kpi.upstream('lin_evil.deep');
-- neither does it keep others' DDL from being recorded, nor refreshing from refreshing
SET ROLE regress_kpi_author;
ALTER TABLE lin.t RENAME COLUMN a TO amount;
RESET ROLE;
SELECT source_column, target_column, kind, transformation FROM kpi.lineage WHERE target = 'lin.v' AND direct ORDER BY 1 NULLS LAST, 3;
SELECT kpi.refresh_lineage();
SELECT count(*) AS stale FROM kpi.lineage_stale;
-- where the graph is stale, and so derived at each reading, the same
INSERT INTO kpi.lineage_stale (command, problem) VALUES ('test', 'test');
TABLE lin.told;
DELETE FROM kpi.lineage_stale;
RESET max_stack_depth;
-- what was recorded of it before stays
SET ROLE regress_kpi_attacker;
DROP VIEW lin_evil.deep;
CREATE VIEW lin_evil.deep AS SELECT b AS c FROM lin.t;
RESET ROLE;
ALTER EVENT TRIGGER kpi_record_lineage DISABLE;
SET ROLE regress_kpi_attacker;
SELECT lin.run(format('CREATE OR REPLACE VIEW lin_evil.deep AS SELECT %s AS c FROM lin.t', repeat('(', 6000) || 'b' || repeat(' + 1)', 6000)));
RESET ROLE;
ALTER EVENT TRIGGER kpi_record_lineage ENABLE ALWAYS;
SET max_stack_depth = '400kB';
SELECT source, source_column, transformation FROM kpi.upstream('lin_evil.deep.c');
SELECT kpi.refresh_lineage();
SELECT source, source_column, transformation FROM kpi.upstream('lin_evil.deep.c');
INSERT INTO kpi.lineage_stale (command, problem) VALUES ('test', 'test');
SELECT source, source_column, transformation FROM kpi.upstream('lin_evil.deep.c');
DELETE FROM kpi.lineage_stale;
TABLE lin.problems;
RESET max_stack_depth;
DROP VIEW lin_evil.deep;
TABLE lin.problems;
-- something that PostgreSQL itself cannot read any more
SET ROLE regress_kpi_attacker;
CREATE FUNCTION lin_evil.f(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE VIEW lin_evil.broken AS SELECT lin_evil.f(b) AS c FROM lin.t;
RESET ROLE;
BEGIN;
SET LOCAL allow_system_table_mods = on;
DELETE FROM pg_proc WHERE oid = 'lin_evil.f(int)'::regprocedure;
SELECT severity, object, regexp_replace(problem, '[0-9]+$', 'N') AS problem FROM lin.problems;
SELECT kpi.refresh_lineage();
TABLE lin.told;
ROLLBACK;
TABLE lin.problems;

--
-- What costs too much is such a view; what does not is told, and in time
--
SET ROLE regress_kpi_attacker;
SELECT lin.run(format('CREATE TABLE lin_evil.wide (%s)', string_agg(format('c%s int', i), ', '))) FROM generate_series(1, 1600) i;
SELECT lin.run(format('CREATE VIEW lin_evil.rows AS SELECT %s FROM lin_evil.wide w', string_agg(format('w::text AS c%s', i), ', '))) FROM generate_series(1, 1600) i;
SELECT lin.run(format('CREATE VIEW lin_evil.nothing AS WITH w AS (SELECT %s) SELECT %s FROM w', string_agg(format('%s AS c%s', i, i), ', '), string_agg(format('w::text AS d%s', i), ', '))) FROM generate_series(1, 1600) i;
SELECT lin.run(format('CREATE VIEW lin_evil.queries AS SELECT %s', string_agg(format('(SELECT max(c%s) FROM lin_evil.wide) AS c%s', i, i), ', '))) FROM generate_series(1, 100) i;
SELECT lin.run(format('CREATE TABLE lin_evil.computed (%s, %s)', string_agg(format('c%s text', i), ', '), string_agg(format('g%s text GENERATED ALWAYS AS (%s) STORED', i, (SELECT string_agg(format('c%s', j), ' || ') FROM generate_series(1, 200) j)), ', '))) FROM generate_series(1, 200) i;
RESET ROLE;
SELECT object, problem FROM lin.problems;
SET ROLE regress_kpi_attacker;
DROP VIEW lin_evil.rows, lin_evil.nothing, lin_evil.queries;
DROP TABLE lin_evil.computed;
-- 1,600 columns, five times over
SELECT sum(lin.run(format('CREATE VIEW lin_evil.w%s AS SELECT * FROM lin_evil.%s WHERE c1 > 0', i, CASE i WHEN 1 THEN 'wide' ELSE format('w%s', i - 1) END))) FROM generate_series(1, 5) i;
ALTER VIEW lin_evil.w1 RENAME TO w0;
SELECT count(*), max(depth) FROM kpi.upstream('lin_evil.w5');
SELECT count(*), max(depth) FROM kpi.downstream('lin_evil.wide.c1');
DROP VIEW lin_evil.w0 CASCADE;
-- 500 views, one upon the other
SELECT sum(lin.run(format('CREATE VIEW lin_evil.c%s AS SELECT a + 1 AS a, b FROM %s WHERE b > %s', i, CASE i WHEN 1 THEN '(SELECT amount AS a, b FROM lin.t) t' ELSE format('lin_evil.c%s', i - 1) END, i))) FROM generate_series(1, 500) i;
SELECT count(*), max(depth), max(array_length(path, 1)) FROM kpi.upstream('lin_evil.c500');
SELECT count(*), max(depth) FROM kpi.downstream('lin.t') WHERE target ~ '^lin_evil';
SELECT count(*), max(depth) FROM kpi.impact('lin.t') WHERE name ~ '^lin_evil.c';
SELECT length(kpi.lineage_svg('lin_evil.c500')) > 1000 AS drawn;
DROP VIEW lin_evil.c1 CASCADE;
-- diamonds: views, and one query whose CTEs are
SELECT sum(lin.run(format('CREATE VIEW lin_evil.d%s AS SELECT l.a + r.b AS a, l.b + r.a AS b FROM %s l JOIN %2$s r ON l.a = r.b', i, CASE i WHEN 1 THEN '(SELECT amount AS a, b FROM lin.t)' ELSE format('lin_evil.d%s', i - 1) END))) FROM generate_series(1, 30) i;
SELECT count(*), max(depth) FROM kpi.upstream('lin_evil.d30');
SELECT lin.run(format('CREATE VIEW lin_evil.ctes AS WITH w0 AS (SELECT amount AS a, b FROM lin.t), %s SELECT a, b FROM w100', string_agg(format('w%s AS (SELECT l.a + r.b AS a, l.b + r.a AS b FROM w%s l JOIN w%2$s r ON l.a = r.b)', i, i - 1), ', '))) FROM generate_series(1, 100) i;
SELECT count(*) FROM kpi.upstream('lin_evil.ctes');
-- a text that grows at each step is not made longer and longer
SELECT lin.run(format('CREATE VIEW lin_evil.nested AS %s', string_agg('SELECT a + b AS a, b + a AS b FROM (', '') || 'SELECT amount AS a, b FROM lin.t' || string_agg(') t', ''))) FROM generate_series(1, 300) i;
SELECT count(*), max(length(transformation)) < 11000 AS short_enough FROM kpi.upstream('lin_evil.nested');
-- a union of many arms
SELECT lin.run(format('CREATE VIEW lin_evil.arms AS %s', string_agg(format('SELECT amount AS a, b, %s AS c FROM lin.t', i), ' UNION '))) FROM generate_series(1, 1000) i;
SELECT kind, count(*) FROM kpi.upstream('lin_evil.arms') GROUP BY 1 ORDER BY 1;
RESET ROLE;
TABLE lin.problems;
-- many partitions: recorded and derived are compared, not each with each
ALTER EVENT TRIGGER kpi_record_lineage DISABLE;
CREATE TABLE lin_evil.parts (k int, a int, b int, c int, d int, e int, f int, g int, h int) PARTITION BY LIST (k);
SELECT sum(lin.run(format('CREATE TABLE lin_evil.part%s PARTITION OF lin_evil.parts FOR VALUES IN (%s)', i, i))) FROM generate_series(1, 800) i;
ALTER EVENT TRIGGER kpi_record_lineage ENABLE ALWAYS;
SET statement_timeout = '5s';
SELECT kpi.refresh_lineage();
TABLE lin.problems;
INSERT INTO kpi.lineage_stale (command, problem) VALUES ('test', 'test');
SELECT count(*) FROM kpi.upstream('lin_evil.parts');
DELETE FROM kpi.lineage_stale;
ALTER TABLE lin_evil.parts RENAME a TO a2;
SELECT count(*) FROM kpi.downstream('lin_evil.part1.a2');
SET statement_timeout = '30s';
DROP TABLE lin_evil.parts;
-- what a metric view comes from in the end is told as far as that goes
SET ROLE regress_kpi_attacker;
DROP VIEW lin_evil.d1, lin_evil.ctes, lin_evil.nested, lin_evil.arms CASCADE;
DROP TABLE lin_evil.wide;
SELECT lin.run(format('CREATE TABLE lin_evil.x0 (%s)', string_agg(format('c%s text', i), ', '))) FROM generate_series(1, 150) i;
SELECT lin.run(format('CREATE VIEW lin_evil.x1 AS SELECT %s FROM lin_evil.x0 x', string_agg(format('x::text AS c%s', i), ', '))) FROM generate_series(1, 150) i;
SELECT lin.run(format('CREATE VIEW lin_evil.x2 AS SELECT %s FROM lin_evil.x1 x', string_agg(format('x::text AS c%s', i), ', '))) FROM generate_series(1, 150) i;
SELECT kpi.create_metric('lin_evil.many', 'SELECT max(c1) FROM lin_evil.x2');
SELECT kpi.create_metric_view('lin_evil.all_ways', (SELECT array_agg('c' || i) FROM generate_series(1, 60) i), '{lin_evil.many}');
RESET ROLE;
SELECT count(*) > 1000 AS some_are_told FROM kpi.lineage WHERE target = 'lin_evil.all_ways' AND NOT direct;
SELECT count(*) FROM kpi.lineage WHERE target = 'lin.mv' AND NOT direct;
SELECT kpi.lineage_svg('lin_evil.all_ways') IS NULL;
DROP TABLE lin_evil.x0 CASCADE;

--
-- A request to stop, and want of resources, are no properties of a view
--
SET ROLE regress_kpi_attacker;
SELECT lin.run(format('CREATE TABLE lin_evil.wide (%s)', string_agg(format('c%s int', i), ', '))) FROM generate_series(1, 1600) i;
CREATE VIEW lin_evil.all_columns AS SELECT * FROM lin_evil.wide;
SELECT lin.run(format('CREATE VIEW lin_evil.nothing AS WITH w AS (SELECT %s) SELECT %s FROM w', string_agg(format('%s AS c%s', i, i), ', '), string_agg(format('w::text AS d%s', i), ', '))) FROM generate_series(1, 1600) i;
RESET ROLE;
SET statement_timeout = '20ms';
SELECT count(*) FROM kpi.derive_lineage('pg_class'::regclass, 'lin_evil.nothing'::regclass);
SET statement_timeout = '30s';
SET temp_file_limit = 0;
SET work_mem = '64kB';
SELECT count(*) FROM kpi.derive_lineage('pg_class'::regclass, 'lin_evil.all_columns'::regclass);
RESET work_mem;
RESET temp_file_limit;
SELECT count(*) FROM kpi.derive_lineage('pg_class'::regclass, 'lin_evil.all_columns'::regclass) WHERE problem IS NULL;
DROP TABLE lin_evil.wide CASCADE;
DROP VIEW lin_evil.nothing;

--
-- R21, N5: no lock remains
--
CREATE VIEW lin.locks AS
SELECT l.relation::regclass, l.mode
  FROM pg_locks l
  JOIN pg_class c ON c.oid = l.relation
 WHERE l.pid = pg_backend_pid() AND c.relnamespace <> 'kpi'::regnamespace AND c.relnamespace <> 'pg_catalog'::regnamespace
   AND c.relname <> 'locks';
SET ROLE regress_kpi_attacker;
BEGIN;
SELECT count(*) > 0 FROM kpi.upstream('lin.mv'), kpi.downstream('lin.t'), kpi.impact('lin.t'), kpi.lineage;
SELECT count(*) FROM kpi.openlineage_events('lin.mv', 'x');
SELECT length(kpi.lineage_dot('lin.mv')) > 0, length(kpi.lineage_svg('lin.mv')) > 0, (kpi.lineage_object_id('lin.v')).name;
SELECT kpi.stored_sql('pg_policy'::regclass, p.oid), kpi.stored_sql('pg_class'::regclass, 'lin.v'::regclass) FROM pg_policy p WHERE p.polrelid = 'lin.t'::regclass;
RESET ROLE;
SELECT count(*) FROM kpi.derive_lineage('pg_class'::regclass, 'lin.v'::regclass);
TABLE lin.locks;
INSERT INTO kpi.lineage_stale (command, problem) VALUES ('test', 'test');
SELECT count(*) FROM kpi.upstream('lin.v');
SELECT kpi.refresh_lineage();
SELECT count(*) FROM kpi.check() WHERE object ~ 'lin';
TABLE lin.locks;
ROLLBACK;
RESET ROLE;
-- what is stored, as SQL
CREATE FUNCTION lin.f(n int) RETURNS bigint RETURN (SELECT sum(s) FROM lin.v WHERE id = n);
ALTER VIEW lin.v RENAME COLUMN s TO total;
SELECT kpi.stored_sql('pg_class'::regclass, 'lin.v'::regclass) AS view, kpi.stored_sql('pg_proc'::regclass, 'lin.f(int)'::regprocedure) AS function;
SELECT kpi.stored_sql('pg_class'::regclass, 'lin.t'::regclass) AS a_table, kpi.stored_sql('pg_proc'::regclass, 'now()'::regprocedure) AS text_body,
	   kpi.stored_sql('pg_policy'::regclass, 0) AS no_policy, kpi.stored_sql('pg_type'::regclass, 'int'::regtype) AS a_type, kpi.stored_sql(0, 0) AS nothing;

--
-- R10: statements with parallel plans
--
CREATE TABLE lin.big AS SELECT i FROM generate_series(1, 20000) i;
ANALYZE lin.big;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT source_column, (SELECT count(*) FROM lin.big) FROM kpi.lineage WHERE target = 'lin.v' AND direct ORDER BY 1 LIMIT 1;
INSERT INTO kpi.lineage_stale (command, problem) VALUES ('test', 'test');
SELECT by, told.count, (SELECT count(*) FROM lin.big) FROM lin.told;
SELECT count(*), (SELECT count(*) FROM lin.big) FROM lin.problems;
DELETE FROM kpi.lineage_stale;
SELECT object, problem, (SELECT count(*) FROM lin.big) FROM lin.problems;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
-- what calls something that is parallel unsafe, itself or by a view, is so
WITH RECURSIVE unsafe (class, object) AS (
	SELECT 'pg_proc'::regclass::oid, p.oid
	  FROM pg_proc p
	 WHERE p.oid IN ('kpi.derive_lineage(oid, oid)'::regprocedure, 'kpi.upstream(text)'::regprocedure, 'kpi.downstream(text)'::regprocedure,
					 'kpi.lineage_edges()'::regprocedure, 'kpi.transitive_lineage()'::regprocedure, 'kpi.stored_sql(oid, oid)'::regprocedure)
	UNION
	SELECT CASE WHEN w.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END, coalesce(w.ev_class, d.objid)
	  FROM unsafe u
	  JOIN pg_depend d ON d.refclassid = u.class AND d.refobjid = u.object AND d.classid IN ('pg_proc'::regclass, 'pg_rewrite'::regclass)
	  LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
)
SELECT p.oid::regprocedure, p.proparallel
  FROM unsafe u
  JOIN pg_proc p ON p.oid = u.object
 WHERE u.class = 'pg_proc'::regclass AND p.pronamespace = 'kpi'::regnamespace
 ORDER BY p.proparallel <> 'u' DESC, p.proname COLLATE "C";

--
-- R22: history is told to the role that asks
--
SET ROLE regress_kpi_attacker;
SELECT count(*) FROM kpi.lineage_history WHERE target = 'lin.m';
CREATE FUNCTION lin_evil.told() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT count(*) FROM kpi.lineage_history WHERE target = 'lin.m' $$;
GRANT EXECUTE ON FUNCTION lin_evil.told() TO PUBLIC;
RESET ROLE;
SELECT lin_evil.told(), count(*) > 0 AS superuser_is_told FROM kpi.lineage_history WHERE target = 'lin.m';

SET client_min_messages = error;
DROP SCHEMA lin, lin_evil CASCADE;
DELETE FROM kpi.lineage_log WHERE target ~ '^lin_evil';
VACUUM kpi.lineage_log, kpi.lineage_edge;
DROP OWNED BY regress_kpi_author, regress_kpi_attacker;
DROP ROLE regress_kpi_author, regress_kpi_attacker;
