"""What the logs say, judged by code of its own at each record that lands: nothing here asks the engine.

Flows in: records as they land, stream entries, cursors as they are written, answers as they leave a process. Flows
out: `Violation`, and what the checks at the end compare with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.owner import Outcome
from chapar_sourcing.ports import Cursor, JournalRecord, StreamEntry
from tests.simulation.path.messages import Event
from tests.simulation.path.world import BEGIN_MS, World
from tests.simulation.playing import Violation

Place = tuple[int, int]
"""(offset, index of the event in its block)."""


class Ledger(Protocol):
    """What one service's events add up to."""

    def apply(self, partition: int, place: Place, event: Any, time_ms: int) -> None:
        """Takes in the next event of a partition. Raises `Violation`."""


@dataclass(slots=True)
class Written:
    """A valid entry of a log."""

    partition: int
    place: Place
    entry: journal.Entry


@dataclass(slots=True)
class Chain:
    """What is valid in one partition so far."""

    epoch: int = 0
    writer: bytes = b""
    address: str = ""
    sequence: int = 0
    hash: bytes = bytes(32)
    time_ms: int = 0
    voids: int = 0
    hashes: dict[int, bytes] = field(default_factory=dict)
    """Offset of each valid block -> the hash after it."""


@dataclass(slots=True)
class Duty:
    """What must have happened before a cursor may pass `place`."""

    place: Place
    what: str
    holds: Callable[[], bool]


