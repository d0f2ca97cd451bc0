"""What an event changes."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.presence.journal.v1 import journal_pb2 as journal
from chapar_presence.domain.documents import (
    Membership,
    OnlineMark,
    UserPresence,
    membership_key,
    online_key,
    presence_key,
)
from chapar_sourcing.domain import Document, Key, When


def touches(event: journal.Event) -> Sequence[Key]:
    """The documents an event changes."""
    match event.WhichOneof("kind"):
        case "came_online":
            return [presence_key(event.came_online.user_id), online_key(event.came_online.user_id)]
        case "went_offline":
            return [presence_key(event.went_offline.user_id), online_key(event.went_offline.user_id)]
        case "membership_recorded":
            fact = event.membership_recorded
            return [membership_key(fact.user_id, fact.conversation_id)]
        case _:
            raise ValueError("an event without a kind")


def evolve(key: Key, event: journal.Event, when: When) -> Document | None:
    """One document after the event; nothing of the document before it remains."""
    match event.WhichOneof("kind"), key.kind:
        case "came_online", "presence":
            return UserPresence(online=True)
        case "came_online", "online":
            return OnlineMark(when.time_ms)
        case "went_offline", "presence":
            return UserPresence(online=False, last_seen_ms=event.went_offline.last_seen_time_ms)
        case "went_offline", "online":
            return None
        case "membership_recorded", "membership":
            return Membership(event.membership_recorded.member, event.membership_recorded.change_sequence)
        case kind, _:
            raise ValueError(f"{kind!r} does not change documents of kind {key.kind!r}")
