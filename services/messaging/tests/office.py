"""Messaging's handlers over the rules without a log: requests in, responses or refusals out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.messaging.v1 import messaging_pb2 as api
from chapar.sourcing.journal.v1 import journal_pb2 as sourcing
from chapar_chassis.api import Accepted, Caller, ServiceApi
from chapar_chassis.user_ids import UserIds
from chapar_messaging.api import messaging_api
from chapar_messaging.reactors.fan_out import FanOut
from chapar_sourcing.adapters.memory import MemoryKeys
from chapar_sourcing.domain import Refused
from chapar_sourcing.reactions import Advance
from chapar_sourcing.requests import make_request_id

from .play import MemoryView, Play
from .sealing import make_sealer

USER_IDS = UserIds(bytes(range(32)))
ALI, MINA, REZA = (USER_IDS.mint(bytes([number] * 10)) for number in range(1, 4))
"""Genuine users."""
INVENTED = "q" * 26


def direct(one: str, other: str) -> str:
    """Their conversation."""
    return f"d.{min(one, other)}.{max(one, other)}"


def group_of(creator: str) -> str:
    """A group id that `creator` may take."""
    return f"g.{creator}.{'7' * 32}"


def caller_of(user_id: str, *, now_ms: int, mutating: bool) -> Caller:
    """A session of a user, with a new request id on commands."""
    return Caller(
        actor=sourcing.Actor(user=user_id),
        key=user_id,
        partition=0,
        deadline_ms=now_ms + 5_000,
        now_ms=now_ms,
        user_id=user_id,
        session_id="session",
        request_id=make_request_id(now_ms, os.urandom(10)) if mutating else b"",
    )


@dataclass
class Office:
    """One installation's messaging; inboxes hear of everything at once."""

    keys: MemoryKeys = field(default_factory=MemoryKeys)
    play: Play = field(default_factory=Play)
    hinted: list[tuple[str, api.InboxEvent]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sealer = make_sealer(self.keys)
        self.api: ServiceApi = messaging_api(self.sealer, USER_IDS)
        self.view = MemoryView(self.play.documents)
        self._fan_out = FanOut(self.sealer)

    async def call(self, user_id: str, method: str, request: Message) -> Message | Refused:
        """What a user's call gives."""
        rpc = self.api.commands.get(method)
        caller = caller_of(user_id, now_ms=self.play.now_ms, mutating=rpc is not None)
        if rpc is None:
            return await self.api.queries[method].answer(request, caller, self.view)
        command = await rpc.prepare(request, caller, self.view)
        if isinstance(command, Refused):
            return command
        assert isinstance(command, journal.Command)
        known = len(self.play.events)
        decision = self.play.when(command)
        if isinstance(decision, Refused):
            return decision
        await self._spread(known)
        accepted = Accepted(decision, self.play.now_ms, caller.request_id, replayed=False)
        return await rpc.reply(request, caller, accepted)

    async def must(self, user_id: str, method: str, request: Message) -> Message:
        """What a user's call gives, which must not be a refusal."""
        answer = await self.call(user_id, method, request)
        assert not isinstance(answer, Refused), answer
        return answer

    async def send(self, user_id: str, conversation_id: str, text: str, reply_to: int = 0) -> api.SendMessageResponse:
        """Sends a text that must be accepted."""
        request = api.SendMessageRequest(conversation_id=conversation_id, text=text, reply_to_sequence=reply_to)
        answer = await self.must(user_id, "SendMessage", request)
        assert isinstance(answer, api.SendMessageResponse)
        return answer

    async def inbox(self, user_id: str) -> Sequence[api.InboxRow]:
        """The first page of somebody's inbox."""
        answer = await self.must(user_id, "ListInbox", api.ListInboxRequest())
        assert isinstance(answer, api.ListInboxResponse)
        return list(answer.rows)

    async def history(self, user_id: str, conversation_id: str) -> Sequence[api.Message]:
        """The newest messages that somebody sees."""
        request = api.ListMessagesRequest(conversation_id=conversation_id, descending=True)
        answer = await self.must(user_id, "ListMessages", request)
        assert isinstance(answer, api.ListMessagesResponse)
        return list(answer.messages)

    async def _spread(self, known: int) -> None:
        for event, source in self.play.events[known:]:
            advances: Sequence[Advance] = await self._fan_out.react(event, source, self.view)
            self.view.advance(advances)
            self.hinted += [(one.key, api.InboxEvent.FromString(one.hint)) for one in advances]
