"""What e2e tests share: their marks, expected refusals, what of a person's state can be seen."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2

from chapar_client.demo import Person, eventually
from chapar_client.sdk import Refused

E2E = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("e2e"), pytest.mark.timeout(180)]
"""All tests of a session share one set of processes, one loop and one worker."""

Status = grpc.StatusCode


async def refused(call: Awaitable[object], reason: str, status: grpc.StatusCode) -> Refused:
    """Awaits a call that must be refused exactly so."""
    with pytest.raises(Refused) as caught:
        await call
    assert (caught.value.reason, caught.value.status) == (reason, status)
    return caught.value


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a raw call ended."""

    status: grpc.StatusCode
    reason: str = ""
    domain: str = ""
    answer: bytes = b""


async def raw_call(
    address: str, path: str, content: bytes, metadata: tuple[tuple[str, str], ...] = (), *, timeout_s: float = 10
) -> Outcome:
    """One call with any bytes and any metadata, as no SDK would make it."""
    options = (("grpc.http2.bdp_probe", 0), ("grpc.max_send_message_length", -1))
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        try:
            method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
            answer = await method(content, metadata=metadata, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return _outcome(error)
        return Outcome(Status.OK, answer=answer)


def _outcome(error: grpc.aio.AioRpcError) -> Outcome:
    info = error_details_pb2.ErrorInfo()
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            for packed in status_pb2.Status.FromString(value).details:
                packed.Unpack(info)
                if info.reason:
                    break
    return Outcome(error.code(), info.reason, info.domain)


async def bearer(person: Person) -> tuple[tuple[str, str], ...]:
    """The metadata of a person's session."""
    return (("authorization", f"Bearer {(await person.client.session()).access_token}"),)


async def listed(person: Person, room: str, head: int) -> None:
    """Waits until a person's inbox has heard of the message `head`: it follows conversations within moments."""

    async def heard() -> bool:
        row = await person.row(room)
        return row is not None and row.head_sequence >= head

    await eventually(heard, f"message {head} in the inbox of {person.name}")


async def state_of(person: Person) -> dict[str, Any]:
    """Everything a person can see of their own state: equal before and after what must change nothing."""
    client = person.client
    rows = [row async for row in client.messaging.inbox_rows()]
    return {
        "profile": (await client.identity.get_profile()).SerializeToString(),
        "sessions": [session.session_id async for session in client.identity.sessions()],
        "inbox": [row.SerializeToString() for row in rows],
        "members": {
            row.conversation_id: [
                member.SerializeToString() async for member in client.messaging.members(row.conversation_id)
            ]
            for row in rows
        },
        "wallet": (await client.payments.get_wallet()).SerializeToString(),
        "statement": [line.SerializeToString() async for line in client.payments.statement()],
    }
