# Company: a small company with metrics of every kind, for tests that move a database (dump, upgrade).
#
#   create($node, $database)           makes the database and all that is in it
#   answers($node, $database)          what governed queries say, for its owner and for a reader
#   listings($node, $database)         what kpi.metrics and the other listings show to both
#   catalog($node, $database)          owners, privileges, options, comments and definitions of its views
#
# The last three give text, which is equal for equal databases.

package Company;

use strict;
use warnings;

sub create
{
	my ($node, $database) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql('postgres', 'CREATE ROLE author LOGIN; CREATE ROLE manager LOGIN; CREATE ROLE reader LOGIN');
	$node->safe_psql($database, q{
		CREATE EXTENSION kpitables;
		CREATE SCHEMA shop;
		CREATE SCHEMA finance AUTHORIZATION author;
		CREATE SCHEMA bi AUTHORIZATION author;
		CREATE SCHEMA "财务" AUTHORIZATION author;
		GRANT USAGE ON SCHEMA shop TO author;
		GRANT USAGE ON SCHEMA finance, bi TO reader;
		CREATE TYPE shop.channel AS ENUM ('web', 'shop');
		CREATE TABLE shop.stores (id integer PRIMARY KEY, city text, region text);
		CREATE TABLE shop.lines (id integer, store integer, channel shop.channel, status text,
								 amount numeric(12,2), refund numeric(12,2), ordered_on date) PARTITION BY RANGE (ordered_on);
		CREATE TABLE shop.visits (store integer, visitors integer);
		CREATE TABLE shop.lines_1 PARTITION OF shop.lines FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
		CREATE TABLE shop.lines_2 PARTITION OF shop.lines FOR VALUES FROM ('2026-02-01') TO ('2026-04-01');
		INSERT INTO shop.stores SELECT i, 'city ' || i % 4, (ARRAY['east', 'west', NULL])[1 + i % 3] FROM generate_series(1, 8) AS i;
		INSERT INTO shop.lines SELECT i, 1 + i % 8, (ARRAY['web', 'shop'])[1 + i % 2]::shop.channel, (ARRAY['paid', 'open', 'void'])[1 + i % 3],
			i * 1.1, CASE WHEN i % 5 = 0 THEN i END, date '2026-01-01' + i % 80 FROM generate_series(1, 400) AS i;
		INSERT INTO shop.visits SELECT i, i * 10 FROM generate_series(1, 8) AS i;
		CREATE VIEW shop.sales AS SELECT l.*, s.city, s.region FROM shop.lines AS l JOIN shop.stores AS s ON s.id = l.store;
		COMMENT ON COLUMN shop.sales.city IS 'where the shop is';
		CREATE FUNCTION shop.weigh(state numeric, value numeric, weight integer) RETURNS numeric IMMUTABLE LANGUAGE sql AS 'SELECT coalesce(state, 0) + coalesce(value, 0) * weight';
		CREATE AGGREGATE shop.weighted(numeric, integer) (SFUNC = shop.weigh, STYPE = numeric);
		GRANT SELECT ON ALL TABLES IN SCHEMA shop TO author;

		SET SESSION AUTHORIZATION author;
		SELECT kpi.create_metric('finance.net', 'SELECT sum(amount) - coalesce(sum(refund), 0) FROM shop.sales WHERE status = ''paid''', label => 'Net revenue', description => E'Paid, ''after'' refunds\n\\and a line',
								 unit => 'CNY', format => '#,##0.00', tags => '{money,"a b",净}', synonyms => '{turnover,"x,y"}', direction => 'up', min_group_rows => 2);
		SELECT kpi.create_metric('finance.orders', 'SELECT count(*) FROM shop.sales', unit => 'orders');
		SELECT kpi.create_metric('finance.aov', 'SELECT net / nullif(orders, 0) FROM finance.net, finance.orders', label => 'Average');
		SELECT kpi.create_metric('finance.median', 'SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) FROM shop.sales WHERE channel = ''web''', direction => 'down');
		SELECT kpi.create_metric('finance.weighted', 'SELECT shop.weighted(amount, store)::numeric(20,4) FROM shop.sales');
		SELECT kpi.create_metric('finance.visitors', 'SELECT sum(visitors) FROM shop.visits');
		SELECT kpi.create_metric('finance.conversion', 'SELECT orders::numeric / nullif(visitors, 0) FROM finance.orders, finance.visitors');
		SELECT kpi.create_metric('"财务"."净收入"', 'SELECT sum(amount) FROM shop.sales', label => '净收入', unit => '元');
		SELECT kpi.create_metric_view('bi.sales', '{region, city, channel, ordered_on, "date_trunc(''month'', ordered_on)::date AS month", "CASE WHEN amount > 100 THEN ''large'' ELSE ''small'' END AS \"Order size\""}',
									  '{finance.net, finance.orders, finance.aov, finance.median, finance.weighted, "\"财务\".\"净收入\" AS \"净收入\""}',
									  label => 'Sales', description => 'All orders', time_dimension => 'month', tags => '{daily}');
		-- a filtered metric on the metric view that it is published in: the two views depend on each other
		SELECT kpi.create_metric('finance.web_net', 'SELECT measure(net) FROM bi.sales WHERE channel = ''web''', label => 'Web');
		SELECT kpi.create_metric('finance.web_share', 'SELECT web_net / nullif(net, 0) FROM finance.web_net, finance.net');
		SELECT kpi.alter_metric_view('bi.sales', add_metrics => '{finance.web_net, finance.web_share}', rename => '{city AS town}');
		SELECT kpi.create_metric_view('bi.visits', '{store}', '{finance.visitors}', label => 'Visits');
		ALTER VIEW finance.weighted RENAME COLUMN weighted TO value;
		ALTER VIEW bi.sales SET (security_barrier = true);
		COMMENT ON COLUMN bi.sales."Order size" IS 'by amount';
		CREATE VIEW bi.by_region AS SELECT region, kpi.measure(net) AS net, sum(aov) AS aov FROM bi.sales GROUP BY region;
		CREATE MATERIALIZED VIEW bi.stored AS SELECT month, kpi.measure(net) AS net, kpi.measure(web_share) AS web_share FROM bi.sales GROUP BY month;
		CREATE FUNCTION bi.net_of(text) RETURNS numeric STABLE BEGIN ATOMIC SELECT kpi.measure(net) FROM bi.sales WHERE region = $1; END;
		GRANT SELECT ON bi.sales, finance.net TO manager WITH GRANT OPTION;
		GRANT SELECT (region, net, web_share) ON bi.sales TO reader;
		GRANT SELECT ON bi.by_region, bi.visits, finance.net, finance.orders TO reader;
		RESET SESSION AUTHORIZATION;});
	return;
}

