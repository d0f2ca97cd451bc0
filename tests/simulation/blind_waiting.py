"""Bugs of what waits in an owner, and of its claims and clock, written without a look at the checker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import ANSWER_KIND, Key, Stored
from chapar_sourcing.fold import FoldState, Verdict
from chapar_sourcing.owner import Command, Confirmed, DocumentsLoaded, Load, Outcome, Owner, Replied, Tick
from chapar_sourcing.owner.blocks import Answer, Block
from chapar_sourcing.owner.commits import Commits
from chapar_sourcing.owner.intake import Intake, _looked_up, refused
from chapar_sourcing.refusing import DEADLINE_PASSED
from tests.simulation.mutants import Bug, Patch


class ForgetsWhoWaitedForTheSame(Patch):
    """An undone block gives back one command an answer: repetitions that waited for it are never told anything."""

    target = "chapar_sourcing.owner.blocks:Block.commands"

    @staticmethod
    def planted(sound: Any) -> Any:
        def commands(self: Block) -> list[Command]:
            decided = [answer.waiting[0][0] for _, answer, _ in self.answers]
            return decided + [command for command, _ in self.refusals]

        return commands


class ConfirmsReadsOfUndoneBlocks(Patch):
    """Whoever read what was undone is told that it was true: one helper tells confirmations at each end of a block."""

    target = "chapar_sourcing.owner.commits:Commits.undo"

    @staticmethod
    def planted(sound: Any) -> Any:
        def undo(self: Commits) -> list[Command]:
            for block in (self.pending, self.in_flight):
                if block is not None:
                    tickets, block.confirms = block.confirms, []
                    for ticket in tickets:
                        self._say(Confirmed(ticket, valid=True))
            undone: list[Command] = sound(self)
            return undone

        return undo


class LoadsOverWhatMemoryKnows(Patch):
    """What was loaded replaces what memory came to know meanwhile: events may make what no command asked for."""

    target = "chapar_sourcing.owner.intake:Intake.loaded"

    @staticmethod
    def planted(sound: Any) -> Any:
        def loaded(self: Intake, load_id: int, documents: Mapping[Key, Stored]) -> None:
            load = self._loading.pop(load_id, None)
            if load is None:
                return
            self._on_the_way.difference_update(load.keys)
            for key in load.keys:
                stored = documents.get(key)
                waiting = self._blocked.pop(key, [])
                self._ready.extend(waiting)
                slot = self._memory.slot(key)
                if key.kind == ANSWER_KIND:
                    _looked_up(waiting, stored, load.at_least)
                elif slot is None:
                    self._memory.hold(key, self._slot(key, stored))
                else:
                    found = self._slot(key, stored)
                    slot.value, slot.position = found.value, found.position

        return loaded


class RestartsTheClockOfALookUp(Owner):
    """Takes the store's answer to an id to be as new as the checkpoint is when it arrives: what was decided, stored and
    forgotten since the question is decided again."""

    def _loaded(self, given: DocumentsLoaded) -> None:
        loading = self._intake._loading
        if given.load_id in loading:
            loading[given.load_id] = replace(loading[given.load_id], at_least=self.confirmed_checkpoint)
        super()._loaded(given)


class DecidesByItsOwnClockAlone(Owner):
    """Decides by the own clock even where the log is ahead of it: after a take-over time goes back."""

    @property
    def _now_ms(self) -> int:
        return self._here_ms


class TellsLateOnesNothingWasDecided(Owner):
    """Tells those whose deadline passes that nothing was decided, those in the block that fills included."""

    def _tick(self, given: Tick) -> None:
        if self._commits.pending is not None:
            for _, answer, _ in self._commits.pending.answers:
                late = [(c, repeated) for c, repeated in answer.waiting if c.deadline_ms <= self._here_ms]
                answer.waiting = [one for one in answer.waiting if one not in late]
                for command, _ in late:
                    self._say(refused(command, DEADLINE_PASSED))
        super()._tick(given)


class AnswersOtherContentAlike(Patch):
    """The same id gets the first answer, whatever is asked under it: an id is unique, why compare."""

    target = "chapar_sourcing.owner.blocks:Answer.reply"

    @staticmethod
    def planted(sound: Any) -> Any:
        def reply(self: Answer, command: Command, *, repeated: bool, needs_confirmation: bool) -> Replied:
            outcome = Outcome(self.entry, self.position, self.time_ms, repeated)
            return Replied(command.ticket, outcome, needs_confirmation)

        return reply


class LetsTheLaterClaimOfAnEpochWin(Patch):
    """A claim of the same epoch is valid, too: of two that raced, the second takes over from the first."""

    target = "chapar_sourcing.fold:_claim"

    @staticmethod
    def planted(sound: Any) -> Any:
        def judged(state: FoldState, offset: int, claim: journal.Claim) -> tuple[Verdict, FoldState]:
            if claim.epoch == state.epoch:
                state = replace(state, epoch=state.epoch - 1)
            verdict, changed = sound(state, offset, claim)
            return verdict, changed

        return judged


class EvictsWhatTheFillingBlockChanges(Patch):
    """Keeps in memory what the block in flight changes, and forgets about the one that fills."""

    target = "chapar_sourcing.owner.commits:Commits.changed"

    @staticmethod
    def planted(sound: Any) -> Any:
        def changed(self: Commits) -> Iterator[Key]:
            yield from self.in_flight.changes if self.in_flight is not None else ()

        return changed


class AsksAgainForTheNewestLoadOnly(Patch):
    """Remembers one load that failed: with two of them, the first key is on its way for ever."""

    target = "chapar_sourcing.owner.intake:Intake.load_again"

    @staticmethod
    def planted(sound: Any) -> Any:
        def load_again(self: Intake, at_least: int) -> Iterator[Load]:
            del self._failed_loads[:-1]
            yield from sound(self, at_least)

        return load_again


BUGS: tuple[Bug, ...] = (
    ForgetsWhoWaitedForTheSame,
    DecidesByItsOwnClockAlone,
    AsksAgainForTheNewestLoadOnly,
    ConfirmsReadsOfUndoneBlocks,
    LoadsOverWhatMemoryKnows,
    TellsLateOnesNothingWasDecided,
    AnswersOtherContentAlike,
    LetsTheLaterClaimOfAnEpochWin,
    EvictsWhatTheFillingBlockChanges,
    RestartsTheClockOfALookUp,
)
