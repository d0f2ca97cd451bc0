"""What people read of messages and of each other."""

from __future__ import annotations

from pathlib import Path

from client_fakes import FakeGateway, session

from chapar.identity.v1 import identity_pb2 as identity
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.cli._people import Names
from chapar_client.sdk import Client, StateStore
from chapar_client.terminal import FSI, PDI

NAMES = {"sara": "سارا احمدی", "ali": "علی رضایی"}


async def test_names_on_a_payment_card_are_isolated_each(gateway: FakeGateway, tmp_path: Path) -> None:
    async def who(request, _metadata):
        return identity.GetUserResponse(user_id=request.user_id, name=NAMES[request.user_id])

    gateway.answers["GetUser"] = who
    state = StateStore(tmp_path)
    await state.open_session(session())
    card = messaging.PaymentCard(payer_user_id="sara", payee_user_id="ali", amount_rials=125_000)
    async with Client(gateway.address, state) as client:
        shown = await Names(client).content(messaging.Message(payment_card=card), "  ")
    assert shown == f"{FSI}{NAMES['sara']}{PDI} paid {FSI}{NAMES['ali']}{PDI} 12,500 toman"
