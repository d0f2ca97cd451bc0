"""One SQLite file as its holder sees it: the lock, the writer, the readers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self, TypeVar

from chapar_sourcing.adapters.sqlite._files import Format, connect_writer, read_metadata
from chapar_sourcing.adapters.sqlite._hold import CLOSED, OPEN, FileRefused, Hold
from chapar_sourcing.adapters.sqlite._reads import Reads
from chapar_sourcing.adapters.sqlite._sums import RowDamaged
from chapar_sourcing.adapters.sqlite._writes import Writes, cut_log, end_process

T = TypeVar("T")


class Database:
    """A file held by this process."""

    def __init__(self, hold: Hold, writes: Writes, reads: Reads, metadata: Mapping[str, str]) -> None:
        self._hold = hold
        self._writes = writes
        self._reads = reads
        self.metadata = metadata

    @classmethod
    async def open(
        cls, path: Path, layout: Format, *, metadata: Mapping[str, str] | None = None, synchronous: str = "FULL",
        service: str = "",
        check: Callable[[Mapping[str, str], sqlite3.Connection], str | None] = lambda *_: None,
        broken: Callable[[str], None] = end_process,
    ) -> Self:  # fmt: skip
        """Holds and opens a file; `metadata` is written at its creation.

        `service` is whose file it must be; empty for one that belongs to none. `check` says what is wrong with the
        metadata found, or with the file, if anything is. Raises `FileRefused`.
        """
        hold = await asyncio.to_thread(Hold.take, path)
        try:
            hold.check(path)
            connection = await asyncio.to_thread(
                connect_writer, path, layout, metadata or {}, synchronous=synchronous, service=service
            )
            try:
                found = read_metadata(connection)
                problem = check(found, connection)
            except (sqlite3.Error, RowDamaged, UnicodeDecodeError) as error:
                problem = f"is damaged: {error}. Restore it and its log from a copy"
            if problem:
                connection.close()
                raise FileRefused(f"{path} {problem}")
            await asyncio.to_thread(hold.note, OPEN)
        except BaseException:
            hold.close()
            raise
        writes = Writes(path, connection, broken=broken, ended=lambda whole: hold.note(CLOSED if whole else ""))
        return cls(hold, writes, Reads(path, broken=broken), found)

    async def write(
        self, job: Callable[[sqlite3.Connection], T], *, then: Callable[[T], None] | None = None, size: int = 0
    ) -> T:
        """See `Writes.run`."""
        return await self._writes.run(job, then=then, size=size)

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """See `Reads.run`."""
        return await self._reads.run(query)

    async def cut_log(self) -> bool:
        """Writes the write-ahead log back and cuts it, so that nothing older than the file is left in it; False when
        a reader is in the way."""
        return await self._writes.run(cut_log, transactional=False)

    async def close(self) -> None:
        """Finishes what waits and gives the file back."""
        await self._reads.close()
        await self._writes.close()
        self._hold.close()
