# M, S8: under a publication for all tables everything works that works without, and what it brings of the tables of the
# extension is left out by a subscriber that has the extension, whose OIDs are others.
# Contract: starts two servers of its own; needs psql of its version.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $tree = $ENV{TESTDIR} // '.';
my $tables = 'lineage_edge|lineage_log|lineage_stale|track_registry|data_change_log|metric_registry|metric_view_registry|dimension_registry|scope_grant|protection_registry';

sub server
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => 'logical');
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'kpitables'\nfsync = off\nmax_prepared_transactions = 10\nmax_sync_workers_per_subscription = 4\nmax_logical_replication_workers = 8");
	$node->start;
	return $node;
}
my $publisher = server('publisher');
my $subscriber = server('subscriber');
my @connection = ('--host', $publisher->host, '--port', $publisher->port);
is($publisher->safe_psql('postgres', 'SHOW wal_level'), 'logical', 'changes are published');

# README: every block, with the outcome that it says
{
	local $ENV{PGHOST} = $publisher->host;
	local $ENV{PGPORT} = $publisher->port;
	local $ENV{PGUSER} = $publisher->safe_psql('postgres', 'SELECT current_user');
	local $ENV{SETUP} = 'CREATE PUBLICATION everything FOR ALL TABLES';
	my ($out, $err) = ('', '');
	$publisher->safe_psql('postgres', 'CREATE ROLE postgres SUPERUSER') if $ENV{PGUSER} ne 'postgres';
	IPC::Run::run([ 'bash', "$tree/test/readme" ], '>', \$out, '2>', \$err);
	my @bad = grep { /^not ok/ } split /\n/, $out;
	is("@bad", '', 'the blocks of README.md run under it');
	cmp_ok(scalar(grep { /^ok/ } split /\n/, $out), '>', 20, 'and they are many') or diag $out, $err;
}

# What tests of each component do, by any table of the extension that refuses it
foreach my $test (qw(metric_lifecycle metric_view scope_basic scope_check lineage_ddl lineage_openlineage load_record load_partitions load_check load_explain_change))
{
	$publisher->safe_psql('postgres', "CREATE DATABASE $test");
	$publisher->safe_psql($test, 'CREATE EXTENSION kpitables; CREATE PUBLICATION everything FOR ALL TABLES');
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'psql', '-X', @connection, '-f', "$tree/test/sql/$test.sql", $test ], '>', \$out, '2>', \$err);
	cmp_ok(length $out, '>', 1000, "$test runs");
	unlike("$out$err", qr/"($tables)" because it does not have a replica identity/, "$test: no table of the extension refuses a change");
	is($publisher->safe_psql($test, 'SELECT count(*) FROM kpi.lineage_stale'), '0', "$test: all lineage is recorded") unless $test =~ /lineage/;
}

# and what no test does: DBAs change and empty them by hand
$publisher->safe_psql('postgres', q{
	CREATE EXTENSION kpitables;
	CREATE PUBLICATION everything FOR ALL TABLES;
	CREATE ROLE clerk; CREATE ROLE other;
	CREATE SCHEMA shop;
	CREATE TABLE shop.stores (id int PRIMARY KEY, region text);
	CREATE TABLE shop.sales (id int PRIMARY KEY, store int, at date, amount int);
	INSERT INTO shop.stores VALUES (1, 'East'), (2, 'West');
	INSERT INTO shop.sales SELECT i, 1 + i % 2, date '2026-01-01' + i, i FROM generate_series(1, 10) i;
	SELECT kpi.create_dimension('store', 'shop.stores', 'id', '{region}'), kpi.create_dimension('channel', admin => 'other');
	SELECT kpi.grant_scope('clerk', 'store', members => '{1}'), kpi.grant_scope('other', 'store', 'region', '{West}');
	SELECT kpi.protect('shop.sales', 'store', key => 'store', access => 'write');
	SELECT kpi.track('shop.sales', 'at');
	CREATE VIEW shop.by_store AS SELECT store, sum(amount) AS amount FROM shop.sales GROUP BY store;
	INSERT INTO shop.sales VALUES (11, 1, '2026-02-01', 5);
});
foreach my $table (split /\|/, $tables)
{
	my $column = $publisher->safe_psql('postgres', "SELECT attname FROM pg_attribute WHERE attrelid = 'kpi.$table'::regclass AND attnum = 1");
	$publisher->safe_psql('postgres', "BEGIN; UPDATE kpi.$table SET $column = $column; DELETE FROM kpi.$table; TRUNCATE kpi.$table; ROLLBACK");
}
$publisher->safe_psql('postgres', q{SELECT kpi.refresh_lineage(); UPDATE kpi.lineage_log SET role = role; DELETE FROM kpi.lineage_log WHERE command = 'none'});
pass('all of them can be changed by hand');

