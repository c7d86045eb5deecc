# J3: what is huge is answered, or refused by a clean error, and the session goes on: 10,000 metrics, 1,500 measures in one
# view, a definition of 100 MB, keys by the thousand in IN, 65,535 parameters, names of kilobytes and of many-byte letters.
# Contract: starts a server of its own.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('huge');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nshared_preload_libraries = 'kpitables'\nmax_locks_per_transaction = 2000\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION kpitables;
	CREATE SCHEMA h;
	CREATE TABLE h.orders AS SELECT i AS id, i % 7 AS region, i AS amount FROM generate_series(1, 2000) i;
	SELECT count(kpi.create_metric('h.m' || i, format('SELECT sum(amount) + %s FROM h.orders WHERE id > %s', i, i % 100))) FROM generate_series(1, 10000) i;
	SELECT kpi.create_metric_view('h.sales', '{id, region}', (SELECT array_agg('h.m' || i) FROM generate_series(1, 1500) i));
});

sub is_value
{
	my ($sql, $expected, $name) = @_;
	is($node->safe_psql('postgres', $sql), $expected, $name);
}

is_value('SELECT count(*), count(additivity) FROM kpi.metrics', '10000|10000', '10,000 metrics are listed');
is_value('SELECT kpi.measure(m1) = (SELECT sum(amount) + 1 FROM h.orders WHERE id > 1), kpi.measure(m1500) = (SELECT sum(amount) + 1500 FROM h.orders) FROM h.sales',
	't|t', 'the first and the last of 1,500 measures');
my $all = join ', ', map { "kpi.measure(m$_)" } 1 .. 1500;
is($node->psql('postgres', "SELECT $all FROM h.sales"), 0, '1,500 measures in one query');
my $keys = join ', ', 1 .. 1000;
is_value("SELECT kpi.measure(m1) = (SELECT sum(amount) + 1 FROM h.orders WHERE id > 1 AND id IN ($keys)) FROM h.sales WHERE id IN ($keys)", 't', '1,000 keys in IN');
my $types = join ', ', ('int') x 65535;
my $values = join ', ', 1 .. 65535;
my $file = $node->basedir . '/parameters.sql';
append_to_file($file, "PREPARE p($types) AS SELECT kpi.measure(m1) FILTER (WHERE id BETWEEN \$1 AND \$65535) > 0 FROM h.sales;\nEXECUTE p($values);\nEXECUTE p($values);\n");
is($node->safe_psql('postgres', "\\i $file"), "t\nt", '65,535 parameters');

is_value(q{SELECT kpi.create_metric('h.padded', 'SELECT sum(amount) FROM h.orders' || repeat(' ', 100000000))}, 'h.padded', 'a definition of 100 MB of blanks');
my $error;
$node->psql('postgres', q{SELECT kpi.create_metric('h.sum', 'SELECT sum(amount) FROM h.orders WHERE id IN (' || repeat('1,', 20000000))}, stderr => \$error);
like($error, qr/ERROR:  syntax error at end of input/, 'one of 40 MB that does not parse');
$node->psql('postgres', q{SELECT kpi.create_metric('h.deep', 'SELECT sum(' || repeat('(', 200000) || 'amount' || repeat(')', 200000) || ') FROM h.orders')}, stderr => \$error);
like($error, qr/ERROR:  (memory exhausted|stack depth limit exceeded)/, 'one that is nested too deep');

my $long = 'x' x 8192;
is_value("SET client_min_messages = error; SELECT length(kpi.create_metric('h.$long', 'SELECT count(*) FROM h.orders')::text)", 65, 'a name of 8 kB is cut as PostgreSQL cuts names');
is_value("SET client_min_messages = error; SELECT kpi.create_metric_view('h.view', ARRAY['region AS $long'], '{h.m1}')", 'h.view', 'so is that of a dimension');
my $letters = '财' x 40;
$node->safe_psql('postgres', "SELECT kpi.create_metric('h.\"$letters\"', 'SELECT count(*) FROM h.orders', label => repeat('净', 100000))");
is_value("SELECT char_length(name) FROM kpi.metrics WHERE name LIKE '财%'", 21, 'one of many-byte letters is cut between two of them');
is_value(q{SELECT char_length(label), char_length(obj_description(metric)) FROM kpi.metrics WHERE char_length(label) = 100000}, '100000|100000', 'a label of 300 kB is kept and commented');
is_value('SELECT kpi.measure(m2) FROM h.sales WHERE false', '', 'and the server answers on');
$node->stop;
done_testing();
