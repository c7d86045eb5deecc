-- lineage_walk: kpi.upstream() and kpi.downstream() tell each edge once, at its least depth, with the way to it; columns lead
-- to columns, and what is done to rows concerns every column (L1); kpi.lineage's indirect edges; kpi.impact() (L2).

\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_kpi_author;
CREATE ROLE regress_kpi_clerk;
CREATE ROLE regress_kpi_reader;
CREATE SCHEMA lin AUTHORIZATION regress_kpi_author;
GRANT USAGE ON SCHEMA lin TO PUBLIC;
SET ROLE regress_kpi_author;
CREATE TABLE lin.stores (id int PRIMARY KEY, city text, region text);
CREATE TABLE lin.lines (id int, store int, status text, amount numeric, refund numeric, note text);
CREATE VIEW lin.paid AS SELECT id, store, amount - coalesce(refund, 0) AS net FROM lin.lines WHERE status = 'paid';
CREATE VIEW lin.sold AS SELECT p.id, p.net, s.city FROM lin.paid p JOIN lin.stores s ON s.id = p.store;
CREATE MATERIALIZED VIEW lin.by_city AS SELECT city, sum(net) AS net, count(*) AS n FROM lin.sold GROUP BY city;
CREATE FUNCTION lin.best() RETURNS TABLE (city text, net numeric) BEGIN ATOMIC SELECT city, net FROM lin.by_city ORDER BY net DESC LIMIT 3; END;
CREATE VIEW lin.diamond AS SELECT s.net AS far, l.amount AS near FROM lin.sold s JOIN lin.lines l USING (id);
SELECT kpi.create_metric('lin.revenue', 'SELECT sum(net) FROM lin.sold');
SELECT kpi.create_metric('lin.orders', 'SELECT count(*) FROM lin.sold WHERE city <> ''x''');
SELECT kpi.create_metric('lin.aov', 'SELECT revenue / nullif(orders, 0) FROM lin.revenue, lin.orders');
SELECT kpi.create_metric_view('lin.sales', '{city}', '{lin.revenue, lin.aov}');
CREATE VIEW lin.report AS SELECT city, kpi.measure(aov) AS aov FROM lin.sales GROUP BY city;
RESET ROLE;

-- SQL for the edges that a walk tells
\set told 'depth, source || coalesce(\'.\' || source_column, \'\') AS source, target || coalesce(\'.\' || target_column, \'\') AS target, kind, path[2:] AS way'
\set sorted 'depth, path COLLATE "C", target COLLATE "C", target_column COLLATE "C", kind'

--
-- Upstream: of a relation everything, of a column what makes it and what makes the rows
--
SELECT :told FROM kpi.upstream('lin.sold') ORDER BY :sorted;
SELECT :told FROM kpi.upstream('lin.sold.city') ORDER BY :sorted;
SELECT :told FROM kpi.upstream('lin.by_city.n') ORDER BY :sorted;
SELECT :told FROM kpi.upstream('lin.best()') ORDER BY :sorted;
SELECT :told FROM kpi.upstream('lin.aov') ORDER BY :sorted;
SELECT source_type, target_type, count(*), max(depth) FROM kpi.upstream('lin.report') GROUP BY 1, 2 ORDER BY 1, 2;
-- two ways: the shorter depth, told once
SELECT :told FROM kpi.upstream('lin.diamond') WHERE source_column = 'amount' ORDER BY :sorted;
SELECT count(*), count(DISTINCT (source, source_column, target, target_column, kind)) FROM kpi.upstream('lin.diamond');
SELECT count(*) FROM kpi.upstream('lin.stores');

--
-- Downstream: a column that another is filtered by is not filtered by it
--
SELECT :told FROM kpi.downstream('lin.lines.amount') ORDER BY :sorted;
SELECT :told FROM kpi.downstream('lin.lines.refund') WHERE depth < 3 ORDER BY :sorted;
SELECT :told FROM kpi.downstream('lin.lines.note') ORDER BY :sorted;
SELECT :told FROM kpi.downstream('lin.lines.status') WHERE depth < 3 ORDER BY :sorted;
SELECT :told FROM kpi.downstream('lin.by_city') ORDER BY :sorted;
SELECT :told FROM kpi.downstream('lin.report') ORDER BY :sorted;

--
-- Upstream and downstream are the same ways from both ends, and the ways are edges
--
CREATE TEMP TABLE place AS
SELECT format('%I.%I', n.nspname, c.relname) AS relation, a.attname AS col, format('%I.%I.%I', n.nspname, c.relname, a.attname) AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
 WHERE n.nspname = 'lin' AND c.relkind IN ('r', 'v', 'm');
CREATE TEMP TABLE up AS SELECT p.name AS of, p.relation, p.col, u.* FROM place p CROSS JOIN kpi.upstream(p.name) u;
CREATE TEMP TABLE down AS SELECT p.name AS of, p.relation, p.col, d.* FROM place p CROSS JOIN kpi.downstream(p.name) d;
SELECT count(*) > 100 AS many FROM up;
SELECT DISTINCT u.of, u.source, u.source_column FROM up u
 WHERE u.source_column IS NOT NULL AND u.source !~ '\('
   AND NOT EXISTS (SELECT FROM down d WHERE d.of = format('%s.%I', u.source, u.source_column) AND d.target = u.relation AND (d.target_column IS NULL OR d.target_column = u.col));
