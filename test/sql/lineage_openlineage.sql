-- L6: kpi.openlineage_events() says all that the lineage says and nothing else; versions change with definitions alone;
-- whoever may read a metric gets its event. The schemas of OpenLineage are asked by test/clients/openlineage_test.py.

\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_kpi_owner;
CREATE ROLE regress_kpi_reader;
CREATE SCHEMA ol;
CREATE SCHEMA "o'l ""部门"".x";
CREATE TYPE ol.level AS ENUM ('low', 'high');
CREATE TABLE ol.stores (store_id integer PRIMARY KEY, gone text, region text, level ol.level, opened date);
ALTER TABLE ol.stores DROP COLUMN gone;
COMMENT ON COLUMN ol.stores.region IS 'where the store is';
CREATE TABLE ol.lines (day date, store_id integer, status text, amount numeric(12,2), refund numeric) PARTITION BY RANGE (day);
CREATE TABLE ol.lines_2026 PARTITION OF ol.lines FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW ol.sales AS
  SELECT l.day, l.status, l.amount, l.refund, s.region, s.level
    FROM ol.lines l JOIN ol.stores s USING (store_id)
   WHERE s.opened < '2026-02-03' AND l.day > s.opened - interval '1 mon 2 days';
COMMENT ON VIEW ol.sales IS 'lines with their stores';
CREATE MATERIALIZED VIEW ol.monthly AS
  SELECT date_trunc('month', day)::date AS month, region, sum(amount) AS amount, max('max(' || status) AS status, 'sum(' || region AS label
    FROM ol.sales GROUP BY 1, region WITH NO DATA;
CREATE VIEW ol.ranked AS SELECT region, rank() OVER (PARTITION BY status ORDER BY amount) AS place FROM ol.monthly
   WHERE month < timestamptz '2026-02-03 04:05+00' AND amount <> float8 '0.30000000000000004' AND status::bytea <> '\x00ff';
CREATE VIEW ol.unread AS SELECT region FROM ol.ranked;
CREATE FUNCTION ol.regions(since date, OUT region text, OUT total numeric) RETURNS SETOF record STABLE
BEGIN ATOMIC
  SELECT s.region, sum(s.amount) FROM ol.sales s WHERE s.day >= since GROUP BY s.region;
END;
CREATE FUNCTION ol.days() RETURNS SETOF date STABLE BEGIN ATOMIC SELECT opened FROM ol.stores; END;
CREATE FUNCTION ol.open_stores() RETURNS SETOF ol.stores STABLE BEGIN ATOMIC SELECT s.* FROM ol.stores s WHERE s.opened < now(); END;
CREATE VIEW ol.by_region AS SELECT r.region, r.total FROM ol.regions('2026-01-01') r, ol.days() d, ol.open_stores() s;
CREATE VIEW "o'l ""部门"".x"."汇 总" AS SELECT region AS "a ""b"".c", total AS "d'e" FROM ol.by_region;
SELECT kpi.create_metric('ol.net', 'SELECT sum(amount) - sum(refund) FROM ol.sales WHERE status <> ''cancelled''',
                         label => 'Net', unit => 'CNY', description => 'After refunds', owner => 'regress_kpi_owner'),
       kpi.create_metric('ol.count', 'SELECT count(*) FROM ol.sales'),
       kpi.create_metric('ol.average', 'SELECT net / nullif(count, 0) FROM ol.net, ol.count'),
       kpi.create_metric('ol.best', 'SELECT min(place) FROM ol.ranked'),
       kpi.create_metric('ol.total', 'SELECT sum("d''e") FROM "o''l ""部门"".x"."汇 总"');
SELECT kpi.create_metric_view('ol.cube', '{day, region}', '{ol.net, ol.count, ol.average}', label => 'Cube');

