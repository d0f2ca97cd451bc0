"""Bugs of members, releases and moves, written from ADR 0019 and the machine's source before the lane `members` had a
single check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chapar_sourcing.members import BeatRead, Effect, Input
from chapar_sourcing.members.holdings import Stage
from chapar_sourcing.members.messages import Announce, ClaimAsked, Owning
from chapar_sourcing.members.peers import EXPIRY_BEATS
from chapar_sourcing.ports.members import Announcement, Beat
from tests.simulation.mutants import Bug, Patch

_MACHINE = "chapar_sourcing.members.machine:MembersMachine"


class _AmongMembers(Patch):
    lane = "members"


class ExpiresByItsOwnClock(_AmongMembers):
    """Takes a member for gone that it has not heard of for 1.5 s, by its own clock, however often it beat itself."""

    target = f"{_MACHINE}.handle"

    @staticmethod
    def planted(sound: Any) -> Any:
        def handle(self: Any, given: Input, now: float) -> Sequence[Effect]:
            heard = self.__dict__.setdefault("_planted_heard", {})
            if isinstance(given, BeatRead):
                heard[given.beat.member] = now
            for member, peer in self._peers._known.items():
                gone = now - heard.setdefault(member, now) >= 1.5
                peer.silent = EXPIRY_BEATS if gone else min(peer.silent, EXPIRY_BEATS - 1)
            return sound(self, given, now)  # type: ignore[no-any-return]

        return handle


class CountsBeatsOutOfTurn(_AmongMembers):
    """Measures others' silence by beats that were sent out of turn, too."""

    target = "chapar_sourcing.members.pace:Pace.counts"

    @staticmethod
    def planted(sound: Any) -> Any:
        return lambda self, beat: beat.sequence not in self._uncounted


class CountsBeatsAfterAnOutage(_AmongMembers):
    """Measures others' silence by its first beats after an outage: who comes back a little later has expired."""

    target = "chapar_sourcing.members.pace:Pace.counts"

    @staticmethod
    def planted(sound: Any) -> Any:
        return lambda self, beat: not beat.extra


class ReleasesSilently(_AmongMembers):
    """Ends to own what it was to release and says so to nobody."""

    target = f"{_MACHINE}._quit"

    @staticmethod
    def planted(sound: Any) -> Any:
        def quit_(self: Any, given: Any) -> None:
            held = self._held.get(given.partition)
            if held is not None and held.stage is Stage.RELEASING:
                held.epoch = 0
            sound(self, given)

        return quit_


class AnnouncesReleasesEarly(_AmongMembers):
    """Says that it has released when it begins to: its last blocks may be under way."""

    target = f"{_MACHINE}._release_one"

    @staticmethod
    def planted(sound: Any) -> Any:
        def release_one(self: Any, partition: int, held: Any, *, owned: bool) -> None:
            sound(self, partition, held, owned=owned)
            if owned and held.epoch:
                row = Announcement(partition, held.epoch, self.member, self._address, True, held.successor)
                self._effects.append(Announce(row))

        return release_one


class ConfirmsByLateAcknowledgements(_AmongMembers):
    """Counts a heartbeat's freshness from its acknowledgement, not from its sending."""

    target = "chapar_sourcing.heartbeat:Heartbeat.beat"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def beat(self: Any, sending: Any) -> bool:
            acknowledged: bool = await sound(self, sending)
            if acknowledged:
                self._sent = self._clock.monotonic()
                self._fresh_until = self._sent + 1.0
            return acknowledged

        return beat


class ClaimsOnAnOldJudgement(_AmongMembers):
    """Claims by a judgement of any age: who slept on it claims over whoever came back meanwhile."""

    target = "chapar_sourcing.membership:Membership._is_fresh"

    @staticmethod
    def planted(sound: Any) -> Any:
        return lambda self, sequence: True


class IgnoresHigherEpochs(_AmongMembers):
    """An owner that reads of a higher epoch goes on as if nothing had been said."""

    target = f"{_MACHINE}._announced"

    @staticmethod
    def planted(sound: Any) -> Any:
        def announced(self: Any, row: Announcement) -> None:
            before = len(self._effects)
            sound(self, row)
            self._effects[before:] = [e for e in self._effects[before:] if isinstance(e, Announce)]

        return announced


