"""How many processes of each service serve, counted at every change of any pod."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Self

from tests.deploy.cluster.kit import eventually
from tools.cluster.api import Api, Event
from tools.cluster.pods import Pod, PodWatch, is_ready


class ReadyCounts:
    """Of one namespace, from the moment on when it is entered; a context manager."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._lock = threading.Lock()
        self._ready: dict[str, str] = {}
        """Pod that serves -> its service."""
        self._states: dict[str, str] = {}
        """Pod -> the last state of it that was seen."""
        self._least: Counter[str] | None = None
        self._watch = PodWatch(api, self._seen)

    def __enter__(self) -> Self:
        self._watch.__enter__()
        with self._lock:
            self._least = Counter(self._ready.values())
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None:
                eventually(self._has_seen_all)
        finally:
            self._watch.__exit__(*error)

    def least(self, service: str) -> int:
        """The fewest that served at once."""
        assert self._least is not None
        return self._least[service]

    def _has_seen_all(self) -> bool:
        pods = self._api.get(f"/api/v1/namespaces/{self._namespace}/pods")["items"]
        now = {pod["metadata"]["uid"]: pod["metadata"]["resourceVersion"] for pod in pods}
        with self._lock:
            return self._states == now

    def _seen(self, event: Event) -> None:
        pod = event.object
        if pod["metadata"]["namespace"] != self._namespace:
            return
        uid = pod["metadata"]["uid"]
        with self._lock:
            self._states[uid] = pod["metadata"]["resourceVersion"]
            if event.kind == "DELETED":
                del self._states[uid]
            if event.kind != "DELETED" and is_process(pod) and is_ready(pod):
                self._ready[uid] = pod["metadata"]["labels"]["app.kubernetes.io/name"].removeprefix("chapar-")
            else:
                self._ready.pop(uid, None)
            if self._least is not None:
                counts = Counter(self._ready.values())
                self._least = Counter({service: min(least, counts[service]) for service, least in self._least.items()})


def is_process(pod: Pod) -> bool:
    """Whether it is one of a service's processes, not of a Job."""
    return bool(pod["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "server")
