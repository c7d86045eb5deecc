/*
 * calls.c
 *		The functions that a query runs, whoever calls them.
 *
 * A query runs more functions than it names: those of aggregates, operators, sorting
 * and grouping, of types that it reads and writes as text, the checks of domains, and
 * default arguments.  All of them are found here, and those that may read tables
 * become sources.  Nothing is run for it, and a type or function is looked at once for
 * each place (S7, S9).
 *
 * src/lineage/calls.c
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_am.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_language.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_range.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
#include "lineage/derive.h"

/*
 * Those of PostgreSQL's own functions in C that read what is named by their
 * arguments: by a query or the name of a relation given as text, or as a sequence, a
 * large object, a file or a slot.
 */
static const Oid readers_by_name[] = {
	F_QUERY_TO_XML, F_QUERY_TO_XMLSCHEMA, F_QUERY_TO_XML_AND_XMLSCHEMA,
	F_TABLE_TO_XML, F_TABLE_TO_XMLSCHEMA, F_TABLE_TO_XML_AND_XMLSCHEMA,
	F_CURSOR_TO_XML, F_CURSOR_TO_XMLSCHEMA,
	F_SCHEMA_TO_XML, F_SCHEMA_TO_XMLSCHEMA, F_SCHEMA_TO_XML_AND_XMLSCHEMA,
	F_DATABASE_TO_XML, F_DATABASE_TO_XMLSCHEMA, F_DATABASE_TO_XML_AND_XMLSCHEMA,
	F_TS_STAT_TEXT, F_TS_STAT_TEXT_TEXT, F_TS_REWRITE_TSQUERY_TEXT,
	F_NEXTVAL, F_CURRVAL, F_LASTVAL, F_PG_SEQUENCE_LAST_VALUE,
	F_LOREAD, F_LO_GET_OID, F_LO_GET_OID_INT8_INT4,
	F_PG_READ_FILE_TEXT, F_PG_READ_FILE_TEXT_INT8_INT8, F_PG_READ_FILE_TEXT_INT8_INT8_BOOL,
	F_PG_READ_FILE_OLD, F_PG_READ_BINARY_FILE_TEXT, F_PG_READ_BINARY_FILE_TEXT_INT8_INT8,
	F_PG_READ_BINARY_FILE_TEXT_INT8_INT8_BOOL,
	F_PG_LOGICAL_SLOT_GET_CHANGES, F_PG_LOGICAL_SLOT_GET_BINARY_CHANGES,
	F_PG_LOGICAL_SLOT_PEEK_CHANGES, F_PG_LOGICAL_SLOT_PEEK_BINARY_CHANGES
};

/*
 * Does a function of PostgreSQL's own read what its arguments name?
 */
static bool
reads_by_name(Oid funcid)
{
	for (int i = 0; i < lengthof(readers_by_name); i++)
	{
		if (readers_by_name[i] == funcid)
			return true;
	}
	return false;
}

/*
 * Is an argument of this type able to hold a query or to name a relation?
 */
static bool
may_name_something(Oid type)
{
	char		category;
	bool		preferred;
	Oid			element = get_element_type(type);

	if (OidIsValid(element))
		type = element;
	if (type == OIDOID || type == REGCLASSOID || type == REFCURSOROID)
		return true;
	get_type_category_preferred(type, &category, &preferred);
	return category == TYPCATEGORY_STRING;
}

/*
 * May a function in C that is not PostgreSQL's own read tables?  Its body cannot be
 * seen, so what it was declared as has to tell.  IMMUTABLE says that the result comes
 * from the arguments alone.  Of an extension's others, most compute, too, and depend
 * on a setting or on chance (unaccent, the operators of pg_trgm, gen_salt): those that
 * read return rows (crosstab, dblink), or at least take a name and do not claim to be
 * safe in a parallel worker.  Whoever adds a single function says less about it, and
 * it is named.
 */
static bool
may_look_up(Form_pg_proc form)
{
	if (form->provolatile == PROVOLATILE_IMMUTABLE ||
		form->pronamespace == kpi_require_objects()->namespace)
		return false;
	if (!OidIsValid(getExtensionOfObject(ProcedureRelationId, form->oid)))
		return true;
	if (form->proretset || type_is_rowtype(form->prorettype))
		return true;
	for (int i = 0; i < form->pronargs; i++)
	{
		if (form->proparallel != PROPARALLEL_SAFE &&
			may_name_something(form->proargtypes.values[i]))
			return true;
	}
	return false;
}

/*
 * May a function read tables, so that it is a source?  Those of PostgreSQL and those
 * written in C compute, but for some; anybody's in another language may.  An aggregate
 * does what its own functions do.
 */
