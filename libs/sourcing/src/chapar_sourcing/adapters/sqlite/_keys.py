"""The KeyStore port on one SQLite file. What is destroyed is overwritten, in the file and in its log."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from chapar_sourcing.adapters.sqlite._database import Database
from chapar_sourcing.adapters.sqlite._files import Format
from chapar_sourcing.adapters.sqlite._sums import check_sum, row_sum
from chapar_sourcing.adapters.sqlite._writes import end_process
from chapar_sourcing.ports import KeyRow, Unavailable

KEYS = Format(
    kind="keys",
    version=1,
    tables=(
        """CREATE TABLE keys (subject TEXT NOT NULL, period INTEGER NOT NULL, key_id TEXT NOT NULL UNIQUE,
        wrapped BLOB NOT NULL, PRIMARY KEY (subject, period))""",
    ),
    added_columns=(("keys", "sum INTEGER"),),
    pragmas={"secure_delete": "ON"},
)
_COLUMNS = "SELECT key_id, subject, period, wrapped, sum FROM keys"


class SqliteKeyStore:
    """The KeyStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, path: Path, *, service: str = "", broken: Callable[[str], None] = end_process) -> Self:
        """Opens or creates. Raises `FileRefused`: held by another process, another kind, format or service."""
        store = cls(await Database.open(path, KEYS, service=service, broken=broken))
        try:
            # The process before may have ended between a deletion and the cut of the log that still holds its bytes.
            await store._forget_deleted()
        except BaseException:
            await store.close()
            raise
        return store

    async def insert(self, row: KeyRow) -> KeyRow:
        """Stores a key durably unless there is one as new. Raises `ValueError` for a key id that is taken."""

        def job(connection: sqlite3.Connection) -> KeyRow:
            stored = _current(connection, row.subject, row.period)
            if stored is not None:
                return stored
            if _get(connection, row.key_id) is not None:
                raise ValueError(f"key id {row.key_id} is taken")
            connection.execute(
                "INSERT INTO keys (subject, period, key_id, wrapped, sum) VALUES (?, ?, ?, ?, ?)",
                (row.subject, row.period, row.key_id, row.wrapped, _sum(row)),
            )
            return row

        return await self._database.write(job)

    async def current(self, subject: str, period: int) -> KeyRow | None:
        """The subject's newest key."""
        return await self._database.read(lambda connection: _current(connection, subject, period))

    async def get(self, key_id: str) -> KeyRow | None:
        """A key by its id."""
        return await self._database.read(lambda connection: _get(connection, key_id))

    async def destroy(self, subject: str, period_below: int) -> int:
        """Destroys earlier keys; returns once no file of ours holds their bytes."""

        def job(connection: sqlite3.Connection) -> int:
            where = "DELETE FROM keys WHERE subject = ? AND period < ?"
            return connection.execute(where, (subject, period_below)).rowcount

        destroyed = await self._database.write(job)
        await self._forget_deleted()
        return destroyed

    async def close(self) -> None:
        """Gives the file back."""
        await self._database.close()

    async def _forget_deleted(self) -> None:
        if not await self._database.cut_log():
            raise Unavailable("a reader keeps the destroyed keys in the write-ahead log; destroy again")


def _current(connection: sqlite3.Connection, subject: str, period: int) -> KeyRow | None:
    """The newest key: the last one before what follows the subject, both of them whole."""
    _row(connection.execute(f"{_COLUMNS} WHERE subject > ? ORDER BY subject, period LIMIT 1", (subject,)).fetchone())
    newest = f"{_COLUMNS} WHERE subject <= ? ORDER BY subject DESC, period DESC LIMIT 1"
    row = _row(connection.execute(newest, (subject,)).fetchone())
    return row if row is not None and row.subject == subject and row.period >= period else None


def _get(connection: sqlite3.Connection, key_id: str) -> KeyRow | None:
    """A key by its id; that there is none is believed beside neighbours that are whole."""
    row = _row(connection.execute(f"{_COLUMNS} WHERE key_id >= ? ORDER BY key_id LIMIT 1", (key_id,)).fetchone())
    if row is not None and row.key_id == key_id:
        return row
    _row(connection.execute(f"{_COLUMNS} WHERE key_id < ? ORDER BY key_id DESC LIMIT 1", (key_id,)).fetchone())
    return None


def keys_after(connection: sqlite3.Connection, subject: str, period: int, limit: int) -> list[KeyRow]:
    """Keys behind a place, by subject and period. Raises `RowDamaged`."""
    behind = f"{_COLUMNS} WHERE (subject, period) > (?, ?) ORDER BY subject, period LIMIT ?"
    found = connection.execute(behind, (subject, period, limit))
    return [row for one in found if (row := _row(one)) is not None]


def _row(found: tuple[Any, ...] | None) -> KeyRow | None:
    if found is None:
        return None
    row = KeyRow(*found[:4])
    check_sum(found[4], row.wrapped, row.subject, row.period, row.key_id)
    return row


def _sum(row: KeyRow) -> int:
    return row_sum(row.wrapped, row.subject, row.period, row.key_id)
