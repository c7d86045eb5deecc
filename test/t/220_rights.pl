# S7: nobody's code runs with another's rights. Faults once found by attack (R1, R2, R3, R5, R6, R20, R22, N1, N2) and by
# reading (A1, A5, A6, C8), each with others of its kind.
#
# FINDING=pattern runs those whose name matches. Contract: starts a server of its own.
use strict;
use warnings;
use Test::More;
use Findings;

start('rights');

# What a session's settings are before and after a statement
sub keeps_settings
{
	my ($role, $statement, $what) = @_;
	my @settings = split /\n/, sql($role, "SHOW search_path; SHOW work_mem;\n\\o /dev/null\n$statement;\n\\o\nSHOW search_path; SHOW work_mem");
	is("@settings[2, 3]", "@settings[0, 1]", $what) or diag("@settings");
	return;
}

# A dimension, grants and a protected table as an older version let them be made
sub older_dimension
{
	my ($name, $type, $members) = @_;
	setup('rt_boss', qq{
		INSERT INTO kpi.dimension_registry (name, type, owner) VALUES ('$name', '$type', 'rt_mal');
		INSERT INTO kpi.scope_grant (grantee, dimension, level, members, granted_by) VALUES ('rt_victim', '$name', 1, '$members', 'rt_mal'), ('rt_mal', '$name', 1, '$members', 'rt_mal')});
	setup('rt_mal', qq{
		CREATE TABLE mal.t (k $type);
		CREATE POLICY kpi_open ON mal.t USING (kpi.within_scopes()) WITH CHECK (kpi.within_scopes());
		CREATE POLICY kpi_scope_$name ON mal.t AS RESTRICTIVE FOR SELECT USING (kpi.in_scope('$name', k));
		ALTER TABLE mal.t ENABLE ROW LEVEL SECURITY;
		ALTER TABLE mal.t FORCE ROW LEVEL SECURITY;
		GRANT SELECT ON mal.t TO PUBLIC});
	setup('rt_boss', qq{INSERT INTO kpi.protection_registry SELECT * FROM jsonb_populate_record(NULL::kpi.protection_registry,
		'{"relid": "mal.t", "dimension": "$name", "attname": "k", "attnum": 1, "expression": "kpi.in_scope(''$name'', k)", "writes": false}')});
	return;
}

# R1: what an event trigger does for a command
my $trap = q{
	SELECT kpi.create_dimension('d', type => 'int');
	CREATE TABLE mal.p (k int) PARTITION BY LIST (k);
	CREATE TABLE mal.c PARTITION OF mal.p FOR VALUES IN (1);
	SELECT kpi.protect('mal.p', 'd', 'k');
	ALTER POLICY kpi_scope_d ON mal.p USING ('(1)'::mal.comp IS NOT NULL);
	DROP POLICY kpi_scope_d ON mal.c};

finding 'R1 S7: CREATE TABLE of a superuser touches nothing but its own family' => sub {
	setup('rt_mal', $trap);
	is(sql('rt_boss', 'CREATE TABLE public.anything (i int)'), '', 'the table is made');
	is(strangers(), '', 'no policy of another table is parsed');
	is(sql('rt_boss', q{SELECT count(*) FROM pg_policy WHERE polrelid = 'mal.c'::regclass AND polname = 'kpi_scope_d'}), '0', 'nor made');
};

finding 'R1 S7: nor does that of a member of the role' => sub {
	setup('rt_mal', $trap);
	setup('rt_mal', 'GRANT CREATE ON SCHEMA mal TO rt_member');
	is(sql('rt_member', 'CREATE TABLE mal.anything (i int)'), '', 'the table is made');
	is(strangers(), '', 'no policy of another table is parsed');
};

finding 'R1 S7: nor ALTER TABLE, CREATE TABLE AS and CREATE FOREIGN TABLE' => sub {
	setup('rt_mal', $trap);
	setup('rt_boss', 'CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing; CREATE TABLE public.mine (i int)');
	is(sql('rt_boss', 'ALTER TABLE public.mine ADD j int; CREATE TABLE public.more AS SELECT 1 AS i; CREATE FOREIGN TABLE public.far (i int) SERVER far; ALTER FOREIGN TABLE public.far ADD j int'), '', 'all of them work');
	is(strangers(), '', 'no policy of another table is parsed');
};

finding 'R1 S7: a partition that a superuser adds gets its policy from the registry' => sub {
	setup('rt_mal', $trap);
	is(sql('rt_boss', 'CREATE TABLE mal.c2 PARTITION OF mal.p FOR VALUES IN (2)'), '', 'the partition is made');
	is(strangers(), '', 'the policy in force is not parsed');
	is(sql('rt_boss', q{SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = 'mal.c2'::regclass AND polname = 'kpi_scope_d'}), q{kpi.in_scope('d'::text, k)}, 'it is what kpi.protect() meant');
};

