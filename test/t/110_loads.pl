# L2, D16, E3, E10, G1, G5: what is recorded is what was committed. Eight writers with two statements or more a transaction, in
# opposite order, with savepoints, rollbacks and two-phase commits; servers and backends killed under that load; dumps.
#
# The tables themselves tell how many statements changed them: rows of one INSERT share a number, each UPDATE adds one to the
# writer's own row, each DELETE takes one row of a stock. OPERATIONS=5000 is about how many statements the writers send,
# KILLS=2 how often they are interrupted; SEED repeats a run.
# Contract: starts a server of its own; needs psql, pgbench, pg_dump and pg_restore of its version.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $operations = $ENV{OPERATIONS} // 5000;
my $kills = $ENV{KILLS} // 2;
my $seed = $ENV{SEED} // time;
note "SEED=$seed";
srand $seed;

my $node = PostgreSQL::Test::Cluster->new('loads');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'kpitables'\nfsync = off\nmax_prepared_transactions = 20\ntimezone = 'UTC'\nlog_lock_waits = on\nrestart_after_crash = on");
$node->start;
my $dir = PostgreSQL::Test::Utils::tempdir;

$node->safe_psql('postgres', q{
	CREATE EXTENSION kpitables;
	CREATE SCHEMA shop;
	CREATE TABLE shop.a (dropped int, id int, stmt bigint, touches int NOT NULL DEFAULT 0, at date);
	ALTER TABLE shop.a DROP dropped;
	CREATE INDEX ON shop.a (id);
	CREATE TABLE shop.b (id int, stmt bigint, touches int NOT NULL DEFAULT 0, at date) PARTITION BY HASH (id);
	CREATE TABLE shop.b_0 PARTITION OF shop.b FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE shop.b_1 PARTITION OF shop.b FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	CREATE INDEX ON shop.b (id);
	CREATE TABLE shop.stock (id int PRIMARY KEY);
	INSERT INTO shop.a SELECT i FROM generate_series(0, 7) i;
	INSERT INTO shop.b SELECT i FROM generate_series(0, 7) i;
	INSERT INTO shop.stock SELECT i FROM generate_series(1, 100000) i;
	SELECT kpi.track('shop.a', 'at'), kpi.track('shop.b', 'at'), kpi.track('shop.stock');
});

# A transaction that changes one table, perhaps the stock, and then the other
sub script
{
	my ($first, $second) = @_;
	my $file = "$dir/$first$second.sql";
	append_to_file($file, qq{
		\\set n random(1, 9000000000000000)
		\\set k random(1, 20)
		\\set d random(1, 100000)
		\\set kind random(1, 10)
		BEGIN;
		INSERT INTO shop.$first (id, stmt, at) SELECT 100 + i, :n, date '2026-01-01' + i FROM generate_series(1, :k) i;
		\\if :kind <= 2
		SAVEPOINT s;
		UPDATE shop.$first SET touches = touches + 1 WHERE id = :client_id;
		ROLLBACK TO s;
		\\elif :kind <= 5
		SAVEPOINT s;
		DELETE FROM shop.stock WHERE id = :d;
		RELEASE s;
		\\endif
		UPDATE shop.$second SET touches = touches + 1 WHERE id = :client_id;
		\\if :kind = 9
		ROLLBACK;
		\\elif :kind = 10
		PREPARE TRANSACTION 'g-:n';
		\\if :k <= 10
		COMMIT PREPARED 'g-:n';
		\\else
		ROLLBACK PREPARED 'g-:n';
		\\endif
		\\else
		COMMIT;
		\\endif
	});
	return $file;
}
my @scripts = map { ('--file', $_) } script('a', 'b'), script('b', 'a');

sub pgbench
{
	return ('pgbench', '--no-vacuum', '--client', 8, '--jobs', 2, '--random-seed', int(rand(1e9)), '--host', $node->host, '--port', $node->port, @scripts, @_, 'postgres');
}

