-- B1, B3 to B5, B9, B10: what is kept from one execution to the next never serves an old definition, another role's rows or
-- other settings.
\getenv abs_srcdir PG_ABS_SRCDIR
\set mart :abs_srcdir '/data/mart.sql'
\i :mart
\set ECHO none
CREATE ROLE regress_kpi_a;
CREATE ROLE regress_kpi_b;
-- asks one measure every way that keeps plans; all answers must be the one that is told
PREPARE auto(text) AS SELECT measure(units) FROM sales WHERE city = $1;
PREPARE later(text) AS SELECT coalesce(measure(units), 0) FROM sales WHERE city = $1;
CREATE FUNCTION by_plpgsql(c text) RETURNS numeric LANGUAGE plpgsql STABLE AS $$ DECLARE r numeric; BEGIN SELECT measure(units) INTO r FROM sales WHERE city = c; RETURN r; END $$;
CREATE FUNCTION by_string(c text) RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT measure(units) FROM mart.sales WHERE city = c';
CREATE FUNCTION by_atomic(c text) RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT kpi.measure(units) FROM mart.sales WHERE city = c; END;
CREATE FUNCTION by_set(c text) RETURNS TABLE (units bigint) LANGUAGE sql STABLE AS 'SELECT measure(units) FROM mart.sales WHERE city = c';
CREATE FUNCTION rows_by_set() RETURNS SETOF sales LANGUAGE sql STABLE AS 'SELECT * FROM mart.sales';
PREPARE by_inlined(text) AS SELECT units FROM by_set($1);
CREATE VIEW by_view AS SELECT city, measure(units) AS units FROM sales GROUP BY city;
CREATE FUNCTION answers(expected numeric) RETURNS TABLE (asked text, answer numeric) LANGUAGE plpgsql AS $$
DECLARE way text; mode text;
BEGIN
  FOREACH mode IN ARRAY '{auto,force_generic_plan,force_custom_plan}'::text[] LOOP
    PERFORM set_config('plan_cache_mode', mode, true);
    FOR i IN 1..7 LOOP
      FOR asked, way IN VALUES ('prepared', 'EXECUTE auto(''Ulm'')'), ('prepared expression', 'EXECUTE later(''Ulm'')'), ('plpgsql', 'SELECT by_plpgsql(''Ulm'')'), ('string', 'SELECT by_string(''Ulm'')'), ('atomic', 'SELECT by_atomic(''Ulm'')'),
          ('inlined', 'EXECUTE by_inlined(''Ulm'')'), ('inlined rows', 'SELECT measure(units) FROM rows_by_set() WHERE city = ''Ulm'''), ('view', 'SELECT units FROM by_view WHERE city = ''Ulm''') LOOP
        EXECUTE way INTO answer;
        asked := concat_ws(' ', asked, mode, i);
        IF answer IS DISTINCT FROM expected THEN RETURN NEXT; END IF;
      END LOOP;
    END LOOP;
  END LOOP;
END $$;
SELECT sum(qty) AS units, sum(qty) * 2 AS doubled, sum(qty) FILTER (WHERE channel = 'web') AS web, sum(qty + 1) AS plus FROM orders WHERE city = 'Ulm' \gset
\set ECHO all

-- all ways agree (B9), and follow each redefinition at once (B3), be it by the function or by CREATE OR REPLACE VIEW
SELECT * FROM answers(:units);
SELECT alter_metric('mart.units', 'SELECT sum(qty) * 2 FROM mart.orders');
SELECT * FROM answers(:doubled);
CREATE OR REPLACE VIEW units AS SELECT sum(qty) FILTER (WHERE channel = 'web') AS units FROM orders;
SELECT * FROM answers(:web);
-- the answer is what the judge expects: it finds a wrong one
SELECT count(*) AS found FROM answers(:units);
-- B4: a rollback, of all or to a savepoint, leaves the old one
BEGIN;
SELECT alter_metric('mart.units', 'SELECT sum(qty + 1) FROM mart.orders');
SELECT * FROM answers(:plus);
SAVEPOINT s;
SELECT alter_metric('mart.units', 'SELECT sum(qty) FROM mart.orders');
SELECT * FROM answers(:units);
ROLLBACK TO s;
SELECT * FROM answers(:plus);
ROLLBACK;
SELECT * FROM answers(:web);
BEGIN;
SELECT alter_metric('mart.units', 'SELECT sum(qty) FROM mart.orders');
SELECT * FROM answers(:units);
SELECT 1 / 0;
COMMIT;
SELECT * FROM answers(:web);
DO $$ BEGIN
  PERFORM alter_metric('mart.units', 'SELECT sum(qty) FROM mart.orders');
  PERFORM answers(1);
  RAISE EXCEPTION 'undo';
