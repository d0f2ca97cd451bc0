"""Reading of topics: what Journal and Stream have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from aiokafka import TopicPartition

from chapar_sourcing.adapters.kafka._cluster import Cluster
from chapar_sourcing.adapters.kafka._link import EARLIEST, Link, OutOfRange
from chapar_sourcing.adapters.kafka._tail import Tail
from chapar_sourcing.ports import OffsetOutOfRange, Unavailable

ROUNDS_MAX = 10
"""Fetches that one read makes when what it finds holds no record."""
RETRY_S = 0.1


class Reader:
    """Reads any partition from any offset."""

    def __init__(self, link: Link, tail: Tail) -> None:
        self.link = link
        self._tail = tail
        self._partitions: dict[str, int] = {}

    @classmethod
    async def open(cls, cluster: Cluster) -> Self:
        """Connects. Raises `Unavailable`."""
        link = await Link.open(cluster)
        try:
            return cls(link, Tail(await Link.open(cluster)))
        except BaseException:
            await link.close()
            raise

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has. Raises `Unavailable` as long as it does not exist."""
        if topic not in self._partitions:
            count = await self.link.partitions_of(topic)
            if count is None:
                raise Unavailable(f"there is no topic {topic} yet")
            self._partitions[topic] = count
        return self._partitions[topic]

    async def read(
        self, topic: str, partition: int, from_offset: int, records_max: int, *, whole: bool
    ) -> Sequence[tuple[int, bytes]]:
        """(offset, data) from an offset on, at most `records_max`. That there is none is said only after other brokers
        were asked whether it is the leader who says so.

        Raises `OffsetOutOfRange` beyond the end and, where the topic should be `whole`, before the first record kept;
        otherwise reading starts there. Raises `Unavailable`.
        """
        tp = await self._place(topic, partition)
        start = from_offset
        for _ in range(ROUNDS_MAX):
            try:
                fetched = await self.link.fetch(tp, start)
            except OutOfRange:
                first, end = await self.link.offset(tp, EARLIEST), await self.link.confirmed_end(tp)
                if from_offset > end or whole:
                    message = f"{topic} partition {partition} has {first} to {end}, not {from_offset}"
                    raise OffsetOutOfRange(message) from None
                start = max(start, first)
                continue
            if fetched.records:
                return fetched.records[:records_max]
            if start >= fetched.end and start >= await self.link.confirmed_end(tp):
                return []
            start = fetched.next_offset
        raise Unavailable(f"{topic} partition {partition} does not give what lies before its end")

    async def start_offset(self, topic: str, partition: int) -> int:
        """Offset of the first record kept."""
        return await self.link.offset(await self._place(topic, partition), EARLIEST)

    async def end_offset(self, topic: str, partition: int) -> int:
        """The offset after the last durable record."""
        return await self.link.confirmed_end(await self._place(topic, partition))

    async def wait(self, topic: str, positions: Mapping[int, int], timeout_ms: int) -> bool:
        """Waits until one of the partitions has a record at or after its offset; a broker that is away is waited for,
        too."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_ms / 1000
        places = {TopicPartition(topic, partition): offset for partition, offset in positions.items()}
        while not await self._watched(places):
            if loop.time() + RETRY_S > deadline:
                return False
            await asyncio.sleep(RETRY_S)
        return await self._tail.bell(topic).wait_until(
            lambda: any(self._tail.end(tp) > offset for tp, offset in places.items()),
            max(0, int((deadline - loop.time()) * 1000)),
        )

    async def _watched(self, places: Iterable[TopicPartition]) -> bool:
        self._tail.check_open()
        try:
            for tp in places:
                await self._tail.watch(tp)
        except Unavailable:
            return False
        return True

    def grown(self, topic: str, partition: int, offset: int) -> None:
        """Says that there is a record at this offset: whoever waits need not hear it from the broker."""
        self._tail.grown(TopicPartition(topic, partition), offset + 1)

    async def close(self) -> None:
        """Ends all connections."""
        await self._tail.close()
        await self.link.close()

    async def _place(self, topic: str, partition: int) -> TopicPartition:
        count = await self.partitions(topic)
        if not 0 <= partition < count:
            raise ValueError(f"partition {partition} is outside 0..{count - 1}")
        return TopicPartition(topic, partition)
