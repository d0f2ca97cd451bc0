"""SetUsername and ResolveUsername.

Reasons in order of precedence: USERNAME_INVALID, then those of `domain.usernames`; USERNAME_UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar.identity.v1 import identity_pb2 as api
from chapar_chassis.api import Accepted, Caller, CommandRpc, QueryRpc
from chapar_identity.api.arrival import await_session
from chapar_identity.api.forms import is_username
from chapar_identity.domain.reading import document
from chapar_identity.domain.usernames.decide import USERNAME_PENDING, USERNAME_TAKEN
from chapar_identity.domain.usernames.documents import Naming, Username, naming_key, username_key
from chapar_sourcing.domain import Document, Refused
from chapar_sourcing.view import View

USERNAME_INVALID = "REASON_USERNAME_INVALID"
USERNAME_UNKNOWN = "REASON_USERNAME_UNKNOWN"
DECISION_WAIT_MS = 5_000
ANSWER_MARGIN_MS = 100
"""Left of the caller's deadline for telling them that it is not decided yet."""


@dataclass(frozen=True, slots=True)
class UsernameCalls:
    """Calls about usernames."""

    def commands(self) -> Mapping[str, CommandRpc[Any, Any]]:
        """Calls that change, by name."""
        return {"SetUsername": CommandRpc(prepare=self.prepare_set, finish=self.finish_set, reply=self.reply_set)}

    def queries(self) -> Mapping[str, QueryRpc[Any, Any]]:
        """Calls that read, by name."""
        return {"ResolveUsername": QueryRpc(answer=self.resolve)}

    async def prepare_set(self, request: api.SetUsernameRequest, caller: Caller, view: View) -> pb.Command | Refused:
        """A wish; only canonical usernames have a partition."""
        if not is_username(request.username):
            return Refused(USERNAME_INVALID)
        await await_session(view, caller, caller.user_id, caller.session_id)
        return pb.Command(
            set_username=pb.SetUsername(
                user_id=caller.user_id, caller_session_id=caller.session_id, username=request.username
            )
        )

    async def finish_set(
        self, request: api.SetUsernameRequest, caller: Caller, accepted: Accepted, view: View
    ) -> Refused | None:
        """Waits for the decision on this very wish; no event means that the username was held already."""
        if not accepted.events:
            return None
        wished: pb.UsernameWished = accepted.events[0].username_wished

        def is_decided(found: Document | None) -> bool:
            return isinstance(found, Naming) and found.is_decided(wished.wish)

        deadline_ms = min(view.now_ms + DECISION_WAIT_MS, caller.deadline_ms - ANSWER_MARGIN_MS)
        try:
            naming = await view.wait_until(naming_key(caller.user_id), is_decided, deadline_ms=deadline_ms)
        except TimeoutError:
            return Refused(USERNAME_PENDING)
        was_refused = isinstance(naming, Naming) and naming.was_refused(wished.wish)
        return Refused(USERNAME_TAKEN) if was_refused else None

    async def reply_set(
        self, request: api.SetUsernameRequest, caller: Caller, accepted: Accepted
    ) -> api.SetUsernameResponse:
        """The username that this request got."""
        return api.SetUsernameResponse(username=request.username)

    async def resolve(
        self, request: api.ResolveUsernameRequest, caller: Caller, view: View
    ) -> api.ResolveUsernameResponse | Refused:
        """Whoever it is reserved for."""
        if not is_username(request.username):
            return Refused(USERNAME_INVALID)
        key = username_key(request.username)
        found = document(await view.get(key), key, Username)
        return api.ResolveUsernameResponse(user_id=found.user_id) if found else Refused(USERNAME_UNKNOWN)
