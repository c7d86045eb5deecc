-- metric_definition: what may be the definition of a metric, and why anything else is refused (M4, M5, M13, H4).
-- Every governed number is compared with hand-written SQL: at each group, in total, and on empty input.

\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA def;

-- Do two queries give the same rows?
CREATE FUNCTION def.compare(governed text, by_hand text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	rows bigint;
	differences bigint;
BEGIN
	EXECUTE format('WITH g AS MATERIALIZED (%s), h AS MATERIALIZED (%s)
		SELECT (SELECT count(*) FROM h),
			   (SELECT count(*) FROM ((TABLE g EXCEPT ALL TABLE h) UNION ALL (TABLE h EXCEPT ALL TABLE g)) AS d)',
				   governed, by_hand)
		INTO rows, differences;
	RETURN format('%s rows, %s', rows, CASE differences WHEN 0 THEN 'same' ELSE differences || ' differ' END);
END
$$;

-- What happens to a definition?
CREATE FUNCTION def.try(definition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
	detail text;
	hint text;
BEGIN
	PERFORM kpi.drop_metric(kpi.create_metric('def.tried', definition));
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n    ', state || ': ' || message, nullif(detail, ''), nullif(hint, ''));
END
$$;

--
-- Five kinds of relation that hold the same rows
--
CREATE EXTENSION file_fdw;
CREATE SERVER def_files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE def.foreign (n integer, region text) SERVER def_files
	OPTIONS (program 'seq -f "%g,east" 1 20; seq -f "%g,west" 21 35; seq -f "%g," 36 40', format 'csv');
CREATE TABLE def.table AS TABLE def.foreign;
CREATE TABLE def.partitioned (n integer, region text) PARTITION BY LIST (region);
CREATE TABLE def.partitioned_east PARTITION OF def.partitioned FOR VALUES IN ('east');
CREATE TABLE def.partitioned_rest PARTITION OF def.partitioned DEFAULT;
INSERT INTO def.partitioned TABLE def.foreign;
CREATE VIEW def.view AS TABLE def.foreign;
CREATE MATERIALIZED VIEW def.matview AS TABLE def.foreign;

WITH kinds AS MATERIALIZED (
	SELECT kind,
		   kpi.create_metric(format('def.%I', 'm_' || kind),
							 format('SELECT sum(n) FILTER (WHERE n %% 3 = 0) - count(DISTINCT n / 4) FROM def.%I WHERE n > 5', kind)) AS metric
	  FROM unnest('{table, partitioned, foreign, view, matview}'::text[]) AS kind)
SELECT kind, kpi.create_metric_view('def.v_' || kind, '{n, region}', ARRAY[metric || ' AS m']) AS metric_view
  FROM kinds;
SELECT kind, kpi.metric_source(format('def.%I', 'm_' || kind)::regclass) AS source,
	   def.compare(format('SELECT region, GROUPING(region), kpi.measure(m) FROM def.v_%s GROUP BY ROLLUP (region)', kind),
				   'SELECT region, GROUPING(region), sum(n) FILTER (WHERE n % 3 = 0 AND n > 5)
						   - count(DISTINCT n / 4) FILTER (WHERE n > 5) FROM def.table GROUP BY ROLLUP (region)') AS at_groups,
	   def.compare(format('TABLE def.%I', 'm_' || kind),
				   'SELECT sum(n) FILTER (WHERE n % 3 = 0) - count(DISTINCT n / 4) FROM def.table WHERE n > 5') AS total,
	   def.compare(format('SELECT kpi.measure(m) FROM def.v_%s WHERE n < 0', kind), 'SELECT sum(n) - count(n) FROM def.table WHERE false') AS empty
  FROM unnest('{table, partitioned, foreign, view, matview}'::text[]) AS kind;

--
-- Expressions.  M4: on empty input counts are 0, the rest is what the aggregate has there.
--
CREATE TABLE def.sales (
	id integer, region text, status text, amount numeric(10,2), refund numeric(10,2), weight double precision,
	sold_on date, tags text[]);
INSERT INTO def.sales
SELECT i, (ARRAY['east', 'west', 'north', NULL])[1 + i % 4], (ARRAY['paid', 'open', 'void'])[1 + i % 3],
	   i * 1.25, CASE WHEN i % 5 = 0 THEN i * 0.5 END, i / 8.0, date '2026-01-01' + i % 60,
	   CASE WHEN i % 7 > 0 THEN ARRAY['t' || i % 2, 't' || i % 3] END
  FROM generate_series(1, 96) AS i;
CREATE AGGREGATE def.product(numeric) (SFUNC = numeric_mul, STYPE = numeric);
CREATE FUNCTION def.weigh(state numeric, value numeric, weight numeric) RETURNS numeric IMMUTABLE
	LANGUAGE sql AS 'SELECT coalesce(state, 0) + coalesce(value, 0) * weight';
CREATE AGGREGATE def.weighted(numeric, numeric) (SFUNC = def.weigh, STYPE = numeric);
CREATE FUNCTION def.collect(state text, VARIADIC parts text[]) RETURNS text IMMUTABLE
	LANGUAGE sql AS $$SELECT concat(state, array_to_string(parts, ':', '-'), ';')$$;
CREATE AGGREGATE def.collected(VARIADIC text[]) (SFUNC = def.collect, STYPE = text);

CREATE TABLE def.expressions (name text PRIMARY KEY, expression text);
INSERT INTO def.expressions VALUES
	('c01', 'count(*)'),
	('c02', 'count(refund)'),
	('c03', 'count(DISTINCT status)'),
	('s01', 'sum(amount)'),
	('s02', 'sum(amount) - sum(refund)'),
	('s03', 'sum(DISTINCT amount)'),
	('s04', 'sum(amount) FILTER (WHERE refund IS NULL OR amount > 50)'),
	('s05', 'sum(id * 2 + 1) * 3'),
	('s06', 'sum(1)'),
	('s07', 'sum(CASE WHEN region = ''east'' THEN amount ELSE 0 END)'),
	('s08', 'sum(amount)::numeric(12,1)'),
	('s09', '-sum(weight)::real'),
	('x01', 'min(sold_on)'),
	('x02', 'max(region COLLATE "C")'),
	('x03', 'bool_and(amount > 10)'),
	('a01', 'avg(amount)'),
	('a02', 'stddev_samp(weight)'),
	('a03', 'corr(weight, amount)'),
	('a04', 'round(100.0 * count(*) FILTER (WHERE refund > 0) / nullif(count(*), 0), 2)'),
	('a05', 'sum(amount) / nullif(sum(refund), 0)'),
	('a06', 'CASE WHEN count(*) > 5 THEN sum(amount) WHEN count(*) > 2 THEN 0 END'),
	('a07', 'coalesce(sum(refund), -1)'),
	('a08', 'greatest(max(amount), 7) - least(min(amount), 7)'),
	('a09', 'max(sold_on) - min(sold_on)'),
	('a10', 'sum(refund) IS NULL'),
	('a11', '(sum(amount))::text || '' CNY'''),
	('a12', 'count(*) FILTER (WHERE sold_on <= current_date)'),
	('a13', '42 + 0 * count(*)'),
	('o01', 'array_agg(id ORDER BY id DESC)'),
	('o02', 'string_agg(DISTINCT status, '','' ORDER BY status)'),
	('o03', 'percentile_cont(0.5) WITHIN GROUP (ORDER BY amount)'),
	('o04', 'percentile_disc(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY sold_on DESC)'),
	('o05', 'mode() WITHIN GROUP (ORDER BY region)'),
	('o06', 'rank(30) WITHIN GROUP (ORDER BY id) FILTER (WHERE status <> ''void'')'),
	('o07', '(array_agg(amount ORDER BY sold_on DESC, id))[1]'),
	('j01', 'jsonb_build_object(''n'', count(*), ''sum'', sum(amount))'),
	('j02', 'jsonb_object_agg(id, tags)'),
	('j03', 'ARRAY[min(id), max(id)]'),
	('j04', 'count(DISTINCT tags[1])'),
	('u01', 'def.product(1 + amount / 1000)'),
	('u02', 'def.product(DISTINCT amount) FILTER (WHERE id < 20)'),
	('u03', 'def.weighted(amount, id) / nullif(sum(id), 0)'),
	('u04', 'def.collected(region, status ORDER BY id)');
SELECT count(kpi.create_metric('def.' || name, format('SELECT %s FROM def.sales WHERE status <> ''open''', expression)))
  FROM def.expressions;
SELECT kpi.create_metric_view('def.all_sales', '{region, status, sold_on}',
							  ARRAY(SELECT 'def.' || name FROM def.expressions ORDER BY name));

-- By hand: the definition evaluated on the rows of the group that its WHERE lets through.
CREATE FUNCTION def.by_hand(expression text, dimensions text, rows text) RETURNS text LANGUAGE sql AS $$
	SELECT format('SELECT %2$s, r FROM (SELECT %2$s FROM def.sales WHERE %3$s GROUP BY %2$s) AS g
				   CROSS JOIN LATERAL (SELECT %1$s AS r FROM def.sales AS s WHERE status <> ''open'' AND %3$s
									   AND (%4$s) IS NOT DISTINCT FROM (%5$s)) AS v',
				  expression, dimensions, rows, 's.' || dimensions, 'g.' || dimensions)
$$;
SELECT name, expression,
	   def.compare(format('SELECT region, kpi.measure(%I) FROM def.all_sales GROUP BY region', name),
				   def.by_hand(expression, 'region', 'true')) AS by_region,
	   def.compare(format('SELECT status, kpi.measure(%I) FROM def.all_sales WHERE region = ''west'' GROUP BY status', name),
				   def.by_hand(expression, 'status', 'region = ''west''')) AS in_west,
	   def.compare(format('SELECT kpi.measure(%1$I), (SELECT %1$I FROM def.%1$I) FROM def.all_sales', name),
				   format('SELECT v, v FROM (SELECT %s AS v FROM def.sales WHERE status <> ''open'') AS s', expression)) AS total,
	   def.compare(format('SELECT kpi.measure(%I) FROM def.all_sales WHERE false', name),
				   format('SELECT %s FROM def.sales WHERE false', expression)) AS empty
  FROM def.expressions ORDER BY name;

--
-- Derived metrics, to depth 5.  M5: from the components' aggregates at the group, each under its own WHERE.
--
SELECT kpi.create_metric('def.net', 'SELECT sum(amount) - coalesce(sum(refund), 0) FROM def.sales WHERE status = ''paid'''),
	   kpi.create_metric('def.orders', 'SELECT count(*) FROM def.sales WHERE status IN (''paid'', ''open'')'),
	   kpi.create_metric('def.kilos', 'SELECT sum(weight) FROM def.sales');
SELECT kpi.create_metric('def.d1', 'SELECT net / nullif(orders, 0) FROM def.net, def.orders');
SELECT kpi.create_metric('def.d2', 'SELECT round(d1, 2) + k.kilos::numeric FROM def.d1 CROSS JOIN def.kilos AS k');
SELECT kpi.create_metric('def.d3', 'SELECT CASE WHEN d2 > 100 THEN d2 ELSE o END FROM def.d2, def.orders AS o(o);');
SELECT kpi.create_metric('def.d4', 'SELECT a.d3 - b.d1 FROM def.d3 AS a, def.d1 AS b, def.d3 AS unread');
SELECT kpi.create_metric('def.d5', 'SELECT (SELECT_d4.d4)::numeric(12,3) FROM def.d4 AS SELECT_d4');
\set net '(sum(amount) FILTER (WHERE status = ''paid'') - coalesce(sum(refund) FILTER (WHERE status = ''paid''), 0))'
\set orders '(count(*) FILTER (WHERE status IN (''paid'', ''open'')))'
\set d1 '(' :net ' / nullif(' :orders ', 0))'
\set d2 '(round(' :d1 ', 2) + sum(weight)::numeric)'
\set d3 '(CASE WHEN ' :d2 ' > 100 THEN ' :d2 ' ELSE ' :orders ' END)'
\set d5 '((' :d3 ' - ' :d1 ')::numeric(12,3))'
SELECT kpi.create_metric_view('def.derived', '{region, status, sold_on}', '{def.net, def.d1, def.d5}');
\set by_hand 'SELECT region, status, ' :d1 ', ' :d5 ' FROM def.sales GROUP BY CUBE (region, status)'
SELECT def.compare('SELECT region, status, kpi.measure(d1), kpi.measure(d5) FROM def.derived GROUP BY CUBE (region, status)', :'by_hand') AS cube,
	   def.compare('TABLE def.d5', 'SELECT d5 FROM (SELECT ' || :'d5' || ' AS d5 FROM def.sales) AS s') AS total,
	   def.compare('SELECT kpi.measure(d5), kpi.measure(net) FROM def.derived WHERE false',
				   'SELECT ' || :'d5' || ', ' || :'net' || ' FROM def.sales WHERE false') AS empty;

--
-- Filtered metrics reuse a formula over a metric view; also over a derived metric, over each other, and beside
-- aggregates of dimensions.  measure() needs no schema here (search_path does not hold kpi).
--
SHOW search_path;
SELECT kpi.create_metric('def.east_d1', 'SELECT measure(d1) FROM def.derived WHERE region = ''east'' AND sold_on > ''2026-01-10'''),
	   kpi.create_metric('def.paid_share', 'SELECT measure(net) FILTER (WHERE status = ''paid'' AND sold_on < ''2026-02-01'') / nullif(measure(net), 0) FROM def.derived'),
	   kpi.create_metric('def.per_day', 'SELECT kpi.measure(net) / nullif(count(DISTINCT sold_on), 0) + count(*) FROM def.derived WHERE region IS NOT NULL');
SELECT kpi.create_metric_view('def.filtered', '{region, status}', '{def.east_d1, def.paid_share, def.per_day, def.net}');
SELECT kpi.create_metric('def.twice', 'SELECT measure(per_day) - measure(east_d1) FILTER (WHERE status <> ''void'') FROM def.filtered WHERE status <> ''open'''),
	   kpi.create_metric('def.over_filtered', 'SELECT per_day - east_d1 FROM def.per_day, def.east_d1');
SELECT kpi.alter_metric_view('def.filtered', add_metrics => '{def.twice, def.over_filtered}');
\set d1_in 'sum(amount) FILTER (WHERE status = ''paid'' AND @) - coalesce(sum(refund) FILTER (WHERE status = ''paid'' AND @), 0)) / nullif(count(*) FILTER (WHERE status IN (''paid'', ''open'') AND @), 0)'
SELECT replace('(' || :'d1_in', '@', 'region = ''east'' AND sold_on > ''2026-01-10''') AS east_d1,
	   replace('(' || :'d1_in', '@', 'region = ''east'' AND sold_on > ''2026-01-10'' AND status <> ''void'' AND status <> ''open''') AS east_d1_twice \gset
\set per_day_in '(sum(amount) FILTER (WHERE status = ''paid'' AND @) - coalesce(sum(refund) FILTER (WHERE status = ''paid'' AND @), 0)) / nullif(count(DISTINCT sold_on) FILTER (WHERE @), 0) + count(*) FILTER (WHERE @)'
SELECT replace(:'per_day_in', '@', 'region IS NOT NULL') AS per_day,
	   replace(:'per_day_in', '@', 'region IS NOT NULL AND status <> ''open''') AS per_day_twice \gset
SELECT def.compare('SELECT region, status, kpi.measure(east_d1), kpi.measure(per_day), kpi.measure(twice), kpi.measure(over_filtered)
					  FROM def.filtered GROUP BY CUBE (region, status)',
				   format('SELECT region, status, %1$s, %2$s, (%3$s) - (%4$s), (%2$s) - (%1$s) FROM def.sales GROUP BY CUBE (region, status)',
						  :'east_d1', :'per_day', :'per_day_twice', :'east_d1_twice')) AS cube,
	   def.compare('SELECT region, kpi.measure(paid_share) FROM def.filtered GROUP BY region',
				   format('SELECT region, (sum(amount) FILTER (WHERE status = ''paid'' AND sold_on < ''2026-02-01'')
										   - coalesce(sum(refund) FILTER (WHERE status = ''paid'' AND sold_on < ''2026-02-01''), 0)) / nullif(%s, 0)
							 FROM def.sales GROUP BY region', :'net')) AS paid_share,
	   def.compare('SELECT * FROM def.east_d1, def.twice',
				   format('SELECT %s, (%s) - (%s) FROM def.sales', :'east_d1', :'per_day_twice', :'east_d1_twice')) AS totals;

--
-- M13: what is refused, and what the author of the definition is told
--
CREATE SEQUENCE def.numbers;
CREATE FUNCTION def.volatile_number(numeric) RETURNS numeric VOLATILE LANGUAGE sql AS 'SELECT $1';
CREATE OPERATOR def.@@@ (RIGHTARG = numeric, FUNCTION = def.volatile_number);
CREATE FUNCTION def.volatile_step(numeric, numeric) RETURNS numeric VOLATILE LANGUAGE sql AS 'SELECT coalesce($1, 0) + $2';
CREATE AGGREGATE def.volatile_sum(numeric) (SFUNC = def.volatile_step, STYPE = numeric);
CREATE FUNCTION def.volatile_end(numeric) RETURNS numeric VOLATILE LANGUAGE sql AS 'SELECT $1';
CREATE AGGREGATE def.volatile_finish(numeric) (SFUNC = numeric_add, STYPE = numeric, FINALFUNC = def.volatile_end);
CREATE FUNCTION def.rows() RETURNS SETOF def.sales STABLE LANGUAGE sql AS 'TABLE def.sales';
CREATE VIEW def.two_columns AS SELECT 1 AS a, 2 AS b;
CREATE TABLE def.definitions (position serial, definition text);
INSERT INTO def.definitions (definition) VALUES
	-- clauses
	('SELECT sum(amount) FROM def.sales GROUP BY region'),
	('SELECT sum(amount) FROM def.sales GROUP BY ()'),
	('SELECT sum(amount) FROM def.sales GROUP BY ROLLUP (region)'),
	('SELECT sum(amount) FROM def.sales HAVING count(*) > 1'),
	('SELECT sum(amount) OVER () FROM def.sales'),
	('SELECT sum(sum(amount)) OVER () FROM def.sales'),
	('SELECT sum(amount) FROM def.sales WINDOW w AS (PARTITION BY region)'),
	('SELECT DISTINCT sum(amount) FROM def.sales'),
	('SELECT DISTINCT ON (1) sum(amount) FROM def.sales'),
	('SELECT sum(amount) FROM def.sales ORDER BY 1'),
	('SELECT sum(amount) FROM def.sales LIMIT 1'),
	('SELECT sum(amount) FROM def.sales OFFSET 0'),
	('SELECT sum(amount) FROM def.sales FETCH FIRST ROW ONLY'),
	('SELECT net FROM def.net FOR UPDATE'),
	('SELECT sum(amount) FROM def.sales UNION SELECT 1'),
	('SELECT sum(amount) FROM def.sales EXCEPT ALL SELECT 1'),
	('VALUES (1)'),
	('WITH s AS (TABLE def.sales) SELECT sum(amount) FROM s'),
	('WITH RECURSIVE s AS (SELECT 1) SELECT sum(amount) FROM def.sales'),
	('SELECT sum(amount) INTO def.other FROM def.sales'),
	-- FROM
	('SELECT sum(amount) FROM (TABLE def.sales) AS s'),
	('SELECT sum(amount) FROM def.rows()'),
	('SELECT sum(n) FROM generate_series(1, 3) AS n'),
	('SELECT sum(amount) FROM def.sales, def.table'),
	('SELECT sum(amount) FROM def.sales JOIN def.table ON id = n'),
	('SELECT sum(amount) FROM def.sales TABLESAMPLE SYSTEM (50)'),
	('SELECT sum(amount) FROM ONLY def.sales'),
	('SELECT count(*)'),
	('SELECT 1'),
	-- columns
	('SELECT sum(amount), count(*) FROM def.sales'),
	('SELECT FROM def.sales'),
	('SELECT * FROM def.net, def.orders'),
	('SELECT (sum(amount), count(*)) FROM def.sales'),
	('SELECT count(s) FROM def.sales AS s'),
	('SELECT count(s.*) FROM def.sales AS s'),
	('SELECT max(ctid) FROM def.sales'),
	('SELECT count(*) FROM def.sales WHERE tableoid = 1'),
	('SELECT GROUPING(region) FROM def.sales GROUP BY region'),
	('SELECT sum($1) FROM def.sales'),
	('SELECT sum(amount) FROM def.sales WHERE region = $1'),
	-- subqueries
	('SELECT (SELECT sum(amount) FROM def.sales)'),
	('SELECT sum(amount) / (SELECT sum(n) FROM def.table) FROM def.sales'),
	('SELECT sum(amount) FROM def.sales WHERE EXISTS (SELECT FROM def.table)'),
	('SELECT sum(amount) FROM def.sales WHERE id IN (SELECT n FROM def.table)'),
	-- functions that give something else each time, or more than one value
	('SELECT sum(amount) + random() FROM def.sales'),
	('SELECT sum(amount) FROM def.sales WHERE random() < 0.5'),
	('SELECT sum(amount) FILTER (WHERE clock_timestamp() > sold_on) FROM def.sales'),
	('SELECT array_agg(id ORDER BY random()) FROM def.sales'),
	('SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY random()) FROM def.sales'),
	('SELECT nextval(''def.numbers'') + count(*) FROM def.sales'),
	('SELECT sum(OPERATOR(def.@@@) amount) FROM def.sales'),
	('SELECT def.volatile_sum(amount) FROM def.sales'),
	('SELECT def.volatile_finish(amount) FROM def.sales'),
	('SELECT d1 + random() FROM def.d1'),
	('SELECT generate_series(1, count(*)) FROM def.sales'),
	('SELECT unnest(array_agg(id)) FROM def.sales'),
	-- no aggregate; metrics
	('SELECT amount FROM def.sales'),
	('SELECT 1 FROM def.two_columns'),
	('SELECT net FROM def.net, def.sales'),
	('SELECT net FROM def.net WHERE net > 5'),
	('SELECT net FROM def.net JOIN def.orders ON net > orders'),
	('SELECT net FROM def.net LEFT JOIN def.orders ON true'),
	('SELECT sum(net) / sum(orders) FROM def.net, def.orders'),
	('SELECT net FROM def.derived'),
	-- measures
	('SELECT sum(net) FROM def.derived'),
	('SELECT max(net) FROM def.derived WHERE region = ''east'''),
	('SELECT measure(net) FROM def.derived WHERE net > 5'),
	('SELECT measure(net) FILTER (WHERE d1 > 5) FROM def.derived'),
	('SELECT measure(net + 1) FROM def.derived'),
	('SELECT measure(region) FROM def.derived'),
	('SELECT measure(amount) FROM def.sales'),
	('SELECT sum(kpi.metric_column(''def.net'', NULL::numeric)) FROM def.sales'),
	('SELECT kpi.metric_column(''def.net'', NULL::numeric) FROM def.net'),
	('SELECT measure(DISTINCT net) FROM def.derived'),
	('SELECT measure(net ORDER BY region) FROM def.derived'),
	('SELECT measure(net) OVER () FROM def.derived'),
	-- names
	('SELECT sum(amount) FROM def.nothing'),
	('SELECT sum(nothing) FROM def.sales'),
	('SELECT nothing(amount) FROM def.sales'),
	-- H4: other statements, several statements, and text that tries to leave its place
	('INSERT INTO def.sales (id) VALUES (1)'),
	('WITH i AS (INSERT INTO def.sales (id) VALUES (1) RETURNING id) SELECT count(*) FROM def.sales'),
	('UPDATE def.sales SET amount = 0'),
	('DELETE FROM def.sales'),
	('MERGE INTO def.sales USING def.table ON id = n WHEN MATCHED THEN DELETE'),
	('TRUNCATE def.sales'),
	('DROP TABLE def.sales'),
	('COPY def.sales TO STDOUT'),
	('EXPLAIN SELECT sum(amount) FROM def.sales'),
	('DO $x$BEGIN DELETE FROM def.sales; END$x$'),
	('CREATE VIEW def.other AS SELECT 1'),
	('COMMIT'),
	('SELECT sum(amount) FROM def.sales; DROP TABLE def.sales'),
	('SELECT sum(amount) FROM def.sales; SELECT 1'),
	('SELECT sum(amount) FROM def.sales); DROP TABLE def.sales; --'),
	('SELECT sum(amount) FROM def.sales WITH CHECK OPTION; DROP TABLE def.sales'),
	('SELECT sum(amount) FROM def.sales /* ; DROP TABLE def.sales'),
	(''),
	(' ; -- SELECT sum(amount) FROM def.sales'),
	('sum(amount)');
\pset format unaligned
\pset tuples_only on
\pset fieldsep '\n    '
SELECT definition, def.try(definition) FROM def.definitions ORDER BY position;
-- the accepted ones, to see that the list above is not refused for another reason
SELECT definition, def.try(definition)
  FROM (VALUES ('SELECT sum(amount) FROM def.sales'), ('SELECT sum(amount) FROM def.sales;'),
			   (E'-- a comment\nSELECT sum(amount) /* ; DROP TABLE def.sales; */ FROM def.sales -- ; DROP TABLE def.sales'),
			   ('TABLE def.net'), ('SELECT net.* FROM def.net, def.orders'), ('SELECT sum(amount) FROM def.sales*'),
			   ('SELECT measure(net) FROM def.derived WHERE region = ''east''')) AS accepted (definition);
\pset format aligned
\pset tuples_only off
\pset fieldsep '|'
SELECT count(*) AS sales_are_there, last_value, is_called FROM def.sales, def.numbers GROUP BY 2, 3;

-- an error in the text of the definition points into that text
SELECT kpi.create_metric('def.tried', 'SELECT sum(nothing) FROM def.sales');
SELECT kpi.create_metric('def.tried', E'SELECT sum(amount)\nFROM def.sales WHRE status = 1');

-- H4: a name is a name
SELECT kpi.create_metric('def.x; DROP TABLE def.sales', 'SELECT count(*) FROM def.sales');
SELECT kpi.create_metric('a.b.c.d', 'SELECT count(*) FROM def.sales');
SELECT kpi.create_metric('', 'SELECT count(*) FROM def.sales');
SELECT kpi.create_metric('def.', 'SELECT count(*) FROM def.sales');
SELECT kpi.create_metric('nowhere.x', 'SELECT count(*) FROM def.sales');
SELECT kpi.create_metric('def.sales', 'SELECT count(*) FROM def.sales');
SELECT kpi.create_metric('def."x""; DROP TABLE def.sales; --"', 'SELECT count(*) FROM def.sales', label => $$'; DROP TABLE def.sales; --$$,
						 description => E'\\''; DROP', tags => '{"''","\"\\"}', owner => NULL);
SELECT metric, label, description, tags FROM kpi.metrics WHERE name LIKE 'x%' ORDER BY name COLLATE "C";
SELECT * FROM def."x""; DROP TABLE def.sales; --";
SELECT kpi.alter_metric('def."x""; DROP TABLE def.sales; --"', definition => 'SELECT 2 * count(*) FROM def.sales');
SELECT kpi.create_metric_view('def."v""; --"', ARRAY['region AS "r""; DROP TABLE def.sales; --"'],
							  ARRAY['def."x""; DROP TABLE def.sales; --" AS "m""; --"']);
SELECT "r""; DROP TABLE def.sales; --" AS r, kpi.measure("m""; --") AS m FROM def."v""; --" GROUP BY 1 ORDER BY 1;
SELECT kpi.drop_metric('def."x""; DROP TABLE def.sales; --"', cascade => true);

-- J3: a name that is too long is cut between characters, as CREATE VIEW cuts it
SELECT kpi.create_metric('def."' || repeat('净', 30) || '"', 'SELECT count(*) FROM def.sales') AS metric \gset
SELECT length(attname::text), octet_length(attname::text), attname = (SELECT relname FROM pg_class WHERE oid = attrelid) AS as_the_view
  FROM pg_attribute WHERE attrelid = :'metric'::regclass AND attnum = 1;
-- J3: a definition of a megabyte, and one that is deeper than the stack
SELECT def.try('SELECT sum(amount) FROM def.sales WHERE id IN (' || string_agg(i::text, ', ') || ')') FROM generate_series(1, 150000) AS i;
SELECT def.try('SELECT sum(amount)' || repeat(' + 1', 1000) || ' FROM def.sales'),
	   left(def.try('SELECT sum(amount)' || repeat(' + 1', 100000) || ' FROM def.sales'), 33) AS too_deep,
	   def.try('SELECT ' || repeat('(', 100000) || 'sum(amount)' || repeat(' + 1)', 100000) || ' FROM def.sales') ~ '^42601: memory exhausted' AS much_too_deep;

SET client_min_messages = error;
DROP SCHEMA def CASCADE;
DROP EXTENSION file_fdw CASCADE;
SELECT count(*) AS left_behind FROM kpi.metric_registry FULL JOIN kpi.metric_view_registry USING (relid);
