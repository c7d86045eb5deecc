# 030_install: what CREATE EXTENSION trusts and what DROP EXTENSION leaves (H1, H2, H11).
#
# Trojans stand where the install script could stumble over them; privileges that new objects get by default would
# open the registry; schemas have odd names.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'kpitables'");
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN');

# Makes a database owned by the stranger and runs SQL in it as the stranger.
sub new_database
{
	my ($name, $sql) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name OWNER stranger");
	$node->safe_psql($name, "SET SESSION AUTHORIZATION stranger; $sql") if $sql;
	return;
}

# Runs SQL; gives what it printed and the errors.
sub run
{
	my ($database, $sql) = @_;
	my ($out, $err);
	$node->psql($database, $sql, stdout => \$out, stderr => \$err, on_error_stop => 0);
	return ($out, $err);
}

# Every object of a database that is not of the system's and not created by initdb, by name.
my $objects = q{
	SELECT pg_identify_object(classid, objid, 0)::text
	  FROM (SELECT 'pg_class'::regclass AS classid, oid AS objid FROM pg_class UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc
			UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace
			UNION ALL SELECT 'pg_event_trigger'::regclass, oid FROM pg_event_trigger UNION ALL SELECT 'pg_extension'::regclass, oid FROM pg_extension
			UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator UNION ALL SELECT 'pg_constraint'::regclass, oid FROM pg_constraint
			UNION ALL SELECT 'pg_rewrite'::regclass, oid FROM pg_rewrite UNION ALL SELECT 'pg_trigger'::regclass, oid FROM pg_trigger
			UNION ALL SELECT 'pg_default_acl'::regclass, oid FROM pg_default_acl UNION ALL SELECT 'pg_attrdef'::regclass, oid FROM pg_attrdef) AS o
	 WHERE objid >= 16384 AND pg_identify_object(classid, objid, 0)::text NOT LIKE '%pg_temp%' AND pg_identify_object(classid, objid, 0)::text NOT LIKE '%pg_toast_temp%'
	 ORDER BY 1};
# What stands in the catalogs about objects of whatever kind
my $rows = q{SELECT (SELECT count(*) FROM pg_depend WHERE objid >= 16384 OR refobjid >= 16384), (SELECT count(*) FROM pg_description WHERE objoid >= 16384),
	(SELECT count(*) FROM pg_init_privs WHERE objoid >= 16384), (SELECT count(*) FROM pg_shdepend WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))};

# H11: nobody but a superuser installs, be it the database's owner.
new_database('owned');
my ($out, $err) = run('owned', 'SET SESSION AUTHORIZATION stranger; CREATE EXTENSION kpitables');
like($err, qr/permission denied to create extension "kpitables"/, 'H11: the owner of the database does not install');
is($node->safe_psql('owned', q{SELECT to_regnamespace('kpi') IS NULL}), 't', 'H11: nothing was made');

# H1: a schema that is there already is not trusted, and nothing in it is replaced.
new_database('squatted', q{
	CREATE SCHEMA kpi;
	CREATE TABLE kpi.metric_registry (relid regclass, label text);
	CREATE FUNCTION kpi.additivity(regclass) RETURNS text LANGUAGE sql AS 'SELECT ''mine''';
	CREATE VIEW kpi.metrics AS SELECT 'mine' AS name;});
my $before = $node->safe_psql('squatted', $objects);
($out, $err) = run('squatted', 'CREATE EXTENSION kpitables');
like($err, qr/schema "kpi" already exists/, 'H1: a schema kpi that is there');
($out, $err) = run('squatted', 'CREATE EXTENSION kpitables SCHEMA kpi');
like($err, qr/schema "kpi" already exists/, 'H1: the same, named in the command');
is($node->safe_psql('squatted', $objects), $before, 'H1: nothing was replaced');
is($node->safe_psql('squatted', q{SELECT kpi.additivity('pg_class'), pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'kpi'}), 'mine|stranger', 'H1: the schema is still his');

