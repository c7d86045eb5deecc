-- L2: who sees which changes: owners, readers of all rows, readers whose scopes hold all that was touched; and the loads behind
-- what is above a table. D13, H5, H8, S6.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET TIME ZONE 'UTC';
SET datestyle = 'ISO, MDY';
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO PUBLIC', current_database()); END $$;		-- dimensions' names are global
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE ROLE regress_kpi_owner;
CREATE ROLE regress_kpi_all;
CREATE ROLE regress_kpi_east;
CREATE ROLE regress_kpi_clerk;
CREATE ROLE regress_kpi_none;
CREATE ROLE regress_kpi_stranger;
CREATE ROLE regress_kpi_member IN ROLE regress_kpi_owner;
GRANT ALL ON SCHEMA shop TO PUBLIC;
CREATE TABLE started AS SELECT clock_timestamp() AS at; GRANT SELECT ON started TO PUBLIC;
-- the rows (numbers of rows touched, which tell the changes apart) that a role sees of a table's changes
CREATE FUNCTION sees(role text, tab text DEFAULT 'shop.sales') RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  PERFORM set_config('role', role, true);
  SELECT string_agg(coalesce(d.rows::text, d.operation), ' ' ORDER BY d.changed_at) INTO result FROM kpi.data_change d WHERE d.relation_name = tab AND d.changed_at > (SELECT at FROM shop.started);
  PERFORM set_config('role', 'none', true);
  RETURN result;
END $$;
CREATE TABLE stores (store_id int PRIMARY KEY, region text);
INSERT INTO stores SELECT i, CASE WHEN i <= 20 THEN 'East' ELSE 'West' END FROM generate_series(1, 40) i;
CREATE TABLE sales (id int, store_id smallint, channel text, sold date);
ALTER TABLE sales OWNER TO regress_kpi_owner; ALTER TABLE stores OWNER TO regress_kpi_owner;
GRANT SELECT, INSERT ON sales TO regress_kpi_all, regress_kpi_east, regress_kpi_clerk, regress_kpi_none;
SET ROLE regress_kpi_owner; SELECT kpi.track('shop.sales', 'sold'); RESET ROLE;
INSERT INTO sales SELECT i, 3, 'web', '2026-01-01' FROM generate_series(1, 1) i;
-- without row security: whoever may read the table, all of it
SELECT r AS role, sees(r) FROM unnest('{regress_kpi_owner,regress_kpi_member,regress_kpi_all,regress_kpi_stranger,postgres}'::text[]) r;
GRANT SELECT (id) ON sales TO regress_kpi_stranger; SELECT sees('regress_kpi_stranger') AS by_column;
-- with it, and a policy that is not of scopes: nobody but the owner
ALTER TABLE sales ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON sales USING (true); SELECT r AS role, sees(r) FROM unnest('{regress_kpi_owner,regress_kpi_all}'::text[]) r;
DROP POLICY p ON sales; SELECT sees('regress_kpi_all') AS no_policy; ALTER TABLE sales DISABLE ROW LEVEL SECURITY;

