-- L2: partitions of a tracked table are tracked whatever statement names them, as they come and go, and what no trigger sees is
-- recorded. D1, D2, D10, D11, D13, H5, H7.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET TIME ZONE 'UTC';
SET datestyle = 'ISO, MDY';
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE ROLE regress_kpi_owner;
CREATE ROLE regress_kpi_other;
GRANT ALL ON SCHEMA shop TO PUBLIC;
CREATE TABLE seen (count bigint);
INSERT INTO seen SELECT count(*) FROM kpi.data_change;
CREATE FUNCTION noted(OUT relation text, OUT command text, OUT operation text, OUT rows bigint, OUT touched text) RETURNS SETOF record LANGUAGE sql AS $$
  WITH looked AS (UPDATE shop.seen SET count = (SELECT count(*) FROM kpi.data_change) RETURNING count)
  SELECT relation_name, command, operation, rows, touched_from::date || coalesce(' to ' || nullif(touched_to, touched_from)::date, '')
  FROM kpi.data_change ORDER BY changed_at, operation OFFSET (SELECT count FROM shop.seen) $$;
-- how many of the triggers a table has that always fire
CREATE VIEW watched AS SELECT tgrelid::regclass AS relation, count(*) FILTER (WHERE tgenabled = 'A') AS triggers FROM pg_trigger WHERE tgfoid = 'kpi.record_change'::regproc GROUP BY 1;

