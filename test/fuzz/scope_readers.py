"""What reads and what disturbs, for scope.py: sessions, forms of reading, storms of invalidations."""
import getpass
import os
import random
import threading
import time

import psycopg2

import scope_model as model

DISCARD = os.environ.get("DISCARD") == "1"
SUPERUSER = os.environ.get("PGUSER") or getpass.getuser()
DATABASE = "kpitables_fuzz_scope_round"
DEFINER = "fs_r3"                   # owns the SECURITY DEFINER functions
VIEWER = "fs_viewer"                # owns the views of definers
STRANGER = "fs_stranger"            # whose scopes come and go in storms


class Lost(Exception):
    """The server is gone."""


class Difference(Exception):
    """What a reader sees is not what the model says, or a step fails."""


def q(name):
    return '"' + name.replace('"', '""') + '"'


def literal(value):
    return "'" + value.replace("'", "''") + "'"


def said(error):
    """An error in one line."""
    return "%s %s" % (error.pgcode, (error.diag.message_primary or str(error)).strip())


def is_lost(error):
    code = error.pgcode or ""
    return code.startswith("57P") or not code and isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError))


class Session:
    """A connection that lives long, and what it has prepared."""

    def __init__(self, login, database=DATABASE, settings="", discard=False):
        settings += " -c statement_timeout=%ds" % (900 if DISCARD else 60)
        if DISCARD and login == SUPERUSER:     # the others have it from the database
            settings += " -c debug_discard_caches=%d" % discard
        try:
            self.connection = psycopg2.connect(dbname=database, user=login, host=os.environ.get("PGHOST"), options=settings)
        except psycopg2.OperationalError as error:
            raise Lost(str(error))
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.login = self.role = login
        self.prepared = set()
        self.mode = None

    def sql(self, statement, args=None):
        """Rows of a statement."""
        try:
            self.cursor.execute(statement, args)
            return self.cursor.fetchall() if self.cursor.description else []
        except psycopg2.Error as error:
            if is_lost(error):
                raise Lost(str(error))
            raise

    def column(self, statement):
        return [row[0] for row in self.sql(statement)]

    def become(self, role):
        if role != self.role:
            self.sql("RESET ROLE" if role == self.login else "SET ROLE " + role)
            self.role = role

    def plan(self, mode):
        if mode != self.mode:
            self.sql("SET plan_cache_mode = " + mode)
            self.mode = mode

    def execute(self, name, statement, mode, arguments=""):
        """First column of a statement that is prepared once, for each mode of planning."""
        name = q(name + " " + mode)
        self.plan(mode)
        if name not in self.prepared:
            self.sql("PREPARE %s AS %s" % (name, statement))
            self.prepared.add(name)
        return self.column("EXECUTE %s%s" % (name, arguments))

    def within(self, *statements):
        """First column of the last of some statements, in a transaction that is rolled back."""
        self.sql("BEGIN")
        try:
            for statement in statements:
                rows = self.column(statement)
        except psycopg2.Error:
            self.sql("ROLLBACK")
            raise
        self.sql("ROLLBACK")
        return rows

    def close(self):
        try:
            self.connection.close()
        except psycopg2.Error:
            pass


# Forms of reading a relation: a session and the relation's name, to ids.
def form(statement):
    return lambda s, t: s.column(statement.format(t=t))


def prepared(statement, mode, arguments=""):
    return lambda s, t: s.execute(statement.format(t=t)[:50].replace('"', ""), statement.format(t=t), mode, arguments)


def listed(read):
    """A form that gives lists of ids."""
    return lambda s, t: [int(i) for ids in read(s, t) if ids for i in ids.split(",")]


def changing(statement):
    return lambda s, t: s.within(statement.format(t=t))


def read_copy(s, t):
    class Out(list):
        write = list.append
    out = Out()
    try:
        s.cursor.copy_expert("COPY (SELECT id FROM s.%s) TO STDOUT" % t, out)
    except psycopg2.Error as error:
        if is_lost(error):
            raise Lost(str(error))
        raise
    return [int(i) for i in "".join(d if isinstance(d, str) else d.decode() for d in out).split()]


