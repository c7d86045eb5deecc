-- The metrics of the retail company that load.sql loads, and the metric views that publish them. Run by psql as a
-- role that may create schemas and read shop.sales; no superuser is needed.

\set ON_ERROR_STOP on
\pset tuples_only on
\pset format unaligned

CREATE SCHEMA finance;
CREATE SCHEMA ops;
CREATE SCHEMA marketing;
CREATE SCHEMA "财务";
CREATE SCHEMA bi;

-- A metric is one aggregate over one relation. What counts as a sale is said here, and nowhere else.

SELECT kpi.create_metric('finance.net_revenue',
  $$ SELECT sum(amount) - sum(refund) FROM shop.sales WHERE status <> 'cancelled' AND duplicate_of IS NULL $$,
  label => 'Net revenue', unit => 'CNY', direction => 'up', tags => '{board}',
  synonyms => '{sales, turnover}', description => 'Sales after refunds; each line counts once');

SELECT kpi.create_metric('finance.cost_of_goods',
  $$ SELECT sum(cost) FROM shop.sales WHERE status = 'paid' AND duplicate_of IS NULL $$,
  label => 'Cost of goods', unit => 'CNY', direction => 'down', description => 'Purchase price of what was sold and kept');

SELECT kpi.create_metric('ops.orders',
  $$ SELECT count(DISTINCT order_id) FROM shop.sales WHERE status <> 'cancelled' $$,
  label => 'Orders', direction => 'up', description => 'Orders of which at least one line was not cancelled');

SELECT kpi.create_metric('ops.units',
  $$ SELECT sum(quantity) FROM shop.sales WHERE status = 'paid' AND duplicate_of IS NULL $$,
  label => 'Units sold', direction => 'up', description => 'Pieces that were sold and kept');

SELECT kpi.create_metric('ops.return_rate',
  $$ SELECT round(100.0 * count(*) FILTER (WHERE status = 'returned') / nullif(count(*), 0), 2)
     FROM shop.sales WHERE status <> 'cancelled' AND duplicate_of IS NULL $$,
  label => 'Return rate', unit => '%', direction => 'down', description => 'Returned lines of all that were delivered');

SELECT kpi.create_metric('ops.unpriced_lines',
  $$ SELECT count(*) FROM shop.sales WHERE amount IS NULL AND duplicate_of IS NULL $$,
  label => 'Lines without amount', direction => 'down', tags => '{data quality}');

SELECT kpi.create_metric('ops.repeated_lines',
  $$ SELECT count(*) FROM shop.sales WHERE duplicate_of IS NOT NULL $$,
  label => 'Lines sent twice', direction => 'down', tags => '{data quality}');

SELECT kpi.create_metric('marketing.customers',
  $$ SELECT count(DISTINCT customer_id) FROM shop.sales WHERE status = 'paid' $$,
  label => 'Customers', direction => 'up', description => 'Known customers who bought something and kept it');

-- A group of few rows tells about single customers: this metric has no value for it.

SELECT kpi.create_metric('marketing.line_value',
  $$ SELECT round(avg(amount), 2) FROM shop.sales WHERE status = 'paid' AND customer_id IS NOT NULL $$,
  label => 'Value of a line', unit => 'CNY', direction => 'up', min_group_rows => 20,
  description => 'What known customers pay for a line on average');

-- A derived metric is an expression over others, evaluated wherever they are evaluated.

SELECT kpi.create_metric('finance.margin',
  $$ SELECT net_revenue - cost_of_goods FROM finance.net_revenue, finance.cost_of_goods $$,
  label => 'Gross margin', unit => 'CNY', direction => 'up');

SELECT kpi.create_metric('finance.margin_rate',
  $$ SELECT round(100 * margin / nullif(net_revenue, 0), 2) FROM finance.margin, finance.net_revenue $$,
  label => 'Gross margin rate', unit => '%', direction => 'up', tags => '{board}');

SELECT kpi.create_metric('finance.order_value',
  $$ SELECT round(net_revenue / nullif(orders, 0), 2) FROM finance.net_revenue, ops.orders $$,
  label => 'Average order value', unit => 'CNY', direction => 'up', synonyms => '{AOV}');

SELECT kpi.create_metric('"财务"."净收入"', $$ SELECT net_revenue FROM finance.net_revenue $$,
  label => '净收入', unit => '元', direction => 'up', description => '扣除退款后的销售额');

-- A metric view publishes metrics of one source by its dimensions.

SELECT kpi.create_metric_view('bi.sales',
  dimensions => ARRAY['ordered_on', 'date_trunc(''month'', ordered_on::timestamp)::date AS month', 'region', 'city', 'store',
    'channel', 'category', 'product', 'segment'],
  metrics => '{finance.net_revenue, finance.cost_of_goods, finance.margin, finance.margin_rate, finance.order_value,
    ops.orders, ops.units, ops.return_rate, ops.unpriced_lines, ops.repeated_lines, marketing.customers,
    marketing.line_value, 财务.净收入}',
  label => 'Sales', description => 'Order lines of all stores and channels', time_dimension => 'ordered_on');

-- A filtered metric narrows another one over a metric view, so that its formula is written once.

SELECT kpi.create_metric('marketing.app_revenue',
  $$ SELECT measure(net_revenue) FROM bi.sales WHERE channel = 'app' $$,
  label => 'Revenue of the app', unit => 'CNY', direction => 'up');

SELECT kpi.create_metric('marketing.app_share',
  $$ SELECT round(100 * app_revenue / nullif(net_revenue, 0), 2) FROM marketing.app_revenue, finance.net_revenue $$,
  label => 'Share of the app', unit => '%', direction => 'up');

SELECT kpi.create_metric_view('bi.app',
  dimensions => '{ordered_on, region, category, segment}',
  metrics => '{marketing.app_revenue, marketing.app_share}',
  label => 'The app', description => 'What the app sells, and its share in all sales', time_dimension => 'ordered_on');

-- Marketing reads two measures by region, channel and day, and nothing below them.

GRANT USAGE ON SCHEMA bi TO marketing;
GRANT SELECT (ordered_on, region, channel, net_revenue, customers) ON bi.sales TO marketing;
