"""Leases of one partition's users: soft state, by whatever clock the caller reads.

Renewals, ends and the passing of time flow in; out come changes: who has come and who is departing. What is here is
lost with the process; what was announced is in the journal. A user is present while any gateway holds a lease for them;
the grace after the last one is the journal's, where a timer ends it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Change:
    """What has to be announced."""

    user_id: str
    present: bool
    last_seen_ms: int
    """When the last lease ended; 0 for somebody who is present."""


@dataclass(slots=True)
class _User:
    leases: dict[str, int] = field(default_factory=dict)
    """By gateway: when its lease runs out."""
    announced: bool = False
    ended_ms: int = 0
    """When the last lease ended, where there is none."""
    awaited_until_ms: int = 0
    """After a restart: how long a renewal is waited for, where there is no lease."""
    look_at_ms: int = -1
    """When time alone changes something; -1 when it is not in the queue."""


class Leases:
    """Who holds a lease for whom."""

    def __init__(self) -> None:
        self._users: dict[str, _User] = {}
        self._queue: list[tuple[int, str]] = []
        self._changed: dict[str, None] = {}
        """Users to be announced, in order of their change."""

    def __len__(self) -> int:
        return len(self._users)

    def recover(self, user_ids: Iterable[str], lease_ms: int, now_ms: int) -> None:
        """Takes in whom the documents say is present, after a restart: as if their leases had ended now, but with
        time for one more renewal."""
        for user_id in user_ids:
            user = self._users.setdefault(user_id, _User())
            user.announced = True
            user.ended_ms = now_ms
            user.awaited_until_ms = now_ms + lease_ms
            self._settle(user_id, user, now_ms)

    def renew(self, gateway_id: str, lease_ms: int, user_ids: Iterable[str], now_ms: int) -> None:
        """A gateway holds these users online until the lease runs out or it says otherwise."""
        for user_id in user_ids:
            user = self._users.setdefault(user_id, _User())
            user.leases[gateway_id] = now_ms + lease_ms
            self._settle(user_id, user, now_ms)

    def end(self, gateway_id: str, user_ids: Iterable[str], now_ms: int) -> None:
        """A gateway has no session of these users any more; leases of others hold on."""
        for user_id in user_ids:
            user = self._users.get(user_id)
            if user is not None and gateway_id in user.leases:
                user.leases[gateway_id] = min(user.leases[gateway_id], now_ms)
                self._settle(user_id, user, now_ms)

    def changes(self, now_ms: int, limit: int = 500) -> Sequence[Change]:
        """What has to be announced now, oldest first. The same again until it is confirmed or no longer true."""
        while self._queue and self._queue[0][0] <= now_ms:
            look_at_ms, user_id = heapq.heappop(self._queue)
            user = self._users.get(user_id)
            if user is not None and user.look_at_ms == look_at_ms:
                user.look_at_ms = -1
                self._settle(user_id, user, now_ms)
        found: list[Change] = []
        for user_id in self._changed:
            if len(found) == limit:
                break
            user = self._users[user_id]
            present = not user.announced
            found.append(Change(user_id, present, 0 if present else user.ended_ms))
        return found

    def confirm(self, change: Change, now_ms: int) -> None:
        """A change is in the journal."""
        user = self._users.setdefault(change.user_id, _User(ended_ms=now_ms))
        user.announced = change.present
        self._settle(change.user_id, user, now_ms)

    def next_ms(self) -> int | None:
        """When time alone may bring a change; None for never."""
        return self._queue[0][0] if self._queue else None

    def _settle(self, user_id: str, user: _User, now_ms: int) -> None:
        """Lets leases run out, compares what is to be with what was announced, and says when to look again."""
        ended = [until for until in user.leases.values() if until <= now_ms]
        if ended:
            user.leases = {gateway: until for gateway, until in user.leases.items() if until > now_ms}
            user.ended_ms = max(ended)
            user.awaited_until_ms = 0
        present = bool(user.leases) or user.awaited_until_ms > now_ms
        if present != user.announced:
            self._changed.setdefault(user_id)
        else:
            self._changed.pop(user_id, None)
        if present:
            self._look_again(user_id, user)
        elif not user.announced:
            del self._users[user_id]

    def _look_again(self, user_id: str, user: _User) -> None:
        """Queues a look at the user, once, at or before the next moment that matters."""
        at_ms = max(user.leases.values()) if user.leases else user.awaited_until_ms
        if user.look_at_ms == -1 or at_ms < user.look_at_ms:
            user.look_at_ms = at_ms
            heapq.heappush(self._queue, (at_ms, user_id))
