"""What was acknowledged under load, and a checker that compares it with what is there afterwards.

Pure: lists in, problems out; one pass over each list. No problem means: nothing that was acknowledged was lost,
doubled or reordered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Sent(NamedTuple):
    """An acknowledged message. Texts are unique."""

    room: str
    sender: str
    text: str
    sequence: int


class Shown(NamedTuple):
    """A message as history or an inbox shows it; `text` is the transfer's id on a payment card."""

    sequence: int
    sender: str
    text: str


class Paid(NamedTuple):
    """An acknowledged transfer."""

    transfer_id: str
    payer: str
    payee: str
    rials: int


class Line(NamedTuple):
    """A line of a statement, oldest first."""

    transfer_id: str
    rials: int
    balance: int


@dataclass(slots=True)
class Recorder:
    """Everything acknowledged, in the order in which it was."""

    sent: list[Sent] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)
    """Texts that were tried, acknowledged or not."""
    paid: list[Paid] = field(default_factory=list)
    brought_in: Counter[str] = field(default_factory=Counter)
    names: dict[str, str] = field(default_factory=dict)
    """The last name that each user was told to have."""
    failures: list[str] = field(default_factory=list)
    """Calls that ended otherwise than acknowledged."""

    @property
    def acknowledged(self) -> int:
        """How much was acknowledged so far."""
        return len(self.sent) + len(self.paid)


def check_room(room: str, told: Sequence[Shown], recorder: Recorder) -> list[str]:
    """Compares a conversation's history, oldest first, with what was acknowledged."""
    problems = []
    if [message.sequence for message in told] != list(range(1, len(told) + 1)):
        problems.append(f"{room}: sequences are not 1..{len(told)}")
    by_text = {message.text: message for message in told}
    if len(by_text) != len(told):
        doubled = [text for text, count in Counter(message.text for message in told).items() if count > 1]
        problems.append(f"{room}: doubled {doubled}")
    sent = [message for message in recorder.sent if message.room == room]
    paid = {transfer.transfer_id for transfer in recorder.paid}
    for message in sent:
        if by_text.get(message.text) != Shown(message.sequence, message.sender, message.text):
            problems.append(f"{room}: {message} was acknowledged, but is {by_text.get(message.text)}")
    last: dict[str, int] = {}
    for message in sent:
        if message.sequence <= last.get(message.sender, 0):
            problems.append(f"{room}: {message} is not after what the same sender sent before")
        last[message.sender] = message.sequence
    invented = [text for text in by_text if text not in recorder.tried and text not in paid]
    return problems + [f"{room}: nobody sent {text!r}" for text in invented]


def check_shown(reader: str, shown: Sequence[Shown], told: Sequence[Shown]) -> list[str]:
    """Compares what an inbox showed of a conversation with its history."""
    return [] if list(shown) == list(told) else [f"{reader} was shown {len(shown)} messages, history has {len(told)}"]


def check_money(statements: Mapping[str, Sequence[Line]], recorder: Recorder) -> list[str]:
    """Compares all statements, oldest line first, with what was paid and brought in."""
    problems = []
    expected = Counter[tuple[str, str, int]]()
    for transfer in recorder.paid:
        expected[transfer.payer, transfer.transfer_id, -transfer.rials] += 1
        expected[transfer.payee, transfer.transfer_id, transfer.rials] += 1
    booked = Counter(
        (user, line.transfer_id, line.rials)
        for user, lines in statements.items()
        for line in lines
        if not line.transfer_id.startswith("cash-in:")
    )
    problems += [f"lost {entry}" for entry in expected - booked]
    problems += [f"doubled or invented {entry}" for entry in booked - expected]
    for user, lines in statements.items():
        balance = 0
        for line in lines:
            balance += line.rials
            if balance != line.balance or balance < 0:
                problems.append(f"{user}: the balance after {line} should be {balance}")
                break
    total = sum(line.rials for lines in statements.values() for line in lines)
    if total != recorder.brought_in.total():
        problems.append(f"{recorder.brought_in.total()} rials came in, {total} are there")
    return problems


def check_cards(pair: Iterable[str], told: Sequence[Shown], recorder: Recorder) -> list[str]:
    """Compares the cards in a direct conversation with the transfers between its two."""
    two = set(pair)
    due = Counter(transfer.transfer_id for transfer in recorder.paid if {transfer.payer, transfer.payee} == two)
    posted = Counter(message.text for message in told if message.text not in recorder.tried)
    return [f"card lost: {card}" for card in due - posted] + [f"card doubled: {card}" for card in posted - due]
