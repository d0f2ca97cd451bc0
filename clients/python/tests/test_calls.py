"""Request ids, retries, tokens and positions of single calls."""

from __future__ import annotations

import asyncio
import socket
import stat
import struct
import time
import uuid
from pathlib import Path

import grpc
import pytest
from client_fakes import FakeGateway, Refusal, eventually, session

from chapar.identity.v1 import identity_pb2 as identity
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar.payments.v1 import payments_pb2 as payments
from chapar_client.sdk import (
    Broken,
    Client,
    InvalidInput,
    NotSignedIn,
    OutcomeUnknown,
    Refused,
    SignedOut,
    StateStore,
    Unavailable,
    normalised_phone,
)

CONVERSATION = "d.a.b"


def after(refusals: list[Refusal], answer):
    """Raises the refusals one after the other, then answers."""

    async def serve(_request, _metadata):
        if refusals:
            raise refusals.pop(0)
        return answer

    return serve


async def test_a_command_is_retried_with_the_same_id_and_the_same_bytes(client: Client, gateway: FakeGateway) -> None:
    gateway.answers["SendMessage"] = after(
        [
            Refusal(grpc.StatusCode.UNAVAILABLE, "REASON_NOT_OWNER"),
            Refusal(grpc.StatusCode.UNAVAILABLE),
            Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "REASON_OVERLOADED", retry_ms=10),
            Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "REASON_DEADLINE_PASSED"),
        ],
        messaging.SendMessageResponse(sequence=7),
    )
    answer = await client.messaging.send_message(CONVERSATION, "سلام")
    sent = gateway.sent("SendMessage")
    assert answer.sequence == 7
    assert len(sent) == 5
    assert len(set(sent)) == 1
    assert uuid.UUID(messaging.SendMessageRequest.FromString(sent[0]).request_id).version == 7
    assert await client.pending() == []


async def test_retry_info_is_waited_for(client: Client, gateway: FakeGateway) -> None:
    gateway.answers["GetWallet"] = after(
        [Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "REASON_OVERLOADED", retry_ms=300)], payments.GetWalletResponse()
    )
    start = time.monotonic()
    await client.payments.get_wallet()
    assert time.monotonic() - start >= 0.3


async def test_a_command_is_stored_before_its_first_try(client: Client, gateway: FakeGateway) -> None:
    stored: list[list[str]] = []

    async def serve(request, _metadata):
        stored.append([pending.request_id for pending in await client.pending()])
        return messaging.SendMessageResponse(sequence=1)

    gateway.answers["SendMessage"] = serve
    await client.messaging.send_message(CONVERSATION, "x")
    request = messaging.SendMessageRequest.FromString(gateway.sent("SendMessage")[0])
    assert stored == [[request.request_id]]


async def test_a_command_without_an_answer_is_kept_and_finished_later_with_the_same_bytes(
    client: Client, gateway: FakeGateway
) -> None:
    gateway.answers["Transfer"] = after([Refusal(grpc.StatusCode.UNAVAILABLE)] * 1000, payments.TransferResponse())
    with pytest.raises(OutcomeUnknown) as caught:
        await client.payments.transfer("payee", 10, timeout_s=0.5)
    [pending] = await client.pending()
    assert pending.request_id == caught.value.request_id
    gateway.answers["Transfer"] = after([], payments.TransferResponse(transfer_id="t"))
    answer = await client.finish_pending(pending)
    assert answer == payments.TransferResponse(transfer_id="t")
    assert len(set(gateway.sent("Transfer"))) == 1
    assert await client.pending() == []


async def test_a_call_that_never_reached_a_gateway_changed_nothing(tmp_path: Path) -> None:
    state = StateStore(tmp_path)
    await state.open_session(session())
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    with deaf:
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        await _never_reaches(Client(address, state, timeout_s=0.5))


async def _never_reaches(client: Client) -> None:
    async with client:
        with pytest.raises(Unavailable) as caught:
            await client.messaging.send_message(CONVERSATION, "x")
        assert not isinstance(caught.value, OutcomeUnknown)
        assert await client.pending() == []


async def test_a_services_refusal_is_an_answer_whatever_its_status(client: Client, gateway: FakeGateway) -> None:
    gateway.answers["StartSignIn"] = after(
        [
            Refusal(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "REASON_RESEND_TOO_SOON",
                domain="identity.chapar",
                retry_ms=60_000,
                retry_after_ms="60000",
            )
        ],
        identity.StartSignInResponse(),
    )
    with pytest.raises(Refused) as caught:
        await client.identity.start_sign_in("09121234567")
    assert caught.value.reason == "REASON_RESEND_TOO_SOON"
    assert caught.value.detail == {"retry_after_ms": "60000"}
    assert caught.value.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await client.pending() == []


