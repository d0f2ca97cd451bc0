"""The chat service of the simulator: rooms and their messages, inboxes that follow them, titles as facts, names
reserved for one holder, and cards that payments make.

A room's and a name's documents live at their own partitions, a user's at the user's. Between them go advances (inbox
rows), facts (titles, by version), creations (cards) and the errands of reservations: home wishes, the name's partition
reserves, home confirms or lets go, and home alone gives up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from chapar_sourcing.creations import (
    CREATION_KIND,
    HOLE_REASON,
    CreationMark,
    Judgement,
    creation_key,
    judge,
    moved,
)
from chapar_sourcing.domain import Document, Documents, Key, Refused, When, ordered
from chapar_sourcing.reactions import Advance, Outgoing, Source, Submit
from chapar_sourcing.view import View
from tests.simulation.path.messages import Command, Event, PublicEvent

TOPIC = "chat.events.v1"
WISH_MS = 800
"""How long a home waits for the name's partition."""
BUSY = "REASON_WISH_UNDER_WAY"
NO_NAME = "REASON_NO_NAME"


class Room(Document, frozen=True, array_like=True):
    """How many messages there were, how many changes of membership, how often something was said or taken back, and
    what was said last."""

    head: int = 0
    changes: int = 0
    talks: int = 0
    last: str = ""

    @property
    def taken_back(self) -> int:
        """How many messages were taken back."""
        return self.talks - self.head


class Said(Document, frozen=True, array_like=True):
    """One message."""

    text: str
    time_ms: int


class Member(Document, frozen=True, array_like=True):
    """Whether a user is in a room, since which change."""

    inside: bool
    change: int


class Fact(Document, frozen=True, array_like=True):
    """A title: at home, and in each room as of the last version that arrived."""

    version: int
    title: str


class Wish(Document, frozen=True, array_like=True):
    """What a home last wished: `wishing`, `held`, `denied`, `expired` or `dropped`."""

    attempt: int
    name: str
    state: str
    until_ms: int


class Name(Document, frozen=True, array_like=True):
    """Whom a name is kept for, for which of the home's attempts; nobody when empty."""

    holder: str = ""
    attempt: int = 0
    confirmed: bool = False


