"""Group commit: the block that fills and the one in flight, until they are durable or undone.

Flows in: decided commands (through `Intake`), acknowledgements that were found good. Flows out: replies and
confirmations, and what the projection has to store. What does not belong here: reading the log, claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Key
from chapar_sourcing.fold import FoldState, LogDamaged
from chapar_sourcing.owner.blocks import Block
from chapar_sourcing.owner.intake import Intake, refused
from chapar_sourcing.owner.memory import Memory
from chapar_sourcing.owner.messages import Command, Confirmed, Effect, Replied
from chapar_sourcing.owner.projection import Projection
from chapar_sourcing.positions import Position
from chapar_sourcing.refusing import LOG_DAMAGED, OUTCOME_UNKNOWN

ANSWERED = 0
"""In place of an append's id: it was answered. Ids start at 1."""


class Commits:
    """At most one block fills, at most one is in flight."""

    def __init__(self, memory: Memory, intake: Intake, projection: Projection, say: Callable[[Effect], None]) -> None:
        self._memory = memory
        self._intake = intake
        self._projection = projection
        self._say = say
        self.pending: Block | None = None
        self.in_flight: Block | None = None
        self.sought = False
        """The block in flight is durable, but not where it was expected: the log is being read for it."""
        self.sought_at: int | None = None
        """Where it was acknowledged, if that was said."""

    @property
    def entries(self) -> int:
        """Commands that are in a block."""
        pending, in_flight = self.pending, self.in_flight
        return (len(pending.entries) if pending else 0) + (len(in_flight.entries) if in_flight else 0)

    def changed(self) -> Iterator[Key]:
        """The documents that memory shows with changes which are not durable."""
        for block in (self.pending, self.in_flight):
            if block is not None:
                yield from block.changes

    def newest_ms(self, fold: FoldState) -> int:
        """The clock of the newest block, durable or not."""
        return max([fold.time_ms, *(block.time_ms for block in (self.pending, self.in_flight) if block is not None)])

    def open(self, now_ms: int) -> Block:
        """The block that fills. Its clock is that of its first entry; `now_ms` never goes back."""
        if self.pending is None:
            self.pending = Block(now_ms)
        if not self.pending.entries:
            self.pending.time_ms = now_ms
        return self.pending

    def decide(self, now_ms: int, here_ms: int) -> None:
        """Moves waiting commands into the block that fills, or out with a refusal that waits for what it rests on."""
        block = self.open(now_ms)
        for effect in self._intake.advance(block, now_ms, here_ms, self._projection.confirmed):
            self._say(effect)
        if block.entries:
            return
        refusals, block.refusals = block.refusals, []
        if self.in_flight is not None:
            self.in_flight.refusals.extend(refusals)
        else:
            for command, outcome in refusals:
                self._say(Replied(command.ticket, outcome, needs_confirmation=True))
        if not block.confirms:
            self.pending = None

    def send(self, fold: FoldState, append_id: int) -> bytes:
        """Puts the block that fills into flight; returns its record."""
        assert self.pending is not None, "there is a block"
        assert self.in_flight is None, "one block is in flight at most"
        block, self.pending = self.pending, None
        record = journal.Record(
            block=journal.Block(
                epoch=fold.epoch,
                writer=fold.writer,
                sequence=fold.sequence + 1,
                previous_hash=fold.hash,
                time_ms=block.time_ms,
                entries=block.entries,
            )
        )
        block.data = record.SerializeToString()
        block.append_id = append_id
        self.in_flight = block
        return block.data

    def confirm(self, ticket: int) -> None:
        """Answers a reader as soon as everything that it may have seen is durable."""
        block = self.pending or self.in_flight
        if block is None:
            self._say(Confirmed(ticket, valid=True))
        else:
            block.confirms.append(ticket)

    def seek(self, offset: int | None) -> None:
        """The block in flight is durable at `offset`, which may not be known; no later answer to its append counts."""
        assert self.in_flight is not None, "a block is in flight"
        self.in_flight.append_id = ANSWERED
        self.sought, self.sought_at = True, offset

    def expect_at(self, fold: FoldState) -> None:
        """Raises `LogDamaged` where the block in flight was acknowledged at an offset that holds something else."""
        if self.sought_at is not None and fold.offset >= self.sought_at:
            raise LogDamaged(f"a block was acknowledged at offset {self.sought_at} and is not there")

    def durable(self, offset: int) -> None:
        """The block in flight counts: notes its changes for the store and tells everybody."""
        block = self.in_flight
        assert block is not None, "a block is in flight"
        self.in_flight = None
        self.sought, self.sought_at = False, None
        self._projection.add_block(block, offset, self._memory)
        for answer_id, answer, first in block.answers:
            answer.position = Position(offset, first)
            self._intake.answers.durable(answer_id, answer)
            self._projection.add_answer(answer_id, answer)
            for command, repeated in answer.waiting:
                self._say(answer.reply(command, repeated=repeated, needs_confirmation=False))
            answer.waiting = []
        for command, outcome in block.refusals:
            self._say(Replied(command.ticket, outcome, needs_confirmation=True))
        for ticket in block.confirms:
            self._say(Confirmed(ticket, valid=True))

    def undo(self) -> list[Command]:
        """Takes both blocks back: they are not durable and never will be. Returns their commands in order."""
        blocks = [block for block in (self.pending, self.in_flight) if block is not None]
        self.pending = self.in_flight = None
        commands: list[Command] = []
        for block in blocks:
            block.undo(self._memory)
            commands = block.commands() + commands
            for answer_id, _, _ in block.answers:
                self._intake.answers.undone(answer_id)
            for ticket in block.confirms:
                self._say(Confirmed(ticket, valid=False))
        return commands

    def abandon(self) -> None:
        """Tells everybody that the log is damaged: what is in flight may count or not, what fills does not."""
        for block, reason in ((self.in_flight, OUTCOME_UNKNOWN), (self.pending, LOG_DAMAGED)):
            if block is None:
                continue
            for command in block.commands():
                self._say(refused(command, reason))
            for ticket in block.confirms:
                self._say(Confirmed(ticket, valid=False))
        self.pending = self.in_flight = None
