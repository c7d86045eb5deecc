/*
 * PostGraphile 4 with its aggregates plugin: the GraphQL schema it builds from the metric view, and what its queries
 * return, by name-hashed prepared statements of one pooled connection.
 *
 * Contract: run beside an installed node_modules (see package.json) with PGHOST, PGPORT, PGUSER and PGDATABASE naming a
 * server with fixture.sql loaded; prints TAP lines without numbers, ends with status 1 if any failed. Every answer is
 * compared in value and JavaScript type with hand-written SQL over public.orders through the same driver.
 */
"use strict";
const { createPostGraphileSchema, withPostGraphileContext } = require("postgraphile");
const { default: PgAggregates } = require("@graphile/pg-aggregates");
const { makeJSONPgSmartTagsPlugin } = require("graphile-utils");
const { graphql } = require("graphql");
const { Client, Pool } = require("pg");

const NET = "sum(amount - refund) FILTER (WHERE status = 'paid')";
const RATE = "(count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0)";
const PAID = "count(*) FILTER (WHERE status = 'paid')";
const BASKET = `${NET} / nullif(${PAID}, 0)`;

let failed = 0;

function ok(passed, name, ...diagnosis) {
  console.log(`${passed ? "ok" : "not ok"} - postgraphile: ${name}`);
  if (!passed) {
    failed++;
    diagnosis.forEach((line) => console.log(("# " + line).split("\n")[0].slice(0, 500)));
  }
}

/* Equality of what JSON shows, types included; rows and groups are compared in any order. */
function same(name, got, want) {
  const text = (value) => JSON.stringify(Array.isArray(value) ? value.map((v) => JSON.stringify(v)).sort() : value);
  const proves = Array.isArray(want) ? want.length > 0 : want !== undefined;
  ok(proves && text(got) === text(want), name, "got  " + text(got), "want " + text(want));
}

/* A numeric as it arrives after the plugin has made it a JSON number. */
const json = (text) => (text === null ? null : String(Number(text)));

/* GraphQL names are ASCII, so names in Chinese get one here; the base table is not published. */
const names = makeJSONPgSmartTagsPlugin({
  version: 1,
  config: {
    class: {
      "public.sales": { attribute: { "城市": { tags: { name: "city" } }, "客单价": { tags: { name: "basket" } } } },
      "public.orders": { tags: { omit: true } },
    },
  },
});

