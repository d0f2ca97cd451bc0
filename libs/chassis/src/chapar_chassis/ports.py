"""Opens the ports of a process as its settings say: files of the data folder, or Kafka for journal, streams and members
and MongoDB for store and keys.

The layout of the data folder is known here and nowhere else. What knows MongoDB is
imported where it is needed: the driver takes 0.4 s of CPU to load and 18 MB, which embedded services need not pay.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from chapar_chassis.secrets import Secrets
from chapar_chassis.settings import CommonSettings
from chapar_sourcing.adapters.kafka import (
    Cluster,
    Credentials,
    Durability,
    KafkaJournal,
    KafkaMembers,
    KafkaStream,
    TopicLayout,
    check_topics,
    journal_layout,
    members_layouts,
)
from chapar_sourcing.adapters.sqlite import (
    SqliteJournal,
    SqliteJournalReader,
    SqliteKeyReader,
    SqliteKeyStore,
    SqliteMembers,
    SqliteStore,
    SqliteStream,
)
from chapar_sourcing.hosting import HostPorts
from chapar_sourcing.keyring import check_master
from chapar_sourcing.ports import Journal, KeyRow, KeyStore, Members, Store, Stream

REVOCATIONS_TOPIC = "revocations.v1"
TOPIC_PRODUCERS = {REVOCATIONS_TOPIC: "identity"}
"""Topics that are not called after the service that publishes them."""
BEAT_MS = 300
BEATEN_TOPIC_RETENTION_MS = 3_600_000
RESTORING = "restoring"
"""Folder in the data folder for as long as a backup is being restored: nobody decides meanwhile."""


class KeyReader(Protocol):
    """Hands out all keys of a key store, for copies of it."""

    def rows(self) -> AsyncIterator[KeyRow]:
        """By subject and period, each key that is there from the first moment of reading to the last.

        Raises `Unavailable`.
        """

    async def close(self) -> None:
        """Ends reading."""


@dataclass(frozen=True, slots=True)
class PublishedTopic:
    """A stream that a service publishes."""

    name: str
    beat_ms: int | None = None
    retention_ms: int | None = None
    """None: for ever."""


def published_topics(service: str, beat_topics: Sequence[str]) -> Sequence[PublishedTopic]:
    """A service's own event stream, kept for ever, and those that beat, kept for an hour."""
    beaten = [PublishedTopic(name, BEAT_MS, BEATEN_TOPIC_RETENTION_MS) for name in beat_topics]
    return [PublishedTopic(f"{service}.events.v1"), *beaten]


def cluster_of(settings: CommonSettings) -> Cluster:
    """The Kafka installation of the settings. Raises `SecretsInvalid`, and `OSError` for certificates that cannot be
    read."""
    if not settings.kafka_user:
        return Cluster(settings.kafka)
    password = Secrets(settings.secrets_dir).password("kafka.password")
    tls = ssl.create_default_context(cafile=settings.kafka_ca)
    return Cluster(settings.kafka, Credentials(settings.kafka_user, password, tls))


def durability_of(settings: CommonSettings) -> Durability:
    """What an acknowledgement is to be worth."""
    return Durability(settings.kafka_replicas)


def topic_layouts(settings: CommonSettings, service: str, topics: Sequence[PublishedTopic]) -> Sequence[TopicLayout]:
    """How the topics that a service writes must be laid out on Kafka."""
    streams = [TopicLayout(topic.name, settings.partitions, topic.retention_ms) for topic in topics]
    return [journal_layout(service, settings.partitions), *streams, *members_layouts(service)]


async def open_journal(settings: CommonSettings, service: str) -> Journal:
    """The journal of a service. Raises `FileRefused`, `TopicRefused` or `Unavailable`."""
    if settings.kafka:
        journal: Journal = await KafkaJournal.open(cluster_of(settings), service, partitions=settings.partitions)
        return journal
    path = settings.data_dir / service / "journal.db"
    return await SqliteJournal.open(path, service=service, partitions=settings.partitions)


async def open_journal_reader(settings: CommonSettings, service: str) -> Journal | SqliteJournalReader:
    """The journal of a service for reading, also while the service runs. Raises as `open_journal` does."""
    if settings.kafka:
        return await open_journal(settings, service)
    return await SqliteJournalReader.open(settings.data_dir / service / "journal.db", service=service)


async def open_key_reader(settings: CommonSettings, service: str) -> KeyReader:
    """The data keys of a service for reading, also while the service runs. Raises as `open_keys` does."""
    if settings.mongo_uri:
        from chapar_chassis.database import open_database_keys

        return await open_database_keys(settings, service)
    return await SqliteKeyReader.open(settings.data_dir / service / "keys.db", service=service)


