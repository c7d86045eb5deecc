"""Random measure queries over joins, for measure.py.

A case joins the metric view with one or two partners, of which some have one row for each of its rows and some have several,
perhaps in a query of its own below others, and groups above. What is said of a measure may be said in the aggregate or be
computed in a column below. The judge is SQL over the base rows in which every base row counts once in each output group,
however often the join repeats it: for each grouping set the joined rows are made distinct by its keys and the base row. So a
join that multiplies is found out unless it is refused, and a shape that the generator knows to be harmless must be answered.
"""

# partner: its FROM item, with columns k and x; the condition; and when it has at most one row for a row of the source:
# "" always, "x" where x has one value, "never" where nothing tells
SERIES = "generate_series(%s '2026-01-01', %s '2026-04-05', interval '%s')"
PARTNERS = {
    "table key": ("(SELECT region AS k, manager AS x FROM dim)", "t.k = s.region", ""),
    "bare table": ("dim", "t.region = s.region", "", "manager"),
    "key under a cast": ("(SELECT n AS k, n % 3 AS x FROM numbers)", "t.k::text = s.n::text", ""),
    "rows of another table": ("(SELECT region AS k, grp AS x FROM bridge)", "t.k = s.region", "never"),
    "groups of it": ("(SELECT region AS k, grp AS x FROM bridge GROUP BY region, grp)", "t.k = s.region", "x"),
    "distinct rows of it": ("(SELECT DISTINCT region AS k, grp AS x FROM bridge)", "t.k IS NOT DISTINCT FROM s.region", "x"),
    "its numbered rows": ("(SELECT region AS k, grp AS x, row_number() OVER (PARTITION BY region ORDER BY grp) AS nr FROM bridge)",
                          "t.k = s.region AND t.nr = 1", ""),
    "rows numbered in more": ("(SELECT region AS k, grp AS x, row_number() OVER (PARTITION BY region, grp) AS nr FROM bridge)",
                              "t.k = s.region AND t.nr = 1", "x"),
    "VALUES": ("(VALUES ('East', 1), ('West', 2), (NULL, 3), (NULL, 4), ('Moon', 5)) v(k, x)", "t.k = s.region", ""),
    "VALUES null-safe": ("(VALUES ('East', 1), ('West', 2), (NULL, 3)) v(k, x)", "t.k IS NOT DISTINCT FROM s.region", ""),
    "VALUES with NULLs null-safe": ("(VALUES ('East', 1), (NULL, 2), (NULL, 3)) v(k, x)", "t.k IS NOT DISTINCT FROM s.region", "x"),
    "VALUES twice": ("(VALUES ('East', 1), ('West', 2), ('East', 3)) v(k, x)", "t.k = s.region", "x"),
    "VALUES twice alike": ("(VALUES ('East', 1), ('West', 2), ('East', 1)) v(k, x)", "t.k = s.region", "never"),
    "VALUES in capitals": ("(VALUES ('East', 1), ('EAST', 2), ('west', 3)) v(k, x)", "upper(t.k) = upper(s.region)", "x"),
    "VALUES of numbers": ("(VALUES (1, 'a'), (2.0, 'b'), (3, 'c')) v(k, x)", "t.k = s.n", ""),
    "VALUES of equal numbers": ("(VALUES (1, 'a'), (1.0, 'b'), (3, 'c')) v(k, x)", "t.k = s.n", "x"),
    "VALUES of chars": ("(VALUES ('East'::char(6), 1), ('East  '::char(8), 2)) v(k, x)", "t.k = s.region::char(9)", "x"),
    "VALUES without case": ("(VALUES ('East'::text COLLATE nocase, 1), ('EAST', 2)) v(k, x)", "t.k = s.region COLLATE nocase", "x"),
    "UNION ALL": ("(SELECT 'East' AS k, 1 AS x UNION ALL SELECT 'West', 1 UNION ALL SELECT NULL, 2)", "t.k = s.region", ""),
    "UNION ALL of VALUES": ("(VALUES (1, 1), (2, 1) UNION ALL SELECT 2.5, 1 UNION ALL (SELECT 3, 4 LIMIT 1))", "t.column1 = s.n", "", "column2"),
    "UNION ALL twice": ("(SELECT 1 AS k, 1 AS x UNION ALL SELECT 1.0, 2 UNION ALL SELECT 2, 2)", "t.k = s.n", "x"),
    "UNION": ("(SELECT 'East' AS k UNION SELECT region FROM bridge)", "t.k = s.region", "", "k"),
    "UNION of more": ("(SELECT 'East' AS k, 1 AS x UNION SELECT 'East', 2 UNION SELECT 'West', 1)", "t.k = s.region", "x"),
    "unnest": ("(SELECT k, k || '!' AS x FROM unnest(ARRAY['East', 'West', NULL, NULL]) k)", "t.k = s.region", ""),
    "unnest literal": ("unnest('{East,West,Moon}'::text[])", "t.t = s.region", "", "t"),
    "unnest twice": ("(SELECT k, nr AS x FROM unnest('{East,West,East}'::text[]) WITH ORDINALITY u(k, nr))", "t.k = s.region", "x"),
    "unnest selected": ("(SELECT unnest(ARRAY[1, 2, 4]) AS k, 7 AS x)", "t.k = s.n", ""),
    "series": ("generate_series(1, 4)", "t.t = s.n", "", "t"),
    "series selected": ("(SELECT generate_series(2, 5) AS k, 7 AS x)", "t.k = s.n", ""),
    "series moved": ("(SELECT g * 2 + 1 AS k, g % 2 AS x FROM generate_series(0, 3) g)", "t.k = s.n", ""),
    "series of numerics": ("(SELECT k, k > 2 AS x FROM generate_series(0.0, 4.0, 0.5) k)", "t.k = s.n", ""),
    "series compared": ("(SELECT k, k AS x FROM generate_series(1, 4) k)", "t.k < s.n", "x"),
    "days": ("(SELECT k, extract(month FROM k) AS x FROM %s k)" % (SERIES % ("date", "date", "1 day")), "t.k = s.day", ""),
    "days as dates": ("(SELECT k::date AS k, extract(month FROM k) AS x FROM %s k)" % (SERIES % ("timestamp", "timestamp", "1 day")),
                      "t.k = s.day", ""),
    "days selected": ("(SELECT %s::date AS k, 7 AS x)" % (SERIES % ("date", "date", "2 days")), "t.k = s.day", ""),
    "days counted": ("(SELECT date '2026-01-01' + g AS k, g % 7 AS x FROM generate_series(0, 60) g)", "t.k = s.day", ""),
    "days backwards": ("(SELECT k::date AS k, 1 AS x FROM generate_series(timestamp '2026-03-01', timestamp '2026-01-01', '-1 day') k)",
                       "t.k = s.day", ""),
    "months": ("(SELECT k::date AS k, k > '2026-02-01' AS x FROM %s k)" % (SERIES % ("timestamptz", "timestamptz", "1 month")),
               "t.k = date_trunc('month', s.day)", ""),
    "half days as dates": ("(SELECT k::date AS k, extract(hour FROM k) AS x FROM %s k)" % (SERIES % ("timestamp", "timestamp", "12 hours")),
                           "t.k = s.day", "never"),
    "24 hours in a zone as dates": ("(SELECT k::date AS k, 1 AS x FROM generate_series(timestamptz '2026-10-20', timestamptz '2026-10-30', '24 hours') k)",
                                    "t.k = s.day + 210", "never"),
    "both ways": ("(SELECT k::date AS k, 1 AS x FROM generate_series(timestamp '2026-01-01', timestamp '2026-03-01', '1 month -27 days') k)",
                  "t.k = s.day", "never"),
    "one row": ("(SELECT max(amount) AS k, 1 AS x FROM base)", "true", ""),
    "all rows": ("(SELECT region AS k, manager AS x FROM dim)", "true", "never"),
}
METRICS = {
    "smallest": ("SELECT min(amount) FROM base", "min(amount) FILTER (WHERE {p})"),
    "buyers": ("SELECT count(DISTINCT n) FROM base WHERE status = 'paid'", "count(DISTINCT n) FILTER (WHERE status = 'paid' AND ({p}))"),
    "any_open": ("SELECT bool_or(status = 'open') FROM base", "bool_or(status = 'open') FILTER (WHERE {p})"),
    "span": ("SELECT biggest - smallest FROM f.biggest, f.smallest", "({biggest} - {smallest})"),
    "per_buyer": ("SELECT gross / nullif(buyers, 0) FROM f.gross, f.buyers", "({gross} / nullif({buyers}, 0))"),
}
HARMLESS = {"orders", "buyers", "biggest", "smallest", "any_open", "span"}
ADDITIVE = ["revenue", "gross"]
NUMBERS = ["revenue", "gross", "lines", "orders", "buyers", "biggest", "smallest", "median", "span", "per_buyer", "aov"]
CONDITIONS = ["channel = 'web'", "region IS NOT NULL", "region IN ('East', 'West')", "day >= '2026-02-01'", "n > 3", "n IS NULL",
              "channel <> 'app' OR region IS NULL"]
