-- metric_comments: the comment on a measure's column says what the metric's definition is now, whoever changed a name in
-- it and how; what somebody replaced by hand stays; and kpi.check() tells of what could not follow.

\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE ROLE regress_kpi_maker;
CREATE ROLE regress_kpi_other;
CREATE SCHEMA said AUTHORIZATION regress_kpi_maker;
CREATE SCHEMA raw AUTHORIZATION regress_kpi_other;
GRANT USAGE ON SCHEMA raw TO regress_kpi_maker;

-- One source with a name of every kind in it, which belongs to another role
SET ROLE regress_kpi_other;
SET search_path = raw;
CREATE TYPE mood AS ENUM ('bad', 'good');
CREATE TYPE money_of AS (value numeric, unit text);
CREATE DOMAIN cents AS numeric;
CREATE FUNCTION net_of(numeric, numeric) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN $1 - $2;
CREATE FUNCTION plus(numeric, numeric) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN $1 + $2;
CREATE OPERATOR |+| (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = plus);
CREATE AGGREGATE total(numeric) (SFUNC = plus, STYPE = numeric, INITCOND = '0');
CREATE COLLATION by_byte FROM "C";
CREATE TEXT SEARCH CONFIGURATION words (COPY = pg_catalog.simple);
CREATE TABLE parent (id integer, region text, sold_on date, amount numeric, refund numeric);
CREATE TABLE lines (price money_of, m mood, ms mood[], note text) INHERITS (parent);
CREATE TABLE typed OF money_of;
COMMENT ON COLUMN parent.region IS 'not the child''s';
COMMENT ON COLUMN lines.region IS 'where the shop is';
GRANT SELECT ON ALL TABLES IN SCHEMA raw TO regress_kpi_maker;
RESET search_path;
RESET ROLE;

-- What a comment says, and whether that is what the listing says
CREATE VIEW said AS
SELECT m.metric_view::text || '.' || m.name AS "column", d AS comment, right(d, length(t)) = t AS as_defined
  FROM kpi.measures AS m
 CROSS JOIN LATERAL col_description(m.metric_view, m.position) AS d
 CROSS JOIN LATERAL kpi.definition_text(m.metric) AS t;

SET ROLE regress_kpi_maker;
SELECT kpi.create_metric('said.a_column', 'SELECT sum(amount) - sum(refund) FROM raw.lines WHERE note <> ''two  blanks''', label => 'Net', unit => 'CNY'),
	   kpi.create_metric('said.b_function', 'SELECT raw.total(raw.net_of(amount, refund)) FROM raw.lines'),
	   kpi.create_metric('said.c_operator', 'SELECT sum(amount OPERATOR(raw.|+|) refund) FROM raw.lines'),
	   kpi.create_metric('said.d_types', 'SELECT count(*) FILTER (WHERE m = ''good'' OR ms && ''{good}''::raw.mood[]) + sum(amount::raw.cents)::integer FROM raw.lines'),
	   kpi.create_metric('said.e_field', 'SELECT sum((price).value) FROM raw.lines'),
	   kpi.create_metric('said.f_collation', 'SELECT min(note COLLATE raw.by_byte) FROM raw.lines'),
	   kpi.create_metric('said.g_words', 'SELECT count(*) FROM raw.lines WHERE to_tsvector(''raw.words''::regconfig, note) @@ ''x''::tsquery'),
	   kpi.create_metric('said.h_row', 'SELECT count(*) FILTER (WHERE lines.price IS NOT DISTINCT FROM ''(1,x)''::raw.money_of AND ''(,,,,)''::raw.parent IS NULL) FROM raw.lines');
SELECT kpi.create_metric_view('said.sales', '{region, sold_on, id % 10 AS digit}',
	'{said.a_column, said.b_function, said.c_operator, said.d_types, said.e_field, said.f_collation, said.g_words, said.h_row}');
SELECT kpi.create_metric('said.i_derived', 'SELECT a_column / nullif(b_function, 0) FROM said.a_column, said.b_function'),
	   kpi.create_metric('said.j_filtered', 'SELECT measure(a_column) FROM said.sales WHERE digit = 1');
SELECT kpi.alter_metric_view('said.sales', add_metrics => '{said.i_derived, said.j_filtered}');
SELECT kpi.create_metric('said.k_typed', 'SELECT sum(value) FROM raw.typed'), kpi.create_metric_view('said.typed', '{unit}', '{said.k_typed}');
RESET ROLE;
SELECT * FROM said ORDER BY 1;

