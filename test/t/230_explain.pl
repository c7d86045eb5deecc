# C10: for every statement that a test of measures, metrics or scopes sends, or the README, or a BI tool, kpi.explain_measure()
# gives a text that runs with an empty search path and answers the same: rows, their order, names and types of columns. Where
# the statement is refused, so is the explanation, or its text.
# Contract: starts a server of its own, and a proxy before it (Explained.pm) through which the tests run.
use strict;
use warnings;
use Explained;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Statements that were compared when this was written: fewer are a fault of this test.
my %least = (same => 640, refused => 330);

local $ENV{PGUSER} = 'postgres';
my $node = PostgreSQL::Test::Cluster->new('explain');
$node->init(extra => [ '--username=postgres', '--encoding=UTF8', '--locale=C.UTF-8' ]);
$node->append_conf('postgresql.conf', "fsync = off\nmax_prepared_transactions = 10\nshared_preload_libraries = 'kpitables'\n");
$node->start;

my $dir = PostgreSQL::Test::Utils::tempdir_short();
my ($port, $report) = ($node->port, "$dir/report");
my $proxy = Explained::start($dir, $port, $node->host . "/.s.PGSQL.$port", $report);
END { kill TERM => $proxy if $proxy }

my @tests = map { /(\w+)\.sql\z/ } sort map { glob "test/sql/$_" } qw(measure_*.sql metric_*.sql scope_*.sql birdstrikes.sql);
symlink "$ENV{TESTDIR}/expected", "$dir/expected" or die "cannot link in $dir: $!";
my $bindir = $node->config_data('--bindir');
my $ran = system($ENV{PG_REGRESS}, '--inputdir=test', "--outputdir=$dir", "--bindir=$bindir", "--host=$dir", "--port=$port",
	'--user=postgres', '--load-extension=kpitables', '--encoding=UTF8', '--dbname=explained', @tests) >> 8;
is($ran, 0, 'the tests run through the proxy, and see nothing of it') or diag(slurp_file("$dir/regression.diffs"));
{
	local ($ENV{PGHOST}, $ENV{PGPORT}) = ($dir, $port);
	is(system('test/readme >&2') >> 8, 0, 'so does the README');
	$node->safe_psql('postgres', 'CREATE DATABASE bi');
	is(system('psql -Xq -d bi -o /dev/null -f test/clients/fixture.sql') >> 8, 0, 'and the clients');
	system('psql -Xq -d bi -o /dev/null -f test/clients/bi_statements.sql 2>/dev/null');    # some are refused
}

my (%count, @failed);
for (split /\n/, slurp_file($report))
{
	my ($verdict, $statement, $detail) = map { s/\\(.)/$1 eq 'n' ? "\n" : $1 eq 't' ? "\t" : $1/ger } split /\t/, $_, 3;
	$count{$verdict}++;
	push @failed, "$statement\n$detail" if $verdict eq 'FAIL';
}
note("$count{$_} $_") for sort keys %count;
is(scalar @failed, 0, 'C10: each explanation answers as its statement does') or diag(join("\n\n", @failed));
cmp_ok($count{$_} // 0, '>=', $least{$_}, "$_: $least{$_} statements at least") for sort keys %least;

$node->stop;
done_testing();