EXCEPTION WHEN raise_exception THEN NULL;
END $$;
SELECT * FROM answers(:web);
SELECT alter_metric('mart.units', 'SELECT sum(qty) FROM mart.orders');
-- B3: a component of a derived metric, and a metric view that takes a metric from elsewhere
PREPARE derived AS SELECT measure(aov) IS NOT DISTINCT FROM (SELECT sum(amount) / count(*) FROM orders) AS gross FROM sales;
SET plan_cache_mode = force_generic_plan;
EXECUTE derived;
SELECT alter_metric('mart.revenue', 'SELECT sum(amount) FROM mart.orders'), alter_metric('mart.orders_paid', 'SELECT count(*) FROM mart.orders');
EXECUTE derived;
RESET plan_cache_mode;
-- B3: a function that was inlined is replaced, also one inside another
CREATE FUNCTION by_outer(c text) RETURNS TABLE (units bigint) LANGUAGE sql STABLE AS 'SELECT units FROM mart.by_set(c)';
SET plan_cache_mode = force_generic_plan;
PREPARE nested AS SELECT units = :units AS units, units = :web AS web FROM by_outer('Ulm');
EXECUTE nested;
CREATE OR REPLACE FUNCTION by_set(c text) RETURNS TABLE (units bigint) LANGUAGE sql STABLE AS 'SELECT measure(units) FROM mart.sales WHERE city = c AND channel = ''web''';
EXECUTE nested;
RESET plan_cache_mode;
SELECT count(*) AS inlined FROM answers(:units) WHERE asked LIKE 'inlined %' AND answer = :web;
CREATE OR REPLACE FUNCTION by_set(c text) RETURNS TABLE (units bigint) LANGUAGE sql STABLE AS 'SELECT measure(units) FROM mart.sales WHERE city = c';
SELECT * FROM answers(:units);
-- B3: an open cursor keeps what it was opened with
BEGIN;
DECLARE open CURSOR FOR SELECT city, measure(units) AS units FROM sales WHERE city < 'Z' GROUP BY city ORDER BY city;
FETCH 1 FROM open;
SELECT alter_metric('mart.units', 'SELECT sum(qty) * 2 FROM mart.orders');
FETCH 1 FROM open;
SELECT * FROM answers(:doubled);
ROLLBACK;
SELECT city, sum(qty) AS units FROM orders WHERE city < 'Z' GROUP BY city ORDER BY city;

-- settings between executions
PREPARE rows AS SELECT units FROM sales WHERE id = 3;
SET plan_cache_mode = force_generic_plan;
EXECUTE rows;
SET kpitables.ungrouped = 'null';
EXECUTE rows;
SET kpitables.ungrouped = error;
EXECUTE rows;
BEGIN;
SET LOCAL kpitables.ungrouped = contribution;
EXECUTE rows;
ROLLBACK;
EXECUTE rows;
RESET kpitables.ungrouped;
EXECUTE rows;
PREPARE average AS SELECT avg(units) = (SELECT sum(qty) FROM orders) AS governed FROM sales;
EXECUTE average;
SET kpitables.carriers = strict;
EXECUTE average;
DISCARD PLANS;
EXECUTE average;
RESET kpitables.carriers;
EXECUTE average;
CREATE FUNCTION careful() RETURNS bigint LANGUAGE sql STABLE SET kpitables.ungrouped = 'null' AS 'SELECT units FROM mart.sales WHERE id = 3';
SELECT careful(), units FROM sales WHERE id = 3;
-- a function with settings of its own, between executions and in the midst of them; a statement without measures keeps its
-- plan, those with measures are made anew each time the setting is another than before
CREATE FUNCTION strict() RETURNS text LANGUAGE plpgsql SET kpitables.carriers = strict SET kpitables.ungrouped = 'null' AS
  $$BEGIN RETURN (SELECT units FROM mart.sales WHERE id = 3); END$$;
CREATE FUNCTION fails() RETURNS text LANGUAGE plpgsql SET kpitables.carriers = strict AS $$BEGIN RETURN (SELECT avg(units) FROM mart.sales); END$$;
CREATE FUNCTION loose() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT units FROM mart.sales WHERE id = 3) || ' ' || (SELECT avg(units) FROM mart.sales); END$$;
PREPARE plain AS SELECT count(*) FROM orders WHERE id = $1;
EXECUTE plain(3); EXECUTE rows; EXECUTE average; SELECT strict(); EXECUTE plain(3); EXECUTE rows; EXECUTE average; SELECT loose(), strict(), loose(), strict(), loose();
SELECT fails(); EXECUTE average; SELECT loose();
BEGIN; SAVEPOINT s; SET LOCAL kpitables.ungrouped = 'null'; EXECUTE rows; SELECT loose(); SELECT 1 / 0; ROLLBACK TO s; EXECUTE rows; SELECT loose(); ROLLBACK;
DECLARE c CURSOR WITH HOLD FOR SELECT units, strict(), (SELECT strict()), units AS again FROM sales WHERE id = 3; SET kpitables.ungrouped = 'null'; FETCH c; EXECUTE rows; RESET kpitables.ungrouped; EXECUTE rows; CLOSE c;
SELECT units, strict(), loose() FROM sales WHERE id IN (3, 4) ORDER BY id;
RESET plan_cache_mode;

