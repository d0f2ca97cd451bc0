"""How watches at owners are held and taken up again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import cast

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_chassis.forwarder import Forwarder

FIRST_PAUSE_MS = 50
PAUSE_MS_MAX = 2_000


@asynccontextmanager
async def watching(
    forwarder: Forwarder, service: str, request: peer.WatchRequest
) -> AsyncIterator[AsyncIterator[peer.WatchResponse]]:
    """The responses of one watch, which ends with the block."""
    responses = cast("AsyncGenerator[peer.WatchResponse, None]", forwarder.watch(service, request))
    async with aclosing(responses):
        yield responses


class Backoff:
    """Pauses before coming back: doubling, with jitter."""

    def __init__(self, random: Callable[[], float]) -> None:
        """`random` gives numbers from 0 up to 1."""
        self._random = random
        self._bound_ms = FIRST_PAUSE_MS

    def reset(self) -> None:
        """After something went well."""
        self._bound_ms = FIRST_PAUSE_MS

    def next_s(self) -> float:
        """The next pause in seconds: half of the bound to the whole of it."""
        pause_ms = self._bound_ms * (1 + self._random()) / 2
        self._bound_ms = min(PAUSE_MS_MAX, 2 * self._bound_ms)
        return pause_ms / 1000
