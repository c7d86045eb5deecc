/*
 * belongings.c
 *		What a view has beside its query: privileges, comments, options.
 *
 * A view cannot lose a column; making it again without would lose all that was
 * granted and said about it.  Access control lists are copied as they are, with
 * their grantors, and their dependencies on roles with them.
 *
 * src/metric/belongings.c
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "commands/comment.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "metric/belongings.h"

/*
 * Copy the privileges and comments of one view's columns, or of the view
 * itself, to another.  They are copied as they are, grantors and all.
 */
static void
copy_privileges(Oid from_class, HeapTuple from, AttrNumber from_acl,
				Relation catalog, HeapTuple to, AttrNumber to_acl,
				Oid relid, AttrNumber attnum, Oid owner)
{
	Datum		old_acl;
	Datum		new_acl;
	bool		old_null;
	bool		new_null;
	Oid		   *old_members = NULL;
	Oid		   *new_members = NULL;
	int			nold = 0;
	int			nnew = 0;
	Datum		values[Max(Natts_pg_class, Natts_pg_attribute)] = {0};
	bool		nulls[Max(Natts_pg_class, Natts_pg_attribute)] = {0};
	bool		replaces[Max(Natts_pg_class, Natts_pg_attribute)] = {0};
	HeapTuple	copy;

	new_acl = heap_getattr(from, from_acl, RelationGetDescr(catalog), &new_null);
	old_acl = heap_getattr(to, to_acl, RelationGetDescr(catalog), &old_null);
	if (new_null && old_null)
		return;

	if (!old_null)
		nold = aclmembers(DatumGetAclP(old_acl), &old_members);
	if (!new_null)
		nnew = aclmembers(DatumGetAclP(new_acl), &new_members);

	values[to_acl - 1] = new_acl;
	nulls[to_acl - 1] = new_null;
	replaces[to_acl - 1] = true;
	copy = heap_modify_tuple(to, RelationGetDescr(catalog), values, nulls, replaces);
	CatalogTupleUpdate(catalog, &copy->t_self, copy);
	updateAclDependencies(from_class, relid, attnum, owner,
						  nold, old_members, nnew, new_members);
}

/*
 * Remember what DROP VIEW would lose.
 */
ViewBelongings
kpi_save_belongings(Oid relid)
{
	ViewBelongings saved = {0};
	Relation	rel = table_open(relid, AccessExclusiveLock);

	saved.class_tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));
	saved.owner = rel->rd_rel->relowner;
	saved.comment = GetComment(relid, RelationRelationId, 0);
	for (int i = 1; i <= RelationGetNumberOfAttributes(rel); i++)
	{
		saved.attribute_tuples = lappend(saved.attribute_tuples,
										 SearchSysCacheCopyAttNum(relid, i));
		saved.comments = lappend(saved.comments,
								 GetComment(relid, RelationRelationId, i));
	}
	table_close(rel, NoLock);
	return saved;
}

/*
 * Give a view that was made again what its predecessor had.  Columns are
 * matched by name.
 */
void
kpi_restore_belongings(Oid relid, ViewBelongings *saved)
{
	Relation	class_rel = table_open(RelationRelationId, RowExclusiveLock);
	Relation	attribute_rel = table_open(AttributeRelationId, RowExclusiveLock);
	HeapTuple	tuple;
	Datum		values[Natts_pg_class] = {0};
	bool		nulls[Natts_pg_class] = {0};
	bool		replaces[Natts_pg_class] = {0};
	Datum		options;
	bool		no_options;
	ListCell   *lc;
	ListCell   *lc2;

	/* security_barrier and the like */
	options = SysCacheGetAttr(RELOID, saved->class_tuple,
							  Anum_pg_class_reloptions, &no_options);
	if (!no_options)
	{
		tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));
		values[Anum_pg_class_reloptions - 1] = options;
		replaces[Anum_pg_class_reloptions - 1] = true;
		tuple = heap_modify_tuple(tuple, RelationGetDescr(class_rel), values, nulls, replaces);
		CatalogTupleUpdate(class_rel, &tuple->t_self, tuple);
		CommandCounterIncrement();
	}

	copy_privileges(RelationRelationId, saved->class_tuple, Anum_pg_class_relacl,
					class_rel, SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid)),
					Anum_pg_class_relacl, relid, 0, saved->owner);
	CreateComments(relid, RelationRelationId, 0, saved->comment);

	forboth(lc, saved->attribute_tuples, lc2, saved->comments)
	{
		HeapTuple	old = lfirst(lc);
		char	   *name = NameStr(((Form_pg_attribute) GETSTRUCT(old))->attname);
		AttrNumber	attnum = get_attnum(relid, name);

		if (attnum == InvalidAttrNumber)
			continue;
		copy_privileges(RelationRelationId, old, Anum_pg_attribute_attacl,
						attribute_rel, SearchSysCacheCopyAttNum(relid, attnum),
						Anum_pg_attribute_attacl, relid, attnum, saved->owner);
		CreateComments(relid, RelationRelationId, attnum, lfirst(lc2));
	}

	table_close(attribute_rel, NoLock);
	table_close(class_rel, NoLock);
	CommandCounterIncrement();
}
