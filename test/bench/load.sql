-- Tables of the load benchmark, like the demo's order lines: a source of :rows rows, and tables that receive them, of which
-- plain and again are not tracked, counted is, timed is with its time column, and scoped with that and one dimension.
-- Run by psql as a superuser in a database that has the extension.
CREATE SCHEMA loads;
CREATE SEQUENCE loads.line_id;
CREATE TABLE loads.source (
  line_id      bigint NOT NULL DEFAULT nextval('loads.line_id'),
  order_id     bigint NOT NULL,
  ordered_at   timestamptz NOT NULL,
  ordered_on   date NOT NULL,
  store_id     integer NOT NULL,
  channel_id   integer NOT NULL,
  product_id   integer NOT NULL,
  customer_id  integer,
  quantity     integer NOT NULL,
  amount       numeric(12,2),
  refund       numeric(12,2) NOT NULL,
  cost         numeric(12,2) NOT NULL,
  status       text NOT NULL,
  batch_id     integer NOT NULL,
  duplicate_of bigint,
  PRIMARY KEY (line_id)
);
SELECT format('CREATE TABLE loads.%I (LIKE loads.source INCLUDING ALL)', t)
  FROM unnest('{plain,again,counted,timed,scoped}'::text[]) t \gexec
INSERT INTO loads.source
SELECT n, n / 2, timestamptz '2026-01-01 00:00+00' + n * interval '1 minute', date '2026-01-01' + (n / 1440)::integer,
       1 + h % 500, 1 + h % 5, 1 + h % 2000, h % 100000, 1 + h % 3, 5 + h % 19997 / 100.0, 0, 3 + h % 9973 / 100.0, 'paid', n / 10000, NULL
  FROM (SELECT n, hashint8(n) & 2147483647 AS h FROM generate_series(0, :rows::bigint - 1) n) numbers;
SELECT kpi.create_dimension('load_store', type => 'integer');
SELECT kpi.protect('loads.scoped', 'load_store', 'store_id');
SELECT kpi.track('loads.counted'), kpi.track('loads.timed', 'ordered_on'), kpi.track('loads.scoped', 'ordered_on');
VACUUM (FREEZE, ANALYZE) loads.source;
