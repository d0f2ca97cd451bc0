"""fold(log) == live == store, whatever happened before."""

from __future__ import annotations

import asyncio
import random

import pytest

from chapar_sourcing.adapters.memory import MemoryJournal, MemoryStore
from chapar_sourcing.digest import digest_of, refold, stored_documents
from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.hosting import HostRules
from chapar_sourcing.ports import Unavailable
from chapar_sourcing.positions import Position

from .notebook import Notebook
from .rig import PARTITIONS, Process, World, book_at, running
from .test_reactor import Forwarding


async def traffic(process: Process, draw: random.Random, count: int) -> None:
    """Notes written, erased and forwarded, many at once."""
    books = [book_at(p) for p in range(PARTITIONS)]

    async def one() -> None:
        book = draw.choice(books)
        if draw.random() < 0.3:
            await process.write(book, erases=draw.randint(1, 12))
        else:
            await process.write(book, f"note {draw.random()}", forward=draw.choice([*books, ""]))

    for _ in range(count // 10):
        await asyncio.gather(*(one() for _ in range(10)))


@pytest.mark.parametrize("seed", range(4))
async def test_live_and_refolded_and_stored_digests_are_equal(seed: int) -> None:
    world, draw = World(), random.Random(seed)
    rules = HostRules(Notebook(), reactions=[Forwarding()])

    def store(step: str, partition: int) -> None:
        if step in ("write_documents", "write_checkpoint", "load") and draw.random() < 0.15:
            raise Unavailable("away")

    for _ in range(2):
        async with running(world, rules=rules, ports=world.ports(store_fault=store)) as process:
            await traffic(process, draw, 60)
            await process.crash()
    async with running(world, rules=rules) as process:
        await traffic(process, draw, 60)
        for partition in range(PARTITIONS):
            live = await process.host.digest(partition)
            refolded = await refold(MemoryJournal(world.log), partition, Notebook(), up_to=live.offset)
            assert refolded.state.hash == live.hash
            digest = digest_of(refolded.documents, answers_since_ms=None)
            assert (live.digest, live.documents) == (digest.sha256, digest.documents)
            assert live.alarms == 0
        await process.end()
    for partition in range(PARTITIONS):
        refolded = await refold(MemoryJournal(world.log), partition, Notebook())
        stored = await stored_documents(MemoryStore(world.tables), partition)
        assert digest_of(stored, answers_since_ms=None) == digest_of(refolded.documents, answers_since_ms=None)
        assert any(key.kind == "answer" for key in stored)


DOCUMENTS = {
    Key("note", "b", "1"): Stored(Position(1, 0), b"one"),
    Key("note", "b", "2"): Stored(Position(2, 0), b"two"),
}


@pytest.mark.parametrize(
    "changed",
    [
        {Key("note", "b", "1"): Stored(Position(1, 0), b"other")},
        {Key("note", "b", "1"): Stored(Position(1, 1), b"one")},
        {Key("note", "b", "1"): Stored(Position(1, 0), None)},
        {Key("note", "b", "3"): Stored(Position(2, 0), b"two")},
    ],
)
def test_any_difference_changes_the_digest(changed: dict[Key, Stored]) -> None:
    assert digest_of({**DOCUMENTS, **changed}, answers_since_ms=None) != digest_of(DOCUMENTS, answers_since_ms=None)


def test_order_and_tombstones_do_not_matter() -> None:
    backward = dict(reversed(DOCUMENTS.items()))
    tombstone = {Key("note", "b", "0"): Stored(Position(1, 0), None)}
    assert digest_of({**tombstone, **backward}, answers_since_ms=None) == digest_of(DOCUMENTS, answers_since_ms=None)
