"""How long a member was silent, as others may measure it: by what was no outage, nor the time after one in which those
who beat all along before it count nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

RETURNING_SECONDS = 2.2
"""For how long at least own beats count for nothing after a long outage."""
LONG_SECONDS = 2.0
"""An outage that everybody notices who beat before it."""
STEADY_SECONDS = 10.0
"""For how long somebody must have beaten before an outage to notice it: own beats count between two of them."""
STEADY_GAP_SECONDS = 0.9


@dataclass(frozen=True, slots=True)
class Outage:
    """When nobody could beat; true time."""

    begin: float
    end: float

    def forgiven_until(self, by: Sequence[float]) -> float:
        """Until when it is forgiven by a member whose beats landed at these times."""
        if self.end - self.begin < LONG_SECONDS:
            return self.end
        since = self.begin - STEADY_SECONDS
        before = [at for at in by if since < at < self.begin]
        steady = bool(by) and by[0] <= since and _longest([since, *before, self.begin]) < STEADY_GAP_SECONDS
        return self.end + RETURNING_SECONDS if steady else self.end


@dataclass(frozen=True, slots=True)
class Silence:
    """The longest time between two beats."""

    seconds: float
    met_outage: bool
    """Whether an outage lay in it."""


def silence(of: Sequence[float], by: Sequence[float], since: float, until: float, outages: Sequence[Outage]) -> Silence:
    """How long a member was silent between two times, before its first beat and after its last one included, for
    another. `of` and `by`: when their beats landed, in order."""
    times = [since, *(at for at in of if since < at < until), until]
    forgiven = [(outage.begin, outage.forgiven_until(by)) for outage in outages]
    found = Silence(0.0, False)
    for begin, end in itertools.pairwise(times):
        away = sum(max(0.0, min(end, back) - max(begin, gone)) for gone, back in forgiven)
        if end - begin - away > found.seconds:
            found = Silence(end - begin - away, away > 0)
    return found


def _longest(times: Sequence[float]) -> float:
    return max(later - earlier for earlier, later in itertools.pairwise(times))
