"""Public events between services: topics of partitions of records, kept for a while or for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One record of a stream partition: a serialised `StreamRecord`."""

    offset: int
    data: bytes


class Stream(Protocol):
    """Publishing and reading of topics such as "messaging.events.v1". Readers are in other processes."""

    async def publish(self, topic: str, partition: int, records: Sequence[bytes]) -> None:
        """Appends records in order and returns once they are durable. After an error any prefix may be in the
        stream, and a retry may repeat it: readers apply a record only when its `previous` is their last.

        Raises `Unavailable`.
        """

    async def read(
        self, topic: str, partition: int, from_offset: int, *, records_max: int = 500
    ) -> Sequence[StreamEntry]:
        """Records from `from_offset` on, in order; none at the end. Offsets before the first kept record start there.

        Raises `Unavailable`, and `OffsetOutOfRange` beyond the end.
        """

    async def start_offset(self, topic: str, partition: int) -> int:
        """Offset of the first record still kept, or the end when there is none."""

    async def end_offset(self, topic: str, partition: int) -> int:
        """The offset after the last record."""

    async def wait(self, topic: str, positions: dict[int, int], timeout_ms: int) -> bool:
        """Waits until any of the partitions has a record at or after its offset; False when the time has passed."""

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has. Raises `Unavailable` when it does not exist yet."""

    async def close(self) -> None:
        """Ends all connections and threads."""
