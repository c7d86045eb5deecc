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
COMMENT ON FUNCTION kpi.check_server_version() IS
	'warn where the server lacks minor releases that fixed stale plans after changes of role membership';
SELECT kpi.check_server_version();
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
COMMENT ON TABLE kpi.dimension_registry IS
	'dimensions that rows are scoped by; read kpi.scope_dimensions, write by kpi.create_dimension()';
COMMENT ON COLUMN kpi.dimension_registry.name IS 'name of the dimension';
COMMENT ON COLUMN kpi.dimension_registry.relid IS
	'view of the dimension''s table: key, then levels from coarse to fine; NULL for plain values';
COMMENT ON COLUMN kpi.dimension_registry.type IS 'type of the key';
COMMENT ON COLUMN kpi.dimension_registry.owner IS 'owner of a dimension without a table; else the view''s owner is';
COMMENT ON COLUMN kpi.dimension_registry.admin IS 'role that may grant scopes beside the owner';
SELECT pg_catalog.pg_extension_config_dump('kpi.dimension_registry', '');

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
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = grantee)');

CREATE TABLE kpi.protection_registry (
	relid		regclass NOT NULL,
	dimension	text NOT NULL,
	attname		name NOT NULL,
	attnum		smallint NOT NULL,
	expression	text NOT NULL,
	writes		boolean NOT NULL,
	PRIMARY KEY (relid, dimension)
);
REVOKE ALL ON kpi.protection_registry FROM PUBLIC;
COMMENT ON TABLE kpi.protection_registry IS
	'tables that obey scopes; read kpi.protections, write by kpi.protect()';
COMMENT ON COLUMN kpi.protection_registry.relid IS 'the table';
COMMENT ON COLUMN kpi.protection_registry.dimension IS 'the dimension that scopes it';
COMMENT ON COLUMN kpi.protection_registry.attname IS 'the column that holds the key, as it was called then';
COMMENT ON COLUMN kpi.protection_registry.attnum IS 'its number, as it was then';
COMMENT ON COLUMN kpi.protection_registry.expression IS 'the policy''s condition as it was made';
COMMENT ON COLUMN kpi.protection_registry.writes IS 'do writes obey, too?';
SELECT pg_catalog.pg_extension_config_dump('kpi.protection_registry', '');

CREATE FUNCTION kpi.scope_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'kpi_scope_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.scope_changed() IS
	'statement trigger on what scopes are computed from: plans that hold a scope are made anew';

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
	admin text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_create_dimension'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.create_dimension(text, regclass, text, text[], regtype, text) IS
	'register a dimension: the columns of a table that are its key and its levels, from coarse to fine; or without a table, plain values of a type (text unless given); admin is a role that may grant scopes beside the owner; makes view <name>_dimension and a trigger at the table';

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
COMMENT ON FUNCTION kpi.in_scope_support(internal) IS
	'planner support function of kpi.in_scope(): a condition on the column, with constants';

CREATE FUNCTION kpi.in_scope(dimension text, value anyelement)
RETURNS boolean
AS 'MODULE_PATHNAME', 'kpi_in_scope'
LANGUAGE C STABLE PARALLEL RESTRICTED
SUPPORT kpi.in_scope_support;
COMMENT ON FUNCTION kpi.in_scope(text, anyelement) IS
	'is a key of the dimension in the scope of the current user? NULL keys are in full scope only; raises 42704 for a dimension that does not exist';

CREATE FUNCTION kpi.within_scopes()
RETURNS boolean
AS 'MODULE_PATHNAME', 'kpi_within_scopes'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi.within_scopes() IS
	'true: the condition of policy kpi_open, which lets through what scopes leave; as it is part of the extension, the policy does not stay behind when the scopes go';

CREATE FUNCTION kpi.protect(
	relation regclass,
	dimension text,
	"column" text,
	"for" text DEFAULT 'select')
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_protect'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.protect(regclass, text, text, text) IS
	'let a table and its partitions obey the scopes of a dimension, whose key the column holds: for reading (select), or for writing, too (all); enables and forces row security';

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

CREATE FUNCTION kpi.protect_partitions()
RETURNS event_trigger
AS 'MODULE_PATHNAME', 'kpi_protect_partitions'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.protect_partitions() FROM PUBLIC;
COMMENT ON FUNCTION kpi.protect_partitions() IS
	'event trigger: partitions that come to a protected table obey its scopes';

