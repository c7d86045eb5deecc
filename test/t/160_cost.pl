# P1: a setting that a function sets for itself costs no plan but those of statements with measures.
# P7, S7: DDL that has to do with nothing that is protected, tracked, published or in the lineage costs no statement of the
# extension, where there are such things in the database; what it has to do with is followed nevertheless.
# Contract: starts a server of its own; needs psql of its version and pg_stat_statements.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('ddl');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements, kpitables'\npg_stat_statements.track = all\npg_stat_statements.track_utility = on\nfsync = off");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_stat_statements;
	CREATE EXTENSION kpitables;
	CREATE ROLE owner; GRANT CREATE ON SCHEMA public TO owner; GRANT CREATE ON DATABASE postgres TO owner;
	SET ROLE owner;
	CREATE TABLE protected (k int, at date) PARTITION BY RANGE (k);
	CREATE TABLE tracked (k int, at date);
	CREATE TABLE stores (k int PRIMARY KEY, region text);
	SELECT kpi.create_dimension('store', 'stores', 'k', '{region}'), kpi.protect('protected', 'store', 'k'), kpi.track('tracked', 'at');
	SELECT kpi.create_metric('rows', 'SELECT count(*) FROM tracked'), kpi.create_metric_view('by_day', '{at}', '{rows}');
});

# Statements of the extension that a command runs, beside its own and those of PostgreSQL
sub statements
{
	my ($command) = @_;
	$node->safe_psql('postgres', 'SELECT pg_stat_statements_reset()');
	$node->safe_psql('postgres', $command);
	return $node->safe_psql('postgres', q{SELECT left(regexp_replace(query, '\s+', ' ', 'g'), 60), calls FROM pg_stat_statements WHERE NOT toplevel ORDER BY 1});
}

foreach my $command (
	'CREATE TABLE plain (id serial PRIMARY KEY, name text NOT NULL UNIQUE, other int REFERENCES plain, CHECK (other > 0))',
	'ALTER TABLE plain ADD at date DEFAULT now()', 'ALTER TABLE plain ALTER at TYPE timestamp', 'ALTER TABLE plain RENAME at TO day', 'ALTER TABLE plain ADD CHECK (id > 0)',
	'ALTER TABLE plain ALTER name SET NOT NULL', 'ALTER TABLE plain OWNER TO owner', 'ALTER TABLE plain DROP day', 'CREATE INDEX by_name ON plain (lower(name))', 'DROP INDEX by_name', 'ALTER TABLE plain RENAME TO simple',
	'ALTER SEQUENCE plain_id_seq RESTART', 'CREATE TEMP TABLE passing (a int); ALTER TABLE passing ADD b int; DROP TABLE passing', 'CREATE TEMP TABLE passing AS SELECT 1 AS a',
	'CREATE TEMP VIEW passing AS SELECT 1 AS a', 'CREATE TEMP TABLE passing (a int) ON COMMIT DROP', 'CREATE TABLE made AS SELECT 1 AS a', 'SELECT 1 AS a INTO made_too', 'DROP TABLE made, made_too',
	'CREATE TABLE parts (a int) PARTITION BY RANGE (a)', 'TRUNCATE simple', 'COMMENT ON TABLE simple IS NULL', 'ANALYZE simple', 'DROP TABLE simple', 'ALTER TABLE tracked ADD CHECK (k > 0)',
	'CREATE SEQUENCE counter', 'DROP SEQUENCE counter')
{
	is(statements($command), '', "P7: $command");
}
is(scalar(my @all = split /\n/, statements($_)), 1, "P7: $_") foreach 'CREATE SCHEMA aside', 'DROP SCHEMA aside', q{CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'};
unlike(statements('CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)'), qr/protection_gaps|track_repairs/, 'P7: a partition of a table that is neither protected nor tracked');
unlike(statements('DROP TABLE parts'), qr/track_registry|protection_registry|metric/, 'P7: nor its drop');

# what concerns it is seen
my $problems = 'SELECT count(*) FROM kpi.check()';
is($node->safe_psql('postgres', $problems), '0', 'nothing is out of step');
$node->safe_psql('postgres', q{
	CREATE TABLE protected_1 PARTITION OF protected FOR VALUES FROM (0) TO (10);
	CREATE TABLE middle (k int, at date) PARTITION BY RANGE (k); CREATE TABLE leaf PARTITION OF middle FOR VALUES FROM (10) TO (15);
	ALTER TABLE protected ATTACH PARTITION middle FOR VALUES FROM (10) TO (20);
	CREATE TABLE heir () INHERITS (tracked);
	ALTER TABLE tracked RENAME at TO day; ALTER TABLE protected RENAME k TO key;
});
is($node->safe_psql('postgres', q{SELECT string_agg(polrelid::regclass::text, ' ' ORDER BY polrelid::regclass::text) FROM pg_policy WHERE polname = 'kpi_scope_store'}), 'leaf middle protected protected_1', 'S8: partitions obey');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT tgrelid::regclass::text, ' ') FROM pg_trigger WHERE tgname LIKE 'kpi_track%'}), 'heir tracked', 'L2: children are tracked');
is($node->safe_psql('postgres', q{SELECT attname, time_column FROM kpi.protection_registry, kpi.track_registry}), 'key|day', 'renames are followed');
is($node->safe_psql('postgres', q{SELECT source_column FROM kpi.lineage WHERE target = 'public.by_day' AND target_column = 'at' AND direct}), 'day', 'L1: in the lineage, too');
# by the commands for other kinds of relations, and by the type of a table, too
$node->safe_psql('postgres', q{
	CREATE TYPE shape AS (gone int, k int, at date); ALTER TYPE shape DROP ATTRIBUTE gone; CREATE TABLE shaped OF shape; CREATE TABLE lone (k int, at date);
	SELECT kpi.protect('shaped', 'store', 'k'), kpi.track('shaped', 'at'), kpi.protect('lone', 'store', 'k'), kpi.track('lone', 'at');
	ALTER VIEW protected RENAME COLUMN key TO k; ALTER MATERIALIZED VIEW tracked RENAME day TO on_day; ALTER TYPE lone RENAME ATTRIBUTE at TO day; ALTER TYPE lone RENAME ATTRIBUTE k TO key;
	ALTER TYPE shape RENAME ATTRIBUTE k TO key CASCADE; ALTER TYPE shape RENAME ATTRIBUTE at TO day CASCADE;
});
is($node->safe_psql('postgres', q{SELECT relid, attname FROM kpi.protection_registry UNION ALL SELECT relid, time_column FROM kpi.track_registry ORDER BY 1, 2}), "protected|k\ntracked|on_day\nshaped|day\nshaped|key\nlone|day\nlone|key", 'renames by other commands are followed');
is($node->safe_psql('postgres', q{SELECT source_column FROM kpi.lineage WHERE target = 'public.by_day' AND target_column = 'at' AND direct}), 'on_day', 'L1: in the lineage, too');
$node->safe_psql('postgres', 'DROP TABLE shaped, lone');
my ($status, $out, $err) = $node->psql('postgres', 'CREATE TABLE below () INHERITS (stores)');
like($err, qr/table public.stores of a dimension cannot be a partition/, 'S8: the table of a dimension gets no children');
is($node->safe_psql('postgres', 'SELECT problem FROM kpi.check()'), '', 'all is in step');
$node->safe_psql('postgres', 'DROP VIEW by_day; DROP VIEW rows; DROP TABLE protected, tracked CASCADE');
is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM kpi.protection_registry), (SELECT count(*) FROM kpi.track_registry), (SELECT count(*) FROM kpi.metric_registry), (SELECT count(*) FROM kpi.metric_view_registry),
	(SELECT count(*) FROM kpi.lineage_edge WHERE target_name !~ 'dimension|pg_stat_statements')}), '0|0|0|0|0', 'what was dropped is forgotten');
