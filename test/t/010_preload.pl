# 010_preload: every way in which the library can come, and not come (M12, C6); a database without the extension (B7);
# and DROP EXTENSION while other sessions live (B7, G9).
#
# A measure is computed or refused, never guessed: where the library has not seen a query, the query fails with KP003,
# on no rows, too.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->start;

# Runs SQL in a session of its own; gives what it printed and the errors, with SQLSTATE and hint.
sub run
{
	my ($sql, %options) = @_;
	my ($out, $err);
	$node->psql($options{database} || 'metrics', "\\set VERBOSITY verbose\n\\set SHOW_CONTEXT never\n$sql",
		stdout => \$out, stderr => \$err, on_error_stop => 0, connstr => $options{connstr});
	return ($out, $err);
}

# Does SQL print this, and no error?
sub prints
{
	my ($sql, $expected, $name, %options) = @_;
	my ($out, $err) = run($sql, %options);
	is("$out$err", $expected, $name);
}

# Does SQL raise an error like this, and print nothing?
sub raises
{
	my ($sql, $error, $name, %options) = @_;
	my ($out, $err) = run($sql, %options);
	is($out, '', "$name: no value");
	like($err, $error, "$name: error");
}

my $schema = q{
	CREATE TABLE orders (region text, amount integer);
	INSERT INTO orders VALUES ('east', 1), ('east', 2), ('west', 4);
	CREATE TABLE nothing (LIKE orders);
	SELECT kpi.create_metric('revenue', 'SELECT sum(amount) FROM orders');
	SELECT kpi.create_metric('orders_count', 'SELECT count(*) FROM orders');
	SELECT kpi.create_metric('none', 'SELECT count(*) FROM nothing');
	SELECT kpi.create_metric_view('sales', '{region}', '{revenue, orders_count}');
	SELECT kpi.create_metric_view('no_sales', '{region}', '{none}');
	CREATE VIEW report AS SELECT kpi.measure(revenue) AS revenue FROM sales;
};
my $measures = 'SELECT kpi.measure(revenue), sum(revenue), kpi.measure(orders_count) FROM sales;';

# Without preloading: CREATE EXTENSION and defining work, for calling a function of the library loads it.
$node->safe_psql('postgres', 'CREATE DATABASE metrics');
$node->safe_psql('metrics', "CREATE EXTENSION kpitables; $schema CREATE ROLE reader LOGIN; GRANT SELECT ON sales, report, no_sales TO reader;");

my $not_rewritten = qr/ERROR:  KP003: measure cannot be computed here\n.*HINT:  .*shared_preload_libraries/s;
for my $query (
	'SELECT kpi.measure(revenue) FROM sales', 'SELECT kpi.measure(revenue) FROM sales WHERE false',
	'SELECT region, kpi.measure(revenue) FROM sales GROUP BY region', 'SELECT kpi.measure(none) FROM no_sales',
	'TABLE report', 'SELECT sum(revenue) FROM sales', 'SELECT max(revenue) FROM sales', 'SELECT count(revenue) FROM sales',
	'TABLE sales', 'SELECT revenue FROM sales LIMIT 1', 'SELECT count(*) FROM sales WHERE revenue > 0', 'SELECT s FROM sales AS s',
	'SELECT region FROM sales ORDER BY revenue', 'CREATE TABLE copied AS TABLE sales', 'SELECT kpi.measure(1)')
{
	raises($query, $not_rewritten, "not loaded: $query");
}
prints('SELECT region FROM sales ORDER BY region', "east\neast\nwest", 'not loaded: a metric view without its measures is a view');
prints('TABLE revenue', '7', 'not loaded: a metric is a view');
prints('TABLE no_sales', '', 'not loaded: no rows are no rows');

# By LOAD, once and twice, and by the error itself, after which the session has the library.
prints("LOAD 'kpitables'; $measures", '7|7|3', 'LOAD');
prints("LOAD 'kpitables'; LOAD 'kpitables'; LOAD '\$libdir/kpitables'; $measures", '7|7|3', 'LOAD, repeated');
my ($out, $err) = run("SELECT kpi.measure(revenue) FROM sales; $measures");
is($out, '7|7|3', 'the second statement of a session finds the library loaded by the first');
like($err, $not_rewritten, 'the first did not');
prints("PREPARE p AS $measures LOAD 'kpitables'; EXECUTE p", '7|7|3', 'a statement prepared before LOAD');
raises("SET plan_cache_mode = force_generic_plan; PREPARE p AS $measures EXPLAIN EXECUTE p \\g /dev/null\nLOAD 'kpitables'; EXECUTE p",
	$not_rewritten, 'a statement planned before LOAD');

