"""What every lane of the simulator offers: `play(seed, suppressed) -> Played`.

A lane is a module with such a function; `LANES` names them. What plays many seeds, shrinks a trace or adds up a soak
knows lanes by this alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from tests.simulation.faults import Fault

LANES = {
    "owner": "tests.simulation.run",
    "damage": "tests.simulation.damage",
    "path": "tests.simulation.path.run",
    "members": "tests.simulation.members.run",
    "erasing": "tests.simulation.erasing.run",
}
"""The module of each lane."""


class Violation(AssertionError):
    """Something that must never happen has happened."""


@dataclass(frozen=True, slots=True)
class Played:
    """How a seed went."""

    seed: int
    trace_hash: str
    fired: Counter[str]
    """How often each kind of fault fired."""
    violation: str
    """What was violated; empty when all was good."""
    steps: Sequence[str]
    """The trace, a line a step."""
    faults: Sequence[Fault] = ()
    """The faults that fired and the wishes that began, in order."""

    @property
    def kind(self) -> str:
        """The violation without names and numbers: two runs with the same one failed in the same way."""
        return re.sub(r"\b(\w*\d\w*|\w)\b", "#", self.violation)


class Play(Protocol):
    """Plays one seed to its end and judges it; faults and wishes whose numbers are in `suppressed` do not happen."""

    def __call__(self, seed: int, suppressed: Container[int] = frozenset()) -> Played: ...


def play_of(lane: str) -> Play:
    """The player of a lane of `LANES`."""
    return cast(Play, import_module(LANES[lane]).play)
