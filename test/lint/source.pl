#!/usr/bin/env perl
# Rules about the files of this tree that need neither a compiler nor a server.
#
# Run in the root of the tree. Prints "= RULE" for each rule and, under it, "! FILE:LINE: FINDING" for what breaks it.
use strict;
use warnings;
use File::Find;
use File::Basename qw(basename dirname);

my %text;      # file => content; generated and fetched files are left out
my %binary_or_data = map { $_ => 1 } qw(o bc so d class pyc csv);
find({
		no_chdir   => 1,
		wanted     => sub {
			my $file = $_ =~ s{^\./}{}r;
			return unless -f $file && !-l $file;
			return if $binary_or_data{ ($file =~ /\.(\w+)$/)[0] // '' };
			open(my $handle, '<', $file) or die "$file: $!\n";
			local $/ = undef;
			$text{$file} = <$handle> // '';
		},
		preprocess => sub { sort grep { !/^(\.git|node_modules|results|output_iso|tmp_check\w*|__pycache__|regression\.(out|diffs))$/ } @_ },
	},
	'.');
my @files = sort keys %text;
my @c_files = grep { m{^src/.*\.c$} } @files;
my @c_and_h = grep { m{^src/.*\.[ch]$} } @files;

sub rule { print "= $_[0]\n"; return; }

sub finding
{
	my ($file, $offset, $what) = @_;
	my $line = 1 + (substr($text{$file}, 0, $offset) =~ tr/\n//);
	print "! $file:$line: $what\n";
	return;
}

# Every match of a pattern in a file, as a finding that shows it.
sub forbid
{
	my ($pattern, @where) = @_;
	for my $file (@where)
	{
		while ($text{$file} =~ /$pattern/g)
		{
			finding($file, $-[0], $& =~ s/\s+/ /gr);
		}
	}
	return;
}

# The calls of a function or macro in a C file: [offset, text between the parentheses].
my $string = qr/"(?:[^"\\]|\\.)*"/s;
my $parentheses;
$parentheses = qr/\((?:[^()"']++|$string|'(?:[^'\\]|\\.)'|(??{ $parentheses }))*\)/s;

sub calls
{
	my ($file, $name) = @_;
	my @found;
	while ($text{$file} =~ /\b$name\s*($parentheses)/g)
	{
		push @found, [ $-[0], substr($1, 1, -1) ];
	}
	return @found;
}

# The functions defined in a C file: the opening brace stands alone in the first column, as PostgreSQL writes them.
sub functions
{
	my ($file) = @_;
	my @found;
	while ($text{$file} =~ /^([A-Za-z_][\w \t*]*)\n(\w+)\([^;{}]*\)\n\{/gm)
	{
		push @found, { type => $1, name => $2, offset => $-[0] };
	}
	return @found;
}

rule('C files and headers, SQL, scripts and tests open with a comment');
for my $file (grep { !m{^expected/} } @files)
{
	my ($extension) = basename($file) =~ /\.(\w+)$/;
	my $head = $text{$file} =~ s/\A#!.*\n//r;
	my $interpreted = $head ne $text{$file};
	my $opening =
	    ($extension // '') =~ /^(c|h)$/         ? qr{\A/\*}
	  : ($extension // '') =~ /^(js|java)$/     ? qr{\A(/\*|//)}
	  : ($extension // '') eq 'sql'             ? qr{\A(\\set ECHO none\n)?(--|/\*|\\echo)}
	  : ($extension // '') =~ /^(sh|pl|pm|spec|awk)$/ ? qr{\A#}
	  : ($extension // '') eq 'py'              ? qr{\A(#|""")}
	  : $interpreted                            ? qr{\A#}
	  :                                           next;
	finding($file, 0, 'no opening comment') unless $head =~ $opening;
}

rule('C files have at most 900 lines');
for my $file (@c_files)
{
	my $lines = $text{$file} =~ tr/\n//;
	finding($file, 0, "$lines lines") if $lines > 900;
}

rule('a comment stands above every C function');
for my $file (@c_and_h)
{
	for my $function (functions($file))
	{
		my $above = substr($text{$file}, 0, $function->{offset});
		$above =~ s/(\s|^PG_FUNCTION_INFO_V1\(\w+\);)+\z//m;
		finding($file, $function->{offset}, $function->{name}) unless $above =~ m{\*/\z};
	}
}

rule('functions that other files can call begin with kpi_');
for my $file (@c_and_h)
{
	for my $function (functions($file))
	{
		finding($file, $function->{offset}, $function->{name})
		  unless $function->{type} =~ /\bstatic\b/ || $function->{name} =~ /^(kpi_\w+|_PG_init)$/;
	}
}

rule('messages begin in lower case and end without a period');
for my $file (@c_and_h)
{
	for my $call (map { calls($file, $_) } qw(errmsg errmsg_plural errmsg_internal elog))
	{
		my ($message) = $call->[1] =~ /($string(?:\s*$string)*)/ or next;
		$message = join '', $message =~ /"((?:[^"\\]|\\.)*)"/gs;
		finding($file, $call->[0], $message) if $message =~ /^[A-Z][a-z]/ || $message =~ /\.$/;
	}
}

rule('errors raised by ereport have an SQLSTATE');
for my $file (@c_and_h)
{
	for my $call (calls($file, 'ereport'))
	{
		finding($file, $call->[0], 'ereport without errcode')
		  if $call->[1] =~ /^\s*(ERROR|FATAL|PANIC)\b/ && $call->[1] !~ /\berrcode\w*\(/;
	}
}

rule('the version of PostgreSQL is asked for in src/compat.h alone');
forbid(qr/\bPG_VERSION_NUM\b/, grep { $_ ne 'src/compat.h' } @c_and_h);

rule('nothing is marked as left to do');
forbid(qr/\b(?:TO[D]O|FIX[M]E|X[X]X)\b/, @files);

rule('a component includes only headers of components to its left in COMPONENTS');
my ($components) = ($text{Makefile} // '') =~ /^COMPONENTS\s*=\s*((?:.*\\\n)*.*)$/m;
my @components = grep { $_ ne '\\' } split ' ', $components // '';
my %position = map { $components[$_] => $_ } 0 .. $#components;
print "! Makefile: no COMPONENTS\n" unless @components;
for my $file (@c_and_h)
{
	my ($own) = $file =~ m{^src/(\w+)/};
	next if $file eq 'src/kpitables.c';
	finding($file, 0, "$own is not in COMPONENTS") if defined $own && !defined $position{$own};
	while ($text{$file} =~ /^\s*#\s*include\s+"([^"]+)"/gm)
	{
		my ($offset, $header) = ($-[0], $1);
		my ($path) = grep { defined $text{$_} } ("src/$header", dirname($file) . "/$header") or next;
		my ($used) = $path =~ m{^src/(\w+)/} or next;
		finding($file, $offset, $header)
		  if !defined $own || ($position{$used} // @components) > ($position{$own} // -1);
	}
}

rule('install scripts replace nothing and never take what is there already');
for my $file (grep { m{^(sql/|src/.*\.sql$)} } @files)
{
	my $code = $text{$file};
	while ($code =~ /(^|\n)[^'\n]*?\b(CREATE\s+OR\s+REPLACE|IF\s+NOT\s+EXISTS)\b/gi)
	{
		my ($start, $end, $what) = ($-[2], $+[2], $2);
		my $line_start = rindex($code, "\n", $start) + 1;
		finding($file, $start, $what) unless substr($code, $line_start, $start - $line_start) =~ /--/;
		pos($code) = $end;
	}
}

rule('every test has an answer and every answer has a test');
my %question = map { basename($_) =~ s/\.(sql|spec)$//r => $_ } grep { m{^test/(sql/.*\.sql|specs/.*\.spec)$} } @files;
my %answer = map { basename($_, '.out') => $_ } grep { m{^expected/.*\.out$} } @files;
print "! test/sql: no test\n" unless %question;
for my $name (sort keys %question)
{
	print "! $question{$name}: no expected/$name.out\n" unless $answer{$name};
	print "! $name is both in test/sql and in test/specs\n" if $text{"test/sql/$name.sql"} && $text{"test/specs/$name.spec"};
}
for my $name (sort keys %answer)
{
	print "! $answer{$name}: no such test\n" unless $question{$name};
}

rule('lines end without white space, files with a line end');
for my $file (grep { !m{^expected/} && !/\.md$/ } @files)
{
	while ($text{$file} =~ /[ \t\r]+$/gm)
	{
		finding($file, $-[0], 'white space at the end of the line');
	}
	finding($file, length $text{$file}, 'no line end') if length $text{$file} && $text{$file} !~ /\n\z/;
}
