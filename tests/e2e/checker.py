"""Compares what clients did with what is there afterwards: no problem means that nothing acknowledged was lost,
doubled or reordered, no read was stale, and every rial is where it must be.

Pure, and linear in operations, messages and lines: dictionaries and single passes, no sorting. `sweep` has the checks
that go through time; here are those of the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from tests.e2e.history import BringIn, LookAtRoom, MarkRead, Operation, Outcome, Pay, Recorder, Rename, Send
from tests.e2e.sweep import crashes_after, stale_reads


class Shown(NamedTuple):
    """A message as history or an inbox shows it; on a payment's card `tag` is the transfer's id."""

    sequence: int
    sender: str
    tag: str
    card: bool = False


class Line(NamedTuple):
    """A line of a statement. `tag` is the memo, empty on what came from outside."""

    transfer_id: str
    tag: str
    rials: int
    balance: int


class InboxLine(NamedTuple):
    """A row of an inbox."""

    head: int
    read: int
    unread: int


@dataclass(frozen=True, slots=True)
class Found:
    """What is there once all has come to rest."""

    rooms: Mapping[str, Sequence[Shown]]
    """Histories, oldest message first."""
    members: Mapping[str, Sequence[str]] = field(default_factory=dict)
    statements: Mapping[str, Sequence[Line]] = field(default_factory=dict)
    """Oldest line first."""
    inboxes: Mapping[tuple[str, str], InboxLine] = field(default_factory=dict)
    """By (user, room)."""
    live: Mapping[tuple[str, str], Sequence[Shown]] = field(default_factory=dict)
    """What was shown to (user, room) as it happened."""
    names: Mapping[str, str] = field(default_factory=dict)


def problems(recorder: Recorder, found: Found) -> list[str]:
    """Everything that is not as it must be."""
    operations = recorder.operations()
    return list(
        chain(
            recorder.failures,
            _rooms(recorder, operations, found),
            stale_reads(recorder.moments),
            _looks_agree(operations, found),
            _money(recorder, operations, found.statements),
            _cards(operations, found),
            _inboxes(operations, found),
            _live(found),
            _names(operations, found.names),
        )
    )


def _rooms(recorder: Recorder, operations: Sequence[Operation], found: Found) -> Iterator[str]:
    sends = {one.tag: one for one in operations if isinstance(one, Send)}
    crashes = crashes_after(recorder.moments, "messaging")
    seen: dict[str, tuple[str, Shown]] = {}
    for room, told in found.rooms.items():
        for expected, message in enumerate(told, 1):
            if message.sequence != expected:
                yield f"{room}: message {message.sequence} stands where {expected} is due"
            if message.card:
                continue
            if message.tag in seen:
                yield f"doubled: {message} in {room} is there already as {seen[message.tag]}"
            seen.setdefault(message.tag, (room, message))
            if message.tag not in sends:
                yield f"{room}: nobody sent {message}"
        yield from _reordered(room, told, sends)
    for send in sends.values():
        yield from _as_told(send, seen.get(send.tag), crashes.get(id(send)))


def _as_told(send: Send, there: tuple[str, Shown] | None, crash: float | None) -> Iterator[str]:
    """Whether a message is where its sender was told."""
    if send.outcome is Outcome.REFUSED and there is not None:
        yield f"refused, yet there: {send}"
    if send.outcome is not Outcome.OK:
        return
    if there is None and crash is not None:
        yield f"acknowledged early: {send} is not in the log after the crash {crash - send.ended_s:.3f} s later"
    elif there is None:
        yield f"lost: {send}"
    elif there != (send.room, Shown(send.sequence, send.client, send.tag)):
        yield f"changed: {send} is {there}"


def _reordered(room: str, told: Sequence[Shown], sends: Mapping[str, Send]) -> Iterator[str]:
    """From the newest message back: whoever began after a newer message was acknowledged must not be older."""
    first: Send | None = None
    for message in reversed(told):
        send = sends.get(message.tag)
        if send is None or message.card:
            continue
        if first is not None and first.ended_s < send.began_s:
            yield f"reordered: in {room} {send} is before {first}, which was acknowledged before it began"
        if first is None or send.ended_s < first.ended_s:
            first = send


def _looks_agree(operations: Sequence[Operation], found: Found) -> Iterator[str]:
    """What a look showed as a room's newest message is what history has there."""
    for look in operations:
        if isinstance(look, LookAtRoom) and look.outcome is Outcome.OK and look.sequence:
            told = found.rooms.get(look.room, ())
            if look.sequence > len(told) or told[look.sequence - 1].tag != look.tag:
                yield f"shown and gone: {look}"


