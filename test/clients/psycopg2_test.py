"""psycopg2 as Superset and Metabase use it: client-side parameters, named cursors, COPY, savepoints, pooled reuse.

Contract: PGHOST, PGPORT, PGUSER and PGDATABASE name a server with fixture.sql loaded; every answer is compared in
value, Python type and type OID with hand-written SQL over public.orders through the same driver.
"""
import datetime
import io

import psycopg2

from tap import MISUSE, NET, PAID, RATE, REDEFINE, Tap

tap = Tap("psycopg2")


def fetch(sql, parameters=None):
    cursor = db.cursor()
    cursor.execute(sql, parameters)
    return [column.type_code for column in cursor.description], cursor.fetchall()


def compare(name, sql, by_hand, parameters=None, ordered=False):
    got, want = fetch(sql, parameters), fetch(by_hand, parameters)
    tap.same(name + ", types", got[0], want[0])
    tap.rows(name, got[1], want[1], ordered)


def copy(query, options):
    out = io.BytesIO()
    db.cursor().copy_expert(f"COPY ({query}) TO STDOUT ({options})", out)
    return out.getvalue()


db = psycopg2.connect("")

compare(
    "Superset time series with series limit",
    """SELECT DATE_TRUNC('month', order_date) AS __timestamp, region AS region, sum(net_revenue) AS "SUM(net_revenue)",
              AVG(conversion_rate) AS "AVG(conversion_rate)"
       FROM public.sales JOIN (SELECT region AS region__, sum(net_revenue) AS mme_inner__ FROM public.sales
                               WHERE order_date >= %(start)s GROUP BY region ORDER BY mme_inner__ DESC LIMIT 3) AS series_limit
            ON region = region__
       WHERE order_date >= %(start)s AND order_date < TO_TIMESTAMP('2025-01-01', 'YYYY-MM-DD')
       GROUP BY DATE_TRUNC('month', order_date), region ORDER BY "SUM(net_revenue)" DESC LIMIT 50000""",
    f"""SELECT date_trunc('month', order_date), region, {NET}, {RATE} FROM orders
        WHERE order_date >= %(start)s AND order_date < '2025-01-01' AND region IN
              (SELECT region FROM orders WHERE order_date >= %(start)s GROUP BY region ORDER BY {NET} DESC LIMIT 3)
        GROUP BY 1, 2 ORDER BY 3 DESC""",
    {"start": datetime.date(2024, 3, 1)}, ordered=True)

compare(
    "Superset virtual dataset",
    """SELECT channel AS channel, sum(net_revenue) AS x, max("客单价") AS "客单价"
       FROM (SELECT * FROM public.sales WHERE "城市" = %s) AS virtual_table GROUP BY channel HAVING sum(net_revenue) > %s
       ORDER BY x DESC""",
    f"""SELECT channel, {NET}, {NET} / nullif({PAID}, 0) FROM orders WHERE "城市" = %s
        GROUP BY channel HAVING {NET} > %s ORDER BY 2 DESC""",
    ("O'Hara \"市\"", 1000.5), ordered=True)

compare(
    "Metabase question",
    """SELECT "source"."order_date" AS "order_date", SUM("source"."net_revenue") AS "sum", COUNT(*) AS "count",
              AVG("source"."conversion_rate") AS "avg"
       FROM (SELECT CAST(DATE_TRUNC('quarter', "public"."sales"."order_date") AS date) AS "order_date",
                    "public"."sales"."net_revenue" AS "net_revenue", "public"."sales"."conversion_rate" AS "conversion_rate"
             FROM "public"."sales" WHERE ("public"."sales"."region" = %s) OR ("public"."sales"."region" IS NULL)) AS "source"
       GROUP BY "source"."order_date" ORDER BY "source"."order_date" ASC""",
    f"""SELECT date_trunc('quarter', order_date)::date, {NET}, count(*), {RATE} FROM orders
        WHERE region = %s OR region IS NULL GROUP BY 1 ORDER BY 1""",
    ("West",), ordered=True)

compare(
    "Metabase fingerprint",
    """SELECT SUBSTRING("public"."sales"."region", 1, 1234) AS "substring1", "public"."sales"."net_revenue" AS "net_revenue",
              "public"."sales"."order_count" AS "order_count" FROM "public"."sales" LIMIT 10000""",
    """SELECT region, CASE WHEN status = 'paid' THEN amount - refund END, (status = 'paid')::int::bigint FROM orders""")

