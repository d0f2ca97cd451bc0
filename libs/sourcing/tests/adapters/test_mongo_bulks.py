"""How bulks go to a database: in turns, of a size that follows from how long it takes; no server here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from chapar_sourcing.adapters.mongo._bulks import LATE_MAX, TURNS, WRITES_MIN, WRITES_START, Bulks
from chapar_sourcing.adapters.mongo._link import BULK_WRITES_MAX, Delete, Late, Session, Upsert, Written, written_of
from chapar_sourcing.ports import Unavailable

DEADLINE_S = 5.0
Answer = Callable[[Sequence[int]], Awaitable[Written]]


def writes(count: int, start: int = 0) -> list[Upsert | Delete]:
    return [Upsert({"_id": number}, {}) for number in range(start, start + count)]


class FakeDatabase:
    """Notes what it is sent; `answer` says what becomes of it. Its clock goes on only by what takes time."""

    def __init__(self, answer: Answer) -> None:
        self.sent: list[list[int]] = []
        """By bulk, the ids of what was in it."""
        self.under_way = self.under_way_max = 0
        self.now_s = 0.0
        self.rests_s: list[float] = []
        self._answer = answer

    async def write(
        self, collection: str, writes: Sequence[Upsert | Delete], *, session: Session | None = None
    ) -> Written:
        assert collection == "documents"
        ids = [write.where["_id"] for write in writes]
        self.sent.append(ids)
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        try:
            return await self._answer(ids)
        finally:
            self.under_way -= 1

    async def sleep(self, seconds: float) -> None:
        self.rests_s.append(seconds)
        self.now_s += seconds

    def bulks(self, chance: float = 0.5) -> Bulks:
        return Bulks(self, deadline_s=DEADLINE_S, chance=lambda: chance, monotonic=lambda: self.now_s, sleep=self.sleep)


def taking(*seconds: float) -> FakeDatabase:
    """Answers after so many seconds each, the last of them for all others; 5 and more is late."""
    left = [*seconds]

    async def answer(ids: Sequence[int]) -> Written:
        took_s = left.pop(0) if len(left) > 1 else left[0]
        database.now_s += took_s
        if took_s >= DEADLINE_S:
            raise Late("no answer")
        return Written()

    database = FakeDatabase(answer)
    return database


def sizes(database: FakeDatabase) -> list[int]:
    return [len(ids) for ids in database.sent]


async def test_few_bulks_are_under_way_at_once_and_writers_take_turns() -> None:
    async def answer(ids: Sequence[int]) -> Written:
        await asyncio.sleep(0)
        database.now_s += 0.5
        return Written()

    database = FakeDatabase(answer)
    bulks, writers, rounds = database.bulks(), 8, 3
    await asyncio.gather(
        *(bulks.write("documents", writes(rounds * WRITES_START, 1_000 * number)) for number in range(writers))
    )
    assert database.under_way_max == TURNS
    assert [ids[0] // 1_000 for ids in database.sent] == [*range(writers)] * rounds


async def test_a_writer_that_gives_up_waiting_takes_no_turn() -> None:
    going_on = asyncio.Event()

    async def answer(ids: Sequence[int]) -> Written:
        await going_on.wait()
        return Written()

    database = FakeDatabase(answer)
    bulks = database.bulks()
    tasks = [asyncio.create_task(bulks.write("documents", writes(1, number))) for number in range(TURNS + 2)]
    await asyncio.sleep(0)
    tasks[TURNS].cancel()
    going_on.set()
    await asyncio.wait(tasks)
    assert [task.cancelled() for task in tasks] == [False] * TURNS + [True, False]
    assert sorted(database.sent) == [[number] for number in range(TURNS + 2) if number != TURNS]


async def test_a_bulk_given_up_is_made_smaller_and_what_was_acknowledged_is_not_sent_again() -> None:
    database = taking(0.7, DEADLINE_S, DEADLINE_S, 0.7)
    await database.bulks().write("documents", writes(3 * WRITES_START))
    quarter = WRITES_START // 4
    assert sizes(database)[:4] == [WRITES_START, WRITES_START, WRITES_START // 2, quarter]
    acknowledged = [id_ for ids in (database.sent[0], *database.sent[3:]) for id_ in ids]
    assert acknowledged == [*range(3 * WRITES_START)]


async def test_a_turn_rests_longer_after_each_bulk_in_succession_that_was_given_up() -> None:
    early, late = [], []
    for rests_s, chance in ((early, 0.0), (late, 0.999)):
        database = taking(DEADLINE_S, DEADLINE_S, 0.4, DEADLINE_S, 0.4)
        await database.bulks(chance).write("documents", writes(WRITES_START))
        rests_s += database.rests_s
    assert early == pytest.approx([0.2, 0.4, 0.2])
    assert late == pytest.approx([0.4, 0.8, 0.4], rel=0.01)


async def test_the_caller_is_told_after_several_in_succession_and_the_size_stays_small() -> None:
    database = taking(DEADLINE_S)
    bulks = database.bulks()
    for _ in range(3):
        with pytest.raises(Late):
            await bulks.write("documents", writes(WRITES_START))
    assert len(database.sent) == 3 * LATE_MAX
    assert sizes(database)[-1] == bulks.size == WRITES_MIN


async def test_other_failures_are_told_at_once_and_say_nothing_of_the_size() -> None:
    async def answer(ids: Sequence[int]) -> Written:
        raise Unavailable("nobody there")

    database = FakeDatabase(answer)
    bulks = database.bulks()
    with pytest.raises(Unavailable, match="nobody there"):
        await bulks.write("documents", writes(100))
    assert sizes(database) == [WRITES_START] == [bulks.size]


@pytest.mark.parametrize("took_s", [1.1, 4.9])
async def test_slow_answers_make_bulks_smaller_before_any_is_given_up(took_s: float) -> None:
    database = taking(took_s)
    await database.bulks().write("documents", writes(100))
    assert sizes(database)[:4] == [WRITES_START, WRITES_START // 2, WRITES_START // 4, WRITES_MIN]
    assert sizes(database)[-2] == WRITES_MIN


async def test_a_small_bulk_that_is_slow_leaves_the_size_alone() -> None:
    database = taking(4.0, 0.7)
    bulks = database.bulks()
    await bulks.write("documents", writes(WRITES_START // 2))
    assert bulks.size == WRITES_START


async def test_a_small_bulk_that_was_given_up_is_made_smaller() -> None:
    async def answer(ids: Sequence[int]) -> Written:
        if len(ids) > 9:
            database.now_s += DEADLINE_S
            raise Late("no answer")
        database.now_s += 0.7
        return Written()

    database = FakeDatabase(answer)
    bulks = database.bulks()
    await bulks.write("documents", writes(12))
    assert sizes(database) == [12, 12, 6, 6]


async def test_two_slow_bulks_at_once_make_the_next_ones_smaller_once() -> None:
    async def answer(ids: Sequence[int]) -> Written:
        await asyncio.sleep(0)
        database.now_s += 1.2
        return Written()

    database = FakeDatabase(answer)
    bulks = database.bulks()
    await asyncio.gather(*(bulks.write("documents", writes(WRITES_START, 100 * number)) for number in range(TURNS)))
    assert bulks.size == WRITES_START // 2


async def test_bulks_grow_although_each_costs_something_however_small_it_is() -> None:
    database = taking(4.0, 4.0, 4.0, 0.4)
    bulks = database.bulks()
    await bulks.write("documents", writes(3_000))
    assert bulks.size == BULK_WRITES_MAX


async def test_answers_neither_slow_nor_fast_change_nothing() -> None:
    database = taking(0.7)
    await database.bulks().write("documents", writes(4 * WRITES_START))
    assert sizes(database) == [WRITES_START] * 4


async def test_fast_answers_to_full_bulks_let_them_grow_up_to_a_bound() -> None:
    database = taking(0.01)
    bulks = database.bulks()
    for number in range(50):
        await bulks.write("documents", writes(WRITES_START - 1, number))
    assert bulks.size == WRITES_START
    await bulks.write("documents", writes(10_000))
    assert sizes(database)[50] == WRITES_START
    assert max(sizes(database)) == bulks.size == BULK_WRITES_MAX


async def test_bulks_grow_again_from_the_smallest() -> None:
    database = taking(4.0, 4.0, 4.0, 4.0, 0.01)
    bulks = database.bulks()
    await bulks.write("documents", writes(60))
    smallest = bulks.size
    await bulks.write("documents", writes(2_000))
    assert smallest < WRITES_START < bulks.size


async def test_what_met_others_is_told_by_its_place_among_all_writes() -> None:
    async def answer(ids: Sequence[int]) -> Written:
        database.now_s += 0.5
        return Written([place for place, id_ in enumerate(ids) if id_ % 10 == 3], deleted=1)

    database = FakeDatabase(answer)
    written = await database.bulks().write("documents", writes(2 * WRITES_START))
    assert written.duplicates == [3, 13, 23, 33, 43]
    assert written.deleted == 2


async def test_nothing_to_write_asks_nobody() -> None:
    database = taking(0.0)
    assert await database.bulks().write("documents", []) == Written()
    assert database.sent == []


# ---- what a server says of a bulk that met errors


def details(written: Sequence[int], majority: Sequence[int] = ()) -> dict[str, Any]:
    """The codes of errors of single writes, and of what a majority was to confirm."""
    return {
        "writeErrors": [{"index": place, "code": code} for place, code in enumerate(written)],
        "writeConcernErrors": [{"code": code} for code in majority],
        "nRemoved": 2,
    }


def test_duplicates_alone_are_told_by_their_places() -> None:
    assert written_of(details([11000, 11000])) == Written([0, 1], deleted=2)


@pytest.mark.parametrize(("written", "majority"), [((50,), ()), ((11000,), (64,)), ((), (50, 64))])
def test_a_time_that_was_over_is_late(written: Sequence[int], majority: Sequence[int]) -> None:
    with pytest.raises(Late):
        written_of(details(written, majority))


@pytest.mark.parametrize(("written", "majority"), [((8,), ()), ((50, 8), ()), ((50,), (100,)), ((), (100,))])
def test_anything_else_is_unavailable_and_not_late(written: Sequence[int], majority: Sequence[int]) -> None:
    with pytest.raises(Unavailable) as failed:
        written_of(details(written, majority))
    assert not isinstance(failed.value, Late)
