"""A machine without judgement: it owns what it is given. For stages and tests that say themselves who owns what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from chapar_sourcing.members.messages import (
    Announce,
    BeatEnded,
    ClaimAsked,
    Drained,
    DrainStarted,
    Effect,
    Input,
    MayClaim,
    Owning,
    PlacementRead,
    Quit,
    Release,
    SendBeat,
    Take,
)
from chapar_sourcing.members.pace import Pace
from chapar_sourcing.members.peers import Seen
from chapar_sourcing.ports.members import Announcement, Placement


class FixedMachine:
    """Takes all at once, claims as soon as `may_claim` allows it, asked anew at each input, and takes again after a
    while what it lost, if told so."""

    def __init__(
        self, *, member: bytes, address: str, owned: Collection[int], interval_seconds: float,
        again_after_seconds: float | None, may_claim: Callable[[int], bool],
    ) -> None:  # fmt: skip
        self._member = member
        self._address = address
        self._pace = Pace(member, address, interval_seconds)
        self._again_after = again_after_seconds
        self._missing = dict.fromkeys(owned, float("-inf"))
        """Partition -> when to take it."""
        self._held: set[int] = set()
        self._may_claim = may_claim
        self._asked: set[int] = set()
        """Partitions whose first claim waits to be judged."""
        self._draining = False
        self._placements: dict[int, Placement] = {}

    settled = True
    """Nobody else is waited for."""
    stands_back = False
    """Nobody else would own its share."""

    @property
    def owners(self) -> Mapping[int, Announcement]:
        """What counts of each partition: nothing is known of others."""
        return {}

    @property
    def placements(self) -> Mapping[int, Placement]:
        """What was said last of each partition; nothing moves by it."""
        return self._placements

    @property
    def seen(self) -> Sequence[Seen]:
        """This member alone."""
        return [Seen(self._member, self._address, True, self._draining, False)]

    def handle(self, given: Input, now: float) -> Sequence[Effect]:
        """Takes one input; returns what to do, in order."""
        effects = [*self._answer(given, now)]
        for partition in [p for p, at in self._missing.items() if now >= at and not self._draining]:
            del self._missing[partition]
            self._held.add(partition)
            effects.append(Take(partition))
        for partition in [p for p in sorted(self._asked) if self._may_claim(p)]:
            self._asked.discard(partition)
            effects.append(MayClaim(partition, sequence=None))
        beat = self._pace.due(now, draining=self._draining)
        return effects if beat is None else [*effects, SendBeat(beat)]

    def _answer(self, given: Input, now: float) -> Sequence[Effect]:
        match given:
            case BeatEnded():
                self._pace.ended(given.sequence, now, acknowledged=given.acknowledged)
            case ClaimAsked() if given.first:
                self._asked.add(given.partition)
            case ClaimAsked():
                return [MayClaim(given.partition, sequence=None)]
            case PlacementRead():
                self._placements[given.placement.partition] = given.placement
            case Owning():
                return [Announce(Announcement(given.partition, given.epoch, self._member, self._address))]
            case DrainStarted():
                self._draining = True
                releases = [Release(partition, "", owned=True) for partition in sorted(self._held)]
                return releases or [Drained()]
            case Quit():
                self._held.discard(given.partition)
                self._asked.discard(given.partition)
                if self._again_after is not None:
                    self._missing[given.partition] = now + self._again_after
                return [Drained()] if self._draining and not self._held else []
        return []
