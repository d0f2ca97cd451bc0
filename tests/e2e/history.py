"""What clients did and what was done to the services, in the order in which it happened.

Pure: the clock is given. A `Recorder` notes when each operation began, when and how it ended, and what it was told;
`checker` compares that with what is there afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple


class Outcome(Enum):
    """How an operation ended, as far as its client knows."""

    OK = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """It was, will be, or never will be carried out. Whoever never heard anything stays so."""


@dataclass(slots=True, kw_only=True)
class Operation:
    """One call of one client, through all its tries. Times are seconds of the recorder's clock."""

    client: str
    began_s: float = 0.0
    ended_s: float = math.inf
    outcome: Outcome = Outcome.UNKNOWN


@dataclass(slots=True, kw_only=True)
class Send(Operation):
    """A message. `tag` is its text and unique; `sequence` is what the acknowledgement said."""

    room: str
    tag: str
    sequence: int = 0


@dataclass(slots=True, kw_only=True)
class Pay(Operation):
    """A transfer by `client`. `tag` is its memo and unique."""

    payee: str
    rials: int
    tag: str
    transfer_id: str = ""


@dataclass(slots=True, kw_only=True)
class BringIn(Operation):
    """Money from outside for `client`."""

    rials: int


@dataclass(slots=True, kw_only=True)
class MarkRead(Operation):
    """A read cursor moved."""

    room: str
    sequence: int


@dataclass(slots=True, kw_only=True)
class Rename(Operation):
    """A new name."""

    name: str


@dataclass(slots=True, kw_only=True)
class LookAtRoom(Operation):
    """The newest message of a room as it was shown; 0 and "" when there is none."""

    room: str
    sequence: int = 0
    tag: str = ""


@dataclass(slots=True, kw_only=True)
class LookAtWallet(Operation):
    """A balance as it was shown."""

    rials: int = 0


class What(Enum):
    """What happens at a moment."""

    BEGAN = "began"
    ENDED = "ended"
    CRASHED = "crashed"


class Moment(NamedTuple):
    """One thing that happened: an operation began or ended, or a service was killed."""

    what: What
    operation: Operation | None = None
    service: str = ""
    at_s: float = 0.0


@dataclass(slots=True)
class Recorder:
    """Notes everything as it happens."""

    now_s: Callable[[], float]
    moments: list[Moment] = field(default_factory=list)
    """In order of time."""
    failures: list[str] = field(default_factory=list)
    """What no client may ever see, such as a call that outlives its deadline."""
    acknowledged: int = 0
    """How many writes were."""

    def begin(self, operation: Operation) -> None:
        """It is about to be sent."""
        operation.began_s = self.now_s()
        self.moments.append(Moment(What.BEGAN, operation, at_s=operation.began_s))

    def end(self, operation: Operation, outcome: Outcome) -> None:
        """Its client has heard. What it was told is set before."""
        operation.ended_s, operation.outcome = self.now_s(), outcome
        self.moments.append(Moment(What.ENDED, operation, at_s=operation.ended_s))
        if outcome is Outcome.OK and not isinstance(operation, LookAtRoom | LookAtWallet):
            self.acknowledged += 1

    def crash(self, service: str) -> None:
        """A service was killed just now."""
        self.moments.append(Moment(What.CRASHED, service=service, at_s=self.now_s()))

    def operations(self) -> list[Operation]:
        """All, in the order in which they began."""
        return [m.operation for m in self.moments if m.what is What.BEGAN and m.operation is not None]
