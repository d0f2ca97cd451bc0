"""What holds between processes: one holds a file, and what it acknowledged outlives it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chapar_sourcing.adapters.sqlite import FileRefused, SqliteJournal, SqliteMembers, SqliteStore, SqliteStream

PROGRAM = Path(__file__).parent / "journal_process.py"


@contextmanager
def holder(path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the journal at `path`."""
    command = [sys.executable, str(PROGRAM), str(path), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


async def numbers(path: Path) -> list[int]:
    journal = await SqliteJournal.open(path, partitions=4)
    found: list[int] = []
    while records := await journal.read(0, len(found)):
        found += [int(record.data[:6]) for record in records]
    await journal.close()
    return found


async def test_a_file_is_held_by_one_process_and_free_once_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with holder(path) as process:
        with pytest.raises(FileRefused, match=f"process {process.pid}"):
            await SqliteJournal.open(path, partitions=4)
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(100)]
        process.kill()
        acknowledged += [int(line) for line in process.stdout if line.endswith("\n")]
    assert (await numbers(path))[: len(acknowledged)] == acknowledged


async def test_a_disk_that_fails_ends_the_process_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with holder(path, str(300_000)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # Not `communicate`: it does not see what was read with the first line already.
        output, errors = process.stdout.read(), process.stderr.read()
        assert process.wait(60) == 74
    assert f"{path} cannot be written: disk I/O error; ending the process" in errors
    acknowledged = [int(line) for line in output.split()]
    assert acknowledged
    stored = await numbers(path)
    assert stored[: len(acknowledged)] == acknowledged
    assert stored == list(range(len(stored)))


async def test_every_kind_of_file_has_one_holder(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "store.db")
    with pytest.raises(FileRefused, match="held by process"):
        await SqliteStore.open(tmp_path / "store.db")
    stream = await SqliteStream.open(tmp_path, service="one", topics={"one.events.v1": None})
    with pytest.raises(FileRefused, match="held by process"):
        await SqliteStream.open(tmp_path, service="one", topics={"one.events.v1": None})
    member, second = await SqliteMembers.open(tmp_path), await SqliteMembers.open(tmp_path)
    await member.join("two")
    with pytest.raises(RuntimeError, match="held by process"):
        await second.join("two")
    for adapter in (store, stream, member, second):
        await adapter.close()
