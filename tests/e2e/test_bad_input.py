"""Whatever is wrong gets its documented status and reason, and changes nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from google.protobuf.message import Message

from chapar.gateway.v1 import gateway_pb2 as gateway
from chapar.identity.v1 import identity_pb2 as identity
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar.payments.v1 import payments_pb2 as payments
from chapar_chassis.secrets import Secrets
from chapar_chassis.tokens import AccessTokenSigner
from chapar_client.demo import Person, Stage, eventually
from chapar_client.sdk import direct_conversation_id, new_group_id, new_request_id
from tests.e2e.kit import E2E, Outcome, Status, bearer, raw_call, state_of

pytestmark = E2E

SEND = "/chapar.messaging.v1.MessagingService/SendMessage"
TRANSFER = "/chapar.payments.v1.PaymentsService/Transfer"
WALLET = "/chapar.payments.v1.PaymentsService/GetWallet"
REFRESH = "/chapar.identity.v1.IdentityService/RefreshTokens"

ENGINE, IDENTITY, MESSAGING, PAYMENTS = (f"{name}.chapar" for name in ("gateway", "identity", "messaging", "payments"))

INVENTED_USER = "a" * 26


@dataclass(frozen=True, slots=True)
class World:
    """Two friends with a conversation, a group and some money; and a stranger."""

    stage: Stage
    me: Person
    friend: Person
    stranger: Person
    group: str
    """Of friend and stranger: not mine."""
    mine: str
    """My own group, with the friend."""

    @property
    def room(self) -> str:
        return self.me.with_(self.friend)

    async def raw(self, path: str, content: bytes, *, person: Person | None = None) -> Outcome:
        return await raw_call(self.stage.up.gateway_address, path, content, await bearer(person or self.me))

    async def seen(self) -> list[object]:
        return [await state_of(person) for person in (self.me, self.friend, self.stranger)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(stage: Stage) -> AsyncIterator[World]:
    me, friend, stranger = await asyncio.gather(*(stage.person(name) for name in ("من", "دوست", "غریبه")))
    await me.say(me.with_(friend), "سلام")
    group = await friend.client.messaging.create_group("بی من", [stranger.user_id])
    mine = await me.client.messaging.create_group("با من", [friend.user_id])
    await friend.say(group, "راز")
    await stage.cash_in(me, 10_000)
    world = World(stage, me, friend, stranger, group, mine)
    expected = {me: {world.room: 1, mine: 0}, friend: {world.room: 1, group: 1, mine: 0}, stranger: {group: 1}}

    async def at_rest() -> bool:
        return all([await heads(person) == expected[person] for person in expected])

    await eventually(at_rest, "inboxes to hear of everything")
    yield world


async def heads(person: Person) -> dict[str, int]:
    return {row.conversation_id: row.head_sequence async for row in person.client.messaging.inbox_rows()}


def fresh_id(ahead_ms: int = 0) -> str:
    return new_request_id(int(time.time() * 1000) + ahead_ms)


def path_of(request: Message) -> str:
    name = request.DESCRIPTOR.name.removesuffix("Request")
    service = {"identity": "Identity", "messaging": "Messaging", "payments": "Payments", "gateway": "Gateway"}
    package = request.DESCRIPTOR.file.package
    return f"/{package}.{service[package.split('.')[1]]}Service/{name}"


def requests(world: World) -> dict[str, tuple[Message, Status, str, str]]:
    """By what is wrong: a request of mine, and the status, reason and domain that it gets."""
    bad, missing, exists = Status.INVALID_ARGUMENT, Status.NOT_FOUND, Status.ALREADY_EXISTS
    precondition = Status.FAILED_PRECONDITION
    me, friend, stranger = (person.user_id for person in (world.me, world.friend, world.stranger))

    def send(
        conversation_id: str, text: str = "x", *, request_id: str | None = None, reply_to_sequence: int = 0
    ) -> messaging.SendMessageRequest:
        return messaging.SendMessageRequest(
            request_id=fresh_id() if request_id is None else request_id,
            conversation_id=conversation_id,
            text=text,
            reply_to_sequence=reply_to_sequence,
        )

    def pay(payee: str, amount: int, memo: str = "") -> payments.TransferRequest:
        return payments.TransferRequest(request_id=fresh_id(), payee_user_id=payee, amount_rials=amount, memo=memo)

    def history(conversation_id: str, *, page_size: int = 0, from_sequence: int = 0) -> messaging.ListMessagesRequest:
        return messaging.ListMessagesRequest(
            conversation_id=conversation_id, page_size=page_size, from_sequence=from_sequence
        )

    def create(conversation_id: str, title: str = "t", members: tuple[str, ...] = ()) -> messaging.CreateGroupRequest:
        return messaging.CreateGroupRequest(
            request_id=fresh_id(), conversation_id=conversation_id, title=title, member_user_ids=members
        )

    def delete(conversation_id: str, sequence: int) -> messaging.DeleteMessageRequest:
        return messaging.DeleteMessageRequest(request_id=fresh_id(), conversation_id=conversation_id, sequence=sequence)

    def add(conversation_id: str, user_id: str) -> messaging.AddMemberRequest:
        return messaging.AddMemberRequest(request_id=fresh_id(), conversation_id=conversation_id, user_id=user_id)

    def role(user_id: str, given: messaging.Role.ValueType) -> messaging.SetMemberRoleRequest:
        return messaging.SetMemberRoleRequest(
            request_id=fresh_id(), conversation_id=world.mine, user_id=user_id, role=given
        )

    swapped = ".".join(["d", max(me, friend), min(me, friend)])
    invented = direct_conversation_id(me, INVENTED_USER)
    theirs = direct_conversation_id(friend, stranger)
    username = identity.SetUsernameRequest
    return {
        # Sizes and forms
        "empty text": (send(world.room, ""), bad, "REASON_TEXT_EMPTY", MESSAGING),
        "invisible text": (send(world.room, "\u200b \n"), bad, "REASON_TEXT_EMPTY", MESSAGING),
        "too many characters": (send(world.room, "x" * 4097), bad, "REASON_TEXT_TOO_LONG", MESSAGING),
        "too many bytes": (send(world.room, "👨‍👩‍👧‍👦" * 1400), bad, "REASON_TEXT_TOO_LONG", MESSAGING),
        "an escape sequence": (send(world.room, "\x1b[31mred"), bad, "REASON_TEXT_INVALID", MESSAGING),
        "an empty title": (create(new_group_id(me), ""), bad, "REASON_TITLE_INVALID", MESSAGING),
        "a long title": (create(new_group_id(me), "x" * 129), bad, "REASON_TITLE_INVALID", MESSAGING),
        "too many members": (
            create(new_group_id(me), members=tuple([friend] * 101)), bad, "REASON_TOO_MANY_MEMBERS", MESSAGING,
        ),
        "a long memo": (pay(friend, 1, "x" * 129), bad, "REASON_MEMO_TOO_LONG", PAYMENTS),
        "an empty name": (
            identity.UpdateProfileRequest(request_id=fresh_id(), name=""), bad, "REASON_NAME_INVALID", IDENTITY,
        ),
        "a name with a control character": (
            identity.UpdateProfileRequest(request_id=fresh_id(), name="a\x07b"), bad, "REASON_NAME_INVALID", IDENTITY,
        ),
        "a short username": (username(request_id=fresh_id(), username="abc"), bad, "REASON_USERNAME_INVALID", IDENTITY),
        "a username in capitals": (
            username(request_id=fresh_id(), username="Somebody"), bad, "REASON_USERNAME_INVALID", IDENTITY,
        ),
        "a page size below zero": (history(world.room, page_size=-1), bad, "REASON_PAGE_INVALID", MESSAGING),
        "a sequence below zero": (history(world.room, from_sequence=-1), bad, "REASON_SEQUENCE_INVALID", MESSAGING),
        "an invented page token": (
            payments.ListStatementLinesRequest(page_token="x"), bad, "REASON_PAGE_INVALID", PAYMENTS,
        ),
        # Ids
        "a conversation id of no form": (send("somewhere"), bad, "REASON_CONVERSATION_ID_INVALID", MESSAGING),
        "a conversation id the wrong way round": (send(swapped), bad, "REASON_CONVERSATION_ID_INVALID", MESSAGING),
        "a conversation with oneself": (send(f"d.{me}.{me}"), bad, "REASON_CONVERSATION_ID_INVALID", MESSAGING),
        "an invented user": (send(invented), missing, "REASON_USER_UNKNOWN", MESSAGING),
        "an invented group": (send(new_group_id(me)), missing, "REASON_CONVERSATION_UNKNOWN", MESSAGING),
        "a group in another's name": (create(new_group_id(friend)), bad, "REASON_CONVERSATION_ID_INVALID", MESSAGING),
        "a group that exists": (create(world.mine), exists, "REASON_GROUP_EXISTS", MESSAGING),
        "an invented member": (add(world.mine, INVENTED_USER), missing, "REASON_USER_UNKNOWN", MESSAGING),
        "a reply to nothing": (
            send(world.room, reply_to_sequence=99), missing, "REASON_REPLY_TARGET_UNKNOWN", MESSAGING,
        ),
        "a username nobody has": (
            identity.ResolveUsernameRequest(username="nobody_at_all"), missing, "REASON_USERNAME_UNKNOWN", IDENTITY,
        ),
        "an invented user to look at": (
            identity.GetUserRequest(user_id=INVENTED_USER), missing, "REASON_USER_UNKNOWN", IDENTITY,
        ),
        "another's session": (
            identity.RevokeSessionRequest(request_id=fresh_id(), session_id="s"),
            missing, "REASON_SESSION_UNKNOWN", IDENTITY,
        ),
        # Other people's conversations
        "writing where one is not": (send(world.group), missing, "REASON_CONVERSATION_UNKNOWN", MESSAGING),
        "reading where one is not": (history(world.group), missing, "REASON_CONVERSATION_UNKNOWN", MESSAGING),
        "members of where one is not": (
            messaging.ListMembersRequest(conversation_id=world.group),
            missing, "REASON_CONVERSATION_UNKNOWN", MESSAGING,
        ),
        "joining where one is not": (add(world.group, me), missing, "REASON_CONVERSATION_UNKNOWN", MESSAGING),
        "writing between two others": (send(theirs), missing, "REASON_CONVERSATION_UNKNOWN", MESSAGING),
        "deleting where one is not": (delete(world.group, 1), missing, "REASON_CONVERSATION_UNKNOWN", MESSAGING),
        "deleting between two others": (delete(theirs, 1), missing, "REASON_CONVERSATION_UNKNOWN", MESSAGING),
        "deleting number nothing": (delete(world.room, 0), bad, "REASON_SEQUENCE_INVALID", MESSAGING),
        "deleting beyond the head": (delete(world.room, 2), missing, "REASON_MESSAGE_UNKNOWN", MESSAGING),
        "deleting from another conversation": (delete(world.mine, 1), missing, "REASON_MESSAGE_UNKNOWN", MESSAGING),
        "marking where one is not": (
            messaging.MarkReadRequest(request_id=fresh_id(), conversation_id=world.group, sequence=1),
            missing, "REASON_CONVERSATION_UNKNOWN", MESSAGING,
        ),
        # Roles
        "a member twice": (add(world.mine, friend), exists, "REASON_ALREADY_MEMBER", MESSAGING),
        "removing who is not there": (
            messaging.RemoveMemberRequest(request_id=fresh_id(), conversation_id=world.mine, user_id=stranger),
            missing, "REASON_NOT_A_MEMBER", MESSAGING,
        ),
        "a role that is none": (role(friend, messaging.ROLE_UNSPECIFIED), bad, "REASON_ROLE_INVALID", MESSAGING),
        "an owner who leaves": (
            messaging.LeaveGroupRequest(request_id=fresh_id(), conversation_id=world.mine),
            precondition, "REASON_OWNER_MUST_HAND_OVER", MESSAGING,
        ),
        "a third in a conversation of two": (add(world.room, stranger), precondition, "REASON_NOT_A_GROUP", MESSAGING),
        # Money
        "nothing": (pay(friend, 0), bad, "REASON_AMOUNT_INVALID", PAYMENTS),
        "less than nothing": (pay(friend, -500), bad, "REASON_AMOUNT_INVALID", PAYMENTS),
        "more than the limit": (pay(friend, 1_000_000_000_001), bad, "REASON_AMOUNT_INVALID", PAYMENTS),
        "the least integer": (pay(friend, -(2**63)), bad, "REASON_AMOUNT_INVALID", PAYMENTS),
        "more than there is": (pay(friend, 10_001), precondition, "REASON_FUNDS_INSUFFICIENT", PAYMENTS),
        "oneself": (pay(me, 1), bad, "REASON_PAYEE_IS_PAYER", PAYMENTS),
        "an invented payee": (pay(INVENTED_USER, 1), missing, "REASON_USER_UNKNOWN", PAYMENTS),
        # Request ids
        "no request id": (send(world.room, request_id=""), bad, "REASON_REQUEST_ID_INVALID", ENGINE),
        "a request id of another kind": (
            send(world.room, request_id="9f1c3c1e-4a0e-4a66-9f0c-0123456789ab"),
            bad, "REASON_REQUEST_ID_INVALID", ENGINE,
        ),
        "a request id from the future": (
            send(world.room, request_id=fresh_id(60_000)), precondition, "REASON_REQUEST_ID_IN_FUTURE", ENGINE,
        ),
        "a request id of last year": (
            send(world.room, request_id=fresh_id(-366 * 86_400_000)), precondition, "REASON_REQUEST_EXPIRED", ENGINE,
        ),
        # Live
        "an acknowledgement of no subscription": (
            gateway.AckRequest(subscription_id="x", frame=1), missing, "REASON_SUBSCRIPTION_UNKNOWN", ENGINE,
        ),
    }  # fmt: skip


async def test_every_bad_request_is_refused_as_documented_and_changes_nothing(world: World) -> None:
    before = await world.seen()
    wrong = {}
    for name, (request, *expected) in requests(world).items():
        outcome = await world.raw(path_of(request), request.SerializeToString())
        got = [outcome.status, outcome.reason, outcome.domain]
        if got != expected:
            wrong[name] = (got, expected)
    assert wrong == {}
    assert await world.seen() == before


async def test_a_plain_member_may_not_change_the_group(world: World) -> None:
    before = await world.seen()
    friend = world.friend
    calls: list[Message] = [
        messaging.AddMemberRequest(request_id=fresh_id(), conversation_id=world.mine, user_id=world.stranger.user_id),
        messaging.RemoveMemberRequest(request_id=fresh_id(), conversation_id=world.mine, user_id=world.me.user_id),
        messaging.SetMemberRoleRequest(
            request_id=fresh_id(), conversation_id=world.mine, user_id=friend.user_id, role=messaging.ROLE_OWNER
        ),
    ]
    for request in calls:
        outcome = await world.raw(path_of(request), request.SerializeToString(), person=friend)
        assert (outcome.status, outcome.reason) == (Status.PERMISSION_DENIED, "REASON_ROLE_TOO_LOW")
    assert await world.seen() == before


async def test_the_same_request_id_with_other_content_is_refused(world: World) -> None:
    for first, second in (
        (
            messaging.SendMessageRequest(request_id=fresh_id(), conversation_id=world.room, text="یک"),
            messaging.SendMessageRequest(conversation_id=world.room, text="دو"),
        ),
        (
            payments.TransferRequest(request_id=fresh_id(), payee_user_id=world.friend.user_id, amount_rials=10),
            payments.TransferRequest(payee_user_id=world.friend.user_id, amount_rials=11),
        ),
    ):
        second.request_id = first.request_id
        done = await world.raw(path_of(first), first.SerializeToString())
        assert done.status is Status.OK
        before = (await state_of(world.me))["wallet"]
        other = await world.raw(path_of(second), second.SerializeToString())
        assert (other.status, other.reason) == (Status.ALREADY_EXISTS, "REASON_REQUEST_ID_REUSED")
        again = await world.raw(path_of(first), first.SerializeToString())
        assert again.answer == done.answer, "the same content gets the same answer"
        assert (await state_of(world.me))["wallet"] == before
    said = [message.text async for message in world.me.client.messaging.history(world.room)]
    assert ("یک" in said, "دو" in said) == (True, False)


async def test_bytes_that_are_no_request_are_malformed(world: World) -> None:
    before = await world.seen()
    wrong_type = messaging.SendMessageRequest(request_id=fresh_id(), conversation_id=world.room, text="x")
    for path, content in (
        (SEND, b"\xff\xff\xff\xff"),
        (SEND, b"\x0a\x7f"),
        (SEND, b'{"conversation_id": "x"}'),
        (SEND, b"\x0a\x02\xc3\x28"),
        (TRANSFER, wrong_type.SerializeToString()[:-1]),
    ):
        outcome = await world.raw(path, content)
        assert outcome.status is Status.INVALID_ARGUMENT, content
        assert outcome.reason in ("REASON_REQUEST_MALFORMED", "REASON_KEY_INVALID"), content
    assert await world.seen() == before


async def test_messages_and_metadata_over_the_limits_are_refused(world: World) -> None:
    large = messaging.SendMessageRequest(request_id=fresh_id(), conversation_id=world.room, text="x" * 300_000)
    assert (await world.raw(SEND, large.SerializeToString())).status is Status.RESOURCE_EXHAUSTED
    metadata = (*await bearer(world.me), ("x-large", "x" * 20_000))
    outcome = await raw_call(world.stage.up.gateway_address, WALLET, b"", metadata)
    assert outcome.status is Status.RESOURCE_EXHAUSTED


async def test_methods_that_are_not_public_cannot_be_reached(world: World) -> None:
    for path in (
        "/chapar.sourcing.peer.v1.OwnerService/Submit",
        "/chapar.payments.v1.PaymentsOperatorService/CashIn",
        "/chapar.presence.peer.v1.LeaseService/CheckMembership",
        "/chapar.messaging.v1.MessagingService/DeleteEverything",
    ):
        outcome = await world.raw(path, b"")
        assert outcome.status is Status.UNIMPLEMENTED, path


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


async def test_missing_forged_and_other_tokens_are_refused(world: World) -> None:
    before = await world.seen()
    token = (await world.me.client.session()).access_token
    version, payload, signature = token.split(".")
    claims = json.loads(_decoded(payload))
    as_friend = _encoded(json.dumps(claims | {"uid": world.friend.user_id}).encode())
    for_ever = _encoded(json.dumps(claims | {"exp": 2**52}).encode())
    forged = {
        "": "REASON_TOKEN_MISSING",
        "nonsense": "REASON_TOKEN_INVALID",
        f"{version}.{as_friend}.{signature}": "REASON_TOKEN_INVALID",
        f"{version}.{for_ever}.{signature}": "REASON_TOKEN_INVALID",
        f"{version}.{payload}.{_encoded(bytes(64))}": "REASON_TOKEN_INVALID",
        f"{version}.{payload}.": "REASON_TOKEN_INVALID",
        f"v0.{payload}.{signature}": "REASON_TOKEN_INVALID",
    }
    request = payments.TransferRequest(
        request_id=fresh_id(), payee_user_id=world.friend.user_id, amount_rials=1
    ).SerializeToString()
    for wrong, reason in forged.items():
        metadata = (("authorization", f"Bearer {wrong}"),) if wrong else ()
        outcome = await raw_call(world.stage.up.gateway_address, TRANSFER, request, metadata)
        assert (outcome.status, outcome.reason) == (Status.UNAUTHENTICATED, reason), wrong
    assert await world.seen() == before


async def test_an_expired_token_and_one_of_another_installation_are_refused(world: World) -> None:
    session = await world.me.client.session()
    now_ms = int(time.time() * 1000)
    ours = AccessTokenSigner(Secrets(world.stage.data_dir / "secrets" / "identity").key("access_token.key"))
    for signer, issued_ms, reason in (
        (ours, now_ms - 900_001, "REASON_TOKEN_EXPIRED"),
        (AccessTokenSigner(bytes(32)), now_ms, "REASON_TOKEN_INVALID"),
    ):
        token = signer.sign(session.user_id, session.session_id, issued_ms=issued_ms)
        outcome = await raw_call(world.stage.up.gateway_address, WALLET, b"", (("authorization", f"Bearer {token}"),))
        assert (outcome.status, outcome.reason) == (Status.UNAUTHENTICATED, reason)


async def test_metadata_of_processes_is_not_believed_from_clients(world: World) -> None:
    friend = world.friend.user_id
    metadata = (
        *await bearer(world.me), ("chapar-user", friend), ("chapar-key", friend), ("chapar-operator", "operator"),
        ("chapar-peer-token", "0" * 64),
    )  # fmt: skip
    outcome = await raw_call(world.stage.up.gateway_address, WALLET, b"", metadata)
    mine = await world.raw(WALLET, b"")
    assert (outcome.status, outcome.answer) == (Status.OK, mine.answer)


async def test_owners_answer_nobody_without_the_peer_token(world: World) -> None:
    for service, path in (("payments", WALLET), ("messaging", SEND), ("identity", REFRESH)):
        address = world.stage.up.addresses[service].address
        metadata = (("chapar-user", world.me.user_id), ("chapar-key", world.me.user_id), ("chapar-partition", "0"))
        for extra in ((), (("chapar-peer-token", "0" * 64),)):
            outcome = await raw_call(address, path, b"", (*metadata, *extra))
            assert outcome.status in (Status.UNAUTHENTICATED, Status.PERMISSION_DENIED), service


@pytest.mark.parametrize(
    "refresh_token",
    ["", "s0000", "s0000.x", "s3fff.aaaaaaaaaaaaaaaaaaaaaaaaaa.session.1.mac", "sffff.x", "S0000.x"],
)
async def test_refresh_tokens_that_were_never_given_are_refused(world: World, refresh_token: str) -> None:
    request = identity.RefreshTokensRequest(request_id=fresh_id(), refresh_token=refresh_token)
    outcome = await raw_call(world.stage.up.gateway_address, REFRESH, request.SerializeToString())
    assert (outcome.status, outcome.reason) in (
        (Status.UNAUTHENTICATED, "REASON_REFRESH_TOKEN_INVALID"),
        (Status.INVALID_ARGUMENT, "REASON_KEY_INVALID"),
    )


@pytest.mark.parametrize(
    "phone", ["", "09121234567", "+98912", "+98912123456789012345", "+1800FLOWERS", "+989121234567 "]
)
async def test_phones_not_in_their_form_are_refused(world: World, phone: str) -> None:
    request = identity.StartSignInRequest(request_id=fresh_id(), phone=phone)
    path = "/chapar.identity.v1.IdentityService/StartSignIn"
    outcome = await raw_call(world.stage.up.gateway_address, path, request.SerializeToString())
    assert outcome.status is Status.INVALID_ARGUMENT
    assert outcome.reason in ("REASON_PHONE_INVALID", "REASON_KEY_INVALID")


async def test_a_challenge_that_was_never_given_is_unknown(world: World) -> None:
    request = identity.CompleteSignInRequest(
        request_id=fresh_id(), challenge_id="s0001." + "a" * 26, code="123456", device="d"
    )
    path = "/chapar.identity.v1.IdentityService/CompleteSignIn"
    outcome = await raw_call(world.stage.up.gateway_address, path, request.SerializeToString())
    assert (outcome.status, outcome.reason) == (Status.NOT_FOUND, "REASON_CHALLENGE_UNKNOWN")


async def test_amounts_an_operator_may_not_bring_in_are_refused(world: World) -> None:
    before = await world.seen()
    path = "/chapar.payments.v1.PaymentsOperatorService/CashIn"
    token = (world.stage.data_dir / "secrets" / "operator.token").read_text().strip()
    for user_id, amount, reference, reason in (
        (world.me.user_id, 0, "r", "REASON_AMOUNT_INVALID"),
        (world.me.user_id, -1, "r", "REASON_AMOUNT_INVALID"),
        (world.me.user_id, 10**12 + 1, "r", "REASON_AMOUNT_INVALID"),
        (world.me.user_id, 1, "", "REASON_REFERENCE_INVALID"),
        (world.me.user_id, 1, "r" * 65, "REASON_REFERENCE_INVALID"),
        (INVENTED_USER, 1, "r", "REASON_USER_UNKNOWN"),
    ):
        request = payments.CashInRequest(
            request_id=fresh_id(), user_id=user_id, amount_rials=amount, reference=reference
        )
        outcome = await raw_call(
            world.stage.up.operator_address,
            path,
            request.SerializeToString(),
            (("authorization", f"Bearer {token}"),),
        )
        assert outcome.reason == reason
    assert await world.seen() == before
