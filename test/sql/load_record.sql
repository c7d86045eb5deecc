-- L2: one row for each statement that changed a tracked table: which statements are recorded, as what, with how many rows and
-- which range of time; nothing of what was rolled back. D3 to D5, D7 to D9, D11, D13, E10, I9.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET TIME ZONE 'Asia/Shanghai';
SET datestyle = 'German, DMY';
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE ROLE regress_kpi_loader;
CREATE ROLE regress_kpi_other;
GRANT ALL ON SCHEMA shop TO regress_kpi_loader, regress_kpi_other;
-- what was recorded since the last look, in order, with dates as ISO writes them
CREATE TABLE seen (count bigint);
INSERT INTO seen SELECT count(*) FROM kpi.data_change;
CREATE FUNCTION noted(OUT relation regclass, OUT command text, OUT operation text, OUT rows bigint, OUT touched text) RETURNS SETOF record LANGUAGE sql AS $$
  WITH looked AS (UPDATE shop.seen SET count = (SELECT count(*) FROM kpi.data_change) RETURNING count)
  SELECT relation, command, operation, rows, to_char(touched_from, 'YYYY-MM-DD HH24:MI') || coalesce(' to ' || to_char(nullif(touched_to, touched_from), 'YYYY-MM-DD HH24:MI'), '')
  FROM kpi.data_change ORDER BY changed_at, operation OFFSET (SELECT count FROM shop.seen) $$;

CREATE TABLE lines (id int PRIMARY KEY, sold date, amount int);
SELECT kpi.track('lines', 'sold');
-- D7: every way to write
INSERT INTO lines VALUES (1, '2026-01-05', 1), (2, '2026-01-03', 2), (3, NULL, 3);
INSERT INTO lines SELECT i, date '2026-02-01' + i, i FROM generate_series(10, 59) i;
COPY lines FROM stdin;
100	2026-03-01	1
101	2026-02-28	1
\.
BEGIN; TRUNCATE lines; COPY lines FROM stdin (FREEZE);
100	2026-03-01	1
\.
COMMIT;
INSERT INTO lines VALUES (100, '2026-03-02', 0), (1, '2026-03-03', 0) ON CONFLICT (id) DO UPDATE SET sold = excluded.sold;
INSERT INTO lines VALUES (100, '2026-03-02', 0) ON CONFLICT DO NOTHING;
MERGE INTO lines USING (VALUES (1), (2), (100)) v (i) ON id = i WHEN MATCHED AND i = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET amount = 9 WHEN NOT MATCHED THEN INSERT VALUES (i, '2026-04-04', i);
WITH gone AS (DELETE FROM lines WHERE id = 2 RETURNING *), more AS (INSERT INTO lines VALUES (7, '2026-05-07', 7) RETURNING *) UPDATE lines SET amount = amount + 1 WHERE id = 100;
UPDATE lines SET sold = sold + 365 WHERE id = 7;
DELETE FROM lines WHERE id = 100;
PREPARE one AS INSERT INTO lines VALUES ($1, '2026-06-01'); EXECUTE one (200); DEALLOCATE one;
DO $$ BEGIN INSERT INTO shop.lines VALUES (201, '2026-06-01'); UPDATE shop.lines SET amount = 0 WHERE id = 201; END $$;
CREATE FUNCTION add() RETURNS void LANGUAGE sql AS 'INSERT INTO shop.lines VALUES (202, ''2026-06-02'')'; SELECT add();
CREATE PROCEDURE add_two() LANGUAGE plpgsql AS 'BEGIN INSERT INTO shop.lines VALUES (203); COMMIT; INSERT INTO shop.lines VALUES (204); END'; CALL add_two();
SELECT * FROM noted();
-- L2: what changes no row leaves none
UPDATE lines SET amount = 0 WHERE false; DELETE FROM lines WHERE id = -1; INSERT INTO lines SELECT * FROM lines WHERE false; SELECT count(*) FROM noted();
-- D14: dates that no timestamp holds, and the ends of time
INSERT INTO lines VALUES (300, 'infinity'), (301, '4714-11-24 BC'); INSERT INTO lines VALUES (302, '5874897-12-31'); INSERT INTO lines VALUES (303, '-infinity');
SELECT touched_from::text, touched_to::text FROM kpi.data_change ORDER BY changed_at OFFSET (SELECT count FROM seen);
SELECT count(*) FROM noted();

