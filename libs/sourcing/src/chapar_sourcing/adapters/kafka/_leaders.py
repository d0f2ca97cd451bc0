"""Whether a partition's leader still is the leader: one that was stopped, or cut off, and goes on does not know that
another leads by now, and takes its own end for the partition's."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from chapar_sourcing.ports import Unavailable

CONFIRMED_S = 1.0
"""How long a leader that answers stays confirmed: less than a broker may be silent before another leads."""
ASK_S = 0.5
"""A broker that does not answer for longer is not waited for."""


class Leaders:
    """Asks the other brokers of an installation whom they take for the leader."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._confirmed: dict[tuple[str, int], tuple[float, frozenset[int]]] = {}
        """By topic and broker: when, and for which partitions."""

    async def confirm(self, tp: TopicPartition, node: int) -> None:
        """Returns when every other broker that answers takes `node`, which has just answered, for the leader.

        Raises `Unavailable` when one does not, and when none answers. A broker alone has nobody to contradict it.
        """
        asked = asyncio.get_running_loop().time()
        at, partitions = self._confirmed.get((tp.topic, node), (asked - CONFIRMED_S, frozenset()))
        if tp.partition in partitions and asked - at < CONFIRMED_S:
            return
        others = [broker.nodeId for broker in self._client.cluster.brokers() if broker.nodeId != node]
        if not others:
            return
        answers = await asyncio.gather(*(self._led(other, tp.topic, node) for other in others))
        found = [answer for answer in answers if answer is not None]
        led = frozenset.intersection(*found) if found else frozenset[int]()
        self._confirmed[tp.topic, node] = (asked, led)
        if len(found) < len(others) or tp.partition not in led:
            self._client.force_metadata_update()
        if tp.partition not in led:
            raise Unavailable(f"nobody confirms that broker {node} leads {tp.topic} partition {tp.partition}")

    async def _led(self, other: int, topic: str, node: int) -> frozenset[int] | None:
        """The partitions that a broker takes `node` for the leader of; None when it does not answer."""
        try:
            async with asyncio.timeout(ASK_S):
                answer = await self._client.send(other, MetadataRequest([topic], False))
        except (KafkaError, OSError, TimeoutError):
            return None
        return frozenset(
            partition for *_, partitions in answer.topics for _, partition, leader, *_ in partitions if leader == node
        )