def read_held_cursor(s, t):
    s.sql("DECLARE h CURSOR WITH HOLD FOR SELECT id FROM s." + t)
    rows = s.column("FETCH ALL FROM h")
    s.sql("CLOSE h")
    return rows


AUTO, GENERIC, CUSTOM = "auto", "force_generic_plan", "force_custom_plan"
# of any relation
FORMS = {
    "simple query": form("SELECT id FROM s.{t}"),
    "prepared, auto": prepared("SELECT id FROM s.{t}", AUTO),
    "prepared, generic": prepared("SELECT id FROM s.{t}", GENERIC),
    "prepared, custom": prepared("SELECT id FROM s.{t}", CUSTOM),
    "prepared with a parameter, auto": prepared("SELECT id AS i FROM s.{t} WHERE grp >= $1", AUTO, "(0)"),
    "prepared with a parameter, generic": prepared("SELECT id AS i FROM s.{t} WHERE grp >= $1", GENERIC, "(0)"),
    "prepared semijoin, generic": prepared("SELECT a.id FROM s.{t} a WHERE EXISTS (SELECT FROM s.{t} b WHERE b.id = a.id)", GENERIC),
    "cursor": lambda s, t: s.within("DECLARE c CURSOR FOR SELECT id FROM s." + t, "FETCH ALL FROM c"),
    "cursor with hold": read_held_cursor,
    "copy": read_copy,
    "union with a CTE": form("WITH w AS MATERIALIZED (SELECT id, grp FROM s.{t}) SELECT id FROM w WHERE grp = 0"
                             " UNION ALL SELECT id FROM s.{t} WHERE grp <> 0"),
    "delete returning": changing("DELETE FROM s.{t} RETURNING id"),
    "update returning": changing("UPDATE s.{t} SET grp = grp RETURNING id"),
}
# of those that other objects were made over
FORMS_OVER = {
    "definer's view": form("SELECT id FROM s.v_{t}"),
    "definer's view, prepared, generic": prepared("SELECT id FROM s.v_{t}", GENERIC),
    "invoker's view": form("SELECT id FROM s.vi_{t}"),
    "invoker's view, prepared, generic": prepared("SELECT id FROM s.vi_{t}", GENERIC),
    "plpgsql function": form("SELECT * FROM s.f_{t}()"),
    "plpgsql function in a handled block": form("SELECT * FROM s.fe_{t}()"),
    "sql function": form("SELECT * FROM s.fs_{t}()"),
    "sql function, standard body, prepared, generic": prepared("SELECT * FROM s.fa_{t}()", GENERIC),
    "definer's function": form("SELECT * FROM s.fd_{t}()"),
    "measure": listed(form("SELECT kpi.measure(ids_{t}) FROM s.mv_{t}")),
    "measure by group": listed(form("SELECT kpi.measure(ids_{t}) FROM s.mv_{t} GROUP BY grp")),
    "measure, prepared, generic": listed(prepared("SELECT kpi.measure(ids_{t}) FROM s.mv_{t}", GENERIC)),
    "measure, prepared, auto": listed(prepared("SELECT kpi.measure(ids_{t}) FROM s.mv_{t}", AUTO)),
}
# of a dimension, over a table of possible keys: what kpi.in_scope() says, simplified and at run time
FORMS_KEYS = {
    "in_scope": form("SELECT k::text FROM s.keys_{t} WHERE kpi.in_scope('{t}', k)"),
    "in_scope, prepared, generic": prepared("SELECT k::text FROM s.keys_{t} WHERE kpi.in_scope('{t}', k)", GENERIC),
    "in_scope of a parameter, generic": lambda s, t: s.execute(
        "keys " + t, "SELECT k::text FROM s.keys_%s WHERE kpi.in_scope($1, k)" % t, GENERIC, "('%s')" % t),
    "in_scope of a parameter, auto": lambda s, t: s.execute(
        "keys " + t, "SELECT k::text FROM s.keys_%s WHERE kpi.in_scope($1, k)" % t, AUTO, "('%s')" % t),
    "in_scope of a subquery": form("SELECT k::text FROM s.keys_{t} WHERE kpi.in_scope((SELECT '{t}'::text OFFSET 0), k)"),
    "in_scope in a list": form("SELECT k::text FROM (SELECT k, kpi.in_scope('{t}', k) AS is_in FROM s.keys_{t} OFFSET 0) x WHERE is_in"),
    "in_scope in plpgsql": form("SELECT k::text FROM s.keys_{t} WHERE s.in_{t}(k)"),
}
# statements that take long to plan: each gives ids, and is prepared for one race
SLOW_FORMS = {
    "subquery in FROM": "SELECT t.id FROM s.{t} t, (SELECT s.slow(1) AS x OFFSET 0) z",
    "policy of another table": "SELECT t.id FROM s.{t} t, s.slow_table z",
    "stable function": "SELECT t.id FROM s.{t} t WHERE t.grp < s.slow_stable(1000)",
    "definer's view": "SELECT t.id FROM s.v_{t} t, (SELECT s.slow(1) AS x OFFSET 0) z",
    "measure": "SELECT kpi.measure(ids_{t}) FROM s.mv_{t} WHERE grp < s.slow_stable(1000)",
    "plpgsql": "SELECT * FROM s.fr_{t}()",
    "plpgsql, handled": "SELECT * FROM s.frh_{t}()",
}


