from __future__ import annotations

import pytest

from chapar.messaging.v1 import messaging_pb2 as api
from chapar_sourcing.domain import Refused

from .office import ALI, MINA, REZA, Office, direct, group_of

TALK = direct(ALI, MINA)
GROUP = group_of(ALI)


async def busy() -> Office:
    """Ali wrote twice to Mina and once to a group of all three."""
    office = Office()
    await office.send(ALI, TALK, "یک")
    await office.send(ALI, TALK, "دو")
    request = api.CreateGroupRequest(conversation_id=GROUP, title="ما", member_user_ids=[MINA, REZA])
    await office.must(ALI, "CreateGroup", request)
    await office.send(ALI, GROUP, "سه")
    return office


async def test_an_inbox_lists_conversations_with_what_is_unread() -> None:
    office = await busy()
    mine = {row.conversation_id: (row.head_sequence, row.unread_count) for row in await office.inbox(MINA)}
    assert mine == {TALK: (2, 2), GROUP: (1, 1)}
    own = {row.conversation_id: (row.read_sequence, row.unread_count) for row in await office.inbox(ALI)}
    assert own == {TALK: (2, 0), GROUP: (1, 0)}


async def test_answering_reads_what_was_before() -> None:
    office = await busy()
    await office.send(MINA, TALK, "سلام")
    rows = {row.conversation_id: row for row in await office.inbox(MINA)}
    assert (rows[TALK].read_sequence, rows[TALK].unread_count) == (3, 0)


async def test_reading_goes_forward_only_and_is_shown_to_other_devices() -> None:
    office = await busy()
    for sequence in (1, 2, 1):
        await office.must(MINA, "MarkRead", api.MarkReadRequest(conversation_id=TALK, sequence=sequence))
    rows = {row.conversation_id: row for row in await office.inbox(MINA)}
    assert (rows[TALK].read_sequence, rows[TALK].unread_count) == (2, 0)
    assert office.api.watch is not None
    hints = [hint for event, source in office.play.events for hint in office.api.watch.hints_of(event, source.time_ms)]
    assert [key for key, _ in hints] == [MINA, MINA]
    assert [api.InboxEvent.FromString(hint).read_cursor for _, hint in hints] == [
        api.ReadCursorMove(conversation_id=TALK, read_sequence=sequence) for sequence in (1, 2)
    ]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (api.MarkReadRequest(conversation_id="x", sequence=1), "CONVERSATION_ID_INVALID"),
        (api.MarkReadRequest(conversation_id=TALK, sequence=-1), "SEQUENCE_INVALID"),
        (api.MarkReadRequest(conversation_id=TALK, sequence=2**62), "SEQUENCE_INVALID"),
        (api.MarkReadRequest(conversation_id=TALK, sequence=1), "CONVERSATION_UNKNOWN"),
    ],
)
async def test_marking_is_refused(request_: api.MarkReadRequest, reason: str) -> None:
    office = await busy()
    events = len(office.play.events)
    assert await office.call(REZA, "MarkRead", request_) == Refused(f"REASON_{reason}")
    assert len(office.play.events) == events


async def test_an_inbox_pages_by_conversation_id() -> None:
    office = await busy()
    first = await office.must(MINA, "ListInbox", api.ListInboxRequest(page_size=1))
    assert isinstance(first, api.ListInboxResponse)
    second = await office.must(
        MINA, "ListInbox", api.ListInboxRequest(page_size=1, page_token=first.next_page_token)
    )  # fmt: skip
    assert isinstance(second, api.ListInboxResponse)
    assert [row.conversation_id for row in (*first.rows, *second.rows)] == [TALK, GROUP]
    assert second.next_page_token == ""
    for request in (api.ListInboxRequest(page_size=201), api.ListInboxRequest(page_token="x")):
        assert await office.call(MINA, "ListInbox", request) == Refused("REASON_PAGE_INVALID")


async def test_a_snapshot_shows_the_most_recent_conversations_first() -> None:
    office = await busy()
    assert office.api.watch is not None
    snapshot = api.InboxSnapshot.FromString(await office.api.watch.snapshot(MINA, office.view))
    assert [row.conversation_id for row in snapshot.rows] == [GROUP, TALK]
    assert not snapshot.more
    await office.send(ALI, TALK, "چهار")
    snapshot = api.InboxSnapshot.FromString(await office.api.watch.snapshot(MINA, office.view))
    assert [(row.conversation_id, row.unread_count) for row in snapshot.rows] == [(TALK, 3), (GROUP, 1)]


async def test_a_snapshot_has_two_hundred_rows_at_most() -> None:
    office = Office()
    for number in range(201):
        request = api.CreateGroupRequest(conversation_id=f"g.{ALI}.{number:032x}", title="t")
        await office.must(ALI, "CreateGroup", request)
    assert office.api.watch is not None
    snapshot = api.InboxSnapshot.FromString(await office.api.watch.snapshot(ALI, office.view))
    assert len(snapshot.rows) == 200
    assert snapshot.more
    assert snapshot.rows[0].conversation_id == f"g.{ALI}.{200:032x}"


@pytest.mark.parametrize(
    ("key", "user_id", "basis", "allowed"),
    [(MINA, MINA, "", True), (MINA, ALI, "", False), (MINA, ALI, TALK, False), (MINA, MINA, TALK, False)],
)
async def test_an_inbox_is_watched_by_its_user_alone(key: str, user_id: str, basis: str, allowed: bool) -> None:
    office = await busy()
    assert office.api.watch is not None
    assert await office.api.watch.authorise(key, user_id, basis, office.view) is allowed