-- Every name in them becomes another, by the role that owns what has it
SET ROLE regress_kpi_other;
ALTER TABLE raw.parent RENAME COLUMN refund TO paid_back;
ALTER FUNCTION raw.net_of RENAME TO left_of;
ALTER AGGREGATE raw.total(numeric) RENAME TO sum_of;
ALTER TYPE raw.mood RENAME VALUE 'good' TO 'fine';
ALTER TYPE raw.mood RENAME TO temper;
ALTER DOMAIN raw.cents RENAME TO pence;
ALTER TYPE raw.money_of RENAME ATTRIBUTE value TO amount CASCADE;
ALTER TYPE raw.money_of RENAME TO price_of;
ALTER COLLATION raw.by_byte RENAME TO bytewise;
ALTER TEXT SEARCH CONFIGURATION raw.words RENAME TO lexemes;
ALTER TABLE raw.parent RENAME TO forebear;
ALTER TABLE raw.lines RENAME TO "Order lines";
RESET ROLE;
SELECT * FROM said ORDER BY 1;
CREATE SCHEMA moved;
GRANT USAGE ON SCHEMA moved TO regress_kpi_maker, regress_kpi_other;
ALTER OPERATOR raw.|+| (numeric, numeric) SET SCHEMA moved;
ALTER TABLE raw."Order lines" SET SCHEMA moved;
SELECT * FROM said WHERE "column" ~ 'column|operator' ORDER BY 1;
ALTER SCHEMA moved RENAME TO raw2;
ALTER SCHEMA raw RENAME TO raw1;
SELECT * FROM said WHERE NOT as_defined OR "column" ~ 'operator|words' ORDER BY 1;
SELECT * FROM kpi.check() WHERE problem ~ 'comment';

-- Metrics and metric views are renamed, moved and replaced; a unit stands beside the name where there is no label
SET ROLE regress_kpi_maker;
SELECT kpi.alter_metric('said.b_function', unit => 'pieces');
ALTER VIEW said.b_function RENAME TO b_total;
ALTER VIEW said.b_total RENAME COLUMN b_function TO b_total;
ALTER VIEW said.sales RENAME COLUMN digit TO last_digit;
ALTER VIEW said.sales RENAME TO selling;
RESET ROLE;
SELECT * FROM said WHERE NOT as_defined OR "column" ~ 'b_|i_|j_' ORDER BY 1;
SELECT obj_description('said.b_total'::regclass);
SET ROLE regress_kpi_maker;
CREATE OR REPLACE VIEW said.a_column AS SELECT sum(amount) * 3 AS a_column FROM raw2."Order lines";
CREATE OR REPLACE RULE "_RETURN" AS ON SELECT TO said.e_field DO INSTEAD SELECT sum(amount) AS e_field FROM raw2."Order lines";
SELECT kpi.alter_metric('said.c_operator', definition => 'SELECT sum(amount) FROM raw2."Order lines"');
SELECT kpi.alter_metric('said.d_types', label => 'Types');
RESET ROLE;
ALTER VIEW said.f_collation SET SCHEMA public;
SELECT * FROM said WHERE NOT as_defined OR "column" ~ '[a-f]_' ORDER BY 1;

