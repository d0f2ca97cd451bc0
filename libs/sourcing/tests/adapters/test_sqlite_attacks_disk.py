"""Full disks, files that may not be written, files that another program writes: said, survived, nothing lost."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chapar_sourcing.adapters.sqlite import FileRefused, SqliteJournal
from chapar_sourcing.domain import Key
from chapar_sourcing.ports import AppendRejected, DocumentWrite, KeyRow, Unavailable
from chapar_sourcing.positions import Position

from .damage import KINDS, RECORDS, TOPIC, Broken, Original, read_again

NOBODY = 65534
SMALL_BYTES = 3_000_000


@contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """A small file system."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "tmpfs", str(folder)]
    subprocess.run(["mount", *options], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def _can_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with mounted(Path(folder) / "small"):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


SMALL_DISKS = ["pages", "tmpfs"] if _can_mount() else ["pages"]
"""SQLite's own bound everywhere; a real full disk where this user may mount one."""


async def write_big(kind: str, port: Any, number: int) -> None:
    """One more write, of a megabyte."""
    data = bytes(300_000)
    match kind:
        case "journal":
            await port.append(0, data)
        case "store":
            await port.write_documents(
                0, [DocumentWrite(Key("big", "", str(number)), Position(number, 0), data, number)]
            )
        case "keys":
            await port.insert(KeyRow(f"big {number}", f"big {number}", 0, data))
        case _:
            await port.publish(TOPIC, 0, [data])


class Disk:
    """A disk that can be filled and emptied."""

    def __init__(self, how: str, folder: Path, port: Any) -> None:
        self._how = how
        self._filler = folder / "filler"
        self._database = port._database

    async def fill(self) -> None:
        if self._how == "pages":
            await self._bound("(SELECT page_count FROM pragma_page_count)")
            return
        with self._filler.open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                return

    async def empty(self) -> None:
        if self._how == "pages":
            await self._bound("4294967294")
        else:
            self._filler.unlink()

    async def _bound(self, pages: str) -> None:
        def job(connection: sqlite3.Connection) -> None:
            (value,) = connection.execute(f"SELECT {pages}").fetchone()
            connection.execute(f"PRAGMA max_page_count = {value}")

        await self._database._writes.run(job, transactional=False)


@pytest.mark.parametrize("how", SMALL_DISKS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_full_disk_refuses_for_certain_and_goes_on_once_there_is_room(
    kind: str, how: str, tmp_path: Path
) -> None:
    broken = Broken()
    with mounted(tmp_path / "small") if how == "tmpfs" else _plain(tmp_path / "small") as folder:
        port, content = await KINDS[kind][0](folder / "files" / "file.db", broken)
        disk = Disk(how, folder, port)
        await disk.fill()
        with pytest.raises((AppendRejected, Unavailable), match=r"file\.db cannot be written: .*full") as refused:
            await write_big(kind, port, RECORDS)
        assert type(refused.value).__name__ in ("AppendRejected", "WriteUndone"), "it is certain"
        await disk.empty()
        await write_big(kind, port, RECORDS + 1)
        await port.close()
        original = Original(folder / "files", kind, content)
        said, found = await read_again(original, folder / "files" / "file.db")
        assert (said, broken.said) == ("", "")
        assert {key: found.get(key) for key in content} == content


@contextmanager
def _plain(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    yield folder


async def test_reads_go_on_while_the_disk_is_full(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.db", partitions=1)
    await journal.append(0, b"record")
    await Disk("pages", tmp_path, journal).fill()
    with pytest.raises(AppendRejected):
        await journal.append(0, bytes(500_000))
    assert [record.data for record in await journal.read(0, 0)] == [b"record"]
    await journal.close()


# ---- not allowed


@contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder of a user without rights, and that user at work."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        root = os.geteuid() == 0
        if root:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_or_a_folder_that_may_not_be_written_is_named(kind: str) -> None:
    with as_nobody() as folder:
        port, _ = await KINDS[kind][0](folder / "files" / "file.db", Broken())
        await port.close()
        path = folder / "files" / "file.db"
        path.chmod(0o400)
        with pytest.raises(FileRefused) as refused:
            await KINDS[kind][1](path, Broken())
        assert f"{path} cannot be written (Permission denied): it must be a file that user" in str(refused.value)
        path.with_name("file.db.lock").unlink()
        path.parent.chmod(0o500)
        with pytest.raises(FileRefused) as refused:
            await KINDS[kind][1](path, Broken())
        assert f"{path}.lock cannot be written (Permission denied)" in str(refused.value)
        assert f"must be able to write {path.parent}" in str(refused.value)
        path.parent.chmod(0o700)


# ---- another program writes


@contextmanager
def other_writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that knows nothing of our locks and has begun to write the file."""
    program = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "print('writes', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writes\n"
        try:
            yield process
        finally:
            process.kill()


async def test_another_writer_is_named_and_costs_nothing_once_it_has_gone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = await SqliteJournal.open(path, partitions=1)
    await journal.append(0, b"one")
    with other_writer(path) as other:
        said = re.escape(f"{path} cannot be written: database is locked. Process {other.pid} writes it")
        with pytest.raises(AppendRejected, match=said):
            await journal.append(0, b"refused")
        assert [record.data for record in await journal.read(0, 0)] == [b"one"]
    await journal.append(0, b"two")
    assert [record.data for record in await journal.read(0, 0)] == [b"one", b"two"]
    await journal.close()
