-- metric_adopt: views of metrics that lost their rows in the registry are told by kpi.check() and adopted again, if they
-- are what could be created; test/t/020_dump.pl has the restore.

\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_kpi_keeper;
CREATE SCHEMA kept AUTHORIZATION regress_kpi_keeper;
CREATE VIEW public.told AS SELECT severity, object, problem, remedy FROM kpi.check() WHERE object ~ '^kept\.';
SET ROLE regress_kpi_keeper;
CREATE TABLE kept.t (d date, k text, a numeric, refund numeric);
INSERT INTO kept.t SELECT '2026-01-01', 'x', i, 1 FROM generate_series(1, 10) AS i;
SELECT kpi.create_metric('kept.net', 'SELECT sum(a) - sum(refund) FROM kept.t', label => 'Net', unit => 'CNY', description => 'what is left', min_group_rows => 3),
	   kpi.create_metric('kept.n', 'SELECT count(*) FROM kept.t'), kpi.create_metric('kept.per', 'SELECT net / nullif(n, 0) FROM kept.net, kept.n'),
	   kpi.create_metric('kept.alone', 'SELECT n + 1 FROM kept.n');
SELECT kpi.create_metric_view('kept.mv', '{k, d, a > 5 AS big}', '{kept.per, kept.net}', label => 'All');
SELECT kpi.create_metric('kept.web', 'SELECT measure(net) FROM kept.mv WHERE big'), kpi.alter_metric_view('kept.mv', add_metrics => '{kept.web}');
COMMENT ON COLUMN kept.mv.per IS 'my own words';
CREATE VIEW kept.reader AS SELECT k, kpi.measure(net) AS net FROM kept.mv GROUP BY k;
GRANT SELECT (k, net) ON kept.mv TO PUBLIC;
RESET ROLE;
SELECT 'kept.mv'::regclass::oid AS oid, (SELECT string_agg(coalesce(col_description('kept.mv'::regclass, i), '-'), ' / ') FROM generate_series(0, 6) AS i) AS said \gset
DELETE FROM kpi.metric_registry; DELETE FROM kpi.metric_view_registry; DELETE FROM kpi.written_comment;
SELECT * FROM told;
SELECT remedy FROM told \gexec
SELECT * FROM told;
SELECT metric, label, description, min_group_rows, additivity FROM kpi.metrics ORDER BY metric::text;
SELECT metric_view, label, description, time_dimension FROM kpi.metric_views;
-- the same view, with what hangs on it, says the same
SELECT 'kept.mv'::regclass::oid = :oid AS same, (SELECT string_agg(coalesce(col_description('kept.mv'::regclass, i), '-'), ' / ') FROM generate_series(0, 6) AS i) = :'said' AS says_the_same;
SELECT attname, attacl FROM pg_attribute WHERE attrelid = 'kept.mv'::regclass AND attacl IS NOT NULL;
TABLE kept.reader;
SET ROLE regress_kpi_keeper;
ALTER TABLE kept.t RENAME COLUMN a TO amount;
SELECT kpi.alter_metric('kept.net', label => 'Net again');
SELECT i, col_description('kept.mv'::regclass, i) FROM generate_series(4, 6) AS i;
-- what no metric view publishes is adopted by name, with its components; once
RESET ROLE;
DELETE FROM kpi.metric_registry; DELETE FROM kpi.metric_view_registry; DELETE FROM kpi.written_comment;
SET ROLE regress_kpi_keeper;
SELECT kpi.adopt('kept.alone'), kpi.adopt('kept.alone');
SELECT metric FROM kpi.metrics ORDER BY metric::text;
SELECT kpi.alter_metric('kept.alone', definition => 'SELECT n + 2 FROM kept.n');
-- one that a registered metric view names is told by itself
SELECT kpi.adopt('kept.mv');
RESET ROLE;
DELETE FROM kpi.metric_registry WHERE relid = 'kept.per'::regclass;
SELECT object, problem, remedy FROM told;
SELECT remedy FROM told \gexec
SELECT * FROM told;

-- What could not be created is not adopted
SET ROLE regress_kpi_keeper;
CREATE VIEW kept.no_metric AS SELECT amount FROM kept.t;
CREATE VIEW kept.filtered AS SELECT k, kpi.metric_column('kept.net'::regclass, NULL::numeric) AS net FROM kept.t WHERE amount > 1;
CREATE VIEW kept.unsteady AS SELECT random() AS r, kpi.metric_column('kept.net'::regclass, NULL::numeric) AS net FROM kept.t;
CREATE VIEW kept.other_type AS SELECT k, kpi.metric_column('kept.net'::regclass, NULL::text) AS net FROM kept.t;
CREATE VIEW kept.other_type_inside AS SELECT k, kpi.metric_column('kept.net'::regclass, NULL::text)::numeric AS net FROM kept.t;
CREATE VIEW kept.other_source AS SELECT amount, kpi.metric_column('kept.net'::regclass, NULL::numeric) AS net FROM kept.no_metric;
CREATE VIEW kept.only_source AS SELECT k, kpi.metric_column('kept.net'::regclass, NULL::numeric) AS net FROM ONLY kept.t;
CREATE VIEW kept.subquery AS SELECT k, kpi.metric_column('kept.net'::regclass, NULL::numeric) AS net FROM (SELECT * FROM kept.t) AS q;
CREATE VIEW kept.no_such_metric AS SELECT k, kpi.metric_column('kept.t'::regclass, NULL::numeric) AS net FROM kept.t;
CREATE VIEW kept.volatile AS SELECT sum(random()) AS net FROM kept.t;
CREATE VIEW kept.two AS SELECT sum(amount), count(*) FROM kept.t;
CREATE TEMP VIEW passing AS SELECT sum(amount) FROM kept.t;
SELECT kpi.adopt('kept.t');
SELECT kpi.adopt('kept.no_metric');
SELECT kpi.adopt('kept.filtered');
SELECT kpi.adopt('kept.unsteady');
SELECT kpi.adopt('kept.other_type');
SELECT kpi.adopt('kept.other_type_inside');
SELECT kpi.adopt('kept.other_source');
SELECT kpi.adopt('kept.only_source');
SELECT kpi.adopt('kept.subquery');
SELECT kpi.adopt('kept.no_such_metric');
SELECT kpi.adopt('kept.volatile');
SELECT kpi.adopt('kept.two');
\set VERBOSITY terse
SELECT kpi.adopt('passing');
\set VERBOSITY default
SELECT kpi.adopt(1::regclass);
SELECT kpi.adopt(NULL);
RESET ROLE;
SELECT object, problem, remedy FROM told;
-- nor is another role's
CREATE VIEW kept.stolen AS SELECT count(*) FROM kept.t;
CREATE VIEW kept.with_stolen AS SELECT k, kpi.metric_column('kept.stolen'::regclass, NULL::bigint) AS n FROM kept.t;
ALTER VIEW kept.with_stolen OWNER TO regress_kpi_keeper;
SET ROLE regress_kpi_keeper;
SELECT kpi.adopt('kept.stolen');
SELECT kpi.adopt('kept.with_stolen');
RESET ROLE;
DROP VIEW told;
DROP SCHEMA kept CASCADE;
DROP ROLE regress_kpi_keeper;
