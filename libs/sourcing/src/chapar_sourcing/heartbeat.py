"""The own heartbeat: the proof that this process is not cut off.

Flows in: acknowledgements of `Members.beat`. Flows out: when the last acknowledged beat was *sent*; a beat that took
long proves nothing about the time since. One is in flight at most.

Others may succeed whoever was silent for long enough. So a heartbeat that is fresh again proves nothing about what was
claimed before it lapsed: `lapses` tells the one time from the other.
"""

from __future__ import annotations

from chapar_sourcing.clock import Clock, OwnerClock
from chapar_sourcing.measures import Measures
from chapar_sourcing.ports import Members, Unavailable
from chapar_sourcing.pulse import Pulse

FRESH_MS = 1_000
"""How old a beat may be for what leaves the process without an append of its own."""


class Heartbeat:
    """Beats for one process."""

    def __init__(self, members: Members, clock: Clock, owner_clock: OwnerClock, measures: Measures) -> None:
        self._members = members
        self._clock = clock
        self._owner_clock = owner_clock
        self._measures = measures
        self._sent = float("-inf")
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

    async def wait_fresh(self) -> None:
        """Returns as soon as a fresh beat is acknowledged."""
        await self._acknowledged.until(lambda: self.is_fresh)

    async def run(self, interval_ms: int) -> None:
        """Beats until cancelled."""
        while True:
            await self.beat()
            await self._clock.sleep(interval_ms / 1000)

    async def beat(self) -> None:
        """Beats once; a beat that is not acknowledged only makes the last one older."""
        sent, sent_ms = self._clock.monotonic(), self._owner_clock.now_ms()
        try:
            await self._members.beat()
        except Unavailable:
            self._measures.count("heartbeats_lost")
            return
        if self._clock.monotonic() > self._fresh_until:
            self.lapses += 1
        self._fresh_until = sent + FRESH_MS / 1000
        self._sent, self.sent_ms = sent, sent_ms
        self._acknowledged.beat()
