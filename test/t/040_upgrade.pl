# 040_upgrade: pg_upgrade takes a database with metrics to a new cluster (G7).
#
# There is one PostgreSQL here, so the cluster is upgraded to its own version: the path through pg_dump --binary-upgrade
# and the transfer of files is the same.  What breaks between major versions is looked for in the catalogs: parse
# trees kept as text, objects in pg_catalog, columns of types that pg_upgrade refuses.

use strict;
use warnings;

use Company;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = PostgreSQL::Test::Cluster->new('old');
$old->init;
$old->append_conf('postgresql.conf', "shared_preload_libraries = 'kpitables'");
$old->start;
Company::create($old, 'company');

is( $old->safe_psql('company', q{
	SELECT a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
	 WHERE c.relnamespace = 'kpi'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
	   AND a.atttypid IN ('pg_node_tree'::regtype, 'regproc'::regtype, 'regprocedure'::regtype, 'regoper'::regtype, 'regoperator'::regtype,
						  'regconfig'::regtype, 'regdictionary'::regtype, 'regnamespace'::regtype, 'regcollation'::regtype)}),
	'', 'the tables of the extension hold no parse trees and no OIDs that pg_upgrade does not keep');
is( $old->safe_psql('company', q{
	SELECT string_agg(concat_ws(' ', m, v), ' ') ~ '\{[A-Z]+ :' FROM kpi.metric_registry AS m FULL JOIN kpi.metric_view_registry AS v USING (relid)}),
	'f', 'no parse trees in them');
is( $old->safe_psql('company', q{
	SELECT pg_describe_object(classid, objid, 0) FROM pg_depend CROSS JOIN pg_identify_object(classid, objid, 0) AS o
	 WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'kpitables') AND deptype = 'e' AND o.schema = 'pg_catalog'}),
	'', 'nothing of the extension is in pg_catalog');

my ($answers, $listings, $catalog) = map { $_->($old, 'company') } (\&Company::answers, \&Company::listings, \&Company::catalog);
my $oids = q{SELECT 'finance.net'::regclass::oid, 'bi.sales'::regclass::oid, 'kpi.metric_registry'::regclass::oid};
my $old_oids = $old->safe_psql('company', $oids);
$old->stop;

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'kpitables'");

# pg_upgrade writes where it stands.
chdir $PostgreSQL::Test::Utils::tmp_check or die "cannot change to $PostgreSQL::Test::Utils::tmp_check: $!";
my $bin = $old->config_data('--bindir');
my @pg_upgrade = ('pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bin, '-B', $bin, '-p', $old->port, '-P', $new->port, '-s', $new->host);
command_ok([ @pg_upgrade, '--check' ], 'pg_upgrade --check');
command_ok(\@pg_upgrade, 'pg_upgrade');

$new->start;
is(Company::answers($new, 'company'), $answers, 'answers');
is(Company::listings($new, 'company'), $listings, 'listings');
is(Company::catalog($new, 'company'), $catalog, 'owners, privileges, comments, definitions');
is($new->safe_psql('company', $oids), $old_oids, 'the registry names the same views');
is( $new->safe_psql('company', q{
	SELECT kpi.alter_metric('finance.net', definition => 'SELECT sum(amount) FROM shop.sales');
	SELECT kpi.measure(net) = (SELECT sum(amount) FROM shop.sales) FROM bi.sales;
	SELECT kpi.create_metric('bi.new', 'SELECT max(net) FROM bi.by_region');
	DROP VIEW bi.new;
	SELECT count(*) FROM kpi.metrics WHERE name = 'new'}), "finance.net\nt\nbi.new\n0", 'and it goes on');

$new->stop;
done_testing();
