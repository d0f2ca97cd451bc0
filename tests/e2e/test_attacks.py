"""An enemy with a client of their own making: what they try gets them nothing, and others notice nothing."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from chapar.gateway.v1 import gateway_pb2 as gateway
from chapar.identity.v1 import identity_pb2 as identity
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar.options.v1 import options_pb2 as options
from chapar.payments.v1 import payments_pb2 as payments
from chapar_client.demo import Person, Stage, eventually
from chapar_client.sdk import new_request_id
from tests.e2e.kit import E2E, Outcome, Status, bearer, raw_call, state_of

pytestmark = E2E

IDENTITY = "/chapar.identity.v1.IdentityService/"
MESSAGING = "/chapar.messaging.v1.MessagingService/"
PAYMENTS = "/chapar.payments.v1.PaymentsService/"
CONFIG = "/chapar.gateway.v1.GatewayService/GetConfig"
TRANSFER, WALLET, SEND = f"{PAYMENTS}Transfer", f"{PAYMENTS}GetWallet", f"{MESSAGING}SendMessage"
POSITION = "chapar-position-bin"
MEBIBYTE = 1024 * 1024


def fresh_id() -> str:
    return new_request_id(int(time.time() * 1000))


async def call(stage: Stage, path: str, request: Message, *, who: Person | None = None) -> Outcome:
    metadata = () if who is None else await bearer(who)
    return await raw_call(stage.up.gateway_address, path, request.SerializeToString(), metadata)


def counted(outcomes: Iterable[Outcome]) -> Counter[str]:
    return Counter(outcome.reason or outcome.status.name for outcome in outcomes)


# ---- sign-in and tokens


async def test_guessing_at_once_gives_no_more_tries_than_one_after_the_other(stage: Stage) -> None:
    phone = stage.new_phone()
    started = await call(
        stage, f"{IDENTITY}StartSignIn", identity.StartSignInRequest(request_id=fresh_id(), phone=phone)
    )
    challenge_id = identity.StartSignInResponse.FromString(started.answer).challenge_id
    code = await stage.code_for(phone)

    async def guess(digits: str) -> Outcome:
        request = identity.CompleteSignInRequest(
            request_id=fresh_id(), challenge_id=challenge_id, code=digits, device="d"
        )
        return await call(stage, f"{IDENTITY}CompleteSignIn", request)

    wrong = [digits for digits in (f"{n:06d}" for n in range(31)) if digits != code][:30]
    outcomes = await asyncio.gather(*map(guess, wrong))
    assert counted(outcomes) == {"REASON_CODE_WRONG": 4, "REASON_CHALLENGE_EXHAUSTED": 26}
    assert (await guess(code)).reason == "REASON_CHALLENGE_EXHAUSTED"


async def test_a_stolen_refresh_token_used_at_once_by_many_ends_the_session_for_all(stage: Stage) -> None:
    victim = await stage.person("قربانی")
    session = await victim.client.session()

    async def refresh(token: str) -> Outcome:
        request = identity.RefreshTokensRequest(request_id=fresh_id(), refresh_token=token)
        return await call(stage, f"{IDENTITY}RefreshTokens", request)

    outcomes = await asyncio.gather(*(refresh(session.refresh_token) for _ in range(8)))
    assert counted(outcomes) == {
        "OK": 1, "REASON_REFRESH_TOKEN_REUSED": 1, "REASON_REFRESH_TOKEN_INVALID": 6,
    }  # fmt: skip
    winner = identity.RefreshTokensResponse.FromString(
        next(outcome.answer for outcome in outcomes if outcome.status is Status.OK)
    ).tokens
    assert (await refresh(winner.refresh_token)).reason == "REASON_REFRESH_TOKEN_INVALID"
    for token in (winner.access_token, session.access_token):
        metadata = (("authorization", f"Bearer {token}"),)

        async def is_refused(metadata: tuple[tuple[str, str], ...] = metadata) -> bool:
            outcome = await raw_call(stage.up.gateway_address, WALLET, b"", metadata)
            return outcome.reason == "REASON_SESSION_REVOKED"

        await eventually(is_refused, "the gateway to know that the session has ended")


async def test_a_revoked_session_is_refused_on_every_method_it_could_call(stage: Stage) -> None:
    thief = await stage.person("دزد")
    metadata, session = await bearer(thief), await thief.client.session()
    await thief.client.identity.revoke_session(session.session_id)

    async def is_refused() -> bool:
        return (await raw_call(stage.up.gateway_address, WALLET, b"", metadata)).reason == "REASON_SESSION_REVOKED"

    await eventually(is_refused, "the gateway to know that the session has ended")
    for path in paths(options.AUDIENCE_SESSION):
        outcome = await raw_call(stage.up.gateway_address, path, b"", metadata)
        assert (outcome.status, outcome.reason) == (Status.UNAUTHENTICATED, "REASON_SESSION_REVOKED"), path


# ---- bytes


def methods() -> list[MethodDescriptor]:
    return [
        method
        for file in (gateway, identity, messaging, payments)
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


def paths(*audiences: int) -> list[str]:
    return [
        f"/{method.containing_service.full_name}/{method.name}"
        for method in methods()
        if method.GetOptions().Extensions[options.method].audience in audiences
    ]


def rubbish(rng: random.Random) -> bytes:
    """Bytes that are no request, or one that nobody would make."""
    nested = b""
    for _ in range(100):
        nested = b"\x12" + bytes([min(len(nested), 127)]) + nested[:127]
    every_type = b"".join(
        bytes([field << 3 | kind]) + value
        for field in range(1, 9)
        for kind, value in ((0, b"\xff" * 9 + b"\x01"), (1, b"\xff" * 8), (2, b"\x01\x00"), (5, b"\xff" * 4))
    )
    lone_surrogate, overlong = b"\x0a\x03\xed\xa0\x80", b"\x0a\x02\xc0\x80"
    groups, endless = b"\x0b" * 5_000, b"\x0a\xff\xff\xff\xff\x0f"
    return rng.choice([rng.randbytes(100), nested, every_type, lone_surrogate, overlong, groups, endless])


async def test_no_bytes_break_a_method_or_make_it_say_more_than_a_reason(stage: Stage) -> None:
    enemy, rng = await stage.person("دشمن"), random.Random(1404)
    metadata = await bearer(enemy)
    before = await state_of(enemy)
    for path in paths(options.AUDIENCE_PUBLIC, options.AUDIENCE_SESSION):
        if path.endswith("/Subscribe"):
            continue
        for _ in range(6):
            content = rubbish(rng)
            outcome = await raw_call(stage.up.gateway_address, path, content, metadata)
            what = (path, content, outcome)
            assert outcome.status not in (Status.INTERNAL, Status.UNKNOWN), what
            assert outcome.status is Status.OK or outcome.reason.startswith("REASON_"), what
    assert await state_of(enemy) == before


async def test_a_small_message_that_unpacks_to_a_large_one_is_refused_unread(stage: Stage) -> None:
    before = resident_bytes(stage.up.pid("gateway"))
    options_ = (("grpc.max_send_message_length", -1), ("grpc.http2.bdp_probe", 0))
    async with grpc.aio.insecure_channel(stage.up.gateway_address, options=options_) as channel:
        packed: Any = channel.unary_unary(CONFIG)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await packed(bytes(32 * MEBIBYTE), compression=grpc.Compression.Gzip, timeout=30)
    assert caught.value.code() is Status.RESOURCE_EXHAUSTED
    assert resident_bytes(stage.up.pid("gateway")) - before < 16 * MEBIBYTE


def resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


async def test_places_of_others_and_invented_places_are_not_believed(stage: Stage) -> None:
    """Otherwise a forged position would make an owner say for ever that somebody else owns its partition."""
    enemy, other = await stage.person("دشمن"), await stage.person("دیگری")
    theirs, own = await position_of(stage, other), await position_of(stage, enemy)
    ahead = own[:8] + (2**62).to_bytes(8, "big") + own[16:]
    for position in (theirs, ahead, secrets.token_bytes(32), b"", b"x" * 1_000):
        metadata = (*await bearer(enemy), (POSITION, position))
        outcome = await raw_call(stage.up.gateway_address, WALLET, b"", metadata)  # type: ignore[arg-type]
        assert outcome.status is Status.OK, position


async def position_of(stage: Stage, person: Person) -> bytes:
    async with grpc.aio.insecure_channel(stage.up.gateway_address) as channel:
        method: Any = channel.unary_unary(WALLET)
        wallet = method(b"", metadata=await bearer(person), timeout=10)
        await wallet
        return bytes(next(value for name, value in await wallet.trailing_metadata() if name == POSITION))


# ---- money and other people's things


async def test_the_same_money_spent_at_once_on_many_is_spent_once(stage: Stage) -> None:
    payer, *payees = [await stage.person(name) for name in ("ولخرج", "یک", "دو", "سه")]
    await stage.cash_in(payer, 1_000)

    async def pay(n: int) -> Outcome:
        request = payments.TransferRequest(
            request_id=fresh_id(), payee_user_id=payees[n % len(payees)].user_id, amount_rials=900
        )
        return await call(stage, TRANSFER, request, who=payer)

    outcomes = await asyncio.gather(*(pay(n) for n in range(24)))
    assert counted(outcomes) == {"OK": 1, "REASON_FUNDS_INSUFFICIENT": 23}

    async def has_arrived() -> bool:
        balances = [(await person.client.payments.get_wallet()).balance_rials for person in payees]
        return sorted(balances) == [0, 0, 900]

    await eventually(has_arrived, "the money to arrive once")
    assert (await payer.client.payments.get_wallet()).balance_rials == 100


async def test_somebody_elses_request_id_is_just_another_id(stage: Stage) -> None:
    payer, payee, enemy = [await stage.person(name) for name in ("پرداز", "گیر", "دشمن")]
    await stage.cash_in(payer, 1_000)
    request = payments.TransferRequest(request_id=fresh_id(), payee_user_id=payee.user_id, amount_rials=300)
    paid = await call(stage, TRANSFER, request, who=payer)
    assert paid.status is Status.OK
    assert (await call(stage, TRANSFER, request, who=enemy)).reason == "REASON_FUNDS_INSUFFICIENT"
    assert (await call(stage, TRANSFER, request, who=payer)).answer == paid.answer
    assert (await payer.client.payments.get_wallet()).balance_rials == 700


async def test_a_stranger_learns_nobodys_presence_by_naming_conversations(stage: Stage) -> None:
    one, two, enemy = [await stage.person(name) for name in ("یک", "دو", "دشمن")]
    await one.say(one.with_(two), "سلام")
    two.read()
    named = [one.with_(two), enemy.with_(two), f"g.{one.user_id}.{secrets.token_hex(16)}", two.user_id]
    interests = [gateway.PresenceInterest(conversation_id=name, user_id=two.user_id) for name in named]
    for kinds in await asyncio.gather(*(shown(stage, enemy, interest) for interest in interests)):
        assert Counter(kinds) == {"hello": 1, "presence_ended": 1, "reset": 1}


async def shown(stage: Stage, person: Person, interest: gateway.PresenceInterest) -> list[str | None]:
    """The kinds of frames that a person gets until the gateway gives their interest up."""
    async with grpc.aio.insecure_channel(stage.up.gateway_address) as channel:
        subscribe: Any = channel.unary_stream(
            "/chapar.gateway.v1.GatewayService/Subscribe", response_deserializer=gateway.SubscribeResponse.FromString
        )
        request = gateway.SubscribeRequest(presence_interests=[interest]).SerializeToString()
        frames = subscribe(request, metadata=await bearer(person))
        kinds: list[str | None] = []
        while "presence_ended" not in kinds or "reset" not in kinds:
            kinds.append((await asyncio.wait_for(frames.read(), 30)).WhichOneof("kind"))
        frames.cancel()
        return kinds


# ---- what is left behind


async def test_nothing_that_people_wrote_stands_in_clear_in_any_file_or_log(stage: Stage) -> None:
    marks = {what: secrets.token_hex(12) for what in ("name", "text", "title", "memo", "device")}
    phone = stage.new_phone()
    one = await stage.person(marks["name"], phone=phone, device=marks["device"])
    two = await stage.person("دیگری")
    await one.say(one.with_(two), marks["text"])
    await one.client.messaging.create_group(marks["title"], [two.user_id])
    await stage.cash_in(one, 1_000)
    request = payments.TransferRequest(
        request_id=fresh_id(), payee_user_id=two.user_id, amount_rials=1, memo=marks["memo"]
    )
    assert (await call(stage, TRANSFER, request, who=one)).status is Status.OK
    session = await one.client.session()
    clear = {**marks, "phone": phone[1:], "access": session.access_token, "refresh": session.refresh_token}
    files = [path for path in stage.data_dir.rglob("*") if path.is_file() and "secrets" not in path.parts]
    assert any(path.name == "journal.db" for path in files)
    for path in files:
        content = path.read_bytes()
        assert [what for what, said in clear.items() if said.encode() in content] == [], path
    for line in stage.lines:
        if line.event != "sign_in_code":
            assert [what for what, said in clear.items() if said in line.text] == []
