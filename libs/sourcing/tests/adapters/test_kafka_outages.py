"""A broker that is killed, stays away and comes back: nothing acknowledged is lost, everything recovers by itself."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from chapar_sourcing.adapters.kafka import (
    Cluster,
    KafkaJournal,
    KafkaMembers,
    KafkaStream,
    apply_topics,
    members_layouts,
)
from chapar_sourcing.members.pace import BEAT_DEADLINE_SECONDS
from chapar_sourcing.ports import Appended, AppendRejected, AppendUnknown, Beat, News, Unavailable
from tools.kafka_server import KafkaServer

from ..brokers import ONE_BROKER, create_topics
from .test_kafka import eventually, everything

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka"), pytest.mark.timeout(240)]
PARTITIONS = 4
TOPIC = "messaging.events.v1"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker of this module's own, since it is killed."""
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
async def journal(broker: KafkaServer) -> AsyncIterator[KafkaJournal]:
    await create_topics(Cluster(broker.bootstrap), "messaging", partitions=PARTITIONS, topics={TOPIC: None})
    journal = await KafkaJournal.open(
        Cluster(broker.bootstrap), "messaging", partitions=PARTITIONS, append_deadline_ms=1_500, producers=2
    )
    yield journal
    await journal.close()


async def test_everything_recovers_after_the_broker_was_away(broker: KafkaServer, journal: KafkaJournal) -> None:
    stream = await KafkaStream.open(Cluster(broker.bootstrap), publish_deadline_ms=1_500)
    kept = await journal.append(0, b"kept")
    assert kept.offset is not None
    await stream.publish(TOPIC, 0, [b"kept"])
    broker.kill9()
    try:
        with pytest.raises(Unavailable):
            await journal.read(0, 0)
        with pytest.raises(Unavailable):
            await journal.end_offset(0)
        with pytest.raises(Unavailable):
            await stream.read(TOPIC, 0, 0)
        with pytest.raises(AppendUnknown):
            await journal.append(0, b"during")
        with pytest.raises((AppendUnknown, AppendRejected)):
            await journal.append(0, b"fresh", fresh_producer=True)
        with pytest.raises(Unavailable):
            await stream.publish(TOPIC, 0, [b"during"])
        with pytest.raises(Unavailable):
            await KafkaJournal.open(Cluster(broker.bootstrap), "messaging", partitions=PARTITIONS)
        waiting = asyncio.create_task(journal.wait(0, kept.offset + 1, 120_000))
    finally:
        await asyncio.to_thread(broker.restart)

    await eventually(lambda: journal.append(0, b"after", fresh_producer=True))
    assert await waiting
    stored = await eventually(lambda: everything(journal, 0))
    assert stored.count(b"kept") == stored.count(b"after") == 1
    assert stored.count(b"during") <= 1
    await eventually(lambda: stream.publish(TOPIC, 0, [b"after"]))
    published = [entry.data for entry in await stream.read(TOPIC, 0, 0)]
    assert (published[0], published[-1]) == (b"kept", b"after")
    await stream.close()


async def test_acknowledged_records_survive_a_kill_once_and_in_order(
    broker: KafkaServer, journal: KafkaJournal
) -> None:
    acknowledged: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    unknown: set[bytes] = set()
    running, grown = True, asyncio.Condition()

    async def load(partition: int) -> None:
        number, fresh = 0, False
        while running:
            data = b"load %d %d" % (partition, number)
            number += 1
            try:
                await journal.append(partition, data, fresh_producer=fresh)
                fresh = False
                async with grown:
                    acknowledged[partition].append(data)
                    grown.notify_all()
            except AppendUnknown:
                unknown.add(data)
                fresh = True
            except AppendRejected:
                await asyncio.sleep(0.05)

    async def reached(count: int) -> None:
        async with asyncio.timeout(60):
            async with grown:
                await grown.wait_for(lambda: min(map(len, acknowledged)) >= count)

    loads = [asyncio.create_task(load(partition)) for partition in range(PARTITIONS)]
    await reached(50)
    await asyncio.to_thread(broker.kill9)
    await asyncio.to_thread(broker.restart)
    await reached(max(map(len, acknowledged)) + 50)
    running = False
    await asyncio.gather(*loads)

    for partition in range(PARTITIONS):
        stored = [data for data in await everything(journal, partition) if data.startswith(b"load")]
        assert len(stored) == len(set(stored))
        assert [data for data in stored if data not in unknown] == acknowledged[partition]


async def test_closing_ends_although_the_broker_is_away(broker: KafkaServer) -> None:
    journal = await KafkaJournal.open(
        Cluster(broker.bootstrap), "messaging", partitions=PARTITIONS, append_deadline_ms=60_000
    )
    assert isinstance(await journal.append(0, b"x"), Appended)
    broker.kill9()
    try:
        pending = asyncio.create_task(journal.append(0, b"pending"))
        await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await journal.close()
            with pytest.raises((AppendUnknown, AppendRejected)):
                await pending
    finally:
        await asyncio.to_thread(broker.restart)


async def test_beats_go_on_after_the_broker_was_away_and_none_waits_longer_than_its_deadline(
    broker: KafkaServer,
) -> None:
    await apply_topics(Cluster(broker.bootstrap), members_layouts("payments"), ONE_BROKER)
    members = await KafkaMembers.open(Cluster(broker.bootstrap))
    await members.join("payments")
    sequences = itertools.count(1)

    async def beat() -> int:
        sequence = next(sequences)
        async with asyncio.timeout(BEAT_DEADLINE_SECONDS + 1):
            await members.beat(Beat(b"m" * 16, "127.0.0.1:1", sequence))
        return sequence

    await beat()
    broker.kill9()
    try:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await beat()
    finally:
        await asyncio.to_thread(broker.restart)
    after = await eventually(beat)
    read: list[News] = []
    while not any(isinstance(one, Beat) and one.sequence == after for one in read):
        read += await eventually(members.news)
    assert read[0] == Beat(b"m" * 16, "127.0.0.1:1", 1)
    await members.close()
