"""deploy/compose: what watches the services is told of the files that there are, and of each other.

Grafana and the collector cannot be had here: their configuration is compared with what it names, and was never run.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.deploy.compose import FOLDER, composition, environment_of
from tools.charts.helm import SERVICES
from tools.debian import program
from tools.watch.__main__ import DASHBOARDS, RULES
from tools.watch.panels import SOURCE

WATCHING = ("prometheus", "grafana", "collector")


def read(name: str) -> Mapping[str, Any]:
    """A file of the folder."""
    found: Mapping[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


def mounted(service: str) -> dict[str, Path]:
    """Where a container finds files of this repository -> what they are here."""
    binds = [one.split(":") for one in composition()["services"][service]["volumes"] if one.startswith(".")]
    assert all(how == "ro" for _, _, how in binds)
    return {inside: (FOLDER / outside).resolve() for outside, inside, _ in binds}


def listener(service: str) -> str:
    """Where a container answers."""
    one = composition()["services"][service]
    if service == "prometheus":
        (address,) = (word for word in one["command"] if word.startswith("--web.listen-address="))
        return str(address).partition("=")[2]
    if service == "grafana":
        return f"{one['environment']['GF_SERVER_HTTP_ADDR']}:{one['environment']['GF_SERVER_HTTP_PORT']}"
    return str(read("collector.yaml")["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"])


@pytest.mark.parametrize("service", WATCHING)
def test_what_is_mounted_is_there_and_images_are_of_a_version(service: str) -> None:
    assert all(path.exists() for path in mounted(service).values())
    tag = composition()["services"][service]["image"].rpartition(":")[2]
    assert tag[0] in "v0123456789"
    assert tag.count(".") == 2


def test_all_answer_on_loopback_and_nobody_where_a_process_does() -> None:
    found = [listener(service) for service in WATCHING]
    processes = {value for one in SERVICES for name, value in environment_of(one).items() if name.endswith("_LISTEN")}
    assert len({*found, *processes}) == len(found) + len(processes)
    assert all(address.startswith("127.0.0.1:") for address in found)


def test_every_process_sends_its_traces_where_they_are_collected() -> None:
    assert {environment_of(service).get("CHAPAR_OTLP") for service in SERVICES} == {listener("collector")}


def test_prometheus_reads_the_rules() -> None:
    files = mounted("prometheus")
    (pattern,) = read("prometheus.yml")["rule_files"]
    assert files[str(Path(pattern).parent)] == RULES
    assert {*RULES.glob(Path(pattern).name)} == {*RULES.iterdir()}
    assert "--config.file=/etc/prometheus/prometheus.yml" in composition()["services"]["prometheus"]["command"]
    assert files["/etc/prometheus/prometheus.yml"] == FOLDER / "prometheus.yml"


@pytest.mark.watch
def test_prometheus_takes_its_file_with_the_rules(tmp_path: Path) -> None:
    """Where the rules are here: what promtool cannot find it does not complain of."""
    text = (FOLDER / "prometheus.yml").read_text()
    file = tmp_path / "prometheus.yml"
    command = (program("promtool"), "check", "config", str(file))
    for folder, good in ((RULES, True), (FOLDER, False)):
        file.write_text(text.replace("/etc/prometheus/rules", str(folder)))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is good, done.stdout + done.stderr


def test_grafana_shows_the_dashboards() -> None:
    files = mounted("grafana")
    (provider,) = read("grafana/dashboards.yaml")["providers"]
    assert provider["type"] == "file"
    assert files[provider["options"]["path"]] == DASHBOARDS
    assert files["/etc/grafana/provisioning/dashboards/chapar.yaml"] == FOLDER / "grafana" / "dashboards.yaml"
    home = Path(composition()["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (files[str(home.parent)] / home.name).exists()


def test_dashboards_find_prometheus() -> None:
    """Each has a variable for the source of its data, which is the default one of its kind until somebody chooses."""
    (source,) = read("grafana/datasources.yaml")["datasources"]
    assert source["isDefault"] is True
    assert urlsplit(source["url"]).netloc == listener("prometheus")
    assert mounted("grafana")["/etc/grafana/provisioning/datasources/chapar.yaml"].name == "datasources.yaml"
    for path in DASHBOARDS.iterdir():
        variables = {one["name"]: one for one in json.loads(path.read_text())["templating"]["list"]}
        assert (variables[SOURCE]["type"], variables[SOURCE]["query"]) == ("datasource", source["type"])


def test_nobody_can_sign_in_to_grafana_with_a_password_that_everybody_knows() -> None:
    told = composition()["services"]["grafana"]["environment"]
    assert told["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert (told["GF_AUTH_ANONYMOUS_ENABLED"], told["GF_AUTH_ANONYMOUS_ORG_ROLE"]) == ("true", "Viewer")


def test_the_collector_uses_what_it_has_and_has_what_it_uses() -> None:
    told = read("collector.yaml")
    assert told.keys() == {"receivers", "exporters", "service"}
    (pipeline,) = told["service"]["pipelines"].values()
    assert pipeline.keys() == {"receivers", "exporters"}
    for kind, used in pipeline.items():
        assert {*used} == told[kind].keys()
    (option,) = composition()["services"]["collector"]["command"]
    assert mounted("collector") == {option.removeprefix("--config="): FOLDER / "collector.yaml"}
