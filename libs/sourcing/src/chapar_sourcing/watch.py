"""Live views of keys: rings of recent frames, watchers with bounded queues, resume, reset, gap and detach.

Flows in: hints of durable events and of advances, ends of rights to watch. Flows out: frames in order, numbered
densely for each key within an epoch. Nothing here is durable: an epoch ends all of it, and a cursor that cannot be
served gets a snapshot.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.hosting import Detach
from chapar_sourcing.recent import IDLE_KEYS_MAX, QUEUE_FRAMES_MAX, RING_FRAMES_MAX
from chapar_sourcing.refusing import OVERLOADED, EngineRefused

RING_SECONDS_MAX = 60.0
"""Older frames are shown to nobody who comes back: what was sealed may be erased since."""
WATCHERS_MAX = 50_000


class WatchRefused(Exception):
    """The user may not watch this key on this basis."""


class Watcher:
    """One reader of one key. Its queue is bounded: what does not fit becomes one gap."""

    def __init__(self, key: str, user_id: str, basis: str, frames_max: int) -> None:
        self.key = key
        self.user_id = user_id
        self.basis = basis
        self.start = peer.WatchCursor()
        """Where it attached: a snapshot taken later holds everything up to here."""
        self.ended = False
        self._frames: deque[peer.WatchResponse] = deque()
        self._frames_max = frames_max
        self._wake = asyncio.Event()

    def offer(self, frame: peer.WatchResponse) -> None:
        """Queues a frame, or drops all of them and says so."""
        if self.ended:
            return
        if len(self._frames) >= self._frames_max:
            self._frames.clear()
            frame = peer.WatchResponse(cursor=frame.cursor, gap=True)
        self._frames.append(frame)
        self._wake.set()

    def end(self, reason: str) -> None:
        """Queues the last frame."""
        if not self.ended:
            self._frames.append(peer.WatchResponse(detach=reason))
            self.ended = True
            self._wake.set()

    def skip_to_end(self) -> None:
        """Drops what is queued before the end: it has no snapshot to follow upon."""
        assert self.ended, "only what has an end can be skipped to it"
        while len(self._frames) > 1:
            self._frames.popleft()

    async def frames(self) -> AsyncIterator[peer.WatchResponse]:
        """Frames as they come; ends after a `detach`."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                yield frame
                if frame.WhichOneof("kind") == "detach":
                    return
            self._wake.clear()
            await self._wake.wait()


class _Subject:
    """One watched key. The ring holds frames `first + 1` to `n`."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.first = n
        self.ring: deque[tuple[float, peer.WatchResponse]] = deque()
        self.watchers: dict[Watcher, None] = {}
        """In order of attachment."""

    def drop_until(self, moment: float, frames_max: int) -> None:
        """Drops frames of before a moment, and the oldest of too many."""
        while self.ring and (self.ring[0][0] < moment or len(self.ring) > frames_max):
            self.ring.popleft()
            self.first += 1


class Watches:
    """All live views of one partition within one epoch."""

    def __init__(
        self, *, ring_max: int = RING_FRAMES_MAX, queue_max: int = QUEUE_FRAMES_MAX, idle_max: int = IDLE_KEYS_MAX,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._ring_max = ring_max
        self._queue_max = queue_max
        self._idle_max = idle_max
        self._monotonic = monotonic
        self._epoch = 0
        self._subjects: dict[str, _Subject] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()
        self._forgotten_n = 0
        """No key that was forgotten had a frame above this: new ones begin above it, so no old cursor fits them."""
        self._watchers = 0

    @property
    def open(self) -> int:
        """How many are being read."""
        return self._watchers

    def begin(self, epoch: int, reason: str) -> None:
        """Ends every watch of the epoch before, for this reason, and starts a new one."""
        for subject in self._subjects.values():
            for watcher in subject.watchers:
                watcher.end(reason)
        self._subjects.clear()
        self._idle.clear()
        self._forgotten_n = 0
        self._epoch = epoch

    def attach(self, key: str, user_id: str, basis: str, cursor: peer.WatchCursor | None) -> tuple[Watcher, bool]:
        """A watcher that misses nothing from now on, and whether it goes on where its cursor stands.

        Raises `EngineRefused` when there are too many.
        """
        if self._watchers >= WATCHERS_MAX:
            raise EngineRefused(OVERLOADED)
        subject = self._subjects.get(key)
        if subject is None:
            subject = self._subjects[key] = _Subject(self._forgotten_n + 1)
        self._idle.pop(key, None)
        subject.drop_until(self._monotonic() - RING_SECONDS_MAX, self._ring_max)
        watcher = Watcher(key, user_id, basis, self._queue_max)
        watcher.start = peer.WatchCursor(epoch=self._epoch, n=subject.n)
        subject.watchers[watcher] = None
        self._watchers += 1
        if cursor is None or cursor.epoch != self._epoch or not subject.first <= cursor.n <= subject.n:
            return watcher, False
        for _, frame in list(subject.ring)[cursor.n - subject.first :]:
            watcher.offer(frame)
        return watcher, True

    def leave(self, watcher: Watcher) -> None:
        """Ends a watch from its reader's side."""
        self._watchers -= 1
        subject = self._subjects.get(watcher.key)
        if subject is None:
            return
        subject.watchers.pop(watcher, None)
        self._rest(watcher.key, subject)

    def show(self, key: str, hint: bytes, trace_parent: str = "") -> None:
        """Shows a change to everybody who watches the key, or may come back to it: these without the trace."""
        subject = self._subjects.get(key)
        if subject is None:
            return
        subject.n += 1
        frame = peer.WatchResponse(cursor=peer.WatchCursor(epoch=self._epoch, n=subject.n), hint=hint)
        now = self._monotonic()
        subject.ring.append((now, frame))
        subject.drop_until(now - RING_SECONDS_MAX, self._ring_max)
        if trace_parent:
            frame = peer.WatchResponse(cursor=frame.cursor, hint=hint, trace_parent=trace_parent)
        for watcher in subject.watchers:
            watcher.offer(frame)

    def detach(self, detach: Detach) -> None:
        """Ends the watches that lost their right."""
        subject = self._subjects.get(detach.key)
        if subject is None:
            return
        for watcher in [w for w in subject.watchers if _matches(detach, w)]:
            watcher.end(detach.reason)
            subject.watchers.pop(watcher, None)
        self._rest(detach.key, subject)

    def _rest(self, key: str, subject: _Subject) -> None:
        """Keeps a key without watchers for a while; the ones longest without are forgotten."""
        if subject.watchers or self._subjects.get(key) is not subject:
            return
        self._idle[key] = None
        self._idle.move_to_end(key)
        while len(self._idle) > self._idle_max:
            oldest, _ = self._idle.popitem(last=False)
            self._forgotten_n = max(self._forgotten_n, self._subjects.pop(oldest).n)


def _matches(detach: Detach, watcher: Watcher) -> bool:
    return (not detach.user_id or detach.user_id == watcher.user_id) and (
        not detach.basis or detach.basis == watcher.basis
    )
