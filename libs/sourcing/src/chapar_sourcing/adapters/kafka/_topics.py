"""How topics are laid out on Kafka, and their creation for development and tests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from chapar_sourcing.adapters.kafka._link import LATEST, Link
from chapar_sourcing.ports import Unavailable
from chapar_sourcing.ports.journal import RECORD_BYTES_MAX

FOR_EVER = "-1"
DEADLINE_S = 60.0


class TopicRefused(RuntimeError):
    """A topic is not as it should be. The text is for the operator."""


def journal_topic(service: str) -> str:
    """The topic of a service's journal."""
    return f"{service}.journal"


def _config(retention_ms: int | None) -> dict[str, str]:
    """Never compacted, the broker's clock in every record, kept for ever unless said otherwise."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": FOR_EVER if retention_ms is None else str(retention_ms),
        "retention.bytes": FOR_EVER,
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(RECORD_BYTES_MAX + 100 * 1024),
        **({} if retention_ms is None else {"segment.ms": str(max(retention_ms // 4, 60_000))}),
    }


async def create_topics(
    bootstrap: str, service: str, *, partitions: int = 16, topics: Mapping[str, int | None] | None = None,
    replication: int = 1,
) -> None:  # fmt: skip
    """Creates `<service>.journal` and the service's streams (name -> retention in ms, None for ever) where they are
    missing, and waits for their leaders.

    Raises `TopicRefused` when one exists with other partitions, `Unavailable` when the broker does not answer.
    """
    wanted = {journal_topic(service): None, **(topics or {})}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=10_000)
    try:
        async with asyncio.timeout(DEADLINE_S):
            await admin.start()
            answer = await admin.create_topics(
                [NewTopic(topic, partitions, replication, topic_configs=_config(ms)) for topic, ms in wanted.items()]
            )
            for topic, error_code, *_ in answer.topic_errors:
                if error_code != 0 and for_code(error_code) is not TopicAlreadyExistsError:
                    raise TopicRefused(f"{topic} cannot be created: {for_code(error_code).__name__}")
            await _wait_for_leaders(bootstrap, list(wanted), partitions)
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(f"topics of {service} cannot be created: {error!r}") from error
    finally:
        await admin.close()


async def check_partitions(link: Link, topic: str, partitions: int) -> None:
    """Raises `TopicRefused` when a topic is missing or has other partitions, `Unavailable`."""
    found = await link.partitions_of(topic)
    if found is None:
        raise TopicRefused(f"there is no topic {topic}; it must be created first")
    if found != partitions:
        raise TopicRefused(
            f"{topic} has {found} partitions; {partitions} were asked for, and they cannot be changed so"
        )


async def _wait_for_leaders(bootstrap: str, topics: list[str], partitions: int) -> None:
    link = await Link.open(bootstrap)
    try:
        for topic in topics:
            await _wait_for_leader(link, topic, partitions)
    finally:
        await link.close()


async def _wait_for_leader(link: Link, topic: str, partitions: int) -> None:
    """Metadata names leaders before they serve: waits until each partition answers."""
    while True:
        try:
            found = await link.partitions_of(topic)
            if found == partitions:
                for partition in range(partitions):
                    await link.offset(TopicPartition(topic, partition), LATEST)
                return
        except Unavailable:
            found = None
        if found is not None:
            raise TopicRefused(f"{topic} has {found} partitions, not {partitions}")
        await asyncio.sleep(0.05)
