"""Where reactors read: the own journal or another service's stream, in one shape.

Flows out: arrivals, each an event with its source, or none where a block has no events. `done` is the cursor once
this arrival and all before it are done with; None inside a block, which is done with as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import DecodeError, Message

from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.ports import Cursor
from chapar_sourcing.positions import NOWHERE
from chapar_sourcing.reactions import Source
from chapar_sourcing.stream_reader import StreamEvent, StreamReader
from chapar_sourcing.tail import BlockReader, ValidBlock


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event, or the end of a block without any."""

    event: Any | None
    source: Source | None
    hash: bytes
    done: Cursor | None


class EventSource(Protocol):
    """A place to read events from."""

    async def next(self) -> Sequence[Arrival]:
        """The next arrivals, at least one; waits for them. Raises `LogDamaged` and `Unavailable`."""


class JournalSource:
    """The own journal's partition."""

    def __init__(self, reader: BlockReader, service: str, partition: int, event_type: type[Message]) -> None:
        self._reader = reader
        self._service = service
        self._partition = partition
        self._event_type = event_type

    async def next(self) -> Sequence[Arrival]:
        """The events of the next blocks."""
        return [arrival for block in await self._reader.next() for arrival in self._arrivals(block)]

    async def until(self, offset: int) -> Sequence[Arrival]:
        """The events of the next blocks; none once `offset` or the end is reached."""
        return [arrival for block in await self._reader.until(offset) for arrival in self._arrivals(block)]

    def _arrivals(self, block: ValidBlock) -> Sequence[Arrival]:
        done = Cursor(block.end, block.hash, NOWHERE)
        events = block.events(self._event_type)
        if not events:
            return [Arrival(None, None, block.hash, done)]
        return [
            Arrival(
                at.event,
                Source(
                    topic=self._service,
                    partition=self._partition,
                    position=at.position,
                    time_ms=block.block.time_ms,
                    trace_parent=at.trace_parent,
                    request_id=at.request_id,
                ),
                block.hash,
                done if at is events[-1] else None,
            )
            for at in events
        ]


class StreamSource:
    """A partition of another service's stream."""

    def __init__(self, reader: StreamReader, topic: str, partition: int, event_type: type[Message]) -> None:
        self._reader = reader
        self._topic = topic
        self._partition = partition
        self._event_type = event_type

    async def next(self) -> Sequence[Arrival]:
        """The next events of the stream."""
        return [
            Arrival(
                self._parsed(found),
                Source(
                    topic=self._topic,
                    partition=self._partition,
                    position=found.position,
                    time_ms=found.record.time_ms,
                    trace_parent=found.record.trace_parent,
                ),
                found.cursor.hash,
                found.cursor,
            )
            for found in await self._reader.next()
        ]

    def _parsed(self, found: StreamEvent) -> Message:
        try:
            return self._event_type.FromString(found.record.event)
        except DecodeError:
            raise LogDamaged(f"{self._topic}/{self._partition}: the event {found.position} cannot be read") from None
