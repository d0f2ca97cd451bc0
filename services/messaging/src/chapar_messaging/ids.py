"""The forms of conversation ids. Nothing here asks whether a conversation or a user exists."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

_USER = "[a-z2-7]{26}"
_USER_ID = re.compile(_USER)
_DIRECT_ID = re.compile(rf"d\.({_USER})\.({_USER})")
_GROUP_ID = re.compile(rf"g\.({_USER})\.[0-9a-f]{{32}}")


@dataclass(frozen=True, slots=True)
class Direct:
    """Two people."""

    lower_user_id: str
    higher_user_id: str

    @property
    def user_ids(self) -> tuple[str, str]:
        """Both, in order."""
        return self.lower_user_id, self.higher_user_id


@dataclass(frozen=True, slots=True)
class Group:
    """A group, named after its creator."""

    creator_user_id: str


ConversationForm: TypeAlias = Direct | Group


def parse_conversation_id(text: str) -> ConversationForm | None:
    """What an id names, or None when it is not in its one canonical form."""
    if direct := _DIRECT_ID.fullmatch(text):
        lower, higher = direct.groups()
        return Direct(lower, higher) if lower < higher else None
    if group := _GROUP_ID.fullmatch(text):
        return Group(group.group(1))
    return None


def is_user_id(text: str) -> bool:
    """Whether a text has the form of a user id; only `UserIds` knows whether it is genuine."""
    return _USER_ID.fullmatch(text) is not None


def direct_conversation_id(one_user_id: str, other_user_id: str) -> str:
    """The conversation of two people, the same from both ends. Raises `ValueError` when they are one."""
    if one_user_id == other_user_id:
        raise ValueError("nobody talks to themselves")
    lower, higher = sorted((one_user_id, other_user_id))
    return f"d.{lower}.{higher}"
