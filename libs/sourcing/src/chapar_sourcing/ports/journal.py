"""The journal of one service: partitions of records, appended and read, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

RECORD_BYTES_MAX = 900 * 1024
"""Larger records are refused before they are sent."""


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One record as stored."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Appended:
    """An acknowledged append: durable.

    `offset` is None when the journal could not say where (it is in the log all the same, once). `time_ms` is the
    journal's own clock at the append, None when not known.
    """

    offset: int | None
    time_ms: int | None = None


class AppendRejected(Exception):
    """The record is certainly not in the log and never will be."""


class AppendUnknown(Exception):
    """The record may be in the log, or may still come to be in it."""


class OffsetOutOfRange(Exception):
    """The offset asked for lies beyond the end: the log was cut, or is another one."""


class LogReader(Protocol):
    """Whatever hands out a log's records: a journal, or its archive and the rest of it."""

    async def read(self, partition: int, from_offset: int, *, records_max: int = 500) -> Sequence[JournalRecord]:
        """As `Journal.read`."""


class Journal(Protocol):
    """A log of several partitions. Offsets grow by at least 1; gaps carry no meaning."""

    @property
    def journal_id(self) -> str:
        """Random id of this journal, given at its creation: a store remembers which journal it belongs to."""

    @property
    def generation(self) -> int:
        """Number of this journal's generation, from 1."""

    @property
    def partitions(self) -> int:
        """How many partitions it has: 1 to 16,384."""

    async def append(self, partition: int, data: bytes, *, fresh_producer: bool = False) -> Appended:
        """Appends one record and returns once it is durable.

        `fresh_producer` asks for a connection that no earlier failed append can disturb, and soon: an adapter that has
        none for long rejects. Raises `AppendRejected`, or `AppendUnknown` within the adapter's own deadline.
        """

    async def read(self, partition: int, from_offset: int, *, records_max: int = 500) -> Sequence[JournalRecord]:
        """Durable records from `from_offset` on, in order; none means the end as it was during the call.

        Raises `OffsetOutOfRange` beyond the end, `Unavailable` when the log cannot be read.
        """

    async def end_offset(self, partition: int) -> int:
        """The offset after the last durable record."""

    async def wait(self, partition: int, from_offset: int, timeout_ms: int) -> bool:
        """Waits until there is a record at or after `from_offset`; False when the time has passed."""

    async def close(self) -> None:
        """Ends all connections and threads; appends under way end as unknown."""
