-- A walk through the metrics of metrics.sql: each query and its answer. Read by psql -e from its standard input, as the
-- owner of the demo, with -v bold= and -v plain= for the headings. The errors at the end are meant.

\set ON_ERROR_STOP on
\pset footer off
\pset numericlocale on
\pset null '-'

\echo
\echo :bold'One question, three answers':plain
\echo What did we sell? Three analysts, three formulas, three numbers.
\echo
SELECT sum(amount)                                         AS all_lines,
       sum(amount) FILTER (WHERE status = 'paid')          AS paid_lines,
       sum(amount - refund) FILTER (WHERE status = 'paid') AS after_refunds
FROM shop.order_lines;

\echo :bold'One governed answer':plain
\echo The formula was written once, as a metric. A metric is a view.
\echo
SELECT * FROM finance.net_revenue;

\echo What the source got wrong is a metric too.
\echo
SELECT * FROM ops.unpriced_lines, ops.repeated_lines;

\echo :bold'At any grouping':plain
\echo bi.sales publishes metrics by dimension; measure() reads one for the group at hand.
\echo
SELECT region, measure(net_revenue) AS net_revenue, measure(orders) AS orders,
       measure(order_value) AS order_value, measure(margin_rate) AS margin_rate
FROM bi.sales WHERE ordered_on >= '2026-01-01'
GROUP BY region ORDER BY net_revenue DESC;

\echo :bold'Totals that are right':plain
\echo Customers buy in several channels: the total is not the sum of its parts, and a rate has no sum.
\echo
SELECT coalesce(channel, 'all channels') AS channel, measure(customers) AS customers,
       measure(order_value) AS order_value, measure(return_rate) AS return_rate
FROM bi.sales GROUP BY ROLLUP (channel) ORDER BY grouping(channel), customers DESC;

\echo :bold'From any BI tool':plain
\echo A BI tool knows nothing of measure(); it sends SUM, even for a rate. It gets the governed value.
\echo
SELECT "sales"."category" AS "category", SUM("sales"."net_revenue") AS "sum:net_revenue:ok",
       SUM("sales"."margin_rate") AS "sum:margin_rate:ok"
FROM "bi"."sales" "sales" GROUP BY 1 HAVING (SUM("sales"."net_revenue") > 9000000) ORDER BY 2 DESC;

\echo :bold'Leaders and trends':plain
\echo After grouping, a measure is a number like any other: rank it, compare it, limit it.
\echo
SELECT rank() OVER (ORDER BY measure(net_revenue) DESC) AS rank, store, city,
       measure(net_revenue) AS net_revenue, measure(margin_rate) AS margin_rate
FROM bi.sales WHERE ordered_on >= '2025-07-01'
GROUP BY store, city ORDER BY rank LIMIT 5;

SELECT to_char(month, 'YYYY-MM') AS month, measure(net_revenue) AS net_revenue,
       round(100 * (measure(net_revenue) / lag(measure(net_revenue), 12) OVER (ORDER BY month) - 1), 1) AS "% on last year",
       measure(orders) FILTER (WHERE channel = 'app') AS app_orders
FROM bi.sales GROUP BY month ORDER BY month DESC LIMIT 6;

\echo :bold'A metric of a metric':plain
\echo The share of the app narrows net revenue to one channel and divides it by all of it.
\echo
SELECT to_char(ordered_on, 'YYYY') AS year, measure(app_revenue) AS app_revenue, measure(app_share) AS app_share
FROM bi.app GROUP BY 1 ORDER BY 1;

\echo :bold'In any language':plain
\echo
SELECT region AS 地区, measure(净收入) AS 净收入 FROM bi.sales
WHERE channel = 'app' GROUP BY region ORDER BY 净收入 DESC LIMIT 3;

\echo :bold'What PostgreSQL really runs':plain
\echo measure() becomes the expression that an expert would have written by hand, and the planner sees only that:
\echo of the six tables behind bi.sales it reads those that this query needs.
\echo
\pset tuples_only on
\pset format unaligned
SELECT split_part(kpi.explain_measure($$
  SELECT channel, measure(order_value) FROM bi.sales WHERE category = 'Shoes' GROUP BY channel $$), E'\n   FROM', 1);
\echo
EXPLAIN (COSTS OFF)
  SELECT channel, measure(order_value) FROM bi.sales WHERE category = 'Shoes' GROUP BY channel;
\pset format aligned
\pset tuples_only off
\echo

\echo :bold'What is there to read':plain
\echo
SELECT metric, label, unit, additivity, direction FROM kpi.metrics ORDER BY metric::text;

\echo :bold'A definition changes':plain
\echo Freight, 1.50 for each piece, shall belong to the cost of goods: margins follow at once, and a rollback takes it back.
\echo
BEGIN;
SELECT kpi.alter_metric('finance.cost_of_goods', definition =>
  $$ SELECT sum(cost) + 1.50 * sum(quantity) FROM shop.sales WHERE status = 'paid' AND duplicate_of IS NULL $$);
SELECT measure(cost_of_goods) AS cost_of_goods, measure(margin) AS margin, measure(margin_rate) AS margin_rate FROM bi.sales;
ROLLBACK;
SELECT measure(cost_of_goods) AS cost_of_goods, measure(margin) AS margin, measure(margin_rate) AS margin_rate FROM bi.sales;

