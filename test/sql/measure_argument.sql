-- What tools put around a measure inside an aggregate (M8, F5): CASE with the measure, NULL or 0 in its arms, COALESCE with 0, a
-- constant factor, one in another. Each is the governed value of the rows that give the measure.
\getenv abs_srcdir PG_ABS_SRCDIR
\set mart :abs_srcdir '/data/mart.sql'
\i :mart

-- an argument, the condition of the rows that give the measure, that of those that give 0, and the factor; the judge asks the table
CREATE TABLE argument (sql text, gives text, zero text, factor text DEFAULT '');
CREATE FUNCTION judge(carrier text, metric text, grouping_by text) RETURNS TABLE (sql text, verdict text) LANGUAGE plpgsql AS $$
DECLARE a argument; value text;
BEGIN
  FOR a IN SELECT * FROM argument LOOP
    value := format('(SELECT {%s} FROM orders i WHERE i.%2$I IS NOT DISTINCT FROM o.%2$I AND (%3$s))', metric, grouping_by, a.gives);
    IF a.zero IS NOT NULL THEN
      value := format('CASE WHEN count(*) FILTER (WHERE (%s) OR (%s)) > 0 THEN coalesce(%s, 0) END', a.gives, a.zero, value);
    END IF;
    sql := format('%s(%s)', carrier, regexp_replace(a.sql, '\mm\M', metric, 'g'));
    verdict := same(format('SELECT %I, %s FROM sales GROUP BY 1', grouping_by, sql), format('SELECT %I, %s %s FROM orders o GROUP BY 1', grouping_by, value, a.factor));
    IF verdict NOT LIKE 'same%' THEN RETURN NEXT; END IF;
  END LOOP;
END $$;

INSERT INTO argument VALUES
  ('CASE WHEN id > 4 THEN m END', 'id > 4', NULL),
  ('CASE WHEN id > 4 THEN NULL ELSE m END', 'NOT coalesce(id > 4, false)', NULL),
  ('CASE WHEN id > 9 THEN NULL WHEN id > 4 THEN m END', 'id BETWEEN 5 AND 9', NULL),
  ('CASE WHEN id > 9 THEN m WHEN NOT id > 9 THEN NULL END', 'id > 9', NULL),
  ('CASE WHEN id > 9 THEN m WHEN id < 4 THEN m END', 'id > 9 OR id < 4', NULL),
  ('CASE WHEN id > 9 THEN m ELSE m END', 'true', NULL),
  ('CASE id % 3 WHEN 0 THEN NULL WHEN 1 THEN m ELSE CASE WHEN id > 6 THEN m END END', 'id % 3 = 1 OR id % 3 = 2 AND id > 6', NULL),
  ('CASE WHEN id > 6 THEN CASE id % 2 WHEN 0 THEN m END END', 'id > 6 AND id % 2 = 0', NULL),
  ('CASE WHEN id IN (SELECT max(id) FROM orders) THEN m END', 'id = (SELECT max(id) FROM orders)', NULL);
SELECT carrier, metric, by, j.* FROM unnest('{sum,avg,min,max}'::text[]) carrier, unnest('{revenue,aov,buyers}'::text[]) metric, unnest('{region,id}'::text[]) by, judge(carrier, metric, by) j;
-- the judge finds what is wrong
INSERT INTO argument VALUES ('CASE WHEN id > 4 THEN m END', 'id > 5', NULL);
SELECT count(*) FROM judge('sum', 'revenue', 'id');

-- 0, and factors, for additive measures
TRUNCATE argument;
INSERT INTO argument VALUES
  ('coalesce(m, 0)', 'true', 'false'),
  ('CASE WHEN id > 4 THEN m ELSE 0 END', 'id > 4', 'true'),
  ('CASE WHEN id > 4 THEN 0 ELSE m END', 'NOT id > 4', 'true'),
  ('CASE WHEN id > 9 THEN 0 WHEN id > 4 THEN m END', 'id BETWEEN 5 AND 9', 'id > 9'),
  ('CASE WHEN id > 9 THEN m WHEN id > 4 THEN 0 ELSE NULL END', 'id > 9', 'id > 4'),
  ('CASE WHEN id > 9 THEN coalesce(m, 0) WHEN id > 4 THEN m END', 'id > 4', 'id > 9'),
  ('coalesce(CASE WHEN id > 9 THEN m WHEN id < 4 THEN NULL END, 0)', 'id > 9', 'true');