KEYS = ["region", "channel", "n", "date_trunc('month', day)", "lower(region)"]
COLUMNS = ["id", "order_id", "amount", "refund", "status", "region", "channel", "day", "n"]

SETUP = """
ALTER TABLE base ADD n int; UPDATE base SET n = nullif(id % 6, 0);
CREATE TABLE bridge (grp text, region text, note int);
INSERT INTO bridge VALUES ('g', 'East', 1), ('g', 'West', 2), ('h', 'East', 3), ('g', 'East', 4), (NULL, 'North', 5), ('i', NULL, 6), ('i', NULL, 7), ('h', 'Moon', 8);
CREATE TABLE numbers (n int UNIQUE); INSERT INTO numbers VALUES (1), (2), (3), (4), (9), (NULL), (NULL);
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
"""


def qualified(text, alias):
    """The dimensions in an expression, as columns of an alias."""
    out, word, quoted = [], "", False
    for c in text + " ":
        if c.isalnum() or c == "_":
            word += c
            continue
        out.append("%s.%s" % (alias, word) if word in ("region", "channel", "day", "n") and not quoted else word)
        out.append(c)
        word, quoted = "", quoted != (c == "'")
    return "".join(out)[:-1]


class Said:
    """What is said of a measure, where, and what it means at a group."""

    def __init__(self, rng, hand):
        self.place = rng.choice(["aggregate", "aggregate", "middle", "below"])
        self.name = rng.choice(NUMBERS)
        self.misuse = False
        self.rows = None                # with 0 for other rows: which rows give the measure or 0
        self.factor = ""
        self.aggregate = "sum"
        self.expr = "{m}"
        self.gives = "true"
        self.filter = ""
        p = rng.choice(CONDITIONS)
        form = rng.choice(["measure", "carrier", "filter", "case", "case", "zero", "zero", "factor", "count", "any", "misuse"])
        self.form = form if self.place == "aggregate" or form in ("measure", "filter", "any") else "%s in %s" % (form, self.place)
        if form in ("zero", "factor"):
            self.name = rng.choice(ADDITIVE)
        if form == "any":
            self.name = "any_open"
        if form in ("measure", "filter", "any"):
            self.aggregate, self.place = "measure", "aggregate"
            if form == "filter":
                self.filter, self.gives = p, p
        elif form == "carrier":
            self.aggregate = rng.choice(["sum", "avg", "min", "max"])
        elif form == "case":
            self.expr, self.gives = rng.choice([
                ("CASE WHEN {p} THEN {m} END", "{p}"), ("CASE WHEN {p} THEN NULL ELSE {m} END", "({p}) IS NOT TRUE"),
                ("CASE WHEN {p} THEN {m} WHEN NOT ({p}) THEN NULL END", "{p}"), ("CASE WHEN {p} THEN CASE WHEN {q} THEN {m} END END", "({p}) AND ({q})"),
                ("CASE channel WHEN 'web' THEN NULL WHEN 'app' THEN {m} END", "channel = 'app'"),
                ("CASE WHEN {p} THEN {m} WHEN {q} THEN {m} END", "({p}) OR ({q})")])
        elif form == "zero":
            self.expr, self.gives, self.rows = rng.choice([
                ("coalesce({m}, 0)", "true", "true"), ("CASE WHEN {p} THEN {m} ELSE 0 END", "{p}", "true"), ("CASE WHEN {p} THEN 0 ELSE {m} END", "({p}) IS NOT TRUE", "true"),
                ("CASE WHEN {p} THEN {m} WHEN {q} THEN 0 END", "{p}", "({p}) OR ({q})"), ("coalesce(CASE WHEN {p} THEN {m} END, 0)", "{p}", "true"),
                ("CASE WHEN {q} THEN coalesce({m}, 0.0) END", "{q}", "{q}")])
        elif form == "factor":
            self.expr, self.factor = rng.choice([("{m} * 2", "* 2"), ("-{m}", "* -1"), ("{m} / 4.0", "/ 4.0"), ("-(3 * {m})", "* -3")])
        elif form == "count":
            self.name, self.aggregate = rng.choice([("lines", "count(%s)"), ("orders", "count(%s)"), ("buyers", "count(DISTINCT %s)")])
            self.expr, self.gives = rng.choice([("{m}", "true"), ("CASE WHEN {p} THEN {m} END", "{p}")])
        else:
            self.misuse = True
            self.name, self.aggregate, self.expr = rng.choice([
                ("revenue", "sum", "{m} + 1"), ("orders", "count(%s)", "{m} + 0"), ("revenue", "count(%s)", "{m}"), ("revenue", "count(%s)", "CASE WHEN {m} > 50 THEN 1 END"),
                ("biggest", "avg", "coalesce({m}, 0)"), ("revenue", "sum", "CASE WHEN {m} > 50 THEN {m} END"), ("aov", "sum", "{m} * 2"),
                ("gross", "sum", "coalesce({m}, 1)"), ("revenue", "stddev", "{m}"), ("lines", "sum", "CASE WHEN {p} THEN {m} ELSE 5 END")])
        q = rng.choice(CONDITIONS)
        self.expr, self.gives = (t.replace("{p}", p).replace("{q}", q) for t in (self.expr, self.gives))
        self.rows = self.rows and self.rows.replace("{p}", p).replace("{q}", q)
        value = hand(self.name, "id IS NOT NULL AND (%s)" % self.gives)
        if self.rows:
            # what is computed below the join is computed for no row that the join fills up
            rows = "id IS NOT NULL AND (%s)" % self.rows if self.place == "below" else self.rows
            value = "CASE WHEN count(*) FILTER (WHERE %s) > 0 THEN coalesce(%s, 0) END" % (rows, value)
        if self.aggregate in ("sum", "avg") and self.name in ("lines", "orders", "buyers"):
            value = "(%s)::numeric" % value
        self.value = "(%s) %s" % (value, self.factor)

    def call(self, argument, alias):
        """The aggregate over an argument."""
        text = self.aggregate % argument if "%s" in self.aggregate else "%s(%s)" % (self.aggregate, argument)
        return text + (" FILTER (WHERE %s)" % qualified(self.filter, alias) if self.filter else "")