class Book:
    """One service's logs."""

    def __init__(self, world: World, service: str, partitions: int, ledger: Ledger) -> None:
        self._world = world
        self.service = service
        self.ledger = ledger
        self.chains = [Chain() for _ in range(partitions)]
        self.entries: dict[tuple[str, bytes], Written] = {}
        self.duties: dict[tuple[int, str], list[Duty]] = {}
        self.public: list[list[tuple[Place, bytes]]] = [[] for _ in range(partitions)]
        """What each partition has to publish, in order."""
        self.published: list[set[Place]] = [set() for _ in range(partitions)]
        self._told: list[list[tuple[float, int]]] = [[] for _ in range(partitions)]
        """(true time, offset): up to where somebody knows by then that what was decided is durable; both rise."""
        self.cut: set[int] = set()
        """Partitions whose log has lost what was acknowledged: nothing that lands there is judged any more."""
        self.on_claim: Callable[[int, str], None] = lambda partition, address: None

    # ---- the log

    def landed(self, partition: int, record: JournalRecord) -> None:
        """Judges a record."""
        if partition in self.cut:
            return
        chain = self.chains[partition]
        parsed = journal.Record.FromString(record.data)
        note = self._world.note
        if parsed.HasField("claim"):
            if parsed.claim.epoch <= chain.epoch:
                chain.voids += 1
                note(f"{self.service}/{partition} {record.offset} void claim {parsed.claim.epoch}")
                return
            chain.epoch, chain.writer = parsed.claim.epoch, parsed.claim.writer
            chain.address = parsed.claim.address
            chain.hash = hashlib.sha256(chain.hash + record.data).digest()
            note(f"{self.service}/{partition} {record.offset} claim {chain.epoch} of {chain.address}")
            self.on_claim(partition, chain.address)
            return
        block = parsed.block
        if (block.epoch, block.writer) != (chain.epoch, chain.writer) or block.sequence <= chain.sequence:
            chain.voids += 1
            note(f"{self.service}/{partition} {record.offset} void block {block.epoch}.{block.sequence}")
            return
        if block.sequence != chain.sequence + 1 or block.previous_hash != chain.hash:
            raise Violation(f"{self.service}/{partition}: the block at {record.offset} does not follow the log")
        if block.time_ms < chain.time_ms:
            raise Violation(f"{self.service}/{partition}: the block at {record.offset} goes back in time")
        chain.sequence, chain.time_ms = block.sequence, block.time_ms
        chain.hash = chain.hashes[record.offset] = hashlib.sha256(chain.hash + record.data).digest()
        note(f"{self.service}/{partition} {record.offset} block {block.epoch}.{block.sequence} {chain.hash.hex()[:8]}")
        self._take(partition, record.offset, block)

    def _take(self, partition: int, offset: int, block: journal.Block) -> None:
        index = 0
        for entry in block.entries:
            known = (f"{entry.actor.user}{entry.actor.service}", entry.request_id)
            if known in self.entries:
                raise Violation(f"{self.service}/{partition}: {known} at {offset} is decided for the second time")
            self.entries[known] = Written(partition, (offset, index), entry)
            for data in entry.events.events:
                self.ledger.apply(partition, (offset, index), Event.FromString(data), block.time_ms)
                index += 1

    # ---- what left a process

    def answered(self, scope: str, request_id: bytes, outcome: Outcome) -> None:
        """An outcome leaves: what it says must be in the log now, where it says."""
        if outcome.bug is not None:
            raise Violation(f"{self.service}: the domain failed: {outcome.bug!r}")
        if outcome.entry is None:
            return
        written = self.entries.get((scope, request_id))
        if written is None:
            raise Violation(f"{self.service}: {scope} is told of an entry that is not in the log")
        if outcome.position is None or written.place != tuple(outcome.position):
            raise Violation(f"{self.service}: {scope} is told {outcome.position}, the log says {written.place}")
        if written.entry != outcome.entry:
            raise Violation(f"{self.service}: {scope} is told something else than the log says")
        told = self._told[written.partition]
        if not told or told[-1][1] < written.place[0]:
            told.append((self._world.now, written.place[0]))

    # ---- what followers do

    def owe(self, partition: int, follower: str, place: Place, what: str, holds: Callable[[], bool]) -> None:
        """Notes what a follower has to do before its cursor passes a place."""
        self.duties.setdefault((partition, follower), []).append(Duty(place, what, holds))

    def cursor_moves(self, partition: int, follower: str, cursor: Cursor) -> None:
        """A cursor is about to be written: everything up to it must be done."""
        if partition in self.cut:
            return
        duties = self.duties.get((partition, follower), [])
        position = tuple(cursor.position)
        while duties and duties[0].place <= position:
            duty = duties[0]
            if not duty.holds():
                raise Violation(
                    f"{self.service}/{partition}: {follower} passes {duty.place} to {position}, not done: {duty.what}"
                )
            del duties[0]

    def undone(self) -> list[str]:
        """What followers have still to do."""
        return [
            f"{self.service}/{partition} {follower}: {duty.what}"
            for (partition, follower), duties in self.duties.items()
            for duty in duties
            if not duty.holds()
        ]

    # ---- its stream

    def publish(self, partition: int, topic: str, place: Place, data: bytes) -> None:
        """An event is public: it is to be in the stream before the relay's cursor passes."""
        self.public[partition].append((place, data))
        self.owe(partition, f"relay/{topic}", place, "published", lambda: place in self.published[partition])

    def streamed(self, partition: int, entry: StreamEntry, sent: float) -> bool:
        """Judges a stream record that was sent at a true time; says whether an event is told for the first time."""
        if partition in self.cut:
            return False
        record = journal.StreamRecord.FromString(entry.data)
        if not record.HasField("position"):
            self._beats(partition, min(sent, (record.time_ms - BEGIN_MS) / 1000))
            return False
        place = (record.position.offset, record.position.index)
        known = dict(self.public[partition])
        if known.get(place) != record.event:
            raise Violation(f"{self.service}/{partition}: {place} is published and is not so in the log")
        if self.chains[partition].hashes.get(place[0]) != record.source_hash:
            raise Violation(f"{self.service}/{partition}: {place} is published with another hash")
        first = place not in self.published[partition]
        self.published[partition].add(place)
        return first

    def _beats(self, partition: int, made: float) -> None:
        """A beat: what anybody knew to be durable when it was made stands before it."""
        self._world.faults.fired["stream_beats"] += 1
        told = max((offset for time, offset in self._told[partition] if time < made), default=-1)
        for place, _ in self.public[partition]:
            if place[0] <= told and place not in self.published[partition]:
                raise Violation(f"{self.service}/{partition}: a beat of {made:.6f} stands before {place}, told earlier")

    def check_stream(self, partition: int, entries: list[StreamEntry]) -> None:
        """A reader that takes each record whose previous is its last has read everything public, once, in order."""
        last: Place = (-1, -1)
        read: list[tuple[Place, bytes]] = []
        for entry in entries:
            record = journal.StreamRecord.FromString(entry.data)
            if not record.HasField("position"):
                continue
            previous = (record.previous.offset, record.previous.index) if record.HasField("previous") else (-1, -1)
            place = (record.position.offset, record.position.index)
            if previous == last and place > last:
                read.append((place, record.event))
                last = place
        if read != self.public[partition]:
            raise Violation(
                f"{self.service}/{partition}: a reader of the stream has {len(read)} of {len(self.public[partition])}"
            )
