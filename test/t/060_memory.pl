# J1: 20,000 measure statements in one session, planned anew each time or cached, refused or answered, leave the memory of
# the session as it was after the first thousand.
# Contract: starts a server of its own.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('memory');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nshared_preload_libraries = 'kpitables'\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION kpitables;
	CREATE SCHEMA m;
	CREATE TABLE m.orders AS SELECT i AS id, i % 3 AS region, i * 1.5 AS amount FROM generate_series(1, 20) i;
	SELECT kpi.create_metric('m.revenue', 'SELECT sum(amount) FROM m.orders WHERE id > 10');
	SELECT kpi.create_metric('m.n', 'SELECT count(*) FROM m.orders');
	SELECT kpi.create_metric('m.mean', 'SELECT revenue / nullif(n, 0) FROM m.revenue, m.n');
	SELECT kpi.create_metric_view('m.sales', '{id, region}', '{m.revenue, m.n, m.mean}');
	CREATE FUNCTION m.f() RETURNS SETOF m.sales LANGUAGE sql STABLE AS 'SELECT * FROM m.sales';
	CREATE FUNCTION m.memory() RETURNS bigint LANGUAGE sql AS 'SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts';
	CREATE PROCEDURE m.work(times int) LANGUAGE plpgsql AS $$
	DECLARE query text; x text;
	BEGIN
	  FOR i IN 1..times LOOP
	    query := (ARRAY['SELECT kpi.measure(mean) FROM m.sales WHERE id > 3', 'SELECT sum(revenue) FROM (SELECT * FROM m.sales OFFSET 0) x', 'SELECT kpi.measure(n) FROM m.f()', 'SELECT s FROM m.sales s LIMIT 1',
	      'SELECT region FROM m.sales GROUP BY region HAVING kpi.measure(n) > 1 LIMIT 1', 'SELECT sum(n + 2) FROM m.sales', 'SELECT kpi.measure(n) FROM m.sales, m.orders', 'SELECT kpi.explain_measure(''SELECT kpi.measure(mean) FROM m.sales'')',
	      'WITH c AS MATERIALIZED (TABLE m.sales) SELECT kpi.measure(mean) FROM c', 'SELECT kpi.measure(n) FROM generate_series(1, 2) g LEFT JOIN m.sales ON id = g GROUP BY g'])[1 + i % 10];
	    BEGIN
	      EXECUTE query INTO x;
	    EXCEPTION WHEN SQLSTATE 'KP002' OR SQLSTATE 'KP004' THEN NULL;
	    END;
	    SELECT kpi.measure(revenue) INTO x FROM m.sales;
	    IF i % 500 = 0 THEN COMMIT; END IF;
	  END LOOP;
	END $$;
});
my @memory = split /\n/, $node->safe_psql('postgres', q{
	CALL m.work(500); CALL m.work(500); SELECT m.memory(); CALL m.work(5000); SELECT m.memory(); CALL m.work(5000); SELECT m.memory();});
is(scalar @memory, 3, '22,000 statements ran');
cmp_ok($memory[2] - $memory[0], '<=', 0, 'J1: memory of the session does not grow') or diag("@memory");
my $statements = "SELECT kpi.measure(mean), region FROM m.sales GROUP BY 2 \\g /dev/null\nSELECT * FROM m.sales \\g /dev/null\n";
@memory = split /\n/, $node->safe_psql('postgres', $statements x 250 . "SELECT m.memory();\n" . $statements x 2000 . "SELECT m.memory();\n");
cmp_ok($memory[1] - $memory[0], '<=', 0, 'J1: nor in 4,000 statements of a client') or diag("@memory");
my $offset = -s $node->logfile;
$node->safe_psql('postgres', "CALL m.work(10)");
unlike(slurp_file($node->logfile, $offset), qr/WARNING/, 'no leaked reference is reported');
$node->stop;
done_testing();