async def open_store(settings: CommonSettings, service: str) -> Store:
    """The store of a service. Raises `FileRefused`, `DatabaseRefused` or `Unavailable`."""
    if settings.mongo_uri:
        from chapar_chassis.database import open_database_store

        return await open_database_store(settings, service)
    return await SqliteStore.open(settings.data_dir / service / "store.db", service=service)


async def open_members(settings: CommonSettings) -> Members:
    """The view of all members; a member itself only after `join`. Raises `Unavailable`."""
    if settings.kafka:
        members: Members = await KafkaMembers.open(cluster_of(settings))
        return members
    return await SqliteMembers.open(settings.data_dir / "members")


async def open_reading_stream(settings: CommonSettings) -> Stream:
    """Reads the streams of all services. Raises `Unavailable`."""
    if settings.kafka:
        stream: Stream = await KafkaStream.open(cluster_of(settings))
        return stream
    return await SqliteStream.open(settings.data_dir / "streams", producers=TOPIC_PRODUCERS)


async def open_publishing_stream(settings: CommonSettings, service: str, topics: Sequence[PublishedTopic]) -> Stream:
    """Publishes a service's own topics and reads all others. Raises `FileRefused` or `Unavailable`."""
    if settings.kafka:
        stream: Stream = await KafkaStream.open(cluster_of(settings))
        return stream
    return await SqliteStream.open(
        settings.data_dir / "streams",
        service=service,
        topics={topic.name: topic.retention_ms for topic in topics},
        partitions=settings.partitions,
        producers=TOPIC_PRODUCERS,
    )


async def open_keys(settings: CommonSettings, service: str) -> KeyStore:
    """The data keys of a service. Raises `FileRefused`, `DatabaseRefused` or `Unavailable`."""
    if settings.mongo_uri:
        from chapar_chassis.database import open_database_keys

        return await open_database_keys(settings, service)
    return await SqliteKeyStore.open(settings.data_dir / service / "keys.db", service=service)


async def refuse_other_journal(service: str, journal: Journal, store: Store) -> None:
    """Raises `RuntimeError` when the store was written from another journal than this one."""
    for partition in range(journal.partitions):
        checkpoint = await store.read_checkpoint(partition)
        if checkpoint is not None and checkpoint.journal_id != journal.journal_id:
            raise RuntimeError(
                f"the store of {service} belongs to another journal, {checkpoint.journal_id}, not to"
                f" {journal.journal_id}: nothing is decided on it. Name the one that belongs to it, or an empty one,"
                " which is folded from the log"
            )


async def refuse_other_master(service: str, settings: CommonSettings, master_key: bytes) -> None:
    """Raises `RuntimeError` when the service's data keys are wrapped by another master key than this one."""
    reader = await open_key_reader(settings, service)
    try:
        async for row in reader.rows():
            check_master(master_key, row)
            return
    except ValueError:
        raise RuntimeError(
            f"the data keys of {service} are wrapped by another master key than {settings.secrets_dir / 'master.key'}:"
            " put the secrets back that belong to this data"
        ) from None
    finally:
        await reader.close()


@dataclass(frozen=True, slots=True)
class OwnerPorts:
    """What an owner service opens. A host closes what is in `host` at its own end."""

    host: HostPorts
    keys: KeyStore


async def open_owner_ports(
    settings: CommonSettings, service: str, topics: Sequence[PublishedTopic], closing: AsyncExitStack
) -> OwnerPorts:
    """Opens all ports of an owner service; `closing` closes each of them, also when a later one fails.

    Topics and the database's layout are looked at and never changed: a process that decides needs no right to.
    """
    if (settings.data_dir / RESTORING).exists():
        raise RuntimeError("a backup is being restored into this installation: run `chapar restore` to its end first")
    if settings.kafka:
        layouts = topic_layouts(settings, service, topics)
        await check_topics(cluster_of(settings), layouts, durability_of(settings))
    journal = await open_journal(settings, service)
    closing.push_async_callback(journal.close)
    keys = await open_keys(settings, service)
    closing.push_async_callback(keys.close)
    store = await open_store(settings, service)
    closing.push_async_callback(store.close)
    await refuse_other_journal(service, journal, store)
    stream = await open_publishing_stream(settings, service, topics)
    closing.push_async_callback(stream.close)
    members = await open_members(settings)
    closing.push_async_callback(members.close)
    return OwnerPorts(HostPorts(journal=journal, store=store, members=members, stream=stream), keys)
