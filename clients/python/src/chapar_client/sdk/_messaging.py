"""Conversations, messages, inboxes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from chapar.messaging.v1 import messaging_pb2 as pb
from chapar_client.sdk._calls import Calls
from chapar_client.sdk._conversations import new_group_id
from chapar_client.sdk._tokens import Tokens


class Messaging:
    """Calls of `chapar.messaging.v1.MessagingService`."""

    def __init__(self, calls: Calls, tokens: Tokens) -> None:
        self._calls = calls
        self._tokens = tokens

    async def send_message(
        self, conversation_id: str, text: str, *, reply_to_sequence: int = 0, timeout_s: float | None = None
    ) -> pb.SendMessageResponse:
        """Sends a text; the first one of two people opens their conversation."""
        request = pb.SendMessageRequest(conversation_id=conversation_id, text=text, reply_to_sequence=reply_to_sequence)
        return await self._calls.call(request, pb.SendMessageResponse, timeout_s=timeout_s)

    async def delete_message(self, conversation_id: str, sequence: int) -> None:
        """Deletes a text for everybody; deleting it again does no harm."""
        request = pb.DeleteMessageRequest(conversation_id=conversation_id, sequence=sequence)
        await self._calls.call(request, pb.DeleteMessageResponse)

    async def list_messages(
        self, conversation_id: str, *, from_sequence: int = 0, descending: bool = False, page_size: int = 0
    ) -> pb.ListMessagesResponse:
        """One page of history, up (above `from_sequence`) or down (below it; 0 is the newest)."""
        request = pb.ListMessagesRequest(
            conversation_id=conversation_id, from_sequence=from_sequence, descending=descending, page_size=page_size
        )
        return await self._calls.call(request, pb.ListMessagesResponse)

    async def history(
        self, conversation_id: str, *, from_sequence: int = 0, descending: bool = False
    ) -> AsyncIterator[pb.Message]:
        """History, page by page as it is asked for."""
        while True:
            page = await self.list_messages(conversation_id, from_sequence=from_sequence, descending=descending)
            for message in page.messages:
                yield message
            if not page.next_from_sequence:
                return
            from_sequence = page.next_from_sequence

    async def create_group(self, title: str, member_user_ids: Sequence[str] = ()) -> str:
        """Makes a group with the caller as its owner; answers its conversation id."""
        session = await self._tokens.session()
        request = pb.CreateGroupRequest(
            conversation_id=new_group_id(session.user_id), title=title, member_user_ids=member_user_ids
        )
        await self._calls.call(request, pb.CreateGroupResponse)
        return request.conversation_id

    async def get_conversation(self, conversation_id: str) -> pb.Conversation:
        """A conversation, as its member sees it."""
        request = pb.GetConversationRequest(conversation_id=conversation_id)
        return (await self._calls.call(request, pb.GetConversationResponse)).conversation

    async def members(self, conversation_id: str) -> AsyncIterator[pb.Member]:
        """The members, in order of their user ids, page by page."""
        token = ""  # nosec B105 # the first page
        while True:
            request = pb.ListMembersRequest(conversation_id=conversation_id, page_token=token)
            page = await self._calls.call(request, pb.ListMembersResponse)
            for member in page.members:
                yield member
            token = page.next_page_token
            if not token:
                return

    async def add_member(self, conversation_id: str, user_id: str) -> None:
        """Adds a user to a group."""
        request = pb.AddMemberRequest(conversation_id=conversation_id, user_id=user_id)
        await self._calls.call(request, pb.AddMemberResponse)

    async def remove_member(self, conversation_id: str, user_id: str) -> None:
        """Removes a user of lower role."""
        request = pb.RemoveMemberRequest(conversation_id=conversation_id, user_id=user_id)
        await self._calls.call(request, pb.RemoveMemberResponse)

    async def set_member_role(self, conversation_id: str, user_id: str, role: pb.Role.ValueType) -> None:
        """Gives a role; giving ownership makes the caller an admin."""
        request = pb.SetMemberRoleRequest(conversation_id=conversation_id, user_id=user_id, role=role)
        await self._calls.call(request, pb.SetMemberRoleResponse)

    async def leave_group(self, conversation_id: str) -> None:
        """Leaves a group."""
        await self._calls.call(pb.LeaveGroupRequest(conversation_id=conversation_id), pb.LeaveGroupResponse)

    async def inbox_rows(self) -> AsyncIterator[pb.InboxRow]:
        """The caller's conversations, by conversation id, page by page."""
        token = ""  # nosec B105 # the first page
        while True:
            page = await self._calls.call(pb.ListInboxRequest(page_token=token, page_size=200), pb.ListInboxResponse)
            for row in page.rows:
                yield row
            token = page.next_page_token
            if not token:
                return

    async def mark_read(self, conversation_id: str, sequence: int) -> None:
        """Moves one's own read cursor forward."""
        request = pb.MarkReadRequest(conversation_id=conversation_id, sequence=sequence)
        await self._calls.call(request, pb.MarkReadResponse)
