/*
 * draft.c
 *		Metric views while they are put together.
 *
 * A draft is a query tree, so that each dimension is parsed alone and by the
 * caller's search_path; it is then written out with every name qualified, as
 * pg_dump would write it.
 *
 * src/metric/draft.c
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
#include "catalog/names.h"
#include "compat.h"
#include "errors.h"
#include "metric/definition.h"
#include "metric/draft.h"
#include "metric/metric.h"

/*
 * Raise the error for an element of an array argument that is not what it
 * should be.
 */
void
kpi_report_invalid(const char *text, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("invalid %s \"%s\"", what, text),
			 errhint("%s", hint)));
}

/*
 * A syntax error in an element of an array may come of quotes that an array literal
 * took off.
 */
static void
element_error_callback(void *arg)
{
	if (geterrcode() == ERRCODE_SYNTAX_ERROR)
		errhint("An array literal takes double quotes off its elements: keep those of a name by '{\"\\\"Name\\\"\"}' or ARRAY['\"Name\"'].");
}

/*
 * Parse "expression [AS name]", and nothing else, into one target.
 */
static ResTarget *
parse_target(const char *text, const char *what, const char *hint)
{
	char	   *sql = psprintf("SELECT %s", text);
	ErrorContextCallback callback;
	ErrorContextCallback element = {NULL, element_error_callback, NULL};
	List	   *parsed;
	SelectStmt *select;
	SelectStmt	rest;
	SelectStmt *empty = makeNode(SelectStmt);

	kpi_push_query(&callback, sql);
	element.previous = error_context_stack;
	error_context_stack = &element;
	parsed = pg_parse_query(sql);
	error_context_stack = element.previous;
	kpi_pop_query();

	select = (SelectStmt *) (parsed ? linitial_node(RawStmt, parsed)->stmt : NULL);
	if (list_length(parsed) != 1 || !IsA(select, SelectStmt) ||
		list_length(select->targetList) != 1)
		kpi_report_invalid(text, what, hint);

	/* with its target taken away, nothing may be left of the statement */
	rest = *select;
	rest.targetList = NIL;
	empty->limitOption = rest.limitOption;
	if (!equal(&rest, empty))
		kpi_report_invalid(text, what, hint);
	return linitial_node(ResTarget, select->targetList);
}

/*
 * Parse "old AS new" or "metric [AS name]" into a name and an alias, which is
 * NULL where there is none.
 */
List *
kpi_parse_alias(const char *text, const char *what, char **alias)
{
	const char *hint = "Write a name, or \"name AS name\".";
	ResTarget  *target = parse_target(text, what, hint);
	ListCell   *lc;

	*alias = target->name;
	if (!IsA(target->val, ColumnRef) || target->indirection != NIL)
		kpi_report_invalid(text, what, hint);
	foreach(lc, ((ColumnRef *) target->val)->fields)
	{
		if (!IsA(lfirst(lc), String))
			kpi_report_invalid(text, what, hint);
	}
	return ((ColumnRef *) target->val)->fields;
}

/*
 * Does a draft have a column of this name?
 */
static TargetEntry *
find_column(Draft *draft, const char *name)
{
	ListCell   *lc;

	foreach(lc, draft->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (strcmp(tle->resname, name) == 0)
			return tle;
	}
	return NULL;
}

/*
 * Append a column to a draft.
 */
static void
append_column(Draft *draft, Expr *expr, char *name)
{
	if (find_column(draft, name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("column \"%s\" of metric view %s is specified more than once",
						name, draft->name)));
	draft->query->targetList =
		lappend(draft->query->targetList,
				makeTargetEntry(expr, list_length(draft->query->targetList) + 1,
								name, false));
}

/*
 * Analyze a SELECT from the source of a draft.
 */