async function main() {
  const hand = new Client();
  await hand.connect();
  const pool = new Pool({ max: 1 });
  const schema = await createPostGraphileSchema(pool, ["public"], { appendPlugins: [names, PgAggregates] });

  const ask = (query) => withPostGraphileContext({ pgPool: pool }, (context) => graphql(schema, query, null, context));
  /* The rows of a GraphQL connection of sales, or what went wrong. */
  const sales = async (query, part) => {
    const { data, errors } = await ask(query);
    return errors ? errors.map((e) => e.message) : data.allSales[part];
  };
  const rows = async (sql, shape) => (await hand.query(sql)).rows.map(shape);
  const redefine = (version) =>
    hand.query(
      `SELECT kpi.alter_metric('metrics.net_revenue', definition => definition)
       FROM metrics.net_revenue_versions WHERE version = $1`, [version]);

  /* The schema: measures have their own types and are described by their comments. */
  const fields = schema.getType("Sale").getFields();
  same("types of the fields",
    ["region", "city", "netRevenue", "conversionRate", "orderCount", "basket"].map((f) => [f, String(fields[f].type)]),
    await rows(
      `SELECT field, CASE atttypid::regtype::text WHEN 'numeric' THEN 'BigFloat' WHEN 'bigint' THEN 'BigInt'
                                                  WHEN 'double precision' THEN 'Float' WHEN 'text' THEN 'String' END AS type
       FROM (VALUES ('region', 'region'), ('city', '城市'), ('netRevenue', 'net_revenue'),
                    ('conversionRate', 'conversion_rate'), ('orderCount', 'order_count'), ('basket', '客单价')) AS f (field, name)
            JOIN pg_attribute ON attname = name AND attrelid = 'public.sales'::regclass`, (r) => [r.field, r.type]));
  same("the description of a field is the column's comment", fields.netRevenue.description,
    (await hand.query(
      `SELECT col_description(attrelid, attnum) AS comment FROM pg_attribute
       WHERE attrelid = 'public.sales'::regclass AND attname = 'net_revenue'`)).rows[0].comment);

  /* Totals and groups. */
  same("aggregates of the whole connection",
    await sales(
      `{ allSales(condition: { channel: "web" }) { totalCount aggregates {
           sum { netRevenue conversionRate orderCount } average { conversionRate } max { basket } } } }`, "aggregates"),
    (await rows(
      `SELECT ${NET} AS net, ${RATE} AS rate, ${PAID} AS paid, ${BASKET} AS basket FROM orders WHERE channel = 'web'`,
      (r) => ({ sum: { netRevenue: json(r.net), conversionRate: r.rate, orderCount: r.paid },
        average: { conversionRate: r.rate }, max: { basket: json(r.basket) } })))[0]);

  const grouped = `{ allSales { groupedAggregates(groupBy: [CITY, ORDER_DATE]) {
      keys sum { netRevenue orderCount } average { conversionRate } max { basket } } } }`;
  const byHand = (net) => rows(
    `SELECT "城市" AS city, order_date::text, coalesce(${net}, 0) AS net, ${RATE} AS rate, ${PAID} AS paid,
            ${net} / nullif(${PAID}, 0) AS basket FROM orders GROUP BY 1, 2`,
    (r) => ({ keys: [r.city, r.order_date], sum: { netRevenue: json(r.net), orderCount: r.paid },
      average: { conversionRate: r.rate }, max: { basket: json(r.basket) } }));
  let seventh;
  for (let i = 0; i < 7; i++) seventh = await sales(grouped, "groupedAggregates");
  same("grouped aggregates, asked seven times", seventh, await byHand(NET));

  same("groups by truncated time with HAVING",
    await sales(
      `{ allSales { groupedAggregates(groupBy: [CREATED_AT_TRUNCATED_TO_DAY],
           having: { sum: { netRevenue: { greaterThan: "7000.5" } } }) { sum { netRevenue } } } }`, "groupedAggregates"),
    await rows(
      `SELECT ${NET} AS net FROM orders GROUP BY date_trunc('day', created_at) HAVING ${NET} > 7000.5`,
      (r) => ({ sum: { netRevenue: json(r.net) } })));

  same("aggregates are of all rows, nodes of the page",
    (await sales(`{ allSales(first: 3) { nodes { region } aggregates { sum { netRevenue } } } }`, "aggregates")),
    (await rows(`SELECT ${NET} AS net FROM orders`, (r) => ({ sum: { netRevenue: json(r.net) } })))[0]);

  same("nodes: a preview of rows",
    await sales(
      `{ allSales(condition: { region: "South" }) {
           nodes { region orderDate netRevenue conversionRate orderCount city } } }`, "nodes"),
    await rows(
      `SELECT region, order_date::text AS "orderDate", CASE WHEN status = 'paid' THEN amount - refund END AS "netRevenue",
              NULL::float8 AS "conversionRate", (status = 'paid')::int::bigint AS "orderCount", "城市" AS city
       FROM orders WHERE region = 'South'`, (r) => r));

  /* The row fetch of PostGraphile 5, by a named statement of the driver. */
  const fetched = await hand.query({
    name: "row fetch", rowMode: "array", values: ["North"],
    text: `select __sales__."region", __sales__."net_revenue"::text, (not (__sales__ is null))::text
           from "public"."sales" as __sales__ where __sales__."region" = $1::text`,
  });
  same("row fetch with a test of the whole row", fetched.rows,
    await rows(
      `SELECT region, CASE WHEN status = 'paid' THEN amount - refund END::text AS net FROM orders WHERE region = 'North'`,
      (r) => [r.region, r.net, "true"]));

  /* Redefined by another connection. */
  await redefine("gross");
  try {
    same("a redefinition is seen by the same statement", await sales(grouped, "groupedAggregates"),
      await byHand("sum(amount)"));
  } finally {
    await redefine("net");
  }
  same("so is its return", await sales(grouped, "groupedAggregates"), await byHand(NET));

  /* What has no meaning. */
  for (const [name, query] of [
    ["grouping by a measure", "{ allSales { groupedAggregates(groupBy: [NET_REVENUE]) { keys sum { orderCount } } } }"],
    ["distinct count of a measure", "{ allSales { aggregates { distinctCount { netRevenue } } } }"],
    ["deviation of a measure", "{ allSales { aggregates { stddevPopulation { netRevenue } } } }"],
  ]) {
    const { errors } = await ask(query);
    const error = errors && errors[0].originalError;
    same(`${name} raises KP002`, error ? error.code : null, "KP002");
    ok(error && /net_revenue/.test(error.message) && error.hint,
      `${name}: the error names the measure and has a hint`, error);
  }
  same("the connection stays usable", await sales(grouped, "groupedAggregates"), await byHand(NET));

  await pool.end();
  await hand.end();
  process.exitCode = failed ? 1 : 0;
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
