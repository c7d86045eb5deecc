"""ODBC (psqlODBC through pyodbc) as Power BI, Tableau and Excel use it: DECLARE/FETCH, server-side prepare, catalog calls.

Contract: PGPORT, PGUSER and PGDATABASE name a server on 127.0.0.1 with fixture.sql loaded; every answer is compared
in value, Python type and described type with hand-written SQL over public.orders through the same connection.
"""
import datetime
import os

import pyodbc

from tap import MISUSE, NET, PAID, RATE, REDEFINE, Tap, rows_of

tap = Tap("odbc")


def connect(**options):
    """A connection string without a data source name."""
    options = dict(Driver="{PostgreSQL Unicode}", Server="127.0.0.1", Port=os.environ["PGPORT"],
                   Database=os.environ["PGDATABASE"], UID=os.environ["PGUSER"], **options)
    return pyodbc.connect(";".join(f"{key}={value}" for key, value in options.items()))


def fetch(connection, sql, *parameters):
    cursor = connection.cursor()
    cursor.execute(sql, *parameters)
    return [column[1:4] for column in cursor.description], [tuple(row) for row in cursor.fetchall()]


def compare(connection, name, sql, by_hand, *parameters, ordered=False, times=1):
    want = fetch(connection, by_hand, *parameters)
    for _ in range(times):
        got = fetch(connection, sql, *parameters)
        if (got[0], rows_of(got[1])) != (want[0], rows_of(want[1])):
            break
    tap.same(name + ", types", got[0], want[0])
    tap.rows(name, got[1], want[1], ordered)


db = connect(UseDeclareFetch=1, Fetch=100)

compare(db, "Power BI: nested subqueries",
        """select "_"."region", "_"."a0", "_"."a1", "_"."a2"
           from (select "rows"."region" as "region", sum("rows"."net_revenue") as "a0",
                        sum(cast("rows"."conversion_rate" as decimal)) as "a1", sum("rows"."order_count") as "a2"
                 from (select "_"."region", "_"."channel", "_"."order_date", "_"."created_at", "_"."城市", "_"."net_revenue",
                              "_"."conversion_rate", "_"."order_count", "_"."客单价"
                       from (select "region", "channel", "order_date", "created_at", "城市", "net_revenue",
                                    "conversion_rate", "order_count", "客单价" from "public"."sales" "$Table") "_"
                       where ("_"."order_date" < date '2025-01-01' and "_"."order_date" >= date '2024-01-01')
                             and ("_"."region" in ('East', 'West'))) "rows"
                 group by "region") "_"
           where not "_"."a0" is null or not "_"."a1" is null limit 1000001""",
        f"""select region, {NET}, ({RATE})::numeric, ({PAID})::numeric from orders
            where extract(year from order_date) = 2024 and region in ('East', 'West') group by region""")

compare(db, "Power BI: related table, distinct count, a measure named in Chinese",
        """select "_"."t1.manager", "_"."a0", "_"."a1", "_"."a2"
           from (select "rows"."t1.manager", sum("rows"."t0.net_revenue") as "a0", max("rows"."t0.客单价") as "a1",
                        count(distinct("rows"."t0.channel"))
                        + max(case when "rows"."t0.channel" is null then 1 else 0 end) as "a2"
                 from (select "$Outer"."net_revenue" as "t0.net_revenue", "$Outer"."客单价" as "t0.客单价",
                              "$Outer"."channel" as "t0.channel", "$Inner"."manager" as "t1.manager"
                       from "public"."sales" "$Outer" left outer join "public"."region_dim" "$Inner"
                            on ("$Outer"."region" = "$Inner"."region")) "rows"
                 group by "t1.manager") "_"
           where not "_"."a0" is null limit 1000001""",
        f"""select manager, {NET}, {NET} / nullif({PAID}, 0),
                   count(distinct channel) + max(case when channel is null then 1 else 0 end)
            from orders left join region_dim using (region) group by manager""")

compare(db, "Power BI: card and filter list",
        """select "_"."城市", "_"."a0" from (select "rows"."城市" as "城市", sum("rows"."net_revenue") as "a0"
           from "public"."sales" "rows" where "rows"."城市" like ? group by "城市") "_" order by "_"."城市" limit 101""",
        f'select "城市", {NET} from orders where "城市" like ? group by "城市" order by "城市"', "%海%", ordered=True)

