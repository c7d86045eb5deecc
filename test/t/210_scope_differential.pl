# S1, S2, S3, S6, S8: random scopes, random changes and readers of every kind against a model of their own (test/fuzz/scope.py,
# a short run; make check-scopes has a long one). Among what it looks for: R4, scopes computed from scopes while other sessions
# invalidate; R7, scopes revoked while a statement is planned; R12 and R13, partitions that come by side doors.
# Contract: starts a server of its own; needs psycopg2, without which it is skipped. CHECKS and SEED change the run.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'psycopg2 is not installed' if system(q{/usr/bin/python3 -c 'import psycopg2' 2>/dev/null}) != 0;
my $checks = $ENV{CHECKS} // 3000;
my $seed = $ENV{SEED} // 4;

my $node = PostgreSQL::Test::Cluster->new('scopes');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'kpitables'\nfsync = off\nmax_prepared_transactions = 10\nrestart_after_crash = on\nlog_statement = none");
$node->start;
{
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT current_user');
	my $said = `/usr/bin/python3 test/fuzz/scope.py $checks $seed 2>&1`;
	is($?, 0, 'S8: readers see what the model says, each time') or diag($said);
	my ($done, $forms, $steps) = $said =~ /^seed .* (\d+) checks of (\d+) forms, (\d+) steps/m;
	cmp_ok($done // 0, '>=', $checks, 'so many times');
	cmp_ok($forms // 0, '>=', 30, 'in many forms of reading');
	cmp_ok($steps // 0, '>=', $checks / 30, 'after many steps');
}
is(join('', grep { /PANIC|TRAP|terminated by signal/ } split /^/m, slurp_file($node->logfile)), '', 'nothing crashed');
$node->stop;
done_testing();
