-- A retail company: 8 regions, 40 cities, 500 stores, 2,000 products in 20 categories, 5 channels, 100,000 customers
-- and about 1,000,000 order lines from July 2024 to June 2026.
--
-- Run by psql with -v scale=1, in an empty database; scale multiplies customers and order lines. The same scale always
-- gives the same rows: every choice is a hash of the key of the row. The sales have a trend, seasons, busy days and a
-- shift from stores to the app. As in life, some lines were returned or cancelled, some have no amount or no
-- customer, and some were sent again by the source system with the next day's batch: those name the line that
-- they repeat in duplicate_of.

\set ON_ERROR_STOP on
\set QUIET on
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET jit = off;

CREATE SCHEMA shop;

-- A number from 0 to 1 that depends on a key and on what it is asked for.
CREATE FUNCTION shop.chance(key bigint, purpose integer) RETURNS float8
  IMMUTABLE PARALLEL SAFE
  RETURN (hashint8extended(key, purpose) & 4294967295)::float8 / 4294967296;

CREATE TABLE shop.stores (store_id integer PRIMARY KEY, store text NOT NULL UNIQUE, city text NOT NULL,
  region text NOT NULL);
CREATE TABLE shop.categories (category_id integer PRIMARY KEY, category text NOT NULL UNIQUE);
CREATE TABLE shop.products (product_id integer PRIMARY KEY, product text NOT NULL UNIQUE,
  category_id integer NOT NULL REFERENCES shop.categories, list_price numeric(10,2) NOT NULL,
  unit_cost numeric(10,2) NOT NULL);
CREATE TABLE shop.channels (channel_id integer PRIMARY KEY, channel text NOT NULL UNIQUE);
CREATE TABLE shop.customers (customer_id integer PRIMARY KEY, segment text NOT NULL, joined_on date NOT NULL);

CREATE TABLE shop.order_lines (
  line_id      bigint NOT NULL,
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
  duplicate_of bigint);

-- ---- who sells what, where -------------------------------------------------------------------------------------------

CREATE TEMP TABLE region_cities (region_id integer, region text, cities text[]);
INSERT INTO region_cities VALUES
  (1, 'East',      '{Shanghai, Hangzhou, Nanjing, Suzhou, Ningbo}'),
  (2, 'South',     '{Shenzhen, Guangzhou, Foshan, Nanning, Haikou}'),
  (3, 'North',     '{Beijing, Tianjin, Shijiazhuang, Taiyuan, Hohhot}'),
  (4, 'Southwest', '{Chengdu, Chongqing, Kunming, Guiyang, Mianyang}'),
  (5, 'Central',   '{Wuhan, Changsha, Zhengzhou, Hefei, Luoyang}'),
  (6, 'Southeast', '{Xiamen, Fuzhou, Quanzhou, Nanchang, Wenzhou}'),
  (7, 'Northeast', '{Shenyang, Dalian, Harbin, Changchun, Daqing}'),
  (8, 'Northwest', '{Xi''an, Lanzhou, Urumqi, Yinchuan, Xining}');
CREATE TEMP TABLE cities AS
  SELECT ((rank - 1) * 8 + region_id)::integer AS city_id, city, region
  FROM region_cities, unnest(cities) WITH ORDINALITY AS c(city, rank);

-- Four stores in each city, the others rather in the cities with a low number, which are the large ones.
INSERT INTO shop.stores
  SELECT store_id, city || ' ' || row_number() OVER (PARTITION BY city_id ORDER BY store_id), city, region
  FROM (SELECT n AS store_id,
               CASE WHEN n <= 160 THEN 1 + n % 40 ELSE 1 + floor(40 * power(shop.chance(n, 1), 1.8))::integer END AS city_id
        FROM generate_series(1, 500) AS n) AS s
  JOIN cities USING (city_id);

