"""The toy served in this process: the real host on memory adapters behind a real server on a loopback port."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from chapar_chassis.api import ServiceApi
from chapar_chassis.owner_server import add_owner, make_refusals, make_server
from chapar_chassis.position_tokens import PositionTokens
from chapar_chassis.public_rpcs import ServedBy
from chapar_chassis.refusals import DETAILS_KEY, error_info
from chapar_chassis.rpc_server import RpcServer
from chapar_chassis.settings import Address
from chapar_chassis.telemetry import Metrics, make_logger
from chapar_chassis.tracing import Tracing
from chapar_sourcing.adapters.memory import (
    MemoryDirectory,
    MemoryJournal,
    MemoryKeyStore,
    MemoryMembers,
    MemoryStore,
    MemoryStream,
)
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import HostConfig, HostPorts, HostRules
from chapar_sourcing.keyring import Keyring
from chapar_sourcing.requests import SEALED_MS_MAX, make_request_id

from . import toy

PEER_TOKEN = "ab" * 32
POSITION_KEY = bytes(range(32))
PARTITIONS = 4
PATIENCE_SECONDS = 20.0
AS_USER = (("chapar-user", "ali"), ("chapar-session", "session-1"))
AS_OPERATOR = (("chapar-operator", "cashier"),)
COUNTERS = "/chapar.toy.v1.CounterService"


@dataclass(frozen=True, slots=True)
class Failed:
    """How a call failed."""

    code: grpc.StatusCode
    reason: str
    detail: dict[str, str]
    text: str
    """Everything that a client sees of it."""


@dataclass(slots=True)
class Client:
    """Calls a server as a peer does."""

    channel: grpc.aio.Channel
    peer_token: str = PEER_TOKEN
    trailing: dict[str, Any] = field(default_factory=dict)
    """Trailing metadata of the last call that ended well."""

    async def send(
        self, method: str, data: bytes, metadata: Sequence[tuple[str, Any]] = AS_USER, timeout: float | None = 20.0
    ) -> bytes | Failed:
        """One unary call: the reply's bytes, or how it failed."""
        shown = (("chapar-peer-token", self.peer_token),) if self.peer_token else ()
        begin: Any = self.channel.unary_unary(method)
        call = begin(data, metadata=(*metadata, *shown), timeout=timeout)
        try:
            reply: bytes = await call
        except grpc.aio.AioRpcError as error:
            return failed(error)
        self.trailing = dict(await call.trailing_metadata())
        return reply

    async def add(self, counter_id: str, amount: int, *, request_id: str | None = None, **options: Any) -> Any:
        """Adds, with a new request id unless one is given."""
        request = toy.AddRequest(
            request_id=new_id() if request_id is None else request_id, counter_id=counter_id, amount=amount
        )
        reply = await self.send(f"{COUNTERS}/Add", request.SerializeToString(), **options)
        return reply if isinstance(reply, Failed) else toy.AddResponse.FromString(reply).value

    async def value(self, counter_id: str, **options: Any) -> Any:
        """What a counter stands at."""
        request = toy.GetCounterRequest(counter_id=counter_id)
        reply = await self.send(f"{COUNTERS}/GetCounter", request.SerializeToString(), **options)
        return reply if isinstance(reply, Failed) else toy.GetCounterResponse.FromString(reply).value


@dataclass(slots=True)
class Toy(Client):
    """The running toy."""

    host: OwnerHost = field(kw_only=True)
    server: RpcServer = field(kw_only=True)
    metrics: Metrics = field(kw_only=True)
    keyring: Keyring = field(kw_only=True)
    directory: MemoryDirectory = field(kw_only=True)
    address: Address = field(kw_only=True)
    output: io.StringIO = field(kw_only=True)

    def lines(self) -> list[dict[str, Any]]:
        """What was logged."""
        return [json.loads(line) for line in self.output.getvalue().splitlines()]


async def eventually(holds: Callable[[], object]) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 - whatever is asked has no event to wait for.
            await asyncio.sleep(0.01)


def new_id() -> str:
    """A fresh request id."""
    raw = make_request_id(SystemClock().now_ms(), os.urandom(10)).hex()
    return "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))


def failed(error: grpc.aio.AioRpcError) -> Failed:
    """A call's error, taken apart."""
    trailing = dict(error.trailing_metadata() or ())
    details = trailing.get(DETAILS_KEY, b"")
    reason, detail = error_info(details if isinstance(details, bytes) else b"")
    return Failed(error.code(), reason, dict(detail), f"{error.details()} {trailing}")


@asynccontextmanager
async def running_toy(
    api: ServiceApi | None = None, *, keyring: Keyring | None = None, sealed_ms_max: int = SEALED_MS_MAX
) -> AsyncIterator[Toy]:
    """Starts the toy and waits until it is ready; ends it in order."""
    output, metrics, tracing = io.StringIO(), Metrics(CollectorRegistry()), Tracing("toy")
    log = make_logger("toy", "debug", output)
    api = api or toy.toy_api()
    keyring = keyring or Keyring(MemoryKeyStore(), master_key=bytes(32), clock=SystemClock(), randomness=os.urandom)
    server = make_server(make_refusals("toy", api, metrics, log), PEER_TOKEN, metrics, tracing, log)
    address = server.bind(Address("127.0.0.1", 0))
    members = MemoryMembers()
    host = OwnerHost(
        HostConfig(service="toy", address=str(address)),
        HostPorts(
            journal=MemoryJournal(partitions=PARTITIONS), store=MemoryStore(), members=members, stream=MemoryStream()
        ),
        HostRules(domain=toy.ToyDomain(), watch=api.watch),
        measures=metrics,
    )
    add_owner(
        server,
        api,
        ServedBy(
            host,
            keyring,
            PositionTokens(POSITION_KEY, "toy", host.generation),
            toy.Event,
            on_ahead=lambda partition, offset: log.error("ahead", partition=partition, offset=offset),
            sealed_ms_max=sealed_ms_max,
        ),
        [],
        development=True,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(host.run())
        await server.start()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await host.wait_ready()
        await server.set_ready(True)
        async with grpc.aio.insecure_channel(str(address)) as channel:
            yield Toy(
                channel,
                host=host,
                server=server,
                metrics=metrics,
                keyring=keyring,
                directory=members.directory,
                address=address,
                output=output,
            )
        await server.stop(0, turn_away_seconds=0)
        host.stop()
