"""The Stream port on SQLite files: one for each producing service, which other processes read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from chapar_sourcing.adapters._bell import Bell
from chapar_sourcing.adapters._sizes import check_sizes
from chapar_sourcing.adapters.sqlite._database import Database
from chapar_sourcing.adapters.sqlite._files import Format, steady_clock
from chapar_sourcing.adapters.sqlite._hold import FileRefused
from chapar_sourcing.adapters.sqlite._reads import Reads, page
from chapar_sourcing.adapters.sqlite._sums import RowDamaged, check_sum, row_sum
from chapar_sourcing.adapters.sqlite._tail import Tail
from chapar_sourcing.adapters.sqlite._writes import end_process
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.ports import OffsetOutOfRange, StreamEntry, Unavailable

T = TypeVar("T")

STREAM = Format(
    kind="stream",
    version=1,
    tables=(
        "CREATE TABLE topics (topic TEXT PRIMARY KEY, partitions INTEGER NOT NULL) WITHOUT ROWID",
        """CREATE TABLE ends (topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL,
        PRIMARY KEY (topic, partition)) WITHOUT ROWID""",
        """CREATE TABLE records (topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
        data BLOB NOT NULL, expire_ms INTEGER, UNIQUE (topic, partition, offset))""",
        "CREATE INDEX expiring ON records (expire_ms) WHERE expire_ms IS NOT NULL",
    ),
    added_columns=(("records", "sum INTEGER"),),
)
FORGET_MAX = 2_000
"""Expired records deleted with one publish."""
_FORGET = """DELETE FROM records WHERE rowid IN
    (SELECT rowid FROM records WHERE expire_ms < ? ORDER BY expire_ms LIMIT ?)"""


class _File:
    """What this process knows of one service's file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bell = Bell()
        self.ends: dict[tuple[str, int], int] = {}
        self.reads: Reads | None = None
        self.tail = Tail(path.name, self.bell, self.look)

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Runs a query. Raises `Unavailable`, also as long as there is no file."""
        if self.reads is None:
            if not self.path.exists():
                raise Unavailable(f"{self.path.name} does not exist yet")
            self.reads = Reads(self.path)
        return await self.reads.run(query)

    async def look(self) -> bool:
        """Learns the ends of all partitions; says whether any has grown."""
        query = "SELECT topic, partition, next_offset FROM ends"
        grown = False
        for topic, partition, end in await self.read(lambda connection: connection.execute(query).fetchall()):
            if end > self.ends.get((topic, partition), 0):
                self.ends[topic, partition] = end
                grown = True
        return grown

    async def close(self) -> None:
        """Ends reading."""
        await self.tail.close()
        self.bell.ring()
        if self.reads is not None:
            await self.reads.close()


class SqliteStream:
    """The Stream port. Own topics are published to the own service's file; all others are read from theirs."""

    def __init__(
        self, folder: Path, service: str | None, database: Database | None, topics: Mapping[str, int | None],
        producers: Mapping[str, str], now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self._folder = folder
        self._service = service
        self._database = database
        self._topics = topics
        self._producers = producers
        self._now_ms = now_ms
        self._files: dict[str, _File] = {}
        self._closed = False

    @classmethod
    async def open(
        cls, folder: Path, *, service: str | None = None, topics: Mapping[str, int | None] | None = None,
        partitions: int = 16, producers: Mapping[str, str] | None = None,
        now_ms: Callable[[], int] | None = None, broken: Callable[[str], None] = end_process,
    ) -> Self:  # fmt: skip
        """Opens for reading, and when `service` is given for publishing.

        `topics` are those published here: name -> retention in ms, None for ever. `producers` names the service of
        each topic whose name does not begin with it and a dot. `now_ms` is what records expire by; None: see
        `steady_clock`. Raises `FileRefused`.
        """
        own = dict(topics or {})
        stream = cls(folder, service, None, own, dict(producers or {}), now_ms or steady_clock(SystemClock()))
        if service is not None:
            stream._database = await Database.open(folder / f"{service}.db", STREAM, service=service, broken=broken)
            try:
                await stream._database.write(lambda connection: _create_topics(connection, own, partitions))
                for topic in own:
                    await stream._file(topic).look()
            except BaseException:
                await stream.close()
                raise
        return stream

    async def publish(self, topic: str, partition: int, records: Sequence[bytes]) -> None:
        """Appends all records or none, in one transaction with whatever else waits."""
        if self._database is None or topic not in self._topics:
            raise ValueError(f"{topic} is not published here")
        check_sizes(records)
        file = self._file(topic)
        retention_ms = self._topics[topic]

        def job(connection: sqlite3.Connection) -> int:
            first = _end(connection, topic, partition)
            now_ms = self._now_ms()
            expire_ms = _expiry(connection, topic, partition, now_ms, retention_ms)
            connection.executemany(
                "INSERT INTO records (topic, partition, offset, data, expire_ms, sum) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (topic, partition, offset, data, expire_ms, row_sum(data, topic, partition, offset))
                    for offset, data in enumerate(records, first)
                ],
            )
            end = first + len(records)
            connection.execute(
                "UPDATE ends SET next_offset = ? WHERE topic = ? AND partition = ?", (end, topic, partition)
            )
            connection.execute(_FORGET, (now_ms, FORGET_MAX))
            return end

        def published(end: int) -> None:
            file.ends[topic, partition] = end
            file.bell.ring()

        await self._database.write(job, then=published, size=sum(map(len, records)))

    async def read(
        self, topic: str, partition: int, from_offset: int, *, records_max: int = 500
    ) -> Sequence[StreamEntry]:
        """Records from an offset on."""

        def query(connection: sqlite3.Connection) -> list[StreamEntry]:
            end = _end(connection, topic, partition)
            if from_offset > end:
                raise OffsetOutOfRange(f"{topic} partition {partition} ends at {end}, before {from_offset}")
            rows = connection.execute(
                "SELECT offset, data, sum FROM records WHERE topic = ? AND partition = ? AND offset >= ?"
                " ORDER BY offset LIMIT ?",
                (topic, partition, from_offset, records_max),
            )
            found = [StreamEntry(offset, data) for offset, data in page(_checked(topic, partition, rows))]
            _check_dense(connection, topic, partition, from_offset, [entry.offset for entry in found], end)
            return found

        return await self._file(topic).read(query)

    async def start_offset(self, topic: str, partition: int) -> int:
        """Offset of the first record kept."""

        def query(connection: sqlite3.Connection) -> int:
            first = _start(connection, topic, partition)
            return _end(connection, topic, partition) if first is None else first

        return await self._file(topic).read(query)

    async def end_offset(self, topic: str, partition: int) -> int:
        """The offset after the last record."""
        return await self._file(topic).read(lambda connection: _end(connection, topic, partition))

    async def wait(self, topic: str, positions: dict[int, int], timeout_ms: int) -> bool:
        """Waits for a record of any of the partitions: own ones wake at once, others within 50 ms."""
        file = self._file(topic)
        if file.path.stem != self._service:
            file.tail.wake()

        def has_any() -> bool:
            self._check_open()
            return any(file.ends.get((topic, partition), 0) > offset for partition, offset in positions.items())

        return await file.bell.wait_until(has_any, timeout_ms)

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        return await self._file(topic).read(lambda connection: _partitions(connection, topic))

    async def close(self) -> None:
        """Finishes what is being published and ends reading."""
        self._closed = True
        for file in self._files.values():
            await file.close()
        if self._database is not None:
            await self._database.close()

    def _file(self, topic: str) -> _File:
        self._check_open()
        producer = self._producers.get(topic) or topic.split(".", 1)[0]
        if producer not in self._files:
            self._files[producer] = _File(self._folder / f"{producer}.db")
        return self._files[producer]

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the stream is closed")