# Statements and rows as the record has them and as the tables tell
my $recorded = q{
	SELECT relation_name, operation, count(*), sum(rows) FROM kpi.data_change
	 WHERE changed_at > (SELECT max(verified_at) FROM kpi.track_registry) GROUP BY 1, 2 ORDER BY 1, 2};
my $happened = q{
	SELECT * FROM (
		SELECT 'shop.a' AS t, 'INSERT' AS o, count(DISTINCT stmt) AS statements, count(stmt) AS rows FROM shop.a
		UNION ALL SELECT 'shop.a', 'UPDATE', sum(touches), sum(touches) FROM shop.a
		UNION ALL SELECT 'shop.b', 'INSERT', count(DISTINCT stmt), count(stmt) FROM shop.b
		UNION ALL SELECT 'shop.b', 'UPDATE', sum(touches), sum(touches) FROM shop.b
		UNION ALL SELECT 'shop.stock', 'DELETE', 100000 - count(*), 100000 - count(*) FROM shop.stock) AS s
	 WHERE statements > 0 ORDER BY 1, 2};

# The same, with the writer's own transaction: each has as many rows with its number as it sent statements
sub agree
{
	my ($what) = @_;
	is($node->safe_psql('postgres', $recorded), $node->safe_psql('postgres', $happened), $what);
	return;
}

# E3, E10, D16: concurrency
{
	my ($out, $err) = ('', '');
	my $transactions = int($operations / 20) || 1;
	ok(IPC::Run::run([ pgbench('--transactions', $transactions) ], '>', \$out, '2>', \$err), 'eight writers end well') or diag $err;
	my $all = 8 * $transactions;
	like($out, qr{actually processed: $all/$all\b}, "E3: all $all transactions were processed");
	like($out, qr/failed transactions: 0 /, 'E3: none failed');
	agree('E10: recorded is what was committed, statements and rows');
	is($node->safe_psql('postgres', 'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), '0', 'E3: no deadlock');
	my $log = slurp_file($node->logfile);
	unlike($log, qr/deadlock detected/, 'E3: nor in the log');
	unlike($log, qr/still waiting for .* of relation/, 'E3: nobody waits for the record');
	is($node->safe_psql('postgres', q{SELECT count(*) > 0 FROM (SELECT transaction FROM kpi.data_change WHERE rows < 1000 GROUP BY 1 HAVING count(DISTINCT relation) > 1) t}), 't', 'L2: the statements of a transaction have its number');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.data_change WHERE operation = 'INSERT' AND rows < 1000 AND rows <> touched_to::date - touched_from::date + 1}), '0', 'L2: and each the range of its own rows');
}

# D16: prepared, crashed, committed
$node->safe_psql('postgres', q{BEGIN; INSERT INTO shop.a (id, stmt, at) VALUES (200, -1, '2026-02-02'), (201, -1, '2026-02-03'); PREPARE TRANSACTION 'keep';
	BEGIN; INSERT INTO shop.a (id, stmt, at) VALUES (202, -2, '2026-02-02'); PREPARE TRANSACTION 'throw'});
agree('D16: what is only prepared is not recorded');
$node->stop('immediate');
$node->start;
agree('D16: nor after a crash');
$node->safe_psql('postgres', $_) foreach "COMMIT PREPARED 'keep'", "ROLLBACK PREPARED 'throw'";
is($node->safe_psql('postgres', q{SELECT rows, touched_from, touched_to FROM kpi.data_change ORDER BY changed_at DESC LIMIT 1}), '2|2026-02-02 00:00:00|2026-02-03 00:00:00', 'D16: committed it is');
agree('D16: and what was thrown away is not');