-- what events say of a job, its inputs and its output
CREATE TEMP VIEW job AS
SELECT split_part(e #>> '{job,name}', current_database() || '.', 2) AS name, e #>> '{job,facets,jobType,jobType}' AS type, e
  FROM kpi.openlineage_events(namespace => 'warehouse') e;
CREATE TEMP VIEW way AS
SELECT name, f.key AS field, split_part(i ->> 'name', current_database() || '.', 2) AS source, i ->> 'field' AS source_field,
       t ->> 'type' AS type, t ->> 'subtype' AS subtype, t ->> 'description' AS description
  FROM job,
       LATERAL (SELECT key, value -> 'inputFields' FROM jsonb_each(e #> '{outputs,0,facets,columnLineage,fields}')
                UNION ALL
                SELECT NULL, e #> '{outputs,0,facets,columnLineage,dataset}') f (key, inputs),
       jsonb_array_elements(f.inputs) i, jsonb_array_elements(i -> 'transformations') t;

-- one job for each view behind the metrics, none for tables and for what no metric comes from
SELECT name, type, jsonb_array_length(e -> 'inputs') AS inputs,
       (SELECT string_agg(d ->> 'name', ' ' ORDER BY n)
          FROM jsonb_array_elements(e #> '{outputs,0,facets,schema,fields}') WITH ORDINALITY d (d, n)) AS fields
  FROM job ORDER BY name COLLATE "C";
SELECT d ->> 'name' LIKE '%.ol.%' AS named, f ->> 'name' AS field, f ->> 'type' AS type
  FROM job, jsonb_path_query(e, '$.inputs[*] ? (@.facets.datasetType.datasetType == "FUNCTION")') d,
       jsonb_path_query(d, '$.facets.schema.fields[*]') f
 ORDER BY d ->> 'name' COLLATE "C", f -> 'ordinal_position';
SELECT DISTINCT d #>> '{facets,datasetType,datasetType}' AS type, d #>> '{facets,datasetType,subType}' AS subtype,
       split_part(d ->> 'name', '.', 3) COLLATE "C" AS dataset
  FROM job, jsonb_array_elements(e -> 'inputs' || (e -> 'outputs')) d ORDER BY 1, 2, 3;

-- events say what the lineage says: nothing is missing, nothing is added
CREATE TEMP VIEW said AS
SELECT name AS target, field AS target_field, source, source_field, type = 'DIRECT' AS is_value, description FROM way;
CREATE TEMP VIEW known AS
SELECT replace(replace(l.target, '"o''l ""部门"".x"', 'o''l "部门".x'), '"汇 总"', '汇 总') AS target, l.target_column,
       replace(replace(l.source, '"o''l ""部门"".x"', 'o''l "部门".x'), '"汇 总"', '汇 总') AS source, l.source_column,
       l.kind = 'value' AS is_value, l.transformation
  FROM kpi.lineage l
 WHERE l.direct AND l.source_column IS NOT NULL AND l.target ~ '^(ol|"o''l.*)\.' AND l.target_type NOT LIKE '%table' AND l.target <> 'ol.unread';
SELECT count(*) > 20 AS many FROM said;
SELECT 'missing' AS event, k.* FROM (TABLE known EXCEPT TABLE said) k
UNION ALL
SELECT 'added', s.* FROM (TABLE said EXCEPT TABLE known) s;

-- how a source takes part
SELECT kind, expression, t ->> 'type' AS type, t ->> 'subtype' AS subtype
  FROM (VALUES ('value', 'amount'), ('value', 's.amount'), ('value', '"sum("'), ('value', 's."a ""b"" (.c"'), ('value', 'sum(amount)'),
               ('value', '(1 + sum(s.amount))'), ('value', 'count(DISTINCT "a b")'), ('value', 'kpi.measure(net)'),
               ('value', 'percentile_cont((0.5)::double precision) WITHIN GROUP (ORDER BY amount)'),
               ('value', 'sum(amount) OVER (PARTITION BY region)'), ('value', '(''sum('' || region)'), ('value', '(''it''''s "max('' || "max(")'),
               ('value', 'checksum(amount)'), ('value', 'ol."sum("(amount)'), ('value', '(amount * 2)'), ('value', 'lag(amount) OVER (ORDER BY day)'),
               ('filter', '(status = ''paid'')'), ('join', '(a.id = b.id)'), ('group', 'region'), ('order', 'day'),
               ('group', 'rank() OVER (PARTITION BY region)'), ('order', 'rank() OVER (ORDER BY day)'), ('order', '(''OVER ('' || day)')) e (kind, expression),
       kpi.openlineage_transformation(kind, expression, '(^|[^\w"])(sum|max|count|measure|percentile_cont)\(') t;
SELECT DISTINCT field, source, source_field, type, subtype FROM way
 WHERE name = 'ol.net' AND (field IS NOT NULL OR subtype = 'FILTER') ORDER BY field, source_field;

-- metadata: documentation, owner, schema
SELECT jsonb_pretty(e #> '{job,facets}' || '{"sql": null}') FROM job WHERE name = 'ol.net';
SELECT jsonb_pretty(d) FROM job, jsonb_path_query(e, '$.inputs[*] ? (@.name like_regex "stores$")') d WHERE name = 'ol.sales';
SELECT e #>> '{job,facets,sql,query}' FROM job WHERE name = 'ol.sales';

-- a version changes with its own definition, and with no setting of the session
CREATE TEMP TABLE version AS SELECT name, e #>> '{outputs,0,facets,version,datasetVersion}' AS version FROM job;
SELECT min(length(version)), count(DISTINCT version) = count(*) AS distinct FROM version;
SET search_path = ol, public;
SET datestyle = german;
SET intervalstyle = iso_8601;
SET timezone = 'Asia/Tokyo';
SET quote_all_identifiers = on;
SET extra_float_digits = 0;
SET bytea_output = escape;
SELECT count(*) = (SELECT count(*) FROM version) AS same FROM version JOIN job USING (name)
 WHERE version = e #>> '{outputs,0,facets,version,datasetVersion}';
RESET ALL;
SET client_min_messages = warning;
SELECT kpi.alter_metric('ol.net', definition => 'SELECT sum(amount) FROM ol.sales');
SELECT name FROM version JOIN job USING (name) WHERE version <> e #>> '{outputs,0,facets,version,datasetVersion}';

-- one object, also by a column; a table is made by nobody
SELECT string_agg(split_part(e #>> '{job,name}', '.', 3), ' ') FROM kpi.openlineage_events('ol.average') e;
SELECT string_agg(split_part(e #>> '{job,name}', '.', 3), ' ') FROM kpi.openlineage_events('ol.sales.amount') e;
SELECT count(*) FROM kpi.openlineage_events('ol.stores');

-- the namespace is the server as this connection names it
SELECT DISTINCT e #>> '{job,namespace}' = format('postgres://%s:%s', coalesce(host(inet_server_addr()), 'localhost'), current_setting('port'))
  FROM kpi.openlineage_events('ol.net') e;

-- without an object: what the reader may read, and what that comes from, although its schema is closed to him
GRANT USAGE ON SCHEMA "o'l ""部门"".x" TO regress_kpi_reader;
SET ROLE regress_kpi_reader;
SELECT count(*) FROM kpi.openlineage_events();
RESET ROLE;
SELECT kpi.create_metric('"o''l ""部门"".x"."m"', 'SELECT avg("d''e") FROM "o''l ""部门"".x"."汇 总"');
GRANT SELECT ON "o'l ""部门"".x"."m" TO regress_kpi_reader;
SET ROLE regress_kpi_reader;
SELECT e #>> '{job,name}' = concat_ws('.', current_database(), 'o''l "部门".x.m') AS itself, jsonb_array_length(e -> 'inputs') AS inputs
  FROM kpi.openlineage_events() e;
RESET ROLE;

DROP SCHEMA ol, "o'l ""部门"".x" CASCADE;
DROP ROLE regress_kpi_owner, regress_kpi_reader;
