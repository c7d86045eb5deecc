-- What has no meaning is refused with SQLSTATE, the measure's name and a rewrite that works (M7), and what BI tools say
-- instead of measure() is its value, in the type that the parser promised (M8).
\getenv abs_srcdir PG_ABS_SRCDIR
\set mart :abs_srcdir '/data/mart.sql'
\i :mart

-- M7: a measure is no key, by itself, inside an expression, through a subquery or as a row
SELECT refusal('SELECT revenue, count(*) FROM sales GROUP BY revenue');
SELECT refusal('SELECT 1 FROM sales GROUP BY region, round(aov)');
SELECT refusal('SELECT count(*) FROM (SELECT region, aov * 2 AS x FROM sales) t GROUP BY x');
SELECT refusal('SELECT count(*) FROM sales GROUP BY ROLLUP (region, revenue)');
SELECT same('SELECT region, measure(revenue) FROM sales GROUP BY region', 'SELECT region, {revenue} FROM orders GROUP BY region');
SELECT refusal('SELECT DISTINCT revenue FROM sales');
SELECT refusal('SELECT DISTINCT region, aov + 1 FROM sales');
SELECT refusal('SELECT DISTINCT ON (revenue) region FROM sales');
SELECT refusal('SELECT DISTINCT * FROM sales');
SELECT refusal('SELECT DISTINCT s FROM sales s');
SELECT refusal('SELECT count(*) FROM sales s GROUP BY s');
SELECT same('SELECT DISTINCT measure(revenue) FROM sales GROUP BY city', 'SELECT DISTINCT {revenue} FROM orders GROUP BY city');
-- M7: distinct values, statistics, percentiles and lists over a measure
SELECT refusal('SELECT count(DISTINCT revenue) FROM sales');
SELECT same('SELECT count(DISTINCT x) FROM (SELECT measure(revenue) AS x FROM sales GROUP BY city) t', 'SELECT count(DISTINCT x) FROM (SELECT {revenue} AS x FROM orders GROUP BY city) t');
SELECT refusal('SELECT sum(DISTINCT revenue) FROM sales');
SELECT refusal('SELECT measure(DISTINCT revenue) FROM sales');
SELECT refusal('SELECT max(revenue ORDER BY id) FROM sales');
SELECT refusal('SELECT stddev_pop(revenue) FROM sales');
SELECT same('SELECT stddev_pop(x) FROM (SELECT measure(revenue) AS x FROM sales GROUP BY city) t', 'SELECT stddev_pop(x) FROM (SELECT {revenue} AS x FROM orders GROUP BY city) t');
SELECT refusal('SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY revenue) FROM sales');
SELECT refusal('SELECT corr(qty, aov) FROM sales');
SELECT refusal('SELECT array_agg(revenue) FROM sales');
SELECT refusal('SELECT string_agg(city, '','' ORDER BY revenue) FROM sales');
SELECT refusal('SELECT json_agg(json_build_object(''x'', aov)) FROM sales');
SELECT refusal('SELECT count(*) FILTER (WHERE revenue > 5) FROM sales');
-- M7: arithmetic inside the aggregate; it belongs outside
SELECT refusal('SELECT sum(revenue * id) FROM sales');
SELECT refusal('SELECT measure(revenue + units) FROM sales');
SELECT refusal('SELECT sum(coalesce(revenue, 1)) FROM sales');
SELECT refusal('SELECT sum(x) FROM (SELECT revenue + 2 AS x FROM sales) t');
SELECT refusal('SELECT sum(CASE WHEN region = ''East'' THEN revenue WHEN region = ''West'' THEN units END) FROM sales');
SELECT refusal('SELECT sum(CASE WHEN region = ''East'' THEN revenue ELSE units END) FROM sales');
SELECT refusal('SELECT sum(CASE WHEN region = ''East'' THEN revenue ELSE 1 END) FROM sales');
SELECT refusal('SELECT measure(CASE WHEN region = ''East'' THEN revenue END) FROM sales');
SELECT same('SELECT measure(revenue) * 2, sum(revenue) / 2, coalesce(measure(revenue), 0), measure(revenue) + measure(units) FROM sales',
            'SELECT {revenue} * 2, {revenue} / 2, coalesce({revenue}, 0), {revenue} + {units} FROM orders');