-- S6: scopes. What was recorded before the protection has no members: full scope only
SET ROLE regress_kpi_owner;
SELECT kpi.create_dimension('store', 'shop.stores', 'store_id', '{region}'), kpi.create_dimension('channel');
SELECT kpi.protect('shop.sales', 'store', 'store_id');
SELECT kpi.grant_scope('regress_kpi_all', 'store', members => '{*}'), kpi.grant_scope('regress_kpi_east', 'store', 'region', '{East}'), kpi.grant_scope('regress_kpi_clerk', 'store', members => '{3,30}');
RESET ROLE;
INSERT INTO sales SELECT i, 3, 'web', '2026-01-01' FROM generate_series(1, 2) i;                      -- the clerk's
INSERT INTO sales SELECT i, 3 + 27 * (i % 2), 'web', '2026-01-01' FROM generate_series(1, 3) i;       -- the clerk's, of both regions
INSERT INTO sales SELECT i, 1 + i % 2, 'web', '2026-01-01' FROM generate_series(1, 4) i;              -- East's
INSERT INTO sales SELECT i, 1 + i % 16, 'web', '2026-01-01' FROM generate_series(1, 32) i;            -- East's: 16 members
INSERT INTO sales SELECT i, 1 + i % 17, 'web', '2026-01-01' FROM generate_series(1, 34) i;            -- too many members
INSERT INTO sales SELECT i, CASE WHEN i > 1 THEN 3 END, 'web', '2026-01-01' FROM generate_series(1, 5) i;  -- some belong to nobody
UPDATE sales SET store_id = 30 WHERE store_id = 1;                                                    -- from East to the clerk
UPDATE sales SET store_id = 99 WHERE store_id = 30;                                                   -- to a store that is not there
DELETE FROM sales WHERE store_id = 99;
TRUNCATE sales;
SELECT operation, rows, members FROM kpi.data_change WHERE relation = 'sales'::regclass ORDER BY changed_at;
SELECT r AS role, sees(r) FROM unnest('{regress_kpi_owner,regress_kpi_all,regress_kpi_east,regress_kpi_clerk,regress_kpi_none,regress_kpi_stranger}'::text[]) r;
-- scopes of now, not of then
SET ROLE regress_kpi_owner; SELECT kpi.revoke_scope('regress_kpi_clerk', 'store', members => '{30}'), kpi.grant_scope('regress_kpi_none', 'store', members => '{3}', valid_until => clock_timestamp() + interval '1 hour'); RESET ROLE;
SELECT r AS role, sees(r) FROM unnest('{regress_kpi_clerk,regress_kpi_none}'::text[]) r;
-- dimensions are AND-ed; a dimension that was not one then is in full scope only
SET ROLE regress_kpi_owner; SELECT kpi.protect('shop.sales', 'channel', 'channel'), kpi.grant_scope('regress_kpi_all', 'channel', members => '{*}'), kpi.grant_scope('regress_kpi_east', 'channel', members => '{web}'); RESET ROLE;
INSERT INTO sales SELECT i, 5, 'web', '2026-01-01' FROM generate_series(1, 6) i; INSERT INTO sales SELECT i, 5, 'shop', '2026-01-01' FROM generate_series(1, 7) i;
SELECT r AS role, sees(r) FROM unnest('{regress_kpi_all,regress_kpi_east,regress_kpi_clerk}'::text[]) r;
SELECT members FROM kpi.data_change WHERE relation = 'sales'::regclass ORDER BY changed_at DESC LIMIT 1;
-- a policy by hand beside them hides more than scopes tell of
CREATE POLICY more ON sales AS RESTRICTIVE USING (id > 3); SELECT sees('regress_kpi_east') AS by_hand; DROP POLICY more ON sales;
SET row_security = off; SELECT sees('regress_kpi_east') AS row_security_off; RESET row_security;
-- what cannot be told is not in scope: a dimension that has another type by now, or is gone; and nothing fails
CREATE FUNCTION holds(role text, dimension text, members text[]) RETURNS boolean LANGUAGE plpgsql AS $$ DECLARE result boolean; BEGIN PERFORM set_config('role', role, true); result := kpi.scope_holds(dimension, members); PERFORM set_config('role', 'none', true); RETURN result; END $$;
SELECT r AS role, d AS dimension, m AS members, holds(r, d, m::text[]) FROM (VALUES ('regress_kpi_east', 'store', '{3}'), ('regress_kpi_east', 'store', '{3,07}'), ('regress_kpi_east', 'store', '{3,30}'), ('regress_kpi_east', 'store', '{}'), ('regress_kpi_east', 'store', '{3,NULL}'), ('regress_kpi_east', 'store', NULL),
  ('regress_kpi_east', 'store', '{x}'), ('regress_kpi_east', 'nothing', '{3}'), ('regress_kpi_east', NULL, '{3}'), ('regress_kpi_all', 'store', NULL), ('regress_kpi_all', 'store', '{x}'), ('regress_kpi_all', 'nothing', NULL), ('regress_kpi_stranger', 'store', '{3}'), ('postgres', 'store', NULL)) v (r, d, m);

