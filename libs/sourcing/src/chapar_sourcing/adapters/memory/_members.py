"""Members in memory: a list a service of each kind of word."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from chapar_sourcing.adapters._bell import Bell
from chapar_sourcing.adapters.memory._faults import Fault, Faulty
from chapar_sourcing.members.records import counting
from chapar_sourcing.ports import Announcement, Beat, News, Placement

WAIT_MS = 60_000


@dataclass(slots=True)
class MemoryDirectory:
    """What all members of an installation share."""

    one_member: bool = False
    """Whether a service may have one member only, as on one machine."""
    members: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Service -> how many have joined."""
    beats: dict[str, list[Beat]] = field(default_factory=lambda: defaultdict(list))
    announcements: dict[str, list[Announcement]] = field(default_factory=lambda: defaultdict(list))
    placements: dict[str, list[Placement]] = field(default_factory=lambda: defaultdict(list))
    bell: Bell = field(default_factory=Bell)

    def owners(self, service: str) -> dict[int, Announcement]:
        """What counts of each partition."""
        return counting(self.announcements[service])


class MemoryMembers(Faulty):
    """The Members port."""

    def __init__(
        self, directory: MemoryDirectory | None = None, *, fault: Fault | None = None,
        now_ms: Callable[[], int] | None = None,
    ) -> None:  # fmt: skip
        """`now_ms`: the log's clock, where it tells one."""
        super().__init__(fault)
        self._now_ms = now_ms
        self.directory = directory if directory is not None else MemoryDirectory()
        self._service = ""
        self._beats_read = self._announcements_read = self._placements_read = 0

    async def join(self, service: str) -> None:
        """Becomes a member."""
        await self._step("join")
        if self._service:
            raise RuntimeError(f"this process is a member of {self._service} already")
        if self.directory.one_member:
            if self.directory.members[service]:
                raise RuntimeError(f"{service} already has a member: process {os.getpid()}")
            self.directory.announcements[service].clear()
        self.directory.members[service] += 1
        self._service = service

    async def beat(self, beat: Beat) -> int | None:
        """Appends a beat."""
        service = self._joined()
        await self._step("beat")
        self.directory.beats[service].append(beat)
        self.directory.bell.ring()
        appended_ms = None if self._now_ms is None else self._now_ms()
        await self._step("beat.done")
        return appended_ms

    async def announce(self, announcement: Announcement) -> None:
        """Appends an announcement."""
        service = self._joined()
        await self._step("announce", announcement.partition)
        self.directory.announcements[service].append(announcement)
        self.directory.bell.ring()
        await self._step("announce.done", announcement.partition)

    async def place(self, placement: Placement) -> None:
        """Appends a placement."""
        service = self._joined()
        await self._step("place", placement.partition)
        self.directory.placements[service].append(placement)
        self.directory.bell.ring()
        await self._step("place.done", placement.partition)

    async def news(self) -> Sequence[News]:
        """What was appended since the last call."""
        service = self._joined()
        while not (found := self._unread(service)):
            await self.directory.bell.wait_until(lambda: self._closed or bool(self._grown(service)), WAIT_MS)
            await self._step("news")
        return found

    def _grown(self, service: str) -> tuple[Sequence[News], ...]:
        kinds = (
            self.directory.placements[service][self._placements_read :],
            self.directory.announcements[service][self._announcements_read :],
            self.directory.beats[service][self._beats_read :],
        )
        return kinds if any(kinds) else ()

    def _unread(self, service: str) -> Sequence[News]:
        if not (kinds := self._grown(service)):
            return []
        placements, announcements, beats = kinds
        self._placements_read += len(placements)
        self._announcements_read += len(announcements)
        self._beats_read += len(beats)
        return [*placements, *announcements, *beats]

    async def owners(self, service: str) -> Mapping[int, Announcement]:
        """Who owns what."""
        await self._step("owners")
        return self.directory.owners(service)

    async def close(self) -> None:
        """Leaves; what was announced stays."""
        if self._service and not self._closed:
            self.directory.members[self._service] -= 1
        self._closed = True
        self.directory.bell.ring()

    def _joined(self) -> str:
        self._check_open()
        if not self._service:
            raise RuntimeError("not a member")
        return self._service
