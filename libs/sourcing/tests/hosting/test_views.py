"""A scan of memory laid over the store is a scan of their union, whatever is where."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chapar_sourcing.adapters.memory import MemoryStore
from chapar_sourcing.clock import OwnerClock, SystemClock
from chapar_sourcing.domain import Document, Key, encode, ordered
from chapar_sourcing.fold import FoldState
from chapar_sourcing.ports import Checkpoint, DocumentWrite
from chapar_sourcing.positions import Position
from chapar_sourcing.pulse import Pulse
from chapar_sourcing.rows import Rows
from chapar_sourcing.views import PartitionView

from .notebook import Note, Notebook
from .rig import World, book_at, running


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


async def view_of(stored: dict[str, Note], held: dict[str, Note | None]) -> PartitionView:
    """A view with these documents of the group ("note", "b")."""
    store = MemoryStore()
    held_in_order = enumerate(stored.items())
    writes = [DocumentWrite(Key("note", "b", i), Position(0, n), encode(v), 0) for n, (i, v) in held_in_order]
    await store.write_documents(0, writes)
    await store.write_checkpoint(0, Checkpoint("j", 1, FoldState(offset=0)))
    memory: Any = HeldMemory(held)
    return PartitionView(
        partition=0, owner=memory, store=store, rows=Rows(0, store), domain=Notebook(),
        clock=OwnerClock(SystemClock()), applied=Pulse(),
    )  # fmt: skip


IDS = st.integers(0, 30).map(ordered)
STORED = st.dictionaries(IDS, st.builds(Note, st.just("stored"), st.just(1)), max_size=30)
HELD = st.dictionaries(IDS, st.none() | st.builds(Note, st.just("held"), st.just(2)), max_size=30)


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
    try:
        await waited
    except TimeoutError:
        return
    raise AssertionError("it must time out")
