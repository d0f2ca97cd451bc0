"""Who is there, and who says it owns what: two small logs a service. A wrong guess is harmless: the journal decides."""

from __future__ import annotations

from collections.abc import Mapping
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


News: TypeAlias = Beat | Announcement


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """The highest epoch seen for a partition, and where its owner answers."""

    partition: int
    epoch: int
    address: str


class Members(Protocol):
    """One member's view. All calls raise `Unavailable`."""

    async def join(self, service: str, address: str) -> None:
        """Becomes a member. Raises `RuntimeError` naming the holder when this kind of installation allows only one."""

    async def beat(self) -> None:
        """Says "alive" and returns when that is acknowledged; called every 300 ms, never twice at once."""

    async def announce(self, service: str, partition: int, epoch: int) -> None:
        """Says that this member owns a partition; a lower epoch than the known one changes nothing."""

    async def owners(self, service: str) -> Mapping[int, OwnerRow]:
        """Who owns which partition of a service, as far as is known."""

    async def close(self) -> None:
        """Leaves."""
