"""Reads of one partition: what the owner's memory holds, laid over what the store holds.

Memory is looked at after the store has answered, without waiting in between, and it knows every document that changed
since the checkpoint that the store is at least at: what memory knows wins, and what it does not know has not changed.
Reads are pinned meanwhile: what memory held when a read began stays until it ends, so that this is true although
documents leave memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from chapar_sourcing.clock import OwnerClock
from chapar_sourcing.domain import Document, Documents, Domain, Key, Stored, decode
from chapar_sourcing.owner import Owner
from chapar_sourcing.ports import Store, StoreBehind, Unavailable
from chapar_sourcing.pulse import Pulse
from chapar_sourcing.rows import Rows

T = TypeVar("T")

SCAN_MAX = 1_000
STORE_TRIES_MAX = 20
STORE_RETRY_SECONDS = 0.05


class PartitionView:
    """A `View`. One is made a read; `used` tells afterwards whether anything was looked at."""

    def __init__(
        self, *, partition: int, owner: Owner, store: Store, rows: Rows, domain: Domain[Any, Any], clock: OwnerClock,
        applied: Pulse,
    ) -> None:  # fmt: skip
        self._partition = partition
        self._owner = owner
        self._store = store
        self._rows = rows
        self._domain = domain
        self._clock = clock
        self._applied = applied
        self.used = False

    @property
    def partition(self) -> int:
        """Which partition this is."""
        return self._partition

    @property
    def now_ms(self) -> int:
        """The owner's clock."""
        return self._clock.now_ms()

    async def get(self, *keys: Key) -> Documents:
        """The documents there are among `keys`."""
        self.used = True
        with self._owner.pinned():
            stored: dict[Key, Stored | None] = {}
            # What memory knew may leave it while the rest is loaded: then the store has it, too.
            while unknown := [key for key in keys if key not in stored and not self._owner.peek(key)[0]]:
                loaded = await self._load(unknown)
                stored.update((key, loaded.get(key)) for key in unknown)
            found: dict[Key, Document] = {}
            for key in keys:
                known, document = self._owner.peek(key)
                if not known:
                    document = self._decoded(key, stored[key])
                if document is not None:
                    found[key] = document
            return found

    async def scan(
        self, kind: str, parent: str, *, after: str = "", before: str | None = None,
        descending: bool = False, limit: int = 100,
    ) -> Sequence[tuple[Key, Document]]:  # fmt: skip
        """Documents of one group with `after` < id < `before`, in order of ids, at most `limit` (1,000)."""
        self.used = True
        with self._owner.pinned():
            return await self._scan(kind, parent, after, before, descending, min(limit, SCAN_MAX))

    async def _scan(
        self, kind: str, parent: str, after: str, before: str | None, descending: bool, limit: int
    ) -> Sequence[tuple[Key, Document]]:
        held: dict[str, Stored] = {}
        low, high = after, before
        while limit > 0:
            page = await self._page(kind, parent, low, high, descending, limit)
            held.update((key.id, stored) for key, stored in page)
            complete = len(page) < limit
            if not complete and descending:
                high = page[-1][0].id
            elif not complete:
                low = page[-1][0].id
            first = high if descending and not complete else None
            last = low if not descending and not complete else None
            covered = _Range(after, before, first, last)
            merged = self._merged(kind, parent, held, covered)
            if complete or len(merged) >= limit:
                return merged[::-1][:limit] if descending else merged[:limit]
        return []

    async def rows(self, key: str) -> Mapping[str, Mapping[str, bytes]]:
        """The rows of a key: row name to its merged fields."""
        self.used = True
        return await self._rows.of(key)

    async def wait_until(
        self, key: Key, holds: Callable[[Document | None], bool], *, deadline_ms: int
    ) -> Document | None:
        """Waits until a document satisfies `holds` and returns it. Raises `TimeoutError` at the deadline."""
        seconds = max(0.0, (deadline_ms - self.now_ms) / 1000)
        async with asyncio.timeout(seconds):
            while True:
                changed = asyncio.ensure_future(self._applied.wait())
                try:
                    document = (await self.get(key)).get(key)
                    if holds(document):
                        return document
                    await changed
                finally:
                    changed.cancel()

    def _merged(
        self, kind: str, parent: str, held: Mapping[str, Stored], covered: _Range
    ) -> list[tuple[Key, Document]]:
        """Everything within the range, in ascending order: memory wins, and hides what it knows to be deleted."""
        found = {i: self._decoded(Key(kind, parent, i), stored) for i, stored in held.items()}
        found.update((i, document) for i, document in self._owner.group(kind, parent) if covered.holds(i))
        return [(Key(kind, parent, i), document) for i, document in sorted(found.items()) if document is not None]

    def _decoded(self, key: Key, stored: Stored | None) -> Document | None:
        if stored is None or stored.data is None:
            return None
        return decode(self._domain.documents, key, stored.data)

    async def _load(self, keys: Sequence[Key]) -> Mapping[Key, Stored]:
        return await patiently(
            lambda: self._store.load(self._partition, keys, at_least=self._owner.confirmed_checkpoint)
        )

    async def _page(
        self, kind: str, parent: str, after: str, before: str | None, descending: bool, limit: int
    ) -> Sequence[tuple[Key, Stored]]:
        return await patiently(
            lambda: self._store.scan(
                self._partition, kind, parent, at_least=self._owner.confirmed_checkpoint,
                after=after, before=before, descending=descending, limit=limit,
            )
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Range:
    """after < id < before, and first <= id <= last; None: no bound."""

    after: str
    before: str | None
    first: str | None
    last: str | None

    def holds(self, identity: str) -> bool:
        """Whether an id lies within."""
        return (
            identity > self.after
            and (self.before is None or identity < self.before)
            and (self.first is None or identity >= self.first)
            and (self.last is None or identity <= self.last)
        )


async def patiently(read: Callable[[], Awaitable[T]]) -> T:
    """Reads again while the server that answers is behind what it confirmed; then it counts as unavailable."""
    for _ in range(STORE_TRIES_MAX):
        with contextlib.suppress(StoreBehind):
            return await read()
        await asyncio.sleep(STORE_RETRY_SECONDS)
    raise Unavailable("the store stays behind its checkpoint")