compare(db, "Tableau: set membership, month, having",
        """SELECT CAST(DATE_TRUNC('MONTH', CAST("sales"."order_date" AS DATE)) AS DATE) AS "tmn:order_date:ok",
                  (NOT ("t0"."_Tableau_join_flag" IS NULL)) AS "io:Set 1:nk", SUM("sales"."net_revenue") AS "sum:net_revenue:ok",
                  AVG("sales"."conversion_rate") AS "avg:conversion_rate:ok", SUM(1) AS "sum:Number of Records:ok"
           FROM "public"."sales" "sales"
                LEFT JOIN (SELECT "sales"."region" AS "region", MIN(1) AS "_Tableau_join_flag" FROM "public"."sales" "sales"
                           GROUP BY 1 HAVING (SUM("sales"."net_revenue") > 786200)) "t0" ON ("sales"."region" = "t0"."region")
           GROUP BY 1, 2 HAVING ((SUM("sales"."net_revenue") >= 999.99999999998999) AND (COUNT(1) > 0))""",
        f"""WITH high AS (SELECT region FROM orders WHERE region IS NOT NULL GROUP BY region HAVING {NET} > 786200)
            SELECT date_trunc('month', order_date)::date, coalesce(region IN (SELECT region FROM high), false),
                   {NET}, {RATE}, count(*)
            FROM orders GROUP BY 1, 2 HAVING {NET} >= 1000""")

# The extract of 2,000 rows arrives by FETCH 100 of a cursor with hold; what it adds up to is the governed total.
cursor = db.cursor()
cursor.execute("SELECT order_date, region, net_revenue, conversion_rate, order_count FROM sales")
rows = cursor.fetchmany(150)
declared = fetch(db, """SELECT count(*) FROM pg_cursors WHERE is_holdable AND statement LIKE '%conversion_rate, order_count FROM sales%'
                        AND statement NOT LIKE '%pg_cursors%'""")[1]
between = fetch(db, "SELECT SUM(net_revenue) FROM sales")
rows += cursor.fetchall()
total = fetch(db, f"SELECT {NET} FROM orders")
tap.rows("an extract is read from a declared cursor", declared, [(1,)])
tap.rows("another statement between two fetches", between[1], total[1])
tap.rows("the rows of an extract add up to the total",
         [(len(rows), sum(row[2] for row in rows if row[2] is not None), sum(row[4] for row in rows))],
         fetch(db, f"SELECT count(*), {NET}, {PAID} FROM orders")[1])
tap.same("a ratio shows no value in a preview", {row[3] for row in rows}, {None})

# Catalog calls: a view with standard types.
catalog = fetch(db, """SELECT attname::text, format_type(atttypid, NULL), atttypid::int4 FROM pg_attribute
                       WHERE attrelid = 'public.sales'::regclass AND attnum > 0 ORDER BY attnum""")[1]
short = {"double precision": "float8", "bigint": "int8", "timestamp with time zone": "timestamptz"}
tap.same("SQLColumns: names and types", [(row.column_name, row.type_name) for row in db.cursor().columns(table="sales")],
         [(name, short.get(type_, type_)) for name, type_, _ in catalog])
tap.same("SQLTables: a view", [row.table_type for row in db.cursor().tables(table="sales", schema="public")], ["VIEW"])

# Parameters bound to a statement that the server keeps prepared: seven executions, a redefinition, its return.
server = connect(UseDeclareFetch=0, UseServerSidePrepare=1)
server.autocommit = True
where = "WHERE order_date >= ? AND channel = ? GROUP BY region"
sql = "SELECT region, SUM(net_revenue), AVG(conversion_rate), COUNT(order_count) FROM sales " + where
hand = f"SELECT region, {NET}, {RATE}, {PAID} FROM orders {where}"
parameters = datetime.date(2024, 1, 1), "web"
compare(server, "prepared on the server, executed seven times", sql, hand, *parameters, times=7)
held = server.cursor()


def execute():
    return [tuple(row) for row in held.execute(sql, *parameters).fetchall()]


for _ in range(7):
    net = execute()
prepared = fetch(server, "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%SUM(net_revenue), AVG(conv%'")
tap.rows("the server holds the prepared statement", prepared[1], [(1,)])
db.rollback()
db.cursor().execute(REDEFINE.format("gross")).fetchall()
db.commit()
try:
    tap.rows("a redefinition is seen by the prepared statement", execute(),
             fetch(server, hand.replace(NET, "sum(amount)"), *parameters)[1])
finally:
    db.cursor().execute(REDEFINE.format("net")).fetchall()
    db.commit()
tap.rows("so is its return", execute(), net)

for name, connection in (("declare/fetch", db), ("server-side prepare", server)):
    try:
        fetch(connection, MISUSE)
        error = (None, "")
    except pyodbc.Error as caught:
        error = caught.args
    tap.same(f"{name}: grouping by a measure raises KP002", error[0], "KP002")
    tap.ok("net_revenue" in error[1], f"{name}: the error names the measure", error)
    connection.rollback()
    compare(connection, f"{name}: the connection stays usable", "SELECT SUM(net_revenue) FROM sales", f"SELECT {NET} FROM orders")
db.close()
server.close()
tap.done()
