-- The table of the benchmarks: :rows order lines over 24 months, 8 regions and 4 channels, always the same.
CREATE SCHEMA bench;
CREATE TABLE bench.fact (
  month    date NOT NULL,
  region   text NOT NULL,
  channel  text NOT NULL,
  status   text NOT NULL,
  quantity integer NOT NULL,
  amount   numeric(12,2) NOT NULL,
  refund   numeric(12,2),
  cost     numeric(12,2) NOT NULL
);
INSERT INTO bench.fact
SELECT date '2024-01-01' + make_interval(months => (n * 7 % 24)::int),
       (ARRAY['North', 'South', 'East', 'West', 'Centre', 'Coast', 'Islands', 'Abroad'])[1 + h % 8],
       (ARRAY['web', 'store', 'phone', 'partner'])[1 + h / 8 % 4],
       CASE WHEN h % 10 = 0 THEN 'cancelled' ELSE 'paid' END,
       1 + h % 5,
       5 + h % 19997 / 100.0,
       CASE WHEN h % 20 = 1 THEN h % 997 / 100.0 END,
       3 + h % 9973 / 100.0
  FROM (SELECT n, hashint8(n) & 2147483647 AS h FROM generate_series(1, :rows) n) numbers;
VACUUM (FREEZE, ANALYZE) bench.fact;
