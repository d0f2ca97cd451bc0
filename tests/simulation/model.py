"""What the log means, kept up record by record as they land, by other means than the engine's own."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from google.protobuf.wrappers_pb2 import StringValue

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Key
from chapar_sourcing.ports import JournalRecord
from chapar_sourcing.timers import TIMER_KIND, Timer
from tests.simulation.playing import Violation
from tests.simulation.toy import Item, Register, Registers

Place = tuple[int, int]
"""(offset, index of the event in its block)."""
BEFORE: Place = (-1, -1)


@dataclass(frozen=True, slots=True)
class Counted:
    """One record that counts, with what a reader knows after it."""

    offset: int
    epoch: int
    writer: bytes
    sequence: int
    hash: bytes
    block: journal.Block | None
    """None for a claim."""


@dataclass(frozen=True, slots=True)
class Booked:
    """One entry that counts."""

    place: Place
    """Of its first event."""
    scope: str
    time_ms: int
    entry: journal.Entry
    events: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Version:
    """A document after a block."""

    place: Place
    value: object
    """None: deleted."""


_place = attrgetter("place")
_offset = attrgetter("offset")


class Model:
    """The chain, the entries and the documents of one partition."""

    def __init__(self) -> None:
        self._domain = Registers(journals_refusals=False)
        self.last_offset = -1
        """Of the last record that landed, valid or void."""
        self.chain: list[Counted] = []
        self.blocks: list[Counted] = []
        self.entries: dict[tuple[str, bytes], Booked] = {}
        self.changes: list[tuple[int, Key]] = []
        """(offset of the block, document that it changed), in order; answers included."""
        self._versions: dict[Key, list[Version]] = {}
        self._tags: set[str] = set()

    @classmethod
    def of(cls, records: Sequence[JournalRecord]) -> Model:
        """The model of a log that is there already."""
        model = cls()
        for record in records:
            model.land(record.offset, record.data)
        return model

    def land(self, offset: int, data: bytes) -> None:
        """Takes in a record. Raises `Violation` when it counts and must not."""
        self.last_offset = offset
        record = journal.Record.FromString(data)
        past = self.chain[-1] if self.chain else Counted(-1, 0, b"", 0, bytes(32), None)
        after = hashlib.sha256(past.hash + data).digest()
        if record.HasField("claim"):
            if record.claim.epoch > past.epoch:
                claim = record.claim
                self.chain.append(Counted(offset, claim.epoch, claim.writer, past.sequence, after, None))
            return
        block = record.block
        if (block.epoch, block.writer, block.sequence) != (past.epoch, past.writer, past.sequence + 1):
            return
        if block.previous_hash != past.hash:
            raise Violation(f"the block at offset {offset} has another past")
        before = self.blocks[-1].block if self.blocks else None
        if before is not None and block.time_ms < before.time_ms:
            raise Violation(
                f"the block at offset {offset} is {before.time_ms - block.time_ms} ms older than the one before"
            )
        counted = Counted(offset, block.epoch, block.writer, block.sequence, after, block)
        self.chain.append(counted)
        self.blocks.append(counted)
        self._book(offset, block)

    # ---- what it means

    def value(self, key: Key, offset: int) -> object:
        """A document after everything up to an offset; None when there is none."""
        version = self.version(key, offset)
        return version.value if version else None

    def version(self, key: Key, offset: int) -> Version | None:
        """The last version of a document up to an offset."""
        versions = self._versions.get(key, [])
        at = bisect_right(versions, (offset, 1 << 30), key=_place)
        return versions[at - 1] if at else None

    def values_since(self, key: Key, offset: int) -> Iterator[object]:
        """What a document was after an offset, and everything it has been since."""
        yield self.value(key, offset)
        versions = self._versions.get(key, [])
        at = bisect_right(versions, (offset, 1 << 30), key=_place)
        yield from (version.value for version in versions[at:])

    def documents(self) -> Iterator[tuple[Key, Version]]:
        """The newest version of everything that ever was."""
        return ((key, versions[-1]) for key, versions in self._versions.items())

    def chain_at(self, offset: int) -> Counted | None:
        """The last record up to an offset that counts."""
        at = bisect_right(self.chain, offset, key=_offset)
        return self.chain[at - 1] if at else None

    def changed_between(self, after: int, until: int) -> Iterator[Key]:
        """Documents changed after an offset and up to another one, repetitions included."""
        at = bisect_right(self.changes, after, key=lambda change: change[0])
        while at < len(self.changes) and self.changes[at][0] <= until:
            yield self.changes[at][1]
            at += 1

    # ---- booking

    def _book(self, offset: int, block: journal.Block) -> None:
        index = 0
        for entry in block.entries:
            events = [json.loads(StringValue.FromString(data).value) for data in entry.events.events]
            booked = Booked((offset, index), scope_of(entry.actor), block.time_ms, entry, events)
            identity = (booked.scope, entry.request_id)
            if identity in self.entries:
                raise Violation(f"{booked.scope} {entry.request_id.hex()} was decided twice")
            self.entries[identity] = booked
            self._note(Key("answer", booked.scope, entry.request_id.hex()), (offset, index), entry)
            for event in events:
                self._happen(event, (offset, index), block.time_ms)
                index += 1

    def _happen(self, event: dict[str, Any], place: Place, time_ms: int) -> None:
        tag = str(event["tag"])
        if tag in self._tags:
            raise Violation(f"wished once and done twice: {tag}")
        self._tags.add(tag)
        for key in self._domain.touches(StringValue(value=json.dumps(event))):
            before = self.value(key, place[0])
            self._note(key, place, self._after(key, before, event, time_ms))

    def _after(self, key: Key, before: object, event: dict[str, Any], time_ms: int) -> object:
        """A document after an event, by another way than `evolve`."""
        if "mark" in event:
            if not isinstance(before, Item):
                raise Violation(f"{event['tag']} marks {key.id} of {key.parent}, which is not there")
            return Item(before.tag, before.marks + 1)
        number = int(str(event["number"]))
        if key.kind == "register":
            count = before.count if isinstance(before, Register) else 0
            if number != count + 1:
                raise Violation(f"{event['tag']} is item {number} of {key.parent}, which has {count}")
            return Register(number, time_ms, _chimes(before, event))
        if key.kind == TIMER_KIND:
            return _timer(key, event)
        return Item(str(event["tag"])) if key.id.lstrip("0") == str(number) else None

    def _note(self, key: Key, place: Place, value: object) -> None:
        self._versions.setdefault(key, []).append(Version(place, value))
        self.changes.append((place[0], key))


def scope_of(actor: journal.Actor) -> str:
    """Who an entry is of: ids of two scopes never meet."""
    kind = actor.WhichOneof("kind")
    assert kind is not None, "everybody says who they are"
    return f"{kind}:{getattr(actor, kind)}"


def _chimes(before: object, event: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    waiting = {number: due for due, number in before.chimes} if isinstance(before, Register) else {}
    for _, number in (event[what] for what in ("chimed", "cancels") if what in event):
        del waiting[number]
    if "chimes" in event:
        due, number = event["chimes"]
        waiting[number] = due
    return tuple((waiting[number], number) for number in sorted(waiting))


def _timer(key: Key, event: Mapping[str, Any]) -> Timer | None:
    due, _, register = key.id.partition(".")
    due_ms, number = event.get("chimes", (None, 0))
    return Timer(json.dumps([register, number]).encode()) if due_ms == int(due) else None
