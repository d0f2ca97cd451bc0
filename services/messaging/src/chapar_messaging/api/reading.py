"""MarkRead and the live view of an inbox: what belongs to a user alone."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.messaging.v1 import messaging_pb2 as api
from chapar_chassis.api import Accepted, Caller, WatchRule
from chapar_messaging.ids import parse_conversation_id
from chapar_messaging.inbox import SEQUENCE_MAX, is_live
from chapar_messaging.queries.inboxes import snapshot
from chapar_sourcing.domain import Refused
from chapar_sourcing.view import View


async def prepare_mark_read(request: api.MarkReadRequest, caller: Caller, view: View) -> journal.Command | Refused:
    """CONVERSATION_ID_INVALID, SEQUENCE_INVALID; then what the rules say of a conversation that is not listed."""
    if parse_conversation_id(request.conversation_id) is None:
        return Refused("REASON_CONVERSATION_ID_INVALID")
    if not 0 <= request.sequence <= SEQUENCE_MAX:
        return Refused("REASON_SEQUENCE_INVALID")
    fields = (await view.rows(caller.user_id)).get(request.conversation_id)
    command = journal.MarkRead(
        user_id=caller.user_id,
        conversation_id=request.conversation_id,
        sequence=request.sequence,
        listed=fields is not None and is_live(fields),
    )
    return journal.Command(mark_read=command)


async def reply_mark_read(request: api.MarkReadRequest, caller: Caller, accepted: Accepted) -> api.MarkReadResponse:
    """Nothing to say."""
    return api.MarkReadResponse()


async def _may_watch(key: str, user_id: str, basis: str, view: View) -> bool:
    """An inbox is its user's alone."""
    return key == user_id and basis == ""


def _hints_of(event: journal.Event, time_ms: int) -> Sequence[tuple[str, bytes]]:
    """A read cursor's move, for the user's other devices; all else comes as Advances."""
    if event.WhichOneof("kind") != "read_cursor_moved":
        return []
    moved = event.read_cursor_moved
    move = api.ReadCursorMove(conversation_id=moved.conversation_id, read_sequence=moved.sequence)
    return [(moved.user_id, api.InboxEvent(read_cursor=move).SerializeToString())]


INBOX_WATCH = WatchRule(authorise=_may_watch, snapshot=snapshot, hints_of=_hints_of)
