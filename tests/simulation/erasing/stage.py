"""The world of erasing: one key store, the marks that journals hold, and what was decided."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.adapters.memory import MemoryKeys, MemoryKeyStore
from chapar_sourcing.domain import Document, Key
from chapar_sourcing.erasures import LAST_PERIOD_MS, ErasureMark, erasure_key, erasure_of, last_erasure_of, marked
from chapar_sourcing.ports import KeyRow, Unavailable
from tests.simulation.faults import Faults
from tests.simulation.path.faults import CALM
from tests.simulation.path.world import World as TimedWorld

PARTITIONS = 2
SUBJECTS = tuple(f"s{number}" for number in range(6))
MONTH_ENDS_MS = 1_701_388_800_000
"""When December 2023 begins, UTC."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Probabilities: of a call of the key store, of a moment for what happens to processes."""

    keys_slow: float = 0.08
    keys_away: float = 0.05
    keys_answer_lost: float = 0.03
    crash: float = 0.03
    pause: float = 0.04
    restore: float = 0.006
    fast_clock: float = 0.3
    decided_late: float = 0.2

    def by_name(self) -> Mapping[str, float]:
        """The probabilities by the fault's name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Decided:
    """A content that is in a journal."""

    subject: str
    content: bytes
    sealed: journal.Sealed
    at: float
    """When it was decided, on the world's clock."""


@dataclass(slots=True)
class Entry:
    """The newest erasure of a subject."""

    mark: ErasureMark
    at: float
    """When it was entered."""
    done_at: float | None = None
    """When no key of before it was left, for the first time."""


class World(TimedWorld):
    """Virtual time, and what outlives every process."""

    def __init__(self, seed: int, suppressed: Container[int]) -> None:
        super().__init__(seed, CALM, suppressed)
        self.faults = Faults(seed, Rates().by_name(), suppressed)
        self.random = self.stream("stage")
        self.keys = MemoryKeys()
        self.copies: list[dict[tuple[str, int], KeyRow]] = [{}]
        """Backups of the key store."""
        self.lost: set[str] = set()
        """Ids of keys that a backup did not have when it was put back."""
        self.entries: dict[str, Entry] = {}
        self.decided: list[Decided] = []
        turn_ms = self.random.choice((30_000, 20 * 24 * 3600 * 1000))
        self.begin_ms = MONTH_ENDS_MS - turn_ms
        """Half of the worlds see a month turn."""

    # ---- the key store

    def key_store(self, name: str) -> MemoryKeyStore:
        """A process's way to it: slow, lost or away now and then."""
        draw = self.stream(f"keys of {name}")
        return MemoryKeyStore(self.keys, fault=lambda step, _: self._step(name, step, draw))

    def _step(self, name: str, step: str, draw: random.Random) -> Awaitable[None] | None:
        if step.endswith(".done"):
            self._note_destroyed()
            if self.faults.happens("keys_answer_lost"):
                raise Unavailable("the answer was lost")
            return asyncio.sleep(draw.uniform(0.001, 0.01))
        if self.faults.happens("keys_away"):
            raise Unavailable("away")
        slow = self.faults.happens("keys_slow")
        return asyncio.sleep(draw.uniform(0.2, 3.0) if slow else draw.uniform(0.001, 0.02))

    def _note_destroyed(self) -> None:
        for subject, entry in self.entries.items():
            if entry.done_at is None and self.carried_out(subject):
                entry.done_at = self.now
                self.note(f"{subject} is erased")

    def carried_out(self, subject: str) -> bool:
        """Whether a subject's newest erasure is complete."""
        least = self.entries[subject].mark.period_ms
        periods = [period for owner, period in self.keys.rows if owner == subject]
        return bool(periods) and min(periods) >= least

    def back_up(self) -> None:
        """Copies the key store."""
        self.copies.append(dict(self.keys.rows))

    def restore(self) -> None:
        """Puts an old copy back, while everything is down."""
        copy = self.random.choice(self.copies)
        kept = {row.key_id for row in copy.values()}
        self.lost |= {row.key_id for row in self.keys.rows.values()} - kept
        self.keys.rows = dict(copy)
        for entry in self.entries.values():
            entry.done_at = None

    # ---- the journals

    def enter(self, subject: str, now_ms: int) -> ErasureMark | None:
        """An erasure at the subject's partition; None where it has ended."""
        held = self.entries.get(subject)
        documents: dict[Key, Document] = {} if held is None else {erasure_key(subject): held.mark}
        for_good = self.random.random() < 0.3
        lives = held is None or held.mark.period_ms < LAST_PERIOD_MS
        erasure = last_erasure_of(documents, subject) if for_good else erasure_of(documents, subject, now_ms)
        if erasure is None or not lives:
            return None
        self.entries[subject] = Entry(marked(erasure), self.now)
        self.note(f"{subject} is to be erased below {erasure.period_ms}")
        return self.entries[subject].mark

    def marks(self, partition: int, after: str, limit: int) -> Sequence[tuple[Key, Document]]:
        """A partition's marks in order of subjects."""
        held = sorted(subject for subject in self.entries if partition_of(subject) == partition and subject > after)
        return [(erasure_key(subject), self.entries[subject].mark) for subject in held][:limit]

    def has_ended(self, subject: str) -> bool:
        """Whether a subject was erased for good."""
        return subject in self.entries and self.entries[subject].mark.period_ms >= LAST_PERIOD_MS


def partition_of(subject: str) -> int:
    """Where a subject is at home."""
    return SUBJECTS.index(subject) % PARTITIONS
