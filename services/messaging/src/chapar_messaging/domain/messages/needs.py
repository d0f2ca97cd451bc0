"""What deciding about a message reads."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.sourcing.journal.v1 import journal_pb2 as sourcing
from chapar_messaging.domain.conversations.documents import conversation_key, member_key
from chapar_messaging.domain.messages.deletions import deletions_key
from chapar_messaging.domain.messages.documents import message_key
from chapar_messaging.ids import Direct, parse_conversation_id
from chapar_sourcing.creations import creation_key
from chapar_sourcing.domain import Key


def needs_of_send_message(command: journal.SendMessage) -> Sequence[Key]:
    """Head, sender, the other one of a direct conversation, and the message replied to."""
    keys = [conversation_key(command.conversation_id)]
    keys += (
        member_key(command.conversation_id, user_id)
        for user_id in _people(command.conversation_id, command.sender_user_id)
    )
    if command.reply_to_sequence > 0:
        keys.append(message_key(command.conversation_id, command.reply_to_sequence))
    return keys


def needs_of_delete_message(command: journal.DeleteMessage) -> Sequence[Key]:
    """Head, asker, the message and its block of deletions."""
    return [
        conversation_key(command.conversation_id),
        member_key(command.conversation_id, command.actor_user_id),
        message_key(command.conversation_id, command.sequence),
        deletions_key(command.conversation_id, command.sequence),
    ]


def needs_of_post_payment_card(command: journal.PostPaymentCard, creation: sourcing.Creation) -> Sequence[Key]:
    """The mark of its source, the head, payer and payee."""
    return [
        creation_key(creation),
        conversation_key(command.conversation_id),
        member_key(command.conversation_id, command.payer_user_id),
        member_key(command.conversation_id, command.payee_user_id),
    ]


def _people(conversation_id: str, sender_user_id: str) -> Sequence[str]:
    form = parse_conversation_id(conversation_id)
    return form.user_ids if isinstance(form, Direct) else (sender_user_id,)
