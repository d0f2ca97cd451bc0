"""The Stream port on Kafka topics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from chapar_sourcing.adapters._sizes import check_sizes
from chapar_sourcing.adapters.kafka._cluster import Cluster
from chapar_sourcing.adapters.kafka._producers import NotAcknowledged, NotSent, Producers
from chapar_sourcing.adapters.kafka._reader import Reader
from chapar_sourcing.ports import StreamEntry, Unavailable


class KafkaStream:
    """The Stream port. Topics are created beforehand, with their retention."""

    def __init__(self, reader: Reader, producers: Producers, deadline_ms: int) -> None:
        self._reader = reader
        self._producers = producers
        self._deadline_s = deadline_ms / 1000

    @classmethod
    async def open(
        cls, cluster: Cluster, *, publish_deadline_ms: int = 10_000, producers: int = 2, linger_ms: int = 0
    ) -> Self:
        """Connects. Raises `Unavailable`."""
        reader = await Reader.open(cluster)
        return cls(reader, Producers(cluster, size=producers, linger_ms=linger_ms), publish_deadline_ms)

    async def publish(self, topic: str, partition: int, records: Sequence[bytes]) -> None:
        """Appends records in order."""
        count = await self._reader.partitions(topic)
        if not 0 <= partition < count:
            raise ValueError(f"partition {partition} is outside 0..{count - 1}")
        check_sizes(records)
        if not records:
            return
        try:
            metadata = await self._producers.send(topic, partition, records, self._deadline_s)
        except (NotSent, NotAcknowledged) as error:
            raise Unavailable(f"{topic} cannot be published: {error}") from error
        self._reader.grown(topic, partition, metadata.offset)

    async def read(
        self, topic: str, partition: int, from_offset: int, *, records_max: int = 500
    ) -> Sequence[StreamEntry]:
        """Records from an offset on."""
        found = await self._reader.read(topic, partition, from_offset, records_max, whole=False)
        return [StreamEntry(offset, data) for offset, data in found]

    async def start_offset(self, topic: str, partition: int) -> int:
        """Offset of the first record kept."""
        return await self._reader.start_offset(topic, partition)

    async def end_offset(self, topic: str, partition: int) -> int:
        """The offset after the last record."""
        return await self._reader.end_offset(topic, partition)

    async def wait(self, topic: str, positions: dict[int, int], timeout_ms: int) -> bool:
        """Waits for a record of any of the partitions."""
        return await self._reader.wait(topic, positions, timeout_ms)

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        return await self._reader.partitions(topic)

    async def close(self) -> None:
        """Ends all connections."""
        await self._producers.close()
        await self._reader.close()