class JoinCase:
    """A random statement over joins, and the judge's."""

    def __init__(self, rng, hand):
        self.rng = rng
        self.said = [Said(rng, hand) for _ in range(rng.choice([1, 1, 2, 3]))]
        self.shapes = ["said: " + s.form for s in self.said]
        self.misuse = any(s.misuse for s in self.said)
        self.needs = []
        self.build()

    def source(self):
        """The metric view, with what is computed below the join."""
        below = "".join(", %s AS c%d" % (s.expr.replace("{m}", s.name), i) for i, s in enumerate(self.said) if s.place == "below")
        return "(SELECT v.*%s FROM f.sales v) s" % below if below else "f.sales s"

    def partner(self, number):
        """A FROM item under alias tN, its condition, its x."""
        name = self.rng.choice(list(PARTNERS))
        item, on, needs, x = (PARTNERS[name] + ("x",))[:4]
        alias = "t%d" % number
        columns = ""
        if item.startswith("(VALUES") and item.endswith(")") and " v(" in item:
            item, columns = item[:item.index(" v(")], item[item.index(" v(") + 2:]
        if on.startswith("t.t "):       # a function's one column has the alias's name
            columns = "(t)"
        self.shapes.append("join: " + name)
        self.needs.append((needs, "x%d" % number))
        return "%s %s%s" % (item, alias, columns), on.replace("t.", alias + "."), "%s.%s" % (alias, x)

    def join(self):
        """FROM and WHERE over alias s, and the x columns."""
        rng = self.rng
        self.source_text = self.source()
        where = [qualified(rng.choice(CONDITIONS), "s")] if rng.random() < 0.3 else []
        form = rng.choice(["partners"] * 6 + ["anti", "semi", "hopeless anti"])
        if form == "semi":
            self.shapes.append("semi-join")
            where.append(rng.choice(["s.region IN (SELECT region FROM bridge)", "EXISTS (SELECT FROM bridge b WHERE b.region = s.region)",
                                     "NOT EXISTS (SELECT FROM bridge b WHERE b.region = s.region AND b.grp = 'h')",
                                     "s.region NOT IN (SELECT region FROM bridge WHERE region IS NOT NULL)"]))
            return "{s}", where, []
        if form == "anti":
            self.shapes.append("anti-join")
            where.append(rng.choice(["t.region IS NULL", "NOT t.region IS NOT NULL"]))
            extra = rng.choice(["", " AND t.grp = 'h'", " AND t.note > 3"])
            return rng.choice(["{s} LEFT JOIN bridge t ON t.region = s.region%s", "bridge t RIGHT JOIN {s} ON s.region = t.region%s",
                               "{s} LEFT JOIN (SELECT region, 1 AS hit FROM bridge WHERE region IS NOT NULL) t ON t.region = s.region%s"]
                              [:3 if not extra else 2]) % extra, where, []
        if form == "hopeless anti":
            self.shapes.append("no anti-join")
            self.needs.append(("never", ""))
            where.append("t.grp IS NULL")
            return "{s} LEFT JOIN bridge t ON t.region IS NOT DISTINCT FROM s.region", where, []
        text, xs = "{s}", []
        for number in range(rng.choice([1, 1, 1, 2])):
            item, on, x = self.partner(number)
            kind = rng.choice(["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
            if number == 1 and rng.random() < 0.5:
                text, kind = "(%s)" % text, rng.choice(["JOIN", "LEFT JOIN"])
            self.shapes.append(kind.lower())
            text = "%s %s %s ON %s" % ((text, kind, item, on) if rng.random() < 0.6 or number == 1 else
                                       (item, {"LEFT JOIN": "RIGHT JOIN", "RIGHT JOIN": "LEFT JOIN"}.get(kind, kind), text, on))
            # rows that a second outer join keeps may have no x of the first
            xs.append(x)
        return text, where, xs

    def build(self):
        """Both statements."""
        rng = self.rng
        text, where, xs = self.join()
        depth = rng.choice([0, 1, 1, 2, 3])
        if any(s.place == "middle" for s in self.said):
            depth = max(depth, 1)
        names = ["x%d" % i for i in range(len(xs))]
        keys = rng.sample(KEYS + names * 3, rng.choice([0, 1, 1, 2, 2, 3]))
        keys = list(dict.fromkeys(keys))
        form = rng.choice(["", "", "", "", "ROLLUP", "CUBE", "SETS", "MIXED"]) if keys else ""
        sets = {"": [keys], "ROLLUP": [keys[:i] for i in range(len(keys) + 1)], "SETS": [keys, keys[:1]], "MIXED": [keys, keys[:1]],
                "CUBE": [[k for j, k in enumerate(keys) if i >> j & 1] for i in range(1 << len(keys))]}[form]
        pinned = rng.choice(names) if names and rng.random() < 0.1 else None
        conditions = [rng.choice(CONDITIONS)] if rng.random() < 0.3 else []
        alias = "s" if depth == 0 else "q"
        columns = {"x%d" % i: x if depth == 0 else "q.x%d" % i for i, x in enumerate(xs)}

        def outer(expr):
            return columns.get(expr) or qualified(expr, alias)

        governed_where = [qualified(c, alias) for c in conditions]
        if pinned:
            governed_where.append("%s::text = '1'" % columns[pinned] if rng.random() < 0.5 else "%s IS NULL" % columns[pinned])
        self.governed = self.say(text, where, xs, depth, outer, alias, keys, form, governed_where)
        plain_where = conditions + ([governed_where[-1].replace(columns[pinned], pinned)] if pinned else [])
        self.plain = self.judge(text, where, xs, keys, sets, plain_where)
        common = [k for k in keys if all(k in s for s in sets)]
        harmless = all(s.name in HARMLESS for s in self.said)
        proven = all(n == "" or (n == "x" and x in common) for n, x in self.needs)
        self.must_answer = not self.misuse and (harmless or proven)
        self.shapes.append("levels: %d" % depth)
        self.shapes.append("groups: " + (form or "plain"))
        if harmless and not proven:
            self.shapes.append("no proof needed")
        if proven and any(n == "x" for n, _ in self.needs):
            self.shapes.append("proven by keys above" if depth else "proven by keys")

    def say(self, text, where, xs, depth, outer, alias, keys, form, conditions):
        """The statement over the metric view."""
        rng = self.rng
        source = text.replace("{s}", self.source_text)
        if depth > 0:
            middle = ["s.*"] + ["%s AS x%d" % (x, i) for i, x in enumerate(xs)]
            middle += ["%s AS c%d" % (qualified(s.expr, "s").replace("{m}", "s." + s.name), i)
                       for i, s in enumerate(self.said) if s.place == "middle"]
            source = "(SELECT %s FROM %s%s) q" % (", ".join(middle), source, " WHERE " + " AND ".join("(%s)" % w for w in where) if where else "")
            where = []
            for _ in range(depth - 1):
                source = rng.choice(["(SELECT * FROM %s) q", "(WITH c AS (SELECT * FROM %s) SELECT * FROM c) q",
                                     "(SELECT * FROM %s OFFSET 0) q", "(WITH c AS MATERIALIZED (SELECT * FROM %s) SELECT * FROM c) q"]) % source
        calls = []
        for i, s in enumerate(self.said):
            if s.place == "aggregate":
                calls.append(s.call(qualified(s.expr, alias).replace("{m}", "%s.%s" % (alias, s.name)), alias))
            else:
                calls.append(s.call("%s.c%d" % (alias, i), alias))
        columns = [outer(k) for k in keys] + calls + ["count(*)"]
        conditions = conditions + (where if depth == 0 else [])
        group = [outer(k) for k in keys]
        by = {"": ", ".join(group), "ROLLUP": "ROLLUP (%s)" % ", ".join(group), "CUBE": "CUBE (%s)" % ", ".join(group),
              "SETS": "GROUPING SETS ((%s), (%s))" % (", ".join(group), group[0] if group else ""),
              "MIXED": "%s, GROUPING SETS ((%s), ())" % (group[0] if group else "", ", ".join(group))}[form]
        return "SELECT %s FROM %s%s%s" % (", ".join(columns), source, " WHERE " + " AND ".join("(%s)" % c for c in conditions) if conditions else "",
                                         " GROUP BY " + by if keys else "")

    def judge(self, text, where, xs, keys, sets, conditions):
        """The statement over the base rows: each counts once in a group."""
        joined = "SELECT %s FROM %s%s" % (", ".join(["s." + c for c in COLUMNS] + ["%s AS x%d" % (x, i) for i, x in enumerate(xs)]),
                                         text.replace("{s}", "base s"), " WHERE " + " AND ".join("(%s)" % w for w in where) if where else "")
        joined = "SELECT * FROM (%s) j%s" % (joined, " WHERE " + " AND ".join("(%s)" % c for c in conditions) if conditions else "")
        selects = []
        for chosen in sets:
            named = ["%s AS k%d" % (k, i) for i, k in enumerate(keys) if k in chosen]
            ks = ["k%d" % i for i, k in enumerate(keys) if k in chosen]
            by = " GROUP BY " + ", ".join(ks) if ks else ""
            once = "SELECT %s FROM (SELECT DISTINCT %s FROM j) d%s" % (
                ", ".join(ks + ["%s AS m%d" % (s.value, i) for i, s in enumerate(self.said)]), ", ".join(named + COLUMNS), by)
            counted = "SELECT %s FROM (SELECT %s FROM j) d%s" % (", ".join(ks + ["count(*) AS rows"]), ", ".join(named + ["1 AS one"]), by)
            columns = ["a.k%d" % i if k in chosen else "(SELECT %s FROM j WHERE false)" % k for i, k in enumerate(keys)]
            columns += ["b.m%d" % i for i in range(len(self.said))] + ["a.rows"]
            on = " AND ".join("a.%s IS NOT DISTINCT FROM b.%s" % (k, k) for k in ks) or "true"
            selects.append("SELECT %s FROM (%s) a JOIN (%s) b ON %s" % (", ".join(columns), counted, once, on))
        return "WITH j AS (%s) %s" % (joined, " UNION ALL ".join(selects))
