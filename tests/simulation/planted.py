"""Owners with bugs planted on purpose. A simulator that does not catch every one of them proves nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Key
from chapar_sourcing.owner import (
    AppendFailed,
    CommandReceived,
    Confirmed,
    ConfirmRequested,
    DocumentsLoaded,
    Effect,
    Load,
    Owner,
    OwnerPhase,
    ProjectionBatch,
    RecordsRead,
    Replied,
    Started,
)
from chapar_sourcing.owner.blocks import Block
from chapar_sourcing.owner.intake import Intake, Waiting, answer_id_of
from chapar_sourcing.owner.messages import Command
from chapar_sourcing.ports import JournalRecord
from chapar_sourcing.positions import NOWHERE, Position
from chapar_sourcing.requests import FUTURE_MS_MAX, request_time_ms

EARLY_MS = 500


class AcknowledgesBeforeDurable(Owner):
    """Tells callers as soon as their block was sent."""

    def _flush(self) -> None:
        super()._flush()
        block = self._commits.in_flight
        if block is None:
            return
        for _, answer, first in block.answers:
            answer.position = Position(self.fold.offset + 1, first)
            for command, repeated in answer.waiting:
                self._say(answer.reply(command, repeated=repeated, needs_confirmation=False))
            answer.waiting = []


class AnswersDuplicatesEarly(Owner):
    """Answers a repetition while the original is still in flight."""

    def _receive(self, given: CommandReceived) -> None:
        known = self._intake.answers.get(answer_id_of(given.command))
        if known is not None and known.position is None and self.phase is OwnerPhase.OWNING:
            known.position = Position(self.fold.offset + 1, 0)
            self._unanswered += 1
            self._say(known.reply(given.command, repeated=True, needs_confirmation=False))
            known.position = None
            return
        super()._receive(given)


class SkipsTheGap(Owner):
    """Believes an acknowledgement further on than expected without reading what lies between."""

    def _block_appended(self, block: Block, offset: int | None) -> None:
        if offset is not None and offset > self.fold.offset + 1:
            self._fold_own(block, offset)
            return
        super()._block_appended(block, offset)


class ClaimsWithoutReadingOn(Owner):
    """Decides as soon as its claim is acknowledged, without folding up to it."""

    def _claim_appended(self, offset: int | None) -> None:
        if offset is None:
            super()._claim_appended(offset)
            return
        self._enter(OwnerPhase.SETTLING)
        self._replay.take([JournalRecord(offset, self._claims.data)], True)
        self._go_on_replaying()


class TakesSilenceForFailure(Owner):
    """Takes an append without an answer for one that failed, and decides anew."""

    def _append_failed(self, given: AppendFailed) -> None:
        if self.phase is OwnerPhase.OWNING and not given.certain and self._commits.in_flight is not None:
            self._intake.put_back(self._undo())
            self._decide()
            return
        super()._append_failed(given)


class ForgetsAnswersOfTheTail(Owner):
    """Takes over without the answers that stand in the log after the checkpoint."""

    def _settle(self) -> None:
        if self._commits.pending is None:
            self._intake.answers._held.clear()
        super()._settle()


class AppliesTheTailTwice(Owner):
    """Does not look at the positions of documents that are ahead of the checkpoint."""

    def _records(self, given: RecordsRead) -> None:
        for kind in ("register", "item"):
            for parent in self._memory.parents(kind):
                for identity, _ in list(self._memory.group(kind, parent)):
                    slot = self._memory.slot(Key(kind, parent, identity))
                    assert slot is not None, "it is listed"
                    slot.position = NOWHERE
        super()._records(given)

    def _loaded(self, given: DocumentsLoaded) -> None:
        documents = {key: replace(stored, position=NOWHERE) for key, stored in given.documents.items()}
        super()._loaded(replace(given, documents=documents))


class TakesEveryIdForNew(Owner):
    """Never asks the store whether an id was answered before its memory began."""

    def _start(self, given: Started) -> None:
        super()._start(given)
        self._intake.answers.surely_new_after_ms = None


class ForgetsToUndo(Owner):
    """Leaves the changes of a block that never counted in its documents."""

    def _undo(self) -> Sequence[Command]:
        for block in (self._commits.in_flight, self._commits.pending):
            if block is not None:
                block.before.clear()
                block.created.clear()
        return super()._undo()


class BelievesItself(Owner):
    """Answers readers without making sure that it still owns the partition."""

    def _confirm(self, given: ConfirmRequested) -> None:
        if self.phase is OwnerPhase.OWNING:
            self._say(Confirmed(given.ticket, valid=True))
            return
        super()._confirm(given)


class IgnoresThatAnotherWasFirst(Owner):
    """Takes its claim for good although another landed before it."""

    def _claimed(self, claim: journal.Claim, *, valid: bool) -> None:
        if self.phase is OwnerPhase.SETTLING and not self._claims.seen:
            valid = claim.address == journal.Record.FromString(self._claims.data).claim.address
        super()._claimed(claim, valid=valid)


class ForgetsTheMargin(Owner):
    """Takes ids for new that are later than the checkpoint, forgetting that those before may run ahead of it."""

    def _start(self, given: Started) -> None:
        super()._start(given)
        answers = self._intake.answers
        if answers.surely_new_after_ms is not None:
            answers.surely_new_after_ms -= FUTURE_MS_MAX


class TakesReactorsIdsForNew(Owner):
    """Believes the time of a reactor's id, which is another owner's time."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._intake.__class__ = _BelievesReactors