bool
kpi_may_read_tables(Oid funcid)
{
	HeapTuple	tuple;
	Form_pg_proc form;
	Datum		symbol;
	bool		isnull;
	bool		result;

	if (funcid < FirstNormalObjectId)
		return reads_by_name(funcid);
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	if (form->prokind == PROKIND_AGGREGATE)
		result = false;
	else if (form->prolang == INTERNALlanguageId)
	{
		/* another name for one of PostgreSQL's own */
		symbol = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
		result = reads_by_name(fmgr_internal_function(TextDatumGetCString(symbol)));
	}
	else
		result = form->prolang != ClanguageId || may_look_up(form);
	ReleaseSysCache(tuple);
	return result;
}

/*
 * An aggregate's own functions.
 */
static void
add_aggregate_functions(Oid funcid, Place *place)
{
	HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(funcid));
	Form_pg_aggregate form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	(void) kpi_add_function(form->aggtransfn, place);
	(void) kpi_add_function(form->aggfinalfn, place);
	(void) kpi_add_function(form->aggcombinefn, place);
	(void) kpi_add_function(form->aggserialfn, place);
	(void) kpi_add_function(form->aggdeserialfn, place);
	(void) kpi_add_function(form->aggmtransfn, place);
	(void) kpi_add_function(form->aggminvtransfn, place);
	(void) kpi_add_function(form->aggmfinalfn, place);
	ReleaseSysCache(tuple);
}

/*
 * A function that is run: all columns of its result are sources if it may read
 * tables.  Callback of check_functions_in_node(), which has more to look at.
 */
bool
kpi_add_function(Oid funcid, void *context)
{
	Place	   *place = context;
	ListCell   *lc;

	if (!OidIsValid(funcid) ||
		(funcid < FirstNormalObjectId && !reads_by_name(funcid)) ||
		!kpi_follow_object_once(place, ProcedureRelationId, funcid, 1))
		return false;
	if (kpi_may_read_tables(funcid))
	{
		foreach(lc, kpi_function_columns(funcid))
			kpi_flows_from(place, ProcedureRelationId, funcid, lfirst_int(lc));
	}
	else
		add_aggregate_functions(funcid, place);
	return false;
}

/*
 * Walker: the functions that an expression runs which belongs to no query: a check, or
 * a default.
 */
static bool
add_calls_of_expression(Node *node, Place *place)
{
	if (node == NULL)
		return false;
	check_stack_depth();
	kpi_spend(place->derivation, STEP_COST);
	kpi_add_calls(node, place);
	return expression_tree_walker(node, add_calls_of_expression, place);
}

/*
 * The arguments that a call leaves to the function's defaults.
 */
void
kpi_add_default_arguments(FuncExpr *call, Place *place)
{
	HeapTuple	tuple;
	Datum		defaults;
	bool		isnull;

	if (call->funcid < FirstNormalObjectId)
		return;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
	if (!HeapTupleIsValid(tuple))
		return;
	if (list_length(call->args) < ((Form_pg_proc) GETSTRUCT(tuple))->pronargs &&
		kpi_follow_object_once(place, ProcedureRelationId, call->funcid, 2))
	{
		defaults = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargdefaults, &isnull);
		if (!isnull)
			(void) add_calls_of_expression(stringToNode(TextDatumGetCString(defaults)), place);
	}
	ReleaseSysCache(tuple);
}

/*
 * The functions by which an operator family compares and hashes.
 */
static void
add_family_functions(Oid family, Place *place)
{
	CatCList   *list;

	if (!kpi_follow_object_once(place, OperatorFamilyRelationId, family, 1))
		return;
	list = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(family));
	for (int i = 0; i < list->n_members; i++)
		(void) kpi_add_function(((Form_pg_amproc) GETSTRUCT(&list->members[i]->tuple))->amproc,
								place);
	ReleaseSysCacheList(list);
}

/*
 * An operator: its function, and those that are run in its stead where rows are
 * sorted, hashed or merged.
 */
void
kpi_add_operator(Oid opno, Place *place)
{
	CatCList   *list;

	if (opno < FirstNormalObjectId)
		return;
	(void) kpi_add_function(get_opcode(opno), place);
	list = SearchSysCacheList1(AMOPOPID, ObjectIdGetDatum(opno));
	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_amop form = (Form_pg_amop) GETSTRUCT(&list->members[i]->tuple);

		if (form->amopmethod == BTREE_AM_OID || form->amopmethod == HASH_AM_OID)
			add_family_functions(form->amopfamily, place);
	}
	ReleaseSysCacheList(list);
}

/*
 * The checks of a domain: they decide which values there are.
 */