def _create_topics(connection: sqlite3.Connection, topics: Mapping[str, int | None], partitions: int) -> None:
    for topic in topics:
        connection.execute("INSERT OR IGNORE INTO topics VALUES (?, ?)", (topic, partitions))
        if (found := _partitions(connection, topic)) != partitions:
            raise FileRefused(f"the stream {topic} has {found} partitions, not {partitions}")
        connection.executemany(
            "INSERT OR IGNORE INTO ends VALUES (?, ?, 0)", [(topic, partition) for partition in range(partitions)]
        )


def _expiry(
    connection: sqlite3.Connection, topic: str, partition: int, now_ms: int, retention_ms: int | None
) -> int | None:
    """When a new record expires: not before the one it follows, wherever the clock was then."""
    if retention_ms is None:
        return None
    last = "SELECT expire_ms FROM records WHERE topic = ? AND partition = ? ORDER BY offset DESC LIMIT 1"
    found = connection.execute(last, (topic, partition)).fetchone()
    return max(now_ms + retention_ms, found[0] or 0 if found else 0)


def _checked(
    topic: str, partition: int, rows: Iterable[tuple[int, bytes | None, int | None]]
) -> Iterator[tuple[int, bytes]]:
    """(offset, data) of rows that are what was written."""
    for offset, data, found in rows:
        check_sum(found, data, topic, partition, offset)
        if data is None:
            raise RowDamaged(f"record {offset} of partition {partition} is empty")
        yield offset, data


def _check_dense(
    connection: sqlite3.Connection, topic: str, partition: int, from_offset: int, found: Sequence[int], end: int
) -> None:
    """Raises `RowDamaged` where records are gone that have not expired; those expire from the first on."""
    first = from_offset
    if (found[:1] or [end]) != [from_offset]:
        start = _start(connection, topic, partition)
        first = end if start is None else max(from_offset, start)
    if list(found) != list(range(first, first + len(found))) or (not found and first < end):
        raise RowDamaged(f"records of {topic} partition {partition} after {from_offset} are gone")


def _start(connection: sqlite3.Connection, topic: str, partition: int) -> int | None:
    query = "SELECT MIN(offset) FROM records WHERE topic = ? AND partition = ?"
    first: int | None = connection.execute(query, (topic, partition)).fetchone()[0]
    return first


def _partitions(connection: sqlite3.Connection, topic: str) -> int:
    found = connection.execute("SELECT partitions FROM topics WHERE topic = ?", (topic,)).fetchone()
    if found is None:
        raise Unavailable(f"there is no topic {topic} yet")
    return int(found[0])


def _end(connection: sqlite3.Connection, topic: str, partition: int) -> int:
    found = connection.execute(
        "SELECT next_offset FROM ends WHERE topic = ? AND partition = ?", (topic, partition)
    ).fetchone()
    if found is None:
        count = _partitions(connection, topic)
        raise ValueError(f"partition {partition} is outside 0..{count - 1}")
    return int(found[0])
