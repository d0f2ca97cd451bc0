"""Several machines over two logs of members and a journal of claims, in simulated time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from chapar_sourcing.members import (
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
    MembersMachine,
    Owning,
    PlacementRead,
    Quit,
    Release,
    SendBeat,
    Take,
    Tick,
)
from chapar_sourcing.members.holdings import Stage
from chapar_sourcing.members.peers import EXPIRY_BEATS
from chapar_sourcing.members.ranking import assigned
from chapar_sourcing.ports.members import Announcement, Beat, Placement

INTERVAL = 0.3
STEP = 0.05
PARTITIONS = 6


@dataclass
class World:
    """What all members share: the logs, and who owns what by them."""

    draw: random.Random
    claims_lost: float = 0.2
    """Share of claims without an answer."""
    claims_stopped: float = 0.05
    """Share of claims before which the process stands still."""
    now: float = 0.0
    beats: list[Beat] = field(default_factory=list)
    announcements: list[Announcement] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)
    _placed_at: list[float] = field(default_factory=list)
    journal: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """Partition -> (epoch, member) of the current claim."""
    members: list[Process] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _later: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Something happens later on."""
        heapq.heappush(self._later, (self.now + seconds, next(self._numbers), act))

    def soon(self) -> float:
        """How long a step through the network takes."""
        return self.draw.uniform(0.001, 0.08)

    def start(self, *, address: str = "", places: bool = True) -> Process:
        """One more member, at an address of its own by default; `places`: whether it goes by placements, as older
        processes do not."""
        member = self.draw.randbytes(16)
        process = Process(self, member, address or member.hex(), places=places)
        self.members.append(process)
        return process

    def place(self, partition: int, address: str) -> None:
        """An operator says where a partition belongs."""
        said = Placement(partition, address, "a reason", "", 0)

        def land() -> None:
            self.placements.append(said)
            self._placed_at.append(self.now)

        self.after(self.soon(), land)

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        until = self.now + seconds
        while self.now < until:
            self.now += STEP
            while self._later and self._later[0][0] <= self.now:
                heapq.heappop(self._later)[2]()
            for process in list(self.members):
                process.step()

    def owner(self, partition: int) -> bytes | None:
        """Who owns a partition by the log and still runs."""
        _, member = self.journal.get(partition, (0, b""))
        running = {p.member: p for p in self.members}
        process = running.get(member)
        return member if process is not None and process.machine.stage(partition) is Stage.OWNING else None

    def best(self) -> dict[int, bytes]:
        """Who should own what."""
        members = [p.member for p in self.members]
        placed = {row.partition: self._at(row.address) for row in self.placements}
        follow = all(p.places for p in self.members)
        return dict(assigned(PARTITIONS, members, {p: m for p, m in placed.items() if m} if follow else {}))

    def _at(self, address: str) -> bytes:
        return next((p.member for p in self.members if p.address == address), b"")

    def note_release(self, partition: int, successor: str) -> None:
        """Counts those that an operator asked for, and that are not of their time alone."""
        told = [(at, row.address) for at, row in zip(self._placed_at, self.placements, strict=True)
                if row.partition == partition]  # fmt: skip
        if told and successor == told[-1][1] and self.now - told[-1][0] < 5:
            self.counts["released for an operator"] += 1


