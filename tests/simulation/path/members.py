"""The simulated directory of members: beats that are lost, late, or never acknowledged, and stale words of owners."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chapar_sourcing.ports import Announcement, Beat, News, Placement, Unavailable
from tests.simulation.path.line import Line
from tests.simulation.path.world import World

SLOW_SECONDS = (0.2, 1.5)
SLOW_ACK_SECONDS = (0.3, 1.4)
LOST_SECONDS = (0.2, 0.4)
EXPIRY_SECONDS = 1.5
"""Five beats of 300 ms: who was silent for so long may be succeeded."""


@dataclass(slots=True)
class Directory:
    """What all members share."""

    world: World
    beats: dict[str, float] = field(default_factory=dict)
    """Address -> true time of its last beat that arrived."""
    owners: dict[str, dict[int, Announcement]] = field(default_factory=dict)

    def silent(self, address: str) -> bool:
        """Whether a member has expired for whoever has kept beating meanwhile."""
        return self.world.now - self.beats.get(address, -EXPIRY_SECONDS) >= EXPIRY_SECONDS


class PathMembers:
    """The Members port of one process."""

    def __init__(self, directory: Directory, line: Line, service: str, address: str) -> None:
        self._directory = directory
        self._line = line
        self._service = service
        self._address = address
        self._world = directory.world
        self._slow_from = self._cut_off_from = self._cut_off_until = 0.0

    def cut_off(self, seconds: float, *, after: float) -> None:
        """Reaches nobody for a while; `after` some seconds in which it is answered late."""
        self._slow_from = self._world.now
        self._cut_off_from = self._world.now + after
        self._cut_off_until = self._cut_off_from + seconds

    async def join(self, service: str) -> None:
        """Everybody may."""
        await self._line.ask(lambda: None)

    async def beat(self, beat: Beat) -> int | None:
        """Arrives and is acknowledged, or not."""
        happens, world = self._world.faults.happens, self._world
        slow, slow_ack = happens("beat_slow"), happens("beat_ack_slow")
        if self._cut_off or happens("beat_lost"):
            await self._line.ask(self._no_answer, least=LOST_SECONDS[0], most=LOST_SECONDS[1])

        def arrive() -> None:
            if self._cut_off:
                raise Unavailable("cut off")
            self._directory.beats[self._address] = world.now
            if happens("beat_ack_lost"):
                raise Unavailable("no answer")

        least, most = SLOW_SECONDS if slow else (0.000_2, 0.01)
        await self._line.ask(arrive, least=least, most=most)
        if slow_ack or self._slow_from <= world.now < self._cut_off_from:
            await self._line.ask(lambda: None, least=SLOW_ACK_SECONDS[0], most=SLOW_ACK_SECONDS[1])
        return None

    async def news(self) -> Sequence[News]:
        """The stage says who owns what: nobody judges by what others say."""
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def announce(self, announcement: Announcement) -> None:
        """The highest epoch stays."""

        def arrive() -> None:
            if self._cut_off:
                raise Unavailable("cut off")
            rows = self._directory.owners.setdefault(self._service, {})
            partition = announcement.partition
            if partition not in rows or rows[partition].epoch < announcement.epoch:
                rows[partition] = announcement

        await self._line.ask(arrive, most=0.1)

    async def place(self, placement: Placement) -> None:
        """The stage says who owns what, and operators nothing."""
        raise Unavailable("nobody places anything here")

    async def owners(self, service: str) -> Mapping[int, Announcement]:
        """Who owns what, as far as is known."""
        return await self._line.ask(lambda: dict(self._directory.owners.get(service, {})))

    async def close(self) -> None:
        """Leaves: its silence need not be waited for."""
        self._directory.beats.pop(self._address, None)

    @property
    def _cut_off(self) -> bool:
        return self._cut_off_from <= self._world.now < self._cut_off_until

    def _no_answer(self) -> None:
        raise Unavailable("no answer")
