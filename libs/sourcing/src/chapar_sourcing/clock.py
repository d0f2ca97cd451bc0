"""Time, passed in: the system's clock, a clock for tests, and the owner's clock that never goes back."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the engine knows of time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, as far as this machine knows; may jump."""

    def monotonic(self) -> float:
        """Seconds that only grow; for durations."""

    async def sleep(self, seconds: float) -> None:
        """Waits by the monotonic clock."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._monotonic = 0.0
        self._moved = asyncio.Condition()

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        until = self._monotonic + seconds
        async with self._moved:
            await self._moved.wait_for(lambda: self._monotonic >= until)

    async def advance(self, milliseconds: int) -> None:
        """Moves both clocks on and wakes whoever has slept long enough."""
        async with self._moved:
            self._now_ms += milliseconds
            self._monotonic += milliseconds / 1000
            self._moved.notify_all()

    def jump(self, milliseconds: int) -> None:
        """Moves the wall clock alone, as a correction of the machine's time does."""
        self._now_ms += milliseconds


class OwnerClock:
    """The clock of decisions: the greatest time seen, so that it never goes back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since 1970, never less than before."""
        self._last_ms = max(self._last_ms, self._clock.now_ms())
        return self._last_ms
