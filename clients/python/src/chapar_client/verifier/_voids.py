"""Why a record does not count: told from what was current before it, in words for an operator."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

from chapar.sourcing.journal.v1 import journal_pb2 as journal

SHOWN_MAX = 200
"""Void records explained one by one, a partition; all are counted."""


@dataclass(frozen=True, slots=True)
class Void:
    """One record that does not count."""

    offset: int
    kind: str
    """ "claim" or "block"."""
    epoch: int
    writer: str
    """The first 8 hexadecimal digits."""
    reason: str
    """A short name, by which they are counted."""
    why: str


@dataclass(slots=True)
class Voids:
    """Follows the claims and blocks that count, and explains those that do not."""

    shown: list[Void] = field(default_factory=list)
    """The first ones."""
    reasons: Counter[str] = field(default_factory=Counter)
    """All of them, by reason."""
    _current: tuple[int, bytes, int] | None = None
    """Epoch and writer of the current claim, and its offset."""
    _past: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    """Of each epoch that was current: its writer, and the offset of the claim that ended it."""
    _lost: dict[bytes, int] = field(default_factory=dict)
    """Writers of void claims, with the offset of theirs."""
    _blocks: array[int] = field(default_factory=lambda: array("q"))
    """The offset of each block that counts, by its sequence less one."""

    def claimed(self, offset: int, claim: journal.Claim) -> None:
        """A claim that counts."""
        if self._current is not None:
            epoch, writer, _ = self._current
            self._past[epoch] = (writer, offset)
        self._current = (claim.epoch, claim.writer, offset)

    def stands(self, offset: int) -> None:
        """The next block that counts."""
        self._blocks.append(offset)

    def void_claim(self, offset: int, claim: journal.Claim) -> None:
        """A claim that does not count."""
        assert self._current is not None, "the first claim counts"
        epoch, _, since = self._current
        self._lost.setdefault(claim.writer, offset)
        if claim.epoch == epoch:
            reason, why = "claim_lost", f"claim of epoch {epoch}, which another writer had claimed at offset {since}"
        else:
            reason = "claim_late"
            why = f"claim of epoch {claim.epoch}, but epoch {epoch} was current since offset {since}"
        self._add(offset, "claim", claim.epoch, claim.writer, reason, why)

    def void_block(self, offset: int, block: journal.Block) -> None:
        """A block of a lower epoch, by another writer than the current one."""
        reason, why = self._of_stranger(block)
        self._add(offset, "block", block.epoch, block.writer, reason, why)

    def repeated_block(self, offset: int, block: journal.Block) -> None:
        """A block of the current writer whose sequence stands in the log already."""
        why = f"block {block.sequence} again: it stands at offset {self._blocks[block.sequence - 1]}"
        self._add(offset, "block", block.epoch, block.writer, "block_repeated", why)

    def _of_stranger(self, block: journal.Block) -> tuple[str, str]:
        assert self._current is not None, "a block before any claim is damage"
        epoch, _, since = self._current
        past = self._past.get(block.epoch)
        if past is not None and past[0] == block.writer:
            return "block_deposed", f"block of a deposed writer: epoch {block.epoch} ended at offset {past[1]}"
        if block.writer in self._lost:
            return "block_of_void_claim", f"block of a writer whose claim at offset {self._lost[block.writer]} is void"
        return (
            "block_of_stranger",
            f"block of epoch {block.epoch} by a writer who never claimed; epoch {epoch} is current since {since}",
        )

    def _add(self, offset: int, kind: str, epoch: int, writer: bytes, reason: str, why: str) -> None:
        self.reasons[reason] += 1
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(Void(offset, kind, epoch, writer.hex()[:8], reason, why))
