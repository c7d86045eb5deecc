-- measure: reading metrics at any grouping

CREATE FUNCTION kpi.measure_transition(state internal, value anyelement)
RETURNS internal
AS 'MODULE_PATHNAME', 'kpi_measure_transition'
LANGUAGE C STABLE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.measure_transition(internal, anyelement) FROM PUBLIC;
COMMENT ON FUNCTION kpi.measure_transition(internal, anyelement) IS
	'transition function of kpi.measure(), kpi.numerator() and kpi.denominator(): raises KP003, for they are replaced when a query is planned';

CREATE FUNCTION kpi.measure_final(state internal, value anyelement)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'kpi_measure_final'
LANGUAGE C STABLE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION kpi.measure_final(internal, anyelement) FROM PUBLIC;
COMMENT ON FUNCTION kpi.measure_final(internal, anyelement) IS
	'final function of kpi.measure(), kpi.numerator() and kpi.denominator(): raises KP003, on empty input too';

CREATE AGGREGATE kpi.measure(anyelement) (
	SFUNC = kpi.measure_transition,
	STYPE = internal,
	FINALFUNC = kpi.measure_final,
	FINALFUNC_EXTRA,
	PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE kpi.measure(anyelement) IS
	'the value of a measure column of a metric view for the group at hand, by its governed definition; raises KP002 where it has no meaning and KP003 where the library did not see the query';

CREATE AGGREGATE kpi.numerator(anyelement) (
	SFUNC = kpi.measure_transition,
	STYPE = internal,
	FINALFUNC = kpi.measure_final,
	FINALFUNC_EXTRA,
	PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE kpi.numerator(anyelement) IS
	'the numerator, with the constant factors, of a measure that is a ratio, in the measure''s type and without its rounding, which numerator / denominator shows as a residual, as it does that of integer division; NULL where min_group_rows takes the ratio; raises KP002 for other measures and as kpi.measure() does';

CREATE AGGREGATE kpi.denominator(anyelement) (
	SFUNC = kpi.measure_transition,
	STYPE = internal,
	FINALFUNC = kpi.measure_final,
	FINALFUNC_EXTRA,
	PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE kpi.denominator(anyelement) IS
	'the denominator of a measure that is a ratio, in the measure''s type; NULL where min_group_rows takes the ratio; raises KP002 for other measures and as kpi.measure() does';

CREATE FUNCTION kpi.explain_measure(query text)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_explain_measure'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.explain_measure(text) IS
	'the SQL that a query with measures becomes, with row security written out as WHERE; runs as it stands for a role that may read the sources; needs the privileges that the query needs';

CREATE FUNCTION kpi.require_all_rows(value bigint, measure text, clause text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'kpi_require_all_rows'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi.require_all_rows(bigint, text, text) IS
	'the value of a parameter of LIMIT or OFFSET, in plans for any value in which a measure crosses it: NULL and OFFSET 0 take no row away; raises KP002 for others';
