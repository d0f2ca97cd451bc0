"""Sealed content of messaging: who it belongs to, what it is bound to, and how it is shown when it was erased."""

from __future__ import annotations

from chapar.messaging.v1 import messaging_pb2 as api
from chapar.sourcing.journal.v1 import journal_pb2 as sourcing
from chapar_messaging.domain.messages.documents import Card, StoredMessage, text_bound_to
from chapar_sourcing.sealing import Sealer


async def seal_text(sealer: Sealer, conversation_id: str, sender: str, message_id: bytes, text: str) -> sourcing.Sealed:
    """A text under its sender's key."""
    return await sealer.seal(sender, text_bound_to(conversation_id, message_id), text.encode())


async def seal_title(sealer: Sealer, conversation_id: str, title: str) -> sourcing.Sealed:
    """A title under its conversation's key."""
    return await sealer.seal(conversation_id, _title_bound_to(conversation_id), title.encode())


async def open_title(sealer: Sealer, conversation_id: str, title: bytes) -> str:
    """A title; empty where there is none or it was erased."""
    if not title:
        return ""
    content = await sealer.open(sourcing.Sealed.FromString(title), _title_bound_to(conversation_id))
    return content.decode() if content is not None else ""


async def shown_message(
    sealer: Sealer, conversation_id: str, sequence: int, stored: StoredMessage, *, reply_to_deleted: bool
) -> api.Message:
    """A message as history and live events show it: with its text or card, or that it was deleted or erased."""
    shown = api.Message(
        conversation_id=conversation_id,
        sequence=sequence,
        sender_user_id=stored.sender_user_id,
        create_time_ms=stored.create_time_ms,
        reply_to_sequence=stored.reply_to_sequence,
        reply_to_deleted=reply_to_deleted,
    )
    if stored.deleted:
        shown.deleted = True
        return shown
    if stored.card is not None:
        shown.payment_card.CopyFrom(_shown_card(stored.sender_user_id, stored.card))
        return shown
    bound_to = text_bound_to(conversation_id, stored.message_id)
    content = await sealer.open(sourcing.Sealed.FromString(stored.text), bound_to)
    if content is None:
        shown.erased = True
    else:
        shown.text = content.decode()
    return shown


def _shown_card(payer_user_id: str, card: Card) -> api.PaymentCard:
    return api.PaymentCard(
        transfer_id=card.transfer_id,
        payer_user_id=payer_user_id,
        payee_user_id=card.payee_user_id,
        amount_rials=card.amount_rials,
    )


def _title_bound_to(conversation_id: str) -> str:
    return f"title/{conversation_id}"
