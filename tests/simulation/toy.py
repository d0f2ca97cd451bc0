"""The simulated domain: registers that number what is put into them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from google.protobuf.wrappers_pb2 import StringValue

from chapar_sourcing.domain import Document, Documents, Key, Refused, When, ordered


class Register(Document, frozen=True, array_like=True):
    """How many items a register has, and the clock of the newest."""

    count: int
    time_ms: int


class Item(Document, frozen=True, array_like=True):
    """One item: what was put, and whether it was taken back."""

    tag: str


def put(register: str, tag: str, *, only_if_even: bool = False) -> StringValue:
    """The command to put an item into a register."""
    return StringValue(value=json.dumps({"register": register, "tag": tag, "even": only_if_even}))


class Registers:
    """Puts are numbered densely; a put may demand that the register is even; every third item deletes the second."""

    service = "toy"
    command_type = StringValue
    event_type = StringValue
    documents: Mapping[str, type[Document]] = {"register": Register, "item": Item}
    keeps_answers = False

    def __init__(self, *, journals_refusals: bool) -> None:
        self.journals_refusals = journals_refusals

    def needs(self, command: StringValue) -> Sequence[Key]:
        return [Key("register", json.loads(command.value)["register"])]

    def decide(self, documents: Documents, command: StringValue, now_ms: int) -> Sequence[StringValue] | Refused:
        wish = json.loads(command.value)
        register = documents.get(Key("register", wish["register"]))
        count = register.count if isinstance(register, Register) else 0
        if wish["even"] and count % 2:
            return Refused("REASON_ODD", {"count": str(count)})
        event = {"register": wish["register"], "tag": wish["tag"], "number": count + 1}
        return [StringValue(value=json.dumps(event))]

    def touches(self, event: StringValue) -> Sequence[Key]:
        done = json.loads(event.value)
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
        return Item(done["tag"]) if key.id == ordered(done["number"]) else None
