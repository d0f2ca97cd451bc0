"""A message as history shows it."""

from __future__ import annotations

import msgspec

from chapar_sourcing.domain import Document, Documents, Key, ordered

MESSAGE_KIND = "message"


class Card(msgspec.Struct, frozen=True, array_like=True):
    """A payment shown in a conversation; its payer is the message's sender."""

    transfer_id: str
    payee_user_id: str
    amount_rials: int


class StoredMessage(Document, frozen=True, array_like=True):
    """One message: a sealed text, a card, or what is left of a text that was deleted: who and when."""

    sender_user_id: str
    create_time_ms: int
    message_id: bytes = b""
    """The request id that the text is bound to; empty without a text."""
    text: bytes = b""
    """Serialised `Sealed`; empty on a card and once it was deleted."""
    reply_to_sequence: int = 0
    card: Card | None = None
    deleted: bool = False


def message_key(conversation_id: str, sequence: int) -> Key:
    """Where a message is."""
    return Key(MESSAGE_KIND, conversation_id, ordered(sequence))


def message_in(documents: Documents, conversation_id: str, sequence: int) -> StoredMessage | None:
    """A message among documents, if there is one."""
    found = documents.get(message_key(conversation_id, sequence))
    assert found is None or isinstance(found, StoredMessage)
    return found


def text_bound_to(conversation_id: str, message_id: bytes) -> str:
    """What the text of a message is bound to when it is sealed. Its sequence is not known yet then."""
    return f"message/{conversation_id}/{message_id.hex()}"
