"""Who leads a partition is asked of the other brokers before anybody is told that it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from chapar_sourcing.adapters.kafka._leaders import Leaders
from chapar_sourcing.ports import Unavailable

PLACE = TopicPartition("messaging.journal", 3)


@dataclass
class Brokers:
    """As much of aiokafka's client as is asked: each broker's word on who leads, None for one that is away."""

    word: dict[int, int | None]
    asked: list[int] = field(default_factory=list)
    refreshed: int = 0

    @property
    def cluster(self) -> SimpleNamespace:
        return SimpleNamespace(brokers=lambda: [SimpleNamespace(nodeId=node) for node in self.word])

    def force_metadata_update(self) -> None:
        self.refreshed += 1

    async def send(self, node: int, request: MetadataRequest) -> SimpleNamespace:
        self.asked.append(node)
        leader = self.word[node]
        if leader is None:
            raise KafkaConnectionError
        partitions = [(0, PLACE.partition, leader, [1, 2, 3], [1, 2, 3], [])]
        return SimpleNamespace(topics=[(0, PLACE.topic, False, partitions)])


async def test_a_leader_that_all_others_name_is_confirmed_once_for_a_while() -> None:
    brokers = Brokers({1: 1, 2: 1, 3: 1})
    leaders = Leaders(brokers)
    await leaders.confirm(PLACE, 1)
    await leaders.confirm(PLACE, 1)
    assert sorted(brokers.asked) == [2, 3]
    assert not brokers.refreshed


async def test_one_that_is_away_is_not_needed_but_the_metadata_is_old() -> None:
    brokers = Brokers({1: 1, 2: 1, 3: None})
    await Leaders(brokers).confirm(PLACE, 1)
    assert brokers.refreshed == 1


@pytest.mark.parametrize("others", [{2: 2, 3: 1}, {2: 2, 3: 2}, {2: None, 3: 2}, {2: None, 3: None}])
async def test_a_leader_of_the_past_is_not_believed(others: dict[int, int | None]) -> None:
    brokers = Brokers({1: 1, **others})
    leaders = Leaders(brokers)
    for count in (1, 2):
        with pytest.raises(Unavailable, match="nobody confirms that broker 1 leads"):
            await leaders.confirm(PLACE, 1)
        assert brokers.refreshed == count
    assert sorted(brokers.asked) == [2, 2, 3, 3]


async def test_a_broker_alone_has_nobody_to_contradict_it() -> None:
    brokers = Brokers({1: 1})
    await Leaders(brokers).confirm(PLACE, 1)
    assert not brokers.asked
