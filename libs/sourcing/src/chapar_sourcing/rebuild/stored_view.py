"""A view of a partition by its store alone, for whoever asks about a log that another process may own.

What the store holds is durable, and complete up to its checkpoint; some of it may be newer. So whoever asks about a
block sees at least what that block left behind, once the checkpoint has reached it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chapar_sourcing.clock import Clock
from chapar_sourcing.domain import Document, Documents, Domain, Key, Stored, decode
from chapar_sourcing.ports import Store

WAIT_SECONDS = 0.05


class StoredView:
    """A `View` as of some offset, or later. All reads raise `StoreBehind` until the checkpoint has reached it."""

    def __init__(
        self, *, partition: int, at_least: int, store: Store, domain: Domain[Any, Any], clock: Clock
    ) -> None:  # fmt: skip
        self._partition = partition
        self._at_least = at_least
        self._store = store
        self._domain = domain
        self._clock = clock

    @property
    def partition(self) -> int:
        """Which partition this is."""
        return self._partition

    @property
    def now_ms(self) -> int:
        """The process's clock."""
        return self._clock.now_ms()

    async def get(self, *keys: Key) -> Documents:
        """The documents there are among `keys`."""
        stored = await self._store.load(self._partition, keys, at_least=self._at_least)
        return {key: document for key, one in stored.items() if (document := self._decoded(key, one)) is not None}

    async def scan(
        self, kind: str, parent: str, *, after: str = "", before: str | None = None,
        descending: bool = False, limit: int = 100,
    ) -> Sequence[tuple[Key, Document]]:  # fmt: skip
        """Documents of one group with `after` < id < `before`, in order of ids, at most `limit`."""
        page = await self._store.scan(
            self._partition, kind, parent, at_least=self._at_least, after=after, before=before,
            descending=descending, limit=limit,
        )  # fmt: skip
        return [(key, document) for key, one in page if (document := self._decoded(key, one)) is not None]

    async def rows(self, key: str) -> Mapping[str, Mapping[str, bytes]]:
        """The rows of a key: row name to its merged fields."""
        return {row.row: row.fields for row in await self._store.rows(self._partition, key)}

    async def wait_until(
        self, key: Key, holds: Callable[[Document | None], bool], *, deadline_ms: int
    ) -> Document | None:
        """Waits until a document satisfies `holds` and returns it. Raises `TimeoutError` at the deadline."""
        async with asyncio.timeout(max(0.0, (deadline_ms - self.now_ms) / 1000)):
            while not holds(document := (await self.get(key)).get(key)):
                await self._clock.sleep(WAIT_SECONDS)
            return document

    def _decoded(self, key: Key, stored: Stored) -> Document | None:
        return None if stored.data is None else decode(self._domain.documents, key, stored.data)
