from __future__ import annotations

import pytest

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.payments.events.v1 import events_pb2 as payments
from chapar_messaging.publishing import TOPIC, public_event
from chapar_messaging.reactors.payment_cards import PaymentCards
from chapar_sourcing.domain import When
from chapar_sourcing.positions import Position
from chapar_sourcing.reactions import Source, Submit

from .play import ARASH, BAHAR, CYRUS, DIRECT, GROUP, MemoryView, Play, add, create_group, leave, remove, send

SOURCE = Source("payments.events.v1", 3, Position(7, 0), 1_000)


async def test_a_completed_transfer_becomes_a_card_made_once() -> None:
    transfer = payments.TransferCompleted(
        transfer_id="t1", payer_user_id=BAHAR, payee_user_id=ARASH, amount_rials=250_000
    )
    sent = await PaymentCards().react(payments.Event(transfer_completed=transfer), SOURCE, MemoryView())
    card = journal.PostPaymentCard(
        conversation_id=DIRECT, transfer_id="t1", payer_user_id=BAHAR, payee_user_id=ARASH, amount_rials=250_000
    )
    assert sent == [Submit(key=DIRECT, command=journal.Command(post_payment_card=card), creation=True)]


async def test_other_events_of_payments_become_nothing() -> None:
    assert await PaymentCards().react(payments.Event(), SOURCE, MemoryView()) == []


def told(play: Play) -> list[tuple[str, str, bool, int]]:
    published = [public_event(event, When(source.time_ms)) for event, source in play.events]
    changes = [one[1].membership_changed for one in published if one is not None and one[0] == TOPIC]
    return [(c.conversation_id, c.user_id, c.member, c.change_sequence) for c in changes]


def test_others_are_told_of_both_members_when_a_direct_conversation_opens() -> None:
    play = Play().given(send(BAHAR), send(ARASH))
    assert told(play) == [(DIRECT, ARASH, True, 1), (DIRECT, BAHAR, True, 2)]


def test_others_are_told_of_each_coming_and_going() -> None:
    play = Play().given(
        create_group(others=[BAHAR]), add(ARASH, CYRUS), leave(BAHAR), remove(ARASH, CYRUS), add(ARASH, BAHAR)
    )
    assert told(play) == [
        (GROUP, ARASH, True, 1),
        (GROUP, BAHAR, True, 2),
        (GROUP, CYRUS, True, 3),
        (GROUP, BAHAR, False, 4),
        (GROUP, CYRUS, False, 5),
        (GROUP, BAHAR, True, 6),
    ]


@pytest.mark.parametrize(
    "field", ["conversation_opened", "member_role_changed", "message_sent", "message_deleted", "read_cursor_moved"]
)
def test_nothing_else_is_public(field: str) -> None:
    event = journal.Event()
    getattr(event, field).SetInParent()
    assert public_event(event, When(1)) is None
