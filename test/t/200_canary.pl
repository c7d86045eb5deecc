# S7, S9: nobody's code runs with another's rights. A hostile role puts canary code into every place that PostgreSQL has for it
# (Hostile.pm), in every part that an object can play for kpitables; then a superuser, an honest owner, a reader and the hostile
# role itself call every function and view of the extension and run ordinary statements on honest objects (Victims.pm). The
# canary may sing as the hostile role alone, and the session's settings, cursors, prepared statements and temporary tables are
# afterwards as before. No statement ends the server or fails with XX000.
#
# Everything is read off the server's log: each statement bears its number, each canary says who it ran as.
#
#   FINDS=base     the other way round: pass where the canary finds R1 to R6, N1 and N2 (faults of the first release), for a
#                  build that has them. It shows that this test can fail
#   REPORT=FILE    all findings, one a line: victim, what, statement, place; else the first ten of each test are shown
#   VICTIMS=LIST   only these, for example VICTIMS=dba,reader
#
# Contract: starts a server of its own, of the PostgreSQL that is first in PATH.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Hostile;
use Victims;

my @victims = split /,/, $ENV{VICTIMS} // join ',', @Victims::names;
my $started = time;
my @findings;    # { victim, what, sql, place, group }

my $node = PostgreSQL::Test::Cluster->new('canary');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'kpitables'
fsync = off
autovacuum = off
jit = off
restart_after_crash = on
timezone = 'UTC'
statement_timeout = '20s'
log_statement = all
log_min_error_statement = panic
log_error_verbosity = terse
log_line_prefix = '<%p %P %e %u> '
});
$node->start;

sub lap { note sprintf '%.1f s: %s', time - $started, $_[0]; return; }

# Statements as a role, one after the other, whatever each says; the answers, and [SQLSTATE, message] of those that failed.
# psql's own variables are of no use here, a name may hold a colon.
my $position = 0;
sub run_as
{
	my ($role, @sql) = @_;
	my ($out, $err);
	my $status = $node->psql('postgres', join('', map { "$_;\n" } @sql), extra_params => [ '--username', $role ], on_error_stop => 0, stdout => \$out, stderr => \$err);
	return ($status, $out);
}

# What the log says since it was last asked: [pid of the leader, SQLSTATE, role, level, text]
sub log_lines
{
	my @lines;
	my $text = slurp_file($node->logfile, $position);
	$position += length $text;
	for my $entry (split /^(?=<\d+ \d* \w{5} \S*> )/m, $text)
	{
		next unless $entry =~ /^<(\d+) (\d*) (\w{5}) (\S*)> (\w+):\s+(.*)/s;
		push @lines, { pid => $2 || $1, state => $3, role => $4, level => $5, text => $6 };
		chomp $lines[-1]{text};
	}
	return @lines;
}

# A session that ended without its last statement: wait until the server says why, and lives again
sub await_server
{
	for (1 .. 300)
	{
		last if slurp_file($node->logfile, $position) =~ /was terminated by signal.*database system is ready/s;
		usleep(100_000);
	}
	return $node->poll_query_until('postgres', 'SELECT true');
}

sub finding
{
	my (%finding) = @_;
	$finding{sql} =~ s/\s+/ /g;
	push @findings, \%finding;
	return;
}

# A statement on one line
sub brief { my ($sql) = @_; $sql =~ s/\s+/ /g; return length $sql > 230 ? substr($sql, 0, 230) . '...' : $sql; }

