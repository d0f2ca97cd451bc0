"""Values: unknown ones are refused, each known one changes something, and defaults are those that are written."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tools.charts.helm import CHARTS, INSTALLED, WATCH, HelmFailed, complete_charts, run, template
from tools.charts.render import RENDERINGS, values_files
from tools.charts.values import defaults, leaves, made, schema_of, source_of

pytestmark = pytest.mark.charts
OTHERS: Mapping[str, Any] = {
    "autoscaling.prometheus.threshold": "123",
    "image.digest": "sha256:" + 64 * "9",
    "kafka.brokers": "other:1234",
    "mongo.database": "other",
    "mongo.uri": "mongodb://other:1234/",
    "networkPolicy.operators": [{"ipBlock": {"cidr": "203.0.113.0/24"}}],
    "otlp.address": "other:1234",
    "pod.tolerations": [{"key": "other"}],
    "publicTls.certManager.dnsNames": ["other.example"],
    "resources.limits.cpu": "7",
    "resources.limits.memory": "7Gi",
    "resources.requests.cpu": "7",
    "resources.requests.memory": "7Gi",
    "route.hostnames": ["other.example"],
    "route.parents": [{"name": "other"}],
    "secrets.external.refreshInterval": "7m",
    "secrets.inline": {"kafka.password": "another"},
    "settings.codeWebhookUrl": "https://other.example/codes",
    "settings.phoneRegions": "DE",
    "tls.certManager.duration": "7777h",
    "tls.certManager.renewBefore": "777h",
}
"""Another value where none can be made of the schema alone."""


@pytest.fixture(scope="module")
def charts() -> Iterator[Path]:
    with complete_charts() as folder:
        yield folder


def other_than(value: Any, path: str, schema: Mapping[str, Any]) -> Any:
    """A value that the schema takes and that is not this one."""
    if path in OTHERS:
        return OTHERS[path]
    reference = schema.get("$ref")
    if reference:
        return {"other": "label"} if reference == "labels" else [{"namespaceSelector": {"matchLabels": {"other": "x"}}}]
    if "enum" in schema:
        return next(choice for choice in schema["enum"] if choice != value)
    if schema["type"] == "boolean":
        return not value
    if schema["type"] == "integer":
        return value - 1 if value == schema["maximum"] else value + 1
    return ["other"] if schema["type"] == "array" else "http://other" if schema.get("format") == "uri" else "other"


def nested(path: tuple[str, ...], value: Any) -> Any:
    """The values file that sets one value."""
    for name in reversed(path):
        value = {name: value}
    return value


def found(values: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """The value at a path."""
    value: Any = values
    for name in path:
        value = value[name]
    return value


def values_of(name: str, chart: str) -> dict[str, Any]:
    """All values of a set, as helm merges its files over the defaults."""
    merged: dict[str, Any] = defaults(source_of(chart))
    for file in values_files(name, chart):
        _merge(merged, yaml.safe_load(file.read_text()))
    return merged


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


def rendered_with_each(chart: Path, scratch: Path, base: Mapping[str, Any], changes: Mapping[str, Any]) -> set[str]:
    """Names of the changes that change what is rendered. One call: the chart once for each, beside itself unchanged."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(chart, scratch / "charts" / chart.name)
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    # All of one length, so that they can be taken for one another.
    aliases = {f"c{number:03d}": name for number, name in enumerate(["", *changes])}
    dependencies = [{"name": about["name"], "version": about["version"], "alias": alias} for alias in aliases]
    head = {"apiVersion": "v2", "name": "scratch", "version": "0.0.0", "dependencies": dependencies}
    (scratch / "Chart.yaml").write_text(yaml.safe_dump(head))
    values: dict[str, Any] = {}
    for alias, name in aliases.items():
        values[alias] = copy.deepcopy(dict(base))
        _merge(values[alias], changes.get(name, {}))
    (scratch / "values.yaml").write_text(json.dumps(values))
    texts: dict[str, list[str]] = {alias: [] for alias in aliases}
    for document in ("\n" + template(scratch, "release").rstrip()).split("\n---\n")[1:]:
        alias = re.findall(r"# Source: scratch/charts/(c\d{3})/", document)[0]
        texts[alias].append(document.rstrip().replace(alias, "c___"))
    unchanged = sorted(texts["c000"])
    return {name for alias, name in aliases.items() if name and sorted(texts[alias]) != unchanged}


@pytest.mark.parametrize("chart", INSTALLED)
def test_each_value_changes_what_some_set_makes(chart: str, charts: Path, tmp_path: Path) -> None:
    """So the committed objects notice when any default, or any use of a value, changes."""
    wanted = {".".join(leaf.path): leaf for leaf in leaves(source_of(chart))}
    left = dict(wanted)
    for name in (name for name, one in RENDERINGS if one == chart):
        values = values_of(name, chart)
        changes = {
            path: nested(leaf.path, other_than(found(values, leaf.path), path, leaf.schema))
            for path, leaf in left.items()
        }
        allowed = {path: change for path, change in changes.items() if accepted(values, change)}
        changed = rendered_with_each(charts / chart, tmp_path / "scratch", values, allowed)
        left = {path: leaf for path, leaf in left.items() if path not in changed}
    assert left == {}


