"""Reads one stream partition as its source's journal meant it: each event once, in order, holes noticed.

Flows in: `StreamRecord`s, perhaps repeated. Flows out: each event whose `previous` is the last one handed out. A
record that does not fit is skipped: either it was seen, or what came before it will still come, again, by a relay
that repeats. A hole that stays is an alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.clock import Clock
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.ports import Cursor, OffsetOutOfRange, Stream
from chapar_sourcing.positions import NOWHERE, Position

WAIT_MS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An event of another service; `cursor` is where its reader stands after it."""

    record: journal.StreamRecord
    position: Position
    cursor: Cursor


class StreamReader:
    """One reader of one stream partition.

    Its cursor's `position` is the stream's offset (index 0), its `last` the source position of the last event, its
    `hash` the source's hash there.
    """

    def __init__(
        self, *, stream: Stream, topic: str, partition: int, partitions: int, cursor: Cursor | None, clock: Clock,
        hole_ms_max: int,
    ) -> None:  # fmt: skip
        self._stream = stream
        self._topic = topic
        self._partition = partition
        self._partitions = partitions
        self._opened = False
        self._clock = clock
        self._hole_ms_max = hole_ms_max
        self._next: int | None = None if cursor is None else cursor.position.offset + 1
        self._last = NOWHERE if cursor is None else cursor.last
        self._hash = b"" if cursor is None else cursor.hash
        self._trimmed = False
        self._hole_since: float | None = None
        self.beat_time_ms = 0
        """The newest time that a beat or an event carried."""

    async def next(self, records_max: int = 200) -> Sequence[StreamEvent]:
        """The next events, at least one; waits for them. Raises `Unavailable`, and `LogDamaged` on a lasting hole
        or a record that is none."""
        if not self._opened:
            await self._open()
        assert self._next is not None, "an open reader knows where it stands"
        while True:
            try:
                entries = await self._stream.read(self._topic, self._partition, self._next, records_max=records_max)
            except OffsetOutOfRange:
                raise LogDamaged(f"{self._topic}/{self._partition} ends before offset {self._next}") from None
            found = [event for entry in entries if (event := self._taken(entry.offset, entry.data)) is not None]
            if found:
                return found
            self._check_hole()
            while not entries and not await self._stream.wait(self._topic, {self._partition: self._next}, WAIT_MS_MAX):
                self._check_hole()

    async def _open(self) -> None:
        count = await self._stream.partitions(self._topic)
        if count != self._partitions:
            raise LogDamaged(f"{self._topic} has {count} partitions, not {self._partitions}: some would not be read")
        if self._next is None:
            self._next = await self._stream.start_offset(self._topic, self._partition)
            self._trimmed = self._next > 0
        self._opened = True

    def _taken(self, offset: int, data: bytes) -> StreamEvent | None:
        self._next = offset + 1
        try:
            record = journal.StreamRecord.FromString(data)
        except DecodeError:
            raise LogDamaged(f"{self._topic}/{self._partition} cannot be read at offset {offset}") from None
        if not record.HasField("position"):
            self.beat_time_ms = max(self.beat_time_ms, record.time_ms)
            return None
        position = _position(record.position)
        if position == self._last and record.source_hash != self._hash:
            raise LogDamaged(f"{self._topic}/{self._partition} tells of {position} anew and otherwise")
        if position <= self._last:
            return None
        previous = _position(record.previous) if record.HasField("previous") else NOWHERE
        if previous != self._last and not self._trimmed:
            if self._hole_since is None:
                self._hole_since = self._clock.monotonic()
            return None
        self._trimmed = False
        self._hole_since = None
        self._last, self._hash = position, record.source_hash
        self.beat_time_ms = max(self.beat_time_ms, record.time_ms)
        return StreamEvent(record, position, Cursor(Position(offset, 0), record.source_hash, position))

    def _check_hole(self) -> None:
        if self._hole_since is None:
            return
        if (self._clock.monotonic() - self._hole_since) * 1000 > self._hole_ms_max:
            raise LogDamaged(f"{self._topic}/{self._partition} has a hole after {self._last} that does not heal")


def _position(place: journal.SourcePosition) -> Position:
    return Position(place.offset, place.index)
