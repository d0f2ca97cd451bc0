"""What a member may know of a conversation: itself and who is in it. To all others it does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chapar.messaging.v1 import messaging_pb2 as api
from chapar_chassis.api import Caller
from chapar_messaging.content import open_title
from chapar_messaging.domain import reasons
from chapar_messaging.domain.conversations.documents import (
    MEMBER_KIND,
    Conversation,
    Member,
    conversation_in,
    conversation_key,
    member_in,
    member_key,
)
from chapar_messaging.ids import is_user_id, parse_conversation_id
from chapar_messaging.queries.pages import PAGE_INVALID, page_size_of
from chapar_sourcing.domain import Refused
from chapar_sourcing.sealing import Sealer
from chapar_sourcing.view import View

MEMBERS_PAGE: Final = 100
MEMBERS_PAGE_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Insight:
    """A conversation together with the member who looks at it."""

    conversation: Conversation
    member: Member


async def look_into(view: View, conversation_id: str, user_id: str) -> Insight | Refused:
    """CONVERSATION_ID_INVALID, CONVERSATION_UNKNOWN."""
    if parse_conversation_id(conversation_id) is None:
        return Refused("REASON_CONVERSATION_ID_INVALID")
    documents = await view.get(conversation_key(conversation_id), member_key(conversation_id, user_id))
    conversation = conversation_in(documents, conversation_id)
    member = member_in(documents, conversation_id, user_id)
    if conversation is None or member is None:
        return Refused(reasons.CONVERSATION_UNKNOWN)
    return Insight(conversation, member)


class ConversationQueries:
    """GetConversation and ListMembers."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def get_conversation(
        self, request: api.GetConversationRequest, caller: Caller, view: View
    ) -> api.GetConversationResponse | Refused:
        """CONVERSATION_ID_INVALID, CONVERSATION_UNKNOWN."""
        insight = await look_into(view, request.conversation_id, caller.user_id)
        if isinstance(insight, Refused):
            return insight
        head = insight.conversation
        shown = api.Conversation(
            conversation_id=request.conversation_id,
            kind=api.ConversationKind.ValueType(head.kind),
            title=await open_title(self._sealer, request.conversation_id, head.title),
            member_count=head.member_count,
            role=api.Role.ValueType(insight.member.role),
            head_sequence=head.message_sequence,
            change_sequence=head.change_sequence,
            first_visible_sequence=insight.member.first_visible_sequence,
        )
        return api.GetConversationResponse(conversation=shown)

    async def list_members(
        self, request: api.ListMembersRequest, caller: Caller, view: View
    ) -> api.ListMembersResponse | Refused:
        """PAGE_INVALID, CONVERSATION_ID_INVALID, CONVERSATION_UNKNOWN. A page token is the last user id shown."""
        size = page_size_of(request.page_size, default=MEMBERS_PAGE, most=MEMBERS_PAGE_MAX)
        if size is None or (request.page_token and not is_user_id(request.page_token)):
            return PAGE_INVALID
        insight = await look_into(view, request.conversation_id, caller.user_id)
        if isinstance(insight, Refused):
            return insight
        found = await view.scan(MEMBER_KIND, request.conversation_id, after=request.page_token, limit=size + 1)
        page = found[:size]
        return api.ListMembersResponse(
            members=[_shown(key.id, member) for key, member in page if isinstance(member, Member)],
            next_page_token=page[-1][0].id if len(found) > size else "",
        )


def _shown(user_id: str, member: Member) -> api.Member:
    return api.Member(user_id=user_id, role=api.Role.ValueType(member.role), join_time_ms=member.join_time_ms)
