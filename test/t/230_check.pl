# S4, S8, S9, M13: whatever create_*, protect and track set up or refuse is broken by hand, one way at a time (CheckLab derives the
# ways). kpi.check() tells if readers no longer get what they should, or if what there is would not be made so again; and else
# it does not. It tells the same under any setting, and its remedies run and end it.
#
# TRIAL=pattern runs the ways that match, one for each kind of thing; ALL=1 all of them: it is one of six otherwise. Contract: starts a server of its own.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use CheckLab qw(fixture breaks);

my $node = PostgreSQL::Test::Cluster->new('check');
$node->init;
$node->append_conf('postgresql.conf', join '', map { "$_\n" } "shared_preload_libraries = 'kpitables'", 'fsync = off', 'autovacuum = off', "timezone = 'UTC'", "max_locks_per_transaction = 256", "log_statement = 'none'", "log_min_messages = fatal", "log_min_error_statement = panic");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE lab');
$node->safe_psql('lab', 'CREATE EXTENSION kpitables');
$node->safe_psql('lab', 'SET client_min_messages = warning; ' . fixture());

my $json = JSON::PP->new->canonical->allow_nonref;

sub ask
{
	my ($query) = @_;
	return map { [ split /\t/, $_, -1 ] } split /\n/, $node->safe_psql('lab', $query, extra_params => [ '-F', "\t" ]);
}

