-- Names that functions are given as text are read as SQL reads them; where nothing has the name so read, the text as it
-- stands is the name, if something has that
SET client_min_messages = warning;
CREATE ROLE regress_kpi_low; CREATE ROLE "regress_kpi_Müller"; CREATE ROLE regress_kpi_both; CREATE ROLE "REGRESS_KPI_BOTH"; CREATE ROLE "regress_kpi a.b";
CREATE SCHEMA names; SET search_path = names;
CREATE TABLE stores ("Key" int, low text, "Day" date, "TWIN" text, twin text, "a b" text, "a.b" text, "sa""id" text, "店" text);
CREATE FUNCTION answer(statement text, VARIADIC next text[] DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE problem text; detail text; hint text; result text;
BEGIN
  EXECUTE statement INTO result;
  FOREACH statement IN ARRAY next LOOP EXECUTE statement INTO result; END LOOP;
  RETURN coalesce(result, 'ok');
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n', SQLSTATE || ': ' || problem, 'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''));
END $$;

-- a new name has one reading
SELECT q AS name, answer('SELECT kpi.create_dimension(' || q || ')') AS answer FROM (VALUES
  ($$'Folded'$$), ($$'"Quoted"'$$), ($$'门店'$$), ($$'"two words"'$$), ($$'"a.b"'$$), ($$'"sa""id"'$$), ($$'  spaced  '$$), ($$'$1'$$), ($$'FOLDED'$$),
  ($$'two words'$$), ($$'a.b'$$), ($$'"open'$$), ($$'""'$$), ($$'"'$$), ($$' '$$), ($$''$$), ($$'x"; DROP TABLE stores; --'$$)) v(q);
SELECT name FROM kpi.scope_dimensions ORDER BY name COLLATE "C";

-- columns: of the key and of levels
SELECT q AS arguments, answer('SELECT kpi.create_dimension(' || q || ')', $$SELECT concat_ws(' ', d.key, d.levels, d.admin, kpi.drop_dimension('TEST')) FROM kpi.scope_dimensions d WHERE d.name = 'test'$$) AS answer FROM (VALUES
  ($$'test', 'stores', '"Key"', '{LOW}'$$), ($$'test', 'stores', 'Key', '{Low, "\"Day\"", Day, twin, Twin, "\"TWIN\""}'$$), ($$'test', 'stores', 'KEY', '{low}'$$),
  ($$'test', 'stores', '"Key"', ARRAY['"Day"', '"TWIN"', 'TWIN', '"a b"', '"a.b"', '"sa""id"', '店']$$), ($$'test', 'stores', 'Key', '{a b, a.b}'$$), ($$'test', 'stores', 'Key', ARRAY['a b', 'a.b', 'sa"id']$$),
  ($$'test', 'stores', '"key"'$$), ($$'test', 'stores', 'Key', '{"DAY"}'$$), ($$'test', 'stores', 'Key', ARRAY['"day"']$$), ($$'test', 'stores', 'Key', '{nothing}'$$),
  ($$'test', 'stores', 'Key', '{"a  b"}'$$), ($$'test', 'stores', 'stores.Key'$$), ($$'test', 'stores', 'Key, low'$$), ($$'test', 'stores', '"Key", low'$$), ($$'test', 'stores', '"Key, low"'$$), ($$'test', 'stores', ''$$),
  ($$'test', 'stores', 'Key', '{""}'$$), ($$'test', 'stores', 'Key', '{"\"Day"}'$$), ($$'test', 'stores', 'Key', admin => 'REGRESS_KPI_LOW'$$), ($$'test', 'stores', 'Key', admin => 'regress_kpi_Müller'$$)) v(q);

-- roles, dimensions and levels
SELECT kpi.create_dimension('"Store"', 'stores', '"Key"', '{low, "\"Day\"", "\"TWIN\"", twin}'), kpi.create_dimension('store'), kpi.create_dimension('"Only"');
SELECT q AS arguments, answer('SELECT kpi.grant_scope(' || q || $$, members => '{1}') $$,
  $$SELECT concat_ws(', ', s.role, quote_ident(s.dimension), s.level, kpi.revoke_scope(s.role::text, quote_ident(s.dimension), level => quote_ident(s.level), members => s.members)) FROM kpi.scopes s$$) AS answer FROM (VALUES
  ($$'REGRESS_KPI_LOW', 'STORE'$$), ($$'"regress_kpi_Müller"', '"Store"'$$), ($$'regress_kpi_Müller', 'Store'$$), ($$'regress_kpi_BOTH', 'Only'$$), ($$'"REGRESS_KPI_BOTH"', 'ONLY'$$), ($$'"REGRESS_KPI_BOTH"', '"Only"'$$),
  ($$'regress_kpi a.b', '"Only"'$$), ($$'"regress_kpi a.b"', '"Only"'$$), ($$'regress_kpi_BOTH', '"Store"', 'LOW'$$), ($$'regress_kpi_BOTH', '"Store"', 'Twin'$$), ($$'regress_kpi_BOTH', '"Store"', '"TWIN"'$$),
  ($$'regress_kpi_low', '"Store"', 'Twins'$$), ($$'regress_kpi_low', '"Store"', '"a'$$), ($$'regress_kpi_MÜLLER', 'store'$$), ($$'regress_kpi a', 'store'$$), ($$'public', 'store'$$), ($$'"current_user"', 'store'$$),
  ($$'regress_kpi_low', 'a b'$$)) v(q);
