"""The chart of rules and dashboards: what it installs is what is generated, and is found by who looks for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.kit import Object, objects, of_kind
from tools.charts.helm import CHARTS, SERVICES, WATCH, complete_charts, template
from tools.charts.watched import copies
from tools.watch.__main__ import DASHBOARDS, RULES

SETS = ("default", "production")
CONFIG_MAP_BYTES_MAX = 1024 * 1024


@pytest.fixture(scope="module")
def chart() -> Iterator[Path]:
    with complete_charts() as folder:
        yield folder / WATCH


def data_of(name: str) -> dict[str, str]:
    """File name -> text, over all ConfigMaps."""
    return {file: text for one in of_kind(name, WATCH, "ConfigMap") for file, text in one["data"].items()}


def test_the_chart_has_the_generated_files_and_no_others() -> None:
    there = {
        path.relative_to(CHARTS / WATCH).as_posix(): path.read_text(encoding="utf-8")
        for folder in ("dashboards", "rules")
        for path in (CHARTS / WATCH / folder).iterdir()
    }
    assert there == copies(), "run `python -m tools.charts`"
    assert {name.partition("/")[0] for name in there} == {"dashboards", "rules"}


@pytest.mark.parametrize("name", SETS)
def test_dashboards_are_those_that_are_generated(name: str) -> None:
    assert data_of(name) == {path.name: path.read_text(encoding="utf-8") for path in DASHBOARDS.iterdir()}
    for one in of_kind(name, WATCH, "ConfigMap"):
        (text,) = one["data"].values()
        assert one["metadata"]["name"] == f"chapar-watch-{json.loads(text)['uid'].removeprefix('chapar-')}"


@pytest.mark.parametrize("name", SETS)
def test_rules_are_those_that_are_generated(name: str) -> None:
    made = {one["metadata"]["name"]: one["spec"] for one in of_kind(name, WATCH, "PrometheusRule")}
    assert made == {f"chapar-watch-{path.stem}": yaml.safe_load(path.read_text()) for path in RULES.iterdir()}


def test_config_maps_are_as_small_as_they_have_to_be() -> None:
    sizes = [len(text.encode()) for text in data_of("default").values()]
    assert len(sizes) == len(list(DASHBOARDS.iterdir()))
    assert max(sizes) < CONFIG_MAP_BYTES_MAX


def labelled(name: str, kind: str, label: str) -> set[str]:
    """What objects of a kind say under a label."""
    return {one["metadata"]["labels"].get(label, "") for one in of_kind(name, WATCH, kind)}


def test_sidecars_and_operators_find_them() -> None:
    assert labelled("default", "ConfigMap", "grafana_dashboard") == {"1"}
    assert labelled("production", "ConfigMap", "grafana") == {"observability"}
    assert labelled("default", "PrometheusRule", "prometheus") == {""}
    (monitors,) = {
        one["metadata"]["labels"]["prometheus"]
        for service in SERVICES
        for one in of_kind("production", service, "ServiceMonitor")
    }
    assert labelled("production", "PrometheusRule", "prometheus") == {monitors}
    for name, folder in (("default", "Chapar"), ("production", "Messenger")):
        told = {one["metadata"]["annotations"]["grafana_folder"] for one in of_kind(name, WATCH, "ConfigMap")}
        assert told == {folder}


def test_rules_know_jobs_by_the_names_that_monitors_give_them() -> None:
    (absent,) = (
        rule["expr"]
        for one in of_kind("default", WATCH, "PrometheusRule")
        for group in one["spec"]["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "ChaparServiceAbsent"
    )
    for service in SERVICES:
        (monitor,) = of_kind("production", service, "ServiceMonitor")
        (metrics,) = (
            one
            for one in of_kind("production", service, "Service")
            if monitor["spec"]["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items()
        )
        job = metrics["metadata"]["labels"][monitor["spec"]["jobLabel"]]
        assert f'absent(up{{job="{job}"}})' in absent


@pytest.mark.charts
def test_each_of_the_two_can_be_switched_off(chart: Path, tmp_path: Path) -> None:
    assert kinds_with(chart, tmp_path, {"rules": {"enabled": False}}) == {"ConfigMap"}
    assert kinds_with(chart, tmp_path, {"dashboards": {"enabled": False}}) == {"PrometheusRule"}


def kinds_with(chart: Path, folder: Path, values: Any) -> set[str]:
    """What the chart makes with some values."""
    file = folder / "values.yaml"
    file.write_text(json.dumps(values))
    made: list[Object] = [one for one in yaml.safe_load_all(template(chart, "chapar-watch", [file])) if one]
    return {one["kind"] for one in made}


def test_nothing_else_is_made() -> None:
    for name in SETS:
        assert {one["kind"] for one in objects(name, WATCH)} == {"ConfigMap", "PrometheusRule"}