CREATE TABLE sales (id int, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE sales_1 PARTITION OF sales FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE sales_2 PARTITION OF sales FOR VALUES FROM ('2026-02-01') TO ('2026-04-01') PARTITION BY LIST (id);
CREATE TABLE sales_2a (at date NOT NULL, dropped text, id int NOT NULL); ALTER TABLE sales_2a DROP dropped; ALTER TABLE sales_2 ATTACH PARTITION sales_2a DEFAULT;
SELECT kpi.track('sales', 'at');
SELECT * FROM watched ORDER BY 1;
-- D1: the root, a branch, a leaf; the column has another number there
INSERT INTO sales VALUES (1, '2026-01-05'), (2, '2026-02-05'); INSERT INTO sales_2 VALUES (3, '2026-03-03'); INSERT INTO sales_2a (id, at) VALUES (4, '2026-03-04'); UPDATE sales_1 SET id = id; DELETE FROM sales_2a WHERE id = 4;
COPY sales FROM stdin;
5	2026-01-07
6	2026-03-07
\.
-- D10: a row that moves
UPDATE sales SET at = '2026-03-15' WHERE id = 1;
MERGE INTO sales USING (VALUES (2), (7)) v (i) ON id = i WHEN MATCHED THEN UPDATE SET at = '2026-02-22' WHEN NOT MATCHED THEN INSERT VALUES (i, '2026-01-31');
SELECT * FROM noted();
-- D4: TRUNCATE of the root empties each of them
TRUNCATE sales; SELECT relation, operation, rows FROM noted() ORDER BY 1;
TRUNCATE sales_1; SELECT relation, operation FROM noted();

-- D2: partitions come: made, attached with rows, attached with partitions of their own, made by CREATE SCHEMA
CREATE TABLE sales_4 PARTITION OF sales FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
CREATE TABLE sales_5 (LIKE sales INCLUDING ALL) PARTITION BY LIST (id); CREATE TABLE sales_5a PARTITION OF sales_5 FOR VALUES IN (1); CREATE TABLE sales_5b PARTITION OF sales_5 DEFAULT; INSERT INTO sales_5 VALUES (1, '2026-05-05');
ALTER TABLE sales ATTACH PARTITION sales_5 FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
CREATE SCHEMA another CREATE TABLE sales_6 PARTITION OF shop.sales FOR VALUES FROM ('2026-06-01') TO ('2026-07-01');
INSERT INTO sales_4 VALUES (1, '2026-04-04'); INSERT INTO sales_5b VALUES (2, '2026-05-06'); INSERT INTO another.sales_6 VALUES (1, '2026-06-06');
SELECT * FROM noted();
SELECT * FROM watched ORDER BY 1;
-- they go: detached, concurrently, dropped, by cascade
ALTER TABLE sales DETACH PARTITION sales_5; INSERT INTO sales_5a VALUES (1, '2026-05-07');
ALTER TABLE sales DETACH PARTITION sales_4 CONCURRENTLY; INSERT INTO sales_4 VALUES (2, '2026-04-05');
DROP TABLE another.sales_6; ALTER TABLE sales_2 DETACH PARTITION sales_2a; INSERT INTO sales_2a (id, at) VALUES (9, '2026-03-09');
SELECT * FROM noted();
SELECT * FROM watched ORDER BY 1;
-- inheritance
CREATE TABLE parent (a int, at date); SELECT kpi.track('parent', 'at');
CREATE TABLE child (b int) INHERITS (parent); CREATE TABLE adopted (at date, a int); INSERT INTO adopted VALUES ('2026-01-01', 1); ALTER TABLE adopted INHERIT parent; INSERT INTO child VALUES (1, '2026-01-02'); INSERT INTO adopted VALUES ('2026-01-03', 1);
ALTER TABLE adopted NO INHERIT parent; INSERT INTO adopted VALUES ('2026-01-04', 1); DROP TABLE child;
SELECT * FROM noted();
-- D13: rename of the time column at the root, and a partition that is tracked by itself
ALTER TABLE sales RENAME at TO sold; SELECT kpi.track('sales_1', 'sold'); ALTER TABLE sales RENAME sold TO day; INSERT INTO sales_1 VALUES (1, '2026-01-11'); INSERT INTO sales VALUES (2, '2026-01-12');
SELECT kpi.untrack('sales'); INSERT INTO sales VALUES (3, '2026-01-13'); INSERT INTO sales_1 VALUES (4, '2026-01-14');
SELECT relation, operation, rows, touched FROM noted(); SELECT * FROM watched ORDER BY 1;
SELECT kpi.untrack('sales_1'), kpi.track('sales', 'day');

-- D11: a foreign partition. PostgreSQL would refuse what the root collects for it, so the root is no longer recorded, and nothing fails
CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE TABLE visits (id int, at date) PARTITION BY RANGE (at); CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2026-02-01'); SELECT kpi.track('visits', 'at');
CREATE FOREIGN TABLE visits_f PARTITION OF visits FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') SERVER files OPTIONS (program 'true');
SELECT * FROM watched WHERE relation::text LIKE 'visits%' ORDER BY 1;
INSERT INTO visits VALUES (11, '2026-01-15'); UPDATE visits SET id = id WHERE at > '2025-01-01'; INSERT INTO visits_1 VALUES (12, '2026-01-16');
SELECT relation, command, operation, rows FROM noted();
SELECT severity, object, regexp_replace(problem, 'at .*:', 'at T:') AS problem, remedy FROM kpi.check() WHERE object LIKE '%visits%';
SELECT kpi.track('visits', 'at');
ALTER TABLE visits DETACH PARTITION visits_f; SELECT * FROM watched WHERE relation::text LIKE 'visits%' ORDER BY 1;
DROP EXTENSION file_fdw CASCADE; SELECT relation, operation FROM noted(); DROP TABLE visits;

-- H5, H7: partitions of others are left alone and told of; nobody's command fails for it
ALTER TABLE sales OWNER TO regress_kpi_owner; ALTER TABLE sales_1 OWNER TO regress_kpi_owner; ALTER TABLE sales_2 OWNER TO regress_kpi_owner;
SET ROLE regress_kpi_owner; CREATE TABLE sales_7 PARTITION OF sales FOR VALUES FROM ('2026-07-01') TO ('2026-08-01'); RESET ROLE;
ALTER TABLE sales_7 OWNER TO regress_kpi_other;
SET ROLE regress_kpi_owner; ALTER TABLE sales DETACH PARTITION sales_7; SELECT kpi.untrack('sales'); SELECT kpi.track('sales', 'day'); RESET ROLE;
SELECT * FROM watched ORDER BY 1;
INSERT INTO sales_7 VALUES (1, '2026-07-07'); SELECT relation, operation FROM noted();
ALTER TABLE sales ATTACH PARTITION sales_7 FOR VALUES FROM ('2026-07-01') TO ('2026-08-01');
SET ROLE regress_kpi_owner; SELECT kpi.track('sales', 'day'); RESET ROLE;
-- H7: a recorder that fails warns, and the command goes on
ALTER TABLE kpi.track_registry RENAME TO elsewhere; CREATE TABLE shop.ordinary (a int); ALTER TABLE ordinary ADD b int; DROP TABLE ordinary; ALTER TABLE sales DETACH PARTITION sales_7; ALTER TABLE kpi.elsewhere RENAME TO track_registry;
SELECT to_regclass('shop.ordinary'), (SELECT count(*) FROM pg_inherits WHERE inhrelid = 'sales_7'::regclass) AS attached;
SELECT count(*) FROM noted();

DROP TABLE sales; SELECT relation IS NOT NULL AS relation, operation FROM noted() ORDER BY 2;
-- what goes with what it was part of is not told; what stays is told once a statement that it lost something
CREATE TABLE root (at date) PARTITION BY RANGE (at); CREATE TABLE mid PARTITION OF root FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY RANGE (at); CREATE TABLE other PARTITION OF root FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
CREATE TABLE another.leaf_1 PARTITION OF mid FOR VALUES FROM ('2026-01-01') TO ('2026-02-01'); CREATE TABLE another.leaf_2 PARTITION OF mid FOR VALUES FROM ('2026-02-01') TO ('2026-03-01'); CREATE TABLE leaf_3 PARTITION OF mid FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE kept (at date); CREATE TABLE heir () INHERITS (kept); CREATE TABLE heir_of_two () INHERITS (kept); CREATE TABLE second (at date); ALTER TABLE heir_of_two INHERIT second;
SELECT kpi.track('root', 'at'), kpi.track('kept', 'at'), kpi.track('second'); SELECT count(*) FROM noted();
BEGIN; DROP TABLE another.leaf_1; ROLLBACK; SELECT * FROM noted();
BEGIN; SAVEPOINT s; DROP TABLE another.leaf_1; ROLLBACK TO s; DROP TABLE leaf_3; COMMIT; SELECT * FROM noted();
DO $$BEGIN DROP TABLE another.leaf_1; PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN DROP TABLE heir; END$$; SELECT * FROM noted();
CREATE TABLE heir () INHERITS (kept);
DROP TABLE another.leaf_1, another.leaf_2; SELECT * FROM noted();
CREATE TABLE another.leaf_1 PARTITION OF mid FOR VALUES FROM ('2026-01-01') TO ('2026-02-01'); CREATE TABLE another.leaf_2 PARTITION OF mid FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
ALTER TABLE mid DETACH PARTITION another.leaf_2; DROP TABLE another.leaf_2; SELECT * FROM noted();
DROP TABLE mid; SELECT * FROM noted();
DROP TABLE heir_of_two; SELECT * FROM noted();
CREATE SCHEMA third; ALTER TABLE heir SET SCHEMA third; ALTER TABLE other SET SCHEMA third; DROP SCHEMA third CASCADE; SELECT * FROM noted();
CREATE TABLE heir () INHERITS (kept); CREATE TABLE other PARTITION OF root FOR VALUES FROM ('2027-01-01') TO ('2028-01-01'); SELECT count(*) FROM noted();
DROP TABLE root, kept CASCADE; SELECT * FROM noted(); SELECT relid FROM kpi.track_registry;
DROP SCHEMA shop, another CASCADE;
SELECT count(*) AS registered FROM kpi.track_registry;
DROP ROLE regress_kpi_owner, regress_kpi_other;
