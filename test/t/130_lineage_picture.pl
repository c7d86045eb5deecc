# 130_lineage_picture: graphviz reads kpi.lineage_dot(), whatever names hold (L1, I11); and drawings in databases of other
# encodings than UTF-8.
#
# Any graph can be drawn, so here kpi.upstream() and kpi.downstream() tell the edges of a table.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->start;

# A database of an encoding, with an edge table and functions that tell of it.
my $columns = join ', ', map { "OUT $_ text" } qw(source_type source source_column target_type target target_column kind transformation);
sub create_database
{
	my ($name, $encoding) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name ENCODING '$encoding' TEMPLATE template0");
	$node->safe_psql($name, qq{
		CREATE EXTENSION kpitables;
		CREATE TABLE edge (source_type text, source text, source_column text, target_type text, target text,
		  target_column text, kind text, transformation text);
		CREATE OR REPLACE FUNCTION kpi.upstream(object text, OUT depth int, $columns, OUT path text[]) RETURNS SETOF record
		  LANGUAGE sql STABLE AS 'SELECT 1 + (target <> object)::int, e.*, ARRAY[object] FROM public.edge e';
		CREATE OR REPLACE FUNCTION kpi.downstream(object text, OUT depth int, $columns, OUT path text[]) RETURNS SETOF record
		  LANGUAGE sql STABLE AS 'SELECT 1, e.*, ARRAY[object] FROM public.edge e WHERE false';
	});
	return;
}

create_database('pictures', 'UTF8');
$node->safe_psql('pictures', <<'SQL');
	SET client_encoding = 'UTF8';
	INSERT INTO edge
	  SELECT type, format('%I.%I', 's', name), name, 'view', 's.v', nullif(name, '<'), kind, name || E'\nEND "]; b9 -> b8 \\'
	    FROM unnest(ARRAY['"', '\"', '\', '<', '</td>', '>>]; b7 -> b8', '&amp;', '&#0;', '&', E'line\nend', E'\x1b[31m', '\N\G\L',
	      U&'\0085\FFFE\202E', U&'\51C0\6536\5165', ' ', '', '<br/>', '<!--', '-->']) AS name,
	    unnest(ARRAY['table', 'foreign table']) AS type, unnest(ARRAY['value', 'filter', 'join', 'group', 'order']) AS kind;
SQL

# Runs graphviz on the DOT text of an object; gives its answer in graphviz's plain format, and its complaints.
sub graphviz
{
	my ($object) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/graph.dot';
	PostgreSQL::Test::Utils::append_to_file($file, $node->safe_psql('pictures', "SELECT kpi.lineage_dot('$object')"));
	my ($out, $err);
	IPC::Run::run([ 'dot', '-Tplain', $file ], '>', \$out, '2>', \$err);
	return ($out, $err);
}

SKIP:
{
	skip 'graphviz is not installed', 4 unless IPC::Run::run([ 'dot', '-V' ], '>', \my $version, '2>&1');
	my ($out, $err) = graphviz('s.v');
	is($err, '', 'graphviz has no complaint about odd names');
	is(scalar(() = $out =~ /^node /gm), 19 * 2 + 1, 'graphviz sees all boxes');
	is(scalar(() = $out =~ /^edge /gm), 19 * 2 * 5, 'graphviz sees all edges');
	like($out, qr/^graph /, 'graphviz draws the graph');
}

# LATIN1 has no Chinese letters, EUC_JP has letters of three bytes, SQL_ASCII has bytes.
for my $case ([ 'LATIN1', "\xe9" ], [ 'EUC_JP', "\x8f\xb0\xa1" ], [ 'SQL_ASCII', "\xff" ])
{
	my ($encoding, $letter) = @$case;
	my $database = lc $encoding;
	create_database($database, $encoding);
	$node->safe_psql($database, "SET client_encoding = '$encoding'; INSERT INTO edge VALUES ('table', 's.t', '<$letter>', 'view', 's.v', repeat('$letter', 63), 'value', '$letter')");
	my $svg = $node->safe_psql($database, "SET client_encoding = '$encoding'; SELECT kpi.lineage_svg('s.v')");
	like($svg, qr/>&lt;\Q$letter\E&gt;</, "$encoding: a letter stays what it is");
	my ($cut) = $svg =~ />((?:\Q$letter\E)+\.\.\.)</;
	ok(defined $cut, "$encoding: a long name is cut between letters");
	like($svg, qr{\A<svg .*</svg>\s*\z}s, "$encoding: a whole drawing");
}

done_testing();
