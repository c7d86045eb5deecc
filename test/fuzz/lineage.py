#!/usr/bin/python3
"""Lineage of random queries against pg_depend, and after random DDL (L1).

Each case makes a view, a materialized view or a function of a random query that uses all columns of its subqueries. Then
every column that pg_depend says it uses must be a source of one of its edges, and every source must be in pg_depend. Between
the cases random DDL renames, moves, drops, adds and attaches; after it recorded lineage must be what is derived (kpi.check()
is silent), and no warning may have been raised. Queries run functions that they do not call by name (of aggregates,
operators, domains, sorting, default arguments), which the DDL changes, too. Now and then something is dropped with CASCADE and
put back: what goes must be what kpi.impact() told. At the end kpi.upstream(), kpi.downstream() and the indirect rows of
kpi.lineage are compared with a walk over the direct edges that is written again here.

Needs a server with kpitables preloaded (PGHOST, PGPORT, PGUSER). Usage: lineage.py [cases] [seed]. Prints a line of totals;
exit status 1 on any difference, which is shown with its statement.
"""
import os
import random
import sys

import psycopg2

CASES = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**9)
DATABASE = "kpitables_fuzz_lineage"
NAMES = ["a", "b", "c", "d", "e", '"f g"', '"h.i"', '"J""k"', '"l("', "select_", "净"]

SETUP = """
CREATE EXTENSION kpitables;
CREATE SCHEMA s0; CREATE SCHEMA s1; CREATE SCHEMA "s ""2";
CREATE TABLE s0.t0 (a int, b int, c int, d int);
CREATE TABLE s0.t1 (a int, "f g" int, "h.i" int, e int);
CREATE TABLE s1.t2 (b int, "J""k" int, "l(" int, select_ int);
CREATE TABLE s1."t(3" (a int, b int, g int GENERATED ALWAYS AS (a * 2 + b) STORED);
CREATE TABLE "s ""2".t4 (a int, b int, "净" int) PARTITION BY RANGE (a);
CREATE TABLE "s ""2".t4a PARTITION OF "s ""2".t4 FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (a);
CREATE TABLE "s ""2".t4aa PARTITION OF "s ""2".t4a DEFAULT;
CREATE TABLE "s ""2".t4b PARTITION OF "s ""2".t4 FOR VALUES FROM (10) TO (20);
CREATE TABLE s0.t5 (a int, b int); CREATE TABLE s0.t5a (z int) INHERITS (s0.t5);
CREATE SCHEMA run;
CREATE TABLE run.r (v int, w int);
CREATE FUNCTION run.plus(a int, b int) RETURNS int IMMUTABLE RETURN a + b + (SELECT max(v) FROM run.r);
CREATE FUNCTION run.acc(a int, b int) RETURNS int IMMUTABLE RETURN a + b;
CREATE FUNCTION run.acc2(a int, b int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN a; END';
CREATE FUNCTION run.fin(a int) RETURNS int IMMUTABLE RETURN a - (SELECT count(w) FROM run.r);
CREATE FUNCTION run.fixed() RETURNS int IMMUTABLE RETURN 1;
CREATE FUNCTION run.fixed2() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE FUNCTION run.with_default(a int, b int DEFAULT run.fixed()) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
CREATE FUNCTION run.ok(a int) RETURNS boolean IMMUTABLE RETURN a > (SELECT min(v) FROM run.r);
CREATE FUNCTION run.ok2(a int) RETURNS boolean LANGUAGE internal IMMUTABLE AS 'int4abs';
CREATE AGGREGATE run.total (int) (SFUNC = run.acc, STYPE = int, FINALFUNC = run.fin);
CREATE OPERATOR run.## (LEFTARG = int, RIGHTARG = int, FUNCTION = run.plus);
CREATE DOMAIN run.some_int AS int CHECK (run.ok(VALUE));
CREATE DOMAIN run.few AS run.some_int;
CREATE TYPE run.pair AS (x int, y int);
CREATE FUNCTION run.cmp(a run.pair, b run.pair) RETURNS int IMMUTABLE RETURN (a).x - (b).x;
CREATE FUNCTION run.lt(a run.pair, b run.pair) RETURNS boolean IMMUTABLE RETURN run.cmp(a, b) < 0;
CREATE FUNCTION run.eq(a run.pair, b run.pair) RETURNS boolean IMMUTABLE RETURN run.cmp(a, b) = 0;
CREATE OPERATOR run.<! (LEFTARG = run.pair, RIGHTARG = run.pair, FUNCTION = run.lt);
CREATE OPERATOR run.=! (LEFTARG = run.pair, RIGHTARG = run.pair, FUNCTION = run.eq);
CREATE OPERATOR CLASS run.pair_ops DEFAULT FOR TYPE run.pair USING btree AS OPERATOR 1 run.<!, OPERATOR 3 run.=!, FUNCTION 1 run.cmp(run.pair, run.pair);
"""

