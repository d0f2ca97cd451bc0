"""The simulated domain: registers that number what is put into them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.wrappers_pb2 import StringValue

from chapar_sourcing.domain import Document, Documents, Key, Refused, When, ordered


class Register(Document, frozen=True, array_like=True):
    """How many items a register has, and the clock of the newest."""

    count: int
    time_ms: int


class Item(Document, frozen=True, array_like=True):
    """One item: what was put, and how often it was marked since."""

    tag: str
    marks: int = 0


def put(register: str, tag: str, *, only_if_even: bool = False) -> StringValue:
    """The command to put an item into a register."""
    return StringValue(value=json.dumps({"register": register, "tag": tag, "even": only_if_even}))


def mark(register: str, number: int, tag: str) -> StringValue:
    """The command to mark an item, if there is one of that number."""
    return StringValue(value=json.dumps({"register": register, "mark": number, "tag": tag}))


class Registers:
    """Puts are numbered densely; a put may demand that the register is even; every third item deletes the second.

    An item is created, and deleted, by events of commands that do not need it; a mark needs the item alone.
    """

    service = "toy"
    command_type = StringValue
    event_type = StringValue
    documents: Mapping[str, type[Document]] = {"register": Register, "item": Item}
    keeps_answers = False

    def __init__(self, *, journals_refusals: bool) -> None:
        self.journals_refusals = journals_refusals

    def needs(self, command: StringValue) -> Sequence[Key]:
        wish = json.loads(command.value)
        return [_item(wish)] if "mark" in wish else [Key("register", wish["register"])]

    def decide(self, documents: Documents, command: StringValue, now_ms: int) -> Sequence[StringValue] | Refused:
        wish = json.loads(command.value)
        if "mark" in wish:
            if _item(wish) not in documents:
                return Refused("REASON_NO_ITEM")
            return [StringValue(value=json.dumps(wish))]
        register = documents.get(Key("register", wish["register"]))
        count = register.count if isinstance(register, Register) else 0
        if wish["even"] and count % 2:
            return Refused("REASON_ODD", {"count": str(count)})
        event = {"register": wish["register"], "tag": wish["tag"], "number": count + 1}
        return [StringValue(value=json.dumps(event))]

    def touches(self, event: StringValue) -> Sequence[Key]:
        done = json.loads(event.value)
        if "mark" in done:
            return [_item(done)]
        keys = [Key("register", done["register"]), Key("item", done["register"], ordered(done["number"]))]
        if done["number"] % 3 == 0:
            keys.append(Key("item", done["register"], ordered(done["number"] - 1)))
        return keys

    def evolve(self, key: Key, document: Document | None, event: StringValue, when: When) -> Document | None:
        done = json.loads(event.value)
        if key.kind == "register":
            count = document.count if isinstance(document, Register) else 0
            assert done["number"] == count + 1, "events reach a document in order, none twice"
            return Register(done["number"], when.time_ms)
        if "mark" in done:
            assert isinstance(document, Item), "only items are marked"
            return Item(document.tag, document.marks + 1)
        return Item(done["tag"]) if key.id == ordered(done["number"]) else None


def _item(wish: Mapping[str, Any]) -> Key:
    return Key("item", wish["register"], ordered(wish["mark"]))