-- M7: a condition of a measure takes dimensions only
SELECT refusal('SELECT measure(revenue) FILTER (WHERE aov > 10) FROM sales');
SELECT refusal('SELECT sum(CASE WHEN units > 1 THEN revenue END) FROM sales');
-- M7: WHERE on a measure under an aggregate, at any level, and in a join
SELECT refusal('SELECT region, measure(aov) FROM sales WHERE revenue > 100 GROUP BY region');
SELECT refusal('SELECT count(*) FROM sales WHERE revenue > 100');
SELECT refusal('SELECT measure(aov) FROM (SELECT * FROM sales WHERE revenue > 100) t');
SELECT refusal('SELECT measure(a.aov) FROM sales a JOIN orders o ON o.id = a.id AND a.revenue > o.qty');
SELECT same('SELECT region, measure(aov) FROM sales GROUP BY region HAVING measure(revenue) > 1600', 'SELECT region, {aov} FROM orders GROUP BY region HAVING {revenue} > 1600');
-- M7: what a measure must not cross on its way up
SELECT refusal('SELECT sum(revenue) FROM (SELECT revenue FROM sales LIMIT 10) t');
SELECT refusal('SELECT sum(revenue) FROM (SELECT revenue FROM sales FETCH FIRST 3 ROWS ONLY) t');
SELECT refusal('SELECT sum(revenue) FROM (SELECT revenue FROM sales OFFSET 5) t');
SELECT refusal('SELECT measure(revenue) FROM (SELECT DISTINCT ON (region) region, revenue FROM sales) t');
SELECT refusal('SELECT measure(revenue) FROM (SELECT revenue FROM sales UNION ALL SELECT revenue FROM sales) t');
SELECT refusal('WITH t AS (SELECT revenue, row_number() OVER () FROM sales) SELECT measure(revenue) FROM (SELECT * FROM t) x');
SELECT refusal('SELECT measure(revenue) FROM (SELECT revenue, generate_series(1, 2) FROM sales) t');
SELECT refusal('WITH RECURSIVE t AS (SELECT 1 AS n, revenue FROM sales UNION ALL SELECT n + 1, revenue FROM t WHERE n < 3) SELECT measure(revenue) FROM t');
SELECT refusal('SELECT (SELECT measure(s.revenue) FILTER (WHERE o.id > 1) FROM orders o LIMIT 1) FROM sales s');
SELECT same('SELECT sum(x) FROM (SELECT measure(revenue) AS x FROM sales GROUP BY id ORDER BY id LIMIT 10) t', 'SELECT sum(x) FROM (SELECT {revenue} AS x FROM orders GROUP BY id ORDER BY id LIMIT 10) t');
-- M7: OFFSET 0, LIMIT ALL and ORDER BY cut nothing off
SELECT same('SELECT sum(revenue) FROM (SELECT revenue FROM (SELECT * FROM sales ORDER BY revenue LIMIT ALL) x OFFSET 0) t', 'SELECT {revenue} FROM orders');
SELECT same('SELECT sum(revenue) FROM (SELECT revenue FROM sales LIMIT NULL OFFSET NULL) t', 'SELECT {revenue} FROM orders');
-- M7: set operations that compare rows
SELECT refusal('SELECT revenue FROM sales UNION SELECT 1');
SELECT refusal('SELECT 1 INTERSECT ALL SELECT round(aov) FROM sales');
SELECT refusal('SELECT * FROM sales EXCEPT SELECT * FROM sales');
SELECT same('SELECT measure(revenue) FROM sales GROUP BY city UNION SELECT 1', 'SELECT {revenue} FROM orders GROUP BY city UNION SELECT 1');
-- M7: windows over a measure of single rows
SELECT refusal('SELECT region, sum(revenue) OVER (PARTITION BY region) FROM sales');
SELECT refusal('SELECT measure(revenue) OVER () FROM sales');
SELECT refusal('SELECT measure(revenue) OVER () FROM sales GROUP BY revenue');
SELECT refusal('SELECT rank() OVER (ORDER BY revenue) FROM sales');
SELECT refusal('SELECT count(*) OVER (PARTITION BY region, aov) FROM sales');
SELECT refusal('SELECT count(*) FILTER (WHERE units > 0) OVER (ORDER BY id) FROM sales');
SELECT refusal('SELECT DISTINCT ON (region) region, day, sum(revenue) OVER (PARTITION BY region) FROM sales LIMIT 1');
SELECT same('SELECT region, sum(measure(revenue)) OVER (), rank() OVER (ORDER BY measure(revenue)) FROM sales GROUP BY region',
            'SELECT region, sum({revenue}) OVER (), rank() OVER (ORDER BY {revenue}) FROM orders GROUP BY region');
