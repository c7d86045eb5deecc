\set ECHO none
-- Fixture of the measure tests, read by \i: schema mart with a base table, metrics over it of every kind, the metric view
-- mart.sales, and two functions that judge. Contract: rows depend on their number alone; the test drops the schema.
--   same(measured, written)  runs both queries and compares their rows as text, to the digit, in any order
--   refusal(query)           runs a query and returns SQLSTATE, message, detail and hint of its error
-- In their arguments {revenue}, {aov} and so on stand for what an expert writes instead of the measure; {written} is the
-- list of all of these, and {measured} the same list of measure(revenue), measure(aov) and so on.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET TIME ZONE 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA mart;
SET search_path = mart, kpi, public;

CREATE TABLE mart.orders (
  id int PRIMARY KEY, day date NOT NULL, region text, city text NOT NULL, channel text NOT NULL, list numeric NOT NULL,
  customer int NOT NULL, status text NOT NULL, amount numeric(12,2), refund numeric(12,2) NOT NULL, qty int
);
INSERT INTO mart.orders
SELECT i, date '2024-01-01' + i * 7 % 90,
       CASE WHEN i % 11 <> 0 THEN ('{East,West,West,North}'::text[])[1 + i % 4] END,
       ('{上海,北京,"O''Hara",Ulm,Ürgüp}'::text[])[1 + i % 5], ('{web,shop,phone}'::text[])[1 + i % 3],
       ('{1.0,1.00,2}'::numeric[])[1 + i % 3], i % 37, ('{paid,paid,open,paid,void}'::text[])[1 + i / 3 % 5],
       CASE WHEN i % 23 <> 0 THEN (i * 7919 % 10007) / 100.0 END,
       CASE WHEN i % 9 = 0 THEN 5 + i % 13 ELSE 0 END, CASE WHEN i % 8 <> 0 THEN i % 5 END
FROM generate_series(1, 240) AS i;
ANALYZE mart.orders;

CREATE AGGREGATE mart.xor_all(bigint) (SFUNC = int8xor, STYPE = bigint, INITCOND = '0');

SELECT count(create_metric('mart.' || name, definition)) AS metrics FROM (VALUES
  ('revenue', $$ SELECT sum(amount) - sum(refund) FROM mart.orders WHERE status = 'paid' $$),
  ('orders_paid', $$ SELECT count(*) FROM mart.orders WHERE status = 'paid' $$),
  ('buyers', $$ SELECT count(DISTINCT customer) FROM mart.orders WHERE status = 'paid' $$),
  ('median', $$ SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) FROM mart.orders $$),
  ('top', $$ SELECT max(amount) FILTER (WHERE refund = 0) FROM mart.orders $$),
  ('units', $$ SELECT sum(qty) FROM mart.orders $$),
  ('print', $$ SELECT mart.xor_all(id::bigint * 31) FROM mart.orders $$),
  ('channels', $$ SELECT string_agg(DISTINCT channel, ',' ORDER BY channel) FROM mart.orders WHERE qty > 0 $$)
) AS v(name, definition);
SELECT create_metric('mart.aov', $$ SELECT revenue / nullif(orders_paid, 0) FROM mart.revenue, mart.orders_paid $$);
SELECT create_metric('mart.lift', $$ SELECT aov - median::numeric FROM mart.aov, mart.median $$);
SELECT create_metric_view('mart.sales',
  dimensions => '{id, day, "date_trunc(''month'', day)::date AS month", region, city, channel, list, customer, status, qty}',
  metrics => '{mart.revenue, mart.orders_paid, mart.buyers, mart.median, mart.top, mart.units, mart.print, mart.channels, mart.aov, mart.lift}');
SELECT create_metric('mart.web_revenue', $$ SELECT measure(revenue) FROM mart.sales WHERE channel = 'web' $$);
SELECT alter_metric_view('mart.sales', add_metrics => '{mart.web_revenue}');

