"""Short read-only transactions on a SQLite file, on a few threads. Works beside a writer in another process.

What is found to be damaged is never handed out: the process that holds the file ends, as it does when it cannot write;
others are told that the file cannot be read.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from chapar_sourcing.adapters.sqlite._sums import RowDamaged, is_damage
from chapar_sourcing.ports import Unavailable

T = TypeVar("T")

READ_BYTES_MAX = 4 * 1024 * 1024
"""A page of records ends early, with at least one, beyond this many bytes."""
WAITING_MAX = 2_000
"""Reads that wait for a thread; beyond it they are refused."""


class Reads:
    """Runs queries; each sees one consistent, committed state."""

    def __init__(self, path: Path, *, threads: int = 2, broken: Callable[[str], None] = lambda _: None) -> None:
        """`broken` is called when the file is found to be damaged; of a file that is held here it should not return."""
        self._path = path
        self._broken = broken
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"read-{path.name}")
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._waiting = 0
        self._closed = False

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Runs a query on a thread. Raises `Unavailable` when the file is missing, not ready, or cannot be read."""
        if self._closed:
            raise Unavailable(f"{self._path.name} is closed")
        if self._waiting >= WAITING_MAX:
            raise Unavailable(f"too many reads of {self._path.name} wait")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._read, query)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Ends the threads once the reads under way have ended."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown)
        for connection in self._connections:
            connection.close()

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._connection()
            connection.execute("BEGIN")
            try:
                return query(connection)
            finally:
                connection.execute("ROLLBACK")
        except (sqlite3.Error, RowDamaged, UnicodeDecodeError) as error:
            if is_damage(error):
                self._broken(f"{self._path} is damaged: {error}. Restore it and its log from a copy")
            raise Unavailable(f"{self._path.name} cannot be read: {error}") from error

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            self._connections.append(connection)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA busy_timeout = 1000")
            self._local.connection = connection
        return connection


def page(rows: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """(offset, data) of as many rows as one answer may hold."""
    found: list[tuple[int, bytes]] = []
    read_bytes = 0
    for offset, data in rows:
        found.append((offset, data))
        read_bytes += len(data)
        if read_bytes > READ_BYTES_MAX:
            break
    return found
