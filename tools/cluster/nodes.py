"""Nodes that pretend: pods bound to them are said to run, to be ready, to have done their work, to have ended.

They report what a kubelet reports and start nothing. How long a start and an end take is the same for all pods.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Any, NamedTuple

from tools.cluster.api import STRATEGIC, Api, ApiRefused, Event
from tools.cluster.pods import Pod, PodWatch
from tools.server_process import ServerFailed

START_S = 1.0
END_S = 0.5
ADMISSION_S_MAX = 300.0
HEARTBEAT_S = 10.0
LEASE_S = 40
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
CAPACITY = {"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "500Gi"}
NOT_FOUND, CONFLICT = 404, 409


class FakeNode(NamedTuple):
    """What a node says of itself."""

    name: str
    labels: Mapping[str, str]
    taints: Sequence[Mapping[str, str]] = ()


class FakeNodes:
    """Some nodes; use as a context manager. Pods of other nodes are left alone."""

    def __init__(self, api: Api, nodes: Sequence[FakeNode]) -> None:
        self._api = api
        self._nodes = {node.name: node for node in nodes}
        self._addresses = itertools.count(int(IPv4Address("10.244.0.10")))
        self._begun: set[tuple[str, str]] = set()
        self._stopped = threading.Event()
        self._workers = ThreadPoolExecutor(8, thread_name_prefix="pods")
        self._heart = threading.Thread(target=self._beat, name="heartbeats", daemon=True)
        self._failed: list[BaseException] = []
        self._watch = PodWatch(api, self._seen)

    def __enter__(self) -> FakeNodes:
        for node in self._nodes.values():
            self._register(node)
        self._watch.__enter__()
        self._heart.start()
        self._await_admission()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        try:
            self._watch.__exit__()
        finally:
            self._heart.join()
            self._workers.shutdown()
        if self._failed:
            raise RuntimeError("a node could not say what became of a pod") from self._failed[0]

    def _register(self, node: FakeNode) -> None:
        labels = {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", **node.labels}
        self._api.create("/api/v1/nodes", {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": node.name, "labels": labels}, "spec": {"taints": [*node.taints]},
        })  # fmt: skip
        self._api.create(LEASES, {
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": node.name},
            # A lease that was never renewed would not be seen to be renewed later.
            "spec": {"holderIdentity": node.name, "leaseDurationSeconds": LEASE_S, "renewTime": _now_exactly()},
        })  # fmt: skip
        ready = {"type": "Ready", "status": "True", "reason": "Pretending", "lastHeartbeatTime": _now()}
        status = {"capacity": CAPACITY, "allocatable": CAPACITY, "conditions": [ready]}
        self._api.patch(f"/api/v1/nodes/{node.name}/status", {"status": status}, STRATEGIC)

    def _await_admission(self) -> None:
        """Controllers take away what keeps pods from a node that has not reported yet."""
        deadline = time.monotonic() + ADMISSION_S_MAX
        while any(self._is_held_back(name) for name in self._nodes):
            if time.monotonic() > deadline:
                raise ServerFailed("nodes are not taken for ready; what does kube-controller-manager.log say?")
            time.sleep(0.1)

    def _is_held_back(self, name: str) -> bool:
        taints = self._api.get(f"/api/v1/nodes/{name}")["spec"].get("taints", [])
        return any(taint["key"] == "node.kubernetes.io/not-ready" for taint in taints)

    def _beat(self) -> None:
        while not self._stopped.wait(HEARTBEAT_S):
            for name in self._nodes:
                self._try(self._api.patch, f"{LEASES}/{name}", {"spec": {"renewTime": _now_exactly()}})

    def _seen(self, event: Event) -> None:
        pod = event.object
        if pod["spec"].get("nodeName") not in self._nodes or event.kind == "DELETED":
            return
        ending = "deletionTimestamp" in pod["metadata"]
        step = (pod["metadata"]["uid"], "end" if ending else "start")
        if step in self._begun:
            return
        self._begun.add(step)
        wait, act = (END_S, self._end) if ending else (START_S, self._start)
        self._workers.submit(self._later, wait, act, pod)

    def _later(self, seconds: float, act: Any, pod: Pod) -> None:
        self._stopped.wait(seconds)
        self._try(act, pod)

    def _try(self, act: Any, *arguments: Any) -> None:
        """A pod may be gone, or be another one of its name: then there is nothing to say."""
        try:
            act(*arguments)
        except ApiRefused as refused:
            if refused.status not in (NOT_FOUND, CONFLICT):
                self._failed.append(refused)
        except Exception as error:
            if not self._stopped.is_set():
                self._failed.append(error)

    def _start(self, pod: Pod) -> None:
        """All containers run and are ready; those of a Job have done what they had to."""
        done = any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))
        address = str(IPv4Address(next(self._addresses)))
        conditions = ("Initialized", "ContainersReady", "Ready")
        status = {
            "phase": "Succeeded" if done else "Running",
            "startTime": _now(),
            "podIP": address,
            "podIPs": [{"ip": address}],
            "initContainerStatuses": [_container(one, done=True) for one in pod["spec"].get("initContainers", [])],
            "containerStatuses": [_container(one, done=done) for one in pod["spec"]["containers"]],
            "conditions": [
                {"type": kind, "status": str(not done or kind == "Initialized"), "lastTransitionTime": _now()}
                for kind in conditions
            ],
        }
        change = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        self._api.patch(f"{_path(pod)}/status", change, STRATEGIC)

    def _end(self, pod: Pod) -> None:
        self._api.delete(_path(pod), {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}})


def _container(one: Mapping[str, Any], *, done: bool) -> Mapping[str, Any]:
    state: Mapping[str, Any] = {"running": {"startedAt": _now()}}
    if done:
        state = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": _now()}}
    about = {"name": one["name"], "image": one["image"], "imageID": "", "restartCount": 0}
    return {**about, "ready": not done, "started": not done, "state": state}


def _path(pod: Pod) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _now_exactly() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
