-- A1 to A3, A7, A8, A10, A17, A18, H3, H4, H10: hidden rows do not show by functions, casts, operators, statistics and messages, by
-- partitions old and new, nor by views; and what owners hang on their tables runs with nobody else's rights.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO PUBLIC', current_database()); END $$;		-- dimensions' names are global
CREATE SCHEMA shop;
SET search_path = shop, kpi, public;
CREATE ROLE regress_kpi_owner;
CREATE ROLE regress_kpi_clerk;
CREATE ROLE regress_kpi_evil;
GRANT ALL ON SCHEMA shop TO PUBLIC;
CREATE TABLE stores (store_id int PRIMARY KEY, region text);
INSERT INTO stores SELECT i, 'East' FROM generate_series(1, 12) i;
-- of store 3, the clerk's own, codes are numbers and amounts positive; of the others they are what breaks a careless plan
CREATE TABLE orders (id int PRIMARY KEY, store_id int NOT NULL, code text, amount int CHECK (amount <> 5));
INSERT INTO orders SELECT i, 1 + i % 12, CASE WHEN i % 12 = 2 THEN i::text ELSE 'hidden ' || i END, CASE WHEN i % 12 = 2 THEN i + 10 ELSE 0 END FROM generate_series(1, 600) i;
CREATE INDEX ON orders (amount);
CREATE STATISTICS together (mcv) ON store_id, code FROM orders;
CREATE TABLE days (store_id int, day int, secret text) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (10);
CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (10) TO (20) PARTITION BY LIST (store_id);
CREATE TABLE days_2_3 PARTITION OF days_2 FOR VALUES IN (3);
CREATE TABLE days_2_rest PARTITION OF days_2 DEFAULT;
CREATE TABLE base (store_id int);
CREATE TABLE heir (extra int) INHERITS (base);
INSERT INTO days SELECT 1 + i % 12, i % 20, 's' || i FROM generate_series(1, 240) i;
INSERT INTO heir SELECT i, i FROM generate_series(1, 12) i;
INSERT INTO base SELECT i FROM generate_series(1, 12) i;
ANALYZE;
SELECT format('ALTER TABLE %s OWNER TO regress_kpi_owner', oid::regclass) FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname \gexec
SET ROLE regress_kpi_owner;
SELECT create_dimension('store', 'shop.stores', 'store_id', '{region}'), protect('shop.orders', 'store', 'store_id', 'all'), protect('shop.days', 'store', 'store_id'), protect('shop.base', 'store', 'store_id');
SELECT grant_scope('regress_kpi_clerk', 'store', members => '{3}');
SELECT create_metric('shop.revenue', 'SELECT sum(amount) FROM shop.orders'), create_metric('shop.codes', 'SELECT sum(code::int) FROM shop.orders'), create_metric_view('shop.sales', '{id, store_id, code, amount}', '{shop.revenue, shop.codes}');
GRANT ALL ON ALL TABLES IN SCHEMA shop TO regress_kpi_clerk;
RESET ROLE;