for my $change ([ 'alter_metric(min_group_rows)', q{kpi.alter_metric('mal.m', min_group_rows => 3)} ], [ 'alter_metric(definition)', q{kpi.alter_metric('mal.m', definition => 'SELECT count(*) FROM mal.t')} ],
	[ 'alter_metric(description)', q{kpi.alter_metric('mal.m', description => 'x')} ], [ 'alter_metric_view(add)', q{kpi.alter_metric_view('mal.v', add_dimensions => '{b}')} ],
	[ 'alter_metric_view(drop)', q{kpi.alter_metric_view('mal.v', drop_dimensions => '{c}')} ], [ 'alter_metric_view(rename)', q{kpi.alter_metric_view('mal.v', rename => '{c AS d}')} ])
{
	my ($name, $call) = @$change;
	finding "R1 S7: $name by a superuser parses stored text as its owner" => sub {
		setup('rt_mal', q{
			CREATE TABLE mal.t (a int, b int);
			SELECT kpi.create_metric('mal.m', $$SELECT count(*) FROM mal.t WHERE '(1)'::mal.comp IS NOT NULL$$, min_group_rows => 2);
			SELECT kpi.create_metric_view('mal.v', ARRAY['a', '(''(1)''::mal.comp)::text AS c'], '{mal.m}')});
		my $said = sql('rt_boss', "SELECT $call");
		unlike($said, qr/ERROR (?:42883|42703|42601)/, 'the call is a valid one') or diag($said);
		is(strangers(), '', 'no literal of the attacker is read by anybody else');
	};
}

# R2, N2: code that runs while a scope is computed, for whom the scope is not
my %doors = (
	'a level of a composite type' => q{
		CREATE TABLE mal.stores (id int PRIMARY KEY, region mal.turner); INSERT INTO mal.stores VALUES (1, '(1)');
		SELECT kpi.create_dimension('d', 'mal.stores', 'id', '{region}');
		SELECT kpi.grant_scope('rt_mal', 'd', level => 'region', members => '{(1)}'), kpi.grant_scope('rt_victim', 'd', level => 'region', members => '{(1)}')},
	'an index predicate that the planner folds' => q{
		CREATE TABLE mal.stores (id int PRIMARY KEY, region text); INSERT INTO mal.stores VALUES (1, 'E');
		SELECT kpi.create_dimension('d', 'mal.stores', 'id', '{region}');
		SELECT kpi.grant_scope('rt_mal', 'd', level => 'region', members => '{E}'), kpi.grant_scope('rt_victim', 'd', level => 'region', members => '{E}');
		CREATE INDEX ON mal.stores (id) WHERE mal.turn(1) AND region > 'A'},
	'an index expression that the planner folds' => q{
		CREATE TABLE mal.stores (id int PRIMARY KEY, region text); INSERT INTO mal.stores VALUES (1, 'E');
		SELECT kpi.create_dimension('d', 'mal.stores', 'id', '{region}');
		SELECT kpi.grant_scope('rt_mal', 'd', level => 'region', members => '{E}'), kpi.grant_scope('rt_victim', 'd', level => 'region', members => '{E}');
		CREATE INDEX ON mal.stores ((region || mal.turn(1)::text))},
	'a cast from text to an enum' => q{
		CREATE TYPE mal.e AS ENUM ('E', 'W');
		CREATE FUNCTION mal.t2e(text) RETURNS mal.e LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM mal.turn(1); RETURN (enum_range(NULL::mal.e))[1]; END $$;
		CREATE CAST (text AS mal.e) WITH FUNCTION mal.t2e(text);
		CREATE TABLE mal.stores (id int PRIMARY KEY, region mal.e); INSERT INTO mal.stores VALUES (1, 'E'::name::mal.e);
		SELECT kpi.create_dimension('d', 'mal.stores', 'id', '{region}');
		SELECT kpi.grant_scope('rt_mal', 'd', level => 'region', members => '{E}'), kpi.grant_scope('rt_victim', 'd', level => 'region', members => '{E}')},
	'row security of the dimension\'s table' => q{
		CREATE TABLE mal.stores (id int PRIMARY KEY, region text); INSERT INTO mal.stores VALUES (1, 'E');
		SELECT kpi.create_dimension('d', 'mal.stores', 'id', '{region}');
		SELECT kpi.grant_scope('rt_mal', 'd', level => 'region', members => '{E}'), kpi.grant_scope('rt_victim', 'd', level => 'region', members => '{E}');
		CREATE POLICY p ON mal.stores USING (mal.turn(id));
		ALTER TABLE mal.stores ENABLE ROW LEVEL SECURITY; ALTER TABLE mal.stores FORCE ROW LEVEL SECURITY;
		GRANT CREATE ON SCHEMA mal TO rt_steward; GRANT SELECT ON mal.stores TO rt_steward; ALTER VIEW mal.d_dimension OWNER TO rt_steward},
);
$doors{'a cast from text to an enum'} =~ s/'E'::name::mal\.e/NULL/;

