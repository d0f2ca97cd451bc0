"""Watchers miss nothing without being told, and see nothing they may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.hosting import Detach, HostRules
from chapar_sourcing.ports import Unavailable
from chapar_sourcing.refusing import KEY_INVALID, NOT_OWNER, EngineRefused
from chapar_sourcing.watch import RING_SECONDS_MAX, Watches, WatchRefused

from .notebook import Notebook
from .rig import Process, World, book_at, eventually, running


@dataclass
class BookWatch:
    """Watchers of a book see the texts of its notes; a note "out: <user>" puts that user out."""

    during_snapshot: list[Any] = field(default_factory=list)

    async def authorise(self, key: str, user_id: str, basis: str, view: Any) -> bool:
        return user_id != "stranger"

    async def snapshot(self, key: str, view: Any) -> bytes:
        notes = await view.scan("note", key)
        for act in self.during_snapshot:
            await act()
        self.during_snapshot.clear()
        return ",".join(note.text for _, note in notes).encode()

    def hints_of(self, event: Any, time_ms: int) -> Sequence[tuple[str, bytes]]:
        return [(event.book, event.text.encode())]

    def detaches_of(self, event: Any, time_ms: int) -> Sequence[Detach]:
        out = event.text.removeprefix("out: ")
        return [Detach(event.book, user_id=out, reason="REASON_OUT")] if out != event.text else []


def watch(process: Process, book: str, cursor: peer.WatchCursor | None = None, user: str = "u") -> Any:
    return process.host.watch(peer.WatchRequest(partition=0, key=book, user_id=user, cursor=cursor))


async def take(frames: AsyncIterator[peer.WatchResponse], count: int) -> list[peer.WatchResponse]:
    async with asyncio.timeout(20):
        return [await anext(frames) for _ in range(count)]


def rules(source: BookWatch | None = None) -> HostRules:
    return HostRules(Notebook(), watch=source or BookWatch())


async def test_a_new_watcher_gets_a_snapshot_and_then_every_change() -> None:
    book = book_at(0)
    async with running(World(), rules=rules()) as process:
        await process.write(book, "before")
        async with aclosing(watch(process, book)) as frames:
            (reset,) = await take(frames, 1)
            assert reset.reset == b"before"
            for text in ("one", "two"):
                await process.write(book, text)
            one, two = await take(frames, 2)
            assert (one.hint, two.hint) == (b"one", b"two")
            assert [one.cursor.n - reset.cursor.n, two.cursor.n - reset.cursor.n] == [1, 2]


async def test_a_change_during_the_snapshot_is_shown_after_it() -> None:
    book, source = book_at(0), BookWatch()
    async with running(World(), rules=rules(source)) as process:
        source.during_snapshot.append(lambda: process.write(book, "meanwhile"))
        async with aclosing(watch(process, book)) as frames:
            reset, hint = await take(frames, 2)
            assert reset.reset == b""
            assert hint.hint == b"meanwhile"


async def test_a_watcher_that_comes_back_goes_on_where_it_was() -> None:
    book = book_at(0)
    async with running(World(), rules=rules()) as process:
        async with aclosing(watch(process, book)) as frames:
            (reset,) = await take(frames, 1)
        for text in ("one", "two"):
            await process.write(book, text)
        async with aclosing(watch(process, book, reset.cursor)) as frames:
            assert [f.hint for f in await take(frames, 2)] == [b"one", b"two"]


async def test_a_cursor_of_another_epoch_gets_a_reset() -> None:
    world, book = World(), book_at(0)
    async with running(world, rules=rules()) as process:
        async with aclosing(watch(process, book)) as frames:
            (reset,) = await take(frames, 1)
        await process.write(book, "missed")
        await process.crash()
    async with running(world, rules=rules()) as successor, aclosing(watch(successor, book, reset.cursor)) as frames:
        (again,) = await take(frames, 1)
        assert again.reset == b"missed"
        assert again.cursor.epoch > reset.cursor.epoch


async def test_who_loses_the_right_is_put_out_before_the_next_event() -> None:
    book = book_at(0)
    async with (
        running(World(), rules=rules()) as process,
        aclosing(watch(process, book, user="arash")) as leaver,
        aclosing(watch(process, book, user="bahar")) as stayer,
    ):
        await take(leaver, 1)
        await take(stayer, 1)
        await process.write(book, "out: arash")
        await process.write(book, "among ourselves")
        frames = [frame async for frame in leaver]
        assert [f.hint for f in frames[:-1]] == [b"out: arash"]
        assert frames[-1].detach == "REASON_OUT"
        assert (await take(stayer, 2))[1].hint == b"among ourselves"


async def test_strangers_and_foreign_keys_are_refused() -> None:
    async with running(World(), rules=rules()) as process:
        with pytest.raises(WatchRefused):
            await take(watch(process, book_at(0), user="stranger"), 1)
        with pytest.raises(EngineRefused) as refused:
            await take(watch(process, book_at(1)), 1)
        assert refused.value.reason == KEY_INVALID


async def test_watches_end_with_their_epoch() -> None:
    world, book = World(), book_at(0)
    async with running(world, rules=rules()) as process, aclosing(watch(process, book)) as frames:
        await take(frames, 1)
        async with running(world, rules=rules()):
            await process.write(book, "finds out")
            assert (await take(frames, 1))[0].detach == NOT_OWNER


async def test_a_watch_that_ends_before_its_snapshot_shows_only_the_end() -> None:
    book, source = book_at(0), BookWatch()
    async with running(World(), rules=rules(source)) as process:
        source.during_snapshot += [lambda: process.write(book, "a hint"), lambda: process.write(book, "out: u")]
        async with aclosing(watch(process, book)) as frames:
            assert (await take(frames, 1))[0].detach == "REASON_OUT"


async def test_advances_are_shown_stored_and_merged_by_maximum() -> None:
    world, book = World(), book_at(0)

    async def rows(view: Any) -> Any:
        return await view.rows(book)

    async with running(world, rules=rules()) as process:
        async with aclosing(watch(process, book)) as frames:
            await take(frames, 1)
            for head, hint in ((b"\2", b"second"), (b"\1", b"late")):
                advance = peer.Advance(key=book, row="r", fields={"head": head}, hint=hint)
                await process.host.advance(0, [advance])
            assert [f.hint for f in await take(frames, 2)] == [b"second", b"late"]
        assert await process.host.read(0, rows, deadline_ms=process.host.now_ms + 20_000) == {"r": {"head": b"\2"}}
        await process.crash()
    async with running(world, rules=rules()) as successor:
        assert await successor.host.read(0, rows, deadline_ms=successor.host.now_ms + 20_000) == {"r": {"head": b"\2"}}


async def test_an_advance_that_cannot_be_stored_is_not_acknowledged() -> None:
    world, book, away = World(), book_at(0), True

    def store(step: str, partition: int) -> None:
        if step == "merge_rows" and away:
            raise Unavailable("away")

    async with running(world, rules=rules(), ports=world.ports(store_fault=store)) as process:
        advance = peer.Advance(key=book, row="r", fields={"head": b"\1"})
        with pytest.raises(Unavailable):
            await process.host.advance(0, [advance])
        away = False
        await process.host.advance(0, [advance])
        assert world.tables is not None


async def test_a_deposed_owner_acknowledges_no_advance() -> None:
    world, book = World(), book_at(0)
    async with running(world, rules=rules(), read_policy="append") as deposed, running(world, rules=rules()):
        with pytest.raises(EngineRefused):
            await deposed.host.advance(0, [peer.Advance(key=book, row="r", fields={"head": b"\1"})])


# ---- the rings themselves


def shown(watches: Watches, texts: Sequence[str], key: str = "k") -> None:
    for text in texts:
        watches.show(key, text.encode())


async def read(watcher: Any, count: int) -> list[peer.WatchResponse]:
    return await take(watcher.frames(), count)


async def test_a_slow_reader_gets_a_gap_and_then_goes_on() -> None:
    watches = Watches(queue_max=4)
    watches.begin(1, "x")
    watcher, _ = watches.attach("k", "u", "", None)
    shown(watches, ["1", "2", "3", "4", "5", "6"])
    gap, six = await read(watcher, 2)
    assert gap.gap
    assert (gap.cursor.n, six.cursor.n) == (watcher.start.n + 5, watcher.start.n + 6)
    assert six.hint == b"6"


async def test_a_cursor_behind_the_ring_is_not_resumed() -> None:
    watches = Watches(ring_max=3)
    watches.begin(1, "x")
    watcher, _ = watches.attach("k", "u", "", None)
    shown(watches, ["1", "2", "3", "4"])
    start = watcher.start.n
    _, resumed = watches.attach("k", "u", "", peer.WatchCursor(epoch=1, n=start))
    assert not resumed
    just, resumed = watches.attach("k", "u", "", peer.WatchCursor(epoch=1, n=start + 1))
    assert resumed
    assert [f.hint for f in await read(just, 3)] == [b"2", b"3", b"4"]
    _, resumed = watches.attach("k", "u", "", peer.WatchCursor(epoch=1, n=start + 5))
    assert not resumed


async def test_frames_of_more_than_a_minute_ago_are_shown_to_nobody_who_comes_back() -> None:
    now = 0.0
    watches = Watches(monotonic=lambda: now)
    watches.begin(1, "x")
    watcher, _ = watches.attach("k", "u", "", None)
    start = watcher.start.n
    shown(watches, ["old"])
    now = 50.0
    shown(watches, ["new"])
    just, resumed = watches.attach("k", "u", "", peer.WatchCursor(epoch=1, n=start))
    assert resumed
    assert [f.hint for f in await read(just, 2)] == [b"old", b"new"]
    now = RING_SECONDS_MAX + 1
    _, resumed = watches.attach("k", "u", "", peer.WatchCursor(epoch=1, n=start))
    assert not resumed
    again, resumed = watches.attach("k", "u", "", peer.WatchCursor(epoch=1, n=start + 1))
    assert resumed
    assert [f.hint for f in await read(again, 1)] == [b"new"]
    now = 200.0
    at_head, resumed = watches.attach("k", "u", "", peer.WatchCursor(epoch=1, n=start + 2))
    assert resumed
    shown(watches, ["newest"])
    assert [f.hint for f in await read(at_head, 1)] == [b"newest"]


async def test_a_forgotten_key_never_resumes_an_old_cursor() -> None:
    watches = Watches(idle_max=1)
    watches.begin(1, "x")
    watcher, _ = watches.attach("k", "u", "", None)
    shown(watches, ["1", "2"])
    cursor = peer.WatchCursor(epoch=1, n=watcher.start.n + 2)
    watches.leave(watcher)
    for other in ("a", "b"):
        watches.leave(watches.attach(other, "u", "", None)[0])
    shown(watches, ["missed"])
    again, resumed = watches.attach("k", "u", "", cursor)
    assert not resumed
    shown(watches, ["3", "4", "5"])
    for n in range(cursor.n + 1):
        _, resumed = watches.attach("k", "u", "", peer.WatchCursor(epoch=1, n=n))
        assert not resumed
    assert [f.hint for f in await read(again, 3)] == [b"3", b"4", b"5"]


async def test_a_full_queue_still_learns_of_its_end() -> None:
    watches = Watches(queue_max=2)
    watches.begin(1, "x")
    watcher, _ = watches.attach("k", "u", "basis", None)
    shown(watches, ["1", "2"])
    watches.detach(Detach("k", basis="other", reason="no"))
    watches.detach(Detach("k", user_id="u", basis="basis", reason="yes"))
    shown(watches, ["secret"])
    frames = [frame async for frame in watcher.frames()]
    assert [f.detach for f in frames] == ["", "", "yes"]
    await eventually(lambda: watcher.ended)
