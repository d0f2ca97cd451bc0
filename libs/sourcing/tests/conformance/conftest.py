"""The adapters under test. Each fixture opens adapters of one kind on one lasting thing (a folder, a topic, a log in
memory), as often as the test asks, and closes what it left open."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from chapar_sourcing.adapters import memory, sqlite
from chapar_sourcing.adapters.kafka import (
    Cluster,
    Durability,
    KafkaJournal,
    KafkaMembers,
    KafkaStream,
    apply_topics,
    members_layouts,
)
from chapar_sourcing.adapters.mongo import Database, MongoKeyStore, MongoStore, prepare
from chapar_sourcing.ports import Journal, KeyStore, Members, Store, Stream

from ..brokers import create_topics

T = TypeVar("T")
KAFKA = pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.xdist_group("kafka")])
MONGO = pytest.param("mongo", marks=[pytest.mark.mongo, pytest.mark.xdist_group("mongo")])


class Adapters(Generic[T]):
    """Opens adapters of one port on the same lasting thing."""

    def __init__(self, opening: Callable[..., Awaitable[T]]) -> None:
        self._opening = opening
        self._opened: list[Any] = []

    async def open(self, **options: Any) -> T:
        """One more adapter; closed at the end of the test at the latest."""
        adapter = await self._opening(**options)
        self._opened.append(adapter)
        return adapter

    async def close(self) -> None:
        """Closes all of them; closing twice must be harmless."""
        for adapter in reversed(self._opened):
            await adapter.close()


@pytest.fixture(params=["memory", "sqlite", KAFKA])
async def journals(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Adapters[Journal]]:
    """Journals of 4 partitions."""
    opening: Callable[..., Awaitable[Journal]]
    match request.param:
        case "memory":
            log = memory.MemoryLog(partitions=4)

            async def opening(partitions: int = 4) -> Journal:
                return memory.MemoryJournal(log, partitions=partitions)

        case "sqlite":

            async def opening(partitions: int = 4) -> Journal:
                return await sqlite.SqliteJournal.open(tmp_path / "messaging" / "journal.db", partitions=partitions)

        case _:
            cluster = Cluster(request.getfixturevalue("kafka_server").bootstrap)
            service = f"s{secrets.token_hex(4)}"
            await create_topics(cluster, service, partitions=4)

            async def opening(partitions: int = 4) -> Journal:
                return await KafkaJournal.open(cluster, service, partitions=partitions)

    adapters = Adapters(opening)
    yield adapters
    await adapters.close()


class Streams(Adapters[Stream]):
    """`open` gives the publisher of `topic` and `short`, `open_reader` somebody in another process."""

    def __init__(
        self,
        service: str,
        publisher: Callable[..., Awaitable[Stream]],
        reader: Callable[[], Awaitable[Stream]],
    ) -> None:
        super().__init__(publisher)
        self.topic = f"{service}.events.v1"
        self.other = f"{service}.others.v1"
        self._reader = reader

    async def open_reader(self) -> Stream:
        """One more reader."""
        adapter = await self._reader()
        self._opened.append(adapter)
        return adapter


@pytest.fixture(params=["memory", "sqlite", KAFKA])
async def streams(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Streams]:
    """Streams of two topics with 4 partitions, kept for ever."""
    service = f"s{secrets.token_hex(4)}"
    topics: Mapping[str, int | None] = {f"{service}.events.v1": None, f"{service}.others.v1": None}
    publisher: Callable[[], Awaitable[Stream]]
    reader: Callable[[], Awaitable[Stream]]
    match request.param:
        case "memory":
            shared = memory.MemoryTopics()

            async def publisher() -> Stream:
                return memory.MemoryStream(shared, topics=topics, partitions=4)

            async def reader() -> Stream:
                return memory.MemoryStream(shared)

        case "sqlite":

            async def publisher() -> Stream:
                return await sqlite.SqliteStream.open(tmp_path, service=service, topics=topics, partitions=4)

            async def reader() -> Stream:
                return await sqlite.SqliteStream.open(tmp_path)

        case _:
            cluster = Cluster(request.getfixturevalue("kafka_server").bootstrap)

            async def publisher() -> Stream:
                await create_topics(cluster, service, partitions=4, topics=topics)
                return await KafkaStream.open(cluster)

            async def reader() -> Stream:
                return await KafkaStream.open(cluster)

    adapters = Streams(service, publisher, reader)
    yield adapters
    await adapters.close()


@pytest.fixture(params=["memory", "sqlite", MONGO])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Adapters[Store]]:
    """Stores on one lasting thing."""
    opening: Callable[[], Awaitable[Store]]
    match request.param:
        case "memory":
            tables = memory.MemoryTables()

            async def opening() -> Store:
                return memory.MemoryStore(tables)

        case "sqlite":

            async def opening() -> Store:
                return await sqlite.SqliteStore.open(tmp_path / "store.db")

        case _:
            database = Database(request.getfixturevalue("mongo_server").uri, f"s{secrets.token_hex(4)}")
            await prepare(database)

            async def opening() -> Store:
                return await MongoStore.open(database)

    adapters = Adapters(opening)
    yield adapters
    await adapters.close()


@pytest.fixture
async def store(stores: Adapters[Store]) -> Store:
    """One store."""
    return await stores.open()


@pytest.fixture(params=["memory", "sqlite", MONGO])
async def key_stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Adapters[KeyStore]]:
    """Key stores on one lasting thing."""
    opening: Callable[[], Awaitable[KeyStore]]
    match request.param:
        case "memory":
            keys = memory.MemoryKeys()

            async def opening() -> KeyStore:
                return memory.MemoryKeyStore(keys)

        case "sqlite":

            async def opening() -> KeyStore:
                return await sqlite.SqliteKeyStore.open(tmp_path / "keys.db")

        case _:
            database = Database(request.getfixturevalue("mongo_server").uri, f"s{secrets.token_hex(4)}")
            await prepare(database)

            async def opening() -> KeyStore:
                return await MongoKeyStore.open(database)

    adapters = Adapters(opening)
    yield adapters
    await adapters.close()


class MembersOf(Adapters[Members]):
    """Members of one installation that has two services."""

    def __init__(self, opening: Callable[..., Awaitable[Members]], *, one_member: bool) -> None:
        super().__init__(opening)
        self.one_member = one_member
        """Whether a service may have one member only."""
        self.service = f"s{secrets.token_hex(4)}"
        self.other = f"s{secrets.token_hex(4)}"


@pytest.fixture(params=["memory", "memory of one", "sqlite", KAFKA])
async def members(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MembersOf]:
    """Members of one installation."""
    directory = memory.MemoryDirectory(one_member=request.param == "memory of one")

    async def opening() -> Members:
        match request.param:
            case "sqlite":
                return await sqlite.SqliteMembers.open(tmp_path / "members")
            case "kafka":
                return await KafkaMembers.open(Cluster(request.getfixturevalue("kafka_server").bootstrap))
            case _:
                return memory.MemoryMembers(directory)

    adapters = MembersOf(opening, one_member=request.param in ("memory of one", "sqlite"))
    if request.param == "kafka":
        layouts = [*members_layouts(adapters.service), *members_layouts(adapters.other)]
        cluster = Cluster(request.getfixturevalue("kafka_server").bootstrap)
        await apply_topics(cluster, layouts, Durability(replicas=1))
    yield adapters
    await adapters.close()
