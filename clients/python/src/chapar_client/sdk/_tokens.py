"""The access token of a session, refreshed in time.

A refresh token may be used once. So that a crash, a lost answer or a second process of the same profile does not look
like a thief, the id of the refresh request is stored, per refresh token, before it is first sent: whoever repeats it
gets the same answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from chapar.identity.v1 import identity_pb2 as identity
from chapar_client.sdk._errors import NotSignedIn, Refused, SignedOut
from chapar_client.sdk._methods import method_of
from chapar_client.sdk._request_ids import Clock, new_request_id
from chapar_client.sdk._state import Session, StateStore
from chapar_client.sdk._tries import Attempt, Tries

_MARGIN_MS = 60_000
"""A token with less life than this is changed before it is used."""

_ID_TRIES_MAX = 3


class Tokens:
    """Keeps one refresh in flight in this process, and one answer a refresh token in all of them."""

    def __init__(self, tries: Tries, state: StateStore, clock: Clock) -> None:
        self._tries = tries
        self._state = state
        self._clock = clock
        self._refreshing = asyncio.Lock()

    async def session(self) -> Session:
        """The session of this profile; raises `NotSignedIn`."""
        session = await self._state.session()
        if session is None:
            raise NotSignedIn("nobody is signed in with this profile")
        return session

    async def access_token(self, attempt: Attempt) -> str:
        """A token with life left in it."""
        session = await self.session()
        if session.access_expire_time_ms - self._clock.now_ms() > _MARGIN_MS:
            return session.access_token
        return await self.refreshed(session.access_token, attempt)

    async def refreshed(self, stale_access_token: str, attempt: Attempt) -> str:
        """The token after the stale one; asks the servers only if nobody else has."""
        async with self._refreshing:
            session = await self.session()
            if session.access_token == stale_access_token:
                await self._refresh(session, attempt)
                session = await self.session()
            return session.access_token

    async def _refresh(self, session: Session, attempt: Attempt) -> None:
        for _ in range(_ID_TRIES_MAX):
            proposed = new_request_id(self._clock.now_ms())
            request_id = await self._state.refresh_request_id(session.refresh_token, proposed)
            request = identity.RefreshTokensRequest(request_id=request_id, refresh_token=session.refresh_token)
            try:
                content, _ = await self._tries.run(method_of(request), request.SerializeToString(), (), attempt)
            except SignedOut:
                if await self._lost_race(session):
                    return
                await self._state.end_session(session.session_id)
                raise
            except Refused as refusal:
                if refusal.reason != "REASON_REQUEST_ID_IN_FUTURE":
                    raise
                self._clock.correct(int(refusal.detail["server_time_ms"]))
                await self._state.save_clock_offset_ms(self._clock.offset_ms)
                fresh = new_request_id(self._clock.now_ms())
                await self._state.replace_refresh_request_id(session.refresh_token, request_id, fresh)
                continue
            tokens = identity.RefreshTokensResponse.FromString(content).tokens
            await self._state.replace_tokens(session.refresh_token, with_tokens(session, tokens))
            return

    async def _lost_race(self, session: Session) -> bool:
        current = await self._state.session()
        return current is not None and current.refresh_token != session.refresh_token


def with_tokens(session: Session, tokens: identity.Tokens) -> Session:
    """The session with its next pair of tokens."""
    return replace(
        session,
        access_token=tokens.access_token,
        access_expire_time_ms=tokens.access_expire_time_ms,
        refresh_token=tokens.refresh_token,
    )