-- M7: messages name the measure, not an alias, and quote it where that is needed
SELECT create_metric('mart."净 收入"', 'SELECT sum(amount) FROM mart.orders'), create_metric_view('mart."销售"', '{city}', '{"mart.\"净 收入\" AS \"Net \"\"Rev\"\"\""}');
SELECT refusal('SELECT sum("Net ""Rev""" * length(city)) AS "sum:x:ok" FROM mart."销售" "t0"');
SELECT same('SELECT city, measure("Net ""Rev""") * 2 FROM mart."销售" GROUP BY 1', 'SELECT city, sum(amount) * 2 FROM orders GROUP BY 1');
-- M12: measure() of what is no measure, also on empty input, alone or beside measures
SELECT refusal('SELECT measure(qty) FROM sales');
SELECT refusal('SELECT measure(qty) FROM orders WHERE false');
SELECT refusal('SELECT measure(1)');
SELECT refusal('SELECT measure(revenue), measure(city) FROM sales');
SELECT refusal('SELECT measure(x) FROM (SELECT measure(revenue) AS x FROM sales GROUP BY city) t');
SELECT refusal('SELECT kpi.metric_column(''mart.revenue'', NULL::numeric)');

-- M8: COUNT only of what counts
SELECT refusal('SELECT count(revenue) FROM sales');
SELECT refusal('SELECT count(aov) FROM sales');
SELECT same('SELECT count(*), measure(revenue), count(orders_paid), count(buyers), sum(orders_paid) FROM sales', 'SELECT count(*), {revenue}, {orders_paid}, {buyers}, {orders_paid} FROM orders');
-- M8: kpitables.carriers decides over AVG, MIN and MAX of an additive measure
SELECT same('SELECT region, avg(revenue), min(revenue), max(orders_paid), avg(aov), max(top), min(buyers) FROM sales GROUP BY 1',
            'SELECT region, {revenue}, {revenue}, {orders_paid}, {aov}, {top}, {buyers} FROM orders GROUP BY 1');
SET kpitables.carriers = strict;
SELECT refusal('SELECT avg(revenue) FROM sales');
SELECT refusal('SELECT min(revenue) FROM sales');
SELECT refusal('SELECT region, max(orders_paid::float8) FROM sales GROUP BY 1');
SELECT same('SELECT sum(revenue), avg(aov), max(median), min(top), avg(buyers), count(orders_paid), measure(revenue) FROM sales', 'SELECT {revenue}, {aov}, {median}, {top}, {buyers}, {orders_paid}, {revenue} FROM orders');
RESET kpitables.carriers;
-- M8: casts inside the aggregate and on the way are looked through
SELECT same('SELECT sum(revenue::float8), avg(aov::numeric(10,1)), sum(cast(revenue AS decimal)), max(aov::text), sum(revenue::int), sum((revenue::text)::numeric) FROM sales',
            'SELECT {revenue}::float8, {aov}, {revenue}, {aov}::text, {revenue}::int8, {revenue} FROM orders');
SELECT same('SELECT region, sum(x), avg(y::float8) FROM (SELECT region, revenue::float8 AS x, aov::numeric(9,1) AS y FROM sales) t GROUP BY 1', 'SELECT region, {revenue}::float8, {aov}::float8 FROM orders GROUP BY 1');
-- M8: CASE is a filter: searched and simple, with and without ELSE, under casts and with a FILTER beside it
SELECT same($$SELECT region, sum(CASE WHEN channel = 'web' THEN revenue END), sum(CASE WHEN channel = 'web' THEN aov ELSE NULL END), avg(CASE channel WHEN 'web' THEN aov END),
                     sum(cast(CASE WHEN NOT (channel = 'web' AND qty > 2) THEN revenue::float8 ELSE NULL END AS decimal)), min(CASE WHEN city = 'Ulm' THEN median ELSE NULL::float8 END),
                     sum(CASE WHEN qty > 1 THEN revenue END) FILTER (WHERE channel = 'web') FROM sales GROUP BY 1$$,
            $$SELECT region, (SELECT {revenue} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND channel = 'web'), (SELECT {aov} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND channel = 'web'),
                     (SELECT {aov} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND channel = 'web'), (SELECT {revenue} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND NOT (channel = 'web' AND qty > 2)),
                     (SELECT {median} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND city = 'Ulm'), (SELECT {revenue} FROM orders i WHERE i.region IS NOT DISTINCT FROM o.region AND qty > 1 AND channel = 'web') FROM orders o GROUP BY 1$$);
-- M8, M4: ELSE 0 is neutral for additive measures: 0 for a group without such rows, NULL for no rows at all
SELECT same($$SELECT city, sum(CASE WHEN channel = 'none' THEN revenue ELSE 0 END), sum(CASE WHEN channel = 'web' THEN revenue ELSE 0.0 END), sum(CASE WHEN channel = 'none' THEN orders_paid ELSE 0 END),
                     sum(CASE WHEN qty = 2 THEN units ELSE '0' END) FROM sales GROUP BY 1$$,
            $$SELECT city, 0, coalesce((SELECT {revenue} FROM orders i WHERE i.city = o.city AND channel = 'web'), 0), 0, coalesce(sum(qty) FILTER (WHERE qty = 2), 0) FROM orders o GROUP BY 1$$);
