-- What BI tools, drivers and object mappers send, normalised onto the metric view public.sales of fixture.sql, with
-- what is expected of each. Contract: statements come in pairs,
--     /* name */ statement;
--     /* expect: HOW */ hand-written SQL over the base table public.orders;
-- HOW is "rows" (the same rows with the same types), "in order" (rows in the same order), "some of" (the statement cuts
-- its rows by a LIMIT without a full order), or, without hand-written SQL, an SQLSTATE and the word that the error
-- names; "rows or KP004" allows a join that may multiply rows to be refused. Every protocol mode must agree.

/* A1/1.3 */ SELECT CAST("sales"."region" AS TEXT) AS "region", SUM("sales"."net_revenue") AS "sum:net_revenue:ok", DATE_TRUNC('MONTH', CAST("sales"."order_date" AS TIMESTAMP)) AS "tmn:order_date:ok" FROM "public"."sales" "sales" WHERE (("sales"."order_date" >= (DATE '2024-01-01')) AND ("sales"."order_date" < (TIMESTAMP '2024-03-01 00:00:00.000'))) GROUP BY 1, 3 LIMIT 1;
/* expect: some of */ SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid'), date_trunc('month', order_date::timestamp) FROM orders WHERE order_date >= '2024-01-01' AND order_date < '2024-03-01' GROUP BY 1, 3;

/* A4 */ SELECT SUM("sales"."net_revenue") AS "sum:net_revenue:ok" FROM "public"."sales" "sales" WHERE region='zz' HAVING (COUNT(1) > 0);
/* expect: rows */ SELECT sum(amount - refund) FROM orders WHERE false HAVING count(*) > 0;

/* 1.3 week,A2 */ SELECT CAST((DATE_TRUNC('DAY', CAST("sales"."order_date" AS DATE)) + (-EXTRACT(DOW FROM "sales"."order_date") * INTERVAL '1 DAY')) AS DATE) AS "twk:order_date:ok", AVG("sales"."conversion_rate") AS "avg:conversion_rate:ok" FROM "public"."sales" "sales" GROUP BY 1 LIMIT 1;
/* expect: some of */ SELECT order_date - extract(dow FROM order_date)::int, (count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0) FROM orders GROUP BY 1;

/* B7 */ SELECT CAST("sales"."region" AS TEXT) AS "region", SUM("sales"."net_revenue") AS "sum:net_revenue:ok" FROM "public"."sales" "sales" INNER JOIN (SELECT CAST("sales"."region" AS TEXT) AS "region", SUM("sales"."net_revenue") AS "$__alias__0" FROM "public"."sales" "sales" GROUP BY 1 ORDER BY 2 DESC, 1 ASC LIMIT 2) "t0" ON (CAST("sales"."region" AS TEXT) = "t0"."region") GROUP BY 1;
/* expect: rows */ SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders WHERE region IN (SELECT region FROM orders GROUP BY region ORDER BY sum(amount - refund) FILTER (WHERE status = 'paid') DESC LIMIT 2) GROUP BY region;

/* B7 exists */ SELECT "sales"."channel", SUM("sales"."net_revenue") FROM sales WHERE EXISTS (SELECT 1 AS "one" FROM (SELECT "sales"."region" AS "region", SUM("sales"."net_revenue") AS "$__alias__0" FROM sales GROUP BY "sales"."region" ORDER BY "$__alias__0" DESC LIMIT 2) "t0" WHERE (("sales"."region"="t0"."region") OR ("sales"."region" IS NULL AND "t0"."region" IS NULL))) GROUP BY "sales"."channel";
/* expect: rows */ SELECT channel, sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders WHERE coalesce(region, '-') IN (SELECT coalesce(region, '-') FROM orders GROUP BY region ORDER BY sum(amount - refund) FILTER (WHERE status = 'paid') DESC LIMIT 2) GROUP BY channel;

/* B8 */ SELECT (NOT ("t0"."_Tableau_join_flag" IS NULL)) AS "io:Set 1:nk", SUM("sales"."net_revenue") FROM "public"."sales" "sales" LEFT JOIN (SELECT "sales"."region" AS "region", MIN(1) AS "_Tableau_join_flag" FROM "public"."sales" "sales" GROUP BY 1 HAVING (SUM("sales"."net_revenue") > 786200)) "t0" ON ("sales"."region" = "t0"."region") GROUP BY 1;
/* expect: rows */ SELECT coalesce(region IN (SELECT region FROM orders WHERE region IS NOT NULL GROUP BY region HAVING sum(amount - refund) FILTER (WHERE status = 'paid') > 786200), false), sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders GROUP BY 1;

/* A10 */ SELECT SUM((CASE WHEN ("sales"."channel" = 'web') THEN "sales"."net_revenue" ELSE NULL END)) AS "TEMP(x)(1)(0)", SUM("sales"."net_revenue") AS "TEMP(y)(2)(0)" FROM "public"."sales" "sales" HAVING (COUNT(1) > 0);
/* expect: rows */ SELECT sum(amount - refund) FILTER (WHERE status = 'paid' AND channel = 'web'), sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders;

