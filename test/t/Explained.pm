# A proxy between clients and a server that asks kpi.explain_measure() about every statement that passes.
#
# Clients connect to the proxy as to the server. Before a statement is handed on, each query in it is run on the same
# session, in a subtransaction that is rolled back: as it is, and as kpi.explain_measure() explains it, with an empty
# search path. Role, settings, temporary objects and uncommitted changes are so those of the statement, and whoever sends
# it sees nothing. Queries are the statement itself, the query inside CREATE VIEW, CREATE TABLE AS, EXPLAIN, PREPARE,
# DECLARE, COPY and EXECUTE, and every string constant that is a query, such as a test gives to its functions.
#
# Only simple queries are looked at; all else is passed on.
package Explained;
use strict;
use warnings;
use IO::Select;
use IO::Socket::UNIX;

# Take connections in $dir as the server at $server (a socket) does; append verdicts to $report. Returns the process.
sub start
{
	my ($dir, $port, $server, $report) = @_;
	my $listener = IO::Socket::UNIX->new(Local => "$dir/.s.PGSQL.$port", Listen => 20) or die "cannot listen in $dir: $!";
	my $pid = fork() // die "cannot fork: $!";
	return $pid if $pid;

	local $SIG{CHLD} = 'IGNORE';
	local $SIG{TERM} = sub { require POSIX; POSIX::_exit(0) };
	while (1)
	{
		my $client = $listener->accept or next;
		next if fork();
		close $listener;
		eval { Explained->new($client, $server, $report)->serve };
		warn "proxy: $@" if $@;
		require POSIX;
		POSIX::_exit(0);
	}
}

sub new
{
	my ($class, $client, $server, $report) = @_;
	my $upstream = IO::Socket::UNIX->new(Peer => $server) or die "cannot connect to $server: $!";
	return bless { client => $client, server => $upstream, report => $report, status => '', buffer => '', prepared => {} }, $class;
}

sub take
{
	my ($socket, $length) = @_;
	my $data = '';
	while (length $data < $length)
	{
		sysread($socket, $data, $length - length $data, length $data) or return;
	}
	return $data;
}

sub give
{
	my ($socket, $data) = @_;
	while (length $data)
	{
		my $written = syswrite($socket, $data) // die "connection lost: $!";
		substr($data, 0, $written, '');
	}
}

# One message: its type and what it holds.
sub message
{
	my ($socket) = @_;
	my $head = take($socket, 5) // return;
	my ($type, $length) = unpack('a N', $head);
	my $body = $length > 4 ? take($socket, $length - 4) // return : '';
	return ($type, $body);
}

