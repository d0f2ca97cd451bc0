"""What deciding about a group reads: its head, who asks, and who it is about."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar_messaging.domain.conversations.documents import conversation_key, member_key
from chapar_sourcing.domain import Key


def needs_of_create_group(command: journal.CreateGroup) -> Sequence[Key]:
    """The head alone: where there is none, there are no members."""
    return [conversation_key(command.conversation_id)]


def needs_about_member(command: journal.AddMember | journal.RemoveMember | journal.SetMemberRole) -> Sequence[Key]:
    """Head, asker and subject; asker and subject may be one."""
    keys = [
        conversation_key(command.conversation_id),
        member_key(command.conversation_id, command.actor_user_id),
        member_key(command.conversation_id, command.user_id),
    ]
    return list(dict.fromkeys(keys))


def needs_of_leave_group(command: journal.LeaveGroup) -> Sequence[Key]:
    """Head and leaver."""
    return [
        conversation_key(command.conversation_id),
        member_key(command.conversation_id, command.user_id),
    ]