/* B4 LOD */ SELECT "t0"."region", AVG("t1"."__measure__0") FROM (SELECT region FROM sales GROUP BY 1) "t0" INNER JOIN (SELECT region, order_date, SUM(net_revenue) AS "__measure__0" FROM sales GROUP BY 1,2) "t1" ON ("t0"."region" IS NOT DISTINCT FROM "t1"."region") GROUP BY 1 LIMIT 1;
/* expect: some of */ SELECT region, avg(revenue) FROM (SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid') AS revenue FROM orders GROUP BY region, order_date) AS daily GROUP BY region;

/* A12 dup keys, ATTR */ SELECT MIN("sales"."channel") AS "TEMP(attr:channel:nk)(1)(0)", MAX("sales"."channel") AS "TEMP(attr:channel:nk)(2)(0)", "sales"."region" FROM sales GROUP BY "sales"."region","sales"."region" LIMIT 1;
/* expect: some of */ SELECT min(channel), max(channel), region FROM orders GROUP BY region;

/* B4 filter range */ SELECT MIN("t0"."x__alias__0") AS "lower", MAX("t0"."x__alias__0") AS "upper", COUNT(1) FROM (SELECT SUM("sales"."net_revenue") AS "x__alias__0" FROM "public"."sales" "sales" GROUP BY "sales"."region") "t0" HAVING (COUNT(1) > 0);
/* expect: rows */ SELECT min(revenue), max(revenue), count(*) FROM (SELECT sum(amount - refund) FILTER (WHERE status = 'paid') AS revenue FROM orders GROUP BY region) AS regional;

/* B1/B2 Power BI */ select "_"."region", "_"."a0", "_"."a1" from (select "rows"."region" as "region", sum("rows"."net_revenue") as "a0", sum(cast("rows"."conversion_rate" as decimal)) as "a1" from (select "_"."region","_"."order_date","_"."net_revenue","_"."conversion_rate" from (select "region","order_date","net_revenue","conversion_rate" from "public"."sales" "$Table") "_" where ("_"."order_date" < date '2025-01-01' and "_"."order_date" >= date '2024-01-01') and ("_"."region" in ('East','West'))) "rows" group by "region") "_" where not "_"."a0" is null or not "_"."a1" is null limit 1000001;
/* expect: rows */ SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid'), ((count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0))::numeric FROM orders WHERE extract(year FROM order_date) = 2024 AND region IN ('East', 'West') GROUP BY region;

/* A6 */ select "rows"."region", count(distinct("rows"."channel")) + max(case when "rows"."channel" is null then 1 else 0 end) as "a0" from "public"."sales" "rows" group by "region" limit 1000001;
/* expect: rows */ SELECT region, count(DISTINCT channel) + CASE WHEN bool_or(channel IS NULL) THEN 1 ELSE 0 END FROM orders GROUP BY region;

/* C4 */ select "_"."region" from (select "rows"."region" as "region" from "public"."sales" "rows" group by "region") "_" order by "_"."region" limit 101;
/* expect: in order */ SELECT DISTINCT region FROM orders ORDER BY region;

/* C1 */ select "$Table"."region" as "region", "$Table"."net_revenue" as "net_revenue" from "public"."sales" "$Table" limit 1;
/* expect: some of */ SELECT region, CASE WHEN status = 'paid' THEN amount - refund END FROM orders;

/* B9 */ select "_"."t1.manager", "_"."a0" from (select "rows"."t1.manager", sum("rows"."t0.net_revenue") as "a0" from (select "$Outer"."net_revenue" as "t0.net_revenue", "$Inner"."manager" as "t1.manager" from "public"."sales" "$Outer" left outer join "public"."region_dim" "$Inner" on ("$Outer"."region" = "$Inner"."region")) "rows" group by "t1.manager") "_" where not "_"."a0" is null limit 1000001;
/* expect: rows */ SELECT manager, sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders LEFT JOIN region_dim USING (region) GROUP BY manager;

/* A8/A12 Looker */ SELECT (DATE_TRUNC('month', sales."order_date")) AS "sales.order_month", sales."region" AS "sales.region", COALESCE(SUM(CAST((sales."net_revenue") AS DOUBLE PRECISION)), 0) AS "sales.total" FROM "public"."sales" AS "sales" WHERE ((( sales."order_date" ) >= (DATE_TRUNC('day', DATE '2024-01-01')) AND ( sales."order_date" ) < (DATE_TRUNC('day', DATE '2025-01-01')))) GROUP BY 1, 2 HAVING COALESCE(SUM(CAST((sales."net_revenue") AS DOUBLE PRECISION)),0) > 0 ORDER BY 3 DESC FETCH NEXT 1 ROWS ONLY;
/* expect: in order */ SELECT date_trunc('month', order_date), region, (sum(amount - refund) FILTER (WHERE status = 'paid'))::float8 AS total FROM orders WHERE extract(year FROM order_date) = 2024 GROUP BY 1, 2 ORDER BY total DESC LIMIT 1;

/* B12 Looker pivot */ SELECT * FROM (SELECT *, DENSE_RANK() OVER (ORDER BY z___min_rank) as z___pivot_row_rank, RANK() OVER (PARTITION BY z__pivot_col_rank ORDER BY z___min_rank) as z__pivot_col_ordering FROM (SELECT *, MIN(z___rank) OVER (PARTITION BY "sales.region") as z___min_rank FROM (SELECT *, RANK() OVER (ORDER BY CASE WHEN z__pivot_col_rank=1 THEN 1 ELSE 2 END, "sales.total" DESC, z__pivot_col_rank, "sales.region") AS z___rank FROM (SELECT *, DENSE_RANK() OVER (ORDER BY "sales.channel" NULLS LAST) AS z__pivot_col_rank FROM (SELECT sales.channel AS "sales.channel", sales.region AS "sales.region", COALESCE(SUM(sales.net_revenue),0) AS "sales.total" FROM sales GROUP BY 1,2) ww) bb WHERE z__pivot_col_rank <= 50) aa) xx) zz WHERE z___pivot_row_rank <= 1;
/* expect: rows */ WITH cells AS (SELECT channel, region, coalesce(sum(amount - refund) FILTER (WHERE status = 'paid'), 0) AS total, dense_rank() OVER (ORDER BY channel NULLS LAST) AS pivot FROM orders GROUP BY channel, region),
     ranked AS (SELECT *, rank() OVER (ORDER BY pivot <> 1, total DESC, pivot, region) AS place FROM cells),
     regional AS (SELECT *, min(place) OVER (PARTITION BY region) AS best FROM ranked)
SELECT channel, region, total, pivot, place, best, dense_rank, rank
FROM (SELECT *, dense_rank() OVER (ORDER BY best), rank() OVER (PARTITION BY pivot ORDER BY best) FROM regional) AS pivoted WHERE dense_rank = 1;

/* B7 Superset */ SELECT DATE_TRUNC('month', order_date) AS order_date, region AS region, sum(net_revenue) AS "SUM(net_revenue)" FROM public.sales JOIN (SELECT region AS region__, sum(net_revenue) AS mme_inner__ FROM public.sales WHERE order_date >= TO_DATE('2024-01-01','YYYY-MM-DD') GROUP BY region ORDER BY mme_inner__ DESC LIMIT 2) AS series_limit ON region = region__ WHERE order_date >= TO_DATE('2024-01-01','YYYY-MM-DD') AND order_date < TO_DATE('2025-01-01','YYYY-MM-DD') GROUP BY DATE_TRUNC('month', order_date), region ORDER BY "SUM(net_revenue)" DESC LIMIT 1;
/* expect: in order */ SELECT date_trunc('month', order_date), region, sum(amount - refund) FILTER (WHERE status = 'paid') AS revenue FROM orders WHERE extract(year FROM order_date) = 2024 AND region IN (SELECT region FROM orders WHERE order_date >= '2024-01-01' GROUP BY region ORDER BY sum(amount - refund) FILTER (WHERE status = 'paid') DESC LIMIT 2) GROUP BY 1, 2 ORDER BY revenue DESC LIMIT 1;

/* B4 rowcount */ SELECT COUNT(*) AS rowcount FROM (SELECT region AS region, sum(net_revenue) AS x FROM (SELECT * FROM sales) AS virtual_table GROUP BY region) AS rowcount_qry;
/* expect: rows */ SELECT count(*) FROM (SELECT DISTINCT region FROM orders) AS regions;

/* C4 */ SELECT DISTINCT region AS region FROM public.sales ORDER BY region ASC LIMIT 1000;
/* expect: in order */ SELECT DISTINCT region FROM orders ORDER BY region;

/* A10 Metabase */ SELECT CAST(DATE_TRUNC('month', "public"."sales"."order_date") AS date) AS "order_date", SUM("public"."sales"."net_revenue") AS "sum", SUM(CASE WHEN "public"."sales"."channel" = 'web' THEN "public"."sales"."net_revenue" ELSE 0.0 END) AS "sum_where", AVG("public"."sales"."conversion_rate") AS "avg", COUNT(*) AS "count" FROM "public"."sales" GROUP BY CAST(DATE_TRUNC('month', "public"."sales"."order_date") AS date) ORDER BY CAST(DATE_TRUNC('month', "public"."sales"."order_date") AS date) ASC LIMIT 1;
/* expect: in order */ SELECT date_trunc('month', order_date)::date, sum(amount - refund) FILTER (WHERE status = 'paid'), coalesce(sum(amount - refund) FILTER (WHERE status = 'paid' AND channel = 'web'), 0.0), (count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0), count(*) FROM orders GROUP BY 1 ORDER BY 1 LIMIT 1;

/* B1 Metabase */ SELECT "source"."region" AS "region", SUM("source"."net_revenue") AS "sum" FROM (SELECT "public"."sales"."region" AS "region", "public"."sales"."net_revenue" AS "net_revenue" FROM "public"."sales" WHERE "public"."sales"."channel" = 'web') AS "source" GROUP BY "source"."region" ORDER BY "sum" DESC, "source"."region" ASC LIMIT 1;
/* expect: in order */ SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders WHERE channel = 'web' GROUP BY region ORDER BY 2 DESC, 1 LIMIT 1;

/* C4 */ SELECT "public"."sales"."region" AS "region" FROM "public"."sales" GROUP BY "public"."sales"."region" ORDER BY "public"."sales"."region" ASC LIMIT 1000;
/* expect: in order */ SELECT DISTINCT region FROM orders ORDER BY region;

/* C2 */ SELECT TRUE AS "_" FROM "public"."sales" WHERE 1 <> 1 LIMIT 0;
/* expect: rows */ SELECT true WHERE false;

/* C5 */ SELECT SUBSTRING("public"."sales"."region", 1, 1234) AS "substring1", "public"."sales"."net_revenue" AS "net_revenue" FROM "public"."sales" LIMIT 1;
/* expect: some of */ SELECT substring(region, 1, 1234), CASE WHEN status = 'paid' THEN amount - refund END FROM orders;

/* A13 */ SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY "net_revenue"), STDDEV_POP("net_revenue") FROM "public"."sales";
/* expect: KP002 net_revenue */

