-- lineage_drop: kpi.impact() tells what DROP ... CASCADE of an object or a column would take, also what only names it (L1).
-- Every object of a schema is dropped, one at a time, and what went is compared with what was told before; then all is there
-- again.

\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_kpi_author;
CREATE ROLE regress_kpi_reader;
CREATE SCHEMA lin AUTHORIZATION regress_kpi_author;
CREATE SCHEMA lin2 AUTHORIZATION regress_kpi_author;
SET ROLE regress_kpi_author;

--
-- A column that a query names and does not use
--
CREATE TABLE lin.rt (a int, b int, c int);
CREATE VIEW lin.named AS WITH q AS (SELECT * FROM lin.rt) SELECT a FROM q;
SELECT kpi.create_metric('lin.sum_a', 'SELECT sum(a) FROM lin.named');
SELECT kpi.create_metric_view('lin.by_a', '{a}', '{lin.sum_a}');
CREATE MATERIALIZED VIEW lin.stored AS SELECT a FROM lin.by_a WITH NO DATA;
CREATE FUNCTION lin.top() RETURNS TABLE (a int) BEGIN ATOMIC SELECT max(a) FROM lin.stored; END;
SELECT * FROM kpi.impact('lin.rt.b') ORDER BY depth, name COLLATE "C";
-- one that reads it, and one upon that which does not
CREATE VIEW lin.reads AS SELECT b, c FROM lin.rt;
CREATE VIEW lin.upon AS SELECT c FROM lin.reads;
SELECT kind, name, columns, depth, how FROM kpi.impact('lin.rt.b') WHERE name ~ 'reads|upon';
-- nobody is told more, or less, than the catalogs tell him
RESET ROLE;
SET ROLE regress_kpi_reader;
SELECT kind, name, columns, owner, depth, how FROM kpi.impact('lin.rt.b') ORDER BY depth, name COLLATE "C";
SELECT * FROM kpi.dependents('pg_class'::regclass, 0, 2::smallint);
RESET ROLE;
SET ROLE regress_kpi_author;