async def test_an_internal_error_is_broken_and_the_command_stays_kept(client: Client, gateway: FakeGateway) -> None:
    gateway.answers["Transfer"] = after([Refusal(grpc.StatusCode.INTERNAL, "REASON_INTERNAL")], None)
    with pytest.raises(Broken):
        await client.payments.transfer("payee", 10)
    assert len(await client.pending()) == 1


async def test_an_id_from_the_future_corrects_the_clock_and_takes_a_new_id(
    client: Client, gateway: FakeGateway
) -> None:
    server_ms = int(time.time() * 1000) - 3_600_000

    async def serve(request, _metadata):
        made_ms = int.from_bytes(uuid.UUID(request.request_id).bytes[:6], "big")
        if made_ms > server_ms + 5_000:
            raise Refusal(
                grpc.StatusCode.FAILED_PRECONDITION, "REASON_REQUEST_ID_IN_FUTURE", server_time_ms=str(server_ms)
            )
        return messaging.SendMessageResponse(sequence=1)

    gateway.answers["SendMessage"] = serve
    await client.messaging.send_message(CONVERSATION, "x")
    await client.messaging.send_message(CONVERSATION, "y")
    assert len(gateway.sent("SendMessage")) == 3, "the correction holds for the next command"
    assert await client.pending() == []


async def test_an_id_from_the_future_is_not_replaced_while_an_earlier_try_may_still_be_decided(
    client: Client, gateway: FakeGateway
) -> None:
    server_ms = int(time.time() * 1000) - 3_600_000
    too_early = Refusal(
        grpc.StatusCode.FAILED_PRECONDITION, "REASON_REQUEST_ID_IN_FUTURE", server_time_ms=str(server_ms)
    )
    gateway.answers["Transfer"] = after(
        [Refusal(grpc.StatusCode.UNAVAILABLE), too_early], payments.TransferResponse(transfer_id="twice")
    )
    with pytest.raises(OutcomeUnknown) as caught:
        await client.payments.transfer("payee", 10)
    [pending] = await client.pending()
    assert pending.request_id == caught.value.request_id
    assert len(set(gateway.sent("Transfer"))) == 1


async def test_an_expired_token_is_refreshed_once_for_all_calls_that_wait(client: Client, gateway: FakeGateway) -> None:
    async def wallet(_request, metadata):
        if metadata["authorization"] != "Bearer access-2":
            raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "REASON_TOKEN_EXPIRED")
        return payments.GetWalletResponse(balance_rials=5)

    async def refresh(_request, _metadata):
        return identity.RefreshTokensResponse(
            tokens=identity.Tokens(
                access_token="access-2",
                access_expire_time_ms=int(time.time() * 1000) + 900_000,
                refresh_token="s0000.refresh-2",
            )
        )

    gateway.answers |= {"GetWallet": wallet, "RefreshTokens": refresh}
    answers = await asyncio.gather(*(client.payments.get_wallet() for _ in range(8)))
    assert {answer.balance_rials for answer in answers} == {5}
    assert len(gateway.sent("RefreshTokens")) == 1
    assert (await client.session()).refresh_token == "s0000.refresh-2"


async def test_a_token_near_its_end_is_refreshed_before_it_is_used(gateway: FakeGateway, tmp_path: Path) -> None:
    state = StateStore(tmp_path)
    await state.open_session(session(access_expire_time_ms=int(time.time() * 1000) + 1_000))
    gateway.answers["RefreshTokens"] = after(
        [],
        identity.RefreshTokensResponse(
            tokens=identity.Tokens(access_token="access-2", access_expire_time_ms=2**50, refresh_token="s0000.r2")
        ),
    )
    gateway.answers["GetWallet"] = after([], payments.GetWalletResponse())
    async with Client(gateway.address, state) as client:
        await client.payments.get_wallet()
    assert [name for name, _, _ in gateway.requests] == ["RefreshTokens", "GetWallet"]
    assert gateway.requests[1][2]["authorization"] == "Bearer access-2"