/* B12 cumulative */ SELECT "source"."region", SUM(SUM("source"."net_revenue")) OVER (ORDER BY "source"."region" ASC ROWS UNBOUNDED PRECEDING) AS "sum" FROM sales "source" GROUP BY "source"."region" ORDER BY 1 LIMIT 1;
/* expect: in order */ SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders GROUP BY region ORDER BY region LIMIT 1;

/* 1.3 Grafana */ SELECT floor(extract(epoch from "created_at")/86400)*86400 AS "time", region AS metric, sum(net_revenue) AS value FROM sales WHERE "created_at" BETWEEN '2024-01-01T00:00:00Z' AND '2024-02-01T00:00:00Z' GROUP BY 1,2 ORDER BY 1 LIMIT 1;
/* expect: some of */ SELECT floor(extract(epoch FROM created_at) / 86400) * 86400, region, sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders WHERE created_at >= '2024-01-01 00:00+00' AND created_at < '2024-01-02 00:00+00' GROUP BY 1, 2;

/* B5 ThoughtSpot */ WITH "qt_1" AS (SELECT "ta_1"."region" "ca_2", CASE WHEN sum("ta_1"."net_revenue") IS NOT NULL THEN sum("ta_1"."net_revenue") ELSE 0 END "ca_3" FROM "kpitables_clients"."public"."sales" "ta_1" GROUP BY "ca_2") SELECT "ta_2"."ca_2" "ca_4", "ta_2"."ca_3" "ca_5" FROM "qt_1" "ta_2" WHERE TRUE = TRUE LIMIT 1;
/* expect: some of */ SELECT region, coalesce(sum(amount - refund) FILTER (WHERE status = 'paid'), 0) FROM orders GROUP BY region;

