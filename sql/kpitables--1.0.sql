\echo Use "CREATE EXTENSION kpitables" to load this file. \quit

-- Nothing that somebody put into another schema may stand for what is meant.
SET LOCAL search_path = pg_catalog, pg_temp;

-- No IF NOT EXISTS: where somebody made a schema of this name before, the
-- installation fails rather than trust what stands in it.
CREATE SCHEMA kpi;
COMMENT ON SCHEMA kpi IS 'kpitables: governed metrics';
REVOKE ALL ON SCHEMA kpi FROM PUBLIC;
GRANT USAGE ON SCHEMA kpi TO PUBLIC;
-- catalog: what the other components stand on

CREATE FUNCTION kpi.check_server_version()
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_check_server_version'
LANGUAGE C STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION kpi.check_server_version() FROM PUBLIC;
COMMENT ON FUNCTION kpi.check_server_version() IS
	'warn where the server lacks minor releases that fixed stale plans after changes of role membership';
SELECT kpi.check_server_version();

CREATE FUNCTION kpi.view_definition(view regclass)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_view_definition'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION kpi.view_definition(regclass) IS
	'the query of a view as pg_get_viewdef() writes it; waits for nobody and keeps no lock: NULL while somebody changes what the view reads, and for other relations';

-- A publication for all tables holds those of the extension, too.  So each of them has a
-- primary key or another replica identity, or nothing could be changed in them; and what
-- comes to a database that has the extension itself is left out, as if it were of a
-- catalog: it goes with views, policies and triggers, which do not come, and caches would
-- not learn of it, for logical replication fires no statement triggers.
CREATE FUNCTION kpi.skip_replicated()
RETURNS trigger
AS 'MODULE_PATHNAME', 'kpi_skip_replicated'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.skip_replicated() FROM PUBLIC;
COMMENT ON FUNCTION kpi.skip_replicated() IS
	'row trigger on the tables of the extension: leave out what logical replication brings from another database';

-- The rest is for kpi.check(): each component has a function of its findings.

CREATE FUNCTION kpi.missing_reads(view regclass, OUT relation regclass, OUT columns text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_missing_reads'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.missing_reads(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.missing_reads(regclass) IS
	'the columns that a view''s query names and its owner may not read, as GRANT takes them; no rows for a security invoker';

CREATE FUNCTION kpi.event_trigger_findings(name text, event text, function regprocedure)
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT 'error', coalesce(e.evtname, name),
		   CASE WHEN e.evtname IS NULL
				THEN 'the event trigger is missing; what it was is in the extension''s script alone: create it from there'
				ELSE 'the event trigger is not always enabled' END,
		   format('ALTER EVENT TRIGGER %I ENABLE ALWAYS', e.evtname)
	  FROM (VALUES (1)) one
	  LEFT JOIN pg_catalog.pg_event_trigger e ON e.evtfoid = function AND e.evtevent = event
	 WHERE e.evtenabled IS DISTINCT FROM 'A';
END;
REVOKE ALL ON FUNCTION kpi.event_trigger_findings(text, text, regprocedure) FROM PUBLIC;
COMMENT ON FUNCTION kpi.event_trigger_findings(text, text, regprocedure) IS
	'what kpi.check() tells of an event trigger: a function at an event';
-- scope: which rows of protected tables a role sees

-- A dimension with a table is a view beside that table: its first column is the
-- key, the others are the levels from coarse to fine.  PostgreSQL keeps the view
-- in step with the table.  A dimension without a table is a row here alone.
CREATE TABLE kpi.dimension_registry (
	name		text PRIMARY KEY,
	relid		regclass UNIQUE,
	type		regtype NOT NULL,
	owner		regrole,
	admin		regrole,
	CHECK ((relid IS NULL) = (owner IS NOT NULL))
);
REVOKE ALL ON kpi.dimension_registry FROM PUBLIC;
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.dimension_registry
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.dimension_registry ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.dimension_registry IS 'what comes by logical replication is of another database';
COMMENT ON TABLE kpi.dimension_registry IS
	'dimensions that rows are scoped by; read kpi.scope_dimensions, write by kpi.create_dimension()';
COMMENT ON COLUMN kpi.dimension_registry.name IS 'name of the dimension';
COMMENT ON COLUMN kpi.dimension_registry.relid IS
	'view of the dimension''s table: key, then levels from coarse to fine; NULL for plain values';
COMMENT ON COLUMN kpi.dimension_registry.type IS 'type of the key';
COMMENT ON COLUMN kpi.dimension_registry.owner IS 'owner of a dimension without a table; else the view''s owner is';
COMMENT ON COLUMN kpi.dimension_registry.admin IS 'role that may grant scopes beside the owner';
-- What was dropped is nothing in a dump, a role nobody, never what has its OID where the
-- dump is restored.  The condition is what pg_dump appends to "SELECT <all columns> FROM
-- ONLY <table>", so it may give other rows in place of them.
SELECT pg_catalog.pg_extension_config_dump('kpi.dimension_registry',
	'WHERE false UNION ALL
	 SELECT d.name, d.relid,
			CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid = d.type)
				THEN d.type ELSE 0::pg_catalog.regtype END,
			CASE WHEN d.owner IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = d.owner)
				THEN d.owner ELSE 0::pg_catalog.regrole END,
			CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = d.admin) THEN d.admin END
	   FROM (SELECT * FROM kpi.dimension_registry ORDER BY ctid) d
	  WHERE d.relid IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = d.relid)');

-- Roles are kept by OID: another role of the same name has nothing.  There are no
-- foreign keys among these tables: a parallel restore fills them in any order.
CREATE TABLE kpi.scope_grant (
	grantee		regrole NOT NULL,
	dimension	text NOT NULL,
	level		smallint NOT NULL CHECK (level >= 0),
	members		text[] NOT NULL,
	valid_until	timestamptz NOT NULL DEFAULT 'infinity',
	granted_by	regrole NOT NULL,
	granted_at	timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (dimension, grantee, level, valid_until)
);
REVOKE ALL ON kpi.scope_grant FROM PUBLIC;
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.scope_grant
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.scope_grant ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.scope_grant IS 'what comes by logical replication is of another database';
COMMENT ON TABLE kpi.scope_grant IS
	'scopes of roles; read kpi.scopes or kpi.my_scope(), write by kpi.grant_scope()';
COMMENT ON COLUMN kpi.scope_grant.grantee IS 'the role that has the scope';
COMMENT ON COLUMN kpi.scope_grant.dimension IS 'name of the dimension';
COMMENT ON COLUMN kpi.scope_grant.level IS
	'column of the dimension''s view that members are values of; 1 is the key, 0 is full scope';
COMMENT ON COLUMN kpi.scope_grant.members IS 'values of the level, as its type writes them';
COMMENT ON COLUMN kpi.scope_grant.valid_until IS 'when the scope ends';
COMMENT ON COLUMN kpi.scope_grant.granted_by IS 'the role that granted it last';
COMMENT ON COLUMN kpi.scope_grant.granted_at IS 'when that was';
SELECT pg_catalog.pg_extension_config_dump('kpi.scope_grant',
	'WHERE false UNION ALL
	 SELECT g.grantee, g.dimension, g.level, g.members, g.valid_until,
			CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = g.granted_by)
				THEN g.granted_by ELSE 0::pg_catalog.regrole END,
			g.granted_at
	   FROM (SELECT * FROM kpi.scope_grant
			  WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = grantee)
			  ORDER BY ctid) g');

CREATE TABLE kpi.protection_registry (
	relid		regclass NOT NULL,
	dimension	text NOT NULL,
	attname		name NOT NULL,
	writes		boolean NOT NULL,
	PRIMARY KEY (relid, dimension)
);
REVOKE ALL ON kpi.protection_registry FROM PUBLIC;
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.protection_registry
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.protection_registry ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.protection_registry IS 'what comes by logical replication is of another database';
COMMENT ON TABLE kpi.protection_registry IS
	'tables that obey scopes; read kpi.protections, write by kpi.protect()';
COMMENT ON COLUMN kpi.protection_registry.relid IS 'the table';
COMMENT ON COLUMN kpi.protection_registry.dimension IS 'the dimension that scopes it';
COMMENT ON COLUMN kpi.protection_registry.attname IS 'the column that holds the key; follows when it is renamed';
COMMENT ON COLUMN kpi.protection_registry.writes IS 'do writes obey, too?';
SELECT pg_catalog.pg_extension_config_dump('kpi.protection_registry',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = relid) ORDER BY ctid');

CREATE FUNCTION kpi.scope_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'kpi_scope_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.scope_changed() IS
	'trigger on what scopes are computed from: plans that hold a scope are made anew';

CREATE TRIGGER scope_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON kpi.scope_grant
	FOR EACH STATEMENT EXECUTE FUNCTION kpi.scope_changed();
ALTER TABLE kpi.scope_grant ENABLE ALWAYS TRIGGER scope_changed;
COMMENT ON TRIGGER scope_changed ON kpi.scope_grant IS 'plans that hold a scope are made anew';

CREATE TRIGGER scope_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON kpi.dimension_registry
	FOR EACH STATEMENT EXECUTE FUNCTION kpi.scope_changed();
ALTER TABLE kpi.dimension_registry ENABLE ALWAYS TRIGGER scope_changed;
COMMENT ON TRIGGER scope_changed ON kpi.dimension_registry IS 'plans that hold a scope are made anew';

CREATE FUNCTION kpi.create_dimension(
	name text,
	source regclass DEFAULT NULL,
	key text DEFAULT NULL,
	levels text[] DEFAULT NULL,
	type regtype DEFAULT NULL,
	admin text DEFAULT NULL,
	or_replace boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_create_dimension'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.create_dimension(text, regclass, text, text[], regtype, text, boolean) IS
	'register a dimension: the columns of a table that are its key and its levels, from coarse to fine; or without a table, plain values of a type (text unless given); admin is a role that may grant scopes beside the owner; takes CREATE on the database; makes view <name>_dimension and two triggers at the table; with or_replace, a dimension that is there keeps its table, key and scopes, and gets further levels behind those it has, and another admin, if given: raises 42809 for other changes; raises 42804 for types that are neither base types nor enums';

CREATE FUNCTION kpi.drop_dimension(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_drop_dimension'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.drop_dimension(text) IS
	'drop a dimension and the scopes on it; raises 2BP01 while a table is protected by it';

CREATE FUNCTION kpi.grant_scope(
	role text,
	dimension text,
	level text DEFAULT NULL,
	members text[] DEFAULT NULL,
	valid_until timestamptz DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_grant_scope'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.grant_scope(text, text, text, text[], timestamptz) IS
	'let a role see the rows of members of a dimension: keys, or values of a level; {*} is full scope; until a moment, if given; only the dimension''s owner and admin may';

CREATE FUNCTION kpi.revoke_scope(
	role text,
	dimension text,
	level text DEFAULT NULL,
	members text[] DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_revoke_scope'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.revoke_scope(text, text, text, text[]) IS
	'take members of a dimension, or of a level of it, from a role; without members all of the level, without a level and members all of the dimension; {*} is full scope; raises 42704 where the role has no such scope';

CREATE FUNCTION kpi.in_scope_support(internal)
RETURNS internal
AS 'MODULE_PATHNAME', 'kpi_in_scope_support'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION kpi.in_scope_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION kpi.in_scope_support(internal) IS
	'planner support function of kpi.in_scope(): a condition on the column, with constants';

CREATE FUNCTION kpi.in_scope(dimension text, value anyelement)
RETURNS boolean
AS 'MODULE_PATHNAME', 'kpi_in_scope'
LANGUAGE C STABLE PARALLEL RESTRICTED
SUPPORT kpi.in_scope_support;
COMMENT ON FUNCTION kpi.in_scope(text, anyelement) IS
	'is a key of the dimension in the scope of the current user? NULL keys are in full scope only; raises 42704 for a dimension that does not exist';

CREATE FUNCTION kpi.scope_holds(dimension text, members text[])
RETURNS boolean
AS 'MODULE_PATHNAME', 'kpi_scope_holds'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION kpi.scope_holds(text, text[]) IS
	'are all of some keys of a dimension, as its type writes them, in the scope of the current user? Unknown (NULL) keys are in full scope only; false where that cannot be told at once';

CREATE FUNCTION kpi.within_scopes()
RETURNS boolean
AS 'MODULE_PATHNAME', 'kpi_within_scopes'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi.within_scopes() IS
	'true: the condition of policy kpi_open, which lets through what scopes leave; as it is part of the extension, the policy does not stay behind when the scopes go';

CREATE FUNCTION kpi.protect(
	relation regclass,
	dimension text,
	key text,
	access text DEFAULT 'read')
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_protect'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.protect(regclass, text, text, text) IS
	'let a table and its partitions obey the scopes of a dimension, whose key the column holds: for reading (read), or for writing, too (write or all); enables and forces row security; raises 55000 where a parent of the table, or of one below it, does not obey by the same column';

CREATE FUNCTION kpi.unprotect(relation regclass, dimension text)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_unprotect'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.unprotect(regclass, text) IS
	'let a table no longer obey the scopes of a dimension; row security is disabled with the last one, unless it was enabled before or the table has policies of its own';

CREATE FUNCTION kpi.relation_and_children(relation regclass)
RETURNS SETOF regclass
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH RECURSIVE family (relid) AS (
		SELECT relation::oid
		UNION
		SELECT i.inhrelid
		  FROM family
		  JOIN pg_catalog.pg_inherits i ON i.inhparent = family.relid
	)
	SELECT family.relid::regclass FROM family;
END;
REVOKE ALL ON FUNCTION kpi.relation_and_children(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.relation_and_children(regclass) IS
	'a table, its partitions and what inherits from it, at any depth';

CREATE FUNCTION kpi.relation_and_parents(relation regclass)
RETURNS SETOF regclass
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH RECURSIVE family (relid) AS (
		SELECT relation::oid
		UNION
		SELECT i.inhparent
		  FROM family
		  JOIN pg_catalog.pg_inherits i ON i.inhrelid = family.relid
	)
	SELECT family.relid::regclass FROM family;
END;
REVOKE ALL ON FUNCTION kpi.relation_and_parents(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.relation_and_parents(regclass) IS
	'a table, and what it is a partition of or inherits from, at any depth';

CREATE FUNCTION kpi.policy_column(relation oid, dimension text, writes boolean, type oid)
RETURNS smallint
AS 'MODULE_PATHNAME', 'kpi_policy_column'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi.policy_column(oid, text, boolean, oid) IS
	'the number of the column that the policy of a dimension''s scope asks about; NULL where there is none as kpi.protect() makes it, for a key of a type unless that is 0; waits for nobody';

CREATE FUNCTION kpi.policy_statement(relation oid, dimension text, type oid, key name, writes boolean)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_policy_statement'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION kpi.policy_statement(oid, text, oid, name, boolean) FROM PUBLIC;
COMMENT ON FUNCTION kpi.policy_statement(oid, text, oid, name, boolean) IS
	'the statement that makes the policy of a dimension''s scope; NULL where the column is not there or does not hold a key of that type';

CREATE FUNCTION kpi.opening_statement(relation oid)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_opening_statement'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION kpi.opening_statement(oid) FROM PUBLIC;
COMMENT ON FUNCTION kpi.opening_statement(oid) IS
	'where no policy of a table lets rows through, or kpi_open was changed: the statements that put it right; else NULL';

CREATE FUNCTION kpi.guarded_relations(relations oid[])
RETURNS TABLE (relation oid, dimension text, key name, writes boolean)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH RECURSIVE above (relid) AS (
		SELECT u.relid FROM unnest(relations) u (relid)
		UNION
		SELECT i.inhparent
		  FROM above
		  JOIN pg_catalog.pg_inherits i ON i.inhrelid = above.relid
	), guarded (relid, dimension, attname, writes) AS (
		SELECT p.relid::oid, p.dimension, p.attname, p.writes
		  FROM kpi.protection_registry p
		 WHERE relations IS NULL OR p.relid::oid IN (SELECT above.relid FROM above)
		UNION
		SELECT i.inhrelid, g.dimension, g.attname, g.writes
		  FROM guarded g
		  JOIN pg_catalog.pg_inherits i ON i.inhparent = g.relid
	)
	SELECT g.relid, g.dimension, g.attname, bool_or(g.writes)
	  FROM guarded g
	  JOIN pg_catalog.pg_class c ON c.oid = g.relid
	 GROUP BY g.relid, g.dimension, g.attname;
END;
REVOKE ALL ON FUNCTION kpi.guarded_relations(oid[]) FROM PUBLIC;
COMMENT ON FUNCTION kpi.guarded_relations(oid[]) IS
	'the tables that must obey scopes, with what is below them, and by which column; of the protections that reach some tables, or with NULL of all';

CREATE FUNCTION kpi.protection_gaps(relations oid[])
RETURNS TABLE (relation oid, dimension text, key name, writes boolean, parent oid)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH RECURSIVE below (relid) AS (
		SELECT u.relid FROM unnest(relations) u (relid)
		UNION
		SELECT i.inhrelid
		  FROM below
		  JOIN pg_catalog.pg_inherits i ON i.inhparent = below.relid
	), guarded AS MATERIALIZED (
		SELECT g.relation, g.dimension, g.key, g.writes
		  FROM kpi.guarded_relations(CASE WHEN relations IS NOT NULL THEN ARRAY(SELECT below.relid FROM below) END) g
	), concerned AS (
		SELECT g.relation, g.dimension, g.key, g.writes
		  FROM guarded g
		 WHERE relations IS NULL OR g.relation IN (SELECT below.relid FROM below)
	)
	SELECT g.relation, g.dimension, g.key, g.writes, NULL::oid
	  FROM concerned g
	  JOIN pg_catalog.pg_class c ON c.oid = g.relation AND c.relkind IN ('r', 'p', 'f')
	 WHERE NOT (c.relrowsecurity AND c.relforcerowsecurity)
		OR NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
						WHERE a.attrelid = g.relation AND a.attname = g.key
						  AND a.attnum = kpi.policy_column(g.relation, g.dimension, g.writes,
														   coalesce((SELECT d.type::oid FROM kpi.dimension_registry d
																	  WHERE d.name = g.dimension), 0)))
	UNION ALL
	SELECT g.relation, g.dimension, g.key, g.writes, i.inhparent
	  FROM concerned g
	  JOIN pg_catalog.pg_inherits i ON i.inhrelid = g.relation
	 WHERE NOT EXISTS (SELECT FROM guarded p
						WHERE p.relation = i.inhparent AND p.dimension = g.dimension
						  AND p.key = g.key AND p.writes >= g.writes);
END;
REVOKE ALL ON FUNCTION kpi.protection_gaps(oid[]) FROM PUBLIC;
COMMENT ON FUNCTION kpi.protection_gaps(oid[]) IS
	'what is missing for tables, and what is below them, to obey scopes: policies of their own, or those of a parent through which they would be seen; with NULL for all tables';

CREATE FUNCTION kpi.unregistered_protections(relations oid[])
RETURNS TABLE (relation oid, dimension text, key name, writes boolean)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT y.polrelid, d.name, a.attname, y.polcmd = '*'
	  FROM pg_catalog.pg_policy y
	  JOIN kpi.dimension_registry d ON y.polname::text = 'kpi_scope_' || d.name
	  JOIN pg_catalog.pg_attribute a
		ON a.attrelid = y.polrelid AND a.attnum = kpi.policy_column(y.polrelid, d.name, y.polcmd = '*', 0)
	 WHERE (relations IS NULL OR y.polrelid = ANY (relations))
	   AND (y.polrelid, d.name) NOT IN (SELECT g.relation, g.dimension FROM kpi.guarded_relations(relations) g);
END;
REVOKE ALL ON FUNCTION kpi.unregistered_protections(oid[]) FROM PUBLIC;
COMMENT ON FUNCTION kpi.unregistered_protections(oid[]) IS
	'tables that obey scopes by their policies, but are not registered for that, nor anything above them; of some, or with NULL of all';

CREATE VIEW kpi.dimension_table AS
SELECT DISTINCT d.name AS dimension,
	   s.oid AS relation,
	   EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE s.oid IN (i.inhrelid, i.inhparent)) AS has_relatives
  FROM kpi.dimension_registry d
  JOIN pg_catalog.pg_rewrite w ON w.ev_class = d.relid::oid
  JOIN pg_catalog.pg_depend e ON e.classid = 'pg_catalog.pg_rewrite'::regclass AND e.objid = w.oid
  JOIN pg_catalog.pg_class s ON e.refclassid = 'pg_catalog.pg_class'::regclass AND s.oid = e.refobjid AND s.relkind IN ('r', 'p');
REVOKE ALL ON kpi.dimension_table FROM PUBLIC;
COMMENT ON VIEW kpi.dimension_table IS 'the tables of dimensions';
COMMENT ON COLUMN kpi.dimension_table.dimension IS 'name of the dimension';
COMMENT ON COLUMN kpi.dimension_table.relation IS 'OID of its table';
COMMENT ON COLUMN kpi.dimension_table.has_relatives IS 'is it a partition, or has it parents or children?';

CREATE FUNCTION kpi.protect_partitions()
RETURNS event_trigger
AS 'MODULE_PATHNAME', 'kpi_protect_partitions'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.protect_partitions() FROM PUBLIC;
COMMENT ON FUNCTION kpi.protect_partitions() IS
	'event trigger: partitions and children that come to a protected table obey its scopes, parents that do not are refused; names of key columns are followed';

CREATE EVENT TRIGGER kpi_protect_partitions ON ddl_command_end
	WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE',
				 'IMPORT FOREIGN SCHEMA', 'CREATE SCHEMA',
				 'ALTER VIEW', 'ALTER MATERIALIZED VIEW', 'ALTER INDEX', 'ALTER SEQUENCE', 'ALTER TYPE')
	EXECUTE FUNCTION kpi.protect_partitions();
ALTER EVENT TRIGGER kpi_protect_partitions ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER kpi_protect_partitions IS
	'partitions that come to a protected table obey its scopes';

CREATE FUNCTION kpi.scope_bypass(relation regclass)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_scope_bypass'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.scope_bypass(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.scope_bypass(regclass) IS
	'how reading a view would see rows of a protected table outside the reader''s scope; NULL if it would not';

CREATE FUNCTION kpi.dimension_problem(name text)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_dimension_problem'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.dimension_problem(text) FROM PUBLIC;
COMMENT ON FUNCTION kpi.dimension_problem(text) IS
	'why a dimension cannot be used; NULL if it can; waits for nobody and runs nobody''s code';

CREATE FUNCTION kpi.scope_problem(
	dimension text, level smallint, INOUT members text[], OUT problem text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_scope_problem'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.scope_problem(text, smallint, text[]) FROM PUBLIC;
COMMENT ON FUNCTION kpi.scope_problem(text, smallint, text[]) IS
	'those members of a scope that no row of the dimension''s table has, or why it cannot be read; no row where all is well, and where the table is locked';

CREATE VIEW kpi.scope_dimensions WITH (security_barrier) AS
SELECT d.name,
	   pg_get_userbyid(coalesce(c.relowner, d.owner::oid)) AS owner,
	   pg_get_userbyid(d.admin::oid) AS admin,
	   d.relid AS view,
	   d.type,
	   (SELECT a.attname FROM pg_catalog.pg_attribute a
		 WHERE a.attrelid = d.relid AND a.attnum = 1) AS key,
	   ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
			  WHERE a.attrelid = d.relid AND a.attnum > 1
			  ORDER BY a.attnum) AS levels
  FROM kpi.dimension_registry d
  LEFT JOIN pg_catalog.pg_class c ON c.oid = d.relid;
COMMENT ON VIEW kpi.scope_dimensions IS 'dimensions that rows are scoped by';
COMMENT ON COLUMN kpi.scope_dimensions.name IS 'name of the dimension';
COMMENT ON COLUMN kpi.scope_dimensions.owner IS 'role that owns it';
COMMENT ON COLUMN kpi.scope_dimensions.admin IS 'role that may grant scopes beside the owner, or NULL';
COMMENT ON COLUMN kpi.scope_dimensions.view IS 'its view; NULL for plain values';
COMMENT ON COLUMN kpi.scope_dimensions.type IS 'type of its key';
COMMENT ON COLUMN kpi.scope_dimensions.key IS 'its key; NULL for plain values';
COMMENT ON COLUMN kpi.scope_dimensions.levels IS 'its levels, from coarse to fine';

CREATE VIEW kpi.scopes WITH (security_barrier) AS
SELECT g.grantee AS role,
	   g.dimension,
	   a.attname AS level,
	   g.members,
	   nullif(g.valid_until, 'infinity') AS valid_until,
	   g.granted_by,
	   g.granted_at
  FROM kpi.scope_grant g
  JOIN kpi.dimension_registry d ON d.name = g.dimension
  LEFT JOIN pg_catalog.pg_class c ON c.oid = d.relid
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.relid AND a.attnum = g.level AND g.level > 1
 WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r
				WHERE r.oid IN (g.grantee, c.relowner, d.owner, d.admin)
				  AND pg_has_role(r.oid, 'USAGE'));
COMMENT ON VIEW kpi.scopes IS
	'scopes of roles whose privileges the current user has, and all on dimensions that it administers';
COMMENT ON COLUMN kpi.scopes.role IS 'the role that has the scope';
COMMENT ON COLUMN kpi.scopes.dimension IS 'name of the dimension';
COMMENT ON COLUMN kpi.scopes.level IS 'level that members are values of; NULL for keys';
COMMENT ON COLUMN kpi.scopes.members IS 'the members; {*} is full scope';
COMMENT ON COLUMN kpi.scopes.valid_until IS 'when the scope ends; NULL for never';
COMMENT ON COLUMN kpi.scopes.granted_by IS 'the role that granted it last';
COMMENT ON COLUMN kpi.scopes.granted_at IS 'when that was';

CREATE FUNCTION kpi.my_scope(
	OUT dimension text, OUT level name, OUT members text[],
	OUT through regrole, OUT valid_until timestamptz)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT s.dimension, s.level, s.members, s.role, s.valid_until
	  FROM kpi.scopes s
	 WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r
					WHERE r.oid = s.role AND pg_has_role(r.oid, 'USAGE'))
	   AND (s.valid_until IS NULL OR s.valid_until > statement_timestamp())
	 ORDER BY s.dimension, s.level NULLS LAST, s.role::text;
END;
COMMENT ON FUNCTION kpi.my_scope() IS
	'what the current user sees and why: the scopes in force, and the roles through which they come';

CREATE VIEW kpi.protections WITH (security_barrier) AS
SELECT p.relid AS relation,
	   p.dimension,
	   CASE WHEN a.attnum IS NOT NULL
			THEN format('kpi.in_scope(%L::text, %s)', quote_ident(p.dimension),
						CASE WHEN a.atttypid = d.type THEN quote_ident(a.attname)
							 ELSE format('(%I)::%s', a.attname, d.type) END) END AS expression,
	   p.writes
  FROM kpi.protection_registry p
  JOIN pg_catalog.pg_class c ON c.oid = p.relid
  LEFT JOIN kpi.dimension_registry d ON d.name = p.dimension
  LEFT JOIN pg_catalog.pg_attribute a
	ON a.attrelid = c.oid AND a.attnum = kpi.policy_column(c.oid, p.dimension, p.writes, coalesce(d.type::oid, 0))
 WHERE has_any_column_privilege(p.relid, 'SELECT') OR pg_has_role(c.relowner, 'USAGE');
COMMENT ON VIEW kpi.protections IS 'tables that obey scopes, of those that the current user may read or owns';
COMMENT ON COLUMN kpi.protections.relation IS 'the table';
COMMENT ON COLUMN kpi.protections.dimension IS 'the dimension that scopes it';
COMMENT ON COLUMN kpi.protections.expression IS
	'the policy''s condition; NULL where the policy is missing or is not as it was made: see kpi.check()';
COMMENT ON COLUMN kpi.protections.writes IS 'do writes obey, too?';

REVOKE ALL ON kpi.scope_dimensions, kpi.scopes, kpi.protections FROM PUBLIC;
GRANT SELECT ON kpi.scope_dimensions, kpi.scopes, kpi.protections TO PUBLIC;
-- scope_findings: what kpi.check() tells of dimensions, scopes and protected tables

-- That a view shows rows outside its readers' scopes may be meant.
CREATE TABLE kpi.accepted_bypass (
	relid		regclass PRIMARY KEY,
	reason		text NOT NULL,
	accepted_by	text NOT NULL DEFAULT session_user,
	accepted_at	timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON kpi.accepted_bypass FROM PUBLIC;
COMMENT ON TABLE kpi.accepted_bypass IS
	'views that may show rows of protected tables outside their readers'' scopes; write by kpi.accept_bypass()';
COMMENT ON COLUMN kpi.accepted_bypass.relid IS 'the view or materialized view';
COMMENT ON COLUMN kpi.accepted_bypass.reason IS 'why that is meant';
COMMENT ON COLUMN kpi.accepted_bypass.accepted_by IS 'who said so';
COMMENT ON COLUMN kpi.accepted_bypass.accepted_at IS 'when that was';
SELECT pg_catalog.pg_extension_config_dump('kpi.accepted_bypass',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = relid) ORDER BY ctid');
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.accepted_bypass
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.accepted_bypass ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.accepted_bypass IS 'what comes by logical replication is of another database';

CREATE FUNCTION kpi.accept_bypass(view regclass, reason text)
RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
	DELETE FROM kpi.accepted_bypass a WHERE a.relid = view;
	INSERT INTO kpi.accepted_bypass (relid, reason)
	SELECT view, accept_bypass.reason WHERE accept_bypass.reason <> '';
END;
REVOKE ALL ON FUNCTION kpi.accept_bypass(regclass, text) FROM PUBLIC;
COMMENT ON FUNCTION kpi.accept_bypass(regclass, text) IS
	'it is meant, for a reason, that a view shows rows of protected tables outside its readers'' scopes: kpi.check() no longer tells of it; without a reason it does again; for superusers';

CREATE FUNCTION kpi.key_owner_reads(dimension text)
RETURNS TABLE (relation regclass, columns text, owner name)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT m.relation, m.columns, pg_get_userbyid(v.relowner)
	  FROM kpi.dimension_registry d
	  JOIN pg_catalog.pg_class v ON v.oid = d.relid
	 CROSS JOIN LATERAL kpi.missing_reads(d.relid) m
	 WHERE d.name = dimension;
END;
REVOKE ALL ON FUNCTION kpi.key_owner_reads(text) FROM PUBLIC;
COMMENT ON FUNCTION kpi.key_owner_reads(text) IS
	'what the owner of a dimension''s view may not read of its table';

CREATE FUNCTION kpi.dimension_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH dimension AS MATERIALIZED (
		SELECT d.*, kpi.dimension_problem(d.name) AS problem,
			   EXISTS (SELECT FROM kpi.key_owner_reads(d.name)) AS unreadable
		  FROM kpi.dimension_registry d
	), sources AS (						-- their tables, where they can be used
		SELECT d.name, t.relation
		  FROM dimension d
		  JOIN kpi.dimension_table t ON t.dimension = d.name
		 WHERE d.problem IS NULL
	)
	SELECT 'error', d.name,
		   format('role "%s", which owns its view, may not read %s (%s): queries of tables that it protects fail',
				  m.owner, m.relation, m.columns),
		   format('GRANT SELECT (%s) ON %s TO %I', m.columns, m.relation, m.owner)
	  FROM dimension d
	 CROSS JOIN LATERAL kpi.key_owner_reads(d.name) m
	UNION ALL
	SELECT 'error', d.name,
		   format('the dimension cannot be used, and queries of tables that it protects fail: %s; after dropping it, create it and grant its scopes again', d.problem),
		   format('SELECT kpi.drop_dimension(%L)', quote_ident(d.name))
	  FROM dimension d
	 WHERE d.problem IS NOT NULL AND NOT d.unreadable
	UNION ALL
	SELECT 'error', d.name, 'the dimension''s trigger is missing or not enabled: scopes follow changes late',
		   format('DROP TRIGGER IF EXISTS %1$I ON %2$s; CREATE TRIGGER %1$I AFTER %3$s ON %2$s FOR EACH %4$s EXECUTE FUNCTION kpi.scope_changed(); ALTER TABLE %2$s ENABLE %5$s TRIGGER %1$I',
				  w.name, d.relation::regclass, w.events, w.level, w.mode)
	  FROM sources d
	 CROSS JOIN LATERAL (VALUES (d.name || '_dimension', 60, 'INSERT OR UPDATE OR DELETE OR TRUNCATE', 'STATEMENT', 'ALWAYS'),
								(d.name || '_dimension_row', 29, 'INSERT OR UPDATE OR DELETE', 'ROW', 'REPLICA'))
		   w (name, type, events, level, mode)
	 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
						WHERE t.tgrelid = d.relation AND t.tgtype = w.type
						  AND t.tgenabled IN ('A', left(w.mode, 1)::"char")
						  AND t.tgqual IS NULL AND t.tgattr::text = ''
						  AND t.tgfoid = 'kpi.scope_changed()'::regprocedure)
	UNION ALL
	SELECT 'error', d.name,
		   format('the dimension''s table %s is a partition, or has parents or children: scopes follow their changes late', d.relation::regclass),
		   CASE WHEN c.relispartition THEN format('ALTER TABLE %s DETACH PARTITION %s', i.inhparent::regclass, i.inhrelid::regclass)
				ELSE format('ALTER TABLE %s NO INHERIT %s', i.inhrelid::regclass, i.inhparent::regclass) END
	  FROM sources d
	  JOIN pg_catalog.pg_inherits i ON d.relation IN (i.inhrelid, i.inhparent)
	  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
	UNION ALL
	SELECT 'error', d.name, 'the role that owned the dimension was dropped',
		   format('UPDATE kpi.dimension_registry SET owner = %L WHERE name = %L', session_user, d.name)
	  FROM dimension d
	 WHERE d.owner IS NOT NULL
	   AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = d.owner)
	UNION ALL
	SELECT 'warning', d.name, 'the role that administered the dimension was dropped',
		   format('UPDATE kpi.dimension_registry SET admin = NULL WHERE name = %L', d.name)
	  FROM dimension d
	 WHERE d.admin IS NOT NULL
	   AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = d.admin)
	UNION ALL							-- what tells all sessions that scopes have changed
	SELECT 'error', t.tgrelid::regclass::text, format('trigger "%s" does not always fire: scopes follow changes late', t.tgname),
		   format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.tgrelid::regclass, t.tgname)
	  FROM pg_catalog.pg_trigger t
	 WHERE t.tgrelid IN ('kpi.scope_grant'::regclass, 'kpi.dimension_registry'::regclass)
	   AND t.tgfoid = 'kpi.scope_changed()'::regprocedure
	   AND t.tgenabled <> 'A';
