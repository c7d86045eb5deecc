# Findings: what the tests of faults once found share (220_rights, 221_scopes, 222_bounds): one server, a new database for each
# fault, real roles, sessions that wait for each other, and a look at the server's log after each.
#
#   start($name, @settings)      the server, its roles, and the database that each fault starts from
#   finding($name, sub { ... })  one fault, in a database of its own, as a subtest. An error in it, and a crash of the server,
#                                fail this subtest; the next one goes on
#   setup($role, $sql)           statements that have to work: the first error ends the finding
#   sql($role, $sql, $seconds)   what statements print, lines without any value left out, then "ERROR SQLSTATE message" for each that failed, "LOST" where the
#                                connection ended, "HUNG" where they did not end in time
#   session($role)               a session that stays: ask($sql), or send($sql) and wait($seconds); undef is not done yet
#   strangers()                  the roles, but for its owner, with whose rights code of rt_mal has run since the finding began
#   seconds(sub { ... })         how long that took
#   node(), database(), logged() the server, the finding's database, and what the server has logged since the finding began
#
# Roles: rt_boss is a superuser; rt_own owns schema s and rt_mal schema mal, both may create in the database; rt_reader,
# rt_victim and rt_steward own nothing; rt_bypass bypasses row security; rt_member is a member of rt_mal.

package Findings;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(start finding setup sql session strangers seconds node database logged create_database has_assertions);

my ($node, $database, $offset, @sessions);
my $number = 0;

# Code of an attacker: tells in the log as whom it runs, for whom, and whether in a restricted operation, in which nobody may
# listen; turn() leaves a setting behind. Both come as functions that look innocent to the planner, too.
my $attacker = q{
	CREATE FUNCTION mal.evil() RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		RAISE LOG 'evil code of rt_mal runs as % for %', current_user, session_user;
		IF session_user <> 'rt_mal' THEN
			BEGIN
				LISTEN evil;
				RAISE LOG 'evil code of rt_mal runs as unrestricted_% for %', current_user, session_user;
				UNLISTEN evil;
			EXCEPTION WHEN OTHERS THEN NULL;
			END;
		END IF;
		RETURN true;
	END $$;
	CREATE FUNCTION mal.evil(anyelement) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN mal.evil(); END';
	CREATE FUNCTION mal.turn(anyelement) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
		$$ BEGIN PERFORM mal.evil(), set_config('search_path', 'mal, pg_catalog', false), set_config('work_mem', '77kB', false); RETURN true; END $$;
	CREATE DOMAIN mal.dom AS int CHECK (mal.evil(VALUE));
	CREATE TYPE mal.comp AS (a mal.dom);
	CREATE DOMAIN mal.turning AS int CHECK (mal.turn(VALUE));
	CREATE TYPE mal.turner AS (a mal.turning);
};

sub node { return $node; }

sub database { return $database; }

sub start
{
	my ($name, @settings) = @_;
	$node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => 'logical');
	$node->append_conf('postgresql.conf', join '', map { "$_\n" } "shared_preload_libraries = 'kpitables'", 'fsync = off', 'restart_after_crash = on',
		'autovacuum = off', 'max_connections = 40', 'max_prepared_transactions = 5', "timezone = 'UTC'", @settings);
	$node->start;
	$node->safe_psql('postgres', q{
		CREATE ROLE rt_boss LOGIN SUPERUSER;
		CREATE ROLE rt_own LOGIN; CREATE ROLE rt_mal LOGIN; CREATE ROLE rt_reader LOGIN; CREATE ROLE rt_victim LOGIN;
		CREATE ROLE rt_steward LOGIN; CREATE ROLE rt_bypass LOGIN BYPASSRLS; CREATE ROLE rt_member LOGIN IN ROLE rt_mal;
		CREATE DATABASE findings;
	});
	$node->safe_psql('findings', q{
		CREATE EXTENSION kpitables;
		CREATE SCHEMA s AUTHORIZATION rt_own; CREATE SCHEMA mal AUTHORIZATION rt_mal; CREATE SCHEMA r AUTHORIZATION rt_reader;
		GRANT USAGE ON SCHEMA s, mal, r TO PUBLIC;
		GRANT CREATE ON SCHEMA s TO rt_steward, rt_bypass;
		SET SESSION AUTHORIZATION rt_mal;
	} . $attacker);
	return;
}

# A database like the one that findings start from
sub create_database
{
	my ($name) = @_;
	$node->safe_psql('postgres', $_) foreach "CREATE DATABASE $name TEMPLATE findings", "GRANT CREATE ON DATABASE $name TO rt_own, rt_mal";
	return;
}

sub logged { return slurp_file($node->logfile, $offset); }

sub crashed { return logged() =~ /(?:was terminated by signal|TRAP:|PANIC:).*/ ? $& : ''; }

sub has_assertions { return sql('rt_boss', 'SHOW debug_assertions') eq 'on'; }

