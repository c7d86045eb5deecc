#!/usr/bin/python3
"""Row scopes against a slow model of their own (S1, S2, S3, S6, S8).

Each round makes a database of random dimensions (plain values, tables, tables that other dimensions protect), protected
tables (plain, partitioned, inheritance trees) and roles, and then takes random steps: scopes come, end and go, roles become
members, rows and keys move, partitions come and go, dimensions are dropped and made again. After each step readers look,
whose sessions live as long as the round and hold plans of every kind: each must see exactly the rows that scope_model.py
says, from its next statement on. Meanwhile other sessions, in some rounds, invalidate what backends remember, all the time.
Some steps are taken while a reader's statement is being planned, some while a REPEATABLE READ transaction is open.

Needs a server with kpitables preloaded (PGHOST, PGPORT, PGUSER), all for itself: it makes and drops roles. Usage:
scope.py [checks] [seed] [round]. With DISCARD=1, readers' sessions have debug_discard_caches = 1 (assertion builds). Prints
a line of totals; exit status 1 on any difference, which is shown with the seed and the round that repeat it.
"""
import copy
import random
import sys
import threading
import time

import psycopg2

sys.dont_write_bytecode = True
import scope_model as model     # noqa: E402
from scope_readers import (     # noqa: E402
    AUTO, DATABASE, DEFINER, DISCARD, FORMS, FORMS_KEYS, FORMS_OVER, GENERIC, SLOW_FORMS, STRANGER, SUPERUSER, VIEWER,
    Difference, Lost, Reader, Session, Storm, in_order, listed, literal, q, said)

CHECKS = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**9)
ONLY_ROUND = int(sys.argv[3]) if len(sys.argv) > 3 else None
PHASES = 12 if DISCARD else 30      # of a round
LOOKS = 24 if DISCARD else 16       # after each
SLOW = 0.4 if DISCARD else 0.15     # seconds that slow planning sleeps
LIMIT = 10                          # differences to show before giving up
NEAR = 0.05                         # no look this near to the end of a scope
TEMPLATE = "kpitables_fuzz_scope"

READERS = ["fs_r0", "fs_r1", "fs_r2", "fs_r3"]
GROUPS = ["fs_g0", "fs_g1", "fs_g2", "fs_g3"]
OWNER, STEWARD, HUB = "fs_owner", "fs_steward", "fs_hub"
NOBODY = "fs_nobody"                # never has a scope
POOL = {
    "int": ["0", "1", "2", "3", "4", "5", "6", "7", "-3", "2147483647"],
    "bigint": ["0", "1", "2", "3", "4", "5", "-9", "9223372036854775807"],
    "text": ["a", "b", "b'c", 'd"e', "NULL", "", " f", "净", "x,y", "\\z", "{}"],
    "numeric": ["0", "1", "1.0", "1.50", "1.5", "2", "-7", "1000000000000000000000.25"],
    "date": ["2026-01-01", "2026-01-02", "2026-02-28", "1999-12-31", "infinity"],
    "enum": ["e1", "e2", "e3", "e 4", "e'5"],
}
ALIKE = {"dom": "int", "varchar": "text", "smallint": "int"}     # types that share values with another
SQL_TYPE = {"enum": "s.e", "dom": "s.dom", "varchar": "varchar(30)"}
# types of columns that hold keys of a type: its own, and those that PostgreSQL casts to it
CASTS = {"int": ["int", "smallint", "dom"], "bigint": ["bigint", "int", "smallint"], "text": ["text", "varchar"],
         "numeric": ["numeric", "int", "bigint"], "date": ["date"], "enum": ["enum"]}


def sql_type(kind):
    return SQL_TYPE.get(kind, kind)


