"""A whole gateway on loopback between scripted owners and real clients, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from prometheus_client import CollectorRegistry

from chapar.gateway.v1 import gateway_pb2 as api
from chapar.identity.events.v1 import events_pb2 as identity
from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_chassis.command_line import first_cause
from chapar_chassis.forwarder import GrpcForwarder
from chapar_chassis.refusals import DETAILS_KEY, Refusals
from chapar_chassis.secrets import OperatorSecret
from chapar_chassis.settings import Address
from chapar_chassis.telemetry import Metrics, make_logger, places_of
from chapar_chassis.tls import ServerCertificate
from chapar_chassis.tokens import AccessTokenSigner, AccessTokenVerifier
from chapar_chassis.tracing import Tracing
from chapar_gateway.gateway import Gateway, Outside
from chapar_gateway.measures import GATEWAY
from chapar_gateway.operators import Operators
from chapar_gateway.revocations import TOPIC
from chapar_gateway.settings import GatewaySettings
from chapar_sourcing.adapters.memory import MemoryDirectory, MemoryMembers, MemoryStream, MemoryTopics
from chapar_sourcing.clock import ManualClock
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.ports import Announcement

from .owners import PEER_TOKEN, WAIT_S, FakeOwner

PARTITIONS = 4
NOW_MS = 1_790_000_000_000
ARASH, BAHAR = "arash", "bahar"
OPERATOR_TOKEN = "token-of-the-operator"
SERVICES = ("identity", "messaging", "presence", "payments")
SUBSCRIBE = "/chapar.gateway.v1.GatewayService/Subscribe"


class Rig:
    """What tests use."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW_MS)
        self.signer = AccessTokenSigner(b"k" * 32)
        self.owners = {service: FakeOwner(service) for service in SERVICES}
        self.directory = MemoryDirectory()
        self.topics = MemoryTopics()
        self.incidents: list[BaseException] = []
        self.logs = io.StringIO()
        self.stopping = asyncio.Event()
        self.ready = asyncio.Event()
        self.public: grpc.aio.Channel
        self.operator: grpc.aio.Channel
        self.address: Address
        self.gateway: Gateway

    @property
    def messaging(self) -> FakeOwner:
        return self.owners["messaging"]

    @property
    def presence(self) -> FakeOwner:
        return self.owners["presence"]

    def token(self, user_id: str = ARASH, session_id: str = "session-1", *, life_ms: int = 900_000) -> str:
        return self.signer.sign(user_id, session_id, issued_ms=self.clock.now_ms(), life_ms=life_ms)

    def session(self, user_id: str = ARASH, session_id: str = "session-1", **how: Any) -> list[tuple[str, Any]]:
        """Metadata of a session's call."""
        return [("authorization", f"Bearer {self.token(user_id, session_id, **how)}")]

    async def call(
        self, method: str, request: bytes = b"", *, metadata: Any = (), operator: bool = False, timeout: float = WAIT_S
    ) -> bytes:
        """A unary call as any client makes it."""
        reply: bytes = await self.begin(method, request, metadata=metadata, operator=operator, timeout=timeout)
        return reply

    def begin(
        self, method: str, request: bytes = b"", *, metadata: Any = (), operator: bool = False,
        timeout: float | None = WAIT_S, wait_for_ready: bool = False,
    ) -> Any:  # fmt: skip
        channel: Any = self.operator if operator else self.public
        how = {"timeout": timeout, "wait_for_ready": wait_for_ready}
        return channel.unary_unary(method)(request, metadata=tuple(metadata), **how)

    async def refused(self, method: str, request: bytes = b"", **how: Any) -> tuple[str, grpc.StatusCode]:
        """Reason and status of a call that must not succeed."""
        try:
            await self.call(method, request, **how)
        except grpc.aio.AioRpcError as error:
            return reason_of(error), error.code()
        raise AssertionError(f"{method} succeeded")

    def subscribe(self, request: api.SubscribeRequest | None = None, *, metadata: Any = None) -> Stream:
        """Opens a subscription."""
        open_stream: Any = self.public.unary_stream(SUBSCRIBE, response_deserializer=api.SubscribeResponse.FromString)
        wanted = (request or api.SubscribeRequest()).SerializeToString()
        return Stream(open_stream(wanted, metadata=tuple(self.session() if metadata is None else metadata)))

    def another_connection(self) -> Any:
        """A channel of its own."""
        return grpc.aio.insecure_channel(str(self.address), options=[("grpc.use_local_subchannel_pool", 1)])

    async def publish(self, user_id: str, event: identity.Event | None = None) -> None:
        """Publishes a revocation, or a beat, to the user's partition."""
        await self._publish(partition_of(user_id, PARTITIONS), event)

    async def beat(self) -> None:
        """Beats on all partitions."""
        for partition in range(PARTITIONS):
            await self._publish(partition, None)

    async def revoke(self, user_id: str, session_id: str) -> None:
        revoked = identity.SessionRevoked(user_id=user_id, session_id=session_id)
        await self.publish(user_id, identity.Event(session_revoked=revoked))

    async def announce(self, service: str, epoch: int = 1) -> None:
        """Makes the fake owner the owner of all partitions."""
        members = MemoryMembers(self.directory)
        await members.join(service)
        for partition in range(PARTITIONS):
            await members.announce(Announcement(partition, epoch, b"m" * 16, self.owners[service].address))

    async def _publish(self, partition: int, event: identity.Event | None) -> None:
        stream = MemoryStream(self.topics, topics={TOPIC: None}, partitions=PARTITIONS)
        data = b"" if event is None else event.SerializeToString()
        record = journal.StreamRecord(time_ms=self.clock.now_ms(), event=data)
        await stream.publish(TOPIC, partition, [record.SerializeToString()])


