"""Events of OpenLineage, of views and of loads, against the published schemas, with the strictness that these lack.

Contract: in one transaction, rolled back, makes the company of openlineage.sql in the database that PGDATABASE names.
Every event must follow the schema of events, and every facet its own, out of test/data/openlineage; nothing is looked
up elsewhere. The published schemas let unknown names pass, so each is also applied in a form that does not. A fault
that no schema can tell, such as lineage from a field that no input has, is looked for here. Every kind of check is seen
to refuse an event that was broken for it.
"""
import copy
import datetime
import glob
import json
import os
import re
import uuid
import warnings

import psycopg2

from tap import Tap

warnings.simplefilter("ignore", DeprecationWarning)
from jsonschema import Draft202012Validator, FormatChecker, RefResolver  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMAS = os.path.join(HERE, "..", "data", "openlineage", "*.json")
EVENTS = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
SUBTYPES = {
    "DIRECT": {"IDENTITY", "TRANSFORMATION", "AGGREGATION"},
    "INDIRECT": {"JOIN", "GROUP_BY", "FILTER", "SORT", "WINDOW", "CONDITIONAL"},
}

formats = FormatChecker(formats=())


@formats.checks("uri")
def is_uri(value):
    return bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[!#$&-;=?-Z_a-z~@/\[\]%]+", value))


@formats.checks("uuid", raises=ValueError)
def is_uuid(value):
    return str(uuid.UUID(value)) == value


@formats.checks("date-time", raises=ValueError)
def is_date_time(value):
    return re.match(r"\d{4}-\d\d-\d\dT", value) and datetime.datetime.fromisoformat(value).tzinfo is not None


def closed(schema):
    """A schema that refuses the names that the published one would let pass."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    if result.get("additionalProperties") is True:
        del result["additionalProperties"]
    if "properties" in result and "allOf" not in result:
        result.setdefault("additionalProperties", False)
    if "allOf" in result:
        for part in result["allOf"]:
            part.pop("additionalProperties", None)
        result["unevaluatedProperties"] = False
    return result


def closed_file(schema):
    """The same for a file: what is there to be extended stays open, so that its extension may close it."""
    result = closed(schema)
    for name, definition in result["$defs"].items():
        if name.startswith("Base") or name in ("Dataset", "RunFacet", "JobFacet", "DatasetFacet", "OutputDatasetFacet",
                                               "InputDatasetFacet"):
            definition.pop("additionalProperties", None)
            definition.pop("unevaluatedProperties", None)
            for part in definition.get("allOf", ()):
                part.pop("additionalProperties", None)
    return result


def refuse(uri):
    raise LookupError(f"{uri} is not among the test data")


def load():
    """The schemas by their $id."""
    schemas = {}
    for path in glob.glob(SCHEMAS):
        with open(path, encoding="utf-8") as file:
            schema = json.load(file)
        schemas[schema["$id"]] = schema
    return schemas


class Schemas:
    """A set of schemas that refer to each other."""

    def __init__(self, schemas):
        handlers = {scheme: refuse for scheme in ("http", "https")}
        self.resolver = RefResolver("", {}, store=schemas, handlers=handlers)

    def faults(self, url, instance):
        validator = Draft202012Validator({"$ref": url}, resolver=self.resolver, format_checker=formats)
        return [f"{url}: {error.json_path}: {error.message}" for error in validator.iter_errors(instance)]


published = load()
AS_PUBLISHED = Schemas(published)
CLOSED = Schemas({url: closed_file(schema) for url, schema in published.items()})


def facet_faults(place, key, facet):
    """A facet by the schema that it names, which must be one for its key and its place."""
    url = facet.get("_schemaURL", "")
    schema = published.get(url.split("#")[0])
    if schema is None:
        return [f"{key}: no schema {url}"]
    if schema["properties"].get(key, {}).get("$ref") != "#" + url.partition("#")[2]:
        return [f"{key}: {url} is not about it"]
    definition = schema["$defs"][url.rpartition("/")[2]]
    if definition["allOf"][0]["$ref"] != f"{EVENTS}#/$defs/{place}":
        return [f"{key}: {url} does not belong here"]
    return AS_PUBLISHED.faults(url, facet) + CLOSED.faults(url, facet)


def known_fields(dataset):
    return {field["name"] for field in dataset.get("facets", {}).get("schema", {}).get("fields", ())}


def lineage_faults(event):
    """Column lineage comes from fields that an input has, to fields that the output has, in known words."""
    fields = {(item["namespace"], item["name"]): known_fields(item) for item in event["inputs"] + event["outputs"]}
    for output in event["outputs"]:
        lineage = output.get("facets", {}).get("columnLineage", {"fields": {}})
        for name in set(lineage["fields"]) - known_fields(output):
            yield f"{output['name']} has no field {name}"
        sources = [item for field in lineage["fields"].values() for item in field["inputFields"]]
        for item in sources + lineage.get("dataset", []):
            if item["field"] not in fields.get((item["namespace"], item["name"]), ()):
                yield f"no input {item['name']} with field {item['field']}"
            for way in item["transformations"]:
                if way.get("subtype") not in SUBTYPES.get(way["type"], ()):
                    yield f"{way['type']} and {way.get('subtype')} are not known together"


def places_of(event):
    """Where an event has facets: the base that these extend, and the facets by key."""
    yield "JobFacet", event["job"].get("facets", {})
    for item in event["inputs"] + event["outputs"]:
        yield "DatasetFacet", item.get("facets", {})
        yield "OutputDatasetFacet", item.get("outputFacets", {})


def faults(event, kind="JobEvent"):
    """All that is wrong with an event."""
    url = f"{EVENTS}#/$defs/{kind}"
    found = AS_PUBLISHED.faults(EVENTS, event) + AS_PUBLISHED.faults(url, event) + CLOSED.faults(url, event)
    if event.get("schemaURL") != url:
        found.append(f"schemaURL is {event.get('schemaURL')}")
    if not found:
        found = [fault for place, facets in places_of(event) for key, facet in facets.items()
                 for fault in facet_faults(place, key, facet)]
    return found or list(lineage_faults(event))


# What is done to a good event, as a path and what happens to what stands there.
def gone(parent, key):
    del parent[key]


def becomes(value):
    def change(parent, key):
        parent[key] = value
    return change


def facet_url(facet):
    return f"https://openlineage.io/spec/facets/{facet}.json#/$defs/{facet.partition('/')[2]}"


OUT = ("outputs", 0, "facets")
FIELD = OUT + ("columnLineage", "fields", "net_revenue", "inputFields", 0)
BROKEN = [
    (("eventTime",), gone),
    (("eventTime",), becomes("yesterday")),
    (("eventTime",), becomes("2026-01-01T00:00:00")),
    (("producer",), gone),
    (("producer",), becomes("no uri")),
    (("schemaURL",), gone),
    (("schemaURL",), becomes(EVENTS + "#/$defs/RunEvent")),
    (("run",), becomes({"runId": "x"})),
    (("dataset",), becomes({"namespace": "n", "name": "d"})),
    (("Job",), becomes({})),
    (("job",), gone),
    (("job", "name"), gone),
    (("job", "namespace"), gone),
    (("job", "name"), becomes(None)),
    (("job", "title"), becomes("x")),
    (("inputs",), becomes({})),
    (("inputs", 0, "name"), gone),
    (("inputs", 0, "namespace"), becomes(7)),
    (("inputs", 0, "facets", "schema", "_producer"), gone),
    (("inputs", 0, "facets"), gone),
    (("outputs", 0, "namespace"), gone),
    (("outputs", 0, "outputfacets"), becomes({})),
    (("job", "facets", "sql", "_schemaURL"), gone),
    (("job", "facets", "sql", "query"), gone),
    (("job", "facets", "sql", "querry"), becomes("x")),
    (("job", "facets", "jobType", "integration"), gone),
    (("job", "facets", "jobType", "processingType"), becomes(1)),
    (("job", "facets", "ownership", "owners"), becomes([{}])),
    (("job", "facets", "documentation", "description"), gone),
    (("job", "facets", "documentation", "contenttype"), becomes("x")),
    (OUT + ("documentation", "description"), becomes(None)),
    (OUT + ("version", "datasetVersion"), gone),
    (OUT + ("datasetType", "datasetType"), gone),
    (OUT + ("datasetType", "subtype"), becomes("x")),
    (OUT + ("ownership", "owners", 0, "name"), gone),
    (OUT + ("ownership", "owners", 0, "kind"), becomes("x")),
    (OUT + ("schema", "fields", 0, "name"), gone),
    (OUT + ("schema", "fields", 0, "description"), becomes(None)),
    (OUT + ("schema", "fields", 0, "ordinal_position"), becomes("1")),
    (OUT + ("schema", "fields", 0, "comment"), becomes("x")),
    (OUT + ("columnLineage", "fields"), gone),
    (OUT + ("columnLineage", "Dataset"), becomes([])),
    (OUT + ("columnLineage", "fields", "no such field"), becomes({"inputFields": []})),
    (OUT + ("columnLineage", "dataset"), becomes([{"namespace": "n", "name": "d"}])),
    (OUT + ("columnLineage", "dataset", 0, "field"), becomes("no such field")),
    (FIELD + ("field",), gone),
    (FIELD + ("field",), becomes("no such field")),
    (FIELD + ("name",), becomes("no.such.input")),
    (FIELD + ("transformations", 0, "type"), gone),
    (FIELD + ("transformations", 0, "type"), becomes("INDIRECT")),
    (FIELD + ("transformations", 0, "subtype"), becomes("SUM")),
    (FIELD + ("transformations", 0, "masking"), becomes("false")),
    (FIELD + ("transformations", 0, "sql"), becomes("x")),
    (FIELD + ("transformation",), becomes([])),
    (OUT + ("schema", "_schemaURL"), becomes(facet_url("9-9-9/SchemaDatasetFacet"))),
    (("job", "facets", "ownership", "_schemaURL"), becomes(facet_url("1-0-1/OwnershipDatasetFacet"))),
    (OUT + ("version", "_schemaURL"), becomes(facet_url("1-0-1/DatasetTypeDatasetFacet"))),
]
STATISTICS = ("outputs", 0, "outputFacets", "outputStatistics")
BROKEN_RUNS = [
    (("run",), gone),
    (("run", "runId"), gone),
    (("run", "runId"), becomes("7")),
    (("run", "id"), becomes("7")),
    (("eventType",), becomes("DONE")),
    (("eventTime",), gone),
    (("job",), gone),
    (("type",), becomes("x")),
    (STATISTICS + ("rowCount",), becomes("3")),
    (STATISTICS + ("rows",), becomes(3)),
    (STATISTICS + ("_schemaURL",), gone),
    (("outputs", 0, "facets"), becomes({"outputStatistics": {}})),
    (("job", "facets", "jobType", "_producer"), gone),
]


def unnoticed(event, changes, kind="JobEvent"):
    """The changes that make an event bad and are not found out."""
    return ["/".join(map(str, path)) for path, change in changes if not faults(broken(event, path, change), kind)]


def broken(event, path, change):
    event = copy.deepcopy(event)
    parent = event
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return event


tap = Tap("openlineage")
db = psycopg2.connect("")
cursor = db.cursor()


def fetch(sql, parameters=None):
    cursor.execute(sql, parameters)
    return [row[0] for row in cursor.fetchall()]


def events(object_name=None, namespace=None):
    return fetch("SELECT kpi.openlineage_events(%s, %s)", (object_name, namespace))


with open(os.path.join(HERE, "openlineage.sql"), encoding="utf-8") as script:
    cursor.execute(script.read())
everything = events()
jobs = {event["job"]["name"]: event for event in everything}
prefix = fetch("SELECT current_database() || '.'")[0]
revenue = jobs[prefix + "bi.net_revenue"]

wrong = [f"{event['job']['name']}: {fault}" for event in everything for fault in faults(event)]
tap.ok(everything and not wrong, f"{len(everything)} events and their facets follow the schemas (L6)", *wrong[:20])

missed = unnoticed(revenue, BROKEN)
tap.ok(not missed, f"each of {len(BROKEN)} broken events is refused", *missed)

want = fetch("""
    SELECT concat_ws('.', current_database(), nspname, relname)
      FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
     WHERE nspname IN ('shop', 'bi', %s) AND relkind IN ('v', 'm')""", ('o\'dd "部门".x',))
got = [name for name in jobs if "(" not in name
       and name[len(prefix):].startswith(("shop.", "bi.", 'o\'dd "部门".x.'))]
tap.same("every view of the company is a job", sorted(got), sorted(want))
tap.same("each once", len(jobs), len(everything))

fields = revenue["outputs"][0]["facets"]["columnLineage"]["fields"]
sources = {item["field"]: {(way["type"], way["subtype"]) for way in item["transformations"]}
           for item in fields["net_revenue"]["inputFields"]}
summed = {name for name, ways in sources.items() if ("DIRECT", "AGGREGATION") in ways}
tap.same("a metric's value comes from what it sums", summed, {"amount", "refund"})
tap.same("a metric says what it means", revenue["outputs"][0]["facets"]["schema"]["fields"],
         [{"name": "net_revenue", "type": "numeric", "ordinal_position": 1,
           "description": "Net revenue (CNY)\nSales after refunds"}])
stores = next(item for item in jobs[prefix + "shop.sales"]["inputs"] if item["name"] == prefix + "shop.stores")
tap.same("a comment survives", stores["facets"]["documentation"]["description"],
         'stores; "first" line\nsecond line \\ <script>alert(1)</script> \x1b[31mred\x1b[0m 门店')
names = {event["job"]["name"] for event in events('bi."净 ""收入"".m"')}
tap.same("one object: what it comes from, itself included", names,
         {prefix + name for name in ('bi.净 "收入".m', "shop.over_odd", "o'dd \"部门\".x.汇总 'v'")})
tap.same("a namespace of one's own", {item["namespace"] for event in events("bi.lines", "warehouse") for item in
         [event["job"]] + event["inputs"] + event["outputs"]}, {"warehouse"})

cursor.execute("""
    SELECT kpi.track('shop.stores', 'opened');
    INSERT INTO shop.stores SELECT i, 'store ' || i, 'East', '2026-01-01' FROM generate_series(1, 3) i;
    UPDATE shop.stores SET region = 'West' WHERE store_id > 1;
    TRUNCATE shop.stores""")
runs = fetch("SELECT kpi.openlineage_loads('bi.net_revenue')")
wrong = [fault for event in runs for fault in faults(event, "RunEvent")]
tap.ok(runs and not wrong, "events of loads and their facets follow the schemas (L6)", *wrong)
missed = unnoticed(runs[0], BROKEN_RUNS, "RunEvent")
tap.ok(not missed, f"each of {len(BROKEN_RUNS)} broken events of loads is refused", *missed)
tap.same("loads are runs of jobs that make the table",
         [(run["job"]["name"][len(prefix):], run["outputs"][0]["name"][len(prefix):],
           run["outputs"][0]["outputFacets"].get("outputStatistics", {}).get("rowCount")) for run in runs],
         [("shop.stores.INSERT", "shop.stores", 3), ("shop.stores.UPDATE", "shop.stores", 2),
          ("shop.stores.TRUNCATE", "shop.stores", None)])
again = fetch("SELECT kpi.openlineage_loads('shop.stores')")
tap.same("a load is the same run whenever it is asked for, and no other",
         len({run["run"]["runId"] for run in runs + again}), 3)
tap.same("loads since", fetch("SELECT kpi.openlineage_loads('shop.sales', 'infinity')"), [])

seen = {facet["_schemaURL"].partition("#")[0] for event in everything + runs for _, facets in places_of(event)
        for facet in facets.values()}
tap.ok(seen | {EVENTS} == set(published), "every schema was asked", set(published) - seen)

db.rollback()
tap.done()