CREATE TABLE mart.formulas (name text PRIMARY KEY, position serial, formula text NOT NULL);
INSERT INTO mart.formulas (name, formula) VALUES
  ('revenue', $$(sum(amount) FILTER (WHERE status = 'paid') - sum(refund) FILTER (WHERE status = 'paid'))$$),
  ('orders_paid', $$count(*) FILTER (WHERE status = 'paid')$$),
  ('buyers', $$count(DISTINCT customer) FILTER (WHERE status = 'paid')$$),
  ('median', $$percentile_cont(0.5) WITHIN GROUP (ORDER BY amount)$$),
  ('top', $$max(amount) FILTER (WHERE refund = 0)$$),
  ('units', $$sum(qty)$$),
  ('print', $$mart.xor_all(id::bigint * 31)$$),
  ('channels', $$string_agg(DISTINCT channel, ',' ORDER BY channel) FILTER (WHERE qty > 0)$$),
  ('aov', $$({revenue} / nullif({orders_paid}, 0))$$),
  ('lift', $$({aov} - {median}::numeric)$$),
  ('web_revenue', $$(sum(amount) FILTER (WHERE status = 'paid' AND channel = 'web') - sum(refund) FILTER (WHERE status = 'paid' AND channel = 'web'))$$);
INSERT INTO mart.formulas (name, formula)
SELECT 'written', string_agg('{' || name || '}', ', ' ORDER BY position) FROM mart.formulas
UNION ALL SELECT 'measured', string_agg('measure(' || name || ')', ', ' ORDER BY position) FROM mart.formulas;

CREATE FUNCTION mart.rows_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
  WHILE EXISTS (SELECT FROM mart.formulas WHERE query LIKE '%{' || name || '}%') LOOP
    SELECT replace(query, '{' || name || '}', formula) INTO query FROM mart.formulas
    WHERE query LIKE '%{' || name || '}%' ORDER BY position DESC LIMIT 1;
  END LOOP;
  FOR r IN EXECUTE query LOOP
    RETURN NEXT r::text;
  END LOOP;
END $$;
CREATE FUNCTION mart.same(measured text, written text) RETURNS text LANGUAGE sql AS $$
  WITH m AS MATERIALIZED (SELECT r, count(*) AS n FROM mart.rows_of(measured) AS r GROUP BY r),
       w AS MATERIALIZED (SELECT r, count(*) AS n FROM mart.rows_of(written) AS r GROUP BY r)
  SELECT CASE WHEN count(*) FILTER (WHERE m.n IS DISTINCT FROM w.n) = 0
              THEN format('same %s', coalesce(sum(m.n), 0))
              ELSE format('DIFFERENT: measured %s, written %s', left(array_agg(m.r ORDER BY m.r) FILTER (WHERE m.n IS DISTINCT FROM w.n)::text, 300),
                          left(array_agg(w.r ORDER BY w.r) FILTER (WHERE m.n IS DISTINCT FROM w.n)::text, 300)) END
  FROM m FULL JOIN w USING (r) $$;
CREATE FUNCTION mart.refusal(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE message text; detail text; hint text; result text;
BEGIN
  result := 'NOT REFUSED: ' || left(array(SELECT r FROM mart.rows_of(query) r LIMIT 9)::text, 200);
  RETURN result;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  result := concat_ws(E'\n', sqlstate || ': ' || message, 'detail: ' || nullif(detail, ''), 'hint: ' || nullif(hint, ''));
  -- M7: a statement that the message tells to write must work
  BEGIN
    EXECUTE 'EXPLAIN ' || substring(message FROM 'write: ((SELECT|WITH|INSERT|UPDATE|DELETE) .*)$');
  EXCEPTION
    WHEN null_value_not_allowed THEN NULL;      -- it tells none
    WHEN OTHERS THEN RETURN result || E'\nTHAT FAILS: ' || sqlerrm;
  END;
  RETURN result;
END $$;
\set ECHO all
