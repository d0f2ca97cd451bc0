"""Another edition of the store is built, compared, switched to and switched back from while the service is used."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chapar_sourcing.adapters.memory import MemoryJournal, MemoryStore
from chapar_sourcing.digest import digest_of, refold, stored_documents
from chapar_sourcing.domain import Key, ordered
from chapar_sourcing.editions import Editions, Stage
from chapar_sourcing.hosting import HostRules
from chapar_sourcing.partition import OwnedPartition
from chapar_sourcing.ports import Row, Unavailable
from chapar_sourcing.positions import NOWHERE, Position
from chapar_sourcing.reactions import Advance, Source
from chapar_sourcing.rebuild import Phase, RebuildRefused, Rebuilt, Step
from chapar_sourcing.tail import BlockReader, Tail, ValidBlock

from .notebook import Command, Event, Notebook
from .rig import BOUND_SECONDS, PARTITIONS, Process, World, book_at, eventually, running

BOOKS = [book_at(number) for number in range(PARTITIONS)]


class Mentions:
    """The feed of rows: a book that a note names has a row for the naming book, with the number of its last note."""

    name = "mentions"
    topic = None
    event_type = Event

    async def react(self, event: Any, source: Source, view: Any) -> Sequence[Advance]:
        if not event.forward:
            return []
        await view.get(Key("book", event.book))
        return [Advance(event.forward, event.book, {"last": event.number.to_bytes(8)}, event.text.encode())]

    def settled(self, key: str, row: str, fields: Mapping[str, bytes]) -> Mapping[str, bytes]:
        return fields


RULES = HostRules(Notebook(), reactions=[Mentions()])


async def write_one(process: Process, draw: random.Random) -> None:
    if draw.random() < 0.2:
        await process.write(draw.choice(BOOKS), erases=draw.randint(1, 12))
    else:
        await process.write(draw.choice(BOOKS), f"note {draw.random()}", forward=draw.choice([*BOOKS, ""]))


async def traffic(process: Process, draw: random.Random, count: int) -> None:
    for _ in range(count // 10):
        await asyncio.gather(*(write_one(process, draw) for _ in range(10)))


@asynccontextmanager
async def going_on(process: Process, draw: random.Random) -> AsyncIterator[Callable[[], int]]:
    """Traffic beside whatever happens; says how many commands were answered."""
    answered = 0

    async def work() -> None:
        nonlocal answered
        while True:
            await asyncio.gather(*(write_one(process, draw) for _ in range(4)))
            answered += 4
            await asyncio.sleep(0.02)

    task = asyncio.create_task(work())
    try:
        yield lambda: answered
    finally:
        task.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError), results


async def rebuilt(process: Process, step: Step = Step.REBUILD, partitions: Sequence[int] = ()) -> list[Rebuilt]:
    async with asyncio.timeout(60):
        return [one async for one in process.host.rebuild(step, partitions)]


def ends(reports: Sequence[Rebuilt]) -> dict[int, Phase]:
    """How each partition ended."""
    progress = (Phase.DOCUMENTS, Phase.ROWS, Phase.COMPARING)
    return {one.partition: one.phase for one in reports if one.phase not in progress}


ALL_SWITCHED = dict.fromkeys(range(PARTITIONS), Phase.SWITCHED)


async def rows_of_the_logs(world: World) -> dict[str, dict[str, bytes]]:
    """The rows that follow from all logs."""
    rows: dict[str, dict[str, bytes]] = {}
    for partition in range(PARTITIONS):
        for block in await blocks_of(world, partition):
            for at in block.events(Event):
                if at.event.forward:
                    row = rows.setdefault(at.event.forward, {})
                    row[at.event.book] = max(row.get(at.event.book, b""), at.event.number.to_bytes(8))
    return rows


async def blocks_of(world: World, partition: int) -> Sequence[ValidBlock]:

    reader = BlockReader(partition, MemoryJournal(world.log), Tail(), NOWHERE, b"")
    found: list[ValidBlock] = []
    while blocks := await reader.until(10**9):
        found.extend(blocks)
    return found


async def check_documents(world: World, *, edition: int | Sequence[int]) -> None:
    """After an orderly end: the documents of the live edition, the same of all partitions or one of each, are what the
    logs say."""
    store = MemoryStore(world.tables)
    editions = [edition] * PARTITIONS if isinstance(edition, int) else edition
    for partition in range(PARTITIONS):
        assert (await store.editions(partition)).live == editions[partition]
        refolded = await refold(MemoryJournal(world.log), partition, Notebook())
        assert digest_of(await stored_documents(store, partition), answers_since_ms=None) == digest_of(
            refolded.documents, answers_since_ms=None
        )


async def check_laws(world: World, *, edition: int | Sequence[int]) -> None:
    """After an orderly end: the live edition is what the logs say, documents and rows."""
    store = MemoryStore(world.tables)
    expected = await rows_of_the_logs(world)
    await check_documents(world, edition=edition)
    for partition in range(PARTITIONS):
        for key in await store.row_keys(partition):
            rows = {row.row: row.fields["last"] for row in await store.rows(partition, key)}
            assert rows == expected.pop(key)
    assert not expected, "rows are missing"


async def rows_settled(process: Process, world: World) -> None:
    """Waits until every advance has arrived: nothing more comes after that."""
    store = MemoryStore(world.tables)

    async def arrived() -> bool:
        for partition in range(PARTITIONS):
            end = max((block.offset for block in await blocks_of(world, partition) if block.events(Event)), default=-1)
            cursor = (await store.read_cursors(partition)).get("reactor/mentions")
            if end >= 0 and (cursor is None or cursor.position.offset < end):
                return False
        return True

    await eventually(arrived)


def jittery(draw: random.Random) -> Callable[[str, int], Any]:
    """A store whose calls take a while and sometimes fail."""

    def fault(step: str, partition: int) -> Any:
        if step in ("write_documents", "merge_rows", "load", "rows", "write_checkpoint") and draw.random() < 0.01:
            raise Unavailable("away")
        return asyncio.sleep(0) if draw.random() < 0.5 else None

    return fault


@pytest.mark.parametrize("seed", range(4))
async def test_a_new_edition_is_built_and_switched_to_under_traffic(seed: int) -> None:
    world, draw = World(), random.Random(seed)
    async with running(world, rules=RULES, ports=world.ports(store_fault=jittery(draw))) as process:
        await traffic(process, draw, 200)
        async with going_on(process, draw) as answered:
            before = answered()
            reports = await rebuilt(process)
            assert answered() > before, "nothing was answered meanwhile"
        assert ends(reports) == ALL_SWITCHED
        await traffic(process, draw, 50)
        for partition in range(PARTITIONS):
            live = await process.host.digest(partition)
            refolded = await refold(MemoryJournal(world.log), partition, Notebook(), up_to=live.offset)
            assert live.digest == digest_of(refolded.documents, answers_since_ms=None).sha256
        await rows_settled(process, world)
        await process.end()
    await check_laws(world, edition=2)
    async with running(world, rules=RULES) as process:
        await traffic(process, draw, 20)
        await rows_settled(process, world)
        await process.end()
    await check_laws(world, edition=2)


@pytest.mark.parametrize("seed", range(3))
async def test_switching_back_brings_the_kept_edition_up_to_date_first(seed: int) -> None:
    world, draw = World(), random.Random(seed)
    async with running(world, rules=RULES, ports=world.ports(store_fault=jittery(draw))) as process:
        await traffic(process, draw, 100)
        assert ends(await rebuilt(process)) == ALL_SWITCHED
        kept = MemoryStore(world.tables).at(1)
        stood = [await kept.read_checkpoint(partition) for partition in range(PARTITIONS)]
        await traffic(process, draw, 200)
        assert [await kept.read_checkpoint(partition) for partition in range(PARTITIONS)] == stood
        async with going_on(process, draw):
            assert ends(await rebuilt(process, Step.SWITCH_BACK)) == ALL_SWITCHED
        await traffic(process, draw, 50)
        await rows_settled(process, world)
        await process.end()
    await check_laws(world, edition=1)
    assert await MemoryStore(world.tables).editions(0) == Editions(1, 2, Stage.KEPT)


class Cut:
    """Stops a store for good after so many writes, once it is armed."""

    def __init__(self, writes: int) -> None:
        self.armed = False
        self.stopped = asyncio.Event()
        self._left = writes

    def fault(self, step: str, partition: int) -> Any:
        if self.armed:
            self._left -= step in WRITES
            if self._left <= 0:
                self.stopped.set()
                return asyncio.Event().wait()
        return asyncio.sleep(0)


WRITES = ("write_documents", "write_checkpoint", "merge_rows", "write_cursor", "switch_edition.done")


@pytest.mark.parametrize("seed", range(6))
async def test_a_rebuild_that_is_cut_short_goes_on_where_it_was(seed: int) -> None:
    world, draw = World(), random.Random(seed)
    async with running(world, rules=RULES) as process:
        await traffic(process, draw, 300)
        await process.end()
    cuts = 0
    while (await MemoryStore(world.tables).editions(PARTITIONS - 1)).live == 1:
        cut = Cut(draw.randint(2, 6))
        async with running(world, rules=RULES, ports=world.ports(store_fault=cut.fault)) as process:
            cut.armed = True
            rebuilding = asyncio.create_task(rebuilt(process))
            stopped = asyncio.create_task(cut.stopped.wait())
            await asyncio.wait((rebuilding, stopped), return_when=asyncio.FIRST_COMPLETED)
            cuts += stopped.done()
            await process.crash()
            for task in (rebuilding, stopped):
                task.cancel()
            await asyncio.gather(rebuilding, stopped, return_exceptions=True)
        assert cuts < 60, "it comes no further"
    assert cuts > 3, "it was never cut short"
    async with running(world, rules=RULES) as process:
        await rows_settled(process, world)
        await process.end()
    await check_laws(world, edition=2)


def note_of(partition: int, number: int) -> Key:
    return Key("note", BOOKS[partition], ordered(number))


async def planted(world: World, plant: Callable[[MemoryStore], Any]) -> list[Rebuilt]:
    """Plants something into the live edition of partition 1 under a running service, then rebuilds."""
    async with running(world, rules=RULES) as process:
        for number in range(30):
            await process.write(BOOKS[1], f"note {number}", forward=BOOKS[2])
        await rows_settled(process, world)
        await process.end()
    plant(MemoryStore(world.tables).at(1))
    async with running(world, rules=RULES) as process:
        reports = await rebuilt(process)
        await process.end()
    return reports


def wrong(store: MemoryStore) -> None:
    held = store.tables.of(1, 1).documents
    held[note_of(1, 3)] = type(held[note_of(1, 3)])(held[note_of(1, 3)].position, held[note_of(1, 4)].data)


def lost(store: MemoryStore) -> None:
    del store.tables.of(1, 1).documents[note_of(1, 3)]


def deleted(store: MemoryStore) -> None:
    held = store.tables.of(1, 1).documents
    held[note_of(1, 3)] = type(held[note_of(1, 3)])(held[note_of(1, 3)].position, None)


def made_up(store: MemoryStore) -> None:
    held = store.tables.of(1, 1).documents
    held[note_of(1, 99)] = held[note_of(1, 3)]


def moved_back(store: MemoryStore) -> None:
    held = store.tables.of(1, 1).documents
    held[Key("book", BOOKS[1], "")] = type(held[note_of(1, 3)])(Position(1, 0), held[Key("book", BOOKS[1], "")].data)


@pytest.mark.parametrize("plant", [wrong, lost, deleted, made_up, moved_back])
async def test_a_wrong_document_of_the_live_edition_is_found_and_nothing_is_switched(
    plant: Callable[[MemoryStore], None],
) -> None:
    world = World()
    reports = await planted(world, plant)
    assert ends(reports) == {**ALL_SWITCHED, 1: Phase.DIFFERENT}
    [found] = [one for one in reports if one.phase is Phase.DIFFERENT]
    assert found.differences == 1
    assert any(str(number) in found.different_keys[0] for number in (ordered(3), ordered(99), BOOKS[1]))
    assert await MemoryStore(world.tables).editions(1) == Editions(1, 2, Stage.BUILDING)
    assert await MemoryStore(world.tables).editions(0) == Editions(2, 1, Stage.KEPT)


def wrong_row(store: MemoryStore) -> None:
    store.tables.of(2, 1).rows[BOOKS[2], BOOKS[1]]["last"] = (29).to_bytes(8)


def lost_row(store: MemoryStore) -> None:
    store.tables.of(2, 1).rows.clear()


def made_up_row(store: MemoryStore) -> None:
    store.tables.of(2, 1).rows[BOOKS[2], "nobody"] = {"last": (1).to_bytes(8)}


@pytest.mark.parametrize("plant", [wrong_row, lost_row, made_up_row])
async def test_wrong_rows_of_the_live_edition_are_found_and_nothing_is_switched(
    plant: Callable[[MemoryStore], None],
) -> None:
    world = World()
    reports = await planted(world, plant)
    assert ends(reports) == {**ALL_SWITCHED, 2: Phase.DIFFERENT}
    [found] = [one for one in reports if one.phase is Phase.DIFFERENT]
    assert found.different_keys == (f"rows of {BOOKS[2]}",)


async def test_a_write_that_was_answered_before_the_switch_is_answered_alike_after_it() -> None:
    world = World()
    async with running(world, rules=RULES) as process:
        first = await process.write(BOOKS[0], "once")
        assert first.entry is not None
        await traffic(process, random.Random(1), 50)
        await rebuilt(process)
        await process.end()
    async with running(world, rules=RULES) as process:
        again = await process.submit(first.entry.request_id, Command(book=BOOKS[0], text="once"))
        assert again.replayed
        assert again.position == first.position


async def test_single_partitions_are_rebuilt_and_dropped_by_themselves() -> None:
    world = World()
    async with running(world, rules=RULES) as process:
        await traffic(process, random.Random(2), 60)
        assert ends(await rebuilt(process, partitions=[1, 3])) == {1: Phase.SWITCHED, 3: Phase.SWITCHED}
        store = MemoryStore(world.tables)
        assert [(await store.editions(number)).live for number in range(PARTITIONS)] == [1, 2, 1, 2]
        assert ends(await rebuilt(process)) == {
            0: Phase.SWITCHED, 1: Phase.SKIPPED, 2: Phase.SWITCHED, 3: Phase.SKIPPED,
        }  # fmt: skip
        assert ends(await rebuilt(process, Step.DROP)) == dict.fromkeys(range(PARTITIONS), Phase.DROPPED)
        assert [await store.editions(number) for number in range(PARTITIONS)] == [Editions(2)] * PARTITIONS
        assert list(await store.at(1).documents(1, at_least=-1, after=None)) == []
        assert ends(await rebuilt(process, Step.DROP)) == dict.fromkeys(range(PARTITIONS), Phase.SKIPPED)
        assert ends(await rebuilt(process)) == ALL_SWITCHED
        await rows_settled(process, world)
        await process.end()
    await check_laws(world, edition=3)


async def test_what_cannot_follow_is_refused() -> None:
    world = World()
    async with running(world, rules=RULES) as process:
        with pytest.raises(RebuildRefused, match="no edition was kept"):
            await rebuilt(process, Step.SWITCH_BACK)
        with pytest.raises(RebuildRefused, match="no partition 9"):
            await rebuilt(process, partitions=[9])
        store = MemoryStore(world.tables)
        await store.build_edition(0, 2)
        with pytest.raises(RebuildRefused, match="being built"):
            await rebuilt(process, Step.SWITCH_BACK)
        first = process.host.rebuild(Step.REBUILD)
        await anext(first)
        with pytest.raises(RebuildRefused, match="another rebuild"):
            await rebuilt(process)
        await first.aclose()
        assert ends(await rebuilt(process)) != {}
    async with running(world, rules=RULES, owned=[0, 1]) as process:
        assert ends(await rebuilt(process, Step.DROP, [0, 1])) == {0: Phase.DROPPED, 1: Phase.DROPPED}
        with pytest.raises(RebuildRefused, match="does not own partition 2, or not yet"):
            await rebuilt(process, Step.DROP, [0, 2])


async def test_an_owner_that_claims_anew_at_the_moment_of_the_switch_switches_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    confirm, doubts = OwnedPartition.confirm, 2

    async def doubtful(partition: OwnedPartition) -> bool:
        nonlocal doubts
        if not doubts:
            return await confirm(partition)
        doubts -= 1
        shell, before = partition.shell, partition.shell.owner.epoch
        shell.doubt()
        await shell.phase_changed.until(lambda: shell.owning and shell.owner.epoch > before)
        return False

    monkeypatch.setattr(OwnedPartition, "confirm", doubtful)
    async with running(World(), rules=RULES) as process:
        await traffic(process, random.Random(1), 40)
        assert ends(await rebuilt(process)) == ALL_SWITCHED
    assert not doubts


async def test_each_owner_rebuilds_its_own_partitions_where_there_are_no_rows() -> None:
    world, draw, rules = World(), random.Random(7), HostRules(Notebook())
    async with running(world, rules=rules) as process:
        await traffic(process, draw, 200)
        await process.end()
    async with (
        running(world, rules=rules, owned=[0, 1], address="one") as one,
        running(world, rules=rules, owned=[2, 3], address="other") as other,
    ):
        with pytest.raises(RebuildRefused, match="does not own partition 2, or not yet"):
            await rebuilt(one)
        parts = await asyncio.gather(rebuilt(one, partitions=[0, 1]), rebuilt(other, partitions=[3, 2]))
        assert [ends(part) for part in parts] == [
            dict.fromkeys((0, 1), Phase.SWITCHED), dict.fromkeys((3, 2), Phase.SWITCHED),
        ]  # fmt: skip
        for process in (one, other):
            await process.end()
    await check_documents(world, edition=2)


async def test_rows_without_a_feed_are_never_lost_by_a_switch() -> None:
    world = World()
    await MemoryStore(world.tables).merge_rows(2, [Row(BOOKS[2], "r", {"f": b"1"})])
    async with running(world, rules=HostRules(Notebook())) as process:
        assert ends(await rebuilt(process)) == {**ALL_SWITCHED, 2: Phase.DIFFERENT}


async def test_reads_see_the_same_before_during_and_after_the_switch() -> None:
    world, draw = World(), random.Random(5)
    async with running(world, rules=RULES, ports=world.ports(store_fault=jittery(draw))) as process:
        for number in range(40):
            await process.write(BOOKS[1], f"{number}")
        expected = [f"{number}" for number in range(40)]

        async def read() -> int:
            reads = 0
            while True:
                assert await process.texts(BOOKS[1]) == expected
                reads += 1
                if done.is_set():
                    return reads

        done = asyncio.Event()
        reading = [asyncio.create_task(read()) for _ in range(4)]
        async with asyncio.timeout(BOUND_SECONDS):
            await rebuilt(process)
            await rebuilt(process, Step.SWITCH_BACK)
            done.set()
            assert min(await asyncio.gather(*reading)) > 1
