"""The Store port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from typing import Self, TypeVar

from chapar_sourcing.adapters.mongo import _documents, _rows
from chapar_sourcing.adapters.mongo._bulks import Bulks
from chapar_sourcing.adapters.mongo._dropping import drop_some
from chapar_sourcing.adapters.mongo._layout import STORE_INDEXES, check_layout, shelf_of
from chapar_sourcing.adapters.mongo._link import Database, Link, Session
from chapar_sourcing.adapters.mongo._partitions import Partition, Partitions
from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.editions import Editions, Stage
from chapar_sourcing.ports import Checkpoint, Cursor, DocumentWrite, Expiry, Purged, Row, Unavailable

T = TypeVar("T")
MERGES_MAX = 5
"""How often a merge is done over that took so long that an edition may have been added meanwhile."""


class MongoStore:
    """The Store port."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._bulks = Bulks(link, deadline_s=link.deadline_ms / 1000)
        self._partitions = Partitions(link)
        self._edition: int | None = None
        """The edition that this is of; None: whichever is live."""

    @classmethod
    async def open(cls, database: Database, *, service: str = "", deadline_ms: int = 5_000) -> Self:
        """Connects to a database that `prepare` made ready.

        Raises `Unavailable`, and `DatabaseRefused`: wrong address, user or password, another service, missing indexes.
        """
        link = await Link.open(database, deadline_ms=deadline_ms)
        try:
            await check_layout(link, database.name, service, STORE_INDEXES)
        except BaseException:
            await link.close()
            raise
        return cls(link)

    async def read_checkpoint(self, partition: int) -> Checkpoint | None:
        """The checkpoint of a partition."""
        found = await self._partitions.read(partition)
        return found.checkpoints.get(self._number(found))

    async def write_documents(self, partition: int, documents: Sequence[DocumentWrite]) -> None:
        """Stores what is newer than what is there."""
        if documents:
            shelf = shelf_of(partition, self._number(await self._partitions.read(partition)))
            await _documents.write_documents(self._link, self._bulks, shelf, documents)

    async def write_checkpoint(self, partition: int, checkpoint: Checkpoint) -> None:
        """Moves the checkpoint forward."""
        await self._partitions.write_checkpoint(partition, self._edition, checkpoint)

    async def load(self, partition: int, keys: Sequence[Key], *, at_least: int) -> Mapping[Key, Stored]:
        """The stored ones among `keys`."""
        return await self._read(
            partition, at_least, lambda shelf, session: _documents.load(self._link, shelf, keys, session)
        )

    async def scan(
        self, partition: int, kind: str, parent: str, *, at_least: int,
        after: str = "", before: str | None = None, descending: bool = False, limit: int = 100,
    ) -> Sequence[tuple[Key, Stored]]:  # fmt: skip
        """Live documents of one group."""

        async def query(shelf: str, session: Session) -> list[tuple[Key, Stored]]:
            return await _documents.read_group(
                self._link, shelf, kind, parent, after, before, descending=descending, limit=limit, session=session
            )

        return await self._read(partition, at_least, query)

    async def documents(
        self, partition: int, *, at_least: int, after: Key | None, limit: int = 1000
    ) -> Sequence[tuple[Key, Stored]]:
        """All documents in order."""
        return await self._read(
            partition, at_least, lambda shelf, session: _documents.read_all(self._link, shelf, after, limit, session)
        )

    async def purge(self, partition: int, expiry: Expiry, *, after: Key | None, limit: int = 1000) -> Purged:
        """Deletes what is too old among the next ones."""
        shelf = shelf_of(partition, self._number(await self._partitions.read(partition)))
        return await _documents.purge(self._link, self._bulks, shelf, expiry, after, limit)

    async def merge_rows(self, partition: int, rows: Sequence[Row]) -> None:
        """Merges field by field, by maximum, until all editions that take rows have them."""
        merged: set[int] = set()
        found = await self._partitions.last(partition)
        for _ in range(MERGES_MAX):
            wanted = self._merging(found) - merged
            await _rows.merge_rows(self._link, [shelf_of(partition, edition) for edition in sorted(wanted)], rows)
            merged |= wanted
            if found.known and self._merging(found) <= merged:
                return
            found = await self._partitions.read(partition)
        raise Unavailable("the database takes too long to say which editions take rows")

    async def rows(self, partition: int, key: str) -> Sequence[Row]:
        """All rows of a key."""
        return await self._read(
            partition, None, lambda shelf, session: _rows.read_rows(self._link, shelf, key, session)
        )

    async def row_keys(self, partition: int, *, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Distinct keys that have rows."""
        return await self._read(
            partition, None, lambda shelf, session: _rows.read_row_keys(self._link, shelf, after, limit, session)
        )

    async def write_cursor(self, partition: int, name: str, cursor: Cursor) -> None:
        """Moves a cursor forward."""
        await _rows.write_cursor(self._link, partition, name, cursor)

    async def read_cursors(self, partition: int) -> Mapping[str, Cursor]:
        """All cursors of a partition."""
        return await _rows.read_cursors(self._link, partition)

    async def editions(self, partition: int) -> Editions:
        """Which edition is live, and what stands beside it."""
        return (await self._partitions.read(partition)).editions

    def at(self, edition: int) -> Self:
        """The same store, of one edition."""
        store = copy(self)
        store._edition = edition
        return store

    async def build_edition(self, partition: int, edition: int) -> None:
        """Begins to build an edition, and waits until all who merge rows know of it."""
        await self._partitions.change(partition, lambda editions: editions.build(edition))
        await self._partitions.wait_for_others()

    async def switch_edition(self, partition: int, edition: int) -> None:
        """Makes the edition that is being built the live one."""
        await self._partitions.change(partition, lambda editions: editions.switch(edition))

    async def drop_edition(self, partition: int, *, limit: int = 1000) -> bool:
        """Deletes a part of the edition beside the live one, once nobody reads it."""
        editions = await self._partitions.change(partition, Editions.drop)
        if editions.other is None:
            return True
        await self._partitions.wait_for_readers(partition, editions.other)
        if not await drop_some(self._link, partition, editions.other, limit):
            return False
        await self._partitions.forget(partition)
        return True

    async def close(self) -> None:
        """Ends all connections."""
        await self._link.close()

    async def _read(self, partition: int, at_least: int | None, query: Callable[[str, Session], Awaitable[T]]) -> T:
        """What a shelf answers; raises `StoreBehind` when its checkpoint is below `at_least`. None, as rows have no
        checkpoint: it answers with all that anybody was told is durable.

        A read of the live edition that took so long that this may have been dropped meanwhile is none.
        """
        async with self._link.session() as session:
            if at_least is None:
                found = await self._partitions.read(partition, session=session)
            else:
                found = await self._partitions.read_fresh(partition, self._edition, at_least, session)
            edition = self._number(found)
            answer = await query(shelf_of(partition, edition), session)
            if self._edition is None and not found.known:
                editions = await self.editions(partition)
                kept = editions.other == edition and editions.stage is not Stage.DROPPING
                if editions.live != edition and not kept:
                    raise Unavailable(f"edition {edition} of partition {partition} was dropped meanwhile")
            return answer

    def _number(self, found: Partition) -> int:
        return found.editions.live if self._edition is None else self._edition

    def _merging(self, found: Partition) -> set[int]:
        """Where rows are merged: in the live edition and in the one that is being built."""
        if self._edition is not None:
            return {self._edition}
        return {found.editions.live, found.editions.building or found.editions.live}
