"""What roles see under row scopes (S1, S2, S4), in Python sets: the slow model that scope.py compares the extension with.

Holds a copy of everything that decides: roles and memberships, grants with their ends, the rows of tables, which table is
protected by which dimension. It is told of every change and never asks the server. Time is seconds since 1970.
"""
import decimal

ALL = "all keys"        # what full scope gives
FULL = "full"           # the level of a grant of {*}
KEY = "key"             # the level of a grant of keys
NEVER = float("inf")    # the end of a grant without one


def normal(kind, text):
    """A value such that equal values of a type are equal here."""
    return decimal.Decimal(text).normalize() if kind == "numeric" else text


class Dimension:
    """A dimension; its table and levels are None and {} where it is one of plain values."""

    def __init__(self, name, kind, owner, table=None, levels=None):
        self.name = name
        self.kind = kind                # type of the key
        self.owner = owner              # of its view: with whose rights its table is read
        self.table = table              # name of a relation, whose column "k" is the key
        self.levels = levels or {}      # name of the level -> column
        self.kinds = {}                 # name of the level -> type
        self.grants = {}                # (role, level, end) -> set of members
        self.possible = []              # keys to ask about
        self.exists = True
        self.broken = False             # by force: queries may fail, and show no rows


class Relation:
    """A table. Columns and rows are told by logical names, which renaming does not change."""

    def __init__(self, name, owner, columns, parent=None, kind="table"):
        self.name = name
        self.owner = owner
        self.columns = columns          # logical name -> [name, type]
        self.parent = parent            # name of a relation
        self.kind = kind                # "table", "partitioned", "partition" or "child"
        self.bound = None               # of a partition: (column, values)
        self.rows = {}                  # id -> {logical name: text or None}
        self.protections = {}           # name of the dimension -> (column, are writes protected?)
        self.own = set()                # dimensions that it is registered for itself, though it has a parent
        self.secured = True             # is row security enabled, if there are protections?


class World:
    """All of it."""

    def __init__(self):
        self.roles = {}                 # name -> {"inherit": bool, "bypass": bool}
        self.members = set()            # (member, role)
        self.dimensions = {}
        self.relations = {}

    def reachable(self, member, privileges):
        """Roles that a role is a member of, or (privileges) whose privileges it has; itself among them."""
        found = [member]
        for role in found:
            if privileges and not self.roles[role]["inherit"]:
                continue
            found.extend(r for m, r in sorted(self.members) if m == role and r not in found)
        return set(found)

    def may_act_as(self, user, role):
        return self.roles[user]["bypass"] == "superuser" or role in self.reachable(user, True)

    def family(self, name):
        """A relation and its descendants."""
        found = [name]
        for parent in found:
            found.extend(r.name for r in self.relations.values() if r.parent == parent)
        return found

    def root(self, name):
        while self.relations[name].parent:
            name = self.relations[name].parent
        return name

    def rows(self, name, only=False):
        """Rows of a relation with its descendants: id -> row."""
        return {i: row for n in ([name] if only else self.family(name)) for i, row in self.relations[n].rows.items()}

    def moments(self):
        """When scopes end."""
        return [end for d in self.dimensions.values() for _, _, end in d.grants if end != NEVER]

    def scope(self, user, name, when, excuses, path=()):
        """The keys that a user sees, or ALL. Why an error would be as good goes to excuses."""
        dimension = self.dimensions[name]
        if not dimension.exists or dimension.broken:
            excuses.append("dimension %s is broken" % name)
            return ALL if self.roles[user]["bypass"] else set()
        if self.roles[user]["bypass"]:
            return ALL
        if name in [n for n, _ in path]:
            excuses.append("dimension %s depends on itself" % name)
            if (name, user) in path:
                return set()
        full, keys = False, set()
        roles = self.reachable(user, True)
        for (role, level, end), members in sorted(dimension.grants.items(), key=repr):
            if end <= when or role not in roles:
                continue
            if level == FULL:
                full = True         # the others may be looked up all the same, and fail
                continue
            if level == KEY:
                keys |= {normal(dimension.kind, m) for m in members}
                continue
            column = dimension.levels[level]
            wanted = {normal(dimension.kinds[level], m) for m in members}
            for row in self.visible(dimension.owner, dimension.table, when, excuses, path + ((name, user),)).values():
                if row["k"] is not None and row[column] is not None and normal(dimension.kinds[level], row[column]) in wanted:
                    keys.add(normal(dimension.kind, row["k"]))
        return ALL if full else keys

    def is_bound(self, user, relation, for_dimension):
        """Does row security bind a user? A table's owner, too, but not where the owner's own dimension is looked up."""
        if not relation.protections or not relation.secured or self.roles[user]["bypass"]:
            return False
        return not (for_dimension and self.may_act_as(user, relation.owner))

    def visible(self, user, name, when, excuses, path=(), only=False, definer=None, source=None):
        """The rows of a relation that a user sees: id -> row. Through a view of a definer it is the definer whom row
        security binds or not, and the user who has scopes. Source is another world that has the rows."""
        relation = self.relations[name]
        rows = (source or self).rows(name, only)
        if not self.is_bound(definer or user, relation, bool(path)):
            return rows
        for dimension, (column, _) in sorted(relation.protections.items()):
            keys = self.scope(user, dimension, when, excuses, path)
            if keys != ALL:
                kind = self.dimensions[dimension].kind
                rows = {i: row for i, row in rows.items() if row[column] is not None and normal(kind, row[column]) in keys}
        return rows

    def may_insert(self, user, name, row, when, excuses):
        """May a user insert a row?"""
        relation = self.relations[name]
        may = True
        for dimension, (column, writes) in sorted(relation.protections.items()):
            if writes and self.is_bound(user, relation, False):
                keys = self.scope(user, dimension, when, excuses)
                if keys != ALL and (row[column] is None or normal(self.dimensions[dimension].kind, row[column]) not in keys):
                    may = False
        return may