# Settings
raises('SET kpitables.carriers = strict; LOAD \'kpitables\'; SET kpitables.ungrouped = sometimes', qr/invalid value for parameter "kpitables.ungrouped"/, 'settings: wrong value');
raises("LOAD 'kpitables'; SET kpitables.nonsense = 1", qr/invalid configuration parameter name "kpitables.nonsense"/, 'settings: wrong name');
prints("SET kpitables.carriers = strict; LOAD 'kpitables'; SHOW kpitables.carriers", 'strict', 'settings: set before the library came');
($out, $err) = run("SET kpitables.carriers = nonsense; LOAD 'kpitables'; SHOW kpitables.carriers");
is($out, 'any', 'settings: wrong value set before the library came');
like($err, qr/WARNING:.*invalid value for parameter "kpitables.carriers"/, 'settings: it is reported');

# By session_preload_libraries, also for a role that may do nothing
$node->safe_psql('postgres', "ALTER DATABASE metrics SET session_preload_libraries = 'kpitables'");
prints($measures, '7|7|3', 'session_preload_libraries');
prints($measures, '7|7|3', 'session_preload_libraries: reader', connstr => $node->connstr('metrics') . ' user=reader');
my $workers = "SET force_parallel_mode = on; SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0; ";
prints("$workers TABLE report; $measures", "7\n7|7|3", 'session_preload_libraries: parallel workers');
$node->safe_psql('postgres', 'ALTER DATABASE metrics RESET session_preload_libraries');
prints("LOAD 'kpitables'; $workers $measures", '7|7|3', 'LOAD: parallel workers');

# By shared_preload_libraries, and by both
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'kpitables'\nmax_prepared_transactions = 2");
$node->restart;
prints($measures, '7|7|3', 'shared_preload_libraries');
prints("LOAD 'kpitables'; $workers $measures", '7|7|3', 'shared_preload_libraries and LOAD');
$node->safe_psql('postgres', "ALTER DATABASE metrics SET session_preload_libraries = 'kpitables'");
prints("$measures SELECT kpi.measure(none) FROM no_sales", "7|7|3\n0", 'shared_preload_libraries and session_preload_libraries');

# Other processes and states have the library, too: two-phase commit, a failed transaction, a replication connection,
# a single-user server.
prints("BEGIN; SELECT kpi.create_metric('prepared', 'SELECT max(amount) FROM orders'); PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'; SELECT name FROM kpi.metrics WHERE name = 'prepared'",
	"prepared\nprepared", 'PREPARE TRANSACTION');
($out, $err) = run("BEGIN; SELECT 1/0; $measures ROLLBACK; $measures");
is($out, '7|7|3', 'after a failed transaction');
like($err, qr/division by zero.*current transaction is aborted/s, 'in a failed transaction');
like($node->safe_psql('metrics', 'IDENTIFY_SYSTEM', replication => 'database'), qr/^\d+\|1\|.*\|metrics$/, 'replication connection');
$node->stop;
my ($stdout, $stderr);
IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir, 'metrics' ], '<', \"$measures\n", '>', \$stdout, '2>', \$stderr);
like($stdout, qr/measure = "7".*sum = "7"/s, 'single-user server');
$node->start;

# A database without the extension: nothing is touched, not even what looks like ours.
$node->safe_psql('postgres', 'CREATE DATABASE plain');
prints(q{
	SET client_min_messages = error;
	CREATE SCHEMA kpi;
	CREATE FUNCTION kpi.metric_column(regclass, anyelement) RETURNS anyelement LANGUAGE sql AS 'SELECT $2';
	CREATE AGGREGATE kpi.measure(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '100');
	CREATE TABLE t (a integer);
	INSERT INTO t VALUES (1), (2);
	CREATE VIEW v AS SELECT a, kpi.metric_column('t'::regclass, a) AS m FROM t;
	SELECT kpi.measure(m), sum(m), count(*) FROM v;
	SET kpitables.ungrouped = 'error';
	SELECT m FROM v ORDER BY a;
	DROP VIEW v;
	PREPARE p AS SELECT count(*) FROM t;
	EXECUTE p;
	DROP SCHEMA kpi CASCADE;
	DROP TABLE t;}, "103|3|2\n1\n2\n2", 'a database without the extension', database => 'plain');