class _BelievesReactors(Intake):
    def _surely_new(self, command: Command) -> bool:
        after = self.answers.surely_new_after_ms
        return after is None or request_time_ms(command.request_id) > after + FUTURE_MS_MAX


class AsksTheStoreAlone(Owner):
    """Does not look into memory again after the store had no answer."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._intake.__class__ = _AsksTheStoreAlone


class _AsksTheStoreAlone(Intake):
    def _step(self, waiting: Waiting, block: Block, now_ms: int, at_least: int) -> Iterator[Replied | Load]:
        known = self.answers.get(waiting.answer_id)
        if waiting.looked_up_at is not None and known is not None and known.position is None:
            self.answers.undone(waiting.answer_id)
        yield from super()._step(waiting, block, now_ms, at_least)


class LoadsFromAnywhere(Owner):
    """Takes documents from servers that are behind its checkpoint."""

    def _say(self, effect: Effect) -> None:
        super()._say(replace(effect, at_least=-1) if isinstance(effect, Load) else effect)


class BelievesTheBlockInFlight(Owner):
    """Takes a block that was sent before a read for proof that the read is true."""

    def _confirm(self, given: ConfirmRequested) -> None:
        block = self._commits.in_flight
        if self.phase is OwnerPhase.OWNING and block is not None and self._commits.pending is None:
            block.confirms.append(given.ticket)
            return
        super()._confirm(given)


class SettlesDoubtByReading(Owner):
    """Reads to the end, takes what it does not find for failed and goes on without a new claim."""

    def _append_claim(self) -> None:
        if not self._claims.made or self._claims.epoch != self.fold.epoch:
            super()._append_claim()
            return
        self._intake.put_back(self._undo())
        self._settle()


class ClaimsWithAnOldHeartbeat(Owner):
    """Claims again whether or not it has heard from the world."""

    def _heartbeat_is_fresh(self) -> bool:
        return True


class TakesAnUnknownOffsetForTheNext(Owner):
    """Believes that an append whose offset is not known landed where it was expected."""

    def _block_appended(self, block: Block, offset: int | None) -> None:
        super()._block_appended(block, self.fold.offset + 1 if offset is None else offset)


class UndoesTheOlderBlockFirst(Owner):
    """Takes back the block in flight, then the one that was filled on top of it."""

    def _undo(self) -> Sequence[Command]:
        commits = self._commits
        commits.pending, commits.in_flight = commits.in_flight, commits.pending
        return super()._undo()


class MovesTheCheckpointWithEachPart(Owner):
    """Moves the checkpoint with the first part of a batch that was cut."""

    def take_projection(self, documents_max: int) -> ProjectionBatch | None:
        batch = super().take_projection(documents_max)
        if batch is not None and batch.checkpoint.fold.offset == self.confirmed_checkpoint:
            checkpoint = replace(batch.checkpoint, fold=self.fold)
            self._projection._taken = replace(batch, checkpoint=checkpoint)
        return self._projection._taken


BUGS: tuple[type[Owner], ...] = (
    AcknowledgesBeforeDurable,
    AnswersDuplicatesEarly,
    SkipsTheGap,
    ClaimsWithoutReadingOn,
    TakesSilenceForFailure,
    ForgetsAnswersOfTheTail,
    AppliesTheTailTwice,
    TakesEveryIdForNew,
    ForgetsToUndo,
    BelievesItself,
    IgnoresThatAnotherWasFirst,
    ForgetsTheMargin,
    TakesReactorsIdsForNew,
    AsksTheStoreAlone,
    LoadsFromAnywhere,
    BelievesTheBlockInFlight,
    SettlesDoubtByReading,
    ClaimsWithAnOldHeartbeat,
    TakesAnUnknownOffsetForTheNext,
    UndoesTheOlderBlockFirst,
    MovesTheCheckpointWithEachPart,
)