# H1: functions and operators in a schema that the script could find, better matches than those of pg_catalog.
my $trojans = q{
	CREATE SCHEMA IF NOT EXISTS public;
	CREATE FUNCTION public.trap() RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped as %'', current_user; END';
	CREATE FUNCTION public.concat_ws(text, text, text, text) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
	CREATE FUNCTION public.concat_ws(text, text, text) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
	CREATE FUNCTION public.format(text, text, text) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
	CREATE FUNCTION public.pg_get_viewdef(regclass) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
	CREATE FUNCTION public.pg_get_viewdef(regclass, boolean) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
	CREATE FUNCTION public.col_description(regclass, smallint) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
	CREATE FUNCTION public.has_any_column_privilege(regclass, text) RETURNS boolean LANGUAGE sql AS 'SELECT public.trap() IS NULL';
	CREATE FUNCTION public.has_column_privilege(regclass, smallint, text) RETURNS boolean LANGUAGE sql AS 'SELECT public.trap() IS NULL';
	CREATE FUNCTION public.same(oid, regclass) RETURNS boolean LANGUAGE sql AS 'SELECT public.trap() IS NULL';
	CREATE FUNCTION public.same(regclass, oid) RETURNS boolean LANGUAGE sql AS 'SELECT public.trap() IS NULL';
	CREATE FUNCTION public.same(regclass, regclass) RETURNS boolean LANGUAGE sql AS 'SELECT public.trap() IS NULL';
	CREATE FUNCTION public.same(smallint, regclass) RETURNS boolean LANGUAGE sql AS 'SELECT public.trap() IS NULL';
	CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = public.same);
	CREATE OPERATOR public.= (LEFTARG = regclass, RIGHTARG = oid, FUNCTION = public.same);
	CREATE OPERATOR public.= (LEFTARG = regclass, RIGHTARG = regclass, FUNCTION = public.same);
	CREATE TABLE public.metric_registry (relid regclass, label text);
	CREATE TABLE public.pg_class (oid oid, relname text);
	CREATE DOMAIN public.regclass AS text;
	CREATE TYPE public.metrics AS (a integer);};
new_database('trojan', $trojans);
$node->safe_psql('trojan', 'CREATE EXTENSION kpitables');
is( $node->safe_psql('trojan', q{
	SELECT pg_describe_object(d.classid, d.objid, d.objsubid), pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
	  FROM pg_depend AS d CROSS JOIN pg_identify_object(d.classid, d.objid, 0) AS o CROSS JOIN pg_identify_object(d.refclassid, d.refobjid, 0) AS r
	 WHERE d.refobjid >= 16384 AND r.schema = 'public' AND o.identity NOT LIKE 'public%' AND o.schema IS DISTINCT FROM 'public' AND o.type <> 'toast table'}),
	'', 'H1: nothing of the extension depends on anything in public');
$node->safe_psql('trojan', q{
	SET search_path = public, pg_catalog;
	CREATE SCHEMA shop;
	CREATE TABLE shop.orders (region text, amount integer);
	INSERT INTO shop.orders VALUES ('east', 1), ('west', 4);});
is( $node->safe_psql('trojan', q{
	SELECT kpi.create_metric('shop.revenue', 'SELECT sum(amount) FROM shop.orders', label => 'Revenue', unit => 'CNY', description => 'All');
	SELECT kpi.create_metric_view('shop.sales', '{region}', '{shop.revenue}', label => 'Sales', description => 'All');
	SELECT kpi.alter_metric('shop.revenue', label => 'Turnover');
	SELECT kpi.alter_metric_view('shop.sales', label => 'Shop');
	SELECT name, label, source FROM kpi.metrics;
	SELECT name, label FROM kpi.metric_views;
	SELECT name, type FROM kpi.dimensions;
	SELECT name, label, additivity FROM kpi.measures;
	SELECT kpi.measure(revenue) FROM shop.sales;}),
	"shop.revenue\nshop.sales\nshop.revenue\nshop.sales\nrevenue|Turnover|shop.orders\nsales|Shop\nregion|text\nrevenue|Turnover|additive\n5",
	'H1: a superuser works with the extension and runs no trojan');

# Privileges that everybody gets on new objects by default do not open the registry.
new_database('generous');
$node->safe_psql('generous', q{
	ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
	ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC;
	CREATE EXTENSION kpitables;});