USED = """
WITH RECURSIVE it AS (SELECT %s::regclass::oid AS relid UNION ALL SELECT %s::regprocedure::oid), used AS (
	SELECT d.refclassid, d.refobjid, d.refobjsubid FROM it JOIN pg_rewrite w ON w.ev_class = it.relid
	  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid WHERE d.refobjid <> it.relid
	UNION SELECT d.refclassid, d.refobjid, d.refobjsubid FROM it
	  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = it.relid),
runs AS (		-- whatever depends on what, from what is named to the functions it is made of: none of these bodies is a tree
	SELECT refclassid AS class, refobjid AS object FROM used WHERE refclassid <> 'pg_class'::regclass
	UNION SELECT n.class, n.object FROM runs CROSS JOIN LATERAL (
		SELECT d.refclassid, d.refobjid FROM pg_depend d WHERE d.classid = runs.class AND d.objid = runs.object
		   AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.oid = runs.object AND p.prosqlbody IS NOT NULL)
		UNION SELECT 'pg_constraint'::regclass, c.oid FROM pg_constraint c WHERE c.contypid = runs.object AND c.contypid <> 0
		UNION SELECT 'pg_opclass'::regclass, o.oid FROM pg_opclass o WHERE o.opcintype = runs.object AND o.oid >= 16384
		UNION SELECT 'pg_proc'::regclass, f.amproc FROM pg_amproc f JOIN pg_opclass o ON o.opcfamily = f.amprocfamily WHERE o.oid = runs.object
		UNION SELECT 'pg_operator'::regclass, m.amopopr FROM pg_amop m JOIN pg_opclass o ON o.opcfamily = m.amopfamily WHERE o.oid = runs.object
	) n (class, object))
SELECT format('%%I.%%I', n.nspname, c.relname), a.attname FROM used u JOIN pg_class c ON c.oid = u.refobjid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.refobjsubid AND a.attnum > 0 WHERE u.refclassid = 'pg_class'::regclass AND c.relkind <> 'c'
UNION SELECT kpi.lineage_function_name(p.oid), NULL FROM runs JOIN pg_proc p ON p.oid = runs.object JOIN pg_language l ON l.oid = p.prolang
 WHERE runs.class = 'pg_proc'::regclass AND p.oid >= 16384 AND l.lanname NOT IN ('internal', 'c')
"""


