"""More to write than a database does in time: it is not asked for more at once, and everything is stored in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from chapar_sourcing.adapters.mongo import Database, MongoStore, prepare
from chapar_sourcing.adapters.mongo._bulks import TURNS
from chapar_sourcing.adapters.mongo._layout import DOCUMENTS
from chapar_sourcing.adapters.mongo._link import Delete, Link, Session, Upsert, Written
from chapar_sourcing.domain import Key
from chapar_sourcing.fold import FoldState
from chapar_sourcing.ports import Checkpoint, DocumentWrite, Unavailable
from chapar_sourcing.positions import Position
from tools.mongo_server import MongoServer

pytestmark = [pytest.mark.mongo, pytest.mark.xdist_group("mongo"), pytest.mark.timeout(240)]
DEADLINE_MS = 1_000
WRITERS = 16
BATCH = 200
"""Of all writers together several times what the server stores in a deadline."""
STOPPED_S = 2.5
ALL_STORED_S_MAX = 120


class CountedLink(Link):
    """Counts bulks of documents: under way, and given up."""

    under_way = under_way_max = given_up = 0

    async def write(
        self, collection: str, writes: Sequence[Upsert | Delete], *, session: Session | None = None
    ) -> Written:
        if collection != DOCUMENTS:
            return await super().write(collection, writes, session=session)
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        try:
            return await super().write(collection, writes, session=session)
        except Unavailable:
            self.given_up += 1
            raise
        finally:
            self.under_way -= 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A database of this module's own, since it is stopped."""
    with MongoServer(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@asynccontextmanager
async def counted(server: MongoServer, name: str) -> AsyncIterator[tuple[MongoStore, CountedLink]]:
    database = Database(server.uri, name)
    await prepare(database)
    link = await CountedLink.open(database, deadline_ms=DEADLINE_MS)
    store = MongoStore(link)
    try:
        yield store, link
    finally:
        await store.close()


def batch() -> list[DocumentWrite]:
    return [DocumentWrite(Key("k", "p", f"{n:04d}"), Position(1, n), b"%d" % n, 0) for n in range(BATCH)]


async def project(store: MongoStore, partition: int) -> None:
    """As a projector does: the same again until it is stored, then the checkpoint."""
    while True:
        try:
            await store.write_documents(partition, batch())
            return await store.write_checkpoint(partition, Checkpoint("j", 1, FoldState(offset=1)))
        except Unavailable:
            await asyncio.sleep(0.05)


async def found_wrong(store: MongoStore, partitions: int) -> list[int]:
    """Partitions that lack anything."""
    wanted = {write.key: write.position for write in batch()}
    wrong = []
    for partition in range(partitions):
        found = await store.documents(partition, at_least=1, after=None)
        if {key: stored.position for key, stored in found} != wanted:
            wrong.append(partition)
    return wrong


async def test_many_writers_at_once_are_all_done_in_the_end_and_reads_go_on_meanwhile(server: MongoServer) -> None:
    async with counted(server, "many") as (store, link), asyncio.timeout(ALL_STORED_S_MAX):
        projecting = asyncio.gather(*(project(store, partition) for partition in range(WRITERS)))
        reads = 0
        while not projecting.done():
            with suppress(Unavailable):
                await store.load(0, [Key("k", "p", "0000")], at_least=-1)
                reads += 1
            await asyncio.sleep(0.05)
        await projecting
        assert link.under_way_max == TURNS
        assert reads > 10
        assert await found_wrong(store, WRITERS) == []


async def test_after_a_stop_few_bulks_are_under_way_and_everything_is_stored(server: MongoServer) -> None:
    async with counted(server, "stopped") as (store, link), asyncio.timeout(ALL_STORED_S_MAX):
        projecting = asyncio.gather(*(project(store, partition) for partition in range(WRITERS)))
        while link.under_way < TURNS:  # noqa: ASYNC110 - of many tasks
            await asyncio.sleep(0.01)
        server.pause()
        try:
            await asyncio.sleep(STOPPED_S)
        finally:
            server.resume()
        await projecting
        assert link.given_up
        assert link.under_way_max == TURNS
        assert await found_wrong(store, WRITERS) == []


async def test_a_slow_server_is_asked_for_what_it_can_do_and_stores_everything(server: MongoServer) -> None:
    """Stopped four fifths of the time, it is no quicker than a fifth of itself."""
    async with counted(server, "slow") as (store, link), asyncio.timeout(ALL_STORED_S_MAX):
        projecting = asyncio.gather(*(project(store, partition) for partition in range(WRITERS // 4)))
        while not projecting.done():
            server.pause()
            await asyncio.sleep(0.2)
            server.resume()
            await asyncio.sleep(0.05)
        await projecting
        assert link.under_way_max == TURNS
        assert await found_wrong(store, WRITERS // 4) == []
