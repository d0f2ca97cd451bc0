"""Topics on the one broker of a test run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from chapar_sourcing.adapters.kafka import Cluster, Durability, TopicLayout, apply_topics, journal_layout

ONE_BROKER = Durability(replicas=1)


async def create_topics(
    cluster: Cluster, service: str, *, partitions: int, topics: Mapping[str, int | None] | None = None
) -> None:
    """A service's journal and its streams (name -> how long records are kept, milliseconds)."""
    streams = [TopicLayout(name, partitions, kept_ms) for name, kept_ms in (topics or {}).items()]
    await apply_topics(cluster, [journal_layout(service, partitions), *streams], ONE_BROKER)


async def administer(cluster: Cluster, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """What an operator does with other tools."""
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    try:
        return await work(admin)
    finally:
        await admin.close()


async def configure(cluster: Cluster, topic: str, config: dict[str, str]) -> None:
    """Replaces all of a topic's own settings, as Kafka does it."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, config)
    (answer,) = await administer(cluster, lambda admin: admin.alter_configs([resource]))
    assert [error_code for error_code, *_ in answer.resources] == [0]


async def configuration(cluster: Cluster, topic: str) -> dict[str, str]:
    """All settings of a topic in force."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    (answer,) = await administer(cluster, lambda admin: admin.describe_configs([resource]))
    ((error_code, _, _, _, entries),) = answer.resources
    assert error_code == 0
    return {name: value for name, value, *_ in entries}
