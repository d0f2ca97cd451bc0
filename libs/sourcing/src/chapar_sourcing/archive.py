"""An archive of a journal: its sealed segments in a folder, continued from where the last one ends; and a log read
from segments first, then from the journal.

Nothing is deleted from the journal. What an archive holds and what the journal holds fold to the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.ports import JournalRecord, LogReader, OffsetOutOfRange
from chapar_sourcing.segments import (
    SEGMENT_BYTES_MAX,
    SEGMENT_RECORDS_MAX,
    Place,
    SegmentEnd,
    SegmentReader,
    segments_of,
    write_segment,
)

PAGE_RECORDS = 500

Wanted: TypeAlias = Callable[[JournalRecord], bool]
"""Asked for each record in order, and no more after the first that is not."""


class Archive:
    """The segments of one journal in one folder."""

    def __init__(
        self, folder: Path, *, journal_id: str, generation: int, partitions: int,
        records_max: int = SEGMENT_RECORDS_MAX, bytes_max: int = SEGMENT_BYTES_MAX,
    ) -> None:  # fmt: skip
        self._folder = folder
        self._journal_id = journal_id
        self._generation = generation
        self._partitions = partitions
        self._records_max = records_max
        self._bytes_max = bytes_max

    def place(self, partition: int) -> Place:
        """How segments of a partition are labelled."""
        return Place(self._journal_id, self._generation, partition, self._partitions)

    def end(
        self, partition: int, *, up_to: int | None = None, each: Callable[[JournalRecord], None] = lambda _: None
    ) -> SegmentEnd:
        """Reads all segments of a partition, or those up to the one that ends at an offset; says where they end.

        `each` is shown the records. Raises `SegmentRefused`, `LogDamaged`.
        """
        end = SegmentEnd()
        for reader in self._segments(partition, up_to):
            for record in reader.records():
                each(record)
            end = reader.end
        return end

    def records(self, partition: int, *, up_to: int | None = None) -> Iterator[JournalRecord]:
        """The records of those segments in order. Raises as `end` does."""
        for reader in self._segments(partition, up_to):
            yield from reader.records()

    def _segments(self, partition: int, up_to: int | None) -> Iterator[SegmentReader]:
        if up_to == -1:
            return
        for reader in segments_of(self._folder, self.place(partition)):
            yield reader
            if reader.end.fold.offset == up_to:
                return

    async def continue_from(self, log: LogReader, partition: int) -> tuple[int, SegmentEnd]:
        """Writes segments of all that a log has after the archive; says how many records, and where it ends now.

        Raises `LogDamaged` where the log does not follow, `SegmentRefused`, `Unavailable`.
        """
        return await self.extend(log, partition, await self.opened(log, partition))

    async def opened(
        self, log: LogReader, partition: int, *, each: Callable[[JournalRecord], None] = lambda _: None
    ) -> SegmentEnd:
        """Where a partition's segments end, all of them read, shown and checked, and the log with them. Raises as
        `continue_from`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        end = await asyncio.to_thread(self.end, partition, each=each)
        await self._check_same(log, partition, end)
        return end

    async def extend(
        self, log: LogReader, partition: int, end: SegmentEnd, *, wanted: Wanted = lambda _: True,
        each: Callable[[JournalRecord], None] = lambda _: None,
    ) -> tuple[int, SegmentEnd]:  # fmt: skip
        """Writes segments of what a log has after `end`, up to the first record that is not wanted; `each` is shown
        what is written. Raises as `continue_from`."""
        written = 0
        while records := await self._gathered(log, partition, end.fold.offset + 1, wanted):
            end = await asyncio.to_thread(write_segment, self._folder, self.place(partition), end, records)
            written += len(records)
            for record in records:
                each(record)
        return written, end

    async def _check_same(self, log: LogReader, partition: int, end: SegmentEnd) -> None:
        """The log still holds the last record of the archive that counts."""
        if end.fold.valid_offset < 0:
            return
        try:
            found = await log.read(partition, end.fold.valid_offset, records_max=1)
        except OffsetOutOfRange:
            found = ()
        if not found or not end.fold.ends_with(found[0].offset, found[0].data):
            raise LogDamaged(f"partition {partition} does not hold what its archive says of {end.fold.valid_offset}")

    async def _gathered(
        self, log: LogReader, partition: int, offset: int, wanted: Wanted
    ) -> Sequence[JournalRecord]:  # fmt: skip
        """The records of the next segment; none at the end of the log, or where they are not wanted."""
        gathered: list[JournalRecord] = []
        size = 0
        while len(gathered) < self._records_max and size < self._bytes_max:
            left = min(PAGE_RECORDS, self._records_max - len(gathered))
            page = await log.read(partition, offset, records_max=left)
            if not page:
                break
            for record in page:
                if size >= self._bytes_max or not wanted(record):
                    return gathered
                gathered.append(record)
                size += len(record.data)
            offset = gathered[-1].offset + 1
        return gathered


class ArchivedLog:
    """A log as its archive and the rest of its journal give it: records of segments first."""

    def __init__(self, archive: Archive, log: LogReader) -> None:
        self._archive = archive
        self._log = log
        self._open: tuple[int, int, Iterator[JournalRecord]] | None = None
        """Partition, next offset, and the records from there on."""
        self._ends: dict[int, int] = {}
        """Offset after the archive of each partition that was read to its end."""

    async def read(self, partition: int, from_offset: int, *, records_max: int = 500) -> Sequence[JournalRecord]:
        """Records from an offset on: of the archive as long as it has any. Raises what either raises."""
        if from_offset >= self._ends.get(partition, from_offset + 1):
            return await self._log.read(partition, from_offset, records_max=records_max)
        found: list[JournalRecord] = []
        records = self._from(partition, from_offset)
        while len(found) < records_max and (record := next(records, None)) is not None:
            if record.offset >= from_offset:
                found.append(record)
        if found:
            self._open = (partition, found[-1].offset + 1, records)
            return found
        self._ends[partition] = from_offset
        return await self._log.read(partition, from_offset, records_max=records_max)

    def _from(self, partition: int, offset: int) -> Iterator[JournalRecord]:
        if self._open is not None and self._open[:2] == (partition, offset):
            return self._open[2]
        return self._archive.records(partition)
