"""A cluster with what charts need beside it, and helm and kubectl as operators call them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from tests.deploy.kit import Object
from tools.charts.crds import Kind, definitions
from tools.charts.helm import binary
from tools.cluster import binaries
from tools.cluster.api import Api, ApiRefused
from tools.cluster.nodes import FakeNode

ZONES = ("a", "b", "c")
PLAIN = tuple(f"plain-{zone}" for zone in ZONES)
POOL = {"chapar/nodes": "services"}
"""What the production set looks for, and tolerates."""
NODES = (
    *(FakeNode(f"plain-{zone}", {"topology.kubernetes.io/zone": zone}) for zone in ZONES),
    *(
        FakeNode(
            f"services-{zone}",
            {"topology.kubernetes.io/zone": zone, **POOL},
            [{"key": key, "value": value, "effect": "NoSchedule"} for key, value in POOL.items()],
        )
        for zone in ZONES
    ),
)
PATIENCE_S = 600.0
PATIENCE = f"{PATIENCE_S:.0f}s"
"""The same, for programs."""
AT_ONCE = 3
"""Calls of helm beside each other."""
NOT_FOUND = 404


class Refused(Exception):
    """A program ended with an error. The text is what it said."""


class Identity(NamedTuple):
    """An object of a namespace."""

    kind: str
    name: str


class Version(NamedTuple):
    """Which object it is, and which state of it."""

    uid: str
    resource_version: str


class Cluster:
    """Namespaces enforce *restricted* pod security; CRDs are there, their operators are not."""

    def __init__(self, api: Api, kubeconfig: Path) -> None:
        self.api = api
        self._kubeconfig = kubeconfig

    def prepare(self) -> None:
        """Everything that is the whole cluster's."""
        for definition in definitions():
            self.api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        wanted = {definition["metadata"]["name"] for definition in definitions()}
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        eventually(lambda: wanted <= {
            one["metadata"]["name"] for one in self.api.get(path)["items"] if is_established(one)
        })  # fmt: skip
        self.api.create("/apis/scheduling.k8s.io/v1/priorityclasses", {
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000,
            "metadata": {"name": "chapar"},
        })  # fmt: skip

    def make_namespace(self, name: str) -> None:
        """An empty one. Whoever breaks the rules is refused, and told."""
        modes = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
        self.api.create("/api/v1/namespaces", {
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": modes},
        })  # fmt: skip
        # Pods are refused until controllers have made it.
        eventually(lambda: self.exists(f"/api/v1/namespaces/{name}/serviceaccounts/default"))

    def exists(self, path: str) -> bool:
        try:
            self.api.get(path)
        except ApiRefused as refused:
            if refused.status != NOT_FOUND:
                raise
            return False
        return True

    def helm(self, *arguments: str) -> str:
        """What helm says, its warnings among it. Raises `Refused`."""
        return _said((str(binary()), f"--kubeconfig={self._kubeconfig}", *arguments))

    def kubectl(self, *arguments: str) -> str:
        """What kubectl says. Raises `Refused`."""
        return _said((str(binaries.program("kubectl")), f"--kubeconfig={self._kubeconfig}", *arguments))

    @cached_property
    def paths(self) -> Mapping[Kind, str]:
        """Kinds whose objects are a namespace's -> plural name, with the group and version before it."""
        groups = ["/api/v1", *(
            f"/apis/{version['groupVersion']}"
            for group in self.api.get("/apis")["groups"] for version in group["versions"]
        )]  # fmt: skip
        return {
            Kind(found["groupVersion"], one["kind"]): f"{group}/namespaces/NAMESPACE/{one['name']}"
            for group in groups
            for found in [self.api.get(group)]
            for one in found["resources"]
            if one["namespaced"] and {"list", "create"} <= {*one["verbs"]}
        }

    def path(self, one: Object, namespace: str) -> str:
        """Where objects of its kind are."""
        return self.paths[Kind(one["apiVersion"], one["kind"])].replace("NAMESPACE", namespace)

    def objects(self, namespace: str) -> Iterator[Object]:
        """All objects of a namespace but what is said of them (Events), once for each version of their API."""
        for kind, path in self.paths.items():
            if kind.kind != "Event":
                for one in self.api.get(path.replace("NAMESPACE", namespace))["items"]:
                    yield {**one, "apiVersion": kind.api_version, "kind": kind.kind}

    def versions(self, namespace: str, *, but: str) -> Mapping[Identity, Version]:
        """State of everything that is not of one release."""
        return {
            Identity(one["kind"], one["metadata"]["name"]): Version(
                one["metadata"]["uid"], one["metadata"]["resourceVersion"]
            )
            for one in self.objects(namespace)
            if release_of(one) != but
        }

    def pods(self, namespace: str, release: str) -> Sequence[Object]:
        """Those of a release."""
        found: Sequence[Object] = self.api.get(
            f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"app.kubernetes.io/instance={release}"
        )["items"]
        return found


def release_of(one: Object) -> str:
    """The release that an object is of, or that helm tells of in it."""
    labels = one["metadata"].get("labels", {})
    told = labels.get("name", "") if labels.get("owner") == "helm" else ""
    return str(labels.get("app.kubernetes.io/instance", told))


def is_established(definition: Object) -> bool:
    conditions = {one["type"]: one["status"] for one in definition.get("status", {}).get("conditions", [])}
    return conditions.get("Established") == "True"


def eventually(condition: Callable[[], bool]) -> None:
    """Returns once it holds; fails after `PATIENCE_S`."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.1)


def beside_each_other(*calls: Callable[[], Any]) -> list[Any]:
    """Results of calls that run a few at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [one.result() for one in [pool.submit(call) for call in calls]]


def _said(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S * 2)
    said = f"{done.stdout}{done.stderr}"
    if done.returncode:
        raise Refused(said.strip())
    return said