class Query:
    """A random query over what is there; all its columns are integers called o0, o1 and so on."""

    def __init__(self, rng, relations, functions):
        self.rng = rng
        self.relations = relations
        self.functions = functions
        self.whole = set()          # relations of which a whole row is used
        self.aliases = 0

    def alias(self):
        self.aliases += 1
        return "x%d" % self.aliases

    def relation(self):
        """A relation, tables more often than others."""
        tables = [r for r in self.relations if r[2] == "table"]
        return self.rng.choice(tables if self.rng.random() < 0.6 else self.relations)

    def sublink(self, column, grouped=False):
        """A subquery of an expression that uses a column."""
        name, columns, _ = self.relation()
        x = self.alias()
        one, two = x + "." + self.rng.choice(columns), x + "." + self.rng.choice(columns)
        return self.rng.choice([
            "(SELECT max(%s) FROM %s %s WHERE %s = %s)" % (one, name, x, two, column),
            "(EXISTS (SELECT FROM %s %s WHERE %s > %s ORDER BY %s))::int" % (name, x, two, column, one),
            "(%s IN (SELECT %s FROM %s %s))::int" % (column, one, name, x),
            "coalesce(array_length(ARRAY(SELECT %s FROM %s %s WHERE %s < %s LIMIT 2), 1), 0)" % (one, name, x, two, column),
            "(%s > ALL (SELECT %s FROM %s %s GROUP BY 1 HAVING max(%s) > 2))::int" % (column, one, name, x, two)])

    def plain(self, column):
        """An integer that is computed from a column."""
        forms = ["%s", "%s", "coalesce(%s, 0)", "abs(%s)", "CASE WHEN %s > 3 THEN 1 ELSE 0 END", "CASE %s WHEN 1 THEN 2 END",
                 "(ARRAY[%s, 7])[1]", "length(%s::text)", "(%s IS NULL)::int", "nullif(%s, 4)", "greatest(%s, 1)",
                 "(sum(1) OVER (PARTITION BY %s))::int", "(rank() OVER (ORDER BY %s))::int", "lag(%s) OVER ()",
                 "(count(*) FILTER (WHERE %s > 1) OVER ())::int", "(ROW(%s, 2) < ROW(1, 1))::int", "run.with_default(%s)", "(%s OPERATOR(run.##) 1)",
                 "(%s::run.few)::int", "(%s::text::run.some_int)::int", "(array_length(ARRAY[%s]::run.few[], 1))",
                 "(greatest(ROW(%s, 1)::run.pair, ROW(1, 2)::run.pair)).x", "(run.total(%s) OVER ())",
                 "(rank() OVER (ORDER BY ROW(%s, 1)::run.pair))::int", "(ARRAY[ROW(%s, 1)::run.pair] = ARRAY[ROW(2, 2)::run.pair])::int"]
        if self.rng.random() < 0.15:
            return self.sublink(column)
        return self.rng.choice(forms) % column

    def aggregate(self, column):
        forms = ["max(%s)", "min(%s + 1)", "count(DISTINCT %s)::int", "(sum(1) FILTER (WHERE %s > 1))::int",
                 "percentile_disc(0.5) WITHIN GROUP (ORDER BY %s)", "array_length(array_agg(1 ORDER BY %s), 1)",
                 "length(string_agg(%s::text, ',' ORDER BY 1))", "max(CASE WHEN %s > 0 THEN 1 END)", "(avg(%s))::int", "run.total(%s)", "run.total(%s) FILTER (WHERE true)",
                 "count(DISTINCT ROW(%s, 1)::run.pair)::int", "array_length(array_agg(1 ORDER BY ROW(%s, 1)::run.pair), 1)"]
        return self.rng.choice(forms) % column

    def source(self, depth, outer, ctes):
        """An entry of FROM: its text, its columns, and whether it may stand before what refers to it."""
        rng = self.rng
        x = self.alias()
        kind = rng.random()
        if ctes and kind < 0.5:
            name, count = rng.choice(ctes)
            return "%s %s" % (name, x), ["%s.o%d" % (x, i) for i in range(count)], False
        if depth > 0 and kind < 0.25:
            text, count = self.query(depth - 1)
            return "(%s) %s" % (text, x), ["%s.o%d" % (x, i) for i in range(count)], False
        if depth > 0 and outer and kind < 0.35:
            text, count = self.query(depth - 1, outer=[rng.choice(outer)])
            return "LATERAL (%s) %s" % (text, x), ["%s.o%d" % (x, i) for i in range(count)], True
        if outer and kind < 0.42:
            return rng.choice(["generate_series(1, %s) %s (o0)", "unnest(ARRAY[%s, 3]) WITH ORDINALITY %s (o0)"]) % (rng.choice(outer), x), [x + ".o0"], True
        if kind < 0.46:
            return "(VALUES (1, 2), (3, (SELECT max(%s) FROM %s))) %s (o0, o1)" % (self.inside() + (x,)), [x + ".o0", x + ".o1"], False
        if self.functions and kind < 0.52:
            name, columns = rng.choice(self.functions)
            return "%s() %s" % (name, x), [x + "." + c for c in rng.sample(columns, min(2, len(columns)))], False
        name, columns, what = self.relation()
        chosen = ["%s.%s" % (x, c) for c in rng.sample(columns, rng.randint(1, min(3, len(columns))))]
        if rng.random() < 0.05:
            self.whole.add(name)
            chosen.append("length(%s::text)" % x)
        sample = " TABLESAMPLE system (10)" if what == "table" and rng.random() < 0.05 else ""
        return "%s %s%s" % (name, x, sample), chosen, False

    def inside(self):
        name, columns, _ = self.relation()
        return self.rng.choice(columns), name

    def sources(self, depth, outer, ctes):
        """FROM, the columns to use, and conditions that belong in WHERE."""
        rng = self.rng
        text, pool, _ = self.source(depth, outer, ctes)
        where = []
        joins = rng.random() < 0.6
        for _ in range(rng.choice([0, 0, 1, 1, 2])):
            entry, columns, lateral = self.source(depth, pool[:1], ctes)
            condition = "%s = %s" % (rng.choice(pool), rng.choice(columns))
            if not joins:
                text += ", " + entry
                where.append(condition)
            elif lateral:
                text += " CROSS JOIN " + entry
            else:
                text += " %s JOIN %s ON %s" % (rng.choice(["", "LEFT", "RIGHT", "FULL"]), entry, condition)
            pool = pool + columns
        return text, pool, where

    def select(self, depth, count, outer, ctes):
        """SELECT ... FROM ..., in which each column of the sources is used somewhere."""
        rng = self.rng
        text, pool, where = self.sources(depth, outer, ctes)
        pool = pool + outer
        items = [[] for _ in range(count)]
        order, group, having, distinct = [], [], [], ""
        grouped = rng.random() < 0.35
        for column in pool:
            place = rng.random()
            if place < 0.15:
                where.append(rng.choice(["%s > 1", "%s IS NOT NULL", "coalesce(%s, 1) <> 3"]) % column)
            elif place < 0.2:
                where.append("%s > 0" % self.sublink(column))
            elif grouped and place < 0.45 and "length(" not in column:
                group.append(column)
            elif grouped and place < 0.5:
                having.append("%s > 1" % self.aggregate(column))
            elif place < 0.6:
                order.append(self.aggregate(column) if grouped else column)
            else:
                rng.choice(items).append(self.aggregate(column) if grouped else self.plain(column))
        for key in group:
            if rng.random() < 0.5:
                rng.choice(items).append(key)
        out = []
        for i, parts in enumerate(items):
            if not parts:
                parts = ["count(*)::int"] if grouped else ["%d" % i]
            out.append("(%s)::int AS o%d" % (" + ".join(parts), i))
        if not order and rng.random() < 0.2:
            distinct = "DISTINCT "
        elif not grouped and not order and rng.random() < 0.1:
            distinct = "DISTINCT ON (%s) " % pool[0]
        result = "SELECT %s%s FROM %s" % (distinct, ", ".join(out), text)
        if where:
            result += " WHERE " + rng.choice([" AND ", " OR "]).join(where)
        if group:
            form = rng.choice(["%s", "%s", "ROLLUP (%s)", "CUBE (%s)", "GROUPING SETS ((%s), ())"])
            result += " GROUP BY " + form % ", ".join(dict.fromkeys(group))
        if having:
            result += " HAVING " + " AND ".join(having)
        if order:
            result += " ORDER BY " + ", ".join(order)
        if rng.random() < 0.1:
            result += rng.choice([" LIMIT 5", " OFFSET 2", " LIMIT (SELECT count(%s) FROM %s)" % self.inside()])
        return result

    def query(self, depth, count=None, outer=()):
        """A query and the number of its columns."""
        rng = self.rng
        count = count or rng.randint(1, 4)
        ctes, head = [], []
        if depth > 0 and rng.random() < 0.25:
            for _ in range(rng.choice([1, 1, 2])):
                name = self.alias()
                if rng.random() < 0.25:
                    base, _ = self.query(0, 2)
                    relation, columns, _ = self.relation()
                    x = self.alias()
                    names = [x + "." + rng.choice(columns) for _ in range(3)]
                    body = "%s (o0, o1) AS (%s UNION ALL SELECT %s.o0 + %s, %s FROM %s %s JOIN %s ON %s.o1 = %s)%s" % (
                        name, "(%s)" % base, name, names[0], names[1], relation, x, name, name, names[2],
                        rng.choice(["", " SEARCH BREADTH FIRST BY o0 SET sq", " CYCLE o0, o1 SET cy USING wy"]))
                    head.append((body, name, 2))
                else:
                    body, columns = self.query(depth - 1)
                    head.append(("%s AS %s(%s)" % (name, rng.choice(["", "MATERIALIZED ", "NOT MATERIALIZED "]), body), name, columns))
            ctes = [(name, columns) for _, name, columns in head]
        if depth > 0 and rng.random() < 0.2:
            arms = [self.select(depth - 1, count, list(outer) if i == 0 else [], ctes) for i in range(rng.choice([2, 2, 3]))]
            text = "(%s)" % arms[0]
            for arm in arms[1:]:
                text = "%s %s%s (%s)" % (text, rng.choice(["UNION", "EXCEPT", "INTERSECT"]), rng.choice(["", " ALL"]), arm)
            text += rng.choice(["", " ORDER BY 1", " LIMIT 3"])
        else:
            text = self.select(depth, count, list(outer), ctes)
        if head:
            unused = [(name, columns) for _, name, columns in head if " %s x" % name not in text]
            for name, columns in unused:        # each CTE is used with all its columns
                x = self.alias()
                text = "SELECT q.* FROM (%s) q WHERE EXISTS (SELECT FROM %s %s WHERE %s)" % (
                    text, name, x, " OR ".join("%s.o%d > 1" % (x, i) for i in range(columns)))
            text = "WITH RECURSIVE %s %s" % (", ".join(body for body, _, _ in head), text)
        return text, count


