"""An archive of sealed segments, read from the description of its format alone.

Flows in: the files of a partition in the order of their names. Flows out: their records, and what is wrong with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import DecodeError

from chapar.sourcing.segment.v1 import segment_pb2 as segment
from chapar_client.verifier._chain import Chain

MAGIC = b"CHSEG\r\n\x1a"
FRAME_BYTES_MAX = 1024 * 1024
_SUM_BYTES = 32


class _Bad(Exception):
    """What is wrong with a file."""


@dataclass(slots=True)
class Segments:
    """A partition's segments; after `records`, `damage` says what is wrong and `chain` where they end."""

    folder: Path
    journal_id: str
    partition: int
    partitions: int
    chain: Chain = field(default_factory=Chain)
    files: int = 0
    damage: list[str] = field(default_factory=list)
    _previous: bytes = b""

    def walk(self) -> None:
        """Reads all files; stops at the first that is wrong."""
        for path in sorted(self.folder.glob(f"{self.partition:05d}-*.segment")):
            try:
                self._file(path)
            except (_Bad, DecodeError) as problem:
                self.damage.append(f"{path.name}: {problem or 'cannot be read'}")
                return
            if self.chain.damage:
                self.damage += [f"{path.name}: {problem}" for problem in self.chain.damage]
                return
            self.files += 1

    def _file(self, path: Path) -> None:
        with path.open("rb") as file:
            reading = _Reading(file)
            if reading.take(len(MAGIC)) != MAGIC:
                raise _Bad("is not a segment")
            header = segment.SegmentHeader.FromString(reading.frame())
            self._check(header)
            before = self.chain.records
            for _ in self.chain.walk(reading.records()):
                pass
            count = self.chain.records - before
            if (count, self.chain.offset) != (header.records, header.last_offset):
                raise _Bad(f"holds {count} records up to {self.chain.offset}, and says otherwise")
            self._compare(segment.SegmentTrailer.FromString(reading.frame()).fold_after, "end")
            digest = reading.digest.digest()
            if file.read() != digest:
                raise _Bad("its bytes have another sum than it says")
            self._previous = digest

    def _check(self, header: segment.SegmentHeader) -> None:
        if header.format != 1 or header.slot_map != "even":
            raise _Bad(f"has format {header.format}, not 1")
        place = (header.journal_id, header.partition, header.partitions)
        if place != (self.journal_id, self.partition, self.partitions):
            raise _Bad("is of another journal or partition")
        if header.previous_sha256 != self._previous:
            raise _Bad("does not follow the segment before it")
        if header.HasField("fold_before"):
            self._compare(header.fold_before, "beginning")
        elif self._previous:
            raise _Bad("does not say what it follows")

    def _compare(self, said: segment.SegmentFold, where: str) -> None:
        chain = self.chain
        found = (chain.epoch, chain.writer, chain.sequence, chain.digest, chain.offset)
        if (said.epoch, said.writer, said.sequence, said.hash, said.offset) != found:
            raise _Bad(f"says another fold at its {where} than its records give")


@dataclass(slots=True)
class _Reading:
    file: BinaryIO
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def take(self, count: int) -> bytes:
        data = self.file.read(count)
        if len(data) < count:
            raise _Bad("ends too early")
        self.digest.update(data)
        return data

    def frame(self) -> bytes:
        length = int.from_bytes(self.take(4), "big")
        if length > FRAME_BYTES_MAX:
            raise _Bad(f"a frame of {length} bytes is longer than any")
        return self.take(length)

    def records(self) -> Iterator[tuple[int, bytes]]:
        while content := self.frame():
            record = segment.SegmentRecord.FromString(content)
            yield record.offset, record.data