def accepted(given: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
    """Whether the templates take a change of a set's values: what they refuse is tested by itself."""
    values = copy.deepcopy(dict(given))
    _merge(values, change)
    if "secrets" not in values:
        return True
    secrets, scaling, public = values["secrets"], values["autoscaling"], values.get("publicTls", {})
    route = values.get("route", {"enabled": False})
    return not (
        ("none" in (values["tls"]["source"], public.get("source")) and not values["settings"]["development"])
        or (secrets["source"] == "external" and not secrets["external"]["store"])
        or (secrets["source"] == "inline" and not secrets["inline"])
        or (public.get("source") == "certManager" and not public["certManager"]["dnsNames"])
        or (route["enabled"] and not (route["parents"] and route["hostnames"]))
        or scaling["min"] > scaling["max"]
    )


@pytest.mark.parametrize("chart", INSTALLED)
def test_values_that_nobody_knows_are_refused_at_every_level(chart: str) -> None:
    schema = schema_of(chart)
    jsonschema.Draft7Validator.check_schema(schema)
    good = defaults(source_of(chart))
    jsonschema.Draft7Validator(schema).validate(good)
    levels = {leaf.path[:depth] for leaf in leaves(source_of(chart)) for depth in range(len(leaf.path))}
    assert len(levels) > (2 if chart == WATCH else 20)
    for level in levels:
        wrong = copy.deepcopy(good)
        inner = wrong
        for name in level:
            inner = inner[name]
        inner["unheardOf"] = 1
        assert not jsonschema.Draft7Validator(schema).is_valid(wrong), level


@pytest.mark.parametrize("chart", INSTALLED)
def test_values_of_another_type_are_refused(chart: str) -> None:
    schema, good = jsonschema.Draft7Validator(schema_of(chart)), defaults(source_of(chart))
    for leaf in leaves(source_of(chart)):
        wrong = copy.deepcopy(good)
        _merge(wrong, nested(leaf.path, 1.5 if leaf.schema["default"] is not None else {}))
        assert not schema.is_valid(wrong), leaf.path


@pytest.mark.parametrize("chart", INSTALLED)
def test_written_defaults_are_the_defaults(chart: str) -> None:
    assert yaml.safe_load((CHARTS / chart / "values.yaml").read_text()) == defaults(source_of(chart))


def test_what_is_generated_is_committed() -> None:
    for name, text in made().items():
        assert (CHARTS / name).read_text() == text, f"{name}: run `python -m tools.charts`"


REFUSED = {
    "an unknown key": ({"unheardOf": 1}, "unheardOf"),
    "an unknown setting": ({"settings": {"unheardOf": 1}}, "unheardOf"),
    "a policy's empty list, which is everybody": ({"networkPolicy": {"prometheus": []}}, "minItems"),
    "a Secret that Strimzi writes": (
        {"strimzi": {"user": True}, "secrets": {"secretName": "chapar-gateway"}},
        "secretName must not be kafka.user",
    ),
    "no TLS between processes": ({"tls": {"source": "none"}}, "tls.source none is for settings.development only"),
    "no TLS for clients": ({"publicTls": {"source": "none"}}, "publicTls.source none is for settings.development only"),
    "fewer at most than at least": ({"autoscaling": {"min": 9}}, "autoscaling.min must not be more"),
    "inline secrets that lack one": ({"secrets": {"source": "inline"}}, "secrets.inline must have"),
    "a vault without a name": ({"secrets": {"source": "external"}}, "secrets.external.store must name a store"),
    "a route from nowhere": ({"route": {"enabled": True}}, "route.parents must name a Gateway"),
    "a certificate for nobody": ({"publicTls": {"source": "certManager"}}, "publicTls.certManager.dnsNames must name"),
    "a password in an address": ({"kafka": {"brokers": "user:password@host"}}, "kafka"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_helm_refuses(what: str, charts: Path, tmp_path: Path) -> None:
    values, reason = REFUSED[what]
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(values))
    with pytest.raises(HelmFailed, match=re.escape(reason)):
        template(charts / "gateway", "chapar-gateway", [file])


def test_the_umbrella_refuses_what_it_does_not_know(charts: Path, tmp_path: Path) -> None:
    refused: list[Mapping[str, Any]] = [{"unheardOf": {}}, {"chapar-messaging": {"unheardOf": 1}}]
    for values in refused:
        file = tmp_path / "values.yaml"
        file.write_text(json.dumps(values))
        with pytest.raises(HelmFailed, match="unheardOf"):
            template(charts / "chapar", "dev", [file])


def test_an_upgrade_of_one_service_changes_no_object_of_another(charts: Path, tmp_path: Path) -> None:
    """Also where all five are one release."""
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps({"chapar-messaging": {"image": {"tag": "0.2.0"}, "replicas": 3}}))
    before, after = (set(template(charts / "chapar", "dev", values).split("\n---\n")) for values in ([], [file]))
    changed = {re.findall(r"# Source: chapar/charts/([a-z-]+)/", document)[0] for document in before ^ after}
    assert changed == {"chapar-messaging"}


def test_charts_are_without_blame(charts: Path) -> None:
    said = run("lint", "--strict", *(str(charts / chart) for chart in (*INSTALLED, "chapar")))
    assert "7 chart(s) linted, 0 chart(s) failed" in said
