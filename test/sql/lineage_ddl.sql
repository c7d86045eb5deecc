-- lineage_ddl: after every DDL that can change it, by an owner who is no superuser, recorded lineage is what is derived,
-- and its history says what changed (L1); a recorder that fails lets DDL pass, with a warning, and readers see the truth all
-- the same (H7). tell.news() lists what history got since the last call, and what kpi.check() says.

\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_kpi_author;
CREATE SCHEMA lin AUTHORIZATION regress_kpi_author;
CREATE SCHEMA lin2 AUTHORIZATION regress_kpi_author;
CREATE SCHEMA tell;
CREATE TABLE tell.mark AS SELECT clock_timestamp() AS at;
CREATE FUNCTION tell.news() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	RETURN QUERY
	SELECT news FROM (
		SELECT format('%s %s%s <- %s%s %s', CASE change WHEN 'added' THEN '+' ELSE '-' END, target, '.' || target_column,
					  source, '.' || source_column, kind) COLLATE "C" AS news FROM kpi.lineage_log, tell.mark WHERE changed_at > at
		UNION ALL
		SELECT format('! %s: %s', object, regexp_replace(problem, ' at .* was', ' was')) COLLATE "C"
		  FROM kpi.check() WHERE object ~ '^lin|"lin' OR object = 'lineage') n
	 ORDER BY substr(news, 2), news;
	UPDATE tell.mark SET at = clock_timestamp();
END $$;
GRANT USAGE ON SCHEMA tell TO PUBLIC;

SET ROLE regress_kpi_author;
CREATE TABLE lin.t (id int, a int, b numeric, gone text);
CREATE VIEW lin.v AS SELECT a, b * 2 AS b2 FROM lin.t WHERE id > 0;
CREATE VIEW lin.w AS SELECT a + 1 AS a1 FROM lin.v;
SELECT tell.news();

--
-- Columns and relations
--
ALTER TABLE lin.t RENAME COLUMN a TO "A 1";
SELECT tell.news();
ALTER VIEW lin.v RENAME COLUMN a TO va;
SELECT tell.news();
ALTER TABLE lin.v RENAME COLUMN va TO a;
SELECT tell.news();
ALTER TABLE lin.t RENAME TO "T.";
SELECT tell.news();
ALTER TABLE lin."T." SET SCHEMA lin2;
SELECT tell.news();
ALTER TABLE lin2."T." RENAME TO t;
ALTER TABLE lin2.t SET SCHEMA lin;
ALTER TABLE lin.t RENAME COLUMN "A 1" TO a;
SELECT count(*) FROM tell.news();
ALTER TABLE lin.t ADD COLUMN c int, DROP COLUMN gone;
ALTER TABLE lin.t ALTER COLUMN c TYPE bigint;
ALTER TABLE lin.t ADD COLUMN g int GENERATED ALWAYS AS (id + a) STORED;
SELECT tell.news();
ALTER TABLE lin.t ALTER COLUMN g DROP EXPRESSION;
SELECT tell.news();
CREATE OR REPLACE VIEW lin.v AS SELECT id AS a, b * 2 AS b2, c FROM lin.t GROUP BY id, b, c;
SELECT tell.news();
ALTER VIEW lin.v ALTER COLUMN a SET DEFAULT 3;
ALTER VIEW lin.v SET (security_barrier);
COMMENT ON VIEW lin.v IS 'nothing';
CREATE INDEX ON lin.t (a);
ALTER TABLE lin.t CLUSTER ON t_a_idx;
SELECT tell.news();
ALTER VIEW lin.v RENAME TO v1;
SELECT tell.news();
ALTER VIEW lin.v1 RENAME TO v;
ALTER TABLE lin.t DROP COLUMN c CASCADE;
SELECT tell.news();
CREATE VIEW lin.v AS SELECT a, b * 2 AS b2, to_jsonb(t) AS j FROM lin.t;
CREATE VIEW lin.w AS SELECT a + 1 AS a1 FROM lin.v;
SELECT count(*) FROM tell.news();
ALTER TABLE lin.t ADD COLUMN new int;
ALTER TABLE lin.t DROP COLUMN g;
SELECT tell.news();
CREATE MATERIALIZED VIEW lin.m AS SELECT a, sum(b2) AS s FROM lin.v GROUP BY a;
ALTER MATERIALIZED VIEW lin.m RENAME COLUMN s TO total;
REFRESH MATERIALIZED VIEW lin.m;
ALTER MATERIALIZED VIEW lin.m SET SCHEMA lin2;
ALTER MATERIALIZED VIEW lin2.m RENAME TO m2;
SELECT tell.news();
CREATE TABLE lin.copied AS SELECT * FROM lin.v;
SELECT * INTO lin.copied2 FROM lin.v;
CREATE UNLOGGED TABLE lin.fast (LIKE lin.t INCLUDING ALL);
CREATE VIEW lin.from_copy AS SELECT a FROM lin.copied;
SELECT tell.news();
CREATE TABLE lin.becomes_view (a int);
CREATE RULE "_RETURN" AS ON SELECT TO lin.becomes_view DO INSTEAD SELECT a FROM lin.t;
CREATE RULE nothing AS ON DELETE TO lin.becomes_view DO INSTEAD DELETE FROM lin.copied;
ALTER RULE nothing ON lin.becomes_view RENAME TO nothing2;
DROP RULE nothing2 ON lin.becomes_view;
SELECT tell.news();
ALTER TABLE lin.copied RENAME TO copied9;
DROP VIEW lin.from_copy, lin.becomes_view;
DROP TABLE lin.copied9, lin.copied2, lin.fast;
DROP MATERIALIZED VIEW lin2.m2;
SELECT tell.news();

