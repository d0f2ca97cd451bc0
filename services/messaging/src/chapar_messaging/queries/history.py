"""Messages of a conversation, up or down from a sequence; only what the caller may see, and never with a hole."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from chapar.messaging.v1 import messaging_pb2 as api
from chapar_chassis.api import Caller
from chapar_messaging.content import shown_message
from chapar_messaging.domain.messages.documents import MESSAGE_KIND, StoredMessage, message_in, message_key
from chapar_messaging.inbox import SEQUENCE_MAX
from chapar_messaging.queries.conversations import Insight, look_into
from chapar_messaging.queries.pages import PAGE_INVALID, page_size_of
from chapar_sourcing.domain import Refused, ordered
from chapar_sourcing.sealing import Sealer
from chapar_sourcing.view import View

MESSAGES_PAGE: Final = 50
MESSAGES_PAGE_MAX: Final = 200
PAGE_BYTES_MAX: Final = 192 * 1024
"""A page ends before it is larger, so that a reply stays below the 256 KiB that gateways pass; one message always
fits."""


class HistoryDamaged(Exception):
    """Store and memory together lack a message that the conversation's head counts: a bug or a damaged store."""


class HistoryQueries:
    """ListMessages."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def list_messages(
        self, request: api.ListMessagesRequest, caller: Caller, view: View
    ) -> api.ListMessagesResponse | Refused:
        """PAGE_INVALID, SEQUENCE_INVALID, CONVERSATION_ID_INVALID, CONVERSATION_UNKNOWN.

        Raises `HistoryDamaged` rather than show a history with a hole.
        """
        size = page_size_of(request.page_size, default=MESSAGES_PAGE, most=MESSAGES_PAGE_MAX)
        if size is None:
            return PAGE_INVALID
        if not 0 <= request.from_sequence <= SEQUENCE_MAX:
            return Refused("REASON_SEQUENCE_INVALID")
        insight = await look_into(view, request.conversation_id, caller.user_id)
        if isinstance(insight, Refused):
            return insight
        wanted = _wanted(request, insight, size)
        messages = await self._read(view, request.conversation_id, wanted)
        return api.ListMessagesResponse(
            messages=messages, next_from_sequence=_next(request, insight, wanted[: len(messages)])
        )

    async def _read(self, view: View, conversation_id: str, wanted: range) -> Sequence[api.Message]:
        if not wanted:
            return []
        found = await view.scan(
            MESSAGE_KIND,
            conversation_id,
            after=ordered(min(wanted) - 1),
            before=ordered(max(wanted) + 1),
            descending=wanted.step < 0,
            limit=len(wanted),
        )
        if [key.id for key, _ in found] != [ordered(sequence) for sequence in wanted]:
            raise HistoryDamaged(f"messages {min(wanted)} to {max(wanted)} of a conversation are not all there")
        stored_messages = [stored for _, stored in found if isinstance(stored, StoredMessage)]
        deleted = await deleted_targets(view, conversation_id, stored_messages)
        messages: list[api.Message] = []
        size = 0
        for sequence, stored in zip(wanted, stored_messages, strict=True):
            message = await shown_message(
                self._sealer,
                conversation_id,
                sequence,
                stored,
                reply_to_deleted=stored.reply_to_sequence in deleted,
            )
            size += message.ByteSize()
            if messages and size > PAGE_BYTES_MAX:
                break
            messages.append(message)
        return messages


async def deleted_targets(view: View, conversation_id: str, messages: Sequence[StoredMessage]) -> Collection[int]:
    """Which of the messages that these answer were deleted."""
    targets = {message.reply_to_sequence for message in messages} - {0}
    documents = await view.get(*(message_key(conversation_id, target) for target in targets)) if targets else {}
    found = {target: message_in(documents, conversation_id, target) for target in targets}
    return {target for target, message in found.items() if message is not None and message.deleted}


def _wanted(request: api.ListMessagesRequest, insight: Insight, size: int) -> range:
    """The sequences of the page, in the order asked for: all of them are there and visible."""
    head, first_visible = insight.conversation.message_sequence, insight.member.first_visible_sequence
    if request.descending:
        newest = min(head, request.from_sequence - 1) if request.from_sequence else head
        return range(newest, max(newest - size, first_visible - 1), -1)
    oldest = max(request.from_sequence + 1, first_visible)
    return range(oldest, min(oldest + size, head + 1))


def _next(request: api.ListMessagesRequest, insight: Insight, wanted: range) -> int:
    if not wanted:
        return 0
    last, head = wanted[-1], insight.conversation.message_sequence
    more = last > insight.member.first_visible_sequence if request.descending else last < head
    return last if more else 0
