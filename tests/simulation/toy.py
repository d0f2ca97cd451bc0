"""The simulated domain: registers that number what is put into them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.wrappers_pb2 import StringValue

from chapar_sourcing.domain import Document, Documents, Key, Refused, When, ordered
from chapar_sourcing.timers import TIMER_KIND, DueTimer, Timer, timer_key

CHIME_MS = (2_500, 9_000)
"""How long after its setting a chime is due."""
STROKE_MS = 10_000
"""A chime may also be for the stroke that was last, a multiple of this: it is due at once, and once it is done, another
one of the same name may be set."""


class Register(Document, frozen=True, array_like=True):
    """How many items a register has, the clock of the newest, and its chimes that are still to come."""

    count: int
    time_ms: int
    chimes: tuple[tuple[int, int], ...] = ()
    """(when it is due, number of the item that set it) of each, oldest first."""


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

    An item is created, and deleted, by events of commands that do not need it; a mark needs the item alone. Every
    third and every fourth item sets a chime: a timer that puts an item of its own later, unless every seventh item has
    cancelled it. Of a register one chime is due at a time.
    """

    service = "toy"
    command_type = StringValue
    event_type = StringValue
    documents: Mapping[str, type[Document]] = {"register": Register, "item": Item, TIMER_KIND: Timer}
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
        event = {
            "register": wish["register"],
            "tag": wish["tag"],
            "number": count + 1,
            **_chimes(register, now_ms, wish.get("chimed")),
        }
        if "chimed" in wish:
            event["chimed"] = wish["chimed"]
        return [StringValue(value=json.dumps(event))]

    def due(self, timer: DueTimer) -> StringValue:
        register, number = json.loads(timer.payload)
        wish = {"register": register, "tag": f"chime/{register}/{number}", "even": False}
        return StringValue(value=json.dumps({**wish, "chimed": [timer.due_ms, number]}))

    def touches(self, event: StringValue) -> Sequence[Key]:
        done = json.loads(event.value)
        if "mark" in done:
            return [_item(done)]
        keys = [Key("register", done["register"]), Key("item", done["register"], ordered(done["number"]))]
        if done["number"] % 3 == 0:
            keys.append(Key("item", done["register"], ordered(done["number"] - 1)))
        return [
            *keys,
            *(_timer(done["register"], done[what]) for what in ("chimes", "chimed", "cancels") if what in done),
        ]

    def evolve(self, key: Key, document: Document | None, event: StringValue, when: When) -> Document | None:
        done = json.loads(event.value)
        if key.kind == "register":
            count = document.count if isinstance(document, Register) else 0
            assert done["number"] == count + 1, "events reach a document in order, none twice"
            gone = [tuple(done[what]) for what in ("chimed", "cancels") if what in done]
            left = [chime for chime in (document.chimes if isinstance(document, Register) else ()) if chime not in gone]
            return Register(
                done["number"], when.time_ms, (*left, *([tuple(done["chimes"])] if "chimes" in done else []))
            )
        if key.kind == TIMER_KIND:
            return Timer(json.dumps([done["register"], done["chimes"][1]]).encode()) if _is_set(key, done) else None
        if "mark" in done:
            assert isinstance(document, Item), "only items are marked"
            return Item(document.tag, document.marks + 1)
        return Item(done["tag"]) if key.id == ordered(done["number"]) else None


def _chimes(register: Document | None, now_ms: int, chimed: Sequence[int] | None) -> dict[str, Any]:
    """What the next item of a register sets and cancels; `chimed` is the chime that puts it, if one does."""
    count, chimes = (register.count, register.chimes) if isinstance(register, Register) else (0, ())
    others = [list(chime) for chime in chimes if list(chime) != chimed]
    number = count + 1
    changes: dict[str, Any] = {}
    due_ms = _chime_due_ms(number, now_ms)
    if due_ms is not None and all(due_ms != waits for waits, _ in chimes):
        changes["chimes"] = [due_ms, number]
    if number % 7 == 0 and others:
        changes["cancels"] = others[0]
    return changes


def _chime_due_ms(number: int, now_ms: int) -> int | None:
    if number % 4 == 0:
        return now_ms - now_ms % STROKE_MS
    return now_ms + CHIME_MS[number % len(CHIME_MS)] if number % 3 == 0 else None


def _timer(register: str, chime: Sequence[int]) -> Key:
    due_ms, _ = chime
    return timer_key(due_ms, register)


def _is_set(key: Key, done: Mapping[str, Any]) -> bool:
    return "chimes" in done and key == _timer(done["register"], done["chimes"])


def _item(wish: Mapping[str, Any]) -> Key:
    return Key("item", wish["register"], ordered(wish["mark"]))
