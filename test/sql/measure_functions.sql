-- Measures inside functions, triggers, policies, rules and writable statements: A11, C4, C9. Each gives the governed value
-- or an error, never something else.
\getenv abs_srcdir PG_ABS_SRCDIR
\set mart :abs_srcdir '/data/mart.sql'
\i :mart

-- SQL functions in FROM that the planner inlines: with arguments, of a view's row type, nested, in LATERAL, in views
CREATE FUNCTION f_table(r text) RETURNS TABLE (city text, money numeric, aov numeric) LANGUAGE sql STABLE AS 'SELECT city, measure(revenue), measure(aov) FROM mart.sales WHERE region = r GROUP BY 1';
CREATE FUNCTION f_rows() RETURNS SETOF sales LANGUAGE sql STABLE AS 'SELECT * FROM mart.sales';
CREATE FUNCTION f_atomic(r text) RETURNS SETOF sales LANGUAGE sql STABLE BEGIN ATOMIC SELECT * FROM mart.sales WHERE region = r; END;
CREATE FUNCTION f_nested(r text) RETURNS SETOF sales LANGUAGE sql STABLE AS 'SELECT * FROM f_atomic(r) WHERE channel = ''web''';
CREATE FUNCTION f_nested_deeper(r text) RETURNS TABLE (c text, m numeric) LANGUAGE sql STABLE AS 'SELECT city, measure(aov) FROM f_nested(upper(left(r, 1)) || substr(r, 2)) GROUP BY 1';
CREATE FUNCTION f_joined(r text) RETURNS TABLE (c text, m numeric) LANGUAGE sql STABLE AS 'SELECT x.city, measure(s.aov) FROM f_table(r) x JOIN f_rows() s USING (city) WHERE s.region = r GROUP BY 1';
SELECT same('SELECT * FROM f_table(''West'')', 'SELECT city, {revenue}, {aov} FROM orders WHERE region = ''West'' GROUP BY 1');
SELECT same('SELECT region, {measured} FROM f_rows() GROUP BY 1', 'SELECT region, {written} FROM orders GROUP BY 1');
SELECT same('SELECT channel, {measured} FROM f_atomic(''North'') f WHERE qty > 1 GROUP BY ROLLUP (1)', 'SELECT channel, {written} FROM orders WHERE region = ''North'' AND qty > 1 GROUP BY ROLLUP (1)');
SELECT same('SELECT city, {measured} FROM f_nested(''West'') GROUP BY 1', 'SELECT city, {written} FROM orders WHERE region = ''West'' AND channel = ''web'' GROUP BY 1');
SELECT same('SELECT * FROM f_nested_deeper(''west'')', 'SELECT city, {aov} FROM orders WHERE region = ''West'' AND channel = ''web'' GROUP BY 1');
SELECT same('SELECT * FROM f_joined(''West'')', 'SELECT city, {aov} FROM orders WHERE region = ''West'' GROUP BY 1');
SELECT same('SELECT d.region, x.* FROM (SELECT DISTINCT region FROM orders) d, LATERAL f_table(d.region) x', 'SELECT region, city, {revenue}, {aov} FROM orders WHERE region IS NOT NULL GROUP BY 1, 2');
SELECT same('SELECT d.region, measure(f.aov) FROM (SELECT DISTINCT region FROM orders) d LEFT JOIN LATERAL f_atomic(d.region) f ON true GROUP BY 1', 'SELECT region, CASE WHEN region IS NOT NULL THEN {aov} END FROM orders GROUP BY 1');
SELECT same('SELECT f FROM f_rows() f WHERE f.id < 4', 'SELECT s FROM sales s WHERE id < 4');
SELECT same('SELECT count(c), sum(m), max(n) FROM f_table(''West'') WITH ORDINALITY AS f(c, m, a, n)', 'SELECT count(DISTINCT city), {revenue}, 5::bigint FROM orders WHERE region = ''West''');
SELECT same('SELECT a.city, a.aov FROM ROWS FROM (f_table(''West''), f_table(''West'')) AS a(city, money, x, city2, y, aov)', 'SELECT city, {aov} FROM orders WHERE region = ''West'' GROUP BY 1');
SELECT same('SELECT (f_table(''West'')).*', 'SELECT city, {revenue}, {aov} FROM orders WHERE region = ''West'' GROUP BY 1');
CREATE VIEW f_view AS SELECT region, f.aov FROM f_rows() f;
SELECT same('SELECT region, measure(aov) FROM f_view GROUP BY 1', 'SELECT region, {aov} FROM orders GROUP BY 1');
-- a row limit in the function, or what else keeps it from being inlined, is a barrier like any other
CREATE FUNCTION f_limited() RETURNS SETOF sales LANGUAGE sql STABLE AS 'SELECT * FROM mart.sales ORDER BY id LIMIT 10';
CREATE FUNCTION f_volatile() RETURNS SETOF sales LANGUAGE sql VOLATILE AS 'SELECT * FROM mart.sales';
CREATE FUNCTION f_plpgsql() RETURNS SETOF sales LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY SELECT * FROM sales; END $$;
SELECT refusal('SELECT measure(revenue) FROM f_limited()'), refusal('SELECT measure(revenue) FROM f_volatile()');
SELECT refusal('SELECT measure(revenue) FROM f_plpgsql()');
SELECT same('SELECT sum(revenue), sum(units)::bigint, count(aov) FROM f_volatile()', 'SELECT {revenue}, {units}, 0::bigint FROM orders'), same('SELECT sum(revenue) FROM f_plpgsql()', 'SELECT {revenue} FROM orders');