CREATE EVENT TRIGGER kpi_protect_partitions ON ddl_command_end
	WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'ALTER TABLE',
				 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE')
	EXECUTE FUNCTION kpi.protect_partitions();
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
	'why a dimension cannot be used; NULL if it can';

CREATE FUNCTION kpi.unmatched_members(dimension text, level smallint, members text[])
RETURNS text[]
AS 'MODULE_PATHNAME', 'kpi_unmatched_members'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.unmatched_members(text, smallint, text[]) FROM PUBLIC;
COMMENT ON FUNCTION kpi.unmatched_members(text, smallint, text[]) IS
	'those members of a scope that no row of the dimension''s table has';

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
	   pg_get_expr(y.polqual, y.polrelid) AS expression,
	   p.writes
  FROM kpi.protection_registry p
  JOIN pg_catalog.pg_class c ON c.oid = p.relid
  LEFT JOIN pg_catalog.pg_policy y
	ON y.polrelid = c.oid AND y.polname::text = 'kpi_scope_' || p.dimension
 WHERE has_any_column_privilege(p.relid, 'SELECT') OR pg_has_role(c.relowner, 'USAGE');
COMMENT ON VIEW kpi.protections IS 'tables that obey scopes, of those that the current user may read or owns';
COMMENT ON COLUMN kpi.protections.relation IS 'the table';
COMMENT ON COLUMN kpi.protections.dimension IS 'the dimension that scopes it';
COMMENT ON COLUMN kpi.protections.expression IS 'the policy''s condition; NULL where the policy is missing';
COMMENT ON COLUMN kpi.protections.writes IS 'do writes obey, too?';

REVOKE ALL ON kpi.scope_dimensions, kpi.scopes, kpi.protections FROM PUBLIC;
GRANT SELECT ON kpi.scope_dimensions, kpi.scopes, kpi.protections TO PUBLIC;
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
SELECT pg_catalog.pg_extension_config_dump('kpi.metric_registry', '');

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
	min_group_rows integer DEFAULT NULL)
RETURNS regclass
AS 'MODULE_PATHNAME', 'kpi_create_metric'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.create_metric(text, text, text, text, text, text, text, text[], text[], text, integer) IS
	'create a metric as a view of the given name from one SELECT of one aggregate expression over one relation, or of an expression over metrics; returns the view; raises KP001 and says why where the definition is not one';

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

CREATE FUNCTION kpi.drop_metric(name regclass, "cascade" boolean DEFAULT false)
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
COMMENT ON EVENT TRIGGER kpi_forget_dropped IS
	'keeps the registry of kpitables in step with DROP';
-- metric view: dimensions and metrics of one source, published as a view

CREATE TABLE kpi.metric_view_registry (
	relid			regclass PRIMARY KEY,
	label			text,
	description		text,
	tags			text[] NOT NULL DEFAULT '{}',
	time_dimension	smallint
);
REVOKE ALL ON kpi.metric_view_registry FROM PUBLIC;
COMMENT ON TABLE kpi.metric_view_registry IS
	'metadata of metric views, one row a view; read kpi.metric_views, write by kpi.alter_metric_view()';
COMMENT ON COLUMN kpi.metric_view_registry.relid IS 'the view';
COMMENT ON COLUMN kpi.metric_view_registry.label IS 'name for people, in any language';
COMMENT ON COLUMN kpi.metric_view_registry.description IS 'what the view is for, in words';
COMMENT ON COLUMN kpi.metric_view_registry.tags IS 'words to group metric views by';
COMMENT ON COLUMN kpi.metric_view_registry.time_dimension IS
	'number of the column that is the primary time dimension; NULL where there is none';
SELECT pg_catalog.pg_extension_config_dump('kpi.metric_view_registry', '');

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
	tags text[] DEFAULT NULL)
RETURNS regclass
AS 'MODULE_PATHNAME', 'kpi_create_metric_view'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.create_metric_view(text, text[], text[], text, text, text, text, text[]) IS
	'publish dimensions (a column, or "expression AS name") and metrics ("schema.metric", or "schema.metric AS name") of one source as a view; the time dimension is the first date or timestamp unless named; raises KP006 where the sources differ';

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
	tags text[] DEFAULT NULL)