class Chat:
    """The rules."""

    service = "chat"
    command_type = Command
    event_type = Event
    documents: Mapping[str, type[Document]] = {
        "room": Room, "said": Said, "member": Member, "fact": Fact, "wish": Wish, "name": Name, "asked": Wish,
        CREATION_KIND: CreationMark,
    }  # fmt: skip
    keeps_answers = False

    def __init__(self, *, journals_refusals: bool) -> None:
        self.journals_refusals = journals_refusals

    def needs(self, command: Any) -> Sequence[Key]:
        match command.kind:
            case "say":
                return [Key("room", command.key)]
            case "unsay":
                return [Key("room", command.key), Key("said", command.key, ordered(command.number))]
            case "card":
                return [Key("room", command.key), creation_key(command.creation)]
            case "enter":
                return [Key("room", command.key), Key("member", command.key, command.other)]
            case "entitle":
                return [Key("fact", command.key)]
            case "note":
                return [Key("fact", command.key, command.other)]
            case "wish" | "settle" | "expire" | "drop":
                return [Key("wish", command.key)]
            case _:
                return [Key("name", command.key), Key("asked", command.key, command.other)]

    def decide(self, documents: Documents, command: Any, now_ms: int) -> Sequence[Any] | Refused:
        match command.kind:
            case "say" | "card":
                return self._say(documents, command)
            case "unsay":
                there = documents.get(Key("said", command.key, ordered(command.number))) is not None
                return [Event(kind="unsaid", key=command.key, number=command.number)] if there else []
            case "enter":
                return self._enter(documents, command)
            case "entitle" | "note":
                return self._entitle(documents, command)
            case "reserve" | "confirm" | "release":
                return self._keep(documents, command)
            case _:
                return self._wish(documents, command, now_ms)

    def _say(self, documents: Documents, command: Any) -> Sequence[Any] | Refused:
        if command.HasField("creation"):
            match judge(documents.get(creation_key(command.creation)), command.creation):
                case Judgement.HOLE:
                    return Refused(HOLE_REASON)
                case Judgement.REPEATED:
                    return []
                case Judgement.NEXT:
                    pass
        room = documents.get(Key("room", command.key))
        head = room.head if isinstance(room, Room) else 0
        event = Event(kind="said", key=command.key, text=command.text, number=head + 1)
        if command.HasField("creation"):
            event.creation.CopyFrom(command.creation)
        return [event]

    def _enter(self, documents: Documents, command: Any) -> Sequence[Any] | Refused:
        room = documents.get(Key("room", command.key))
        member = documents.get(Key("member", command.key, command.other))
        if (member.inside if isinstance(member, Member) else False) == command.flag:
            return []
        changes = room.changes if isinstance(room, Room) else 0
        return [Event(kind="entered", key=command.key, other=command.other, flag=command.flag, number=changes + 1)]

    def _entitle(self, documents: Documents, command: Any) -> Sequence[Any]:
        fact = documents.get(Key("fact", command.key, command.other))
        version = fact.version if isinstance(fact, Fact) else 0
        if command.kind == "entitle":
            return [Event(kind="entitled", key=command.key, text=command.text, number=version + 1)]
        if command.number <= version:
            return []
        return [Event(kind="noted", key=command.key, other=command.other, text=command.text, number=command.number)]

    def _wish(self, documents: Documents, command: Any, now_ms: int) -> Sequence[Any] | Refused:
        held = documents.get(Key("wish", command.key))
        wish = held if isinstance(held, Wish) else Wish(0, "", "dropped", 0)
        event = Event(key=command.key, other=wish.name, number=wish.attempt)
        match command.kind:
            case "wish" if wish.state in ("wishing", "held"):
                return Refused(BUSY)
            case "wish":
                event.kind, event.other, event.number = "wished", command.other, wish.attempt + 1
                event.time_ms = now_ms + WISH_MS
            case "settle" if wish.attempt != command.number or wish.state != "wishing":
                return []
            case "settle":
                event.kind = "held" if command.flag else "denied"
            case "expire" if wish.state != "wishing" or wish.until_ms > now_ms:
                return []
            case "expire":
                event.kind = "expired"
            case _ if wish.state != "held":
                return Refused(NO_NAME)
            case _:
                event.kind = "dropped"
        return [event]

    def _keep(self, documents: Documents, command: Any) -> Sequence[Any]:
        """At the name's partition; `other` is the home, `number` its attempt."""
        held = documents.get(Key("name", command.key))
        name = held if isinstance(held, Name) else Name()
        asked = documents.get(Key("asked", command.key, command.other))
        mine = name.holder == command.other and name.attempt == command.number
        event = Event(key=command.key, other=command.other, number=command.number)
        match command.kind:
            case "reserve" if isinstance(asked, Wish) and asked.attempt >= command.number:
                return []  # it was judged, and what came of it was told
            case "reserve":
                event.kind = "denied_there" if name.holder else "reserved"
            case "confirm" if not mine or name.confirmed:
                return []
            case "confirm":
                event.kind = "confirmed"
            case _ if not mine:
                return [Event(kind="forgone", key=command.key, other=command.other, number=command.number)]
            case _:
                event.kind = "released"
        return [event]

    def touches(self, event: Any) -> Sequence[Key]:
        match event.kind:
            case "said":
                keys = [Key("room", event.key), Key("said", event.key, ordered(event.number))]
                return [*keys, creation_key(event.creation)] if event.HasField("creation") else keys
            case "unsaid":
                return [Key("room", event.key), Key("said", event.key, ordered(event.number))]
            case "entered":
                return [Key("room", event.key), Key("member", event.key, event.other)]
            case "entitled" | "noted":
                return [Key("fact", event.key, event.other)]
            case "wished" | "held" | "denied" | "expired" | "dropped":
                return [Key("wish", event.key)]
            case "forgone" | "denied_there":
                return [Key("asked", event.key, event.other)]
            case _:
                return [Key("name", event.key), Key("asked", event.key, event.other)]

    def evolve(self, key: Key, document: Document | None, event: Any, when: When) -> Document | None:
        match key.kind:
            case "room":
                return _room_after(document if isinstance(document, Room) else Room(), event)
            case "said":
                return Said(event.text, when.time_ms) if event.kind == "said" else None
            case "member":
                return Member(event.flag, event.number)
            case "fact":
                return Fact(event.number, event.text)
            case "wish":
                wished = event.kind == "wished"
                until_ms = event.time_ms if wished or not isinstance(document, Wish) else document.until_ms
                return Wish(event.number, event.other, "wishing" if wished else event.kind, until_ms)
            case "asked":
                last = document.attempt if isinstance(document, Wish) else 0
                return Wish(max(last, event.number), event.key, event.kind, 0)
            case "name":
                return None if event.kind == "released" else Name(event.other, event.number, event.kind == "confirmed")
            case _:
                return moved(event.creation)


