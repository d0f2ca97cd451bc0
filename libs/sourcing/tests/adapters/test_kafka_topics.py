"""Topics as operators make them and as processes look at them before they start."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest

from chapar_sourcing.adapters.kafka import (
    Cluster,
    Durability,
    KafkaJournal,
    TopicLayout,
    TopicRefused,
    apply_topics,
    check_topics,
    journal_layout,
    topics_with_records,
)
from tools.kafka_server import KafkaServer

from ..brokers import ONE_BROKER, configuration, configure

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka")]


@pytest.fixture
def cluster(kafka_server: KafkaServer) -> Cluster:
    return Cluster(kafka_server.bootstrap)


@pytest.fixture
def journal() -> TopicLayout:
    return journal_layout(f"s{secrets.token_hex(4)}", 3)


async def test_applying_topics_again_changes_nothing(cluster: Cluster, journal: TopicLayout) -> None:
    first = await apply_topics(cluster, [journal], ONE_BROKER)
    assert [one.change for one in first] == ["created"]
    opened = await KafkaJournal.open(cluster, journal.name.removesuffix(".journal"), partitions=3)
    await opened.append(0, b"kept")
    before = await configuration(cluster, journal.name)
    again = await apply_topics(cluster, [journal], ONE_BROKER)
    assert [one.change for one in again] == ["unchanged"]
    assert [record.data for record in await opened.read(0, 0)] == [b"kept"]
    assert await configuration(cluster, journal.name) == before
    await opened.close()


async def test_applied_topics_have_the_settings_that_readers_rely_on(cluster: Cluster, journal: TopicLayout) -> None:
    an_hour = TopicLayout(f"{journal.name}.beats", 1, kept_ms=3_600_000)
    newest = TopicLayout(f"{journal.name}.owners", 1, compacted=True)
    layouts = [journal, an_hour, newest]
    await apply_topics(cluster, layouts, ONE_BROKER)
    await check_topics(cluster, layouts, ONE_BROKER)
    found = [await configuration(cluster, layout.name) for layout in layouts]
    assert [one["cleanup.policy"] for one in found] == ["delete", "delete", "compact"]
    assert [one["retention.ms"] for one in found] == ["-1", "3600000", "-1"]
    for one in found:
        assert one["retention.bytes"] == "-1"
        assert one["message.timestamp.type"] == "LogAppendTime"
        assert one["unclean.leader.election.enable"] == "false"


async def test_what_was_ever_written_to_is_known_and_nothing_has_to_be_there(
    cluster: Cluster, journal: TopicLayout
) -> None:
    names = ["nowhere.journal", journal.name]
    assert await topics_with_records(cluster, names) == []
    await apply_topics(cluster, [journal], ONE_BROKER)
    assert await topics_with_records(cluster, names) == []
    log = await KafkaJournal.open(cluster, journal.name.removesuffix(".journal"), partitions=journal.partitions)
    await log.append(journal.partitions - 1, b"record")
    await log.close()
    assert await topics_with_records(cluster, names) == [journal.name]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "compact,delete"),
        ("retention.ms", "604800000"),
        ("retention.bytes", "1000000"),
        ("unclean.leader.election.enable", "true"),
        ("message.timestamp.type", "CreateTime"),
        ("max.message.bytes", "10000"),
    ],
)
async def test_a_journal_that_could_lose_records_is_refused_and_applying_mends_it(
    cluster: Cluster, journal: TopicLayout, setting: str, value: str
) -> None:
    await apply_topics(cluster, [journal], ONE_BROKER)
    right = await configuration(cluster, journal.name)
    kept = {"segment.bytes": "20000000"}
    names = ("cleanup.policy", "retention.ms", "retention.bytes", "message.timestamp.type", "max.message.bytes")
    await configure(cluster, journal.name, {**{name: right[name] for name in names}, **kept, setting: value})
    with pytest.raises(TopicRefused, match=f"{journal.name} has {setting}={value} where {right[setting]} is needed"):
        await check_topics(cluster, [journal], ONE_BROKER)
    (change,) = await apply_topics(cluster, [journal], ONE_BROKER)
    assert (change.change, change.settings) == ("changed", (setting,))
    await check_topics(cluster, [journal], ONE_BROKER)
    assert (await configuration(cluster, journal.name))["segment.bytes"] == "20000000"


async def test_a_stream_may_keep_its_records_longer(cluster: Cluster, journal: TopicLayout) -> None:
    layout = TopicLayout(f"{journal.name}.beats", 1, kept_ms=3_600_000)
    await apply_topics(cluster, [layout], ONE_BROKER)
    for kept_ms, refused in (("7200000", False), ("-1", False), ("1800000", True)):
        right = await configuration(cluster, layout.name)
        await configure(
            cluster,
            layout.name,
            {
                "retention.ms": kept_ms,
                "message.timestamp.type": "LogAppendTime",
                "max.message.bytes": right["max.message.bytes"],
            },
        )
        if refused:
            with pytest.raises(TopicRefused, match=r"retention\.ms=1800000"):
                await check_topics(cluster, [layout], ONE_BROKER)
        else:
            await check_topics(cluster, [layout], ONE_BROKER)


async def test_partitions_and_replicas_are_never_changed(cluster: Cluster, journal: TopicLayout) -> None:
    await apply_topics(cluster, [journal], ONE_BROKER)
    more = replace(journal, partitions=4)
    new = TopicLayout(f"{journal.name}.new", 1)
    for act in (apply_topics, check_topics):
        with pytest.raises(TopicRefused, match="has 3 partitions; 4 were asked for"):
            await act(cluster, [more], ONE_BROKER)
        with pytest.raises(TopicRefused, match="has 1 replicas where 3 are asked for"):
            await act(cluster, [journal], Durability(replicas=3))
    with pytest.raises(TopicRefused, match="has 3 partitions"):
        await apply_topics(cluster, [new, more], ONE_BROKER)
    with pytest.raises(TopicRefused, match=f"there is no topic {new.name}"):
        await check_topics(cluster, [new], ONE_BROKER)


async def test_all_that_is_wrong_is_said_at_once(cluster: Cluster, journal: TopicLayout) -> None:
    await apply_topics(cluster, [journal], ONE_BROKER)
    await configure(cluster, journal.name, {"cleanup.policy": "compact"})
    with pytest.raises(TopicRefused) as refused:
        await check_topics(cluster, [journal, TopicLayout("no-such-topic", 1)], ONE_BROKER)
    assert "cleanup.policy=compact" in str(refused.value)
    assert "message.timestamp.type=CreateTime" in str(refused.value)
    assert "there is no topic no-such-topic" in str(refused.value)


async def test_more_replicas_than_brokers_are_refused_with_the_brokers_reason(
    cluster: Cluster, journal: TopicLayout
) -> None:
    with pytest.raises(TopicRefused, match=r"cannot be created.*replication factor"):
        await apply_topics(cluster, [journal], Durability(replicas=3))
