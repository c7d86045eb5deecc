# S8: scopes fail closed. Faults once found by attack (R4, R7, R9, R11 to R15, R19, N3, N4, N6) and by reading (A3, A4, B3,
# B7), each with others of its kind.
#
# FINDING=pattern runs those whose name matches. Contract: starts a server of its own.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use Findings;

start('scopes');

# A dimension of plain values, and a table that obeys it: the reader has 1 and 2 of four
my $plain = q{
	CREATE TABLE s.sales (k int, v int); INSERT INTO s.sales SELECT i, i FROM generate_series(1, 4) i;
	SELECT kpi.create_dimension('d', type => 'int'), kpi.grant_scope('rt_reader', 'd', members => '{1,2}'), kpi.protect('s.sales', 'd', 'k');
	GRANT SELECT ON s.sales TO rt_reader};

# R4: a dimension's table that another dimension protects, whose owner obeys
my $nested = q{
	CREATE TABLE s.stores (id int PRIMARY KEY, country %s, region text);
	INSERT INTO s.stores SELECT i, (i %% 9)%s, 'r' || i %% 5 FROM generate_series(1, 2000) i;
	CREATE TABLE s.sales (store int); INSERT INTO s.sales SELECT id FROM s.stores;
	SELECT kpi.create_dimension('country', type => '%s');
	SELECT kpi.create_dimension('store', 's.stores', 'id', '{region}');
	GRANT SELECT ON s.stores TO rt_steward; GRANT SELECT ON s.sales TO rt_reader;
	RESET SESSION AUTHORIZATION; ALTER VIEW s.store_dimension OWNER TO rt_steward; SET SESSION AUTHORIZATION rt_own;
	SELECT kpi.protect('s.stores', 'country', 'country');
	SELECT kpi.grant_scope('rt_steward', 'country', members => '{1,2,3}');
	RESET SESSION AUTHORIZATION;
	SELECT kpi.grant_scope('rt_reader', 'store', level => 'region', members => '{r1}');
	SET SESSION AUTHORIZATION rt_own;
	SELECT kpi.protect('s.sales', 'store', 'store')};

sub nested
{
	my ($type, $cast) = @_;
	setup('rt_boss', 'SET SESSION AUTHORIZATION rt_own;' . sprintf $nested, $type eq 'text' ? 'text' : 'int', $cast // '', $type);
	is(sql('rt_reader', 'SELECT count(*) FROM s.sales'), '134', 'the reader has 134 rows');
	return;
}

# A psql that is fed from a file, so that nobody has to wait upon it
sub feed
{
	my ($role, $sql, @more) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir_short() . '/statements';
	append_to_file($file, $sql);
	my $self = { out => '', err => '' };
	$self->{run} = IPC::Run::start([ Findings::psql_command($role) ], '<', $file, '>', \$self->{out}, '2>', \$self->{err}, @more);
	return $self;
}

# Statements by two sessions while one or two others go on with writing; the answers that came, each once
sub while_writing
{
	my ($reads, $times, @writes) = @_;
	my @answers;
	my @writers = map { feed('rt_boss', "\\o /dev/null\n" . "$_;\n" x 200000) } @writes;
	my @readers = map { feed('rt_reader', "$reads;\n" x $times, IPC::Run::timeout(90)) } 1 .. 2;
	for my $reader (@readers)
	{
		eval { $reader->{run}->finish; 1 } or push @answers, 'HUNG';
		push @answers, split /\n/, Findings::answer($reader->{out}, $reader->{err});
	}
	for my $writer (@writers)
	{
		eval { $writer->{run}->kill_kill(grace => 1) };
		push @answers, "a writer's " . $_ foreach Findings::errors($writer->{err});
	}
	my %count;
	$count{$_}++ foreach @answers;
	note join ', ', map { "$_: $count{$_} times" } sort keys %count;
	return join ' ', sort keys %count;
}

finding 'R4 S8: a scope that is computed through another one, while the dimension changes' => sub {
	nested('int');
	is(while_writing('SELECT count(*) FROM s.sales', 1500, 'UPDATE s.stores SET region = region WHERE id = 1', 'UPDATE s.stores SET region = region WHERE id = 2'), '134', 'always the same rows');
};

finding 'R4 S8: the same, where the function is not planned away' => sub {
	nested('int');
	is(while_writing(q{SELECT count(*) FROM s.sales WHERE kpi.in_scope(lower('STORE'), store)}, 400, 'UPDATE s.stores SET region = region WHERE id = 1', 'UPDATE s.stores SET region = region WHERE id = 2'), '134', 'always the same rows');
};

finding 'R4 S8: the same, where the keys have two types' => sub {
	nested('bigint');
	is(while_writing('SELECT count(*) FROM s.sales', 1000, 'UPDATE s.stores SET region = region WHERE id = 1', 'UPDATE s.stores SET region = region WHERE id = 2'), '134', 'always the same rows');
};

finding 'R4 S8: the same, while scopes are granted and revoked' => sub {
	nested('int');
	is(while_writing('SELECT count(*) FROM s.sales', 800, q{SELECT kpi.grant_scope('rt_bypass', 'country', members => '{4}'); SELECT kpi.revoke_scope('rt_bypass', 'country')}), '134', 'always the same rows');
};

finding 'R4 S8: three dimensions deep' => sub {
	nested('int');
	setup('rt_boss', q{SET SESSION AUTHORIZATION rt_own;
		CREATE TABLE s.cities (id int PRIMARY KEY, store int, name text); INSERT INTO s.cities SELECT i, i, 'c' || i % 2 FROM generate_series(1, 2000) i;
		CREATE TABLE s.visits (city int); INSERT INTO s.visits SELECT id FROM s.cities;
		SELECT kpi.create_dimension('city', 's.cities', 'id', '{name}'); GRANT SELECT ON s.cities TO rt_steward; GRANT SELECT ON s.visits TO rt_reader;
		RESET SESSION AUTHORIZATION; ALTER VIEW s.city_dimension OWNER TO rt_steward;
		SELECT kpi.grant_scope('rt_reader', 'city', level => 'name', members => '{c1}'), kpi.grant_scope('rt_steward', 'store', level => 'region', members => '{r1}'), kpi.protect('s.cities', 'store', 'store'), kpi.protect('s.visits', 'city', 'city')});
	is(sql('rt_reader', 'SELECT count(*) FROM s.visits'), '68', 'the reader has 68 rows');
	is(while_writing('SELECT count(*) FROM s.visits', 500, 'UPDATE s.stores SET region = region WHERE id = 1', 'UPDATE s.cities SET name = name WHERE id = 1'), '68', 'always the same rows');
};

finding 'R4 S3 S8: a scope that is computed through another one, when that one ends' => sub {
	nested('int');
	setup('rt_boss', q{SELECT kpi.grant_scope('rt_steward', 'country', members => '{4,5}', valid_until => clock_timestamp() + interval '3 s')});
	my $reader = session('rt_reader');
	is($reader->ask('SET plan_cache_mode = force_generic_plan; PREPARE p AS SELECT count(*) FROM s.sales; EXECUTE p'), '222', 'the reader has more rows for three seconds, in a plan');
	is($reader->ask(q{SELECT count(*) FROM s.sales WHERE kpi.in_scope(lower('STORE'), store)}), '222', 'without one');
	is($reader->ask('BEGIN; EXECUTE p'), '222', 'and in a transaction');
	sleep(3.2);
	is($reader->ask('EXECUTE p'), '134', 'then as before, in the transaction');
	is($reader->ask('COMMIT; EXECUTE p'), '134', 'in the plan');
	is($reader->ask(q{SELECT count(*) FROM s.sales WHERE kpi.in_scope(lower('STORE'), store)}), '134', 'without one');
	is($reader->ask('SELECT count(*) FROM s.sales'), '134', 'and in a new one');
};

for my $type ('int', 'bigint', 'text')
{
	finding "R4 S8: with every cache emptied whenever it could be, and keys of int and $type" => sub {
		plan(skip_all => 'the server has no assertions') unless has_assertions();
		nested($type, $type eq 'text' ? '::text' : '');
		setup('rt_boss', 'GRANT SET ON PARAMETER debug_discard_caches TO rt_reader');
		is(sql('rt_reader', q{SET debug_discard_caches = 1; SELECT count(*) FROM s.sales; SELECT count(*) FROM s.sales WHERE kpi.in_scope(lower('STORE'), store); SELECT count(*) FROM s.sales}, 300), "134\n134\n134", 'the same rows');
	};
}

finding 'R4 S8: a dimension whose table obeys itself is an error, and no rows' => sub {
	setup('rt_boss', q{SET SESSION AUTHORIZATION rt_own;
		CREATE TABLE s.stores (id int PRIMARY KEY, region text); INSERT INTO s.stores VALUES (1, 'r1'), (2, 'r2'); GRANT SELECT ON s.stores TO rt_reader, rt_steward;
		SELECT kpi.create_dimension('store', 's.stores', 'id', '{region}');
		RESET SESSION AUTHORIZATION; ALTER VIEW s.store_dimension OWNER TO rt_steward;
		SELECT kpi.grant_scope('rt_reader', 'store', level => 'region', members => '{r1}'), kpi.grant_scope('rt_steward', 'store', level => 'region', members => '{r1}'), kpi.protect('s.stores', 'store', 'id')});
	like(sql('rt_reader', 'SELECT count(*) FROM s.stores'), qr/\AERROR 42P17 /, 'recursion is 42P17');
	like(sql('rt_reader', 'SELECT count(*) FROM s.stores; SELECT count(*) FROM s.stores'), qr/\AERROR 42P17 .*\nERROR 42P17 .*\z/, 'the second time, too');
	like(sql('rt_reader', q{SELECT kpi.in_scope(lower('STORE'), 1)}), qr/\AERROR 42P17 /, 'and at run time');
	unlike(sql('rt_boss', 'SELECT count(*) FROM kpi.check()'), qr/ERROR|LOST/, 'kpi.check() goes on');
};

finding 'R4 S8: two dimensions whose tables obey each other' => sub {
	setup('rt_boss', q{SET SESSION AUTHORIZATION rt_own;
		CREATE TABLE s.a (id int PRIMARY KEY, b int, n text); CREATE TABLE s.b (id int PRIMARY KEY, a int, n text); INSERT INTO s.a VALUES (1, 1, 'x'), (2, 2, 'y'); INSERT INTO s.b VALUES (1, 1, 'x'), (2, 2, 'y');
		CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1), (2); GRANT SELECT ON s.a, s.b, s.t TO rt_reader, rt_steward;
		SELECT kpi.create_dimension('a', 's.a', 'id', '{n}'), kpi.create_dimension('b', 's.b', 'id', '{n}');
		RESET SESSION AUTHORIZATION; ALTER VIEW s.a_dimension OWNER TO rt_steward; ALTER VIEW s.b_dimension OWNER TO rt_steward;
		SELECT kpi.grant_scope(role, d, level => 'n', members => '{x}') FROM unnest('{rt_reader,rt_steward}'::text[]) role, unnest('{a,b}'::text[]) d;
		SELECT kpi.protect('s.a', 'b', 'b'), kpi.protect('s.b', 'a', 'a'), kpi.protect('s.t', 'a', 'a')});
	like(sql('rt_reader', 'SELECT count(*) FROM s.t; SELECT count(*) FROM s.t'), qr/\AERROR 42P17 .*\nERROR 42P17 .*\z/, 'recursion is 42P17');
};