-- B1: roles between executions, where rows depend on the role
GRANT USAGE ON SCHEMA mart TO regress_kpi_a, regress_kpi_b;
GRANT SELECT ON ALL TABLES IN SCHEMA mart TO regress_kpi_a, regress_kpi_b;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY a ON orders TO regress_kpi_a USING (city = 'Ulm');
CREATE POLICY b ON orders TO regress_kpi_b USING (city = 'Ulm' AND channel = 'web');
ALTER VIEW sales SET (security_invoker);
ALTER VIEW by_view SET (security_invoker);
SET ROLE regress_kpi_a;
SELECT * FROM answers(:units);
SET ROLE regress_kpi_b;
SELECT * FROM answers(:web);
SET ROLE regress_kpi_a;
SELECT * FROM answers(:units);
RESET ROLE;
ALTER POLICY a ON orders USING (city = 'Ulm' AND channel = 'web');
SET ROLE regress_kpi_a;
SELECT * FROM answers(:web);
RESET ROLE;
GRANT regress_kpi_b TO regress_kpi_a;
ALTER POLICY a ON orders USING (false);
SET ROLE regress_kpi_a;
SELECT * FROM answers(:web);
RESET ROLE;
REVOKE regress_kpi_b FROM regress_kpi_a;
SET ROLE regress_kpi_a;
SELECT asked, answer FROM answers(NULL) WHERE asked NOT LIKE 'prepared expression%';
RESET ROLE;
ALTER TABLE orders DISABLE ROW LEVEL SECURITY;
SELECT * FROM answers(:units);

-- B5: the source and the views change shape under the plans
ALTER TABLE orders RENAME qty TO quantity;
SELECT * FROM answers(:units);
ALTER TABLE orders RENAME TO order_lines;
ALTER TABLE order_lines ADD COLUMN extra int DEFAULT 7;
SELECT * FROM answers(:units);
ALTER VIEW units RENAME TO pieces;
ALTER VIEW pieces RENAME COLUMN units TO pieces;
CREATE SCHEMA mart_elsewhere;
ALTER VIEW pieces SET SCHEMA mart_elsewhere;
SELECT * FROM answers(:units);
CREATE INDEX ON order_lines (city);
ANALYZE order_lines;
UPDATE order_lines SET quantity = quantity + 1;
SELECT * FROM answers(:plus);
\set VERBOSITY terse
ALTER TABLE order_lines ALTER quantity TYPE bigint;
ALTER TABLE order_lines DROP COLUMN quantity;
SELECT drop_metric('mart_elsewhere.pieces');
\set VERBOSITY default
SELECT alter_metric_view('mart.sales', rename => '{units AS parts}');
EXECUTE auto('Ulm');
SELECT alter_metric_view('mart.sales', rename => '{parts AS units}');
SELECT * FROM answers(:plus);
DEALLOCATE ALL;

-- B10: another search_path, other objects of the same names: what was defined stays what it is
CREATE SCHEMA mart_decoy;
CREATE TABLE mart_decoy.order_lines AS SELECT * FROM order_lines LIMIT 0;
CREATE VIEW mart_decoy.sales AS SELECT city, 666::bigint AS units FROM order_lines;
CREATE FUNCTION mart_decoy.nullif(anyelement, anyelement) RETURNS anyelement LANGUAGE sql AS 'SELECT NULL';
CREATE FUNCTION mart_decoy.int8inc(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 13';
CREATE AGGREGATE mart_decoy.sum(bigint) (SFUNC = int8larger, STYPE = bigint);
PREPARE path AS SELECT measure(units) AS units FROM sales WHERE city = 'Ulm';
EXECUTE path;
SET search_path = mart_decoy, pg_catalog, kpi, mart;
SELECT measure(units) = :plus AS same, by_atomic('Ulm') = :plus AS atomic, by_string('Ulm') = :plus AS string FROM mart.sales WHERE city = 'Ulm';
EXECUTE path;
SET search_path = mart, kpi, public;
EXECUTE path;

DROP SCHEMA mart, mart_elsewhere, mart_decoy CASCADE;
DROP ROLE regress_kpi_a, regress_kpi_b;
