"""What a reader raises is an answer, too: it leaves only once what was seen is known to be true."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from chapar_sourcing.domain import Key
from chapar_sourcing.ports import AppendUnknown, Unavailable
from chapar_sourcing.refusing import NOT_OWNER, OVERLOADED, UNAVAILABLE, EngineRefused

from .notebook import Book, Command
from .rig import BOUND_SECONDS, Process, World, book_at, eventually, running

BOOK = book_at(0)
READS = ("read", "read_for_reaction")


class NoteMissing(Exception):
    """A book counts a note that is not there."""


@dataclass
class Counting:
    """Reads how many notes a book counts, waits, looks for them, and raises where one is missing."""

    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    counted: list[int] = field(default_factory=list)
    """What the book said, each time."""

    async def read(self, view: Any) -> int:
        """How many notes there are."""
        key = Key("book", BOOK)
        book = (await view.get(key)).get(key)
        self.counted.append(book.notes if isinstance(book, Book) else 0)
        self.began.set()
        await self.go_on.wait()
        found = len(await view.scan("note", BOOK))
        if found < self.counted[-1]:
            raise NoteMissing(f"{self.counted[-1]} notes are counted, {found} are there")
        return found


@dataclass
class Landing:
    """A journal whose next block of partition 0 lands when it may, or is lost."""

    sent: asyncio.Event = field(default_factory=asyncio.Event)
    may_land: asyncio.Event = field(default_factory=asyncio.Event)
    may_claim: asyncio.Event = field(default_factory=asyncio.Event)
    is_lost: bool = False
    durable: int = 0

    def fault(self, step: str, partition: int) -> Awaitable[Any] | None:
        """What befalls a step of the journal."""
        if partition == 0 and step == "append":
            self.sent.set()
            return self._land()
        if partition == 0 and step == "append.fresh" and self.sent.is_set():
            return self.may_claim.wait()
        self.durable += partition == 0 and step == "append.done" and self.may_land.is_set()
        return None

    async def _land(self) -> None:
        await self.may_land.wait()
        if self.is_lost:
            raise AppendUnknown("no answer")


def reading(process: Process, how: str, read: Callable[[Any], Awaitable[Any]]) -> asyncio.Task[Any]:
    """Has a query or a reaction read partition 0."""
    if how == "read":
        return asyncio.ensure_future(process.host.read(0, read, deadline_ms=process.host.now_ms + 60_000))
    return asyncio.ensure_future(process.host._partition(0).read_for_reaction(read))


@pytest.mark.parametrize("how", READS)
async def test_what_a_reader_raised_over_what_a_deposed_owner_undid_is_told_to_nobody(how: str) -> None:
    world, landing, counting = World(), Landing(), Counting()
    async with running(world, ports=world.ports(journal_fault=landing.fault)) as deposed:
        writing = asyncio.ensure_future(deposed.write(BOOK, "void"))
        await landing.sent.wait()
        counted = reading(deposed, how, counting.read)
        await counting.began.wait()
        async with asyncio.timeout(BOUND_SECONDS), running(world, owned=[0]):
            landing.may_land.set()
            await eventually(lambda: deposed.host.health()[0].phase == "deposed")
            counting.go_on.set()
            with pytest.raises(EngineRefused) as refused:
                await counted
            assert (refused.value.reason, counting.counted) == (NOT_OWNER, [1])
            assert (await writing).reason == NOT_OWNER


@pytest.mark.parametrize("how", READS)
async def test_what_a_reader_raised_over_what_was_undone_is_read_again(how: str) -> None:
    world, landing, counting = World(), Landing(is_lost=True), Counting()
    async with running(world, ports=world.ports(journal_fault=landing.fault)) as process:
        deadline_ms = process.host.now_ms + 300
        request = process.request_of(Command(book=BOOK, text="lost"))
        writing = asyncio.ensure_future(process.host.submit(0, replace(request, deadline_ms=deadline_ms)))
        await landing.sent.wait()
        counted = reading(process, how, counting.read)
        await counting.began.wait()
        landing.may_land.set()
        # By then nobody waits for the note any more: it is not decided again.
        await eventually(lambda: process.host.now_ms > deadline_ms + 200)
        landing.may_claim.set()
        await process.ready()
        counting.go_on.set()
        async with asyncio.timeout(BOUND_SECONDS):
            assert await counted == 0
            assert (await writing).entry is None
        assert counting.counted == [1, 0]


@pytest.mark.parametrize("how", READS)
async def test_what_a_reader_raised_waits_for_what_it_saw_to_be_durable(how: str) -> None:
    world, landing, seen = World(), Landing(), asyncio.Event()
    durable_when_told = -1

    async def refuses(view: Any) -> None:
        await view.get(Key("book", BOOK))
        seen.set()
        raise NoteMissing("as far as was seen")

    def told(task: asyncio.Task[Any]) -> None:
        nonlocal durable_when_told
        durable_when_told = landing.durable

    async with running(world, ports=world.ports(journal_fault=landing.fault)) as process:
        writing = asyncio.ensure_future(process.write(BOOK, "soon durable"))
        await landing.sent.wait()
        refused = reading(process, how, refuses)
        refused.add_done_callback(told)
        await seen.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        landing.may_land.set()
        async with asyncio.timeout(BOUND_SECONDS):
            with pytest.raises(NoteMissing):
                await refused
            assert (await writing).reason == ""
        assert durable_when_told == 1


@pytest.mark.parametrize("error", [Unavailable("the store is away"), EngineRefused(OVERLOADED)])
async def test_that_the_way_is_closed_needs_no_confirmation(error: Exception) -> None:
    async def finds_the_way_closed(view: Any) -> None:
        await view.get(Key("book", BOOK))
        raise error

    await _raises_at_once(finds_the_way_closed, error)


async def test_what_a_reader_raised_that_looked_at_nothing_needs_no_confirmation() -> None:
    error = NoteMissing("whatever there is")

    async def refuses(view: Any) -> None:
        raise error

    await _raises_at_once(refuses, error)


async def _raises_at_once(read: Callable[[Any], Awaitable[Any]], error: Exception) -> None:
    """Where nothing can be confirmed."""
    world, landing = World(), Landing()
    async with running(world, ports=world.ports(journal_fault=landing.fault), read_policy="append") as process:
        async with asyncio.timeout(BOUND_SECONDS):
            with pytest.raises(type(error)) as raised:
                await reading(process, "read", read)
        assert raised.value is error
        assert not landing.sent.is_set()


async def test_what_a_reader_raised_is_not_told_where_it_cannot_be_confirmed_in_time() -> None:
    async def refuses(view: Any) -> None:
        await view.get(Key("book", BOOK))
        raise NoteMissing("as far as was seen")

    world, landing = World(), Landing()
    async with running(world, ports=world.ports(journal_fault=landing.fault), read_policy="append") as process:
        async with asyncio.timeout(BOUND_SECONDS):
            with pytest.raises(EngineRefused) as refused:
                await process.host.read(0, refuses, deadline_ms=process.host.now_ms + 50)
        assert refused.value.reason == UNAVAILABLE