-- A1: a cheap function that tells what it is given is given no hidden row, wherever it stands
CREATE FUNCTION f_leak(int) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN IF $1 IS DISTINCT FROM 3 THEN RAISE WARNING 'leaked %', $1; END IF; RETURN true; END $$;
SET ROLE regress_kpi_clerk;
SELECT count(*) FROM orders WHERE f_leak(store_id);
SELECT count(*) FROM orders WHERE f_leak(store_id) AND id BETWEEN 1 AND 24 AND store_id IN (2, 3, 4);
SELECT count(*) FROM days WHERE f_leak(store_id);
SELECT count(*) FROM stores s JOIN orders o ON f_leak(o.store_id) AND s.store_id = o.store_id;
SELECT count(*) FROM stores s LEFT JOIN orders o ON s.store_id = o.store_id AND f_leak(o.store_id);
SELECT measure(revenue), count(*) FROM sales WHERE f_leak(store_id);
SELECT measure(revenue) FILTER (WHERE f_leak(store_id)) FROM sales;
SELECT sum(CASE WHEN f_leak(store_id) THEN revenue END) FROM sales;
SELECT store_id, measure(revenue) FROM sales GROUP BY store_id HAVING f_leak(store_id) ORDER BY f_leak(store_id);
SELECT count(*) FROM (SELECT * FROM sales OFFSET 0) s WHERE f_leak(store_id);
SELECT count(*) FROM sales s WHERE EXISTS (SELECT FROM orders o WHERE f_leak(o.store_id) AND o.id = s.id);
BEGIN;
WITH u AS (UPDATE orders SET amount = amount WHERE f_leak(store_id) RETURNING 1) SELECT count(*) AS updated FROM u;
WITH d AS (DELETE FROM orders WHERE f_leak(store_id) RETURNING f_leak(store_id)) SELECT count(*) AS deleted FROM d;
ROLLBACK;
-- A2: casts, divisions, patterns and the built-in functions that tell their argument do not fail by a hidden row
SELECT count(*) FROM orders WHERE code::int > 0;
SELECT measure(codes), sum(codes) FROM sales WHERE 1000 / amount > 0;
SELECT count(*) FROM sales WHERE sqrt(amount - 11) >= 0 AND ('{"' || code || '": 1}')::json IS NOT NULL;
SELECT count(*) FROM orders WHERE ln(amount) > 0 OR code ~ ('(' || code);
-- A3: an operator that leaks, with an estimator that feeds it statistics, learns nothing at planning; statistics are not shown
CREATE FUNCTION op_leak(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN IF $1 = 0 OR $2 = 0 AND $1 < 10 THEN RAISE WARNING 'leaked %', $1; END IF; RETURN $1 < $2; END $$;
CREATE OPERATOR <<< (procedure = op_leak, leftarg = int, rightarg = int, restrict = scalarltsel);
SELECT count(*) FROM orders WHERE amount <<< 1000;
SELECT count(*) FROM sales WHERE amount <<< 1000 AND store_id <<< 100;
SELECT (SELECT count(*) FROM pg_stats WHERE schemaname = 'shop' AND tablename IN ('orders', 'days', 'days_1')) AS stats, (SELECT count(*) FROM pg_stats_ext WHERE statistics_schemaname = 'shop') AS stats_ext,
  (SELECT count(*) FROM pg_stats WHERE schemaname = 'kpi') AS stats_of_scopes;
-- A17: messages do not show hidden rows, nor the row that failed
\set VERBOSITY default
INSERT INTO orders VALUES (1, 3, 'x', 1);
INSERT INTO orders VALUES (1000, 3, 'x', 5);
UPDATE orders SET store_id = 4 WHERE id = 2;
RESET ROLE;

-- A7: each partition and child, read by its own name, obeys like its parent
SET ROLE regress_kpi_clerk;
SELECT DISTINCT tableoid::regclass, store_id FROM days UNION SELECT 'days_1'::regclass, store_id FROM days_1 UNION SELECT 'days_2'::regclass, store_id FROM days_2 UNION SELECT 'days_2_3'::regclass, store_id FROM days_2_3 UNION SELECT 'days_2_rest'::regclass, store_id FROM days_2_rest
UNION SELECT 'base'::regclass, store_id FROM base UNION SELECT 'heir'::regclass, store_id FROM heir UNION SELECT 'heir'::regclass, store_id FROM ONLY base ORDER BY 1, 2;
-- and so do those that come later: made, attached with rows in them, with partitions of their own, by inheritance, in a schema of another's
RESET ROLE;
SET ROLE regress_kpi_owner;
CREATE TABLE days_3 PARTITION OF days FOR VALUES FROM (20) TO (30);
CREATE TABLE days_4 (store_id int, day int, secret text);
CREATE TABLE days_5 (store_id int, day int, secret text) PARTITION BY LIST (store_id);
CREATE TABLE days_5_3 PARTITION OF days_5 FOR VALUES IN (3);
CREATE TABLE days_5_rest PARTITION OF days_5 DEFAULT;
INSERT INTO days SELECT i, 25 FROM generate_series(1, 12) i;
INSERT INTO days_4 SELECT i, 35 FROM generate_series(1, 12) i;
INSERT INTO days_5 SELECT i, 45 FROM generate_series(1, 12) i;
ALTER TABLE days ATTACH PARTITION days_4 FOR VALUES FROM (30) TO (40);
ALTER TABLE days ATTACH PARTITION days_5 FOR VALUES FROM (40) TO (50);
CREATE TABLE heir_2 (LIKE base);
INSERT INTO heir_2 SELECT i FROM generate_series(1, 12) i;
ALTER TABLE heir_2 INHERIT base;
CREATE TABLE heir_3 () INHERITS (base);
INSERT INTO heir_3 SELECT i FROM generate_series(1, 12) i;
CREATE TABLE heir_4 () INHERITS (heir);
INSERT INTO heir_4 SELECT i FROM generate_series(1, 12) i;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO regress_kpi_clerk;
RESET ROLE;
SET ROLE regress_kpi_clerk;
SELECT 'days_3'::regclass, array_agg(DISTINCT store_id) FROM days_3 UNION ALL SELECT 'days_4', array_agg(DISTINCT store_id) FROM days_4 UNION ALL SELECT 'days_5', array_agg(DISTINCT store_id) FROM days_5 UNION ALL SELECT 'days_5_3', array_agg(DISTINCT store_id) FROM days_5_3
UNION ALL SELECT 'days_5_rest', array_agg(DISTINCT store_id) FROM days_5_rest UNION ALL SELECT 'heir_2', array_agg(DISTINCT store_id) FROM heir_2 UNION ALL SELECT 'heir_3', array_agg(DISTINCT store_id) FROM heir_3 UNION ALL SELECT 'heir_4', array_agg(DISTINCT store_id) FROM heir_4;
SELECT array_agg(DISTINCT store_id) FROM days;
RESET ROLE;
-- nobody is told of a hole where there is none
SELECT * FROM kpi.check();
-- a partition that leaves keeps what it had; a foreign table, which PostgreSQL cannot protect, does not come in, or is told of
ALTER TABLE days DETACH PARTITION days_4;
SET ROLE regress_kpi_clerk;
SELECT array_agg(DISTINCT store_id) FROM days_4;
RESET ROLE;
CREATE FOREIGN DATA WRAPPER regress_kpi_fdw;
CREATE SERVER regress_kpi_server FOREIGN DATA WRAPPER regress_kpi_fdw;
CREATE FOREIGN TABLE days_6 PARTITION OF days FOR VALUES FROM (50) TO (60) SERVER regress_kpi_server;
SELECT to_regclass('days_6') IS NULL OR EXISTS (SELECT FROM kpi.check() WHERE object = 'shop.days_6') AS refused_or_told;
DROP FOREIGN DATA WRAPPER regress_kpi_fdw CASCADE;
-- unprotect reaches all of them
SELECT unprotect('shop.days', 'store'), unprotect('shop.base', 'store');
SELECT c.oid::regclass, relrowsecurity, relforcerowsecurity, array_agg(polname ORDER BY polname) FROM pg_class c LEFT JOIN pg_policy ON polrelid = c.oid WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'p') AND (relrowsecurity OR relforcerowsecurity OR polname IS NOT NULL) GROUP BY 1, 2, 3 ORDER BY 1;