--
-- Partitions and children
--
CREATE TABLE lin.p (k int, x int) PARTITION BY RANGE (k);
CREATE TABLE lin.p1 PARTITION OF lin.p FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (k);
CREATE TABLE lin.p1a PARTITION OF lin.p1 DEFAULT;
CREATE VIEW lin.leaf AS SELECT x FROM lin.p1a;
SELECT tell.news();
ALTER TABLE lin.p RENAME COLUMN x TO y;
SELECT tell.news();
ALTER TABLE lin.p ADD COLUMN z int;
ALTER TABLE lin.p DROP COLUMN z;
SELECT tell.news();
CREATE TABLE lin.p2 (y int, k int);
ALTER TABLE lin.p ATTACH PARTITION lin.p2 FOR VALUES FROM (10) TO (20);
SELECT tell.news();
ALTER TABLE lin.p2 RENAME TO "P 2";
ALTER TABLE lin.p DETACH PARTITION lin."P 2";
SELECT tell.news();
ALTER TABLE lin.p ATTACH PARTITION lin."P 2" FOR VALUES FROM (10) TO (20);
ALTER TABLE lin.p DETACH PARTITION lin."P 2" CONCURRENTLY;
SELECT tell.news();
DROP TABLE lin.p CASCADE;
CREATE TABLE lin.parent (i int, j int);
CREATE TABLE lin.child (g int GENERATED ALWAYS AS (j * 2) STORED) INHERITS (lin.parent);
CREATE VIEW lin.of_child AS SELECT j, g FROM lin.child;
SELECT tell.news();
ALTER TABLE lin.parent RENAME COLUMN j TO jj;
SELECT tell.news();
ALTER TABLE lin.child NO INHERIT lin.parent;
ALTER TABLE lin.child INHERIT lin.parent;
SELECT tell.news();
CREATE TYPE lin.row_type AS (a int, b int);
CREATE TABLE lin.typed OF lin.row_type;
CREATE VIEW lin.of_typed AS SELECT a, b FROM lin.typed;
ALTER TYPE lin.row_type RENAME ATTRIBUTE b TO bb CASCADE;
SELECT tell.news();
DROP VIEW lin.of_typed;
ALTER TYPE lin.row_type DROP ATTRIBUTE bb CASCADE;
ALTER TYPE lin.row_type ADD ATTRIBUTE c int CASCADE;
SELECT tell.news();

