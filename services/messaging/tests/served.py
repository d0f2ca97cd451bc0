"""Messaging on the real engine, its ports in memory: what outlives a process, and a process that can be crashed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from google.protobuf.message import Message

from chapar.messaging.events.v1 import events_pb2 as events
from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.messaging.v1 import messaging_pb2 as api
from chapar.payments.events.v1 import events_pb2 as payments
from chapar.sourcing.journal.v1 import journal_pb2 as sourcing
from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_chassis.api import Accepted, Caller
from chapar_messaging.api import messaging_api
from chapar_messaging.domain import MessagingDomain
from chapar_messaging.publishing import TOPIC, public_event
from chapar_messaging.reactors.fan_out import FanOut
from chapar_messaging.reactors.payment_cards import PaymentCards
from chapar_sourcing.adapters.memory import (
    MemoryDirectory,
    MemoryJournal,
    MemoryKeys,
    MemoryLog,
    MemoryMembers,
    MemoryStore,
    MemoryStream,
    MemoryTables,
    MemoryTopics,
)
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.domain import Refused
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import HostConfig, HostPorts, HostRules, Request, Topic
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.requests import make_request_id

from .office import USER_IDS
from .sealing import make_sealer

PARTITIONS = 4
BOUND_SECONDS = 30.0
PAYMENTS_TOPIC = "payments.events.v1"


@dataclass
class World:
    """What outlives a process."""

    log: MemoryLog = field(default_factory=lambda: MemoryLog(partitions=PARTITIONS))
    tables: MemoryTables = field(default_factory=MemoryTables)
    topics: MemoryTopics = field(default_factory=MemoryTopics)
    keys: MemoryKeys = field(default_factory=MemoryKeys)

    def __post_init__(self) -> None:
        self.payments = MemoryStream(self.topics, topics={PAYMENTS_TOPIC: None}, partitions=PARTITIONS)

    async def pay(self, partition: int, offset: int, previous: int | None, payer: str, payee: str) -> None:
        """Publishes a completed transfer, as payments' relay does, with its place in payments' journal."""
        transfer = payments.TransferCompleted(
            transfer_id=f"t{offset}", payer_user_id=payer, payee_user_id=payee, amount_rials=1_000 * offset
        )
        record = sourcing.StreamRecord(
            position=sourcing.SourcePosition(offset=offset),
            previous=None if previous is None else sourcing.SourcePosition(offset=previous),
            source_hash=offset.to_bytes(32, "big"),
            time_ms=SystemClock().now_ms(),
            event=payments.Event(transfer_completed=transfer).SerializeToString(),
        )
        await self.payments.publish(PAYMENTS_TOPIC, partition, [record.SerializeToString()])

    def published(self) -> Sequence[events.MembershipChanged]:
        """All public events of messaging so far."""
        logs = (self.topics.log(TOPIC, partition) for partition in range(PARTITIONS))
        records = [sourcing.StreamRecord.FromString(entry.data) for log in logs for _, entry in log.entries]
        return [events.Event.FromString(record.event).membership_changed for record in records if record.event]


@dataclass
class Process:
    """A running messaging service, called as the chassis calls it."""

    world: World
    host: OwnerHost
    task: asyncio.Task[None]

    def __post_init__(self) -> None:
        self._sealer = make_sealer(self.world.keys)
        self._api = messaging_api(self._sealer, USER_IDS)

    def caller(self, user_id: str, key: str, request_id: bytes = b"") -> Caller:
        """A session of a user that calls for `key`."""
        now_ms = self.host.now_ms
        return Caller(
            actor=sourcing.Actor(user=user_id),
            key=key,
            partition=partition_of(key, PARTITIONS),
            deadline_ms=now_ms + int(BOUND_SECONDS * 1_000),
            now_ms=now_ms,
            user_id=user_id,
            request_id=request_id,
        )

    async def query(self, user_id: str, method: str, request: Message) -> Message | Refused:
        """What a query gives."""
        caller = self.caller(user_id, getattr(request, "conversation_id", user_id))
        answer = self._api.queries[method].answer
        return await self.host.read(
            caller.partition, lambda view: answer(request, caller, view), deadline_ms=caller.deadline_ms
        )

    async def command(
        self, user_id: str, method: str, request: Message, request_id: bytes = b""
    ) -> tuple[Message | Refused, bool]:
        """What a command gives, and whether it was given before."""
        rpc = self._api.commands[method]
        key = user_id if method == "MarkRead" else getattr(request, "conversation_id")  # noqa: B009
        request_id = request_id or make_request_id(self.host.now_ms, os.urandom(10))
        caller = self.caller(user_id, key, request_id)
        body = await self.host.read(
            caller.partition, lambda view: rpc.prepare(request, caller, view), deadline_ms=caller.deadline_ms
        )
        if isinstance(body, Refused):
            return body, False
        outcome = await self.host.submit(
            caller.partition,
            Request(caller.actor, request_id, request.SerializeToString(), "key", body, caller.deadline_ms),
        )
        if outcome.entry is None:
            return Refused(outcome.reason, outcome.detail or {}), outcome.replayed
        happened = [journal.Event.FromString(event) for event in outcome.entry.events.events]
        accepted = Accepted(happened, outcome.time_ms, request_id, outcome.replayed)
        return await rpc.reply(request, replace(caller, now_ms=0), accepted), outcome.replayed

    async def send(self, user_id: str, conversation_id: str, text: str, request_id: bytes = b"") -> int:
        """Sends a text that must be accepted; says its number."""
        request = api.SendMessageRequest(conversation_id=conversation_id, text=text)
        answer, _ = await self.command(user_id, "SendMessage", request, request_id)
        assert isinstance(answer, api.SendMessageResponse), answer
        return answer.sequence

    async def history(self, user_id: str, conversation_id: str, page_size: int = 200) -> Sequence[api.Message]:
        """All that somebody sees, oldest first, page by page."""
        messages: list[api.Message] = []
        while True:
            request = api.ListMessagesRequest(
                conversation_id=conversation_id,
                from_sequence=messages[-1].sequence if messages else 0,
                page_size=page_size,
            )
            answer = await self.query(user_id, "ListMessages", request)
            assert isinstance(answer, api.ListMessagesResponse), answer
            messages += answer.messages
            if not answer.next_from_sequence:
                return messages

    async def inbox(self, user_id: str) -> dict[str, tuple[int, int]]:
        """(head, unread) by conversation."""
        answer = await self.query(user_id, "ListInbox", api.ListInboxRequest())
        assert isinstance(answer, api.ListInboxResponse)
        return {row.conversation_id: (row.head_sequence, row.unread_count) for row in answer.rows}

    async def watch(self, user_id: str) -> AsyncIterator[api.InboxEvent | api.InboxSnapshot]:
        """Somebody's inbox, live: a snapshot, then what happens."""
        request = peer.WatchRequest(partition=partition_of(user_id, PARTITIONS), key=user_id, user_id=user_id)
        async with aclosing(self.host.watch(request)) as frames:  # type: ignore[type-var]
            async for frame in frames:
                match frame.WhichOneof("kind"):
                    case "reset":
                        yield api.InboxSnapshot.FromString(frame.reset)
                    case "hint":
                        yield api.InboxEvent.FromString(frame.hint)

    async def crash(self) -> None:
        """Ends as a killed process does."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Process]:
    """A process on a world; crashed at the end."""
    sealer = make_sealer(world.keys)
    ports = HostPorts(
        MemoryJournal(world.log),
        MemoryStore(world.tables),
        MemoryMembers(MemoryDirectory()),
        MemoryStream(world.topics, topics={TOPIC: None}, partitions=PARTITIONS),
    )

    def published(event: journal.Event, when: object) -> Sequence[tuple[str, Message]]:
        found = public_event(event, when)  # type: ignore[arg-type]
        return [] if found is None else [found]

    rules = HostRules(
        domain=MessagingDomain(),
        reactions=[FanOut(sealer), PaymentCards()],
        topics=[Topic(TOPIC)],
        public_event=published,
        watch=messaging_api(sealer, USER_IDS).watch,
    )
    config = HostConfig(service="messaging", address="here:1", tick_interval_ms=10, projection_linger_ms=5)
    host = OwnerHost(config, ports, rules)
    process = Process(world, host, asyncio.create_task(host.run(), name="host"))
    try:
        async with asyncio.timeout(BOUND_SECONDS):
            await host.wait_ready()
        yield process
    finally:
        await process.crash()


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits until a condition holds, at most for the bound."""
    async with asyncio.timeout(BOUND_SECONDS):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)
