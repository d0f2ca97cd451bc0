"""One profile's connection to a gateway."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from google.protobuf.message import Message

from chapar.gateway.v1 import gateway_pb2 as gateway
from chapar_client.sdk._calls import AnswerT, Calls
from chapar_client.sdk._identity import Identity
from chapar_client.sdk._inbox import Inbox
from chapar_client.sdk._messaging import Messaging
from chapar_client.sdk._payments import Payments
from chapar_client.sdk._positions import Positions
from chapar_client.sdk._request_ids import Clock
from chapar_client.sdk._state import Pending, Session, StateStore
from chapar_client.sdk._tokens import Tokens
from chapar_client.sdk._transport import Transport
from chapar_client.sdk._tries import Tries


class Client:
    """Calls and the live inbox of one profile.

    async with Client("127.0.0.1:7400", StateStore(folder)) as client:
        await client.messaging.send_message(conversation_id, "سلام")
    """

    def __init__(
        self,
        address: str,
        state: StateStore,
        *,
        ca: Path | None = None,
        timeout_s: float = 30.0,
        clock: Clock | None = None,
        trace_parent: Callable[[], str] = lambda: "",
    ) -> None:
        """`address` is "tls://host:port" with the authorities' file `ca`, or "host:port" of this machine, in the clear.

        `trace_parent` says which trace the app is in, as a W3C `traceparent`, "" for none: the servers go on with it
        where they record the call anyway. Raises `InvalidInput`.
        """
        self._state = state
        self._clock = clock or Clock()
        self._positions = Positions()
        self._transport = Transport(address, ca, trace_parent)
        tries = Tries(self._transport)
        self._tokens = Tokens(tries, state, self._clock)
        self._calls = Calls(tries, state, self._clock, self._tokens, self._positions, timeout_s=timeout_s)
        self.identity = Identity(self._calls, state)
        self.messaging = Messaging(self._calls, self._tokens)
        self.payments = Payments(self._calls)

    async def __aenter__(self) -> Client:
        if self._clock.offset_ms == 0:
            self._clock.offset_ms = await self._state.clock_offset_ms()
        self._positions.restore(await self._state.places())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Stores what was learned, closes the channel and the state."""
        await self._calls.flush()
        await self._transport.close()
        await self._state.close()

    async def session(self) -> Session:
        """The session of this profile; raises `NotSignedIn`."""
        return await self._tokens.session()

    async def get_config(self) -> gateway.GetConfigResponse:
        """Server time, limits, and the oldest client that is served."""
        return await self.call(gateway.GetConfigRequest(), gateway.GetConfigResponse)

    def inbox(self, presence_interests: Sequence[gateway.PresenceInterest] = ()) -> Inbox:
        """The live inbox, from where this profile's last one ended."""
        return Inbox(self._transport, self._calls, self._tokens, self._state, presence_interests)

    async def call(self, request: Message, answer_type: type[AnswerT], *, timeout_s: float | None = None) -> AnswerT:
        """Any public method by its request message; a command's `request_id` is made unless it is set."""
        return await self._calls.call(request, answer_type, timeout_s=timeout_s)

    async def pending(self) -> list[Pending]:
        """Commands whose answer was lost, oldest first."""
        return await self._state.all_pending()

    async def finish_pending(self, pending: Pending, *, timeout_s: float | None = None) -> Message:
        """Sends such a command again, with the same id and bytes; raises what a first call would."""
        return await self._calls.finish(pending, timeout_s=timeout_s)