-- D4: TRUNCATE of one, of several, by cascade
CREATE TABLE notes (line int REFERENCES lines ON UPDATE CASCADE ON DELETE CASCADE, at timestamptz);
SELECT kpi.track('notes', 'at');
INSERT INTO notes VALUES (200, '2026-01-01 07:00+08'), (201, NULL);
TRUNCATE notes, seen; INSERT INTO seen SELECT count(*) - 2 FROM kpi.data_change;
TRUNCATE lines RESTART IDENTITY CASCADE;
SELECT * FROM noted() ORDER BY 3 DESC, 1;
-- D8, D9: what foreign keys do; a deferred one at the end of the transaction
INSERT INTO lines SELECT i, '2026-01-01' FROM generate_series(1, 9) i; INSERT INTO notes SELECT i, '2026-07-01 00:00+08' FROM generate_series(1, 9) i;
DELETE FROM lines WHERE id < 4;
UPDATE lines SET id = id + 100 WHERE id < 6;
ALTER TABLE notes DROP CONSTRAINT notes_line_fkey, ADD FOREIGN KEY (line) REFERENCES lines ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
DELETE FROM lines WHERE id = 6;
CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE);
SELECT kpi.track('tree');
INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 3);
DELETE FROM tree WHERE id = 2;
SELECT * FROM noted();
-- D8: a row that triggers change again
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE shop.tree SET parent = NULL WHERE id = NEW.id; RETURN NULL; END $$;
CREATE TRIGGER again AFTER INSERT ON tree FOR EACH ROW EXECUTE FUNCTION again();
INSERT INTO tree VALUES (10, 1), (11, 1);
SELECT relation, operation, rows FROM noted();
DROP TRIGGER again ON tree;
-- D11: views, inheritance; a child that is named is recorded as itself
CREATE TABLE parent (a int, at timestamp); CREATE TABLE child (b int) INHERITS (parent);
SELECT kpi.track('parent', 'at');
CREATE VIEW both_of_them AS SELECT a, at FROM parent;
INSERT INTO both_of_them VALUES (1, '2026-01-01 10:00'); INSERT INTO child VALUES (2, '2026-01-02 11:00'); UPDATE both_of_them SET a = a + 1; DELETE FROM ONLY parent; TRUNCATE ONLY child;
SELECT * FROM noted();

-- E10: what is rolled back leaves no row, by whatever means
BEGIN; INSERT INTO lines VALUES (400); SAVEPOINT a; INSERT INTO lines VALUES (401); ROLLBACK TO a; INSERT INTO lines VALUES (402); SAVEPOINT b; INSERT INTO lines VALUES (403); RELEASE b; COMMIT;
BEGIN; INSERT INTO lines VALUES (404); ROLLBACK;
DO $$ BEGIN INSERT INTO shop.lines VALUES (405); BEGIN INSERT INTO shop.lines VALUES (406); PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END; END $$;
INSERT INTO lines VALUES (407), (407);
SELECT operation, rows, count(*) FROM noted() GROUP BY 1, 2;
SELECT string_agg(id::text, ' ' ORDER BY id) AS there FROM lines WHERE id >= 400;
-- L2: those of one transaction have its number
BEGIN; INSERT INTO lines VALUES (410); SAVEPOINT a; UPDATE lines SET amount = 1 WHERE id = 410; SELECT count(*) FROM kpi.data_change WHERE transaction = pg_current_xact_id(); COMMIT;
SELECT count(*) FROM noted();