# DROP EXTENSION while others are connected: their sessions live, user tables are untouched, and after CREATE EXTENSION
# the same sessions work again.
my $before = $node->safe_psql('metrics', 'SELECT * FROM orders ORDER BY 1, 2; TABLE revenue');
my $idle = $node->background_psql('metrics', on_error_stop => 0);
my $busy = $node->background_psql('metrics', on_error_stop => 0);
$idle->query_safe("SET plan_cache_mode = force_generic_plan; PREPARE p AS $measures PREPARE plain AS SELECT sum(amount) FROM orders;");
is($idle->query_safe('EXECUTE p'), '7|7|3', 'before DROP EXTENSION: prepared');
is($busy->query_safe('TABLE report'), '7', 'before DROP EXTENSION: other session');
raises('DROP EXTENSION kpitables', qr/cannot drop extension kpitables because other objects depend on it.*view sales depends on/s, 'DROP EXTENSION');
$busy->query_safe('BEGIN; DECLARE c CURSOR FOR TABLE orders; FETCH 1 FROM c;');
prints('SET client_min_messages = error; DROP EXTENSION kpitables CASCADE', '', 'DROP EXTENSION CASCADE');
is($busy->query_safe('FETCH 1 FROM c; COMMIT; SELECT 1'), "east|2\n1", 'after DROP EXTENSION: open cursor');
$idle->query('EXECUTE p');
like($idle->{stderr}, qr/relation "sales" does not exist/, 'after DROP EXTENSION: prepared');
$idle->{stderr} = '';
is($idle->query_safe('EXECUTE plain'), '7', 'after DROP EXTENSION: session lives');
is($node->safe_psql('metrics', 'SELECT * FROM orders ORDER BY 1, 2; TABLE revenue'), $before, 'after DROP EXTENSION: tables and metrics are untouched');
is($node->safe_psql('metrics', q{SELECT to_regclass('sales'), to_regclass('report'), to_regnamespace('kpi')}), '||', 'after DROP EXTENSION: metric views are gone');

$node->safe_psql('metrics', "CREATE EXTENSION kpitables; DROP VIEW revenue, orders_count; DROP TABLE nothing CASCADE; ALTER TABLE orders RENAME TO kept;");
$node->safe_psql('metrics', "DROP VIEW prepared; $schema");
is($idle->query_safe('EXECUTE p'), '7|7|3', 'CREATE EXTENSION again: prepared');
is($busy->query_safe("TABLE report; $measures"), "7\n7|7|3", 'CREATE EXTENSION again: other session');
is($busy->query_safe("SELECT kpi.create_metric('again', 'SELECT max(amount) FROM orders'); TABLE again"), "again\n4", 'CREATE EXTENSION again: a metric');

# Twenty times over, with the sessions at work in between: the objects' OIDs are new each time.
for my $round (1 .. 20)
{
	$node->safe_psql('metrics', 'SET client_min_messages = error; DROP EXTENSION kpitables CASCADE');
	$idle->query('EXECUTE p') if $round % 2;
	$node->safe_psql('metrics', q{CREATE EXTENSION kpitables; DROP VIEW revenue; SELECT kpi.create_metric('revenue', 'SELECT sum(amount) FROM orders'); SELECT kpi.create_metric_view('sales', '{region}', '{revenue}')});
	$idle->{stderr} = '';
	$busy->query_safe('SELECT kpi.measure(revenue) FROM sales');
}
is($busy->query_safe('SELECT kpi.measure(revenue), sum(revenue) FROM sales'), '7|7', 'DROP and CREATE EXTENSION, repeated');
$idle->quit;
$busy->quit;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal|cache lookup failed/, 'nothing crashed');
$node->stop;

done_testing();
