# S9: what one role made never makes a function fail, hang or wait for another, and no walk goes on without bounds. Faults once
# found by attack (R8, R10, R16, R17, R18, R21, R23, R24, N5) and by reading (A2, B1, B4, B5, B6, C1, C2), each with others of
# its kind.
#
# FINDING=pattern runs those whose name matches. Contract: starts a server of its own.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use Findings;

start('bounds', 'max_connections = 20', 'max_locks_per_transaction = 10');

# One of everything, of an honest owner; a reader may see it
my $company = q{
	CREATE TABLE s.sales (d date, g int, a int); INSERT INTO s.sales VALUES ('2026-01-05', 1, 1), ('2026-02-05', 1, 2);
	CREATE TABLE s.stores (id int PRIMARY KEY, region text); INSERT INTO s.stores VALUES (1, 'E');
	SELECT kpi.create_dimension('store', 's.stores', 'id', '{region}'), kpi.protect('s.sales', 'store', 'g'), kpi.track('s.sales', 'd');
	SELECT kpi.grant_scope(role, 'store', level => 'region', members => '{E}') FROM unnest('{rt_own,rt_reader}'::text[]) role;
	INSERT INTO s.sales VALUES ('2026-02-06', 1, 3);
	SELECT kpi.create_metric('s.m', 'SELECT sum(a) FROM s.sales'), kpi.create_metric('s.n', 'SELECT count(*) FROM s.sales'), kpi.create_metric('s.mean', 'SELECT m / nullif(n, 0) FROM s.m, s.n');
	SELECT kpi.create_metric_view('s.mv', '{d, g}', '{s.m, s.n, s.mean}');
	CREATE VIEW s.report AS SELECT g, kpi.measure(m) AS m FROM s.mv GROUP BY g;
	GRANT SELECT ON s.sales, s.m, s.n, s.mean, s.mv, s.report, s.stores TO rt_reader};

