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

/* Something of a query or an object, for one purpose; padding is zero */
typedef struct Seen
{
	Query	   *query;
	ObjectAddress object;
	AttrNumber	column;
	AttrNumber	target_column;
	LineageKind kind;
	bool		strict;
} Seen;

/*
 * Note what is wanted of a query or an object; false if it was already.
 */
static bool
first_time(Place *place, Query *query, ObjectAddress object, AttrNumber column)
{
	Derivation *derivation = place->derivation;
	Seen		key;
	bool		found;

	if (derivation->seen == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = control.entrysize = sizeof(Seen);
		control.hcxt = CurrentMemoryContext;
		derivation->seen = hash_create("kpitables derivation", 128, &control,
									   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	memset(&key, 0, sizeof(key));
	key.query = query;
	key.object = object;
	key.column = column;
	key.target_column = place->target_column;
	key.kind = place->kind;
	key.strict = query != NULL && place->strict;
	(void) hash_search(derivation->seen, &key, HASH_ENTER, &found);
	return !found;
}

/*
 * Record that something flows to a place.
 */
void
kpi_flows_from(Place *place, Oid class, Oid object, AttrNumber column)
{
	LineageEdge *edge = palloc0(sizeof(LineageEdge));

	ObjectAddressSubSet(edge->source, class, object, column);
	if (!first_time(place, NULL, edge->source, column))
		return;
	edge->target_column = place->target_column;
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
 * Note that something of the query at hand is followed; false if it was already.
 */
bool
kpi_follow_once(Place *place, AttrNumber column)
{
	return first_time(place, place->level->query, InvalidObjectAddress, column);
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
