-- Rules about what CREATE EXTENSION kpitables makes.
--
-- Run by psql -AtX in an empty database, as a superuser. Prints "= RULE" for each rule and, under it, "! FINDING" for what
-- breaks it.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = error;
SET search_path = pg_catalog, pg_temp;

-- All objects of the database that have an entry here, by catalog.
CREATE TEMP VIEW everything AS
	SELECT 'pg_namespace' AS catalog, nspname AS name FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
	UNION ALL SELECT 'pg_class', relname FROM pg_class WHERE relnamespace::regnamespace::text !~ '^pg_(toast|(toast_)?temp_)'
	UNION ALL SELECT 'pg_proc', proname FROM pg_proc WHERE pronamespace::regnamespace::text !~ '^pg_temp_'
	UNION ALL SELECT 'pg_type', typname FROM pg_type WHERE typnamespace::regnamespace::text !~ '^pg_(toast_)?temp_'
	UNION ALL SELECT 'pg_operator', oprname FROM pg_operator
	UNION ALL SELECT 'pg_cast', castsource::regtype || ' as ' || casttarget::regtype FROM pg_cast
	UNION ALL SELECT 'pg_event_trigger', evtname FROM pg_event_trigger
	UNION ALL SELECT 'pg_extension', extname FROM pg_extension
	UNION ALL SELECT 'pg_depend', pg_describe_object(classid, objid, objsubid) FROM pg_depend
		WHERE NOT pg_describe_object(classid, objid, objsubid) ~ 'pg_(toast_)?temp_|pg_toast'
	UNION ALL SELECT 'pg_default_acl', defaclnamespace::regnamespace::text FROM pg_default_acl;
CREATE TEMP TABLE before AS SELECT * FROM everything;

CREATE EXTENSION kpitables;

CREATE TEMP VIEW member AS
	SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS name
	  FROM pg_depend d
	  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	 WHERE d.deptype = 'e' AND e.extname = 'kpitables';
CREATE TEMP VIEW member_function AS
	SELECT p.*, l.lanname, m.name FROM member m
	  JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
	  JOIN pg_language l ON l.oid = p.prolang;
CREATE TEMP VIEW member_relation AS
	SELECT c.*, m.name FROM member m
	  JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid;

\echo = the extension has members, all of them in the schema kpi
SELECT '! no members' WHERE NOT EXISTS (SELECT FROM member);
SELECT '! ' || name FROM member_function WHERE pronamespace <> 'kpi'::regnamespace;
SELECT '! ' || name FROM member_relation WHERE relnamespace <> 'kpi'::regnamespace;

\echo = functions are written in C, or in SQL with BEGIN ATOMIC or a search_path of their own
SELECT '! ' || name || ' in ' || lanname FROM member_function
 WHERE NOT (lanname IN ('c', 'internal')
	OR lanname = 'sql' AND (prosqlbody IS NOT NULL OR EXISTS (SELECT FROM unnest(proconfig) s WHERE s ~ '^search_path=')));

\echo = SECURITY DEFINER functions set search_path
SELECT '! ' || name FROM member_function
 WHERE prosecdef AND NOT EXISTS (SELECT FROM unnest(proconfig) s WHERE s ~ '^search_path=');

\echo = search_path, where it is set, holds no schema that others can write to
SELECT '! ' || name || ': ' || s FROM member_function, unnest(proconfig) s
 WHERE s ~ '^search_path=' AND s !~ '^search_path=(""|(pg_catalog|kpi)(, (pg_catalog|kpi))*, pg_temp)$';

\echo = no function claims to be leakproof
SELECT '! ' || name FROM member_function WHERE proleakproof;

\echo = every argument can be named without quotes, and every column
SELECT '! ' || f.name || ': ' || k.word FROM member_function f
 CROSS JOIN LATERAL unnest(proargnames) a (argument)
  JOIN pg_get_keywords() k ON k.word = a.argument AND k.catcode IN ('R', 'C', 'T');
SELECT '! ' || c.name || ', column ' || a.attname FROM member_relation c
  JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
  JOIN pg_get_keywords() k ON k.word = a.attname AND k.catcode IN ('R', 'T');

\echo = every object has a comment
SELECT '! ' || name FROM member m
 WHERE obj_description(objid, classid::regclass::text) IS NULL AND shobj_description(objid, classid::regclass::text) IS NULL
   AND NOT (classid = 'pg_class'::regclass		-- a sequence that belongs to a column
			AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = m.classid AND d.objid = m.objid AND d.deptype IN ('a', 'i')));

\echo = every column of a table or view has a comment
SELECT '! ' || name || ', column ' || attname FROM member_relation c
  JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
 WHERE relkind IN ('r', 'p', 'v', 'm') AND col_description(c.oid, attnum) IS NULL;

\echo = every table has a replica identity, so that it can be published, and takes nothing that is replicated
SELECT '! ' || name FROM member_relation c
 WHERE relkind IN ('r', 'p')
   AND NOT (relreplident = 'f'
			OR relreplident = 'd' AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary));
SELECT '! ' || name FROM member_relation c
 WHERE relkind IN ('r', 'p')
   AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgenabled = 'R' AND t.tgfoid = 'kpi.skip_replicated()'::regprocedure);

-- Name here what pg_dump must not carry, with the reason.
\echo = pg_dump carries the rows of every table and the state of every sequence
SELECT '! ' || name FROM member_relation
 WHERE relkind IN ('r', 'p', 'S')
   AND NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'kpitables' AND member_relation.oid = ANY (extconfig))
   AND relname NOT IN (SELECT relname FROM (VALUES (NULL::name, 'reason')) AS not_dumped (relname, reason) WHERE relname IS NOT NULL);

\echo = PUBLIC has no privilege on a table or sequence and may at most read a view
SELECT '! ' || name || ': ' || privilege_type FROM member_relation, aclexplode(relacl)
 WHERE grantee = 0 AND NOT (relkind = 'v' AND privilege_type = 'SELECT');
SELECT '! ' || name || ', column ' || attname || ': ' || privilege_type FROM member_relation c
  JOIN pg_attribute a ON attrelid = c.oid, aclexplode(attacl)
 WHERE grantee = 0 AND NOT (relkind = 'v' AND privilege_type = 'SELECT');

-- The folder is that of the tree.
\set readme `cat README.md src/*/README.md 2>/dev/null`
\echo = what PUBLIC may execute is named in a README
SELECT '! there is none' WHERE :'readme' = '';
SELECT '! ' || name FROM member_function
 WHERE has_function_privilege('public', oid, 'EXECUTE') AND :'readme' !~ ('kpi\.' || proname || '\M');

\echo = PUBLIC cannot create in the schema
SELECT '! ' || nspname FROM pg_namespace WHERE nspname = 'kpi' AND has_schema_privilege('public', oid, 'CREATE');

\echo = DROP EXTENSION leaves nothing behind
DROP VIEW member_relation, member_function, member;
DROP EXTENSION kpitables;
SELECT '! ' || catalog || ': ' || name FROM (SELECT * FROM everything EXCEPT ALL SELECT * FROM before) AS left_behind
 WHERE name::text !~ 'everything|before';
SELECT '! gone too: ' || catalog || ': ' || name FROM (SELECT * FROM before EXCEPT ALL SELECT * FROM everything) AS taken
 WHERE name::text !~ 'everything|before';
