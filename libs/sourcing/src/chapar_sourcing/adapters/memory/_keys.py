"""Data keys in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from chapar_sourcing.adapters.memory._faults import Fault, Faulty
from chapar_sourcing.ports import KeyRow


@dataclass(slots=True)
class MemoryKeys:
    """What a memory key store keeps: survives its `close`."""

    rows: dict[tuple[str, int], KeyRow] = field(default_factory=dict)


class MemoryKeyStore(Faulty):
    """The KeyStore port."""

    def __init__(self, keys: MemoryKeys | None = None, *, fault: Fault | None = None) -> None:
        super().__init__(fault)
        self.keys = keys if keys is not None else MemoryKeys()

    async def insert(self, row: KeyRow) -> KeyRow:
        """Stores a key unless there is one as new."""
        await self._step("insert")
        stored = self._newest(row.subject, row.period)
        if stored is None:
            if any(other.key_id == row.key_id for other in self.keys.rows.values()):
                raise ValueError(f"key id {row.key_id} is taken")
            stored = self.keys.rows[row.subject, row.period] = row
        await self._step("insert.done")
        return stored

    async def current(self, subject: str, period: int) -> KeyRow | None:
        """The subject's newest key."""
        await self._step("current")
        return self._newest(subject, period)

    async def get(self, key_id: str) -> KeyRow | None:
        """A key by its id."""
        await self._step("get")
        return next((row for row in self.keys.rows.values() if row.key_id == key_id), None)

    async def destroy(self, subject: str, period_below: int) -> int:
        """Destroys the subject's keys of earlier periods."""
        await self._step("destroy")
        doomed = [(s, period) for s, period in self.keys.rows if s == subject and period < period_below]
        for place in doomed:
            del self.keys.rows[place]
        await self._step("destroy.done")
        return len(doomed)

    async def close(self) -> None:
        """Ends; the keys stay."""
        self._closed = True

    def _newest(self, subject: str, period: int) -> KeyRow | None:
        rows = [row for (s, p), row in self.keys.rows.items() if s == subject and p >= period]
        return max(rows, key=lambda row: row.period, default=None)
