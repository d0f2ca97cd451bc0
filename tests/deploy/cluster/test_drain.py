"""Nodes are drained: budgets hold, evictions beyond them are refused, and every node comes to be empty."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from tests.deploy.cluster.kit import PATIENCE, PLAIN, Cluster, beside_each_other, eventually
from tests.deploy.cluster.observed import ReadyCounts, is_process
from tools.charts.helm import SERVICES
from tools.charts.render import release_of
from tools.cluster.pods import is_ready

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
REPLICAS = 6
UNAVAILABLE_MAX = 1
"""`disruption.maxUnavailable` as it comes."""
REFUSED = re.compile(r'^apiserver_request_total\{code="429",.*subresource="eviction".*\} (\d+)$', re.MULTILINE)


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, charts: Path) -> str:
    """Six processes of each service, two on each node that takes them."""
    cluster.make_namespace("drain")
    where = ("--namespace", "drain", "--wait", "--timeout", PATIENCE, "--set", f"replicas={REPLICAS}")
    beside_each_other(*(
        partial(cluster.helm, "install", release_of(service), str(charts / service), *where) for service in SERVICES
    ))  # fmt: skip
    return "drain"


def drain(cluster: Cluster, node: str) -> int:
    """Asks again and again, as kubectl does, until no pod is left; how often it was told that the budget is spent."""
    said = cluster.kubectl("drain", node, "--timeout", PATIENCE)
    assert cluster.api.get("/api/v1/pods", fieldSelector=f"spec.nodeName={node}")["items"] == []
    return len(re.findall("would violate the pod's disruption budget", said))


def drain_and_return(cluster: Cluster, namespace: str, *nodes: str) -> int:
    """Drains nodes at once and takes them back when all is well again; how often budgets were spent."""
    try:
        told: int = sum(beside_each_other(*(partial(drain, cluster, node) for node in nodes)))
        eventually(lambda: all_are_ready(cluster, namespace))
        return told
    finally:
        for node in nodes:
            cluster.kubectl("uncordon", node)


def all_are_ready(cluster: Cluster, namespace: str) -> bool:
    pods = [pod for service in SERVICES for pod in cluster.pods(namespace, release_of(service))]
    return len([pod for pod in pods if is_process(pod) and is_ready(pod)]) == REPLICAS * len(SERVICES) == len(pods)


def refusals(cluster: Cluster) -> int:
    """Evictions that the server has refused so far."""
    return sum(map(int, REFUSED.findall(cluster.api.text("/metrics"))))


def test_budgets_hold_while_nodes_are_drained(cluster: Cluster, namespace: str) -> None:
    """One node, then the two others at once: at no moment fewer than five of six serve."""
    before = refusals(cluster)
    with ReadyCounts(cluster.api, namespace) as counts:
        told = drain_and_return(cluster, namespace, PLAIN[0])
        told += drain_and_return(cluster, namespace, *PLAIN[1:])
    least = {service: counts.least(service) for service in SERVICES}
    print(f"evictions refused: {told}; the fewest that served: {least}")
    assert least == dict.fromkeys(SERVICES, REPLICAS - UNAVAILABLE_MAX)
    # Two of each service were on the first node, so the second of each had to wait.
    assert told >= len(SERVICES)
    assert refusals(cluster) - before >= told


def test_without_a_budget_a_drain_takes_more(cluster: Cluster, namespace: str) -> None:
    """So it was the budget that held, and a breach of it would have been seen."""
    for service in SERVICES:
        cluster.kubectl("delete", "poddisruptionbudget", release_of(service), "--namespace", namespace)
    with ReadyCounts(cluster.api, namespace) as counts:
        assert drain_and_return(cluster, namespace, *PLAIN[:2]) == 0
    assert min(counts.least(service) for service in SERVICES) < REPLICAS - UNAVAILABLE_MAX