# Judge a part of the log. The steps are those that the numbers in statements mean; without, it is a preparation
sub judge
{
	my ($victim, $steps, @lines) = @_;
	my (%current, %seen);
	for my $line (@lines)
	{
		if ($line->{text} =~ m{^(?:statement|execute \S+): /\*@(\d+)\*/ (.*)}s)
		{
			$current{last} = $current{ $line->{pid} } = { step => $steps->[$1], sql => $2 };
			next;
		}
		$current{ $line->{pid} } = { sql => $1 } if $line->{text} =~ /^statement: (?!SET CONSTRAINTS|SELECT 'changed'|ROLLBACK)(.*)/s && !@$steps;
		my $now = $current{ $line->{pid} } // { sql => "(session of $line->{role})" };
		my $group = $now->{step} ? $now->{step}{group} : 'preparation';
		my %where = (victim => $victim, group => $group, sql => $now->{sql}, state => $line->{state});
		if ($line->{text} =~ /^CANARY user=(\S+) session=(\S+) place=(.*?)(?: at character \d+)?$/)
		{
			my ($user, $place) = ($1, $3);
			next if grep { $user eq $_ } @Hostile::roles;
			next if $user eq $victim && grep { $now->{sql} =~ $_->[0] } @Victims::exceptions;
			finding(%where, what => "canary as $user", place => $place) unless $seen{"$now->{sql} $place $user"}++;
		}
		elsif ($line->{state} eq 'XX000' && $line->{level} eq 'ERROR')
		{
			finding(%where, what => 'XX000', place => $line->{text});
		}
		elsif ($line->{state} eq '57014' && $line->{text} =~ /statement timeout/)
		{
			finding(%where, what => 'never ends', place => $line->{text});
		}
		elsif ($line->{text} =~ /^(?:server process .* was terminated by signal|TRAP)/)
		{
			finding(victim => $victim, group => $current{last}{step} ? $current{last}{step}{group} : '', sql => $current{last}{sql} // '', what => 'crash', place => brief($line->{text}));
		}
	}
	return;
}

# What psql runs for one step: the transaction is rolled back, and before that the session is compared with what it was:
# after the first step of each kind in all of its settings, after the others in those that anybody might want to change
sub script
{
	my ($n, $step) = @_;
	my $sql = join '', map { "/*\@$n*/ $_" . (/\n\\\.\n$/ ? '' : ";\n") } @{ $step->{sql} };
	my $compare = "SELECT 'changed', $n, what FROM judge." . ($step->{first} ? 'changed' : 'likely_changed') . ";\n";
	return "$sql${compare}RESET ALL;\n" if $step->{bare};
	return "BEGIN;\n$sql\\if :ERROR\n\\else\nSET CONSTRAINTS ALL IMMEDIATE;\n$compare\\endif\nROLLBACK;\n";
}

# Run all steps of a victim in one session; after a crash, go on behind the step that was running
sub act
{
	my ($victim, @steps) = @_;
	my $next = 0;
	for my $attempt (1 .. 20)
	{
		my ($out, $err);
		my $sql = "DO \$\$ BEGIN END \$\$;\nINSERT INTO judge.baseline SELECT pg_backend_pid(), what FROM judge.state UNION SELECT pg_backend_pid(), what FROM judge.likely;\n"
		  . join('', map { script($_, $steps[$_]) } $next .. $#steps) . "SELECT 'finished';\n";
		$node->psql('postgres', $sql, extra_params => [ '--username', $victim ], on_error_stop => 0, stdout => \$out, stderr => \$err);
		await_server() unless $out =~ /^finished$/m;
		my @lines = log_lines();
		judge($victim, \@steps, @lines);
		my %changed;
		push @{ $changed{$1} }, $2 while $out =~ /^changed\|(\d+)\|(.*)/mg;
		for my $n (sort { $a <=> $b } keys %changed)
		{
			my $step = $steps[$n];
			finding(victim => $victim, group => $step->{group}, sql => join('; ', @{ $step->{sql} }), what => 'left behind', place => join ', ', sort @{ $changed{$n} });
		}
		return if $out =~ /^finished$/m;
		my ($last) = map { $_->{text} =~ m{^statement: /\*@(\d+)\*/} ? $1 : () } reverse @lines;
		return diag("$victim: psql ended before the first step: " . brief($err)) unless defined $last;
		$next = $last + 1;
	}
	fail("$victim gets through the steps");
	return;
}

# 1. The judge, the hostile role and its objects
my ($status, $out) = run_as($ENV{PGUSER} // getpwuid($<) // 'postgres', 'SELECT current_user');
my $super = $out;
$node->safe_psql('postgres', q{
	CREATE EXTENSION kpitables;
	CREATE ROLE dba SUPERUSER LOGIN; CREATE ROLE own LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE mal_too; CREATE ROLE mal LOGIN; GRANT mal_too TO mal;
	CREATE ROLE deputy LOGIN; GRANT mal TO deputy;
	DO $$ BEGIN EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO own, mal', current_database()); END $$;
	CREATE SCHEMA shop AUTHORIZATION own; CREATE SCHEMA mal AUTHORIZATION mal; GRANT USAGE ON SCHEMA mal TO PUBLIC; GRANT CREATE ON SCHEMA mal TO mal_too;
	GRANT CREATE ON SCHEMA public TO deputy, reader;
	CREATE SCHEMA judge; GRANT USAGE ON SCHEMA judge TO PUBLIC;
	CREATE TABLE judge.baseline (pid int, what text);
	CREATE VIEW judge.state_but_settings AS
		SELECT format('current user %s', current_user) AS what
		UNION ALL SELECT format('cursor %s', name) FROM pg_cursors WHERE name LIKE 'canary%'
		UNION ALL SELECT format('prepared statement %s', name) FROM pg_prepared_statements WHERE name LIKE 'canary%'
		UNION ALL SELECT format('channel %s', c) FROM pg_listening_channels() c
		UNION ALL SELECT format('temporary table %s', relname) FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relname = 'pg_class';
	CREATE VIEW judge.state AS
		SELECT format('%s = %s', name, setting) AS what FROM pg_settings WHERE name NOT LIKE 'transaction\_%'
		UNION ALL SELECT what FROM judge.state_but_settings;
	CREATE VIEW judge.likely AS
		SELECT format('%s is %s', name, current_setting(name)) AS what
		  FROM unnest('{search_path,application_name,datestyle,intervalstyle,extra_float_digits,bytea_output,timezone,quote_all_identifiers,row_security,role,session_authorization,
			jit,work_mem,check_function_bodies,client_min_messages,statement_timeout,plan_cache_mode,kpitables.carriers,kpitables.ungrouped}'::text[]) name
		UNION ALL SELECT what FROM judge.state_but_settings;
	CREATE VIEW judge.changed AS SELECT what FROM judge.state EXCEPT SELECT what FROM judge.baseline WHERE pid = pg_backend_pid();
	CREATE VIEW judge.likely_changed AS SELECT what FROM judge.likely EXCEPT SELECT what FROM judge.baseline WHERE pid = pg_backend_pid();
	GRANT SELECT ON ALL TABLES IN SCHEMA judge TO PUBLIC; GRANT INSERT ON judge.baseline TO PUBLIC;
});
run_as('own', q{CREATE TABLE shop.before (i int)});
log_lines();
my ($made, undef) = run_as('mal', Hostile::objects());
my @lines = log_lines();
is(join("\n", map { "$_->{state} $_->{text}" } grep { $_->{level} eq 'ERROR' } @lines), '', 'the hostile role makes its objects');
judge('mal', [], @lines);

# 2. The canary can sing: in each place, when its owner sets it off
run_as('mal', map { ('BEGIN', $_, 'ROLLBACK') } Hostile::uses());
run_as('mal', 'BEGIN', 'SET LOCAL search_path = mal, pg_catalog', 'SELECT now(), 1 = 1', 'ROLLBACK');
push @lines, log_lines();
my %sung = map { $_->{text} =~ /^CANARY .* place=(.*)/ ? ($1 => 1) : () } @lines;
my @places = Hostile::places();
is(join(', ', grep { !$sung{$_} } @places), '', 'each of ' . @places . ' places has a canary that sings');
lap('the hostile role is there');

# 3. It registers what it can; honest objects come in between, some of which depend on it
my @honest = Victims::honest();
run_as('own', @honest);
@lines = log_lines();
is(join("\n", map { "$_->{state} $_->{text}" } grep { $_->{level} eq 'ERROR' } @lines), '', 'the honest owner makes its objects');
run_as('mal', Hostile::registrations(@Victims::names), @Hostile::behind, 'GRANT ALL ON ALL TABLES IN SCHEMA mal TO PUBLIC');
@lines = log_lines();
judge('mal', [], @lines);
my %refused;
push @{ $refused{ $_->{state} } }, $_->{text} for grep { $_->{level} eq 'ERROR' } @lines;
note "refused to mal: $_ x " . @{ $refused{$_} } . ", such as: $refused{$_}[0]" for sort keys %refused;
lap('mal has registered');

sub column { return split /\n/, $node->safe_psql('postgres', $_[0]); }
sub names { return map { pack 'H*', $_ } column("SELECT encode(convert_to(x, 'UTF8'), 'hex') FROM ($_[0]) t (x) ORDER BY 1"); }
my @dimensions = names('SELECT name FROM kpi.dimension_registry');
my @more = Victims::honest(grep { !/^(store|plain)$/ } @dimensions);
run_as('own', @more[ @honest .. $#more ]);
@lines = log_lines();
judge('own', [], @lines);
lap('own depends on mal');

# The functions that a role may call, by signature: [name, [argument, type, has a default?]..]
sub functions
{
	my ($role) = @_;
	my %signatures;
	for my $row (column(qq{
		SELECT p.oid::regprocedure, p.oid::regproc, i.n, coalesce(i.name, ''), format_type(i.type, NULL), i.n > p.pronargs - p.pronargdefaults
		  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'kpitables' JOIN pg_proc p ON p.oid = d.objid
		  LEFT JOIN LATERAL (SELECT row_number() OVER (ORDER BY a.ord) AS n, a.name, a.type
				FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes) WITH ORDINALITY a (type, name, mode, ord) WHERE coalesce(a.mode, 'i') IN ('i', 'b')) i ON true
		 WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND p.prokind = 'f' AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
		   AND has_function_privilege('$role', p.oid, 'EXECUTE')
		 ORDER BY 1, i.n}))
	{
		my ($signature, $name, $n, $argument, $type, $default) = split /\|/, $row, -1;
		$signatures{$signature} //= [$name];
		push @{ $signatures{$signature} }, [ $argument, $type, $default eq 't' ] if $n ne '';
	}
	return map { $signatures{$_} } sort keys %signatures;
}

sub listings
{
	my ($role) = @_;
	return names(qq{SELECT c.oid::regclass::text FROM pg_depend d JOIN pg_class c ON c.oid = d.objid JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'kpitables'
		WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND c.relkind IN ('r', 'v') AND has_table_privilege('$role', c.oid, 'SELECT')});
}

my $relations = q{SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('mal', 'shop') AND c.relkind IN ('r', 'v', 'm', 'p')};
my $registered = "$relations AND c.oid IN (SELECT relid FROM kpi.%s) AND (nspname = 'mal' OR c.relname !~ '^by_' OR c.relname ~ '^by_(of|level)_(comp|hue|dom)_')";
my %catalog = (
	metrics => [ names(sprintf $registered, 'metric_registry') ], views => [ names(sprintf $registered, 'metric_view_registry') ],
	relations => [ names("$relations AND c.oid NOT IN (SELECT relid FROM kpi.metric_registry UNION ALL SELECT relid FROM kpi.metric_view_registry) AND c.relname !~ '^by_' AND c.relname <> 'deferred'") ],
	dimensions => \@dimensions);
note sprintf '%d metrics, %d metric views, %d relations, %d dimensions', map { scalar @{ $catalog{$_} } } qw(metrics views relations dimensions);

# 4. The victims. Without dimensions of mal, honest tables that obey them, and policies of mal's that were changed, nothing could be found
my $needed = q{
	SELECT (SELECT count(*) FROM kpi.dimension_registry WHERE name IN ('t_plain', 't_part_folds', 't_police_folds', 't_mimicry', 't_checks', 'of_hue', 'level_hue')) = 7,
		   (SELECT count(*) FROM kpi.protection_registry WHERE relid::text IN ('shop.by_t_plain', 'shop.by_t_part_folds', 'shop.by_t_police_folds', 'shop.by_level_hue')) = 4,
		   EXISTS (SELECT FROM pg_policy WHERE polrelid = 'mal.parted'::regclass AND polname = 'kpi_scope_t_plain' AND pg_get_expr(polqual, polrelid) !~ 'in_scope')
			   AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = 'mal.parted_1'::regclass AND polname = 'kpi_scope_t_plain')};
my %groups;
for my $victim (@victims)
{
	@catalog{qw(victim functions listings)} = ($victim, [ functions($victim) ], [ listings($victim) ]);
	cmp_ok(scalar @{ $catalog{functions} }, '>', 30, "$victim may call functions of the extension: " . @{ $catalog{functions} });
	my @steps = Victims::steps(\%catalog);
	$groups{$victim}{ $_->{group} }++ for @steps;
	run_as('mal', @Hostile::again);
	is($node->safe_psql('postgres', $needed), 't|t|t', "$victim meets what an attack needs");
	judge('mal', [], log_lines());
	act($victim, @steps);
	lap("$victim: " . @steps . ' steps');
}

# 5. What may end the server, where nothing else is lost by it
for my $crasher (@Hostile::crashers)
{
	my ($name, $answer, @sql) = ($crasher->{name}, $crasher->{answer}, @{ $crasher->{sql} });
	my ($ended, $told) = run_as('mal', map { "/*\@$_*/ $sql[$_]" } 0 .. $#sql);
	await_server() if $ended == 2;
	judge('mal', [ map { { group => $name, sql => [$_] } } @sql ], log_lines());
	my $last = $told =~ /([^\n]*)\z/ ? $1 : '';
	finding(victim => 'mal', group => $name, sql => $sql[-1], what => 'wrong answer', place => $last) if $answer && $last !~ $answer;
}
lap('attempts to end the server');
sub told { my ($f) = @_; return join "\t", $f->{victim}, $f->{what}, brief($f->{sql}), $f->{place}; }
append_to_file($ENV{REPORT}, join('', map { told($_) . "\n" } @findings)) if $ENV{REPORT};

sub none
{
	my ($name, @found) = @_;
	ok(!@found, $name) or diag(scalar(@found) . " findings\n" . join "\n", map { told($_) } @found[ 0 .. ($#found > 9 ? 9 : $#found) ]);
	return;
}

if (($ENV{FINDS} // '') eq 'base')
{
	my @known = (
		[ 'R1: a policy of mal is parsed when a superuser creates a table', 'dba', qr/^canary as dba/, qr/^CREATE TABLE public\.made \(i int\)/, qr/./ ],
		[ 'R2: kpi.check() leaves settings of mal behind', 'dba', qr/^left behind/, qr/kpi\."?check/, qr/search_path/ ],
		[ 'R2: and so does reading an honest table', 'reader', qr/^left behind/, qr/shop\.by_level_/, qr/search_path/ ],
		[ 'R5: kpi.data_change runs code of mal as its reader', 'reader', qr/^canary as reader/, qr/FROM kpi\.data_change/, qr/./ ],
		[ 'N1: a cast of mal runs as who writes to an honest table', 'dba', qr/^canary as dba/, qr/^INSERT INTO shop\.by_of_hue/, qr/cast of int to hue/ ],
		[ 'N2: predicates of indexes leave settings behind', 'reader', qr/^left behind/, qr/shop\.by_t_part_folds/, qr/search_path/ ],
		[ 'N2: so does row security of a table of mal', 'reader', qr/^left behind/, qr/shop\.by_t_police/, qr/search_path/ ],
	);
	push @known, map { [ "$_ ends the server", 'mal', qr/^crash/, qr/./, qr/signal/, $_ ] } grep { /^R[346]: .* (?:array|another type|another one is)$/ } map { $_->{name} } @Hostile::crashers;
	for my $known (@known)
	{
		my ($name, $victim, $what, $sql, $place, $group) = @$known;
		my @found = grep { $_->{victim} eq $victim && $_->{what} =~ $what && $_->{sql} =~ $sql && $_->{place} =~ $place && (!$group || $_->{group} eq $group) } @findings;
		ok(@found > 0, $name);
		note told($_) for @found[ 0 .. ($#found > 1 ? 1 : $#found) ];
	}
	done_testing();
	exit;
}
for my $victim (@victims)
{
	none("S7: $victim: $_", do { my $group = $_; grep { $_->{victim} eq $victim && $_->{group} eq $group && $_->{what} =~ /^(canary|left)/ } @findings }) for sort keys %{ $groups{$victim} };
}
none('S7: preparation', grep { $_->{group} eq 'preparation' } @findings);
none('S9: no statement fails with XX000', grep { $_->{what} eq 'XX000' } @findings);
none('S9: no statement takes 20 seconds', grep { $_->{what} eq 'never ends' } @findings);
none("S9: $_", do { my $group = $_; grep { $_->{group} eq $group } @findings }) for map { $_->{name} } @Hostile::crashers;
none('S9: the server lives', grep { $_->{what} eq 'crash' } @findings);
done_testing();
