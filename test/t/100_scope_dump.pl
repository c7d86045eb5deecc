# G5, G6, H8: a dump holds dimensions, scopes and protections, and a restored database answers every role as the first did; a role
# that row security binds dumps nothing by default and its own rows if it says so; scopes of dropped roles stay behind.
# Contract: starts a server of its own; needs psql, pg_dump and pg_restore of its version.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('scope_dump');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'kpitables'\nfsync = off\ntimezone = 'UTC'");
$node->start;
my $dir = PostgreSQL::Test::Utils::tempdir;
my @names = ('first', 'plain', 'custom', 'parallel', 'schema_then_data');
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach @names;

$node->safe_psql('first', q{
	CREATE ROLE regress_kpi_owner LOGIN;
	CREATE ROLE regress_kpi_clerk LOGIN;
	CREATE ROLE regress_kpi_manager LOGIN;
	CREATE ROLE regress_kpi_group;
	CREATE ROLE regress_kpi_cfo LOGIN IN ROLE regress_kpi_group;
	CREATE ROLE regress_kpi_none LOGIN;
	CREATE ROLE regress_kpi_gone;
	CREATE ROLE regress_kpi_dumper LOGIN BYPASSRLS IN ROLE pg_read_all_data;
	GRANT CREATE ON DATABASE first TO regress_kpi_owner;
	CREATE EXTENSION kpitables;
	CREATE SCHEMA shop AUTHORIZATION regress_kpi_owner;
	GRANT USAGE ON SCHEMA shop TO PUBLIC;
	SET ROLE regress_kpi_owner;
	CREATE TABLE shop.stores (store_id int PRIMARY KEY, region text, "odd ""city" text);
	INSERT INTO shop.stores SELECT i, ('{East,West}'::text[])[1 + i % 2], 'c' || i % 4 FROM generate_series(1, 12) i;
	CREATE TABLE shop.orders (id int, store_id int, channel text, amount numeric) PARTITION BY RANGE (id);
	CREATE TABLE shop.orders_1 PARTITION OF shop.orders FOR VALUES FROM (0) TO (50);
	CREATE TABLE shop.orders_2 PARTITION OF shop.orders DEFAULT;
	INSERT INTO shop.orders SELECT i, 1 + i % 13, ('{web,shop}'::text[])[1 + i % 2], i * 1.5 FROM generate_series(1, 130) i;
	CREATE TABLE shop.entries (store_id int, amount int);
	INSERT INTO shop.entries SELECT i, i FROM generate_series(1, 12) i;
	SELECT kpi.create_dimension('store', 'shop.stores', 'store_id', '{region, "odd \"city"}', admin => 'regress_kpi_cfo');
	SELECT kpi.create_dimension('"Odd ''channel"');
	SELECT kpi.protect('shop.orders', 'store', 'store_id'), kpi.protect('shop.orders', 'Odd ''channel', 'channel'), kpi.protect('shop.entries', 'store', 'store_id', 'all');
	SELECT kpi.grant_scope('regress_kpi_clerk', 'store', members => '{3}'), kpi.grant_scope('regress_kpi_manager', 'store', 'region', '{East}'), kpi.grant_scope('regress_kpi_manager', 'store', 'odd "city', '{c1}'),
		kpi.grant_scope('regress_kpi_group', 'store', members => '{*}'), kpi.grant_scope('regress_kpi_gone', 'store', members => '{1}'),
		kpi.grant_scope('regress_kpi_clerk', 'store', members => '{5}', valid_until => '2100-01-01');
	SELECT kpi.grant_scope(r, 'Odd ''channel', members => '{*}') FROM unnest('{regress_kpi_group,regress_kpi_manager}'::text[]) r;
	SELECT kpi.grant_scope('regress_kpi_clerk', 'Odd ''channel', members => '{web}');
	SELECT kpi.create_metric('shop.revenue', 'SELECT sum(amount) FROM shop.orders'), kpi.create_metric('shop.heads', 'SELECT count(*) FROM shop.orders', min_group_rows => 20);
	SELECT kpi.create_metric_view('shop.sales', '{id, store_id, channel}', '{shop.revenue, shop.heads}');
	GRANT SELECT ON shop.orders, shop.orders_1, shop.orders_2, shop.sales, shop.revenue TO PUBLIC;
	GRANT ALL ON shop.entries TO PUBLIC;
	RESET ROLE;
	DROP ROLE regress_kpi_gone;
});

