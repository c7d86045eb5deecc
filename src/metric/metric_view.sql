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
