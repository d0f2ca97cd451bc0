"""What events make of a conversation's head and of its members.

Assertions here are the other half of the rules: an event that does not fit its document is a bug, and stops the fold.
"""

from __future__ import annotations

from msgspec.structs import replace

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar_messaging.domain.conversations.documents import Conversation, Member
from chapar_sourcing.domain import When


def evolve_conversation(head: Conversation | None, event: journal.Event, when: When) -> Conversation:
    """The head after an event of its conversation."""
    match event.WhichOneof("kind"):
        case "conversation_opened":
            assert head is None
            opened = event.conversation_opened
            title = opened.title.SerializeToString() if opened.HasField("title") else b""
            return Conversation(kind=opened.kind, open_time_ms=when.time_ms, title=title)
        case "member_added":
            return _changed(head, event.member_added.change_sequence, members=1)
        case "member_removed":
            return _changed(head, event.member_removed.change_sequence, members=-1)
        case "member_role_changed":
            return _changed(head, event.member_role_changed.change_sequence, members=0)
        case "message_deleted":
            return _changed(head, event.message_deleted.change_sequence, members=0)
        case "message_sent":
            return _grown(head, event.message_sent.sequence)
        case "payment_card_posted":
            return _grown(head, event.payment_card_posted.sequence)
        case kind:
            raise AssertionError(f"{kind} does not touch a conversation")


def evolve_member(member: Member | None, event: journal.Event, when: When) -> Member | None:
    """A member after an event about them; None once they are out."""
    match event.WhichOneof("kind"):
        case "member_added":
            assert member is None
            added = event.member_added
            return Member(
                role=added.role,
                first_visible_sequence=added.first_visible_sequence,
                join_time_ms=when.time_ms,
            )
        case "member_removed":
            assert member is not None
            return None
        case "member_role_changed":
            assert member is not None
            return replace(member, role=event.member_role_changed.role)
        case kind:
            raise AssertionError(f"{kind} does not touch a member")


def _changed(head: Conversation | None, change_sequence: int, *, members: int) -> Conversation:
    assert head is not None
    assert change_sequence == head.change_sequence + 1
    assert head.member_count + members >= 0
    return replace(head, change_sequence=change_sequence, member_count=head.member_count + members)


def _grown(head: Conversation | None, sequence: int) -> Conversation:
    assert head is not None
    assert sequence == head.message_sequence + 1
    return replace(head, message_sequence=sequence)
