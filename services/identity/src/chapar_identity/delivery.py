"""How a code reaches a phone: the port, the console of development, and an HTTP webhook.

A webhook gets `POST {"phone": ..., "code": ..., "expire_time_ms": ...}` and answers 2xx once it has taken over; 429
and 5xx mean try again. Codes and phones stand in no log but the console's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

import httpx

from chapar_chassis.telemetry import Shown

WEBHOOK_TIMEOUT_S = 5.0
WEBHOOK_TRIES_MAX = 3
WEBHOOK_PAUSE_S = 0.5
"""Before the second try; doubles."""


class CodeMessage(NamedTuple):
    """What a phone is to be sent."""

    phone: str
    code: str
    expire_time_ms: int


class Undeliverable(Exception):
    """The code was not taken over; the text says by which status or kind of error, never to whom."""


class CodeDelivery(Protocol):
    """Sends codes. The same code may be sent twice."""

    async def deliver(self, message: CodeMessage) -> None:
        """Returns once somebody else has taken over. Raises `Undeliverable`."""


class ConsoleDelivery:
    """Shows codes in the process's log: for development, and only there."""

    def __init__(self, log: Any) -> None:
        self._log = log

    async def deliver(self, message: CodeMessage) -> None:
        """One line of log."""
        self._log.info("sign_in_code", phone=Shown(message.phone), code=Shown(message.code))


class WebhookDelivery:
    """Posts codes to an HTTP endpoint, with a bounded number of tries."""

    def __init__(
        self, url: str, *, client: httpx.AsyncClient, pause: Callable[[float], Awaitable[None]]
    ) -> None:  # fmt: skip
        """`client` is shared by all posts for the life of the process; `pause` waits so many seconds."""
        self._url = url
        self._client = client
        self._pause = pause

    async def deliver(self, message: CodeMessage) -> None:
        """Posts until it is accepted, refused for good, or tried often enough."""
        problem = ""
        for attempt in range(WEBHOOK_TRIES_MAX):
            if attempt:
                await self._pause(WEBHOOK_PAUSE_S * 2 ** (attempt - 1))
            problem, is_final = await self._post(message)
            if not problem:
                return
            if is_final:
                break
        raise Undeliverable(problem)

    async def _post(self, message: CodeMessage) -> tuple[str, bool]:
        """(what went wrong or "", whether trying again is useless)."""
        try:
            response = await self._client.post(self._url, json=message._asdict(), timeout=WEBHOOK_TIMEOUT_S)
        except httpx.HTTPError as error:
            return type(error).__name__, False
        if response.is_success:
            return "", True
        return f"HTTP {response.status_code}", response.status_code != 429 and response.status_code < 500
