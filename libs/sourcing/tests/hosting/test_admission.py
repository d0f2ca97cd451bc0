"""Commands that cannot make their deadline are refused before they cost anything; confirmations have a bound."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from chapar_sourcing.admission import Admission
from chapar_sourcing.owner import Bounds
from chapar_sourcing.refusing import OVERLOADED

from .notebook import Command
from .rig import World, book_at, eventually, running


def after_appends(*took_ms: int) -> Admission:
    """With appends that took so long, one after the other; the clock is at 10,000 afterwards."""
    admission = Admission(entries_max=100)
    now_ms = 10_000 - sum(took_ms)
    for took in took_ms:
        sent_ms = admission.sent(now_ms)
        now_ms += took
        admission.ended(sent_ms, now_ms)
    return admission


def test_an_idle_owner_expects_nothing_however_slow_it_was() -> None:
    assert after_appends(5_000, 5_000).expected_ms(0, 10_000) == 0


def test_the_mean_follows_the_newest_appends() -> None:
    slow, fast = after_appends(*[100] * 20), after_appends(*[100] * 20, *[10] * 20)
    assert 95 < slow.expected_ms(1, 10_000) <= 100
    assert 10 <= fast.expected_ms(1, 10_000) < 15


def test_each_full_block_before_a_command_costs_an_append() -> None:
    admission = after_appends(*[100] * 30)
    one, three = admission.expected_ms(99, 10_000), admission.expected_ms(250, 10_000)
    assert round(three / one) == 3


def test_an_append_that_hangs_is_expected_to_hang_on() -> None:
    admission = after_appends(*[10] * 30)
    admission.sent(10_000)
    assert admission.expected_ms(0, 10_001) < 25
    assert admission.expected_ms(0, 12_000) > 2_000


async def test_a_command_behind_an_append_that_hangs_is_refused_by_its_deadline() -> None:
    held = asyncio.Event()
    world = World()
    hold = False

    async def wait() -> None:
        await held.wait()

    def fault(step: str, partition: int) -> object:
        return wait() if hold and step == "append" and partition == 0 else None

    async with running(world, ports=world.ports(journal_fault=fault)) as process:
        await process.write(book_at(0), "first")
        hold = True
        hanging = asyncio.create_task(process.host.submit(0, process.request_of(Command(book=book_at(0), text="a"))))
        shell = process.host._partitions[0].shell
        await eventually(lambda: shell.owner.undurable)
        began_ms = process.host.now_ms
        await eventually(lambda: process.host.now_ms > began_ms + 300)
        request = process.request_of(Command(book=book_at(0), text="b"))
        hasty = replace(request, deadline_ms=process.host.now_ms + 200)
        assert (await process.host.submit(0, hasty)).reason == OVERLOADED
        assert process.measures.counters["commands_too_late"] == 1
        patient = replace(request, deadline_ms=process.host.now_ms + 60_000)
        waiting = asyncio.create_task(process.host.submit(0, patient))
        held.set()
        assert [(await task).entry is not None for task in (hanging, waiting)] == [True, True]


async def test_confirmations_have_a_bound() -> None:
    world = World()
    held = asyncio.Event()
    hold = False

    async def wait() -> None:
        await held.wait()

    def fault(step: str, partition: int) -> object:
        return wait() if hold and step == "append" and partition == 0 else None

    ports = world.ports(journal_fault=fault)
    async with running(world, ports=ports, bounds=Bounds(waiting_max=3), read_policy="append") as process:
        await process.write(book_at(0), "first")
        hold = True
        deadline_ms = process.host.now_ms + 60_000

        async def read(view: object) -> bool:
            view.used = True  # type: ignore[attr-defined]
            return True

        reads = [asyncio.create_task(process.host.read(0, read, deadline_ms=deadline_ms)) for _ in range(5)]
        await eventually(lambda: sum(task.done() for task in reads) == 2)
        held.set()
        ended = await asyncio.gather(*reads, return_exceptions=True)
        assert sum(one is True for one in ended) == 3
        assert {str(one) for one in ended if one is not True} == {OVERLOADED}
