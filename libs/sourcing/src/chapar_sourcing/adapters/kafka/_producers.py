"""A few idempotent producers that partitions share, so that their records share requests.

An idempotent producer retries for ever, and one that failed may be dead, or may still send what it holds: it gets no
new records, and is ended once nobody waits for it. What it sends late is void by its epoch, or a repetition.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chapar_sourcing.adapters.kafka._cluster import Cluster
from chapar_sourcing.ports.journal import RECORD_BYTES_MAX

REQUEST_BYTES_MAX = RECORD_BYTES_MAX + 64 * 1024
REQUEST_TIMEOUT_MS = 5_000
STOP_S = 2.0
FRESH_S = 5.0
"""How old a producer may be that counts as made for a call: many claims at once share it."""
FRESH_WAIT_S = 1.0
"""How long a record that needs a fresh producer may wait for it: what a claim was judged by grows old meanwhile."""
LOG_APPEND_TIME = 1
"""What the metadata of a record says where its time is the broker's."""


class NotSent(Exception):
    """No producer took the records: they are not in the log and will not be."""


class NotAcknowledged(Exception):
    """A producer took the records, or some of them, and what became of them is not known."""


class _Producer:
    """One producer and how many wait for it."""

    def __init__(self, kafka: Any) -> None:
        self.kafka = kafka
        self.made_at = asyncio.get_running_loop().time()
        self.failed = False
        self.in_use = 0


class Producers:
    """A pool of `size`; a partition always uses the same place in it."""

    def __init__(
        self, cluster: Cluster, *, size: int, linger_ms: int, request_timeout_ms: int = REQUEST_TIMEOUT_MS
    ) -> None:
        self._cluster = cluster
        self._linger_ms = linger_ms
        self._request_timeout_ms = request_timeout_ms
        self._places: list[_Producer | None] = [None] * size
        self._locks = [asyncio.Lock() for _ in range(size)]
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False
        self.made = 0
        """How many producers were made so far."""

    async def send(
        self, topic: str, partition: int, records: Sequence[bytes], deadline_s: float, *, fresh: bool = False,
        key: bytes | None = None,
    ) -> Any:  # fmt: skip
        """Appends records in order; returns the metadata of the last one once all are acknowledged.

        `key`: what compaction goes by, where a topic is compacted. `fresh`: by a producer made for this call or just
        before it, with which nothing has failed, and only if it is there soon. Raises `NotSent` or `NotAcknowledged`.
        """
        asked = asyncio.get_running_loop().time()
        deadline = asked + deadline_s
        async with self._taken(partition, deadline, fresh) as producer:
            if fresh and asyncio.get_running_loop().time() - asked > FRESH_WAIT_S:
                raise NotSent("no fresh producer was there in time")
            try:
                async with asyncio.timeout_at(deadline):
                    sent = [await producer.kafka.send(topic, data, key=key, partition=partition) for data in records]
                    done = asyncio.gather(*sent)
                    done.add_done_callback(_retrieve)
                    return (await asyncio.shield(done))[-1]
            except (KafkaError, OSError, TimeoutError, AssertionError) as error:
                producer.failed = True
                raise NotAcknowledged(repr(error)) from error
            except asyncio.CancelledError:
                producer.failed = True
                raise

    async def close(self) -> None:
        """Ends all producers; whoever waits gets `NotAcknowledged`."""
        self._closed = True
        for place, producer in enumerate(self._places):
            if producer is not None:
                self._retire(place, producer)
        while self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)

    @asynccontextmanager
    async def _taken(self, partition: int, deadline: float, fresh: bool) -> AsyncIterator[_Producer]:
        place = partition % len(self._places)
        try:
            async with asyncio.timeout_at(deadline), self._locks[place]:
                producer = await self._healthy(place, fresh)
        except (KafkaError, OSError, TimeoutError) as error:
            raise NotSent(repr(error)) from error
        producer.in_use += 1
        try:
            yield producer
        finally:
            producer.in_use -= 1
            if producer.in_use == 0 and producer is not self._places[place]:
                self._end(producer)

    async def _healthy(self, place: int, fresh: bool) -> _Producer:
        if self._closed:
            raise NotSent("closed")
        producer = self._places[place]
        old = producer is not None and asyncio.get_running_loop().time() - producer.made_at > FRESH_S
        if producer is not None and (producer.failed or (fresh and old)):
            self._retire(place, producer)
            producer = None
        if producer is None:
            producer = self._places[place] = _Producer(await self._start())
            self.made += 1
        return producer

    async def _start(self) -> Any:
        kafka = AIOKafkaProducer(
            enable_idempotence=True,
            acks="all",
            linger_ms=self._linger_ms,
            max_batch_size=REQUEST_BYTES_MAX,
            max_request_size=REQUEST_BYTES_MAX,
            request_timeout_ms=self._request_timeout_ms,
            **self._cluster.client_options(),
        )
        try:
            await kafka.start()
        except BaseException:
            await kafka.stop()
            raise
        return kafka

    def _retire(self, place: int, producer: _Producer) -> None:
        self._places[place] = None
        if producer.in_use == 0 or self._closed:
            self._end(producer)

    def _end(self, producer: _Producer) -> None:
        task = asyncio.create_task(_stop(producer.kafka), name="end producer")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def appended_ms(metadata: Any) -> int | None:
    """The broker's time of an append; None where a topic keeps the sender's."""
    return int(metadata.timestamp) if metadata.timestamp_type == LOG_APPEND_TIME else None


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Looks at an exception that nobody waits for any more."""
    if not future.cancelled():
        future.exception()


async def _stop(kafka: Any) -> None:
    """Stops a producer, whether it still holds records or not: `stop` alone waits until they are sent, for ever."""
    stopping = asyncio.create_task(kafka.stop())
    _, late = await asyncio.wait({stopping}, timeout=STOP_S)
    if late:
        kafka._sender.sender_task.cancel()
        kafka._message_accumulator.fail_all(KafkaError("the producer was ended"))
    await asyncio.gather(stopping, return_exceptions=True)
