"""Folds a partition into an edition: documents and answers, then the checkpoint, page by page.

What a page of records changes is loaded from the edition, evolved by the owner's own replay, and written; nothing is
kept from page to page. A crash leaves the edition at a checkpoint, with documents that are at most ahead of it, which
is how a store may be left at any time: the next try goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chapar_sourcing.domain import Domain, Key, Stored, decode
from chapar_sourcing.fold import FoldState, LogDamaged, Verdict, fold
from chapar_sourcing.owner.answers import Answers
from chapar_sourcing.owner.memory import Memory, Slot
from chapar_sourcing.owner.projection import Projection
from chapar_sourcing.owner.replay import Replay
from chapar_sourcing.ports import Checkpoint, Journal, JournalRecord, OffsetOutOfRange, Store, Unavailable
from chapar_sourcing.rebuild.pace import Pace
from chapar_sourcing.tail import ValidBlock

PAGE_RECORDS = 100
LOAD_KEYS_MAX = 1_000
WRITE_DOCUMENTS_MAX = 1_000


class DocumentsBuilder:
    """Brings the documents of one edition of a partition up to an offset."""

    def __init__(
        self, *, partition: int, domain: Domain[Any, Any], journal: Journal, edition: Store, pace: Pace,
        on_progress: Callable[[int], None] = lambda offset: None,
    ) -> None:  # fmt: skip
        self._partition = partition
        self._domain = domain
        self._journal = journal
        self._edition = edition
        self._pace = pace
        self._on_progress = on_progress
        self.fold = FoldState()
        """What the edition's checkpoint holds."""

    async def open(self) -> None:
        """Goes on from the edition's checkpoint. Raises `LogDamaged` where that is of another log."""
        checkpoint = await self._edition.read_checkpoint(self._partition)
        if checkpoint is None:
            return
        if (checkpoint.journal_id, checkpoint.generation) != (self._journal.journal_id, self._journal.generation):
            raise LogDamaged(f"the edition of partition {self._partition} was built from another journal")
        self.fold = checkpoint.fold
        if self.fold.valid_offset >= 0:
            records = await self._read(self.fold.valid_offset, records_max=1)
            if not records or not self.fold.ends_with(records[0].offset, records[0].data):
                raise LogDamaged(f"the edition of partition {self._partition} was built from another log")

    async def build(self, up_to: int) -> None:
        """Folds on up to and including `up_to`, an offset that exists. Raises `LogDamaged`, `Unavailable`."""
        while self.fold.offset < up_to:
            await self._pace.patiently(lambda: self._build_page(up_to))
            self._on_progress(self.fold.offset)

    async def _build_page(self, up_to: int) -> None:
        records = [record for record in await self._read(self.fold.offset + 1) if record.offset <= up_to]
        if not records:
            raise Unavailable(f"the log of partition {self._partition} ends before offset {up_to}")
        await self._build(records)

    async def _read(self, offset: int, *, records_max: int = PAGE_RECORDS) -> Sequence[JournalRecord]:
        try:
            return await self._journal.read(self._partition, offset, records_max=records_max)
        except OffsetOutOfRange:
            raise LogDamaged(f"the log ends before offset {offset}: it was cut, or the edition is newer") from None

    async def _build(self, records: Sequence[JournalRecord]) -> None:
        state, blocks = self._folded(records)
        memory = Memory()
        projection = Projection(self._journal.journal_id, self._journal.generation)
        projection.start(self.fold)
        replay = Replay(self._domain, memory, Answers(), projection)
        for block in blocks:
            await self._load(memory, replay.missing(block.offset, block.block))
            replay.apply(block.offset, block.block)
            await self._pace.breathe()
        while batch := projection.take(state, WRITE_DOCUMENTS_MAX):
            await self._edition.write_documents(self._partition, batch.documents)
            projection.confirm(batch.checkpoint.fold.offset)
            await self._pace.breathe()
        checkpoint = Checkpoint(self._journal.journal_id, self._journal.generation, state)
        await self._edition.write_checkpoint(self._partition, checkpoint)
        self.fold = state

    def _folded(self, records: Sequence[JournalRecord]) -> tuple[FoldState, Sequence[ValidBlock]]:
        state, blocks = self.fold, []
        for record in records:
            state, verdict, parsed = fold(state, record.offset, record.data)
            if verdict is Verdict.BLOCK:
                blocks.append(ValidBlock(record.offset, parsed.block, state.hash))
        return state, blocks

    async def _load(self, memory: Memory, keys: Sequence[Key]) -> None:
        wanted = list(dict.fromkeys(keys))
        for first in range(0, len(wanted), LOAD_KEYS_MAX):
            page = wanted[first : first + LOAD_KEYS_MAX]
            stored = await self._edition.load(self._partition, page, at_least=self.fold.offset)
            for key in page:
                memory.hold(key, self._slot(key, stored.get(key)))

    def _slot(self, key: Key, stored: Stored | None) -> Slot:
        if stored is None:
            return Slot(None)
        value = None if stored.data is None else decode(self._domain.documents, key, stored.data)
        return Slot(value, stored.position)