# D16: writes by another session of this server, whose transaction is or is not its caller's
{
	my $here = sprintf q{host=%s port=%s dbname=postgres}, $node->host, $node->port;
	$node->safe_psql('postgres', qq{
		CREATE EXTENSION dblink;
		CREATE EXTENSION postgres_fdw;
		CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '@{[ $node->host ]}', port '@{[ $node->port ]}', dbname 'postgres', application_name 'nightly feed');
		CREATE USER MAPPING FOR CURRENT_USER SERVER loop;
		CREATE SCHEMA far;
		IMPORT FOREIGN SCHEMA shop LIMIT TO (a) FROM SERVER loop INTO far;
	});
	my $last = q{SELECT operation, rows, touched_from FROM kpi.data_change ORDER BY changed_at DESC LIMIT 1};
	$node->safe_psql('postgres', qq{BEGIN; SELECT dblink_exec('$here', \$\$INSERT INTO shop.a (id, stmt, at) VALUES (300, -3, '2026-03-03')\$\$); ROLLBACK});
	is($node->safe_psql('postgres', $last), 'INSERT|1|2026-03-03 00:00:00', 'D16: what dblink wrote stays when its caller rolls back, and is recorded');
	$node->safe_psql('postgres', q{BEGIN; INSERT INTO far.a (id, stmt, touches, at) VALUES (301, -4, 0, '2026-04-04'); ROLLBACK});
	agree('D16: what postgres_fdw wrote goes with its caller, and leaves no row');
	$node->safe_psql('postgres', q{INSERT INTO far.a (id, stmt, touches, at) VALUES (302, -5, 0, '2026-05-05'), (303, -6, 0, '2026-05-06')});
	agree('D16: or is committed with it, and recorded');
	like($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT application_name, ', ') FROM kpi.data_change WHERE touched_from >= '2026-05-05'}), qr/\Anightly feed\z/, 'D16: in the name of the session that wrote');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.lineage_history WHERE command = 'IMPORT FOREIGN SCHEMA'}), '0', 'L1: importing a foreign table has no lineage to record');
	$node->safe_psql('postgres', q{CREATE VIEW far.days AS SELECT at, count(*) AS n FROM far.a GROUP BY at});
	is($node->safe_psql('postgres', q{SELECT string_agg(concat_ws(' ', target_column, kind), ', ' ORDER BY depth, target_column COLLATE "C") FROM kpi.upstream('far.days') WHERE source = 'far.a' AND source_column = 'at'}), 'at value, group', 'L1: columns of a foreign table are sources');
}

# G1: a backend, or the postmaster and all its children, killed under load
sub children
{
	my ($pid) = @_;
	my ($out) = run_command([ 'ps', '-o', 'pid=', '--ppid', $pid ]);
	return grep { $_ } split ' ', $out;
}
for my $kill (1 .. $kills)
{
	my ($out, $err) = ('', '');
	my $writers = IPC::Run::start([ pgbench('--time', 60) ], '>', \$out, '2>', \$err);
	$node->poll_query_until('postgres', q{SELECT count(*) = 8 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}) or die "no writers\n";
	select(undef, undef, undef, rand(1));
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /\A(\d+)/;
	my @children = children($postmaster);
	if ($kill % 2)
	{
		my $backend = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1});
		kill 'KILL', $backend;
		$writers->finish;
		$node->poll_query_until('postgres', 'SELECT true') or die "the server did not come back\n";
	}
	else
	{
		$node->kill9;
		kill 'KILL', @children;
		$writers->finish;
		select(undef, undef, undef, 0.1) while grep { kill 0, $_ } @children;
		$node->start;
	}
	$node->safe_psql('postgres', $_) foreach split /\n/, $node->safe_psql('postgres', q{SELECT CASE WHEN random() < 0.5 THEN 'COMMIT' ELSE 'ROLLBACK' END || ' PREPARED ' || quote_literal(gid) FROM pg_prepared_xacts});
	agree("G1: after kill $kill of $kills the record agrees");
}
note $node->safe_psql('postgres', 'SELECT count(*) FROM kpi.data_change') . ' statements recorded';

