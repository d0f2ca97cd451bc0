"""What a service does about events, its own or another service's: the interface of its reactors.

A reaction says what should be sent where; the engine's reactor (`reactor`) reads, sends, repeats after a crash and
keeps the cursors. A reaction may therefore be asked twice about the same event: everything it causes is harmless to
repeat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

from google.protobuf.message import Message

from chapar_sourcing.positions import Position
from chapar_sourcing.view import View


@dataclass(frozen=True, slots=True)
class Source:
    """Where an event came from."""

    topic: str
    """The service's name for its own journal, the topic's name for a stream."""
    partition: int
    position: Position
    time_ms: int
    """Its block's clock."""
    trace_parent: str = ""
    request_id: bytes = b""
    """Of the entry, on the own journal only."""


@dataclass(frozen=True, slots=True)
class Submit:
    """A command for the own service, to whoever owns `key`.

    Its request id is derived from the source position and the place in the list. With `creation`, the
    engine fills the command's field `creation`, and the domain judges it with `chapar_sourcing.creations`.
    """

    key: str
    command: Message
    creation: bool = False
    carries: int = 0
    """How much is under way with it, in the reaction's own unit; for measures alone."""


@dataclass(frozen=True, slots=True)
class Advance:
    """A row change for whoever owns `key`; `hint` is shown to its live watchers."""

    key: str
    row: str
    fields: Mapping[str, bytes] = field(default_factory=dict)
    hint: bytes = b""


Outgoing: TypeAlias = Submit | Advance


class Reaction(Protocol):
    """One kind of reaction to one source."""

    @property
    def name(self) -> str:
        """Names its cursors; never changes."""

    @property
    def topic(self) -> str | None:
        """The stream it reads ("payments.events.v1"), or None for the service's own journal."""

    @property
    def event_type(self) -> type[Message]:
        """What the source's events parse as."""

    async def react(self, event: Message, source: Source, view: View) -> Sequence[Outgoing]:
        """What to send for one event. `view` reads the source partition when that is the own journal, and otherwise
        the partition of the same number of the own service.

        External effects (delivering a code) happen here, before it returns: at least once.
        """


@runtime_checkable
class RowFeed(Reaction, Protocol):
    """The one reaction of a service that its rows follow from.

    It reads the service's own journal, and it may be asked about all of it again, from the first event on, when rows
    are built anew: it has no external effects, and its advances, merged with what came in meanwhile, must give rows
    that mean the same. What it sees in `view` then is the state of today.
    """

    def settled(self, key: str, row: str, fields: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """What of a row's merged fields means anything today; empty for a row that nobody is shown.

        Two editions of a row are the same when this is the same of both.
        """