static Query *
analyze_over_source(Draft *draft, const char *targets)
{
	char	   *sql = psprintf("SELECT %s\nFROM %s", targets,
							   kpi_relation_name(draft->source));
	ErrorContextCallback callback;
	Query	   *query;

	kpi_push_query(&callback, sql);
	query = parse_analyze_fixedparams(kpi_parse_select(sql, "a dimension"), sql,
									  NULL, 0, NULL);
	kpi_pop_query();
	return query;
}

/* A dimension in which words are looked for that SQL takes for values, not for columns */
typedef struct KeywordSearch
{
	Draft	   *draft;
	const char *dimension;		/* its text */
} KeywordSearch;

/*
 * Walker over a raw tree: warn of words such as user and current_date that the source
 * has columns of.
 */
static bool
warn_of_keywords(Node *node, KeywordSearch *search)
{
	static const struct
	{
		SQLValueFunctionOp op;
		const char *word;
	}			words[] = {
		{SVFOP_CURRENT_DATE, "current_date"}, {SVFOP_CURRENT_TIME, "current_time"},
		{SVFOP_CURRENT_TIMESTAMP, "current_timestamp"}, {SVFOP_LOCALTIME, "localtime"},
		{SVFOP_LOCALTIMESTAMP, "localtimestamp"}, {SVFOP_CURRENT_ROLE, "current_role"},
		{SVFOP_CURRENT_USER, "current_user"}, {SVFOP_USER, "user"},
		{SVFOP_SESSION_USER, "session_user"}, {SVFOP_CURRENT_CATALOG, "current_catalog"},
		{SVFOP_CURRENT_SCHEMA, "current_schema"},
	};

	if (node == NULL)
		return false;
	for (int i = 0; IsA(node, SQLValueFunction) && i < lengthof(words); i++)
	{
		if (((SQLValueFunction *) node)->op != words[i].op ||
			get_attnum(search->draft->source, words[i].word) == InvalidAttrNumber)
			continue;
		ereport(WARNING,
				(errmsg("%s in dimension \"%s\" is a value of the session, not column \"%s\" of %s",
						words[i].word, search->dimension, words[i].word,
						kpi_relation_name(search->draft->source)),
				 errhint("Put the column in double quotes, in an array literal as in '{\"\\\"%s\\\"\"}'.",
						 words[i].word)));
	}
	return raw_expression_tree_walker(node, warn_of_keywords, search);
}

/*
 * Has the source of a draft a column of this name?
 */
static bool
source_has_column(const char *name, void *draft)
{
	return get_attnum(((Draft *) draft)->source, name) > 0;
}

/*
 * A dimension's text as SQL: where it is the name of a column and no SQL, for an array
 * literal took its quotes off, quoted.
 */
static const char *
dimension_as_sql(Draft *draft, const char *text)
{
	if (!source_has_column(text, draft))
		return text;

	return quote_identifier(kpi_resolve_name(text, "dimensions", true, source_has_column, draft));
}

/*
 * Add one dimension, a column or expression of the source.
 */
static void
draft_dimension(Draft *draft, const char *text)
{
	ResTarget  *target = parse_target(text, "dimension",
									  "Write a column, or \"expression AS name\".");
/**INDENT** Error@241: Statement nesting error */
	KeywordSearch keywords = {draft, text};
		Query	   *query = analyze_over_source(draft, text);
		TargetEntry *tle = linitial_node(TargetEntry, query->targetList);
		const char *problem = NULL;

		(void) warn_of_keywords(target->val, &keywords);
		if (list_length(query->targetList) != 1)
			problem = "stands for several columns";
		else if (target->name == NULL && !IsA(target->val, ColumnRef))
			problem = "has no name";
		else
			problem = kpi_dimension_fault(query, (Node *) tle->expr);
		if (problem != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
					 errmsg("dimension \"%s\" %s", text, problem),
					 errhint("A dimension is a column of the source, or \"expression AS name\" over its columns%s.",
							 list_length(query->targetList) != 1 ? "; * alone stands for all of them" : "")));

		kpi_compat_check_permissions(query);
		ChangeVarNodes((Node *) tle->expr, 1, draft->source_rti, 0);
		append_column(draft, tle->expr, tle->resname);
	}

