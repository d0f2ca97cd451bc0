"""The little of Kubernetes' API that nodes and tests need: objects as JSON, over HTTPS with a token."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ANSWER_S_MAX = 300.0
WATCH_S = 5
"""How long one watch lasts before it is asked for again; bounds how long whoever watches takes to end."""
JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class ApiRefused(Exception):
    """The server's word against a request: its status, its reason, its message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason, self.message = status, reason, message


class Event(NamedTuple):
    """What a watch saw."""

    kind: str
    """ADDED, MODIFIED, DELETED."""
    object: Mapping[str, Any]


class Api:
    """A client; any number of threads may use it."""

    def __init__(self, port: int, token: str, authority: Path) -> None:
        """The server is on 127.0.0.1. `authority` has the certificate that signs its own."""
        self._port = port
        self._token = token
        self._context = ssl.create_default_context(cafile=str(authority))

    def get(self, path: str, **parameters: str) -> Any:
        """An object, or a list of them. Raises `ApiRefused`."""
        return self._send("GET", path, None, JSON, parameters)

    def text(self, path: str) -> str:
        """What is no JSON, such as metrics."""
        with self._open("GET", path, None, JSON, {}) as answer:
            return str(answer.read().decode())

    def create(self, path: str, one: Mapping[str, Any], **parameters: str) -> Any:
        """The object as it was made. Raises `ApiRefused`."""
        return self._send("POST", path, one, JSON, parameters)

    def patch(self, path: str, change: Mapping[str, Any], how: str = MERGE) -> Any:
        """The object as it is now. Raises `ApiRefused`."""
        return self._send("PATCH", path, change, how, {})

    def delete(self, path: str, options: Mapping[str, Any] | None = None) -> None:
        """Asks for an end; whether it has come, `get` says. Raises `ApiRefused`."""
        self._send("DELETE", path, options, JSON, {})

    def events(self, path: str, since: str, **parameters: str) -> Iterator[Event]:
        """What happens after a resource version, for `WATCH_S`. Raises `ApiRefused`, with 410 when that is too old."""
        asked = {**parameters, "watch": "true", "resourceVersion": since, "timeoutSeconds": str(WATCH_S)}
        with self._open("GET", path, None, JSON, asked) as answer:
            for line in answer:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise _refused(event["object"])
                yield Event(event["type"], event["object"])

    def _send(self, method: str, path: str, body: Any, kind: str, parameters: Mapping[str, str]) -> Any:
        with self._open(method, path, body, kind, parameters) as answer:
            return json.load(answer)

    def _open(
        self, method: str, path: str, body: Any, kind: str, parameters: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=ANSWER_S_MAX, context=self._context)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind, "Connection": "close"}
        connection.request(method, path + query, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        if answer.status >= http.client.BAD_REQUEST:
            with answer:
                raise _refused(_status(answer.read().decode(errors="replace"), answer.status))
        return answer


def _status(said: str, code: int) -> Mapping[str, Any]:
    try:
        read: Mapping[str, Any] = json.loads(said)
    except ValueError:
        return {"code": code, "message": said}
    return read


def _refused(status: Mapping[str, Any]) -> ApiRefused:
    return ApiRefused(int(status.get("code", 0)), str(status.get("reason", "")), str(status.get("message", "")))
