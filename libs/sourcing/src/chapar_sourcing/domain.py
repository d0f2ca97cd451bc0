"""What a service tells the engine about its rules: pure functions over documents.

A service implements `Domain` once. Nothing in it waits, reads a clock or draws at random: a command carries all that
it needs, and the same log always gives the same documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import msgspec
from google.protobuf.message import Message

from chapar_sourcing.positions import Position


class Key(NamedTuple):
    """Names a document within a partition.

    `kind` selects the document's type, `parent` groups what is listed together (a conversation, a user), `id` orders
    it within the group by code points: numbers are padded with `ordered`. None of them contains a NUL.
    """

    kind: str
    parent: str
    id: str = ""


def ordered(number: int) -> str:
    """A non-negative number as text whose order is the number's: 16 decimal digits."""
    if not 0 <= number < 10**16:
        raise ValueError(f"{number} cannot be an ordered id")
    return f"{number:016d}"


class Document(msgspec.Struct, frozen=True, array_like=True, omit_defaults=False):
    """Base of all documents: an immutable, slotted value with what deciding needs, at most 64 KiB encoded.

    Fields are only ever added, at the end and with a default: the encoding is positional.
    """


DOCUMENT_BYTES_MAX = 64 * 1024
ANSWER_KIND = "answer"
"""The kind of the engine's own documents: the first answer to each request id."""

Documents = Mapping[Key, Document]
"""The documents a command asked for; a key is absent when there is no such document."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that changes nothing, with the name of the rule that failed.

    `reason` is a value name of the service's `Reason` enum, such as "REASON_FUNDS_INSUFFICIENT". `detail` holds what a
    program needs beside it, never personal data.
    """

    reason: str
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class When:
    """Where and when an event stands: its block's clock. The same live and in every replay."""

    time_ms: int


CommandT = TypeVar("CommandT", bound=Message, contravariant=True)
EventT = TypeVar("EventT", bound=Message)


class Domain(Protocol[CommandT, EventT]):
    """The rules of one service."""

    @property
    def service(self) -> str:
        """The service's name, such as "messaging"; journals, streams and stores are called after it."""

    @property
    def command_type(self) -> type[Message]:
        """The `Command` message of the service's journal package."""

    @property
    def event_type(self) -> type[EventT]:
        """The `Event` message of the service's journal package."""

    @property
    def documents(self) -> Mapping[str, type[Document]]:
        """The document type of each kind."""

    @property
    def journals_refusals(self) -> bool:
        """Whether refusals by `decide` are written to the journal, so that a retry gets the same one for ever."""

    @property
    def keeps_answers(self) -> bool:
        """Whether answers are kept for ever, so that no request id is ever too old; otherwise ids live 30 days."""

    def needs(self, command: CommandT) -> Sequence[Key]:
        """The documents that deciding reads, all of one partition; at most 1,000."""

    def decide(self, documents: Documents, command: CommandT, now_ms: int) -> Sequence[EventT] | Refused:
        """Validates, then says what happens. An empty sequence is an accepted command that changes nothing.

        Reads only documents of `needs`. `now_ms` is the time that the block will carry.
        """

    def touches(self, event: EventT) -> Sequence[Key]:
        """The documents that an event changes; none twice. Live they need not be in `needs`: the engine loads them
        for replay, and before deciding they must have been named by `needs` unless the event creates them."""

    def evolve(self, key: Key, document: Document | None, event: EventT, when: When) -> Document | None:
        """One document after the event; None deletes it. Called for each key of `touches`."""


def encode(document: Document) -> bytes:
    """A document as bytes: MessagePack, positional."""
    return msgspec.msgpack.encode(document)


def decode(kind_types: Mapping[str, type[Document]], key: Key, data: bytes) -> Document:
    """A document from its bytes. Raises `msgspec.ValidationError` when they are not one of its kind."""
    return msgspec.msgpack.decode(data, type=kind_types[key.kind])


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as the store holds it; `data` is None for a tombstone."""

    position: Position
    data: bytes | None
