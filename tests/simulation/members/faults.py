"""How often what goes wrong among members, beside what goes wrong on the path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from tests.simulation.path import faults as path


@dataclass(frozen=True, slots=True)
class Rates(path.Rates):
    """Those of the path, rarer where a moment has them, as runs are longer; and what befalls members."""

    crash: float = 0.003
    pause: float = 0.004
    cut_off: float = 0.003
    drain: float = 0.003
    journal_loses_flight: float = 0.003
    store_fails_over: float = 0.004
    beat_ack_slow: float = 0.02
    beat_slow: float = 0.02
    comes_back: float = 0.5
    """Of those who crash or end: another process answers at the same address a little later."""
    joins: float = 0.004
    members_outage: float = 0.002
    """Neither beats nor owners' words can be written or read, by anybody."""
    owners_outage: float = 0.003
    """Owners' words cannot."""
    owners_compacted: float = 0.02
    word_ack_lost: float = 0.05
    word_late: float = 0.15
    """An owner's word that is given up and lands later."""
    beat_late: float = 0.01
    """The same of a beat."""
    news_fails: float = 0.005
    placed: float = 0.006
    """An operator says where a partition belongs."""
    clock_jumps: float = 0.002
    """A process's clock is set wrong, for a while."""

    def by_name(self) -> Mapping[str, float]:
        """The probabilities, each from 0 to 1, by the fault's name. Nobody on stage takes anything over."""
        return {name: rate for name, rate in asdict(self).items() if name != "take_over"}


EFFECTS = (
    "watch_resumed",
    "watch_reset",
    "watch_gap",
    "stream_beats",
    "taken_from_the_living",
    "rows_of_the_deposed",
    "announced",
    "released",
    "judged_claims",
    "judged_reads",
    "words_away",
    "unfit",
    "moved",
    "drained",
)
"""Counted beside the faults: those of the path; announcements and releases that landed; claims from somebody that were
judged, reads that were; news without owners' words; beats of members that said that they cannot own; partitions that
were moved by an operator, and members that ended and handed over, when all had healed."""
