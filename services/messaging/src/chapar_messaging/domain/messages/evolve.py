"""What events make of messages."""

from __future__ import annotations

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar_messaging.domain.messages.documents import Card, StoredMessage
from chapar_sourcing.domain import When


def evolve_message(message: StoredMessage | None, event: journal.Event, when: When) -> StoredMessage:
    """A message after an event about it."""
    match event.WhichOneof("kind"):
        case "message_sent":
            assert message is None
            return _of_text(event.message_sent, when)
        case "payment_card_posted":
            assert message is None
            return _of_card(event.payment_card_posted, when)
        case "message_deleted":
            assert message is not None
            return _without_text(message)
        case kind:
            raise AssertionError(f"{kind} does not touch a message")


def _of_text(sent: journal.MessageSent, when: When) -> StoredMessage:
    return StoredMessage(
        sender_user_id=sent.sender_user_id,
        create_time_ms=when.time_ms,
        message_id=sent.message_id,
        text=sent.text.SerializeToString(),
        reply_to_sequence=sent.reply_to_sequence,
    )


def _of_card(posted: journal.PaymentCardPosted, when: When) -> StoredMessage:
    return StoredMessage(
        sender_user_id=posted.payer_user_id,
        create_time_ms=when.time_ms,
        card=Card(posted.transfer_id, posted.payee_user_id, posted.amount_rials),
    )


def _without_text(message: StoredMessage) -> StoredMessage:
    assert message.text
    return StoredMessage(message.sender_user_id, message.create_time_ms, deleted=True)
