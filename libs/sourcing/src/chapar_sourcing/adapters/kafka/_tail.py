"""How far partitions have grown: one long poll a broker for all that are watched, on a connection of its own."""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition

from chapar_sourcing.adapters._bell import Bell
from chapar_sourcing.adapters.kafka._link import LATEST, Link
from chapar_sourcing.ports import Unavailable

POLL_MS = 250
RETRY_S = 0.2


class Tail:
    """Ends of the partitions watched. A partition once watched stays so: there are few."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._ends: dict[TopicPartition, int] = {}
        self._bells: dict[str, Bell] = {}
        self._polls: dict[int, asyncio.Task[None]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False

    def bell(self, topic: str) -> Bell:
        """Rings when a watched partition of the topic has grown."""
        return self._bells.setdefault(topic, Bell())

    def end(self, tp: TopicPartition) -> int:
        """The end of a partition as far as is known; 0 before anything is."""
        self.check_open()
        return self._ends.get(tp, 0)

    def check_open(self) -> None:
        """Raises `Unavailable` once closed."""
        if self._closed:
            raise Unavailable("closed")

    async def watch(self, tp: TopicPartition) -> None:
        """Begins to watch a partition. Raises `Unavailable` when it cannot be reached and was not watched before."""
        if tp not in self._ends:
            self.grown(tp, await self._link.offset(tp, LATEST))

    def grown(self, tp: TopicPartition, end: int) -> None:
        """Says that the partition is known to reach up to here: whoever waits need not hear it from the broker."""
        if end > self._ends.get(tp, -1):
            self._learn(tp, end)
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="tail keeper")

    async def close(self) -> None:
        """Ends the polls; whoever waits gets `Unavailable`."""
        self._closed = True
        tasks = [*self._polls.values(), *([self._keeper] if self._keeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for bell in self._bells.values():
            bell.ring()
        await self._link.close()

    def _learn(self, tp: TopicPartition, end: int) -> None:
        self._ends[tp] = end
        self.bell(tp.topic).ring()

    async def _keep(self) -> None:
        """Has one poll run for each broker that leads a watched partition."""
        while True:
            for node in self._by_leader():
                task = self._polls.get(node)
                if task is None or task.done():
                    self._polls[node] = asyncio.create_task(self._poll(node), name=f"tail {node}")
            await asyncio.sleep(RETRY_S)

    async def _poll(self, node: int) -> None:
        """Polls one broker until it leads nothing or does not answer; the keeper starts it again."""
        while positions := self._by_leader().get(node):
            try:
                found = await self._link.poll(node, positions, POLL_MS)
                for tp, fetched in found.items():
                    end = fetched.end if fetched is not None else await self._link.offset(tp, LATEST)
                    if end != self._ends[tp]:
                        self._learn(tp, end)
            except Unavailable:
                return

    def _by_leader(self) -> dict[int, dict[TopicPartition, int]]:
        groups: dict[int, dict[TopicPartition, int]] = {}
        for tp, end in self._ends.items():
            node = self._link.leader(tp)
            if node is not None:
                groups.setdefault(node, {})[tp] = end
        return groups