-- D5: the replica role fires them, too; disabled triggers and dropped ones are recorded, and the table is complete again after kpi.track()
SET session_replication_role = replica; INSERT INTO lines VALUES (420, '2026-01-01'); RESET session_replication_role;
ALTER TABLE lines DISABLE TRIGGER USER; INSERT INTO lines VALUES (421); ALTER TABLE lines ENABLE TRIGGER ALL; SET session_replication_role = replica; INSERT INTO lines VALUES (422); RESET session_replication_role;
DROP TRIGGER kpi_track_insert ON lines; INSERT INTO lines VALUES (423);
SELECT kpi.track('lines', 'sold'); INSERT INTO lines VALUES (424, '2026-01-01');
SELECT * FROM noted();
-- D3: a type that changes with the values; one that does not touch them is not worth a row
ALTER TABLE lines ALTER amount TYPE bigint USING amount * 100; ALTER TABLE lines ADD note varchar(10); ALTER TABLE lines ALTER note TYPE text; ALTER TABLE tree SET UNLOGGED; ALTER TABLE tree SET LOGGED; ALTER TABLE lines ADD chance float8 DEFAULT random();
VACUUM FULL lines; CLUSTER lines USING lines_pkey; REINDEX TABLE lines;
SELECT * FROM noted();
-- D13: renames are followed; a time column that is gone leaves the range unknown
ALTER TABLE lines RENAME sold TO "sold On"; INSERT INTO lines VALUES (430, '2026-08-01'); ALTER TABLE lines RENAME TO "Lines"; ALTER SCHEMA shop RENAME TO "Shop"; INSERT INTO "Shop"."Lines" VALUES (431, '2026-08-02'); ALTER SCHEMA "Shop" RENAME TO shop;
SELECT relation, relation_name, touched_from::text FROM kpi.data_change ORDER BY changed_at DESC LIMIT 2;
ALTER TABLE "Lines" ALTER "sold On" TYPE text; INSERT INTO "Lines" VALUES (432, 'no date'); ALTER TABLE "Lines" DROP "sold On"; INSERT INTO "Lines" VALUES (433);
SELECT kpi.track('"Lines"', '"sold On"');
SELECT kpi.track('"Lines"'); INSERT INTO "Lines" VALUES (434); ALTER TABLE "Lines" RENAME TO lines;
SELECT * FROM noted();
-- H8: another table of the same name is another table
SELECT kpi.untrack('tree'); DROP TABLE tree; CREATE TABLE tree (id int); INSERT INTO tree VALUES (1); SELECT count(*) FROM noted();

-- I9: who it was
CREATE FUNCTION raise() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'UPDATE shop.lines SET amount = 1 WHERE id = 420';
GRANT INSERT ON lines TO regress_kpi_loader;
SET application_name = 'nightly';
SET ROLE regress_kpi_loader; INSERT INTO shop.lines VALUES (500); SELECT raise(); RESET ROLE;
ALTER TABLE notes OWNER TO regress_kpi_other; GRANT DELETE, SELECT ON lines TO regress_kpi_loader;
INSERT INTO notes VALUES (500); SET ROLE regress_kpi_loader; DELETE FROM lines WHERE id = 500; RESET ROLE;
SELECT relation, command, operation, login = session_user AS session, role, application_name, client_address IS NULL AS local FROM kpi.data_change ORDER BY changed_at OFFSET (SELECT count FROM seen);
SELECT count(*) FROM noted();