is( $node->safe_psql('generous', q{
	SELECT relname, privilege FROM pg_class CROSS JOIN unnest('{SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER}'::text[]) AS privilege
	 WHERE relnamespace = 'kpi'::regnamespace AND (relkind = 'r' OR relkind = 'v' AND privilege <> 'SELECT') AND has_table_privilege('stranger', oid, privilege) ORDER BY 1}),
	'', 'default privileges: the registry is closed, listings are for reading');
is($node->safe_psql('generous', q{SELECT has_schema_privilege('stranger', 'kpi', 'USAGE'), has_schema_privilege('stranger', 'kpi', 'CREATE')}),
	't|f', 'default privileges: the schema is for using');

# H2: whatever the schema is called that CREATE EXTENSION names or that comes first in search_path
for my $schema ('we"ird $schema\\', q{it's}, '模式', '@extschema@')
{
	my $quoted = $schema =~ s/"/""/gr;
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS odd');
	new_database('odd');
	is( $node->safe_psql('odd', qq{
		CREATE SCHEMA "$quoted";
		CREATE EXTENSION kpitables SCHEMA "$quoted";
		SET search_path = "$quoted";
		CREATE TABLE "$quoted" (a integer);
		INSERT INTO "$quoted" VALUES (1), (2);
		SELECT kpi.create_metric('m', format('SELECT sum(a) FROM %I', current_schema)) IS NOT NULL;
		SELECT kpi.create_metric_view('v', '{a}', '{m}') IS NOT NULL;
		SELECT kpi.measure(m) FROM v;
		SELECT count(*) FROM pg_proc WHERE pronamespace = 'kpi'::regnamespace AND proname = 'measure';}),
		"t\nt\n3\n1", "H2: schema $schema");
}
($out, $err) = run('odd', 'ALTER EXTENSION kpitables SET SCHEMA public');
like($err, qr/extension "kpitables" does not support SET SCHEMA/, 'the extension is not relocatable');
($out, $err) = run('odd', "CREATE EXTENSION kpitables; CREATE EXTENSION IF NOT EXISTS kpitables; ALTER EXTENSION kpitables UPDATE; ALTER EXTENSION kpitables UPDATE TO '99'; DROP EXTENSION kpitables; CREATE EXTENSION kpitables VERSION '99'");
like($err, qr/extension "kpitables" already exists.*already exists, skipping.*version "1.0" of extension "kpitables" is already installed.*no update path.*because other objects depend on it.*extension "kpitables" already exists/s, 'commands that do nothing');

# DROP EXTENSION leaves nothing of its own, and all of what is the users'.
new_database('cleaned');
$before = $node->safe_psql('cleaned', "$objects; $rows");
$node->safe_psql('cleaned', 'CREATE EXTENSION kpitables; DROP EXTENSION kpitables');
is($node->safe_psql('cleaned', "$objects; $rows"), $before, 'DROP EXTENSION leaves nothing');
$node->safe_psql('cleaned', q{CREATE TABLE t (a integer); INSERT INTO t VALUES (1); CREATE VIEW m AS SELECT sum(a) AS m FROM t; COMMENT ON VIEW m IS 'M'});
$before = $node->safe_psql('cleaned', "$objects; $rows");
$node->safe_psql('cleaned', q{
	SET client_min_messages = error;
	DROP VIEW m;
	CREATE EXTENSION kpitables;
	SELECT kpi.create_metric('m', 'SELECT sum(a) FROM t', label => 'M');
	SELECT kpi.create_metric_view('v', '{a}', '{m}', label => 'V');
	CREATE VIEW w AS SELECT kpi.measure(m) FROM v;
	CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT kpi.measure(m) FROM v; END;
	DROP EXTENSION kpitables CASCADE;});
is($node->safe_psql('cleaned', "$objects; $rows"), $before, 'DROP EXTENSION CASCADE leaves tables and metrics');
is($node->safe_psql('cleaned', 'TABLE m; DROP TABLE t CASCADE; SELECT 1'), "1\n1", 'DDL goes on without the event trigger');

$node->stop;
done_testing();
