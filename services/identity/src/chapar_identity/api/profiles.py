"""GetProfile, UpdateProfile and GetUser.

Reasons in order of precedence: NAME_INVALID, then those of `domain.users`; USER_UNKNOWN for ids that nobody has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar.identity.v1 import identity_pb2 as api
from chapar_chassis.api import Accepted, Caller, CommandRpc, QueryRpc
from chapar_chassis.user_ids import UserIds
from chapar_identity.api.arrival import ARRIVAL_WAIT_MS, await_session
from chapar_identity.api.content import bound_to_name, bound_to_user_phone, opened
from chapar_identity.api.forms import canonical_title
from chapar_identity.domain.reading import document
from chapar_identity.domain.usernames.decide import naming_of
from chapar_identity.domain.usernames.documents import Naming, naming_key
from chapar_identity.domain.users.documents import User, user_key
from chapar_sourcing.domain import Refused
from chapar_sourcing.sealing import Sealer
from chapar_sourcing.view import View

NAME_INVALID = "REASON_NAME_INVALID"
USER_UNKNOWN = "REASON_USER_UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileCalls:
    """Calls about what is shown of a user."""

    sealer: Sealer
    user_ids: UserIds

    def commands(self) -> Mapping[str, CommandRpc[Any, Any]]:
        """Calls that change, by name."""
        return {"UpdateProfile": CommandRpc(prepare=self.prepare_update, reply=self.reply_update)}

    def queries(self) -> Mapping[str, QueryRpc[Any, Any]]:
        """Calls that read, by name."""
        return {"GetProfile": QueryRpc(answer=self.get_profile), "GetUser": QueryRpc(answer=self.get_user)}

    async def prepare_update(
        self, request: api.UpdateProfileRequest, caller: Caller, view: View
    ) -> pb.Command | Refused:
        """Seals the name in its canonical form."""
        name = canonical_title(request.name)
        if name is None:
            return Refused(NAME_INVALID)
        await await_session(view, caller, caller.user_id, caller.session_id)
        return pb.Command(
            update_profile=pb.UpdateProfile(
                user_id=caller.user_id,
                caller_session_id=caller.session_id,
                name=await self.sealer.seal(caller.user_id, bound_to_name(caller.user_id), name.encode()),
            )
        )

    async def reply_update(
        self, request: api.UpdateProfileRequest, caller: Caller, accepted: Accepted
    ) -> api.UpdateProfileResponse:
        """Nothing to say."""
        return api.UpdateProfileResponse()

    async def get_profile(
        self, request: api.GetProfileRequest, caller: Caller, view: View
    ) -> api.GetProfileResponse | Refused:
        """All that the caller may see of themselves."""
        await await_session(view, caller, caller.user_id, caller.session_id)
        user, naming = await _user_and_naming(view, caller.user_id)
        if user is None:
            return Refused(USER_UNKNOWN)
        profile = api.Profile(
            user_id=caller.user_id,
            name=await opened(self.sealer, user.name, bound_to_name(caller.user_id)),
            username=naming.username,
            phone=await opened(self.sealer, user.phone, bound_to_user_phone(caller.user_id)),
            create_time_ms=user.create_time_ms,
        )
        return api.GetProfileResponse(profile=profile)

    async def get_user(self, request: api.GetUserRequest, caller: Caller, view: View) -> api.GetUserResponse | Refused:
        """What everybody may see. Somebody who has just signed in is waited for; invented ids are not."""
        if not self.user_ids.is_genuine(request.user_id):
            return Refused(USER_UNKNOWN)
        deadline_ms = min(view.now_ms + ARRIVAL_WAIT_MS, caller.deadline_ms)
        with contextlib.suppress(TimeoutError):
            await view.wait_until(user_key(request.user_id), lambda found: found is not None, deadline_ms=deadline_ms)
        user, naming = await _user_and_naming(view, request.user_id)
        if user is None:
            return Refused(USER_UNKNOWN)
        name = await opened(self.sealer, user.name, bound_to_name(request.user_id))
        return api.GetUserResponse(user_id=request.user_id, name=name, username=naming.username, erased=user.is_erased)


async def _user_and_naming(view: View, user_id: str) -> tuple[User | None, Naming]:
    documents = await view.get(user_key(user_id), naming_key(user_id))
    return document(documents, user_key(user_id), User), naming_of(documents, user_id)
