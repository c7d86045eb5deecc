-- L1, I11: lineage as DOT and as SVG. Any graph can be drawn, so here kpi.upstream() and kpi.downstream() tell the edges of a
-- table; all of it is undone at the end.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\pset tuples_only on
\pset format unaligned
\set ON_ERROR_ROLLBACK on
BEGIN;
CREATE SCHEMA picture;
CREATE TABLE picture.edge (source_type text, source text, source_column text, target_type text, target text,
  target_column text, kind text DEFAULT 'value', transformation text);
CREATE OR REPLACE FUNCTION kpi.upstream(object text, OUT depth int, OUT source_type text, OUT source text,
  OUT source_column text, OUT target_type text, OUT target text, OUT target_column text, OUT kind text,
  OUT transformation text, OUT path text[]) RETURNS SETOF record LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN object IN (target, target || '.' || target_column) THEN 1 ELSE 2 END, e.*, ARRAY[object]
    FROM picture.edge e WHERE object NOT IN (source, coalesce(source || '.' || source_column, source)) ORDER BY random() $$;
CREATE OR REPLACE FUNCTION kpi.downstream(object text, OUT depth int, OUT source_type text, OUT source text,
  OUT source_column text, OUT target_type text, OUT target text, OUT target_column text, OUT kind text,
  OUT transformation text, OUT path text[]) RETURNS SETOF record LANGUAGE sql STABLE AS $$
  SELECT 1, e.*, ARRAY[object]
    FROM picture.edge e WHERE object IN (source, source || '.' || source_column) ORDER BY random() $$;
-- the next graph
CREATE PROCEDURE picture.clear() LANGUAGE sql BEGIN ATOMIC DELETE FROM picture.edge; END;
-- boxes of a drawing: name, left, top, right, bottom
CREATE FUNCTION picture.boxes(object text, OUT name text, OUT x1 numeric, OUT y1 numeric, OUT x2 numeric, OUT y2 numeric)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
  SELECT name, x, y, x + width, y + height
    FROM XMLTABLE(XMLNAMESPACES('http://www.w3.org/2000/svg' AS s), '/s:svg/s:g[s:title]'
      PASSING xmlparse(DOCUMENT kpi.lineage_svg(object)) COLUMNS name text PATH 's:title', x numeric PATH 's:rect[1]/@x',
      y numeric PATH 's:rect[1]/@y', width numeric PATH 's:rect[1]/@width', height numeric PATH 's:rect[1]/@height') $$;
-- what must hold for every drawing: how many boxes, how many overlap, how many edges, how many of them do not begin and end at
-- a side of a box, do not go from left to right, pass through a box
CREATE FUNCTION picture.judge(object text, OUT boxes bigint, OUT overlapping bigint, OUT edges bigint, OUT loose bigint, OUT backward bigint,
  OUT crossing bigint)
LANGUAGE sql STABLE AS $$
  WITH box AS MATERIALIZED (SELECT row_number() OVER () AS n, * FROM picture.boxes(object)),
  edge AS MATERIALIZED (
    SELECT d, m[1]::numeric AS x1, m[2]::numeric AS y1, m[3]::numeric AS x2, m[4]::numeric AS y2
      FROM XMLTABLE(XMLNAMESPACES('http://www.w3.org/2000/svg' AS s), '//s:path[s:title]'
        PASSING xmlparse(DOCUMENT kpi.lineage_svg(object)) COLUMNS d text PATH '@d'),
      regexp_match(d, '^M([-\d.]+) ([-\d.]+)C.* ([-\d.]+) ([-\d.]+)$') m)
  SELECT (SELECT count(*) FROM box),
    (SELECT count(*) FROM box a, box b WHERE a.n < b.n AND a.x1 < b.x2 AND b.x1 < a.x2 AND a.y1 < b.y2 AND b.y1 < a.y2),
    (SELECT count(*) FROM edge),
    (SELECT count(*) FROM edge e WHERE NOT EXISTS (SELECT FROM box WHERE e.x1 IN (box.x1, box.x2) AND e.y1 BETWEEN box.y1 AND box.y2)
       OR NOT EXISTS (SELECT FROM box WHERE e.x2 = box.x1 AND e.y2 BETWEEN box.y1 AND box.y2)),
    (SELECT count(*) FROM edge WHERE edge.x1 > edge.x2),
    (SELECT count(*) FROM edge, regexp_matches(d, '([-\d.]+) ([-\d.]+)H([-\d.]+)', 'g') h, box
      WHERE h[1]::numeric < box.x2 AND h[3]::numeric > box.x1 AND h[2]::numeric BETWEEN box.y1 AND box.y2) $$;

