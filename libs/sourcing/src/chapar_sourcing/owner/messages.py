"""What flows into an owner and what it asks for. All times are milliseconds since 1970 of the owner's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import msgspec
from google.protobuf.message import Message

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.ports.journal import JournalRecord
from chapar_sourcing.ports.store import Checkpoint, DocumentWrite
from chapar_sourcing.positions import Position


class OwnerPhase(Enum):
    """Where an owner is in its life."""

    STARTING = "starting"
    """Before `Started`."""
    READING = "reading"
    """Folds what is in the log."""
    CLAIMING = "claiming"
    """Its claim is under way."""
    SETTLING = "settling"
    """Folds up to its own claim."""
    OWNING = "owning"
    """Decides."""
    DOUBTFUL = "doubtful"
    """An append ended without an answer, or a claim failed: waits for a fresh heartbeat, then claims again to learn
    the fate of what was in flight."""
    DEPOSED = "deposed"
    """Another has claimed: nothing is decided here any more."""
    ALARMED = "alarmed"
    """The log contradicts itself: nothing is decided here any more."""
    OUTDATED = "outdated"
    """The log is of a schema level that this binary does not know: nothing was claimed, nothing is decided."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of an owner's waiting rooms and of what it writes."""

    entries_max: int = 1_000
    """Entries a block."""
    block_bytes_max: int = 256 * 1024
    entry_bytes_max: int = 96 * 1024
    waiting_max: int = 4_000
    """Commands that wait to be decided."""
    unprojected_max: int = 50_000
    """Documents and answers that the store does not have yet; beyond it commands are refused, and a replay rests."""
    documents_max: int = 200_000
    """Documents in memory, known absences included; beyond it those that the store has leave, see `eviction`."""
    answers_max: int = 400_000
    """Answers in memory; beyond it the oldest that the store has leave, and the store is asked for more ids."""
    answers_kept_ms: int = 60_000
    """How long answers stay in memory by the log's clock. At least twice the margin of ids, or else the store would be
    asked for each new one."""
    heartbeat_fresh_ms: int = 5_000
    """A claim after an unknown outcome needs an own heartbeat this fresh."""
    needs_max: int = 1_000
    """Documents a command may need."""
    timers_page: int = 1_000
    """Timers read ahead at once; four times as many are remembered at most."""
    timers_under_way_max: int = 250
    """Due timers whose commands are on their way at once: the rest of a crowd waits behind other commands."""


# ---- inputs -------------------------------------------------------------------------------------------------------


class Command(msgspec.Struct, frozen=True):
    """One command, as the shell hands it over."""

    ticket: int
    """The shell's number for whoever waits; unique for the life of the owner."""
    actor: journal.Actor
    request_id: bytes
    content_hash: bytes
    content_key_id: str
    body: Message | None
    """The service's `Command`, complete and sealed; None for a due timer's, which is made when it is decided."""
    deadline_ms: int
    """When nobody waits any more."""
    trace_parent: str = ""
    timer: str = ""
    """The id of the due timer whose command this is; empty for everybody else's."""
    sealed_until_ms: int | None = None
    """Decided later than this, its content may be sealed with a key that is destroyed; None: a copy, or nothing is."""


@dataclass(frozen=True, slots=True)
class HeartbeatLapsed:
    """Others may have taken this process for gone: only a new claim of its own tells whether it still owns."""


@dataclass(frozen=True, slots=True)
class AlarmRaised:
    """Somebody else has proof that the log or the store contradicts what is known: nothing more may be decided."""

    reason: str


@dataclass(frozen=True, slots=True)
class Started:
    """The first input: what the store says."""

    checkpoint: Checkpoint | None


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """Answer to `Read`: records from its `from_offset` on, and whether the end of the log was reached."""

    read_id: int
    records: Sequence[JournalRecord]
    at_end: bool


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """The log cannot be read now; the owner asks again on a later tick. `out_of_range`: it ends before our offset."""

    read_id: int
    out_of_range: bool = False


@dataclass(frozen=True, slots=True)
class AppendSucceeded:
    """The record is durable; `offset` None when the journal did not say where."""

    append_id: int
    offset: int | None


@dataclass(frozen=True, slots=True)
class AppendFailed:
    """`certain`: the record is not and never will be in the log. Otherwise nothing is known."""

    append_id: int
    certain: bool


class CommandReceived(msgspec.Struct, frozen=True):
    """Somebody wants something."""

    command: Command


@dataclass(frozen=True, slots=True)
class ConfirmRequested:
    """Somebody has read and waits to be told that it was true: answered by `Confirmed`.

    With `append`, an empty block is written when nothing else is under way that was decided after this input;
    without, it is answered as soon as everything decided before is durable.
    """

    ticket: int
    append: bool


