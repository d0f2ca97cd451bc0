"""Settings of processes and values of charts: the same ones, both ways, with the same defaults and bounds."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, get_type_hints

import pytest

from chapar_chassis.settings import CommonSettings, Variable
from chapar_chassis.tls import name_of
from chapar_gateway.settings import GatewaySettings
from tests.deploy.kit import OWNERS, RELEASES, containers, environment, facts, of_kind, only, pod_of, pods
from tests.deploy.test_facts import service_of
from tools.charts.helm import SERVICES
from tools.charts.values import source_of

ELSEWHERE = {"CHAPAR_PARENT_PID"}
"""What only `chapar up` sets."""
OWNERS_ALONE = {
    "CHAPAR_ADVERTISE", "CHAPAR_MONGO_URI", "CHAPAR_MONGO_DATABASE", "CHAPAR_MONGO_USER", "CHAPAR_MONGO_CA",
    "CHAPAR_SCHEMA_LEVEL",
}  # fmt: skip
"""What every process can be told and a gateway does not use."""
OTHER_DEFAULTS = {"partitions": 256, "codeDelivery": "webhook", "codeWebhookUrl": "https://codes.example/send"}
"""Where a laptop and a nation differ."""


def settings_of(service: str) -> type[CommonSettings]:
    return GatewaySettings if service == "gateway" else service_of(service).settings


def fields_of(service: str) -> dict[str, tuple[dataclasses.Field[Any], Variable]]:
    """Variable -> the field that it sets, and how it is read."""
    kind = settings_of(service)
    hints = get_type_hints(kind, include_extras=True)
    found = {field.name: hints[field.name].__metadata__[0] for field in dataclasses.fields(kind)}
    return {found[field.name].name: (field, found[field.name]) for field in dataclasses.fields(kind)}


def variable_of(value: str) -> str:
    """The variable of a value below `settings`."""
    return "CHAPAR_" + re.sub(r"(?<!^)(?=[A-Z])", "_", value).upper()


@pytest.mark.parametrize("service", SERVICES)
def test_what_charts_can_set_is_what_processes_read(service: str) -> None:
    told = {name for one, its in RELEASES if its == service for pod in pods(one, its) for running in containers(pod)
            for name in environment(running) if name != "POD_IP"}  # fmt: skip
    left_out = ELSEWHERE | (OWNERS_ALONE if service == "gateway" else set())
    assert told == fields_of(service).keys() - left_out


@pytest.mark.parametrize(("name", "service"), RELEASES)
def test_the_environment_is_accepted(name: str, service: str) -> None:
    for pod in pods(name, service):
        for running in containers(pod):
            told = environment(running)
            settings = settings_of(service).from_environ(told)
            assert settings.kafka == told["CHAPAR_KAFKA"]
            assert settings.development == (name == "development")


@pytest.mark.parametrize("service", SERVICES)
def test_values_below_settings_have_the_defaults_of_the_process(service: str) -> None:
    fields = fields_of(service)
    for value, schema in source_of(service)["settings"]["properties"].items():
        field, variable = fields[variable_of(value)]
        text = str(int(schema["default"])) if isinstance(schema["default"], bool) else str(schema["default"])
        read = variable.parse(text) if text else field.default
        if value in OTHER_DEFAULTS:
            assert schema["default"] == OTHER_DEFAULTS[value]
            assert read != field.default
        else:
            assert read == field.default


@pytest.mark.parametrize("service", SERVICES)
def test_values_below_settings_have_the_bounds_of_the_process(service: str) -> None:
    fields, checked = fields_of(service), 0
    for value, schema in source_of(service)["settings"]["properties"].items():
        _, variable = fields[variable_of(value)]
        if schema.get("type") == "integer":
            for bound, beyond in ((schema["minimum"], -1), (schema["maximum"], 1)):
                assert variable.parse(str(bound)) == bound
                with pytest.raises(ValueError, match="whole number"):
                    variable.parse(str(bound + beyond))
                checked += 1
        for choice in schema.get("enum", ()):
            assert variable.parse(choice) == choice
            checked += 1
        if "enum" in schema:
            with pytest.raises(ValueError, match="one of") as expected:
                variable.parse("something else")
            assert set(str(expected.value).removeprefix("one of ").split(", ")) == set(schema["enum"])
    assert checked >= 6


@pytest.mark.parametrize("service", OWNERS)
def test_copies_and_database_have_the_defaults_of_the_process(service: str) -> None:
    fields, source = fields_of(service), source_of(service)
    assert source["kafka"]["properties"]["replicas"]["default"] == fields["CHAPAR_KAFKA_REPLICAS"][0].default
    assert source["mongo"]["properties"]["database"]["default"] == fields["CHAPAR_MONGO_DATABASE"][0].default


@pytest.mark.parametrize("service", SERVICES)
def test_the_certificate_is_for_the_name_that_peers_look_for(service: str) -> None:
    secret = f"chapar-{service}-tls"
    (made,) = (one for one in of_kind("production", service, "Certificate") if one["metadata"]["name"] == secret)
    assert made["spec"]["secretName"] == secret
    assert made["spec"]["dnsNames"] == [name_of(facts(service)["service"])]
    assert {"server auth", "client auth"} <= set(made["spec"]["usages"])
    volumes = pod_of(only("production", service, "Deployment"))["spec"]["volumes"]
    assert secret in {volume["secret"]["secretName"] for volume in volumes if volume["name"] == "tls"}
