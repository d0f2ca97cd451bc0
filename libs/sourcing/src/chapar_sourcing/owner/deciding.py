"""One command and the documents it needs: what the rules make of it.

What belongs here: calling the domain, bounds of what it says, its failures. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.creations import HOLE_REASON
from chapar_sourcing.domain import DOCUMENT_BYTES_MAX, Document, Domain, Key, Refused, When, encode
from chapar_sourcing.owner.blocks import ENTRY_FRAME_BYTES, Block, Change, Decided
from chapar_sourcing.owner.memory import Memory, Slot
from chapar_sourcing.owner.messages import Bounds, Command, Outcome
from chapar_sourcing.refusing import ENTRY_TOO_LARGE, SCHEMA_LEVEL_LOW
from chapar_sourcing.schema import FIRST_LEVEL, schema_of
from chapar_sourcing.timers import TIMER_KIND, TimedDomain, Timer, due_timer, timer_request_id

BUG = "BUG"


class TooLarge(Exception):
    """An entry or a document would outgrow its bound."""


class TimerKept(Exception):
    """The command of a due timer was accepted without an event that deletes the timer: it would be due for ever."""


class Decider:
    """Asks the domain."""

    def __init__(self, domain: Domain[Any, Any], partition: int, memory: Memory, bounds: Bounds) -> None:
        self._domain = domain
        self._timed: TimedDomain[Any] | None = domain if isinstance(domain, TimedDomain) else None
        self._partition = partition
        self._schema = schema_of(domain.event_type)
        self.level = FIRST_LEVEL
        """The log's schema level."""
        self._memory = memory
        self._bounds = bounds

    def needs(self, command: Command) -> Sequence[Key] | Outcome:
        """The documents that a command needs, or how the domain failed."""
        try:
            needs = self._domain.needs(command.body)
            assert len(needs) <= self._bounds.needs_max, "a command needs more documents than it may"
        except Exception as error:
            return Outcome(reason=BUG, bug=error)
        return needs

    def due(self, command: Command, slot: Slot) -> Command | Outcome:
        """The command that a due timer makes, of its document as it is now."""
        assert self._timed is not None, "a domain with timers says what they make"
        assert isinstance(slot.value, Timer), "the timer is there"
        try:
            body = self._timed.due(due_timer(command.timer, slot.value))
        except Exception as error:
            return Outcome(reason=BUG, bug=error)
        request_id = timer_request_id(command.timer, slot.position, self._partition)
        return replace(command, request_id=request_id, body=body)

    def decide(self, command: Command, needs: Sequence[Key], block: Block) -> Decided | Outcome:
        """What a command adds to a block, or why it adds nothing: a refusal that is not journaled, or a failure.

        All documents of `needs` are in memory.
        """
        documents = {key: slot.value for key in needs if (slot := self._memory.slot(key)) and slot.value is not None}
        try:
            decision = self._domain.decide(documents, command.body, block.time_ms)
            if isinstance(decision, Refused) and (command.timer or not self._journals(decision)):
                return Outcome(reason=decision.reason, detail=dict(decision.detail))
            needed = 0 if isinstance(decision, Refused) else max(map(self._schema.level_of, decision), default=0)
            if needed > self.level:
                return Outcome(reason=SCHEMA_LEVEL_LOW, detail={"level": str(self.level), "needed": str(needed)})
            decided = self._decided(command, decision, block)
            if command.timer and not _deletes(decided, command.timer):
                return Outcome(reason=BUG, bug=TimerKept(command.timer))
            return decided
        except TooLarge:
            return Outcome(reason=ENTRY_TOO_LARGE)
        except Exception as error:
            return Outcome(reason=BUG, bug=error)

    def _journals(self, decision: Refused) -> bool:
        """Whether a refusal stays for ever. A hole never does: the same command is sent again once it is filled."""
        return self._domain.journals_refusals and decision.reason != HOLE_REASON

    def _decided(self, command: Command, decision: Sequence[Any] | Refused, block: Block) -> Decided:
        entry = journal.Entry(
            request_id=command.request_id,
            content_hash=command.content_hash,
            content_key_id=command.content_key_id,
            actor=command.actor,
            trace_parent=command.trace_parent,
        )
        if isinstance(decision, Refused):
            entry.refusal.CopyFrom(journal.Refusal(reason=decision.reason, detail=decision.detail))
            return Decided(entry, self._size(entry), 0, {})
        entry.events.SetInParent()
        entry.events.events.extend(event.SerializeToString() for event in decision)
        return Decided(entry, self._size(entry), len(decision), self._changes(decision, block))

    def _size(self, entry: journal.Entry) -> int:
        size = entry.ByteSize()
        if size > self._bounds.entry_bytes_max:
            raise TooLarge
        return size + ENTRY_FRAME_BYTES

    def _changes(self, events: Sequence[Any], block: Block) -> dict[Key, Change]:
        values: dict[Key, Document | None] = {}
        last: dict[Key, int] = {}
        when = When(block.time_ms)
        for place, event in enumerate(events, start=block.events):
            for key in self._domain.touches(event):
                if key not in values:
                    slot = self._memory.slot(key)
                    values[key] = slot.value if slot else None
                values[key] = self._domain.evolve(key, values[key], event, when)
                last[key] = place
        return {key: Change(value, last[key], encoded(value)) for key, value in values.items()}


def _deletes(decided: Decided, timer: str) -> bool:
    change = decided.changes.get(Key(TIMER_KIND, "", timer))
    return change is not None and change.value is None


def encoded(value: Document | None) -> bytes | None:
    """A document's bytes within their bound; None stays None."""
    if value is None:
        return None
    data = encode(value)
    if len(data) > DOCUMENT_BYTES_MAX:
        raise TooLarge
    return data
