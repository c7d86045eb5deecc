-- Fixture of the client tests: run by psql in a fresh database, it leaves a base table public.orders of 2,000 rows,
-- metrics over it in schema metrics, and the metric view public.sales that every client reads.
-- Contract: the rows depend on nothing but their number, so hand-written SQL over public.orders is the expected
-- answer everywhere; NULL regions and channels, refunds, cancelled orders and names in Chinese are all present.
\set ON_ERROR_STOP on
SET client_encoding = 'UTF8';

CREATE EXTENSION kpitables;

CREATE TABLE public.orders (
    order_id bigint PRIMARY KEY,
    region text,
    channel text,
    "城市" text NOT NULL,
    order_date date NOT NULL,
    created_at timestamptz NOT NULL,
    status text NOT NULL,
    visits integer NOT NULL,
    amount numeric(12,2) NOT NULL,
    refund numeric(12,2) NOT NULL
);

INSERT INTO public.orders
SELECT i,
       CASE WHEN i % 37 <> 0 THEN ('{East,East,East,East,West,West,West,North,North,South}'::text[])[i % 10 + 1] END,
       CASE WHEN i % 41 <> 0 THEN ('{web,store,web,phone}'::text[])[i % 4 + 1] END,
       ('{上海,北京,广州,成都,"O''Hara \"市\""}'::text[])[i / 7 % 5 + 1],
       date '2023-11-01' + i * 769 % 600,
       (date '2023-11-01' + i * 769 % 600)::timestamp AT TIME ZONE 'UTC' + i * 41 * interval '1 second',
       CASE WHEN i % 8 = 0 THEN 'cancelled' ELSE 'paid' END,
       1 + i * 31 % 50,
       500 + i * 7907 % 3001 + i % 100 / 100.0,
       CASE WHEN i % 9 = 0 THEN 50 + i % 13 ELSE 0 END
FROM generate_series(1, 2000) AS i;

CREATE TABLE public.region_dim (region text PRIMARY KEY, manager text NOT NULL);
INSERT INTO public.region_dim VALUES ('East', 'Ann'), ('West', 'Bob'), ('North', 'Ann'), ('South', '李娜');

ANALYZE public.orders;
ANALYZE public.region_dim;

CREATE SCHEMA metrics;

-- Both definitions of net revenue: the governed one, and the one that a test changes it to and back.
CREATE TABLE metrics.net_revenue_versions (version text PRIMARY KEY, definition text NOT NULL);
INSERT INTO metrics.net_revenue_versions VALUES
    ('net', $$ SELECT sum(amount) - sum(refund) FROM public.orders WHERE status = 'paid' $$),
    ('gross', $$ SELECT sum(amount) FROM public.orders $$);

SELECT kpi.create_metric('metrics.net_revenue', definition,
           label => 'Net revenue', unit => 'CNY', description => 'Paid order value after refunds')
FROM metrics.net_revenue_versions WHERE version = 'net';

SELECT kpi.create_metric('metrics.order_count',
           $$ SELECT count(*) FROM public.orders WHERE status = 'paid' $$,
           label => 'Orders', description => 'Paid orders');

SELECT kpi.create_metric('metrics.conversion_rate',
           $$ SELECT (count(*) FILTER (WHERE status = 'paid'))::double precision / nullif(sum(visits), 0) FROM public.orders $$,
           label => 'Conversion rate', description => 'Paid orders per visit');

SELECT kpi.create_metric('metrics."客单价"',
           $$ SELECT net_revenue / nullif(order_count, 0) FROM metrics.net_revenue, metrics.order_count $$,
           label => '平均客单价', unit => 'CNY');

SELECT kpi.create_metric_view('public.sales',
           dimensions => ARRAY['region', 'channel', 'order_date', 'created_at', '"城市"'],
           metrics => ARRAY['metrics.net_revenue', 'metrics.conversion_rate', 'metrics.order_count', 'metrics."客单价"'],
           label => 'Sales', description => 'Orders of all channels', time_dimension => 'order_date');