def _room_after(room: Room, event: Any) -> Room:
    match event.kind:
        case "said":
            return Room(event.number, room.changes, room.talks + 1, event.text)
        case "unsaid":
            return Room(room.head, room.changes, room.talks + 1, room.last)
        case _:
            return Room(room.head, event.number, room.talks, room.last)


def public_event(event: Any, when: When) -> tuple[str, Message] | None:
    """What is said in rooms."""
    return (TOPIC, PublicEvent(kind="said", key=event.key, number=event.number)) if event.kind == "said" else None


class Spreading:
    """What follows from chat's own events; the rows of inboxes follow from it alone."""

    name = "spreading"
    topic = None
    event_type = Event

    def __init__(self, rooms: Sequence[str]) -> None:
        self._rooms = rooms

    def settled(self, key: str, row: str, fields: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """A head means nothing to who has left."""
        inside = fields.get("change", b"").endswith(b"+")
        return {name: value for name, value in fields.items() if inside or name == "change"}

    async def react(self, event: Any, source: Source, view: View) -> Sequence[Outgoing]:
        """Rows for inboxes, titles for rooms, errands of reservations."""
        match event.kind:
            case "said":
                members = await view.scan("member", event.key)
                head = ordered(event.number).encode()
                return [
                    Advance(key.id, event.key, {"head": head}, b"%s head=%s" % (event.key.encode(), head))
                    for key, member in members
                    if isinstance(member, Member) and member.inside
                ]
            case "entered":
                change = ordered(event.number).encode() + (b"+" if event.flag else b"-")
                found = await view.get(Key("room", event.key))
                room = found.get(Key("room", event.key))
                head = ordered(room.head if isinstance(room, Room) else 0).encode()
                hint = b"%s change=%s\n%s head=%s" % (event.key.encode(), change, event.key.encode(), head)
                return [Advance(event.other, event.key, {"change": change, "head": head}, hint)]
            case "entitled":
                return [
                    Submit(room, Command(kind="note", key=room, other=event.key, text=event.text, number=event.number))
                    for room in self._rooms
                ]
            case "wished":
                return [_errand("reserve", event.other, event.key, event)]
            case "held":
                return [_errand("confirm", event.other, event.key, event)]
            case "expired" | "dropped":
                return [_errand("release", event.other, event.key, event)]
            case "reserved" | "denied_there":
                return [_errand("settle", event.other, event.key, event, flag=event.kind == "reserved")]
            case _:
                return ()


def _errand(kind: str, key: str, other: str, event: Any, *, flag: bool = False) -> Submit:
    return Submit(key, Command(kind=kind, key=key, other=other, number=event.number, flag=flag))


class Cards:
    """A card in the room that a payment names."""

    name = "cards"
    topic = "money.events.v1"
    event_type = PublicEvent

    async def react(self, event: Any, source: Source, view: View) -> Sequence[Outgoing]:
        """Made exactly once."""
        command = Command(kind="card", key=event.key, text=f"{event.other} paid {event.amount}")
        return (Submit(event.key, command, creation=True),)
