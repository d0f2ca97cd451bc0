"""What one profile keeps on disk: session, requests under way, inbox cursor, positions.

One SQLite file of the owner's eyes only. All access runs on one thread of its own, so that a commit (a disk flush) does
not stop the event loop. Several processes may use one profile at once: what must not be done twice, a token refresh, is
agreed on here.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chapar_client.sdk._errors import ProfileUnusable

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS session (
    one INTEGER PRIMARY KEY CHECK (one = 1), user_id TEXT NOT NULL, session_id TEXT NOT NULL,
    access_token TEXT NOT NULL, access_expire_time_ms INTEGER NOT NULL, refresh_token TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS refresh (refresh_token TEXT PRIMARY KEY, request_id TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS pending (
    request_id TEXT PRIMARY KEY, path TEXT NOT NULL, content BLOB NOT NULL, create_time_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS inbox (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER, n INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS applied (conversation_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS place (service TEXT, key TEXT, position BLOB NOT NULL, PRIMARY KEY (service, key)) STRICT;
"""

_PLACES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in session. `repr` shows no token."""

    user_id: str
    session_id: str
    access_token: str
    access_expire_time_ms: int
    refresh_token: str

    def __repr__(self) -> str:
        return f"Session(user_id={self.user_id!r}, session_id={self.session_id!r})"


@dataclass(frozen=True, slots=True)
class Pending:
    """A command stored before its first try."""

    request_id: str
    path: str
    content: bytes
    create_time_ms: int


class StateStore:
    """The state of one profile, in `folder/state.db`. Everything here raises `ProfileUnusable` where the file does not
    serve."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.db"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chapar-state")
        self._connection: sqlite3.Connection | None = None

    async def close(self) -> None:
        """Closes the file, for good."""
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    # Clock

    async def clock_offset_ms(self) -> int:
        """The correction learned last."""
        row = await self._one("SELECT value FROM meta WHERE name = 'clock_offset_ms'")
        return int(row[0]) if row else 0

    async def save_clock_offset_ms(self, offset_ms: int) -> None:
        """Keeps the correction for the next process."""
        await self._write("INSERT OR REPLACE INTO meta VALUES ('clock_offset_ms', ?)", offset_ms)

    # Session

    async def session(self) -> Session | None:
        """The session of this profile."""
        row = await self._one(
            "SELECT user_id, session_id, access_token, access_expire_time_ms, refresh_token FROM session"
        )
        return Session(*row) if row else None

    async def open_session(self, session: Session) -> None:
        """Puts a new session in place of the old; what belongs to another user goes."""
        await self._run(lambda: self._open_session(session))

    async def replace_tokens(self, old_refresh_token: str, session: Session) -> None:
        """Stores refreshed tokens, unless another process was there first."""
        await self._run(lambda: self._replace_tokens(old_refresh_token, session))

    async def refresh_request_id(self, refresh_token: str, proposed: str) -> str:
        """The one request id that changes this refresh token, in whatever process: the proposed one if none is kept."""
        return await self._run(lambda: self._refresh_request_id(refresh_token, proposed))

    async def replace_refresh_request_id(self, refresh_token: str, old: str, new: str) -> None:
        """Takes another id after the old one was refused for its time."""
        await self._write(
            "UPDATE refresh SET request_id = ? WHERE refresh_token = ? AND request_id = ?", new, refresh_token, old
        )

    async def end_session(self, session_id: str) -> None:
        """Forgets a session that the servers have ended."""
        await self._write("DELETE FROM session WHERE session_id = ?", session_id)

    # Commands under way

    async def add_pending(self, pending: Pending) -> None:
        """Stores a command before its first try; an id that is kept already stays as it is."""
        await self._write(
            "INSERT OR IGNORE INTO pending VALUES (?, ?, ?, ?)",
            pending.request_id,
            pending.path,
            pending.content,
            pending.create_time_ms,
        )

    async def replace_pending(self, old_request_id: str, pending: Pending) -> None:
        """Stores a command anew under another id, in one step."""
        await self._run(lambda: self._replace_pending(old_request_id, pending))

    async def remove_pending(self, request_id: str) -> None:
        """Forgets a command whose outcome is known."""
        await self._write("DELETE FROM pending WHERE request_id = ?", request_id)

    async def all_pending(self) -> list[Pending]:
        """Commands whose outcome is not known, oldest first."""
        rows = await self._all("SELECT request_id, path, content, create_time_ms FROM pending ORDER BY request_id")
        return [Pending(*row) for row in rows]

    # Inbox

    async def inbox_cursor(self) -> tuple[int, int] | None:
        """(epoch, n) of the last frame taken in."""
        row = await self._one("SELECT epoch, n FROM inbox")
        return (int(row[0]), int(row[1])) if row else None

    async def applied_sequences(self) -> dict[str, int]:
        """The last message taken in, by conversation."""
        return dict(await self._all("SELECT conversation_id, sequence FROM applied"))

    async def save_inbox(self, cursor: tuple[int, int] | None, applied: Sequence[tuple[str, int]]) -> None:
        """Stores progress in one step; a conversation's sequence never goes back."""
        await self._run(lambda: self._save_inbox(cursor, applied))

    # Positions

    async def places(self) -> list[tuple[str, str, bytes]]:
        """(service, routing key, position) of the answers seen."""
        return await self._all("SELECT service, key, position FROM place")

    async def save_places(self, places: Sequence[tuple[str, str, bytes]]) -> None:
        """Stores positions; the oldest beyond a bound are forgotten."""
        await self._run(lambda: self._save_places(places))

    # On the thread

    def _open_session(self, session: Session) -> None:
        with self._db() as db:
            last = db.execute("SELECT value FROM meta WHERE name = 'user_id'").fetchone()
            if last is None or last[0] != session.user_id:
                for table in ("pending", "inbox", "applied", "place"):
                    db.execute(f"DELETE FROM {table}")  # nosec B608 # names of our own
                db.execute("INSERT OR REPLACE INTO meta VALUES ('user_id', ?)", (session.user_id,))
            db.execute("DELETE FROM refresh")
            self._put_session(db, session)

    def _replace_tokens(self, old_refresh_token: str, session: Session) -> None:
        with self._db() as db:
            row = db.execute("SELECT refresh_token FROM session").fetchone()
            if row is not None and row[0] == old_refresh_token:
                self._put_session(db, session)
                db.execute("DELETE FROM refresh WHERE refresh_token = ?", (old_refresh_token,))

    def _put_session(self, db: sqlite3.Connection, session: Session) -> None:
        db.execute(
            "INSERT OR REPLACE INTO session VALUES (1, ?, ?, ?, ?, ?)",
            (
                session.user_id,
                session.session_id,
                session.access_token,
                session.access_expire_time_ms,
                session.refresh_token,
            ),
        )

    def _refresh_request_id(self, refresh_token: str, proposed: str) -> str:
        with self._db() as db:
            db.execute("INSERT OR IGNORE INTO refresh VALUES (?, ?)", (refresh_token, proposed))
            row = db.execute("SELECT request_id FROM refresh WHERE refresh_token = ?", (refresh_token,)).fetchone()
        return str(row[0])

    def _replace_pending(self, old_request_id: str, pending: Pending) -> None:
        with self._db() as db:
            db.execute("DELETE FROM pending WHERE request_id = ?", (old_request_id,))
            db.execute(
                "INSERT INTO pending VALUES (?, ?, ?, ?)",
                (pending.request_id, pending.path, pending.content, pending.create_time_ms),
            )

    def _save_inbox(self, cursor: tuple[int, int] | None, applied: Sequence[tuple[str, int]]) -> None:
        with self._db() as db:
            if cursor is not None:
                db.execute("INSERT OR REPLACE INTO inbox VALUES (1, ?, ?)", cursor)
            db.executemany(
                "INSERT INTO applied VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET sequence = max(sequence, excluded.sequence)",
                applied,
            )

    def _save_places(self, places: Sequence[tuple[str, str, bytes]]) -> None:
        with self._db() as db:
            db.executemany("INSERT OR REPLACE INTO place VALUES (?, ?, ?)", places)
            db.execute(
                "DELETE FROM place WHERE rowid <= (SELECT max(rowid) - ? FROM place)",
                (_PLACES_MAX,),
            )

    async def _one(self, statement: str) -> tuple[Any, ...] | None:
        rows = await self._all(statement)
        return rows[0] if rows else None

    async def _all(self, statement: str) -> list[tuple[Any, ...]]:
        return await self._run(lambda: self._opened().execute(statement).fetchall())

    async def _write(self, statement: str, *values: object) -> None:
        def write() -> None:
            with self._db() as db:
                db.execute(statement, values)

        await self._run(write)

    async def _run(self, work: Callable[[], T]) -> T:
        """Runs to its end in any case: a caller that is cancelled does not wait, but what it asked for is done."""
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))
        except (sqlite3.Error, OSError) as error:
            raise ProfileUnusable(
                f"{self._path} cannot be used ({error}): mend its disk or permissions, or choose another --profile"
            ) from error

    def _db(self) -> _Transaction:
        return _Transaction(self._opened())

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(_SCHEMA)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            with closing(self._connection):
                self._connection = None


class _Transaction:
    """A write transaction from its start: what is read in it is not changed by another process before it ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: object, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
