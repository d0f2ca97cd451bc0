"""Releases beside each other: each can be upgraded without touching another."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import yaml

from tests.deploy.kit import Object, is_hook, objects, of_kind, only, pod_of
from tools.charts.helm import CHARTS, INSTALLED, NAMESPACE, SERVICES
from tools.charts.render import RENDERINGS, SET_NAMES


class Identity(NamedTuple):
    """What two objects must not share."""

    api: str
    kind: str
    namespace: str
    name: str


def identity_of(one: Object) -> Identity:
    metadata = one["metadata"]
    return Identity(one["apiVersion"].partition("/")[0], one["kind"], metadata.get("namespace", ""), metadata["name"])


@pytest.mark.parametrize("name", SET_NAMES)
def test_no_object_belongs_to_two_releases(name: str) -> None:
    found = [identity_of(one) for release in RENDERINGS if release[0] == name for one in objects(*release)]
    assert len(found) == len(set(found))
    assert {one.namespace for one in found} == {NAMESPACE}, "nothing is the whole cluster's"


@pytest.mark.parametrize(("name", "chart"), RENDERINGS)
def test_every_object_says_whose_it_is(name: str, chart: str) -> None:
    for one in objects(name, chart):
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == f"chapar-{chart}"
        assert labels["app.kubernetes.io/name"] == f"chapar-{chart}"
        assert labels["app.kubernetes.io/part-of"] == "chapar"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"


@pytest.mark.parametrize("service", SERVICES)
def test_a_new_chart_alone_restarts_nothing(service: str) -> None:
    """The chart's version is on objects and on no pod; the application's is on both."""
    deployment = only("default", service, "Deployment")
    labels = pod_of(deployment)["metadata"]["labels"]
    assert "helm.sh/chart" in deployment["metadata"]["labels"]
    assert "helm.sh/chart" not in labels
    assert labels["app.kubernetes.io/version"] == "0.1.0"


@pytest.mark.parametrize("name", SET_NAMES)
@pytest.mark.parametrize("service", SERVICES)
def test_services_and_monitors_find_the_pods(name: str, service: str) -> None:
    deployment = only(name, service, "Deployment")
    labels = pod_of(deployment)["metadata"]["labels"]
    (running,) = pod_of(deployment)["spec"]["containers"]
    ports = {port["name"] for port in running["ports"]}
    services = of_kind(name, service, "Service")
    for one in services:
        assert one["spec"]["selector"].items() <= labels.items()
        assert {port["targetPort"] for port in one["spec"]["ports"]} <= ports
    for monitor in of_kind(name, service, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        (found,) = (one for one in services if wanted.items() <= one["metadata"]["labels"].items())
        assert {end["port"] for end in monitor["spec"]["endpoints"]} == {
            port["name"] for port in found["spec"]["ports"]
        }
        assert found["spec"]["publishNotReadyAddresses"] is True


def test_routes_lead_to_the_gateway() -> None:
    route, gateway = only("production", "gateway", "GRPCRoute"), of_kind("production", "gateway", "Service")[0]
    (rule,) = route["spec"]["rules"]
    (port,) = gateway["spec"]["ports"]
    assert rule["backendRefs"] == [{"name": gateway["metadata"]["name"], "port": port["port"]}]
    policy = only("production", "gateway", "BackendTLSPolicy")["spec"]
    assert [(one["kind"], one["name"], one["sectionName"]) for one in policy["targetRefs"]] == [
        ("Service", gateway["metadata"]["name"], port["name"])
    ]
    (certificate,) = (
        one for one in of_kind("production", "gateway", "Certificate") if one["metadata"]["name"] == "chapar-public"
    )
    assert policy["validation"]["hostname"] in certificate["spec"]["dnsNames"]
    assert set(route["spec"]["hostnames"]) <= set(certificate["spec"]["dnsNames"])
    assert not of_kind("development", "gateway", "BackendTLSPolicy")


def test_inline_secrets_restart_what_reads_them_and_are_of_no_other_set() -> None:
    for service in SERVICES:
        secret = only("development", service, "Secret")
        running = pod_of(only("development", service, "Deployment"))
        sources = running["spec"]["volumes"][0]["projected"]["sources"]
        assert [one["secret"]["name"] for one in sources] == [secret["metadata"]["name"]]
        assert {item["key"] for item in sources[0]["secret"]["items"]} == set(secret["stringData"])
        assert len(running["metadata"]["annotations"]["chapar/secrets"]) == 64
        assert not any(of_kind(name, service, "Secret") for name in SET_NAMES if name != "development")


def test_external_secrets_fill_what_pods_mount() -> None:
    for service in SERVICES:
        wanted = only("external-secret", service, "ExternalSecret")
        volumes = pod_of(only("external-secret", service, "Deployment"))["spec"]["volumes"]
        mounted = volumes[0]["projected"]["sources"][0]["secret"]
        assert wanted["spec"]["target"]["name"] == mounted["name"]
        rows = wanted["spec"]["data"]
        assert {row["secretKey"] for row in rows} == {item["key"] for item in mounted["items"]}
        assert all(row["remoteRef"]["property"] == row["secretKey"] for row in rows)
        keys = {row["remoteRef"]["key"] for row in rows}
        assert keys == {"nation/messaging" if service == "messaging" else f"chapar/{service}"}


def test_the_umbrella_is_all_five() -> None:
    found = {one["metadata"]["name"] for one in objects("umbrella", "chapar") if one["kind"] == "Deployment"}
    assert found == {f"dev-chapar-{service}" for service in SERVICES}
    kinds = sorted(one["kind"] for one in objects("umbrella", "chapar") if not is_hook(one))
    apart = sorted(one["kind"] for service in SERVICES for one in objects("default", service) if not is_hook(one))
    assert kinds == apart


def test_charts_are_of_one_version_of_the_library() -> None:
    library = yaml.safe_load((CHARTS / "library" / "Chart.yaml").read_text())
    for name in INSTALLED:
        chart = yaml.safe_load((CHARTS / name / "Chart.yaml").read_text())
        assert chart["dependencies"] == [
            {"name": library["name"], "version": library["version"], "repository": "file://../library"}
        ]


@pytest.mark.parametrize(("name", "chart"), RENDERINGS)
def test_what_strimzi_writes_is_no_secret_of_ours(name: str, chart: str) -> None:
    """A KafkaUser's Secret has its name, and Strimzi writes over what is there: a service's keys would be lost."""
    written = {one["metadata"]["name"] for one in objects(name, chart) if one["kind"] == "KafkaUser"}
    kept = {
        source["secret"]["name"]
        for one in objects(name, chart)
        if one["kind"] == "Deployment"
        for volume in pod_of(one)["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        if "peer.token" in {item["key"] for item in source.get("secret", {}).get("items", [])}
    }
    assert bool(kept) == (chart in SERVICES)
    assert not written & kept
