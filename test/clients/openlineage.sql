-- A company for openlineage_test.py: every kind of relation and many shapes of views, metrics and metric views over
-- them, and names, comments and values that are hard to write down.
-- Contract: run in one transaction as a superuser; what it makes stands in the schemas shop, bi and "o'dd ""部门"".x".

CREATE SCHEMA shop;
CREATE SCHEMA bi;
CREATE SCHEMA "o'dd ""部门"".x";

CREATE TABLE shop.stores (store_id integer PRIMARY KEY, gone text, store text NOT NULL, region text, opened date);
ALTER TABLE shop.stores DROP COLUMN gone;
COMMENT ON TABLE shop.stores IS E'stores; "first" line\nsecond line \\ <script>alert(1)</script> \x1b[31mred\x1b[0m 门店';
COMMENT ON COLUMN shop.stores.region IS 'where the store is, ''as people say''';
CREATE TABLE shop.order_lines (line_id bigint, order_id bigint, ordered_on date NOT NULL, store_id integer,
  status text, quantity integer, amount numeric(12,2), refund numeric(12,2)) PARTITION BY RANGE (ordered_on);
CREATE TABLE shop.order_lines_2025 PARTITION OF shop.order_lines FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE shop.order_lines_2026 PARTITION OF shop.order_lines FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
  PARTITION BY LIST (status);
CREATE TABLE shop.order_lines_2026_paid PARTITION OF shop.order_lines_2026 FOR VALUES IN ('paid');
CREATE TABLE shop.categories (category_id integer, parent_id integer, category text);
CREATE TABLE shop.nothing ();
CREATE FOREIGN DATA WRAPPER openlineage_nowhere;
CREATE SERVER openlineage_nowhere FOREIGN DATA WRAPPER openlineage_nowhere;
CREATE FOREIGN TABLE shop.rates (day date, currency char(3), rate double precision) SERVER openlineage_nowhere;
CREATE TYPE shop.part AS (code text, weight numeric);

