"""SQLAlchemy Core and its Inspector: reflection with comments, generated GROUP BY, CTE, subquery, window, CASE, FILTER.

Contract: PGHOST, PGPORT, PGUSER and PGDATABASE name a server with fixture.sql loaded; every answer is compared in
value, Python type and type OID with hand-written SQL over public.orders on the same engine.
"""
import datetime

from sqlalchemy import MetaData, Table, case, create_engine, func, inspect, literal, select, text, union_all
from sqlalchemy.exc import DBAPIError

from tap import MISUSE, NET, PAID, RATE, REDEFINE, Tap

tap = Tap("sqlalchemy")
engine = create_engine("postgresql+psycopg2://", future=True)
db = engine.connect()


def fetch(statement):
    result = db.execute(text(statement) if isinstance(statement, str) else statement)
    return [column[1] for column in result.cursor.description], [tuple(row) for row in result]


def compare(name, statement, by_hand, ordered=False):
    got, want = fetch(statement), fetch(by_hand)
    tap.same(name + ", types", got[0], want[0])
    tap.rows(name, got[1], want[1], ordered)


# Reflection: the metric view is a view whose columns have standard types, and comments that say what they measure.
inspector = inspect(engine)
tap.ok("sales" in inspector.get_view_names("public"), "the inspector lists the metric view", inspector.get_view_names())
columns = {column["name"]: column for column in inspector.get_columns("sales")}
catalog = fetch("""SELECT attname, upper(format_type(atttypid, atttypmod)), col_description(attrelid, attnum)
                   FROM pg_attribute WHERE attrelid = 'public.sales'::regclass AND attnum > 0 ORDER BY attnum""")[1]
tap.same("the inspector's columns", list(columns), [name for name, _, _ in catalog])
tap.same("the inspector's comments", [column["comment"] for column in columns.values()], [row[2] for row in catalog])
tap.same("the inspector's types", [column["type"].compile(engine.dialect) for column in columns.values()],
         [row[1] for row in catalog])
measures = fetch("SELECT name, label, unit FROM kpi.measures WHERE metric_view = 'public.sales'::regclass")[1]
tap.ok(measures and all(word in columns[name]["comment"] for name, *words in measures for word in words if word),
       "every measure's comment carries its label and unit", measures, columns)
tap.same("the view's comment", inspector.get_table_comment("sales")["text"],
         fetch("SELECT obj_description('public.sales'::regclass)")[1][0][0])

s = Table("sales", MetaData(), autoload_with=engine).c
net = func.sum(s.net_revenue)

compare("group by, having, order by, limit",
        select(s.region, net.label("net"), func.avg(s.conversion_rate)).where(s.order_date >= datetime.date(2024, 3, 1))
        .group_by(s.region).having(net > 1000).order_by(net.desc()).limit(3),
        f"SELECT region, {NET}, {RATE} FROM orders WHERE order_date >= '2024-03-01' GROUP BY region HAVING {NET} > 1000 "
        "ORDER BY 2 DESC LIMIT 3", ordered=True)

compare("measure() of the schema kpi, names in Chinese",
        select(s["城市"], func.kpi.measure(s["客单价"]), func.kpi.measure(s.order_count)).group_by(s["城市"]),
        f"""SELECT "城市", {NET} / nullif({PAID}, 0), {PAID} FROM orders GROUP BY 1""")

inner = select(s.region, s.channel, s.net_revenue, s.conversion_rate).where(s.channel != "store").subquery()
compare("grouping over a subquery",
        select(inner.c.region, func.sum(inner.c.net_revenue), func.max(inner.c.conversion_rate)).group_by(inner.c.region),
        f"SELECT region, {NET}, {RATE} FROM orders WHERE channel <> 'store' GROUP BY region")

monthly = select(func.date_trunc("month", s.order_date).label("month"), net.label("net"),
                 func.sum(s.order_count).label("orders")).group_by(text("1")).cte("monthly")
compare("common table expression, then plain arithmetic",
        select(func.count(), func.min(monthly.c.net), func.avg(monthly.c.orders), func.sum(monthly.c.net)),
        f"""SELECT count(*), min(n), avg(o), sum(n)
            FROM (SELECT {NET} AS n, ({PAID})::numeric AS o FROM orders GROUP BY date_trunc('month', order_date)) AS monthly""")

compare("window over the grouped measure",
        select(s.region, func.rank().over(order_by=net.desc()), func.sum(net).over(order_by=s.region)).group_by(s.region),
        f"""SELECT region, rank() OVER (ORDER BY n DESC), sum(n) OVER (ORDER BY region)
            FROM (SELECT region, {NET} AS n FROM orders GROUP BY region) AS regional""")

compare("CASE and FILTER inside the aggregate",
        select(s.region, func.sum(case((s.channel == "web", s.net_revenue), else_=None)), net.filter(s.channel == "phone"),
               func.avg(s.conversion_rate).filter(s.channel == "web")).group_by(s.region),
        f"""SELECT region, {NET[:-1]} AND channel = 'web'), {NET[:-1]} AND channel = 'phone'),
                   (count(*) FILTER (WHERE status = 'paid' AND channel = 'web'))::float8
                   / nullif(sum(visits) FILTER (WHERE channel = 'web'), 0) FROM orders GROUP BY region""")

compare("detail and total by UNION ALL",
        union_all(select(s.region, net).group_by(s.region), select(literal("all"), net)),
        f"SELECT region, {NET} FROM orders GROUP BY region UNION ALL SELECT 'all', {NET} FROM orders")

compare("rollup", select(s.region, func.grouping(s.region), net, func.avg(s.conversion_rate)).group_by(func.rollup(s.region)),
        f"""SELECT region, 0, {NET}, {RATE} FROM orders GROUP BY region
            UNION ALL SELECT NULL, 1, {NET}, {RATE} FROM orders""")

above = select(func.avg(select(net.label("n")).group_by(s.region).subquery().c.n)).scalar_subquery()
compare("scalar subquery in HAVING", select(s.region, net).group_by(s.region).having(net > above),
        f"""WITH h AS (SELECT region, {NET} AS n FROM orders GROUP BY region)
            SELECT region, n FROM h WHERE n > (SELECT avg(n) FROM h)""")

compare("whole table preview", select(s.region, s.order_date, s.net_revenue, s.conversion_rate, s.order_count),
        """SELECT region, order_date, CASE WHEN status = 'paid' THEN amount - refund END, NULL::float8,
                  (status = 'paid')::int::bigint FROM orders""")

# Streamed by a server-side cursor.
streamed = db.execute(select(s.order_date, net).group_by(s.order_date).order_by(s.order_date)
                      .execution_options(stream_results=True, max_row_buffer=10))
tap.rows("stream_results", [tuple(row) for row in streamed],
         fetch(f"SELECT order_date, {NET} FROM orders GROUP BY 1 ORDER BY 1")[1], ordered=True)

with db.begin_nested() as savepoint:
    try:
        db.execute(text(MISUSE))
        state = None
    except DBAPIError as error:
        state = error.orig.pgcode
    savepoint.rollback()
tap.same("grouping by a measure raises KP002", state, "KP002")
compare("the transaction goes on", select(net), f"SELECT {NET} FROM orders")
db.commit()

with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
    other.execute(text(REDEFINE.format("gross")))
    try:
        compare("a redefinition is seen", select(net), "SELECT sum(amount) FROM orders")
    finally:
        db.commit()
        other.execute(text(REDEFINE.format("net")))
compare("so is its return", select(net), f"SELECT {NET} FROM orders")
db.close()
tap.done()
