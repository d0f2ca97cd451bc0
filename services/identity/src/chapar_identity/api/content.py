"""What personal fields of a user are sealed to: the same text is needed to open them."""

from __future__ import annotations

from chapar_identity.domain.content import Content
from chapar_sourcing.sealing import Sealer


def bound_to_user_phone(user_id: str) -> str:
    """A user's phone."""
    return f"user/{user_id}/phone"


def bound_to_name(user_id: str) -> str:
    """A user's name."""
    return f"user/{user_id}/name"


def bound_to_device(user_id: str, session_id: str) -> str:
    """What a session's device is called."""
    return f"user/{user_id}/session/{session_id}"


async def opened(sealer: Sealer, content: Content | None, bound_to: str) -> str:
    """Sealed text; empty when there is none or its key was destroyed."""
    if content is None:
        return ""
    found = await sealer.open(content.sealed(), bound_to)
    return "" if found is None else found.decode()
