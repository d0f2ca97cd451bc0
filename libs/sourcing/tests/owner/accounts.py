"""The domain of these tests: accounts that are added to, notes that are pinned to them, and rules that fail."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.wrappers_pb2 import StringValue

from chapar_sourcing.creations import HOLE_REASON
from chapar_sourcing.domain import Document, Documents, Key, Refused, When, ordered


class Account(Document, frozen=True, array_like=True):
    """How often an account was added to, and the clock of the last time."""

    count: int
    time_ms: int


class Note(Document, frozen=True, array_like=True):
    """What was pinned to an account at a count."""

    text: str


def account_key(name: str) -> Key:
    """An account's document."""
    return Key("account", name)


def note_key(name: str, number: int) -> Key:
    """The note that was pinned when the account's count became `number`."""
    return Key("note", name, ordered(number))


def add(name: str, *, events: int = 1, note: str = "", text: str = "") -> StringValue:
    """Adds to an account `events` times; each event carries `text`; `note` is pinned, which creates a document."""
    return _command(do="add", to=name, events=events, note=note, text=text)


def unpin(name: str, number: int) -> StringValue:
    """Deletes a note."""
    return _command(do="unpin", to=name, number=number)


def refuse(name: str, reason: str = "REASON_NO", text: str = "") -> StringValue:
    """Is refused, with the account's count."""
    return _command(do="refuse", to=name, reason=reason, text=text)


def hole(name: str) -> StringValue:
    """Is refused as a creation that came too early."""
    return refuse(name, HOLE_REASON)


def nothing(name: str) -> StringValue:
    """Is accepted and changes nothing."""
    return _command(do="nothing", to=name)


def fail_in(place: str, name: str) -> StringValue:
    """Makes the domain fail in "needs", "decide", "touches" or "evolve"."""
    return _command(do="fail", to=name, place=place)


def need_all(names: Sequence[str]) -> StringValue:
    """Needs many accounts and changes nothing."""
    return _command(do="nothing", to=names[0], also=list(names[1:]))


def _command(**fields: Any) -> StringValue:
    return StringValue(value=json.dumps(fields))


class Accounts:
    """See the commands above."""

    service = "accounts"
    command_type = StringValue
    event_type = StringValue
    documents: Mapping[str, type[Document]] = {"account": Account, "note": Note}

    def __init__(self, *, journals_refusals: bool = False, keeps_answers: bool = False) -> None:
        self.journals_refusals = journals_refusals
        self.keeps_answers = keeps_answers

    def needs(self, command: StringValue) -> Sequence[Key]:
        wish = json.loads(command.value)
        if wish.get("place") == "needs":
            raise RuntimeError("needs fails")
        keys = [account_key(name) for name in (wish["to"], *wish.get("also", ()))]
        return [*keys, note_key(wish["to"], wish["number"])] if wish["do"] == "unpin" else keys

    def decide(self, documents: Documents, command: StringValue, now_ms: int) -> Sequence[StringValue] | Refused:
        wish = json.loads(command.value)
        account = documents.get(account_key(wish["to"]))
        count = account.count if isinstance(account, Account) else 0
        match wish["do"]:
            case "refuse":
                return Refused(wish["reason"], {"count": str(count), "text": wish["text"]})
            case "nothing":
                return []
            case "unpin":
                return [_command(to=wish["to"], unpin=wish["number"])]
            case "fail" if wish["place"] == "decide":
                raise RuntimeError("decide fails")
            case "fail":
                return [_command(to=wish["to"], fails=wish["place"])]
        return [
            _command(to=wish["to"], number=count + n, text=wish["text"], note=wish["note"] if n == 1 else "")
            for n in range(1, wish["events"] + 1)
        ]

    def touches(self, event: StringValue) -> Sequence[Key]:
        done = json.loads(event.value)
        if done.get("fails") == "touches":
            raise RuntimeError("touches fails")
        if "unpin" in done:
            return [note_key(done["to"], done["unpin"])]
        keys = [account_key(done["to"])]
        return [*keys, note_key(done["to"], done["number"])] if done.get("note") else keys

    def evolve(self, key: Key, document: Document | None, event: StringValue, when: When) -> Document | None:
        done = json.loads(event.value)
        if done.get("fails") == "evolve":
            raise RuntimeError("evolve fails")
        if "unpin" in done:
            return None
        if key.kind == "note":
            return Note(done["note"])
        count = document.count if isinstance(document, Account) else 0
        assert done["number"] == count + 1, "events reach an account in order, none twice"
        return Account(count + 1, when.time_ms)
