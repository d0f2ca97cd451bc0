"""Planted bugs of eviction: what leaves memory too early, and what is not remembered of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from chapar_sourcing.domain import ANSWER_KIND, Key, Stored
from chapar_sourcing.owner import Load, Owner
from chapar_sourcing.owner.answers import Answers
from chapar_sourcing.owner.intake import Intake, Waiting, _looked_up


class EvictsAboveTheCheckpoint(Owner):
    """Lets documents and answers leave memory as soon as they are durable in the log."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.eviction.floor = lambda: self.fold.offset  # type: ignore[method-assign]


class EvictsAnswersAndTakesTheirIdsForNew(Owner):
    """Lets answers leave memory and does not move the time after which ids are surely new."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._intake.answers.__class__ = _KeepsTheOldTime


class _KeepsTheOldTime(Answers):
    def _let_go(self, oldest: Any) -> None:
        before_ms = self.surely_new_after_ms
        super()._let_go(oldest)
        self.surely_new_after_ms = before_ms


class EvictsDuringALookUp(Owner):
    """Asks the store for each copy of an id, and lets answers leave memory that became durable meanwhile."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._intake.__class__ = _AsksForEachCopy


class _AsksForEachCopy(Intake):
    def asked_at(self) -> Iterator[int]:
        return (load.at_least for load in self._loading.values() if load.keys[0].kind != ANSWER_KIND)

    def _wait_for(self, waiting: Waiting, missing: Sequence[Key], at_least: int) -> Iterator[Load]:
        if missing[0].kind != ANSWER_KIND:
            yield from super()._wait_for(waiting, missing, at_least)
            return
        load = Load(self._next_load_id, tuple(missing), at_least)
        self._next_load_id += 1
        self._loading[load.load_id] = load
        self._blocked[_alone(load.load_id)] = [waiting]
        yield load

    def loaded(self, load_id: int, documents: Mapping[Key, Stored]) -> None:
        waiting = self._blocked.pop(_alone(load_id), None)
        if waiting is None:
            super().loaded(load_id, documents)
            return
        load = self._loading.pop(load_id)
        _looked_up(waiting, documents.get(load.keys[0]), 1 << 40)
        self._ready.extend(waiting)


def _alone(load_id: int) -> Key:
    return Key("alone", "", str(load_id))


class EvictsUnderAReader(Owner):
    """Lets documents leave memory that a reader of an older state of the store has yet to look at."""

    def pinned(self) -> AbstractContextManager[None]:
        return nullcontext()


BUGS: tuple[type[Owner], ...] = (
    EvictsAboveTheCheckpoint,
    EvictsAnswersAndTakesTheirIdsForNew,
    EvictsDuringALookUp,
    EvictsUnderAReader,
)
