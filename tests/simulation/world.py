"""The simulated world: time, a journal behind an unreliable network, a store."""

from __future__ import annotations

import functools
import hashlib
import heapq
import random
from collections.abc import Callable, Container, Sequence
from typing import TypeVar

from chapar_sourcing.owner import Append, AppendFailed, AppendSucceeded, Input
from chapar_sourcing.ports import JournalRecord
from tests.simulation.faults import Faults, Rates
from tests.simulation.model import Model
from tests.simulation.steps import StoreSteps
from tests.simulation.store import Store
from tests.simulation.toy import Registers

T = TypeVar("T")

ACK_TIMEOUT_MS = 200
SLOW_ACK_MS = (100, 3_000)
DOWN_MS = (20, 1_500)


class World:
    """Discrete time: callbacks at milliseconds, in an order that the seed alone decides."""

    def __init__(self, seed: int, rates: Rates, suppressed: Container[int] = frozenset()) -> None:
        self._seed = seed
        self.random = self.stream("world")
        self.faults = Faults(seed, rates.by_name(), suppressed)
        self.now_ms = 1_700_000_000_000
        self._queue: list[tuple[int, int, Callable[[], object]]] = []
        self._order = 0
        self._trace = hashlib.sha256()
        self.steps: list[str] = []
        self.model = Model()
        self.damaged = False
        """Whether the log was cut: then an alarm is what must come."""
        self.journal = Journal(self)
        chance = self.stream("store")
        self.store = Store(
            self.faults,
            StoreSteps(self.model, Registers.documents),
            lambda least_ms, most_ms, act: self.soon(least_ms, most_ms, act, chance),
        )

    def stream(self, name: str) -> random.Random:
        """Randomness of its own for somebody: what others draw does not change it, so that a trace can be shrunk."""
        return random.Random(f"{self._seed}/{name}")

    def after(self, delay_ms: int, act: Callable[[], object]) -> None:
        """Does something later."""
        self._order += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._order, act))

    def soon(self, least_ms: int, most_ms: int, act: Callable[[], object], by: random.Random) -> None:
        """Does something after a delay that `by` draws."""
        self.after(by.randint(least_ms, most_ms), act)

    def run(self, until: Callable[[], bool], *, limit_ms: int) -> bool:
        """Lets time pass until something holds; False when it never did."""
        end = self.now_ms + limit_ms
        while self._queue and not until():
            at, order, act = heapq.heappop(self._queue)
            if at > end:
                heapq.heappush(self._queue, (at, order, act))
                return False
            self.now_ms = at
            act()
        return until()

    def note(self, what: str) -> None:
        """Adds a line to the trace."""
        line = f"{self.now_ms} {what}"
        self._trace.update(line.encode() + b"\n")
        self.steps.append(line)

    def heal(self) -> None:
        """No faults from now on."""
        self.faults.heal()

    @property
    def trace_hash(self) -> str:
        """Digest of all that happened."""
        return self._trace.hexdigest()


class Journal:
    """One partition of a log. A record lands, durably and for all to see, or it never does."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.stream("journal")
        self._life = 0
        self.down = False
        """Whether it is crashed and not up again yet."""
        self.tells = "everything"
        """What senders hear once all is well: "no offset told", "nothing told", or all there is."""
        self.records: list[JournalRecord] = []

    def append(self, effect: Append, deliver: Callable[[Input], None]) -> None:
        """Sends a record on its way; `deliver` hears how it went, if it is still there."""
        world, faults = self._world, self._world.faults
        timeout = AppendFailed(effect.append_id, certain=False)
        if self.tells == "nothing told":
            self._on_its_way(0, 5, lambda: self._land(effect.data))
            world.after(ACK_TIMEOUT_MS, lambda: deliver(timeout))
        elif self.down or faults.happens("rejected"):
            world.soon(1, 20, lambda: deliver(AppendFailed(effect.append_id, certain=True)), self._random)
        elif faults.happens("never_lands"):
            world.after(ACK_TIMEOUT_MS, lambda: deliver(timeout))
        elif faults.happens("lands_late"):
            world.after(ACK_TIMEOUT_MS, lambda: deliver(timeout))
            self._on_its_way(ACK_TIMEOUT_MS, 3_000, lambda: self._land(effect.data))
        elif faults.happens("ack_lost"):
            self._on_its_way(0, 5, lambda: self._land_and_tell_late(effect, deliver))
            world.after(ACK_TIMEOUT_MS, lambda: deliver(timeout))
        else:
            lost = functools.partial(world.after, ACK_TIMEOUT_MS, lambda: deliver(timeout))
            self._on_its_way(0, 5, lambda: self._land_and_tell(effect, deliver), lost)

    def crash(self) -> None:
        """Loses what is on its way, refuses everything for a while, and comes up with what had landed."""
        self._life += 1
        self.down = True
        self._world.note("journal crashes")
        self._world.soon(*DOWN_MS, self._recover, self._random)

    def cut(self, kept: Sequence[JournalRecord]) -> None:
        """Loses all but the records kept, and what is on its way."""
        self._life += 1
        self.records = list(kept)

    def _recover(self) -> None:
        self.down = False
        self._world.note("journal is up")

    def _on_its_way(
        self, least_ms: int, most_ms: int, land: Callable[[], object], lost: Callable[[], object] | None = None
    ) -> None:
        life = self._life

        def arrive() -> None:
            if life == self._life:
                land()
                return
            self._world.faults.fired["torn_tail"] += 1
            if lost is not None:
                lost()

        self._world.soon(least_ms, most_ms, arrive, self._random)

    def _land_and_tell(self, effect: Append, deliver: Callable[[Input], None]) -> None:
        world, faults = self._world, self._world.faults
        offset = self._land(effect.data)
        if faults.happens("doubled"):
            self._on_its_way(0, 500, lambda: self._land(effect.data))
        told = None if self.tells == "no offset told" or faults.happens("no_offset") else offset
        succeeded = AppendSucceeded(effect.append_id, told)
        least_ms, most_ms = SLOW_ACK_MS if faults.happens("ack_slow") else (0, 5)
        world.soon(least_ms, most_ms, lambda: deliver(succeeded), self._random)
        if faults.happens("ack_repeated"):
            world.soon(most_ms, most_ms + 2_000, lambda: deliver(succeeded), self._random)

    def _land_and_tell_late(self, effect: Append, deliver: Callable[[Input], None]) -> None:
        """The sender has given up when it hears, or never does."""
        offset = self._land(effect.data)
        if self._world.faults.happens("ack_stale"):
            late = AppendSucceeded(effect.append_id, offset)
            self._world.soon(ACK_TIMEOUT_MS + 6, 3_000, lambda: deliver(late), self._random)

    def _land(self, data: bytes) -> int:
        step = self._random.randint(2, 4) if self._world.faults.happens("offset_gap") else 1
        offset = (self.records[-1].offset if self.records else -1) + step
        self.records.append(JournalRecord(offset, data))
        self._world.note(f"landed {offset} {hashlib.sha256(data).hexdigest()[:8]}")
        self._world.model.land(offset, data)
        return offset

    @property
    def end(self) -> int:
        """The offset after the last record."""
        return self.records[-1].offset + 1 if self.records else 0

    def read(self, from_offset: int, records_max: int) -> tuple[Sequence[JournalRecord], bool]:
        """Records from an offset on, and whether they reach the end."""
        found = [record for record in self.records if record.offset >= from_offset]
        return found[:records_max], len(found) <= records_max
