"""The owner's own claims: what they say, and what the claims in the log mean for it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.fold import FoldState, LogDamaged


class Standing(Enum):
    """What a claim in the log makes of this owner."""

    UNCHANGED = "unchanged"
    CURRENT = "current"
    """Its latest claim is folded: state is complete."""
    LOST = "lost"
    """Another was first, or came after: it gives way."""


class Claims:
    """One owner's claims: each has a new writer."""

    def __init__(self, address: str, generation: int, schema_level: int, new_writer: Callable[[], bytes]) -> None:
        self._address = address
        self._generation = generation
        self._schema_level = schema_level
        self._new_writer = new_writer
        self._writers: set[bytes] = set()
        self._writer = b""
        self.epoch = 0
        """Of the latest own claim."""
        self.data = b""
        """The record of the latest own claim."""
        self.append_id = 0
        self.offset: int | None = None
        """Where the latest own claim was acknowledged, if that was said."""
        self.seen = False
        """Whether the latest own claim was folded."""

    @property
    def made(self) -> bool:
        """Whether this owner has ever claimed."""
        return bool(self._writers)

    def make(self, fold: FoldState) -> None:
        """Makes the next claim, over what was folded. Its time is that of the last block: a claim never moves the log's
        clock, as its own acknowledgement may be the first that tells the journal's time."""
        self._writer = self._new_writer()
        self._writers.add(self._writer)
        self.epoch = fold.epoch + 1
        self.seen = False
        claim = journal.Claim(
            epoch=self.epoch,
            writer=self._writer,
            address=self._address,
            folded_offset=fold.offset,
            folded_hash=fold.hash,
            time_ms=fold.time_ms,
            generation=self._generation,
            schema_level=max(fold.schema_level, self._schema_level),
        )
        self.data = journal.Record(claim=claim).SerializeToString()

    def acknowledged(self, offset: int | None, fold: FoldState) -> None:
        """Notes where the latest claim landed. Raises `LogDamaged` where that was read before."""
        if offset is not None and offset <= fold.offset:
            raise LogDamaged(f"our claim was acknowledged at offset {offset}, but offset {fold.offset} was read")
        self.offset = offset

    def folded(self, claim: journal.Claim, *, valid: bool) -> Standing:
        """Judges a claim that was just folded, one's own or another's."""
        if claim.writer == self._writer:
            self.seen = True
            return Standing.CURRENT if valid else Standing.LOST
        return Standing.LOST if valid and self.made and claim.writer not in self._writers else Standing.UNCHANGED

    def expect_at(self, fold: FoldState) -> None:
        """The latest claim was not seen yet. Raises `LogDamaged` where it should have been."""
        if self.offset is not None and fold.offset >= self.offset:
            raise LogDamaged(f"our claim was acknowledged at offset {self.offset} and is not there")
