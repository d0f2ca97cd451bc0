"""Who may open a SQLite file, and whether it is what it should be.

A file is held by one process through a lock on `<file>.lock`, which ends with the process however it ends. Its
`metadata` table says what it holds and in which format; anything else is refused, never converted in passing.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO


class FileRefused(RuntimeError):
    """The file is held by another process, or is not what was asked for. The text is for the operator."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a file of a kind looks like."""

    kind: str
    version: int
    tables: Sequence[str]
    """Statements that create them, once."""
    added_tables: Sequence[str] = ()
    """Statements that create what files made before lack; each harmless where it is there."""
    pragmas: Mapping[str, str | int] = field(default_factory=dict)


def wall_clock_ms() -> int:
    """The machine's clock, which is the clock of what is kept on the machine."""
    return time.time_ns() // 1_000_000


def hold(path: Path) -> IO[str]:
    """Takes the lock at `path` for this process; closing what is returned gives it back."""
    make_folder(path.parent)
    lock = path.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise FileRefused(f"{path} is held by process {holder}") from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def make_folder(folder: Path) -> None:
    """Creates a folder for this user alone, durably."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def connect_writer(path: Path, layout: Format, metadata: Mapping[str, str], *, synchronous: str) -> sqlite3.Connection:
    """Opens or creates a file for its one writer.

    `metadata` is written at creation. Raises `FileRefused` when the file is of another kind or format.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA busy_timeout = 1000")
        _check_kind(connection, path, layout)
        # SQLite's automatic checkpoints hide errors: `_writes` writes the log back itself.
        pragmas = {"journal_mode": "WAL", "synchronous": synchronous, "wal_autocheckpoint": 0, **layout.pragmas}
        for pragma, value in pragmas.items():
            connection.execute(f"PRAGMA {pragma} = {value}")
        _create(connection, layout, metadata)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise FileRefused(f"{path} cannot be opened as {layout.kind}: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def read_metadata(connection: sqlite3.Connection) -> dict[str, str]:
    """All metadata of a file."""
    return dict(connection.execute("SELECT name, value FROM metadata").fetchall())


def _check_kind(connection: sqlite3.Connection, path: Path, layout: Format) -> None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return
    found = read_metadata(connection) if "metadata" in tables else {}
    if found.get("kind") != layout.kind:
        raise FileRefused(f"{path} holds {found.get('kind', 'something else')}, not {layout.kind}")
    if found.get("format") != str(layout.version):
        raise FileRefused(f"{path} has format {found.get('format')}; this program reads format {layout.version}")


def _create(connection: sqlite3.Connection, layout: Format, metadata: Mapping[str, str]) -> None:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'metadata'").fetchone():
        for statement in layout.added_tables:
            connection.execute(statement)
        return
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE metadata (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
    for statement in (*layout.tables, *layout.added_tables):
        connection.execute(statement)
    rows = {"kind": layout.kind, "format": str(layout.version), **metadata}
    connection.executemany("INSERT INTO metadata VALUES (?, ?)", rows.items())
    connection.execute("COMMIT")
