from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.api.challenges import bound_to_challenge, bound_to_phone
from chapar_identity.delivery import CodeMessage, Undeliverable
from chapar_identity.domain.sign_in.documents import phone_subject
from chapar_identity.reactors.codes import DeliverCodes
from chapar_sourcing.adapters.memory import MemoryKeyStore
from chapar_sourcing.clock import ManualClock
from chapar_sourcing.domain import Document, Documents, Key
from chapar_sourcing.erasures import LAST_PERIOD_MS
from chapar_sourcing.keyring import Keyring
from chapar_sourcing.positions import Position
from chapar_sourcing.reactions import Source

from .play import PHONE, RIGHT, Play, complete, start

NUMBER, CODE = "+989121234567", "012345"


@dataclass
class Outbox:
    """A delivery that keeps what it gets, or fails."""

    problem: str = ""
    messages: list[CodeMessage] = field(default_factory=list)
    warnings: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def deliver(self, message: CodeMessage) -> None:
        if self.problem:
            raise Undeliverable(self.problem)
        self.messages.append(message)

    def warning(self, event: str, **fields: str) -> None:
        self.warnings.append((event, fields))


@dataclass
class DocumentsView:
    """A `View` of documents in memory."""

    documents: Mapping[Key, Document]
    partition: int = 0
    now_ms: int = 0

    async def get(self, *keys: Key) -> Documents:
        return {key: self.documents[key] for key in keys if key in self.documents}

    async def scan(
        self, kind: str, parent: str, *, after: str = "", before: str | None = None,
        descending: bool = False, limit: int = 100,
    ) -> Sequence[tuple[Key, Document]]:  # fmt: skip
        raise NotImplementedError

    async def rows(self, key: str) -> Mapping[str, Mapping[str, bytes]]:
        raise NotImplementedError

    async def wait_until(
        self, key: Key, holds: Callable[[Document | None], bool], *, deadline_ms: int
    ) -> Document | None:
        raise NotImplementedError


class Scene:
    """A challenge that was started, and the reaction to it."""

    def __init__(self, outbox: Outbox) -> None:
        self.play = Play()
        self.clock = ManualClock(self.play.now_ms)
        self.keys = MemoryKeyStore()
        self.keyring = Keyring(self.keys, master_key=bytes(32), clock=self.clock, randomness=os.urandom)
        self.reaction = DeliverCodes(sealer=self.keyring, delivery=outbox, now_ms=lambda: self.play.now_ms, log=outbox)

    async def started(self) -> pb.Event:
        command = start()
        subject = phone_subject(PHONE)
        wanted = command.start_sign_in
        wanted.phone.CopyFrom(await self.keyring.seal(subject, bound_to_phone(PHONE), NUMBER.encode()))
        bound_to = bound_to_challenge(wanted.challenge_id)
        wanted.code.CopyFrom(await self.keyring.seal(subject, bound_to, CODE.encode()))
        self.play.given(command)
        return self.play.events[-1]

    def react(self, event: pb.Event) -> Awaitable[object]:
        source = Source("identity", 0, Position(1, 0), self.play.now_ms)
        return self.reaction.react(event, source, DocumentsView(self.play.documents))


async def test_the_code_of_an_open_challenge_is_delivered() -> None:
    scene = Scene(outbox := Outbox())
    event = await scene.started()
    assert await scene.react(event) == []
    assert outbox.messages == [CodeMessage(NUMBER, CODE, event.challenge_started.expire_time_ms)]


async def test_a_code_is_not_delivered_after_its_time() -> None:
    scene = Scene(outbox := Outbox())
    event = await scene.started()
    scene.play.now_ms = event.challenge_started.expire_time_ms
    await scene.react(event)
    assert outbox.messages == []


async def test_a_code_whose_challenge_was_completed_or_followed_is_not_delivered() -> None:
    for command in (complete(RIGHT), start(2)):
        scene = Scene(outbox := Outbox())
        event = await scene.started()
        scene.play.later(60_000).given(command)
        await scene.react(event)
        assert outbox.messages == []


async def test_an_erased_code_is_not_delivered() -> None:
    scene = Scene(outbox := Outbox())
    event = await scene.started()
    await scene.keys.destroy(phone_subject(PHONE), LAST_PERIOD_MS)
    await scene.clock.advance(61_000)
    await scene.react(event)
    assert outbox.messages == []


async def test_a_code_that_cannot_be_delivered_holds_nobody_up_and_the_log_names_no_phone() -> None:
    scene = Scene(outbox := Outbox(problem="HTTP 503"))
    event = await scene.started()
    assert await scene.react(event) == []
    assert outbox.warnings == [("sign_in_code_undelivered", {"challenge_id": "challenge-1", "problem": "HTTP 503"})]


async def test_other_events_deliver_nothing() -> None:
    scene = Scene(outbox := Outbox())
    await scene.react(pb.Event(code_rejected=pb.CodeRejected(phone_hash=PHONE)))
    assert outbox.messages == []
