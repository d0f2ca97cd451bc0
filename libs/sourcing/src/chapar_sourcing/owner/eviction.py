"""What leaves an owner's memory, and when: the bound of what it remembers.

A document or an answer leaves only at or below the *floor*, so that whoever lays memory over what the store said finds
everything that the store may not have had. The floor is the least of the confirmed checkpoint, the checkpoint that
each outstanding load (of documents, of a page of timers) was asked with, the one at which each id that has not moved on
since was looked up, and the one at which each running read began.

What also stays: documents that a block changes which is not durable, and those that somebody waits for. Memory holds
`documents_max` documents and what the floor keeps: the backlog of the projector, bounded by `unprojected_max` (a replay
rests beyond it, and commands are refused), and the needs of commands that wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from chapar_sourcing.domain import Key
from chapar_sourcing.owner.commits import Commits
from chapar_sourcing.owner.intake import Intake
from chapar_sourcing.owner.memory import Memory, Slot
from chapar_sourcing.owner.messages import Bounds
from chapar_sourcing.owner.projection import Projection
from chapar_sourcing.owner.replay import Replay
from chapar_sourcing.owner.timers import Timers

SWEEP_MIN = 1_024
"""How many slots and answers a sweep may look at, at least; beyond it twice as many as there are too many."""


class Eviction:
    """Sweeps memory, and knows who reads."""

    def __init__(
        self, *, memory: Memory, intake: Intake, timers: Timers, commits: Commits, projection: Projection,
        replay: Replay, bounds: Bounds,
    ) -> None:  # fmt: skip
        self._memory = memory
        self._intake = intake
        self._timers = timers
        self._commits = commits
        self._projection = projection
        self._replay = replay
        self._bounds = bounds
        self._reads: dict[int, int] = {}
        self._numbers = count()
        self.documents_evicted = 0
        self.answers_evicted = 0

    @property
    def crowded(self) -> bool:
        """Whether memory holds more documents than it should."""
        return len(self._memory) > self._bounds.documents_max

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """See `Owner.pinned`."""
        number = next(self._numbers)
        self._reads[number] = self._projection.confirmed
        try:
            yield
        finally:
            del self._reads[number]

    def floor(self) -> int:
        """The offset at or below which the store has all that anybody may still ask for."""
        page = self._timers.reading_since
        floors = [self._projection.confirmed, *self._reads.values(), *self._intake.asked_at()]
        return min(floors if page is None else [page, *floors])

    def sweep(self, time_ms: int) -> None:
        """Lets go of what has not been used lately where there is too much, and of answers that are old by the log's
        clock, `time_ms`."""
        bounds = self._bounds
        floor = self.floor()
        answers = self._intake.answers
        surplus = max(0, len(answers) - bounds.answers_max)
        self.answers_evicted += answers.evict(
            floor,
            answers_max=bounds.answers_max,
            before_ms=time_ms - bounds.answers_kept_ms,
            at_once_max=SWEEP_MIN + 2 * surplus,
        )
        if self.crowded:
            self._sweep_documents(floor)

    def _sweep_documents(self, floor: int) -> None:
        surplus = len(self._memory) - self._bounds.documents_max
        stay = {*self._commits.changed(), *self._intake.wanted(), *self._replay.wanted()}

        def may_go(key: Key, slot: Slot) -> bool:
            return slot.position.offset <= floor and key not in stay

        self.documents_evicted += self._memory.evict(surplus, may_go, look_at_max=SWEEP_MIN + 2 * surplus)
