"""The life of a simulated process: it comes up, sleeps, wakes and is gone; what was meant for one life reaches no
later one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tests.simulation.world import World

T = TypeVar("T")


class Process:
    """One process after the other under one name."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.random = world.stream(name)
        """Its own chance; anew in each life."""
        self.up = False
        self.paused = False
        self._life = 0
        self._held: list[Callable[[], None]] = []

    def begin_life(self) -> None:
        """Comes up as a new process."""
        self._life += 1
        self.random = self.world.stream(f"{self.name}/{self._life}")
        self.up, self.paused = True, False
        self._held.clear()
        self.world.note(f"{self.name} starts")

    def crash(self) -> None:
        """Is gone at once."""
        self.up = False
        self._life += 1
        self.world.note(f"{self.name} crashes")

    def pause(self, for_ms: int) -> None:
        """Sleeps; what arrives meanwhile waits."""
        self.paused = True
        self.world.note(f"{self.name} sleeps")
        self.in_this_life(for_ms, self.resume)

    def resume(self) -> None:
        """Wakes and takes in what has arrived."""
        self.paused = False
        self.world.note(f"{self.name} wakes")
        held, self._held = self._held, []
        for act in held:
            act()

    def every(self, period_ms: int, act: Callable[[], None]) -> None:
        """Does something again and again in this life."""

        def again() -> None:
            act()
            self.in_this_life(period_ms, again)

        self.in_this_life(period_ms, again)

    def in_this_life(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Does something later, unless this life is over by then; a sleeper does it when it wakes."""
        life = self._life
        awake = act == self.resume

        def later() -> None:
            if life != self._life:
                return
            if self.paused and not awake:
                self._held.append(later)
            else:
                act()

        self.world.after(delay_ms, later)

    def of_this_life(self, act: Callable[[T], None]) -> Callable[[T], None]:
        """What others may call at any time: it reaches this life, when it is awake, and no later one."""
        life = self._life

        def deliver(given: T) -> None:
            if life != self._life:
                return
            if self.paused:
                self._held.append(lambda: deliver(given))
            else:
                act(given)

        return deliver
