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
