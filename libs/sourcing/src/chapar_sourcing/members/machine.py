"""Who owns what: one member's judgement, from the two logs of members.

Flows in: `messages.Input`, with a time that only grows. Flows out: `messages.Effect`, in order. What a partition goes
through here:

    not held --Take--> TAKING --ClaimAsked, own beat read, judged anew: MayClaim--> CLAIMING --Owning--> OWNING
    TAKING --not wanted any more: Release--> RELEASING --Quit--> not held
    OWNING --out-ranked for 30 s, moved, or draining: Release--> RELEASING --Quit: announced as released--> not held
    RELEASING what was owned --ClaimAsked, own beat read: MayClaim, Owning--> RELEASING, under a higher epoch
    CLAIMING, OWNING --Quit, deposed: what was owned is announced as released--> not held
    TAKING, CLAIMING --unfit beside a fit member: Release--> RELEASING; OWNING too where it can decide nothing

A partition is taken by the member that ranked best for it at its last two own beats, once its present owner, as the
highest epoch announced has it, has expired or released it. Before a claim is sent that is judged anew, behind an own
beat that was sent after the claim was asked for: whoever sleeps between reads first what happened meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chapar_sourcing.members.holdings import Holding, Loss, Stage, Wait
from chapar_sourcing.members.messages import (
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
    SendBeat,
    Take,
    Tick,
)
from chapar_sourcing.members.pace import Pace
from chapar_sourcing.members.peers import EXPIRY_BEATS, Peers, Seen
from chapar_sourcing.members.standing import BEST_BEATS, Standing
from chapar_sourcing.ports.members import Announcement, Beat, Placement

PARALLEL_AFTER_SECONDS = 3.0
"""How long a member that ends releases one partition after the other; the rest it releases at once."""
OUTRANKED_SECONDS = 30.0
"""How long an owner is out-ranked before it releases: members that come and go at once move nothing."""


class MembersMachine:
    """One member's view of the members of its service."""

    def __init__(self, *, member: bytes, address: str, partitions: int, interval_seconds: float = 0.3) -> None:
        self.member = member
        self.partitions = partitions
        self.owners: dict[int, Announcement] = {}
        """What counts of each partition."""
        self._address = address
        self._interval = interval_seconds
        self._pace = Pace(member, address, interval_seconds)
        self._peers = Peers()
        self._standing = Standing(member, address, partitions, self._peers)
        self._hindrance = Hindrance.NONE
        self._owners_known = True
        """Whether the own beat read last proves who owns what. As long as it does not, nothing is taken over or handed
        over."""
        self._beats = 0
        """Own beats that were read and count: all measure of others' silence."""
        self._held: dict[int, Holding] = {}
        self._losses: dict[int, Loss] = {}
        self._draining = self._drained = False
        self._release_from: dict[bytes, int] | None = None
        """While draining: how far others must have beaten to take over at once; None before the own word is read."""
        self._release_at = self._parallel_at = float("inf")
        self._effects: list[Effect] = []

    # ---- what others ask

    @property
    def settled(self) -> bool:
        """Whether this member knows the others, and owns what it should own and nobody else does."""
        missing = any(map(self._is_missing, range(self.partitions)))
        return self._beats >= BEST_BEATS and not missing and not self.stands_back

    @property
    def stands_back(self) -> bool:
        """Whether this member leaves its share to others, as it cannot own anything."""
        return self._standing.stands_back

    def _is_missing(self, partition: int) -> bool:
        """Whether nobody owns a partition, and nobody who is known to be alive is about to but this member."""
        held, row = self._held.get(partition), self.owners.get(partition)
        if held is not None:
            return held.stage in (Stage.TAKING, Stage.CLAIMING)
        # Whoever has not beaten since this member did may be long dead, and what was read of it history.
        if row is not None and self._peers.heard_within(row.member, self._beats) and not self._gone(partition):
            return False
        best = self._standing.best(partition)
        return best == self.member or not self._peers.heard_within(best, self._beats)

    @property
    def placements(self) -> Mapping[int, Placement]:
        """Where operators want partitions; the others may be anywhere."""
        return self._standing.placements.rows

    @property
    def seen(self) -> Sequence[Seen]:
        """This member and all others of whom it knows."""
        unfit = not self._standing.fitness.fit
        return [Seen(self.member, self._address, True, self._draining, unfit), *self._peers.seen]

    def stage(self, partition: int) -> Stage | None:
        """What this member does with a partition; None for nothing."""
        held = self._held.get(partition)
        return None if held is None else held.stage

    # ---- inputs

    def handle(self, given: Input, now: float) -> Sequence[Effect]:
        """Takes one input; returns what to do, in order. `now` is in seconds and only grows."""
        self._effects = []
        self._dispatch(given, now)
        beat = self._pace.due(now, draining=self._draining, unfit=not self._standing.fitness.fit)
        if beat is not None:
            self._effects.append(SendBeat(beat))
        return self._effects

    def _dispatch(self, given: Input, now: float) -> None:
        match given:
            case Tick():
                self._hindrance = given.hindrance
                if self._draining:
                    self._review(now)  # Its deadlines pass also where nothing is read.
            case BeatEnded():
                self._pace.ended(given.sequence, now, acknowledged=given.acknowledged)
            case BeatRead() if given.beat.member == self.member:
                self._own_beat(given, now)
            case BeatRead():
                self._peers.heard(given.beat)
                self._release(now)
            case AnnouncementRead():
                self._announced(given.announcement)
                self._review(now)
            case PlacementRead():
                self._placed(given.placement)
            case ClaimAsked():
                self._claim_asked(given)
            case Owning():
                self._owning(given)
            case Alarmed():
                if given.partition in self._held:
                    self._held[given.partition].alarmed = True
            case Quit():
                self._quit(given)
                self._review(now)
            case DrainStarted():
                self._draining = True
                self._release_at = now + EXPIRY_BEATS * self._interval
                self._parallel_at = now + PARALLEL_AFTER_SECONDS
                self._pace.want_extra()
                self._review(now)

    # ---- the two logs

    def _own_beat(self, given: BeatRead, now: float) -> None:
        beat, self._owners_known = given.beat, given.owners_known
        if not self._pace.is_known(beat):
            return
        if self._pace.counts(beat):
            self._beats += 1
            self._peers.own_beat({row.member for row in self.owners.values()})
            if self._owners_known:
                self._wait_on(beat.sequence)
            # Whoever cannot know who owns what takes nothing: others must not wait for it to.
            hindered = self._hindrance is not Hindrance.NONE or self._owners_known
            hindrance = self._hindrance if hindered else Hindrance.TAKING
            self._standing.fitness.beat(hindrance, stuck=self._is_stuck and self._owners_known)
        if beat.draining and self._release_from is None:
            self._release_from = {m: peer.beaten + BEST_BEATS for m, peer in self._peers.eligible.items()}
        self._standing.rank(in_turn=not beat.extra, draining=self._draining)
        self._review(now)
        self._judge_claims(beat)

    def _wait_on(self, sequence: int) -> None:
        """For words that others are about to say."""
        waits = [held.wait for held in self._held.values()] + [loss.wait for loss in self._losses.values()]
        for wait in waits:
            if wait is not None:
                wait.passed(sequence)

    def _announced(self, row: Announcement) -> None:
        if not 0 <= row.partition < self.partitions:
            return
        if row.member != self.member:
            self._peers.mentioned(row.member)
        known = self.owners.get(row.partition)
        held = self._held.get(row.partition)
        if known is None or row.rank > known.rank:
            self.owners[row.partition] = row
            if held is not None and held.stage is Stage.OWNING and row.epoch > held.epoch:
                self._effects.append(Doubt(row.partition))
        elif known.member == self.member and row.rank < known.rank:
            # Compaction keeps the last word of a partition, not the highest: whoever has it says it again.
            self._effects.append(Announce(known))

    def _placed(self, said: Placement) -> None:
        """Who comes to answer there later on is waited for as anybody else who out-ranks this member."""
        self._standing.placements.said(said)
        held = self._held.get(said.partition)
        if held is not None:
            eligible = self._peers.eligible.items()
            held.moves = {m: peer.beaten + BEST_BEATS for m, peer in eligible if peer.address == said.address}

    @property
    def _is_stuck(self) -> bool:
        """Whether it owns nothing, and holds something that it could."""
        held = self._held.values()
        waits = any(one.stage in (Stage.TAKING, Stage.CLAIMING) and not one.alarmed for one in held)
        return waits and not any(one.epoch for one in held)

    # ---- judging

    def _gone(self, partition: int) -> bool:
        """Whether the present owner of a partition that is not held may be succeeded."""
        row, loss = self.owners.get(partition), self._losses.get(partition)
        if loss is not None and (row is None or row.epoch < loss.epoch_least) and loss.wait.beats:
            return False
        return row is None or row.released or row.member == self.member or self._peers.expired(row.member)

    def _should_take(self, partition: int) -> bool:
        best = self._standing.should_take(partition) and not self._draining
        return best and self._owners_known and partition not in self._held and self._gone(partition)

    def _claim_asked(self, given: ClaimAsked) -> None:
        held = self._held.get(given.partition)
        if held is None or (held.stage is Stage.RELEASING and not held.epoch):
            return
        if given.first:
            held.stage = Stage.TAKING
            if held.wait is None or given.folded_epoch > held.folded_epoch:
                held.wait = Wait(self._pace.sequence, EXPIRY_BEATS)
        held.folded_epoch = given.folded_epoch
        held.asked_after = self._pace.sequence
        self._pace.want_extra()

    def _judge_claims(self, beat: Beat) -> None:
        for partition, held in self._held.items():
            asked = held.asked_after is not None and beat.sequence > held.asked_after
            if asked and self._may_claim(partition, held):
                held.asked_after = None
                if held.stage is Stage.TAKING:
                    held.stage = Stage.CLAIMING
                self._effects.append(MayClaim(partition, beat.sequence))

    def _may_claim(self, partition: int, held: Holding) -> bool:
        """Behind an own beat. A claim in the log that nobody announced may be of a healthy owner that is about to."""
        if held.stage is not Stage.TAKING:
            return True
        row = self.owners.get(partition)
        unannounced = held.folded_epoch > (0 if row is None else row.epoch)
        waits = unannounced and self._peers.someone_alive and held.wait is not None and held.wait.beats > 0
        return self._owners_known and not waits and self._gone(partition)

    # ---- what this member has

    def _owning(self, given: Owning) -> None:
        held = self._held.get(given.partition)
        if held is None:
            return
        held.epoch = given.epoch  # While releasing, too: what is announced as released is what was claimed last.
        self._standing.fitness.owning()
        if held.stage is not Stage.RELEASING:
            held.stage = Stage.OWNING
            known = self.owners.get(given.partition)
            if known is not None and known.epoch > given.epoch:
                self._effects.append(Doubt(given.partition))  # Somebody was faster than the fold of the own claim.
            self._say(Announcement(given.partition, given.epoch, self.member, self._address))

    def _quit(self, given: Quit) -> None:
        held = self._held.pop(given.partition, None)
        if held is None:
            return
        if given.deposed:
            least = max(held.epoch, held.folded_epoch) + 1
            self._losses[given.partition] = Loss(least, Wait(self._pace.sequence, EXPIRY_BEATS))
        if held.epoch:
            # Also when deposed: whoever deposed it may be dead, and others would wait for this member to expire.
            self._say(Announcement(given.partition, held.epoch, self.member, self._address, True, held.successor))

    def _say(self, row: Announcement) -> None:
        """Knows it at once: its word may be compacted away before it is read, behind one of a lower epoch."""
        self._effects.append(Announce(row))
        known = self.owners.get(row.partition)
        if known is None or row.rank > known.rank:
            self.owners[row.partition] = row

    # ---- taking and releasing

    def _review(self, now: float) -> None:
        for partition, held in self._held.items():
            wanted = self._standing.should_have(partition) and self._gone(partition) and not self._draining
            gives_up = held.stage is Stage.CLAIMING and self._standing.stands_back
            if (held.stage is Stage.TAKING and not wanted) or gives_up:
                self._release_one(partition, held, owned=False)
        for partition in range(self.partitions):
            if self._should_take(partition):
                self._held[partition] = Holding()
                self._effects.append(Take(partition))
        self._release(now)

    def _release(self, now: float) -> None:
        """Gives up what others should have: one partition at a time, unless nobody is there to take it."""
        if self._draining:
            self._release_all(now)
            return
        for partition, held in self._held.items():
            if self._standing.best(partition) == self.member:
                held.outranked_since = None
            elif held.outranked_since is None:
                held.outranked_since = now
        # Whoever decides nothing serves nobody by waiting, or by going on with the rest.
        at_once = self._standing.stands_back and self._hindrance is Hindrance.DECIDING
        for partition, held in self._held.items():
            since = held.outranked_since
            soon = at_once or self._is_moved(partition, held)
            ripe = since is not None and (soon or now - since >= OUTRANKED_SECONDS)
            movable = held.stage is Stage.OWNING and self._standing.has_heir(partition) and not held.alarmed
            if ripe and movable and self._owners_known and (at_once or not self._one_is_releasing):
                self._release_one(partition, held, owned=True)

    def _is_moved(self, partition: int, held: Holding) -> bool:
        """Whether an operator wants it elsewhere, and who should have it there may take over at once."""
        best = self._standing.best(partition)
        heir = self._peers.eligible.get(best)
        return best in held.moves and heir is not None and heir.beaten >= held.moves[best]

    def _release_all(self, now: float) -> None:
        others = self._peers.eligible
        for partition, held in self._held.items():
            busy = bool(others) and self._one_is_releasing and now < self._parallel_at
            if held.stage in (Stage.OWNING, Stage.CLAIMING) and not busy and self._others_are_ready(now):
                self._release_one(partition, held, owned=held.epoch > 0)
        if not self._held and not self._drained:
            self._drained = True
            self._effects.append(Drained())

    def _others_are_ready(self, now: float) -> bool:
        """Whether others have beaten often enough, since they read that this member drains, to take over at once."""
        others = self._peers.eligible
        if not others or now >= self._release_at:
            return True
        wanted = self._release_from
        return wanted is not None and all(peer.beaten >= wanted.get(m, 0) for m, peer in others.items())

    @property
    def _one_is_releasing(self) -> bool:
        return any(held.stage is Stage.RELEASING and held.epoch for held in self._held.values())

    def _release_one(self, partition: int, held: Holding, *, owned: bool) -> None:
        held.stage = Stage.RELEASING
        if not owned:
            held.asked_after = None
        heir = self._peers.eligible.get(self._standing.best(partition))
        held.successor = "" if heir is None else heir.address
        self._effects.append(Release(partition, held.successor, owned))