class Process:
    """One member: its machine, how far it has read, what befalls it."""

    def __init__(self, world: World, member: bytes, address: str, *, places: bool) -> None:
        self.world = world
        self.member = member
        self.address = address
        self.places = places
        self.machine = MembersMachine(
            member=member, address=self.address, partitions=PARTITIONS, interval_seconds=INTERVAL
        )
        self.asleep_until = self.cut_off_until = self.hindered_until = 0.0
        self._hindrance = Hindrance.NONE
        self.gone = False
        self._read_beats = self._read_announcements = self._read_placements = 0
        self._seen: list[Beat] = []
        self._given_up: set[int] = set()
        self._folded: dict[int, int] = {}
        """Partition -> epoch that the latest claim asked for goes over."""
        self._judged: set[int] = set()
        """Partitions of which the latest claim asked for is not the first: the log says who is in the right."""
        self._waiting: list[Callable[[], None]] = []

    # ---- what befalls it

    def sleep(self, seconds: float) -> None:
        """Stands still."""
        self.asleep_until = max(self.asleep_until, self.world.now + seconds)

    def cut_off(self, seconds: float) -> None:
        """Reaches nobody, reads nothing; beats under way may still arrive."""
        self.cut_off_until = max(self.cut_off_until, self.world.now + seconds)

    def hinder(self, hindrance: Hindrance, seconds: float) -> None:
        """Claims nothing any more."""
        self._hindrance = hindrance
        self.hindered_until = max(self.hindered_until, self.world.now + seconds)

    def kill(self) -> None:
        """Ends at once."""
        self.gone = True
        self.world.members.remove(self)

    def drain(self) -> None:
        """Begins to end in order."""
        self.later(0, lambda: self.give(DrainStarted()))

    # ---- its life

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Something happens in this process, if it is awake then; otherwise when it wakes."""

        def wake() -> None:
            if not self.gone:
                self._waiting.append(act)

        self.world.after(seconds, wake)

    def step(self) -> None:
        """What a process does when it is awake."""
        if self.world.now < self.asleep_until:
            return
        waiting, self._waiting = self._waiting, []
        for act in waiting:
            if not self.gone:
                act()
        if not self.gone and self.world.now >= self.cut_off_until:
            self._read()
        if not self.gone:
            self._write(self.world.draw.randrange(4 * PARTITIONS))
            self.give(Tick(self._hindrance if self._is_hindered else Hindrance.NONE))

    @property
    def _is_hindered(self) -> bool:
        return self.world.now < self.hindered_until

    def _write(self, partition: int) -> None:
        """Somebody wants something of a partition: an owner that was deposed learns it."""
        owns = self.machine.stage(partition) is Stage.OWNING
        if owns and self.world.journal[partition][1] != self.member and self.world.now >= self.cut_off_until:
            self.world.counts["gave way"] += 1
            self.give(Quit(partition, deposed=True))

    def _read(self) -> None:
        end = len(self.world.beats) if self.world.draw.random() < 0.9 else self._read_beats
        for announcement in self.world.announcements[self._read_announcements :]:
            self._read_announcements += 1
            self.give(AnnouncementRead(announcement))
        for placement in self.world.placements[self._read_placements :]:
            self._read_placements += 1
            if self.places:
                self.give(PlacementRead(placement))
        for beat in self.world.beats[self._read_beats : end]:
            self._read_beats += 1
            self._seen.append(beat)
            self.give(BeatRead(beat))

    def give(self, given: Input) -> None:
        """Gives the machine an input and does what it says."""
        for effect in self.machine.handle(given, self.world.now):
            self._do(effect)

    def _do(self, effect: Effect) -> None:
        world = self.world
        match effect:
            case SendBeat():
                self._send(effect.beat)
            case Take():
                self.later(world.soon(), lambda: self._ask(effect.partition, again=False))
            case MayClaim():
                self._claim(effect.partition)
            case Release():
                world.counts["released" if effect.owned else "let go"] += 1
                world.note_release(effect.partition, effect.successor)
                doubtful = effect.owned and world.draw.random() < 0.3
                if doubtful:  # A block under way ended in an unknown outcome: its fate is known behind a claim.
                    self.later(world.soon(), lambda: self._ask(effect.partition, again=True))
                self.later(1.0 if doubtful else world.soon(), lambda: self._end(effect.partition))
            case Announce():
                self._announce(effect.announcement)
            case Doubt():
                self.later(world.soon(), lambda: self._look(effect.partition))
            case Drained():
                self.kill()

    def _send(self, told: Beat) -> None:
        beat = replace(told, places=self.places)
        self.world.counts["beats of the unfit"] += beat.unfit
        cut = self.world.now < self.cut_off_until
        if not cut or self.world.draw.random() < 0.2:
            self.world.after(self.world.soon() if not cut else 3.0, lambda: self.world.beats.append(beat))
        if cut:
            self._given_up.add(beat.sequence)
        self.later(0.4 if cut else 0.1, lambda: self.give(BeatEnded(beat.sequence, acknowledged=not cut)))

    def _announce(self, announcement: Announcement) -> None:
        if self.world.now < self.cut_off_until:
            self.later(0.2, lambda: self._announce(announcement))
        else:
            self.world.after(self.world.soon(), lambda: self.world.announcements.append(announcement))

    # ---- its partitions

    def _ask(self, partition: int, *, again: bool) -> None:
        """Has read on to the end and wants to claim, for the first time or again; then it gives way to whoever claimed
        after it."""
        stage = self.machine.stage(partition)
        if stage is None or (stage is Stage.RELEASING and not again):
            return
        first = stage in (Stage.TAKING, Stage.CLAIMING)
        self.world.counts["asked again while releasing"] += stage is Stage.RELEASING
        if self._is_hindered:
            self.world.counts["hindered"] += 1
            self.later(0.2, lambda: self._ask(partition, again=again))
            return
        epoch, owner = self.world.journal.get(partition, (0, b""))
        if again and owner != self.member and epoch > self._folded[partition]:
            self.world.counts["gave way"] += 1
            self.give(Quit(partition, deposed=True))
            return
        self._folded[partition] = epoch
        self._judged.discard(partition) if first else self._judged.add(partition)
        self.give(ClaimAsked(partition, epoch, first=first))

    def _claim(self, partition: int) -> None:
        if partition not in self._judged:
            self._check_right(partition)
        epoch = self._folded[partition] + 1
        if self.world.now >= self.cut_off_until and self.world.draw.random() >= self.world.claims_lost:
            stopped = self._stop_now_and_then()
            self.world.after(stopped + self.world.soon(), lambda: self._land(partition, epoch))
            self.later(stopped + 0.1, lambda: self._settle(partition, epoch))
            return
        self.world.counts["claimed without an answer"] += 1
        if self.world.draw.random() < 0.5:
            self.world.after(self.world.draw.uniform(0.3, 3.0), lambda: self._land(partition, epoch))
        self.later(0.5, lambda: self._ask(partition, again=True))

    def _stop_now_and_then(self) -> float:
        """Between the judgement and the claim nothing is waited for, and the process may stand still all the same."""
        if self.world.draw.random() >= self.world.claims_stopped:
            return 0.0
        self.world.counts["stood still before a claim"] += 1
        seconds = self.world.draw.uniform(0.5, 8)
        self.sleep(seconds)
        return seconds

    def _land(self, partition: int, epoch: int) -> None:
        current, owner = self.world.journal.get(partition, (0, b""))
        if epoch > current:
            self.world.counts["claimed"] += 1
            living = [p for p in self.world.members if p.member == owner and p is not self]
            self.world.counts["claimed from the living"] += len(living)
            self.world.journal[partition] = (epoch, self.member)

    def _settle(self, partition: int, epoch: int) -> None:
        if self.machine.stage(partition) is None:
            return
        if self.world.journal[partition] == (epoch, self.member):
            self.give(Owning(partition, epoch))
        else:
            self.world.counts["claimed in vain"] += 1
            self.give(Quit(partition, deposed=True))

    def _end(self, partition: int) -> None:
        if self.machine.stage(partition) is not None:
            self.give(Quit(partition, deposed=False))

    def _look(self, partition: int) -> None:
        """Looks into the log, and claims again where nobody else has."""
        if self.machine.stage(partition) is not None:
            self._ask(partition, again=True)

    def _check_right(self, partition: int) -> None:
        """Nobody claims from an owner of which it has read a beat within its last five."""
        row = self.machine.owners.get(partition)
        if row is None or row.released or row.member == self.member:
            return
        own = 0
        for beat in reversed(self._seen):
            if beat.member == row.member:
                raise AssertionError(f"claims from an owner that beat {own} own beats ago")
            own += beat.member == self.member and not beat.extra and beat.sequence not in self._given_up
            if own >= EXPIRY_BEATS:
                return
        raise AssertionError(f"claims from an owner it knows nothing of, after {own} beats")
