"""Fetching from Kafka by topic, partition and offset, and nothing else: no position is kept here.

aiokafka's consumer prefetches from one position a partition; several readers of a partition, each with its own cursor,
would throw each other's data away. Its client and protocol classes below the consumer are what this needs.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.memory_records import MemoryRecords

from chapar_sourcing.adapters.kafka._cluster import Cluster
from chapar_sourcing.adapters.kafka._leaders import Leaders
from chapar_sourcing.ports import Unavailable

LATEST = -1
EARLIEST = -2
READ_BYTES_MAX = 4 * 1024 * 1024
"""A fetch ends early, with at least one batch of records, beyond this many bytes."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a partition answered: (offset, data) of records, where the next fetch goes on, and the offset after the
    last durable record."""

    records: Sequence[tuple[int, bytes]]
    next_offset: int
    end: int


LEADERS_FETCH_VERSION_MAX = 10
"""Later fetches are answered by any replica, as far as it happens to know: records that were acknowledged long ago may
be missing there."""


class LeadersFetch(FetchRequest):  # type: ignore[misc]
    """A fetch that only the leader answers."""

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> Any:
        """In no version in which others would."""
        first, last = versions[self.API_KEY]
        return super().prepare({self.API_KEY: (first, min(last, LEADERS_FETCH_VERSION_MAX))})


class OutOfRange(Exception):
    """The offset is not one of the partition's: too early or too late."""


