"""Virtual time for everything: events in an order that the seed alone decides, and the trace of what happened."""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable, Container

from tests.simulation.faults import Faults
from tests.simulation.path.faults import Rates
from tests.simulation.path.loop import VirtualLoop
from tests.simulation.playing import Violation

BEGIN_MS = 1_700_000_000_000


class World:
    """Time in seconds from 0."""

    def __init__(self, seed: int, rates: Rates, suppressed: Container[int] = frozenset()) -> None:
        self.seed = seed
        self.faults = Faults(seed, rates.by_name(), suppressed)
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[[], object]]] = []
        self._order = 0
        self._trace = hashlib.sha256()
        self.steps: list[str] = []
        self.loops: list[VirtualLoop] = []
        """All loops there ever were: what dies with a process is kept until the end."""
        self._failure = ""

    @property
    def now_ms(self) -> int:
        """True time, milliseconds since 1970."""
        return BEGIN_MS + int(self.now * 1000)

    def at(self, when: float, act: Callable[[], object]) -> None:
        """Does something at a time, or now where that has passed."""
        self._order += 1
        heapq.heappush(self._queue, (max(when, self.now), self._order, act))

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Does something later."""
        self.at(self.now + seconds, act)

    def soon(self, least: float, most: float, act: Callable[[], object], by: random.Random) -> None:
        """Does something after a delay of `least` to `most` seconds that `by` draws."""
        self.at(self.now + least + (most - least) * by.random(), act)

    def stream(self, name: str) -> random.Random:
        """Randomness of its own for somebody: what others draw does not change it, so that a trace can be shrunk."""
        return random.Random(f"{self.seed}/{name}")

    def run(self, until: Callable[[], bool], *, limit: float) -> bool:
        """Lets time pass until something holds, at most `limit` seconds; False when it never did."""
        end = self.now + limit
        queue = self._queue
        while not until():
            if not queue or queue[0][0] > end:
                return False
            self.now, _, act = heapq.heappop(queue)
            act()
            if self._failure:
                raise Violation(self._failure)
        return True

    def failed(self, what: str) -> None:
        """Notes a failure where nothing can be raised; the run ends with it."""
        self._failure = self._failure or what

    def note(self, what: str) -> None:
        """Adds a line to the trace."""
        line = f"{self.now:.6f} {what}"
        self._trace.update(line.encode() + b"\n")
        self.steps.append(line)

    def heal(self) -> None:
        """No faults from now on."""
        self.faults.heal()

    @property
    def trace_hash(self) -> str:
        """Digest of all that happened."""
        return self._trace.hexdigest()