-- an object without edges is a box
SELECT kpi.lineage_dot('shop.lonely');
SELECT * FROM picture.boxes('shop.lonely');
SELECT kpi.lineage_svg(NULL) IS NULL, kpi.lineage_dot(NULL) IS NULL;

-- a metric, what it comes from and what depends on it: every kind of edge, two edges that look alike, the same edge twice
INSERT INTO picture.edge VALUES
  ('table', 'shop.order_lines', 'amount', 'view', 'shop.sales', 'amount', 'value', 'l.amount'),
  ('table', 'shop.order_lines', 'refund', 'view', 'shop.sales', 'amount', 'value', 'l.amount - l.refund'),
  ('table', 'shop.order_lines', 'store_id', 'view', 'shop.sales', NULL, 'join', 'l.store_id = s.store_id'),
  ('table', 'shop.stores', 'store_id', 'view', 'shop.sales', NULL, 'join', 'l.store_id = s.store_id'),
  ('table', 'shop.stores', 'city', 'view', 'shop.sales', 'city', 'group', 's.city'),
  ('table', 'shop.stores', 'city', 'view', 'shop.sales', 'city', 'order', 's.city'),
  ('view', 'shop.sales', 'amount', 'metric', 'finance.net_revenue', 'net_revenue', 'value', 'sum(amount)'),
  ('view', 'shop.sales', 'amount', 'metric', 'finance.net_revenue', 'net_revenue', 'value', 'sum(amount)'),
  ('view', 'shop.sales', 'city', 'metric', 'finance.net_revenue', NULL, 'filter', 'city <> ''Ulm'''),
  ('view', 'shop.sales', 'city', 'metric', 'finance.net_revenue', NULL, 'filter', 'city IS NOT NULL'),
  ('metric', 'finance.net_revenue', 'net_revenue', 'metric view', 'bi.sales', 'net_revenue', 'value', NULL);
SELECT kpi.lineage_dot('finance.net_revenue');
SELECT kpi.lineage_svg('finance.net_revenue');
SELECT * FROM picture.judge('finance.net_revenue');
-- a column that was asked for is marked in its box
SELECT regexp_matches(kpi.lineage_dot('shop.sales.amount'), '<td[^<]*bgcolor="#ffedd5"[^<]*<', 'g');
SELECT regexp_matches(kpi.lineage_svg('shop.sales.amount'), '[^>]*font-weight="bold">amount<', 'g');
-- the same graph is the same picture, in whatever order the edges come
SELECT count(DISTINCT kpi.lineage_svg('finance.net_revenue')), count(DISTINCT kpi.lineage_dot('finance.net_revenue'))
  FROM generate_series(1, 20);

-- I11: names that try to be something else, and characters that XML does not allow
CALL picture.clear();
INSERT INTO picture.edge
  SELECT 'table', format('%I.%I', 's', name), name, 'view', 's.v', name, 'value', name || E'\nEND'
    FROM unnest(ARRAY['"', '&amp;', '</title><script>alert(1)</script>', ']]>', '-->', E'line\nend', E'\x1b[31mred', '\N\G"];}',
      E'\u0085\ufffe\uffff', '净收入', repeat('很', 21), repeat('x', 63), '']) AS name;
SELECT * FROM picture.judge('s.v');
SELECT name FROM picture.boxes('s.v') ORDER BY name COLLATE "C";
SELECT DISTINCT text COLLATE "C" AS text FROM XMLTABLE(XMLNAMESPACES('http://www.w3.org/2000/svg' AS s), '//s:text'
  PASSING xmlparse(DOCUMENT kpi.lineage_svg('s.v')) COLUMNS text text PATH '.') ORDER BY text;
