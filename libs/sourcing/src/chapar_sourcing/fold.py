"""The fold rule: which records of a journal partition count.

One pure function, used by owners, projectors, relays, reactors, the digest and the simulator. A record is *valid* and
moves the state, *void* and skipped, or the log contradicts itself: then `LogDamaged` is raised and nobody decides
anything until an operator has looked. (`chapar verify-log` has a second implementation on purpose.)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import Enum

from chapar.sourcing.journal.v1 import journal_pb2 as journal

ZERO_HASH = bytes(32)
RECENT_MAX = 32
"""How many valid records back a claim's folded hash can be checked exactly."""


class LogDamaged(Exception):
    """The log contradicts itself or its reader: it was cut, changed or mixed up. Stop; decide nothing."""


class Verdict(Enum):
    """What the fold made of a record."""

    CLAIM = "claim"
    BLOCK = "block"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class FoldState:
    """Everything a reader has to remember of a partition's past. Offsets are -1 before the first record."""

    epoch: int = 0
    writer: bytes = b""
    sequence: int = 0
    hash: bytes = ZERO_HASH
    time_ms: int = 0
    offset: int = -1
    """Offset of the last record folded, valid or void."""
    valid_offset: int = -1
    """Offset of the last valid record."""
    claim_sequence: int = 0
    """The sequence when the current claim was folded."""
    recent: tuple[tuple[int, bytes], ...] = ()
    """(offset, hash after it) of the newest valid records, oldest first."""
    schema_level: int = 1
    """The highest level that a valid claim names: events up to it may follow."""

    def hash_at(self, offset: int) -> bytes | None:
        """The hash after folding up to `offset`, where that is still known."""
        if offset < 0:
            return ZERO_HASH
        if offset >= self.valid_offset:
            return self.hash
        for valid_offset, digest in reversed(self.recent):
            if valid_offset <= offset:
                return digest
        return None

    def ends_with(self, offset: int, data: bytes) -> bool:
        """Whether this record is the last valid one that was folded."""
        before = self.recent[-2][1] if len(self.recent) > 1 else ZERO_HASH
        return offset == self.valid_offset and (not self.recent or chained(before, data) == self.hash)


def chained(previous: bytes, record: bytes) -> bytes:
    """The hash after a valid record."""
    return hashlib.sha256(previous + record).digest()


def fold(state: FoldState, offset: int, data: bytes) -> tuple[FoldState, Verdict, journal.Record]:
    """Folds one record. `data` is what the journal stores, byte for byte.

    Raises `LogDamaged` when the record contradicts what was folded before.
    """
    if offset <= state.offset:
        raise LogDamaged(f"offset {offset} was read after offset {state.offset}")
    try:
        record = journal.Record.FromString(data)
    except Exception as error:
        raise LogDamaged(f"the record at offset {offset} cannot be read") from error
    match record.WhichOneof("kind"):
        case "claim":
            verdict, changed = _claim(state, offset, record.claim)
        case "block":
            verdict, changed = _block(state, offset, record.block)
        case _:
            raise LogDamaged(f"the record at offset {offset} is neither claim nor block")
    if verdict is Verdict.VOID:
        return replace(state, offset=offset), verdict, record
    digest = chained(state.hash, data)
    recent = (*state.recent[-(RECENT_MAX - 1) :], (offset, digest))
    return replace(changed, hash=digest, offset=offset, valid_offset=offset, recent=recent), verdict, record


def _claim(state: FoldState, offset: int, claim: journal.Claim) -> tuple[Verdict, FoldState]:
    if len(claim.writer) != 16:
        raise LogDamaged(f"the claim at offset {offset} names no writer")
    if claim.folded_offset >= offset:
        raise LogDamaged(
            f"the claim at offset {offset} has folded up to {claim.folded_offset}: the log was cut and grew again"
        )
    known = state.hash_at(claim.folded_offset)
    if known is not None and known != claim.folded_hash:
        raise LogDamaged(f"the claim at offset {offset} folded another log up to {claim.folded_offset}")
    if claim.epoch <= state.epoch:
        return Verdict.VOID, state
    return Verdict.CLAIM, replace(
        state,
        epoch=claim.epoch,
        writer=claim.writer,
        claim_sequence=state.sequence,
        time_ms=max(state.time_ms, claim.time_ms),
        schema_level=max(state.schema_level, claim.schema_level),
    )


def _block(state: FoldState, offset: int, block: journal.Block) -> tuple[Verdict, FoldState]:
    if block.epoch < state.epoch and block.writer != state.writer:
        return Verdict.VOID, state
    if not state.writer or block.epoch != state.epoch or block.writer != state.writer:
        # A writer is of one claim, and writes no block before that was folded as the current one: here it is missing.
        raise LogDamaged(f"the block at offset {offset} is of epoch {block.epoch}, whose claim is not in this log")
    if block.sequence > state.sequence + 1:
        raise LogDamaged(f"block {block.sequence} at offset {offset} follows block {state.sequence}")
    if block.sequence <= state.claim_sequence:
        raise LogDamaged(f"block {block.sequence} at offset {offset} is older than its writer's claim")
    if block.sequence <= state.sequence:
        return Verdict.VOID, state
    if block.previous_hash != state.hash:
        raise LogDamaged(f"block {block.sequence} at offset {offset} was written after another history")
    return Verdict.BLOCK, replace(state, sequence=block.sequence, time_ms=max(state.time_ms, block.time_ms))
