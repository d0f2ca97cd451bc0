"""Presence as it is served: the real host, leases and watches over fakes of the ports, on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from chapar.messaging.events.v1 import events_pb2 as messaging
from chapar.presence.journal.v1 import journal_pb2 as journal
from chapar.presence.peer.v1 import peer_pb2 as leases
from chapar.presence.peer.v1 import peer_pb2_grpc as leases_grpc
from chapar.presence.v1.presence_pb2 import Presence
from chapar.sourcing.journal.v1 import journal_pb2 as sourcing
from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar.sourcing.peer.v1 import peer_pb2_grpc
from chapar_chassis.owner_server import add_owner, make_refusals, make_server
from chapar_chassis.peers import PEER_TOKEN_KEY
from chapar_chassis.position_tokens import PositionTokens
from chapar_chassis.process import ServiceContext
from chapar_chassis.public_rpcs import ServedBy
from chapar_chassis.secrets import Secrets
from chapar_chassis.settings import Address
from chapar_chassis.telemetry import Metrics, make_logger
from chapar_chassis.tracing import Tracing
from chapar_chassis.user_ids import UserIds
from chapar_presence.__main__ import build_service
from chapar_presence.announcer import Announcer, Boards
from chapar_presence.lease_service import LeaseServicer
from chapar_presence.published import TOPIC
from chapar_sourcing.adapters.memory import (
    MemoryDirectory,
    MemoryJournal,
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
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.partitions import partition_of

PARTITIONS = 2
PEER_TOKEN = "ab" * 32
WAIT_SECONDS = 20
MESSAGING_TOPIC = "messaging.events.v1"
LEASE_MS = 60_000


@dataclass
class World:
    """What outlives a process."""

    log: MemoryLog = field(default_factory=lambda: MemoryLog(partitions=PARTITIONS))
    tables: MemoryTables = field(default_factory=MemoryTables)
    topics: MemoryTopics = field(default_factory=MemoryTopics)
    told: dict[int, int] = field(default_factory=dict)

    def events(self) -> list[journal.Event]:
        """All events of the log, partition by partition."""
        found = []
        for partition in range(PARTITIONS):
            state = FoldState()
            for record in self.log.records.get(partition, []):
                state, verdict, parsed = fold(state, record.offset, record.data)
                if verdict is Verdict.BLOCK:
                    values = [value for entry in parsed.block.entries for value in entry.events.events]
                    found.extend(journal.Event.FromString(value) for value in values)
        return found

    def comings(self, user_id: str) -> list[str]:
        """The comings and goings of a user."""
        return [
            kind
            for event in self.events()
            if (kind := str(event.WhichOneof("kind"))) != "membership_recorded"
            and getattr(event, kind).user_id == user_id
        ]

    async def tell(self, conversation: str, user_id: str, *, member: bool, sequence: int, partition: int = 0) -> None:
        """Messaging publishes a fact, at the partition of the conversation."""
        stream = MemoryStream(self.topics, topics={MESSAGING_TOPIC: None}, partitions=PARTITIONS)
        n = self.told[partition] = self.told.get(partition, 0) + 1
        changed = messaging.MembershipChanged(
            conversation_id=conversation, user_id=user_id, member=member, change_sequence=sequence
        )
        record = sourcing.StreamRecord(
            position=sourcing.SourcePosition(offset=n),
            previous=sourcing.SourcePosition(offset=n - 1) if n > 1 else None,
            source_hash=bytes(32),
            time_ms=SystemClock().now_ms(),
            event=messaging.Event(membership_changed=changed).SerializeToString(),
        )
        await stream.publish(MESSAGING_TOPIC, partition, [record.SerializeToString()])


class Running:
    """One running process and what peers ask of it."""

    def __init__(self, host: OwnerHost, channel: grpc.aio.Channel, task: asyncio.Task[None]) -> None:
        self.host = host
        self._task = task
        self._leases = leases_grpc.LeaseServiceStub(channel)
        self._owner = peer_pb2_grpc.OwnerServiceStub(channel)
        self._metadata = ((PEER_TOKEN_KEY, PEER_TOKEN),)

    async def crash(self) -> None:
        """Ends as a killed process does: nothing is written any more."""
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def renew(self, request: leases.RenewRequest, token: str = PEER_TOKEN) -> None:
        """One call of a gateway."""
        metadata = ((PEER_TOKEN_KEY, token),) if token else ()
        await self._leases.Renew(request, metadata=metadata, timeout=WAIT_SECONDS)

    async def lease(self, *online: str, ended: tuple[str, ...] = (), gateway: str = "g1") -> None:
        """Leases of users who share a partition, once the partition takes leases."""
        request = leases.RenewRequest(
            partition=partition_of((*online, *ended)[0], PARTITIONS),
            gateway_id=gateway,
            lease_ms=LEASE_MS,
            online_user_ids=online,
            ended_user_ids=ended,
        )
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                try:
                    return await self.renew(request)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                    await asyncio.sleep(0.02)

    async def is_member(self, user_id: str, conversation: str) -> bool:
        """What a gateway asks before a watch."""
        request = leases.CheckMembershipRequest(
            partition=partition_of(user_id, PARTITIONS), user_id=user_id, conversation_id=conversation
        )
        answer = await self._leases.CheckMembership(request, metadata=self._metadata, timeout=WAIT_SECONDS)
        return bool(answer.member)

    @contextlib.asynccontextmanager
    async def watch(self, key: str, watcher: str, basis: str) -> AsyncIterator[Watch]:
        """A live view of a user's presence."""
        request = peer.WatchRequest(partition=partition_of(key, PARTITIONS), key=key, user_id=watcher, basis=basis)
        call = self._owner.Watch(request, metadata=self._metadata)
        try:
            yield Watch(call)
        finally:
            call.cancel()


