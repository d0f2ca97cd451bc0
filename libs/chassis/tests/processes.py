"""Starting the toy as a real process on a real data folder."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chapar_chassis.secrets import Secrets

from .rig import PATIENCE_SECONDS, Client

HERE = Path(__file__).parent
COMMAND = (sys.executable, "-m", "tests.toy_process")
START_SECONDS = 60.0
"""Starting an interpreter with all libraries takes its time on a busy machine."""


@dataclass
class Running:
    """A started process."""

    process: asyncio.subprocess.Process
    client: Client
    lines: list[dict[str, Any]]
    """What it logged; complete at its end."""

    def logged(self, event: str) -> dict[str, Any]:
        """The first log line of an event."""
        return next(line for line in self.lines if line["event"] == event)

    @property
    def ready(self) -> dict[str, Any]:
        """The line that said where it serves."""
        return self.logged("ready")

    async def metrics(self) -> str:
        """Its metrics, as a collector reads them."""
        page = f"http://{self.ready['metrics_address']}/metrics"
        return await asyncio.to_thread(lambda: urllib.request.urlopen(page, timeout=20).read().decode())

    async def end(self, number: int) -> int:
        """Sends a signal and waits for the end; returns the exit status."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)


async def begin(environ: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    """Starts a process with both outputs captured."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, env=environ, cwd=HERE.parent, stdout=pipe, stderr=pipe
    )


async def finished(environ: dict[str, str], *arguments: str) -> tuple[int | None, str, str]:
    """Runs a process to its end: exit status and both outputs."""
    process = await begin(environ, *arguments)
    try:
        output, errors = await asyncio.wait_for(process.communicate(), START_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode(), errors.decode()


async def until_ready(process: asyncio.subprocess.Process) -> list[dict[str, Any]]:
    """Reads its log up to the line that says ready."""
    assert process.stdout is not None
    lines: list[dict[str, Any]] = []
    async with asyncio.timeout(START_SECONDS):
        while line := await process.stdout.readline():
            lines.append(json.loads(line))
            if lines[-1]["event"] == "ready":
                return lines
    raise AssertionError(f"it ended with {await process.wait()}")


@asynccontextmanager
async def started(environ: dict[str, str]) -> AsyncIterator[Running]:
    """A process that is ready; killed at the end, should it still run."""
    process = await begin(environ)
    lines: list[dict[str, Any]] = []
    try:
        lines += await until_ready(process)
        async with grpc.aio.insecure_channel(lines[-1]["address"]) as channel:
            token = Secrets(Path(environ["CHAPAR_SECRETS_DIR"])).peer_token()
            yield Running(process, Client(channel, token), lines)
    finally:
        if process.returncode is None:
            process.kill()
        output, _ = await process.communicate()
        lines += [json.loads(line) for line in output.splitlines()]


async def digests(environ: dict[str, str]) -> tuple[int | None, list[dict[str, Any]]]:
    """Exit status and rows of the sub-command."""
    status, output, errors = await finished(environ, "digest")
    assert errors == ""
    return status, [json.loads(line) for line in output.splitlines()]


async def health(channel: grpc.aio.Channel, name: str) -> int:
    """What the health service says."""
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE_SECONDS)
    return int(answer.status)
