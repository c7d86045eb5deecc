"""What the Python clients share: TAP lines, comparison of answers, and the statements of bi_statements.sql.

Contract: a test compares value and Python type, prints "ok - CLIENT: NAME" or "not ok - CLIENT: NAME" with a
diagnosis (the runner adds the numbers), and done() ends the program with status 1 if anything failed.
PGHOST, PGPORT, PGUSER and PGDATABASE say where the server is.
"""
import os
import re
import sys

# The measures of fixture.sql by hand, over public.orders.
NET = "sum(amount - refund) FILTER (WHERE status = 'paid')"
RATE = "(count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0)"
PAID = "count(*) FILTER (WHERE status = 'paid')"

REDEFINE = """SELECT kpi.alter_metric('metrics.net_revenue', definition => definition)
              FROM metrics.net_revenue_versions WHERE version = '{}'"""
MISUSE = "SELECT net_revenue, count(*) FROM sales GROUP BY net_revenue"


def typed(value):
    """A value with its Python type; an aggregated JSON array loses the order of its elements."""
    if isinstance(value, str) and value.startswith("[{"):
        value = sorted(value[1:-1].split(", \n "))
    return type(value).__name__, value


def rows_of(rows, ordered=False):
    """Rows as comparable lists, sorted unless their order matters."""
    rows = [[typed(value) for value in row] for row in rows]
    return rows if ordered else sorted(rows, key=repr)


def difference(got, want):
    """What one list of comparable rows has that the other has not; both in full where they only differ in order."""
    more, less = [row for row in got if row not in want], [row for row in want if row not in got]
    return f"got  {more} of {len(got)}\nwant {less} of {len(want)}" if more or less else f"got  {got}\nwant {want}"


class Tap:
    def __init__(self, client):
        self.client = client
        self.failed = 0

    def ok(self, passed, name, *diagnosis):
        self.failed += not passed
        print("ok" if passed else "not ok", "-", self.client + ":", name)
        if not passed:
            for line in "\n".join(map(str, diagnosis)).splitlines():
                print("#", line[:500])
        sys.stdout.flush()

    def same(self, name, got, want):
        """One value, list or tuple against another, with types."""
        self.ok(typed(got) == typed(want), name, "got ", repr(got), "want", repr(want))

    def rows(self, name, got, want, ordered=False):
        """Rows against rows; no rows at all would prove nothing."""
        got, want = rows_of(got, ordered), rows_of(want, ordered)
        self.ok(got == want and want, name, difference(got, want))

    def done(self):
        sys.exit(1 if self.failed else 0)


class Statement:
    """A statement of bi_statements.sql with what is expected of it."""

    def __init__(self, name, sql, expect, by_hand):
        self.name, self.sql, self.expect, self.by_hand = name, sql, expect, by_hand
        self.error = expect.split() if expect.startswith("KP") else None

    def fault(self, got, want):
        """None, or what is wrong with an answer (type OIDs, rows) given the answer of the hand-written SQL."""
        if got[0] != want[0]:
            return f"got  types {got[0]}\nwant types {want[0]}"
        ordered = self.expect == "in order"
        rows, right = rows_of(got[1], ordered), rows_of(want[1], ordered)
        if self.expect == "some of":
            passed = rows and all(row in right for row in rows)
        else:
            passed = rows == right
        return None if passed else difference(rows, right)


def statements():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bi_statements.sql")
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"(?m)^--.*\n", "", file.read())
    parts = re.findall(r"(?ms)^/\* (.+?) \*/(.*?)(?=^/\* |\Z)", text)
    for (name, sql), (expect, by_hand) in zip(parts[::2], parts[1::2]):
        yield Statement(name, sql.strip().rstrip(";"), expect.replace("expect: ", ""), by_hand.strip().rstrip(";"))
