"""Given, when, then for the rules of messaging: an owner without a log, that checks what the engine relies on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.messaging.v1 import messaging_pb2 as api
from chapar.sourcing.journal.v1 import journal_pb2 as sourcing
from chapar_messaging.domain import DOCUMENT_TYPES, MessagingDomain
from chapar_messaging.domain.conversations.documents import MEMBER_KIND, Conversation, Member, conversation_key
from chapar_sourcing.domain import Document, Documents, Key, Refused, When, decode, encode
from chapar_sourcing.positions import Position
from chapar_sourcing.reactions import Advance, Source

ARASH, BAHAR, CYRUS, DARYA = (letter * 26 for letter in "abcd")
DIRECT = f"d.{ARASH}.{BAHAR}"
GROUP = f"g.{ARASH}.{'0' * 32}"
TEXT = sourcing.Sealed(key_id="key", nonce=bytes(12), ciphertext=b"sealed")


@dataclass
class Play:
    """Documents, events so far, and a clock that goes one second a command."""

    documents: dict[Key, Document] = field(default_factory=dict)
    events: list[tuple[journal.Event, Source]] = field(default_factory=list)
    now_ms: int = 1_000_000
    domain: MessagingDomain = field(default_factory=MessagingDomain)

    def when(self, command: journal.Command) -> Sequence[journal.Event] | Refused:
        """Decides, and applies what was decided."""
        self.now_ms += 1_000
        needed = list(self.domain.needs(command))
        assert len(needed) == len(set(needed))
        decision = self.domain.decide(
            {key: self.documents[key] for key in needed if key in self.documents}, command, self.now_ms
        )
        if not isinstance(decision, Refused):
            self._apply(decision, needed)
        return decision

    def given(self, *commands: journal.Command) -> Play:
        """Decides commands that must be accepted."""
        for command in commands:
            decision = self.when(command)
            assert not isinstance(decision, Refused), decision
        return self

    def head(self, conversation_id: str) -> Conversation:
        """A conversation's head."""
        document = self.documents[conversation_key(conversation_id)]
        assert isinstance(document, Conversation)
        return document

    def members(self, conversation_id: str) -> Mapping[str, Member]:
        """Who is in, by user id."""
        return {
            key.id: document
            for key, document in self.documents.items()
            if key.kind == MEMBER_KIND and key.parent == conversation_id and isinstance(document, Member)
        }

    def _apply(self, events: Sequence[journal.Event], needed: Sequence[Key]) -> None:
        offset = len(self.events)
        for index, event in enumerate(events):
            stored = journal.Event.FromString(event.SerializeToString(deterministic=True))
            assert stored == event
            touched = self.domain.touches(stored)
            assert len(touched) == len(set(touched))
            for key in touched:
                assert key in needed or key not in self.documents or self._made_now(key)
                self._evolve(key, stored)
            self.events.append((stored, Source("messaging", 0, Position(offset, index), self.now_ms)))

    def _made_now(self, key: Key) -> bool:
        document = self.documents[key]
        return isinstance(document, Conversation) and document.open_time_ms == self.now_ms

    def _evolve(self, key: Key, event: journal.Event) -> None:
        document = self.domain.evolve(key, self.documents.get(key), event, When(self.now_ms))
        if document is None:
            del self.documents[key]
            return
        assert decode(DOCUMENT_TYPES, key, encode(document)) == document
        self.documents[key] = document


@dataclass
class MemoryView:
    """A `View` of documents and rows in memory."""

    documents: Mapping[Key, Document] = field(default_factory=dict)
    advanced: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    partition: int = 0
    now_ms: int = 0
    scans: int = 0

    async def get(self, *keys: Key) -> Documents:
        return {key: self.documents[key] for key in keys if key in self.documents}

    async def scan(
        self, kind: str, parent: str, *, after: str = "", before: str | None = None,
        descending: bool = False, limit: int = 100,
    ) -> Sequence[tuple[Key, Document]]:  # fmt: skip
        self.scans += 1
        found = [
            (key, document)
            for key, document in self.documents.items()
            if (key.kind, key.parent) == (kind, parent) and after < key.id and (before is None or key.id < before)
        ]
        return sorted(found, key=lambda pair: pair[0], reverse=descending)[:limit]

    async def rows(self, key: str) -> Mapping[str, Mapping[str, bytes]]:
        return self.advanced.get(key, {})

    async def wait_until(
        self, key: Key, holds: Callable[[Document | None], bool], *, deadline_ms: int
    ) -> Document | None:
        document = self.documents.get(key)
        if not holds(document):
            raise TimeoutError
        return document

    def advance(self, advances: Sequence[Advance]) -> None:
        """Merges rows as stores do: each field by the maximum of its bytes."""
        for advance in advances:
            fields = self.advanced.setdefault(advance.key, {}).setdefault(advance.row, {})
            for name, value in advance.fields.items():
                fields[name] = max(fields.get(name, b""), value)


