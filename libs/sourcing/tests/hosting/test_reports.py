"""What a rebuild tells of itself reaches whoever reads, however slowly."""

from __future__ import annotations

import asyncio

import pytest

from chapar_sourcing.rebuild import Phase, Rebuilt, Reports


async def test_results_of_work_that_ends_while_the_reader_is_busy_are_told() -> None:
    reports, busy, ended = Reports(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        reports.put(Rebuilt(0, 2, Phase.DROPPED))
        await busy.wait()
        reports.put(Rebuilt(1, 2, Phase.DROPPED))
        ended.set()

    told = []
    async for rebuilt in reports.of(work()):
        told.append(rebuilt.partition)
        busy.set()
        await ended.wait()
        await asyncio.sleep(0)
    assert told == [0, 1]


async def test_results_are_told_before_what_ended_the_work() -> None:
    reports = Reports()

    async def work() -> None:
        reports.put(Rebuilt(0, 2, Phase.DROPPED))
        raise ValueError("no further")

    told = []

    async def read() -> None:
        async for rebuilt in reports.of(work()):
            told.append(rebuilt.partition)

    with pytest.raises(ValueError, match="no further"):
        await read()
    assert told == [0]
