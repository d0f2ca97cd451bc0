"""A scan of memory laid over the store is a scan of their union, whatever is where."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chapar_sourcing.adapters.memory import MemoryStore
from chapar_sourcing.clock import OwnerClock, SystemClock
from chapar_sourcing.domain import Document, Key, Stored, encode, ordered
from chapar_sourcing.fold import FoldState
from chapar_sourcing.ports import Checkpoint, DocumentWrite, Unavailable
from chapar_sourcing.positions import Position
from chapar_sourcing.pulse import Pulse
from chapar_sourcing.rows import Rows
from chapar_sourcing.views import STORE_TRIES_MAX, PartitionView

from .notebook import Note, Notebook
from .rig import World, book_at, eventually, running


class HeldMemory:
    """An owner's memory with what a test puts there."""

    confirmed_checkpoint = 0
    pinned = nullcontext

    def __init__(self, held: dict[str, Note | None]) -> None:
        self.held = held

    def peek(self, key: Key) -> tuple[bool, Document | None]:
        return key.id in self.held, self.held.get(key.id)

    def group(self, kind: str, parent: str) -> Iterable[tuple[str, Document | None]]:
        return sorted(self.held.items())


class CountingStore(MemoryStore):
    """A store that notes what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tries = 0

    async def load(self, partition: int, keys: Sequence[Key], *, at_least: int) -> Mapping[Key, Stored]:
        self.tries += 1
        self.loaded += [key.id for key in keys]
        return await super().load(partition, keys, at_least=at_least)


async def store_of(stored: Mapping[str, Note | None], *, offset: int = 0) -> CountingStore:
    """A store with these documents of the group ("note", "b"), those deleted included."""
    store = CountingStore()
    writes = [
        DocumentWrite(Key("note", "b", i), Position(0, n), None if v is None else encode(v), 0)
        for n, (i, v) in enumerate(stored.items())
    ]
    await store.write_documents(0, writes)
    await store.write_checkpoint(0, Checkpoint("j", 1, FoldState(offset=offset)))
    return store


async def view_of(
    stored: Mapping[str, Note | None], held: dict[str, Note | None], store: MemoryStore | None = None
) -> PartitionView:
    """A view of a store with these documents, or of this one."""
    below = store or await store_of(stored)
    memory: Any = HeldMemory(held)
    return PartitionView(
        partition=0, owner=memory, store=below, rows=Rows(0, below), domain=Notebook(),
        clock=OwnerClock(SystemClock()), applied=Pulse(),
    )  # fmt: skip


IDS = st.integers(0, 30).map(ordered)
STORED = st.dictionaries(IDS, st.builds(Note, st.just("stored"), st.just(1)), max_size=30)
HELD = st.dictionaries(IDS, st.none() | st.builds(Note, st.just("held"), st.just(2)), max_size=30)


NOTE = Note("stored", 1)


@example({ordered(0): NOTE}, {ordered(0): None}, "", ordered(1), False, 1)
@example({ordered(1): NOTE}, {ordered(1): None}, ordered(0), None, True, 1)
@example({ordered(1): NOTE, ordered(2): NOTE}, {ordered(1): None, ordered(3): NOTE}, "", None, False, 1)
@example({ordered(2): NOTE, ordered(3): NOTE}, {ordered(3): None, ordered(1): NOTE}, "", None, True, 1)
@given(STORED, HELD, st.one_of(st.just(""), IDS), st.none() | IDS, st.booleans(), st.integers(0, 8))
@settings(max_examples=300, deadline=None)
def test_scan_equals_brute_force(
    stored: dict[str, Note], held: dict[str, Note | None], after: str, before: str | None, descending: bool, limit: int
) -> None:
    union: dict[str, Note | None] = {**stored, **held}
    expected = [
        (Key("note", "b", i), v)
        for i, v in sorted(union.items(), reverse=descending)
        if v is not None and i > after and (before is None or i < before)
    ][:limit]

    async def scanned() -> Any:
        view = await view_of(stored, held)
        return await view.scan("note", "b", after=after, before=before, descending=descending, limit=limit)

    assert asyncio.run(scanned()) == expected


@given(STORED, HELD)
@settings(max_examples=100, deadline=None)
def test_get_equals_brute_force(stored: dict[str, Note], held: dict[str, Note | None]) -> None:
    union: dict[str, Note | None] = {**stored, **held}
    expected = {Key("note", "b", i): v for i, v in union.items() if v is not None}

    async def asked() -> Any:
        view = await view_of(stored, held)
        return await view.get(*(Key("note", "b", ordered(i)) for i in range(31)))

    assert asyncio.run(asked()) == expected


async def test_a_change_is_waited_for() -> None:
    async with running(World()) as process:
        book = book_at(0)
        await process.write(book, "first")

        async def second_note(view: Any) -> Any:
            key = Key("note", book, ordered(2))
            return await view.wait_until(key, lambda note: note is not None, deadline_ms=view.now_ms + 20_000)

        waiting = asyncio.create_task(process.host.read(0, second_note, deadline_ms=process.host.now_ms + 20_000))
        await process.write(book, "second")
        assert (await waiting).text == "second"


async def test_a_change_that_does_not_come_times_out() -> None:
    view = await view_of({}, {})
    waited = view.wait_until(Key("note", "b", "x"), lambda note: note is not None, deadline_ms=view.now_ms + 20)
    with pytest.raises(TimeoutError):
        await waited


async def test_who_has_waited_or_need_not_wait_leaves_nobody_behind_who_waits_on() -> None:
    view = await view_of({}, {"there": NOTE})
    before = asyncio.all_tasks()
    key, there = Key("note", "b", "x"), Key("note", "b", "there")
    with pytest.raises(TimeoutError):
        await view.wait_until(key, lambda note: note is not None, deadline_ms=view.now_ms + 20)
    assert await view.wait_until(there, lambda note: note is not None, deadline_ms=view.now_ms + 20_000) == NOTE
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(("asked", "shown"), [({}, 100), ({"limit": 300}, 300), ({"limit": 5_000}, 1_000)])
async def test_a_scan_shows_a_hundred_or_what_was_asked_for_up_to_a_thousand(asked: dict[str, int], shown: int) -> None:
    view = await view_of({ordered(n): NOTE for n in range(1_100)}, {})
    assert [key.id for key, _ in await view.scan("note", "b", **asked)] == [ordered(n) for n in range(shown)]


async def test_what_the_store_holds_as_deleted_is_not_there() -> None:
    view = await view_of({"deleted": None, "there": NOTE}, {})
    assert await view.get(Key("note", "b", "deleted"), Key("note", "b", "there")) == {Key("note", "b", "there"): NOTE}


async def test_the_store_is_asked_only_for_what_memory_does_not_know() -> None:
    store = await store_of({"stored": NOTE})
    view = await view_of({}, {"held": NOTE, "deleted": None}, store)
    keys = [Key("note", "b", i) for i in ("stored", "held", "deleted", "nowhere")]
    assert await view.get(*keys) == {keys[0]: NOTE, keys[1]: NOTE}
    assert store.loaded == ["stored", "nowhere"]
    await view.get(keys[1])
    assert store.tries == 1


@pytest.mark.parametrize("look", ["get", "scan", "rows"])
async def test_a_view_says_whether_anything_was_looked_at(look: str) -> None:
    view = await view_of({}, {})
    assert not view.used
    assert view.partition == 0
    await {"get": view.get, "scan": lambda: view.scan("note", "b"), "rows": lambda: view.rows("b")}[look]()
    assert view.used


async def test_a_store_that_catches_up_is_waited_for() -> None:
    store = await store_of({"a": NOTE}, offset=-1)
    view = await view_of({}, {}, store)

    async def catches_up() -> None:
        await eventually(lambda: store.tries >= 2)
        await store.write_checkpoint(0, Checkpoint("j", 1, FoldState(offset=0)))

    key = Key("note", "b", "a")
    _, found = await asyncio.gather(catches_up(), view.get(key))
    assert found == {key: NOTE}


async def test_a_store_that_stays_behind_is_away() -> None:
    store = await store_of({"a": NOTE}, offset=-1)
    view = await view_of({}, {}, store)
    with pytest.raises(Unavailable, match="behind"):
        await view.get(Key("note", "b", "a"))
    assert store.tries == STORE_TRIES_MAX