/*
 * The name that a dimension would have, or NULL for one that has none, as *.
 */
	static char *dimension_name(const char *text)
	{
		ResTarget  *target = parse_target(text, "dimension",
										  "Write a column, or \"expression AS name\".");
		Node	   *last;

		if			(target->name != NULL || !IsA(target->val, ColumnRef))
						return target->name;
					last = llast(((ColumnRef *) target->val)->fields);
					return IsA(last, String) ? strVal(last) : NULL;
	}

/*
 * Add the columns of the source whose names are not taken, by columns of the draft or
 * by other dimensions of the list.
 */
	static void
				draft_all_columns(Draft *draft, List *taken)
	{
		for (AttrNumber attnum = 1;
			 SearchSysCacheExists2(ATTNUM, ObjectIdGetDatum(draft->source), Int16GetDatum(attnum));
			 attnum++)
		{
			char	   *name = get_attname(draft->source, attnum, true);

			if			(name != NULL && find_column(draft, name) == NULL &&
						 !list_member(taken, makeString(name)))
				draft_dimension(draft, quote_identifier(name));
		}
	}

/*
 * Add dimensions.  An asterisk stands for all columns of the source that nothing else
 * in the view has the name of.
 */
	void
				kpi_draft_dimensions(Draft *draft, List *dimensions)
	{
		List	   *taken = NIL;
		ListCell   *lc;

					foreach(lc, dimensions)
		{
			char	   *name;

						lfirst(lc) = unconstify(char *, dimension_as_sql(draft, lfirst(lc)));
						name = dimension_name(lfirst(lc));
			if			(name != NULL)
							taken = lappend(taken, makeString(name));
		}
					foreach(lc, dimensions)
		{
			const char *text = lfirst(lc);

			if			(text[strspn(text, " \t\n")] == '*' && text[strspn(text, " \t\n*")] == '\0')
				draft_all_columns(draft, taken);
			else
							draft_dimension(draft, text);
		}
	}

