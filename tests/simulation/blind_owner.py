"""Bugs of the owner, written from the design and the engine's source alone, without a look at the checker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chapar_sourcing.domain import Document, Key, When
from chapar_sourcing.fold import FoldState
from chapar_sourcing.owner import ProjectionBatch, Replied
from chapar_sourcing.owner.blocks import Answer, AnswerId, Block, Change, Decided
from chapar_sourcing.owner.commits import Commits
from chapar_sourcing.owner.deciding import Decider, encoded
from chapar_sourcing.owner.eviction import Eviction
from chapar_sourcing.owner.intake import Waiting
from chapar_sourcing.owner.memory import Memory
from chapar_sourcing.owner.messages import Load
from chapar_sourcing.owner.projection import RECORDS_WITHOUT_DOCUMENTS_MAX, Projection
from chapar_sourcing.owner.replay import Replay, _Happened
from chapar_sourcing.ports.store import Checkpoint
from chapar_sourcing.positions import NOWHERE
from chapar_sourcing.timers import timer_request_id
from tests.simulation.mutants import Bug, Patch


class RefusesUnconfirmed(Patch):
    """A refusal of an idle owner goes out unconfirmed, as it appends nothing: a deposed owner refuses by old state."""

    target = "chapar_sourcing.owner.commits:Commits.decide"

    @staticmethod
    def planted(sound: Any) -> Any:
        def decide(self: Commits, now_ms: int, here_ms: int) -> None:
            said = self._say

            def unconfirmed(effect: Any) -> None:
                said(Replied(effect.ticket, effect.outcome) if _is_rule_refusal(effect) else effect)

            self._say = unconfirmed
            try:
                sound(self, now_ms, here_ms)
            finally:
                self._say = said

        return decide


def _is_rule_refusal(effect: Any) -> bool:
    return isinstance(effect, Replied) and bool(effect.outcome.reason) and effect.needs_confirmation


class UndoesOnlyTheLastChange(Patch):
    """Notes what a document was before each change, so that the second change of a block hides what was before it."""

    target = "chapar_sourcing.owner.blocks:Block.add"

    @staticmethod
    def planted(sound: Any) -> Any:
        def add(self: Block, memory: Memory, answer_id: AnswerId, answer: Answer, decided: Decided) -> None:
            for key in decided.changes:
                slot = memory.slot(key)
                if slot is not None and key in self.before:
                    self.before[key] = slot.value
            sound(self, memory, answer_id, answer, decided)

        return add


class DatesBlocksByTheirLastEntry(Patch):
    """Moves the clock of the block that fills with each entry: earlier ones were decided by another clock."""

    target = "chapar_sourcing.owner.commits:Commits.open"

    @staticmethod
    def planted(sound: Any) -> Any:
        def opened(self: Commits, now_ms: int) -> Block:
            if self.pending is None:
                self.pending = Block(now_ms)
            self.pending.time_ms = now_ms
            return self.pending

        return opened


class CountsEventsWithinTheEntry(Patch):
    """Gives documents the index of their event within its entry, not within the block: too low, so it is folded in
    again where the document was stored ahead of the checkpoint."""

    target = "chapar_sourcing.owner.deciding:Decider._changes"

    @staticmethod
    def planted(sound: Any) -> Any:
        def changes(self: Decider, events: Sequence[Any], block: Block) -> dict[Key, Change]:
            found: dict[Key, tuple[Document | None, int]] = {}
            for place, event in enumerate(events):
                for key in self._domain.touches(event):
                    slot = self._memory.slot(key)
                    value = found[key][0] if key in found else slot.value if slot else None
                    found[key] = self._domain.evolve(key, value, event, When(block.time_ms)), place
            return {key: Change(value, place, encoded(value)) for key, (value, place) in found.items()}

        return changes


class SkipsTheSecondEventOfABlock(Patch):
    """Replay compares offsets alone: of two events of one block the second is taken for one that is in already."""

    target = "chapar_sourcing.owner.replay:Replay._evolve"

    @staticmethod
    def planted(sound: Any) -> Any:
        def evolve(self: Replay, one: _Happened, time_ms: int) -> Iterator[Key]:
            for key in one.keys:
                slot = self._memory.slot(key)
                assert slot is not None, "replay loads what it changes"
                if one.position.offset > slot.position.offset:
                    slot.value = self._domain.evolve(key, slot.value, one.event, When(time_ms))
                    slot.position = one.position
                    yield key

        return evolve


class ReachesForTheNewestFold(Patch):
    """The last batch of a round moves the checkpoint to the newest fold: what was gathered meanwhile is not stored."""

    target = "chapar_sourcing.owner.projection:Projection.take"

    @staticmethod
    def planted(sound: Any) -> Any:
        def take(self: Projection, fold: FoldState, documents_max: int) -> ProjectionBatch | None:
            if self._taken is not None:
                return self._taken
            if not self._round:
                if not self._gathered and fold.offset - self.confirmed < RECORDS_WITHOUT_DOCUMENTS_MAX:
                    return None
                self._round, self._gathered = self._gathered, self._round
            keys = list(self._round)[:documents_max]
            documents = [self._round.pop(key) for key in keys]
            reached = self._confirmed_fold if self._round else fold
            self._taken = ProjectionBatch(documents, Checkpoint(self._journal_id, self._generation, reached))
            return self._taken

        return take


class PinsOnlyTheLatestReader(Patch):
    """One place for the checkpoint that readers began at: with two of them memory is kept for the later one alone."""

    target = "chapar_sourcing.owner.eviction:Eviction.pinned"

    @staticmethod
    def planted(sound: Any) -> Any:
        @contextmanager
        def pinned(self: Eviction) -> Iterator[None]:
            self._reads[0] = self._projection.confirmed
            try:
                yield
            finally:
                self._reads.pop(0, None)

        return pinned


class TakesYoungIdsIntoOlderBlocks(Patch):
    """Judges an id by the clock of now alone: one that is more than the margin ahead of its block's clock seems surely
    new once that block is the checkpoint."""

    target = "chapar_sourcing.owner.intake:Intake._step"

    @staticmethod
    def planted(sound: Any) -> Any:
        def step(self: Any, waiting: Waiting, block: Block, now_ms: int, at_least: int) -> Iterator[Replied | Load]:
            if waiting.command.timer:
                yield from sound(self, waiting, block, now_ms, at_least)
                return
            began, decided = block.time_ms, self._decide
            block.time_ms = max(began, now_ms)

            def decide(one: Waiting, needs: Sequence[Key], into: Block) -> Iterator[Replied]:
                into.time_ms = began
                return decided(one, needs, into)  # type: ignore[no-any-return]

            self._decide = decide
            try:
                yield from sound(self, waiting, block, now_ms, at_least)
            finally:
                del self._decide
                block.time_ms = began

        return step


class NamesTimersByTheirTimeAlone(Patch):
    """Makes a timer's request id of its name alone: set again after it was done, it is answered and never done."""

    target = "chapar_sourcing.timers:timer_request_id"
    also = ("chapar_sourcing.owner.deciding:timer_request_id",)

    @staticmethod
    def planted(sound: Any) -> Any:
        return lambda identity, position, partition: timer_request_id(identity, NOWHERE, partition)


class TrimsWithoutMovingTheMark(Patch):
    """Forgets the latest hints of too many timers and still believes to know all up to where it had read."""

    target = "chapar_sourcing.owner.timers:Timers._trim"

    @staticmethod
    def planted(sound: Any) -> Any:
        def trim(self: Any) -> None:
            mark = self._read_to
            sound(self)
            self._read_to = mark

        return trim


BUGS: tuple[Bug, ...] = (
    RefusesUnconfirmed,
    UndoesOnlyTheLastChange,
    DatesBlocksByTheirLastEntry,
    CountsEventsWithinTheEntry,
    SkipsTheSecondEventOfABlock,
    ReachesForTheNewestFold,
    PinsOnlyTheLatestReader,
    TakesYoungIdsIntoOlderBlocks,
    NamesTimersByTheirTimeAlone,
    TrimsWithoutMovingTheMark,
)