finding 'R4 S8: a scope whose computing failed is computed again, and is never full' => sub {
	setup('rt_boss', q{SET SESSION AUTHORIZATION rt_own;
		CREATE TABLE s.stores (id int PRIMARY KEY, region text); INSERT INTO s.stores VALUES (1, 'r1'), (2, 'r2'); GRANT SELECT ON s.stores TO rt_steward;
		CREATE TABLE s.t (store int); INSERT INTO s.t VALUES (1), (2), (3); GRANT SELECT ON s.t TO rt_reader;
		CREATE TABLE s.switch (broken int); INSERT INTO s.switch VALUES (0); GRANT SELECT ON s.switch TO rt_steward;
		SELECT kpi.create_dimension('store', 's.stores', 'id', '{region}');
		RESET SESSION AUTHORIZATION; ALTER VIEW s.store_dimension OWNER TO rt_steward;
		SELECT kpi.grant_scope('rt_reader', 'store', level => 'region', members => '{r1}'), kpi.protect('s.t', 'store', 'store'); SET SESSION AUTHORIZATION rt_own;
		CREATE POLICY p ON s.stores USING (1 / (1 - (SELECT broken FROM s.switch)) = 1); ALTER TABLE s.stores ENABLE ROW LEVEL SECURITY});
	my $reader = session('rt_reader');
	is($reader->ask('SELECT count(*) FROM s.t'), '1', 'it works');
	setup('rt_own', 'UPDATE s.switch SET broken = 1; UPDATE s.stores SET region = region');
	like($reader->ask('SELECT count(*) FROM s.t'), qr/\AERROR 22012 /, 'it fails');
	like($reader->ask(q{SELECT count(*) FROM s.t WHERE kpi.in_scope(lower('STORE'), store)}), qr/\AERROR 22012 /, 'again');
	like($reader->ask(q{DO $$ BEGIN PERFORM count(*) FROM s.t; RAISE EXCEPTION 'rows'; EXCEPTION WHEN division_by_zero THEN NULL; END $$; SELECT count(*) FROM s.t}), qr/\AERROR 22012 /, 'and after it was handled');
	setup('rt_own', 'UPDATE s.switch SET broken = 0; UPDATE s.stores SET region = region');
	is($reader->ask('SELECT count(*) FROM s.t'), '1', 'it works again');
};

