-- The table of the scope benchmark: :rows sales of 500 stores in 8 regions on 730 days, always the same, in order of time;
-- 1,000 roles, of which reader_<i> has 1 + (i - 1) % 500 stores, those above 500 for a limited time; the same table once
-- more with policies made by hand.
-- Run by psql as a superuser in a database that has the extension.
CREATE SCHEMA scoped;
GRANT USAGE ON SCHEMA scoped TO PUBLIC;
CREATE FUNCTION scoped.region_of(store integer) RETURNS text IMMUTABLE PARALLEL SAFE
  RETURN (ARRAY['North', 'South', 'East', 'West', 'Centre', 'Coast', 'Islands', 'Abroad'])[1 + store % 8];
CREATE TABLE scoped.stores (store_id integer PRIMARY KEY, region text NOT NULL);
INSERT INTO scoped.stores SELECT n, scoped.region_of(n) FROM generate_series(1, 500) n;
CREATE TABLE scoped.sales (
  store_id integer NOT NULL,
  quantity integer NOT NULL,
  sold_on  date NOT NULL,
  month    date NOT NULL,
  region   text NOT NULL,
  amount   numeric(12,2) NOT NULL
);
INSERT INTO scoped.sales
SELECT store_id, 1 + h % 5, day, date_trunc('month', day), scoped.region_of(store_id), 5 + h % 19997 / 100.0
  FROM (SELECT h, 1 + h / 64 % 500 AS store_id, date '2024-01-01' + (n * 730 / (:rows + 1))::integer AS day
          FROM (SELECT n, hashint8(n) & 2147483647 AS h FROM generate_series(1, :rows::bigint) n) numbers) sales;
CREATE INDEX ON scoped.sales (store_id, sold_on);

-- What everybody without restriction reads, from before the table was protected.
SELECT kpi.create_metric('scoped.revenue', 'SELECT sum(amount) FROM scoped.sales');
SELECT kpi.create_metric('scoped.units', 'SELECT sum(quantity) FROM scoped.sales');
SELECT kpi.create_metric_view('scoped.open_kpis', '{month, region, sold_on, store_id}', '{scoped.revenue, scoped.units}');

-- What everybody with a scope reads.
CREATE ROLE publisher;
GRANT USAGE, CREATE ON SCHEMA scoped TO publisher;
GRANT SELECT ON scoped.sales, scoped.revenue, scoped.units TO publisher;
SELECT kpi.create_dimension('store', 'scoped.stores', key => 'store_id', levels => '{region}');
SELECT kpi.protect('scoped.sales', 'store', 'store_id');
CREATE TABLE scoped.some_sales AS TABLE scoped.sales LIMIT 200000;
ANALYZE scoped.some_sales;
SELECT kpi.protect('scoped.some_sales', 'store', 'store_id');
SET ROLE publisher;
SELECT kpi.create_metric_view('scoped.kpis', '{month, region, sold_on, store_id}', '{scoped.revenue, scoped.units}');
RESET ROLE;

-- Roles, and the same scopes as a mapping table.
SELECT format('CREATE ROLE reader_%s LOGIN', i) FROM generate_series(1, 1000) i \gexec
CREATE TABLE scoped.access (role_name name, store_id integer, PRIMARY KEY (role_name, store_id));
INSERT INTO scoped.access
SELECT 'reader_' || i, 1 + (i * 7 + k * 3) % 500 FROM generate_series(1, 1000) i, generate_series(1, 1 + (i - 1) % 500) k;
SELECT kpi.grant_scope(role_name, 'store', members => array_agg(store_id::text),
                       valid_until => CASE WHEN substr(role_name, 8)::integer > 500 THEN timestamptz '2100-01-01' END)
  FROM scoped.access GROUP BY role_name;
CREATE ROLE reader_all LOGIN;
SELECT kpi.grant_scope('reader_all', 'store', members => '{*}');
CREATE ROLE member_of_50 LOGIN;
SELECT format('GRANT reader_%s TO member_of_50', i) FROM generate_series(1, 50) i \gexec
GRANT SELECT ON ALL TABLES IN SCHEMA scoped TO PUBLIC;
REVOKE SELECT ON scoped.open_kpis FROM PUBLIC;

-- The usual policies: a function for each row, a sub-select on the mapping table, a list in a setting. Each is for a role
-- that readers set; who they are, and so what they may see, is the session's user.
CREATE TABLE scoped.by_hand (LIKE scoped.sales INCLUDING ALL);
INSERT INTO scoped.by_hand SELECT * FROM scoped.sales;
GRANT SELECT ON scoped.by_hand TO PUBLIC;
CREATE FUNCTION scoped.may_see(store integer) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE AS
  'BEGIN RETURN EXISTS (SELECT FROM scoped.access WHERE role_name = session_user AND store_id = store); END';
ALTER TABLE scoped.by_hand ENABLE ROW LEVEL SECURITY;
CREATE ROLE by_subselect;
CREATE ROLE by_function;
CREATE ROLE by_setting;
GRANT by_subselect, by_function, by_setting TO reader_1, reader_10, reader_100, reader_500;
CREATE POLICY subselect ON scoped.by_hand TO by_subselect
  USING (store_id IN (SELECT store_id FROM scoped.access WHERE role_name = session_user));
CREATE POLICY function ON scoped.by_hand TO by_function USING (scoped.may_see(store_id));
CREATE POLICY setting ON scoped.by_hand TO by_setting
  USING (store_id = ANY ((SELECT string_to_array(current_setting('bench.stores'), ',')::integer[])::integer[]));
VACUUM (FREEZE, ANALYZE) scoped.stores, scoped.sales, scoped.by_hand, scoped.access, kpi.scope_grant;
