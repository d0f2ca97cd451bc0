"""The newest valid blocks of a partition, in memory, and reading on from any cursor.

Flows in: `Applied` of the owner. Flows out: valid blocks in order, to relays and reactors. Who is further behind than
the ring reaches reads the journal and folds it with the one fold rule, starting from the block that the cursor names:
that block must hash to what the cursor says, or the log is another one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.fold import FoldState, LogDamaged, Verdict, chained, fold
from chapar_sourcing.ports import Journal, JournalRecord, OffsetOutOfRange
from chapar_sourcing.positions import NOWHERE, Position
from chapar_sourcing.pulse import Pulse
from chapar_sourcing.recent import BLOCKS_MAX

BYTES_MAX = 8 * 1024 * 1024
WAIT_MS_MAX = 1_000

MessageT = TypeVar("MessageT", bound=Message)


@dataclass(slots=True)
class EventAt:
    """An event with its place."""

    event: Any
    position: Position
    request_id: bytes
    trace_parent: str


@dataclass(slots=True)
class ValidBlock:
    """A valid, durable block; `hash` is the fold's hash after it."""

    offset: int
    block: journal.Block
    hash: bytes
    _events: list[EventAt] | None = field(default=None, repr=False)

    @property
    def end(self) -> Position:
        """Position of its last event; index -1 when it has none."""
        return Position(self.offset, sum(len(e.events.events) for e in self.block.entries) - 1)

    def events(self, event_type: type[Message]) -> Sequence[EventAt]:
        """Its events in order, parsed once. Raises `LogDamaged` for one that is none."""
        if self._events is None:
            found: list[EventAt] = []
            for entry in self.block.entries:
                for data in entry.events.events:
                    place = Position(self.offset, len(found))
                    found.append(EventAt(_parsed(event_type, data, place), place, entry.request_id, entry.trace_parent))
            self._events = found
        return self._events


