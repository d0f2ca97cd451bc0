"""Completed transfers of payments to cards in the direct conversation of payer and payee, each exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.message import Message as ProtoMessage

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.payments.events.v1 import events_pb2 as payments
from chapar_messaging.ids import direct_conversation_id
from chapar_sourcing.reactions import Source, Submit
from chapar_sourcing.view import View


class PaymentCards:
    """The reaction to the public events of payments."""

    name: Final = "payment_cards"
    topic: Final = "payments.events.v1"
    event_type: Final = payments.Event

    async def react(self, event: ProtoMessage, source: Source, view: View) -> Sequence[Submit]:
        """The card of a completed transfer; the engine adds the creation that makes it happen once."""
        assert isinstance(event, payments.Event)
        if event.WhichOneof("kind") != "transfer_completed":
            return []
        transfer = event.transfer_completed
        conversation_id = direct_conversation_id(transfer.payer_user_id, transfer.payee_user_id)
        card = journal.PostPaymentCard(
            conversation_id=conversation_id,
            transfer_id=transfer.transfer_id,
            payer_user_id=transfer.payer_user_id,
            payee_user_id=transfer.payee_user_id,
            amount_rials=transfer.amount_rials,
        )
        return [Submit(key=conversation_id, command=journal.Command(post_payment_card=card), creation=True)]
