"""How often what goes wrong. Probabilities are per event; each draw that fires is counted and numbered."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

KINDS_MAX = 64
"""How many kinds of faults a simulator has at most, wishes included."""
WISH = "wish"
SHARES = (0.1, 0.5, 1.0, 2.0)
"""How much of its rate a fault may have in a seed."""
RATE_MAX = 0.9
SORTS = 5
CALM, CLOCKED = 4, 3
"""Of each five seeds, by the rest: one in which processes live long and clients insist, so that what takes seconds
comes to its end, and one as wild as the other three. In these no clock is known to be off, and no look-up waits to be
overtaken."""
DEADLY = (
    "ack_lost",
    "lands_late",
    "never_lands",
    "rejected",
    "journal_crash",
    "fail_over",
    "crash",
    "pause",
    "long_pause",
    "takeover",
    "cut_off",
)
"""What ends lives, or holds them up; rare in calm seeds."""
INSISTENT: Mapping[str, float] = {
    "load_stalls": 0.4,
    "duplicate_try": 0.4,
    "patient_try": 0.8,
    "look_up_stalls": 0.9,
    "clock_off_then": 0.9,
}
"""What is frequent there."""
OF_CLOCKS = ("look_up_stalls", "clock_off", "clock_off_then")
"""What happens in calm seeds and in those `CLOCKED`."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Probabilities of each fault."""

    ack_lost: float = 0.03
    ack_slow: float = 0.08
    lands_late: float = 0.03
    never_lands: float = 0.02
    rejected: float = 0.02
    no_offset: float = 0.02
    ack_repeated: float = 0.03
    ack_stale: float = 0.3
    """Of acknowledgements that were lost: heard after all, when the sender has long given up."""
    journal_crash: float = 0.002
    doubled: float = 0.02
    offset_gap: float = 0.05
    read_fails: float = 0.03
    load_fails: float = 0.05
    load_stalls: float = 0.2
    connection_lost: float = 0.05
    """All questions to the store that are under way fail at once."""
    pages_lost: float = 0.5
    """The same while two pages of timers are under way, of which one was given up."""
    connection_lost_last: float = 0.5
    """The same as the last thing before all heals."""
    server_behind: float = 0.2
    confirmed_late: float = 0.1
    fail_over: float = 0.004
    crash: float = 0.004
    pause: float = 0.005
    long_pause: float = 0.001
    """Longer than a heartbeat is fresh."""
    takeover: float = 0.006
    cut_off: float = 0.04
    crooked_clock: float = 0.5
    projector_stops: float = 0.05
    projector_rests: float = 0.4
    duplicate_try: float = 0.15
    reused_id: float = 0.02
    late_repeat: float = 0.15
    youngest_id: float = 0.2
    """As far ahead of an owner's clock as it may be."""
    answer_lost: float = 0.1
    """On its way to the client, who tries again."""
    patient_try: float = 0.4
    """A try that waits while others of the same wish follow."""
    look_up_stalls: float = 0.5
    """Of questions to the store for an id that somebody else waits for, too: until it was decided and stored."""
    clock_off: float = 0.01
    """A clock that is known to be wrong, for a while."""
    clock_off_then: float = 0.5
    """The same just before an answer comes that stalled until then."""

    def by_name(self) -> Mapping[str, float]:
        """The probabilities, each from 0 to 1, by the fault's name."""
        return asdict(self)

    def of(self, seed: int) -> Rates:
        """Those of one seed: some faults are rarer there and some more frequent, so that seeds differ in what comes
        together."""
        chance = random.Random(f"{seed}/rates")
        rates = {name: min(RATE_MAX, rate * chance.choice(SHARES)) for name, rate in self.by_name().items()}
        if is_calm(seed):
            rates.update({name: self.by_name()[name] * min(SHARES) for name in DEADLY}, **INSISTENT)
        elif seed % SORTS != CLOCKED:
            rates.update(dict.fromkeys(OF_CLOCKS, 0.0))
        return Rates(**rates)


def is_calm(seed: int) -> bool:
    """Whether a seed is one of the calm ones."""
    return seed % SORTS == CALM


EFFECTS = (
    "torn_tail",
    "unconfirmed_lost",
    "documents_evicted",
    "answers_evicted",
    "look_ups_overtaken",
    "chimes_fired",
    "chimes_cancelled",
    "chimes_again",
    "chimes_crowded",
    "calm_seeds",
)
"""Counted beside the faults: records on their way that a crash of the journal took, writes that a fail-over took, what
left an owner's memory, answers that came when what was asked for was decided and stored, what timers did."""


class Fault(NamedTuple):
    """A fault that fired, or a wish that a client began; `number` names it within its seed."""

    number: int
    name: str


class AllBut:
    """Holds every number except a few: what is suppressed when only those few shall fire."""

    def __init__(self, numbers: Container[int]) -> None:
        self._numbers = numbers

    def __contains__(self, number: object) -> bool:
        return number not in self._numbers


class Faults:
    """Draws faults, each kind from a stream of its own: the n-th draw of a kind comes out the same whatever else
    happens. A fault whose number is among `suppressed` does not fire; so a trace can be shrunk."""

    def __init__(self, seed: int, rates: Mapping[str, float], suppressed: Container[int] = frozenset()) -> None:
        assert len(rates) < KINDS_MAX, "each kind has a number of its own, and so have wishes"
        self._rates = dict(rates)
        self._kinds = {name: kind for kind, name in enumerate([WISH, *rates])}
        self._streams = {name: random.Random(f"{seed}/{name}") for name in rates}
        self._suppressed = suppressed
        self._draws: Counter[str] = Counter()
        self._healed = False
        self.fired: Counter[str] = Counter()
        """How often each kind fired."""
        self.numbered: list[Fault] = []
        """What fired and which wishes began, in order."""

    def happens(self, name: str) -> bool:
        """Whether the fault fires now."""
        if self._healed:
            return False
        number = self._number(name)
        if self._streams[name].random() >= self._rates[name] or number in self._suppressed:
            return False
        self.fired[name] += 1
        self.numbered.append(Fault(number, name))
        return True

    def wished(self) -> bool:
        """Whether the next wish of a client is to be done. Wishes are numbered like faults and always fire."""
        number = self._number(WISH)
        if number in self._suppressed:
            return False
        self.numbered.append(Fault(number, WISH))
        return True

    def heal(self) -> None:
        """No faults from now on; wishes go on."""
        self._healed = True

    def _number(self, name: str) -> int:
        self._draws[name] += 1
        return self._draws[name] * KINDS_MAX + self._kinds[name]
