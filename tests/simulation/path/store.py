"""The simulated store of a service: a primary whose unconfirmed writes vanish when another server takes over.

Every value has its versions, numbered by write. What a majority has is `confirmed`; reads see that, or, from a server
that is behind, less. A call that returns has had all it saw confirmed; one that fails may have happened wholly, in
part, or on the old primary alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.editions import Editions
from chapar_sourcing.ports import (
    Checkpoint,
    Cursor,
    DocumentWrite,
    Expiry,
    Purged,
    Row,
    StoreBehind,
    Unavailable,
)
from tests.simulation.path.line import Line
from tests.simulation.path.world import BEGIN_MS, World
from tests.simulation.playing import Violation

T = TypeVar("T")

Versions = list[tuple[int, T]]
"""(number of the write, value), oldest first."""

BEHIND_WRITES_MAX = 40
SLOW_SECONDS = (0.02, 0.8)
STALL_SECONDS = (2.0, 4.0)
"""How long a merge of rows may take: time enough for somebody to succeed its owner and to be asked what it holds."""
LOST_SECONDS = (0.02, 0.3)
USUAL_SECONDS = (0.000_2, 0.004)


@dataclass(slots=True)
class Table:
    """One edition of a partition."""

    checkpoint: Versions[Checkpoint] = field(default_factory=list)
    documents: dict[Key, Versions[Stored]] = field(default_factory=dict)
    rows: dict[tuple[str, str], Versions[dict[str, bytes]]] = field(default_factory=dict)


class Servers:
    """What all processes of a service share."""

    def __init__(self, world: World, partitions: int) -> None:
        self.world = world
        self.editions: list[Versions[Editions]] = [[] for _ in range(partitions)]
        self.cursors: list[dict[str, Versions[Cursor]]] = [{} for _ in range(partitions)]
        self._tables: dict[tuple[int, int], Table] = {}
        self.confirmed = 0
        self.term = 0
        """Counts the fail-overs."""
        self.on_cursor: Callable[[int, str, Cursor], None] = lambda partition, name, cursor: None
        self.on_row: Callable[[int, Row, str], None] = lambda partition, row, by: None
        """Given what is merged where, and by which process."""
        self._written = 0
        self._unconfirmed: list[Versions[Any]] = []

    def editions_of(self, partition: int) -> Editions:
        """Which editions the primary has of a partition."""
        return newest(self.editions[partition]) or Editions()

    def table(self, partition: int, edition: int | None = None) -> Table:
        """One edition of a partition; None: the live one."""
        number = self.editions_of(partition).live if edition is None else edition
        return self._tables.setdefault((partition, number), Table())

    def checkpoint(self, partition: int) -> Checkpoint | None:
        """The checkpoint as a majority has it."""
        return at(self.table(partition).checkpoint, self.confirmed)

    def push(self, versions: Versions[T], value: T) -> None:
        """Writes on the primary."""
        self._written += 1
        versions.append((self._written, value))
        self._unconfirmed.append(versions)

    def confirm(self) -> None:
        """A majority has everything that the primary has."""
        self.confirmed = self._written
        self._unconfirmed.clear()

    def fail_over(self) -> int:
        """Another server becomes primary, without what was not confirmed; says how many writes are gone."""
        lost = len(self._unconfirmed)
        for versions in reversed(self._unconfirmed):
            versions.pop()
        self._unconfirmed.clear()
        self.confirmed = self._written
        self.term += 1
        return lost

    def confirmed_rows(self, partition: int, key: str, edition: int | None = None) -> dict[str, dict[str, bytes]]:
        """The rows of a key as a majority has them."""
        held = self.table(partition, edition).rows
        found = {row: at(versions, self.confirmed) for (k, row), versions in held.items() if k == key}
        return {row: fields for row, fields in found.items() if fields is not None}


def newest(versions: Versions[T]) -> T | None:
    """The primary's value."""
    return versions[-1][1] if versions else None


def at(versions: Versions[T], number: int) -> T | None:
    """The value after the write of this number."""
    return next((value for write, value in reversed(versions) if write <= number), None)


