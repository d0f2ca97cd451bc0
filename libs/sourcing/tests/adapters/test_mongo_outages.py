"""A database that is killed, stops answering and comes back: nothing acknowledged is lost, everything goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from chapar_sourcing.adapters.mongo import Database, MongoKeyStore, MongoStore, prepare
from chapar_sourcing.domain import Key
from chapar_sourcing.editions import Editions
from chapar_sourcing.fold import FoldState
from chapar_sourcing.ports import (
    Checkpoint,
    Cursor,
    DocumentWrite,
    Expiry,
    KeyRow,
    KeyStore,
    Row,
    Store,
    Unavailable,
)
from chapar_sourcing.positions import Position
from tools.mongo_server import MongoServer, mongo_uri
from tools.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.mongo, pytest.mark.xdist_group("mongo"), pytest.mark.timeout(240)]
DEADLINE_MS = 1_000
LONG_DEADLINE_MS = 20_000
KILLS = 3
KEY = Key("k", "p", "1")
EXPIRY = Expiry(answers_before_ms=None, tombstones_before_ms=0)
COUNTS = 50
"""Acknowledged writes of each kind between two kills."""
CALLS = {name for port in (Store, KeyStore) for name in vars(port) if not name.startswith("_")} - {"at", "close"}
"""Of both ports, as far as they ask the database."""
Calls = Mapping[str, Callable[[], Awaitable[Any]]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A database of this module's own, since it is killed."""
    with MongoServer(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@dataclass(frozen=True, slots=True)
class Ports:
    """Both ports on one database."""

    store: MongoStore
    keys: MongoKeyStore


@asynccontextmanager
async def opened(server: MongoServer, name: str, deadline_ms: int) -> AsyncIterator[Ports]:
    database = Database(server.uri, name)
    await prepare(database)
    store = await MongoStore.open(database, deadline_ms=deadline_ms)
    keys = await MongoKeyStore.open(database, deadline_ms=deadline_ms)
    try:
        yield Ports(store, keys)
    finally:
        await store.close()
        await keys.close()


async def eventually(call: Callable[[], Awaitable[Any]]) -> Any:
    """What a call returns once it does not fail."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(0.02)


# ---- away


def calls_of(ports: Ports) -> Calls:
    """Every call of both ports that asks the database, once."""
    store, keys = ports.store, ports.keys
    cursor = Cursor(Position(1, 0), b"h" * 32, Position(-1, -1))
    return {
        "read_checkpoint": lambda: store.read_checkpoint(0),
        "write_documents": lambda: store.write_documents(0, [DocumentWrite(KEY, Position(9, 0), b"x", 0)]),
        "write_checkpoint": lambda: store.write_checkpoint(0, Checkpoint("j", 1, FoldState(offset=9))),
        "load": lambda: store.load(0, [KEY], at_least=-1),
        "scan": lambda: store.scan(0, "k", "p", at_least=-1),
        "documents": lambda: store.documents(0, at_least=-1, after=None),
        "purge": lambda: store.purge(0, EXPIRY, after=None),
        "merge_rows": lambda: store.merge_rows(0, [Row("user", "r", {"f": b"1"})]),
        "rows": lambda: store.rows(0, "user"),
        "row_keys": lambda: store.row_keys(0),
        "write_cursor": lambda: store.write_cursor(0, "relay", cursor),
        "read_cursors": lambda: store.read_cursors(0),
        "editions": lambda: store.editions(0),
        "build_edition": lambda: store.build_edition(0, 2),
        "switch_edition": lambda: store.switch_edition(0, 2),
        "drop_edition": lambda: store.drop_edition(0),
        "insert": lambda: keys.insert(KeyRow("a", "user", 1, b"wrapped")),
        "current": lambda: keys.current("user", 1),
        "get": lambda: keys.get("a"),
        "destroy": lambda: keys.destroy("user", 1),
    }


async def all_unavailable(calls: Calls) -> None:
    assert set(calls) == CALLS

    async def one(name: str, call: Callable[[], Awaitable[Any]]) -> None:
        began_s = time.monotonic()
        with pytest.raises(Unavailable):
            await call()
        assert time.monotonic() - began_s < 3 * DEADLINE_MS / 1000, name

    await asyncio.gather(*(one(name, call) for name, call in calls.items()))


async def all_answer(calls: Calls) -> None:
    for call in calls.values():
        await eventually(call)


async def test_while_the_server_is_down_every_call_is_unavailable_and_then_works(server: MongoServer) -> None:
    async with opened(server, "down", DEADLINE_MS) as ports:
        server.kill9()
        try:
            await all_unavailable(calls_of(ports))
        finally:
            server.restart()
        await all_answer(calls_of(ports))
        assert await ports.store.editions(0) == Editions(2)
        assert await ports.keys.get("a") == KeyRow("a", "user", 1, b"wrapped")


async def test_while_the_server_says_nothing_every_call_is_unavailable_and_then_works(server: MongoServer) -> None:
    async with opened(server, "silent", DEADLINE_MS) as ports:
        await ports.store.editions(0)
        server.pause()
        try:
            await all_unavailable(calls_of(ports))
        finally:
            server.resume()
        await all_answer(calls_of(ports))
        assert await ports.store.editions(0) == Editions(2)
        assert await ports.keys.get("a") == KeyRow("a", "user", 1, b"wrapped")


async def test_a_write_whose_answer_is_lost_is_unknown_and_repeated_by_its_caller_alone(server: MongoServer) -> None:
    row = KeyRow("once", "somebody", 1, b"wrapped")
    async with TcpProxy() as proxy, opened(server, "lost", LONG_DEADLINE_MS) as ports:
        proxy.leads_to(lambda: server.port)
        keys = await MongoKeyStore.open(Database(mongo_uri(proxy.port), "lost"), deadline_ms=LONG_DEADLINE_MS)
        try:
            async with proxy.holding_answers():
                inserting = asyncio.create_task(keys.insert(row))
                await eventually(lambda: stored(ports.keys, row))
                cutting = asyncio.create_task(proxy.cut(reset=True))
                await asyncio.sleep(0)
            await cutting
            assert proxy.passed.torn
            with pytest.raises(Unavailable):
                await inserting
            assert await keys.insert(row) == row
        finally:
            await keys.close()


async def stored(keys: KeyStore, row: KeyRow) -> None:
    if await keys.get(row.key_id) is None:
        raise Unavailable("not yet")


async def test_many_calls_during_an_outage_do_not_delay_those_after_it(server: MongoServer) -> None:
    """Calls that were given up go on in the driver's threads; they must not stand in the way."""
    async with opened(server, "crowd", DEADLINE_MS) as ports:
        server.pause()
        try:
            crowd = [ports.store.load(0, [KEY], at_least=-1) for _ in range(200)]
            answers = await asyncio.gather(*crowd, return_exceptions=True)
        finally:
            server.resume()
        assert all(isinstance(answer, Unavailable) for answer in answers)
        began_s = time.monotonic()
        await eventually(lambda: ports.store.load(0, [KEY], at_least=-1))
        assert time.monotonic() - began_s < 20


# ---- killed in the middle of writes


@dataclass(slots=True)
class Acknowledged:
    """The highest number that each kind of write was acknowledged with; all of them count up from 0."""

    numbers: dict[str, int]

    async def write_on(self, kind: str, write: Callable[[int], Awaitable[Any]]) -> None:
        """Writes the next number for ever; one that fails is tried again."""
        while True:
            number = self.numbers[kind] + 1
            try:
                await write(number)
            except Unavailable:
                await asyncio.sleep(0.01)
            else:
                self.numbers[kind] = number

    async def more(self, count: int) -> None:
        """Waits until each kind has been acknowledged `count` more times."""
        wanted = {kind: number + count for kind, number in self.numbers.items()}
        async with asyncio.timeout(120):
            while any(self.numbers[kind] < number for kind, number in wanted.items()):  # noqa: ASYNC110 - of many tasks
                await asyncio.sleep(0.01)


def writers(ports: Ports) -> Mapping[str, Callable[[int], Awaitable[Any]]]:
    store, keys = ports.store, ports.keys

    async def documents(number: int) -> None:
        data = b"%d" % number
        several = [Key("k", "p", str(number % 7)), Key("k", "new", f"{number:08d}")]
        await store.write_documents(0, [DocumentWrite(key, Position(number, 0), data, 0) for key in several])

    async def rows(number: int) -> None:
        await store.merge_rows(0, [Row("user", str(number % 5), {"f": number.to_bytes(8, "big")})])

    return {
        "documents": documents,
        "rows": rows,
        "checkpoint": lambda n: store.write_checkpoint(0, Checkpoint("j", 1, FoldState(offset=n))),
        "cursor": lambda n: store.write_cursor(0, "relay", Cursor(Position(n, 0), b"h" * 32, Position(-1, -1))),
        "keys": lambda n: keys.insert(KeyRow(f"k{n}", f"user:{n % 4}", n, b"wrapped")),
    }


async def found_wrong(ports: Ports, numbers: Mapping[str, int]) -> list[str]:
    """What was acknowledged and is not there."""
    store, keys, wrong = ports.store, ports.keys, []
    documents = {
        key: int(stored.data or b"") for key, stored in await store.scan(0, "k", "new", at_least=-1, limit=10**6)
    }
    wrong += [f"document {n}" for n in range(numbers["documents"] + 1) if Key("k", "new", f"{n:08d}") not in documents]
    newest = {int(stored.data or b"") for _, stored in await store.scan(0, "k", "p", at_least=-1)}
    wrong += [
        f"document over {n}" for n in range(numbers["documents"] - 6, numbers["documents"] + 1) if max(newest) < n
    ]
    rows = {row.row: int.from_bytes(row.fields["f"], "big") for row in await store.rows(0, "user")}
    wrong += [f"row {n}" for n in range(numbers["rows"] + 1) if rows.get(str(n % 5), -1) < n]
    checkpoint = await store.read_checkpoint(0)
    wrong += ["checkpoint"] if checkpoint is None or checkpoint.fold.offset < numbers["checkpoint"] else []
    wrong += ["cursor"] if (await store.read_cursors(0))["relay"].position.offset < numbers["cursor"] else []
    wrong += [f"key {n}" for n in range(numbers["keys"] + 1) if await keys.get(f"k{n}") is None]
    return wrong


async def test_killed_in_the_middle_of_writes_it_loses_nothing_that_was_acknowledged(server: MongoServer) -> None:
    async with opened(server, "killed", DEADLINE_MS) as ports:
        acknowledged = Acknowledged(dict.fromkeys(writers(ports), -1))
        async with asyncio.TaskGroup() as group:
            writing = [group.create_task(acknowledged.write_on(kind, write)) for kind, write in writers(ports).items()]
            for _ in range(KILLS):
                await acknowledged.more(COUNTS)
                await asyncio.to_thread(server.kill9)
                at_the_kill = dict(acknowledged.numbers)
                await asyncio.to_thread(server.restart)
                async with opened(server, "killed", 5_000) as others:
                    assert await found_wrong(others, at_the_kill) == []
            await acknowledged.more(COUNTS)
            for task in writing:
                task.cancel()
        assert await found_wrong(ports, acknowledged.numbers) == []
    assert min(acknowledged.numbers.values()) >= (KILLS + 1) * COUNTS