SELECT kpi.lineage_svg('s.v') ~ '<script|[\x01-\x09\x0b-\x1f\x7f-\x9f]|\ufffe|\uffff', kpi.lineage_dot('s.v') ~ '<script|[\x01-\x08\x0b-\x1f\x7f-\x9f]|\\';
SELECT regexp_matches(kpi.lineage_dot('s.v'), '\[[^[]*净收入[^[]*\]', 'g');
-- wide characters need room: a box is as wide as its name
CALL picture.clear();
INSERT INTO picture.edge VALUES ('table', 's."' || repeat('很', 21) || '"', NULL, 'view', 's.v', NULL, 'value', NULL);
SELECT name, x2 - x1 >= 13 * 21 FROM picture.boxes('s.v') ORDER BY name COLLATE "C";

-- more columns than a box shows: their edges end at the title, and those that look alike are one
CALL picture.clear();
INSERT INTO picture.edge SELECT 'table', 's.t', 'c' || lpad(i::text, 2, '0'), 'view', 's.v', 'c' || lpad(i::text, 2, '0'), 'value', 'c' || i
  FROM generate_series(1, 50) i;
SELECT regexp_matches(kpi.lineage_svg('s.v'), 'and \d+ more', 'g');
SELECT regexp_matches(kpi.lineage_dot('s.v'), 'and \d+ more', 'g');
SELECT * FROM picture.judge('s.v');

-- partitions: many of one table are one box, with those of partitions; not the one that is read by itself or was asked for
CALL picture.clear();
INSERT INTO picture.edge
  SELECT 'table', 'p.y' || y || '_' || m, c, 'partitioned table', 'p.y' || y, c, 'value', c
    FROM generate_series(2024, 2025) y, generate_series(1, 3) m, unnest('{a,b}'::text[]) c
  UNION ALL SELECT 'partitioned table', 'p.y' || y, c, 'partitioned table', 'p.all', c, 'value', c
    FROM generate_series(2024, 2025) y, unnest('{a,b}'::text[]) c
  UNION ALL SELECT 'partitioned table', 'p.all', 'a', 'metric', 'p.m', 'm', 'value', 'sum(a)';
SELECT name FROM picture.boxes('p.m') ORDER BY name COLLATE "C";
SELECT * FROM picture.judge('p.m');
SELECT name FROM picture.boxes('p.y2024_1') ORDER BY name COLLATE "C";
SELECT name FROM picture.boxes('p.y2024') ORDER BY name COLLATE "C";
INSERT INTO picture.edge VALUES ('table', 'p.y2025_2', 'a', 'view', 'p.february', 'a', 'value', 'a');
SELECT name, count(*) FROM generate_series(1, 20) i, picture.boxes(left('p.m', 2 + i)) GROUP BY name ORDER BY name COLLATE "C";
DELETE FROM picture.edge WHERE source ~ '_[123]';
SELECT name FROM picture.boxes('p.m') ORDER BY name COLLATE "C";

-- cycles among relations, one within a relation, and a long way beside a short one
CALL picture.clear();
INSERT INTO picture.edge SELECT 'view', 'c.v' || i, 'a', 'view', 'c.v' || (i + 1) % 6, 'a', 'value', 'a' FROM generate_series(0, 5) i
  UNION ALL SELECT 'table', 'c.t', 'a', 'view', 'c.v0', 'a', 'value', 'a'
  UNION ALL SELECT 'table', 'c.t', 'a', 'table', 'c.t', 'b', 'value', 'a * 2'
  UNION ALL SELECT 'table', 'c.t', 'a', 'view', 'c.v5', 'a', 'value', 'a';
SELECT * FROM picture.judge('c.v3');
SELECT string_agg(name, ' ' ORDER BY x1, name COLLATE "C") FROM picture.boxes('c.v3');
SELECT regexp_matches(kpi.lineage_svg('c.v3'), 'marker-start[^/]*', 'g');

