"""When to beat: one beat under way at a time, an interval after the last one ended; and, out of turn, at once."""

from __future__ import annotations

from collections import deque

from chapar_sourcing.ports.members import Beat

EARLY_SECONDS = 0.005
"""How much before its turn a beat may be sent: timers are not exact."""
GIVEN_UP_MAX = 100
"""Beats without an acknowledgement that are remembered."""


class Pace:
    """The own beats."""

    def __init__(self, member: bytes, address: str, interval_seconds: float) -> None:
        self._member = member
        self._address = address
        self._interval = interval_seconds
        self._next = float("-inf")
        self._in_flight: Beat | None = None
        self._extra_wanted = False
        self._given_up: deque[int] = deque(maxlen=GIVEN_UP_MAX)
        self.sequence = 0
        """Of the last beat sent."""

    def want_extra(self) -> None:
        """Has a beat sent as soon as none is under way."""
        self._extra_wanted = True

    def due(self, now: float, *, draining: bool) -> Beat | None:
        """The beat to send now, if any."""
        regular = now >= self._next - EARLY_SECONDS
        if self._in_flight is not None or not (regular or self._extra_wanted):
            return None
        self.sequence += 1
        self._extra_wanted = False
        self._in_flight = Beat(self._member, self._address, self.sequence, draining=draining, extra=not regular)
        return self._in_flight

    def ended(self, sequence: int, now: float, *, acknowledged: bool) -> None:
        """The beat under way ended. One that fails out of turn is not sent again before its turn."""
        assert self._in_flight is not None, "one beat is under way at a time"
        assert self._in_flight.sequence == sequence, "and it is the last one sent"
        if not acknowledged:
            self._given_up.append(sequence)
        if not acknowledged or not self._in_flight.extra:
            self._extra_wanted = self._extra_wanted and acknowledged
            self._next = now + self._interval
        self._in_flight = None

    def is_known(self, beat: Beat) -> bool:
        """Whether an own beat that was read had not been given up: one that had may be as old as can be."""
        return beat.sequence not in self._given_up
