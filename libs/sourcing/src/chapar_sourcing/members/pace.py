"""When to beat: one beat under way at a time, an interval after the last one ended; and, out of turn, at once.

And which own beats others' silence is measured by. After an outage of the log members come back one after the other:
whoever began a try just before it ended waits until that is given up, and an interval more. So the own beats of that
long, after an outage, count for nothing.
"""

from __future__ import annotations

import math
from collections import deque

from chapar_sourcing.members.peers import EXPIRY_BEATS
from chapar_sourcing.ports.members import Beat

EARLY_SECONDS = 0.005
"""How much before its turn a beat may be sent: timers are not exact."""
BEAT_DEADLINE_SECONDS = 2.0
"""A beat that takes longer is given up: it proves nothing any more."""
OUTAGE_SECONDS = 1.0
"""A beat that took longer, or was given up and sent again later than that, may have met an outage for all."""
SEQUENCES_MAX = 1_000
"""Beats given up, and beats that do not count, that are remembered."""


class Pace:
    """The own beats."""

    def __init__(self, member: bytes, address: str, interval_seconds: float) -> None:
        self._member = member
        self._address = address
        self._interval = interval_seconds
        self._next = float("-inf")
        self._in_flight: Beat | None = None
        self._extra_wanted = False
        self._given_up: deque[int] = deque(maxlen=SEQUENCES_MAX)
        self._sent_at = 0.0
        self._reached_at: float | None = None
        """When the last acknowledged beat was sent; before there is one, when the first was."""
        self._away = False
        """Whether no beat was acknowledged since an outage was noticed."""
        self._returning = 0
        """So many beats in turn do not count yet: others may still be away."""
        self._counting = EXPIRY_BEATS
        """So many in turn have counted since: where each is late, as many count between two outages as let the dead
        expire."""
        self._uncounted: deque[int] = deque(maxlen=SEQUENCES_MAX)
        self.sequence = 0
        """Of the last beat sent."""

    def want_extra(self) -> None:
        """Has a beat sent as soon as none is under way."""
        self._extra_wanted = True

    def due(self, now: float, *, draining: bool, unfit: bool = False) -> Beat | None:
        """The beat to send now, if any."""
        regular = now >= self._next - EARLY_SECONDS
        if self._in_flight is not None or not (regular or self._extra_wanted):
            return None
        self.sequence += 1
        self._extra_wanted = False
        self._sent(now, in_turn=regular)
        self._in_flight = Beat(
            self._member, self._address, self.sequence, draining=draining, extra=not regular, unfit=unfit
        )
        return self._in_flight

    def _sent(self, now: float, *, in_turn: bool) -> None:
        self._sent_at = now
        if self._reached_at is None:
            self._reached_at = now
        away = now - self._reached_at > OUTAGE_SECONDS + self._interval
        if away and (self._away or self._counting >= EXPIRY_BEATS):
            self._away = True
            self._returning = math.ceil((BEAT_DEADLINE_SECONDS + self._interval) / self._interval)
            self._counting = 0
        if in_turn and self._returning:
            self._returning -= 1
            self._uncounted.append(self.sequence)
        elif in_turn:
            self._counting += 1

    def ended(self, sequence: int, now: float, *, acknowledged: bool) -> None:
        """The beat under way ended. One that fails out of turn is not sent again before its turn."""
        assert self._in_flight is not None, "one beat is under way at a time"
        assert self._in_flight.sequence == sequence, "and it is the last one sent"
        if acknowledged:
            self._reached_at = self._sent_at
            self._away = False
        else:
            self._given_up.append(sequence)
        if not acknowledged or not self._in_flight.extra:
            self._extra_wanted = self._extra_wanted and acknowledged
            self._next = now + self._interval
        self._in_flight = None

    def is_known(self, beat: Beat) -> bool:
        """Whether an own beat that was read had not been given up: one that had may be as old as can be."""
        return beat.sequence not in self._given_up

    def counts(self, beat: Beat) -> bool:
        """Whether others' silence is measured by an own beat that was read."""
        return not beat.extra and beat.sequence not in self._uncounted
