"""How often what goes wrong. Probabilities are per event; each draw that fires is counted."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class Rates:
    """Probabilities of each fault."""

    ack_lost: float = 0.03
    ack_slow: float = 0.08
    lands_late: float = 0.03
    never_lands: float = 0.02
    rejected: float = 0.02
    no_offset: float = 0.02
    doubled: float = 0.02
    offset_gap: float = 0.05
    read_fails: float = 0.03
    load_fails: float = 0.05
    server_behind: float = 0.2
    crash: float = 0.004
    pause: float = 0.006
    takeover: float = 0.006
    cut_off: float = 0.04
    crooked_clock: float = 0.5
    projector_stops: float = 0.05
    projector_rests: float = 0.9
    duplicate_try: float = 0.15
    reused_id: float = 0.02
    late_repeat: float = 0.1


CALM = Rates(**{rate.name: 0.0 for rate in fields(Rates)})


@dataclass(slots=True)
class Faults:
    """Draws faults from the seed's own randomness and counts them."""

    random: random.Random
    rates: Rates
    fired: Counter[str] = field(default_factory=Counter)

    def happens(self, name: str) -> bool:
        """Whether the fault fires now."""
        if self.random.random() >= getattr(self.rates, name):
            return False
        self.fired[name] += 1
        return True
