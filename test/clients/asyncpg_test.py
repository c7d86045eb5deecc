"""asyncpg: extended protocol, binary results, statement cache, portals with row limits, a pool.

Contract: PGHOST, PGPORT, PGUSER and PGDATABASE name a server with fixture.sql loaded; every answer is compared in
value, Python type and type OID with hand-written SQL over public.orders through the same driver.
"""
import asyncio
import datetime
import decimal
import io

import asyncpg

from tap import MISUSE, NET, PAID, RATE, REDEFINE, Tap, rows_of

tap = Tap("asyncpg")


async def fetch(connection, sql, *parameters):
    """Type OIDs and rows; the statement cache is used, as by any fetch()."""
    statement = await connection.prepare(sql)
    oids = [attribute.type.oid for attribute in statement.get_attributes()]
    return oids, [tuple(row) for row in await connection.fetch(sql, *parameters)]


async def compare(connection, name, sql, by_hand, *parameters, times=1):
    want = await fetch(connection, by_hand, *parameters)
    for _ in range(times):
        got = await fetch(connection, sql, *parameters)
        if (got[0], rows_of(got[1])) != (want[0], rows_of(want[1])):
            break
    tap.same(name + ", types", got[0], want[0])
    tap.rows(name, got[1], want[1])


async def binary_copy(connection, query):
    out = io.BytesIO()
    await connection.copy_from_query(query, output=out, format="binary")
    return out.getvalue()


