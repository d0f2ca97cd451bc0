"""The process as it is started in earnest: `python -m chapar_identity` on SQLite, called over gRPC, killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from chapar.identity.v1 import identity_pb2 as api
from chapar.identity.v1 import identity_pb2_grpc as api_grpc
from chapar_chassis.refusals import DETAILS_KEY, error_info
from chapar_chassis.secrets import Secrets, create_installation
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.requests import make_request_id

PHONE = "+989121234567"
BOUND_SECONDS = 40.0


@dataclass
class Started:
    """A running process, its lines of log, and a channel to it."""

    lines: asyncio.StreamReader
    stub: Any
    peer_token: str

    async def call(self, request: Any, user_id: str = "", session_id: str = "") -> Any:
        """One call, as the gateway forwards it."""
        metadata = [("chapar-peer-token", self.peer_token)]
        if user_id:
            metadata += [("chapar-user", user_id), ("chapar-session", session_id)]
        method = type(request).__name__.removesuffix("Request")
        return await getattr(self.stub, method)(request, metadata=metadata, timeout=20)

    async def line(self, event: str) -> dict[str, Any]:
        """The next line of log about an event."""
        return await line_about(self.lines, event)


async def line_about(lines: asyncio.StreamReader, event: str) -> dict[str, Any]:
    async with asyncio.timeout(BOUND_SECONDS):
        async for line in lines:
            said: dict[str, Any] = json.loads(line)
            if said["event"] == event:
                return said
    raise AssertionError(f"the process ended without {event}")


@asynccontextmanager
async def started(data_dir: Path, **settings: str) -> AsyncIterator[Started]:
    """Starts the process, waits until it is ready, and kills it at the end."""
    secrets_dir = data_dir / "secrets" / "identity"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "chapar_identity",
        stdout=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "CHAPAR_DATA_DIR": str(data_dir),
            "CHAPAR_SECRETS_DIR": str(secrets_dir),
            **settings,
        },
    )
    try:
        assert process.stdout is not None
        ready = await line_about(process.stdout, "ready")
        assert ready["service"] == "identity"
        async with grpc.aio.insecure_channel(ready["address"], options=[("grpc.http2.bdp_probe", 0)]) as channel:
            stub = api_grpc.IdentityServiceStub(channel)
            yield Started(process.stdout, stub, Secrets(secrets_dir).peer_token())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def request_id() -> str:
    value = make_request_id(SystemClock().now_ms(), os.urandom(10)).hex()
    return "-".join((value[:8], value[8:12], value[12:16], value[16:20], value[20:]))


async def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    create_installation(tmp_path)
    async with started(tmp_path) as first:
        challenge = await first.call(api.StartSignInRequest(request_id=request_id(), phone=PHONE))
        shown = await first.line("sign_in_code")
        assert shown["phone"] == PHONE
        completion = api.CompleteSignInRequest(
            request_id=request_id(), challenge_id=challenge.challenge_id, code=shown["code"], device="گوشی"
        )
        signed_in = await first.call(completion)
        wish = api.SetUsernameRequest(request_id=request_id(), username="arash_k")
        caller = (signed_in.user_id, signed_in.session_id)
        assert (await first.call(wish, *caller)).username == "arash_k"
        change = api.SetUsernameRequest(request_id=request_id(), username="kamangir")
        interrupted = asyncio.create_task(first.call(change, *caller))
        await asyncio.sleep(0)
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
        await interrupted
    async with started(tmp_path) as second:
        assert await second.call(completion) == signed_in
        assert (await second.call(wish, *caller)).username == "arash_k"
        profile = (await second.call(api.GetProfileRequest(), *caller)).profile
        assert profile.phone == PHONE
        assert (await second.call(change, *caller)).username == "kamangir"
        assert (await second.call(wish, *caller)).username == "arash_k"
        assert (await second.call(api.GetProfileRequest(), *caller)).profile.username == "kamangir"
        refresh = api.RefreshTokensRequest(request_id=request_id(), refresh_token=signed_in.tokens.refresh_token)
        assert (await second.call(refresh)).tokens.refresh_token != signed_in.tokens.refresh_token


async def test_a_refusal_carries_status_reason_detail_and_retry(tmp_path: Path) -> None:
    create_installation(tmp_path)
    async with started(tmp_path) as process:
        await process.call(api.StartSignInRequest(request_id=request_id(), phone=PHONE))
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await process.call(api.StartSignInRequest(request_id=request_id(), phone=PHONE))
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailing = dict(iter(refusal.value.trailing_metadata() or ()))
        details = trailing[DETAILS_KEY]
        assert isinstance(details, bytes)
        reason, detail = error_info(details)
        assert reason == "REASON_RESEND_TOO_SOON"
        assert 0 < int(detail["retry_after_ms"]) <= 30_000


@asynccontextmanager
async def webhook() -> AsyncIterator[tuple[str, asyncio.Queue[Any]]]:
    """An HTTP endpoint on loopback: its address, and the JSON bodies that it takes over."""
    bodies: asyncio.Queue[Any] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        bodies.put_nowait(json.loads(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/codes", bodies


async def test_a_webhook_gets_the_code_and_the_log_shows_neither_code_nor_phone(tmp_path: Path) -> None:
    create_installation(tmp_path)
    async with webhook() as (url, bodies):
        settings = {"CHAPAR_CODE_DELIVERY": "webhook", "CHAPAR_CODE_WEBHOOK_URL": url, "CHAPAR_LOG_LEVEL": "debug"}
        async with started(tmp_path, **settings) as process:
            challenge = await process.call(api.StartSignInRequest(request_id=request_id(), phone=PHONE))
            async with asyncio.timeout(BOUND_SECONDS):
                sent = await bodies.get()
            assert (sent["phone"], sent["expire_time_ms"]) == (PHONE, challenge.expire_time_ms)
            completion = api.CompleteSignInRequest(
                request_id=request_id(), challenge_id=challenge.challenge_id, code=sent["code"], device="گوشی"
            )
            assert (await process.call(completion)).new_user
        logged = (await process.lines.read()).decode()
    assert "sign_in_code" not in logged
    assert PHONE[1:] not in logged
    assert f'"{sent["code"]}"' not in logged
