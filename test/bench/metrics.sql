-- Ten metrics of the benchmark table and the metric view that publishes them.
SELECT kpi.create_metric('bench.revenue', $$ SELECT sum(amount) FROM bench.fact WHERE status = 'paid' $$);
SELECT kpi.create_metric('bench.refunds', $$ SELECT sum(refund) FROM bench.fact $$);
SELECT kpi.create_metric('bench.net_revenue', $$ SELECT revenue - refunds FROM bench.revenue, bench.refunds $$);
SELECT kpi.create_metric('bench.orders', $$ SELECT count(*) FROM bench.fact WHERE status = 'paid' $$);
SELECT kpi.create_metric('bench.average_order',
  $$ SELECT net_revenue / nullif(orders, 0) FROM bench.net_revenue, bench.orders $$);
SELECT kpi.create_metric('bench.units', $$ SELECT sum(quantity) FROM bench.fact $$);
SELECT kpi.create_metric('bench.largest', $$ SELECT max(amount) FROM bench.fact $$);
SELECT kpi.create_metric('bench.margin', $$ SELECT (sum(amount) - sum(cost)) / nullif(sum(amount), 0) FROM bench.fact $$);
SELECT kpi.create_metric_view('bench.sales', '{month, region, channel}', '{bench.revenue}');
SELECT kpi.create_metric('bench.web_revenue', $$ SELECT kpi.measure(revenue) FROM bench.sales WHERE channel = 'web' $$);
SELECT kpi.create_metric('bench.web_share', $$ SELECT web_revenue / nullif(revenue, 0) FROM bench.web_revenue, bench.revenue $$);
SELECT kpi.alter_metric_view('bench.sales', add_metrics => '{bench.refunds, bench.net_revenue, bench.orders, bench.average_order,
  bench.units, bench.largest, bench.margin, bench.web_revenue, bench.web_share}');
