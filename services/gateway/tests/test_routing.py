"""Every method of the table reaches its owner with its bytes; nothing else reaches anybody."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from chapar.gateway.v1 import gateway_pb2 as api
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar.options.v1 import options_pb2 as options
from chapar.payments.v1 import payments_pb2 as payments
from chapar_chassis.routing import MethodRoute
from chapar_gateway.operators import ROLES
from chapar_gateway.table import OPERATOR_LISTENER, PUBLIC_LISTENER, listener_table
from chapar_sourcing.partitions import partition_of, partition_of_slot, slot_of_prefixed

from .owners import Received
from .rig import ARASH, OPERATOR_TOKEN, PARTITIONS, Rig, running

SEND = "/chapar.messaging.v1.MessagingService/SendMessage"
CASH_IN = "/chapar.payments.v1.PaymentsOperatorService/CashIn"
PREFIXED = "s0fff.something"
REQUEST = messaging.SendMessageRequest(request_id="x", conversation_id="d.a.b", text="salām").SerializeToString()
UNKNOWN = ("REASON_METHOD_UNKNOWN", grpc.StatusCode.UNIMPLEMENTED)
ALL = {**listener_table(PUBLIC_LISTENER), **listener_table(OPERATOR_LISTENER)}


def request_of(route: MethodRoute) -> tuple[bytes, str, int]:
    """A request with a key in place, the key, and the partition it belongs to."""
    routing = route.option.routing
    match routing.WhichOneof("key"):
        case "field":
            key, fields = "some-key", {routing.field: "some-key"}
        case "slot_prefixed_field":
            slot = slot_of_prefixed(PREFIXED)
            assert slot is not None
            request = route.request_type(**{routing.slot_prefixed_field: PREFIXED})
            return request.SerializeToString(), PREFIXED, partition_of_slot(slot, PARTITIONS)
        case _:
            key, fields = ARASH, {}
    return route.request_type(**fields).SerializeToString(), key, partition_of(key, PARTITIONS)


async def test_every_forwarded_method_reaches_its_owner_with_its_bytes_key_and_caller() -> None:
    forwarded = [route for route in ALL.values() if not route.local]
    assert len(forwarded) >= 25
    async with running() as rig:
        for route in forwarded:
            request, key, partition = request_of(route)
            operator = route.audience == options.AUDIENCE_OPERATOR
            metadata = [("authorization", f"Bearer {OPERATOR_TOKEN}")] if operator else rig.session()
            assert await rig.call(route.full_method, request, metadata=metadata, operator=operator) == request
            received = rig.owners[route.service].received[-1]
            assert (received.method, received.request) == (route.full_method, request)
            assert received.values("chapar-key") == [key]
            assert received.values("chapar-partition") == [str(partition)]
            assert told(received) == expected_identity(route)


def told(received: Received) -> list[Any]:
    return [received.values(name) for name in ("chapar-user", "chapar-session", "chapar-operator")]


def expected_identity(route: MethodRoute) -> list[Any]:
    match route.audience:
        case options.AUDIENCE_SESSION:
            return [[ARASH], ["session-1"], []]
        case options.AUDIENCE_OPERATOR:
            return [[], [], ["mina"]]
        case _:
            return [[], [], []]


def test_every_operator_method_has_a_role_and_every_role_a_method() -> None:
    assert set(ROLES) == set(listener_table(OPERATOR_LISTENER))


@pytest.mark.parametrize(
    "method",
    [
        "/chapar.messaging.v1.MessagingService/NoSuchMethod",
        "/no.such.Service/Method",
        "/chapar.sourcing.peer.v1.OwnerService/Submit",
        "/chapar.sourcing.peer.v1.OwnerService/Watch",
        "/chapar.presence.peer.v1.LeaseService/Renew",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        CASH_IN,
    ],
)
async def test_what_clients_may_not_reach_looks_like_what_does_not_exist(method: str) -> None:
    async with running() as rig:
        assert await rig.refused(method, metadata=rig.session()) == UNKNOWN
        assert not any(owner.received for owner in rig.owners.values())


async def test_an_unknown_method_leaves_no_trace_in_metrics() -> None:
    async with running() as rig:
        await rig.refused("/evil.Label/Explosion")
        metrics = rig.gateway._outside.metrics.registry.collect()
        labels = {sample.labels.get("rpc") for family in metrics for sample in family.samples}
        assert "/evil.Label/Explosion" not in labels


async def test_the_operators_listener_serves_operators_only() -> None:
    async with running() as rig:
        assert await rig.refused(SEND, REQUEST, metadata=rig.session(), operator=True) == UNKNOWN
        config = "/chapar.gateway.v1.GatewayService/GetConfig"
        assert await rig.refused(config, operator=True) == UNKNOWN


async def test_an_owner_s_refusal_passes_through_whole() -> None:
    details = b"\x08\x05 not ours to read"

    async def refuse(_received: Received, context: Any) -> bytes:
        trailing = (("grpc-status-details-bin", details), ("chapar-position-bin", b"p"), ("chapar-secret", "no"))
        await context.abort(grpc.StatusCode.NOT_FOUND, "REASON_CONVERSATION_UNKNOWN", trailing)
        return b""

    async with running() as rig:
        rig.messaging.answers[SEND] = refuse
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rig.call(SEND, REQUEST, metadata=rig.session())
    trailing = dict(caught.value.trailing_metadata() or ())
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert trailing["grpc-status-details-bin"] == details
    assert trailing["chapar-position-bin"] == b"p"
    assert "chapar-secret" not in trailing


async def test_positions_travel_both_ways_and_other_metadata_of_ours_does_not() -> None:
    async def answer(_received: Received, context: Any) -> bytes:
        trailing = (("chapar-position-bin", b"later"), ("chapar-replayed", "1"), ("x-internal", "secret"))
        context.set_trailing_metadata(trailing)
        return b"reply"

    forged = [("chapar-user", "bahar"), ("chapar-operator", "root"), ("chapar-peer-token", "guess"),
              ("chapar-partition", "3"), ("chapar-key", "other"), ("x-other", "1"),
              ("chapar-position-bin", b"one"), ("chapar-position-bin", b"two")]  # fmt: skip
    async with running() as rig:
        rig.messaging.answers[SEND] = answer
        call = rig.begin(SEND, REQUEST, metadata=[*rig.session(), *forged])
        assert await call == b"reply"
        trailing = dict(await call.trailing_metadata())
        received = rig.messaging.received[-1]
    assert trailing == {"chapar-position-bin": b"later", "chapar-replayed": "1"}
    assert received.values("chapar-position-bin") == [b"one", b"two"]
    assert told(received) == [[ARASH], ["session-1"], []]
    assert received.values("chapar-key") == ["d.a.b"]
    assert not received.values("x-other")
    assert not received.values("authorization")


@pytest.mark.parametrize(("given", "least", "most"), [(None, 8, 10), (3.0, 1, 3), (500.0, 50, 60)])
async def test_deadlines_are_ten_seconds_unless_given_and_never_above_a_minute(
    given: float | None, least: float, most: float
) -> None:
    async with running() as rig:
        await rig.begin(SEND, REQUEST, metadata=rig.session(), timeout=given)
        deadline_s = rig.messaging.received[-1].deadline_s
        assert deadline_s is not None
        # On the wire, gRPC rounds deadlines up by less than a hundredth.
        assert least < deadline_s <= most * 1.01


async def test_bytes_that_are_no_request_and_keys_that_are_no_keys_are_refused() -> None:
    async with running() as rig:
        malformed = ("REASON_REQUEST_MALFORMED", grpc.StatusCode.INVALID_ARGUMENT)
        invalid = ("REASON_KEY_INVALID", grpc.StatusCode.INVALID_ARGUMENT)
        assert await rig.refused(SEND, b"\xff\xff\xff", metadata=rig.session()) == malformed
        assert await rig.refused(SEND, b"", metadata=rig.session()) == invalid
        assert not rig.messaging.received


async def test_a_message_above_256_kib_is_refused() -> None:
    async with running() as rig:
        request = messaging.SendMessageRequest(conversation_id="d.a.b", text="x" * 256 * 1024).SerializeToString()
        assert (await rig.refused(SEND, request, metadata=rig.session()))[1] == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not rig.messaging.received


async def test_metadata_above_16_kib_is_refused() -> None:
    async with running() as rig:
        metadata = [*rig.session(), ("x-large", "y" * 20_000)]
        assert (await rig.refused(SEND, REQUEST, metadata=metadata))[1] == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not rig.messaging.received


async def test_an_owner_that_is_away_is_unavailable_after_the_deadline_at_the_latest() -> None:
    async with running() as rig:
        await rig.messaging.stop()
        reason, code = await rig.refused(SEND, REQUEST, metadata=rig.session(), timeout=1)
        assert (reason, code) in [
            ("REASON_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE),
            ("REASON_DEADLINE_PASSED", grpc.StatusCode.DEADLINE_EXCEEDED),
            ("", grpc.StatusCode.DEADLINE_EXCEEDED),
        ]
        await rig.messaging.start()


async def test_config_needs_no_token() -> None:
    async with running() as rig:
        reply = await rig.call("/chapar.gateway.v1.GatewayService/GetConfig")
        config = api.GetConfigResponse.FromString(reply)
        assert config.server_time_ms == rig.clock.now_ms()
        assert config.limits.message_bytes_max == 262_144
        assert config.limits.streams_max == 5


async def test_cash_in_needs_an_operator_with_the_role() -> None:
    request = payments.CashInRequest(user_id="u").SerializeToString()

    async def attempt(rig: Rig, *metadata: tuple[str, str]) -> tuple[str, grpc.StatusCode]:
        return await rig.refused(CASH_IN, request, metadata=metadata, operator=True)

    async with running() as rig:
        unknown = ("REASON_OPERATOR_UNKNOWN", grpc.StatusCode.UNAUTHENTICATED)
        assert await attempt(rig) == unknown
        assert await attempt(rig, ("authorization", "Bearer wrong")) == unknown
        assert await attempt(rig, ("authorization", f"Bearer {rig.token()}")) == unknown
        role = ("REASON_OPERATOR_ROLE_MISSING", grpc.StatusCode.PERMISSION_DENIED)
        assert await attempt(rig, ("authorization", "Bearer no-roles")) == role
        assert not rig.owners["payments"].received