@dataclass(frozen=True, slots=True)
class DocumentsLoaded:
    """Answer to `Load`: what the store has of the keys asked for; absent keys are not there."""

    load_id: int
    documents: Mapping[Key, Stored]


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The store cannot be read now; the owner asks again on a later tick."""

    load_id: int


@dataclass(frozen=True, slots=True)
class TimersLoaded:
    """Answer to `LoadTimers`: ids of live timers in order, fewer than the limit when there are no more."""

    load_id: int
    ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class LoadTimersFailed:
    """The store cannot be read now; the owner asks again on a later tick."""

    load_id: int


@dataclass(frozen=True, slots=True)
class CheckpointConfirmed:
    """Every document and answer up to this offset is in the store for good."""

    offset: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed. `heartbeat_ms` is when an own heartbeat was last acknowledged.

    `draining`: nothing new is begun, so due timers wait for the next owner. `clock_is_off`: the clock cannot be
    believed, so that nothing is claimed or decided until a tick says otherwise.
    """

    heartbeat_ms: int
    draining: bool = False
    clock_is_off: bool = False


@dataclass(frozen=True, slots=True)
class Flush:
    """The shell has handed over all that was ready: send what has gathered, if nothing is in flight."""


Input: TypeAlias = (
    Started
    | RecordsRead
    | ReadFailed
    | AppendSucceeded
    | AppendFailed
    | CommandReceived
    | ConfirmRequested
    | DocumentsLoaded
    | LoadFailed
    | TimersLoaded
    | LoadTimersFailed
    | CheckpointConfirmed
    | HeartbeatLapsed
    | AlarmRaised
    | Tick
    | Flush
)


# ---- effects ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """Read the log from here; answered by one `RecordsRead` or `ReadFailed`. `up_to`: this offset is known to exist."""

    read_id: int
    from_offset: int
    up_to: int | None


@dataclass(frozen=True, slots=True)
class Append:
    """Append this record; answered by one `AppendSucceeded` or `AppendFailed`."""

    append_id: int
    data: bytes
    fresh_producer: bool


@dataclass(frozen=True, slots=True)
class Load:
    """Load documents from the store, from a server that has at least `at_least`."""

    load_id: int
    keys: Sequence[Key]
    at_least: int


@dataclass(frozen=True, slots=True)
class LoadTimers:
    """Read ids of live timers above `after` from a server whose checkpoint is not below `at_least`, in order, at most
    `limit`; answered by one `TimersLoaded` or `LoadTimersFailed`."""

    load_id: int
    after: str
    limit: int
    at_least: int


@dataclass(frozen=True, slots=True)
class TimerFailed:
    """A due timer's command was refused, failed, or left the timer in place: nothing was written; it is tried again
    later."""

    timer: str
    reason: str
    bug: Exception | None


class Outcome(msgspec.Struct, frozen=True):
    """How a command ended.

    Exactly one of these holds: `entry` is there (events or a journaled refusal, with where its first event stands and
    its block's clock), or `reason` names why nothing was decided. `replayed`: this is the first answer, told again.
    """

    entry: journal.Entry | None = None
    position: Position | None = None
    time_ms: int = 0
    replayed: bool = False
    reason: str = ""
    detail: Mapping[str, str] | None = None
    unchecked: bool = False
    """The stored content hash was made with another key than the one given: the shell computes it again under
    `entry.content_key_id` and compares, before it tells anybody."""
    bug: Exception | None = None
    """The domain failed: `reason` is "BUG", nothing was changed, and the shell reports the error loudly."""


class Replied(msgspec.Struct, frozen=True):
    """Tell whoever holds the ticket. The outcome is durable, or rests on durable state alone.

    `needs_confirmation`: it was made without an append of its own, so that the shell must first know that this owner
    still is one.
    """

    ticket: int
    outcome: Outcome
    needs_confirmation: bool = False


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Answer to `ConfirmRequested`; not `valid` when what was read was undone or the owner is one no more."""

    ticket: int
    valid: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """A block of this partition is valid and durable, live or during take-over: feed views and readers."""

    offset: int
    block: journal.Block
    live: bool
    hash: bytes


@dataclass(frozen=True, slots=True)
class PhaseChanged:
    """For the shell's waits, metrics and logs."""

    phase: OwnerPhase
    epoch: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """The log or the store contradicts what is known. Nothing more will be decided."""

    reason: str


Effect: TypeAlias = (
    Read | Append | Load | LoadTimers | Replied | TimerFailed | Confirmed | Applied | PhaseChanged | Alarm
)


@dataclass(frozen=True, slots=True)
class ProjectionBatch:
    """What the store lacks: write the documents, then the checkpoint, then say `CheckpointConfirmed`."""

    documents: Sequence[DocumentWrite]
    checkpoint: Checkpoint