class PathStore:
    """The Store port of one process."""

    def __init__(self, servers: Servers, line: Line) -> None:
        self._servers = servers
        self._line = line
        self._world = servers.world
        self._edition: int | None = None

    # ---- writes

    async def write_documents(self, partition: int, documents: Sequence[DocumentWrite]) -> None:
        """Each document whose stored position is lower."""
        held = self._table(partition).documents

        def write(one: DocumentWrite) -> None:
            versions = held.setdefault(one.key, [])
            stored = newest(versions)
            if stored is None or stored.position < one.position:
                self._servers.push(versions, Stored(one.position, one.data))

        await self._write([lambda one=one: write(one) for one in documents])  # type: ignore[misc]

    async def write_checkpoint(self, partition: int, checkpoint: Checkpoint) -> None:
        """Forward only."""
        versions = self._table(partition).checkpoint

        def write() -> None:
            stored = newest(versions)
            if stored is not None and (stored.journal_id, stored.generation) != (
                checkpoint.journal_id,
                checkpoint.generation,
            ):
                raise ValueError("the store belongs to another journal")
            if stored is None or stored.fold.offset < checkpoint.fold.offset:
                self._servers.push(versions, checkpoint)

        await self._write([write])

    async def purge(self, partition: int, expiry: Expiry, *, after: Key | None, limit: int = 1000) -> Purged:
        """Finds nothing: no run is as long as the shortest age of what may go."""
        if expiry.tombstones_before_ms >= BEGIN_MS:
            raise Violation(f"tombstones before {expiry.tombstones_before_ms} are purged within minutes")
        await self._write([])
        return Purged(0, None)

    async def merge_rows(self, partition: int, rows: Sequence[Row]) -> None:
        """Field by field, by maximum."""
        servers = self._servers

        def write(row: Row) -> None:
            servers.on_row(partition, row, self._line.name)
            editions = servers.editions_of(partition)
            written = {editions.live, editions.building} if self._edition is None else {self._edition}
            for edition in written - {None}:
                merge(servers.table(partition, edition).rows, row)

        def merge(held: dict[tuple[str, str], Versions[dict[str, bytes]]], row: Row) -> None:
            versions = held.setdefault((row.key, row.row), [])
            held_now = newest(versions)
            fields = dict(held_now) if held_now is not None else {}
            fields.update({name: max(value, fields.get(name, b"")) for name, value in row.fields.items()})
            if row.fields and fields != held_now:
                self._servers.push(versions, fields)

        happens = self._world.faults.happens
        stalls = STALL_SECONDS if happens("rows_stall") else None
        if stalls and happens("cut_off_at_stall"):
            self._line.breaks()
        await self._write([lambda row=row: write(row) for row in rows], stalls)  # type: ignore[misc]

    async def write_cursor(self, partition: int, name: str, cursor: Cursor) -> None:
        """Forward only."""
        versions = self._servers.cursors[partition].setdefault(name, [])

        def write() -> None:
            stored = newest(versions)
            if stored is None or stored.position < cursor.position:
                self._servers.on_cursor(partition, name, cursor)
                self._servers.push(versions, cursor)

        await self._write([write])

    async def _write(self, writes: Sequence[Callable[[], None]], stalls: tuple[float, float] | None = None) -> None:
        happens, servers = self._world.faults.happens, self._servers
        if happens("store_unavailable"):
            return await self._fail()
        term = servers.term

        def arrive() -> None:
            if servers.term != term:
                raise Unavailable("another server took over")
            if happens("store_write_halves"):
                for write in writes[: self._line.random.randint(0, len(writes))]:
                    write()
                raise Unavailable("no answer")
            for write in writes:
                write()
            if happens("store_write_unconfirmed"):
                raise Unavailable("not confirmed")
            servers.confirm()
            if happens("store_ack_lost"):
                raise Unavailable("no answer")

        least, most = stalls or (SLOW_SECONDS if happens("store_slow") else USUAL_SECONDS)
        return await self._line.ask(arrive, least=least, most=most)

    # ---- reads

    async def read_checkpoint(self, partition: int) -> Checkpoint | None:
        """The checkpoint, from any server."""
        table = self._table(partition)
        return await self._read(lambda number: at(table.checkpoint, number))

    async def read_cursors(self, partition: int) -> Mapping[str, Cursor]:
        """All cursors, from any server, as they were together."""

        def found(number: int) -> Mapping[str, Cursor]:
            held = self._servers.cursors[partition]
            read = {name: at(versions, number) for name, versions in held.items()}
            return {name: cursor for name, cursor in read.items() if cursor is not None}

        return await self._read(found)

    async def load(self, partition: int, keys: Sequence[Key], *, at_least: int) -> Mapping[Key, Stored]:
        """The stored ones among `keys`."""
        table = self._table(partition)

        def found(number: int) -> Mapping[Key, Stored]:
            self._check_fresh(table, number, at_least)
            read = {key: at(table.documents[key], number) for key in keys if key in table.documents}
            return {key: stored for key, stored in read.items() if stored is not None}

        return await self._read(found)

    async def scan(
        self, partition: int, kind: str, parent: str, *, at_least: int,
        after: str = "", before: str | None = None, descending: bool = False, limit: int = 100,
    ) -> Sequence[tuple[Key, Stored]]:  # fmt: skip
        """Live documents of one group."""
        table = self._table(partition)

        def found(number: int) -> Sequence[tuple[Key, Stored]]:
            self._check_fresh(table, number, at_least)
            live = [
                (key, stored)
                for key, versions in table.documents.items()
                if (key.kind, key.parent) == (kind, parent)
                and key.id > after
                and (before is None or key.id < before)
                and (stored := at(versions, number)) is not None
                and stored.data is not None
            ]
            return sorted(live, key=lambda pair: pair[0].id, reverse=descending)[:limit]

        return await self._read(found)

    async def documents(
        self, partition: int, *, at_least: int, after: Key | None, limit: int = 1000
    ) -> Sequence[tuple[Key, Stored]]:
        """All documents that a majority has, in order."""
        table = self._table(partition)

        def found() -> Sequence[tuple[Key, Stored]]:
            self._check_fresh(table, self._servers.confirmed, at_least)
            held = table.documents
            read = [(key, at(versions, self._servers.confirmed)) for key, versions in held.items()]
            live = [(key, stored) for key, stored in read if stored is not None and (after is None or key > after)]
            return sorted(live, key=lambda pair: pair[0])[:limit]

        return await self._line.ask(found)

    async def rows(self, partition: int, key: str) -> Sequence[Row]:
        """All rows of a key that a majority has: nothing tells which server is behind, so the primary answers."""

        def found() -> Sequence[Row]:
            if self._world.faults.happens("store_unavailable"):
                raise Unavailable("no answer")
            held = self._servers.confirmed_rows(partition, key, self._edition)
            return [Row(key, row, dict(held[row])) for row in sorted(held)]

        least, most = SLOW_SECONDS if self._world.faults.happens("store_slow") else USUAL_SECONDS
        return await self._line.ask(found, least=least, most=most)

    async def row_keys(self, partition: int, *, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Distinct keys that have rows."""
        table = self._table(partition)
        return await self._line.ask(lambda: sorted({key for key, _ in table.rows if key > after})[:limit])

    # ---- editions

    def at(self, edition: int) -> Self:
        """The same store, of one edition."""
        store = copy(self)
        store._edition = edition
        return store

    async def editions(self, partition: int) -> Editions:
        """Which edition is live, and what stands beside it."""
        return await self._line.ask(
            lambda: at(self._servers.editions[partition], self._servers.confirmed) or Editions()
        )

    async def build_edition(self, partition: int, edition: int) -> None:
        """Begins to build an edition."""
        await self._move(partition, lambda held: held.build(edition))

    async def switch_edition(self, partition: int, edition: int) -> None:
        """Makes the edition that is being built the live one."""
        await self._move(partition, lambda held: held.switch(edition))

    async def drop_edition(self, partition: int, *, limit: int = 1000) -> bool:
        """Deletes the edition beside the live one, all at once."""
        await self._move(partition, lambda held: held.drop())
        await self._move(partition, lambda held: held.dropped())
        return True

    async def _move(self, partition: int, moved: Callable[[Editions], Editions]) -> None:
        held = self._servers.editions[partition]
        await self._write([lambda: self._servers.push(held, moved(newest(held) or Editions()))])

    async def close(self) -> None:
        """Nothing is held."""

    def _table(self, partition: int) -> Table:
        return self._servers.table(partition, self._edition)

    async def _read(self, found: Callable[[int], T]) -> T:
        happens, servers = self._world.faults.happens, self._servers
        if happens("store_unavailable"):
            await self._fail()
        behind = self._line.random.randint(1, BEHIND_WRITES_MAX) if happens("store_behind") else 0
        least, most = SLOW_SECONDS if happens("store_slow") else USUAL_SECONDS
        first = self._line.random.random() < 0.5

        if first:  # read at once, and answered late
            try:
                result = found(servers.confirmed - behind)
            except StoreBehind as error:
                refused = error
                return await self._line.ask(lambda: _raise(refused), least=least, most=most)
            return await self._line.ask(lambda: result, least=least, most=most)
        return await self._line.ask(lambda: found(servers.confirmed - behind), least=least, most=most)

    async def _fail(self) -> None:
        await self._line.ask(lambda: _raise(Unavailable("no answer")), least=LOST_SECONDS[0], most=LOST_SECONDS[1])

    def _check_fresh(self, table: Table, number: int, at_least: int) -> None:
        checkpoint = at(table.checkpoint, number)
        if (checkpoint.fold.offset if checkpoint is not None else -1) < at_least:
            raise StoreBehind("this server is behind")


def _raise(error: Exception) -> Any:
    raise error
