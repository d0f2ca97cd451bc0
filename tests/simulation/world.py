"""The simulated world: time, a journal behind an unreliable network, a store."""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.owner import Append, AppendFailed, AppendSucceeded, Input
from chapar_sourcing.ports import Checkpoint, DocumentWrite, JournalRecord
from chapar_sourcing.timers import TIMER_KIND
from tests.simulation.faults import Faults, Rates

T = TypeVar("T")

ACK_TIMEOUT_MS = 200
SLOW_ACK_MS = (100, 3_000)


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
        self.journal = Journal(self)
        self.store = Store()

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
    """One partition of a log."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.stream("journal")
        self.records: list[JournalRecord] = []

    def append(self, effect: Append, deliver: Callable[[Input], None]) -> None:
        """Sends a record on its way; `deliver` hears how it went, if it is still there."""
        world, faults = self._world, self._world.faults
        if faults.happens("rejected"):
            world.soon(1, 20, lambda: deliver(AppendFailed(effect.append_id, certain=True)), self._random)
        elif faults.happens("never_lands"):
            world.after(ACK_TIMEOUT_MS, lambda: deliver(AppendFailed(effect.append_id, certain=False)))
        elif faults.happens("lands_late"):
            world.after(ACK_TIMEOUT_MS, lambda: deliver(AppendFailed(effect.append_id, certain=False)))
            world.soon(ACK_TIMEOUT_MS, 3_000, lambda: self._land(effect.data), self._random)
        elif faults.happens("ack_lost"):
            world.soon(0, 5, lambda: self._land(effect.data), self._random)
            world.after(ACK_TIMEOUT_MS, lambda: deliver(AppendFailed(effect.append_id, certain=False)))
        else:
            world.soon(0, 5, lambda: self._land_and_tell(effect, deliver), self._random)

    def _land_and_tell(self, effect: Append, deliver: Callable[[Input], None]) -> None:
        offset = self._land(effect.data)
        if self._world.faults.happens("doubled"):
            self._world.soon(0, 500, lambda: self._land(effect.data), self._random)
        told = None if self._world.faults.happens("no_offset") else offset
        least_ms, most_ms = SLOW_ACK_MS if self._world.faults.happens("ack_slow") else (0, 5)
        self._world.soon(least_ms, most_ms, lambda: deliver(AppendSucceeded(effect.append_id, told)), self._random)

    def _land(self, data: bytes) -> int:
        step = self._random.randint(2, 4) if self._world.faults.happens("offset_gap") else 1
        offset = (self.records[-1].offset if self.records else -1) + step
        self.records.append(JournalRecord(offset, data))
        self._world.note(f"landed {offset} {hashlib.sha256(data).hexdigest()[:8]}")
        return offset

    def read(self, from_offset: int, records_max: int) -> tuple[Sequence[JournalRecord], bool]:
        """Records from an offset on, and whether they reach the end."""
        found = [record for record in self.records if record.offset >= from_offset]
        return found[:records_max], len(found) <= records_max


@dataclass(slots=True)
class Store:
    """Guarded documents and a checkpoint that only moves forward, on servers that may be behind."""

    checkpoint: Checkpoint | None = None
    documents: dict[Key, Stored] = field(default_factory=dict)
    _now: int = 0
    """How many writes there were."""
    _versions: dict[Key, list[tuple[int, Stored]]] = field(default_factory=dict)
    _checkpoints: list[tuple[int, Checkpoint]] = field(default_factory=list)

    def write(self, writes: Sequence[DocumentWrite]) -> None:
        """Stores what is newer."""
        for write in writes:
            stored = self.documents.get(write.key)
            if stored is None or stored.position < write.position:
                self._now += 1
                self.documents[write.key] = Stored(write.position, write.data)
                self._versions.setdefault(write.key, []).append((self._now, self.documents[write.key]))

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Moves forward."""
        if self.checkpoint is None or checkpoint.fold.offset > self.checkpoint.fold.offset:
            self._now += 1
            self.checkpoint = checkpoint
            self._checkpoints.append((self._now, checkpoint))

    def checkpoint_of(self, writes_behind: int) -> Checkpoint | None:
        """The checkpoint as a server has it that lacks the last writes."""
        return _latest(self._checkpoints, self._now - writes_behind)

    def load(self, keys: Sequence[Key], at_least: int, writes_behind: int) -> Mapping[Key, Stored] | None:
        """What such a server has of the keys; None when its checkpoint is below the one asked for."""
        checkpoint = self.checkpoint_of(writes_behind)
        if (checkpoint.fold.offset if checkpoint else -1) < at_least:
            return None
        found = {key: _latest(self._versions.get(key, ()), self._now - writes_behind) for key in keys}
        return {key: stored for key, stored in found.items() if stored is not None}

    def timers(self, after: str, limit: int, at_least: int, writes_behind: int) -> Sequence[str] | None:
        """Ids of the next live timers that such a server has, in order; None when its checkpoint is below that."""
        known = [key for key in self._versions if key.kind == TIMER_KIND and key.id > after]
        found = self.load(known, at_least, writes_behind)
        return None if found is None else sorted(key.id for key, stored in found.items() if stored.data)[:limit]


def _latest(versions: Sequence[tuple[int, T]], until: int) -> T | None:
    return next((value for version, value in reversed(versions) if version <= until), None)