is($node->safe_psql('postgres', q{SELECT operation FROM kpi.data_change}), '', 'L2: nothing is told of what went together');

# B3, C9: a plan is made once, however often functions with settings of their own are called; one with measures is made again,
# for it holds them
$node->safe_psql('postgres', q{
	CREATE TABLE lines (g int, a int); INSERT INTO lines VALUES (1, 2), (2, 3);
	SELECT kpi.create_metric('total', 'SELECT sum(a) FROM lines'), kpi.create_metric_view('totals', '{g}', '{total}');
	CREATE FUNCTION as_strict() RETURNS int LANGUAGE plpgsql SET kpitables.carriers = strict AS 'BEGIN RETURN 1; END';
	CREATE FUNCTION as_null() RETURNS int LANGUAGE plpgsql SET kpitables.ungrouped = 'null' AS 'BEGIN RETURN 1; END';
	CREATE FUNCTION as_before() RETURNS int LANGUAGE plpgsql SET kpitables.carriers = 'any' AS 'BEGIN RETURN 1; END';
});
foreach my $function ('as_strict', 'as_null', 'as_before')
{
	my $calls = "SELECT $function(); EXECUTE plain; EXECUTE rows; EXECUTE measured;" x 5;
	my $out = $node->safe_psql('postgres', qq{
		SET pg_stat_statements.track_planning = on; SET plan_cache_mode = force_generic_plan; SELECT pg_stat_statements_reset();
		PREPARE plain AS SELECT count(*) AS plain FROM lines; PREPARE rows AS SELECT t.g AS rows FROM (SELECT g FROM lines OFFSET 0) t WHERE g = 1; PREPARE measured AS SELECT kpi.measure(total) AS measured FROM totals;
		EXECUTE plain; EXECUTE rows; EXECUTE measured; $calls
		SELECT 'PLANS ' || string_agg(plans || ' of ' || calls, ', ' ORDER BY query) FROM pg_stat_statements WHERE query LIKE 'PREPARE%'});
	like($out, qr/PLANS @{[ $function eq 'as_before' ? '1' : '6' ]} of 6, 1 of 6, 1 of 6/, "$function: plans without measures are kept");
}

$node->stop;
done_testing();