sub literal { my ($text) = @_; return q{E'} . $text =~ s/([\\'])/\\$1/gr . q{'}; }

# Several at a time, for connections cost
sub trials
{
	my @ways = @_;
	my $out = $node->safe_psql('lab', "SET client_min_messages = error;\n" . join '', map { sprintf "SELECT lab.trial(%s, %s, %s);\n", literal($_->[1]), $_->[2] ? 'true' : 'false', length($_->[1]) % 3 == 0 ? 'true' : 'false' } @ways);
	return map { $json->decode($_) } split /\n/, $out;
}

# What readers get that is an error, rows or a record other than before; a value that is another number is what its owner defined
sub worse
{
	my ($before, $now, $sql) = @_;
	my @worse;
	for my $key (sort keys %$now)
	{
		my $old = $before->{$key} // 'nothing of before';
		next if $old eq $now->{$key};
		next if $key =~ /^report:/ && $now->{$key} =~ /^ERROR 42501/;    # its owner's own affair
		next if $sql =~ /^TRUNCATE/ && $key =~ /: rows/;
		next if $sql =~ /kpi\.scope_grant SET|^(?:ALTER ROLE|DROP OWNED|REASSIGN)/ && $now->{$key} !~ /^ERROR/;    # other scopes, other roles
		push @worse, "$key: $now->{$key}, not $old" if $now->{$key} =~ /^ERROR/ || $key =~ /: (?:rows|recorded|follows)/;
	}
	return @worse;
}

# What is told although nobody gets anything else yet, because it will be missed when something else happens
my @foresight = (
	[ qr/./, qr/^a (?:registered metric|registered metric view|protected table|tracked table) is gone$/ ],    # its number may be given to another
	[ qr/./, qr/^recorded lineage is not there any more$|^its lineage is not as recorded$/ ],
	[ qr/EVENT TRIGGER|ALTER TABLE kpi\./, qr/^the event trigger is|does not always fire/ ],
	[ qr/POLICY/, qr/^policy kpi_\w+ was changed$|^the policy for dimension "\w+" is missing$|kpi_open was changed|has no effect beside kpi_open$/ ],    # another one may do the same
	[ qr/protection_registry|RENAME TO other/, qr/is not registered as protected$|is called otherwise now/ ],    # partitions that come will not obey
	[ qr/COLUMN|ATTACH|DETACH|INHERIT|TRIGGER|DROP|OWNED/, qr/: no trigger saw which rows that changed$/ ],
	[ qr/UNLOGGED/, qr/^it is unlogged: / ],
	[ qr/^DROP|OWNED/, qr/^the role that administered the dimension was dropped$|which has it, was dropped$/ ],
	[ qr/scope_grant/, qr/^members match nothing: |which has it, was dropped$|^the dimension does not exist: |queries of tables that it protects fail/ ],
	[ qr/metric_registry SET min_group_rows/, qr/does not have the limit on small groups that is registered$/ ],
	[ qr/s\.(?:child|parent|events_3|loads_2)/, qr/^row security is|^the policy for dimension|^no policy lets|^it shows rows of|foreign table|are missing or do not always fire$/ ],    # which is not looked at
	[ qr/protection_registry/, qr/^policy kpi_\w+ was changed$/ ],
	[ qr/dimension_registry/, qr/^the role that owned the dimension was dropped$/ ],
	[ qr/admin/, qr/^the role that administered the dimension was dropped$/ ],
	[ qr/RENAME|SET SCHEMA/, qr/^comments of metrics are out of date: |is called otherwise now: / ],    # nobody reads them yet
	[ qr/DETACH|NO INHERIT/, qr/is not registered as protected$/ ],    # it obeys, and may be forgotten
	[ qr/TRIGGER store_dimension/, qr/scopes follow changes late$/ ],    # the next transaction may see them all the same
);

sub harmless
{
	my ($sql, @told) = @_;
	for my $row (@told)
	{
		return 0 unless grep { $sql =~ $_->[0] && $row->{problem} =~ $_->[1] } @foresight;
	}
	return 1;
}

my $healthy = $json->decode($node->safe_psql('lab', 'SELECT lab.observe()'));
is($node->safe_psql('lab', 'SELECT lab.told()'), '[]', 'kpi.check() tells nothing of what is healthy');
my @ill = grep { $healthy->{$_} =~ /ERROR|unseen/ } sort keys %$healthy;
is("@ill", '', 'and it is') or diag(join "\n", map { "$_: $healthy->{$_}" } @ill);

my @all = breaks(\&ask);
@all = grep { "$_->[0]: $_->[1]" =~ /$ENV{TRIAL}/ } @all if defined $ENV{TRIAL};

# One of each class, of another thing each time
my %class;
push @{ $class{ $_->[2] } }, $_ foreach @all;
my $turn = 0;
my @some = $ENV{ALL} ? @all : map { $class{$_}[ $turn++ % @{ $class{$_} } ] } sort keys %class;
my $step = $ENV{ALL} || defined $ENV{TRIAL} ? 1 : 6;
@some = @some[ grep { $_ % $step == 0 } 0 .. $#some ];
my @ways = map { my ($name, $sql) = @$_; ([ $name, $sql, 0 ], $sql =~ /TABLE|DROP/ && $sql !~ /ROW LEVEL|POLICY|REVOKE|ALTER EVENT/ ? [ $name, $sql, 1 ] : ()) } @some;
my %count;

# What is wrong with what kpi.check() told, and with its remedies
sub problems
{
	my ($sql, $answer) = @_;
	if (defined $answer->{refused}) { $count{refused}++; return; }
	my @told = @{ $answer->{told} // [] };
	my @worse = worse($healthy, $answer->{broken} // {}, $sql);
	my @problems;
	push @problems, "the trial fails: $answer->{fails}" if defined $answer->{fails};
	push @problems, 'not told: ' . join('; ', @worse) if @worse && !@told;
	push @problems, 'told: ' . $json->encode(\@told) if @told && !@worse && !harmless($sql, @told);
	push @problems, 'told otherwise: ' . $json->encode($answer->{otherwise}) if $json->encode($answer->{otherwise} // '') ne $json->encode(\@told);
	push @problems, "a remedy fails: $answer->{'remedy fails'}" if defined $answer->{'remedy fails'};
	my @left = @{ $answer->{left} // [] };
	push @problems, 'remedies do not end it: ' . $json->encode(\@left) if grep { defined $_->{remedy} } @left;
	push @problems, 'neither a remedy nor what to do: ' . $json->encode($_) foreach grep { !defined $_->{remedy} && $_->{problem} !~ /\b(?:with kpi\.|let other roles|until it is created again|from there|as another)/ } @left;
	my @still = @left || grep({ $_->{problem} =~ /^(?:members match nothing|its time column)/ } @told) ? () : worse($healthy, $answer->{mended} // {}, $sql);
	# what was dropped does not come back
	push @problems, 'not mended: ' . join('; ', @still) if @still && @told && $sql !~ /^DROP TABLE/;
	$count{ @told ? (@left ? 'told' : 'told and mended') : 'harmless' }++;
	return @problems;
}

sub judge
{
	my ($way, $answer) = @_;
	my ($name, $sql, $silently) = @$way;
	return if defined $answer->{refused};
	is(join("\n", problems($sql, $answer)), '', "$name: $sql" . ($silently ? ', without event triggers' : ''));
	note($json->pretty->encode({ told => $answer->{told}, ran => $answer->{ran}, left => $answer->{left} })) if defined $ENV{TRIAL};
	return;
}

note(@ways . ' ways of ' . @all);
while (my @next = splice @ways, 0, 10)
{
	my @answers = trials(@next);
	judge($next[$_], $answers[$_]) foreach 0 .. $#next;
}
note(join ', ', map { "$count{$_} $_" } sort keys %count);

# That is no test of nothing: without a branch of kpi.check(), and with a remedy that does not mend, the same trials fail
my @known = (
	[ 'without what is told of loads', q{CREATE OR REPLACE FUNCTION kpi.load_findings() RETURNS TABLE (severity text, object text, problem text, remedy text) LANGUAGE sql STABLE BEGIN ATOMIC SELECT NULL::text, NULL::text, NULL::text, NULL::text WHERE false; END}, 'ALTER TABLE s.timeless DISABLE TRIGGER ALL', qr/^not told: / ],
	[ 'with a remedy that mends nothing', q{CREATE OR REPLACE FUNCTION kpi.opening_statement(relation oid) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT 'SELECT 1' WHERE EXISTS (SELECT FROM pg_policy WHERE polrelid = relation) AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = relation AND polpermissive); END}, 'DROP POLICY kpi_open ON s.sales', qr/^remedies do not end it: / ],
	[ 'with a remedy that fails', q{CREATE OR REPLACE FUNCTION kpi.opening_statement(relation oid) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT 'SELECT 1/0' WHERE EXISTS (SELECT FROM pg_policy WHERE polrelid = relation) AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = relation AND polpermissive); END}, 'DROP POLICY kpi_open ON s.sales', qr/^a remedy fails: /m ],
	[ 'with a false alarm', q{CREATE OR REPLACE FUNCTION kpi.load_findings() RETURNS TABLE (severity text, object text, problem text, remedy text) LANGUAGE sql STABLE BEGIN ATOMIC SELECT 'error'::text, 'x'::text, 'y'::text, NULL::text; END}, 'ALTER TABLE s.free ADD COLUMN more int', qr/^told: /m ],
);
for (@known)
{
	my ($what, $sabotage, $sql, $expected) = @$_;
	like(join("\n", problems($sql, (trials([ 'sabotage', "$sabotage; $sql", 0 ]))[0])), $expected, "$what, this test fails");
}

done_testing();
