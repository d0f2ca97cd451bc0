"""The process as it is started in earnest: `python -m chapar_messaging` on SQLite, called over gRPC, killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from chapar.messaging.v1 import messaging_pb2 as api
from chapar.messaging.v1 import messaging_pb2_grpc as api_grpc
from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar.sourcing.peer.v1 import peer_pb2_grpc as peer_grpc
from chapar_chassis.refusals import DETAILS_KEY, error_info
from chapar_chassis.secrets import Secrets, create_installation
from chapar_chassis.user_ids import UserIds
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.requests import make_request_id

PARTITIONS = 16
BOUND_SECONDS = 40.0


@dataclass
class Started:
    """A running process and a channel to it."""

    process: asyncio.subprocess.Process
    channel: grpc.aio.Channel
    peer_token: str

    async def call(self, user_id: str, method: str, request: object, key: str) -> object:
        """One call, as the gateway forwards it."""
        metadata = [
            ("chapar-peer-token", self.peer_token),
            ("chapar-partition", str(partition_of(key, PARTITIONS))),
            ("chapar-key", key),
            ("chapar-user", user_id),
            ("chapar-session", "session"),
        ]
        stub = api_grpc.MessagingServiceStub(self.channel)
        return await getattr(stub, method)(request, metadata=metadata, timeout=20)

    async def digest(self, partition: int) -> peer.DigestResponse:
        """A partition's digest."""
        stub = peer_grpc.OwnerServiceStub(self.channel)
        request = peer.DigestRequest(partition=partition)
        return await stub.Digest(request, metadata=[("chapar-peer-token", self.peer_token)], timeout=20)


@asynccontextmanager
async def started(data_dir: Path) -> AsyncIterator[Started]:
    """Starts the process, waits until it is ready, and kills it at the end."""
    secrets_dir = data_dir / "secrets" / "messaging"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "chapar_messaging",
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "CHAPAR_DATA_DIR": str(data_dir), "CHAPAR_SECRETS_DIR": str(secrets_dir)},
    )
    try:
        async with asyncio.timeout(BOUND_SECONDS):
            address = await _ready_address(process)
        async with grpc.aio.insecure_channel(address, options=[("grpc.http2.bdp_probe", 0)]) as channel:
            yield Started(process, channel, Secrets(secrets_dir).peer_token())
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def _ready_address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async for line in process.stdout:
        said = json.loads(line)
        if said.get("event") == "ready":
            assert said["service"] == "messaging"
            return str(said["address"])
    raise AssertionError("the process ended before it was ready")


def request_id() -> str:
    value = make_request_id(SystemClock().now_ms(), os.urandom(10)).hex()
    return "-".join((value[:8], value[8:12], value[12:16], value[16:20], value[20:]))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    create_installation(tmp_path / "data")
    return tmp_path / "data"


async def test_what_was_acknowledged_survives_a_kill_and_is_not_doubled(data_dir: Path) -> None:
    user_ids = UserIds(Secrets(data_dir / "secrets" / "messaging").key("user_ids.key"))
    ali, mina = (user_ids.mint(bytes([number] * 10)) for number in (1, 2))
    talk = f"d.{min(ali, mina)}.{max(ali, mina)}"
    sent = [
        api.SendMessageRequest(request_id=request_id(), conversation_id=talk, text=f"سلام {number}")
        for number in range(20)
    ]
    async with started(data_dir) as first:
        answers = [await first.call(ali, "SendMessage", request, talk) for request in sent]
    async with started(data_dir) as second:
        assert [await second.call(ali, "SendMessage", request, talk) for request in sent] == answers
        request = api.ListMessagesRequest(conversation_id=talk)
        page = await second.call(mina, "ListMessages", request, talk)
        assert isinstance(page, api.ListMessagesResponse)
        assert [message.text for message in page.messages] == [request.text for request in sent]
        assert [message.sequence for message in page.messages] == list(range(1, 21))

        async def unread() -> int:
            inbox = await second.call(mina, "ListInbox", api.ListInboxRequest(), mina)
            assert isinstance(inbox, api.ListInboxResponse)
            return sum(row.unread_count for row in inbox.rows)

        async with asyncio.timeout(BOUND_SECONDS):
            while True:
                if await unread() == 20:
                    break
                await asyncio.sleep(0.05)
        digest = await second.digest(partition_of(talk, PARTITIONS))
        assert digest.alarms == 0
        assert digest.documents >= 20 + 3


async def test_a_refusal_carries_its_status_reason_and_domain(data_dir: Path) -> None:
    user_ids = UserIds(Secrets(data_dir / "secrets" / "messaging").key("user_ids.key"))
    ali, mina = (user_ids.mint(bytes([number] * 10)) for number in (1, 2))
    talk = f"d.{min(ali, mina)}.{max(ali, mina)}"
    async with started(data_dir) as process:
        for request, code, reason in [
            (
                api.SendMessageRequest(request_id=request_id(), conversation_id=talk, text=""),
                grpc.StatusCode.INVALID_ARGUMENT,
                "REASON_TEXT_EMPTY",
            ),
            (
                api.SendMessageRequest(request_id=request_id(), conversation_id=talk, text="x", reply_to_sequence=3),
                grpc.StatusCode.NOT_FOUND,
                "REASON_REPLY_TARGET_UNKNOWN",
            ),
        ]:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await process.call(ali, "SendMessage", request, talk)
            assert refused.value.code() == code
            details = dict(refused.value.trailing_metadata() or ())[DETAILS_KEY]
            assert isinstance(details, bytes)
            assert error_info(details)[0] == reason