# G5: dump and restore, at once and in parts: the record comes along, nothing is counted twice, and the tables are tracked
$node->safe_psql('postgres', q{CREATE TABLE shop.gone (a int); SELECT kpi.track('shop.gone'); INSERT INTO shop.gone VALUES (1); DROP TABLE shop.gone; TRUNCATE shop.stock});
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach 'plain', 'parallel', 'parts', 'disabled';
my $summary = q{SELECT relation, operation, count(*), sum(rows), min(changed_at), max(touched_to) FROM kpi.data_change GROUP BY 1, 2 ORDER BY relation::text, 2};
my $before = $node->safe_psql('postgres', "$summary" =~ s/GROUP/WHERE relation_name <> 'shop.gone' GROUP/r);
command_ok([ 'pg_dump', '--dbname', $node->connstr('postgres'), '--file', "$dir/plain.sql" ], 'G5: plain dump');
command_ok([ 'psql', '--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--dbname', $node->connstr('plain'), '--file', "$dir/plain.sql" ], 'G5: and restore');
command_ok([ 'pg_dump', '--dbname', $node->connstr('postgres'), '--format', 'custom', '--file', "$dir/dump" ], 'G5: custom dump');
command_ok([ 'pg_restore', '--exit-on-error', '--jobs', '2', '--dbname', $node->connstr('parallel'), "$dir/dump" ], 'G5: restore by two jobs');
command_ok([ 'pg_restore', '--exit-on-error', '--schema-only', '--dbname', $node->connstr($_), "$dir/dump" ], 'G5: restore of the schema') foreach 'parts', 'disabled';
command_ok([ 'pg_restore', '--exit-on-error', '--data-only', '--dbname', $node->connstr('parts'), "$dir/dump" ], 'G5: then of the data');
command_ok([ 'pg_restore', '--exit-on-error', '--data-only', '--disable-triggers', '--dbname', $node->connstr('disabled'), "$dir/dump" ], 'G5: or of the data without triggers');
foreach my $db ('plain', 'parallel', 'parts')
{
	is($node->safe_psql($db, $summary =~ s/GROUP/GROUP/r), $before, "G5: the record is the same in $db") if $db ne 'parts';
	is($node->safe_psql($db, 'SELECT * FROM kpi.check() WHERE remedy IS DISTINCT FROM $$SELECT kpi.refresh_lineage()$$'), '', "G5: the check finds nothing in $db");
	is($node->safe_psql($db, q{INSERT INTO shop.a (at) VALUES ('2027-01-01'); INSERT INTO shop.b_0 SELECT * FROM shop.b_0 LIMIT 1; ALTER TABLE shop.a RENAME at TO day; INSERT INTO shop.a (day) VALUES ('2027-02-01');
		SELECT relation, rows, touched_from FROM kpi.data_change WHERE relation <> 'shop.b_0'::regclass ORDER BY changed_at DESC LIMIT 2}), "shop.a|1|2027-02-01 00:00:00\nshop.a|1|2027-01-01 00:00:00", "G5: and $db records on, and follows its time column");
}
like($node->safe_psql('disabled', 'SELECT object, problem, remedy FROM kpi.check()'), qr/^shop\.a\|triggers that record changes of data are missing or do not always fire\|SELECT kpi\.track\('shop\.a', 'at'\)$/m, 'G5, D5: triggers that a restore disabled are told of');
$node->safe_psql('disabled', "SELECT remedy FROM kpi.check() WHERE remedy NOT LIKE '%refresh_lineage%' \\gexec");
is($node->safe_psql('disabled', 'SELECT * FROM kpi.check() WHERE remedy IS DISTINCT FROM $$SELECT kpi.refresh_lineage()$$'), '', 'D5: and the remedy mends them');

my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP|cache lookup failed|ERROR:  XX000|could not follow/, 'nothing crashed by itself');
$node->stop;
done_testing();
