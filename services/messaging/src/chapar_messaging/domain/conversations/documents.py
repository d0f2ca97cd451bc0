"""A conversation's head and its members, as deciding needs them."""

from __future__ import annotations

from chapar.messaging.v1 import messaging_pb2 as api
from chapar_sourcing.domain import Document, Documents, Key

CONVERSATION_KIND = "conversation"
MEMBER_KIND = "member"

GROUP_MEMBERS_MAX = 500
GROUP_MEMBERS_AT_START_MAX = 100
"""Beside the creator."""


class Conversation(Document, frozen=True, array_like=True):
    """The head of a conversation: its two dense sequences and how many are in it."""

    kind: int
    """A value of `ConversationKind`."""
    open_time_ms: int
    title: bytes = b""
    """Serialised `Sealed`; empty on a direct conversation."""
    member_count: int = 0
    message_sequence: int = 0
    """Number of the newest message; 0 before the first."""
    change_sequence: int = 0
    """Number of the newest change of membership, roles or messages that were there; 0 before the first."""


class Member(Document, frozen=True, array_like=True):
    """Somebody who is in a conversation now; those who went out have no document."""

    role: int
    """A value of `Role`."""
    first_visible_sequence: int
    """Messages below it are not theirs to see."""
    join_time_ms: int


def conversation_key(conversation_id: str) -> Key:
    """Where a conversation's head is."""
    return Key(CONVERSATION_KIND, conversation_id)


def member_key(conversation_id: str, user_id: str) -> Key:
    """Where a member is."""
    return Key(MEMBER_KIND, conversation_id, user_id)


def conversation_in(documents: Documents, conversation_id: str) -> Conversation | None:
    """The head among documents, if there is one."""
    found = documents.get(conversation_key(conversation_id))
    assert found is None or isinstance(found, Conversation)
    return found


def member_in(documents: Documents, conversation_id: str, user_id: str) -> Member | None:
    """The member among documents, if they are in."""
    found = documents.get(member_key(conversation_id, user_id))
    assert found is None or isinstance(found, Member)
    return found


def is_group(conversation: Conversation) -> bool:
    """Whether people come and go in it."""
    return conversation.kind == api.CONVERSATION_KIND_GROUP


def is_manager(member: Member) -> bool:
    """Whether they look after others in a group; in a direct conversation nobody does."""
    return member.role in (api.ROLE_ADMIN, api.ROLE_OWNER)
