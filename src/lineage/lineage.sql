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
	), touched (class, object) AS (
		SELECT class, object FROM changed
		UNION
		SELECT 'pg_catalog.pg_class'::regclass::oid, w.ev_class
		  FROM changed
		  JOIN pg_catalog.pg_depend d ON d.refclassid = changed.class AND d.refobjid = changed.object
		  JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
		 WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass
		UNION
		SELECT d.classid, d.objid
		  FROM changed
		  JOIN pg_catalog.pg_depend d ON d.refclassid = changed.class AND d.refobjid = changed.object
		 WHERE d.classid = 'pg_catalog.pg_proc'::regclass
		UNION
		SELECT 'pg_catalog.pg_class'::regclass, a.adrelid
		  FROM changed
		  JOIN pg_catalog.pg_depend d ON d.refclassid = changed.class AND d.refobjid = changed.object
		  JOIN pg_catalog.pg_attrdef a ON a.oid = d.objid
		 WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass
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
-- The objects pass through an array so that the planner expects few of them.
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
				  AND (r.relkind IN ('v', 'm') OR r.relhassubclass OR r.relispartition))
	OR EXISTS (SELECT FROM pg_catalog.pg_attribute a
				WHERE c.class = 'pg_catalog.pg_class'::regclass AND a.attrelid = c.object AND a.attgenerated <> '')
	OR EXISTS (SELECT FROM pg_catalog.pg_inherits i
				WHERE c.class = 'pg_catalog.pg_class'::regclass AND i.inhrelid = c.object)
	OR EXISTS (SELECT FROM pg_catalog.pg_proc p
				WHERE c.class = 'pg_catalog.pg_proc'::regclass AND p.oid = c.object AND p.prosqlbody IS NOT NULL)
	OR EXISTS (SELECT FROM pg_catalog.pg_depend d
				WHERE d.refclassid = c.class AND d.refobjid = c.object
				  AND (d.classid IN ('pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_proc'::regclass)
					   OR (d.classid = 'pg_catalog.pg_attrdef'::regclass
						   AND d.refclassid <> 'pg_catalog.pg_class'::regclass)))
	OR EXISTS (SELECT FROM kpi.lineage_edge e WHERE e.source = c.object AND e.source_class = c.class)
	OR EXISTS (SELECT FROM kpi.lineage_edge e WHERE e.target = c.object AND e.target_class = c.class);
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
				 'ALTER TYPE', 'ALTER DOMAIN', 'ALTER COLLATION', 'ALTER AGGREGATE', 'ALTER OPERATOR',
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

-- With the rights of the caller: scopes and history are told as their own views tell them.
CREATE FUNCTION kpi.impact(
	object text,
	OUT kind text, OUT name text, OUT columns text[], OUT owner name, OUT depth integer, OUT how text[])
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
	WITH it AS MATERIALIZED (
		SELECT * FROM kpi.lineage_object_id($1)
	), reached AS MATERIALIZED (
		SELECT d.target_type, d.target, d.target_column, d.depth, d.kind
		  FROM kpi.downstream($1) d
	), relation AS MATERIALIZED (
		SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, c.relowner
		  FROM pg_catalog.pg_class c
		  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		 WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p')
	), dimension AS (
		SELECT DISTINCT d.name, d.owner
		  FROM kpi.scope_dimensions d
		  JOIN relation r ON r.oid = d.view
		 WHERE r.name IN (SELECT target FROM reached)
	)
	SELECT r.target_type, r.target,
		   array_agg(DISTINCT r.target_column) FILTER (WHERE r.target_column IS NOT NULL),
		   coalesce(pg_get_userbyid(min(n.relowner)),
					(SELECT pg_get_userbyid(p.proowner) FROM pg_catalog.pg_proc p
					  WHERE r.target_type = 'function' AND p.oid = to_regprocedure(r.target))),
		   min(r.depth), array_agg(DISTINCT r.kind)
	  FROM reached r
	  LEFT JOIN relation n ON n.name = r.target
	 GROUP BY r.target_type, r.target
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
	  FROM it
	  JOIN pg_catalog.pg_policy p ON p.polrelid = it.relid
	  JOIN relation r ON r.oid = p.polrelid
	 WHERE it.attnum = 0
		OR EXISTS (SELECT FROM pg_catalog.pg_depend d
					WHERE d.classid = 'pg_catalog.pg_policy'::regclass AND d.objid = p.oid
					  AND d.refclassid = 'pg_catalog.pg_class'::regclass
					  AND d.refobjid = it.relid AND d.refobjsubid = it.attnum)
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
	'what a change of a relation, column or function would touch: what is computed from it, with the columns, the least number of steps and how it takes part; dimensions over it and their scopes; policies; and earlier versions of definitions that read it (until when), with owners';

REVOKE ALL ON kpi.lineage, kpi.lineage_history FROM PUBLIC;
GRANT SELECT ON kpi.lineage, kpi.lineage_history TO PUBLIC;

SELECT kpi.refresh_lineage();