CREATE TEMP TABLE lines_of_goods (category_id integer, category text, item text, price numeric, cost_share numeric, returns float8);
INSERT INTO lines_of_goods VALUES
  ( 1, 'Groceries',        'Basket',      38, 0.81, 0.003), ( 2, 'Fresh food',      'Box',         45, 0.84, 0.006),
  ( 3, 'Beverages',        'Case',        52, 0.72, 0.004), ( 4, 'Snacks',          'Pack',        24, 0.66, 0.003),
  ( 5, 'Cosmetics',        'Serum',      168, 0.48, 0.041), ( 6, 'Personal care',   'Kit',         59, 0.61, 0.015),
  ( 7, 'Womenswear',       'Dress',      229, 0.44, 0.148), ( 8, 'Menswear',        'Jacket',     249, 0.46, 0.112),
  ( 9, 'Shoes',            'Sneaker',    299, 0.49, 0.131), (10, 'Children',        'Romper',     119, 0.52, 0.074),
  (11, 'Toys',             'Set',         89, 0.57, 0.032), (12, 'Books',           'Volume',      42, 0.68, 0.012),
  (13, 'Kitchen',          'Pan',        139, 0.58, 0.029), (14, 'Home textiles',   'Quilt',      219, 0.53, 0.046),
  (15, 'Furniture',        'Chair',      589, 0.63, 0.058), (16, 'Small appliances','Kettle',     269, 0.71, 0.049),
  (17, 'Large appliances', 'Washer',    1490, 0.83, 0.027), (18, 'Phones',          'Phone',     1690, 0.89, 0.036),
  (19, 'Computers',        'Laptop',    2990, 0.90, 0.031), (20, 'Sports',          'Racket',     179, 0.56, 0.061);
INSERT INTO shop.categories SELECT category_id, category FROM lines_of_goods;
INSERT INTO shop.products
  SELECT n, brand || ' ' || item || ' ' || n, category_id, list_price, round(list_price * cost_share, 2)
  FROM (SELECT n, 1 + (n - 1) % 20 AS category_id,
               ('{Aurora,Bamboo,Cirrus,Delta,Ember,Fjord,Ginkgo,Harbor,Indigo,Jade,Kite,Lumen,Meadow,Nimbus,Orchid,Peak}'
                ::text[])[1 + floor(16 * shop.chance(n, 2))::integer] AS brand
        FROM generate_series(1, 2000) AS n) AS p
  JOIN lines_of_goods USING (category_id),
  LATERAL (SELECT ceil(price * (0.5 + 1.2 * power(shop.chance(n, 3), 2))::numeric) - 0.10 AS list_price) AS l;

INSERT INTO shop.channels VALUES (1, 'store'), (2, 'app'), (3, 'web'), (4, 'marketplace'), (5, 'phone');

INSERT INTO shop.customers
  SELECT n, ('{consumer,consumer,consumer,consumer,family,family,student,business}'
             ::text[])[1 + floor(8 * shop.chance(n, 4))::integer],
         date '2019-01-01' + floor(2000 * shop.chance(n, 5))::integer
  FROM generate_series(1, ceil(100000 * :scale)::integer) AS n;

-- ---- what was sold ---------------------------------------------------------------------------------------------------

-- Orders of a day: growth of 14 % a year, seasons, week days, sales festivals. An order has 1.95 lines on average.
CREATE TEMP TABLE days AS
  SELECT day, round(orders)::integer AS orders, (sum(round(orders)) OVER (ORDER BY day) - round(orders))::bigint AS orders_before
  FROM (SELECT day, 1000000 * :scale / 1.956 * weight / sum(weight) OVER () AS orders
        FROM (SELECT day::date,
                     (1 + 0.14 * (day::date - date '2024-07-01') / 365.0)
                     * ('{0.94,0.80,0.93,0.95,1.02,1.06,0.92,0.90,1.00,1.05,1.24,1.19}'
                        ::numeric[])[extract(month FROM day)::integer]
                     * ('{0.90,0.88,0.92,0.96,1.10,1.25,1.12}'::numeric[])[extract(isodow FROM day)::integer]
                     * CASE to_char(day, 'MMDD') WHEN '1111' THEN 3.6 WHEN '1212' THEN 1.9 WHEN '0618' THEN 2.6 ELSE 1 END
                     AS weight
              FROM generate_series(timestamp '2024-07-01', timestamp '2026-06-30', '1 day') AS day) AS d) AS d;

ANALYZE days, lines_of_goods, shop.products, shop.customers;

