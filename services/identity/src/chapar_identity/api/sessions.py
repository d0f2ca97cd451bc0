"""RefreshTokens, ListSessions and RevokeSession.

Reasons of form come first: REFRESH_TOKEN_INVALID; PAGE_INVALID; SESSION_UNKNOWN. Then those of `domain.sessions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar.identity.v1 import identity_pb2 as api
from chapar_chassis.api import Accepted, Caller, CommandRpc, QueryRpc
from chapar_identity.api.arrival import await_session, is_session_id
from chapar_identity.api.content import bound_to_device, opened
from chapar_identity.api.tokens import RefreshToken, TokenMint
from chapar_identity.domain.reading import document
from chapar_identity.domain.sessions.decide import REFRESH_TOKEN_INVALID, REFRESH_TOKEN_REUSED, SESSION_UNKNOWN
from chapar_identity.domain.sessions.documents import GENERATION_FIRST, Session, Sessions, sessions_key
from chapar_sourcing.domain import Refused
from chapar_sourcing.sealing import Sealer
from chapar_sourcing.view import View

PAGE_INVALID = "REASON_PAGE_INVALID"
PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCalls:
    """Calls about sessions."""

    mint: TokenMint
    sealer: Sealer

    def commands(self) -> Mapping[str, CommandRpc[Any, Any]]:
        """Calls that change, by name."""
        return {
            "RefreshTokens": CommandRpc(
                prepare=self.prepare_refresh,
                finish=self.finish_refresh,
                reply=self.reply_refresh,
                key_subject=self._refresh_subject,
            ),
            "RevokeSession": CommandRpc(prepare=self.prepare_revoke, reply=self.reply_revoke),
        }

    def queries(self) -> Mapping[str, QueryRpc[Any, Any]]:
        """Calls that read, by name."""
        return {"ListSessions": QueryRpc(answer=self.list_sessions)}

    async def prepare_refresh(
        self, request: api.RefreshTokensRequest, caller: Caller, view: View
    ) -> pb.Command | Refused:
        """Checks that the token is one of ours; whether it is the newest is for the domain."""
        token = self.mint.read(request.refresh_token)
        if token is None:
            return Refused(REFRESH_TOKEN_INVALID)
        if token.generation == GENERATION_FIRST:
            await await_session(view, caller, token.user_id, token.session_id)
        return pb.Command(
            refresh_tokens=pb.RefreshTokens(
                user_id=token.user_id, session_id=token.session_id, generation=token.generation
            )
        )

    async def finish_refresh(
        self, request: api.RefreshTokensRequest, caller: Caller, accepted: Accepted, view: View
    ) -> Refused | None:
        """A reused token was journaled because it ended the session; here it becomes the refusal that it is."""
        event: pb.Event = accepted.events[0]
        return Refused(REFRESH_TOKEN_REUSED) if event.HasField("session_ended") else None

    async def reply_refresh(
        self, request: api.RefreshTokensRequest, caller: Caller, accepted: Accepted
    ) -> api.RefreshTokensResponse:
        """The next pair."""
        refreshed: pb.TokensRefreshed = accepted.events[0].tokens_refreshed
        token = RefreshToken(refreshed.user_id, refreshed.session_id, refreshed.generation)
        return api.RefreshTokensResponse(tokens=self.mint.pair(token, issued_ms=accepted.time_ms))

    async def prepare_revoke(
        self, request: api.RevokeSessionRequest, caller: Caller, view: View
    ) -> pb.Command | Refused:
        """One's own sessions only: the user is the caller, whatever the request says."""
        if not is_session_id(request.session_id):
            return Refused(SESSION_UNKNOWN)
        await await_session(view, caller, caller.user_id, caller.session_id)
        return pb.Command(
            revoke_session=pb.RevokeSession(
                user_id=caller.user_id, caller_session_id=caller.session_id, session_id=request.session_id
            )
        )

    async def reply_revoke(
        self, request: api.RevokeSessionRequest, caller: Caller, accepted: Accepted
    ) -> api.RevokeSessionResponse:
        """Nothing to say."""
        return api.RevokeSessionResponse()

    async def list_sessions(
        self, request: api.ListSessionsRequest, caller: Caller, view: View
    ) -> api.ListSessionsResponse | Refused:
        """A page of one's own sessions, newest first; the page token is the last id of the page before."""
        if request.page_size < 0 or (request.page_token and not is_session_id(request.page_token)):
            return Refused(PAGE_INVALID)
        page_size = min(request.page_size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
        await await_session(view, caller, caller.user_id, caller.session_id)
        key = sessions_key(caller.user_id)
        found = document(await view.get(key), key, Sessions) or Sessions(())
        newest_first = [
            session
            for session in reversed(found.sessions)
            if not request.page_token or session.session_id < request.page_token
        ]
        page = newest_first[:page_size]
        return api.ListSessionsResponse(
            sessions=[await self._shown(session, caller) for session in page],
            next_page_token=page[-1].session_id if len(newest_first) > page_size else "",
        )

    async def _shown(self, session: Session, caller: Caller) -> api.Session:
        bound_to = bound_to_device(caller.user_id, session.session_id)
        return api.Session(
            session_id=session.session_id,
            device=await opened(self.sealer, session.device, bound_to),
            create_time_ms=session.create_time_ms,
            refresh_time_ms=session.refresh_time_ms,
            current=session.session_id == caller.session_id,
        )

    def _refresh_subject(self, request: api.RefreshTokensRequest, caller: Caller) -> str:
        """The user of an authentic token; strangers share one key, whatever they send."""
        token = self.mint.read(request.refresh_token)
        return token.user_id if token else "refresh:invalid"