class Database:
    """What the catalog says is there, and random changes of it."""

    def __init__(self, cursor, rng):
        self.cursor = cursor
        self.rng = rng
        self.number = 0

    def rows(self, sql, *values):
        self.cursor.execute(sql, values or None)
        return self.cursor.fetchall()

    def relations(self):
        """(name, integer columns, table or other) of all relations that have one."""
        return self.rows("""SELECT format('%I.%I', n.nspname, c.relname), array_agg(quote_ident(a.attname) ORDER BY a.attnum),
				CASE WHEN c.relkind IN ('r', 'p') THEN 'table' ELSE 'other' END
			  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
			 WHERE n.nspname ~ '^s' AND c.relkind IN ('r', 'p', 'v', 'm') AND a.atttypid = 'int'::regtype AND NOT a.attisdropped
			 GROUP BY c.oid, n.oid ORDER BY c.oid""")

    def functions(self):
        return self.rows("""SELECT format('%I.%I', n.nspname, p.proname), proargnames FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
			 WHERE n.nspname ~ '^s' AND p.prosqlbody IS NOT NULL ORDER BY p.oid""")

    def schemas(self):
        return [r[0] for r in self.rows("SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname ~ '^s' ORDER BY oid")]

    def fresh(self, prefix):
        self.number += 1
        return "%s%d" % (prefix, self.number)

    def kind(self, name):
        return self.rows("""SELECT CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END
			  FROM pg_class WHERE oid = %s::regclass""", name)[0][0]

    def change_run(self):
        """A statement of DDL on what queries run without naming it."""
        rng = self.rng
        names = dict(self.rows("SELECT obj_description(p.oid, 'pg_proc'), format('run.%I', p.proname) FROM pg_proc p WHERE pronamespace = 'run'::regnamespace"))
        form = rng.randrange(9)
        if form == 0:
            return "CREATE OR REPLACE AGGREGATE %s (int) (SFUNC = %s, STYPE = int%s)" % (
                names["total"], names[rng.choice(["acc", "acc2", "plus"])], rng.choice(["", ", FINALFUNC = %s" % names["fin"]]))
        if form == 1:
            return "ALTER DOMAIN run.%s ADD CONSTRAINT %s CHECK (%s(VALUE)) NOT VALID" % (
                rng.choice(["some_int", "few"]), self.fresh("k"), names[rng.choice(["ok", "ok2"])])
        if form == 2:
            found = self.rows("SELECT contypid::regtype::text, quote_ident(conname) FROM pg_constraint WHERE contypid <> 0 AND connamespace = 'run'::regnamespace ORDER BY oid")
            return "ALTER DOMAIN %s DROP CONSTRAINT %s" % rng.choice(found) if found else "SELECT 1"
        if form == 3:
            name = rng.choice([n for n in names if n != "total"])
            return "ALTER ROUTINE %s RENAME TO %s" % (names[name], self.fresh("g"))
        if form == 4:
            return "CREATE OR REPLACE FUNCTION %s(a int, b int DEFAULT %s) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b'" % (
                names["with_default"], rng.choice(["1", names["fixed"] + "()", names["fixed2"] + "()"]))
        if form == 5:
            return "CREATE OR REPLACE FUNCTION %s(a int) RETURNS boolean %s" % (names["ok2"], rng.choice([
                "LANGUAGE internal IMMUTABLE AS 'int4abs'", "LANGUAGE plpgsql AS 'BEGIN RETURN true; END'", "RETURN true"]))
        if form == 6:
            return "CREATE OR REPLACE FUNCTION %s(a int, b int) RETURNS int IMMUTABLE RETURN a + b + (SELECT max(%s) FROM run.r)" % (names["plus"], rng.choice("vw"))
        if form == 7:
            return "ALTER AGGREGATE %s (int) RENAME TO total" % names["total"]
        return "ALTER OPERATOR FAMILY run.pair_ops USING btree RENAME TO pair_ops"

    def change(self):
        """A statement of DDL on something that is there; it may be refused."""
        rng = self.rng
        name, columns, what = rng.choice(self.relations())
        kind = self.kind(name)
        column = rng.choice(columns)
        if rng.random() < 0.25:
            return self.change_run()
        form = rng.randrange(14)
        if form <= 2:
            return "ALTER %s %s RENAME COLUMN %s TO %s" % (kind, name, column, rng.choice(NAMES + [self.fresh("n")]))
        if form == 3:
            return "ALTER %s %s RENAME TO %s" % (kind, name, rng.choice([self.fresh("r"), '"%s("' % self.fresh("R "), '"%s.z"' % self.fresh("q")]))
        if form == 4:
            return "ALTER %s %s SET SCHEMA %s" % (kind, name, rng.choice(self.schemas()))
        if form == 5:
            return "ALTER SCHEMA %s RENAME TO %s" % (rng.choice(self.schemas()), rng.choice([self.fresh("s"), '"%s"' % self.fresh("s ")]))
        if form == 6 and what == "table":
            return "ALTER TABLE %s ADD COLUMN %s int%s" % (name, self.fresh("m"), rng.choice(["", " DEFAULT 3", " GENERATED ALWAYS AS (%s + 1) STORED" % column]))
        if form == 7 and what == "table" and len(columns) > 2:
            return "ALTER TABLE %s DROP COLUMN %s%s" % (name, column, rng.choice(["", "", " CASCADE"]))
        if form == 8 and what == "table":
            return "ALTER TABLE %s ALTER COLUMN %s TYPE %s" % (name, column, rng.choice(["int USING 1", "bigint"]))
        if form == 9 and what == "other":
            return "DROP %s %s%s" % (kind, name, rng.choice(["", "", " CASCADE"]))
        if form == 10 and kind == "VIEW":
            query, _ = Query(rng, self.tables(), []).query(1, len(columns))
            names = ", ".join("q.o%d AS %s" % (i, c) for i, c in enumerate(columns))
            return "CREATE OR REPLACE VIEW %s AS SELECT %s FROM (%s) q" % (name, names, query)
        if form == 11:
            return self.partition()
        if form == 12 and self.functions():
            function = rng.choice(self.functions())[0]
            return "ALTER FUNCTION %s() %s" % (function, rng.choice(["RENAME TO %s" % self.fresh("g"), "SET SCHEMA %s" % rng.choice(self.schemas())]))
        return "CREATE TABLE %s.%s AS SELECT * FROM %s WITH NO DATA" % (rng.choice(self.schemas()), self.fresh("k"), name)

    def tables(self):
        return [r for r in self.relations() if r[2] == "table"]

    def partition(self):
        """Attach, detach, make or leave a partition or child."""
        rng = self.rng
        pairs = self.rows("""SELECT inhparent::regclass::text, inhrelid::regclass::text, c.relispartition
			  FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE c.relkind IN ('r', 'p') ORDER BY 1, 2""")
        parents = [r[0] for r in self.rows("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'p' ORDER BY oid")]
        if pairs and rng.random() < 0.4:
            parent, child, is_partition = rng.choice(pairs)
            return ("ALTER TABLE %s DETACH PARTITION %s" % (parent, child)) if is_partition else "ALTER TABLE %s NO INHERIT %s" % (child, parent)
        at = rng.randrange(1000) * 10
        bounds = "FOR VALUES FROM (%d) TO (%d)" % (at, at + 10)
        if parents and rng.random() < 0.5:
            return "CREATE TABLE %s.%s PARTITION OF %s %s" % (rng.choice(self.schemas()), self.fresh("p"), rng.choice(parents), bounds)
        if parents and rng.random() < 0.5:
            return "ALTER TABLE %s ATTACH PARTITION %s %s" % (rng.choice(parents), rng.choice(self.tables())[0], bounds)
        return "CREATE TABLE %s.%s (extra int) INHERITS (%s)" % (rng.choice(self.schemas()), self.fresh("i"), rng.choice(self.tables())[0])


