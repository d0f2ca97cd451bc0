"""Sealed segments: a run of a partition's records in a file that never changes, with the fold before and after it.

The layout is `chapar/sourcing/segment/v1`. Flows in: records in order. Flows out: a file that appears whole or not at
all; and back: records, folded on the way, or `SegmentRefused` with what is wrong. A reader hands records on before it
has seen the end of their file: what was made of them counts only once the whole segment was read without a complaint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar

from google.protobuf.message import DecodeError, Message

from chapar.sourcing.segment.v1 import segment_pb2 as pb
from chapar_sourcing.durable import durable_file
from chapar_sourcing.fold import FoldState, fold
from chapar_sourcing.ports import JournalRecord
from chapar_sourcing.ports.journal import RECORD_BYTES_MAX

MAGIC = b"CHSEG\r\n\x1a"
FORMAT = 1
SLOT_MAP = "even"
SEGMENT_RECORDS_MAX = 100_000
SEGMENT_BYTES_MAX = 64 * 1024 * 1024
"""Records beyond it go into the next segment."""
FRAME_BYTES_MAX = RECORD_BYTES_MAX + 1024
_LENGTH_BYTES = 4
_SUM_BYTES = 32

MessageT = TypeVar("MessageT", bound=Message)


class SegmentRefused(Exception):
    """The file is not a segment, not whole, or does not follow. The text names the file and says what is wrong."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which log a segment is of."""

    journal_id: str
    generation: int
    partition: int
    partitions: int


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """Where a segment ends: what the next one follows."""

    fold: FoldState = field(default_factory=FoldState)
    sha256: bytes = b""


def segment_name(partition: int, first_offset: int, last_offset: int) -> str:
    """A segment's file name; names of a partition sort in the order of their records."""
    return f"{partition:05d}-{first_offset:020d}-{last_offset:020d}.segment"


# ---- writing


def write_segment(folder: Path, place: Place, before: SegmentEnd, records: Sequence[JournalRecord]) -> SegmentEnd:
    """Writes the records that follow `before` as one segment, durably, under its name.

    Raises `LogDamaged` where they do not follow, `ValueError` for none or too many of them.
    """
    if not 1 <= len(records) <= SEGMENT_RECORDS_MAX:
        raise ValueError(f"a segment has 1 to {SEGMENT_RECORDS_MAX} records, not {len(records)}")
    after = before.fold
    for record in records:
        after, _, _ = fold(after, record.offset, record.data)
    header = pb.SegmentHeader(
        format=FORMAT,
        journal_id=place.journal_id,
        generation=place.generation,
        partition=place.partition,
        partitions=place.partitions,
        slot_map=SLOT_MAP,
        first_offset=records[0].offset,
        last_offset=records[-1].offset,
        records=len(records),
        fold_before=_packed(before.fold) if before.sha256 else None,
        previous_sha256=before.sha256,
    )
    path = folder / segment_name(place.partition, records[0].offset, records[-1].offset)
    with durable_file(path) as file:
        digest = _write(file, header, records, pb.SegmentTrailer(fold_after=_packed(after)))
    return SegmentEnd(after, digest)


def _write(file: BinaryIO, header: Message, records: Sequence[JournalRecord], trailer: Message) -> bytes:
    digest = hashlib.sha256()

    def put(data: bytes) -> None:
        digest.update(data)
        file.write(data)

    put(MAGIC)
    put(_frame(header.SerializeToString()))
    for record in records:
        put(_frame(pb.SegmentRecord(offset=record.offset, data=record.data).SerializeToString()))
    put(_frame(b""))
    put(_frame(trailer.SerializeToString()))
    file.write(digest.digest())
    return digest.digest()


def _frame(content: bytes) -> bytes:
    return len(content).to_bytes(_LENGTH_BYTES, "big") + content


# ---- reading


