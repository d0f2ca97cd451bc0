"""One machine under test, told what the logs say; others are only what they say there."""

from __future__ import annotations

from typing import TypeVar

from chapar_sourcing.members import (
    AnnouncementRead,
    BeatEnded,
    BeatRead,
    Effect,
    Hindrance,
    Input,
    MembersMachine,
    SendBeat,
    Take,
    Tick,
)
from chapar_sourcing.members.ranking import assigned
from chapar_sourcing.ports.members import Announcement, Beat

E = TypeVar("E", bound=Effect)
INTERVAL = 0.3
ME = b"m" * 16


def member(number: int) -> bytes:
    """Another member's id."""
    return number.to_bytes(16, "big")


class Rig:
    """Drives a machine; every own beat is acknowledged and read at once, unless said otherwise."""

    def __init__(self, partitions: int = 4) -> None:
        self.machine = MembersMachine(member=ME, address="me:1", partitions=partitions, interval_seconds=INTERVAL)
        self.now = 100.0
        self._hindrance = Hindrance.NONE
        self.owners_known = True
        """Whether announcements can be read."""
        self.sent: list[Beat] = []
        """Own beats."""
        self.sequences: dict[bytes, int] = {}
        self.done: list[Effect] = []
        """Everything but beats, in order."""

    def give(self, given: Input) -> list[Beat]:
        """Gives an input; says which beats it wants sent, and remembers the rest."""
        effects = self.machine.handle(given, self.now)
        self.done += [effect for effect in effects if not isinstance(effect, SendBeat)]
        beats = [effect.beat for effect in effects if isinstance(effect, SendBeat)]
        self.sent += beats
        return beats

    def ended(self, beat: Beat, *, acknowledged: bool = True) -> list[Beat]:
        """The beat under way ended."""
        return self.give(BeatEnded(beat.sequence, acknowledged))

    def pass_through(self, beats: list[Beat]) -> None:
        """Has beats acknowledged and read, and those that follow from them."""
        while beats:
            beat = beats.pop(0)
            beats += self.ended(beat)
            beats += self.give(BeatRead(beat, owners_known=self.owners_known))

    def turn(self, *others: bytes, draining: tuple[bytes, ...] = (), unfit: tuple[bytes, ...] = ()) -> None:
        """One interval: these members beat, then this one."""
        self.now += INTERVAL
        for other in others:
            self.hear(other, draining=other in draining, unfit=other in unfit)
        self.pass_through(self.give(Tick(self._hindrance)))

    def hinder(self, hindrance: Hindrance) -> None:
        """From now on this hinders it."""
        self._hindrance = hindrance
        self.pass_through(self.give(Tick(hindrance)))

    def turns(self, count: int, *others: bytes, unfit: tuple[bytes, ...] = ()) -> None:
        """Several intervals."""
        for _ in range(count):
            self.turn(*others, unfit=unfit)

    def hear(self, other: bytes, *, draining: bool = False, extra: bool = False, unfit: bool = False) -> None:
        """A beat of another."""
        sequence = self.sequences[other] = self.sequences.get(other, 0) + 1
        self.pass_through(self.give(BeatRead(Beat(other, address_of(other), sequence, draining, extra, unfit))))

    def announced(
        self, partition: int, epoch: int, by: bytes, *, released: bool = False, successor: str = ""
    ) -> None:  # fmt: skip
        """An announcement."""
        row = Announcement(partition, epoch, by, address_of(by), released, successor)
        self.pass_through(self.give(AnnouncementRead(row)))

    def take(self, kind: type[E]) -> list[E]:
        """What was done of a kind since it was last asked for."""
        found = [effect for effect in self.done if isinstance(effect, kind)]
        self.done = [effect for effect in self.done if not isinstance(effect, kind)]
        return found

    def taken(self) -> list[int]:
        """Partitions to take since last asked."""
        return [effect.partition for effect in self.take(Take)]


def address_of(other: bytes) -> str:
    """Where a member answers."""
    return "me:1" if other == ME else f"other:{int.from_bytes(other, 'big')}"


def mine(partitions: int, *others: bytes) -> list[int]:
    """Partitions that this member should own beside these others."""
    return [p for p, m in sorted(assigned(partitions, {ME, *others}).items()) if m == ME]