--
-- Everything else that a query can hang on
--
CREATE TYPE lin.color AS ENUM ('red');
CREATE DOMAIN lin.positive AS int CHECK (VALUE > 0);
CREATE DOMAIN lin.more AS lin.positive;
CREATE TYPE lin.pair AS (x lin.positive, y int);
CREATE TYPE lin.span AS RANGE (SUBTYPE = int);
CREATE FUNCTION lin.one() RETURNS int RETURN 1;
CREATE FUNCTION lin.add(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 + $2; END';
CREATE FUNCTION lin.with_default(i int, j int DEFAULT lin.one()) RETURNS int LANGUAGE sql AS 'SELECT i + j';
CREATE AGGREGATE lin.total (int) (SFUNC = lin.add, STYPE = int);
CREATE OPERATOR lin.## (LEFTARG = int, RIGHTARG = int, FUNCTION = lin.add);
CREATE SEQUENCE lin.seq;
CREATE COLLATION lin.german FROM "C";
CREATE TABLE lin.base (id int PRIMARY KEY, k int DEFAULT lin.one(), g int GENERATED ALWAYS AS (lin.add(k, 1)) STORED, c lin.color,
	m lin.more, p lin.pair, s lin.span, t text COLLATE lin.german, i int GENERATED ALWAYS AS IDENTITY, n int DEFAULT nextval('lin.seq'));
CREATE VIEW lin.by_key AS SELECT id, k FROM lin.base GROUP BY id;
CREATE VIEW lin.of_types AS SELECT c, m, s, (p).x FROM lin.base;
CREATE VIEW lin.casts AS SELECT 'red'::lin.color, k::lin.more, ROW(1, 2)::lin.pair, '(1,1)'::text::lin.pair AS io, ARRAY[k]::lin.positive[] AS a FROM lin.base;
CREATE VIEW lin.calls AS SELECT lin.total(k) AS t, max(k OPERATOR(lin.##) 1) AS o, lin.with_default(1) AS d FROM lin.base;
CREATE VIEW lin.whole AS SELECT b FROM lin.base b;
CREATE VIEW lin.generated AS SELECT g FROM lin.base;
CREATE VIEW lin.sorted AS SELECT id FROM lin.base ORDER BY t, i;
CREATE VIEW lin.numbers AS SELECT nextval('lin.seq') AS n, last_value FROM lin.seq;
CREATE VIEW lin2.later AS SELECT s.id, c.t FROM lin.sorted s, lin.calls c WHERE EXISTS (SELECT FROM lin.generated);
CREATE TEMP VIEW seen AS SELECT id FROM lin2.later;
CREATE FUNCTION lin2.f() RETURNS SETOF lin.base BEGIN ATOMIC SELECT * FROM lin.base; END;
CREATE VIEW lin2.of_f AS SELECT k FROM lin2.f();
CREATE TABLE lin.p (k int, x int, y lin.color) PARTITION BY RANGE (k);
CREATE TABLE lin.p1 PARTITION OF lin.p FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (k);
CREATE TABLE lin.p1a PARTITION OF lin.p1 DEFAULT;
CREATE VIEW lin.of_leaf AS SELECT x FROM lin.p1a;
CREATE VIEW lin.of_parts AS SELECT k FROM lin.p;
CREATE TABLE lin.parent (i int, j int);
CREATE TABLE lin.child (own int) INHERITS (lin.parent);
CREATE TABLE lin.own_too (j int) INHERITS (lin.parent);
CREATE VIEW lin.of_child AS SELECT j FROM lin.child;
CREATE VIEW lin.of_own AS SELECT j FROM lin.own_too;
CREATE TYPE lin.row_type AS (a int, b lin.color);
CREATE TABLE lin.typed OF lin.row_type;
CREATE VIEW lin.of_typed AS SELECT a FROM lin.typed WHERE b = 'red';
SELECT kpi.create_metric('lin.keys', 'SELECT count(k) FROM lin.by_key');
SELECT kpi.create_metric('lin.twice', 'SELECT keys * 2 FROM lin.keys');
SELECT kpi.create_metric_view('lin2.view', '{id}', '{lin.keys, lin.twice}');
CREATE VIEW lin2.report AS SELECT id, kpi.measure(twice) FROM lin2.view GROUP BY id;
ALTER TABLE lin.child ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_function ON lin.child USING (lin.add(i, 1) > 0 AND EXISTS (SELECT FROM lin.rt WHERE b = i));
RESET ROLE;
SELECT kind, name, columns, depth, how FROM kpi.impact('lin.more') ORDER BY depth, kind, name COLLATE "C";
SELECT kind, name, columns, depth, how FROM kpi.impact('lin.pair') ORDER BY depth, kind, name COLLATE "C";
SELECT kind, name, columns, depth, how FROM kpi.impact('lin.pair.x') ORDER BY depth, kind, name COLLATE "C";
SELECT kind, name, columns, depth, how FROM kpi.impact('lin.add(int,int)') WHERE name !~ 'pg_temp' ORDER BY depth, kind, name COLLATE "C";
SELECT kind, regexp_replace(name, 'temp_\d+', 'temp') AS name, columns, depth, how FROM kpi.impact('lin.total(int)') ORDER BY depth, kind, name COLLATE "C";
SELECT kind, name, columns, depth, how FROM kpi.impact('lin.seq') WHERE kind <> 'version' ORDER BY depth, kind, name COLLATE "C";
SELECT kind, name, columns, depth, how FROM kpi.impact('lin.row_type.b') ORDER BY depth, kind, name COLLATE "C";
SELECT kind, name, columns, depth FROM kpi.impact('lin.parent.j') ORDER BY depth, kind, name COLLATE "C";
SELECT kind, name FROM kpi.impact('lin.p') ORDER BY depth, kind, name COLLATE "C";
-- policies of other tables
SELECT kind, name, how FROM kpi.impact('lin.rt.b') WHERE kind = 'policy';
SELECT kind, name FROM kpi.impact('lin.add(int,int)') WHERE kind = 'policy';
-- what is part of something else goes with it only, and PostgreSQL's own types hold everything
SELECT * FROM kpi.impact('lin.base_pkey');
SELECT * FROM kpi.impact('integer');
SELECT * FROM kpi.impact('lin.no_type');
SELECT * FROM kpi.impact('lin.color.red');

--
-- The property: what is told is what goes
--
CREATE TABLE lin2.gone (statement text, name text);
CREATE FUNCTION lin2.drop_and_return(statement text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	names text[];
BEGIN
	CREATE TEMP TABLE before ON COMMIT DROP AS
	SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	 WHERE c.relkind IN ('r', 'p', 'v', 'm') UNION ALL
	SELECT p.oid, kpi.lineage_function_name(p.oid) FROM pg_proc p WHERE p.oid >= 16384;
	BEGIN
		EXECUTE statement;
		SELECT array_agg(b.name) INTO names FROM before b
		 WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = b.oid) AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.oid = b.oid);
		RAISE EXCEPTION USING ERRCODE = 'KP999', MESSAGE = coalesce(names, '{}')::text;
	EXCEPTION
		WHEN SQLSTATE 'KP999' THEN
			INSERT INTO lin2.gone SELECT drop_and_return.statement, u FROM unnest(SQLERRM::text[]) u;
			INSERT INTO lin2.gone VALUES (statement);
		WHEN dependent_objects_still_exist OR invalid_table_definition OR invalid_object_definition OR wrong_object_type THEN
			NULL;
	END;
	DROP TABLE before;
END $$;
CREATE TABLE lin2.object AS
SELECT format('DROP %s %I.%I CASCADE', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname) AS statement,
	   format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname ~ '^lin' AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relname NOT IN ('gone', 'object')
UNION ALL
SELECT format('ALTER %s %I.%I DROP %s %I CASCADE', CASE c.relkind WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, n.nspname, c.relname, CASE c.relkind WHEN 'c' THEN 'ATTRIBUTE' ELSE 'COLUMN' END, a.attname),
	   format('%I.%I.%I', n.nspname, c.relname, a.attname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
 WHERE n.nspname ~ '^lin' AND c.relkind IN ('r', 'p', 'c') AND c.relname NOT IN ('gone', 'object')
UNION ALL
SELECT format('DROP ROUTINE %s CASCADE', kpi.lineage_function_name(p.oid)), kpi.lineage_function_name(p.oid)
  FROM pg_proc p WHERE pronamespace::regnamespace::text ~ '^lin' AND proname <> 'drop_and_return'
UNION ALL
SELECT format('DROP TYPE %I.%I CASCADE', n.nspname, t.typname), format('%I.%I', n.nspname, t.typname)
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
 WHERE n.nspname ~ '^lin' AND (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c');
CREATE TABLE lin2.told AS
SELECT o.statement, i.name, i.columns, i.how FROM lin2.object o CROSS JOIN LATERAL kpi.impact(o.name) i
 WHERE i.kind NOT IN ('policy', 'version', 'dimension', 'scope');
SET client_min_messages = error;
SELECT count(lin2.drop_and_return(statement)) > 80 AS many FROM lin2.object;
SET client_min_messages = warning;
-- few are refused, by PostgreSQL: keys of partitions, columns of partitions and children, functions of types
SELECT o.statement FROM lin2.object o WHERE o.statement NOT IN (SELECT statement FROM lin2.gone) ORDER BY o.statement COLLATE "C";
SELECT count(*) > 200 AS many_went FROM lin2.gone WHERE name IS NOT NULL;
SELECT g.* FROM lin2.gone g JOIN lin2.object o USING (statement)
 WHERE g.name IS NOT NULL AND g.name <> o.name AND NOT EXISTS (SELECT FROM lin2.told t WHERE t.statement = g.statement AND t.name = g.name) ORDER BY 1, 2;
-- and who is told to go without reading does go, a whole object or columns of it
SELECT t.* FROM lin2.told t
 WHERE t.how = '{"not read"}' AND t.columns IS NULL AND t.statement IN (SELECT statement FROM lin2.gone)
   AND NOT EXISTS (SELECT FROM lin2.gone g WHERE g.statement = t.statement AND g.name = t.name) ORDER BY 1, 2;

SET client_min_messages = error;
DROP SCHEMA lin, lin2 CASCADE;
DROP OWNED BY regress_kpi_author, regress_kpi_reader;
DROP ROLE regress_kpi_author, regress_kpi_reader;
