"""Reads of membership facts: is this user in that conversation, as far as presence knows?

Facts arrive through a stream, a moment after messaging has answered. Whoever asks right after joining would be told no,
so an answer waits a little for a fact that says yes.
"""

from __future__ import annotations

from chapar_presence.domain.documents import Membership, membership_key
from chapar_sourcing.domain import Document
from chapar_sourcing.view import View

FACT_WAIT_MS = 1_500
"""How long a no waits for the fact that may be on its way."""


async def is_member(view: View, user_id: str, conversation_id: str, *, wait_ms: int = FACT_WAIT_MS) -> bool:
    """Whether the newest fact says that the user is in the conversation, now or within the wait."""
    key = membership_key(user_id, conversation_id)
    if _says_yes((await view.get(key)).get(key)):
        return True
    try:
        await view.wait_until(key, _says_yes, deadline_ms=view.now_ms + wait_ms)
    except TimeoutError:
        return False
    return True


def _says_yes(document: Document | None) -> bool:
    return isinstance(document, Membership) and document.member
