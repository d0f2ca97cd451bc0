"""An operator has a process own a partition: it moves there at once, with everything, and the word on it stays."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from chapar_sourcing.adapters.memory import MemoryDirectory
from chapar_sourcing.members import PlacementRefused
from chapar_sourcing.partitions import partition_of_id
from chapar_sourcing.ports import Unavailable
from chapar_sourcing.refusing import NOT_OWNER

from .rig import PARTITIONS, Process, World, book_at, eventually, running
from .test_host import told
from .test_members import ALL, member, owned


async def place(process: Process, partition: int, address: str) -> None:
    await process.host.place(partition, address, reason=" too hot ", operator="ali")


async def test_partitions_move_where_they_are_placed_with_all_that_was_acknowledged() -> None:
    world, directory = World(), MemoryDirectory()
    async with member(world, directory, "one") as one:
        await one.ready()
        async with member(world, directory, "other") as other:
            await eventually(lambda: other.host.ready)
            assert owned(one) == ALL
            await one.write(book_at(1), "before")
            for asked, partition in ((one, 1), (other, 2)):
                await place(asked, partition, "other")
            await eventually(lambda: owned(other) == {1, 2})
            assert owned(one) == ALL - {1, 2}
            assert await told(one.write(book_at(1), "not here")) == NOT_OWNER
            assert one.host.owners[1].answers_at == "other"
            await other.write(book_at(1), "after")
            assert await other.texts(book_at(1)) == ["before", "after"]
            for process in (one, other):
                said = process.host.placements[1]
                assert (said.address, said.reason, said.operator) == ("other", "too hot", "ali")
                assert said.time_ms > 0
            assert sorted(one.host.placements) == [1, 2]


async def test_a_placed_partition_is_taken_over_when_its_process_dies() -> None:
    world, directory = World(), MemoryDirectory()
    async with member(world, directory, "one") as one:
        await one.ready()
        async with member(world, directory, "other") as other:
            await eventually(lambda: other.host.ready)
            await place(one, 1, "other")
            await eventually(lambda: owned(other) == {1})
            await other.write(book_at(1), "there")
            await other.crash()
            await eventually(lambda: owned(one) == ALL)
            assert await one.texts(book_at(1)) == ["there"]
            assert one.host.placements[1].address == "other"
            await place(one, 1, "")
            await eventually(lambda: not one.host.placements)


async def test_what_cannot_hold_is_refused_and_not_said() -> None:
    directory = MemoryDirectory()
    async with member(World(), directory, "one") as one:
        await one.ready()
        for partition, address in ((len(ALL), "one"), (0, "nobody")):
            with pytest.raises(PlacementRefused):
                await place(one, partition, address)
        with pytest.raises(PlacementRefused, match="a reason is needed"):
            await one.host.place(0, "one", reason="  ")
        assert not directory.placements["notebook"]
        await place(one, 0, "one")
        assert owned(one) == ALL


async def test_whoever_is_told_what_it_owns_is_told_of_placements_and_moves_nothing() -> None:
    async with running(World()) as fixed:
        await fixed.ready()
        address = fixed.host.members[0].address
        with pytest.raises(PlacementRefused, match="no member"):
            await place(fixed, 0, "other")
        await place(fixed, 0, address)
        await eventually(lambda: 0 in fixed.host.placements)
        assert owned(fixed) == ALL
    with pytest.raises(Unavailable):
        await place(fixed, 0, address)


async def test_a_partition_moves_back_and_forth_while_it_is_written_to() -> None:
    world, directory = World(), MemoryDirectory()
    names = (f"book-{n}" for n in itertools.count())
    books = list(itertools.islice((name for name in names if partition_of_id(name, PARTITIONS) == 3), 100))
    async with member(world, directory, "one") as one, member(world, directory, "other") as other:
        await eventually(lambda: one.host.ready and other.host.ready)
        done, written, turned_away = asyncio.Event(), list[str](), 0

        async def write() -> None:
            nonlocal turned_away
            while not done.is_set():
                owner = next((p for p in (one, other) if 3 in owned(p)), one)
                reason = await told(owner.write(books[len(written) % len(books)], str(len(written))))
                if reason:
                    assert reason == NOT_OWNER
                    turned_away += 1
                    await asyncio.sleep(0.001)
                else:
                    written.append(str(len(written)))

        writing = asyncio.create_task(write())
        for target in (one, other, one, other):
            await place(one, 3, target.host.config.address)
            await eventually(lambda target=target: 3 in owned(target))  # type: ignore[misc]
            before = len(written)
            await eventually(lambda before=before: len(written) > before + 3)  # type: ignore[misc]
        done.set()
        await writing
        assert turned_away, "it never moved under a write"
        for number, book in enumerate(books):
            assert await other.texts(book) == written[number :: len(books)]
