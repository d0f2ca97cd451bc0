"""Topics at the brokers: made and set right by an operator (`apply_topics`), looked at by every process that starts
(`check_topics`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from chapar_sourcing.adapters.kafka._cluster import Cluster
from chapar_sourcing.adapters.kafka._layouts import (
    Durability,
    FoundTopic,
    TopicLayout,
    TopicRefused,
    fixed_problems_of,
    problems_of,
    wanted_config,
    wrong_settings,
)
from chapar_sourcing.adapters.kafka._link import LATEST, Link
from chapar_sourcing.adapters.kafka._refusals import why_not
from chapar_sourcing.ports import Unavailable

DEADLINE_S = 60.0
REQUEST_MS = 10_000
SET_FOR_THE_TOPIC = 1
"""Where a setting comes from, as DescribeConfigs says it: here."""


@dataclass(frozen=True, slots=True)
class TopicChange:
    """What `apply_topics` did about one topic."""

    topic: str
    change: Literal["created", "changed", "unchanged"]
    settings: tuple[str, ...] = ()
    """Names of the settings that were changed."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """How a topic is."""

    topic: str
    partitions: int
    """0: there is no such topic."""
    replicas: int
    """Of the partition that has fewest."""
    settings: Mapping[str, str]
    """Those that are relied on."""
    problems: int
    """How many things are wrong with it; `check_topics` says which."""


async def apply_topics(
    cluster: Cluster, layouts: Sequence[TopicLayout], durability: Durability
) -> Sequence[TopicChange]:
    """Creates topics that are missing, sets those right that are not, and waits for all leaders. Settings that nobody
    relies on stay as they are.

    Raises `TopicRefused`, before anything is changed, with all that cannot be set right so; and `Unavailable`.
    """
    async with _administering(cluster, "topics cannot be applied") as admin:
        found = [await _describe(admin, layout.name) for layout in layouts]
        _refuse(
            problem
            for layout, there in zip(layouts, found, strict=True)
            if there is not None
            for problem in fixed_problems_of(layout, there, durability)
        )
        changes = [
            await _create(admin, layout, durability) if there is None else await _set(admin, layout, there, durability)
            for layout, there in zip(layouts, found, strict=True)
        ]
        await _wait_for_leaders(cluster, layouts)
        return changes


async def check_topics(cluster: Cluster, layouts: Sequence[TopicLayout], durability: Durability) -> None:
    """Raises `TopicRefused` with everything that is wrong with any of the topics, `Unavailable`. Changes nothing."""
    async with _administering(cluster, "topics cannot be looked at") as admin:
        found = [await _describe(admin, layout.name) for layout in layouts]
        _refuse(
            problem
            for layout, there in zip(layouts, found, strict=True)
            for problem in problems_of(layout, there, durability)
        )


async def describe_topics(
    cluster: Cluster, layouts: Sequence[TopicLayout], durability: Durability
) -> Sequence[TopicState]:
    """How each topic is, right or wrong. Raises `TopicRefused` for what we may not look at, `Unavailable`."""
    async with _administering(cluster, "topics cannot be looked at") as admin:
        found = [await _describe(admin, layout.name) for layout in layouts]
    return [_state(layout, there, durability) for layout, there in zip(layouts, found, strict=True)]


def _state(layout: TopicLayout, found: FoundTopic | None, durability: Durability) -> TopicState:
    problems = sum(1 for _ in problems_of(layout, found, durability))
    if found is None:
        return TopicState(layout.name, 0, 0, {}, problems)
    relied_on = {name: found.config.get(name, "") for name in wanted_config(layout, durability)}
    return TopicState(layout.name, found.partitions, found.replicas, relied_on, problems)


async def topics_with_records(cluster: Cluster, topics: Sequence[str]) -> Sequence[str]:
    """Those of the topics that were ever written to; one that is not there never was. Raises `TopicRefused` for what we
    may not look at, `Unavailable`."""
    async with _administering(cluster, "topics cannot be looked at") as admin:
        described = {topic: await _describe(admin, topic) for topic in topics}
    link = await Link.open(cluster)
    try:
        return [topic for topic, found in described.items() if found and await _was_written(link, topic)]
    finally:
        await link.close()


async def _was_written(link: Link, topic: str) -> bool:
    count = await link.partitions_of(topic)
    if count is None:
        raise Unavailable(f"{topic} has no leader")
    ends = await asyncio.gather(*(link.confirmed_end(TopicPartition(topic, partition)) for partition in range(count)))
    return any(ends)


async def check_partitions(link: Link, topic: str, partitions: int) -> None:
    """Raises `TopicRefused` when a topic is missing or has other partitions, `Unavailable`."""
    found = await link.partitions_of(topic)
    if found is None:
        raise TopicRefused(f"there is no topic {topic}; `chapar topics apply` creates it")
    if found != partitions:
        raise TopicRefused(
            f"{topic} has {found} partitions; {partitions} were asked for, and they cannot be changed so"
        )


def _refuse(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        raise TopicRefused("; ".join(found))


@asynccontextmanager
async def _administering(cluster: Cluster, failure: str) -> AsyncIterator[Any]:
    """An admin client within the deadline. Raises `TopicRefused` for what we may not do, else `Unavailable`."""
    admin = AIOKafkaAdminClient(request_timeout_ms=REQUEST_MS, **cluster.client_options())
    try:
        async with asyncio.timeout(DEADLINE_S):
            await admin.start()
            yield admin
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
        raise TopicRefused(f"{failure}: the brokers do not allow it to this user ({type(error).__name__})") from error
    except KafkaConnectionError as error:
        raise Unavailable(f"{failure}: {await why_not(cluster)}") from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(f"{failure}: {error!r}") from error
    finally:
        await admin.close()


async def _describe(admin: Any, topic: str) -> FoundTopic | None:
    """A topic as it is; None when there is no such topic."""
    (described,) = await admin.describe_topics([topic])
    if for_code(described["error_code"]) is UnknownTopicOrPartitionError:
        return None
    _check(described["error_code"])
    (answer,) = await admin.describe_configs([_resource(topic, None)])
    ((error_code, _, _, _, entries),) = answer.resources
    _check(error_code)
    partitions = described["partitions"]
    return FoundTopic(
        partitions=len(partitions),
        replicas=min((len(one["replicas"]) for one in partitions), default=0),
        config={name: value or "" for name, value, *_ in entries},
        own_config={name: value or "" for name, value, _, source, *_ in entries if source == SET_FOR_THE_TOPIC},
    )


async def _create(admin: Any, layout: TopicLayout, durability: Durability) -> TopicChange:
    config = wanted_config(layout, durability)
    topic = NewTopic(layout.name, layout.partitions, durability.replicas, topic_configs=config)
    answer = await admin.create_topics([topic])
    ((_, error_code, message, *_),) = answer.topic_errors
    error = for_code(error_code)
    if error is TopicAlreadyExistsError:  # somebody else made it meanwhile
        found = await _eventually_described(admin, layout.name)
        _refuse(fixed_problems_of(layout, found, durability))
        return await _set(admin, layout, found, durability)
    if error_code != 0:
        if issubclass(error, (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)):
            raise error
        raise TopicRefused(f"{layout.name} cannot be created: {message or error.__name__}")
    return TopicChange(layout.name, "created")


async def _eventually_described(admin: Any, topic: str) -> FoundTopic:
    while (found := await _describe(admin, topic)) is None:  # noqa: ASYNC110 - another client's creation spreads
        await asyncio.sleep(0.05)
    return found


async def _set(admin: Any, layout: TopicLayout, found: FoundTopic, durability: Durability) -> TopicChange:
    """Sets what is wrong. The request replaces all of a topic's own settings, so it repeats the others."""
    wrong = dict(wrong_settings(layout, found, durability))
    if not wrong:
        return TopicChange(layout.name, "unchanged")
    (answer,) = await admin.alter_configs([_resource(layout.name, {**found.own_config, **wrong})])
    for error_code, message, *_ in answer.resources:
        if error_code != 0:
            raise TopicRefused(f"{layout.name} cannot be set right: {message or for_code(error_code).__name__}")
    return TopicChange(layout.name, "changed", tuple(wrong))


def _resource(topic: str, config: dict[str, str] | None) -> Any:
    return ConfigResource(ConfigResourceType.TOPIC, topic, config)


def _check(error_code: int) -> None:
    if error_code != 0:
        raise for_code(error_code)()


async def _wait_for_leaders(cluster: Cluster, layouts: Sequence[TopicLayout]) -> None:
    link = await Link.open(cluster)
    try:
        for layout in layouts:
            await _wait_for_leader(link, layout)
    finally:
        await link.close()


async def _wait_for_leader(link: Link, layout: TopicLayout) -> None:
    """Metadata names leaders before they serve: waits until each partition answers."""
    while True:
        try:
            if await link.partitions_of(layout.name) == layout.partitions:
                for partition in range(layout.partitions):
                    await link.offset(TopicPartition(layout.name, partition), LATEST)
                return
        except Unavailable:
            pass  # not yet: the caller's deadline bounds this
        await asyncio.sleep(0.05)
