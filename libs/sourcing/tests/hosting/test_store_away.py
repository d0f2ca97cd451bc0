"""A store that goes away stops projection and cold loads only: warm commands go on until the backlog is full."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from chapar_sourcing.adapters.memory import MemoryJournal, MemoryStore
from chapar_sourcing.adapters.mongo import Database, MongoStore, prepare
from chapar_sourcing.digest import digest_of, refold, stored_documents
from chapar_sourcing.owner import Bounds
from chapar_sourcing.partitions import partition_of_id
from chapar_sourcing.ports import Store, Unavailable
from tools.mongo_server import MongoServer

from .notebook import Command, Notebook
from .rig import PARTITIONS, Process, World, book_at, eventually, running

MONGO = pytest.param("mongo", marks=[pytest.mark.mongo, pytest.mark.xdist_group("mongo"), pytest.mark.timeout(240)])
BACKLOG_MAX = 40


@dataclass(frozen=True, slots=True)
class Absent:
    """A store that can be taken away and brought back."""

    store: Store
    leave: Callable[[], Awaitable[None]]
    come_back: Callable[[], Awaitable[None]]


@asynccontextmanager
async def in_memory(world: World) -> AsyncIterator[Absent]:
    away = asyncio.Event()

    def fault(step: str, partition: int) -> None:
        if away.is_set():
            raise Unavailable("away")

    async def leave() -> None:
        away.set()

    async def come_back() -> None:
        away.clear()

    yield Absent(MemoryStore(world.tables, fault=fault), leave, come_back)


@asynccontextmanager
async def on_mongo(folder: Path) -> AsyncIterator[Absent]:
    with MongoServer(folder) as server:
        database = Database(server.uri, f"s{secrets.token_hex(4)}")
        await prepare(database)
        store = await MongoStore.open(database, deadline_ms=1_000)
        yield Absent(
            store, lambda: asyncio.to_thread(server.kill9), lambda: asyncio.to_thread(server.restart)
        )  # fmt: skip


def other_book() -> str:
    """A book beside that of `book_at`."""
    names = (f"shelf-{n}" for n in itertools.count())
    return next(name for name in names if partition_of_id(name, PARTITIONS) == 0)


def projected(process: Process) -> bool:
    """Whether the store has all that there is."""
    health = process.host.health()[0]
    return health.checkpoint == health.offset


@pytest.mark.parametrize("kind", ["memory", MONGO])
async def test_warm_commands_go_on_without_the_store_until_the_backlog_is_full(kind: str, tmp_path: Path) -> None:
    world = World()
    async with in_memory(world) if kind == "memory" else on_mongo(tmp_path) as absent:
        ports = replace(world.ports(), store=absent.store)
        async with running(world, ports=ports, bounds=Bounds(unprojected_max=BACKLOG_MAX)) as process:
            warm, cold = book_at(0), other_book()
            assert (await process.write(warm, "before")).reason == ""
            await eventually(lambda: projected(process))
            await absent.leave()

            assert [(await process.write(warm, f"without {n}")).reason for n in range(5)] == [""] * 5
            patient = replace(
                process.request_of(Command(book=cold, text="cold")), deadline_ms=process.host.now_ms + 100_000
            )
            waiting = asyncio.create_task(process.host.submit(0, patient))
            accepted = 5
            while (outcome := await process.write(warm, f"more {accepted}")).reason == "":
                accepted += 1
                assert accepted <= BACKLOG_MAX
            assert outcome.reason == "REASON_OVERLOADED"
            assert not waiting.done()
            await eventually(lambda: bool(process.host.health()[0].problem))

            await absent.come_back()
            assert (await waiting).reason == ""
            await eventually(lambda: process.host.ready)
            assert len(await process.texts(warm)) == 1 + accepted
            await eventually(lambda: projected(process))
            stored = digest_of(await stored_documents(absent.store, 0), answers_since_ms=None)
            refolded = await refold(MemoryJournal(world.log), 0, Notebook())
            assert stored == digest_of(refolded.documents, answers_since_ms=None)