# A subscriber that has the extension, and a dimension and a grant of the same names
$subscriber->safe_psql('postgres', q{
	CREATE EXTENSION kpitables;
	CREATE ROLE clerk; CREATE ROLE other;
	CREATE SCHEMA shop;
	CREATE TABLE shop.stores (id int PRIMARY KEY, region text);
	CREATE TABLE shop.sales (id int PRIMARY KEY, store int, at date, amount int);
	SELECT kpi.create_dimension('store', 'shop.stores', 'id', '{region}');
	SELECT kpi.grant_scope('clerk', 'store', members => '{2}');
	SELECT kpi.protect('shop.sales', 'store', 'store');
	GRANT USAGE ON SCHEMA shop TO clerk; GRANT SELECT ON shop.sales TO clerk;
	CREATE VIEW shop.all_sales AS SELECT * FROM shop.sales;
});
my $state = join ' UNION ALL ', map { "SELECT '$_', count(*), md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM kpi.$_ t" } split /\|/, $tables;
my $before = $subscriber->safe_psql('postgres', $state);
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION everything CONNECTION 'host=@{[ $publisher->host ]} port=@{[ $publisher->port ]} dbname=postgres' PUBLICATION everything");
$subscriber->wait_for_subscription_sync($publisher, 'everything');
$publisher->safe_psql('postgres', q{
	SELECT kpi.grant_scope('clerk', 'store', members => '{2}'), kpi.revoke_scope('other', 'store');
	SELECT kpi.drop_dimension('channel');
	UPDATE shop.sales SET amount = amount + 1 WHERE store = 2;
	DROP VIEW shop.by_store;
	SELECT kpi.untrack('shop.sales'), kpi.unprotect('shop.sales', 'store');
	DELETE FROM kpi.data_change_log;
	INSERT INTO shop.stores VALUES (3, 'West');
});
$publisher->wait_for_catchup('everything');
is($subscriber->safe_psql('postgres', 'SELECT count(*), sum(amount) FROM shop.sales'), $publisher->safe_psql('postgres', 'SELECT count(*), sum(amount) FROM shop.sales'), 'rows of tables arrive');
is($subscriber->safe_psql('postgres', $state), $before, 'those of the extension are left out');
is($subscriber->safe_psql('postgres', q{SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'}), '0', 'all tables are in step');
is($subscriber->safe_psql('postgres', 'SET ROLE clerk; SELECT DISTINCT store FROM shop.sales'), '2', 'S1: scopes are those of the subscriber');
unlike(slurp_file($subscriber->logfile), qr/ERROR/, 'nothing failed');
is($subscriber->safe_psql('postgres', q{SET session_replication_role = replica; BEGIN; DELETE FROM kpi.scope_grant; SELECT count(*) FROM kpi.scope_grant; ROLLBACK}), '0', 'a restore that sets the replica role is let through');

$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION everything');
$_->stop foreach $subscriber, $publisher;
done_testing();
