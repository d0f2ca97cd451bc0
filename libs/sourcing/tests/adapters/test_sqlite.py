"""What is particular to SQLite files: formats, group commit, the log's size, full and slow disks."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chapar_sourcing.adapters.sqlite import (
    FileRefused,
    SqliteJournal,
    SqliteKeyStore,
    SqliteMembers,
    SqliteStore,
    SqliteStream,
)
from chapar_sourcing.adapters.sqlite._files import Format, connect_writer, steady_clock
from chapar_sourcing.adapters.sqlite._writes import Writes, WriteUndone
from chapar_sourcing.clock import ManualClock
from chapar_sourcing.domain import Key
from chapar_sourcing.editions import Editions
from chapar_sourcing.ports import AppendUnknown, DocumentWrite, KeyRow, Unavailable
from chapar_sourcing.positions import Position

NUMBERS = Format("numbers", 1, ("CREATE TABLE numbers (number INTEGER PRIMARY KEY, data BLOB)",))


class Numbers:
    """A file of numbers and its writer."""

    def __init__(self, path: Path) -> None:
        self.connection = connect_writer(path, NUMBERS, {}, synchronous="FULL")
        self.statements: list[str] = []
        self.connection.set_trace_callback(self.statements.append)
        self.writes = Writes(path, self.connection)

    async def add(self, number: int, data: bytes = b"") -> None:
        await self.writes.run(lambda connection: insert(connection, number, data))

    def commits(self) -> int:
        return sum(statement == "COMMIT" for statement in self.statements)


def insert(connection: sqlite3.Connection, number: int, data: bytes) -> None:
    connection.execute("INSERT INTO numbers VALUES (?, ?)", (number, data))
    if number < 0:
        raise ArithmeticError(number)


def stored(path: Path) -> list[int]:
    with sqlite3.connect(path) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]


async def test_waiting_writes_share_transactions(tmp_path: Path) -> None:
    numbers = Numbers(tmp_path / "n.db")
    await asyncio.gather(*(numbers.add(number) for number in range(500)))
    await numbers.writes.close()
    assert stored(tmp_path / "n.db") == list(range(500))
    assert numbers.commits() < 100


async def test_a_write_that_raises_undoes_itself_alone(tmp_path: Path) -> None:
    numbers = Numbers(tmp_path / "n.db")
    outcomes = await asyncio.gather(*(numbers.add(number) for number in (1, -2, 3, 3, 4)), return_exceptions=True)
    await numbers.writes.close()
    assert [type(outcome) for outcome in outcomes] == [
        type(None), ArithmeticError, type(None), sqlite3.IntegrityError, type(None),
    ]  # fmt: skip
    assert stored(tmp_path / "n.db") == [1, 3, 4]


async def test_a_full_disk_undoes_the_writes_and_then_takes_others(tmp_path: Path) -> None:
    numbers = Numbers(tmp_path / "n.db")
    numbers.connection.execute("PRAGMA max_page_count = 20")
    await numbers.add(1)
    with pytest.raises(WriteUndone, match="full"):
        await numbers.add(2, bytes(100_000))
    await numbers.add(3)
    await numbers.writes.close()
    assert stored(tmp_path / "n.db") == [1, 3]


async def test_the_write_ahead_log_stays_small(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.db", partitions=4)
    sizes = []
    for _ in range(20):
        await asyncio.gather(*(journal.append(partition, bytes(500_000)) for partition in range(4)))
        sizes.append((tmp_path / "journal.db-wal").stat().st_size)
    await journal.close()
    assert max(sizes) < 16 * 1024 * 1024


async def test_a_disk_that_does_not_answer_in_time_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    stuck, times = threading.Event(), itertools.count()

    def clock() -> int:
        if next(times) == 1:
            stuck.wait(20)
        return 0

    path = tmp_path / "journal.db"
    journal = await SqliteJournal.open(path, partitions=1, append_deadline_ms=100, now_ms=clock)
    await journal.append(0, b"first")
    with pytest.raises(AppendUnknown):
        await journal.append(0, b"late")
    stuck.set()
    assert await journal.wait(0, 1, 20_000)
    assert [record.data for record in await journal.read(0, 0)] == [b"first", b"late"]
    await journal.close()


Opening = Callable[[Path], Awaitable[Any]]
OPENINGS: dict[str, Opening] = {
    "journal": lambda path: SqliteJournal.open(path),
    "store": lambda path: SqliteStore.open(path),
    "keys": lambda path: SqliteKeyStore.open(path),
    "stream": lambda path: SqliteStream.open(path.parent, service=path.stem, topics={}),
}


@pytest.mark.parametrize("kind", OPENINGS)
async def test_another_format_version_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    await (await OPENINGS[kind](path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE metadata SET value = '2' WHERE name = 'format'")
    with pytest.raises(FileRefused, match="has format 2; this program reads format 1"):
        await OPENINGS[kind](path)


@pytest.mark.parametrize("kind", OPENINGS)
async def test_a_file_of_another_kind_is_refused_and_left_as_it_is(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    member = await SqliteMembers.open(tmp_path)
    await member.join("file")
    await member.close()
    before = path.read_bytes()
    with pytest.raises(FileRefused, match=f"holds members, not {kind}"):
        await OPENINGS[kind](path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"something else" * 100)
    with pytest.raises(FileRefused, match="cannot be opened as journal"):
        await SqliteJournal.open(path)
    assert path.read_bytes() == b"something else" * 100


async def test_another_journal_id_is_refused(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.db", journal_id="one")
    await journal.close()
    with pytest.raises(FileRefused, match="is journal one, not two"):
        await SqliteJournal.open(tmp_path / "journal.db", journal_id="two")


async def test_two_journals_have_two_ids(tmp_path: Path) -> None:
    journals = [await SqliteJournal.open(tmp_path / name) for name in ("a.db", "b.db")]
    assert journals[0].journal_id != journals[1].journal_id
    for journal in journals:
        await journal.close()


async def test_the_journal_says_what_it_is_in_its_metadata(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.db", partitions=4, journal_id="one")
    await journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        assert dict(connection.execute("SELECT name, value FROM metadata").fetchall()) == {
            "kind": "journal", "format": "1", "journal_id": "one", "generation": "1", "partitions": "4",
            "slot_map": "even",
        }  # fmt: skip


async def test_destroyed_keys_are_in_no_file(tmp_path: Path) -> None:
    keys = await SqliteKeyStore.open(tmp_path / "keys.db")
    for period in range(1, 50):
        await keys.insert(KeyRow(f"key {period}", "user", period, b"wrapped secret %d" % period))
    files = [tmp_path / "keys.db", tmp_path / "keys.db-wal"]
    assert any(b"wrapped secret 1" in path.read_bytes() for path in files)
    assert await keys.destroy("user", 49) == 48
    left = b"".join(path.read_bytes() for path in files)
    assert left.count(b"wrapped secret") == 1
    await keys.close()


async def test_keys_whose_destruction_was_cut_short_are_in_no_file_once_it_is_opened(tmp_path: Path) -> None:
    keys = await SqliteKeyStore.open(tmp_path / "keys.db")
    await keys.insert(KeyRow("old", "user", 1, b"wrapped secret"))
    await keys.insert(KeyRow("new", "user", 2, b"wrapped other"))
    await keys.close()
    killed = tmp_path / "killed"
    killed.mkdir()
    with closing(sqlite3.connect(tmp_path / "keys.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("UPDATE keys SET wrapped = wrapped WHERE key_id = 'old'")
        connection.execute("DELETE FROM keys WHERE key_id = 'old'")
        for name in ("keys.db", "keys.db-wal"):
            shutil.copy(tmp_path / name, killed / name)
    files = [killed / "keys.db", killed / "keys.db-wal"]
    assert any(b"wrapped secret" in path.read_bytes() for path in files)
    again = await SqliteKeyStore.open(killed / "keys.db")
    assert await again.get("old") is None
    assert not any(b"wrapped secret" in path.read_bytes() for path in files)
    assert await again.get("new") == KeyRow("new", "user", 2, b"wrapped other")
    await again.close()


async def test_expired_records_of_a_stream_are_forgotten_and_offsets_go_on(tmp_path: Path) -> None:
    now = [1_000_000]
    topics = {"one.revocations.v1": 3_600_000, "one.events.v1": None}
    stream = await SqliteStream.open(
        tmp_path, service="one", topics=topics, producers={"revocations.v1": "one"}, now_ms=lambda: now[0]
    )
    for topic in topics:
        await stream.publish(topic, 0, [b"old", b"older"])
    now[0] += 3_600_001
    for topic in topics:
        await stream.publish(topic, 0, [b"new"])
    assert await stream.start_offset("one.revocations.v1", 0) == 2
    found = await stream.read("one.revocations.v1", 0, 0)
    assert [(entry.offset, entry.data) for entry in found] == [(2, b"new")]
    assert [entry.data for entry in await stream.read("one.events.v1", 0, 0)] == [b"old", b"older", b"new"]
    await stream.close()


async def test_a_clock_that_is_set_back_makes_no_hole_in_a_stream(tmp_path: Path) -> None:
    now, topics = [10_000_000], {"one.revocations.v1": 3_600_000}
    stream = await SqliteStream.open(tmp_path, service="one", topics=topics, now_ms=lambda: now[0])
    await stream.publish("one.revocations.v1", 0, [b"of the fast clock"])
    now[0] -= 600_000
    await stream.publish("one.revocations.v1", 0, [b"of the right clock"])
    now[0] += 3_600_001
    await stream.publish("one.revocations.v1", 0, [b"new"])
    found = await stream.read("one.revocations.v1", 0, 0)
    assert [entry.data for entry in found] == [b"of the fast clock", b"of the right clock", b"new"]
    now[0] += 600_000
    await stream.publish("one.revocations.v1", 0, [b"newer"])
    assert await stream.start_offset("one.revocations.v1", 0) == 2
    await stream.close()


async def test_what_expires_does_not_expire_because_the_machines_clock_is_set() -> None:
    clock = ManualClock(5_000_000)
    now_ms = steady_clock(clock)
    clock.jump(3_600_000)
    assert now_ms() == 5_000_000
    await clock.advance(2_500)
    assert now_ms() == 5_002_500


async def test_a_topic_may_be_named_unlike_its_producer(tmp_path: Path) -> None:
    producers = {"revocations.v1": "one"}
    stream = await SqliteStream.open(tmp_path, service="one", topics={"revocations.v1": 1000}, producers=producers)
    reader = await SqliteStream.open(tmp_path, producers=producers)
    await stream.publish("revocations.v1", 0, [b"x"])
    assert await reader.wait("revocations.v1", {0: 0}, 20_000)
    assert [entry.data for entry in await reader.read("revocations.v1", 0, 0)] == [b"x"]
    with pytest.raises(ValueError, match="not published here"):
        await reader.publish("revocations.v1", 0, [b"y"])
    for adapter in (reader, stream):
        await adapter.close()


async def test_a_store_from_before_there_were_editions_is_opened_as_its_first(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await SqliteStore.open(path)
    key = Key("k", "p", "1")
    await store.write_documents(3, [DocumentWrite(key, Position(1, 0), b"x", 0)])
    await store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE editions")
    connection.close()
    store = await SqliteStore.open(path)
    assert await store.editions(3) == Editions()
    assert (await store.load(3, [key], at_least=-1))[key].data == b"x"
    await store.build_edition(3, 2)
    await store.close()


async def test_editions_that_are_not_what_was_written_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    said: list[str] = []
    store = await SqliteStore.open(path)
    await store.build_edition(3, 2)
    await store.switch_edition(3, 2)
    await store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE editions SET live = 66")
    connection.close()
    store = await SqliteStore.open(path, broken=said.append)
    with pytest.raises(Unavailable):
        await store.editions(3)
    assert "is not what was written" in said[0]
    await store.close()
