"""Live views of presence: who may watch whom, and what they are shown.

The key is the watched user. The basis is a conversation: the gateway has asked at the watcher's own partition whether
the watcher is in it; here it is asked whether the watched user is. Without a basis one may only watch oneself. A watch
ends when the watched user leaves the conversation it rests on.
"""

from __future__ import annotations

from collections.abc import Sequence

from chapar.presence.journal.v1 import journal_pb2 as journal
from chapar.presence.v1.presence_pb2 import Presence
from chapar_chassis.api import WatchRule
from chapar_presence.domain.documents import UserPresence, presence_key
from chapar_presence.memberships import is_member
from chapar_sourcing.hosting import Detach
from chapar_sourcing.view import View

LEFT = "MEMBERSHIP_ENDED"
"""Why a watch ends."""


def watch_rule() -> WatchRule:
    """The rule as the chassis wants it."""
    return WatchRule(authorise=authorise, snapshot=snapshot, hints_of=hints_of, detaches_of=detaches_of)


async def authorise(key: str, user_id: str, basis: str, view: View) -> bool:
    """Whether `user_id` may watch `key` because both are in the conversation `basis`."""
    if not basis:
        return bool(user_id) and user_id == key
    return await is_member(view, key, basis)


async def snapshot(key: str, view: View) -> bytes:
    """A user's presence, serialised."""
    document_key = presence_key(key)
    document = (await view.get(document_key)).get(document_key)
    known = document if isinstance(document, UserPresence) else UserPresence(online=False)
    return _bytes(Presence(user_id=key, online=known.online, last_seen_time_ms=known.last_seen_ms))


def hints_of(event: journal.Event, _time_ms: int) -> Sequence[tuple[str, bytes]]:
    """What watchers of a user are shown of an event: the presence after it."""
    match event.WhichOneof("kind"):
        case "came_online":
            user_id = event.came_online.user_id
            return [(user_id, _bytes(Presence(user_id=user_id, online=True)))]
        case "went_offline":
            gone = event.went_offline
            shown = Presence(user_id=gone.user_id, online=False, last_seen_time_ms=gone.last_seen_time_ms)
            return [(gone.user_id, _bytes(shown))]
        case "departure_forgotten":
            user_id = event.departure_forgotten.user_id
            return [(user_id, _bytes(Presence(user_id=user_id)))]
    return ()


def detaches_of(event: journal.Event, _time_ms: int) -> Sequence[Detach]:
    """Who may no longer watch: those whose basis the watched user has left."""
    if event.WhichOneof("kind") != "membership_recorded" or event.membership_recorded.member:
        return ()
    fact = event.membership_recorded
    return [Detach(key=fact.user_id, basis=fact.conversation_id, reason=LEFT)]


def _bytes(presence: Presence) -> bytes:
    return bytes(presence.SerializeToString())
