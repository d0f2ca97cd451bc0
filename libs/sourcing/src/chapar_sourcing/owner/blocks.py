"""A block from its first entry to its durability, with all that is needed to undo it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import ANSWER_KIND, Document, Key
from chapar_sourcing.owner.memory import Memory, Slot
from chapar_sourcing.owner.messages import Command, Outcome, Replied
from chapar_sourcing.positions import Position
from chapar_sourcing.refusing import REQUEST_ID_REUSED

AnswerId = tuple[str, bytes]
"""(scope of the actor, request id)."""

ENTRY_FRAME_BYTES = 8
"""What an entry takes in its block beside its own bytes, at most."""


def answer_key(answer_id: AnswerId) -> Key:
    """The document that an answer is stored as: kind "answer", parent the scope, id the request id in hexadecimal."""
    return Key(ANSWER_KIND, answer_id[0], answer_id[1].hex())


class Answer(msgspec.Struct):
    """The first answer to a request id. `position` is None until its block is durable."""

    entry: journal.Entry
    time_ms: int
    position: Position | None = None
    waiting: list[tuple[Command, bool]] = msgspec.field(default_factory=list)
    """Commands to be told, and whether each is a repetition."""

    def reply(self, command: Command, *, repeated: bool, needs_confirmation: bool) -> Replied:
        """What a command is told once this answer is durable. A repetition must have the same content; made under
        another key, its content is left to the shell to compare."""
        same_key = self.entry.content_key_id == command.content_key_id
        if repeated and same_key and self.entry.content_hash != command.content_hash:
            outcome = Outcome(reason=REQUEST_ID_REUSED)
        else:
            unchecked = repeated and not same_key
            outcome = Outcome(self.entry, self.position, self.time_ms, repeated, unchecked=unchecked)
        return Replied(command.ticket, outcome, needs_confirmation)

    def stored(self) -> bytes:
        """The document's bytes."""
        assert self.position is not None, "only durable answers are stored"
        answer = journal.Answer(entry=self.entry, time_ms=self.time_ms)
        answer.position.offset, answer.position.index = self.position
        return answer.SerializeToString()


class Change(msgspec.Struct, frozen=True, gc=False):
    """A document after a block: its value, the index of the last event in it, its encoding (None: deleted)."""

    value: Document | None
    event_index: int
    data: bytes | None


class Decided(msgspec.Struct, frozen=True):
    """What one command adds to a block."""

    entry: journal.Entry
    size: int
    """Bytes that the entry takes in its block, at most."""
    events: int
    changes: Mapping[Key, Change]


@dataclass(slots=True)
class Block:
    """Entries gathered (pending) or sent and not yet acknowledged (in flight)."""

    time_ms: int
    entries: list[journal.Entry] = field(default_factory=list)
    answers: list[tuple[AnswerId, Answer, int]] = field(default_factory=list)
    """With the index of the first event of each."""
    changes: dict[Key, Change] = field(default_factory=dict)
    before: dict[Key, Document | None] = field(default_factory=dict)
    """Values before the block, of keys that were known."""
    created: set[Key] = field(default_factory=set)
    """Keys that were not known before the block."""
    events: int = 0
    size: int = 0
    full: bool = False
    confirms: list[int] = field(default_factory=list)
    refusals: list[tuple[Command, Outcome]] = field(default_factory=list)
    """Refusals that rest on this block's state."""
    append_id: int = 0
    data: bytes = b""
    """The record as sent."""

    def add(self, memory: Memory, answer_id: AnswerId, answer: Answer, decided: Decided) -> None:
        """Takes in a decided command and shows its changes in memory."""
        for key, change in decided.changes.items():
            slot = memory.slot(key)
            if slot is None:
                self.created.add(key)
                memory.hold(key, Slot(change.value))
            else:
                if key not in self.changes and key not in self.created:
                    self.before[key] = slot.value
                slot.value = change.value
            self.changes[key] = change
        self.answers.append((answer_id, answer, self.events))
        self.entries.append(decided.entry)
        self.events += decided.events
        self.size += decided.size

    def undo(self, memory: Memory) -> None:
        """Puts memory back to before this block. Later blocks must have been undone before."""
        for key in self.created:
            memory.forget(key)
        for key, value in self.before.items():
            slot = memory.slot(key)
            assert slot is not None, "a key that was known stays known"
            slot.value = value

    def commands(self) -> list[Command]:
        """Everybody who waits for this block, in order; refusals last."""
        decided = [command for _, answer, _ in self.answers for command, _ in answer.waiting]
        return decided + [command for command, _ in self.refusals]
