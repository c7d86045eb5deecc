-- source_fanout: joins inside the views that metrics read

CREATE TABLE kpi.accepted_fanout (
	relid		regclass PRIMARY KEY,
	definition	text NOT NULL,
	tree		text NOT NULL,
	reason		text NOT NULL,
	accepted_by	text NOT NULL DEFAULT session_user,
	accepted_at	timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON kpi.accepted_fanout FROM PUBLIC;
COMMENT ON TABLE kpi.accepted_fanout IS
	'views whose joins may repeat rows that metrics sum, and that is harmless; write by kpi.accept_fanout()';
COMMENT ON COLUMN kpi.accepted_fanout.relid IS 'the view that has the join';
COMMENT ON COLUMN kpi.accepted_fanout.definition IS 'MD5 of its definition then: another one is asked about again';
COMMENT ON COLUMN kpi.accepted_fanout.tree IS 'MD5 of the stored tree of that, which renaming leaves as it is';
COMMENT ON COLUMN kpi.accepted_fanout.reason IS 'why it is harmless';
COMMENT ON COLUMN kpi.accepted_fanout.accepted_by IS 'who said so';
COMMENT ON COLUMN kpi.accepted_fanout.accepted_at IS 'when that was';
SELECT pg_catalog.pg_extension_config_dump('kpi.accepted_fanout',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = relid) ORDER BY ctid');
CREATE TRIGGER skip_replicated BEFORE INSERT OR UPDATE OR DELETE ON kpi.accepted_fanout
	FOR EACH ROW EXECUTE FUNCTION kpi.skip_replicated();
ALTER TABLE kpi.accepted_fanout ENABLE REPLICA TRIGGER skip_replicated;
COMMENT ON TRIGGER skip_replicated ON kpi.accepted_fanout IS 'what comes by logical replication is of another database';

CREATE FUNCTION kpi.accept_fanout(view regclass, reason text)
RETURNS void
AS 'MODULE_PATHNAME', 'kpi_accept_fanout'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.accept_fanout(regclass, text) IS
	'the joins of a view repeat no row that a metric sums, or that is meant, for a reason: until the view''s definition changes, kpi.check() and definitions of metrics no longer tell of them; without a reason (NULL or empty) they do again; raises 42501 for others than the view''s owner and 42809 for what is no view';

CREATE FUNCTION kpi.source_fan_outs(metric regclass, OUT view regclass, OUT joined text, OUT repeated text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_source_fan_outs'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED ROWS 1;
REVOKE ALL ON FUNCTION kpi.source_fan_outs(regclass) FROM PUBLIC;
COMMENT ON FUNCTION kpi.source_fan_outs(regclass) IS
	'joins in the views that a metric reads which are not proven to repeat no row that it sums, and are not accepted: the view, the name of what is joined there, and of that whose rows may be repeated; what cannot be looked at at once is not told';

CREATE FUNCTION kpi.fan_out_findings()
RETURNS TABLE (severity text, object text, problem text, remedy text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT 'warning', f.view::text,
		   format('its join with %I may repeat rows of %I, which %s sums: join on a unique key or, where it is harmless, have its owner say why by kpi.accept_fanout(), for no statement written here can know',
				  f.joined, f.repeated, string_agg('metric ' || r.relid, ', ' ORDER BY r.relid::text)),
		   NULL
	  FROM kpi.metric_registry r
	  JOIN pg_catalog.pg_class c ON c.oid = r.relid
	 CROSS JOIN LATERAL kpi.source_fan_outs(r.relid) f
	 GROUP BY f.view, f.joined, f.repeated;
END;
REVOKE ALL ON FUNCTION kpi.fan_out_findings() FROM PUBLIC;
COMMENT ON FUNCTION kpi.fan_out_findings() IS 'what kpi.check() tells of joins in the views that metrics read';
