"""The own heartbeat: the proof that this process is not cut off.

Flows in: own beats, sent and acknowledged. Flows out: when the last acknowledged one was *sent*; a beat that took long
proves nothing about the time since.

Others may succeed whoever was silent for long enough. So a heartbeat that is fresh again proves nothing about what was
claimed before it lapsed: `lapses` tells the one time from the other.
"""

from __future__ import annotations

from collections.abc import Awaitable

from chapar_sourcing.clock import Clock, OwnerClock
from chapar_sourcing.measures import Measures
from chapar_sourcing.ports import Unavailable
from chapar_sourcing.pulse import Pulse

FRESH_MS = 1_000
"""How old a beat may be for what leaves the process without an append of its own."""


class Heartbeat:
    """Beats of one process."""

    def __init__(self, clock: Clock, owner_clock: OwnerClock, measures: Measures) -> None:
        self._clock = clock
        self._owner_clock = owner_clock
        self._measures = measures
        self._sent = float("-inf")
        self._began = clock.monotonic()
        self._acknowledged = Pulse()
        self._fresh_until = clock.monotonic() + FRESH_MS / 1000
        """Until when nobody can have taken this process for gone; at the beginning it has only just joined."""
        self.sent_ms = 0
        """Owner's clock when the last acknowledged beat was sent; 0 before the first."""
        self.lapses = 0
        """How often an acknowledgement came after others might have taken this process for gone."""

    @property
    def is_fresh(self) -> bool:
        """Whether a beat was sent and acknowledged within the last second."""
        return (self._clock.monotonic() - self._sent) * 1000 <= FRESH_MS

    @property
    def age_seconds(self) -> float:
        """Time since the last acknowledged beat was sent; before the first, since this was made."""
        return self._clock.monotonic() - max(self._sent, self._began)

    async def wait_fresh(self) -> None:
        """Returns as soon as a fresh beat is acknowledged."""
        await self._acknowledged.until(lambda: self.is_fresh)

    async def beat(self, sending: Awaitable[int | None]) -> bool:
        """Beats once, and says whether that was acknowledged; otherwise the last beat is only older. One is under way
        at most.

        The time of its append may end a doubt about the clock, as nothing else does where nothing is owned; it never
        begins one: one broker's clock must not stop every owner.
        """
        sent = self._owner_clock.stamp()
        try:
            appended_ms = await sending
        except Unavailable:
            self._measures.count("heartbeats_lost")
            return False
        if appended_ms is not None and self._owner_clock.off_ms:
            self._owner_clock.heard(appended_ms, sent)
        if self._clock.monotonic() > self._fresh_until:
            self.lapses += 1
        self._fresh_until = sent.monotonic + FRESH_MS / 1000
        self._sent, self.sent_ms = sent.monotonic, sent.owner_ms
        self._acknowledged.beat()
        return True