sub _as_both
{
	my ($node, $database, $sql) = @_;
	my $result = '';
	for my $role ('author', 'reader')
	{
		my ($out, $err);
		$node->psql($database, "SET SESSION AUTHORIZATION $role;\n$sql", stdout => \$out, stderr => \$err, on_error_stop => 0);
		$result .= "$role\n$out\n$err\n";
	}
	return $result;
}

sub answers
{
	my ($node, $database) = @_;
	return _as_both($node, $database, q{
		SELECT region, kpi.measure(net), sum(web_share) FROM bi.sales GROUP BY ROLLUP (region) ORDER BY GROUPING(region), region;
		SELECT month, channel, kpi.measure(net), kpi.measure(orders), kpi.measure(aov), kpi.measure(median), kpi.measure(weighted), kpi.measure("净收入"), kpi.measure(web_net) FROM bi.sales GROUP BY CUBE (month, channel) ORDER BY GROUPING(month, channel), 1, 2;
		SELECT town, "Order size", kpi.measure(web_share) FROM bi.sales WHERE ordered_on > '2026-02-10' GROUP BY 1, 2 ORDER BY 1, 2;
		SELECT sum(net), count(orders) FROM bi.sales WHERE region = 'nowhere';
		SELECT region, count(*), sum(net), max(web_net) FROM (SELECT region, net, web_net FROM bi.sales) AS s GROUP BY region HAVING sum(net) > 1000 ORDER BY region;
		SELECT sum(net) FROM (SELECT net FROM bi.sales OFFSET 0) AS extract;
		SELECT * FROM bi.by_region ORDER BY region;
		SELECT * FROM bi.stored ORDER BY month;
		SELECT bi.net_of('east');
		SELECT store, sum(visitors) FROM bi.visits GROUP BY store ORDER BY store;
		TABLE finance.net;
		TABLE finance.conversion;
		TABLE finance.weighted;
		SELECT kpi.explain_measure('SELECT region, kpi.measure(web_share) FROM bi.sales GROUP BY region');});
}

sub listings
{
	my ($node, $database) = @_;
	return _as_both($node, $database, q{
		SELECT * FROM kpi.metrics ORDER BY metric::text;
		SELECT * FROM kpi.metric_views ORDER BY metric_view::text;
		SELECT * FROM kpi.dimensions ORDER BY metric_view::text, position;
		SELECT * FROM kpi.measures ORDER BY metric_view::text, position;});
}

sub catalog
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, q{
		SELECT c.oid::regclass, c.relkind, pg_get_userbyid(c.relowner), c.relacl, c.reloptions, obj_description(c.oid, 'pg_class'), a.attname, a.attacl, col_description(c.oid, a.attnum), format_type(a.atttypid, a.atttypmod)
		  FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		 WHERE c.relnamespace IN ('finance'::regnamespace, 'bi'::regnamespace, '"财务"'::regnamespace) ORDER BY c.oid::regclass::text, a.attnum;
		SELECT c.oid::regclass, pg_get_viewdef(c.oid) FROM pg_class AS c
		 WHERE c.relnamespace IN ('finance'::regnamespace, 'bi'::regnamespace, '"财务"'::regnamespace) AND c.relkind IN ('v', 'm') ORDER BY c.oid::regclass::text;});
}

1;
