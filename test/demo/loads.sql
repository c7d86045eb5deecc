-- What was loaded into the retail company after its tables are tracked: a correction and a late delivery, each by a role
-- and application of its own. Run by psql as the owner of shop.order_lines, after scopes.sql.

\set ON_ERROR_STOP on
\pset tuples_only on
\pset format unaligned
\o /dev/null

-- From here on every statement that changes order lines is recorded, with the days that it touched.
SELECT kpi.track('shop.order_lines', time_column => 'ordered_on');

-- The returns desk books what came back of a product that was recalled in June.
SET application_name = 'returns desk';
UPDATE shop.order_lines SET status = 'returned', refund = amount
WHERE ordered_on >= '2026-06-01' AND status = 'paid' AND amount IS NOT NULL
  AND product_id IN (SELECT product_id FROM shop.products JOIN shop.categories USING (category_id)
                     WHERE category = 'Sports' AND product_id % 3 = 0);

-- A marketplace sends again, a week late, the lines of one store: they name the lines that they repeat.
SET application_name = 'marketplace feed';
INSERT INTO shop.order_lines
SELECT line_id + 6, order_id, ordered_at, ordered_on, store_id, channel_id, product_id, customer_id, quantity, amount,
       refund, cost, status, batch_id + 7, line_id
FROM shop.order_lines
WHERE store_id = 17 AND channel_id = 4 AND ordered_on BETWEEN '2026-06-20' AND '2026-06-27' AND duplicate_of IS NULL
  AND line_id % 10 < 4;
RESET application_name;

\o
SELECT format('  %-16s %s of %s order lines', application_name, operation, rows) FROM kpi.data_change ORDER BY changed_at;
