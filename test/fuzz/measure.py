#!/usr/bin/python3
"""Differential fuzzing: random measure queries against the hand-written SQL.

Each case is one random skeleton, filled in twice: once over a metric view with measures in it, once over the base rows with
the aggregates of the definitions written out. Both run on the same server and must give the same rows. A case that is
refused with an error of class KP counts as refused, and must be one that the skeleton may be refused for; any other
difference is printed with both statements and fails the run. Every other case is one of measure_joins.py.

Needs a server with kpitables preloaded (PGHOST, PGPORT, PGUSER). Usage: measure.py [cases] [seed]. Prints how many of each
shape of join were answered and refused, and a line of totals; exit status 1 on any difference.
"""
import collections
import decimal
import os
import random
import re
import sys

import psycopg2

import measure_joins
from measure_joins import JoinCase

SETTINGS = "RESET ALL; SET search_path = public, kpi; SET timezone = 'Europe/Berlin'; SET jit = off"
CASES = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**9)
DATABASE = "kpitables_fuzz"

# name -> (definition over base, what the definition is at a group when rows are narrowed by {p})
METRICS = {
    "revenue": ("SELECT sum(amount) - sum(refund) FROM base WHERE status = 'paid'",
                "(sum(amount) FILTER (WHERE status = 'paid' AND ({p})) - sum(refund) FILTER (WHERE status = 'paid' AND ({p})))"),
    "orders": ("SELECT count(DISTINCT order_id) FROM base WHERE status = 'paid'",
               "count(DISTINCT order_id) FILTER (WHERE status = 'paid' AND ({p}))"),
    "lines": ("SELECT count(*) FROM base", "count(*) FILTER (WHERE {p})"),
    "gross": ("SELECT sum(amount) FROM base", "sum(amount) FILTER (WHERE {p})"),
    "biggest": ("SELECT max(amount) FROM base WHERE channel <> 'app'",
                "max(amount) FILTER (WHERE channel <> 'app' AND ({p}))"),
    "median": ("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY amount) FROM base",
               "percentile_disc(0.5) WITHIN GROUP (ORDER BY amount) FILTER (WHERE {p})"),
    "listing": ("SELECT string_agg(status, ',' ORDER BY id) FROM base WHERE amount > 90",
                "string_agg(status, ',' ORDER BY id) FILTER (WHERE amount > 90 AND ({p}))"),
}
DERIVED = {
    "aov": ("SELECT revenue / nullif(orders, 0) FROM f.revenue, f.orders", "({revenue} / nullif({orders}, 0))"),
    "share": ("SELECT revenue / nullif(gross, 0) FROM f.revenue, f.gross", "({revenue} / nullif({gross}, 0))"),
    "deep": ("SELECT aov * share + lines FROM f.aov, f.share, f.lines", "({aov} * {share} + {lines})"),
}
FILTERED = {"web_aov": ("SELECT measure(aov) FROM f.sales WHERE channel = 'web'", "aov", "channel = 'web'")}
ADDITIVE = {"revenue", "gross"}
KEYS = ["region", "channel", "day", "date_trunc('month', day)", "lower(region)", "extract(dow FROM day)",
        "CASE WHEN channel = 'web' THEN 'w' ELSE region END", "(day > '2026-02-01')", "coalesce(region, '?')"]
CONDITIONS = ["true", "channel = 'web'", "region IS NOT NULL", "region IN ('East', 'West')", "day >= '2026-02-01'", "false",
              "region = 'nowhere'", "channel <> 'app' OR region IS NULL", "day BETWEEN '2026-01-10' AND '2026-02-20'"]

SETUP = """
DROP SCHEMA IF EXISTS f CASCADE; DROP TABLE IF EXISTS base, dim CASCADE;
CREATE TABLE base (id int PRIMARY KEY, order_id int, day date, region text, channel text, status text,
                   amount numeric(10,2), refund numeric(10,2));
INSERT INTO base SELECT i, i / 3, date '2026-01-01' + (i * 7) % 90, (ARRAY['East','West','North','South',NULL])[1 + (i * 11) % 5],
       (ARRAY['web','shop','app'])[1 + (i * 13) % 3], CASE WHEN i % 5 = 0 THEN 'open' ELSE 'paid' END,
       CASE WHEN i % 17 > 0 THEN (i * 37) % 101 END, CASE WHEN i % 7 = 0 THEN i % 10 END FROM generate_series(1, 700) i;
CREATE TABLE dim (region text PRIMARY KEY, manager text);
INSERT INTO dim VALUES ('East', 'Ann'), ('West', 'Bob'), ('North', 'Ann'), ('Moon', 'Eve');
ANALYZE base; ANALYZE dim;
CREATE SCHEMA f;
"""


