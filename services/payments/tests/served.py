"""Payments as it is served: the real host, handlers and interceptors over fakes of the ports, on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from chapar.payments.events.v1 import events_pb2 as events
from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar.payments.v1 import payments_pb2_grpc
from chapar.sourcing.journal.v1 import journal_pb2 as sourcing
from chapar_chassis.owner_server import add_owner, make_refusals, make_server
from chapar_chassis.peers import OPERATOR_KEY, PEER_TOKEN_KEY, SESSION_KEY, USER_KEY
from chapar_chassis.position_tokens import PositionTokens
from chapar_chassis.process import ServiceContext
from chapar_chassis.public_rpcs import ServedBy
from chapar_chassis.refusals import DETAILS_KEY, error_info
from chapar_chassis.secrets import Secrets
from chapar_chassis.settings import Address
from chapar_chassis.telemetry import Metrics, make_logger
from chapar_chassis.tracing import Tracing
from chapar_chassis.user_ids import UserIds
from chapar_payments.__main__ import build_service
from chapar_payments.published import TOPIC
from chapar_sourcing.adapters.memory import (
    Fault,
    MemoryDirectory,
    MemoryJournal,
    MemoryKeys,
    MemoryKeyStore,
    MemoryLog,
    MemoryMembers,
    MemoryStore,
    MemoryStream,
    MemoryTables,
    MemoryTopics,
)
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.fold import FoldState, Verdict, fold
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import HostConfig, HostPorts, HostRules, Topic
from chapar_sourcing.keyring import Keyring
from chapar_sourcing.measures import ENGINE
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.requests import make_request_id

from .books import Partition

PARTITIONS = 4
PEER_TOKEN = "ab" * 32
WAIT_SECONDS = 20
USER_IDS = UserIds(b"u" * 32)


def request_id() -> str:
    """A new request id as text."""
    value = make_request_id(SystemClock().now_ms(), os.urandom(10)).hex()
    return "-".join((value[:8], value[8:12], value[12:16], value[16:20], value[20:]))


def user_on(partition: int, number: int = 0) -> str:
    """A genuine user id whose wallet is on a partition; another for each number."""
    found = 0
    for seed in range(100_000):
        user_id = USER_IDS.mint(seed.to_bytes(10, "big"))
        if partition_of(user_id, PARTITIONS) == partition:
            if found == number:
                return user_id
            found += 1
    raise AssertionError("no such user")


@dataclass
class World:
    """What outlives a process."""

    log: MemoryLog = field(default_factory=lambda: MemoryLog(partitions=PARTITIONS))
    tables: MemoryTables = field(default_factory=MemoryTables)
    topics: MemoryTopics = field(default_factory=MemoryTopics)
    keys: MemoryKeys = field(default_factory=MemoryKeys)

    def entries(self) -> list[tuple[int, sourcing.Block, sourcing.Entry]]:
        """All valid entries of the log, partition by partition."""
        found = []
        for partition in range(PARTITIONS):
            state = FoldState()
            for record in self.log.records.get(partition, []):
                state, verdict, parsed = fold(state, record.offset, record.data)
                if verdict is Verdict.BLOCK:
                    found.extend((partition, parsed.block, entry) for entry in parsed.block.entries)
        return found

    def books(self) -> dict[int, dict[Any, Any]]:
        """The documents that follow from the log alone."""
        partitions = {number: Partition() for number in range(PARTITIONS)}
        for number, block, entry in self.entries():
            for event in entry.events.events:
                partitions[number].apply(journal.Event.FromString(event), block.time_ms)
        return {number: partition.documents for number, partition in partitions.items()}

    async def completed(self) -> list[str]:
        """Transfer ids of all public events, repetitions of the relay left out as a reader would."""
        stream = MemoryStream(self.topics)
        found = []
        for partition in range(PARTITIONS):
            last = None
            for entry in await stream.read(TOPIC, partition, 0, records_max=10_000):
                record = sourcing.StreamRecord.FromString(entry.data)
                previous = record.previous if record.HasField("previous") else None
                if previous == last:
                    last = record.position
                    found.append(events.Event.FromString(record.event).transfer_completed.transfer_id)
        return found


class Payments:
    """One running process and a client of it."""

    def __init__(self, host: OwnerHost, channel: grpc.aio.Channel, metrics: Metrics) -> None:
        self.host = host
        self.metrics = metrics
        self.users = payments_pb2_grpc.PaymentsServiceStub(channel)
        self.operators = payments_pb2_grpc.PaymentsOperatorServiceStub(channel)

    async def call(self, method: Any, request: Any, *, user: str = "", operator: str = "") -> Any:
        """Calls a method as a user or an operator."""
        metadata = [(PEER_TOKEN_KEY, PEER_TOKEN)]
        if user:
            metadata += [(USER_KEY, user), (SESSION_KEY, "session")]
        if operator:
            metadata += [(OPERATOR_KEY, operator)]
        return await method(request, metadata=metadata, timeout=WAIT_SECONDS)


async def refused(call: Any) -> tuple[str, str, Mapping[str, str]]:
    """Status, reason and detail of a call that must not succeed."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        details = dict(error.trailing_metadata() or ()).get(DETAILS_KEY, b"")
        assert isinstance(details, bytes)
        reason, detail = error_info(details)
        return error.code().name, reason, detail
    raise AssertionError(f"accepted: {answer}")


