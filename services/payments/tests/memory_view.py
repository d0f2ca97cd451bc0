"""A view of one partition over a dictionary: what reactions and queries read, without an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chapar_sourcing.domain import Document, Documents, Key


class MemoryView:
    """Implements `chapar_sourcing.view.View`."""

    def __init__(self, documents: Mapping[Key, Document], partition: int = 0, now_ms: int = 0) -> None:
        self._documents = documents
        self.partition = partition
        self.now_ms = now_ms

    async def get(self, *keys: Key) -> Documents:
        """The documents there are among `keys`."""
        return {key: self._documents[key] for key in keys if key in self._documents}

    async def scan(
        self, kind: str, parent: str, *, after: str = "", before: str | None = None,
        descending: bool = False, limit: int = 100,
    ) -> Sequence[tuple[Key, Document]]:  # fmt: skip
        """A group in order of ids."""
        keys = [k for k in self._documents if k.kind == kind and k.parent == parent]
        keys = [k for k in keys if k.id > after and (before is None or k.id < before)]
        keys.sort(key=lambda k: k.id, reverse=descending)
        return [(key, self._documents[key]) for key in keys[:limit]]

    async def rows(self, key: str) -> Mapping[str, Mapping[str, bytes]]:
        """Payments keeps no rows."""
        return {}

    async def wait_until(
        self, key: Key, holds: Callable[[Document | None], bool], *, deadline_ms: int
    ) -> Document | None:
        """Documents here do not change while one waits."""
        document = self._documents.get(key)
        if not holds(document):
            raise TimeoutError
        return document
