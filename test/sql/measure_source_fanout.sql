-- M11, last sentence: joins inside the views that metrics read are proven at definition; kpi.check() tells, until they are accepted
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
CREATE ROLE regress_kpi_stranger;
CREATE SCHEMA sf; SET search_path = sf, kpi, public;
CREATE TABLE orders (id int PRIMARY KEY, cust int, amount numeric, price numeric, qty int);
CREATE TABLE payments (id int PRIMARY KEY, order_id int, paid numeric);
CREATE TABLE cust (id int PRIMARY KEY, name text);
INSERT INTO orders VALUES (1, 1, 100, 10, 10), (2, 1, 50, 5, 10);
INSERT INTO payments VALUES (1, 1, 60), (2, 1, 40), (3, 2, 50);
CREATE VIEW by_key AS SELECT o.*, c.name FROM orders o LEFT JOIN cust c ON c.id = o.cust;
CREATE VIEW repeating AS SELECT o.*, p.paid FROM orders o LEFT JOIN payments p ON p.order_id = o.id;
CREATE VIEW deep AS SELECT r.*, c.name FROM repeating r JOIN cust c ON c.id = r.cust;
CREATE VIEW grouped AS SELECT cust, sum(amount) AS amount, sum(paid) AS paid FROM repeating GROUP BY cust;
CREATE VIEW grouped_first AS SELECT o.*, p.paid FROM orders o LEFT JOIN (SELECT order_id, sum(paid) AS paid FROM payments GROUP BY 1) p ON p.order_id = o.id;
CREATE VIEW one_branch AS SELECT amount FROM orders UNION ALL SELECT amount FROM repeating;
CREATE VIEW in_with AS WITH r AS (SELECT * FROM repeating) SELECT amount FROM r;
CREATE VIEW crossed AS SELECT a.amount FROM orders a, orders b;
CREATE VIEW existing AS SELECT amount FROM orders o WHERE EXISTS (SELECT FROM payments p WHERE p.order_id = o.id);

-- not a word: the rows of what is summed are not repeated, or that does not matter
SELECT create_metric('a1', 'SELECT sum(amount) FROM by_key'), create_metric('a2', 'SELECT sum(paid) FROM repeating'),
       create_metric('a3', 'SELECT max(amount) FROM repeating'), create_metric('a4', 'SELECT count(*) FROM repeating'),
       create_metric('a5', 'SELECT sum(amount) FROM grouped_first'), create_metric('a6', 'SELECT sum(amount * paid) FROM repeating'),
       create_metric('a7', 'SELECT count(DISTINCT id) FROM repeating'), create_metric('a8', 'SELECT sum(paid) FROM grouped'),
       create_metric('a9', 'SELECT sum(amount) FROM orders'), create_metric('a10', 'SELECT sum(amount) FROM existing'),
       create_metric('a11', 'SELECT a9 / nullif(a4, 0) FROM a9, a4');
SELECT * FROM kpi.check();
-- a warning each
SELECT create_metric('b1', 'SELECT sum(amount) FROM repeating');
SELECT create_metric('b2', 'SELECT avg(price) FROM deep');
SELECT create_metric('b3', 'SELECT sum(amount) FROM grouped');
SELECT create_metric('b4', 'SELECT sum(amount) FROM one_branch');
SELECT create_metric('b5', 'SELECT sum(amount) / count(paid) FROM repeating');
SELECT create_metric('b6', 'SELECT sum(amount) FROM in_with');
SELECT create_metric('b7', 'SELECT sum(amount) FROM crossed');
SELECT create_metric('b8', 'SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) FROM repeating');
-- and it is true
SELECT a9, b1 FROM a9, b1;
SELECT * FROM kpi.check();
-- accepted by the view's owner, with a reason, as it is now
SET ROLE regress_kpi_stranger;
SELECT kpi.accept_fanout('sf.repeating', 'because');
RESET ROLE;
GRANT USAGE ON SCHEMA sf TO regress_kpi_stranger; SET ROLE regress_kpi_stranger;
SELECT kpi.accept_fanout('sf.repeating', 'because');
RESET ROLE;
SELECT accept_fanout('orders', 'a table'), accept_fanout(NULL, 'nothing');
SELECT accept_fanout(NULL, 'nothing');
SELECT accept_fanout('repeating', 'amounts are divided by payments elsewhere'), accept_fanout('crossed', 'one row');
SELECT relid, reason, accepted_by = session_user FROM kpi.accepted_fanout ORDER BY 1;
SELECT alter_metric('b1', definition => 'SELECT sum(amount) + 0 FROM repeating');
SELECT * FROM kpi.check();
ALTER TABLE payments RENAME COLUMN paid TO settled; ALTER TABLE payments RENAME TO settlements;
SELECT * FROM kpi.check();
ALTER TABLE settlements RENAME COLUMN settled TO paid; ALTER TABLE settlements RENAME TO payments;
CREATE OR REPLACE VIEW repeating AS SELECT o.*, p.paid FROM orders o LEFT JOIN payments p ON p.order_id = o.id AND p.paid > 0;
SELECT object FROM kpi.check();
SELECT accept_fanout('repeating', 'still'); SELECT count(*) FROM kpi.check();
SELECT accept_fanout('repeating', ''); SELECT count(*) FROM kpi.check();
-- S9: views that double at each level are given up, not walked; what is locked is not waited for
CREATE VIEW d0 AS SELECT amount FROM orders;
DO $$ BEGIN FOR i IN 1..12 LOOP EXECUTE format('CREATE VIEW d%s AS SELECT a.amount FROM d%s a, d%s b', i, i - 1, i - 1); END LOOP; END $$;
SET statement_timeout = '20s';
SELECT create_metric('b9', 'SELECT sum(amount) FROM d12');
RESET statement_timeout;
DROP VIEW repeating CASCADE;
SELECT relid FROM kpi.accepted_fanout;
DROP SCHEMA sf CASCADE;
DROP ROLE regress_kpi_stranger;
