"""What must hold after each step, judged against the model as soon as it can be seen.

The log: no other past, no double decision (by the model itself). The store: never ahead of the log, what it holds is
what the log says, the checkpoint never ahead of its documents. An owner: told of every block that counts, in order;
what it remembers is what the log says; what it has not stored it remembers; once it has given up or alarmed it answers
nobody. Answers and reads are in the log at once, and never older than what was in it when they were asked for.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Mapping
from operator import attrgetter

from google.protobuf.wrappers_pb2 import StringValue

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Document, Key, Stored, decode, ordered
from chapar_sourcing.owner import Applied, Outcome, Owner, OwnerPhase
from chapar_sourcing.ports import Checkpoint, DocumentWrite
from chapar_sourcing.positions import Position
from tests.simulation.model import Model, Place
from tests.simulation.playing import Violation

ENDED = frozenset({OwnerPhase.DEPOSED, OwnerPhase.ALARMED})
COMPLETE = frozenset({OwnerPhase.OWNING, OwnerPhase.DOUBTFUL})
"""Phases in which nothing is being folded, so that memory is as the fold says."""
_offset = attrgetter("offset")


class StoreSteps:
    """Follows what projectors write."""

    def __init__(self, model: Model, types: Mapping[str, type[Document]]) -> None:
        self._model = model
        self._types = types

    def written(self, write: DocumentWrite) -> None:
        """A document is about to be stored."""
        place = _place(write.position)
        version = self._model.version(write.key, write.position.offset)
        if version is None or version.place != place:
            raise Violation(f"the store gets {write.key} of {place}, where the log does not change it")
        if write.key.kind == "answer":
            answer = journal.Answer.FromString(write.data or b"")
            good = answer.entry == version.value and _place_of(answer.position) == place
        else:
            good = (None if write.data is None else decode(self._types, write.key, write.data)) == version.value
        if not good:
            raise Violation(f"the store gets {write.key} of {place} with another content than the log's")

    def checkpointed(self, before: int, checkpoint: Checkpoint, documents: Mapping[Key, Stored]) -> None:
        """The checkpoint moves from an offset on; `documents` is what is stored now."""
        fold = checkpoint.fold
        counted = self._model.chain_at(fold.offset)
        known = (counted.epoch, counted.writer, counted.sequence, counted.hash) if counted else (0, b"", 0, bytes(32))
        if known != (fold.epoch, fold.writer, fold.sequence, fold.hash) or fold.offset > self._model.last_offset:
            raise Violation(f"the checkpoint of {fold.offset} is of another log")
        for key in self._model.changed_between(before, fold.offset):
            version, stored = self._model.version(key, fold.offset), documents.get(key)
            assert version is not None, "it was changed"
            if stored is None or _place(stored.position) < version.place:
                raise Violation(f"the checkpoint is {fold.offset}, and {key} of {version.place} is not stored")


class OwnerSteps:
    """Follows one life of one owner."""

    def __init__(self, name: str, model: Model, checkpoint: int) -> None:
        self._name = name
        self._model = model
        self._next = bisect_right(model.blocks, checkpoint, key=_offset)
        """The block to be told of next, by its place among those that count."""
        self._unseen: dict[Key, None] = {}
        """Documents that changed since they were last compared."""
        self._ended = False
        self._folded = -1

    def entered(self, phase: OwnerPhase) -> None:
        """The owner says that it is in another phase now."""
        self._ended = phase in ENDED

    def applied(self, told: Applied) -> None:
        """The owner says that a block counts."""
        counted = self._model.blocks[self._next] if self._next < len(self._model.blocks) else None
        if counted is None or (counted.offset, counted.hash) != (told.offset, told.hash):
            expected = counted.offset if counted else "none"
            raise Violation(f"{self._name} tells of the block at {told.offset}, and the next that counts is {expected}")
        self._next += 1
        self._unseen.update(dict.fromkeys(self._model.changed_between(told.offset - 1, told.offset)))

    def replied(self, outcome: Outcome, scope: str, request_id: bytes) -> None:
        """The owner answers: what it says is in the log."""
        if outcome.entry is None:
            return
        self._alive("answers")
        booked = self._model.entries.get((scope, request_id))
        if booked is None:
            raise Violation(f"{self._name} answers {scope} {request_id.hex()}, and it is not in the log")
        assert outcome.position is not None, "an answer from the log says where"
        if outcome.entry != booked.entry or _place(outcome.position) != booked.place:
            raise Violation(f"{self._name} answers {scope} {request_id.hex()} with what the log does not say")

    def refused(self, wish: StringValue, outcome: Outcome, since: int) -> None:
        """Somebody is told why nothing was decided: that was true at some time after the command came, when the log
        reached up to `since`."""
        asked = json.loads(wish.value)
        register = asked["register"]
        if outcome.reason == "REASON_NO_ITEM":
            self._was(Key("item", register, ordered(asked["mark"])), lambda item: item is None, since, outcome.reason)
        elif outcome.reason == "REASON_ODD":
            assert outcome.detail is not None, "it says how many there are"
            count = int(outcome.detail["count"])
            self._was(Key("register", register), lambda it: getattr(it, "count", 0) == count, since, outcome.reason)

    def read(self, key: Key, document: Document | None, since: int) -> None:
        """Somebody is told a document: it was so at some time after they asked, when the log reached up to `since`."""
        self._alive("confirms a read")
        self._was(key, lambda value: value == document, since, str(document))

    def _was(self, key: Key, true: Callable[[object], bool], since: int, told: str) -> None:
        if not any(true(value) for value in self._model.values_since(key, since)):
            now = self._model.value(key, self._model.last_offset)
            raise Violation(f"{self._name} says {told} of {key}, which is {now} and never was so since it was asked")

    def _alive(self, does: str) -> None:
        if self._ended:
            raise Violation(f"{self._name} {does} and is no owner any more")

    def rested(self) -> None:
        """Nothing is under way any more: the owner was told of every block."""
        if self._next != len(self._model.blocks):
            raise Violation(f"{self._name} was told of {self._next} blocks, and {len(self._model.blocks)} count")

    def stepped(self, owner: Owner) -> None:
        """The owner has taken an input."""
        if owner.phase not in COMPLETE:
            return
        if owner.fold.offset != self._folded:
            self._folded = owner.fold.offset
            counted = self._model.chain_at(self._folded)
            if counted is None or counted.hash != owner.fold.hash:
                raise Violation(f"{self._name} has folded another log up to {self._folded}")
        if self._unseen and not owner.undurable:
            for key in self._unseen:
                self._compare(owner, key)
            self._unseen.clear()

    def _compare(self, owner: Owner, key: Key) -> None:
        if key.kind == "answer":
            return
        known, value = owner.peek(key)
        version, position = self._model.version(key, self._folded), owner.position_of(key)
        assert version is not None, "it was changed"
        if position is not None and position.offset > self._folded:
            return  # Loaded from the store, where a successor has been: whatever is decided on it is void.
        if known and value != version.value:
            raise Violation(f"{self._name} remembers {key} as {value}, and the log says {version.value}")
        if not known and version.place[0] > owner.confirmed_checkpoint:
            raise Violation(f"{self._name} has forgotten {key} of {version.place}, which is not stored for good")
        if position is not None and _place(position) != version.place:
            raise Violation(f"{self._name} remembers {key} of {position}, and the log says {version.place}")


def _place(position: Position) -> Place:
    return position.offset, position.event_index


def _place_of(position: journal.SourcePosition) -> Place:
    return position.offset, position.index
