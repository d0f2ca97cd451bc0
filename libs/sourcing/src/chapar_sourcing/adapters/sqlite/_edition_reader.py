"""Reads which editions a store's SQLite file has, beside the process that holds it: for whoever looks after it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from chapar_sourcing.adapters.sqlite._editions import read_editions
from chapar_sourcing.adapters.sqlite._files import other_service, read_metadata
from chapar_sourcing.adapters.sqlite._hold import FileRefused
from chapar_sourcing.adapters.sqlite._reads import Reads
from chapar_sourcing.editions import Editions


async def stored_editions(path: Path, partitions: int, *, service: str) -> Sequence[Editions]:
    """The editions of each partition, in order. Raises `FileRefused` for a file of another service, `Unavailable`."""
    reads = Reads(path)
    try:
        if problem := other_service(await reads.run(read_metadata), path, service):
            raise FileRefused(problem)

        def query(connection: sqlite3.Connection) -> list[Editions]:
            return [read_editions(connection, partition) for partition in range(partitions)]

        return await reads.run(query)
    finally:
        await reads.close()
