"""Drives one owner by hand: a log that is a list, a store that is a dictionary, a clock that is a number.

Nothing happens by itself: a test says when an append lands, a read is answered, a document arrives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf.message import Message

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Domain, Key, Stored
from chapar_sourcing.fold import FoldState, fold
from chapar_sourcing.owner import (
    Alarm,
    Append,
    AppendFailed,
    AppendSucceeded,
    Applied,
    Bounds,
    CheckpointConfirmed,
    Command,
    CommandReceived,
    Confirmed,
    ConfirmRequested,
    DocumentsLoaded,
    Effect,
    Flush,
    Input,
    Load,
    LoadFailed,
    LoadTimers,
    LoadTimersFailed,
    Outcome,
    Owner,
    OwnerPhase,
    ProjectionBatch,
    Read,
    ReadFailed,
    RecordsRead,
    Replied,
    Started,
    Tick,
    TimersLoaded,
)
from chapar_sourcing.ports import Checkpoint, JournalRecord
from chapar_sourcing.requests import make_request_id
from chapar_sourcing.timers import TIMER_KIND

from .accounts import Account, Accounts, account_key

E = TypeVar("E", bound=Effect)

NOW_MS = 1_700_000_000_000
JOURNAL_ID = "journal"
ALICE = journal.Actor(user="alice")


@dataclass
class Log:
    """One partition's records."""

    records: list[JournalRecord] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The offset after the last record."""
        return self.records[-1].offset + 1 if self.records else 0

    def append(self, data: bytes, *, skipping: int = 0) -> int:
        """Adds a record after leaving `skipping` offsets out; says where."""
        self.records.append(JournalRecord(self.end + skipping, data))
        return self.records[-1].offset

    def folded(self) -> FoldState:
        """The fold of everything."""
        state = FoldState()
        for record in self.records:
            state, _, _ = fold(state, record.offset, record.data)
        return state

    def claimed_by_another(self, *, epoch: int | None = None) -> int:
        """Another owner's claim lands; valid unless `epoch` says otherwise."""
        state = self.folded()
        claim = journal.Claim(
            epoch=state.epoch + 1 if epoch is None else epoch,
            writer=hashlib.sha256(str(self.end).encode()).digest()[:16],
            address="another:1",
            folded_offset=state.offset,
            folded_hash=state.hash,
            time_ms=NOW_MS,
        )
        return self.append(journal.Record(claim=claim).SerializeToString())


@dataclass
class Shelf:
    """A store: documents and a checkpoint."""

    documents: dict[Key, Stored] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None

    def write(self, batch: ProjectionBatch, *, checkpoint: bool = True) -> None:
        """Writes what is newer; then the checkpoint."""
        for write in batch.documents:
            stored = self.documents.get(write.key)
            if stored is None or stored.position < write.position:
                self.documents[write.key] = Stored(write.position, write.data)
        if checkpoint:
            self.checkpoint = batch.checkpoint