--
-- Functions, and what names something in the text of a transformation only
--
CREATE FUNCTION lin.f(int) RETURNS int IMMUTABLE RETURN $1 + 1;
CREATE FUNCTION lin.total() RETURNS TABLE (s numeric) BEGIN ATOMIC SELECT sum(b) FROM lin.t WHERE lin.f(a) > 1; END;
CREATE TABLE lin.computed (a int, f int GENERATED ALWAYS AS (lin.f(a)) STORED);
CREATE VIEW lin.calls AS SELECT lin.f(a) AS fa, s FROM lin.t, lin.total();
SELECT tell.news();
ALTER FUNCTION lin.f(int) RENAME TO "F(x)";
SELECT tell.news();
ALTER ROUTINE lin.total() SET SCHEMA lin2;
SELECT tell.news();
CREATE OR REPLACE FUNCTION lin2.total() RETURNS TABLE (s numeric) BEGIN ATOMIC SELECT max(b) FROM lin.v, lin.t WHERE b2 = b; END;
SELECT tell.news();
CREATE OR REPLACE FUNCTION lin2.total() RETURNS TABLE (s numeric) LANGUAGE sql AS 'SELECT 1';
SELECT tell.news();
CREATE PROCEDURE lin.proc(INOUT n numeric) BEGIN ATOMIC SELECT sum(b) FROM lin.t; END;
ALTER PROCEDURE lin.proc RENAME TO proc2;
SELECT tell.news();
CREATE TYPE lin.color AS ENUM ('red', 'green');
CREATE DOMAIN lin.positive AS int;
CREATE COLLATION lin.german FROM "C";
CREATE AGGREGATE lin.add(int) (SFUNC = int4pl, STYPE = int);
CREATE OPERATOR lin.## (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl);
CREATE SEQUENCE lin.seq;
CREATE VIEW lin.textual AS
SELECT a::text::lin.color AS c, a::lin.positive AS p, b::text COLLATE lin.german AS g, a OPERATOR(lin.##) 1 AS o, nextval('lin.seq') AS n FROM lin.t
 WHERE b::text::lin.color = 'red';
CREATE VIEW lin.textual2 AS SELECT lin.add(a) AS s, (SELECT last_value FROM lin.seq) AS q FROM lin.t;
SELECT tell.news();
ALTER TYPE lin.color RENAME VALUE 'red' TO 'rot';
ALTER TYPE lin.color RENAME TO colour;
ALTER DOMAIN lin.positive RENAME TO natural_number;
ALTER COLLATION lin.german RENAME TO deutsch;
ALTER AGGREGATE lin.add(int) RENAME TO plus;
ALTER OPERATOR lin.## (int, int) SET SCHEMA lin2;
ALTER SEQUENCE lin.seq RENAME TO seq2;
ALTER TYPE lin.colour SET SCHEMA lin2;
SELECT target_column, transformation FROM kpi.lineage WHERE target ~ '^lin\.textual' AND transformation ~ '[(:]' ORDER BY target, target_column, transformation;
SELECT DISTINCT news FROM tell.news() news WHERE news ~ '^!';
RESET ROLE;
ALTER SCHEMA lin2 RENAME TO "lin 2";
SELECT target_column, transformation FROM kpi.lineage WHERE target ~ '^lin\.textual' AND transformation ~ 'lin 2' ORDER BY target, target_column, transformation;
SELECT DISTINCT news FROM tell.news() news WHERE news ~ '^!';
ALTER SCHEMA "lin 2" RENAME TO lin2;
SET ROLE regress_kpi_author;
DROP SEQUENCE lin.seq2 CASCADE;
SELECT count(*) FROM tell.news();
RESET ROLE;
CREATE SCHEMA lin3 AUTHORIZATION regress_kpi_author
	CREATE VIEW pair AS SELECT o.k, p.b FROM one o, lin.t p
	CREATE TABLE one (k int);
SELECT tell.news();
ALTER SCHEMA lin3 RENAME TO "lin ""3";
SELECT tell.news();
ALTER SCHEMA "lin ""3" OWNER TO CURRENT_USER;
DROP SCHEMA "lin ""3" CASCADE;
SELECT tell.news();

--
-- Metrics
--
SET ROLE regress_kpi_author;
SELECT kpi.create_metric('lin.revenue', 'SELECT sum(b) FROM lin.t');
SELECT kpi.create_metric_view('lin.sales', '{a}', '{lin.revenue}');
SELECT tell.news();
SELECT kpi.alter_metric('lin.revenue', definition => 'SELECT sum(b) FROM lin.t WHERE a > 0');
SELECT kpi.alter_metric_view('lin.sales', rename => '{a AS alpha}', add_dimensions => '{new}');
SELECT tell.news();
ALTER VIEW lin.revenue RENAME TO income;
SELECT tell.news();
SELECT kpi.drop_metric('lin.income', true);
SELECT tell.news();

--
-- Transactions, functions, temporary objects
--
BEGIN;
ALTER TABLE lin.t RENAME COLUMN a TO a9;
SAVEPOINT one;
DROP VIEW lin.v CASCADE;
SAVEPOINT two;
CREATE VIEW lin.v AS SELECT a9 FROM lin.t;
ROLLBACK TO one;
SELECT source_column FROM kpi.lineage WHERE target = 'lin.v' AND target_column = 'a';
ROLLBACK;
SELECT tell.news();
BEGIN;
CREATE VIEW lin.later AS SELECT new FROM lin.t;
SAVEPOINT one;
ALTER VIEW lin.later RENAME TO soon;
RELEASE one;
COMMIT;
DO $$
BEGIN
	FOR i IN 1..3 LOOP
		EXECUTE format('CREATE OR REPLACE VIEW lin.looped AS SELECT new + %s AS n FROM lin.t', i);
	END LOOP;
	BEGIN
		DROP VIEW lin.soon;
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN NULL;
	END;
	COMMIT;
	DROP VIEW lin.looped;
	ROLLBACK;
END $$;
SELECT tell.news();
CREATE TEMP TABLE kept (a int);
CREATE TEMP VIEW seen AS SELECT a, kept.a AS k FROM lin.t JOIN kept USING (a);
CREATE FUNCTION pg_temp.mine() RETURNS numeric RETURN (SELECT sum(b) FROM lin.t);
ALTER TABLE lin.t RENAME COLUMN new TO newer;
ALTER TABLE kept RENAME COLUMN a TO aa;
SELECT tell.news();
SELECT source, target FROM kpi.lineage WHERE source ~ 'temp' OR target ~ 'temp';
DROP TABLE kept CASCADE;
SELECT tell.news();

--
-- H7: a recorder that fails
--
RESET ROLE;
ALTER TABLE kpi.lineage_log ADD CONSTRAINT broken CHECK (change = 'never') NOT VALID;
SET ROLE regress_kpi_author;
CREATE VIEW lin.unrecorded AS SELECT b FROM lin.t;
ALTER TABLE lin.t RENAME COLUMN b TO amount;
DROP VIEW lin.soon;
-- a plain table changes no lineage
CREATE TABLE lin.no_lineage (a int);
SELECT DISTINCT target, source, source_column FROM kpi.lineage WHERE target IN ('lin.unrecorded', 'lin.v', 'lin.soon') AND direct ORDER BY 1, 3;
SELECT depth, source, source_column, path FROM kpi.upstream('lin.unrecorded') ORDER BY 1, 3;
SELECT target, target_column FROM kpi.downstream('lin.t.amount') ORDER BY 1, 2;
SELECT kpi.refresh_lineage();
RESET ROLE;
SELECT tell.news();
ALTER TABLE kpi.lineage_log DROP CONSTRAINT broken;
SELECT kpi.refresh_lineage();
SELECT tell.news();
SELECT DISTINCT command, role = current_user AS mine FROM kpi.lineage_history WHERE target = 'lin.unrecorded';
-- nor can be marked stale
ALTER TABLE kpi.lineage_log ADD CONSTRAINT broken CHECK (change = 'never') NOT VALID;
ALTER TABLE kpi.lineage_stale ADD CONSTRAINT broken CHECK (command = 'never') NOT VALID;
SET ROLE regress_kpi_author;
ALTER TABLE lin.t RENAME COLUMN amount TO b;
RESET ROLE;
SELECT tell.news();
ALTER TABLE kpi.lineage_log DROP CONSTRAINT broken;
ALTER TABLE kpi.lineage_stale DROP CONSTRAINT broken;
SELECT kpi.refresh_lineage();
SELECT tell.news();
-- switched off
ALTER EVENT TRIGGER kpi_record_lineage DISABLE;
CREATE VIEW lin.missed AS SELECT b FROM lin.t;
ALTER EVENT TRIGGER kpi_record_lineage ENABLE ALWAYS;
SELECT tell.news();
SELECT kpi.refresh_lineage();
SELECT tell.news();
-- but not by a replica role
SET session_replication_role = replica;
ALTER VIEW lin.missed RENAME TO noticed;
RESET session_replication_role;
SELECT tell.news();

--
-- What history tells, and to whom
--
SELECT command, change, role FROM kpi.lineage_history WHERE target = 'lin.looped' ORDER BY changed_at, change DESC;

--
-- H8: everything goes
--
DROP OWNED BY regress_kpi_author CASCADE;
SELECT count(*) FROM kpi.lineage WHERE source ~ '^lin' OR target ~ '^lin';
SELECT news FROM tell.news() news WHERE news !~ '^-';
SELECT count(*) FROM kpi.lineage_log WHERE change NOT IN ('added', 'removed');
SET client_min_messages = error;
DROP SCHEMA IF EXISTS lin, lin2, tell CASCADE;
DROP ROLE regress_kpi_author;
