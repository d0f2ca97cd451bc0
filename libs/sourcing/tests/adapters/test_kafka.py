"""What is particular to Kafka: topics, a broker that goes away, a partition that refuses a record."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from chapar_sourcing.adapters.kafka import Cluster, KafkaJournal, KafkaStream, TopicRefused
from chapar_sourcing.adapters.kafka._producers import FRESH_WAIT_S
from chapar_sourcing.ports import Appended, AppendRejected, AppendUnknown, OffsetOutOfRange, Unavailable
from tools.kafka_server import KafkaServer

from ..brokers import administer, configure, create_topics

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka")]
DEADLINE_S = 60


@pytest.fixture
def service() -> str:
    return f"s{secrets.token_hex(4)}"


async def eventually(call: Callable[[], Awaitable[Any]]) -> Any:
    """What a call returns once it does not fail."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await call()
            except (Unavailable, AppendRejected, AppendUnknown):
                await asyncio.sleep(0.05)


async def everything(journal: KafkaJournal, partition: int) -> list[bytes]:
    found: list[bytes] = []
    offset = 0
    while records := await journal.read(partition, offset):
        found += [record.data for record in records]
        offset = records[-1].offset + 1
    return found


async def test_a_journal_without_its_topic_is_refused(kafka_server: KafkaServer, service: str) -> None:
    with pytest.raises(TopicRefused, match="there is no topic"):
        await KafkaJournal.open(Cluster(kafka_server.bootstrap), service, partitions=4)


async def test_journals_of_two_services_have_two_ids(kafka_server: KafkaServer, service: str) -> None:
    journals = []
    for name in (service, f"{service}x"):
        await create_topics(Cluster(kafka_server.bootstrap), name, partitions=1)
        journals.append(await KafkaJournal.open(Cluster(kafka_server.bootstrap), name, partitions=1))
    assert journals[0].journal_id != journals[1].journal_id
    for journal in journals:
        await journal.close()


async def test_an_append_tells_the_brokers_time(kafka_server: KafkaServer, service: str) -> None:
    await create_topics(Cluster(kafka_server.bootstrap), service, partitions=1)
    journal = await KafkaJournal.open(Cluster(kafka_server.bootstrap), service, partitions=1)
    assert ((await journal.append(0, b"x")).time_ms or 0) > 1_600_000_000_000
    await journal.close()


async def test_a_journal_cut_at_its_beginning_is_out_of_range_and_a_stream_goes_on(
    kafka_server: KafkaServer, service: str
) -> None:
    topic = f"{service}.events.v1"
    await create_topics(Cluster(kafka_server.bootstrap), service, partitions=1, topics={topic: None})
    journal = await KafkaJournal.open(Cluster(kafka_server.bootstrap), service, partitions=1)
    stream = await KafkaStream.open(Cluster(kafka_server.bootstrap))
    for number in range(4):
        await journal.append(0, b"%d" % number)
        await stream.publish(topic, 0, [b"%d" % number])
    cut = {TopicPartition(name, 0): RecordsToDelete(before_offset=2) for name in (f"{service}.journal", topic)}
    await administer(Cluster(kafka_server.bootstrap), lambda admin: admin.delete_records(cut))

    with pytest.raises(OffsetOutOfRange):
        await journal.read(0, 0)
    assert [record.data for record in await journal.read(0, 2)] == [b"2", b"3"]
    assert await stream.start_offset(topic, 0) == 2
    assert [(entry.offset, entry.data) for entry in await stream.read(topic, 0, 0)] == [(2, b"2"), (3, b"3")]
    for adapter in (journal, stream):
        await adapter.close()


async def test_a_poisoned_partition_disturbs_no_other_and_not_itself(kafka_server: KafkaServer, service: str) -> None:
    await create_topics(Cluster(kafka_server.bootstrap), service, partitions=2)
    await configure(Cluster(kafka_server.bootstrap), f"{service}.journal", {"max.message.bytes": "10000"})
    journal = await KafkaJournal.open(Cluster(kafka_server.bootstrap), service, partitions=2, producers=1)
    await journal.append(0, b"before")
    refused, other = await asyncio.gather(
        journal.append(0, bytes(50_000)), journal.append(1, b"other"), return_exceptions=True
    )
    assert isinstance(refused, AppendUnknown)
    assert isinstance(other, Appended)
    await journal.append(0, b"after")
    await journal.append(0, b"fresh", fresh_producer=True)
    await journal.append(1, b"more")
    assert await everything(journal, 0) == [b"before", b"after", b"fresh"]
    assert await everything(journal, 1) == [b"other", b"more"]
    await journal.close()


async def test_claims_at_once_share_producers_that_are_made_for_them(kafka_server: KafkaServer, service: str) -> None:
    await create_topics(Cluster(kafka_server.bootstrap), service, partitions=16)
    journal = await KafkaJournal.open(Cluster(kafka_server.bootstrap), service, partitions=16, producers=2)
    done = await asyncio.gather(*(journal.append(n, b"claim", fresh_producer=True) for n in range(16)))
    assert [appended.offset for appended in done] == [0] * 16
    assert journal._producers.made == 2
    await journal.close()


async def test_a_claim_that_waited_long_for_a_producer_is_not_sent(kafka_server: KafkaServer, service: str) -> None:
    await create_topics(Cluster(kafka_server.bootstrap), service, partitions=1)
    journal = await KafkaJournal.open(Cluster(kafka_server.bootstrap), service, partitions=1, producers=1)
    async with journal._producers._locks[0]:
        claim = asyncio.ensure_future(journal.append(0, b"claim", fresh_producer=True))
        await asyncio.wait({claim}, timeout=FRESH_WAIT_S + 0.1)
    with pytest.raises(AppendRejected):
        await claim
    await journal.append(0, b"judged anew", fresh_producer=True)
    assert await everything(journal, 0) == [b"judged anew"]
    assert journal._producers.made == 1
    await journal.close()
