-- The same ten values as measures.sql asks for, as somebody who knows the formulas writes them.
SELECT month, region,
       sum(amount) FILTER (WHERE status = 'paid') AS revenue,
       sum(refund) AS refunds,
       sum(amount) FILTER (WHERE status = 'paid') - sum(refund) AS net_revenue,
       count(*) FILTER (WHERE status = 'paid') AS orders,
       (sum(amount) FILTER (WHERE status = 'paid') - sum(refund)) / nullif(count(*) FILTER (WHERE status = 'paid'), 0) AS average_order,
       sum(quantity) AS units,
       max(amount) AS largest,
       (sum(amount) - sum(cost)) / nullif(sum(amount), 0) AS margin,
       sum(amount) FILTER (WHERE status = 'paid' AND channel = 'web') AS web_revenue,
       sum(amount) FILTER (WHERE status = 'paid' AND channel = 'web') / nullif(sum(amount) FILTER (WHERE status = 'paid'), 0) AS web_share
  FROM bench.fact
 GROUP BY month, region
 ORDER BY month, region;