static void
add_domain_checks(Oid type, Place *place)
{
	Place		filter = kpi_place_for_purpose(place, LINEAGE_FILTER);
	Relation	rel = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(rel, ConstraintTypidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		check = heap_getattr(tuple, Anum_pg_constraint_conbin,
										 RelationGetDescr(rel), &isnull);

		if (!isnull)
			(void) add_calls_of_expression(stringToNode(TextDatumGetCString(check)), &filter);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/*
 * What a range is made and compared with.
 */
static void
add_range_functions(Oid type, int uses, Place *place)
{
	HeapTuple	tuple = SearchSysCache1(RANGETYPE, ObjectIdGetDatum(type));
	Form_pg_range form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_range) GETSTRUCT(tuple);
	if (uses & TYPE_IN)
		(void) kpi_add_function(form->rngcanonical, place);
	/* bounds are compared when it is made */
	if (uses & (TYPE_IN | TYPE_COMPARE))
		add_family_functions(get_opclass_family(form->rngsubopc), place);
	kpi_add_type(form->rngsubtype, uses, place);
	ReleaseSysCache(tuple);
}

/*
 * The columns of a row type, read one by one: nothing is locked for it, so nobody is
 * waited for.
 */
static void
add_column_types(Oid relid, int uses, Place *place)
{
	HeapTuple	rel = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	int			natts;

	if (!HeapTupleIsValid(rel))
		return;
	natts = ((Form_pg_class) GETSTRUCT(rel))->relnatts;
	ReleaseSysCache(rel);
	for (int attnum = 1; attnum <= natts; attnum++)
	{
		HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attnum));

		if (!HeapTupleIsValid(tuple))
			continue;
		if (!((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped)
			kpi_add_type(((Form_pg_attribute) GETSTRUCT(tuple))->atttypid, uses, place);
		ReleaseSysCache(tuple);
	}
}

/*
 * How values of a type are compared or hashed, by default.  The type cache would know,
 * but for a row type it opens the table.
 */
static void
add_comparison(Oid type, Oid method, Place *place)
{
	Oid			opclass = GetDefaultOpClass(type, method);
	Oid			family;
	Oid			input;

	if (!OidIsValid(opclass))
		return;
	family = get_opclass_family(opclass);
	input = get_opclass_input_type(opclass);
	add_family_functions(family, place);
	if (method == BTREE_AM_OID)
	{
		kpi_add_operator(get_opfamily_member(family, input, input, BTLessStrategyNumber), place);
		kpi_add_operator(get_opfamily_member(family, input, input, BTEqualStrategyNumber), place);
	}
	else
		kpi_add_operator(get_opfamily_member(family, input, input, HTEqualStrategyNumber), place);
}

/*
 * The types that a type is made of.
 */
static void
add_parts(Oid type, Form_pg_type form, int uses, Place *place)
{
	if (form->typtype == TYPTYPE_COMPOSITE)
		add_column_types(form->typrelid, uses, place);
	else if (form->typtype == TYPTYPE_RANGE)
		add_range_functions(type, uses, place);
	else if (form->typtype == TYPTYPE_MULTIRANGE)
		kpi_add_type(get_multirange_range(type), uses, place);
	else if (OidIsValid(form->typelem) && IsTrueArrayType(form))
		kpi_add_type(form->typelem, uses, place);
}

/*
 * The functions that belong to a type and the types that it is made of, for some of
 * the uses of its values.  PostgreSQL's own types are made of their like.
 */
void
kpi_add_type(Oid type, int uses, Place *place)
{
	HeapTuple	tuple;
	Form_pg_type form;

	if (type < FirstNormalObjectId)
		return;
	check_stack_depth();
	if (!kpi_follow_object_once(place, TypeRelationId, type, uses))
		return;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_type) GETSTRUCT(tuple);
	if (uses & TYPE_IN)
		(void) kpi_add_function(form->typinput, place);
	if (uses & TYPE_OUT)
		(void) kpi_add_function(form->typoutput, place);
	if (form->typtype == TYPTYPE_DOMAIN)
	{
		if (uses & (TYPE_IN | TYPE_CHECK))
			add_domain_checks(type, place);
		kpi_add_type(form->typbasetype, uses, place);
	}
	else if (uses != TYPE_CHECK)
	{
		if (uses & TYPE_COMPARE)
		{
			add_comparison(type, BTREE_AM_OID, place);
			add_comparison(type, HASH_AM_OID, place);
		}
		add_parts(type, form, uses, place);
	}
	ReleaseSysCache(tuple);
}

/*
 * The type of a value, or the types of a row's.  What an aggregate is only ordered by
 * is none of its values.
 */
