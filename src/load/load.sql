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