/* A7/B12 QuickSight */ SELECT date_trunc('day',"order_date") AS "u.order_date_tg", COUNT(*) AS "count", AVG("conversion_rate") AS "u.cr_avg", DENSE_RANK() OVER (ORDER BY AVG("conversion_rate") DESC NULLS LAST, date_trunc('day',"order_date") NULLS FIRST) AS "$RANK_1", COUNT("conversion_rate") AS "$weighted_avg_count_3" FROM "public"."sales" GROUP BY date_trunc('day',"order_date") ORDER BY date_trunc('day',"order_date") DESC NULLS LAST LIMIT 1;
/* expect: KP002 conversion_rate */

/* B10 Holistics */ SELECT TO_CHAR((CAST((DATE_TRUNC('month',(CAST("table"."created_at" AS timestamptz)) AT TIME ZONE 'Etc/UTC')) AT TIME ZONE 'Etc/UTC' AS timestamptz)) AT TIME ZONE 'Etc/UTC','YYYY-MM-DD HH24:MI:SS.US') AS "dm", SUM("table"."net_revenue") AS "s", CAST(NULL AS text) AS "h__placeholder_marker_0", 0 AS "h__model_level" FROM "public"."sales" "table" GROUP BY 1,3,4 UNION ALL (SELECT CAST(NULL AS text), SUM("table"."net_revenue"), 'total', 2 FROM "public"."sales" "table") ORDER BY 4 DESC LIMIT 2;
/* expect: some of */ SELECT to_char(date_trunc('month', created_at AT TIME ZONE 'UTC'), 'YYYY-MM-DD HH24:MI:SS.US'), sum(amount - refund) FILTER (WHERE status = 'paid'), NULL::text, 0 FROM orders GROUP BY 1
UNION ALL SELECT NULL, sum(amount - refund) FILTER (WHERE status = 'paid'), 'total', 2 FROM orders;

