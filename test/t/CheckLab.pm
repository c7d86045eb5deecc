# CheckLab: a healthy schema with everything that kpi.check() looks at, what is observed of it, and the ways to break it, which are
# derived from what there is in the catalogs.
#
#   fixture()            SQL that makes it; schema s is what is looked at, schema lab is who looks
#   breaks($ask)         [name, statements, class] of all ways; $ask runs a query and returns its rows. Ways of one class do the same
#                        to things of one kind: to try one of them is to try the statement
#
# lab.observe() is what readers get, as JSON: values of measures and metrics, rows of protected tables, whether changes are
# recorded, whether scopes follow changes, whether new partitions obey, and whether what makes a metric or metric view
# would make those that there are. Names are looked up at the time, so it follows renames.
#
# lab.trial(statements, event triggers) breaks it, observes, asks kpi.check(), also under other settings, runs the remedies until
# there are none, observes again and undoes all of it.
package CheckLab;

use strict;
use warnings;
use Exporter 'import';

our @EXPORT_OK = qw(fixture breaks);

my $schema = q{
CREATE ROLE ck_own; CREATE ROLE ck_def; CREATE ROLE ck_reader; CREATE ROLE ck_wide; CREATE ROLE ck_other; CREATE ROLE ck_admin;
CREATE ROLE ck_bypass BYPASSRLS; CREATE ROLE ck_boss LOGIN SUPERUSER; CREATE ROLE ck_brief;
CREATE SCHEMA s AUTHORIZATION ck_own; CREATE SCHEMA elsewhere; CREATE SCHEMA lab; CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA s, elsewhere, lab TO PUBLIC; GRANT CREATE ON SCHEMA s, elsewhere, lab TO ck_own, ck_def, ck_other, ck_bypass;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO ck_own', current_database()); END $$;
CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere; GRANT USAGE ON FOREIGN SERVER nowhere TO PUBLIC;
SET ROLE ck_own;
CREATE TABLE s.stores (id int PRIMARY KEY, region text, city text);
INSERT INTO s.stores VALUES (1, 'East', 'a'), (2, 'East', 'b'), (3, 'West', 'c'), (4, 'West', 'd');
CREATE TABLE s.sales (id int, store int, channel varchar(8), day date, amount numeric(10,2), refund numeric(10,2), spare text);
INSERT INTO s.sales SELECT i, 1 + i % 4, (ARRAY['web', 'shop'])[1 + i % 2], date '2026-01-01' + i % 20, i, i % 3 FROM generate_series(1, 40) i;
CREATE TABLE s.events (k int, at timestamptz, v int) PARTITION BY RANGE (at);
CREATE TABLE s.events_1 PARTITION OF s.events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE s.events_2 PARTITION OF s.events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY LIST (k);
CREATE TABLE s.events_2a PARTITION OF s.events_2 FOR VALUES IN (1, 2);
CREATE TABLE s.events_2b PARTITION OF s.events_2 DEFAULT;
INSERT INTO s.events SELECT 1 + i % 4, timestamptz '2026-01-01' + i * interval '1 day', i FROM generate_series(1, 50) i;
CREATE TABLE s.above (k bigint, v int); CREATE TABLE s.below () INHERITS (s.above);
INSERT INTO s.above SELECT i % 4, i FROM generate_series(1, 8) i; INSERT INTO s.below SELECT i % 4, i FROM generate_series(1, 8) i;
CREATE TABLE s.ruled (k int, v int); INSERT INTO s.ruled SELECT i % 4, i FROM generate_series(1, 8) i; ALTER TABLE s.ruled ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON s.ruled USING (v > 1);
CREATE TABLE s.free (k int, v int, day date, spare text); INSERT INTO s.free SELECT i % 4, i, date '2026-01-01' + i FROM generate_series(1, 8) i;
CREATE TABLE s.loads (id int, at timestamp) PARTITION BY RANGE (at); CREATE TABLE s.loads_1 PARTITION OF s.loads FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO s.loads VALUES (1, '2026-01-05');
CREATE TABLE s.timeless (id int, spare text); INSERT INTO s.timeless VALUES (1);
CREATE VIEW s.joined AS SELECT f.k, f.v, f.day, t.region FROM s.free f JOIN s.stores t ON t.id = f.k + 1;
CREATE FUNCTION s.twice(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 2 * $1;
CREATE FUNCTION s.step(numeric, numeric) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN coalesce($1, 0) + coalesce($2, 0);
CREATE AGGREGATE s.adds(numeric) (sfunc = s.step, stype = numeric);
SELECT kpi.create_dimension('store', 's.stores', 'id', '{region, city}', admin => 'ck_admin'), kpi.create_dimension('code', type => 'integer'), kpi.create_dimension('chan');
SELECT kpi.protect('s.sales', 'store', 'store'), kpi.protect('s.sales', 'chan', 'channel'), kpi.protect('s.events', 'code', 'k', 'all'), kpi.protect('s.ruled', 'code', 'k');
SELECT kpi.create_dimension('wide', type => 'bigint'), kpi.protect('s.above', 'wide', 'k');
SELECT kpi.track('s.sales', 'day'), kpi.track('s.loads', 'at'), kpi.track('s.timeless');
SELECT kpi.grant_scope('ck_reader', 'store', level => 'region', members => '{East}'), kpi.grant_scope('ck_reader', 'store', members => '{3}'), kpi.grant_scope('ck_reader', 'code', members => '{1,2}'),
	kpi.grant_scope('ck_reader', 'chan', members => '{web}'), kpi.grant_scope('ck_reader', 'wide', members => '{1,2}');
SELECT kpi.grant_scope(r, d, members => '{*}') FROM unnest('{ck_wide,ck_def}'::text[]) r, unnest('{store,code,chan,wide}'::text[]) d;
GRANT SELECT ON s.sales, s.free, s.joined, s.events, s.stores TO ck_def; GRANT EXECUTE ON FUNCTION s.twice(numeric) TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA s TO ck_reader, ck_wide;
RESET ROLE; SET ROLE ck_def;
SELECT kpi.create_metric('s.revenue', 'SELECT sum(amount) - sum(refund) FROM s.sales', label => 'Revenue'), kpi.create_metric('s.orders', $$ SELECT count(*) FROM s.sales WHERE channel = 'web' $$);
SELECT kpi.create_metric('s.few', 'SELECT sum(amount) FROM s.sales', min_group_rows => 3), kpi.create_metric('s.byhand', 'SELECT CASE WHEN count(*) >= 2 THEN sum(amount) END FROM s.sales');
SELECT kpi.create_metric('s.aov', 'SELECT revenue / nullif(orders, 0) FROM s.revenue, s.orders'), kpi.create_metric('s.doubled', 'SELECT sum(s.twice(amount)) FROM s.sales'), kpi.create_metric('s.added', 'SELECT s.adds(amount) FROM s.sales');
SELECT kpi.create_metric('s.frees', 'SELECT sum(v) FROM s.free'), kpi.create_metric('s.joins', 'SELECT avg(v) FROM s.joined'), kpi.create_metric('s.late', 'SELECT max(at) FROM s.events');
GRANT SELECT ON s.revenue, s.orders, s.few, s.byhand, s.aov, s.doubled, s.added, s.frees, s.joins, s.late TO ck_own, ck_reader, ck_wide;
RESET ROLE; SET ROLE ck_own;
SELECT kpi.create_metric_view('s.mv', '{store, channel, day, upper(channel) AS loud}', '{s.revenue, s.orders, s.few, s.aov, s.byhand, s.doubled, s.added}'), kpi.create_metric_view('s.mv_free', '{k, day}', '{s.frees}'),
	kpi.create_metric_view('s.mv_joined', '{region}', '{s.joins AS mean}'), kpi.create_metric_view('s.mv_events', '{k, at}', '{s.late}');
GRANT SELECT ON s.mv TO ck_def;
RESET ROLE; SET ROLE ck_def;
SELECT kpi.create_metric('s.few_web', $$ SELECT measure(few) FROM s.mv WHERE channel = 'web' $$), kpi.create_metric('s.net_shop', $$ SELECT measure(revenue) FROM s.mv WHERE loud = 'SHOP' $$);
GRANT SELECT ON s.few_web, s.net_shop TO ck_own, ck_reader, ck_wide;
RESET ROLE; SET ROLE ck_own;
SELECT kpi.create_metric_view('s.mv_web', '{store, day}', '{s.few_web, s.net_shop}');
CREATE VIEW s.report AS SELECT store, kpi.measure(revenue) AS revenue FROM s.mv GROUP BY store;
CREATE MATERIALIZED VIEW s.kept AS SELECT k, v FROM s.free;
GRANT SELECT ON s.mv, s.mv_free, s.mv_joined, s.mv_events, s.mv_web, s.report, s.kept TO ck_reader, ck_wide;
RESET ROLE;
-- what a superuser's search_path might come upon first
CREATE FUNCTION hostile.format(text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'hostile' $$;
CREATE FUNCTION hostile.quote_literal(text) RETURNS text LANGUAGE sql AS $$ SELECT 'hostile' $$;
CREATE TABLE hostile.pg_class (oid oid, relname name); CREATE TABLE hostile.sales (store int); CREATE TABLE hostile.pg_policy (polrelid oid);
CREATE FUNCTION hostile.eq(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$; CREATE OPERATOR hostile.= (FUNCTION = hostile.eq, LEFTARG = text, RIGHTARG = text);
};

my $lab = q{
CREATE TABLE lab.thing AS
	SELECT c.oid, c.relname::text AS name, CASE WHEN m.relid IS NOT NULL THEN 'metric' WHEN v.relid IS NOT NULL THEN 'metric view' WHEN d.relid IS NOT NULL THEN 'dimension' ELSE c.relkind::text END AS kind,
		EXISTS (SELECT FROM pg_policy y WHERE y.polrelid = c.oid) AS guarded,
		EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname ~ '^kpi_track') AS tracked,
		(SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('store', 'k') LIMIT 1) AS key
	  FROM pg_class c LEFT JOIN kpi.metric_registry m ON m.relid = c.oid LEFT JOIN kpi.metric_view_registry v ON v.relid = c.oid LEFT JOIN kpi.dimension_registry d ON d.relid = c.oid
	 WHERE c.relnamespace = 's'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm');
CREATE FUNCTION lab.ask(role text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
	PERFORM set_config('role', role, true);
	BEGIN
		EXECUTE query INTO answer;
		answer := coalesce(answer, 'nothing');
	EXCEPTION WHEN OTHERS THEN
		answer := 'ERROR ' || SQLSTATE || ' ' || SQLERRM;
	END;
	PERFORM set_config('role', 'none', true);
	RETURN answer;
END $$;
-- what of each kind of change is recorded of a table
CREATE FUNCTION lab.recorded(relid oid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE op text; answer text := ''; one text;
BEGIN
	FOREACH op IN ARRAY ARRAY[format('INSERT INTO %s SELECT * FROM %1$s LIMIT 1', relid::regclass), format('UPDATE %s SET %I = %2$I', relid::regclass, (SELECT attname FROM pg_attribute WHERE attrelid = relid AND attnum > 0 AND NOT attisdropped LIMIT 1)),
			format('DELETE FROM %s', relid::regclass), format('TRUNCATE %s', relid::regclass)] LOOP
		BEGIN
			EXECUTE op;
			SELECT format('%s %s %s; ', l.operation, l.rows IS NOT NULL, l.touched_from IS NOT NULL) INTO one FROM kpi.data_change_log l
			 WHERE l.relation = relid AND l.transaction = pg_current_xact_id_if_assigned() AND l.changed_at > statement_timestamp() ORDER BY l.changed_at DESC LIMIT 1;
			answer := answer || coalesce(one, 'unseen ' || split_part(op, ' ', 1) || '; ');
		EXCEPTION WHEN OTHERS THEN answer := answer || 'ERROR ' || SQLSTATE || ' ' || SQLERRM || '; ';
		END;
	END LOOP;
	RETURN answer;
END $$;
CREATE FUNCTION lab.recorded_undone(relid oid, mode text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
	BEGIN
		PERFORM set_config('session_replication_role', mode, true);
		answer := lab.recorded(relid);
		RAISE EXCEPTION USING ERRCODE = 'ZZ000';
	EXCEPTION WHEN SQLSTATE 'ZZ000' THEN NULL;
	END;
	RETURN answer;
END $$;
-- do scopes follow a change of what they are computed from?
CREATE FUNCTION lab.follows(change text, mode text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text; query text := (SELECT format('SELECT string_agg(DISTINCT %I::text, '','') FROM %s', attname, attrelid::regclass) FROM lab.thing t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = t.key WHERE t.name = 'sales');
BEGIN
	BEGIN
		PERFORM lab.ask('ck_reader', query);
		PERFORM set_config('session_replication_role', mode, true);
		EXECUTE change;
		PERFORM set_config('session_replication_role', 'origin', true);
		answer := lab.ask('ck_reader', query);
		RAISE EXCEPTION USING ERRCODE = 'ZZ000';
	EXCEPTION WHEN SQLSTATE 'ZZ000' THEN NULL; WHEN OTHERS THEN answer := 'cannot be asked: ' || SQLERRM;
	END;
	RETURN answer;
END $$;
-- what it would be if it were made anew: the same, or what else
CREATE FUNCTION lab.made_anew(role text, query text, relid oid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text; probe text;
BEGIN
	BEGIN
		answer := lab.ask(role, query);
		probe := pg_get_viewdef(to_regclass('lab.probe'));
		RAISE EXCEPTION USING ERRCODE = 'ZZ000';
	EXCEPTION WHEN SQLSTATE 'ZZ000' THEN NULL;
	END;
	RETURN CASE WHEN relid IS NOT NULL AND probe <> pg_get_viewdef(relid) THEN 'ERROR it would be ' || probe ELSE answer END;
END $$;
-- the columns of a metric view as create_metric_view() takes them
CREATE FUNCTION lab.publishing(relid oid) RETURNS text LANGUAGE sql AS $$
	SELECT format('SELECT kpi.create_metric_view(''lab.probe'', %L, %L)', array_agg(d.text || ' AS ' || quote_ident(a.attname) ORDER BY c.attnum) FILTER (WHERE c.metric IS NULL), array_agg(c.metric::text || ' AS ' || quote_ident(a.attname) ORDER BY c.attnum) FILTER (WHERE c.metric IS NOT NULL))
	  FROM kpi.metric_view_columns(relid) c JOIN pg_attribute a ON a.attrelid = relid AND a.attnum = c.attnum
	 CROSS JOIN LATERAL (SELECT regexp_replace((regexp_split_to_array(substring(pg_get_viewdef(relid) FROM 'SELECT (.*)\n   FROM'), ',\n\s+'))[c.attnum], ' AS ("[^"]+"|\w+)$', '') AS text) d $$;
CREATE FUNCTION lab.observe() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE result jsonb := '{}'; t record; a record; r text; may boolean; e text;
BEGIN
	FOR t IN SELECT h.*, c.relkind, c.relnamespace::regnamespace::text AS schema, pg_get_userbyid(c.relowner) AS owner, (SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles r WHERE r.oid = c.relowner) AS bypasses FROM lab.thing h JOIN pg_class c ON c.oid = h.oid ORDER BY h.name LOOP
		FOREACH r IN ARRAY ARRAY['ck_reader', t.owner] LOOP
			CONTINUE WHEN r <> 'ck_reader' AND (t.bypasses OR NOT t.guarded);
			IF t.kind = 'metric view' THEN
				FOR a IN SELECT * FROM pg_attribute WHERE attrelid = t.oid AND attnum > 0 AND attnum IN (SELECT m.attnum FROM lab.measure m WHERE m.oid = t.oid) LOOP
					CONTINUE WHEN NOT has_column_privilege(r, t.oid, a.attnum, 'SELECT') OR NOT has_schema_privilege(r, t.schema, 'USAGE') OR a.attisdropped;
					result := result || jsonb_build_object(format('%s: measure %s for %s', t.name, a.attnum, r), lab.ask(r, format('SELECT kpi.measure(%I) FROM %s', a.attname, t.oid::regclass)));
				END LOOP;
			ELSIF t.kind IN ('metric', 'v') AND has_table_privilege(r, t.oid, 'SELECT') AND has_schema_privilege(r, t.schema, 'USAGE') THEN
				result := result || jsonb_build_object(format('%s: value for %s', t.name, r), lab.ask(r, format('SELECT string_agg(x::text, '' '' ORDER BY x::text) FROM %s x', t.oid::regclass)));
			ELSIF t.guarded AND has_table_privilege(r, t.oid, 'SELECT') AND has_schema_privilege(r, t.schema, 'USAGE') THEN
				result := result || jsonb_build_object(format('%s: rows for %s', t.name, CASE WHEN r = t.owner AND r <> 'ck_reader' THEN 'its owner' ELSE r END), lab.ask(r, format('SELECT string_agg(DISTINCT %I::text, '','') FROM %s', (SELECT attname FROM pg_attribute WHERE attrelid = t.oid AND attnum = t.key), t.oid::regclass)));
			END IF;
		END LOOP;
		IF t.kind = 'metric' THEN
			result := result || jsonb_build_object(format('%s: made anew', t.name), CASE WHEN EXISTS (SELECT FROM kpi.metric_registry m WHERE m.relid = t.oid) THEN
				lab.made_anew(t.owner, format('SELECT kpi.create_metric(''lab.probe'', %L)', rtrim(pg_get_viewdef(t.oid), ';')), NULL) ELSE 'ERROR it is no metric any more' END);
		ELSIF t.kind = 'metric view' THEN
			result := result || jsonb_build_object(format('%s: made anew', t.name), coalesce(lab.made_anew(t.owner, lab.publishing(t.oid), t.oid), 'ERROR it publishes nothing'));
		END IF;
		IF t.tracked THEN
			result := result || jsonb_build_object(t.name || ': recorded', lab.recorded_undone(t.oid, 'origin'), t.name || ': recorded by replicas', lab.recorded_undone(t.oid, 'replica'));
		END IF;
		IF t.name = 'stores' THEN
			SELECT format('UPDATE %s SET %I = ''East'' WHERE %I = 4', t.oid::regclass, (SELECT attname FROM pg_attribute WHERE attrelid = t.oid AND attnum = 2), (SELECT attname FROM pg_attribute WHERE attrelid = t.oid AND attnum = 1)) INTO e;
			result := result || jsonb_build_object('store: follows its table', lab.follows(e, 'origin'), 'store: follows its table, where a replica', lab.follows(e, 'replica'));
		END IF;
	END LOOP;
	result := result || coalesce((SELECT jsonb_build_object('few: rows of small groups', lab.ask('ck_reader', format('SELECT string_agg(DISTINCT m::text, '','') FROM (SELECT %I, %I, kpi.measure(%I) AS m FROM %s GROUP BY 1, 2) q',
			max(attname) FILTER (WHERE attnum = 1), max(attname) FILTER (WHERE attnum = 3), max(attname) FILTER (WHERE attnum = 7), attrelid::regclass))) FROM pg_attribute JOIN lab.thing ON oid = attrelid WHERE name = 'mv' AND NOT attisdropped AND EXISTS (SELECT FROM kpi.metric_view_columns(attrelid) WHERE attnum = 7 AND metric IS NOT NULL) GROUP BY attrelid), '{}');
	RETURN result || jsonb_build_object('store: follows grants', lab.follows($g$UPDATE kpi.scope_grant SET members = '{2}' WHERE grantee = 'ck_reader'::regrole AND dimension = 'store' AND level = 1$g$, 'origin'));
END $$;
CREATE TABLE lab.measure AS SELECT t.oid, c.attnum FROM lab.thing t CROSS JOIN LATERAL kpi.metric_view_columns(t.oid) c WHERE t.kind = 'metric view' AND c.metric IS NOT NULL;
CREATE FUNCTION lab.told() RETURNS jsonb LANGUAGE sql AS $$ SELECT coalesce(jsonb_agg(to_jsonb(c)), '[]') FROM kpi.check() c $$;
-- the same in a session that is set otherwise
CREATE FUNCTION lab.told_otherwise() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE answer jsonb; s text[];
BEGIN
	BEGIN
		FOREACH s SLICE 1 IN ARRAY '{{quote_all_identifiers,on},{search_path,"hostile, s, pg_catalog"},{datestyle,"SQL, DMY"},{timezone,Asia/Tokyo},{intervalstyle,sql_standard},{extra_float_digits,-10},{standard_conforming_strings,off},{row_security,off},{plan_cache_mode,force_generic_plan},{jit,on},{jit_above_cost,0},{force_parallel_mode,on},{parallel_setup_cost,0},{parallel_tuple_cost,0},{min_parallel_table_scan_size,0},{enable_hashjoin,off},{bytea_output,escape}}'::text[] LOOP
			PERFORM pg_catalog.set_config(s[1], s[2], true);
		END LOOP;
		answer := lab.told();
		RAISE EXCEPTION USING ERRCODE = 'ZZ000', MESSAGE = 'enough';
	EXCEPTION WHEN SQLSTATE 'ZZ000' THEN NULL; WHEN OTHERS THEN answer := to_jsonb('ERROR ' || SQLERRM);
	END;
	RETURN answer;
END $$;
CREATE FUNCTION lab.event_triggers(mode text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE e text;
BEGIN
	FOR e IN SELECT evtname FROM pg_event_trigger WHERE evtname ~ '^kpi_' LOOP EXECUTE format('ALTER EVENT TRIGGER %I %s', e, mode); END LOOP;
END $$;
CREATE FUNCTION lab.trial(broken text, silently boolean, otherwise boolean) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE result jsonb := '{}'; told jsonb; ran jsonb := '[]'; remedy text;
BEGIN
	BEGIN
		BEGIN
			IF silently THEN PERFORM lab.event_triggers('DISABLE'); END IF;
			EXECUTE broken;
			IF silently THEN PERFORM lab.event_triggers('ENABLE ALWAYS'); END IF;
		EXCEPTION WHEN OTHERS THEN
			result := jsonb_build_object('refused', SQLSTATE || ' ' || SQLERRM);
			RAISE EXCEPTION USING ERRCODE = 'ZZ000';
		END;
		told := lab.told();
		result := jsonb_build_object('broken', lab.observe(), 'told', told, 'otherwise', CASE WHEN otherwise THEN lab.told_otherwise() ELSE told END);
		FOR i IN 1..6 LOOP
			EXIT WHEN NOT jsonb_path_exists(told, '$[*].remedy ? (@ != null)');
			FOR remedy IN SELECT DISTINCT value ->> 'remedy' FROM jsonb_array_elements(told) WHERE value ->> 'remedy' IS NOT NULL ORDER BY 1 LOOP
				PERFORM set_config('search_path', '', true);
				ran := ran || to_jsonb(remedy);
				BEGIN EXECUTE remedy;
				EXCEPTION WHEN OTHERS THEN result := result || jsonb_build_object('remedy fails', remedy || ': ' || SQLSTATE || ' ' || SQLERRM);
				END;
				PERFORM set_config('search_path', '"$user", public', true);
			END LOOP;
			told := lab.told();
		END LOOP;
		result := result || jsonb_build_object('ran', ran, 'left', told, 'mended', CASE WHEN ran <> '[]' AND told = '[]' THEN lab.observe() END);
		RAISE EXCEPTION USING ERRCODE = 'ZZ000';
	EXCEPTION WHEN SQLSTATE 'ZZ000' THEN NULL; WHEN OTHERS THEN result := result || jsonb_build_object('fails', SQLSTATE || ' ' || SQLERRM);
	END;
	RETURN result;
END $$;
};

sub fixture { return $schema . $lab; }

# One statement for each view, whatever it is
my @view_ways = (
	'ALTER VIEW %1$s RENAME TO renamed', 'ALTER VIEW %1$s SET SCHEMA elsewhere', 'ALTER VIEW %1$s OWNER TO ck_other', 'ALTER VIEW %1$s OWNER TO ck_bypass', 'ALTER VIEW %1$s OWNER TO ck_boss', 'ALTER VIEW %1$s SET (security_invoker)',
	'ALTER VIEW %1$s SET (security_barrier)', 'DROP VIEW %1$s', 'DROP VIEW %1$s CASCADE', 'CREATE RULE "A" AS ON INSERT TO %1$s DO INSTEAD NOTHING', 'REVOKE ALL ON %1$s FROM ck_own', 'REVOKE ALL ON %1$s FROM ck_def', 'REVOKE ALL ON %1$s FROM ck_reader',
);

# And for each table
my @table_ways = (
	'ALTER TABLE %1$s RENAME TO renamed', 'ALTER TABLE %1$s SET SCHEMA elsewhere', 'ALTER TABLE %1$s OWNER TO ck_other', 'ALTER TABLE %1$s OWNER TO ck_bypass', 'ALTER TABLE %1$s ADD COLUMN more int', 'ALTER TABLE %1$s SET UNLOGGED', 'TRUNCATE %1$s', 'DROP TABLE %1$s', 'DROP TABLE %1$s CASCADE',
	'ALTER TABLE %1$s DISABLE ROW LEVEL SECURITY', 'ALTER TABLE %1$s NO FORCE ROW LEVEL SECURITY', 'ALTER TABLE %1$s ENABLE ROW LEVEL SECURITY', 'ALTER TABLE %1$s FORCE ROW LEVEL SECURITY', 'CREATE POLICY more ON %1$s USING (true)', 'CREATE POLICY more ON %1$s AS RESTRICTIVE USING (true)',
	'ALTER TABLE %1$s DISABLE TRIGGER ALL', 'ALTER TABLE %1$s ENABLE TRIGGER ALL', 'ALTER TABLE %1$s ENABLE REPLICA TRIGGER ALL', 'CREATE TABLE s.child () INHERITS (%1$s)', 'CREATE FOREIGN TABLE s.child () INHERITS (%1$s) SERVER nowhere',
	'CREATE TABLE s.parent (LIKE %1$s); ALTER TABLE %1$s INHERIT s.parent', 'CREATE TABLE s.parent (); ALTER TABLE %1$s INHERIT s.parent', 'REVOKE ALL ON %1$s FROM ck_own', 'REVOKE ALL ON %1$s FROM ck_def', 'REVOKE ALL ON %1$s FROM ck_reader', 'CREATE RULE r AS ON INSERT TO %1$s DO ALSO NOTHING',
);

# What a metric's view is replaced by, cast to its type
my @metric_bodies = (
	'count(*) FROM s.free', 'random() + sum(amount) FROM s.sales', '1', 'max(amount) FROM s.sales GROUP BY store', 'sum(amount) FROM s.sales, s.stores', 'sum(amount) FROM s.sales HAVING true', 'sum(sum(amount)) OVER () FROM s.sales', 'sum(amount) FROM s.sales LIMIT 1', 'sum(amount) FROM s.sales UNION ALL SELECT NULL',
	'(SELECT sum(amount) FROM s.sales)', 'count(t) FROM s.sales t', 'count(ctid) FROM s.sales', 'count(*) FROM ONLY s.sales', 'count(*) FROM s.sales TABLESAMPLE system (10)', 'count(*) FROM (SELECT FROM s.sales) q', 'count(*) FROM s.report', 'revenue FROM s.report', 'count(*) FROM s.sales WHERE store = 1', 'count(*) FROM s.sales WHERE random() < 0.5',
	'generate_series(1, 2)', 'sum(kpi.metric_column(\'s.revenue\'::regclass, NULL::numeric)) FROM s.sales', 'kpi.measure(revenue) FROM s.mv', 'frees FROM s.frees', 'frees FROM s.frees WHERE frees > 0', 'frees FROM s.frees JOIN s.late ON true', 'v FROM s.free', 'sum(v) FROM s.joined', 'kpi.measure(late) FROM s.mv_events', 'CASE WHEN count(*) >= 1 THEN 1 ELSE 2 END FROM s.sales',
);

# What a metric view is replaced by: changes of its own text
my %metric_view_edits = (
	'a sample' => [ qr/FROM (\S+)$/, 'FROM $1 TABLESAMPLE system (50)' ], 'without children' => [ qr/FROM (\S+)$/, 'FROM ONLY $1' ], 'a condition' => [ qr/$/, ' WHERE true' ], 'a limit' => [ qr/$/, ' LIMIT 5' ], 'a distinction' => [ qr/^ SELECT/, ' SELECT DISTINCT' ], 'another column' => [ qr/\n +FROM/, ', random() AS dice FROM' ],
	'a join' => [ qr/FROM (\S+)$/, 'FROM $1, s.stores' ], 'a subquery' => [ qr/FROM s\.(\w+)$/, 'FROM (SELECT * FROM s.$1) $1' ], 'plain columns' => [ qr/kpi\.metric_column\('[\w.]+'::regclass, (NULL::\w+(?: \w+)*)\)/, '$1' ], 'an order' => [ qr/$/, ' ORDER BY 1' ], 'another metric' => [ qr/'s\.\w+'::regclass, NULL::numeric/, q{'s.few'::regclass, NULL::numeric} ],
	'a marker in an expression' => [ qr/(kpi\.metric_column\('[\w.]+'::regclass, NULL::numeric\))/, '$1 + 1' ], 'a dimension that is volatile' => [ qr/^ SELECT (\S+?)\.(k|store)\b/, ' SELECT $1.$2 + (random() * 0)::int AS $2' ], 'a metric of another source' => [ qr/'s\.\w+'::regclass, NULL::(numeric|bigint)\)/, q{'s.frees'::regclass, NULL::$1)} ],
);

sub breaks
{
	my ($ask) = @_;
	my @all;
	my $group = '';
	my $add = sub { my ($name, $sql) = @_; my ($thing) = $name =~ /^([\w."]+)/; push @all, [ $name, $sql, $group . ': ' . $sql =~ s/\Q$thing\E\b/THING/gr =~ s/ctid = '.*?'/THIS/r ] };
	my @things = $ask->(q{SELECT t.oid::regclass, t.kind, t.guarded, t.tracked, c.relispartition, (SELECT i.inhparent::regclass FROM pg_inherits i WHERE i.inhrelid = t.oid) FROM lab.thing t JOIN pg_class c ON c.oid = t.oid ORDER BY t.name});
	for (@things)
	{
		my ($name, $kind, $guarded, $tracked, $partition, $parent) = @$_;
		next if $kind eq 'm';
		my $is_view = $kind !~ /^[rp]$/;
		$group = $is_view ? $kind : join ' ', 'table', ($guarded eq 't' ? 'guarded' : ()), ($tracked eq 't' ? 'tracked' : ()), ($partition eq 't' ? 'partition' : ());
		my @columns = $ask->("SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = '$name'::regclass AND attnum > 0");
		$add->($name, s/%1\$s/$name/gr) foreach $is_view ? @view_ways : @table_ways;
		$add->($name, 'ALTER ' . ($is_view ? 'VIEW' : 'TABLE') . " $name RENAME COLUMN $_->[0] TO called") foreach @columns;
		next if $kind eq 'v';
		if ($kind eq 'metric')
		{
			my ($column, $type) = @{ ($ask->("SELECT quote_ident(attname), format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '$name'::regclass AND attnum = 1"))[0] };
			for my $body (@metric_bodies)
			{
				my ($expression, $rest) = $body =~ /^(.*?)( FROM .*|)$/s;
				($expression, $rest) = ($body, '') if $body =~ /^\(/;
				next if $type =~ /time/ && $body !~ /count|late/;
				$expression = $type =~ /time/ ? "CASE WHEN ($expression) IS NULL THEN now() END" : "($expression)::$type";
				$add->($name, "CREATE OR REPLACE VIEW $name AS SELECT $expression AS $column$rest");
			}
			$add->($name, "CREATE OR REPLACE VIEW $name AS SELECT NULL::$type AS $column, 2 AS more");
		}
		elsif ($kind eq 'metric view')
		{
			my $text = join "\n", map { $_->[0] } $ask->("SELECT rtrim(pg_get_viewdef('$name'::regclass), ';')");
			for my $edit (sort keys %metric_view_edits)
			{
				my ($from, $to) = @{ $metric_view_edits{$edit} };
				my $new = $text;
				$to =~ s/([\@"\\])/\\$1/g;
				$new =~ s/$from/my @g = map { defined $_ ? $_ : '' } ($1, $2); my $t = $to; $t =~ s{\$(\d)}{$g[$1 - 1]}g; $t/e or next;
				$add->("$name, by $edit", "CREATE OR REPLACE VIEW $name AS $new");
			}
		}
		elsif ($kind eq 'dimension')
		{
			$add->($name, "CREATE OR REPLACE VIEW $name AS $_") foreach 'SELECT id, region, city FROM s.stores WHERE id < 3', 'SELECT 1 AS id, NULL::text AS region, NULL::text AS city', "SELECT k AS id, spare AS region, spare AS city FROM s.free", 'SELECT id, city AS region, region AS city FROM s.stores', 'SELECT id, region, city, 1 AS more FROM s.stores';
		}
		else
		{
			$add->($name, "ALTER TABLE $name DROP COLUMN $_->[0] CASCADE"), $add->($name, "ALTER TABLE $name ALTER COLUMN $_->[0] TYPE text USING $_->[0]::text") foreach @columns;
			$add->($name, "DROP POLICY $_->[0] ON $name"), $add->($name, "ALTER POLICY $_->[0] ON $name RENAME TO other"), $add->($name, "ALTER POLICY $_->[0] ON $name TO ck_other"), $add->($name, "ALTER POLICY $_->[0] ON $name USING (true)"), $add->($name, "ALTER POLICY $_->[0] ON $name USING (false)"),
				$add->($name, "DROP POLICY $_->[0] ON $name; ALTER TABLE $name RENAME COLUMN " . ($columns[0][0] eq 'id' ? 'store' : 'k') . ' TO called') foreach $ask->("SELECT quote_ident(polname) FROM pg_policy WHERE polrelid = '$name'::regclass ORDER BY 1");
			$add->($name, "ALTER TABLE $name $_->[1] TRIGGER $_->[0]") foreach $ask->("SELECT quote_ident(tgname), w FROM pg_trigger, unnest('{DISABLE,ENABLE,ENABLE REPLICA,ENABLE ALWAYS}'::text[]) w WHERE tgrelid = '$name'::regclass AND NOT tgisinternal ORDER BY 1, 2");
			$add->($name, "DROP TRIGGER $_->[0] ON $name"), $add->($name, "ALTER TRIGGER $_->[0] ON $name RENAME TO other") foreach $ask->("SELECT quote_ident(tgname) FROM pg_trigger WHERE tgrelid = '$name'::regclass AND NOT tgisinternal ORDER BY 1");
			$add->($name, "ALTER TABLE $parent DETACH PARTITION $name") if $partition eq 't';
			$add->($name, "ALTER TABLE $name NO INHERIT $parent") if $parent ne '' && $partition ne 't';
		}
	}
	$group = '';
	# partitions that come
	$add->('a partition', $_) foreach q{CREATE TABLE s.events_3 PARTITION OF s.events FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')}, q{CREATE TABLE s.events_3 (k int, at timestamptz, v int); INSERT INTO s.events_3 VALUES (3, '2026-03-05', 1); GRANT SELECT ON s.events_3 TO ck_reader; ALTER TABLE s.events ATTACH PARTITION s.events_3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')},
		q{CREATE FOREIGN TABLE s.events_3 PARTITION OF s.events FOR VALUES FROM ('2026-03-01') TO ('2026-04-01') SERVER nowhere}, q{CREATE TABLE s.loads_2 PARTITION OF s.loads FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')}, q{CREATE FOREIGN TABLE s.loads_2 PARTITION OF s.loads FOR VALUES FROM ('2027-01-01') TO ('2028-01-01') SERVER nowhere};
	# registry rows: each row gone, each value another
	for my $table (qw(metric_registry metric_view_registry dimension_registry scope_grant protection_registry track_registry))
	{
		my @rows = $ask->("SELECT ctid, format_type(r.id, NULL) FROM (SELECT ctid, 0::oid AS id FROM kpi.$table) r ORDER BY ctid");
		my @columns = $ask->("SELECT quote_ident(attname), format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'kpi.$table'::regclass AND attnum > 0 AND NOT attisdropped");
		my %values = (text => [q{'zzz'}], name => [q{'zzz'}], integer => ['77'], smallint => [ '9', '1', '-1' ], boolean => ['NOT %s'], regclass => [ '999999', q{'s.timeless'} ], regrole => [ '999999', q{'ck_other'} ], regtype => [ q{'bigint'}, q{'s.sales'}, '999999' ], 'text[]' => [ q{'{zzz}'}, q{'{}'}, q{'{{1,2},{3,4}}'}, 'ARRAY[NULL::text]' ], 'timestamp with time zone' => [q{'-infinity'}]);
		for my $row (@rows)
		{
			$add->("kpi.$table", "DELETE FROM kpi.$table WHERE ctid = '$row->[0]'");
			for my $column (@columns)
			{
				$add->("kpi.$table", "UPDATE kpi.$table SET $column->[0] = " . s/%s/$column->[0]/r . " WHERE ctid = '$row->[0]'") foreach @{ $values{ $column->[1] } // die "no other value of type $column->[1]" };
			}
		}
	}
	# roles, functions, triggers of the extension itself, settings of tables
	for my $role (qw(ck_own ck_def ck_reader ck_wide ck_admin))
	{
		$add->($role, $_) foreach "ALTER ROLE $role SUPERUSER", "ALTER ROLE $role BYPASSRLS", "ALTER ROLE $role RENAME TO ck_renamed", "REASSIGN OWNED BY $role TO ck_other; DROP OWNED BY $role; DROP ROLE $role", "REASSIGN OWNED BY $role TO ck_boss; DROP OWNED BY $role; DROP ROLE $role", "REVOKE ALL ON ALL TABLES IN SCHEMA s FROM $role";
	}
	$add->($_->[0], "ALTER EVENT TRIGGER $_->[0] $_->[1]") foreach $ask->("SELECT evtname, w FROM pg_event_trigger, unnest('{DISABLE,ENABLE,ENABLE REPLICA,RENAME TO other}'::text[]) w WHERE evtname ~ '^kpi_' ORDER BY 1, 2");
	$add->($_->[0], "ALTER TABLE $_->[0] $_->[1] TRIGGER $_->[2]") foreach $ask->("SELECT tgrelid::regclass, w, tgname FROM pg_trigger, unnest('{DISABLE,ENABLE,ENABLE REPLICA}'::text[]) w WHERE tgrelid::regclass::text ~ '^kpi\\.' AND NOT tgisinternal ORDER BY 1, 2");
	$add->('a function', $_) foreach 'ALTER FUNCTION s.twice(numeric) VOLATILE', 'ALTER FUNCTION s.twice(numeric) STABLE', 'ALTER FUNCTION s.step(numeric, numeric) VOLATILE', 'CREATE OR REPLACE FUNCTION s.twice(numeric) RETURNS numeric LANGUAGE sql VOLATILE RETURN 3 * $1';
	# views beside
	$add->('a view beside', $_) foreach 'CREATE VIEW s.beside AS SELECT * FROM s.sales', 'CREATE VIEW s.beside AS SELECT * FROM s.sales; GRANT SELECT ON s.beside TO ck_boss', 'CREATE VIEW s.beside WITH (security_invoker) AS SELECT * FROM s.sales; GRANT SELECT ON s.beside TO ck_reader';
	return @all;
}

1;
