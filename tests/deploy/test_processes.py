"""What runs: probes, rights, the order of an end, where pods go. All sets, all services."""

from __future__ import annotations

import math
import re

import pytest

from chapar_chassis.process import GRACE_SECONDS
from chapar_chassis.rpc_server import TURN_AWAY_SECONDS
from chapar_sourcing.hosting import HostConfig
from tests.deploy.kit import (
    OWNERS,
    RELEASES,
    container,
    containers,
    environment,
    facts,
    objects,
    of_kind,
    only,
    pod_of,
    pods,
)
from tools.charts.helm import ROOT, SERVICES
from tools.charts.values import defaults, source_of

every_release = pytest.mark.parametrize(("name", "service"), RELEASES)
DRAIN_SECONDS = HostConfig(service="any", address="").drain_ms_max / 1000
MARGIN_SECONDS = 2


@every_release
def test_health_is_asked_by_grpc_where_it_is_answered_in_the_clear(name: str, service: str) -> None:
    running = container(name, service)
    port = int(environment(running)["CHAPAR_HEALTH_LISTEN"].rpartition(":")[2])
    assert {"name": "health", "containerPort": port} in running["ports"]
    probes = {probe: running[probe]["grpc"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {
        "startupProbe": {"port": port, "service": "live"},
        "livenessProbe": {"port": port, "service": "live"},
        "readinessProbe": {"port": port, "service": "ready"},
    }


@every_release
def test_what_only_readiness_shows_never_ends_a_process(name: str, service: str) -> None:
    """A dead dependency fails readiness alone: the others ask whether the process runs, and are patient."""
    running = container(name, service)
    liveness, readiness = running["livenessProbe"], running["readinessProbe"]
    assert liveness["grpc"]["service"] != readiness["grpc"]["service"]
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60
    assert readiness["periodSeconds"] * readiness["failureThreshold"] <= 5


@every_release
def test_the_grace_is_longer_than_the_process_takes_to_end(name: str, service: str) -> None:
    running, pod = container(name, service), pod_of(only(name, service, "Deployment"))["spec"]
    pre_stop = running.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if service == "gateway":
        settled = int(environment(running)["CHAPAR_DRAIN_GRACE_MS"]) / 1000
        ends = TURN_AWAY_SECONDS + settled
        assert pre_stop > 0, "clients must have turned to other gateways before calls are refused"
    else:
        ends = TURN_AWAY_SECONDS + DRAIN_SECONDS + TURN_AWAY_SECONDS + GRACE_SECONDS
    grace = pod["terminationGracePeriodSeconds"]
    assert pre_stop + ends + MARGIN_SECONDS <= grace <= pre_stop + math.ceil(ends) + 6


@every_release
def test_pods_pass_the_restricted_standard(name: str, service: str) -> None:
    found = list(pods(name, service))
    assert found
    for pod in found:
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (10001, 10001, 10001)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any(pod["spec"].get(host) for host in ("hostNetwork", "hostPID", "hostIPC"))
        assert {next(iter(set(volume) - {"name"})) for volume in pod["spec"]["volumes"]} <= {"projected", "secret"}
        for one in containers(pod):
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not any("hostPort" in port for port in one.get("ports", []))


@every_release
def test_each_release_has_an_account_of_its_own_without_a_token(name: str, service: str) -> None:
    account = only(name, service, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    accounts = {one["metadata"]["name"] for one in objects(name, service) if one["kind"] == "ServiceAccount"}
    for pod in pods(name, service):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["serviceAccountName"] in accounts


@every_release
def test_secrets_are_read_only_and_not_for_everybody(name: str, service: str) -> None:
    """A process refuses secrets that others can read; the group is the pod's."""
    for pod in pods(name, service):
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for private in {"secrets", "tls", "public-tls"} & set(volumes):
            source = volumes[private].get("projected") or volumes[private]["secret"]
            assert source["defaultMode"] == 0o440
        for one in containers(pod):
            assert {mount["name"] for mount in one["volumeMounts"]} == set(volumes)
            assert all(mount["readOnly"] is True for mount in one["volumeMounts"])


@every_release
def test_every_file_that_a_process_is_told_of_is_there(name: str, service: str) -> None:
    for pod in pods(name, service):
        mounted = set()
        for volume in pod["spec"]["volumes"]:
            sources = [source["secret"] for source in volume.get("projected", {}).get("sources", [])]
            items = [item for one in sources or [volume["secret"]] for item in one["items"]]
            mount = next(m for m in containers(pod)[0]["volumeMounts"] if m["name"] == volume["name"])
            paths = [f"{mount['mountPath']}/{item['path']}" for item in items]
            assert len(paths) == len(set(paths))
            mounted |= set(paths)
        for one in containers(pod):
            told = {value for value in environment(one).values() if value.startswith("/run/")} - {"/run/chapar/secrets"}
            assert told <= mounted
            assert {path for path in mounted if "/secrets/" not in path} <= told


@every_release
def test_a_roll_takes_nobody_away_before_another_is_ready(name: str, service: str) -> None:
    spec = only(name, service, "Deployment")["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert spec["minReadySeconds"] > 0


@every_release
def test_the_budget_and_the_spread_speak_of_the_pods_there_are(name: str, service: str) -> None:
    deployment, budget = only(name, service, "Deployment"), only(name, service, "PodDisruptionBudget")
    labels = pod_of(deployment)["metadata"]["labels"]
    selectors = [deployment["spec"]["selector"], budget["spec"]["selector"]]
    spread = pod_of(deployment)["spec"]["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for selector in [*selectors, *(one["labelSelector"] for one in spread)]:
        assert selector["matchLabels"].items() <= labels.items()
        assert selector["matchLabels"] == deployment["spec"]["selector"]["matchLabels"]
    assert all(one["maxSkew"] == 1 and one["matchLabelKeys"] == ["pod-template-hash"] for one in spread)
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@every_release
def test_nobody_selects_the_pods_of_the_job(name: str, service: str) -> None:
    for one in objects(name, service):
        if one["kind"] == "Job":
            labels = pod_of(one)["metadata"]["labels"]
            selected = only(name, service, "Deployment")["spec"]["selector"]["matchLabels"]
            assert not selected.items() <= labels.items()


@every_release
def test_either_replicas_are_given_or_somebody_scales(name: str, service: str) -> None:
    deployment = only(name, service, "Deployment")
    scalers = of_kind(name, service, "HorizontalPodAutoscaler") + of_kind(name, service, "ScaledObject")
    assert ("replicas" in deployment["spec"]) != bool(scalers)
    for scaler in scalers:
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}
        assert scaler["spec"]["scaleTargetRef"] == target


def test_some_set_scales_by_each() -> None:
    assert of_kind("production", "messaging", "HorizontalPodAutoscaler")
    assert of_kind("external-secret", "messaging", "ScaledObject")


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_scaled_by_is_in_the_catalogue_of_metrics(service: str) -> None:
    query = defaults(source_of(service))["autoscaling"]["prometheus"]["query"]
    (metric,) = re.findall(r"chapar_[a-z_]+", query)
    assert f"| `{metric}` |" in (ROOT / "docs" / "reference" / "metrics.md").read_text()


@pytest.mark.parametrize("service", OWNERS)
def test_owners_end_within_what_their_supervisor_gives_them(service: str) -> None:
    from chapar_client.up._supervisor import OWNER_END_S_MAX

    assert facts(service)["endSeconds"] >= OWNER_END_S_MAX


@every_release
def test_the_image_is_the_charts_version_or_a_digest(name: str, service: str) -> None:
    image = container(name, service)["image"]
    wanted = "chapar/" + service + (":0.1.0" if name != "external-secret" else ":0.1.0-rc.1@sha256:")
    assert image.startswith(wanted)
    assert all(one["image"] == image for pod in pods(name, service) for one in containers(pod))