async def main():
    db = await asyncpg.connect()

    await compare(
        db, "carriers of every type, prepared and executed seven times",
        """SELECT region, SUM(net_revenue), AVG(net_revenue), SUM(conversion_rate), MAX(conversion_rate), SUM(order_count),
                  AVG(order_count), MIN(order_count), COUNT(order_count), kpi.measure(order_count), kpi.measure("客单价")
           FROM sales WHERE order_date >= $1 AND channel = ANY ($2) GROUP BY region HAVING SUM(net_revenue) > $3""",
        f"""SELECT region, {NET}, {NET}, {RATE}, {RATE}, ({PAID})::numeric, ({PAID})::numeric, {PAID}, {PAID}, {PAID},
                   {NET} / nullif({PAID}, 0)
            FROM orders WHERE order_date >= $1 AND channel = ANY ($2) GROUP BY region HAVING {NET} > $3""",
        datetime.date(2024, 2, 1), ["web", "phone"], decimal.Decimal("1000.5"), times=7)

    await compare(
        db, "a parameter inside the grouping key, seven times",
        "SELECT date_trunc($1, created_at) AS bucket, SUM(net_revenue) FILTER (WHERE region = $2) FROM sales GROUP BY 1",
        f"SELECT date_trunc($1, created_at), {NET[:-1]} AND region = $2) FROM orders GROUP BY 1",
        "month", "East", times=7)

    await compare(
        db, "casts inside the carrier keep the type that was asked for",
        """SELECT SUM(CAST(net_revenue AS double precision)), SUM(conversion_rate::real), SUM(order_count::int),
                  MIN(order_count::smallint), SUM(net_revenue::numeric(20, 4)) FROM sales""",
        f"SELECT ({NET})::float8, ({RATE})::real, {PAID}, ({PAID})::smallint, {NET} FROM orders")

    await compare(
        db, "a row of the metric view decodes as its composite type",
        "SELECT s FROM sales s WHERE region = 'South'",
        """SELECT ROW(region, channel, order_date, created_at, "城市", CASE WHEN status = 'paid' THEN amount - refund END,
                      NULL::float8, (status = 'paid')::int, NULL::numeric)::sales FROM orders WHERE region = 'South'""")

    # What Prisma 6 sends for aggregate(), count() and groupBy(): it binds OFFSET 0. Seven times, so that the server comes to
    # weigh a plan for any value.
    columns = '"public"."sales"."net_revenue", "public"."sales"."order_count", "public"."sales"."region"'
    inner = f'SELECT {columns} FROM "public"."sales" WHERE "public"."sales"."channel" = $1 OFFSET $2'
    prisma = f"""SELECT SUM("net_revenue") AS "_sum$net_revenue", AVG("net_revenue") AS "_avg$net_revenue",
                        COUNT("order_count") AS "_count$order_count", COUNT(*) AS "_count$_all" FROM ({inner}) AS "sub\""""
    by_hand = f"SELECT {NET}, {NET}, {PAID}, count(*) FROM orders WHERE channel = $1 AND $2::bigint = 0"
    await compare(db, "Prisma's aggregate()", prisma, by_hand, "web", 0, times=7)
    for offset in (1, 10 ** 9):
        for _ in range(7):
            try:
                error = await db.fetch(prisma, "web", offset)
            except asyncpg.PostgresError as caught:
                error = caught.sqlstate
            if error != "KP002":
                break
        tap.same(f"Prisma's aggregate() that skips {offset}", error, "KP002")
    await compare(db, "Prisma's aggregate() after one that skips", prisma, by_hand, "web", 0)
    await compare(
        db, "Prisma's count()",
        'SELECT COUNT(*) AS "_count$_all" FROM (SELECT "public"."sales"."region" FROM "public"."sales" WHERE 1=1 OFFSET $1) AS "sub"',
        "SELECT count(*) FROM orders WHERE $1::bigint = 0", 0, times=7)
    await compare(
        db, "Prisma's groupBy() with having, take and skip",
        """SELECT SUM("public"."sales"."net_revenue") AS "_sum$net_revenue", COUNT(*) AS "_count$_all", "public"."sales"."region" FROM "public"."sales"
           WHERE 1=1 GROUP BY "public"."sales"."region" HAVING SUM("public"."sales"."net_revenue") > $1
           ORDER BY SUM("public"."sales"."net_revenue") DESC LIMIT $2 OFFSET $3""",
        f"SELECT {NET}, count(*), region FROM orders GROUP BY region HAVING {NET} > $1 ORDER BY 1 DESC LIMIT $2 OFFSET $3",
        decimal.Decimal(1000), 2, 1, times=7)

    # A portal fetched in parts, with another statement in between and closed before its end.
    want = await fetch(db, f"SELECT order_date, {NET} FROM orders GROUP BY order_date ORDER BY order_date")
    async with db.transaction():
        rows = []
        async for row in db.cursor("SELECT order_date, SUM(net_revenue) FROM sales GROUP BY 1 ORDER BY 1", prefetch=7):
            rows.append(tuple(row))
            if len(rows) == 10:
                between = await fetch(db, "SELECT SUM(net_revenue) FROM sales")
        portal = await db.cursor("SELECT order_date, SUM(net_revenue) FROM sales GROUP BY 1 ORDER BY 1")
        part = [tuple(row) for row in await portal.fetch(5)]
    tap.rows("portal fetched by sevens", rows, want[1], ordered=True)
    tap.rows("portal left after five rows", part, want[1][:5], ordered=True)
    total = await fetch(db, f"SELECT {NET} FROM orders")
    tap.rows("another statement between two fetches", between[1], total[1])

    got = await binary_copy(db, "SELECT region, SUM(net_revenue), AVG(conversion_rate) FROM sales GROUP BY 1 ORDER BY 1")
    want = await binary_copy(db, f"SELECT region, {NET}, {RATE} FROM orders GROUP BY 1 ORDER BY 1")
    tap.ok(got == want and want, "binary COPY of a query", got, want)

    # Errors at Parse or Bind, inside and outside of a transaction.
    async with db.transaction():
        try:
            async with db.transaction():
                await db.fetch(MISUSE)
            error = None
        except asyncpg.PostgresError as caught:
            error = caught
        inside = await fetch(db, "SELECT SUM(net_revenue) FROM sales")
    tap.same("grouping by a measure raises KP002", error and error.sqlstate, "KP002")
    tap.ok(error and "net_revenue" in error.message and error.hint, "the error names the measure and has a hint", error)
    tap.rows("the transaction goes on after the savepoint", inside[1], total[1])
    await compare(db, "the connection stays usable", "SELECT SUM(net_revenue) FROM sales", f"SELECT {NET} FROM orders")

    # Redefined by another connection: cached statements of every pooled connection follow at their next execution.
    sql = "SELECT region, SUM(net_revenue) FROM sales WHERE channel <> $1 GROUP BY region"
    net = await db.fetch(f"SELECT region, {NET} FROM orders WHERE channel <> $1 GROUP BY region", "store")
    gross = await db.fetch("SELECT region, sum(amount) FROM orders WHERE channel <> $1 GROUP BY region", "store")
    async with asyncpg.create_pool(min_size=3, max_size=3) as pool:
        async def on_all(connections):
            return [[tuple(row) for row in await connection.fetch(sql, "store")] for connection in connections]

        async with pool.acquire() as first, pool.acquire() as second, pool.acquire() as third:
            connections = first, second, third
            for _ in range(7):
                before = await on_all(connections)
            await db.execute(REDEFINE.format("gross"))
            try:
                during = await on_all(connections)
            finally:
                await db.execute(REDEFINE.format("net"))
            after = await on_all(connections)
        async with pool.acquire() as connection:
            reset = [tuple(row) for row in await connection.fetch(sql, "store")]
    for moment, answers, want in (("before", before, net), ("during", during, gross), ("after", after, net)):
        for number, rows in enumerate(answers, 1):
            tap.rows(f"cached statement {moment} a redefinition, pooled connection {number}", rows, [tuple(r) for r in want])
    tap.rows("after the pool's reset", reset, [tuple(row) for row in net])
    await db.close()
    tap.done()


asyncio.run(main())
