# C1 to C6, B7: kpitables beside other libraries with hooks, in either order; utility statements and aborted transactions;
# loading in every way, and late; databases without the extension; DROP and CREATE EXTENSION under a living session.
# Contract: starts a server of its own; where pgaudit is not installed its part is skipped aloud.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('hooks');
$node->init;
$node->append_conf('postgresql.conf', q{
fsync = off
max_prepared_transactions = 5
shared_preload_libraries = ''
session_preload_libraries = ''
compute_query_id = on
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_verbose = on
auto_explain.log_analyze = on
pg_stat_statements.track = all
pg_stat_statements.track_planning = on
pgaudit.log = 'all'
pgaudit.log_relation = on
pgaudit.log_parameter = on
});
$node->start;
my $lib = `pg_config --pkglibdir`;
chomp $lib;

sub load
{
	my ($shared, $session) = @_;
	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'$shared'");
	$node->adjust_conf('postgresql.conf', 'session_preload_libraries', "'" . ($session // '') . "'");
	$node->restart;
	return;
}

# Standard output of a script, or the error that ended it
sub run_sql
{
	my ($sql, $db) = @_;
	my ($status, $out, $err) = $node->psql($db // 'postgres', $sql);
	return $status == 0 ? $out : $err;
}

load('kpitables');
run_sql(q{
	CREATE EXTENSION kpitables;
	CREATE SCHEMA m;
	CREATE TABLE m.orders AS SELECT i AS id, i % 3 AS region, i * 1.5 AS amount FROM generate_series(1, 300) i;
	SELECT kpi.create_metric('m.revenue', 'SELECT sum(amount) FROM m.orders WHERE id > 10');
	SELECT kpi.create_metric('m.n', 'SELECT count(*) FROM m.orders');
	SELECT kpi.create_metric('m.mean', 'SELECT revenue / nullif(n, 0) FROM m.revenue, m.n');
	SELECT kpi.create_metric_view('m.sales', '{id, region}', '{m.revenue, m.n, m.mean}');
	CREATE FUNCTION m.f() RETURNS SETOF m.sales LANGUAGE sql STABLE AS 'SELECT * FROM m.sales';
	CREATE FUNCTION m.caught() RETURNS text LANGUAGE plpgsql AS $$
	DECLARE n int := 0; x numeric;
	BEGIN
	  FOR i IN 1..50 LOOP
	    BEGIN SELECT sum(revenue + 2) INTO x FROM m.sales; EXCEPTION WHEN SQLSTATE 'KP002' THEN n := n + 1; END;
	    SELECT kpi.measure(revenue) INTO x FROM m.sales;
	  END LOOP;
	  RETURN n || ' ' || x;
	END $$;
});

my $queries = q{
	SELECT region, kpi.measure(revenue), avg(mean) FROM m.sales GROUP BY ROLLUP (region) ORDER BY 1;
	SELECT kpi.measure(mean) FROM m.f() WHERE region = 1;
	PREPARE p AS SELECT count(*), kpi.measure(n) FROM m.sales WHERE id < $1;
	EXECUTE p(100); EXECUTE p(100); EXECUTE p(100); EXECUTE p(100); EXECUTE p(100); EXECUTE p(100); EXECUTE p(100);
	SELECT * FROM m.sales ORDER BY id LIMIT 2;
	SELECT m.caught();
	EXPLAIN (VERBOSE, COSTS OFF) SELECT kpi.measure(mean) FROM m.sales;
	EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT kpi.measure(n) FROM m.sales;
	CREATE TABLE m.kept AS SELECT region, kpi.measure(revenue) AS r FROM m.sales GROUP BY 1;
	SELECT sum(r) FROM m.kept;
	DROP TABLE m.kept;
};
my $expected = run_sql($queries);
like($expected, qr/^\|67642\.5/m, 'kpitables alone answers');
is(run_sql('SELECT m.caught()'), '50 67642.5', 'C4: errors caught in PL/pgSQL leave nothing behind');

# C5: the same with other libraries on either side
my @libraries = ('pg_stat_statements', 'auto_explain', 'pg_stat_statements, auto_explain');
push @libraries, 'pgaudit', 'pgaudit, pg_stat_statements, auto_explain' if -e "$lib/pgaudit.so";
foreach my $others (@libraries)
{
	foreach my $order ("kpitables, $others", "$others, kpitables")
	{
		load($order);
		is(run_sql($queries), $expected, "C5: the same with $order");
		next unless $order =~ /pg_stat_statements/;
		run_sql('CREATE EXTENSION IF NOT EXISTS pg_stat_statements; SELECT pg_stat_statements_reset()');
		run_sql('SELECT kpi.measure(n) FROM m.sales; SELECT kpi.measure(n) FROM m.sales;');
		is(run_sql(q{SELECT calls || ' ' || plans FROM pg_stat_statements WHERE query = 'SELECT kpi.measure(n) FROM m.sales'}),
			'2 2', "C5: statements are counted under their own text with $order");
	}
}
SKIP:
{
	skip 'pgaudit is not installed', 1 unless -e "$lib/pgaudit.so";
	my $offset = -s $node->logfile;
	run_sql('SELECT kpi.measure(n) FROM m.sales');
	like(slurp_file($node->logfile, $offset), qr/AUDIT: SESSION,.*SELECT,VIEW,m\.sales,.*/, 'C5: pgaudit sees the metric view being read');
}

# C1, C2: whatever a session may say that is no query, and in an aborted transaction
load('kpitables');
is(run_sql(q{
	SET work_mem = '5MB'; RESET work_mem; SET ROLE pg_monitor; RESET ROLE; SHOW kpitables.carriers; LISTEN x; NOTIFY x; UNLISTEN *; CHECKPOINT; DISCARD ALL;
	BEGIN; SAVEPOINT a; CREATE TABLE m.t (x int); ROLLBACK TO a; LOCK TABLE m.orders; PREPARE TRANSACTION 'g'; ROLLBACK PREPARED 'g';
	VACUUM m.orders; ANALYZE m.orders; CREATE INDEX CONCURRENTLY i ON m.orders (id); DROP INDEX m.i; COMMENT ON VIEW m.sales IS 'x'; DO $$BEGIN END$$; LOAD 'kpitables';
	CLUSTER; REINDEX TABLE m.orders; COPY m.orders TO '/dev/null'; EXPLAIN SELECT 1; DECLARE c CURSOR WITH HOLD FOR TABLE m.sales; CLOSE c;
	SELECT 'done';}) =~ /done$/, 1, 'C1: utility statements pass');
my ($status, $out, $err) = $node->psql('postgres', q{
	BEGIN; SELECT kpi.measure(nothing) FROM m.sales; SELECT kpi.measure(n) FROM m.sales; SET work_mem = '5MB'; EXECUTE gone; SAVEPOINT s; ROLLBACK;
	BEGIN; PREPARE p AS SELECT kpi.measure(n) FROM m.sales; SAVEPOINT s; SELECT sum(n + 2) FROM m.sales; EXECUTE p; ROLLBACK TO s; EXECUTE p; COMMIT; SELECT kpi.measure(n) FROM m.sales;}, on_error_stop => 0);
is($out, "300\n300", 'C2: an aborted transaction answers nothing, after a rollback all is as before');
is(() = $err =~ /current transaction is aborted/g, 5, 'C2: and says so');

# C6: other ways to load, twice, and not at all (M12)
load('kpitables', 'kpitables');
is(run_sql($queries), $expected, 'C6: loaded twice');
load('', 'kpitables');
is(run_sql($queries), $expected, 'C6: loaded by the session');
load('');
foreach my $sql ('SELECT kpi.measure(n) FROM m.sales', 'SELECT kpi.measure(n) FROM m.sales WHERE false', 'SELECT sum(n) FROM m.sales', 'SELECT * FROM m.sales', 'SELECT kpi.measure(n) FROM m.f()',
	'SELECT region, kpi.measure(n) FROM m.sales GROUP BY ROLLUP (region)', 'INSERT INTO m.orders SELECT n FROM m.sales', 'SELECT s FROM m.sales s', 'SELECT count(n) FROM m.sales')
{
	like(run_sql($sql), qr/measure cannot be computed here.*HINT:.*shared_preload_libraries/s, "M12: without the library: $sql");
}
is(run_sql('SELECT count(*) FROM m.sales'), '300', 'M12: dimensions need no library');
is(run_sql("LOAD 'kpitables'; SELECT kpi.measure(n) FROM m.sales"), '300', 'C6: LOAD is enough for a session');
is(run_sql('SELECT n FROM m.n'), '300', 'M12: the total of a metric is a view like any other');

# B7: the library where there is no extension, and an extension that goes and comes under a living session
load('kpitables');
$node->safe_psql('postgres', 'CREATE DATABASE other');
is(run_sql("SELECT count(*) FROM (SELECT 1 UNION SELECT 2) x; CREATE VIEW v AS SELECT 1 AS a; SELECT sum(a) FROM v; WITH c AS (TABLE v) SELECT (SELECT a FROM c)", 'other'), "2\n1\n1", 'B7: a database without the extension');
my $session = q{
	SET client_min_messages = error;
	CREATE EXTENSION kpitables; CREATE TABLE t AS SELECT 3 AS x; SELECT kpi.create_metric('total', 'SELECT sum(x) FROM t'); SELECT kpi.create_metric_view('mv', '{}', '{total}');
	PREPARE p AS SELECT kpi.measure(total) FROM mv; EXECUTE p;
	DROP EXTENSION kpitables CASCADE;};
my $again = "$session SELECT count(*) FROM t; SELECT count(*) FROM (TABLE t) x; DEALLOCATE p; DROP TABLE t CASCADE; DROP VIEW IF EXISTS mv, total;";
unlike(run_sql("$again $again $again", 'other'), qr/ERROR|server/, 'B7: the extension may go and come back in one session');
like(run_sql("$session EXECUTE p;", 'other'), qr/ERROR:.*(does not exist|must be)/, 'B7: what was prepared before does not crash');
is(run_sql('SELECT count(*) FROM t', 'other'), '1', 'B7: the table of the user is still there');
is(run_sql($queries), $expected, 'B7: and other databases do not notice');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal|cache lookup failed|ERROR:  XX000/, 'nothing crashed');
$node->stop;
done_testing();
