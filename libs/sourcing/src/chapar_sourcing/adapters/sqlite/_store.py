"""The Store port on one SQLite file. Texts compare by code points (UTF-8 bytes), fields by bytes.

The column `partition` of documents, checkpoints and rows is a *shelf*: one edition of one partition. Shelves of the
first edition are numbered like their partitions, so that files from before there were editions need no change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Self

import msgspec

from chapar_sourcing.adapters.sqlite._database import Database
from chapar_sourcing.adapters.sqlite._editions import (
    EDITIONS_TABLE,
    change_editions,
    drop_some,
    read_editions,
    shelf_of,
)
from chapar_sourcing.adapters.sqlite._files import Format
from chapar_sourcing.adapters.sqlite._sums import row_sum
from chapar_sourcing.adapters.sqlite._tables import (
    read_ages,
    read_checkpoint,
    read_cursors,
    read_document,
    read_documents,
    read_group,
    read_rows,
)
from chapar_sourcing.adapters.sqlite._writes import end_process
from chapar_sourcing.domain import ANSWER_KIND, Key, Stored
from chapar_sourcing.editions import Editions
from chapar_sourcing.ports import Checkpoint, Cursor, DocumentWrite, Expiry, Purged, Row, StoreBehind

STORE = Format(
    kind="store",
    version=1,
    tables=(
        """CREATE TABLE documents (partition INTEGER, kind TEXT, parent TEXT, id TEXT, offset INTEGER NOT NULL,
        event_index INTEGER NOT NULL, data BLOB, PRIMARY KEY (partition, kind, parent, id)) WITHOUT ROWID""",
        """CREATE TABLE checkpoints (partition INTEGER PRIMARY KEY, journal_id TEXT NOT NULL,
        generation INTEGER NOT NULL, offset INTEGER NOT NULL, fold BLOB NOT NULL)""",
        """CREATE TABLE rows (partition INTEGER, key TEXT, row TEXT, field TEXT, value BLOB NOT NULL,
        PRIMARY KEY (partition, key, row, field)) WITHOUT ROWID""",
        """CREATE TABLE cursors (partition INTEGER, name TEXT, offset INTEGER NOT NULL, event_index INTEGER NOT NULL,
        hash BLOB NOT NULL, last_offset INTEGER NOT NULL, last_event_index INTEGER NOT NULL,
        PRIMARY KEY (partition, name)) WITHOUT ROWID""",
    ),
    added_tables=(EDITIONS_TABLE,),
    added_columns=(
        *((table, "sum INTEGER") for table in ("documents", "checkpoints", "rows", "cursors", "editions")),
        ("documents", "time_ms INTEGER"),
    ),
)
_WRITE_DOCUMENT = """INSERT INTO documents (partition, kind, parent, id, offset, event_index, time_ms, data, sum)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    offset = excluded.offset, event_index = excluded.event_index, time_ms = excluded.time_ms, data = excluded.data,
    sum = excluded.sum
    WHERE (offset, event_index) < (excluded.offset, excluded.event_index)"""
_WRITE_CHECKPOINT = """INSERT INTO checkpoints (partition, journal_id, generation, offset, fold, sum)
    VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    offset = excluded.offset, fold = excluded.fold, sum = excluded.sum WHERE offset < excluded.offset"""
_MERGE_FIELD = """INSERT INTO rows (partition, key, row, field, value, sum) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET value = excluded.value, sum = excluded.sum WHERE value < excluded.value"""
_WRITE_CURSOR = """INSERT INTO cursors
    (partition, name, offset, event_index, hash, last_offset, last_event_index, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET offset = excluded.offset, event_index = excluded.event_index, hash = excluded.hash,
    last_offset = excluded.last_offset, last_event_index = excluded.last_event_index, sum = excluded.sum
    WHERE (offset, event_index) < (excluded.offset, excluded.event_index)"""

_DELETE_DOCUMENT = "DELETE FROM documents WHERE partition = ? AND kind = ? AND parent = ? AND id = ?"
_NEXT_ROW_KEY = "SELECT key FROM rows WHERE partition = ? AND key > ? ORDER BY key LIMIT 1"


class SqliteStore:
    """The Store port."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._edition: int | None = None
        """The edition that this is of; None: whichever is live."""

    @classmethod
    async def open(cls, path: Path, *, service: str = "", broken: Callable[[str], None] = end_process) -> Self:
        """Opens or creates. Raises `FileRefused`: held by another process, another kind, format or service."""
        return cls(await Database.open(path, STORE, service=service, broken=broken))

    async def read_checkpoint(self, partition: int) -> Checkpoint | None:
        """The checkpoint of a partition."""

        def query(connection: sqlite3.Connection) -> Checkpoint | None:
            return read_checkpoint(connection, self._shelf(connection, partition))

        return await self._database.read(query)

    async def write_documents(self, partition: int, documents: Sequence[DocumentWrite]) -> None:
        """Stores what is newer than what is there."""
        values = [(*write.key, *write.position, write.time_ms, write.data) for write in documents]

        def job(connection: sqlite3.Connection) -> None:
            shelf = self._shelf(connection, partition)
            connection.executemany(
                _WRITE_DOCUMENT, ((shelf, *value, row_sum(value[-1], shelf, *value[:-1])) for value in values)
            )

        await self._database.write(job, size=sum(len(write.data or b"") for write in documents))

    async def write_checkpoint(self, partition: int, checkpoint: Checkpoint) -> None:
        """Moves the checkpoint forward."""
        journal = (checkpoint.journal_id, checkpoint.generation)
        fold = msgspec.msgpack.encode(checkpoint.fold)
        values = (*journal, checkpoint.fold.offset, fold)

        def job(connection: sqlite3.Connection) -> None:
            shelf = self._shelf(connection, partition)
            stored = connection.execute(
                "SELECT journal_id, generation FROM checkpoints WHERE partition = ?", (shelf,)
            ).fetchone()
            if stored is not None and stored != journal:
                raise ValueError(f"the store belongs to journal {stored}, not {journal}")
            connection.execute(_WRITE_CHECKPOINT, (shelf, *values, row_sum(fold, shelf, *values[:-1])))

        await self._database.write(job)

    async def load(self, partition: int, keys: Sequence[Key], *, at_least: int) -> Mapping[Key, Stored]:
        """The stored ones among `keys`."""

        def query(connection: sqlite3.Connection) -> dict[Key, Stored]:
            shelf = self._fresh(connection, partition, at_least)
            found = {}
            for key in keys:
                stored = read_document(connection, shelf, key)
                if stored is not None:
                    found[key] = stored
            return found

        return await self._database.read(query)

    async def scan(
        self, partition: int, kind: str, parent: str, *, at_least: int,
        after: str = "", before: str | None = None, descending: bool = False, limit: int = 100,
    ) -> Sequence[tuple[Key, Stored]]:  # fmt: skip
        """Live documents of one group."""

        def query(connection: sqlite3.Connection) -> list[tuple[Key, Stored]]:
            shelf = self._fresh(connection, partition, at_least)
            return read_group(
                connection, shelf, kind, parent, after=after, before=before, descending=descending, limit=limit
            )

        return await self._database.read(query)

    async def documents(
        self, partition: int, *, at_least: int, after: Key | None, limit: int = 1000
    ) -> Sequence[tuple[Key, Stored]]:
        """All documents in order."""
        beyond = "" if after is None else "AND (kind, parent, id) > (?, ?, ?)"
        values = (*(after or ()), limit)
        tail = f"WHERE partition = ? {beyond} ORDER BY kind, parent, id LIMIT ?"

        def query(connection: sqlite3.Connection) -> list[tuple[Key, Stored]]:
            return read_documents(connection, tail, (self._fresh(connection, partition, at_least), *values))

        return await self._database.read(query)

    async def purge(self, partition: int, expiry: Expiry, *, after: Key | None, limit: int = 1000) -> Purged:
        """Deletes what is too old among the next ones."""

        def job(connection: sqlite3.Connection) -> Purged:
            shelf = self._shelf(connection, partition)
            page = read_ages(connection, shelf, after, limit)
            gone = [(shelf, *key) for key, time_ms, deleted in page if _too_old(key, time_ms, deleted, expiry)]
            connection.executemany(_DELETE_DOCUMENT, gone)
            return Purged(len(gone), page[-1][0] if len(page) == limit else None)

        return await self._database.write(job)

    async def merge_rows(self, partition: int, rows: Sequence[Row]) -> None:
        """Merges field by field, by maximum."""
        values = [(row.key, row.row, name, value) for row in rows for name, value in row.fields.items()]

        def job(connection: sqlite3.Connection) -> None:
            for shelf in self._shelves(connection, partition):
                connection.executemany(
                    _MERGE_FIELD, ((shelf, *value, row_sum(value[-1], shelf, *value[:-1])) for value in values)
                )

        await self._database.write(job)

    async def rows(self, partition: int, key: str) -> Sequence[Row]:
        """All rows of a key."""

        def query(connection: sqlite3.Connection) -> list[Row]:
            return read_rows(connection, self._shelf(connection, partition), key)

        return await self._database.read(query)

    async def row_keys(self, partition: int, *, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Distinct keys that have rows: one step into the index for each."""
        return await self._database.read(
            lambda connection: _distinct(connection, _NEXT_ROW_KEY, (self._shelf(connection, partition),), after, limit)
        )

    async def write_cursor(self, partition: int, name: str, cursor: Cursor) -> None:
        """Moves a cursor forward."""
        values = (partition, name, *cursor.position, cursor.hash, *cursor.last)
        row = (*values, row_sum(None, *values))
        await self._database.write(lambda connection: _run(connection, _WRITE_CURSOR, row))

    async def read_cursors(self, partition: int) -> Mapping[str, Cursor]:
        """All cursors of a partition."""

        return await self._database.read(lambda connection: read_cursors(connection, partition))

    async def editions(self, partition: int) -> Editions:
        """Which edition is live, and what stands beside it."""
        return await self._database.read(lambda connection: read_editions(connection, partition))

    def at(self, edition: int) -> Self:
        """The same store, of one edition."""
        store = copy(self)
        store._edition = edition
        return store

    async def build_edition(self, partition: int, edition: int) -> None:
        """Begins to build an edition."""
        await self._database.write(lambda c: change_editions(c, partition, lambda editions: editions.build(edition)))

    async def switch_edition(self, partition: int, edition: int) -> None:
        """Makes the edition that is being built the live one."""
        await self._database.write(lambda c: change_editions(c, partition, lambda editions: editions.switch(edition)))

    async def drop_edition(self, partition: int, *, limit: int = 1000) -> bool:
        """Deletes a part of the edition beside the live one."""
        return await self._database.write(lambda connection: drop_some(connection, partition, limit))

    async def close(self) -> None:
        """Gives the file back."""
        await self._database.close()

    def _shelf(self, connection: sqlite3.Connection, partition: int) -> int:
        edition = read_editions(connection, partition).live if self._edition is None else self._edition
        return shelf_of(partition, edition)

    def _shelves(self, connection: sqlite3.Connection, partition: int) -> list[int]:
        """Where rows are merged: in the live edition and in the one that is being built."""
        if self._edition is not None:
            return [shelf_of(partition, self._edition)]
        editions = read_editions(connection, partition)
        written = [editions.live] if editions.building is None else [editions.live, editions.building]
        return [shelf_of(partition, edition) for edition in written]

    def _fresh(self, connection: sqlite3.Connection, partition: int, at_least: int) -> int:
        """The shelf, once its checkpoint is found not to be below `at_least`."""
        shelf = self._shelf(connection, partition)
        found = read_checkpoint(connection, shelf)
        reached = -1 if found is None else found.fold.offset
        if reached < at_least:
            raise StoreBehind(f"partition {partition} has {reached}, not {at_least}")
        return shelf


def _run(connection: sqlite3.Connection, statement: str, values: Sequence[object]) -> None:
    connection.execute(statement, values)


def _distinct(connection: sqlite3.Connection, step: str, group: Sequence[object], after: str, limit: int) -> list[str]:
    """At most `limit` texts above `after`, each found by a step that looks for the next one."""
    found: list[str] = []
    while len(found) < limit:
        row = connection.execute(step, (*group, found[-1] if found else after)).fetchone()
        if row is None:
            break
        found.append(row[0])
    return found


def _too_old(key: Key, time_ms: int, deleted: bool, expiry: Expiry) -> bool:
    if deleted:
        return time_ms < expiry.tombstones_before_ms
    return key.kind == ANSWER_KIND and expiry.answers_before_ms is not None and time_ms < expiry.answers_before_ms