-- scalar functions of all kinds, as arguments and defaults, and over measures
CREATE FUNCTION s_string(text) RETURNS numeric LANGUAGE sql AS 'SELECT measure(aov) FROM mart.sales WHERE region = $1';
CREATE FUNCTION s_atomic(text) RETURNS numeric LANGUAGE sql STABLE RETURN (SELECT measure(aov) FROM mart.sales WHERE region = $1);
CREATE FUNCTION s_plpgsql(r text, OUT aov numeric, OUT top numeric) LANGUAGE plpgsql AS $$ BEGIN SELECT measure(s.aov), measure(s.top) INTO aov, top FROM sales s WHERE region = r; END $$;
CREATE FUNCTION s_dynamic(r text) RETURNS numeric LANGUAGE plpgsql AS $$ DECLARE x numeric; BEGIN EXECUTE 'SELECT measure(aov) FROM mart.sales WHERE region = $1' INTO x USING r; RETURN x; END $$;
CREATE FUNCTION s_loop() RETURNS SETOF numeric LANGUAGE plpgsql AS $$ DECLARE r record; c CURSOR (x text) FOR SELECT measure(aov) AS a FROM sales WHERE region = x; BEGIN
  FOR r IN SELECT region, measure(aov) AS a FROM sales WHERE region IS NOT NULL GROUP BY 1 LOOP
    FOR r IN c(r.region) LOOP RETURN NEXT r.a; END LOOP;
  END LOOP; END $$;