class Tail:
    """A bounded ring of the newest valid blocks: all there are between `floor` and the newest."""

    def __init__(self, *, blocks_max: int = BLOCKS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._blocks: deque[tuple[ValidBlock, int]] = deque()
        self.blocks_max = blocks_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._pulse = Pulse()
        self.floor = -1
        """Every valid block after this offset is in the ring, as far as the owner has come."""
        self.top = -1
        """Offset of the newest block; at least `floor`."""

    def start(self, offset: int) -> None:
        """Says where the owner begins: it will tell of every valid block after this offset."""
        self.floor = self.top = offset

    def push(self, block: ValidBlock) -> None:
        """Takes in the next block; the oldest leave when the bounds are passed."""
        if block.offset <= self.top:
            return
        size = block.block.ByteSize()
        self._blocks.append((block, size))
        self._bytes += size
        self.top = block.offset
        while len(self._blocks) > self.blocks_max or (self._bytes > self._bytes_max and len(self._blocks) > 1):
            oldest, oldest_size = self._blocks.popleft()
            self._bytes -= oldest_size
            self.floor = oldest.offset
        self._pulse.beat()

    def after(self, offset: int, blocks_max: int) -> Sequence[ValidBlock] | None:
        """The next blocks after an offset; None when the ring does not reach back so far."""
        if offset < self.floor:
            return None
        found: list[ValidBlock] = []
        for block, _ in reversed(self._blocks):
            if block.offset <= offset:
                break
            found.append(block)
        found.reverse()
        return found[:blocks_max]

    async def wait(self, offset: int) -> None:
        """Returns when there is a block after `offset`."""
        await self._pulse.until(lambda: self.top > offset)


class BlockReader:
    """Reads the valid blocks of one partition after a cursor, from the ring or from the journal."""

    def __init__(self, partition: int, journal_port: Journal, tail: Tail, position: Position, digest: bytes) -> None:
        self._partition = partition
        self._journal = journal_port
        self._tail = tail
        self._state = FoldState()
        self._unchecked = (position, digest) if position != NOWHERE else None

    @property
    def offset(self) -> int:
        """Offset of the last record folded."""
        return self._state.offset

    @property
    def caught_up(self) -> bool:
        """Whether nothing valid is known that was not handed out."""
        return self._unchecked is None and self._state.offset >= self._tail.top

    @property
    def lag(self) -> int:
        """Offsets between the newest block and what was handed out."""
        return max(0, self._tail.top - self._state.offset)

    async def open(self) -> None:
        """Checks the cursor against the log. Raises `LogDamaged` and `Unavailable`."""
        if self._unchecked is not None:
            await self._begin(*self._unchecked)

    async def next(self, blocks_max: int = 64) -> Sequence[ValidBlock]:
        """The next valid blocks, at least one; waits for them. Raises `LogDamaged` and `Unavailable`."""
        await self.open()
        while True:
            blocks = self._tail.after(self._state.offset, blocks_max)
            if blocks is None:
                found = await self._read(blocks_max)
                if found:
                    return found
            elif blocks:
                for block in blocks:
                    self._follow(block)
                return blocks
            else:
                await self._tail.wait(self._state.offset)

    async def until(self, offset: int, blocks_max: int = 64) -> Sequence[ValidBlock]:
        """The next valid blocks from the journal; none once `offset` or the end is reached. Raises as `next`."""
        await self.open()
        while self._state.offset < offset:
            records = [record for record in await self._page(blocks_max) if record.offset <= offset]
            if not records:
                break
            found = self._folded(records)
            if found:
                return found
        return ()

    async def _begin(self, position: Position, digest: bytes) -> None:
        """Makes a fold state from the block that the cursor names, after checking that it is that block."""
        try:
            records = await self._journal.read(self._partition, position.offset, records_max=1)
        except OffsetOutOfRange:
            raise LogDamaged(f"a cursor names offset {position.offset}, beyond the end") from None
        if not records or records[0].offset != position.offset:
            raise LogDamaged(f"a cursor names offset {position.offset}, where there is no record")
        data = records[0].data
        record = _parsed(journal.Record, data, position)
        if record.WhichOneof("kind") != "block" or chained(record.block.previous_hash, data) != digest:
            raise LogDamaged(f"a cursor at offset {position.offset} has read another log")
        self._state = _state_after(position.offset, record.block, digest)
        self._unchecked = None

    def _follow(self, block: ValidBlock) -> None:
        if block.block.sequence != self._state.sequence + 1:
            raise LogDamaged(f"block {block.block.sequence} at offset {block.offset} follows {self._state.sequence}")
        self._state = _state_after(block.offset, block.block, block.hash)

    async def _read(self, blocks_max: int) -> Sequence[ValidBlock]:
        records = await self._page(blocks_max)
        if not records:
            await self._journal.wait(self._partition, self._state.offset + 1, WAIT_MS_MAX)
        # Beyond what the owner has folded, a newer release may have written what cannot be understood here.
        known = [record for record in records if record.offset <= self._tail.top]
        if records and not known:
            raise LogDamaged(f"the log has no record from offset {self._state.offset + 1} to {self._tail.top}")
        return self._folded(known)

    async def _page(self, records_max: int) -> Sequence[JournalRecord]:
        try:
            return await self._journal.read(self._partition, self._state.offset + 1, records_max=records_max)
        except OffsetOutOfRange:
            raise LogDamaged(f"the log ends before offset {self._state.offset + 1}") from None

    def _folded(self, records: Sequence[JournalRecord]) -> Sequence[ValidBlock]:
        found: list[ValidBlock] = []
        for record in records:
            self._state, verdict, parsed = fold(self._state, record.offset, record.data)
            if verdict is Verdict.BLOCK:
                found.append(ValidBlock(record.offset, parsed.block, self._state.hash))
        return found


def _parsed(kind: type[MessageT], data: bytes, place: Position) -> MessageT:
    try:
        return kind.FromString(data)
    except DecodeError:
        raise LogDamaged(f"what the log holds at {place.offset}/{place.event_index} cannot be read") from None


def _state_after(offset: int, block: journal.Block, digest: bytes) -> FoldState:
    """What the fold knows after a block, but for when its writer claimed: later claims and blocks are judged alike."""
    return FoldState(
        epoch=block.epoch,
        writer=block.writer,
        sequence=block.sequence,
        hash=digest,
        time_ms=block.time_ms,
        offset=offset,
        valid_offset=offset,
    )