-- what a real graph of metrics looks like: five tables, a wide view, metrics over it and over them, metric
-- views, and a table that is near to where it is read
CALL picture.clear();
INSERT INTO picture.edge
  SELECT 'table', 'shop.t' || t, 'c' || c, 'view', 'shop.wide', 't' || t || 'c' || c, 'value', 'c' FROM generate_series(1, 5) t, generate_series(1, 7) c
  UNION ALL SELECT 'table', 'shop.t' || t, 'id', 'view', 'shop.wide', NULL, 'join', 'id' FROM generate_series(1, 5) t
  UNION ALL SELECT 'table', 'shop.rates', 'rate', 'metric view', 'bi.v1', 'rate', 'value', 'rate'
  UNION ALL SELECT 'view', 'shop.wide', 't' || 1 + m % 5 || 'c' || 1 + m * 3 % 7, 'metric', 'm.m' || m, 'm' || m, 'value', 'sum' FROM generate_series(1, 25) m
  UNION ALL SELECT 'view', 'shop.wide', 't1c1', 'metric', 'm.m' || m, NULL, 'filter', 't1c1 = 1' FROM generate_series(1, 25, 2) m
  UNION ALL SELECT 'metric', 'm.m' || m + d, 'm' || m + d, 'metric', 'm.d' || m, 'd' || m, 'value', 'a / b' FROM generate_series(1, 16) m, unnest('{0,7}'::int[]) d
  UNION ALL SELECT 'metric', 'm.m' || m, 'm' || m, 'metric view', 'bi.v' || v, 'm' || m, 'value', NULL FROM generate_series(1, 25) m, generate_series(1, 3) v WHERE m % v = 0
  UNION ALL SELECT 'metric', 'm.d' || m, 'd' || m, 'metric view', 'bi.v' || v, 'd' || m, 'value', NULL FROM generate_series(1, 16) m, generate_series(1, 3) v;
SELECT * FROM picture.judge('bi.v1');
SELECT count(*), min(name COLLATE "C"), max(name COLLATE "C") FROM picture.boxes('bi.v1') GROUP BY x1 ORDER BY x1;

-- edges that need not cross do not: twelve threads through three layers whose names are in another order each
CALL picture.clear();
INSERT INTO picture.edge
  SELECT 'view', 'x.a' || i, 'a', 'view', 'x.b' || i * 5 % 13, 'a', 'value', 'a' FROM generate_series(1, 12) i
  UNION ALL SELECT 'view', 'x.b' || i, 'a', 'view', 'x.c' || i * 7 % 13, 'a', 'value', 'a' FROM generate_series(1, 12) i
  UNION ALL SELECT 'view', 'x.c' || i, 'a', 'view', 'x.end', lpad((i * 3 % 13)::text, 2, '0'), 'value', 'a' FROM generate_series(1, 12) i;
WITH edge AS (SELECT m[1]::numeric AS x, m[2]::numeric AS y1, m[3]::numeric AS y2
  FROM regexp_matches(kpi.lineage_svg('x.end'), ' d="M(\d+) ([-\d.]+)C[^"]* ([-\d.]+)"', 'g') m)
SELECT (SELECT count(*) FROM edge), (SELECT count(*) FROM edge a, edge b WHERE a.x = b.x AND a.y1 < b.y1 AND a.y2 > b.y2) AS crossings;

-- limits are errors that name the number
CALL picture.clear();
INSERT INTO picture.edge SELECT 'table', 's.t' || i, 'a', 'view', 's.v' || i / 8, 'a', 'value', 'a' FROM generate_series(1, 1777) i;
SELECT * FROM picture.judge('s.v1');
INSERT INTO picture.edge SELECT 'table', 's.u', 'a', 'view', 's.v1', 'a', 'value', 'a';
SELECT kpi.lineage_svg('s.v1');
\echo :SQLSTATE
SELECT kpi.lineage_dot('s.v1');
CALL picture.clear();
INSERT INTO picture.edge SELECT 'view', 's.v' || i, 'a', 'view', 's.v' || j, 'a', 'value', 'a' FROM generate_series(1, 60) i, generate_series(i + 1, 60) j;
SELECT kpi.lineage_svg('s.v60');
\echo :SQLSTATE
SELECT length(kpi.lineage_dot('s.v60')) > 0;
INSERT INTO picture.edge VALUES ('view', 's.v1', 'a', 'view', 's.v2', 'a', 'guess', 'a');
SELECT kpi.lineage_dot('s.v60');
ROLLBACK;
