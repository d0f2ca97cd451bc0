"""Brings the documents of one partition to the store, then its checkpoint, and tells the owner.

It never skips: what cannot be written now is written again, the same batch, until it is. How far it is behind is a
measure, and readiness shows what stops it. Now and then it deletes from the store what is too old, see `purging`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from chapar_sourcing.measures import Measures
from chapar_sourcing.owner import CheckpointConfirmed, ProjectionBatch
from chapar_sourcing.ports import DocumentWrite, Store, Unavailable
from chapar_sourcing.purging import Purger
from chapar_sourcing.shell import OwnerShell
from chapar_sourcing.tracing import BlockTraces

BACKOFF_SECONDS_MIN = 0.05
BACKOFF_SECONDS_MAX = 1.0
LOOK_SECONDS = 1.0
"""How often it is looked whether another edition is the live one, while somebody else may make it so."""


class EditionMoved(Exception):
    """The store serves another edition than this owner wrote to: only a new take-over knows from where to go on."""


class Projector:
    """One partition's projector."""

    def __init__(
        self, *, shell: OwnerShell, store: Store, purger: Purger, measures: Measures, linger_ms: int,
        documents_max: int, chance: Callable[[], float],
        traces: BlockTraces, on_written: Callable[[Sequence[DocumentWrite]], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`chance` draws a number from 0 up to 1: projectors that failed together must not come back in step."""
        self._shell = shell
        self._store = store
        self._purger = purger
        self._measures = measures
        self._linger_ms = linger_ms
        self._documents_max = documents_max
        self._chance = chance
        self._on_written = on_written
        self._traces = traces
        self.problem = ""
        """What stops it; empty while it moves."""
        self._finishing = asyncio.Event()
        self._writing = asyncio.Lock()
        self._live: tuple[int, Store] | None = None
        """The live edition, once it is known: a round is stored in one edition as a whole."""
        self._may_move = False
        """Whether another edition may be the live one by now: this process paused for that, or whoever owned the
        partition before was building one, and may wake and switch to it."""
        self._epoch = -1
        """When that was asked last by an owner: nobody without a claim since then begins to build one."""
        self._round_at: Store | None = None
        """Where this round is stored, all its batches and its checkpoint: half of it would be lost in another edition
        whose checkpoint it moved."""

    @property
    def lag(self) -> int:
        """Offsets between what the owner has folded and the confirmed checkpoint."""
        return self._shell.owner.fold.offset - self._shell.owner.confirmed_checkpoint

    async def run(self) -> None:
        """Projects until `finish`, and then until nothing is left."""
        while True:
            if await self._round():
                continue
            if self._finishing.is_set():
                return
            await self._something()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Between two rounds: the store stays at its checkpoint, and another edition may be made the live one."""
        async with self._writing:
            try:
                yield
            finally:
                self._may_move = True

    async def _round(self) -> bool:
        """Stores one round; False when there is nothing to store."""
        async with self._writing:
            if self._may_move:
                await self._look()
            stored, self._round_at = False, None
            while await self._batch():
                stored = True
                if not self._shell.owner.projecting:
                    break
            return stored

    async def _batch(self) -> bool:
        """Writes one batch, however often it takes; False when there is nothing to write."""
        batch = self._shell.owner.take_projection(self._documents_max)
        if batch is None:
            return False
        began_ns = self._traces.now_ns()
        backoff = BACKOFF_SECONDS_MIN
        while not await self._written(batch):
            await asyncio.sleep(backoff * (0.5 + self._chance() / 2))
            backoff = min(backoff * 2, BACKOFF_SECONDS_MAX)
        self._on_written(batch.documents)
        await self._shell.tell(CheckpointConfirmed(batch.checkpoint.fold.offset))
        self._traces.projected(batch.checkpoint.fold.offset, len(batch.documents), began_ns)
        self._measures.count("documents_projected", len(batch.documents))
        if self._shell.owning and not self._finishing.is_set():
            await self._purger.step(self._shell.owner.confirmed_time_ms)
        return True

    def finish(self) -> None:
        """Makes `run` write all there is and return: no more blocks will come."""
        self._finishing.set()

    async def _something(self) -> None:
        """Returns a little after the next block, so that documents gather, or at once when finishing."""
        finishing = asyncio.ensure_future(self._finishing.wait())
        applied = asyncio.ensure_future(self._shell.applied.wait())
        try:
            look_seconds = LOOK_SECONDS if self._may_move else None
            await asyncio.wait((finishing, applied), timeout=look_seconds, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((finishing,), timeout=self._linger_ms / 1000)
        finally:
            finishing.cancel()
            applied.cancel()

    async def _written(self, batch: ProjectionBatch) -> bool:
        try:
            if self._round_at is None:
                self._round_at = await self._live_edition()
            await self._round_at.write_documents(self._shell.partition, batch.documents)
            await self._round_at.write_checkpoint(self._shell.partition, batch.checkpoint)
        except Unavailable as error:
            self.problem = f"the store cannot be written at offset {batch.checkpoint.fold.offset}: {error}"
            self._measures.count("projections_failed")
            return False
        except ValueError:
            self.problem = "the store belongs to another journal"
            self._shell.raise_alarm(self.problem)
            raise
        self.problem = ""
        return True

    async def _live_edition(self) -> Store:
        """Where to write. Raises `EditionMoved` where that lacks what was stored in another one."""
        epoch = self._shell.owner.epoch
        if self._live is None or self._may_move or self._epoch != epoch:
            editions = await self._store.editions(self._shell.partition)
            known = self._shell.edition if self._live is None else self._live[0]
            if editions.live != known:
                await self._check_whole(editions.live)
            self._live = editions.live, self._store.at(editions.live)
            self._may_move = editions.building is not None
            self._epoch = epoch if self._shell.owning else -1
        return self._live[1]

    async def _look(self) -> None:
        """The same where nothing is to be written: what is read comes from the live edition, too."""
        try:
            await self._live_edition()
        except Unavailable:
            self._measures.count("projections_failed")

    async def _check_whole(self, edition: int) -> None:
        """What another process switched to may lack what this owner began with, or what was stored since."""
        checkpoint = await self._store.at(edition).read_checkpoint(self._shell.partition)
        confirmed = self._shell.owner.confirmed_checkpoint
        if (-1 if checkpoint is None else checkpoint.fold.offset) < confirmed:
            raise EditionMoved(
                f"partition {self._shell.partition} is served from edition {edition} now, which is not at {confirmed}:"
                " whoever owned it before has switched. It has to be taken over anew"
            )
