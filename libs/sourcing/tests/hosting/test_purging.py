"""When the store is purged, by which clock, and that the digests of log, owner and store stay the same."""

from __future__ import annotations

from chapar_sourcing.adapters.memory import MemoryJournal, MemoryStore, MemoryTables
from chapar_sourcing.digest import digest_of, refold, stored_documents
from chapar_sourcing.domain import ANSWER_KIND, Key, Stored
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.ports import DocumentWrite, Unavailable
from chapar_sourcing.positions import Position
from chapar_sourcing.purging import DAY_MS, PAGE_DOCUMENTS, WALK_EVERY_MS, Purger
from chapar_sourcing.requests import ANSWER_AGE_MS_MAX, FUTURE_MS_MAX, ID_AGE_MS_MAX, answers_since_ms

from .notebook import Notebook
from .rig import World, book_at, eventually, running

NOW_MS = 1_700_000_000_000


def purger_of(tables: MemoryTables, *, fails: list[bool] | None = None, keeps_answers: bool = False) -> Purger:
    def fault(step: str, partition: int) -> None:
        if step == "purge" and fails and fails.pop():
            raise Unavailable("away")

    store = MemoryStore(tables, fault=fault)
    return Purger(partition=0, store=store, keeps_answers=keeps_answers, measures=HeldMeasures())


def held(tables: MemoryTables) -> dict[Key, Stored]:
    return tables.of(0, None).documents


async def tombstones(tables: MemoryTables, *times_ms: int) -> None:
    writes = [
        DocumentWrite(Key("note", "b", f"{n:04}"), Position(n, 0), None, time_ms) for n, time_ms in enumerate(times_ms)
    ]
    await MemoryStore(tables).write_documents(0, writes)


def test_answers_outlive_their_ids_by_more_than_the_margin_of_clocks() -> None:
    assert ANSWER_AGE_MS_MAX >= ID_AGE_MS_MAX + 2 * FUTURE_MS_MAX


async def test_a_tombstone_stays_a_week_by_the_logs_clock() -> None:
    tables = MemoryTables()
    await tombstones(tables, NOW_MS)
    purger = purger_of(tables)
    await purger.step(NOW_MS + 7 * DAY_MS)
    assert len(held(tables)) == 1
    await purger.step(NOW_MS + 7 * DAY_MS + 1)
    assert len(held(tables)) == 1, "the next walk begins an hour after the last"
    await purger.step(NOW_MS + 7 * DAY_MS + WALK_EVERY_MS)
    assert held(tables) == {}


async def test_answers_are_kept_for_ever_where_the_service_says_so() -> None:
    tables = MemoryTables()
    write = DocumentWrite(Key(ANSWER_KIND, "user:a", "01"), Position(1, 0), b"", NOW_MS)
    await MemoryStore(tables).write_documents(0, [write])
    await purger_of(tables, keeps_answers=True).step(NOW_MS + 400 * DAY_MS)
    assert len(held(tables)) == 1
    await purger_of(tables).step(NOW_MS + 31 * DAY_MS)
    assert len(held(tables)) == 1
    await purger_of(tables).step(NOW_MS + 31 * DAY_MS + 1)
    assert held(tables) == {}


async def test_a_walk_goes_on_page_by_page_and_begins_again_after_an_hour() -> None:
    tables = MemoryTables()
    await tombstones(tables, *[NOW_MS] * (PAGE_DOCUMENTS + 5))
    purger = purger_of(tables)
    later = NOW_MS + 8 * DAY_MS
    await purger.step(later)
    assert len(held(tables)) == 5
    await purger.step(later)
    assert held(tables) == {}
    await tombstones(tables, NOW_MS)
    await purger.step(later + WALK_EVERY_MS - 1)
    assert len(held(tables)) == 1
    await purger.step(later + WALK_EVERY_MS)
    assert held(tables) == {}


async def test_a_page_that_could_not_be_purged_is_tried_again() -> None:
    tables = MemoryTables()
    await tombstones(tables, NOW_MS)
    purger = purger_of(tables, fails=[False, True])
    await purger.step(NOW_MS + 8 * DAY_MS)
    assert len(held(tables)) == 1
    await purger.step(NOW_MS + 8 * DAY_MS)
    assert held(tables) == {}


async def test_the_digests_stay_the_same_whatever_was_purged() -> None:
    world = World()
    async with running(world) as process:
        for _ in range(3):
            await process.write(book_at(0), "text")
        await process.end()
    last_ms = max(answer_times(world))
    journal_port = MemoryJournal(world.log)
    folded = await refold(journal_port, 0, Notebook())
    before = await stored_documents(MemoryStore(world.tables), 0)
    for later_ms in (0, ANSWER_AGE_MS_MAX, ANSWER_AGE_MS_MAX + 1):
        since_ms = answers_since_ms(last_ms + later_ms, keeps_answers=False)
        expected = digest_of(folded.documents, answers_since_ms=since_ms)
        assert digest_of(before, answers_since_ms=since_ms) == expected
        purger = Purger(partition=0, store=MemoryStore(world.tables), keeps_answers=False, measures=HeldMeasures())
        await purger.step(last_ms + later_ms)
        after = await stored_documents(MemoryStore(world.tables), 0)
        assert digest_of(after, answers_since_ms=since_ms) == expected
    assert any(key.kind == ANSWER_KIND for key in before)
    assert not any(key.kind == ANSWER_KIND for key in after)


def answer_times(world: World) -> list[int]:
    held = world.tables.of(0, None)
    return [time_ms for key, time_ms in held.times_ms.items() if key.kind == ANSWER_KIND]


async def test_the_projector_purges_by_the_clock_of_the_confirmed_checkpoint() -> None:
    world = World()
    async with running(world) as process:
        await process.write(book_at(0), "text")
        await process.end()
    month = ANSWER_AGE_MS_MAX + DAY_MS
    held = world.tables.of(0, None)
    old = [key for key in held.documents if key.kind == ANSWER_KIND]
    assert old
    held.times_ms.update({key: held.times_ms[key] - month for key in old})
    async with running(world) as process:
        await process.write(book_at(0), "another")
        await eventually(lambda: not set(old) & set(held.documents))
        assert process.measures.counters["documents_purged"] == len(old)
    assert any(key.kind == ANSWER_KIND for key in held.documents)
