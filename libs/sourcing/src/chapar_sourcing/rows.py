"""Rows of live views at their target: merged durably, held in memory, read through it.

Flows in: advances of reactors. Rows are not journaled: they follow from the logs that the advances came from. Many
advances share a write of the store; who advanced is told after that write.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from chapar_sourcing.ports import Row, Store, Unavailable
from chapar_sourcing.recent import ROW_KEYS_MAX

WRITE_ROWS_MAX = 2_000
WAITING_ROWS_MAX = 20_000

_Write: TypeAlias = tuple[Sequence[Row], asyncio.Future[None]]
"""Rows, and who waits for them to be durable."""


class Rows:
    """The rows of one partition."""

    def __init__(self, partition: int, store: Store, *, keys_max: int = ROW_KEYS_MAX) -> None:
        self._partition = partition
        self._store = store
        self._keys_max = keys_max
        self._held: OrderedDict[str, dict[str, dict[str, bytes]]] = OrderedDict()
        self._loading: dict[str, list[list[Row]]] = {}
        """Rows merged while a key is being loaded, a list for each load under way."""
        self._waiting: list[_Write] = []
        self._waiting_rows = 0
        self._wake = asyncio.Event()
        self._ended = False
        self._writing = asyncio.Lock()
        self._forgotten = 0
        """How often memory was emptied: what was read before that is not remembered."""

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Nothing is merged meanwhile, and what memory holds is read anew afterwards."""
        async with self._writing:
            try:
                yield
            finally:
                self._held.clear()
                self._forgotten += 1

    async def of(self, key: str) -> Mapping[str, Mapping[str, bytes]]:
        """The rows of a key."""
        held = self._held.get(key)
        if held is not None:
            self._held.move_to_end(key)
            return {row: dict(fields) for row, fields in held.items()}
        merged_meanwhile: list[Row] = []
        forgotten = self._forgotten
        self._loading.setdefault(key, []).append(merged_meanwhile)
        try:
            stored = await self._store.rows(self._partition, key)
        finally:
            self._stop_loading(key, merged_meanwhile)
        found: dict[str, dict[str, bytes]] = {}
        for row in [*stored, *merged_meanwhile]:
            merge(found, row)
        if forgotten == self._forgotten:
            self._held[key] = found
            if len(self._held) > self._keys_max:
                self._held.popitem(last=False)
        return {row: dict(fields) for row, fields in found.items()}

    async def advance(self, rows: Sequence[Row]) -> None:
        """Merges rows and returns when they are durable. Raises `Unavailable`, also when too many wait."""
        if not rows:
            return
        if self._ended or self._waiting_rows + len(rows) > WAITING_ROWS_MAX:
            raise Unavailable("too many rows wait to be written, or none are any more")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, done))
        self._waiting_rows += len(rows)
        self._wake.set()
        await done

    async def run(self) -> None:
        """Writes what waits, together, until cancelled; nothing is taken any more then."""
        try:
            await self._write_what_waits()
        finally:
            self._ended = True
            _tell(self._waiting, Unavailable("ended"))

    async def _write_what_waits(self) -> None:
        while True:
            await self._wake.wait()
            taken = self._take()
            rows = [row for batch, _ in taken for row in batch]
            # Whoever waits is told, also where the end comes in the middle of the write.
            error: Unavailable | None = Unavailable("ended")
            try:
                async with self._writing:
                    await self._store.merge_rows(self._partition, rows)
                    self._merged(rows)
                error = None
            except Unavailable as unavailable:
                error = unavailable
            finally:
                _tell(taken, error)

    def _take(self) -> list[_Write]:
        taken: list[_Write] = []
        size = 0
        while self._waiting and size < WRITE_ROWS_MAX:
            taken.append(self._waiting.pop(0))
            size += len(taken[-1][0])
        self._waiting_rows -= size
        if not self._waiting:
            self._wake.clear()
        return taken

    def _merged(self, rows: Sequence[Row]) -> None:
        for row in rows:
            held = self._held.get(row.key)
            if held is not None:
                merge(held, row)
            for meanwhile in self._loading.get(row.key, ()):
                meanwhile.append(row)

    def _stop_loading(self, key: str, merged_meanwhile: list[Row]) -> None:
        left = [one for one in self._loading[key] if one is not merged_meanwhile]
        if left:
            self._loading[key] = left
        else:
            del self._loading[key]


def _tell(writes: Sequence[_Write], error: Unavailable | None) -> None:
    """Tells everybody who still waits that it is done, or why not."""
    for _, done in writes:
        if not done.done():
            done.set_exception(error) if error is not None else done.set_result(None)


def merge(rows: dict[str, dict[str, bytes]], row: Row) -> None:
    """Merges one row: each field by the maximum of its bytes."""
    fields = rows.setdefault(row.row, {})
    for name, value in row.fields.items():
        fields[name] = max(fields.get(name, b""), value)
