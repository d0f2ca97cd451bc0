"""An archive of a journal: its sealed segments in a folder, continued from where the last one ends; and a log read
from segments first, then from the journal.

Nothing is deleted from the journal. What an archive holds and what the journal holds fold to the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.ports import JournalRecord, LogReader, OffsetOutOfRange
from chapar_sourcing.segments import (
    SEGMENT_BYTES_MAX,
    SEGMENT_RECORDS_MAX,
    Place,
    SegmentEnd,
    segments_of,
    write_segment,
)

PAGE_RECORDS = 500


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

    def end(self, partition: int) -> SegmentEnd:
        """Reads all segments of a partition; says where they end. Raises `SegmentRefused`, `LogDamaged`."""
        end = SegmentEnd()
        for reader in segments_of(self._folder, self.place(partition)):
            for _ in reader.records():
                pass
            end = reader.end
        return end

    def records(self, partition: int) -> Iterator[JournalRecord]:
        """All records of a partition's segments in order. Raises as `end` does."""
        for reader in segments_of(self._folder, self.place(partition)):
            yield from reader.records()

    async def continue_from(self, log: LogReader, partition: int) -> tuple[int, SegmentEnd]:
        """Writes segments of all that a log has after the archive; says how many records, and where it ends now.

        Raises `LogDamaged` where the log does not follow, `SegmentRefused`, `Unavailable`.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        end, written = self.end(partition), 0
        await self._check_same(log, partition, end)
        while records := await self._gathered(log, partition, end.fold.offset + 1):
            end = write_segment(self._folder, self.place(partition), end, records)
            written += len(records)
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

    async def _gathered(self, log: LogReader, partition: int, offset: int) -> Sequence[JournalRecord]:
        """The records of the next segment; none at the end of the log."""
        gathered: list[JournalRecord] = []
        size = 0
        while len(gathered) < self._records_max and size < self._bytes_max:
            left = min(PAGE_RECORDS, self._records_max - len(gathered))
            page = await log.read(partition, offset, records_max=left)
            if not page:
                break
            for record in page:
                if size >= self._bytes_max:
                    break
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