# What each role sees by each road, what it may write, what the lists say, and what the check finds
my @roles = qw(regress_kpi_owner regress_kpi_clerk regress_kpi_manager regress_kpi_cfo regress_kpi_none postgres);
sub answers
{
	my ($db) = @_;
	my $all = '';
	foreach my $role (@roles)
	{
		my ($status, $out, $err) = $node->psql($db, qq{
			SET ROLE $role;
			SELECT 'orders', count(*), sum(amount), min(store_id), max(store_id) FROM shop.orders;
			SELECT 'partition', count(*), sum(amount) FROM shop.orders_1;
			SELECT 'metric', * FROM shop.revenue;
			SELECT 'by store', store_id, kpi.measure(revenue), kpi.measure(heads) FROM shop.sales GROUP BY store_id ORDER BY 2;
			SELECT 'scope', dimension, level, members, through, valid_until FROM kpi.my_scope() ORDER BY 2, 3, 4, 5, 6;
			SELECT 'scopes', role, dimension, level, members, valid_until, granted_by, granted_at FROM kpi.scopes ORDER BY 2, 3, 4, 5, 6;
			SELECT 'dimensions', * FROM kpi.scope_dimensions ORDER BY 2;
			SELECT 'protections', relation, dimension, expression, writes FROM kpi.protections ORDER BY relation::text, dimension;
			BEGIN; UPDATE shop.entries SET amount = -1 RETURNING store_id; ROLLBACK;
			BEGIN; INSERT INTO shop.entries VALUES (4, 4); DELETE FROM shop.entries WHERE amount = 4 RETURNING 'deleted', store_id; ROLLBACK;
		}, on_error_stop => 0);
		$err =~ s/^psql:<stdin>:\d+: //mg;
		$all .= "== $role\n$out\n$err\n";
	}
	return $all . "== check\n" . $node->safe_psql($db, q{SELECT severity, object, regexp_replace(problem, '\d+', 'N'), regexp_replace(remedy, '\d+', 'N') FROM kpi.check()});
}

sub dump_as
{
	my ($role, $db, @options) = @_;
	return run_log([ 'pg_dump', '--host', $node->host, '--port', $node->port, '--username', $role, @options, $db ]);
}

my $before = answers('first');
like($before, qr/== regress_kpi_clerk\norders\|10\|825.0\|3\|5\n/, 'S1: the clerk sees ten rows of the first database');
like($before, qr/== regress_kpi_none\norders\|0\|/, 'S1: and a role without a scope none');
like($before, qr/== check\nwarning\|scope on store\|the role with OID N, which has it, was dropped\|/, 'H8: the check tells of the scope of a dropped role');
(my $expected = $before) =~ s/== check\n.*/== check\n/s;
$expected =~ s/^scopes\|\d+\|.*\n//mg;