CREATE TABLE "o'dd ""部门"".x"."订 单.""x""" ("金额 ""元""" numeric, "a'b" text, "日期
行" date, "sum(x)" integer);
COMMENT ON COLUMN "o'dd ""部门"".x"."订 单.""x"""."金额 ""元""" IS '含税金额 "元"';

-- ---- views -----------------------------------------------------------------------------------------------------------

CREATE VIEW shop.sales AS
  SELECT l.line_id, l.order_id, l.ordered_on, l.status, l.quantity, l.amount, l.refund, s.store, s.region
  FROM shop.order_lines l LEFT JOIN shop.stores s USING (store_id);
COMMENT ON VIEW shop.sales IS 'order lines with their stores';
CREATE VIEW shop.both_years AS
  SELECT line_id, amount FROM shop.order_lines_2025 UNION ALL SELECT line_id, amount * 1.0 FROM shop.order_lines_2026
  EXCEPT SELECT line_id, refund FROM shop.order_lines;
CREATE VIEW shop.by_region AS
  SELECT region, count(*) AS lines, sum(amount) AS amount, sum(amount) FILTER (WHERE status = 'paid') AS paid,
         array_agg(store ORDER BY ordered_on) AS stores, 'max(' || max(store) || ')' AS last_store
  FROM shop.sales GROUP BY region HAVING count(*) > 1 ORDER BY sum(amount) DESC;
CREATE VIEW shop.ranked AS
  WITH paid AS MATERIALIZED (SELECT * FROM shop.sales WHERE status = 'paid')
  SELECT line_id, rank() OVER (PARTITION BY region ORDER BY amount DESC) AS place,
         sum(amount) OVER (PARTITION BY store ORDER BY ordered_on) AS running,
         CASE WHEN quantity > 10 THEN 'many' ELSE 'few' END AS size, 'sum(' || store AS label
  FROM paid;
CREATE VIEW shop.tree AS
  WITH RECURSIVE tree AS (
    SELECT category_id, category, 0 AS depth FROM shop.categories WHERE parent_id IS NULL
    UNION ALL
    SELECT c.category_id, t.category || '/' || c.category, t.depth + 1
    FROM tree t JOIN shop.categories c ON c.parent_id = t.category_id)
  SELECT * FROM tree;
CREATE VIEW shop.latest AS
  SELECT DISTINCT ON (s.store) s.store, x.amount, (SELECT max(rate) FROM shop.rates r WHERE r.day = x.ordered_on) AS rate
  FROM shop.stores s CROSS JOIN LATERAL
    (SELECT l.amount, l.ordered_on FROM shop.order_lines l WHERE l.store_id = s.store_id LIMIT 3) x
  WHERE EXISTS (SELECT FROM shop.categories c WHERE c.category = s.region)
  ORDER BY s.store, x.ordered_on DESC;
CREATE VIEW shop.constants AS SELECT * FROM (VALUES (1, 'one', interval '1 day'), (2, 'two', '2 hours')) AS v (n, word, period);
CREATE VIEW shop.empty AS SELECT FROM shop.nothing;
CREATE MATERIALIZED VIEW shop.monthly AS
  SELECT date_trunc('month', ordered_on)::date AS month, region, sum(amount - refund) AS net, grouping(region) AS level
  FROM shop.sales WHERE ordered_on >= '2025-01-01' GROUP BY ROLLUP (1), CUBE (region) WITH NO DATA;
COMMENT ON COLUMN shop.monthly.net IS 'after refunds';

CREATE FUNCTION shop.sold(since date, OUT store text, OUT pieces bigint) RETURNS SETOF record STABLE
BEGIN ATOMIC
  SELECT s.store, sum(s.quantity) FROM shop.sales s WHERE s.ordered_on >= since GROUP BY s.store;
END;
COMMENT ON FUNCTION shop.sold IS 'pieces by store';
CREATE FUNCTION shop.lines_of(store integer) RETURNS SETOF shop.order_lines STABLE
BEGIN ATOMIC
  SELECT * FROM shop.order_lines l WHERE l.store_id = lines_of.store;
END;
CREATE FUNCTION shop.days() RETURNS SETOF date STABLE BEGIN ATOMIC SELECT opened FROM shop.stores; END;
CREATE FUNCTION shop.net(amount numeric, refund numeric) RETURNS numeric IMMUTABLE RETURN amount - refund;
CREATE FUNCTION shop.parts() RETURNS SETOF shop.part LANGUAGE plpgsql AS 'BEGIN RETURN; END';
CREATE VIEW shop.from_functions AS
  SELECT a.store, a.pieces, l.amount, shop.net(l.amount, l.refund) AS net, p.code, g AS n, d AS day
  FROM shop.sold('2026-01-01') a, shop.lines_of(7) l, shop.parts() p, generate_series(1, 3) g, shop.days() d;

CREATE VIEW "o'dd ""部门"".x"."汇总 'v'" AS
  SELECT "a'b" AS "b""c", sum("金额 ""元""") AS "合计.x", max("sum(x)") AS "E'\\", "日期
行" AS d
  FROM "o'dd ""部门"".x"."订 单.""x""" GROUP BY "a'b", "日期
行";
CREATE VIEW shop.over_odd AS SELECT v."合计.x" AS total, v."b""c" AS "B" FROM "o'dd ""部门"".x"."汇总 'v'" v;

-- ---- metrics ---------------------------------------------------------------------------------------------------------

SELECT kpi.create_metric('bi.net_revenue', $$ SELECT sum(amount) - sum(refund) FROM shop.sales WHERE status <> 'cancelled' $$,
  label => 'Net revenue', unit => 'CNY', description => 'Sales after refunds');
SELECT kpi.create_metric('bi.lines', $$ SELECT count(*) FROM shop.sales $$);
SELECT kpi.create_metric('bi.paid_lines', $$ SELECT count(*) FILTER (WHERE status = 'paid') FROM shop.sales $$);
SELECT kpi.create_metric('bi.line_value', $$ SELECT net_revenue / nullif(lines, 0) FROM bi.net_revenue, bi.lines $$);
SELECT kpi.create_metric('bi.unpublished', $$ SELECT avg(net) FROM shop.monthly $$);
SELECT kpi.create_metric('bi.regions', $$ SELECT max(lines) FROM shop.by_region $$);
SELECT kpi.create_metric('bi.places', $$ SELECT count(DISTINCT size) FROM shop.ranked $$);
SELECT kpi.create_metric('bi.deepest', $$ SELECT max(depth) FROM shop.tree $$);
SELECT kpi.create_metric('bi.latest_rate', $$ SELECT avg(rate) FROM shop.latest $$);
SELECT kpi.create_metric('bi.words', $$ SELECT count(word) FROM shop.constants $$);
SELECT kpi.create_metric('bi.void', $$ SELECT count(*) FROM shop.empty $$);
SELECT kpi.create_metric('bi.years', $$ SELECT sum(amount) FROM shop.both_years $$);
SELECT kpi.create_metric('bi.pieces', $$ SELECT sum(pieces) FROM shop.from_functions $$);
SELECT kpi.create_metric('bi."净 ""收入"".m"', $$ SELECT sum(total) FROM shop.over_odd WHERE "B" <> 'it''s "B"' $$,
  label => '净收入 "m"', unit => '元', description => E'first\nsecond');
SELECT kpi.create_metric_view('bi.sales',
  dimensions => ARRAY['ordered_on', 'region', 'date_trunc(''month'', ordered_on::timestamp)::date AS "月 ""m"""'],
  metrics => '{bi.net_revenue, bi.lines, bi.paid_lines, bi.line_value}', label => 'Sales', description => 'All stores');
SELECT kpi.create_metric('bi.east', $$ SELECT measure(net_revenue) FROM bi.sales WHERE region = 'East' $$);
SELECT kpi.create_metric_view('bi."视 图"', dimensions => ARRAY['"B"'], metrics => ARRAY['bi."净 ""收入"".m" AS "净"']);
