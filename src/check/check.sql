-- check: what has come out of step, or out of the reach of scopes

-- Reads every role's scopes and every view's path, so it is for DBAs: nobody but
-- superusers may call it unless granted.
CREATE FUNCTION kpi.check(
	OUT severity text, OUT object text, OUT problem text, OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
BEGIN ATOMIC
	WITH guarded AS (					-- tables that must obey, partitions included
		SELECT g.relation::regclass AS guarded, g.dimension, g.key, g.writes, c.relkind,
			   c.relrowsecurity, c.relforcerowsecurity
		  FROM kpi.guarded_relations(NULL) g
		  JOIN pg_catalog.pg_class c ON c.oid = g.relation
	), policy AS (
		SELECT g.*, y.oid AS policy, a.attname AS asked,
			   format('kpi_scope_%s', g.dimension) AS policy_name,
			   format('CREATE POLICY %I ON %s AS RESTRICTIVE FOR %s USING (kpi.in_scope(%L, %s))',
					  'kpi_scope_' || g.dimension, g.guarded,
					  CASE WHEN g.writes THEN 'ALL' ELSE 'SELECT' END, quote_ident(g.dimension),
					  CASE WHEN d.type <> k.atttypid THEN format('%I::%s', g.key, d.type)
						   ELSE quote_ident(g.key) END) AS statement
		  FROM guarded g
		  LEFT JOIN kpi.dimension_registry d ON d.name = g.dimension
		  LEFT JOIN pg_catalog.pg_attribute k ON k.attrelid = g.guarded AND k.attname = g.key
		  LEFT JOIN pg_catalog.pg_policy y
			ON y.polrelid = g.guarded AND y.polname::text = 'kpi_scope_' || g.dimension
		  LEFT JOIN pg_catalog.pg_attribute a
			ON a.attrelid = g.guarded AND a.attnum = kpi.policy_column(g.guarded, g.dimension, g.writes)
		 WHERE g.relkind <> 'f'
	), dimension AS (
		SELECT d.name, d.relid, v.oid AS view, t.relation AS source, t.has_relatives
		  FROM kpi.dimension_registry d
		  LEFT JOIN pg_catalog.pg_class v ON v.oid = d.relid
		  LEFT JOIN kpi.dimension_table t ON t.dimension = d.name
		 WHERE d.relid IS NOT NULL
	), tracked AS (						-- tables whose changes are recorded, partitions included
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
	), derived AS MATERIALIZED (		-- lineage, or why there is none
		SELECT d.*
		  FROM kpi.lineage_object o
		 CROSS JOIN LATERAL kpi.derive_lineage(o.class, o.object) d
	), marked (relid) AS (				-- views with markers, registered or not
		SELECT DISTINCT c.oid::regclass
		  FROM pg_catalog.pg_depend d
		  JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
		  JOIN pg_catalog.pg_class c ON c.oid = w.ev_class
		 WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass
		   AND d.refclassid = 'pg_catalog.pg_proc'::regclass
		   AND d.refobjid = 'kpi.metric_column(regclass, anyelement)'::regprocedure
		   AND c.relkind = 'v' AND c.relpersistence <> 't'
	), unregistered (relid, problem, can_be_adopted) AS (
		SELECT v.relid, 'it has measures, but is not registered as a metric view',
			   kpi.metric_view_source(v.relid) IS NOT NULL
		  FROM marked v
		 WHERE NOT EXISTS (SELECT FROM kpi.metric_view_registry r WHERE r.relid = v.relid)
		UNION ALL
		SELECT c.metric, 'a metric view publishes it, but it is not registered as a metric',
			   kpi.additivity(c.metric) IS NOT NULL
		  FROM marked v
		 CROSS JOIN LATERAL kpi.metric_view_columns(v.relid) c
		 WHERE c.metric IS NOT NULL
		   AND NOT EXISTS (SELECT FROM kpi.metric_registry r WHERE r.relid = c.metric)
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
			   format('ALTER TABLE %s DETACH PARTITION %s', i.inhparent::regclass, guarded)
		  FROM guarded
		  JOIN pg_catalog.pg_inherits i ON i.inhrelid = guarded
		 WHERE relkind = 'f'
		UNION ALL
		SELECT 'error', guarded::text, format('the policy for dimension "%s" is missing', dimension), statement
		  FROM policy WHERE policy IS NULL
		UNION ALL
		SELECT 'error', guarded::text, format('policy %I was changed', policy_name),
			   format('DROP POLICY %I ON %s; %s', policy_name, guarded, statement)
		  FROM policy
		 WHERE policy IS NOT NULL
		   AND asked IS DISTINCT FROM key
		UNION ALL
		SELECT 'error', g.parent::regclass::text,
			   format('it shows rows of %s, which is protected by dimension "%s"', g.relation::regclass, g.dimension),
			   format('SELECT kpi.protect(%L, %L, %L%s)', g.parent::regclass, quote_ident(g.dimension), quote_ident(g.key),
					  CASE WHEN g.writes THEN ', ''all''' END)
		  FROM kpi.protection_gaps(NULL) g
		 WHERE g.parent IS NOT NULL
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
			   format('SELECT kpi.drop_dimension(%L)', quote_ident(d.name))
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
		SELECT 'error', d.name, 'the dimension''s trigger is missing or not enabled: scopes follow changes late',
			   format('DROP TRIGGER IF EXISTS %1$I ON %2$s; CREATE TRIGGER %1$I AFTER %3$s ON %2$s FOR EACH %4$s EXECUTE FUNCTION kpi.scope_changed(); ALTER TABLE %2$s ENABLE %5$s TRIGGER %1$I',
					  w.name, d.source::regclass, w.events, w.level, w.mode)
		  FROM (SELECT name, source FROM dimension
				 WHERE view IS NOT NULL AND source IS NOT NULL AND kpi.dimension_problem(name) IS NULL) d
		 CROSS JOIN LATERAL (VALUES (d.name || '_dimension', 60, 'INSERT OR UPDATE OR DELETE OR TRUNCATE', 'STATEMENT', 'ALWAYS'),
									(d.name || '_dimension_row', 29, 'INSERT OR UPDATE OR DELETE', 'ROW', 'REPLICA'))
			   w (name, type, events, level, mode)
		 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
							WHERE t.tgrelid = d.source AND t.tgtype = w.type
							  AND t.tgenabled IN ('A', left(w.mode, 1)::"char")
							  AND t.tgqual IS NULL AND t.tgattr::text = ''
							  AND t.tgfoid = 'kpi.scope_changed()'::regprocedure)
		UNION ALL
		SELECT 'error', name, 'the dimension''s table is a partition, or has parents or children: scopes follow their changes late', NULL
		  FROM dimension
		 WHERE has_relatives
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
		SELECT 'error', e.evtname, 'the event trigger is not always enabled',
			   format('ALTER EVENT TRIGGER %I ENABLE ALWAYS', e.evtname)
		  FROM pg_catalog.pg_event_trigger e
		 WHERE e.evtname IN ('kpi_forget_dropped', 'kpi_follow_definitions', 'kpi_protect_partitions',
							 'kpi_record_lineage', 'kpi_record_lineage_drop',
							 'kpi_follow_tracked', 'kpi_follow_rewritten', 'kpi_follow_dropped')
		   AND e.evtenabled <> 'A'
		UNION ALL
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
		SELECT 'warning', format('scope on %s', g.dimension),
			   format('the role with OID %s, which has it, was dropped', g.grantee::oid),
			   format('DELETE FROM kpi.scope_grant WHERE grantee = %L', g.grantee::oid)
		  FROM kpi.scope_grant g
		 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = g.grantee)
		UNION ALL
		SELECT 'warning', format('scope of %s on %s', g.grantee, g.dimension),
			   format('members match nothing: %s', array_to_string(u.members, ', ')),
			   format('SELECT kpi.revoke_scope(%L, %L, level => %L, members => %L)',
					  quote_ident(pg_get_userbyid(g.grantee)), quote_ident(g.dimension), quote_ident(a.attname), u.members)
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
		UNION ALL
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
		SELECT 'warning', u.relid::text, u.problem,
			   CASE WHEN u.can_be_adopted THEN format('SELECT kpi.adopt(%L)', u.relid) END
		  FROM unregistered u
		UNION ALL
		SELECT 'warning', w.relid::text, 'comments of metrics are out of date: they do not say what is so now',
			   format('SELECT kpi.refresh_comments(%L)', w.relid)
		  FROM kpi.due_comments((SELECT array_agg(r.relid::oid) FROM (SELECT m.relid FROM kpi.metric_registry m
																	  UNION ALL
																	  SELECT v.relid FROM kpi.metric_view_registry v) r), false) w
	)
	SELECT DISTINCT f.severity, f.object, f.problem, f.remedy
	  FROM finding f
	 ORDER BY f.severity, f.object, f.problem, f.remedy;
END;
REVOKE ALL ON FUNCTION kpi.check() FROM PUBLIC;
COMMENT ON FUNCTION kpi.check() IS
	'one row for each hole or inconsistency: severity (error, warning), object, problem, and the statement that mends it, where one can; no rows when all is well';