def send(sender: str, conversation_id: str = DIRECT, *, reply_to: int = 0, number: int = 1) -> journal.Command:
    """A text; `number` makes its message id."""
    return journal.Command(
        send_message=journal.SendMessage(
            conversation_id=conversation_id,
            sender_user_id=sender,
            message_id=number.to_bytes(16, "big"),
            text=TEXT,
            reply_to_sequence=reply_to,
        )
    )


def delete(actor: str, sequence: int, conversation_id: str = GROUP) -> journal.Command:
    """Deleting a message."""
    return journal.Command(
        delete_message=journal.DeleteMessage(
            conversation_id=conversation_id, sequence=sequence, actor_user_id=actor
        )
    )  # fmt: skip


def create_group(creator: str = ARASH, others: Sequence[str] = (), conversation_id: str = GROUP) -> journal.Command:
    """A group of `creator`."""
    return journal.Command(
        create_group=journal.CreateGroup(
            conversation_id=conversation_id, creator_user_id=creator, title=TEXT, member_user_ids=others
        )
    )


def add(actor: str, user_id: str, conversation_id: str = GROUP) -> journal.Command:
    """Adding somebody."""
    return journal.Command(
        add_member=journal.AddMember(conversation_id=conversation_id, actor_user_id=actor, user_id=user_id)
    )


def remove(actor: str, user_id: str, conversation_id: str = GROUP) -> journal.Command:
    """Removing somebody."""
    return journal.Command(
        remove_member=journal.RemoveMember(conversation_id=conversation_id, actor_user_id=actor, user_id=user_id)
    )


def set_role(actor: str, user_id: str, role: api.Role.ValueType, conversation_id: str = GROUP) -> journal.Command:
    """Giving somebody a role."""
    return journal.Command(
        set_member_role=journal.SetMemberRole(
            conversation_id=conversation_id, actor_user_id=actor, user_id=user_id, role=role
        )
    )


def leave(user_id: str, conversation_id: str = GROUP) -> journal.Command:
    """Leaving."""
    return journal.Command(leave_group=journal.LeaveGroup(conversation_id=conversation_id, user_id=user_id))


def mark_read(user_id: str, sequence: int, conversation_id: str = GROUP) -> journal.Command:
    """Reading up to a message."""
    return journal.Command(
        mark_read=journal.MarkRead(user_id=user_id, conversation_id=conversation_id, sequence=sequence, listed=True)
    )


def post_card(
    offset: int, previous: int | None = None, *, payer: str = ARASH, payee: str = BAHAR, partition: int = 0
) -> journal.Command:
    """The card of a transfer that payments completed at `offset`, with the one before it for the same target."""
    creation = sourcing.Creation(
        source="payments.events.v1",
        source_partition=partition,
        position=sourcing.SourcePosition(offset=offset),
        previous=None if previous is None else sourcing.SourcePosition(offset=previous),
    )
    lower, higher = sorted((payer, payee))
    card = journal.PostPaymentCard(
        conversation_id=f"d.{lower}.{higher}",
        transfer_id=f"t{offset}",
        payer_user_id=payer,
        payee_user_id=payee,
        amount_rials=50_000,
    )
    return journal.Command(creation=creation, post_payment_card=card)


def kinds(decision: Sequence[journal.Event] | Refused) -> list[str | None]:
    """What happened, by name."""
    assert not isinstance(decision, Refused), decision
    return [event.WhichOneof("kind") for event in decision]
