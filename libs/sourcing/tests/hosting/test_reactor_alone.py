"""A reactor by itself: how much is under way, what its cursors say, what is sent again, and what it says of trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.adapters.memory import Fault, MemoryStore
from chapar_sourcing.creations import HOLE_REASON
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.lanes import ChainBroken
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.ports import Cursor, Unavailable
from chapar_sourcing.positions import NOWHERE, Position
from chapar_sourcing.reactions import Advance, Outgoing, Source, Submit
from chapar_sourcing.reactor import ARRIVALS_WITHOUT_CURSOR_MAX, EVENTS_MAX, ITEMS_MAX, Reactor
from chapar_sourcing.sources import Arrival

from .notebook import Command, Event
from .rig import BOUND_SECONDS, PARTITIONS, Impatient, book_at, eventually

BACKOFF_SECONDS = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


class Written:
    """A source that hands out what is put into it, page by page; once ended, it raises `ends`."""

    def __init__(self, *pages: Sequence[Arrival], ends: Exception | None = None) -> None:
        self._pages: asyncio.Queue[Sequence[Arrival]] = asyncio.Queue()
        self._ends = ends
        self.asked = 0
        """How often it was asked: once more than what it handed out is under way or done with."""
        for page in pages:
            self.put(page)

    def put(self, page: Sequence[Arrival]) -> None:
        self._pages.put_nowait(page)

    async def next(self) -> Sequence[Arrival]:
        self.asked += 1
        try:
            return await self._pages.get()
        except asyncio.CancelledError:
            if self._ends is None:
                raise
            raise self._ends from None


class Broken:
    """A source that cannot be read."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def next(self) -> Sequence[Arrival]:
        raise self._error


class Saying:
    """A reaction that looks up what to send by the event's text."""

    name, topic, event_type = "x", None, Event

    def __init__(self, says: Callable[[str], Sequence[Outgoing]] = lambda text: ()) -> None:
        self._says = says
        self.seen: list[str] = []

    async def react(self, event: Any, source: Source, view: Any) -> Sequence[Outgoing]:
        self.seen.append(event.text)
        return self._says(event.text)


class Owners:
    """The owners of all partitions: nobody answers at those that are closed."""

    def __init__(self, *closed: int, holes: int = 0) -> None:
        self.closed = set(closed)
        self.holes = holes
        self.commands: list[Any] = []
        self.rows: list[str] = []

    async def submit(self, partition: int, commands: Sequence[peer.SubmittedCommand]) -> Sequence[str]:
        if partition in self.closed:
            raise Unavailable("closed")
        if self.holes:
            return [HOLE_REASON] * len(commands)
        self.commands += [Command.FromString(c.command) for c in commands]
        return [""] * len(commands)

    async def advance(self, partition: int, advances: Sequence[peer.Advance]) -> None:
        if partition in self.closed:
            raise Unavailable("closed")
        self.rows += [a.row for a in advances]


class Noting(MemoryStore):
    """A store that notes which cursors were written, in order."""

    def __init__(self, fault: Fault | None = None) -> None:
        super().__init__(fault=fault)
        self.written: list[tuple[str, Cursor]] = []

    async def write_cursor(self, partition: int, name: str, cursor: Cursor) -> None:
        await super().write_cursor(partition, name, cursor)
        self.written.append((name, cursor))