SELECT kpi.grant_scope('Current_User', 'store', members => '{1}'); SELECT role = current_user::regrole AS is_mine FROM kpi.scopes;
SELECT kpi.revoke_scope('session_user', 'Store');

-- protected by "Store", by store, and by one that only the text as it stands names
CREATE TABLE sales ("Key" int, key text, "At" date, at date);
SELECT kpi.grant_scope('regress_kpi_both', 'store', members => '{a}'), kpi.grant_scope('regress_kpi_both', '"Store"', members => '{1}'), kpi.grant_scope('regress_kpi_both', '"Only"', members => '{a}');
INSERT INTO stores ("Key") VALUES (1), (2); INSERT INTO sales VALUES (1, 'a'), (2, 'a'), (1, 'b');
GRANT USAGE ON SCHEMA names TO regress_kpi_both; GRANT SELECT ON sales TO regress_kpi_both;
SELECT answer($$SELECT kpi.protect('sales', 'Store', '"KEY"')$$);
SELECT kpi.protect('sales', 'Store', 'KEY'), kpi.protect('sales', '"Store"', '"Key"', 'WRITE'), kpi.protect('sales', 'Only', key => 'key', access => 'all');
SELECT * FROM kpi.protections ORDER BY dimension COLLATE "C";
SET quote_all_identifiers = on; SELECT count(*) FROM kpi.protections WHERE expression IS NOT NULL; RESET quote_all_identifiers;
SET ROLE regress_kpi_both; SELECT * FROM sales; RESET ROLE;
SELECT kpi.check() AS problem;
-- a policy never changes what dimension it asks, whatever comes later
SELECT kpi.create_dimension('only');
SET ROLE regress_kpi_both; SELECT * FROM sales; RESET ROLE;
SELECT answer($$SELECT kpi.in_scope('STORE', 'a'::text)$$), answer($$SELECT kpi.in_scope('"Store"', 'a'::text)$$), answer($$SELECT kpi.in_scope('Nothing', 1)$$), answer($$SELECT kpi.in_scope('a b', 1)$$);
SELECT answer($$SELECT kpi.unprotect('sales', 'STORE')$$), answer($$SELECT kpi.unprotect('sales', 'STORE')$$), answer($$SELECT kpi.unprotect('sales', 'Only')$$), answer($$SELECT kpi.unprotect('sales', '"Store"')$$);
SELECT answer($$SELECT kpi.protect('sales', 'store', 'key', $$ || quote_nullable(a) || ')') FROM unnest('{select,for,"",NULL}'::text[]) a;

-- the time column of a tracked table
SELECT q AS column, answer('SELECT kpi.track(''sales'', ' || q || ')', 'SELECT time_column FROM kpi.track_registry') AS answer FROM (VALUES
  ($$'AT'$$), ($$'"At"'$$), ($$'At'$$), ($$'Key'$$), ($$'"AT"'$$), ($$'names.sales.at'$$)) v(q);
SELECT kpi.untrack('sales');

-- owners, and the dimension that a change is explained by
CREATE TABLE lines (at date, "REGION" text, "Twin" text, twin text, amount int); INSERT INTO lines VALUES ('2026-01-01', 'E', 'x', 'y', 1), ('2026-02-01', 'E', 'x', 'y', 3);
SELECT kpi.create_metric('amount', 'SELECT sum(amount) FROM lines', owner => 'Current_Role'), kpi.create_metric_view('views', '{at, "\"REGION\" AS region", "\"Twin\"", twin}', '{amount}');
SELECT q AS by, answer($$SELECT string_agg(member, ',') FROM kpi.explain_change('amount', '[2026-01-01,2026-02-01)', '[2026-02-01,2026-03-01)', $$ || q || ')') AS answer FROM (VALUES
  ($$'REGION'$$), ($$'"Twin"'$$), ($$'Twin'$$), ($$'"region"'$$), ($$'"REGION"'$$), ($$'a b'$$), ($$''$$)) v(q);
SELECT answer($$SELECT kpi.alter_metric('amount', owner => 'REGRESS_KPI_NONE')$$), answer($$SELECT kpi.alter_metric('amount', owner => '"regress_kpi_Müller"')$$), pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'amount'::regclass;
ALTER VIEW amount OWNER TO postgres;

-- every argument can be named without quotes (lint looks at all functions), and remedies and listings name what there is
SELECT kpi.create_dimension(name => 'named', source => 'lines', key => '"REGION"', levels => '{twin}', admin => 'regress_kpi_low');
SELECT kpi.drop_dimension(name => quote_ident(d.name)) FROM kpi.scope_dimensions d;
RESET search_path;
DROP SCHEMA names CASCADE;
DROP ROLE regress_kpi_low, "regress_kpi_Müller", regress_kpi_both, "REGRESS_KPI_BOTH", "regress_kpi a.b";
