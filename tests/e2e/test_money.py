"""Payments: wallets, transfers over partitions, cards, statements, operators."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar.payments.v1 import payments_pb2 as payments
from chapar_client.demo import Person, Stage, eventually
from chapar_client.sdk import OperatorClient, new_request_id
from tests.e2e.kit import E2E, Status, refused

pytestmark = E2E


async def balance(person: Person) -> int:
    return (await person.client.payments.get_wallet()).balance_rials


def cards(person: Person, room: str) -> list[messaging.PaymentCard]:
    return [message.payment_card for message in person.messages(room) if message.HasField("payment_card")]


async def carded(person: Person, room: str) -> None:
    await person.until(lambda: cards(person, room), "a card")


async def holds(person: Person, rials: int) -> None:
    async def so() -> bool:
        return await balance(person) == rials

    await eventually(so, f"{person.name} holding {rials} rials")


async def test_money_is_brought_in_paid_and_shown_on_a_card_once(stage: Stage) -> None:
    payer, payee = await asyncio.gather(stage.person("پردازنده"), stage.person("گیرنده"))
    for person in (payer, payee):
        await person.read_from_now()
    assert await balance(payer) == 0
    assert await stage.cash_in(payer, 1_000_000) == 1_000_000
    room = payer.with_(payee)
    await payer.say(room, "بفرستم؟")
    paid = await payer.client.payments.transfer(payee.user_id, 400_000, memo="کتاب")
    assert paid.balance_rials == 600_000
    for person in (payer, payee):
        await carded(person, room)
    await payer.say(room, "رسید؟")
    for person in (payer, payee):
        await person.message(room, 3)
        [card] = cards(person, room)
        assert (card.transfer_id, card.amount_rials) == (paid.transfer_id, 400_000)
        assert (card.payer_user_id, card.payee_user_id) == (payer.user_id, payee.user_id)
    await holds(payee, 400_000)
    [line] = [line async for line in payee.client.payments.statement()]
    assert (line.kind, line.amount_rials, line.balance_rials) == (payments.LINE_KIND_RECEIVED, 400_000, 400_000)
    assert (line.counterparty_user_id, line.transfer_id) == (payer.user_id, paid.transfer_id)


async def test_the_card_opens_the_conversation_of_two_who_never_talked(stage: Stage) -> None:
    payer, payee = await asyncio.gather(stage.person("پردازنده"), stage.person("گیرنده"))
    await payee.read_from_now()
    await stage.cash_in(payer, 1_000)
    paid = await payer.client.payments.transfer(payee.user_id, 1_000)
    room = payer.with_(payee)
    await payee.message(room, 1)
    assert [card.transfer_id for card in cards(payee, room)] == [paid.transfer_id]


async def test_the_statement_runs_and_ends_at_the_balance(stage: Stage) -> None:
    payer, payee = await asyncio.gather(stage.person("پردازنده"), stage.person("گیرنده"))
    await stage.cash_in(payer, 10_000)
    for amount in (1_000, 2_000, 3_000):
        await payer.client.payments.transfer(payee.user_id, amount, memo=f"{amount}")
    lines = [line async for line in payer.client.payments.statement()]
    assert [(line.sequence, line.amount_rials, line.balance_rials, line.memo) for line in lines] == [
        (4, -3_000, 4_000, "3000"),
        (3, -2_000, 7_000, "2000"),
        (2, -1_000, 9_000, "1000"),
        (1, 10_000, 10_000, ""),
    ]
    assert lines[-1].kind == payments.LINE_KIND_CASH_IN
    await holds(payee, 6_000)


async def test_many_payments_at_once_among_many_people_keep_every_rial(stage: Stage) -> None:
    people = await asyncio.gather(*(stage.person(f"p{n}") for n in range(6)))
    for person in people:
        await stage.cash_in(person, 100_000)
    pairs = [(payer, payee) for payer in people for payee in people if payer is not payee]
    transfers = (payer.client.payments.transfer(payee.user_id, 700) for payer, payee in pairs for _ in range(3))
    answers = await asyncio.gather(*transfers)
    assert len({answer.transfer_id for answer in answers}) == 90
    for person in people:
        await holds(person, 100_000)
        lines = [line async for line in person.client.payments.statement()]
        assert len(lines) == 31
        running = [(above.balance_rials, above.amount_rials + below.balance_rials) for above, below in pairwise(lines)]
        assert all(after == expected for after, expected in running)


async def test_of_two_payments_that_cannot_both_be_made_one_is_refused(stage: Stage) -> None:
    payer, payee = await asyncio.gather(stage.person("پردازنده"), stage.person("گیرنده"))
    await stage.cash_in(payer, 1_000)
    calls = (payer.client.payments.transfer(payee.user_id, 700) for _ in range(2))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    [refusal] = [answer for answer in answers if isinstance(answer, Exception)]
    assert getattr(refusal, "reason", "") == "REASON_FUNDS_INSUFFICIENT"
    assert await balance(payer) == 300


async def test_operators_need_their_token_and_their_listener(stage: Stage) -> None:
    person = await stage.person("x")
    token = (stage.data_dir / "secrets" / "operator.token").read_text().strip()
    users_token = (await person.client.session()).access_token
    for wrong in ("", "0" * 64, users_token):
        desk = OperatorClient(stage.up.operator_address, wrong)
        await refused(desk.cash_in(person.user_id, 10, "r"), "REASON_OPERATOR_UNKNOWN", Status.UNAUTHENTICATED)
        await desk.close()
    desk = OperatorClient(stage.up.gateway_address, token)
    await refused(desk.cash_in(person.user_id, 10, "r"), "REASON_METHOD_UNKNOWN", Status.UNIMPLEMENTED)
    await desk.close()
    assert await balance(person) == 0


async def test_a_cash_in_repeated_with_its_id_is_booked_once(stage: Stage) -> None:
    person = await stage.person("x")
    request_id = new_request_id(int(time.time() * 1000))
    first, again = [await stage.operator.cash_in(person.user_id, 500, "r", request_id=request_id) for _ in range(2)]
    assert first == again
    await refused(
        stage.operator.cash_in(person.user_id, 501, "r", request_id=request_id),
        "REASON_REQUEST_ID_REUSED",
        Status.ALREADY_EXISTS,
    )
    assert await balance(person) == 500
