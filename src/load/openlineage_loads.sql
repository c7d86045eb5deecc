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