static void
add_type_of(Node *value, int uses, Place *place)
{
	ListCell   *lc;

	if (IsA(value, TargetEntry) && ((TargetEntry *) value)->resjunk)
		return;
	if (IsA(value, TargetEntry))
		value = (Node *) ((TargetEntry *) value)->expr;
	if (IsA(value, RowExpr))
	{
		foreach(lc, ((RowExpr *) value)->args)
			kpi_add_type(exprType(lfirst(lc)), uses, place);
	}
	else
		kpi_add_type(exprType(value), uses, place);
}

/*
 * What a function in C does with arguments of types that are not PostgreSQL's own: it
 * may compare them and, unless it is IMMUTABLE, write them as text, and read its
 * result from text.
 */
static void
add_types_of_call(Node *call, Oid funcid, List *args, Place *place)
{
	bool		is_immutable;
	ListCell   *lc;

	if (kpi_may_read_tables(funcid))
		return;
	is_immutable = func_volatile(funcid) == PROVOLATILE_IMMUTABLE;
	foreach(lc, args)
		add_type_of(lfirst(lc), is_immutable ? TYPE_COMPARE : TYPE_COMPARE | TYPE_OUT, place);
	if (!is_immutable)
		kpi_add_type(exprType(call), TYPE_IN, place);
}

/*
 * The order or equality that a clause asks for.
 */
void
kpi_add_sort(SortGroupClause *clause, Node *expr, Place *place)
{
	kpi_add_operator(clause->eqop, place);
	kpi_add_operator(clause->sortop, place);
	add_type_of(expr, TYPE_COMPARE, place);
}

/*
 * The comparison of two rows, column by column.
 */
static void
add_row_comparison(RowCompareExpr *comparison, Place *place)
{
	ListCell   *opno;
	ListCell   *value;

	forboth(opno, comparison->opnos, value, comparison->largs)
	{
		kpi_add_operator(lfirst_oid(opno), place);
		add_type_of(lfirst(value), TYPE_COMPARE, place);
	}
}

/*
 * What a conversion runs.
 */
static void
add_conversion(Node *node, Place *place)
{
	if (IsA(node, CoerceViaIO))
	{
		add_type_of((Node *) ((CoerceViaIO *) node)->arg, TYPE_OUT, place);
		kpi_add_type(((CoerceViaIO *) node)->resulttype, TYPE_IN, place);
	}
	else if (IsA(node, CoerceToDomain))
		kpi_add_type(((CoerceToDomain *) node)->resulttype, TYPE_CHECK, place);
}

/*
 * What values are taken out of or put into containers with.
 */
static void
add_subscripting(SubscriptingRef *ref, Place *place)
{
	HeapTuple	tuple;

	if (ref->refcontainertype < FirstNormalObjectId)
		return;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(ref->refcontainertype));
	if (!HeapTupleIsValid(tuple))
		return;
	(void) kpi_add_function(((Form_pg_type) GETSTRUCT(tuple))->typsubscript, place);
	ReleaseSysCache(tuple);
}

/*
 * The functions that a node of an expression runs, without those of the expressions
 * in it.
 */
void
kpi_add_calls(Node *node, Place *place)
{
	OpExpr	   *op = (OpExpr *) node;
	FuncExpr   *call = (FuncExpr *) node;
	ListCell   *lc;

	(void) check_functions_in_node(node, kpi_add_function, place);
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			kpi_add_default_arguments(call, place);
			add_types_of_call(node, call->funcid, call->args, place);
			break;
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			kpi_add_operator(op->opno, place);
			add_types_of_call(node, op->opfuncid, op->args, place);
			break;
		case T_ScalarArrayOpExpr:
			kpi_add_operator(((ScalarArrayOpExpr *) node)->opno, place);
			add_types_of_call(node, ((ScalarArrayOpExpr *) node)->opfuncid,
							  ((ScalarArrayOpExpr *) node)->args, place);
			break;
		case T_RowCompareExpr:
			add_row_comparison((RowCompareExpr *) node, place);
			break;
		case T_MinMaxExpr:
			kpi_add_type(((MinMaxExpr *) node)->minmaxtype, TYPE_COMPARE, place);
			break;
		case T_Aggref:
			add_types_of_call(node, ((Aggref *) node)->aggfnoid, ((Aggref *) node)->args, place);
			break;
		case T_WindowFunc:
			add_types_of_call(node, ((WindowFunc *) node)->winfnoid, ((WindowFunc *) node)->args, place);
			break;
		case T_XmlExpr:
			foreach(lc, list_concat_copy(((XmlExpr *) node)->named_args, ((XmlExpr *) node)->args))
				add_type_of(lfirst(lc), TYPE_OUT, place);
			break;
		case T_SubscriptingRef:
			add_subscripting((SubscriptingRef *) node, place);
			break;
		default:
			add_conversion(node, place);
			break;
	}
}
