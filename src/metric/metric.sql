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
