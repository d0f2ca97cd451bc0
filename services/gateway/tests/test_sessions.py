"""Who may call: tokens, revocations, and what is refused while revocations are stale."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from chapar.identity.v1 import identity_pb2 as identity
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_chassis.tokens import AccessTokenSigner
from chapar_gateway.revocations import KEPT_MS, Revocations
from chapar_gateway.sessions import is_strict
from chapar_gateway.table import PUBLIC_LISTENER, listener_table
from chapar_sourcing.adapters.memory import MemoryStream

from .rig import ARASH, BAHAR, NOW_MS, PARTITIONS, Rig, running, until

SEND = "/chapar.messaging.v1.MessagingService/SendMessage"
TRANSFER = "/chapar.payments.v1.PaymentsService/Transfer"
RENAME = "/chapar.identity.v1.IdentityService/UpdateProfile"
WALLET = "/chapar.payments.v1.PaymentsService/GetWallet"
SIGN_IN = "/chapar.identity.v1.IdentityService/StartSignIn"
REQUEST = messaging.SendMessageRequest(conversation_id="d.a.b").SerializeToString()
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
REVOKED = ("REASON_SESSION_REVOKED", UNAUTHENTICATED)
STALE = ("REASON_REVOCATIONS_STALE", grpc.StatusCode.UNAVAILABLE)


async def test_without_a_good_token_nothing_is_forwarded() -> None:
    other = AccessTokenSigner(b"o" * 32)
    async with running() as rig:
        good = rig.token()
        cases = {
            "": "REASON_TOKEN_MISSING",
            "Basic abc": "REASON_TOKEN_MISSING",
            "Bearer nonsense": "REASON_TOKEN_INVALID",
            f"Bearer {good[:-2]}AA": "REASON_TOKEN_INVALID",
            f"Bearer {other.sign(ARASH, 's', issued_ms=NOW_MS)}": "REASON_TOKEN_INVALID",
            f"Bearer {rig.token(life_ms=0)}": "REASON_TOKEN_EXPIRED",
        }
        for authorization, reason in cases.items():
            metadata = [("authorization", authorization)] if authorization else []
            assert await rig.refused(SEND, REQUEST, metadata=metadata) == (reason, UNAUTHENTICATED)
        assert not rig.messaging.received


async def test_a_token_that_was_good_is_refused_once_it_expires() -> None:
    async with running() as rig:
        metadata = rig.session(life_ms=60_000)
        await rig.call(SEND, REQUEST, metadata=metadata)
        await rig.clock.advance(60_000)
        await rig.beat()
        assert await rig.refused(SEND, REQUEST, metadata=metadata) == ("REASON_TOKEN_EXPIRED", UNAUTHENTICATED)


async def test_a_revoked_session_is_refused_and_the_user_s_others_are_not() -> None:
    async with running() as rig:
        await rig.call(SEND, REQUEST, metadata=rig.session())
        await rig.revoke(ARASH, "session-1")
        await until(lambda: rig.gateway._revocations.is_revoked("session-1"))
        assert await rig.refused(SEND, REQUEST, metadata=rig.session()) == REVOKED
        await rig.call(SEND, REQUEST, metadata=rig.session(session_id="session-2"))


async def test_a_gateway_is_not_ready_before_it_has_read_all_revocations_and_then_knows_them() -> None:
    async with running(loaded=False) as rig:
        assert not rig.ready.is_set()
        assert await rig.refused(SEND, REQUEST, metadata=rig.session()) == STALE
        await rig.revoke(ARASH, "session-1")
        await until(lambda: rig.gateway._revocations.is_revoked("session-1"))
        assert not rig.ready.is_set()
        await rig.beat()
        await asyncio.wait_for(rig.ready.wait(), 20)
        assert await rig.refused(SEND, REQUEST, metadata=rig.session()) == REVOKED


async def age(rig: Rig, milliseconds: int) -> None:
    """Time passes without a beat."""
    await rig.clock.advance(milliseconds)


async def test_with_a_tail_older_than_a_second_money_and_identity_changes_wait_and_the_rest_goes_on() -> None:
    async with running() as rig:
        await age(rig, 1_001)
        assert await rig.refused(TRANSFER, metadata=rig.session()) == STALE
        assert await rig.refused(RENAME, metadata=rig.session()) == STALE
        await rig.call(SEND, REQUEST, metadata=rig.session())
        await rig.call(WALLET, metadata=rig.session())
        await rig.call(SIGN_IN, identity.StartSignInRequest(phone="+989121234567").SerializeToString())
        await rig.publish(ARASH)
        await until(lambda: rig.gateway._revocations.age_ms(ARASH) == 0)
        await rig.call(TRANSFER, metadata=rig.session())


async def test_after_a_minute_without_beats_nobody_is_served() -> None:
    async with running() as rig:
        await age(rig, 60_000)
        await rig.call(SEND, REQUEST, metadata=rig.session())
        await age(rig, 1)
        assert await rig.refused(SEND, REQUEST, metadata=rig.session()) == STALE


async def test_only_the_tail_of_the_user_s_own_partition_counts() -> None:
    async with running() as rig:
        await age(rig, 5_000)
        await rig.publish(BAHAR)
        await until(lambda: rig.gateway._revocations.age_ms(BAHAR) == 0)
        await rig.call(TRANSFER, metadata=rig.session(BAHAR))
        assert await rig.refused(TRANSFER, metadata=rig.session(ARASH)) == STALE


async def test_a_beat_that_was_late_does_not_count_as_fresh() -> None:
    async with running() as rig:
        rig.clock.jump(1_500)
        assert rig.gateway._revocations.age_ms(ARASH) == 1_500
        assert await rig.refused(TRANSFER, metadata=rig.session()) == STALE


def test_what_is_strict_follows_from_the_descriptors() -> None:
    strict = {route.name for route in listener_table(PUBLIC_LISTENER).values() if is_strict(route)}
    assert {"Transfer", "UpdateProfile", "SetUsername", "RevokeSession"} <= strict
    assert not strict & {"SendMessage", "GetWallet", "ListSessions", "Subscribe"}


async def test_revocations_wait_for_a_topic_that_is_not_there_and_survive_a_stream_that_fails() -> None:
    rig = Rig()
    failing = True

    def fault(step: str, partition: int) -> None:
        if failing and step == "read":
            from chapar_sourcing.ports import Unavailable

            raise Unavailable("away")

    revocations = Revocations(MemoryStream(rig.topics, fault=fault), PARTITIONS, rig.clock)
    task = asyncio.create_task(revocations.run())
    await rig.revoke(ARASH, "s")
    await rig.beat()
    assert not revocations.loaded
    failing = False
    await asyncio.wait_for(revocations.wait_loaded(), 20)
    assert revocations.is_revoked("s")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_topic_with_another_number_of_partitions_stops_the_process() -> None:
    rig = Rig()
    await rig.beat()
    revocations = Revocations(MemoryStream(rig.topics), PARTITIONS + 1, rig.clock)
    with pytest.raises(RuntimeError, match="4 partitions, not 5"):
        await asyncio.wait_for(revocations.run(), 20)


async def test_revocations_are_forgotten_once_no_token_can_be_that_old() -> None:
    rig = Rig()
    await rig.revoke(ARASH, "s")
    await rig.beat()
    revocations = Revocations(MemoryStream(rig.topics), PARTITIONS, rig.clock)
    task = asyncio.create_task(revocations.run())
    await revocations.wait_loaded()
    await rig.clock.advance(KEPT_MS - 1)
    assert revocations.is_revoked("s")
    await rig.clock.advance(1)
    await until(lambda: not revocations.is_revoked("s"))
    task.cancel()


async def test_revocations_are_not_forgotten_because_the_machines_clock_is_set() -> None:
    rig = Rig()
    await rig.revoke(ARASH, "s")
    await rig.beat()
    revocations = Revocations(MemoryStream(rig.topics), PARTITIONS, rig.clock)
    task = asyncio.create_task(revocations.run())
    await revocations.wait_loaded()
    rig.clock.jump(2 * KEPT_MS)
    for later in ("t", "u"):
        # Whoever knows the second of them has looked for what may be forgotten after the first.
        await rig.revoke(ARASH, later)
        await until(lambda later=later: revocations.is_revoked(later))
    rig.clock.jump(-2 * KEPT_MS)
    assert revocations.is_revoked("s")
    task.cancel()
