# L1, G5, H7: a dump, in each form, restores lineage and its history; a hot standby tells it, recorded or stale; DROP EXTENSION
# leaves nothing that other sessions stumble over; graph functions on 1,000 metrics over 200 tables answer in less than a second;
# random queries agree with pg_depend (test/fuzz/lineage.py, a short run). What pg_upgrade does needs two major versions of
# PostgreSQL, and is not tested.
# Contract: starts servers of its own; needs psql, pg_dump, pg_restore and pg_basebackup of its version.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('lineage');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'kpitables'\nfsync = off\ntimezone = 'UTC'");
$node->start;
my $dir = PostgreSQL::Test::Utils::tempdir;
my @names = ('first', 'plain', 'custom', 'parallel', 'schema_only', 'owner');
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach @names;
$node->safe_psql('first', q{
	CREATE ROLE regress_kpi_owner LOGIN;
	CREATE EXTENSION kpitables;
	CREATE SCHEMA shop AUTHORIZATION regress_kpi_owner;
	CREATE SCHEMA "odd ""bi" AUTHORIZATION regress_kpi_owner;
	SET ROLE regress_kpi_owner;
	CREATE TYPE shop.channel AS ENUM ('web', 'shop');
	CREATE TABLE shop.lines (id int, store int, channel shop.channel, amount numeric, day date, gone text) PARTITION BY RANGE (day);
	CREATE TABLE shop.lines_1 PARTITION OF shop.lines FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
	CREATE TABLE shop.stores (id int PRIMARY KEY, "the city" text, upper_city text GENERATED ALWAYS AS (upper("the city")) STORED);
	CREATE VIEW shop.sales AS SELECT l.*, s.upper_city FROM shop.lines l JOIN shop.stores s ON s.id = l.store WHERE channel = 'web';
	CREATE OR REPLACE VIEW shop.sales AS SELECT l.*, s.upper_city FROM shop.lines l LEFT JOIN shop.stores s ON s.id = l.store;
	CREATE FUNCTION shop.top(n int) RETURNS TABLE (city text, amount numeric) BEGIN ATOMIC SELECT upper_city, sum(amount) FROM shop.sales GROUP BY 1 LIMIT n; END;
	CREATE MATERIALIZED VIEW "odd ""bi".stored AS SELECT *, rank() OVER (ORDER BY amount) AS r FROM shop.top(3);
	SELECT kpi.create_metric('shop.revenue', 'SELECT sum(amount) FROM shop.sales'), kpi.create_metric('shop.orders', 'SELECT count(*) FROM shop.sales WHERE day > ''2026-01-02''');
	SELECT kpi.create_metric('shop.aov', 'SELECT revenue / nullif(orders, 0) FROM shop.revenue, shop.orders');
	SELECT kpi.create_metric_view('"odd ""bi".sales', '{channel, upper_city}', '{shop.revenue, shop.aov}');
	SELECT kpi.create_metric('shop.web', 'SELECT measure(revenue) FROM "odd ""bi".sales WHERE channel = ''web''');
	SELECT kpi.alter_metric_view('"odd ""bi".sales', add_metrics => '{shop.web}');
	ALTER TABLE shop.stores RENAME COLUMN "the city" TO "City (name)";
	DROP VIEW IF EXISTS shop.nothing;
	RESET ROLE;
});

sub graph
{
	my ($server, $db) = @_;
	return $server->safe_psql($db, q{
		SELECT * FROM kpi.lineage ORDER BY direct, target COLLATE "C", target_column COLLATE "C", source COLLATE "C", source_column COLLATE "C", kind;
		SELECT 'check', object, problem FROM kpi.check();
		SELECT depth, path FROM kpi.upstream('"odd ""bi".sales') ORDER BY path COLLATE "C", target_column COLLATE "C", kind;
		SELECT depth, path FROM kpi.downstream('shop.stores."City (name)"') ORDER BY path COLLATE "C";
		SELECT kind, name, columns, depth FROM kpi.impact('shop.lines.amount') WHERE kind <> 'version' ORDER BY 1, 2;});
}