CREATE FUNCTION tax(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT round($1 * 1.19, 2)';
CREATE PROCEDURE keep(INOUT money numeric) LANGUAGE plpgsql AS $$ BEGIN money := money + (SELECT measure(revenue) FROM sales); COMMIT; money := money - (SELECT measure(revenue) FROM sales); END $$;
SELECT same('SELECT region, s_string(region), s_atomic(region), s_plpgsql(region), s_dynamic(region), tax(measure(aov)) FROM sales WHERE region IS NOT NULL GROUP BY region',
            'SELECT region, {aov}, {aov}, ({aov}, {top}), {aov}, tax({aov}) FROM orders WHERE region IS NOT NULL GROUP BY region');
SELECT same('SELECT s_loop()', 'SELECT {aov} FROM orders WHERE region IS NOT NULL GROUP BY region');
SELECT same('SELECT region, x FROM (SELECT region, s_string(region) AS x, measure(revenue) FROM sales GROUP BY 1) t WHERE x > 45', 'SELECT region, {aov} FROM orders WHERE region IS NOT NULL GROUP BY 1 HAVING {aov} > 45');
CALL keep(5);
DO $$ DECLARE a numeric; BEGIN SELECT measure(aov) INTO a FROM sales; ASSERT a = (SELECT aov FROM mart.aov); END $$;

-- C4: an error of the rewriting that PL/pgSQL catches leaves nothing behind
CREATE FUNCTION tries(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE caught int := 0; value numeric;
BEGIN
  FOR i IN 1..n LOOP
    BEGIN
      EXECUTE (ARRAY['SELECT sum(revenue * id) FROM sales', 'SELECT measure(revenue) FROM sales, orders', 'SELECT measure(qty) FROM orders', 'SELECT measure(nothing) FROM sales', 'SELECT measure(raw) FROM (SELECT revenue / 0 AS raw FROM sales) x'])[1 + i % 5] INTO value;
    EXCEPTION WHEN OTHERS THEN caught := caught + 1;
    END;
    SELECT measure(revenue) INTO value FROM sales;
    IF value IS DISTINCT FROM (SELECT revenue FROM mart.revenue) THEN RETURN 'wrong'; END IF;
  END LOOP;
  RETURN caught;
END $$;
SELECT tries(100);

-- C9: triggers that read metrics of the table being changed, and of its transition tables; recursion ends
CREATE TABLE journal (region text, op text, orders bigint, revenue numeric);
CREATE FUNCTION journal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_LEVEL = 'ROW' THEN
    INSERT INTO journal SELECT NEW.region, 'row', measure(orders_paid), measure(revenue) FROM sales WHERE region = NEW.region;
    NEW.qty := (SELECT measure(units) FROM sales WHERE id = NEW.id);
    RETURN NEW;
  END IF;
  INSERT INTO journal SELECT s.region, TG_OP, measure(orders_paid), measure(revenue) FROM sales s WHERE s.id IN (SELECT id FROM changed) GROUP BY 1;
  IF pg_trigger_depth() < 3 THEN UPDATE orders SET refund = refund + 1 WHERE id IN (SELECT id FROM changed); END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER before_row BEFORE UPDATE OF amount ON orders FOR EACH ROW EXECUTE FUNCTION journal();
CREATE TRIGGER after_statement AFTER UPDATE ON orders REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION journal();
BEGIN;
UPDATE orders SET amount = 100 WHERE id IN (1, 3);
SELECT * FROM journal WHERE op = 'UPDATE' ORDER BY 1, revenue;
SELECT same('SELECT orders, revenue FROM journal WHERE op = ''row'' AND region = ''North''', 'SELECT {orders_paid}, {revenue} + 2 - 62.57 FROM orders WHERE region = ''North''');
ROLLBACK;
DROP TRIGGER before_row ON orders;
DROP TRIGGER after_statement ON orders;

-- row security whose policy asks a metric: of another table it is answered, of its own it is an endless recursion that core stops
CREATE TABLE notes (region text, note text);
INSERT INTO notes VALUES ('East', 'e'), ('West', 'w'), ('North', 'n');
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY strong ON notes USING ((SELECT measure(revenue) > 1800 FROM sales s WHERE s.region = notes.region));
CREATE POLICY own ON orders USING (amount < (SELECT measure(aov) FROM sales));
CREATE ROLE regress_kpi_reader;
GRANT USAGE ON SCHEMA mart TO regress_kpi_reader;
GRANT SELECT ON notes, sales, orders, formulas TO regress_kpi_reader;
SET ROLE regress_kpi_reader;
SELECT * FROM notes ORDER BY 1;
RESET ROLE;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
SET ROLE regress_kpi_reader;
SELECT same('SELECT count(*) FROM orders', 'SELECT count(*) FROM sales WHERE id IN (SELECT id FROM orders)');
RESET ROLE;
ALTER VIEW sales SET (security_invoker);
SET ROLE regress_kpi_reader;
SELECT refusal('SELECT count(*) FROM orders');
RESET ROLE;
ALTER VIEW sales RESET (security_invoker);
ALTER TABLE orders DISABLE ROW LEVEL SECURITY;

-- where SQL wants a value without a query: a function gives it, in DEFAULT, CHECK and generated columns, rules and WHEN
CREATE FUNCTION average() RETURNS numeric LANGUAGE sql STABLE AS 'SELECT measure(aov) FROM mart.sales';
CREATE TABLE targets (region text CHECK (s_atomic(region) > 40), target numeric DEFAULT average());
INSERT INTO targets VALUES ('East') RETURNING target = average() AS by_default, (SELECT measure(aov) > target FROM sales s WHERE s.region = targets.region) AS above;
SELECT refusal('INSERT INTO targets VALUES (''Nowhere''), (''West'') RETURNING *') AS null_passes;
INSERT INTO targets VALUES ('Nowhere');
UPDATE targets SET region = 'West' WHERE region = 'Nowhere' RETURNING region, target IS NOT NULL AS kept;
CREATE RULE plus AS ON INSERT TO notes DO ALSO INSERT INTO journal SELECT NEW.region, 'rule', (SELECT measure(orders_paid) FROM sales s WHERE s.region = NEW.region);
INSERT INTO notes VALUES ('East', 'x');
SELECT same('SELECT orders FROM journal WHERE op = ''rule''', 'SELECT {orders_paid} FROM orders WHERE region = ''East''');

-- statements that write and return; what was written is an ordinary number
CREATE TABLE report (region text PRIMARY KEY, money numeric, n bigint);
SELECT same($$WITH w AS (INSERT INTO report SELECT coalesce(region, '?'), measure(revenue), measure(orders_paid) FROM sales GROUP BY region RETURNING *) SELECT sum(money), max(n), count(*) FROM w$$,
            $$SELECT sum(m), max(n), count(*) FROM (SELECT {revenue} AS m, {orders_paid} AS n FROM orders GROUP BY region) x$$);
SELECT same($$WITH w AS (INSERT INTO report SELECT id, revenue, orders_paid FROM sales RETURNING region, money, n) SELECT sum(money), avg(money), stddev(n), count(DISTINCT money) FROM w$$,
            $$SELECT sum(m), avg(m), stddev(n), count(DISTINCT m) FROM (SELECT CASE WHEN status = 'paid' THEN coalesce(amount, 0) - refund END AS m, (status = 'paid')::int::bigint AS n FROM orders) x$$);
INSERT INTO report SELECT region, measure(revenue), -1 FROM sales WHERE region = 'East' GROUP BY 1 ON CONFLICT (region) DO UPDATE SET n = (SELECT measure(units) FROM sales WHERE region = excluded.region), money = excluded.money + 1
RETURNING n = (SELECT sum(qty) FROM orders WHERE region = 'East') AS units, money - 1 = (SELECT measure(revenue) FROM sales s WHERE s.region = report.region) AS revenue;
WITH d AS (DELETE FROM report WHERE region ~ '^\d' AND money > (SELECT measure(aov) FROM sales) RETURNING money), u AS (UPDATE report SET n = 0 FROM (SELECT region, measure(aov) AS a FROM sales GROUP BY 1) s WHERE s.region = report.region RETURNING s.a, report.region)
SELECT (SELECT sum(money) > 0 FROM d) AS deleted, (SELECT max(a) FROM u) = (SELECT max(a) FROM (SELECT measure(aov) AS a FROM sales WHERE region IS NOT NULL GROUP BY region) x) AS updated;
-- the metric view itself can be written as any simple view; its measures cannot be set, nor returned
ALTER TABLE orders ALTER refund SET DEFAULT 0;
INSERT INTO sales (id, day, region, city, channel, list, customer, status) VALUES (1000, '2024-01-01', 'East', 'Ulm', 'web', 1, 1, 'open');
\set VERBOSITY terse
UPDATE sales SET revenue = 1 WHERE id = 1;
UPDATE sales SET city = 'Ulm' WHERE id = 1 RETURNING revenue;
UPDATE sales SET city = 'Ulm' WHERE revenue > 5;
DELETE FROM sales WHERE id = 2 RETURNING aov;
\set VERBOSITY default
SELECT count(*) AS unchanged FROM orders WHERE id IN (1, 2) AND city <> 'Ulm';

DROP SCHEMA mart CASCADE;
DROP ROLE regress_kpi_reader;
