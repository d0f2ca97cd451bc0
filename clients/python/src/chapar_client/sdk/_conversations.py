"""Ids of conversations: direct ones follow from the pair, groups are named by their creator's client."""

from __future__ import annotations

import secrets
from collections.abc import Callable


def direct_conversation_id(one_user_id: str, other_user_id: str) -> str:
    """The id of the conversation of two people, the same from both ends."""
    lower, higher = sorted((one_user_id, other_user_id))
    return f"d.{lower}.{higher}"


def new_group_id(creator_user_id: str, randomness: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """An id that nobody else can make."""
    return f"g.{creator_user_id}.{randomness(16).hex()}"


def other_member(conversation_id: str, user_id: str) -> str | None:
    """The other side of a direct conversation, or None for a group."""
    parts = conversation_id.split(".")
    if parts[0] != "d" or len(parts) != 3:
        return None
    return parts[2] if parts[1] == user_id else parts[1]
