"""Accounts with timers: a reminder is set for a time, may be cancelled, and adds to its account when it is due."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from google.protobuf.wrappers_pb2 import StringValue

from chapar_sourcing.domain import Document, Documents, Key, Refused, When
from chapar_sourcing.timers import TIMER_KIND, DueTimer, Timer, timer_key

from .accounts import Account, Accounts, Note, account_key


def remind(name: str, *due_ms: int, then: str = "add") -> StringValue:
    """Sets reminders for an account. What they do when they are due: "add" to it; be "refused"; be accepted and "keep"
    the timer, or set it "again"; "fail"."""
    return _command(set=name, due=list(due_ms), then=then)


def cancel(name: str, due_ms: int) -> StringValue:
    """Cancels a reminder."""
    return _command(cancel=name, due=due_ms)


def reminder_key(name: str, due_ms: int) -> Key:
    """A reminder's timer."""
    return timer_key(due_ms, name)


def _command(**fields: object) -> StringValue:
    return StringValue(value=json.dumps(fields))


class Reminders(Accounts):
    """See the commands above."""

    documents: Mapping[str, type[Document]] = {"account": Account, "note": Note, TIMER_KIND: Timer}

    def due(self, timer: DueTimer) -> StringValue:
        then = timer.payload.decode()
        if then == "fail":
            raise RuntimeError("due fails")
        return _command(ring=timer.subject, due=timer.due_ms, then=then)

    def needs(self, command: StringValue) -> Sequence[Key]:
        wish = json.loads(command.value)
        if "ring" in wish:
            return [account_key(wish["ring"])]
        return [] if "due" in wish else super().needs(command)

    def decide(self, documents: Documents, command: StringValue, now_ms: int) -> Sequence[StringValue] | Refused:
        wish = json.loads(command.value)
        if "ring" not in wish:
            return [command] if "due" in wish else super().decide(documents, command, now_ms)
        assert now_ms >= wish["due"], "nothing fires before it is due"
        if wish["then"] == "refused":
            return Refused("REASON_NOT_YET")
        if wish["then"] == "again":
            return [remind(wish["ring"], wish["due"], then="again")]
        account = documents.get(account_key(wish["ring"]))
        count = account.count if isinstance(account, Account) else 0
        return [_command(rang=wish["ring"], due=wish["due"], number=count + 1, then=wish["then"])]

    def touches(self, event: StringValue) -> Sequence[Key]:
        done = json.loads(event.value)
        if "set" in done:
            return [reminder_key(done["set"], due_ms) for due_ms in done["due"]]
        if "cancel" in done:
            return [reminder_key(done["cancel"], done["due"])]
        if "rang" not in done:
            return super().touches(event)
        timer = [] if done["then"] == "keep" else [reminder_key(done["rang"], done["due"])]
        return [account_key(done["rang"]), *timer]

    def evolve(self, key: Key, document: Document | None, event: StringValue, when: When) -> Document | None:
        done = json.loads(event.value)
        if "set" in done:
            return Timer(done["then"].encode())
        if key.kind == TIMER_KIND:
            return None
        if "rang" in done:
            return Account(done["number"], when.time_ms)
        return super().evolve(key, document, event, when)
