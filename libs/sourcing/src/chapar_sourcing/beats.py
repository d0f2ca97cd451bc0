"""Beats on streams whose readers must know how fresh they are.

A beat of a partition says: everything that its owner knew to be durable when it was made has been published. It is
made only while the owner is confirmed and its relay has caught up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.clock import Clock, OwnerClock
from chapar_sourcing.hosting import Topic
from chapar_sourcing.ports import Stream, Unavailable


class Beats:
    """The beats of one process: all partitions of a topic together."""

    def __init__(
        self, topics: Sequence[Topic], ready: Callable[[str], Sequence[int]], stream: Stream, clock: Clock,
        owner_clock: OwnerClock,
    ) -> None:  # fmt: skip
        """`ready`: the partitions that may beat on a topic now."""
        self._topics = topics
        self._ready = ready
        self._stream = stream
        self._clock = clock
        self._owner_clock = owner_clock

    async def run(self) -> None:
        """Beats until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for topic in self._topics:
                if topic.beat_ms is not None:
                    tasks.create_task(self._beat(topic.name, topic.beat_ms), name=f"beats-{topic.name}")

    async def _beat(self, topic: str, interval_ms: int) -> None:
        while True:
            ready = self._ready(topic)
            record = journal.StreamRecord(time_ms=self._owner_clock.now_ms()).SerializeToString()
            await asyncio.gather(*(self._publish(topic, number, record) for number in ready))
            await self._clock.sleep(interval_ms / 1000)

    async def _publish(self, topic: str, partition: int, record: bytes) -> None:
        try:
            await self._stream.publish(topic, partition, [record])
        except Unavailable:
            return  # readers see that beats are missing: that is what beats are for