sub history
{
	my ($server, $db) = @_;
	return $server->safe_psql($db, q{SELECT changed_at, role, command, change, target, target_column, source, source_column, kind, transformation FROM kpi.lineage_history ORDER BY 1, 4, 5, 6, 7, 8, 9});
}

my $before = graph($node, 'first');
my $history = history($node, 'first');
like($before, qr/^table\|shop\.stores\|City \(name\)\|metric view\|"odd ""bi"\.sales\|upper_city\|value\|\|f$/m, 'L1: the graph reaches from the metric view to the renamed column');
unlike($before, qr/^check/m, 'L1: recorded is derived');
like($history, qr/\|CREATE VIEW\|removed\|shop\.sales\|\|shop\.lines\|channel\|filter\|/, 'L1: history has what a replaced view was');

# G5: dumped and restored by a superuser, in each form
my @restore = ('psql', '--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--file');
command_ok([ 'pg_dump', '--dbname', $node->connstr('first'), '--file', "$dir/plain.sql" ], 'G5: plain dump');
command_checks_all([ @restore, "$dir/plain.sql", $node->connstr('plain') ], 0, [], [qr/^(?!.*WARNING)/s], 'G5: is restored without a warning');
unlike(slurp_file("$dir/plain.sql"), qr/^COPY kpi\.lineage_(edge|stale) .*\n(?!\\\.)/m, 'G5: it holds no edges');
like(slurp_file("$dir/plain.sql"), qr/^COPY kpi\.lineage_log .*\n(?!\\\.)/m, 'G5: but history');
command_ok([ 'pg_dump', '--dbname', $node->connstr('first'), '--format', 'custom', '--file', "$dir/custom.dump" ], 'G5: custom dump');
command_checks_all([ 'pg_restore', '--exit-on-error', '--dbname', $node->connstr('custom'), "$dir/custom.dump" ], 0, [], [qr/^(?!.*WARNING)/s], 'G5: is restored');
command_checks_all([ 'pg_restore', '--exit-on-error', '--jobs', '4', '--dbname', $node->connstr('parallel'), "$dir/custom.dump" ], 0, [], [qr/^(?!.*WARNING)/s], 'G5: by several jobs');
command_checks_all([ 'pg_restore', '--exit-on-error', '--schema-only', '--dbname', $node->connstr('schema_only'), "$dir/custom.dump" ], 0, [], [qr/^(?!.*WARNING)/s], 'G5: without data');
my %old = map { $_ => 1 } split /\n/, $history;
foreach my $db ('plain', 'custom', 'parallel')
{
	is(graph($node, $db), $before, "G5: the graph of $db is the first's");
	my %kept = map { $_ => 1 } split /\n/, history($node, $db);
	is(scalar(grep { !$kept{$_} } keys %old), 0, "G5: and history is kept in $db");
}
my $bare = $before;
(my $restored = graph($node, 'schema_only')) =~ s/metric view/view/g;
$restored =~ s/\bmetric\b/view/g;
$bare =~ s/metric view/view/g;
$bare =~ s/\bmetric\b/view/g;
is(join("\n", grep { /\|t$/ } split /\n/, $restored), join("\n", grep { /\|t$/ } split /\n/, $bare), 'G5: the schema alone brings the direct edges');

# G5: by an owner who is no superuser: what is his, into a database that has the extension
$node->safe_psql('owner', 'CREATE EXTENSION kpitables; GRANT CREATE ON DATABASE owner TO regress_kpi_owner');
my @as_owner = ('--host', $node->host, '--port', $node->port, '--username', 'regress_kpi_owner');
command_ok([ 'pg_dump', @as_owner, '--schema', 'shop', '--schema', 'odd*', '--file', "$dir/owner.sql", 'first' ], 'G5: an owner dumps schemas');
command_checks_all([ 'psql', '--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', @as_owner, '--file', "$dir/owner.sql", 'owner' ], 0, [], [qr/^(?!.*WARNING)/s], 'G5: and restores them');
($restored = graph($node, 'owner')) =~ s/metric view/view/g;
$restored =~ s/\bmetric\b/view/g;
is(join("\n", grep { /\|t$/ } split /\n/, $restored), join("\n", grep { /\|t$/ } split /\n/, $bare), 'G5: with their lineage');
command_fails_like([ 'pg_dump', @as_owner, '--file', "$dir/all.sql", 'first' ], qr/permission denied for table/, 'G5: the whole database is the superuser\'s to dump');

