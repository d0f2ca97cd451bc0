"""How a process reaches what surrounds it: a call goes out, its effect happens in the world, an answer may come back.

A call that has left happens whether its process lives on or not; answers to a dead process go nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from chapar_sourcing.ports import Unavailable
from tests.simulation.path.loop import VirtualLoop
from tests.simulation.path.world import World
from tests.simulation.playing import Violation

T = TypeVar("T")

NEAR_SECONDS = (0.000_2, 0.003)
JUST_SECONDS = (0.0, 0.000_2)
"""How long ago a process was told to stop that ends in the middle of a failure: a few steps of its loop."""


class Line:
    """The line of one process."""

    def __init__(self, world: World, loop: VirtualLoop, name: str) -> None:
        self.world = world
        self.loop = loop
        self.name = name
        self.random = world.stream(f"line {name}")
        self.breaks: Callable[[], None] = lambda: None
        """What else happens when this line stalls."""
        self.stops: Callable[[], None] = lambda: None
        """Has its process told to stop."""

    async def ask(self, act: Callable[[], T], *, least: float = NEAR_SECONDS[0], most: float = NEAR_SECONDS[1]) -> T:
        """Has `act` done at a random time between `least` and `most` seconds from now; returns or raises as it does."""
        future = self.loop.create_future()

        def arrive() -> None:
            try:
                result = act()
            except Violation as violation:
                self.world.failed(str(violation))
            except Exception as error:
                self.answer(future, error)
            else:
                self.answer(future, result)

        self.world.soon(least, most, arrive, self.random)
        return await future  # type: ignore[no-any-return]

    async def fail(self) -> NoReturn:
        """No answer; at times when its process has just been told to stop. Raises `Unavailable`."""
        future = self.loop.create_future()
        arrival = self.world.now + self.random.uniform(*NEAR_SECONDS)
        if self.world.faults.happens("stop_amid_failure"):
            self.world.at(arrival - self.random.uniform(*JUST_SECONDS), self.stops)
        self.world.at(arrival, lambda: self.answer(future, Unavailable("no answer")))
        await future
        raise AssertionError("a failure is all that comes")

    def answer(self, future: asyncio.Future[Any], outcome: object) -> None:
        """Brings an answer, or an exception, to whoever waits, if they still are there."""
        self.loop.call_soon(_settle, future, outcome)


def _settle(future: asyncio.Future[Any], outcome: object) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
