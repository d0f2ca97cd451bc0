"""An erasure that is in the journal destroys the keys, whatever comes between, and takes nothing else with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from chapar_sourcing.adapters.memory import MemoryKeys, MemoryKeyStore
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.domain import Document, Key, encode
from chapar_sourcing.eraser import Eraser
from chapar_sourcing.erasures import LAST_PERIOD_MS, ErasureMark, erasure_key
from chapar_sourcing.hosting import HostRules
from chapar_sourcing.keyring import Keyring
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.ports import DocumentWrite, Unavailable
from chapar_sourcing.positions import Position
from chapar_sourcing.refusing import SEALED_TOO_EARLY

from .notebook import Command, Notebook
from .rig import Process, World, book_at, eventually, running

BOOK = book_at(1)


class FastClock(SystemClock):
    """Waits pass a hundred times as fast."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100)


class Keys:
    """A key store that outlives processes, and keyrings on it."""

    def __init__(self) -> None:
        self.held = MemoryKeys()
        self.away = False

    def ring(self) -> Keyring:
        """A process's keyring."""
        store = MemoryKeyStore(self.held, fault=self._fault)
        return Keyring(store, master_key=bytes(32), clock=SystemClock(), randomness=os.urandom)

    def rules(self, ring: Keyring | None = None) -> HostRules:
        """The notebook's, with keys that can be destroyed."""
        return HostRules(Notebook(), keys=ring or self.ring())

    @property
    def ended(self) -> bool:
        """Whether the book has ended and nothing else is kept."""
        return list(self.held.rows) == [(BOOK, LAST_PERIOD_MS)]

    def _fault(self, step: str, partition: int) -> None:
        if self.away and step in ("insert", "destroy"):
            raise Unavailable("away")


async def erase(process: Process, *, keys_end: str = "for good") -> None:
    outcome = await process.write(BOOK, keys_end=keys_end)
    assert outcome.reason == ""


async def test_an_erasure_ends_what_was_sealed_and_nothing_of_others() -> None:
    world, keys = World(), Keys()
    ring = keys.ring()
    async with running(world, rules=keys.rules(ring)) as process:
        mine, other = await ring.seal(BOOK, "a", b"mine"), await ring.seal("other", "a", b"other")
        await erase(process)
        await eventually(lambda: all(row.key_id != mine.key_id for row in keys.held.rows.values()))
        assert await ring.open(mine, "a") is None
        assert await ring.open(other, "a") == b"other"


async def test_what_is_sealed_for_a_subject_that_ended_is_erased_from_the_start() -> None:
    world, keys = World(), Keys()
    ring = keys.ring()
    async with running(world, rules=keys.rules(ring)) as process:
        await erase(process)
        await eventually(lambda: keys.ended)
        assert await ring.open(await ring.seal(BOOK, "a", b"late"), "a") is None
        key_id, key = await ring.content_key(BOOK)
        assert await ring.content_key_by_id(key_id) == key


async def test_a_subject_that_lives_on_has_a_new_key_at_once_and_loses_the_old_one_later() -> None:
    world, keys = World(), Keys()
    ring = keys.ring()
    async with running(world, rules=keys.rules(ring), clock=FastClock()) as process:
        old = await ring.seal(BOOK, "a", b"old")
        await erase(process, keys_end="now")
        await eventually(lambda: len(keys.held.rows) == 2 or process.measures.counters["keys_destroyed"] > 0)
        new = await ring.seal(BOOK, "a", b"new")
        assert new.key_id != old.key_id
        await eventually(lambda: process.measures.counters["keys_destroyed"] > 0)
        assert await ring.open(old, "a") is None
        assert await ring.open(new, "a") == b"new"


async def test_each_erasure_of_a_subject_ends_the_key_that_the_last_one_forced() -> None:
    world, keys = World(), Keys()
    ring = keys.ring()
    async with running(world, rules=keys.rules(ring), clock=FastClock()) as process:
        key_ids: set[str] = set()
        for _ in range(3):
            key_ids.add((await ring.seal(BOOK, "a", b"x")).key_id)
            await erase(process, keys_end="now")
            await eventually(lambda: not key_ids & {row.key_id for row in keys.held.rows.values()})
        assert len(key_ids) == 3