def full(name, column, quote):
    return name if column is None else "%s.%s" % (name, quote[column])


def walk(edges, start, column, upstream):
    """The least number of steps to each edge that leads to, or away from, an object or a column of it."""
    near, far = (3, 0) if upstream else (0, 3)
    by_object = {}
    for edge in edges:
        by_object.setdefault(edge[near], []).append(edge)
    found = {}
    at = [(start, column, column is None)]
    seen = set(at)
    depth = 0
    while at:
        depth += 1
        following = []
        for name, of, everything in at:
            for edge in by_object.get(name, []):
                here = edge[near + 1]
                if not everything and here != of and (here is not None if upstream else of is not None):
                    continue
                found.setdefault(edge, depth)
                place = (edge[far], edge[far + 1], False)
                if place not in seen:
                    seen.add(place)
                    following.append(place)
        at = following
    return found


def indirect(edges, metrics):
    """What kpi.lineage should say of metrics in several steps."""
    into = {}
    for edge in edges:
        into.setdefault(edge[3], []).append(edge)
    result = set()
    for metric in metrics:
        for column in {e[4] for e in into.get(metric, []) if e[4] is not None}:
            at, seen, depth = [(metric, column, "value")], {(metric, column, "value")}, 0
            while at:
                following = []
                for name, of, kind in at:
                    led = [e for e in into.get(name, []) if e[4] is None or e[4] == of]
                    if not led and depth > 1:
                        result.add((name, of, metric, column, kind))
                    for e in led:
                        place = (e[0], e[1], e[6] if kind == "value" else kind)
                        if place not in seen:
                            seen.add(place)
                            following.append(place)
                at = following
                depth += 1
    return result


