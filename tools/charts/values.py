"""Makes a chart's values.yaml, values.schema.json and README.md of the sources in `deploy/helm/values`."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from tools.charts.helm import CHARTS, INSTALLED, SERVICES, UMBRELLA

SOURCES = CHARTS / "values"
MADE = "# Made by `python -m tools.charts` of deploy/helm/values; never edited.\n"
SCHEMA = "http://json-schema.org/draft-07/schema#"
PEERS = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {name: {"type": "object"} for name in ("ipBlock", "namespaceSelector", "podSelector")},
    },
}
"""Whom a rule of a policy lets through. An empty list would be everybody, to Kubernetes."""
LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
SHARED = {"peers": PEERS, "anybodyOrNobody": {**PEERS, "minItems": 0}, "labels": LABELS}
SPECIAL: Mapping[str, Mapping[str, str]] = {
    "QUERY": {
        "gateway": "sum(chapar_subscriptions_open)",
        "": 'sum(chapar_rpc_running{job="chapar-SERVICE"})',
    },
    "THRESHOLD": {"gateway": "6000", "": "200"},
    "PRESTOP": {"gateway": "5", "": "0"},
}
"""Defaults that differ between services, by what stands for them in the sources; "" is for all others."""


class Leaf(NamedTuple):
    """One value that an operator can set."""

    path: tuple[str, ...]
    schema: Mapping[str, Any]


def source_of(chart: str) -> dict[str, Any]:
    """The properties of a chart's values, by name: what all services have, then what is the chart's own."""
    shared = ("service", "owner") if chart in SERVICES else ()
    parts = [*(shared[:1] if chart == "gateway" else shared), chart]
    merged: dict[str, Any] = {}
    for file in (SOURCES / f"{part}.yaml" for part in parts):
        if file.exists():
            _merge(merged, yaml.safe_load(file.read_text()))
    named: dict[str, Any] = _named(merged, chart)
    return named


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = copy.deepcopy(value)


def _named(value: Any, service: str) -> Any:
    """The same with the service's name and its own defaults in place."""
    if isinstance(value, dict):
        return {name: _named(inner, service) for name, inner in value.items()}
    if isinstance(value, list):
        return [_named(inner, service) for inner in value]
    if isinstance(value, str) and value in SPECIAL:
        found = SPECIAL[value].get(service, SPECIAL[value][""]).replace("SERVICE", service)
        return int(found) if value == "PRESTOP" else found
    return value.replace("SERVICE", service) if isinstance(value, str) else value


def leaves(properties: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """All values with a default, in order."""
    for name, schema in properties.items():
        if "default" in schema:
            yield Leaf((*above, name), schema)
        else:
            yield from leaves(schema["properties"], (*above, name))


def defaults(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The values that hold where nobody says otherwise."""
    return {
        name: schema["default"] if "default" in schema else defaults(schema["properties"])
        for name, schema in properties.items()
    }


def schema_of(chart: str) -> dict[str, Any]:
    """The JSON Schema of a chart's values: unknown keys are refused at every level that is ours."""
    properties = {name: _strict(schema) for name, schema in source_of(chart).items()}
    # Helm itself adds these two to the values of a chart with a library.
    properties |= {"global": {"type": "object"}, "chapar-library": {"type": "object"}}
    return {
        "$schema": SCHEMA,
        "title": f"Values of chapar-{chart}",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "definitions": SHARED,
    }


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in schema.items() if name != "$ref"}
    if "$ref" in schema:
        # Draft 7 reads nothing beside a reference.
        return {**kept, "allOf": [{"$ref": f"#/definitions/{schema['$ref']}"}]}
    if "properties" in schema:
        kept["properties"] = {name: _strict(inner) for name, inner in schema["properties"].items()}
        kept["additionalProperties"] = False
    return kept


def values_text(chart: str) -> str:
    """values.yaml, each value under its description."""
    return MADE + "\n".join(_lines(source_of(chart), "")) + "\n"


def _lines(properties: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, schema in properties.items():
        yield f"{indent}# {schema['description']}"
        if "default" in schema:
            yield f"{indent}{name}: {json.dumps(schema['default'], ensure_ascii=False)}"
        else:
            yield f"{indent}{name}:"
            yield from _lines(schema["properties"], indent + "  ")


def readme_text(chart: str) -> str:
    """README.md: what the chart makes, and a table of its values."""
    about = yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text())
    rows = [
        f"| `{'.'.join(leaf.path)}` | `{_shown(leaf.schema['default'])}` | {leaf.schema['description']} |"
        for leaf in leaves(source_of(chart))
    ]
    head = [
        f"# {about['name']}",
        "",
        f"{about['description']} How it is installed: [deploy/helm](../README.md).",
        "",
        *(_needs(chart) if chart in SERVICES else ()),
        "| value | default | what |",
        "|---|---|---|",
    ]
    return "<!-- Made by `python -m tools.charts`; never edited. -->\n" + "\n".join([*head, *rows]) + "\n"


def _needs(service: str) -> Iterator[str]:
    facts = yaml.safe_load((CHARTS / service / "facts.yaml").read_text())
    yield "Secret files: " + ", ".join(f"`{file}`" for file in facts["secrets"]) + "."
    yield "Kafka topics that it writes: " + (", ".join(f"`{one['name']}`" for one in facts["topics"]) or "none") + "."
    yield "Topics of others that it reads: " + (", ".join(f"`{one}`" for one in facts["reads"]) or "none") + "."
    yield ""


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("|", "\\|")


def umbrella_schema() -> dict[str, Any]:
    """The umbrella takes the values of the five, each checked by its own chart, and nothing else."""
    properties = {f"chapar-{service}": {"type": "object"} for service in SERVICES}
    return {
        "$schema": SCHEMA,
        "title": f"Values of {UMBRELLA}",
        "type": "object",
        "additionalProperties": False,
        "properties": {**properties, "global": {"type": "object"}},
    }


def made() -> dict[str, str]:
    """All files that are made of the sources: path below `deploy/helm` -> text."""
    files = {f"{UMBRELLA}/values.schema.json": _json(umbrella_schema())}
    for chart in INSTALLED:
        files[f"{chart}/values.yaml"] = values_text(chart)
        files[f"{chart}/values.schema.json"] = _json(schema_of(chart))
        files[f"{chart}/README.md"] = readme_text(chart)
    return files


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
