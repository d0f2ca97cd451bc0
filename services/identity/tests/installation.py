"""The real owners, keyring and calls of identity over ports in memory; no sockets.

Calls go through the chassis' handlers as the gateway's would, with metadata in place of a token.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import grpc
from google.protobuf.message import Message

from chapar.identity.events.v1 import events_pb2 as public
from chapar.identity.v1 import identity_pb2 as api
from chapar.sourcing.journal.v1 import journal_pb2 as engine
from chapar_chassis.peers import REPLAYED_KEY
from chapar_chassis.position_tokens import PositionTokens
from chapar_chassis.process import ServiceContext
from chapar_chassis.public_rpcs import ServedBy, public_handlers
from chapar_chassis.refusals import CallRefused
from chapar_chassis.secrets import Secrets, create_installation
from chapar_chassis.telemetry import Shown
from chapar_chassis.tokens import AccessTokenSigner, AccessTokenVerifier
from chapar_chassis.user_ids import UserIds
from chapar_identity.api import identity_api
from chapar_identity.domain import IdentityDomain
from chapar_identity.publishing import EVENTS_TOPIC, REVOCATIONS_TOPIC, public_event
from chapar_identity.reactors import identity_reactions
from chapar_identity.settings import IdentitySettings
from chapar_sourcing.adapters.memory import (
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
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import HostConfig, HostPorts, HostRules, Topic
from chapar_sourcing.keyring import Keyring
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.refusing import EngineRefused
from chapar_sourcing.requests import make_request_id

ResponseT = TypeVar("ResponseT", bound=Message)

SERVICE = "chapar.identity.v1.IdentityService"
OPERATOR_SERVICE = "chapar.identity.v1.IdentityOperatorService"
PARTITIONS = 4
CALL_SECONDS = 20.0
TOPICS = {EVENTS_TOPIC: None, REVOCATIONS_TOPIC: 3_600_000}


class LeapingClock(SystemClock):
    """The machine's clocks, and more once they are told to leap: as after a sleep of the machine."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_ms / 1000

    def leap(self, ms: int) -> None:
        """Lets time pass at once."""
        self.ahead_ms += ms


@dataclass
class CodeLog:
    """The process's log, which shows codes in development."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    bell: asyncio.Event = field(default_factory=asyncio.Event)

    def info(self, event: str, **fields: Shown) -> None:
        if event == "sign_in_code":
            self.sent.append((fields["phone"].value, fields["code"].value))
            self.bell.set()

    def warning(self, event: str, **fields: str) -> None:
        raise AssertionError(f"{event}: {fields}")

    async def code_for(self, phone: str, number: int = 1) -> str:
        """The code of a phone's delivery of this number, from 1; waits for it."""
        async with asyncio.timeout(CALL_SECONDS):
            while True:
                self.bell.clear()
                codes = [code for sent_to, code in self.sent if sent_to == phone]
                if len(codes) >= number:
                    return codes[number - 1]
                await self.bell.wait()


class CallContext:
    """What a handler sees of a call."""

    def __init__(self, metadata: Sequence[tuple[str, str]], seconds: float) -> None:
        self._metadata = metadata
        self._seconds = seconds
        self.trailing: dict[str, str | bytes] = {}

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return self._metadata

    def time_remaining(self) -> float:
        return self._seconds

    def set_trailing_metadata(self, trailing: Sequence[tuple[str, str | bytes]]) -> None:
        self.trailing = dict(trailing)


class _Details(NamedTuple):
    method: str
    invocation_metadata: Sequence[tuple[str, str]]


@dataclass
class World:
    """What outlives a process."""

    data_dir: Path
    clock: LeapingClock = field(default_factory=LeapingClock)
    codes: CodeLog = field(default_factory=CodeLog)
    log: MemoryLog = field(default_factory=lambda: MemoryLog(partitions=PARTITIONS))
    tables: MemoryTables = field(default_factory=MemoryTables)
    topics: MemoryTopics = field(default_factory=MemoryTopics)
    keys: MemoryKeys = field(default_factory=MemoryKeys)

    @asynccontextmanager
    async def process(self) -> AsyncIterator[Identity]:
        """A running process; a second one after the first takes everything over."""
        create_installation(self.data_dir)
        context = self._context()
        service_api = identity_api(context)
        host = OwnerHost(
            HostConfig(service="identity", address="127.0.0.1:1"),
            self._ports(),
            HostRules(
                domain=IdentityDomain(),
                reactions=identity_reactions(context),
                topics=[Topic(EVENTS_TOPIC), Topic(REVOCATIONS_TOPIC, 300)],
                public_event=public_event,
                keys=cast(Keyring, context.sealer),
            ),
            clock=self.clock,
        )
        positions = PositionTokens(context.secrets.key("position.key"), "identity", host.generation)
        served_by = ServedBy(host, context.sealer, positions, IdentityDomain.event_type)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(host.run())
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    await host.wait_ready()
                yield Identity(self, context, public_handlers(service_api, served_by))
            finally:
                host.stop()

    def published(self, topic: str) -> list[public.Event]:
        """All events of a topic so far, partition by partition, without beats."""
        records = [
            engine.StreamRecord.FromString(entry.data)
            for partition in range(PARTITIONS)
            for _, entry in self.topics.log(topic, partition).entries
        ]
        return [public.Event.FromString(record.event) for record in records if record.event]

    async def until_published(self, topic: str, event: public.Event) -> None:
        """Waits until an event is in a topic."""
        async with asyncio.timeout(CALL_SECONDS):
            assert await self.topics.bell.wait_until(lambda: event in self.published(topic), int(CALL_SECONDS * 1000))

    def _context(self) -> ServiceContext:
        secrets = Secrets(self.data_dir / "secrets" / "identity")
        settings = IdentitySettings(data_dir=self.data_dir, secrets_dir=self.data_dir / "secrets" / "identity")
        keyring = Keyring(
            MemoryKeyStore(self.keys), master_key=secrets.key("master.key"), clock=self.clock, randomness=os.urandom
        )
        return ServiceContext(
            settings=settings,
            secrets=secrets,
            sealer=keyring,
            user_ids=UserIds(secrets.key("user_ids.key")),
            randomness=os.urandom,
            now_ms=self.clock.now_ms,
            log=self.codes,
            measures=HeldMeasures(),
        )

    def _ports(self) -> HostPorts:
        return HostPorts(
            journal=MemoryJournal(self.log, now_ms=self.clock.now_ms),
            store=MemoryStore(self.tables),
            members=MemoryMembers(MemoryDirectory()),
            stream=MemoryStream(self.topics, topics=TOPICS, partitions=PARTITIONS, now_ms=self.clock.now_ms),
        )