@contextlib.asynccontextmanager
async def served(world: World, *, fault: Fault | None = None, orderly: bool = True) -> AsyncIterator[Payments]:
    """Runs payments on a world; at the end in order, or dying on the spot."""
    clock = SystemClock()
    service = build_service()
    metrics = Metrics(CollectorRegistry(), {**ENGINE, **service.measures})
    log = make_logger("payments", "error", io.StringIO())
    sealer = Keyring(MemoryKeyStore(world.keys), master_key=b"m" * 32, clock=clock, randomness=os.urandom)
    context = ServiceContext(
        settings=SimpleNamespace(partitions=PARTITIONS),
        secrets=Secrets(Path("/nonexistent")),
        sealer=sealer,
        user_ids=USER_IDS,
        randomness=os.urandom,
        now_ms=clock.now_ms,
        log=log,
        measures=metrics,
    )
    api = service.api(context)

    def published(event: Any, when: Any) -> Any:
        made = service.public_event(event, when)
        return () if made is None else (made,)

    host = OwnerHost(
        HostConfig(service="payments", address="test", read_policy=service.read_policy, projection_linger_ms=5),
        HostPorts(
            journal=MemoryJournal(world.log, fault=fault),
            store=MemoryStore(world.tables),
            members=MemoryMembers(MemoryDirectory()),
            stream=MemoryStream(world.topics, topics={TOPIC: None}, partitions=PARTITIONS),
        ),
        HostRules(
            domain=service.domain,
            reactions=service.reactions(context),
            topics=[Topic(TOPIC)],
            public_event=published,
        ),
    )
    host.beside = service.beside(context, host) if service.beside else None
    server = make_server(
        make_refusals("payments", api, metrics, log), PEER_TOKEN, metrics, tracing := Tracing("payments"), log
    )
    address = server.bind(Address("127.0.0.1", 0))
    positions = PositionTokens(b"p" * 32, "payments", host.generation)
    add_owner(server, api, ServedBy(host, sealer, positions, service.domain.event_type), (), development=False)
    running = asyncio.create_task(host.run())
    await server.start()
    try:
        async with grpc.aio.insecure_channel(str(address)) as channel, asyncio.timeout(120):
            await host.wait_ready()
            yield Payments(host, channel, metrics)
    finally:
        if orderly:
            host.stop()
        else:
            running.cancel()
        await asyncio.wait((running,))
        await server.grpc.stop(None)
        tracing.close()
