"""What other services are told: that money arrived, once a transfer, by the partition of the payee."""

from __future__ import annotations

from chapar.payments.events.v1 import events_pb2 as events
from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import When

TOPIC = "payments.events.v1"


def public_event(event: journal.Event, _when: When) -> tuple[str, events.Event] | None:
    """The public event of a journal event that credits a payee; None for all others."""
    match event.WhichOneof("kind"):
        case "transferred":
            return TOPIC, _completed(event.transferred)
        case "transfer_received":
            return TOPIC, _completed(event.transfer_received)
    return None


def _completed(body: journal.Transferred | journal.TransferReceived) -> events.Event:
    return events.Event(
        transfer_completed=events.TransferCompleted(
            transfer_id=body.transfer_id,
            payer_user_id=body.payer_user_id,
            payee_user_id=body.payee_user_id,
            amount_rials=body.amount_rials,
        )
    )
