"""Bugs of what a partition shows and vouches for, written from the design and the engine's source alone, without a
look at the checker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.heartbeat import FRESH_MS, Heartbeat
from chapar_sourcing.owner import Effect, OwnerPhase, PhaseChanged
from chapar_sourcing.partition import OwnedPartition
from chapar_sourcing.ports import Unavailable
from chapar_sourcing.shell import OwnerShell
from chapar_sourcing.tail import Tail, ValidBlock
from chapar_sourcing.watch import Watcher, Watches, WatchRefused
from tests.simulation.mutants import Bug, Patch


class _OnThePath(Patch):
    lane = "path"


class BeatsWhilePublishing(_OnThePath):
    """A relay has caught up as soon as it has read all: it beats, and what it read is published after the beat."""

    target = "chapar_sourcing.relay:Relay.caught_up"

    @staticmethod
    def planted(sound: Any) -> Any:
        return property(lambda self: self._reader is not None and self._reader.caught_up)


class LooksBeforeItAttaches(_OnThePath):
    """Takes the snapshot first and attaches then, to attach nobody who may not watch: what happens in between is in
    neither."""

    target = "chapar_sourcing.partition:OwnedPartition.watch"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def watch(self: OwnedPartition, request: peer.WatchRequest) -> AsyncIterator[peer.WatchResponse]:
            rule = self._rules.watch
            assert rule is not None, "the service has live views"
            self._check_key(request.key)
            await self.shell.wait_owning(self._deadline_ms())
            authorise = lambda view: rule.authorise(request.key, request.user_id, request.basis, view)  # noqa: E731
            if not await self.read(authorise, self._deadline_ms()):
                raise WatchRefused(request.key)
            snapshot = await self.read(lambda view: rule.snapshot(request.key, view), self._deadline_ms())
            cursor = request.cursor if request.HasField("cursor") else None
            watcher, resumed = self.watches.attach(request.key, request.user_id, request.basis, cursor)
            try:
                if not resumed:
                    yield peer.WatchResponse(cursor=watcher.start, reset=snapshot)
                async for frame in watcher.frames():
                    yield frame
            finally:
                self.watches.leave(watcher)

        return watch


class DropsOldFramesInSilence(_OnThePath):
    """A full queue of a watcher lets its oldest frames go, as a deque with a length does, and says nothing of a gap."""

    target = "chapar_sourcing.watch:Watcher.offer"

    @staticmethod
    def planted(sound: Any) -> Any:
        def offer(self: Watcher, frame: peer.WatchResponse) -> None:
            while not self.ended and len(self._frames) >= self._frames_max:
                self._frames.popleft()
            sound(self, frame)

        return offer


class NumbersForgottenKeysAnew(_OnThePath):
    """Forgets a key that nobody watches together with its number: frames are counted from one again, and an old cursor
    fits among frames that it has nothing to do with."""

    target = "chapar_sourcing.watch:Watches._rest"

    @staticmethod
    def planted(sound: Any) -> Any:
        def rest(self: Watches, key: str, subject: Any) -> None:
            before = self._forgotten_n
            sound(self, key, subject)
            self._forgotten_n = before

        return rest


class DatesBeatsByTheirAcknowledgement(_OnThePath):
    """Takes a beat to be as old as its acknowledgement: one that took long vouches for a time when others had already
    succeeded."""

    target = "chapar_sourcing.heartbeat:Heartbeat.beat"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def beat(self: Heartbeat, sending: Awaitable[None]) -> bool:
            try:
                await sending
            except Unavailable:
                self._measures.count("heartbeats_lost")
                return False
            now = self._clock.monotonic()
            if now > self._fresh_until:
                self.lapses += 1
            self._fresh_until = now + FRESH_MS / 1000
            self._sent, self.sent_ms = now, self._owner_clock.now_ms()
            self._acknowledged.beat()
            return True

        return beat


class CountsLapsesFromWhenItOwns(_OnThePath):
    """Counts lapses of the heartbeat from when it begins to own, not from when it claimed: one in between is forgotten,
    and with it that a successor may have claimed since."""

    target = "chapar_sourcing.shell:OwnerShell._perform"

    @staticmethod
    def planted(sound: Any) -> Any:
        def perform(self: OwnerShell, effects: Sequence[Effect]) -> None:
            for effect in effects:
                if isinstance(effect, PhaseChanged) and effect.phase is OwnerPhase.OWNING:
                    self._claiming_lapses = self._heartbeat.lapses
                sound(self, [effect])

        return perform


class ReadsPastThePage(_OnThePath):
    """Lays all of memory over a page of the store, also what lies beyond the page: where memory hides deleted ones the
    result has a hole in its middle."""

    target = "chapar_sourcing.views:_Range.holds"

    @staticmethod
    def planted(sound: Any) -> Any:
        def holds(self: Any, identity: str) -> bool:
            return identity > self.after and (self.before is None or identity < self.before)

        return holds


class ForgetsTheFloorOfTheRing(_OnThePath):
    """Lets old blocks leave the ring and does not say so: who is further behind is given what is left, and stops for a
    damage that is none."""

    target = "chapar_sourcing.tail:Tail.push"

    @staticmethod
    def planted(sound: Any) -> Any:
        def push(self: Tail, block: ValidBlock) -> None:
            floor = self.floor
            sound(self, block)
            self.floor = floor

        return push


BUGS: tuple[Bug, ...] = (
    LooksBeforeItAttaches,
    DropsOldFramesInSilence,
    ForgetsTheFloorOfTheRing,
    BeatsWhilePublishing,
    NumbersForgottenKeysAnew,
    DatesBeatsByTheirAcknowledgement,
    ReadsPastThePage,
    CountsLapsesFromWhenItOwns,
)