END;
REVOKE ALL ON FUNCTION kpi.dimension_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.dimension_findings() IS 'what kpi.check() tells of dimensions';

CREATE FUNCTION kpi.grant_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
	WITH scope AS (						-- of roles that are there, and where it is told which
		SELECT g.*, pg_get_userbyid(g.grantee) AS role, a.attname AS level_name,
			   format('DELETE FROM kpi.scope_grant WHERE grantee = %L AND dimension = %L AND level = %s AND valid_until = %L',
					  g.grantee::oid, g.dimension, g.level, g.valid_until) AS removal
		  FROM kpi.scope_grant g
		  JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
		  LEFT JOIN kpi.dimension_registry d ON d.name = g.dimension
		  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.relid AND a.attnum = g.level AND g.level > 1
	)
	SELECT 'warning', format('scope on %s', g.dimension),
		   format('the role with OID %s, which has it, was dropped', g.grantee::oid),
		   format('DELETE FROM kpi.scope_grant WHERE grantee = %L', g.grantee::oid)
	  FROM kpi.scope_grant g
	 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = g.grantee)
	UNION ALL
	SELECT 'warning', format('scope of %s on %s', s.role, s.dimension),
		   'the dimension does not exist: whoever gives the name to one grants this', s.removal
	  FROM scope s
	 WHERE NOT EXISTS (SELECT FROM kpi.dimension_registry d WHERE d.name = s.dimension)
	UNION ALL
	SELECT CASE WHEN u.problem IS NULL THEN 'warning' ELSE 'error' END,
		   format('scope of %s on %s', s.role, s.dimension),
		   coalesce(u.problem, format('members match nothing: %s', array_to_string(u.members, ', '))),
		   CASE WHEN u.problem IS NOT NULL THEN s.removal
				ELSE format('SELECT kpi.revoke_scope(%L, %L, level => %L, members => %L)', quote_ident(s.role), quote_ident(s.dimension), quote_ident(s.level_name), u.members) END
	  FROM scope s
	 CROSS JOIN LATERAL kpi.scope_problem(s.dimension, s.level, s.members) u;
END;
REVOKE ALL ON FUNCTION kpi.grant_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.grant_findings() IS 'what kpi.check() tells of scopes of roles';

CREATE FUNCTION kpi.protection_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH guarded AS MATERIALIZED (		-- tables that must obey, partitions included
		SELECT g.relation::regclass AS guarded, g.dimension, g.key, g.writes, d.type::oid AS type,
			   c.relkind, c.relrowsecurity, c.relforcerowsecurity
		  FROM kpi.guarded_relations(NULL) g
		  JOIN pg_catalog.pg_class c ON c.oid = g.relation
		  LEFT JOIN kpi.dimension_registry d ON d.name = g.dimension
	), policy AS (						-- by a dimension that there is, and a column
		SELECT g.guarded, g.dimension, g.key, g.writes, g.type, y.oid AS policy, k.atttypid,
			   format('kpi_scope_%s', g.dimension) AS name,
			   kpi.policy_statement(g.guarded, g.dimension, g.type, g.key, g.writes) AS statement
		  FROM guarded g
		  JOIN pg_catalog.pg_attribute k ON k.attrelid = g.guarded AND k.attname = g.key AND k.attnum > 0
		  LEFT JOIN pg_catalog.pg_policy y
			ON y.polrelid = g.guarded AND y.polname::text = 'kpi_scope_' || g.dimension
		 WHERE g.relkind <> 'f' AND g.type IS NOT NULL
		   AND k.attnum IS DISTINCT FROM kpi.policy_column(g.guarded, g.dimension, g.writes, g.type)
	)
	SELECT 'error', g.guarded::text, 'row security is disabled',
		   concat(kpi.opening_statement(g.guarded) || '; ', format('ALTER TABLE ONLY %s ENABLE ROW LEVEL SECURITY', g.guarded))
	  FROM guarded g WHERE NOT g.relrowsecurity AND g.relkind <> 'f'
	UNION ALL
	SELECT 'error', g.guarded::text, 'row security is not forced: the owner sees all rows',
		   format('ALTER TABLE ONLY %s FORCE ROW LEVEL SECURITY', g.guarded)
	  FROM guarded g WHERE NOT g.relforcerowsecurity AND g.relkind <> 'f'
	UNION ALL
	SELECT 'error', g.guarded::text, 'a foreign table among the children of a protected table cannot be protected',
		   format(CASE WHEN c.relispartition THEN 'ALTER TABLE %1$s DETACH PARTITION %2$s' ELSE 'ALTER FOREIGN TABLE %2$s NO INHERIT %1$s' END,
				  i.inhparent::regclass, g.guarded)
	  FROM guarded g
	  JOIN pg_catalog.pg_class c ON c.oid = g.guarded
	  JOIN pg_catalog.pg_inherits i ON i.inhrelid = g.guarded
	 WHERE g.relkind = 'f'
	UNION ALL
	SELECT 'error', p.guarded::text,
		   CASE WHEN p.statement IS NULL
				THEN format('column "%s", by which it is protected by dimension "%s", has type %s, which is not that of the key: protect it by another column with kpi.protect(), or unprotect it',
							p.key, p.dimension, format_type(p.atttypid, NULL))
				WHEN p.policy IS NULL THEN format('the policy for dimension "%s" is missing', p.dimension)
				ELSE format('policy %I was changed', p.name) END,
		   CASE WHEN p.policy IS NULL OR p.statement IS NULL THEN p.statement
				ELSE format('DROP POLICY %I ON %s; %s', p.name, p.guarded, p.statement) END
	  FROM policy p
	UNION ALL
	SELECT 'error', r.relid::text,
		   format(CASE WHEN a.attname IS NULL
					   THEN 'column "%s", by which it is protected by dimension "%s", is not there: nothing tells by which now; protect it by another column with kpi.protect(), or unprotect it'
					   ELSE 'column "%s", by which it is registered as protected by dimension "%s", is called otherwise now: partitions that come cannot be protected' END,
				  r.attname, r.dimension),
		   format('UPDATE kpi.protection_registry SET attname = %L WHERE relid = %L AND dimension = %L', a.attname, r.relid::oid, r.dimension)
	  FROM kpi.protection_registry r
	  JOIN pg_catalog.pg_class c ON c.oid = r.relid
	  LEFT JOIN pg_catalog.pg_attribute a
		ON a.attrelid = r.relid AND a.attnum = kpi.policy_column(r.relid, r.dimension, r.writes, 0)
	 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute k
						WHERE k.attrelid = r.relid AND k.attname = r.attname AND k.attnum > 0)
	UNION ALL
	SELECT 'error', g.parent::regclass::text,
		   format('it shows rows of %s, which is protected by dimension "%s"', g.relation::regclass, g.dimension),
		   CASE WHEN kpi.policy_statement(g.parent, g.dimension, d.type, g.key, g.writes) IS NOT NULL
				THEN concat('DROP POLICY ' || quote_ident(y.polname) || ' ON ' || g.parent::regclass || '; ',
							format('SELECT kpi.protect(%L, %L, %L%s)', g.parent::regclass, quote_ident(g.dimension), quote_ident(g.key), CASE WHEN g.writes THEN ', ''all''' END))
				WHEN c.relispartition THEN format('ALTER TABLE %s DETACH PARTITION %s', g.parent::regclass, g.relation::regclass)
				ELSE format('ALTER TABLE %s NO INHERIT %s', g.relation::regclass, g.parent::regclass) END
	  FROM kpi.protection_gaps(NULL) g
	  JOIN pg_catalog.pg_class c ON c.oid = g.relation
	  JOIN kpi.dimension_registry d ON d.name = g.dimension
	  LEFT JOIN pg_catalog.pg_policy y ON y.polrelid = g.parent AND y.polname::text = 'kpi_scope_' || g.dimension
	 WHERE g.parent IS NOT NULL
	UNION ALL
	SELECT 'error', p.relid::text,
		   format('it is protected by dimension "%s", which does not exist: queries fail until it is created again; its key and levels are not kept anywhere else', p.dimension),
		   NULL
	  FROM kpi.protection_registry p
	  JOIN pg_catalog.pg_class c ON c.oid = p.relid
	 WHERE NOT EXISTS (SELECT FROM kpi.dimension_registry d WHERE d.name = p.dimension)
	UNION ALL
	SELECT 'error', g.guarded::text, 'no policy lets its rows through, or kpi_open was changed: readers do not see the rows of their scopes',
		   kpi.opening_statement(g.guarded)
	  FROM (SELECT DISTINCT guarded FROM guarded WHERE relkind <> 'f' AND relrowsecurity) g
	 WHERE kpi.opening_statement(g.guarded) IS NOT NULL
	UNION ALL
	SELECT 'error', g.guarded::text,
		   format('permissive policy %I has no effect beside kpi_open', y.polname),
		   format('DROP POLICY kpi_open ON %s', g.guarded)
	  FROM (SELECT DISTINCT guarded FROM guarded) g
	  JOIN pg_catalog.pg_policy y ON y.polrelid = g.guarded
	 WHERE y.polpermissive AND y.polname <> 'kpi_open'
	   AND NOT starts_with(y.polname::text, 'kpi_scope_')
	   AND EXISTS (SELECT FROM pg_catalog.pg_policy o
					WHERE o.polrelid = g.guarded AND o.polname = 'kpi_open')
	UNION ALL
	SELECT 'warning', r.relid::oid::text, 'a protected table is gone',
		   format('DELETE FROM kpi.protection_registry WHERE relid = %L', r.relid::oid)
	  FROM kpi.protection_registry r
	 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = r.relid)
	UNION ALL
	SELECT 'warning', u.relation::regclass::text,
		   format('it obeys dimension "%s" by policy %I, but is not registered as protected', u.dimension, 'kpi_scope_' || u.dimension),
		   format('INSERT INTO kpi.protection_registry VALUES (%L, %L, %L, %L)', u.relation, u.dimension, u.key, u.writes)
	  FROM kpi.unregistered_protections(NULL) u;
END;
REVOKE ALL ON FUNCTION kpi.protection_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.protection_findings() IS 'what kpi.check() tells of protected tables';

