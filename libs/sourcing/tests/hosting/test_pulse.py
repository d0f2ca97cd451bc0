"""Whoever waits for a change is told of it."""

from __future__ import annotations

import asyncio

from chapar_sourcing.pulse import Pulse


async def test_a_beat_between_asking_and_waiting_is_not_missed() -> None:
    pulse = Pulse()
    waiting = asyncio.ensure_future(pulse.wait())
    pulse.beat()
    async with asyncio.timeout(20):
        await waiting


async def test_a_beat_before_asking_is_over() -> None:
    pulse = Pulse()
    pulse.beat()
    waiting = asyncio.ensure_future(pulse.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    pulse.beat()
    async with asyncio.timeout(20):
        await waiting
