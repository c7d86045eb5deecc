-- load, explaining a change: which members of a dimension moved a metric between two periods

CREATE FUNCTION kpi.compare_periods(
	metric regclass,
	before daterange,
	after daterange,
	by text,
	metric_view regclass DEFAULT NULL,
	OUT member text,
	OUT is_total boolean,
	OUT value_before numeric,
	OUT numerator_before numeric,
	OUT denominator_before numeric,
	OUT value_after numeric,
	OUT numerator_after numeric,
	OUT denominator_after numeric,
	OUT suppressed boolean,
	OUT loads bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kpi_compare_periods'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION kpi.compare_periods(regclass, daterange, daterange, text, regclass) IS
	'the governed values of a metric in two periods, for each member of a dimension and in total, with the parts of a ratio: what kpi.explain_change() computes from';

-- With w the share of a member in the denominator, r its ratio and R that of the
-- total, each before (0) and after (1):
--		rate effect = (r1 - r0) * (w0 + w1) / 2
--		mix effect  = (w1 - w0) * ((r0 + r1) / 2 - (R0 + R1) / 2)
-- E. M. Kitagawa, Components of a Difference Between Two Rates, Journal of the
-- American Statistical Association 50 (1955), pp. 1168-1194, with the mean of both
-- periods as weights; R, which adds up to nothing over all members, makes growth
-- of a member below the average lower the ratio.  Their sum is
--		w1 * r1 - w0 * r0 - (w1 - w0) * (R0 + R1) / 2
-- where w * r is the member's numerator over the total denominator, so it holds
-- for a member without a denominator, too, and all of that is mix.  Each is
-- written as one division, which keeps at least 16 digits.
CREATE FUNCTION kpi.explain_change(
	metric regclass,
	before daterange,
	after daterange,
	by text,
	metric_view regclass DEFAULT NULL,
	OUT member text,
	OUT is_total boolean,
	OUT value_before numeric,
	OUT value_after numeric,
	OUT change numeric,
	OUT rate_effect numeric,
	OUT mix_effect numeric,
	OUT loads bigint)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
	WITH kind AS MATERIALIZED (
		SELECT kpi.additivity(metric) IN ('count', 'additive') AS sums_up,
			   kpi.is_ratio(metric) AS is_ratio
	), part AS (
		SELECT p.member,
			   p.is_total,
			   p.value_before AS v0,
			   p.value_after AS v1,
			   coalesce(p.numerator_before, 0) AS n0,
			   coalesce(p.numerator_after, 0) AS n1,
			   coalesce(p.denominator_before, 0) AS d0,
			   coalesce(p.denominator_after, 0) AS d1,
			   max(p.numerator_before) FILTER (WHERE p.is_total) OVER () AS tn0,
			   max(p.numerator_after) FILTER (WHERE p.is_total) OVER () AS tn1,
			   nullif(max(p.denominator_before) FILTER (WHERE p.is_total) OVER (), 0) AS td0,
			   nullif(max(p.denominator_after) FILTER (WHERE p.is_total) OVER (), 0) AS td1,
			   p.suppressed,
			   bool_or(p.suppressed) OVER () AS some_suppressed,
			   p.loads
		  FROM kpi.compare_periods(metric, before, after, by, metric_view) p
	), effect AS (
		SELECT p.*,
			   CASE WHEN NOT p.suppressed
					THEN (2 * (p.n1 * p.td0 - p.n0 * p.td1) * p.td0 * p.td1
						  - (p.d1 * p.td0 - p.d0 * p.td1) * (p.tn0 * p.td1 + p.tn1 * p.td0))
						 / (2 * p.td0 * p.td0 * p.td1 * p.td1) END AS both_effects,
			   CASE WHEN p.suppressed OR p.td0 IS NULL OR p.td1 IS NULL THEN NULL
					WHEN p.d0 = 0 OR p.d1 = 0 THEN 0
					ELSE (p.n1 * p.d0 - p.n0 * p.d1) * (p.d0 * p.td1 + p.d1 * p.td0)
						 / (2 * p.d0 * p.d1 * p.td0 * p.td1) END AS rate
		  FROM part p
	), explained AS (
		SELECT e.*,
			   CASE WHEN NOT e.is_total THEN e.rate
					WHEN NOT e.some_suppressed
					THEN sum(e.rate) FILTER (WHERE NOT e.is_total) OVER () END AS rate_effect,
			   CASE WHEN NOT e.is_total THEN e.both_effects - e.rate
					WHEN NOT e.some_suppressed
					THEN sum(e.both_effects - e.rate) FILTER (WHERE NOT e.is_total) OVER () END AS mix_effect
		  FROM effect e
	), changed AS (
		SELECT x.*,
			   CASE WHEN k.sums_up THEN coalesce(x.v1, 0) - coalesce(x.v0, 0)
					WHEN k.is_ratio AND NOT x.is_total THEN x.both_effects
					ELSE x.v1 - x.v0 END AS change
		  FROM explained x
		 CROSS JOIN kind k
	)
	SELECT c.member, c.is_total, c.v0, c.v1, c.change, c.rate_effect, c.mix_effect, c.loads
	  FROM changed c
	 ORDER BY c.is_total, abs(c.change) DESC NULLS LAST, c.member;
END;
COMMENT ON FUNCTION kpi.explain_change(regclass, daterange, daterange, text, regclass) IS
	'how much each member of a dimension contributed to the change of a metric between two periods, greatest first, then the total: for counts and sums the difference, which adds up to the total''s; for a ratio what its own ratio (rate_effect) and its share in the denominator (mix_effect) moved the total by; for other metrics the difference, which need not add up; a total that the definition rounds, and a member whose value is NULL because it adds NULL to a number, leave a residual; loads are those recorded in between that the current user may see';
