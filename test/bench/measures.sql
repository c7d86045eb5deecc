-- Ten measures by month and region.
SELECT month, region,
       kpi.measure(revenue) AS revenue,
       kpi.measure(refunds) AS refunds,
       kpi.measure(net_revenue) AS net_revenue,
       kpi.measure(orders) AS orders,
       kpi.measure(average_order) AS average_order,
       kpi.measure(units) AS units,
       kpi.measure(largest) AS largest,
       kpi.measure(margin) AS margin,
       kpi.measure(web_revenue) AS web_revenue,
       kpi.measure(web_share) AS web_share
  FROM bench.sales
 GROUP BY month, region
 ORDER BY month, region;
