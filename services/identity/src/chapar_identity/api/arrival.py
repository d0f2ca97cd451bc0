"""Waiting for a session that a sign-in has just opened: a reactor carries it to the user's partition within moments."""

from __future__ import annotations

import re

from chapar_chassis.api import Caller
from chapar_identity.domain.sessions.documents import Sessions, sessions_key
from chapar_sourcing.domain import Document
from chapar_sourcing.refusing import UNAVAILABLE, EngineRefused
from chapar_sourcing.requests import request_time_ms
from chapar_sourcing.view import View

ARRIVAL_WAIT_MS = 2_000
YOUNG_MS = 60_000
"""An older session has arrived or never will: its absence is no reason to wait."""

_SESSION_ID = re.compile(r"[0-9a-f]{32}")


def is_session_id(text: str) -> bool:
    """Whether this could be a session's id."""
    return _SESSION_ID.fullmatch(text) is not None


async def await_session(view: View, caller: Caller, user_id: str, session_id: str) -> None:
    """Waits for a young session, at most two seconds. Raises `EngineRefused` where it is on its way still: whoever were
    told that it has ended would sign out. That says nothing of what there is, and is told at once."""
    if not is_session_id(session_id) or view.now_ms - request_time_ms(bytes.fromhex(session_id)) > YOUNG_MS:
        return

    def has_arrived(document: Document | None) -> bool:
        return isinstance(document, Sessions) and document.has_seen(session_id)

    deadline_ms = min(view.now_ms + ARRIVAL_WAIT_MS, caller.deadline_ms)
    try:
        await view.wait_until(sessions_key(user_id), has_arrived, deadline_ms=deadline_ms)
    except TimeoutError:
        raise EngineRefused(UNAVAILABLE) from None
