"""The KeyStore port: all keys of a subject in one document, so that an insertion and a destruction see each other.

What is destroyed leaves the collection at once and for ever. The server's log of operations and its files keep the
bytes, which are wrapped by the master key, until they are overwritten (ADR 0018). All reads make sure that the primary
answers: one that was deposed would still hand out a key that was destroyed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

from chapar_sourcing.adapters.mongo._layout import KEY_INDEXES, KEYS, check_layout, joined
from chapar_sourcing.adapters.mongo._link import Database, Link, Upsert
from chapar_sourcing.ports import KeyRow, Unavailable

TRIES_MAX = 20
"""How often an insertion is tried that others get ahead of."""
PAGE_SUBJECTS = 200


class MongoKeyStore:
    """The KeyStore port."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @classmethod
    async def open(cls, database: Database, *, service: str = "", deadline_ms: int = 5_000) -> Self:
        """Connects to a database that `prepare` made ready. Raises as `MongoStore.open` does."""
        link = await Link.open(database, deadline_ms=deadline_ms)
        try:
            await check_layout(link, database.name, service, KEY_INDEXES)
        except BaseException:
            await link.close()
            raise
        return cls(link)

    async def insert(self, row: KeyRow) -> KeyRow:
        """Stores a key durably unless there is one as new. Raises `ValueError` for a key id that is taken."""
        joined(row.subject, row.key_id)
        where = {
            "_id": row.subject,
            "keys.period": {"$not": {"$gte": row.period}},
            "keys.key_id": {"$ne": row.key_id},
        }
        key = {"key_id": row.key_id, "period": row.period, "wrapped": row.wrapped}
        for _ in range(TRIES_MAX):
            if not (await self._link.write(KEYS, [Upsert(where, {"$push": {"keys": key}})])).duplicates:
                return row
            stored = await self.current(row.subject, row.period)
            if stored is not None:
                return stored
            if await self.get(row.key_id) is not None:
                raise ValueError(f"key id {row.key_id} is taken")
        raise Unavailable("others keep changing the subject's keys")

    async def current(self, subject: str, period: int) -> KeyRow | None:
        """The subject's newest key."""
        rows = _rows(await self._link.find_one(KEYS, {"_id": subject}, newest=True))
        newest = max(rows, key=lambda row: row.period, default=None)
        return newest if newest is not None and newest.period >= period else None

    async def get(self, key_id: str) -> KeyRow | None:
        """A key by its id."""
        rows = _rows(await self._link.find_one(KEYS, {"keys.key_id": key_id}, newest=True))
        return next((row for row in rows if row.key_id == key_id), None)

    async def destroy(self, subject: str, period_below: int) -> int:
        """Destroys earlier keys."""
        older = {"period": {"$lt": period_below}}
        before = _rows(await self._link.change(KEYS, {"_id": subject}, {"$pull": {"keys": older}}))
        return sum(row.period < period_below for row in before)

    async def rows(self) -> AsyncIterator[KeyRow]:
        """All keys by subject and period: each that is there from the first moment of reading to the last.

        A primary that was deposed and does not know it would leave out keys that are newer than it knows. The first
        read makes sure that it is the primary, and those after it, of the same session, see at least what it saw,
        whoever answers.
        """
        async with self._link.session() as session:
            await self._link.find_one(KEYS, {}, newest=True, session=session)
            after = ""
            while page := await self._link.find(
                KEYS, {"_id": {"$gt": after}}, order=["_id"], limit=PAGE_SUBJECTS, session=session
            ):
                for found in page:
                    for row in sorted(_rows(found), key=lambda row: row.period):
                        yield row
                after = page[-1]["_id"]

    async def close(self) -> None:
        """Ends all connections."""
        await self._link.close()


def _rows(found: Mapping[str, Any] | None) -> list[KeyRow]:
    if found is None:
        return []
    return [KeyRow(key["key_id"], found["_id"], key["period"], key["wrapped"]) for key in found["keys"]]
