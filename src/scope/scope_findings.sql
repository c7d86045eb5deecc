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
