"""The one thread that writes a SQLite file: whatever waits goes into one transaction, and one fsync serves all.

An error while committing leaves it open what is on the disk, and asking the disk again proves nothing: the process
ends. A full disk is no such error: the transaction is undone, and its writers are told so.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chapar_sourcing.adapters.sqlite._files import remedy
from chapar_sourcing.adapters.sqlite._sums import RowDamaged
from chapar_sourcing.ports import Unavailable

T = TypeVar("T")

GROUP_MAX = 512
"""Writes in one transaction."""
WAITING_MAX = 20_000
"""Writes that wait; beyond it they are refused."""
WAL_BYTES_MAX = 64 * 1024 * 1024
"""Beyond it the write-ahead log is written back and cut, whether readers must be waited for or not."""
CHECKPOINT_BYTES = 8 * 1024 * 1024
"""After about so much in the write-ahead log it is written back."""
GROUP_BYTES = 32 * 1024
WRITE_BYTES = 256
"""What a transaction and each write in it put into the log beside their data, roughly: pages of tables and indexes."""
_BROKEN = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN}
_OF_THE_DISK = {*_BROKEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM}


class WriteUndone(Unavailable):
    """Nothing of the write is in the file, nor ever will be."""


class WriteUnknown(Unavailable):
    """The write may be in the file, or come to be in it."""


def end_process(message: str) -> None:
    """Says why on stderr and ends the process at once."""
    sys.stderr.write(f"{message}; ending the process\n")
    sys.stderr.flush()
    os._exit(74)


@dataclass(slots=True)
class _Job:
    run: Callable[[sqlite3.Connection], Any]
    then: Callable[[Any], None] | None
    future: asyncio.Future[Any]
    transactional: bool
    size: int
    result: Any = None
    error: Exception | None = None


class Writes:
    """Runs writes in the order given. `broken` is called when the disk fails; it should not return."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, *, broken: Callable[[str], None] = end_process,
        ended: Callable[[bool], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`ended` is told at an orderly end whether all is in the file and nothing in its log, before the log goes."""
        self._path = path
        self._wal = path.with_name(f"{path.name}-wal")
        self._connection = connection
        self._broken = broken
        self._ended = ended
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._unwritten = 0
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name=f"write-{path.name}", daemon=True)
        self._thread.start()

    async def run(
        self, job: Callable[[sqlite3.Connection], T], *, then: Callable[[T], None] | None = None,
        transactional: bool = True, size: int = 0,
    ) -> T:  # fmt: skip
        """Runs `job` in the writer's thread, in a transaction with others; returns once that is durable.

        What `job` raises undoes it alone. `size` says how many bytes of data it writes, roughly. `then` is called with
        the result once it is durable, in the event loop, whether anybody still waits or not. Raises `WriteUndone` or
        `WriteUnknown`.
        """
        if self._closed:
            raise WriteUndone(f"{self._path.name} is closed")
        if self._waiting >= WAITING_MAX:
            raise WriteUndone(f"too many writes of {self._path.name} wait")
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        self._jobs.put(_Job(job, then, future, transactional, size))
        return await future

    async def close(self) -> None:
        """Finishes what waits, and ends the thread and the connection."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        try:
            while (jobs := self._next_group()) is not None:
                self._serve(jobs)
                self._write_back(GROUP_BYTES + sum(WRITE_BYTES + job.size for job in jobs))
            self._ended(cut_log(self._connection))
        except Exception as error:
            self._broken(f"{self._path} cannot be written: {error}")
        finally:
            self._connection.close()

    def _next_group(self) -> list[_Job] | None:
        first = self._jobs.get()
        if first is None:
            return None
        jobs = [first]
        while len(jobs) < GROUP_MAX and not self._jobs.empty():
            job = self._jobs.get()
            if job is None:
                self._jobs.put(None)
                break
            jobs.append(job)
        return jobs

    def _serve(self, jobs: Sequence[_Job]) -> None:
        """Commits a group and tells those who wait. Raises what ends the process, once they have been told."""
        grouped = [job for job in jobs if job.transactional]
        try:
            if grouped:
                self._commit(grouped)
            for job in jobs:
                if not job.transactional:
                    job.result = job.run(self._connection)
        except sqlite3.Error as error:
            outcome = WriteUnknown if _code(error) in _BROKEN else WriteUndone
            for job in jobs:
                job.error = outcome(f"{self._path} cannot be written: {error}{remedy(error, self._path)}")
            if outcome is WriteUnknown:
                self._tell(jobs).wait(0.2)
                raise
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        self._tell(jobs)

    def _commit(self, jobs: Sequence[_Job]) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for job in jobs:
            execute("SAVEPOINT job")
            try:
                job.result = job.run(self._connection)
            except Exception as error:
                if isinstance(error, RowDamaged) or _code(error) in _OF_THE_DISK:
                    raise
                job.error = error
                execute("ROLLBACK TO job")
            execute("RELEASE job")
        execute("COMMIT")

    def _write_back(self, written: int) -> None:
        """Moves the write-ahead log into the file, now and then: SQLite's own way of doing it hides errors."""
        self._unwritten += written
        size = self._wal.stat().st_size if self._wal.exists() else 0
        if self._unwritten < CHECKPOINT_BYTES and size < WAL_BYTES_MAX:
            return
        try:
            mode = "TRUNCATE" if size > WAL_BYTES_MAX else "PASSIVE"
            self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        except sqlite3.Error as error:
            if _code(error) in _BROKEN:
                raise
        self._unwritten = 0

    def _tell(self, jobs: Sequence[_Job]) -> threading.Event:
        told = threading.Event()
        try:
            self._loop.call_soon_threadsafe(self._settle, jobs, told)
        except RuntimeError:
            told.set()  # the event loop has ended, and with it everybody who waited
        return told

    def _settle(self, jobs: Sequence[_Job], told: threading.Event) -> None:
        for job in jobs:
            self._waiting -= 1
            if job.error is None and job.then is not None:
                job.then(job.result)
            if job.future.done():
                continue
            if job.error is None:
                job.future.set_result(job.result)
            else:
                job.future.set_exception(job.error)
        told.set()


def cut_log(connection: sqlite3.Connection) -> bool:
    """Writes the write-ahead log back and cuts it; False when somebody who reads or writes is in the way."""
    try:
        row = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        if _code(error) in _BROKEN:
            raise
        return False
    return bool(row[0] == 0)


def _code(error: Exception) -> int:
    """SQLite's primary result code, 0 for errors of the binding."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