# Opens a door; says whether it was, or was refused
sub opened
{
	my ($door) = @_;
	my $said = $door =~ /row security/ ? sql('rt_boss', 'SET SESSION AUTHORIZATION rt_mal; ' . ($doors{$door} =~ s/ALTER VIEW/RESET SESSION AUTHORIZATION; ALTER VIEW/r)) : sql('rt_mal', $doors{$door});
	like($said, qr/ERROR (?:42804|42501|42P17)/, 'it is refused') if $said =~ /ERROR/;
	return $said !~ /ERROR/;
}

for my $door (sort keys %doors)
{
	my $tag = $door =~ /composite/ ? 'R2 S7' : 'N2 S7';
	finding "$tag: $door: kpi.check() leaves the settings of a superuser" => sub {
		opened($door) or return;
		keeps_settings('rt_boss', 'SELECT count(*) FROM kpi.check()', 'kpi.check()');
		keeps_settings('rt_boss', q{SELECT kpi.grant_scope('rt_reader', 'd', level => 'region', members => '{E}')}, 'kpi.grant_scope()');
		unlike(strangers(), qr/rt_boss|postgres|unrestricted/, 'nothing runs as anybody else, or outside a restricted operation') or diag(strangers());
	};
	finding "$tag: $door: so does a reader of an honest table" => sub {
		opened($door) or return;
		setup('rt_own', q{CREATE TABLE s.t (k int); INSERT INTO s.t VALUES (1), (2); SELECT kpi.protect('s.t', 'd', 'k'); GRANT SELECT ON s.t TO PUBLIC});
		keeps_settings('rt_victim', 'SELECT count(*) FROM s.t', 'planned');
		keeps_settings('rt_victim', q{SELECT count(*) FROM s.t WHERE kpi.in_scope(lower('D'), k)}, 'at run time');
		unlike(strangers(), qr/rt_victim|unrestricted/, 'nothing runs as the reader, or outside a restricted operation') or diag(strangers());
	};
}