-- a rollback takes it back; a column more of a metric view that is replaced by hand has its comment, too; one that is no
-- measure any more has none
BEGIN;
ALTER TABLE raw2."Order lines" RENAME TO gone;
ROLLBACK;
SELECT * FROM said WHERE NOT as_defined;
SET ROLE regress_kpi_maker;
SELECT kpi.create_metric('said.l_count', 'SELECT count(*) FROM raw1.typed');
CREATE OR REPLACE VIEW said.typed AS SELECT unit, kpi.metric_column('said.k_typed'::regclass, NULL::numeric) AS k_typed, kpi.metric_column('said.l_count'::regclass, NULL::bigint) AS l_count FROM raw1.typed;
RESET ROLE;
SELECT * FROM said WHERE "column" ~ 'typed' ORDER BY 1;
BEGIN;
CREATE OR REPLACE VIEW said.typed AS SELECT unit, kpi.metric_column('said.k_typed'::regclass, NULL::numeric) AS k_typed, 1::bigint AS l_count FROM raw1.typed;
SELECT attnum, col_description('said.typed'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'said.typed'::regclass AND attnum > 0 ORDER BY 1;
ROLLBACK;

-- A dimension's comment is its source column's, unless somebody wrote another
COMMENT ON COLUMN raw2."Order lines".region IS 'region of the shop';
COMMENT ON COLUMN raw2."Order lines".sold_on IS 'day of sale';
SELECT name, description FROM kpi.dimensions WHERE metric_view = 'said.selling'::regclass ORDER BY position;
COMMENT ON COLUMN said.selling.sold_on IS 'Day';
COMMENT ON COLUMN raw2."Order lines".sold_on IS 'day of the sale';
COMMENT ON COLUMN raw2."Order lines".region IS NULL;
SELECT name, description FROM kpi.dimensions WHERE metric_view = 'said.selling'::regclass ORDER BY position;

-- What somebody replaced or removed is his
COMMENT ON COLUMN said.selling.a_column IS 'Definition: ask Li';
COMMENT ON COLUMN said.selling.c_operator IS NULL;
COMMENT ON VIEW said.b_total IS 'my own words';
ALTER TABLE raw2."Order lines" RENAME TO lines;
SET ROLE regress_kpi_maker;
SELECT kpi.alter_metric('said.a_column', label => 'Net value'), kpi.alter_metric('said.c_operator', label => 'Sum'), kpi.alter_metric('said.b_total', label => 'Total');
SELECT kpi.alter_metric('said.j_filtered', definition => 'SELECT sum(amount) FROM raw2.lines');
SELECT kpi.alter_metric_view('said.selling', drop_metrics => '{b_function,h_row}', label => 'Selling');
SELECT kpi.refresh_comments(), kpi.refresh_comments('said.selling');
RESET ROLE;
SELECT * FROM said WHERE NOT as_defined IS TRUE ORDER BY 1;
SELECT obj_description('said.b_total'::regclass) AS metric, obj_description('said.selling'::regclass) AS metric_view;
SELECT * FROM kpi.check() WHERE problem ~ 'comment';
-- the column that went, and those behind it, were made again: what was ours still is
ALTER TABLE raw2.lines RENAME TO order_lines;
SELECT * FROM said WHERE NOT as_defined IS TRUE OR "column" ~ 'i_' ORDER BY 1;
-- and it can be asked for
SET ROLE regress_kpi_maker;
SELECT kpi.refresh_comments('said.a_column', replaced => true), kpi.refresh_comments('said.selling', true), kpi.refresh_comments(replaced => true), kpi.refresh_comments();
RESET ROLE;
SELECT * FROM said WHERE NOT as_defined IS TRUE OR "column" ~ '[ac]_' ORDER BY 1;
SELECT obj_description('said.b_total'::regclass) AS metric, obj_description('said.selling'::regclass) AS metric_view;
SELECT name, description FROM kpi.dimensions WHERE metric_view = 'said.selling'::regclass ORDER BY position;
-- by their owner
GRANT USAGE ON SCHEMA said TO regress_kpi_other;
SET ROLE regress_kpi_other;
SELECT kpi.refresh_comments();
SELECT kpi.refresh_comments('said.selling');
SELECT kpi.refresh_comments('raw2.order_lines');
SELECT kpi.refresh_comments(4294967295::regclass);
RESET ROLE;

-- Where the event trigger did not see a change, check() tells, and the remedy helps
ALTER EVENT TRIGGER kpi_follow_definitions DISABLE;
ALTER TABLE raw1.forebear RENAME COLUMN amount TO value;
SELECT * FROM kpi.check() WHERE problem ~ 'comment|event trigger' ORDER BY 2;
SELECT remedy FROM kpi.check() WHERE problem ~ 'comment|event trigger' ORDER BY 1 \gexec
SELECT * FROM kpi.check() WHERE problem ~ 'comment|event trigger';
SELECT * FROM said WHERE NOT as_defined;
-- in whatever session
SET quote_all_identifiers = on;
SET search_path = raw2, said;
SELECT * FROM kpi.check() WHERE problem ~ 'comment';
ALTER TABLE raw1.forebear RENAME COLUMN value TO amount;
RESET quote_all_identifiers;
RESET search_path;
SELECT * FROM kpi.check() WHERE problem ~ 'comment';
SELECT comment FROM said WHERE "column" ~ 'c_op';

-- A failure is a warning
SET client_min_messages = notice;
ALTER TABLE kpi.written_comment RENAME TO elsewhere;
ALTER TABLE raw1.forebear RENAME COLUMN amount TO value;
ALTER TABLE kpi.elsewhere RENAME TO written_comment;
SELECT kpi.refresh_comments() > 0 AS refreshed;
-- what concerns no metric, and what is dropped, leaves nothing
SET client_min_messages = warning;
CREATE TABLE raw2.any (i integer);
ALTER TABLE raw2.any RENAME TO "none";
SELECT kpi.drop_metric_view('said.typed');
SELECT count(*) FROM kpi.written_comment AS w WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = w.relid);

DROP SCHEMA said, raw1, raw2 CASCADE;
DROP VIEW said;
SELECT count(*) FROM kpi.written_comment;
DROP ROLE regress_kpi_maker, regress_kpi_other;
