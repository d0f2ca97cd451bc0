"""The Journal port on one SQLite file: all partitions in one table, one fsync for all blocks that wait."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from chapar_sourcing.adapters._bell import Bell
from chapar_sourcing.adapters.sqlite._database import Database
from chapar_sourcing.adapters.sqlite._files import Format, wall_clock_ms
from chapar_sourcing.adapters.sqlite._reads import page
from chapar_sourcing.adapters.sqlite._sums import RowDamaged, check_sum, row_sum
from chapar_sourcing.adapters.sqlite._writes import WriteUndone, WriteUnknown, end_process
from chapar_sourcing.partitions import SLOTS
from chapar_sourcing.ports import Appended, AppendRejected, AppendUnknown, JournalRecord, OffsetOutOfRange, Unavailable
from chapar_sourcing.ports.journal import RECORD_BYTES_MAX

JOURNAL = Format(
    kind="journal",
    version=1,
    tables=(
        """CREATE TABLE journal (partition INTEGER NOT NULL, offset INTEGER NOT NULL, time_ms INTEGER NOT NULL,
        data BLOB NOT NULL, PRIMARY KEY (partition, offset))""",
    ),
    added_columns=(("journal", "sum INTEGER"),),
)
_APPEND = "INSERT INTO journal (partition, offset, time_ms, data, sum) VALUES (?, ?, ?, ?, ?)"
_READ = """SELECT offset, time_ms, data, sum FROM journal WHERE partition = ? AND offset >= ?
    ORDER BY offset LIMIT ?"""
_END = "SELECT COALESCE(MAX(offset), -1) + 1 FROM journal WHERE partition = ?"


class SqliteJournal:
    """The Journal port. Offsets of a partition are dense, from 0."""

    def __init__(
        self, database: Database, ends: dict[int, int], *, append_deadline_ms: int, now_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._ends = ends
        self._bells = [Bell() for _ in ends]
        self._append_deadline_ms = append_deadline_ms
        self._now_ms = now_ms
        self._closed = False

    @classmethod
    async def open(
        cls, path: Path, *, partitions: int = 16, service: str = "", journal_id: str | None = None,
        append_deadline_ms: int = 10_000, now_ms: Callable[[], int] = wall_clock_ms,
        broken: Callable[[str], None] = end_process,
    ) -> Self:  # fmt: skip
        """Opens or creates a journal file.

        Raises `FileRefused`: held by another process, another kind, format or service, other partitions, another
        `journal_id`.
        """
        if not 1 <= partitions <= SLOTS:
            raise ValueError(f"a journal has 1 to {SLOTS} partitions, not {partitions}")
        fresh = {
            "journal_id": journal_id or secrets.token_hex(16),
            "generation": "1",
            "partitions": str(partitions),
            "slot_map": "even",
        }
        ends: dict[int, int] = {}

        def check(found: Mapping[str, str], connection: sqlite3.Connection) -> str | None:
            problem = _problem(found, partitions, journal_id)
            if problem is None:
                ends.update(_ends(connection, partitions))
            return problem

        database = await Database.open(path, JOURNAL, metadata=fresh, service=service, broken=broken, check=check)
        return cls(database, ends, append_deadline_ms=append_deadline_ms, now_ms=now_ms)

    @property
    def journal_id(self) -> str:
        """Random id of the file's journal."""
        return self._database.metadata["journal_id"]

    @property
    def generation(self) -> int:
        """The journal's generation."""
        return int(self._database.metadata["generation"])

    @property
    def partitions(self) -> int:
        """How many partitions the journal has."""
        return len(self._ends)

    async def append(self, partition: int, data: bytes, *, fresh_producer: bool = False) -> Appended:
        """Appends one record; there is one writer and it cannot be disturbed, so `fresh_producer` changes nothing."""
        self._check_partition(partition)
        if len(data) > RECORD_BYTES_MAX:
            raise AppendRejected(f"{len(data)} bytes are more than {RECORD_BYTES_MAX}")

        def job(connection: sqlite3.Connection) -> tuple[int, int]:
            time_ms = self._now_ms()
            (offset,) = connection.execute(_END, (partition,)).fetchone()
            if offset < self._ends[partition]:
                raise RowDamaged(
                    f"partition {partition} ends at {offset}, but {self._ends[partition]} was acknowledged"
                )
            connection.execute(_APPEND, (partition, offset, time_ms, data, row_sum(data, partition, offset, time_ms)))
            return offset, time_ms

        try:
            async with asyncio.timeout(self._append_deadline_ms / 1000):
                offset, time_ms = await self._database.write(
                    job, then=lambda done: self._grown(partition, done[0]), size=len(data)
                )
        except WriteUndone as error:
            raise AppendRejected(str(error)) from error
        except (WriteUnknown, TimeoutError) as error:
            raise AppendUnknown(str(error) or "the disk does not answer") from error
        return Appended(offset, time_ms)

    async def read(self, partition: int, from_offset: int, *, records_max: int = 500) -> Sequence[JournalRecord]:
        """Records from an offset on, up to `records_max` or 4 MiB."""
        self._check_partition(partition)

        return await self._database.read(
            lambda connection: read_records(connection, partition, from_offset, records_max)
        )

    async def end_offset(self, partition: int) -> int:
        """The offset after the last record."""
        self._check_partition(partition)
        self._check_open()
        return self._ends[partition]

    async def wait(self, partition: int, from_offset: int, timeout_ms: int) -> bool:
        """Waits for a record at or after an offset."""
        self._check_partition(partition)
        return await self._bells[partition].wait_until(lambda: self._has(partition, from_offset), timeout_ms)

    async def close(self) -> None:
        """Finishes the appends under way and gives the file back."""
        self._closed = True
        for bell in self._bells:
            bell.ring()
        await self._database.close()

    def _grown(self, partition: int, offset: int) -> None:
        self._ends[partition] = offset + 1
        self._bells[partition].ring()

    def _has(self, partition: int, from_offset: int) -> bool:
        self._check_open()
        return self._ends[partition] > from_offset

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the journal is closed")

    def _check_partition(self, partition: int) -> None:
        if not 0 <= partition < len(self._ends):
            raise ValueError(f"partition {partition} is outside 0..{len(self._ends) - 1}")