class Failure(Exception):
    """A difference."""


def check_uses(database, name, is_function, query, whole):
    """The edges into an object against what pg_depend says that it uses."""
    used = set(database.rows(USED, None if is_function else name, name + "()" if is_function else None))
    shown = (name + "()") if is_function else name
    sources = set(database.rows("SELECT source, source_column, source_type FROM kpi.lineage WHERE direct AND target = %s", shown))
    named = {(s[0], s[1]) for s in sources if s[2] != "function"}
    missing = {u for u in used if u[1] is not None} - named
    missing |= {(u[0], "anything") for u in used} - {(s[0], "anything") for s in sources}
    surplus = {s for s in named - used if s[1] is not None and s[0] not in whole}
    surplus |= {(s[0], "anything") for s in sources} - {(u[0], "anything") for u in used}
    if missing or surplus:
        raise Failure("%s\n%s\nmissing %s\nsurplus %s" % (shown, query, sorted(missing), sorted(surplus)))


def check_recorded(database, connection, last):
    """Recorded is derived, and nobody was warned."""
    found = database.rows("SELECT object, problem FROM kpi.check() WHERE problem ~ 'lineage|not recorded'")
    # a join that a metric had better not sum over is no affair of lineage
    warnings = [n for n in connection.notices if "WARNING" in n and "may repeat rows" not in n]
    del connection.notices[:]
    if found or warnings:
        raise Failure("after %s\n%s\n%s" % (last, found, warnings))


