"""A user's inbox: rows that Advances have merged, with the user's read cursors laid over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from chapar.messaging.v1 import messaging_pb2 as api
from chapar_chassis.api import Caller
from chapar_messaging.domain.read_cursors.documents import READ_CURSOR_KIND, ReadCursor
from chapar_messaging.ids import parse_conversation_id
from chapar_messaging.inbox import Row, is_live, row_of
from chapar_messaging.queries.pages import PAGE_INVALID, page_size_of
from chapar_sourcing.domain import Refused
from chapar_sourcing.view import View

INBOX_PAGE: Final = 50
INBOX_PAGE_MAX: Final = 200
SNAPSHOT_ROWS_MAX: Final = 200

_CURSORS_A_SCAN: Final = 500


async def read_inbox(view: View, user_id: str) -> Sequence[Row]:
    """All conversations that the user is in, in order of their ids."""
    fields = await view.rows(user_id)
    marked = await _marked(view, user_id)
    return [row_of(name, fields[name], marked.get(name, 0)) for name in sorted(fields) if is_live(fields[name])]


async def list_inbox(request: api.ListInboxRequest, caller: Caller, view: View) -> api.ListInboxResponse | Refused:
    """PAGE_INVALID. A page token is the last conversation id shown."""
    size = page_size_of(request.page_size, default=INBOX_PAGE, most=INBOX_PAGE_MAX)
    if size is None or (request.page_token and parse_conversation_id(request.page_token) is None):
        return PAGE_INVALID
    rows = [row for row in await read_inbox(view, caller.user_id) if row.conversation_id > request.page_token]
    page = rows[:size]
    return api.ListInboxResponse(
        rows=map(shown_row, page),
        next_page_token=page[-1].conversation_id if len(rows) > size else "",
    )


async def snapshot(user_id: str, view: View) -> bytes:
    """A serialised `InboxSnapshot`: the most recently active conversations first."""
    rows = sorted(await read_inbox(view, user_id), key=lambda row: (-row.activity_time_ms, row.conversation_id))
    shown = api.InboxSnapshot(
        rows=map(shown_row, rows[:SNAPSHOT_ROWS_MAX]),
        more=len(rows) > SNAPSHOT_ROWS_MAX,
    )
    return shown.SerializeToString()


def shown_row(row: Row) -> api.InboxRow:
    """A row as clients get it."""
    return api.InboxRow(
        conversation_id=row.conversation_id,
        head_sequence=row.head_sequence,
        activity_time_ms=row.activity_time_ms,
        read_sequence=row.read_sequence,
        unread_count=row.unread_count,
        first_visible_sequence=row.first_visible_sequence,
        change_sequence=row.change_sequence,
    )


async def _marked(view: View, user_id: str) -> Mapping[str, int]:
    marked: dict[str, int] = {}
    after = ""
    while True:
        found = await view.scan(READ_CURSOR_KIND, user_id, after=after, limit=_CURSORS_A_SCAN)
        marked |= {key.id: cursor.sequence for key, cursor in found if isinstance(cursor, ReadCursor)}
        if len(found) < _CURSORS_A_SCAN:
            return marked
        after = found[-1][0].id