class Watch:
    """Frames of one watch."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def next(self) -> Presence | str:
        """The next presence shown, or why the watch ended."""
        async with asyncio.timeout(WAIT_SECONDS):
            frame = await self._call.read()
        assert isinstance(frame, peer.WatchResponse)
        match frame.WhichOneof("kind"):
            case "reset":
                return Presence.FromString(frame.reset)
            case "hint":
                return Presence.FromString(frame.hint)
            case kind:
                assert kind == "detach"
                return frame.detach


def user_on(partition: int, number: int = 0) -> str:
    """A user id whose documents are on a partition; another for each number."""
    found = [f"user-{n}" for n in range(200) if partition_of(f"user-{n}", PARTITIONS) == partition]
    return found[number]


@contextlib.asynccontextmanager
async def served(
    world: World, *, grace_ms: int, restart_lease_ms: int = 6_000, members: MemoryDirectory | None = None,
    address: str = "test",
) -> AsyncIterator[Running]:  # fmt: skip
    """Runs presence on a world until the end of the block: the only process, or one of the members."""
    clock = SystemClock()
    service = build_service()
    log = make_logger("presence", "error", io.StringIO())
    sealer = Keyring(MemoryKeyStore(), master_key=b"m" * 32, clock=clock, randomness=os.urandom)
    context = ServiceContext(
        settings=None,
        secrets=Secrets(Path("/nonexistent")),
        sealer=sealer,
        user_ids=UserIds(b"u" * 32),
        randomness=os.urandom,
        now_ms=clock.now_ms,
        log=log,
        measures=HeldMeasures(),
    )
    api = service.api(context)

    def published(event: Any, when: Any) -> Any:
        made = service.public_event(event, when)
        return () if made is None else (made,)

    topics = {TOPIC: None, MESSAGING_TOPIC: None}
    host = OwnerHost(
        HostConfig(
            service="presence",
            address=address,
            read_policy=service.read_policy,
            projection_linger_ms=5,
            beat_interval_ms=50,
        ),
        HostPorts(
            journal=MemoryJournal(world.log),
            store=MemoryStore(world.tables),
            members=MemoryMembers(members or MemoryDirectory()),
            stream=MemoryStream(world.topics, topics=topics, partitions=PARTITIONS),
        ),
        HostRules(
            domain=service.domain,
            reactions=service.reactions(context),
            topics=[Topic(TOPIC)],
            public_event=published,
            watch=api.watch,
        ),
    )
    boards: Boards = {}
    host.beside = Announcer(
        boards, host, grace_ms=grace_ms, randomness=os.urandom, log=log, restart_lease_ms=restart_lease_ms
    ).keep
    metrics = Metrics(CollectorRegistry())
    server = make_server(
        make_refusals("presence", api, metrics, log), PEER_TOKEN, metrics, tracing := Tracing("presence"), log
    )
    address = server.bind(Address("127.0.0.1", 0))
    served_by = ServedBy(host, sealer, PositionTokens(b"p" * 32, "presence", 1), service.domain.event_type)
    servicer = LeaseServicer(boards, host)
    add_owner(
        server,
        api,
        served_by,
        (lambda grpc_server: leases_grpc.add_LeaseServiceServicer_to_server(servicer, grpc_server),),
        development=False,
    )
    running = asyncio.create_task(host.run())
    await server.start()
    try:
        async with grpc.aio.insecure_channel(str(address)) as channel, asyncio.timeout(120):
            await host.wait_ready()
            yield Running(host, channel, running)
    finally:
        await server.grpc.stop(None)
        host.stop()
        await asyncio.wait((running,))
        tracing.close()
