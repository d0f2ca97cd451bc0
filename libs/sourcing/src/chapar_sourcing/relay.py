"""Publishes the public events of one own journal partition to the stream partition of the same number.

Flows in: valid blocks. Flows out: `StreamRecord`s, each with its source position and the one before it, so that
readers notice repetitions and holes. After a crash it goes on from its cursor: what was published after it is
published again, byte for byte alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from google.protobuf.message import Message

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.clock import Clock
from chapar_sourcing.domain import Domain, When
from chapar_sourcing.hosting import PublicEvent
from chapar_sourcing.measures import Measures
from chapar_sourcing.ports import Cursor, Journal, Store, Stream, Unavailable
from chapar_sourcing.positions import NOWHERE, Position
from chapar_sourcing.tail import BlockReader, Tail, ValidBlock
from chapar_sourcing.tracing import NO_TRACER, PUBLISH, Tracer, is_followed

PUBLISH_RECORDS_MAX = 500
BLOCKS_WITHOUT_CURSOR_MAX = 256
"""A cursor follows blocks without public events only this far behind."""


class Relay:
    """One topic of one partition."""

    def __init__(
        self, *, partition: int, topic: str, topics: Collection[str], tail: Tail, journal: Journal, store: Store,
        stream: Stream, domain: Domain[Any, Any], public_event: PublicEvent, measures: Measures,
        clock: Clock, tracer: Tracer = NO_TRACER,
    ) -> None:  # fmt: skip
        self.partition = partition
        self.topic = topic
        self.name = f"relay/{topic}"
        self._topics = topics
        self._tail = tail
        self._journal = journal
        self._store = store
        self._stream = stream
        self._domain = domain
        self._public_event = public_event
        self._measures = measures
        self._clock = clock
        self._tracer = tracer
        self._reader: BlockReader | None = None
        self._publishing = True

    @property
    def caught_up(self) -> bool:
        """Whether every public event that is known to be durable is in the stream."""
        return not self._publishing and self._reader is not None and self._reader.caught_up

    @property
    def lag(self) -> int:
        """Records that are known to be valid and were not handed out to be published; 0 before it runs."""
        return 0 if self._reader is None else self._reader.lag

    async def run(self) -> None:
        """Publishes from the cursor on, until cancelled. Raises `LogDamaged` and `Unavailable`."""
        self._publishing = True
        cursor = (await self._store.read_cursors(self.partition)).get(self.name) or Cursor(NOWHERE, b"", NOWHERE)
        self._reader = BlockReader(self.partition, self._journal, self._tail, cursor.position, cursor.hash)
        await self._reader.open()
        last, unwritten = cursor.last, 0
        while True:
            self._publishing = False
            blocks = await self._reader.next()
            self._publishing = True
            records: list[bytes] = []
            traced: list[str] = []
            for record in self._records(blocks, last):
                records.append(record.SerializeToString())
                last = Position(record.position.offset, record.position.index)
                if is_followed(record.trace_parent, record.time_ms, self._clock.now_ms()):
                    traced.append(record.trace_parent)
            began_ns = self._tracer.now_ns()
            await self._publish(records)
            self._tell(traced, len(records), began_ns)
            unwritten += BLOCKS_WITHOUT_CURSOR_MAX if records else len(blocks)
            if unwritten >= BLOCKS_WITHOUT_CURSOR_MAX and await self._moved(blocks[-1], last):
                unwritten = 0

    async def _moved(self, block: ValidBlock, last: Position) -> bool:
        """Writes the cursor; one that cannot be written now is only older than it could be."""
        try:
            await self._store.write_cursor(self.partition, self.name, Cursor(block.end, block.hash, last))
        except Unavailable:
            return False
        return True

    async def _publish(self, records: Sequence[bytes]) -> None:
        for start in range(0, len(records), PUBLISH_RECORDS_MAX):
            await self._stream.publish(self.topic, self.partition, records[start : start + PUBLISH_RECORDS_MAX])
        self._measures.count("events_published", len(records), topic=self.topic)

    def _tell(self, traced: Sequence[str], records: int, began_ns: int) -> None:
        for trace_parent in traced:
            span = self._tracer.begin(
                PUBLISH, trace_parent, began_ns=began_ns, partition=self.partition, topic=self.topic
            )
            if span is not None:
                span.end(records=records)

    def _records(self, blocks: Sequence[ValidBlock], last: Position) -> Iterator[journal.StreamRecord]:
        for block in blocks:
            when = When(block.block.time_ms)
            for at in block.events(self._domain.event_type):
                for message in self._messages(at.event, when):
                    record = journal.StreamRecord(
                        position=_place(at.position),
                        source_hash=block.hash,
                        time_ms=block.block.time_ms,
                        event=message.SerializeToString(),
                        trace_parent=at.trace_parent,
                    )
                    if last != NOWHERE:
                        record.previous.CopyFrom(_place(last))
                    last = at.position
                    yield record

    def _messages(self, event: Any, when: When) -> Sequence[Message]:
        """What this topic says about an event: nothing or one message."""
        found = []
        for topic, message in pairs(self._public_event(event, when)):
            if topic not in self._topics:
                raise RuntimeError(f"an event was to be published on {topic}, which the service does not declare")
            if topic == self.topic:
                found.append(message)
        if len(found) > 1:
            raise RuntimeError(f"one event was to be published twice on {self.topic}")
        return found


def pairs(published: tuple[str, Message] | Sequence[tuple[str, Message]] | None) -> Iterable[tuple[str, Message]]:
    """What a service says is public of an event, as a list."""
    if published is None:
        return ()
    if isinstance(published, tuple) and len(published) == 2 and isinstance(published[0], str):
        return (published,)
    return published


def _place(position: Position) -> journal.SourcePosition:
    return journal.SourcePosition(offset=position.offset, index=position.event_index)
