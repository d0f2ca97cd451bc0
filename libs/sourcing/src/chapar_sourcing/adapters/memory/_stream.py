"""Public streams in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from chapar_sourcing.adapters._bell import Bell
from chapar_sourcing.adapters._sizes import check_sizes
from chapar_sourcing.adapters.memory._faults import Fault, Faulty
from chapar_sourcing.ports import OffsetOutOfRange, StreamEntry, Unavailable


@dataclass(slots=True)
class _Log:
    entries: list[tuple[int, StreamEntry]] = field(default_factory=list)
    """(time in ms, entry)"""
    end: int = 0


@dataclass(slots=True)
class MemoryTopics:
    """All topics of an installation: hand the same one to publisher and readers."""

    partitions: dict[str, int] = field(default_factory=dict)
    logs: dict[tuple[str, int], _Log] = field(default_factory=dict)
    bell: Bell = field(default_factory=Bell)

    def log(self, topic: str, partition: int) -> _Log:
        """One partition of a topic."""
        count = self.partitions.get(topic)
        if count is None:
            raise Unavailable(f"there is no topic {topic} yet")
        if not 0 <= partition < count:
            raise ValueError(f"partition {partition} is outside 0..{count - 1}")
        return self.logs.setdefault((topic, partition), _Log())


class MemoryStream(Faulty):
    """The Stream port. `topics` are those published here: name -> retention in ms, None for ever."""

    def __init__(
        self, shared: MemoryTopics | None = None, *, topics: Mapping[str, int | None] | None = None,
        partitions: int = 16, now_ms: Callable[[], int] = lambda: 0, fault: Fault | None = None,
    ) -> None:  # fmt: skip
        super().__init__(fault)
        self.shared = shared if shared is not None else MemoryTopics()
        self._own = dict(topics or {})
        self._now_ms = now_ms
        for topic in self._own:
            self.shared.partitions.setdefault(topic, partitions)

    async def publish(self, topic: str, partition: int, records: Sequence[bytes]) -> None:
        """Appends records in order; a `fault` at "publish.done" loses the answer."""
        if topic not in self._own:
            raise ValueError(f"{topic} is not published here")
        check_sizes(records)
        await self._step("publish", partition)
        log = self.shared.log(topic, partition)
        now_ms = max(self._now_ms(), log.entries[-1][0] if log.entries else 0)
        for data in records:
            log.entries.append((now_ms, StreamEntry(log.end, data)))
            log.end += 1
        self._forget(log, now_ms, self._own[topic])
        self.shared.bell.ring()
        await self._step("publish.done", partition)

    async def read(
        self, topic: str, partition: int, from_offset: int, *, records_max: int = 500
    ) -> Sequence[StreamEntry]:
        """Records from an offset on."""
        await self._step("read", partition)
        log = self.shared.log(topic, partition)
        if from_offset > log.end:
            raise OffsetOutOfRange(f"{topic} partition {partition} ends before offset {from_offset}")
        return tuple(entry for _, entry in log.entries if entry.offset >= from_offset)[:records_max]

    async def start_offset(self, topic: str, partition: int) -> int:
        """Offset of the first record kept."""
        await self._step("start_offset", partition)
        log = self.shared.log(topic, partition)
        return log.entries[0][1].offset if log.entries else log.end

    async def end_offset(self, topic: str, partition: int) -> int:
        """The offset after the last record."""
        await self._step("end_offset", partition)
        return self.shared.log(topic, partition).end

    async def wait(self, topic: str, positions: dict[int, int], timeout_ms: int) -> bool:
        """Waits for a record of any of the partitions."""
        await self._step("wait")

        def has_any() -> bool:
            self._check_open()
            logs = self.shared.logs
            return any(log.end > offset for p, offset in positions.items() if (log := logs.get((topic, p))) is not None)

        return await self.shared.bell.wait_until(has_any, timeout_ms)

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        await self._step("partitions")
        self.shared.log(topic, 0)
        return self.shared.partitions[topic]

    async def close(self) -> None:
        """Ends; the topics stay."""
        self._closed = True
        self.shared.bell.ring()

    @staticmethod
    def _forget(log: _Log, now_ms: int, retention_ms: int | None) -> None:
        if retention_ms is not None:
            log.entries = [(time_ms, entry) for time_ms, entry in log.entries if time_ms >= now_ms - retention_ms]
