"""How queries and reactions read one partition: what is in memory laid over what is in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from chapar_sourcing.domain import Document, Documents, Key


class View(Protocol):
    """Reads of one partition. What was read leaves the process only after it is known to be durable and owned."""

    @property
    def partition(self) -> int:
        """Which partition this is."""

    @property
    def now_ms(self) -> int:
        """The owner's clock."""

    async def get(self, *keys: Key) -> Documents:
        """The documents there are among `keys`."""

    async def scan(
        self, kind: str, parent: str, *, after: str = "", before: str | None = None,
        descending: bool = False, limit: int = 100,
    ) -> Sequence[tuple[Key, Document]]:  # fmt: skip
        """Documents of one group with `after` < id < `before`, in order of ids, at most `limit`."""

    async def rows(self, key: str) -> Mapping[str, Mapping[str, bytes]]:
        """The rows of a key: row name to its merged fields."""

    async def wait_until(
        self, key: Key, holds: Callable[[Document | None], bool], *, deadline_ms: int
    ) -> Document | None:
        """Waits until a document satisfies `holds` and returns it. Raises `TimeoutError` at the deadline."""
