"""The store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chapar_sourcing.adapters.memory._faults import Fault, Faulty
from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.ports import Checkpoint, Cursor, DocumentWrite, Row, StoreBehind


@dataclass(slots=True)
class _Partition:
    checkpoint: Checkpoint | None = None
    documents: dict[Key, Stored] = field(default_factory=dict)
    rows: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    cursors: dict[str, Cursor] = field(default_factory=dict)


@dataclass(slots=True)
class MemoryTables:
    """What a memory store keeps: survives its `close`."""

    partitions: dict[int, _Partition] = field(default_factory=dict)

    def of(self, partition: int) -> _Partition:
        """One partition's tables."""
        return self.partitions.setdefault(partition, _Partition())


class MemoryStore(Faulty):
    """The Store port."""

    def __init__(self, tables: MemoryTables | None = None, *, fault: Fault | None = None) -> None:
        super().__init__(fault)
        self.tables = tables if tables is not None else MemoryTables()

    async def read_checkpoint(self, partition: int) -> Checkpoint | None:
        """The checkpoint of a partition."""
        await self._step("read_checkpoint", partition)
        return self.tables.of(partition).checkpoint

    async def write_documents(self, partition: int, documents: Sequence[DocumentWrite]) -> None:
        """Stores what is newer than what is there."""
        await self._step("write_documents", partition)
        held = self.tables.of(partition).documents
        for write in documents:
            stored = held.get(write.key)
            if stored is None or stored.position < write.position:
                held[write.key] = Stored(write.position, write.data)
        await self._step("write_documents.done", partition)

    async def write_checkpoint(self, partition: int, checkpoint: Checkpoint) -> None:
        """Moves the checkpoint forward."""
        await self._step("write_checkpoint", partition)
        held = self.tables.of(partition)
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

    async def parents(self, partition: int, kind: str, *, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Distinct parents of live documents."""
        await self._step("parents", partition)
        documents = self.tables.of(partition).documents
        live = {key.parent for key, stored in documents.items() if key.kind == kind and stored.data is not None}
        return sorted(parent for parent in live if parent > after)[:limit]

    async def documents(self, partition: int, *, after: Key | None, limit: int = 1000) -> Sequence[tuple[Key, Stored]]:
        """All documents in order."""
        await self._step("documents", partition)
        found = [(k, stored) for k, stored in self.tables.of(partition).documents.items() if after is None or k > after]
        return sorted(found, key=lambda pair: pair[0])[:limit]

    async def merge_rows(self, partition: int, rows: Sequence[Row]) -> None:
        """Merges field by field, by maximum."""
        await self._step("merge_rows", partition)
        held = self.tables.of(partition).rows
        for row in rows:
            if row.fields:
                fields = held.setdefault((row.key, row.row), {})
                fields.update({name: max(value, fields.get(name, b"")) for name, value in row.fields.items()})
        await self._step("merge_rows.done", partition)

    async def rows(self, partition: int, key: str) -> Sequence[Row]:
        """All rows of a key."""
        await self._step("rows", partition)
        held = self.tables.of(partition).rows
        return [Row(key, row, dict(held[key, row])) for row in sorted(row for k, row in held if k == key)]

    async def write_cursor(self, partition: int, name: str, cursor: Cursor) -> None:
        """Moves a cursor forward."""
        await self._step("write_cursor", partition)
        held = self.tables.of(partition).cursors
        stored = held.get(name)
        if stored is None or stored.position < cursor.position:
            held[name] = cursor
        await self._step("write_cursor.done", partition)

    async def read_cursors(self, partition: int) -> Mapping[str, Cursor]:
        """All cursors of a partition."""
        await self._step("read_cursors", partition)
        return dict(self.tables.of(partition).cursors)

    async def close(self) -> None:
        """Ends; the tables stay."""
        self._closed = True

    def _fresh(self, partition: int, at_least: int) -> _Partition:
        held = self.tables.of(partition)
        reached = held.checkpoint.fold.offset if held.checkpoint is not None else -1
        if reached < at_least:
            raise StoreBehind(f"partition {partition} has {reached}, not {at_least}")
        return held