# G5: dumped by a superuser, restored by a superuser, in each format
command_ok([ 'pg_dump', '--dbname', $node->connstr('first'), '--file', "$dir/plain.sql" ], 'G5: plain dump by a superuser');
command_ok([ 'psql', '--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--dbname', $node->connstr('plain'), '--file', "$dir/plain.sql" ], 'G5: and restore');
my ($grants) = slurp_file("$dir/plain.sql") =~ /^COPY kpi\.scope_grant .*?\n(.*?)^\\\./ms;
is(() = $grants =~ /^regress_kpi_\w+\tstore\t/mg, 5, 'H8: the dump has the scopes of the roles that are there');
unlike($grants, qr/^\d/m, 'H8: and no role by number');
command_ok([ 'pg_dump', '--dbname', $node->connstr('first'), '--format', 'custom', '--file', "$dir/custom.dump" ], 'G5: custom dump by a superuser');
command_ok([ 'pg_restore', '--exit-on-error', '--dbname', $node->connstr('custom'), "$dir/custom.dump" ], 'G5: and restore');
command_ok([ 'pg_restore', '--exit-on-error', '--jobs', '2', '--dbname', $node->connstr('parallel'), "$dir/custom.dump" ], 'G5: restore by two jobs');
command_ok([ 'pg_restore', '--exit-on-error', '--schema-only', '--dbname', $node->connstr('schema_then_data'), "$dir/custom.dump" ], 'G5: restore of the schema');
command_ok([ 'pg_restore', '--exit-on-error', '--data-only', '--dbname', $node->connstr('schema_then_data'), "$dir/custom.dump" ], 'G5: then of the data');
foreach my $db (@names[ 1 .. $#names ])
{
	is(answers($db), $expected, "G5: every role sees the same in $db, and the check finds nothing");
}
$node->safe_psql('plain', q{CREATE TABLE shop.orders_3 PARTITION OF shop.orders FOR VALUES FROM (200) TO (300); INSERT INTO shop.orders VALUES (201, 3, 'web', 1), (202, 4, 'web', 1);
	UPDATE shop.stores SET region = 'East' WHERE store_id = 3; GRANT SELECT ON shop.orders_3 TO PUBLIC});
is($node->safe_psql('plain', 'SET ROLE regress_kpi_clerk; SELECT store_id FROM shop.orders_3'), '3', 'A7: what is made in the restored database is protected, too');
is($node->safe_psql('plain', 'SET ROLE regress_kpi_manager; SELECT DISTINCT store_id FROM shop.orders_3 ORDER BY 1'), "3\n4", 'S1: and its scopes follow their dimension');
command_ok([ 'pg_dump', '--dbname', $node->connstr('plain'), '--file', "$dir/again.sql" ], 'G5: the restored database can be dumped');
$node->safe_psql('postgres', 'CREATE DATABASE again');
command_ok([ 'psql', '--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--dbname', $node->connstr('again'), '--file', "$dir/again.sql" ], 'G5: and restored');
is(answers('again'), answers('plain'), 'G5: with the same answers');

# G6: by a role that row security binds
command_fails_like([ 'pg_dump', '--host', $node->host, '--port', $node->port, '--username', 'regress_kpi_clerk', '--table', 'shop.orders*', '--data-only', 'first' ],
	qr/query would be affected by row-level security policy for table "orders_1"/, 'G6: who is bound by row security is told so, and dumps nothing');
command_fails_like([ 'pg_dump', '--host', $node->host, '--port', $node->port, '--username', 'regress_kpi_owner', '--table', 'shop.entries', 'first' ],
	qr/query would be affected by row-level security policy for table "entries"/, 'G6: and so is the owner');
foreach my $role ('regress_kpi_clerk', 'regress_kpi_none', 'regress_kpi_cfo')
{
	ok(dump_as($role, 'first', '--enable-row-security', '--table', 'shop.orders*', '--data-only', '--inserts', '--file', "$dir/$role.sql"), "G6: with --enable-row-security $role dumps");
	my @lines = grep { /^INSERT/ } split /\n/, slurp_file("$dir/$role.sql");
	my $sees = $node->safe_psql('first', "SET ROLE $role; SELECT count(*) FROM shop.orders");
	is(@lines, $sees, "G6: the $sees rows of its scope");
	is(scalar(grep { /VALUES \(\d+, (?!3\b|5\b)\d+|'shop'/ } @lines), 0, 'G6: and no other') if $role eq 'regress_kpi_clerk';
}
ok(dump_as('regress_kpi_dumper', 'first', '--table', 'shop.orders*', '--data-only', '--inserts', '--file', "$dir/dumper.sql"), 'G6: a role with BYPASSRLS dumps');
is(scalar(grep { /^INSERT/ } split /\n/, slurp_file("$dir/dumper.sql")), 130, 'G6: all rows');
command_fails_like([ 'pg_dump', '--host', $node->host, '--port', $node->port, '--username', 'regress_kpi_clerk', '--table', 'kpi.scope_grant', 'first' ],
	qr/permission denied for table scope_grant/, 'G6: the scopes of others are nobody\'s to dump');

# H8: a role that is dropped and made again has nothing, in the first database and in those restored from a dump of after
$node->safe_psql('postgres', 'DROP DATABASE again');
foreach my $db ('plain', 'custom', 'parallel', 'schema_then_data') { $node->safe_psql('postgres', "DROP DATABASE $db") }
$node->safe_psql('first', 'REASSIGN OWNED BY regress_kpi_clerk TO postgres; DROP ROLE regress_kpi_clerk; CREATE ROLE regress_kpi_clerk LOGIN');
is($node->safe_psql('first', 'SET ROLE regress_kpi_clerk; SELECT count(*) FROM shop.orders; SELECT count(*) FROM kpi.my_scope()'), "0\n0", 'H8: a new role of an old name has nothing');
command_ok([ 'pg_dump', '--dbname', $node->connstr('first'), '--file', "$dir/after.sql" ], 'H8: dump after it');
$node->safe_psql('postgres', 'CREATE DATABASE after');
command_ok([ 'psql', '--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--dbname', $node->connstr('after'), '--file', "$dir/after.sql" ], 'H8: restored');
is($node->safe_psql('after', 'SET ROLE regress_kpi_clerk; SELECT count(*) FROM shop.orders; SELECT count(*) FROM kpi.my_scope()'), "0\n0", 'H8: nor there');
is($node->safe_psql('after', 'SELECT count(*) FROM kpi.check()'), '0', 'H8: and the check finds nothing');

# B9, H8: other roles that were dropped: who owned, administered or granted. What has their number elsewhere gets nothing
$node->safe_psql('first', q{
	CREATE ROLE regress_kpi_leaver LOGIN; CREATE ROLE regress_kpi_admin;
	GRANT CREATE ON DATABASE first TO regress_kpi_leaver;
	SET ROLE regress_kpi_leaver;
	SELECT kpi.create_dimension('left', type => 'int', admin => 'regress_kpi_admin'), kpi.grant_scope('regress_kpi_manager', 'left', members => '{7}');
	RESET ROLE;
	DROP OWNED BY regress_kpi_leaver; DROP ROLE regress_kpi_leaver, regress_kpi_admin});
foreach my $form ('COPY', 'INSERT')
{
	my $db = lc "left_$form";
	my @options = $form eq 'INSERT' ? '--rows-per-insert=3' : ();
	command_ok([ 'pg_dump', '--dbname', $node->connstr('first'), @options, '--file', "$dir/$db.sql" ], "B9: dump by $form");
	my @rows = grep { /\bleft\b/ } split /\n/, slurp_file("$dir/$db.sql");
	is(scalar(@rows), 2, 'B9: it has the dimension and its scope');
	unlike($_, qr/[(\t']\d{4,}\b(?!-)/, 'B9: and no number of a role') foreach @rows;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	command_ok([ 'psql', '--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--dbname', $node->connstr($db), '--file', "$dir/$db.sql" ], 'B9: restored');
	is($node->safe_psql($db, q{SET ROLE regress_kpi_manager; SELECT kpi.in_scope('left', 7), kpi.in_scope('left', 8)}), 't|f', 'B9: the scope holds');
	is($node->safe_psql($db, 'SELECT severity, object, problem FROM kpi.check()'), 'error|left|the role that owned the dimension was dropped', 'B9: kpi.check() tells');
	$node->safe_psql($db, 'SELECT remedy FROM kpi.check() \gexec');
	is($node->safe_psql($db, 'SELECT severity, object, problem FROM kpi.check()'), '', 'B9: and its remedy ends it');
}

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal|cache lookup failed|ERROR:  XX000/, 'nothing crashed');
$node->stop;
done_testing();
