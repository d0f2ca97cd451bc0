"""A journal in memory."""

from __future__ import annotations

import secrets
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chapar_sourcing.adapters._bell import Bell
from chapar_sourcing.adapters.memory._faults import Fault, Faulty
from chapar_sourcing.ports import Appended, AppendRejected, AppendUnknown, JournalRecord, OffsetOutOfRange, Unavailable
from chapar_sourcing.ports.journal import RECORD_BYTES_MAX


@dataclass(slots=True)
class MemoryLog:
    """What a memory journal keeps: survives its `close`, and may be open several times."""

    partitions: int = 16
    journal_id: str = field(default_factory=lambda: secrets.token_hex(16))
    generation: int = 1
    records: dict[int, list[JournalRecord]] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    bells: dict[int, Bell] = field(default_factory=dict)

    def append(self, partition: int, data: bytes) -> int:
        """Appends at once, past all faults; returns the offset."""
        offset = self.ends.get(partition, 0)
        self.records.setdefault(partition, []).append(JournalRecord(offset, data))
        self.ends[partition] = offset + 1
        self.bell(partition).ring()
        return offset

    def skip(self, partition: int, offsets: int) -> None:
        """Leaves a gap before the next record, as other journals may."""
        self.ends[partition] = self.ends.get(partition, 0) + offsets

    def bell(self, partition: int) -> Bell:
        """Rings when the partition grows."""
        return self.bells.setdefault(partition, Bell())


class MemoryJournal(Faulty):
    """The Journal port. A `fault` at "append.done" loses the answer of a record that is in the log."""

    def __init__(
        self, log: MemoryLog | None = None, *, partitions: int | None = None, fault: Fault | None = None,
        now_ms: Callable[[], int] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(fault)
        self.log = log if log is not None else MemoryLog(partitions=partitions or 16)
        if partitions not in (None, self.log.partitions):
            raise RuntimeError(f"the log has {self.log.partitions} partitions; {partitions} were asked for")
        self._now_ms = now_ms

    @property
    def journal_id(self) -> str:
        """Random id of the log."""
        return self.log.journal_id

    @property
    def generation(self) -> int:
        """The log's generation."""
        return self.log.generation

    @property
    def partitions(self) -> int:
        """How many partitions the log has."""
        return self.log.partitions

    async def append(self, partition: int, data: bytes, *, fresh_producer: bool = False) -> Appended:
        """Appends one record."""
        self._check_partition(partition)
        if len(data) > RECORD_BYTES_MAX:
            raise AppendRejected(f"{len(data)} bytes are more than {RECORD_BYTES_MAX}")
        try:
            await self._step("append.fresh" if fresh_producer else "append", partition)
        except Unavailable as error:
            raise AppendRejected(str(error)) from error
        offset = self.log.append(partition, data)
        try:
            await self._step("append.done", partition)
        except Unavailable as error:
            raise AppendUnknown(str(error)) from error
        return Appended(offset, self._now_ms() if self._now_ms else None)

    async def read(self, partition: int, from_offset: int, *, records_max: int = 500) -> Sequence[JournalRecord]:
        """Records from an offset on."""
        self._check_partition(partition)
        await self._step("read", partition)
        records = self.log.records.get(partition, [])
        if from_offset > self.log.ends.get(partition, 0):
            raise OffsetOutOfRange(f"partition {partition} ends before offset {from_offset}")
        start = bisect_left(records, from_offset, key=lambda record: record.offset)
        return tuple(records[start : start + records_max])

    async def end_offset(self, partition: int) -> int:
        """The offset after the last record."""
        self._check_partition(partition)
        await self._step("end_offset", partition)
        return self.log.ends.get(partition, 0)

    async def wait(self, partition: int, from_offset: int, timeout_ms: int) -> bool:
        """Waits for a record at or after an offset."""
        self._check_partition(partition)
        await self._step("wait", partition)
        return await self.log.bell(partition).wait_until(lambda: self._has(partition, from_offset), timeout_ms)

    async def close(self) -> None:
        """Ends; the log stays."""
        self._closed = True
        for bell in self.log.bells.values():
            bell.ring()

    def _has(self, partition: int, from_offset: int) -> bool:
        self._check_open()
        records = self.log.records.get(partition, [])
        return bool(records) and records[-1].offset >= from_offset

    def _check_partition(self, partition: int) -> None:
        if not 0 <= partition < self.log.partitions:
            raise ValueError(f"partition {partition} is outside 0..{self.log.partitions - 1}")