\echo :bold'Who may see what':plain
\echo Marketing was granted two measures, column by column. It sees those, and cannot look under them.
\echo
SET ROLE marketing;
SELECT metric_view, name, label, unit FROM kpi.measures;
SELECT channel, measure(net_revenue) AS net_revenue, measure(customers) AS customers
FROM bi.sales WHERE region = 'East' GROUP BY channel ORDER BY net_revenue DESC LIMIT 3;
\set ON_ERROR_STOP off
SELECT measure(margin_rate) FROM bi.sales;
SELECT sum(cost) FROM shop.sales;

\set ON_ERROR_STOP on

\echo
\echo :bold'Three people, one dashboard':plain
\echo The CFO may see all stores, the manager of the East those of one region, a clerk a single one. They send the same query.
\echo
\set dashboard 'SELECT count(DISTINCT region) AS regions, count(DISTINCT store) AS stores, measure(net_revenue) AS revenue,\n       measure(orders) AS orders, measure(margin_rate) AS margin_rate\nFROM bi.sales WHERE month = \'2026-06-01\''
\echo :dashboard;
\set ECHO none
SET ROLE cfo;
:dashboard \gset cfo_
SET ROLE east_manager;
:dashboard \gset manager_
SET ROLE clerk_17;
:dashboard \gset clerk_
SELECT * FROM (VALUES
  ('regions',     :cfo_regions,     :manager_regions,     :clerk_regions),
  ('stores',      :cfo_stores,      :manager_stores,      :clerk_stores),
  ('net revenue', :cfo_revenue,     :manager_revenue,     :clerk_revenue),
  ('orders',      :cfo_orders,      :manager_orders,      :clerk_orders),
  ('margin rate', :cfo_margin_rate, :manager_margin_rate, :clerk_margin_rate)
) AS answers (" ", cfo, east_manager, clerk_17);
\set ECHO queries

\echo They can ask what they see, and why.
\echo
SET ROLE east_manager;
SELECT * FROM kpi.my_scope();

\echo A scope is a condition in the plan, as fast as one written by hand.
\echo
SET ROLE clerk_17;
EXPLAIN (COSTS OFF) SELECT measure(net_revenue) FROM bi.sales WHERE month = '2026-06-01';

\echo Averages of fewer than 20 lines would tell about single customers: the metric has no value for them.
\echo
SELECT channel, measure(line_value) AS line_value FROM bi.sales
WHERE month >= '2026-04-01' GROUP BY ROLLUP (channel) ORDER BY grouping(channel), line_value DESC NULLS LAST;

\echo Does anything bypass the scopes? Nothing does: a hole would be a row, with the statement that mends it.
\echo
RESET ROLE;
SELECT * FROM kpi.check();

\echo :bold'Why did net revenue move in June?':plain
\echo The five categories that moved it most against May. What all of them add is the change of the total.
\echo
SET ROLE cfo;
WITH moved AS (SELECT *, rank() OVER (PARTITION BY is_total ORDER BY abs(change) DESC) AS place
               FROM kpi.explain_change('finance.net_revenue', '[2026-05-01,2026-06-01)', '[2026-06-01,2026-07-01)',
                                       by => 'category', metric_view => 'bi.sales'))
SELECT coalesce(member, 'all categories') AS category, value_before AS may, value_after AS june, change
FROM moved WHERE place <= 5 ORDER BY is_total, place;

\echo The return rate: did lines come back more often, or were other things sold?
\echo
WITH moved AS (SELECT *, rank() OVER (PARTITION BY is_total ORDER BY abs(change) DESC) AS place
               FROM kpi.explain_change('ops.return_rate', '[2026-05-01,2026-06-01)', '[2026-06-01,2026-07-01)',
                                       by => 'category', metric_view => 'bi.sales'))
SELECT coalesce(member, 'all categories') AS category, value_before AS may, value_after AS june,
       round(rate_effect, 3) AS rate_effect, round(mix_effect, 3) AS mix_effect
FROM moved WHERE place <= 3 ORDER BY is_total, place;

\echo The loads behind it, as the owner of the order lines sees them: who changed rows of June since the books were closed?
\echo
RESET ROLE;
SELECT application_name, login, operation, rows, touched_from::date, touched_to::date
FROM kpi.loads('finance.net_revenue', touching => '[2026-06-01,2026-07-01)');

\echo What would a change of a column touch? Nobody needs to ask around.
\echo
SELECT kind, name, owner, depth FROM kpi.impact('shop.order_lines.refund') WHERE kind <> 'scope';

\echo The lineage of one metric as a picture:
\o :picture
\t on
\pset format unaligned
SELECT kpi.lineage_svg('finance.net_revenue');
\pset format aligned
\t off
\o
\echo :picture
\echo

\set ON_ERROR_STOP off
\echo :bold'What has no meaning is an error, not a number':plain
\echo
SELECT sum(net_revenue * 2) FROM bi.sales;
SELECT region, count(DISTINCT margin_rate) FROM bi.sales GROUP BY region;
