"""What a due timer does."""

from __future__ import annotations

from chapar.presence.journal.v1 import journal_pb2 as journal
from chapar_presence.domain.documents import FORGET, OFFLINE
from chapar_sourcing.timers import DueTimer


def due(timer: DueTimer) -> journal.Command:
    """The command that a due timer makes."""
    about, _, user_id = timer.subject.partition("/")
    match about:
        case "offline":
            gone = journal.GoOffline(
                user_id=user_id, last_seen_time_ms=int(timer.payload), offline_time_ms=timer.due_ms
            )
            return journal.Command(go_offline=gone)
        case "forget":
            forget = journal.ForgetDeparture(user_id=user_id, forget_time_ms=timer.due_ms)
            return journal.Command(forget_departure=forget)
        case _:
            raise ValueError(f"a timer about {about!r}, not {OFFLINE!r} or {FORGET!r}")
