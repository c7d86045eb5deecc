# Lineage of the demo's company (L1): what each metric takes from the view over its tables, and which columns of tables its
# value comes from in the end, as the definitions in test/demo/metrics.sql say.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('demo');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'kpitables'\nfsync = off");
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE marketing; CREATE EXTENSION kpitables');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'scale=0.0005', '-f', 'test/demo/load.sql', 'postgres' ], 'the company is loaded');
$node->command_ok([ 'psql', '-X', '-q', '-f', 'test/demo/metrics.sql', 'postgres' ], 'its metrics are defined');

sub edges
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# metric: columns whose values count, and columns that decide; * is the rows
is( edges(q{SELECT target || ': ' || string_agg(DISTINCT coalesce(source_column, '*'), ' ') FILTER (WHERE kind = 'value' AND target_column IS NOT NULL)
		|| ' | ' || coalesce(string_agg(DISTINCT source_column, ' ') FILTER (WHERE kind = 'filter'), '')
		FROM kpi.lineage WHERE direct AND source = 'shop.sales' AND target_type = 'metric' GROUP BY target ORDER BY target COLLATE "C"}),
	join("\n",
		'finance.cost_of_goods: cost | duplicate_of status',
		'finance.net_revenue: amount refund | duplicate_of status',
		'marketing.customers: customer_id | status',
		'marketing.line_value: amount | customer_id status',
		'ops.orders: order_id | status',
		'ops.repeated_lines: * | duplicate_of',
		'ops.return_rate: * | duplicate_of status',
		'ops.units: quantity | duplicate_of status',
		'ops.unpriced_lines: * | amount duplicate_of'),
	'L1: what metrics take from the view');

is( edges(q{SELECT target || ': ' || string_agg(DISTINCT source || '.' || source_column, ' ') FROM kpi.lineage
		WHERE NOT direct AND kind = 'value' AND source_column IS NOT NULL AND target_type = 'metric' GROUP BY target ORDER BY target COLLATE "C"})
	=~ s/shop\.order_lines\.//gr,
	join("\n",
		'"财务"."净收入": amount refund',
		'finance.cost_of_goods: cost',
		'finance.margin: amount cost refund',
		'finance.margin_rate: amount cost refund',
		'finance.net_revenue: amount refund',
		'finance.order_value: amount order_id refund',
		'marketing.app_revenue: amount refund',
		'marketing.app_share: amount refund',
		'marketing.customers: customer_id',
		'marketing.line_value: amount',
		'ops.orders: order_id',
		'ops.units: quantity'),
	'L1: which columns of tables metrics come from in the end');

is( edges(q{SELECT string_agg(DISTINCT target || '.' || target_column, ' ') FROM kpi.downstream('shop.stores.region') WHERE kind = 'value'}),
	'bi.app.region bi.sales.region shop.sales.region', 'L1: where the region of a store goes');
is( edges(q{SELECT string_agg(DISTINCT source || '.' || source_column, ' ') FROM kpi.upstream('marketing.app_revenue') WHERE kind = 'filter' AND target = 'marketing.app_revenue'}),
	'bi.sales.channel', 'L1: a filtered metric is narrowed by a dimension');
is(edges('SELECT count(*) FROM kpi.check()'), '0', 'the graph is as recorded');

$node->stop;
done_testing();