class Round:
    """A database and what happens in it."""

    def __init__(self, number, totals):
        self.rng = random.Random("%d/%d" % (SEED, number))
        self.number, self.totals = number, totals
        self.world = model.World()
        self.next_id = 0
        self.next_name = 0
        self.sessions, self.readers, self.storms, self.history = [], [], [], []
        self.over = set()           # relations that objects were made over
        self.in_doubt = False       # may rows be locked by a transaction that has not ended?
        # few values, so that what changes is often what matters
        self.pool = {kind: values[:2] + self.rng.sample(values[2:], min(3, len(values) - 2)) for kind, values in POOL.items()}
        self.pool.update({kind: self.pool[other] for kind, other in ALIKE.items()})
        self.pool["smallint"] = [v for v in self.pool["int"] if len(v) < 5]

    # -- making it

    def make_roles(self):
        for name in READERS + GROUPS + [OWNER, STEWARD, VIEWER, HUB, NOBODY, STRANGER]:
            inherit = name != HUB and (name in (OWNER, VIEWER) or self.rng.random() < 0.85)
            self.world.roles[name] = {"inherit": inherit, "bypass": False}
            self.admin.sql("CREATE ROLE %s LOGIN %s" % (name, "INHERIT" if inherit else "NOINHERIT"))
        self.world.roles[SUPERUSER] = {"inherit": True, "bypass": "superuser"}
        for name in READERS + GROUPS + [NOBODY]:
            self.admin.sql("GRANT %s TO %s" % (name, HUB))
        self.admin.sql("GRANT CREATE ON DATABASE %s TO %s, %s" % (DATABASE, OWNER, STEWARD))

    def make_schema(self):
        self.admin.sql("""
            CREATE SCHEMA s AUTHORIZATION {owner}; GRANT USAGE ON SCHEMA s TO PUBLIC;
            CREATE TYPE s.e AS ENUM ({labels}); CREATE DOMAIN s.dom AS int;
            ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT ALL ON TABLES TO PUBLIC;
            ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA s GRANT ALL ON TABLES TO PUBLIC;
            CREATE FUNCTION s.sleep() RETURNS void LANGUAGE plpgsql AS $$BEGIN
              IF current_setting('s.slept', true) IS DISTINCT FROM statement_timestamp()::text THEN     -- once in a statement
                PERFORM set_config('s.slept', statement_timestamp()::text, false), pg_sleep({slow});
                PERFORM FROM pg_class WHERE oid = 0;
              END IF; END$$;
            CREATE FUNCTION s.slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM s.sleep(); RETURN $1; END';
            CREATE FUNCTION s.slow_stable(int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN PERFORM s.sleep(); RETURN $1; END';
            CREATE TABLE s.slow_table (i int); INSERT INTO s.slow_table VALUES (1);
            ALTER TABLE s.slow_table ENABLE ROW LEVEL SECURITY; CREATE POLICY slow ON s.slow_table USING (s.slow(1) = 1)
            """.format(owner=OWNER, labels=", ".join(map(literal, POOL["enum"])), slow=SLOW))

    def value(self, kind, null=0.1):
        return None if self.rng.random() < null else self.rng.choice(self.pool[kind])

    def new_row(self, relation):
        """A random row of a relation's root."""
        row = {}
        for logical, (_, kind) in relation.columns.items():
            if logical == "grp":
                row[logical] = str(self.rng.randrange(4))
            elif logical == "p":
                row[logical] = self.rng.choice([v for r in self.leaves(relation.name) for v in self.bounds(r).get("p", ["0"])])
            else:
                row[logical] = self.value(kind, 0.05 if logical == "k" else 0.1)
        return row

    def bounds(self, name):
        """The values that a partition takes, by column, those of the partitions above it among them."""
        found = {}
        while name:
            relation = self.world.relations[name]
            if relation.bound:
                found[relation.bound[0]] = relation.bound[1]
            name = relation.parent
        return found

    def leaves(self, name):
        return [n for n in self.world.family(name) if self.world.relations[n].kind != "partitioned"]

    def leaf_for(self, name, row):
        """Where a row that is inserted into a relation is stored."""
        if self.world.relations[name].kind != "partitioned":
            return name
        return next(n for n in self.leaves(name) if all(row[c] in values for c, values in self.bounds(n).items()))

    def insert(self, run, name, rows):
        """Insert rows, as a superuser."""
        relation = self.world.relations[name]
        for row in rows:
            self.next_id += 1
            self.world.relations[self.leaf_for(name, row)].rows[self.next_id] = row
            run("INSERT INTO s.%s (id, %s) VALUES (%s%s)" % (name, ", ".join(q(c) for c, _ in relation.columns.values()),
                                                          self.next_id, ", %s" * len(row)), [row[c] for c in relation.columns])

    def columns_sql(self, relation, shuffle=False):
        columns = ["id int"] + ["%s %s" % (q(name), sql_type(kind)) for name, kind in relation.columns.values()]
        if shuffle:
            self.rng.shuffle(columns)
        return ", ".join(columns)

    def as_owner(self, statement, args=None):
        self.admin.sql("SET ROLE " + OWNER)
        try:
            self.admin.sql(statement, args)
        finally:
            self.admin.sql("RESET ROLE")

    def make_dimension_table(self, name):
        """The table of a dimension, with a column by which another dimension may protect it."""
        kind = self.rng.choice(["int", "text", "enum", "numeric", "date", "dom"])
        columns = {"grp": ["grp", "int"], "k": [self.rng.choice(["k", "K'ey", "key"]), kind]}
        for n in range(self.rng.choice([1, 1, 2])):
            columns["l%d" % n] = [self.rng.choice(["level%d", "Le vel%d"]) % n, self.rng.choice(["text", "int", "enum", "varchar", "dom"])]
        for other in [d for d in self.world.dimensions if self.rng.random() < (0.8 if self.world.dimensions[d].table else 0.4)]:
            columns["by_" + other] = ["by_" + other, self.rng.choice(CASTS[self.world.dimensions[other].kind])]
        relation = model.Relation("d_" + name, OWNER, columns)
        self.world.relations[relation.name] = relation
        self.as_owner("CREATE TABLE s.%s (%s)" % (relation.name, self.columns_sql(relation)))
        self.insert(self.admin.sql, relation.name, [self.new_row(relation) for _ in range(self.rng.randrange(12, 30))])
        return relation

    def create_dimension(self, dimension):
        """Register a dimension, which the model knows already."""
        if dimension.table is None:
            self.as_owner("SELECT kpi.create_dimension(%s, type => %s::regtype)", (dimension.name, sql_type(dimension.kind)))
        else:
            columns = self.world.relations[dimension.table].columns
            dimension.levels = {columns[c][0]: c for c in columns if c[0] == "l"}
            dimension.kinds = {columns[c][0]: columns[c][1] for c in columns if c[0] == "l"}
            self.as_owner("SELECT kpi.create_dimension(%s, %s::regclass, %s, %s::text[])", (
                dimension.name, "s." + dimension.table, columns["k"][0], sorted(dimension.levels)))
            self.admin.sql("ALTER VIEW s.%s OWNER TO %s" % (q(dimension.name + "_dimension"), dimension.owner))
        dimension.exists, dimension.broken, dimension.grants = True, False, {}

    def make_dimension(self, name, plain):
        if plain:
            dimension = model.Dimension(name, self.rng.choice(["int", "bigint", "text", "enum", "numeric", "date"]), OWNER)
            self.world.dimensions[name] = dimension
            self.create_dimension(dimension)
        else:
            relation = self.make_dimension_table(name)
            kind = relation.columns["k"][1]
            dimension = model.Dimension(name, "int" if kind == "dom" else kind, self.rng.choice([OWNER, STEWARD, STEWARD, STEWARD]), relation.name)
            self.world.dimensions[name] = dimension
            self.create_dimension(dimension)
            for column in [c for c in relation.columns if c.startswith("by_")]:
                if self.rng.random() < 0.9:
                    self.protect(relation.name, column[3:], column)
        self.admin.sql("CREATE TABLE s.keys_%s (k %s); CREATE FUNCTION s.in_%s(%s) RETURNS boolean LANGUAGE plpgsql STABLE AS "
                       "'BEGIN RETURN kpi.in_scope(''%s'', $1); END'" % (name, sql_type(dimension.kind), name, sql_type(dimension.kind), name))
        dimension.possible = POOL[dimension.kind]
        for key in dimension.possible + [None]:
            self.admin.sql("INSERT INTO s.keys_%s VALUES (%%s)" % name, (key,))

    def protect(self, name, dimension, column, writes=None):
        writes = self.rng.random() < 0.3 if writes is None else writes
        relation = self.world.relations[name]
        self.admin.sql("SELECT kpi.protect(%s, %s, %s, %s)", ("s." + name, dimension, relation.columns[column][0], "all" if writes else "read"))
        for member in self.world.family(name):
            self.world.relations[member].protections[dimension] = (column, writes)

    def make_table(self, name, kind):
        columns = {"grp": ["grp", "int"]}
        if kind == "partitioned":
            columns["p"] = ["p", "int"]
        # one, and more often one that others protect; with two or three, few rows are left
        chosen = self.rng.sample(sorted(self.world.dimensions)[self.rng.choice([0, -1, -2]):], 1)
        chosen += [d for d in sorted(self.world.dimensions) if d not in chosen and self.rng.random() < 0.25]
        for dimension in chosen:
            columns["k_" + dimension] = [self.rng.choice(["k_%s", "K %s"]) % dimension, self.rng.choice(CASTS[self.world.dimensions[dimension].kind])]
        relation = model.Relation(name, OWNER, columns, kind=kind)
        self.world.relations[name] = relation
        if kind == "partitioned":
            self.as_owner("CREATE TABLE s.%s (%s) PARTITION BY LIST (p)" % (name, self.columns_sql(relation)))
            self.make_partition(name, ("p", ["0"]))
            self.make_partition(name, ("p", ["1"]), below=True)
        else:
            self.as_owner("CREATE TABLE s.%s (dropped int, %s)" % (name, self.columns_sql(relation)))
            self.as_owner("ALTER TABLE s.%s DROP dropped" % name)
            if kind == "parent":
                self.make_child(self.make_child(name))
        rows = self.rng.randrange(25, 60)
        for leaf in self.leaves(name) if kind == "parent" else [name]:
            self.insert(self.admin.sql, leaf, [self.new_row(relation) for _ in range(rows if kind != "parent" else rows // 3)])
        for dimension in chosen:
            if self.rng.random() < 0.9:
                self.protect(name, dimension, "k_" + dimension)
        self.make_objects(name)

    def new_name(self, stem):
        self.next_name += 1
        return "%s_%d" % (stem, self.next_name)

    def adopt(self, parent, kind, name, bound=None):
        """The model of a table that has become a partition or child."""
        above = self.world.relations[parent]
        relation = model.Relation(name, OWNER, above.columns, parent, kind)
        relation.bound = bound
        relation.protections = dict(above.protections)
        self.world.relations[name] = relation
        return name

    def make_partition(self, parent, bound, below=False, schema=False):
        name = self.new_name(parent)
        values = "PARTITION OF s.%s FOR VALUES IN (%s)" % (parent, ", ".join(bound[1]))
        if schema:
            # the partition is an element of CREATE SCHEMA; then it goes where the others are
            self.admin.sql("CREATE SCHEMA other CREATE TABLE %s %s" % (name, values))
            self.admin.sql("ALTER TABLE other.%s OWNER TO %s; ALTER TABLE other.%s SET SCHEMA s; DROP SCHEMA other; GRANT ALL ON s.%s TO PUBLIC"
                           % (name, OWNER, name, name))
        else:
            self.as_owner("CREATE TABLE s.%s %s%s" % (name, values, " PARTITION BY LIST (grp)" if below else ""))
        self.adopt(parent, "partitioned" if below else "partition", name, bound)
        if below:
            self.make_partition(name, ("grp", ["0", "1"]))
            self.make_partition(name, ("grp", ["2", "3"]))
        return name

    def make_child(self, parent):
        name = self.new_name(parent)
        self.as_owner("CREATE TABLE s.%s (more%s int) INHERITS (s.%s)" % (name, name, parent))
        return self.adopt(parent, "child", name)

    def make_objects(self, name):
        """Views, functions, a metric and a metric view over a relation."""
        function = "CREATE FUNCTION s.%s_{t}() RETURNS SETOF int LANGUAGE %s STABLE %s;"
        body = "AS 'BEGIN RETURN QUERY SELECT id FROM s.{t}; END'"
        handled = "EXCEPTION WHEN division_by_zero THEN RETURN; END"
        slow = SLOW_FORMS["subquery in FROM"]
        self.admin.sql((
            "CREATE VIEW s.v_{t} AS SELECT id, grp FROM s.{t}; ALTER VIEW s.v_{t} OWNER TO {viewer};"
            "CREATE VIEW s.vi_{t} WITH (security_invoker) AS SELECT id, grp FROM s.{t};"
            + function % ("f", "plpgsql", body)
            + function % ("fe", "plpgsql", body.replace("END", handled))
            + function % ("fs", "sql", "AS 'SELECT id FROM s.{t}'")
            + function % ("fa", "sql", "BEGIN ATOMIC SELECT id FROM s.{t}; END")
            + function % ("fd", "plpgsql", "SECURITY DEFINER " + body)
            + function % ("fr", "plpgsql", "AS 'BEGIN RETURN QUERY " + slow + "; END'")
            + function % ("frh", "plpgsql", "AS 'BEGIN RETURN QUERY " + slow + "; " + handled + "'")
            + "ALTER FUNCTION s.fd_{t} OWNER TO {definer}").format(t=name, viewer=VIEWER, definer=DEFINER))
        self.as_owner("SELECT kpi.create_metric('s.ids_{t}', $$SELECT string_agg(id::text, ',' ORDER BY id) FROM s.{t}$$),"
                      " kpi.create_metric_view('s.mv_{t}', '{{grp}}', '{{s.ids_{t}}}')".format(t=name))
        self.admin.sql("GRANT SELECT ON s.mv_{t}, s.ids_{t} TO PUBLIC".format(t=name))
        self.over.add(name)

    def make(self):
        """The database."""
        postgres = Session(SUPERUSER, "postgres")
        clean(postgres)
        postgres.sql("CREATE DATABASE %s TEMPLATE %s" % (DATABASE, TEMPLATE))
        self.admin = Session(SUPERUSER, DATABASE)
        self.make_roles()
        self.make_schema()
        for name in ("a", "b", "c", "d")[:self.rng.choice([2, 3, 3] if DISCARD else [2, 3, 3, 4, 4])]:
            self.make_dimension(name, plain=name == "a" or self.rng.random() < 0.1)
        self.make_table("t0", "table")
        self.make_table("t1", "partitioned")
        self.make_table("t2", "parent")
        for outer in [d for d in self.world.dimensions.values() if d.table and self.world.relations[d.table].protections]:
            for inner in sorted(self.world.relations[outer.table].protections):
                inner = self.world.dimensions[inner]
                self.grant(self.admin.sql, inner, STEWARD, self.rng.choice(sorted(inner.levels) or [model.KEY]), model.NEVER)
            for role in self.rng.sample(READERS, 2):
                self.grant(self.admin.sql, outer, role, self.rng.choice(sorted(outer.levels)), model.NEVER)
        for _ in range(12):
            self.grant(self.admin.sql)
        for _ in range(4):
            self.join_role(self.admin.sql)
        if DISCARD:
            postgres.sql("ALTER DATABASE %s SET debug_discard_caches = 1" % DATABASE)
        postgres.close()
        self.open_sessions()
        self.start_storms()

    def open_sessions(self):
        for login in READERS + [self.rng.choice(READERS), HUB, SUPERUSER]:
            settings = ""
            if self.rng.random() < 0.25:
                settings += " -c force_parallel_mode=on"
            if self.rng.random() < 0.15:
                settings += " -c enable_partition_pruning=off -c enable_indexscan=off"
            self.sessions.append(Session(login, settings=settings, discard=DISCARD and login == SUPERUSER))
        for name in sorted(self.over):
            for _ in range(6):
                self.add_reader(name, FORMS_OVER if self.rng.random() < 0.6 else FORMS)
        for name in sorted(self.world.relations):
            if name not in self.over:
                self.add_reader(name)
        self.add_reader("ONLY s.t2", {"simple query": FORMS["simple query"]})
        for name in sorted(self.world.dimensions):
            for _ in range(2):
                read = self.rng.choice(sorted(FORMS_KEYS))
                self.readers.append(Reader(self.rng.choice(self.sessions), "keys", read, name, FORMS_KEYS[read]))

    def add_reader(self, target, forms=None, session=None):
        forms = forms or FORMS
        read = self.rng.choice(sorted(forms))
        reader = Reader(session or self.rng.choice(self.sessions), "rows", read, target, forms[read])
        if target.startswith("ONLY"):
            reader.read = lambda s, t: s.column("SELECT id FROM " + t)
        self.readers.append(reader)
        return reader

    def start_storms(self):
        if self.rng.random() < 0.45:
            return
        kinds = [["update"], ["update", "grant"], ["update", "grant", "temporary", "analyze", "role"], ["temporary", "analyze"]]
        chosen = self.rng.choice(kinds)
        self.history.append("storms: " + ", ".join(chosen))
        for n in range(self.rng.choice([1, 2])):
            storm = Storm("%d/%d/%d" % (SEED, self.number, n), chosen,
                          [d.table for d in self.world.dimensions.values() if d.table], sorted(self.world.dimensions))
            self.storms.append(storm)
            storm.start()

    # -- steps that are one statement or a few; each runs through run() and is a line of text, or None where there is nothing to do

    def some_dimension(self):
        """A dimension; those that protect something more often."""
        used = [d for r in self.world.relations.values() for d in r.protections]
        names = sorted(d.name for d in self.world.dimensions.values() if d.exists and not d.broken)
        pool = names + [d for d in used if d in names]
        return self.world.dimensions[self.rng.choice(pool)] if pool else None

    def grant(self, run, dimension=None, role=None, level=None, end=None):
        dimension = dimension or self.some_dimension()
        if dimension is None:
            return None
        nests = any(dimension.name in self.world.relations[d.table].protections for d in self.world.dimensions.values() if d.table)
        role = role or (STEWARD if nests and self.rng.random() < 0.4 else self.rng.choice(READERS + GROUPS))
        if level is None:
            level = self.rng.choice(sorted(dimension.levels) * 3 + [model.KEY] * 2 + [model.FULL] * (self.rng.random() < 0.3))
        if end is None:
            end = time.time() + self.rng.uniform(0.3, 3) * (4 if DISCARD else 1) if self.rng.random() < 0.25 else model.NEVER
        if level == model.FULL:
            members = ["*"]
        else:
            pool = self.pool[dimension.kinds.get(level, dimension.kind)]
            members = self.rng.sample(pool, min(len(pool), self.rng.randrange(1, 4)))
        # microseconds, as the server keeps them
        end = end if end == model.NEVER else round(end, 6)
        run("SELECT kpi.grant_scope(%s, %s, %s, %s::text[], to_timestamp(%s))", (
            role, dimension.name, level if level in dimension.levels else None, members, None if end == model.NEVER else end))
        dimension.grants.setdefault((role, level, end), set()).update(members)
        return "grant %s %s %s %r%s" % (role, dimension.name, level, members, "" if end == model.NEVER else " for %.1f s" % (end - time.time()))

    def revoke(self, run, dimension=None, role=None):
        """Members of a level, a level, or all of a role's grants on a dimension."""
        choices = [(d, g) for d in self.world.dimensions.values() if d.exists and not d.broken and dimension in (None, d)
                   for g in d.grants if role in (None, g[0])]
        if not choices:
            return None
        dimension, (role, level, _) = self.rng.choice(sorted(choices, key=lambda c: (c[0].name, c[1])))
        held = [g for g in dimension.grants if g[0] == role]
        how = self.rng.choice(["members", "level", "all"])
        if level == model.FULL:
            how = self.rng.choice(["members", "all"])
        if level == model.KEY and how == "level":
            how = "members"
        if how == "all":
            run("SELECT kpi.revoke_scope(%s, %s)", (role, dimension.name))
            for g in held:
                del dimension.grants[g]
            return "revoke %s %s" % (role, dimension.name)
        name = level if level in dimension.levels else None
        known = sorted(set().union(*(dimension.grants[g] for g in held if g[1] == level)))
        members = known if how == "level" else self.rng.sample(known, self.rng.randrange(1, len(known) + 1))
        run("SELECT kpi.revoke_scope(%s, %s, %s, %s::text[])", (role, dimension.name, name, None if how == "level" else members))
        for g in held:
            if g[1] == level:
                dimension.grants[g] -= set(members)
                if not dimension.grants[g]:
                    del dimension.grants[g]
        return "revoke %s %s %s %r" % (role, dimension.name, level, members)

    def join_role(self, run):
        member = self.rng.choice(READERS * 2 + GROUPS + [STEWARD])
        role = self.rng.choice(GROUPS * 4 + READERS + [STEWARD, OWNER])
        if (member, role) in self.world.members or member in self.world.reachable(role, False):
            return None
        run("GRANT %s TO %s" % (role, member))
        self.world.members.add((member, role))
        return "GRANT %s TO %s" % (role, member)

    def leave_role(self, run):
        if not self.world.members:
            return None
        member, role = self.rng.choice(sorted(self.world.members))
        run("REVOKE %s FROM %s" % (role, member))
        self.world.members.remove((member, role))
        return "REVOKE %s FROM %s" % (role, member)

    def change_role(self, run):
        role = self.rng.choice(READERS + GROUPS + [STEWARD])
        what = "inherit" if role in GROUPS or self.rng.random() < 0.6 else "bypass"
        value = not self.world.roles[role][what]
        self.world.roles[role][what] = value
        statement = "ALTER ROLE %s %s%s" % (role, "" if value else "NO", "INHERIT" if what == "inherit" else "BYPASSRLS")
        run(statement)
        return statement

    def some_rows(self, name):
        return self.rng.sample(sorted(self.world.relations[name].rows), self.rng.randrange(1, 6)) \
            if len(self.world.relations[name].rows) > 6 else sorted(self.world.relations[name].rows)

    def change_rows(self, run, names, columns):
        """Move rows: set a column of some rows of a leaf to a value."""
        name = self.rng.choice(names)
        relation = self.world.relations[name]
        columns = [c for c in relation.columns if c != "p" and columns(c)]
        rows = self.some_rows(name)
        if not columns or not rows:
            return None
        column = self.rng.choice(sorted(columns))
        bounds = self.bounds(name)
        value = self.rng.choice(bounds.get("grp", ["0", "1", "2", "3"])) if column == "grp" else self.value(relation.columns[column][1])
        run("UPDATE s.%s SET %s = %%s WHERE id = ANY (%%s)" % (name, q(relation.columns[column][0])), (value, rows))
        for i in rows:
            relation.rows[i][column] = value
        return "UPDATE %s SET %s = %r WHERE id IN %r" % (name, column, value, rows)

    def dimension_tables(self):
        return sorted(d.table for d in self.world.dimensions.values() if d.table and d.exists)

    def move_members(self, run):
        names = self.dimension_tables()
        return self.change_rows(run, names, lambda c: c != "grp") if names else None

    def move_rows(self, run):
        return self.change_rows(run, [n for t in ("t0", "t1", "t2") for n in self.leaves(t)], lambda c: True)

    def insert_rows(self, run):
        name = self.rng.choice(self.dimension_tables() * 2 + [n for n in self.world.relations if self.world.relations[n].kind != "partitioned"] + ["t1"])
        relation = self.world.relations[name]
        rows = [self.new_row(relation) for _ in range(self.rng.randrange(1, 4))]
        for row in rows:
            row.update({c: self.rng.choice(v) for c, v in self.bounds(name).items()})
        self.insert(run, name, rows)
        return "INSERT INTO %s %r" % (name, rows)

    def delete_rows(self, run):
        name = self.rng.choice(self.dimension_tables() * 2 + [n for n in self.world.relations if self.world.relations[n].kind != "partitioned"])
        rows = self.some_rows(name)
        run("DELETE FROM s.%s WHERE id = ANY (%%s)" % name, (rows,))
        for i in rows:
            del self.world.relations[name].rows[i]
        return "DELETE FROM %s WHERE id IN %r" % (name, rows)

    def move_inner(self, run):
        """Rows of the table of a dimension that protects the table of another one."""
        names = [d.table for d in self.world.dimensions.values() if d.table and d.exists
                 and any(d.name in self.world.relations[o.table].protections for o in self.world.dimensions.values() if o.table)]
        return self.change_rows(run, names, lambda c: c[0] in "kl") if names else None

    LIGHT = ["grant", "grant", "grant", "revoke", "revoke", "revoke", "join_role", "join_role", "leave_role", "change_role", "move_members",
             "move_members", "move_inner", "move_inner", "move_rows", "insert_rows", "delete_rows"]

    def seen(self):
        """What readers see of the tables."""
        return [sorted(self.world.visible(user, name, time.time(), [])) for user in READERS for name in ("t0", "t1", "t2")]

    def light(self, run):
        """One of them: of a few that the model tries first, one that somebody notices."""
        for attempt in range(6):
            step = getattr(self, self.rng.choice(self.LIGHT))
            world, ids, state = self.world, (self.next_id, self.next_name), self.rng.getstate()
            self.world = copy.deepcopy(world)
            before = self.seen()
            done = step(lambda *statement: None)
            noticed = self.seen() != before
            self.world, (self.next_id, self.next_name) = world, ids
            if done and (noticed or attempt == 5):
                self.rng.setstate(state)
                return step(run)
        done = None
        while done is None:
            done = self.grant(run)
        return done

    # -- steps of several phases: each yields what was done, and readers look before the next phase

    def step_light(self):
        yield self.light(self.admin.sql)

    def step_wait(self):
        """A scope ends."""
        ends = [end for end in self.world.moments() if time.time() < end < time.time() + 15]
        if ends:
            time.sleep(max(0, min(ends) + NEAR + 0.02 - time.time()))
            yield "a scope ended"

    def step_expire(self):
        """A grant that ends soon is all that shows something; also one by which the dimension's owner sees its table."""
        role = self.rng.choice(READERS + [STEWARD])
        dimension = self.some_dimension()
        inner = [d for o in self.world.dimensions.values() if o.table and o.owner == STEWARD for d in self.world.relations[o.table].protections]
        if inner and self.rng.random() < 0.5:
            role, dimension = STEWARD, self.world.dimensions[self.rng.choice(sorted(inner))]
        if dimension is None or not dimension.exists or dimension.broken:
            return
        for held in [g for g in dimension.grants if g[0] == role][:1]:
            self.admin.sql("SELECT kpi.revoke_scope(%s, %s)", (role, dimension.name))
            for g in [g for g in dimension.grants if g[0] == held[0]]:
                del dimension.grants[g]
        end = time.time() + (12 if DISCARD else 0.8)
        yield self.grant(self.admin.sql, dimension, role, self.rng.choice([model.FULL, model.KEY]), end)
        time.sleep(max(0, end + NEAR + 0.02 - time.time()))
        yield "it ended"

    def in_flight(self, ways):
        """A light step in a transaction that is not over while others look. What it changes in the model holds when it commits."""
        other = Session(SUPERUSER)
        before = copy.deepcopy(self.world)
        way = self.rng.choice(ways)
        names = (self.next_id, self.next_name)
        other.sql("BEGIN")
        if way == "savepoint":
            other.sql("SAVEPOINT x")
        done = self.light(other.sql)
        after, self.world = self.world, before
        if way == "savepoint":
            other.sql("ROLLBACK TO x")
        if way.endswith("prepared"):
            other.sql("PREPARE TRANSACTION 'x'")
        self.in_doubt = True
        yield "in a transaction (%s): %s" % (way, done)
        self.in_doubt = False
        other.sql({"commit": "COMMIT", "rollback": "ROLLBACK", "savepoint": "COMMIT", "commit prepared": "COMMIT PREPARED 'x'",
                   "rollback prepared": "ROLLBACK PREPARED 'x'"}[way])
        if way.startswith("commit"):
            self.world = after
        else:
            self.next_id = max(self.next_id, names[0])
        other.close()
        yield "its end: " + way

    def step_in_flight(self):
        yield from self.in_flight(["commit", "rollback", "savepoint"] + ["commit prepared", "rollback prepared"] * TWO_PHASE)

    def step_truncate(self):
        names = self.dimension_tables()
        if not names:
            return
        name = self.rng.choice(names)
        relation = self.world.relations[name]
        self.admin.sql("TRUNCATE s." + name)
        relation.rows = {}
        yield "TRUNCATE " + name
        self.insert(self.admin.sql, name, [self.new_row(relation) for _ in range(15)])
        yield "filled again"

    def step_move_partition(self):
        """Rows move to another partition."""
        leaves = self.leaves("t1")
        source, target = self.rng.choice(leaves), self.rng.choice(leaves)
        rows = self.some_rows(source)
        p = self.rng.choice(self.bounds(target)["p"])
        self.admin.sql("UPDATE s.t1 SET p = %s WHERE id = ANY (%s)", (p, rows))
        for i in rows:
            row = self.world.relations[source].rows.pop(i)
            row["p"] = p
            self.world.relations[self.leaf_for("t1", row)].rows[i] = row
        yield "UPDATE t1 SET p = %s WHERE id IN %r" % (p, rows)

    def free_bound(self):
        used = [v for n in self.leaves("t1") for v in self.bounds(n)["p"]]
        return ("p", [v for v in map(str, range(99)) if v not in used][:1])

    def step_partition(self):
        how = self.rng.choice([{}, {"below": True}, {"schema": True}])
        name = self.make_partition("t1", self.free_bound(), **how)
        for leaf in self.leaves(name):
            self.add_reader(leaf)
            rows = [self.new_row(self.world.relations["t1"]) for _ in range(4)]
            for row in rows:
                row.update({c: self.rng.choice(v) for c, v in self.bounds(leaf).items()})
            self.insert(self.admin.sql, leaf, rows)
        yield "new partition %s %r" % (name, how)

    def step_old_snapshot(self):
        """A partition made by a transaction that began before the protection of its parent."""
        free = [d for d in self.world.dimensions if d not in self.world.relations["t1"].protections
                and "k_" + d in self.world.relations["t1"].columns and self.world.dimensions[d].exists and not self.world.dimensions[d].broken]
        if not free:
            return
        other = Session(SUPERUSER)
        other.sql("SET ROLE %s; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1" % OWNER)
        self.protect("t1", free[0], "k_" + free[0])
        yield "protect t1 by " + free[0]
        admin, self.admin = self.admin, other
        bound = self.free_bound()
        name = self.new_name("t1")
        other.sql("CREATE TABLE s.%s PARTITION OF s.t1 FOR VALUES IN (%s); COMMIT" % (name, bound[1][0]))
        self.admin = admin
        other.close()
        self.adopt("t1", "partition", name, bound)
        rows = [self.new_row(self.world.relations["t1"]) for _ in range(4)]
        for row in rows:
            row["p"] = bound[1][0]
        self.insert(self.admin.sql, name, rows)
        self.add_reader(name)
        yield "new partition %s, of a transaction that began before" % name

    def forget(self, name):
        """A relation is dropped."""
        gone = self.world.family(name)
        for relation in gone:
            del self.world.relations[relation]
        self.readers = [r for r in self.readers if r.target not in gone]

    def step_detach(self):
        parent = self.rng.choice(["t1", "t2"])
        children = [r.name for r in self.world.relations.values() if r.parent == parent]
        if len(children) < 2 and parent == "t1" or not children:
            return
        name = self.rng.choice(sorted(children))
        relation = self.world.relations[name]
        bound = relation.bound
        self.as_owner("ALTER TABLE s.%s DETACH PARTITION s.%s" % (parent, name) if bound else "ALTER TABLE s.%s NO INHERIT s.%s" % (name, parent))
        relation.parent, relation.bound = None, None
        relation.own = set(relation.protections)
        relation.columns = {c: list(v) for c, v in relation.columns.items()}
        self.add_reader(name)
        yield "%s no longer belongs to %s" % (name, parent)
        if self.rng.random() < 0.5:
            self.as_owner("DROP TABLE s.%s CASCADE" % name)
            self.forget(name)
            yield "DROP TABLE " + name
            return
        self.as_owner("ALTER TABLE s.%s ATTACH PARTITION s.%s FOR VALUES IN (%s)" % (parent, name, ", ".join(bound[1]))
                      if bound else "ALTER TABLE s.%s INHERIT s.%s" % (name, parent))
        relation.parent, relation.bound, relation.columns = parent, bound, self.world.relations[parent].columns
        yield "%s belongs to %s again" % (name, parent)

    def step_attach(self):
        """A table that anybody could read becomes a partition or child."""
        parent = self.rng.choice(["t1", "t2"])
        above = self.world.relations[parent]
        bound = self.free_bound() if parent == "t1" else None
        name = self.new_name(parent)
        relation = model.Relation(name, OWNER, {c: list(v) for c, v in above.columns.items()})
        self.world.relations[name] = relation
        self.as_owner("CREATE TABLE s.%s (gone int, %s)" % (name, self.columns_sql(relation, shuffle=True)))
        self.as_owner("ALTER TABLE s.%s DROP gone" % name)
        rows = [self.new_row(above) for _ in range(6)]
        if bound:
            for row in rows:
                row["p"] = bound[1][0]
        self.insert(self.admin.sql, name, rows)
        for _ in range(2):
            self.add_reader(name)
        yield "new table " + name
        self.as_owner("ALTER TABLE s.%s ATTACH PARTITION s.%s FOR VALUES IN (%s)" % (parent, name, bound[1][0])
                      if bound else "ALTER TABLE s.%s INHERIT s.%s" % (name, parent))
        rows = relation.rows
        self.adopt(parent, "partition" if bound else "child", name, bound)
        self.world.relations[name].rows = rows
        yield "%s belongs to %s" % (name, parent)

    def step_child(self):
        name = self.make_child(self.rng.choice(self.world.family("t2")))
        self.insert(self.admin.sql, name, [self.new_row(self.world.relations["t2"]) for _ in range(3)])
        self.add_reader(name)
        yield "new child " + name

    def step_columns(self):
        """A column is renamed; another one comes and goes."""
        name = self.rng.choice(["t0", "t1", "t2"] + self.dimension_tables())
        relation = self.world.relations[name]
        column = self.rng.choice(sorted(c for c in relation.columns if c not in ("grp", "p")))
        old = relation.columns[column][0]
        new = self.new_name(self.rng.choice(["x", "X '\""]))
        self.as_owner("ALTER TABLE s.%s RENAME %s TO %s" % (name, q(old), q(new)))
        relation.columns[column][0] = new
        yield "ALTER TABLE %s RENAME %s TO %s" % (name, old, new)
        self.as_owner("ALTER TABLE s.%s ADD COLUMN extra int DEFAULT 1" % name)
        yield "ALTER TABLE %s ADD COLUMN" % name
        self.as_owner("ALTER TABLE s.%s DROP COLUMN extra" % name)
        yield "ALTER TABLE %s DROP COLUMN" % name

    def step_owner(self):
        """Who owns a dimension decides whether row security binds who looks it up."""
        names = sorted(d.name for d in self.world.dimensions.values() if d.table and d.exists and not d.broken)
        if not names:
            return
        dimension = self.world.dimensions[self.rng.choice(names)]
        dimension.owner = STEWARD if dimension.owner == OWNER else OWNER
        self.admin.sql("ALTER VIEW s.%s OWNER TO %s" % (q(dimension.name + "_dimension"), dimension.owner))
        yield "ALTER VIEW %s_dimension OWNER TO %s" % (dimension.name, dimension.owner)

    def protected(self, name=None):
        return sorted((r.name, d) for r in self.world.relations.values() if not r.parent and name in (None, r.name) for d in r.protections)

    def unprotect(self, name, dimension):
        for member in self.world.family(name):
            if member != name and dimension in self.world.relations[member].own:
                self.as_owner("SELECT kpi.unprotect(%s, %s)", ("s." + member, dimension))
            self.world.relations[member].own.discard(dimension)
        self.as_owner("SELECT kpi.unprotect(%s, %s)", ("s." + name, dimension))
        for member in self.world.family(name):
            del self.world.relations[member].protections[dimension]

    def step_unprotect(self):
        """Protection goes; and it comes, where it is not yet."""
        choices = self.protected()
        if not choices:
            return
        name, dimension = self.rng.choice(choices)
        column, writes = self.world.relations[name].protections[dimension]
        if self.world.dimensions[dimension].broken:
            return
        self.unprotect(name, dimension)
        yield "unprotect %s %s" % (name, dimension)
        self.protect(name, dimension, column, writes)
        yield "protect %s %s" % (name, dimension)

    def step_row_security(self):
        choices = self.protected()
        if not choices:
            return
        name, _ = self.rng.choice(choices)
        self.as_owner("ALTER TABLE s.%s DISABLE ROW LEVEL SECURITY" % name)
        self.world.relations[name].secured = False
        yield "ALTER TABLE %s DISABLE ROW LEVEL SECURITY" % name
        self.as_owner("ALTER TABLE s.%s ENABLE ROW LEVEL SECURITY" % name)
        self.world.relations[name].secured = True
        yield "ALTER TABLE %s ENABLE ROW LEVEL SECURITY" % name

    def step_drop_dimension(self):
        """A dimension is dropped, and made again without grants."""
        dimension = self.some_dimension()
        if dimension is None:
            return
        held = [(n, d, self.world.relations[n].protections[d]) for n, d in self.protected() if d == dimension.name]
        for name, _, _ in held:
            self.unprotect(name, dimension.name)
        self.as_owner("RESET ROLE; SELECT kpi.drop_dimension(%s)", (dimension.name,))
        dimension.exists = False
        yield "drop dimension " + dimension.name
        self.create_dimension(dimension)
        for name, _, (column, writes) in held:
            self.protect(name, dimension.name, column, writes)
        yield "create it again, and protect as before"
        for _ in range(3):
            self.grant(self.admin.sql, dimension)
        yield "grants on " + dimension.name

    def step_break_dimension(self):
        """A dimension's view is dropped by force: then nobody sees rows, or an error says why."""
        names = sorted(d.name for d in self.world.dimensions.values() if d.table and d.exists and not d.broken)
        if not names:
            return
        dimension = self.world.dimensions[self.rng.choice(names)]
        self.admin.sql("DROP VIEW s.%s" % q(dimension.name + "_dimension"))
        dimension.broken = True
        yield "DROP VIEW %s_dimension" % dimension.name
        self.admin.sql("SELECT kpi.drop_dimension(%s)", (dimension.name,))
        self.create_dimension(dimension)
        yield "dimension %s is made again" % dimension.name

    def step_recursion(self):
        """A dimension whose own scopes protect its table."""
        names = sorted(d.name for d in self.world.dimensions.values() if d.table and d.exists and not d.broken
                       and d.name not in self.world.relations[d.table].protections)
        if not names:
            return
        dimension = self.world.dimensions[self.rng.choice(names)]
        self.protect(dimension.table, dimension.name, "k", False)
        yield "protect %s by itself" % dimension.table
        self.unprotect(dimension.table, dimension.name)
        yield "unprotect " + dimension.table

    def step_maintenance(self):
        name = self.rng.choice(sorted(self.world.relations))
        relation = self.world.relations[name]
        column = self.rng.choice(sorted(relation.columns))
        self.as_owner("CREATE INDEX ON s.%s (%s)" % (name, q(relation.columns[column][0])))
        yield "CREATE INDEX ON " + name
        self.as_owner("ANALYZE s." + name)
        yield "ANALYZE " + name

    def step_own_transaction(self):
        """A session sees what it did itself, in its transaction, and no longer when that is rolled back."""
        session = next(s for s in self.sessions if s.login == SUPERUSER)
        name = self.rng.choice(["t0", "t1", "t2"])
        role = self.rng.choice(READERS)
        reader = Reader(session, "rows", "prepared, generic", name, FORMS["prepared, generic"])
        self.look(reader, role)
        session.become(SUPERUSER)
        before = copy.deepcopy(self.world)
        session.sql("BEGIN")
        done = [self.light(session.sql)]
        self.look(reader, role, done)
        session.become(SUPERUSER)
        at_savepoint = copy.deepcopy(self.world)
        session.sql("SAVEPOINT x")
        done.append(self.light(session.sql))
        self.look(reader, role, done)
        session.sql("ROLLBACK TO x")
        session.role = SUPERUSER
        self.world = at_savepoint
        self.look(reader, role, done + ["ROLLBACK TO"])
        session.sql("ROLLBACK")
        session.role = SUPERUSER
        self.world = before
        self.look(reader, role, done + ["ROLLBACK"])
        yield "in a transaction of its own, rolled back: %r" % done

    def step_race(self):
        """A step is taken while a statement is planned: its next execution, at the latest, knows."""
        session = self.rng.choice(self.sessions)
        role = session.login if session.login in READERS else self.rng.choice(READERS)
        name = self.rng.choice(["t0", "t1", "t2"])
        roles = sorted(self.world.reachable(role, True) - {OWNER, STEWARD})
        for dimension in sorted(self.world.relations[name].protections):
            dimension = self.world.dimensions[dimension]
            if dimension.exists and not dimension.broken:
                for level in sorted(dimension.levels)[:1] + [model.KEY]:
                    self.grant(self.admin.sql, dimension, self.rng.choice(roles), level, model.NEVER)
        kind = self.rng.choice(sorted(SLOW_FORMS))
        statement = SLOW_FORMS[kind].format(t=name)
        read = (lambda s, t: s.column("EXECUTE race"))
        if kind == "measure":
            read = listed(read)
        reader = Reader(session, "rows", "slow to plan: " + kind + (", definer's view" if kind == "definer's view" else ""), name, read)
        session.become(role)
        session.plan(GENERIC)
        for old in [p for p in session.prepared if p == "race"]:
            session.sql("DEALLOCATE race")
        if kind.startswith("plpgsql"):
            session.sql("DISCARD PLANS")
        session.sql("PREPARE race AS " + statement)
        session.prepared.add("race")
        early = []

        def first():
            try:
                early.append(read(session, name))
            except (psycopg2.Error, Lost) as error:
                early.append(error)
        thread = threading.Thread(target=first)
        pid = session.connection.get_backend_pid()
        thread.start()
        for _ in range(200):
            if not thread.is_alive() or self.admin.sql("SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'", (pid,)):
                break
            time.sleep(0.005)
        dimensions = [self.world.dimensions[d] for d in sorted(self.world.relations[name].protections)]
        done = None
        if dimensions and self.rng.random() < 0.8:
            dimension = self.rng.choice(dimensions)
            held = sorted(g[0] for g in dimension.grants if g[0] in roles)
            if held and dimension.exists and not dimension.broken:
                done = self.revoke(self.admin.sql, dimension, self.rng.choice(held))
        done = done or self.light(self.admin.sql)
        during = thread.is_alive()
        thread.join()
        if isinstance(early[0], Lost):
            raise early[0]
        description = "%s, while %s planned %s" % (done, role, statement) if during else done
        for _ in range(2):
            self.look(reader, role, [description])
        yield description

    def step_repeatable_read(self):
        """A transaction that began before sees its own snapshot, through the scopes of then or of now."""
        session = self.rng.choice(self.sessions[:5])
        reader = self.rng.choice([r for r in self.readers if r.kind == "rows" and not r.target.startswith("ONLY")])
        read = self.rng.choice(["simple query", "prepared, generic", "prepared, auto"])
        reader = Reader(session, "rows", read, reader.target, FORMS[read])
        session.sql("BEGIN ISOLATION LEVEL REPEATABLE READ")
        self.look(reader)
        before = copy.deepcopy(self.world)
        began = time.time()
        done = self.light(self.admin.sql)
        for again in (read, "prepared, custom"):
            reader = Reader(session, "rows", again, reader.target, FORMS[again])
            self.look_back(reader, before, began, done)
        session.sql("COMMIT")
        self.look(reader, None, [done, "COMMIT"])
        yield "while a REPEATABLE READ transaction was open: " + done

    STEPS = {"light": 30, "wait": 3, "expire": 3, "in_flight": 4, "truncate": 2, "move_partition": 2, "partition": 3, "old_snapshot": 1,
             "detach": 3, "attach": 3, "child": 2, "columns": 3, "owner": 2, "unprotect": 3, "row_security": 1, "drop_dimension": 2,
             "break_dimension": 1, "recursion": 1, "maintenance": 2, "own_transaction": 3, "race": 6, "repeatable_read": 4}

    # -- looking

    def difference(self, what, reader=None, user=None, detail=""):
        lines = ["%s" % what]
        if reader is not None:
            lines.append("reader: %s (login %s), %s, %s" % (user, reader.session.login, reader.name, reader.target))
            if reader.kind == "rows":
                lines.append("protected by: %r" % self.world.relations[reader.target.replace("ONLY s.", "")].protections)
        raise Difference("\n".join(lines + [detail]).rstrip())

    def run(self, reader):
        """Rows of a reader, or the error."""
        try:
            return in_order(reader.read(reader.session, reader.target)), None
        except psycopg2.Error as error:
            return None, error

    def compare(self, reader, user, wanted, rows, error, excuses, steps):
        """Judge what a reader saw; wanted is a list of what it may be."""
        self.totals["checks"] += 1
        if error is not None:
            if excuses and not (error.pgcode or "XX000").startswith("XX") and error.pgcode != "57014":
                self.totals["refused"] += 1
                return
            self.difference("an error: " + said(error), reader, user, "steps: %s" % "; ".join(steps))
        if rows in wanted:
            reader.seen[user] = (len(self.history), time.time())
            return
        many = [r for r in rows if r not in wanted[0]] + [r for r in set(rows) if rows.count(r) > 1]
        again, _ = self.run(reader)
        fresh = self.fresh(reader, user)
        self.difference("rows too many: %r\nmissing: %r" % (many, [r for r in wanted[0] if r not in rows]), reader, user,
                        "steps: %s\nwanted: %r\nthe same again: %s\na new session: %s" % (
                            "; ".join(steps), wanted[0], "right" if again in wanted else again == rows and "the same" or repr(again),
                            "right" if fresh in wanted else repr(fresh)))

    def fresh(self, reader, user):
        """What a new session sees."""
        try:
            session = Session(user)
            read = FORMS["simple query"] if reader.name.startswith("slow to plan") else reader.read
            rows, error = self.run(Reader(session, reader.kind, reader.name, reader.target, read))
            session.close()
            return rows if error is None else said(error)
        except Lost as error:
            return str(error)

    def since(self, reader, user):
        """The steps since a reader was right, and which grants ended."""
        steps, when = reader.seen.get(user, (len(self.history) - 2, time.time() - 1))
        ended = [(g[0], d.name, g[1]) for d in self.world.dimensions.values() for g in d.grants if when < g[2] < time.time()]
        return self.history[max(0, steps - 1):] + ["meanwhile ended: %r" % ended] * bool(ended)

    def near_an_end(self, since):
        return any(since - NEAR <= end <= time.time() + NEAR for end in self.world.moments())

    def choose_user(self, session):
        if session.login == HUB:
            return self.rng.choice(READERS + GROUPS + [NOBODY])
        if session.login == SUPERUSER:
            return self.rng.choice(READERS + GROUPS + [OWNER, STEWARD, SUPERUSER])
        return session.login

    def look(self, reader, user=None, steps=()):
        """One check."""
        user = user or self.choose_user(reader.session)
        reader.session.become(user)
        since = time.time()
        rows, error = self.run(reader)
        if self.near_an_end(since):
            self.totals["near an end"] += 1
            return
        excuses = []
        wanted = in_order(reader.expected(self.world, user, since, excuses))
        self.compare(reader, user, [wanted], rows, error, excuses, self.since(reader, user) + list(steps))
        self.totals["forms"][reader.name] = self.totals["forms"].get(reader.name, 0) + 1

    def look_back(self, reader, before, began, done):
        """One check in a transaction whose snapshot is older than the last step."""
        user = reader.session.login
        since = time.time()
        rows, error = self.run(reader)
        if self.near_an_end(began) or any(began - NEAR <= end <= time.time() + NEAR for end in before.moments()):
            self.totals["near an end"] += 1
            return
        excuses = []
        wanted = [in_order(w.visible(user, reader.target, since, excuses, source=before)) for w in (self.world, before)]
        reader.expected(self.world, user, since, excuses)       # for what may excuse an error on the way through a view
        self.compare(reader, user, wanted, rows, error, excuses, self.history[-3:] + [done])

    def look_insert(self):
        """Where writes are protected, rows outside the scope cannot be written."""
        name = self.rng.choice(sorted(self.over))
        relation = self.world.relations[name]
        session = self.rng.choice(self.sessions)
        user = self.choose_user(session)
        row = self.new_row(relation)
        session.become(user)
        since = time.time()
        error = None
        try:
            session.within("INSERT INTO s.%s (id, %s) VALUES (0, %s)" % (
                name, ", ".join(q(c) for c, _ in relation.columns.values()),
                ", ".join("NULL" if row[c] is None else literal(row[c]) for c in relation.columns)))
        except psycopg2.Error as problem:
            error = problem
        if self.near_an_end(since):
            return
        excuses = []
        may = self.world.may_insert(user, name, row, since, excuses)
        self.totals["checks"] += 1
        if (error is None) != may and not (excuses and error is not None) or error is not None and error.pgcode != "42501" and not excuses:
            self.difference("inserting %r into %s as %s: %s, but it may%s" % (row, name, user, said(error) if error else "done", "" if may else " not"),
                            detail="steps: %s" % "; ".join(self.history[-3:]))

    def look_around(self):
        for reader in self.rng.sample(self.readers, min(LOOKS, len(self.readers))):
            if not (self.in_doubt and reader.name in ("delete returning", "update returning")):
                self.look(reader)
        self.look_insert()
        if self.rng.random() < 0.3:     # an old plan of each form is of more worth, but new ones come
            self.add_reader(self.rng.choice(sorted(self.over)), FORMS_OVER if self.rng.random() < 0.5 else FORMS)
        for storm in self.storms:
            if storm.problem:
                if storm.problem.startswith("lost"):
                    raise Lost(storm.problem)
                self.difference("another session: " + storm.problem)

    def audit(self):
        """Is the model's copy of tables what the tables hold? That is about this program alone."""
        for relation in self.world.relations.values():
            columns = list(relation.columns)
            got = {r[0]: dict(zip(columns, r[1:])) for r in self.admin.sql("SELECT id, %s FROM ONLY s.%s" % (
                ", ".join(q(relation.columns[c][0]) + "::text" for c in columns), relation.name))}
            if got != relation.rows:
                raise RuntimeError("the model's copy of %s has gone astray: %r %r" % (relation.name, got, relation.rows))

    def play(self):
        """All phases."""
        phases = 0
        self.look_around()
        while phases < PHASES and self.totals["checks"] < CHECKS:
            step = self.rng.choices(sorted(self.STEPS), [self.STEPS[s] for s in sorted(self.STEPS)])[0]
            try:
                for done in getattr(self, "step_" + step)():
                    self.history.append(done)
                    self.totals["steps"] += 1
                    phases += 1
                    self.look_around()
            except psycopg2.Error as error:
                self.difference("step %s fails: %s" % (step, said(error)), detail="after: %s" % "; ".join(self.history[-3:]))
        self.audit()

    def end(self):
        for storm in self.storms:
            storm.end()
            self.totals["storm"] += storm.count
        for session in self.sessions + [self.admin]:
            session.close()


def clean(postgres):
    """Drop what a round made."""
    for name in postgres.column("SELECT gid FROM pg_prepared_xacts WHERE database = '%s'" % DATABASE):
        Session(SUPERUSER).sql("ROLLBACK PREPARED %s", (name,))
    postgres.sql("DROP DATABASE IF EXISTS %s WITH (FORCE)" % DATABASE)
    for role in postgres.column(r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'fs\_%'"):
        postgres.sql("DROP ROLE " + role)


def wait_for_server():
    """After a crash."""
    for _ in range(120):
        time.sleep(0.5)
        try:
            session = Session(SUPERUSER, "postgres")
            session.sql("SELECT 1")
            return session
        except (Lost, psycopg2.Error):
            pass
    raise SystemExit("the server does not come back")


def main():
    global TWO_PHASE
    postgres = Session(SUPERUSER, "postgres")
    TWO_PHASE = int(postgres.column("SHOW max_prepared_transactions")[0]) > 0
    clean(postgres)
    postgres.sql("DROP DATABASE IF EXISTS %s" % TEMPLATE)
    postgres.sql("CREATE DATABASE %s" % TEMPLATE)
    template = Session(SUPERUSER, TEMPLATE)
    template.sql("CREATE EXTENSION kpitables")
    template.close()
    totals = {"checks": 0, "steps": 0, "refused": 0, "near an end": 0, "storm": 0, "forms": {}}
    differences = 0
    number = ONLY_ROUND or 0
    began = time.time()
    while totals["checks"] < CHECKS and differences < LIMIT:
        this = Round(number, totals)
        this.admin = postgres
        try:
            this.make()
            this.play()
        except (Difference, Lost) as error:
            differences += 1
            print("seed %d round %d check %d, after %.1f s: %s%s\nrepeat by: %stest/fuzz/scope.py %d %d %d\n" % (
                SEED, number, totals["checks"], time.time() - began, "the server crashed: " if isinstance(error, Lost) else "", error,
                "DISCARD=1 " if DISCARD else "", CHECKS, SEED, number), flush=True)
        try:
            this.end()
        except Lost:
            pass
        postgres.close()
        postgres = wait_for_server() if differences else Session(SUPERUSER, "postgres")
        number += 1
        if ONLY_ROUND is not None:
            break
    clean(postgres)
    postgres.sql("DROP DATABASE " + TEMPLATE)
    print("seed %d: %d rounds, %d checks of %d forms, %d steps, %d statements beside them, %d refused, %d too near an end, %d differences"
          % (SEED, number - (ONLY_ROUND or 0), totals["checks"], len(totals["forms"]), totals["steps"], totals["storm"], totals["refused"],
             totals["near an end"], differences))
    return 1 if differences or totals["checks"] == 0 else 0


TWO_PHASE = False

if __name__ == "__main__":
    sys.exit(main())
