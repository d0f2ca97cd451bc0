"""Three brokers: topics that are worth less than asked for are refused, and nothing is acknowledged by one alone."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from chapar_client.demo import eventually
from chapar_client.up import Installation, ServiceFailed, run_to_end, topics
from chapar_sourcing.adapters.kafka import Cluster, Durability, KafkaJournal, apply_topics, journal_layout
from chapar_sourcing.ports import AppendRejected, AppendUnknown, Unavailable
from tools.kafka_server import KafkaCluster

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka"), pytest.mark.timeout(300)]
BROKERS = (1, 2, 3)
PARTITIONS = 6
DEADLINE_MS = 3_000
LATE_S_MAX = 3.0
"""How much later than its deadline an append may end: the machine has other things to do."""
BACK_S_MAX = 60.0
READ_S = 2.0
"""For how long a broker that comes back is read from: it learns meanwhile that it does not lead any more."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    with KafkaCluster(tmp_path_factory.mktemp("brokers")) as brokers:
        yield brokers


@pytest.fixture
async def journal(cluster: KafkaCluster) -> AsyncIterator[KafkaJournal]:
    """One that all three keep."""
    brokers = Cluster(cluster.bootstrap)
    await apply_topics(brokers, [journal_layout("cluster", PARTITIONS)], Durability(3))
    journal = await KafkaJournal.open(
        brokers, "cluster", partitions=PARTITIONS, append_deadline_ms=DEADLINE_MS, producers=1
    )
    yield journal
    await journal.close()


def installation(cluster: KafkaCluster, folder: Path, *, kafka_replicas: int) -> Installation:
    return Installation(folder, kafka=cluster.bootstrap, kafka_replicas=kafka_replicas, partitions=2)


async def started(installation: Installation, service: str) -> tuple[int, str]:
    """How a process ends that is started on these topics, and what it says."""
    environment = installation.environment(service, listen="127.0.0.1:0")
    made = await run_to_end(
        [sys.executable, "-m", "chapar_chassis.installing", str(installation.data_dir)], environment
    )
    assert made[0] == 0, made
    return await run_to_end(installation.command(service), environment)


async def configure(cluster: KafkaCluster, topic: str, settings: Mapping[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict(settings))
        (answer,) = await admin.alter_configs([resource])
        assert [error_code for error_code, *_ in answer.resources] == [0]
    finally:
        await admin.close()


async def test_topics_that_are_worth_less_than_asked_for_are_refused_with_the_reason(
    cluster: KafkaCluster, tmp_path: Path
) -> None:
    three, four = (installation(cluster, tmp_path, kafka_replicas=count) for count in (3, 4))
    assert {row["change"] for row in await topics(three, "apply")} == {"created"}
    await topics(three, "check")

    too_few = "messaging.journal has 3 replicas where 4 are asked for"
    for action in ("check", "apply"):
        with pytest.raises(ServiceFailed, match=too_few):
            await topics(four, action)
    status, said = await started(four, "messaging")
    assert (status, too_few in said) == (1, True), said

    await configure(cluster, "messaging.journal", {"min.insync.replicas": "1"})
    too_low = "messaging.journal has min.insync.replicas=1 where 2 is needed"
    with pytest.raises(ServiceFailed, match=too_low):
        await topics(three, "check")
    status, said = await started(three, "messaging")
    assert (status, too_low in said) == (1, True), said
    changed = {row["topic"] for row in await topics(three, "apply") if "min.insync.replicas" in row["settings"]}
    assert changed == {"messaging.journal"}
    await topics(three, "check")


async def test_what_was_acknowledged_is_never_read_as_missing_whoever_led_and_leads(
    cluster: KafkaCluster, journal: KafkaJournal
) -> None:
    async def written(partition: int) -> int:
        """The offset of a record that was acknowledged just now."""
        while True:
            try:
                appended = await journal.append(partition, b"acknowledged", fresh_producer=True)
            except (AppendUnknown, AppendRejected):
                await asyncio.sleep(0.05)
            else:
                assert appended.offset is not None
                return appended.offset

    async def read_until(ended: asyncio.Event, idle: KafkaJournal, partition: int, offset: int) -> int:
        """How often the record was there; where nobody knows, nothing is said."""
        found = 0
        while not (found and ended.is_set()):
            try:
                records = await idle.read(partition, offset)
            except Unavailable:
                await asyncio.sleep(0.05)
                continue
            assert [record.offset for record in records][:1] == [offset], f"partition {partition}"
            found += 1
        return found

    for stopped in BROKERS[:2]:
        async with asyncio.timeout(BACK_S_MAX), asyncio.TaskGroup() as tasks:
            idle = await KafkaJournal.open(Cluster(cluster.bootstrap), "cluster", partitions=PARTITIONS)
            for partition in range(PARTITIONS):
                await whole(idle, partition)  # It knows now who leads.
            await asyncio.to_thread(cluster.broker(stopped).pause)
            try:
                offsets = [await written(partition) for partition in range(PARTITIONS)]
            finally:
                cluster.broker(stopped).resume()
            ended = asyncio.Event()
            reading = [
                tasks.create_task(read_until(ended, idle, partition, offset))
                for partition, offset in enumerate(offsets)
            ]
            await asyncio.sleep(READ_S)
            ended.set()
            assert all(await asyncio.gather(*reading))
            await idle.close()


async def whole(journal: KafkaJournal, partition: int) -> list[bytes]:
    """All that a partition holds. Leadership goes back and forth where brokers come back: who cannot be read now can be
    soon."""
    found: list[bytes] = []

    async def read() -> bool:
        try:
            found[:] = [record.data for record in await journal.read(partition, 0)]
        except Unavailable:
            return False
        return True

    await eventually(read, f"partition {partition} is read", timeout_s=BACK_S_MAX)
    return found


async def test_two_of_three_acknowledge_and_one_alone_does_not(cluster: KafkaCluster, journal: KafkaJournal) -> None:
    acknowledged: dict[int, list[bytes]] = {partition: [] for partition in range(PARTITIONS)}
    tried = set[bytes]()

    async def append(partition: int, data: bytes) -> None:
        tried.add(data)
        await journal.append(partition, data, fresh_producer=True)
        acknowledged[partition].append(data)

    async def acknowledges(what: str) -> None:
        """Every partition, sooner or later."""

        async def so(partition: int) -> bool:
            try:
                await append(partition, f"{what} {time.monotonic_ns()}".encode())
            except (AppendUnknown, AppendRejected):
                return False
            return True

        for partition in range(PARTITIONS):
            await eventually(partial(so, partition), f"{what}: {partition} is written", timeout_s=BACK_S_MAX)

    await acknowledges("all are there")
    await asyncio.to_thread(cluster.broker(1).kill9)
    await acknowledges("one is gone")
    await asyncio.to_thread(cluster.broker(2).kill9)
    for partition in range(PARTITIONS):
        began_s = time.monotonic()
        with pytest.raises((AppendUnknown, AppendRejected)):
            await append(partition, f"one is left of {partition}".encode())
        assert time.monotonic() - began_s < DEADLINE_MS / 1000 + LATE_S_MAX
    await asyncio.to_thread(cluster.broker(1).restart)
    await acknowledges("two are there again")
    await asyncio.to_thread(cluster.broker(2).restart)
    await acknowledges("all are there again")

    for partition, said in acknowledged.items():
        found = [data for data in await whole(journal, partition) if data in tried]
        assert [data for data in found if data in said] == said, "nothing acknowledged is lost, doubled, reordered"
        assert len(found) == len(set(found))
