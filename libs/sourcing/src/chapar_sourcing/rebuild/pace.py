"""How much of a process a rebuild may take, and how long it puts up with a store or a log that is away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from chapar_sourcing.clock import Clock
from chapar_sourcing.ports import StoreBehind, Unavailable
from chapar_sourcing.refusing import EngineRefused

T = TypeVar("T")

PIECE_SECONDS = 0.005
SHARE = 0.5
"""The part of the time that is spent working."""
TRIES_MAX = 20
RETRY_SECONDS = 0.25


class Pace:
    """Counts work and rests."""

    def __init__(self, clock: Clock, *, share: float = SHARE) -> None:
        self._clock = clock
        self._share = share
        self._since = clock.monotonic()
        self.hurried = False
        """Whether to go on without rests, because somebody waits or because traffic is faster than the rebuild."""

    async def breathe(self) -> None:
        """To be called between pieces of work: rests as long as the share asks, once enough has been done."""
        worked = self._clock.monotonic() - self._since
        if worked < PIECE_SECONDS:
            return
        await self._clock.sleep(0 if self.hurried else worked * (1 - self._share) / self._share)
        self._since = self._clock.monotonic()

    async def patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Does a piece of work that is harmless to repeat, again while something that it needs is away.

        Raises `Unavailable` or `StoreBehind` after some seconds of that.
        """
        for _ in range(TRIES_MAX - 1):
            try:
                return await work()
            except (Unavailable, StoreBehind, EngineRefused):
                await self._clock.sleep(RETRY_SECONDS)
        try:
            return await work()
        except EngineRefused as refused:
            raise Unavailable(f"the owner does not answer: {refused}") from refused