/*
 * May the current user read a metric, and all that it reads of its source?
 */
	static void
				check_metric_privileges(Draft *draft, MetricDefinition *definition)
	{
		Oid			metric = definition->metric;
		Query	   *query;
		Bitmapset  *columns = NULL;
		int			bit = -1;

		if			(pg_class_aclcheck(metric, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
					 pg_attribute_aclcheck(metric, 1, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
						aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_VIEW, kpi_relation_name(metric));

					query = analyze_over_source(draft, "1");
					pull_varattnos(definition->expr, 1, &columns);
		while		((bit = bms_next_member(columns, bit)) >= 0)
			kpi_compat_select_column(query, linitial(query->rtable),
									 bit + FirstLowInvalidHeapAttributeNumber);
					kpi_compat_check_permissions(query);
	}

/*
 * The expression of a measure column: the marker that names the metric, in a
 * cast where the metric's type has a modifier.
 */
	static Expr *make_marker(Oid metric)
	{
		Oid			type;
		int32		typmod;
		Oid			collation;
		Node	   *marker;

					get_atttypetypmodcoll(metric, 1, &type, &typmod, &collation);
					marker = (Node *) makeFuncExpr(kpi_require_objects()->marker, type,
												   list_make2(makeConst(REGCLASSOID, -1, InvalidOid,
																		sizeof(Oid), ObjectIdGetDatum(metric),
																		false, true),
															  makeNullConst(type, -1, collation)),
												   collation, collation, COERCE_EXPLICIT_CALL);
		if			(typmod >= 0)
						marker = coerce_to_target_type(NULL, marker, type, type, typmod,
													   COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
					return (Expr *) marker;
	}

/*
 * Check that a draft may publish a metric, of which it has the source if it has one.
 */
	void
				kpi_draft_check_metric(Draft *draft, Oid metric)
	{
		MetricDefinition *definition;

					kpi_require_metric(metric);
					definition = kpi_load_definition(metric);
		if			(!OidIsValid(definition->source))
						ereport(ERROR,
								(errcode(ERRCODE_KPI_SOURCE_MISMATCH),
								 errmsg("metric %s has components over several sources",
										kpi_relation_name(metric)),
								 errdetail("A metric view publishes metrics of one source.")));
		if			(OidIsValid(draft->source) && definition->source != draft->source)
						ereport(ERROR,
								(errcode(ERRCODE_KPI_SOURCE_MISMATCH),
								 errmsg("metric %s has source %s, not %s", kpi_relation_name(metric),
										kpi_relation_name(definition->source),
										kpi_relation_name(draft->source)),
								 errdetail("A metric view publishes metrics of one source."),
								 errhint("Create a view that joins the sources and define the metrics on it, or publish the metric in a metric view of its own.")));
					draft->source = definition->source;
					check_metric_privileges(draft, definition);
	}

/*
 * Add one measure, "schema.metric [AS name]".  The first one tells the draft
 * its source.
 */
	void
				kpi_draft_metric(Draft *draft, const char *text)
	{
		char	   *alias;
		List	   *names = kpi_parse_alias(text, "metric", &alias);
		Oid			metric = RangeVarGetRelid(makeRangeVarFromNameList(names),
											  AccessShareLock, false);

					kpi_draft_check_metric(draft, metric);
		if			(draft->query == NULL)
		{
			draft->query = analyze_over_source(draft, "1");
			draft->query->targetList = NIL;
			draft->source_rti = 1;
		}
					append_column(draft, make_marker(metric), alias ? alias : get_rel_name(metric));
	}

/*
 * Put the dimensions, which were added after the first "nmetrics" columns,
 * before them.
 */
	void
				kpi_draft_dimensions_first(Draft *draft, int nmetrics)
	{
		List	   *dimensions = list_copy_tail(draft->query->targetList, nmetrics);
		List	   *metrics = list_truncate(draft->query->targetList, nmetrics);
		ListCell   *lc;
		int			resno = 0;

					draft->query->targetList = list_concat(dimensions, metrics);
					foreach(lc, draft->query->targetList)
					lfirst_node(TargetEntry, lc)->resno = ++resno;
	}

/*
 * Errand: write the SELECT that a draft describes, with every name qualified.
 */
	void
				kpi_write_draft(void *arg)
	{
		Draft	   *draft = arg;

					draft->select = pg_get_querydef(draft->query, true);
	}

/*
 * Take a column out of a draft.
 */
	void
				kpi_draft_drop(Draft *draft, const char *name, bool is_measure)
	{
		TargetEntry *tle = find_column(draft, name);
		ListCell   *lc;
		int			resno = 0;
		Oid			metric;

		if			(tle == NULL || kpi_is_marker((Node *) tle->expr, &metric) != is_measure)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("metric view %s has no %s \"%s\"", draft->name,
							is_measure ? "measure" : "dimension", name)));
					draft->query->targetList = list_delete_ptr(draft->query->targetList, tle);
					foreach(lc, draft->query->targetList)
					lfirst_node(TargetEntry, lc)->resno = ++resno;
	}

/* A kind of columns of a draft */
	typedef struct ColumnKind
	{
		Draft	   *draft;
		bool		is_measure;
	} ColumnKind;

/*
 * Has a draft such a column of this name?
 */
	static bool
				has_column(const char *name, void *arg)
	{
		ColumnKind *kind = arg;
		TargetEntry *tle = find_column(kind->draft, name);
		Oid			metric;

					return tle != NULL && kpi_is_marker((Node *) tle->expr, &metric) == kind->is_measure;
	}

/*
 * Has a draft a dimension of this name?
 */
	bool
				kpi_draft_has_dimension(Draft *draft, const char *name)
	{
		ColumnKind	kind = {draft, false};

					return has_column(name, &kind);
	}

/*
 * The column of a draft whose name differs from another one by upper and lower case
 * alone, or NULL.
 */
	static const char *similar_column(Draft *draft, const char *name)
	{
		ListCell   *lc;

					foreach(lc, draft->query->targetList)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, lc);

			if			(pg_strcasecmp(tle->resname, name) == 0)
				return tle->resname;
		}
					return NULL;
	}

