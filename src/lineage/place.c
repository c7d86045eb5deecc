/*
 * place.c
 *		Where the sources that are found in a query tree flow to.
 *
 * A place is an output column, or the rows, of the object whose lineage is
 * derived, together with the query that is looked at, the purpose for which its
 * columns are wanted, and the SQL that says what is done to them.
 *
 * src/lineage/place.c
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "lineage/place.h"

/*
 * The same place with another purpose, unless it is strict about its own.
 */
Place
kpi_place_for_purpose(const Place *place, LineageKind kind)
{
	Place		result = *place;

	if (!result.strict && kind != LINEAGE_VALUE)
	{
		result.kind = kind;
		result.strict = true;
	}
	return result;
}

/*
 * The same place inside a subquery.
 */
Place
kpi_place_in_query(const Place *place, Query *query, Level *parent)
{
	Place		result = *place;
	Level	   *level;
	ListCell   *lc;

	check_stack_depth();
	foreach(lc, place->derivation->levels)
	{
		level = lfirst(lc);
		if (level->query == query && level->parent == parent)
		{
			result.level = level;
			return result;
		}
	}
	level = palloc0(sizeof(Level));
	level->query = query;
	level->parent = parent;
	place->derivation->levels = lappend(place->derivation->levels, level);
	result.level = level;
	return result;
}

/*
 * Record that something flows to a place.
 */
void
kpi_flows_from(Place *place, Oid class, Oid object, AttrNumber column)
{
	LineageEdge *edge;
	ListCell   *lc;

	foreach(lc, place->derivation->edges)
	{
		edge = lfirst(lc);
		if (edge->target_column == place->target_column && edge->kind == place->kind &&
			edge->source.objectId == object && edge->source.objectSubId == column &&
			edge->source.classId == class)
			return;
	}
	edge = palloc0(sizeof(LineageEdge));
	edge->target_column = place->target_column;
	ObjectAddressSubSet(edge->source, class, object, column);
	edge->kind = place->kind;
	edge->transformation = place->text ? pstrdup(place->text) : NULL;
	place->derivation->edges = lappend(place->derivation->edges, edge);
}

/*
 * A column, or for 0 the rows, of a relation.
 */
void
kpi_flows_from_relation(Place *place, Oid relid, AttrNumber attnum)
{
	Place		here = *place;

	if (here.text == NULL && attnum > 0)
		here.text = quote_identifier(get_attname(relid, attnum, false));
	kpi_flows_from(&here, RelationRelationId, relid, attnum);
}

/*
 * Note that something is followed; false if it was already.
 */
bool
kpi_follow_once(Place *place, AttrNumber column)
{
	Followed   *found;
	ListCell   *lc;

	foreach(lc, place->derivation->followed)
	{
		found = lfirst(lc);
		if (found->query == place->level->query && found->column == column &&
			found->target_column == place->target_column &&
			found->kind == place->kind && found->strict == place->strict)
			return false;
	}
	found = palloc(sizeof(Followed));
	found->query = place->level->query;
	found->column = column;
	found->target_column = place->target_column;
	found->kind = place->kind;
	found->strict = place->strict;
	place->derivation->followed = lappend(place->derivation->followed, found);
	return true;
}

/*
 * The place of an expression that belongs to a query further out.
 */
Place
kpi_place_outside(const Place *place, Index levelsup)
{
	Place		result = *place;

	for (; levelsup > 0; levelsup--)
	{
		if (result.level->parent == NULL)
			elog(ERROR, "column reference outside of its query");
		result.level = result.level->parent;
	}
	return result;
}
