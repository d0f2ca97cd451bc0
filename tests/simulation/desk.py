"""Who waits for answers of a simulated process: clients with commands, clients that read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from google.protobuf.wrappers_pb2 import StringValue

from chapar_sourcing.domain import Document, Key, Stored, decode
from chapar_sourcing.owner import Command, CommandReceived, Confirmed, ConfirmRequested, Outcome, OwnerPhase, Replied
from tests.simulation.loads import Loads
from tests.simulation.model import scope_of
from tests.simulation.playing import Violation
from tests.simulation.projector import Storing
from tests.simulation.steps import OwnerSteps
from tests.simulation.toy import Registers

Tell = Callable[[Outcome], None]
TellRead = Callable[[Document | None, bool], None]
"""Hears a document, and whether it may be believed."""


class Serving(Storing, Protocol):
    """The process that clients ask."""

    loads: Loads
    steps: OwnerSteps

    @property
    def now_ms(self) -> int:
        """What it takes for the time."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who waits for the outcome of a command that came when the log reached up to `since`."""

    command: Command
    since: int
    tell: Tell


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who waits to be told that what was read is true; `tell` hears whether it is."""

    tell: Callable[[bool], None]


class Desk:
    """Tickets, and whom each is for. A process that comes up knows nobody."""

    def __init__(self, process: Serving) -> None:
        self._process = process
        self.last_ticket = 0
        self._readers: dict[int, Reader] = {}
        self.askers: dict[int, Asker] = {}
        """By the ticket of the command."""

    @property
    def empty(self) -> bool:
        """Whether everybody was told."""
        return not self.askers and not self._readers

    def clear(self) -> None:
        """Nobody of a former life waits here."""
        self.askers.clear()
        self._readers.clear()

    # ---- commands

    def submit(self, command: Callable[[int, int], Command], tell: Tell) -> None:
        """A client's command, made for a ticket and the time here; `tell` hears the outcome, unless the process is
        gone by then."""
        process = self._process

        def ask(_: None) -> None:
            ticket = self._new_ticket()
            made = command(ticket, process.now_ms)
            self.askers[ticket] = Asker(made, process.world.model.last_offset, tell)
            process.give(CommandReceived(made))

        process.world.soon(0, 5, partial(process.of_this_life(ask), None), process.random)

    def asked_until(self, ticket: int) -> set[tuple[str, bytes]]:
        """Scope and id of the commands up to a ticket whose askers still wait."""
        commands = [asker.command for number, asker in self.askers.items() if number <= ticket]
        return {(scope_of(command.actor), command.request_id) for command in commands}

    def askers_of(self, key: Key) -> int:
        """How many wait for the outcome of a command of this id."""
        asked = (asker.command for asker in self.askers.values())
        return sum(command.request_id.hex() == key.id and scope_of(command.actor) == key.parent for command in asked)

    def replied(self, effect: Replied) -> None:
        """The owner has answered a command: whoever asked is told, once that may leave."""
        asker, outcome = self.askers.pop(effect.ticket), effect.outcome
        if outcome.bug is not None:
            raise Violation(f"the domain failed: {outcome.bug!r}") from outcome.bug
        command = asker.command
        self._process.steps.replied(outcome, scope_of(command.actor), command.request_id)

        def tell() -> None:
            if outcome.entry is None:
                assert isinstance(command.body, StringValue), "clients' commands are of the toy"
                self._process.steps.refused(command.body, outcome, asker.since)
            asker.tell(outcome)

        if not effect.needs_confirmation:
            tell()
            return
        not_owner = Outcome(reason="REASON_NOT_OWNER")
        ticket = self._reader(lambda valid: tell() if valid else asker.tell(not_owner))
        self._process.in_this_life(0, lambda: self._process.give(ConfirmRequested(ticket, append=True)))

    # ---- reads

    def read(self, key: Key, tell: TellRead) -> None:
        """A client's query: `tell` hears the document and whether it may be believed."""
        process = self._process

        def ask(_: None) -> None:
            if process.owner.phase is not OwnerPhase.OWNING:
                return
            since = process.world.model.last_offset
            pin = ExitStack()
            pin.enter_context(process.owner.pinned())
            found = process.loads.stored([key], process.owner.confirmed_checkpoint)
            if found is None:
                pin.close()
                return
            merge = partial(self._merge, key, found.get(key), since, tell, pin)
            process.in_this_life(process.loads.delay_ms(30), merge)

        process.world.soon(0, 5, partial(process.of_this_life(ask), None), process.random)

    def _merge(self, key: Key, stored: Stored | None, since: int, tell: TellRead, pin: ExitStack) -> None:
        """Memory is looked at after the store, and wins."""
        known, document = self._process.owner.peek(key)
        pin.close()
        if not known and stored is not None and stored.data is not None:
            document = decode(Registers.documents, key, stored.data)

        def confirmed(valid: bool) -> None:
            if valid:
                self._process.steps.read(key, document, since)
            tell(document, valid)

        self._process.give(ConfirmRequested(self._reader(confirmed), append=True))

    def confirmed(self, effect: Confirmed) -> None:
        """The owner says whether what was read is true."""
        self._readers.pop(effect.ticket).tell(effect.valid)

    def _reader(self, tell: Callable[[bool], None]) -> int:
        ticket = self._new_ticket()
        self._readers[ticket] = Reader(tell)
        return ticket

    def _new_ticket(self) -> int:
        self.last_ticket += 1
        return self.last_ticket
