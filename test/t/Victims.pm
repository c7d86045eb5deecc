# Victims: what others do while a hostile role is about. They are
#
#   dba       a superuser, who does not own the extension
#   own       an honest owner of tables, metrics and dimensions, who protects tables by dimensions of others as well
#   reader    reads what own grants
#   deputy    a member of the hostile role, so that what belongs to that belongs to this, too
#   mal       the hostile role itself: its code must not get the rights of others by its own statements either
#
#   honest()                    statements by which own makes its objects, once the dimensions of others are there
#   steps($catalog)             what a victim does, in order: { group, sql => [..], bare, first }; bare is one that runs outside
#                               a transaction, first the first of its kind
#   @exceptions                 calls in which the caller's own rights are right
#
# Every function and view of the extension that a victim may use is called, as the catalog tells them: an argument of a type
# that names objects takes each object in turn while the others stay honest. A function that is added later is thus called, too.

package Victims;

use strict;
use warnings;

our @names = ('dba', 'own', 'reader', 'deputy', 'mal');

# The canary may run as the victim here, and only as the victim: the call names a hostile relation that it then reads like a
# query of the caller's, as SELECT .. FROM would.
our @exceptions = (
	[ qr/\bkpi\.(?:compare_periods|explain_change)\(.*'mal\./s, 'a query over the metric view that is named, or over that of the hostile metric that is, with the rights of the caller' ],
	[ qr/\bkpi\.explain_measure\(.*\bmal\./s, 'plans the query that the caller wrote' ],
);

my %schema = (dba => 'public', own => 'shop', reader => 'public', deputy => 'public', mal => 'mal');    # where they make things
my %made;    # honest table of a dimension => the dimension

sub quote { my ($text) = @_; return defined $text ? "'" . $text =~ s/'/''/gr . "'" : 'NULL'; }

# One table for each dimension, so that a finding tells by whose
sub honest
{
	my (@dimensions) = @_;
	my $n = 0;
	my @sql = map { split /;\n/ } q{
		CREATE TABLE shop.stores (id int PRIMARY KEY, region text);
		INSERT INTO shop.stores SELECT i, 'r' || i % 2 FROM generate_series(0, 7) i;
		SELECT kpi.create_dimension('store', 'shop.stores', 'id', '{region}');
		SELECT kpi.create_dimension('plain', type => 'text');
		SELECT kpi.grant_scope('reader', 'store', 'region', '{r1}'), kpi.grant_scope('reader', 'plain', members => '{r1}'), kpi.grant_scope('own', 'store', members => '{*}');
		CREATE TABLE shop.open (id int PRIMARY KEY, k int, region text, at date, v int);
		CREATE TABLE shop.sales (id int PRIMARY KEY, k int, region text, at date, v int);
		CREATE TABLE shop.parted (k int, region text, at date, v int) PARTITION BY LIST (k);
		CREATE TABLE shop.parted_1 PARTITION OF shop.parted FOR VALUES IN (1);
		CREATE TABLE shop.child () INHERITS (shop.sales);
		SELECT kpi.protect('shop.sales', 'store', 'k'), kpi.protect('shop.parted', 'store', 'k'), kpi.protect('shop.parted', 'plain', 'region', 'all');
		SELECT kpi.track('shop.open', 'at'), kpi.track('shop.sales', 'at'), kpi.track('shop.parted', 'at');
		INSERT INTO shop.open SELECT i, i % 4, 'r' || i % 2, date '2026-01-01' + 7 * i, i FROM generate_series(1, 8) i;
		INSERT INTO shop.sales TABLE shop.open;
		CREATE TABLE shop.loose AS TABLE shop.open;
		SELECT kpi.protect('shop.loose', 'store', 'k'), kpi.track('shop.loose', 'at');
		CREATE VIEW shop.view AS SELECT * FROM shop.open;
		SELECT kpi.create_metric('shop.revenue', 'SELECT sum(v)::numeric FROM shop.open');
		SELECT kpi.create_metric('shop.lines', 'SELECT count(*) FROM shop.open');
		SELECT kpi.create_metric('shop.mean', 'SELECT revenue / nullif(lines, 0) FROM shop.revenue, shop.lines');
		SELECT kpi.create_metric_view('shop.numbers', '{k, region, at}', '{shop.revenue, shop.lines, shop.mean}');
		SELECT kpi.create_metric('shop.scoped', 'SELECT sum(v) FROM shop.sales', min_group_rows => 2);
		SELECT kpi.create_metric_view('shop.scoped_numbers', '{k, region, at}', '{shop.scoped}');
		GRANT USAGE ON SCHEMA shop TO PUBLIC;
		GRANT SELECT ON ALL TABLES IN SCHEMA shop TO reader;
		GRANT SELECT ON shop.open, shop.revenue TO mal
	};
	for my $dimension (@dimensions)
	{
		my $name = $dimension;
		my $table = "shop.by_" . ($name =~ /^\w+$/ ? $name : ++$n);
		$made{$table} = $name;
		push @sql, "CREATE TABLE $table (id int PRIMARY KEY, k int, region text, at date, v int)", "INSERT INTO $table TABLE shop.open",
		  map({ "SELECT kpi.protect('$table', " . quote($name) . ", '$_')" } 'k', 'region', 'v'),
		  "SELECT kpi.track('$table', 'at')", "SELECT kpi.create_metric('${table}_m', 'SELECT sum(v) FROM $table')",
		  "SELECT kpi.create_metric_view('${table}_mv', '{k, region, at}', '{${table}_m}')", "GRANT SELECT ON $table, ${table}_m, ${table}_mv TO reader";
	}
	return @sql;
}

# Statements about honest objects, and about none. H is each honest table that obeys a dimension of somebody's, with a metric
# view over it; NEW a name that is free. Each runs in a transaction that is rolled back, except where it cannot.
my @reading = (
	'SELECT count(*) FROM H',
	[ 'SET LOCAL plan_cache_mode = force_generic_plan', 'PREPARE Q AS SELECT * FROM H WHERE k > $1', 'EXECUTE Q(0)', 'EXECUTE Q(1)', 'RESET plan_cache_mode' ],
	'SELECT region, kpi.measure(H_m) FROM H_mv GROUP BY region',
	'SELECT * FROM H_mv',
	'EXPLAIN SELECT * FROM H',
	'COPY (SELECT * FROM H) TO STDOUT',
);
my @writing = (
	q{INSERT INTO H VALUES (100, 1, 'r1', '2026-02-01', 1), (101, 2, 'r0', '2026-02-01', 1)},
	q{INSERT INTO H VALUES (1, 1, 'r1', '2026-02-01', 1) ON CONFLICT (id) DO UPDATE SET v = 2},
	q{UPDATE H SET v = v + 1},
	q{UPDATE H SET k = k + 1, region = 'r0'},
	'DELETE FROM H WHERE k = 1',
	'MERGE INTO H USING shop.open o ON H.id = o.id WHEN MATCHED THEN UPDATE SET v = 3 WHEN NOT MATCHED THEN INSERT VALUES (o.id, o.k, o.region, o.at, o.v)',
	"COPY H FROM STDIN;\n200\t1\tr1\t2026-01-01\t1\n\\.\n",
	'TRUNCATE H',
	'ANALYZE H',
);
my @defining_each = (
	'CREATE TABLE NEW () INHERITS (H)', 'CREATE TABLE NEW (LIKE H INCLUDING ALL)', 'CREATE TABLE NEW AS SELECT * FROM H', 'CREATE VIEW NEW AS SELECT * FROM H',
	'ALTER TABLE H ADD more int DEFAULT 1', 'ALTER TABLE H ALTER id TYPE bigint', 'CREATE INDEX ON H (v)', 'DROP TABLE H CASCADE', 'ALTER TABLE H RENAME k TO key',
);
my @defining = (
	'CREATE TABLE NEW (i int)', 'CREATE TABLE NEW AS SELECT 1 AS i', 'SELECT 1 AS i INTO NEW', 'CREATE TEMPORARY TABLE temp_t (i int)', 'CREATE UNLOGGED TABLE NEW (i int)',
	[ 'CREATE TABLE NEW (i int) PARTITION BY LIST (i)', 'CREATE TABLE NEW_1 PARTITION OF NEW FOR VALUES IN (1)', 'CREATE TABLE NEW_2 (i int)', 'ALTER TABLE NEW ATTACH PARTITION NEW_2 FOR VALUES IN (2)', 'ALTER TABLE NEW DETACH PARTITION NEW_1', 'DROP TABLE NEW' ],
	[ 'CREATE TABLE NEW (i int)', 'CREATE TABLE NEW_1 () INHERITS (NEW)', 'ALTER TABLE NEW_1 NO INHERIT NEW', 'ALTER TABLE NEW_1 INHERIT NEW', 'DROP TABLE NEW CASCADE' ],
	[ 'CREATE TABLE NEW (i int)', 'ALTER TABLE NEW ADD j int', 'ALTER TABLE NEW ALTER i TYPE text', 'ALTER TABLE NEW RENAME TO other', 'ALTER TABLE NEW_SCHEMA.other SET SCHEMA shop' ],
	'CREATE TABLE shop.parted_2 PARTITION OF shop.parted FOR VALUES IN (2)',
	[ 'CREATE TABLE NEW (k int, region text, at date, v int)', 'ALTER TABLE shop.parted ATTACH PARTITION NEW FOR VALUES IN (2)', 'ALTER TABLE shop.parted DETACH PARTITION NEW' ],
	'CREATE TABLE NEW () INHERITS (shop.sales)',
	'CREATE SCHEMA s2 CREATE TABLE t (i int) CREATE VIEW v AS SELECT * FROM t',
	'CREATE SCHEMA s2 CREATE TABLE c PARTITION OF shop.parted FOR VALUES IN (2)',
	'CREATE VIEW NEW AS SELECT * FROM shop.open', 'CREATE MATERIALIZED VIEW NEW AS SELECT * FROM shop.open', 'CREATE OR REPLACE VIEW shop.view AS SELECT * FROM shop.open WHERE v > 1', 'ALTER VIEW shop.view RENAME v TO w', 'DROP VIEW shop.view',
	'CREATE FUNCTION NEW() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM shop.open; END', 'CREATE TYPE NEW AS ENUM (\'1\')', 'CREATE DOMAIN NEW AS int CHECK (VALUE > 0)', 'CREATE SEQUENCE NEW',
	'CREATE INDEX ON shop.open (v)', 'CREATE STATISTICS NEW ON k, v FROM shop.open', q{COMMENT ON TABLE shop.open IS 'x'}, 'GRANT SELECT ON shop.open TO PUBLIC', 'ALTER TABLE shop.open RENAME v TO w', 'ALTER TABLE shop.loose ALTER at TYPE timestamp', 'ALTER TABLE shop.open ADD w int',
	'CREATE POLICY p ON shop.open USING (true)', 'ALTER TABLE shop.sales DISABLE ROW LEVEL SECURITY', 'DROP POLICY kpi_scope_store ON shop.sales', 'ALTER TABLE shop.open DISABLE TRIGGER ALL', 'DROP TABLE shop.open CASCADE', 'DROP TABLE shop.stores CASCADE', 'DROP SCHEMA shop CASCADE', 'DROP SCHEMA mal CASCADE', 'DROP OWNED BY mal CASCADE', 'ALTER SCHEMA mal RENAME TO gone', 'ALTER ROLE mal RENAME TO gone',
	'REINDEX TABLE shop.open', 'CLUSTER shop.open USING open_pkey', 'LOCK TABLE shop.open', 'TRUNCATE shop.open, shop.sales', 'ALTER TABLE shop.parted RENAME TO p', 'ALTER TABLE shop.parted RENAME region TO r',
	'DO $$ BEGIN PERFORM count(*) FROM shop.open; END $$', q{INSERT INTO shop.parted VALUES (1, 'r1', '2026-01-01', 1)}, 'UPDATE shop.stores SET region = region', 'DELETE FROM shop.open', 'SELECT count(*) FROM shop.sales', 'SELECT count(*) FROM shop.parted',
);
# What cannot run in a transaction, or shows only at its end; each leaves things as they were
my @bare = (
	'VACUUM shop.open', 'VACUUM ANALYZE shop.sales', 'ANALYZE', 'CREATE INDEX CONCURRENTLY passing ON shop.open (v)', 'DROP INDEX CONCURRENTLY shop.passing', 'CREATE TABLE NEW (i int)', 'DROP TABLE NEW', 'UPDATE shop.open SET v = v', 'UPDATE shop.sales SET v = v',
	'CREATE TABLE shop.parted_3 PARTITION OF shop.parted FOR VALUES IN (3)', 'DROP TABLE shop.parted_3', 'CREATE SCHEMA s3 CREATE TABLE t (i int)', 'DROP SCHEMA s3 CASCADE',
);
my @bare_each = ('INSERT INTO H VALUES (300, 1, \'r1\', \'2026-02-01\', 1)', 'DELETE FROM H WHERE id = 300', 'VACUUM ANALYZE H', 'SELECT count(*) FROM H');

# Calls that the types of arguments do not suggest. MET, VIEW, REL and DIM are each metric, metric view, relation and dimension
my @calls = (
	'kpi.alter_metric(MET, min_group_rows => 3)', 'kpi.alter_metric(MET, min_group_rows => 0)', q{kpi.alter_metric(MET, label => 'x', description => 'y')}, q{kpi.alter_metric(MET, owner => 'own')}, q{kpi.alter_metric(MET, definition => 'SELECT sum(v) FROM shop.open')},
	q{kpi.alter_metric_view(VIEW, add_metrics => '{shop.revenue AS r2}')}, q{kpi.alter_metric_view(VIEW, add_dimensions => '{v AS w}')}, q{kpi.alter_metric_view(VIEW, drop_dimensions => '{region}')}, q{kpi.alter_metric_view(VIEW, rename => '{region AS area}')},
	q{kpi.alter_metric_view(VIEW, time_dimension => 'at')}, q{kpi.alter_metric_view(VIEW, owner => 'own')}, q{kpi.alter_metric_view('shop.numbers', add_metrics => ARRAY[MET])}, q{kpi.alter_metric_view(VIEW, drop_metrics => '{m_plain}')},
	q{kpi.create_metric('PLACE.made', 'SELECT ' || split_part(MET, '.', 2) || ' FROM ' || MET)}, q{kpi.create_metric_view('PLACE.made', '{k, region, at}', ARRAY[MET])}, q{kpi.create_metric('PLACE.made', 'SELECT sum(v) FROM shop.open', min_group_rows => 2)},
	q{kpi.create_metric('PLACE.made', 'SELECT count(*) FROM ' || REL)}, 'kpi.drop_metric(MET, true)', 'kpi.drop_metric_view(VIEW, true)',
	q{kpi.protect('shop.open', DIM, 'k')}, q{kpi.protect('shop.open', DIM, 'region', 'all')}, q{kpi.protect(REL, 'store', 'k')}, q{kpi.unprotect(REL, 't_plain')}, q{kpi.track(REL, 'at')}, 'kpi.untrack(REL)',
	q{kpi.create_dimension('made', REL, 'id', '{region}')}, q{kpi.drop_dimension(DIM)}, q{kpi.grant_scope('reader', DIM, members => '{1}')}, q{kpi.grant_scope('reader', DIM, 'region', '{r1}')}, q{kpi.revoke_scope('reader', DIM)}, q{kpi.in_scope(DIM, 1)}, q{kpi.in_scope(DIM, 'r1'::text)},
	q{kpi.scope_holds(DIM, '{1}')}, q{kpi.scope_holds(DIM, '{(1)}')}, 'kpi.dimension_problem(DIM)', q{kpi.unmatched_members(DIM, 1::smallint, '{1}')},
	q{kpi.explain_change(MET, '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'region')}, q{kpi.explain_change('shop.revenue', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'quarter')},
	q{kpi.explain_change(MET, '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'region', VIEW)}, q{kpi.compare_periods('shop.revenue', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'quarter')},
	q{kpi.upstream('mal.atomic(integer)')}, q{kpi.impact('mal.atomic(integer)')}, q{kpi.lineage_svg('mal.v_calls.k')}, q{kpi.downstream('mal.plain.k')}, q{kpi.upstream('mal.by_default(mal.comp)')},
	q{kpi.explain_measure('SELECT region, kpi.measure(revenue) FROM shop.numbers GROUP BY region')}, q{kpi.explain_measure('SELECT * FROM ' || VIEW)}, 'kpi.loads(MET)', 'kpi.openlineage_loads(MET)', 'kpi.openlineage_events(MET)', 'kpi.openlineage_events()',
);

# Relations for an argument of type regclass: those that it is about, and a few that it is not
sub _relations
{
	my ($catalog, $argument, $function) = @_;
	my ($metrics, $views, $relations) = map { $catalog->{$_} } qw(metrics views relations);
	my @about =
	    "$function $argument" =~ /metric_view/      ? (q{shop.numbers}, @$views, @$metrics[ 0 .. 2 ])
	  : "$function $argument" =~ /metric/           ? ('shop.revenue', @$metrics, @$views[ 0 .. 2 ])
	  : $argument =~ /^(?:relation|source|table)$/  ? ('shop.open', @$relations, @$metrics[ 0 .. 2 ])
	  :                                               ('shop.revenue', @$metrics, @$views, @$relations);
	return map { quote($_) } @about, 'mal.m_literal', 'mal.mv_all', 'mal.v_literal', 'mal.policed', 'mal.parted';
}

# What to pass for an argument: by its name, else by its type. A list of several is tried value by value.
sub _values
{
	my ($catalog, $function, $argument, $type) = @_;
	my %by_name = (
		role => [q{'reader'}], column => [q{'k'}], time_column => [q{'at'}], by => [q{'region'}], definition => [q{'SELECT sum(v) FROM shop.open'}], query => [q{'SELECT kpi.measure(revenue) FROM shop.numbers'}],
		before => [q{'[2026-01-01,2026-02-01)'}], after => [q{'[2026-02-01,2026-03-01)'}], members => [q{'{1}'}], dimensions => [q{'{k}'}], metrics => [q{'{shop.revenue}'}], for => [q{'select'}], touching => [q{'[2026-01-01,2026-03-01)'}],
		classes => ['ARRAY[1259]'], command => [q{'CREATE VIEW'}], object => ($type eq 'text' ? [ q{'shop.revenue'}, map { quote($_) } @{ $catalog->{metrics} }, @{ $catalog->{relations} } ] : undef),
		dimension => [ q{'store'}, map { quote($_) } @{ $catalog->{dimensions} } ]);
	my %by_type = (
		regclass => [ _relations($catalog, $argument, $function) ],
		text => [ q{'shop.open'}, q{'mal.m_literal'}, q{'mal.v_literal'}, q{'of_comp'} ], oid => [ '1259', map { quote($_) . '::regclass::oid' } @{ $catalog->{relations} }, @{ $catalog->{metrics} } ], regtype => [q{'int'}], name => [q{'region'}],
		'oid[]' => [ map { 'ARRAY[' . quote($_) . '::regclass::oid]' } @{ $catalog->{metrics} }, @{ $catalog->{relations} } ],
		boolean => ['true'], smallint => ['1::smallint'], integer => ['1'], bigint => ['1'], daterange => [q{'[2026-01-01,2026-02-01)'}], interval => [q{'1 day'}], date => [q{'2026-01-15'}], 'text[]' => [q{'{region}'}], jsonb => [q{'{}'}], anyelement => ['1'],
		'timestamp with time zone' => [q{'2026-01-01'}]);
	return @{ $by_name{$argument} // $by_type{$type} // ['NULL'] };
}

# Calls of one function: name, set-returning?, arguments as [name, type, has a default?]
sub _calls_of
{
	my ($catalog, $name, @arguments) = @_;
	return () if grep { $_->[1] =~ /^(internal|pg_ddl_command)$/ } @arguments;
	my @pools = map { [ _values($catalog, $name, $_->[0], $_->[1]) ] } @arguments;
	my %calls;
	for my $i (-1 .. $#arguments)
	{
		next if $i >= 0 && @{ $pools[$i] } == 1 && !$arguments[$i][2];
		for my $value ($i < 0 ? undef : _some($catalog, $name, @{ $pools[$i] }))
		{
			my @given;
			for my $j (0 .. $#arguments)
			{
				next if $j != $i && $arguments[$j][2];    # has a default
				my $passed = $j == $i ? $value : $pools[$j][0];
				push @given, $arguments[$j][0] eq '' ? $passed : qq{"$arguments[$j][0]" => $passed};
			}
			$calls{ "$name(" . join(', ', @given) . ')' } = 1;
		}
	}
	return sort keys %calls;
}

# All values, or every so many: few of a function that takes tens of milliseconds, and more as a superuser, who may do all of it
sub _some
{
	my ($catalog, $call, @values) = @_;
	my $most = $call =~ /\b(?:explain_change|compare_periods|openlineage_events)\b/ ? 8 : $call =~ /\b(?:loads|openlineage_loads|lineage_\w+|impact|upstream|downstream)\b/ ? 40 : 100;
	$most /= 2 unless $catalog->{victim} eq 'dba';
	my $step = 1 + int($#values / $most);
	return @values[ grep { $_ % $step == 0 } 0 .. $#values ];
}

sub _filled_in
{
	my ($catalog, $call) = @_;
	my %pool = (MET => $catalog->{metrics}, VIEW => $catalog->{views}, REL => $catalog->{relations}, DIM => $catalog->{dimensions});
	my $place = $schema{ $catalog->{victim} };
	my @calls = ($call =~ s/PLACE/$place/r);
	for my $word (sort keys %pool)
	{
		@calls = map { my $one = $_; $one =~ /\b$word\b/ ? map { my $value = quote($_); $one =~ s/\b$word\b/$value/gr } @{ $pool{$word} } : $one } @calls;
	}
	return _some($catalog, $call, @calls);
}

# $catalog: { victim, functions => [[name, arguments..]..], listings => [view..], metrics, views, relations, dimensions => [name..] }
sub steps
{
	my ($catalog) = @_;
	my $victim = $catalog->{victim};
	my (@steps, %kinds);
	my $add = sub {
		my ($group, $bare, @statements) = @_;
		for my $statement (@statements)
		{
			my @sql = map { s/\bNEW_SCHEMA\b/$schema{$victim}/gr =~ s/\bNEW(\w*)/$schema{$victim}.made$1/gr } ref $statement ? @$statement : $statement;
			my $kind = "@sql" =~ s/'[^']*'|\b(?:shop|mal)\.\S+|\d+//gr;
			push @steps, { group => $group, bare => $bare, sql => \@sql, first => !$kinds{$kind}++ };
		}
		return;
	};
	my $each = sub {
		my ($every, @templates) = @_;
		my @all;
		for my $template (@templates)
		{
			my @tables = sort keys %made;
			for my $table (@tables[ grep { $_ % $every == 0 } 0 .. $#tables ])
			{
				my $measure = $table =~ s/.*\.//r;
				my @sql = map { s/\bH_mv\b/${table}_mv/gr =~ s/\bH_m\b/${measure}_m/gr =~ s/\bH\./$measure./gr =~ s/\bQ\b/q_$measure/gr =~ s/\bH\b/$table/gr } ref $template ? @$template : $template;
				push @all, \@sql;
			}
		}
		return @all;
	};
	$add->('reading of honest tables and metric views', 0, $each->(1, @reading));
	$add->('listings', 0, map { my $query = "SELECT * FROM $_"; ($query, [ 'SET LOCAL force_parallel_mode = on', $query, 'RESET force_parallel_mode' ]) } @{ $catalog->{listings} });
	if ($victim ne 'reader' && $victim ne 'mal')
	{
		$add->('writing to honest tables', 0, $each->(1, @writing));
		$add->('DDL of honest tables', 0, $each->(4, @defining_each));
	}
	$add->('DDL', 0, @defining);
	return @steps if $victim eq 'deputy';
	my %callable = map { $_->[0] => 1 } @{ $catalog->{functions} };
	for my $function (@{ $catalog->{functions} })
	{
		my ($name, @arguments) = @$function;
		$add->('functions', 0, map { "SELECT * FROM $_" } _calls_of($catalog, $name, @arguments));
	}
	$add->('functions', 0, map { "SELECT * FROM $_" } map { _filled_in($catalog, $_) } grep { /^(kpi\.\w+)/ && $callable{$1} } @calls);
	$add->('statements that commit', 1, $each->(2, @bare_each), @bare) if $victim ne 'reader' && $victim ne 'mal';
	return @steps;
}

1;
