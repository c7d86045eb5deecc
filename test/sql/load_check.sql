-- L2: what triggers cannot see, and what has come out of step, is told by kpi.check(), with a remedy that mends it. D2, D3, D5, D6,
-- D11, D13, G9, H8.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET TIME ZONE 'UTC';
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE FUNCTION found(OUT severity text, OUT object text, OUT problem text, OUT remedy text) RETURNS SETOF record LANGUAGE sql AS $$
  SELECT severity, regexp_replace(object, '^\d+$', 'N'), regexp_replace(problem, ' at .*: ', ' at T: '), regexp_replace(remedy, '\d{3,}', 'N') FROM kpi.check()
  WHERE problem !~ 'lineage' AND object ~* 'load|^\d+$|kpi_follow' $$;
-- runs every remedy that there is, and says what is found then
CREATE FUNCTION mended() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  FOR r IN SELECT DISTINCT c.remedy FROM kpi.check() c WHERE c.object ~* 'load|^\d+$|kpi_follow' AND c.remedy IS NOT NULL ORDER BY 1 LOOP EXECUTE r; END LOOP;
  RETURN QUERY SELECT f::text FROM shop.found() f;
END $$;
CREATE TABLE loaded (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE loaded_1 PARTITION OF loaded FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE "Load it" (id int, "the Day" timestamp);
SELECT kpi.track('loaded', 'at'), kpi.track('"Load it"', 'the Day');
SELECT * FROM found();
-- D5: triggers that are disabled, dropped, or fire only here
ALTER TABLE loaded_1 DISABLE TRIGGER kpi_track_update; DROP TRIGGER kpi_track_delete ON loaded; ALTER TABLE "Load it" ENABLE TRIGGER kpi_track_insert;
SELECT * FROM found();
SELECT * FROM mended();
-- D2, D3: attached, rewritten
CREATE TABLE loaded_2 (id int, at date); INSERT INTO loaded_2 VALUES (1, '2026-02-02'); ALTER TABLE loaded ATTACH PARTITION loaded_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
ALTER TABLE "Load it" ALTER id TYPE bigint USING id * 2; ALTER TABLE loaded DETACH PARTITION loaded_1; DROP TABLE loaded_2;
SELECT * FROM found();
SELECT * FROM mended();
-- TRUNCATE has a trigger of its own and is no surprise
TRUNCATE loaded; SELECT * FROM found();
-- D13: the time column is gone, or holds something else
ALTER TABLE "Load it" ALTER "the Day" TYPE text; SELECT * FROM found(); ALTER TABLE "Load it" DROP "the Day"; SELECT severity, problem FROM found() WHERE severity = 'error'; SELECT * FROM mended();
-- D11: unlogged tables
ALTER TABLE "Load it" SET UNLOGGED; SELECT * FROM found(); SELECT * FROM mended();
-- D6: a subscription writes to it
CREATE SUBSCRIPTION regress_kpi_loads CONNECTION 'dbname=nowhere' PUBLICATION nothing WITH (connect = false);
INSERT INTO pg_subscription_rel SELECT oid, '"Load it"'::regclass, 'i' FROM pg_subscription WHERE subname = 'regress_kpi_loads';
SELECT * FROM found();
ALTER SUBSCRIPTION regress_kpi_loads SET (slot_name = NONE); DROP SUBSCRIPTION regress_kpi_loads;
-- H7, H8: event triggers that are off, and what they missed
ALTER EVENT TRIGGER kpi_follow_dropped DISABLE; ALTER EVENT TRIGGER kpi_follow_tracked DISABLE; CREATE TABLE loaded_3 PARTITION OF loaded FOR VALUES FROM ('2026-03-01') TO ('2026-04-01'); DROP TABLE "Load it";
SELECT * FROM found();
SELECT * FROM mended();
SELECT relid FROM kpi.track_registry;
-- the remedies need their owner's rights and nothing else
SELECT kpi.untrack('loaded'); SELECT * FROM found();
DROP SCHEMA shop CASCADE;