class Link:
    """One connection to each broker. A broker answers the requests of a connection one after the other."""

    def __init__(self, client: Any, deadline_ms: int) -> None:
        self._client = client
        self._leaders = Leaders(client)
        self._deadline_s = deadline_ms / 1000
        self._closed = False

    @classmethod
    async def open(cls, cluster: Cluster, *, deadline_ms: int = 5_000) -> Self:
        """Connects. Raises `Unavailable`."""
        client = AIOKafkaClient(request_timeout_ms=deadline_ms, metadata_max_age_ms=60_000, **cluster.client_options())
        link = cls(client, deadline_ms)
        try:
            async with link._reaching("the brokers"):
                await client.bootstrap()
        except BaseException:
            await client.close()
            raise
        return link

    async def partitions_of(self, topic: str) -> int | None:
        """How many partitions a topic has, once all have a leader; None when there is no such topic."""
        async with self._reaching(topic):
            answer = await self._client.send(self._any_node(), MetadataRequest([topic], False))
            error_code, *_, partitions = self._only(answer.topics)
            if error_code != 0 or not partitions:
                return None
            if any(leader < 0 for _, _, leader, *_ in partitions):
                raise Unavailable(f"{topic} has partitions without a leader")
            await self._client.add_topic(topic)
            return len(partitions)

    async def cluster_id(self) -> str:
        """The installation's id, given when its first broker was formatted."""
        async with self._reaching("the brokers"):
            answer = await self._client.send(self._any_node(), MetadataRequest([], False))
            return str(answer.cluster_id)

    def leader(self, tp: TopicPartition) -> int | None:
        """The partition's leader, as far as is known."""
        node = self._client.cluster.leader_for_partition(tp)
        return None if node is None or node < 0 else int(node)

    async def offset(self, tp: TopicPartition, which: int) -> int:
        """The offset of the first record kept (`EARLIEST`), or after the last durable one (`LATEST`)."""
        async with self._reaching(tp.topic):
            return await self._offset(await self._find_leader(tp), tp, which)

    async def confirmed_end(self, tp: TopicPartition) -> int:
        """The offset after the last durable record, of a leader that others take for it, too, and that knows it: one
        that has just become the leader does not at first, and refuses to say. Raises `Unavailable`."""
        async with self._reaching(tp.topic):
            node = await self._find_leader(tp)
            end = await self._offset(node, tp, LATEST)
            await self._leaders.confirm(tp, node)
            return end

    async def fetch(self, tp: TopicPartition, from_offset: int, *, deadline_s: float | None = None) -> Fetched:
        """Durable records from an offset on, without waiting for any. Raises `OutOfRange`."""
        async with self._reaching(tp.topic, deadline_s):
            found = await self._fetch(await self._find_leader(tp), {tp: from_offset}, 0, READ_BYTES_MAX)
        answer = found[tp]
        if answer is None:
            raise OutOfRange
        return answer

    async def poll(
        self, node: int, positions: Mapping[TopicPartition, int], wait_ms: int
    ) -> Mapping[TopicPartition, Fetched | None]:
        """Waits for a record of any of these partitions, all led by one node; None for those out of range."""
        async with self._reaching("the brokers"):
            return await self._fetch(node, positions, wait_ms, 1)

    async def close(self) -> None:
        """Ends all connections."""
        if not self._closed:
            self._closed = True
            await self._client.close()

    async def _offset(self, node: int, tp: TopicPartition, which: int) -> int:
        request = OffsetRequest(-1, 0, [(tp.topic, [(tp.partition, which)])])
        answer = await self._client.send(node, request)
        _, partitions = self._only(answer.topics)
        _, error_code, _, offset = self._only(partitions)
        self._check(error_code)
        return int(offset)

    async def _fetch(
        self, node: int, positions: Mapping[TopicPartition, int], wait_ms: int, bytes_max: int
    ) -> dict[TopicPartition, Fetched | None]:
        topics: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for tp, offset in positions.items():
            topics[tp.topic].append((tp.partition, offset, bytes_max))
        answer = await self._client.send(node, LeadersFetch(wait_ms, 1, READ_BYTES_MAX, 0, list(topics.items())))
        found: dict[TopicPartition, Fetched | None] = {}
        for topic, partitions in answer.topics:
            for partition, error_code, end, *_, data in partitions:
                tp = TopicPartition(topic, partition)
                if for_code(error_code) is OffsetOutOfRangeError:
                    found[tp] = None
                else:
                    self._check(error_code)
                    found[tp] = Fetched(*_records(data, positions[tp]), end)
        return found

    async def _find_leader(self, tp: TopicPartition) -> int:
        node = self.leader(tp)
        if node is None:
            await self._client.add_topic(tp.topic)
            await self._client.force_metadata_update()
            node = self.leader(tp)
        if node is None:
            raise Unavailable(f"{tp.topic} partition {tp.partition} has no leader")
        return node

    def _any_node(self) -> int:
        brokers = self._client.cluster.brokers()
        if not brokers:
            raise Unavailable("no broker is known")
        return int(next(iter(brokers)).nodeId)

    def _check(self, error_code: int) -> None:
        if error_code != 0:
            raise for_code(error_code)()

    @staticmethod
    def _only(answers: Sequence[Any]) -> Any:
        if len(answers) != 1:
            raise Unavailable("the broker left out an answer")
        return answers[0]

    @asynccontextmanager
    async def _reaching(self, what: str, deadline_s: float | None = None) -> AsyncIterator[None]:
        """Turns all that can go wrong on the way into `Unavailable`, within the deadline."""
        if self._closed:
            raise Unavailable("closed")
        try:
            async with asyncio.timeout(deadline_s or self._deadline_s):
                yield
        except (KafkaError, OSError, TimeoutError) as error:
            if self._client.cluster.brokers():
                self._client.force_metadata_update()
            raise Unavailable(f"{what} cannot be reached: {error!r}") from error


def _records(data: bytes | None, from_offset: int) -> tuple[list[tuple[int, bytes]], int]:
    found: list[tuple[int, bytes]] = []
    next_offset = from_offset
    batches = MemoryRecords(data or b"")
    while batches.has_next():
        batch = batches.next_batch()
        if not batch.validate_crc():
            raise Unavailable("a batch of records arrived damaged")
        next_offset = max(next_offset, batch.next_offset)
        if not batch.is_control_batch:
            found += ((record.offset, bytes(record.value or b"")) for record in batch if record.offset >= from_offset)
    return found, next_offset
