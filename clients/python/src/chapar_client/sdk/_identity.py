"""Sign-in, sessions and profiles."""

from __future__ import annotations

from collections.abc import AsyncIterator

from chapar.identity.v1 import identity_pb2 as pb
from chapar_client.sdk._calls import Calls
from chapar_client.sdk._phones import normalised_phone
from chapar_client.sdk._state import Session, StateStore
from chapar_client.sdk._tokens import with_tokens


class Identity:
    """Calls of `chapar.identity.v1.IdentityService`. A successful sign-in is kept in the profile."""

    def __init__(self, calls: Calls, state: StateStore) -> None:
        self._calls = calls
        self._state = state

    async def start_sign_in(self, phone: str) -> pb.StartSignInResponse:
        """Has a code sent to a number, however it is written."""
        request = pb.StartSignInRequest(phone=normalised_phone(phone))
        return await self._calls.call(request, pb.StartSignInResponse)

    async def complete_sign_in(self, challenge_id: str, code: str, device: str) -> pb.CompleteSignInResponse:
        """Opens a session on this device and keeps it in the profile."""
        request = pb.CompleteSignInRequest(challenge_id=challenge_id, code=code, device=device)
        answer = await self._calls.call(request, pb.CompleteSignInResponse)
        session = with_tokens(Session(answer.user_id, answer.session_id, "", 0, ""), answer.tokens)
        await self._state.open_session(session)
        return answer

    async def get_profile(self) -> pb.Profile:
        """One's own profile."""
        return (await self._calls.call(pb.GetProfileRequest(), pb.GetProfileResponse)).profile

    async def update_profile(self, name: str) -> None:
        """Changes one's own name."""
        await self._calls.call(pb.UpdateProfileRequest(name=name), pb.UpdateProfileResponse)

    async def set_username(self, username: str) -> str:
        """Takes a unique username, with or without its @."""
        request = pb.SetUsernameRequest(username=username.removeprefix("@"))
        return (await self._calls.call(request, pb.SetUsernameResponse)).username

    async def resolve_username(self, username: str) -> str:
        """The user id behind a username, with or without its @."""
        request = pb.ResolveUsernameRequest(username=username.removeprefix("@"))
        return (await self._calls.call(request, pb.ResolveUsernameResponse)).user_id

    async def get_user(self, user_id: str) -> pb.GetUserResponse:
        """What everybody may see of a user."""
        return await self._calls.call(pb.GetUserRequest(user_id=user_id), pb.GetUserResponse)

    async def sessions(self) -> AsyncIterator[pb.Session]:
        """One's own open sessions, newest first, page by page."""
        token = ""  # nosec B105 # the first page
        while True:
            request = pb.ListSessionsRequest(page_token=token)
            page = await self._calls.call(request, pb.ListSessionsResponse)
            for session in page.sessions:
                yield session
            token = page.next_page_token
            if not token:
                return

    async def revoke_session(self, session_id: str) -> None:
        """Ends one of one's own sessions; one's present one also leaves the profile."""
        await self._calls.call(pb.RevokeSessionRequest(session_id=session_id), pb.RevokeSessionResponse)
        await self._state.end_session(session_id)

    async def erase_account(self, confirm_user_id: str) -> int:
        """Ends one's own account for good, when it names itself; milliseconds since 1970 of its end.

        The profile loses its session. Where the answer was lost, the next call raises `SignedOut`.
        """
        session = await self._state.session()
        answer = await self._calls.call(
            pb.EraseAccountRequest(confirm_user_id=confirm_user_id), pb.EraseAccountResponse
        )
        if session is not None:
            await self._state.end_session(session.session_id)
        return answer.erase_time_ms
