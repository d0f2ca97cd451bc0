"""The simulated projector of one process: documents, then the checkpoint, each confirmed before the next."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol, TypeVar

from chapar_sourcing.owner import CheckpointConfirmed, Input, Owner, OwnerPhase
from chapar_sourcing.ports import DocumentWrite
from tests.simulation.world import World

T = TypeVar("T")

PERIOD_MS = 40
RESTS_MS = (100, 1_500)
STOPS_MS = 500
EAGER = 0.5
"""Of all lives: those in which it never rests, so that little is kept in memory for its sake."""


class Storing(Protocol):
    """The process that the projector lives in."""

    world: World
    owner: Owner
    random: Random

    def give(self, given: Input) -> None:
        """Feeds the owner."""

    def in_this_life(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Does something later, unless the process is gone by then."""

    def of_this_life(self, act: Callable[[T], None]) -> Callable[[T], None]:
        """What others may call at any time."""


class Projector:
    """Stores what an owner's projection holds, batch by batch; what is not confirmed is written again."""

    def __init__(self, process: Storing) -> None:
        self.process = process
        self.world = process.world
        self._busy = False
        self._term = 0
        """The store's when the batch was begun: writes are of one term, or the batch begins anew."""
        self._eager = process.random.random() < EAGER
        self._rests_until_ms = 0

    def begin(self) -> None:
        """The process has come up."""
        self.project()
        self.process.in_this_life(PERIOD_MS, self.begin)

    def project(self) -> None:
        """Begins with a batch, if there is one and nothing is under way."""
        if self._busy or self.process.owner.phase in (OwnerPhase.STARTING, OwnerPhase.ALARMED):
            return
        if self._rests_until_ms > self.world.now_ms:
            return
        if not self._eager and self.world.faults.happens("projector_rests"):
            self._rests_until_ms = self.world.now_ms + self.process.random.randint(*RESTS_MS)
            return
        batch = self.process.owner.take_projection(self.process.random.choice((3, 1_000)))
        if batch is not None:
            self._busy = True
            self._term = self.world.store.term
            self._write(list(batch.documents))

    def _write(self, writes: list[DocumentWrite]) -> None:
        """Writes document by document, so that a crash finds it half done."""
        if not writes:
            self.confirm(self._checkpoint)
        elif self.world.faults.happens("projector_stops"):
            self.process.in_this_life(STOPS_MS, lambda: self._write(writes))
        else:
            self.world.store.write(writes[0])
            self.process.in_this_life(self.process.random.randint(0, 2), lambda: self._write(writes[1:]))

    def confirm(self, then: Callable[[], None]) -> None:
        """Goes on when all that was written is there for good; otherwise the batch begins anew."""
        self.world.store.confirm(self._term, self.process.of_this_life(lambda kept: then() if kept else self._again()))

    def _again(self) -> None:
        self._busy = False

    def _checkpoint(self) -> None:
        batch = self.process.owner.take_projection(1_000)
        if batch is None:
            self._busy = False  # The owner has alarmed meanwhile: nothing more is stored.
            return
        self.world.store.write_checkpoint(batch.checkpoint)
        self.confirm(self._done)

    def _done(self) -> None:
        self._busy = False
        batch = self.process.owner.take_projection(1_000)
        if batch is not None:
            self.process.give(CheckpointConfirmed(batch.checkpoint.fold.offset))
