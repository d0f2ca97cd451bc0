"""Delivers the code of each challenge: at least once while it is good, never after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.api.challenges import bound_to_challenge, bound_to_phone
from chapar_identity.delivery import CodeDelivery, CodeMessage, Undeliverable
from chapar_identity.domain.reading import document
from chapar_identity.domain.sign_in.decide import open_challenge
from chapar_identity.domain.sign_in.documents import Phone, phone_key
from chapar_sourcing.reactions import Outgoing, Source
from chapar_sourcing.sealing import Sealer
from chapar_sourcing.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverCodes:
    """Reads the own journal. A delivery that fails for good is logged and left: the person asks for another code,
    and those behind it in the partition do not wait."""

    sealer: Sealer
    delivery: CodeDelivery
    now_ms: Callable[[], int]
    log: Any

    name: str = "deliver-codes"
    topic: str | None = None
    event_type: type[Message] = pb.Event

    async def react(self, event: Message, source: Source, view: View) -> Sequence[Outgoing]:
        """Sends one code."""
        assert isinstance(event, pb.Event)
        if event.HasField("challenge_started") and await self._is_wanted(event.challenge_started, view):
            await self._deliver(event.challenge_started)
        return []

    async def _is_wanted(self, started: pb.ChallengeStarted, view: View) -> bool:
        """Whether the challenge can still be completed."""
        if self.now_ms() >= started.expire_time_ms:
            return False
        key = phone_key(started.phone_hash)
        return open_challenge(document(await view.get(key), key, Phone), started.challenge_id) is not None

    async def _deliver(self, started: pb.ChallengeStarted) -> None:
        phone = await self.sealer.open(started.phone, bound_to_phone(started.phone_hash))
        code = await self.sealer.open(started.code, bound_to_challenge(started.challenge_id))
        if phone is None or code is None:
            return  # Erased meanwhile.
        try:
            await self.delivery.deliver(CodeMessage(phone.decode(), code.decode(), started.expire_time_ms))
        except Undeliverable as problem:
            self.log.warning("sign_in_code_undelivered", challenge_id=started.challenge_id, problem=str(problem))
