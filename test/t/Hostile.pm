# Hostile: a role "mal" with canary code wherever PostgreSQL lets a role put code, in every part that an object can play for
# kpitables.
#
#   $voice, @places         functions, types and operators that mal makes; @types are its types with a literal of each
#   @tables, @views         its relations, each with the columns (id, k, region, at, v) and one hostile thing
#   @metrics, @behind       its metrics, and what it does behind the extension's back; @again is done before each victim
#   @crashers               what may end the server
#   objects(), uses()       the statements that make all that kpitables need not know, and those that set the canaries in it off
#   places()                the names of these canaries
#   registrations(ROLE..)   statements by which mal lets kpitables know; a build may refuse any of them
#
# A canary is a call of mal.sing(place), which writes "CANARY user=.. session=.. place=.." into the server's log. Where it finds
# itself in a session of somebody else (as mal, which is allowed) it tries to stay there: see mal.harm(). PostgreSQL refuses an
# operator class, an event trigger, a foreign-data wrapper and a support function to roles that are no superusers; collations
# hold no code.

package Hostile;

use strict;
use warnings;

our @roles = ('mal', 'mal_too');

# What everything else calls. Names are qualified, so that mal's own search path does not catch its own canaries.
our $voice = q{
	CREATE TABLE mal.deferred (i int);
	CREATE FUNCTION mal.harm(place text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		BEGIN		-- settings that outlive the call
			PERFORM pg_catalog.set_config('application_name', 'canary in ' OPERATOR(pg_catalog.||) place, false),
					pg_catalog.set_config('search_path', 'mal, pg_catalog', false), pg_catalog.set_config('datestyle', 'German, DMY', false),
					pg_catalog.set_config('extra_float_digits', '-7', false), pg_catalog.set_config('row_security', 'off', false);
		EXCEPTION WHEN OTHERS THEN NULL; END;
		BEGIN		-- a trigger that waits for the end of the caller's transaction
			INSERT INTO mal.deferred VALUES (1);
		EXCEPTION WHEN OTHERS THEN NULL; END;
		BEGIN
			EXECUTE 'DECLARE canary_cursor CURSOR WITH HOLD FOR SELECT mal.sing(''cursor left behind'')';
		EXCEPTION WHEN OTHERS THEN NULL; END;
		BEGIN
			EXECUTE 'PREPARE canary_plan AS SELECT mal.sing(''statement left behind'')';
		EXCEPTION WHEN OTHERS THEN NULL; END;
		BEGIN
			EXECUTE 'LISTEN canary_channel';
		EXCEPTION WHEN OTHERS THEN NULL; END;
		BEGIN		-- a table that hides the catalog's
			EXECUTE 'CREATE TEMPORARY TABLE pg_class ()';
		EXCEPTION WHEN OTHERS THEN NULL; END;
		BEGIN
			PERFORM pg_catalog.set_config('role', 'none', false), mal.sing('role taken');
		EXCEPTION WHEN OTHERS THEN NULL; END;
		BEGIN
			EXECUTE 'RESET SESSION AUTHORIZATION';
			PERFORM mal.sing('session authorization taken');
		EXCEPTION WHEN OTHERS THEN NULL; END;
	END $$;
	CREATE FUNCTION mal.sing(place text) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		RAISE LOG 'CANARY user=% session=% place=%', current_user, session_user, place;
		IF current_user OPERATOR(pg_catalog.<>) session_user THEN PERFORM mal.harm(place); END IF;
		RETURN true;
	END $$;
	CREATE FUNCTION mal.pure(place text, value int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM mal.sing(place); RETURN value; END $$;
	CREATE FUNCTION mal.pure_text(place text, value text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM mal.sing(place); RETURN value; END $$;
	CREATE FUNCTION mal.pure_true(place text, value int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN mal.sing(place); END $$;
	CREATE FUNCTION mal.folded(place text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM mal.sing(place); RETURN 1; END $$;
	CREATE FUNCTION mal.steady(place text) RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM mal.sing(place); RETURN 1; END $$;
	CREATE FUNCTION mal.fire() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN PERFORM mal.sing(TG_ARGV[0]); IF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$;
	CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON mal.deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mal.fire('trigger that waited');
};

# Types, functions and operators: [statements of mal, what sets them off]
our @places = (
	[ q{CREATE DOMAIN mal.dom AS int CHECK (mal.pure_true('check of a domain', VALUE))}, 'SELECT 1::mal.dom' ],
	[ q{CREATE DOMAIN mal.textdom AS text CHECK (mal.sing('check of a domain over text'))}, q{SELECT 'r1'::mal.textdom} ],
	[ q{CREATE DOMAIN mal.huge AS numeric CHECK (mal.sing('check of a domain over numeric'))}, 'SELECT 1::mal.huge' ],
	[ 'CREATE TYPE mal.comp AS (a mal.dom)', q{SELECT '(1)'::mal.comp} ],
	[ 'CREATE TYPE mal.nest AS (b int, c mal.comp)', q{SELECT '(1,"(1)")'::mal.nest} ],
	[ q{CREATE DOMAIN mal.compdom AS mal.comp CHECK (mal.sing('check of a domain over a composite'))}, q{SELECT '(1)'::mal.compdom} ],
	[ q{CREATE FUNCTION mal.diff(int, int) RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM mal.sing('difference of a range'); RETURN $1 OPERATOR(pg_catalog.-) $2; END $$;
		CREATE TYPE mal.range AS RANGE (subtype = int, subtype_diff = mal.diff)},
		q{CREATE TEMPORARY TABLE r AS SELECT mal.range(i, i + 5) r FROM generate_series(1, 900) i; CREATE INDEX ON r USING gist (r)} ],
	[ 'CREATE TYPE mal.domrange AS RANGE (subtype = mal.dom)', q{SELECT '[1,2)'::mal.domrange} ],
	[ q{CREATE TYPE mal.hue AS ENUM ('1', '2', '3', 'r0', 'r1'); CREATE TYPE mal.shade AS ENUM ('1', '2', '3', 'r0', 'r1')}, '' ],
	(map {
		my ($from, $to, $kind, $body) = @$_;
		my $name = "cast of $from to $to" =~ s/mal\.//gr;
		my $function = "mal." . $name =~ s/\W/_/gr;
		[ qq{CREATE FUNCTION $function($from) RETURNS $to IMMUTABLE LANGUAGE plpgsql AS \$\$ BEGIN PERFORM mal.sing('$name'); RETURN $body; END \$\$;
			CREATE CAST ($from AS $to) WITH FUNCTION $function($from) AS $kind}, $_->[4] ]
	} (
		[ 'int', 'mal.hue', 'IMPLICIT', '(enum_range(NULL::mal.hue))[1 OPERATOR(pg_catalog.+) pg_catalog.abs($1 OPERATOR(pg_catalog.%) 3)]', 'SELECT 1::mal.hue' ],
		[ 'text', 'mal.hue', 'IMPLICIT', q{(enum_range(NULL::mal.hue))[4]}, q{SELECT 'r0'::text::mal.hue} ],
		[ 'mal.shade', 'text', 'IMPLICIT', q{'r0'}, q{SELECT ('1'::mal.shade)::text} ],	# these two leave "=" of that type ambiguous
		[ 'mal.shade', 'int', 'IMPLICIT', '1', q{SELECT ('1'::mal.shade)::int} ],
		[ 'mal.hue', 'text', 'ASSIGNMENT', q{'r0'}, q{SELECT ('1'::mal.hue)::text} ],
		[ 'mal.hue', 'int', 'ASSIGNMENT', '1', q{SELECT ('1'::mal.hue)::int} ],
		[ 'int', 'mal.comp', 'IMPLICIT', 'ROW($1)::mal.comp', 'SELECT 1::mal.comp' ],
		[ 'text', 'mal.comp', 'ASSIGNMENT', 'ROW(1)::mal.comp', q{SELECT 'r0'::text::mal.comp} ],
		[ 'mal.comp', 'text', 'ASSIGNMENT', q{'(1)'}, 'SELECT (ROW(1)::mal.comp)::text' ],
		[ 'mal.range', 'text', 'IMPLICIT', q{'[1,2)'}, q{SELECT ('[1,2)'::mal.range)::text} ],
	)),
	(map {
		my ($type) = @$_;
		map {
			my $operator = $_;
			my $name = "mal." . { '=' => 'eq', '<>' => 'ne', '||' => 'cat', '@>' => 'has' }->{$operator} . "_$type" =~ s/\W/_/gr;
			[ qq{CREATE FUNCTION $name($type, $type) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS \$\$ BEGIN RETURN mal.sing('operator $operator of $type'); END \$\$;
				CREATE OPERATOR mal.$operator (FUNCTION = $name, LEFTARG = $type, RIGHTARG = $type)},
				"SELECT x OPERATOR(mal.$operator) x FROM (SELECT NULL::$type) t (x)" ]
		} '=', '<>'
	} [ 'int' ], [ 'text' ], [ 'name' ], [ 'oid' ], [ 'mal.hue' ], [ 'mal.comp' ]),
	(map {
		my ($signature, $type, $value, $call) = @$_;
		my $name = $signature =~ s/\(.*//r;
		[ qq{CREATE FUNCTION mal.$signature RETURNS $type STABLE LANGUAGE plpgsql AS \$\$ BEGIN PERFORM mal.sing('function $name of the search path'); RETURN $value; END \$\$}, "SELECT mal.$call" ]
	} (
		[ 'now()', 'timestamptz', 'pg_catalog.now()', 'now()' ],
		[ 'lower(text)', 'text', '$1', q{lower('x')} ],
		[ 'format(text, text)', 'text', '$1', q{format('x'::text, 'y'::text)} ],
		[ 'pg_get_userbyid(oid)', 'name', q{'mal'}, 'pg_get_userbyid(1::oid)' ],
		[ 'has_table_privilege(oid, text)', 'boolean', 'true', q{has_table_privilege(1::oid, 'SELECT')} ],
		[ 'measure(numeric)', 'numeric', '$1', 'measure(1)' ],
	)),
	[ q{CREATE FUNCTION mal.sum_step(bigint, int) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM mal.sing('transition of an aggregate'); RETURN $1 OPERATOR(pg_catalog.+) $2; END $$;
		CREATE FUNCTION mal.sum_end(bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM mal.sing('end of an aggregate'); RETURN $1; END $$;
		CREATE FUNCTION mal.sum_join(bigint, bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN $1 OPERATOR(pg_catalog.+) $2; END $$;
		CREATE AGGREGATE mal.total(int) (SFUNC = mal.sum_step, STYPE = bigint, INITCOND = '0', FINALFUNC = mal.sum_end, COMBINEFUNC = mal.sum_join, PARALLEL = SAFE)},
		'SELECT mal.total(1)' ],
	[ q{CREATE FUNCTION mal.by_default(i int, j int DEFAULT mal.folded('default of an argument')) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT i'}, 'SELECT mal.by_default(1)' ],
	[ q{CREATE FUNCTION mal.inlined(i int) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT mal.pure('body of a function that is inlined', i) $$}, 'SELECT mal.inlined(1)' ],
	[ q{CREATE FUNCTION mal.atomic(i int) RETURNS int IMMUTABLE BEGIN ATOMIC SELECT mal.pure('atomic body of a function', i); END}, 'SELECT mal.atomic(1)' ],
	[ q{CREATE FUNCTION mal.rows() RETURNS TABLE (id int, k int, region text, at date, v int) STABLE LANGUAGE sql AS
		$$ SELECT i, i % 4, 'r' || i % 2, date '2026-01-01' + 7 * i, mal.pure('function in FROM', i) FROM generate_series(1, 8) i $$}, 'SELECT * FROM mal.rows()' ],
);

our @types = (
	[ hue => '1' ], [ shade => '1' ], [ dom => '1' ], [ textdom => 'r1' ], [ huge => '1' ], [ comp => '(1)' ], [ nest => '(1,"(1)")' ],
	[ compdom => '(1)' ], [ range => '[1,2)' ], [ domrange => '[1,2)' ]);

# Tables: [name, statements of mal (T is the table), what sets the canary off]. All are made alike before.
our @tables = (
	[ plain => '', '' ],
	[ defaults => q{ALTER TABLE T ADD h int DEFAULT mal.steady('default of a column')}, 'INSERT INTO T (id) VALUES (100)' ],
	[ checks => q{ALTER TABLE T ADD CHECK (mal.pure_true('check of a table', v))}, 'UPDATE T SET v = v' ],
	[ generated => q{ALTER TABLE T ADD g int GENERATED ALWAYS AS (mal.pure('generated column', v)) STORED}, 'UPDATE T SET v = v' ],
	[ indexed => q{CREATE INDEX ON T (mal.pure('expression of an index', k))}, 'UPDATE T SET k = k + 1' ],
	[ index_folds => q{CREATE INDEX ON T ((k + mal.folded('expression of an index, folded')))}, 'SELECT * FROM T WHERE k = 1' ],
	[ partly => q{CREATE INDEX ON T (k) WHERE mal.pure_true('predicate of an index', k)}, 'UPDATE T SET k = k + 1' ],
	[ part_folds => q{CREATE INDEX ON T (k) WHERE mal.folded('predicate of an index, folded') = 1}, 'SELECT * FROM T WHERE k = 1' ],
	[ sampled => q{CREATE STATISTICS mal.sample ON mal.pure('extended statistics', k), region FROM T}, 'ANALYZE T' ],
	[ policed => q{ALTER TABLE T ENABLE ROW LEVEL SECURITY; ALTER TABLE T FORCE ROW LEVEL SECURITY; CREATE POLICY p ON T USING (mal.sing('policy'))}, 'SELECT * FROM T' ],
	[ police_folds => q{ALTER TABLE T ENABLE ROW LEVEL SECURITY; ALTER TABLE T FORCE ROW LEVEL SECURITY; CREATE POLICY p ON T USING (mal.folded('policy, folded') = 1)}, 'SELECT * FROM T' ],
	[ police_reads => q{ALTER TABLE T ENABLE ROW LEVEL SECURITY; ALTER TABLE T FORCE ROW LEVEL SECURITY; CREATE POLICY p ON T USING ('(1)'::mal.comp IS NOT NULL)}, '' ],
	[ mimicry => q{ALTER TABLE T ENABLE ROW LEVEL SECURITY; CREATE POLICY kpi_open ON T USING (true);
		CREATE POLICY kpi_scope_of_hue ON T AS RESTRICTIVE USING (mal.sing('policy with the name of a scope')); CREATE POLICY kpi_scope_of_comp ON T AS RESTRICTIVE USING ('(1)'::mal.comp IS NOT NULL);
		CREATE POLICY kpi_scope_of_dom ON T AS RESTRICTIVE USING (true); CREATE POLICY "kpi_scope_no such" ON T AS RESTRICTIVE USING (true); ALTER TABLE T FORCE ROW LEVEL SECURITY}, 'SELECT * FROM T' ],
	[ fired => join(';', map {
			my ($when, $level) = @$_;
			qq{CREATE TRIGGER "A $when $level" $when INSERT OR UPDATE OR DELETE ON T FOR EACH $level EXECUTE FUNCTION mal.fire('trigger $when $level'); ALTER TABLE T ENABLE ALWAYS TRIGGER "A $when $level"}
		} [ 'BEFORE', 'ROW' ], [ 'BEFORE', 'STATEMENT' ], [ 'AFTER', 'ROW' ], [ 'AFTER', 'STATEMENT' ]), 'UPDATE T SET v = v' ],
	[ ruled => q{CREATE RULE "A" AS ON INSERT TO T DO ALSO SELECT mal.sing('rule on insert'); CREATE RULE "B" AS ON UPDATE TO T DO ALSO SELECT mal.sing('rule on update')}, 'INSERT INTO T (id) VALUES (100); UPDATE T SET v = v' ],
	[ parent => q{CREATE TABLE mal.child (CHECK (mal.pure_true('check of a child', v))) INHERITS (T); INSERT INTO mal.child SELECT 20 + id, k, region, at, v FROM T}, 'UPDATE mal.child SET v = v' ],
	[ types => join(';', (map { my ($type, $value) = @$_; "ALTER TABLE T ADD $type mal.$type; UPDATE T SET $type = '$value' WHERE id = 1; CREATE UNIQUE INDEX ON T ($type)" } @types), 'CREATE UNIQUE INDEX ON T (hue, id)'), '' ],
	[ q{"it's; $$ ""x"" -- x"} => q{ALTER TABLE T ADD "k""'; SELECT mal.sing('name of a column') --" int DEFAULT 1; COMMENT ON TABLE T IS '''; SELECT mal.sing(''comment''); --'}, '' ],
);

# Relations that are no such tables: [name, statements, what sets the canary off]
our @views = (
	[ v_plain => 'CREATE VIEW V AS SELECT * FROM mal.plain', '' ],
	[ v_calls => q{CREATE VIEW V AS SELECT id, mal.pure('column of a view', k) AS k, region, at, v FROM mal.plain}, 'TABLE V' ],
	[ v_where => q{CREATE VIEW V AS SELECT * FROM mal.plain WHERE mal.pure_true('condition of a view', k)}, 'TABLE V' ],
	[ v_folds => q{CREATE VIEW V AS SELECT id, k + mal.folded('column of a view, folded') - 1 AS k, region, at, v FROM mal.plain WHERE mal.steady('condition of a view, estimated') = 1}, 'TABLE V' ],
	[ v_literal => q{CREATE VIEW V AS SELECT * FROM mal.plain WHERE '(1)'::mal.comp IS NOT NULL AND '1'::mal.dom > 0}, 'TABLE V' ],
	[ v_invoker => q{CREATE VIEW V WITH (security_invoker) AS SELECT id, mal.pure('view with the rights of its reader', k) AS k, region, at, v FROM mal.policed}, 'TABLE V' ],
	[ v_barrier => q{CREATE VIEW V WITH (security_barrier) AS SELECT id, mal.pure('view with a barrier', k) AS k, region, at, v FROM mal.plain}, 'TABLE V' ],
	[ v_ruled => q{CREATE VIEW V AS SELECT id, mal.pure('view with a rule before _RETURN', k) AS k, region, at, v FROM mal.plain; CREATE RULE "A" AS ON INSERT TO V DO INSTEAD SELECT mal.sing('rule of a view')}, 'TABLE V; INSERT INTO V (id) VALUES (1)' ],
	[ v_instead => q{CREATE VIEW V AS SELECT * FROM mal.plain; CREATE TRIGGER "A" INSTEAD OF INSERT ON V FOR EACH ROW EXECUTE FUNCTION mal.fire('trigger instead'); ALTER VIEW V ALTER v SET DEFAULT mal.steady('default of a view')}, 'INSERT INTO V (id) VALUES (1)' ],
	[ v_rows => 'CREATE VIEW V AS SELECT * FROM mal.rows()', '' ],
	[ v_types => 'CREATE VIEW V AS SELECT * FROM mal.types', '' ],
	[ stored => q{CREATE MATERIALIZED VIEW V AS SELECT id, mal.pure('materialized view', k) AS k, region, at, v FROM mal.plain}, 'REFRESH MATERIALIZED VIEW V' ],
	[ parts => q{CREATE TABLE V (id int, k int, region text, at date, v int) PARTITION BY LIST (mal.pure('key of partitions', k)); CREATE TABLE mal.parts_1 PARTITION OF V DEFAULT;
		INSERT INTO V SELECT * FROM mal.plain}, 'INSERT INTO V (k) VALUES (2)' ],
	[ parted => q{CREATE TABLE V (id int, k int, region text, at date, v int) PARTITION BY LIST (k); CREATE TABLE mal.parted_1 PARTITION OF V FOR VALUES IN (1); CREATE TABLE mal.parted_2 PARTITION OF V DEFAULT;
		INSERT INTO V SELECT * FROM mal.plain}, '' ],
);

our @relations = ((map { "mal.$_->[0]" } @tables, @views), 'mal.child', 'mal.parts_1', 'mal.parted_1', 'mal.parted_2');

# Metrics: [name, definition, what create_metric gets beside it]
our @metrics = (
	[ m_total => 'SELECT mal.total(v) FROM mal.plain', '' ],
	[ m_calls => q{SELECT sum(mal.pure('expression of a metric', v)) FROM mal.plain}, '' ],
	[ m_where => q{SELECT sum(v) FROM mal.plain WHERE mal.pure_true('condition of a metric', k)}, '' ],
	[ m_folds => q{SELECT sum(v) * mal.folded('expression of a metric, folded') FROM mal.plain WHERE k < 3 + mal.steady('condition of a metric, estimated')}, '' ],
	[ m_literal => q{SELECT sum(v) FROM mal.plain WHERE '(1)'::mal.comp IS NOT NULL AND '1'::mal.dom > 0}, '' ],
	[ m_few => q{SELECT sum(v) FROM mal.plain WHERE '(1)'::mal.comp IS NOT NULL AND mal.pure_true('condition of a metric with a limit', k)}, ', min_group_rows => 2' ],
	[ m_default => 'SELECT sum(mal.by_default(v) + mal.inlined(v) + mal.atomic(v)) FROM mal.plain', '' ],
	[ m_dom => 'SELECT (max(v) % 3)::mal.dom FROM mal.plain', '' ],
	[ m_huge => 'SELECT sum(v)::mal.huge FROM mal.plain', '' ],
	[ m_hue => q{SELECT count(hue) FROM mal.types WHERE hue = 1}, '' ],
	[ m_comp => q{SELECT count(comp) FROM mal.types WHERE comp = '(1)'}, '' ],
	[ m_ratio => q{SELECT round(sum(mal.pure('numerator of a metric', v))::numeric / nullif(count(*), 0), 2) FROM mal.plain}, '' ],
	[ m_derived => q{SELECT m_calls + mal.pure('expression of a derived metric', m_where::int) FROM mal.m_calls, mal.m_where}, '' ],
	[ m_derived_literal => q{SELECT m_calls + ('(1)'::mal.comp).a FROM mal.m_calls}, '' ],
	[ m_narrow => q{SELECT kpi.measure(m_plain) FROM mal.mv_plain WHERE mal.pure_true('condition of a narrowed metric', k)}, '' ],
	[ m_narrow_literal => q{SELECT kpi.measure(m_plain) FROM mal.mv_plain WHERE '(1)'::mal.comp IS NOT NULL}, ', min_group_rows => 2' ],
);

# What mal does to metrics and dimensions behind the extension's back, and markers made by hand
our @behind = (
	q{CREATE OR REPLACE VIEW mal.m_replaced AS SELECT sum(v) AS m_replaced FROM mal.plain WHERE '(1)'::mal.comp IS NOT NULL AND mal.folded('metric replaced') = 1},
	q{CREATE RULE "A" AS ON INSERT TO mal.m_ruled DO INSTEAD SELECT mal.sing('rule of a metric')},
	q{ALTER VIEW mal.m_defaults ALTER m_defaults SET DEFAULT mal.steady('default of a metric')},
	q{CREATE VIEW mal.hand AS SELECT id, mal.pure('dimension made by hand', k) AS k, region, at, kpi.metric_column('mal.m_plain'::regclass, NULL::bigint) AS m_plain FROM mal.plain WHERE '(1)'::mal.comp IS NOT NULL},
	q{CREATE VIEW mal.hand_types AS SELECT k, region, at, kpi.metric_column('mal.m_dom'::regclass, NULL::mal.dom) AS m_dom, kpi.metric_column('mal.m_hue'::regclass, NULL::mal.hue) AS m_hue FROM mal.types},
	q{CREATE VIEW mal.hand_name AS SELECT k, region, at, kpi.metric_column((ARRAY['mal.m_plain'::regclass])[mal.folded('metric named by a function')], NULL::bigint) AS m_plain FROM mal.plain},
	q{CREATE VIEW mal.hand_value AS SELECT k, region, at, kpi.metric_column('mal.m_plain'::regclass, mal.folded('type of a marker')::bigint) AS m_plain FROM mal.plain},
	q{CREATE VIEW mal.hand_null AS SELECT k, region, at, kpi.metric_column(NULL::regclass, NULL::bigint) AS m_plain FROM mal.plain},
	q{CREATE VIEW mal.hand_stranger AS SELECT k, region, at, kpi.metric_column('shop.revenue'::regclass, NULL::numeric) AS revenue FROM mal.plain},
	# the views of dimensions belong to mal, too
	q{CREATE OR REPLACE VIEW mal.t_defaults_dimension AS SELECT mal.pure('key of a dimension, replaced', id) AS id, mal.pure_text('level of a dimension, replaced', region) AS region FROM mal.defaults},
	q{CREATE OR REPLACE VIEW mal.t_checks_dimension AS SELECT id, region FROM mal.checks WHERE '(1)'::mal.comp IS NOT NULL AND mal.folded('dimension replaced') = 1},
	q{CREATE OR REPLACE VIEW mal.t_generated_dimension AS SELECT g AS id, region FROM mal.v_instead, LATERAL (SELECT mal.pure('dimension over a view', id) AS g) s},
	q{CREATE RULE "A" AS ON INSERT TO mal.t_sampled_dimension DO INSTEAD SELECT mal.sing('rule of a dimension')},
	'ALTER VIEW mal.t_indexed_dimension SET (security_invoker)', 'ALTER TABLE mal.ruled RENAME region TO area', 'CREATE TABLE mal.later () INHERITS (mal.fired)',
	q{CREATE TRIGGER t_index_folds_row AFTER INSERT OR UPDATE OR DELETE ON mal.index_folds FOR EACH ROW EXECUTE FUNCTION mal.fire('trigger of a dimension')},
	q{CREATE OR REPLACE TRIGGER t_partly_dimension AFTER UPDATE ON mal.partly FOR EACH STATEMENT EXECUTE FUNCTION mal.fire('trigger of a dimension, replaced')},
	# the dimension's table and its view have different owners: row security binds the reader of the one
	(map { ("GRANT SELECT ON mal.$_ TO mal_too", "ALTER VIEW mal.t_${_}_dimension OWNER TO mal_too") } qw(policed police_folds police_reads partly)),
);

# Before each victim, for a victim's statement may put it right: policies of another's making that are parsed again (finding R1), and
# changes of tracked tables
our @again = (
	q{ALTER POLICY kpi_scope_t_plain ON mal.parted USING ('(1)'::mal.comp IS NOT NULL)},
	q{DROP POLICY kpi_scope_t_plain ON mal.parted_1},
	q{ALTER POLICY kpi_scope_t_plain ON mal.parts USING ((1)::mal.comp IS NOT NULL AND mal.folded('policy of a scope, altered') = 1)},
	q{DROP POLICY kpi_scope_t_plain ON mal.parts_1},
	q{ALTER POLICY kpi_scope_t_plain ON mal.parent USING ('1'::mal.dom > 0)},
	q{DROP POLICY kpi_scope_t_plain ON mal.child},
	'UPDATE mal.plain SET v = v', 'UPDATE mal.types SET v = v', 'UPDATE mal.mimicry SET v = v',
);

# Names that want to be more than names
our @odd_names = ("x'); SELECT mal.sing('name of a dimension'); --", qq{x"; SELECT mal.sing('quoted name of a dimension'); --}, "two\nlines", 'x\\\'', '$1', 'store%s');

sub _literal { my ($text) = @_; return "'" . $text =~ s/'/''/gr . "'"; }

# Statements by which mal lets kpitables know of all that, and grants scopes to some roles
sub registrations
{
	my (@grantees) = @_;
	my @all;
	for my $table (@tables)
	{
		my ($name) = @$table;
		my $plain = $name =~ /^\w+$/ ? $name : 'odd';
		push @all, "SELECT kpi.create_dimension('t_$plain', " . _literal("mal.$name") . ", 'id', '{region}')";
	}
	push @all, "SELECT kpi.create_dimension('t_view', 'mal.v_calls', 'id', '{region}')", "SELECT kpi.create_dimension('t_child', 'mal.child', 'id', '{region}')",
	  "SELECT kpi.create_dimension('t_part', 'mal.parted_2', 'id', '{region}')";
	for my $type (@types)
	{
		my ($name) = @$type;
		push @all, "SELECT kpi.create_dimension('of_$name', type => 'mal.$name')", "SELECT kpi.create_dimension('key_$name', 'mal.types', '$name', '{region}')",
		  "SELECT kpi.create_dimension('level_$name', 'mal.types', 'id', '{$name}')";
	}
	push @all, map { 'SELECT kpi.create_dimension(' . _literal('"' . s/"/""/gr . '"') . ", type => 'int')" } @odd_names;

	# a member of everything for everybody, by key and by level
	for my $role (@grantees)
	{
		push @all, map { "SELECT kpi.grant_scope('$role', " . _literal($_) . ", members => '{1,2}')" } (map { 't_' . ($_->[0] =~ /^\w+$/ ? $_->[0] : 'odd') } @tables), @odd_names;
		push @all, map { "SELECT kpi.grant_scope('$role', 't_" . ($_->[0] =~ /^\w+$/ ? $_->[0] : 'odd') . "', 'region', '{r1}')" } @tables;
		for my $type (@types)
		{
			my ($name, $value) = @$type;
			my $member = "ARRAY['" . $value . "']";
			push @all, "SELECT kpi.grant_scope('$role', 'of_$name', members => $member)", "SELECT kpi.grant_scope('$role', 'key_$name', members => $member)",
			  "SELECT kpi.grant_scope('$role', 'key_$name', 'region', '{r1}')", "SELECT kpi.grant_scope('$role', 'level_$name', '$name', $member)";
		}
	}

	# tables that are tracked and obey the dimensions
	for my $relation (map { "mal.$_->[0]" } @tables, grep { $_->[0] !~ /^v_/ } @views)
	{
		push @all, 'SELECT kpi.protect(' . _literal($relation) . ", 't_plain', 'k')", 'SELECT kpi.track(' . _literal($relation) . ", 'at')";
	}
	for my $type (@types)
	{
		my ($name, $value) = @$type;
		my $table = "mal.by_$name";
		push @all, "CREATE TABLE $table (k mal.$name, i int, t text, at date)", "SELECT kpi.protect('$table', 'of_$name', 'k')", "SELECT kpi.track('$table', 'at')",
		  "INSERT INTO $table VALUES ('$value', 1, 'r1', '2026-01-05')",
		  "CREATE TABLE ${table}_int (k int, at date)", "SELECT kpi.protect('${table}_int', 'of_$name', 'k')", "SELECT kpi.track('${table}_int', 'at')",
		  "INSERT INTO ${table}_int VALUES (1, '2026-01-05')";
	}

	push @all, q{CREATE DOMAIN mal.moment AS date CHECK (mal.sing('check of a time'))}, 'CREATE TABLE mal.timed (k int, at mal.moment)', q{SELECT kpi.track('mal.timed', 'at')},
	  q{INSERT INTO mal.timed VALUES (1, '2026-01-01')};

	# metrics and metric views over every relation, and of every kind
	for my $relation (@relations)
	{
		my $name = $relation =~ s/^mal\.//r;
		$name = 'odd' unless $name =~ /^\w+$/;
		push @all, "SELECT kpi.create_metric('mal.m_$name', " . _literal("SELECT sum(v) FROM $relation") . ')',
		  "SELECT kpi.create_metric_view('mal.mv_$name', '{k, region, at}', '{mal.m_$name}')";
	}
	push @all, map { "SELECT kpi.create_metric('mal.$_', 'SELECT sum(v) FROM mal.plain')" } 'm_replaced', 'm_ruled_too';
	push @all, "SELECT kpi.create_metric_view('mal.mv_replaced', '{k, region, at}', '{mal.m_replaced}')";
	push @all, map { my ($name, $definition, $more) = @$_; "SELECT kpi.create_metric('mal.$name', " . _literal($definition) . "$more)" } @metrics;
	push @all, map { "SELECT kpi.create_metric_view('mal.mv_$_->[0]', '{k, region, at}', '{mal.$_->[0]}')" } @metrics;
	push @all, q{SELECT kpi.create_metric_view('mal.mv_all', ARRAY['k', 'at', $$mal.pure_text('dimension of a metric view', region) AS region$$, $$('(1)'::mal.comp).a + mal.folded('dimension, folded') AS x$$], }
	  . q{'{mal.m_plain, mal.m_total, mal.m_dom, mal.m_derived}')},

	  # texts and names that end up in comments, pictures and statements
	  q{SELECT kpi.create_metric('mal."m''; SELECT mal.sing(''name''); --"', 'SELECT sum(v) FROM mal.plain', label => '''; SELECT mal.sing(''label''); --', description => '''; SELECT mal.sing(''description''); --', unit => '$$', tags => '{"''; --"}')},
	  q{SELECT kpi.create_metric_view('mal."mv""; SELECT mal.sing(''name''); --"', ARRAY['at', 'region AS "r''; SELECT mal.sing(''name''); --"'], ARRAY['mal."m''; SELECT mal.sing(''name''); --" AS "x""; --"'], label => '''; SELECT mal.sing(''label''); --')},

	  # finding R20: an honest metric, published by a stranger
	  q{SELECT kpi.create_metric_view('mal.revenue', ARRAY['k', 'region', 'at', $$mal.pure_text('dimension of an honest metric', region) AS quarter$$], '{shop.revenue}')},
	  q{SELECT kpi.create_metric('mal.m_revenue', 'SELECT revenue + mal.folded(''derived from an honest metric'') FROM shop.revenue')};
	return @all;
}

# What ends a server that trusts it, or leads it in circles: statements of mal, in a session of its own; if there is an answer, the
# last line that they print must match it
our @crashers = (
	{ name => 'R6: a key that is an array', sql => [ q{SELECT kpi.create_dimension('crash_array', type => 'int[]')}, q{SELECT kpi.grant_scope('mal', 'crash_array', members => ARRAY['{1}', '{2}'])}, q{SELECT kpi.in_scope('crash_array', ARRAY[1])} ] },
	{ name => 'R6: a key that is an array of composites', sql => [ q{SELECT kpi.create_dimension('crash_comps', type => 'mal.comp[]')}, q{SELECT kpi.grant_scope('mal', 'crash_comps', members => ARRAY['{(1)}', '{(2)}'])}, q{SELECT kpi.in_scope('crash_comps', ARRAY[ROW(1)::mal.comp])} ] },
	{ name => 'R6: a key that is a vector', sql => [ q{SELECT kpi.create_dimension('crash_vector', type => 'int2vector')}, q{SELECT kpi.grant_scope('mal', 'crash_vector', members => '{1,2}')}, q{SELECT kpi.in_scope('crash_vector', '1'::int2vector)} ] },
	{ name => 'R3: a marker that promises another type', sql => [ 'CREATE TABLE mal.src (g int, a bigint)', 'INSERT INTO mal.src VALUES (1, 8)', q{SELECT kpi.create_metric('mal.crash_n', 'SELECT max(a) FROM mal.src')},
		q{CREATE VIEW mal.crash_hand AS SELECT g, kpi.metric_column('mal.crash_n'::regclass, NULL::bytea) AS c FROM mal.src}, q{SELECT kpi.create_metric('mal.crash_deref', 'SELECT substr(kpi.measure(c), 1, 64) FROM mal.crash_hand')},
		q{SELECT kpi.create_metric_view('mal.crash_mv', '{g}', '{mal.crash_deref}')}, 'SELECT kpi.measure(crash_deref) FROM mal.crash_mv' ] },
	{ name => 'A1: the limit of a metric whose view is a union', sql => [ q{SELECT kpi.create_metric('mal.crash_union', 'SELECT sum(v)::numeric FROM mal.plain', min_group_rows => 2)},
		'CREATE OR REPLACE VIEW mal.crash_union AS SELECT 1::numeric AS crash_union UNION ALL SELECT 2', q{SELECT kpi.alter_metric('mal.crash_union', min_group_rows => 0)} ] },
	# R4: what is computed for one dimension changes another one, and asks it
	{ name => 'R4: a scope that is computed while another one is', answer => qr/^(?:0|10)?$/, sql => [ map({ my ($name, $type, $many) = @$_; ("CREATE TABLE mal.$name (id $type PRIMARY KEY, region text)", "INSERT INTO mal.$name SELECT i, 'r' || i % $many FROM generate_series(1, 50) i",
			"SELECT kpi.create_dimension('$name', 'mal.$name', 'id', '{region}')", "SELECT kpi.grant_scope('mal', '$name', 'region', '{r1}')") } [ 'crash_inner', 'text', 2 ], [ 'crash_outer', 'int', 5 ]),
		q{CREATE FUNCTION mal.storm() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN IF pg_catalog.current_setting('mal.storm', true) OPERATOR(pg_catalog.=) 'on' THEN PERFORM mal.gale(); END IF; RETURN true; END $$},
		q{CREATE FUNCTION mal.gale() RETURNS void LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..3 LOOP UPDATE mal.crash_inner SET region = region; PERFORM kpi.in_scope('crash_inner', i::text); END LOOP; END $$},
		'CREATE INDEX ON mal.crash_outer (id) WHERE mal.storm()', q{SET mal.storm = 'on'}, 'DISCARD PLANS', q{SELECT kpi.in_scope('crash_outer', i) FROM generate_series(1, 50) i}, q{SELECT count(*) FILTER (WHERE kpi.in_scope('crash_outer', i)) FROM generate_series(1, 50) i} ] },
	{ name => 'R4: a scope whose members are of a type that asks for another scope', answer => qr/^(?:0|10)?$/, sql => [ q{CREATE FUNCTION mal.squall(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN IF pg_catalog.current_setting('mal.storm', true) OPERATOR(pg_catalog.=) 'on' THEN PERFORM mal.gale(); END IF; RETURN true; END $$},
		'CREATE DOMAIN mal.stormdom AS int CHECK (mal.squall(VALUE))', 'CREATE TYPE mal.stormcomp AS (a mal.stormdom)', 'CREATE TABLE mal.crash_typed (id int PRIMARY KEY, region mal.stormcomp)', q{INSERT INTO mal.crash_typed SELECT i, ROW(i % 5)::mal.stormcomp FROM generate_series(1, 50) i},
		q{SELECT kpi.create_dimension('crash_typed', 'mal.crash_typed', 'id', '{region}')}, q{SELECT kpi.grant_scope('mal', 'crash_typed', 'region', '{(1)}')}, q{SET mal.storm = 'on'},
		q{SELECT count(*) FILTER (WHERE kpi.in_scope('crash_typed', i)) FROM generate_series(1, 50) i}, q{SELECT count(*) FILTER (WHERE kpi.in_scope('crash_typed', i)) FROM generate_series(1, 50) i} ] },
	{ name => 'R4: a scope that needs itself', sql => [ 'CREATE TABLE mal.crash_self (id int PRIMARY KEY, region text)', q{SELECT kpi.create_dimension('crash_self', 'mal.crash_self', 'id', '{region}')}, q{SELECT kpi.grant_scope('mal', 'crash_self', 'region', '{r1}')},
		q{CREATE FUNCTION mal.again() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN kpi.in_scope('crash_self', 1); END $$}, 'INSERT INTO mal.crash_self SELECT i FROM generate_series(1, 50) i', 'CREATE INDEX ON mal.crash_self (id) WHERE mal.again() IS NOT NULL', q{SELECT kpi.in_scope('crash_self', 1)} ] },
	# R9: the key is taken while a statement is noted, and that changes the table
	{ name => 'R9: a table that changes while a statement is noted', sql => [ 'CREATE TABLE mal.crash_parent (k int, v int)', 'CREATE TABLE mal.crash_child () INHERITS (mal.crash_parent)', 'CREATE TYPE mal.crash_key AS (a int)', q{CREATE TABLE mal.crash_once (i int)},
		q{CREATE FUNCTION mal.to_key(int) RETURNS mal.crash_key LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM mal.side(); RETURN ROW($1)::mal.crash_key; END $$},
		'CREATE CAST (int AS mal.crash_key) WITH FUNCTION mal.to_key(int) AS IMPLICIT', q{SELECT kpi.create_dimension('crash_r9', type => 'mal.crash_key')}, map({ "SELECT kpi.create_dimension('crash_e$_', type => 'int')" } 1 .. 6),
		q{SELECT kpi.protect('mal.crash_child', 'crash_r9', 'k')}, map({ "CREATE POLICY kpi_scope_crash_e$_ ON mal.crash_child AS RESTRICTIVE USING (true)" } 1 .. 6), q{SELECT kpi.track('mal.crash_child')},
		q{CREATE FUNCTION mal.side() RETURNS void LANGUAGE plpgsql AS $$ BEGIN IF NOT EXISTS (SELECT FROM mal.crash_once) THEN INSERT INTO mal.crash_once VALUES (1);
			FOR i IN 1..6 LOOP PERFORM kpi.protect('mal.crash_parent', 'crash_e' || i, 'v'); END LOOP; CREATE POLICY zz ON mal.crash_child; INSERT INTO mal.crash_child VALUES (1, 1); END IF; END $$},
		'INSERT INTO mal.crash_child SELECT g, 1 FROM generate_series(1, 50) g', 'SELECT members FROM kpi.data_change' ] },
);

sub places
{
	my %seen;
	for my $sql ($voice, (map { $_->[0] } @places), (map { $_->[1] } @tables, @views))
	{
		$seen{$1} = 1 while $sql =~ /\b(?:sing|pure|pure_text|pure_true|folded|steady|fire)\('([^']+)'/g;
	}
	delete $seen{$_} for 'trigger that waited', 'cursor left behind', 'statement left behind', 'role taken', 'session authorization taken', 'name of a column';
	my @names = sort keys %seen;
	return @names;
}

# All that mal makes without kpitables, and what sets it off
sub _filled { my ($sql, $name) = @_; return $sql =~ s/\b[TV]\b(?= |$|;|\))/mal.$name/gr; }

sub objects
{
	my $sql = $voice . join ";\n", map { $_->[0] } @places;
	for my $table (@tables)
	{
		my ($name, $more) = @$table;
		$sql .= ";\nCREATE TABLE mal.$name (id int PRIMARY KEY, k int, region text, at date, v int);"
		  . "INSERT INTO mal.$name SELECT i, i % 4, 'r' || i % 2, date '2026-01-01' + 7 * i, i FROM generate_series(1, 8) i;\n" . _filled($more, $name);
	}
	$sql .= ";\n" . join ";\n", map { _filled($_->[1], $_->[0]) } @views;
	return "$sql;\nGRANT ALL ON ALL TABLES IN SCHEMA mal TO PUBLIC;\n";
}

sub uses
{
	return grep { $_ ne '' } (map { $_->[1] } @places), (map { _filled($_->[2], $_->[0]) } @tables, @views);
}

1;
