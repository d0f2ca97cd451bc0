"""The rules of messaging, assembled: pure functions over documents, no waiting, no clock, no chance.

Each folder is one kind of thing with what deciding about it `needs`, `decide`s, and what events `evolve`. Commands
about conversations and messages are decided at the conversation's partition, those about read cursors at the user's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar_messaging.domain.conversations import decide as conversations
from chapar_messaging.domain.conversations.documents import (
    CONVERSATION_KIND,
    MEMBER_KIND,
    Conversation,
    Member,
    conversation_key,
    member_key,
)
from chapar_messaging.domain.conversations.evolve import evolve_conversation, evolve_member
from chapar_messaging.domain.conversations.needs import needs_about_member, needs_of_create_group, needs_of_leave_group
from chapar_messaging.domain.erasures.decide import erase_content
from chapar_messaging.domain.messages import decide as messages
from chapar_messaging.domain.messages.deletions import DELETIONS_KIND, Deletions, deletions_key, evolve_deletions
from chapar_messaging.domain.messages.documents import MESSAGE_KIND, StoredMessage, message_key
from chapar_messaging.domain.messages.evolve import evolve_message
from chapar_messaging.domain.messages.needs import (
    needs_of_delete_message,
    needs_of_post_payment_card,
    needs_of_send_message,
)
from chapar_messaging.domain.read_cursors import decide as read_cursors
from chapar_messaging.domain.read_cursors.documents import READ_CURSOR_KIND, ReadCursor, read_cursor_key
from chapar_messaging.domain.read_cursors.evolve import evolve_read_cursor
from chapar_messaging.domain.read_cursors.needs import needs_of_mark_read
from chapar_sourcing.creations import CREATION_KIND, CreationMark, creation_key, moved
from chapar_sourcing.domain import Document, Documents, Key, Refused, When
from chapar_sourcing.erasures import ERASURE_KIND, ErasureMark, erasure_key, marked

DOCUMENT_TYPES: Final[Mapping[str, type[Document]]] = {
    CONVERSATION_KIND: Conversation,
    MEMBER_KIND: Member,
    MESSAGE_KIND: StoredMessage,
    DELETIONS_KIND: Deletions,
    READ_CURSOR_KIND: ReadCursor,
    CREATION_KIND: CreationMark,
    ERASURE_KIND: ErasureMark,
}


class MessagingDomain:
    """`chapar_sourcing.domain.Domain` for messaging."""

    service: Final = "messaging"
    command_type: Final = journal.Command
    event_type: Final = journal.Event
    documents: Final = DOCUMENT_TYPES
    journals_refusals: Final = False
    keeps_answers: Final = False

    def needs(self, command: journal.Command) -> Sequence[Key]:
        """The documents that deciding reads."""
        match command.WhichOneof("kind"):
            case "send_message":
                return needs_of_send_message(command.send_message)
            case "delete_message":
                return needs_of_delete_message(command.delete_message)
            case "post_payment_card":
                return needs_of_post_payment_card(command.post_payment_card, command.creation)
            case "create_group":
                return needs_of_create_group(command.create_group)
            case "add_member":
                return needs_about_member(command.add_member)
            case "remove_member":
                return needs_about_member(command.remove_member)
            case "set_member_role":
                return needs_about_member(command.set_member_role)
            case "leave_group":
                return needs_of_leave_group(command.leave_group)
            case "mark_read":
                return needs_of_mark_read(command.mark_read)
            case "erase_content":
                return [erasure_key(command.erase_content.user_id)]
            case kind:
                raise AssertionError(f"{kind} is no command")

    def decide(self, documents: Documents, command: journal.Command, now_ms: int) -> Sequence[journal.Event] | Refused:
        """Validates, then says what happens."""
        match command.WhichOneof("kind"):
            case "send_message":
                return messages.send_message(documents, command.send_message)
            case "delete_message":
                return messages.delete_message(documents, command.delete_message)
            case "post_payment_card":
                return messages.post_payment_card(documents, command.post_payment_card, command.creation)
            case "create_group":
                return conversations.create_group(documents, command.create_group)
            case "add_member":
                return conversations.add_member(documents, command.add_member)
            case "remove_member":
                return conversations.remove_member(documents, command.remove_member)
            case "set_member_role":
                return conversations.set_member_role(documents, command.set_member_role)
            case "leave_group":
                return conversations.leave_group(documents, command.leave_group)
            case "mark_read":
                return read_cursors.mark_read(documents, command.mark_read)
            case "erase_content":
                return erase_content(documents, command.erase_content)
            case kind:
                raise AssertionError(f"{kind} is no command")

    def touches(self, event: journal.Event) -> Sequence[Key]:
        """The documents that an event changes."""
        match event.WhichOneof("kind"):
            case "conversation_opened":
                return [conversation_key(event.conversation_opened.conversation_id)]
            case "member_added":
                return _of_member(event.member_added)
            case "member_removed":
                return _of_member(event.member_removed)
            case "member_role_changed":
                return _of_member(event.member_role_changed)
            case "message_sent":
                return _of_message(event.message_sent)
            case "payment_card_posted":
                posted = event.payment_card_posted
                return [*_of_message(posted), creation_key(posted.creation)]
            case "message_deleted":
                deleted = event.message_deleted
                return [*_of_message(deleted), deletions_key(deleted.conversation_id, deleted.sequence)]
            case "read_cursor_moved":
                cursor = event.read_cursor_moved
                return [read_cursor_key(cursor.user_id, cursor.conversation_id)]
            case "content_erased":
                return [erasure_key(event.content_erased.erasure.subject)]
            case kind:
                raise AssertionError(f"{kind} is no event")

    def evolve(self, key: Key, document: Document | None, event: journal.Event, when: When) -> Document | None:
        """One document after the event."""
        match key.kind, document:
            case "conversation", Conversation() | None:
                return evolve_conversation(document, event, when)
            case "member", Member() | None:
                return evolve_member(document, event, when)
            case "message", StoredMessage() | None:
                return evolve_message(document, event, when)
            case "deletions", Deletions() | None:
                return evolve_deletions(document, event)
            case "read_cursor", ReadCursor() | None:
                return evolve_read_cursor(document, event)
            case "creation", _:
                return moved(event.payment_card_posted.creation)
            case "erasure", _:
                return marked(event.content_erased.erasure)
            case _:
                raise AssertionError(f"{key} does not hold a {type(document).__name__}")


def _of_member(event: journal.MemberAdded | journal.MemberRemoved | journal.MemberRoleChanged) -> Sequence[Key]:
    return [conversation_key(event.conversation_id), member_key(event.conversation_id, event.user_id)]


def _of_message(event: journal.MessageSent | journal.PaymentCardPosted | journal.MessageDeleted) -> Sequence[Key]:
    return [conversation_key(event.conversation_id), message_key(event.conversation_id, event.sequence)]
