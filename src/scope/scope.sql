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