# A hot standby
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->safe_psql('first', 'ALTER TABLE shop.lines RENAME COLUMN gone TO kept');
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
is(graph($standby, 'first'), graph($node, 'first'), 'L1: a standby tells the graph');
is(history($standby, 'first'), history($node, 'first'), 'L1: and history');
$node->safe_psql('first', q{ALTER TABLE kpi.lineage_log ADD CONSTRAINT broken CHECK (false) NOT VALID; ALTER TABLE shop.lines RENAME COLUMN kept TO again; ALTER TABLE kpi.lineage_log DROP CONSTRAINT broken});
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
my $stale = graph($standby, 'first');
is($stale, graph($node, 'first'), 'H7: a standby tells the graph while it is stale');
like($stale, qr/^partitioned table\|shop\.lines\|again\|view\|shop\.sales\|/m, 'H7: as it is');
like($stale, qr/^check\|lineage\|ALTER TABLE at .* was not recorded/m, 'H7: and that it is stale');
my ($status, $out, $err) = $standby->psql('first', 'SELECT kpi.refresh_lineage()');
like($err, qr/cannot execute .* in a read-only transaction|during recovery/, 'H7: but does not refresh it');
$node->safe_psql('first', 'SELECT kpi.refresh_lineage()');
unlike(graph($node, 'first'), qr/^check/m, 'H7: the primary does');
$standby->stop;

# The extension is dropped and made again while a session that has used it goes on
my $psql = 'psql --no-psqlrc --quiet --no-align --tuples-only --dbname "' . $node->connstr('plain') . '"';
($status, $out, $err) = $node->psql('plain', qq{
	SELECT count(*) > 0 FROM kpi.lineage;
	CREATE VIEW shop.one AS SELECT amount FROM shop.lines;
	\\! $psql --command 'SET client_min_messages = error' --command 'DROP EXTENSION kpitables CASCADE'
	CREATE VIEW shop.two AS SELECT amount FROM shop.one;
	DROP VIEW shop.two, shop.one;
	SELECT count(*) FROM pg_event_trigger;
	SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'kpi';
	\\! $psql --command 'CREATE EXTENSION kpitables'
	CREATE VIEW shop.three AS SELECT amount FROM shop.lines;
	SELECT source, source_column FROM kpi.lineage WHERE target IN ('shop.three', 'shop.sales') AND direct AND target_column = 'amount' ORDER BY target COLLATE "C";
	SELECT 'check', problem FROM kpi.check();
	DROP EXTENSION kpitables CASCADE;
	DROP SCHEMA shop CASCADE;
	CREATE EXTENSION kpitables;
	SELECT count(*) FROM kpi.lineage_log;
});
is($out, "t\n0\n0\nshop.lines|amount\nshop.lines|amount\n0", 'H7: other sessions go on without the extension, and with it again');
unlike($err, qr/ERROR|WARNING/, 'H7: and nobody is troubled');

