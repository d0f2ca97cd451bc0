"""The simulated store: a primary that takes writes, a majority that confirms them later, servers that are behind.

What is confirmed stays. A fail-over takes away some of what was written last and not confirmed; who waited for it hears
that it failed. Whoever reads sees confirmed writes only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.ports import Checkpoint, DocumentWrite
from chapar_sourcing.timers import TIMER_KIND
from tests.simulation.faults import Faults
from tests.simulation.steps import StoreSteps

T = TypeVar("T")
Done = Callable[[bool], None]
"""Hears whether everything that was written is confirmed; otherwise a fail-over may have taken some of it."""


class Store:
    """Guarded documents and a checkpoint that only moves forward."""

    def __init__(
        self, faults: Faults, steps: StoreSteps, later: Callable[[int, int, Callable[[], object]], None]
    ) -> None:
        self._faults = faults
        self._steps = steps
        self._later = later
        self.documents: dict[Key, Stored] = {}
        """What the primary has."""
        self.checkpoint: Checkpoint | None = None
        """What the primary has."""
        self._written = 0
        """How many writes the primary has."""
        self._confirmed = 0
        """How many of them stay whatever happens."""
        self.term = 0
        """How often there was a fail-over."""
        self._versions: dict[Key, list[tuple[int, Stored]]] = {}
        self._checkpoints: list[tuple[int, Checkpoint]] = []

    # ---- writing

    def write(self, write: DocumentWrite) -> None:
        """Writes a document where it is newer; `confirm` says when it is there for good."""
        self._steps.written(write)
        stored = self.documents.get(write.key)
        if stored is None or stored.position < write.position:
            self._written += 1
            self.documents[write.key] = Stored(write.position, write.data)
            self._versions.setdefault(write.key, []).append((self._written, self.documents[write.key]))

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Moves forward."""
        before = self.checkpoint.fold.offset if self.checkpoint else -1
        if checkpoint.fold.offset > before:
            self._steps.checkpointed(before, checkpoint, self.documents)
            self._written += 1
            self.checkpoint = checkpoint
            self._checkpoints.append((self._written, checkpoint))

    def confirm(self, term: int, done: Done) -> None:
        """Waits until the majority has everything that was written in this term, unless it has ended."""
        written = self._written

        def confirmed() -> None:
            if term == self.term:
                self._confirmed = max(self._confirmed, written)
            done(term == self.term)

        least_ms, most_ms = (50, 800) if self._faults.happens("confirmed_late") else (0, 3)
        self._later(least_ms, most_ms, confirmed)

    def fail_over(self, kept: float) -> None:
        """Another server becomes the primary; of the writes that were not confirmed it has this share, the oldest."""
        until = self._confirmed + int((self._written - self._confirmed) * kept)
        self._faults.fired["unconfirmed_lost"] += self._written - until
        self.term += 1
        self._written = self._confirmed = until
        for key, versions in list(self._versions.items()):
            if versions[-1][0] > until:
                self._versions[key] = [one for one in versions if one[0] <= until]
                self._restore(key)
        self._checkpoints = [one for one in self._checkpoints if one[0] <= until]
        self.checkpoint = self._checkpoints[-1][1] if self._checkpoints else None

    def _restore(self, key: Key) -> None:
        if self._versions[key]:
            self.documents[key] = self._versions[key][-1][1]
        else:
            del self._versions[key]
            del self.documents[key]

    # ---- reading

    def checkpoint_of(self, writes_behind: int) -> Checkpoint | None:
        """The checkpoint as a server has it that lacks the last confirmed writes."""
        return _latest(self._checkpoints, self._confirmed - writes_behind)

    def load(self, keys: Sequence[Key], at_least: int, writes_behind: int) -> Mapping[Key, Stored] | None:
        """What such a server has of the keys; None when its checkpoint is below the one asked for."""
        checkpoint = self.checkpoint_of(writes_behind)
        if (checkpoint.fold.offset if checkpoint else -1) < at_least:
            return None
        found = {key: _latest(self._versions.get(key, ()), self._confirmed - writes_behind) for key in keys}
        return {key: stored for key, stored in found.items() if stored is not None}

    def timers(self, after: str, limit: int, at_least: int, writes_behind: int) -> Sequence[str] | None:
        """Ids of the next live timers that such a server has, in order; None when its checkpoint is below that."""
        known = [key for key in self._versions if key.kind == TIMER_KIND and key.id > after]
        found = self.load(known, at_least, writes_behind)
        return None if found is None else sorted(key.id for key, stored in found.items() if stored.data)[:limit]


def _latest(versions: Sequence[tuple[int, T]], until: int) -> T | None:
    return next((value for version, value in reversed(versions) if version <= until), None)
