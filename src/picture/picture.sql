-- picture: the graph as text for graphviz, and as a drawing

CREATE FUNCTION kpi.lineage_dot(object text)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_lineage_dot'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.lineage_dot(text) IS
	'what an object comes from and what depends on it, as a graph in the DOT language of graphviz; the object is a relation, a column or a function, as for kpi.upstream()';

CREATE FUNCTION kpi.lineage_svg(object text)
RETURNS text
AS 'MODULE_PATHNAME', 'kpi_lineage_svg'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.lineage_svg(text) IS
	'what an object comes from and what depends on it, as an SVG drawing: sources at the left, dependents at the right; the object is a relation, a column or a function, as for kpi.upstream()';
