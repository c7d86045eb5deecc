-- M7: rows that a condition on a measure chooses are a plain list, or the statement is refused: never 0, NULL or an empty list
-- where the question has no meaning. A value of a row, and one taken out of a whole row, is not aggregated either.
\getenv abs_srcdir PG_ABS_SRCDIR
\set mart :abs_srcdir '/data/mart.sql'
\i :mart

-- chosen by a condition, then aggregated, counted, made distinct, compared or tested, however far above
SELECT q AS query, split_part(refusal(q), '; choose', 1) AS refusal FROM (VALUES
  ('SELECT count(*) FROM (SELECT * FROM sales WHERE aov > 100) q'),
  ('SELECT count(*) FROM (SELECT region FROM (SELECT * FROM sales WHERE aov > 100) q) r'),
  ('SELECT region, count(*) FROM (SELECT * FROM sales WHERE revenue > 100 ORDER BY id) q GROUP BY region'),
  ('SELECT sum(qty) FROM (SELECT * FROM sales WHERE id > 3 AND (revenue + 1 > 100 OR channel = ''web'')) q'),
  ('SELECT max(id) FROM sales a JOIN (SELECT city FROM sales WHERE aov > 100) b USING (city)'),
  ('SELECT DISTINCT city FROM sales WHERE aov > 100'),
  ('SELECT DISTINCT ON (city) city, id FROM sales WHERE revenue > 100 ORDER BY city'),
  ('SELECT city FROM sales WHERE aov > 100 UNION SELECT ''x'''),
  ('SELECT city FROM orders EXCEPT ALL SELECT city FROM sales WHERE aov > 100'),
  ('SELECT sum(revenue) FROM sales WHERE city IN (SELECT city FROM sales WHERE aov > 100)'),
  ('SELECT sum(revenue) FROM sales WHERE city NOT IN (SELECT city FROM sales WHERE revenue > 100)'),
  ('SELECT * FROM orders o WHERE EXISTS (SELECT FROM sales s WHERE s.aov > 100 AND s.city = o.city)'),
  ('SELECT * FROM orders WHERE city = (SELECT city FROM sales WHERE revenue > 100 ORDER BY id LIMIT 1)'),
  ('SELECT ARRAY(SELECT city FROM sales WHERE aov > 100)'),
  ('WITH q AS (SELECT * FROM sales WHERE aov > 100) SELECT count(*) FROM q'),
  ('WITH q AS (SELECT * FROM sales WHERE aov > 100), r AS (SELECT city FROM q) SELECT * FROM orders WHERE city IN (SELECT city FROM r)'),
  ('SELECT count(*) FROM (SELECT * FROM sales UNION ALL SELECT * FROM sales WHERE aov > 100) q'),
  ('SELECT count(*) FROM (SELECT * FROM sales ORDER BY aov DESC LIMIT 3) q'),
  ('SELECT count(*) FROM (SELECT s.* FROM sales s JOIN orders o ON o.id = s.id AND s.revenue > o.qty) q'),
  ('SELECT count(*) FROM sales v WHERE (to_jsonb(v) ->> ''revenue'')::numeric > 3'),
  ('SELECT count(*) FROM (SELECT id FROM sales v WHERE (to_jsonb(v) ->> ''revenue'')::numeric > 3) q')) v (q);
CREATE TABLE chosen AS SELECT DISTINCT id FROM sales WHERE aov > 100;
DELETE FROM orders WHERE city IN (SELECT city FROM sales WHERE aov > 100);
-- a plain list may be chosen: the rows that its values show
SELECT same('SELECT id, revenue FROM sales WHERE revenue > 20', 'SELECT id, amount - refund FROM orders WHERE status = ''paid'' AND amount - refund > 20');
SELECT same('SELECT id FROM (SELECT * FROM sales WHERE revenue > 20) q UNION ALL SELECT id FROM sales WHERE revenue > 20', 'SELECT id FROM orders, generate_series(1, 2) WHERE status = ''paid'' AND amount - refund > 20');
SELECT same('WITH q AS (SELECT * FROM sales WHERE revenue > 20) SELECT id FROM q', 'SELECT id FROM orders WHERE status = ''paid'' AND amount - refund > 20');
-- what the refusal says works: choose groups
SELECT same('SELECT count(*) FROM (SELECT city FROM sales GROUP BY city HAVING measure(revenue) > 50) q', 'SELECT count(*) FROM (SELECT city FROM orders GROUP BY city HAVING {revenue} > 50) q');
SELECT same('SELECT sum(revenue) FROM sales WHERE city IN (SELECT city FROM sales GROUP BY city HAVING measure(revenue) > 50)',
            'SELECT {revenue} FROM orders WHERE city IN (SELECT city FROM orders GROUP BY city HAVING {revenue} > 50)');

-- values of rows, and values taken out of whole rows
SELECT q AS query, split_part(refusal(q), '; choose', 1) AS refusal FROM (VALUES
  ('SELECT count(x) FROM (SELECT aov + 0 AS x FROM sales) q'),
  ('SELECT count(x) FROM (SELECT CASE WHEN revenue > 90 THEN 1 END AS x FROM sales) q'),
  ('WITH q AS (SELECT revenue * 2 AS x FROM sales) SELECT count(x) FROM q'),
  ('SELECT count(x) FROM (SELECT revenue + 1 AS x FROM sales LIMIT 10) q'),
  ('SELECT max((to_jsonb(v) ->> ''revenue'')::numeric) FROM sales v'),
  ('SELECT sum((v).revenue) FILTER (WHERE (to_jsonb(v) ->> ''revenue'')::numeric > 3) FROM sales v'),
  ('SELECT count((to_jsonb(v) ->> ''revenue'')) FROM sales v'),
  ('SELECT count(DISTINCT v) FROM sales v')) v (q);
-- whole rows are collected and counted as they are
SELECT count(v) = (SELECT count(*) FROM sales) AS counted, json_array_length(json_agg(v)) = (SELECT count(*) FROM sales) AS collected FROM sales v;
DROP SCHEMA mart CASCADE;
