# S4, S8, S9, M13: whatever create_*, protect and track set up or refuse is broken by hand, one way at a time (CheckLab derives the
# ways). kpi.check() tells if readers no longer get what they should, or if what there is would not be made so again; and else
# it does not. It tells the same under any setting, and its remedies run and end it.
#
# TRIAL=pattern runs the ways that match, ALL=1 all of them: it is one for each kind of thing otherwise. Contract: starts a server of its own.
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
	my @answers;
	my $count = 0;
	while (my @some = splice @ways, 0, 40)
	{
		my $out = $node->safe_psql('lab', "SET client_min_messages = error;\n" . join '', map { sprintf "SELECT lab.trial(%s, %s, %s);\n", literal($_->[1]), $_->[2] ? 'true' : 'false', $count++ % 3 == 0 ? 'true' : 'false' } @some);
		push @answers, map { $json->decode($_) } split /\n/, $out;
	}
	return @answers;
}

# What readers get that is an error, rows or a record other than before; a value that is another number is what its owner defined
sub worse
{
	my ($before, $now) = @_;
	my @worse;
	for my $key (sort keys %$now)
	{
		my $old = $before->{$key} // 'nothing of before';
		next if $old eq $now->{$key};
		next if $key =~ /^report:/ && $now->{$key} =~ /^ERROR 42501/;    # its owner's own affair
		push @worse, "$key: $now->{$key}, not $old" if $now->{$key} =~ /^ERROR/ || $key =~ /: (?:rows|recorded|follows)/;
	}
	return @worse;
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
my @ways = map { my ($name, $sql) = @$_; ([ $name, $sql, 0 ], $sql =~ /TABLE|DROP/ && $sql !~ /ROW LEVEL|POLICY|REVOKE|ALTER EVENT/ ? [ $name, $sql, 1 ] : ()) } @some;
my @answers = trials(@ways);
is(scalar @answers, scalar @ways, scalar(@ways) . ' ways were tried, of ' . @all);
my %count;
for my $i (0 .. $#answers)
{
	my ($name, $sql, $silently) = @{ $ways[$i] };
	my $answer = $answers[$i];
	my $what = "$name: $sql" . ($silently ? ', without event triggers' : '');
	if (defined $answer->{refused}) { $count{refused}++; next; }
	my @told = @{ $answer->{told} // [] };
	my @worse = worse($healthy, $answer->{broken} // {});
	my @problems;
	push @problems, "the trial fails: $answer->{fails}" if defined $answer->{fails};
	push @problems, 'not told: ' . join('; ', @worse) if @worse && !@told;
	push @problems, 'told: ' . $json->encode(\@told) if @told && !@worse && !harmless($sql, @told);
	push @problems, 'told otherwise: ' . $json->encode($answer->{otherwise}) if $json->encode($answer->{otherwise} // '') ne $json->encode(\@told);
	push @problems, "a remedy fails: $answer->{'remedy fails'}" if defined $answer->{'remedy fails'};
	my @left = @{ $answer->{left} // [] };
	push @problems, 'remedies do not end it: ' . $json->encode(\@left) if grep { defined $_->{remedy} } @left;
	push @problems, 'neither a remedy nor what to do: ' . $json->encode($_) foreach grep { !defined $_->{remedy} && $_->{problem} !~ /\b(?:with kpi\.|let a role|until it is created again|from there|as another)/ } @left;
	my @still = @left ? () : worse($healthy, $answer->{mended} // {});
	push @problems, 'not mended: ' . join('; ', @still) if @still && @told;
	$count{ @told ? (@left ? 'told' : 'told and mended') : 'harmless' }++;
	is(join("\n", @problems), '', $what);
	if (defined $ENV{TRIAL}) { note($json->pretty->encode({ %$answer, broken => [@worse], mended => [@still], otherwise => undef })); }
}
note(join ', ', map { "$count{$_} $_" } sort keys %count);

# What is told although nobody gets anything else yet: rows that stayed behind, for a number of a relation may be given to another,
# and what will be missed when it happens
sub harmless
{
	my ($sql, @told) = @_;
	return !grep { $_->{problem} !~ /^a (?:registered metric|registered metric view|protected table|tracked table) is gone$|^recorded lineage is not there any more$|event trigger is|its lineage is not as recorded/ } @told;
}

done_testing();