class PlacesWithinTheBound(_AmongMembers):
    """A partition that is placed where there is no more room goes where its rank wants it."""

    target = "chapar_sourcing.members.ranking:assigned"
    also = ("chapar_sourcing.members.standing:assigned",)

    @staticmethod
    def planted(sound: Any) -> Any:
        def placed_within(partitions: int, members: Any, placed: Mapping[int, bytes] | None = None) -> Any:
            room = -(-11 * partitions // (10 * max(1, len(members))))
            within: dict[int, bytes] = {}
            for partition, member in sorted((placed or {}).items()):
                if [*within.values()].count(member) < room:
                    within[partition] = member
            return sound(partitions, members, within)

        return placed_within


class SleepersClaimUnheard(_AmongMembers):
    """Judges a claim behind any own beat, also one that was sent before the claim was asked for."""

    target = f"{_MACHINE}._claim_asked"

    @staticmethod
    def planted(sound: Any) -> Any:
        def claim_asked(self: Any, given: ClaimAsked) -> None:
            sound(self, given)
            held = self._held.get(given.partition)
            if held is not None and held.asked_after is not None:
                held.asked_after = 0

        return claim_asked


class RanksTheUnfit(_AmongMembers):
    """Members that say they cannot own anything get their share all the same."""

    target = "chapar_sourcing.members.peers:Peers.eligible"

    @staticmethod
    def planted(sound: Any) -> Any:
        return property(lambda self: self.staying)


class StepsOverTheUnannounced(_AmongMembers):
    """A claim in the log that nobody has announced is taken for nobody's."""

    target = f"{_MACHINE}._may_claim"

    @staticmethod
    def planted(sound: Any) -> Any:
        def may_claim(self: Any, partition: int, held: Any) -> bool:
            held.wait = None
            return bool(sound(self, partition, held))

        return may_claim


class KeepsItsDeposition(_AmongMembers):
    """Whoever was deposed leaves it to its successor to say so, who may be dead."""

    target = f"{_MACHINE}._quit"

    @staticmethod
    def planted(sound: Any) -> Any:
        def quit_(self: Any, given: Any) -> None:
            before = len(self._effects)
            sound(self, given)
            if given.deposed:
                self._effects[before:] = [e for e in self._effects[before:] if not isinstance(e, Announce)]

        return quit_


class TakesWhatItCannotKnow(_AmongMembers):
    """Judges who owns what also while announcements cannot be read."""

    target = f"{_MACHINE}._own_beat"

    @staticmethod
    def planted(sound: Any) -> Any:
        return lambda self, given, now: sound(self, replace(given, owners_known=True), now)


class HeedsTheFirstPlacement(_AmongMembers):
    """Of what operators said of a partition the first word counts."""

    target = f"{_MACHINE}._placed"

    @staticmethod
    def planted(sound: Any) -> Any:
        def placed(self: Any, said: Any) -> None:
            if said.partition not in self._standing.placements.rows:
                sound(self, said)

        return placed


class BelievesTheLastWord(_AmongMembers):
    """Of announcements the last one read counts, not the highest epoch."""

    target = f"{_MACHINE}._announced"

    @staticmethod
    def planted(sound: Any) -> Any:
        def announced(self: Any, row: Announcement) -> None:
            self.owners.pop(row.partition, None)
            sound(self, row)

        return announced


class AnnouncesWhatItClaimedFirst(_AmongMembers):
    """What claims again while it is released is announced as released under the epoch before."""

    target = f"{_MACHINE}._owning"

    @staticmethod
    def planted(sound: Any) -> Any:
        def owning(self: Any, given: Owning) -> None:
            held = self._held.get(given.partition)
            if held is None or held.stage is not Stage.RELEASING:
                sound(self, given)

        return owning


class StopsServingFirst(_AmongMembers):
    """A process that is to end answers nothing any more while it hands over."""

    target = "chapar_sourcing.host:OwnerHost._partition"

    @staticmethod
    def planted(sound: Any) -> Any:
        def partition(self: Any, number: int) -> Any:
            return sound(self, -1 if self._stopping.is_set() else number)

        return partition


class DrainsUnheard(_AmongMembers):
    """Releases before others have heard that it is about to end: none of them is ready to take over."""

    target = f"{_MACHINE}._others_are_ready"

    @staticmethod
    def planted(sound: Any) -> Any:
        return lambda self, now: True


class BeatsFitWithAClockThatIsOff(_AmongMembers):
    """Its beats do not tell others that it is unfit."""

    target = "chapar_sourcing.members.pace:Pace.due"

    @staticmethod
    def planted(sound: Any) -> Any:
        def due(self: Any, now: float, *, draining: bool, unfit: bool = False) -> Beat | None:
            return sound(self, now, draining=draining, unfit=False)  # type: ignore[no-any-return]

        return due


class HeardOnlyInTurn(_AmongMembers):
    """Takes a member for silent that was heard of by a beat out of turn only."""

    target = "chapar_sourcing.members.peers:Peers.heard"

    @staticmethod
    def planted(sound: Any) -> Any:
        def heard(self: Any, beat: Beat) -> None:
            known = self._known.get(beat.member)
            silent = known.silent if known is not None and beat.extra else 0
            sound(self, beat)
            self._known[beat.member].silent = silent

        return heard


BUGS: tuple[Bug, ...] = (
    ExpiresByItsOwnClock,
    ReleasesSilently,
    IgnoresHigherEpochs,
    TakesWhatItCannotKnow,
    HeedsTheFirstPlacement,
    BelievesTheLastWord,
)

UNNOTICED: tuple[Bug, ...] = (
    CountsBeatsOutOfTurn,
    CountsBeatsAfterAnOutage,
    AnnouncesReleasesEarly,
    ConfirmsByLateAcknowledgements,
    ClaimsOnAnOldJudgement,
    PlacesWithinTheBound,
    SleepersClaimUnheard,
    RanksTheUnfit,
    StepsOverTheUnannounced,
    KeepsItsDeposition,
    AnnouncesWhatItClaimedFirst,
    StopsServingFirst,
    DrainsUnheard,
    BeatsFitWithAClockThatIsOff,
    HeardOnlyInTurn,
)
"""Not noticed in the first 8 seeds, which is all that was played of them; nothing tries them on. Some cost time alone,
which this lane measures roughly (who beats unfit, or drains unheard); others need what its seeds bring together seldom.
"""
