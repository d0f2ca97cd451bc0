"""Who may come into a group, go out of it and say so.

The order of the checks in each rule is the documented precedence of reasons. All that is about a group that exists
begins with `_standing`: CONVERSATION_UNKNOWN, then NOT_A_GROUP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.messaging.v1 import messaging_pb2 as api
from chapar_messaging.domain import reasons
from chapar_messaging.domain.conversations.documents import (
    GROUP_MEMBERS_MAX,
    Conversation,
    Member,
    conversation_in,
    is_group,
    is_manager,
    member_in,
)
from chapar_sourcing.domain import Documents, Refused

Decision = Sequence[journal.Event] | Refused


def create_group(documents: Documents, command: journal.CreateGroup) -> Decision:
    """GROUP_EXISTS. The creator is the owner; the others are plain members."""
    if conversation_in(documents, command.conversation_id) is not None:
        return Refused(reasons.GROUP_EXISTS)
    opened = journal.ConversationOpened(
        conversation_id=command.conversation_id, kind=api.CONVERSATION_KIND_GROUP, title=command.title
    )
    people = [(command.creator_user_id, api.ROLE_OWNER)]
    people += [(user_id, api.ROLE_MEMBER) for user_id in command.member_user_ids]
    return [
        journal.Event(conversation_opened=opened),
        *(
            added(command.conversation_id, user_id, role, change, 1, command.creator_user_id)
            for change, (user_id, role) in enumerate(people, start=1)
        ),
    ]


def add_member(documents: Documents, command: journal.AddMember) -> Decision:
    """CONVERSATION_UNKNOWN, NOT_A_GROUP, ROLE_TOO_LOW, ALREADY_MEMBER, GROUP_FULL. They see what comes from now on."""
    standing = _standing(documents, command.conversation_id, command.actor_user_id)
    if isinstance(standing, Refused):
        return standing
    group = standing.group
    if not is_manager(standing.asker):
        return Refused(reasons.ROLE_TOO_LOW)
    if member_in(documents, command.conversation_id, command.user_id) is not None:
        return Refused(reasons.ALREADY_MEMBER)
    if group.member_count >= GROUP_MEMBERS_MAX:
        return Refused(reasons.GROUP_FULL, {"members_max": str(GROUP_MEMBERS_MAX)})
    change, first_visible = group.change_sequence + 1, group.message_sequence + 1
    return [
        added(
            command.conversation_id, command.user_id, api.ROLE_MEMBER, change, first_visible, command.actor_user_id
        )
    ]  # fmt: skip


def remove_member(documents: Documents, command: journal.RemoveMember) -> Decision:
    """CONVERSATION_UNKNOWN, NOT_A_GROUP, ROLE_TOO_LOW (plain members), NOT_A_MEMBER, ROLE_TOO_LOW (towards the same
    role or a higher one; so nobody removes themselves)."""
    standing = _standing(documents, command.conversation_id, command.actor_user_id)
    if isinstance(standing, Refused):
        return standing
    if not is_manager(standing.asker):
        return Refused(reasons.ROLE_TOO_LOW)
    member = member_in(documents, command.conversation_id, command.user_id)
    if member is None:
        return Refused(reasons.NOT_A_MEMBER)
    if member.role >= standing.asker.role:
        return Refused(reasons.ROLE_TOO_LOW)
    return [_removed(command.conversation_id, command.user_id, standing.group, command.actor_user_id)]


def set_member_role(documents: Documents, command: journal.SetMemberRole) -> Decision:
    """CONVERSATION_UNKNOWN, NOT_A_GROUP, ROLE_TOO_LOW, NOT_A_MEMBER, OWNER_MUST_HAND_OVER (their own role).

    The role that somebody has already changes nothing. A new owner makes the old one an admin.
    """
    standing = _standing(documents, command.conversation_id, command.actor_user_id)
    if isinstance(standing, Refused):
        return standing
    if standing.asker.role != api.ROLE_OWNER:
        return Refused(reasons.ROLE_TOO_LOW)
    member = member_in(documents, command.conversation_id, command.user_id)
    if member is None:
        return Refused(reasons.NOT_A_MEMBER)
    if member.role == command.role:
        return []
    if command.user_id == command.actor_user_id:
        return Refused(reasons.OWNER_MUST_HAND_OVER)
    changes = [(command.user_id, command.role)]
    if command.role == api.ROLE_OWNER:
        changes.append((command.actor_user_id, api.ROLE_ADMIN))
    first = standing.group.change_sequence + 1
    return [
        _role_changed(command.conversation_id, user_id, role, change, command.actor_user_id)
        for change, (user_id, role) in enumerate(changes, start=first)
    ]


def leave_group(documents: Documents, command: journal.LeaveGroup) -> Decision:
    """CONVERSATION_UNKNOWN, NOT_A_GROUP, OWNER_MUST_HAND_OVER (unless nobody else is left)."""
    standing = _standing(documents, command.conversation_id, command.user_id)
    if isinstance(standing, Refused):
        return standing
    if standing.asker.role == api.ROLE_OWNER and standing.group.member_count > 1:
        return Refused(reasons.OWNER_MUST_HAND_OVER)
    return [_removed(command.conversation_id, command.user_id, standing.group, command.user_id)]


@dataclass(frozen=True, slots=True)
class _Standing:
    """A group and the member who asks something of it."""

    group: Conversation
    asker: Member


def _standing(documents: Documents, conversation_id: str, user_id: str) -> _Standing | Refused:
    conversation = conversation_in(documents, conversation_id)
    asker = member_in(documents, conversation_id, user_id)
    if conversation is None or asker is None:
        return Refused(reasons.CONVERSATION_UNKNOWN)
    if not is_group(conversation):
        return Refused(reasons.NOT_A_GROUP)
    return _Standing(conversation, asker)


def added(
    conversation_id: str, user_id: str, role: api.Role.ValueType, change: int, first_visible: int, actor_user_id: str
) -> journal.Event:
    """The event of somebody coming in; also of direct conversations."""
    return journal.Event(
        member_added=journal.MemberAdded(
            conversation_id=conversation_id,
            user_id=user_id,
            role=role,
            change_sequence=change,
            first_visible_sequence=first_visible,
            actor_user_id=actor_user_id,
        )
    )


def _removed(conversation_id: str, user_id: str, group: Conversation, actor_user_id: str) -> journal.Event:
    return journal.Event(
        member_removed=journal.MemberRemoved(
            conversation_id=conversation_id,
            user_id=user_id,
            change_sequence=group.change_sequence + 1,
            actor_user_id=actor_user_id,
        )
    )


def _role_changed(
    conversation_id: str, user_id: str, role: api.Role.ValueType, change: int, actor_user_id: str
) -> journal.Event:
    return journal.Event(
        member_role_changed=journal.MemberRoleChanged(
            conversation_id=conversation_id,
            user_id=user_id,
            role=role,
            change_sequence=change,
            actor_user_id=actor_user_id,
        )
    )