# Pass on everything, and look at queries that reach an idle server.
sub serve
{
	my ($self) = @_;
	my $length = take($self->{client}, 4) // return;
	give($self->{server}, $length . (take($self->{client}, unpack('N', $length) - 4) // return));
	my $select = IO::Select->new($self->{client}, $self->{server});
	my $made = '';    # a query of what the statement under way makes

	while (1)
	{
		for my $socket ($select->can_read)
		{
			my ($type, $body) = message($socket);
			return unless defined $type;
			if ($socket == $self->{server})
			{
				if ($type eq 'Z')
				{
					$self->{status} = $body;
					$self->look($made) if $made && $body =~ /[IT]/;
					$made = '';
				}
				give($self->{client}, pack('a N a*', $type, 4 + length $body, $body));
				next;
			}
			if ($type eq 'Q')
			{
				my $sql = $body =~ s/\0\z//r;
				$self->look($self->queries($sql)) if $self->{status} =~ /[IT]/;
				$made = query_of_made($sql);
				$self->{renamed} = 1 if $sql =~ /RENAME|rename/;
			}
			$self->{status} = '';
			give($self->{server}, pack('a N a*', $type, 4 + length $body, $body));
		}
	}
}

# The answer of the server to a statement: SQLSTATE and message of its error, or columns, rows and tag.
sub ask
{
	my ($self, $sql) = @_;
	my %answer = (columns => [], rows => [], tag => '');
	my @named;    # columns of names, which are written as the search path wants
	give($self->{server}, pack('a N Z*', 'Q', 5 + length $sql, $sql));
	while (my ($type, $body) = message($self->{server}))
	{
		if ($type eq 'T')
		{
			my ($count, $rest) = unpack('n a*', $body);
			for my $column (1 .. $count)
			{
				(my $name, my @numbers) = unpack('Z* N n N n l> n', $rest);
				$rest = substr($rest, length($name) + 19);
				push @{ $answer{columns} }, "$name $numbers[2]($numbers[4])";
				$named[$column] = $numbers[2] =~ /\A(?:24|220[2-6]|2210|4089|4096|4191|3734|3769)\z/;
			}
		}
		elsif ($type eq 'D')
		{
			my ($count, @row) = (unpack('n', $body));
			for (my $at = 2; $count > 0; $count--)
			{
				my $size = unpack('l>', substr($body, $at, 4));
				my $value = substr($body, $at + 4, $size < 0 ? 0 : $size);
				$value =~ s/(?:"[^"]+"|[\w\x80-\xff]+)\.//g if $named[ @row + 1 ];
				push @row, $size < 0 ? 'NULL' : "\"$value\"";
				$at += 4 + ($size < 0 ? 0 : $size);
			}
			push @{ $answer{rows} }, join(', ', @row);
		}
		elsif ($type eq 'E')
		{
			my %field = map { substr($_, 0, 1) => substr($_, 1) } grep { length } split /\0/, $body;
			$answer{error} //= "$field{C}: $field{M}";
			$answer{where} //= $field{W} // '';
		}
		elsif ($type eq 'G') { give($self->{server}, pack('a N Z*', 'f', 9, 'none')); }
		elsif ($type eq 'C') { $answer{tag} = $body =~ s/\0\z//r; }
		elsif ($type eq 'Z') { $self->{status} = $body; last; }
	}
	return \%answer;
}

# A statement with the contents of comments, constants and quoted names blanked, and its constants.
sub masked
{
	my ($sql) = @_;
	my ($mask, @constants) = ('');
	pos($sql) = 0;
	while (pos($sql) < length $sql)
	{
		my $start = pos $sql;
		if ($sql =~ /\G--[^\n]*/gc) { $mask .= ' ' x (pos($sql) - $start); }
		elsif ($sql =~ m{\G/\*}gc)
		{
			for (my $depth = 1; $depth && $sql =~ m{\G.*?(/\*|\*/|\z)}gcs && $1 ne '';) { $depth += $1 eq '/*' ? 1 : -1; }
			$mask .= ' ' x (pos($sql) - $start);
		}
		elsif ($sql =~ /\G[eE]'(?:[^'\\]|''|\\.)*'/gcs || $sql =~ /\G'(?:[^']|'')*'/gcs)
		{
			my $constant = substr($sql, $start, pos($sql) - $start);
			$constant =~ s/\A[eE]?'(.*)'\z/$1/s;
			push @constants, $constant =~ s/''/'/gr;
			$mask .= "'" . '.' x (pos($sql) - $start - 2) . "'";
		}
		elsif ($sql =~ /\G(\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$)/gc)
		{
			my ($tag, $from) = ($1, pos $sql);
			my $end = index($sql, $tag, $from);
			$end = length $sql if $end < 0;
			push @constants, substr($sql, $from, $end - $from);
			pos($sql) = $end + length $tag;
			$mask .= "'" . '.' x (pos($sql) - $start - 2) . "'";
		}
		elsif ($sql =~ /\G"(?:[^"]|"")*"/gc || $sql =~ /\G[\w\x80-\xff\$]+/gc || $sql =~ /\G./gcs)
		{
			$mask .= substr($sql, $start, pos($sql) - $start);
		}
	}
	return ($mask, @constants);
}

# A query of the view or function that a statement makes, or ''.
sub query_of_made
{
	my ($sql) = @_;
	my ($mask) = masked($sql);
	my $name = qr/((?:[\w\x80-\xff]+|"[^"]+")(?:\.(?:[\w\x80-\xff]+|"[^"]+"))?)/;
	return "SELECT * FROM $1" if $mask =~ /\A\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP\w*\s+)?(?:RECURSIVE\s+)?VIEW\s+$name/i;
	return "SELECT * FROM $1()" if $mask =~ /\A\s*CREATE\s+(?:OR\s+REPLACE\s+)?FUNCTION\s+$name\s*\(\s*\)\s*RETURNS\s+(?:SETOF|TABLE)/i;
	return '';
}

