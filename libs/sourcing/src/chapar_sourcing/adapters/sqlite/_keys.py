"""The KeyStore port on one SQLite file. What is destroyed is overwritten, in the file and in its log."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Self

from chapar_sourcing.adapters.sqlite._database import Database
from chapar_sourcing.adapters.sqlite._files import Format
from chapar_sourcing.adapters.sqlite._writes import end_process
from chapar_sourcing.ports import KeyRow, Unavailable

KEYS = Format(
    kind="keys",
    version=1,
    tables=(
        """CREATE TABLE keys (subject TEXT NOT NULL, period INTEGER NOT NULL, key_id TEXT NOT NULL UNIQUE,
        wrapped BLOB NOT NULL, PRIMARY KEY (subject, period))""",
    ),
    pragmas={"secure_delete": "ON"},
)
_COLUMNS = "SELECT key_id, subject, period, wrapped FROM keys"


class SqliteKeyStore:
    """The KeyStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, path: Path, *, broken: Callable[[str], None] = end_process) -> Self:
        """Opens or creates. Raises `FileRefused`: held by another process, another kind or format."""
        store = cls(await Database.open(path, KEYS, broken=broken))
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
                "INSERT INTO keys (subject, period, key_id, wrapped) VALUES (?, ?, ?, ?)",
                (row.subject, row.period, row.key_id, row.wrapped),
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
    newest = f"{_COLUMNS} WHERE subject = ? AND period >= ? ORDER BY period DESC LIMIT 1"
    found = connection.execute(newest, (subject, period)).fetchone()
    return KeyRow(*found) if found else None


def _get(connection: sqlite3.Connection, key_id: str) -> KeyRow | None:
    found = connection.execute(f"{_COLUMNS} WHERE key_id = ?", (key_id,)).fetchone()
    return KeyRow(*found) if found else None
