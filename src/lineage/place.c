/*
 * place.c
 *		Where the sources that are found in a query tree flow to.
 *
 * A place is an output column, or the rows, of the object whose lineage is
 * derived, together with the query that is looked at, the purpose for which its
 * columns are wanted, and the SQL that says what is done to them.
 *
 * Everything is followed once, and what that costs is counted: whoever writes a
 * query that comes from everything a thousand times over gets an error for it, and
 * nobody has to read the answer (S9).
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
 * Count what deriving an object costs, and end it where that is too much.
 */
void
kpi_spend(Derivation *derivation, int64 cost)
{
	CHECK_FOR_INTERRUPTS();
	derivation->cost += cost;
	if (derivation->cost > MAX_COST)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("it comes from too much to be told column by column")));
}

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
 * A hash table whose keys are bytes.
 */
static HTAB *
make_table(const char *name, Size keysize, Size entrysize)
{
	HASHCTL		control = {0};

	control.keysize = keysize;
	control.entrysize = entrysize;
	control.hcxt = CurrentMemoryContext;
	return hash_create(name, 128, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * The same place inside a subquery.
 */
Place
kpi_place_in_query(const Place *place, Query *query, Level *parent)
{
	Derivation *derivation = place->derivation;
	Place		result = *place;
	Level		key = {query, parent};
	bool		found;

	check_stack_depth();
	if (derivation->levels == NULL)
		derivation->levels = make_table("kpitables levels", offsetof(Level, derivation),
										sizeof(Level));
	result.level = hash_search(derivation->levels, &key, HASH_ENTER, &found);
	if (!found)
	{
		result.level->derivation = derivation;
		result.level->names = NIL;
	}
	return result;
}

/* Something of a query or an object, for one purpose; padding is zero */
typedef struct Seen
{
	void	   *node;			/* a query, or a set operation of one */
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
first_time(Place *place, void *node, ObjectAddress object, AttrNumber column)
{
	Derivation *derivation = place->derivation;
	Seen		key;
	bool		found;

	kpi_spend(derivation, STEP_COST);
	if (derivation->seen == NULL)
		derivation->seen = make_table("kpitables derivation", sizeof(Seen), sizeof(Seen));
	memset(&key, 0, sizeof(key));
	key.node = node;
	key.object = object;
	key.column = column;
	key.target_column = place->target_column;
	key.kind = place->kind;
	key.strict = node != NULL && place->strict;
	(void) hash_search(derivation->seen, &key, HASH_ENTER, &found);
	return !found;
}

/*
 * Record that something flows to a place.  Edges of one expression share its text.
 */
void
kpi_flows_from(Place *place, Oid class, Oid object, AttrNumber column)
{
	ObjectAddress source;
	LineageEdge *edge;

	ObjectAddressSubSet(source, class, object, column);
	if (!first_time(place, NULL, source, column))
		return;
	kpi_spend(place->derivation,
			  EDGE_COST + (place->text !=NULL ? strlen(place->text) : 0));
	edge = palloc(sizeof(LineageEdge));
	edge->target_column = place->target_column;
	edge->source = source;
	edge->kind = place->kind;
	edge->transformation = place->text;
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
 * Note that something of a query, or of a set operation, is followed; false if it
 * was already.
 */
bool
kpi_follow_once(Place *place, void *node, AttrNumber column)
{
	return first_time(place, node, InvalidObjectAddress, column);
}

/*
 * Note that an object of the catalogs is looked at for some use, a positive number;
 * false if it was already.
 */
bool
kpi_follow_object_once(Place *place, Oid class, Oid object, int use)
{
	ObjectAddress address;

	ObjectAddressSet(address, class, object);
	return first_time(place, NULL, address, -use);
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