# Speed: 1,000 metrics over 200 tables
$node->safe_psql('postgres', 'CREATE DATABASE big');
$node->safe_psql('big', q{
	CREATE EXTENSION kpitables;
	CREATE SCHEMA b;
	DO $$
	BEGIN
		FOR t IN 0..199 LOOP
			EXECUTE format('CREATE TABLE b.t%s (id int PRIMARY KEY, k int, day date, region text, status text, amount numeric, refund numeric, cost numeric, note text)', t);
			EXECUTE format('CREATE VIEW b.v%s AS SELECT a.id, a.day, a.region, a.status, a.amount - a.refund AS net, a.cost, p.amount AS other FROM b.t%s a LEFT JOIN b.t%s p ON p.id = a.k WHERE a.status <> ''void''', t, t, greatest(t - 1, 0));
			PERFORM kpi.create_metric(format('b.m%s_0', t), format('SELECT sum(net) FROM b.v%s', t));
			PERFORM kpi.create_metric(format('b.m%s_1', t), format('SELECT count(*) FROM b.v%s WHERE status = ''paid''', t));
			PERFORM kpi.create_metric(format('b.m%s_2', t), format('SELECT sum(cost) FROM b.v%s', t));
			PERFORM kpi.create_metric(format('b.m%s_3', t), format('SELECT m%s_0 / nullif(m%s_1, 0) FROM b.m%s_0, b.m%s_1', t, t, t, t));
			PERFORM kpi.create_metric(format('b.m%s_4', t), format('SELECT m%s_0 - m%s_2 FROM b.m%s_0, b.m%s_2', t, t, t, t));
			PERFORM kpi.create_metric_view(format('b.s%s', t), '{day, region}', ARRAY[format('b.m%s_0', t), format('b.m%s_3', t), format('b.m%s_4', t)]);
			COMMIT;
		END LOOP;
	END $$;
	CREATE FUNCTION b.median(statement text) RETURNS numeric LANGUAGE plpgsql AS $$
	DECLARE began timestamptz; times numeric[] := '{}';
	BEGIN
		FOR i IN 1..5 LOOP
			began := clock_timestamp();
			EXECUTE statement;
			times := times || extract(epoch FROM clock_timestamp() - began)::numeric * 1000;
		END LOOP;
		RETURN round((SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY t) FROM unnest(times) t), 1);
	END $$;
});
is($node->safe_psql('big', q{SELECT count(*) FROM kpi.metrics}), '1000', '1,000 metrics');
sub median
{
	my ($what, $sql, $limit) = @_;
	my $ms = $node->safe_psql('big', "SELECT b.median(\$q\$$sql\$q\$)");
	diag(sprintf '%-32s %8.1f ms', $what, $ms);
	cmp_ok($ms, '<', $limit, "L1: $what in less than $limit ms");
}
median('upstream of a metric view', q{SELECT * FROM kpi.upstream('b.s150')}, 1000);
median('upstream of a column', q{SELECT * FROM kpi.upstream('b.v150.net')}, 1000);
median('downstream of a table', q{SELECT * FROM kpi.downstream('b.t100')}, 1000);
median('downstream of a column', q{SELECT * FROM kpi.downstream('b.t100.amount')}, 1000);
median('impact of a table', q{SELECT * FROM kpi.impact('b.t100')}, 1000);
median('impact of a column', q{SELECT * FROM kpi.impact('b.t100.status')}, 1000);
median('the whole graph', q{SELECT * FROM kpi.lineage}, 1000);
median('history', q{SELECT * FROM kpi.lineage_history}, 1000);
median('rename of a column', q{ALTER TABLE b.t100 RENAME COLUMN amount TO a; ALTER TABLE b.t100 RENAME COLUMN a TO amount}, 1000);
$node->safe_psql('big', q{INSERT INTO kpi.lineage_stale (command, problem) VALUES ('test', 'test')});
median('upstream while the graph is stale', q{SELECT * FROM kpi.upstream('b.s150')}, 1000);
median('refresh', q{SELECT kpi.refresh_lineage()}, 5000);
is($node->safe_psql('big', q{SELECT count(*) FROM kpi.check()}), '0', 'L1: recorded is derived');
# a query of many arms and columns does not take long to record
my $arm = 'SELECT ' . join(', ', map { "id + $_ AS c$_" } 1 .. 40) . ' FROM b.t0';
median('union of 100 arms and 40 columns', 'CREATE OR REPLACE VIEW b.wide AS ' . join(' UNION ', map { "$arm WHERE k = $_" } 1 .. 100), 5000);

# Random queries and random DDL
SKIP:
{
	skip 'psycopg2 is not installed', 1 if system(q{/usr/bin/python3 -c 'import psycopg2' 2>/dev/null}) != 0;
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	my $said = `/usr/bin/python3 test/fuzz/lineage.py 150 1 2>&1`;
	is($?, 0, 'L1: 150 random queries agree with pg_depend, and with random DDL between them') or diag($said);
}

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal|cache lookup failed|ERROR:  XX000/, 'nothing crashed');
$node->stop;
done_testing();
