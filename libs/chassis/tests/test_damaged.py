"""A whole process on a data folder that was harmed: it says what is wrong with which file, and decides nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from .processes import START_SECONDS, begin, finished, started
from .rig import PATIENCE_SECONDS

Harm = Callable[[Path], object]


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def cut_by_pages(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2 * 4096)


def another_kind(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE metadata SET value = 'members' WHERE name = 'kind'")
    connection.close()


def another_format(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE metadata SET value = '9' WHERE name = 'format'")
    connection.close()


def of_another_service(path: Path) -> None:
    """As if the files of two services had been put back into each other's folders."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE metadata SET value = 'other' WHERE name = 'service'")
    connection.close()


def no_database(path: Path) -> None:
    path.write_bytes(b"something else " * 1_000)


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARMS: dict[Harm, str] = {
    emptied: "was made and is empty. Put it back",
    Path.unlink: "was made and is gone. Put it back",
    cut: "was cut in the middle of a page",
    cut_by_pages: "It is damaged: nothing is decided on it",
    another_kind: "holds members, not",
    another_format: "has format 9; this program reads format 1",
    of_another_service: "belongs to other, not to toy: put the files of each service back into its own folder",
    no_database: "file is not a database. It is damaged",
    replaced_by_a_folder: "cannot be written (Is a directory)",
}
FILES = ("toy/journal.db", "toy/store.db", "toy/keys.db", "streams/toy.db")


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
async def test_a_harmed_file_is_named_and_nothing_starts(harm: Harm, environ: dict[str, str]) -> None:
    async with started(environ) as running:
        await running.client.add("c1", 5)
        assert await running.end(signal.SIGTERM) == 0
    for file in FILES if harm in (Path.unlink, no_database, of_another_service) else FILES[:1]:
        path = Path(environ["CHAPAR_DATA_DIR"]) / file
        saved = path.read_bytes()
        harm(path)
        status, output, errors = await finished(environ)
        assert status == 1, output
        assert errors.startswith(f"chapar-toy: {path}")
        assert HARMS[harm] in errors
        assert '"event": "ready"' not in output
        if path.is_dir():
            path.rmdir()
        path.write_bytes(saved)
    async with started(environ) as running:
        assert await running.client.value("c1") == 5


async def test_a_file_from_before_files_named_their_service_is_taken_and_named(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        await running.client.add("c1", 5)
        assert await running.end(signal.SIGTERM) == 0
    data = Path(environ["CHAPAR_DATA_DIR"])
    paths = [data / file for file in FILES]
    for path in paths:
        with sqlite3.connect(path) as connection:
            connection.execute("DELETE FROM metadata WHERE name = 'service'")
        connection.close()
    async with started(environ) as running:
        assert await running.client.value("c1") == 5
        assert await running.end(signal.SIGTERM) == 0
    assert [service_of(path) for path in paths] == ["toy"] * len(paths)


def service_of(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        (service,) = connection.execute("SELECT value FROM metadata WHERE name = 'service'").fetchone()
    finally:
        connection.close()
    return str(service)


async def test_a_record_changed_in_the_journal_ends_the_process_before_it_decides(environ: dict[str, str]) -> None:
    async with started(environ) as running:
        await running.client.add("c1", 5)
        assert await running.end(signal.SIGKILL) != 0
    path = Path(environ["CHAPAR_DATA_DIR"]) / "toy" / "journal.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE journal SET data = CAST(data || 'x' AS BLOB) WHERE length(data) > 100")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    before = path.read_bytes()
    path.with_name("journal.db-wal").touch()
    path.with_name("store.db").unlink()
    path.with_name("store.db.lock").unlink()
    status, output, errors = await finished(environ)
    assert status == 74, output
    assert f"{path} is damaged: the row of" in errors
    assert "Restore it and its log from a copy; ending the process" in errors
    assert path.read_bytes()[100:] == before[100:], "nothing was decided on it"


def records_of(path: Path) -> dict[int, int]:
    """How many records each partition of a journal has."""
    connection = sqlite3.connect(path)
    try:
        return dict(connection.execute("SELECT partition, COUNT(*) FROM journal GROUP BY partition").fetchall())
    finally:
        connection.close()


async def test_an_older_copy_of_the_journal_is_noticed_and_nothing_is_decided_on_it(environ: dict[str, str]) -> None:
    path = Path(environ["CHAPAR_DATA_DIR"]) / "toy" / "journal.db"
    async with started(environ) as running:
        await running.client.add("c1", 5)
        assert await running.end(signal.SIGTERM) == 0
    older = path.read_bytes()
    async with started(environ) as running:
        await running.client.add("c1", 7)
        assert await running.end(signal.SIGTERM) == 0
    newer = records_of(path)
    path.write_bytes(older)
    kept = records_of(path)
    # Each start claims each partition; where nothing but a claim is gone, nothing is lost.
    lost = {partition for partition in newer if newer[partition] > kept[partition] + 1}
    assert lost
    process = await begin(environ)
    try:
        problems = await problems_until(process, "ends before")
        assert problems
        assert all("put back the whole log; or `chapar restore`" in problem for problem in problems)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    found = records_of(path)
    assert {partition: found[partition] for partition in lost} == {partition: kept[partition] for partition in lost}


async def problems_until(process: asyncio.subprocess.Process, word: str) -> list[str]:
    """What keeps a process from being ready, once it says so in this word."""
    assert process.stdout is not None
    said: list[str] = []
    async with asyncio.timeout(START_SECONDS):
        while line := await process.stdout.readline():
            fields = json.loads(line)
            assert fields["event"] != "ready"
            said = [problem for problem in fields.get("problems", ()) if word in problem]
            if said:
                return said
    raise AssertionError(f"it ended with {await process.wait()}")
