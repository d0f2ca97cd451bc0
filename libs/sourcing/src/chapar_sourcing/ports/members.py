"""Who is there, and who says it owns what. A wrong answer is harmless: the log decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


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
