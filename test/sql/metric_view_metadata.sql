-- metric_view_metadata: labels of dimensions, row keys, and what measures show in rows that are not aggregated (M10).

\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET search_path = public, kpi;
CREATE SCHEMA said;
CREATE TABLE said.t (id integer PRIMARY KEY, code text UNIQUE, "Region" text, d date, amount numeric NOT NULL, part integer NOT NULL);
COMMENT ON COLUMN said.t.code IS 'code of the line';
COMMENT ON COLUMN said.t.d IS 'day';
INSERT INTO said.t SELECT i, 'c' || i, 'r' || i % 2, '2026-01-01', i, i FROM generate_series(1, 6) AS i;
SELECT create_metric('said.net', 'SELECT sum(amount) FROM said.t', label => 'Net'), create_metric('said.mean', 'SELECT avg(amount) FROM said.t'), create_metric('said.top', 'SELECT max(amount) FROM said.t'),
	   create_metric('said.lines', 'SELECT count(*) FROM said.t'), create_metric('said.double', 'SELECT net * 2 FROM said.net'), create_metric('said.double_double', 'SELECT double * 2 FROM said.double');
CREATE FUNCTION comments(text) RETURNS TABLE ("column" name, comment text) LANGUAGE sql AS
	$$ SELECT attname, col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum $$;

--
-- Labels are comments of the user's own; an empty one gives way to that of the source
--
SELECT create_metric_view('said.mv', '{code, Region, d, id % 2 AS odd}', '{said.net, said.mean, said.top, said.lines, said.double_double}',
						  labels => '{"Region": "Sales region\nwhere the shop is", "odd": "Odd?", "CODE": "Code"}');
SELECT * FROM comments('said.mv');
SELECT name, description FROM kpi.dimensions ORDER BY position;
SELECT alter_metric_view('said.mv', labels => '{"d": "Day of sale", "code": null}', rename => '{odd AS is_odd}');
SELECT alter_metric_view('said.mv', drop_dimensions => '{code}', add_dimensions => '{code AS line_code}', labels => '{"line_code": "Line"}');
COMMENT ON COLUMN said.t.d IS 'another day';
SELECT create_metric_view('said.mv', '{line_code, Region, d, is_odd}', '{said.net, said.mean, said.top, said.lines, said.double_double}', or_replace => true);
SELECT create_metric_view('said.mv', '{code AS line_code, Region, d, id % 2 AS is_odd}', '{said.net, said.mean, said.top, said.lines, said.double_double}', or_replace => true);
SELECT * FROM comments('said.mv') WHERE "column" !~ 'net|mean|top|lines|double';
SELECT alter_metric_view('said.mv', labels => '{"d": ""}');
SELECT * FROM comments('said.mv') WHERE "column" = 'd';
SELECT alter_metric_view('said.mv', labels => '{"nothing": "x"}');
SELECT alter_metric_view('said.mv', labels => '{"net": "x"}');
SELECT alter_metric_view('said.mv', labels => '{"d": {"label": "x"}}');
SELECT alter_metric_view('said.mv', labels => '["d"]');

--
-- The comment of a measure that is not additive says how to aggregate it, and follows where a component changes that
--
SELECT alter_metric('said.net', definition => 'SELECT round(avg(amount)) FROM said.t');
SELECT * FROM comments('said.mv') WHERE "column" ~ 'net|double';
SELECT alter_metric('said.net', definition => 'SELECT sum(amount) FROM said.t');
SELECT * FROM comments('said.mv') WHERE "column" ~ 'net|double';
SELECT * FROM kpi.check() WHERE object ~ 'said';

--
-- A row key is what a unique index and NOT NULL say
--
SELECT create_metric_view('said.keyed', '{code}', '{said.net}', row_key => 'id');
SELECT * FROM comments('said.keyed');
SELECT name, is_key FROM kpi.dimensions WHERE metric_view = 'said.keyed'::regclass ORDER BY position;
SELECT row_key FROM kpi.metric_views WHERE name = 'keyed';
SELECT alter_metric_view('said.keyed', rename => '{id AS line_id}', add_dimensions => '{d}', labels => '{"line_id": "Line"}');
SELECT row_key FROM kpi.metric_views WHERE name = 'keyed';
SELECT alter_metric_view('said.keyed', row_key => 'code');
SELECT alter_metric_view('said.keyed', row_key => 'part');
SELECT alter_metric_view('said.keyed', row_key => 'id + 1 AS next_id');
SELECT alter_metric_view('said.keyed', row_key => 'nothing');
CREATE UNIQUE INDEX ON said.t (part) WHERE part > 0;
CREATE UNIQUE INDEX ON said.t (part, d);
SELECT alter_metric_view('said.keyed', row_key => 'part');
CREATE UNIQUE INDEX part_key ON said.t (part);
SELECT alter_metric_view('said.keyed', row_key => 'part AS part_no');
SELECT name, is_key FROM kpi.dimensions WHERE metric_view = 'said.keyed'::regclass ORDER BY position;
SELECT create_metric_view('said.keyed', '{code, id AS line_id, d, part AS part_no}', '{said.net}', or_replace => true), row_key FROM kpi.metric_views WHERE name = 'keyed';
-- it is lost: check() tells
DROP INDEX said.part_key;
SELECT object, problem, remedy FROM kpi.check() WHERE object ~ 'said';
SELECT remedy FROM kpi.check() WHERE object ~ 'said' \gexec
SELECT object, problem, remedy FROM kpi.check() WHERE object ~ 'said';
SELECT alter_metric_view('said.keyed', row_key => 'line_id');
SELECT alter_metric_view('said.keyed', drop_dimensions => '{line_id}');
SELECT row_key FROM kpi.metric_views WHERE name = 'keyed';
-- sources: a view of one table, a join, a partitioned table, a table with children, a deferrable key
CREATE VIEW said.plain AS SELECT id AS line, amount, upper(code) AS code FROM said.t WHERE amount > 0;
CREATE VIEW said.joined AS SELECT t.id, t.amount FROM said.t JOIN said.t AS u USING (code);
CREATE TABLE said.parts (id integer PRIMARY KEY, v numeric) PARTITION BY RANGE (id);
CREATE TABLE said.parts_1 PARTITION OF said.parts FOR VALUES FROM (0) TO (10);
CREATE TABLE said.parent (id integer PRIMARY KEY, v numeric);
CREATE TABLE said.child () INHERITS (said.parent);
CREATE TABLE said.late (id integer NOT NULL UNIQUE DEFERRABLE, v numeric);
CREATE MATERIALIZED VIEW said.stored AS SELECT id, amount FROM said.t;
CREATE UNIQUE INDEX ON said.stored (id);
SELECT create_metric('said.' || s || '_m', format('SELECT count(*) FROM said.%I', s)) FROM unnest('{plain,joined,parts,parent,late,stored}'::text[]) AS s;
SELECT create_metric_view('said.plain_v', '{}', '{said.plain_m}', row_key => 'line'), create_metric_view('said.parts_v', '{v}', '{said.parts_m}', row_key => 'id');
SELECT create_metric_view('said.bad', '{}', '{said.plain_m}', row_key => 'code');
SELECT create_metric_view('said.bad', '{}', '{said.joined_m}', row_key => 'id');
SELECT create_metric_view('said.bad', '{}', '{said.parent_m}', row_key => 'id');
SELECT create_metric_view('said.bad', '{}', '{said.late_m}', row_key => 'id');
SELECT create_metric_view('said.bad', '{}', '{said.stored_m}', row_key => 'id');

