"""When a partition begins to be decided here and when it ends to, for the log of the process.

Flows in: the owner's phases, the partition's end. Flows out: a `Transition` for each change between deciding and not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chapar_sourcing.clock import Clock
from chapar_sourcing.owner import OwnerPhase, PhaseChanged


@dataclass(frozen=True, slots=True)
class Transition:
    """A partition is decided here from now on, or no more."""

    partition: int
    epoch: int
    """Of the claim by which it is, or was, decided here."""
    begins: bool
    reason: str
    """Why it ends: "released", or the owner's phase, such as "deposed"; empty where it begins."""
    after_ms: int
    """Where it begins: since it was taken, or since it was decided here before. Where it ends: since it began."""
    records: int
    """Records of its log that were read meanwhile."""


class Tenure:
    """One partition's, from the moment in which it is taken."""

    def __init__(
        self, partition: int, clock: Clock, records: Callable[[], int], tell: Callable[[Transition], None]
    ) -> None:
        """`records` says how many were read so far."""
        self._partition = partition
        self._clock = clock
        self._records = records
        self._tell = tell
        self._since_s = clock.monotonic()
        self._records_before = 0
        self._epoch: int | None = None
        """While it is decided here."""

    def enter(self, changed: PhaseChanged) -> None:
        """The owner's phase has changed."""
        if changed.phase is not OwnerPhase.OWNING:
            self.end(changed.phase.value)
        elif self._epoch is None:
            self._epoch = changed.epoch
            self._say(changed.epoch, begins=True, reason="")

    def end(self, reason: str) -> None:
        """It is decided here no more, if it was."""
        epoch, self._epoch = self._epoch, None
        if epoch is not None:
            self._say(epoch, begins=False, reason=reason)

    def _say(self, epoch: int, *, begins: bool, reason: str) -> None:
        now_s, records = self._clock.monotonic(), self._records()
        after_ms, read = round((now_s - self._since_s) * 1000), records - self._records_before
        self._since_s, self._records_before = now_s, records
        self._tell(Transition(self._partition, epoch, begins, reason, after_ms, read))