/*
 * The dimension of a draft that a text names; "" is none.
 */
	char	   *kpi_resolve_draft_dimension(Draft *draft, const char *text, const char *argument, bool in_array)
	{
		ColumnKind	kind = {draft, false};
		char	   *name;

		if			(text[0] == '\0')
			return "";
					name = kpi_resolve_name(text, argument, in_array, has_column, &kind);
		if			(!has_column(name, &kind))
						ereport(ERROR,
								(errcode(ERRCODE_UNDEFINED_COLUMN),
								 errmsg("metric view %s has no dimension \"%s\"", draft->name, name),
								 find_column(draft, name) == NULL ? 0 : errdetail("That column is a measure."),
								 find_column(draft, name) != NULL || similar_column(draft, name) == NULL ? 0 :
								 errhint("Names are written as in SQL: write %s.",
										 kpi_name_as_argument(similar_column(draft, name)))));
					return name;
	}

/*
 * The dimension of a draft that is to be its row key; one that is not there yet is
 * added.
 */
	char	   *kpi_draft_row_key(Draft *draft, char *text)
	{
		ColumnKind	kind = {draft, false};
		char	   *name;

		if			(text == NULL || text[0] == '\0')
			return text;
					name = dimension_name(dimension_as_sql(draft, text));
		if			(name != NULL && has_column(name, &kind))
						return name;
		if			(has_column(text, &kind))
						return text;
					kpi_draft_dimensions(draft, list_make1(text));
					return llast_node(TargetEntry, draft->query->targetList)->resname;
	}

/*
 * The name of a column of a metric view that publishes a metric: the metric's
 * own name may be given for it, too.
 */
	const char *kpi_draft_measure(Draft *draft, const char *text)
	{
		ColumnKind	kind = {draft, true};
		char	   *alias;
		List	   *names;
		Oid			wanted;
		Oid			metric;
		ListCell   *lc;

		if			(has_column(text, &kind))
						return kpi_resolve_name(text, "drop_metrics", true, has_column, &kind);
					names = kpi_parse_alias(text, "metric", &alias);
		if			(list_length(names) == 1)
			return strVal(linitial(names));
					wanted = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
					foreach(lc, draft->query->targetList)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, lc);

			if			(kpi_is_marker((Node *) tle->expr, &metric) && metric == wanted)
				return tle->resname;
		}
					return text;
	}

/*
 * Put the columns of a draft in the order that the view which it is to replace has
 * them in, new ones last.  Does the view have to be made again: is one of its columns
 * gone, or of another type?
 */
	bool
				kpi_draft_replace(Draft *draft, Oid relid)
	{
		List	   *columns = NIL;
		bool		again = false;
		ListCell   *lc;
		int			resno = 0;

		for			(AttrNumber attnum = 1; get_attname(relid, attnum, true) != NULL; attnum++)
		{
			TargetEntry *tle = find_column(draft, get_attname(relid, attnum, false));
			Oid			type;
			int32		typmod;
			Oid			collation;

			if			(tle == NULL)
			{
				again = true;
				continue;
			}
						get_atttypetypmodcoll(relid, attnum, &type, &typmod, &collation);
						again |= exprType((Node *) tle->expr) != type ||
						exprTypmod((Node *) tle->expr) != typmod ||
						exprCollation((Node *) tle->expr) != collation;
						columns = lappend(columns, tle);
		}
					draft->query->targetList = list_concat_unique_ptr(columns, draft->query->targetList);
					foreach(lc, draft->query->targetList)
					lfirst_node(TargetEntry, lc)->resno = ++resno;
					draft->relid = relid;
					return again;
	}
/**INDENT** Error@631: Stuff missing from end of file */
