"""What is particular to Kafka's two topics of members: they may be led by two brokers, and one of those may be away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import TopicPartition

from chapar_sourcing.adapters.kafka import Cluster, KafkaMembers, apply_topics, members_layouts
from chapar_sourcing.adapters.kafka._layouts import members_topic, owners_topic
from chapar_sourcing.adapters.kafka._link import Fetched, OutOfRange
from chapar_sourcing.members.records import announcement_record, beat_record
from chapar_sourcing.ports import Announcement, Beat, OwnersAway, Unavailable
from tools.kafka_server import KafkaServer

from ..brokers import ONE_BROKER, administer

SERVICE = "payments"
BEATS, OWNERS = members_topic(SERVICE), owners_topic(SERVICE)
BOUND_SECONDS = 20.0
DEADLINE_S = 60


def beat(sequence: int) -> Beat:
    return Beat(b"m" * 16, "127.0.0.1:1", sequence)


def said(epoch: int) -> Announcement:
    return Announcement(0, epoch, b"m" * 16, "127.0.0.1:1")


class Brokers:
    """Two topics, each with a leader of its own; in the place of a link to brokers and of the reader above it."""

    def __init__(self) -> None:
        self.link = self
        self.logs: dict[str, list[bytes]] = {BEATS: [], OWNERS: []}
        self.kept_from = 0
        self.away: set[str] = set()
        self.page = 100
        self.left: int | None = None
        """So many pages of the owners' log until its leader goes away."""

    async def partitions(self, topic: str) -> int:
        return 1

    async def offset(self, place: TopicPartition, which: int) -> int:
        return self.kept_from

    async def fetch(self, place: TopicPartition, from_offset: int, *, deadline_s: float | None = None) -> Fetched:
        if place.topic == OWNERS and self.left is not None:
            if self.left == 0:
                self.away.add(OWNERS)
            self.left -= 1
        if place.topic in self.away:
            raise Unavailable(f"{place.topic} has no leader")
        if from_offset < self.kept_from:
            raise OutOfRange
        records = list(enumerate(self.logs[place.topic]))[from_offset : from_offset + self.page]
        return Fetched(records, from_offset + len(records), len(self.logs[place.topic]))

    async def wait(self, topic: str, positions: Mapping[int, int], timeout_ms: int) -> bool:
        async with asyncio.timeout(BOUND_SECONDS):
            while topic in self.away or len(self.logs[topic]) <= positions[0]:  # noqa: ASYNC110 - nobody tells it.
                await asyncio.sleep(0)
        return True

    async def close(self) -> None:
        pass

    def append(self, *told: Beat | Announcement) -> None:
        for one in told:
            if isinstance(one, Beat):
                self.logs[BEATS].append(beat_record(SERVICE, one))
            else:
                self.logs[OWNERS].append(announcement_record(one))


@pytest.fixture
def brokers() -> Brokers:
    return Brokers()


async def joined(brokers: Any) -> KafkaMembers:
    members = KafkaMembers(brokers, Cluster("nobody:1"))
    await members.join(SERVICE)
    return members


async def test_beats_are_read_although_announcements_cannot_be(brokers: Brokers) -> None:
    members = await joined(brokers)
    brokers.append(said(1), beat(1))
    brokers.away.add(OWNERS)
    assert await members.news() == [OwnersAway(), beat(1)]
    brokers.append(beat(2))
    assert await members.news() == [OwnersAway(), beat(2)]
    brokers.away.clear()
    brokers.append(beat(3))
    assert await members.news() == [said(1), beat(3)]
    await members.close()


async def test_announcements_that_came_before_their_broker_went_are_kept(brokers: Brokers) -> None:
    members = await joined(brokers)
    brokers.page, brokers.left = 1, 2
    brokers.append(said(1), said(2), said(3), beat(1))
    assert await members.news() == [said(1), said(2), OwnersAway(), beat(1)]
    brokers.away.clear()
    brokers.left = None
    assert await members.news() == [said(3)]
    await members.close()


async def test_without_beats_nothing_is_told_before_announcements_can_be_read(brokers: Brokers) -> None:
    members = await joined(brokers)
    brokers.append(said(1))
    brokers.away.add(OWNERS)
    with pytest.raises(Unavailable):
        await members.news()
    brokers.away.clear()
    assert await members.news() == [said(1)]
    await members.close()


async def test_without_the_broker_of_the_beats_nothing_is_lost(brokers: Brokers) -> None:
    members = await joined(brokers)
    brokers.append(said(1), beat(1))
    brokers.away.add(BEATS)
    with pytest.raises(Unavailable):
        await members.news()
    brokers.away.clear()
    assert await members.news() == [said(1), beat(1)]
    await members.close()


@pytest.mark.kafka
@pytest.mark.xdist_group("kafka")
async def test_beats_tell_the_brokers_time_and_go_on_without_the_topic_of_owners(kafka_server: KafkaServer) -> None:
    cluster = Cluster(kafka_server.bootstrap)
    service = "ownerless"
    await apply_topics(cluster, members_layouts(service), ONE_BROKER)
    members = await KafkaMembers.open(cluster)
    await members.join(service)
    await members.announce(said(1))
    before_ms = int(time.time() * 1000)
    appended_ms = await members.beat(beat(1))
    assert appended_ms is not None
    assert before_ms - 1_000 <= appended_ms <= int(time.time() * 1000) + 1_000
    async with asyncio.timeout(DEADLINE_S):
        assert await members.news() == [said(1), beat(1)]
        await administer(cluster, lambda admin: admin.delete_topics([owners_topic(service)]))
        await members.beat(beat(2))
        assert await members.news() == [OwnersAway(), beat(2)]
    await members.close()