ALL = {**METRICS, **DERIVED, **measure_joins.METRICS}


def hand(name, p):
    """The hand-written expression of a metric, its rows narrowed by a condition."""
    if name in ALL:
        names = {n: hand(n, p) for n in ALL if "{%s}" % n in ALL[name][1]}
        return ALL[name][1].format(p=p, **names)
    _, of, condition = FILTERED[name]
    return hand(of, "(%s) AND (%s)" % (condition, p))


class Case:
    """A random pair of statements."""

    def __init__(self, rng):
        self.rng = rng
        self.may_refuse = False
        self.governed, self.plain = self.query()

    def measure(self, prefix=""):
        """A use of a measure, and what it means."""
        name = self.rng.choice(list(METRICS) + list(DERIVED) + list(FILTERED))
        form = self.rng.randrange(6)
        condition = self.rng.choice(CONDITIONS)
        numeric = name != "listing"
        # the parser gives sum() and avg() of a bigint the type numeric
        wide = "(%s)::numeric" if name in ("orders", "lines") else "%s"
        if form == 0 and numeric:
            carrier = self.rng.choice(["sum", "avg", "min", "max"])
            value = hand(name, "true")
            return "%s(%s%s)" % (carrier, prefix, name), wide % value if carrier in ("sum", "avg") else value
        if form == 1:
            return "measure(%s%s) FILTER (WHERE %s)" % (prefix, name, condition), hand(name, condition)
        if form == 2 and numeric:
            otherwise = self.rng.choice(["", " ELSE NULL"])
            return ("sum(CASE WHEN %s THEN %s%s%s END)" % (condition, prefix, name, otherwise),
                    wide % hand(name, condition))
        if form == 3 and name in ADDITIVE:
            value = hand(name, condition)
            return ("sum(CASE WHEN %s THEN %s%s ELSE 0 END)" % (condition, prefix, name),
                    "CASE WHEN count(*) > 0 THEN coalesce(%s, 0) END" % value)
        if form == 4 and numeric:
            return "coalesce(sum(%s%s), 0)" % (prefix, name), "coalesce(%s, 0)" % (wide % hand(name, "true"))
        return "measure(%s%s)" % (prefix, name), hand(name, "true")

    def source(self):
        """FROM: the metric view, or the base rows, the same way wrapped."""
        pair = ("f.sales", "base")
        for _ in range(self.rng.choice([0, 0, 1, 1, 2, 3])):
            form = self.rng.randrange(5)
            condition = self.rng.choice(CONDITIONS)
            if form == 0:
                pair = tuple("(SELECT * FROM %s a WHERE %s)" % (p, condition) for p in pair)
            elif form == 1:
                pair = tuple("(SELECT * FROM (SELECT * FROM %s a OFFSET 0) b)" % p for p in pair)
            elif form == 2:
                materialized = self.rng.choice(["", "MATERIALIZED", "NOT MATERIALIZED"])
                pair = tuple("(WITH c AS %s (SELECT * FROM %s a) SELECT * FROM c WHERE %s)"
                             % (materialized, p, condition) for p in pair)
            elif form == 3:
                pair = tuple("(SELECT l.* FROM %s a, LATERAL (SELECT a.*) l)" % p for p in pair)
            else:
                pair = tuple("(SELECT a.* FROM %s a LEFT JOIN dim ON dim.region = a.region)" % p for p in pair)
        return pair

    def join(self, pair):
        """Join the source with something that is unique for its rows; the source's alias is s."""
        form = self.rng.randrange(9)
        pair = tuple("(SELECT * FROM %s z) s" % p for p in pair)
        top = "(SELECT region r, count(*) n FROM base GROUP BY region ORDER BY 2 DESC, 1 LIMIT 3) t"
        if form == 0:
            return tuple("%s JOIN dim USING (region)" % p for p in pair)
        if form == 1:
            return tuple("%s LEFT JOIN dim USING (region)" % p for p in pair)
        if form == 2:
            return tuple("%s JOIN %s ON s.region IS NOT DISTINCT FROM t.r" % (p, top) for p in pair)
        if form == 3:
            return tuple("%s LEFT JOIN %s ON s.region = t.r" % (p, top) for p in pair)
        if form == 4:
            return tuple("%s CROSS JOIN (SELECT max(amount) big FROM base) t" % p for p in pair)
        if form == 5:
            return tuple("%s JOIN %s ON s.region = t.r JOIN dim d ON d.region = t.r" % (p, top) for p in pair)
        if form == 6:
            self.may_refuse = True
            many = self.rng.choice(["JOIN base o ON o.region = s.region", "CROSS JOIN dim o", "LEFT JOIN dim o ON o.manager = s.region",
                                    "JOIN dim o ON o.region > s.region", "FULL JOIN base o ON o.order_id = s.cc"])
            return tuple("%s %s" % (p, many.replace("s.cc", "length(s.region)")) for p in pair)
        if form == 7:
            return tuple("%s WHERE_EXISTS" % p for p in pair)
        return pair

    def query(self):
        """One statement, twice."""
        rng = self.rng
        pair = self.source()
        joined = rng.random() < 0.4
        keys = rng.sample(KEYS, rng.choice([0, 1, 1, 1, 2, 2, 3]))
        prefix = ""
        exists = ""
        if joined:
            pair = self.join(pair)
            prefix = "s."
            keys = [k.replace("region", "s.region").replace("channel", "s.channel").replace("day", "s.day") for k in keys]
            if "WHERE_EXISTS" in pair[0]:
                pair = tuple(p.replace(" WHERE_EXISTS", "") for p in pair)
                exists = " AND EXISTS (SELECT FROM dim e WHERE e.region = s.region OR s.region IS NULL)"
        else:
            pair = tuple("%s a" % p for p in pair)
        measures = [self.measure(prefix if rng.random() < 0.5 else "") for _ in range(rng.randrange(1, 5))]
        where = rng.choice(CONDITIONS)
        if joined:
            where = where.replace("region", "s.region").replace("channel", "s.channel").replace("day", "s.day")
        plain_aggregates = rng.sample(["count(*)", "sum(1)", "count(DISTINCT channel)"], rng.randrange(0, 3))

        def qualify(text):
            """In a join, the base columns of a hand-written expression are the source's."""
            if not joined:
                return text
            columns = ("order_id", "amount", "refund", "status", "channel", "region", "day", "n")
            for column in columns:
                text = re.sub(r"\bs\.%s\b" % column, column, text)
            for column in columns:
                text = re.sub(r"(?<![.\w'])%s\b" % column, "s." + column, text)
            return re.sub(r"ORDER BY id\b", "ORDER BY s.id", text)

        grouping = rng.choice(["", "", "", "ROLLUP", "CUBE"]) if keys else ""
        group = " GROUP BY %s(%s)" % (grouping, ", ".join(keys)) if grouping else (
            " GROUP BY " + ", ".join(keys) if keys else "")
        having = ["", ""]
        if rng.random() < 0.2:
            extra = self.measure()
            if "listing" not in extra[0]:
                having = [" HAVING %s IS NOT NULL AND %s > 3" % (extra[0], extra[0]),
                          " HAVING %s IS NOT NULL AND %s > 3" % (extra[1], extra[1])]
        out = []
        for i in (0, 1):
            columns = keys + [m[i] for m in measures] + plain_aggregates
            fix = qualify if joined else (lambda t: t)
            columns = [fix(c) for c in columns]
            text = "SELECT %s FROM %s WHERE %s%s%s%s" % (", ".join("%s AS c%d" % (c, n) for n, c in enumerate(columns)),
                                                       pair[i], fix(where), exists, fix(group), fix(having[i]))
            out.append(text)
        if rng.random() < 0.25:
            wrap = rng.choice(["SELECT * FROM (%s) o", "WITH o AS (%s) SELECT * FROM o", "SELECT o FROM (%s) o",
                               "SELECT count(*), max(c0::text) FROM (%s) o", "SELECT *, count(*) OVER () FROM (%s) o",
                               "(%s) UNION ALL (SELECT * FROM (%s) u)"])
            out = [wrap.replace("%s", text) for text in out]
        return out