-- what cannot be tracked, and by whom
CREATE VIEW v AS SELECT 1 AS a; CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE TEMP TABLE passing (a int); CREATE INDEX i ON lines (amount);
CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing; CREATE FOREIGN TABLE far (a int, at date) SERVER nowhere;
CREATE FUNCTION answer(role text, command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
  PERFORM set_config('role', role, true);
  BEGIN EXECUTE command; detail := 'ok';
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    detail := concat_ws(E'\n', SQLSTATE || ': ' || regexp_replace(SQLERRM, 'pg_temp_\d+', 'pg_temp'), 'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''));
  END;
  PERFORM set_config('role', 'none', true);
  RETURN detail;
END $$;
SELECT q AS arguments, answer(r, 'SELECT kpi.track(' || q || ')') FROM (VALUES ('postgres', $$NULL$$), ('postgres', $$'shop.v'$$), ('postgres', $$'shop.m'$$), ('postgres', $$'passing'$$), ('postgres', $$'shop.far'$$), ('postgres', $$'shop.i'$$),
  ('postgres', $$'pg_class'$$), ('postgres', $$'information_schema.sql_features'$$), ('postgres', $$'kpi.scope_grant'$$), ('postgres', $$'shop.nothing'$$), ('postgres', $$1::oid::regclass$$),
  ('postgres', $$'shop.lines', 'amount'$$), ('postgres', $$'shop.lines', 'xmin'$$), ('postgres', $$'shop.lines', 'Amount'$$), ('regress_kpi_loader', $$'shop.lines'$$)) t (r, q);
-- H5
SELECT answer(r, q) FROM (VALUES ('regress_kpi_loader', $$SELECT kpi.untrack('shop.lines')$$), ('postgres', $$SELECT kpi.untrack('shop.tree')$$), ('postgres', $$SELECT kpi.untrack(NULL)$$), ('regress_kpi_loader', 'SELECT FROM kpi.data_change_log'), ('regress_kpi_loader', 'SELECT FROM kpi.track_registry'),
  ('regress_kpi_loader', 'DELETE FROM kpi.data_change'), ('regress_kpi_loader', $$INSERT INTO kpi.data_change (relation_name) VALUES ('x')$$), ('postgres', 'DELETE FROM kpi.data_change'), ('regress_kpi_loader', 'SELECT kpi.record_change()'), ('postgres', 'SELECT kpi.follow_tracked()')) t (r, q);
-- H6: triggers of one's own that call it do nothing
CREATE TABLE mine (a int); ALTER TABLE mine OWNER TO regress_kpi_loader; GRANT TRIGGER ON lines TO regress_kpi_loader; SET ROLE regress_kpi_loader;
CREATE TRIGGER kpi_track_insert AFTER INSERT ON mine FOR EACH STATEMENT EXECUTE FUNCTION kpi.record_change(); CREATE TRIGGER b AFTER INSERT OR UPDATE ON mine FOR EACH ROW EXECUTE FUNCTION kpi.record_change();
CREATE TRIGGER c AFTER INSERT ON lines REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION kpi.record_change('x');
INSERT INTO mine VALUES (1); RESET ROLE; SELECT count(*) FROM noted();
INSERT INTO lines VALUES (600); SELECT operation, rows FROM noted();
DROP TRIGGER c ON lines;
-- H3: names of others are never called
CREATE FUNCTION shop.starts_with(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trojan''; END'; CREATE TABLE shop.pg_inherits (inhparent oid, inhrelid oid); CREATE TABLE shop.pg_attribute (a int);
SET search_path = shop, pg_catalog, public; SELECT kpi.untrack('lines'), kpi.track('lines'); INSERT INTO lines VALUES (601); ALTER TABLE lines DROP chance; DROP TRIGGER kpi_track_delete ON lines; SELECT kpi.track('lines');
SELECT operation, rows FROM noted(); DROP TABLE shop.pg_inherits, shop.pg_attribute;
-- untracked: nothing is recorded and nothing stays behind
SELECT kpi.untrack('lines'), kpi.untrack('notes'), kpi.untrack('parent'); INSERT INTO lines VALUES (700); INSERT INTO child VALUES (1); SELECT count(*) FROM noted();
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgfoid = 'kpi.record_change'::regproc ORDER BY 1, 2;
SELECT kpi.track('parent'); DROP TABLE child, parent CASCADE; DROP FOREIGN DATA WRAPPER nothing CASCADE;
SELECT count(*) AS registered FROM kpi.track_registry;
DROP SCHEMA shop CASCADE;
DROP ROLE regress_kpi_loader, regress_kpi_other;