--
-- Ungrouped: the stricter of what the view and the session say
--
SELECT create_metric_view('said.open', '{code}', '{said.net, said.mean}'), create_metric_view('said.hidden', '{code}', '{said.net, said.mean}', ungrouped => 'null'),
	   create_metric_view('said.closed', '{code}', '{said.net, said.mean}', ungrouped => 'error');
SELECT name, ungrouped FROM kpi.metric_views WHERE name IN ('open', 'hidden', 'closed') ORDER BY 1;
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text; detail text;
BEGIN
	EXECUTE statement INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ': ' || SQLERRM || ' / ' || detail;
END$$;
CREATE FUNCTION forms(view text) RETURNS TABLE (form text, result text) LANGUAGE sql AS $$
SELECT f, try(format(f, view)) FROM unnest(ARRAY['SELECT string_agg(net::text, '','') FROM (SELECT net FROM said.%s ORDER BY code LIMIT 2) AS s', 'SELECT net FROM said.%s ORDER BY code LIMIT 1',
	'SELECT v FROM said.%s AS v ORDER BY code LIMIT 1', 'SELECT to_json(v) FROM said.%s AS v ORDER BY code LIMIT 1', 'SELECT net * 2 FROM said.%s WHERE code = ''c3''', 'SELECT code FROM said.%s WHERE net > 5',
	'SELECT x FROM (SELECT net * 2 AS x FROM said.%s WHERE code = ''c3'') AS s', 'SELECT sum(net) FROM said.%s', 'SELECT measure(net) FROM (SELECT * FROM said.%s) AS s', 'SELECT count(*) FROM said.%s', 'SELECT code FROM said.%s ORDER BY code LIMIT 1']) AS f
$$;
SELECT o.form, o.result AS open, h.result AS hidden, c.result AS closed FROM forms('open') AS o JOIN forms('hidden') AS h USING (form) JOIN forms('closed') AS c USING (form) ORDER BY form COLLATE "C";
SET kpitables.ungrouped = 'null';
SELECT o.form, o.result AS open, h.result AS hidden, c.result AS closed FROM forms('open') AS o JOIN forms('hidden') AS h USING (form) JOIN forms('closed') AS c USING (form) WHERE form ~ 'ORDER BY code LIMIT 1$' ORDER BY form COLLATE "C";
SET kpitables.ungrouped = 'error';
SELECT o.result AS open, h.result AS hidden, c.result AS closed FROM forms('open') AS o JOIN forms('hidden') AS h USING (form) JOIN forms('closed') AS c USING (form) WHERE form ~ '^SELECT net FROM';
RESET kpitables.ungrouped;
-- plans follow
SET plan_cache_mode = force_generic_plan;
PREPARE preview AS SELECT net FROM said.open WHERE code = 'c3';
EXECUTE preview;
SELECT alter_metric_view('said.open', ungrouped => 'null');
EXECUTE preview;
SELECT alter_metric_view('said.open', ungrouped => 'error');
EXECUTE preview;
SELECT alter_metric_view('said.open', label => 'Open');
SELECT alter_metric_view('said.open', add_metrics => '{said.lines}');
SELECT alter_metric_view('said.open', drop_metrics => '{lines}');
EXECUTE preview;
SELECT alter_metric_view('said.open', ungrouped => '');
EXECUTE preview;
SELECT alter_metric_view('said.open', ungrouped => 'nothing');
-- two metric views in one query, each as it is
SELECT o.code, o.net AS open, h.net AS hidden FROM said.open AS o JOIN said.hidden AS h USING (code) ORDER BY 1 LIMIT 1;
SELECT * FROM kpi.check() WHERE object ~ 'said';

DROP SCHEMA said CASCADE;
DROP FUNCTION comments, forms, try;
