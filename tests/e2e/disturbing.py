"""What is done to the services under load: killed with -9, stopped and continued. Seeded."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator
from typing import NamedTuple

from tests.e2e.load import Arena

STOP_S_MIN = 0.2
STOP_S_MAX = 8.0
"""Longer than a call's deadline and than any heartbeat lives: clients time out, leases expire."""
ACKNOWLEDGED_BETWEEN = 40


class Disturbance(NamedTuple):
    """One thing done to a service: killed, or stopped for so many seconds."""

    service: str
    stop_s: float | None = None


def plan(service: str, *, kills: int, stops: int, seed: int) -> Iterator[Disturbance]:
    """The same for the same seed: stops of all lengths, spread evenly over their logarithms, among the kills."""
    chance = random.Random(f"{seed} {service}")
    found = [Disturbance(service) for _ in range(kills)]
    for number in range(stops):
        at = (number + chance.random()) / stops
        found.append(Disturbance(service, STOP_S_MIN * (STOP_S_MAX / STOP_S_MIN) ** at))
    chance.shuffle(found)
    yield from found


async def disturb(arena: Arena, disturbance: Disturbance) -> None:
    """Does it under load, and returns once the service has answered again."""
    up, service = arena.stage.up, disturbance.service
    if disturbance.stop_s is None:
        arena.recorder.crash(service)
        await up.kill_and_wait(service)
    else:
        up.send_signal(service, signal.SIGSTOP)
        try:
            await asyncio.sleep(disturbance.stop_s)
        finally:
            up.send_signal(service, signal.SIGCONT)
    await arena.more(ACKNOWLEDGED_BETWEEN)