SELECT DISTINCT d.of, d.target, d.target_column FROM down d
 WHERE d.target_column IS NOT NULL AND d.target !~ '\('
   AND NOT EXISTS (SELECT FROM up u WHERE u.of = format('%s.%I', d.target, d.target_column) AND u.source = d.relation AND u.source_column = d.col);
SELECT of, path FROM (TABLE up UNION ALL TABLE down) w WHERE cardinality(path) <> depth + 1 OR path[1] <> of;
SELECT of, depth, path FROM up WHERE path[depth + 1] <> source || coalesce('.' || quote_ident(source_column), '');
SELECT of, depth, path FROM down WHERE path[depth + 1] <> target || coalesce('.' || quote_ident(target_column), '');

--
-- Indirect edges: of metrics and metric views, to where it ends
--
SELECT source_type, source, source_column, target_type, target, target_column, kind, transformation FROM kpi.lineage
 WHERE NOT direct AND (target = 'lin.orders' OR target = 'lin.sales' AND target_column = 'city') ORDER BY target COLLATE "C", target_column COLLATE "C", source COLLATE "C", source_column COLLATE "C" NULLS LAST, kind;

--
-- A function that calls itself, directly and through another, and a table that computes its own columns
--
SET ROLE regress_kpi_author;
CREATE FUNCTION lin.a(i int) RETURNS int RETURN (SELECT max(id) FROM lin.lines WHERE id > i);
CREATE FUNCTION lin.b(i int) RETURNS int RETURN lin.a(i) + 1;
CREATE OR REPLACE FUNCTION lin.a(i int) RETURNS int RETURN CASE WHEN i > 0 THEN lin.b(i) + lin.a(i - 1) ELSE (SELECT max(id) FROM lin.lines) END;
CREATE TABLE lin.computed (x int, y int GENERATED ALWAYS AS (x + 1) STORED, z int GENERATED ALWAYS AS (x * 2) STORED);
CREATE VIEW lin.of_computed AS SELECT y FROM lin.computed;
RESET ROLE;
SELECT :told FROM kpi.upstream('lin.a(int)') ORDER BY :sorted;
SELECT :told FROM kpi.downstream('lin.b(int)') ORDER BY :sorted;
SELECT :told FROM kpi.upstream('lin.of_computed.y') ORDER BY :sorted;
SELECT :told FROM kpi.downstream('lin.computed.x') ORDER BY :sorted;

--
-- What a name may mean
--
SET search_path = lin;
SELECT count(*) FROM kpi.upstream('sold');
SELECT count(*) FROM kpi.upstream('sold.city');
SELECT count(*) FROM kpi.upstream('Lin.SOLD."city"');
SELECT count(*) FROM kpi.upstream(current_database() || '.lin.sold');
SELECT count(*) FROM kpi.upstream(current_database() || '.lin.sold.city');
RESET search_path;
SELECT relid::regclass, attnum, funcid::regprocedure, name, column_name FROM unnest('{lin.sold,lin.sold.city,lin.best(),lin.stores_pkey}'::text[]) o CROSS JOIN kpi.lineage_object_id(o);

--
-- Impact
--
SELECT kpi.create_dimension('store', 'lin.stores', 'id', '{region}');
SELECT kpi.protect('lin.lines', 'store', 'store');
SELECT kpi.grant_scope('regress_kpi_clerk', 'store', members => '{1}');
CREATE POLICY open_only ON lin.lines FOR SELECT USING (status = 'open');
SELECT kind, name, columns, owner, depth, how FROM kpi.impact('lin.lines.amount') ORDER BY depth, kind, name;
SELECT kind, name, columns, owner, depth FROM kpi.impact('lin.lines.status') WHERE kind NOT IN ('view', 'metric') ORDER BY depth, kind, name;
SELECT kind, name, columns, owner, depth, how FROM kpi.impact('lin.lines') WHERE kind IN ('function', 'policy') ORDER BY depth, kind, name;
-- what is read through a dimension, and whose scope it is
SELECT kind, name, columns, owner, depth FROM kpi.impact('lin.stores.region') ORDER BY depth, kind, name;
SELECT kind, name, columns, owner, depth FROM kpi.impact('lin.stores') WHERE kind IN ('dimension', 'scope', 'policy') ORDER BY depth, kind, name;
-- an earlier version of a definition that read a column, for its owner
SET ROLE regress_kpi_author;
CREATE OR REPLACE VIEW lin.paid AS SELECT id, store, amount AS net FROM lin.lines WHERE status = 'paid';
SELECT kind, name, columns, regexp_replace(how::text, 'until .*', 'until ...') AS how FROM kpi.impact('lin.lines.refund') ORDER BY depth, kind, name;
RESET ROLE;
SET ROLE regress_kpi_reader;
SELECT kind, name FROM kpi.impact('lin.lines.refund') ORDER BY depth, kind, name;
SELECT kind, count(*) FROM kpi.impact('lin.stores') GROUP BY kind ORDER BY kind;
RESET ROLE;

SET client_min_messages = error;
DROP SCHEMA lin CASCADE;
SELECT kpi.drop_dimension('store');
DROP OWNED BY regress_kpi_author, regress_kpi_clerk, regress_kpi_reader;
DROP ROLE regress_kpi_author, regress_kpi_clerk, regress_kpi_reader;
