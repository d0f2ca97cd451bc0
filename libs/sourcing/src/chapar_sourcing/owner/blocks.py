"""A block from its first entry to its durability, with all that is needed to undo it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Document, Key
from chapar_sourcing.owner.memory import Memory, Slot
from chapar_sourcing.owner.messages import Command, Outcome
from chapar_sourcing.positions import Position

AnswerId = tuple[str, bytes]
"""(scope of the actor, request id)."""

ANSWER_KIND = "answer"


def answer_key(answer_id: AnswerId) -> Key:
    """The document that an answer is stored as: kind "answer", parent the scope, id the request id in hexadecimal."""
    return Key(ANSWER_KIND, answer_id[0], answer_id[1].hex())


@dataclass(slots=True)
class Answer:
    """The first answer to a request id. `position` is None until its block is durable."""

    entry: journal.Entry
    time_ms: int
    position: Position | None = None
    waiting: list[tuple[Command, bool]] = field(default_factory=list)
    """Commands to be told, and whether each is a repetition."""

    def outcome(self, *, replayed: bool, unchecked: bool = False) -> Outcome:
        """What the caller is told."""
        return Outcome(self.entry, self.position, self.time_ms, replayed, unchecked=unchecked)

    def stored(self) -> bytes:
        """The document's bytes."""
        assert self.position is not None, "only durable answers are stored"
        place = journal.SourcePosition(offset=self.position.offset, index=self.position.event_index)
        return journal.Answer(entry=self.entry, position=place, time_ms=self.time_ms).SerializeToString()


@dataclass(frozen=True, slots=True)
class Change:
    """A document after a block: its value, the index of the last event in it, its encoding (None: deleted)."""

    value: Document | None
    event_index: int
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Decided:
    """What one command adds to a block."""

    entry: journal.Entry
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
        self.size += decided.entry.ByteSize() + 8

    def undo(self, memory: Memory) -> None:
        """Puts memory back to before this block. Later blocks must have been undone before."""
        for key in self.created:
            memory.forget(key)
        for key, value in self.before.items():
            slot = memory.slot(key)
            assert slot is not None, "a key that was known stays known"
            slot.value = value
