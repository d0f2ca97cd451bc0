"""A reader gets every valid block after its cursor, from memory or from the log, or learns that the log is damaged."""

from __future__ import annotations

import asyncio

import pytest

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.adapters.memory import MemoryJournal
from chapar_sourcing.fold import FoldState, LogDamaged, Verdict, fold
from chapar_sourcing.positions import NOWHERE, Position
from chapar_sourcing.tail import BlockReader, Tail, ValidBlock

from .notebook import Event
from .rig import World, book_at, running


async def written(count: int) -> tuple[World, list[ValidBlock]]:
    """A world with several claims and as many blocks, and the valid blocks of partition 0."""
    world = World()
    for start in range(0, count, 4):
        async with running(world) as process:
            for n in range(start, min(count, start + 4)):
                await process.write(book_at(0), str(n))
            await process.crash()
    blocks: list[ValidBlock] = []
    state = FoldState()
    for record in await MemoryJournal(world.log).read(0, 0):
        state, verdict, parsed = fold(state, record.offset, record.data)
        if verdict is Verdict.BLOCK:
            blocks.append(ValidBlock(record.offset, parsed.block, state.hash))
    return world, blocks


async def take(reader: BlockReader, count: int) -> list[str]:
    """Texts of the next events."""
    found: list[str] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += [at.event.text for block in await reader.next(2) for at in block.events(Event)]
    return found


def full_tail(blocks: list[ValidBlock], **bounds: int) -> Tail:
    tail = Tail(**bounds)
    tail.start(-1)
    for block in blocks:
        tail.push(block)
    return tail


@pytest.mark.parametrize("ring", [1, 3, 100])
@pytest.mark.parametrize("seen", [0, 1, 5, 9])
async def test_every_block_after_the_cursor_is_read_once(ring: int, seen: int) -> None:
    world, blocks = await written(10)
    position, digest = (blocks[seen - 1].end, blocks[seen - 1].hash) if seen else (NOWHERE, b"")
    tail = full_tail(blocks, blocks_max=ring)
    reader = BlockReader(0, MemoryJournal(world.log), tail, position, digest)
    assert await take(reader, 10 - seen) == [str(n) for n in range(seen, 10)]
    assert reader.caught_up


async def test_a_reader_does_not_run_ahead_of_its_owner() -> None:
    world, blocks = await written(6)
    tail = full_tail(blocks[:3], blocks_max=1)
    reader = BlockReader(0, MemoryJournal(world.log), tail, NOWHERE, b"")
    texts = [at.event.text for block in await reader.next(64) for at in block.events(Event)]
    assert texts == ["0", "1", "2"]
    assert reader.caught_up


async def test_a_reader_that_waits_is_woken() -> None:
    world, blocks = await written(3)
    tail = full_tail(blocks[:2])
    reader = BlockReader(0, MemoryJournal(world.log), tail, blocks[1].end, blocks[1].hash)
    waiting = asyncio.create_task(reader.next())
    tail.push(blocks[2])
    async with asyncio.timeout(20):
        assert [b.offset for b in await waiting] == [blocks[2].offset]


@pytest.mark.parametrize("damage", ["hash", "offset", "claim", "beyond"])
async def test_a_cursor_of_another_log_is_an_alarm(damage: str) -> None:
    world, blocks = await written(5)
    position, digest = {
        "hash": (blocks[1].end, bytes(32)),
        "offset": (Position(blocks[1].offset, 0), blocks[2].hash),
        "claim": (Position(0, -1), blocks[0].hash),
        "beyond": (Position(10_000, 0), blocks[0].hash),
    }[damage]
    reader = BlockReader(0, MemoryJournal(world.log), full_tail(blocks), position, digest)
    with pytest.raises(LogDamaged):
        await reader.next()


async def test_the_ring_is_bounded_in_blocks_and_bytes() -> None:
    _, blocks = await written(10)
    by_count = full_tail(blocks, blocks_max=3)
    assert by_count.after(by_count.floor, 100) == blocks[-3:]
    assert by_count.after(by_count.floor - 1, 100) is None
    by_bytes = full_tail(blocks, bytes_max=blocks[0].block.ByteSize() * 2 + 10)
    held = by_bytes.after(by_bytes.floor, 100)
    assert held is not None
    assert 1 <= len(held) <= 2


async def test_a_cursor_at_what_is_no_record_is_damage() -> None:
    world = World()
    world.log.append(0, b"\xff\xff")
    reader = BlockReader(0, MemoryJournal(world.log), Tail(), Position(0, 0), bytes(32))
    with pytest.raises(LogDamaged, match="cannot be read"):
        await reader.open()


async def test_an_event_that_is_none_is_damage() -> None:
    entry = journal.Entry(events=journal.Events(events=[b"\xff\xff"]))
    with pytest.raises(LogDamaged, match="7/0 cannot be read"):
        ValidBlock(7, journal.Block(entries=[entry]), bytes(32)).events(Event)
