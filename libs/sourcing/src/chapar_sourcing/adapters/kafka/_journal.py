"""The Journal port on a Kafka topic."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Self

from chapar_sourcing.adapters.kafka._cluster import Cluster
from chapar_sourcing.adapters.kafka._layouts import journal_topic
from chapar_sourcing.adapters.kafka._producers import NotAcknowledged, NotSent, Producers, appended_ms
from chapar_sourcing.adapters.kafka._reader import Reader
from chapar_sourcing.adapters.kafka._topics import check_partitions
from chapar_sourcing.partitions import SLOTS
from chapar_sourcing.ports import Appended, AppendRejected, AppendUnknown, JournalRecord
from chapar_sourcing.ports.journal import RECORD_BYTES_MAX


class KafkaJournal:
    """The Journal port. Offsets may have gaps; an acknowledgement may come without an offset."""

    def __init__(
        self, reader: Reader, producers: Producers, topic: str, partitions: int, journal_id: str, deadline_ms: int
    ) -> None:
        self._reader = reader
        self._producers = producers
        self._topic = topic
        self._partitions = partitions
        self._journal_id = journal_id
        self._deadline_s = deadline_ms / 1000
        self._one_in_flight = [asyncio.Lock() for _ in range(partitions)]

    @classmethod
    async def open(
        cls, cluster: Cluster, service: str, *, partitions: int = 16, append_deadline_ms: int = 10_000,
        producers: int = 2, linger_ms: int = 0,
    ) -> Self:  # fmt: skip
        """Connects to the topic `<service>.journal`, which must exist.

        A producer has one request under way and gathers the next meanwhile: that alone batches partitions, and any
        `linger_ms` was measured to cost more than it saves.

        Raises `Unavailable`, and `TopicRefused` when the topic is missing or has other partitions.
        """
        if not 1 <= partitions <= SLOTS:
            raise ValueError(f"a journal has 1 to {SLOTS} partitions, not {partitions}")
        topic = journal_topic(service)
        reader = await Reader.open(cluster)
        try:
            await check_partitions(reader.link, topic, partitions)
            journal_id = f"{await reader.link.cluster_id()}/{topic}"
        except BaseException:
            await reader.close()
            raise
        pool = Producers(cluster, size=min(producers, partitions), linger_ms=linger_ms)
        return cls(reader, pool, topic, partitions, journal_id, append_deadline_ms)

    @property
    def journal_id(self) -> str:
        """The cluster's id, which is random, and the topic's name."""
        return self._journal_id

    @property
    def generation(self) -> int:
        """The journal's generation; topics of later ones will carry it in their names."""
        return 1

    @property
    def partitions(self) -> int:
        """How many partitions the topic has."""
        return self._partitions

    async def append(self, partition: int, data: bytes, *, fresh_producer: bool = False) -> Appended:
        """Appends one record; one at a time a partition."""
        self._check_partition(partition)
        if len(data) > RECORD_BYTES_MAX:
            raise AppendRejected(f"{len(data)} bytes are more than {RECORD_BYTES_MAX}")
        try:
            async with self._one_in_flight[partition]:
                metadata = await self._producers.send(
                    self._topic, partition, [data], self._deadline_s, fresh=fresh_producer
                )
        except NotSent as error:
            raise AppendRejected(str(error)) from error
        except NotAcknowledged as error:
            raise AppendUnknown(str(error)) from error
        if metadata.offset < 0:
            return Appended(None)
        self._reader.grown(self._topic, partition, metadata.offset)
        return Appended(metadata.offset, appended_ms(metadata))

    async def read(self, partition: int, from_offset: int, *, records_max: int = 500) -> Sequence[JournalRecord]:
        """Records from an offset on. A journal whose beginning is gone is out of range, too."""
        self._check_partition(partition)
        found = await self._reader.read(self._topic, partition, from_offset, records_max, whole=True)
        return [JournalRecord(offset, data) for offset, data in found]

    async def end_offset(self, partition: int) -> int:
        """The offset after the last durable record."""
        self._check_partition(partition)
        return await self._reader.end_offset(self._topic, partition)

    async def wait(self, partition: int, from_offset: int, timeout_ms: int) -> bool:
        """Waits for a record at or after an offset."""
        self._check_partition(partition)
        return await self._reader.wait(self._topic, {partition: from_offset}, timeout_ms)

    async def close(self) -> None:
        """Ends all connections; appends under way end as unknown."""
        await self._producers.close()
        await self._reader.close()

    def _check_partition(self, partition: int) -> None:
        if not 0 <= partition < self._partitions:
            raise ValueError(f"partition {partition} is outside 0..{self._partitions - 1}")