my $query = qr/\s*\(*\s*(?:SELECT|WITH|VALUES|TABLE|INSERT|UPDATE|DELETE|MERGE)\b/i;

# The queries in a statement.
sub queries
{
	my ($self, $sql) = @_;
	my ($mask, @constants) = masked($sql);
	my @found;
	$mask =~ s/[\s;]+\z//;
	$sql = substr($sql, 0, length $mask);
	if ($mask =~ /;/ && $mask !~ /\bATOMIC\b/i)
	{
		my ($from, @parts) = (0);
		while ($mask =~ /;|\z/g) { push @parts, substr($sql, $from, $-[0] - $from); $from = $+[0]; }
		return map { $self->queries($_) } grep { /\S/ } @parts;
	}
	if ($mask =~ /\A\s*SELECT\b(?:[^()]|(?<paren>\((?:[^()]++|(?&paren))*\)))*?(?<into>\bINTO\s+(?:TEMP\w*\s+|UNLOGGED\s+|TABLE\s+)*(?:[\w.]+|"[^"]+"))/i)
	{
		my ($from, $length) = ($-{into} ? ($-[2], $+[2] - $-[2]) : (0, 0));
		substr($_, $from, $length) = ' ' x $length for $sql, $mask;
	}

	if ($mask =~ /\A\s*EXPLAIN\b\s*(?:\([^()]*\)|(?:ANALYZE|VERBOSE|\s)*)\s*(?=$query)/gis
		|| $mask =~ /\A\s*DECLARE\b.*?\bCURSOR\b.*?\bFOR\b(?=$query)/gis
		|| $mask =~ /\A\s*CREATE\b[^']*?\b(?:VIEW|TABLE)\b.*?\bAS\b(?=$query)/gis
		|| $mask =~ /\A(?=$query)/gis)
	{
		my $end = $mask =~ /\A\s*CREATE/ && substr($mask, pos $mask) =~ /\s*\bWITH\s+(?:NO\s+DATA|DATA|(?:\w+\s+)?CHECK\s+OPTION)\s*\z/i ? $-[0] : length $mask;
		push @found, substr($sql, pos $mask, $end);
	}
	elsif ($mask =~ /\A\s*COPY\s*\(/gi)
	{
		my ($start, $depth) = (pos $mask, 1);
		while ($depth && $mask =~ /([()])/g) { $depth += $1 eq '(' ? 1 : -1; }
		push @found, substr($sql, $start, pos($mask) - 1 - $start) unless $depth;
	}
	elsif ($mask =~ /\A\s*PREPARE\s+(\w+)\s*(?:\(([^()]*(?:\([^()]*\)[^()]*)*)\)\s*)?AS\b/gi)
	{
		$self->{prepared}{$1} = [ substr($sql, pos $mask), split(/\s*,\s*/, $2 // '') ];
	}
	elsif ($sql =~ /\A\s*(?:EXPLAIN\b[^)]*\)\s*)?EXECUTE\s+(\w+)\s*(?:\((.*)\))?\s*\z/is && $self->{prepared}{$1})
	{
		my ($text, @types) = @{ $self->{prepared}{$1} };
		my ($arguments, @values) = ($2 // '');
		my ($mask) = masked($arguments);
		push @values, substr($arguments, $-[0], $+[0] - $-[0]) while $mask =~ /[^,]+/g;
		push @found, $text =~ s/\$(\d+)/"(($values[$1 - 1])" . ($types[$1 - 1] ? "::$types[$1 - 1])" : ')')/ger if @values == @types;
	}
	push @found, map { $self->queries($_) } @constants;
	return grep { (masked($_))[0] =~ /\A$query/ } @found;
}

# Verdict on a statement that is about to be handed on.
sub look
{
	my ($self, @queries) = @_;
	return unless @queries;
	my $alone = $self->{status} eq 'I';

	$self->ask($alone ? 'BEGIN' : 'SAVEPOINT kpi_explained');
	$self->learn_names;
	$self->ask('ROLLBACK TO kpi_explained') unless $alone;
	$self->ask('ROLLBACK'), $self->ask('BEGIN') if $alone;
	$self->ask('SAVEPOINT kpi_query');
	my %seen;
	for my $text (@queries)
	{
		my $filled = $text;
		while (my @next = grep { index($filled, "{$_->[0]}") >= 0 } @{ $self->{formulas} }) { $filled =~ s/\{\Q$next[0][0]\E\}/$next[0][1]/g; }
		next if $self->{names} eq '' || (masked($filled))[0] !~ /(?<![\w\x80-\xff])(?:$self->{names})(?![\w\x80-\xff])/i || $seen{$filled}++;
		my ($verdict, $detail) = $self->judge($filled);
		open my $report, '>>', $self->{report} or die "cannot write $self->{report}: $!";
		syswrite($report, join("\t", map { s/\\/\\\\/gr =~ s/\n/\\n/gr =~ s/\t/\\t/gr } $verdict, $filled, $detail // '') . "\n");
	}
	$self->ask($alone ? 'ROLLBACK' : 'ROLLBACK TO kpi_explained');
	$self->ask('RELEASE kpi_explained') unless $alone;
}

# Learn what may hold a measure, and what stands for measures in the tests, unless nothing was made since.
sub learn_names
{
	my ($self) = @_;
	my $made = $self->ask('SELECT (SELECT max(oid) FROM pg_catalog.pg_class), (SELECT max(oid) FROM pg_catalog.pg_proc)')->{rows}[0] // '';
	return if $made eq ($self->{made} // '') && !$self->{renamed};
	@{$self}{qw(made renamed)} = ($made, 0);
	$self->{names} = join '|', map { quotemeta s/"//gr } @{ $self->ask(readers())->{rows} };
	$self->{formulas} = [ map { [ /\A"(.*?)", "(.*)"\z/s ] } @{ $self->ask('SELECT name, formula FROM mart.formulas ORDER BY position DESC')->{rows} } ];
}

# The names of views, and of functions in FROM, that may hold a measure.
sub readers
{
	return q{
		WITH RECURSIVE reader AS (
			SELECT p.oid, 'pg_catalog.pg_proc'::pg_catalog.regclass AS class FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
			WHERE n.nspname = 'kpi' AND p.proname IN ('metric_column', 'measure')
			UNION
			SELECT w.ev_class, 'pg_catalog.pg_class'::pg_catalog.regclass FROM reader r
			JOIN pg_catalog.pg_depend d ON d.refclassid = r.class AND d.refobjid = r.oid AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
			JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid)
		SELECT relname FROM reader JOIN pg_catalog.pg_class c USING (oid) WHERE reader.class = 'pg_catalog.pg_class'::pg_catalog.regclass
		UNION
		SELECT p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
		WHERE l.lanname = 'sql' AND p.proretset AND p.oid > 16384 AND p.pronamespace <> 'kpi'::pg_catalog.regnamespace};
}

# The answer to a statement, of which nothing remains.
sub answer
{
	my ($self, @statements) = @_;
	my $answer;
	for (@statements)
	{
		$answer = $self->ask($_);
		last if $answer->{error};
	}
	$self->ask('ROLLBACK TO kpi_query');
	return $answer;
}

# What is different between two answers, or ''.
sub difference
{
	my ($one, $other, $ordered) = @_;
	return "columns @{ $other->{columns} }, not @{ $one->{columns} }" if "@{ $one->{columns} }" ne "@{ $other->{columns} }";
	my @one = $ordered ? @{ $one->{rows} } : sort @{ $one->{rows} };
	my @other = $ordered ? @{ $other->{rows} } : sort @{ $other->{rows} };
	return "answer $other->{tag}, not $one->{tag}" if $one->{tag} ne $other->{tag};
	for (0 .. $#one) { return "row ($other[$_]), not ($one[$_])" if $one[$_] ne $other[$_]; }
	return '';
}

sub judge
{
	my ($self, $text) = @_;
	my ($mask) = masked($text);
	my $ordered = ($mask =~ s/(\((?:[^()]++|(?1))*\))//gr) =~ /\bORDER\s+BY\b/i;
	my $plain = $self->answer($text);
	my $explained = $self->answer("SELECT kpi.explain_measure(\$kpi_text\$$text\$kpi_text\$)");
	my ($state) = ($plain->{error} // '') =~ /\A(\w+)/;

	if ($explained->{error})
	{
		return ('refused', $plain->{error}) if $state && $explained->{error} =~ /\A$state\b/;
		return ('left out: SQL has no words for it') if $explained->{error} =~ /\A0A000: explain_measure\(\) cannot explain (?:a statement that rules turn into|SEARCH)/;
		return ('FAIL', "explain_measure: $explained->{error}, statement: " . ($plain->{error} // 'answered'));
	}
	my $sql = $explained->{rows}[0] =~ s/\A"(.*)"\z/$1/sr;
	my ($mode, $got, $difference) = ('');
	for my $rights ([], [ 'GRANT pg_read_all_data TO %s' ], [ 'GRANT pg_read_all_data TO %s', 'ALTER ROLE %s BYPASSRLS' ])
	{
		$got = $self->answer($self->rights(@$rights), "SET LOCAL search_path = ''", $sql);
		if ($state)
		{
			return ("refused$mode", $plain->{error}) if ($got->{error} // '') =~ /\A$state\b/;
			$difference = 'statement: ' . $plain->{error} . ', text: ' . ($got->{error} // 'answered');
		}
		else
		{
			$difference = $got->{error} // difference($plain, $got, $ordered);
			return ($plain->{tag} =~ /\A(?:SELECT|FETCH)/ ? "same$mode" : "same, writes$mode") unless $difference;
		}
		$mode = ' to who may read the sources';
	}
	return ('left out: a function in it reads the search path')
		if $self->calls_by_path($mask) && !($state ? 0 : difference($plain, $self->answer($sql), $ordered));
	return ('left out: volatile') if !$state && difference($plain, $self->answer($text), $ordered);
	return ('FAIL', "$difference, explained as: $sql");
}

# Does a statement call a function whose body is text, that finds names in the search path when it runs?
sub calls_by_path
{
	my ($self, $mask) = @_;
	my $functions = $self->ask(q{
		SELECT proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = prolang
		WHERE p.oid > 16384 AND lanname IN ('sql', 'plpgsql') AND prosqlbody IS NULL AND proconfig IS NULL
		AND pronamespace <> 'kpi'::pg_catalog.regnamespace});
	my $names = join '|', map { quotemeta s/"//gr } @{ $functions->{rows} };
	return $names ne '' && $mask =~ /(?<![\w\x80-\xff])(?:$names)\b/i;
}

# Statements that give the current role more rights.
sub rights
{
	my ($self, @grants) = @_;
	return () unless @grants;
	my ($role, $session) = @{ $self->ask('SELECT pg_catalog.quote_ident(current_user), pg_catalog.quote_ident(session_user)')->{rows}[0] =~ /\A"(.*)", "(.*)"\z/ ? [ $1, $2 ] : [] };
	return ('RESET SESSION AUTHORIZATION', (map { sprintf $_, $role } @grants), "SET LOCAL SESSION AUTHORIZATION $session", "SET LOCAL ROLE $role");
}

1;
