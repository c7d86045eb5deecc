# 020_dump: a database with metrics survives pg_dump and pg_restore in every form: the same answers, listings, comments
# and privileges, and a dump of the copy that equals the dump of the original (G5).

use strict;
use warnings;

use Company;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'kpitables'");
$node->start;
Company::create($node, 'original');
my $files = PostgreSQL::Test::Utils::tempdir;

# pg_dump's text without the key that it draws anew each time
sub dump_of
{
	my ($database, @options) = @_;
	$node->command_ok([ 'pg_dump', @options, '-f', "$files/$database.sql", $database ], "pg_dump @options $database");
	my $dump = join '', grep { !/^\\(un)?restrict / } split /^/, slurp_file("$files/$database.sql");

	# A restore is DDL, and lineage history tells of it beside what it restores.
	$dump =~ s/^COPY kpi\.lineage_log .*?^\\\.$//ms;
	return $dump;
}

# A new database and a program that fills it, which must not complain
sub restore
{
	my ($database, @command) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->command_checks_all([@command], 0, [], [qr/^$/], "restore $database");
	return;
}

# Is a database the original?
sub is_the_same
{
	my ($database) = @_;
	is(Company::answers($node, $database), Company::answers($node, 'original'), "$database: answers");
	is(Company::listings($node, $database), Company::listings($node, 'original'), "$database: listings");
	is(Company::catalog($node, $database), Company::catalog($node, 'original'), "$database: owners, privileges, comments, definitions");
	return;
}