class Rig:
    """One owner and what it has asked for."""

    def __init__(
        self, *, log: Log | None = None, shelf: Shelf | None = None, domain: Domain[Any, Any] | None = None,
        bounds: Bounds | None = None, writers: str = "w", schema_level: int = 1,
    ) -> None:  # fmt: skip
        self.log = log if log is not None else Log()
        self.shelf = shelf if shelf is not None else Shelf()
        self.now_ms = NOW_MS
        self.heartbeat_ms = NOW_MS
        self.effects: list[Effect] = []
        self.appends: list[Append] = []
        self.reads: list[Read] = []
        self.loads: list[Load] = []
        self.pages: list[LoadTimers] = []
        self.replies: dict[int, Replied] = {}
        self.confirmed: dict[int, bool] = {}
        self._writers = 0
        self._tickets = 0
        self._ids = 0

        def new_writer() -> bytes:
            self._writers += 1
            return f"{writers}{self._writers}".encode().ljust(16, b".")

        self.owner = Owner(
            domain=domain or Accounts(),
            partition=0,
            journal_id=JOURNAL_ID,
            generation=1,
            address="here:1",
            new_writer=new_writer,
            bounds=bounds,
            schema_level=schema_level,
        )

    # ---- inputs

    def give(self, given: Input) -> Sequence[Effect]:
        """Gives an input; sorts what comes out."""
        effects = self.owner.handle(given, self.now_ms)
        self.effects.extend(effects)
        for effect in effects:
            match effect:
                case Append():
                    self.appends.append(effect)
                case Read():
                    self.reads.append(effect)
                case Load():
                    self.loads.append(effect)
                case LoadTimers():
                    self.pages.append(effect)
                case Replied():
                    assert effect.ticket not in self.replies, "each ticket is told once"
                    self.replies[effect.ticket] = effect
                case Confirmed():
                    assert effect.ticket not in self.confirmed, "each ticket is told once"
                    self.confirmed[effect.ticket] = effect.valid
                case _:
                    pass
        return effects

    def start(self) -> None:
        """Starts at the store's checkpoint."""
        self.give(Started(self.shelf.checkpoint))

    def read(self, *, records_max: int = 500) -> None:
        """Answers the oldest read from the log."""
        asked = self.reads.pop(0)
        found = [record for record in self.log.records if record.offset >= asked.from_offset]
        self.give(RecordsRead(asked.read_id, found[:records_max], len(found) <= records_max))

    def fail_read(self, *, out_of_range: bool = False) -> None:
        """Answers the oldest read with a failure."""
        self.give(ReadFailed(self.reads.pop(0).read_id, out_of_range))

    def land(self, *, tell: bool = True, skipping: int = 0, known: bool = True) -> int:
        """The oldest append lands; with `tell` the owner hears it, and where if `known`."""
        append = self.appends.pop(0)
        offset = self.log.append(append.data, skipping=skipping)
        if tell:
            self.give(AppendSucceeded(append.append_id, offset if known else None))
        return offset

    def fail_append(self, *, certain: bool) -> Append:
        """The oldest append fails; returns it, so that it may land later all the same."""
        append = self.appends.pop(0)
        self.give(AppendFailed(append.append_id, certain))
        return append

    def load(self, *, stored: dict[Key, Stored] | None = None) -> None:
        """Answers the oldest load from the store."""
        asked = self.loads.pop(0)
        source = self.shelf.documents if stored is None else stored
        self.give(DocumentsLoaded(asked.load_id, {key: source[key] for key in asked.keys if key in source}))

    def fail_load(self) -> None:
        """Answers the oldest load with a failure."""
        self.give(LoadFailed(self.loads.pop(0).load_id))

    def page(self, *, stored: dict[Key, Stored] | None = None) -> int:
        """Answers the oldest read of timers from the store, or from `stored`, what it had before; says how many."""
        asked = self.pages.pop(0)
        source = self.shelf.documents if stored is None else stored
        found = sorted(k.id for k, s in source.items() if k.kind == TIMER_KIND and k.id > asked.after and s.data)
        self.give(TimersLoaded(asked.load_id, found[: asked.limit]))
        return len(found[: asked.limit])

    def fail_page(self) -> None:
        """Answers the oldest read of timers with a failure."""
        self.give(LoadTimersFailed(self.pages.pop(0).load_id))

    def load_all(self) -> None:
        """Answers loads until there are none."""
        while self.loads:
            self.load()

    def tick(self, *, draining: bool = False) -> None:
        """Time has passed."""
        self.give(Tick(self.heartbeat_ms, draining))

    def flush(self) -> None:
        """The shell has handed over all it had."""
        self.give(Flush())

    def take_over(self) -> None:
        """Starts and answers everything until it owns."""
        self.start()
        self.finish_taking_over()

    def finish_taking_over(self) -> None:
        """Answers everything until it owns."""
        for _ in range(100):
            if self.owner.phase is OwnerPhase.OWNING:
                return
            if self.reads:
                self.read()
            elif self.loads:
                self.load()
            elif self.appends:
                self.land()
            else:
                self.tick()
        raise AssertionError(f"the owner stays {self.owner.phase.value}")

    def doubt(self) -> Append:
        """The block in flight ends without an answer, and the owner knows that it does not know."""
        append = self.fail_append(certain=False)
        assert self.owner.phase is OwnerPhase.DOUBTFUL
        return append

    # ---- commands

    def new_id(self, at_ms: int | None = None) -> bytes:
        """A request id of a time; now when none is given."""
        self._ids += 1
        return make_request_id(self.now_ms if at_ms is None else at_ms, self._ids.to_bytes(10, "big"))

    def command(
        self, body: Message, *, request_id: bytes | None = None, actor: journal.Actor = ALICE, key_id: str = "k1",
        deadline_ms: int | None = None,
    ) -> Command:  # fmt: skip
        """A command with the next ticket."""
        self._tickets += 1
        content = key_id.encode() + body.SerializeToString(deterministic=True)
        return Command(
            self._tickets, actor, request_id or self.new_id(), hashlib.sha256(content).digest(), key_id, body,
            self.now_ms + 60_000 if deadline_ms is None else deadline_ms,
        )  # fmt: skip

    def send(self, body: Message, **how: object) -> int:
        """Sends a command; returns its ticket."""
        command = self.command(body, **how)  # type: ignore[arg-type]
        self.give(CommandReceived(command))
        return command.ticket

    def ask(self, *, append: bool) -> int:
        """Asks for a confirmation; returns its ticket."""
        self._tickets += 1
        self.give(ConfirmRequested(self._tickets, append))
        return self._tickets

    def done(self, body: Message, **how: object) -> Outcome:
        """Sends a command alone and sees it through."""
        ticket = self.send(body, **how)
        self.load_all()
        self.flush()
        if self.appends:
            self.land()
        return self.outcome(ticket)

    # ---- what came out

    def outcome(self, ticket: int) -> Outcome:
        """What a ticket was told."""
        return self.replies[ticket].outcome

    def reason(self, ticket: int) -> str | None:
        """The reason a ticket was told: empty when it was accepted, None when it still waits."""
        reply = self.replies.get(ticket)
        if reply is None:
            return None
        entry = reply.outcome.entry
        return reply.outcome.reason if entry is None else entry.refusal.reason

    def count(self, name: str) -> int | None:
        """An account's count in memory; None when memory does not know it."""
        known, document = self.owner.peek(account_key(name))
        if not known:
            return None
        return document.count if isinstance(document, Account) else 0

    def seen(self, kind: type[E]) -> list[E]:
        """All effects of a kind so far."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def alarm(self) -> str:
        """Why the owner stopped; empty when it has not."""
        alarms = self.seen(Alarm)
        return alarms[0].reason if alarms else ""

    @property
    def live_blocks(self) -> list[Applied]:
        """Blocks that became durable live."""
        return [applied for applied in self.seen(Applied) if applied.live]

    def block(self, number: int = 0) -> journal.Block:
        """The block of an outstanding append."""
        return journal.Record.FromString(self.appends[number].data).block

    # ---- the store

    def project(self, *, documents_max: int = 1_000, checkpoint: bool = True) -> bool:
        """Writes one batch to the store; False when there was none."""
        batch = self.owner.take_projection(documents_max)
        if batch is None:
            return False
        self.shelf.write(batch, checkpoint=checkpoint)
        if checkpoint:
            self.give(CheckpointConfirmed(batch.checkpoint.fold.offset))
        return True


def owning(**how: object) -> Rig:
    """A rig whose owner owns."""
    rig = Rig(**how)  # type: ignore[arg-type]
    rig.take_over()
    return rig


def successor(rig: Rig, **how: object) -> Rig:
    """Another owner over the same log and store, not started; its clock goes on from there."""
    other = Rig(log=rig.log, shelf=rig.shelf, writers=f"x{len(rig.log.records)}-", **how)  # type: ignore[arg-type]
    other.now_ms = other.heartbeat_ms = rig.now_ms
    other._ids = rig._ids + 1_000
    return other
