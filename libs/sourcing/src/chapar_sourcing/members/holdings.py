"""What one member has to do with a partition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Stage(Enum):
    """What this member does with a partition that it holds."""

    TAKING = "taking"
    CLAIMING = "claiming"
    """A claim may have been sent."""
    OWNING = "owning"
    RELEASING = "releasing"


@dataclass(slots=True)
class Wait:
    """For so many own beats in turn that were sent after something, and behind which owners' words were read: whoever
    says something soon has been heard by then."""

    after: int
    """The own beat sent last."""
    beats: int

    def passed(self, sequence: int) -> None:
        """An own beat that counts was read."""
        if sequence > self.after and self.beats:
            self.beats -= 1


@dataclass(slots=True)
class Holding:
    """One partition that this member has to do with."""

    stage: Stage = Stage.TAKING
    epoch: int = 0
    """Under which it was last owned; 0 before."""
    folded_epoch: int = 0
    """What the latest claim asked for goes over."""
    asked_after: int | None = None
    """The own beat sent last when a claim was asked for that waits to be judged."""
    wait: Wait | None = None
    """Until a claim in the log that nobody announced counts as nobody's; None before one was asked for."""
    outranked_since: float | None = None
    moves: Mapping[bytes, int] = field(default_factory=dict)
    """Where an operator wants it since it is held, and how far that member must have beaten to take over at once."""
    alarmed: bool = False
    """It stays here until the process ends: elsewhere the alarm might not be known."""
    successor: str = ""


@dataclass(slots=True)
class Loss:
    """An ownership that somebody else must have, and that is not announced yet."""

    epoch_least: int
    wait: Wait
    """Until it counts as gone if nobody announced it."""