-- S4, A8: a metric view, and a metric, of one who is not bound by row security, on whatever road
CREATE ROLE regress_kpi_free BYPASSRLS;
CREATE VIEW v1 AS TABLE orders;
CREATE VIEW v2 AS SELECT * FROM v1 WHERE amount > 0;
CREATE VIEW v3 AS SELECT id, store_id, amount FROM (SELECT * FROM v2) x;
CREATE VIEW v_invoker WITH (security_invoker) AS TABLE orders;
CREATE VIEW v_within AS SELECT store_id, (SELECT sum(amount) FROM orders) AS amount FROM stores;
CREATE VIEW v_cte AS WITH c AS (TABLE orders) SELECT * FROM c UNION ALL SELECT * FROM v_invoker;
CREATE MATERIALIZED VIEW m1 AS TABLE orders;
CREATE VIEW v_mat AS TABLE m1;
GRANT SELECT ON v1, v2, v3, v_invoker, v_within, v_cte, m1, v_mat, orders TO regress_kpi_owner, regress_kpi_free;
ALTER VIEW v1 OWNER TO regress_kpi_free;
ALTER VIEW v3 OWNER TO regress_kpi_owner;
ALTER VIEW v_mat OWNER TO regress_kpi_owner;
ALTER MATERIALIZED VIEW m1 OWNER TO regress_kpi_owner;
CREATE FUNCTION answer(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
  EXECUTE command;
  RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n', SQLSTATE || ': ' || SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
SET ROLE regress_kpi_owner;
SELECT source, answer(format('SELECT create_metric(%L, %L)', 'shop.m_' || source, 'SELECT sum(amount) FROM shop.' || source)) AS metric FROM unnest('{orders,v_invoker,v1,v2,v3,v_within,v_cte,m1,v_mat}'::text[]) source;
-- metrics that were there before the table was protected are told of, and no metric view is made with them
SELECT unprotect('shop.orders', 'store');
SELECT count(create_metric('shop.m_' || source, 'SELECT sum(amount) FROM shop.' || source)) FROM unnest('{v1,v2,v3,v_within,v_cte,m1,v_mat}'::text[]) source;
SELECT protect('shop.orders', 'store', 'store_id', 'all');
SELECT source, answer(format('SELECT create_metric_view(%L, ''{store_id}'', ARRAY[%L])', 'shop.mv_' || source, 'shop.m_' || source)) AS metric_view FROM unnest('{orders,v_invoker,v1,v2,v3,v_within,v_cte,m1,v_mat}'::text[]) source;
RESET ROLE;
SELECT object, problem FROM kpi.check();
SELECT count(drop_metric('shop.m_' || source)) FROM unnest('{v1,v2,v3,v_within,v_cte,m1,v_mat}'::text[]) source;
RESET ROLE;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO regress_kpi_free;
SET ROLE regress_kpi_free;
SELECT answer($$SELECT create_metric_view('shop.free', '{store_id}', '{shop.m_orders}')$$) AS bypassrls, answer($$SELECT create_metric_view('shop.free', '{store_id}', '{shop.m_v_invoker}')$$) AS through_invoker;
RESET ROLE;
SELECT answer($$SELECT create_metric_view('shop.free', '{store_id}', '{shop.m_orders}')$$) AS superuser;
-- A18: holes that come later are told of, and none but those
SELECT object, problem FROM kpi.check();
ALTER VIEW mv_orders OWNER TO regress_kpi_free;
ALTER VIEW sales OWNER TO CURRENT_USER;
ALTER VIEW mv_v_invoker SET (security_invoker = off);
ALTER VIEW v_invoker SET (security_invoker = off);
SELECT object, problem FROM kpi.check();
ALTER VIEW mv_orders OWNER TO regress_kpi_owner;
ALTER VIEW sales OWNER TO regress_kpi_owner;
ALTER VIEW v_invoker SET (security_invoker = on);
ALTER ROLE regress_kpi_owner BYPASSRLS;
SELECT count(*) > 0 AS told, bool_and(problem LIKE '%role "regress_kpi_owner" bypasses row security of shop.orders%') AS so FROM kpi.check();
ALTER ROLE regress_kpi_owner NOBYPASSRLS;
-- the metric itself is a view, too: one of a superuser would show the total of all rows
SELECT create_metric('shop.everything', 'SELECT sum(amount) FROM shop.orders');
SET ROLE regress_kpi_clerk;
SELECT r.revenue IS NOT DISTINCT FROM (SELECT sum(amount) FROM orders) AS own_total FROM revenue r;
RESET ROLE;
SELECT to_regclass('everything') IS NULL OR EXISTS (SELECT FROM kpi.check() WHERE object = 'shop.everything') AS refused_or_told;

-- H10: what the owner of a dimension's table hangs on it runs as that owner, also when others read or check
CREATE SCHEMA evil AUTHORIZATION regress_kpi_evil;
CREATE TABLE victim (secret text, region text);
INSERT INTO victim VALUES ('s1', 'r');
SET SESSION AUTHORIZATION regress_kpi_evil;
CREATE FUNCTION evil.who(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF current_user <> 'regress_kpi_evil' THEN RAISE WARNING 'running as %', current_user; END IF; RETURN $1; END $$;
CREATE DOMAIN evil.d AS text CHECK (evil.who(VALUE) IS NOT NULL);
CREATE TABLE evil.folded (k text, region text, CHECK (evil.who('c') || region <> 'z'));
INSERT INTO evil.folded VALUES ('a', 'r');
CREATE INDEX ON evil.folded ((evil.who('x') || region)) WHERE evil.who('y') || k <> 'z';
CREATE TABLE evil.checked (k evil.d, region evil.d);
CREATE TABLE evil.turned (k text, region text);
CREATE TABLE evil.pointed (k text, region text);
SELECT kpi.create_dimension('evil_' || t, ('evil.' || t)::regclass, 'k', '{region}') FROM unnest('{folded,checked,turned,pointed}'::text[]) t;
SELECT kpi.grant_scope(role, 'evil_' || t, 'region', '{r}'), kpi.grant_scope(role, 'evil_' || t, members => '{a}') FROM unnest('{folded,checked,turned,pointed}'::text[]) t, unnest('{regress_kpi_evil,regress_kpi_clerk}'::text[]) role;
DROP TRIGGER evil_turned_dimension ON evil.turned; DROP TRIGGER evil_turned_dimension_row ON evil.turned;
VACUUM evil.turned;
CREATE RULE "_RETURN" AS ON SELECT TO evil.turned DO INSTEAD SELECT evil.who('v') AS k, 'r'::text AS region;
-- nor does the dimension read what its owner may not: its view turned to the table of another
CREATE OR REPLACE VIEW evil.evil_pointed_dimension AS SELECT secret AS k, region FROM shop.victim;
SELECT kpi.in_scope('evil_folded', 'a'::text);
SELECT kpi.in_scope('evil_checked', 'a'::text);
SELECT kpi.in_scope('evil_turned', 'a'::text);
SELECT kpi.in_scope('evil_pointed', 's1'::text), kpi.in_scope('evil_pointed', 's2'::text);
SET SESSION AUTHORIZATION regress_kpi_clerk;
SELECT kpi.in_scope('evil_folded', 'a'::text);
SELECT kpi.in_scope('evil_checked', 'a'::text);
SELECT kpi.in_scope('evil_turned', 'a'::text);
SELECT kpi.in_scope('evil_pointed', 's1'::text);
-- H3: nor the operators and names that the reader puts before PostgreSQL's
RESET SESSION AUTHORIZATION;
GRANT ALL ON SCHEMA evil TO regress_kpi_clerk;
SET SESSION AUTHORIZATION regress_kpi_clerk;
CREATE FUNCTION evil.yes(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION evil.yes(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR evil.= (procedure = evil.yes, leftarg = int, rightarg = int);
CREATE OPERATOR evil.= (procedure = evil.yes, leftarg = text, rightarg = text);
CREATE FUNCTION evil.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS 'SELECT i::text FROM generate_series(1, 12) i';
CREATE FUNCTION evil.statement_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT timestamptz ''-infinity''';
CREATE TEMP TABLE stores AS SELECT i AS store_id, 'East' AS region FROM generate_series(1, 12) i;
CREATE TEMP TABLE scope_grant AS SELECT 0;
SET search_path = evil, pg_temp, pg_catalog, shop, kpi;
SELECT count(*), min(store_id), max(store_id), bool_and(in_scope((SELECT 'store'), store_id)), bool_or(in_scope((SELECT 'store'), 4)) FROM shop.orders;
RESET SESSION AUTHORIZATION;
DROP TABLE pg_temp.stores, pg_temp.scope_grant;
SET search_path = shop, kpi, public;
-- the DBA's check runs none of it, and tells of what cannot be read
SELECT object, problem FROM kpi.check() WHERE object LIKE '%evil%' ORDER BY 1, 2;

DROP SCHEMA shop, evil CASCADE;
SELECT kpi.drop_dimension(name) FROM kpi.scope_dimensions;
SELECT count(*) FROM kpi.scopes;
DROP ROLE regress_kpi_owner, regress_kpi_clerk, regress_kpi_evil, regress_kpi_free;
DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM PUBLIC', current_database()); END $$;
