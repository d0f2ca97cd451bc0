"""The commands of groups: each handler checks the request's form and makes the complete command."""

from __future__ import annotations

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.messaging.v1 import messaging_pb2 as api
from chapar_chassis.api import Accepted, Caller
from chapar_chassis.user_ids import UserIds
from chapar_messaging.content import seal_title
from chapar_messaging.domain.conversations.documents import GROUP_MEMBERS_AT_START_MAX
from chapar_messaging.forms import is_title
from chapar_messaging.ids import Group, parse_conversation_id
from chapar_sourcing.domain import Refused
from chapar_sourcing.sealing import Sealer
from chapar_sourcing.view import View

_ID_INVALID = Refused("REASON_CONVERSATION_ID_INVALID")
_USER_UNKNOWN = Refused("REASON_USER_UNKNOWN")
_ROLES = (api.ROLE_MEMBER, api.ROLE_ADMIN, api.ROLE_OWNER)


class Groups:
    """The handlers of CreateGroup, AddMember, RemoveMember, SetMemberRole and LeaveGroup.

    Each `prepare_...` names its reasons in order; what the rules say comes after them.
    """

    def __init__(self, sealer: Sealer, user_ids: UserIds) -> None:
        self._sealer = sealer
        self._user_ids = user_ids

    async def prepare_create_group(
        self, request: api.CreateGroupRequest, caller: Caller, view: View
    ) -> journal.Command | Refused:
        """CONVERSATION_ID_INVALID, TITLE_INVALID, TOO_MANY_MEMBERS, USER_UNKNOWN."""
        if parse_conversation_id(request.conversation_id) != Group(caller.user_id):
            return _ID_INVALID
        if not is_title(request.title):
            return Refused("REASON_TITLE_INVALID")
        if len(request.member_user_ids) > GROUP_MEMBERS_AT_START_MAX:
            return Refused("REASON_TOO_MANY_MEMBERS", {"members_max": str(GROUP_MEMBERS_AT_START_MAX)})
        if not all(map(self._user_ids.is_genuine, request.member_user_ids)):
            return _USER_UNKNOWN
        others = dict.fromkeys(request.member_user_ids)
        others.pop(caller.user_id, None)
        command = journal.CreateGroup(
            conversation_id=request.conversation_id,
            creator_user_id=caller.user_id,
            title=await seal_title(self._sealer, request.conversation_id, request.title),
            member_user_ids=others,
        )
        return journal.Command(create_group=command)

    async def prepare_add_member(
        self, request: api.AddMemberRequest, caller: Caller, view: View
    ) -> journal.Command | Refused:
        """CONVERSATION_ID_INVALID, USER_UNKNOWN."""
        if refused := self._problem(request.conversation_id, request.user_id):
            return refused
        command = journal.AddMember(
            conversation_id=request.conversation_id, actor_user_id=caller.user_id, user_id=request.user_id
        )
        return journal.Command(add_member=command)

    async def prepare_remove_member(
        self, request: api.RemoveMemberRequest, caller: Caller, view: View
    ) -> journal.Command | Refused:
        """CONVERSATION_ID_INVALID, USER_UNKNOWN."""
        if refused := self._problem(request.conversation_id, request.user_id):
            return refused
        command = journal.RemoveMember(
            conversation_id=request.conversation_id, actor_user_id=caller.user_id, user_id=request.user_id
        )
        return journal.Command(remove_member=command)

    async def prepare_set_member_role(
        self, request: api.SetMemberRoleRequest, caller: Caller, view: View
    ) -> journal.Command | Refused:
        """CONVERSATION_ID_INVALID, USER_UNKNOWN, ROLE_INVALID."""
        if refused := self._problem(request.conversation_id, request.user_id):
            return refused
        if request.role not in _ROLES:
            return Refused("REASON_ROLE_INVALID")
        command = journal.SetMemberRole(
            conversation_id=request.conversation_id,
            actor_user_id=caller.user_id,
            user_id=request.user_id,
            role=request.role,
        )
        return journal.Command(set_member_role=command)

    async def prepare_leave_group(
        self, request: api.LeaveGroupRequest, caller: Caller, view: View
    ) -> journal.Command | Refused:
        """CONVERSATION_ID_INVALID."""
        if parse_conversation_id(request.conversation_id) is None:
            return _ID_INVALID
        command = journal.LeaveGroup(conversation_id=request.conversation_id, user_id=caller.user_id)
        return journal.Command(leave_group=command)

    def _problem(self, conversation_id: str, user_id: str) -> Refused | None:
        if parse_conversation_id(conversation_id) is None:
            return _ID_INVALID
        return None if self._user_ids.is_genuine(user_id) else _USER_UNKNOWN


async def reply_create_group(
    request: api.CreateGroupRequest, caller: Caller, accepted: Accepted
) -> api.CreateGroupResponse:
    """When it was made."""
    return api.CreateGroupResponse(create_time_ms=accepted.time_ms)


async def reply_add_member(request: api.AddMemberRequest, caller: Caller, accepted: Accepted) -> api.AddMemberResponse:
    """Nothing to say."""
    return api.AddMemberResponse()


async def reply_remove_member(
    request: api.RemoveMemberRequest, caller: Caller, accepted: Accepted
) -> api.RemoveMemberResponse:
    """Nothing to say."""
    return api.RemoveMemberResponse()


async def reply_set_member_role(
    request: api.SetMemberRoleRequest, caller: Caller, accepted: Accepted
) -> api.SetMemberRoleResponse:
    """Nothing to say."""
    return api.SetMemberRoleResponse()


async def reply_leave_group(
    request: api.LeaveGroupRequest, caller: Caller, accepted: Accepted
) -> api.LeaveGroupResponse:
    """Nothing to say."""
    return api.LeaveGroupResponse()
