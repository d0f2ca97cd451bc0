"""The read side: documents, rows, checkpoints and cursors of one service. Rebuildable, never the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import msgspec

from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.editions import Editions
from chapar_sourcing.fold import FoldState
from chapar_sourcing.positions import Position


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All documents are in the store up to `fold.offset`, and some may be ahead of it."""

    journal_id: str
    generation: int
    fold: FoldState


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a relay or a reactor has come: everything up to `position` is done.

    `hash` is the fold's hash (or the stream record's source hash) there: another one means another log. `last` is the
    position of the last public event or creation sent, for the `previous` chain.
    """

    position: Position
    hash: bytes
    last: Position


class DocumentWrite(msgspec.Struct, frozen=True, gc=False):
    """A document to store: written where the stored position is lower. `data` None is a tombstone. `time_ms` is the
    clock of the block that changed it last: `purge` goes by it."""

    key: Key
    position: Position
    data: bytes | None
    time_ms: int


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a live view: fields merge by maximum of their bytes, so that repetition and order do not matter."""

    key: str
    row: str
    fields: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Expiry:
    """What is too old to be kept, by the log's clock: answers and tombstones whose block's time is below these."""

    answers_before_ms: int | None
    """None: answers are kept for ever."""
    tombstones_before_ms: int


@dataclass(frozen=True, slots=True)
class Purged:
    """What one call of `purge` did: how many documents went, and where to go on; None: the end was reached."""

    documents: int
    last: Key | None


class StoreBehind(Exception):
    """The server that answered is behind the checkpoint that was confirmed to us: its answer would be stale."""


class Store(Protocol):
    """Everything is by partition. Reads see committed data only. All calls raise `Unavailable`.

    Documents, rows and checkpoints are those of the partition's live edition, as it is live when the call begins; in a
    store made by `at` they are those of one edition, live or not. Cursors are the partition's, whatever is live.
    """

    async def read_checkpoint(self, partition: int) -> Checkpoint | None:
        """The checkpoint, or None for a partition never written."""

    async def write_documents(self, partition: int, documents: Sequence[DocumentWrite]) -> None:
        """Stores each document whose stored position is lower than its own; others are left as they are."""

    async def write_checkpoint(self, partition: int, checkpoint: Checkpoint) -> None:
        """Moves the checkpoint forward; one at or below the stored one changes nothing.

        Raises `ValueError` when the stored checkpoint is of another journal.
        """

    async def load(self, partition: int, keys: Sequence[Key], *, at_least: int) -> Mapping[Key, Stored]:
        """The stored documents and tombstones among `keys`.

        `at_least` is the offset of the confirmed checkpoint: raises `StoreBehind` when the server has less.
        """

    async def scan(
        self, partition: int, kind: str, parent: str, *, at_least: int,
        after: str = "", before: str | None = None, descending: bool = False, limit: int = 100,
    ) -> Sequence[tuple[Key, Stored]]:  # fmt: skip
        """Live documents (no tombstones) of one group with `after` < id < `before`, in order of ids by code points,
        ascending or descending, at most `limit`. `before` None means no upper bound."""

    async def documents(
        self, partition: int, *, at_least: int, after: Key | None, limit: int = 1000
    ) -> Sequence[tuple[Key, Stored]]:
        """All documents of a partition in order of (kind, parent, id), tombstones included: for digests. `at_least`
        as for `load`."""

    async def purge(self, partition: int, expiry: Expiry, *, after: Key | None, limit: int = 1000) -> Purged:
        """Looks at the next `limit` documents above `after` in order of (kind, parent, id) and deletes those among
        them that are too old: answers (kind "answer") and tombstones. The rest stays."""

    async def merge_rows(self, partition: int, rows: Sequence[Row]) -> None:
        """Merges rows durably, field by field, each by the maximum of its bytes.

        They go into the live edition and into the one that is being built, if any: a merge that returns after
        `build_edition` has returned is in both.
        """

    async def rows(self, partition: int, key: str) -> Sequence[Row]:
        """All rows of a key, in order of `row`."""

    async def row_keys(self, partition: int, *, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Distinct keys that have rows, in order, above `after`."""

    async def write_cursor(self, partition: int, name: str, cursor: Cursor) -> None:
        """Moves a cursor forward; one at or below the stored one changes nothing."""

    async def read_cursors(self, partition: int) -> Mapping[str, Cursor]:
        """All cursors of a partition, by name."""

    async def editions(self, partition: int) -> Editions:
        """Which edition is live, and what stands beside it."""

    def at(self, edition: int) -> Self:
        """The same store, of one edition; it shares all connections and is not closed by itself."""

    async def build_edition(self, partition: int, edition: int) -> None:
        """Begins to build an edition beside the live one, or goes on with it. Raises `EditionRefused`."""

    async def switch_edition(self, partition: int, edition: int) -> None:
        """Makes the edition that is being built the live one, at once. Raises `EditionRefused`."""

    async def drop_edition(self, partition: int, *, limit: int = 1000) -> bool:
        """Deletes at most `limit` documents and rows of the edition beside the live one, and at last its checkpoint
        and its cursors; False while anything is left. From the first call on it is no use any more."""

    async def close(self) -> None:
        """Ends all connections and threads."""
