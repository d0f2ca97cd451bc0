"""One process of an owner service by itself: how it ends when it is refused, what it says while it decides nothing, and
what journals and database hold before and after it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pymongo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pymongo.database import Database

from chapar_chassis.ports import open_journal
from chapar_chassis.settings import CommonSettings
from chapar_client.demo import eventually
from chapar_client.up import ANY_PORT, OWNERS, Installation
from chapar_sourcing.ports import Journal, Unavailable
from tools.server_process import free_ports

PATIENCE_S = 90.0

Held = dict[str, str]
"""Collection -> digest of all its documents."""


class Alone:
    """A process that runs and is not ready."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self._process = process
        self._address = address

    async def problems(self, settled: Callable[[Mapping[str, int]], bool]) -> Mapping[str, int]:
        """What keeps it from being ready and in how many partitions, once that is `settled`; it never is ready."""
        assert self._process.stdout is not None
        said: list[str] = []
        try:
            async with asyncio.timeout(PATIENCE_S):
                while line := (await self._process.stdout.readline()).decode():
                    said.append(line)
                    fields = json.loads(line) if line.startswith("{") else {}
                    assert fields.get("event") != "ready"
                    if fields.get("event") == "not_ready" and settled(fields["problems"]):
                        problems: Mapping[str, int] = fields["problems"]
                        return problems
        except TimeoutError:
            raise AssertionError(f"nothing of the kind was said: {said[-5:]}") from None
        raise AssertionError(f"it ended with {await self._process.wait()}: {said[-5:]}")

    async def ready(self) -> None:
        """Returns once it is."""
        assert self._process.stdout is not None
        said: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while line := (await self._process.stdout.readline()).decode():
                said.append(line)
                if '"event": "ready"' in line:
                    return
        raise AssertionError(f"it ended with {await self._process.wait()}: {said[-5:]}")

    async def health(self) -> int:
        """What it tells those who ask whether it serves."""
        async with grpc.aio.insecure_channel(self._address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            return int((await stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S)).status)


@asynccontextmanager
async def alone(
    installation: Installation, service: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Alone]:
    """Runs a service's process; at the end of the block it ends in good order."""
    (port,) = free_ports(None)
    address = f"127.0.0.1:{port}"
    process = await asyncio.create_subprocess_exec(
        *installation.command(service),
        env={**installation.environment(service, listen=address), **(environment or {})},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield Alone(process, address)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ends(installation: Installation) -> dict[tuple[str, int], int]:
    """The end offset of each partition of each journal."""
    found = {}
    for service in OWNERS:
        environment = installation.environment(service, listen=ANY_PORT)
        journal = await open_journal(CommonSettings.from_environ(environment), service)
        try:
            for partition in range(journal.partitions):
                found[service, partition] = await _end(journal, partition)
        finally:
            await journal.close()
    return found


async def _end(journal: Journal, partition: int) -> int:
    """A broker that was just started leads its partitions a little later."""
    end = -1

    async def known() -> bool:
        nonlocal end
        try:
            end = await journal.end_offset(partition)
        except Unavailable:
            return False
        return True

    await eventually(known, f"the end of partition {partition}", timeout_s=PATIENCE_S)
    return end


def held(uri: str, name: str) -> Held:
    """What a database holds."""
    digests = {}
    client: pymongo.MongoClient[dict[str, Any]]
    with pymongo.MongoClient(uri) as client:
        database: Database[dict[str, Any]] = client.get_database(name)
        for collection in sorted(database.list_collection_names()):
            rows = sorted(repr(sorted(row.items())) for row in database[collection].find())
            digests[collection] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return digests
