"""Who is there, and who says it owns what: two small logs a service. A wrong guess is harmless: the journal decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Beat:
    """A member reaches the log."""

    member: bytes
    """16 random bytes a process start."""
    address: str
    """Where it answers, "host:port"."""
    sequence: int
    """Dense within the member, from 1."""
    draining: bool = False
    """It is about to end: it gives up what it owns and takes nothing."""
    extra: bool = False
    """Sent out of turn: nobody's silence is measured by it."""
    unfit: bool = False
    """It cannot own anything now, and says so: others should, if there is one that can."""
    places: bool = True
    """It goes by placements; processes made before there were any do not."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A member owns a partition, or has released it. The highest epoch counts, and within it the release."""

    partition: int
    epoch: int
    member: bytes
    address: str
    """Where the member answers."""
    released: bool = False
    successor: str = ""
    """With a release: where whoever should take it over answers, "host:port"; empty when nobody is known."""

    @property
    def rank(self) -> tuple[int, bool]:
        """What makes one announcement of a partition count before another."""
        return self.epoch, self.released

    @property
    def answers_at(self) -> str:
        """Where to ask for the partition: the best guess there is."""
        return self.successor or self.address


@dataclass(frozen=True, slots=True)
class Placement:
    """An operator's word on where a partition belongs. Of a partition's placements the one appended last counts."""

    partition: int
    address: str
    """Where the member answers that should own it, "host:port"; empty for anywhere: what was said before ends."""
    reason: str
    """For people."""
    operator: str
    """Who said it, as far as is known; for people."""
    time_ms: int
    """When, by the clock of the process that was told; Unix time."""


@dataclass(frozen=True, slots=True)
class OwnersAway:
    """Announcements and placements cannot be read now. The beats that follow in the same answer are no proof of having
    read any."""


News: TypeAlias = Beat | Announcement | Placement | OwnersAway


class Members(Protocol):
    """One process's way to the members of all services. All calls raise `Unavailable`.

    Beats, announcements and placements of a service are kept in the order in which they were appended, each kind by
    itself. The last placement of each partition is kept for ever.
    """

    async def join(self, service: str) -> None:
        """Becomes a member. Raises `RuntimeError` naming the holder when this kind of installation allows only one."""

    async def beat(self, beat: Beat) -> int | None:
        """Appends a beat and returns when that is acknowledged: the log's time then, in milliseconds since 1970, where
        it tells one. After an error it may be appended later on."""

    async def announce(self, announcement: Announcement) -> None:
        """Appends what this member says of a partition and returns when that is acknowledged; as `beat` after an
        error."""

    async def place(self, placement: Placement) -> None:
        """Appends where an operator wants a partition and returns when that is acknowledged; as `beat` after an
        error."""

    async def news(self) -> Sequence[News]:
        """What was appended since the last call, from the oldest kept on; waits until there is something.

        A beat comes after every announcement and every placement that was acknowledged before that beat was sent,
        unless `OwnersAway` comes before it in the same answer. A call that is cancelled or fails loses nothing.
        """

    async def owners(self, service: str) -> Mapping[int, Announcement]:
        """What counts of each partition of a service, as far as is known; also for whoever has not joined."""

    async def close(self) -> None:
        """Ends all connections; closing twice is harmless."""
