"""The owner's state machine: how a partition is taken over, kept and given up.

Flows in: `messages.Input`. Flows out: `messages.Effect`. The phases:

    STARTING -> READING -> CLAIMING -> SETTLING -> OWNING -> (DOUBTFUL -> READING ...) -> DEPOSED | ALARMED
                READING -> OUTDATED

READING folds what is in the log; CLAIMING has appended a claim; SETTLING folds up to that claim, after which state is
complete by construction; OWNING decides. An append that ends without an answer leads to DOUBTFUL, and so does a claim
that failed: with a fresh own heartbeat the owner reads on and claims again, and only when it has folded up to that
claim does it know whether a lost block is in the log. Nobody is told anything before. A block that certainly failed
is sent again as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Key
from chapar_sourcing.fold import FoldState, LogDamaged, Verdict, fold
from chapar_sourcing.owner.blocks import Block
from chapar_sourcing.owner.claims import Standing
from chapar_sourcing.owner.intake import refused
from chapar_sourcing.owner.messages import (
    Alarm,
    AlarmRaised,
    Append,
    AppendFailed,
    AppendSucceeded,
    Applied,
    CheckpointConfirmed,
    Command,
    CommandReceived,
    Confirmed,
    ConfirmRequested,
    DocumentsLoaded,
    Effect,
    Flush,
    HeartbeatLapsed,
    Input,
    LoadFailed,
    LoadTimersFailed,
    OwnerPhase,
    PhaseChanged,
    ProjectionBatch,
    ReadFailed,
    RecordsRead,
    Started,
    Tick,
    TimersLoaded,
)
from chapar_sourcing.owner.state import OwnerState
from chapar_sourcing.refusing import LOG_DAMAGED, NOT_OWNER, OVERLOADED
from chapar_sourcing.timers import TIMER_KIND


class Owner(OwnerState):
    """One partition's owner."""

    def take_projection(self, documents_max: int) -> ProjectionBatch | None:
        """What the store lacks, durable changes only; None when it lacks nothing. The caller writes documents, then
        the checkpoint, then says `CheckpointConfirmed`; after a failure it writes the same batch again.

        A batch that is cut at `documents_max` carries the old checkpoint; the last of its round moves it. After an
        alarm there is nothing more to store: what is in memory cannot be trusted. Nor is there where the log is newer
        than this binary.
        """
        stopped = self.phase in (OwnerPhase.ALARMED, OwnerPhase.OUTDATED)
        return None if stopped else self._projection.take(self.fold, documents_max)

    # ---- inputs

    def handle(self, given: Input, now_ms: int) -> Sequence[Effect]:
        """Takes one input; returns what to do, in order. `now_ms` is the owner's clock."""
        self._here_ms = max(self._here_ms, now_ms)
        self._effects = []
        try:
            self._dispatch(given)
        except LogDamaged as damage:
            self._alarm(str(damage))
        return self._effects

    def _dispatch(self, given: Input) -> None:
        match given:
            case CommandReceived():
                self._receive(given)
            case Flush():
                self._flush()
            case AppendSucceeded():
                self._appended(given)
            case ConfirmRequested():
                self._confirm(given)
            case RecordsRead():
                self._records(given)
            case DocumentsLoaded():
                self._loaded(given)
            case CheckpointConfirmed():
                self._checkpoint_confirmed(given)
            case Tick():
                self._tick(given)
            case AppendFailed():
                self._append_failed(given)
            case ReadFailed():
                self._reading.failed(given)
            case LoadFailed():
                self._intake.load_failed(given.load_id)
            case TimersLoaded():
                self._timers.loaded(given)
            case LoadTimersFailed():
                self._timers.load_failed(given.load_id)
            case HeartbeatLapsed():
                self._lapsed = self.phase is OwnerPhase.OWNING
                self._claim_after_lapse()
            case AlarmRaised():
                raise LogDamaged(given.reason)
            case Started():
                self._start(given)

    def _start(self, given: Started) -> None:
        assert self.phase is OwnerPhase.STARTING, "an owner starts once"
        if given.checkpoint is not None:
            if given.checkpoint.journal_id != self._journal_id:
                raise LogDamaged(f"the store belongs to journal {given.checkpoint.journal_id}, not {self._journal_id}")
            if given.checkpoint.generation != self._generation:
                raise LogDamaged(f"the store is of generation {given.checkpoint.generation}, not {self._generation}")
            self.fold = given.checkpoint.fold
            self._reading.prove(self.fold)
            self._projection.start(given.checkpoint.fold)
            self._intake.answers.start(self.fold.offset, self.fold.time_ms)
        if self.outdated:
            self._end_outdated()
            return
        self._enter(OwnerPhase.READING)
        self._read(None)

    def _receive(self, given: CommandReceived) -> None:
        full = self._full
        self._unanswered += 1
        if self.ended:
            self._say(refused(given.command, LOG_DAMAGED if self.phase is OwnerPhase.ALARMED else NOT_OWNER))
        elif full:
            self._say(refused(given.command, OVERLOADED))
        else:
            self._intake.hold(given.command)
            self._decide()

    @property
    def _full(self) -> bool:
        return self.waiting >= self.bounds.waiting_max or self._projection.backlog >= self.bounds.unprojected_max

    def _confirm(self, given: ConfirmRequested) -> None:
        if self.phase not in (OwnerPhase.OWNING, OwnerPhase.DOUBTFUL):
            self._say(Confirmed(given.ticket, valid=False))
        elif given.append:
            self._commits.open(self._now_ms).confirms.append(given.ticket)
        else:
            self._commits.confirm(given.ticket)

    def _checkpoint_confirmed(self, given: CheckpointConfirmed) -> None:
        self._projection.confirm(given.offset)
        self.eviction.sweep(self.fold.time_ms)
        if self._replay.busy:
            self._go_on_replaying()

    def _tick(self, given: Tick) -> None:
        self.eviction.sweep(self.fold.time_ms)
        self._heartbeat_ms = given.heartbeat_ms
        self._clock_is_off = given.clock_is_off
        for reply in self._intake.drop_late(self._here_ms):
            self._say(reply)
        for load in self._intake.load_again(self.confirmed_checkpoint):
            self._say(load)
        self._reading.tick()
        if self._append_again:
            self._append_again = False
            self._send_again()
        self._claim_after_lapse()
        if self.phase is OwnerPhase.DOUBTFUL and self._heartbeat_is_fresh():
            self._enter(OwnerPhase.READING)
            self._reading.prove(self.fold)
            self._read(None)
        if self._claim_waits and not self._clock_is_off and self.phase is OwnerPhase.READING:
            self._claim_waits = False
            self._read(None)
        if self.phase is OwnerPhase.OWNING and not given.draining and not self._full and not self._clock_is_off:
            self._fire_timers()
        self._decide()

    def _fire_timers(self) -> None:
        """Lets timers whose time has come make their commands, behind those that wait; reads on ahead."""
        commands = self._timers.due(self._now_ms)
        self._timers.read_ahead(self.confirmed_checkpoint)
        load = self._intake.load([Key(TIMER_KIND, "", c.timer) for c in commands], self.confirmed_checkpoint)
        if load is not None:
            self._say(load)
        for command in commands:
            self._unanswered += 1
            self._intake.hold(command)
        self._decide()

    def _claim_after_lapse(self) -> None:
        """Claims anew as soon as no block is sought: from then on a successor's claim that comes late is void."""
        if self._lapsed and self.phase is OwnerPhase.OWNING and not self._commits.sought:
            self._lapsed = False
            self._enter(OwnerPhase.DOUBTFUL)

    def _heartbeat_is_fresh(self) -> bool:
        return self._here_ms - self._heartbeat_ms <= self.bounds.heartbeat_fresh_ms

    # ---- deciding and committing

    def _decide(self) -> None:
        if self.phase is OwnerPhase.OWNING and self._intake.ready and not self._clock_is_off:
            self._commits.decide(self._now_ms, self._here_ms)

    def _flush(self) -> None:
        if self.phase is OwnerPhase.OWNING and self._commits.in_flight is None and self._commits.pending is not None:
            append_id = self._new_id()
            data = self._commits.send(self.fold, append_id)
            self._say(Append(append_id, data, fresh_producer=False))
            self._decide()

    def _appended(self, given: AppendSucceeded) -> None:
        offset = None if given.offset is None or given.offset < 0 else given.offset
        block = self._commits.in_flight
        if self.phase is OwnerPhase.CLAIMING and given.append_id == self._claims.append_id:
            self._claim_appended(offset)
        elif self.phase is OwnerPhase.OWNING and block is not None and given.append_id == block.append_id:
            self._block_appended(block, offset)

    def _block_appended(self, block: Block, offset: int | None) -> None:
        expected = self.fold.offset + 1
        if offset is not None and offset < expected:
            raise LogDamaged(f"a block was acknowledged at offset {offset}, below {expected}: the log was cut")
        if offset == expected:
            self._fold_own(block, offset)
        else:
            self._commits.seek(offset)
            self._reading.prove(self.fold)
            self._read(offset)

    def _fold_own(self, block: Block, offset: int) -> None:
        state, verdict, record = fold(self.fold, offset, block.data)
        if verdict is not Verdict.BLOCK:
            raise LogDamaged(f"our own block at offset {offset} is void")
        self._durable(offset, state, record)

    def _durable(self, offset: int, state: FoldState, record: journal.Record) -> None:
        self.fold = state
        self._say(Applied(offset, record.block, live=True, hash=state.hash))
        self._commits.durable(offset)

    def _append_failed(self, given: AppendFailed) -> None:
        block = self._commits.in_flight
        claiming = self.phase is OwnerPhase.CLAIMING and given.append_id == self._claims.append_id
        committing = self.phase is OwnerPhase.OWNING and block is not None and given.append_id == block.append_id
        if not claiming and not committing:
            return
        if committing and given.certain:
            self._append_again = True
        else:
            self._enter(OwnerPhase.DOUBTFUL)

    def _send_again(self) -> None:
        block = self._commits.in_flight
        if block is not None:
            block.append_id = self._new_id()
            self._say(Append(block.append_id, block.data, fresh_producer=True))

    # ---- reading the log

    def _read(self, up_to: int | None, *, later: bool = False) -> None:
        self._reading.ask(self.fold, up_to, later=later)

    def _records(self, given: RecordsRead) -> None:
        records = None if self.ended else self._reading.answered(given, self.fold)
        if records is not None:
            self._replay.take(records, given.at_end)
            self._go_on_replaying()

    def _loaded(self, given: DocumentsLoaded) -> None:
        ahead = max((stored.position.offset for stored in given.documents.values()), default=-1)
        if self.phase is OwnerPhase.OWNING and ahead > self.fold.offset:
            # Only another owner can have written that. Nothing is decided from a mixture of two times.
            self._stored_up_to = max(self._stored_up_to, ahead)
            self._intake.load_failed(given.load_id)
            self._lapsed = True
            self._claim_after_lapse()
            return
        try:
            self._intake.loaded(given.load_id, given.documents)
        except Exception as error:
            raise LogDamaged(f"the store holds a document that cannot be read: {type(error).__name__}") from error
        if self._replay.busy:
            self._go_on_replaying()
        else:
            self._decide()

    def _go_on_replaying(self) -> None:
        """Folds what was read, record by record; stops to load documents and goes on when they are there. It rests
        while the store lacks too much: what is folded stays in memory until the store has it."""
        for offset, data in self._replay.records():
            if self._projection.backlog >= self.bounds.unprojected_max:
                self._replay.put_back(offset, data)
                return
            state, verdict, record = fold(self.fold, offset, data)
            own = self._commits.in_flight
            if verdict is Verdict.BLOCK and own is not None and data == own.data:
                self._durable(offset, state, record)
            elif verdict is Verdict.BLOCK:
                missing = self._replay.missing(offset, record.block)
                if missing:
                    self._replay.put_back(offset, data)
                    load = self._intake.load(missing, self.confirmed_checkpoint)
                    if load is not None:
                        self._say(load)
                    return
                self._replay.apply(offset, record.block)
                self.fold = state
                self._say(Applied(offset, record.block, live=False, hash=state.hash))
            else:
                self.fold = state
                if record.WhichOneof("kind") == "claim":
                    self._claimed(record.claim, valid=verdict is Verdict.CLAIM)
                if self.ended:
                    return
        self._replay_done()

    def _claimed(self, claim: journal.Claim, *, valid: bool) -> None:
        """A claim was folded: now it is known that a block in flight that has not been seen never counts."""
        if valid and self._commits.in_flight is not None:
            self._intake.put_back(self._undo())
        if self._claims.folded(claim, valid=valid) is Standing.LOST:
            self._depose()
        elif self.outdated:
            self._end_outdated()

    def _replay_done(self) -> None:
        match self.phase:
            case OwnerPhase.READING if not self._replay.at_end:
                self._read(None)
            case OwnerPhase.READING if self._claims.made and not self._heartbeat_is_fresh():
                self._enter(OwnerPhase.DOUBTFUL)
            case OwnerPhase.READING if self._clock_is_off:
                self._claim_waits = True
            case OwnerPhase.READING:
                self._append_claim()
            case OwnerPhase.SETTLING if self._claims.seen:
                self._settle()
            case OwnerPhase.SETTLING:
                self._claims.expect_at(self.fold)
                self._read(self._claims.offset, later=self._replay.at_end)
            case OwnerPhase.OWNING if self._commits.sought:
                self._commits.expect_at(self.fold)
                self._read(None, later=self._replay.at_end)
            case _:
                self._decide()

    # ---- claiming

    def _append_claim(self) -> None:
        self._claims.make(self.fold)
        self._enter(OwnerPhase.CLAIMING)
        self._claims.append_id = self._new_id()
        self._say(Append(self._claims.append_id, self._claims.data, fresh_producer=True))

    def _claim_appended(self, offset: int | None) -> None:
        self._claims.acknowledged(offset, self.fold)
        self._enter(OwnerPhase.SETTLING)
        self._read(offset)

    def _settle(self) -> None:
        """Folded up to the own claim: state is complete, and the fate of what was in flight is known."""
        assert self._commits.in_flight is None, "its fate is known"
        if self._stored_up_to > self.fold.offset:
            raise LogDamaged(
                f"the store knows of offset {self._stored_up_to}, beyond {self.fold.offset}: the log was cut"
            )
        self._enter(OwnerPhase.OWNING)
        self._timers.begin()
        self._intake.begin(self.fold.schema_level)
        self._decide()

    # ---- ends

    def _undo(self) -> Sequence[Command]:
        return self._commits.undo()

    def _depose(self) -> None:
        """Another owns the partition: nothing of ours that has not been seen in the log can count any more."""
        self._enter(OwnerPhase.DEPOSED)
        self._replay.clear()
        for command in [*self._undo(), *self._intake.empty()]:
            self._say(refused(command, NOT_OWNER))

    def _end_outdated(self) -> None:
        """Newer events may follow, which cannot be understood here: stops before them."""
        self._enter(OwnerPhase.OUTDATED)
        self._replay.clear()
        for command in self._intake.empty():
            self._say(refused(command, NOT_OWNER))

    def _alarm(self, reason: str) -> None:
        self._enter(OwnerPhase.ALARMED)
        self._replay.clear()
        self._say(Alarm(reason))
        self._commits.abandon()
        for command in self._intake.empty():
            self._say(refused(command, LOG_DAMAGED))

    def _enter(self, phase: OwnerPhase) -> None:
        self.phase = phase
        self._say(PhaseChanged(phase, self.epoch))
