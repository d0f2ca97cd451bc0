"""How a process reaches the owner of a partition: the Forwarder port and its first implementation, gRPC.

Addresses come from `Members` and may be wrong, which is harmless: the owner answers NOT_OWNER, and the same call is
tried again at whoever owns the partition now, within its deadline. That is safe because every mutating call carries a
request id.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import grpc

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_chassis import peers, refusals
from chapar_chassis.refusals import CallEnded, CallStatus, Refusals, error_info
from chapar_chassis.rpc_server import MESSAGE_BYTES_MAX, METADATA_BYTES_MAX, PEER_MARGIN_BYTES
from chapar_chassis.settings import address as address_of
from chapar_chassis.settings import is_loopback
from chapar_chassis.tls import PeerCertificate
from chapar_chassis.tracing import current_span, rpc_step
from chapar_sourcing.ports import Announcement, Members, Unavailable
from chapar_sourcing.tracing import StepKind

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True)
class Forwarded:
    """An owner's answer: the reply's bytes as they came, and its trailing metadata."""

    response: bytes
    trailing: Metadata


class ForwardFailed(CallEnded):
    """The call ended with a status; `status` and `trailing` are as the owner gave them, or say UNAVAILABLE."""


class Forwarder(Protocol):
    """Calls to owners by service and partition."""

    async def unary(
        self, service: str, partition: int, method: str, request: bytes, *, metadata: Metadata = (), timeout_ms: int
    ) -> Forwarded:
        """Calls a method by its full name, such as "/chapar.messaging.v1.MessagingService/SendMessage".

        `metadata` is the caller's part (`chapar-key`, `chapar-user`, ...); the peer token and the partition are added.
        Raises `ForwardFailed`, with DEADLINE_EXCEEDED when `timeout_ms` have passed.
        """

    def watch(self, service: str, request: peer.WatchRequest) -> AsyncIterator[peer.WatchResponse]:
        """A live view at the owner of `request.partition`; one attempt, no end of its own.

        Raises `ForwardFailed` when it ends: whoever watches decides when to come back. Closing the iterator ends the
        call.
        """

    async def close(self) -> None:
        """Ends all calls and connections."""


CHANNELS_MAX = 64
"""Addresses that stay connected; the one unused for longest goes first."""
RETRY_MS_MIN = 25
RETRY_MS_MAX = 400
"""Waits between tries grow from the first to the second, each with a random part of a half."""
_RETRIED = frozenset({"", refusals.NOT_OWNER, refusals.OUTCOME_UNKNOWN, refusals.UNAVAILABLE})
_UNDECIDED = frozenset({refusals.NOT_OWNER, refusals.OVERLOADED})
"""What proves that a try decided nothing, and says nothing of those before it."""
_WATCH = "/chapar.sourcing.peer.v1.OwnerService/Watch"
_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX + PEER_MARGIN_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX + PEER_MARGIN_BYTES),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
)


class GrpcForwarder:
    """gRPC: a channel an address, found through `Members`."""

    def __init__(
        self,
        members: Members,
        peer_token: str,
        statuses: Refusals,
        certificate: PeerCertificate | None = None,
        *,
        development: bool = False,
    ) -> None:
        """`statuses` makes the status of what fails on the way. Without a certificate calls go in the clear, and to
        this machine only, unless in development."""
        self._clear_anywhere = development
        self._members = members
        self._certificate = certificate
        self._peer_token = peer_token
        self._statuses = statuses
        self._owners: dict[str, Mapping[int, Announcement]] = {}
        self._asking = asyncio.Lock()
        self._channels: OrderedDict[object, grpc.aio.Channel] = OrderedDict()
        """By service, address, and what certificate they were made with."""

    async def unary(
        self, service: str, partition: int, method: str, request: bytes, *, metadata: Metadata = (), timeout_ms: int
    ) -> Forwarded:
        """See `Forwarder`. Tries again while the owner is away or another, as long as the deadline allows.

        That the last try decided nothing is told only where none before it may have been decided.
        """
        serving = current_span()
        if serving is None:
            return await self._tried(service, partition, method, request, metadata, timeout_ms)
        span = serving.begin(rpc_step(method, StepKind.CALL), partition=partition)
        traced = (*metadata, (peers.TRACE_KEY, span.trace_parent))
        try:
            return await self._tried(service, partition, method, request, traced, timeout_ms)
        finally:
            span.end()

    async def _tried(
        self, service: str, partition: int, method: str, request: bytes, metadata: Metadata, timeout_ms: int
    ) -> Forwarded:
        ends = time.monotonic() + timeout_ms / 1000
        wait_ms = RETRY_MS_MIN
        doubtful = False
        while True:
            try:
                return await self._try(service, partition, method, request, metadata, ends - time.monotonic())
            except ForwardFailed as failed:
                pause = wait_ms * (0.5 + random.random() / 2) / 1000  # nosec B311 # spreads load, guards nothing
                undecided = error_info(failed.status.details)[0] in _UNDECIDED
                if not _may_retry(failed.status) or time.monotonic() + pause >= ends:
                    if doubtful and undecided:
                        raise ForwardFailed(self._statuses.of_reason(refusals.OUTCOME_UNKNOWN)) from None
                    raise
                doubtful = doubtful or not undecided
            await asyncio.sleep(pause)
            wait_ms = min(wait_ms * 2, RETRY_MS_MAX)

    async def _try(
        self, service: str, partition: int, method: str, request: bytes, metadata: Metadata, timeout_seconds: float
    ) -> Forwarded:
        if timeout_seconds <= 0:
            raise ForwardFailed(self._statuses.of_reason(refusals.DEADLINE_PASSED))
        owners = await self._known_owners(service)
        channel = await self._channel(service, owners, partition)
        begin: Any = channel.unary_unary(method)
        call = begin(request, timeout=timeout_seconds, metadata=self._metadata(partition, metadata))
        try:
            response = await call
            return Forwarded(response, tuple(await call.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            raise self._failed(error, service, owners) from None
        except asyncio.CancelledError:
            if not call.cancelled() or _being_cancelled():
                raise
            raise ForwardFailed(self._statuses.of_reason(refusals.UNAVAILABLE)) from None

    async def watch(self, service: str, request: peer.WatchRequest) -> AsyncIterator[peer.WatchResponse]:
        """See `Forwarder`."""
        owners = await self._known_owners(service)
        channel = await self._channel(service, owners, request.partition)
        open_stream: Any = channel.unary_stream(_WATCH, response_deserializer=peer.WatchResponse.FromString)
        call = open_stream(request.SerializeToString(), metadata=self._metadata(request.partition, ()))
        try:
            async for frame in call:
                yield frame
        except grpc.aio.AioRpcError as error:
            raise self._failed(error, service, owners) from None
        finally:
            call.cancel()

    async def close(self) -> None:
        """Ends all calls and connections; `members` belongs to whoever made it."""
        while self._channels:
            await self._channels.popitem()[1].close()

    # ---- finding

    async def _known_owners(self, service: str) -> Mapping[int, Announcement]:
        """What was learnt last; asked anew after a failure, once for all who wait."""
        async with self._asking:
            try:
                if service not in self._owners:
                    self._owners[service] = await self._members.owners(service)
            except Unavailable:
                raise ForwardFailed(self._statuses.of_reason(refusals.UNAVAILABLE)) from None
            return self._owners[service]

    def _forget(self, service: str, owners: Mapping[int, Announcement]) -> None:
        """Has owners asked for anew, unless somebody already did since these were learnt."""
        if self._owners.get(service) is owners:
            del self._owners[service]

    async def _channel(self, service: str, owners: Mapping[int, Announcement], partition: int) -> grpc.aio.Channel:
        owner = owners.get(partition)
        if owner is None:
            self._forget(service, owners)
            raise ForwardFailed(self._statuses.of_reason(refusals.UNAVAILABLE))
        certificate = self._certificate
        at = (service, owner.answers_at, None if certificate is None else certificate.stamp)
        if at not in self._channels:
            self._channels[at] = self._opened(service, owner.answers_at)
        self._channels.move_to_end(at)
        channel = self._channels[at]
        if len(self._channels) > CHANNELS_MAX:
            await self._channels.popitem(last=False)[1].close()
        return channel

    def _opened(self, service: str, address: str) -> grpc.aio.Channel:
        if self._certificate is not None:
            return self._certificate.channel(address, service, _CHANNEL_OPTIONS)
        if not self._clear_anywhere and not is_loopback(address_of(address).host):
            raise ForwardFailed(self._statuses.of_reason(refusals.UNAVAILABLE))
        return grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)

    # ---- what goes along and what comes back

    def _metadata(self, partition: int, metadata: Metadata) -> tuple[tuple[str, str | bytes], ...]:
        own = ((peers.PEER_TOKEN_KEY, self._peer_token), (peers.PARTITION_KEY, str(partition)))
        taken = {name for name, _ in own}
        return (*(pair for pair in metadata if pair[0] not in taken), *own)

    def _failed(self, error: grpc.aio.AioRpcError, service: str, owners: Mapping[int, Announcement]) -> ForwardFailed:
        failed = self._told(error)
        if _may_retry(failed.status):
            self._forget(service, owners)
        return failed

    def _told(self, error: grpc.aio.AioRpcError) -> ForwardFailed:
        trailing = tuple(error.trailing_metadata() or ())
        details = next((value for key, value in trailing if key == refusals.DETAILS_KEY), b"")
        if isinstance(details, bytes) and details:
            return ForwardFailed(CallStatus(error.code(), error.details() or "", details), trailing)
        return ForwardFailed(self._transport_status(error))

    def _transport_status(self, error: grpc.aio.AioRpcError) -> CallStatus:
        """A status that no owner made: its text may name addresses and goes no further."""
        match error.code():
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
                return self._statuses.of_reason(refusals.UNAVAILABLE)
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return self._statuses.of_reason(refusals.DEADLINE_PASSED)
            case grpc.StatusCode.UNIMPLEMENTED:
                return self._statuses.of_reason(refusals.METHOD_UNKNOWN)
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return self._statuses.of_reason(refusals.ENTRY_TOO_LARGE)
            case _:
                return self._statuses.of_bug(error)


def _may_retry(status: CallStatus) -> bool:
    return status.code is grpc.StatusCode.UNAVAILABLE and error_info(status.details)[0] in _RETRIED


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class PeerTargets:
    """Reactors' way to partitions of the same service in other processes: `chapar_sourcing.hosting.Targets`."""

    def __init__(self, forwarder: Forwarder, service: str, timeout_ms: int = 10_000) -> None:
        self._forwarder = forwarder
        self._service = service
        self._timeout_ms = timeout_ms

    async def submit(self, partition: int, commands: Sequence[peer.SubmittedCommand]) -> Sequence[str]:
        """Each command's reason, empty when accepted. Raises `Unavailable`."""
        request = peer.SubmitRequest(partition=partition, commands=commands)
        response = peer.SubmitResponse.FromString(await self._call("Submit", partition, request.SerializeToString()))
        return [outcome.reason for outcome in response.outcomes]

    async def advance(self, partition: int, advances: Sequence[peer.Advance]) -> None:
        """Returns when the rows are durable. Raises `Unavailable`."""
        request = peer.AdvanceRequest(partition=partition, advances=advances)
        await self._call("Advance", partition, request.SerializeToString())

    async def _call(self, method: str, partition: int, request: bytes) -> bytes:
        full_method = f"/chapar.sourcing.peer.v1.OwnerService/{method}"
        try:
            answer = await self._forwarder.unary(
                self._service, partition, full_method, request, timeout_ms=self._timeout_ms
            )
        except ForwardFailed as failed:
            raise Unavailable(failed.status.message) from failed
        return answer.response
