"""The owner's state machine alone: no event loop, no threads, a log and a store that are there at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from bench.rig import request
from chapar.payments.journal.v1 import journal_pb2 as payments
from chapar_payments.domain import PaymentsDomain
from chapar_sourcing.owner import (
    Append,
    AppendSucceeded,
    CheckpointConfirmed,
    Command,
    CommandReceived,
    DocumentsLoaded,
    Flush,
    Input,
    Load,
    Owner,
    ProjectionBatch,
    Read,
    RecordsRead,
    Replied,
    Started,
)
from chapar_sourcing.ports import JournalRecord

BLOCK_COMMANDS = 500
"""Commands that gather for each block."""
PROJECTED_AT_ONCE = 2_000


class PureOwner:
    """Feeds an owner and does at once what it asks for."""

    def __init__(
        self, *, partition: int = 0, journal_id: str = "bench", log: Sequence[JournalRecord] = (),
        block_commands: int = BLOCK_COMMANDS, on_batch: Callable[[ProjectionBatch], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`log` is what is there, dense from offset 0; `on_batch` gets what is for the store."""
        self._owner = Owner(
            domain=PaymentsDomain(), partition=partition, journal_id=journal_id, generation=1, address="bench",
            new_writer=lambda: os.urandom(16),
        )  # fmt: skip
        self.log = [*log]
        self._block_commands = block_commands
        self._on_batch = on_batch
        self._tickets = 0
        self.booked = 0
        self._tell(Started(None))

    def commands(self, bodies: Sequence[payments.Command]) -> list[Command]:
        """Commands as a shell hands them over."""
        return [self._command(body) for body in bodies]

    def _command(self, body: payments.Command) -> Command:
        self._tickets += 1
        made = request(body)
        return Command(
            ticket=self._tickets, actor=made.actor, request_id=made.request_id, content_hash=made.content_hash,
            content_key_id=made.content_key_id, body=body, deadline_ms=made.deadline_ms,
        )  # fmt: skip

    def book(self, commands: Sequence[Command], advance: Callable[[int], None] = lambda _: None) -> float:
        """Decides, commits and hands to the projector; the seconds of CPU it took. Raises where one was refused."""
        before = self.booked
        start = time.process_time()
        for first in range(0, len(commands), self._block_commands):
            block = commands[first : first + self._block_commands]
            for command in block:
                self._tell(CommandReceived(command))
            self._tell(Flush())
            while (batch := self._owner.take_projection(PROJECTED_AT_ONCE)) is not None:
                self._on_batch(batch)
                self._tell(CheckpointConfirmed(batch.checkpoint.fold.offset))
            advance(len(block))
        seconds = time.process_time() - start
        if self.booked - before != len(commands):
            raise RuntimeError("a command of the benchmark was not booked")
        return seconds

    def _tell(self, given: Input) -> None:
        for effect in self._owner.handle(given, time.time_ns() // 1_000_000):
            match effect:
                case Append():
                    self.log.append(JournalRecord(len(self.log), effect.data))
                    self._tell(AppendSucceeded(effect.append_id, self.log[-1].offset))
                case Read():
                    self._tell(RecordsRead(effect.read_id, self.log[effect.from_offset :], at_end=True))
                case Load():
                    self._tell(DocumentsLoaded(effect.load_id, {}))
                case Replied():
                    entry = effect.outcome.entry
                    self.booked += entry is not None and entry.HasField("events")
