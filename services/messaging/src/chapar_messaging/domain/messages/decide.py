"""Who may send what where and the number it gets; who may delete."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.messaging.v1 import messaging_pb2 as api
from chapar.sourcing.journal.v1 import journal_pb2 as sourcing
from chapar_messaging.domain import reasons
from chapar_messaging.domain.conversations.decide import added
from chapar_messaging.domain.conversations.documents import (
    Conversation,
    Member,
    conversation_in,
    is_manager,
    member_in,
)
from chapar_messaging.domain.messages.documents import message_in, message_key
from chapar_messaging.ids import Direct, parse_conversation_id
from chapar_sourcing.creations import HOLE_REASON, Judgement, creation_key, judge
from chapar_sourcing.domain import Documents, Refused

Decision = Sequence[journal.Event] | Refused

JUST_OPENED = Conversation(
    kind=api.CONVERSATION_KIND_DIRECT, open_time_ms=0, member_count=2, message_sequence=0, change_sequence=2
)
"""What `_opening` leaves behind, as far as numbering goes on from it."""


def send_message(documents: Documents, command: journal.SendMessage) -> Decision:
    """CONVERSATION_UNKNOWN, REPLY_TARGET_UNKNOWN. The first text of a direct conversation opens it."""
    conversation = conversation_in(documents, command.conversation_id)
    if conversation is None:
        if not _may_open(command.conversation_id, command.sender_user_id):
            return Refused(reasons.CONVERSATION_UNKNOWN)
        if command.reply_to_sequence != 0:
            return Refused(reasons.REPLY_TARGET_UNKNOWN)
        return [*_opening(command.conversation_id, command.sender_user_id), _sent(command, JUST_OPENED)]
    sender = member_in(documents, command.conversation_id, command.sender_user_id)
    if sender is None:
        return Refused(reasons.CONVERSATION_UNKNOWN)
    if command.reply_to_sequence != 0 and not _sees(documents, sender, command):
        return Refused(reasons.REPLY_TARGET_UNKNOWN)
    return [_sent(command, conversation)]


def post_payment_card(
    documents: Documents, command: journal.PostPaymentCard, creation: sourcing.Creation
) -> Decision:  # fmt: skip
    """CREATION_HOLE. A repeated card changes nothing; the first card or text opens the conversation."""
    match judge(documents.get(creation_key(creation)), creation):
        case Judgement.REPEATED:
            return []
        case Judgement.HOLE:
            return Refused(HOLE_REASON)
        case Judgement.NEXT:
            conversation = conversation_in(documents, command.conversation_id)
            if conversation is None:
                opening = _opening(command.conversation_id, command.payer_user_id)
                return [*opening, _posted(command, creation, JUST_OPENED)]
            return [_posted(command, creation, conversation)]


def delete_message(documents: Documents, command: journal.DeleteMessage) -> Decision:
    """CONVERSATION_UNKNOWN, MESSAGE_UNKNOWN, ROLE_TOO_LOW, CARD_NOT_DELETABLE. What is deleted already stays so."""
    conversation = conversation_in(documents, command.conversation_id)
    asker = member_in(documents, command.conversation_id, command.actor_user_id)
    if conversation is None or asker is None:
        return Refused(reasons.CONVERSATION_UNKNOWN)
    message = message_in(documents, command.conversation_id, command.sequence)
    if message is None or command.sequence < asker.first_visible_sequence:
        return Refused(reasons.MESSAGE_UNKNOWN)
    if message.sender_user_id != command.actor_user_id and not is_manager(asker):
        return Refused(reasons.ROLE_TOO_LOW)
    if message.card is not None:
        return Refused(reasons.CARD_NOT_DELETABLE)
    return [] if message.deleted else [_deleted(command, conversation)]


def _may_open(conversation_id: str, user_id: str) -> bool:
    form = parse_conversation_id(conversation_id)
    return isinstance(form, Direct) and user_id in form.user_ids


def _sees(documents: Documents, member: Member, command: journal.SendMessage) -> bool:
    return (
        command.reply_to_sequence >= member.first_visible_sequence
        and message_key(command.conversation_id, command.reply_to_sequence) in documents
    )


def _opening(conversation_id: str, opener_user_id: str) -> Sequence[journal.Event]:
    form = parse_conversation_id(conversation_id)
    assert isinstance(form, Direct)
    opened = journal.ConversationOpened(conversation_id=conversation_id, kind=api.CONVERSATION_KIND_DIRECT)
    return [
        journal.Event(conversation_opened=opened),
        *(
            added(conversation_id, user_id, api.ROLE_MEMBER, change, 1, opener_user_id)
            for change, user_id in enumerate(form.user_ids, start=1)
        ),
    ]


def _sent(command: journal.SendMessage, conversation: Conversation) -> journal.Event:
    return journal.Event(
        message_sent=journal.MessageSent(
            conversation_id=command.conversation_id,
            sequence=conversation.message_sequence + 1,
            sender_user_id=command.sender_user_id,
            message_id=command.message_id,
            text=command.text,
            reply_to_sequence=command.reply_to_sequence,
            change_sequence=conversation.change_sequence,
        )
    )


def _posted(command: journal.PostPaymentCard, creation: sourcing.Creation, conversation: Conversation) -> journal.Event:
    return journal.Event(
        payment_card_posted=journal.PaymentCardPosted(
            conversation_id=command.conversation_id,
            sequence=conversation.message_sequence + 1,
            transfer_id=command.transfer_id,
            payer_user_id=command.payer_user_id,
            payee_user_id=command.payee_user_id,
            amount_rials=command.amount_rials,
            creation=creation,
            change_sequence=conversation.change_sequence,
        )
    )


def _deleted(command: journal.DeleteMessage, conversation: Conversation) -> journal.Event:
    return journal.Event(
        message_deleted=journal.MessageDeleted(
            conversation_id=command.conversation_id,
            sequence=command.sequence,
            change_sequence=conversation.change_sequence + 1,
            actor_user_id=command.actor_user_id,
        )
    )
