"""The restricted standard is enforced: a pod of ours is taken, and refused with one thing changed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.deploy.cluster.kit import Cluster
from tests.deploy.kit import only, pod_of
from tools.cluster.api import ApiRefused

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
FORBIDDEN = 403
VIOLATIONS: Mapping[str, Callable[[Any, Any], object]] = {
    "is privileged": lambda pod, running: running["securityContext"].update(
        privileged=True, allowPrivilegeEscalation=True
    ),
    "may gain rights": lambda pod, running: running["securityContext"].update(allowPrivilegeEscalation=True),
    "keeps capabilities": lambda pod, running: running["securityContext"].pop("capabilities"),
    "may be root": lambda pod, running: pod["securityContext"].update(runAsNonRoot=False),
    "is root": lambda pod, running: pod["securityContext"].update(runAsUser=0),
    "may call all of the kernel": lambda pod, running: pod["securityContext"].pop("seccompProfile"),
    "is in the node's network": lambda pod, running: pod.update(hostNetwork=True),
    "sees the node's processes": lambda pod, running: pod.update(hostPID=True),
    "sees the node's files": lambda pod, running: pod["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
}


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> str:
    cluster.make_namespace("admission")
    return "admission"


def a_pod() -> dict[str, Any]:
    """A process of the gateway's, by the namespace's own account."""
    spec = copy.deepcopy(dict(pod_of(only("default", "gateway", "Deployment"))["spec"]))
    del spec["serviceAccountName"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}


def create(cluster: Cluster, namespace: str, pod: Mapping[str, Any]) -> None:
    """Asks for it without making it."""
    cluster.api.create(f"/api/v1/namespaces/{namespace}/pods", pod, dryRun="All")


def test_a_pod_of_ours_is_taken(cluster: Cluster, namespace: str) -> None:
    create(cluster, namespace, a_pod())


@pytest.mark.parametrize("what", VIOLATIONS)
def test_a_pod_is_refused_that(cluster: Cluster, namespace: str, what: str) -> None:
    pod = a_pod()
    VIOLATIONS[what](pod["spec"], pod["spec"]["containers"][0])
    with pytest.raises(ApiRefused, match='violates PodSecurity "restricted:latest"') as refused:
        create(cluster, namespace, pod)
    assert refused.value.status == FORBIDDEN
