"""Whether this member should own anything, as far as it can tell: what hinders it, counted in own beats.

Flows in: at each own beat that counts, what hinders the process, and whether it is stuck. Flows out: `fit`, which its
beats tell the others. A short hindrance is none, and one that ends is believed to have ended a while later: a clock
that is off every other second moves nothing.

A member is stuck when it owns nothing and could not take over anything for long. Whoever owns something and is stuck
with the rest is fit: then it is the partition, or what lies below it, and it would be stuck with anybody.
"""

from __future__ import annotations

from chapar_sourcing.members.messages import Hindrance

UNFIT_BEATS = 17
"""Own beats in a row (5 s) with a hindrance that make a member unfit."""
FIT_BEATS = 34
"""Own beats in a row (10 s) without one until it is fit again."""
STUCK_BEATS = 50
"""Own beats in a row (15 s) at which a member holds partitions and none that it owned."""
RETRY_BEATS = 1_000
"""Own beats (5 min) until a member that was stuck tries again: each try costs its share a take-over."""


class Fitness:
    """One member's own judgement of itself."""

    def __init__(self) -> None:
        self._hindered = self._stuck = 0
        """Own beats in a row so far."""
        self._rests = self._retries = 0
        """Own beats still to come, after a hindrance and after having been stuck."""

    @property
    def fit(self) -> bool:
        """Whether others should count on it."""
        return not (self._rests or self._retries)

    def beat(self, hindrance: Hindrance, *, stuck: bool) -> None:
        """An own beat that counts."""
        hindered = hindrance is not Hindrance.NONE
        self._hindered = self._hindered + 1 if hindered else 0
        self._stuck = self._stuck + 1 if stuck and not hindered else 0
        self._rests, self._retries = max(0, self._rests - 1), max(0, self._retries - 1)
        if self._hindered >= UNFIT_BEATS or (self._hindered and self._rests):
            self._rests = FIT_BEATS
        if self._stuck >= STUCK_BEATS:
            self._retries = RETRY_BEATS

    def owning(self) -> None:
        """It took something over: it is not stuck."""
        self._stuck = self._retries = 0