RETURNS regclass
AS 'MODULE_PATHNAME', 'kpi_alter_metric_view'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.alter_metric_view(regclass, text[], text[], text[], text[], text[], text, text, text, text, text[]) IS
	'change a metric view: columns are renamed ("old AS new") first, then dropped, then added at the end; dropping makes the view again with its privileges and comments, and raises 2BP01 where something depends on it; NULL leaves a value as it is, an empty one clears it';

CREATE FUNCTION kpi.drop_metric_view(name regclass, "cascade" boolean DEFAULT false)
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

CREATE FUNCTION kpi.metric_comment(metric regclass, with_definition boolean)
RETURNS text
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT concat_ws(E'\n',
					 CASE WHEN r.unit IS NULL THEN r.label
						  ELSE format('%s (%s)', coalesce(r.label, c.relname::text), r.unit) END,
					 r.description,
					 CASE WHEN with_definition
						  THEN 'Definition: ' || rtrim(btrim(regexp_replace(pg_get_viewdef(r.relid), '\s+', ' ', 'g')), ';')
					  END)
	  FROM kpi.metric_registry r
	  JOIN pg_catalog.pg_class c ON c.oid = r.relid
	 WHERE r.relid = metric;
END;
REVOKE ALL ON FUNCTION kpi.metric_comment(regclass, boolean) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_comment(regclass, boolean) IS
	'what the comment of a metric says: label, unit, description and, if asked, definition';

