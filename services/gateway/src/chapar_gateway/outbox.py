"""What waits to be written to one subscription, and how much may: bookkeeping without I/O, clocks or waiting.

Frames that count (changes of the inbox, presence) are queued only within the credit that Ack gives back. Beyond it
nothing queues: changes of the inbox become one Gap, and of each user only the latest presence is kept. Control frames
(Hello, heartbeats, drains) are free; they are few by construction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from chapar.gateway.v1 import gateway_pb2 as api

CREDIT_FRAMES_MAX = 256
CREDIT_BYTES_MAX = 256 * 1024
STALL_MS_MAX = 30_000
"""Without progress for so long, a subscription ends."""


class Outbox:
    """The frames of one subscription, numbered densely in the order in which they will be written."""

    def __init__(self, *, frames_max: int = CREDIT_FRAMES_MAX, bytes_max: int = CREDIT_BYTES_MAX) -> None:
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self._last_frame = 0
        self._queue: deque[bytes] = deque()
        self._unacknowledged: deque[tuple[int, int]] = deque()
        """(frame, bytes) of what counts and was not acknowledged, in order."""
        self._unacknowledged_bytes = 0
        self._missed: api.InboxCursor | None = None
        """Where the inbox stands after what was dropped."""
        self._gap = False
        self._latest: dict[str, api.SubscribeResponse] = {}
        self._full_since_ms: int | None = None
        self._queued_since_ms: int | None = None

    @property
    def full(self) -> bool:
        """Whether the credit is used up. The last frame may overdraw it."""
        return len(self._unacknowledged) >= self._frames_max or self._unacknowledged_bytes >= self._bytes_max

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._queue

    def offer_control(self, frame: api.SubscribeResponse, now_ms: int) -> None:
        """Queues a frame that needs no credit."""
        self._enqueue(frame, now_ms, counts=False)

    def offer_inbox(self, frame: api.SubscribeResponse, now_ms: int) -> None:
        """Queues a reset, an event or a gap of the inbox, or folds it into the one pending Gap."""
        if self.full or self._gap:
            self._gap = True
            if frame.HasField("cursor"):
                self._missed = frame.cursor
        else:
            self._enqueue(frame, now_ms, counts=True)

    def offer_presence(self, user_id: str, frame: api.SubscribeResponse, now_ms: int) -> None:
        """Queues what is known of a user's presence, or keeps it as the latest."""
        if self.full:
            self._latest[user_id] = frame
        else:
            self._enqueue(frame, now_ms, counts=True)

    def keep_presence(self, user_ids: Collection[str]) -> None:
        """Drops what is kept of all users but these: nobody wants it any more."""
        for user_id in self._latest.keys() - user_ids:
            del self._latest[user_id]

    def acknowledge(self, frame: int, now_ms: int) -> None:
        """Takes back the credit of all written frames up to `frame`, and queues what was held back for want of it.

        What still waits here cannot have been taken in, whatever a client says: the credit bounds the queue.
        """
        progressed = False
        last = min(frame, self._last_frame - len(self._queue))
        while self._unacknowledged and self._unacknowledged[0][0] <= last:
            self._unacknowledged_bytes -= self._unacknowledged.popleft()[1]
            progressed = True
        if progressed:
            self._full_since_ms = now_ms if self.full else None
        self._release(now_ms)

    def pop(self, now_ms: int) -> bytes | None:
        """The next frame to write, serialised; None when there is none."""
        if not self._queue:
            return None
        data = self._queue.popleft()
        self._queued_since_ms = now_ms if self._queue else None
        return data

    def stalled(self, now_ms: int) -> bool:
        """Whether there was no progress for too long: no Ack while full, or nothing written while frames wait."""
        since = [at for at in (self._full_since_ms, self._queued_since_ms) if at is not None]
        return bool(since) and now_ms - min(since) >= STALL_MS_MAX

    def _release(self, now_ms: int) -> None:
        if self._gap and not self.full:
            self._gap = False
            gap = api.SubscribeResponse(gap=api.Gap())
            if self._missed is not None:
                gap.cursor.CopyFrom(self._missed)
                self._missed = None
            self._enqueue(gap, now_ms, counts=True)
        while self._latest and not self.full:
            user_id = next(iter(self._latest))
            self._enqueue(self._latest.pop(user_id), now_ms, counts=True)

    def _enqueue(self, frame: api.SubscribeResponse, now_ms: int, *, counts: bool) -> None:
        self._last_frame += 1
        frame.frame = self._last_frame
        data = frame.SerializeToString()
        self._queue.append(data)
        if self._queued_since_ms is None:
            self._queued_since_ms = now_ms
        if not counts:
            return
        self._unacknowledged.append((self._last_frame, len(data)))
        self._unacknowledged_bytes += len(data)
        if self.full:
            self._full_since_ms = now_ms
