"""Time, passed in: the system's clock, a clock for tests, and the owner's clock that never goes back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

_MONOTONIC = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""One that goes on while the machine sleeps: an hour's sleep is no jump of the clock."""


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
        return time.clock_gettime(_MONOTONIC)

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


OFF_MS_MAX = 2_000
"""An owner whose clock is further off the journal's neither claims nor decides."""
DRIFT_MS_A_SECOND = 0.2
"""How fast the monotonic clock and the journal's may drift apart: between two appends they are not compared."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """When something was sent: what an acknowledgement's time is compared with."""

    wall_ms: int
    owner_ms: int
    monotonic: float


class OwnerClock:
    """The clock of decisions: the journal's time at the last append and the monotonic time since; before the first
    append, and where the journal reports no time, the machine's. It never goes back.

    An append says that the journal's time lay between its sending and its acknowledgement. What is known is moved into
    that interval and no further: an append that took long says little, and must not leave the clock behind.

    A time of the journal that contradicts it by more than two seconds is not believed, and neither is a machine's clock
    so far off the journal's: then `off_ms` says how far, nothing is decided, and nothing expires. It ends with the
    first append at which all agree again, or as soon as the machine's clock is right where that alone was wrong; a
    clock that was wrong for good needs a new process.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ms = 0
        self._ahead_ms: float | None = None
        """How far the journal's clock was ahead of the monotonic one; None: not known."""
        self._heard = 0.0
        """Monotonic time of that."""
        self._unsure_ms = 0.0
        """By how much that may be wrong."""
        self._off_ms = 0
        self._machine_is_off = False
        """The machine's clock alone is: the journal's time was as expected."""

    @property
    def off_ms(self) -> int:
        """How far the clocks are apart where that is too far; 0 when all is well."""
        if self._machine_is_off and abs(self.now_ms() - self._clock.now_ms()) <= OFF_MS_MAX:
            self._off_ms, self._machine_is_off = 0, False
        return self._off_ms

    def now_ms(self) -> int:
        """Milliseconds since 1970, never less than before."""
        if self._ahead_ms is None:
            now_ms = self._clock.now_ms()
        else:
            now_ms = int(self._ahead_ms + self._clock.monotonic() * 1000)
        self._last_ms = max(self._last_ms, now_ms)
        return self._last_ms

    def monotonic(self) -> float:
        """Seconds that only grow; for durations."""
        return self._clock.monotonic()

    def stamp(self) -> Stamp:
        """Taken before an append is sent."""
        return Stamp(self._clock.now_ms(), self.now_ms(), self._clock.monotonic())

    def heard(self, journal_ms: int, sent: Stamp) -> None:
        """An append that was sent at `sent` is acknowledged; the journal's clock said `journal_ms` in between."""
        now = self.stamp()
        allowed_ms = OFF_MS_MAX + self._unsure_ms + (now.monotonic - self._heard) * DRIFT_MS_A_SECOND
        if self._ahead_ms is None:
            allowed_ms = OFF_MS_MAX
        of_owner = _outside(journal_ms, sent.owner_ms, now.owner_ms)
        of_wall = _outside(journal_ms, sent.wall_ms, now.wall_ms)
        if abs(of_owner) > allowed_ms or abs(of_wall) > OFF_MS_MAX:
            self._machine_is_off = abs(of_owner) <= allowed_ms
            self._off_ms = of_wall if self._machine_is_off else of_owner
            return
        self._off_ms, self._machine_is_off = 0, False
        least_ms, most_ms = journal_ms - now.monotonic * 1000, journal_ms - sent.monotonic * 1000
        known_ms = now.wall_ms - now.monotonic * 1000 if self._ahead_ms is None else self._ahead_ms
        if self._ahead_ms is None or most_ms - least_ms <= self._unsure_ms or not least_ms <= known_ms <= most_ms:
            self._heard, self._unsure_ms = now.monotonic, most_ms - least_ms
        self._ahead_ms = min(max(known_ms, least_ms), most_ms)


def _outside(journal_ms: int, from_ms: int, to_ms: int) -> int:
    """How far a time lies before (below zero) or after an interval; 0 within it."""
    return min(0, journal_ms - min(from_ms, to_ms)) or max(0, journal_ms - max(from_ms, to_ms))