/* PostgREST */ WITH pgrst_source AS (SELECT "public"."sales"."region", SUM("public"."sales"."net_revenue") AS "sum" FROM "public"."sales" GROUP BY "public"."sales"."region" LIMIT ALL OFFSET 0) SELECT null::bigint AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, coalesce(json_agg(_postgrest_t),'[]') AS body FROM (SELECT * FROM pgrst_source) _postgrest_t;
/* expect: rows */ SELECT NULL::bigint, count(*), json_agg(regional) FROM (SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid') AS sum FROM orders GROUP BY region) AS regional;

/* B3 OFFSET 0 */ SELECT SUM("net_revenue") FROM (SELECT "public"."sales"."net_revenue" FROM "public"."sales" WHERE 1=1 OFFSET 0) AS "sub";
/* expect: rows */ SELECT sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders;

/* B11 */ SELECT region, channel, SUM(net_revenue), AVG(conversion_rate), GROUPING(region,channel) FROM sales GROUP BY GROUPING SETS ((region,channel),(region),()) ORDER BY 5 DESC LIMIT 1;
/* expect: rows */ SELECT NULL::text, NULL::text, sum(amount - refund) FILTER (WHERE status = 'paid'), (count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0), 3 FROM orders;

/* B13 + DISTINCT ON */ SELECT DISTINCT ON (region) region, order_date, SUM(net_revenue) OVER (PARTITION BY region) FROM sales LIMIT 1;
/* expect: KP002 net_revenue */

/* C6 */ SELECT s FROM sales s LIMIT 1;
/* expect: some of */ SELECT ROW(region, channel, order_date, created_at, "城市", CASE WHEN status = 'paid' THEN amount - refund END, NULL::float8, (status = 'paid')::int, NULL::numeric)::sales FROM orders;

/* C6 */ SELECT count(s), json_agg(s.region) IS NOT NULL FROM sales s;
/* expect: rows */ SELECT count(*), true FROM orders;

-- Further shapes of the same families.

/* A2 other carriers */ SELECT region, AVG(net_revenue), MIN(order_count), MAX(conversion_rate), SUM(order_count), AVG("客单价") FROM sales GROUP BY region;
/* expect: rows */ SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid'), count(*) FILTER (WHERE status = 'paid'), (count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0), (count(*) FILTER (WHERE status = 'paid'))::numeric, sum(amount - refund) FILTER (WHERE status = 'paid') / nullif(count(*) FILTER (WHERE status = 'paid'), 0) FROM orders GROUP BY region;

/* A3 empty input */ SELECT SUM(net_revenue), SUM(conversion_rate), SUM(order_count), COUNT(order_count), kpi.measure("客单价") FROM sales WHERE false;
/* expect: rows */ SELECT sum(amount - refund) FILTER (WHERE status = 'paid'), (count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0), (count(*) FILTER (WHERE status = 'paid'))::numeric, count(*) FILTER (WHERE status = 'paid'), sum(amount - refund) FILTER (WHERE status = 'paid') / nullif(count(*) FILTER (WHERE status = 'paid'), 0) FROM orders WHERE false;

/* A5 number of records */ SELECT channel, COUNT(*), COUNT(1), SUM(1), MIN(1), SUM(net_revenue) FROM sales GROUP BY channel;
/* expect: rows */ SELECT channel, count(*), count(*), count(*), 1, sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders GROUP BY channel;

/* A6m */ SELECT COUNT(DISTINCT net_revenue) FROM sales;
/* expect: KP002 net_revenue */

/* A6m Power BI */ select count(distinct("rows"."net_revenue")) + max(case when "rows"."net_revenue" is null then 1 else 0 end) as "a0" from "public"."sales" "rows";
/* expect: KP002 net_revenue */

/* A7 counting metric */ SELECT region, COUNT(order_count) FROM sales GROUP BY region;
/* expect: rows */ SELECT region, count(*) FILTER (WHERE status = 'paid') FROM orders GROUP BY region;

/* A7 other metric */ SELECT COUNT(net_revenue) FROM sales;
/* expect: KP002 net_revenue */

/* A8 result wrapped */ SELECT region, (SUM(net_revenue))::text, to_json(SUM(order_count)), CASE WHEN SUM(net_revenue) IS NOT NULL THEN SUM(net_revenue) ELSE 0 END FROM sales GROUP BY region;
/* expect: rows */ SELECT region, (sum(amount - refund) FILTER (WHERE status = 'paid'))::text, to_json((count(*) FILTER (WHERE status = 'paid'))::numeric), coalesce(sum(amount - refund) FILTER (WHERE status = 'paid'), 0) FROM orders GROUP BY region;

/* A9 arithmetic on aggregates */ SELECT region, SUM(net_revenue) / NULLIF(SUM(order_count), 0), SUM(net_revenue) * 1.1 FROM sales GROUP BY region;
/* expect: rows */ SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid') / nullif((count(*) FILTER (WHERE status = 'paid'))::numeric, 0), sum(amount - refund) FILTER (WHERE status = 'paid') * 1.1 FROM orders GROUP BY region;

/* A9 arithmetic inside */ SELECT SUM(net_revenue + 2) FROM sales;
/* expect: KP002 net_revenue */

/* A9 constant factor */ SELECT region, SUM(net_revenue * 2), SUM(-net_revenue), SUM(net_revenue / 1000.0) FROM sales GROUP BY region;
/* expect: rows */ SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid') * 2, -sum(amount - refund) FILTER (WHERE status = 'paid'), sum(amount - refund) FILTER (WHERE status = 'paid') / 1000.0 FROM orders GROUP BY region;

/* A10 dbplyr ifelse */ SELECT region, SUM(CASE WHEN (channel = 'web') THEN net_revenue WHEN NOT (channel = 'web') THEN NULL END), SUM(COALESCE(net_revenue, 0)) FROM sales GROUP BY region;
/* expect: rows */ SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid' AND channel = 'web'), coalesce(sum(amount - refund) FILTER (WHERE status = 'paid'), 0) FROM orders GROUP BY region;

/* A9 two measures inside */ SELECT SUM(net_revenue + order_count) FROM sales;
/* expect: KP002 net_revenue */

/* A10 filter clause */ SELECT region, SUM(net_revenue) FILTER (WHERE channel = 'web'), AVG(conversion_rate) FILTER (WHERE channel = 'web'), AVG(CASE WHEN channel = 'web' THEN conversion_rate END) FROM sales GROUP BY region;
/* expect: rows */ SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid' AND channel = 'web'), (count(*) FILTER (WHERE status = 'paid' AND channel = 'web'))::float8 / nullif(sum(visits) FILTER (WHERE channel = 'web'), 0), (count(*) FILTER (WHERE status = 'paid' AND channel = 'web'))::float8 / nullif(sum(visits) FILTER (WHERE channel = 'web'), 0) FROM orders GROUP BY region;

/* A10 else zero of a ratio */ SELECT SUM(CASE WHEN channel = 'web' THEN conversion_rate ELSE 0 END) FROM sales;
/* expect: KP002 conversion_rate */

/* A11 */ SELECT region FROM sales GROUP BY region HAVING SUM(net_revenue) >= 499999.99999998999 AND SUM(net_revenue) <= 1200000.00000002 ORDER BY SUM(net_revenue) DESC NULLS LAST;
/* expect: in order */ SELECT region FROM orders GROUP BY region HAVING sum(amount - refund) FILTER (WHERE status = 'paid') BETWEEN 500000 AND 1200000 ORDER BY sum(amount - refund) FILTER (WHERE status = 'paid') DESC;

/* A12 names */ SELECT SUM(net_revenue) AS "region", "城市" AS "sum:net_revenue:ok", kpi.measure("客单价") AS "SUM(净收入)" FROM public.sales AS "销售" GROUP BY 2, "销售"."城市" ORDER BY 2 FETCH NEXT 3 ROWS ONLY;
/* expect: in order */ SELECT sum(amount - refund) FILTER (WHERE status = 'paid'), "城市", sum(amount - refund) FILTER (WHERE status = 'paid') / nullif(count(*) FILTER (WHERE status = 'paid'), 0) FROM orders GROUP BY "城市" ORDER BY "城市" LIMIT 3;

/* A13 percentile of a ratio */ SELECT region, PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY conversion_rate) FROM sales GROUP BY region;
/* expect: KP002 conversion_rate */

