"""Owners with bugs planted on purpose in their timers."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from typing import Any

from chapar_sourcing.domain import Key
from chapar_sourcing.owner import Effect, Load, LoadTimers, Owner, Replied, TimersLoaded
from chapar_sourcing.owner.blocks import Block
from chapar_sourcing.owner.intake import Intake, Waiting
from chapar_sourcing.owner.memory import Memory
from chapar_sourcing.owner.messages import Command
from chapar_sourcing.owner.timers import Timers

EARLY_MS = 500


class FiresBeforeTheClock(Owner):
    """Fires timers half a second before they are due."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._timers.__class__ = _LooksAhead
        self._intake.__class__ = _DecidesAhead


class _LooksAhead(Timers):
    def due(self, now_ms: int) -> Sequence[Command]:
        return super().due(now_ms + EARLY_MS)


class _DecidesAhead(Intake):
    def _is_due(self, waiting: Waiting, block: Block, at_least: int) -> Generator[Replied | Load, None, bool]:
        block.time_ms += EARLY_MS
        try:
            return (yield from super()._is_due(waiting, block, at_least))
        finally:
            block.time_ms -= EARLY_MS


class FiresByItsOwnClock(Owner):
    """Puts what a due timer makes into a block whose clock has not reached it."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._intake.__class__ = _DecidesAhead


class LosesTimersOfMemory(Owner):
    """Takes a page of timers for all there is, and forgets those that changed since the store's checkpoint."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._timers.__class__ = _BelievesThePage


class _BelievesThePage(Timers):
    def loaded(self, given: TimersLoaded) -> None:
        memory, self._memory = self._memory, Memory()
        super().loaded(given)
        self._memory = memory


class ReadsTimersFromAnywhere(Owner):
    """Takes pages of timers from servers that are behind its checkpoint."""

    def _say(self, effect: Effect) -> None:
        super()._say(replace(effect, at_least=-1) if isinstance(effect, LoadTimers) else effect)


class ForgetsTimersOfLater(Owner):
    """Does not notice timers that are set after it has read them all."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._timers.__class__ = _NotesNothing


class _NotesNothing(Timers):
    def note(self, changed: Iterable[Key]) -> None:
        """Nothing."""


class BelievesEveryFailureOfAPage(Owner):
    """Forgets that a page has to be read again when an older one fails that nobody waits for any more."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._timers.__class__ = _AsksOnce


class _AsksOnce(Timers):
    def load_failed(self, load_id: int) -> None:
        self._ask_again = self._asked is not None and self._asked.load_id == load_id


BUGS: tuple[type[Owner], ...] = (
    FiresBeforeTheClock,
    FiresByItsOwnClock,
    LosesTimersOfMemory,
    ReadsTimersFromAnywhere,
    ForgetsTimersOfLater,
    BelievesEveryFailureOfAPage,
)