-- Views over protected tables whose owner, or that of a view below, sees all rows, or
-- that hold rows; only those that somebody else may read whom scopes bind.
CREATE FUNCTION kpi.bypass_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH RECURSIVE above (relid) AS (
		SELECT g.relation FROM kpi.guarded_relations(NULL) g
		UNION
		SELECT w.ev_class
		  FROM above
		  JOIN pg_catalog.pg_depend d
			ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = above.relid
		   AND d.classid = 'pg_catalog.pg_rewrite'::regclass
		  JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid AND w.ev_type = '1'
	), shared AS (
		SELECT c.oid::regclass AS relid
		  FROM above
		  JOIN pg_catalog.pg_class c ON c.oid = above.relid AND c.relkind IN ('v', 'm')
		 WHERE EXISTS (SELECT FROM aclexplode(c.relacl) x
						 LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.grantee
						WHERE x.privilege_type = 'SELECT' AND x.grantee <> c.relowner
						  AND (r.oid IS NULL OR NOT (r.rolsuper OR r.rolbypassrls)))
			OR EXISTS (SELECT FROM pg_catalog.pg_attribute a
						WHERE a.attrelid = c.oid AND a.attacl::text ~ 'r[a-zA-Z*]*/')
	)
	SELECT 'warning', s.relid::text,
		   format('%s; let other roles own these, or read the tables themselves; where it is meant, say so with kpi.accept_bypass()', b.path),
		   NULL
	  FROM shared s
	 CROSS JOIN LATERAL (SELECT kpi.scope_bypass(s.relid) AS path OFFSET 0) b
	 WHERE b.path IS NOT NULL
	   AND NOT EXISTS (SELECT FROM kpi.accepted_bypass a WHERE a.relid = s.relid);
END;
REVOKE ALL ON FUNCTION kpi.bypass_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.bypass_findings() IS
	'what kpi.check() tells of views that show rows of protected tables outside their readers'' scopes; metrics and metric views among them are told otherwise';

CREATE FUNCTION kpi.scope_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
	SELECT * FROM kpi.dimension_findings()
	UNION ALL
	SELECT * FROM kpi.grant_findings()
	UNION ALL
	SELECT * FROM kpi.protection_findings()
	UNION ALL
	SELECT * FROM kpi.event_trigger_findings('kpi_protect_partitions', 'ddl_command_end', 'kpi.protect_partitions()'::regprocedure);
END;
REVOKE ALL ON FUNCTION kpi.scope_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.scope_findings() IS 'what kpi.check() tells of scopes';
-- metric: defining metrics and publishing them in metric views

-- The registry holds what a view has no place for, keyed by the view.  Nobody
-- has a privilege on it; kpi.metrics shows what its reader may use.
CREATE TABLE kpi.metric_registry (
	relid			regclass PRIMARY KEY,
	label			text,
	description		text,
	unit			text,
	format			text,
	tags			text[] NOT NULL DEFAULT '{}',
	synonyms		text[] NOT NULL DEFAULT '{}',
	direction		text CHECK (direction IN ('up', 'down')),
	min_group_rows	integer NOT NULL DEFAULT 0 CHECK (min_group_rows >= 0)
);
REVOKE ALL ON kpi.metric_registry FROM PUBLIC;
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.metric_registry
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.metric_registry ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.metric_registry IS 'what comes by logical replication is of another database';
COMMENT ON TABLE kpi.metric_registry IS
	'metadata of metrics, one row a metric; read kpi.metrics, write by kpi.alter_metric()';
COMMENT ON COLUMN kpi.metric_registry.relid IS 'the view that is the metric';
COMMENT ON COLUMN kpi.metric_registry.label IS 'name for people, in any language';
COMMENT ON COLUMN kpi.metric_registry.description IS 'what the metric means, in words';
COMMENT ON COLUMN kpi.metric_registry.unit IS 'unit of the value, for example CNY or %';
COMMENT ON COLUMN kpi.metric_registry.format IS 'display format for clients, not interpreted here';
COMMENT ON COLUMN kpi.metric_registry.tags IS 'words to group metrics by';
COMMENT ON COLUMN kpi.metric_registry.synonyms IS 'other names that people use for the metric';
COMMENT ON COLUMN kpi.metric_registry.direction IS 'up or down: where the value should move';
COMMENT ON COLUMN kpi.metric_registry.min_group_rows IS
	'groups of fewer rows than this have no value, by the view''s own definition; 0 is no limit';
SELECT pg_catalog.pg_extension_config_dump('kpi.metric_registry',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = relid) ORDER BY ctid');

CREATE FUNCTION kpi.create_metric(
	name text,
	definition text,
	label text DEFAULT NULL,
	description text DEFAULT NULL,
	unit text DEFAULT NULL,
	format text DEFAULT NULL,
	owner text DEFAULT NULL,
	tags text[] DEFAULT NULL,
	synonyms text[] DEFAULT NULL,
	direction text DEFAULT NULL,
	min_group_rows integer DEFAULT NULL,
	or_replace boolean DEFAULT false)
RETURNS regclass
AS 'MODULE_PATHNAME', 'kpi_create_metric'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.create_metric(text, text, text, text, text, text, text, text[], text[], text, integer, boolean) IS
	'create a metric as a view of the given name from one SELECT of one aggregate expression over one relation, or of an expression over metrics; with or_replace, a metric that is there is redefined as by kpi.alter_metric(): what is not given stays; returns the view; raises KP001 and says why where the definition is not one, 42809 where the name is that of something else';

CREATE FUNCTION kpi.alter_metric(
	name regclass,
	definition text DEFAULT NULL,
	label text DEFAULT NULL,
	description text DEFAULT NULL,
	unit text DEFAULT NULL,
	format text DEFAULT NULL,
	owner text DEFAULT NULL,
	tags text[] DEFAULT NULL,
	synonyms text[] DEFAULT NULL,
	direction text DEFAULT NULL,
	min_group_rows integer DEFAULT NULL)
RETURNS regclass
AS 'MODULE_PATHNAME', 'kpi_alter_metric'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.alter_metric(regclass, text, text, text, text, text, text, text[], text[], text, integer) IS
	'change a metric''s definition or metadata; NULL leaves a value as it is, an empty one clears it; the type must stay, and the source while a metric view publishes the metric';