async def test_a_refresh_cut_off_by_a_crash_is_repeated_with_the_same_id(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.answers["RefreshTokens"] = after([Refusal(grpc.StatusCode.UNAVAILABLE)] * 1000, None)
    state = StateStore(tmp_path)
    await state.open_session(session(access_expire_time_ms=0))
    async with Client(gateway.address, state, timeout_s=0.3) as client:
        with pytest.raises(Unavailable):
            await client.payments.get_wallet()
    gateway.answers["RefreshTokens"] = after(
        [],
        identity.RefreshTokensResponse(
            tokens=identity.Tokens(access_token="access-2", access_expire_time_ms=2**50, refresh_token="s0000.r2")
        ),
    )
    gateway.answers["GetWallet"] = after([], payments.GetWalletResponse())
    async with Client(gateway.address, StateStore(tmp_path)) as client:
        await client.payments.get_wallet()
    assert len(set(gateway.sent("RefreshTokens"))) == 1


async def test_two_processes_of_one_profile_refresh_with_one_id(gateway: FakeGateway, tmp_path: Path) -> None:
    released = asyncio.Event()

    async def refresh(_request, _metadata):
        await released.wait()
        return identity.RefreshTokensResponse(
            tokens=identity.Tokens(access_token="access-2", access_expire_time_ms=2**50, refresh_token="s0000.r2")
        )

    gateway.answers |= {"RefreshTokens": refresh, "GetWallet": after([], payments.GetWalletResponse())}
    state = StateStore(tmp_path)
    await state.open_session(session(access_expire_time_ms=0))
    async with (
        Client(gateway.address, state) as one,
        Client(gateway.address, StateStore(tmp_path)) as other,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(one.payments.get_wallet())
        tasks.create_task(other.payments.get_wallet())
        await eventually(lambda: len(gateway.sent("RefreshTokens")) == 2)
        released.set()
    assert len(set(gateway.sent("RefreshTokens"))) == 1


async def test_a_revoked_session_signs_out_and_is_forgotten(client: Client, gateway: FakeGateway) -> None:
    gateway.answers["GetWallet"] = after(
        [Refusal(grpc.StatusCode.UNAUTHENTICATED, "REASON_SESSION_REVOKED")], payments.GetWalletResponse()
    )
    with pytest.raises(SignedOut):
        await client.payments.get_wallet()
    with pytest.raises(NotSignedIn):
        await client.payments.get_wallet()


def position(partition: int, offset: int) -> bytes:
    return struct.pack(">IIq", 1, partition, offset) + b"mac"


async def test_the_highest_position_of_a_partition_goes_with_the_next_call(
    client: Client, gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.answers["GetConversation"] = after([], messaging.GetConversationResponse())
    for conversation_id, place in (("c1", position(3, 10)), ("c2", position(3, 12)), ("c1", position(3, 11))):
        gateway.trailing["GetConversation"] = place
        await client.messaging.get_conversation(conversation_id)
    gateway.trailing.clear()
    await client.messaging.get_conversation("c1")
    await client.messaging.get_conversation("elsewhere")
    sent = [metadata.get("chapar-position-bin") for _, _, metadata in gateway.requests]
    assert sent == [None, None, position(3, 12), position(3, 12), None]


async def test_positions_outlive_the_process(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.answers["GetConversation"] = after([], messaging.GetConversationResponse())
    gateway.trailing["GetConversation"] = position(3, 10)
    state = StateStore(tmp_path)
    await state.open_session(session())
    async with Client(gateway.address, state) as client:
        await client.messaging.get_conversation("c1")
    async with Client(gateway.address, StateStore(tmp_path)) as client:
        await client.messaging.get_conversation("c1")
    assert gateway.requests[-1][2]["chapar-position-bin"] == position(3, 10)


async def test_state_is_for_its_owners_eyes_only(client: Client, tmp_path: Path) -> None:
    assert await client.session()
    for path in (tmp_path / "profile").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "profile").stat().st_mode) == 0o700
    assert "access-1" not in repr(await client.session())


async def test_another_user_of_the_profile_starts_afresh_and_the_same_one_goes_on(tmp_path: Path) -> None:
    state = StateStore(tmp_path)
    await state.open_session(session())
    await state.save_inbox((1, 2), [("c", 3)])
    await state.open_session(session(session_id="next"))
    assert (await state.inbox_cursor(), await state.applied_sequences()) == ((1, 2), {"c": 3})
    await state.open_session(session(user_id="v" * 26))
    assert (await state.inbox_cursor(), await state.applied_sequences()) == (None, {})
    await state.close()


@pytest.mark.parametrize(
    "written", ["09121234567", "0912 123 4567", "+98 912 123 4567", "۰۹۱۲۱۲۳۴۵۶۷", "00989121234567"]
)
def test_phone_numbers_are_taken_as_people_write_them(written: str) -> None:
    assert normalised_phone(written) == "+989121234567"


@pytest.mark.parametrize("written", ["", "hello", "0912", "+98912123456789012"])
def test_what_is_no_phone_number_is_refused_here(written: str) -> None:
    with pytest.raises(InvalidInput):
        normalised_phone(written)
