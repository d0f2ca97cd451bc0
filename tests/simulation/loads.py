"""What a simulated process asks its store, and how the answers come: late, stalled, of a server that is behind, not at
all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.owner import DocumentsLoaded, Load, LoadFailed, LoadTimers, LoadTimersFailed, TimersLoaded
from chapar_sourcing.ports import Checkpoint
from tests.simulation.projector import Storing

STALLS_MS = (100, 1_000, 3_000)


class Loads:
    """The questions of one process after the other under one name."""

    def __init__(self, process: Storing) -> None:
        self._process = process
        self._world = process.world
        self._under_way: list[LoadFailed | LoadTimersFailed] = []
        """What is said of each question where its answer does not come."""

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint as the server that answers has it."""
        return self._world.store.checkpoint_of(self._writes_behind())

    def stored(self, keys: Sequence[Key], at_least: int) -> Mapping[Key, Stored] | None:
        """What the server that answers has; None when it is behind."""
        return self._world.store.load(keys, at_least, self._writes_behind())

    def delay_ms(self, most_ms: int) -> int:
        """How long an answer is under way."""
        stalls_ms = self._process.random.choice(STALLS_MS) if self._world.faults.happens("load_stalls") else 0
        return stalls_ms + self._process.random.randint(0, most_ms)

    def documents(self, effect: Load) -> None:
        """Loads documents for the owner."""
        found = self.stored(effect.keys, effect.at_least)
        answer = None if found is None else DocumentsLoaded(effect.load_id, found)
        self._answer(answer, LoadFailed(effect.load_id))

    def timers(self, effect: LoadTimers) -> None:
        """Loads a page of timers for the owner."""
        found = self._world.store.timers(effect.after, effect.limit, effect.at_least, self._writes_behind())
        answer = None if found is None else TimersLoaded(effect.load_id, found)
        self._answer(answer, LoadTimersFailed(effect.load_id))

    def _answer(self, answer: DocumentsLoaded | TimersLoaded | None, failure: LoadFailed | LoadTimersFailed) -> None:
        """Gives an answer when it comes, or the failure; None: the server is behind."""
        if self._world.faults.happens("load_fails"):
            self._process.give(failure)
            return
        self._under_way.append(failure)
        pages = sum(isinstance(one, LoadTimersFailed) for one in self._under_way)
        if self._world.faults.happens("connection_lost") or (pages > 1 and self._world.faults.happens("pages_lost")):
            self._process.in_this_life(0, self.lose_connection)

        def come() -> None:
            if any(one is failure for one in self._under_way):
                self._under_way = [one for one in self._under_way if one is not failure]
                self._process.give(answer or failure)

        self._process.in_this_life(self.delay_ms(60), come)

    def lose_connection(self) -> None:
        """The connection breaks: all that is under way fails at once, in any order."""
        lost, self._under_way = self._under_way, []
        self._process.random.shuffle(lost)
        for failure in lost:
            self._process.give(failure)

    def begin(self) -> None:
        """A new life: nothing is under way."""
        self._under_way = []

    def _writes_behind(self) -> int:
        """How far the server that answers is behind."""
        return self._process.random.randint(1, 60) if self._world.faults.happens("server_behind") else 0
