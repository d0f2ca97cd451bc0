"""Own events to inboxes: one `Advance` for each user whose inbox changes, with what live watchers are shown.

A message reaches those who were in when it was sent, as far as that is still known, and otherwise those who are in
now and may see it. That is right for both: who has come since must not see it (it is below their first visible one),
who has gone since need not. The same holds for its deletion. What goes out is plain text on its way to those who may
read it; it is stored nowhere, and what was deleted meanwhile goes out as deleted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from google.protobuf.message import Message as ProtoMessage

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.messaging.v1 import messaging_pb2 as api
from chapar_messaging import inbox
from chapar_messaging.content import shown_message
from chapar_messaging.domain.conversations.documents import (
    GROUP_MEMBERS_MAX,
    MEMBER_KIND,
    Member,
    conversation_in,
    conversation_key,
)
from chapar_messaging.domain.messages.deletions import deletions_in, deletions_key
from chapar_messaging.domain.messages.documents import message_in, message_key
from chapar_messaging.queries.history import deleted_targets
from chapar_sourcing.reactions import Advance, Source
from chapar_sourcing.sealing import Sealer
from chapar_sourcing.view import View

CONVERSATIONS_CACHED_MAX: Final = 1_000

FirstVisible = Sequence[tuple[str, int]]
"""(user id, first visible sequence) of each member."""


class FanOut:
    """The reaction to messaging's own journal."""

    name: Final = "fan_out"
    topic: Final = None
    event_type: Final = journal.Event

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._members = MembersCache(CONVERSATIONS_CACHED_MAX)

    async def react(self, event: ProtoMessage, source: Source, view: View) -> Sequence[Advance]:
        """What inboxes are told of one event."""
        assert isinstance(event, journal.Event)
        match event.WhichOneof("kind"):
            case "message_sent":
                return await self._of_message(event.message_sent, source, view)
            case "payment_card_posted":
                return await self._of_message(event.payment_card_posted, source, view)
            case "message_deleted":
                return await self._of_deletion(event.message_deleted, view)
            case "member_added":
                return [_of_joining(event.member_added, source)]
            case "member_removed":
                return [_of_leaving(event.member_removed)]
            case _:
                return []

    def settled(self, key: str, row: str, fields: inbox.Fields) -> inbox.Fields:
        """What of a row means anything today: an inbox built anew from the logs has the same of it."""
        return inbox.settled(fields)

    async def _of_message(
        self, placed: journal.MessageSent | journal.PaymentCardPosted, source: Source, view: View
    ) -> Sequence[Advance]:
        members = await self._members.read(view, placed.conversation_id, placed.change_sequence)
        shown = await self._shown(placed.conversation_id, placed.sequence, view)
        hint = api.InboxEvent(message=shown).SerializeToString()
        return [
            Advance(
                key=user_id,
                row=placed.conversation_id,
                fields=inbox.fields_of_message(placed.sequence, source.time_ms, own=user_id == shown.sender_user_id),
                hint=hint,
            )
            for user_id, first_visible in members
            if first_visible <= placed.sequence
        ]

    async def _of_deletion(self, deleted: journal.MessageDeleted, view: View) -> Sequence[Advance]:
        conversation_id, change = deleted.conversation_id, deleted.change_sequence
        self._members.nobody_moved(conversation_id, change)
        members = await self._members.read(view, conversation_id, change)
        documents = await view.get(deletions_key(conversation_id, deleted.sequence))
        block = deletions_in(documents, conversation_id, deleted.sequence)
        if block is None:
            raise LookupError("a deletion is seen before its block")
        deletion = api.MessageDeletion(
            conversation_id=conversation_id, sequence=deleted.sequence, change_sequence=change
        )  # fmt: skip
        fields = inbox.fields_of_deletion(change, deleted.sequence, block.bits)
        hint = api.InboxEvent(deletion=deletion).SerializeToString()
        return [
            Advance(key=user_id, row=conversation_id, fields=fields, hint=hint)
            for user_id, first_visible in members
            if first_visible <= deleted.sequence
        ]

    async def _shown(self, conversation_id: str, sequence: int, view: View) -> api.Message:
        documents = await view.get(message_key(conversation_id, sequence))
        stored = message_in(documents, conversation_id, sequence)
        if stored is None:
            raise LookupError("an event of a message is seen before the message")
        deleted = await deleted_targets(view, conversation_id, [stored])
        return await shown_message(
            self._sealer, conversation_id, sequence, stored, reply_to_deleted=stored.reply_to_sequence in deleted
        )


class MembersCache:
    """Members of conversations as of a change that is in the log; the least recently used go first.

    Only what a durable message vouches for is kept: a change that is still under way may be undone, and another may
    take its number.
    """

    def __init__(self, conversations_max: int) -> None:
        self._conversations_max = conversations_max
        self._cached: OrderedDict[str, tuple[int, FirstVisible]] = OrderedDict()

    def nobody_moved(self, conversation_id: str, change_sequence: int) -> None:
        """A durable change moved nobody: whoever was in after the one before is in after it."""
        cached = self._cached.get(conversation_id)
        if cached is not None and cached[0] == change_sequence - 1:
            self._remember(conversation_id, change_sequence, cached[1])

    async def read(self, view: View, conversation_id: str, change_sequence: int) -> FirstVisible:
        """Everybody who was in after that change, without some who have gone since, with some who have come since."""
        cached = self._cached.get(conversation_id)
        if cached is not None and cached[0] == change_sequence:
            self._cached.move_to_end(conversation_id)
            return cached[1]
        unchanged_before = await _newest_change(view, conversation_id) == change_sequence
        members = await _scan_members(view, conversation_id)
        if unchanged_before and await _newest_change(view, conversation_id) == change_sequence:
            self._remember(conversation_id, change_sequence, members)
        return members

    def _remember(self, conversation_id: str, change_sequence: int, members: FirstVisible) -> None:
        self._cached[conversation_id] = (change_sequence, members)
        self._cached.move_to_end(conversation_id)
        while len(self._cached) > self._conversations_max:
            self._cached.popitem(last=False)


async def _newest_change(view: View, conversation_id: str) -> int:
    conversation = conversation_in(await view.get(conversation_key(conversation_id)), conversation_id)
    if conversation is None:
        raise LookupError("an event of a conversation is seen before the conversation")
    return conversation.change_sequence


async def _scan_members(view: View, conversation_id: str) -> FirstVisible:
    found = await view.scan(MEMBER_KIND, conversation_id, limit=GROUP_MEMBERS_MAX)
    return [(key.id, member.first_visible_sequence) for key, member in found if isinstance(member, Member)]


def _of_joining(added: journal.MemberAdded, source: Source) -> Advance:
    change = api.MembershipChange(
        conversation_id=added.conversation_id,
        member=True,
        change_sequence=added.change_sequence,
        first_visible_sequence=added.first_visible_sequence,
    )
    fields = inbox.fields_of_joining(added.change_sequence, added.first_visible_sequence, source.time_ms)
    return _of_membership(added.user_id, change, fields)


def _of_leaving(removed: journal.MemberRemoved) -> Advance:
    change = api.MembershipChange(
        conversation_id=removed.conversation_id, member=False, change_sequence=removed.change_sequence
    )
    return _of_membership(removed.user_id, change, inbox.fields_of_leaving(removed.change_sequence))


def _of_membership(user_id: str, change: api.MembershipChange, fields: inbox.Fields) -> Advance:
    hint = api.InboxEvent(membership=change).SerializeToString()
    return Advance(key=user_id, row=change.conversation_id, fields=fields, hint=hint)
