"""All charts on a real API server: what it takes, what it makes of it, what is left when it is gone."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.cluster.kit import PATIENCE, Cluster, Identity, beside_each_other, eventually
from tests.deploy.kit import OWNERS, is_hook, objects
from tools.charts.helm import INSTALLED, UMBRELLA
from tools.charts.render import RENDERINGS, SET_NAMES, release_of, values_files
from tools.cluster.api import ApiRefused
from tools.cluster.pods import is_ready

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
BAD_REQUEST = 400
STRICT = {"dryRun": "All", "fieldValidation": "Strict"}
MADE_BY_THE_CLUSTER = {Identity("ConfigMap", "kube-root-ca.crt"), Identity("ServiceAccount", "default")}


def install(cluster: Cluster, charts: Path, namespace: str, name: str, chart: str) -> str:
    """`helm install --wait`, as the walk-through says it; what it said."""
    files = [part for file in values_files(name, chart) for part in ("--values", str(file))]
    where = ("--namespace", namespace, "--wait", "--timeout", PATIENCE)
    return cluster.helm("install", release_of(chart), str(charts / chart), *where, *files)


@pytest.mark.parametrize(("name", "chart"), [*RENDERINGS, ("umbrella", UMBRELLA)])
def test_every_object_is_taken_strictly(cluster: Cluster, name: str, chart: str) -> None:
    """Server-side: by schemas, defaults, admission and the rules that CRDs have beyond their schemas."""
    if not cluster.exists("/api/v1/namespaces/chapar"):
        cluster.make_namespace("chapar")
    for one in objects(name, chart):
        taken = cluster.api.create(cluster.path(one, "chapar"), one, **STRICT)
        assert taken["metadata"]["name"] == one["metadata"]["name"]
        wrong: Any = copy.deepcopy(one)
        wrong["unheardOf"] = 1
        with pytest.raises(ApiRefused) as refused:
            cluster.api.create(cluster.path(one, "chapar"), wrong, **STRICT)
        assert refused.value.status == BAD_REQUEST


@pytest.mark.parametrize("name", SET_NAMES)
def test_a_set_is_installed_and_leaves_nothing_but_topics(cluster: Cluster, charts: Path, name: str) -> None:
    namespace = f"install-{name}"
    cluster.make_namespace(namespace)
    wanted = [chart for one, chart in RENDERINGS if one == name]
    said = beside_each_other(*(partial(install, cluster, charts, namespace, name, chart) for chart in wanted))
    assert all("STATUS: deployed" in text for text in said)
    assert not [text for text in said if "violate" in text or "arning" in text]
    made = {Identity(one["kind"], one["metadata"]["name"]) for one in cluster.objects(namespace)}
    for chart in wanted:
        there = {Identity(one["kind"], one["metadata"]["name"]) for one in objects(name, chart) if not is_hook(one)}
        assert there <= made
    processes_are_ready(cluster, namespace, name)
    assert done_jobs(cluster, namespace) == {
        one["metadata"]["name"] for chart in wanted for one in objects(name, chart) if one["kind"] == "Job"
    }
    beside_each_other(*(
        partial(cluster.helm, "uninstall", release_of(chart), "--namespace", namespace) for chart in wanted
    ))  # fmt: skip
    topics = {
        Identity(one["kind"], one["metadata"]["name"])
        for chart in wanted
        for one in objects(name, chart)
        if one["kind"] == "KafkaTopic"
    }
    eventually(lambda: left(cluster, namespace) == topics)


def left(cluster: Cluster, namespace: str) -> set[Identity]:
    """What nobody but charts can have made."""
    found = {Identity(one["kind"], one["metadata"]["name"]) for one in cluster.objects(namespace)}
    return found - MADE_BY_THE_CLUSTER


def processes_are_ready(cluster: Cluster, namespace: str, name: str) -> None:
    """As many of each service as its values want; an autoscaler without metrics sees to its minimum."""
    for service in (chart for one, chart in RENDERINGS if one == name and chart in (*OWNERS, "gateway")):
        (deployment,) = (one for one in objects(name, service) if one["kind"] == "Deployment")
        scalers = [one for one in objects(name, service) if one["kind"] == "HorizontalPodAutoscaler"]
        wanted = scalers[0]["spec"]["minReplicas"] if scalers else deployment["spec"].get("replicas", 1)
        eventually(lambda service=service, wanted=wanted: ready(cluster, namespace, service) == wanted)  # type: ignore[misc]


def ready(cluster: Cluster, namespace: str, service: str) -> int:
    """Processes of a service that serve."""
    return sum(is_ready(pod) for pod in cluster.pods(namespace, release_of(service)))


def done_jobs(cluster: Cluster, namespace: str) -> set[str]:
    """Helm has taken the Jobs away; what is said of them stays a while."""
    told = cluster.api.get(f"/api/v1/namespaces/{namespace}/events", fieldSelector="reason=Completed")["items"]
    return {one["involvedObject"]["name"] for one in told}


def test_the_umbrella_is_installed(cluster: Cluster, charts: Path) -> None:
    cluster.make_namespace("umbrella")
    where = ("--namespace", "umbrella", "--wait", "--timeout", PATIENCE)
    assert "STATUS: deployed" in cluster.helm("install", "dev", str(charts / UMBRELLA), *where)
    pods = cluster.pods("umbrella", "dev")
    assert len(pods) == len(INSTALLED) - 1
    assert all(is_ready(pod) for pod in pods)
