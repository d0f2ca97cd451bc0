"""What an event changes."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.presence.journal.v1 import journal_pb2 as journal
from chapar_presence.domain.documents import (
    Membership,
    OnlineMark,
    UserPresence,
    forget_key,
    membership_key,
    offline_key,
    online_key,
    presence_key,
)
from chapar_sourcing.domain import Document, Key, When
from chapar_sourcing.timers import Timer


def touches(event: journal.Event) -> Sequence[Key]:
    """The documents an event changes."""
    match event.WhichOneof("kind"):
        case "came_online":
            came = event.came_online
            cancelled = [forget_key(came.user_id, came.forget_time_ms)] if came.forget_time_ms else []
            return [presence_key(came.user_id), online_key(came.user_id), *cancelled]
        case "departure_began":
            began = event.departure_began
            timer = offline_key(began.user_id, began.offline_time_ms)
            return [presence_key(began.user_id), online_key(began.user_id), timer]
        case "departure_cancelled":
            back = event.departure_cancelled
            timer = offline_key(back.user_id, back.offline_time_ms)
            return [presence_key(back.user_id), online_key(back.user_id), timer]
        case "went_offline":
            gone = event.went_offline
            done = [offline_key(gone.user_id, gone.offline_time_ms)] if gone.offline_time_ms else []
            forgets = [forget_key(gone.user_id, gone.forget_time_ms)] if gone.forget_time_ms else []
            return [presence_key(gone.user_id), online_key(gone.user_id), *done, *forgets]
        case "departure_forgotten":
            forgotten = event.departure_forgotten
            return [presence_key(forgotten.user_id), forget_key(forgotten.user_id, forgotten.forget_time_ms)]
        case "membership_recorded":
            fact = event.membership_recorded
            return [membership_key(fact.user_id, fact.conversation_id)]
        case _:
            raise ValueError("an event without a kind")


def evolve(key: Key, document: Document | None, event: journal.Event, when: When) -> Document | None:
    """One document after the event."""
    match event.WhichOneof("kind"), key.kind:
        case "came_online", "presence":
            return UserPresence(online=True)
        case "came_online", "online":
            return OnlineMark(when.time_ms)
        case "departure_began", "presence":
            return UserPresence(online=True, offline_at_ms=event.departure_began.offline_time_ms)
        case "departure_began", "online":
            return OnlineMark(_since_ms(document), departing=True)
        case "departure_began", "timer":
            return Timer(str(event.departure_began.last_seen_time_ms).encode())
        case "departure_cancelled", "presence":
            return UserPresence(online=True)
        case "departure_cancelled", "online":
            return OnlineMark(_since_ms(document))
        case "went_offline", "presence":
            gone = event.went_offline
            return UserPresence(online=False, last_seen_ms=gone.last_seen_time_ms, forget_at_ms=gone.forget_time_ms)
        case "went_offline", "timer":
            gone = event.went_offline
            return Timer() if key == forget_key(gone.user_id, gone.forget_time_ms) else None
        case ("went_offline", "online") | ("departure_forgotten", "presence"):
            return None
        case (("came_online" | "departure_cancelled" | "departure_forgotten"), "timer"):
            return None
        case "membership_recorded", "membership":
            return Membership(event.membership_recorded.member, event.membership_recorded.change_sequence)
        case kind, _:
            raise ValueError(f"{kind!r} does not change documents of kind {key.kind!r}")


def _since_ms(document: Document | None) -> int:
    if not isinstance(document, OnlineMark):
        raise ValueError("somebody departs who is not online")
    return document.since_ms
