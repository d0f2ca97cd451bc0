"""How a process reaches the owner of a partition: the Forwarder port and its first implementation, plain gRPC.

Addresses come from `Members` and may be wrong, which is harmless: the owner answers NOT_OWNER, and the same call is
tried again at whoever owns the partition now, within its deadline. That is safe because every mutating call carries a
request id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_chassis.refusals import CallEnded

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
