"""What goes into the machine of members and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from chapar_sourcing.ports.members import Announcement, Beat, Placement

# ---- inputs


class Hindrance(Enum):
    """What of this process, and not of one partition, keeps it from owning."""

    NONE = "none"
    TAKING = "taking"
    """It takes nothing over, and goes on with what it owns."""
    DECIDING = "deciding"
    """It decides nothing, not even for what it owns."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""

    hindrance: Hindrance = Hindrance.NONE
    """As it is now."""


@dataclass(frozen=True, slots=True)
class BeatRead:
    """The next record of the log of beats, one's own included."""

    beat: Beat
    owners_known: bool = True
    """Whether all announcements that were acknowledged before it was sent were read; otherwise it proves nothing of
    who owns what."""


@dataclass(frozen=True, slots=True)
class AnnouncementRead:
    """The next record of the log of owners, one's own included."""

    announcement: Announcement


@dataclass(frozen=True, slots=True)
class PlacementRead:
    """The next placement of the log of owners."""

    placement: Placement


@dataclass(frozen=True, slots=True)
class BeatEnded:
    """The own beat under way was acknowledged, or given up: then it may be appended later or never."""

    sequence: int
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class ClaimAsked:
    """The owner of a partition that was taken wants to append a claim over what it has folded."""

    partition: int
    folded_epoch: int
    """Epoch of the last claim that it has folded; 0 for none."""
    first: bool
    """Whether it has not owned since the partition was taken: a claim that failed gives no right to another. Whoever
    owned and claims again has read on before, and given way to whoever claimed meanwhile."""


@dataclass(frozen=True, slots=True)
class Owning:
    """A partition decides here, under a claim that is current in the log."""

    partition: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Alarmed:
    """The log of a partition that is held cannot be trusted. Nobody could own it before an operator has looked."""

    partition: int


@dataclass(frozen=True, slots=True)
class Quit:
    """A partition that was taken has ended here: it was deposed, or it was released as asked."""

    partition: int
    deposed: bool


@dataclass(frozen=True, slots=True)
class DrainStarted:
    """The process is to end in order."""


Input: TypeAlias = (
    Tick | BeatRead | AnnouncementRead | PlacementRead | BeatEnded | ClaimAsked | Owning | Alarmed | Quit | DrainStarted
)

# ---- effects


@dataclass(frozen=True, slots=True)
class SendBeat:
    """Append this beat, and say `BeatEnded`; none other is under way."""

    beat: Beat


@dataclass(frozen=True, slots=True)
class Take:
    """Begin to own a partition: read its log, ask before claiming."""

    partition: int


@dataclass(frozen=True, slots=True)
class MayClaim:
    """The claim that was asked for may be appended, at once: the judgement grows old."""

    partition: int
    sequence: int | None
    """The own beat that the judgement rests on; None where it rests on none and does not grow old."""


@dataclass(frozen=True, slots=True)
class Release:
    """Give a partition up: accept nothing more, finish what is under way, bring the store up to date, say `Quit`."""

    partition: int
    successor: str
    """Where whoever should have it answers; empty when nobody is known."""
    owned: bool
    """Whether it decides here; otherwise there is nothing to finish."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Append this announcement, again and again until it is acknowledged or a later one replaces it."""

    announcement: Announcement


@dataclass(frozen=True, slots=True)
class Doubt:
    """Another says that it owns a partition that decides here: look into the log."""

    partition: int


@dataclass(frozen=True, slots=True)
class Drained:
    """Nothing is owned any more, and nothing will be."""


Effect: TypeAlias = SendBeat | Take | MayClaim | Release | Announce | Doubt | Drained
