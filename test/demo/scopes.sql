-- Who sees which stores of the retail company that load.sql loads. Run by psql as the owner of shop.stores and
-- shop.order_lines, with the roles of the demo there; no superuser is needed.

\set ON_ERROR_STOP on
\pset tuples_only on
\pset format unaligned
\o /dev/null

-- Members of scopes are stores, or all stores of a city or a region as this table has them.
SELECT kpi.create_dimension('store', 'shop.stores', key => 'store_id', levels => '{region, city}');
SELECT kpi.grant_scope(role, 'store', members => '{*}') FROM unnest('{retail, marketing, cfo}'::text[]) AS role;
SELECT kpi.grant_scope('east_manager', 'store', level => 'region', members => '{East}');
SELECT kpi.grant_scope('clerk_17', 'store', members => '{17}');

-- From here on every query of the order lines, by whatever view, shows the rows of these stores only, to the owner, too.
SELECT kpi.protect('shop.order_lines', 'store', 'store_id');

GRANT USAGE ON SCHEMA bi TO cfo, east_manager, clerk_17;
GRANT SELECT ON bi.sales TO cfo, east_manager, clerk_17;
GRANT USAGE ON SCHEMA finance, ops TO cfo;

\o
SELECT format('  %-13s %s', role, coalesce(level || ' ', '') || array_to_string(members, ', ')) FROM kpi.scopes ORDER BY role::text;