CREATE FUNCTION kpi.metric_comments(
	INOUT metric regclass, itself boolean, OUT attnum smallint, OUT comment text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT r.relid, 0::smallint, kpi.metric_comment(r.relid, false)
	  FROM kpi.metric_registry r
	 WHERE r.relid = metric
	   AND itself
	UNION ALL
	SELECT v.relid, c.attnum, kpi.metric_comment(c.metric, true)
	  FROM kpi.metric_view_registry v
	 CROSS JOIN LATERAL kpi.metric_view_columns(v.relid) c
	 WHERE c.metric = $1;
END;
REVOKE ALL ON FUNCTION kpi.metric_comments(regclass, boolean) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_comments(regclass, boolean) IS
	'the comments that a metric''s metadata puts on its view, if asked, and on columns that publish it';

CREATE FUNCTION kpi.metric_view_comments(
	INOUT metric_view regclass, itself boolean, OUT attnum smallint, OUT comment text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT v.relid, 0::smallint, concat_ws(E'\n', v.label, v.description)
	  FROM kpi.metric_view_registry v
	 WHERE v.relid = metric_view
	   AND itself
	UNION ALL
	SELECT metric_view, c.attnum,
		   CASE WHEN c.metric IS NOT NULL THEN kpi.metric_comment(c.metric, true)
				ELSE col_description(kpi.metric_view_source(metric_view), c.source_column) END
	  FROM kpi.metric_view_columns(metric_view) c
	 WHERE c.metric IS NOT NULL
		OR (col_description(metric_view, c.attnum) IS NULL
			AND col_description(kpi.metric_view_source(metric_view), c.source_column) IS NOT NULL);
END;
REVOKE ALL ON FUNCTION kpi.metric_view_comments(regclass, boolean) FROM PUBLIC;
COMMENT ON FUNCTION kpi.metric_view_comments(regclass, boolean) IS
	'the comments that metadata puts on a metric view, if asked, and on its columns; a dimension without one has its source column''s';

CREATE FUNCTION kpi.write_comment(relid regclass, attnum smallint, comment text)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_write_comment'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION kpi.write_comment(regclass, smallint, text) FROM PUBLIC;
COMMENT ON FUNCTION kpi.write_comment(regclass, smallint, text) IS
	'write the comment of a view (column 0) or of one of its columns';

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
	   rtrim(btrim(pg_get_viewdef(r.relid, true)), ';') AS definition
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
COMMENT ON COLUMN kpi.metrics.definition IS 'the SQL in force';

CREATE VIEW kpi.metric_views WITH (security_barrier) AS
SELECT n.nspname AS schema,
	   c.relname AS name,
	   v.relid AS metric_view,
	   v.label,
	   v.description,
	   pg_get_userbyid(c.relowner) AS owner,
	   v.tags,
	   a.attname AS time_dimension,
	   kpi.metric_view_source(v.relid) AS source
  FROM kpi.metric_view_registry v
  JOIN pg_catalog.pg_class c ON c.oid = v.relid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = v.time_dimension
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

CREATE VIEW kpi.dimensions WITH (security_barrier) AS
SELECT v.relid AS metric_view,
	   a.attname AS name,
	   c.attnum AS position,
	   format_type(a.atttypid, a.atttypmod) AS type,
	   coalesce(c.attnum = v.time_dimension, false) AS is_time,
	   col_description(v.relid, c.attnum) AS description
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
COMMENT ON COLUMN kpi.dimensions.description IS 'comment of the column';

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
-- measure: reading metrics at any grouping

CREATE FUNCTION kpi.measure_transition(state internal, value anyelement)
RETURNS internal
AS 'MODULE_PATHNAME', 'kpi_measure_transition'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION kpi.measure_transition(internal, anyelement) IS
	'transition function of kpi.measure(): raises KP003, for a measure is replaced when a query is planned';

CREATE FUNCTION kpi.measure_final(state internal, value anyelement)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'kpi_measure_final'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION kpi.measure_final(internal, anyelement) IS
	'final function of kpi.measure(): raises KP003, on empty input too';

CREATE AGGREGATE kpi.measure(anyelement) (
	SFUNC = kpi.measure_transition,
	STYPE = internal,
	FINALFUNC = kpi.measure_final,
	FINALFUNC_EXTRA,
	PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE kpi.measure(anyelement) IS
	'the value of a measure column of a metric view for the group at hand, by its governed definition; raises KP002 where it has no meaning and KP003 where the library did not see the query';

CREATE FUNCTION kpi.explain_measure(query text)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_explain_measure'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.explain_measure(text) IS
	'the SQL that a query with measures becomes, with row security written out as WHERE; runs as it stands for a role that may read the sources; needs the privileges that the query needs';
-- check: what has come out of step, or out of the reach of scopes

-- Reads every role's scopes and every view's path, so it is for DBAs: nobody but
-- superusers may call it unless granted.
CREATE FUNCTION kpi.check(
	OUT severity text, OUT object text, OUT problem text, OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL RESTRICTED SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
BEGIN ATOMIC
	WITH guarded AS (					-- tables that must obey, partitions included
		SELECT p.*, t.relid AS guarded, c.relkind, c.relrowsecurity, c.relforcerowsecurity,
			   coalesce((SELECT a.attname FROM pg_catalog.pg_attribute a
						  WHERE a.attrelid = p.relid AND a.attname = p.attname AND NOT a.attisdropped),
						(SELECT a.attname FROM pg_catalog.pg_attribute a
						  WHERE a.attrelid = p.relid AND a.attnum = p.attnum AND NOT a.attisdropped)) AS key
		  FROM kpi.protection_registry p
		 CROSS JOIN LATERAL kpi.relation_and_children(p.relid) t (relid)
		  JOIN pg_catalog.pg_class c ON c.oid = t.relid
	), policy AS (
		SELECT g.*, y.oid AS policy, y.polpermissive, y.polroles, y.polcmd, y.polwithcheck,
			   pg_get_expr(y.polqual, y.polrelid) AS condition,
			   format('kpi_scope_%s', g.dimension) AS policy_name,
			   format('kpi.in_scope(''%s''::text, ', replace(g.dimension, '''', '''''')) AS call
		  FROM guarded g
		  LEFT JOIN pg_catalog.pg_policy y
			ON y.polrelid = g.guarded AND y.polname::text = 'kpi_scope_' || g.dimension
		 WHERE g.relkind <> 'f'
	), dimension AS (
		SELECT d.name, d.relid, v.oid AS view,
			   (SELECT e.refobjid FROM pg_catalog.pg_depend e
				  JOIN pg_catalog.pg_rewrite w ON w.oid = e.objid
				  JOIN pg_catalog.pg_class s ON s.oid = e.refobjid AND s.relkind = 'r'
				 WHERE e.classid = 'pg_catalog.pg_rewrite'::regclass
				   AND e.refclassid = 'pg_catalog.pg_class'::regclass
				   AND w.ev_class = v.oid
				 LIMIT 1) AS source
		  FROM kpi.dimension_registry d
		  LEFT JOIN pg_catalog.pg_class v ON v.oid = d.relid
		 WHERE d.relid IS NOT NULL
	), finding (severity, object, problem, remedy) AS (
		SELECT 'error', guarded::text, 'row security is disabled',
			   format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded)
		  FROM guarded WHERE NOT relrowsecurity AND relkind <> 'f'
		UNION ALL
		SELECT 'error', guarded::text, 'row security is not forced: the owner sees all rows',
			   format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', guarded)
		  FROM guarded WHERE NOT relforcerowsecurity AND relkind <> 'f'
		UNION ALL
		SELECT 'error', guarded::text, 'a foreign table among the children of a protected table cannot be protected',
			   format('ALTER TABLE %s DETACH PARTITION %s', relid, guarded)
		  FROM guarded WHERE relkind = 'f'
		UNION ALL
		SELECT 'error', guarded::text, format('the policy for dimension "%s" is missing', dimension),
			   format('CREATE POLICY %I ON %s AS RESTRICTIVE FOR %s USING (%s)', policy_name, guarded,
					  CASE WHEN writes THEN 'ALL' ELSE 'SELECT' END, expression)
		  FROM policy WHERE policy IS NULL
		UNION ALL
		SELECT 'error', guarded::text, format('policy %I was changed', policy_name),
			   format('DROP POLICY %I ON %s; CREATE POLICY %1$I ON %2$s AS RESTRICTIVE FOR %s USING (%s)',
					  policy_name, guarded, CASE WHEN writes THEN 'ALL' ELSE 'SELECT' END, expression)
		  FROM policy
		 WHERE policy IS NOT NULL
		   AND (polpermissive OR polroles <> '{0}'
				OR polcmd <> CASE WHEN writes THEN '*' ELSE 'r' END::"char"
				OR polwithcheck IS NOT NULL
				OR NOT starts_with(condition, call)
				OR key IS NULL
				OR NOT (substr(condition, length(call) + 1) = format('%I)', key)
						OR starts_with(substr(condition, length(call) + 1), format('(%I)::', key))))
		UNION ALL
		SELECT 'error', v.relid::text, kpi.scope_bypass(v.relid),
			   format('ALTER VIEW %s OWNER TO a role without SUPERUSER and BYPASSRLS', v.relid)
		  FROM (SELECT m.relid FROM kpi.metric_view_registry m
				UNION ALL
				SELECT m.relid FROM kpi.metric_registry m) v
		  JOIN pg_catalog.pg_class c ON c.oid = v.relid
		 WHERE kpi.scope_bypass(v.relid) IS NOT NULL
		UNION ALL
		SELECT 'error', d.name,
			   format('the dimension cannot be used, and queries of tables that it protects fail: %s; after dropping it, create it and grant its scopes again',
					  kpi.dimension_problem(d.name)),
			   format('SELECT kpi.drop_dimension(%L)', d.name)
		  FROM kpi.dimension_registry d
		 WHERE kpi.dimension_problem(d.name) IS NOT NULL
		UNION ALL
		SELECT 'error', p.relid::text,
			   format('it is protected by dimension "%s", which does not exist: queries fail until it is created again', p.dimension),
			   NULL
		  FROM kpi.protection_registry p
		  JOIN pg_catalog.pg_class c ON c.oid = p.relid
		 WHERE NOT EXISTS (SELECT FROM kpi.dimension_registry d WHERE d.name = p.dimension)
		UNION ALL
		SELECT 'error', name, 'the dimension''s trigger is missing or not enabled: scopes follow changes late',
			   format('DROP TRIGGER IF EXISTS %I ON %s; CREATE TRIGGER %1$I AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %2$s FOR EACH STATEMENT EXECUTE FUNCTION kpi.scope_changed(); ALTER TABLE %2$s ENABLE ALWAYS TRIGGER %1$I',
					  name || '_dimension', source::regclass)
		  FROM dimension
		 WHERE view IS NOT NULL AND source IS NOT NULL
		   AND kpi.dimension_problem(name) IS NULL
		   AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
							WHERE t.tgrelid = source AND t.tgenabled = 'A'
							  AND t.tgfoid = 'kpi.scope_changed()'::regprocedure)
		UNION ALL
		SELECT 'error', g.guarded::text,
			   format('permissive policy %I has no effect beside kpi_open', y.polname),
			   format('DROP POLICY kpi_open ON %s', g.guarded)
		  FROM guarded g
		  JOIN pg_catalog.pg_policy y ON y.polrelid = g.guarded
		 WHERE y.polpermissive AND y.polname <> 'kpi_open'
		   AND NOT starts_with(y.polname::text, 'kpi_scope_')
		   AND EXISTS (SELECT FROM pg_catalog.pg_policy o
						WHERE o.polrelid = g.guarded AND o.polname = 'kpi_open')
		UNION ALL
		SELECT 'error', d.name, 'the role that owned the dimension was dropped',
			   format('UPDATE kpi.dimension_registry SET owner = %L WHERE name = %L', session_user, d.name)
		  FROM kpi.dimension_registry d
		 WHERE d.owner IS NOT NULL
		   AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = d.owner)
		UNION ALL
		SELECT 'warning', d.name, 'the role that administered the dimension was dropped',
			   format('UPDATE kpi.dimension_registry SET admin = NULL WHERE name = %L', d.name)
		  FROM kpi.dimension_registry d
		 WHERE d.admin IS NOT NULL
		   AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = d.admin)
		UNION ALL
		SELECT 'error', e.evtname, 'the event trigger is disabled',
			   format('ALTER EVENT TRIGGER %I ENABLE', e.evtname)
		  FROM pg_catalog.pg_event_trigger e
		 WHERE e.evtname IN ('kpi_forget_dropped', 'kpi_protect_partitions')
		   AND e.evtenabled = 'D'
		UNION ALL
		SELECT 'warning', format('scope on %s', g.dimension),
			   format('the role with OID %s, which has it, was dropped', g.grantee::oid),
			   format('DELETE FROM kpi.scope_grant WHERE grantee = %L', g.grantee::oid)
		  FROM kpi.scope_grant g
		 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = g.grantee)
		UNION ALL
		SELECT 'warning', format('scope of %s on %s', g.grantee, g.dimension),
			   format('members match nothing: %s', array_to_string(u.members, ', ')),
			   format('SELECT kpi.revoke_scope(%L, %L, level => %L, members => %L)',
					  pg_get_userbyid(g.grantee), g.dimension, a.attname, u.members)
		  FROM kpi.scope_grant g
		  JOIN dimension d ON d.name = g.dimension AND d.view IS NOT NULL
		 CROSS JOIN LATERAL (SELECT kpi.unmatched_members(g.dimension, g.level, g.members) AS members) u
		  JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
		  LEFT JOIN pg_catalog.pg_attribute a
			ON a.attrelid = d.relid AND a.attnum = g.level AND g.level > 1
		 WHERE u.members IS NOT NULL
		UNION ALL
		SELECT 'warning', r.relid::text, 'it is registered as a metric, but its view was replaced by something else',
			   format('SELECT kpi.alter_metric(%L, definition => ...)', r.relid)
		  FROM kpi.metric_registry r
		  JOIN pg_catalog.pg_class c ON c.oid = r.relid
		 WHERE kpi.additivity(r.relid) IS NULL
		UNION ALL
		SELECT 'error', r.relid::text, 'its view does not have the limit on small groups that is registered',
			   format('SELECT kpi.alter_metric(%L, min_group_rows => %s)', r.relid, r.min_group_rows)
		  FROM kpi.metric_registry r
		  JOIN pg_catalog.pg_class c ON c.oid = r.relid
		 WHERE kpi.small_group_limit(r.relid) <> r.min_group_rows
	)
	SELECT DISTINCT f.severity, f.object, f.problem, f.remedy
	  FROM finding f
	 ORDER BY f.severity, f.object, f.problem, f.remedy;
END;
REVOKE ALL ON FUNCTION kpi.check() FROM PUBLIC;
COMMENT ON FUNCTION kpi.check() IS
	'one row for each hole or inconsistency: severity (error, warning), object, problem, and the statement that mends it, where one can; no rows when all is well';