SELECT same('SELECT sum(CASE WHEN qty = 1 THEN revenue ELSE 0 END) FROM sales WHERE false', 'SELECT NULL::numeric');
SELECT refusal('SELECT sum(CASE WHEN channel = ''web'' THEN aov ELSE 0 END) FROM sales');
SELECT refusal('SELECT sum(CASE WHEN channel = ''web'' THEN buyers ELSE 0.0 END) FROM sales');
SELECT refusal('SELECT avg(CASE WHEN channel = ''web'' THEN revenue ELSE 0 END) FROM sales');
SELECT refusal('SELECT count(CASE WHEN channel = ''web'' THEN orders_paid ELSE 0 END) FROM sales');
SELECT same('SELECT sum(CASE WHEN channel = ''web'' THEN aov ELSE NULL END), measure(buyers) FILTER (WHERE channel = ''web''), count(CASE WHEN channel = ''web'' THEN orders_paid END) FROM sales',
            'SELECT {aov}, {buyers}, {orders_paid} FROM orders WHERE channel = ''web''');

-- M8: the result has the type that the parser fixed, which is that of the aggregate over a column of the measure's type
CREATE TABLE typed AS SELECT 1::int2 AS i2, 1::int4 AS i4, 1::int8 AS i8, 1.5::numeric AS n, 1.5::numeric(9,3) AS n3, 1.5::float4 AS f4, 1.5::float8 AS f8, '2 days'::interval AS iv, 2::money AS mo,
  'x'::text AS t, date '2024-02-03' AS d, timestamptz '2024-02-03 04:05Z' AS ts, true AS b;
DO $$
DECLARE c record;
BEGIN
  FOR c IN SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = 'mart.typed'::regclass AND attnum > 0 LOOP
    PERFORM create_metric('mart.m_' || c.attname, format('SELECT (max(%s::text) FILTER (WHERE %1$s IS NOT NULL))::%s FROM mart.typed', c.attname, c.type));
  END LOOP;
END $$;
SELECT create_metric_view('mart.types', '{t}', array_agg('mart.m_' || attname ORDER BY attnum)) FROM pg_attribute WHERE attrelid = 'mart.typed'::regclass AND attnum > 0;
CREATE FUNCTION shape(relation text, prefix text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE c text; f text; v text;
BEGIN
  FOREACH c IN ARRAY '{i2,i4,i8,n,n3,f4,f8,iv,mo,t,d,ts,b}'::text[] LOOP
    FOREACH f IN ARRAY '{sum,avg,min,max}'::text[] LOOP
      BEGIN
        EXECUTE format('SELECT pg_typeof(%s(%s)) || '' '' || regexp_replace(%1$s(%2$s)::text, ''\.?0+$'', '''') FROM mart.%s', f, prefix || c, relation) INTO v;
        RETURN NEXT format('%s(%s) %s', f, c, v);
      EXCEPTION WHEN undefined_function THEN
        RETURN NEXT format('%s(%s) none', f, c);
      END;
    END LOOP;
  END LOOP;
END $$;
SELECT coalesce(m, w) AS result, m IS NOT NULL AS measured, w IS NOT NULL AS written FROM shape('types', 'm_') m FULL JOIN shape('typed', '') w ON m = w WHERE m IS NULL OR w IS NULL ORDER BY 1;
SELECT count(*) AS results, count(*) FILTER (WHERE s LIKE '% none') AS none FROM shape('types', 'm_') s;
-- M8: and so has what is stored
CREATE TABLE stored AS SELECT sum(m_i2) AS a, avg(m_i4) AS b, sum(m_i8) AS c, sum(m_f4) AS d, min(m_n3) AS e, measure(m_i2) AS f, sum(m_f4::float8) AS g FROM types;
CREATE TABLE stored_plain AS SELECT sum(i2) AS a, avg(i4) AS b, sum(i8) AS c, sum(f4) AS d, min(n3) AS e, max(i2) AS f, sum(f4::float8) AS g FROM typed;
SELECT attname, format_type(m.atttypid, m.atttypmod) AS measured, format_type(p.atttypid, p.atttypmod) AS plain FROM pg_attribute m JOIN pg_attribute p USING (attname)
WHERE m.attrelid = 'mart.stored'::regclass AND p.attrelid = 'mart.stored_plain'::regclass AND m.attnum > 0 ORDER BY 1;

DROP SCHEMA mart CASCADE;
