"""What charts say of their services is what the code says: topics, rights, secrets, who calls whom."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from chapar_chassis.access import topic_rules, user_of
from chapar_chassis.ports import published_topics, topic_layouts
from chapar_chassis.process import OwnerService
from chapar_chassis.secrets import create_installation
from chapar_chassis.settings import CommonSettings
from chapar_gateway.table import OPERATOR_LISTENER, PUBLIC_LISTENER, listener_table
from chapar_sourcing.adapters.kafka import TopicLayout
from chapar_sourcing.adapters.kafka._layouts import Durability, wanted_config
from tests.deploy.kit import OWNERS, container, environment, facts, objects, of_kind, only, pod_of
from tools.charts.helm import SERVICES

NEVER_READ = {"position.key", "user_ids.key"}
"""What an installation gives a gateway although it opens neither."""


def service_of(name: str) -> OwnerService:
    """What the process is made of."""
    module = import_module(f"chapar_{name}.__main__")
    made: Any = module.build_service() if hasattr(module, "build_service") else module.SERVICE
    assert isinstance(made, OwnerService)
    return made


def layouts_of(name: str, *, partitions: int) -> Sequence[TopicLayout]:
    """The topics that the process looks for when it starts."""
    service = service_of(name)
    settings = CommonSettings(data_dir=Path("/x"), secrets_dir=Path("/x"), partitions=partitions)
    return topic_layouts(settings, name, published_topics(name, service.beat_topics))


@pytest.mark.parametrize("service", OWNERS)
def test_topics_are_those_that_the_process_looks_for(service: str) -> None:
    said = {one["name"]: one for one in facts(service)["topics"]}
    wanted = {one.name: one for one in layouts_of(service, partitions=77)}
    assert said.keys() == wanted.keys()
    for name, layout in wanted.items():
        assert said[name].get("partitions", 77) == layout.partitions
        assert said[name].get("keptMs") == layout.kept_ms
        assert said[name].get("compacted", False) == layout.compacted


@pytest.mark.parametrize("service", OWNERS)
def test_topics_of_the_operator_are_as_the_process_wants_them(service: str) -> None:
    running = environment(container("production", service))
    partitions, replicas = int(running["CHAPAR_PARTITIONS"]), int(running["CHAPAR_KAFKA_REPLICAS"])
    made = {one["spec"]["topicName"]: one for one in of_kind("production", service, "KafkaTopic")}
    wanted = {one.name: one for one in layouts_of(service, partitions=partitions)}
    assert made.keys() == wanted.keys()
    for name, layout in wanted.items():
        spec = made[name]["spec"]
        assert spec["config"] == wanted_config(layout, Durability(replicas))
        assert (spec["partitions"], spec["replicas"]) == (layout.partitions, replicas)


def test_topics_outlive_their_release() -> None:
    for service in OWNERS:
        for topic in of_kind("production", service, "KafkaTopic"):
            assert topic["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize("service", SERVICES)
def test_a_user_may_do_what_its_process_does_and_nothing_else(service: str) -> None:
    user = only("production", service, "KafkaUser")
    assert user["metadata"]["name"] == environment(container("production", service))["CHAPAR_KAFKA_USER"]
    rules = user["spec"]["authorization"]["acls"]
    assert all(rule["resource"]["type"] == "topic" for rule in rules)
    assert all((rule["resource"]["patternType"], rule["host"]) == ("literal", "*") for rule in rules)
    allowed = {rule["resource"]["name"]: set(rule["operations"]) for rule in rules}
    assert len(allowed) == len(rules)
    assert allowed == {rule.topic: set(rule.operations) for rule in topic_rules(service)}


@pytest.mark.parametrize("service", SERVICES)
def test_users_are_called_what_the_table_of_rights_calls_them(service: str) -> None:
    told = environment(container("default", service))
    assert told["CHAPAR_KAFKA_USER"] == user_of(service)
    assert told.get("CHAPAR_MONGO_USER", user_of(service)) == user_of(service)


@pytest.mark.parametrize("service", SERVICES)
def test_secret_files_are_those_that_an_installation_has(service: str, tmp_path: Path) -> None:
    create_installation(tmp_path)
    made = {path.name for path in (tmp_path / "secrets" / service).iterdir()}
    assert set(facts(service)["secrets"]) == made - (NEVER_READ if service == "gateway" else set())


def test_a_gateway_reads_none_of_what_it_is_not_given() -> None:
    for source in Path(import_module("chapar_gateway").__file__ or "").parent.rglob("*.py"):
        assert not any(f'"{name}"' in source.read_text() for name in NEVER_READ)


def test_the_gateway_calls_those_that_its_table_and_its_watches_name() -> None:
    """Presence has no public methods: it is called for leases and watched."""
    table = {**listener_table(PUBLIC_LISTENER), **listener_table(OPERATOR_LISTENER)}
    called = {route.service for route in table.values() if not route.local}
    assert set(facts("gateway")["callees"]) == called | {"presence"}
    assert facts("gateway")["callers"] == []


@pytest.mark.parametrize("service", OWNERS)
def test_owners_are_called_by_gateways_and_their_own_and_call_their_own(service: str) -> None:
    """`PeerTargets` is the only way from a reactor to another process, and knows one service."""
    assert facts(service)["callers"] == ["gateway", service]
    assert facts(service)["callees"] == [service]


@pytest.mark.parametrize("service", OWNERS)
def test_the_job_prepares_what_the_process_looks_for(service: str) -> None:
    (job,) = (one for one in objects("default", service) if one["kind"] == "Job")
    spec = pod_of(job)["spec"]
    assert [one["args"] for one in spec["initContainers"]] == [["topics", "apply"]]
    assert [one["args"] for one in spec["containers"]] == [["database", "prepare"]]
    told, running = environment(spec["containers"][0]), environment(container("default", service))
    different = {name for name in told if told[name] != running[name]}
    assert different == {"CHAPAR_KAFKA_USER", "CHAPAR_MONGO_USER"}


def test_topics_are_made_by_one_of_the_two() -> None:
    (job,) = (one for one in objects("production", "messaging") if one["kind"] == "Job")
    assert "initContainers" not in pod_of(job)["spec"]
    assert not of_kind("default", "messaging", "KafkaTopic")
    assert not [one for one in objects("default", "gateway") if one["kind"] == "Job"]