SELECT metric, by, j.* FROM unnest('{revenue,units}'::text[]) metric, unnest('{region,id,city}'::text[]) by, judge('sum', metric, by) j;
TRUNCATE argument;
INSERT INTO argument VALUES
  ('m * 2', 'true', NULL, '* 2'), ('2.5 * m', 'true', NULL, '* 2.5'), ('-m', 'true', NULL, '* -1'), ('+m', 'true', NULL, ''), ('m / 1000.0', 'true', NULL, '/ 1000.0'), ('-(m * 3) / -2.0', 'true', NULL, '* 3 / 2.0'),
  ('m::numeric * 0.001', 'true', NULL, '* 0.001'), ('CASE WHEN id > 4 THEN m * 2 END', 'id > 4', NULL, '* 2'), ('-CASE WHEN id > 9 THEN m WHEN id > 4 THEN 0 END', 'id > 9', 'id > 4', '* -1'),
  ('coalesce(m * 2, 0) * 2', 'true', 'false', '* 4'), ('CASE WHEN id > 9 THEN m * 2 WHEN id < 4 THEN m * 2 ELSE 0 END', 'id > 9 OR id < 4', 'true', '* 2');
SELECT carrier, metric, by, j.* FROM (VALUES ('sum', 'revenue'), ('sum', 'units')) c (carrier, metric), unnest('{region,id}'::text[]) by, judge(carrier, metric, by) j;
PREPARE scaled(numeric) AS SELECT sum(revenue / $1) FROM sales;
SET plan_cache_mode = force_generic_plan;
EXECUTE scaled(1000);
EXECUTE scaled(NULL);
RESET plan_cache_mode;
SELECT measure(revenue) / 1000 AS thousands FROM sales;
-- beside the caller's filter, in windows over groups, HAVING and ORDER BY, and with grouping sets
SELECT same('SELECT region, sum(-revenue) FILTER (WHERE id > 3), rank() OVER (ORDER BY sum(revenue / 10)) FROM sales GROUP BY ROLLUP (region) HAVING sum(CASE WHEN id > 2 THEN revenue ELSE 0 END) > 1 ORDER BY sum(revenue * 2)',
            'SELECT region, (SELECT -{revenue} FROM orders i WHERE (i.region IS NOT DISTINCT FROM o.region OR grouping(o.region) = 1) AND id > 3), rank() OVER (ORDER BY {revenue}) FROM orders o GROUP BY ROLLUP (region)
             HAVING (SELECT {revenue} FROM orders i WHERE (i.region IS NOT DISTINCT FROM o.region OR grouping(o.region) = 1) AND id > 2) > 1');
SELECT explain_measure('SELECT region, sum(CASE WHEN id > 9 THEN revenue WHEN id > 4 THEN 0 END) FROM sales GROUP BY 1');

-- COUNT(DISTINCT m) where the metric counts distinct values
SELECT same('SELECT region, count(DISTINCT buyers), count(DISTINCT CASE WHEN id > 9 THEN buyers END), count(DISTINCT buyers) FILTER (WHERE id > 9) FROM sales GROUP BY ROLLUP (1)',
            'SELECT region, {buyers}, (SELECT {buyers} FROM orders i WHERE (i.region IS NOT DISTINCT FROM o.region OR grouping(o.region) = 1) AND id > 9),
                    (SELECT {buyers} FROM orders i WHERE (i.region IS NOT DISTINCT FROM o.region OR grouping(o.region) = 1) AND id > 9) FROM orders o GROUP BY ROLLUP (region)');
SELECT refusal('SELECT count(DISTINCT orders_paid) FROM sales');
SELECT refusal('SELECT count(DISTINCT revenue) FROM sales');
SELECT refusal('SELECT sum(DISTINCT buyers) FROM sales');
SELECT refusal('SELECT count(DISTINCT coalesce(buyers, 0)) FROM sales');
SELECT refusal('SELECT count(DISTINCT buyers * 2) FROM sales');

-- M7: what is not one of these
SELECT refusal('SELECT sum(aov * 2) FROM sales');
SELECT refusal('SELECT avg(coalesce(aov, 0)) FROM sales');
SELECT refusal('SELECT sum(coalesce(revenue, 1)) FROM sales');
SELECT refusal('SELECT count(orders_paid * 2) FROM sales');
SELECT refusal('SELECT measure(-revenue) FROM sales');
SELECT refusal('SELECT measure(coalesce(revenue, 0)) FROM sales');
SELECT refusal('SELECT sum(revenue * units) FROM sales');
SELECT refusal('SELECT sum(1 / revenue) FROM sales');
SELECT refusal('SELECT sum(revenue + 1) FROM sales');
SELECT refusal('SELECT sum(CASE WHEN id > 4 THEN revenue ELSE units END) FROM sales');
SELECT refusal('SELECT sum(CASE WHEN id > 4 THEN revenue ELSE revenue * 2 END) FROM sales');
SELECT refusal('SELECT sum(CASE WHEN id > 4 THEN revenue ELSE id END) FROM sales');
SELECT refusal('SELECT sum(CASE WHEN revenue > 4 THEN revenue END) FROM sales');
SELECT refusal('SELECT sum(CASE WHEN id > 4 THEN NULL WHEN aov > 4 THEN 0 ELSE revenue END) FROM sales');
SELECT refusal('SELECT sum(DISTINCT -revenue) FROM sales');

-- computed below: in a subquery, a CTE, a view, over several levels and beside joins, it is what it is inside the aggregate
CREATE VIEW computed AS SELECT region, city, channel, id, CASE WHEN channel = 'web' THEN revenue END AS web, CASE channel WHEN 'web' THEN 0 ELSE coalesce(revenue, 0) END AS other, -revenue AS minus, revenue / 10 AS tenth, CASE WHEN id > 9 THEN buyers END AS late, CASE WHEN id > 9 THEN orders_paid END AS paid FROM sales;
CREATE FUNCTION below(inside text) RETURNS TABLE (argument text, direct text, "in a subquery" text, "in a CTE" text, "further up" text) LANGUAGE plpgsql AS $$
DECLARE a text[] := regexp_match(inside, '^(.*?)\((DISTINCT )?(.*)\)$');
        direct_rows text[];
BEGIN
  argument := inside;
  direct_rows := array(SELECT * FROM rows_of('SELECT region, ' || inside || ' FROM sales GROUP BY ROLLUP (region)') r ORDER BY r);
  direct := cardinality(direct_rows) || ' rows';
  "in a subquery" := direct_rows = array(SELECT * FROM rows_of(format('SELECT region, %s(%sx) FROM (SELECT region, %s AS x FROM sales) q GROUP BY ROLLUP (region)', a[1], a[2], a[3])) r ORDER BY r);
  "in a CTE" := direct_rows = array(SELECT * FROM rows_of(format('WITH q AS MATERIALIZED (SELECT *, %3$s AS x FROM (SELECT * FROM sales OFFSET 0) s) SELECT q.region, %1$s(%2$sx) FROM q JOIN orders o ON o.id = q.id GROUP BY ROLLUP (q.region)', a[1], a[2], a[3])) r ORDER BY r);
  "further up" := direct_rows = array(SELECT * FROM rows_of(format('SELECT region, %1$s(%2$sy) FROM (SELECT z.*, CASE WHEN true THEN z.x END AS y FROM (SELECT r, x, region FROM (SELECT 1 AS r, region, %3$s AS x FROM sales) q) z) w GROUP BY ROLLUP (region)', a[1], a[2], a[3])) r ORDER BY r);
  RETURN NEXT;
END $$;
SELECT b.* FROM (VALUES ('sum(CASE WHEN channel = ''web'' THEN revenue END)'), ('avg(CASE WHEN channel = ''web'' THEN NULL ELSE aov END)'), ('sum(coalesce(revenue, 0))'), ('sum(CASE WHEN id > 9 THEN 0 WHEN id > 4 THEN revenue END)'), ('sum(-(revenue * 3) / -2.0)'),
  ('sum(CASE WHEN id IN (SELECT max(id) FROM orders) THEN units ELSE 0 END)'), ('count(DISTINCT CASE WHEN id > 9 THEN buyers END)'), ('count(CASE WHEN id > 9 THEN orders_paid END)'), ('max(CASE id % 3 WHEN 0 THEN NULL WHEN 1 THEN top ELSE CASE WHEN id > 6 THEN top END END)')) v(inside), below(inside) b;
SELECT same('SELECT region, sum(web), sum(other), sum(minus), sum(tenth * 10), count(DISTINCT late), count(paid), sum(CASE WHEN city <> ''Ulm'' THEN web ELSE 0 END) FROM computed GROUP BY 1',
            'SELECT region, {web_revenue}, coalesce((SELECT {revenue} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND channel <> ''web''), 0), -{revenue}, {revenue} / 10 * 10, (SELECT {buyers} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND id > 9),
                    (SELECT {orders_paid} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND id > 9), coalesce((SELECT {revenue} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND channel = ''web'' AND city <> ''Ulm''), 0) FROM orders o GROUP BY 1');
-- a condition guards what it guarded; where an outer join finds no row, nothing was computed
SELECT same('SELECT sum(x) FROM (SELECT CASE WHEN qty = 0 THEN NULL WHEN 12 / qty > 3 THEN revenue END AS x FROM sales) q', 'SELECT {revenue} FROM orders WHERE 12 / nullif(qty, 0) > 3');
SELECT same('SELECT r, sum(x), sum(coalesce(x, 0)) FROM (VALUES (''East''), (''Moon'')) v(r) LEFT JOIN (SELECT region, CASE WHEN channel = ''web'' THEN revenue ELSE 0 END AS x FROM sales) s ON region = r GROUP BY 1', 'SELECT ''East'', {web_revenue}, {web_revenue} FROM orders WHERE region = ''East'' UNION ALL SELECT ''Moon'', NULL, 0');
SELECT same('SELECT c, (SELECT sum(x) FROM (SELECT CASE WHEN channel = c THEN revenue END AS x FROM sales) q), l.s FROM unnest(''{web,shop}''::text[]) c, LATERAL (SELECT sum(x) AS s FROM (SELECT CASE WHEN channel = c THEN -revenue END AS x FROM sales) q) l', 'SELECT channel, {revenue}, -{revenue} FROM orders WHERE channel IN (''web'', ''shop'') GROUP BY 1');
SELECT same('SELECT region, sum(x) FROM sales s, LATERAL (SELECT CASE WHEN channel = ''web'' THEN s.revenue END AS x) l GROUP BY 1', 'SELECT region, {web_revenue} FROM orders GROUP BY 1');
SELECT explain_measure('SELECT city, sum(other) FROM computed GROUP BY 1');
-- read as rows they are what they were, and refused where rows are
SELECT id, web, other, minus FROM computed WHERE id BETWEEN 13 AND 16 ORDER BY id;
SET kpitables.ungrouped = error;
SELECT sum(minus) = -(SELECT measure(revenue) FROM sales) AS same FROM computed;
SELECT refusal('SELECT minus FROM computed');
SELECT refusal('SELECT json_agg(minus) FROM computed');
SELECT refusal('SELECT count(*) FROM (SELECT minus FROM computed) q WHERE minus > 0');
SELECT refusal('SELECT city FROM computed ORDER BY minus');
SELECT refusal('SELECT row_to_json(c) FROM computed c');
RESET kpitables.ungrouped;
-- M7, F3: what is refused inside is refused below
SELECT refusal(format('SELECT %s FROM (SELECT %s AS x, city FROM sales %s) q', a, x, t)) FROM (VALUES ('sum(x)', 'revenue + 1', ''), ('count(x)', 'orders_paid + 0', ''), ('count(x)', 'CASE WHEN revenue > 90 THEN 1 END', ''), ('count(x)', '-revenue', ''), ('sum(x)', 'CASE WHEN revenue > 90 THEN revenue END', ''), ('avg(x)', 'coalesce(aov, 0)', ''),
  ('sum(x * 2)', 'aov', ''), ('measure(x)', '-revenue', ''), ('sum(x)', '-revenue', 'LIMIT 10'), ('sum(x)', '-revenue', 'OFFSET 1'), ('count(x)', 'CASE WHEN id > 9 THEN orders_paid END', 'LIMIT 10'), ('sum(DISTINCT x)', '-revenue', ''), ('stddev(x)', '-revenue', ''), ('sum(x)', '1 / revenue', ''), ('sum(x)', 'CASE WHEN id > 9 THEN revenue ELSE units END', '')) v(a, x, t);
SELECT refusal('SELECT sum(x) FROM (SELECT DISTINCT -revenue AS x FROM sales) q');
SELECT refusal('SELECT sum(x) FROM (SELECT -revenue AS x, row_number() OVER () FROM sales) q');
SELECT refusal('SELECT sum(x) FROM (SELECT -revenue AS x FROM sales UNION ALL SELECT 1) q');
SELECT refusal('SELECT -x FROM (SELECT -revenue AS x FROM sales) q GROUP BY x');

DROP SCHEMA mart CASCADE;
