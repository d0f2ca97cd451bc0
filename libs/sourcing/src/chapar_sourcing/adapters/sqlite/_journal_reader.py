"""Reads a journal's SQLite file beside the process that holds it: for archives, never for deciding."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from chapar_sourcing.adapters.sqlite._files import other_service, read_metadata
from chapar_sourcing.adapters.sqlite._hold import FileRefused
from chapar_sourcing.adapters.sqlite._journal import JOURNAL, end_of, read_records
from chapar_sourcing.adapters.sqlite._reads import Reads
from chapar_sourcing.ports import JournalRecord, Unavailable


class SqliteJournalReader:
    """What a journal holds; all that is durable when it is asked."""

    def __init__(self, reads: Reads, metadata: dict[str, str]) -> None:
        self._reads = reads
        self.journal_id = metadata["journal_id"]
        self.generation = int(metadata["generation"])
        self.partitions = int(metadata["partitions"])

    @classmethod
    async def open(cls, path: Path, *, service: str = "") -> Self:
        """Opens a journal's file for reading. Raises `FileRefused`: none, another format or service."""
        reads = Reads(path)
        try:
            metadata = await reads.run(read_metadata)
        except Unavailable as error:
            await reads.close()
            raise FileRefused(f"{path} cannot be read as a journal: {error}") from error
        if (metadata.get("kind"), metadata.get("format")) != (JOURNAL.kind, str(JOURNAL.version)):
            await reads.close()
            raise FileRefused(f"{path} is not a journal of format {JOURNAL.version}")
        if problem := other_service(metadata, path, service):
            await reads.close()
            raise FileRefused(problem)
        return cls(reads, metadata)

    async def read(self, partition: int, from_offset: int, *, records_max: int = 500) -> Sequence[JournalRecord]:
        """As `Journal.read`."""

        def query(connection: sqlite3.Connection) -> list[JournalRecord]:
            return read_records(connection, partition, from_offset, records_max)

        return await self._reads.run(query)

    async def end_offset(self, partition: int) -> int:
        """As `Journal.end_offset`."""
        return await self._reads.run(lambda connection: end_of(connection, partition))

    async def close(self) -> None:
        """Ends the threads."""
        await self._reads.close()