# What is asked of it, as a reader and as a superuser
my %listings = (
	metrics => 'kpi.metrics', metric_views => 'kpi.metric_views', dimensions => 'kpi.dimensions', measures => 'kpi.measures', scopes => 'kpi.scopes', scope_dimensions => 'kpi.scope_dimensions',
	protections => 'kpi.protections', data_change => 'kpi.data_change', loads => q{kpi.loads('s.m')}, lineage => 'kpi.lineage', lineage_history => 'kpi.lineage_history', upstream => q{kpi.upstream('s.mv')},
	downstream => q{kpi.downstream('s.sales')}, impact => q{kpi.impact('s.sales')}, my_scope => 'kpi.my_scope()', openlineage_events => 'kpi.openlineage_events()', openlineage_loads => q{kpi.openlineage_loads('s.m')},
	explain_change => q{kpi.explain_change('s.m', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', 'g', 's.mv')},
);

# Every listing answers, with what it answered before, within three seconds
sub answers
{
	my ($role, $before, @names) = @_;
	for my $name (@names ? @names : sort keys %listings)
	{
		my $said = sql($role, "SET statement_timeout = '3s'; SELECT count(*) FROM $listings{$name}", 20);
		defined $before->{$name} ? is($said, $before->{$name}, "kpi.$name for $role") : like($said, qr/\A\d+\z/, "kpi.$name for $role");
	}
	return;
}

sub answered
{
	my ($role) = @_;
	return { map { $_ => sql($role, "SELECT count(*) FROM $listings{$_}") } keys %listings };
}

sub check_answers
{
	my ($what) = @_;
	my $said = sql('rt_boss', q{SET statement_timeout = '10s'; SELECT count(*) FROM kpi.check()}, 30);
	like($said, qr/\A\d+\z/, $what // 'kpi.check()');
	return;
}

# R8: walks that double
my %doubling = (
	'joins of a view with itself' => 'SELECT x.a FROM s.v%1$d x, s.v%1$d y',
	'unions of a view with itself' => 'SELECT a FROM s.v%1$d UNION ALL SELECT a FROM s.v%1$d',
	'subqueries in conditions' => 'SELECT a FROM s.v%1$d WHERE a IN (SELECT a FROM s.v%1$d)',
	'common table expressions' => 'WITH w AS (SELECT a FROM s.v%1$d), z AS (SELECT a FROM s.v%1$d) SELECT w.a FROM w, z',
);
for my $name (sort keys %doubling)
{
	finding "R8 S9: walks visit a view once: $name" => sub {
		my $owner = session('rt_own');
		is($owner->ask('CREATE TABLE s.t (a int); CREATE VIEW s.v0 AS SELECT a FROM s.t;' . join ';', map { sprintf("CREATE VIEW s.v%d AS ", $_ + 1) . sprintf($doubling{$name}, $_) } 0 .. 17), '', '18 levels of views');
		my $seconds = seconds(sub { like($owner->ask(q{SET statement_timeout = '2s'; SELECT kpi.create_metric('s.m18', 'SELECT sum(a) FROM s.v18')}, 90), qr/\As\.m18\z/, 'a metric over them') });
		cmp_ok($seconds, '<', 2.5, 'in time');
		cmp_ok($owner->most_memory, '<', 250, 'and memory');
		return if $seconds > 2.5;
		is($owner->ask('SET statement_timeout = 0;' . join ';', map { sprintf("CREATE VIEW s.v%d AS ", $_ + 1) . sprintf($doubling{$name}, $_) } 18 .. 29), '', 'to level 30');
		like($owner->ask(q{SET statement_timeout = '2s'; SELECT kpi.create_metric('s.m', 'SELECT sum(a) FROM s.v30'); SELECT kpi.create_metric_view('s.mv', '{a}', '{s.m}')}), qr/\As\.m\ns\.mv\z/, 'a metric and a metric view');
		like($owner->ask("SELECT count(*) > 0 FROM $_"), qr/\At\z/, $_) foreach 'kpi.metrics', q{kpi.upstream('s.v30')}, q{kpi.upstream('s.m')}, q{kpi.downstream('s.t')}, q{kpi.impact('s.t')};
		check_answers();
		cmp_ok($owner->most_memory, '<', 250, 'the memory is bounded');
	};
}

finding 'R8 S9: derived metrics that double are an error before they are endless' => sub {
	my $owner = session('rt_own');
	$owner->ask(q{CREATE TABLE s.t (a int, g int); INSERT INTO s.t VALUES (1, 1); SELECT kpi.create_metric('s.m0', 'SELECT sum(a) FROM s.t')});
	my ($level, $said, $seconds) = (0, '', 0);
	while ($level < 20 && $seconds < 5 && $said !~ /ERROR/)
	{
		$level++;
		$seconds = seconds(sub { $said = $owner->ask(sprintf(q{SELECT kpi.create_metric('s.m%d', 'SELECT m%2$d + m%2$d FROM s.m%2$d')}, $level, $level - 1), 120) });
	}
	like($said, qr/\AERROR 54001 /, "at level $level");
	cmp_ok($seconds, '<', 5, 'in time');
	cmp_ok($level, '>', 10, 'but not too early');
	cmp_ok($owner->most_memory, '<', 600, 'and memory');
	my $deep = $level - 3;
	is($owner->ask("SELECT kpi.create_metric_view('s.mv', '{g}', '{s.m10}'); SELECT kpi.measure(m10) FROM s.mv"), "s.mv\n1024", 'those below work');
	cmp_ok(seconds(sub { like(sql('rt_own', 'SELECT count(*) FROM kpi.metrics'), qr/\A\d+\z/, 'kpi.metrics') }), '<', 10, 'in time');
	cmp_ok(seconds(sub { check_answers() }), '<', 10, 'in time');
};

finding 'R8 S9: functions that double' => sub {
	my $owner = session('rt_own');
	is($owner->ask('CREATE TABLE s.t (a int); CREATE FUNCTION s.f0() RETURNS SETOF int BEGIN ATOMIC SELECT a FROM s.t; END;' . join ';', map { sprintf 'CREATE FUNCTION s.f%1$d() RETURNS SETOF int BEGIN ATOMIC SELECT x FROM s.f%2$d() x, s.f%2$d() y; END', $_ + 1, $_ } 0 .. 24), '', '25 levels of functions');
	like($owner->ask("SET statement_timeout = '3s'; $_"), qr/\A(?:\d+|s\.v)?\z/, $_) foreach 'CREATE VIEW s.v AS SELECT f25 AS a FROM s.f25()', q{SELECT count(*) FROM kpi.upstream('s.v')}, q{SELECT count(*) FROM kpi.impact('s.t')};
	check_answers();
};

# R10, B1: listings beside parallel plans
for my $mode ('cheap parallel plans', 'forced parallel plans')
{
	finding "R10 S9: listings work under $mode" => sub {
		setup('rt_own', $company . '; CREATE TABLE s.big AS SELECT i, repeat(\'x\', 40) AS t FROM generate_series(1, 20000) i; GRANT SELECT ON s.big TO PUBLIC');
		setup('rt_boss', 'ANALYZE s.big; ANALYZE s.sales');
		my $before = answered('rt_reader');
		my $database = database();
		setup('rt_boss', join ';', map { "ALTER DATABASE $database SET $_" } 'parallel_setup_cost = 0', 'parallel_tuple_cost = 0', 'min_parallel_table_scan_size = 0', 'min_parallel_index_scan_size = 0', $mode =~ /forced/ ? 'force_parallel_mode = on' : ());
		like(sql('rt_reader', 'EXPLAIN SELECT count(*) FROM s.big'), qr/Gather/, 'plans are parallel');
		for my $name (sort keys %listings)
		{
			is(sql('rt_reader', "SELECT count(*) FROM $listings{$name}"), $before->{$name}, "kpi.$name");
			is(sql('rt_reader', "SELECT count(x), (SELECT count(*) FROM s.big) FROM (SELECT l AS x FROM $listings{$name} l OFFSET 0) y"), "$before->{$name}|20000", "kpi.$name beside a large table");
		}
		check_answers();
		like(sql('rt_boss', 'SELECT count(*), (SELECT count(*) FROM s.big) FROM kpi.check()'), qr/\A\d+\|20000\z/, 'kpi.check() beside a large table');
	};
}
finding 'B1 S9: what kpi.metrics and kpi.measures tell of structure is the same beside a parallel plan' => sub {
	setup('rt_own', $company . '; CREATE TABLE s.big AS SELECT i FROM generate_series(1, 20000) i');
	setup('rt_boss', 'ANALYZE s.big');
	my $parallel = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;';
	for my $query ('SELECT name, additivity, source, definition FROM kpi.metrics, (SELECT count(*) AS c FROM s.big) b WHERE c > 0 ORDER BY 1', 'SELECT name, additivity, metric FROM kpi.measures, (SELECT count(*) AS c FROM s.big) b WHERE c > 0 ORDER BY 1',
		'SELECT name, type, is_time FROM kpi.dimensions, (SELECT count(*) AS c FROM s.big) b WHERE c > 0 ORDER BY 1', q{SELECT kpi.additivity(oid), kpi.is_ratio(oid), kpi.metric_source(oid) FROM pg_class, (SELECT count(*) AS c FROM s.big) b WHERE oid IN ('s.m'::regclass, 's.mean'::regclass, 's.mv'::regclass) AND c > 0 ORDER BY 1})
	{
		my $serial = sql('rt_own', $query);
		unlike($serial, qr/ERROR/, 'asked alone');
		is(sql('rt_own', "$parallel $query"), $serial, $query);
	}
};

# R16: what cannot be derived
my %deep = (
	'a sum of 6,000 terms' => 'CREATE VIEW mal.deep AS SELECT ' . '(' x 6000 . 'a' . '+1)' x 6000 . ' AS a FROM mal.t',
	'a text of 5,000 parts' => 'CREATE VIEW mal.deep AS SELECT ' . '(' x 5000 . 'a::text' . q{||'x')} x 5000 . ' AS a FROM mal.t',
	'4,000 conditions' => 'CREATE VIEW mal.deep AS SELECT a FROM mal.t WHERE ' . '(NOT (' x 2000 . 'a = 1' . ' IS TRUE))' x 2000,
	'a body of a function' => 'CREATE FUNCTION mal.deep() RETURNS int BEGIN ATOMIC SELECT ' . '(' x 6000 . 'a' . '+1)' x 6000 . ' FROM mal.t; END; CREATE VIEW mal.v AS SELECT mal.deep() AS a',
);
for my $name (sort keys %deep)
{
	finding "R16 S9: a view too deep to be derived ends lineage for nobody: $name" => sub {
		setup('rt_own', $company);
		setup('rt_mal', 'CREATE TABLE mal.t (a int)');
		my $before = answered('rt_reader');
		delete @$before{ 'lineage', 'openlineage_events' };    # these tell of the new view, too
		my $said = sql('rt_mal', $deep{$name});
		return plan(skip_all => "this server does not take it: $said") if $said =~ /ERROR/;
		answers('rt_reader', $before);
		unlike(sql('rt_boss', 'SELECT kpi.refresh_lineage()'), qr/ERROR/, 'kpi.refresh_lineage()');
		answers('rt_reader', $before, 'lineage', 'upstream', 'downstream', 'loads');
		check_answers();
		unlike(sql('rt_boss', 'DELETE FROM kpi.lineage_stale; SELECT object, problem FROM kpi.check()'), qr/ERROR/, 'kpi.check() with an empty kpi.lineage_stale');
		unlike(sql('rt_own', 'CREATE VIEW s.later AS SELECT a FROM s.sales; DROP VIEW s.later'), qr/ERROR/, 'nor DDL');
		like(sql('rt_boss', 'SELECT object, problem FROM kpi.check()'), qr/mal\.(?:deep|v)\b/, 'kpi.check() names it')
		  unless sql('rt_mal', q{SELECT count(*) > 0 FROM kpi.upstream('mal.deep')}) eq 't';
	};
}

finding 'R16 S9: metrics of a stranger that are too deep end no listing' => sub {
	setup('rt_own', $company);
	setup('rt_mal', 'CREATE TABLE mal.t (a int)');
	sql('rt_mal', q{SELECT kpi.create_metric('mal.m', 'SELECT } . '(' x 6000 . 'sum(a)' . '+1)' x 6000 . q{ FROM mal.t')});
	sql('rt_mal', q{SELECT kpi.create_metric('mal.n', 'SELECT sum(a) FROM mal.t'); CREATE OR REPLACE VIEW mal.n AS SELECT } . '(' x 6000 . 'sum(a)' . '+1)' x 6000 . ' AS n FROM mal.t; GRANT SELECT ON mal.n TO PUBLIC');
	answers('rt_reader', undef, 'metrics', 'measures', 'lineage', 'upstream');
	check_answers();
};

finding 'R16 S9: a chain of 1,500 views' => sub {
	setup('rt_own', $company);
	my $before = answered('rt_reader');
	delete @$before{ 'lineage', 'openlineage_events' };
	setup('rt_mal', 'CREATE TABLE mal.t (a int); CREATE VIEW mal.v0 AS SELECT a FROM mal.t');
	my $said = sql('rt_mal', q{DO $$ BEGIN FOR i IN 1..1500 LOOP EXECUTE format('CREATE VIEW mal.v%s AS SELECT a FROM mal.v%s', i, i - 1); IF i % 20 = 0 THEN COMMIT; END IF; END LOOP; END $$}, 120);
	is($said, '', 'is made');
	answers('rt_reader', $before);
	check_answers();
	like(sql('rt_mal', q{SELECT kpi.create_metric('mal.m', 'SELECT sum(a) FROM mal.v1500')}), qr/\Amal\.m\z|\AERROR (?:53200|54001|KP)/, 'a metric over it is made or refused');
	check_answers();
};

# R17: DDL of others
for my $trap ([ 'a temporary child', q{SELECT kpi.protect('mal.p', 'd', 'k')}, 'CREATE TEMP TABLE c () INHERITS (mal.p); DROP POLICY kpi_scope_d ON c' ], [ 'a temporary child of a tracked table', q{SELECT kpi.track('mal.p')}, 'CREATE TEMP TABLE c () INHERITS (mal.p); DROP TRIGGER kpi_track_insert ON c' ],
	[ 'a child that is locked', q{CREATE TABLE mal.c () INHERITS (mal.p); SELECT kpi.protect('mal.p', 'd', 'k'); DROP POLICY kpi_scope_d ON mal.c}, 'BEGIN; LOCK TABLE mal.c' ],
	[ 'a locked child of a tracked table', q{CREATE TABLE mal.c () INHERITS (mal.p); SELECT kpi.track('mal.p'); DROP TRIGGER kpi_track_insert ON mal.c}, 'BEGIN; LOCK TABLE mal.c' ],
	[ 'a temporary table of its own', '', q{CREATE TEMP TABLE c (k int); SELECT kpi.protect('c', 'd', 'k'); DROP POLICY kpi_scope_d ON c} ])
{
	my ($name, $prepare, $hold) = @$trap;
	finding "R17 S9: nobody keeps others from their DDL by $name" => sub {
		setup('rt_own', $company);
		setup('rt_mal', "SELECT kpi.create_dimension('d', type => 'int'); CREATE TABLE mal.p (k int); $prepare");
		session('rt_mal')->ask($hold);
		for my $role ('rt_boss', 'rt_own')
		{
			is(sql($role, q{SET statement_timeout = '3s'; CREATE TABLE s.anything (i int); ALTER TABLE s.anything ADD j int; CREATE TEMP TABLE t (i int); CREATE VIEW s.v AS SELECT i FROM s.anything; DROP VIEW s.v; DROP TABLE s.anything}), '', "DDL of $role");
		}
		is(sql('rt_own', q{SET statement_timeout = '3s'; CREATE TABLE s.part (k int, v int) PARTITION BY LIST (k); SELECT kpi.protect('s.part', 'store', 'k'), kpi.track('s.part'); CREATE TABLE s.part1 PARTITION OF s.part FOR VALUES IN (1)}), '', 'and partitions');
		check_answers();
	};
}
finding 'R17 S9: a temporary table cannot be protected' => sub {
	setup('rt_own', q{SELECT kpi.create_dimension('d', type => 'int')});
	like(sql('rt_own', q{CREATE TEMP TABLE c (k int); SELECT kpi.protect('c', 'd', 'k')}), qr/\AERROR (?!XX)/, 'it is refused');
};

# R18, A2: the log's shape
my %shapes = (
	'A2 S9: a column more' => 'ALTER TABLE kpi.data_change_log ADD COLUMN note text',
	'A2 S9: a column with a default' => q{ALTER TABLE kpi.data_change_log ADD COLUMN note text NOT NULL DEFAULT 'x'},
	'A2 S9: a generated column' => q{ALTER TABLE kpi.data_change_log ADD COLUMN note text GENERATED ALWAYS AS (upper(operation)) STORED},
	'R18 S9: a column that came and went' => 'ALTER TABLE kpi.data_change_log ADD COLUMN note text; ALTER TABLE kpi.data_change_log DROP COLUMN note',
	'R18 S9: an index on an expression' => q{CREATE INDEX ON kpi.data_change_log ((changed_at AT TIME ZONE 'UTC'))},
	'A2 S9: an index on a function' => 'CREATE INDEX ON kpi.data_change_log (lower(application_name))',
	'A2 S9: a partial index' => q{CREATE INDEX ON kpi.data_change_log (login) WHERE operation = 'DELETE'},
	'A2 S9: an index of another kind' => 'CREATE INDEX ON kpi.data_change_log USING gin (members); CREATE INDEX ON kpi.data_change_log USING brin (changed_at); CREATE INDEX ON kpi.data_change_log USING hash (login)',
	'A2 S9: a unique index' => 'CREATE UNIQUE INDEX ON kpi.data_change_log (changed_at, relation, operation)',
	'A2 S9: statistics and a column of many' => 'CREATE STATISTICS kpi.more ON login, role FROM kpi.data_change_log; ' . join '; ', map { "ALTER TABLE kpi.data_change_log ADD COLUMN c$_ int DEFAULT $_" } 1 .. 40,
);
for my $name (sort keys %shapes)
{
	finding "$name of kpi.data_change_log is written, too" => sub {
		setup('rt_own', q{CREATE TABLE s.t (a int, d date); SELECT kpi.track('s.t', 'd'); INSERT INTO s.t VALUES (1, '2026-01-01')});
		setup('rt_boss', $shapes{$name});
		is(sql('rt_own', q{INSERT INTO s.t VALUES (2, '2026-01-02'); UPDATE s.t SET a = a + 1; DELETE FROM s.t WHERE a = 2; TRUNCATE s.t}), '', 'writers go on');
		is(sql('rt_boss', q{SELECT string_agg(operation || ' ' || rows, ', ' ORDER BY changed_at) FROM kpi.data_change WHERE rows > 0}), 'INSERT 1, INSERT 1, UPDATE 2, DELETE 1', 'all is recorded');
		is(sql('rt_boss', q{SET enable_seqscan = off; SELECT string_agg(operation, ' ') FROM kpi.data_change_log WHERE operation = 'DELETE'}), 'DELETE', 'an index tells the truth');
		is(sql('rt_boss', q{SET enable_seqscan = off; SELECT count(*) FROM kpi.data_change_log WHERE lower(application_name) = lower('psql') OR login = 'rt_own'}), '5', 'also of expressions') if $name !~ /gone/;
		is(sql('rt_boss', q{SELECT string_agg(DISTINCT note, ' ') FROM kpi.data_change_log WHERE operation = 'UPDATE'}), 'x', 'the default') if $name =~ /a default/;
		is(sql('rt_boss', q{SELECT string_agg(DISTINCT note, ' ') FROM kpi.data_change_log WHERE operation = 'UPDATE'}), 'UPDATE', 'the expression') if $name =~ /generated/;
		is(sql('rt_boss', 'CREATE EXTENSION amcheck; SELECT bt_index_check(i.indexrelid, true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam WHERE i.indrelid = \'kpi.data_change_log\'::regclass AND a.amname = \'btree\''), '', 'and every row is in every index');
	};
}
finding 'A2 S9: a library and an extension of two versions say so' => sub {
	setup('rt_own', $company);
	setup('rt_boss', q{UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'kpitables'});
	for my $statement (q{SELECT kpi.create_metric('s.x', 'SELECT sum(a) FROM s.sales')}, q{SELECT kpi.protect('s.stores', 'store', 'id')}, q{SELECT kpi.track('s.stores')}, 'SELECT kpi.measure(m) FROM s.mv', q{SELECT kpi.grant_scope('rt_steward', 'store', members => '{1}')})
	{
		like(sql('rt_own', $statement), qr/\AERROR (?!XX)\w+ .*version/, $statement);
	}
	setup('rt_boss', q{UPDATE pg_extension SET extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'kpitables') WHERE extname = 'kpitables'});
	is(sql('rt_own', 'SELECT kpi.measure(m) FROM s.mv'), '6', 'and work again');
};

# R21, B6, N5: locks
my $mine = q{
	CREATE TABLE mal.sales (d date, g int, a int); INSERT INTO mal.sales VALUES ('2026-01-05', 1, 1);
	CREATE TABLE mal.stores (id int PRIMARY KEY, region text); INSERT INTO mal.stores VALUES (1, 'E'); CREATE VIEW mal.source AS SELECT * FROM mal.sales;
	SELECT kpi.create_dimension('mine', 'mal.stores', 'id', '{region}'), kpi.protect('mal.sales', 'mine', 'g'), kpi.track('mal.sales', 'd'), kpi.grant_scope('rt_reader', 'mine', level => 'region', members => '{E}');
	INSERT INTO mal.sales VALUES ('2026-02-05', 1, 2);
	SELECT kpi.create_metric('mal.m', 'SELECT sum(a) FROM mal.source'), kpi.create_metric('mal.n', 'SELECT count(*) FROM mal.source'), kpi.create_metric('mal.mean', 'SELECT m / nullif(n, 0) FROM mal.m, mal.n');
	SELECT kpi.create_metric_view('mal.mv', '{d, g}', '{mal.m, mal.n, mal.mean}');
	GRANT SELECT ON ALL TABLES IN SCHEMA mal TO rt_reader};
for my $object ('m', 'mv', 'source', 'sales', 'stores', 'mean', 'mine_dimension')
{
	my $tag = $object =~ /^m/ ? 'R21' : 'N5';
	finding "$tag S9: no listing waits for a role that holds a lock on mal.$object" => sub {
		setup('rt_own', $company);
		setup('rt_mal', $mine);
		my $before = answered('rt_reader');
		delete $before->{data_change} if $object =~ /stores|dimension/;    # what cannot be told without waiting is not
		my $holder = session('rt_mal');
		is($holder->ask($object =~ /sales|stores/ ? "BEGIN; LOCK TABLE mal.$object" : "BEGIN; ALTER VIEW mal.$object SET (security_barrier = false)"), '', 'the lock is held');
		answers('rt_reader', $before);
		answers('rt_own');
		check_answers();
		setup('rt_boss', q{INSERT INTO kpi.lineage_stale (command, problem) VALUES ('test', 'test')});
		answers('rt_reader', $before, 'lineage', 'upstream', 'downstream', 'impact', 'loads');
		is($holder->ask('COMMIT'), '', 'the holder goes on');
	};
}

for my $call ('kpi.additivity(%s)', 'kpi.is_ratio(%s)', 'kpi.metric_source(%s)', '(SELECT count(*) FROM kpi.metric_view_columns(%s))', 'kpi.metric_view_source(%s)', '(SELECT count(*) FROM kpi.relation_family(%s))', '(SELECT count(*) FROM kpi.measures)', '(SELECT count(*) FROM kpi.metrics)',
	'(SELECT count(*) FROM kpi.dimensions)', '(SELECT count(*) FROM kpi.protections)', '(SELECT count(*) FROM kpi.data_change)', '(SELECT count(*) FROM kpi.lineage)', q{(SELECT count(*) FROM kpi.upstream('s.mv'))}, q{(SELECT count(*) FROM kpi.impact('s.sales'))})
{
	my ($name) = $call =~ /(kpi\.\w+)/;
	my $tag = $name eq 'kpi.measures' ? 'N5' : $name =~ /additivity|view_source/ ? 'R21' : $name =~ /s$/ ? 'B5' : 'B6';
	finding "$tag S9: $name leaves no lock on what a role has no privilege for" => sub {
		setup('rt_own', $company . '; REVOKE ALL ON ALL TABLES IN SCHEMA s FROM rt_reader; REVOKE USAGE ON SCHEMA s FROM PUBLIC');
		my @oids = split /\n/, setup('rt_boss', q{SELECT oid FROM pg_class WHERE oid IN ('s.m'::regclass, 's.mean'::regclass, 's.mv'::regclass, 's.sales'::regclass) ORDER BY oid});
		my $nobody = session('rt_victim');
		$nobody->ask('BEGIN');
		$nobody->ask(sprintf "SAVEPOINT s; SELECT $call; ROLLBACK TO s" =~ s/ROLLBACK TO s\z/RELEASE s/r, $_) foreach @oids;
		my $list = join ', ', @oids;
		is(sql('rt_boss', "SELECT string_agg(relation::regclass || ' ' || mode, ', ') FROM pg_locks WHERE pid = $nobody->{pid} AND relation IN ($list)"), '', 'no lock is kept');
		unlike(sql('rt_own', q{SET lock_timeout = '1s'; SELECT kpi.alter_metric('s.m', definition => 'SELECT sum(a) + 0 FROM s.sales'), kpi.alter_metric_view('s.mv', label => 'x'); ALTER TABLE s.sales ADD x int}), qr/ERROR/, 'the owner does not wait');
	};
}

finding 'B5 S9: more metrics than the server has locks' => sub {
	setup('rt_own', q{CREATE TABLE s.t (a int)});
	is(sql('rt_own', q{DO $$ BEGIN FOR i IN 1..1200 LOOP PERFORM kpi.create_metric('s.m' || i, 'SELECT sum(a) FROM s.t'); COMMIT; END LOOP; END $$}, 180), '', '1,200 metrics');
	is(sql('rt_own', 'SELECT count(*), count(additivity), count(source), count(definition) FROM kpi.metrics', 120), '1200|1200|1200|1200', 'kpi.metrics tells of each');
	is(sql('rt_own', 'BEGIN; SELECT count(*) FROM (SELECT metric, additivity FROM kpi.metrics OFFSET 0) x; SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = pg_backend_pid() AND c.relnamespace = \'s\'::regnamespace', 120), "1200\n0", 'and keeps no lock');
	check_answers();
	like(sql('rt_boss', 'SET client_min_messages = error; SELECT kpi.refresh_lineage(); SELECT count(*) FROM kpi.lineage', 120), qr/\A\d{4}\z/, 'nor does lineage');
};

# R23: internal errors
my %replaced = (
	'count(t.*)' => 'SELECT count(t.*) AS m FROM s.t', 'count(ctid)' => 'SELECT count(ctid) AS m FROM s.t', 'a filter on xmin' => q{SELECT count(*) FILTER (WHERE xmin::text <> '0') AS m FROM s.t}, 'a whole row in a condition' => 'SELECT count(*) AS m FROM s.t WHERE t.* IS NOT NULL',
	'tableoid' => 'SELECT count(tableoid) AS m FROM s.t', 'a whole row of a view' => 'SELECT count(v.*) AS m FROM s.v', 'row_to_json' => 'SELECT count(row_to_json(t)) AS m FROM s.t', 'two tables' => 'SELECT count(*) AS m FROM s.t, s.t x', 'a set' => 'SELECT count(*) AS m FROM generate_series(1, 3)',
	'a lateral join' => 'SELECT count(x.a) AS m FROM s.t, LATERAL (SELECT t.a) x', 'an outer reference' => 'SELECT (SELECT count(t.a)) AS m FROM s.t', 'grouping' => 'SELECT count(*) AS m FROM s.t GROUP BY ()', 'a window' => 'SELECT count(count(*)) OVER () AS m FROM s.t',
);
for my $name (sort keys %replaced)
{
	finding "R23 S9: a metric that was replaced by $name raises no internal error" => sub {
		setup('rt_own', q{CREATE TABLE s.t (a int, g int); INSERT INTO s.t VALUES (1, 1); CREATE VIEW s.v AS SELECT * FROM s.t; SELECT kpi.create_metric('s.m', 'SELECT count(*) FROM s.t'), kpi.create_metric('s.twice', 'SELECT m * 2 FROM s.m'), kpi.create_metric_view('s.mv', '{g}', '{s.m, s.twice}')});
		my $said = sql('rt_own', "CREATE OR REPLACE VIEW s.m AS $replaced{$name}");
		for my $statement ('SELECT count(*) FROM kpi.metrics', 'SELECT count(*) FROM kpi.measures', 'SELECT kpi.measure(m) FROM s.mv', 'SELECT g, sum(twice) FROM s.mv GROUP BY g', 'SELECT * FROM s.mv', q{SELECT kpi.additivity('s.m'), kpi.is_ratio('s.m'), kpi.metric_source('s.m')}, q{SELECT count(*) FROM kpi.upstream('s.mv')},
			q{SELECT kpi.explain_measure('SELECT kpi.measure(twice) FROM s.mv')}, q{SELECT kpi.alter_metric('s.m', label => 'l')}, q{SELECT kpi.alter_metric_view('s.mv', label => 'l')}, q{SELECT kpi.create_metric_view('s.other', '{g}', '{s.m}')})
		{
			unlike(sql('rt_own', $statement), qr/ERROR XX|LOST|HUNG/, $statement);
		}
		unlike(sql('rt_boss', 'SELECT count(*) FROM kpi.check()'), qr/ERROR|LOST|HUNG/, 'kpi.check()');
		is(join(', ', logged() =~ /(?:XX000|unexpected column reference).*/g), '', 'nor in the log');
	};
}

finding 'R23 S9: listings beside CREATE and DROP raise no internal error' => sub {
	setup('rt_own', $company . '; CREATE TABLE s.free (a int, g int)');
	my @makers = map { session('rt_own') } 1, 2;
	for my $i (0, 1)
	{
		$makers[$i]->send(qq{DO \$\$ BEGIN FOR i IN 1..400 LOOP
			PERFORM kpi.create_metric('s.x$i', 'SELECT count(*) FROM s.free'), kpi.create_metric_view('s.xv$i', '{g}', '{s.x$i}'); EXECUTE 'CREATE VIEW s.r$i AS SELECT sum(x$i) AS s FROM s.xv$i'; COMMIT;
			EXECUTE 'DROP VIEW s.r$i'; EXECUTE 'DROP VIEW s.xv$i'; EXECUTE 'DROP VIEW s.x$i'; COMMIT; END LOOP; END \$\$});
	}
	my $reader = session('rt_own');
	my $check = session('rt_boss');
	my %errors;
	my $rounds = 0;
	while (!defined $makers[0]->wait(0.01) && $rounds < 400)
	{
		$rounds++;
		for my $name ('metrics', 'measures', 'dimensions', 'metric_views', 'lineage', 'protections')
		{
			my $said = $reader->ask("SELECT count(l) FROM $listings{$name} l");
			$errors{"$name: $said"}++ if $said =~ /ERROR|LOST|HUNG/;
		}
		my $said = $rounds % 5 ? '' : $check->ask('SELECT count(*) FROM kpi.check()');
		$errors{"check: $said"}++ if $said =~ /ERROR|LOST|HUNG/;
	}
	cmp_ok($rounds, '>', 5, "$rounds rounds of listings");
	is(join(', ', map { "$_ ($errors{$_} times)" } sort keys %errors), '', 'no error');
	is(join(', ', logged() =~ /(?:ERROR: +could not open relation|cache lookup failed).*/g), '', 'nor in the log');
};

# R24, C1, C2: memory of a session
my $memory = q{SELECT coalesce(sum(total_bytes), 0) FROM pg_backend_memory_contexts};
my %calls = (
	'R24 S9: scopes of a superuser' => [ 'rt_boss', q{SELECT count(x) FROM (SELECT kpi.in_scope(n, i) AS x FROM s.names, generate_series(1, 20000) i OFFSET 0) y} ],
	'R24 S9: scopes of a role with BYPASSRLS' => [ 'rt_bypass', q{SELECT count(x) FROM (SELECT kpi.in_scope(n, i) AS x FROM s.names, generate_series(1, 20000) i OFFSET 0) y} ],
	'R24 S9: scopes of a reader' => [ 'rt_reader', q{SELECT count(x) FROM (SELECT kpi.in_scope(n, i) AS x FROM s.names, generate_series(1, 20000) i OFFSET 0) y} ],
	'C1 S9: scopes that are planned' => [ 'rt_boss', q{DO $$ BEGIN FOR i IN 1..5000 LOOP EXECUTE 'SELECT kpi.in_scope(''store'', ' || i || ')'; END LOOP; END $$} ],
	'C2 S9: scopes that cannot be computed' => [ 'rt_reader', q{DO $$ BEGIN FOR i IN 1..5000 LOOP BEGIN PERFORM kpi.in_scope('none', i); EXCEPTION WHEN undefined_object THEN NULL; END; END LOOP; END $$} ],
	'C2 S9: scopes of dimensions that come and go' => [ 'rt_own', q{DO $$ BEGIN FOR i IN 1..200 LOOP PERFORM kpi.create_dimension('x', type => 'int'), kpi.grant_scope('rt_own', 'x', members => '{1}'); PERFORM kpi.in_scope('x', i); PERFORM kpi.drop_dimension('x'); COMMIT; END LOOP; END $$} ],
	'C3 S9: tracked tables that come and go' => [ 'rt_own', q{DO $$ BEGIN FOR i IN 1..150 LOOP CREATE TABLE s.x (a int); PERFORM kpi.track('s.x'); INSERT INTO s.x VALUES (1); DROP TABLE s.x; COMMIT; END LOOP; END $$} ],
	'C3 S9: relations that are not tracked' => [ 'rt_own', q{DO $$ BEGIN FOR i IN 1..150 LOOP CREATE TABLE s.x (a int) PARTITION BY LIST (a); PERFORM kpi.track('s.x'); CREATE TABLE s.y PARTITION OF s.x FOR VALUES IN (1); INSERT INTO s.x VALUES (1); INSERT INTO s.y VALUES (1); DROP TABLE s.x; COMMIT; END LOOP; END $$} ],
);
for my $name (sort keys %calls)
{
	finding "$name take no memory for good" => sub {
		setup('rt_own', $company . q{; CREATE TABLE s.names (n text); INSERT INTO s.names VALUES ('store'); GRANT SELECT ON s.names TO PUBLIC});
		my ($role, $statement) = @{ $calls{$name} };
		setup('rt_boss', 'GRANT EXECUTE ON FUNCTION pg_get_backend_memory_contexts() TO PUBLIC; GRANT SELECT ON pg_backend_memory_contexts TO PUBLIC');
		my $session = session($role);
		unlike($session->ask($statement), qr/ERROR/, 'it works') for 1 .. 4;
		my $before = $session->ask("$memory WHERE name LIKE 'kpitables%'");
		my $all = $session->ask($memory =~ s{total_bytes}{used_bytes}r);    # a block more is no leak
		$session->ask($statement) for 1 .. 2;
		cmp_ok($session->ask("$memory WHERE name LIKE 'kpitables%'") - $before, '<=', 16384, 'caches of the extension do not grow');
		cmp_ok($session->ask($memory =~ s{total_bytes}{used_bytes}r) - $all, '<=', 300000, 'nor the session');
	};
}

# B4: an error while the extension is looked up
finding 'B4 S9: an error while objects are looked up is not remembered' => sub {
	setup('rt_own', $company . q{; CREATE TABLE s.t (a int); SELECT kpi.track('s.t')});
	my $blocker = session('rt_boss');
	my $writer = session('rt_own');
	my $reader = session('rt_reader');
	my $other = session('rt_reader');
	$blocker->ask('BEGIN; LOCK TABLE pg_extension IN ACCESS EXCLUSIVE MODE');
	like($writer->ask(q{SET statement_timeout = '300ms'; INSERT INTO s.t VALUES (1)}), qr/ERROR 57014/, 'a writer gives up');
	like($reader->ask(q{SET statement_timeout = '300ms'; SELECT kpi.measure(n) FROM s.mv}), qr/ERROR 57014/, 'and a reader');
	like($other->ask(q{SET statement_timeout = '300ms'; SELECT count(*) FROM s.sales}), qr/ERROR 57014|\A3\z/, 'and one of a protected table');
	$blocker->ask('COMMIT');
	is($writer->ask(q{SET statement_timeout = 0; INSERT INTO s.t VALUES (2)}), '', 'later it works');
	is(sql('rt_own', q{SELECT count(*) FROM kpi.data_change WHERE relation_name = 's.t'}), '1', 'and is recorded');
	is($reader->ask(q{SET statement_timeout = 0; SELECT kpi.measure(n) FROM s.mv}), '3', 'and the measure is told');
	is($other->ask(q{SET statement_timeout = 0; SELECT count(*) FROM s.sales}), '3', 'and the rows');
};

node()->stop;
done_testing();