sub finding
{
	my ($name, $code) = @_;
	return if defined $ENV{FINDING} && $name !~ /$ENV{FINDING}/;
	return subtest $name => sub {
		$database = 'f' . ++$number;
		$offset = -s $node->logfile;
		if (!eval { create_database($database); $code->(); 1 })
		{
			fail('it ran to its end') or diag($@);
		}
		$_->quit foreach @sessions;
		@sessions = ();
		is(crashed(), '', 'the server did not crash');
		$node->poll_query_until('postgres', 'SELECT true');
		$node->psql('postgres', "ALTER ROLE rt_mal NOSUPERUSER; DROP DATABASE IF EXISTS $database WITH (FORCE)");
	};
}

# What psql said on standard error as lines that begin with ERROR or LOST
sub errors
{
	my ($text) = @_;
	my @lines;
	for (split /\n/, $text)
	{
		push @lines, "ERROR $1 $2" if /(?:ERROR|FATAL|PANIC): +(\w{5}): +(.*)/;
		push @lines, 'LOST' if /server closed the connection|connection to server was lost|could not connect|connection to server .* failed/;
	}
	return @lines;
}

sub answer
{
	my ($out, $err) = @_;
	$out =~ s/^\|*\n//mg;
	$out =~ s/\n\z//;
	return join "\n", ($out eq '' ? () : $out), errors($err);
}

sub psql_command
{
	my ($role, $db) = @_;
	return ('psql', '--no-psqlrc', '--quiet', '--no-align', '--tuples-only', '--set', 'VERBOSITY=verbose', '--username', $role, '--dbname', $node->connstr($db // $database), '--file', '-');
}

sub sql
{
	my ($role, $sql, $limit) = @_;
	my ($out, $err) = ('', '');
	my $psql = IPC::Run::start([ psql_command($role) ], '<', \$sql, '>', \$out, '2>', \$err, IPC::Run::timeout($limit // 60, exception => 'too long'));
	if (!eval { $psql->finish; 1 })
	{
		my $why = $@ =~ /too long/ ? 'HUNG' : 'LOST';
		$psql->kill_kill(grace => 1);
		return join "\n", (answer($out, $err) || ()), $why;
	}
	return answer($out, $err);
}

sub setup
{
	my ($role, $sql) = @_;
	my $said = sql($role, $sql);
	die "setup: $said\n" if $said =~ /^(?:ERROR|LOST|HUNG)/m;
	return $said;
}

sub strangers
{
	my %roles = map { $_ => 1 } logged() =~ /evil code of rt_mal runs as (\w+) for/g;
	delete $roles{rt_mal};
	return join ' ', sort keys %roles;
}

sub seconds
{
	my ($code) = @_;
	my $began = time;
	$code->();
	return time - $began;
}

sub session
{
	my ($role, $db) = @_;
	my $self = bless { in => '', out => '', err => '', count => 0 }, 'Findings::Session';
	$self->{run} = IPC::Run::start([ psql_command($role, $db) ], '<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err});
	push @sessions, $self;
	$self->{pid} = $self->ask('SELECT pg_backend_pid()');
	return $self;
}

package Findings::Session;

use Time::HiRes qw(time sleep);

sub send    ## no critic (ProhibitBuiltinHomonyms)
{
	my ($self, $sql) = @_;
	$self->{count}++;
	$self->{out} = $self->{err} = '';
	$self->{in} .= "$sql\n;\n\\echo done $self->{count}\n\\warn done $self->{count}\n";
	eval { $self->{run}->pump_nb };    # wait() tells when it has ended
	return;
}

sub wait    ## no critic (ProhibitBuiltinHomonyms)
{
	my ($self, $limit) = @_;
	my $end = time + ($limit // 60);
	my $done = "done $self->{count}";
	while (time < $end)
	{
		my $pumped = eval { $self->{run}->pump_nb; $self->{run}->pumpable };
		if ($self->{out} =~ /^$done$/m && $self->{err} =~ /^$done$/m)
		{
			s/^$done\n//m foreach $self->{out}, $self->{err};
			return Findings::answer($self->{out}, $self->{err});
		}
		return join "\n", (Findings::answer($self->{out}, $self->{err}) || ()), 'LOST' if !$pumped;
		sleep 0.01;
	}
	return;
}

sub ask
{
	my ($self, $sql, $limit) = @_;
	$self->send($sql);
	return $self->wait($limit) // 'HUNG';
}

# The most memory that the session's backend ever had, in megabytes
sub most_memory
{
	my ($self) = @_;
	my ($kilobytes) = PostgreSQL::Test::Utils::slurp_file("/proc/$self->{pid}/status") =~ /^VmHWM:\s*(\d+)/m;
	return $kilobytes / 1024;
}

sub quit
{
	my ($self) = @_;
	eval { $self->{run}->kill_kill(grace => 1) };
	return;
}

1;
