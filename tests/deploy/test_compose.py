"""deploy/compose: what its schema takes, what processes take, what belongs together."""

from __future__ import annotations

import json
import math
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from tests.deploy.compose import FOLDER, composition, environment_of
from tests.deploy.kit import OWNERS, facts
from tests.deploy.test_settings import settings_of
from tools.charts.helm import ROOT, SERVICES
from tools.go_files import Source, folder_with

SCHEMA = Source("github.com/compose-spec/compose-go/v2", "v2.16.2", ("schema/compose-spec.json",))


@pytest.mark.charts
def test_the_file_is_what_its_schema_takes() -> None:
    schema = json.loads((folder_with("compose-schema", [SCHEMA]) / "compose-spec.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(composition())
    assert not validator.is_valid({**composition(), "unheardOf": 1})


@pytest.mark.parametrize("service", SERVICES)
def test_environments_are_accepted(service: str) -> None:
    settings = settings_of(service).from_environ(environment_of(service))
    assert settings.development
    assert str(settings.secrets_dir) == f"/var/lib/chapar/secrets/{service}"


def test_all_listen_on_loopback_and_nobody_where_another_does() -> None:
    found = [
        value for service in SERVICES for name, value in environment_of(service).items() if name.endswith("_LISTEN")
    ]
    assert len(found) == len(set(found)) == 3 * len(SERVICES) + 1
    assert all(address.startswith("127.0.0.1:") for address in found)


def test_prometheus_reads_every_process_where_it_is_read() -> None:
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    said = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    assert said == {f"chapar-{service}": [environment_of(service)["CHAPAR_METRICS_LISTEN"]] for service in SERVICES}


@pytest.mark.parametrize("service", OWNERS)
def test_owners_start_once_their_topics_and_their_database_are_ready(service: str) -> None:
    services = composition()["services"]
    commands = {f"{service}-topics": ["topics", "apply"], f"{service}-database": ["database", "prepare"]}
    done = {"condition": "service_completed_successfully"}
    assert services[service]["depends_on"] == dict.fromkeys(commands, done)
    for name, command in commands.items():
        assert services[name]["command"] == command
        assert services[name]["env_file"] == services[service]["env_file"]
        assert services[name]["restart"] == "no"
        assert services[name]["depends_on"]["secrets"] == done


@pytest.mark.parametrize("service", SERVICES)
def test_containers_are_confined_and_given_time_to_end(service: str) -> None:
    one = composition()["services"][service]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["image"] == f"chapar/{service}:0.1.0"
    build = one["build"]
    assert (FOLDER / build["context"] / build["dockerfile"]).resolve() == ROOT / "services" / service / "Dockerfile"
    settled = getattr(settings_of(service).from_environ(environment_of(service)), "drain_grace_ms", 0) / 1000
    assert int(one["stop_grace_period"].removesuffix("s")) >= math.ceil(facts(service)["endSeconds"] + settled)


def test_broker_and_database_are_where_processes_look_for_them() -> None:
    services = composition()["services"]
    told = environment_of("messaging")
    assert services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{told['CHAPAR_KAFKA']}"
    uri = urlsplit(told["CHAPAR_MONGO_URI"])
    replica_set = uri.query.removeprefix("replicaSet=")
    assert services["mongodb"]["command"][1:3] == ["--replSet", replica_set]
    test = services["mongodb"]["healthcheck"]["test"][-1]
    assert f'_id: "{replica_set}"' in test
    assert f'host: "{uri.netloc}"' in test