/* A13 corr */ SELECT CORR(net_revenue, conversion_rate) FROM sales;
/* expect: KP002 */

/* A13 array_agg */ SELECT array_agg(net_revenue) FROM sales;
/* expect: KP002 net_revenue */

/* A13 sum distinct */ SELECT SUM(DISTINCT net_revenue) FROM sales;
/* expect: KP002 net_revenue */

/* A14 */ SELECT region, kpi.measure(net_revenue), kpi.measure(sales.conversion_rate) FILTER (WHERE channel = 'web'), json_build_object('orders', kpi.measure(order_count)) FROM sales GROUP BY region HAVING kpi.measure(order_count) > 300 ORDER BY kpi.measure(net_revenue) DESC;
/* expect: in order */ SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid'), (count(*) FILTER (WHERE status = 'paid' AND channel = 'web'))::float8 / nullif(sum(visits) FILTER (WHERE channel = 'web'), 0), json_build_object('orders', count(*) FILTER (WHERE status = 'paid')) FROM orders GROUP BY region HAVING count(*) FILTER (WHERE status = 'paid') > 300 ORDER BY sum(amount - refund) FILTER (WHERE status = 'paid') DESC;

/* B1 LibreOffice, dbplyr */ SELECT "q02"."channel", SUM("q02"."net_revenue") AS "x" FROM (SELECT "q01".* FROM (SELECT * FROM "sales" "q00" WHERE "region" <> 'South') "q01" WHERE "order_date" >= '2024-06-01') "q02" GROUP BY "q02"."channel";
/* expect: rows */ SELECT channel, sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders WHERE region <> 'South' AND order_date >= '2024-06-01' GROUP BY channel;

/* B2 computed key */ SELECT "r", "m", SUM("net_revenue") FROM (SELECT *, LOWER(CAST(CAST("region" AS TEXT) AS TEXT)) AS "r", DATE_TRUNC('month', "order_date") AS "m" FROM "sales") "t" GROUP BY 1, 2;
/* expect: rows */ SELECT lower(region), date_trunc('month', order_date), sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders GROUP BY 1, 2;

/* B3 limit */ SELECT SUM(net_revenue) FROM (SELECT net_revenue FROM sales LIMIT 100) t;
/* expect: KP002 net_revenue */

/* B3 offset */ SELECT SUM(net_revenue) FROM (SELECT net_revenue FROM sales OFFSET 5) t;
/* expect: KP002 net_revenue */

/* B3 distinct */ SELECT region, SUM(net_revenue) FROM (SELECT DISTINCT region, net_revenue FROM sales) t GROUP BY region;
/* expect: KP002 net_revenue */

/* B3 set operation */ SELECT SUM(m) FROM (SELECT net_revenue AS m FROM sales UNION ALL SELECT net_revenue FROM sales) t;
/* expect: KP002 net_revenue */

/* B3 window */ SELECT region, SUM(net_revenue) FROM (SELECT region, net_revenue, row_number() OVER (ORDER BY order_date) AS n FROM sales) t WHERE n <= 100 GROUP BY region;
/* expect: KP002 net_revenue */

/* B5 common table expression twice */ WITH s AS MATERIALIZED (SELECT region, SUM(net_revenue) AS x, AVG(conversion_rate) AS y FROM sales GROUP BY region) SELECT a.region, a.x, b.y FROM s a JOIN s b ON a.region = b.region WHERE TRUE = TRUE;
/* expect: rows */ SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid'), (count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0) FROM orders WHERE region IS NOT NULL GROUP BY region;

