"""The money service of the simulator: accounts, and transfers that cross partitions through transit pairs.

The payer's partition alone decides. What leaves for another partition has a dense number in its pair and is in transit
until the payee's partition has applied it, in order. Refusals stay in the journal. A transfer with a text is public: it
makes a card in a chat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from chapar_sourcing.creations import HOLE_REASON
from chapar_sourcing.domain import Document, Documents, Key, Refused, When
from chapar_sourcing.partitions import partition_of_id
from chapar_sourcing.reactions import Outgoing, Source, Submit
from chapar_sourcing.view import View
from tests.simulation.path.messages import Command, Event, PublicEvent

TOPIC = "money.events.v1"
FUNDS = "REASON_FUNDS_INSUFFICIENT"


class Account(Document, frozen=True, array_like=True):
    """A balance, never below zero, and how many events made it."""

    balance: int = 0
    changes: int = 0


class Transit(Document, frozen=True, array_like=True):
    """One side of a pair: the number of the last transfer sent or applied, and the sum of all."""

    number: int = 0
    total: int = 0


class Money:
    """The rules."""

    service = "money"
    command_type = Command
    event_type = Event
    documents: Mapping[str, type[Document]] = {"account": Account, "sent": Transit, "applied": Transit}
    journals_refusals = True
    keeps_answers = True

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions

    def pair(self, payer: str, payee: str) -> str:
        """The name of the pair of two accounts' partitions."""
        return f"{partition_of_id(payer, self._partitions)}-{partition_of_id(payee, self._partitions)}"

    def _crosses(self, payer: str, payee: str) -> bool:
        return partition_of_id(payer, self._partitions) != partition_of_id(payee, self._partitions)

    def needs(self, command: Any) -> Sequence[Key]:
        match command.kind:
            case "fund":
                return [account_key(command.key)]
            case "transfer" if self._crosses(command.key, command.other):
                return [account_key(command.key), Key("sent", self.pair(command.key, command.other))]
            case "transfer":
                return [account_key(command.key), account_key(command.other)]
            case _:
                return [account_key(command.key), Key("applied", self.pair(command.other, command.key))]

    def decide(self, documents: Documents, command: Any, now_ms: int) -> Sequence[Any] | Refused:
        match command.kind:
            case "fund":
                return [Event(kind="funded", key=command.key, amount=command.amount)]
            case "transfer":
                return self._transfer(documents, command)
            case _:
                return self._credit(documents, command)

    def _transfer(self, documents: Documents, command: Any) -> Sequence[Any] | Refused:
        account = documents.get(account_key(command.key))
        if not isinstance(account, Account) or account.balance < command.amount:
            return Refused(FUNDS)
        event = Event(kind="moved", key=command.key, other=command.other, amount=command.amount, text=command.text)
        if self._crosses(command.key, command.other):
            sent = documents.get(Key("sent", self.pair(command.key, command.other)))
            event.kind = "sent"
            event.number = (sent.number if isinstance(sent, Transit) else 0) + 1
        return [event]

    def _credit(self, documents: Documents, command: Any) -> Sequence[Any] | Refused:
        applied = documents.get(Key("applied", self.pair(command.other, command.key)))
        number = applied.number if isinstance(applied, Transit) else 0
        if command.number <= number:
            return []
        if command.number > number + 1:
            return Refused(HOLE_REASON)
        return [
            Event(kind="applied", key=command.key, other=command.other, amount=command.amount, number=command.number)
        ]

    def touches(self, event: Any) -> Sequence[Key]:
        match event.kind:
            case "funded":
                return [account_key(event.key)]
            case "moved" if event.key == event.other:
                return [account_key(event.key)]
            case "moved":
                return [account_key(event.key), account_key(event.other)]
            case "sent":
                return [account_key(event.key), Key("sent", self.pair(event.key, event.other))]
            case _:
                return [account_key(event.key), Key("applied", self.pair(event.other, event.key))]

    def evolve(self, key: Key, document: Document | None, event: Any, when: When) -> Document | None:
        if key.kind != "account":
            total = document.total if isinstance(document, Transit) else 0
            return Transit(event.number, total + event.amount)
        account = document if isinstance(document, Account) else Account()
        change = event.amount if event.kind in ("funded", "applied") else 0
        if event.kind in ("moved", "sent"):
            change -= event.amount if key.parent == event.key else 0
        if event.kind == "moved":
            change += event.amount if key.parent == event.other else 0
        return Account(account.balance + change, account.changes + 1)


def account_key(name: str) -> Key:
    """The document of an account."""
    return Key("account", name)


def public_event(event: Any, when: When) -> tuple[str, Message] | None:
    """Transfers with a text."""
    if event.kind in ("moved", "sent") and event.text:
        return TOPIC, PublicEvent(kind="paid", key=event.text, other=event.key, amount=event.amount)
    return None


class Crossing:
    """Brings what was sent to the payee's partition."""

    name = "crossing"
    topic = None
    event_type = Event

    async def react(self, event: Any, source: Source, view: View) -> Sequence[Outgoing]:
        """One credit for each transfer that crosses."""
        if event.kind != "sent":
            return ()
        command = Command(kind="credit", key=event.other, other=event.key, amount=event.amount, number=event.number)
        return (Submit(event.other, command),)