# A named cursor streams an extract; a client that adds it up must reach the governed totals.
with db.cursor("extract") as extract:
    extract.itersize = 100
    extract.execute("SELECT region, net_revenue, order_count FROM sales WHERE region = 'East'")
    rows = extract.fetchmany(10)
    between = fetch("SELECT SUM(net_revenue) FROM sales")[1]
    rows += list(extract)
added = [(sum(row[1] for row in rows if row[1] is not None), sum(row[2] for row in rows))]
tap.rows("named cursor: the rows of an extract add up to the total", added,
         fetch(f"SELECT {NET}, {PAID} FROM orders WHERE region = 'East'")[1])
tap.rows("named cursor: another query while it is open", between, fetch(f"SELECT {NET} FROM orders")[1])

with db.cursor("scrolled", scrollable=True) as scrolled:
    scrolled.execute("SELECT region, SUM(net_revenue) FROM sales GROUP BY region ORDER BY region")
    scrolled.fetchall()
    scrolled.scroll(0, mode="absolute")
    first = scrolled.fetchmany(2)
tap.rows("named cursor: scrolled back", first,
         fetch(f"SELECT region, {NET} FROM orders GROUP BY region ORDER BY region LIMIT 2")[1], ordered=True)

for options in ("FORMAT csv, HEADER", "FORMAT text", "FORMAT binary"):
    got = copy("SELECT region, SUM(net_revenue) AS n, AVG(conversion_rate) AS c FROM sales GROUP BY region ORDER BY region",
               options)
    want = copy(f"SELECT region, {NET} AS n, {RATE} AS c FROM orders GROUP BY region ORDER BY region", options)
    tap.ok(got == want and want, f"copy_expert ({options})", got, want)

# Errors: SQLSTATE, the measure's name, a hint, and a usable transaction after the savepoint.
cursor = db.cursor()
cursor.execute("SAVEPOINT before")
try:
    cursor.execute(MISUSE)
    error = None
except psycopg2.Error as caught:
    error = caught
tap.same("grouping by a measure raises KP002", error and error.pgcode, "KP002")
tap.ok(error and "net_revenue" in error.diag.message_primary and error.diag.message_hint,
       "the error names the measure and has a hint", error)
cursor.execute("ROLLBACK TO SAVEPOINT before")
compare("the transaction goes on after the error", "SELECT SUM(net_revenue) FROM sales", f"SELECT {NET} FROM orders")
db.commit()

# A pooled connection: redefined by another one, seen by what this one had prepared, reset by DISCARD ALL.
db.autocommit = True
fetch("SELECT 1")
cursor.execute("PREPARE held AS SELECT region, SUM(net_revenue) FROM sales WHERE channel = $1 GROUP BY region")
for _ in range(7):
    before = fetch("EXECUTE held('web')")[1]
tap.rows("prepared seven times", before, fetch(f"SELECT region, {NET} FROM orders WHERE channel = 'web' GROUP BY region")[1])
other = psycopg2.connect("")
other.cursor().execute(REDEFINE.format("gross"))
other.rollback()
tap.rows("a redefinition that was rolled back is not seen", fetch("EXECUTE held('web')")[1], before)
other.cursor().execute(REDEFINE.format("gross"))
other.commit()
try:
    tap.rows("a redefinition is seen by the prepared statement", fetch("EXECUTE held('web')")[1],
             fetch("SELECT region, sum(amount) FROM orders WHERE channel = 'web' GROUP BY region")[1])
finally:
    other.cursor().execute(REDEFINE.format("net"))
    other.commit()
    other.close()
tap.rows("so is its return", fetch("EXECUTE held('web')")[1], before)
cursor.execute("DISCARD ALL")
compare("after DISCARD ALL", "SELECT region, SUM(net_revenue) FROM sales GROUP BY region",
        f"SELECT region, {NET} FROM orders GROUP BY region")
compare("several statements in one simple query",
        "SET DateStyle = 'ISO'; SET extra_float_digits = 2; SELECT AVG(conversion_rate) FROM sales",
        f"SELECT {RATE} FROM orders")
db.set_client_encoding("GBK")
compare("names and values in another client encoding", 'SELECT "城市", MAX("客单价") FROM sales GROUP BY 1',
        f'SELECT "城市", {NET} / nullif({PAID}, 0) FROM orders GROUP BY 1')
db.close()
tap.done()