/* B6 */ select coalesce((select json_agg("j"."object") from (select json_build_object('region'::text, "s"."region", 's'::text, coalesce(sum("s"."net_revenue"), 0)) as "object" from "public"."sales" as "s" group by "s"."region" having sum("s"."net_revenue") > 500000 order by "s"."region") as "j"), '[]'::json) as "groups";
/* expect: rows */ SELECT json_agg(json_build_object('region', region, 's', revenue) ORDER BY region) FROM (SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid') AS revenue FROM orders GROUP BY region HAVING sum(amount - refund) FILTER (WHERE status = 'paid') > 500000) AS regional;

/* B9 Malloy */ SELECT group_set, SUM(net_revenue) FROM sales CROSS JOIN generate_series(0, 1) AS group_set GROUP BY group_set;
/* expect: rows or KP004 */ SELECT g, sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders, (VALUES (0), (1)) AS sets (g) GROUP BY g;

/* B9 one to many */ SELECT r.manager, SUM(s.net_revenue) FROM region_dim r JOIN sales s ON s.channel <> r.manager GROUP BY r.manager;
/* expect: rows or KP004 */ SELECT manager, sum(amount - refund) FILTER (WHERE status = 'paid') FROM (SELECT DISTINCT manager, orders.* FROM region_dim, orders WHERE channel <> manager) AS pairs GROUP BY manager;

/* B11 rollup */ SELECT region, channel, GROUPING(region, channel), SUM(net_revenue), AVG(conversion_rate), COUNT(order_count) FROM sales GROUP BY ROLLUP (region, channel);
/* expect: rows */ SELECT region, channel, 0, sum(amount - refund) FILTER (WHERE status = 'paid'), (count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0), count(*) FILTER (WHERE status = 'paid') FROM orders GROUP BY region, channel UNION ALL SELECT region, NULL, 1, sum(amount - refund) FILTER (WHERE status = 'paid'), (count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0), count(*) FILTER (WHERE status = 'paid') FROM orders GROUP BY region UNION ALL SELECT NULL, NULL, 3, sum(amount - refund) FILTER (WHERE status = 'paid'), (count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0), count(*) FILTER (WHERE status = 'paid') FROM orders;

/* B12 windows over measures */ SELECT region, RANK() OVER (ORDER BY SUM(net_revenue) DESC), SUM(net_revenue) / SUM(SUM(net_revenue)) OVER () FROM sales GROUP BY region;
/* expect: rows */ SELECT region, rank() OVER (ORDER BY revenue DESC), revenue / sum(revenue) OVER () FROM (SELECT region, sum(amount - refund) FILTER (WHERE status = 'paid') AS revenue FROM orders GROUP BY region) AS regional;

/* B13 */ SELECT region, SUM(net_revenue) OVER (PARTITION BY region) FROM sales;
/* expect: KP002 net_revenue */

/* B14 aggregated */ SELECT region, SUM(net_revenue) FROM sales WHERE net_revenue > 100 GROUP BY region;
/* expect: KP002 net_revenue */

/* B14 preview */ SELECT region, order_date, net_revenue FROM sales WHERE net_revenue > 3000;
/* expect: rows */ SELECT region, order_date, amount - refund FROM orders WHERE status = 'paid' AND amount - refund > 3000;

/* B15 */ SELECT net_revenue, COUNT(*) FROM sales GROUP BY net_revenue;
/* expect: KP002 net_revenue */

/* B15 distinct */ SELECT DISTINCT net_revenue FROM sales ORDER BY 1 LIMIT 1000;
/* expect: KP002 net_revenue */

/* B15 distinct rows */ SELECT DISTINCT s FROM sales s;
/* expect: KP002 net_revenue */

/* B15 group by row */ SELECT s, COUNT(*) FROM sales s GROUP BY s;
/* expect: KP002 net_revenue */

/* B15 count distinct rows */ SELECT COUNT(DISTINCT s) FROM sales s;
/* expect: KP002 net_revenue */

/* B15 union of rows */ SELECT s FROM sales s UNION SELECT s FROM sales s;
/* expect: KP002 net_revenue */

/* C2 all columns */ SELECT * FROM sales WHERE 1=0;
/* expect: rows */ SELECT region, channel, order_date, created_at, "城市", amount, 0::float8, 0::bigint, amount FROM orders WHERE false;

/* C3 extract */ SELECT * FROM "public"."sales";
/* expect: rows */ SELECT region, channel, order_date, created_at, "城市", CASE WHEN status = 'paid' THEN amount - refund END, NULL::float8, (status = 'paid')::int::bigint, NULL::numeric FROM orders;

/* C5 date slider */ SELECT MIN(order_date), MAX(order_date) FROM sales;
/* expect: rows */ SELECT min(order_date), max(order_date) FROM orders;

/* C6 PostGraphile 5 */ select __sales__."region", __sales__."net_revenue"::text, (not (__sales__ is null))::text from "public"."sales" as __sales__;
/* expect: rows */ SELECT region, (CASE WHEN status = 'paid' THEN amount - refund END)::text, 'true' FROM orders;

/* C6 row_to_json */ SELECT row_to_json(s)::jsonb FROM sales s WHERE region = 'South';
/* expect: rows */ SELECT jsonb_build_object('region', region, 'channel', channel, 'order_date', order_date, 'created_at', created_at, '城市', "城市", 'net_revenue', CASE WHEN status = 'paid' THEN amount - refund END, 'conversion_rate', NULL, 'order_count', (status = 'paid')::int, '客单价', NULL) FROM orders WHERE region = 'South';

/* B4 Django */ SELECT COUNT(*), SUM("__col1") FROM (SELECT "sales"."region" AS "col1", SUM("sales"."net_revenue") AS "__col1" FROM "sales" GROUP BY "sales"."region") subquery;
/* expect: rows */ SELECT count(*), sum(revenue) FROM (SELECT sum(amount - refund) FILTER (WHERE status = 'paid') AS revenue FROM orders GROUP BY region) AS regional;

/* B4 correlated */ SELECT r.manager, (SELECT SUM(s.net_revenue) FROM sales s WHERE s.region = r.region) AS own, l.rate FROM region_dim r, LATERAL (SELECT AVG(conversion_rate) AS rate FROM sales s WHERE s.region = r.region AND s.channel = 'web') l WHERE EXISTS (SELECT 1 FROM sales s WHERE s.region = r.region GROUP BY s.region HAVING SUM(s.net_revenue) > 3000);
/* expect: rows */ SELECT manager, sum(amount - refund) FILTER (WHERE status = 'paid'), (count(*) FILTER (WHERE status = 'paid' AND channel = 'web'))::float8 / nullif(sum(visits) FILTER (WHERE channel = 'web'), 0) FROM orders JOIN region_dim USING (region) GROUP BY region, manager HAVING sum(amount - refund) FILTER (WHERE status = 'paid') > 3000;

/* B4 exists, M7 */ SELECT r.manager FROM region_dim r WHERE EXISTS (SELECT 1 FROM sales s WHERE s.region = r.region AND s.net_revenue > 3000);
/* expect: KP002 net_revenue */

/* B6 Hasura */ SELECT json_build_object('aggregate', json_build_object('sum', json_build_object('net_revenue', SUM("net_revenue")), 'count', COUNT(*)), 'nodes', json_agg("nodes_e")) FROM (SELECT "_root.base"."net_revenue", row_to_json((SELECT "_e" FROM (SELECT "_root.base"."region" AS "region") AS "_e")) AS "nodes_e" FROM (SELECT * FROM "public"."sales" WHERE region = 'South' AND channel IS NULL) AS "_root.base") AS "_root";
/* expect: rows */ SELECT json_build_object('aggregate', json_build_object('sum', json_build_object('net_revenue', sum(amount - refund) FILTER (WHERE status = 'paid')), 'count', count(*)), 'nodes', json_agg(('{"region":"' || region || '"}')::json)) FROM orders WHERE region = 'South' AND channel IS NULL;

/* B9 merged join columns */ SELECT region, manager, SUM(net_revenue) FROM (sales s FULL JOIN region_dim r USING (region)) AS j GROUP BY region, manager;
/* expect: rows */ SELECT region, manager, sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders LEFT JOIN region_dim USING (region) GROUP BY region, manager;

/* B9 join in WHERE */ SELECT manager, SUM(net_revenue), AVG(conversion_rate) FROM sales, region_dim WHERE sales.region = region_dim.region GROUP BY manager;
/* expect: rows */ SELECT manager, sum(amount - refund) FILTER (WHERE status = 'paid'), (count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0) FROM orders JOIN region_dim USING (region) GROUP BY manager;

/* C1 DBeaver sort */ SELECT x.* FROM public.sales x WHERE region = 'South' ORDER BY x.net_revenue DESC NULLS LAST, x.created_at LIMIT 5;
/* expect: in order */ SELECT region, channel, order_date, created_at, "城市", CASE WHEN status = 'paid' THEN amount - refund END, NULL::float8, (status = 'paid')::int::bigint, NULL::numeric FROM orders WHERE region = 'South' ORDER BY 6 DESC NULLS LAST, created_at LIMIT 5;

/* C1 DBeaver count */ SELECT COUNT(*) FROM (SELECT x.* FROM public.sales x WHERE net_revenue > 100) dbvrcnt;
/* expect: KP002 net_revenue */

/* C6 PostgREST rows */ WITH pgrst_source AS (SELECT "public"."sales"."order_date", "public"."sales"."net_revenue", "public"."sales"."conversion_rate" FROM "public"."sales" WHERE "public"."sales"."region" = 'South' LIMIT 1000 OFFSET 0), pgrst_source_count AS (SELECT 1 FROM "public"."sales") SELECT (SELECT pg_catalog.count(*) FROM pgrst_source_count) AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, coalesce(json_agg(_postgrest_t), '[]') AS body FROM (SELECT * FROM pgrst_source) _postgrest_t;
/* expect: rows */ SELECT (SELECT count(*) FROM orders), count(*), json_agg(page) FROM (SELECT order_date, CASE WHEN status = 'paid' THEN amount - refund END AS net_revenue, NULL::float8 AS conversion_rate FROM orders WHERE region = 'South') AS page;

-- Date buckets.

/* 2 Tableau quarter, day */ SELECT CAST(DATE_TRUNC('QUARTER', CAST("order_date" AS DATE)) AS DATE), CAST("order_date" AS date), SUM("net_revenue") FROM "sales" GROUP BY 1, 2;
/* expect: rows */ SELECT date_trunc('quarter', order_date)::date, order_date, sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders GROUP BY 1, 2;

/* 2 Metabase week */ SELECT (CAST(DATE_TRUNC('week', ("public"."sales"."created_at" + INTERVAL '1 day')) AS timestamptz) + INTERVAL '-1 day') AS "created_at", SUM("public"."sales"."net_revenue") AS "sum" FROM "public"."sales" GROUP BY (CAST(DATE_TRUNC('week', ("public"."sales"."created_at" + INTERVAL '1 day')) AS timestamptz) + INTERVAL '-1 day');
/* expect: rows */ SELECT date_trunc('day', created_at) - extract(dow FROM created_at)::int * interval '1 day', sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders GROUP BY 1;

/* 2 Tableau Monday */ SELECT (CAST(DATE_TRUNC('DAY', CAST("order_date" AS TIMESTAMP)) AS DATE) - (((7 + CAST(EXTRACT(DOW FROM "order_date") AS BIGINT) - 1) % 7) * INTERVAL '1 DAY')) AS "twk", AVG("conversion_rate") FROM "sales" GROUP BY 1;
/* expect: rows */ SELECT date_trunc('week', order_date::timestamp), (count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0) FROM orders GROUP BY 1;

/* 2 parts */ SELECT CAST(TRUNC(EXTRACT(YEAR FROM "order_date")) AS INTEGER), (1 + CAST(EXTRACT(DOW FROM "order_date") AS INTEGER)), TO_DATE(TO_CHAR("order_date", 'IYYY-01'), 'IYYY-IW'), SUM("net_revenue") FROM "sales" GROUP BY 1, 2, 3;
/* expect: rows */ SELECT extract(year FROM order_date)::int, extract(dow FROM order_date)::int + 1, date_trunc('week', to_date(extract(isoyear FROM order_date) || '-01-04', 'YYYY-MM-DD'))::date, sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders GROUP BY 1, 2, 3;

/* 2 Looker */ SELECT TO_CHAR(DATE_TRUNC('month', sales."order_date"), 'YYYY-MM') AS "sales.order_month", SUM(sales."net_revenue") FROM "public"."sales" AS "sales" WHERE EXTRACT(YEAR FROM "order_date") = 2024 AND DATE_TRUNC('month', "order_date") IN ('2024-03-01', '2024-04-01') GROUP BY 1;
/* expect: rows */ SELECT to_char(order_date, 'YYYY-MM'), sum(amount - refund) FILTER (WHERE status = 'paid') FROM orders WHERE order_date >= '2024-03-01' AND order_date < '2024-05-01' GROUP BY 1;