class Alone:
    """A reactor of partition 0 with everything around it."""

    def __init__(
        self, reaction: Saying, source: Written | Broken, owners: Owners | None = None, fault: Fault | None = None
    ) -> None:
        self.owners, self.store = owners or Owners(), Noting(fault)
        self.clock, self.measures = Impatient(), HeldMeasures()
        self.reactor = Reactor(
            reaction=reaction, service="notebook", partition=0, partitions=PARTITIONS, open_source=lambda _: source,
            read=_read, store=self.store, targets=self.owners, clock=self.clock, measures=self.measures,
        )  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """It runs meanwhile; where it ends by itself, the test ends with its error."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.reactor.run())
            yield
            assert not task.done(), "a reactor goes on"
            task.cancel()

    async def fails(self) -> None:
        """Runs until it fails."""
        async with asyncio.timeout(BOUND_SECONDS):
            await self.reactor.run()

    async def cursors(self, count: int) -> list[tuple[str, Cursor]]:
        """The first cursors written."""
        await eventually(lambda: len(self.store.written) >= count)
        return self.store.written


async def _read(ask: Callable[[Any], Awaitable[Sequence[Outgoing]]]) -> Sequence[Outgoing]:
    return await ask(None)


def cursor(offset: int) -> Cursor:
    return Cursor(Position(offset, 0), b"hash %d" % offset, NOWHERE)


def event(offset: int, text: str = "", *, done: bool = True) -> Arrival:
    """An event of a block of its own; not `done`: of a block that goes on."""
    source = Source("notebook", 0, Position(offset, 0), time_ms=1_000)
    end = cursor(offset)
    return Arrival(Event(text=text or str(offset)), source, end.hash, end if done else None)


def nothing(offset: int) -> Arrival:
    """A block without events."""
    return Arrival(None, None, cursor(offset).hash, cursor(offset))


def row(at: int, text: str) -> Advance:
    return Advance(book_at(at), text)


def creation(at: int, text: str) -> Submit:
    return Submit(book_at(at), Command(book=book_at(at), text=text), creation=True)


# ---- how much is under way


async def test_so_many_events_are_under_way_and_the_next_waits() -> None:
    reaction = Saying(lambda text: [row(2, text)])
    alone = Alone(reaction, Written([event(n) for n in range(EVENTS_MAX + 3)]), Owners(2))
    async with alone.running():
        await eventually(lambda: alone.measures.counters["reactor_retries"] > 5)
        assert len(reaction.seen) == EVENTS_MAX + 1
        alone.owners.closed.clear()
        await eventually(lambda: alone.owners.rows == [str(n) for n in range(EVENTS_MAX + 3)])


async def test_what_commands_carry_is_told_until_they_have_arrived_and_by_age() -> None:
    carrying = {"a": Submit(book_at(2), Command(book=book_at(2), text="a"), carries=70),
                "b": Submit(book_at(1), Command(book=book_at(1), text="b"), carries=5)}  # fmt: skip
    alone = Alone(Saying(lambda text: [carrying[text]]), Written([event(0, "a"), event(1, "b")]), Owners(2))
    async with alone.running():
        await eventually(lambda: len(alone.owners.commands) == 1 and alone.reactor.carried(1_000) == 70)
        assert alone.reactor.carried(30_999, older_seconds=30) == 0
        assert alone.reactor.carried(31_000, older_seconds=30) == 70
        alone.owners.closed.clear()
        await eventually(lambda: alone.reactor.carried(31_000) == 0)
        assert alone.reactor.items == 0


# ---- what cursors say


async def test_the_cursor_of_a_creation_is_written_before_that_of_its_event() -> None:
    alone = Alone(Saying(lambda text: [creation(1, text)]), Written([event(5)]))
    async with alone.running():
        made = Cursor(Position(5, 0), b"hash 5", Position(5, 0))
        assert await alone.cursors(2) == [("reactor/x/1", made), ("reactor/x", cursor(5))]


async def test_a_cursor_stays_before_what_has_not_arrived() -> None:
    reaction = Saying(lambda text: [row(2 if text == "held up" else 1, text)])
    arrivals = [event(0), event(1, "held up"), event(2), event(3)]
    alone = Alone(reaction, Written(arrivals), Owners(2))
    async with alone.running():
        assert await alone.cursors(1) == [("reactor/x", cursor(0))]
        await eventually(lambda: alone.measures.counters["reactor_retries"] > 5)
        assert alone.owners.rows == ["0", "2", "3"]
        assert alone.store.written == [("reactor/x", cursor(0))]
        alone.owners.closed.clear()
        assert await alone.cursors(2) == [("reactor/x", cursor(0)), ("reactor/x", cursor(3))]


async def test_a_block_is_done_with_as_a_whole() -> None:
    source = Written([event(1, done=False)])
    reaction = Saying()
    alone = Alone(reaction, source)
    async with alone.running():
        await eventually(lambda: reaction.seen == ["1"])
        source.put([event(2, done=False)])
        await eventually(lambda: reaction.seen == ["1", "2"])
        source.put([event(3), event(4, done=False)])
        assert await alone.cursors(1) == [("reactor/x", cursor(3))]


async def test_the_cursor_after_an_event_takes_in_what_follows_without_events() -> None:
    alone = Alone(Saying(), Written([event(1), nothing(2)]))
    async with alone.running():
        assert await alone.cursors(1) == [("reactor/x", cursor(2))]


async def test_so_many_blocks_without_events_move_the_cursor() -> None:
    source, often = Written(), ARRIVALS_WITHOUT_CURSOR_MAX
    alone = Alone(Saying(), source)

    async def read(*offsets: int) -> None:
        """Lets these be read and be done with."""
        asked = source.asked
        source.put([nothing(n) for n in offsets])
        await eventually(lambda: source.asked > asked and not alone.reactor._order)

    async with alone.running():
        await eventually(lambda: source.asked == 1)
        expected = []
        for start in (0, often):
            await read(*range(start, start + often - 1))
            assert alone.store.written == expected
            await read(start + often - 1)
            expected.append(("reactor/x", cursor(start + often - 1)))
            assert await alone.cursors(len(expected)) == expected


async def test_a_cursor_that_cannot_be_written_is_written_later() -> None:
    fails = 10

    def away(step: str, partition: int) -> None:
        nonlocal fails
        if step == "write_cursor" and fails:
            fails -= 1
            raise Unavailable("away")

    alone = Alone(Saying(), Written([event(1)]), fault=away)
    async with alone.running():
        assert await alone.cursors(1) == [("reactor/x", cursor(1))]
    assert alone.clock.slept == BACKOFF_SECONDS


# ---- what is sent again


async def test_a_creation_that_its_target_has_is_not_sent_again_and_all_else_is() -> None:
    def says(text: str) -> Sequence[Outgoing]:
        plain = Submit(book_at(1), Command(book=book_at(1), text=f"plain {text}"))
        return [plain, creation(1, text), creation(2, text)] if text == "5" else [creation(1, text)]

    alone = Alone(Saying(says), Written([event(n) for n in (4, 5, 6)]))
    has = Cursor(Position(5, 0), b"hash 5", Position(5, 0))
    await MemoryStore(alone.store.tables).write_cursor(0, "reactor/x/1", has)
    async with alone.running():
        await eventually(lambda: len(alone.owners.commands) == 3)
        assert sorted(c.text for c in alone.owners.commands) == ["5", "6", "plain 5"]
        previous = {
            c.text: c.creation.previous.offset for c in alone.owners.commands if c.creation.HasField("previous")
        }
        assert previous == {"6": 5}


async def test_each_creation_names_the_one_before_it_at_its_target() -> None:
    targets = {"1": 1, "2": 2, "3": 1, "4": 2}
    alone = Alone(Saying(lambda text: [creation(targets[text], text)]), Written([event(n) for n in (1, 2, 3, 4)]))
    async with alone.running():
        await eventually(lambda: len(alone.owners.commands) == 4)
        made = {c.creation.position.offset: c.creation for c in alone.owners.commands}
        assert not made[1].HasField("previous")
        assert not made[2].HasField("previous")
        assert (made[3].previous, made[4].previous) == (made[1].position, made[2].position)


async def test_two_creations_of_one_event_at_one_partition_are_not_sent() -> None:
    good = [creation(1, "a"), creation(2, "b"), Submit(book_at(1), Command(text="c")), row(1, "d")]
    answers = [[creation(1, "a"), creation(1, "b")], good]
    alone = Alone(Saying(lambda text: answers.pop(0)), Written([event(1)]))
    async with alone.running():
        await eventually(lambda: alone.owners.rows == ["d"] and len(alone.owners.commands) == 3)
        assert sorted(c.text for c in alone.owners.commands) == ["a", "b", "c"]
        assert alone.measures.counters["reactor_failures"] == 1


# ---- trouble


def failing(times: int, error: Exception) -> Callable[[str], Sequence[Outgoing]]:
    left = [error] * times

    def says(text: str) -> Sequence[Outgoing]:
        if left:
            raise left.pop()
        return [row(1, text)]

    return says


async def test_who_is_asked_in_vain_is_asked_ever_later_and_a_long_wait_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    alone = Alone(Saying(failing(10, Unavailable("away"))), Written([event(7)]))
    async with alone.running():
        await eventually(lambda: alone.owners.rows == ["7"])
    assert alone.clock.slept == BACKOFF_SECONDS
    assert alone.measures.counters["reactor_waits"] == 10
    assert len(caplog.messages) == BACKOFF_SECONDS.count(5.0), "a short wait is no news"


async def test_a_reaction_with_a_fault_is_said_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    fault = ZeroDivisionError("a bug")
    alone = Alone(Saying(failing(1, fault)), Written([event(7)]))
    async with alone.running():
        await eventually(lambda: alone.owners.rows == ["7"])
    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == [fault]
    assert alone.measures.counters["reactor_failures"] == 1


async def test_of_several_failures_damage_is_told() -> None:
    source = Written([event(1)], ends=LogDamaged("damaged"))
    alone = Alone(Saying(lambda text: [creation(1, text)]), source, Owners(holes=1))
    with pytest.raises(LogDamaged, match="damaged"):
        await alone.fails()


@pytest.mark.parametrize("failure", [LogDamaged("damaged"), Unavailable("away")])
async def test_a_source_that_cannot_be_read_ends_the_reactor_with_its_reason(failure: Exception) -> None:
    with pytest.raises(type(failure)):
        await Alone(Saying(), Broken(failure)).fails()


async def test_a_broken_chain_ends_the_reactor() -> None:
    alone = Alone(Saying(lambda text: [creation(1, text)]), Written([event(1)]), Owners(holes=1))
    with pytest.raises(ChainBroken):
        await alone.fails()


async def test_a_bug_of_the_source_ends_the_reactor_as_it_is() -> None:
    bug = ZeroDivisionError()
    with pytest.raises(ExceptionGroup) as told:
        await Alone(Saying(), Broken(bug)).fails()
    assert told.value.exceptions == (bug,)


async def test_a_bug_is_not_hidden_by_a_failure_beside_it() -> None:
    bug = ZeroDivisionError()

    def fault(step: str, partition: int) -> None:
        if step == "write_cursor":
            raise bug

    away = Unavailable("away")
    with pytest.raises(ExceptionGroup) as told:
        await Alone(Saying(), Written([event(1)], ends=away), fault=fault).fails()
    assert told.value.exceptions == (bug, away)


# ---- the bound of items, last for it takes a second


async def test_what_one_event_causes_counts_and_what_has_arrived_does_not() -> None:
    many = {"all": ITEMS_MAX, "all but one": ITEMS_MAX - 1}
    reaction = Saying(lambda text: [row(2, text)] * many.get(text, 1))
    source = Written([event(0, "all")])
    alone = Alone(reaction, source)
    async with alone.running():
        await eventually(lambda: len(alone.owners.rows) == ITEMS_MAX)
        alone.owners.closed.add(2)
        source.put([event(1, "all but one"), event(2), event(3), event(4)])
        await eventually(lambda: alone.measures.counters["reactor_retries"] > 5)
        assert reaction.seen == ["all", "all but one", "2", "3"], "the last but one waits"
        alone.owners.closed.clear()
        await eventually(lambda: alone.owners.rows[-3:] == ["2", "3", "4"])