def check_drop(database, connection, rng):
    """What DROP ... CASCADE takes against what kpi.impact() told; all is put back. Whether it was dropped."""
    form = rng.random()
    name, columns, _ = rng.choice(database.relations())
    kind = database.kind(name)
    if form < 0.4 and kind == "TABLE":
        column = rng.choice(columns)
        told, statement = "%s.%s" % (name, column), "ALTER TABLE %s DROP COLUMN %s CASCADE" % (name, column)
    elif form < 0.6:
        told, statement = name, "DROP %s %s CASCADE" % (kind, name)
    elif form < 0.7:
        told = rng.choice(["run.some_int", "run.few", "run.pair"])
        statement = "DROP TYPE %s CASCADE" % told
    elif form < 0.75:
        told = "run.r." + rng.choice("vw")
        statement = "ALTER TABLE run.r DROP COLUMN %s CASCADE" % told[-1]
    else:
        told = rng.choice(database.rows("SELECT kpi.lineage_function_name(oid) FROM pg_proc WHERE pronamespace::regnamespace::text ~ '^(s|\"s|run)' ORDER BY oid"))[0]
        statement = "DROP ROUTINE %s CASCADE" % told
    there = """SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		 WHERE c.relkind IN ('r', 'p', 'v', 'm') UNION ALL SELECT kpi.lineage_function_name(oid) FROM pg_proc WHERE oid >= 16384"""
    impact = {r[0]: r[1:] for r in database.rows("SELECT name, columns, how FROM kpi.impact(%s)", told)}
    before = {r[0] for r in database.rows(there)}
    database.cursor.execute("BEGIN")
    if not execute(connection, database.cursor, statement):
        database.cursor.execute("ROLLBACK")
        return 0
    taken = before - {r[0] for r in database.rows(there)} - {told}
    database.cursor.execute("ROLLBACK")
    del connection.notices[:]
    missing = taken - set(impact)
    surplus = {n for n, (of, how) in impact.items() if how == ["not read"] and of is None} - taken
    if missing or surplus:
        raise Failure("%s\nnot told %s\nnot taken %s" % (statement, sorted(missing), sorted(surplus)))
    return 1


def check_walks(database, rng):
    """Upstream, downstream and the indirect edges against a walk that is written here."""
    edges = database.rows("SELECT source, source_column, source_type, target, target_column, target_type, kind FROM kpi.lineage WHERE direct ORDER BY 1, 2, 4, 5, 7")
    if len(edges) != len(set(edges)):
        raise Failure("an edge is told twice")
    names = sorted({(e[i], e[i + 1]) for e in edges for i in (0, 3)}, key=str)
    quote = dict(database.rows("SELECT x, quote_ident(x) FROM unnest(%s) x", [n[1] for n in names if n[1] is not None]))
    quote[None] = None
    asked = 0
    for name, column in rng.sample(names, min(len(names), 150)):
        if name.endswith(")") and column is not None:
            continue                            # a column of a function cannot be asked for
        for upstream in (True, False):
            text = full(name, column, quote)
            got = database.rows("SELECT source, source_column, source_type, target, target_column, target_type, kind, depth, path FROM kpi.%s(%%s)"
                                % ("upstream" if upstream else "downstream"), text)
            want = walk(edges, name, column, upstream)
            if {r[:7]: r[7] for r in got} != want or len(got) != len(want):
                raise Failure("%s of %s\nmissing %s\nsurplus %s" % ("upstream" if upstream else "downstream", text,
                              set(want.items()) - {(r[:7], r[7]) for r in got}, {(r[:7], r[7]) for r in got} - set(want.items())))
            steps = {(full(e[0], e[1], quote), full(e[3], e[4], quote)) for e in edges}
            for row in got:
                path, far = row[8], full(row[0], row[1], quote) if upstream else full(row[3], row[4], quote)
                if len(path) != row[7] + 1 or path[0] != text or path[-1] != far:
                    raise Failure("path %s of %s" % (path, row))
            asked += 1
    metrics = {e[3] for e in edges if e[5] in ("metric", "metric view")}
    want = indirect(edges, metrics)
    got = database.rows("SELECT source, source_column, target, target_column, kind FROM kpi.lineage WHERE NOT direct")
    if set(got) != want or len(got) != len(want):
        raise Failure("indirect\nmissing %s\nsurplus %s" % (want - set(got), set(got) - want))
    return asked, len(want)


