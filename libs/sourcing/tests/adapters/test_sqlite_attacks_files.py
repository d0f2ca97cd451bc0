"""Files that are not what they should be, cut, or taken away: refused with a text that says which and what to do."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from chapar_sourcing.adapters.sqlite import FileRefused, SqliteJournal, SqliteStore

from .damage import KINDS, RECORDS, Broken, key_of, make_original, read_again

ROUNDS = 30


async def said_of(kind: str, path: Path) -> str:
    with pytest.raises(FileRefused) as refused:
        await KINDS[kind][1](path, Broken())
    return str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_folder_in_its_place_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file.db").mkdir()
    assert "file.db cannot be written (Is a directory): it must be a file" in await said_of(kind, tmp_path / "file.db")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_symbolic_link_is_refused_and_a_linked_folder_is_not(kind: str, tmp_path: Path) -> None:
    original = await make_original(tmp_path / "original", kind, crashed=False)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "file.db").symlink_to(original.folder / "file.db")
    assert "is a symbolic link to" in await said_of(kind, tmp_path / "linked" / "file.db")
    (tmp_path / "folder").symlink_to(original.folder)
    assert await read_again(original, tmp_path / "folder" / "file.db") == ("", original.content)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("emptied", [True, False])
async def test_a_file_that_was_there_and_is_not_is_no_beginning(kind: str, emptied: bool, tmp_path: Path) -> None:
    original = await make_original(tmp_path / "original", kind, crashed=False)
    path = original.copied(tmp_path / "copy")
    if emptied:
        path.write_bytes(b"")
    else:
        path.unlink()
    said = await said_of(kind, path)
    assert f"{path} was made and is {'empty' if emptied else 'gone'}. Put it back, or remove {path}.lock" in said
    path.with_name("file.db.lock").unlink()
    _, content = await read_again(original, path)
    assert not any(isinstance(value, bytes) for value in content.values())


@pytest.mark.parametrize("kind", KINDS)
async def test_a_log_that_was_taken_away_is_noticed(kind: str, tmp_path: Path) -> None:
    original = await make_original(tmp_path / "original", kind, crashed=True)
    path = original.copied(tmp_path / "copy")
    path.with_name("file.db-wal").unlink()
    assert f"{path}-wal is gone: what was acknowledged last may be in it. Put it back" in await said_of(kind, path)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_index_of_the_log_is_made_again(kind: str, tmp_path: Path) -> None:
    original = await make_original(tmp_path / "original", kind, crashed=True)
    path = original.copied(tmp_path / "copy")
    path.with_name("file.db-shm").unlink()
    assert await read_again(original, path) == ("", original.content)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_cut_anywhere_is_named(kind: str, tmp_path: Path) -> None:
    original = await make_original(tmp_path / "original", kind, crashed=False)
    whole = (original.folder / "file.db").read_bytes()
    for seed in range(ROUNDS):
        path = original.copied(tmp_path / "copy")
        cut = random.Random(seed).randrange(1, len(whole))
        path.write_bytes(whole[:cut])
        said, content = await read_again(original, path)
        missing = [key for key, value in original.content.items() if content.get(key) != value]
        assert said or not missing, f"seed {seed}: cut at {cut} of {len(whole)}"
        assert said or cut > len(whole) - 4096, f"seed {seed}: cut at {cut} of {len(whole)}"
        shutil.rmtree(tmp_path / "copy")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_log_cut_anywhere_is_read_up_to_a_commit(kind: str, tmp_path: Path) -> None:
    """Cut behind a commit it looks as a crash leaves it: what is left is whole, and a prefix. Cursors find the rest."""
    original = await make_original(tmp_path / "original", kind, crashed=True)
    whole = (original.folder / "file.db-wal").read_bytes()
    for seed in range(ROUNDS):
        path = original.copied(tmp_path / "copy")
        path.with_name("file.db-wal").write_bytes(whole[: random.Random(seed).randrange(len(whole))])
        said, content = await read_again(original, path)
        there = {n for n in range(RECORDS) if content.get(key_of(kind, n)) == original.content[key_of(kind, n)]}
        whole_things = sum(content.get(key_of(kind, number)) is not None for number in range(RECORDS))
        assert said or there == set(range(whole_things)), f"seed {seed}"
        shutil.rmtree(tmp_path / "copy")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_of_the_time_before_checksums_is_read_and_gets_them(kind: str, tmp_path: Path) -> None:
    original = await make_original(tmp_path / "original", kind, crashed=False)
    path = original.copied(tmp_path / "copy")
    tables = {"journal": ["journal"], "keys": ["keys"], "stream": ["records"],
              "store": ["documents", "checkpoints", "rows", "cursors"]}[kind]  # fmt: skip
    with sqlite3.connect(path) as connection:
        for table in tables:
            connection.execute(f"ALTER TABLE {table} DROP COLUMN sum")
    connection.close()
    assert await read_again(original, path) == ("", original.content)
    with sqlite3.connect(path) as connection:
        for table in tables:
            assert "sum" in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    connection.close()


async def test_a_changed_record_is_not_read_even_where_sqlite_finds_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = await SqliteJournal.open(path, partitions=1)
    for number in range(3):
        await journal.append(0, b"record %d" % number)
    await journal.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE journal SET data = ? WHERE offset = 2", (b"another",))
    connection.close()
    broken = Broken()
    journal = await SqliteJournal.open(path, partitions=1, broken=broken)
    with pytest.raises(Exception, match=r"the row of \(0, 2, \d+\) is not what was written"):
        await journal.read(0, 0)
    assert f"{path} is damaged" in broken.said
    assert "Restore it and its log from a copy" in broken.said
    await journal.close()


async def test_records_deleted_at_the_end_are_missed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = await SqliteJournal.open(path, partitions=2)
    for number in range(4):
        await journal.append(number % 2, b"record")
    await journal.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM journal WHERE offset = 1 AND partition = 0")
    connection.close()
    with pytest.raises(FileRefused, match="its partitions have 3 records, 4 were appended"):
        await SqliteJournal.open(path, partitions=2)


async def test_a_file_of_another_format_is_named_with_both(tmp_path: Path) -> None:
    await (await SqliteStore.open(tmp_path / "store.db")).close()
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("UPDATE metadata SET value = '9' WHERE name = 'format'")
    connection.close()
    with pytest.raises(FileRefused, match=r"store\.db has format 9; this program reads format 1"):
        await SqliteStore.open(tmp_path / "store.db")


async def test_a_damaged_log_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    original = await make_original(tmp_path / "original", "journal", crashed=True)
    path = original.copied(tmp_path / "copy")
    wal = path.with_name("file.db-wal")
    harmed = bytearray(wal.read_bytes())
    harmed[len(harmed) // 2] ^= 1
    wal.write_bytes(harmed)
    before = path.read_bytes()
    assert f"{wal} is damaged after frame" in await said_of("journal", path)
    assert (path.read_bytes(), wal.read_bytes()) == (before, bytes(harmed))


async def test_the_locks_of_sqlite_stay_while_a_file_is_open(tmp_path: Path) -> None:
    """They are a process's, not a descriptor's: looking into the files beside SQLite would give them up."""
    journal = await SqliteJournal.open(tmp_path / "journal.db", partitions=1)
    await journal.append(0, b"record")
    await journal.read(0, 0)
    locked = _locked_here()
    for name in ("journal.db", "journal.db-shm"):
        assert str((tmp_path / name).stat().st_ino) in locked
    await journal.close()


def _locked_here() -> set[str]:
    """The inodes that this process has locks on."""
    lines = [line.split() for line in Path("/proc/locks").read_text("ascii").splitlines()]
    return {line[5].rpartition(":")[2] for line in lines if len(line) > 5 and line[4] == str(os.getpid())}