def plain_value(value):
    """A value as it is compared: of a number, not how many zeros it ends with."""
    return value.normalize() if isinstance(value, decimal.Decimal) else value


def run(cursor, sql):
    """Rows of a statement, in an order of their own, or the error."""
    try:
        cursor.execute(sql)
        return sorted(repr(tuple(map(plain_value, row))) for row in cursor.fetchall()), None
    except psycopg2.Error as error:
        return None, error


def judge_join(case, error):
    """What is wrong with an error, or with none, of a case over joins; or None."""
    code = error and error.pgcode
    if code == "0A000":                 # FULL JOIN on what can be neither merged nor hashed
        return None
    if case.misuse:
        return None if code in ("KP002", "KP004") else "is no misuse to it"
    if case.must_answer:
        return None if code is None else "must be answered"
    return None if code in (None, "KP004") else "fails"


def main():
    rng = random.Random(SEED)
    admin = psycopg2.connect(dbname="postgres", host=os.environ.get("PGHOST"))
    admin.autocommit = True
    admin.cursor().execute("DROP DATABASE IF EXISTS " + DATABASE)
    admin.cursor().execute("CREATE DATABASE " + DATABASE)
    connection = psycopg2.connect(dbname=DATABASE, host=os.environ.get("PGHOST"))
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("CREATE EXTENSION kpitables")
    cursor.execute(SETTINGS)
    cursor.execute(SETUP)
    cursor.execute(measure_joins.SETUP)
    names = []
    for name, definition in [(n, d[0]) for n, d in ALL.items()]:
        cursor.execute("SELECT kpi.create_metric(%s, %s)", ("f." + name, definition))
        names.append("f." + name)
    cursor.execute("SELECT kpi.create_metric_view('f.sales', '{region, channel, day, n}', %s)", (names,))
    for name, (definition, _, _) in FILTERED.items():
        cursor.execute("SELECT kpi.create_metric(%s, %s)", ("f." + name, definition))
        cursor.execute("SELECT kpi.alter_metric_view('f.sales', add_metrics => %s)", (["f." + name],))

    same = refused = both_fail = 0
    shapes = collections.defaultdict(collections.Counter)
    for number in range(CASES):
        case = Case(rng) if number % 2 == 0 else JoinCase(rng, hand)
        if rng.random() < 0.1:
            setting = rng.choice(["enable_hashagg", "enable_sort", "enable_hashjoin", "enable_mergejoin", "enable_nestloop", "jit"])
            cursor.execute(SETTINGS)
            cursor.execute("SET %s = %s" % (setting, rng.choice(["on", "off"])))
            cursor.execute("SET force_parallel_mode = " + rng.choice(["on", "off"]))
        got, error = run(cursor, case.governed)
        want, plain_error = run(cursor, case.plain)
        if isinstance(case, JoinCase):
            wrong = judge_join(case, error)
            if wrong or (error is None and plain_error is None and got != want):
                print("seed %d case %d: %s\n-- governed\n%s\n-- judge\n%s" % (SEED, number, wrong or "differs", case.governed, case.plain))
                print("-- governed gave", (error or got), "\n-- judge gave", (plain_error or want))
                return 1
            for shape in set(case.shapes):
                shapes[shape]["answered" if error is None else error.pgcode] += 1
        if error is None and plain_error is None and got == want:
            same += 1
            if number % 10 in (0, 5):   # what explain_measure writes runs, and gives the same
                cursor.execute("SELECT kpi.explain_measure(%s)", (case.governed,))
                text = cursor.fetchone()[0]
                again, error = run(cursor, text)
                if again != got:
                    print("seed %d case %d: explain_measure differs\n%s\n%s\n%s" % (SEED, number, case.governed, text, error))
                    return 1
        elif error is not None and (isinstance(case, JoinCase) or (error.pgcode == "KP004" and case.may_refuse)):
            refused += 1
        elif error is not None and plain_error is not None and error.pgcode == plain_error.pgcode:
            both_fail += 1
        else:
            print("seed %d case %d differs\n-- governed\n%s\n-- plain\n%s" % (SEED, number, case.governed, case.plain))
            print("-- governed gave", (error or got), "\n-- plain gave", (plain_error or want))
            return 1
    for shape in sorted(shapes):
        print("%-45s %s" % (shape, ", ".join("%s %d" % item for item in sorted(shapes[shape].items()))))
    print("seed %d: %d cases, %d the same, %d refused, %d failed alike" % (SEED, CASES, same, refused, both_fail))
    connection.close()
    admin.cursor().execute("DROP DATABASE " + DATABASE)
    return 0 if same > CASES / 4 else 1


if __name__ == "__main__":
    sys.exit(main())
