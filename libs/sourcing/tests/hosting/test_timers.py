"""Timers in a running host: idle partitions wake for them, and the next process fires what the last one did not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from chapar_sourcing.domain import Document, Documents, Key, Refused, When
from chapar_sourcing.hosting import HostRules
from chapar_sourcing.ports import Unavailable
from chapar_sourcing.timers import TIMER_KIND, DueTimer, Timer, timer_key

from .notebook import Command, Event, Notebook
from .rig import BOUND_SECONDS, Process, World, book_at, eventually, running

SET = "set"
RING = "ring"


class Alarms(Notebook):
    """Notebooks with alarms: `forward="set"` sets one for the time `number`, which then writes its text as a note."""

    documents: Mapping[str, type[Document]] = {**Notebook.documents, TIMER_KIND: Timer}

    def due(self, timer: DueTimer) -> Any:
        return Command(book=timer.subject, text=timer.payload.decode(), number=timer.due_ms, forward=RING)

    def needs(self, command: Any) -> Sequence[Key]:
        return [] if command.forward == SET else super().needs(command)

    def decide(self, documents: Documents, command: Any, now_ms: int) -> Sequence[Any] | Refused:
        if command.forward == SET:
            return [Event(book=command.book, text=command.text, number=command.number, forward=SET)]
        decided = super().decide(documents, command, now_ms)
        if command.forward == RING and not isinstance(decided, Refused):
            return [*decided, Event(book=command.book, number=command.number, forward=RING, erases=1)]
        return decided

    def touches(self, event: Any) -> Sequence[Key]:
        if event.forward == SET or (event.forward == RING and event.erases):
            return [timer_key(event.number, event.book)]
        return super().touches(event)

    def evolve(self, key: Key, document: Document | None, event: Any, when: When) -> Document | None:
        if key.kind == TIMER_KIND:
            return Timer(event.text.encode()) if event.forward == SET else None
        return super().evolve(key, document, event, when)


RULES = HostRules(domain=Alarms())


async def set_alarm(process: Process, book: str, text: str, after_ms: int) -> None:
    """Sets an alarm."""
    outcome = await process.write(book, text, number=process.host.now_ms + after_ms, forward=SET)
    assert outcome.entry is not None


async def rung(process: Process, book: str, *texts: str) -> None:
    """Waits until a book has just these notes."""

    async def holds() -> bool:
        return list(await process.texts(book)) == list(texts)

    await eventually(holds)


async def test_an_idle_partition_wakes_for_its_timer() -> None:
    book = book_at(2)
    async with running(World(), rules=RULES) as process:
        await set_alarm(process, book, "wake up", 300)
        assert list(await process.texts(book)) == []
        await rung(process, book, "wake up")
        shell = process.host._partitions[2].shell
        await eventually(lambda: not shell.needs_tick)


async def test_a_timer_outlives_its_process() -> None:
    world, book = World(), book_at(1)
    async with running(world, rules=RULES) as process:
        await set_alarm(process, book, "first", 0)
        await rung(process, book, "first")
        await set_alarm(process, book, "second", 400)
        await process.crash()
    async with running(world, rules=RULES) as process:
        await rung(process, book, "first", "second")
        digest = await process.host.digest(1)
        assert digest.alarms == 0


async def test_timers_wait_while_the_store_cannot_be_read() -> None:
    world, book, away, asked = World(), book_at(0), asyncio.Event(), asyncio.Event()
    async with running(world, rules=RULES) as process:
        await set_alarm(process, book, "late", 200)
        await process.end()

    def fault(step: str, _partition: int) -> None:
        if step == "scan" and away.is_set():
            asked.set()
            raise Unavailable("the store is away")

    away.set()
    async with running(world, rules=RULES, ports=world.ports(store_fault=fault)) as process:
        async with asyncio.timeout(BOUND_SECONDS):
            await asked.wait()
        away.clear()
        await rung(process, book, "late")


async def test_after_an_alarm_that_somebody_else_raised_no_timer_is_decided() -> None:
    world, damaged, sound = World(), book_at(1), book_at(2)
    async with running(world, rules=RULES) as process:
        await set_alarm(process, damaged, "never", 100)
        await set_alarm(process, sound, "wake up", 200)
        process.host.raise_alarm(1, "a client has seen more of this log than there is")
        known = world.log.ends[1]
        await rung(process, sound, "wake up")
        assert world.log.ends[1] == known
        assert process.measures.counters["alarms"] == 1
        assert process.host.health()[1].phase == "alarmed"
