"""The Store port on one SQLite file. Texts compare by code points (UTF-8 bytes), fields by bytes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec

from chapar_sourcing.adapters.sqlite._database import Database
from chapar_sourcing.adapters.sqlite._files import Format
from chapar_sourcing.adapters.sqlite._writes import end_process
from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.fold import FoldState
from chapar_sourcing.ports import Checkpoint, Cursor, DocumentWrite, Row, StoreBehind
from chapar_sourcing.positions import Position

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
)
_WRITE_DOCUMENT = """INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET offset = excluded.offset, event_index = excluded.event_index, data = excluded.data
    WHERE (offset, event_index) < (excluded.offset, excluded.event_index)"""
_WRITE_CHECKPOINT = """INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET offset = excluded.offset, fold = excluded.fold WHERE offset < excluded.offset"""
_MERGE_FIELD = """INSERT INTO rows VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET value = excluded.value WHERE value < excluded.value"""
_WRITE_CURSOR = """INSERT INTO cursors VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET offset = excluded.offset, event_index = excluded.event_index, hash = excluded.hash,
    last_offset = excluded.last_offset, last_event_index = excluded.last_event_index
    WHERE (offset, event_index) < (excluded.offset, excluded.event_index)"""


class SqliteStore:
    """The Store port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, path: Path, *, broken: Callable[[str], None] = end_process) -> Self:
        """Opens or creates. Raises `FileRefused`: held by another process, another kind or format."""
        return cls(await Database.open(path, STORE, broken=broken))

    async def read_checkpoint(self, partition: int) -> Checkpoint | None:
        """The checkpoint of a partition."""

        def query(connection: sqlite3.Connection) -> Checkpoint | None:
            found = connection.execute(
                "SELECT journal_id, generation, fold FROM checkpoints WHERE partition = ?", (partition,)
            ).fetchone()
            if found is None:
                return None
            return Checkpoint(found[0], found[1], msgspec.msgpack.decode(found[2], type=FoldState))

        return await self._database.read(query)

    async def write_documents(self, partition: int, documents: Sequence[DocumentWrite]) -> None:
        """Stores what is newer than what is there."""
        values = [(partition, *write.key, *write.position, write.data) for write in documents]
        size = sum(len(write.data or b"") for write in documents)
        await self._database.write(lambda connection: _run_many(connection, _WRITE_DOCUMENT, values), size=size)

    async def write_checkpoint(self, partition: int, checkpoint: Checkpoint) -> None:
        """Moves the checkpoint forward."""
        journal = (checkpoint.journal_id, checkpoint.generation)
        values = (partition, *journal, checkpoint.fold.offset, msgspec.msgpack.encode(checkpoint.fold))

        def job(connection: sqlite3.Connection) -> None:
            stored = connection.execute(
                "SELECT journal_id, generation FROM checkpoints WHERE partition = ?", (partition,)
            ).fetchone()
            if stored is not None and stored != journal:
                raise ValueError(f"the store belongs to journal {stored}, not {journal}")
            connection.execute(_WRITE_CHECKPOINT, values)

        await self._database.write(job)

    async def load(self, partition: int, keys: Sequence[Key], *, at_least: int) -> Mapping[Key, Stored]:
        """The stored ones among `keys`."""

        def query(connection: sqlite3.Connection) -> dict[Key, Stored]:
            _check_fresh(connection, partition, at_least)
            found = {}
            for key in keys:
                row = connection.execute(
                    "SELECT offset, event_index, data FROM documents"
                    " WHERE partition = ? AND kind = ? AND parent = ? AND id = ?",
                    (partition, *key),
                ).fetchone()
                if row is not None:
                    found[key] = Stored(Position(row[0], row[1]), row[2])
            return found

        return await self._database.read(query)

    async def scan(
        self, partition: int, kind: str, parent: str, *, at_least: int,
        after: str = "", before: str | None = None, descending: bool = False, limit: int = 100,
    ) -> Sequence[tuple[Key, Stored]]:  # fmt: skip
        """Live documents of one group."""
        where = "partition = ? AND kind = ? AND parent = ? AND id > ? AND data IS NOT NULL"
        values: list[object] = [partition, kind, parent, after]
        if before is not None:
            where += " AND id < ?"
            values.append(before)
        order = "DESC" if descending else "ASC"

        def query(connection: sqlite3.Connection) -> list[tuple[Key, Stored]]:
            _check_fresh(connection, partition, at_least)
            return _documents(connection, f"WHERE {where} ORDER BY id {order} LIMIT ?", (*values, limit))

        return await self._database.read(query)

    async def parents(self, partition: int, kind: str, *, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Distinct parents of live documents: one step into the index for each."""

        def query(connection: sqlite3.Connection) -> list[str]:
            found: list[str] = []
            while len(found) < limit:
                row = connection.execute(
                    "SELECT parent FROM documents WHERE partition = ? AND kind = ? AND parent > ? AND data IS NOT NULL"
                    " ORDER BY parent LIMIT 1",
                    (partition, kind, found[-1] if found else after),
                ).fetchone()
                if row is None:
                    break
                found.append(row[0])
            return found

        return await self._database.read(query)

    async def documents(self, partition: int, *, after: Key | None, limit: int = 1000) -> Sequence[tuple[Key, Stored]]:
        """All documents in order."""
        beyond = "" if after is None else "AND (kind, parent, id) > (?, ?, ?)"
        values = (partition, *(after or ()), limit)
        tail = f"WHERE partition = ? {beyond} ORDER BY kind, parent, id LIMIT ?"
        return await self._database.read(lambda connection: _documents(connection, tail, values))

    async def merge_rows(self, partition: int, rows: Sequence[Row]) -> None:
        """Merges field by field, by maximum."""
        values = [(partition, row.key, row.row, name, value) for row in rows for name, value in row.fields.items()]
        await self._database.write(lambda connection: _run_many(connection, _MERGE_FIELD, values))

    async def rows(self, partition: int, key: str) -> Sequence[Row]:
        """All rows of a key."""

        def query(connection: sqlite3.Connection) -> list[Row]:
            found: dict[str, dict[str, bytes]] = {}
            for row, name, value in connection.execute(
                "SELECT row, field, value FROM rows WHERE partition = ? AND key = ? ORDER BY row", (partition, key)
            ):
                found.setdefault(row, {})[name] = value
            return [Row(key, row, fields) for row, fields in found.items()]

        return await self._database.read(query)

    async def write_cursor(self, partition: int, name: str, cursor: Cursor) -> None:
        """Moves a cursor forward."""
        values = (partition, name, *cursor.position, cursor.hash, *cursor.last)
        await self._database.write(lambda connection: _run_many(connection, _WRITE_CURSOR, [values]))

    async def read_cursors(self, partition: int) -> Mapping[str, Cursor]:
        """All cursors of a partition."""

        def query(connection: sqlite3.Connection) -> dict[str, Cursor]:
            return {
                name: Cursor(Position(offset, event_index), digest, Position(last_offset, last_event_index))
                for name, offset, event_index, digest, last_offset, last_event_index in connection.execute(
                    "SELECT name, offset, event_index, hash, last_offset, last_event_index FROM cursors"
                    " WHERE partition = ?",
                    (partition,),
                )
            }

        return await self._database.read(query)

    async def close(self) -> None:
        """Gives the file back."""
        await self._database.close()


def _run_many(connection: sqlite3.Connection, statement: str, values: Sequence[tuple[object, ...]]) -> None:
    connection.executemany(statement, values)


def _check_fresh(connection: sqlite3.Connection, partition: int, at_least: int) -> None:
    found = connection.execute("SELECT offset FROM checkpoints WHERE partition = ?", (partition,)).fetchone()
    reached = found[0] if found is not None else -1
    if reached < at_least:
        raise StoreBehind(f"partition {partition} has {reached}, not {at_least}")


def _documents(connection: sqlite3.Connection, tail: str, values: Sequence[object]) -> list[tuple[Key, Stored]]:
    columns = "SELECT kind, parent, id, offset, event_index, data FROM documents"
    return [
        (Key(kind, parent, id_), Stored(Position(offset, event_index), data))
        for kind, parent, id_, offset, event_index, data in connection.execute(f"{columns} {tail}", values)
    ]