def read_records(
    connection: sqlite3.Connection, partition: int, from_offset: int, records_max: int
) -> list[JournalRecord]:
    """A page of records, none at the end. Raises `OffsetOutOfRange`, `RowDamaged`."""
    end = end_of(connection, partition)
    if from_offset > end:
        raise OffsetOutOfRange(f"partition {partition} ends at {end}, before {from_offset}")
    rows = connection.execute(_READ, (partition, from_offset, records_max))
    found = [JournalRecord(offset, data) for offset, data in page(_checked(partition, rows))]
    if [record.offset for record in found] != list(range(from_offset, from_offset + len(found))):
        raise RowDamaged(f"records of partition {partition} after {from_offset} are gone")
    if not found and from_offset < end:
        raise RowDamaged(f"partition {partition} ends at {end}, and {from_offset} is gone")
    return found


def end_of(connection: sqlite3.Connection, partition: int) -> int:
    """The offset after a partition's last record."""
    return int(connection.execute(_END, (partition,)).fetchone()[0])


def _ends(connection: sqlite3.Connection, partitions: int) -> dict[int, int]:
    """The end of each partition. Row ids count all records: raises `RowDamaged` where some cannot be found."""
    found = {partition: end_of(connection, partition) for partition in range(partitions)}
    (records,) = connection.execute("SELECT COALESCE(MAX(rowid), 0) FROM journal").fetchone()
    if sum(found.values()) != records:
        raise RowDamaged(f"its partitions have {sum(found.values())} records, {records} were appended")
    return found


def _problem(found: Mapping[str, str], partitions: int, journal_id: str | None) -> str | None:
    if found.get("partitions") != str(partitions):
        return f"has {found.get('partitions')} partitions; {partitions} were asked for, and they cannot be changed so"
    if found.get("slot_map") != "even":
        return f"has the slot map {found.get('slot_map')!r}, which this program does not know"
    if journal_id is not None and found.get("journal_id") != journal_id:
        return f"is journal {found.get('journal_id')}, not {journal_id}"
    if not found.get("journal_id") or not found.get("generation", "").isdigit():
        return "does not say which journal it is: it is damaged. Restore it and its log from a copy"
    return None


def _checked(partition: int, rows: Iterable[tuple[int, int, bytes | None, int | None]]) -> Iterator[tuple[int, bytes]]:
    """(offset, data) of rows that are what was written."""
    for offset, time_ms, data, found in rows:
        check_sum(found, data, partition, offset, time_ms)
        if data is None:
            raise RowDamaged(f"record {offset} of partition {partition} is empty")
        yield offset, data