like(Company::answers($node, 'original'), qr/^author\neast\|\d+\.\d+\|0\.\d+\n/, 'there are answers');
like(Company::answers($node, 'original'), qr/^reader\neast\|\d+\.\d+\|0\.\d+\n.*permission denied for view sales/ms, 'there are answers for the reader, not all');
my $original = dump_of('original');
unlike($original, qr/\{(QUERY|FUNCEXPR|AGGREF|VAR|CONST) /, 'no parse trees in the dump');

restore('plain', 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', 'plain', '-f', "$files/original.sql");
is_the_same('plain');
is(dump_of('plain'), $original, 'the dump of the copy equals the dump of the original');

$node->command_ok([ 'pg_dump', '-Fc', '-f', "$files/custom", 'original' ], 'pg_dump, custom format');
restore('custom', 'pg_restore', '-e', '-d', 'custom', "$files/custom");
is_the_same('custom');
restore('parallel', 'pg_restore', '-e', '-j', '4', '-d', 'parallel', "$files/custom");
is_the_same('parallel');
is(dump_of('parallel'), $original, 'the dump of the copy, restored in parallel, equals the dump of the original');
$node->command_ok([ 'pg_dump', '-Fd', '-j', '4', '-f', "$files/directory", 'original' ], 'pg_dump, directory format, parallel');
restore('directory', 'pg_restore', '-e', '-j', '4', '-d', 'directory', "$files/directory");
is_the_same('directory');

# --clean over what is there
$node->command_checks_all([ 'pg_restore', '-e', '--clean', '--if-exists', '-d', 'custom', "$files/custom" ], 0, [], [qr/^$/], 'pg_restore --clean');
is_the_same('custom');

# First the schema, then the data.  In between the metrics are there, and read empty tables.
dump_of('original', '--schema-only');
restore('halves', 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', 'halves', '-f', "$files/original.sql");
is($node->safe_psql('halves', 'SELECT kpi.measure(net), kpi.measure(orders) FROM bi.sales'), '|0', 'schema only: metrics are computed');
dump_of('original', '--data-only');
$node->command_checks_all([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', 'halves', '-f', "$files/original.sql" ], 0, [], [qr/^$/], 'restore halves, data only');
$node->safe_psql('halves', 'REFRESH MATERIALIZED VIEW bi.stored');
is_the_same('halves');

# By schema: what belongs to the extension is not in such a dump, so metrics are computed, but nothing is registered.
dump_of('original', '-n', 'shop', '-n', 'finance', '-n', 'bi', '-n', '"财务"');
$node->safe_psql('postgres', 'CREATE DATABASE schemas');
$node->safe_psql('schemas', 'CREATE EXTENSION kpitables');
$node->command_checks_all([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', 'schemas', '-f', "$files/original.sql" ], 0, [], [qr/^$/], 'restore by schema');
is(Company::answers($node, 'schemas'), Company::answers($node, 'original'), 'by schema: answers');
is(Company::catalog($node, 'schemas'), Company::catalog($node, 'original'), 'by schema: owners, privileges, comments, definitions');
is($node->safe_psql('schemas', 'SELECT count(*) FROM kpi.metrics'), '0', 'by schema: nothing is registered');

# What views with measures publish is told, and adopted by the remedies; what no view publishes is adopted by its name.
my $unregistered = q{SELECT object, remedy FROM kpi.check() WHERE problem ~ 'registered' ORDER BY object};
is($node->safe_psql('schemas', $unregistered), "bi.sales|SELECT kpi.adopt('bi.sales')\nbi.visits|SELECT kpi.adopt('bi.visits')", 'by schema: kpi.check() tells');
$node->safe_psql('schemas', "SET SESSION AUTHORIZATION author;\nSELECT kpi.adopt('bi.sales');\nSELECT kpi.adopt('finance.conversion')");
is($node->safe_psql('schemas', $unregistered), "bi.visits|SELECT kpi.adopt('bi.visits')", 'by schema: a metric view is adopted with its metrics, a metric with its components');
$node->safe_psql('schemas', "SELECT remedy FROM ($unregistered) AS u \\gexec");
is($node->safe_psql('schemas', 'SELECT * FROM kpi.check()'), '', 'by schema: all is adopted');
is(Company::catalog($node, 'schemas'), Company::catalog($node, 'original'), 'by schema: owners, privileges, comments, definitions after adoption');
my $adopted = q{SET SESSION AUTHORIZATION author;
	SELECT metric, owner, min_group_rows, additivity, type, source, definition FROM kpi.metrics ORDER BY metric::text;
	SELECT metric_view, owner, source FROM kpi.metric_views ORDER BY metric_view::text;
	SELECT metric_view, name, type, description FROM kpi.dimensions ORDER BY metric_view::text, position;
	SELECT metric_view, name, type, metric, additivity FROM kpi.measures ORDER BY metric_view::text, position};
is($node->safe_psql('schemas', $adopted), $node->safe_psql('original', $adopted), 'by schema: listings after adoption, but for metadata');
is($node->safe_psql('schemas', q{SELECT label, description, time_dimension FROM kpi.metric_views WHERE metric_view = 'bi.sales'::regclass}),
	"|Sales\nAll orders|ordered_on", 'by schema: the comment is the description');
$node->safe_psql('schemas', 'ALTER TABLE shop.stores RENAME COLUMN id TO store_id; ALTER VIEW shop.sales RENAME COLUMN amount TO value');
is($node->safe_psql('schemas', q{SELECT count(*) FROM kpi.measures WHERE col_description(metric_view, position) ~ '\mamount\M'}), '0', 'by schema: comments follow definitions again');
is($node->safe_psql('schemas', 'SELECT * FROM kpi.check()'), '', 'by schema: and kpi.check() has nothing to tell');

# Who may read all data may dump; an owner of some tables may not read the registry.
$node->safe_psql('original', 'CREATE ROLE dumper LOGIN IN ROLE pg_read_all_data');
$node->command_ok([ 'pg_dump', '-U', 'dumper', '-f', "$files/dumper.sql", 'original' ], 'pg_dump by a member of pg_read_all_data');
is(join('', grep { !/^\\(un)?restrict / } split /^/, slurp_file("$files/dumper.sql")) =~ s/^COPY kpi\.lineage_log .*?^\\\.$//msr, $original, 'it is the same dump');

# Rows that a DROP left behind name no relation.  They travel, and do no harm.
$node->safe_psql('original', q{BEGIN; ALTER EVENT TRIGGER kpi_forget_dropped DISABLE; SET client_min_messages = error; DROP VIEW finance.visitors CASCADE; ALTER EVENT TRIGGER kpi_forget_dropped ENABLE ALWAYS; COMMIT;});
is($node->safe_psql('original', 'SELECT count(*) FROM kpi.metric_registry WHERE relid::oid NOT IN (SELECT oid FROM pg_class)'), '2', 'there are rows without a view');
dump_of('original');
restore('orphans', 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', 'orphans', '-f', "$files/original.sql");
is_the_same('orphans');

# The way out where two views depend on each other: the filtered metric gets a definition of its own, and leaves.
is( $node->safe_psql('plain', q{
	SELECT kpi.alter_metric('finance.web_net', definition => 'SELECT sum(amount) - coalesce(sum(refund), 0) FROM shop.sales WHERE status = ''paid'' AND channel = ''web''');
	SET client_min_messages = error;
	DROP VIEW bi.by_region;
	DROP MATERIALIZED VIEW bi.stored;
	DROP FUNCTION bi.net_of;
	SELECT kpi.alter_metric_view('bi.sales', drop_metrics => '{web_net, web_share}');
	SELECT web_share IS NOT NULL FROM finance.web_share;}), "finance.web_net\nbi.sales\nt", 'views that depend on each other come apart');

$node->stop;
done_testing();