class SegmentReader:
    """Reads one segment; after the last record, `end` says where it ends."""

    def __init__(self, path: Path, place: Place, before: SegmentEnd) -> None:
        self._path = path
        self._place = place
        self._before = before
        self._digest = hashlib.sha256()
        self.end = before

    def records(self) -> Iterator[JournalRecord]:
        """The records in order, each folded. Raises `SegmentRefused`, `LogDamaged`."""
        with self._path.open("rb") as file:
            if self._bytes(file, len(MAGIC)) != MAGIC:
                raise self._refused("is not a segment")
            header = self._message(pb.SegmentHeader, self._frame(file), "header")
            self._check(header)
            state, count = self._before.fold, 0
            while content := self._frame(file):
                record = self._message(pb.SegmentRecord, content, f"record {count}")
                state, _, _ = fold(state, record.offset, record.data)
                count += 1
                yield JournalRecord(record.offset, record.data)
            if (count, state.offset) != (header.records, header.last_offset):
                raise self._refused(f"says {header.records} records up to {header.last_offset}, and holds {count}")
            trailer = self._message(pb.SegmentTrailer, self._frame(file), "trailer")
            if trailer.fold_after != _packed(state):
                raise self._refused("says another fold at its end than its records give")
            digest = self._digest.digest()
            if file.read(_SUM_BYTES) != digest:
                raise self._refused("is damaged: its bytes have another sum than it says")
            if file.read(1):
                raise self._refused("goes on after its end")
            self.end = SegmentEnd(state, digest)

    def _check(self, header: pb.SegmentHeader) -> None:
        if header.format != FORMAT or header.slot_map != SLOT_MAP:
            raise self._refused(f"has format {header.format}; this program reads format {FORMAT}")
        found = Place(header.journal_id, header.generation, header.partition, header.partitions)
        if found != self._place:
            raise self._refused(f"is of {found}, not of {self._place}")
        if header.previous_sha256 != self._before.sha256:
            raise self._refused("does not follow the segment before it: one is missing, or they are in another order")
        folded = _unpacked(header.fold_before) if header.HasField("fold_before") else FoldState()
        if folded != self._before.fold:
            raise self._refused("says another fold at its beginning than the segments before it give")
        if header.first_offset <= folded.offset or not 1 <= header.records <= SEGMENT_RECORDS_MAX:
            raise self._refused("says that it holds what it cannot hold")

    def _frame(self, file: BinaryIO) -> bytes:
        length = int.from_bytes(self._bytes(file, _LENGTH_BYTES), "big")
        if length > FRAME_BYTES_MAX:
            raise self._refused(f"is damaged: a record of {length} bytes is longer than any")
        return self._bytes(file, length)

    def _bytes(self, file: BinaryIO, count: int) -> bytes:
        data = file.read(count)
        if len(data) < count:
            raise self._refused("ends too early: it was cut")
        self._digest.update(data)
        return data

    def _message(self, kind: type[MessageT], content: bytes, what: str) -> MessageT:
        try:
            return kind.FromString(content)
        except DecodeError:
            raise self._refused(f"is damaged: its {what} cannot be read") from None

    def _refused(self, problem: str) -> SegmentRefused:
        return SegmentRefused(f"{self._path.name} {problem}")


def segments_of(folder: Path, place: Place) -> Iterator[SegmentReader]:
    """The readers of a partition's segments, in order; each is to be read to its end before the next is asked for."""
    end = SegmentEnd()
    for path in sorted(folder.glob(f"{place.partition:05d}-*.segment")):
        reader = SegmentReader(path, place, end)
        yield reader
        end = reader.end


def _packed(state: FoldState) -> pb.SegmentFold:
    return pb.SegmentFold(
        epoch=state.epoch,
        writer=state.writer,
        sequence=state.sequence,
        hash=state.hash,
        time_ms=state.time_ms,
        offset=state.offset,
        valid_offset=state.valid_offset,
        claim_sequence=state.claim_sequence,
        recent=[pb.SegmentHash(offset=offset, hash=digest) for offset, digest in state.recent],
        schema_level=state.schema_level,
    )


def _unpacked(packed: pb.SegmentFold) -> FoldState:
    return FoldState(
        epoch=packed.epoch,
        writer=packed.writer,
        sequence=packed.sequence,
        hash=packed.hash,
        time_ms=packed.time_ms,
        offset=packed.offset,
        valid_offset=packed.valid_offset,
        claim_sequence=packed.claim_sequence,
        recent=tuple((one.offset, one.hash) for one in packed.recent),
        schema_level=packed.schema_level,
    )