def execute(connection, cursor, sql):
    """Whether a statement succeeded; now and then within a transaction that is rolled back first."""
    try:
        cursor.execute(sql)
        return True
    except psycopg2.Error as error:
        if error.pgcode is None or error.pgcode.startswith("XX"):
            raise Failure("%s\n%s" % (sql, error)) from error
        return False


def main():
    rng = random.Random(SEED)
    admin = psycopg2.connect(dbname="postgres", host=os.environ.get("PGHOST"))
    admin.autocommit = True
    admin.cursor().execute("DROP DATABASE IF EXISTS " + DATABASE)
    admin.cursor().execute("CREATE DATABASE " + DATABASE)
    connection = psycopg2.connect(dbname=DATABASE, host=os.environ.get("PGHOST"))
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(SETUP)
    cursor.execute("""DO $$ DECLARE f regprocedure; BEGIN
		FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'run'::regnamespace LOOP
			EXECUTE format('COMMENT ON ROUTINE %s IS %L', f, (SELECT proname FROM pg_proc WHERE oid = f));
		END LOOP; END $$""")
    database = Database(cursor, rng)
    made = refused = changes = drops = 0
    try:
        for number in range(CASES):
            generator = Query(rng, database.relations(), database.functions())
            query, count = generator.query(rng.choice([0, 1, 2, 2, 3]))
            is_function = rng.random() < 0.15
            name = "%s.%s" % (rng.choice(database.schemas()), database.fresh("f" if is_function else "v"))
            if is_function:
                sql = "CREATE FUNCTION %s() RETURNS TABLE (%s) BEGIN ATOMIC %s; END" % (
                    name, ", ".join("o%d int" % i for i in range(count)), query)
            elif rng.random() < 0.1:
                sql = "CREATE MATERIALIZED VIEW %s AS %s WITH NO DATA" % (name, query)
            else:
                sql = "CREATE VIEW %s AS %s" % (name, query)
            if execute(connection, cursor, sql):
                made += 1
                check_uses(database, name, is_function, query, generator.whole)
            else:
                refused += 1
            if rng.random() < 0.1:
                table, columns, _ = rng.choice(database.relations())
                execute(connection, cursor, "SELECT kpi.create_metric('s0.%s', 'SELECT sum(%s) FROM %s WHERE %s > 1')" % (
                    database.fresh("metric"), columns[0], table, columns[-1]) if "s0" in database.schemas() else "SELECT 1")
            last = sql
            for _ in range(rng.choice([0, 0, 1, 2])):
                last = database.change()
                form = rng.randrange(8)
                if form == 0:
                    last = "BEGIN; %s; ROLLBACK" % last
                elif form == 1:
                    last = "BEGIN; SAVEPOINT s; %s; ROLLBACK TO s; COMMIT" % last
                elif form == 2:
                    last = "DO $do$ BEGIN EXECUTE $sql$%s$sql$; END $do$" % last
                done = execute(connection, cursor, last)
                if not done:
                    cursor.execute("ROLLBACK")
                    connection.notices[:] = [n for n in connection.notices if "no transaction" not in n]
                changes += done
            check_recorded(database, connection, last)
            if rng.random() < 0.2:
                drops += check_drop(database, connection, rng)
        asked, ways = check_walks(database, rng)
    except Failure as failure:
        print("seed %d case %d: %s" % (SEED, number, failure))
        return 1
    print("seed %d: %d queries, %d refused, %d changes, %d drops, %d walks, %d indirect edges" % (
        SEED, made, refused, changes, drops, asked, ways))
    connection.close()
    admin.cursor().execute("DROP DATABASE " + DATABASE)
    return 0 if made > refused * 4 else 1


if __name__ == "__main__":
    sys.exit(main())
