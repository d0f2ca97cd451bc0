"""Whether a SQLite file is what it should be, and how it is opened and created.

Its `metadata` table says what it holds, of which service, and in which format; anything else is refused, never
converted in passing. A file whose write-ahead log cannot be read to its end is refused, too.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chapar_sourcing.adapters.sqlite._cuts import cut_damage
from chapar_sourcing.adapters.sqlite._hold import FileRefused
from chapar_sourcing.adapters.sqlite._sums import is_damage
from chapar_sourcing.clock import Clock


@dataclass(frozen=True, slots=True)
class Format:
    """What a file of a kind looks like."""

    kind: str
    version: int
    tables: Sequence[str]
    """Statements that create them, once."""
    added_tables: Sequence[str] = ()
    """Statements that create what files made before lack; each harmless where it is there."""
    added_columns: Sequence[tuple[str, str]] = ()
    """(table, column with its type) that files made before lack; their rows have NULL there."""
    pragmas: Mapping[str, str | int] = field(default_factory=dict)


def wall_clock_ms() -> int:
    """The machine's clock, which is the clock of what is kept on the machine."""
    return time.time_ns() // 1_000_000


def steady_clock(clock: Clock) -> Callable[[], int]:
    """A clock for what expires: the machine's as it is now, and then the time that passes, however that is set."""
    ahead_ms = clock.now_ms() - int(clock.monotonic() * 1000)
    return lambda: ahead_ms + int(clock.monotonic() * 1000)


def connect_writer(
    path: Path, layout: Format, metadata: Mapping[str, str], *, synchronous: str, service: str = ""
) -> sqlite3.Connection:
    """Opens or creates a file for its one writer.

    `metadata` is written at creation, and `service`, unless empty, in a file that names none. Raises `FileRefused`
    when the file is no file, cannot be written, is in use by another program, damaged, or of another kind, format or
    service.
    """
    _check_path(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA busy_timeout = 1000")
        _check_kind(connection, path, layout, service)
        # SQLite's automatic checkpoints hide errors: `_writes` writes the log back itself.
        pragmas = {"journal_mode": "WAL", "synchronous": synchronous, "wal_autocheckpoint": 0, **layout.pragmas}
        for pragma, value in pragmas.items():
            connection.execute(f"PRAGMA {pragma} = {value}")
        _create(connection, layout, metadata)
        _add(connection, layout)
        _name(connection, service)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        connection.close()
        raise FileRefused(f"{path} cannot be opened as {layout.kind}: {error}{remedy(error, path)}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _check_path(path: Path) -> None:
    if path.is_symlink():
        # The lock and the log would stand beside the link, and another link would have others.
        raise FileRefused(
            f"{path} is a symbolic link to {path.readlink()}: put the file itself here, or link its folder"
        )
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise FileRefused(
            f"{path} cannot be written ({error.strerror}): it must be a file that user {os.geteuid()} may write"
        ) from error
    if damage := cut_damage(path):
        raise FileRefused(f"{damage}. Nothing is decided on it: restore {path} and its log from a copy")


def remedy(error: Exception, path: Path) -> str:
    """What an operator can do about an error."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f". {lock_holders(path)} it: end that program first"
        case _ if is_damage(error):
            return ". It is damaged: nothing is decided on it; restore it and its log from a copy"
        case sqlite3.SQLITE_FULL:
            return ". Make room on the disk"
        case _:
            return ""


def lock_holders(path: Path) -> str:
    """Who has SQLite's own locks on a file, as far as the system tells."""
    inodes = {str(file.stat().st_ino) for file in (path, path.with_name(f"{path.name}-shm")) if file.exists()}
    locks = Path("/proc/locks")
    lines = [line.split() for line in locks.read_text("ascii").splitlines()] if locks.exists() else []
    pids = {line[4] for line in lines if len(line) > 5 and line[5].rpartition(":")[2] in inodes}
    others = sorted(pids - {str(os.getpid())})
    return f"Process {', '.join(others)} writes" if others else "Another program writes"


def read_metadata(connection: sqlite3.Connection) -> dict[str, str]:
    """All metadata of a file."""
    return dict(connection.execute("SELECT name, value FROM metadata").fetchall())


def other_service(found: Mapping[str, str], path: Path, service: str) -> str | None:
    """What is wrong with a file that names another service; None for one that names none, as older files do."""
    named = found.get("service", "")
    if not named or not service or named == service:
        return None
    return f"{path} belongs to {named}, not to {service}: put the files of each service back into its own folder"


def _check_kind(connection: sqlite3.Connection, path: Path, layout: Format, service: str) -> None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return
    found = read_metadata(connection) if "metadata" in tables else {}
    if found.get("kind") != layout.kind:
        raise FileRefused(f"{path} holds {found.get('kind', 'something else')}, not {layout.kind}")
    if found.get("format") != str(layout.version):
        raise FileRefused(f"{path} has format {found.get('format')}; this program reads format {layout.version}")
    if problem := other_service(found, path, service):
        raise FileRefused(problem)


def _create(connection: sqlite3.Connection, layout: Format, metadata: Mapping[str, str]) -> None:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'metadata'").fetchone():
        return
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE metadata (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
    for statement in layout.tables:
        connection.execute(statement)
    rows = {"kind": layout.kind, "format": str(layout.version), **metadata}
    connection.executemany("INSERT INTO metadata VALUES (?, ?)", rows.items())
    connection.execute("COMMIT")


def _add(connection: sqlite3.Connection, layout: Format) -> None:
    """What came to the format later: tables and columns that older files lack."""
    for statement in layout.added_tables:
        connection.execute(statement)
    for table, column in layout.added_columns:
        there = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
        if column.split()[0] not in there:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")


def _name(connection: sqlite3.Connection, service: str) -> None:
    """Writes whose the file is into one that was made before files said so."""
    if service and not connection.execute("SELECT 1 FROM metadata WHERE name = 'service'").fetchone():
        connection.execute("INSERT INTO metadata VALUES ('service', ?)", (service,))
