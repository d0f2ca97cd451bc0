"""Pods as they change: every state that the API server had of each, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tools.cluster.api import Api, Event

Pod: TypeAlias = Mapping[str, Any]


class PodWatch:
    """Tells `seen` of every change to any pod, from those there are on, in a thread of its own; a context manager."""

    def __init__(self, api: Api, seen: Callable[[Event], None]) -> None:
        self._api = api
        self._seen = seen
        self._stopped = threading.Event()
        self._failed: BaseException | None = None
        self._since = ""
        self._thread = threading.Thread(target=self._run, name="pods", daemon=True)

    def __enter__(self) -> PodWatch:
        found = self._api.get("/api/v1/pods")
        self._since = found["metadata"]["resourceVersion"]
        for pod in found["items"]:
            self._seen(Event("ADDED", pod))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        if self._failed is not None:
            raise RuntimeError("what happened to pods is not known any more") from self._failed

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                for event in self._api.events("/api/v1/pods", self._since):
                    self._since = event.object["metadata"]["resourceVersion"]
                    self._seen(event)
        except Exception as error:
            self._failed = error


def is_ready(pod: Pod) -> bool:
    """Whether it serves: ready, and not about to end."""
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