async def test_a_crash_between_the_entry_and_the_destruction_is_made_good() -> None:
    world, keys = World(), Keys()
    sealed = await keys.ring().seal(BOOK, "a", b"mine")
    keys.away = True
    async with running(world, rules=keys.rules()) as process:
        await erase(process)
    assert await keys.ring().open(sealed, "a") == b"mine"
    keys.away = False
    async with running(world, rules=keys.rules()):
        await eventually(lambda: keys.ended)
    assert await keys.ring().open(sealed, "a") is None


async def test_a_crash_between_the_new_key_and_the_end_of_the_old_ones_is_made_good() -> None:
    world, keys = World(), Keys()
    sealed = await keys.ring().seal(BOOK, "a", b"mine")
    async with running(world, rules=keys.rules()) as process:
        await erase(process, keys_end="now")
        await eventually(lambda: len(keys.held.rows) == 2)
    assert await keys.ring().open(sealed, "a") == b"mine"
    async with running(world, rules=keys.rules(), clock=FastClock()):
        await eventually(lambda: len(keys.held.rows) == 1)
    assert await keys.ring().open(sealed, "a") is None


async def test_a_restored_key_store_is_erased_again() -> None:
    world, keys = World(), Keys()
    sealed = await keys.ring().seal(BOOK, "a", b"mine")
    backup = dict(keys.held.rows)
    async with running(world, rules=keys.rules()) as process:
        await erase(process)
        await eventually(lambda: keys.ended)
        await process.end()
    keys.held.rows = backup
    assert await keys.ring().open(sealed, "a") == b"mine"
    async with running(world, rules=keys.rules()):
        await eventually(lambda: keys.ended)
    assert await keys.ring().open(sealed, "a") is None


async def test_a_key_store_that_comes_back_is_erased_then() -> None:
    world, keys = World(), Keys()
    await keys.ring().seal(BOOK, "a", b"mine")
    async with running(world, rules=keys.rules(), clock=FastClock()) as process:
        keys.away = True
        await erase(process)
        await eventually(lambda: process.measures.counters["followers_restarted"] > 0)
        keys.away = False
        await eventually(lambda: keys.ended)


async def test_more_marks_than_are_noted_are_all_found() -> None:
    keys = Keys()
    subjects = [f"user-{number:02}" for number in range(30)]
    ring = keys.ring()
    for subject in subjects:
        await ring.seal(subject, "a", b"x")
    marks: list[tuple[Key, Document]] = []

    class Marks:
        """A partition's view of its marks."""

        async def scan(self, kind: str, parent: str, *, after: str, limit: int) -> Sequence[tuple[Key, Document]]:
            return [(key, mark) for key, mark in marks if key.id > after][:limit]

    async def read(reads: Callable[[Any], Awaitable[Any]], /) -> Any:
        return await reads(Marks())

    measures = HeldMeasures()
    eraser = Eraser(keys=ring, read=read, clock=SystemClock(), measures=measures, marks_max=4)
    running = asyncio.create_task(eraser.run())
    await asyncio.sleep(0)
    mark = ErasureMark(LAST_PERIOD_MS)
    marks.extend((erasure_key(subject), mark) for subject in subjects)
    eraser.written([DocumentWrite(key, Position(0, n), encode(mark), 0) for n, (key, _) in enumerate(marks)])
    try:
        await eventually(lambda: measures.counters["keys_destroyed"] == len(subjects))
        assert {period for _, period in keys.held.rows} == {LAST_PERIOD_MS}
    finally:
        running.cancel()


async def test_a_command_that_was_sealed_too_long_ago_is_to_be_made_again() -> None:
    async with running(World()) as process:
        request = process.request_of(Command(book=BOOK, text="text"))
        late = replace(request, sealed_until_ms=process.host.now_ms)
        assert (await process.host.submit(1, late)).reason == SEALED_TOO_EARLY
        in_time = replace(request, sealed_until_ms=process.host.now_ms + 20_000)
        assert (await process.host.submit(1, in_time)).entry is not None
        again = await process.host.submit(1, late)
        assert again.entry is not None
        assert again.replayed
        assert await process.texts(BOOK) == ["text"]


async def test_the_same_erasure_again_changes_nothing() -> None:
    world, keys = World(), Keys()
    async with running(world, rules=keys.rules()) as process:
        first = await process.write(BOOK, keys_end="for good")
        again = await process.write(BOOK, keys_end="for good")
        assert first.entry is not None
        assert again.entry is not None
        assert len(first.entry.events.events) == 1
        assert len(again.entry.events.events) == 0
        await eventually(lambda: keys.ended)
