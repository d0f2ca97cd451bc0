"""What a simulated process asks its store, and how the answers come: late, stalled, of a server that is behind, not at
all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from chapar_sourcing.domain import ANSWER_KIND, Key, Stored
from chapar_sourcing.owner import DocumentsLoaded, Load, LoadFailed, LoadTimers, LoadTimersFailed, TimersLoaded
from chapar_sourcing.ports import Checkpoint
from tests.simulation.projector import Storing

STALLS_MS = (100, 1_000, 3_000)
LOOK_UP_STALLS_MS = 3_000
"""At most; until what is asked for is stored, looked at so often."""
LOOKS_AGAIN_MS = 20


class Asking(Storing, Protocol):
    """The process that asks."""

    def lose_clock(self) -> None:
        """Its clock cannot be believed for a while, as it knows."""

    def askers_of(self, key: Key) -> int:
        """How many wait for the outcome of a command of this id."""


class Loads:
    """The questions of one process after the other under one name."""

    def __init__(self, process: Asking) -> None:
        self._process = process
        self._world = process.world
        self._under_way: list[LoadFailed | LoadTimersFailed] = []
        """What is said of each question where its answer does not come."""
        self._looked_up: dict[Key, int] = {}
        """The ids that were asked for, with the first question."""

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
        if found == {} and self._stalls(effect):
            self._overtaken(effect, LOOK_UP_STALLS_MS)
        else:
            answer = None if found is None else DocumentsLoaded(effect.load_id, found)
            self._answer(answer, LoadFailed(effect.load_id))

    def timers(self, effect: LoadTimers) -> None:
        """Loads a page of timers for the owner."""
        found = self._world.store.timers(effect.after, effect.limit, effect.at_least, self._writes_behind())
        answer = None if found is None else TimersLoaded(effect.load_id, found)
        self._answer(answer, LoadTimersFailed(effect.load_id))

    def _stalls(self, effect: Load) -> bool:
        """Whether the answer stalls, on a connection of its own: about an id that somebody else waits for, who has
        asked for it before."""
        key = effect.keys[0]
        if key.kind != ANSWER_KIND:
            return False
        again = self._looked_up.setdefault(key, effect.load_id) != effect.load_id
        return again and self._process.askers_of(key) > 1 and self._world.faults.happens("look_up_stalls")

    def _overtaken(self, effect: Load, left_ms: int) -> None:
        """Tells that an id is not known, once it is decided and stored, at the latest after `left_ms`."""
        overtaken = self._world.model.version(effect.keys[0], self._process.owner.confirmed_checkpoint) is not None
        if not overtaken and left_ms > 0:
            self._process.in_this_life(LOOKS_AGAIN_MS, lambda: self._overtaken(effect, left_ms - LOOKS_AGAIN_MS))
            return
        if overtaken:
            self._world.faults.fired["look_ups_overtaken"] += 1
            if self._world.faults.happens("clock_off_then"):
                self._process.lose_clock()
        self._process.give(DocumentsLoaded(effect.load_id, {}))

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
        self._looked_up = {}

    def _writes_behind(self) -> int:
        """How far the server that answers is behind."""
        return self._process.random.randint(1, 60) if self._world.faults.happens("server_behind") else 0