@dataclass
class Identity:
    """A running process, as its callers see it."""

    world: World
    context: ServiceContext
    handlers: Sequence[grpc.GenericRpcHandler]
    replayed: bool = False
    """Whether the last answer was a repetition."""

    def request_id(self) -> str:
        """A new one."""
        raw = make_request_id(self.world.clock.now_ms(), os.urandom(10)).hex()
        return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"

    async def call(
        self, request: Message, kind: type[ResponseT], session: Session | None = None, *, operator: str = ""
    ) -> ResponseT:
        """Calls the method of the request's type. Raises `CallRefused`, `EngineRefused`."""
        return kind.FromString(await self._answer(request, session, operator))

    async def refused(
        self, request: Message, session: Session | None = None, *, operator: str = ""
    ) -> tuple[str, dict[str, str]]:
        """Reason (without its prefix) and detail of a call that must be refused."""
        try:
            await self._answer(request, session, operator)
        except (CallRefused, EngineRefused) as refusal:
            return refusal.reason.removeprefix("REASON_"), refusal.detail
        raise AssertionError(f"{type(request).__name__} was accepted")

    async def _answer(self, request: Message, session: Session | None, operator: str) -> bytes:
        method = type(request).__name__.removesuffix("Request")
        metadata = [("chapar-user", session.user_id), ("chapar-session", session.session_id)] if session else []
        metadata += [("chapar-operator", operator)] if operator else []
        service = OPERATOR_SERVICE if operator else SERVICE
        details = cast(grpc.HandlerCallDetails, _Details(f"/{service}/{method}", metadata))
        (handler,) = [found for generic in self.handlers if (found := generic.service(details)) is not None]
        context = CallContext(metadata, CALL_SECONDS)
        unary: Any = cast(Any, handler).unary_unary
        answer: bytes = await unary(request.SerializeToString(), context)
        self.replayed = context.trailing.get(REPLAYED_KEY) == "1"
        return answer

    # ---- the usual steps

    async def start(self, phone: str) -> api.StartSignInResponse:
        """A new challenge."""
        return await self.call(
            api.StartSignInRequest(request_id=self.request_id(), phone=phone), api.StartSignInResponse
        )

    def completion(self, challenge_id: str, code: str, device: str = "گوشی") -> api.CompleteSignInRequest:
        """A try."""
        return api.CompleteSignInRequest(
            request_id=self.request_id(), challenge_id=challenge_id, code=code, device=device
        )

    async def sign_in(self, phone: str, number: int = 1, device: str = "گوشی") -> Session:
        """A session; `number` counts the phone's codes."""
        challenge = await self.start(phone)
        code = await self.world.codes.code_for(phone, number)
        answer = await self.call(self.completion(challenge.challenge_id, code, device), api.CompleteSignInResponse)
        return Session(answer.user_id, answer.session_id, answer.tokens, answer.new_user)

    async def refresh(self, refresh_token: str) -> api.Tokens:
        """The next pair."""
        request = api.RefreshTokensRequest(request_id=self.request_id(), refresh_token=refresh_token)
        return (await self.call(request, api.RefreshTokensResponse)).tokens

    def verifier(self) -> AccessTokenVerifier:
        """As gateways have it."""
        signer = AccessTokenSigner(self.context.secrets.key("access_token.key"))
        return AccessTokenVerifier({signer.key_id: signer.public_key})


class Session(NamedTuple):
    """A signed-in session."""

    user_id: str
    session_id: str
    tokens: api.Tokens
    new_user: bool


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Asks again and again until the answer is yes."""
    async with asyncio.timeout(CALL_SECONDS):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)