CREATE PROCEDURE pg_temp.load_month(month date)
BEGIN ATOMIC
  INSERT INTO shop.order_lines
  SELECT line_id + 5 * again, order_id, ordered_at, day, store_id, channel_id, product_id, customer_id, quantity,
         CASE WHEN shop.chance(line_id, 20) >= 0.003 THEN amount END,
         CASE WHEN shop.chance(line_id, 20) < 0.003 THEN 0
              WHEN status = 'returned' THEN amount
              WHEN status = 'paid' AND shop.chance(line_id, 21) < 0.015 THEN round(amount * 0.3, 2)
              ELSE 0 END,
         round(unit_cost * quantity, 2), status, day - date '2024-06-30' + again,
         CASE again WHEN 1 THEN line_id END
  FROM (SELECT day, orders_before + n AS order_id, (day - date '2024-07-01') / 730.0 AS progress
        FROM days, generate_series(1, orders) AS n
        WHERE date_trunc('month', day) = month) AS o,
  LATERAL (SELECT
      (day + interval '8 hours' + interval '7 hours' * (shop.chance(order_id, 10) + shop.chance(order_id, 11)))
        AT TIME ZONE 'Asia/Shanghai' AS ordered_at,
      1 + floor(500 * power(shop.chance(order_id, 12), 1.25))::integer AS store_id,
      CASE WHEN c < 0.52 - 0.13 * progress THEN 1 WHEN c < 0.70 THEN 2 WHEN c < 0.86 THEN 3 WHEN c < 0.96 THEN 4 ELSE 5 END AS channel_id,
      1 + (c2 < 0.55)::integer + (c2 < 0.28)::integer + (c2 < 0.12)::integer AS lines
    FROM (SELECT shop.chance(order_id, 13) AS c, shop.chance(order_id, 14) AS c2) AS c OFFSET 0) AS a,
  LATERAL (SELECT CASE WHEN shop.chance(order_id, 15) >= CASE channel_id WHEN 1 THEN 0.35 ELSE 0.004 END
      THEN 1 + floor(ceil(100000 * :scale) * power(shop.chance(order_id, 16), 1.3))::integer END AS customer_id) AS b,
  LATERAL (SELECT order_id * 10 + n AS line_id FROM generate_series(1, lines) AS n) AS l,
  LATERAL (SELECT 20 * floor(100 * power(shop.chance(line_id, 17), 1.1))::integer
        + 1 + floor(20 * power(shop.chance(line_id, 24), 2.2))::integer AS product_id,
      1 + (shop.chance(line_id, 18) < 0.22)::integer + (shop.chance(line_id, 18) < 0.06)::integer AS quantity,
      shop.chance(line_id, 19) AS fate OFFSET 0) AS c
  JOIN shop.products USING (product_id) JOIN lines_of_goods USING (category_id),
  LATERAL (SELECT
      round(list_price * quantity * CASE WHEN to_char(day, 'MMDD') IN ('1111', '1212', '0618') THEN 0.82
        WHEN shop.chance(line_id, 22) < 0.18 THEN 0.90 ELSE 1 END, 2) AS amount,
      CASE WHEN fate < 0.028 THEN 'cancelled'
           WHEN fate > 1 - returns * CASE channel_id WHEN 1 THEN 0.6 WHEN 4 THEN 1.7 ELSE 1.1 END THEN 'returned'
           ELSE 'paid' END AS status) AS d,
  generate_series(0, (shop.chance(line_id, 23) < 0.003)::integer) AS again;
END;

SELECT format('CALL pg_temp.load_month(%L)', month),
       format('SELECT %L || to_char(count(*), ''99,999,999'') || '' order lines'' FROM shop.order_lines', to_char(month, '  Mon YYYY  '))
FROM generate_series(timestamp '2024-07-01', timestamp '2026-06-01', '1 month') AS month \gexec

-- ---- keys, and what most readers want to see -------------------------------------------------------------------------

\echo '  keys and indexes'
ALTER TABLE shop.order_lines
  ADD PRIMARY KEY (line_id),
  ADD FOREIGN KEY (store_id) REFERENCES shop.stores,
  ADD FOREIGN KEY (channel_id) REFERENCES shop.channels,
  ADD FOREIGN KEY (product_id) REFERENCES shop.products,
  ADD FOREIGN KEY (customer_id) REFERENCES shop.customers,
  ADD FOREIGN KEY (duplicate_of) REFERENCES shop.order_lines,
  ADD CHECK (status IN ('paid', 'returned', 'cancelled'));
CREATE INDEX ON shop.order_lines (ordered_on);
CREATE INDEX ON shop.order_lines (order_id);
CREATE INDEX ON shop.order_lines (store_id, ordered_on);
CREATE INDEX ON shop.order_lines (customer_id);
CREATE INDEX ON shop.order_lines (duplicate_of) WHERE duplicate_of IS NOT NULL;
DROP FUNCTION shop.chance CASCADE;

-- Left joins to unique keys: a query that does not ask for the category does not pay for its join.
CREATE VIEW shop.sales AS
  SELECT line_id, order_id, ordered_on, ordered_at, region, city, store, channel, category, product, segment,
         customer_id, quantity, amount, refund, cost, status, batch_id, duplicate_of
  FROM shop.order_lines
  LEFT JOIN shop.stores USING (store_id)
  LEFT JOIN shop.channels USING (channel_id)
  LEFT JOIN shop.products USING (product_id)
  LEFT JOIN shop.categories USING (category_id)
  LEFT JOIN shop.customers USING (customer_id);

VACUUM (ANALYZE) shop.stores, shop.categories, shop.products, shop.channels, shop.customers, shop.order_lines;