-- types of keys: as the dimension writes them, whatever style the session has
CREATE TABLE typed (d date, t timestamptz, n numeric, f float8, c char(3), b boolean);
SELECT kpi.create_dimension('d', type => 'date'), kpi.create_dimension('t', type => 'timestamptz'), kpi.create_dimension('n', type => 'numeric'), kpi.create_dimension('f', type => 'float8'), kpi.create_dimension('c', type => 'text'), kpi.create_dimension('b', type => 'boolean');
SELECT kpi.protect('typed', k, k) FROM unnest('{d,t,n,f,c,b}'::text[]) k; SELECT kpi.track('typed', 't');
SET datestyle = 'German'; SET TIME ZONE 'Asia/Tokyo'; SET extra_float_digits = -15;
INSERT INTO typed VALUES ('2026-02-01', '2026-02-01 09:00', 1.50, 0.30000000000000004, 'a', true);
RESET datestyle; RESET TIME ZONE; RESET extra_float_digits; SET datestyle = 'ISO, MDY'; SET TIME ZONE 'UTC';
SELECT members, touched_from FROM kpi.data_change WHERE relation = 'typed'::regclass;
SELECT kpi.grant_scope('regress_kpi_east', k, members => ARRAY[m]) FROM (VALUES ('d', '2026-02-01'), ('t', '2026-02-01 00:00+00'), ('n', '1.5'), ('f', '0.30000000000000004'), ('c', 'a'), ('b', 't')) v (k, m); GRANT SELECT ON typed TO regress_kpi_east;
SELECT sees('regress_kpi_east', 'shop.typed'); SELECT kpi.revoke_scope('regress_kpi_east', 'f'); SELECT sees('regress_kpi_east', 'shop.typed') AS without_one;

-- the loads behind what is above a table
SET ROLE regress_kpi_owner; CREATE VIEW good AS SELECT * FROM sales WHERE id > 0; CREATE VIEW better AS SELECT * FROM good; GRANT SELECT ON good, better TO PUBLIC;
SELECT kpi.create_metric('shop.n', 'SELECT count(*) FROM shop.better'); RESET ROLE;
SELECT o AS object, (SELECT string_agg(coalesce(l.rows::text, l.operation), ' ' ORDER BY l.changed_at) FROM kpi.loads(o) l) AS loads FROM unnest('{shop.n,shop.better,shop.sales,shop.typed,shop.stores}'::text[]) o;
INSERT INTO sales VALUES (1, 1, 'web', '2026-03-05'), (2, 1, 'web', '2026-03-09'); TRUNCATE sales;
SELECT t AS touching, (SELECT string_agg(coalesce(l.rows::text, l.operation), ' ' ORDER BY l.changed_at) FROM kpi.loads('shop.n', touching => t) l) AS loads FROM unnest('{"[2026-03-06,2026-03-07]","[2026-03-09,2026-03-10)","[2026-03-10,)","(,)"}'::daterange[]) t;
SELECT count(*) FROM kpi.loads('shop.n', since => now() - interval '1 day') a; SELECT count(*) FROM kpi.loads('shop.n', since => now() + interval '1 day') a;
SET ROLE regress_kpi_east; SELECT l.rows FROM kpi.loads('shop.better') l; RESET ROLE;
-- partitions that a statement named, and the root where a leaf is asked for
CREATE TABLE parts (at date) PARTITION BY RANGE (at); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01'); SELECT kpi.track('parts', 'at'); CREATE VIEW over_parts AS SELECT * FROM parts;
INSERT INTO parts VALUES ('2026-01-01'); INSERT INTO parts_1 VALUES ('2026-01-02'); SELECT o AS object, (SELECT string_agg(l.relation_name, ' ' ORDER BY l.changed_at) FROM kpi.loads(o) l) FROM unnest('{shop.over_parts,shop.parts,shop.parts_1}'::text[]) o;
-- H8: what is recorded of a table that is gone is for superusers, and for nobody who makes one of that name
DROP TABLE sales CASCADE; CREATE TABLE sales (id int, store_id smallint, channel text, sold date); GRANT SELECT ON sales TO PUBLIC; ALTER TABLE sales OWNER TO regress_kpi_owner;
SELECT r AS role, sees(r) IS NULL AS nothing FROM unnest('{regress_kpi_owner,regress_kpi_all,postgres}'::text[]) r;

SELECT kpi.unprotect('typed', k), kpi.drop_dimension(k) FROM unnest('{d,t,n,f,c,b}'::text[]) k;
SELECT kpi.drop_dimension('store'), kpi.drop_dimension('channel');
DROP SCHEMA shop CASCADE;
DROP ROLE regress_kpi_owner, regress_kpi_all, regress_kpi_east, regress_kpi_clerk, regress_kpi_none, regress_kpi_stranger, regress_kpi_member;
DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM PUBLIC', current_database()); END $$;