class Stream:
    """A subscription as a client reads it."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def next(self) -> api.SubscribeResponse:
        """The next frame."""
        frame = await asyncio.wait_for(self.call.read(), WAIT_S)
        assert isinstance(frame, api.SubscribeResponse), await self.ended()
        return frame

    async def next_of(self, kind: str) -> api.SubscribeResponse:
        """The next frame, which must be of a kind."""
        frame = await self.next()
        assert frame.WhichOneof("kind") == kind, frame
        return frame

    async def ended(self) -> tuple[str, grpc.StatusCode]:
        """Reads to the end: reason and status."""
        try:
            while await asyncio.wait_for(self.call.read(), WAIT_S) is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            return reason_of(error), error.code()
        return "", await self.call.code()


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason in the status details; "" when there are none."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY:
            info = error_details_pb2.ErrorInfo()
            assert any(detail.Unpack(info) for detail in status_pb2.Status.FromString(value).details)
            return str(info.reason)
    return ""


async def until(holds: Callable[[], bool]) -> None:
    """Waits for a condition, at most 20 s."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - the condition is anything a test can see.
            await asyncio.sleep(0.01)


def make_settings(**changes: Any) -> GatewaySettings:
    values: dict[str, Any] = {
        "data_dir": Path("/nowhere"), "secrets_dir": Path("/nowhere"), "partitions": PARTITIONS,
        "drain_grace_ms": 2_000, "listen": Address("127.0.0.1", 0), "operator_listen": Address("127.0.0.1", 0),
    }  # fmt: skip
    return GatewaySettings(**(values | changes))


@asynccontextmanager
async def running(
    *, loaded: bool = True, certificate: ServerCertificate | None = None, **changes: Any
) -> AsyncIterator[Rig]:
    """A gateway between scripted owners; with `loaded`, ready and with fresh revocations."""
    rig = Rig()
    for service, owner in rig.owners.items():
        await owner.start()
        await rig.announce(service)
    if loaded:
        await rig.beat()
    rig.gateway = _gateway(rig, make_settings(**changes), certificate)
    public, operator = await rig.gateway.start()
    rig.address = public
    work = asyncio.create_task(rig.gateway.run(rig.stopping, rig.ready.set))
    rig.public, rig.operator = grpc.aio.insecure_channel(str(public)), grpc.aio.insecure_channel(str(operator))
    try:
        if loaded:
            await asyncio.wait_for(rig.ready.wait(), WAIT_S)
        yield rig
    finally:
        await rig.public.close()
        await rig.operator.close()
        rig.stopping.set()
        await asyncio.wait_for(work, WAIT_S)
        for owner in rig.owners.values():
            await owner.stop()
    assert not rig.incidents, [(repr(error), places_of(error)) for error in map(first_cause, rig.incidents)]


def _gateway(rig: Rig, settings: GatewaySettings, certificate: ServerCertificate | None) -> Gateway:
    refusals = Refusals("gateway", None, lambda _incident, error: rig.incidents.append(error))
    operator = OperatorSecret("mina", hashlib.sha256(OPERATOR_TOKEN.encode()).digest(), frozenset({"cash", "erase"}))
    reader = OperatorSecret("reza", hashlib.sha256(b"no-roles").digest(), frozenset())
    return Gateway(
        settings,
        Outside(
            stream=MemoryStream(rig.topics),
            forwarder=GrpcForwarder(MemoryMembers(rig.directory), PEER_TOKEN, refusals),
            verifier=AccessTokenVerifier({rig.signer.key_id: rig.signer.public_key}),
            operators=Operators([operator, reader]),
            refusals=refusals,
            metrics=Metrics(CollectorRegistry(), GATEWAY),
            tracing=Tracing("gateway"),
            log=make_logger("gateway", "info", rig.logs),
            certificate=certificate,
            clock=rig.clock,
            random=lambda: 0.5,
            tick_ms=20,
            renew_ms=200,
        ),
    )
