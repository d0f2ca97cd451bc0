"""The store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Self

from chapar_sourcing.adapters.memory._faults import Fault, Faulty
from chapar_sourcing.domain import ANSWER_KIND, Key, Stored
from chapar_sourcing.editions import Editions, edition_cursors
from chapar_sourcing.ports import Checkpoint, Cursor, DocumentWrite, Expiry, Purged, Row, StoreBehind


@dataclass(slots=True)
class _Edition:
    checkpoint: Checkpoint | None = None
    documents: dict[Key, Stored] = field(default_factory=dict)
    times_ms: dict[Key, int] = field(default_factory=dict)
    """Of the documents."""
    rows: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class MemoryTables:
    """What a memory store keeps: survives its `close`."""

    editions: dict[int, Editions] = field(default_factory=dict)
    """By partition."""
    contents: dict[tuple[int, int], _Edition] = field(default_factory=dict)
    """By partition and edition."""
    cursors: dict[int, dict[str, Cursor]] = field(default_factory=dict)

    def editions_of(self, partition: int) -> Editions:
        """Which editions of a partition there are."""
        return self.editions.get(partition, Editions())

    def of(self, partition: int, edition: int | None) -> _Edition:
        """One edition of a partition; None: the live one."""
        number = self.editions_of(partition).live if edition is None else edition
        return self.contents.setdefault((partition, number), _Edition())


class MemoryStore(Faulty):
    """The Store port."""

    def __init__(self, tables: MemoryTables | None = None, *, fault: Fault | None = None) -> None:
        super().__init__(fault)
        self.tables = tables if tables is not None else MemoryTables()
        self._edition: int | None = None
        self._whole = self
        """The store that this one was made of by `at`: closing that one closes all."""

    async def read_checkpoint(self, partition: int) -> Checkpoint | None:
        """The checkpoint of a partition."""
        await self._step("read_checkpoint", partition)
        return self.tables.of(partition, self._edition).checkpoint

    async def write_documents(self, partition: int, documents: Sequence[DocumentWrite]) -> None:
        """Stores what is newer than what is there."""
        await self._step("write_documents", partition)
        held = self.tables.of(partition, self._edition)
        for write in documents:
            stored = held.documents.get(write.key)
            if stored is None or stored.position < write.position:
                held.documents[write.key] = Stored(write.position, write.data)
                held.times_ms[write.key] = write.time_ms
        await self._step("write_documents.done", partition)

    async def write_checkpoint(self, partition: int, checkpoint: Checkpoint) -> None:
        """Moves the checkpoint forward."""
        await self._step("write_checkpoint", partition)
        held = self.tables.of(partition, self._edition)
        stored = held.checkpoint
        if stored is not None:
            if (stored.journal_id, stored.generation) != (checkpoint.journal_id, checkpoint.generation):
                raise ValueError(f"the store belongs to journal {stored.journal_id}, not {checkpoint.journal_id}")
            if stored.fold.offset >= checkpoint.fold.offset:
                return
        held.checkpoint = checkpoint
        await self._step("write_checkpoint.done", partition)

    async def load(self, partition: int, keys: Sequence[Key], *, at_least: int) -> Mapping[Key, Stored]:
        """The stored ones among `keys`."""
        await self._step("load", partition)
        held = self._fresh(partition, at_least)
        return {key: held.documents[key] for key in keys if key in held.documents}

    async def scan(
        self, partition: int, kind: str, parent: str, *, at_least: int,
        after: str = "", before: str | None = None, descending: bool = False, limit: int = 100,
    ) -> Sequence[tuple[Key, Stored]]:  # fmt: skip
        """Live documents of one group."""
        await self._step("scan", partition)
        held = self._fresh(partition, at_least)
        found = [
            (key, stored)
            for key, stored in held.documents.items()
            if (key.kind, key.parent) == (kind, parent)
            and key.id > after
            and (before is None or key.id < before)
            and stored.data is not None
        ]
        return sorted(found, key=lambda pair: pair[0].id, reverse=descending)[:limit]

    async def documents(
        self, partition: int, *, at_least: int, after: Key | None, limit: int = 1000
    ) -> Sequence[tuple[Key, Stored]]:
        """All documents in order."""
        await self._step("documents", partition)
        held = self._fresh(partition, at_least).documents
        found = [(key, stored) for key, stored in held.items() if after is None or key > after]
        return sorted(found, key=lambda pair: pair[0])[:limit]

    async def purge(self, partition: int, expiry: Expiry, *, after: Key | None, limit: int = 1000) -> Purged:
        """Deletes what is too old among the next ones."""
        await self._step("purge", partition)
        held = self.tables.of(partition, self._edition)
        page = sorted(key for key in held.documents if after is None or key > after)[:limit]
        gone = [key for key in page if _expired(key, held.documents[key], held.times_ms[key], expiry)]
        for key in gone:
            del held.documents[key], held.times_ms[key]
        return Purged(len(gone), page[-1] if len(page) == limit else None)

    async def merge_rows(self, partition: int, rows: Sequence[Row]) -> None:
        """Merges field by field, by maximum."""
        await self._step("merge_rows", partition)
        editions = self.tables.editions_of(partition)
        written = {editions.live, editions.building or editions.live} if self._edition is None else {self._edition}
        for edition in written:
            held = self.tables.of(partition, edition).rows
            for row in rows:
                if row.fields:
                    fields = held.setdefault((row.key, row.row), {})
                    fields.update({name: max(value, fields.get(name, b"")) for name, value in row.fields.items()})
        await self._step("merge_rows.done", partition)

    async def rows(self, partition: int, key: str) -> Sequence[Row]:
        """All rows of a key."""
        await self._step("rows", partition)
        held = self.tables.of(partition, self._edition).rows
        return [Row(key, row, dict(held[key, row])) for row in sorted(row for k, row in held if k == key)]

    async def row_keys(self, partition: int, *, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Distinct keys that have rows."""
        await self._step("row_keys", partition)
        keys = {key for key, _ in self.tables.of(partition, self._edition).rows if key > after}
        return sorted(keys)[:limit]

    async def write_cursor(self, partition: int, name: str, cursor: Cursor) -> None:
        """Moves a cursor forward."""
        await self._step("write_cursor", partition)
        held = self.tables.cursors.setdefault(partition, {})
        stored = held.get(name)
        if stored is None or stored.position < cursor.position:
            held[name] = cursor
        await self._step("write_cursor.done", partition)

    async def read_cursors(self, partition: int) -> Mapping[str, Cursor]:
        """All cursors of a partition."""
        await self._step("read_cursors", partition)
        return dict(self.tables.cursors.get(partition, {}))

    async def editions(self, partition: int) -> Editions:
        """Which edition is live, and what stands beside it."""
        await self._step("editions", partition)
        return self.tables.editions_of(partition)

    def at(self, edition: int) -> Self:
        """The same store, of one edition."""
        store = copy(self)
        store._edition = edition
        return store

    async def build_edition(self, partition: int, edition: int) -> None:
        """Begins to build an edition."""
        await self._step("build_edition", partition)
        self.tables.editions[partition] = self.tables.editions_of(partition).build(edition)
        await self._step("build_edition.done", partition)

    async def switch_edition(self, partition: int, edition: int) -> None:
        """Makes the edition that is being built the live one."""
        await self._step("switch_edition", partition)
        self.tables.editions[partition] = self.tables.editions_of(partition).switch(edition)
        await self._step("switch_edition.done", partition)

    async def drop_edition(self, partition: int, *, limit: int = 1000) -> bool:
        """Deletes a part of the edition beside the live one."""
        await self._step("drop_edition", partition)
        editions = self.tables.editions[partition] = self.tables.editions_of(partition).drop()
        if editions.other is None:
            return True
        held = self.tables.of(partition, editions.other)
        for key in [*held.documents][:limit]:
            del held.documents[key]
        for row in [*held.rows][:limit]:
            del held.rows[row]
        if held.documents or held.rows:
            return False
        del self.tables.contents[partition, editions.other]
        cursors = self.tables.cursors.get(partition, {})
        for name in [name for name in cursors if name.startswith(edition_cursors(editions.other))]:
            del cursors[name]
        self.tables.editions[partition] = editions.dropped()
        return True

    async def close(self) -> None:
        """Ends; the tables stay."""
        self._whole._closed = True

    def _check_open(self) -> None:
        super(MemoryStore, self._whole)._check_open()

    def _fresh(self, partition: int, at_least: int) -> _Edition:
        held = self.tables.of(partition, self._edition)
        reached = held.checkpoint.fold.offset if held.checkpoint is not None else -1
        if reached < at_least:
            raise StoreBehind(f"partition {partition} has {reached}, not {at_least}")
        return held


def _expired(key: Key, stored: Stored, time_ms: int, expiry: Expiry) -> bool:
    if stored.data is None:
        return time_ms < expiry.tombstones_before_ms
    return key.kind == ANSWER_KIND and expiry.answers_before_ms is not None and time_ms < expiry.answers_before_ms