finding 'N2 S7: code that runs while a scope is computed cannot leave work for the end of the transaction' => sub {
	setup('rt_mal', q{
		CREATE TABLE mal.stores (id int PRIMARY KEY, region text); INSERT INTO mal.stores VALUES (1, 'E');
		CREATE TABLE mal.later (a int);
		CREATE FUNCTION mal.at_commit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM mal.evil(); RETURN NULL; END';
		CREATE CONSTRAINT TRIGGER later AFTER INSERT ON mal.later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mal.at_commit();
		CREATE FUNCTION mal.plant() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO mal.later VALUES (1); RETURN true; EXCEPTION WHEN OTHERS THEN RETURN true; END $$;
		CREATE FUNCTION mal.plant(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN mal.plant(); END';
		SELECT kpi.create_dimension('d', 'mal.stores', 'id', '{region}');
		SELECT kpi.grant_scope('rt_victim', 'd', level => 'region', members => '{E}');
		CREATE INDEX ON mal.stores (id) WHERE mal.plant(1) AND region > 'A'});
	setup('rt_boss', 'TRUNCATE mal.later');
	setup('rt_own', q{CREATE TABLE s.t (k int); INSERT INTO s.t VALUES (1), (2); SELECT kpi.protect('s.t', 'd', 'k'); GRANT SELECT ON s.t TO PUBLIC});
	is(sql('rt_victim', 'SELECT count(*) FROM s.t'), '1', 'the reader sees its rows');
	unlike(strangers(), qr/rt_victim|postgres/, 'and runs nothing at commit') or diag(strangers());
	sql('rt_boss', 'SELECT count(*) FROM kpi.check()');
	unlike(strangers(), qr/rt_boss|postgres|unrestricted/, 'nor does kpi.check()') or diag(strangers());
};

# R3: types on the way of a measure
for my $lie ([ 'bigint', 'bytea', 'substr(kpi.measure(c), 1, 64)' ], [ 'bytea', 'bigint', 'kpi.measure(c) + 0' ], [ 'bigint', 'text', 'kpi.measure(c) || \'!\'' ], [ 'text', 'bigint', 'kpi.measure(c) + 0' ],
	[ 'bigint', 'int', 'kpi.measure(c) + 0' ], [ 'bigint', 'numeric', 'kpi.measure(c) + 0' ], [ 'bigint', 's.src', '(kpi.measure(c)).t' ], [ 'bigint', 'text[]', '(kpi.measure(c))[1]' ])
{
	my ($true, $promised, $use) = @$lie;
	finding "R3 S7: a component that is $true and promised as $promised is refused" => sub {
		my $value = $true eq 'bigint' ? 'max(a)' : $true eq 'bytea' ? 'min(t)::bytea' : 'min(t)';
		setup('rt_own', qq{
			CREATE TABLE s.src (g int, a bigint, t text); INSERT INTO s.src VALUES (1, 0, 'x');
			SELECT kpi.create_metric('s.n', 'SELECT $value FROM s.src');
			CREATE VIEW s.hv AS SELECT g, kpi.metric_column('s.n'::regclass, NULL::$promised) AS c FROM s.src});
		my $made = sql('rt_own', "SELECT kpi.create_metric('s.deref', \$\$SELECT $use FROM s.hv\$\$)");
		like($made, qr/ERROR KP006/, 'when it is defined');
		if ($made !~ /ERROR/)
		{
			my $read = sql('rt_own', q{SELECT kpi.create_metric_view('s.mv', '{g}', '{s.deref}'); UPDATE s.src SET a = 8; SELECT kpi.measure(deref) FROM s.mv});
			like($read, qr/ERROR KP/, 'or at least when it is read');
		}
	};
}

finding 'R3 S7: a promise that came true later is looked at again' => sub {
	setup('rt_own', q{
		CREATE TABLE s.src (g int, a bigint); INSERT INTO s.src VALUES (1, 8);
		SELECT kpi.create_metric('s.n', 'SELECT max(a) FROM s.src');
		CREATE VIEW s.hv AS SELECT g, kpi.metric_column('s.n'::regclass, NULL::bigint) AS c FROM s.src;
		SELECT kpi.create_metric('s.twice', 'SELECT kpi.measure(c) + 0 FROM s.hv');
		SELECT kpi.create_metric_view('s.mv', '{g}', '{s.twice}')});
	is(sql('rt_own', 'SELECT kpi.measure(twice) FROM s.mv'), '8', 'an honest promise is kept');
	my $said = sql('rt_own', q{CREATE OR REPLACE VIEW s.hv AS SELECT g, kpi.metric_column('s.other'::regclass, NULL::bigint) AS c FROM s.src});
	like($said, qr/ERROR 42P01/, 'there is no other metric yet');
	setup('rt_own', q{ALTER TABLE s.src ADD t text DEFAULT 'x'; SELECT kpi.create_metric('s.other', 'SELECT min(t) FROM s.src');
		CREATE OR REPLACE VIEW s.hv AS SELECT g, kpi.metric_column('s.other'::regclass, NULL::bigint) AS c FROM s.src});
	like(sql('rt_own', 'SELECT kpi.measure(twice) FROM s.mv'), qr/ERROR KP/, 'a broken one is refused');
};

# R5: what readers of the record of changes run
finding 'R5 S7: kpi.data_change runs no code of a dimension of a composite type' => sub {
	like(sql('rt_mal', q{SELECT kpi.create_dimension('r5', type => 'mal.comp')}), qr/ERROR 42804 type mal\.comp cannot be the key of a dimension/, 'it cannot be registered');
	older_dimension('old', 'mal.comp', '{(1)}');
	setup('rt_mal', q{SELECT kpi.track('mal.t'); INSERT INTO mal.t VALUES ('(1)')});
	my $said = sql('rt_victim', 'SELECT count(*) FROM kpi.data_change');
	is($said, '0', 'a dimension from before scopes nothing');
	sql('rt_victim', q{SELECT count(*) FROM kpi.loads('mal.t'); SELECT count(*) FROM kpi.openlineage_loads('mal.t')});
	unlike(strangers(), qr/rt_victim|unrestricted/, 'no reader runs its code') or diag(strangers());
};

finding 'R5 S7: an older dimension of a composite type is told by kpi.check() and shows no rows' => sub {
	older_dimension('old', 'mal.comp', '{(1)}');
	setup('rt_mal', q{INSERT INTO mal.t VALUES ('(1)')});
	like(sql('rt_boss', q{SELECT severity FROM kpi.check() WHERE object = 'old'}), qr/\Aerror$/m, 'kpi.check() has an error for it');
	unlike(strangers(), qr/rt_boss|postgres|unrestricted/, 'and runs nothing of it') or diag(strangers());
	like(sql('rt_victim', 'SELECT count(*) FROM mal.t'), qr/\A0\z|\AERROR (?!XX)/, 'no rows where row security binds');
	like(sql('rt_victim', q{SELECT count(*) FROM mal.t WHERE kpi.in_scope(lower('OLD'), k)}), qr/\A0\z|\AERROR (?!XX)/, 'at run time neither');
};

finding 'R5 S7: kpi.explain_change() runs no code of another table than those it is asked of' => sub {
	setup('rt_own', q{CREATE TABLE s.sales (d date, g int, a int); INSERT INTO s.sales VALUES ('2026-01-05', 1, 1), ('2026-02-05', 1, 2);
		SELECT kpi.create_metric('s.m', 'SELECT sum(a) FROM s.sales'), kpi.create_metric_view('s.mv', '{d, g}', '{s.m}'), kpi.track('s.sales');
		GRANT SELECT ON s.sales, s.m, s.mv TO rt_victim});
	older_dimension('old', 'mal.comp', '{(1)}');
	setup('rt_mal', q{SELECT kpi.track('mal.t'); INSERT INTO mal.t VALUES ('(1)')});
	unlike(sql('rt_victim', q{SELECT * FROM kpi.explain_change('s.m', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'g', 's.mv')}), qr/ERROR/, 'it works');
	unlike(strangers(), qr/rt_victim|unrestricted/, 'no reader runs the code of mal') or diag(strangers());
};

# R6: types of keys and levels
my @refused = ('int[]', 'text[]', 'int2vector', 'oidvector', 'record', 'anyenum', 'anyelement', 'anyrange', 'anymultirange', 'cstring', 'int4range', 'int4multirange', 'mal.comp', 'pg_class', 'regclass', 'regrole', 'regtype', 'money', 's.ints', 's.comps');
for my $type (@refused)
{
	finding "R6 S7: $type cannot be the key of a dimension" => sub {
		setup('rt_own', 'CREATE DOMAIN s.ints AS int[]; CREATE DOMAIN s.comps AS mal.comp');
		like(sql('rt_own', "SELECT kpi.create_dimension('r6', type => '$type')"), qr/\AERROR 42804 type .* cannot be the key of a dimension/, 'it is refused');
		if ($type eq 'int[]')
		{
			sql('rt_own', q{SELECT kpi.grant_scope(current_user, 'r6', members => ARRAY['{1}', '{2}']); SELECT kpi.in_scope('r6', ARRAY[1])});
		}
	};
}

finding 'R6 S7: nor can a column of such a type be the key or a level of a table' => sub {
	setup('rt_own', 'CREATE DOMAIN s.ints AS int[]; CREATE TABLE s.stores (id int PRIMARY KEY, a int[], b int2vector, c int4range, d mal.comp, e regclass, f money, g s.ints)');
	for my $column ('a' .. 'g')
	{
		like(sql('rt_own', "SELECT kpi.create_dimension('l$column', 's.stores', 'id', '{$column}')"), qr/\AERROR 42804 type .* cannot be a level of a dimension/, "level $column");
		like(sql('rt_own', "SELECT kpi.create_dimension('k$column', 's.stores', '$column')"), qr/\AERROR 42804 type .* cannot be the key of a dimension/, "key $column");
	}
};

finding 'R6 S7: base types, enums and domains over them can' => sub {
	setup('rt_own', q{CREATE TYPE s.e AS ENUM ('a', 'b'); CREATE DOMAIN s.small AS int CHECK (VALUE < 10); CREATE DOMAIN s.smaller AS s.small});
	for my $type ([ 'int', 1 ], [ 'bigint', 1 ], [ 'text', 'x' ], [ 'varchar', 'x' ], [ 'uuid', '11111111-1111-1111-1111-111111111111' ], [ 'date', '2026-01-01' ], [ 'numeric', '1.5' ], [ 's.e', 'a' ], [ 's.small', 1 ], [ 's.smaller', 1 ])
	{
		my $name = 'd_' . $type->[0] =~ s/\W/_/gr;
		is(sql('rt_own', "SELECT kpi.create_dimension('$name', type => '$type->[0]'); SELECT kpi.grant_scope('rt_reader', '$name', members => '{$type->[1]}')"), '', $type->[0]);
		is(sql('rt_reader', "SELECT kpi.in_scope('$name', '$type->[1]'::$type->[0])"), 't', 'and its scope holds');
	}
};

finding 'C8 S7: names of dimensions are global, so that it takes CREATE on the database' => sub {
	like(sql('rt_victim', q{SELECT kpi.create_dimension('store')}), qr/\AERROR 42501 permission denied for database f\d+/, 'plain values');
	setup('rt_boss', 'CREATE SCHEMA v AUTHORIZATION rt_victim');
	setup('rt_victim', 'CREATE TABLE v.stores (id int PRIMARY KEY)');
	like(sql('rt_victim', q{SELECT kpi.create_dimension('store', 'v.stores', 'id')}), qr/\AERROR 42501 permission denied for database f\d+/, 'a table');
	setup('rt_boss', 'GRANT CREATE ON DATABASE ' . database() . ' TO rt_victim');
	is(sql('rt_victim', q{SELECT kpi.create_dimension('store', 'v.stores', 'id')}), '', 'with it, it is made');
};

# R20: whose metric view explains a change
my $sales = q{
	CREATE TABLE s.sales (d date, a int); INSERT INTO s.sales VALUES ('2026-01-05', 1), ('2026-02-05', 2);
	SELECT kpi.create_metric('s.m', 'SELECT sum(a) FROM s.sales'); GRANT SELECT ON s.sales, s.m TO rt_mal, rt_reader};
my $fake = q{
	CREATE FUNCTION mal.f(date) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM mal.evil(); RETURN 'Q'; END $$;
	SELECT kpi.create_metric_view('mal.mv', '{d, mal.f(d) AS quarter}', '{s.m}'); GRANT SELECT ON mal.mv TO PUBLIC};
my $explain = q{SELECT count(*) > 0 FROM kpi.explain_change('s.m', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'quarter'};

finding 'R20 S7: explain_change() does not take a metric view of a stranger' => sub {
	setup('rt_own', $sales);
	setup('rt_mal', $fake);
	like(sql('rt_reader', "$explain)"), qr/\AERROR (?!XX)/, 'there is no other, so it is an error');
	sql('rt_reader', q{SELECT * FROM kpi.compare_periods('s.m', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'quarter')});
	is(strangers(), '', 'nothing of mal runs');
};

finding 'R20 S7: nor is it in the way of the honest one' => sub {
	setup('rt_own', $sales . q{; SELECT kpi.create_metric_view('s.mv', '{d, "date_trunc(''quarter'', d)::date AS quarter"}', '{s.m}'); GRANT SELECT ON s.mv TO rt_reader});
	setup('rt_mal', $fake);
	is(sql('rt_reader', "$explain)"), 't', 'which is used');
	is(strangers(), '', 'nothing of mal runs');
	is(sql('rt_reader', "$explain, 's.mv')"), 't', 'and may be named');
	is(strangers(), '', 'nothing of mal runs');
};

# R22: who is asked whether it is a superuser
finding 'R22 S7: a SECURITY DEFINER function called by a superuser sees no more than its owner' => sub {
	setup('rt_own', q{
		CREATE TABLE s.secret (k int, v int); INSERT INTO s.secret VALUES (1, 1); CREATE VIEW s.hidden AS SELECT v FROM s.secret;
		SELECT kpi.create_metric('s.m', 'SELECT sum(v) FROM s.secret'), kpi.create_metric_view('s.mv', '{k}', '{s.m}'), kpi.track('s.secret');
		SELECT kpi.create_dimension('d', type => 'int'), kpi.grant_scope('rt_reader', 'd', members => '{1}'), kpi.protect('s.secret', 'd', 'k');
		INSERT INTO s.secret VALUES (2, 2)});
	for my $listing ('lineage_history', 'data_change', 'lineage', 'metrics', 'metric_views', 'dimensions', 'measures', 'scopes', 'protections')
	{
		setup('rt_mal', "CREATE FUNCTION mal.count_$listing() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM kpi.$listing'");
		is(sql('rt_boss', "SELECT mal.count_$listing()"), sql('rt_mal', "SELECT mal.count_$listing()"), "kpi.$listing");
		is(sql('rt_boss', "SET ROLE rt_mal; SELECT count(*) FROM kpi.$listing"), sql('rt_mal', "SELECT mal.count_$listing()"), "kpi.$listing after SET ROLE");
	}
};

# N1: whose cast stands between a column and a key
my $channel = q{
	CREATE TYPE mal.e AS ENUM ('1', '2');
	CREATE FUNCTION mal.to_e(%1$s) RETURNS mal.e LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM mal.evil(); RETURN (enum_range(NULL::mal.e))[1]; END $$;
	CREATE CAST (%1$s AS mal.e) WITH FUNCTION mal.to_e(%1$s) AS IMPLICIT;
	SELECT kpi.create_dimension('channel', type => 'mal.e');
	SELECT kpi.grant_scope('rt_victim', 'channel', members => '{1}')};
for my $type ('int', 'text', 'date')
{
	finding "N1 S7: a cast from $type that is not core's does not protect a column" => sub {
		setup('rt_mal', sprintf $channel, $type);
		setup('rt_own', "CREATE TABLE s.t (channel $type, v int); GRANT SELECT ON s.t TO rt_victim");
		like(sql('rt_own', q{SELECT kpi.protect('s.t', 'channel', 'channel')}), qr/\AERROR 42804 /, 'it is refused');
		setup('rt_own', q{SELECT kpi.track('s.t')});
		is(sql('rt_boss', "INSERT INTO s.t VALUES (NULL, 3), ('2026-01-01', 4)"), '', 'writing works') if $type ne 'int';
		is(sql('rt_boss', 'INSERT INTO s.t VALUES (NULL, 3), (1, 4)'), '', 'writing works') if $type eq 'int';
		sql('rt_victim', 'SELECT count(*) FROM s.t; SELECT count(*) FROM kpi.data_change');
		sql('rt_boss', 'SELECT count(*) FROM kpi.check()');
		is(strangers(), '', 'nobody runs the cast');
	};
}

finding 'N1 S7: nor does a cast by text, made by its owner' => sub {
	setup('rt_mal', q{CREATE TYPE mal.e AS ENUM ('1', '2'); CREATE CAST (int AS mal.e) WITH INOUT AS IMPLICIT; SELECT kpi.create_dimension('channel', type => 'mal.e')});
	setup('rt_own', q{CREATE TABLE s.t (channel int)});
	like(sql('rt_own', q{SELECT kpi.protect('s.t', 'channel', 'channel')}), qr/\AERROR 42804 /, 'it is refused');
};

finding 'N1 S7: nor is a cast from a domain, or from an enum, to a key of a core type used' => sub {
	setup('rt_mal', q{
		CREATE TYPE mal.e AS ENUM ('1', '2');
		CREATE FUNCTION mal.to_i(mal.e) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM mal.evil(); RETURN 1; END $$;
		CREATE CAST (mal.e AS int) WITH FUNCTION mal.to_i(mal.e) AS IMPLICIT});
	setup('rt_own', q{SELECT kpi.create_dimension('d', type => 'int'); CREATE TABLE s.t (k mal.e, v int)});
	like(sql('rt_own', q{SELECT kpi.protect('s.t', 'd', 'k')}), qr/\AERROR 42804 /, 'it is refused');
	setup('rt_own', q{SELECT kpi.track('s.t')});
	sql('rt_boss', q{INSERT INTO s.t VALUES ('1', 1)});
	is(strangers(), '', 'nobody runs the cast');
};

finding 'N1 S7: casts of core are used, domains count as their base type' => sub {
	setup('rt_own', q{
		CREATE DOMAIN s.small AS smallint;
		CREATE TABLE s.t (a smallint, b s.small, c bigint, d int);
		SELECT kpi.create_dimension('big', type => 'bigint'), kpi.grant_scope('rt_reader', 'big', members => '{1}');
		INSERT INTO s.t VALUES (1, 1, 1, 1), (2, 2, 2, 2); GRANT SELECT ON s.t TO rt_reader});
	for my $column ('a' .. 'd')
	{
		is(sql('rt_own', "SELECT kpi.protect('s.t', 'big', '$column')"), '', "column $column");
		is(sql('rt_reader', 'SELECT count(*) FROM s.t'), '1', 'obeys');
		setup('rt_own', q{SELECT kpi.unprotect('s.t', 'big')});
	}
};

# A1: statements that are looked at before they were analyzed
for my $body ('SELECT 1::numeric AS x UNION ALL SELECT 2', 'VALUES (1::numeric)', 'SELECT CASE WHEN (OPERATOR(s.!!) sum(a)) THEN sum(a) END AS x FROM s.lines', 'WITH w AS (SELECT 1::numeric AS x) SELECT x FROM w',
	'SELECT x FROM (SELECT 1::numeric AS x) AS q', 'SELECT CASE WHEN count(*) >= ALL (ARRAY[2]) THEN sum(a) END AS x FROM s.lines', 'SELECT CASE WHEN sum(a) IS NULL THEN sum(a) END AS x FROM s.lines',
	'SELECT CASE count(*) WHEN 2 THEN sum(a) END AS x FROM s.lines', 'SELECT CASE WHEN (count(*), 1) >= (2, 1) THEN sum(a) END AS x FROM s.lines', '(SELECT 1::numeric AS x EXCEPT SELECT 2) ORDER BY 1 LIMIT 1')
{
	finding "A1 S9: alter_metric() of a view that was replaced by $body" => sub {
		setup('rt_own', q{
			CREATE TABLE s.lines (a numeric); INSERT INTO s.lines VALUES (1), (2);
			CREATE FUNCTION s.positive(numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0'; CREATE OPERATOR s.!! (RIGHTARG = numeric, FUNCTION = s.positive);
			SELECT kpi.create_metric('s.x', 'SELECT sum(a) FROM s.lines', min_group_rows => 2)});
		my $replaced = $body =~ /\AVALUES/ ? "CREATE OR REPLACE VIEW s.x (x) AS $body" : "CREATE OR REPLACE VIEW s.x AS $body";
		setup('rt_own', $replaced);
		unlike(sql('rt_own', q{SELECT kpi.alter_metric('s.x', min_group_rows => 0)}), qr/LOST|ERROR XX/, 'is refused or done');
		unlike(sql('rt_own', q{SELECT kpi.alter_metric('s.x', label => 'l'); SELECT count(*) FROM kpi.metrics}), qr/LOST|ERROR XX/, 'so are others');
		unlike(sql('rt_boss', 'SELECT count(*) FROM kpi.check()'), qr/LOST|ERROR/, 'and kpi.check() goes on');
	};
}
finding 'A1 S9: alter_metric() of a view that is a union says what it is' => sub {
	setup('rt_own', q{CREATE TABLE s.lines (a numeric); SELECT kpi.create_metric('s.x', 'SELECT sum(a) FROM s.lines', min_group_rows => 2); CREATE OR REPLACE VIEW s.x AS SELECT 1::numeric AS x UNION ALL SELECT 2});
	like(sql('rt_own', q{SELECT kpi.alter_metric('s.x', min_group_rows => 0)}), qr/\AERROR KP001 /, 'KP001');
};

# A5: options of views
my $lines = q{
	CREATE TABLE s.lines (day date, region text, a numeric); INSERT INTO s.lines VALUES ('2026-01-01', 'E', 1);
	SELECT kpi.create_metric('s.rev', 'SELECT sum(a) FROM s.lines'), kpi.create_metric('s.cnt', 'SELECT count(*) FROM s.lines');
	SELECT kpi.create_metric_view('s.sales', '{day, region}', '{s.rev}')};
for my $change ([ 'alter_metric(definition)', q{kpi.alter_metric('s.rev', definition => 'SELECT sum(a) + 0 FROM s.lines')} ], [ 'alter_metric(min_group_rows)', q{kpi.alter_metric('s.rev', min_group_rows => 1)} ])
{
	my ($name, $call) = @$change;
	finding "A5 S7: $name keeps security_invoker" => sub {
		setup('rt_own', "$lines; ALTER VIEW s.rev SET (security_invoker, security_barrier); GRANT SELECT ON s.rev TO rt_reader");
		like(sql('rt_reader', 'SELECT * FROM s.rev'), qr/ERROR 42501 permission denied for table lines/, 'the reader needs the table');
		setup('rt_own', "SELECT $call");
		like(sql('rt_reader', 'SELECT * FROM s.rev'), qr/ERROR 42501 permission denied for table lines/, 'afterwards, too');
		like(sql('rt_boss', q{SELECT reloptions FROM pg_class WHERE oid = 's.rev'::regclass}), qr/security_invoker=\w+.*security_barrier=|security_barrier=\w+.*security_invoker=/, 'all options are there');
	};
}
for my $call (q{add_metrics => '{s.cnt}'}, q{add_dimensions => '{region AS area}'}, q{drop_dimensions => '{region}'}, q{rename => '{region AS area}'}, q{time_dimension => 'day'})
{
	finding "A5 S7: alter_metric_view($call) keeps security_barrier" => sub {
		setup('rt_own', "$lines; ALTER VIEW s.sales SET (security_barrier)");
		setup('rt_own', "SELECT kpi.alter_metric_view('s.sales', $call)");
		like(sql('rt_boss', q{SELECT reloptions FROM pg_class WHERE oid = 's.sales'::regclass}), qr/security_barrier=/, 'it is there');
	};
}

# A6: privileges of whoever defined a metric
my $definer = q{
	CREATE TABLE s.t (a int, b int, c int, g int); INSERT INTO s.t VALUES (1, 10, 100, 1); GRANT SELECT (a, b, c, g) ON s.t TO rt_steward};
my $defined = q{SELECT kpi.create_metric('s.pa', 'SELECT sum(a) FROM s.t'), kpi.create_metric('s.pb', 'SELECT sum(b) FROM s.t'), kpi.create_metric('s.pc', 'SELECT sum(c) FROM s.t'), kpi.create_metric('s.n', 'SELECT count(*) FROM s.t');
	GRANT SELECT ON s.pa, s.pb, s.pc, s.n TO rt_own};
for my $list ('kpi.measure(pb)', 'kpi.measure(pb), kpi.measure(pa)', 'kpi.measure(pa), kpi.measure(pb)', 'kpi.measure(pa), kpi.measure(pc), kpi.measure(pb)', 'sum(pa), sum(pb)', 'kpi.measure(pa) FROM s.mv HAVING kpi.measure(pb) > 0', 'kpi.measure(pa) FROM s.mv ORDER BY kpi.measure(pb)', 'pa, pb', 'kpi.measure(n), kpi.measure(pb)')
{
	finding "A6 S7: order does not decide whether a definer's privilege is asked: $list" => sub {
		setup('rt_own', $definer);
		setup('rt_steward', $defined);
		setup('rt_own', q{SELECT kpi.create_metric_view('s.mv', '{g}', '{s.pa, s.pb, s.pc, s.n}'); GRANT SELECT ON s.mv TO rt_reader; REVOKE SELECT (b) ON s.t FROM rt_steward});
		my $query = $list =~ /FROM/ ? "SELECT $list" : "SELECT $list FROM s.mv";
		like(sql('rt_reader', $query), qr/\AERROR 42501 /, 'denied');
		is(sql('rt_reader', 'SELECT kpi.measure(pa), kpi.measure(pc) FROM s.mv'), '1|100', 'what the definer may still read is told');
	};
}
finding 'A6 S7: a metric that counts rows asks for its definer\'s privilege, too' => sub {
	setup('rt_own', $definer);
	setup('rt_steward', $defined);
	setup('rt_own', q{SELECT kpi.create_metric_view('s.mv', '{g}', '{s.n}'); GRANT SELECT ON s.mv TO rt_reader});
	is(sql('rt_reader', 'SELECT kpi.measure(n) FROM s.mv'), '1', 'told');
	setup('rt_own', 'REVOKE SELECT (a, b, c, g) ON s.t FROM rt_steward');
	like(sql('rt_reader', 'SELECT kpi.measure(n) FROM s.mv'), qr/\AERROR 42501 /, 'denied once the definer lost it');
};

node()->stop;
done_testing();
