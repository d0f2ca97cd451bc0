"""One call from its request message to its answer: request id, token, position, tries.

A command's id and bytes are stored before the first try and stay the same on every try, so that repeating is harmless.
There is one exception: an id that the servers refuse because it is from their future. Their clocks only go forward, so
no earlier try of that id can have been taken: the clock is corrected and a new id is stored in its place.
"""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import Message

from chapar_client.sdk._errors import OutcomeUnknown, Refused, SignedOut, Unavailable
from chapar_client.sdk._methods import METHODS, Method, method_of
from chapar_client.sdk._positions import Positions
from chapar_client.sdk._request_ids import Clock, new_request_id
from chapar_client.sdk._state import Pending, StateStore
from chapar_client.sdk._tokens import Tokens
from chapar_client.sdk._transport import Metadata
from chapar_client.sdk._tries import Attempt, Tries

AnswerT = TypeVar("AnswerT", bound=Message)

_STALE_TOKEN = {"REASON_TOKEN_EXPIRED", "REASON_TOKEN_INVALID"}
_CORRECTIONS_MAX = 3


class Calls:
    """Makes calls for one profile."""

    def __init__(
        self, tries: Tries, state: StateStore, clock: Clock, tokens: Tokens, positions: Positions, *, timeout_s: float
    ) -> None:
        self._tries = tries
        self._state = state
        self._clock = clock
        self._tokens = tokens
        self._positions = positions
        self._timeout_s = timeout_s

    async def call(self, request: Message, answer_type: type[AnswerT], *, timeout_s: float | None = None) -> AnswerT:
        """The answer to a request; a command gets a request id unless it has one."""
        method = method_of(request)
        attempt = Attempt.within(self._timeout_s if timeout_s is None else timeout_s)
        if not method.mutating:
            return answer_type.FromString(await self._send(method, request, attempt))
        pending = await self._stored(method, request)
        return answer_type.FromString(await self._command(method, pending, attempt))

    async def finish(self, pending: Pending, *, timeout_s: float | None = None) -> Message:
        """Settles a command that an earlier call, or an earlier process, left without an answer."""
        method = METHODS[pending.path]
        attempt = Attempt.within(self._timeout_s if timeout_s is None else timeout_s)
        attempt.ambiguous = True
        return method.response_type.FromString(await self._command(method, pending, attempt))

    async def authorisation(self, attempt: Attempt) -> Metadata:
        """The metadata that says who calls."""
        return (("authorization", f"Bearer {await self._tokens.access_token(attempt)}"),)

    async def flush(self) -> None:
        """Stores the positions seen since the last time."""
        changes = self._positions.drain_changes()
        if changes:
            await self._state.save_places(changes)

    async def _stored(self, method: Method, request: Message, *, replaces: str = "") -> Pending:
        given = request.request_id if not replaces else ""  # type: ignore[attr-defined]
        now_ms = self._clock.now_ms()
        request_id = given or new_request_id(now_ms)
        stamped = method.request_type()
        stamped.CopyFrom(request)
        stamped.request_id = request_id  # type: ignore[attr-defined]
        pending = Pending(request_id, method.path, stamped.SerializeToString(), now_ms)
        if replaces:
            await self._state.replace_pending(replaces, pending)
        else:
            await self._state.add_pending(pending)
        return pending

    async def _command(self, method: Method, pending: Pending, attempt: Attempt) -> bytes:
        for correction in range(_CORRECTIONS_MAX):
            request = method.request_type.FromString(pending.content)
            try:
                answer = await self._send(method, request, attempt, content=pending.content)
            except Refused as refusal:
                if refusal.reason == "REASON_REQUEST_ID_IN_FUTURE" and correction + 1 < _CORRECTIONS_MAX:
                    await self._correct_clock(refusal)
                    if attempt.ambiguous:
                        # A copy of an earlier try may still be decided once its time has come: no new id beside it.
                        told = "an earlier try may still be decided"
                        raise OutcomeUnknown(told, request_id=pending.request_id, reason=refusal.reason) from None
                    pending = await self._stored(method, request, replaces=pending.request_id)
                    continue
                if not (isinstance(refusal, SignedOut) and attempt.ambiguous):
                    await self._state.remove_pending(pending.request_id)
                raise
            except Unavailable as failure:
                if attempt.ambiguous:
                    raise OutcomeUnknown(str(failure), request_id=pending.request_id, reason=failure.reason) from None
                await self._state.remove_pending(pending.request_id)
                raise
            await self._state.remove_pending(pending.request_id)
            return answer
        raise AssertionError("the last correction raises")

    async def _send(self, method: Method, request: Message, attempt: Attempt, *, content: bytes | None = None) -> bytes:
        content = request.SerializeToString() if content is None else content
        key = str(getattr(request, method.key_field)) if method.key_field else ""
        position = self._positions.metadata_for(method.service, key)
        refreshed = False
        while True:
            authorisation = () if method.public else await self.authorisation(attempt)
            try:
                answer, trailing = await self._tries.run(method, content, (*authorisation, *position), attempt)
            except SignedOut:
                await self._forget_session(authorisation)
                raise
            except Refused as refusal:
                if refreshed or method.public or refusal.reason not in _STALE_TOKEN:
                    raise
                await self._tokens.refreshed(str(authorisation[0][1]).removeprefix("Bearer "), attempt)
                refreshed = True
                continue
            self._positions.take(method.service, key, trailing)
            return answer

    async def _forget_session(self, authorisation: Metadata) -> None:
        session = await self._state.session()
        if session is not None and authorisation and authorisation[0][1] == f"Bearer {session.access_token}":
            await self._state.end_session(session.session_id)

    async def _correct_clock(self, refusal: Refused) -> None:
        self._clock.correct(int(refusal.detail["server_time_ms"]))
        await self._state.save_clock_offset_ms(self._clock.offset_ms)
