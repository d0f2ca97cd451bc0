"""Network policies, evaluated as an API server's documentation says they are: who gets through to whom.

That a cluster enforces them is its network plugin's work, and no test here shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from tests.deploy.kit import OWNERS, Object, container, environment, facts, is_hook, objects, of_kind, only, pod_of
from tools.charts.helm import NAMESPACE, SERVICES

SETS = ("default", "production", "external-secret")
"""Sets with policies."""
GRPC, OPERATORS, METRICS, HEALTH = 7400, 7401, 7402, 7403


class Pod(NamedTuple):
    """Somebody who may speak or be spoken to."""

    namespace: str
    labels: Mapping[str, str]


def policy(name: str, service: str) -> Object:
    return only(name, service, "NetworkPolicy")


def pod(name: str, service: str) -> Pod:
    return Pod(NAMESPACE, pod_of(only(name, service, "Deployment"))["metadata"]["labels"])


def labels_match(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}
    wanted: Mapping[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def peer_matches(peer: Mapping[str, Any], other: Pod) -> bool:
    assert set(peer) <= {"podSelector", "namespaceSelector", "ipBlock"}
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        named = {"kubernetes.io/metadata.name": other.namespace}
        if not labels_match(peer["namespaceSelector"], named):
            return False
    elif other.namespace != NAMESPACE:
        return False
    return labels_match(peer.get("podSelector", {}), other.labels)


def lets_through(rules: Sequence[Mapping[str, Any]], side: str, other: Pod, port: int) -> bool:
    for rule in rules:
        everybody = "from" not in rule and "to" not in rule
        if port in [one["port"] for one in rule["ports"]] and (
            everybody or any(peer_matches(peer, other) for peer in rule.get(side, ()))
        ):
            return True
    return False


def reaches(name: str, caller: str, callee: str, port: int) -> bool:
    """Whether both policies, the caller's and the callee's, let a connection through."""
    out = lets_through(policy(name, caller)["spec"]["egress"], "to", pod(name, callee), port)
    into = lets_through(policy(name, callee)["spec"]["ingress"], "from", pod(name, caller), port)
    return out and into


@pytest.mark.parametrize("name", SETS)
def test_the_edges_are_those_of_the_call_graph(name: str) -> None:
    found = {(a, b) for a in SERVICES for b in SERVICES if reaches(name, a, b, GRPC)}
    assert found == {("gateway", owner) for owner in OWNERS} | {(owner, owner) for owner in OWNERS}
    assert found == {(a, b) for a in SERVICES for b in facts(a)["callees"]}
    others = (OPERATORS, METRICS, HEALTH, 27017, 9093)
    assert not any(reaches(name, a, b, port) for a in SERVICES for b in SERVICES for port in others)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("service", SERVICES)
def test_a_policy_is_of_its_pods_and_denies_both_ways(name: str, service: str) -> None:
    spec = policy(name, service)["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["podSelector"] == only(name, service, "Deployment")["spec"]["selector"]


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("service", SERVICES)
def test_strangers_reach_nothing_but_the_gateways_public_listener(name: str, service: str) -> None:
    stranger = Pod("elsewhere", {"app": "stranger"})
    ingress = policy(name, service)["spec"]["ingress"]
    for port in (GRPC, OPERATORS, METRICS, HEALTH):
        public = service == "gateway" and port == GRPC and name != "production"
        assert lets_through(ingress, "from", stranger, port) == public
    neighbour = Pod(NAMESPACE, {"app.kubernetes.io/name": "something"})
    assert not lets_through(ingress, "from", neighbour, METRICS)


@pytest.mark.parametrize("service", SERVICES)
def test_clients_operators_and_prometheus_come_from_where_values_say(service: str) -> None:
    ingress = policy("production", service)["spec"]["ingress"]
    assert lets_through(ingress, "from", Pod("observability", {}), METRICS)
    assert lets_through(ingress, "from", Pod("edge", {}), GRPC) == (service == "gateway")
    assert lets_through(ingress, "from", Pod("operators", {}), OPERATORS) == (service == "gateway")
    assert not lets_through(ingress, "from", Pod("edge", {}), OPERATORS)


@pytest.mark.parametrize("service", SERVICES)
def test_brokers_and_database_are_reached_where_they_are(service: str) -> None:
    told = environment(container("production", service))
    egress = policy("production", service)["spec"]["egress"]
    broker = Pod("data", {"strimzi.io/cluster": "chapar"})
    database = Pod("data", {"app": "chapar-mongo"})
    for address in told["CHAPAR_KAFKA"].split(","):
        assert lets_through(egress, "to", broker, int(address.rpartition(":")[2]))
    assert not lets_through(egress, "to", database, 9093)
    hosts = told.get("CHAPAR_MONGO_URI", "").removeprefix("mongodb://").partition("/")[0]
    assert bool(hosts) == (service != "gateway")
    assert all(lets_through(egress, "to", database, int(host.rpartition(":")[2])) for host in hosts.split(",") if host)
    assert lets_through(egress, "to", database, 27018) == (service != "gateway")
    assert lets_through(egress, "to", Pod("kube-system", {"k8s-app": "kube-dns"}), 53)


def test_identity_alone_reaches_where_codes_are_posted() -> None:
    for service in SERVICES:
        for name, block, port in (("default", "0.0.0.0/0", 443), ("production", "192.0.2.0/24", 8443)):
            rules = [
                rule for rule in policy(name, service)["spec"]["egress"] if {"ipBlock": {"cidr": block}} in rule["to"]
            ]
            assert [rule["ports"] for rule in rules] == (
                [[{"protocol": "TCP", "port": port}]] * (service == "identity")
            )


@pytest.mark.parametrize("service", OWNERS)
def test_the_job_reaches_brokers_and_database_and_is_reached_by_nobody(service: str) -> None:
    hooks = [one for one in objects("production", service) if is_hook(one)]
    (found,) = (one for one in hooks if one["kind"] == "NetworkPolicy")
    (job,) = (one for one in hooks if one["kind"] == "Job")
    assert labels_match(found["spec"]["podSelector"], pod_of(job)["metadata"]["labels"])
    assert not labels_match(found["spec"]["podSelector"], pod("production", service).labels)
    assert found["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in found["spec"]
    egress = found["spec"]["egress"]
    assert lets_through(egress, "to", Pod("data", {"app": "chapar-mongo"}), 27018)
    assert not lets_through(egress, "to", pod("production", service), GRPC)
    weights = {one["kind"]: int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in hooks}
    assert weights["NetworkPolicy"] == weights["ServiceAccount"] < weights["Job"]


def test_policies_can_be_left_to_others() -> None:
    assert not any(of_kind("development", service, "NetworkPolicy") for service in SERVICES)
