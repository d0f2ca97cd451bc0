"""What other services are told: who came online, and who went offline when."""

from __future__ import annotations

from chapar.presence.events.v1 import events_pb2 as events
from chapar.presence.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import When

TOPIC = "presence.events.v1"


def public_event(event: journal.Event, _when: When) -> tuple[str, events.Event] | None:
    """The public event of a journal event; None for what others need not know."""
    match event.WhichOneof("kind"):
        case "came_online":
            return TOPIC, events.Event(came_online=events.CameOnline(user_id=event.came_online.user_id))
        case "went_offline":
            gone = event.went_offline
            shown = events.WentOffline(user_id=gone.user_id, last_seen_time_ms=gone.last_seen_time_ms)
            return TOPIC, events.Event(went_offline=shown)
    return None