class Storm(threading.Thread):
    """Another session that invalidates, without changing what anybody sees."""

    def __init__(self, seed, kinds, tables, dimensions):
        super().__init__(daemon=True)
        self.rng = random.Random(seed)
        self.kinds, self.tables, self.dimensions = kinds, tables, dimensions
        self.over = threading.Event()
        self.problem = None
        self.count = 0
        self.session = Session(SUPERUSER)

    def statement(self):
        kind = self.rng.choice(self.kinds)
        if kind == "update" and self.tables:
            table = self.rng.choice(self.tables)
            return "UPDATE s.%s SET grp = grp WHERE id = (SELECT min(id) FROM s.%s)" % (table, table)
        if kind == "grant":
            name = self.rng.choice(self.dimensions)
            return ("SELECT kpi.grant_scope('%s', '%s', members => '{*}')" if self.rng.random() < 0.5
                    else "SELECT kpi.revoke_scope('%s', '%s')") % (STRANGER, name)
        if kind == "temporary":
            return "CREATE TEMP TABLE x (a int); DROP TABLE x"
        if kind == "analyze":
            return "ANALYZE s.slow_table"
        if kind == "role":
            return "ALTER ROLE %s SET search_path = 'x%d'" % (STRANGER, self.rng.randrange(9))
        return "SELECT 1"

    def run(self):
        try:
            while not self.over.is_set():
                try:
                    self.session.sql(self.statement())
                    self.count += 1
                except psycopg2.Error as error:
                    # PostgreSQL's own words for two sessions that meet at a row of its catalog
                    if error.pgcode == "XX000" and "tuple concurrently" not in str(error):
                        self.problem = "%s: %s" % (self.session.cursor.query, said(error))
                time.sleep(self.rng.random() * (0.05 if DISCARD else 0.004))
        except Lost as error:
            self.problem = "lost: %s" % error
        self.session.close()

    def end(self):
        self.over.set()
        self.join()


class Reader:
    """A session, what it reads and how."""

    def __init__(self, session, kind, name, target, read):
        self.session, self.kind, self.name, self.target, self.read = session, kind, name, target, read
        self.seen = {}              # user -> when the reader was last right: how many steps had been taken, and the time

    def expected(self, world, user, when, excuses):
        if self.kind == "keys":
            keys = world.scope(user, self.target, when, excuses)
            kind = world.dimensions[self.target].kind
            return [k for k in world.dimensions[self.target].possible if keys == model.ALL or model.normal(kind, k) in keys] + [None] * (keys == model.ALL)
        only = self.target.startswith("ONLY ")
        definer = VIEWER if "definer's view" in self.name else None
        if self.name.startswith("measure"):
            definer = world.relations[self.target].owner        # of the metric view, too
        if self.name == "definer's function":
            user = DEFINER
        return list(world.visible(user, self.target.replace("ONLY s.", ""), when, excuses, only=only, definer=definer))


def in_order(rows):
    return sorted(rows, key=lambda v: (v is None, v if v is not None else ""))