my $side = q{
	CREATE TABLE mal.o (id int PRIMARY KEY, n text); INSERT INTO mal.o VALUES (1, 'x'), (2, 'y'); GRANT SELECT, UPDATE ON mal.o TO rt_steward;
	SELECT kpi.create_dimension('o', 'mal.o', 'id', '{n}');
	SELECT kpi.grant_scope(role, 'o', level => 'n', members => '{x}') FROM unnest('{rt_mal,rt_victim,rt_steward}'::text[]) role;
	CREATE FUNCTION mal.side() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN UPDATE mal.o SET n = n; RETURN kpi.in_scope('o', 1) AND kpi.in_scope('o', (SELECT min(id) FROM mal.o)); END $$;
	CREATE FUNCTION mal.side(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM mal.side(); RETURN true; END';
	CREATE TABLE mal.stores (id int PRIMARY KEY, region text); INSERT INTO mal.stores SELECT i, CASE WHEN i = 1 THEN 'E' ELSE 'W' END FROM generate_series(1, 5) i; GRANT SELECT ON mal.stores TO rt_steward;
	SELECT kpi.create_dimension('h', 'mal.stores', 'id', '{region}'), kpi.grant_scope('rt_victim', 'h', level => 'region', members => '{E}'), kpi.grant_scope('rt_victim', 'h', members => '{7}', valid_until => 'tomorrow');
	CREATE TABLE mal.t (k int); INSERT INTO mal.t VALUES (1), (2), (3); SELECT kpi.protect('mal.t', 'h', 'k'); GRANT SELECT ON mal.t TO rt_victim};
for my $way ('an index predicate', 'row security')
{
	finding "R4 S8: code that runs while a scope is computed may change other dimensions and ask for scopes: $way" => sub {
		setup('rt_mal', $side);
		setup('rt_mal', q{CREATE INDEX ON mal.stores (id) WHERE mal.side(1) AND region > 'A'}) if $way =~ /index/;
		setup('rt_mal', q{CREATE POLICY p ON mal.stores USING (mal.side()); ALTER TABLE mal.stores ENABLE ROW LEVEL SECURITY}) if $way =~ /security/;
		setup('rt_boss', 'ALTER VIEW mal.h_dimension OWNER TO rt_steward') if $way =~ /security/;
		my $reader = session('rt_victim');
		my $writer = session('rt_mal');
		my %answers;
		for (1 .. 20)
		{
			$answers{ $reader->ask(q{SELECT count(*) FROM mal.t; SELECT count(*) FROM mal.t WHERE kpi.in_scope(lower('H'), k) AND kpi.in_scope('o', 1)}) }++;
			$writer->ask('UPDATE mal.stores SET region = region; UPDATE mal.o SET n = n');
		}
		is(join(' ', sort keys %answers), "1\n1", 'the reader sees its row each time');
	};
}

# R7, N4: a revocation that arrives while a plan is being made
my $slow = q{
	CREATE FUNCTION r.slow() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(1); PERFORM FROM pg_class WHERE oid = 0; RETURN 1; END $$;
	CREATE FUNCTION r.stable() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM pg_sleep(1); PERFORM FROM pg_class WHERE oid = 0; RETURN 1; END $$;
	CREATE TABLE r.other (a int); INSERT INTO r.other VALUES (1); ANALYZE r.other};
my $measure = q{
	SELECT kpi.create_metric('s.n', 'SELECT count(*) FROM s.sales'), kpi.create_metric_view('s.mv', '{k}', '{s.n}'); GRANT SELECT ON s.n, s.mv TO rt_reader};
my %plans = (
	'R7 with a policy that is slow to plan' => [
		q{ALTER TABLE r.other ENABLE ROW LEVEL SECURITY; ALTER TABLE r.other FORCE ROW LEVEL SECURITY; CREATE POLICY slow ON r.other USING (r.slow() = 1); PREPARE q AS SELECT count(*) FROM s.sales, r.other}, 'EXECUTE q' ],
	'N4 with a STABLE function that is estimated' => [ 'PREPARE q AS SELECT count(*) FROM s.sales, r.other WHERE a < 1 + r.stable()', 'EXECUTE q' ],
	'N4 with a subquery that is planned first' => [ 'PREPARE q AS SELECT count(*) FROM (SELECT * FROM s.sales OFFSET 0) x, (SELECT a FROM r.other WHERE a < 1 + r.stable() OFFSET 0) y', 'EXECUTE q' ],
	'N4 with a measure' => [ 'PREPARE q AS SELECT kpi.measure(n) FROM s.mv WHERE k < 10 + r.stable()', 'EXECUTE q' ],
	'N4 with a cursor of a function' => [ q{CREATE FUNCTION r.f() RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE c CURSOR FOR SELECT count(*) FROM s.sales, r.other WHERE a < 1 + r.stable(); n bigint; BEGIN OPEN c; FETCH c INTO n; CLOSE c; RETURN n; END $$}, 'SELECT r.f()' ],
	'N4 with a statement of a function' => [ q{CREATE FUNCTION r.f() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM s.sales, r.other WHERE a < 1 + r.stable()); END $$}, 'SELECT r.f()' ],
	'N4 with a subtransaction' => [ q{CREATE FUNCTION r.f() RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE n bigint; BEGIN BEGIN SELECT count(*) INTO n FROM s.sales, r.other WHERE a < 1 + r.stable(); EXCEPTION WHEN division_by_zero THEN NULL; END; RETURN n; END $$}, 'SELECT r.f()' ],
	'N4 with a block whose error is handled' => [ q{CREATE FUNCTION r.f() RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM s.sales, r.other WHERE a < 1 + r.stable(); BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END; RETURN n; END $$}, 'SELECT r.f()' ],
	'N4 with two protected tables' => [ 'PREPARE q AS SELECT count(*) FROM s.sales, r.other, s.sales x WHERE s.sales.k = x.k AND a < 1 + r.stable()', 'EXECUTE q' ],
);
for my $name (sort { $b cmp $a } keys %plans)
{
	my ($prepare, $execute) = @{ $plans{$name} };
	finding(($name =~ s/^(\w+) (.*)/$1 S8: a scope that is revoked while a statement is planned, $2/r) => sub {
		setup('rt_own', $plain . ($name =~ /measure/ ? ";$measure" : ''));
		setup('rt_reader', $slow);
		my $reader = session('rt_reader');
		$reader->ask("SET plan_cache_mode = force_generic_plan; $prepare");
		$reader->send($execute);
		sleep 0.5;
		setup('rt_own', q{SELECT kpi.revoke_scope('rt_reader', 'd')});
		like($reader->wait // 'HUNG', qr/\A[02]\z/, 'the statement ends');
		is($reader->ask($execute), '0', 'no rows at the next one');
		setup('rt_own', 'INSERT INTO s.sales VALUES (1, 1), (2, 2)');
		is($reader->ask($execute), '0', 'and none of those that come');
	});
}

finding 'N4 S8: a dimension that changes while a statement is planned' => sub {
	setup('rt_own', q{
		CREATE TABLE s.stores (id int PRIMARY KEY, region text); INSERT INTO s.stores VALUES (1, 'E'), (2, 'E');
		CREATE TABLE s.sales (k int); INSERT INTO s.sales VALUES (1), (2), (3); GRANT SELECT ON s.sales TO rt_reader;
		SELECT kpi.create_dimension('d', 's.stores', 'id', '{region}'), kpi.grant_scope('rt_reader', 'd', level => 'region', members => '{E}'), kpi.protect('s.sales', 'd', 'k')});
	setup('rt_reader', $slow);
	my $reader = session('rt_reader');
	$reader->ask('SET plan_cache_mode = force_generic_plan; PREPARE q AS SELECT count(*) FROM s.sales, r.other WHERE a < 1 + r.stable()');
	$reader->send('EXECUTE q');
	sleep 0.5;
	setup('rt_own', q{UPDATE s.stores SET region = 'W' WHERE id = 2});
	like($reader->wait // 'HUNG', qr/\A[12]\z/, 'the statement ends');
	is($reader->ask('EXECUTE q'), '1', 'the row that left is not shown at the next one');
};

finding 'N4 S8: a membership that is revoked while a statement is planned' => sub {
	setup('rt_own', $plain . q{; SELECT kpi.revoke_scope('rt_reader', 'd'), kpi.grant_scope('rt_steward', 'd', members => '{1,2}')});
	setup('rt_reader', $slow);
	setup('rt_boss', 'GRANT rt_steward TO rt_reader');
	my $reader = session('rt_reader');
	$reader->ask('SET plan_cache_mode = force_generic_plan; PREPARE q AS SELECT count(*) FROM s.sales, r.other WHERE a < 1 + r.stable()');
	$reader->send('EXECUTE q');
	sleep 0.5;
	setup('rt_boss', 'REVOKE rt_steward FROM rt_reader');
	like($reader->wait // 'HUNG', qr/\A[02]\z/, 'the statement ends');
	is($reader->ask('EXECUTE q'), '0', 'no rows at the next one');
};

# R9: the record of changes while a cast runs
finding 'R9 S8: what runs while a statement is noted cannot spoil the note' => sub {
	my $said = sql('rt_mal', q{
		CREATE TYPE mal.key AS (a int);
		CREATE TABLE mal.p (v int); CREATE TABLE mal.once (done boolean); INSERT INTO mal.once VALUES (false);
		CREATE TABLE mal.t (k int) INHERITS (mal.p);
		CREATE FUNCTION mal.side() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			IF (SELECT done FROM mal.once) THEN RETURN; END IF;
			UPDATE mal.once SET done = true;
			FOR i IN 1..6 LOOP PERFORM kpi.protect('mal.p', 'e' || i, 'v'); END LOOP;
			CREATE POLICY zz ON mal.t USING (true);
			INSERT INTO mal.t VALUES (1, 1);
		END $$;
		CREATE FUNCTION mal.tokey(int) RETURNS mal.key LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM mal.side(); RETURN ROW($1)::mal.key; END $$;
		CREATE CAST (int AS mal.key) WITH FUNCTION mal.tokey(int) AS IMPLICIT;
		SELECT kpi.create_dimension('e' || i, type => 'int') FROM generate_series(1, 6) i;
		SELECT kpi.create_dimension('r9', type => 'mal.key');
		SELECT kpi.protect('mal.t', 'r9', 'k');
		SELECT kpi.track('mal.t')});
	like($said, qr/ERROR 42804 .*\nERROR /, 'neither the dimension nor the cast is taken');
	sql('rt_mal', join ';', map { "CREATE POLICY kpi_scope_e$_ ON mal.t AS RESTRICTIVE FOR SELECT USING (kpi.in_scope('e$_', v))" } 1 .. 6);
	sql('rt_mal', 'INSERT INTO mal.t SELECT g, 1 FROM generate_series(1, 50) g');
	my $members = sql('rt_mal', q{SELECT members FROM kpi.data_change WHERE relation_name = 'mal.t' AND rows = 50});
	like($members, qr/\A(?:\{("(?:r9|e[1-6])": [^"]*("[^"]*"[^"]*)*,? ?)*\})?\z/, 'the note names the dimensions');
	unlike($members, qr/"e(?!\d")|: \[\]/, 'and nothing else') or diag($members);
};

# R11: a dimension that changes without its own statement trigger
my $family = q{
	CREATE TABLE s.sales (store int); INSERT INTO s.sales VALUES (1), (2); GRANT SELECT ON s.sales TO rt_reader;
	%s
	SELECT kpi.create_dimension('r11', 's.stores', 'id', '{region}');
	SELECT kpi.protect('s.sales', 'r11', 'store'), kpi.grant_scope('rt_reader', 'r11', level => 'region', members => '{East}');
	%s};
my %families = (
	'a partition, changed through its parent' => [ q{CREATE TABLE s.all_stores (country text, id int, region text) PARTITION BY LIST (country); CREATE TABLE s.stores PARTITION OF s.all_stores FOR VALUES IN ('cn'); INSERT INTO s.all_stores VALUES ('cn', 1, 'East'), ('cn', 2, 'East');}, '' ],
	'a child, changed through its parent' => [ q{CREATE TABLE s.all_stores (country text, id int, region text); CREATE TABLE s.stores () INHERITS (s.all_stores); INSERT INTO s.stores VALUES ('cn', 1, 'East'), ('cn', 2, 'East');}, '' ],
	'a table that was attached later' => [ q{CREATE TABLE s.all_stores (country text, id int, region text) PARTITION BY LIST (country); CREATE TABLE s.stores (country text, id int, region text); INSERT INTO s.stores VALUES ('cn', 1, 'East'), ('cn', 2, 'East');},
		q{ALTER TABLE s.all_stores ATTACH PARTITION s.stores FOR VALUES IN ('cn');} ],
	'a table that inherits later' => [ q{CREATE TABLE s.all_stores (id int, region text); CREATE TABLE s.stores (id int, region text); INSERT INTO s.stores VALUES (1, 'East'), (2, 'East');}, q{ALTER TABLE s.stores INHERIT s.all_stores;} ],
	'a table that got a child, which is changed' => [ q{CREATE TABLE s.stores (id int, region text); INSERT INTO s.stores VALUES (1, 'East');}, q{CREATE TABLE s.all_stores () INHERITS (s.stores); INSERT INTO s.all_stores VALUES (2, 'East');} ],
	'a table with a child from before' => [ q{CREATE TABLE s.stores (id int, region text); CREATE TABLE s.all_stores () INHERITS (s.stores); INSERT INTO s.stores VALUES (1, 'East'); INSERT INTO s.all_stores VALUES (2, 'East');}, '' ],
	'a partitioned table, whose partition is changed' => [ q{CREATE TABLE s.stores (id int, region text) PARTITION BY LIST (id); CREATE TABLE s.one PARTITION OF s.stores FOR VALUES IN (1); CREATE TABLE s.all_stores PARTITION OF s.stores FOR VALUES IN (2); INSERT INTO s.stores VALUES (1, 'East'), (2, 'East');}, '' ],
);
for my $name (sort keys %families)
{
	finding "R11 S8: the dimension's table is $name" => sub {
		my $said = sql('rt_own', sprintf $family, @{ $families{$name} });
		if ($said =~ /ERROR/)
		{
			like($said, qr/ERROR (?:55000|42809) /, 'it is refused');
			return;
		}
		my $reader = session('rt_reader');
		my $before = $reader->ask('PREPARE q AS SELECT array_agg(store ORDER BY store) FROM s.sales; EXECUTE q');
		like($before, qr/\A\{1(,2)?\}\z/, 'the scope before');
		setup('rt_own', q{UPDATE s.all_stores SET region = 'West' WHERE id = 2});
		is($reader->ask('EXECUTE q'), '{1}', 'the change is followed by prepared statements');
		is($reader->ask('SELECT array_agg(store ORDER BY store) FROM s.sales'), '{1}', 'by new ones');
		is($reader->ask(q{SELECT array_agg(store ORDER BY store) FROM s.sales WHERE kpi.in_scope(lower('R11'), store)}), '{1}', 'and at run time');
	};
}

finding 'R11 S8: a dimension\'s table that logical replication changes' => sub {
	setup('rt_own', q{
		CREATE TABLE s.stores (id int PRIMARY KEY, region text); INSERT INTO s.stores VALUES (1, 'East'), (2, 'East');
		CREATE TABLE s.sales (store int); INSERT INTO s.sales VALUES (1), (2); GRANT SELECT ON s.sales TO rt_reader;
		SELECT kpi.create_dimension('r11', 's.stores', 'id', '{region}'), kpi.protect('s.sales', 'r11', 'store'), kpi.grant_scope('rt_reader', 'r11', level => 'region', members => '{East}')});
	create_database('publisher');
	my $publisher = session('rt_boss', 'publisher');
	$publisher->ask(q{CREATE TABLE s.stores (id int PRIMARY KEY, region text); INSERT INTO s.stores VALUES (1, 'East'), (2, 'East'); CREATE PUBLICATION p FOR TABLE s.stores});
	is($publisher->ask(q{SELECT slot_name FROM pg_create_logical_replication_slot('r11', 'pgoutput')}), 'r11', 'a slot');
	my $connection = node()->connstr('publisher') =~ s/'/''/gr;
	setup('rt_boss', "CREATE SUBSCRIPTION r11 CONNECTION '$connection user=rt_boss' PUBLICATION p WITH (create_slot = false, copy_data = false)");
	my $reader = session('rt_reader');
	is($reader->ask('PREPARE q AS SELECT array_agg(store ORDER BY store) FROM s.sales; EXECUTE q'), '{1,2}', 'the scope before');
	for my $change ([ q{UPDATE s.stores SET region = 'West' WHERE id = 2}, q{SELECT count(*) = 1 FROM s.stores WHERE region = 'West'}, '{1}' ], [ q{UPDATE s.stores SET region = 'East'}, q{SELECT count(*) = 2 FROM s.stores WHERE region = 'East'}, '{1,2}' ],
		[ q{DELETE FROM s.stores WHERE id = 1}, q{SELECT count(*) = 1 FROM s.stores}, '{2}' ], [ q{INSERT INTO s.stores VALUES (1, 'East')}, q{SELECT count(*) = 2 FROM s.stores}, '{1,2}' ],
		[ q{TRUNCATE s.stores}, q{SELECT count(*) = 0 FROM s.stores}, '' ])
	{
		my ($statement, $arrived, $rows) = @$change;
		$publisher->ask($statement);
		ok(node()->poll_query_until(database(), $arrived), "replicated: $statement");
		is($reader->ask('EXECUTE q'), $rows, 'prepared statements follow');
		is($reader->ask(q{SELECT array_agg(store ORDER BY store) FROM s.sales WHERE kpi.in_scope(lower('R11'), store)}), $rows, 'and at run time');
	}
	setup('rt_boss', $_) foreach 'ALTER SUBSCRIPTION r11 DISABLE', 'ALTER SUBSCRIPTION r11 SET (slot_name = NONE)', 'DROP SUBSCRIPTION r11';
	node()->poll_query_until('postgres', q{SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'r11'});
	node()->safe_psql('postgres', $_) foreach q{SELECT pg_drop_replication_slot('r11')}, 'DROP DATABASE publisher WITH (FORCE)';
};

# R12, R13, B3: partitions that come in other ways
my $empty = q{
	CREATE TABLE s.p (k int) PARTITION BY LIST (k); CREATE TABLE s.h (k int); CREATE TABLE s.free (k int); INSERT INTO s.free VALUES (2);
	SELECT kpi.create_dimension('d', type => 'int')};
my $protect = q{SELECT kpi.protect('s.p', 'd', 'k'), kpi.protect('s.h', 'd', 'k')};

sub obeys
{
	my ($table, $what) = @_;
	setup('rt_boss', "INSERT INTO $table VALUES (1)") if $table !~ /free/;
	setup('rt_boss', "GRANT USAGE ON SCHEMA " . ($table =~ s/\..*//r) . " TO rt_reader; GRANT SELECT ON $table TO rt_reader");
	is(sql('rt_reader', "SELECT count(*) FROM $table"), '0', $what // "a reader without scope sees no row of $table");
	return;
}
my %elements = (
	'a partition' => 'CREATE SCHEMA s2 CREATE TABLE c PARTITION OF s.p FOR VALUES IN (1)',
	'a child' => 'CREATE SCHEMA s2 CREATE TABLE c () INHERITS (s.h)',
	'a partition of a partition' => 'CREATE SCHEMA s2 CREATE TABLE c PARTITION OF s.p FOR VALUES IN (1) PARTITION BY LIST (k) CREATE TABLE c1 PARTITION OF s2.c FOR VALUES IN (1)',
	'a partition, beside other elements' => 'CREATE SCHEMA s2 AUTHORIZATION rt_own CREATE TABLE a (i int) CREATE VIEW v AS SELECT * FROM a CREATE TABLE c PARTITION OF s.p FOR VALUES IN (1)',
	'a partition, in a block' => q{DO $$ BEGIN CREATE SCHEMA s2 CREATE TABLE c PARTITION OF s.p FOR VALUES IN (1); END $$},
);
for my $name (sort keys %elements)
{
	finding "R12 S8: $name that CREATE SCHEMA makes obeys" => sub {
		setup('rt_own', "$empty; $protect");
		is(sql('rt_own', $elements{$name}), '', 'it is made');
		obeys('s2.c');
		obeys('s2.c1') if $name =~ /of a part/;
		is(sql('rt_boss', q{SELECT count(*) FROM kpi.check() WHERE object ~ 's2'}), '0', 'kpi.check() has nothing to say');
	};
}

my %old_snapshots = (
	'R13 S8: a partition that is made' => [ 'CREATE TABLE s.c PARTITION OF s.p FOR VALUES IN (1)', 's.c' ],
	'R13 S8: a child that is made' => [ 'CREATE TABLE s.c () INHERITS (s.h)', 's.c' ],
	'B3 S8: a partition that is attached' => [ 'ALTER TABLE s.p ATTACH PARTITION s.free FOR VALUES IN (2)', 's.free' ],
	'B3 S8: a child that inherits' => [ 'ALTER TABLE s.free INHERIT s.h', 's.free' ],
	'R13 S8: a partition that CREATE SCHEMA makes' => [ 'CREATE SCHEMA s2 CREATE TABLE c PARTITION OF s.p FOR VALUES IN (1)', 's2.c' ],
);
for my $name (sort keys %old_snapshots)
{
	for my $level ('REPEATABLE READ', 'SERIALIZABLE')
	{
		next if $level eq 'SERIALIZABLE' && $name =~ /child|SCHEMA/;
		finding "$name in a transaction at $level that began before the protection" => sub {
			my ($statement, $table) = @{ $old_snapshots{$name} };
			setup('rt_own', $empty);
			my $old = session('rt_own');
			$old->ask("BEGIN ISOLATION LEVEL $level; SELECT 1");
			setup('rt_own', $protect);
			my $said = $old->ask("$statement; COMMIT");
			return if $said =~ /ERROR/ && like($said, qr/\AERROR (?:40001|55000) /, 'it is refused');
			obeys($table);
		};
	}
}

finding 'B3 S8: tracking that began after the snapshot of a transaction is followed' => sub {
	setup('rt_own', $empty);
	my $old = session('rt_own');
	$old->ask('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
	setup('rt_own', q{SELECT kpi.track('s.p')});
	my $said = $old->ask('ALTER TABLE s.p ATTACH PARTITION s.free FOR VALUES IN (2); COMMIT');
	return if $said =~ /ERROR/ && like($said, qr/\AERROR (?:40001|55000) /, 'it is refused');
	setup('rt_own', 'INSERT INTO s.free VALUES (2)');
	is(sql('rt_own', q{SELECT count(*) FROM kpi.data_change WHERE relation_name = 's.free' AND operation = 'INSERT'}), '1', 'a change of the new partition is recorded');
};

finding 'B3 S8: a metric that is newer than the snapshot of the transaction that drops it leaves nothing' => sub {
	setup('rt_own', $empty);
	my $old = session('rt_own');
	$old->ask('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
	setup('rt_own', q{SELECT kpi.create_metric('s.m', 'SELECT count(*) FROM s.free'), kpi.create_metric_view('s.mv', '{k}', '{s.m}')});
	my $said = $old->ask('DROP VIEW s.mv; DROP VIEW s.m; COMMIT');
	return if $said =~ /ERROR/ && like($said, qr/\AERROR (?:40001|55000) /, 'it is refused');
	is(sql('rt_boss', q{SELECT (SELECT count(*) FROM kpi.metric_registry) + (SELECT count(*) FROM kpi.metric_view_registry)}), '0', 'the registries are empty');
};

# R14, N3: parents
my $parents = q{
	CREATE TABLE s.p (k int, v int) PARTITION BY LIST (k); CREATE TABLE s.p1 PARTITION OF s.p FOR VALUES IN (1); INSERT INTO s.p VALUES (1, 1);
	CREATE TABLE s.up (k int, v int); CREATE TABLE s.down () INHERITS (s.up); INSERT INTO s.down VALUES (1, 1);
	CREATE TABLE s.other (k int, v int); CREATE TABLE s.third (k int, v int); CREATE TABLE s.two () INHERITS (s.other, s.third); INSERT INTO s.two VALUES (1, 1);
	CREATE TABLE s.t (k int, v int); INSERT INTO s.t VALUES (1, 1); CREATE TABLE s.t2 () INHERITS (s.t); INSERT INTO s.t2 VALUES (1, 1);
	SELECT kpi.create_dimension('d', type => 'int'), kpi.create_dimension('e', type => 'int');
	GRANT SELECT ON ALL TABLES IN SCHEMA s TO rt_reader};
my %parents = (
	'R14 S8: a partition alone' => [ '', q{SELECT kpi.protect('s.p1', 'd', 'k')}, 's.p' ],
	'R14 S8: a child alone' => [ '', q{SELECT kpi.protect('s.down', 'd', 'k')}, 's.up' ],
	'R14 S8: a child whose parent obeys another dimension' => [ q{SELECT kpi.protect('s.up', 'e', 'v'), kpi.grant_scope('rt_reader', 'e', members => '{1}')}, q{SELECT kpi.protect('s.down', 'd', 'k')}, 's.up' ],
	'R14 S8: one of two parents of a child' => [ '', q{SELECT kpi.protect('s.other', 'd', 'k')}, 's.third' ],
	'N3 S8: a protected table inherits later' => [ q{SELECT kpi.protect('s.t', 'd', 'k')}, 'ALTER TABLE s.t INHERIT s.up', 's.up WHERE tableoid = \'s.t\'::regclass' ],
	'N3 S8: a child of a protected table inherits later' => [ q{SELECT kpi.protect('s.t', 'd', 'k')}, 'ALTER TABLE s.t2 INHERIT s.up', 's.up WHERE tableoid = \'s.t2\'::regclass' ],
	'N3 S8: a protected table is attached' => [ q{CREATE TABLE s.single (k int, v int); INSERT INTO s.single VALUES (2, 2); SELECT kpi.protect('s.single', 'd', 'k')}, 'ALTER TABLE s.p ATTACH PARTITION s.single FOR VALUES IN (2)', 's.p WHERE k = 2' ],
	'N3 S8: a protected partitioned table is attached' => [ q{CREATE TABLE s.q (k int, v int) PARTITION BY LIST (k); CREATE TABLE s.q1 PARTITION OF s.q FOR VALUES IN (2); INSERT INTO s.q VALUES (2, 2); SELECT kpi.protect('s.q', 'd', 'k')}, 'ALTER TABLE s.p ATTACH PARTITION s.q FOR VALUES IN (2)', 's.p WHERE k = 2' ],
	'N3 S8: a child is made with a protected parent and another' => [ q{SELECT kpi.protect('s.t', 'd', 'k'); CREATE TABLE s.o (k int); GRANT SELECT ON s.o TO rt_reader}, 'CREATE TABLE s.c () INHERITS (s.t, s.o); INSERT INTO s.c VALUES (1)', 's.o' ],
	'N3 S8: a child that CREATE SCHEMA makes with a protected parent and another' => [ q{SELECT kpi.protect('s.t', 'd', 'k'); CREATE TABLE s.o (k int); GRANT SELECT ON s.o TO rt_reader}, 'CREATE SCHEMA s2 CREATE TABLE c () INHERITS (s.t, s.o); INSERT INTO s2.c VALUES (1)', 's.o' ],
	'N3 S8: a parent that obeys it over another column' => [ q{SELECT kpi.protect('s.t', 'd', 'k'), kpi.protect('s.up', 'd', 'v'); INSERT INTO s.t VALUES (3, 4); SELECT kpi.grant_scope('rt_reader', 'd', members => '{4}')}, 'ALTER TABLE s.t INHERIT s.up', 's.up WHERE tableoid = \'s.t\'::regclass' ],
	'N3 S8: a parent that obeys another dimension' => [ q{SELECT kpi.protect('s.t', 'd', 'k'), kpi.protect('s.up', 'e', 'k'), kpi.grant_scope('rt_reader', 'e', members => '{1}')}, 'ALTER TABLE s.t INHERIT s.up', 's.up WHERE tableoid = \'s.t\'::regclass' ],
);
for my $name (sort keys %parents)
{
	finding "$name is refused" => sub {
		my ($before, $statement, $through) = @{ $parents{$name} };
		setup('rt_own', "$parents; $before");
		like(sql('rt_own', $statement), qr/^ERROR 55000 /m, 'the state does not allow it');
		is(sql('rt_reader', "SELECT count(*) FROM $through"), '0', "no rows through $through") if $name !~ /R14/;
		is(sql('rt_boss', q{SELECT count(*) FROM kpi.check() WHERE severity = 'error'}), '0', 'kpi.check() has nothing to say');
	};
}

finding 'N3 S8: what is protected alike on all sides is let through' => sub {
	setup('rt_own', $parents);
	is(sql('rt_own', q{
		SELECT kpi.protect('s.p', 'd', 'k'); CREATE TABLE s.q (k int, v int); SELECT kpi.protect('s.q', 'd', 'k'); ALTER TABLE s.p ATTACH PARTITION s.q FOR VALUES IN (2); INSERT INTO s.q VALUES (2, 2);
		SELECT kpi.protect('s.up', 'd', 'k'), kpi.protect('s.t', 'd', 'k'); ALTER TABLE s.t INHERIT s.up; CREATE TABLE s.c () INHERITS (s.t, s.up); INSERT INTO s.c VALUES (1, 1);
		ALTER TABLE s.t NO INHERIT s.up; ALTER TABLE s.p DETACH PARTITION s.q; GRANT SELECT ON s.q, s.c TO rt_reader}), '', 'no error');
	is(sql('rt_reader', "SELECT count(*) FROM $_"), '0', "no rows of $_") foreach 's.p', 's.q', 's.up', 's.t', 's.c';
	is(sql('rt_own', q{CREATE TABLE s.x (k int, v int); CREATE TABLE s.y () INHERITS (s.x); CREATE TABLE s.z (k int, v int); ALTER TABLE s.y INHERIT s.z; SELECT kpi.grant_scope('rt_reader', 'd', members => '{1}')}), '', 'tables that are not protected are left alone');
	is(sql('rt_reader', 'SELECT count(*) FROM s.up'), '2', 'and with a scope the rows are there');
};

# R15, A3: rules that sort before "_RETURN"
for my $rule ('"INSERT" AS ON INSERT TO s.v DO INSTEAD NOTHING', '"A" AS ON UPDATE TO s.v DO INSTEAD NOTHING', '"0" AS ON DELETE TO s.v DO INSTEAD NOTHING', '"Z" AS ON INSERT TO s.v DO INSTEAD INSERT INTO s.sink VALUES (new.k)')
{
	my $tag = $rule =~ /INSERT"/ ? 'R15' : 'A3';
	finding "$tag S8: a rule that sorts before _RETURN hides no bypass: $rule" => sub {
		setup('rt_own', "$plain; CREATE TABLE s.sink (k int); GRANT SELECT ON s.sales TO rt_bypass");
		setup('rt_bypass', "CREATE VIEW s.v AS SELECT * FROM s.sales; GRANT SELECT ON s.v TO rt_own; CREATE TABLE s.bypass_sink (k int); CREATE RULE " . ($rule =~ s/s\.sink/s.bypass_sink/r));
		like(sql('rt_own', q{SELECT kpi.create_metric('s.m', 'SELECT sum(v) FROM s.v')}), qr/\AERROR 42501 /, 'a metric over it is refused');
		setup('rt_own', q{CREATE VIEW s.w AS SELECT * FROM s.v; CREATE VIEW s.safe AS SELECT * FROM s.sales});
		like(sql('rt_own', q{SELECT kpi.create_metric('s.n', 'SELECT sum(v) FROM s.w')}), qr/\AERROR 42501 /, 'nor over a view of it');
		setup('rt_own', q{SELECT kpi.create_metric('s.late', 'SELECT sum(v) FROM s.safe')});
		setup('rt_boss', 'ALTER VIEW s.safe OWNER TO rt_bypass; CREATE RULE ' . ($rule =~ s/s\.v/s.safe/r));
		like(sql('rt_boss', q{SELECT object || ' ' || problem FROM kpi.check() WHERE severity = 'error'}), qr/s\.late/, 'kpi.check() tells of one that came later');
	};
}

# A4: children are protected tables, too
finding 'A4 S8: a metric of a role that bypasses row security over a child of a protected table is refused' => sub {
	setup('rt_own', q{
		CREATE TABLE s.p (k int, v int); CREATE TABLE s.c () INHERITS (s.p); CREATE TABLE s.cc () INHERITS (s.c); INSERT INTO s.c VALUES (1, 100), (2, 200);
		CREATE TABLE s.q (k int, v int) PARTITION BY LIST (k); CREATE TABLE s.q1 PARTITION OF s.q FOR VALUES IN (1);
		SELECT kpi.create_dimension('d', type => 'int'), kpi.protect('s.p', 'd', 'k'), kpi.protect('s.q', 'd', 'k'); GRANT SELECT ON s.p, s.c, s.cc, s.q, s.q1 TO rt_bypass, rt_reader});
	for my $table ('p', 'c', 'cc', 'q', 'q1')
	{
		like(sql('rt_boss', "SELECT kpi.create_metric('s.m$table', 'SELECT sum(v) FROM s.$table')"), qr/\AERROR 42501 /, "a superuser's over s.$table");
		like(sql('rt_bypass', "SELECT kpi.create_metric('s.b$table', 'SELECT sum(v) FROM s.$table')"), qr/\AERROR 42501 /, "and one of BYPASSRLS");
	}
	setup('rt_own', q{CREATE VIEW s.v AS SELECT * FROM s.cc; SELECT kpi.create_metric('s.oc', 'SELECT sum(v) FROM s.c'), kpi.create_metric_view('s.mv', '{k}', '{s.oc}'), kpi.create_metric('s.occ', 'SELECT sum(v) FROM s.v'); GRANT SELECT ON s.mv, s.oc TO rt_reader});
	is(sql('rt_reader', 'SELECT kpi.measure(oc) FROM s.mv'), '', 'the owner\'s is scoped');
	is(sql('rt_boss', q{SELECT count(*) FROM kpi.check()}), '0', 'and kpi.check() has nothing to say');
	setup('rt_boss', 'ALTER VIEW s.mv OWNER TO rt_bypass; ALTER VIEW s.v OWNER TO rt_bypass');
	my $told = sql('rt_boss', q{SELECT object || ' ' || problem FROM kpi.check()});
	like($told, qr/^s\.mv /m, 'it tells once the owner bypasses');
	like($told, qr/^s\.occ /m, 'also below a view');
};

# R19: pg_database_owner
for my $way ('ALTER DATABASE .. OWNER TO', 'REASSIGN OWNED')
{
	finding "R19 S8: the scope of pg_database_owner ends with it: $way" => sub {
		setup('rt_own', $plain);
		setup('rt_own', q{SELECT kpi.grant_scope('pg_database_owner', 'd', members => '{3}'); GRANT SELECT ON s.sales TO rt_steward, rt_victim});
		setup('rt_boss', 'ALTER DATABASE ' . database() . ' OWNER TO rt_steward');
		my $owner = session('rt_steward');
		is($owner->ask('PREPARE q AS SELECT count(*) FROM s.sales; EXECUTE q'), '1', 'the owner sees its rows');
		is($owner->ask(q{SELECT kpi.in_scope(lower('D'), 3)}), 't', 'at run time, too');
		setup('rt_boss', $way =~ /REASSIGN/ ? 'REASSIGN OWNED BY rt_steward TO rt_victim' : 'ALTER DATABASE ' . database() . ' OWNER TO rt_victim');
		is($owner->ask('EXECUTE q'), '0', 'no rows by the prepared statement');
		is($owner->ask('SELECT count(*) FROM s.sales'), '0', 'nor by another');
		is($owner->ask(q{SELECT kpi.in_scope(lower('D'), 3)}), 'f', 'nor at run time');
		is(sql('rt_victim', 'SELECT count(*) FROM s.sales'), '1', 'the new owner has them');
	};
}

# N6: what is said when a dimension is out of step
my $trigger_dimension = q{
	CREATE TABLE s.stores (id int PRIMARY KEY, region text, area text); INSERT INTO s.stores VALUES (1, 'E', 'x');
	CREATE TABLE s.sales (k int, j int); SELECT kpi.create_dimension('d', 's.stores', 'id', '{region}'), kpi.protect('s.sales', 'd', 'k')};

finding 'N6 S8: a dimension whose table was dropped can be dropped' => sub {
	setup('rt_own', $trigger_dimension . '; DROP TABLE s.sales');
	setup('rt_own', 'DROP TABLE s.stores CASCADE');
	unlike(sql('rt_own', q{SELECT kpi.drop_dimension('d')}), qr/ERROR XX/, 'no internal error');
	like(sql('rt_boss', q{SELECT kpi.drop_dimension('d')}), qr/\A\z|ERROR 42704/, 'a superuser can');
	is(sql('rt_boss', 'SELECT count(*) FROM kpi.scope_dimensions'), '0', 'it is gone');
};

my $remake = q{DROP TRIGGER d_dimension ON s.stores; CREATE TRIGGER d_dimension %s EXECUTE FUNCTION kpi.scope_changed(); ALTER TABLE s.stores ENABLE ALWAYS TRIGGER d_dimension};
my %triggers = (
	'of INSERT only' => sprintf($remake, 'AFTER INSERT ON s.stores FOR EACH STATEMENT'),
	'of UPDATE of another column' => sprintf($remake, 'AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF area ON s.stores FOR EACH STATEMENT'),
	'without TRUNCATE' => sprintf($remake, 'AFTER INSERT OR DELETE OR UPDATE ON s.stores FOR EACH STATEMENT'),
	'of other rows' => sprintf($remake, 'AFTER INSERT OR DELETE OR UPDATE ON s.stores FOR EACH ROW WHEN (false)'),
	'that is disabled' => 'ALTER TABLE s.stores DISABLE TRIGGER d_dimension',
	'that is not always enabled' => 'ALTER TABLE s.stores ENABLE TRIGGER d_dimension',
	'that is gone' => 'DROP TRIGGER d_dimension ON s.stores',
);
for my $name (sort keys %triggers)
{
	finding "N6 S8: kpi.check() tells of a trigger $name" => sub {
		setup('rt_own', $trigger_dimension);
		is(sql('rt_boss', 'SELECT count(*) FROM kpi.check()'), '0', 'nothing at first');
		setup('rt_own', $triggers{$name});
		like(sql('rt_boss', 'SELECT severity, object, problem FROM kpi.check()'), qr/^error\|d\|.*trigger/m, 'an error');
		my $remedy = sql('rt_boss', q{SELECT remedy FROM kpi.check() WHERE object = 'd'});
		is(sql('rt_boss', $remedy), '', 'its remedy works') or diag($remedy);
		is(sql('rt_boss', 'SELECT count(*) FROM kpi.check()'), '0', 'and nothing is left');
	};
}

finding 'N6 S8: kpi.check() tells when columns were renamed so that the policy names another one' => sub {
	setup('rt_own', $trigger_dimension);
	setup('rt_own', q{ALTER POLICY kpi_scope_d ON s.sales USING (kpi.in_scope('d', j)); ALTER TABLE s.sales RENAME k TO x; ALTER TABLE s.sales RENAME j TO k});
	like(sql('rt_boss', 'SELECT severity, object FROM kpi.check()'), qr/^(?:error|warning)\|s\.sales$/m, 'it is told');
};

finding 'N6 S8: kpi.check() tells when the key of a dimension is another column by name' => sub {
	setup('rt_own', $trigger_dimension);
	is(sql('rt_own', 'ALTER TABLE s.sales RENAME k TO x'), '', 'a rename alone');
	unlike(sql('rt_boss', 'SELECT severity, object FROM kpi.check()'), qr/^error/m, 'is no error');
};

# B7: arguments of functions that are inlined
my $inlined = q{
	CREATE TABLE s.lines (k int, v int); INSERT INTO s.lines VALUES (1, 1), (2, 2);
	SELECT kpi.create_dimension('d', type => 'int'), kpi.grant_scope('rt_reader', 'd', members => '{1,2}');
	SELECT kpi.create_metric('s.rev', 'SELECT sum(v) FROM s.lines'), kpi.create_metric_view('s.mv', '{k}', '{s.rev}'); GRANT SELECT ON s.mv, s.rev TO rt_reader};
my %calls = (
	'a function over measures' => [ q{CREATE FUNCTION r.f(ok boolean) RETURNS TABLE (k int, rev bigint) LANGUAGE sql STABLE AS $$ SELECT k, kpi.measure(rev) FROM s.mv WHERE ok GROUP BY k $$}, q{SELECT count(*) FROM r.f(kpi.in_scope('d', 1))} ],
	'a function over a table' => [ q{CREATE TABLE r.free (a int); INSERT INTO r.free VALUES (1), (2); CREATE FUNCTION r.f(ok boolean) RETURNS SETOF r.free LANGUAGE sql STABLE AS $$ SELECT * FROM r.free WHERE ok $$}, q{SELECT count(*) FROM r.f(kpi.in_scope('d', 1))} ],
	'a function in a function' => [ q{CREATE TABLE r.free (a int); INSERT INTO r.free VALUES (1), (2); CREATE FUNCTION r.g(ok boolean) RETURNS SETOF r.free LANGUAGE sql STABLE AS $$ SELECT * FROM r.free WHERE ok $$; CREATE FUNCTION r.f() RETURNS SETOF r.free LANGUAGE sql STABLE AS $$ SELECT * FROM r.g(kpi.in_scope('d', 1)) $$}, q{SELECT count(*) FROM r.f()} ],
	'a scalar function' => [ q{CREATE TABLE r.free (a int); INSERT INTO r.free VALUES (1), (2); CREATE FUNCTION r.f(ok boolean) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT ok $$}, q{SELECT count(*) FROM r.free WHERE r.f(kpi.in_scope('d', 1))} ],
);
for my $name (sort keys %calls)
{
	finding "B7 S8: a scope that is an argument of $name is not kept in a plan" => sub {
		my ($make, $query) = @{ $calls{$name} };
		setup('rt_own', $inlined);
		setup('rt_reader', $make);
		my $reader = session('rt_reader');
		is($reader->ask("SET plan_cache_mode = force_generic_plan; PREPARE q AS $query; EXECUTE q"), '2', 'two rows');
		setup('rt_own', q{SELECT kpi.revoke_scope('rt_reader', 'd', members => '{1}')});
		is($reader->ask('EXECUTE q'), '0', 'none once it is revoked');
		setup('rt_own', q{SELECT kpi.grant_scope('rt_reader', 'd', members => '{1}')});
		is($reader->ask('EXECUTE q'), '2', 'and two again');
	};
}

node()->stop;
done_testing();
