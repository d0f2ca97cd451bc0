"""EraseAccount and EraseUser.

Reasons in order of precedence: CONFIRMATION_WRONG; GROUNDS_INVALID, USER_UNKNOWN. Then those of `domain.users.erasing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar.identity.v1 import identity_pb2 as api
from chapar_chassis.api import Accepted, Caller, CommandRpc
from chapar_chassis.user_ids import UserIds
from chapar_identity.api.arrival import await_session
from chapar_identity.api.challenges import Challenges
from chapar_identity.api.content import bound_to_user_phone, opened
from chapar_identity.api.forms import canonical_title
from chapar_identity.domain.reading import document
from chapar_identity.domain.users.documents import User, user_key
from chapar_sourcing.domain import Refused
from chapar_sourcing.sealing import Sealer
from chapar_sourcing.view import View

CONFIRMATION_WRONG = "REASON_CONFIRMATION_WRONG"
GROUNDS_INVALID = "REASON_GROUNDS_INVALID"
USER_UNKNOWN = "REASON_USER_UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseCalls:
    """Calls that end a user. The phone is read before, while that can be done: it says where it is to be released."""

    challenges: Challenges
    sealer: Sealer
    user_ids: UserIds

    def commands(self) -> Mapping[str, CommandRpc[Any, Any]]:
        """Both calls by name."""
        return {
            "EraseAccount": CommandRpc(prepare=self.prepare_account, reply=self.reply_account),
            "EraseUser": CommandRpc(
                prepare=self.prepare_user,
                reply=self.reply_user,
                # The user's own key is gone when an operator repeats the call.
                key_subject=lambda _, caller: f"operator:{caller.operator}",
            ),
        }

    async def prepare_account(
        self, request: api.EraseAccountRequest, caller: Caller, view: View
    ) -> pb.Command | Refused:
        """One's own account only, and only where the request says whose it is."""
        if request.confirm_user_id != caller.user_id:
            return Refused(CONFIRMATION_WRONG)
        await await_session(view, caller, caller.user_id, caller.session_id)
        erase = pb.EraseUser(
            user_id=caller.user_id,
            caller_session_id=caller.session_id,
            phone_key=await self._phone_key(view, caller.user_id),
        )
        return pb.Command(erase_user=erase)

    async def prepare_user(self, request: api.EraseUserRequest, caller: Caller, view: View) -> pb.Command | Refused:
        """Any account; the operator says on what grounds."""
        grounds = canonical_title(request.grounds)
        if grounds is None:
            return Refused(GROUNDS_INVALID)
        if not self.user_ids.is_genuine(request.user_id):
            return Refused(USER_UNKNOWN)
        phone_key = await self._phone_key(view, request.user_id)
        return pb.Command(erase_user=pb.EraseUser(user_id=request.user_id, phone_key=phone_key, grounds=grounds))

    async def reply_account(
        self, request: api.EraseAccountRequest, caller: Caller, accepted: Accepted
    ) -> api.EraseAccountResponse:
        """When."""
        return api.EraseAccountResponse(erase_time_ms=accepted.time_ms)

    async def reply_user(
        self, request: api.EraseUserRequest, caller: Caller, accepted: Accepted
    ) -> api.EraseUserResponse:
        """When."""
        return api.EraseUserResponse(erase_time_ms=accepted.time_ms)

    async def _phone_key(self, view: View, user_id: str) -> str:
        """Routing key of a user's phone; empty where the user has none or it was erased."""
        user = document(await view.get(user_key(user_id)), user_key(user_id), User)
        phone = await opened(self.sealer, user.phone if user else None, bound_to_user_phone(user_id))
        return self.challenges.phone_key(phone) if phone else ""