def _money(
    recorder: Recorder, operations: Sequence[Operation], statements: Mapping[str, Sequence[Line]]
) -> Iterator[str]:
    pays = {one.tag: one for one in operations if isinstance(one, Pay)}
    crashes = crashes_after(recorder.moments, "payments")
    booked = Counter[tuple[str, str, int]]()
    from_outside = 0
    for user, lines in statements.items():
        balance = 0
        for line in lines:
            balance += line.rials
            if balance != line.balance or balance < 0:
                yield f"balance: {user} has {line.balance} after {line}, due are {balance}"
                balance = line.balance
            if line.tag:
                booked[user, line.tag, line.rials] += 1
            else:
                from_outside += line.rials
    for pay in pays.values():
        out, into = (pay.client, pay.tag, -pay.rials), (pay.payee, pay.tag, pay.rials)
        yield from _transfer(pay, booked.pop(out, 0), booked.pop(into, 0), crashes.get(id(pay)))
    for (user, tag, rials), times in booked.items():
        yield f"money from nowhere: {user} has {times} times {rials} for {tag!r}"
    cash = [one for one in operations if isinstance(one, BringIn)]
    least = sum(one.rials for one in cash if one.outcome is Outcome.OK)
    most = least + sum(one.rials for one in cash if one.outcome is Outcome.UNKNOWN)
    if statements and not least <= from_outside <= most:
        yield f"sum: {from_outside} rials are there, {least} to {most} came in"
    there = sum(line.rials for lines in statements.values() for line in lines)
    if there != from_outside:
        yield f"sum: {from_outside} rials came in, {there} are there"


def _transfer(pay: Pay, out: int, into: int, crash: float | None) -> Iterator[str]:
    if out > 1 or into > 1:
        yield f"doubled: {pay} was booked {out} times out, {into} times in"
    elif out != into:
        yield f"half: {pay} was booked {out} times out, {into} times in"
    elif pay.outcome is Outcome.REFUSED and out:
        yield f"refused, yet there: {pay}"
    elif pay.outcome is Outcome.OK and not out:
        early = f"acknowledged early, {crash - pay.ended_s:.3f} s before a crash" if crash is not None else "lost"
        yield f"{early}: {pay}"


def _cards(operations: Sequence[Operation], found: Found) -> Iterator[str]:
    """Each transfer that was carried out has one card between its two, and no other cards are there."""
    ids = {line.tag: line.transfer_id for lines in found.statements.values() for line in lines if line.tag}
    due = Counter[tuple[frozenset[str], str]]()
    for pay in operations:
        if isinstance(pay, Pay) and pay.tag in ids:
            due[frozenset({pay.client, pay.payee}), ids[pay.tag]] += 1
    for room, told in found.rooms.items():
        members = frozenset(found.members.get(room, ()))
        for message in told:
            if message.card:
                due[members, message.tag] -= 1
    for (members, transfer_id), missing in due.items():
        if missing:
            yield f"card {'lost' if missing > 0 else 'doubled'}: {transfer_id} between {sorted(members)}"


def _inboxes(operations: Sequence[Operation], found: Found) -> Iterator[str]:
    """Unread by brute force; the read cursor between what was acknowledged and what may have been carried out."""
    least, most = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for one in operations:
        if isinstance(one, MarkRead) and one.outcome is not Outcome.REFUSED:
            most[one.client, one.room] = max(most[one.client, one.room], one.sequence)
            if one.outcome is Outcome.OK:
                least[one.client, one.room] = max(least[one.client, one.room], one.sequence)
    for (user, room), row in found.inboxes.items():
        told = found.rooms[room]
        own = max((message.sequence for message in told if message.sender == user), default=0)
        brute = sum(1 for message in told if message.sequence > row.read and message.sender != user)
        if row.head != len(told):
            yield f"inbox: {user} has head {row.head} of {room}, history has {len(told)}"
        if row.unread != brute:
            yield f"inbox: {user} has {row.unread} unread in {room} after {row.read}, brute force counts {brute}"
        if not max(own, least[user, room]) <= row.read <= max(own, most[user, room]):
            yield f"inbox: {user} has read {room} up to {row.read}, own {own}, marked {least[user, room]}"


def _live(found: Found) -> Iterator[str]:
    for (user, room), shown in found.live.items():
        told = found.rooms[room]
        if list(shown) != list(told):
            first = next((n for n, (a, b) in enumerate(zip(shown, told, strict=False)) if a != b), None)
            yield f"live: {user} was shown {len(shown)} of {len(told)} messages of {room}, other ones from {first} on"


def _names(operations: Sequence[Operation], names: Mapping[str, str]) -> Iterator[str]:
    """A name is that of the last acknowledged change, or of one that nobody knows to have ended before it began."""
    last: dict[str, Rename] = {}
    doubtful: dict[str, set[str]] = {}
    for one in operations:
        if isinstance(one, Rename) and one.outcome is Outcome.OK:
            last[one.client] = one
        elif isinstance(one, Rename) and one.outcome is Outcome.UNKNOWN:
            doubtful.setdefault(one.client, set()).add(one.name)
    for user, name in names.items():
        told = last.get(user)
        if told is not None and name != told.name and name not in doubtful.get(user, ()):
            yield f"name: {user} is called {name!r}, not {told.name!r}"
