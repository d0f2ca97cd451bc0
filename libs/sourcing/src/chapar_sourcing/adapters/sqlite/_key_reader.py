"""Reads a key store's SQLite file beside the process that holds it: for backups."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Self

from chapar_sourcing.adapters.sqlite._files import other_service, read_metadata
from chapar_sourcing.adapters.sqlite._hold import FileRefused
from chapar_sourcing.adapters.sqlite._keys import KEYS, keys_after
from chapar_sourcing.adapters.sqlite._reads import Reads
from chapar_sourcing.ports import KeyRow, Unavailable

PAGE_KEYS = 500


class SqliteKeyReader:
    """What a key store holds: each key that is there from the first moment of reading to the last."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    @classmethod
    async def open(cls, path: Path, *, service: str = "") -> Self:
        """Opens a key store's file for reading. Raises `FileRefused`: none, another format or service."""
        reads = Reads(path)
        try:
            metadata = await reads.run(read_metadata)
        except Unavailable as error:
            await reads.close()
            raise FileRefused(f"{path} cannot be read as keys: {error}") from error
        problem = other_service(metadata, path, service)
        if (metadata.get("kind"), metadata.get("format")) != (KEYS.kind, str(KEYS.version)):
            problem = f"{path} does not hold keys of format {KEYS.version}"
        if problem:
            await reads.close()
            raise FileRefused(problem)
        return cls(reads)

    async def rows(self) -> AsyncIterator[KeyRow]:
        """All keys by subject and period, in short reads: a destruction waits for none. Raises `Unavailable`."""
        subject, period = "", 0
        while page := await self._page(subject, period):
            for row in page:
                yield row
            subject, period = page[-1].subject, page[-1].period

    async def _page(self, subject: str, period: int) -> Sequence[KeyRow]:
        def query(connection: sqlite3.Connection) -> list[KeyRow]:
            return keys_after(connection, subject, period, PAGE_KEYS)

        return await self._reads.run(query)

    async def close(self) -> None:
        """Ends the threads."""
        await self._reads.close()
