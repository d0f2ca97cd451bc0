"""Runs the machine of members on asyncio: what the logs of members say goes in, effects are done.

Flows in: news of the Members port, what becomes of this process's partitions. Flows out: beats, announcements, and to
the host what to take and what to release. Judgements are the machine's alone.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol

from chapar_sourcing.clock import Clock
from chapar_sourcing.heartbeat import FRESH_MS, Heartbeat
from chapar_sourcing.members import (
    Alarmed,
    Announce,
    AnnouncementRead,
    BeatEnded,
    BeatRead,
    ClaimAsked,
    Doubt,
    Drained,
    DrainStarted,
    Effect,
    Hindrance,
    Input,
    MayClaim,
    Owning,
    PlacementRead,
    Quit,
    Release,
    Seen,
    SendBeat,
    Take,
    Tick,
)
from chapar_sourcing.ports import Announcement, Beat, Members, OwnersAway, Placement, Unavailable

RETRY_SECONDS = 0.2
SENT_MAX = 64
"""Own beats of which it is remembered when they were sent."""


class Machine(Protocol):
    """`MembersMachine` or `FixedMachine`."""

    @property
    def settled(self) -> bool:
        """Whether this member owns what it should own and nobody else does."""

    @property
    def owners(self) -> Mapping[int, Announcement]:
        """What counts of each partition."""

    @property
    def placements(self) -> Mapping[int, Placement]:
        """Where operators want partitions."""

    @property
    def seen(self) -> Sequence[Seen]:
        """This member first, then all others of whom it knows."""

    @property
    def stands_back(self) -> bool:
        """Whether this member leaves its share to others, as it cannot own anything."""

    def handle(self, given: Input, now: float) -> Sequence[Effect]:
        """Takes one input; returns what to do, in order."""


class Partitions(Protocol):
    """What a host does with its partitions; all of it begins at once and nothing waits."""

    @property
    def hindrance(self) -> Hindrance:
        """What of this process keeps it from owning now."""

    def take(self, partition: int) -> None:
        """Begins to own a partition."""

    def release(self, partition: int, *, owned: bool, has_heir: bool) -> None:
        """Gives a partition up and says `Membership.quit`; in order where it is owned, else at once. With an heir
        nothing is waited for that can be asked there again."""

    def doubt(self, partition: int) -> None:
        """Has an owner look into its log."""

    def announced(self, partition: int, epoch: int) -> None:
        """All others can read by now that this process owns a partition."""


class Membership:
    """One process among the members of its service."""

    def __init__(
        self, *, machine: Machine, members: Members, heartbeat: Heartbeat, clock: Clock, partitions: Partitions,
        interval_seconds: float,
    ) -> None:  # fmt: skip
        self._machine = machine
        self._members = members
        self._heartbeat = heartbeat
        self._clock = clock
        self._partitions = partitions
        self._interval = interval_seconds
        self._sent: OrderedDict[int, float] = OrderedDict()
        self._claims: dict[int, asyncio.Future[int | None]] = {}
        self._unsaid: dict[int, Announcement] = {}
        """What is to be announced of each partition and is not acknowledged."""
        self._announcing: set[int] = set()
        self._started = asyncio.Event()
        self._drained = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    # ---- what the host says and asks

    @property
    def settled(self) -> bool:
        """Whether this member owns what it should own and nobody else does."""
        return self._machine.settled

    @property
    def stands_back(self) -> bool:
        """Whether this member leaves its share to others, as it cannot own anything."""
        return self._machine.stands_back

    @property
    def owners(self) -> Mapping[int, Announcement]:
        """What counts of each partition, as far as this member has read."""
        return self._machine.owners

    @property
    def placements(self) -> Mapping[int, Placement]:
        """Where operators want partitions, as far as this member has read."""
        return self._machine.placements

    @property
    def seen(self) -> Sequence[Seen]:
        """This member first, then all others of whom it knows."""
        return self._machine.seen

    async def place(self, placement: Placement) -> None:
        """Says where an operator wants a partition, to all members. Raises `Unavailable`: it may be said then."""
        await self._members.place(placement)

    async def run(self) -> None:
        """Beats and reads until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._started.set()
            try:
                tasks.create_task(self._read(), name="members-news")
                while True:
                    self._put(Tick(self._partitions.hindrance))
                    await self._clock.sleep(self._interval)
            finally:
                self._tasks = None

    async def may_claim(self, partition: int, folded_epoch: int, *, first: bool) -> None:
        """Returns as soon as a claim may be sent, which must follow without waiting for anything: what was judged
        behind a beat that is older than a second is judged anew."""
        while True:
            waiting = self._claims[partition] = asyncio.get_running_loop().create_future()
            self._put(ClaimAsked(partition, folded_epoch, first))
            sequence = await waiting
            if sequence is None or self._is_fresh(sequence):
                return

    def owning(self, partition: int, epoch: int) -> None:
        """A partition decides here."""
        self._put(Owning(partition, epoch))

    def alarmed(self, partition: int) -> None:
        """The log of a partition that was taken cannot be trusted."""
        self._put(Alarmed(partition))

    def quit(self, partition: int, *, deposed: bool) -> None:
        """A partition that was taken has ended."""
        self._claims.pop(partition, None)
        self._put(Quit(partition, deposed))

    async def drain(self) -> None:
        """Releases everything; returns when that is done and said."""
        await self._started.wait()
        self._put(DrainStarted())
        await self._drained.wait()
        while self._unsaid:
            await self._clock.sleep(RETRY_SECONDS / 10)

    # ---- the loop

    def _is_fresh(self, sequence: int) -> bool:
        sent = self._sent.get(sequence, float("-inf"))
        return (self._clock.monotonic() - sent) * 1000 <= FRESH_MS

    def _put(self, given: Input) -> None:
        if self._tasks is None:
            return  # Nobody does anything any more.
        for effect in self._machine.handle(given, self._clock.monotonic()):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SendBeat():
                self._spawn(self._beat(effect.beat), "beat")
            case Take():
                self._partitions.take(effect.partition)
            case Release():
                self._partitions.release(effect.partition, owned=effect.owned, has_heir=bool(effect.successor))
            case MayClaim():
                waiting = self._claims.pop(effect.partition, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(effect.sequence)
            case Announce():
                self._announce(effect.announcement)
            case Doubt():
                self._partitions.doubt(effect.partition)
            case Drained():
                self._drained.set()

    def _spawn(self, errand: Coroutine[Any, Any, None], name: str) -> None:
        assert self._tasks is not None, "effects are of a running membership"
        self._tasks.create_task(errand, name=name)

    async def _read(self) -> None:
        while True:
            try:
                news = await self._members.news()
            except Unavailable:
                await self._clock.sleep(RETRY_SECONDS)
                continue
            owners_known = True
            for said in news:
                match said:
                    case Beat():
                        self._put(BeatRead(said, owners_known=owners_known))
                    case Announcement():
                        self._put(AnnouncementRead(said))
                    case Placement():
                        self._put(PlacementRead(said))
                    case OwnersAway():
                        owners_known = False

    async def _beat(self, beat: Beat) -> None:
        self._sent[beat.sequence] = self._clock.monotonic()
        if len(self._sent) > SENT_MAX:
            self._sent.popitem(last=False)
        acknowledged = await self._heartbeat.beat(self._members.beat(beat))
        self._put(BeatEnded(beat.sequence, acknowledged))
        if not (beat.extra and acknowledged):
            await self._clock.sleep(self._interval)
            self._put(Tick(self._partitions.hindrance))

    def _announce(self, announcement: Announcement) -> None:
        self._unsaid[announcement.partition] = announcement
        if announcement.partition not in self._announcing:
            self._announcing.add(announcement.partition)
            self._spawn(self._keep_announcing(announcement.partition), f"announce-{announcement.partition}")

    async def _keep_announcing(self, partition: int) -> None:
        while partition in self._unsaid:
            said = self._unsaid[partition]
            try:
                await self._members.announce(said)
            except Unavailable:
                await self._clock.sleep(RETRY_SECONDS)
                continue
            if not said.released:
                self._partitions.announced(partition, said.epoch)
            if self._unsaid[partition] is said:
                del self._unsaid[partition]
        self._announcing.discard(partition)