CREATE FUNCTION kpi.drop_metric(name regclass, cascade boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_drop_metric'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.drop_metric(regclass, boolean) IS
	'drop a metric; with cascade also the metric views and metrics that read it, otherwise these raise 2BP01';

CREATE FUNCTION kpi.additivity(metric regclass)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_metric_additivity'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION kpi.additivity(regclass) IS
	'how values of parts combine: count, additive, semi-additive (min, max and the like) or non-additive; NULL for what is not a metric';

CREATE FUNCTION kpi.is_ratio(metric regclass)
RETURNS boolean
AS 'MODULE_PATHNAME', 'kpi_metric_is_ratio'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION kpi.is_ratio(regclass) IS
	'does kpi.numerator() and kpi.denominator() take the metric: is it an average, or one expression that sums up divided by another, apart from rounding, constant factors and nullif(.., 0); NULL for what is not a metric';

CREATE FUNCTION kpi.metric_source(metric regclass)
RETURNS regclass
AS 'MODULE_PATHNAME', 'kpi_metric_source'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION kpi.metric_source(regclass) IS
	'the relation that a metric aggregates; NULL where its components have several, and for what is not a metric';

CREATE FUNCTION kpi.small_group_limit(metric regclass)
RETURNS integer
AS 'MODULE_PATHNAME', 'kpi_small_group_limit'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.small_group_limit(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.small_group_limit(regclass) IS
	'groups of fewer rows than this have no value, by the view''s own definition; 0 for no limit, NULL for what is not a metric';

CREATE FUNCTION kpi.forget_dropped()
RETURNS event_trigger
AS 'MODULE_PATHNAME', 'kpi_forget_dropped'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.forget_dropped() FROM PUBLIC;
COMMENT ON FUNCTION kpi.forget_dropped() IS
	'event trigger: remove the registry rows of dropped views; a failure is a warning';

CREATE EVENT TRIGGER kpi_forget_dropped ON sql_drop
	EXECUTE FUNCTION kpi.forget_dropped();
ALTER EVENT TRIGGER kpi_forget_dropped ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER kpi_forget_dropped IS
	'keeps the registry of kpitables in step with DROP';
-- metric view: dimensions and metrics of one source, published as a view

CREATE TABLE kpi.metric_view_registry (
	relid			regclass PRIMARY KEY,
	label			text,
	description		text,
	tags			text[] NOT NULL DEFAULT '{}',
	time_dimension	smallint,
	row_key			smallint,
	ungrouped		text CHECK (ungrouped IN ('contribution', 'null', 'error'))
);
REVOKE ALL ON kpi.metric_view_registry FROM PUBLIC;
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.metric_view_registry
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.metric_view_registry ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.metric_view_registry IS 'what comes by logical replication is of another database';
COMMENT ON TABLE kpi.metric_view_registry IS
	'metadata of metric views, one row a view; read kpi.metric_views, write by kpi.alter_metric_view()';
COMMENT ON COLUMN kpi.metric_view_registry.relid IS 'the view';
COMMENT ON COLUMN kpi.metric_view_registry.label IS 'name for people, in any language';
COMMENT ON COLUMN kpi.metric_view_registry.description IS 'what the view is for, in words';
COMMENT ON COLUMN kpi.metric_view_registry.tags IS 'words to group metric views by';
COMMENT ON COLUMN kpi.metric_view_registry.row_key IS
	'number of the column that identifies a row; NULL where none is known to';
COMMENT ON COLUMN kpi.metric_view_registry.ungrouped IS
	'what measures show in rows that are not aggregated, unless the session asks for stricter; NULL is contribution';
COMMENT ON COLUMN kpi.metric_view_registry.time_dimension IS
	'number of the column that is the primary time dimension; NULL where there is none';
SELECT pg_catalog.pg_extension_config_dump('kpi.metric_view_registry',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = relid) ORDER BY ctid');

CREATE FUNCTION kpi.metric_column(metric regclass, type anyelement)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'kpi_metric_column'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION kpi.metric_column(regclass, anyelement) IS
	'marks a measure column of a metric view: the metric and, by a NULL, its type; replaced when a query is planned, raises KP003 when it is executed';

CREATE FUNCTION kpi.create_metric_view(
	name text,
	dimensions text[],
	metrics text[],
	label text DEFAULT NULL,
	description text DEFAULT NULL,
	time_dimension text DEFAULT NULL,
	owner text DEFAULT NULL,
	tags text[] DEFAULT NULL,
	or_replace boolean DEFAULT false,
	labels jsonb DEFAULT NULL,
	row_key text DEFAULT NULL,
	ungrouped text DEFAULT NULL)
RETURNS regclass
AS 'MODULE_PATHNAME', 'kpi_create_metric_view'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.create_metric_view(text, text[], text[], text, text, text, text, text[], boolean, jsonb, text, text) IS
	'publish dimensions (a column, "expression AS name", or * for all columns that nothing else in the view has the name of) and metrics ("schema.metric", or "schema.metric AS name") of one source as a view; the time dimension is the first date or timestamp unless named; labels are of dimensions, {"dimension": "label"}, and become their comments; the row key is a dimension, or a column that becomes one, which a unique index and NOT NULL of the source say identifies a row; ungrouped is what measures show in rows that are not aggregated: contribution, null or error, or what kpitables.ungrouped says where that is stricter; with or_replace, a metric view that is there becomes this one: columns keep their places, new ones come last, and where one is gone or has another type the view is made again with its privileges, which raises 2BP01 where something depends on it; metadata that is not given stays; raises KP006 where the sources differ, 42809 where the name is that of something else';

CREATE FUNCTION kpi.alter_metric_view(
	name regclass,
	add_metrics text[] DEFAULT NULL,
	drop_metrics text[] DEFAULT NULL,
	add_dimensions text[] DEFAULT NULL,
	drop_dimensions text[] DEFAULT NULL,
	rename text[] DEFAULT NULL,
	label text DEFAULT NULL,
	description text DEFAULT NULL,
	time_dimension text DEFAULT NULL,
	owner text DEFAULT NULL,
	tags text[] DEFAULT NULL,
	labels jsonb DEFAULT NULL,
	row_key text DEFAULT NULL,
	ungrouped text DEFAULT NULL)
RETURNS regclass
AS 'MODULE_PATHNAME', 'kpi_alter_metric_view'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.alter_metric_view(regclass, text[], text[], text[], text[], text[], text, text, text, text, text[], jsonb, text, text) IS
	'change a metric view: columns are renamed ("old AS new", all at once) first, then dropped, then added at the end; dropping makes the view again with its privileges and comments, and raises 2BP01 where something depends on it; NULL leaves a value as it is, an empty one clears it';

CREATE FUNCTION kpi.drop_metric_view(name regclass, cascade boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_drop_metric_view'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.drop_metric_view(regclass, boolean) IS
	'drop a metric view; with cascade also what depends on it, otherwise that raises 2BP01';

CREATE FUNCTION kpi.metric_view_columns(
	metric_view regclass,
	OUT attnum smallint,
	OUT metric regclass,
	OUT source_column smallint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_metric_view_columns'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION kpi.metric_view_columns(regclass) IS
	'the columns of a metric view by number: the metric of a measure, NULL for a dimension; the source''s column where a dimension is one; no rows for other relations';

CREATE FUNCTION kpi.metric_view_source(metric_view regclass)
RETURNS regclass
AS 'MODULE_PATHNAME', 'kpi_metric_view_source'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION kpi.metric_view_source(regclass) IS
	'the relation that a metric view reads; NULL for other relations';

-- The rest is for the extension itself, which calls it with its owner's rights.

CREATE FUNCTION kpi.publishing_views(metric regclass)
RETURNS SETOF regclass
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH RECURSIVE dependents (relid) AS (
		SELECT metric::oid
		UNION
		SELECT w.ev_class
		  FROM dependents
		  JOIN pg_catalog.pg_depend d
			ON d.refclassid = 'pg_catalog.pg_class'::regclass
		   AND d.refobjid = dependents.relid
		   AND d.classid = 'pg_catalog.pg_rewrite'::regclass
		  JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
	)
	SELECT v.relid
	  FROM kpi.metric_view_registry v
	 WHERE v.relid::oid IN (SELECT dependents.relid FROM dependents);
END;
REVOKE ALL ON FUNCTION kpi.publishing_views(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.publishing_views(regclass) IS
	'the metric views that publish a metric, be it as a component of another';

-- What a reader may use.  security_barrier keeps a reader's own functions from
-- seeing the rows that the privileges filter out.

CREATE VIEW kpi.metrics WITH (security_barrier) AS
SELECT n.nspname AS schema,
	   c.relname AS name,
	   r.relid AS metric,
	   r.label,
	   r.description,
	   r.unit,
	   r.format,
	   pg_get_userbyid(c.relowner) AS owner,
	   r.tags,
	   r.synonyms,
	   r.direction,
	   r.min_group_rows,
	   kpi.additivity(r.relid) AS additivity,
	   format_type(a.atttypid, a.atttypmod) AS type,
	   kpi.metric_source(r.relid) AS source,
	   btrim(kpi.view_definition(r.relid)) AS definition
  FROM kpi.metric_registry r
  JOIN pg_catalog.pg_class c ON c.oid = r.relid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1
 WHERE has_any_column_privilege(r.relid, 'SELECT')
   AND has_schema_privilege(n.oid, 'USAGE');
COMMENT ON VIEW kpi.metrics IS 'the metrics that the current user may read';
COMMENT ON COLUMN kpi.metrics.schema IS 'schema of the metric';
COMMENT ON COLUMN kpi.metrics.name IS 'name of the metric';
COMMENT ON COLUMN kpi.metrics.metric IS 'the view that is the metric';
COMMENT ON COLUMN kpi.metrics.label IS 'name for people';
COMMENT ON COLUMN kpi.metrics.description IS 'what the metric means';
COMMENT ON COLUMN kpi.metrics.unit IS 'unit of the value';
COMMENT ON COLUMN kpi.metrics.format IS 'display format for clients';
COMMENT ON COLUMN kpi.metrics.owner IS 'role that owns the metric';
COMMENT ON COLUMN kpi.metrics.tags IS 'words to group metrics by';
COMMENT ON COLUMN kpi.metrics.synonyms IS 'other names of the metric';
COMMENT ON COLUMN kpi.metrics.direction IS 'up or down: where the value should move';
COMMENT ON COLUMN kpi.metrics.min_group_rows IS 'groups of fewer source rows have no value';
COMMENT ON COLUMN kpi.metrics.additivity IS 'count, additive, semi-additive or non-additive';
COMMENT ON COLUMN kpi.metrics.type IS 'type of the value';
COMMENT ON COLUMN kpi.metrics.source IS 'relation that is aggregated; NULL for several';
COMMENT ON COLUMN kpi.metrics.definition IS 'the SQL in force; NULL while somebody changes what it reads';

CREATE VIEW kpi.metric_views WITH (security_barrier) AS
SELECT n.nspname AS schema,
	   c.relname AS name,
	   v.relid AS metric_view,
	   v.label,
	   v.description,
	   pg_get_userbyid(c.relowner) AS owner,
	   v.tags,
	   a.attname AS time_dimension,
	   kpi.metric_view_source(v.relid) AS source,
	   k.attname AS row_key,
	   coalesce(v.ungrouped, 'contribution') AS ungrouped
  FROM kpi.metric_view_registry v
  JOIN pg_catalog.pg_class c ON c.oid = v.relid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = v.time_dimension
  LEFT JOIN pg_catalog.pg_attribute k ON k.attrelid = c.oid AND k.attnum = v.row_key
 WHERE has_any_column_privilege(v.relid, 'SELECT')
   AND has_schema_privilege(n.oid, 'USAGE');
COMMENT ON VIEW kpi.metric_views IS 'the metric views that the current user may read';
COMMENT ON COLUMN kpi.metric_views.schema IS 'schema of the metric view';
COMMENT ON COLUMN kpi.metric_views.name IS 'name of the metric view';
COMMENT ON COLUMN kpi.metric_views.metric_view IS 'the view';
COMMENT ON COLUMN kpi.metric_views.label IS 'name for people';
COMMENT ON COLUMN kpi.metric_views.description IS 'what the view is for';
COMMENT ON COLUMN kpi.metric_views.owner IS 'role that owns the view, and reads the source for its readers';
COMMENT ON COLUMN kpi.metric_views.tags IS 'words to group metric views by';
COMMENT ON COLUMN kpi.metric_views.time_dimension IS 'the primary time dimension, or NULL';
COMMENT ON COLUMN kpi.metric_views.source IS 'relation that the view reads';
COMMENT ON COLUMN kpi.metric_views.row_key IS 'dimension that identifies a row, or NULL';
COMMENT ON COLUMN kpi.metric_views.ungrouped IS 'what measures show in rows that are not aggregated: contribution, null or error';

CREATE VIEW kpi.dimensions WITH (security_barrier) AS
SELECT v.relid AS metric_view,
	   a.attname AS name,
	   c.attnum AS position,
	   format_type(a.atttypid, a.atttypmod) AS type,
	   coalesce(c.attnum = v.time_dimension, false) AS is_time,
	   col_description(v.relid, c.attnum) AS description,
	   coalesce(c.attnum = v.row_key, false) AS is_key
  FROM kpi.metric_view_registry v
  JOIN pg_catalog.pg_class r ON r.oid = v.relid
 CROSS JOIN LATERAL kpi.metric_view_columns(v.relid) c
  JOIN pg_catalog.pg_attribute a ON a.attrelid = v.relid AND a.attnum = c.attnum
 WHERE c.metric IS NULL
   AND has_column_privilege(v.relid, c.attnum, 'SELECT')
   AND has_schema_privilege(r.relnamespace, 'USAGE');
COMMENT ON VIEW kpi.dimensions IS 'the dimensions of metric views that the current user may read';
COMMENT ON COLUMN kpi.dimensions.metric_view IS 'the metric view';
COMMENT ON COLUMN kpi.dimensions.name IS 'name of the column';
COMMENT ON COLUMN kpi.dimensions.position IS 'number of the column';
COMMENT ON COLUMN kpi.dimensions.type IS 'type of the column';
COMMENT ON COLUMN kpi.dimensions.is_time IS 'is it the primary time dimension?';
COMMENT ON COLUMN kpi.dimensions.description IS 'label and description: the comment of the column';
COMMENT ON COLUMN kpi.dimensions.is_key IS 'does it identify a row?';

CREATE VIEW kpi.measures WITH (security_barrier) AS
SELECT v.relid AS metric_view,
	   a.attname AS name,
	   c.attnum AS position,
	   format_type(a.atttypid, a.atttypmod) AS type,
	   c.metric,
	   m.label,
	   m.description,
	   m.unit,
	   m.format,
	   m.direction,
	   kpi.additivity(c.metric) AS additivity
  FROM kpi.metric_view_registry v
  JOIN pg_catalog.pg_class r ON r.oid = v.relid
 CROSS JOIN LATERAL kpi.metric_view_columns(v.relid) c
  JOIN pg_catalog.pg_attribute a ON a.attrelid = v.relid AND a.attnum = c.attnum
  LEFT JOIN kpi.metric_registry m ON m.relid = c.metric
 WHERE c.metric IS NOT NULL
   AND has_column_privilege(v.relid, c.attnum, 'SELECT')
   AND has_schema_privilege(r.relnamespace, 'USAGE');
COMMENT ON VIEW kpi.measures IS 'the measures of metric views that the current user may read';
COMMENT ON COLUMN kpi.measures.metric_view IS 'the metric view';
COMMENT ON COLUMN kpi.measures.name IS 'name of the column';
COMMENT ON COLUMN kpi.measures.position IS 'number of the column';
COMMENT ON COLUMN kpi.measures.type IS 'type of the column';
COMMENT ON COLUMN kpi.measures.metric IS 'the metric that the column publishes';
COMMENT ON COLUMN kpi.measures.label IS 'name for people';
COMMENT ON COLUMN kpi.measures.description IS 'what the metric means';
COMMENT ON COLUMN kpi.measures.unit IS 'unit of the value';
COMMENT ON COLUMN kpi.measures.format IS 'display format for clients';
COMMENT ON COLUMN kpi.measures.direction IS 'up or down: where the value should move';
COMMENT ON COLUMN kpi.measures.additivity IS 'count, additive, semi-additive or non-additive';

REVOKE ALL ON kpi.metrics, kpi.metric_views, kpi.dimensions, kpi.measures FROM PUBLIC;
GRANT SELECT ON kpi.metrics, kpi.metric_views, kpi.dimensions, kpi.measures TO PUBLIC;
-- metric_view_findings: what kpi.check() tells of metrics and metric views

CREATE FUNCTION kpi.metric_problem(metric regclass)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_metric_problem'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.metric_problem(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_problem(regclass) IS
	'why a view is none that kpi.create_metric() would make; NULL where it is one, or a registered metric that it reads tells; waits for nobody';

CREATE FUNCTION kpi.metric_limit(metric regclass)
RETURNS integer
AS 'MODULE_PATHNAME', 'kpi_metric_limit'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.metric_limit(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_limit(regclass) IS
	'the limit on small groups that a metric''s own view has, whatever its components have; 0 for none';

CREATE FUNCTION kpi.metric_view_problems(metric_view regclass)
RETURNS SETOF text
AS 'MODULE_PATHNAME', 'kpi_metric_view_problems'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.metric_view_problems(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_view_problems(regclass) IS
	'why a view is none that kpi.create_metric_view() would make; no rows where it is one; waits for nobody';

CREATE FUNCTION kpi.metric_view_missing_reads(metric_view regclass, OUT relation regclass, OUT columns text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_metric_view_missing_reads'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.metric_view_missing_reads(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_view_missing_reads(regclass) IS
	'the columns that the owner of a metric view reads for its measures and may not read, as GRANT takes them';

CREATE FUNCTION kpi.metrics_read(view regclass)
RETURNS SETOF regclass
AS 'MODULE_PATHNAME', 'kpi_metrics_read'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.metrics_read(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metrics_read(regclass) IS
	'the metrics that a metric view publishes, or that a metric is derived from';

CREATE FUNCTION kpi.metric_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH RECURSIVE registered AS MATERIALIZED (
		SELECT r.relid, true AS is_metric, r.min_group_rows, c.oid
		  FROM kpi.metric_registry r
		  LEFT JOIN pg_catalog.pg_class c ON c.oid = r.relid
		UNION ALL
		SELECT v.relid, false, NULL, c.oid
		  FROM kpi.metric_view_registry v
		  LEFT JOIN pg_catalog.pg_class c ON c.oid = v.relid
	), metric AS MATERIALIZED (
		SELECT r.relid, r.min_group_rows, kpi.metric_problem(r.relid) AS problem, kpi.metric_limit(r.relid) AS own_limit
		  FROM registered r
		 WHERE r.is_metric AND r.oid IS NOT NULL
	), read (relid) AS (				-- they, and the views that they read
		SELECT r.oid FROM registered r WHERE r.oid IS NOT NULL
		UNION
		SELECT d.refobjid
		  FROM read
		  JOIN pg_catalog.pg_rewrite w ON w.ev_class = read.relid AND w.ev_type = '1'
		  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
		  JOIN pg_catalog.pg_class c
			ON d.refclassid = 'pg_catalog.pg_class'::regclass AND c.oid = d.refobjid AND c.relkind = 'v'
	)
	SELECT 'error', m.relid::text,
		   format('it is registered as a metric, but its view was replaced by something else: %s; define it again with kpi.alter_metric(): its definition was in the view alone', m.problem), NULL
	  FROM metric m
	 WHERE m.problem IS NOT NULL
	UNION ALL
	SELECT 'error', m.relid::text, 'its view does not have the limit on small groups that is registered',
		   format('SELECT kpi.alter_metric(%L, min_group_rows => %s)', m.relid, m.min_group_rows)
	  FROM metric m
	 WHERE m.problem IS NULL AND m.min_group_rows > 0 AND m.own_limit <> m.min_group_rows
	   AND NOT EXISTS (SELECT FROM kpi.publishing_views(m.relid) v	-- which tell
						WHERE kpi.metric_view_source(v) <> kpi.metric_source(m.relid))
	UNION ALL
	SELECT 'error', r.relid::text,
		   format('it is registered as a metric view, but %s; put right what was replaced, or drop it and create it again with kpi.create_metric_view(): what it was, was in the views alone', p), NULL
	  FROM registered r
	 CROSS JOIN LATERAL kpi.metric_view_problems(r.relid) p
	 WHERE NOT r.is_metric AND r.oid IS NOT NULL
	UNION ALL
	SELECT 'error', c.oid::regclass::text,
		   format('role "%s", which owns it, may not read %s (%s): it fails for its readers',
				  pg_get_userbyid(c.relowner), m.relation, m.columns),
		   format('GRANT SELECT (%s) ON %s TO %I', m.columns, m.relation, pg_get_userbyid(c.relowner))
	  FROM read
	  JOIN pg_catalog.pg_class c ON c.oid = read.relid
	 CROSS JOIN LATERAL (SELECT n.relation, n.columns FROM kpi.missing_reads(c.oid) n
						 UNION
						 SELECT n.relation, n.columns FROM kpi.metric_view_missing_reads(c.oid) n) m
	UNION ALL
	SELECT 'error', r.relid::text,
		   format('column "%s" was a measure, and is none now; put the view right, or drop it and create it again with kpi.create_metric_view(): what the column published was in the view alone', a.attname), NULL
	  FROM registered r
	 CROSS JOIN LATERAL kpi.metric_view_columns(r.relid) v
	  JOIN pg_catalog.pg_attribute a ON a.attrelid = r.relid AND a.attnum = v.attnum
	 WHERE NOT r.is_metric AND v.metric IS NULL
	   AND col_description(r.relid, v.attnum) ~ '(^|\n)Definition: '	-- as written for measures
	UNION ALL
	SELECT 'error', r.relid::text, format('%s; let other roles own these, or read the tables themselves', b.path), NULL
	  FROM registered r
	 CROSS JOIN LATERAL (SELECT kpi.scope_bypass(r.oid) AS path OFFSET 0) b
	 WHERE b.path IS NOT NULL
	UNION ALL
	SELECT 'error', u.metric::text, format('it is a metric that %s reads, but is not registered', min(r.relid::text)),
		   format('SELECT kpi.adopt(%L)', u.metric)
	  FROM registered r
	 CROSS JOIN LATERAL kpi.metrics_read(r.relid) u (metric)
	 WHERE NOT EXISTS (SELECT FROM kpi.metric_registry m WHERE m.relid = u.metric)
	   AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = u.metric AND c.relkind = 'v')
	   AND kpi.metric_problem(u.metric) IS NULL
	 GROUP BY u.metric
	UNION ALL
	SELECT 'warning', r.relid::oid::text, format('a registered metric%s is gone', CASE WHEN NOT r.is_metric THEN ' view' END),
		   format('DELETE FROM kpi.%I WHERE relid = %L', CASE WHEN r.is_metric THEN 'metric_registry' ELSE 'metric_view_registry' END, r.relid::oid)
	  FROM registered r
	 WHERE r.oid IS NULL
	UNION ALL
	SELECT b.severity, b.object, b.problem, b.remedy
	  FROM kpi.bypass_findings() b
	 WHERE NOT EXISTS (SELECT FROM registered r WHERE r.oid IS NOT NULL AND r.relid::text = b.object)
	UNION ALL
	SELECT * FROM kpi.event_trigger_findings('kpi_forget_dropped', 'sql_drop', 'kpi.forget_dropped()'::regprocedure);
END;
REVOKE ALL ON FUNCTION kpi.metric_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_findings() IS 'what kpi.check() tells of metrics and metric views, and of views that bypass scopes but are neither';
-- written comments: what tools read about metrics and the columns that publish them, kept in step with definitions

CREATE TABLE kpi.written_comment (
	relid		regclass,
	attnum		smallint,
	comment		text NOT NULL,
	PRIMARY KEY (relid, attnum)
);
REVOKE ALL ON kpi.written_comment FROM PUBLIC;
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.written_comment
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.written_comment ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.written_comment IS 'what comes by logical replication is of another database';
COMMENT ON TABLE kpi.written_comment IS
	'comments that the extension wrote on metrics, metric views and their columns: one that is not the same any more is somebody''s own, and stays';
COMMENT ON COLUMN kpi.written_comment.relid IS 'the view';
COMMENT ON COLUMN kpi.written_comment.attnum IS 'number of the column; 0 is the view itself';
COMMENT ON COLUMN kpi.written_comment.comment IS 'what was written';
SELECT pg_catalog.pg_extension_config_dump('kpi.written_comment',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = relid) ORDER BY ctid');

CREATE FUNCTION kpi.definition_text(view regclass)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_definition_text'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.definition_text(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.definition_text(regclass) IS
	'the query of a view in one line, the same in every session: with names qualified; waits for nobody and keeps no lock: NULL while somebody changes what the view reads, and for other relations';

CREATE FUNCTION kpi.metric_comment(metric regclass, with_definition boolean)
RETURNS text
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT CASE WHEN with_definition
				THEN CASE WHEN w.words = '' THEN '' ELSE w.words || E'\n' END
					 || CASE WHEN kpi.additivity(r.relid) LIKE '%-additive'
							 THEN E'Not additive: aggregate it with measure() or AVG; single rows show NULL\n' ELSE '' END
					 || 'Definition: ' || kpi.definition_text(r.relid)
				ELSE w.words END
	  FROM kpi.metric_registry r
	  JOIN pg_catalog.pg_class c ON c.oid = r.relid
	 CROSS JOIN LATERAL (
			SELECT concat_ws(E'\n',
							 CASE WHEN r.unit IS NULL THEN r.label
								  ELSE format('%s (%s)', coalesce(r.label, c.relname::text), r.unit) END,
							 r.description) AS words) w
	 WHERE r.relid = metric;
END;
REVOKE ALL ON FUNCTION kpi.metric_comment(regclass, boolean) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_comment(regclass, boolean) IS
	'what the comment of a metric says: label, unit, description and, if asked, definition; NULL where that cannot be told now';

CREATE FUNCTION kpi.due_comments(
	relations oid[], replaced boolean, OUT relid regclass, OUT attnum smallint, OUT comment text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL RESTRICTED
SET jit = off
BEGIN ATOMIC
	WITH RECURSIVE metric AS (				-- and those computed from them
		SELECT r.relid
		  FROM kpi.metric_registry r
		 WHERE r.relid::oid = ANY (relations)
		UNION
		SELECT r.relid
		  FROM metric m
		  JOIN pg_catalog.pg_depend d
			ON d.refclassid = 'pg_catalog.pg_class'::regclass
		   AND d.refobjid = m.relid
		   AND d.classid = 'pg_catalog.pg_rewrite'::regclass
		  JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
		  JOIN kpi.metric_registry r ON r.relid = w.ev_class
	), metric_view AS MATERIALIZED (
		SELECT v.relid, v.row_key, kpi.metric_view_source(v.relid)::oid AS source,
			   v.relid::oid = ANY (relations) AS itself
		  FROM kpi.metric_view_registry v
		 WHERE v.relid::oid = ANY (relations)
			OR v.relid::oid IN (SELECT w.ev_class
								  FROM metric m
								  JOIN pg_catalog.pg_depend d
									ON d.refclassid = 'pg_catalog.pg_class'::regclass
								   AND d.refobjid = m.relid
								   AND d.classid = 'pg_catalog.pg_rewrite'::regclass
								  JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid)
	), wanted (relid, attnum, is_dimension, comment) AS (
		SELECT m.relid, 0::smallint, false, kpi.metric_comment(m.relid, false)
		  FROM metric m
		UNION ALL
		SELECT r.relid, 0::smallint, false, concat_ws(E'\n', r.label, r.description)
		  FROM metric_view v
		  JOIN kpi.metric_view_registry r ON r.relid = v.relid
		 WHERE v.itself
		UNION ALL
		SELECT v.relid, c.attnum, c.metric IS NULL,
			   CASE WHEN c.metric IS NOT NULL THEN kpi.metric_comment(c.metric, true)
					ELSE concat_ws(E'\n', col_description(v.source, c.source_column),
								   CASE WHEN c.attnum = v.row_key THEN 'Row key: never NULL, and of one row alone' END) END
		  FROM metric_view v
		 CROSS JOIN LATERAL kpi.metric_view_columns(v.relid) c
		 WHERE v.itself OR c.metric IN (SELECT m.relid FROM metric m)
	)
	SELECT w.relid, w.attnum, w.comment
	  FROM wanted w
	  LEFT JOIN kpi.written_comment t ON t.relid = w.relid AND t.attnum = w.attnum
	 CROSS JOIN LATERAL (SELECT col_description(w.relid, w.attnum) AS comment) d
	 WHERE CASE WHEN d.comment IS NOT DISTINCT FROM t.comment THEN coalesce(d.comment, '') <> w.comment
				ELSE replaced AND NOT w.is_dimension AND coalesce(t.comment, '') <> w.comment END;
END;
REVOKE ALL ON FUNCTION kpi.due_comments(oid[], boolean) FROM PUBLIC;
COMMENT ON FUNCTION kpi.due_comments(oid[], boolean) IS
	'the comments to write on some metrics, the columns that publish them, and metric views, for which the extension''s own are out of date or missing; if asked also where somebody replaced or removed one, but for dimensions; a dimension has its source column''s';

CREATE FUNCTION kpi.refresh_comments(relation regclass DEFAULT NULL, replaced boolean DEFAULT false)
RETURNS integer
AS 'MODULE_PATHNAME', 'kpi_refresh_comments'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.refresh_comments(regclass, boolean) IS
	'write the comments of a metric with the columns that publish it, or of a metric view, where they are out of date, or of all that the caller owns; a comment that somebody replaced or removed stays unless "replaced" is true; returns how many were written; raises 42809 for other relations, 42501 for those of others';

CREATE FUNCTION kpi.follow_definitions()
RETURNS event_trigger
AS 'MODULE_PATHNAME', 'kpi_follow_definitions'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.follow_definitions() FROM PUBLIC;
COMMENT ON FUNCTION kpi.follow_definitions() IS
	'event trigger: let comments follow what DDL changed in definitions and names; a failure is a warning';

CREATE EVENT TRIGGER kpi_follow_definitions ON ddl_command_end
	EXECUTE FUNCTION kpi.follow_definitions();
ALTER EVENT TRIGGER kpi_follow_definitions ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER kpi_follow_definitions IS
	'keeps the comments of metrics and measures in step with their definitions';

CREATE FUNCTION kpi.adopt(view regclass)
RETURNS regclass
AS 'MODULE_PATHNAME', 'kpi_adopt'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.adopt(regclass) IS
	'register a view that is a metric or a metric view, and is not registered, as after a restore of its schema alone, with the metrics that it names; what its comment says becomes its description; raises what kpi.create_metric() and kpi.create_metric_view() raise for what is neither';

CREATE FUNCTION kpi.row_key_problem(metric_view regclass, attnum smallint)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_row_key_problem'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.row_key_problem(regclass, smallint) FROM PUBLIC;
COMMENT ON FUNCTION kpi.row_key_problem(regclass, smallint) IS
	'why a dimension of a metric view does not identify its rows, or NULL; waits for nobody';

CREATE FUNCTION kpi.registration_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH marked AS MATERIALIZED (			-- views with markers, registered or not
		SELECT DISTINCT c.oid::regclass AS relid
		  FROM pg_catalog.pg_depend d
		  JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
		  JOIN pg_catalog.pg_class c ON c.oid = w.ev_class
		 WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass
		   AND d.refclassid = 'pg_catalog.pg_proc'::regclass
		   AND d.refobjid = 'kpi.metric_column(regclass, anyelement)'::regprocedure
		   AND c.relkind = 'v' AND c.relpersistence <> 't'
	), unregistered AS MATERIALIZED (
		SELECT m.relid, (SELECT string_agg(p, ', ') FROM kpi.metric_view_problems(m.relid) p) AS problem
		  FROM marked m
		 WHERE NOT EXISTS (SELECT FROM kpi.metric_view_registry r WHERE r.relid = m.relid)
	), registered AS (
		SELECT m.relid FROM kpi.metric_registry m
		UNION ALL
		SELECT v.relid FROM kpi.metric_view_registry v
	)
	SELECT 'warning', u.relid::text,
		   CASE WHEN u.problem IS NULL THEN 'it is not registered as the metric view that it is'
				ELSE format('it has measures, but is none that could be registered as a metric view: %s; read a metric view in it instead, or make it with kpi.create_metric_view()', u.problem) END,
		   CASE WHEN u.problem IS NULL THEN format('SELECT kpi.adopt(%L)', u.relid) END
	  FROM unregistered u
	UNION ALL
	SELECT 'warning', d.relid::text, 'comments of metrics are out of date: they do not say what is so now',
		   format('SELECT kpi.refresh_comments(%L)', d.relid)
	  FROM kpi.due_comments((SELECT array_agg(r.relid::oid) FROM registered r), false) d
	UNION ALL
	SELECT 'warning', v.relid::text,
		   format('its row key "%s" does not identify a row any more: %s', a.attname, kpi.row_key_problem(v.relid, v.row_key)),
		   format('SELECT kpi.alter_metric_view(%L, row_key => %L)', v.relid, '')
	  FROM kpi.metric_view_registry v
	  JOIN pg_catalog.pg_attribute a ON a.attrelid = v.relid AND a.attnum = v.row_key
	 WHERE kpi.row_key_problem(v.relid, v.row_key) IS NOT NULL
	UNION ALL
	SELECT * FROM kpi.event_trigger_findings('kpi_follow_definitions', 'ddl_command_end', 'kpi.follow_definitions()'::regprocedure);
END;
REVOKE ALL ON FUNCTION kpi.registration_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.registration_findings() IS
	'what kpi.check() tells of metric views that nobody registered, and of comments that did not follow';
-- measure: reading metrics at any grouping

CREATE FUNCTION kpi.measure_transition(state internal, value anyelement)
RETURNS internal
AS 'MODULE_PATHNAME', 'kpi_measure_transition'
LANGUAGE C STABLE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.measure_transition(internal, anyelement) FROM PUBLIC;
COMMENT ON FUNCTION kpi.measure_transition(internal, anyelement) IS
	'transition function of kpi.measure(), kpi.numerator() and kpi.denominator(): raises KP003, for they are replaced when a query is planned';

CREATE FUNCTION kpi.measure_final(state internal, value anyelement)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'kpi_measure_final'
LANGUAGE C STABLE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.measure_final(internal, anyelement) FROM PUBLIC;
COMMENT ON FUNCTION kpi.measure_final(internal, anyelement) IS
	'final function of kpi.measure(), kpi.numerator() and kpi.denominator(): raises KP003, on empty input too';

CREATE AGGREGATE kpi.measure(anyelement) (
	SFUNC = kpi.measure_transition,
	STYPE = internal,
	FINALFUNC = kpi.measure_final,
	FINALFUNC_EXTRA,
	PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE kpi.measure(anyelement) IS
	'the value of a measure column of a metric view for the group at hand, by its governed definition; raises KP002 where it has no meaning and KP003 where the library did not see the query';

CREATE AGGREGATE kpi.numerator(anyelement) (
	SFUNC = kpi.measure_transition,
	STYPE = internal,
	FINALFUNC = kpi.measure_final,
	FINALFUNC_EXTRA,
	PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE kpi.numerator(anyelement) IS
	'the numerator, with the constant factors, of a measure that is a ratio, in the measure''s type and without its rounding, which numerator / denominator shows as a residual, as it does that of integer division; NULL where min_group_rows takes the ratio; raises KP002 for other measures and as kpi.measure() does';

CREATE AGGREGATE kpi.denominator(anyelement) (
	SFUNC = kpi.measure_transition,
	STYPE = internal,
	FINALFUNC = kpi.measure_final,
	FINALFUNC_EXTRA,
	PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE kpi.denominator(anyelement) IS
	'the denominator of a measure that is a ratio, in the measure''s type; NULL where min_group_rows takes the ratio; raises KP002 for other measures and as kpi.measure() does';

CREATE FUNCTION kpi.explain_measure(query text)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_explain_measure'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.explain_measure(text) IS
	'the SQL that a query with measures becomes, with row security written out; for a role that may read the sources it runs as it stands, with an empty search path too, and gives the same columns and rows; parameters keep their numbers; raises what the query raises, and 0A000 for a statement that is no query';

CREATE FUNCTION kpi.require_all_rows(value bigint, measure text, clause text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'kpi_require_all_rows'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi.require_all_rows(bigint, text, text) IS
	'the value of a parameter of LIMIT or OFFSET, in plans for any value in which a measure crosses it: NULL and OFFSET 0 take no row away; raises KP002 for others';
-- source_fanout: joins inside the views that metrics read

CREATE TABLE kpi.accepted_fanout (
	relid		regclass PRIMARY KEY,
	definition	text NOT NULL,
	tree		text NOT NULL,
	reason		text NOT NULL,
	accepted_by	text NOT NULL DEFAULT session_user,
	accepted_at	timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON kpi.accepted_fanout FROM PUBLIC;
COMMENT ON TABLE kpi.accepted_fanout IS
	'views whose joins may repeat rows that metrics sum, and that is harmless; write by kpi.accept_fanout()';
COMMENT ON COLUMN kpi.accepted_fanout.relid IS 'the view that has the join';
COMMENT ON COLUMN kpi.accepted_fanout.definition IS 'MD5 of its definition then: another one is asked about again';
COMMENT ON COLUMN kpi.accepted_fanout.tree IS 'MD5 of the stored tree of that, which renaming leaves as it is';
COMMENT ON COLUMN kpi.accepted_fanout.reason IS 'why it is harmless';
COMMENT ON COLUMN kpi.accepted_fanout.accepted_by IS 'who said so';
COMMENT ON COLUMN kpi.accepted_fanout.accepted_at IS 'when that was';
SELECT pg_catalog.pg_extension_config_dump('kpi.accepted_fanout',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = relid) ORDER BY ctid');
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.accepted_fanout
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.accepted_fanout ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.accepted_fanout IS 'what comes by logical replication is of another database';

CREATE FUNCTION kpi.accept_fanout(view regclass, reason text)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_accept_fanout'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.accept_fanout(regclass, text) IS
	'the joins of a view repeat no row that a metric sums, or that is meant, for a reason: until the view''s definition changes, kpi.check() and definitions of metrics no longer tell of them; without a reason (NULL or empty) they do again; raises 42501 for others than the view''s owner and 42809 for what is no view';

CREATE FUNCTION kpi.source_fan_outs(metric regclass, OUT view regclass, OUT joined text, OUT repeated text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_source_fan_outs'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED ROWS 1;
REVOKE ALL ON FUNCTION kpi.source_fan_outs(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.source_fan_outs(regclass) IS
	'joins in the views that a metric reads which are not proven to repeat no row that it sums, and are not accepted: the view, the name of what is joined there, and of that whose rows may be repeated; what cannot be looked at at once is not told';

CREATE FUNCTION kpi.fan_out_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT 'warning', f.view::text,
		   format('its join with %I may repeat rows of %I, which %s sums: join on a unique key or, where it is harmless, have its owner say why by kpi.accept_fanout(), for no statement written here can know',
				  f.joined, f.repeated, string_agg('metric ' || r.relid, ', ' ORDER BY r.relid::text)),
		   NULL
	  FROM kpi.metric_registry r
	  JOIN pg_catalog.pg_class c ON c.oid = r.relid
	 CROSS JOIN LATERAL kpi.source_fan_outs(r.relid) f
	 GROUP BY f.view, f.joined, f.repeated;
END;
REVOKE ALL ON FUNCTION kpi.fan_out_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.fan_out_findings() IS 'what kpi.check() tells of joins in the views that metrics read';
-- lineage: where a number comes from, down to the column

-- The graph is derived from the catalogs and recorded when DDL changes it.  It
-- is not dumped: a restore's own DDL records it.  Nobody has a privilege on it.
CREATE TABLE kpi.lineage_edge (
	target_class	oid NOT NULL,
	target			oid NOT NULL,
	target_name		text NOT NULL,
	target_column	text,
	source_class	oid NOT NULL,
	source			oid NOT NULL,
	source_name		text NOT NULL,
	source_column	text,
	kind			text NOT NULL,
	transformation	text
);
CREATE INDEX lineage_edge_target ON kpi.lineage_edge (target);
CREATE INDEX lineage_edge_source ON kpi.lineage_edge (source);
REVOKE ALL ON kpi.lineage_edge FROM PUBLIC;
ALTER TABLE kpi.lineage_edge REPLICA IDENTITY FULL;
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.lineage_edge
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.lineage_edge ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.lineage_edge IS 'what comes by logical replication is of another database';
COMMENT ON TABLE kpi.lineage_edge IS
	'the recorded graph, one row an edge; read kpi.lineage, written by event triggers and kpi.refresh_lineage()';
COMMENT ON COLUMN kpi.lineage_edge.target_class IS 'catalog of the target: pg_class or pg_proc';
COMMENT ON COLUMN kpi.lineage_edge.target IS 'OID of the target';
COMMENT ON COLUMN kpi.lineage_edge.target_name IS 'its name';
COMMENT ON COLUMN kpi.lineage_edge.target_column IS 'its column; NULL for its rows';
COMMENT ON COLUMN kpi.lineage_edge.source_class IS 'catalog of the source: pg_class or pg_proc';
COMMENT ON COLUMN kpi.lineage_edge.source IS 'OID of the source';
COMMENT ON COLUMN kpi.lineage_edge.source_name IS 'its name';
COMMENT ON COLUMN kpi.lineage_edge.source_column IS 'its column; NULL for its rows';
COMMENT ON COLUMN kpi.lineage_edge.kind IS 'value, filter, join, group or order';
COMMENT ON COLUMN kpi.lineage_edge.transformation IS 'what is done, as SQL; NULL where nothing is';
SELECT pg_catalog.pg_extension_config_dump('kpi.lineage_edge', 'WHERE false');

CREATE TABLE kpi.lineage_log (
	changed_at		timestamptz NOT NULL DEFAULT clock_timestamp(),
	transaction		xid8 NOT NULL DEFAULT pg_current_xact_id(),
	login			text NOT NULL DEFAULT session_user,
	role			text,
	command			text NOT NULL,
	change			text NOT NULL CHECK (change IN ('added', 'removed')),
	target_id		oid,
	target			text NOT NULL,
	target_column	text,
	source			text NOT NULL,
	source_column	text,
	kind			text NOT NULL,
	transformation	text
);
REVOKE ALL ON kpi.lineage_log FROM PUBLIC;
ALTER TABLE kpi.lineage_log REPLICA IDENTITY FULL;
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.lineage_log
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.lineage_log ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.lineage_log IS 'what comes by logical replication is of another database';
COMMENT ON TABLE kpi.lineage_log IS 'each change of the graph, by the names of then; read kpi.lineage_history';
COMMENT ON COLUMN kpi.lineage_log.changed_at IS 'when it changed';
COMMENT ON COLUMN kpi.lineage_log.transaction IS 'the transaction that changed it';
COMMENT ON COLUMN kpi.lineage_log.login IS 'the role that had logged in';
COMMENT ON COLUMN kpi.lineage_log.role IS 'the role that it acted as';
COMMENT ON COLUMN kpi.lineage_log.command IS 'the command that changed it';
COMMENT ON COLUMN kpi.lineage_log.change IS 'added or removed';
COMMENT ON COLUMN kpi.lineage_log.target_id IS 'OID of the target, then';
COMMENT ON COLUMN kpi.lineage_log.target IS 'name of the target';
COMMENT ON COLUMN kpi.lineage_log.target_column IS 'its column; NULL for its rows';
COMMENT ON COLUMN kpi.lineage_log.source IS 'name of the source';
COMMENT ON COLUMN kpi.lineage_log.source_column IS 'its column; NULL for its rows';
COMMENT ON COLUMN kpi.lineage_log.kind IS 'value, filter, join, group or order';
COMMENT ON COLUMN kpi.lineage_log.transformation IS 'what is or was done, as SQL';
SELECT pg_catalog.pg_extension_config_dump('kpi.lineage_log', '');

-- Rows are only ever added by those who could not record, so that nobody waits.
CREATE TABLE kpi.lineage_stale (
	marked_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	command		text NOT NULL,
	problem		text NOT NULL
);
REVOKE ALL ON kpi.lineage_stale FROM PUBLIC;
ALTER TABLE kpi.lineage_stale REPLICA IDENTITY FULL;
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.lineage_stale
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.lineage_stale ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.lineage_stale IS 'what comes by logical replication is of another database';
COMMENT ON TABLE kpi.lineage_stale IS
	'DDL that could not be recorded; while there is any, lineage is derived at each reading';
COMMENT ON COLUMN kpi.lineage_stale.marked_at IS 'when that was';
COMMENT ON COLUMN kpi.lineage_stale.command IS 'the command';
COMMENT ON COLUMN kpi.lineage_stale.problem IS 'why it could not be recorded';
SELECT pg_catalog.pg_extension_config_dump('kpi.lineage_stale', 'WHERE false');

CREATE FUNCTION kpi.derive_lineage(
	class oid, object oid,
	OUT target_class oid, OUT target oid, OUT target_name text, OUT target_column text,
	OUT source_class oid, OUT source oid, OUT source_name text, OUT source_column text,
	OUT kind text, OUT transformation text, OUT problem text, OUT passing boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_derive_lineage_rows'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.derive_lineage(oid, oid) FROM PUBLIC;
COMMENT ON FUNCTION kpi.derive_lineage(oid, oid) IS
	'the edges into a relation or function, from its stored query; none for what has no query, is temporary or is part of PostgreSQL or kpitables; or one row without a source that says why they cannot be derived, and whether that will pass: somebody is changing what it reads';

CREATE FUNCTION kpi.lineage_function_name(function oid)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_lineage_function_name'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi.lineage_function_name(oid) IS
	'the name of a function with its argument types, as lineage writes it whatever the search path: types of PostgreSQL itself without a schema; the OID if it is gone';

CREATE VIEW kpi.lineage_object AS
SELECT 'pg_catalog.pg_class'::regclass::oid AS class, c.oid AS object
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE (c.relkind IN ('v', 'm')
		OR (c.relkind IN ('r', 'p', 'f')
			AND (c.relhassubclass
				 OR EXISTS (SELECT FROM pg_catalog.pg_attribute a
							 WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped))))
   AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'kpi')
UNION ALL
SELECT 'pg_catalog.pg_proc'::regclass, p.oid
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE p.prosqlbody IS NOT NULL
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'kpi');
REVOKE ALL ON kpi.lineage_object FROM PUBLIC;
COMMENT ON VIEW kpi.lineage_object IS 'what has lineage: views, functions with a body in SQL, tables that compute or inherit columns';
COMMENT ON COLUMN kpi.lineage_object.class IS 'pg_class or pg_proc';
COMMENT ON COLUMN kpi.lineage_object.object IS 'OID of the object';

CREATE FUNCTION kpi.lineage_objects_of_schema(schema oid, OUT class oid, OUT object oid)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT 'pg_catalog.pg_class'::regclass::oid, c.oid
	  FROM pg_catalog.pg_class c
	 WHERE c.relnamespace = schema AND c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S')
	UNION ALL
	SELECT 'pg_catalog.pg_proc'::regclass, p.oid
	  FROM pg_catalog.pg_proc p
	 WHERE p.pronamespace = schema
	UNION ALL
	SELECT 'pg_catalog.pg_type'::regclass, t.oid
	  FROM pg_catalog.pg_type t
	 WHERE t.typnamespace = schema
	UNION ALL
	SELECT 'pg_catalog.pg_operator'::regclass, o.oid
	  FROM pg_catalog.pg_operator o
	 WHERE o.oprnamespace = schema
	UNION ALL
	SELECT 'pg_catalog.pg_collation'::regclass, l.oid
	  FROM pg_catalog.pg_collation l
	 WHERE l.collnamespace = schema;
END;
REVOKE ALL ON FUNCTION kpi.lineage_objects_of_schema(oid) FROM PUBLIC;
COMMENT ON FUNCTION kpi.lineage_objects_of_schema(oid) IS
	'what a schema holds that lineage may name: names change with the schema''s';

CREATE FUNCTION kpi.lock_lineage(object oid)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_lock_lineage'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.lock_lineage(oid) FROM PUBLIC;
COMMENT ON FUNCTION kpi.lock_lineage(oid) IS
	'let no other transaction record the lineage of an object, or with 0 any, until this one ends; raises 55P03 where one does';

-- The locks come first, for what others recorded before is seen by statements that
-- begin later.  Edges are compared as rows, all at once and by hashing: an object can
-- have so many that each must not be compared with each, nor all be sorted.
CREATE FUNCTION kpi.record_lineage(
	classes oid[], objects oid[], command text, role text, alone boolean,
	OUT name text, OUT problem text, OUT passing boolean)
RETURNS SETOF record
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET enable_sort = off
SET jit = off
BEGIN ATOMIC
	SELECT kpi.lock_lineage(u.object)
	  FROM (SELECT DISTINCT unnest(objects) AS object) u
	 WHERE NOT alone;

	WITH object (class, object) AS MATERIALIZED (
		SELECT DISTINCT u.class, u.object FROM unnest(classes, objects) u (class, object)
	), derived AS MATERIALIZED (
		SELECT d.*
		  FROM object o
		 CROSS JOIN LATERAL kpi.derive_lineage(o.class, o.object) d
	), failed AS MATERIALIZED (
		SELECT d.target_class, d.target, d.target_name, d.problem, d.passing
		  FROM derived d
		 WHERE d.problem IS NOT NULL
	), told (class, object) AS MATERIALIZED (
		SELECT o.class, o.object FROM object o
		EXCEPT
		SELECT f.target_class, f.target FROM failed f
	), recorded AS MATERIALIZED (
		SELECT e.ctid AS id, e::kpi.lineage_edge AS edge
		  FROM told t
		  JOIN kpi.lineage_edge e ON e.target = t.object AND e.target_class = t.class
		   FOR UPDATE OF e NOWAIT
	), difference AS MATERIALIZED (
		SELECT u.edge, min(u.id) AS id
		  FROM (SELECT r.id, r.edge FROM recorded r
				UNION ALL
				SELECT NULL, ROW(d.target_class, d.target, d.target_name, d.target_column,
								 d.source_class, d.source, d.source_name, d.source_column,
								 d.kind, d.transformation)::kpi.lineage_edge
				  FROM derived d
				 WHERE d.problem IS NULL) u
		 GROUP BY u.edge
		HAVING count(u.id) IN (0, count(*))
	), removed AS (
		DELETE FROM kpi.lineage_edge e USING difference d WHERE e.ctid = d.id
	), added AS (
		INSERT INTO kpi.lineage_edge SELECT (d.edge).* FROM difference d WHERE d.id IS NULL
	), logged AS (
		INSERT INTO kpi.lineage_log (role, command, change, target_id, target, target_column, source, source_column, kind, transformation)
		SELECT role, command, CASE WHEN d.id IS NULL THEN 'added' ELSE 'removed' END,
			   (d.edge).target, (d.edge).target_name, (d.edge).target_column,
			   (d.edge).source_name, (d.edge).source_column, (d.edge).kind, (d.edge).transformation
		  FROM (SELECT g.id, g.edge FROM difference g WHERE g.id IS NOT NULL
				UNION ALL
				SELECT c.id, c.edge FROM difference c WHERE c.id IS NULL) d
	)
	SELECT f.target_name, f.problem, f.passing
	  FROM failed f
	 ORDER BY f.target_name;
END;
REVOKE ALL ON FUNCTION kpi.record_lineage(oid[], oid[], text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION kpi.record_lineage(oid[], oid[], text, text, boolean) IS
	'bring the recorded edges into some objects in step with their stored queries, and log what changed; returns the objects whose edges stay as they were, since they cannot be derived; raises 55P03 rather than wait for another recorder, unless it is known to be alone';

CREATE VIEW kpi.lineage_row_type AS
SELECT c.oid AS relid
  FROM pg_catalog.pg_class c
 WHERE c.reltype <> 0
   AND EXISTS (SELECT FROM pg_catalog.pg_depend d
				WHERE d.refclassid = 'pg_catalog.pg_type'::regclass AND d.refobjid = c.reltype
				  AND (d.deptype = 'n' OR c.relkind = 'c'));
REVOKE ALL ON kpi.lineage_row_type FROM PUBLIC;
COMMENT ON VIEW kpi.lineage_row_type IS 'relations whose row type something else may use';
COMMENT ON COLUMN kpi.lineage_row_type.relid IS 'OID of the relation or composite type';

-- A query runs functions that it does not name: those of what it does name, and of what
-- that is made of.  Columns are of interest only for their types.  STRICT keeps the planner
-- from planning this where it is not needed.
CREATE FUNCTION kpi.lineage_behind(
	classes oid[], objects oid[], OUT class oid, OUT object oid, OUT attnum integer)
RETURNS SETOF record
LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH RECURSIVE behind (class, object, attnum) AS (
		SELECT u.class, u.object, 0 FROM unnest(classes, objects) u (class, object)
		UNION
		SELECT n.class, n.object, n.attnum
		  FROM behind b
		 CROSS JOIN LATERAL (
			SELECT CASE WHEN c.oid IS NOT NULL THEN 'pg_catalog.pg_type'::regclass
						WHEN f.oid IS NOT NULL THEN 'pg_catalog.pg_opfamily'::regclass ELSE d.classid END,
				   coalesce(c.contypid, f.amprocfamily, d.objid),
				   CASE d.classid WHEN 'pg_catalog.pg_class'::regclass THEN d.objsubid ELSE 0 END
			  FROM pg_catalog.pg_depend d
			  LEFT JOIN pg_catalog.pg_constraint c
				ON c.oid = d.objid AND d.classid = 'pg_catalog.pg_constraint'::regclass AND c.contypid <> 0
			  LEFT JOIN pg_catalog.pg_amproc f ON f.oid = d.objid AND d.classid = 'pg_catalog.pg_amproc'::regclass
			 WHERE d.refclassid = b.class AND d.refobjid = b.object
			   AND (b.attnum = 0 OR d.refobjsubid = b.attnum)
			   AND (c.oid IS NOT NULL OR f.oid IS NOT NULL
					OR d.classid IN ('pg_catalog.pg_type'::regclass, 'pg_catalog.pg_operator'::regclass,
									 'pg_catalog.pg_opclass'::regclass)
					OR (d.classid = 'pg_catalog.pg_class'::regclass AND d.objsubid > 0
						AND b.class = 'pg_catalog.pg_type'::regclass)
					OR (d.classid = 'pg_catalog.pg_proc'::regclass
						AND EXISTS (SELECT FROM pg_catalog.pg_proc p
									 WHERE p.oid = d.objid AND (p.prokind = 'a' OR p.pronargdefaults > 0))))
			UNION ALL
			SELECT 'pg_catalog.pg_type'::regclass, r.reltype, 0
			  FROM pg_catalog.pg_class r
			 WHERE b.class = 'pg_catalog.pg_class'::regclass AND r.oid = b.object AND r.reltype <> 0
			UNION ALL
			SELECT 'pg_catalog.pg_opfamily'::regclass, o.opcfamily, 0
			  FROM pg_catalog.pg_opclass o
			 WHERE b.class = 'pg_catalog.pg_opclass'::regclass AND o.oid = b.object
			UNION ALL
			SELECT 'pg_catalog.pg_type'::regclass, o.opcintype, 0
			  FROM pg_catalog.pg_opclass o
			 WHERE b.class = 'pg_catalog.pg_opfamily'::regclass AND o.opcfamily = b.object
			UNION ALL
			SELECT 'pg_catalog.pg_operator'::regclass, m.amopopr, 0
			  FROM pg_catalog.pg_amop m
			 WHERE b.class = 'pg_catalog.pg_opfamily'::regclass AND m.amopfamily = b.object
		 ) n (class, object, attnum)
	)
	SELECT b.class, b.object, b.attnum FROM behind b;
END;
REVOKE ALL ON FUNCTION kpi.lineage_behind(oid[], oid[]) FROM PUBLIC;
COMMENT ON FUNCTION kpi.lineage_behind(oid[], oid[]) IS
	'some objects, and the types, operators, operator families, aggregates, functions with defaults and columns through which a query that does not name them comes to run their functions';

-- What hangs on an object may name it differently after a change.
CREATE FUNCTION kpi.record_lineage_around(
	classes oid[], objects oid[], command text, role text,
	OUT name text, OUT problem text, OUT passing boolean)
RETURNS SETOF record
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
	WITH RECURSIVE changed (class, object) AS MATERIALIZED (
		SELECT u.class, u.object FROM unnest(classes, objects) u (class, object)
		UNION								-- columns change in partitions and children, too
		SELECT changed.class, i.inhrelid
		  FROM changed
		  JOIN pg_catalog.pg_inherits i ON i.inhparent = changed.object
		 WHERE changed.class = 'pg_catalog.pg_class'::regclass
	), behind (class, object, attnum) AS (
		SELECT class, object, 0 FROM changed
		UNION ALL							-- plain tables and views have nothing behind them
		SELECT b.class, b.object, b.attnum
		  FROM (SELECT array_agg(changed.class) AS classes, array_agg(changed.object) AS objects
				  FROM changed
				 WHERE changed.class <> 'pg_catalog.pg_class'::regclass
					OR EXISTS (SELECT FROM kpi.lineage_row_type r WHERE r.relid = changed.object OFFSET 0)) c
		 CROSS JOIN LATERAL kpi.lineage_behind(c.classes, c.objects) b
	), used AS MATERIALIZED (
		SELECT d.classid, d.objid
		  FROM behind b
		  JOIN pg_catalog.pg_depend d
			ON d.refclassid = b.class AND d.refobjid = b.object AND (b.attnum = 0 OR d.refobjsubid = b.attnum)
	), touched (class, object) AS (
		SELECT class, object FROM changed
		UNION
		SELECT 'pg_catalog.pg_class'::regclass::oid, w.ev_class
		  FROM used
		  JOIN pg_catalog.pg_rewrite w ON w.oid = used.objid
		 WHERE used.classid = 'pg_catalog.pg_rewrite'::regclass
		UNION
		SELECT used.classid, used.objid
		  FROM used
		 WHERE used.classid = 'pg_catalog.pg_proc'::regclass
		UNION
		SELECT 'pg_catalog.pg_class'::regclass, a.adrelid
		  FROM used
		  JOIN pg_catalog.pg_attrdef a ON a.oid = used.objid
		 WHERE used.classid = 'pg_catalog.pg_attrdef'::regclass
		UNION
		SELECT 'pg_catalog.pg_class'::regclass::oid, i.inhparent
		  FROM changed
		  JOIN pg_catalog.pg_inherits i ON i.inhrelid = changed.object
		UNION								-- partitions that have left
		SELECT e.target_class, e.target
		  FROM changed
		  JOIN kpi.lineage_edge e ON e.source = changed.object AND e.source_class = changed.class
	)
	SELECT r.name, r.problem, r.passing
	  FROM (SELECT array_agg(t.class) AS classes, array_agg(t.object) AS objects FROM touched t) t
	 CROSS JOIN LATERAL kpi.record_lineage(t.classes, t.objects, command, role, false) r;
END;
REVOKE ALL ON FUNCTION kpi.record_lineage_around(oid[], oid[], text, text) FROM PUBLIC;
COMMENT ON FUNCTION kpi.record_lineage_around(oid[], oid[], text, text) IS
	'record the lineage of some objects and of what hangs on them; returns those that could not be derived';

CREATE FUNCTION kpi.changes_lineage(command pg_ddl_command)
RETURNS boolean
AS 'MODULE_PATHNAME', 'kpi_changes_lineage'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.changes_lineage(pg_ddl_command) FROM PUBLIC;
COMMENT ON FUNCTION kpi.changes_lineage(pg_ddl_command) IS
	'can a command change columns, their names or what they come from? Most of ALTER TABLE cannot';

-- Most DDL is about what has no lineage and is not read by anything that has.
-- The objects pass through an array so that the planner expects few of them, and OFFSET
-- keeps it from hashing all of a catalog for one of them.
CREATE VIEW kpi.lineage_ddl AS
WITH reported (class, object) AS (
	SELECT d.classid, d.objid
	  FROM pg_catalog.pg_event_trigger_ddl_commands() d
	 WHERE d.schema_name IS DISTINCT FROM 'pg_temp'
	   AND kpi.changes_lineage(d.command)
	UNION ALL
	SELECT 'pg_catalog.pg_class'::regclass, w.ev_class
	  FROM pg_catalog.pg_event_trigger_ddl_commands() d
	  JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
	 WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass
	UNION ALL
	SELECT 'pg_catalog.pg_class'::regclass, c.oid
	  FROM pg_catalog.pg_event_trigger_ddl_commands() d
	  JOIN pg_catalog.pg_class t ON t.oid = d.objid AND t.reltype <> 0
	  JOIN pg_catalog.pg_class c ON c.reloftype = t.reltype
	 WHERE d.classid = 'pg_catalog.pg_class'::regclass
	UNION ALL
	SELECT o.class, o.object
	  FROM pg_catalog.pg_event_trigger_ddl_commands() d
	  LEFT JOIN pg_catalog.pg_extension x ON x.oid = d.objid AND d.classid = 'pg_catalog.pg_extension'::regclass
	 CROSS JOIN LATERAL kpi.lineage_objects_of_schema(coalesce(x.extnamespace, d.objid)) o
	 WHERE d.classid IN ('pg_catalog.pg_namespace'::regclass, 'pg_catalog.pg_extension'::regclass)
), list AS MATERIALIZED (
	SELECT array_agg(r.class) AS classes, array_agg(r.object) AS objects FROM reported r
)
SELECT c.class, c.object
  FROM list
 CROSS JOIN LATERAL unnest(list.classes, list.objects) c (class, object)
 WHERE EXISTS (SELECT FROM pg_catalog.pg_class r
				WHERE c.class = 'pg_catalog.pg_class'::regclass AND r.oid = c.object
				  AND (r.relkind IN ('v', 'm') OR r.relhassubclass OR r.relispartition) OFFSET 0)
	OR EXISTS (SELECT FROM pg_catalog.pg_attribute a
				WHERE c.class = 'pg_catalog.pg_class'::regclass AND a.attrelid = c.object AND a.attgenerated <> '' OFFSET 0)
	OR EXISTS (SELECT FROM pg_catalog.pg_inherits i
				WHERE c.class = 'pg_catalog.pg_class'::regclass AND i.inhrelid = c.object OFFSET 0)
	OR EXISTS (SELECT FROM pg_catalog.pg_proc p
				WHERE c.class = 'pg_catalog.pg_proc'::regclass AND p.oid = c.object AND p.prosqlbody IS NOT NULL OFFSET 0)
	OR EXISTS (SELECT FROM pg_catalog.pg_depend d
				WHERE d.refclassid = c.class AND d.refobjid = c.object
				  AND (d.classid IN ('pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_proc'::regclass)
					   OR (d.refclassid <> 'pg_catalog.pg_class'::regclass
						   AND d.classid IN ('pg_catalog.pg_attrdef'::regclass, 'pg_catalog.pg_constraint'::regclass,
											 'pg_catalog.pg_type'::regclass, 'pg_catalog.pg_operator'::regclass,
											 'pg_catalog.pg_opclass'::regclass, 'pg_catalog.pg_amproc'::regclass,
											 'pg_catalog.pg_class'::regclass))) OFFSET 0)
	OR (c.class = 'pg_catalog.pg_class'::regclass
		AND EXISTS (SELECT FROM kpi.lineage_row_type r WHERE r.relid = c.object OFFSET 0))
	OR c.class IN ('pg_catalog.pg_opclass'::regclass, 'pg_catalog.pg_opfamily'::regclass)
	OR EXISTS (SELECT FROM kpi.lineage_edge e WHERE e.source = c.object AND e.source_class = c.class OFFSET 0)
	OR EXISTS (SELECT FROM kpi.lineage_edge e WHERE e.target = c.object AND e.target_class = c.class OFFSET 0);
REVOKE ALL ON kpi.lineage_ddl FROM PUBLIC;
COMMENT ON VIEW kpi.lineage_ddl IS
	'what the command that fires an event trigger on ddl_command_end changed, as far as lineage is concerned';
COMMENT ON COLUMN kpi.lineage_ddl.class IS 'pg_class or pg_proc';
COMMENT ON COLUMN kpi.lineage_ddl.object IS 'OID of the object';

CREATE FUNCTION kpi.record_lineage_of_drop(command text, role text)
RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
	WITH dropped AS MATERIALIZED (
		SELECT d.classid, d.objid, kpi.lock_lineage(d.objid)
		  FROM pg_catalog.pg_event_trigger_dropped_objects() d
		 WHERE d.objsubid = 0
		   AND d.classid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass)
	), recorded AS MATERIALIZED (
		SELECT e.ctid AS id, e.*
		  FROM dropped d
		  JOIN kpi.lineage_edge e
			ON (e.target = d.objid AND e.target_class = d.classid)
			OR (e.source = d.objid AND e.source_class = d.classid)
		   FOR UPDATE OF e NOWAIT
	), gone AS (
		DELETE FROM kpi.lineage_edge e USING recorded r WHERE e.ctid = r.id
		RETURNING e.*
	)
	INSERT INTO kpi.lineage_log (role, command, change, target_id, target, target_column, source, source_column, kind, transformation)
	SELECT role, command, 'removed', g.target, g.target_name, g.target_column, g.source_name, g.source_column, g.kind, g.transformation
	  FROM gone g;
END;
REVOKE ALL ON FUNCTION kpi.record_lineage_of_drop(text, text) FROM PUBLIC;
COMMENT ON FUNCTION kpi.record_lineage_of_drop(text, text) IS
	'remove the edges of what was dropped, and log them; for an event trigger on sql_drop';

-- Nothing tells any more which types and operators it was that compared or checked
-- with what was dropped.
CREATE VIEW kpi.lineage_drop AS
SELECT d.objid AS object,
	   d.classid IN ('pg_catalog.pg_opclass'::regclass, 'pg_catalog.pg_opfamily'::regclass,
					 'pg_catalog.pg_amproc'::regclass)
	   OR d.object_type = 'domain constraint' AS compares
  FROM pg_catalog.pg_event_trigger_dropped_objects() d
 WHERE d.object_type IN ('view', 'materialized view', 'function', 'operator class', 'operator family',
						 'function of access method', 'domain constraint')
	OR EXISTS (SELECT FROM kpi.lineage_edge e WHERE e.target = d.objid OFFSET 0)
	OR EXISTS (SELECT FROM kpi.lineage_edge e WHERE e.source = d.objid OFFSET 0);
REVOKE ALL ON kpi.lineage_drop FROM PUBLIC;
COMMENT ON VIEW kpi.lineage_drop IS
	'what the command that fires an event trigger on sql_drop dropped, as far as lineage is concerned';
COMMENT ON COLUMN kpi.lineage_drop.object IS 'OID of what was dropped';
COMMENT ON COLUMN kpi.lineage_drop.compares IS 'may it have brought functions to queries that do not name it?';

CREATE FUNCTION kpi.record_lineage()
RETURNS event_trigger
AS 'MODULE_PATHNAME', 'kpi_record_lineage'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.record_lineage() FROM PUBLIC;
COMMENT ON FUNCTION kpi.record_lineage() IS
	'event trigger: record the lineage that DDL changes; a failure is a warning, and marks the graph stale';

CREATE EVENT TRIGGER kpi_record_lineage ON ddl_command_end
	WHEN TAG IN ('CREATE VIEW', 'ALTER VIEW', 'CREATE MATERIALIZED VIEW', 'ALTER MATERIALIZED VIEW',
				 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE',
				 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE', 'IMPORT FOREIGN SCHEMA',
				 'CREATE FUNCTION', 'ALTER FUNCTION', 'CREATE PROCEDURE', 'ALTER PROCEDURE', 'ALTER ROUTINE',
				 'CREATE SCHEMA', 'ALTER SCHEMA', 'CREATE RULE', 'CREATE EXTENSION', 'ALTER EXTENSION',
				 'ALTER TYPE', 'ALTER DOMAIN', 'ALTER COLLATION', 'CREATE AGGREGATE', 'ALTER AGGREGATE', 'ALTER OPERATOR',
				 'CREATE OPERATOR CLASS', 'ALTER OPERATOR FAMILY',
				 'ALTER SEQUENCE')
	EXECUTE FUNCTION kpi.record_lineage();
ALTER EVENT TRIGGER kpi_record_lineage ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER kpi_record_lineage IS 'keeps the recorded lineage in step with DDL';

CREATE EVENT TRIGGER kpi_record_lineage_drop ON sql_drop
	EXECUTE FUNCTION kpi.record_lineage();
ALTER EVENT TRIGGER kpi_record_lineage_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER kpi_record_lineage_drop IS 'keeps the recorded lineage in step with DROP';

CREATE FUNCTION kpi.refresh_lineage()
RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT kpi.lock_lineage(0);				-- one lock, however many objects there are
	DELETE FROM kpi.lineage_stale;			-- first, for what is marked from now on may be news
	INSERT INTO kpi.lineage_stale (command, problem)
	SELECT 'refresh_lineage', format('%s: %s', r.name, r.problem)
	  FROM (SELECT array_agg(u.class) AS classes, array_agg(u.object) AS objects
			  FROM (SELECT class, object FROM kpi.lineage_object
					UNION
					SELECT target_class, target FROM kpi.lineage_edge) u) o
	 CROSS JOIN LATERAL kpi.record_lineage(o.classes, o.objects, 'refresh_lineage', session_user, true) r
	 WHERE r.passing;
END;
REVOKE ALL ON FUNCTION kpi.refresh_lineage() FROM PUBLIC;
COMMENT ON FUNCTION kpi.refresh_lineage() IS
	'derive all lineage again, record what differs, and end staleness, unless somebody is changing what an object reads: that stays as it was recorded; for DBAs: nobody but superusers may call it unless granted';

CREATE VIEW kpi.lineage_relation AS
SELECT c.oid AS relid,
	   CASE WHEN m.relid IS NOT NULL THEN 'metric'
			WHEN v.relid IS NOT NULL THEN 'metric view'
			ELSE CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
					  WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table'
					  WHEN 'S' THEN 'sequence' ELSE 'table' END
	   END AS type
  FROM pg_catalog.pg_class c
  LEFT JOIN kpi.metric_registry m ON m.relid = c.oid
  LEFT JOIN kpi.metric_view_registry v ON v.relid = c.oid;
REVOKE ALL ON kpi.lineage_relation FROM PUBLIC;
COMMENT ON VIEW kpi.lineage_relation IS 'what relations are, to lineage';
COMMENT ON COLUMN kpi.lineage_relation.relid IS 'OID of the relation';
COMMENT ON COLUMN kpi.lineage_relation.type IS 'metric, metric view, view, materialized view, table, partitioned table or foreign table';

CREATE VIEW kpi.lineage_current AS
WITH stale (is_stale) AS MATERIALIZED (
	SELECT EXISTS (SELECT FROM kpi.lineage_stale)
), derived AS MATERIALIZED (
	SELECT d.*
	  FROM kpi.lineage_object o
	 CROSS JOIN LATERAL kpi.derive_lineage(o.class, o.object) d
	 WHERE (SELECT is_stale FROM stale)
), edge AS (
	SELECT e.* FROM kpi.lineage_edge e
	 WHERE NOT (SELECT is_stale FROM stale)
	UNION ALL
	SELECT e.*
	  FROM derived d
	  JOIN kpi.lineage_edge e ON e.target = d.target AND e.target_class = d.target_class
	 WHERE d.problem IS NOT NULL
	UNION ALL
	SELECT d.target_class, d.target, d.target_name, d.target_column,
		   d.source_class, d.source, d.source_name, d.source_column, d.kind, d.transformation
	  FROM derived d
	 WHERE d.problem IS NULL
)
SELECT CASE WHEN e.source_class = 'pg_catalog.pg_proc'::regclass THEN 'function' ELSE s.type END AS source_type,
	   e.source_name AS source, e.source_column,
	   CASE WHEN e.target_class = 'pg_catalog.pg_proc'::regclass THEN 'function' ELSE t.type END AS target_type,
	   e.target_name AS target, e.target_column, e.kind, e.transformation
  FROM edge e
  LEFT JOIN kpi.lineage_relation s ON s.relid = e.source
  LEFT JOIN kpi.lineage_relation t ON t.relid = e.target;
REVOKE ALL ON kpi.lineage_current FROM PUBLIC;
COMMENT ON VIEW kpi.lineage_current IS 'the graph as it is: as recorded or, while that is stale, derived now where that is possible without waiting';
COMMENT ON COLUMN kpi.lineage_current.source_type IS 'what the source is';
COMMENT ON COLUMN kpi.lineage_current.source IS 'name of the source';
COMMENT ON COLUMN kpi.lineage_current.source_column IS 'its column; NULL for its rows';
COMMENT ON COLUMN kpi.lineage_current.target_type IS 'what the target is';
COMMENT ON COLUMN kpi.lineage_current.target IS 'name of the target';
COMMENT ON COLUMN kpi.lineage_current.target_column IS 'its column; NULL for its rows';
COMMENT ON COLUMN kpi.lineage_current.kind IS 'value, filter, join, group or order';
COMMENT ON COLUMN kpi.lineage_current.transformation IS 'what is done, as SQL; NULL where nothing is';

CREATE FUNCTION kpi.upstream(
	object text,
	OUT depth integer,
	OUT source_type text, OUT source text, OUT source_column text,
	OUT target_type text, OUT target text, OUT target_column text,
	OUT kind text, OUT transformation text, OUT path text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_upstream'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE ROWS 50;
COMMENT ON FUNCTION kpi.upstream(text) IS
	'all edges that lead to a relation, a column ("schema.relation.column") or a function ("schema.function(types)"), nearest first; path is the way from it to the edge''s source; raises 42P01, 42703 or 42883 for what does not exist';

CREATE FUNCTION kpi.downstream(
	object text,
	OUT depth integer,
	OUT source_type text, OUT source text, OUT source_column text,
	OUT target_type text, OUT target text, OUT target_column text,
	OUT kind text, OUT transformation text, OUT path text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_downstream'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE ROWS 50;
COMMENT ON FUNCTION kpi.downstream(text) IS
	'all edges that lead away from a relation, a column ("schema.relation.column") or a function ("schema.function(types)"), nearest first; path is the way from it to the edge''s target; raises 42P01, 42703 or 42883 for what does not exist';

CREATE FUNCTION kpi.transitive_lineage(
	OUT source_type text, OUT source text, OUT source_column text,
	OUT target_type text, OUT target text, OUT target_column text,
	OUT kind text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_transitive_lineage'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 1000;
COMMENT ON FUNCTION kpi.transitive_lineage() IS
	'for each column of a metric or metric view, what it comes from in the end through at least one view or metric between them; the kind is value where values flow all the way, else the first other kind on the way';

CREATE FUNCTION kpi.lineage_edges(
	OUT source_type text, OUT source text, OUT source_column text,
	OUT target_type text, OUT target text, OUT target_column text,
	OUT kind text, OUT transformation text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_lineage_edges'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 1000;
COMMENT ON FUNCTION kpi.lineage_edges() IS
	'the graph as it is: the direct edges';

CREATE VIEW kpi.lineage AS
SELECT e.source_type, e.source, e.source_column, e.target_type, e.target, e.target_column,
	   e.kind, e.transformation, true AS direct
  FROM kpi.lineage_edges() e
UNION ALL
SELECT t.source_type, t.source, t.source_column, t.target_type, t.target, t.target_column,
	   t.kind, NULL, false
  FROM kpi.transitive_lineage() t;
COMMENT ON VIEW kpi.lineage IS
	'what flows into what: each step of the way, and from metrics and metric views right down to what they come from in the end; says no more than pg_catalog tells everybody';
COMMENT ON COLUMN kpi.lineage.source_type IS 'metric, metric view, view, materialized view, table, partitioned table, foreign table or function';
COMMENT ON COLUMN kpi.lineage.source IS 'name of the source';
COMMENT ON COLUMN kpi.lineage.source_column IS 'its column; NULL for its rows';
COMMENT ON COLUMN kpi.lineage.target_type IS 'what the target is';
COMMENT ON COLUMN kpi.lineage.target IS 'name of the target';
COMMENT ON COLUMN kpi.lineage.target_column IS 'its column; NULL for its rows';
COMMENT ON COLUMN kpi.lineage.kind IS 'value, filter, join, group or order';
COMMENT ON COLUMN kpi.lineage.transformation IS 'what is done, as SQL; NULL where nothing is, and for ways of several steps';
COMMENT ON COLUMN kpi.lineage.direct IS 'one step, or the whole way?';

-- Who may read what is there under a name may see how it came to be so; not what
-- others once had under that name.
CREATE VIEW kpi.lineage_history WITH (security_barrier) AS
SELECT l.changed_at, l.transaction, l.login, l.role, l.command, l.change,
	   l.target, l.target_column, l.source, l.source_column, l.kind, l.transformation
  FROM kpi.lineage_log l
 WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = current_user AND r.rolsuper)
	OR EXISTS (SELECT FROM pg_catalog.pg_class c
				 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
				WHERE c.oid = l.target_id
				  AND format('%I.%I', n.nspname, c.relname) = l.target
				  AND has_any_column_privilege(c.oid, 'SELECT'));
COMMENT ON VIEW kpi.lineage_history IS
	'how the graph came to be as it is: all of it to superusers, to others what concerns relations that they may read, since those have their name';
COMMENT ON COLUMN kpi.lineage_history.changed_at IS 'when it changed';
COMMENT ON COLUMN kpi.lineage_history.transaction IS 'the transaction that changed it';
COMMENT ON COLUMN kpi.lineage_history.login IS 'the role that had logged in';
COMMENT ON COLUMN kpi.lineage_history.role IS 'the role that it acted as';
COMMENT ON COLUMN kpi.lineage_history.command IS 'the command that changed it';
COMMENT ON COLUMN kpi.lineage_history.change IS 'added or removed';
COMMENT ON COLUMN kpi.lineage_history.target IS 'name of the target, then';
COMMENT ON COLUMN kpi.lineage_history.target_column IS 'its column; NULL for its rows';
COMMENT ON COLUMN kpi.lineage_history.source IS 'name of the source, then';
COMMENT ON COLUMN kpi.lineage_history.source_column IS 'its column; NULL for its rows';
COMMENT ON COLUMN kpi.lineage_history.kind IS 'value, filter, join, group or order';
COMMENT ON COLUMN kpi.lineage_history.transformation IS 'what is or was done, as SQL';

CREATE FUNCTION kpi.lineage_object_id(
	object text, OUT relid oid, OUT attnum smallint, OUT funcid oid,
	OUT name text, OUT column_name text)
RETURNS record
AS 'MODULE_PATHNAME', 'kpi_lineage_object_id'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi.lineage_object_id(text) IS
	'which relation, column or function a text names; raises 42P01, 42703 or 42883 for what does not exist and 42702 for what may be both a relation and a column';

CREATE FUNCTION kpi.stored_sql(class oid, object oid)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_stored_sql'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.stored_sql(oid, oid) IS
	'the query of a view (pg_class), the statement of a function with a body in SQL (pg_proc) or the condition of a policy (pg_policy), as PostgreSQL writes it; NULL where there is none, and while somebody is changing a relation that it names';

CREATE FUNCTION kpi.lineage_object_address(object text, OUT class oid, OUT object_id oid, OUT attnum smallint)
RETURNS record
AS 'MODULE_PATHNAME', 'kpi_lineage_object_address'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi.lineage_object_address(text) IS
	'which relation, column, function or type a text names, as pg_depend does; raises 42P01, 42703 or 42883 for what does not exist and 42702 for what may be both a relation and a column';

CREATE FUNCTION kpi.dependents(
	class oid, object oid, attnum smallint,
	OUT dependent_class oid, OUT dependent oid, OUT dependent_attnum smallint, OUT depth integer)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_dependents'
LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 50;
REVOKE ALL ON FUNCTION kpi.dependents(oid, oid, smallint) FROM PUBLIC;
COMMENT ON FUNCTION kpi.dependents(oid, oid, smallint) IS
	'what a DROP with CASCADE of an object or column would take, itself included, and how many relations and functions away it is';

-- What relations are is the registry's to tell.  Names and dependencies are open to
-- everybody in the catalogs.
CREATE FUNCTION kpi.taken_by_drop(
	class oid, object oid, attnum smallint,
	OUT kind text, OUT name text, OUT columns text[], OUT owner name, OUT depth integer, OUT policy oid)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER ROWS 50
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH taken AS MATERIALIZED (
		SELECT d.dependent_class AS class, d.dependent AS object, d.dependent_attnum AS attnum, d.depth
		  FROM kpi.dependents(class, object, attnum) d
		 WHERE d.depth > 0 OR d.dependent_class = 'pg_catalog.pg_policy'::regclass
	)
	SELECT r.type, format('%I.%I', n.nspname, c.relname),
		   CASE WHEN bool_and(t.attnum <> 0) THEN array_agg(a.attname::text ORDER BY a.attnum) END,
		   pg_get_userbyid(c.relowner), coalesce(min(t.depth) FILTER (WHERE t.attnum = 0), min(t.depth)), NULL::oid
	  FROM taken t
	  JOIN pg_catalog.pg_class c ON c.oid = t.object AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
	  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	  JOIN kpi.lineage_relation r ON r.relid = c.oid
	  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = t.attnum AND a.attnum > 0
	 WHERE t.class = 'pg_catalog.pg_class'::regclass
	 GROUP BY c.oid, c.relname, c.relowner, n.nspname, r.type
	UNION ALL
	SELECT 'function', kpi.lineage_function_name(p.oid), NULL, pg_get_userbyid(p.proowner), t.depth, NULL
	  FROM taken t
	  JOIN pg_catalog.pg_proc p ON p.oid = t.object
	 WHERE t.class = 'pg_catalog.pg_proc'::regclass
	UNION ALL
	SELECT 'policy', format('%I on %I.%I', p.polname, n.nspname, c.relname), NULL, pg_get_userbyid(c.relowner), t.depth, p.oid
	  FROM taken t
	  JOIN pg_catalog.pg_policy p ON p.oid = t.object
	  JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
	  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	 WHERE t.class = 'pg_catalog.pg_policy'::regclass;
END;
COMMENT ON FUNCTION kpi.taken_by_drop(oid, oid, smallint) IS
	'the relations (or columns of them), functions and policies that a DROP with CASCADE of an object or column would take; says no more than pg_catalog tells everybody';

-- With the rights of the caller: scopes and history are told as their own views tell them.
CREATE FUNCTION kpi.impact(
	object text,
	OUT kind text, OUT name text, OUT columns text[], OUT owner name, OUT depth integer, OUT how text[])
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
	WITH address AS MATERIALIZED (
		SELECT a.*, CASE WHEN a.class <> 'pg_catalog.pg_type'::regclass THEN $1 END AS has_lineage
		  FROM kpi.lineage_object_address($1) a
	), it AS MATERIALIZED (
		SELECT i.*
		  FROM address a
		 CROSS JOIN LATERAL kpi.lineage_object_id(a.has_lineage) i
	), reached AS MATERIALIZED (
		SELECT d.target_type, d.target, d.target_column, d.depth, d.kind
		  FROM address a
		 CROSS JOIN LATERAL kpi.downstream(a.has_lineage) d
	), taken AS MATERIALIZED (
		SELECT t.*
		  FROM address a
		 CROSS JOIN LATERAL kpi.taken_by_drop(a.class, a.object_id, a.attnum) t
	), function AS (
		SELECT kpi.lineage_function_name(p.oid) AS name, p.proowner
		  FROM pg_catalog.pg_proc p
		 WHERE p.prosqlbody IS NOT NULL
	), relation AS MATERIALIZED (
		SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, c.relowner
		  FROM pg_catalog.pg_class c
		  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		 WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p')
	), dimension AS (
		SELECT DISTINCT d.name, d.owner
		  FROM kpi.scope_dimensions d
		  JOIN relation r ON r.oid = d.view
		 WHERE r.name IN (SELECT target FROM reached UNION ALL SELECT t.name FROM taken t)
	)
	SELECT r.target_type, r.target,
		   array_agg(DISTINCT r.target_column) FILTER (WHERE r.target_column IS NOT NULL),
		   pg_get_userbyid(coalesce(min(n.relowner), min(f.proowner))),
		   min(r.depth), array_agg(DISTINCT r.kind)
	  FROM reached r
	  LEFT JOIN relation n ON n.name = r.target
	  LEFT JOIN function f ON f.name = r.target AND r.target_type = 'function'
	 GROUP BY r.target_type, r.target
	UNION ALL
	SELECT t.kind, t.name, t.columns, t.owner, t.depth, ARRAY['not read']
	  FROM taken t
	 WHERE t.kind <> 'policy'
	   AND NOT EXISTS (SELECT FROM reached r WHERE r.target = t.name)
	UNION ALL
	SELECT 'dimension', d.name, NULL, d.owner, 1, NULL
	  FROM dimension d
	UNION ALL
	SELECT 'scope', format('%s on %s', s.role, s.dimension), s.members, s.role::text::name, 2, ARRAY[s.level::text]
	  FROM kpi.scopes s
	  JOIN dimension d ON d.name = s.dimension
	UNION ALL
	SELECT 'policy', format('%I on %s', p.polname, r.name), NULL, pg_get_userbyid(r.relowner), 1,
		   ARRAY[kpi.stored_sql('pg_catalog.pg_policy'::regclass, p.oid)]
	  FROM pg_catalog.pg_policy p
	  JOIN relation r ON r.oid = p.polrelid
	 WHERE p.oid IN (SELECT t.policy FROM taken t)
	UNION ALL
	SELECT 'version', h.target, array_agg(DISTINCT h.target_column) FILTER (WHERE h.target_column IS NOT NULL),
		   NULL, 1, array_agg(DISTINCT format('until %s', h.changed_at))
	  FROM it
	  JOIN kpi.lineage_history h
		ON h.source = it.name AND (it.column_name IS NULL OR h.source_column = it.column_name)
	 WHERE h.change = 'removed'
	 GROUP BY h.target
	 ORDER BY 5, 1, 2;
END;
COMMENT ON FUNCTION kpi.impact(text) IS
	'what a change or a drop of a relation, column, function or type would touch: what is computed from it, with the columns, the least number of steps and how it takes part; what does not read it and goes with it all the same where it is dropped with CASCADE (''not read''); dimensions over it and their scopes; policies; and earlier versions of definitions that read it (until when), with owners';

REVOKE ALL ON kpi.lineage, kpi.lineage_history FROM PUBLIC;
GRANT SELECT ON kpi.lineage, kpi.lineage_history TO PUBLIC;

SELECT kpi.refresh_lineage();
-- lineage_findings: what kpi.check() tells of the recorded graph

CREATE FUNCTION kpi.lineage_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
	WITH derived AS MATERIALIZED (		-- lineage, or why there is none
		SELECT d.*
		  FROM kpi.lineage_object o
		 CROSS JOIN LATERAL kpi.derive_lineage(o.class, o.object) d
	)
	SELECT 'warning', 'lineage', format('%s at %s was not recorded: %s', s.command, s.marked_at, s.problem),
		   'SELECT kpi.refresh_lineage()'
	  FROM kpi.lineage_stale s
	UNION ALL
	SELECT 'warning', d.target_name, format('its lineage cannot be derived: %s', d.problem), NULL
	  FROM derived d
	 WHERE d.problem IS NOT NULL AND NOT d.passing
	UNION ALL
	SELECT 'warning', u.target_name,
		   CASE WHEN bool_or(u.is_recorded) THEN 'recorded lineage is not there any more'
				ELSE 'its lineage is not as recorded' END,
		   'SELECT kpi.refresh_lineage()'
	  FROM (SELECT e.*, true AS is_recorded
			  FROM kpi.lineage_edge e
			 WHERE NOT EXISTS (SELECT FROM derived d
								WHERE d.target = e.target AND d.target_class = e.target_class AND d.problem IS NOT NULL)
			UNION ALL
			SELECT d.target_class, d.target, d.target_name, d.target_column,
				   d.source_class, d.source, d.source_name, d.source_column, d.kind, d.transformation, false
			  FROM derived d
			 WHERE d.problem IS NULL) u
	 WHERE NOT EXISTS (SELECT FROM kpi.lineage_stale)
	 GROUP BY u.target_class, u.target, u.target_name, u.target_column,
			  u.source_class, u.source, u.source_name, u.source_column, u.kind, u.transformation
	HAVING NOT (bool_or(u.is_recorded) AND NOT bool_and(u.is_recorded))
	UNION ALL
	SELECT e.* FROM kpi.event_trigger_findings('kpi_record_lineage', 'ddl_command_end', 'kpi.record_lineage()'::regprocedure) e
	UNION ALL
	SELECT e.* FROM kpi.event_trigger_findings('kpi_record_lineage_drop', 'sql_drop', 'kpi.record_lineage()'::regprocedure) e;
END;
REVOKE ALL ON FUNCTION kpi.lineage_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.lineage_findings() IS 'what kpi.check() tells of the recorded graph';
-- openlineage: the lineage as events of OpenLineage, for data catalogs
--
-- An event describes a view as a job that makes a dataset of its own name.
-- Specification: https://openlineage.io/docs/spec; the schema of events is 2-0-2,
-- and each facet names the version of its own.

CREATE FUNCTION kpi.openlineage_producer()
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT 'urn:kpitables:' || x.extversion
	  FROM pg_catalog.pg_extension x
	 WHERE x.extname = 'kpitables';
END;
COMMENT ON FUNCTION kpi.openlineage_producer() IS
	'what kpitables calls itself in events of OpenLineage';

-- https://openlineage.io/docs/spec/naming
CREATE FUNCTION kpi.openlineage_namespace()
RETURNS text
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT format('postgres://%s:%s',
				  CASE family(inet_server_addr())
				  WHEN 6 THEN format('[%s]', host(inet_server_addr()))
				  ELSE coalesce(host(inet_server_addr()), 'localhost') END,
				  coalesce(inet_server_port()::text, current_setting('port')));
END;
COMMENT ON FUNCTION kpi.openlineage_namespace() IS
	'the server as the current connection names it, postgres://host:port; localhost for a socket';

-- Written so that the planner inlines it; without content there is no facet.
CREATE FUNCTION kpi.openlineage_facet(producer text, schema text, content jsonb)
RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT content
		   || jsonb_build_object('_producer', producer,
								 '_schemaURL', format('https://openlineage.io/spec/facets/%s.json#/$defs/%s',
													  schema, split_part(schema, '/', 2)));
END;
COMMENT ON FUNCTION kpi.openlineage_facet(text, text, jsonb) IS
	'a facet of OpenLineage: its content with what every facet must have; the schema is "version/name"';

-- How a source takes part, in OpenLineage's words.  The lineage has the SQL, not
-- its parse tree: an aggregate is seen by its name before a parenthesis, with
-- string constants taken out.
CREATE FUNCTION kpi.openlineage_transformation(kind text, expression text, aggregates text)
RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT jsonb_build_object(
			   'type', CASE kind WHEN 'value' THEN 'DIRECT' ELSE 'INDIRECT' END,
			   'subtype', CASE WHEN kind = 'filter' THEN 'FILTER'
							   WHEN kind = 'join' THEN 'JOIN'
							   WHEN kind <> 'value' AND code ~ '\mOVER \(' THEN 'WINDOW'
							   WHEN kind = 'group' THEN 'GROUP_BY'
							   WHEN kind = 'order' THEN 'SORT'
							   WHEN expression IS NULL OR code ~ '^([a-z0-9_.]|"([^"]|"")*")+$' THEN 'IDENTITY'
							   WHEN code ~ aggregates THEN 'AGGREGATION'
							   ELSE 'TRANSFORMATION' END,
			   'description', expression,
			   'masking', false)
	  FROM regexp_replace(expression, '("([^"]|"")*")|''([^'']|'''')*''', '\1', 'g') code;
END;
COMMENT ON FUNCTION kpi.openlineage_transformation(text, text, text) IS
	'an edge of the lineage as a transformation of OpenLineage; aggregates is a regular expression for calls of them';

-- The settings are those that the text of a definition depends on: it must read
-- the same to all, because the version of a dataset is its hash.
CREATE FUNCTION kpi.openlineage_events(object text DEFAULT NULL, namespace text DEFAULT NULL)
RETURNS SETOF jsonb
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
SET datestyle = iso
SET intervalstyle = postgres
SET timezone = utc
SET extra_float_digits = 3
SET bytea_output = hex
SET jit = off
BEGIN ATOMIC
	WITH RECURSIVE setting (namespace, producer, aggregates) AS (
		SELECT coalesce(openlineage_events.namespace, kpi.openlineage_namespace()),
			   kpi.openlineage_producer(),
			   (SELECT format('(^|[^\w"])(%s)\(',
							  string_agg(DISTINCT regexp_replace(quote_ident(p.proname), '(\W)', '\\\1', 'g'), '|'))
				  FROM pg_catalog.pg_proc p
				 WHERE p.prokind = 'a')
	), edge AS MATERIALIZED (
		SELECT l.* FROM kpi.lineage l WHERE l.direct
	), reached (object, type) AS (		-- whole relations: an event tells all of its view
		(SELECT u.target, u.target_type
		   FROM kpi.upstream(openlineage_events.object) u
		  WHERE openlineage_events.object IS NOT NULL
		 UNION
		 SELECT format('%I.%I', m.schema, m.name), 'metric'
		   FROM kpi.metrics m
		  WHERE openlineage_events.object IS NULL
		 UNION
		 SELECT format('%I.%I', v.schema, v.name), 'metric view'
		   FROM kpi.metric_views v
		  WHERE openlineage_events.object IS NULL)
		UNION
		SELECT e.source, e.source_type
		  FROM reached r
		  JOIN edge e ON e.target = r.object
	), found (object, type, name, owner, is_job, definition, description, row_type, function) AS (
		SELECT r.object, r.type, concat_ws('.', current_database(), n.nspname, c.relname),
			   pg_get_userbyid(c.relowner), c.relkind IN ('v', 'm'),
			   btrim(kpi.stored_sql('pg_catalog.pg_class'::regclass, c.oid)),
			   obj_description(c.oid, 'pg_class'), c.oid, NULL::oid
		  FROM reached r
		  JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace)
			ON format('%I.%I', n.nspname, c.relname) = r.object
		 WHERE r.type <> 'function'
		UNION ALL
		SELECT r.object, r.type, concat_ws('.', current_database(), r.object),
			   pg_get_userbyid(p.proowner), p.prosqlbody IS NOT NULL,
			   kpi.stored_sql('pg_catalog.pg_proc'::regclass, p.oid),
			   obj_description(p.oid, 'pg_proc'), t.typrelid, p.oid
		  FROM reached r
		  JOIN pg_catalog.pg_proc p
			ON kpi.lineage_function_name(p.oid) = r.object
		  JOIN pg_catalog.pg_type t ON t.oid = p.prorettype
		 WHERE r.type = 'function'
	), field ("position", object, name, type, description) AS (
		SELECT a.attnum, f.object, a.attname::text, format_type(a.atttypid, a.atttypmod),
			   coalesce(col_description(a.attrelid, a.attnum), CASE f.type WHEN 'metric' THEN f.description END)
		  FROM found f
		  JOIN pg_catalog.pg_attribute a ON a.attrelid = f.row_type AND a.attnum > 0 AND NOT a.attisdropped
		UNION ALL
		SELECT o.ordinality, f.object, o.name, format_type(o.type, NULL), NULL
		  FROM found f
		  JOIN pg_catalog.pg_proc p ON p.oid = f.function
		 CROSS JOIN LATERAL ROWS FROM (unnest(p.proargnames), unnest(p.proargmodes), unnest(p.proallargtypes))
							WITH ORDINALITY o (name, mode, type, ordinality)
		 WHERE o.mode IN ('o', 'b', 't')
		UNION ALL
		SELECT 1, f.object, p.proname::text, format_type(p.prorettype, NULL), NULL
		  FROM found f
		  JOIN pg_catalog.pg_proc p ON p.oid = f.function
		 WHERE f.row_type = 0
		   AND p.proallargtypes IS NULL
	), fields (object, content) AS (
		SELECT f.object,
			   jsonb_agg(jsonb_build_object('name', f.name, 'type', f.type, 'description', f.description,
											'ordinal_position', f.rank)
						 ORDER BY f.rank)
		  FROM (SELECT field.*, row_number() OVER (PARTITION BY field.object ORDER BY field."position") AS rank
				  FROM field) f
		 GROUP BY f.object
	), dataset (object, type, is_job, definition, owners, documentation, id, facets) AS (
		SELECT f.object, f.type, f.is_job, f.definition, about.owners, about.documentation,
			   jsonb_build_object('namespace', s.namespace, 'name', f.name),
			   jsonb_build_object(
				   'schema', kpi.openlineage_facet(s.producer, '1-2-0/SchemaDatasetFacet',
					   jsonb_build_object('fields', coalesce(fields.content, '[]'))),
				   'datasetType', kpi.openlineage_facet(s.producer, '1-0-1/DatasetTypeDatasetFacet',
					   CASE f.type
					   WHEN 'partitioned table' THEN '{"datasetType": "TABLE", "subType": "PARTITIONED"}'
					   WHEN 'foreign table' THEN '{"datasetType": "TABLE", "subType": "EXTERNAL"}'
					   WHEN 'materialized view' THEN '{"datasetType": "VIEW", "subType": "MATERIALIZED"}'
					   WHEN 'metric' THEN '{"datasetType": "VIEW", "subType": "METRIC"}'
					   WHEN 'metric view' THEN '{"datasetType": "VIEW", "subType": "METRIC_VIEW"}'
					   ELSE jsonb_build_object('datasetType', upper(f.type)) END),
				   'ownership', kpi.openlineage_facet(s.producer, '1-0-1/OwnershipDatasetFacet', about.owners),
				   'documentation', kpi.openlineage_facet(s.producer, '1-1-0/DocumentationDatasetFacet', about.documentation),
				   'version', kpi.openlineage_facet(s.producer, '1-0-1/DatasetVersionDatasetFacet', about.version))
		  FROM found f
		 CROSS JOIN setting s
		  LEFT JOIN fields ON fields.object = f.object
		 CROSS JOIN LATERAL (
			SELECT jsonb_build_object('owners', jsonb_build_array(
					   jsonb_build_object('name', 'role:' || f.owner, 'type', 'OWNER'))),
				   CASE WHEN f.description IS NOT NULL THEN jsonb_build_object('description', f.description) END,
				   CASE WHEN f.definition IS NOT NULL THEN jsonb_build_object(
					   'datasetVersion', encode(sha256(convert_to(f.definition, 'UTF8')), 'hex')) END
			) about (owners, documentation, version)
	), inputs (object, content) AS (
		SELECT e.target, jsonb_agg(d.id || jsonb_build_object('facets', d.facets) ORDER BY d.object COLLATE "C")
		  FROM (SELECT DISTINCT edge.target, edge.source FROM edge WHERE edge.source <> edge.target) e
		  JOIN dataset d ON d.object = e.source
		 GROUP BY e.target
	), input_field (object, field, content) AS (		-- field NULL: what decides about all rows
		SELECT e.target, e.target_column,
			   d.id || jsonb_build_object('field', e.source_column,
										  'transformations', jsonb_agg(DISTINCT e.transformation))
		  FROM (SELECT edge.target, edge.target_column, edge.source, edge.source_column,
					   kpi.openlineage_transformation(edge.kind, edge.transformation, s.aggregates) AS transformation
				  FROM edge
				 CROSS JOIN setting s
				 WHERE edge.source_column IS NOT NULL) e
		  JOIN dataset d ON d.object = e.source
		 GROUP BY e.target, e.target_column, e.source, e.source_column, d.id
	), field_lineage (object, field, content) AS (
		SELECT i.object, i.field, jsonb_agg(i.content ORDER BY i.content)
		  FROM input_field i
		 GROUP BY i.object, i.field
	), column_lineage (object, content) AS (
		SELECT l.object,
			   jsonb_build_object(
				   'fields', coalesce(jsonb_object_agg(l.field, jsonb_build_object('inputFields', l.content))
									  FILTER (WHERE l.field IS NOT NULL), '{}'),
				   'dataset', jsonb_agg(l.content) FILTER (WHERE l.field IS NULL) -> 0)
		  FROM field_lineage l
		 GROUP BY l.object
	)
	SELECT jsonb_strip_nulls(jsonb_build_object(
			   'eventTime', now(),
			   'producer', s.producer,
			   'schemaURL', 'https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent',
			   'job', d.id || jsonb_build_object('facets', jsonb_build_object(
				   'jobType', kpi.openlineage_facet(s.producer, '2-0-4/JobTypeJobFacet',
					   jsonb_build_object('processingType', 'BATCH', 'integration', 'KPITABLES',
										  'jobType', upper(replace(d.type, ' ', '_')))),
				   'sql', kpi.openlineage_facet(s.producer, '1-1-0/SQLJobFacet',
					   CASE WHEN d.definition IS NOT NULL
							THEN jsonb_build_object('query', d.definition, 'dialect', 'postgresql') END),
				   'ownership', kpi.openlineage_facet(s.producer, '1-0-1/OwnershipJobFacet', d.owners),
				   'documentation', kpi.openlineage_facet(s.producer, '1-1-0/DocumentationJobFacet', d.documentation))),
			   'inputs', coalesce(i.content, '[]'),
			   'outputs', jsonb_build_array(d.id || jsonb_build_object('facets', d.facets || jsonb_build_object(
				   'columnLineage', kpi.openlineage_facet(s.producer, '1-2-0/ColumnLineageDatasetFacet',
					   coalesce(c.content, '{"fields": {}}')))))))
	  FROM dataset d
	 CROSS JOIN setting s
	  LEFT JOIN inputs i ON i.object = d.object
	  LEFT JOIN column_lineage c ON c.object = d.object
	 WHERE d.is_job
	 ORDER BY d.object COLLATE "C";
END;
COMMENT ON FUNCTION kpi.openlineage_events(text, text) IS
	'one OpenLineage JobEvent for each metric, metric view, view, materialized view and SQL-standard function that an object comes from, itself included; without an object, for those behind all metrics and metric views that the current user may read; the namespace is postgres://host:port of the connection unless given; without SQL and version while somebody is changing what it reads';
-- picture: the graph as text for graphviz, and as a drawing

CREATE FUNCTION kpi.lineage_dot(object text)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_lineage_dot'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.lineage_dot(text) IS
	'what an object comes from and what depends on it, as a graph in the DOT language of graphviz; the object is a relation, a column or a function, as for kpi.upstream()';

CREATE FUNCTION kpi.lineage_svg(object text)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_lineage_svg'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.lineage_svg(text) IS
	'what an object comes from and what depends on it, as an SVG drawing: sources at the left, dependents at the right; the object is a relation, a column or a function, as for kpi.upstream()';
-- load, explaining a change: which members of a dimension moved a metric between two periods

CREATE FUNCTION kpi.compare_periods(
	metric regclass,
	before daterange,
	after daterange,
	by text,
	metric_view regclass DEFAULT NULL,
	OUT member text,
	OUT is_total boolean,
	OUT value_before numeric,
	OUT numerator_before numeric,
	OUT denominator_before numeric,
	OUT value_after numeric,
	OUT numerator_after numeric,
	OUT denominator_after numeric,
	OUT suppressed boolean,
	OUT loads bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_compare_periods'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.compare_periods(regclass, daterange, daterange, text, regclass) IS
	'the governed values of a metric in two periods, for each member of a dimension and in total, with the parts of a ratio: what kpi.explain_change() computes from';

-- With w the share of a member in the denominator, r its ratio and R that of the
-- total, each before (0) and after (1):
--		rate effect = (r1 - r0) * (w0 + w1) / 2
--		mix effect  = (w1 - w0) * ((r0 + r1) / 2 - (R0 + R1) / 2)
-- E. M. Kitagawa, Components of a Difference Between Two Rates, Journal of the
-- American Statistical Association 50 (1955), pp. 1168-1194, with the mean of both
-- periods as weights; R, which adds up to nothing over all members, makes growth
-- of a member below the average lower the ratio.  Their sum is
--		w1 * r1 - w0 * r0 - (w1 - w0) * (R0 + R1) / 2
-- where w * r is the member's numerator over the total denominator, so it holds
-- for a member without a denominator, too, and all of that is mix.  Each is
-- written as one division, which keeps at least 16 digits.
CREATE FUNCTION kpi.explain_change(
	metric regclass,
	before daterange,
	after daterange,
	by text,
	metric_view regclass DEFAULT NULL,
	OUT member text,
	OUT is_total boolean,
	OUT value_before numeric,
	OUT value_after numeric,
	OUT change numeric,
	OUT rate_effect numeric,
	OUT mix_effect numeric,
	OUT loads bigint)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
	WITH kind AS MATERIALIZED (
		SELECT kpi.additivity(metric) IN ('count', 'additive') AS sums_up,
			   kpi.is_ratio(metric) AS is_ratio
	), part AS (
		SELECT p.member,
			   p.is_total,
			   p.value_before AS v0,
			   p.value_after AS v1,
			   coalesce(p.numerator_before, 0) AS n0,
			   coalesce(p.numerator_after, 0) AS n1,
			   coalesce(p.denominator_before, 0) AS d0,
			   coalesce(p.denominator_after, 0) AS d1,
			   max(p.numerator_before) FILTER (WHERE p.is_total) OVER () AS tn0,
			   max(p.numerator_after) FILTER (WHERE p.is_total) OVER () AS tn1,
			   nullif(max(p.denominator_before) FILTER (WHERE p.is_total) OVER (), 0) AS td0,
			   nullif(max(p.denominator_after) FILTER (WHERE p.is_total) OVER (), 0) AS td1,
			   p.suppressed,
			   bool_or(p.suppressed) OVER () AS some_suppressed,
			   p.loads
		  FROM kpi.compare_periods(metric, before, after, by, metric_view) p
	), effect AS (
		SELECT p.*,
			   CASE WHEN NOT p.suppressed
					THEN (2 * (p.n1 * p.td0 - p.n0 * p.td1) * p.td0 * p.td1
						  - (p.d1 * p.td0 - p.d0 * p.td1) * (p.tn0 * p.td1 + p.tn1 * p.td0))
						 / (2 * p.td0 * p.td0 * p.td1 * p.td1) END AS both_effects,
			   CASE WHEN p.suppressed OR p.td0 IS NULL OR p.td1 IS NULL THEN NULL
					WHEN p.d0 = 0 OR p.d1 = 0 THEN 0
					ELSE (p.n1 * p.d0 - p.n0 * p.d1) * (p.d0 * p.td1 + p.d1 * p.td0)
						 / (2 * p.d0 * p.d1 * p.td0 * p.td1) END AS rate
		  FROM part p
	), explained AS (
		SELECT e.*,
			   CASE WHEN NOT e.is_total THEN e.rate
					WHEN NOT e.some_suppressed
					THEN sum(e.rate) FILTER (WHERE NOT e.is_total) OVER () END AS rate_effect,
			   CASE WHEN NOT e.is_total THEN e.both_effects - e.rate
					WHEN NOT e.some_suppressed
					THEN sum(e.both_effects - e.rate) FILTER (WHERE NOT e.is_total) OVER () END AS mix_effect
		  FROM effect e
	), changed AS (
		SELECT x.*,
			   CASE WHEN k.sums_up THEN coalesce(x.v1, 0) - coalesce(x.v0, 0)
					WHEN k.is_ratio AND NOT x.is_total THEN x.both_effects
					ELSE x.v1 - x.v0 END AS change
		  FROM explained x
		 CROSS JOIN kind k
	)
	SELECT c.member, c.is_total, c.v0, c.v1, c.change, c.rate_effect, c.mix_effect, c.loads
	  FROM changed c
	 ORDER BY c.is_total, abs(c.change) DESC NULLS LAST, c.member;
END;
COMMENT ON FUNCTION kpi.explain_change(regclass, daterange, daterange, text, regclass) IS
	'how much each member of a dimension contributed to the change of a metric between two periods, greatest first, then the total: for counts and sums the difference, which adds up to the total''s; for a ratio what its own ratio (rate_effect) and its share in the denominator (mix_effect) moved the total by; for other metrics the difference, which need not add up; a total that the definition rounds, and a member whose value is NULL because it adds NULL to a number, leave a residual; loads are those recorded in between that the current user may see';
-- load: which statement changed the data behind a metric

CREATE TABLE kpi.track_registry (
	relid		regclass PRIMARY KEY,
	time_column	text,
	tracked_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	verified_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
REVOKE ALL ON kpi.track_registry FROM PUBLIC;
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.track_registry
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.track_registry ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.track_registry IS 'what comes by logical replication is of another database';
COMMENT ON TABLE kpi.track_registry IS
	'tables whose changes of data are recorded; write by kpi.track()';
COMMENT ON COLUMN kpi.track_registry.relid IS 'the table';
COMMENT ON COLUMN kpi.track_registry.time_column IS 'the column whose touched range is recorded; NULL for none';
COMMENT ON COLUMN kpi.track_registry.tracked_at IS 'since when the table is tracked';
COMMENT ON COLUMN kpi.track_registry.verified_at IS
	'when kpi.track() was last called: kpi.check() tells of what no trigger saw after it';
SELECT pg_catalog.pg_extension_config_dump('kpi.track_registry',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = relid) ORDER BY ctid');

-- Rows are only ever appended, by kpi.record_change() and the event triggers.  The
-- dump leaves out tables that are gone: their numbers mean others elsewhere.
CREATE TABLE kpi.data_change_log (
	relation			regclass NOT NULL,
	relation_name		text NOT NULL,
	changed_at			timestamptz NOT NULL,
	transaction			xid8 NOT NULL,
	login				text NOT NULL,
	role				text NOT NULL,
	application_name	text NOT NULL,
	client_address		inet,
	command				text,
	operation			text NOT NULL,
	rows				bigint,
	touched_from		timestamp,
	touched_to			timestamp,
	members				jsonb
);
CREATE INDEX data_change_log_changed_at ON kpi.data_change_log (changed_at);
REVOKE ALL ON kpi.data_change_log FROM PUBLIC;
ALTER TABLE kpi.data_change_log REPLICA IDENTITY FULL;
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.data_change_log
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.data_change_log ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.data_change_log IS 'what comes by logical replication is of another database';
COMMENT ON TABLE kpi.data_change_log IS
	'one row for each statement that changed a tracked table; read kpi.data_change';
COMMENT ON INDEX kpi.data_change_log_changed_at IS 'the changes of some time';
COMMENT ON COLUMN kpi.data_change_log.relation IS 'the table that the statement named';
COMMENT ON COLUMN kpi.data_change_log.relation_name IS 'as it was called then';
COMMENT ON COLUMN kpi.data_change_log.changed_at IS 'when the statement ended';
COMMENT ON COLUMN kpi.data_change_log.transaction IS 'the transaction that it was part of';
COMMENT ON COLUMN kpi.data_change_log.login IS 'the role that was logged in, as it was called then';
COMMENT ON COLUMN kpi.data_change_log.role IS 'the role whose rights were in force when the statement ended';
COMMENT ON COLUMN kpi.data_change_log.application_name IS 'what the client called itself';
COMMENT ON COLUMN kpi.data_change_log.client_address IS 'where it came from; NULL for a socket of the machine';
COMMENT ON COLUMN kpi.data_change_log.command IS 'the command that the client sent; NULL at the end of a transaction and in background processes';
COMMENT ON COLUMN kpi.data_change_log.operation IS 'what happened to the table';
COMMENT ON COLUMN kpi.data_change_log.rows IS 'how many rows were touched; NULL where nobody counted';
COMMENT ON COLUMN kpi.data_change_log.touched_from IS 'the earliest time among them, in UTC where the column is a timestamptz';
COMMENT ON COLUMN kpi.data_change_log.touched_to IS 'the latest time among them';
COMMENT ON COLUMN kpi.data_change_log.members IS 'for each dimension that scoped the table, the keys among them, if few';
SELECT pg_catalog.pg_extension_config_dump('kpi.data_change_log',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = relation)');

CREATE FUNCTION kpi.record_change()
RETURNS trigger
AS 'MODULE_PATHNAME', 'kpi_record_change'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.record_change() IS
	'statement trigger on tracked tables and their partitions: one row of kpi.data_change for each statement that changed rows; logical replication fires no statement triggers';

CREATE FUNCTION kpi.track(relation regclass, time_column text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_track'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.track(regclass, text) IS
	'record each statement that changes a table or its partitions, with the touched range of a column of type date, timestamp or timestamptz; again: change that column, put the triggers right, and take what no trigger saw as known; only the owner may';

CREATE FUNCTION kpi.untrack(relation regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_untrack'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.untrack(regclass) IS
	'no longer record changes of a table; what was recorded stays; raises 42704 where it is not tracked';

CREATE FUNCTION kpi.relation_family(relation regclass)
RETURNS SETOF regclass
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH RECURSIVE above (relid) AS (
		SELECT relation::oid
		UNION
		SELECT i.inhparent
		  FROM above
		  JOIN pg_catalog.pg_inherits i ON i.inhrelid = above.relid
	), below (relid) AS (
		SELECT relation::oid
		UNION
		SELECT i.inhrelid
		  FROM below
		  JOIN pg_catalog.pg_inherits i ON i.inhparent = below.relid
	)
	SELECT above.relid::regclass FROM above
	UNION
	SELECT below.relid::regclass FROM below;
END;
COMMENT ON FUNCTION kpi.relation_family(regclass) IS
	'a table, its partitions and children, and the tables that it is a partition or child of, at any depth';

-- PostgreSQL collects no transition tables where a row goes to a foreign table: what
-- is above a foreign partition cannot have triggers.
CREATE VIEW kpi.track_repairs AS
WITH RECURSIVE family (relid) AS (
	SELECT t.relid::oid FROM kpi.track_registry t
	UNION
	SELECT i.inhrelid
	  FROM family f
	  JOIN pg_catalog.pg_inherits i ON i.inhparent = f.relid
), beyond (relid) AS (
	SELECT c.oid FROM family f JOIN pg_catalog.pg_class c ON c.oid = f.relid AND c.relkind = 'f'
	UNION
	SELECT i.inhparent
	  FROM beyond b
	  JOIN pg_catalog.pg_inherits i ON i.inhrelid = b.relid
), wanted (relid) AS (
	SELECT f.relid FROM family f JOIN pg_catalog.pg_class c ON c.oid = f.relid
	EXCEPT
	SELECT b.relid FROM beyond b
), present AS (
	SELECT g.tgrelid AS relid,
		   count(*) FILTER (WHERE g.tgenabled = 'A' AND g.tgqual IS NULL AND g.tgattr::text = ''
							  AND (g.tgname, g.tgtype) IN (('kpi_track_insert', 4), ('kpi_track_delete', 8),
														   ('kpi_track_update', 16), ('kpi_track_truncate', 32))) AS good
	  FROM pg_catalog.pg_depend d
	  JOIN pg_catalog.pg_trigger g ON g.oid = d.objid
	 WHERE d.classid = 'pg_catalog.pg_trigger'::regclass
	   AND d.refclassid = 'pg_catalog.pg_proc'::regclass
	   AND d.refobjid = 'kpi.record_change()'::regprocedure
	 GROUP BY g.tgrelid
)
SELECT coalesce(w.relid, p.relid)::regclass AS relation,
	   w.relid IS NOT NULL AS wanted
  FROM wanted w
  FULL JOIN present p ON p.relid = w.relid
 WHERE w.relid IS NULL OR p.good IS DISTINCT FROM 4;
REVOKE ALL ON kpi.track_repairs FROM PUBLIC;
COMMENT ON VIEW kpi.track_repairs IS 'tables whose triggers that record changes are not as they should be';
COMMENT ON COLUMN kpi.track_repairs.relation IS 'the table';
COMMENT ON COLUMN kpi.track_repairs.wanted IS 'should it have them?';

CREATE FUNCTION kpi.follow_tracked()
RETURNS event_trigger
AS 'MODULE_PATHNAME', 'kpi_follow_tracked'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.follow_tracked() FROM PUBLIC;
COMMENT ON FUNCTION kpi.follow_tracked() IS
	'event trigger: partitions that come to a tracked table are tracked, those that go are not, and what no trigger sees is recorded';

CREATE EVENT TRIGGER kpi_follow_tracked ON ddl_command_end
	WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE', 'CREATE SCHEMA',
				 'ALTER VIEW', 'ALTER MATERIALIZED VIEW', 'ALTER TYPE')	-- rename columns of tables, too
	EXECUTE FUNCTION kpi.follow_tracked();
ALTER EVENT TRIGGER kpi_follow_tracked ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER kpi_follow_tracked IS
	'partitions that come to a tracked table are tracked, and those that go are not';

CREATE EVENT TRIGGER kpi_follow_rewritten ON table_rewrite
	EXECUTE FUNCTION kpi.follow_tracked();
ALTER EVENT TRIGGER kpi_follow_rewritten ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER kpi_follow_rewritten IS
	'values of a tracked table that change with the type of a column are recorded';

CREATE EVENT TRIGGER kpi_follow_dropped ON sql_drop
	EXECUTE FUNCTION kpi.follow_tracked();
ALTER EVENT TRIGGER kpi_follow_dropped ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER kpi_follow_dropped IS
	'tables that are dropped are tracked no longer';

-- Who may know of a change: the table's owner, whoever may read all its rows, and
-- whoever may read at least those that were touched.
CREATE VIEW kpi.data_change WITH (security_barrier) AS
SELECT l.relation,
	   l.relation_name,
	   l.changed_at,
	   l.transaction,
	   l.login,
	   l.role,
	   l.application_name,
	   l.client_address,
	   l.command,
	   l.operation,
	   l.rows,
	   l.touched_from,
	   l.touched_to,
	   l.members
  FROM kpi.data_change_log l
  LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
 WHERE CASE
		 WHEN EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = current_user AND r.rolsuper) THEN true
		 WHEN c.oid IS NULL THEN false
		 WHEN pg_has_role(c.relowner, 'USAGE') THEN true
		 WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN false
		 WHEN NOT row_security_active(c.oid) THEN true
		 ELSE (SELECT bool_or(y.polname = 'kpi_open')
					  AND bool_and(CASE
									 WHEN y.polname = 'kpi_open' THEN true
									 WHEN starts_with(y.polname::text, 'kpi_scope_')
									 THEN kpi.scope_holds(quote_ident(substr(y.polname::text, 11)),
														  CASE WHEN l.members ? substr(y.polname::text, 11)
															   THEN ARRAY(SELECT jsonb_array_elements_text(l.members -> substr(y.polname::text, 11)))
														  END)
									 ELSE false
								   END)
				 FROM pg_catalog.pg_policy y
				WHERE y.polrelid = c.oid)
	   END;
COMMENT ON VIEW kpi.data_change IS
	'changes of tracked tables, one row a statement, of the tables that the current user owns or may read; of tables that obey scopes, those whose rows are all within the user''s; of dropped tables, for superusers only';
COMMENT ON COLUMN kpi.data_change.relation IS 'the table that the statement named';
COMMENT ON COLUMN kpi.data_change.relation_name IS 'as it was called then';
COMMENT ON COLUMN kpi.data_change.changed_at IS 'when the statement ended';
COMMENT ON COLUMN kpi.data_change.transaction IS 'the transaction that it was part of';
COMMENT ON COLUMN kpi.data_change.login IS 'the role that was logged in, as it was called then';
COMMENT ON COLUMN kpi.data_change.role IS
	'the role whose rights were in force when the statement ended: for what a foreign key cascades, that of the statement that set it off';
COMMENT ON COLUMN kpi.data_change.application_name IS 'what the client called itself';
COMMENT ON COLUMN kpi.data_change.client_address IS 'where it came from; NULL for a socket of the machine';
COMMENT ON COLUMN kpi.data_change.command IS
	'the command that the client sent, such as COPY, MERGE or CALL; NULL at the end of a transaction and in background processes';
COMMENT ON COLUMN kpi.data_change.operation IS
	'INSERT, UPDATE, DELETE, TRUNCATE; or what no trigger sees: ATTACH PARTITION, DETACH PARTITION, DROP PARTITION, INHERIT, NO INHERIT, DROP CHILD, ALTER TABLE (rewritten with other values), TRIGGERS DISABLED';
COMMENT ON COLUMN kpi.data_change.rows IS 'how many rows were touched; NULL where nobody counted';
COMMENT ON COLUMN kpi.data_change.touched_from IS
	'the earliest value of the time column among them, in UTC where it is a timestamptz; NULL if unknown';
COMMENT ON COLUMN kpi.data_change.touched_to IS 'the latest value of the time column among them; NULL if unknown';
COMMENT ON COLUMN kpi.data_change.members IS
	'for each dimension that scoped the table, the keys among the rows of before and after, if at most 16';
REVOKE ALL ON kpi.data_change FROM PUBLIC;
GRANT SELECT ON kpi.data_change TO PUBLIC;

CREATE FUNCTION kpi.loads(
	object text,
	since timestamptz DEFAULT NULL,
	touching daterange DEFAULT NULL,
	OUT relation regclass, OUT relation_name text, OUT changed_at timestamptz, OUT transaction xid8,
	OUT login text, OUT role text, OUT application_name text, OUT client_address inet,
	OUT command text, OUT operation text, OUT rows bigint,
	OUT touched_from timestamp, OUT touched_to timestamp, OUT members jsonb)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
	WITH source (relid) AS (
		SELECT c.oid					-- what is recorded of a view may be older than what is there
		  FROM kpi.upstream(object) u
		  JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace)
			ON format('%I.%I', n.nspname, c.relname) = u.source
		UNION
		SELECT i.relid FROM kpi.lineage_object_id(object) i
	), family (relid) AS MATERIALIZED (
		SELECT DISTINCT f.relid
		  FROM source s
		 CROSS JOIN LATERAL kpi.relation_family(s.relid) f (relid)
	)
	SELECT d.relation, d.relation_name, d.changed_at, d.transaction, d.login, d.role,
		   d.application_name, d.client_address, d.command, d.operation, d.rows,
		   d.touched_from, d.touched_to, d.members
	  FROM kpi.data_change d
	 WHERE d.relation IN (SELECT f.relid FROM family f)
	   AND (loads.since IS NULL OR d.changed_at >= loads.since)
	   AND (loads.touching IS NULL OR d.touched_from IS NULL
			OR daterange(d.touched_from::date, d.touched_to::date, '[]') && loads.touching)
	 ORDER BY d.changed_at;
END;
COMMENT ON FUNCTION kpi.loads(text, timestamptz, daterange) IS
	'changes of the tracked tables behind a metric, metric view, view, table or column, through its lineage: since some moment, and those that touched days of a range, in UTC where the time is a timestamptz, or may have';
-- load_findings: what kpi.check() tells of tracked tables

CREATE FUNCTION kpi.load_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH tracked AS MATERIALIZED (		-- tables whose changes are recorded, partitions included
		SELECT t.relid, t.time_column, t.verified_at, f.relid AS member, c.relkind, c.relpersistence, y.has_time,
			   format('SELECT kpi.track(%L%s)', t.relid, CASE WHEN y.has_time THEN ', ' || quote_literal(quote_ident(t.time_column)) END) AS remedy
		  FROM kpi.track_registry t
		 CROSS JOIN LATERAL kpi.relation_and_children(t.relid) f (relid)
		  JOIN pg_catalog.pg_class c ON c.oid = f.relid
		 CROSS JOIN LATERAL (
				SELECT CASE WHEN t.time_column IS NOT NULL
							THEN EXISTS (SELECT FROM pg_catalog.pg_attribute a
										   JOIN pg_catalog.pg_type b ON b.oid = a.atttypid
										  WHERE a.attrelid = t.relid AND a.attname = t.time_column AND NOT a.attisdropped
											AND coalesce(nullif(b.typbasetype, 0), b.oid)
												IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)) END AS has_time) y
	)
	SELECT 'error', t.member::text, 'triggers that record changes of data are missing or do not always fire', t.remedy
	  FROM tracked t
	  JOIN kpi.track_repairs g ON g.relation = t.member AND g.wanted
	UNION ALL
	SELECT 'error', t.relid::text,
		   format('%s below it is a foreign table: statements that name a table above it are not recorded', t.member),
		   format('ALTER TABLE %s DETACH PARTITION %s', i.inhparent::regclass, t.member)
	  FROM tracked t
	  JOIN pg_catalog.pg_inherits i ON i.inhrelid = t.member
	 WHERE t.relkind = 'f'
	UNION ALL
	SELECT 'warning', t.member::text,
		   format('%s at %s: no trigger saw which rows that changed', l.operation, l.changed_at), t.remedy
	  FROM tracked t
	  JOIN kpi.data_change_log l ON l.relation = t.member AND l.changed_at > t.verified_at
	 WHERE l.rows IS NULL AND l.operation <> 'TRUNCATE'
	UNION ALL
	SELECT 'error', t.relid::text,
		   format('its time column "%s" is gone or holds no time: what changes touched is not recorded', t.time_column), t.remedy
	  FROM tracked t
	 WHERE NOT t.has_time
	UNION ALL
	SELECT 'warning', t.member::text,
		   format('subscription "%s" writes to it: logical replication fires no statement triggers', u.subname), NULL
	  FROM tracked t
	  JOIN pg_catalog.pg_subscription_rel s ON s.srrelid = t.member
	  JOIN pg_catalog.pg_subscription u ON u.oid = s.srsubid
	UNION ALL
	SELECT 'warning', t.member::text, 'it is unlogged: a crash empties it, and nothing records that',
		   format('ALTER TABLE %s SET LOGGED', t.member)
	  FROM tracked t
	 WHERE t.relpersistence = 'u'
	UNION ALL
	SELECT 'error', t.relid::text, 'a tracked table is gone',
		   format('DELETE FROM kpi.track_registry WHERE relid = %L', t.relid::oid)
	  FROM kpi.track_registry t
	 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.relid)
	UNION ALL
	SELECT e.* FROM kpi.event_trigger_findings('kpi_follow_tracked', 'ddl_command_end', 'kpi.follow_tracked()'::regprocedure) e
	UNION ALL
	SELECT e.* FROM kpi.event_trigger_findings('kpi_follow_rewritten', 'table_rewrite', 'kpi.follow_tracked()'::regprocedure) e
	UNION ALL
	SELECT e.* FROM kpi.event_trigger_findings('kpi_follow_dropped', 'sql_drop', 'kpi.follow_tracked()'::regprocedure) e;
END;
REVOKE ALL ON FUNCTION kpi.load_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.load_findings() IS 'what kpi.check() tells of tracked tables';
-- openlineage_loads: recorded changes of data as events of OpenLineage

CREATE FUNCTION kpi.openlineage_loads(
	object text,
	since timestamptz DEFAULT NULL,
	namespace text DEFAULT NULL)
RETURNS SETOF jsonb
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
	WITH load AS (
		SELECT l.changed_at, l.operation, l.rows, l.login, l.command,
			   concat_ws('.', current_database(), n.nspname, c.relname) AS dataset,
			   encode(sha256(convert_to(concat_ws('/', l.relation::oid, l.transaction, l.operation,
												  extract(epoch FROM l.changed_at)), 'UTF8')), 'hex') AS hash,
			   coalesce(openlineage_loads.namespace, kpi.openlineage_namespace()) AS place,
			   kpi.openlineage_producer() AS producer
		  FROM kpi.loads(openlineage_loads.object, openlineage_loads.since) l
		  JOIN pg_catalog.pg_class c ON c.oid = l.relation
		  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	)
	SELECT jsonb_strip_nulls(jsonb_build_object(
			   'eventType', 'COMPLETE',
			   'eventTime', l.changed_at,
			   'producer', l.producer,
			   'schemaURL', 'https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent',
			   'run', jsonb_build_object('runId', left(l.hash, 32)::uuid),
			   'job', jsonb_build_object(
				   'namespace', l.place,
				   'name', concat_ws('.', l.dataset, l.operation),
				   'facets', jsonb_build_object(
					   'jobType', kpi.openlineage_facet(l.producer, '2-0-4/JobTypeJobFacet',
						   jsonb_build_object('processingType', 'BATCH', 'integration', 'KPITABLES', 'jobType', l.command)),
					   'ownership', kpi.openlineage_facet(l.producer, '1-0-1/OwnershipJobFacet',
						   jsonb_build_object('owners', jsonb_build_array(
							   jsonb_build_object('name', 'role:' || l.login)))))),
			   'inputs', '[]'::jsonb,
			   'outputs', jsonb_build_array(jsonb_build_object(
				   'namespace', l.place,
				   'name', l.dataset,
				   'outputFacets', jsonb_build_object(
					   'outputStatistics', kpi.openlineage_facet(l.producer, '1-0-2/OutputStatisticsOutputDatasetFacet',
						   CASE WHEN l.rows IS NOT NULL THEN jsonb_build_object('rowCount', l.rows) END))))))
	  FROM load l
	 ORDER BY l.changed_at, l.hash;
END;
COMMENT ON FUNCTION kpi.openlineage_loads(text, timestamptz, text) IS
	'one OpenLineage RunEvent for each row of kpi.loads(object, since): the job is a kind of change of a table, its owner the role that was logged in, its output the table with the number of rows; the namespace is postgres://host:port of the connection unless given';
-- check: what has come out of step, or out of the reach of scopes

-- Reads every role's scopes and every view's path, so it is for DBAs: nobody but
-- superusers may call it unless granted.  Each component has a function of its
-- findings; they are written in the same words whatever the session's settings are.
CREATE FUNCTION kpi.check(
	OUT severity text, OUT object text, OUT problem text, OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
SET datestyle = 'ISO, MDY'
SET timezone = 'UTC'
SET row_security = on
SET jit = off
BEGIN ATOMIC
	WITH finding (severity, object, problem, remedy) AS (
		SELECT * FROM kpi.scope_findings()
		UNION ALL
		SELECT * FROM kpi.metric_findings()
		UNION ALL
		SELECT * FROM kpi.registration_findings()
		UNION ALL
		SELECT * FROM kpi.fan_out_findings()
		UNION ALL
		SELECT * FROM kpi.lineage_findings()
		UNION ALL
		SELECT * FROM kpi.load_findings()
	)
	SELECT DISTINCT f.severity, f.object, f.problem, f.remedy
	  FROM finding f
	 ORDER BY f.severity, f.object, f.problem, f.remedy;
END;
REVOKE ALL ON FUNCTION kpi.check() FROM PUBLIC;
COMMENT ON FUNCTION kpi.check() IS
	'one row for each hole or inconsistency: severity (error, warning), object, problem, and the statements that mend it; without those the problem says what to do, and why that is not for a statement; no rows when all is well';
